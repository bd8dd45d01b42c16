//! The free functions: get, put and wait for objects, start a runtime, and ask it how things are.

mod config;
mod refs;
mod wait;

pub use config::{Config, Resources, gib, init, init_with};
pub use refs::Refs;
pub use wait::{ReadyAndRest, Wait, wait};

use crate::abi::{Answer, Fault, Question};
use crate::cell::{self, Hold};
use crate::codec::{decode, encode};
use crate::error::sentence;
use crate::object::{Handle, ObjectRef};
use crate::remote::Value;
use crate::{Errors, GetError, ObjectId, PutError};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Waits for one object, or all of a list, and returns the value, or the values in the order of the list.
///
/// Takes an [`ObjectRef`] or `&ObjectRef`, or a slice, array or `Vec` of refs, owned or borrowed. Arrays in the values are not
/// copied. Getting does not use a ref up: an object can be got any number of times.
///
/// # Errors
/// [`GetError::TaskFailed`] when the task panicked or returned `Err`, [`GetError::WorkerDied`] when its process died, both also
/// when that happened to a task whose result it needed; the others when the runtime cannot give the value.
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
    collect(&refs, None)
}

/// As [`get`], but waits no longer than `timeout`.
///
/// # Errors
/// As [`get`], and [`GetError::NotReady`] with the first object that was not ready in time. The task goes on.
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
    collect(&refs, Some(timeout))
}

fn collect<S: Refs>(refs: &S, timeout: Option<Duration>) -> Result<S::Output, GetError>
where
    S::Item: Value,
{
    let ids = refs.ids();
    let holds = open_all(&ids, timeout)?;
    let mut values = Vec::with_capacity(ids.len());
    for (id, hold) in ids.iter().zip(holds) {
        let unreadable =
            |error: crate::codec::DecodeError| GetError::Unreadable { id: ObjectId(*id), reason: error.to_string() };
        values.push(decode(hold).map_err(unreadable)?);
    }
    Ok(S::assemble(values))
}

/// Opens all objects, after waiting for those that are not ready.
fn open_all(ids: &[u64], timeout: Option<Duration>) -> Result<Vec<Hold>, GetError> {
    // What is ready needs no waiting: the common case is one call an object.
    let start = Instant::now();
    let mut holds = Vec::with_capacity(ids.len());
    for id in ids {
        match Hold::open(*id) {
            Ok(hold) => holds.push(hold),
            Err(fault) if matches!(*fault, Fault::NotReady { .. }) => break,
            Err(fault) => return Err(GetError::from_fault(fault, Duration::ZERO)),
        }
    }
    if holds.len() == ids.len() {
        return Ok(holds);
    }
    let mut seen = HashSet::new();
    let missing: Vec<u64> = ids[holds.len()..].iter().copied().filter(|id| seen.insert(*id)).collect();
    let ready = cell::wait(&missing, missing.len(), nanoseconds(timeout))
        .map_err(|fault| GetError::from_fault(fault, start.elapsed()))?;
    if let Some((id, _)) = missing.iter().zip(ready).find(|(_, ready)| !ready) {
        return Err(GetError::NotReady { id: ObjectId(*id), waited: timeout.unwrap_or(start.elapsed()) });
    }
    for id in &ids[holds.len()..] {
        holds.push(Hold::open(*id).map_err(|fault| GetError::from_fault(fault, start.elapsed()))?);
    }
    Ok(holds)
}

/// A timeout as the table takes it: `u64::MAX` is none, so the longest one is a nanosecond less (584 years).
fn nanoseconds(timeout: Option<Duration>) -> u64 {
    timeout.map_or(u64::MAX, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1))
}

/// Stores a value once, for any number of tasks to use: pass `&` of the ref as an argument. Arrays in it are copied once.
///
/// # Errors
/// [`PutError::StoreFull`] when there is no room; [`PutError::NotSerialised`] when the value's own `Serialize` refuses.
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
    let encoded = encode(value).map_err(|error| PutError::NotSerialised { reason: error.to_string() })?;
    let draft = encoded.draft().map_err(PutError::from_fault)?;
    let id = draft.seal(&encoded.refs()).map_err(PutError::from_fault)?;
    Ok(ObjectRef::new(Handle::adopt(id)))
}

/// What failed in this session, newest last. Shown as a table, usable as a slice.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let refused = (|n: u32| n.checked_sub(1).ok_or("already zero".to_string())).remote(0);
/// get(&refused).unwrap_err();
/// assert_eq!(errors().last().unwrap().message, "returned Err: already zero");
/// ```
#[track_caller]
pub fn errors() -> Errors {
    match answer(&Question::Errors) {
        Answer::Errors(failures) => Errors::new(failures),
        other => panic!("the runtime answered `errors` with {other:?}"),
    }
}

/// The resources that tasks can ask for, taken or not: name and amount, sorted by name.
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

/// The resources that no task holds now: name and amount, sorted by name.
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
    match cell::ask(question) {
        Ok(answer) => answer,
        Err(fault) => panic!("{}", sentence(fault)),
    }
}

#[cfg(test)]
mod tests;
