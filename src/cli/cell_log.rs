//! The cells of a session, as the web page lists them: source, phases, error, output, memory. Bounded.

use mobula::abi::{CellRecord, CellState};
use mobula_dashboard::CellsSince;
use mobula_session::{CellId, Event, Outcome};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many cells are remembered.
const CELLS_MAX: usize = 2000;
/// How much of a cell's source and of its error is remembered, in bytes.
const TEXT_MAX: usize = 64 << 10;
/// How much of all sources and errors is remembered, in bytes; the oldest cells go first.
const TEXTS_MAX: usize = 16 << 20;

/// The cells that were run.
#[derive(Default)]
pub struct CellLog {
    book: Mutex<Book>,
    /// The process of cells.
    host: AtomicU32,
}

#[derive(Default)]
struct Book {
    /// Counts the changes.
    revision: u64,
    cells: VecDeque<Entry>,
    text_bytes: usize,
}

struct Entry {
    /// The change in which it changed last.
    revision: u64,
    began: Instant,
    record: CellRecord,
}

impl CellLog {
    /// Another process runs the cells from now on.
    pub fn host_changed(&self, pid: u32) {
        self.host.store(pid, Ordering::Relaxed);
    }

    /// A cell begins.
    pub fn began(&self, cell: CellId, source: &str) -> CellRecord {
        let record = CellRecord { cell: cell.0, source: cut(source), ..CellRecord::default() };
        self.add(record.clone());
        record
    }

    /// Takes over what a session says of a cell.
    pub fn put(&self, record: CellRecord) {
        let record = CellRecord { source: cut(&record.source), error: record.error.as_deref().map(cut), ..record };
        if !self.change(CellId(record.cell), |entry| entry.record = record.clone()) {
            self.add(record);
        }
    }

    fn add(&self, record: CellRecord) {
        let mut book = self.book();
        book.revision += 1;
        book.text_bytes += record.source.len() + record.error.as_ref().map_or(0, String::len);
        let revision = book.revision;
        book.cells.push_back(Entry { revision, began: Instant::now(), record });
        while book.cells.len() > CELLS_MAX || (book.text_bytes > TEXTS_MAX && book.cells.len() > 1) {
            let gone = book.cells.pop_front().map_or(0, |entry| entry.text_bytes());
            book.text_bytes -= gone;
        }
    }

    /// A cell has ended.
    pub fn ended(&self, outcome: &Outcome) -> Option<CellRecord> {
        let memory = memory_of(self.host.load(Ordering::Relaxed));
        self.change(outcome.cell, |entry| {
            let record = &mut entry.record;
            record.state = if outcome.result.is_ok() { CellState::Ok } else { CellState::Failed };
            record.error = outcome.result.as_ref().err().map(|error| cut(&error.plain));
            record.took_ns = Some(nanoseconds(entry.began.elapsed()));
            let phases = outcome.phases.iter().filter(|phase| phase.name != "total");
            record.phases = phases.map(|phase| (phase.name.clone(), nanoseconds(phase.took))).collect();
            record.memory = memory;
        });
        self.book().cells.iter().rev().map(|entry| &entry.record).find(|record| record.cell == outcome.cell.0).cloned()
    }

    /// Something is shown. A cell's tasks may show more after it has ended.
    pub fn shown(&self, event: &Event) {
        let (Event::Text { cell, .. }
        | Event::Display { cell, .. }
        | Event::Update { cell, .. }
        | Event::Result { cell, .. }
        | Event::Report { cell, .. }) = event
        else {
            return;
        };
        let bytes = event.bytes() as u64;
        self.change(*cell, |entry| entry.record.output_bytes += bytes);
    }

    /// The newest cells, oldest first.
    pub fn newest(&self, count: usize) -> Vec<CellRecord> {
        let book = self.book();
        let newest = book.cells.iter().skip(book.cells.len().saturating_sub(count));
        newest.map(|entry| entry.record.clone()).collect()
    }

    /// The cells that have changed after this revision.
    pub fn since(&self, revision: u64) -> CellsSince {
        let book = self.book();
        let cells = book.cells.iter().filter(|entry| entry.revision > revision);
        CellsSince { revision: book.revision, cells: cells.map(|entry| entry.record.clone()).collect() }
    }

