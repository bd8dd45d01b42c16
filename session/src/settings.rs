//! A session's settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a session is made.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How long an interrupt waits for the cell to stop by itself before its process is ended. Default: 1 s.
    pub interrupt_grace: Option<Duration>,
    /// Who evaluates the cells.
    pub engine: Engine,
    /// What paths in cells are relative to: those of `:dep`, `include_str!`, `mod`. Default: the working folder.
    pub folder: Option<PathBuf>,
    /// What `std::env::args()` gives in cells, beginning with the program's name. Default: the name of this program.
    pub arguments: Vec<OsString>,
}

impl Settings {
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.folder.clone().unwrap_or_default();
        std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder }).unwrap_or(folder)
    }
}

/// Who evaluates the cells. The same cells have the same results with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// One call of the compiler for each cell.
    #[default]
    Direct,
    /// evcxr.
    Evcxr,
}
