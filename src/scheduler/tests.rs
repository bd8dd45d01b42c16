//! What the scheduler promises, as sentences, and a check of random histories.

use super::*;
use crate::protocol::{ObjectId, TaskId, WorkerId};
use crate::store::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A scheduler, a clock that stands still unless it is moved, and everything it was told to do.
struct Desk {
    scheduler: Scheduler,
    now: Instant,
}

fn task(number: u64) -> TaskId {
    TaskId(ObjectId(number))
}

fn cpus(amount: f64) -> Resources {
    Resources::new([("CPU", amount)]).unwrap()
}

const FIRST: WorkerId = WorkerId(0);
const SECOND: WorkerId = WorkerId(1);

impl Desk {
    /// With `count` CPUs and as many workers, all ready.
    fn with_cpus(count: u32) -> Desk {
        let mut desk = Desk { scheduler: Scheduler::default(), now: Instant::now() };
        let started = desk.tell(Event::Configured { total: cpus(count.into()), pool: count });
        assert_eq!(started, (0..count).map(|worker| Action::StartWorker(WorkerId(worker))).collect::<Vec<_>>());
        // The one that is ready last is taken first.
        for worker in (0..count).rev() {
            desk.tell(Event::WorkerReady(WorkerId(worker)));
        }
        desk
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        let actions = self.scheduler.handle(self.now, event);
        self.scheduler.check();
        actions
    }

    fn submit(&mut self, number: u64) -> Vec<Action> {
        self.submit_after(number, &[])
    }

    fn submit_after(&mut self, number: u64, waits_for: &[u64]) -> Vec<Action> {
        let waits_for = waits_for.iter().copied().map(ObjectId).collect();
        self.tell(Event::Submitted { task: task(number), needs: Resources::one_cpu(), waits_for })
    }
}

#[test]
fn tasks_start_in_the_order_in_which_they_were_submitted() {
    let mut desk = Desk::with_cpus(1);
    assert_eq!(desk.submit(1), [Action::Run(task(1), FIRST)]);
    assert_eq!(desk.submit(2), []);
    assert_eq!(desk.submit(3), []);
    assert_eq!(desk.tell(Event::Finished(FIRST)), [Action::Run(task(2), FIRST)]);
    assert_eq!(desk.tell(Event::Finished(FIRST)), [Action::Run(task(3), FIRST)]);
    assert_eq!(desk.tell(Event::Finished(FIRST)), []);
    assert_eq!(desk.scheduler.unfinished(), 0);
}

#[test]
fn a_task_starts_when_its_last_argument_is_there() {
    let mut desk = Desk::with_cpus(1);
    assert_eq!(desk.submit_after(1, &[10, 11]), []);
    assert_eq!(desk.tell(Event::ObjectReady(ObjectId(10))), []);
    assert_eq!(desk.tell(Event::ObjectReady(ObjectId(11))), [Action::Run(task(1), FIRST)]);
}

#[test]
fn a_task_whose_argument_failed_never_runs() {
    let mut desk = Desk::with_cpus(1);
    desk.submit_after(1, &[10, 11]);
    assert_eq!(desk.tell(Event::ObjectFailed(ObjectId(11))), [Action::Carry(task(1), ObjectId(11))]);
    assert_eq!(desk.tell(Event::ObjectReady(ObjectId(10))), [], "its other argument comes too late");
    assert_eq!(desk.scheduler.unfinished(), 0);
}

#[test]
fn a_task_that_waits_makes_room_for_those_it_waits_for() {
    let mut desk = Desk::with_cpus(1);
    desk.submit(1);
    assert_eq!(desk.submit(2), [], "one CPU, one task");
    assert_eq!(desk.tell(Event::Blocked(FIRST)), [Action::StartWorker(SECOND)]);
    assert_eq!(desk.tell(Event::WorkerReady(SECOND)), [Action::Run(task(2), SECOND)]);
    assert_eq!(desk.tell(Event::Finished(SECOND)), []);
    assert_eq!(desk.tell(Event::Unblocked(FIRST)), []);
    assert_eq!(desk.submit(3), [], "the CPU is taken again");
    assert_eq!(desk.tell(Event::Finished(FIRST)), [Action::Run(task(3), FIRST)]);
}

