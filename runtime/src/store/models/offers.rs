//! Model: a task is handed to the worker that offers, or stays with its sender, and is not lost when the worker dies.

use super::*;

type Close = fn(&Segment) -> Option<Id>;

const OPTIONS: u16 = 7;

/// Alice hands a task over, while bob opens an offer and ends it, or dies over it.
fn hand_over(seen: &Seen, close: Close) {
    let segment = tables(4, 1);
    let mut alice = leases(&segment, ALICE, 1..2);
    let task = ready_task(&mut alice);
    let bob = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || {
            seen.mortal(|| {
                segment.open_offer(BOB, OPTIONS);
                close(&segment)
            })
        })
    };
    let is_handed = segment.hand_over(OPTIONS, task);
    let ran = bob.join().unwrap();
    let estate = if ran.is_none() { segment.bury(BOB, Keep::Nothing) } else { Estate::default() };
    let (ran, owner) = (ran.flatten(), segment.slot(task.slot()).word().owner());
    let has = [!is_handed, ran == Some(task), estate.pending == [task], estate.lost == [task]];
    assert_eq!(has.iter().filter(|has| **has).count(), 1, "somebody has the task: {has:?}");
    assert!(ran.is_none() || owner == Some(BOB), "he has claimed it");
    seen.note(match has {
        [true, ..] => "alice kept it",
        [_, true, ..] => "bob ran it",
        [.., true, _] => "bob died before he claimed it",
        _ => "bob died when he had claimed it",
    });
}

fn close(segment: &Segment) -> Option<Id> {
    segment.close_offer(BOB, OPTIONS)
}

/// One that takes the task out before it is claimed.
fn close_then_claim(segment: &Segment) -> Option<Id> {
    segment.header().offering.remove(BOB);
    let task = Id(segment.desk(BOB).offer.word.swap(0, Ordering::AcqRel));
    (task.slot() != 0 && segment.take_step(task, Step::Claim { by: BOB })).then_some(task)
}

/// One that looks, and then writes.
fn close_without_looking_again(segment: &Segment) -> Option<Id> {
    if !segment.is_handed(BOB) {
        segment.desk(BOB).offer.word.store(0, Ordering::Release);
        return None;
    }
    close(segment)
}

#[test]
fn a_task_is_handed_to_whoever_offers_or_kept() {
    let outcomes = ["alice kept it", "bob ran it", "bob died before he claimed it", "bob died when he had claimed it"];
    explore(Depth::Full, &outcomes, |seen| hand_over(seen, close));
    must_fail(Depth::Full, "claiming the task before it is taken out", "somebody has the task", |seen| {
        hand_over(seen, close_then_claim);
    });
    must_fail(Depth::Full, "closing only what is open", "somebody has the task", |seen| {
        hand_over(seen, close_without_looking_again);
    });
}
