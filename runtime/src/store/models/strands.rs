//! Model: the head finds every task that was left for it, though not every process tells it, and one may die that owes the message.

use super::*;
use crate::sync::AtomicU32 as Shared;

type Take = fn(&Segment) -> Vec<Id>;

/// Leaves a task for the head, and tells it if that is news.
fn leave(segment: &Segment, by: Seat, task: Id, messages: &Shared) {
    assert!(segment.strand(by, task), "there is a place");
    if segment.strands_are_news() {
        messages.fetch_add(1, Ordering::AcqRel);
    }
}

/// Alice and bob leave a task each, while the head heeds messages.
fn two_leave(seen: &Seen, take: Take) {
    let segment = tables(4, 1);
    let messages = Arc::new(Shared::new(0));
    let tasks = [(ALICE, 1), (BOB, 2)].map(|(seat, slot)| ready_task(&mut leases(&segment, seat, slot..slot + 1)));
    let alice = {
        let (segment, messages, seen) = (Arc::clone(&segment), Arc::clone(&messages), seen.clone());
        thread::spawn(move || seen.mortal(|| leave(&segment, ALICE, tasks[0], &messages)))
    };
    let bob = {
        let (segment, messages) = (Arc::clone(&segment), Arc::clone(&messages));
        thread::spawn(move || leave(&segment, BOB, tasks[1], &messages))
    };
    let mut heeded = 0;
    let mut found = Vec::new();
    let mut heed = |found: &mut Vec<Id>| {
        if messages.load(Ordering::Acquire) > heeded {
            heeded += 1;
            found.extend(take(&segment));
        }
    };
    heed(&mut found);
    let early = found.len();
    bob.join().unwrap();
    if alice.join().unwrap().is_none() {
        found.extend(segment.bury(ALICE, Keep::Nothing).pending);
        found.extend(take(&segment));
        seen.note("alice died");
    }
    heed(&mut found);
    heed(&mut found);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, tasks, "a task is lost");
    seen.note(match early {
        0 => "none was found early",
        1 => "one was",
        _ => "both were",
    });
}

/// One that looks before it clears what says that it was told.
fn take_then_clear(segment: &Segment) -> Vec<Id> {
    let tasks = segment.look_at_strands();
    segment.header().told.swap(0, Ordering::AcqRel);
    tasks
}

#[test]
fn the_head_finds_every_task_that_was_left_for_it() {
    let outcomes = ["alice died", "none was found early", "one was", "both were"];
    explore(Depth::Switches(3), &outcomes, |seen| two_leave(seen, Segment::take_strands));
    must_fail(Depth::Switches(3), "clearing before looking", "a task is lost", |seen| {
        two_leave(seen, take_then_clear);
    });
}
