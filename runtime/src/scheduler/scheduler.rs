//! The state machine.
//!
//! ```text
//!   worker:  Starting ──▶ Parked ◀──▶ Leased ◀──▶ Blocked          any ──▶ gone
//!                          │   ▲         │ recalled: it parks when its task has ended
//!                          │   └─────────┘
//!                          └──Run──▶ Running(task) ◀──▶ Blocked ──Ended──▶ Parked
//! ```
//!
//! Plain tasks (one CPU, nothing else) are not seen here: workers that have a lease take them from shared memory by themselves. A lease is
//! the right to use one CPU for that. Every other task has a *shape*, waits in its shape's queue here, and is given to a parked worker when
//! its resources are free. The worker that has run an actor's constructor stays as it is: it runs that task until the actor ends.
//!
//! A task that waits for others lends its CPUs, so that tasks that wait for tasks cannot use up all CPUs and stand still. When it goes on it
//! has its CPUs again at once, even if that is more than there is, and a lease that was given in its place is recalled.
//!
//! # Fairness
//! - Among sessions, the one comes first whose tasks of shapes have had the least, for its share (`fairness.rs`).
//! - Among the shapes of a session, the task that has waited longest comes first. One that does not fit is passed over, until it has
//!   waited for [`PASSED_OVER_MAX`]: from then on, what others give back is kept for it.
//! - Leases are recalled for a shape that waits. While plain tasks wait too, a lease lasts for [`QUANTUM`], and the two take turns.
//!
//! # Invariants
//! - Leases and running tasks together take no more than there is, but for tasks that came back from waiting.
//! - There is always a worker for a CPU that nobody uses.

use super::Resources;
use super::fairness::Accounts;
use super::gpus::{Gpus, Share};
use super::groups::Group;
use super::names::{CPU, GPU};
use super::resources::UNIT;
use super::shapes::{EnvironmentId, ShapeId, Shapes};
use crate::protocol::{ObjectId, SessionId, WorkerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How long a worker beyond the pool's size stays parked before it is ended.
const IDLE_EXTRA: Duration = Duration::from_secs(2);

/// How long a lease lasts while both plain tasks and shapes wait.
const QUANTUM: Duration = Duration::from_millis(2);

/// How long a CPU that a shaped task gave back is kept for the next one, while no plain task waits: a lease that is given and recalled
/// costs two wake-ups.
const LINGER: Duration = Duration::from_millis(5);

/// How long a task that does not fit is passed over by others.
const PASSED_OVER_MAX: Duration = Duration::from_secs(1);

/// How many tasks a worker is hinted at.
pub const HINTS_MAX: usize = 32;

/// How often in a row all workers of the pool may die before they are ready, until tasks are refused instead of waiting
/// for ever; of an environment of its own, how many workers.
const FAILED_ROUNDS_MAX: u32 = 5;

/// Worker processes at once, whatever the resources allow.
pub const WORKERS_MAX: usize = 200;

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
    /// The runtime is shut down: no workers, until it is configured anew or there is a task.
    ShutDown,
    /// A worker that was started is ready for tasks.
    WorkerReady(WorkerId),
    /// A worker is gone.
    WorkerExited(WorkerId),
    /// A worker's task waits for objects.
    Blocked(WorkerId),
    /// It goes on.
    Unblocked(WorkerId),
    /// A worker whose lease was recalled has no task any more.
    Parked(WorkerId),
    /// A task of a shape can run.
    Queued {
        /// Which.
        task: ObjectId,
        /// What it asks for.
        shape: ShapeId,
        /// Whose it is.
        session: SessionId,
    },
    /// A session of this share is there.
    Joined(SessionId, u32),
    /// It is gone.
    Left(SessionId),
    /// A task that is in a queue is not to be run.
    Withdrawn(ObjectId),
    /// A worker has ended the task that it was given, and has taken these of those that it was hinted at.
    Ended {
        /// Which.
        worker: WorkerId,
        /// The tasks besides.
        also: Vec<ObjectId>,
    },
    /// A worker has made an actor, and is its process until it ends. From what the constructor took, it keeps this.
    Settled(WorkerId, ShapeId),
    /// A placement group of this number is wanted: what its bundles have, together.
    GroupQueued {
        /// Its number.
        group: u64,
        /// What each bundle has.
        bundles: Vec<Resources>,
    },
    /// A placement group is not wanted any more. Its tasks that run are ended by the caller.
    GroupRemoved(u64),
    /// Plain tasks wait for a worker, or do not any more.
    PlainWaits(bool),
    /// A process has submitted a task although no worker could be started the last times.
    Demanded,
    /// Time has passed; see [`Scheduler::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker of this name, in the environment that [`Scheduler::environment`] says.
    StartWorker(WorkerId),
    /// End a worker: one that is parked, or any when the runtime is shut down.
    StopWorker(WorkerId),
    /// The worker may take plain tasks.
    Lease(WorkerId),
    /// It may not take another one.
    Recall(WorkerId),
    /// The worker runs this task now.
    Run {
        /// Which.
        worker: WorkerId,
        /// The task.
        task: ObjectId,
        /// Tasks of the same shape that it may take when it has ended that one. They are in the queue all the same, and given to others if
        /// it does not come to them.
        hints: Vec<ObjectId>,
    },
    /// A task of this shape asks for more than there is. It waits.
    Infeasible(ObjectId, ShapeId),
    /// A placement group asks for more than there is. It waits.
    InfeasibleGroup(u64),
    /// There is no such placement group as this task names: it is in no queue.
    Groupless(ObjectId),
    /// No worker starts in the environment that this task asks for: it is in no queue.
    Unstarted(ObjectId),
    /// No task can run because workers do not start.
    Refuse,
    /// Tasks wait because there are as many processes as there may be.
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Parked {
        since: Instant,
    },
    Leased {
        since: Instant,
    },
    /// It may not take another plain task; whether it has one is not known here.
    Recalled,
    /// A task of a shape, or an actor, with its share of the GPUs.
    Running {
        task: ObjectId,
        shape: ShapeId,
        session: SessionId,
        share: Share,
    },
    /// As one of the two before, or leased, but waiting inside of a task.
    Blocked {
        before: Box<State>,
    },
}

