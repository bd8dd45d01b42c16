//! The runtime as a session sees it: small traits. The root crate implements them; this crate never imports it.

use crate::event::{CellId, Outcome, Turn};
use std::ffi::c_void;
use std::path::{Path, PathBuf};

pub use mobula_abi::TaskCounts;

/// One file of the crate that cells are compiled against.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedFile {
    /// Its path inside the crate, such as `src/lib.rs`.
    pub path: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// The runtime as the front process sees it.
pub trait Host: Send + Sync {
    /// The sources of the crate `mobula` that cells depend on.
    fn embedded_crate(&self) -> &'static [EmbeddedFile];
    /// The session's private folder (mode 0700). It is removed when the runtime ends, however it ends.
    fn session_dir(&self) -> PathBuf;
    /// Environment variables that let the cell host find the runtime.
    fn cell_host_env(&self) -> Vec<(String, String)>;
    /// Makes blocking calls of the turn return `Interrupted`. Returns at once.
    fn interrupt(&self, turn: Turn);
    /// Whether a call of the turn has met the interrupt, or blocks and is about to. If so, the cell is stopping by itself.
    fn is_interrupt_heeded(&self, turn: Turn) -> bool;
    /// A cell begins, with this code.
    fn cell_began(&self, cell: CellId, code: &str) {
        let _ = (cell, code);
    }
    /// A cell has ended.
    fn cell_ended(&self, outcome: &Outcome) {
        let _ = outcome;
    }
    /// Tells the runtime of a new cell host process. `takeover`: a twin took the place of a dead one.
    fn cell_host_changed(&self, pid: u32, takeover: bool);
    /// A counter of the tasks of cells; `None` if this runtime cannot be looked at. It may block for a moment.
    fn task_counter(&self) -> Option<Box<dyn TaskCounter>> {
        None
    }
    /// The files of cells.
    fn cell_files(&self) -> &dyn CellFiles;
}

/// Files of cells: notebooks, and scripts with `// %%` cells. Errors are sentences.
pub trait CellFiles {
    /// The code cells of a file that are to be run, in order.
    ///
    /// # Errors
    /// The file cannot be read, or is of neither kind.
    fn cells(&self, file: &Path) -> Result<Vec<FileCell>, String>;
    /// The text of a file of this name with these cells, each with its number.
    ///
    /// # Errors
    /// The name's ending is that of neither kind, or a cell cannot stand in such a file.
    fn text(&self, file: &Path, cells: &[(CellId, String)]) -> Result<String, String>;
    /// Writes a file whole or not at all; one that is there only if it `replaces` it.
    ///
    /// # Errors
    /// The file cannot be written, or it is there already.
    fn write(&self, file: &Path, text: &str, replaces: bool) -> Result<(), String>;
}

/// A code cell of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCell {
    /// Its code.
    pub code: String,
    /// Where it is: `line 3`, `code cell 2`.
    pub place: String,
    /// Whether the cells behind it are run also if it fails.
    pub may_fail: bool,
}

/// Counts the tasks of cells, again and again.
pub trait TaskCounter: Send {
    /// Passes over the tasks that have ended up to now.
    fn skip(&mut self);
    /// Counts the tasks of `cell` and of later cells, by cell and function; `None` if the runtime is gone. May block for a moment.
    fn count(&mut self, cell: CellId) -> Option<Vec<TaskCounts>>;
}

/// The runtime as the cell host process sees it.
pub trait CellRuntime {
    /// Attaches a freshly opened cell library. `symbol` is the address of its attach function.
    ///
    /// # Errors
    /// A sentence: the library was built against another version.
    fn attach(&self, symbol: *mut c_void, cell: CellId) -> Result<(), String>;
    /// A cell, or its callbacks, begin: from here on, releases of objects are deferred.
    fn cell_began(&self, cell: CellId, turn: Turn);
    /// The cell has ended.
    fn cell_ended(&self, cell: CellId);
    /// What has run cannot be undone any more: the deferred releases are made.
    fn cell_is_final(&self);
    /// How many bytes the deferred releases keep in the store; `None`: there are no such releases.
    ///
    /// # Errors
    /// Why what has run cannot be undone, as the end of a sentence.
    fn held_back(&self) -> Result<Option<u64>, &'static str>;
    /// Runs the callbacks for which messages wait. Returns how that ended, as a cell's function does.
    fn run_callbacks(&self) -> u32;
    /// Flushes the standard output that the cell libraries have buffered.
    fn flush(&self);
    /// Does `work`, which forks, while no other thread holds the standard streams' locks: the child could not print otherwise.
    fn with_streams_locked(&self, work: &mut dyn FnMut());
    /// This process was a frozen twin and has become the cell host: it connects anew and has the references of the checkpoint. If what ran
    /// before it was made `is_final`, it has not what was deferred then.
    fn took_over(&self, is_final: bool);
}
