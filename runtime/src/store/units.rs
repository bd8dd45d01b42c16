//! The arena's units, and the leases in which objects lie.
//!
//! ```text
//!   Free ──take──▶ Taken(by) ──▶ Open(by, live) ──close──▶ Closed(live) ──live = 0──▶ Taken(by) ──▶ Free
//!                     └────────▶ Part of the lease that begins before it ───────────────────────────┘
//! ```
//!
//! A process leases a run of units and places objects into it one after the other. Nothing is freed inside a lease. A lease counts its live
//! objects; when there are none, it is used again from the start, or given back as a whole. So one word per unit is all that is shared
//! about free space, and there is no free list that a stray write or a death could corrupt. When room is wanted, an object that alone keeps
//! a lease alive is moved to disk.
//! # Invariants
//! - Only the owner of an open lease raises `live`; in a closed lease it never goes up.
//! - A lease's first unit is opened last and freed last, so that its parts never stand alone.
//! - A process that dies between two steps leaves `live` too high, never too low; `recovery.rs` recounts.

use super::arena::Run;
use super::layout::Unit;
use super::seat::Seat;
use super::segment::Segment;
use crate::sync::{Ordering, fence};

/// The state of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// In no lease.
    Free,
    /// A process is making it part of a lease, or ending the lease that begins here.
    Taken(Seat),
    /// Part of a lease that begins before it.
    Part,
    /// The first unit of a lease into which its owner places objects.
    Open(Seat),
    /// The first unit of a lease into which no more objects are placed.
    Closed,
}

/// `state:4 | owner:12 | moves:24 | live:24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitWord(pub u64);

const LIVE: u64 = 0xff_ffff;
/// One more move, by which an audit sees that the lease was touched; see `recovery.rs`.
const MOVE: u64 = 1 << 24;
const MOVES: u64 = LIVE << 24;

impl UnitWord {
    fn new(state: UnitState, live: u64) -> UnitWord {
        let (number, owner) = match state {
            UnitState::Free => (0, Seat(0)),
            UnitState::Taken(by) => (1, by),
            UnitState::Part => (2, Seat(0)),
            UnitState::Open(by) => (3, by),
            UnitState::Closed => (4, Seat(0)),
        };
        UnitWord(number << 60 | u64::from(owner.0) << 48 | live & LIVE)
    }

    /// The unit's state.
    pub fn state(self) -> UnitState {
        let owner = Seat((self.0 >> 48 & 0xfff) as u16);
        match self.0 >> 60 {
            0 => UnitState::Free,
            1 => UnitState::Taken(owner),
            2 => UnitState::Part,
            3 => UnitState::Open(owner),
            _ => UnitState::Closed,
        }
    }

    /// How many objects and drafts are in the lease.
    pub fn live(self) -> u64 {
        self.0 & LIVE
    }

    /// The same with another number of objects.
    pub fn with_live(self, live: u64) -> UnitWord {
        UnitWord(self.0 & !LIVE | live & LIVE)
    }

    /// The same after one move more. The count of moves wraps around without changing its neighbours.
    fn moved(self) -> UnitWord {
        UnitWord(self.0 & !MOVES | self.0.wrapping_add(MOVE) & MOVES)
    }

    fn closed(self) -> UnitWord {
        UnitWord(UnitWord::new(UnitState::Closed, self.live()).0 | self.0 & MOVES)
    }
}

impl Unit {
    /// The current word.
    pub fn state(&self) -> UnitWord {
        UnitWord(self.word.load(Ordering::Acquire))
    }

    fn swap(&self, from: UnitWord, to: UnitWord) -> bool {
        let is_open = matches!(from.state(), UnitState::Open(_)) && from.state() == to.state();
        debug_assert!(to.live() <= from.live() || is_open, "`live` goes up in an open lease only");
        self.word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Corrects the number of objects, if the word has not changed since `seen` was read.
    pub fn correct(&self, seen: UnitWord, live: u64) -> bool {
        self.swap(seen, seen.with_live(live))
    }

    /// Counts one object more in the open lease of `by`. Returns how many were in it before; `None` when the head has taken the lease back
    /// while it was empty.
    pub fn settle_in(&self, by: Seat) -> Option<u64> {
        let mut seen = self.state();
        while seen.state() == UnitState::Open(by) {
            if self.swap(seen, seen.moved().with_live(seen.live() + 1)) {
                return Some(seen.live());
            }
            seen = self.state();
        }
        None
    }

    /// Notes that an object has another slot now. Does nothing to a unit where no lease begins any more: before this call, a process that
    /// sees the object in its new slot may have freed or moved it.
    pub fn move_within(&self) {
        let mut seen = self.state();
        while matches!(seen.state(), UnitState::Open(_) | UnitState::Closed) && !self.swap(seen, seen.moved()) {
            seen = self.state();
        }
    }

    /// Resets the unit for a new arena.
    pub fn clear(&self) {
        if self.word.load(Ordering::Relaxed) != 0 || self.backed.load(Ordering::Relaxed) != 0 {
            self.backed.store(0, Ordering::Relaxed);
            self.word.store(0, Ordering::Release);
        }
    }

    fn set(&self, state: UnitState) {
        self.word.store(UnitWord::new(state, 0).0, Ordering::Release);
    }
}

impl Segment {
    /// Units that the arena has.
    pub fn units(&self) -> u32 {
        self.header().units.load(Ordering::Relaxed).min(self.limits().units)
    }

