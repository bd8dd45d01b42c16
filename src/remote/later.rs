//! Async calls between two polls: the loader keeps them, and polls them when they are woken.
#![allow(unsafe_code)] // Gives the rest of a call away, and takes it back.

use super::{Rest, deliver};
use crate::abi::{Awake, Pending};
use crate::calls::Running;
use crate::calls::panic_hook::{Unwound, guard};
use std::ffi::c_void;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A call that has not ended.
struct Later {
    running: Running<'static>,
    rest: Rest,
}

/// Wakes a call by its token.
struct Token {
    token: u64,
    wake: Awake,
}

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        (self.wake)(self.token);
    }
}

/// Leaves the rest of a call to the loader.
pub(super) fn leave(mut running: Running<'_>, rest: Rest) {
    // The place is of the call that is given away next, so it is set first.
    let place = running.pending_place();
    let later = Box::new(Later { running: running.detached(), rest });
    place.set(Pending { data: Box::into_raw(later).cast(), poll: Some(poll), cancel: Some(cancel) });
}

/// # Safety
/// As for [`poll`].
unsafe extern "C" fn cancel(data: *mut c_void) {
    // SAFETY: by this function's contract, `data` is from a box, which nothing else uses any more.
    let Later { running, rest } = *unsafe { Box::from_raw(data.cast::<Later>()) };
    // A panic in what it drops changes nothing: it was not to have a result.
    let _ = guard(|| drop(rest));
    deliver(running, Err(Unwound::Interrupted));
}

/// # Safety
/// `data` is what [`leave`] gave, from the same thread, and this has not returned true for it.
unsafe extern "C" fn poll(data: *mut c_void, token: u64, wake: Awake) -> bool {
    // SAFETY: by this function's contract, `data` is from a box, which nothing else uses meanwhile.
    let mut later = unsafe { Box::from_raw(data.cast::<Later>()) };
    let waker = Waker::from(Arc::new(Token { token, wake }));
    let polled = guard(|| later.rest.as_mut().poll(&mut Context::from_waker(&waker)));
    let ended: Result<_, Unwound> = match polled {
        Ok(Poll::Pending) => {
            // The loader has it on.
            let _ = Box::into_raw(later);
            return false;
        }
        Ok(Poll::Ready(outcome)) => Ok(Some(outcome)),
        Err(unwound) => Err(unwound),
    };
    let Later { running, rest } = *later;
    // First what it used is gone, then its result is there.
    let dropped = guard(|| drop(rest));
    deliver(running, ended.and_then(|outcome| dropped.map(|()| outcome)));
    true
}
