//! A running compiler, which an interrupt can stop and which ends with this process. It ends with this process, however that ends.
#![allow(unsafe_code)] // What a child does between fork and exec.

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group, set_parent_process_death_signal, waitid,
};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

/// The compiler, or whatever else a cell waits for before it runs.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    stopped: bool,
}

impl Running {
    /// A new cell: nobody has stopped anything yet.
    pub fn reset(&self) {
        self.lock().stopped = false;
    }

    /// Ends the compiler that runs now, and every later one until the next cell.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        if let Some(pid) = state.pid {
            // Its group: the linker is a child of its.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Starts a process that [`Running::stop`] ends, in a group of its own. `None`: it was stopped already.
    pub fn spawn(&self, command: &mut Command) -> std::io::Result<Option<Child>> {
        let mut state = self.lock();
        if state.stopped {
            return Ok(None);
        }
        let here = getpid();
        let end_with_parent = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have died before that was said.
            if getppid() == Some(here) { Ok(()) } else { Err(std::io::ErrorKind::NotConnected.into()) }
        };
        // SAFETY: between fork and exec, only what is safe in a signal handler may be done: these are two bare system calls, and the error is made without
        // memory.
        unsafe { command.pre_exec(end_with_parent) };
        let child = command.process_group(0).spawn()?;
        state.pid = Pid::from_raw(child.id() as i32);
        Ok(Some(child))
    }

    /// Waits for the end of what was started; whether it ended well.
    pub fn wait(&self, child: &mut Child) -> bool {
        // Looked at first, so that the lock, under which nobody stops a process that has taken the number, is not held for long.
        let _ = waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let mut state = self.lock();
        state.pid = None;
        child.wait().is_ok_and(|status| status.success())
    }

    /// Whether somebody did.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
