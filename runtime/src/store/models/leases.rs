//! Model: room in the arena has one owner at a time, and none of it is lost.

use super::*;

/// The arena's bytes, in pieces as large as a small object.
struct Arena(Vec<Bytes>);

impl Arena {
    fn new(segment: &Segment) -> Arc<Arena> {
        Arc::new(Arena((0..segment.units() * 2).map(|_| Bytes::default()).collect()))
    }

    fn at(&self, space: Space) -> &Bytes {
        &self.0[space.offset as usize / 64]
    }
}

/// Places an object into the arena, and frees it.
fn use_room(leases: &mut Leases, arena: &Arena) -> Option<Space> {
    let space = leases.space(64).ok()?;
    arena.at(space).write();
    leases.segment.leave(leases.seat, space.home);
    Some(space)
}

/// Bob frees alice's object, the head takes empty leases back, and alice places the next object.
fn an_empty_lease_is_taken_back(seen: &Seen, take: fn(&Segment, Seat)) {
    let segment = tables(1, 2);
    let arena = Arena::new(&segment);
    let mut alice = Leases::new(Arc::clone(&segment), ALICE);
    let first = alice.space(64).unwrap();
    arena.at(first).write();
    let bob = {
        let (segment, arena) = (Arc::clone(&segment), Arc::clone(&arena));
        thread::spawn(move || {
            arena.at(first).read();
            segment.leave(BOB, first.home);
        })
    };
    let head = {
        let (segment, arena) = (Arc::clone(&segment), Arc::clone(&arena));
        thread::spawn(move || {
            take(&segment, Seat::HEAD);
            use_room(&mut Leases::new(segment, Seat::HEAD), &arena)
        })
    };
    let second = alice.space(64).unwrap();
    arena.at(second).write();
    seen.note(match () {
        () if second.offset == first.offset && second.fresh.is_none() => "she began anew in her empty lease",
        () if second.home == first.home && second.fresh.is_none() => "she went on in her lease",
        () if second.home == first.home => "she had lost the lease and got it again",
        () => "she had lost the lease",
    });
    bob.join().unwrap();
    let heads = head.join().unwrap();
    seen.note(match heads {
        Some(space) if space.home == first.home => "the head had the lease after her",
        Some(_) => "the head had another one",
        None => "there was no room for the head",
    });
    segment.leave(ALICE, second.home);
    alice.close_lease();
    // The head's own lease, which is open and empty.
    take(&segment, Seat::HEAD);
    assert_eq!(segment.units_free(), 2, "no unit is lost");
}

/// Takes back leases that were empty a moment ago, without a compare-and-swap.
fn takes_without_looking(segment: &Segment, by: Seat) {
    for index in 0..segment.units() {
        let unit = segment.unit(index);
        if matches!(unit.state().state(), UnitState::Open(_)) && unit.state().live() == 0 {
            segment.free_taken(index);
        }
    }
    let _ = by;
}

#[test]
fn an_empty_lease_is_taken_back_or_used_again_but_not_both() {
    let outcomes = [
        "she began anew in her empty lease",
        "she went on in her lease",
        "she had lost the lease",
        "the head had the lease after her",
        "the head had another one",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| an_empty_lease_is_taken_back(seen, Segment::take_empty_leases));
    must_fail(Depth::Switches(2), "one step from empty to taken", "Causality violation", |seen| {
        an_empty_lease_is_taken_back(seen, takes_without_looking);
    });
}

/// Leases `len` units, writes to them, and ends the lease.
fn borrow(segment: &Segment, units: &[Bytes], by: Seat, len: u32) -> Option<Run> {
    let run = segment.lease(by, len)?;
    units[run.first as usize..][..run.len as usize].iter().for_each(Bytes::write);
    segment.close(by, run.first);
    Some(run)
}

/// Alice wants all three units and bob one of them; some of them are in a lease that carol ends.
fn leases_meet(seen: &Seen, carols: u32, close: fn(&Segment, Seat, u32)) {
    let segment = tables(1, 3);
    let units: Arc<Vec<Bytes>> = Arc::new((0..3).map(|_| Bytes::default()).collect());
    let carol = segment.lease(CAROL, carols);
    let bob = {
        let (segment, units) = (Arc::clone(&segment), Arc::clone(&units));
        thread::spawn(move || borrow(&segment, &units, BOB, 1))
    };
    if let Some(run) = carol {
        units[..run.len as usize].iter().for_each(Bytes::write);
        close(&segment, CAROL, run.first);
    }
    let alice = borrow(&segment, &units, ALICE, 3);
    seen.note(match (alice, bob.join().unwrap()) {
        (Some(_), Some(_)) => "both had room, one after the other",
        (Some(_), None) => "there was none for bob",
        (None, Some(_)) => "there was none for alice",
        (None, None) => "each was in the other's way",
    });
    assert_eq!(segment.units_free(), 3, "no unit is lost");
}

/// Gives a lease back twice, when another process may have it by then.
fn ends_twice(segment: &Segment, by: Seat, first: u32) {
    segment.close(by, first);
    segment.unit(first).clear();
}

#[test]
fn no_unit_is_in_two_leases_and_none_is_lost() {
    let outcomes = ["both had room, one after the other", "there was none for bob", "there was none for alice"];
    explore(Depth::Switches(2), &outcomes, |seen| leases_meet(seen, 0, Segment::close));
    explore(Depth::Switches(1), &outcomes, |seen| leases_meet(seen, 2, Segment::close));
    must_fail(Depth::Switches(1), "giving a lease back once", "no unit is lost", |seen| {
        leases_meet(seen, 2, ends_twice);
    });
}

/// Places an object into a lease for small ones, frees it, and ends the lease.
fn small(mut leases: Leases) {
    if let Ok(space) = leases.space(64) {
        leases.segment.leave(leases.seat, space.home);
        leases.close_lease();
    }
}

/// Places an object into a lease of its own, which ends with it.
fn large(mut leases: Leases) {
    if let Ok(space) = leases.space(256) {
        leases.segment.leave(leases.seat, space.home);
    }
}

/// Alice dies between taking room and giving it back; bob takes room meanwhile.
fn the_tenant_dies(seen: &Seen, life: fn(Leases), buries: bool) {
    let segment = tables(1, 2);
    let alice = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || seen.mortal(|| life(Leases::new(segment, ALICE))))
    };
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || segment.lease(BOB, 1))
    };
    let lived = alice.join().unwrap().is_some();
    if !lived && buries {
        segment.bury(ALICE, Keep::Nothing);
    }
    let bobs = bob.join().unwrap();
    seen.note(match (lived, bobs) {
        (true, _) => "alice lived",
        (false, Some(_)) => "alice died and bob had room",
        (false, None) => "alice died and bob had none",
    });
    bobs.into_iter().for_each(|run| segment.close(BOB, run.first));
    let mut head = Leases::new(Arc::clone(&segment), Seat::HEAD);
    assert!(segment.audit(&mut head, &mut Leftovers::default()));
    assert_eq!(segment.units_free(), 2, "no unit is lost");
}

#[test]
fn room_that_a_dead_process_had_is_nobodys() {
    let outcomes = ["alice lived", "alice died and bob had room"];
    explore(Depth::Switches(1), &outcomes, |seen| the_tenant_dies(seen, small, true));
    explore(Depth::Switches(1), &[&outcomes[..], &["alice died and bob had none"]].concat(), |seen| {
        the_tenant_dies(seen, large, true);
    });
    must_fail(Depth::Switches(1), "a head that buries her", "no unit is lost", |seen| {
        the_tenant_dies(seen, large, false)
    });
}
