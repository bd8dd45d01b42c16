//! Process signals and the death of the parent: how the kernel ends without a `shutdown_request`.

use crate::kernel::Kernel;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handles the process's signals: SIGINT interrupts the cell, SIGTERM and SIGHUP end the kernel.
///
/// # Errors
/// The handlers cannot be installed.
pub(crate) fn take_signals(kernel: &Arc<Kernel>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let weak = Arc::downgrade(kernel);
    tokio::spawn(async move {
        while interrupt.recv().await.is_some() {
            let Some(kernel) = weak.upgrade() else { return };
            kernel.interrupt();
        }
    });
    for kind in [SignalKind::terminate(), SignalKind::hangup()] {
        stop_on(signal(kind)?, kernel.clone());
    }
    Ok(())
}

fn stop_on(mut signal: Signal, kernel: Arc<Kernel>) {
    tokio::spawn(async move {
        signal.recv().await;
        kernel.stop();
    });
}

/// Ends the kernel when its parent process ends, which Jupyter names in `JPY_PARENT_PID`. Without that variable, the
/// kernel is meant to outlive its parent.
///
/// # Errors
/// The thread that watches the parent cannot be started.
pub(crate) fn follow_parent(kernel: &Arc<Kernel>) -> std::io::Result<()> {
    let Some(pid) =
        std::env::var("JPY_PARENT_PID").ok().and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw)
    else {
        return Ok(());
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(parent) => {
            let kernel = kernel.clone();
            // A thread and not a task: registering one's own descriptor with tokio needs `unsafe`.
            std::thread::Builder::new().name("mobula-parent".into()).spawn(move || {
                if ended(&parent).is_ok() {
                    tracing::info!("the parent process has ended; shutting down");
                    kernel.stop();
                }
            })?;
        }
        // The parent ended before this call, so init has adopted the kernel.
        Err(_) if getppid().is_some_and(Pid::is_init) => kernel.stop(),
        // The number comes from another machine or container, or the system has no pidfds.
        Err(error) => tracing::info!(%error, "the process that started this kernel cannot be watched"),
    }
    Ok(())
}

/// Returns when the process has ended, because its pidfd becomes readable then.
fn ended(process: &OwnedFd) -> rustix::io::Result<()> {
    while poll(&mut [PollFd::new(process, PollFlags::IN)], None).or_else(again)? == 0 {}
    Ok(())
}

fn again(error: Errno) -> rustix::io::Result<usize> {
    if error == Errno::INTR { Ok(0) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let fd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&rustix::event::Timespec::default())), Ok(0));
        drop(child.stdin.take());
        ended(&fd).unwrap();
        child.wait().unwrap();
    }
}
