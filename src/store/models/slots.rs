//! Leasing slots: no two have the same, and none is lost, whoever dies.

use super::*;

/// Takes so many slots, as far as there are.
fn take(party: &mut Party, count: usize) -> Vec<u32> {
    (0..count).filter_map(|_| party.slot().ok()).collect()
}

/// Alice and bob want slots, of which carol gives some back; bob dies over it.
fn slots_meet(seen: &Seen, buries: bool) {
    let segment = tables(5, 1);
    let mut carol = Party::new(Arc::clone(&segment), CAROL);
    let given = take(&mut carol, 4);
    assert_eq!(given.len(), 4);
    let give = |segment: &Segment, index: u32| {
        segment.step(index, |word, by| word.after(Step::Return { by }), CAROL);
        segment.offer_slot(index);
    };
    given[..2].iter().for_each(|index| give(&segment, *index));
    let bob = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || seen.mortal(|| take(&mut Party::new(segment, BOB), 2)))
    };
    let alice = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || {
            let mut alice = Party::new(segment, ALICE);
            take(&mut alice, 4)
        })
    };
    given[2..].iter().for_each(|index| give(&segment, *index));
    let bobs = bob.join().unwrap();
    if bobs.is_none() && buries {
        segment.bury(BOB, Keep::Nothing);
    }
    let alices = alice.join().unwrap();
    seen.note(match (&bobs, alices.len()) {
        (None, 0) => "bob died and alice had none",
        (None, _) => "bob died and alice had some",
        (Some(bobs), count) if bobs.is_empty() && count > 0 => "alice had all that there were",
        (Some(_), 0) => "bob had all that there were",
        (Some(_), _) => "both had some",
    });
    let left = take(&mut Party::new(Arc::clone(&segment), Seat::HEAD), 4);
    let mut all: Vec<u32> = alices.into_iter().chain(bobs.unwrap_or_default()).chain(left).collect();
    // What bob has leased and not used is his, and alice's hers.
    let kept = (1..5)
        .filter(|index| !all.contains(index) && segment.slot(*index).word().owner().is_some_and(|by| by != CAROL));
    let kept: Vec<u32> = kept.collect();
    all.extend(kept);
    all.sort();
    assert_eq!(all, [1, 2, 3, 4], "no slot has two owners, and none is lost");
}

#[test]
fn no_slot_has_two_owners_and_none_is_lost() {
    let outcomes =
        ["bob died and alice had none", "bob died and alice had some", "bob had all that there were", "both had some"];
    explore(Depth::Switches(2), &outcomes, |seen| slots_meet(seen, true));
    must_fail(Depth::Switches(2), "a head that buries bob", "none is lost", |seen| slots_meet(seen, false));
}
