//! `cancel`: ends tasks that are not wanted any more.

use crate::abi::{Answer, Question};
use crate::calls;
use crate::error::CancelError;
use crate::object::ObjectRef;

/// Cancels the task that makes this object, and the tasks that it has submitted, and theirs while they run. Returns at
/// once.
///
/// A task that has not begun never runs. In a task that runs, blocking calls ([`get`](crate::get), [`wait`](crate::wait)
/// …) end and unwind it, and [`is_cancelled`] is true. If it has not ended after a second, or is cancelled again, its
/// worker is killed. Nothing happens to a task that has ended, and its result stays.
///
/// [`get`](crate::get) of the object, and of what depends on it, returns [`GetError::Cancelled`](crate::GetError), unless
/// the task was faster. A cancelled task is not run again, however many retries it has. This follows `ray.cancel`, with
/// `recursive=True`.
///
/// # Errors
/// The runtime is gone.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn f() -> i64 { 1 }
/// let x = f.remote();
/// cancel(&x).unwrap();
/// assert!(matches!(get(&x), Ok(1) | Err(GetError::Cancelled { .. })));
/// ```
pub fn cancel<T>(object: &ObjectRef<T>) -> Result<(), CancelError> {
    calls::ask(&Question::Cancel { id: object.id().0 }).map(drop).map_err(CancelError::from_fault)
}

/// Returns whether the task that runs here was cancelled, or the cell that runs here interrupted. A task that computes for
/// long asks this now and then, and returns.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn search(from: u64) -> Option<u64> {
///     (from..from + 1000).take_while(|_| !is_cancelled()).find(|n| n % 77 == 0)
/// }
/// assert_eq!(get(search.remote(100))?, Some(154));
/// # Ok::<(), mobula::GetError>(())
/// ```
pub fn is_cancelled() -> bool {
    matches!(calls::ask(&Question::IsCancelled), Ok(Answer::Flag(true)))
}
