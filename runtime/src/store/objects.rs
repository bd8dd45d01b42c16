//! Reference counting of objects, and how an object is freed.
//!
//! ```text
//!   refs   processes that refer to it       (a bit each; every process counts its own handles privately)
//!   pins   processes that read its bytes    (a bit each; while there is one, the bytes stay where they are)
//!   holds  tasks and objects that keep it   (a count)
//!
//!   to have it:  add mine ──fence──▶ read the word: sealed, mine │ dying: wait, its owner checks whether it can be freed
//!   to free it:  Sealed ──▶ Dying(me) ──fence──▶ read holds, refs, pins: none ──▶ gone │ some ──▶ Sealed again
//! ```
//!
//! Either the adding process sees that the object is dying, or the freeing process sees what was added. Freeing, evicting and spilling are
//! this one handshake.
//!
//! # Invariants
//! - A process that adds a bit keeps what it had before (another bit, a hold) until it has seen that the object is not dying. So while an
//!   object is dying, everything that keeps it stays visible where it is.
//! - A hold is added before its holder is visible, and removed after the holder is hidden. So a process that dies in between leaves too
//!   many holds, never too few.

use super::layout::{CONTAINED_INLINE, Slot};
use super::leases::Leases;
use super::seat::{Seat, Seats};
use super::segment::Segment;
use super::task_spec::Spec;
use super::word::{Flags, State, Step, Word};
use super::{Id, Space};
use crate::sync::{Ordering, fence, fence_after_rmw, pause};
use std::collections::HashSet;

/// One more hold, and one more in the counter's high half, which never goes down: so adding and removing a hold changes the word.
pub const HOLD: u64 = 1 << 32 | 1;
/// The counter's low half: the number of holds.
pub const HOLDS: u64 = u32::MAX as u64;

/// How a process holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It refers to the object.
    Ref,
    /// It reads the object's bytes.
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

/// What freed objects leave for the caller to release.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Bytes on disk that no object needs: offset and length.
    pub spilled: Vec<(u64, u64)>,
}

impl Slot {
    fn holders(&self, kind: Kind) -> &Seats {
        match kind {
            Kind::Ref => &self.refs,
            Kind::Pin => &self.pins,
        }
    }

    /// Whether nothing keeps it: no hold, reference or pin.
    pub(super) fn is_unused(&self) -> bool {
        self.holds.load(Ordering::Acquire) & HOLDS == 0 && self.refs.is_empty() && self.pins.is_empty()
    }
}

