//! Random histories of processes that share one segment and die between any two steps, against a plain model.
//!
//! ```text
//!   world.rs    the tables, the model of what must be in them, and what is checked after every step
//!   process.rs  what a client does, as futures: a process can die at each `await`
//!   head.rs     what the head does about it
//!   leases.rs   units alone, against one owner each
//! ```
//!
//! Everything runs in one thread: a history says which process takes its next step. What the model does not know (which
//! slot a process takes, which units it leases) is read from the tables and must make sense. What the model knows must
//! be exactly so.

mod head;
mod leases;
mod process;
mod world;

use super::*;
use head::Head;
use process::{Me, Size, Work};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use world::{Argument, LIMITS, Message, Place, World, Wrong};

/// An action of a process. Numbers pick from what the process has.
#[derive(Clone, Debug)]
enum Act {
    Put { size: Size, contains: Vec<u8> },
    ThinkBetter { size: Size },
    Add(u8),
    Release(u8),
    Pin(u8),
    Unpin(u8),
    Suspect(u8),
    Submit { args: Vec<Option<u8>>, anonymous: Option<Size> },
    Work { size: Size, contains: usize, fails: bool },
    Wait { ids: Vec<u8>, wanted: u8 },
    Checkpoint { size: Size },
    Quiet,
    WantRoom(u32),
    LeaseAndDie { units: u32, parts: u32 },
    LookForSlotsAndDie { fresh: bool },
}

#[derive(Clone, Debug)]
enum Happens {
    /// A process begins an action, in single steps if `slow`, and does so many steps of it.
    Begins { who: u8, act: Act, slow: bool, steps: u8 },
    /// A process does so many steps more.
    GoesOn { who: u8, steps: u8 },
    /// A process dies where it is.
    Dies { who: u8 },
    /// The head does so many steps of its work.
    HeadGoesOn { steps: u8 },
    /// The head receives a message.
    Told(Message),
    /// Another process connects.
    Comes,
    /// Every process does its action to the end.
    Rest,
}

/// A living process.
struct Process {
    me: Me,
    work: Option<Work>,
    is_driver: bool,
}

struct Runtime {
    world: Rc<World>,
    head: Rc<Head>,
    head_work: Option<Work>,
    processes: Vec<Process>,
    /// Dead drivers whose place a twin may take.
    orphans: Vec<Seat>,
}

type Verdict = Result<(), String>;

/// How many processes there are at most.
const PROCESSES_MAX: usize = 4;

fn poll(work: &mut Option<Work>) {
    if let Some(doing) = work
        && let Poll::Ready(()) = doing.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    {
        *work = None;
    }
}

fn pick<T: Copy>(from: &BTreeSet<T>, number: u8) -> Option<T> {
    (!from.is_empty()).then(|| *from.iter().nth(usize::from(number) % from.len()).unwrap())
}

impl Runtime {
    fn new(wrong: Option<Wrong>) -> Runtime {
        let world = World::new(wrong);
        let head = Head::new(&world);
        let mut runtime = Runtime { world, head, head_work: None, processes: Vec::new(), orphans: Vec::new() };
        runtime.comes(true);
        runtime.comes(false);
        runtime.comes(false);
        runtime
    }

    fn comes(&mut self, is_driver: bool) {
        let taken = &self.world.segment.header().taken;
        let seat = (1..SEATS as u16).map(Seat).find(|seat| !taken.has(*seat)).unwrap();
        self.processes.push(Process { me: Me::new(&self.world, seat), work: None, is_driver });
    }

    /// One step of a process, after which all checks must pass.
    fn step(&mut self, place: usize) -> Verdict {
        if self.processes[place].work.is_none() {
            return Ok(());
        }
        poll(&mut self.processes[place].work);
        self.world.check()
    }

    fn head_step(&mut self) -> Verdict {
        if self.head_work.is_none() {
            let message = self.world.inbox.borrow_mut().pop_front();
            self.head_work = match message {
                Some(message) => Some(Box::pin(Rc::clone(&self.head).handle(message))),
                None if self.head.is_unsettled() => Some(Box::pin(Rc::clone(&self.head).tick())),
                None => return Ok(()),
            };
        }
        poll(&mut self.head_work);
        self.world.check()
    }