#[derive(Clone, Debug)]
struct Worker {
    state: State,
    environment: Environment,
}

impl Worker {
    /// Whether it can run plain tasks.
    fn is_plain(&self) -> bool {
        self.environment == Environment::default()
    }
}

/// What a worker was started with, and cannot change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables.
    pub variables: EnvironmentId,
    /// The GPUs that it sees.
    pub gpus: Vec<u32>,
}

/// All that is decided about the workers of one runtime.
#[derive(Debug, Default)]
pub struct Scheduler {
    /// What was configured.
    machine: Resources,
    /// That, and what placement groups have, under its own names.
    total: Resources,
    groups: BTreeMap<u64, Group>,
    /// What neither a lease nor a task of a shape has. Negative while tasks that came back from waiting have more than there is.
    free: Resources,
    gpus: Gpus,
    pool: u32,
    workers: BTreeMap<WorkerId, Worker>,
    worker_next: u32,
    failed_starts: u32,
    /// The same of workers in an environment of their own, which is what may be wrong with them.
    failed_elsewhere: BTreeMap<EnvironmentId, u32>,
    is_shut_down: bool,
    /// Whether it was said that there are as many workers as there may be.
    is_full_told: bool,
    shapes: Shapes,
    queues: BTreeMap<QueueId, Queue>,
    accounts: Accounts,
    /// Until when those are up to date.
    charged_until: Option<Instant>,
    plain_waits: bool,
    /// It is a lease's turn, although shapes wait.
    plain_turn: bool,
    /// Until when CPUs are kept for shapes.
    linger_until: Option<Instant>,
    /// When the lease that is to be recalled has had its time.
    quantum_until: Option<Instant>,
}

/// Whose tasks are in a queue, and of which shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct QueueId {
    shape: ShapeId,
    session: SessionId,
}

/// The tasks of one shape and session that wait.
#[derive(Clone, Debug, Default)]
struct Queue {
    next: VecDeque<Waiting>,
    /// Tasks that a worker was hinted at, and may have taken by now. They come last.
    hinted: Vec<(WorkerId, Waiting)>,
}

impl Queue {
    fn len(&self) -> usize {
        self.next.len() + self.hinted.len()
    }

    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.hinted.is_empty()
    }

    /// The task at this place.
    fn get(&self, place: usize) -> Option<Waiting> {
        let hinted = || self.hinted.get(place - self.next.len()).map(|(_, waiting)| *waiting);
        self.next.get(place).copied().or_else(hinted)
    }

    fn pop(&mut self) {
        if self.next.pop_front().is_none() && !self.hinted.is_empty() {
            self.hinted.remove(0);
        }
    }

    fn remove(&mut self, task: ObjectId) {
        self.next.retain(|waiting| waiting.task != task);
        self.hinted.retain(|(_, waiting)| waiting.task != task);
    }

    fn tasks(self) -> impl Iterator<Item = ObjectId> {
        self.next.into_iter().chain(self.hinted.into_iter().map(|(_, waiting)| waiting)).map(|waiting| waiting.task)
    }
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    task: ObjectId,
    since: Instant,
}

