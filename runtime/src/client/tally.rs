//! Counts of tasks by cell and function, for somebody who looks ten times a second.
//!
//! ```text
//!   tasks that have not ended ─ each look ─▶ the state words of the slots, and the labels of tasks
//!   ends of tasks ─ once each, by a bookmark ─▶ sums by (cell, function)
//! ```
//!
//! A look makes no text and no entry for a task. One that ends while a look goes on is in both parts, which its times and those of the
//! look tell. What was ended so fast that its record was written over before a look is counted with
//! the record that follows it in its process's ring: in such a flood that is of the same kind almost always.

use super::{Fallible, Reader};
use crate::abi::{TaskCounts, TaskState};
use crate::protocol::SessionId;
use crate::store::{Bookmark, Clock, Segment, State, TaskEvent, ticks};
use std::collections::BTreeMap;
use std::time::Duration;

/// A cell, and the number of a function.
type Key = (u64, u32);

/// A count of a session's tasks, by cell and function, which goes on from look to look.
pub struct Tally {
    reader: Reader,
    session: SessionId,
    bookmark: Bookmark,
    ended: BTreeMap<Key, Sum>,
}

/// Tasks of one function of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sum {
    waiting: u64,
    running: u64,
    finished: u64,
    failed: u64,
    cancelled: u64,
    /// Runs before which there was another one of the same task, which had failed.
    again: u64,
    /// When the first was submitted, in ticks.
    first: Option<u64>,
    /// When the last that has ended did so, in ticks.
    last: Option<u64>,
    /// When the oldest that has not ended was submitted, in ticks.
    oldest: Option<u64>,
    is_rough: bool,
}

impl Tally {
    /// Counts what `reader` sees of the tasks of a session.
    pub fn new(reader: Reader, session: SessionId) -> Tally {
        Tally { reader, session, bookmark: Bookmark::default(), ended: BTreeMap::new() }
    }

    /// Passes over the tasks that have ended up to now: they will not be counted.
    pub fn skip(&mut self) {
        self.reader.0.segment().skip_events(&mut self.bookmark);
        self.ended.clear();
    }

    /// Counts the tasks of `cell` and of later cells, in the order of cells and of when the first task of each function was submitted.
    /// Those of earlier cells are forgotten.
    ///
    /// # Errors
    /// The runtime is gone.
    pub fn look(&mut self, cell: u64) -> Fallible<Vec<TaskCounts>> {
        let (segment, session) = (self.reader.0.segment(), self.session);
        let is_counted = |of: u64| SessionId::of(of) == session && SessionId::number(of) >= cell;
        // In this order: a task that ends in between is not missing at the end.
        let (mut sums, looked_at) = living(segment, is_counted);
        let (ended, mut both) = (&mut self.ended, Vec::new());
        ended.retain(|(of, _), _| is_counted(*of));
        segment.events_since(&mut self.bookmark, |event, lost| {
            if is_counted(event.cell) {
                let key = (event.cell, event.function);
                ended.entry(key).or_default().add(event, lost);
                let is_in_both = |at: &u64| event.submitted < *at && *at < event.ended;
                both.extend(
                    looked_at.get((event.task.slot() / CHUNK) as usize).filter(|at| is_in_both(at)).map(|_| key),
                );
            }
        });
        both.iter().for_each(|key| sums.entry(*key).or_default().has_ended());
        for (key, ended) in &self.ended {
            sums.entry(*key).or_default().join(ended);
        }
        let clock = segment.clock();
        let mut counts = Vec::with_capacity(sums.len());
        for ((cell, function), sum) in sums {
            let name = self.reader.0.known_function(function)?.map_or("unknown".into(), |function| function.name);
            counts.push(sum.counts(SessionId::number(cell), name, &clock));
        }
        counts.sort_by_key(|counts| (counts.cell, std::cmp::Reverse(counts.first)));
        Ok(counts)
    }
}

/// How many slots are looked at between two readings of the clock.
const CHUNK: u32 = 1024;

