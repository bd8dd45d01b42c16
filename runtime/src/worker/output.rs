//! A flag that says whether a task has written output, set by a signal and not by a system call per task.
//!
//! ```text
//!   the task writes into its pipe ─▶ the kernel signals: the read end is ready ─▶ a handler in this process sets a flag
//!   the task has ended ─▶ flag not set: its result is sealed at once │ set: the head first delivers what was written
//! ```
//!
//! Checking both pipes costs two system calls per task, twice what the rest of a small task costs. A signal costs
//! nothing to tasks that do not write. The head turns the signal on (`local/head/output_signal.rs`). Where it cannot,
//! the flag stays set for good and every worker asks the head after each task.

#![allow(unsafe_code)]

use crate::client::Client;
use crate::sync::{AtomicU32, Ordering};
use std::sync::atomic::AtomicPtr;

/// The flag's address, for the handler.
static FLAG: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Installs the handler that sets the flag when this process writes, and reports the worker as ready.
pub(super) fn watch(client: &'static Client) {
    FLAG.store(std::ptr::from_ref(client.wrote_flag()).cast_mut(), Ordering::Release);
    let handler: extern "C" fn(i32) = noticed;
    // SAFETY: an all-zero `sigaction` is a valid one: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // System calls that the signal interrupts are restarted.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised and outlives the call; the old action may be null. The handler only accesses
    // atomics, which is async-signal-safe.
    unsafe { libc::sigaction(libc::SIGIO, &raw const action, std::ptr::null_mut()) };
    client.ready_for_tasks();
}

extern "C" fn noticed(_signal: i32) {
    // SAFETY: null, or the aligned flag in a segment that stays mapped as long as the process lives, and that others
    // change only atomically.
    if let Some(flag) = unsafe { FLAG.load(Ordering::Acquire).as_ref() } {
        // A flag that is set for good (2) stays as it is.
        let _ = flag.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
    }
}
