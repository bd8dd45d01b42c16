//! Workers that are killed after so many instructions, from the moment in which a task wakes them until they sleep again.
//!
//! ```text
//!   the worker sleeps ─▶ seized ─▶ one step, which is its sleep ─▶ a task is submitted, somebody waits for it ─▶ it wakes: step, step, step
//! ```

use crate::cell::{Arg, Ref, put, submit};
use crate::front::sigkill;
use crate::series::{Course, KILLS, Outcome, Series, is_full, spread};
use crate::trace::{Stop, Tracee};
use crate::victims::{Gate, echo};
use crate::witness::{
    ARENA_BYTES, Client, Witness, all_come, busy, fingerprint, got, me, segment, traces, until_same, within_patience,
    worker,
};
use crate::{lies, task};
use mobula::abi::{Cause, Fault};
use mobula::protocol::ObjectId;
use mobula::store::State;
use std::sync::atomic::{AtomicU8, Ordering};

/// A load for a worker.
pub struct Load {
    pub name: &'static str,
    submit: fn() -> Submitted,
    expected: &'static [Outcome],
    /// Whether the worker runs it for the first time, and first has to learn of its functions; and whether it looks for another task for a
    /// while before it sleeps.
    is_first: bool,
}

/// Tasks, what comes of them when nobody dies, and objects that they use.
#[derive(Default)]
struct Submitted {
    tasks: Vec<(Ref, Vec<u8>)>,
    /// For tasks that return refs: what these refer to.
    inner: Option<Vec<u8>>,
    objects: Vec<(Ref, Vec<u8>)>,
}

task!(
    /// So many bytes as its argument's first says, all like its second.
    bytes = |args| Ok((vec![args[0][1]; usize::from(args[0][0])], vec![]))
);

/// A task that gives so many bytes, and the bytes: others each time, so that old ones in the same place are not taken for them.
fn some_bytes(count: u8) -> (Ref, Vec<u8>) {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let byte = NEXT.fetch_add(1, Ordering::Relaxed);
    (submit("bytes", bytes, &[Arg::Value(&[count, byte])]).unwrap(), vec![byte; count.into()])
}

task!(
    /// Puts as many objects as its argument says, and returns their ids.
    wrapped = |args| {
        let inner: Vec<Ref> = (0..args[0][0]).map(|index| put(&vec![2; if index % 2 == 0 { 40 } else { ARENA_BYTES }]).unwrap()).collect();
        Ok((inner.iter().flat_map(|object| object.0.to_le_bytes()).collect(), inner))
    }
);

task!(refused = |_| Err(Cause::Error { message: "no".into() }));

const ENDS: &[Outcome] = &[Outcome::Sealed, Outcome::Error];

pub const ALL: &[Load] = &[
    Load { name: "the first task of a worker", submit: || one(some_bytes(200)), expected: ENDS, is_first: true },
    Load { name: "a task with an inline result", submit: || one(some_bytes(100)), expected: ENDS, is_first: false },
    Load {
        name: "a task with a result in the arena",
        submit: || one(some_bytes(200)),
        expected: ENDS,
        is_first: false,
    },
    Load {
        name: "a task with ref arguments",
        submit: || {
            let objects = vec![(put(&[1; 40]).unwrap(), vec![1; 40]), (put(&[3; 300]).unwrap(), vec![3; 300])];
            let task = submit("echo", echo, &[Arg::Of(&objects[0].0), Arg::Of(&objects[1].0)]).unwrap();
            Submitted { objects, ..one((task, [vec![1; 40], vec![3; 300]].concat())) }
        },
        expected: ENDS,
        is_first: false,
    },
    Load {
        name: "a task whose arguments only it keeps",
        submit: || {
            let (small, large) = (put(&[1; 40]).unwrap(), put(&[3; 300]).unwrap());
            let task = submit("echo", echo, &[Arg::Of(&small), Arg::Of(&large), Arg::Value(&[4; 130])]).unwrap();
            one((task, [vec![1; 40], vec![3; 300], vec![4; 130]].concat()))
        },
        expected: ENDS,
        is_first: false,
    },
    Load {
        name: "a task for which others wait",
        submit: || {
            let (first, of_first) = some_bytes(100);
            let second = submit("echo", echo, &[Arg::Of(&first), Arg::Value(&[1])]).unwrap();
            let third = submit("echo", echo, &[Arg::Of(&first), Arg::Of(&second)]).unwrap();
            let of_second = [of_first.clone(), vec![1]].concat();
            let of_third = [of_first.clone(), of_second.clone()].concat();
            Submitted { tasks: vec![(first, of_first), (second, of_second), (third, of_third)], ..Submitted::default() }
        },
        expected: ENDS,
        is_first: false,
    },
    Load {
        name: "a task that returns refs",
        submit: || Submitted {
            inner: Some(vec![2; 40]),
            ..one((submit("wrapped", wrapped, &[Arg::Value(&[3])]).unwrap(), vec![]))
        },
        expected: ENDS,
        is_first: false,
    },
    Load {
        name: "a task that returns many refs",
        submit: || Submitted {
            inner: Some(vec![2; 40]),
            ..one((submit("wrapped", wrapped, &[Arg::Value(&[9])]).unwrap(), vec![]))
        },
        expected: ENDS,
        is_first: false,
    },
    Load {
        name: "a task whose result nobody wants",
        submit: || {
            drop(submit("wrapped", wrapped, &[Arg::Value(&[3])]).unwrap());
            Submitted::default()
        },
        expected: &[Outcome::Gone],
        is_first: false,
    },
    Load {
        name: "a task that fails",
        submit: || one((submit("refused", refused, &[]).unwrap(), vec![])),
        expected: &[Outcome::Error],
        is_first: false,
    },
];

