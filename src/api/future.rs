//! `.await` on a reference.

use super::fetch;
use crate::calls::wake_when_finished;
use crate::codec::Value;
use crate::error::GetError;
use crate::object::ObjectRef;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Awaits the object's value, as [`get`](crate::get) waits for it, on any executor. One thread sleeps for all objects that
/// are awaited in a process. A task that awaits lends its CPU.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn f(x: i64) -> i64 { x + 1 }
/// # mobula::__private::block_on(async {
/// let x = f.remote(1);
/// assert_eq!((&x).await?, 2); // `x` stays
/// assert_eq!(x.await?, 2);
/// # Ok::<(), mobula::GetError>(())
/// # }).unwrap();
/// ```
impl<T: Value> Future for ObjectRef<T> {
    type Output = Result<T, GetError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match fetch::if_ready(&self) {
            Ok(Some(value)) => Poll::Ready(Ok(value)),
            Err(error) => Poll::Ready(Err(error)),
            // Should it be finished by now, the waker is woken at once.
            Ok(None) => match wake_when_finished(self.id().0, context.waker()) {
                Ok(()) => Poll::Pending,
                Err(fault) => Poll::Ready(Err(GetError::from_fault(fault, Duration::ZERO))),
            },
        }
    }
}

impl<T: Value> IntoFuture for &ObjectRef<T> {
    type Output = Result<T, GetError>;
    type IntoFuture = ObjectRef<T>;

    fn into_future(self) -> ObjectRef<T> {
        self.clone()
    }
}