    fn dies(&mut self, place: usize) {
        let Process { me, work, is_driver } = self.processes.remove(place);
        drop(work);
        let seat = me.seat;
        {
            let mut model = self.world.model.borrow_mut();
            model.deaths += 1;
            model.unburied.insert(seat);
            model.asleep.remove(&seat);
            model.in_hand.retain(|_, holder| *holder != seat);
            if !is_driver {
                model.has.remove(&seat);
            }
        }
        if is_driver {
            self.orphans.push(seat);
        }
        self.world.tell(Message::Died { seat, is_driver });
    }

    /// Gives a dead driver a twin with some of its references, or none.
    fn twin(&mut self, number: u8) {
        let Some(seat) = self.orphans.pop() else { return };
        if number.is_multiple_of(3) {
            self.world.tell(Message::Settled { seat, twin: None });
            return;
        }
        let refs = self.world.model.borrow_mut().has(seat).refs.clone();
        let kept = refs.into_iter().enumerate().filter(|(place, _)| number >> (place % 8) & 1 == 1).map(|(_, id)| id);
        self.world.tell(Message::Settled { seat, twin: Some(kept.collect()) });
        self.orphans_settled();
        self.processes.push(Process { me: Me::new(&self.world, seat), work: None, is_driver: true });
    }

    /// Runs the head until it knows who takes a dead driver's place.
    fn orphans_settled(&mut self) {
        for _ in 0..10_000 {
            if self.head_work.is_none() && self.world.inbox.borrow().is_empty() {
                return;
            }
            if self.head_step().is_err() {
                return;
            }
        }
    }

    fn work(&self, place: usize, act: Act, slow: bool) -> Option<Work> {
        let mut me = self.processes[place].me.clone();
        me.slow = slow;
        let has = me.has();
        let picked = |numbers: &[u8]| numbers.iter().filter_map(|number| pick(&has.refs, *number)).collect::<Vec<Id>>();
        Some(match act {
            Act::Put { size, contains } => Box::pin(me.put(size, picked(&contains))),
            Act::ThinkBetter { size } => Box::pin(me.think_better(size)),
            Act::Add(number) => {
                let id = pick(&self.world.model.borrow().reachable(), number)?;
                Box::pin(me.add(id))
            }
            Act::Release(number) => Box::pin(me.release(pick(&has.refs, number)?)),
            Act::Pin(number) => Box::pin(me.pin(pick(&has.refs, number)?)),
            Act::Unpin(number) => Box::pin(me.unpin(pick(&has.pins, number)?)),
            Act::Suspect(number) => {
                let all = self.world.model.borrow().objects.keys().copied().collect();
                Box::pin(me.suspect(pick(&all, number)?))
            }
            Act::Submit { args, anonymous } => {
                let argument = |arg: Option<u8>| match arg {
                    Some(number) => pick(&has.refs, number).map(Argument::Object),
                    None => Some(Argument::Value(self.world.model.borrow_mut().new_tag())),
                };
                Box::pin(me.submit(args.into_iter().filter_map(argument).collect(), anonymous))
            }
            Act::Work { size, contains, fails } => Box::pin(me.work(size, contains, fails)),
            Act::Wait { ids, wanted } => {
                let ids: Vec<Id> = picked(&ids).into_iter().collect::<BTreeSet<Id>>().into_iter().collect();
                let wanted = usize::from(wanted) % (ids.len() + 1);
                Box::pin(me.wait(ids, wanted))
            }
            Act::Checkpoint { size } => Box::pin(me.checkpoint(size)),
            Act::Quiet => Box::pin(me.quiet()),
            Act::WantRoom(units) => Box::pin(me.want_room(units)),
            Act::LeaseAndDie { units, parts } => Box::pin(me.lease_and_die(units, parts)),
            Act::LookForSlotsAndDie { fresh } => Box::pin(me.look_for_slots_and_die(fresh)),
        })
    }

