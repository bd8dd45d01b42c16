//! The zygote: a small process from which workers are forked.
//!
//! ```text
//!   main ──fork──▶ zygote ──fork──▶ worker
//!    │               ▲                 │ dies with the zygote (parent death signal)
//!    └── Zygote ─────┘ dies with the front process (end of its socket)
//! ```
//!
//! The zygote is forked at the very beginning of `main`, before any thread or large heap exists. Only then is a fork
//! quick, and is everything that the child may touch in a known state. If the zygote is killed, the front process
//! starts another one by executing itself, because by then it has threads.
//!
//! This file has the delicate parts: fork, signals, and abrupt ends. The zygote's loop is in `worker_spawner.rs`.

#![allow(unsafe_code)]

mod packets;
mod worker_spawner;

use crate::protocol::WorkerId;
use crate::worker::exit_now;
use mobula_fds as fds;
use packets::Packets;
use rustix::event::PollFlags;
use rustix::net::SocketType;
use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The environment variable that makes a process a zygote: the descriptor of its socket.
const MARK: &str = "MOBULA_ZYGOTE_FD";

/// The same for a worker that is a program of its own.
const WORKER_MARK: &str = "MOBULA_WORKER_FD";

/// How long a zygote that has been told to end may take.
const END_WAIT: Duration = Duration::from_secs(5);

/// Whether this process would recognise [`MARK`], so that executing it again gives a zygote and not a second program.
static ROLE_IS_CHECKED: AtomicBool = AtomicBool::new(false);

/// Why there is no zygote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZygoteError {
    /// This process has threads already, and a fork would copy only one of them.
    #[error("the zygote must be forked before any thread is started; this process has {threads} threads")]
    TooLate {
        /// How many.
        threads: usize,
    },
    /// The system refused.
    #[error("the zygote cannot be started")]
    System(#[from] std::io::Error),
    /// It was killed, and this program does not call `role_from_env`, so it cannot be started again.
    #[error(
        "the zygote is gone, and this program cannot start another one because `main` does not begin with `mobula::worker::role_from_env()`"
    )]
    Gone,
}

/// A request to the zygote.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToZygote {
    /// Which folder to remove when the front process is gone.
    Folder(PathBuf),
    /// Fork a worker. Its socket, standard output and standard error travel beside the message; and an executable, if it is to be that
    /// program.
    Fork(WorkerId, Vec<(String, String)>),
    /// End a worker.
    Kill(WorkerId),
}

/// A report of the zygote.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromZygote {
    /// A worker has been forked.
    Forked {
        /// The worker.
        worker: WorkerId,
        /// Its process id.
        pid: u32,
    },
    /// A worker could not be forked.
    Failed {
        /// The worker.
        worker: WorkerId,
        /// What the system said.
        message: String,
    },
    /// A worker has ended.
    Exited {
        /// The worker.
        worker: WorkerId,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Its exit code.
        code: Option<i32>,
    },
}

/// The front process's end of a zygote. Dropping it ends the zygote and all its workers.
#[derive(Debug)]
pub struct Zygote {
    /// Closed first, which tells the zygote to end.
    link: Option<OwnedFd>,
    pid: Pid,
    /// The messages that it has yet to read.
    told: Packets,
}

impl Zygote {
    fn new(link: OwnedFd, pid: Pid) -> Zygote {
        Zygote { link: Some(link), pid, told: Packets::default() }
    }

    /// Forks the zygote. Call it at the beginning of `main`, after [`role_from_env`].
    ///
    /// # Errors
    /// When this process has threads already, or the system has no room for another process.
    pub fn fork() -> Result<Zygote, ZygoteError> {
        let threads = threads();
        if threads > 1 {
            return Err(ZygoteError::TooLate { threads });
        }
        let (ours, theirs) = fds::pair(SocketType::SEQPACKET).map_err(std::io::Error::from)?;
        match fork_process()? {
            Forked::Parent(pid) => Ok(Zygote::new(ours, pid)),
            Forked::Child => {
                drop(ours);
                become_zygote(theirs)
            }
        }
    }

    /// Starts another zygote by executing this program again.
    pub(super) fn respawn() -> Result<Zygote, ZygoteError> {
        if !ROLE_IS_CHECKED.load(Ordering::Relaxed) {
            return Err(ZygoteError::Gone);
        }
        let (ours, theirs) = fds::pair(SocketType::SEQPACKET).map_err(std::io::Error::from)?;
        let child = Command::new("/proc/self/exe")
            .env(MARK, "0")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = Pid::from_raw(child.id() as i32).ok_or(ZygoteError::Gone)?;
        Ok(Zygote::new(ours, pid))
    }