fn one(task: (Ref, Vec<u8>)) -> Submitted {
    Submitted { tasks: vec![task], ..Submitted::default() }
}

/// A worker that somebody steps.
pub struct Stepped {
    tracee: Tracee,
    client: Client,
    done: usize,
    /// It was, since it was taken; from then on its sleep is the end.
    was_awake: bool,
}

impl Stepped {
    /// Takes the worker while it sleeps, and lets it sleep on.
    fn asleep() -> Stepped {
        Stepped::of(worker())
    }

    /// The same of a process that sleeps.
    pub fn of(client: Client) -> Stepped {
        let mut tracee = Tracee::seize(client.pid);
        tracee.interrupt();
        tracee.step();
        Stepped { tracee, client, done: 0, was_awake: false }
    }

    /// Waits until somebody has ended its sleep, and counts from there.
    pub fn begin(&mut self) {
        self.wait();
        self.done = 0;
    }

    pub fn kill(self) {
        self.tracee.kill();
    }

    /// Waits until it has done the instruction at which it is.
    fn wait(&mut self) {
        match self.tracee.wait() {
            Stop::Stepped => self.done += 1,
            other => panic!("the worker has stopped for another reason: {other:?}"),
        }
    }

    /// Lets it go on until it has done so many instructions, or `is_far_enough`, or is about to sleep.
    pub fn go_on(&mut self, steps: usize, mut is_far_enough: impl FnMut(Client) -> bool) {
        while self.done < steps && !is_far_enough(self.client) && !(self.was_awake && is_asleep(self.client)) {
            self.tracee.step();
            self.wait();
            self.was_awake |= !is_asleep(self.client);
        }
    }
}

fn is_asleep(worker: Client) -> bool {
    segment().desk(worker.seat).asleep.load(Ordering::Acquire) > 0
}

fn has_task(worker: Client) -> bool {
    segment().desk(worker.seat).current.load(Ordering::Acquire) != 0
}

fn is_idle(worker: Client) -> bool {
    segment().header().idle.has(worker.seat)
}

/// The course of what `run` does, which calls what it is given before each instruction, and goes on as long as that gives false.
pub fn course_of(run: impl FnOnce(&mut dyn FnMut(Client) -> bool)) -> Course {
    let mut course = Course::default();
    let mut last = 0;
    run(&mut |process| {
        let now = fingerprint(process);
        if std::mem::replace(&mut last, now) != now && course.length > 0 {
            course.changes.push(course.length);
        }
        course.length += 1;
        false
    });
    course
}

/// Kills workers in the middle of a load, again and again.
pub fn kill_in(load: &Load) {
    let witness = Witness::start(8 << 20, true);
    // The first worker finds a store in which nobody has died yet, which the others do not.
    kill_after(&witness, load, usize::MAX, |_| false);
    let course = course_of(|step| drop(kill_after(&witness, load, usize::MAX, step)));
    let mut series = Series::of(load.name, &course, false);
    for steps in series.points() {
        series.kill(steps, || kill_after(&witness, load, steps, |_| false));
    }
    // On a loaded machine a worker may do thousands of instructions more, or fewer, than in the run above. These two ends are seen all the same.
    series.kill(course.length, || kill_after(&witness, load, usize::MAX, has_task));
    series.kill(course.length, || kill_after(&witness, load, usize::MAX, |_| false));
    witness.end();
    series.finish(load.expected);
}

/// Kills the worker after so many instructions, or when it `is_far_enough`, which is asked before each, or about to sleep. Gives what came of
/// the tasks.
fn kill_after(witness: &Witness, load: &Load, steps: usize, is_far_enough: impl FnMut(Client) -> bool) -> Vec<Outcome> {
    let busy = (!load.is_first).then(busy);
    if !load.is_first {
        let warm = (load.submit)();
        warm.tasks.iter().for_each(|(task, _)| drop(got(task)));
    }
    let mut stepped = Stepped::asleep();
    let dead = stepped.client;
    let submitted = (load.submit)();
    let ids: Vec<&Ref> = submitted.tasks.iter().map(|(task, _)| task).collect();
    // Somebody sleeps until all of it is there; nobody but a sealer, or the head, wakes them.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| all_come(&ids));
        within_patience("somebody waits", || ids.is_empty() || is_asleep(me()));
        stepped.begin();
        stepped.go_on(steps, is_far_enough);
        stepped.tracee.kill();
        if let Err(panic) = waiting.join() {
            std::panic::resume_unwind(panic);
        }
    });
    let outcomes = outcomes(&submitted, dead);
    for (object, bytes) in &submitted.objects {
        assert!(*got(object).unwrap() == **bytes, "an argument is not what it was");
    }
    drop((submitted, busy));
    witness.survives(dead);
    outcomes
}