    fn happens(&mut self, happens: Happens) -> Verdict {
        let count = self.processes.len();
        let place = |who: u8| (count > 0).then(|| usize::from(who) % count);
        match happens {
            Happens::Begins { who, act, slow, steps } => {
                let Some(place) = place(who) else { return Ok(()) };
                for _ in 0..100 {
                    if self.processes[place].work.is_none() {
                        break;
                    }
                    self.step(place)?;
                }
                if self.processes[place].work.is_some() {
                    return Ok(());
                }
                let is_fatal = matches!(act, Act::LeaseAndDie { .. } | Act::LookForSlotsAndDie { .. });
                self.processes[place].work = self.work(place, act, slow);
                for _ in 0..steps {
                    self.step(place)?;
                }
                if is_fatal {
                    poll(&mut self.processes[place].work);
                    self.dies(place);
                }
                Ok(())
            }
            Happens::GoesOn { who, steps } => match place(who) {
                Some(place) => (0..steps).try_for_each(|_| self.step(place)),
                None => Ok(()),
            },
            Happens::Dies { who } => {
                place(who).into_iter().for_each(|place| self.dies(place));
                self.world.check()
            }
            Happens::HeadGoesOn { steps } => (0..steps).try_for_each(|_| self.head_step()),
            Happens::Told(Message::Settled { .. }) => {
                self.twin(7);
                self.world.check()
            }
            Happens::Told(message) => {
                self.world.tell(message);
                Ok(())
            }
            Happens::Comes => {
                if count < PROCESSES_MAX {
                    self.comes(false);
                }
                Ok(())
            }
            Happens::Rest => self.rest(),
        }
    }

    /// Whether a process has no action, or sleeps.
    fn is_at_rest(&self, process: &Process) -> bool {
        process.work.is_none() || self.world.sleeps(process.me.seat)
    }

    /// Every process does its action to the end, and the head all its work.
    fn rest(&mut self) -> Verdict {
        for _ in 0..2000 {
            let is_over = self.head_work.is_none()
                && self.world.inbox.borrow().is_empty()
                && !self.head.is_unsettled()
                && self.processes.iter().all(|process| self.is_at_rest(process));
            if is_over {
                return self.world.check_at_rest();
            }
            for place in 0..self.processes.len() {
                for _ in 0..8 {
                    self.step(place)?;
                }
            }
            (0..8).try_for_each(|_| self.head_step())?;
        }
        let busy = self.processes.iter().filter(|process| !self.is_at_rest(process));
        let busy: Vec<Seat> = busy.map(|process| process.me.seat).collect();
        Err(format!("nobody comes to rest: busy are {busy:?}, the head {}", self.head_work.is_some()))
    }

    /// Runs all tasks, gives all references back, and checks that nothing is left.
    fn ends(&mut self) -> Verdict {
        while !self.orphans.is_empty() {
            self.twin(0);
        }
        self.rest()?;
        loop {
            let is_done = {
                let model = self.world.model.borrow();
                !model.objects.values().any(|object| matches!(object.place, Place::Task { .. }))
            };
            if is_done {
                break;
            }
            let claimed = self.world.model.borrow().claimed.len();
            let worker = match self.processes.iter().rposition(|process| process.work.is_none()) {
                Some(place) => place,
                None => {
                    self.comes(false);
                    self.processes.len() - 1
                }
            };
            self.processes[worker].work =
                self.work(worker, Act::Work { size: Size::Inline, contains: 0, fails: false }, true);
            self.rest()?;
            if self.world.model.borrow().claimed.len() == claimed {
                let model = self.world.model.borrow();
                let left = model.objects.iter().find(|(_, object)| matches!(object.place, Place::Task { .. }));
                if let Some((id, object)) = left {
                    return Err(format!("nobody ever runs {id}: {object:?}"));
                }
            }
        }
        self.rest()?;
        if let Some(sleeper) = self.processes.iter().find(|process| process.work.is_some()) {
            return Err(format!("{:?} sleeps, and everything is there", sleeper.me.seat));
        }
        for place in 0..self.processes.len() {
            let has = self.processes[place].me.has();
            for id in has.pins {
                self.processes[place].work = Some(Box::pin(self.processes[place].me.clone().unpin(id)));
                self.rest()?;
            }
            for id in has.refs {
                self.processes[place].work = Some(Box::pin(self.processes[place].me.clone().release(id)));
                self.rest()?;
            }
        }
        self.forget_actor();
        self.world.tell(Message::Audit);
        self.rest()?;
        self.nothing_is_left()
    }

