//! Recovery after a death: the head finds and completes what the dead process left half-done.
//!
//! ```text
//!   bury:   clear its bits, close its leases, return its slots, free what it was freeing, report the tasks that it was running
//!   audit:  note all counts ─▶ let processes finish ─▶ count again ─▶ let processes finish ─▶ correct what is too high
//! ```
//!
//! Everything is derived from the words of slots and units, and doing it twice does no harm. After a death, counts (of holds, and of live
//! objects in a lease) can be too high, never too low; the audit finds those. It runs while all other processes go on, and leaves a count
//! that has changed since the note for another time. The two pauses make the rest certain. A process that had counted something before the
//! note has shown it before the second count. A process that had hidden something before the second count has also counted it down before
//! the correction, so its count is not the noted one.
//! # Invariants
//! - Only the head calls this, and only for a process that runs no more.

use super::Id;
use super::layout::Desk;
use super::leases::Leases;
use super::objects::{HOLD, HOLDS, Kind, Leftovers};
use super::seat::Seat;
use super::segment::Segment;
use super::units::{UnitState, UnitWord};
use super::word::{Flags, State, Step};
use crate::sync::{Ordering, pause};
use std::collections::HashMap;

/// How often the head checks a process that is moving counts, until it takes the process for stopped.
const TURNS_MAX: u32 = 200_000;

/// What a dead process leaves for the head to handle.
#[derive(Debug, Default)]
pub struct Estate {
    /// Tasks that it ran.
    pub lost: Vec<Id>,
    /// Tasks that are in no ring any more; the head puts them into its own.
    pub pending: Vec<Id>,
    /// Objects that perhaps only it kept.
    pub loose: Vec<Id>,
}

/// Which references and pins of a dead process to keep.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// None.
    Nothing,
    /// All of them: a twin may still take its place.
    Had,
    /// Those of the twin that takes its place.
    These(&'a HashMap<Id, Kind>),
}

impl Keep<'_> {
    /// Whether the reference to the object is kept, and whether its pin is.
    fn of(self, id: Id) -> (bool, bool) {
        match self {
            Keep::Nothing => (false, false),
            Keep::Had => (true, true),
            Keep::These(these) => these.get(&id).map_or((false, false), |kind| (true, *kind == Kind::Pin)),
        }
    }
}

impl Segment {
    /// Clears away what the dead process in this seat has left, except for what is to be kept.
    pub fn bury(&self, dead: Seat, keep: Keep<'_>) -> Estate {
        debug_assert_ne!(dead, Seat::HEAD, "the head does not bury itself");
        let mut estate = Estate::default();
        self.bury_leases(dead);
        for index in 1..self.slots_used() {
            self.bury_in_slot(index, dead, keep, &mut estate);
        }
        self.recount_slots();
        // The tasks in its ring are pending, and were found as such.
        let desk = self.desk(dead);
        desk.head.store(desk.tail.load(Ordering::Acquire), Ordering::Release);
        let header = self.header();
        for set in [&header.idle, &header.seeking, &header.active, &header.rings] {
            set.remove(dead);
        }
        // The dead process may have cleared the bit of a ring with tasks and not set it again; see `quiet`.
        for of in header.taken.iter().filter(|of| *of != dead && self.has_entries(*of)) {
            header.rings.add(of);
        }
        for flag in [&desk.leased, &desk.wrote, &desk.asleep, &desk.blocked, &desk.heeded] {
            flag.store(0, Ordering::Release);
        }
        desk.current.store(0, Ordering::Release);
        desk.assigned.store(0, Ordering::Release);
        desk.offer.is_allowed.store(0, Ordering::Release);
        estate.pending.extend(self.withdraw_offer(dead));
        self.forget_strands(dead);
        desk.hints.iter().for_each(|hint| hint.store(0, Ordering::Release));
        if desk.interrupted.load(Ordering::Acquire) != Desk::DROPPED {
            desk.interrupted.store(0, Ordering::Release);
        }
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
                // The process may have died while it sealed an object there, with its reference bit already set.
                slot.refs.remove(dead);
                if let Some(loose) = word.after(Step::Return { by: dead })
                    && slot.swap(word, loose).is_ok()
                {
                    self.offer_slot(index);
                }
                return;
            }
            State::Free => {
                // A process that takes hint bits then leases the slots. If that was the dead one, no process would find this slot again.
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
                // The dead process was checking whether the object can be freed; now the head checks.
                self.spare(id, dead);
                estate.loose.push(id);
            }
            _ => {}
        }
        let (is_kept, is_pin_kept) = keep.of(id);
        let unpinned = !is_pin_kept && slot.pins.remove(dead);
        let unreferenced = !is_kept && slot.refs.remove(dead);
        slot.waiters.remove(dead);
        // Or the dead process had released it already and was about to free it.
        if unpinned || unreferenced || slot.is_unused() {
            estate.loose.push(id);
        }
        if word.is_sealed() && !slot.waiters.is_empty() {
            // Its sealer may have died before it told the waiters.
            self.tell_waiters(index);
        }
    }

    /// Takes the lists of sealed objects whose sealer died before it took them, and returns the tasks.
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

    /// Waits until every process that is moving counts has finished. False when one does not finish, because it was stopped: then nothing
    /// is certain.
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
        for logged in self.all_logged() {
            if let Some(count) = held.get_mut(logged.slot() as usize) {
                *count += 1;
            }
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
            // Of an open lease, too: a process that freed an object in it may have died over that. The owner's `settle_in` changes the
            // word.
            if matches!(noted.state(), UnitState::Closed | UnitState::Open(_)) && noted.live() > *found {
                self.unit(index).correct(*noted, *found);
            }
            // Also ends a lease that was empty when the last process to leave it died.
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
        if flags.contains(Flags::ARGS) {
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

    /// What is left of objects: slots that are not free, room in the arena, holds. Empty when nothing leaks. For tests.
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
                // An open, empty lease is no leak: its owner lives.
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
