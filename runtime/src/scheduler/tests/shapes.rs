//! Tasks of shapes, held against a plain account of what everybody has.

use crate::protocol::{ObjectId, SessionId, WorkerId};
use crate::scheduler::{Action, Event, Resources, Scheduler, Shape, ShapeId, WORKERS_MAX, needs_in};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SHAPES: [&[(&str, f64)]; 6] = [
    &[("CPU", 0.5)],
    &[("CPU", 2.0)],
    &[],
    &[("CPU", 1.0), ("GPU", 1.0)],
    &[("GPU", 0.5)],
    &[("CPU", 1.0), ("tpu", 0.3333)],
];

type Needs = &'static [(&'static str, f64)];

/// What tasks of two more shapes take from the placement group, when there is one; the first from any bundle.
const GROUP_SHAPES: [(Needs, Option<u32>); 2] = [(&[("CPU", 0.5)], None), (&[("CPU", 1.0), ("GPU", 1.0)], Some(1))];

/// The group's number; there is one at most.
const GROUP: u64 = 1;

/// What it reserves.
fn bundles() -> Vec<Resources> {
    vec![Resources::one_cpu(), Resources::new([("CPU", 1.0), ("GPU", 1.0)]).unwrap()]
}

/// Whose a task is: its number says so.
fn session(task: ObjectId) -> SessionId {
    SessionId((task.0 / TASKS_MAX) as u8)
}

/// More tasks than a session has here.
const TASKS_MAX: u64 = 1_000_000;

/// What a task of this shape takes from the machine.
fn needs(shape: usize) -> Resources {
    SHAPES.get(shape).map_or_else(Resources::default, |needs| Resources::new(needs.iter().copied()).unwrap())
}

fn gpus(shape: usize) -> f64 {
    let of_group = || GROUP_SHAPES[shape - SHAPES.len()].0;
    let needs = SHAPES.get(shape).copied().unwrap_or_else(of_group);
    Resources::new(needs.iter().copied()).unwrap().amount("GPU")
}

fn total(cpus: f64) -> Resources {
    Resources::new([("CPU", cpus), ("GPU", 2.0), ("tpu", 1.0)]).unwrap()
}

#[derive(Clone, Debug, PartialEq)]
enum Has {
    Nothing,
    /// A lease that stands, or was recalled while a plain task runs.
    Lease {
        recalled: bool,
    },
    Task(ObjectId, usize),
    /// It is the process of the actor that such a task has made, which keeps all but the CPUs.
    Actor(ObjectId, usize),
}

/// Workers that do what they are told, and what they have.
pub(super) struct Machine {
    scheduler: Scheduler,
    shapes: Vec<ShapeId>,
    /// What an actor keeps, by the shape of the task that makes it.
    kept: Vec<ShapeId>,
    pub now: Instant,
    starting: Vec<WorkerId>,
    workers: BTreeMap<WorkerId, (Has, bool)>,
    queued: BTreeMap<ObjectId, usize>,
    pub ended: BTreeSet<ObjectId>,
    next: u64,
    leases_given: usize,
    /// Tasks that came back from waiting may have taken more than there is.
    came_back: bool,
    total: Resources,
    has_group: bool,
    /// Tasks whose group was gone.
    groupless: usize,
    /// Tasks whose workers did not start.
    unstarted: usize,
    /// Tasks that each worker may take.
    hints: BTreeMap<WorkerId, Vec<ObjectId>>,
    /// Those that it has taken since it was given one.
    also: BTreeMap<WorkerId, Vec<ObjectId>>,
}

