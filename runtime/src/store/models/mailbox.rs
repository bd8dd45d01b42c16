//! Model: an actor's process gets every call once, however its callers meet or die, and does not sleep over one.

use super::*;

type Send = fn(&Segment, Id) -> bool;

fn send(segment: &Segment, call: Id) -> bool {
    segment.send(0, call)
}

/// A `send` that looks into the place before it knows whether there is room for its position.
fn send_looking_first(segment: &Segment, call: Id) -> bool {
    let shared = segment.mailbox(0);
    for _ in 0..4 {
        let tail = shared.tail.load(Ordering::Acquire);
        let found = segment.place(0, tail).load(Ordering::Acquire);
        let used = tail.wrapping_sub(shared.head.load(Ordering::Acquire)) as i64;
        if used >= CALLS_MAX as i64 {
            return false;
        }
        let empty = (tail / CALLS_MAX) << 32;
        let place = segment.place(0, tail);
        let filled =
            found == empty && place.compare_exchange(empty, call.0, Ordering::AcqRel, Ordering::Acquire).is_ok();
        let _ = shared.tail.compare_exchange(tail, tail.wrapping_add(1), Ordering::AcqRel, Ordering::Acquire);
        if filled {
            return true;
        }
    }
    false
}

/// A call that is ready, of this process.
fn call_of(leases: &mut Leases) -> Id {
    let (index, segment) = (leases.slot().unwrap(), Arc::clone(&leases.segment));
    let mut spec = Spec::new(0, 0);
    spec.kind = TaskKind::Call { mailbox: 0, caller: Some(leases.seat), access: Access::Exclusive };
    segment.write_spec(index, &spec);
    segment.submit(leases, index, &spec, &mut Vec::new()).unwrap().0
}

/// The actor's process, until it has run so many calls, as `client/actors.rs` does it.
fn actor(segment: &Segment, calls: usize) -> Vec<Id> {
    let mut reader = segment.open_mailbox(0, CAROL);
    let desk = segment.desk(CAROL);
    let mut ran = Vec::new();
    while ran.len() < calls {
        let seen = desk.bell.load(Ordering::Acquire);
        let mut call = segment.receive(&mut reader, CAROL);
        if call.is_none() {
            segment.begin_idle(&reader);
            call = segment.receive(&mut reader, CAROL);
            if call.is_none() {
                desk.sleep(seen, None);
            }
            segment.end_idle(&reader);
        }
        if let Some(call) = call {
            assert!(segment.finish(CAROL, call, Flags::empty(), 0).is_some(), "a call runs once");
            segment.ended(&mut reader, call);
            ran.push(call);
        }
    }
    ran
}

/// Alice and the actor, which may sleep; bob sends one, too, and may die over it.
fn meet(seen: &Seen) {
    let segment = tables(4, 1);
    let mut alice = leases(&segment, ALICE, 1..2);
    let mut bob = leases(&segment, BOB, 2..3);
    let (hers, his) = (call_of(&mut alice), call_of(&mut bob));
    let caller = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || seen.mortal(|| segment.send(0, his)))
    };
    let process = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || actor(&segment, 1))
    };
    assert!(segment.send(0, hers), "two calls have room, whoever dies");
    let lived = caller.join().unwrap();
    let mut ran = process.join().unwrap();
    // Whatever else is there.
    let mut reader = segment.open_mailbox(0, CAROL);
    while let Some(call) = segment.receive(&mut reader, CAROL) {
        assert!(segment.finish(CAROL, call, Flags::empty(), 0).is_some());
        segment.ended(&mut reader, call);
        ran.push(call);
    }
    assert!(ran.contains(&hers) && (lived.is_none() || ran.contains(&his)), "a call is lost");
    seen.note(match (ran.len(), ran[0] == hers) {
        (1, _) => "bob died before he had sent his",
        (_, true) => "alice's came first",
        _ => "bob's came first",
    });
}

#[test]
fn an_actor_gets_the_calls_of_two_callers_of_whom_one_may_die() {
    let outcomes = ["bob died before he had sent his", "alice's came first", "bob's came first"];
    explore(Depth::Switches(2), &outcomes, meet);
    must_fail(Depth::Switches(2), "the fences of mailbox.rs", ASLEEP, |seen| {
        without_fences("store/mailbox.rs");
        meet(seen);
    });
}

/// The mailbox is full, and the actor makes room for one call while alice and bob send one each.
fn full(seen: &Seen, send: Send) {
    let segment = tables(6, 1);
    let mut alice = leases(&segment, ALICE, 1..4);
    let mut bob = leases(&segment, BOB, 4..6);
    for _ in 0..CALLS_MAX {
        assert!(segment.send(0, call_of(&mut alice)));
    }
    let (hers, his) = (call_of(&mut alice), call_of(&mut bob));
    let process = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || actor(&segment, 2))
    };
    let caller = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || send(&segment, his))
    };
    let hers_is_in = send(&segment, hers);
    let his_is_in = caller.join().unwrap();
    process.join().unwrap();
    let mut reader = segment.open_mailbox(0, CAROL);
    let mut rest = || {
        let mut ran = Vec::new();
        while let Some(call) = segment.receive(&mut reader, CAROL) {
            assert!(segment.finish(CAROL, call, Flags::empty(), 0).is_some());
            segment.ended(&mut reader, call);
            ran.push(call);
        }
        ran
    };
    let ran = rest();
    assert_eq!((ran.contains(&hers), ran.contains(&his)), (hers_is_in, his_is_in), "a call is lost");
    let last = call_of(&mut bob);
    assert!(segment.send(0, last));
    assert_eq!(rest(), [last], "a call is lost behind a hole");
    seen.note(if hers_is_in || his_is_in { "one had room" } else { "it was full" });
}

#[test]
fn a_full_mailbox_gets_room_and_no_hole() {
    explore(Depth::Switches(2), &["it was full", "one had room"], |seen| full(seen, send));
    must_fail(Depth::Switches(2), "reading the head before the place", "behind a hole", |seen| {
        full(seen, send_looking_first);
    });
}
