//! Ends of tasks: each process records the ends of those that it ran, and the head those of the others.
//!
//! ```text
//!   a run ends ─▶ its process's ring of records, over the oldest           no lock, no system call
//!   `tasks()`, `timeline()` ─▶ all rings; a record that changes meanwhile is lost
//!   who looks again and again ─▶ what is new since the last time, by a bookmark
//! ```
//!
//! Nothing else reads the records, and what is wrong in them harms nothing.

use super::Id;
use super::layout::EVENTS_KEPT;
use super::seat::{SEATS, Seat};
use super::segment::Segment;
use super::task_spec::{Spec, TaskKind};
use super::word::{State, Word};
use crate::abi::{TaskState, TaskType};
use crate::sync::{Ordering, fence};

/// The end of a run of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// The task.
    pub task: Id,
    /// The task that submitted it, if one did.
    pub parent: Option<Id>,
    /// Its function's number.
    pub function: u32,
    /// The cell that started it; 0 outside a session.
    pub cell: u64,
    /// How often it was run before.
    pub attempt: u8,
    /// What an actor has to do with it.
    pub of: TaskType,
    /// How the run ended.
    pub state: TaskState,
    /// The process that ran it; 0 if it never ran.
    pub pid: u32,
    /// When it was submitted, or came to be run again, in ticks.
    pub submitted: u64,
    /// When it began, in ticks; 0 if it never ran.
    pub began: u64,
    /// When it ended, in ticks.
    pub ended: u64,
}

impl TaskEvent {
    /// A task that has not ended yet.
    pub fn of(task: Id, spec: &Spec, state: TaskState) -> TaskEvent {
        TaskEvent {
            task,
            parent: spec.parent,
            function: spec.function,
            cell: spec.cell,
            attempt: spec.attempt,
            of: type_of(spec.kind),
            state,
            pid: 0,
            submitted: spec.submitted,
            began: 0,
            ended: 0,
        }
    }
}

fn type_of(kind: TaskKind) -> TaskType {
    match kind {
        TaskKind::Normal => TaskType::Task,
        TaskKind::Creation { .. } => TaskType::ActorCreation,
        TaskKind::Call { .. } => TaskType::ActorCall,
    }
}

/// How far somebody has read the records, who reads each of them once.
#[derive(Clone, Debug)]
pub struct Bookmark {
    by_seat: Vec<Unread>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Unread {
    next: u64,
    /// How many of those before were written over unread, and have not been told yet.
    lost: u64,
    /// Whether the last reading ended at a record that was being written.
    is_awaited: bool,
}

impl Default for Bookmark {
    fn default() -> Bookmark {
        Bookmark { by_seat: vec![Unread::default(); SEATS] }
    }
}

/// What the rings of records hold.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// Ends of runs, in no order.
    pub list: Vec<TaskEvent>,
    /// How many ends of runs are not remembered any more.
    pub lost: u64,
}

impl Segment {
    /// A run of a task, as its slot and its word say: who runs it, and since when.
    pub fn run_of(&self, task: Id, word: Word, spec: &Spec, state: TaskState) -> TaskEvent {
        let mut event = TaskEvent::of(task, spec, state);
        if let Some(seat) = word.owner().filter(|_| word.state() == State::Running) {
            event.began = self.slot(task.slot()).len.load(Ordering::Relaxed);
            event.pid = self.desk(seat).pid.load(Ordering::Relaxed);
        }
        event
    }

    /// Records how a run ended, as the process in this seat.
    pub fn record(&self, seat: Seat, event: &TaskEvent) {
        // Several threads of an actor may do so at once. Two of them would have the same place only if one slept for the whole ring.
        let number = self.desk(seat).own.recorded.fetch_add(1, Ordering::Relaxed);
        let place = self.event(seat, number);
        place.number.store(0, Ordering::Relaxed);
        // Pairs with the fence in `events`: who sees one of the new parts sees that the record is being written.
        fence(Ordering::Release);
        place.task.store(event.task.0, Ordering::Relaxed);
        place.parent.store(event.parent.map_or(0, |parent| parent.0), Ordering::Relaxed);
        place.submitted.store(event.submitted, Ordering::Relaxed);
        place.began.store(event.began, Ordering::Relaxed);
        place.ended.store(event.ended, Ordering::Relaxed);
        place.what.store(u64::from(event.function) | event.cell << 32, Ordering::Relaxed);
        place.how.store(how(event), Ordering::Relaxed);
        // Release pairs with the first load in `recorded`.
        place.number.store(number.wrapping_add(1), Ordering::Release);
    }

