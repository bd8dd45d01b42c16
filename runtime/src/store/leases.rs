//! Slots and arena space leased by one process: its private account.
//!
//! ```text
//!   slots:  free ──lease, some dozens at once──▶ mine ──▶ objects ──freed by me──▶ mine ──too many──▶ free
//!   arena:  │ object │ object │ object │ free … │        one open lease, filled from the start
//! ```
//!
//! Nothing here is shared, so making an object needs neither a lock nor a round trip, and a death leaves no half-changed list. The head
//! finds what a dead process had leased in the slots and units that name it.

use super::seat::Seat;
use super::segment::Segment;
use super::word::{Flags, State, Step, Word};
use super::{Id, Run};
use crate::sync::Ordering;
use std::sync::Arc;

/// The most free slots that a process keeps, and how many of them it keeps when it has more.
const SLOTS_KEPT_MAX: usize = 8192;
const SLOTS_KEPT: usize = 4096;

/// Units of the largest lease that is taken for more than one object.
const LEASE_UNITS_MAX: u32 = 4;

/// Objects begin at multiples of this many bytes: a cache line, and enough for any vector type.
pub const ALIGNMENT: u64 = 64;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// All slots are in use.
    Slots,
    /// There is no free run of so many units.
    Units(u32),
}

/// Room in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes from the arena's start.
    pub offset: u64,
    /// The lease that it is in.
    pub home: u32,
    /// The lease, if it was taken just now: its pages may not exist yet.
    pub fresh: Option<Run>,
    /// A lease that was closed for it and takes no more objects.
    pub closed: Option<Run>,
}

#[derive(Debug)]
struct Lease {
    run: Run,
    used: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Leases {
    /// The shared tables.
    pub segment: Arc<Segment>,
    /// This process's seat.
    pub seat: Seat,
    free: Vec<u32>,
    lease: Option<Lease>,
    /// The units of the next lease for small objects.
    units_next: u32,
    slots_next: u32,
    /// The head of this process's ring, as last read: it only goes forward.
    pub(super) head_seen: std::cell::Cell<u64>,
    /// Whether this is between [`Leases::moves`] and [`Leases::moved`].
    #[cfg(debug_assertions)]
    is_moving: std::cell::Cell<bool>,
}

impl Leases {
    /// The account of a process that has leased nothing yet.
    pub fn new(segment: Arc<Segment>, seat: Seat) -> Leases {
        Leases {
            segment,
            seat,
            free: Vec::new(),
            lease: None,
            units_next: 1,
            slots_next: 16,
            head_seen: Default::default(),
            #[cfg(debug_assertions)]
            is_moving: Default::default(),
        }
    }

    /// A slot for a new object.
    ///
    /// # Errors
    /// [`NoRoom::Slots`].
    pub fn slot(&mut self) -> Result<u32, NoRoom> {
        if self.free.is_empty() {
            self.lease_slots();
        }
        self.free.pop().ok_or(NoRoom::Slots)
    }

    /// Takes back a slot that is free and names this process.
    pub fn keep_slot(&mut self, index: u32) {
        self.free.push(index);
        if self.free.len() > SLOTS_KEPT_MAX {
            // The oldest go, because the others are in this processor's caches.
            let given: Vec<u32> = self.free.drain(..SLOTS_KEPT_MAX - SLOTS_KEPT).collect();
            given.into_iter().for_each(|index| self.return_slot(index));
        }
    }

    fn return_slot(&self, index: u32) {
        let slot = self.segment.slot(index);
        let word = slot.word();
        if let Some(free) = word.after(Step::Return { by: self.seat })
            && slot.swap(word, free).is_ok()
        {
            self.segment.offer_slot(index);
        }
    }

    fn lease_slots(&mut self) {
        let count = self.slots_next;
        self.slots_next = (count * 2).min(512);
        let segment = Arc::clone(&self.segment);
        let mut take = |index: u32| {
            let slot = segment.slot(index);
            let word = slot.word();
            let mine = word.after(Step::Lease { by: self.seat });
            let taken = mine.is_some_and(|mine| slot.swap(word, mine).is_ok());
            if taken {
                self.free.push(index);
            }
            taken
        };
        segment.find_slots(count, &mut take);
        // So that the first slot is given out first.
        self.free.reverse();
    }

