//! Objects: drafts, bytes and references.

use super::buffers::Draft;
use super::references::News;
use super::state::{State, Unlocked};
use super::{Client, Fallible, Opened, no_draft, nonsense};
use crate::abi::{Fault, ObjectState, View, held};
use crate::protocol::{ObjectId, ToClient, ToHead};
use crate::store::{Body, CONTAINED_INLINE, Flags, INLINE_BYTES, Kind, NoRoom, Run, Space, State as SlotState, Step};
use crate::sync::Ordering;

/// Marks in a view's token; the slot in it has no such bits.
const PINNED: u64 = 1 << 30;
const COPY: u64 = 1 << 31;

/// The result of looking at an object under the lock.
enum Look {
    Opened(Opened),
    OnDisk,
    Failed,
    /// The object lies in an arena that this process has not mapped yet.
    Elsewhere,
}

impl Client {
    /// Makes a draft of `len` bytes. Returns its token, and the address to write to.
    ///
    /// # Errors
    /// [`Fault::StoreFull`], [`Fault::Disconnected`].
    pub fn create(&self, len: u64) -> Fallible<(u64, *mut u8)> {
        self.heed_interrupt()?;
        if len <= INLINE_BYTES as u64 {
            let mut state = self.state();
            let mut private = state.spares.take(len as usize);
            let ptr = private.mut_ptr();
            return Ok((state.drafts.insert(Draft::Private(private)), ptr));
        }
        let (slot, space) = self.shared(len)?;
        let mut state = self.state();
        let ptr = state.arena.1.writing(space.offset, len).ok_or_else(nonsense)?;
        Ok((state.drafts.insert(Draft::Shared { slot, space, len }), ptr))
    }

    /// Room for `len` bytes in the arena, with a slot that shows it as a draft of this process.
    fn shared(&self, len: u64) -> Fallible<(u32, Space)> {
        loop {
            self.follow_arena()?;
            let missing = {
                let mut state = self.state();
                match state.begin_draft(len) {
                    Ok((slot, space)) => {
                        let arena = state.arena.1.clone();
                        if self.segment.header().arena.load(Ordering::Acquire) != state.arena.0.generation {
                            // The arena was replaced in this moment.
                            let _ = state.discard(Draft::Shared { slot, space, len });
                            continue;
                        }
                        let unlocked = state.unlock(space);
                        let segment = state.segment();
                        drop(state);
                        return match unlocked.map_or(Ok(()), |run| segment.unlock(&arena, run)) {
                            Ok(()) => Ok((slot, space)),
                            Err(error) => {
                                let discarded = self.state().discard(Draft::Shared { slot, space, len });
                                discarded.into_iter().for_each(|run| arena.lock(run));
                                let detail = format!("{error}; {}", arena.room());
                                Err(self.full(len, detail))
                            }
                        };
                    }
                    Err(NoRoom::Slots) => return Err(self.no_slots()),
                    Err(NoRoom::Units(units)) => units,
                }
            };
            self.ask_room(missing, len)?;
        }
    }

    /// Turns a draft into an object, to which the caller has one reference.
    ///
    /// # Errors
    /// No such draft, or no room for its description.
    pub fn seal(&self, draft: u64, contains: Vec<ObjectId>) -> Fallible<ObjectId> {
        let list = self.list_space(&contains)?;
        let mut state = self.state();
        let Some(draft) = state.drafts.remove(draft) else {
            drop(state);
            list.into_iter().for_each(|list| self.discard_list(list));
            return Err(no_draft());
        };
        self.seal_under(state, draft, &contains, list)
    }

    /// The same of a draft that was given as a result. It ends also when this fails.
    pub(super) fn seal_result(&self, draft: Draft, contains: &[ObjectId]) -> Fallible<ObjectId> {
        let list = match self.list_space(contains) {
            Ok(list) => list,
            Err(fault) => {
                self.discard_draft(draft);
                return Err(fault);
            }
        };
        self.seal_under(self.state(), draft, contains, list)
    }

