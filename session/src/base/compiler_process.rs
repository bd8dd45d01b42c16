//! A running compiler. An interrupt can stop it, and it ends with this process, however this process ends.
#![allow(unsafe_code)] // What a child does between fork and exec.

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group, set_parent_process_death_signal, waitid,
};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

/// The compiler, or another process that a cell waits for before it runs.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    stopped: bool,
}

impl Running {
    /// A new cell begins, which has not been stopped.
    pub fn reset(&self) {
        self.lock().stopped = false;
    }

    /// Ends the running compiler, and refuses later ones until the next cell.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        if let Some(pid) = state.pid {
            // Its process group: the linker is its child.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Starts a process that [`Running::stop`] ends, in a group of its own. `None`: the cell has been stopped already.
    pub fn spawn(&self, command: &mut Command) -> std::io::Result<Option<Child>> {
        let mut state = self.lock();
        if state.stopped {
            return Ok(None);
        }
        let here = getpid();
        let end_with_parent = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before that.
            if getppid() == Some(here) { Ok(()) } else { Err(std::io::ErrorKind::NotConnected.into()) }
        };
        // SAFETY: between fork and exec, only async-signal-safe calls are allowed. The closure makes two bare system calls, and its error
        // allocates nothing.
        unsafe { command.pre_exec(end_with_parent) };
        let child = command.process_group(0).spawn()?;
        state.pid = Pid::from_raw(child.id() as i32);
        Ok(Some(child))
    }

    /// Waits until the process has ended, and returns whether it succeeded.
    pub fn wait(&self, child: &mut Child) -> bool {
        // Waits without reaping first, to hold the lock briefly. Under it, `stop` cannot kill a process that has reused the number.
        let _ = waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let mut state = self.lock();
        state.pid = None;
        child.wait().is_ok_and(|status| status.success())
    }

    /// Whether the cell has been stopped.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