/// What came of the tasks: what they would have given, or an error that says who died.
fn outcomes(submitted: &Submitted, dead: Client) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (task, expected) in &submitted.tasks {
        outcomes.push(match got(task) {
            Ok(result) => {
                match &submitted.inner {
                    None => assert!(*result == **expected, "the result is another one"),
                    Some(inner) => {
                        let ids = result.as_chunks::<8>().0.iter().map(|id| Ref::to(u64::from_le_bytes(*id)));
                        assert!(ids.into_iter().all(|object| got(&object).unwrap().starts_with(inner)));
                    }
                }
                Outcome::Sealed
            }
            Err(Fault::Task(failure)) => {
                let died = failure.cause == sigkill() && failure.pid == dead.pid;
                let failed = matches!(&failure.cause, Cause::Error { message } if message == "no");
                assert!(died || failed, "nobody but the worker was killed: {failure:?}");
                assert!(!lies::is("cause"), "it failed because of {:?}", failure.cause);
                Outcome::Error
            }
            Err(fault) => panic!("{fault:?}"),
        });
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::Gone);
    }
    outcomes
}

/// A task comes while its worker goes to sleep, and the worker is killed shortly after: somebody else must run it.
pub fn kill_on_the_way_to_sleep() {
    let witness = Witness::start(8 << 20, true);
    let length = submit_and_kill(&witness, usize::MAX, 0).1;
    let later: &[usize] = if is_full() { &[1, 2, 4, 7, 11, 20, 40, 400] } else { &[11] };
    let at = if is_full() { (0..length).collect() } else { spread(0, length - 1, KILLS * 3) };
    let mut series = Series::at_points("a task that comes on the way to sleep", length, at);
    for at in series.points() {
        for later in later {
            series.kill(at, || vec![submit_and_kill(&witness, at, *later).0]);
        }
    }
    witness.end();
    series.finish(if is_full() { ENDS } else { &[Outcome::Sealed] });
}

/// Submits a task when the worker has done so many instructions since it is idle, and kills it after so many more. Gives how many there are
/// until it sleeps.
fn submit_and_kill(witness: &Witness, at: usize, later: usize) -> (Outcome, usize) {
    let busy = busy();
    let mut stepped = Stepped::asleep();
    let dead = stepped.client;
    // As if others had emptied this ring: who goes to sleep takes its bit away.
    segment().header().rings.add(me().seat);
    segment().ring(dead.seat);
    stepped.wait();
    stepped.go_on(usize::MAX, |worker| !is_idle(worker));
    stepped.go_on(usize::MAX, is_idle);
    stepped.done = 0;
    stepped.go_on(at, |_| false);
    let length = stepped.done;
    let (task, expected) = some_bytes(2);
    stepped.go_on(length + later, |_| false);
    let has_begun = segment().slot(ObjectId(task.0).slot()).word().state() == State::Running;
    stepped.tracee.kill();
    let outcome = match got(&task).map(|result| result.to_vec()) {
        Ok(result) => {
            assert_eq!(result, expected);
            Outcome::Sealed
        }
        Err(Fault::Task(failure)) if failure.cause == sigkill() && has_begun => Outcome::Error,
        Err(fault) => panic!("nobody had begun to run it: {fault:?}"),
    };
    drop((task, busy));
    witness.survives(dead);
    (outcome, length)
}

/// A task of which one argument fails with its worker and another one is still to come: it fails, and whoever waits for that other one waits on.
pub fn a_task_that_fails_early_is_in_no_list() {
    let witness = Witness::start(8 << 20, true);
    for _ in 0..KILLS {
        let mut stepped = Stepped::asleep();
        let dead = stepped.client;
        let (lost, _) = some_bytes(1);
        stepped.wait();
        stepped.go_on(usize::MAX, has_task);
        let gate = Gate::closed();
        let late = gate.task();
        let both = submit("echo", echo, &[Arg::Of(&late), Arg::Of(&lost)]).unwrap();
        let waits = submit("echo", echo, &[Arg::Of(&late)]).unwrap();
        stepped.tracee.kill();
        assert!(matches!(got(&lost), Err(Fault::Task(failure)) if failure.cause == sigkill()));
        // Whether it fails now or when the gate is open is not promised; but as long as it is in a list, its slot is nobody else's.
        witness.buried(dead);
        drop(both);
        until_same("what the dead have left", &[], traces);
        drop(gate);
        assert!(*got(&waits).unwrap() == [9; 40]);
        drop((lost, late, waits));
        witness.survives(dead);
    }
    witness.end();
}
