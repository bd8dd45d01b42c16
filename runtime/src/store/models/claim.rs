//! Model: tasks taken from a ring run once and are not lost when a process dies.

use super::*;

type Push = fn(&Segment, &Leases, Id) -> bool;
type Claim = fn(&Segment, Seat, Seat) -> Option<Id>;

/// Alice's ring, with her tasks in it.
fn ring<const N: usize>() -> (Arc<Segment>, Leases, [Id; N]) {
    let segment = tables(4, 1);
    let mut alice = Leases::new(Arc::clone(&segment), ALICE);
    let tasks = [(); N].map(|()| ready_task(&mut alice));
    (segment, alice, tasks)
}

/// What `by` can take from alice's ring.
fn work(segment: &Segment, by: Seat, claim: Claim) -> Vec<Id> {
    std::iter::from_fn(|| claim(segment, ALICE, by)).collect()
}

/// Each task was taken once, by the process that its word names.
fn assert_taken_once(segment: &Segment, tasks: &[Id], taken: &[(Seat, Id)]) {
    for task in tasks {
        let by: Vec<Seat> = taken.iter().filter(|(_, taken)| taken == task).map(|(by, _)| *by).collect();
        assert_eq!(by.len(), 1, "a task was taken by {by:?}");
        let word = segment.slot(task.slot()).word();
        assert_eq!((word.state(), word.owner()), (State::Running, Some(by[0])));
    }
}

/// Bob and carol take what they can of two tasks, while alice puts a third one behind those.
fn two_workers(seen: &Seen, push: Push) {
    let (segment, alice, tasks) = ring::<3>();
    assert!(push(&segment, &alice, tasks[0]) && push(&segment, &alice, tasks[1]));
    let workers = [BOB, CAROL].map(|by| {
        let segment = Arc::clone(&segment);
        thread::spawn(move || work(&segment, by, Segment::claim).into_iter().map(|task| (by, task)).collect::<Vec<_>>())
    });
    let had_room = push(&segment, &alice, tasks[2]);
    let mut taken: Vec<(Seat, Id)> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    seen.note(match taken.iter().filter(|(by, _)| *by == BOB).count() {
        0 => "carol took all",
        count if count == taken.len() => "bob took all",
        _ => "both took some",
    });
    seen.note(if had_room { "the ring had room" } else { "the ring was full" });
    if !had_room {
        assert!(push(&segment, &alice, tasks[2]));
    }
    let left = work(&segment, ALICE, Segment::claim);
    seen.note(if left.is_empty() { "none was left" } else { "one was left" });
    taken.extend(left.into_iter().map(|task| (ALICE, task)));
    assert_taken_once(&segment, &tasks, &taken);
}

/// A push that shows the entry before it is written.
fn push_tail_first(segment: &Segment, leases: &Leases, id: Id) -> bool {
    if !segment.has_room(leases) {
        return false;
    }
    let desk = segment.desk(leases.seat);
    let tail = desk.tail.load(Ordering::Relaxed);
    desk.tail.store(tail + 1, Ordering::Release);
    segment.entry(leases.seat, tail).store(id.0, Ordering::Relaxed);
    true
}

#[test]
fn each_task_in_a_ring_is_taken_once_and_none_is_lost() {
    let outcomes = [
        "carol took all",
        "bob took all",
        "both took some",
        "the ring had room",
        "the ring was full",
        "none was left",
        "one was left",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| two_workers(seen, Segment::push));
    must_fail(Depth::Switches(2), "a push that shows an entry before it is written", "was taken by []", |seen| {
        two_workers(seen, push_tail_first);
    });
}

/// Bob dies while he takes tasks; carol takes tasks, too, and lives.
fn a_worker_dies(seen: &Seen, claim: Claim) {
    let (segment, alice, tasks) = ring::<2>();
    assert!(tasks.iter().all(|task| segment.push(&alice, *task)));
    let bob = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || seen.mortal(|| work(&segment, BOB, claim)))
    };
    let carol = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || work(&segment, CAROL, Segment::claim))
    };
    let lived = bob.join().unwrap();
    let estate = if lived.is_none() { segment.bury(BOB, Keep::Nothing) } else { Estate::default() };
    assert!(estate.pending.is_empty(), "they are in alice's ring");
    seen.note(match (&lived, estate.lost.len()) {
        (Some(_), _) => "bob lived",
        (None, 0) => "bob died with nothing",
        (None, 1) => "bob died with a task",
        (None, _) => "bob died with two tasks",
    });
    let all = [(BOB, estate.lost), (BOB, lived.unwrap_or_default()), (CAROL, carol.join().unwrap())];
    let mut taken: Vec<(Seat, Id)> =
        all.into_iter().flat_map(|(by, tasks)| tasks.into_iter().map(move |task| (by, task))).collect();
    taken.extend(work(&segment, ALICE, Segment::claim).into_iter().map(|task| (ALICE, task)));
    assert_taken_once(&segment, &tasks, &taken);
}

