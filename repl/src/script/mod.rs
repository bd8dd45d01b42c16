//! `mobula run FILE`: runs a Rust file, as one cell or parted by `// %%`, or the code cells of a notebook in order.
//!
//! ```text
//!   FILE.rs ───▶ percent.rs, marker.rs ─▶ document.rs ─┐
//!   FILE.ipynb ─────────────────────────▶ notebook.rs ◀┘─▶ load.rs ─▶ run_cells.rs ─▶ report.rs: the copy, the report
//!                                                     outputs.rs ◀── events ─┘        html/: a page
//! ```
//!
//! A Rust file with a `main` is a program: its items are one cell, and the call of `main` is another, whose exit code
//! is that of `mobula`.
//!
//! The rules for notebooks are nbclient's. The first cell that fails ends the run, unless it is tagged `raises-error`
//! (or `raises-exception`, nbclient's word for it). A cell with that tag must fail; if it does not, that is a failure.
//! Cells tagged `skip-execution` and empty cells are left out. Cells that did not run keep their outputs. A file with
//! `// %%` cells is a notebook without outputs, and the same rules hold.

pub mod convert;
pub(crate) mod document;
mod html;
pub(crate) mod json_span;
pub(crate) mod load;
mod marker;
pub(crate) mod notebook;
pub(crate) mod outputs;
pub(crate) mod percent;
pub(crate) mod pipe;
pub(crate) mod report;
mod run_cells;
pub mod session_file;

use crate::interrupts::{Idle, Interrupts};
use crate::runner::{Readiness, Runner};
use crate::script::notebook::NotebookError;
use crate::script::outputs::Recorder;
use crate::script::percent::PercentError;
pub use crate::script::report::{CellReport, RunReport, TestReport};
pub(crate) use crate::script::run_cells::is_to_run;
use crate::show::colour::ColorChoice;
use crate::show::render::Screen;
use crate::{Ending, ask, env_broken};
use load::Program;
use mobula_session::{Evaluator, Event, Sink};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The tags of a cell that has to fail: ours, and the one that Jupyter's own tools use.
pub(crate) const MUST_FAIL_TAGS: [&str; 2] = ["raises-error", "raises-exception"];

/// Options of [`run`].
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// A `.rs` or an `.ipynb` file, or `-` for standard input.
    pub file: PathBuf,
    /// Code to run instead of a file.
    pub code: Option<String>,
    /// Whether to go on after a cell that fails.
    pub keep_going: bool,
    /// Where a notebook is written with its outputs.
    pub save: Save,
    /// Where a page of the cells and their outputs is written, as HTML.
    pub html: Option<PathBuf>,
    /// How long a cell may run before it is interrupted.
    pub timeout: Option<Duration>,
    /// Values for the variables of a notebook's cell tagged `parameters`: name and expression each.
    pub parameters: Vec<(String, String)>,
    /// Tags of cells that are left out, besides `skip-execution`.
    pub left_out: Vec<String>,
    /// Whether to run the `#[test]` functions of a notebook or of cells after them.
    pub tests: bool,
    /// Where to write what became of each cell of a notebook, as JSON: a [`RunReport`].
    pub report: Option<PathBuf>,
    /// Whether to use colours.
    pub color: ColorChoice,
}

/// Where a notebook is written with its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Save {
    /// Nowhere.
    #[default]
    No,
    /// Back into its file.
    Back,
    /// Into this file. The notebook's own stays as it is.
    To(PathBuf),
}