impl Scheduler {
    /// Takes an event and says what is to be done about it, in order.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.charge(now);
        match event {
            Event::Joined(session, share) => self.accounts.join(session, share),
            Event::Left(session) => self.accounts.leave(session),
            Event::Configured { total, pool } => self.configure(total, pool),
            Event::ShutDown => {
                self.is_shut_down = true;
                actions.extend(std::mem::take(&mut self.workers).into_keys().map(Action::StopWorker));
                self.queues.clear();
                self.groups.clear();
                self.recount();
            }
            Event::WorkerReady(worker) => {
                if self.is(worker, |state| *state == State::Starting) {
                    self.failed_starts = 0;
                    self.failed_elsewhere.remove(&self.environment(worker).variables);
                    self.set(worker, State::Parked { since: now });
                }
            }
            Event::WorkerExited(worker) => self.forget(worker, &mut actions),
            Event::Blocked(worker) => self.block(worker),
            Event::Unblocked(worker) => self.unblock(worker),
            Event::Parked(worker) => {
                if self.is(worker, |state| *state == State::Recalled) {
                    self.free.give(&Resources::one_cpu());
                    self.set(worker, State::Parked { since: now });
                }
            }
            Event::Queued { task, shape, session } => {
                self.is_shut_down = false;
                match self.shapes.group(shape).map(|group| self.groups.get(&group)) {
                    Some(None | Some(Group { is_removed: true, .. })) => return vec![Action::Groupless(task)],
                    // It waits for its group.
                    Some(Some(Group { shares: None, .. })) => {}
                    _ if self.total.fit(self.shapes.needs(shape)) => {}
                    _ => actions.push(Action::Infeasible(task, shape)),
                }
                if !self.queues.keys().any(|id| id.session == session) {
                    self.accounts.comes(session);
                }
                let queue = self.queues.entry(QueueId { shape, session }).or_default();
                queue.next.push_back(Waiting { task, since: now });
                if queue.next.len() > 1 && actions.is_empty() && !self.free.fit(self.shapes.needs(shape)) {
                    // Those before it wait for what others have, and nothing has changed for them.
                    return actions;
                }
            }
            Event::Withdrawn(task) => {
                self.queues.values_mut().for_each(|queue| queue.remove(task));
                self.queues.retain(|_, queue| !queue.is_empty());
            }
            Event::Ended { worker, also } => {
                self.take_hints_back(worker, &also);
                self.end(worker, now);
            }
            Event::Settled(worker, keeps) => self.settle(worker, keeps),
            Event::GroupQueued { group, bundles } => {
                let group_of = Group::new(bundles, now);
                if !self.machine.fit(&group_of.reserved()) {
                    actions.push(Action::InfeasibleGroup(group));
                }
                self.groups.insert(group, group_of);
            }
            Event::GroupRemoved(group) => self.remove_group(group, &mut actions),
            Event::PlainWaits(waits) => self.plain_waits = waits,
            Event::Demanded => {
                self.failed_starts = self.failed_starts.min(self.failed_starts_max() - 1);
                self.is_shut_down = false;
            }
            Event::Tick => {}
        }
        self.retire_groups();
        if !self.is_shut_down {
            self.grant_groups();
            self.run_shapes(now, &mut actions);
            self.size_pool(&mut actions);
            self.balance(now, &mut actions);
            self.stop_extras(now, &mut actions);
        }
        #[cfg(debug_assertions)]
        self.check();
        actions
    }

    /// When to say [`Event::Tick`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let extras = self.parked_extras().map(|(_, since)| since + IDLE_EXTRA);
        extras.chain(self.quantum_until).chain(self.linger_until).min()
    }

    /// Everything there is.
    pub fn total(&self) -> &Resources {
        &self.total
    }

    /// What tasks of shapes leave, plain ones not counted.
    pub fn free_of_shapes(&self) -> Resources {
        let mut free = self.free.clone();
        self.workers.values().filter(|worker| is_lease(&worker.state)).for_each(|_| free.give(&Resources::one_cpu()));
        free
    }

    /// What there is besides what placement groups have, or would be if they had nothing.
    pub fn machine(&self) -> &Resources {
        &self.machine
    }

    /// What a placement group takes; `None` if there is no such group.
    pub fn group_needs(&self, group: u64) -> Option<Resources> {
        self.groups.get(&group).map(Group::reserved)
    }

    /// Placement groups that wait, and what each of them asks for.
    pub fn queued_groups(&self) -> impl Iterator<Item = Resources> {
        self.groups.values().filter(|group| group.shares.is_none() && !group.is_removed).map(Group::reserved)
    }

    /// What runs in a placement group.
    pub fn tasks_in(&self, group: u64) -> Vec<ObjectId> {
        self.in_groups().filter(|(.., of)| *of == group).map(|(_, task, _)| task).collect()
    }

    /// CPUs that plain tasks can have at once, while there are no others.
    pub fn cpus(&self) -> usize {
        self.total.amount(CPU) as usize
    }

    /// Whether a plain task that is submitted now waits until the head has been told of it.
    pub fn serves_nobody(&self) -> bool {
        self.is_shut_down || self.cpus() == 0
    }

    /// Whether the worker's task waits for objects.
    pub fn is_blocked(&self, worker: WorkerId) -> bool {
        self.is(worker, |state| matches!(state, State::Blocked { .. }))
    }

    /// The task of a shape that a worker has.
    pub fn task_of(&self, worker: WorkerId) -> Option<ObjectId> {
        match &self.workers.get(&worker)?.state {
            State::Running { task, .. } => Some(*task),
            State::Blocked { before } => match &**before {
                State::Running { task, .. } => Some(*task),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a worker is started with.
    pub fn environment(&self, worker: WorkerId) -> Environment {
        self.workers.get(&worker).map(|worker| worker.environment.clone()).unwrap_or_default()
    }

    /// The shapes, to number a new one or to look one up.
    pub fn shapes(&mut self) -> &mut Shapes {
        &mut self.shapes
    }

    /// Whether tasks of shapes wait.
    pub fn has_queues(&self) -> bool {
        !self.queues.is_empty()
    }

    /// Whether those wait, or placement groups do.
    pub fn has_waiting(&self) -> bool {
        self.has_queues() || self.waiting_groups().next().is_some()
    }

    /// Whether what a worker runs is in a placement group.
    pub fn is_in_a_group(&self, worker: WorkerId) -> bool {
        let state = self.workers.get(&worker).map(|worker| &worker.state);
        matches!(state, Some(State::Running { shape, .. }) if self.shapes.group(*shape).is_some())
    }

    /// Tasks that wait in queues, by shape.
    pub fn queued(&self) -> BTreeMap<ShapeId, usize> {
        let mut queued = BTreeMap::new();
        self.queues.iter().for_each(|(id, queue)| *queued.entry(id.shape).or_default() += queue.len());
        queued
    }
}

/// What each event changes.
impl Scheduler {
    fn configure(&mut self, total: Resources, pool: u32) {
        (self.machine, self.pool, self.failed_starts) = (total, pool.max(1), 0);
        self.is_shut_down = false;
        self.recount();
    }

    /// Counts anew what is free.
    fn recount(&mut self) {
        self.total = self.machine.clone();
        self.gpus = Gpus::new(self.machine.units(GPU));
        let mut reserved = Resources::default();
        for (id, group) in &mut self.groups {
            let Some(shares) = &group.shares else { continue };
            self.total.give(&group.resources(*id));
            reserved.give(&group.reserved());
            shares.iter().for_each(|share| self.gpus.take_share(share));
            group.gpus = Gpus::of_shares(shares);
        }
        self.free = self.total.clone();
        self.free.take(&reserved);
        for state in self.workers.values().map(|worker| worker.state.clone()).collect::<Vec<_>>() {
            match &state {
                state if is_lease(state) => self.free.take(&Resources::one_cpu()),
                State::Running { shape, share, .. } => {
                    self.free.take(self.shapes.needs(*shape));
                    self.gpus_for(*shape).take_share(share);
                }
                State::Blocked { before } => {
                    if let State::Running { shape, share, .. } = &**before {
                        self.free.take(&self.shapes.needs(*shape).cpus_and_others().1);
                        self.gpus_for(*shape).take_share(share);
                    }
                }
                _ => {}
            }
        }
    }

    /// The GPUs from which tasks of a shape have theirs: the machine's, or those of its placement group.
    fn gpus_for(&mut self, shape: ShapeId) -> &mut Gpus {
        match self.shapes.group(shape).and_then(|group| self.groups.get_mut(&group)) {
            Some(group) => &mut group.gpus,
            None => &mut self.gpus,
        }
    }

    /// A group is not wanted any more: its tasks that wait will not be run.
    fn remove_group(&mut self, id: u64, actions: &mut Vec<Action>) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.is_removed = true;
        let shapes = &self.shapes;
        for (_, queue) in self.queues.extract_if(.., |of, _| shapes.group(of.shape) == Some(id)) {
            actions.extend(queue.tasks().map(Action::Groupless));
        }
    }

    /// Takes back what removed groups have of which no task runs.
    fn retire_groups(&mut self) {
        if !self.groups.values().any(|group| group.is_removed) {
            return;
        }
        let used: BTreeSet<u64> = self.in_groups().map(|(_, _, group)| group).collect();
        let retired: Vec<u64> =
            self.groups.extract_if(.., |id, group| group.is_removed && !used.contains(id)).map(|(id, _)| id).collect();
        if !retired.is_empty() {
            self.recount();
        }
    }

    /// Workers that run something in a placement group: which, and in which group.
    fn in_groups(&self) -> impl Iterator<Item = (WorkerId, ObjectId, u64)> {
        self.workers.iter().filter_map(|(id, worker)| {
            let state = if let State::Blocked { before } = &worker.state { before } else { &worker.state };
            match state {
                State::Running { task, shape, .. } => Some((*id, *task, self.shapes.group(*shape)?)),
                _ => None,
            }
        })
    }

    /// Brings the accounts of the sessions up to date: nothing has changed since the last event.
    fn charge(&mut self, now: Instant) {
        let last = self.charged_until.replace(now).unwrap_or(now);
        if !self.accounts.are_several() {
            return;
        }
        let time = now.saturating_duration_since(last);
        for worker in self.workers.values() {
            if let State::Running { shape, session, .. } = worker.state {
                self.accounts.charge(session, self.shapes.cpus(shape), time);
            }
        }
    }

    fn block(&mut self, worker: WorkerId) {
        let Some(state) = self.workers.get(&worker).map(|worker| worker.state.clone()) else { return };
        match &state {
            State::Leased { .. } | State::Recalled => self.free.give(&Resources::one_cpu()),
            State::Running { shape, .. } => self.free.give(&self.shapes.needs(*shape).cpus_and_others().0),
            _ => return,
        }
        self.set(worker, State::Blocked { before: Box::new(state) });
    }

    fn unblock(&mut self, worker: WorkerId) {
        let Some(State::Blocked { before }) = self.workers.get(&worker).map(|worker| worker.state.clone()) else {
            return;
        };
        match &*before {
            State::Running { shape, .. } => self.free.take(&self.shapes.needs(*shape).cpus_and_others().0),
            _ => self.free.take(&Resources::one_cpu()),
        }
        self.set(worker, *before);
    }

    /// A worker has ended its task.
    fn end(&mut self, worker: WorkerId, now: Instant) {
        if self.task_of(worker).is_none() {
            return;
        }
        self.unblock(worker);
        self.give_back(worker);
        self.set(worker, State::Parked { since: now });
        self.linger_until = Some(now + LINGER);
        self.plain_turn = self.plain_waits && self.count(is_lease) == 0;
    }

    /// What a worker was hinted at and has not taken is next again.
    fn take_hints_back(&mut self, worker: WorkerId, taken: &[ObjectId]) {
        for queue in self.queues.values_mut().filter(|queue| !queue.hinted.is_empty()) {
            let hinted = queue.hinted.extract_if(.., |(of, _)| *of == worker);
            let left: Vec<Waiting> =
                hinted.map(|(_, waiting)| waiting).filter(|waiting| !taken.contains(&waiting.task)).collect();
            left.into_iter().rev().for_each(|waiting| queue.next.push_front(waiting));
        }
        self.queues.retain(|_, queue| !queue.is_empty());
    }

    /// A worker keeps what an actor keeps of what its constructor took. Its GPUs are among that.
    fn settle(&mut self, worker: WorkerId, keeps: ShapeId) {
        self.unblock(worker);
        let state = self.workers.get(&worker).map(|worker| worker.state.clone());
        let Some(State::Running { task, shape, session, share }) = state else { return };
        self.free.give(self.shapes.needs(shape));
        self.free.take(self.shapes.needs(keeps));
        self.set(worker, State::Running { task, shape: keeps, session, share });
    }

    fn forget(&mut self, worker: WorkerId, actions: &mut Vec<Action>) {
        self.take_hints_back(worker, &[]);
        self.unblock(worker);
        self.give_back(worker);
        let Some(Worker { state: State::Starting, environment }) = self.workers.remove(&worker) else { return };
        let of = environment.variables;
        if of == EnvironmentId::default() {
            self.failed_starts += 1;
            return;
        }
        let failed = self.failed_elsewhere.entry(of).or_default();
        *failed += 1;
        if *failed >= FAILED_ROUNDS_MAX {
            // A task that comes later is one more try.
            self.failed_elsewhere.remove(&of);
            let shapes = &self.shapes;
            for (_, queue) in self.queues.extract_if(.., |id, _| shapes.environment_of(id.shape) == of) {
                actions.extend(queue.tasks().map(Action::Unstarted));
            }
        }
    }

    /// Puts back what a worker's state has taken.
    fn give_back(&mut self, worker: WorkerId) {
        match self.workers.get(&worker).map(|worker| worker.state.clone()) {
            Some(state) if is_lease(&state) => self.free.give(&Resources::one_cpu()),
            Some(State::Running { shape, share, .. }) => {
                self.free.give(self.shapes.needs(shape));
                self.gpus_for(shape).give(&share);
            }
            _ => {}
        }
    }
}

/// Decisions, in the order in which they are made.
impl Scheduler {
    /// Gives placement groups what they ask for, when all of it is free, in the order in which they came.
    fn grant_groups(&mut self) {
        let waiting: Vec<u64> =
            self.groups.iter().filter(|(_, group)| group.shares.is_none()).map(|(id, _)| *id).collect();
        for id in waiting {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let reserved = group.reserved();
            if self.free.fit(&reserved)
                && let Some(shares) = group.take_gpus(&mut self.gpus)
            {
                group.gpus = Gpus::of_shares(&shares);
                group.shares = Some(shares);
                let resources = group.resources(id);
                self.total.give(&resources);
                self.free.give(&resources);
                self.free.take(&reserved);
            }
        }
    }

    /// Placement groups that wait for what there is.
    fn waiting_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups
            .values()
            .filter(|group| group.shares.is_none() && !group.is_removed && self.machine.fit(&group.reserved()))
    }

    /// Gives tasks of shapes to workers, and starts workers for those that could run if there were one.
    fn run_shapes(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.queues.is_empty() {
            return;
        }
        let mut starting: Vec<Environment> = self.with(|state| *state == State::Starting);
        // What is left when the workers that start have what they were started for.
        let mut free = self.free.clone();
        let mut gpus: BTreeMap<Option<u64>, Gpus> =
            self.groups.iter().map(|(id, group)| (Some(*id), group.gpus.clone())).collect();
        gpus.insert(None, self.gpus.clone());
        if self.plain_turn && self.count(is_lease) == 0 {
            free.take(&Resources::one_cpu());
        }
        // Tasks at the front of a queue whose workers start.
        let mut provided: BTreeMap<QueueId, usize> = BTreeMap::new();
        while let Some((queue, task)) = self.next_that_fits(now, &free, &gpus, &provided) {
            let QueueId { shape, session } = queue;
            let needs = self.shapes.needs(shape).clone();
            let (variables, amount) = (self.shapes.environment_of(shape), self.shapes.gpus(shape));
            let Some(gpus) = gpus.get_mut(&self.shapes.group(shape)) else { break };
            free.take(&needs);
            let suits = |environment: &Environment, gpus: &Gpus| {
                environment.variables == variables && gpus.has(&environment.gpus, amount)
            };
            let parked = self
                .workers
                .iter()
                .find(|(_, worker)| matches!(worker.state, State::Parked { .. }) && suits(&worker.environment, gpus));
            if let Some((id, worker)) = parked.map(|(id, worker)| (*id, worker.clone())) {
                let share = Gpus::share_of(&worker.environment.gpus, amount);
                gpus.take_share(&share);
                self.gpus_for(shape).take_share(&share);
                self.free.take(&needs);
                self.dequeue(queue);
                self.accounts.serve(session);
                self.set(id, State::Running { task, shape, session, share });
                let hints = self.hints(id, queue);
                actions.push(Action::Run { worker: id, task, hints });
                continue;
            }
            *provided.entry(queue).or_default() += 1;
            if let Some(place) = starting.iter().position(|environment| suits(environment, gpus)) {
                let environment = starting.swap_remove(place);
                gpus.take_share(&Gpus::share_of(&environment.gpus, amount));
            } else if let Some(share) = gpus.take(amount) {
                self.start(Environment { variables, gpus: share.indices }, actions);
            }
        }
    }

    /// Hints a worker that is about to be given a task at the next ones, if nobody else waits for what they take: so that many short tasks
    /// of a shape cost one decision for several.
    fn hints(&mut self, worker: WorkerId, of: QueueId) -> Vec<ObjectId> {
        if self.plain_waits || self.queues.len() > 1 || self.waiting_groups().next().is_some() {
            return Vec::new();
        }
        let alike = self.count(|state| matches!(state, State::Running { shape, .. } if *shape == of.shape));
        let Some(queue) = self.queues.get_mut(&of) else { return Vec::new() };
        // Few enough that the others have as many left.
        let count = HINTS_MAX.min(queue.next.len() / (2 * alike.max(1)));
        let hinted: Vec<Waiting> = queue.next.drain(..count).collect();
        queue.hinted.extend(hinted.iter().map(|waiting| (worker, *waiting)));
        hinted.into_iter().map(|waiting| waiting.task).collect()
    }

    /// The task that comes first of those that fit; none behind one, of the same resources, that has been passed over for too long.
    fn next_that_fits(
        &self,
        now: Instant,
        free: &Resources,
        gpus: &BTreeMap<Option<u64>, Gpus>,
        provided: &BTreeMap<QueueId, usize>,
    ) -> Option<(QueueId, ObjectId)> {
        let fronts = self
            .queues
            .iter()
            .filter_map(|(id, queue)| Some((*id, queue.get(provided.get(id).copied().unwrap_or(0))?)));
        let mut fronts: Vec<(QueueId, Waiting)> =
            fronts.filter(|(id, _)| self.total.fit(self.shapes.needs(id.shape))).collect();
        fronts.sort_by_key(|(id, waiting)| (self.accounts.had(id.session), waiting.since));
        let is_overdue = |since: Instant| now.saturating_duration_since(since) >= PASSED_OVER_MAX;
        // What is given back is kept for a group that has waited for too long; its own tasks take nothing of that.
        let kept = self.waiting_groups().any(|group| is_overdue(group.since));
        fronts.retain(|(id, _)| !kept || self.shapes.group(id.shape).is_some());
        // A group's tasks are not behind those that take from the machine, nor behind another group's.
        let mut held_up = BTreeSet::new();
        for (id, waiting) in fronts {
            let shape = id.shape;
            let (needs, group) = (self.shapes.needs(shape), self.shapes.group(shape));
            if held_up.contains(&group) {
                continue;
            }
            let could_give = |gpus: &Gpus| gpus.could_give(self.shapes.gpus(shape));
            if free.fit(needs) && gpus.get(&group).is_some_and(could_give) {
                return Some((id, waiting.task));
            }
            if is_overdue(waiting.since) {
                held_up.insert(group);
            }
        }
        None
    }

    /// CPUs, in units, that tasks of shapes would have if plain tasks left them.
    fn wanted_cpus(&self) -> i64 {
        let wanted = self.queues.iter().map(|(id, queue)| {
            let needs = self.shapes.needs(id.shape);
            if !self.total.fit(needs) {
                return 0;
            }
            let fits = self.free.without(CPU).times(&needs.without(CPU)).min(queue.len());
            needs.units(CPU).saturating_mul(i64::try_from(fits).unwrap_or(i64::MAX))
        });
        let of_groups = self.waiting_groups().map(|group| group.reserved().units(CPU));
        wanted.chain(of_groups).fold(0, i64::saturating_add)
    }

    /// Gives and recalls leases until there are as many as there are CPUs for plain tasks.
    fn balance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.quantum_until = None;
        self.linger_until = self.linger_until.filter(|until| *until > now);
        let available = self.free.units(CPU).saturating_add(UNIT.saturating_mul(self.count(is_lease) as i64));
        let cpus = |units: i64| usize::try_from(units / UNIT).unwrap_or(0);
        let mut allowed = cpus(available.saturating_sub(self.wanted_cpus()).max(0));
        if self.plain_turn {
            let over = self.oldest_lease().is_some_and(|since| since + QUANTUM <= now);
            self.plain_turn = self.plain_waits && !self.queues.is_empty() && !over;
            if self.plain_turn {
                allowed = allowed.max(cpus(available).min(1));
            }
        }
        while self.count(|state| matches!(state, State::Leased { .. })) > allowed {
            // The newest: the older ones are warmer.
            let newest = self.workers.iter().rev().find(|(_, worker)| matches!(worker.state, State::Leased { .. }));
            let Some((worker, State::Leased { since })) = newest.map(|(id, worker)| (*id, worker.state.clone())) else {
                break;
            };
            // A lease in the place of a task that goes on again is too many, and not a turn.
            if self.plain_waits && since + QUANTUM > now && available >= UNIT {
                self.quantum_until = Some(since + QUANTUM);
                break;
            }
            self.set(worker, State::Recalled);
            actions.push(Action::Recall(worker));
        }
        let leased = self.count(|state| matches!(state, State::Leased { .. }));
        if leased > 0 && !self.plain_waits && self.linger_until.is_some() {
            return;
        }
        // A worker whose lease was recalled may still have a task, and then uses a CPU.
        while self.count(is_lease) < allowed {
            let parked = self
                .workers
                .iter()
                .find(|(_, worker)| matches!(worker.state, State::Parked { .. }) && worker.is_plain());
            let Some(worker) = parked.map(|(id, _)| *id) else { return };
            self.free.take(&Resources::one_cpu());
            self.set(worker, State::Leased { since: now });
            actions.push(Action::Lease(worker));
        }
    }

    /// Keeps as many workers as the pool shall have, and one for each CPU that no worker could use otherwise.
    fn size_pool(&mut self, actions: &mut Vec<Action>) {
        let (all, busy) =
            self.workers.values().filter(|worker| worker.is_plain()).fold((0, 0), |(all, busy), worker| {
                let is_busy = matches!(worker.state, State::Blocked { .. } | State::Running { .. });
                (all + 1, busy + usize::from(is_busy))
            });
        if self.failed_starts >= self.failed_starts_max() {
            // Those that wait may wait for what no worker will run; there may be none at all.
            if all == busy {
                actions.push(Action::Refuse);
            }
            return;
        }
        let plain = usize::try_from(self.free.units(CPU) / UNIT).unwrap_or(0) + self.count(is_lease);
        let pool = self.pool as usize;
        let wanted = pool.max(plain.min(pool) + busy);
        for _ in all..wanted {
            self.start(Environment::default(), actions);
        }
    }

    /// Starts a worker, unless there are too many.
    fn start(&mut self, environment: Environment, actions: &mut Vec<Action>) {
        if self.workers.len() >= WORKERS_MAX || self.failed_starts >= self.failed_starts_max() {
            // One that has nothing to do, and that cannot do this, makes room.
            let parked = self
                .workers
                .iter()
                .find(|(_, worker)| matches!(worker.state, State::Parked { .. }) && worker.environment != environment);
            let is_full = self.workers.len() >= WORKERS_MAX;
            let Some(idle) = parked.map(|(id, _)| *id).filter(|_| is_full) else {
                if is_full && !std::mem::replace(&mut self.is_full_told, true) {
                    actions.push(Action::Full);
                }
                return;
            };
            self.workers.remove(&idle);
            actions.push(Action::StopWorker(idle));
        }
        let worker = WorkerId(self.worker_next);
        self.worker_next += 1;
        self.workers.insert(worker, Worker { state: State::Starting, environment });
        actions.push(Action::StartWorker(worker));
    }

    fn stop_extras(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((worker, _)) = self.parked_extras().filter(|(_, since)| *since + IDLE_EXTRA <= now).last() {
            self.workers.remove(&worker);
            actions.push(Action::StopWorker(worker));
        }
    }
}