    /// Its socket.
    pub(super) fn link(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_ref().map(AsFd::as_fd)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Sends a request, with descriptors beside it. Does not wait until it has been read.
    pub(super) fn tell(&mut self, message: &ToZygote, beside: Vec<OwnedFd>) -> std::io::Result<()> {
        let bytes = postcard::to_stdvec(message).map_err(std::io::Error::other)?;
        self.told.push(bytes, beside);
        self.flush()
    }

    /// Sends what the socket takes now.
    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        let link = self.link.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        Ok(self.told.flush(link)?)
    }

    /// When the zygote counts as dead, unless it reads something before. A live zygote reads all the time.
    pub(super) fn deaf_at(&self) -> Option<Instant> {
        self.told.stuck_since().map(|since| since + END_WAIT)
    }

    /// Kills the zygote, and so its workers.
    pub(super) fn kill(&self) {
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        drop(self.link.take());
        // The zygote kills and reaps its workers and removes the folder. This waits for that, so that nothing is left
        // when the runtime has ended.
        let exited = rustix::process::pidfd_open(self.pid, rustix::process::PidfdFlags::empty());
        let deadline = Instant::now() + END_WAIT;
        let ended = exited.is_ok_and(|exited| fds::wait_ready(exited, PollFlags::IN, Some(deadline)).unwrap_or(false));
        if !ended {
            self.kill();
        }
        let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(self.pid), WaitOptions::empty()));
    }
}

/// Makes this process a zygote or a worker, and does not return, if the environment says so. Else it returns.
///
/// Call this at the very beginning of `main`, before any thread is started. It is how a zygote that was killed is
/// replaced: the front process executes its own program again. And a program that has joined a runtime of another process has its tasks
/// run in workers that are this program.
///
/// ```
/// mobula_runtime::local::role_from_env();
/// // This is the front process.
/// ```
pub fn role_from_env() {
    let marked = [MARK, WORKER_MARK].into_iter().find(|mark| std::env::var_os(mark).is_some());
    let Some(mark) = marked else {
        ROLE_IS_CHECKED.store(true, Ordering::Relaxed);
        return;
    };
    // SAFETY: `main` has just begun, as this function's documentation demands, so no other thread can access the
    // environment at the same time.
    unsafe { std::env::remove_var(mark) };
    match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) {
        Ok(link) if mark == MARK => become_zygote(link),
        Ok(socket) => {
            ROLE_IS_CHECKED.store(true, Ordering::Relaxed);
            if let Ok(null) = null() {
                let _ = rustix::stdio::dup2_stdin(&null);
            }
            become_worker(socket)
        }
        Err(_) => exit_now(1),
    }
}

fn null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())
}

/// Runs tasks until the runtime ends.
fn become_worker(socket: OwnedFd) -> ! {
    let _ = rustix::thread::set_name(c"mobula-worker");
    crate::worker::run(socket)
}

/// Makes this process, forked just now, a worker by executing a program, which finds its role by [`role_from_env`].
fn execute_worker(program: &OwnedFd, socket: OwnedFd) -> ! {
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let error = Command::new(path).arg0("mobula-worker").env(WORKER_MARK, "0").stdin(Stdio::from(socket)).exec();
    eprintln!("mobula: the program of a task cannot be executed: {error}");
    exit_now(1)
}

fn become_zygote(link: OwnedFd) -> ! {
    ROLE_IS_CHECKED.store(true, Ordering::Relaxed);
    // A session of its own: Ctrl-C and the closing of the terminal are for the front process.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"mobula-zygote");
    ignore_interrupts();
    if let Ok(null) = null() {
        // A reader of the front process's output must see its end when the front process ends.
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    worker_spawner::run(link)
}

/// The side of a fork.
pub(super) enum Forked {
    /// The process that forked, and the new process's id.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks. The caller has no other thread.
pub(super) fn fork_process() -> std::io::Result<Forked> {
    // SAFETY: the caller has no other thread (checked by `Zygote::fork`; the zygote never starts one), so there is no
    // lock that could stay locked in the child and no structure that could be half-changed.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid).map(Forked::Parent).ok_or_else(|| std::io::ErrorKind::InvalidData.into()),
    }
}

/// Sets variables of this process's environment.
fn set_environment(variables: &[(String, String)]) {
    for (name, value) in variables {
        // SAFETY: only a worker calls this that was forked just now, from a process that has one thread, so no other thread reads the
        // environment. Neither text is one that the function refuses: the client has checked them, and a zero byte cannot get here.
        unsafe { std::env::set_var(name, value) };
    }
}

fn ignore_interrupts() {
    // SAFETY: `SIG_IGN` is no handler, so no code runs in a signal.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.count())
}
