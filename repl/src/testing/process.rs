//! A file's run: `mobula run` in a process of its own, so that files run beside each other and none can take another
//! one along.
//!
//! What the process writes goes into files without names, so nothing is left of them, whoever dies. It ends when this
//! process does.

use super::results::{CellResult, FileResult, Verdict};
use super::{Options, TestError};
use crate::env_broken;
use crate::script::RunReport;
use crate::script::notebook::Notebook;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A notebook that was run.
#[derive(Debug)]
pub struct Ran {
    /// The copy with the outputs of all cells that have run. `None` if none has.
    pub copy: Option<Notebook>,
    pub report: RunReport,
    /// How the process has ended, and the last of what it said, if that was too early.
    pub end: Option<String>,
    pub took: Duration,
}

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How many of the last lines of what a process has said are shown.
const LINES_SHOWN: usize = 20;

/// Runs all cells of a notebook.
pub fn run_notebook(file: &Path, options: &Options, is_interrupted: &AtomicBool) -> Result<Ran, TestError> {
    let (mut copy, mut report) = (nameless().map_err(broken)?, nameless().map_err(broken)?);
    let mut command = Command::new(&options.program);
    command.arg("run").arg(format!("--save={}", path_of(&copy))).args(["--keep-going", "--tests"]);
    command.arg(format!("--report={}", path_of(&report))).args(["--leave-out", "skip"]);
    if !options.slow {
        command.args(["--leave-out", "slow"]);
    }
    let finished = finish(command.arg(file), options.timeout, is_interrupted).map_err(broken)?;
    refuse_broken(&finished)?;
    let notebook = read(&mut copy).ok().and_then(|bytes| Notebook::parse(bytes).ok());
    let report = read(&mut report).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let is_whole = matches!(finished.end, End::Status(status) if matches!(status.code(), Some(0 | 1)));
    let end = (!is_whole || notebook.is_none()).then(|| finished.told(options.timeout));
    Ok(Ran { copy: notebook, report, end, took: finished.took })
}

/// Runs a program with a `main`, which has no cells: it has to end well.
pub fn run_script(file: &Path, options: &Options, is_interrupted: &AtomicBool) -> Result<FileResult, TestError> {
    let mut command = Command::new(&options.program);
    let finished =
        finish(command.args(["run", "--tests"]).arg(file), options.timeout, is_interrupted).map_err(broken)?;
    refuse_broken(&finished)?;
    let is_fine = matches!(finished.end, End::Status(status) if status.success());
    let verdict = if is_fine { Verdict::Same } else { Verdict::Ended { how: finished.told(options.timeout) } };
    let seconds = finished.took.as_secs_f64();
    let whole = CellResult { seconds, ..CellResult::beside(0, "all of it", verdict) };
    Ok(FileResult { file: file.to_owned(), cells: vec![whole], took: finished.took })
}

fn broken(error: io::Error) -> TestError {
    TestError::Broken { message: format!("a test cannot be run: {error}") }
}

/// A file that is gone with this process.
fn nameless() -> io::Result<File> {
    tempfile::tempfile()
}

/// The path under which another process opens it.
fn path_of(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A process that has ended.
struct Finished {
    end: End,
    /// What it has said on standard error.
    said: String,
    took: Duration,
}

#[derive(Clone, Copy)]
enum End {
    Status(ExitStatus),
    /// It took too long, and was ended.
    Late,
    /// The person has had enough.
    Interrupted,
}

impl Finished {
    /// How it has ended, and the last of what it said.
    fn told(&self, timeout: Duration) -> String {
        let how = match self.end {
            End::Status(status) => format!("ended with {status}"),
            End::Late => format!("took longer than {} s and was ended", timeout.as_secs()),
            End::Interrupted => "was interrupted".into(),
        };
        let lines: Vec<&str> = self.said.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        if last.is_empty() { how } else { format!("{how}\n{last}") }
    }
}

fn finish(command: &mut Command, timeout: Duration, is_interrupted: &AtomicBool) -> io::Result<Finished> {
    let begun = Instant::now();
    // A file, because a pipe that nobody reads would hold the process up, and its children may keep one open.
    let mut said = nameless()?;
    command.arg("--parent").arg(std::process::id().to_string());
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    let mut child = command.spawn()?;
    let end = wait(&mut child, begun + timeout, is_interrupted)?;
    let text = String::from_utf8_lossy(&read(&mut said)?).into_owned();
    Ok(Finished { end, said: text, took: begun.elapsed() })
}

fn wait(child: &mut Child, until: Instant, is_interrupted: &AtomicBool) -> io::Result<End> {
    loop {
        if let Some(status) = child.try_wait()? {
            let interrupted = is_interrupted.load(Ordering::Relaxed);
            return Ok(if interrupted { End::Interrupted } else { End::Status(status) });
        }
        let end = match (is_interrupted.load(Ordering::Relaxed), Instant::now() >= until) {
            (true, _) => End::Interrupted,
            (false, true) => End::Late,
            (false, false) => {
                std::thread::sleep(LOOK);
                continue;
            }
        };
        // Its zygote ends what it has started.
        child.kill()?;
        child.wait()?;
        return Ok(end);
    }
}

/// An environment in which nothing runs is not the notebook's fault.
fn refuse_broken(finished: &Finished) -> Result<(), TestError> {
    match finished.end {
        End::Status(status) if status.code() == Some(i32::from(env_broken())) => {
            Err(TestError::Broken { message: finished.said.trim().trim_start_matches("error: ").to_owned() })
        }
        _ => Ok(()),
    }
}