/// Looks at the state.
impl Scheduler {
    fn is(&self, worker: WorkerId, what: impl Fn(&State) -> bool) -> bool {
        self.workers.get(&worker).is_some_and(|worker| what(&worker.state))
    }

    fn set(&mut self, worker: WorkerId, state: State) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.state = state;
        }
    }

    fn count(&self, what: impl Fn(&State) -> bool) -> usize {
        self.workers.values().filter(|worker| what(&worker.state)).count()
    }

    fn with(&self, what: impl Fn(&State) -> bool) -> Vec<Environment> {
        self.workers.values().filter(|worker| what(&worker.state)).map(|worker| worker.environment.clone()).collect()
    }

    fn dequeue(&mut self, id: QueueId) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.pop();
            if queue.is_empty() {
                self.queues.remove(&id);
            }
        }
    }

    fn oldest_lease(&self) -> Option<Instant> {
        let since = |worker: &Worker| match worker.state {
            State::Leased { since } => Some(since),
            _ => None,
        };
        self.workers.values().filter_map(since).min()
    }

    /// Parked workers that end when they have been that for long.
    fn parked_extras(&self) -> impl Iterator<Item = (WorkerId, Instant)> {
        let plain = self.workers.values().filter(|worker| worker.is_plain()).count();
        let is_extra = move |worker: &Worker| !worker.is_plain() || plain > self.pool as usize;
        self.workers.iter().filter(move |(_, worker)| is_extra(worker)).filter_map(|(id, worker)| match worker.state {
            State::Parked { since } => Some((*id, since)),
            _ => None,
        })
    }

    fn failed_starts_max(&self) -> u32 {
        self.pool.max(1).saturating_mul(FAILED_ROUNDS_MAX)
    }
}

