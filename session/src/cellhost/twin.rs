//! The frozen twin: a fork of the cell host that waits beside it and takes its place when it dies.
//!
//! ```text
//! host ──fork──▶ twin(checkpoint n) ─ waits ─┬─ the host commits a later checkpoint: ended
//!   │                                        ├─ the front process dies: ends the host, ends itself
//!   └─ runs a cell                           └─ the host dies: forks a twin of its own, then asks to be promoted
//! ```
//!
//! The twin shares the host's descriptors: evcxr's command pipe (which nobody reads ahead), standard output and error.
//! It has one thread, whatever the host had. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal,
    waitid, waitpid,
};

/// A twin that waits beside this process.
#[derive(Debug)]
pub struct Twin {
    /// Not its number, which is another's once a cell has waited for all children.
    pidfd: OwnedFd,
}

/// On which side of a fork the caller woke up.
#[derive(Debug)]
pub enum Side {
    /// The host goes on, with its twin beside it.
    Host(Twin),
    /// The host has died since, and this twin may take over, with a twin of its own beside it if the system had room for one.
    Heir(Option<Twin>),
}

/// Makes a twin of this process.
///
/// # Errors
/// The system has no room for another process.
pub fn freeze(front: &OwnedFd) -> Result<Side, Errno> {
    let host = getpid();
    match fork()? {
        Some(pid) => pidfd_open(pid, PidfdFlags::empty()).map(|pidfd| Side::Host(Twin { pidfd })).inspect_err(|_| {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }),
        None => {
            wait_until_needed(host, front);
            Ok(Side::Heir(match freeze(front) {
                Ok(Side::Host(own)) => Some(own),
                Ok(Side::Heir(own)) => own,
                Err(_) => None,
            }))
        }
    }
}

/// Returns when the host is dead; never when the front process is.
fn wait_until_needed(host: Pid, front: &OwnedFd) {
    let _ = rustix::thread::set_name(c"mobula-twin");
    let Ok(host_fd) = pidfd_open(host, PidfdFlags::empty()) else { return };
    loop {
        // Asked after the descriptor was opened: if the host was gone by then, this process has another parent.
        if rustix::process::getppid() != Some(host) {
            return;
        }
        let mut fds = [PollFd::new(&host_fd, PollFlags::IN), PollFd::new(front, PollFlags::IN)];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        if !fds[1].revents().is_empty() {
            let _ = pidfd_send_signal(&host_fd, Signal::KILL);
            exit(0);
        }
        if !fds[0].revents().is_empty() {
            return;
        }
    }
}

impl Twin {
    /// Ends this twin and waits until it is gone.
    pub fn end(self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        while matches!(waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    }
}

/// Leaves the process at once: no destructors, no flushing of what the other side of a fork also holds.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes any integer and does not return; nothing of this process is used afterwards.
    unsafe { libc::_exit(code) }
}

fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: only the calling thread exists in the child. Locks that other threads of a cell held stay locked there, but for those of
    // the standard streams, which the caller has (`CellRuntime::with_streams_locked`); the child only waits in system calls until it is
    // promoted, and then runs cells, which is the documented limit: what those threads were doing is gone. glibc makes its own allocator
    // and its own streams usable in the child of any fork.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN)),
        0 => Ok(None),
        pid => Ok(Pid::from_raw(pid)),
    }
}