    /// Room for `bytes` bytes. It counts as an object of its lease from now on; [`Segment::leave`] ends that.
    ///
    /// # Errors
    /// [`NoRoom::Units`].
    pub fn space(&mut self, bytes: u64) -> Result<Space, NoRoom> {
        let unit_bytes = self.segment.unit_bytes().max(1);
        let bytes = bytes.max(1).checked_next_multiple_of(ALIGNMENT).ok_or(NoRoom::Units(u32::MAX))?;
        if let Some(space) = self.space_in_lease(bytes, unit_bytes) {
            return Ok(space);
        }
        let needed = u32::try_from(bytes.div_ceil(unit_bytes)).map_err(|_| NoRoom::Units(u32::MAX))?;
        let wished = needed.max(self.units_next);
        let run = self.segment.lease(self.seat, wished).or_else(|| self.segment.lease(self.seat, needed));
        let run = run.or_else(|| {
            // The rest of the open lease may be the room that is missing.
            self.close_lease();
            self.segment.lease(self.seat, needed)
        });
        let run = run.ok_or(NoRoom::Units(needed))?;
        self.segment.unit(run.first).settle_in(self.seat).ok_or(NoRoom::Units(needed))?;
        let space =
            |closed| Space { offset: u64::from(run.first) * unit_bytes, home: run.first, fresh: Some(run), closed };
        let left = u64::from(run.len) * unit_bytes - bytes;
        // The arena may have been replaced by one with smaller units.
        let left_before =
            self.lease.as_ref().map_or(0, |lease| (u64::from(lease.run.len) * unit_bytes).saturating_sub(lease.used));
        if run.len <= LEASE_UNITS_MAX && left > left_before {
            self.units_next = (self.units_next * 2).min(LEASE_UNITS_MAX);
            let closed = self.close_lease();
            self.lease = Some(Lease { run, used: bytes });
            Ok(space(closed))
        } else {
            // A large object has a lease of its own, which ends with it.
            self.segment.close(self.seat, run.first);
            Ok(space(Some(run)))
        }
    }

    fn space_in_lease(&mut self, bytes: u64, unit_bytes: u64) -> Option<Space> {
        let lease = self.lease.as_mut()?;
        let (first, room) = (lease.run.first, u64::from(lease.run.len) * unit_bytes);
        let unit = self.segment.unit(first);
        let is_empty = unit.state().live() == 0;
        if bytes > if is_empty { room } else { room.saturating_sub(lease.used) } {
            return None;
        }
        let Some(before) = unit.settle_in(self.seat) else {
            self.lease = None;
            return None;
        };
        // Only this process adds to the lease, so an empty one is still empty, or was taken back.
        if is_empty && before == 0 {
            lease.used = 0;
        }
        let offset = u64::from(first) * unit_bytes + lease.used;
        lease.used += bytes;
        Some(Space { offset, home: first, fresh: None, closed: None })
    }

    /// Closes the open lease.
    pub fn close_lease(&mut self) -> Option<Run> {
        let lease = self.lease.take()?;
        self.segment.close(self.seat, lease.run.first);
        Some(lease.run)
    }

    /// Forgets the open lease, which is gone with its arena after a replacement.
    pub fn forget_lease(&mut self) {
        self.lease = None;
    }

    /// Forgets all leases, in a twin that takes the place of its original: it does not know what the original has leased since the fork.
    pub fn begin_anew(&mut self) {
        self.free.clear();
        self.lease = None;
        self.head_seen.set(0);
    }

    /// Whether the lease is the open one.
    pub fn is_open(&self, home: u32) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.run.first == home)
    }

    /// From here until [`Leases::moved`], counts and what they count may disagree.
    pub fn moves(&self) {
        #[cfg(debug_assertions)]
        assert!(!self.is_moving.replace(true), "counts are moved once at a time");
        self.turn_busy();
    }

    /// From here on, they agree again.
    pub fn moved(&self) {
        #[cfg(debug_assertions)]
        assert!(self.is_moving.replace(false), "counts that are moved were about to be");
        self.turn_busy();
    }

    fn turn_busy(&self) {
        // One writer: this process, under its client's lock. AcqRel: no access moves out of the section, in either direction.
        self.segment.desk(self.seat).busy.fetch_add(1, Ordering::AcqRel);
    }

    /// How many free slots this process keeps.
    #[cfg(test)]
    pub fn slots_kept(&self) -> usize {
        self.free.len()
    }
}

