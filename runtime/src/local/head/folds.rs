//! Folds of output: a line that several workers write is shown once, and then counted.
//!
//! ```text
//!   (f pid=1) ready      shown at once
//!   (f pid=2) ready  ┐
//!   (f pid=1) ready  ├ held ──▶ (f pid=3) ready [repeated 3x across 3 workers]
//!   (f pid=3) ready  ┘          after a second, or when no task of the cell is left that could write more
//! ```
//!
//! As in Ray, what one worker repeats is shown each time. Unlike in Ray, only equal lines are folded, not those that differ in their numbers,
//! so that nothing is lost.

use super::lines::Label;
use crate::local::Stream;
use crate::protocol::{ObjectId, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long a line is remembered after it was first written.
const WINDOW: Duration = Duration::from_secs(1);

/// How many different lines are remembered at once; others are shown as they come.
const LINES_MAX: usize = 1000;

/// A line longer than this many bytes is not folded.
const LINE_BYTES_MAX: usize = 1000;

/// Lines that may be folded.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// By the line's hash, so that looking for one costs no copy of it.
    by_line: HashMap<u64, Fold>,
    hasher: RandomState,
    /// When the oldest of them was first written.
    oldest: Option<Instant>,
    /// How many of them were held.
    held: usize,
    /// Tasks that have written all that they will, by their workers.
    written: HashMap<WorkerId, ObjectId>,
    /// The order in which they came.
    next: u64,
}

#[derive(Debug)]
struct Fold {
    cell: u64,
    stream: Stream,
    line: String,
    number: u64,
    since: Instant,
    /// The processes that have written it.
    pids: BTreeSet<u32>,
    /// Whose it was last.
    label: Label,
    /// How often it was written and not shown.
    held: u32,
}

/// Lines that were held, ready to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub label: Label,
    pub stream: Stream,
    pub text: String,
}

impl Folds {
    /// Takes whole lines that a worker has written. Gives those that are shown now, each with its label.
    pub fn take(&mut self, now: Instant, label: &Label, stream: Stream, text: &str) -> String {
        let prefix = label.prefix();
        let mut shown = String::with_capacity(text.len() + prefix.len() * 4);
        for whole in text.split_inclusive('\n') {
            let line = whole.strip_suffix('\n').unwrap_or(whole);
            if !self.holds(now, label, stream, line) {
                shown.push_str(&prefix);
                shown.push_str(whole);
            }
        }
        shown
    }

    /// Whether a line is held, because another worker has written it, too.
    fn holds(&mut self, now: Instant, label: &Label, stream: Stream, line: &str) -> bool {
        if line.trim().is_empty() || line.len() > LINE_BYTES_MAX {
            return false;
        }
        let hash = self.hasher.hash_one((label.cell, stream, line));
        if let Some(fold) = self.by_line.get_mut(&hash) {
            if (fold.cell, fold.stream, fold.line.as_str()) != (label.cell, stream, line) {
                return false;
            }
            fold.pids.insert(label.pid);
            if fold.pids.len() < 2 {
                return false;
            }
            fold.label = label.clone();
            self.held += usize::from(fold.held == 0);
            fold.held += 1;
            return true;
        }
        if self.by_line.len() < LINES_MAX {
            let (cell, line, number) = (label.cell, line.to_owned(), self.next);
            let (label, pids) = (label.clone(), BTreeSet::from([label.pid]));
            self.by_line.insert(hash, Fold { cell, stream, line, number, since: now, pids, label, held: 0 });
            self.next += 1;
            self.oldest.get_or_insert(now);
        }
        false
    }

    /// The worker's task writes nothing more.
    pub fn has_written(&mut self, worker: WorkerId, task: ObjectId) {
        if self.by_line.is_empty() {
            self.written.clear();
        } else {
            self.written.insert(worker, task);
        }
    }

    /// Whether the worker's task may write more.
    pub fn may_write(&self, worker: WorkerId, task: ObjectId) -> bool {
        task.0 != 0 && self.written.get(&worker) != Some(&task)
    }

    /// Whether no line is held.
    pub fn holds_nothing(&self) -> bool {
        self.held == 0
    }

    /// Whether lines of this cell are held.
    pub fn has(&self, cell: u64) -> bool {
        self.by_line.values().any(|fold| fold.cell == cell && fold.held > 0)
    }

    /// When the next line has had its time.
    pub fn deadline(&self) -> Option<Instant> {
        self.oldest.map(|oldest| oldest + WINDOW)
    }

