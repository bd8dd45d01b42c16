//! The scheduler's state machine: the states of the workers, and the events that change them.
//!
//! ```text
//!   worker:  Starting ──▶ Parked ◀──▶ Leased ◀──▶ Blocked          any ──▶ gone
//!                            ▲           │ recalled: it parks when its task has ended
//!                            └───────────┘
//! ```
//!
//! The scheduler sees no plain tasks: workers with a lease take them from shared memory by themselves. A lease is the right to use one CPU
//! for that. There are as many leases as CPUs, so no more tasks run than there are CPUs, without the scheduler on their path.
//!
//! A task that waits for others lends its CPU to another worker, so that waiting tasks cannot use up all CPUs and deadlock. When it goes on
//! it has its CPU back at once, even if that is one CPU too many. The lease that was given in its place is recalled.
//!
//! # Invariants
//! - As many workers have a lease as there are CPUs, or all workers have one.
//! - There is always a worker for an unused CPU.

use super::Resources;
use super::resources::CPU;
use crate::protocol::WorkerId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a worker beyond the pool's size stays parked before it is ended.
const IDLE_EXTRA: Duration = Duration::from_secs(2);

/// After so many rounds in which all workers of the pool die before they are ready, tasks are refused instead of waiting for ever.
const FAILED_ROUNDS_MAX: u32 = 5;

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The resources, and how many workers are to stand ready.
    Configured {
        /// All resources.
        total: Resources,
        /// Number of workers.
        pool: u32,
    },
    /// The runtime is shut down: no workers, until it is configured anew or there is a task.
    ShutDown,
    /// A worker that was started is ready for tasks.
    WorkerReady(WorkerId),
    /// A worker is gone.
    WorkerExited(WorkerId),
    /// A worker's task waits for objects.
    Blocked(WorkerId),
    /// The worker's task goes on.
    Unblocked(WorkerId),
    /// A worker whose lease was recalled has no task any more.
    Parked(WorkerId),
    /// A task was submitted while the runtime is shut down or the last starts of workers failed.
    Demanded,
    /// Time has passed; see [`Scheduler::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker of this name.
    StartWorker(WorkerId),
    /// End a worker: one that is parked, or any when the runtime is shut down.
    StopWorker(WorkerId),
    /// The worker may take tasks.
    Lease(WorkerId),
    /// The worker may not take another task.
    Recall(WorkerId),
    /// No task can run because workers do not start.
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    Starting,
    Parked {
        since: Instant,
    },
    Leased,
    /// The worker may not take another task; the scheduler does not know whether it has one.
    Recalled,
    Blocked {
        is_recalled: bool,
    },
}

/// The scheduler of one runtime: its resources and the states of its workers.
#[derive(Debug, Default)]
pub struct Scheduler {
    total: Resources,
    pool: u32,
    workers: BTreeMap<WorkerId, Worker>,
    worker_next: u32,
    failed_starts: u32,
    is_shut_down: bool,
}

