//! The state machine.
//!
//! ```text
//!   task:    Waiting(n arguments) ──▶ Queued ──▶ Running(worker) ──▶ gone
//!                  └── an argument failed: Carry ──────────────────────▲
//!
//!   worker:  Starting ──▶ Idle ◀──▶ Busy(task) ◀──▶ Blocked(task)          any ──▶ gone
//! ```
//!
//! A task that waits for others gives back what it took, so that tasks that wait for tasks cannot use up all CPUs and
//! stand still. When it goes on it takes its share again at once, even if that is one more than there is.
//!
//! # Invariants
//! - Tasks that need the same start in the order in which they became runnable.
//! - No runnable task that fits is kept from an idle worker.
//! - `free` is `total` less what the `Busy` tasks took.

use super::Resources;
use crate::protocol::{ObjectId, TaskId, WorkerId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a worker beyond the pool's size stays idle before it is ended.
const IDLE_EXTRA: Duration = Duration::from_secs(2);

/// How often in a row all workers of the pool may die before they are ready, until tasks are refused instead of waiting
/// for ever.
const FAILED_ROUNDS_MAX: u32 = 5;

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// There is so much, and so many workers shall stand ready.
    Configured {
        /// Everything.
        total: Resources,
        /// Workers.
        pool: u32,
    },
    /// A task that needs `needs` and, before it can start, the objects `waits_for` (each once).
    Submitted {
        /// Which.
        task: TaskId,
        /// What it takes while it runs.
        needs: Resources,
        /// Arguments that are not there yet.
        waits_for: Vec<ObjectId>,
    },
    /// An object that may be an argument of a task is there.
    ObjectReady(ObjectId),
    /// An object that may be an argument of a task will never be there.
    ObjectFailed(ObjectId),
    /// A worker that was started is ready for tasks.
    WorkerReady(WorkerId),
    /// A worker is gone.
    WorkerExited(WorkerId),
    /// A worker was gone before the task that it should run was given to it.
    Missed(WorkerId),
    /// A worker's task has ended, well or not.
    Finished(WorkerId),
    /// A worker's task waits for objects.
    Blocked(WorkerId),
    /// It goes on.
    Unblocked(WorkerId),
    /// Time has passed; see [`Scheduler::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker of this name.
    StartWorker(WorkerId),
    /// End an idle worker.
    StopWorker(WorkerId),
    /// Give the task to the worker.
    Run(TaskId, WorkerId),
    /// The task cannot run because this argument failed.
    Carry(TaskId, ObjectId),
    /// The task's worker died under it.
    Lost(TaskId, WorkerId),
    /// The task cannot run because workers do not start.
    Refuse(TaskId),
    /// The task needs more than there is. It stays queued until there is more.
    Infeasible(TaskId),
}

#[derive(Debug)]
struct Task {
    needs: Resources,
    missing: usize,
    /// Its place among the runnable ones, once it is one.
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    Starting,
    Idle { since: Instant },
    Busy(TaskId),
    Blocked(TaskId),
}

/// All that is decided about tasks and workers of one runtime.
#[derive(Debug, Default)]
pub struct Scheduler {
    total: Resources,
    free: Resources,
    pool: u32,
    tasks: HashMap<TaskId, Task>,
    /// Who waits for an object.
    dependents: HashMap<ObjectId, Vec<TaskId>>,
    /// Runnable tasks, one line for each shape, each with the number under which it became runnable.
    queues: BTreeMap<Resources, VecDeque<(u64, TaskId)>>,
    queued: u64,
    workers: BTreeMap<WorkerId, Worker>,
    /// Idle workers, the one that worked last at the back: its caches are the warmest.
    idle: Vec<WorkerId>,
    starting: usize,
    blocked: usize,
    worker_next: u32,
    failed_starts: u32,
}

