//! Models of the store's handshakes for `loom`, which tries every order of steps that the language's memory model allows.
//!
//! ```text
//!   cargo xtask loom ─▶ explore   the store's own code, by two or three threads     no execution may fail, every outcome must come
//!                    └▶ must_fail the same with one thing left out or done wrong    some execution must fail, and say how
//! ```
//!
//! A process is a thread here, and its death is the end of a thread between two of its writes (see `sync/loomed.rs`): `explore_deaths`
//! lets it die before each of them in turn. Who joins a thread knows that it is dead, as the head does from the kernel.
//!
//! # Invariants
//! - Nothing here is a copy of the store's code but what is deliberately wrong.

mod claim;

use super::*;
use crate::sync::{model, mortal, without_fences};
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

/// What the executions of a model come to. Its atomics are not loom's: they are about all executions, not in any of them.
#[derive(Debug, Default)]
struct Seen {
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
    executions: AtomicU64,
    /// After how many writes the mortal thread dies.
    writes: AtomicU32,
    deaths: AtomicU64,
}

impl Seen {
    /// This execution came to this.
    fn note(&self, outcome: &'static str) {
        *self.outcomes.lock().unwrap().entry(outcome).or_default() += 1;
    }

    /// Lives until death comes; at most one thread of a model.
    fn mortal<T>(&self, life: impl FnOnce() -> T) -> Option<T> {
        let lived = mortal(self.writes.load(Relaxed), life);
        self.deaths.fetch_add(lived.is_none().into(), Relaxed);
        lived
    }
}

/// How much of a model is explored.
#[derive(Clone, Copy, Debug)]
enum Depth {
    /// All.
    Full,
    /// What so many switches away from a thread that could go on lead to.
    Switches(usize),
}

fn check(depth: Depth, seen: &Arc<Seen>, model: &Arc<impl Fn(&Arc<Seen>) + Send + Sync + 'static>) {
    let mut builder = model::Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = match depth {
        Depth::Full => None,
        Depth::Switches(count) => Some(count),
    };
    let (seen, model) = (Arc::clone(seen), Arc::clone(model));
    builder.check(move || {
        seen.executions.fetch_add(1, Relaxed);
        model(&seen);
    });
}

/// Explores a model. Each of `outcomes` must come, or the model does not show what it is for.
fn explore(depth: Depth, outcomes: &[&'static str], model: impl Fn(&Arc<Seen>) + Send + Sync + 'static) {
    without_fences(None);
    let (seen, began) = (Arc::new(Seen::default()), Instant::now());
    check(depth, &seen, &Arc::new(model));
    report(&seen, began, outcomes, "");
}

/// Explores a model of which one thread dies: before its first write, before its second, and so on until it lives to its end.
fn explore_deaths(depth: Depth, outcomes: &[&'static str], model: impl Fn(&Arc<Seen>) + Send + Sync + 'static) {
    without_fences(None);
    let (seen, began, model) = (Arc::new(Seen::default()), Instant::now(), Arc::new(model));
    let mut deaths = 0;
    loop {
        check(depth, &seen, &model);
        if seen.deaths.load(Relaxed) == deaths {
            break;
        }
        deaths = seen.deaths.load(Relaxed);
        seen.writes.fetch_add(1, Relaxed);
    }
    report(&seen, began, outcomes, &format!(", death before each of {} writes", seen.writes.load(Relaxed)));
}

fn report(seen: &Seen, began: Instant, outcomes: &[&str], more: &str) {
    let name = std::thread::current().name().unwrap_or("?").rsplit("::").next().unwrap_or("?").replace('_', " ");
    let (count, came) = (seen.executions.load(Relaxed), seen.outcomes.lock().unwrap().clone());
    println!("{name}: {count} executions in {:.2} s{more}\n    {came:?}", began.elapsed().as_secs_f64());
    let missing: Vec<_> = outcomes.iter().filter(|outcome| !came.contains_key(*outcome)).collect();
    assert!(missing.is_empty(), "{missing:?} never came: the model does not show what it is for");
}

/// What is left out of a model that must fail.
#[derive(Clone, Copy, Debug)]
enum Without {
    /// The `SeqCst` fences of this file.
    Fences(&'static str),
    /// Nothing: the model itself does something wrong.
    Care,
}

/// Explores a model that is wrong, until an execution fails and says `complaint`.
fn must_fail(
    depth: Depth,
    without: Without,
    complaint: &str,
    model: impl Fn(&Arc<Seen>) + Send + Sync + 'static,
) {
    without_fences(match without {
        Without::Fences(file) => Some(file),
        Without::Care => None,
    });
    let (seen, model) = (Arc::new(Seen::default()), Arc::new(model));
    let failed = quietly(|| {
        let mut deaths = 0;
        loop {
            check(depth, &seen, &model);
            if seen.deaths.load(Relaxed) == deaths {
                break;
            }
            deaths = seen.deaths.load(Relaxed);
            seen.writes.fetch_add(1, Relaxed);
        }
    });
    without_fences(None);
    let count = seen.executions.load(Relaxed);
    let Err(panic) = failed else { panic!("{count} executions without {without:?}, and none failed") };
    let said = message(&*panic);
    assert!(said.contains(complaint), "it failed for another reason: {said}");
    println!("    without {without:?}: execution {count} fails: {}", said.lines().next().unwrap_or_default());
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Catches a panic that is expected, without a word on the screen.
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

/// Tables of a few slots, and rings of two.
fn tables(slots: u32, units: u32) -> Arc<Segment> {
    Arc::new(Segment::stand_in(Limits { slots, units, ring: 2 }))
}

/// A task in a slot of `party`'s that needs `objects`.
fn submit(party: &mut Party, objects: &[Id], late: &mut Vec<Id>) -> (Id, Readiness) {
    let (index, segment) = (party.slot().unwrap(), Arc::clone(&party.segment));
    let mut spec = Spec::new(0, 0);
    for object in objects {
        assert!(spec.push(Arg::Object(*object), 0));
        assert!(segment.hold(*object));
    }
    segment.write_spec(index, &spec);
    segment.submit(party, index, &spec, late).unwrap()
}

/// A task that can be run at once.
fn ready_task(party: &mut Party) -> Id {
    submit(party, &[], &mut Vec::new()).0
}
