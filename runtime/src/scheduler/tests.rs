//! Tests of the scheduler against a plain model of its workers.

mod sessions;
mod shapes;

use super::*;
use crate::protocol::WorkerId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn cpus(cpus: f64) -> Resources {
    Resources::new([("CPU", cpus)]).unwrap()
}

/// A scheduler, and the plain model of its workers that it is checked against.
struct Runtime {
    scheduler: Scheduler,
    now: Instant,
    /// Workers that run, and whether they have a lease.
    workers: BTreeMap<WorkerId, bool>,
    starting: Vec<WorkerId>,
    blocked: Vec<WorkerId>,
    refused: bool,
}

impl Runtime {
    fn new(count: f64, pool: u32) -> Runtime {
        let mut runtime = Runtime {
            scheduler: Scheduler::default(),
            now: Instant::now(),
            workers: BTreeMap::new(),
            starting: Vec::new(),
            blocked: Vec::new(),
            refused: false,
        };
        runtime.tell(Event::Configured { total: cpus(count), pool });
        runtime
    }

    fn tell(&mut self, event: Event) {
        for action in self.scheduler.handle(self.now, event) {
            match action {
                Action::StartWorker(worker) => self.starting.push(worker),
                Action::StopWorker(worker) => {
                    assert_eq!(self.workers.remove(&worker), Some(false), "only a parked worker is ended");
                }
                Action::Lease(worker) => {
                    assert_eq!(self.workers.insert(worker, true), Some(false), "a lease is given once");
                }
                Action::Recall(worker) => {
                    assert_eq!(self.workers.insert(worker, false), Some(true), "what was not given is not recalled");
                }
                Action::Refuse => self.refused = true,
                Action::Full => {}
                Action::Run { .. }
                | Action::Infeasible(..)
                | Action::InfeasibleGroup(_)
                | Action::Groupless(_)
                | Action::Unstarted(_) => {
                    unreachable!("there are no shapes and no groups")
                }
            }
        }
        self.scheduler.check();
    }

    fn start_all(&mut self) {
        while let Some(worker) = self.starting.pop() {
            self.workers.insert(worker, false);
            self.tell(Event::WorkerReady(worker));
        }
    }

    fn leased(&self) -> Vec<WorkerId> {
        self.workers.iter().filter(|(_, leased)| **leased).map(|(worker, _)| *worker).collect()
    }
}

#[test]
fn there_are_as_many_leases_as_cpus() {
    let mut runtime = Runtime::new(2.0, 4);
    runtime.start_all();
    assert_eq!((runtime.workers.len(), runtime.leased().len()), (4, 2));
    runtime.tell(Event::Configured { total: cpus(3.0), pool: 4 });
    assert_eq!(runtime.leased().len(), 3);
}

#[test]
fn a_task_that_waits_lends_its_cpu_and_has_it_back_at_once() {
    let mut runtime = Runtime::new(1.0, 1);
    runtime.start_all();
    let first = runtime.leased()[0];
    runtime.tell(Event::Blocked(first));
    runtime.start_all();
    assert_eq!(runtime.leased().len(), 2, "another one goes on meanwhile");
    runtime.tell(Event::Unblocked(first));
    assert_eq!(runtime.leased(), [first], "and begins nothing new when the first goes on");
}

#[test]
fn a_worker_that_dies_is_replaced_and_its_lease_goes_to_somebody_else() {
    let mut runtime = Runtime::new(1.0, 2);
    runtime.start_all();
    let dead = runtime.leased()[0];
    runtime.workers.remove(&dead);
    runtime.tell(Event::WorkerExited(dead));
    assert_eq!((runtime.leased().len(), runtime.starting.len()), (1, 1));
}

#[test]
fn extra_workers_go_when_they_have_nothing_to_do_for_a_while() {
    let mut runtime = Runtime::new(1.0, 1);
    runtime.start_all();
    let first = runtime.leased()[0];
    runtime.tell(Event::Blocked(first));
    runtime.start_all();
    let second = *runtime.leased().iter().find(|worker| **worker != first).unwrap();
    runtime.tell(Event::Unblocked(first));
    runtime.tell(Event::Parked(second));
    assert!(runtime.scheduler.deadline().is_some());
    runtime.now += Duration::from_secs(10);
    runtime.tell(Event::Tick);
    assert_eq!(runtime.workers.len(), 1);
    assert_eq!(runtime.scheduler.deadline(), None, "nothing wakes an idle runtime");
}

#[test]
fn workers_that_never_come_up_end_in_a_refusal_and_not_in_a_loop() {
    let mut runtime = Runtime::new(2.0, 2);
    for _ in 0..100 {
        let Some(worker) = runtime.starting.pop() else { break };
        runtime.tell(Event::WorkerExited(worker));
    }
    assert!(runtime.refused && runtime.starting.is_empty());
    runtime.tell(Event::Demanded);
    assert!(!runtime.starting.is_empty(), "one more chance when somebody asks again");
}

