//! Actors, from both sides: a caller's, and that of the process that runs the calls.

use super::spin::Look;
use super::{Claimed, Client, Fallible, ended, refused};
use crate::abi::Fault;
use crate::abi::engine::{Input, Task};
use crate::protocol::{ObjectId, ToHead};
use crate::store::{Mailbox, Reader, now_us};
use crate::sync::Ordering;
use std::time::Duration;

/// How often a caller whose actor's mailbox is full looks at it.
const MAILBOX_LOOK: Duration = Duration::from_micros(100);

impl Client {
    /// The mailbox of the actor that a call's first argument stands for.
    ///
    /// # Errors
    /// It stands for none.
    pub(super) fn mailbox_for(&self, task: &Task<'_>) -> Fallible<u32> {
        let actor = match task.inputs().next() {
            Some(Input::Object(id)) => Some(ObjectId(id)),
            _ => None,
        };
        let mailbox = actor.filter(|id| self.segment.exists(*id)).and_then(|id| self.segment.mailbox_of_actor(id));
        mailbox.ok_or_else(|| refused("this object stands for no actor".into()))
    }

    /// Puts a call into its actor's mailbox, and waits until there is room. A task that waits so lends its CPU.
    ///
    /// # Errors
    /// The cell was interrupted or the runtime has ended. The call, whose reference ends, will not run.
    pub(super) fn send_call(&self, mailbox: u32, call: ObjectId) -> Fallible<()> {
        if !self.segment.send(mailbox, call) {
            let _blocked = self.blocked();
            let _lending = self.lend_cpu();
            while !self.segment.send(mailbox, call) {
                if self.is_interrupted() {
                    self.give_call_up(call);
                    return Err(Fault::Interrupted.into());
                }
                if self.segment.header().closed.load(Ordering::Relaxed) != 0 {
                    return Err(ended());
                }
                if self.is_dead(mailbox) {
                    break;
                }
                std::thread::sleep(MAILBOX_LOOK);
            }
        }
        // The head marks the mailbox first and then fails what is in it, and `send` ends with a fence: one of the two sees the other.
        if self.is_dead(mailbox) {
            self.tell(&ToHead::Unsent { call });
        }
        Ok(())
    }

    fn is_dead(&self, mailbox: u32) -> bool {
        self.segment.mailbox(mailbox).state.load(Ordering::Acquire) == Mailbox::DEAD
    }

    fn give_call_up(&self, call: ObjectId) {
        self.tell(&ToHead::Unsent { call });
        let said = self.state().release(call);
        said.iter().for_each(|message| self.tell(message));
    }

    /// Makes this worker the process of the actor that it has made.
    pub(crate) fn become_actor(&self, mailbox: u32) -> Reader {
        self.state().is_actor = true;
        self.segment.open_mailbox(mailbox, self.seat)
    }

    /// Blocks until there is a call to run. `None` when the last handle is gone.
    pub(crate) fn next_call(&self, reader: &mut Reader) -> Option<Claimed> {
        let (segment, seat) = (&self.segment, self.seat);
        let desk = segment.desk(seat);
        loop {
            let seen = desk.bell.load(Ordering::Acquire);
            let mut call = segment.receive(reader, seat);
            if call.is_none() {
                call = self.spin.look(segment, seat, || match segment.receive(reader, seat) {
                    Some(call) => Look::Found(call),
                    None if segment.is_left(reader) => Look::GiveUp,
                    None => Look::Nothing,
                });
            }
            if call.is_none() && segment.is_left(reader) {
                return None;
            }
            if call.is_none() {
                segment.header().active.remove(seat);
                segment.begin_idle(reader);
                call = segment.receive(reader, seat);
                if call.is_none() && !segment.is_left(reader) {
                    desk.sleep(seen, None);
                    if desk.bell.load(Ordering::Acquire) != seen {
                        self.spin.woken_after(now_us().wrapping_sub(desk.rung.load(Ordering::Relaxed)));
                    }
                }
                segment.end_idle(reader);
            }
            if let Some(call) = call {
                return Some(self.begin(call));
            }
        }
    }
}
