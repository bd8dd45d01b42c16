//! An actor's log: its last checkpoint, and the calls that have changed its state since, newest first.
//!
//! ```text
//!   mailbox.log ─▶ call ─next─▶ call ─next─▶ call ─next─▶ checkpoint      a restart opens the checkpoint and runs the calls, oldest first
//!                  each in its own slot, sealed, with ARGS: it still holds its arguments
//! ```
//!
//! The chain goes through the slots of the calls, so nothing is written twice, and its order is that in which the calls ran. One store of
//! `mailbox.log` adds a call, and one puts a new checkpoint in the place of everything before it: a process that dies between any two
//! instructions leaves the old log or the new one.
//!
//! # Invariants
//! - A call is added while it runs, before its result can be seen: no one has a result that a restart does not know of. So only the newest
//!   can be one that has not ended; if its process dies, it is taken out again before it is run or failed.
//! - What is in a log has a hold for that. So a call in it keeps its slot, and `next` with it, also when nobody refers to its result.
//! - Only the actor's process changes its log, and the head, when there is no such process.

use super::Id;
use super::layout::MAILBOXES;
use super::segment::Segment;
use super::task_spec::TaskKind;
use super::word::{Flags, Step};
use crate::sync::{Ordering, pause};

/// How often a call that somebody checks for being unused is looked at, until its arguments stay with it for as long as its result.
const TRIES_MAX: u32 = if cfg!(loom) { 2 } else { 1000 };

/// What a restart needs to give an actor the state that it had.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The object with the saved state; `None` before the first checkpoint: then the constructor gives it.
    pub checkpoint: Option<Id>,
    /// The calls to be run again, in order.
    pub calls: Vec<Id>,
}

impl Segment {
    /// Adds a call that this process runs to its actor's log. Call it between [`super::Leases::moves`] and [`super::Leases::moved`].
    pub fn log_call(&self, mailbox: u32, call: Id) {
        let log = &self.mailbox(mailbox).log;
        self.slot(call.slot()).next.store(log.load(Ordering::Relaxed), Ordering::Relaxed);
        self.hold(call);
        // Release pairs with the load in `logged`.
        log.store(call.0, Ordering::Release);
    }

    /// Whether this call is the newest of its actor's log.
    pub fn is_newest_logged(&self, call: Id) -> bool {
        let TaskKind::Call { mailbox, .. } = self.task_kind(call.slot()) else { return false };
        self.mailbox(mailbox).log.load(Ordering::Acquire) == call.0
    }

    /// Puts a checkpoint, an object of this process, in the place of an actor's log. Returns what the log kept and nobody needs any more,
    /// for [`Segment::release_logged`]. Call both between [`super::Leases::moves`] and [`super::Leases::moved`].
    pub fn log_checkpoint(&self, mailbox: u32, checkpoint: Id) -> Vec<Id> {
        let before = self.logged(mailbox);
        self.slot(checkpoint.slot()).next.store(0, Ordering::Relaxed);
        self.clear_kind(checkpoint.slot());
        self.hold(checkpoint);
        self.mailbox(mailbox).log.store(checkpoint.0, Ordering::Release);
        before
    }

    /// Empties the log of an actor that will not be made again. Returns what it kept, as [`Segment::log_checkpoint`].
    pub fn clear_log(&self, mailbox: u32) -> Vec<Id> {
        let before = self.logged(mailbox);
        self.mailbox(mailbox).log.store(0, Ordering::Release);
        before
    }

    /// Takes the newest call out of an actor's log if it has not ended: its process has died over it.
    pub fn unlog_unended(&self, mailbox: u32) -> Vec<Id> {
        let log = &self.mailbox(mailbox).log;
        let newest = Id(log.load(Ordering::Acquire));
        if newest.0 == 0 || !self.is_call(newest) || self.is_to_run_again(newest) {
            return Vec::new();
        }
        log.store(self.slot(newest.slot()).next.load(Ordering::Relaxed), Ordering::Release);
        vec![newest]
    }

    /// Releases what a log does not keep any more. Returns the objects that perhaps only it kept.
    pub fn release_logged(&self, logged: Vec<Id>) -> Vec<Id> {
        let mut loose = Vec::new();
        for id in logged {
            let spec = self.read_spec(id.slot());
            if self.is_call(id) && (0..TRIES_MAX).any(|_| self.unlogs(id)) {
                loose.extend(spec.objects().filter(|given| self.unhold(*given)));
            }
            if self.unhold(id) {
                loose.push(id);
            }
        }
        loose
    }

    fn unlogs(&self, id: Id) -> bool {
        let is_done = self.take_step(id, Step::Unlog);
        if !is_done {
            pause();
        }
        is_done
    }

    /// What an actor has to be made from again.
    pub fn log_of(&self, mailbox: u32) -> Log {
        let logged = self.logged(mailbox).into_iter();
        let (mut calls, checkpoints): (Vec<Id>, Vec<Id>) = logged.partition(|id| self.is_call(*id));
        calls.retain(|call| self.is_to_run_again(*call));
        calls.reverse();
        Log { checkpoint: checkpoints.first().copied(), calls }
    }

    /// Everything in an actor's log, newest first.
    fn logged(&self, mailbox: u32) -> Vec<Id> {
        let mut logged = Vec::new();
        let mut next = Id(self.mailbox(mailbox).log.load(Ordering::Acquire));
        // As in `take_list`, a bound, should some process have written over it.
        while self.exists(next) && logged.len() <= self.limits().slots as usize {
            logged.push(next);
            if !self.is_call(next) {
                break;
            }
            next = Id(self.slot(next.slot()).next.load(Ordering::Relaxed));
        }
        logged
    }

    /// Everything in the logs of all actors, for an audit.
    pub(super) fn all_logged(&self) -> impl Iterator<Item = Id> {
        let used = self.header().mailboxes.load(Ordering::Relaxed).min(MAILBOXES);
        (0..used).flat_map(|mailbox| self.logged(mailbox))
    }

    /// Whether something in a log is a call, and not the checkpoint.
    fn is_call(&self, logged: Id) -> bool {
        self.task_kind(logged.slot()).is_call()
    }

    /// Whether a call in a log has ended. One whose process died over it has not, whatever the head made of it.
    fn is_to_run_again(&self, call: Id) -> bool {
        let word = self.slot(call.slot()).word();
        word.generation() == call.generation() && !word.is_task() && word.flags().contains(Flags::ARGS)
    }
}
