//! What can end the kernel from outside, besides a request: a signal, and the death of whoever started it.

use crate::kernel::Kernel;
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
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

/// Ends the kernel when the process that started it, which Jupyter names in `JPY_PARENT_PID`, ends. Without that variable the
/// kernel is meant to outlive whoever started it.
pub(crate) fn follow_parent(kernel: &Arc<Kernel>) {
    let Some(pid) = std::env::var("JPY_PARENT_PID").ok().and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw) else {
        return;
    };
    let kernel = kernel.clone();
    match pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(std::io::Error::from).and_then(watch) {
        Ok(parent) => {
            tokio::spawn(async move {
                // Readable once the process has ended. An error means that nothing more can be learnt of it.
                if parent.ready(Interest::READABLE).await.is_ok() {
                    tracing::info!("the process that started this kernel has ended, and so does the kernel");
                    kernel.stop();
                }
            });
        }
        // It was gone before we looked, and so we were given to the init process.
        Err(_) if getppid().is_some_and(Pid::is_init) => kernel.stop(),
        // A number from another machine or container, or a kernel without pidfds.
        Err(error) => tracing::info!(%error, "the process that started this kernel cannot be watched"),
    }
}

fn watch(parent: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(parent, Interest::READABLE)
}
