//! Taking tasks from a ring: each is run once, whoever dies.

use super::*;
use crate::sync::thread;

/// Claims until the ring looks empty.
fn work(segment: &Segment, of: Seat, by: Seat) -> Vec<Id> {
    std::iter::from_fn(|| segment.claim(of, by)).collect()
}

/// Of two tasks in alice's ring, bob and carol take what they can, while she puts a third one behind them.
fn two_workers(seen: &Seen, claims: fn(&Segment, Seat, Seat) -> Vec<Id>) {
    let segment = tables(4, 1);
    let mut alice = Party::new(Arc::clone(&segment), ALICE);
    let tasks = [(); 3].map(|()| ready_task(&mut alice));
    assert!(segment.push(&alice, tasks[0]) && segment.push(&alice, tasks[1]));
    let workers = [BOB, CAROL].map(|by| {
        let segment = Arc::clone(&segment);
        thread::spawn(move || claims(&segment, ALICE, by))
    });
    let was_full = !segment.push(&alice, tasks[2]);
    let mut claimed: Vec<(Seat, Id)> = Vec::new();
    for (worker, by) in workers.into_iter().zip([BOB, CAROL]) {
        claimed.extend(worker.join().unwrap().into_iter().map(|task| (by, task)));
    }
    seen.note(match claimed.iter().filter(|(by, _)| *by == BOB).count() {
        0 => "carol took all",
        count if count == claimed.len() => "bob took all",
        _ => "both took some",
    });
    seen.note(if was_full { "the ring was full" } else { "the ring had room" });
    if was_full {
        assert!(segment.push(&alice, tasks[2]));
    }
    let late = work(&segment, ALICE, ALICE);
    seen.note(if late.is_empty() { "all were taken" } else { "one was left" });
    claimed.extend(late.into_iter().map(|task| (ALICE, task)));
    for task in tasks {
        let by: Vec<_> = claimed.iter().filter(|(_, claimed)| *claimed == task).map(|(by, _)| *by).collect();
        assert_eq!(by.len(), 1, "a task was taken by {by:?}");
        let word = segment.slot(task.slot()).word();
        assert_eq!((word.state(), word.owner()), (State::Running, Some(by[0])));
    }
    assert!(!segment.has_entries(ALICE));
}

#[test]
fn each_task_in_a_ring_is_taken_once_and_none_is_lost() {
    let outcomes = ["carol took all", "bob took all", "both took some", "the ring was full", "the ring had room", "one was left"];
    explore(Depth::Switches(2), &outcomes, |seen| two_workers(seen, work));
}
