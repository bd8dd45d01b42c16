//! A process's access to the arena that it has mapped.
//!
//! The tables do not know where the arena is mapped; each process says so once, for the lists of contained objects that are too long for a
//! slot: ids one behind the other in the arena.

use super::Id;
use super::arena::{Arena, Run};
use super::segment::Segment;
use crate::sync::Ordering;
use rustix::mm::MprotectFlags;
use std::sync::{Arc, PoisonError};

impl Segment {
    /// The arena that this process has mapped, in place of the one before.
    pub fn set_arena(&self, arena: Arc<Arena>) {
        *self.mapped().lock().unwrap_or_else(PoisonError::into_inner) = Some(arena);
    }

    /// The ids that lie at `offset`. None where there can be none: another process may have written nonsense.
    pub(super) fn long_list(&self, offset: u64, count: usize) -> Vec<Id> {
        let arena = self.mapped().lock().unwrap_or_else(PoisonError::into_inner).clone();
        arena.and_then(|arena| arena.ids(offset, count)).unwrap_or_default()
    }

    /// Makes a lease's pages, where there are none yet, and makes it writable for this process.
    ///
    /// # Errors
    /// `ENOSPC` when there is no room for its pages.
    pub fn unlock(&self, arena: &Arena, run: Run) -> std::io::Result<()> {
        arena.protect(run, MprotectFlags::READ | MprotectFlags::WRITE)?;
        for index in run.first..run.first + run.len {
            let unit = self.unit(index);
            if unit.backed.load(Ordering::Acquire) == 0 {
                arena.back(index)?;
                unit.backed.store(1, Ordering::Release);
            }
        }
        Ok(())
    }
}