/// Why a file was not run, or not written back. A failed cell is not an error: see [`Ending`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The file is neither a script nor a notebook.
    #[error("`{}` is neither a `.rs` nor an `.ipynb` file", file.display())]
    UnknownKind {
        /// The file.
        file: PathBuf,
    },
    /// The file is not a notebook, so it has no place for outputs.
    #[error("`{}` is not a notebook, so outputs cannot be saved in it; `--save=OUT.ipynb` writes one", file.display())]
    NothingToSaveIn {
        /// The file.
        file: PathBuf,
    },
    /// The file could not be read.
    #[error("`{}` could not be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The notebook cannot be used.
    #[error("`{}` cannot be run", file.display())]
    Notebook {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: NotebookError,
    },
    /// The head of a script with cells cannot be read.
    #[error("`{}` cannot be run", file.display())]
    Percent {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: PercentError,
    },
    /// A parameter was given that the file does not have, or a value that is none.
    #[error("`{}`: {message}", file.display())]
    Parameter {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The notebook cannot be written back. This is checked before anything runs.
    #[error("`{}` cannot be written", file.display())]
    NotWritable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The cells ran, but the notebook could not be written back. The file is unchanged.
    #[error("the outputs could not be saved in `{}`", file.display())]
    NotSaved {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The notebook's file changed while its cells ran, so it was left alone.
    #[error("`{}` was changed by another program while it ran, so the outputs were not saved in it", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// The handler of Ctrl-C could not be installed.
    #[error("cannot install the Ctrl-C handler")]
    Signal(#[source] io::Error),
    /// The evaluator cannot run cells here.
    #[error("{0}")]
    NotReady(String),
}

impl ScriptError {
    /// The exit code of this error: 1 when the cells ran and only saving failed, 2 for a file that cannot be run, 3 for
    /// a broken environment.
    pub fn exit_code(&self) -> u8 {
        match self {
            ScriptError::Changed { .. } | ScriptError::NotSaved { .. } => Ending::CellFailed.exit_code(),
            ScriptError::Signal(_) | ScriptError::NotReady(_) => env_broken(),
            _ => 2,
        }
    }
}

/// Runs a file and shows its outputs as they come.
///
/// The file is read and checked before `start` makes the evaluator. The evaluator is shut down before this returns.
///
/// # Errors
/// [`ScriptError`]. A failed cell is not an error: see [`Ending`].
///
/// ```no_run
/// # fn session(_: mobula_session::Sink) -> mobula_session::Session { unimplemented!() }
/// use mobula_repl::script::{RunOptions, Save, run};
/// let ending = run(RunOptions { file: "tour.ipynb".into(), save: Save::Back, ..RunOptions::default() }, session)?;
/// std::process::exit(ending.exit_code().into());
/// # Ok::<(), mobula_repl::script::ScriptError>(())
/// ```
pub fn run<E: Evaluator + Clone>(options: RunOptions, start: impl FnOnce(Sink) -> E) -> Result<Ending, ScriptError> {
    run_on(&Screen::standard(options.color), &options, Some(Idle::Die), start)
}

/// As [`run`]. `when_idle` is the effect of Ctrl-C between cells; with `None`, signals are left alone.
fn run_on<E: Evaluator + Clone>(
    screen: &Screen,
    options: &RunOptions,
    when_idle: Option<Idle>,
    start: impl FnOnce(Sink) -> E,
) -> Result<Ending, ScriptError> {
    let program = Program::load(options)?;
    let recorder = Arc::new(Mutex::new(Recorder::default()));
    let evaluator = start(tee(screen, &recorder));
    let interrupts = when_idle.map(|idle| Interrupts::install(evaluator.clone(), screen.clone(), idle)).transpose();
    let interrupts = interrupts.map_err(ScriptError::Signal)?;
    // What is written of a run does not depend on how fast it was.
    let is_written = options.save != Save::No || options.html.is_some() || options.report.is_some();
    evaluator.watch_tasks(screen.is_terminal() && !is_written);
    let input = Some(ask::reader(evaluator.clone(), screen.clone()));
    let runner = Runner { evaluator: evaluator.clone(), screen: screen.clone(), interrupts, input };
    let ending = match runner.ready() {
        Readiness::Ready => run_cells::run(&runner, &program, &recorder, options),
        Readiness::Failed(sentence) => Err(ScriptError::NotReady(sentence)),
        Readiness::Interrupted => Ok(Ending::CellFailed),
    };
    evaluator.shutdown();
    ending
}

/// A sink that records and shows each event.
fn tee(screen: &Screen, recorder: &Arc<Mutex<Recorder>>) -> Sink {
    let (show, recorder) = (screen.sink(), Arc::clone(recorder));
    Arc::new(move |event: Event| {
        recorder.lock().unwrap_or_else(PoisonError::into_inner).event(&event);
        show(event);
    })
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// Replaces the file's text with `new`, whole or not at all, unless the text is no longer `old`. A symbolic link stays
/// one.
fn save(file: &Path, old: &str, new: &str) -> Result<(), ScriptError> {
    let not_saved = |source| ScriptError::NotSaved { file: file.to_owned(), source };
    let target = fs::canonicalize(file).map_err(not_saved)?;
    if fs::read(&target).map_err(not_saved)? != old.as_bytes() {
        return Err(ScriptError::Changed { file: file.to_owned() });
    }
    replace(&target, new).map_err(not_saved)
}

/// Replaces a file, which is no symbolic link, whole or not at all.
pub(crate) fn replace(target: &Path, text: &str) -> io::Result<()> {
    let draft = draft(target, text)?;
    draft.as_file().set_permissions(fs::metadata(target)?.permissions())?;
    draft.persist(target)?;
    Ok(())
}

/// Makes a file whole or not at all. One that is there already is left alone, and that is an error.
pub(crate) fn create(file: &Path, text: &str) -> io::Result<()> {
    draft(file, text)?.persist_noclobber(file)?;
    Ok(())
}

/// A file beside `file` that can take its place. It has the permissions of any new file.
fn draft(file: &Path, text: &str) -> io::Result<tempfile::NamedTempFile> {
    let folder = folder_of(file);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such folder"));
    }
    let mut made = tempfile::Builder::new();
    made.prefix(".mobula-").permissions(fs::Permissions::from_mode(0o666));
    let mut draft = made.tempfile_in(folder)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

#[cfg(test)]
mod tests;
