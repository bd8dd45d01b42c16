//! Model: who reads a record while it is written over sees one of the two whole, or neither.

use super::*;
use crate::abi::{TaskState, TaskType};
use crate::store::events::{Events, TaskEvent};

/// A record of which each part says which one it is.
fn event(number: u32) -> TaskEvent {
    TaskEvent {
        task: Id(number.into()),
        parent: Some(Id(number.into())),
        function: number,
        cell: number.into(),
        attempt: number as u8,
        of: TaskType::Task,
        state: TaskState::Finished,
        pid: number,
        submitted: number.into(),
        began: number.into(),
        ended: number.into(),
    }
}

fn read_while_written(seen: &Seen, record: fn(&Segment, &TaskEvent)) {
    let segment = tables(1, 1);
    segment.record(ALICE, &event(1));
    let writer = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || seen.mortal(|| record(&segment, &event(2))))
    };
    let Events { list, .. } = segment.events();
    seen.note(match list.as_slice() {
        [] => "neither",
        [one] if *one == event(1) => "the old one",
        [one] if *one == event(2) => "the new one",
        _ => panic!("a record is mixed: {list:?}"),
    });
    writer.join().unwrap();
}

fn record(segment: &Segment, event: &TaskEvent) {
    segment.record(ALICE, event);
}

/// A `record` that does not say that it begins.
fn record_at_once(segment: &Segment, event: &TaskEvent) {
    let number = segment.desk(ALICE).own.recorded.fetch_add(1, Ordering::Relaxed);
    let place = segment.event(ALICE, number);
    place.task.store(event.task.0, Ordering::Relaxed);
    place.number.store(number + 1, Ordering::Release);
}

#[test]
fn a_record_is_read_whole_or_not_at_all() {
    explore(Depth::Switches(3), &["neither", "the old one", "the new one"], |seen| read_while_written(seen, record));
    must_fail(Depth::Switches(3), "saying that a record begins", "mixed", |seen| {
        read_while_written(seen, record_at_once);
    });
}
