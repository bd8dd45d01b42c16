//! Reference counting of objects, and how an object is freed.
//!
//! ```text
//!   refs   processes that refer to it       (a bit each; every process counts its own handles privately)
//!   pins   processes that read its bytes    (a bit each; while there is one, the bytes stay where they are)
//!   holds  tasks and objects that keep it   (a count)
//!
//!   to have it:  add mine ──fence──▶ look at the word: sealed, mine │ dying: wait, somebody looks whether it can go
//!   to free it:  Sealed ──▶ Dying(me) ──fence──▶ look at holds, refs, pins: none ──▶ gone │ some ──▶ Sealed again
//! ```
//!
//! Either the one who adds sees that the object is dying, or the one who frees sees what was added. Freeing, evicting and spilling are
//! this one handshake.
//!
//! # Invariants
//! - Who adds does not let go of what it had before (another bit, a hold) until it has seen that the object is not dying. So while an
//!   object is dying, whatever keeps it stays visible where it is.
//! - A hold is added before what holds is visible, and taken away after it is not any more: who dies in between leaves too many holds,
//!   never too few.

use super::layout::{CONTAINED_INLINE, Slot};
use super::leases::Leases;
use super::seat::{Seat, Seats};
use super::segment::Segment;
use super::word::{Flags, State, Step, Word};
use super::{Id, Space};
use crate::sync::{Ordering, fence, fence_after_rmw, pause};
use std::collections::HashSet;

/// The high half of the counter of holds: it goes up with each hold, so that a change and its reverse do not look like nothing.
pub const HOLD: u64 = 1 << 32 | 1;
/// The low half.
pub const HOLDS: u64 = u32::MAX as u64;

/// How a process has an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It refers to it.
    Ref,
    /// It reads its bytes.
    Pin,
}

/// Where an object's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// In its slot.
    Inline {
        /// Bytes.
        len: u64,
    },
    /// In the arena.
    Arena {
        /// Bytes from the arena's start.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// On disk.
    Spilled {
        /// Bytes from the file's start.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// Nowhere: its task failed.
    Failed,
}

/// What an object left that others must see to.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Bytes on disk that nobody needs: offset and length.
    pub spilled: Vec<(u64, u64)>,
}

impl Slot {
    fn holders(&self, kind: Kind) -> &Seats {
        match kind {
            Kind::Ref => &self.refs,
            Kind::Pin => &self.pins,
        }
    }

    /// Whether nobody has it.
    pub(super) fn is_unused(&self) -> bool {
        self.holds.load(Ordering::Acquire) & HOLDS == 0 && self.refs.is_empty() && self.pins.is_empty()
    }
}

impl Segment {
    /// The word of an object after something was added to it, once nobody is looking whether it can go. `None` when there is no such
    /// object any more.
    fn settled(&self, id: Id) -> Option<Word> {
        let slot = self.slot(id.slot());
        // Pairs with the fence in `condemn`: one of us sees what the other one did. What was added was added by one instruction.
        fence_after_rmw();
        let mut turns = 0_u32;
        loop {
            let word = slot.word();
            if word.generation() != id.generation() || word.state() == State::Free {
                return None;
            }
            if word.state() != State::Dying {
                return Some(word);
            }
            if !self.waits_for(word, &mut turns) && slot.word() == word {
                return None;
            }
        }
    }

    /// Waits a little for the one who looks whether an object can go: a few instructions, unless it was stopped; if it died, the head
    /// finishes for it. So the head itself never waits here. False when nobody will: the word is nonsense, unless it is another one by now.
    fn waits_for(&self, word: Word, turns: &mut u32) -> bool {
        *turns = turns.saturating_add(1);
        if *turns < 1000 {
            pause();
            return true;
        }
        nap();
        // Who died has its seat until the head has finished for it.
        word.owner().is_some_and(|by| self.header().taken.has(by))
    }

    /// This process has the object from now on. False when there is no such object. It must not be freed meanwhile: the caller has it in
    /// another way, or reads a value that keeps it.
    pub fn add(&self, id: Id, kind: Kind, by: Seat) -> bool {
        let holders = self.slot(id.slot()).holders(kind);
        let was_new = holders.add(by);
        let exists = self.settled(id).is_some();
        if !exists && was_new {
            holders.remove(by);
        }
        exists
    }

    /// Pins the object's bytes, which must be in the arena, and says where they are.
    ///
    /// # Errors
    /// Where they are instead; `None` when there is no such object or it is not there yet.
    pub fn pin(&self, id: Id, by: Seat) -> Result<(u64, u64), Option<Body>> {
        let slot = self.slot(id.slot());
        let was_new = slot.pins.add(by);
        let word = self.settled(id).filter(|word| word.is_sealed());
        let body = word.map(|word| self.body_of(slot, word));
        // The bytes stay where they are from here on: whoever wants to move them sees the pin.
        match body {
            Some(Body::Arena { offset, len }) => Ok((offset, len)),
            other => {
                if was_new {
                    slot.pins.remove(by);
                }
                Err(other)
            }
        }
    }

