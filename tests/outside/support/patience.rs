//! Waiting: for a condition, with a deadline so generous that only something broken reaches it.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take. The first session of a machine compiles the crate that cells depend on.
const DEADLINE: Duration = Duration::from_secs(900);

/// How long a whole program may take.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(1800);

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits until `condition` gives a value; panics with what it said last when the deadline has passed.
#[track_caller]
pub fn eventually<T, E: Display>(what: &str, condition: impl FnMut() -> Result<T, E>) -> T {
    within(DEADLINE, what, condition)
}

#[track_caller]
fn within<T, E: Display>(deadline: Duration, what: &str, mut condition: impl FnMut() -> Result<T, E>) -> T {
    let begin = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(last) => {
                assert!(begin.elapsed() < deadline, "waited {deadline:?} in vain until {what}; at last: {last}")
            }
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// A program that has ended, and what it printed.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The exit code; panics with the output when a signal ended it.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{self}"))
    }

    /// Itself, when the exit code is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Finished {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }
}

impl Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n-- stdout --\n{}\n-- stderr --\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A program under way whose output goes to two files: a pipe that nobody reads could stop it.
pub struct Spawned {
    pub child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Spawned {
    /// Starts `command` with its output in `folder`.
    pub fn start(command: &mut Command, folder: &Path) -> Spawned {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.join(name));
        let file = |path| fs::File::create(path).expect("the output's file");
        let child = command.stdout(file(&stdout)).stderr(file(&stderr)).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Spawned { child, stdout, stderr }
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let status = within(PROGRAM_DEADLINE, "the program ended", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(self.output()),
            Err(error) => Err(error.to_string()),
        });
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Finished { status, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        format!("{}\n{}", read(&self.stdout), read(&self.stderr))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // A test that failed half-way does not leave its program behind. One that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end, without input.
#[track_caller]
pub fn finish(command: &mut Command) -> Finished {
    let folder = tempfile::tempdir().expect("a folder for the output");
    Spawned::start(command.stdin(Stdio::null()), folder.path()).finish()
}
