//! Model: a wait for unfinished objects loses no ring and counts each object once.

use super::*;
use crate::sync::fence_after_rmw;

type Arm = fn(&Segment, Id, Seat) -> bool;

/// How many times a bell was rung.
fn rings(segment: &Segment, seat: Seat) -> u32 {
    segment.desk(seat).bell.load(Ordering::Acquire) & 0xffff
}

/// Waits for `wanted` of the objects, as `client/wait.rs` does. Returns how many the waiter has counted itself.
fn wait(segment: &Segment, ids: &[Id], wanted: i64, by: Seat, seen: &Seen, arm: Arm) -> usize {
    let desk = segment.desk(by);
    let bell = desk.bell.load(Ordering::Acquire);
    desk.countdown.store(wanted, Ordering::Release);
    let mut own = 0;
    for id in ids {
        if arm(segment, *id, by) {
            desk.countdown.fetch_sub(1, Ordering::AcqRel);
            own += 1;
        }
    }
    if desk.countdown.load(Ordering::Acquire) > 0 {
        seen.note("the waiter went to sleep");
        desk.sleep(bell, None);
        assert!(desk.countdown.load(Ordering::Acquire) <= 0, "it was woken too early");
    }
    own
}

/// Alice waits for `wanted` of two tasks, of which bob and carol finish one each.
fn waits_for_two(seen: &Seen, wanted: i64, arm: Arm) {
    let segment = tables(4, 1);
    let mut alice = Leases::new(Arc::clone(&segment), ALICE);
    let tasks = [BOB, CAROL].map(|by| running_task(&mut alice, by));
    let workers = [BOB, CAROL].map(|by| {
        let (segment, id) = (Arc::clone(&segment), tasks[by.index() - BOB.index()]);
        thread::spawn(move || {
            segment.write_inline(id.slot(), &[by.0 as u8]);
            assert_eq!(segment.finish(by, id, Flags::empty(), 1), Some(true));
            segment.tell_waiters(id.slot());
        })
    });
    let own = wait(&segment, &tasks, wanted, ALICE, seen, arm);
    seen.note(["the workers counted both", "each counted one", "the waiter counted both"][own]);
    let mut there = 0;
    for (id, by) in tasks.iter().zip([BOB, CAROL]) {
        let mut bytes = [0; INLINE_BYTES];
        if segment.slot(id.slot()).word().is_sealed() {
            segment.read_inline(id.slot(), 1, &mut bytes);
            assert_eq!(bytes[0], by.0 as u8, "what is there is there as a whole");
            there += 1;
        } else {
            segment.disarm(*id, ALICE);
        }
    }
    assert!(there >= wanted, "it was woken for {there} objects");
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let countdown = segment.desk(ALICE).countdown.load(Ordering::Acquire);
    if wanted == 2 {
        assert_eq!(countdown, 0, "each was counted once");
        assert!(rings(&segment, ALICE) <= 1, "nobody rings before the last one");
    } else {
        seen.note(if countdown == 0 { "one was counted" } else { "both were counted" });
        assert!((-1..=0).contains(&countdown));
    }
    assert!(tasks.iter().all(|id| segment.slot(id.slot()).waiters.is_empty()));
}

/// An `arm` that looks before it sets its bit.
fn look_first(segment: &Segment, id: Id, by: Seat) -> bool {
    let slot = segment.slot(id.slot());
    let is_there = !slot.word().is_task();
    if !is_there {
        slot.waiters.add(by);
        fence_after_rmw();
    }
    is_there
}

/// An `arm` that counts a finished object even if the sealer has taken the bit.
fn counts_twice(segment: &Segment, id: Id, by: Seat) -> bool {
    segment.arm(id, by) || !segment.slot(id.slot()).word().is_task()
}

#[test]
fn a_wait_for_both_of_two_objects_ends_when_both_are_there_and_not_before() {
    let outcomes =
        ["the waiter went to sleep", "the workers counted both", "each counted one", "the waiter counted both"];
    explore(DEPTH, &outcomes, |seen| waits_for_two(seen, 2, Segment::arm));
    must_fail(DEPTH, "the fences of bells.rs", ASLEEP, |seen| {
        without_fences("store/bells.rs");
        waits_for_two(seen, 2, Segment::arm);
    });
    must_fail(DEPTH, "registering before looking", ASLEEP, |seen| waits_for_two(seen, 2, look_first));
    must_fail(DEPTH, "counting once", "it was woken", |seen| waits_for_two(seen, 2, counts_twice));
}