    /// Forgets the lines that have had their time; gives those that were held.
    pub fn end_overdue(&mut self, now: Instant) -> Vec<Folded> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        self.end(|fold| fold.since + WINDOW <= now)
    }

    /// Forgets the lines of a cell; gives those that were held.
    pub fn end_cell(&mut self, cell: u64) -> Vec<Folded> {
        self.end(|fold| fold.cell == cell)
    }

    /// Forgets all lines; gives those that were held.
    pub fn end_all(&mut self) -> Vec<Folded> {
        self.end(|_| true)
    }

    fn end(&mut self, is_over: impl Fn(&Fold) -> bool) -> Vec<Folded> {
        let mut ended: Vec<Fold> = self.by_line.extract_if(|_, fold| is_over(fold)).map(|(_, fold)| fold).collect();
        ended.sort_by_key(|fold| fold.number);
        ended.retain(|fold| fold.held > 0);
        self.held -= ended.len();
        self.oldest = self.by_line.values().map(|fold| fold.since).min();
        ended.into_iter().map(|fold| Folded { stream: fold.stream, text: fold.text(), label: fold.label }).collect()
    }
}

impl Fold {
    fn text(&self) -> String {
        let mut text = format!("{}{}", self.label.prefix(), self.line);
        if self.held > 1 {
            let _ = write!(text, " [repeated {}x across {} workers]", self.held, self.pids.len());
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(pid: u32, cell: u64) -> Label {
        Label { task: "f".into(), cell, pid }
    }

    fn texts(folded: Vec<Folded>) -> Vec<String> {
        folded.into_iter().map(|folded| folded.text).collect()
    }

    #[test]
    fn what_several_workers_write_is_shown_once_and_then_counted() {
        let (mut folds, now) = (Folds::default(), Instant::now());
        let mut take = |pid, text| folds.take(now, &label(pid, 1), Stream::Stdout, text);
        assert_eq!(take(1, "ready\none\n"), "(f pid=1) ready\n(f pid=1) one\n");
        assert_eq!(take(2, "ready\ntwo\n"), "(f pid=2) two\n");
        assert_eq!(take(3, "ready\n") + &take(1, "ready\n"), "");
        assert!(folds.has(1) && !folds.has(2));
        assert_eq!(texts(folds.end_cell(1)), ["(f pid=1) ready [repeated 3x across 3 workers]\n"]);
        assert_eq!(folds.take(now, &label(2, 1), Stream::Stdout, "ready\n"), "(f pid=2) ready\n", "it is new again");
    }

    #[test]
    fn what_one_worker_repeats_is_shown_each_time() {
        let (mut folds, now) = (Folds::default(), Instant::now());
        assert_eq!(folds.take(now, &label(1, 1), Stream::Stdout, "x\nx\n"), "(f pid=1) x\n(f pid=1) x\n");
        assert!(texts(folds.end_all()).is_empty());
    }

    #[test]
    fn a_line_that_was_held_once_is_shown_as_it_is() {
        let (mut folds, now) = (Folds::default(), Instant::now());
        folds.take(now, &label(1, 1), Stream::Stdout, "x\n");
        folds.take(now, &label(2, 1), Stream::Stdout, "x\n");
        assert_eq!(texts(folds.end_all()), ["(f pid=2) x\n"]);
    }

    #[test]
    fn other_cells_streams_and_empty_lines_are_left_alone() {
        let (mut folds, now) = (Folds::default(), Instant::now());
        folds.take(now, &label(1, 1), Stream::Stdout, "x\n");
        assert_eq!(folds.take(now, &label(2, 2), Stream::Stdout, "x\n"), "(f pid=2) x\n");
        assert_eq!(folds.take(now, &label(2, 1), Stream::Stderr, "x\n"), "(f pid=2) x\n");
        for pid in [1, 2] {
            let long = format!("\n{}\n", "y".repeat(LINE_BYTES_MAX + 1));
            assert_eq!(folds.take(now, &label(pid, 1), Stream::Stdout, &long).lines().count(), 2);
        }
    }

    #[test]
    fn a_line_has_its_time_and_no_more_lines_are_remembered_than_there_may_be() {
        let (mut folds, now) = (Folds::default(), Instant::now());
        let many: String = (0..2 * LINES_MAX).map(|n| format!("{n}\n")).collect();
        folds.take(now, &label(1, 1), Stream::Stdout, &many);
        assert_eq!(folds.by_line.len(), LINES_MAX);
        folds.take(now, &label(2, 1), Stream::Stdout, "1\n0\n");
        assert_eq!(folds.deadline(), Some(now + WINDOW));
        assert!(folds.end_overdue(now).is_empty());
        assert_eq!(texts(folds.end_overdue(now + WINDOW)), ["(f pid=2) 0\n", "(f pid=2) 1\n"], "in their order");
        assert_eq!(folds.deadline(), None);
    }
}
