//! Model: an object with a reference is neither freed nor moved, and one without is freed once.

use super::*;

type Condemn = fn(&Segment, Id, Seat) -> Option<Word>;

/// An object of alice's in the arena, in its first 64 bytes.
fn object(segment: &Arc<Segment>) -> (Leases, Id) {
    let mut alice = leases(segment, ALICE, 1..2);
    let (index, space) = (alice.slot().unwrap(), alice.space(64).unwrap());
    let slot = segment.slot(index);
    slot.offset.store(space.offset, Ordering::Relaxed);
    slot.len.store(64, Ordering::Relaxed);
    slot.home.store(space.home, Ordering::Relaxed);
    let id = segment.seal(ALICE, index, Flags::ARENA, 0).unwrap();
    alice.close_lease();
    (alice, id)
}

/// Whether the object exists.
fn exists(segment: &Segment, id: Id) -> bool {
    segment.exists(id)
}

/// Frees an object if it is unused, as [`Segment::collect`] does. True when this call has freed it.
fn collect(leases: &mut Leases, id: Id, condemn: Condemn) -> bool {
    let segment = Arc::clone(&leases.segment);
    let Some(word) = condemn(&segment, id, leases.seat) else { return false };
    let kept = leases.slots_kept();
    segment.free_dying(leases, segment.slot(id.slot()), word, id, &mut Vec::new(), &mut Leftovers::default());
    assert_eq!(leases.slots_kept(), kept + 1);
    true
}

/// Gives the process's reference back. True when that has freed the object.
fn release(leases: &mut Leases, id: Id, condemn: Condemn) -> bool {
    leases.segment.remove(id, Kind::Ref, leases.seat);
    collect(leases, id, condemn)
}

const ON_DISK: Body = Body::Spilled { offset: 1000, len: 64 };
const IN_ARENA: Body = Body::Arena { offset: 0, len: 64 };

/// Bob reads an object that the head moves to disk, and looks where it is.
fn read_and_spilled(seen: &Seen, spill: fn(&Segment, Id) -> bool) {
    let segment = tables(2, 1);
    let (_alice, id) = object(&segment);
    let bytes = Arc::new(Bytes::default());
    let bob = {
        let (segment, bytes, seen) = (Arc::clone(&segment), Arc::clone(&bytes), seen.clone());
        thread::spawn(move || {
            assert!(segment.add(id, Kind::Ref, BOB));
            match segment.pin(id, BOB) {
                Ok(place) => {
                    assert_eq!(place, (0, 64));
                    bytes.read();
                    assert_eq!(segment.body(id), Some(IN_ARENA), "what is read does not move");
                    bytes.read();
                    segment.remove(id, Kind::Pin, BOB);
                    seen.note("bob read it");
                }
                Err(body) => {
                    assert_eq!(body, Some(ON_DISK));
                    assert!(segment.slot(id.slot()).pins.is_empty());
                    seen.note("bob found it on disk");
                }
            }
        })
    };
    let moved = spill(&segment, id);
    if moved {
        // The room may be another object's from here on.
        bytes.write();
    }
    seen.note(if moved { "the head moved it" } else { "the head left it" });
    let body = segment.body(id);
    assert_eq!(body, Some(if moved { ON_DISK } else { IN_ARENA }));
    bob.join().unwrap();
    assert_eq!(segment.units_free(), u32::from(moved));
}

fn spill(segment: &Segment, id: Id) -> bool {
    segment.move_bytes(id, ON_DISK, None)
}

/// A `spill` that checks for readers before it stops new ones, and not again.
fn spill_looking_first(segment: &Segment, id: Id) -> bool {
    let slot = segment.slot(id.slot());
    if !slot.pins.is_empty() || !segment.take_step(id, Step::Condemn { by: Seat::HEAD }) {
        return false;
    }
    slot.offset.store(1000, Ordering::Relaxed);
    assert!(segment.take_step(id, Step::Move { by: Seat::HEAD, flags: Flags::SPILLED }));
    segment.leave(Seat::HEAD, slot.home.load(Ordering::Relaxed));
    true
}

