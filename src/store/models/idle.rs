//! Going to sleep for want of work, against work that comes.

use super::*;

/// A worker's life until it has one task, as `local/client/running.rs` lives it, but that there it looks once before it says so.
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
    let mut alice = Party::new(Arc::clone(&segment), ALICE);
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

/// A look for tasks that are left, by one who may not have seen them yet.
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
