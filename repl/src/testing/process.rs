//! A file's run: `mobula run` in a process of its own, so that files run beside each other and none can take another
//! one along.

use super::results::{CellResult, FileResult, Verdict};
use super::{Options, TestError};
use crate::env_broken;
use crate::script::CellReport;
use crate::script::notebook::Notebook;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A notebook that was run.
#[derive(Debug)]
pub struct Ran {
    /// The copy with new outputs. `None` if the process ended before all cells had run.
    pub copy: Option<Notebook>,
    pub reports: Vec<CellReport>,
    /// The last of what the process said on standard error.
    pub said: String,
    /// Why there is no copy.
    pub end: String,
    pub took: Duration,
}

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How many of the last lines of what a process has said are shown.
const LINES_SHOWN: usize = 20;

/// Runs all cells of a notebook.
pub fn run_notebook(file: &Path, options: &Options) -> Result<Ran, TestError> {
    let broken = |error: io::Error| TestError::Broken { message: format!("a test cannot be run: {error}") };
    let folder = tempfile::Builder::new().prefix("mobula-test-").tempdir().map_err(broken)?;
    let (copy, report) = (folder.path().join("copy.ipynb"), folder.path().join("report.json"));
    let mut command = Command::new(&options.program);
    command.arg("run").arg(format!("--save={}", copy.display())).args(["--keep-going", "--tests"]);
    command.arg(format!("--report={}", report.display())).args(["--leave-out", "skip"]);
    if !options.slow {
        command.args(["--leave-out", "slow"]);
    }
    let Finished { status, said, took } = finish(command.arg(file), options.timeout).map_err(broken)?;
    refuse_broken(status, &said)?;
    let notebook = fs::read(&copy).ok().and_then(|bytes| Notebook::parse(bytes).ok());
    let reports = fs::read(&report).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let (end, said) = (end(status, options.timeout, &said), last_lines(&said));
    Ok(Ran { copy: notebook.filter(|_| reports.is_some()), reports: reports.unwrap_or_default(), said, end, took })
}

/// Runs a Rust file, which has no stored outputs: it has to end well.
pub fn run_script(file: &Path, options: &Options) -> Result<FileResult, TestError> {
    let broken = |error: io::Error| TestError::Broken { message: format!("a test cannot be run: {error}") };
    let mut command = Command::new(&options.program);
    let Finished { status, said, took } =
        finish(command.args(["run", "--tests"]).arg(file), options.timeout).map_err(broken)?;
    refuse_broken(status, &said)?;
    let is_fine = status.is_some_and(|status| status.success());
    let verdict = if is_fine { Verdict::Same } else { Verdict::Ended { how: end(status, options.timeout, &said) } };
    let cell = CellResult { verdict, seconds: took.as_secs_f64(), ..CellResult::of(0, String::new()) };
    Ok(FileResult { file: file.to_owned(), cells: vec![cell], took })
}

/// A process that has ended; without a status it was killed because it took too long.
struct Finished {
    status: Option<ExitStatus>,
    /// What it has said on standard error.
    said: String,
    took: Duration,
}

fn finish(command: &mut Command, timeout: Duration) -> io::Result<Finished> {
    let begun = Instant::now();
    // A file, because a pipe that nobody reads would hold the process up, and its children may keep one open.
    let said = tempfile::NamedTempFile::new()?;
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.reopen()?);
    let mut child = command.spawn()?;
    let status = wait(&mut child, begun + timeout)?;
    let text = String::from_utf8_lossy(&fs::read(said.path())?).into_owned();
    Ok(Finished { status, said: text, took: begun.elapsed() })
}

fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            // Its zygote ends what it has started.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// An environment in which nothing runs is not the notebook's fault.
fn refuse_broken(status: Option<ExitStatus>, said: &str) -> Result<(), TestError> {
    match status.and_then(|status| status.code()) {
        Some(code) if code == i32::from(env_broken()) => {
            let message = said.trim().trim_start_matches("error: ").to_owned();
            Err(TestError::Broken { message })
        }
        _ => Ok(()),
    }
}

fn end(status: Option<ExitStatus>, timeout: Duration, said: &str) -> String {
    let how = match status {
        None => format!("took longer than {} s and was ended", timeout.as_secs()),
        Some(status) => format!("ended with {status}"),
    };
    let last = last_lines(said);
    if last.is_empty() { how } else { format!("{how}\n{last}") }
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}
