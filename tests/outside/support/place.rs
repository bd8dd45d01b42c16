//! A place of one's own for each test: home, configuration, temporary files; and the check that nothing is left of it.
//!
//! Only what is dear to make is shared: the folder with the prepared crate (`XDG_CACHE_HOME`), cargo's and rustup's homes.
//!
//! # Invariants
//! - Every process of a test carries the variable [`MARK`] with the place's path, so that it can be found.
//! - A place's path is short: sockets below it must fit into 108 bytes.

use super::traces::{self, shared_memory};
use super::{eventually, finish};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The variable that marks a test's processes.
const MARK: &str = "MOBULA_TEST_PLACE";

/// How often the processes of a test that failed are ended, and what lies between.
const ENDINGS_MAX: u32 = 500;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Variables that cargo and rustup set for a test program and that a person's shell does not have.
const OF_CARGO: [&str; 4] = ["CARGO", "LD_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"];

/// A home of its own for one test.
pub struct Place {
    folder: TempDir,
    shm_before: BTreeSet<OsString>,
    /// Whether a runtime runs here that every session joins.
    is_shared: bool,
}

thread_local! {
    /// Whether the places of this thread have such a runtime.
    static SHARED: Cell<bool> = const { Cell::new(false) };
}

impl Place {
    /// An empty place.
    pub fn new() -> Place {
        let folder = tempfile::Builder::new().prefix("mo-").tempdir().expect("a temporary folder");
        for name in ["home", "run", "tmp"] {
            DirBuilder::new().mode(0o700).create(folder.path().join(name)).expect("a folder of the place");
        }
        let place = Place { folder, shm_before: shared_memory(), is_shared: false };
        let is_shared = SHARED.get() || std::env::var_os("MOBULA_TEST_SHARED").is_some();
        if is_shared { place.with_a_runtime() } else { place }
    }

    /// This place, with a runtime of `mobula start` that every session joins.
    pub fn with_a_runtime(mut self) -> Place {
        finish(self.mobula().arg("start")).exits(0);
        self.is_shared = true;
        self
    }

    /// Does `test` with such a runtime in each place that it makes.
    pub fn shared(test: impl FnOnce()) {
        SHARED.set(true);
        test();
        SHARED.set(false);
    }

    /// A path inside the place, as text to be put into a cell.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder of the test");
        fs::write(&path, text).expect("a file of the test");
        path
    }

    /// Waits until a cell or task has written its process id into the file `name`.
    #[track_caller]
    pub fn pid_in(&self, name: &str) -> u32 {
        let path = self.path(name);
        eventually(&format!("`{name}` held a process id"), || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            // The line's end says that the number is whole.
            let number = text.strip_suffix('\n').ok_or("half written")?;
            number.parse::<u32>().map_err(|error| error.to_string())
        })
    }

    /// The program under test, at home here.
    pub fn mobula(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_mobula"))
    }

    /// Any program, at home here.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let of_cargo = name.starts_with("CARGO_") || OF_CARGO.contains(&name.as_str());
            if of_cargo || name.starts_with("MOBULA_") || name.starts_with("EVCXR_") || name.starts_with("JUPYTER_") {
                command.env_remove(&name);
            }
        }
        let real_home = PathBuf::from(std::env::var_os("HOME").expect("HOME"));
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).map_or_else(|| real_home.join(folder), PathBuf::from));
        }
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env(name, self.path("home"));
        }
        command.env("XDG_CACHE_HOME", shared_cache());
        // Nobody answers there: what asks cargo for the network fails. A session must not.
        command.env("CARGO_HTTP_PROXY", "127.0.0.1:9");
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("TMPDIR", self.path("tmp"));
        if self.is_shared {
            command.env("MOBULA_ADDRESS", "auto");
        }
        command.env(MARK, self.folder()).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE").current_dir(self.folder());
        command
    }

    /// Processes of this test that are alive: id and command line.
    pub fn processes(&self) -> Vec<(u32, String)> {
        traces::processes(MARK, self.folder())
    }

    /// Ends all processes of this test as `kill -9` does. One may start another while it is looked for.
    pub fn kill_all(&self) -> bool {
        for _ in 0..ENDINGS_MAX {
            let left = self.processes();
            if left.is_empty() {
                return true;
            }
            for pid in left.into_iter().filter_map(|(pid, _)| Pid::from_raw(pid.cast_signed())) {
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        false
    }

    /// Asserts that, once everything has ended, no process, file, socket or shared memory of this test is left.
    #[track_caller]
    pub fn leaves_nothing(&self) {
        if self.is_shared {
            finish(self.mobula().arg("stop")).exits(0);
        }
        eventually("nothing was left of the test", || {
            let left = self.left();
            if left.is_empty() { Ok(()) } else { Err(format!("left:\n  {}", left.join("\n  "))) }
        });
    }

    /// What is there that should not be, once everything has ended.
    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.processes().into_iter().map(|(pid, line)| format!("process {pid}: {line}")).collect();
        for folder in ["run", "tmp"] {
            // The folder that sessions share stays; it is empty.
            let (shared, other): (Vec<_>, Vec<_>) =
                entries(&self.folder().join(folder)).into_iter().partition(|path| is_shared_by_sessions(path));
            let all = shared.iter().flat_map(|folder| entries(folder)).chain(other);
            left.extend(all.map(|path| format!("file {}", path.display())));
        }
        let shm = shared_memory();
        left.extend(shm.difference(&self.shm_before).map(|name| format!("shared memory {}", name.display())));
        let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let here = self.path("");
        left.extend(sockets.lines().filter(|line| line.contains(&here)).map(|line| format!("socket {line}")));
        left
    }
}

impl Drop for Place {
    /// Ends what a test that failed has left: neither the next test's processors nor its search for what is left are this test's.
    fn drop(&mut self) {
        // Those that cannot be ended are told by the tests that follow.
        self.kill_all();
    }
}

/// What lies in `folder`.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Whether `path` is `mobula-<user>`, below which each session has its own folder.
fn is_shared_by_sessions(path: &Path) -> bool {
    path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mobula-"))
}

/// Where all tests keep the prepared crate.
fn shared_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Ends a process as `kill -9` does.
pub fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, Signal::KILL).expect("the process was alive");
}