    /// Bytes of a unit.
    pub fn unit_bytes(&self) -> u64 {
        u64::from(self.header().unit_bytes.load(Ordering::Relaxed))
    }

    /// Takes a free run of `len` units, if there is one; it is an open, empty lease of `by`.
    pub fn lease(&self, by: Seat, len: u32) -> Option<Run> {
        let (units, start) = (self.units(), self.header().units_hint.load(Ordering::Relaxed));
        if len == 0 || len > units {
            return None;
        }
        // From the hint to the end, then from the beginning: a run does not wrap around.
        let run = self.take_run(by, start.min(units), units, len).or_else(|| self.take_run(by, 0, units, len))?;
        let first = self.unit(run.first);
        // Stored before there are parts, so that they are found if this process dies.
        first.len.store(run.len, Ordering::Relaxed);
        for index in run.first + 1..run.first + run.len {
            let unit = self.unit(index);
            unit.home.store(run.first, Ordering::Relaxed);
            unit.set(UnitState::Part);
        }
        first.set(UnitState::Open(by));
        self.header().clock.fetch_add(1, Ordering::Relaxed);
        Some(run)
    }

    fn take_run(&self, by: Seat, from: u32, to: u32, len: u32) -> Option<Run> {
        let (free, taken) = (UnitWord::new(UnitState::Free, 0), UnitWord::new(UnitState::Taken(by), 0));
        let mut first = from;
        while first.checked_add(len)? <= to {
            // From the back, so that the search goes on behind the last unit that is not free.
            if let Some(index) = (first..first + len).rev().find(|index| self.unit(*index).state() != free) {
                first = index + 1;
                continue;
            }
            if let Some(index) = (first..first + len).find(|index| !self.unit(*index).swap(free, taken)) {
                (first..index).for_each(|mine| self.unit(mine).set(UnitState::Free));
                first = index + 1;
                continue;
            }
            return Some(Run { first, len });
        }
        None
    }

    /// Closes the lease. Gives it back if it is empty.
    pub fn close(&self, by: Seat, first: u32) {
        let unit = self.unit(first);
        let mut seen = unit.state();
        while seen.state() == UnitState::Open(by) {
            if unit.swap(seen, seen.closed()) {
                if seen.live() == 0 {
                    self.end_lease(by, first);
                }
                return;
            }
            seen = unit.state();
        }
    }

    /// Notes that an object in the lease has another slot now: for example, a draft is a task's result.
    pub fn move_within(&self, first: u32) {
        self.unit(first).move_within();
    }

    /// Counts one object less in the lease. The last one of a closed lease gives it back.
    pub fn leave(&self, by: Seat, first: u32) {
        let unit = self.unit(first);
        let mut seen = unit.state();
        // Not a subtraction: an invalid count in shared memory must not wrap below zero.
        while seen.live() > 0 {
            let fewer = seen.with_live(seen.live() - 1);
            if unit.swap(seen, fewer) {
                if fewer.live() == 0 && fewer.state() == UnitState::Closed {
                    self.end_lease(by, first);
                }
                return;
            }
            seen = unit.state();
        }
    }

    /// Gives back a closed, empty lease. Does nothing if another process does.
    pub fn end_lease(&self, by: Seat, first: u32) {
        let unit = self.unit(first);
        let seen = unit.state();
        if seen.state() == UnitState::Closed
            && seen.live() == 0
            && unit.swap(seen, UnitWord::new(UnitState::Taken(by), 0))
        {
            self.free_taken(first);
        }
    }

