//! Recovery after a death: the head finds and completes what the dead process left half-done.
//!
//! ```text
//!   bury:   its bits go, its leases are closed, its slots are nobody's, what it was freeing is freed, what it was running is lost
//!   audit:  note all counts ─▶ let everybody finish ─▶ count what is really there ─▶ let everybody finish ─▶ correct what is too high
//! ```
//!
//! All of it is derived from the words of slots and units, and doing it twice does no harm. Counts (of holds, and of what lives in a
//! lease) can be too high after a death, never too low: the audit finds those. It runs while everybody else goes on. A count that
//! anybody has touched since it was noted is left for another time. The two pauses make the rest certain: whoever had counted something
//! before the note, and had not shown it yet, has shown it before we look; whoever has hidden something that we did not see any more has
//! counted it down before we correct, so that its count is not what was noted.
//!
//! # Invariants
//! - Only the head calls this, and only for a process that runs no more.

use super::Id;
use super::leases::Leases;
use super::objects::{HOLD, HOLDS, Kind, Leftovers};
use super::seat::Seat;
use super::segment::Segment;
use super::units::{UnitState, UnitWord};
use super::word::{Flags, State, Step};
use crate::sync::{Ordering, pause};
use std::collections::HashMap;

/// How often somebody is looked at who is in the middle of something, until it is taken for stopped.
const TURNS_MAX: u32 = 200_000;

/// What a dead process leaves for the head to see to.
#[derive(Debug, Default)]
pub struct Estate {
    /// Tasks that it ran.
    pub lost: Vec<Id>,
    /// Tasks that are in no ring any more; the head's is the place for them.
    pub pending: Vec<Id>,
    /// Objects that may have been its alone.
    pub loose: Vec<Id>,
}

/// What is not cleared away of what a dead process had.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// Nothing.
    Nothing,
    /// All that it referred to and read: somebody may still take its place.
    Had,
    /// What the process has that takes its place.
    These(&'a HashMap<Id, Kind>),
}

impl Keep<'_> {
    /// Whether the object is still referred to, and whether it is still read.
    fn of(self, id: Id) -> (bool, bool) {
        match self {
            Keep::Nothing => (false, false),
            Keep::Had => (true, true),
            Keep::These(these) => these.get(&id).map_or((false, false), |kind| (true, *kind == Kind::Pin)),
        }
    }
}

impl Segment {
    /// Clears away what the process in this seat has left, but for what is to be kept.
    pub fn bury(&self, dead: Seat, keep: Keep<'_>) -> Estate {
        debug_assert_ne!(dead, Seat::HEAD, "the head does not bury itself");
        let mut estate = Estate::default();
        self.bury_leases(dead);
        for index in 1..self.slots_used() {
            self.bury_in_slot(index, dead, keep, &mut estate);
        }
        self.recount_slots();
        // Its ring's tasks are pending, and were found as such.
        let desk = self.desk(dead);
        desk.head.store(desk.tail.load(Ordering::Acquire), Ordering::Release);
        let header = self.header();
        for set in [&header.idle, &header.seeking, &header.active, &header.rings] {
            set.remove(dead);
        }
        // It may have been about to say again that there is something in a ring; see `quiet`.
        for of in header.taken.iter().filter(|of| *of != dead && self.has_entries(*of)) {
            header.rings.add(of);
        }
        for flag in [&desk.leased, &desk.wrote, &desk.asleep, &desk.blocked, &desk.heeded] {
            flag.store(0, Ordering::Release);
        }
        desk.current.store(0, Ordering::Release);
        desk.interrupted.store(0, Ordering::Release);
        if desk.busy.load(Ordering::Acquire) % 2 == 1 {
            desk.busy.fetch_add(1, Ordering::AcqRel);
        }
        estate
    }

