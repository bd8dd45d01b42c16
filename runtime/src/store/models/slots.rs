//! Model: leased slots are unique, and none is lost when a process dies.

use super::*;

/// Takes all slots that there are.
fn take(mut leases: Leases) -> Vec<u32> {
    std::iter::from_fn(|| leases.slot().ok()).collect()
}

/// Alice and bob want all slots: one that carol has given back, and one that was never used. Bob may die over it.
fn slots_meet(seen: &Seen, buries: bool) {
    let segment = tables(3, 1);
    leases(&segment, CAROL, 1..2);
    segment.step(1, |word, by| word.after(Step::Return { by }), CAROL);
    segment.offer_slot(1);
    let bob = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || seen.mortal(|| take(Leases::new(segment, BOB))))
    };
    let alice = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || take(Leases::new(segment, ALICE)))
    };
    let bobs = bob.join().unwrap();
    if bobs.is_none() && buries {
        segment.bury(BOB, Keep::Nothing);
    }
    let alices = alice.join().unwrap();
    seen.note(match (&bobs, alices.len()) {
        (None, 0) => "bob died and alice had none",
        (None, _) => "bob died and alice had some",
        (Some(bobs), _) if bobs.is_empty() => "alice had all that there were",
        (Some(_), 0) => "bob had all that there were",
        (Some(_), _) => "both had some",
    });
    let left = take(Leases::new(Arc::clone(&segment), Seat::HEAD));
    let mut all: Vec<u32> = alices.into_iter().chain(bobs.unwrap_or_default()).chain(left).collect();
    all.sort();
    assert_eq!(all, [1, 2], "no slot has two owners, and none is lost");
}

#[test]
fn no_slot_has_two_owners_and_none_is_lost() {
    let outcomes = [
        "bob died and alice had none",
        "bob died and alice had some",
        "alice had all that there were",
        "bob had all that there were",
        "both had some",
    ];
    explore(Depth::Switches(1), &outcomes, |seen| slots_meet(seen, true));
    must_fail(Depth::Switches(1), "a head that buries bob", "none is lost", |seen| slots_meet(seen, false));
}