#[test]
fn a_chain_of_tasks_that_wait_for_each_other_never_stands_still() {
    let mut desk = Desk::with_cpus(1);
    desk.submit(0);
    for depth in 0..50 {
        let (outer, inner) = (WorkerId(depth), WorkerId(depth + 1));
        assert_eq!(desk.submit(u64::from(depth) + 1), []);
        assert_eq!(desk.tell(Event::Blocked(outer)), [Action::StartWorker(inner)]);
        let run = Action::Run(task(u64::from(depth) + 1), inner);
        assert_eq!(desk.tell(Event::WorkerReady(inner)), [run]);
    }
}

#[test]
fn workers_that_only_waiting_needed_go_when_they_have_been_idle_for_a_while() {
    let mut desk = Desk::with_cpus(1);
    desk.submit(1);
    desk.submit(2);
    desk.tell(Event::Blocked(FIRST));
    desk.tell(Event::WorkerReady(SECOND));
    desk.tell(Event::Finished(SECOND));
    desk.tell(Event::Unblocked(FIRST));
    desk.tell(Event::Finished(FIRST));
    desk.now = desk.scheduler.deadline().expect("somebody is too many");
    assert_eq!(desk.tell(Event::Tick), [Action::StopWorker(SECOND)]);
    assert_eq!(desk.scheduler.deadline(), None);
}

#[test]
fn a_worker_that_dies_takes_its_task_along_and_is_replaced() {
    let mut desk = Desk::with_cpus(1);
    desk.submit(1);
    desk.submit(2);
    let actions = desk.tell(Event::WorkerExited(FIRST));
    assert_eq!(actions, [Action::Lost(task(1), FIRST), Action::StartWorker(SECOND)]);
    assert_eq!(desk.tell(Event::WorkerReady(SECOND)), [Action::Run(task(2), SECOND)]);
}

#[test]
fn a_task_that_found_its_worker_gone_keeps_its_place() {
    let mut desk = Desk::with_cpus(1);
    desk.submit(1);
    desk.submit(2);
    assert_eq!(desk.tell(Event::Missed(FIRST)), [Action::StartWorker(SECOND)]);
    assert_eq!(desk.tell(Event::WorkerExited(FIRST)), [], "its end is no news");
    assert_eq!(desk.tell(Event::WorkerReady(SECOND)), [Action::Run(task(1), SECOND)]);
}

#[test]
fn a_blocked_worker_that_dies_does_not_give_its_share_back_twice() {
    let mut desk = Desk::with_cpus(1);
    desk.submit(1);
    desk.tell(Event::Blocked(FIRST));
    desk.tell(Event::WorkerExited(FIRST));
    assert_eq!(desk.scheduler.free(), desk.scheduler.total());
}

#[test]
fn small_tasks_pass_one_that_does_not_fit() {
    let mut desk = Desk::with_cpus(2);
    desk.submit(1);
    let wide = Event::Submitted { task: task(2), needs: cpus(2.0), waits_for: vec![] };
    assert_eq!(desk.tell(wide), []);
    assert_eq!(desk.submit(3), [Action::Run(task(3), SECOND)]);
    desk.tell(Event::Finished(FIRST));
    assert_eq!(desk.tell(Event::Finished(SECOND)), [Action::Run(task(2), SECOND)]);
}

#[test]
fn a_task_that_needs_more_than_there_is_waits_for_more() {
    let mut desk = Desk::with_cpus(1);
    let wide = Event::Submitted { task: task(1), needs: cpus(2.0), waits_for: vec![] };
    assert_eq!(desk.tell(wide), [Action::Infeasible(task(1))]);
    let more = Event::Configured { total: cpus(2.0), pool: 1 };
    assert_eq!(desk.tell(more), [Action::Run(task(1), FIRST)]);
}