impl Machine {
    pub fn new(cpus: f64) -> Machine {
        let mut scheduler = Scheduler::default();
        let number = |scheduler: &mut Scheduler, (index, needs): (usize, &&[(&str, f64)])| {
            let needs = Resources::new(needs.iter().copied()).unwrap();
            let env = if index == 4 { vec![("KEY".into(), "v".into())] } else { Vec::new() };
            scheduler.shapes().number(Shape { needs, env, group: None, program: None }).unwrap()
        };
        let mut shapes: Vec<ShapeId> = SHAPES.iter().enumerate().map(|shape| number(&mut scheduler, shape)).collect();
        for (of_machine, bundle) in GROUP_SHAPES {
            let needs = needs_in(&Resources::new(of_machine.iter().copied()).unwrap(), GROUP, bundle);
            let shape = Shape { needs, env: Vec::new(), group: Some(GROUP), program: None };
            shapes.push(scheduler.shapes().number(shape).unwrap());
        }
        let without_cpus = SHAPES.map(|needs| Resources::new(needs.iter().copied()).unwrap().without("CPU"));
        let without_cpus = without_cpus.into_iter();
        let mut kept: Vec<ShapeId> = without_cpus
            .map(|needs| {
                scheduler.shapes().number(Shape { needs, env: Vec::new(), group: None, program: None }).unwrap()
            })
            .collect();
        // What is made in the group keeps all of it.
        kept.extend(&shapes[SHAPES.len()..]);
        let mut machine = Machine {
            scheduler,
            shapes,
            kept,
            now: Instant::now(),
            starting: Vec::new(),
            workers: BTreeMap::new(),
            queued: BTreeMap::new(),
            ended: BTreeSet::new(),
            next: 1,
            leases_given: 0,
            came_back: false,
            has_group: false,
            groupless: 0,
            unstarted: 0,
            hints: BTreeMap::new(),
            also: BTreeMap::new(),
            total: total(cpus),
        };
        machine.tell(Event::Configured { total: total(cpus), pool: 2 });
        machine
    }

    pub fn tell(&mut self, event: Event) {
        let mut over = Vec::new();
        for action in self.scheduler.handle(self.now, event) {
            match action {
                Action::StartWorker(worker) => self.starting.push(worker),
                Action::StopWorker(worker) => {
                    assert_eq!(
                        self.workers.remove(&worker),
                        Some((Has::Nothing, false)),
                        "only a parked worker is ended"
                    );
                }
                Action::Lease(worker) => {
                    let before = self.workers.insert(worker, (Has::Lease { recalled: false }, false));
                    assert_eq!(before, Some((Has::Nothing, false)), "a lease is given to a parked worker");
                    self.leases_given += 1;
                }
                Action::Recall(worker) => {
                    let (has, _) = self.workers.get_mut(&worker).unwrap();
                    assert_eq!(*has, Has::Lease { recalled: false });
                    *has = Has::Lease { recalled: true };
                }
                Action::Run { worker, task, hints } => {
                    let Some(shape) = self.queued.remove(&task) else {
                        // Another worker has taken it, by a hint: as the head, say so at once.
                        assert!(
                            self.also.values().flatten().any(|taken| *taken == task),
                            "a task is given to a worker once"
                        );
                        over.push(worker);
                        continue;
                    };
                    self.also.remove(&worker);
                    self.hints.insert(worker, hints);
                    let before = self.workers.insert(worker, (Has::Task(task, shape), false));
                    assert_eq!(before, Some((Has::Nothing, false)), "a task is given to a parked worker");
                    let environment = self.scheduler.environment(worker);
                    assert_eq!(
                        environment.gpus.len(),
                        gpus(shape).ceil() as usize,
                        "a worker sees the GPUs of its task"
                    );
                    assert_eq!(environment.variables.0, u16::from(shape == 4));
                    self.check_account();
                }
                Action::Unstarted(task) => {
                    assert_eq!(self.queued.remove(&task), Some(4), "only that shape has an environment of its own");
                    self.unstarted += 1;
                }
                Action::Groupless(task) => {
                    assert!(self.queued.remove(&task).is_some_and(|shape| shape >= SHAPES.len()));
                    self.groupless += 1;
                }
                Action::Infeasible(..) | Action::InfeasibleGroup(_) => {}
                Action::Refuse | Action::Full => {}
            }
        }
        self.scheduler.check();
        for worker in over {
            self.tell(Event::Ended { worker, also: Vec::new() });
        }
    }

