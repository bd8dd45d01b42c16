//! `mobula run FILE`: runs a Rust file, as one cell or parted by `// %%`, or the code cells of a notebook in order.
//!
//! A Rust file with a `main` is a program: its items are one cell, and the call of `main` is another, whose exit code
//! is that of `mobula`.
//!
//! The rules for notebooks are nbclient's. The first cell that fails ends the run, unless it is tagged `raises-error`
//! (or `raises-exception`, nbclient's word for it). A cell with that tag must fail; if it does not, that is a failure.
//! Cells tagged `skip-execution` and empty cells are left out. Cells that did not run keep their outputs.

pub(crate) mod json_span;
pub(crate) mod notebook;
pub(crate) mod outputs;
pub(crate) mod pipe;
pub(crate) mod report;

use crate::interrupts::{Idle, Interrupts};
use crate::runner::{Readiness, Runner};
use crate::script::notebook::{CellRun, CodeCell, Notebook, NotebookError};
use crate::script::outputs::Recorder;
use crate::script::report::Keeper;
pub use crate::script::report::{CellReport, RunReport, TestReport};
use crate::show::colour::ColorChoice;
use crate::show::render::Screen;
use crate::{Ending, ask, env_broken};
use mobula_session::script::{self, Script};
use mobula_session::{Evaluator, Event, Sink, Stream};
use rustix::fs::{Access, access};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The tags of a cell that has to fail: ours, and the one that Jupyter's own tools use.
pub(crate) const MUST_FAIL_TAGS: [&str; 2] = ["raises-error", "raises-exception"];

/// The exit code of a program whose `main` panics.
const PANICKED: u8 = 101;

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
    #[error("`{}` is not a notebook, so outputs cannot be saved in it", file.display())]
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

/// The content of a file.
enum Program {
    Script(Script),
    Notebook(Notebook),
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
    let program = load(options)?;
    let recorder = Arc::new(Mutex::new(Recorder::default()));
    let evaluator = start(tee(screen, &recorder));
    let interrupts = when_idle.map(|idle| Interrupts::install(evaluator.clone(), screen.clone(), idle)).transpose();
    let interrupts = interrupts.map_err(ScriptError::Signal)?;
    let input = Some(ask::reader(evaluator.clone(), screen.clone()));
    let runner = Runner { evaluator: evaluator.clone(), screen: screen.clone(), interrupts, input };
    let ending = match runner.ready() {
        Readiness::Ready => run_program(&runner, &program, &recorder, options),
        Readiness::Failed(sentence) => Err(ScriptError::NotReady(sentence)),
        Readiness::Interrupted => Ok(Ending::CellFailed),
    };
    evaluator.shutdown();
    ending
}

