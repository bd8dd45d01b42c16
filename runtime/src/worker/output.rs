//! A flag that says whether a task has written output, set by a signal instead of a system call a task.
//!
//! ```text
//!   the task writes into its pipe ─▶ the kernel signals: the read end is ready ─▶ a handler in this process sets a flag
//!   the task has ended ─▶ flag not set: its result is sealed at once │ set: the head first delivers what was written
//! ```
//!
//! Asking both pipes costs two system calls a task, twice what the rest of a small task costs. A signal costs nothing to those who do not
//! write. The head turns it on (`local/head/output_signal.rs`); where it cannot, the flag stays set for good and every task asks.

#![allow(unsafe_code)]

use crate::client::Client;
use crate::sync::{AtomicU32, Ordering};
use std::sync::atomic::AtomicPtr;

/// The flag, for the handler.
static FLAG: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Makes this process notice what it writes.
pub(super) fn watch(client: &'static Client) {
    FLAG.store(std::ptr::from_ref(client.wrote_flag()).cast_mut(), Ordering::Release);
    let handler: extern "C" fn(i32) = noticed;
    // SAFETY: an all-zero `sigaction` is a valid one: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // System calls that the signal meets go on.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler stores into an atomic and does nothing else, which is safe at any moment.
    unsafe { libc::sigaction(libc::SIGIO, &raw const action, std::ptr::null_mut()) };
    client.ready_for_tasks();
}

extern "C" fn noticed(_signal: i32) {
    // SAFETY: null, or the flag in a segment that stays mapped for as long as the process lives.
    if let Some(flag) = unsafe { FLAG.load(Ordering::Acquire).as_ref() } {
        // One that is never reset stays as it is.
        let _ = flag.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
    }
}