impl Scheduler {
    /// Takes an event and says what is to be done about it, in order.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Configured { total, pool } => self.configure(total, pool),
            Event::Submitted { task, needs, waits_for } => self.submit(task, needs, waits_for, &mut actions),
            Event::ObjectReady(object) => self.object_ready(object),
            Event::ObjectFailed(object) => self.object_failed(object, &mut actions),
            Event::WorkerReady(worker) => self.worker_ready(worker, now),
            Event::WorkerExited(worker) => self.worker_exited(worker, &mut actions),
            Event::Missed(worker) => self.missed(worker),
            Event::Finished(worker) => self.finished(worker, now),
            Event::Blocked(worker) => self.blocked(worker),
            Event::Unblocked(worker) => self.unblocked(worker),
            Event::Tick => {}
        }
        self.dispatch(&mut actions);
        self.size_pool(now, &mut actions);
        actions
    }

    /// When to say [`Event::Tick`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        if self.idle.len() <= self.pool as usize {
            return None;
        }
        self.idle.iter().filter_map(|worker| self.idle_since(*worker)).min().map(|since| since + IDLE_EXTRA)
    }

    /// Everything there is.
    pub fn total(&self) -> &Resources {
        &self.total
    }

    /// What of it is not taken.
    pub fn free(&self) -> &Resources {
        &self.free
    }

    /// How many tasks have not ended.
    pub fn unfinished(&self) -> usize {
        self.tasks.len()
    }

    fn configure(&mut self, total: Resources, pool: u32) {
        self.free.give(&total);
        self.free.take(&self.total);
        self.total = total;
        self.pool = pool.max(1);
        self.failed_starts = 0;
    }

    fn submit(&mut self, task: TaskId, needs: Resources, waits_for: Vec<ObjectId>, actions: &mut Vec<Action>) {
        if !self.total.fit(&needs) {
            actions.push(Action::Infeasible(task));
        }
        // Somebody still wants to try: give starting workers one more chance.
        self.failed_starts = self.failed_starts.min(self.failed_starts_max() - 1);
        let missing = waits_for.len();
        for object in waits_for {
            self.dependents.entry(object).or_default().push(task);
        }
        self.tasks.insert(task, Task { needs, missing, number: 0 });
        if missing == 0 {
            self.enqueue(task);
        }
    }

    fn enqueue(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        self.queued += 1;
        entry.number = self.queued;
        self.queues.entry(entry.needs.clone()).or_default().push_back((self.queued, task));
    }

    fn object_ready(&mut self, object: ObjectId) {
        for task in self.dependents.remove(&object).unwrap_or_default() {
            // A task that another argument has ended is not there any more.
            let Some(entry) = self.tasks.get_mut(&task) else { continue };
            entry.missing -= 1;
            if entry.missing == 0 {
                self.enqueue(task);
            }
        }
    }

    fn object_failed(&mut self, object: ObjectId, actions: &mut Vec<Action>) {
        for task in self.dependents.remove(&object).unwrap_or_default() {
            if self.tasks.remove(&task).is_some() {
                actions.push(Action::Carry(task, object));
            }
        }
    }

    fn worker_ready(&mut self, worker: WorkerId, now: Instant) {
        if self.workers.get(&worker) == Some(&Worker::Starting) {
            self.starting -= 1;
            self.failed_starts = 0;
            self.rest(worker, now);
        }
    }

    fn worker_exited(&mut self, worker: WorkerId, actions: &mut Vec<Action>) {
        match self.workers.remove(&worker) {
            Some(Worker::Starting) => {
                self.starting -= 1;
                self.failed_starts += 1;
            }
            Some(Worker::Idle { .. }) => self.idle.retain(|idle| *idle != worker),
            Some(Worker::Busy(task)) => {
                self.end(task, true);
                actions.push(Action::Lost(task, worker));
            }
            Some(Worker::Blocked(task)) => {
                self.blocked -= 1;
                self.end(task, false);
                actions.push(Action::Lost(task, worker));
            }
            None => {}
        }
    }

    fn missed(&mut self, worker: WorkerId) {
        let Some(&Worker::Busy(task)) = self.workers.get(&worker) else { return };
        self.workers.remove(&worker);
        if let Some(entry) = self.tasks.get(&task) {
            self.free.give(&entry.needs);
            self.queues.entry(entry.needs.clone()).or_default().push_front((entry.number, task));
        }
    }

    fn finished(&mut self, worker: WorkerId, now: Instant) {
        match self.workers.get(&worker) {
            Some(&Worker::Busy(task)) => self.end(task, true),
            Some(&Worker::Blocked(task)) => {
                self.blocked -= 1;
                self.end(task, false);
            }
            _ => return,
        }
        self.rest(worker, now);
    }

    fn blocked(&mut self, worker: WorkerId) {
        if let Some(&Worker::Busy(task)) = self.workers.get(&worker) {
            self.blocked += 1;
            self.workers.insert(worker, Worker::Blocked(task));
            self.free.give(&self.tasks[&task].needs);
        }
    }

    fn unblocked(&mut self, worker: WorkerId) {
        if let Some(&Worker::Blocked(task)) = self.workers.get(&worker) {
            self.blocked -= 1;
            self.workers.insert(worker, Worker::Busy(task));
            self.free.take(&self.tasks[&task].needs);
        }
    }

    fn end(&mut self, task: TaskId, took: bool) {
        if let Some(ended) = self.tasks.remove(&task)
            && took
        {
            self.free.give(&ended.needs);
        }
    }

    fn rest(&mut self, worker: WorkerId, now: Instant) {
        self.workers.insert(worker, Worker::Idle { since: now });
        self.idle.push(worker);
    }

    /// Gives runnable tasks to idle workers: of all shapes that fit, the one whose first task came first.
    fn dispatch(&mut self, actions: &mut Vec<Action>) {
        while let Some(shape) = self.next_shape() {
            let Some(worker) = self.idle.pop() else { return };
            let Some((_, task)) = self.pop(&shape) else { return };
            self.free.take(&shape);
            self.workers.insert(worker, Worker::Busy(task));
            actions.push(Action::Run(task, worker));
        }
    }

    fn next_shape(&self) -> Option<Resources> {
        let fitting = self.queues.iter().filter(|(needs, _)| self.free.fit(needs));
        fitting.min_by_key(|(_, queue)| queue.front().map(|(number, _)| *number)).map(|(needs, _)| needs.clone())
    }

    fn pop(&mut self, shape: &Resources) -> Option<(u64, TaskId)> {
        let queue = self.queues.get_mut(shape)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(shape);
        }
        first
    }

    /// Keeps as many workers as the pool shall have, and one more for each that is blocked while tasks could run.
    fn size_pool(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.failed_starts >= self.failed_starts_max() {
            if self.workers.is_empty() {
                self.refuse_all(actions);
            }
            return;
        }
        let mut wanted = (self.pool as usize).saturating_sub(self.workers.len());
        // Everybody who could work waits: nested tasks need somebody new.
        wanted = wanted.max(self.runnable_now().saturating_sub(self.starting));
        for _ in 0..wanted {
            let worker = WorkerId(self.worker_next);
            self.worker_next += 1;
            self.starting += 1;
            self.workers.insert(worker, Worker::Starting);
            actions.push(Action::StartWorker(worker));
        }
        self.stop_extras(now, actions);
    }

    /// How many queued tasks would start at once if there were idle workers, as far as the pool may grow for them.
    fn runnable_now(&self) -> usize {
        if self.queues.is_empty() || !self.idle.is_empty() {
            return 0;
        }
        let may_grow = (self.pool as usize + self.blocked).saturating_sub(self.workers.len() - self.starting);
        let mut free = self.free.clone();
        let mut count = 0;
        for (needs, queue) in &self.queues {
            for _ in queue {
                if count == may_grow || !free.fit(needs) {
                    break;
                }
                free.take(needs);
                count += 1;
            }
        }
        count
    }

    fn stop_extras(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.idle.len() > self.pool as usize {
            let oldest = self.idle[0];
            if self.idle_since(oldest).is_none_or(|since| since + IDLE_EXTRA > now) {
                return;
            }
            self.idle.remove(0);
            self.workers.remove(&oldest);
            actions.push(Action::StopWorker(oldest));
        }
    }

    fn idle_since(&self, worker: WorkerId) -> Option<Instant> {
        match self.workers.get(&worker) {
            Some(Worker::Idle { since }) => Some(*since),
            _ => None,
        }
    }

    fn failed_starts_max(&self) -> u32 {
        self.pool.max(1).saturating_mul(FAILED_ROUNDS_MAX)
    }

    fn refuse_all(&mut self, actions: &mut Vec<Action>) {
        let mut runnable: Vec<(u64, TaskId)> = std::mem::take(&mut self.queues).into_values().flatten().collect();
        runnable.sort_unstable();
        for (_, task) in runnable {
            self.tasks.remove(&task);
            actions.push(Action::Refuse(task));
        }
    }
}

#[cfg(test)]
impl Scheduler {
    /// Panics when an invariant of this file does not hold.
    pub(super) fn check(&self) {
        let mut free = self.total.clone();
        let busy = self.workers.values().filter_map(|worker| match worker {
            Worker::Busy(task) => Some(&self.tasks[task].needs),
            _ => None,
        });
        busy.for_each(|needs| free.take(needs));
        let amounts = |of: &Resources| of.list().into_iter().filter(|(_, amount)| *amount != 0.0).collect::<Vec<_>>();
        assert_eq!(amounts(&self.free), amounts(&free), "what is free is not what nobody took");
        assert!(self.idle.is_empty() || self.next_shape().is_none(), "a task that fits is kept from an idle worker");
        let count = |kind: fn(&Worker) -> bool| self.workers.values().filter(|worker| kind(worker)).count();
        assert_eq!(self.starting, count(|worker| matches!(worker, Worker::Starting)));
        assert_eq!(self.blocked, count(|worker| matches!(worker, Worker::Blocked(_))));
        assert_eq!(self.idle.len(), count(|worker| matches!(worker, Worker::Idle { .. })));
    }
}
