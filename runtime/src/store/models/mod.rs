//! Models of the store's handshakes for `loom`, which tries every order of steps that the language's memory model allows.
//!
//! ```text
//!   cargo xtask loom ─▶ explore   the store's own code, by two or three threads     no execution may fail, every outcome must come
//!                    └▶ must_fail the same with one thing left out or done wrong    some execution must fail, and say how
//! ```
//!
//! A process is a thread here, and its death is the end of that thread between two of its writes (see `sync/loomed.rs`). A model with a
//! mortal thread is explored once for each of its writes. A thread that joins another knows that it is dead, as the head does from the
//! kernel.
//!
//! Most models are explored up to a number of switches between threads, because all orders would take days. Reorderings by the processor
//! are tried in full and cost no switch. Each `SeqCst` fence of the store was left out alone once, and a model failed without it at its
//! depth.
//!
//! # Invariants
//! - Only deliberately wrong code here copies the store's code. How `client` and `local` use it is written once more, in short.

mod claim;
mod deps;
mod events;
mod idle;
mod leases;
mod mailbox;
mod objects;
mod offers;
mod slots;
mod strands;
mod wait;

use super::*;
use crate::sync::{Ordering, begin, cell::UnsafeCell, model, mortal, thread, without_fences};
use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Once};
use std::time::Instant;

const ALICE: Seat = Seat(1);
const BOB: Seat = Seat(2);
const CAROL: Seat = Seat(3);

/// loom's message when a sleeping thread is never woken.
const ASLEEP: &str = "deadlock";

/// The outcomes of a model's executions.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Tally>);

/// Not loom's atomics, because the tally spans all executions and is part of none.
#[derive(Debug, Default)]
struct Tally {
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
    executions: AtomicU64,
    /// After how many writes the mortal thread dies.
    writes: AtomicU32,
    deaths: AtomicU64,
}

impl Seen {
    /// Records an outcome of this execution.
    fn note(&self, outcome: &'static str) {
        *self.0.outcomes.lock().unwrap().entry(outcome).or_default() += 1;
    }

    /// Runs the life of the mortal thread, of which a model has at most one. `None` when it died.
    fn mortal<T>(&self, life: impl FnOnce() -> T) -> Option<T> {
        let lived = mortal(self.0.writes.load(Relaxed), life);
        self.0.deaths.fetch_add(lived.is_none().into(), Relaxed);
        lived
    }

    /// Explores the model; when one of its threads is mortal, it dies before its first write, before its second, and so on until it
    /// lives to its end.
    fn of(&self, depth: Depth, model: impl Fn(&Seen) + Send + Sync + 'static) {
        let model = Arc::new(model);
        loop {
            let deaths = self.0.deaths.load(Relaxed);
            let mut builder = model::Builder::new();
            builder.max_branches = BRANCHES_MAX;
            builder.preemption_bound = match depth {
                Depth::Full => None,
                Depth::Switches(count) => Some(count),
            };
            let (seen, model) = (self.clone(), Arc::clone(&model));
            builder.check(move || {
                begin();
                seen.0.executions.fetch_add(1, Relaxed);
                model(&seen);
            });
            if self.0.deaths.load(Relaxed) == deaths {
                return;
            }
            self.0.writes.fetch_add(1, Relaxed);
        }
    }
}

/// How much of a model is explored.
#[derive(Clone, Copy, Debug)]
enum Depth {
    /// All orders.
    Full,
    /// The orders with at most so many switches away from a thread that could go on.
    Switches(usize),
}

/// More steps than any execution has in which no thread waits in vain.
const BRANCHES_MAX: usize = 5000;