#[test]
fn tasks_are_refused_when_no_worker_ever_starts() {
    let mut desk = Desk { scheduler: Scheduler::default(), now: Instant::now() };
    desk.tell(Event::Configured { total: cpus(1.0), pool: 1 });
    desk.submit(1);
    let mut actions = Vec::new();
    for worker in 0..5 {
        actions = desk.tell(Event::WorkerExited(WorkerId(worker)));
    }
    assert_eq!(actions, [Action::Refuse(task(1))]);
    assert_eq!(desk.submit(2), [Action::StartWorker(WorkerId(5))], "a later task tries once more");
    assert_eq!(desk.tell(Event::WorkerExited(WorkerId(5))), [Action::Refuse(task(2))]);
}

/// Plays random histories and keeps an independent account of who runs what.
#[test]
fn every_task_ends_exactly_once_whatever_happens() {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for seed in 0..400 {
        History::new(seed).play(&mut seen);
    }
    let kinds = ["run", "carry", "lost", "start", "stop", "infeasible"];
    assert_eq!(seen, BTreeSet::from(kinds), "the histories do not reach every kind of action");
}

struct History {
    seed: u64,
    dice: Dice,
    desk: Desk,
    open: BTreeSet<TaskId>,
    missing: BTreeSet<ObjectId>,
    starting: BTreeSet<WorkerId>,
    idle: BTreeSet<WorkerId>,
    running: BTreeMap<WorkerId, TaskId>,
    blocked: BTreeSet<WorkerId>,
}

impl History {
    fn new(seed: u64) -> History {
        History {
            seed,
            dice: Dice::new(seed),
            desk: Desk { scheduler: Scheduler::default(), now: Instant::now() },
            open: BTreeSet::new(),
            missing: BTreeSet::new(),
            starting: BTreeSet::new(),
            idle: BTreeSet::new(),
            running: BTreeMap::new(),
            blocked: BTreeSet::new(),
        }
    }

    fn play(mut self, seen: &mut BTreeSet<&str>) {
        self.step(Event::Configured { total: cpus(2.0), pool: 2 }, seen);
        for number in 0..150 {
            let event = self.event(number);
            self.step(event, seen);
        }
        // Let everything come to an end: no task may be left that could still run.
        while let Some(event) = self.closing_event() {
            self.step(event, seen);
        }
        assert!(self.open.is_empty(), "seed {}: {:?} never ended", self.seed, self.open);
        assert_eq!(self.desk.scheduler.unfinished(), 0, "seed {}", self.seed);
        assert_eq!(self.desk.scheduler.free().amount("CPU"), 4.0, "seed {}", self.seed);
    }

    fn event(&mut self, number: u64) -> Event {
        let object = ObjectId(1000 + number);
        match self.dice.below(13) {
            0..=3 => {
                let waits_for: Vec<ObjectId> =
                    (0..self.dice.below(3)).map(|place| ObjectId(object.0 + place * 500)).collect();
                self.missing.extend(&waits_for);
                self.open.insert(task(number));
                let needs = cpus([0.5, 1.0, 1.0, 2.0, 3.0][self.dice.below(5) as usize]);
                Event::Submitted { task: task(number), needs, waits_for }
            }
            4 => self.pick_missing().map_or(Event::Tick, Event::ObjectReady),
            5 => self.pick_missing().map_or(Event::Tick, Event::ObjectFailed),
            6 | 7 => pick(&mut self.dice, &self.starting).map_or(Event::Tick, Event::WorkerReady),
            8 => {
                let running: BTreeSet<WorkerId> = self.running.keys().copied().collect();
                pick(&mut self.dice, &running).map_or(Event::Tick, Event::Finished)
            }
            9 => {
                let running: BTreeSet<WorkerId> = self.running.keys().copied().collect();
                pick(&mut self.dice, &running).map_or(Event::Tick, Event::Blocked)
            }
            10 => pick(&mut self.dice, &self.blocked).map_or(Event::Tick, Event::Unblocked),
            11 => {
                let fresh: BTreeSet<WorkerId> =
                    self.running.keys().filter(|worker| !self.blocked.contains(worker)).copied().collect();
                pick(&mut self.dice, &fresh).map_or(Event::Tick, Event::Missed)
            }
            _ if self.dice.below(3) == 0 => {
                let alive = self.idle.iter().chain(self.running.keys()).copied().collect();
                pick(&mut self.dice, &alive).map_or(Event::Tick, Event::WorkerExited)
            }
            _ => {
                self.desk.now += Duration::from_secs(self.dice.below(4));
                Event::Tick
            }
        }
    }