    fn bury_leases(&self, dead: Seat) {
        for index in 0..self.units() {
            match self.unit(index).state().state() {
                UnitState::Taken(by) if by == dead => self.free_taken(index),
                UnitState::Open(by) if by == dead => self.close(dead, index),
                _ => {}
            }
        }
    }

    fn bury_in_slot(&self, index: u32, dead: Seat, keep: Keep<'_>, estate: &mut Estate) {
        let slot = self.slot(index);
        let word = slot.word();
        let id = Id::new(index, word.generation());
        let owned = word.owner() == Some(dead);
        match word.state() {
            State::Free if owned => {
                // It may have been about to make an object of it, to which it refers.
                slot.refs.remove(dead);
                if let Some(loose) = word.after(Step::Return { by: dead })
                    && slot.swap(word, loose).is_ok()
                {
                    self.offer_slot(index);
                }
                return;
            }
            State::Free => {
                // Whoever takes bits away looks at their slots. If that was the dead one, nobody would look at this one again.
                if word.owner().is_none() && self.hint(index / 64).load(Ordering::Relaxed) >> (index % 64) & 1 == 0 {
                    self.offer_slot(index);
                }
                return;
            }
            State::Pending if owned => {
                if let Some(adopted) = word.after(Step::Adopt { by: Seat::HEAD })
                    && slot.swap(word, adopted).is_ok()
                {
                    estate.pending.push(id);
                }
            }
            State::Running if owned => estate.lost.push(id),
            State::Dying if owned => {
                // It was looking whether the object can go; we look.
                self.spare(id, dead);
                estate.loose.push(id);
            }
            _ => {}
        }
        let (is_kept, is_pin_kept) = keep.of(id);
        let unpinned = !is_pin_kept && slot.pins.remove(dead);
        let unreferenced = !is_kept && slot.refs.remove(dead);
        slot.waiters.remove(dead);
        // Or it had let go of it already and was about to free it.
        if unpinned || unreferenced || slot.is_unused() {
            estate.loose.push(id);
        }
        if word.is_sealed() && !slot.waiters.is_empty() {
            // Whoever sealed it may have been about to tell them.
            self.tell_waiters(index);
        }
    }

    /// Tasks that waited for an object whose list somebody was about to take when it died.
    pub fn unclosed(&self) -> Vec<Id> {
        let mut tasks = Vec::new();
        for index in 1..self.slots_used() {
            let slot = self.slot(index);
            if slot.word().is_sealed() && slot.deps.load(Ordering::Acquire) != 0 {
                tasks.extend(self.take_list(index));
            }
        }
        tasks
    }

    /// All tasks that wait for arguments.
    pub fn waiting(&self) -> Vec<Id> {
        let ids = (1..self.slots_used()).map(|index| (index, self.slot(index).word()));
        ids.filter(|(_, word)| word.state() == State::Waiting)
            .map(|(index, word)| Id::new(index, word.generation()))
            .collect()
    }

    /// Waits until everybody who is in the middle of moving counts is through. False when somebody does not get through, because it was
    /// stopped: then nothing is certain.
    pub fn let_finish(&self) -> bool {
        self.header().taken.iter().filter(|seat| *seat != Seat::HEAD).all(|seat| {
            let desk = self.desk(seat);
            let begun = desk.busy.load(Ordering::Acquire);
            begun.is_multiple_of(2)
                || (0..TURNS_MAX).any(|_| {
                    pause();
                    desk.busy.load(Ordering::Acquire) != begun
                })
        })
    }