    /// The actor is not made again.
    fn forget_actor(&mut self) {
        let segment = &self.world.segment;
        let loose = segment.release_logged(segment.clear_log(0));
        {
            let mut model = self.world.model.borrow_mut();
            (model.log, model.given) = (Log::default(), BTreeSet::new());
        }
        let head = self.head.me.clone();
        self.head_work = Some(Box::pin(async move { head.collect(loose).await }));
    }

    fn nothing_is_left(&mut self) -> Verdict {
        let segment = &self.world.segment;
        let leaks = segment.leaks();
        if !leaks.is_empty() {
            return Err(format!("left: {leaks:?}"));
        }
        {
            let model = self.world.model.borrow();
            if model.disk.len() as u64 > model.disk_lost {
                return Err(format!("{:?} are on disk, and {} were lost", model.disk, model.disk_lost));
            }
        }
        // The living processes have only empty leases of the arena left.
        self.head.me.leases.borrow_mut().close_lease();
        segment.take_empty_leases(Seat::HEAD);
        // All units are one free run; it is leased, and given back.
        let Some(all) = segment.lease(Seat::HEAD, LIMITS.units) else {
            return Err(format!("{} units are free, and cannot be had", segment.units_free()));
        };
        segment.close(Seat::HEAD, all.first);
        while !self.processes.is_empty() {
            self.dies(0);
        }
        while !self.orphans.is_empty() {
            self.twin(0);
        }
        self.rest()?;
        // The head keeps the slots that it has freed.
        let kept = self.head.me.leases.borrow().slots_kept();
        let mut last = Leases::new(self.world.segment.clone(), Seat(1));
        let slots = std::iter::from_fn(|| last.slot().ok()).count();
        if slots + kept != LIMITS.slots as usize - 1 {
            return Err(format!("{slots} slots can be had, and the head has {kept}"));
        }
        Ok(())
    }
}

fn play(history: Vec<Happens>, wrong: Option<Wrong>) -> Verdict {
    play_in(&mut Runtime::new(wrong), history)
}

