//! The free functions: get, put and wait for objects, start a runtime, and query it.

mod cancel;
mod config;
mod dashboard;
mod errors;
mod fetch;
mod future;
mod gpus;
mod placement;
mod publish;
mod refs;
mod state;
mod wait;
mod wait_stream;

pub use cancel::{cancel, is_cancelled};
pub use config::{AddressInfo, Config, Resources, gib, init, init_with, shutdown};
pub use dashboard::{DashboardInfo, dashboard};
pub use errors::{ErrorInfo, Errors, errors};
pub use gpus::gpu_ids;
pub use placement::{Bundle, PlacementGroup, placement_group, remove_placement_group};
pub use publish::{LookupError, lookup, publish, unpublish};
pub use refs::Refs;
pub use state::{
    ActorInfo, Actors, Demand, ObjectInfo, Objects, ResourceStatus, SessionInfo, Status, Summary, TaskInfo,
    TaskSummary, Tasks, actors, objects, status, summary, tasks, timeline,
};
pub use wait::{ReadyAndRest, Wait, wait};
pub use wait_stream::{WaitStream, wait_stream};

use crate::abi::{Answer, Question};
use crate::calls::{self, Handle};
use crate::codec::{EncodeError, Encoded, Value, encode};
use crate::error::{GetError, PutError, sentence};
use crate::object::ObjectRef;
use std::time::Duration;

/// Waits for an object and returns its value, or for a list of objects and returns their values in order.
///
/// Takes an [`ObjectRef`] or `&ObjectRef`, or a slice, array or `Vec` of refs, owned or borrowed. Arrays in the values
/// are not copied. Getting does not use up a ref: an object can be got any number of times.
///
/// # Errors
/// [`GetError::TaskFailed`] when the task panicked or returned `Err`, [`GetError::WorkerDied`] when its process died.
/// Both are also returned when this happened to a task whose result it needed. The other errors mean that the runtime
/// cannot give the value.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn half(n: u32) -> u32 {
///     assert!(n % 2 == 0, "odd");
///     n / 2
/// }
/// assert_eq!(get(half.remote(8))?, 4);
/// assert_eq!(get(&[half.remote(2), half.remote(4)])?, [1, 2]);
/// assert!(matches!(get(half.remote(3)), Err(GetError::TaskFailed { .. })));
/// # Ok::<(), mobula::GetError>(())
/// ```
pub fn get<S: Refs>(refs: S) -> Result<S::Output, GetError>
where
    S::Item: Value,
{
    refs.fetch(None)
}

/// As [`get`], but waits no longer than `timeout`.
///
/// # Errors
/// As [`get`], and [`GetError::NotReady`] with the first object that was not ready in time. Its task goes on.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let x = put(&1)?;
/// assert_eq!(get_timeout(&x, Duration::from_secs(1)).unwrap(), 1);
/// # Ok::<(), mobula::PutError>(())
/// ```
pub fn get_timeout<S: Refs>(refs: S, timeout: Duration) -> Result<S::Output, GetError>
where
    S::Item: Value,
{
    refs.fetch(Some(timeout))
}

/// A timeout for the C table. `u64::MAX` means none, so the longest timeout is a nanosecond less (584 years).
fn nanoseconds(timeout: Option<Duration>) -> u64 {
    timeout.map_or(u64::MAX, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1))
}

/// Stores a value as an object, once for any number of tasks: pass `&` of the ref as an argument. Arrays in the value
/// are copied once.
///
/// # Errors
/// [`PutError::StoreFull`] when there is no room; [`PutError::NotSerialised`] when the value's own `Serialize` fails.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn longest(words: Vec<String>) -> usize {
///     words.iter().map(String::len).max().unwrap_or(0)
/// }
/// let words = put(&vec!["manta".to_string(), "mobula".to_string()]).unwrap();
/// assert_eq!(get(longest.remote(&words))?, 6);
/// # Ok::<(), mobula::GetError>(())
/// ```
pub fn put<T: Value>(value: &T) -> Result<ObjectRef<T>, PutError> {
    seal(encode(value)).map(ObjectRef::new)
}

fn seal(encoded: Result<Encoded, EncodeError>) -> Result<Handle, PutError> {
    let Encoded { draft, refs } = encoded.map_err(|error| match error {
        EncodeError::Refused(reason) => PutError::NotSerialised { reason },
        EncodeError::NoRoom(fault) => PutError::from_fault(fault),
    })?;
    draft.seal(&refs).map(Handle::adopt).map_err(PutError::from_fault)
}

/// Returns the resources that tasks can ask for, in use or not: name and amount, sorted by name.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// assert!(cluster_resources().get("CPU").is_some());
/// ```
#[track_caller]
pub fn cluster_resources() -> Resources {
    resources(&Question::ClusterResources)
}

/// Returns the resources that no task holds now: name and amount, sorted by name.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// assert!(available_resources().get("CPU") <= cluster_resources().get("CPU"));
/// ```
#[track_caller]
pub fn available_resources() -> Resources {
    resources(&Question::AvailableResources)
}

#[track_caller]
fn resources(question: &Question) -> Resources {
    match answer(question) {
        Answer::Resources(amounts) => Resources::new(amounts),
        other => panic!("the runtime answered a question about resources with {other:?}"),
    }
}

#[track_caller]
fn answer(question: &Question) -> Answer {
    match calls::ask(question) {
        Ok(answer) => answer,
        Err(fault) => panic!("{}", sentence(fault)),
    }
}

#[cfg(test)]
mod tests;