    /// Corrects counts that a death has left too high, and frees what nothing keeps any more. False when it could not be certain.
    pub fn audit(&self, head: &mut Leases, leftovers: &mut Leftovers) -> bool {
        debug_assert_eq!(head.seat, Seat::HEAD, "only the head corrects counts");
        let used = self.slots_used();
        let holds: Vec<u64> = (0..used).map(|index| self.slot(index).holds.load(Ordering::Acquire)).collect();
        let units: Vec<UnitWord> = (0..self.units()).map(|index| self.unit(index).state()).collect();
        if !self.let_finish() {
            return false;
        }
        let mut held = vec![0_u64; used as usize];
        let mut live = vec![0_u64; units.len()];
        for index in 1..used {
            self.count_in_slot(index, &mut held, &mut live);
        }
        if !self.let_finish() {
            return false;
        }
        let mut loose = Vec::new();
        for (index, (noted, found)) in (0..).zip(holds.iter().zip(&held)) {
            let slot = self.slot(index);
            if noted & HOLDS > *found {
                let right = noted & !HOLDS | found;
                let corrected = slot.holds.compare_exchange(*noted, right, Ordering::AcqRel, Ordering::Acquire);
                if corrected.is_ok() && *found == 0 {
                    loose.push(Id::new(index, slot.word().generation()));
                }
            }
        }
        for (index, (noted, found)) in (0..).zip(units.iter().zip(&live)) {
            // Of an open lease, too: whoever frees an object in it may have died over that. Its owner counts as it settles in.
            if matches!(noted.state(), UnitState::Closed | UnitState::Open(_)) && noted.live() > *found {
                self.unit(index).correct(*noted, *found);
            }
            // Also one that was empty when its last leaver died.
            self.end_lease(Seat::HEAD, index);
        }
        self.collect(head, loose, leftovers);
        true
    }

    fn count_in_slot(&self, index: u32, held: &mut [u64], live: &mut [u64]) {
        let slot = self.slot(index);
        let word = slot.word();
        let flags = word.flags();
        let mut hold = |id: Id| {
            if self.slot(id.slot()).word().generation() == id.generation()
                && let Some(count) = held.get_mut(id.slot() as usize)
            {
                *count += 1;
            }
        };
        let mut settle = |home: u32| {
            if let Some(count) = live.get_mut(home as usize) {
                *count += 1;
            }
        };
        if word.is_task() && flags.contains(Flags::ARGS) {
            self.read_spec(index).objects().for_each(&mut hold);
        }
        if flags.contains(Flags::ARENA) {
            settle(slot.home.load(Ordering::Relaxed));
        }
        if flags.contains(Flags::CONTAINS) {
            let contained = self.contained(slot);
            if contained.len() > super::layout::CONTAINED_INLINE {
                settle(slot.list_home.load(Ordering::Relaxed));
            }
            contained.into_iter().for_each(&mut hold);
        }
    }

    /// Whether nothing is left of any object: no slot that is not free, nothing in the arena, no hold. For tests.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for index in 1..self.slots_used() {
            let slot = self.slot(index);
            let word = slot.word();
            let held = slot.holds.load(Ordering::Acquire) & HOLDS;
            if word.state() != State::Free || word.flags() != Flags::empty() || held != 0 {
                leaks.push(format!("slot {index}: {word:?}, {held} holds"));
            }
            if !slot.refs.is_empty() || !slot.pins.is_empty() {
                leaks.push(format!("slot {index}: somebody has it"));
            }
        }
        let live: Vec<String> = (0..self.units())
            .filter(|index| !matches!(self.unit(*index).state().state(), UnitState::Free))
            .filter(|index| match self.unit(*index).state().state() {
                // An open lease in which nothing is: its owner lives.
                UnitState::Open(_) => self.unit(*index).state().live() > 0,
                UnitState::Part => {
                    let home = self.unit(self.unit(*index).home.load(Ordering::Relaxed)).state();
                    !matches!(home.state(), UnitState::Open(_) | UnitState::Closed)
                }
                _ => true,
            })
            .map(|index| format!("unit {index}: {:?}", self.unit(index).state()))
            .collect();
        leaks.extend(live);
        leaks
    }
}

// The two halves of the counter of holds do not overlap.
const _: () = assert!(HOLD == 1 + (1 << 32) && HOLDS == u32::MAX as u64);