#[test]
fn an_object_that_is_read_is_not_moved() {
    let outcomes = ["bob read it", "bob found it on disk", "the head moved it", "the head left it"];
    explore(Depth::Switches(3), &outcomes, |seen| read_and_spilled(seen, spill));
    must_fail(Depth::Switches(3), "the head's fence", "Causality violation", |seen| {
        without_fences("store/spill.rs");
        read_and_spilled(seen, spill);
    });
    must_fail(Depth::Switches(3), "the reader's fence", "Causality violation", |seen| {
        without_fences("store/objects.rs");
        read_and_spilled(seen, spill);
    });
    must_fail(Depth::Switches(3), "a look behind stopping the readers", "Causality violation", |seen| {
        read_and_spilled(seen, spill_looking_first);
    });
}

/// Bob, who has no reference, looks where an object is while the head moves it.
fn looked_at_and_spilled(seen: &Seen) {
    let segment = tables(2, 1);
    let (_alice, id) = object(&segment);
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || segment.body(id))
    };
    assert!(spill(&segment, id));
    seen.note(match bob.join().unwrap() {
        Some(IN_ARENA) => "bob saw it in the arena",
        Some(ON_DISK) => "bob saw it on disk",
        other => panic!("bob saw it at {other:?}, where it never was"),
    });
}

#[test]
fn where_an_object_is_is_never_half_true() {
    explore(Depth::Switches(3), &["bob saw it in the arena", "bob saw it on disk"], looked_at_and_spilled);
    must_fail(Depth::Switches(3), "the head's fence", "where it never was", |seen| {
        without_fences("store/spill.rs");
        looked_at_and_spilled(seen);
    });
}

/// Alice and bob release an object in the same moment; bob has read it, and keeps his pin for longer than his reference.
fn both_let_go(seen: &Seen, condemn: Condemn) {
    let segment = tables(2, 1);
    let (mut alice, id) = object(&segment);
    let bytes = Arc::new(Bytes::default());
    assert!(segment.add(id, Kind::Ref, BOB));
    let bob = {
        let (segment, bytes) = (Arc::clone(&segment), Arc::clone(&bytes));
        thread::spawn(move || {
            let mut bob = Leases::new(Arc::clone(&segment), BOB);
            assert_eq!(segment.pin(id, BOB), Ok((0, 64)));
            let freed = release(&mut bob, id, condemn);
            bytes.read();
            assert!(!freed && exists(&segment, id), "what is read is not freed");
            segment.remove(id, Kind::Pin, BOB);
            let freed = collect(&mut bob, id, condemn);
            if freed {
                bytes.write();
            }
            freed
        })
    };
    let alices = release(&mut alice, id, condemn);
    if alices {
        bytes.write();
    }
    let bobs = bob.join().unwrap();
    assert!(alices || bobs, "nobody has freed it");
    assert!(!(alices && bobs) && !exists(&segment, id));
    seen.note(if alices { "alice freed it" } else { "bob freed it" });
    assert_eq!(segment.units_free(), 1);
}

#[test]
fn what_nobody_has_any_more_is_freed_once_and_not_while_it_is_read() {
    explore(Depth::Switches(3), &["alice freed it", "bob freed it"], |seen| both_let_go(seen, Segment::condemn));
    must_fail(Depth::Switches(3), "the fences of objects.rs", "nobody has freed it", |seen| {
        without_fences("store/objects.rs");
        both_let_go(seen, Segment::condemn);
    });
}

