//! Lists of contained objects that are too long for a slot: ids one behind the other in the arena.
//!
//! The tables do not know where the arena is mapped; each process says so once.

use super::Id;
use super::arena::Arena;
use super::segment::Segment;
use std::sync::Arc;

/// How this process reads the arena.
#[derive(Debug, Default)]
pub struct Lists(std::sync::Mutex<Option<Arc<Arena>>>);

impl Segment {
    /// The arena that this process has mapped, in place of the one before.
    pub fn set_arena(&self, arena: Arc<Arena>) {
        *self.lists().0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(arena);
    }

    /// The ids that lie at `offset`. None where there can be none: another process may have written nonsense.
    pub(super) fn long_list(&self, offset: u64, count: usize) -> Vec<Id> {
        let arena = self.lists().0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        arena.and_then(|arena| arena.ids(offset, count)).unwrap_or_default()
    }
}
