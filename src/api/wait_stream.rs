//! `wait_stream`: refs in the order in which they finish.

use crate::calls;
use crate::object::ObjectRef;
use std::collections::{HashSet, VecDeque};
use std::iter::FusedIterator;

/// Returns an iterator over `refs` in the order in which they finish. It blocks until the next one has. A task that has
/// failed is finished. Refs that have finished since the last call come in the order in which they were given.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn square(n: u64) -> u64 {
///     n * n
/// }
/// let refs: Vec<_> = (0..4).map(|n| square.remote(n)).collect();
/// let mut sum = 0;
/// for done in wait_stream(&refs) {
///     sum += get(&done)?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<(), mobula::GetError>(())
/// ```
pub fn wait_stream<T>(refs: &[ObjectRef<T>]) -> WaitStream<T> {
    WaitStream { finished: VecDeque::new(), rest: refs.to_vec() }
}

/// The iterator that [`wait_stream`] returns.
#[derive(Debug)]
#[must_use = "nothing is waited for before the first `next`"]
pub struct WaitStream<T> {
    finished: VecDeque<ObjectRef<T>>,
    rest: Vec<ObjectRef<T>>,
}

impl<T> WaitStream<T> {
    /// Waits until one of the rest is finished.
    fn wait(&mut self) {
        let mut seen = HashSet::with_capacity(self.rest.len());
        let ids: Vec<u64> = self.rest.iter().map(|object| object.id().0).filter(|id| seen.insert(*id)).collect();
        let mut marks = vec![0; ids.len()];
        let finished: HashSet<u64> = match calls::wait(&ids, 1, u64::MAX, &mut marks) {
            Ok(()) => ids.iter().zip(&marks).filter(|(_, mark)| **mark != 0).map(|(id, _)| *id).collect(),
            // Nothing will finish any more, and `get` of each says why.
            Err(_) => seen,
        };
        self.finished.extend(self.rest.extract_if(.., |object| finished.contains(&object.id().0)));
    }
}

impl<T> Iterator for WaitStream<T> {
    type Item = ObjectRef<T>;

    fn next(&mut self) -> Option<ObjectRef<T>> {
        if self.finished.is_empty() && !self.rest.is_empty() {
            self.wait();
        }
        self.finished.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.finished.len() + self.rest.len();
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for WaitStream<T> {}
impl<T> FusedIterator for WaitStream<T> {}