    fn change(&self, cell: CellId, change: impl FnOnce(&mut Entry)) -> bool {
        let mut book = self.book();
        book.revision += 1;
        let revision = book.revision;
        let Some(entry) = book.cells.iter_mut().rev().find(|entry| entry.record.cell == cell.0) else {
            return false;
        };
        let before = entry.text_bytes();
        entry.revision = revision;
        change(entry);
        let after = entry.text_bytes();
        book.text_bytes = book.text_bytes + after - before;
        true
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn text_bytes(&self) -> usize {
        self.record.source.len() + self.record.error.as_ref().map_or(0, String::len)
    }
}

fn cut(text: &str) -> String {
    match text.len() {
        ..=TEXT_MAX => text.to_owned(),
        _ => format!("{}\n…", &text[..text.floor_char_boundary(TEXT_MAX)]),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The memory that a process has now, in bytes.
fn memory_of(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobula_session::{CellError, Phase, Stream};

    fn outcome(cell: u64, result: Result<(), CellError>) -> Outcome {
        let phases = vec![Phase { name: "run".into(), took: Duration::from_millis(2) }];
        Outcome { cell: CellId(cell), result, phases, exit: None }
    }

    #[test]
    fn a_cell_is_listed_while_it_runs_and_told_again_when_it_has_ended() {
        let log = CellLog::default();
        log.host_changed(std::process::id());
        log.began(CellId(1), "1 + 1");
        let first = log.since(0);
        assert_eq!((first.cells.len(), first.cells[0].state, first.cells[0].took_ns), (1, CellState::Running, None));
        assert!(log.since(first.revision).cells.is_empty());
        log.shown(&Event::Text { cell: CellId(1), stream: Stream::Stdout, text: "12345".into() });
        log.ended(&outcome(1, Ok(())));
        let CellsSince { cells, .. } = log.since(first.revision);
        assert_eq!((cells[0].state, cells[0].output_bytes, cells[0].phases[0].1), (CellState::Ok, 5, 2_000_000));
        assert!(cells[0].memory.is_some_and(|bytes| bytes > 0) && cells[0].took_ns.is_some());
    }

    #[test]
    fn what_a_session_says_of_its_cell_is_listed_once() {
        let log = CellLog::default();
        let said = |state, error: Option<&str>| CellRecord {
            cell: 1 << 24 | 3,
            state,
            source: "1 + 1".into(),
            error: error.map(str::to_owned),
            ..CellRecord::default()
        };
        log.put(said(CellState::Running, None));
        log.put(said(CellState::Failed, Some("oops")));
        let cells = log.since(0).cells;
        assert_eq!((cells.len(), cells[0].state, cells[0].error.as_deref()), (1, CellState::Failed, Some("oops")));
        assert_eq!(log.book().text_bytes, "1 + 1oops".len());
    }

    #[test]
    fn a_failed_cell_has_its_report() {
        let log = CellLog::default();
        log.began(CellId(1), "oops");
        let error =
            CellError { name: "E0425".into(), value: "".into(), plain: "cannot find value".into(), ansi: "".into() };
        log.ended(&outcome(1, Err(error)));
        assert_eq!(log.since(0).cells[0].error.as_deref(), Some("cannot find value"));
    }

    #[test]
    fn the_oldest_cells_and_the_ends_of_long_ones_are_forgotten() {
        let log = CellLog::default();
        let long = "ü".repeat(TEXT_MAX);
        (1..=(TEXTS_MAX / TEXT_MAX + 10) as u64).for_each(|cell| drop(log.began(CellId(cell), &long)));
        let cells = log.since(0).cells;
        let bytes: usize = cells.iter().map(|cell| cell.source.len()).sum();
        assert!(bytes <= TEXTS_MAX && cells.len() > 200 && cells[0].cell > 1, "{bytes}, {}", cells.len());
        (0..CELLS_MAX as u64 + 5).for_each(|cell| drop(log.began(CellId(1000 + cell), "1")));
        assert_eq!(log.since(0).cells.len(), CELLS_MAX);
        assert_eq!(log.book().text_bytes, CELLS_MAX);
    }
}
