//! A client's private account of the objects that it refers to.
//!
//! ```text
//!   absent ──first reference: Retain──▶ counted(1, 2, …) ──last one given back──▶ absent: Release
//!                                            ▲                      │ while a cell runs, if it is older than the cell
//!                                            └──── taken again ── kept back ──the cell has ended──▶ absent: Release
//! ```
//!
//! The head hears only of the first and the last reference of a process. While a cell runs, the last ones are kept back,
//! because until it has ended a twin may come back that still has them. What the cell itself made is unknown to the twin
//! and is let go at once, so a cell can work its way through more than the store holds.

use super::memory::Cached;
use crate::protocol::ObjectId;
use std::collections::HashMap;

/// What the head must hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// This process refers to the object now.
    Retain,
    /// This process no longer refers to the object.
    Release {
        /// Whether it takes room in the store, so that the head should hear it soon.
        is_shared: bool,
    },
}

#[derive(Debug)]
struct Handle {
    count: u64,
    /// The period in which this process got to know the object.
    since: u64,
    cached: Option<Cached>,
}

impl Handle {
    fn release(&self) -> News {
        News::Release { is_shared: matches!(self.cached, Some(Cached::Shared(_))) }
    }
}

/// All references of a process.
#[derive(Debug, Default)]
pub struct Handles {
    counted: HashMap<ObjectId, Handle>,
    kept_back: HashMap<ObjectId, Handle>,
    /// Goes up when a cell begins.
    period: u64,
    cell_runs: bool,
}

impl Handles {
    /// A new object of which the head hears otherwise.
    pub fn insert(&mut self, id: ObjectId, cached: Option<Cached>) {
        self.counted.insert(id, Handle { count: 1, since: self.period, cached });
    }

    /// One more reference.
    pub fn retain(&mut self, id: ObjectId) -> News {
        if let Some(handle) = self.counted.get_mut(&id) {
            handle.count += 1;
            return News::None;
        }
        if let Some(handle) = self.kept_back.remove(&id) {
            self.counted.insert(id, Handle { count: 1, ..handle });
            return News::None;
        }
        self.insert(id, None);
        News::Retain
    }

    /// One reference less. One that does not exist is not given back.
    pub fn release(&mut self, id: ObjectId) -> News {
        let Some(handle) = self.counted.get_mut(&id) else { return News::None };
        handle.count -= 1;
        if handle.count > 0 {
            return News::None;
        }
        let Some(handle) = self.counted.remove(&id) else { return News::None };
        if self.cell_runs && handle.since < self.period {
            self.kept_back.insert(id, handle);
            return News::None;
        }
        handle.release()
    }

    /// What is known about an object.
    pub fn cached(&self, id: ObjectId) -> Option<&Cached> {
        self.counted.get(&id)?.cached.as_ref()
    }

    /// Remembers something about an object, if this process has it.
    pub fn remember(&mut self, id: ObjectId, cached: Cached) {
        if let Some(handle) = self.counted.get_mut(&id)
            && !matches!((&handle.cached, &cached), (Some(_), Cached::Finished))
        {
            handle.cached = Some(cached);
        }
    }

    /// A cell begins.
    pub fn cell_began(&mut self) {
        self.period += 1;
        self.cell_runs = true;
    }

    /// The cell has ended: gives the objects that nobody refers to any longer.
    pub fn cell_ended(&mut self) -> Vec<ObjectId> {
        self.cell_runs = false;
        let mut released: Vec<ObjectId> = self.kept_back.drain().map(|(id, _)| id).collect();
        released.sort_unstable();
        released
    }

    /// This process is a twin that takes a dead one's place: no cell runs, and these are its objects.
    pub fn taken_over(&mut self) -> Vec<ObjectId> {
        self.cell_runs = false;
        self.kept_back.clear();
        let mut held: Vec<ObjectId> = self.counted.keys().copied().collect();
        held.sort_unstable();
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId(1);
    const GONE: News = News::Release { is_shared: false };

    #[test]
    fn the_head_hears_of_the_first_and_the_last_reference_only() {
        let mut handles = Handles::default();
        assert_eq!(handles.retain(OBJECT), News::Retain);
        assert_eq!(handles.retain(OBJECT), News::None);
        assert_eq!(handles.release(OBJECT), News::None);
        assert_eq!(handles.release(OBJECT), GONE);
        assert_eq!(handles.release(OBJECT), News::None, "one too many does no harm");
    }

    #[test]
    fn what_a_cell_gives_back_is_kept_until_the_cell_has_ended() {
        let mut handles = Handles::default();
        handles.insert(OBJECT, None);
        handles.cell_began();
        assert_eq!(handles.release(OBJECT), News::None);
        assert_eq!(handles.cell_ended(), [OBJECT]);
        assert!(handles.cell_ended().is_empty());
    }

    #[test]
    fn what_a_cell_made_itself_goes_at_once() {
        let mut handles = Handles::default();
        handles.cell_began();
        handles.insert(OBJECT, None);
        assert_eq!(handles.release(OBJECT), GONE);
        assert!(handles.cell_ended().is_empty());
    }

    #[test]
    fn what_a_cell_gives_back_and_takes_again_never_went() {
        let mut handles = Handles::default();
        handles.insert(OBJECT, Some(Cached::Finished));
        handles.cell_began();
        handles.release(OBJECT);
        assert_eq!(handles.retain(OBJECT), News::None);
        assert!(handles.cached(OBJECT).is_some(), "and what was known is still known");
        handles.release(OBJECT);
        assert_eq!(handles.cell_ended(), [OBJECT], "it is as old as it was");
    }

    #[test]
    fn a_twin_has_what_was_referred_to_when_it_was_made() {
        let mut handles = Handles::default();
        handles.insert(OBJECT, None);
        handles.insert(ObjectId(2), None);
        handles.cell_began();
        handles.release(ObjectId(2));
        assert_eq!(handles.taken_over(), [OBJECT]);
        assert_eq!(handles.release(OBJECT), GONE, "no cell runs in it");
    }
}