    /// A worker takes the next of those that it was hinted at, if nobody else has.
    fn takes_hint(&mut self, worker: WorkerId, shape: usize) -> bool {
        while let Some(task) = self.hints.get_mut(&worker).and_then(Vec::pop) {
            if let Some(of) = self.queued.remove(&task) {
                assert_eq!(of, shape, "a worker is hinted at tasks of its shape");
                self.also.entry(worker).or_default().push(task);
                self.workers.insert(worker, (Has::Task(task, shape), false));
                return true;
            }
        }
        false
    }

    fn check_account(&self) {
        let mut used = Resources::default();
        for (has, blocked) in self.workers.values() {
            match has {
                Has::Nothing => {}
                Has::Lease { .. } if *blocked => {}
                Has::Lease { .. } => used.give(&Resources::one_cpu()),
                Has::Task(_, shape) => {
                    let needs = needs(*shape);
                    used.give(&if *blocked { needs.without("CPU") } else { needs });
                }
                Has::Actor(_, shape) => {
                    used.give(&needs(*shape).without("CPU"));
                }
            }
        }
        let left = if self.came_back { self.total.without("CPU") } else { self.total.clone() };
        let used = if self.came_back { used.without("CPU") } else { used };
        assert!(left.fit(&used), "{used} are taken of {left}");
    }

    fn queue(&mut self, shape: usize) -> ObjectId {
        self.queue_of(SessionId::OWNER, shape)
    }

    pub fn queue_of(&mut self, session: SessionId, shape: usize) -> ObjectId {
        let task = ObjectId(u64::from(session.0) * TASKS_MAX + self.next);
        self.next += 1;
        self.queue_again(task, shape);
        task
    }

    fn queue_again(&mut self, task: ObjectId, shape: usize) {
        self.queued.insert(task, shape);
        self.tell(Event::Queued { task, shape: self.shapes[shape], session: session(task) });
    }

    /// How many tasks of a session have ended.
    pub fn ended_of(&self, of: SessionId) -> usize {
        self.ended.iter().filter(|task| session(**task) == of).count()
    }

    pub fn start_all(&mut self) {
        while let Some(worker) = self.starting.pop() {
            self.workers.insert(worker, (Has::Nothing, false));
            self.tell(Event::WorkerReady(worker));
        }
    }

    /// A worker in an environment of its own ends before it is ready, if one starts.
    fn fail_start(&mut self) {
        let is_own = |worker: &WorkerId| self.scheduler.environment(*worker).variables.0 != 0;
        if let Some(place) = self.starting.iter().position(is_own) {
            let worker = self.starting.remove(place);
            self.tell(Event::WorkerExited(worker));
        }
    }

    fn nth(&self, number: usize) -> Option<WorkerId> {
        self.workers.keys().nth(number % self.workers.len().max(1)).copied()
    }

    /// The worker's task ends, or its recalled lease.
    pub fn end(&mut self, worker: WorkerId) {
        match self.workers[&worker].clone() {
            (Has::Task(task, shape), false) => {
                assert!(self.ended.insert(task));
                if self.takes_hint(worker, shape) {
                    return self.check_account();
                }
                self.workers.insert(worker, (Has::Nothing, false));
                let also = self.also.remove(&worker).unwrap_or_default();
                self.tell(Event::Ended { worker, also });
            }
            (Has::Lease { recalled: true }, false) => {
                self.workers.insert(worker, (Has::Nothing, false));
                self.tell(Event::Parked(worker));
            }
            _ => {}
        }
    }

    fn block(&mut self, worker: WorkerId, blocked: bool) {
        let state = self.workers.get_mut(&worker).unwrap();
        if state.0 != Has::Nothing && state.1 != blocked {
            state.1 = blocked;
            self.came_back |= !blocked;
            self.tell(if blocked { Event::Blocked(worker) } else { Event::Unblocked(worker) });
        }
    }

    /// The worker has made an actor.
    fn settle(&mut self, worker: WorkerId) {
        if let (Has::Task(task, shape), false) = self.workers[&worker].clone() {
            self.workers.insert(worker, (Has::Actor(task, shape), false));
            self.tell(Event::Settled(worker, self.kept[shape]));
        }
    }