fn play_in(runtime: &mut Runtime, history: Vec<Happens>) -> Verdict {
    for happens in history {
        runtime.happens(happens)?;
    }
    runtime.ends()
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        3 => Just(Size::Inline),
        3 => (130..500_u64).prop_map(Size::Bytes),
        1 => (1..5_u64).prop_map(|units| Size::Bytes(units * (64 << 10) - 100)),
        1 => Just(Size::Bytes(300 << 10)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let contains =
        || prop_oneof![6 => prop::collection::vec(any::<u8>(), 0..3), 1 => prop::collection::vec(any::<u8>(), 9..12)];
    let args = prop::collection::vec(prop::option::weighted(0.8, any::<u8>()), 0..4);
    prop_oneof![
        5 => (size(), contains()).prop_map(|(size, contains)| Act::Put { size, contains }),
        1 => size().prop_map(|size| Act::ThinkBetter { size }),
        4 => any::<u8>().prop_map(Act::Add),
        5 => any::<u8>().prop_map(Act::Release),
        2 => any::<u8>().prop_map(Act::Pin),
        2 => any::<u8>().prop_map(Act::Unpin),
        1 => any::<u8>().prop_map(Act::Suspect),
        6 => (args, prop::option::weighted(0.2, size())).prop_map(|(args, anonymous)| Act::Submit { args, anonymous }),
        6 => (size(), prop_oneof![4 => 0..3_usize, 1 => 9..11_usize], prop::bool::weighted(0.2))
            .prop_map(|(size, contains, fails)| Act::Work { size, contains, fails }),
        1 => (prop::collection::vec(any::<u8>(), 1..4), any::<u8>()).prop_map(|(ids, wanted)| Act::Wait { ids, wanted }),
        2 => size().prop_map(|size| Act::Checkpoint { size }),
        1 => Just(Act::Quiet),
        1 => (1..9_u32).prop_map(Act::WantRoom),
    ]
}

/// Tasks that wait for tasks, some of which fail.
fn act_of_tasks() -> impl Strategy<Value = Act> {
    let args = prop::collection::vec(any::<u8>().prop_map(Some), 0..3);
    prop_oneof![
        4 => args.prop_map(|args| Act::Submit { args, anonymous: None }),
        1 => any::<u8>().prop_map(Act::Add),
        3 => any::<u8>().prop_map(Act::Release),
        4 => prop::bool::weighted(0.4).prop_map(|fails| Act::Work { size: Size::Inline, contains: 0, fails }),
        1 => Just(Act::Checkpoint { size: Size::Inline }),
        1 => Just(Act::Quiet),
    ]
}

fn happens(act: impl Strategy<Value = Act>) -> impl Strategy<Value = Happens> {
    let few = || prop_oneof![3 => 0..12_u8, 1 => Just(60)];
    let fatal = prop_oneof![
        (1..6_u32, 0..6_u32).prop_map(|(units, parts)| Act::LeaseAndDie { units, parts }),
        any::<bool>().prop_map(|fresh| Act::LookForSlotsAndDie { fresh }),
    ];
    let told = prop_oneof![
        any::<u8>().prop_map(|number| Message::Spill { number }),
        Just(Message::Look),
        Just(Message::Audit),
        Just(Message::Settled { seat: Seat::HEAD, twin: None }),
    ];
    prop_oneof![
        14 => (any::<u8>(), act, any::<bool>(), few())
            .prop_map(|(who, act, slow, steps)| Happens::Begins { who, act, slow, steps }),
        6 => (any::<u8>(), few()).prop_map(|(who, steps)| Happens::GoesOn { who, steps }),
        2 => any::<u8>().prop_map(|who| Happens::Dies { who }),
        1 => (any::<u8>(), fatal).prop_map(|(who, act)| Happens::Begins { who, act, slow: true, steps: 0 }),
        4 => few().prop_map(|steps| Happens::HeadGoesOn { steps }),
        2 => told.prop_map(Happens::Told),
        2 => Just(Happens::Comes),
        1 => Just(Happens::Rest),
    ]
}

fn history(act: impl Strategy<Value = Act>) -> impl Strategy<Value = Vec<Happens>> {
    prop::collection::vec(happens(act), 0..100)
}

proptest! {
    #![proptest_config(Config { cases: 4 * Config::default().cases, ..Config::default() })]

    #[test]
    fn whatever_dies_when_what_is_held_stays_and_what_is_not_goes(history in history(act())) {
        play(history, None).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn whatever_dies_when_every_task_is_run_once_or_fails(history in history(act_of_tasks())) {
        play(history, None).map_err(TestCaseError::fail)?;
    }
}

/// A runner with the same histories every time: what it finds once it finds again.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn finds(wrong: Wrong, history: impl Strategy<Value = Vec<Happens>>) -> bool {
    let mut runner = runner(5000);
    let found = runner.run(&history, |history| play(history, Some(wrong)).map_err(TestCaseError::fail));
    matches!(found, Err(TestError::Fail(..)))
}

#[test]
fn every_wrong_step_is_found() {
    use Wrong::*;
    let objects = [
        NeverHolds,
        UnholdsFirst,
        FreesUnseen,
        ShowsDraftLate,
        ReleasesFirst,
        TellsNobody,
        NeverAudits,
        MovesPinned,
        LogsLate,
        UnlogsFirst,
    ];
    for wrong in objects {
        assert!(finds(wrong, history(act())), "{wrong:?}");
    }
    for wrong in [ForgetsList, NeverRevives, FailsListed, WakesListed] {
        assert!(finds(wrong, history(act_of_tasks())), "{wrong:?}");
    }
}

#[test]
fn everything_rare_happens() {
    let reached = std::cell::RefCell::new(BTreeSet::new());
    for acts in [act().boxed(), act_of_tasks().boxed()] {
        let played = runner(1000).run(&history(acts), |history| {
            let mut runtime = Runtime::new(None);
            let verdict = play_in(&mut runtime, history);
            reached.borrow_mut().extend(runtime.world.model.borrow().reached.iter().copied());
            verdict.map_err(TestCaseError::fail)
        });
        played.unwrap();
    }
    let wanted = [
        "a call in a log fails",
        "a checkpoint takes a log's place",
        "a list is too long for a slot",
        "a ring is lost",
        "a sealer's ring is full",
        "a sleeper is woken",
        "a submitter's ring is full",
        "a task's worker dies",
        "a twin comes",
        "all slots are in use",
        "all units are in use",
        "an object comes back",
        "an object goes to disk",
        "an object is pinned while it is to go to disk",
        "an object is spared",
        "nobody wants a result",
        "the head cannot count yet",
        "the head fails a task that waited",
        "the head wakes a task",
    ];
    let reached = reached.into_inner();
    let missing: Vec<&str> = wanted.into_iter().filter(|what| !reached.contains(what)).collect();
    assert!(missing.is_empty(), "{missing:?} never happens");
}

/// Process `who` begins an action and does it to the end.
fn does(who: u8, act: Act) -> Happens {
    Happens::Begins { who, act, slow: false, steps: 100 }
}

fn submits(who: u8, args: &[u8]) -> Happens {
    does(who, Act::Submit { args: args.iter().map(|arg| Some(*arg)).collect(), anonymous: None })
}

/// Objects of all kinds and tasks in all states, which process 0 has made and process 1 refers to; process 2 stands by.
fn a_bit_of_everything() -> Vec<Happens> {
    let small = Size::Bytes(200);
    let work = |fails| Act::Work { size: Size::Bytes(150), contains: 1, fails };
    let mut history = vec![
        // 0 and 1: small objects, 2 and 3: one that contains them, and one that contains many.
        does(0, Act::Put { size: Size::Inline, contains: vec![] }),
        does(0, Act::Put { size: small, contains: vec![] }),
        does(0, Act::Put { size: small, contains: vec![0, 1] }),
        does(0, Act::Put { size: Size::Inline, contains: vec![0, 1, 2, 0, 1, 2, 0, 1, 2] }),
        // 4 goes to disk.
        does(0, Act::Put { size: Size::Bytes(70 << 10), contains: vec![1] }),
    ];
    history.extend((0..3).map(|number| Happens::Told(Message::Spill { number })));
    history.extend([
        Happens::HeadGoesOn { steps: 100 },
        // 5 is done, 6 has failed, and 7 with it; 8 can be run, and 9 waits for it.
        submits(0, &[0, 2]),
        does(2, work(false)),
        submits(0, &[]),
        submits(0, &[6, 2]),
        does(2, work(true)),
        Happens::HeadGoesOn { steps: 100 },
        submits(0, &[1, 3]),
        submits(0, &[8]),
    ]);
    history.extend((0..10).map(|number| does(1, Act::Add(number))));
    history
}

#[test]
fn whoever_dies_at_any_step_of_anything_leaves_nothing_and_takes_nothing_along() {
    let (inline, small, large) = (Size::Inline, Size::Bytes(200), Size::Bytes(300 << 10));
    let mut acts = vec![
        Act::Put { size: inline, contains: vec![] },
        Act::Put { size: small, contains: vec![0, 1] },
        Act::Put { size: large, contains: vec![2; 10] },
        Act::ThinkBetter { size: small },
        Act::ThinkBetter { size: large },
        Act::Pin(2),
        Act::Pin(4),
        Act::Quiet,
        Act::WantRoom(14),
        Act::Submit { args: vec![], anonymous: None },
        Act::Submit { args: vec![Some(0), None], anonymous: Some(small) },
        Act::Submit { args: vec![Some(8), Some(9), Some(2)], anonymous: Some(inline) },
        Act::Work { size: inline, contains: 2, fails: false },
        Act::Work { size: small, contains: 10, fails: false },
        Act::Work { size: large, contains: 0, fails: false },
        Act::Work { size: inline, contains: 0, fails: true },
        Act::Wait { ids: vec![8, 9], wanted: 2 },
        Act::Checkpoint { size: small },
    ];
    for number in 0..10 {
        acts.extend([Act::Add(number), Act::Release(number), Act::Suspect(number)]);
    }
    for act in acts {
        // Process 0 is a driver: what it had stands until the head hears what has become of it.
        for (who, is_last) in [(1, false), (1, true), (0, false)] {
            for steps in 0..100 {
                let mut history = a_bit_of_everything();
                if is_last {
                    // It was the last one to refer to any of them.
                    history.extend((0..10).map(|_| does(0, Act::Release(0))));
                }
                let mut runtime = Runtime::new(None);
                let begins = Happens::Begins { who, act: act.clone(), slow: true, steps };
                let begun = history.into_iter().chain([begins]).try_for_each(|happens| runtime.happens(happens));
                let is_over = runtime.processes[usize::from(who)].work.is_none();
                let verdict = begun.and_then(|()| play_in(&mut runtime, vec![Happens::Dies { who }]));
                assert_eq!(verdict, Ok(()), "{who} in {act:?}, after {steps} steps, last {is_last}");
                if is_over {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_task_that_fails_while_it_waits_for_another_does_not_take_that_ones_list_along() {
    let work = |fails| Act::Work { size: Size::Inline, contains: 0, fails };
    let history = vec![
        // 2 and 3 wait for 0; 1 will fail, and 3 with it, because it needs 1, too.
        submits(0, &[]),
        submits(0, &[]),
        submits(0, &[0]),
        submits(0, &[0, 1]),
        // 4 is never run until the end.
        submits(0, &[]),
        Happens::Begins { who: 1, act: work(false), slow: false, steps: 2 },
        Happens::Begins { who: 2, act: work(true), slow: false, steps: 20 },
        Happens::HeadGoesOn { steps: 20 },
        // A process dies, and the head checks all waiting tasks.
        Happens::Comes,
        Happens::Dies { who: 3 },
        Happens::HeadGoesOn { steps: 100 },
        // The slot of 3 is used again by a task that waits for another one.
        does(0, Act::Release(3)),
        submits(0, &[3]),
        Happens::GoesOn { who: 1, steps: 100 },
        Happens::Rest,
    ];
    play(history, None).unwrap();
}

#[test]
fn who_dies_with_the_bit_of_a_ring_in_its_hands_leaves_no_task_unseen() {
    let work = Act::Work { size: Size::Inline, contains: 0, fails: false };
    let quiet = |steps| Happens::Begins { who: 1, act: Act::Quiet, slow: true, steps };
    let history = vec![
        submits(0, &[]),
        does(2, work),
        // Process 1 finds the ring empty; then a task comes, and then process 1 clears the bit.
        quiet(1),
        submits(0, &[]),
        Happens::GoesOn { who: 1, steps: 1 },
        Happens::Dies { who: 1 },
    ];
    play(history, None).unwrap();
}

#[test]
fn a_task_that_its_waker_had_no_room_for_is_in_no_ring_twice_when_the_waker_dies() {
    let work = Act::Work { size: Size::Inline, contains: 0, fails: false };
    let history = vec![
        // Three tasks wait for one, and rings have room for two.
        submits(0, &[]),
        submits(0, &[0]),
        submits(0, &[0]),
        submits(0, &[0]),
        does(1, work.clone()),
        does(2, work.clone()),
        does(2, work),
        // Two tasks are done. The head hears of the third, and then of its waker's death.
        Happens::Dies { who: 1 },
        Happens::Rest,
    ];
    play(history, None).unwrap();
}
