//! Going to sleep for want of work, against work that comes.

use super::*;
use crate::sync::{Ordering, thread};

/// A worker's life until it has one task, as `local/client/running.rs` lives it.
fn next_task(segment: &Segment, by: Seat, seen: &Seen) -> Id {
    let (header, desk) = (segment.header(), segment.desk(by));
    loop {
        let mut task = segment.claim_any(by);
        if task.is_none() {
            header.seeking.add(by);
            task = segment.claim_any(by);
        }
        if let Some(task) = task {
            header.seeking.remove(by);
            segment.work_left();
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
fn work_comes(seen: &Seen, workers: &[Seat], came: fn(&Segment)) {
    let segment = tables(4, 1);
    let mut alice = Party::new(Arc::clone(&segment), ALICE);
    let tasks: Vec<Id> = workers.iter().map(|_| ready_task(&mut alice)).collect();
    let workers: Vec<_> = workers
        .iter()
        .map(|by| {
            let (segment, seen, by) = (Arc::clone(&segment), seen.clone(), *by);
            thread::spawn(move || next_task(&segment, by, &seen))
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
    explore(Depth::Switches(3), &outcomes, |seen| work_comes(seen, &[BOB], Segment::work_came));
    must_fail(Depth::Switches(3), "the fences of tasks.rs", ASLEEP, |seen| {
        without_fences("store/tasks.rs");
        work_comes(seen, &[BOB], Segment::work_came);
    });
    must_fail(Depth::Switches(3), "a look at who is idle", ASLEEP, |seen| work_comes(seen, &[BOB], |_| ()));
}

#[test]
fn two_workers_that_go_to_sleep_are_both_woken_by_two_tasks() {
    let outcomes = ["a worker went to sleep", "a worker saw work in the last moment"];
    explore(Depth::Switches(2), &outcomes, |seen| work_comes(seen, &[BOB, CAROL], Segment::work_came));
}