    /// An actor ends with its process, and the task of any other worker is queued again.
    fn die(&mut self, worker: WorkerId) {
        let (has, _) = self.workers.remove(&worker).unwrap();
        self.tell(Event::WorkerExited(worker));
        if let Has::Actor(task, _) = has {
            assert!(self.ended.insert(task));
        }
        if let Has::Task(task, shape) = has {
            self.queue_again(task, shape);
        }
    }

    /// There is a placement group from now on, or none any more; what runs there ends.
    fn group(&mut self, is_wanted: bool) {
        if is_wanted == self.has_group || is_wanted && !self.scheduler.tasks_in(GROUP).is_empty() {
            return;
        }
        self.has_group = is_wanted;
        if is_wanted {
            return self.tell(Event::GroupQueued { group: GROUP, bundles: bundles() });
        }
        let running = self.scheduler.tasks_in(GROUP);
        self.tell(Event::GroupRemoved(GROUP));
        let of_group =
            |(has, _): &(Has, bool)| matches!(has, Has::Task(task, _) | Has::Actor(task, _) if running.contains(task));
        let workers = self.workers.iter().filter(|(_, state)| of_group(state)).map(|(worker, _)| *worker);
        for worker in workers.collect::<Vec<_>>() {
            self.die(worker);
        }
    }

    /// Everybody goes on until nothing is left to do.
    fn drain(&mut self) {
        self.group(false);
        for _ in 0..10_000 {
            self.start_all();
            let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
            for worker in workers {
                match self.workers.get(&worker) {
                    Some((Has::Actor(..), _)) => self.die(worker),
                    Some(_) => {
                        self.block(worker, false);
                        self.end(worker);
                    }
                    None => {}
                }
            }
            self.now += Duration::from_millis(1);
            self.tell(Event::Tick);
            if self.queued.values().all(|shape| !self.is_feasible(*shape))
                && self.workers.values().all(|(has, _)| !matches!(has, Has::Task(..) | Has::Actor(..)))
            {
                return;
            }
        }
        panic!("these tasks never run: {:?}", self.queued);
    }

    fn is_feasible(&self, shape: usize) -> bool {
        self.total.fit(&needs(shape))
    }
}

/// The workers that run a task of a shape.
impl Machine {
    pub fn running(&self) -> Vec<WorkerId> {
        let runs = self.workers.iter().filter(|(_, (has, _))| matches!(has, Has::Task(..)));
        runs.map(|(worker, _)| *worker).collect()
    }

    /// Whether one of a session's is among what runs.
    pub fn runs_one_of(&self, of: SessionId) -> bool {
        self.workers.values().any(|(has, _)| matches!(has, Has::Task(task, _) if session(*task) == of))
    }

    /// Recalled leases are given back.
    pub fn give_leases_back(&mut self) {
        let recalled = self.workers.iter().filter(|(_, (has, _))| *has == Has::Lease { recalled: true });
        let recalled: Vec<WorkerId> = recalled.map(|(worker, _)| *worker).collect();
        recalled.into_iter().for_each(|worker| self.end(worker));
    }
}

#[test]
fn half_a_cpu_each_is_four_tasks_on_two_cpus() {
    let mut machine = Machine::new(2.0);
    machine.start_all();
    for _ in 0..6 {
        machine.queue(0);
    }
    for _ in 0..10 {
        let recalled: Vec<WorkerId> = machine.workers.keys().copied().collect();
        for worker in recalled {
            if machine.workers[&worker].0 == (Has::Lease { recalled: true }) {
                machine.end(worker);
            }
        }
        machine.start_all();
    }
    let running = machine.workers.values().filter(|(has, _)| matches!(has, Has::Task(..))).count();
    assert_eq!((running, machine.queued.len()), (4, 2));
}

#[test]
fn tasks_of_no_cpu_run_all_at_once_up_to_the_limit_of_processes() {
    let mut machine = Machine::new(1.0);
    for _ in 0..WORKERS_MAX + 10 {
        machine.queue(2);
    }
    machine.start_all();
    let running = machine.workers.values().filter(|(has, _)| matches!(has, Has::Task(..))).count();
    assert!(running >= WORKERS_MAX - 2, "{running}");
    machine.drain();
    assert_eq!(machine.ended.len(), WORKERS_MAX + 10);
}

