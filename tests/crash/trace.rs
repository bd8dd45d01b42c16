//! Another process, one instruction at a time, and its end.
//!
//! ```text
//!   seize ─▶ stop ─▶ step, step, step … ─▶ kill ─▶ reaped: its parent, and everybody who has a socket to it, hears of its end
//! ```
//!
//! All of it is called by one thread, because the kernel lets only the thread that has seized a process trace it.

#![allow(unsafe_code)]

use std::io::Error;
use std::ptr::null_mut;

/// `PTRACE_EVENT_STOP` of `<linux/ptrace.h>`: the stop that was asked for, and no signal.
const EVENT_STOP: i32 = 128;

/// A process that this thread traces. It ends with this process, whatever becomes of it.
#[derive(Debug)]
pub struct Tracee {
    pid: i32,
    /// A signal that it has been sent and has yet to see.
    signal: i32,
    is_gone: bool,
}

/// Why it has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has done one instruction.
    Stepped,
    /// It was told to.
    Interrupted,
    /// It has sent itself `SIGSTOP`.
    Marked,
    /// It has ended by itself, which is never right; the number is what `wait` says.
    Ended(i32),
}

impl Tracee {
    /// Begins to trace a process, which goes on running.
    pub fn seize(pid: u32) -> Tracee {
        let tracee = Tracee { pid: pid as i32, signal: 0, is_gone: false };
        tracee.stay_together();
        tracee.request(libc::PTRACE_SEIZE, libc::PTRACE_O_EXITKILL as usize);
        tracee
    }

    /// Stops it, whatever it is doing.
    pub fn interrupt(&mut self) {
        self.request(libc::PTRACE_INTERRUPT, 0);
        let stop = self.wait();
        assert_eq!(stop, Stop::Interrupted, "process {} was only told to stop", self.pid);
    }

    /// Lets it do one instruction. A system call is one, and [`Tracee::wait`] returns when it does.
    pub fn step(&mut self) {
        let signal = std::mem::take(&mut self.signal);
        self.request(libc::PTRACE_SINGLESTEP, signal as usize);
    }

    /// Waits until it stops.
    pub fn wait(&mut self) -> Stop {
        loop {
            let status = wait(self.pid);
            if !libc::WIFSTOPPED(status) {
                self.is_gone = true;
                return Stop::Ended(status);
            }
            match (libc::WSTOPSIG(status), status >> 16) {
                (_, EVENT_STOP) => return Stop::Interrupted,
                (libc::SIGTRAP, _) => return Stop::Stepped,
                (libc::SIGSTOP, _) => return Stop::Marked,
                (signal, _) => {
                    // It has met a signal before its instruction: it is to see it as if nobody looked on.
                    self.signal = signal;
                    self.step();
                }
            }
        }
    }

    /// Kills it where it stands. When this returns it does nothing any more.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_gone, true) {
            // SAFETY: a process that this thread traces and has not reaped, so the number is its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            while libc::WIFSTOPPED(wait(self.pid)) {}
        }
    }

    /// Keeps it and this thread on one processor: handing over to each other takes a tenth of the time that waking another one takes.
    fn stay_together(&self) {
        use rustix::process::Pid;
        use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        // A machine on which this is not allowed is only slower.
        let _ = sched_setaffinity(None, &here);
        let _ = sched_setaffinity(Pid::from_raw(self.pid), &here);
    }

    fn request(&self, request: libc::c_uint, data: usize) {
        // SAFETY: none of the requests used here reads or writes memory of this process.
        let done = unsafe { libc::ptrace(request, self.pid, null_mut::<libc::c_void>(), data) };
        assert!(done >= 0, "request {request:#x} about process {}: {}", self.pid, Error::last_os_error());
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: there is room for the status.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if waited == pid {
            return status;
        }
        let error = Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR), "process {pid} cannot be waited for: {error}");
    }
}

/// Stops this process, for whoever traces it.
pub fn mark() {
    // SAFETY: always allowed; nobody handles this signal.
    unsafe { libc::raise(libc::SIGSTOP) };
}
