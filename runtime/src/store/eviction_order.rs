//! The order of eviction: least recently used first, among objects that no process reads.
//!
//! ```text
//!   all objects ─▶ sorted by their last use ─▶ next, next, … ─▶ used since? passed over ─▶ to disk
//! ```
//!
//! The order is made once and used up, because sorting all objects for each eviction would take quadratic time. Objects
//! that came later are younger than those in it.

use super::Id;
use super::objects::Body;
use super::segment::Segment;
use super::word::Flags;
use crate::sync::Ordering;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an object that was brought back stays at least, so that the process that asked can open it before it goes
/// again.
const STAYS: Duration = Duration::from_millis(100);

/// After an order in which nothing could go, none is made for so many times as long as making it took.
const RESTS: u32 = 4;

/// An object that could be moved to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: Id,
    /// Bytes from the arena's start.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// The order in which objects go.
#[derive(Debug, Default)]
pub struct Eviction {
    /// The candidates, each with the time of its last use when the order was made.
    order: VecDeque<(u32, Candidate)>,
    /// Until when no other order is made.
    rests_until: Option<Instant>,
    /// Objects that were brought back: until when each stays unless it is opened, and the time of its last use.
    stays: HashMap<Id, (Instant, u32)>,
}

impl Eviction {
    /// The next object to evict. `None` when nothing can go, as far as is known.
    pub fn next(&mut self, segment: &Segment) -> Option<Candidate> {
        if let Some(found) = self.next_in_order(segment) {
            return Some(found);
        }
        let begin = Instant::now();
        if self.rests_until.is_some_and(|until| begin < until) {
            return None;
        }
        debug_assert!(self.order.is_empty(), "an order is used up before another is made");
        self.order = segment.by_last_use().into();
        let found = self.next_in_order(segment);
        self.rests_until = found.is_none().then(|| Instant::now() + begin.elapsed() * RESTS);
        found
    }

    fn next_in_order(&mut self, segment: &Segment) -> Option<Candidate> {
        while let Some((touched, candidate)) = self.order.pop_front() {
            let Candidate { id, offset, len } = candidate;
            let slot = segment.slot(id.slot());
            let is_unused = slot.touched.load(Ordering::Relaxed) == touched && slot.pins.is_empty();
            let is_there = segment.body_now(id) == Some(Body::Arena { offset, len });
            if is_unused && is_there && !self.stays(segment, id) {
                return Some(candidate);
            }
        }
        None
    }

    /// Notes that an object was brought back for a process that has yet to open it.
    pub fn brought_back(&mut self, segment: &Segment, id: Id) {
        // A little older than an object that is opened now, so that its own opening is seen.
        let touched = segment.header().clock.load(Ordering::Relaxed).wrapping_sub(1);
        segment.slot(id.slot()).touched.store(touched, Ordering::Relaxed);
        let now = Instant::now();
        self.stays.retain(|_, (until, _)| *until > now);
        self.stays.insert(id, (now + STAYS, touched));
    }

    fn stays(&self, segment: &Segment, id: Id) -> bool {
        self.stays.get(&id).is_some_and(|(until, touched)| {
            let is_unopened = segment.slot(id.slot()).touched.load(Ordering::Relaxed) == *touched;
            is_unopened && *until > Instant::now()
        })
    }
}

impl Segment {
    /// The objects in the arena that no process reads, least recently used first.
    #[cfg(test)]
    pub fn spillable(&self) -> Vec<Candidate> {
        self.by_last_use().into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// The same, each with the time of its last use.
    fn by_last_use(&self) -> Vec<(u32, Candidate)> {
        let now = self.header().clock.load(Ordering::Relaxed);
        let mut found: Vec<(u32, Candidate)> = (1..self.slots_used())
            .filter_map(|index| {
                let slot = self.slot(index);
                let word = slot.word();
                if !word.is_sealed() || !word.flags().contains(Flags::ARENA) || !slot.pins.is_empty() {
                    return None;
                }
                let id = Id::new(index, word.generation());
                let Some(Body::Arena { offset, len }) = self.body_now(id) else { return None };
                Some((slot.touched.load(Ordering::Relaxed), Candidate { id, offset, len }))
            })
            .collect();
        found.sort_by_key(|(touched, candidate)| (Reverse(now.wrapping_sub(*touched)), candidate.id));
        found
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;
    use crate::store::{Leases, Seat, Step};
    use std::sync::Arc;

    /// A store with so many objects, the first one used first.
    fn with_objects(count: u32) -> (Arc<Segment>, Vec<Id>) {
        let segment = Arc::new(Segment::stand_in(Limits { slots: 64, units: 64, ring: 2 }));
        let header = segment.header();
        header.units.store(64, Ordering::Relaxed);
        header.unit_bytes.store(64, Ordering::Relaxed);
        header.clock.store(1000, Ordering::Relaxed);
        let mut leases = Leases::new(Arc::clone(&segment), Seat(1));
        let mut seal = |touched: u32| {
            let index = leases.slot().unwrap();
            let space = leases.space(64).unwrap();
            let slot = segment.slot(index);
            slot.offset.store(space.offset, Ordering::Relaxed);
            slot.len.store(64, Ordering::Relaxed);
            slot.home.store(space.home, Ordering::Relaxed);
            segment.step(index, |word, by| word.after(Step::Draft { by }), Seat(1));
            let id = segment.seal(Seat(1), index, Flags::ARENA, 0).unwrap();
            slot.touched.store(touched, Ordering::Relaxed);
            id
        };
        let objects = (1..=count).map(&mut seal).collect();
        (segment, objects)
    }

    #[test]
    fn they_go_in_the_order_of_their_last_use_and_what_is_used_meanwhile_does_not() {
        let (segment, all) = with_objects(4);
        let mut eviction = Eviction::default();
        let mut next = || eviction.next(&segment).map(|candidate| candidate.id);
        assert_eq!(next(), Some(all[0]));
        segment.slot(all[1].slot()).touched.store(1000, Ordering::Relaxed);
        assert_eq!(next(), Some(all[2]));
        assert_eq!(next(), Some(all[3]));
        // A new order, which begins with the first object again, because the test has not evicted it.
        assert_eq!(next(), Some(all[0]));
    }

    #[test]
    fn what_was_brought_back_stays_until_it_has_been_opened() {
        let (segment, all) = with_objects(2);
        let mut eviction = Eviction::default();
        eviction.brought_back(&segment, all[0]);
        assert_eq!(eviction.next(&segment).map(|candidate| candidate.id), Some(all[1]));
        segment.slot(all[0].slot()).touched.store(1000, Ordering::Relaxed);
        let next = std::iter::from_fn(|| eviction.next(&segment)).take(4).map(|candidate| candidate.id);
        assert!(next.collect::<Vec<_>>().contains(&all[0]));
    }

    #[test]
    fn what_nobody_opens_does_not_stay_for_ever() {
        let (segment, all) = with_objects(1);
        let mut eviction = Eviction::default();
        eviction.brought_back(&segment, all[0]);
        while eviction.next(&segment).is_none() {
            std::thread::yield_now();
        }
    }
}