#[test]
fn tasks_whose_own_workers_never_come_up_are_refused_and_hold_up_no_others() {
    let mut machine = Machine::new(2.0);
    let refused = machine.queue(4);
    for _ in 0..100 {
        machine.fail_start();
    }
    assert_eq!((machine.unstarted, machine.starting.len()), (1, 2), "those of the pool still start");
    machine.queue(0);
    let again = machine.queue(4);
    machine.drain();
    assert!(machine.ended.contains(&again) && !machine.ended.contains(&refused));
}

#[test]
fn a_worker_of_an_environment_of_its_own_that_runs_for_long_wakes_nobody() {
    let mut machine = Machine::new(1.0);
    machine.queue(4);
    machine.queue(3);
    machine.start_all();
    machine.give_leases_back();
    machine.start_all();
    assert!(machine.workers.values().any(|(has, _)| matches!(has, Has::Task(..))));
    machine.now += Duration::from_secs(60);
    machine.tell(Event::Tick);
    let deadline = machine.scheduler.deadline();
    assert!(deadline.is_none_or(|deadline| deadline > machine.now), "{deadline:?}");
}

#[test]
fn more_than_there_is_is_told_at_once_and_waits() {
    let mut machine = Machine::new(1.0);
    machine.start_all();
    let task = ObjectId(1);
    let shape = machine.shapes[1];
    let queued = Event::Queued { task, shape, session: SessionId::OWNER };
    let actions = machine.scheduler.handle(machine.now, queued);
    assert!(actions.contains(&Action::Infeasible(task, shape)));
    assert_eq!(machine.scheduler.queued(), BTreeMap::from([(shape, 1)]));
    machine.queued.insert(task, 1);
    machine.total = total(2.0);
    machine.tell(Event::Configured { total: total(2.0), pool: 2 });
    machine.drain();
    assert!(machine.ended.contains(&task));
}

#[test]
fn neither_plain_tasks_nor_shapes_starve_on_one_cpu() {
    let mut machine = Machine::new(1.0);
    machine.start_all();
    machine.tell(Event::PlainWaits(true));
    for _ in 0..20 {
        machine.queue(5);
    }
    let given = machine.leases_given;
    machine.drain();
    assert_eq!(machine.ended.len(), 20);
    assert!(machine.leases_given >= given + 15, "plain tasks had {} turns", machine.leases_given - given);
}

#[test]
fn a_large_task_is_not_passed_over_for_ever() {
    let mut machine = Machine::new(2.0);
    machine.start_all();
    for _ in 0..3 {
        machine.queue(0);
    }
    let large = machine.queue(1);
    for round in 0..4000 {
        machine.start_all();
        let workers: Vec<WorkerId> = machine.workers.keys().copied().collect();
        // One after the other, so that there is always a small one.
        if let Some(worker) = workers.get(round % workers.len().max(1))
            && machine.workers.contains_key(worker)
        {
            machine.end(*worker);
            machine.queue(0);
        }
        machine.now += Duration::from_millis(2);
        machine.tell(Event::Tick);
        if machine.ended.contains(&large) {
            return;
        }
    }
    panic!("the large task never ran");
}

