//! Actors, from both sides: a caller's, and that of the process that runs the calls.

use super::spin::Look;
use super::{Claimed, Client, Fallible, ended, refused};
use crate::abi::engine::{Input, Task};
use crate::protocol::{ObjectId, ToHead};
use crate::store::{Mailbox, Reader};
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
        mailbox.ok_or_else(|| {
            refused("the actor of this handle is gone, with the runtime that was shut down: spawn it anew".into())
        })
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
                    let why = self.interruption();
                    self.give_call_up(call);
                    return Err(why);
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

    /// Makes this worker the process of the actor that it has made, for which this object stands.
    pub(crate) fn become_actor(&self, actor: ObjectId, mailbox: u32) -> Reader {
        let checkpoints = self.checkpoints_of(actor, mailbox);
        let mut state = self.state();
        (state.is_actor, state.checkpoints) = (true, checkpoints);
        drop(state);
        self.segment.open_mailbox(mailbox, self.seat)
    }

    /// Blocks until there is a call to run, if it may be `received`, or `is_awake`.
    pub(crate) fn next_call(&self, reader: &mut Reader, receives: bool, is_awake: impl Fn() -> bool) -> Came {
        let (segment, seat) = (&self.segment, self.seat);
        let desk = segment.desk(seat);
        let look = |reader: &mut Reader| {
            // First, because a call may wake itself all the time.
            if let Some(call) = receives.then(|| segment.receive(reader, seat)).flatten() {
                return Some(Came::Call(self.begin(call, false)));
            }
            let left = || (receives && segment.is_left(reader)).then_some(Came::Left);
            is_awake().then_some(Came::Awake).or_else(left)
        };
        loop {
            let seen = desk.bell.load(Ordering::Acquire);
            if let Some(came) = look(reader) {
                return came;
            }
            let found = self.spin.look(segment, seat, || look(reader).map_or(Look::Nothing, Look::Found));
            if let Some(came) = found {
                return came;
            }
            segment.header().active.remove(seat);
            segment.begin_idle(reader);
            let came = look(reader);
            if came.is_none() {
                self.sleep(seen, None);
            }
            segment.end_idle(reader);
            if let Some(came) = came {
                return came;
            }
        }
    }

    /// Notes that a call has ended.
    pub(crate) fn call_ended(&self, reader: &mut Reader, call: ObjectId) {
        self.segment.ended(reader, call);
    }

    /// Another number after each cancel of a call that runs here.
    pub(crate) fn cancels(&self) -> u64 {
        self.segment.desk(self.seat).interrupted.load(Ordering::Acquire)
    }

    /// Whether a call that runs here was cancelled.
    pub(crate) fn is_cancelled_call(&self, call: ObjectId) -> bool {
        self.segment.slot(call.slot()).cancelled.load(Ordering::Acquire) == call.0
    }

    /// Wakes this process.
    pub(crate) fn ring_self(&self) {
        self.segment.ring(self.seat);
    }

    /// How many threads the calls of this actor may have.
    pub(crate) fn threads_of(&self, mailbox: u32) -> usize {
        self.segment.mailbox(mailbox).threads.load(Ordering::Relaxed) as usize
    }
}

/// What has woken an actor.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are calls, and a box for each would cost more")]
pub(crate) enum Came {
    /// A call to run.
    Call(Claimed),
    /// Something in this process.
    Awake,
    /// The last handle is gone, and the last call has ended.
    Left,
}
