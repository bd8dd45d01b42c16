//! A client without room: it asks the head for room, follows it to another arena, and reports what is full.

use super::inbox::Stop;
use super::{Client, Fallible, nonsense, refused};
use crate::abi::Fault;
use crate::protocol::{ToClient, ToHead};
use crate::sync::Ordering;
use std::sync::Arc;

impl Client {
    /// Asks the head for room, and waits until it has made some, or says that it cannot.
    pub(super) fn ask_room(&self, units: u32, bytes: u64) -> Fallible<()> {
        let turn = {
            let mut state = self.state();
            // This process's own empty lease may be the room that is missing.
            if let Some(run) = state.leases.close_lease() {
                let idle = state.unlocked.iter().position(|unlocked| unlocked.run == run && unlocked.drafts == 0);
                if let Some(place) = idle {
                    state.unlocked.swap_remove(place);
                    state.arena.1.lock(run);
                }
            }
            state.is_interruptible.then_some(state.turn)
        };
        let _blocked = self.blocked();
        let req = self.send_question(|req| ToHead::Room { req, units, bytes })?;
        match self.inbox.wait(None, turn, |books| books.answer(req)) {
            Ok(ToClient::Done { .. }) => Ok(()),
            Ok(ToClient::Refused { fault, .. }) => Err(fault.into()),
            Ok(_) => Err(nonsense()),
            Err(Stop::Interrupted) => {
                self.inbox.forget(req);
                self.interrupt_is_met();
                self.tell(&ToHead::RoomNoLonger { req });
                Err(self.fault(Stop::Interrupted))
            }
            Err(stop) => Err(self.fault(stop)),
        }
    }

    /// Maps the runtime's current arena, if it is another one.
    pub(super) fn follow_arena(&self) -> Fallible<()> {
        let generation = self.segment.header().arena.load(Ordering::Acquire);
        if self.state().arena.0.generation == generation {
            return Ok(());
        }
        match self.ask(|req| ToHead::Arena { req })? {
            ToClient::Arena { .. } => {}
            ToClient::Refused { fault, .. } => return Err(fault.into()),
            _ => return Err(nonsense()),
        }
        let Some((info, arena)) = self.inbox.take_arena() else { return Err(nonsense()) };
        if self.is_worker() {
            arena.keep_from_children();
        }
        self.segment.set_arena(Arc::clone(&arena));
        let mut state = self.state();
        state.leases.forget_lease();
        state.unlocked.clear();
        // The old arena stays mapped: no object was in it, but an empty view may still point into it.
        std::mem::forget(Arc::clone(&state.arena.1));
        state.arena = (info, arena);
        Ok(())
    }

    pub(super) fn full(&self, needed: u64, detail: String) -> Box<Fault> {
        let limit = u64::from(self.segment.units()) * self.segment.unit_bytes();
        let used = limit - u64::from(self.segment.units_free()) * self.segment.unit_bytes();
        Box::new(Fault::StoreFull { needed, used, limit, detail })
    }

    pub(super) fn no_slots(&self) -> Box<Fault> {
        refused(format!(
            "there are {} objects and unfinished tasks, and the runtime has room for no more: drop refs that are not needed, or wait for \
             tasks before more are submitted",
            self.segment.limits().slots
        ))
    }
}