#[test]
fn an_actor_gives_its_cpu_back_once_it_is_made_and_keeps_the_rest() {
    let mut machine = Machine::new(1.0);
    for _ in 0..2 {
        machine.queue(3);
        for _ in 0..3 {
            machine.start_all();
            // Whoever has a recalled lease gives it back.
            let leased = machine.workers.iter().filter(|(_, (has, _))| matches!(has, Has::Lease { .. }));
            leased.map(|(id, _)| *id).collect::<Vec<_>>().into_iter().for_each(|worker| machine.end(worker));
        }
        let maker = machine.workers.iter().find(|(_, (has, _))| matches!(has, Has::Task(..))).map(|(id, _)| *id);
        machine.settle(maker.expect("it is made although there is one CPU and an actor"));
    }
    machine.queue(3);
    machine.start_all();
    assert_eq!(machine.queued.len(), 1, "there is no third GPU");
    let actor = machine.workers.iter().find(|(_, (has, _))| matches!(has, Has::Actor(..))).map(|(id, _)| *id).unwrap();
    machine.die(actor);
    machine.drain();
    assert!(machine.queued.is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Do {
    Queue(u8, usize),
    End(usize),
    Block(usize),
    Unblock(usize),
    Die(usize),
    Settle(usize),
    StartAll,
    Withdraw(usize),
    PlainWaits(bool),
    Wait(u64),
    Configure(u8),
    FailStart,
    Group(bool),
    Join(u8, u32),
    Leave(u8),
}

fn anything() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => (0..3_u8, 0..SHAPES.len() + GROUP_SHAPES.len()).prop_map(|(session, shape)| Do::Queue(session, shape)),
        1 => (0..3_u8, 1..4_u32).prop_map(|(session, share)| Do::Join(session, share)),
        1 => (0..3_u8).prop_map(Do::Leave),
        2 => any::<bool>().prop_map(Do::Group),
        4 => any::<usize>().prop_map(Do::End),
        1 => any::<usize>().prop_map(Do::Block),
        1 => any::<usize>().prop_map(Do::Unblock),
        1 => any::<usize>().prop_map(Do::Die),
        2 => any::<usize>().prop_map(Do::Settle),
        3 => Just(Do::StartAll),
        2 => Just(Do::FailStart),
        1 => any::<usize>().prop_map(Do::Withdraw),
        1 => any::<bool>().prop_map(Do::PlainWaits),
        1 => (0..4000_u64).prop_map(Do::Wait),
        1 => (1..5_u8).prop_map(Do::Configure),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_taken_twice_or_lost_and_everything_ends(
        cpus in 1..4_u8,
        steps in prop::collection::vec(anything(), 0..120),
    ) {
        let mut machine = Machine::new(f64::from(cpus));
        let mut withdrawn = 0;
        for step in steps {
            match step {
                Do::Queue(session, shape) => drop(machine.queue_of(SessionId(session), shape)),
                Do::Join(session, share) => machine.tell(Event::Joined(SessionId(session), share)),
                Do::Leave(session) => machine.tell(Event::Left(SessionId(session))),
                Do::End(n) => machine.nth(n).into_iter().for_each(|worker| machine.end(worker)),
                Do::Block(n) => machine.nth(n).into_iter().for_each(|worker| machine.block(worker, true)),
                Do::Unblock(n) => machine.nth(n).into_iter().for_each(|worker| machine.block(worker, false)),
                Do::Die(n) => machine.nth(n).into_iter().for_each(|worker| machine.die(worker)),
                Do::Settle(n) => machine.nth(n).into_iter().for_each(|worker| machine.settle(worker)),
                Do::StartAll => machine.start_all(),
                Do::FailStart => machine.fail_start(),
                Do::Withdraw(n) => {
                    let task = machine.queued.keys().nth(n % machine.queued.len().max(1)).copied();
                    if let Some(task) = task {
                        machine.queued.remove(&task);
                        withdrawn += 1;
                        machine.tell(Event::Withdrawn(task));
                    }
                }
                Do::Group(is_wanted) => machine.group(is_wanted),
                Do::PlainWaits(waits) => machine.tell(Event::PlainWaits(waits)),
                Do::Wait(ms) => {
                    machine.now += Duration::from_millis(ms);
                    machine.tell(Event::Tick);
                }
                Do::Configure(cpus) => {
                    machine.came_back = true;
                    machine.total = total(f64::from(cpus));
                    machine.tell(Event::Configured { total: total(f64::from(cpus)), pool: 2 });
                }
            }
        }
        machine.drain();
        let left = machine.queued.values().filter(|shape| machine.is_feasible(**shape)).count();
        prop_assert_eq!(left, 0);
        let without_run = withdrawn + machine.groupless + machine.unstarted;
        prop_assert_eq!(machine.ended.len() + machine.queued.len() + without_run, machine.next as usize - 1);
    }
}
