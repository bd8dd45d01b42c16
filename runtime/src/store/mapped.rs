//! A process's access to the arena that it has mapped.
//!
//! Each process maps the arena at its own address, which the shared tables cannot name, so it registers its mapping
//! here. It is needed for lists of contained objects that are too long for a slot: consecutive ids in the arena.

use super::Id;
use super::arena::{Arena, Run};
use super::segment::Segment;
use crate::sync::Ordering;
use rustix::mm::MprotectFlags;
use std::sync::{Arc, PoisonError};

impl Segment {
    /// Registers the arena that this process has mapped, in place of the previous one.
    pub fn set_arena(&self, arena: Arc<Arena>) {
        *self.mapped().lock().unwrap_or_else(PoisonError::into_inner) = Some(arena);
    }

    /// The ids at `offset`. Empty where they cannot lie, because another process may have written an invalid offset.
    pub(super) fn long_list(&self, offset: u64, count: usize) -> Vec<Id> {
        let arena = self.mapped().lock().unwrap_or_else(PoisonError::into_inner).clone();
        arena.and_then(|arena| arena.ids(offset, count)).unwrap_or_default()
    }

    /// Makes a lease writable for this process, and allocates those of its pages that do not exist yet.
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
