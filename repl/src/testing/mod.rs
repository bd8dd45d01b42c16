//! `mobula test PATH…`: runs notebooks and compares each output with the stored one.
//!
//! ```text
//!   found.rs     PATHs ─▶ files
//!   process.rs   each in a process of its own, so many at once ─▶ a copy with new outputs
//!   outcome.rs   cell by cell: stored and new ─▶ results.rs        compare/: text, tables, JSON, pictures, errors
//!   rules.rs     what varies (times, pids, paths …) is put aside before
//!   report.rs    the terminal, JUnit, JSON
//! ```
//!
//! A cell fails when its output differs from the stored one, or when it fails or does not fail against its tag. A cell
//! that was never run has nothing stored: it only has to run. A Rust file has no stored outputs at all.

mod compare;
mod found;
mod outcome;
mod process;
mod report;
mod results;
mod rules;

use crate::script::load::Program;
use crate::script::notebook::{CellRun, Notebook};
use crate::script::{ScriptError, replace};
use crate::show::colour::ColorChoice;
use crate::{Ending, NotebookError};
use crossbeam::channel::unbounded;
use results::{CellResult, FileResult, Verdict};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Options of [`run`].
#[derive(Clone, Debug)]
pub struct Options {
    /// This program, which runs each file.
    pub program: PathBuf,
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Whether to store the new outputs of cells whose outputs differ.
    pub update: bool,
    /// Whether cells tagged `slow` are run.
    pub slow: bool,
    /// How many files run at once; half the processors if `None`.
    pub jobs: Option<usize>,
    /// How long a file may take.
    pub timeout: Duration,
    /// Where to write the results as JUnit's XML.
    pub junit: Option<PathBuf>,
    /// Whether to print the results as JSON instead of text.
    pub json: bool,
    /// Whether to use colours.
    pub color: ColorChoice,
}

/// Why nothing was tested, or a result was not written. A test that fails is not an error: see [`Ending`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// There is no such file or folder.
    #[error("`{}` could not be read", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is neither a notebook nor a script.
    #[error("`{}` is neither a `.rs` nor an `.ipynb` file", path.display())]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to test.
    #[error("no notebook was found in {}", paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", "))]
    NoneFound {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
    },
    /// The notebook cannot be used.
    #[error("`{}` cannot be run", path.display())]
    Notebook {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: NotebookError,
    },
    /// The head of a script with cells cannot be read.
    #[error("`{}` cannot be run", path.display())]
    Script {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: ScriptError,
    },
    /// A rule for what varies is wrong.
    #[error("{}: {message}", path.display())]
    Rule {
        /// The file with the rule.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file could not be written.
    #[error("`{}` could not be written", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No file can be run here.
    #[error("{message}")]
    Broken {
        /// What is missing.
        message: String,
    },
}