    fn seal_under(
        &self,
        mut state: held::Held<'_, State>,
        draft: Draft,
        contains: &[ObjectId],
        list: Option<(u32, Space)>,
    ) -> Fallible<ObjectId> {
        let sealed = state.seal(draft, contains, list);
        let arena = state.arena.1.clone();
        drop(state);
        match sealed {
            Ok((id, written)) => {
                written.into_iter().for_each(|run| arena.lock(run));
                Ok(id)
            }
            Err(no_room) => {
                list.into_iter().for_each(|list| self.discard_list(list));
                Err(if no_room == NoRoom::Slots { self.no_slots() } else { nonsense() })
            }
        }
    }

    /// Room for the list of contained objects, if it is too long for the slot: a draft of its own, so that the head
    /// sees it.
    pub(super) fn list_space(&self, contains: &[ObjectId]) -> Fallible<Option<(u32, Space)>> {
        if contains.len() <= CONTAINED_INLINE {
            return Ok(None);
        }
        let (slot, space) = self.shared(contains.len() as u64 * 8)?;
        let arena = self.state().arena.1.clone();
        arena.write_ids(space.offset, contains).ok_or_else(nonsense)?;
        Ok(Some((slot, space)))
    }

    /// Throws away a list whose object is not made.
    pub(super) fn discard_list(&self, (slot, space): (u32, Space)) {
        let mut state = self.state();
        let written = state.discard(Draft::Shared { slot, space, len: 0 });
        let arena = state.arena.1.clone();
        drop(state);
        written.into_iter().for_each(|run| arena.lock(run));
    }

    /// Throws a draft away.
    pub fn discard(&self, draft: u64) {
        let draft = self.state().drafts.remove(draft);
        draft.into_iter().for_each(|draft| self.discard_draft(draft));
    }

    fn discard_draft(&self, draft: Draft) {
        let mut state = self.state();
        let written = state.discard(draft);
        let arena = state.arena.1.clone();
        drop(state);
        written.into_iter().for_each(|run| arena.lock(run));
    }

    /// Opens a finished object's bytes.
    ///
    /// # Errors
    /// [`Fault::Task`], [`Fault::Unknown`], [`Fault::Disconnected`].
    pub fn open(&self, id: ObjectId) -> Fallible<Opened> {
        self.heed_interrupt()?;
        loop {
            let looked = self.state().look(id)?;
            match looked {
                Look::Opened(opened) => return Ok(opened),
                Look::OnDisk => match self.ask(|req| ToHead::Restore { req, id })? {
                    ToClient::Done { .. } => {
                        self.follow_arena()?;
                        self.until_made(id)?;
                    }
                    ToClient::Refused { fault, .. } => return Err(fault.into()),
                    _ => return Err(nonsense()),
                },
                Look::Elsewhere => self.follow_arena()?,
                Look::Failed => match self.ask(|req| ToHead::Blame { req, id })? {
                    ToClient::Blame { failure: Some(failure), .. } => return Err(Fault::Task(*failure).into()),
                    ToClient::Blame { failure: None, .. } => return Err(Fault::Unknown { id: id.0 }.into()),
                    _ => return Err(nonsense()),
                },
            }
        }
    }

    /// Waits for an object that is made again, because it was lost.
    pub(super) fn until_made(&self, id: ObjectId) -> Fallible<()> {
        let word = self.segment.slot(id.slot()).word();
        if word.generation() == id.generation() && word.is_task() {
            self.wait(&[id.0], 1, None, &mut [0])?;
        }
        Ok(())
    }

    /// Gives a view back.
    pub fn close(&self, hold: u64) {
        let mut state = self.state();
        if hold & COPY != 0 {
            if let Some(copy) = state.copies.remove(hold & !COPY) {
                state.spares.give(copy);
            }
            return;
        }
        let id = ObjectId(hold & !PINNED);
        if hold & PINNED != 0 {
            state.unpin(id);
        }
        let said = state.release(id);
        drop(state);
        said.iter().for_each(|message| self.tell(message));
    }

    /// Counts one reference more to each object.
    pub fn retain(&self, ids: &[u64]) {
        let mut state = self.state();
        for id in ids {
            if !state.handles.retain_known(ObjectId(*id)) {
                state.retain(ObjectId(*id));
            }
        }
    }