    /// This process has the object no longer in this way. Does not free it; see [`Segment::collect`].
    pub fn remove(&self, id: Id, kind: Kind, by: Seat) {
        let slot = self.slot(id.slot());
        if slot.word().generation() == id.generation() {
            slot.holders(kind).remove(by);
            // Of two who let go in the same moment, one sees that the other one has: it frees.
            fence_after_rmw();
        }
    }

    /// One task or object more keeps it. The caller refers to it.
    pub fn hold(&self, id: Id) -> bool {
        let slot = self.slot(id.slot());
        if slot.word().generation() != id.generation() {
            return false;
        }
        slot.holds.fetch_add(HOLD, Ordering::AcqRel);
        self.settled(id).is_some()
    }

    /// One task or object less keeps it. True when it was the last one.
    pub fn unhold(&self, id: Id) -> bool {
        let slot = self.slot(id.slot());
        if slot.word().generation() != id.generation() {
            return false;
        }
        let mut seen = slot.holds.load(Ordering::Acquire);
        // Not a subtraction: after a repair, one too many must not make it fewer than none.
        while seen & HOLDS > 0 {
            match slot.holds.compare_exchange(seen, seen - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    // As in `remove`.
                    fence_after_rmw();
                    return seen & HOLDS == 1;
                }
                Err(other) => seen = other,
            }
        }
        true
    }

    /// Where the bytes of a sealed object are. Waits while somebody looks whether it can go.
    pub fn body(&self, id: Id) -> Option<Body> {
        let slot = self.slot(id.slot());
        let mut turns = 0;
        loop {
            let word = slot.word();
            if word.generation() != id.generation() || !(word.is_sealed() || word.state() == State::Dying) {
                return None;
            }
            let body = self.body_now(id);
            if body.is_some() || !self.waits_for(word, &mut turns) && slot.word() == word {
                return body;
            }
        }
    }

    /// Where the bytes of a sealed object are, if nobody is about to free or move it. For the head, for which nobody finishes what the
    /// dead have begun.
    pub fn body_now(&self, id: Id) -> Option<Body> {
        let slot = self.slot(id.slot());
        loop {
            let word = slot.word();
            if word.generation() != id.generation() || !word.is_sealed() {
                return None;
            }
            let body = self.body_of(slot, word);
            fence(Ordering::Acquire);
            // The same word before and after, so the fields in between belong to it.
            if slot.word() == word {
                return Some(body);
            }
        }
    }

    fn body_of(&self, slot: &Slot, word: Word) -> Body {
        let place = || (slot.offset.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
        let flags = word.flags();
        if flags.contains(Flags::ERROR) {
            Body::Failed
        } else if flags.contains(Flags::ARENA) {
            let (offset, len) = place();
            Body::Arena { offset, len }
        } else if flags.contains(Flags::SPILLED) {
            let (offset, len) = place();
            Body::Spilled { offset, len }
        } else {
            Body::Inline { len: u64::from(word.version()).min(super::layout::INLINE_BYTES as u64) }
        }
    }

    /// Begins to free an object: nobody can add anything to it until `condemn`'s caller has ended what it begins. Gives the word, which
    /// is `Dying(by)`. `None` when somebody has it, or somebody else frees it; a task that is not done is marked, so that whoever seals
    /// its result frees it.
    pub fn condemn(&self, id: Id, by: Seat) -> Option<Word> {
        let slot = self.slot(id.slot());
        loop {
            let word = slot.word();
            if word.generation() != id.generation() || !slot.is_unused() {
                return None;
            }
            if word.is_task() {
                let abandoned = word.after(Step::Abandon)?;
                match slot.swap(word, abandoned) {
                    Ok(()) => return None,
                    // It was claimed, or sealed, in this moment.
                    Err(_) => continue,
                }
            }
            let dying = word.after(Step::Condemn { by })?;
            if slot.swap(word, dying).is_err() {
                continue;
            }
            // Pairs with the fence in `settled`.
            fence_after_rmw();
            if slot.is_unused() {
                return Some(dying);
            }
            self.spare(id, by);
            // Whoever let go of it in between has left it to us: look again.
        }
    }

    /// Does not free an object after all.
    pub fn spare(&self, id: Id, by: Seat) {
        let slot = self.slot(id.slot());
        let word = slot.word();
        if let Some(spared) = word.after(Step::Spare { by }) {
            let _ = slot.swap(word, spared);
        }
        fence(Ordering::SeqCst);
    }

    /// Frees the objects if nobody has them, and whatever only they kept. A loop, not a recursion: a list of a million nested refs must
    /// not end the stack.
    pub fn collect(&self, leases: &mut Leases, mut loose: Vec<Id>, leftovers: &mut Leftovers) {
        while let Some(id) = loose.pop() {
            self.collect_one(leases, id, &mut loose, leftovers);
        }
    }

    /// Frees one object if nobody has it; puts what only it may have kept on the list.
    pub fn collect_one(&self, leases: &mut Leases, id: Id, loose: &mut Vec<Id>, leftovers: &mut Leftovers) {
        let seat = leases.seat;
        let slot = self.slot(id.slot());
        if let Some(word) = self.condemn(id, seat) {
            self.free_dying(leases, slot, word, id, loose, leftovers);
        }
    }

    /// Ends what `condemn` began. Also how the head ends it for a process that died in between.
    pub fn free_dying(
        &self,
        leases: &mut Leases,
        slot: &Slot,
        word: Word,
        id: Id,
        loose: &mut Vec<Id>,
        leftovers: &mut Leftovers,
    ) {
        let (seat, flags) = (leases.seat, word.flags());
        debug_assert_eq!(
            (word.state(), word.owner()),
            (State::Dying, Some(seat)),
            "who frees an object has condemned it"
        );
        if flags == Flags::empty() || flags == Flags::ERROR {
            // Nothing was kept: nothing is counted.
            if let Some(free) = word.after(Step::Free { by: seat })
                && slot.swap(word, free).is_ok()
            {
                leases.keep_slot(id.slot());
            }
            return;
        }
        let contained = if flags.contains(Flags::CONTAINS) { self.contained(slot) } else { Vec::new() };
        let has_list = flags.contains(Flags::CONTAINS) && contained.len() > CONTAINED_INLINE;
        let (home, list_home) = (slot.home.load(Ordering::Relaxed), slot.list_home.load(Ordering::Relaxed));
        let place = (slot.offset.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
        let Some(stripped) = word.after(Step::Strip { by: seat }) else { return };
        leases.moves();
        // First it is no holder any more, then what it held is counted down: see the invariants.
        if slot.swap(word, stripped).is_ok() {
            if flags.contains(Flags::ARENA) {
                self.leave(seat, home);
            }
            if has_list {
                self.leave(seat, list_home);
            }
            for inner in contained {
                if self.unhold(inner) {
                    loose.push(inner);
                }
            }
            if flags.contains(Flags::SPILLED) {
                leftovers.spilled.push(place);
            }
            if let Some(free) = stripped.after(Step::Free { by: seat })
                && slot.swap(stripped, free).is_ok()
            {
                leases.keep_slot(id.slot());
            }
        }
        leases.moved();
    }

    /// The leases in which there is an object that somebody reads.
    pub fn read_leases(&self) -> HashSet<u32> {
        let slots = (1..self.slots_used()).map(|index| self.slot(index));
        slots.filter(|slot| !slot.pins.is_empty()).map(|slot| slot.home.load(Ordering::Relaxed)).collect()
    }

    /// The ids that an object's bytes refer to, as it names them in its slot. A longer list is in the arena, which the reader of
    /// [`Segment::set_long_list`] gives.
    pub fn contained(&self, slot: &Slot) -> Vec<Id> {
        let count = slot.contained.load(Ordering::Relaxed) as usize;
        if count > CONTAINED_INLINE {
            return self.long_list(slot.list.load(Ordering::Relaxed), count);
        }
        slot.contains[..count].iter().map(|id| Id(id.load(Ordering::Relaxed))).collect()
    }

    /// Says in an empty slot, or in a task's, what the object will contain. A list that is too long for the slot is in `list`.
    pub fn set_contained(&self, index: u32, ids: &[Id], list: Option<Space>) {
        debug_assert_eq!(list.is_some(), ids.len() > CONTAINED_INLINE, "a list that fits is in the slot");
        let slot = self.slot(index);
        slot.contained.store(ids.len() as u32, Ordering::Relaxed);
        match list {
            None => slot.contains.iter().zip(ids).for_each(|(place, id)| place.store(id.0, Ordering::Relaxed)),
            Some(space) => {
                slot.list.store(space.offset, Ordering::Relaxed);
                slot.list_home.store(space.home, Ordering::Relaxed);
            }
        }
    }

    /// Writes a small object's bytes into a slot of this process's.
    pub fn write_inline(&self, index: u32, bytes: &[u8]) {
        debug_assert!(bytes.len() <= super::layout::INLINE_BYTES, "bytes in a slot fit into it");
        let slot = self.slot(index);
        let (words, rest) = bytes.as_chunks::<8>();
        for (place, word) in slot.inline.iter().zip(words) {
            place.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        if let (Some(place), false) = (slot.inline.get(words.len()), rest.is_empty()) {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            place.store(u64::from_ne_bytes(last), Ordering::Relaxed);
        }
    }

    /// A copy of `len` bytes of a small object; `into` has room for all that a slot can have.
    pub fn read_inline(&self, index: u32, len: usize, into: &mut [u8; super::layout::INLINE_BYTES]) {
        let slot = self.slot(index);
        for (place, word) in into.as_chunks_mut::<8>().0.iter_mut().zip(&slot.inline).take(len.div_ceil(8)) {
            *place = word.load(Ordering::Relaxed).to_ne_bytes();
        }
    }
}

/// Waits for somebody who does not run at the moment.
fn nap() {
    #[cfg(not(loom))]
    std::thread::sleep(std::time::Duration::from_micros(50));
    #[cfg(loom)]
    pause();
}