/// Tests the files, and reports each as soon as it has run.
///
/// # Errors
/// [`TestError`]. A test that fails is not an error: see [`Ending`].
///
/// ```no_run
/// use mobula_repl::testing::{Options, run};
/// # let default = || -> Options { unimplemented!() };
/// let ending = run(&Options { paths: vec!["notebooks".into()], ..default() })?;
/// std::process::exit(ending.exit_code().into());
/// # Ok::<(), mobula_repl::testing::TestError>(())
/// ```
pub fn run(options: &Options) -> Result<Ending, TestError> {
    let files = found::files(&options.paths)?;
    if let Some(path) = &options.junit {
        // Before anything runs, also so that nobody reads old results.
        fs::write(path, "").map_err(|source| TestError::NotWritten { path: path.clone(), source })?;
    }
    let (mut tests, mut done) = (Vec::new(), Vec::new());
    let is_one = files.len() == 1;
    for file in files {
        match Test::read(file.clone()) {
            Ok(test) => tests.push(test),
            Err(error) if is_one => return Err(error),
            // The others are tested all the same.
            Err(error) => done.push(FileResult::unreadable(file, &error)),
        }
    }
    let is_interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let _ = signal_hook::flag::register(signal, Arc::clone(&is_interrupted));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(processors / 2).clamp(1, tests.len().max(1));
    let (give, work) = unbounded();
    tests.iter().for_each(|test| _ = give.send(test));
    drop(give);
    let (say, results) = unbounded();
    if !options.json {
        done.iter().for_each(|result| report::print(result, options.color));
    }
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (work, say, is_interrupted) = (work.clone(), say.clone(), &*is_interrupted);
            scope.spawn(move || {
                let mut tests = work.iter().take_while(|_| !is_interrupted.load(Ordering::Relaxed));
                tests.try_for_each(|test| say.send(test.run(options, is_interrupted)))
            });
        }
        drop(say);
        for result in &results {
            let result = result?;
            if !options.json {
                report::print(&result, options.color);
            }
            done.push(result);
        }
        Ok(())
    })?;
    done.sort_by(|one, other| one.file.cmp(&other.file));
    if options.json {
        println!("{}", report::json(&done));
    } else {
        report::print_sum(&done, options.update);
    }
    if let Some(path) = &options.junit {
        let written = |source| TestError::NotWritten { path: path.clone(), source };
        fs::write(path, report::junit(&done).map_err(io::Error::other).map_err(written)?).map_err(written)?;
    }
    if is_interrupted.load(Ordering::Relaxed) {
        let left = tests.len().saturating_sub(done.len());
        eprintln!("interrupted; {left} more {} not run", if left == 1 { "file was" } else { "files were" });
        return Ok(Ending::Exited(INTERRUPTED));
    }
    let has_failed = done.iter().any(|result| result.has_failed() && !result.is_mended());
    Ok(if has_failed { Ending::CellFailed } else { Ending::Done })
}

/// The exit code of a run that was interrupted, as a shell has it.
const INTERRUPTED: u8 = 130;

/// A file to test.
struct Test {
    file: PathBuf,
    /// `None` for a program with a `main`.
    notebook: Option<Notebook>,
    rules: rules::Rules,
}

impl Test {
    fn read(file: PathBuf) -> Result<Test, TestError> {
        let bytes = fs::read(&file).map_err(|source| TestError::Unreadable { path: file.clone(), source })?;
        if file.extension().is_some_and(|end| end == "rs") {
            let program = Program::of_bytes(bytes, &file);
            let program = program.map_err(|source| TestError::Script { path: file.clone(), source })?;
            let notebook = program.main.is_none().then_some(program.notebook);
            return Ok(Test { file, notebook, rules: rules::Rules::default() });
        }
        let notebook = Notebook::parse(bytes);
        let notebook = notebook.map_err(|source| TestError::Notebook { path: file.clone(), source })?;
        let rules = rules::Rules::of(&file, &notebook.metadata())?;
        Ok(Test { file, notebook: Some(notebook), rules })
    }

    fn run(&self, options: &Options, is_interrupted: &AtomicBool) -> Result<FileResult, TestError> {
        let Some(notebook) = &self.notebook else { return process::run_script(&self.file, options, is_interrupted) };
        let ran = process::run_notebook(&self.file, options, is_interrupted)?;
        let mut result = outcome::judge(&self.file, notebook, &ran, &self.rules, options.slow);
        if options.update {
            self.update(notebook, &mut result)?;
        }
        Ok(result)
    }

    /// Stores the new outputs of the cells whose outputs differ.
    fn update(&self, notebook: &Notebook, result: &mut FileResult) -> Result<(), TestError> {
        let mut runs = Vec::new();
        for cell in &mut result.cells {
            if let CellResult { index, verdict: Verdict::Differs { .. }, new: Some(outputs), is_updated, .. } = cell {
                let (count, _) = notebook.stored(*index);
                runs.push(CellRun { index: *index, execution_count: count.unwrap_or(1), outputs: outputs.clone() });
                *is_updated = true;
            }
        }
        if runs.is_empty() {
            return Ok(());
        }
        let not_written = |source| TestError::NotWritten { path: self.file.clone(), source };
        let target = fs::canonicalize(&self.file).map_err(not_written)?;
        replace(&target, &notebook.with_outputs(&runs, None)).map_err(not_written)
    }
}

/// A path as it is shown: from here, if it is below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests;