fn is_lease(state: &State) -> bool {
    matches!(state, State::Leased { .. } | State::Recalled)
}

#[cfg(any(test, debug_assertions))]
impl Scheduler {
    /// Panics when an invariant of this file does not hold.
    pub(super) fn check(&self) {
        let mut other =
            Scheduler { machine: self.machine.clone(), groups: self.groups.clone(), ..Scheduler::default() };
        other.workers = self.workers.clone();
        other.shapes = self.shapes.clone();
        other.recount();
        let gpus = |scheduler: &Scheduler| {
            let of_groups: Vec<Gpus> = scheduler.groups.values().map(|group| group.gpus.clone()).collect();
            (scheduler.gpus.clone(), of_groups)
        };
        assert_eq!((&other.free, gpus(&other)), (&self.free, gpus(self)), "what is free is not what is taken");
        let waits = !self.queues.is_empty() || self.waiting_groups().next().is_some();
        if self.is_shut_down || self.failed_starts >= self.failed_starts_max() || waits {
            return;
        }
        let lingers = self.linger_until.is_some()
            && !self.plain_waits
            && self.count(|state| matches!(state, State::Leased { .. })) > 0;
        let parked = self
            .workers
            .values()
            .filter(|worker| worker.is_plain())
            .filter(|worker| matches!(worker.state, State::Parked { .. }))
            .count();
        let starting = self
            .workers
            .values()
            .filter(|worker| worker.is_plain())
            .filter(|worker| worker.state == State::Starting)
            .count();
        assert!(self.free.units(CPU) < UNIT || parked == 0 || lingers, "a worker is kept from a CPU that nobody uses");
        let free = usize::try_from(self.free.units(CPU) / UNIT).unwrap_or(0);
        let usable = self.count(is_lease) + parked + starting;
        let room = self.workers.len() < WORKERS_MAX;
        assert!(
            !room || usable >= (free + self.count(is_lease)).min(self.pool as usize),
            "there is no worker for a CPU"
        );
    }
}