#[test]
fn a_wait_for_one_of_two_objects_ends_with_the_first() {
    let outcomes = [
        "the waiter went to sleep",
        "the workers counted both",
        "each counted one",
        "the waiter counted both",
        "one was counted",
        "both were counted",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| waits_for_two(seen, 1, Segment::arm));
    must_fail(DEPTH, "the fences of bells.rs", ASLEEP, |seen| {
        without_fences("store/bells.rs");
        waits_for_two(seen, 1, Segment::arm);
    });
}

const DEPTH: Depth = Depth::Switches(3);

/// Alice sleeps unless bob has rung.
fn rings_once(seen: &Seen, sleep: fn(&Segment, u32)) {
    let segment = tables(1, 1);
    let bell = segment.desk(ALICE).bell.load(Ordering::Acquire);
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || segment.ring(ALICE))
    };
    sleep(&segment, bell);
    bob.join().unwrap();
    assert_eq!(rings(&segment, ALICE), 1);
    let was_woken = segment.desk(ALICE).bell.load(Ordering::Acquire) > 1;
    seen.note(if was_woken { "the sleeper was woken" } else { "the kernel was not asked" });
}

#[test]
fn a_bell_wakes_its_sleeper_or_is_heard_before() {
    let outcomes = ["the sleeper was woken", "the kernel was not asked"];
    let sleep = |segment: &Segment, bell| segment.desk(ALICE).sleep(bell, None);
    explore(Depth::Full, &outcomes, move |seen| rings_once(seen, sleep));
    must_fail(Depth::Full, "the fences of bells.rs", ASLEEP, move |seen| {
        without_fences("store/bells.rs");
        rings_once(seen, sleep);
    });
}

/// What a thread does after it has taken back a bit that another thread of its process may have set too.
type TakenBack = fn(&Segment, u32);

/// A thread of alice's waits for one object, as `client/wait.rs` does, beside other threads of hers.
fn waits_beside(segment: &Segment, id: Id, waiting: &loom::sync::Mutex<u32>, taken_back: TakenBack, seen: &Seen) {
    let desk = segment.desk(ALICE);
    let is_finished = || !segment.slot(id.slot()).word().is_task();
    *waiting.lock().unwrap() += 1;
    let mut armed = false;
    loop {
        let bell = desk.bell.load(Ordering::Acquire);
        let alone = {
            let waiting = waiting.lock().unwrap();
            desk.countdown.store((*waiting == 1).into(), Ordering::Release);
            *waiting == 1
        };
        if alone || !armed {
            armed = true;
            if segment.arm(id, ALICE) {
                desk.countdown.fetch_sub(1, Ordering::AcqRel);
                taken_back(segment, *waiting.lock().unwrap());
            }
        }
        if is_finished() {
            break;
        }
        seen.note("a thread went to sleep");
        desk.sleep(bell, None);
    }
    let mut waiting = waiting.lock().unwrap();
    *waiting -= 1;
    if *waiting == 0 {
        segment.disarm(id, ALICE);
    }
}

/// Two threads of alice's wait for a task that bob finishes.
fn two_threads_wait(seen: &Seen, taken_back: TakenBack) {
    let segment = tables(4, 1);
    let mut alice = Leases::new(Arc::clone(&segment), ALICE);
    let id = running_task(&mut alice, BOB);
    let waiting = Arc::new(loom::sync::Mutex::new(0));
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || {
            assert_eq!(segment.finish(BOB, id, Flags::empty(), 1), Some(true));
            segment.tell_waiters(id.slot());
        })
    };
    let other = {
        let (segment, waiting, seen) = (Arc::clone(&segment), Arc::clone(&waiting), seen.clone());
        thread::spawn(move || waits_beside(&segment, id, &waiting, taken_back, &seen))
    };
    waits_beside(&segment, id, &waiting, taken_back, seen);
    other.join().unwrap();
    bob.join().unwrap();
}

#[test]
fn two_threads_of_a_process_that_wait_for_one_object_both_hear_of_it() {
    let rings_for_others = |segment: &Segment, waiting: u32| {
        if waiting > 1 {
            segment.ring_for_all(ALICE);
        }
    };
    explore(Depth::Switches(2), &["a thread went to sleep"], move |seen| two_threads_wait(seen, rings_for_others));
    must_fail(DEPTH, "ringing for the other thread", ASLEEP, |seen| two_threads_wait(seen, |_, _| {}));
}