    /// Reads what all processes have recorded.
    pub fn events(&self) -> Events {
        let mut events = Events::default();
        for seat in (0..SEATS as u16).map(Seat) {
            let end = self.desk(seat).own.recorded.load(Ordering::Acquire);
            let begin = end.saturating_sub(EVENTS_KEPT);
            events.list.extend((begin..end).filter_map(|number| self.recorded(seat, number)));
            events.lost = events.lost.saturating_add(end);
        }
        events.lost = events.lost.saturating_sub(events.list.len() as u64);
        events
    }

    /// Calls `each` for what was recorded since the last time, with the number of that process's records between this one and the one
    /// before that were written over unread.
    pub fn events_since(&self, bookmark: &mut Bookmark, mut each: impl FnMut(&TaskEvent, u64)) {
        for (seat, unread) in (0..SEATS as u16).map(Seat).zip(&mut bookmark.by_seat) {
            let end = self.desk(seat).own.recorded.load(Ordering::Acquire);
            let kept = end.saturating_sub(EVENTS_KEPT);
            unread.lost = unread.lost.saturating_add(kept.saturating_sub(unread.next));
            unread.next = unread.next.max(kept);
            while unread.next < end {
                match self.recorded(seat, unread.next) {
                    Some(event) => each(&event, std::mem::take(&mut unread.lost)),
                    // It is read the next time. If it is not there then, its process died while it wrote.
                    None if !unread.is_awaited && self.is_unwritten(seat, unread.next) => {
                        unread.is_awaited = true;
                        break;
                    }
                    None => unread.lost += 1,
                }
                unread.is_awaited = false;
                unread.next += 1;
            }
        }
    }

    /// Moves a bookmark to the end of what is recorded now.
    pub fn skip_events(&self, bookmark: &mut Bookmark) {
        for (seat, unread) in (0..SEATS as u16).map(Seat).zip(&mut bookmark.by_seat) {
            let next = self.desk(seat).own.recorded.load(Ordering::Acquire);
            *unread = Unread { next, ..Unread::default() };
        }
    }

    /// Whether the record of this number has not been written yet, and is not one that was written over.
    fn is_unwritten(&self, seat: Seat, number: u64) -> bool {
        self.event(seat, number).number.load(Ordering::Acquire) <= number
    }

    /// A process's record of this number, unless it is written over.
    fn recorded(&self, seat: Seat, number: u64) -> Option<TaskEvent> {
        let place = self.event(seat, number);
        let is_it = |ordering| place.number.load(ordering) == number.wrapping_add(1);
        if !is_it(Ordering::Acquire) {
            return None;
        }
        let (what, how) = (place.what.load(Ordering::Relaxed), place.how.load(Ordering::Relaxed));
        let event = TaskEvent {
            task: Id(place.task.load(Ordering::Relaxed)),
            parent: Some(Id(place.parent.load(Ordering::Relaxed))).filter(|parent| parent.0 != 0),
            function: what as u32,
            cell: what >> 32,
            attempt: (how >> 48) as u8,
            of: TaskType::ALL[usize::from((how >> 40) as u8) % TaskType::ALL.len()],
            state: TaskState::ALL[usize::from((how >> 32) as u8) % TaskState::ALL.len()],
            pid: how as u32,
            submitted: place.submitted.load(Ordering::Relaxed),
            began: place.began.load(Ordering::Relaxed),
            ended: place.ended.load(Ordering::Relaxed),
        };
        // Pairs with the fence in `record`.
        fence(Ordering::Acquire);
        is_it(Ordering::Relaxed).then_some(event)
    }
}