    /// Counts one reference less.
    pub fn release(&self, id: ObjectId) {
        let said = self.state().release(id);
        said.iter().for_each(|message| self.tell(message));
    }

    /// The state of an object.
    ///
    /// # Errors
    /// [`Fault::Unknown`].
    pub fn object_state(&self, id: u64) -> Fallible<ObjectState> {
        let object = ObjectId(id);
        loop {
            let word = self.segment.slot(object.slot()).word();
            if word.generation() != object.generation() || word.state() == SlotState::Free {
                return Err(Fault::Unknown { id }.into());
            }
            if word.is_task() {
                return Ok(ObjectState::Pending);
            }
            match self.segment.body(object) {
                Some(Body::Failed) => return Ok(ObjectState::Failed),
                Some(Body::Inline { len } | Body::Arena { len, .. } | Body::Spilled { len, .. }) => {
                    return Ok(ObjectState::Ready { bytes: len });
                }
                // The object was freed in between, and the next look says so.
                None => {}
            }
        }
    }
}

impl State {
    /// A slot and room in the arena for a draft.
    fn begin_draft(&mut self, len: u64) -> Result<(u32, Space), NoRoom> {
        let slot = self.leases.slot()?;
        let segment = self.segment();
        self.leases.moves();
        let space = self.leases.space(len);
        if let Ok(space) = &space {
            let shown = segment.slot(slot);
            shown.offset.store(space.offset, Ordering::Relaxed);
            shown.len.store(len, Ordering::Relaxed);
            shown.home.store(space.home, Ordering::Relaxed);
            segment.step(slot, |word, by| word.after(Step::Draft { by }), self.leases.seat);
        }
        self.leases.moved();
        match space {
            Ok(space) => Ok((slot, space)),
            Err(no_room) => {
                self.leases.keep_slot(slot);
                Err(no_room)
            }
        }
    }

    /// The lease of a draft that was just begun, if its pages have yet to be made writable.
    fn unlock(&mut self, space: Space) -> Option<Run> {
        if let Some(closed) = space.closed
            && space.fresh.is_none_or(|fresh| fresh.first != closed.first)
        {
            // No more drafts will come there; if none is being written either, nothing may be written.
            let idle =
                self.unlocked.iter().position(|unlocked| unlocked.run.first == closed.first && unlocked.drafts == 0);
            if let Some(place) = idle {
                self.unlocked.swap_remove(place);
                self.arena.1.lock(closed);
            }
        }
        if let Some(run) = space.fresh {
            // This process may have had a lease of the same number before.
            self.unlocked.retain(|unlocked| unlocked.run.first != run.first);
            self.unlocked.push(Unlocked { run, drafts: 1 });
            return Some(run);
        }
        if let Some(unlocked) = self.unlocked.iter_mut().find(|unlocked| unlocked.run.first == space.home) {
            unlocked.drafts += 1;
        }
        None
    }

    /// Turns a draft into an object of this process. Returns its lease if nothing is written there any more.
    pub(super) fn seal(
        &mut self,
        draft: Draft,
        contains: &[ObjectId],
        list: Option<(u32, Space)>,
    ) -> Result<(ObjectId, Option<Run>), NoRoom> {
        let segment = self.segment();
        let (slot, flags, home) = match &draft {
            Draft::Private(private) => {
                let slot = self.leases.slot()?;
                segment.write_inline(slot, private.bytes());
                (slot, Flags::empty(), None)
            }
            Draft::Shared { slot, space, .. } => (*slot, Flags::ARENA, Some(space.home)),
        };
        let len = if let Draft::Private(private) = &draft { private.bytes().len() as u8 } else { 0 };
        if contains.is_empty() {
            let sealed = segment.seal(self.leases.seat, slot, flags, len);
            return Ok(self.sealed(sealed, draft, home));
        }
        self.leases.moves();
        for id in contains {
            segment.hold(*id);
        }
        segment.set_contained(slot, contains, list.map(|(_, space)| space));
        let sealed = segment.seal(self.leases.seat, slot, flags | Flags::CONTAINS, len);
        self.give_list_away(list);
        self.leases.moved();
        Ok(self.sealed(sealed, draft, home))
    }