impl Segment {
    /// The word of an object after an addition to it, once the object is not dying. `None` when it does not exist any more.
    fn settled(&self, id: Id) -> Option<Word> {
        let slot = self.slot(id.slot());
        // Pairs with the fence in `condemn`: this call sees `Dying`, or `condemn` sees the addition, which was one instruction.
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

    /// Waits a little for the owner of a dying object. It needs a few instructions, unless it was stopped; if it died, the head finishes
    /// for it, so the head itself never waits here. False when there is no such process: the word is invalid, unless it has changed since.
    fn waits_for(&self, word: Word, turns: &mut u32) -> bool {
        *turns = turns.saturating_add(1);
        if *turns < 1000 {
            pause();
            return true;
        }
        nap();
        // A dead process keeps its seat until the head has finished for it.
        word.owner().is_some_and(|by| self.header().taken.has(by))
    }

    /// Makes this process a holder of the object. False when there is no such object. The object must not be freed meanwhile: the caller
    /// holds it in another way, or reads a value that keeps it.
    pub fn add(&self, id: Id, kind: Kind, by: Seat) -> bool {
        let holders = self.slot(id.slot()).holders(kind);
        let was_new = holders.add(by);
        let exists = self.settled(id).is_some();
        if !exists && was_new {
            holders.remove(by);
        }
        exists
    }

    /// Whether nothing keeps an object: no hold, reference or pin.
    pub fn is_unused(&self, id: Id) -> bool {
        self.slot(id.slot()).is_unused()
    }

    /// Pins the object's bytes, which must be in the arena, and returns their offset and length.
    ///
    /// # Errors
    /// Where they are instead; `None` when there is no such object or it is not sealed.
    pub fn pin(&self, id: Id, by: Seat) -> Result<(u64, u64), Option<Body>> {
        let slot = self.slot(id.slot());
        let was_new = slot.pins.add(by);
        let word = self.settled(id).filter(|word| word.is_sealed());
        let body = word.map(|word| self.body_of(slot, word));
        // The bytes stay where they are from here on: a process that wants to move them sees the pin.
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

    /// This process is no longer a holder of this kind. Does not free the object; see [`Segment::collect`].
    pub fn remove(&self, id: Id, kind: Kind, by: Seat) {
        let slot = self.slot(id.slot());
        if slot.word().generation() == id.generation() {
            slot.holders(kind).remove(by);
            // Of two processes that release in the same moment, one sees the other's release and frees.
            fence_after_rmw();
        }
    }

    /// Adds a hold of one task or object. The caller refers to the object.
    pub fn hold(&self, id: Id) -> bool {
        let slot = self.slot(id.slot());
        if slot.word().generation() != id.generation() {
            return false;
        }
        slot.holds.fetch_add(HOLD, Ordering::AcqRel);
        self.settled(id).is_some()
    }

    /// Removes a hold. True when it was the last one.
    pub fn unhold(&self, id: Id) -> bool {
        let slot = self.slot(id.slot());
        if slot.word().generation() != id.generation() {
            return false;
        }
        let mut seen = slot.holds.load(Ordering::Acquire);
        // Not a subtraction: after a repair, one `unhold` too many must not wrap the count below zero.
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

    /// How many tasks and objects keep it.
    pub fn holds_of(&self, id: Id) -> u64 {
        self.slot(id.slot()).holds.load(Ordering::Relaxed) & HOLDS
    }

    /// Where the bytes of a sealed object are. Waits while the object is dying.
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

    /// Where the bytes of a sealed object are, unless it is dying. For the head, which must not wait: it is the one that finishes for dead
    /// processes.
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

    /// Begins to free an object: additions wait until the caller has freed or spared it. Returns the word, which is `Dying(by)`. `None`
    /// when the object is in use, or another process frees it. An unfinished task is marked as abandoned, so that its sealer frees the
    /// result.
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
                    // The task was claimed or sealed in this moment.
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
            // A process that released the object in between has left it to this one: check again.
        }
    }

    /// Makes an object that this process has condemned a sealed one again.
    pub fn spare(&self, id: Id, by: Seat) {
        let slot = self.slot(id.slot());
        let word = slot.word();
        if let Some(spared) = word.after(Step::Spare { by }) {
            let _ = slot.swap(word, spared);
        }
        fence(Ordering::SeqCst);
    }

    /// Frees the objects that are unused, and those that only they kept. A loop, not a recursion: a list of a million nested refs must not
    /// overflow the stack.
    pub fn collect(&self, leases: &mut Leases, mut loose: Vec<Id>, leftovers: &mut Leftovers) {
        while let Some(id) = loose.pop() {
            self.collect_one(leases, id, &mut loose, leftovers);
        }
    }

    /// Frees one object if it is unused; adds the objects that perhaps only it kept to `loose`.
    pub fn collect_one(&self, leases: &mut Leases, id: Id, loose: &mut Vec<Id>, leftovers: &mut Leftovers) {
        let seat = leases.seat;
        let slot = self.slot(id.slot());
        if let Some(word) = self.condemn(id, seat) {
            self.free_dying(leases, slot, word, id, loose, leftovers);
        }
    }

    /// Frees an object that this process has condemned.
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
            // The object kept nothing, so no counts move.
            if let Some(free) = word.after(Step::Free { by: seat })
                && slot.swap(word, free).is_ok()
            {
                leases.keep_slot(id.slot());
            }
            return;
        }
        let contained = if flags.contains(Flags::CONTAINS) { self.contained(slot) } else { Vec::new() };
        let has_list = flags.contains(Flags::CONTAINS) && contained.len() > CONTAINED_INLINE;
        let logged = flags.contains(Flags::ARGS).then(|| self.read_spec(id.slot()));
        let (home, list_home) = (slot.home.load(Ordering::Relaxed), slot.list_home.load(Ordering::Relaxed));
        let place = (slot.offset.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
        if flags.contains(Flags::ACTOR) {
            // Before it is stripped: if this process dies in between, the head frees the object and says it again.
            self.leave_mailbox(id.slot());
        }
        let Some(stripped) = word.after(Step::Strip { by: seat }) else { return };
        leases.moves();
        // First the object stops being a holder, then its holds are removed: see the invariants.
        if slot.swap(word, stripped).is_ok() {
            if flags.contains(Flags::ARENA) {
                self.leave(seat, home);
            }
            if has_list {
                self.leave(seat, list_home);
            }
            let given = logged.iter().flat_map(Spec::objects);
            loose.extend(contained.into_iter().chain(given).filter(|inner| self.unhold(*inner)));
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

    /// The leases with an object that a process reads.
    pub fn read_leases(&self) -> HashSet<u32> {
        let slots = (1..self.slots_used()).map(|index| self.slot(index));
        slots.filter(|slot| !slot.pins.is_empty()).map(|slot| slot.home.load(Ordering::Relaxed)).collect()
    }

    /// The ids that an object's bytes refer to. They are in its slot, or in the arena if the list is too long for the slot.
    pub fn contained(&self, slot: &Slot) -> Vec<Id> {
        let count = slot.contained.load(Ordering::Relaxed) as usize;
        if count > CONTAINED_INLINE {
            return self.long_list(slot.list.load(Ordering::Relaxed), count);
        }
        slot.contains[..count].iter().map(|id| Id(id.load(Ordering::Relaxed))).collect()
    }

    /// Records in a free slot, or in a task's, what the object will contain. A list that is too long for the slot is in `list`.
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

    /// Writes a small object's bytes into a slot of this process.
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

    /// Copies `len` bytes of a small object, in whole words, to `into`.
    pub fn read_inline(&self, index: u32, len: usize, into: &mut [u8; super::layout::INLINE_BYTES]) {
        let slot = self.slot(index);
        for (place, word) in into.as_chunks_mut::<8>().0.iter_mut().zip(&slot.inline).take(len.div_ceil(8)) {
            *place = word.load(Ordering::Relaxed).to_ne_bytes();
        }
    }
}

/// Waits for a process that does not run at the moment.
fn nap() {
    #[cfg(not(loom))]
    std::thread::sleep(std::time::Duration::from_micros(50));
    #[cfg(loom)]
    pause();
}
