//! Sessions that share the scheduler: whose tasks come next.

use super::shapes::Machine;
use crate::protocol::SessionId;
use crate::scheduler::Event;
use std::time::Duration;

const ALICE: SessionId = SessionId(1);
const BOB: SessionId = SessionId(2);
const CAROL: SessionId = SessionId(3);

/// A shape that takes half a CPU, and one that takes one with something else.
const HALF: usize = 0;
const ONE: usize = 5;
const NO_CPU: usize = 2;

/// Tasks that run take so long, and end; this many times.
fn rounds(machine: &mut Machine, count: usize, takes: impl Fn(usize) -> Duration) {
    for round in 0..count {
        machine.give_leases_back();
        machine.start_all();
        machine.now += takes(round);
        for worker in machine.running() {
            machine.end(worker);
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_flood_of_one_session_does_not_keep_another_one_waiting() {
    let mut machine = Machine::new(1.0);
    for _ in 0..1000 {
        machine.queue_of(ALICE, ONE);
    }
    rounds(&mut machine, 10, |_| ms(5));
    for _ in 0..20 {
        machine.queue_of(BOB, ONE);
    }
    let before = machine.ended_of(ALICE);
    rounds(&mut machine, 60, |_| ms(5));
    assert_eq!(machine.ended_of(BOB), 20);
    assert!((20..=45).contains(&(machine.ended_of(ALICE) - before)), "both had their turns");
}

#[test]
fn tasks_of_other_resources_are_served_in_turn_too() {
    for shape in [HALF, NO_CPU] {
        let mut machine = Machine::new(1.0);
        for _ in 0..1000 {
            machine.queue_of(ALICE, shape);
        }
        for _ in 0..20 {
            machine.queue_of(BOB, shape);
        }
        rounds(&mut machine, 60, |_| ms(1));
        assert_eq!(machine.ended_of(BOB), 20);
    }
}

#[test]
fn shares_weigh_the_turns() {
    let mut machine = Machine::new(1.0);
    machine.tell(Event::Joined(ALICE, 3));
    machine.tell(Event::Joined(BOB, 1));
    for _ in 0..1000 {
        machine.queue_of(ALICE, ONE);
        machine.queue_of(BOB, ONE);
    }
    rounds(&mut machine, 400, |_| ms(2));
    let (alice, bob) = (machine.ended_of(ALICE), machine.ended_of(BOB));
    assert!((alice + bob).abs_diff(400) < 5, "{alice} {bob}");
    assert!(bob.abs_diff(100) < 10, "{alice} {bob}");
}

#[test]
fn a_session_of_long_tasks_does_not_get_more_for_that() {
    let mut machine = Machine::new(1.0);
    let mut had = [Duration::ZERO; 2];
    for _ in 0..2000 {
        machine.queue_of(ALICE, ONE);
        machine.queue_of(BOB, ONE);
    }
    for _ in 0..1000 {
        let before = machine.ended_of(ALICE);
        machine.give_leases_back();
        machine.start_all();
        let is_alices = machine.runs_one_of(ALICE);
        let takes = if is_alices { ms(20) } else { ms(1) };
        machine.now += takes;
        machine.running().into_iter().for_each(|worker| machine.end(worker));
        had[usize::from(machine.ended_of(ALICE) == before)] += takes;
    }
    let [alice, bob] = had.map(|had| had.as_millis());
    assert!(alice.abs_diff(bob) < 200, "{alice} ms and {bob} ms");
}

#[test]
fn one_that_was_away_is_not_owed_what_it_did_not_ask_for() {
    let mut machine = Machine::new(1.0);
    for _ in 0..3000 {
        machine.queue_of(ALICE, ONE);
    }
    rounds(&mut machine, 1000, |_| ms(5));
    for _ in 0..1000 {
        machine.queue_of(CAROL, ONE);
    }
    let before = machine.ended_of(ALICE);
    rounds(&mut machine, 100, |_| ms(5));
    assert!(machine.ended_of(ALICE) - before >= 40, "{}", machine.ended_of(ALICE) - before);
}
