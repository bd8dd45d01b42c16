//! Cancelling tasks, as `ray.cancel` is documented.
//!
//! ```text
//!   waits, or is in a queue   sealed as cancelled: no worker can begin it
//!   runs                      its blocking calls end ──GRACE──▶ sealed as cancelled, and its worker is killed
//!   has ended                 nothing
//!   is a call that runs       its blocking calls end; its actor is not killed
//! ```
//!
//! A running task's children are cancelled with it: those that it has submitted by then, and again when it ends. The failure of a cancelled
//! task is not announced and not in `errors()`, because the person asked for it.

use super::Head;
use super::tasks::Blame;
use crate::abi::Cause;
use crate::protocol::{ObjectId, WorkerId};
use crate::scheduler::Event;
use crate::store::{Desk, Kind, Seat, State, Step, Word};
use crate::sync::Ordering;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long a running task has to end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Tasks that were cancelled and are not over.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    /// Those that run, and until when they may.
    running: HashMap<ObjectId, Instant>,
    /// Calls that were cancelled and go on, of which the person knows.
    told: HashSet<ObjectId>,
    /// Those that waited for an argument. They may be in that argument's list, so their slots are kept until it is taken.
    listed: Vec<ObjectId>,
    /// Those whose worker is being killed. It may still write into their slots.
    killed: HashMap<WorkerId, ObjectId>,
}

impl Cancels {
    /// When the next running task has had its time.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.values().min().copied()
    }
}

impl Head {
    /// Cancels a task and its children. False if it has ended already.
    pub(super) fn cancel(&mut self, task: ObjectId) -> bool {
        let is_unfinished = self.word(task).is_some_and(Word::is_task);
        let task = self.whole_of(task);
        if let Some(until) = self.cancels.running.get_mut(&task) {
            // Who asks twice does not want to wait.
            *until = Instant::now();
            self.end_overdue();
        } else {
            self.cancel_all(vec![task]);
        }
        is_unfinished
    }

    /// Cancels a task and its children, and gives it no time to end by itself.
    pub(super) fn cancel_at_once(&mut self, task: ObjectId) {
        self.cancel(task);
        // Who asks twice does not want to wait.
        self.cancel(task);
    }

    /// The task whose result a part is to be taken of, if this is such a part (`.split()`); else the task itself. Nobody else has a reference
    /// to the whole.
    fn whole_of(&self, part: ObjectId) -> ObjectId {
        let Some(word) = self.word(part).filter(|word| word.state() == State::Waiting) else { return part };
        let spec = self.segment.read_spec(part.slot());
        let is_part = word.is_task() && self.functions.name(spec.function).starts_with("split().");
        spec.objects().next().filter(|_| is_part).unwrap_or(part)
    }

    /// Cancels tasks and their children.
    fn cancel_all(&mut self, mut tasks: Vec<ObjectId>) {
        while let Some(task) = tasks.pop() {
            let Some(word) = self.word(task) else { continue };
            let is_unbegun = word.is_unbegun();
            if is_unbegun && !self.withdraw(task, word.state(), self.cancelled(task, 0)) {
                // A worker has begun it in this moment.
                tasks.push(task);
                continue;
            }
            // Also one that is to be run again may have some, of the run before.
            let attempt = self.segment.read_spec(task.slot()).attempt;
            match word.owner().filter(|_| word.state() == State::Running) {
                Some(seat) => self.end_softly(task, seat),
                None if is_unbegun && attempt > 0 => {}
                None => continue,
            }
            tasks.extend(self.children(task));
        }
    }

    /// Cancels what a task has submitted.
    fn cancel_children(&mut self, task: ObjectId) {
        self.cancel_all(self.children(task));
    }

    fn children(&self, task: ObjectId) -> Vec<ObjectId> {
        let parent = |id: &ObjectId| self.segment.slot(id.slot()).parent.load(Ordering::Relaxed);
        self.slots_with(Word::is_task).into_iter().filter(|id| parent(id) == task.0).collect()
    }

    /// Fails a task that nobody has begun. False if somebody has.
    pub(super) fn withdraw(&mut self, task: ObjectId, state: State, blame: Blame) -> bool {
        let spec = self.segment.read_spec(task.slot());
        let is_listed = state == State::Waiting;
        if is_listed {
            self.refer(task);
        }
        let is_cancelled = self.fail_by(task, blame, Step::Cancel);
        if is_listed && is_cancelled {
            self.cancels.listed.push(task);
            // All at once, and not each time that one of many is cancelled.
            self.retry = true;
        } else if is_listed {
            self.give_up(vec![task]);
        }
        if is_cancelled && spec.is_shaped() {
            self.tell(Event::Withdrawn(task));
        }
        is_cancelled
    }

