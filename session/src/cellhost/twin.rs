//! The frozen twin: a fork of the cell host that waits beside it and takes its place when it dies.
//!
//! ```text
//! host ──fork──▶ twin(checkpoint n) ─ waits ─┬─ the host commits a later checkpoint: ended, or kept for a while (see `formers`)
//!   │                                        ├─ the front process dies: ends the host, ends itself
//!   └─ runs a cell                           └─ the host dies, or wakes it: forks a twin of its own, then asks to be promoted
//! ```
//!
//! The twin shares the host's descriptors: evcxr's command pipe (which is never read ahead), standard output and error. It has one thread,
//! however many the host had. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal,
    waitid, waitpid,
};

/// A twin that waits beside this process.
#[derive(Debug)]
pub struct Twin {
    /// Not its number, which is reused once a cell has waited for all children.
    pidfd: OwnedFd,
    /// Wakes it while this process lives.
    bell: OwnedFd,
}

/// The side of a fork on which the caller goes on.
#[derive(Debug)]
pub enum Side {
    /// The host, with its twin beside it.
    Host(Twin),
    /// The twin, which may take over because its host has died or wants it to. It has a twin of its own if the system had room for one.
    Heir(Option<Twin>),
}

/// Makes a twin of this process.
///
/// # Errors
/// The system has no room for another process.
pub fn freeze(front: &OwnedFd) -> Result<Side, Errno> {
    let host = getpid();
    let bell = eventfd(0, EventfdFlags::CLOEXEC)?;
    match fork()? {
        Some(pid) => {
            pidfd_open(pid, PidfdFlags::empty()).map(|pidfd| Side::Host(Twin { pidfd, bell })).inspect_err(|_| {
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
            })
        }
        None => {
            wait_until_needed(host, front, &bell);
            Ok(Side::Heir(match freeze(front) {
                Ok(Side::Host(own)) => Some(own),
                Ok(Side::Heir(own)) => own,
                Err(_) => None,
            }))
        }
    }
}

/// Returns when the host is dead, or has rung; ends both when the front process is dead.
fn wait_until_needed(host: Pid, front: &OwnedFd, bell: &OwnedFd) {
    let _ = rustix::thread::set_name(c"mobula-twin");
    let Ok(host_fd) = pidfd_open(host, PidfdFlags::empty()) else { return };
    loop {
        // Checked after the descriptor was opened: if the host was gone by then, this process has another parent.
        if rustix::process::getppid() != Some(host) {
            return;
        }
        let mut fds = [&host_fd, front, bell].map(|fd| PollFd::new(fd, PollFlags::IN));
        if poll(&mut fds, None).is_err() {
            continue;
        }
        if !fds[1].revents().is_empty() {
            let _ = pidfd_send_signal(&host_fd, Signal::KILL);
            exit(0);
        }
        if !(fds[0].revents().is_empty() && fds[2].revents().is_empty()) {
            return;
        }
    }
}

impl Twin {
    /// Has this twin offer itself to the front process, as if this process had died.
    pub fn wake(&self) {
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Ends this twin and waits until it is gone.
    pub fn end(self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        while matches!(waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    }
}

/// Ends the process at once: no destructors, no flushing of buffers that the other side of a fork also has.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes any integer and does not return; nothing of this process is used afterwards.
    unsafe { libc::_exit(code) }
}

fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY:
    // - Locks: only the calling thread exists in the child. Locks that other threads of a cell held stay locked there, but for those of
    //   the standard streams, which the caller has (`CellRuntime::with_streams_locked`).
    // - Work: the child only waits in system calls until it is promoted, and then runs cells. What those other threads were doing is
    //   lost, which is the documented limit. glibc makes its own allocator and streams usable in the child of any fork.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN)),
        0 => Ok(None),
        pid => Ok(Pid::from_raw(pid)),
    }
}