/// The tasks of some cells that have not ended, and when each chunk of slots was looked at.
fn living(segment: &Segment, is_counted: impl Fn(u64) -> bool) -> (BTreeMap<Key, Sum>, Vec<u64>) {
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    let mut looked_at = vec![ticks()];
    for index in 1..segment.slots_used() {
        if index % CHUNK == 0 {
            looked_at.push(ticks());
        }
        let slot = segment.slot(index);
        let word = slot.word();
        if !word.is_task() {
            continue;
        }
        let label = segment.label(index);
        // What was read is that of the task only if it has not ended meanwhile.
        if !is_counted(label.cell) || slot.word() != word {
            continue;
        }
        let sum = sums.entry((label.cell, label.function)).or_default();
        match word.state() {
            State::Running => sum.running += 1,
            _ => sum.waiting += 1,
        }
        sum.again += u64::from(label.attempt > 0);
        sum.first = earlier(sum.first, label.submitted);
        sum.oldest = earlier(sum.oldest, label.submitted);
    }
    (sums, looked_at)
}

/// The earlier of two times, of which the first may be missing, and the second is missing if it is 0.
fn earlier(first: Option<u64>, second: u64) -> Option<u64> {
    first.into_iter().chain(Some(second).filter(|ticks| *ticks != 0)).min()
}

impl Sum {
    /// Adds the end of a run, and `lost` ends before it of which nothing is known.
    fn add(&mut self, event: &TaskEvent, lost: u64) {
        let runs = lost.saturating_add(1);
        match event.state {
            TaskState::Failed | TaskState::WorkerDied | TaskState::ArgumentFailed => self.failed += 1,
            TaskState::Cancelled => self.cancelled += 1,
            _ => self.finished += 1,
        }
        // One that failed is told by itself, and no estimate.
        self.finished = self.finished.saturating_add(runs - 1);
        self.is_rough |= lost > 0;
        self.again += u64::from(event.attempt > 0);
        self.first = earlier(self.first, event.submitted);
        self.last = self.last.max(Some(event.ended));
    }

    /// One that was counted before its end was read.
    fn has_ended(&mut self) {
        match self.running {
            0 => self.waiting = self.waiting.saturating_sub(1),
            _ => self.running -= 1,
        }
    }

    fn join(&mut self, ended: &Sum) {
        self.finished += ended.finished;
        self.failed += ended.failed;
        self.cancelled += ended.cancelled;
        self.again += ended.again;
        self.first = earlier(self.first, ended.first.unwrap_or_default());
        self.last = self.last.max(ended.last);
        self.is_rough |= ended.is_rough;
    }

    fn counts(self, cell: u64, function: String, clock: &Clock) -> TaskCounts {
        let ago =
            |ticks: u64| Duration::from_nanos(clock.now().saturating_sub(clock.time_of(ticks).unwrap_or(clock.now())));
        TaskCounts {
            cell,
            function,
            waiting: self.waiting,
            running: self.running,
            finished: self.finished,
            // Each run that is not the first of its task stands for one that failed before it.
            failed: self.failed.saturating_sub(self.again),
            cancelled: self.cancelled,
            first: self.first.map(ago).unwrap_or_default(),
            last: self.last.map(ago),
            oldest: self.oldest.map(ago),
            is_rough: self.is_rough,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::TaskType;
    use crate::store::ObjectId;

    fn ended(state: TaskState, attempt: u8) -> TaskEvent {
        TaskEvent {
            task: ObjectId(1),
            parent: None,
            function: 3,
            cell: 5,
            attempt,
            of: TaskType::Task,
            state,
            pid: 1,
            submitted: 10,
            began: 20,
            ended: 30,
        }
    }

    #[test]
    fn a_task_that_fails_and_is_run_again_is_one_that_runs_and_no_failure() {
        let mut sum = Sum { running: 1, again: 1, ..Sum::default() };
        let mut before = Sum::default();
        before.add(&ended(TaskState::WorkerDied, 0), 0);
        sum.join(&before);
        assert_eq!((sum.failed - sum.again, sum.running), (0, 1));
        before.add(&ended(TaskState::Failed, 1), 0);
        assert_eq!((before.failed - before.again, before.finished), (1, 0), "it failed for good");
    }

    #[test]
    fn ends_that_were_written_over_are_counted_as_finished_and_make_the_count_rough() {
        let mut sum = Sum::default();
        sum.add(&ended(TaskState::Finished, 0), 9);
        sum.add(&ended(TaskState::Failed, 0), 5);
        assert_eq!((sum.finished, sum.failed, sum.is_rough), (15, 1, true));
    }
}