    /// Ends the blocking calls of a task that runs. One that was cancelled before keeps the time that it has.
    fn end_softly(&mut self, task: ObjectId, seat: Seat) {
        self.cancels.running.entry(task).or_insert_with(|| Instant::now() + GRACE);
        self.segment.slot(task.slot()).cancelled.store(task.0, Ordering::Release);
        self.segment.desk(seat).interrupted.store(Desk::interrupt_of(task), Ordering::Release);
        self.segment.ring_for_all(seat);
    }

    /// Kills the workers of tasks that have had their time.
    pub(super) fn end_overdue(&mut self) {
        let now = Instant::now();
        let overdue: Vec<ObjectId> =
            self.cancels.running.extract_if(|_, until| *until <= now).map(|(task, _)| task).collect();
        for task in overdue {
            let word = self.word(task).filter(|word| word.state() == State::Running);
            let Some(seat) = word.and_then(Word::owner) else {
                self.cancels.told.remove(&task);
                continue;
            };
            if self.segment.task_kind(task.slot()).is_call() {
                // Its worker is an actor, which is not to die with one call: the call ends when it notices, as in Ray.
                self.cancels.running.insert(task, now + GRACE);
                if self.cancels.told.insert(task) {
                    let spec = self.segment.read_spec(task.slot());
                    let name = self.functions.name(spec.function);
                    let text = format!(
                        "call `{name}` was cancelled and goes on until it asks `is_cancelled()` or waits; `kill` ends its actor"
                    );
                    self.notice_of(spec.cell, text);
                }
                continue;
            }
            let worker = self.clients.iter().find(|(_, client)| client.seat == Some(seat));
            let Some(worker) = worker.and_then(|(id, _)| id.worker()) else { continue };
            // Sealed before the kill: a worker whose task ends in this moment sees that, and begins no other. Until it is gone it may write
            // its result, which nobody will read, so nobody else may have the slot.
            self.refer(task);
            self.end_output(worker);
            let blame = self.cancelled(task, self.pool.pid(worker));
            if !self.fail_by(task, blame, Step::Fail) {
                // It has ended in this moment, and its worker may run another one.
                self.give_up(vec![task]);
                continue;
            }
            self.cancels.killed.insert(worker, task);
            self.cancel_children(task);
            self.end_worker(worker);
        }
    }

    /// Gives up what was kept until this worker was gone.
    pub(super) fn killed_is_gone(&mut self, worker: WorkerId) {
        if let Some(task) = self.cancels.killed.remove(&worker) {
            self.give_up(vec![task]);
        }
    }

    /// Gives the head's references to tasks up.
    pub(super) fn give_up(&mut self, tasks: Vec<ObjectId>) {
        let mut loose = Vec::new();
        for task in tasks {
            let Some(reasons) = self.referred.get_mut(&task) else { continue };
            *reasons -= 1;
            if *reasons == 0 {
                self.referred.remove(&task);
                self.segment.remove(task, Kind::Ref, Seat::HEAD);
                loose.push(task);
            }
        }
        self.collect(loose);
    }

    /// Refers to an object, for one more reason if it does already; [`Head::give_up`] gives one up. False if there is no such object.
    pub(super) fn refer(&mut self, id: ObjectId) -> bool {
        if let Some(reasons) = self.referred.get_mut(&id) {
            *reasons += 1;
            return true;
        }
        let exists = self.segment.add(id, Kind::Ref, Seat::HEAD);
        if exists {
            self.referred.insert(id, 1);
        }
        exists
    }

    /// Whether the task was cancelled and has failed since, or has lost its worker; then it is over.
    pub(super) fn ends_cancelled(&mut self, task: ObjectId, pid: u32) -> bool {
        self.cancels.told.remove(&task);
        if self.cancels.running.remove(&task).is_none() {
            return false;
        }
        let blame = self.cancelled(task, pid);
        self.fail_by(task, blame, Step::Fail);
        self.cancel_children(task);
        true
    }

    /// Gives up cancelled tasks that are in no list any more. The caller looks at the watched tasks afterwards, because this takes the head's
    /// bit from objects that are finished.
    pub(super) fn release_listed(&mut self) {
        let segment = self.segment.clone();
        let (gone, still): (Vec<ObjectId>, Vec<ObjectId>) =
            std::mem::take(&mut self.cancels.listed).into_iter().partition(|task| {
                let spec = segment.read_spec(task.slot());
                // Whoever seals one of these tells the head.
                !spec.objects().any(|id| !segment.arm(id, Seat::HEAD) && self.word(id).is_some_and(Word::is_task))
            });
        self.cancels.listed = still;
        // A process that goes through a list with one of them does so first.
        if !gone.is_empty() && !segment.let_finish() {
            self.retry = true;
            return self.cancels.listed.extend(gone);
        }
        self.give_up(gone);
    }

    fn cancelled(&self, task: ObjectId, pid: u32) -> Blame {
        let spec = self.segment.read_spec(task.slot());
        Blame::at_origin(self.failure_of(&spec, Cause::Cancelled, pid))
    }
}