/// Bob keeps an object by a task, by a reference, and by another object, again and again; carol tries to free it all the while.
fn moves_on(seen: &Seen, condemn: Condemn) {
    let segment = tables(2, 1);
    let (mut alice, id) = object(&segment);
    let bytes = Arc::new(Bytes::default());
    assert!(segment.hold(id) && !release(&mut alice, id, condemn));
    let carol = {
        let (segment, bytes) = (Arc::clone(&segment), Arc::clone(&bytes));
        thread::spawn(move || {
            let mut carol = Leases::new(segment, CAROL);
            let freed = collect(&mut carol, id, condemn);
            if freed {
                bytes.write();
            }
            freed
        })
    };
    // Twice, so that carol can see each place empty at another moment, both before and after she has condemned the object.
    for _ in 0..2 {
        assert!(segment.add(id, Kind::Ref, BOB), "it was freed while somebody had it");
        segment.unhold(id);
        bytes.read();
        assert!(segment.hold(id), "it was freed while somebody had it");
        segment.remove(id, Kind::Ref, BOB);
        bytes.read();
    }
    segment.unhold(id);
    let bobs = collect(&mut Leases::new(Arc::clone(&segment), BOB), id, condemn);
    if bobs {
        bytes.write();
    }
    let carols = carol.join().unwrap();
    assert!(carols || bobs, "nobody has freed it");
    assert!(!(carols && bobs) && !exists(&segment, id));
    seen.note(if carols { "carol freed it" } else { "bob freed it" });
}

/// A `condemn` that checks for holders before it stops new ones, and not again.
fn condemn_looking_once(segment: &Segment, id: Id, by: Seat) -> Option<Word> {
    let slot = segment.slot(id.slot());
    let word = slot.word();
    if word.generation() != id.generation() || !slot.is_unused() {
        return None;
    }
    let dying = word.after(Step::Condemn { by })?;
    slot.swap(word, dying).ok().map(|()| dying)
}

#[test]
fn a_reference_that_moves_between_a_task_a_process_and_an_object_keeps_what_it_refers_to() {
    explore(Depth::Switches(3), &["carol freed it", "bob freed it"], |seen| moves_on(seen, Segment::condemn));
    must_fail(Depth::Switches(2), "the fences of objects.rs", "nobody has freed it", |seen| {
        without_fences("store/objects.rs");
        moves_on(seen, Segment::condemn);
    });
    must_fail(Depth::Switches(2), "a second look", "Causality violation", |seen| moves_on(seen, condemn_looking_once));
}

/// Carol dies while she frees an object that keeps alice's, while alice gives up her own reference to it.
fn the_one_who_frees_dies(seen: &Seen, buries: bool) {
    let segment = tables(3, 1);
    let (mut alice, inner) = object(&segment);
    let mut carol = leases(&segment, CAROL, 2..3);
    let index = carol.slot().unwrap();
    assert!(segment.hold(inner));
    segment.set_contained(index, &[inner], None);
    let outer = segment.seal(CAROL, index, Flags::CONTAINS, 0).unwrap();
    let carol = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || {
            seen.mortal(|| {
                segment.remove(outer, Kind::Ref, CAROL);
                segment.collect(&mut carol, vec![outer], &mut Leftovers::default());
            })
        })
    };
    let alice = thread::spawn(move || release(&mut alice, inner, Segment::condemn));
    let lived = carol.join().unwrap().is_some();
    let mut head = Leases::new(Arc::clone(&segment), Seat::HEAD);
    if !lived && buries {
        let estate = segment.bury(CAROL, Keep::Nothing);
        segment.collect(&mut head, estate.loose, &mut Leftovers::default());
    }
    let freed = alice.join().unwrap();
    seen.note(match (lived, freed) {
        (true, false) => "carol lived and freed it",
        (true, true) => "carol lived and alice freed it",
        (false, true) => "carol died and alice freed it",
        (false, false) => "carol died and the head freed it",
    });
    assert!(segment.audit(&mut head, &mut Leftovers::default()));
    assert!(!exists(&segment, outer) && !exists(&segment, inner), "nobody has freed it");
    assert_eq!(segment.units_free(), 1);
    assert!(segment.leaks().is_empty(), "{:?}", segment.leaks());
}

#[test]
fn what_somebody_was_freeing_who_dies_is_freed_by_the_head() {
    let outcomes = [
        "carol lived and freed it",
        "carol lived and alice freed it",
        "carol died and alice freed it",
        "carol died and the head freed it",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| the_one_who_frees_dies(seen, true));
    must_fail(Depth::Switches(2), "a head that buries carol", "nobody has freed it", |seen| {
        the_one_who_frees_dies(seen, false)
    });
}