/// Explores a model. Each of `outcomes` must come, or the model does not show what it is for.
fn explore(depth: Depth, outcomes: &[&str], model: impl Fn(&Seen) + Send + Sync + 'static) {
    let (seen, began) = (Seen::default(), Instant::now());
    seen.of(depth, model);
    let name = std::thread::current().name().unwrap_or("?").rsplit("::").next().unwrap_or("?").replace('_', " ");
    let tally = &seen.0;
    let (count, came) = (tally.executions.load(Relaxed), tally.outcomes.lock().unwrap().clone());
    let deaths = match tally.writes.load(Relaxed) {
        0 => String::new(),
        writes => format!(", with a death before each of {writes} writes"),
    };
    println!("{name}: {count} executions in {:.1} s{deaths}\n    {came:?}", began.elapsed().as_secs_f64());
    let missing: Vec<_> = outcomes.iter().filter(|outcome| !came.contains_key(**outcome)).collect();
    assert!(missing.is_empty(), "{missing:?} never came: the model does not show what it is for");
}

/// Explores a model that lacks something, until an execution fails and says `complaint`.
fn must_fail(depth: Depth, without: &str, complaint: &str, model: impl Fn(&Seen) + Send + Sync + 'static) {
    let (seen, began) = (Seen::default(), Instant::now());
    let failed = quietly(|| seen.of(depth, model));
    let count = seen.0.executions.load(Relaxed);
    let Err(panic) = failed else { panic!("without {without}, none of {count} executions failed") };
    let said = message(&*panic);
    let said = said.lines().next().unwrap_or_default();
    assert!(said.contains(complaint), "without {without}, it failed for another reason: {said}");
    println!("    without {without}: execution {count} failed after {:.1} s: {said}", began.elapsed().as_secs_f64());
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Catches an expected panic without printing it.
fn quietly<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(true);
    let ran = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    ran
}

/// Tables of a few slots and units, and rings of two. A unit has room for two small objects.
fn tables(slots: u32, units: u32) -> Arc<Segment> {
    let segment = Segment::stand_in(Limits { slots, units, ring: 2 });
    let header = segment.header();
    header.units.store(units, Ordering::Relaxed);
    header.unit_bytes.store(128, Ordering::Relaxed);
    [Seat::HEAD, ALICE, BOB, CAROL].into_iter().for_each(|seat| _ = header.taken.add(seat));
    Arc::new(segment)
}

/// A process with these slots, which have no owner yet.
fn leases(segment: &Arc<Segment>, seat: Seat, slots: std::ops::Range<u32>) -> Leases {
    let mut leases = Leases::new(Arc::clone(segment), seat);
    segment.header().slots_fresh.store(slots.end, Ordering::Relaxed);
    for index in slots.rev() {
        segment.step(index, |word, by| word.after(Step::Lease { by }), seat);
        leases.keep_slot(index);
    }
    leases
}

/// Submits a task of the process `leases` that needs `objects`.
fn submit(leases: &mut Leases, objects: &[Id], late: &mut Vec<Id>) -> (Id, Readiness) {
    let (index, segment) = (leases.slot().unwrap(), Arc::clone(&leases.segment));
    let mut spec = Spec::new(0, 0);
    for object in objects {
        assert!(spec.push(Arg::Object(*object), 0));
        assert!(segment.hold(*object));
    }
    segment.write_spec(index, &spec);
    segment.submit(leases, index, &spec, late).unwrap()
}

/// A task that can be run at once.
fn ready_task(leases: &mut Leases) -> Id {
    submit(leases, &[], &mut Vec::new()).0
}

/// A task of the process `leases` that `by` runs.
fn running_task(leases: &mut Leases, by: Seat) -> Id {
    let task = ready_task(leases);
    assert!(leases.segment.take_step(task, Step::Claim { by }));
    task
}

/// Bytes in the arena: loom reports a write that races with another access.
#[derive(Debug, Default)]
struct Bytes(UnsafeCell<()>);

impl Bytes {
    fn read(&self) {
        self.0.with(|_| ());
    }

    fn write(&self) {
        self.0.with_mut(|_| ());
    }
}