    fn closing_event(&mut self) -> Option<Event> {
        if self.desk.scheduler.total().amount("CPU") < 4.0 {
            return Some(Event::Configured { total: cpus(4.0), pool: 2 });
        }
        if let Some(object) = self.pick_missing() {
            return Some(Event::ObjectReady(object));
        }
        let worker = self.running.keys().next().copied();
        worker.map(Event::Finished).or_else(|| pick(&mut self.dice, &self.starting).map(Event::WorkerReady))
    }

    fn pick_missing(&mut self) -> Option<ObjectId> {
        let object = pick(&mut self.dice, &self.missing)?;
        self.missing.remove(&object);
        Some(object)
    }

    fn step(&mut self, event: Event, seen: &mut BTreeSet<&str>) {
        match &event {
            Event::WorkerReady(worker) => {
                self.starting.remove(worker);
                self.idle.insert(*worker);
            }
            Event::WorkerExited(worker) => {
                self.idle.remove(worker);
                self.blocked.remove(worker);
            }
            Event::Finished(worker) => {
                let ended = self.running.remove(worker).unwrap();
                assert!(self.open.remove(&ended), "seed {}: {ended:?} ended twice", self.seed);
                self.blocked.remove(worker);
                self.idle.insert(*worker);
            }
            Event::Missed(worker) => drop(self.running.remove(worker)),
            Event::Blocked(worker) => drop(self.blocked.insert(*worker)),
            Event::Unblocked(worker) => drop(self.blocked.remove(worker)),
            _ => {}
        }
        for action in self.desk.tell(event.clone()) {
            let seed = self.seed;
            match action {
                Action::Run(task, worker) => {
                    seen.insert("run");
                    assert!(self.idle.remove(&worker), "seed {seed}: {worker:?} was not idle");
                    assert!(self.open.contains(&task), "seed {seed}: {task:?} is over");
                    assert_eq!(self.running.insert(worker, task), None, "seed {seed}");
                }
                Action::Carry(task, _) => {
                    seen.insert("carry");
                    assert!(self.open.remove(&task), "seed {seed}: {task:?} ended twice");
                }
                Action::Lost(task, worker) => {
                    seen.insert("lost");
                    assert_eq!(self.running.remove(&worker), Some(task), "seed {seed}");
                    assert!(self.open.remove(&task), "seed {seed}: {task:?} ended twice");
                }
                Action::StartWorker(worker) => {
                    seen.insert("start");
                    assert!(self.starting.insert(worker), "seed {seed}");
                }
                Action::StopWorker(worker) => {
                    seen.insert("stop");
                    assert!(self.idle.remove(&worker), "seed {seed}: {worker:?} was not idle");
                }
                Action::Infeasible(_) => drop(seen.insert("infeasible")),
                Action::Refuse(task) => panic!("seed {seed}: {task:?} refused though workers start"),
            }
        }
    }
}

fn pick<T: Copy + Ord>(dice: &mut Dice, from: &BTreeSet<T>) -> Option<T> {
    from.iter().nth(dice.below(from.len() as u64) as usize).copied()
}
