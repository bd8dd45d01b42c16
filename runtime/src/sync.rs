//! Atomics, from one place, so that the models of `loom` check the very code that runs.
//!
//! Handshakes of the form "I write mine, then look at yours" use [`fence`] with `SeqCst` between the two. A `SeqCst` *access* would
//! do on the machine, but loom treats it as `AcqRel` and would report deadlocks that cannot happen.

#[cfg(loom)]
mod loomed;

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use {
    loom::{cell, model, thread},
    loomed::{AtomicI64, AtomicU32, AtomicU64, Ordering, begin, fence, futex_wait, futex_wake, mortal, without_fences},
};

/// A `SeqCst` fence behind an atomic read-modify-write of this thread's, with nothing but loads between the two.
///
/// On x86-64 such an instruction orders everything before it with everything after it already, and a second one would cost as much again
/// on the fast paths; only the compiler must be told. Elsewhere it is a fence like any other.
#[inline]
#[cfg_attr(loom, track_caller)] // For its models, which leave the fences of one file out.
pub(crate) fn fence_after_rmw() {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    fence(Ordering::SeqCst);
}

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
