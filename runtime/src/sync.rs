//! Atomics, from one place, so that the models of `loom` check the very code that runs.
//!
//! Handshakes of the form "store mine, then load yours" use [`fence`] with `SeqCst` between the two. A `SeqCst` *access* would suffice on
//! hardware, but loom treats it as `AcqRel` and would report deadlocks that cannot happen.

#[cfg(loom)]
mod loomed;

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use {
    loom::{cell, model, thread},
    loomed::{AtomicI64, AtomicU32, AtomicU64, Ordering, begin, fence, futex_wait, futex_wake, mortal, without_fences},
};

/// A `SeqCst` fence after an atomic read-modify-write of this thread, with nothing but loads between the two.
///
/// On x86-64 that read-modify-write is a full barrier already, and a fence would cost as much again on the fast paths, so only the compiler
/// is told. On other processors this is an ordinary fence.
#[inline]
#[cfg_attr(loom, track_caller)] // For models that leave out the fences of one file.
pub(crate) fn fence_after_rmw() {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    fence(Ordering::SeqCst);
}

/// Tells the processor, or the model checker, that this thread waits for another one.
#[cfg(not(loom))]
pub(crate) fn pause() {
    std::hint::spin_loop();
}

/// Tells the processor, or the model checker, that this thread waits for another one.
#[cfg(loom)]
pub(crate) fn pause() {
    loom::thread::yield_now();
}
