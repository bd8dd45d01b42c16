//! The implementation of `get`: open ready objects, wait once for the rest, decode.
//!
//! ```text
//!   ready already (usual)   open ─▶ read                         two calls through the table an object, no clock
//!   not ready               open ─▶ wait for all missing ─▶ open ─▶ read
//! ```

use super::nanoseconds;
use crate::abi::Fault;
use crate::calls::{self, Hold, ObjectId};
use crate::codec::{DecodeError, Value, decode};
use crate::error::GetError;
use crate::object::ObjectRef;
use std::time::{Duration, Instant};

/// Gets the value of one object.
pub(super) fn one<T: Value>(object: &ObjectRef<T>, timeout: Option<Duration>) -> Result<T, GetError> {
    let id = object.id();
    let hold = match open(id)? {
        Some(hold) => hold,
        None => open_late(id, timeout)?,
    };
    read(id, hold)
}

/// Gets the value of one object, if it is ready.
pub(super) fn if_ready<T: Value>(object: &ObjectRef<T>) -> Result<Option<T>, GetError> {
    open(object.id())?.map(|hold| read(object.id(), hold)).transpose()
}

/// Gets the values of a list of objects, in its order.
pub(super) fn all<T: Value>(objects: &[ObjectRef<T>], timeout: Option<Duration>) -> Result<Vec<T>, GetError> {
    let mut values = Vec::with_capacity(objects.len());
    for object in objects {
        match open(object.id())? {
            Some(hold) => values.push(read(object.id(), hold)?),
            None => break,
        }
    }
    let rest = &objects[values.len()..];
    if rest.is_empty() {
        return Ok(values);
    }
    let ids: Vec<ObjectId> = rest.iter().map(ObjectRef::id).collect();
    let late = Late::wait(&ids, timeout)?;
    for (id, hold) in ids.into_iter().zip(late.holds) {
        let hold = match hold {
            Some(hold) => hold,
            None => open_ready(id, late.start, timeout)?,
        };
        values.push(read(id, hold)?);
    }
    Ok(values)
}

fn read<T: Value>(id: ObjectId, hold: Hold) -> Result<T, GetError> {
    decode(hold).map_err(|error| unreadable(id, &error))
}

#[cold]
fn unreadable(id: ObjectId, error: &DecodeError) -> GetError {
    GetError::Unreadable { id, reason: error.to_string() }
}

/// Opens an object. Returns `None` if it is not ready.
fn open(id: ObjectId) -> Result<Option<Hold>, GetError> {
    Hold::open(id.0).map_err(|fault| GetError::from_fault(fault, Duration::ZERO))
}

/// Waits for one object and opens it.
fn open_late(id: ObjectId, timeout: Option<Duration>) -> Result<Hold, GetError> {
    let (start, mut ready) = (Instant::now(), [0]);
    calls::wait(&[id.0], 1, nanoseconds(timeout), &mut ready)
        .map_err(|fault| GetError::from_fault(fault, start.elapsed()))?;
    if ready == [0] { Err(not_ready(id, start, timeout)) } else { open_ready(id, start, timeout) }
}

/// Opens an object that has been waited for since `start`.
fn open_ready(id: ObjectId, start: Instant, timeout: Option<Duration>) -> Result<Hold, GetError> {
    let hold = Hold::open(id.0).map_err(|fault| GetError::from_fault(fault, start.elapsed()))?;
    hold.ok_or_else(|| not_ready(id, start, timeout))
}

fn not_ready(id: ObjectId, start: Instant, timeout: Option<Duration>) -> GetError {
    GetError::NotReady { id, waited: timeout.unwrap_or(start.elapsed()) }
}

/// Objects that are all ready now, though some were not at `start`.
struct Late {
    start: Instant,
    /// The holds of objects that were ready before the wait.
    holds: Vec<Option<Hold>>,
}

impl Late {
    fn wait(ids: &[ObjectId], timeout: Option<Duration>) -> Result<Late, GetError> {
        let start = Instant::now();
        let mut holds = Vec::with_capacity(ids.len());
        let mut missing = Vec::with_capacity(ids.len());
        for id in ids {
            match Hold::open(id.0) {
                Ok(hold) => {
                    if hold.is_none() {
                        missing.push(id.0);
                    }
                    holds.push(hold);
                }
                // Not returned yet: the failure that `get` returns must not depend on which task was faster.
                Err(fault) if matches!(*fault, Fault::Task(_)) => holds.push(None),
                Err(fault) => return Err(GetError::from_fault(fault, Duration::ZERO)),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        let mut ready = vec![0; missing.len()];
        calls::wait(&missing, missing.len(), nanoseconds(timeout), &mut ready)
            .map_err(|fault| GetError::from_fault(fault, start.elapsed()))?;
        if ready.contains(&0) {
            let is_late = |id: &ObjectId| missing.binary_search(&id.0).is_ok_and(|at| ready[at] == 0);
            if let Some(id) = ids.iter().copied().find(is_late) {
                return Err(not_ready(id, start, timeout));
            }
        }
        Ok(Late { start, holds })
    }
}
