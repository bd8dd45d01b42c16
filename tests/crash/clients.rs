//! Clients that are killed after so many instructions of what they do.

use crate::series::{Course, Outcome, Series};
use crate::victims::{Effect, Operation, Victim};
use crate::witness::{Client, Witness, fingerprint, got, segment};
use mobula::store::{State, UnitState};

/// How many objects and tasks there are, how many units are leased, and what the victim reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    living: usize,
    leased: usize,
    reads: bool,
}

fn look(victim: Client) -> Seen {
    let segment = segment();
    let slots = || (1..segment.slots_used()).map(|index| segment.slot(index));
    let units = (0..segment.units()).map(|index| segment.unit(index).state().state());
    Seen {
        living: slots().filter(|slot| !matches!(slot.word().state(), State::Free)).count(),
        leased: units.filter(|state| *state != UnitState::Free).count(),
        reads: slots().any(|slot| slot.pins.has(victim.seat)),
    }
}

/// How far the operation had come.
fn outcome(effect: Effect, before: Seen, now: Seen) -> Outcome {
    let changed = match effect {
        Effect::Makes => now.living > before.living,
        Effect::Frees => now.living < before.living,
        Effect::Leases => now.leased > before.leased,
        Effect::Returns => now.leased < before.leased,
        Effect::Reads => now.reads,
    };
    match (effect, changed) {
        (Effect::Makes, false) | (Effect::Frees, true) | (Effect::Leases, false) | (Effect::Returns, true) => {
            Outcome::Gone
        }
        (Effect::Makes, true) | (Effect::Frees, false) | (Effect::Reads, false) => Outcome::Sealed,
        (Effect::Leases, true) | (Effect::Returns, false) | (Effect::Reads, true) => Outcome::Held,
    }
}

/// The outcomes that must have been seen when all of the operation was tried.
fn expected(operation: &Operation) -> &'static [Outcome] {
    match operation.effect {
        Effect::Makes | Effect::Frees => &[Outcome::Gone, Outcome::Sealed],
        Effect::Leases | Effect::Returns => &[Outcome::Gone, Outcome::Held],
        // Small ones are not pinned: the reference keeps them.
        Effect::Reads if operation.name.ends_with("inline") => &[Outcome::Sealed],
        Effect::Reads => &[Outcome::Sealed, Outcome::Held],
    }
}

/// Kills clients in the middle of an operation, again and again.
pub fn kill_in(operation: &Operation) {
    let on_disk = operation.name.ends_with("on disk");
    let witness = Witness::start(8 << 20, !on_disk);
    // The first victim finds a store in which nobody has died yet, which the others do not.
    let course = [(); 2].map(|()| run_through(&witness, operation))[1].clone();
    let mut series = Series::of(operation.name, &course, operation.each);
    for steps in series.points() {
        series.kill(steps, || vec![kill_after(&witness, operation, steps)]);
    }
    witness.end();
    series.finish(expected(operation));
}

/// Looks at an operation from its beginning to its end, and kills the client then.
fn run_through(witness: &Witness, operation: &Operation) -> Course {
    let mut victim = Victim::start(witness, operation);
    let before = look(victim.client);
    let mut course = Course::default();
    let mut last = (fingerprint(victim.client), outcome(operation.effect, before, before));
    while victim.step() {
        course.length += 1;
        let now = (fingerprint(victim.client), outcome(operation.effect, before, look(victim.client)));
        if now.0 != last.0 {
            course.changes.push(course.length);
        }
        if now.1 != last.1 {
            course.turns.push(course.length);
        }
        last = now;
    }
    finish(witness, victim);
    course
}

/// Kills a client after so many instructions of its operation, or at the end of it. Gives how far it had come.
fn kill_after(witness: &Witness, operation: &Operation, steps: usize) -> Outcome {
    let mut victim = Victim::start(witness, operation);
    let before = look(victim.client);
    let _ = (0..steps).all(|_| victim.step());
    let outcome = outcome(operation.effect, before, look(victim.client));
    finish(witness, victim);
    outcome
}

/// Kills a client, and looks whether everything is as it should be.
fn finish(witness: &Witness, victim: Victim) {
    let dead = victim.client;
    let kept = victim.kill();
    for (object, bytes) in &kept {
        assert!(*got(object).unwrap() == **bytes, "object {:#x} is not what it was", object.0);
    }
    drop(kept);
    witness.survives(dead);
}
