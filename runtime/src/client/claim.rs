//! A worker's choice of its next task: from its own ring first, then from the others'.

use super::Client;
use super::spin::Look;
use crate::protocol::{ObjectId, ToHead};
use crate::store::{Desk, Spec, Step, ticks};
use crate::sync::Ordering;
use std::time::{Duration, Instant};

/// How long a worker takes tasks that the head has hinted at.
const SHIFT: Duration = Duration::from_millis(2);

/// A worker's task.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    /// The task.
    pub task: ObjectId,
    /// Its description.
    pub spec: Spec,
    /// Whether it makes an actor that was made before: its result is there already.
    pub is_again: bool,
    /// When it began (`store/clock.rs`).
    pub began: u64,
}

impl Client {
    /// Blocks until there is a task to run.
    pub(crate) fn next_task(&self) -> Claimed {
        let (segment, seat) = (&self.segment, self.seat);
        let (header, desk) = (segment.header(), segment.desk(seat));
        loop {
            if self.hinted.load(Ordering::Relaxed) != 0 {
                return self.begin(ObjectId(self.hinted.swap(0, Ordering::Relaxed)), false);
            }
            if let Some(task) = self.offered_task() {
                return self.begin(task, false);
            }
            if let Some((task, is_again)) = self.assigned_task() {
                self.state().shift.begun = Some(Instant::now());
                return self.begin(task, is_again);
            }
            let task = if desk.has_lease() { self.find_task() } else { None };
            if let Some(task) = task {
                return self.begin(task, false);
            }
            header.active.remove(seat);
            let seen = desk.bell.load(Ordering::Acquire);
            let lease = desk.leased.load(Ordering::Acquire);
            if !Desk::is_lease(lease) {
                header.seeking.remove(seat);
                // Once for each lease that was recalled, also for one that this worker has slept through.
                if self.parked.swap(lease, Ordering::Relaxed) != lease {
                    self.tell(&ToHead::Parked { lease });
                }
                // A worker that has ended a task of the head's is likely to be given another one at once.
                let is_wanted = || desk.has_lease() || desk.assigned.load(Ordering::Acquire) != 0;
                let look = || if is_wanted() { Look::Found(()) } else { Look::Nothing };
                if self.spin.look(segment, seat, look).is_none() && !is_wanted() {
                    desk.sleep(seen, None);
                }
                continue;
            }
            header.idle.add(seat);
            header.seeking.remove(seat);
            // A process that pushes from here on sees that this worker is idle; this worker sees an earlier push.
            if segment.quiet() && desk.has_lease() {
                self.sleep(seen, None);
            }
            header.idle.remove(seat);
        }
    }

    /// Whether this worker has claimed nothing that it has yet to run, and offers nothing.
    pub(crate) fn has_nothing(&self) -> bool {
        self.hinted.load(Ordering::Relaxed) == 0 && self.offers.load(Ordering::Relaxed) == 0
    }

    /// Takes the task that the head has given this worker. True if it makes an actor that was made before.
    fn assigned_task(&self) -> Option<(ObjectId, bool)> {
        let desk = self.segment.desk(self.seat);
        let task = match desk.assigned.load(Ordering::Acquire) {
            0 => return None,
            _ => ObjectId(desk.assigned.swap(0, Ordering::AcqRel)),
        };
        if self.segment.take_step(task, Step::Claim { by: self.seat }) {
            return Some((task, false));
        }
        if self.segment.stands_for_an_actor(task) {
            return Some((task, true));
        }
        // It was cancelled since, or the actor's last handle is gone.
        self.tell(&ToHead::Ended { also: Vec::new() });
        None
    }

    /// Ends a task with these options that the head has given this worker, or that came after it: takes the next of those that the head has
    /// hinted at, or will offer to run another one, or tells the head. The head is told when that has gone on for [`SHIFT`], so that it can
    /// decide anew.
    pub(super) fn end_assigned(&self, options: u16) {
        let desk = self.segment.desk(self.seat);
        let mut state = self.state();
        let is_long = state.shift.begun.is_none_or(|begun| begun.elapsed() > SHIFT);
        let hints = desk.hints.iter();
        let mut hinted = hints.map(|hint| ObjectId(hint.swap(0, Ordering::AcqRel))).filter(|task| task.0 != 0);
        let next = hinted.find(|task| !is_long && self.segment.take_step(*task, Step::Claim { by: self.seat }));
        if let Some(task) = next {
            self.hinted.store(task.0, Ordering::Relaxed);
            state.shift.also.push(task);
        } else if !is_long && desk.offer.is_allowed.load(Ordering::Relaxed) != 0 {
            self.offers.store(u32::from(options) + 1, Ordering::Relaxed);
        } else {
            drop(state);
            self.end_shift();
        }
    }

    fn end_shift(&self) {
        let also = std::mem::take(&mut self.state().shift.also);
        self.tell(&ToHead::Ended { also });
    }

    /// Offers to run another task in the place of the one that has ended, for as long as it is worth it.
    fn offered_task(&self) -> Option<ObjectId> {
        // A load, because a plain task comes by here, too.
        let offers = self.offers.load(Ordering::Relaxed).checked_sub(1)?;
        self.offers.store(0, Ordering::Relaxed);
        let options = offers as u16;
        let (segment, seat) = (&self.segment, self.seat);
        segment.open_offer(seat, options);
        let queued = &segment.header().queued;
        let _: Option<()> = self.spin.look(segment, seat, || match segment.is_handed(seat) {
            true => Look::Found(()),
            false if queued.load(Ordering::Relaxed) != 0 => Look::GiveUp,
            false => Look::Nothing,
        });
        let task = segment.close_offer(seat, options);
        if task.is_none() {
            self.end_shift();
        }
        task
    }

    /// Takes a task from a ring, and spins for one if there is none.
    fn find_task(&self) -> Option<ObjectId> {
        let (segment, seat) = (&self.segment, self.seat);
        let header = segment.header();
        let mut task = segment.claim_any(seat);
        if task.is_none() {
            header.seeking.add(seat);
            let desk = segment.desk(seat);
            task = self.spin.look(segment, seat, || match segment.claim_any(seat) {
                Some(task) => Look::Found(task),
                None if !desk.has_lease() => Look::GiveUp,
                None => Look::Nothing,
            });
        }
        if task.is_some() {
            header.seeking.remove(seat);
            // If tasks are left, another worker is woken.
            segment.work_left();
        }
        task
    }

    pub(super) fn begin(&self, task: ObjectId, is_again: bool) -> Claimed {
        let began = ticks();
        if !is_again {
            self.segment.slot(task.slot()).len.store(began, Ordering::Relaxed);
        }
        let desk = self.segment.desk(self.seat);
        desk.current.store(task.0, Ordering::Release);
        self.be_active();
        if desk.wrote.load(Ordering::Relaxed) == 1 {
            desk.wrote.store(0, Ordering::Relaxed);
        }
        Claimed { task, spec: self.segment.read_spec(task.slot()), is_again, began }
    }

    /// The flag that the signal handler sets when this process has written output.
    pub(crate) fn wrote_flag(&self) -> &crate::sync::AtomicU32 {
        &self.segment.desk(self.seat).wrote
    }

    /// Tells the head that this worker may be given a lease from now on.
    pub(crate) fn ready_for_tasks(&self) {
        self.tell(&ToHead::Ready);
    }
}