/// A claim that moves the head before it has the task.
fn claim_head_first(segment: &Segment, of: Seat, by: Seat) -> Option<Id> {
    let desk = segment.desk(of);
    loop {
        let head = desk.head.load(Ordering::Acquire);
        if head == desk.tail.load(Ordering::Acquire) {
            return None;
        }
        let id = Id(segment.entry(of, head).load(Ordering::Relaxed));
        let moved = desk.head.compare_exchange(head, head + 1, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if moved && segment.take_step(id, Step::Claim { by }) {
            return Some(id);
        }
    }
}

#[test]
fn a_worker_that_dies_while_it_claims_strands_no_task_and_its_own_is_reported() {
    let outcomes = ["bob lived", "bob died with nothing", "bob died with a task", "bob died with two tasks"];
    explore(Depth::Switches(2), &outcomes, |seen| a_worker_dies(seen, Segment::claim));
    must_fail(Depth::Switches(2), "a claim that moves the head first", "was taken by []", |seen| {
        a_worker_dies(seen, claim_head_first);
    });
}

/// Alice dies while she submits two tasks, and bob takes what he sees of them.
fn a_submitter_dies(seen: &Seen, buries: bool) {
    let segment = tables(4, 1);
    let alice = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || {
            seen.mortal(|| {
                let mut alice = Leases::new(segment, ALICE);
                for _ in 0..2 {
                    let task = ready_task(&mut alice);
                    assert!(alice.segment.push(&alice, task));
                }
            })
        })
    };
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || work(&segment, BOB, Segment::claim))
    };
    let lived = alice.join().unwrap().is_some();
    let head = Leases::new(Arc::clone(&segment), Seat::HEAD);
    let pending = if lived || !buries { Vec::new() } else { segment.bury(ALICE, Keep::Nothing).pending };
    seen.note(match (lived, pending.len()) {
        (true, _) => "alice lived",
        (false, 0) => "alice left nothing to do",
        (false, 1) => "alice left a task",
        (false, _) => "alice left two tasks",
    });
    assert!(pending.into_iter().all(|task| segment.push(&head, task)));
    let mut taken = bob.join().unwrap();
    seen.note(if taken.is_empty() { "bob saw none" } else { "bob took some" });
    taken.extend(std::iter::from_fn(|| segment.claim_any(Seat::HEAD)));
    for index in 1..segment.slots_used() {
        let word = segment.slot(index).word();
        if word.state() != State::Free {
            assert_eq!(word.state(), State::Running, "a task is in no ring");
            let id = Id::new(index, word.generation());
            assert_eq!(taken.iter().filter(|taken| **taken == id).count(), 1, "a task is run once");
        }
    }
}

#[test]
fn a_process_that_dies_while_it_submits_strands_no_task() {
    let outcomes = [
        "alice lived",
        "alice left nothing to do",
        "alice left a task",
        "alice left two tasks",
        "bob saw none",
        "bob took some",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| a_submitter_dies(seen, true));
    must_fail(Depth::Switches(2), "a head that adopts what the dead left", "is in no ring", |seen| {
        a_submitter_dies(seen, false);
    });
}

/// Bob takes what he can of two tasks, while the head cancels them by this step.
fn a_head_cancels(seen: &Seen, step: Step) {
    let (segment, alice, tasks) = ring::<2>();
    assert!(tasks.iter().all(|task| segment.push(&alice, *task)));
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || work(&segment, BOB, Segment::claim))
    };
    let cancelled: Vec<Id> = tasks.iter().copied().filter(|task| segment.take_step(*task, step)).collect();
    let taken = bob.join().unwrap();
    seen.note(match (cancelled.len(), taken.len()) {
        (2, _) => "both were cancelled",
        (0, _) => "bob took both",
        _ => "one was cancelled and bob took one",
    });
    for task in tasks {
        let times = [&cancelled, &taken].map(|list| list.iter().filter(|id| **id == task).count());
        assert_eq!(times[0] + times[1], 1, "a task is cancelled or begun");
    }
    assert!(!segment.has_entries(ALICE), "a cancelled task stays in no ring");
}

#[test]
fn a_task_is_cancelled_before_it_is_begun_or_begun_before_it_is_cancelled() {
    let outcomes = ["both were cancelled", "bob took both", "one was cancelled and bob took one"];
    explore(Depth::Switches(2), &outcomes, |seen| a_head_cancels(seen, Step::Cancel));
    must_fail(Depth::Switches(2), "a cancel that looks whether the task has begun", "cancelled or begun", |seen| {
        a_head_cancels(seen, Step::Fail);
    });
}
