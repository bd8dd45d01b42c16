//! `wait`: waits until some of a list of objects are ready.

use super::nanoseconds;
use crate::calls::{self, Handle, ObjectId};
use crate::error::WaitError;
use crate::object::ObjectRef;
use std::time::Duration;

/// Waits until some of `refs` are ready: [`num_returns`](Wait::num_returns) of them, 1 by default. The wait begins with
/// [`run`](Wait::run).
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn square(n: u64) -> u64 {
///     n * n
/// }
/// let refs: Vec<_> = (0..4).map(|n| square.remote(n)).collect();
/// let (ready, rest) = wait(&refs).num_returns(3).timeout(Duration::from_secs(60)).run().unwrap();
/// assert_eq!((ready.len(), rest.len()), (3, 1));
/// ```
#[must_use = "nothing is waited for before `.run()`"]
pub fn wait<T>(refs: &[ObjectRef<T>]) -> Wait<'_, T> {
    Wait { refs, num_returns: 1, timeout: None }
}

/// A wait that is being configured; see [`wait`].
#[must_use = "nothing is waited for before `.run()`"]
#[derive(Debug)]
pub struct Wait<'a, T> {
    refs: &'a [ObjectRef<T>],
    num_returns: usize,
    timeout: Option<Duration>,
}

/// The refs that are ready, and the others.
pub type ReadyAndRest<T> = (Vec<ObjectRef<T>>, Vec<ObjectRef<T>>);

impl<T> Wait<'_, T> {
    /// Sets how many refs must be ready for the wait to end. At most this many are returned as ready.
    pub fn num_returns(mut self, num_returns: usize) -> Self {
        self.num_returns = num_returns;
        self
    }

    /// Sets how long to wait at most. Default: as long as it takes. Zero only looks.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Waits, and returns the refs that are ready and the rest, each in the order in which they were given. Together
    /// they are all the refs that were given. At most `num_returns` are returned as ready, and fewer only when the
    /// timeout has passed. A task that has failed is ready. An empty list gives two empty lists at once.
    ///
    /// # Errors
    /// [`WaitError::Duplicate`] when a ref is in the list twice, [`WaitError::TooMany`] when `num_returns` is larger
    /// than the list, [`WaitError::NoneWanted`] when it is 0. The other errors mean that the runtime cannot wait.
    pub fn run(self) -> Result<ReadyAndRest<T>, WaitError> {
        let Wait { refs, num_returns, timeout } = self;
        if refs.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        if let Some(id) = twice(refs) {
            return Err(WaitError::Duplicate { id });
        }
        if num_returns == 0 {
            return Err(WaitError::NoneWanted);
        }
        if num_returns > refs.len() {
            return Err(WaitError::TooMany { num_returns, refs: refs.len() });
        }
        let ids: Vec<u64> = refs.iter().map(|object| object.id().0).collect();
        let mut marks = vec![0; ids.len()];
        calls::wait(&ids, num_returns, nanoseconds(timeout), &mut marks).map_err(WaitError::from_fault)?;
        // Adds a reference to each, in one call, because this costs the most here.
        calls::retain(&ids);
        let (mut ready, mut rest) = (Vec::with_capacity(num_returns), Vec::with_capacity(refs.len() - num_returns));
        for (id, mark) in ids.into_iter().zip(marks) {
            let object = ObjectRef::new(Handle::adopt(id));
            // More objects may be ready than were asked for. Those stay in the rest, where the next wait finds them.
            let list = if mark != 0 && ready.len() < num_returns { &mut ready } else { &mut rest };
            list.push(object);
        }
        Ok((ready, rest))
    }
}

/// An object that is in the list more than once.
fn twice<T>(refs: &[ObjectRef<T>]) -> Option<ObjectId> {
    // Refs of tasks that were submitted in order are often sorted already, and then nothing is copied.
    if refs.is_sorted_by(|one, next| one < next) {
        return None;
    }
    // A hash set with linear probing, at most half full: a third of the cost of sorting. No id is 0.
    let places = (refs.len() * 2).next_power_of_two();
    let mut taken = vec![0_u64; places];
    for object in refs {
        let id = object.id();
        let mut place = (id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % places;
        while taken[place] != 0 {
            if taken[place] == id.0 {
                return Some(id);
            }
            place = (place + 1) % places;
        }
        taken[place] = id.0;
    }
    None
}