fn how(event: &TaskEvent) -> u64 {
    u64::from(event.pid) | (event.state as u64) << 32 | (event.of as u64) << 40 | u64::from(event.attempt) << 48
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;

    const ALICE: Seat = Seat(1);

    fn event(task: u64) -> TaskEvent {
        TaskEvent {
            task: Id(task),
            parent: Some(Id(7)),
            function: 3,
            cell: 5,
            attempt: 2,
            of: TaskType::ActorCall,
            state: TaskState::WorkerDied,
            pid: u32::MAX,
            submitted: 10,
            began: 20,
            ended: u64::MAX,
        }
    }

    #[test]
    fn what_is_recorded_is_read() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        let other = TaskEvent { parent: None, of: TaskType::Task, state: TaskState::Finished, ..event(2) };
        segment.record(ALICE, &event(1));
        segment.record(Seat::HEAD, &other);
        let Events { mut list, lost } = segment.events();
        list.sort_by_key(|event| event.task);
        assert_eq!((list, lost), (vec![event(1), other], 0));
    }

    #[test]
    fn the_oldest_are_written_over_and_counted() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        (1..=EVENTS_KEPT + 3).for_each(|task| segment.record(ALICE, &event(task)));
        let Events { list, lost } = segment.events();
        let kept: Vec<u64> = list.iter().map(|event| event.task.0).collect();
        assert_eq!((kept, lost), ((4..=EVENTS_KEPT + 3).collect(), 3));
    }

    #[test]
    fn a_record_that_its_process_died_over_is_lost_and_no_other() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        segment.record(ALICE, &event(1));
        segment.desk(ALICE).own.recorded.fetch_add(1, Ordering::Relaxed);
        segment.event(ALICE, 1).task.store(9, Ordering::Relaxed);
        segment.record(ALICE, &event(3));
        let Events { list, lost } = segment.events();
        assert_eq!((list.iter().map(|event| event.task.0).collect(), lost), (vec![1, 3], 1));
    }

    fn read(segment: &Segment, bookmark: &mut Bookmark) -> Vec<(u64, u64)> {
        let mut read = Vec::new();
        segment.events_since(bookmark, |event, lost| read.push((event.task.0, lost)));
        read
    }

    #[test]
    fn who_keeps_a_bookmark_reads_each_record_once_and_learns_how_many_were_lost() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        let mut bookmark = Bookmark::default();
        (1..=2).for_each(|task| segment.record(ALICE, &event(task)));
        assert_eq!(read(&segment, &mut bookmark), [(1, 0), (2, 0)]);
        assert_eq!(read(&segment, &mut bookmark), []);
        (3..3 + EVENTS_KEPT + 2).for_each(|task| segment.record(ALICE, &event(task)));
        assert_eq!(read(&segment, &mut bookmark)[0], (5, 2));
        segment.record(ALICE, &event(9));
        segment.skip_events(&mut bookmark);
        segment.record(ALICE, &event(10));
        assert_eq!(read(&segment, &mut bookmark), [(10, 0)]);
    }

    #[test]
    fn a_record_that_is_being_written_is_read_the_next_time_and_given_up_after_that() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        let mut bookmark = Bookmark::default();
        segment.desk(ALICE).own.recorded.fetch_add(1, Ordering::Relaxed);
        segment.record(ALICE, &event(2));
        assert_eq!(read(&segment, &mut bookmark), [], "the first is awaited");
        segment.event(ALICE, 0).number.store(1, Ordering::Release);
        assert_eq!(read(&segment, &mut bookmark), [(0, 0), (2, 0)]);
        segment.desk(ALICE).own.recorded.fetch_add(1, Ordering::Relaxed);
        segment.record(ALICE, &event(4));
        assert_eq!(read(&segment, &mut bookmark), []);
        assert_eq!(read(&segment, &mut bookmark), [(4, 1)], "its process died while it wrote");
    }

    #[test]
    fn nonsense_in_shared_memory_is_an_event_like_any_other() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        segment.record(ALICE, &event(1));
        for nonsense in [0, 1, u64::MAX, 0xff << 32, 0xff << 40] {
            segment.event(ALICE, 0).how.store(nonsense, Ordering::Relaxed);
            assert_eq!(segment.events().list.len(), 1);
        }
        segment.desk(ALICE).own.recorded.store(u64::MAX, Ordering::Relaxed);
        assert!(segment.events().list.is_empty());
        let mut bookmark = Bookmark::default();
        assert_eq!((read(&segment, &mut bookmark), read(&segment, &mut bookmark)), (vec![], vec![]));
    }
}