/// Reads the file, and checks that it can be written back if that is wanted.
fn load(options: &RunOptions) -> Result<Program, ScriptError> {
    let file = || options.file.clone();
    if let Some(code) = &options.code {
        return Ok(Program::Script(script::read(code)));
    }
    let extension = options.file.extension().and_then(|extension| extension.to_str());
    let is_notebook = match extension {
        Some("ipynb") => true,
        Some("rs") | None if options.save != Save::No => return Err(ScriptError::NothingToSaveIn { file: file() }),
        Some("rs") => false,
        None if is_stdin(&options.file) => false,
        _ => return Err(ScriptError::UnknownKind { file: file() }),
    };
    let read = if is_stdin(&options.file) { read_stdin() } else { fs::read(&options.file) };
    let bytes = read.map_err(|source| ScriptError::Unreadable { file: file(), source })?;
    let wrong = |message: String| ScriptError::Parameter { file: file(), message };
    if !is_notebook && !options.parameters.is_empty() {
        return Err(wrong("only a notebook has parameters".into()));
    }
    if !is_notebook {
        let invalid =
            |error| ScriptError::Unreadable { file: file(), source: io::Error::new(io::ErrorKind::InvalidData, error) };
        return String::from_utf8(bytes).map(|text| Program::Script(script::read(&text))).map_err(invalid);
    }
    let mut notebook = Notebook::parse(bytes).map_err(|source| ScriptError::Notebook { file: file(), source })?;
    if !options.parameters.is_empty() {
        let cell = notebook.code_cells.iter_mut().find(|cell| cell.has_tag("parameters"));
        let cell = cell.ok_or_else(|| wrong("it has no cell tagged `parameters`".into()))?;
        cell.source = mobula_session::parameters::with_values(&cell.source, &options.parameters).map_err(wrong)?;
        cell.is_given = true;
        if options.save == Save::Back {
            return Err(wrong("outputs with other values belong into a copy: `--save=OUT`".into()));
        }
    }
    if let Save::To(copy) = &options.save
        && !copy.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
    {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no such folder");
        return Err(ScriptError::NotWritable { file: copy.clone(), source });
    }
    if options.save == Save::Back {
        can_be_replaced(&options.file).map_err(|source| ScriptError::NotWritable { file: file(), source })?;
    }
    Ok(Program::Notebook(notebook))
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A sink that records and shows each event.
fn tee(screen: &Screen, recorder: &Arc<Mutex<Recorder>>) -> Sink {
    let (show, recorder) = (screen.sink(), Arc::clone(recorder));
    Arc::new(move |event: Event| {
        recorder.lock().unwrap_or_else(PoisonError::into_inner).event(&event);
        show(event);
    })
}

fn run_program<E: Evaluator + Clone>(
    runner: &Runner<E>,
    program: &Program,
    recorder: &Mutex<Recorder>,
    options: &RunOptions,
) -> Result<Ending, ScriptError> {
    match program {
        Program::Script(script) => Ok(run_script(runner, script, options)),
        Program::Notebook(notebook) => {
            let report = RunReport::default();
            let mut keeper = Keeper { notebook, recorder, options, runs: Vec::new(), report };
            let ending = run_notebook(runner, &mut keeper)?;
            if options.save == Save::Back {
                save(&options.file, notebook.text(), &notebook.with_outputs(&keeper.runs()))?;
            }
            keeper.write()?;
            Ok(ending)
        }
    }
}

fn run_script<E: Evaluator + Clone>(runner: &Runner<E>, script: &Script, options: &RunOptions) -> Ending {
    let mut ending = Ending::Done;
    for (code, line) in &script.cells {
        if runner.run(code).result.is_err() {
            if script.cells.len() > 1 {
                runner.screen.notice(&format!("the cell begins on line {line} of the file"));
            }
            ending = Ending::CellFailed;
            if !options.keep_going {
                return ending;
            }
        }
    }
    let has_tests = options.tests && script.cells.iter().any(|(code, _)| has_tests(code));
    if has_tests && runner.run(RUN_TESTS).result.is_err() {
        return Ending::CellFailed;
    }
    let Some(program) = script.program else { return ending };
    let outcome = runner.run_program(program);
    match outcome.exit {
        // The low byte, as a shell sees it.
        Some(code) => Ending::Exited(code as u8),
        None if outcome.result.is_err() => Ending::Exited(PANICKED),
        None => ending,
    }
}

/// Runs the cells.
fn run_notebook<E: Evaluator + Clone>(runner: &Runner<E>, keeper: &mut Keeper<'_>) -> Result<Ending, ScriptError> {
    let Keeper { notebook, recorder, options, .. } = *keeper;
    let recorded = || recorder.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ending = Ending::Done;
    let is_left_out = |cell: &CodeCell| options.left_out.iter().any(|tag| cell.has_tag(tag));
    let cells: Vec<(usize, &CodeCell)> =
        notebook.code_cells.iter().enumerate().filter(|(_, cell)| is_to_run(cell) && !is_left_out(cell)).collect();
    for (done, (index, cell)) in cells.iter().enumerate() {
        if runner.screen.is_terminal() {
            let first = cell.source.trim().lines().next().unwrap_or_default();
            runner.screen.notice(&format!("[{}] {first}", runner.evaluator.next_cell()));
        }
        keeper.report.running = Some(*index);
        keeper.write_so_far()?;
        let begun = Instant::now();
        let outcome = runner.run(&cell.source);
        let (seconds, has_failed) = (begun.elapsed().as_secs_f64(), outcome.result.is_err());
        keeper.report.cells.push(CellReport { index: *index, seconds, has_failed });
        keeper.runs.push(CellRun { index: *index, execution_count: outcome.cell.0, outputs: serde_json::Value::Null });
        if let Err(error) = &outcome.result {
            recorded().error(outcome.cell, error);
        }
        let must_fail = MUST_FAIL_TAGS.into_iter().any(|tag| cell.has_tag(tag));
        if has_failed != must_fail {
            if must_fail {
                runner.screen.notice(&format!("cell [{}] is tagged `raises-error` and did not fail", outcome.cell));
            }
            ending = Ending::CellFailed;
            if options.keep_going {
                continue;
            }
            if let rest @ 1.. = cells.len() - done - 1 {
                runner
                    .screen
                    .notice(&format!("{rest} more {} not run", if rest == 1 { "cell was" } else { "cells were" }));
            }
            break;
        }
    }
    keeper.report.running = None;
    keeper.write_so_far()?;
    if options.tests && cells.iter().any(|(_, cell)| has_tests(&cell.source)) {
        let outcome = runner.run(RUN_TESTS);
        let has_failed = outcome.result.is_err();
        if let Err(error) = &outcome.result {
            recorded().error(outcome.cell, error);
        }
        let said = recorded().text(outcome.cell, Stream::Stderr);
        let why =
            if said.is_empty() { outcome.result.err().map(|error| error.plain).unwrap_or_default() } else { said };
        keeper.report.tests = report::tests(&recorded().text(outcome.cell, Stream::Stdout), &why, has_failed);
        if has_failed {
            ending = Ending::CellFailed;
        }
    }
    Ok(ending)
}

/// The command that runs the tests of a session.
const RUN_TESTS: &str = ":test";

/// Whether there may be a test in a cell.
fn has_tests(code: &str) -> bool {
    code.contains("#[test]")
}

pub(crate) fn is_to_run(cell: &CodeCell) -> bool {
    !cell.has_tag("skip-execution") && !cell.source.trim().is_empty()
}

/// Checks that a file can be put in the place of `file`.
fn can_be_replaced(file: &Path) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    access(&file, Access::WRITE_OK)?;
    Ok(access(folder_of(&file), Access::WRITE_OK | Access::EXEC_OK)?)
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

pub(crate) fn replace(target: &Path, text: &str) -> io::Result<()> {
    let mut draft = tempfile::Builder::new().prefix(".mobula-").suffix(".ipynb").tempfile_in(folder_of(target))?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().set_permissions(fs::metadata(target)?.permissions())?;
    draft.as_file().sync_all()?;
    draft.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests;
