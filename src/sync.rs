//! Atomics, from one place, so that the models of `loom` check the very code that runs.
//!
//! Handshakes of the form "I write mine, then look at yours" use [`fence`] with `SeqCst` between the two. A `SeqCst` *access* would
//! do on the machine, but loom treats it as `AcqRel` and would report deadlocks that cannot happen.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

/// Says to the processor, or to the model checker, that this thread waits for another one.
#[cfg(not(loom))]
pub(crate) fn pause() {
    std::hint::spin_loop();
}

/// Says to the processor, or to the model checker, that this thread waits for another one.
#[cfg(loom)]
pub(crate) fn pause() {
    loom::thread::yield_now();
}
