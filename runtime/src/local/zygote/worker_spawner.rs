//! The zygote's loop: it forks workers when asked, reports their ends, and cleans up when the front process is gone.
//!
//! One thread, one poll over its socket and one pidfd for each child; no signal handler.
//!
//! A process that a task has started and left behind becomes the zygote's child when its worker ends. It may go on, but it ends with the
//! runtime, which leaves no process behind.

use super::{Forked, FromZygote, ToZygote, become_worker, execute_worker, fork_process, set_environment};
use crate::local::folder;
use crate::protocol::WorkerId;
use crate::worker::exit_now;
use mobula_fds as fds;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// What comes with each request for a worker: its socket, standard output and standard error. The executable of a program may follow.
const PIPES_AND_SOCKET: usize = 3;

/// How long a chain of processes that start each other is followed.
const GENERATIONS_MAX: u32 = 1000;

struct Child {
    worker: WorkerId,
    pid: Pid,
    pidfd: OwnedFd,
}

struct WorkerSpawner {
    link: OwnedFd,
    children: Vec<Child>,
    folder: Option<PathBuf>,
}

/// Runs until the front process closes its end, which it also does by dying.
pub(super) fn run(link: OwnedFd) -> ! {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let mut spawner = WorkerSpawner { link, children: Vec::new(), folder: None };
    while let Ok(true) = spawner.turn() {}
    let workers: Vec<Pid> = spawner.children.iter().map(|child| child.pid).collect();
    end(&workers);
    // What each leaves behind when it ends is this process's then.
    for _ in 0..GENERATIONS_MAX {
        let adopted = children();
        if adopted.is_empty() {
            break;
        }
        end(&adopted);
    }
    if let Some(path) = &spawner.folder {
        folder::remove(path);
    }
    exit_now(0)
}

/// Kills child processes, and returns when they are gone.
fn end(children: &[Pid]) {
    for child in children {
        let _ = rustix::process::kill_process(*child, Signal::KILL);
    }
    for child in children {
        let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(*child), WaitOptions::empty()));
    }
}

/// This process's children, as far as the kernel tells them.
fn children() -> Vec<Pid> {
    let pid = rustix::process::getpid().as_raw_nonzero();
    let told = std::fs::read_to_string(format!("/proc/self/task/{pid}/children")).unwrap_or_default();
    told.split_whitespace().filter_map(|child| child.parse().ok().and_then(Pid::from_raw)).collect()
}

impl WorkerSpawner {
    /// Waits for an event and handles it. False when the front process is gone.
    fn turn(&mut self) -> std::io::Result<bool> {
        let mut polled = vec![PollFd::new(&self.link, PollFlags::IN)];
        polled.extend(self.children.iter().map(|child| PollFd::new(&child.pidfd, PollFlags::IN)));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();

        // Ends of workers first, and from the back, so that the places of the others do not change.
        for index in (0..self.children.len()).rev() {
            if ready[index + 1] {
                self.reap(index)?;
            }
        }
        if ready[0] { self.listen() } else { Ok(true) }
    }

    fn reap(&mut self, index: usize) -> std::io::Result<()> {
        let pid = self.children[index].pid;
        let Some((_, status)) = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG)? else { return Ok(()) };
        let worker = self.children.swap_remove(index).worker;
        self.reap_adopted();
        self.say(&FromZygote::Exited { worker, signal: status.terminating_signal(), code: status.exit_status() })
    }

    /// Takes note of the ends of processes that workers have left behind.
    fn reap_adopted(&self) {
        let adopted = children().into_iter().filter(|pid| self.children.iter().all(|child| child.pid != *pid));
        for pid in adopted {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    fn listen(&mut self) -> std::io::Result<bool> {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut beside = Vec::new();
        let len = match fds::receive(&self.link, &mut bytes, &mut beside, false) {
            Ok(0) => return Ok(false),
            Ok(len) => len,
            Err(Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        match postcard::from_bytes(&bytes[..len]).map_err(std::io::Error::other)? {
            ToZygote::Folder(path) => self.folder = Some(path),
            ToZygote::Fork(worker, env) => self.fork(worker, &env, beside)?,
            ToZygote::Kill(worker) => {
                // Only a child that has not been reaped, because its process id cannot be reused yet.
                if let Some(child) = self.children.iter().find(|child| child.worker == worker) {
                    let _ = rustix::process::kill_process(child.pid, Signal::KILL);
                }
            }
        }
        Ok(true)
    }

    fn fork(&mut self, worker: WorkerId, env: &[(String, String)], beside: Vec<OwnedFd>) -> std::io::Result<()> {
        let mut beside = beside;
        let program = if beside.len() > PIPES_AND_SOCKET { beside.pop() } else { None };
        let Ok([socket, stdout, stderr]) = <[OwnedFd; PIPES_AND_SOCKET]>::try_from(beside) else {
            return self.say(&FromZygote::Failed { worker, message: "descriptors are missing".into() });
        };
        let zygote = rustix::process::getpid();
        match fork_process() {
            Err(error) => self.say(&FromZygote::Failed { worker, message: error.to_string() }),
            Ok(Forked::Parent(pid)) => {
                let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
                self.children.push(Child { worker, pid, pidfd });
                self.say(&FromZygote::Forked { worker, pid: pid.as_raw_nonzero().get() as u32 })
            }
            Ok(Forked::Child) => {
                // No descriptor of the zygote may stay open here, or the front process would wait for its end in vain.
                self.children.clear();
                if let Ok(null) = File::open("/dev/null") {
                    self.link = null.into();
                }
                set_environment(env);
                prepare_worker(zygote, stdout, stderr);
                match program {
                    Some(program) => execute_worker(&program, socket),
                    None => become_worker(socket),
                }
            }
        }
    }

    fn say(&self, message: &FromZygote) -> std::io::Result<()> {
        let bytes = postcard::to_stdvec(message).map_err(std::io::Error::other)?;
        loop {
            match fds::send(&self.link, &bytes, &[], false) {
                Err(Errno::AGAIN) => {
                    fds::wait_ready(&self.link, PollFlags::OUT, None)?;
                }
                done => return Ok(done.map(drop)?),
            }
        }
    }
}

/// Makes this process, forked just now, what all workers are.
fn prepare_worker(zygote: Pid, stdout: OwnedFd, stderr: OwnedFd) {
    // The signal comes when the zygote's only thread ends. If that has ended already, no signal comes.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if rustix::process::getppid() != Some(zygote) {
        exit_now(1);
    }
    // When memory runs out, the kernel is to end a task, not the session.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
    let _ = rustix::stdio::dup2_stdout(stdout.as_fd());
    let _ = rustix::stdio::dup2_stderr(stderr.as_fd());
}