impl Scheduler {
    /// Takes an event and returns the actions to carry out, in order.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Configured { total, pool } => {
                (self.total, self.pool, self.failed_starts) = (total, pool.max(1), 0);
                self.is_shut_down = false;
            }
            Event::ShutDown => {
                self.is_shut_down = true;
                actions.extend(std::mem::take(&mut self.workers).into_keys().map(Action::StopWorker));
            }
            Event::WorkerReady(worker) => {
                if self.is(worker, |state| state == Worker::Starting) {
                    self.failed_starts = 0;
                    self.workers.insert(worker, Worker::Parked { since: now });
                }
            }
            Event::WorkerExited(worker) => {
                if self.workers.remove(&worker) == Some(Worker::Starting) {
                    self.failed_starts += 1;
                }
            }
            Event::Blocked(worker) => {
                if let Some(state @ (Worker::Leased | Worker::Recalled)) = self.workers.get(&worker).copied() {
                    self.workers.insert(worker, Worker::Blocked { is_recalled: state == Worker::Recalled });
                }
            }
            Event::Unblocked(worker) => {
                if let Some(Worker::Blocked { is_recalled }) = self.workers.get(&worker).copied() {
                    self.workers.insert(worker, if is_recalled { Worker::Recalled } else { Worker::Leased });
                }
            }
            Event::Parked(worker) => {
                if self.is(worker, |state| state == Worker::Recalled) {
                    self.workers.insert(worker, Worker::Parked { since: now });
                }
            }
            Event::Demanded => {
                self.failed_starts = self.failed_starts.min(self.failed_starts_max() - 1);
                self.is_shut_down = false;
            }
            Event::Tick => {}
        }
        if !self.is_shut_down {
            self.size_pool(&mut actions);
            self.balance(&mut actions);
            self.stop_extras(now, &mut actions);
        }
        #[cfg(debug_assertions)]
        self.check();
        actions
    }

    /// When to send [`Event::Tick`], unless another event comes before.
    pub fn deadline(&self) -> Option<Instant> {
        if self.workers.len() <= self.pool as usize {
            return None;
        }
        self.parked().map(|(_, since)| since + IDLE_EXTRA).min()
    }

    /// All resources of the runtime.
    pub fn total(&self) -> &Resources {
        &self.total
    }

    /// CPUs that plain tasks can have at once.
    pub fn cpus(&self) -> usize {
        self.total.amount(CPU) as usize
    }

    /// Whether no worker would run a task that is submitted now unless the head is told of it.
    pub fn serves_nobody(&self) -> bool {
        self.is_shut_down || self.cpus() == 0
    }

    /// Whether the worker's task waits, so that the worker has lent its CPU.
    pub fn is_blocked(&self, worker: WorkerId) -> bool {
        self.is(worker, |state| matches!(state, Worker::Blocked { .. }))
    }

    fn is(&self, worker: WorkerId, what: impl Fn(Worker) -> bool) -> bool {
        self.workers.get(&worker).is_some_and(|state| what(*state))
    }

    fn count(&self, what: impl Fn(Worker) -> bool) -> usize {
        self.workers.values().filter(|state| what(**state)).count()
    }

    fn parked(&self) -> impl Iterator<Item = (WorkerId, Instant)> {
        self.workers.iter().filter_map(|(worker, state)| match state {
            Worker::Parked { since } => Some((*worker, *since)),
            _ => None,
        })
    }

    /// Gives and recalls leases until there are as many as CPUs.
    fn balance(&mut self, actions: &mut Vec<Action>) {
        while self.count(|state| state == Worker::Leased) > self.cpus() {
            // The newest, because the older workers are warmer.
            let Some(worker) = self.last(|state| state == Worker::Leased) else { return };
            self.workers.insert(worker, Worker::Recalled);
            actions.push(Action::Recall(worker));
        }
        // A recalled worker may still have a task, which uses a CPU.
        while self.count(|state| matches!(state, Worker::Leased | Worker::Recalled)) < self.cpus() {
            let Some((worker, _)) = self.parked().next() else { return };
            self.workers.insert(worker, Worker::Leased);
            actions.push(Action::Lease(worker));
        }
    }

    fn last(&self, what: impl Fn(Worker) -> bool) -> Option<WorkerId> {
        self.workers.iter().rev().find(|(_, state)| what(**state)).map(|(worker, _)| *worker)
    }

    /// Starts workers up to the pool's size, and more for CPUs that would be unused because workers are blocked.
    fn size_pool(&mut self, actions: &mut Vec<Action>) {
        let blocked = self.count(|state| matches!(state, Worker::Blocked { .. }));
        if self.failed_starts >= self.failed_starts_max() {
            // All workers are blocked, perhaps on tasks that will never run, or there are none.
            if self.workers.len() == blocked {
                actions.push(Action::Refuse);
            }
            return;
        }
        let wanted = (self.pool as usize).max(self.cpus().min(self.pool as usize) + blocked);
        for _ in self.workers.len()..wanted {
            let worker = WorkerId(self.worker_next);
            self.worker_next += 1;
            self.workers.insert(worker, Worker::Starting);
            actions.push(Action::StartWorker(worker));
        }
    }

    fn stop_extras(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.workers.len() > self.pool as usize {
            let due = self.parked().filter(|(_, since)| *since + IDLE_EXTRA <= now).map(|(worker, _)| worker).last();
            let Some(worker) = due else { return };
            self.workers.remove(&worker);
            actions.push(Action::StopWorker(worker));
        }
    }

    fn failed_starts_max(&self) -> u32 {
        self.pool.max(1).saturating_mul(FAILED_ROUNDS_MAX)
    }
}

#[cfg(any(test, debug_assertions))]
impl Scheduler {
    /// Panics when an invariant of this file does not hold.
    pub(super) fn check(&self) {
        let leased = self.count(|state| state == Worker::Leased);
        let recalled = self.count(|state| state == Worker::Recalled);
        assert!(leased <= self.cpus(), "more tasks may begin than there are CPUs");
        let parked = self.parked().count();
        assert!(leased + recalled >= self.cpus() || parked == 0, "a worker is kept from a CPU that nobody uses");
        let starting = self.count(|state| state == Worker::Starting);
        if !self.is_shut_down && self.failed_starts < self.failed_starts_max() {
            let usable = leased + recalled + parked + starting;
            assert!(usable >= self.cpus().min(self.pool as usize), "there is no worker for a CPU");
        }
    }
}
