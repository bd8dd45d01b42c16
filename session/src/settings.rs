//! A session's settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a session starts.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How long an interrupt waits for the cell to stop by itself before its process is ended. Default: 1 s.
    pub interrupt_grace: Option<Duration>,
    /// The evaluator of the cells.
    pub engine: Engine,
    /// The folder that relative paths in cells begin at: those of `:dep`, `include_str!`, `mod`. Default: the working folder.
    pub folder: Option<PathBuf>,
    /// The value of `std::env::args()` in cells, beginning with the program's name. Default: the name of this program.
    pub arguments: Vec<OsString>,
}

impl Settings {
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.folder.clone().unwrap_or_default();
        std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder }).unwrap_or(folder)
    }
}

/// The evaluator of the cells. A cell has the same result with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Ours: one call of the compiler for each cell.
    #[default]
    Direct,
    /// evcxr's evaluator.
    Evcxr,
}
