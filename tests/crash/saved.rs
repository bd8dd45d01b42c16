//! An actor with checkpoints, killed after so many instructions of a call, of a checkpoint, and of being made again: every call counts once.
//!
//! ```text
//!   actor's process sleeps ─▶ seized ─▶ a call comes, after which it saves its state: step, step, step ─▶ killed
//!   actor's process killed ─▶ a worker makes the actor again: step, step, step ─▶ killed, too
//! ```

use crate::cell::{Arg, Ref, call, put, spawn_saved, state};
use crate::front::is_alive;
use crate::series::{Outcome, Series};
use crate::task;
use crate::witness::{Client, Witness, busy, got, number, segment, within_patience, worker};
use crate::workers::{Stepped, course_of};
use mobula::protocol::ObjectId;
use std::sync::atomic::Ordering;

task!(
    /// Adds the number of bytes of its argument to the actor's count, and gives that.
    add = |args| {
        let count = state() + args[0].len() as u64;
        crate::cell::set_state(count);
        Ok((count.to_le_bytes().to_vec(), vec![]))
    }
);

/// Bytes that no slot has room for, so that a call keeps an object.
const BYTES: usize = 150;

/// Calls before the one in which the process is killed: those of two checkpoints, and one more.
const BEFORE: u64 = 5;

/// After how many calls the state is saved.
const INTERVAL: u32 = 2;

pub const ALL: &[(&str, fn())] =
    &[("a call after which its actor is saved", kill_in_call), ("an actor that is made again", kill_in_restart)];

/// An actor that has run so many calls, and its process, which sleeps.
struct Counter {
    actor: Ref,
    process: Client,
}

impl Counter {
    fn new() -> Counter {
        let actor = spawn_saved("counter", INTERVAL).unwrap();
        for n in 1..=BEFORE {
            assert_eq!(number(&got(&add_to(&actor)).unwrap()), n * BYTES as u64);
        }
        let process = process_of(&actor);
        within_patience("the actor sleeps", || segment().desk(process.seat).asleep.load(Ordering::Acquire) > 0);
        Counter { actor, process }
    }

    /// Every call has counted once, however often somebody died over it.
    fn counts_right(&self, last: &Ref) {
        assert_eq!(number(&got(last).unwrap()), (BEFORE + 1) * BYTES as u64, "a call is lost, or counts twice");
        for n in BEFORE + 2..BEFORE + 5 {
            assert_eq!(number(&got(&add_to(&self.actor)).unwrap()), n * BYTES as u64);
        }
    }
}

fn add_to(actor: &Ref) -> Ref {
    // An object that only the call keeps.
    let bytes = put(&[1; BYTES]).unwrap();
    call("add", add, &[Arg::Of(actor), Arg::Of(&bytes)]).unwrap()
}

/// The process of an actor, which is there.
fn process_of(actor: &Ref) -> Client {
    let mailbox = segment().mailbox_of_actor(ObjectId(actor.0)).expect("it stands for an actor");
    let mut seat = 0;
    within_patience("the actor has a process", || {
        seat = segment().mailbox(mailbox).seat.load(Ordering::Acquire);
        seat != 0
    });
    let seat = mobula::store::Seat(seat as u16 - 1);
    Client { pid: segment().desk(seat).pid.load(Ordering::Acquire), seat }
}

fn kill_in_call() {
    kill_in("a call after which its actor is saved", |witness, steps, is_far_enough| {
        let busy = busy();
        let counter = Counter::new();
        let mut stepped = Stepped::of(counter.process);
        let dead = counter.process;
        let last = add_to(&counter.actor);
        stepped.begin();
        stepped.go_on(steps, is_far_enough);
        stepped.kill();
        counter.counts_right(&last);
        drop((counter, last, busy));
        witness.survives(dead);
    });
}

fn kill_in_restart() {
    kill_in("an actor that is made again", |witness, steps, is_far_enough| {
        let busy = busy();
        let counter = Counter::new();
        let dead = worker();
        let mut stepped = Stepped::of(dead);
        let first = counter.process.pid;
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(first as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        let last = add_to(&counter.actor);
        stepped.begin();
        stepped.go_on(steps, is_far_enough);
        stepped.kill();
        assert!(!is_alive(first));
        counter.counts_right(&last);
        drop((counter, last, busy));
        witness.survives(dead);
    });
}

/// Kills somebody after each of some numbers of instructions; `once` does it once, and asks before each instruction whether it is enough.
fn kill_in(name: &str, once: impl Fn(&Witness, usize, &mut dyn FnMut(Client) -> bool)) {
    let witness = Witness::start(8 << 20, true);
    // The first one finds a store in which nobody has died yet, which the others do not.
    once(&witness, usize::MAX, &mut |_| false);
    let course = course_of(|step| once(&witness, usize::MAX, step));
    let mut series = Series::of(name, &course, false);
    for steps in series.points() {
        series.kill(steps, || {
            once(&witness, steps, &mut |_| false);
            vec![Outcome::Sealed]
        });
    }
    witness.end();
    series.finish(&[Outcome::Sealed]);
}