    /// Passes the list to its object; the draft that it was made as ends.
    pub(super) fn give_list_away(&mut self, list: Option<(u32, Space)>) {
        let Some((slot, space)) = list else { return };
        let segment = self.segment();
        segment.move_within(space.home);
        segment.step(slot, |word, by| word.after(Step::Discard { by }), self.leases.seat);
        self.leases.keep_slot(slot);
        if let Some(run) = self.written(space.home) {
            self.arena.1.lock(run);
        }
    }

    fn sealed(&mut self, sealed: Option<ObjectId>, draft: Draft, home: Option<u32>) -> (ObjectId, Option<Run>) {
        if let Draft::Private(private) = draft {
            self.spares.give(private);
        }
        let id = sealed.unwrap_or(ObjectId(0));
        debug_assert!(sealed.is_some(), "a slot of this process's was not free");
        self.segment().note_put(id, self.cell);
        self.handles.insert(id);
        (id, home.and_then(|home| self.written(home)))
    }

    /// Opens an object, if that needs no answer from the head.
    fn look(&mut self, id: ObjectId) -> Fallible<Look> {
        let segment = self.segment();
        let unknown = || Box::new(Fault::Unknown { id: id.0 });
        let slot = segment.slot(id.slot());
        let word = slot.word();
        if word.generation() == id.generation() && word.is_task() {
            return Ok(Look::Opened(Opened::NotReady));
        }
        let view = match segment.body(id).ok_or_else(unknown)? {
            Body::Inline { len } => {
                if !self.retain(id) {
                    return Err(self.take_back(id));
                }
                View { ptr: segment.inline_bytes(id.slot()), len, hold: id.0 }
            }
            // An arena is replaced only while it is empty, so an object lies in the newest arena.
            Body::Arena { .. } if segment.header().arena.load(Ordering::Acquire) != self.arena.0.generation => {
                return Ok(Look::Elsewhere);
            }
            Body::Arena { .. } => {
                if !self.retain(id) {
                    return Err(self.take_back(id));
                }
                let place = match self.handles.pin(id) {
                    News::Add => segment.pin(id, self.leases.seat),
                    _ => match segment.body(id) {
                        Some(Body::Arena { offset, len }) => Ok((offset, len)),
                        other => Err(other),
                    },
                };
                let Ok((offset, len)) = place else {
                    // The object went to disk in this moment.
                    self.handles.unpin(id);
                    let _ = self.release(id);
                    return Ok(Look::OnDisk);
                };
                let clock = segment.header().clock.load(Ordering::Relaxed);
                if slot.touched.load(Ordering::Relaxed) != clock {
                    slot.touched.store(clock, Ordering::Relaxed);
                }
                let ptr = self.arena.1.reading(offset, len).ok_or_else(nonsense)?;
                View { ptr, len, hold: id.0 | PINNED }
            }
            Body::Spilled { .. } => return Ok(Look::OnDisk),
            Body::Failed => return Ok(Look::Failed),
        };
        Ok(Look::Opened(Opened::View(view)))
    }

    /// Takes back a reference that was counted to an object that does not exist.
    fn take_back(&mut self, id: ObjectId) -> Box<Fault> {
        self.handles.release(id);
        Box::new(Fault::Unknown { id: id.0 })
    }

    /// A view of a copy of these bytes.
    pub(super) fn view_copy(&mut self, bytes: &[u8]) -> View {
        let mut copy = self.spares.take(bytes.len());
        copy.bytes_mut().copy_from_slice(bytes);
        let (ptr, len) = (copy.ptr(), bytes.len() as u64);
        View { ptr, len, hold: COPY | self.copies.insert(copy) }
    }

    /// Removes the pins of what the cell has read, and the references that it has given back. Returns the messages for
    /// the head.
    #[must_use]
    pub(super) fn cell_is_final(&mut self) -> Vec<ToHead> {
        let (unread, released) = self.handles.cell_is_final();
        let segment = self.segment();
        unread.into_iter().for_each(|id| segment.remove(id, Kind::Pin, self.leases.seat));
        released.iter().for_each(|id| segment.remove(*id, Kind::Ref, self.leases.seat));
        self.collect(released)
    }
}