    /// Frees a unit that is `Taken`, after the parts of the lease that began there.
    pub fn free_taken(&self, first: u32) {
        let len = self.unit(first).len.load(Ordering::Relaxed).min(self.units().saturating_sub(first));
        for index in (first..first.saturating_add(len)).skip(1) {
            let part = self.unit(index);
            if part.state().state() == UnitState::Part && part.home.load(Ordering::Relaxed) == first {
                part.set(UnitState::Free);
            }
        }
        self.unit(first).len.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        self.unit(first).set(UnitState::Free);
        // The units that were used last are warm.
        self.header().units_hint.store(first, Ordering::Relaxed);
    }

    /// Takes back the open, empty leases of all processes; their owners find out when they next want room.
    pub fn take_empty_leases(&self, by: Seat) {
        for index in 0..self.units() {
            let unit = self.unit(index);
            let seen = unit.state();
            if matches!(seen.state(), UnitState::Open(_))
                && seen.live() == 0
                && unit.swap(seen, UnitWord::new(UnitState::Taken(by), 0))
            {
                self.free_taken(index);
            }
        }
    }

    /// All units: leases as whole runs, the other units one by one.
    pub fn leases(&self) -> impl Iterator<Item = Run> {
        (0..self.units()).filter_map(|first| match self.unit(first).state().state() {
            UnitState::Part => None,
            UnitState::Free | UnitState::Taken(_) => Some(Run { first, len: 1 }),
            UnitState::Open(_) | UnitState::Closed => {
                Some(Run { first, len: self.unit(first).len.load(Ordering::Relaxed).clamp(1, self.units() - first) })
            }
        })
    }

    /// The number of free units.
    pub fn units_free(&self) -> u32 {
        (0..self.units()).filter(|index| self.unit(*index).state().state() == UnitState::Free).count() as u32
    }

    /// Whether a unit is free.
    pub fn is_free(&self, unit: u32) -> bool {
        unit < self.units() && self.unit(unit).state().state() == UnitState::Free
    }

    /// The length of the longest run of free units.
    pub fn longest_free_run(&self) -> u32 {
        let (mut longest, mut run) = (0, 0);
        for index in 0..self.units() {
            run = if self.unit(index).state().state() == UnitState::Free { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;

    const ALICE: Seat = Seat(1);

    fn arena(units: u32) -> Segment {
        let segment = Segment::stand_in(Limits { slots: 64, units, ring: 2 });
        segment.header().units.store(units, Ordering::Relaxed);
        segment
    }

    #[test]
    fn a_lease_is_given_back_when_it_is_closed_and_nothing_is_in_it() {
        let segment = arena(8);
        let run = segment.lease(ALICE, 3).unwrap();
        assert_eq!(segment.unit(run.first).settle_in(ALICE), Some(0));
        segment.close(ALICE, run.first);
        assert_eq!(segment.units_free(), 5);
        segment.leave(Seat(2), run.first);
        assert_eq!(segment.units_free(), 8);
    }

    #[test]
    fn an_empty_lease_can_be_taken_back_and_one_that_is_not_cannot() {
        let segment = arena(8);
        let [empty, used] = [2, 3].map(|len| segment.lease(ALICE, len).unwrap());
        segment.unit(used.first).settle_in(ALICE).unwrap();
        segment.take_empty_leases(Seat::HEAD);
        assert_eq!(segment.units_free(), 5);
        assert_eq!(segment.unit(empty.first).settle_in(ALICE), None);
        assert_eq!(segment.unit(used.first).settle_in(ALICE), Some(1));
    }

    #[test]
    fn a_run_is_found_between_others_and_never_given_twice() {
        let segment = arena(8);
        let runs = [2, 3, 3].map(|len| segment.lease(ALICE, len).unwrap());
        assert!(segment.lease(ALICE, 1).is_none());
        segment.close(ALICE, runs[1].first);
        assert_eq!(segment.longest_free_run(), 3);
        assert_eq!(segment.lease(Seat(2), 3), Some(runs[1]));
    }

    #[test]
    fn a_unit_that_was_given_to_somebody_else_is_not_freed_with_its_old_lease() {
        let segment = arena(4);
        let run = segment.lease(ALICE, 4).unwrap();
        segment.close(ALICE, run.first);
        let other = segment.lease(Seat(2), 2).unwrap();
        // As if the process that ended the old lease had died, and the head finished for it.
        segment.end_lease(Seat::HEAD, run.first);
        assert_eq!((segment.units_free(), segment.unit(other.first).state().state()), (2, UnitState::Open(Seat(2))));
    }
}