impl Segment {
    /// Sets the hint bit of a slot without an owner, so that it is found.
    pub fn offer_slot(&self, index: u32) {
        let bit = 1 << (index % 64);
        if self.hint(index / 64).fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.header().slots_loose.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Recounts the offered slots, after a death between setting a bit and counting it. A process that is between these two steps can make
    /// the count wrong again. Until the next recount that costs at most a search in vain, or a search that is skipped while there are fresh
    /// slots.
    pub(super) fn recount_slots(&self) {
        let words = self.slots_used().div_ceil(64);
        let offered = (0..words).map(|place| self.hint(place).load(Ordering::Relaxed).count_ones()).sum();
        self.header().slots_loose.store(offered, Ordering::Relaxed);
    }

    /// Offers `take` slots without an owner, until it has taken about `count`: used ones first, because their pages exist, then fresh ones.
    fn find_slots(&self, count: u32, take: &mut impl FnMut(u32) -> bool) {
        let header = self.header();
        let words = self.limits().slots.div_ceil(64);
        let mut left = count;
        if header.slots_loose.load(Ordering::Relaxed) > 0 || self.slots_used() == self.limits().slots {
            let start = header.slots_hint.load(Ordering::Relaxed) % words;
            for step in 0..words {
                let place = (start + step) % words;
                let hint = self.hint(place);
                // The bits are only hints; the slot's word decides who owns it.
                let bits = if hint.load(Ordering::Relaxed) == 0 { 0 } else { hint.swap(0, Ordering::AcqRel) };
                if bits != 0 {
                    // A bit may be stale or invalid: slot 0 is never used.
                    let slots = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| place * 64 + bit);
                    let slots = slots.filter(|index| (1..self.limits().slots).contains(index));
                    let taken = slots.filter(|index| take(*index)).count();
                    // Not a plain subtraction: the count may be wrong, and must not wrap below zero.
                    let fewer = |loose: u32| Some(loose.saturating_sub(bits.count_ones()));
                    let _ = header.slots_loose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
                    left = left.saturating_sub(taken as u32);
                    if left == 0 {
                        header.slots_hint.store(place, Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
        let first = header.slots_fresh.fetch_add(left, Ordering::AcqRel);
        let end = first.saturating_add(left).min(self.limits().slots);
        if end < first.saturating_add(left) {
            // All slots have been used: stay at the end.
            header.slots_fresh.store(self.limits().slots, Ordering::Relaxed);
        }
        let generation = header.generation.load(Ordering::Relaxed);
        for index in first.max(1)..end {
            if generation != 0 {
                let fresh = Word::new(generation, None, State::Free, Flags::empty());
                let _ = self.slot(index).swap(Word::new(0, None, State::Free, Flags::empty()), fresh);
            }
            take(index);
        }
    }

    /// Slots that have ever been used are below this one.
    pub fn slots_used(&self) -> u32 {
        self.header().slots_fresh.load(Ordering::Acquire).min(self.limits().slots)
    }

    /// Seals a free slot of `by`, whose content has been written. `flags` says where the bytes are; if they are in the slot, there are
    /// `len` of them.
    pub fn seal(&self, by: Seat, index: u32, flags: Flags, len: u8) -> Option<Id> {
        let slot = self.slot(index);
        let word = slot.word();
        slot.refs.begin_with(by);
        slot.touched.store(self.header().clock.load(Ordering::Relaxed), Ordering::Relaxed);
        let sealed = word.after(Step::Seal { by, flags, len })?;
        slot.swap(word, sealed).ok()?;
        Some(Id::new(index, sealed.generation()))
    }

    /// Takes a step of a slot that no other process changes at the moment.
    pub fn step(&self, index: u32, after: impl FnOnce(Word, Seat) -> Option<Word>, by: Seat) {
        let slot = self.slot(index);
        let word = slot.word();
        if let Some(next) = after(word, by) {
            let _ = slot.swap(word, next);
        }
    }

    /// Whether the id names an object or a task that exists.
    pub fn exists(&self, id: Id) -> bool {
        let word = self.slot(id.slot()).word();
        word.generation() == id.generation() && word.state() != State::Free
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;

    #[test]
    fn a_lease_of_an_arena_that_was_replaced_by_one_of_smaller_units_is_not_laid_into() {
        let segment = Arc::new(Segment::stand_in(Limits { slots: 64, units: 8, ring: 2 }));
        let header = segment.header();
        header.units.store(8, Ordering::Relaxed);
        header.unit_bytes.store(4096, Ordering::Relaxed);
        let [mut alice, mut bob] = [1, 2].map(|seat| Leases::new(Arc::clone(&segment), Seat(seat)));
        let before = alice.space(3000).unwrap();
        (0..8).for_each(|index| segment.unit(index).clear());
        header.unit_bytes.store(1024, Ordering::Relaxed);
        // Alice has not heard of the new arena, and bob's lease is where hers was.
        assert_eq!(bob.space(64).unwrap().home, before.home);
        assert_ne!(alice.space(64).unwrap().home, before.home);
    }
}
