//! Shutdown from outside, besides `shutdown_request`: by a signal, and by the death of the parent process.

use crate::kernel::Kernel;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes the process's signals: SIGINT interrupts the cell, SIGTERM and SIGHUP end the kernel.
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

/// Ends the kernel when the process that started it, which Jupyter names in `JPY_PARENT_PID`, ends. Without that
/// variable the kernel is meant to outlive whoever started it.
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn follow_parent(kernel: &Arc<Kernel>) -> std::io::Result<()> {
    let Some(pid) =
        std::env::var("JPY_PARENT_PID").ok().and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw)
    else {
        return Ok(());
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(parent) => {
            let kernel = kernel.clone();
            // A thread and not a task: to wait for a descriptor of one's own, tokio wants a promise that takes
            // `unsafe`.
            std::thread::Builder::new().name("mobula-parent".into()).spawn(move || {
                if ended(&parent).is_ok() {
                    tracing::info!("the process that started this kernel has ended, and so does the kernel");
                    kernel.stop();
                }
            })?;
        }
        // It was gone before we looked, and so we were given to the init process.
        Err(_) if getppid().is_some_and(Pid::is_init) => kernel.stop(),
        // A number from another machine or container, or a system without pidfds.
        Err(error) => tracing::info!(%error, "the process that started this kernel cannot be watched"),
    }
    Ok(())
}

/// Returns when the process has ended: then its descriptor becomes readable.
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
