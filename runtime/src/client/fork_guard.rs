//! A guard that delays a fork while another thread changes the client.
#![allow(unsafe_code)] // Registers functions with the C library.

use super::current::current;
use super::elsewhere::elsewhere;
use super::{Client, Still};
use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

/// Makes `fork` wait while another thread changes the client, so that the new process finds it whole.
pub(super) fn guard_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions live as long as the process, do not unwind into C, and do nothing but lock and unlock.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork)) };
    });
}

/// What holds the local engine still, and another one that the session has joined.
type Both = (Option<Still>, Option<Box<dyn Any>>);

thread_local! {
    static STILL: RefCell<Both> = const { RefCell::new((None, None)) };
}

extern "C" fn before_fork() {
    let other = elsewhere().map(|elsewhere| elsewhere.hold_still());
    let still = current().map(Client::hold_still);
    STILL.with(|held| *held.borrow_mut() = (still, other));
}

extern "C" fn after_fork() {
    STILL.with(|held| *held.borrow_mut() = (None, None));
}