#[test]
fn a_runtime_that_is_shut_down_has_no_workers_until_there_is_a_task() {
    let mut runtime = Runtime::new(2.0, 2);
    runtime.start_all();
    runtime.starting.clear();
    let actions = runtime.scheduler.handle(runtime.now, Event::ShutDown);
    assert_eq!(actions.len(), 2);
    assert!(actions.iter().all(|action| matches!(action, Action::StopWorker(_))));
    runtime.workers.clear();
    runtime.tell(Event::Tick);
    assert_eq!((runtime.starting.len(), runtime.scheduler.deadline()), (0, None));
    runtime.tell(Event::Demanded);
    assert_eq!(runtime.starting.len(), 2);
}

#[test]
fn when_all_workers_wait_and_no_other_can_be_started_tasks_are_refused() {
    let mut runtime = Runtime::new(1.0, 1);
    runtime.start_all();
    let only = runtime.leased()[0];
    runtime.tell(Event::Blocked(only));
    for _ in 0..100 {
        let Some(worker) = runtime.starting.pop() else { break };
        runtime.tell(Event::WorkerExited(worker));
    }
    assert!(runtime.refused, "what it waits for would never run");
}

#[test]
fn less_than_one_cpu_runs_nothing() {
    let mut runtime = Runtime::new(0.5, 1);
    runtime.start_all();
    assert_eq!((runtime.scheduler.cpus(), runtime.leased().len()), (0, 0));
}

#[derive(Clone, Debug)]
enum Happens {
    Configure(u8, u8),
    Start,
    FailToStart,
    Die(u8),
    Block(u8),
    Unblock(u8),
    Park(u8),
    Wait(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        1 => (0..6_u8, 0..6_u8).prop_map(|(cpus, pool)| Happens::Configure(cpus, pool)),
        6 => Just(Happens::Start),
        1 => Just(Happens::FailToStart),
        2 => any::<u8>().prop_map(Happens::Die),
        4 => any::<u8>().prop_map(Happens::Block),
        4 => any::<u8>().prop_map(Happens::Unblock),
        4 => any::<u8>().prop_map(Happens::Park),
        2 => any::<u8>().prop_map(Happens::Wait),
    ]
}

fn pick<T: Copy>(from: &[T], number: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(number) % from.len()])
}

proptest! {
    /// The invariants are checked after every event, and the model panics when it is asked for something impossible.
    #[test]
    fn whatever_happens_no_cpu_is_used_twice_and_none_is_left_alone(history in prop::collection::vec(happens(), 0..80)) {
        let mut runtime = Runtime::new(2.0, 2);
        for event in history {
            let all: Vec<WorkerId> = runtime.workers.keys().copied().collect();
            match event {
                Happens::Configure(count, pool) => {
                    runtime.tell(Event::Configured { total: cpus(f64::from(count)), pool: pool.into() });
                }
                Happens::Start => {
                    if let Some(worker) = runtime.starting.pop() {
                        runtime.workers.insert(worker, false);
                        runtime.tell(Event::WorkerReady(worker));
                    }
                }
                Happens::FailToStart => {
                    if let Some(worker) = runtime.starting.pop() {
                        runtime.tell(Event::WorkerExited(worker));
                    }
                }
                Happens::Die(number) => {
                    if let Some(worker) = pick(&all, number) {
                        runtime.workers.remove(&worker);
                        runtime.blocked.retain(|blocked| *blocked != worker);
                        runtime.tell(Event::WorkerExited(worker));
                    }
                }
                Happens::Block(number) => {
                    let free: Vec<WorkerId> =
                        runtime.leased().into_iter().filter(|worker| !runtime.blocked.contains(worker)).collect();
                    if let Some(worker) = pick(&free, number) {
                        runtime.blocked.push(worker);
                        runtime.tell(Event::Blocked(worker));
                    }
                }
                Happens::Unblock(number) => {
                    if let Some(worker) = pick(&runtime.blocked.clone(), number) {
                        runtime.blocked.retain(|blocked| *blocked != worker);
                        runtime.tell(Event::Unblocked(worker));
                    }
                }
                Happens::Park(number) => {
                    let idle: Vec<WorkerId> = all
                        .into_iter()
                        .filter(|worker| !runtime.workers[worker] && !runtime.blocked.contains(worker))
                        .collect();
                    if let Some(worker) = pick(&idle, number) {
                        runtime.tell(Event::Parked(worker));
                    }
                }
                Happens::Wait(seconds) => {
                    runtime.now += Duration::from_secs(u64::from(seconds % 8));
                    runtime.tell(Event::Tick);
                }
            }
        }
    }
}
