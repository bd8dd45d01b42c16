//! Model: workers go to sleep while tasks arrive, and no wake-up is lost.

use super::*;

/// A worker until it has one task, as in `client/execute.rs`, except that a worker there looks once before it says that
/// it seeks.
fn next_task(segment: &Segment, by: Seat, seen: &Seen, left: fn(&Segment)) -> Id {
    let (header, desk) = (segment.header(), segment.desk(by));
    loop {
        header.seeking.add(by);
        if let Some(task) = segment.claim_any(by) {
            header.seeking.remove(by);
            left(segment);
            return task;
        }
        let bell = desk.bell.load(Ordering::Acquire);
        header.idle.add(by);
        header.seeking.remove(by);
        if segment.quiet() {
            seen.note("a worker went to sleep");
            desk.sleep(bell, None);
        } else {
            seen.note("a worker saw work in the last moment");
        }
        header.idle.remove(by);
    }
}

/// Alice submits a task for each of the workers.
fn work_comes(seen: &Seen, workers: &[Seat], came: fn(&Segment), left: fn(&Segment)) {
    let segment = tables(4, 1);
    let mut alice = Leases::new(Arc::clone(&segment), ALICE);
    let tasks: Vec<Id> = workers.iter().map(|_| ready_task(&mut alice)).collect();
    let workers: Vec<_> = workers
        .iter()
        .map(|by| {
            let (segment, seen, by) = (Arc::clone(&segment), seen.clone(), *by);
            thread::spawn(move || next_task(&segment, by, &seen, left))
        })
        .collect();
    for task in &tasks {
        assert!(segment.push(&alice, *task));
        came(&segment);
    }
    let mut taken: Vec<Id> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    taken.sort();
    assert_eq!(taken, tasks);
}

#[test]
fn a_worker_that_goes_to_sleep_is_woken_by_work_that_comes() {
    let outcomes = ["a worker went to sleep", "a worker saw work in the last moment"];
    explore(Depth::Switches(3), &outcomes, |seen| work_comes(seen, &[BOB], Segment::work_came, Segment::work_left));
    must_fail(Depth::Switches(3), "the fences of tasks.rs", ASLEEP, |seen| {
        without_fences("store/tasks.rs");
        work_comes(seen, &[BOB], Segment::work_came, Segment::work_left);
    });
    must_fail(Depth::Switches(3), "a look at who is idle", ASLEEP, |seen| {
        work_comes(seen, &[BOB], |_| (), Segment::work_left)
    });
}

/// `Segment::work_left` without its fence.
fn work_left_without_fence(segment: &Segment) {
    let header = segment.header();
    if !header.idle.is_empty() && header.seeking.is_empty() && header.rings.iter().any(|of| segment.has_entries(of)) {
        segment.wake_idle();
    }
}

#[test]
fn two_workers_that_go_to_sleep_are_both_woken_by_two_tasks() {
    let outcomes = ["a worker went to sleep", "a worker saw work in the last moment"];
    let two = [BOB, CAROL];
    explore(Depth::Switches(2), &outcomes, move |seen| work_comes(seen, &two, Segment::work_came, Segment::work_left));
    must_fail(Depth::Switches(2), "the fence of the one who seeks no more", ASLEEP, move |seen| {
        work_comes(seen, &two, Segment::work_came, work_left_without_fence);
    });
    must_fail(Depth::Switches(2), "a look at what is left", ASLEEP, move |seen| {
        work_comes(seen, &two, Segment::work_came, |_| ());
    });
}

/// Bob dies on his way to sleep, or with the task; carol sleeps or is on her way.
fn one_dies_on_the_way_to_sleep(seen: &Seen, buries: bool) {
    let segment = tables(3, 1);
    let mut alice = leases(&segment, ALICE, 1..3);
    let tasks = [(); 2].map(|()| ready_task(&mut alice));
    // There was something in her ring a moment ago.
    segment.header().rings.add(ALICE);
    let bob = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || {
            let header = segment.header();
            seen.mortal(|| {
                if segment.claim_any(BOB).is_none() {
                    header.idle.add(BOB);
                    segment.quiet();
                    header.idle.remove(BOB);
                }
            })
        })
    };
    let carol = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || next_task(&segment, CAROL, &seen, Segment::work_left))
    };
    let alice = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || {
            assert!(segment.push(&alice, tasks[0]));
            segment.work_came();
            alice
        })
    };
    let lived = bob.join().unwrap().is_some();
    if !lived && buries {
        segment.bury(BOB, Keep::Nothing);
        segment.ring_all();
    }
    let alice = alice.join().unwrap();
    let word = segment.slot(tasks[0].slot()).word();
    let bobs = word.state() == State::Running && word.owner() == Some(BOB);
    seen.note(match (lived, bobs) {
        (true, _) => "bob lived",
        (false, true) => "bob died with the task",
        (false, false) => "bob died on his way",
    });
    if bobs || lived {
        // Bob may have been woken for it, and does nothing.
        assert!(segment.push(&alice, tasks[1]));
        segment.ring_all();
    }
    let carols = carol.join().unwrap();
    assert!(!(bobs && carols == tasks[0]));
}

#[test]
fn a_worker_that_dies_on_its_way_to_sleep_hides_no_work() {
    let outcomes = ["bob lived", "bob died with the task", "bob died on his way", "a worker went to sleep"];
    explore(Depth::Switches(1), &outcomes, |seen| one_dies_on_the_way_to_sleep(seen, true));
    must_fail(Depth::Switches(1), "a head that buries bob", ASLEEP, |seen| one_dies_on_the_way_to_sleep(seen, false));
}
