//! Offers: a task of a shape goes to a worker that has just ended one like it, without the head.
//!
//! ```text
//!   worker: ended its task ─▶ open ──────────▶ looks for a while ─▶ closed ─▶ tells the head that it has ended
//!   anyone:                     └─▶ hands over a task ─▶ the worker claims it, and has it in the place of the one before
//! ```
//!
//! A worker that the head has given a task has, until it says that it has ended it, all that such a task takes. As a worker of Ray keeps its
//! lease for the next task of the same scheduling class, it runs another one with the same options in the meantime.
//!
//! # Invariants
//! - An offer's word holds the options, so that no worker is handed a task of another shape, however late its sender is.
//! - A task that was handed over stays in the word until it is claimed. So the head finds it there when the worker dies.
//! - While tasks wait in the head's queues, nothing is offered: no task is run before them.

use super::Id;
use super::seat::Seat;
use super::segment::Segment;
use super::word::{State, Step};
use crate::sync::Ordering;

/// What stands in an open offer. No task is in slot 0.
fn open(options: u16) -> u64 {
    Id::new(0, u32::from(options) + 1).0
}

impl Segment {
    /// Offers to run a task with these options.
    pub fn open_offer(&self, by: Seat, options: u16) {
        self.desk(by).offer.word.store(open(options), Ordering::Release);
        self.header().offering.add(by);
    }

    /// Hands a task that is pending to a worker that offers to run it. False if there is none.
    pub fn hand_over(&self, options: u16, task: Id) -> bool {
        let header = self.header();
        let take = |seat: Seat| {
            let offer = &self.desk(seat).offer.word;
            offer.compare_exchange(open(options), task.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        header.queued.load(Ordering::Relaxed) == 0 && header.offering.iter().any(take)
    }

    /// Whether this worker was handed a task.
    pub fn is_handed(&self, to: Seat) -> bool {
        Id(self.desk(to).offer.word.load(Ordering::Acquire)).slot() != 0
    }

    /// Ends an offer. Returns the task that was handed over, claimed, unless it was cancelled since.
    pub fn close_offer(&self, by: Seat, options: u16) -> Option<Id> {
        self.header().offering.remove(by);
        let offer = &self.desk(by).offer.word;
        if offer.compare_exchange(open(options), 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return None;
        }
        let task = Id(offer.load(Ordering::Acquire));
        let claimed = self.take_step(task, Step::Claim { by });
        offer.store(0, Ordering::Release);
        claimed.then_some(task)
    }

    /// Ends the offer of a dead worker. Returns a task that it was handed and has not claimed.
    pub fn withdraw_offer(&self, dead: Seat) -> Option<Id> {
        self.header().offering.remove(dead);
        let task = Id(self.desk(dead).offer.word.swap(0, Ordering::AcqRel));
        let word = self.slot(task.slot()).word();
        (word.generation() == task.generation() && word.state() == State::Pending).then_some(task)
    }
}
