//! The log of what tasks have written, as the web page shows it. Bounded: the oldest is forgotten, and counted.

use mobula_dashboard::{LogLine, LogSince};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many writings are remembered.
const LINES_MAX: usize = 20_000;
/// How many bytes of them.
const BYTES_MAX: usize = 8 << 20;
/// How much is told at once, in bytes.
const TOLD_MAX: usize = 4 << 20;

/// The newest of what tasks have written.
#[derive(Default)]
pub struct TaskLog(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// How many were forgotten: the number of the first line that is there.
    dropped: u64,
}

impl TaskLog {
    /// A task has written something.
    pub fn add(&self, cell: u64, task: &str, pid: u32, stream: &'static str, text: &str) {
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The end of what is too long for all of it.
        let text = &text[text.ceil_char_boundary(text.len().saturating_sub(BYTES_MAX / 4))..];
        ring.bytes += text.len();
        ring.lines.push_back(LogLine { ms, cell, task: task.to_owned(), pid, stream, text: text.to_owned() });
        while ring.lines.len() > LINES_MAX || ring.bytes > BYTES_MAX {
            let gone = ring.lines.pop_front().map_or(0, |line| line.text.len());
            (ring.bytes, ring.dropped) = (ring.bytes - gone, ring.dropped + 1);
        }
    }

    /// The lines from this number on, as many as are told at once.
    pub fn since(&self, from: u64) -> LogSince {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = from.max(ring.dropped);
        let mut bytes = 0;
        let lines = ring.lines.iter().skip((first - ring.dropped) as usize).take_while(|line| {
            bytes += line.text.len();
            bytes <= TOLD_MAX
        });
        let lines: Vec<LogLine> = lines.cloned().collect();
        LogSince { next: first + lines.len() as u64, dropped: ring.dropped, lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_each_line_once() {
        let log = TaskLog::default();
        ["a\n", "b\n"].iter().for_each(|text| log.add(1, "f", 7, "stdout", text));
        let first = log.since(0);
        assert_eq!((first.next, first.lines.len(), first.dropped), (2, 2, 0));
        assert!(log.since(first.next).lines.is_empty());
        log.add(2, "g", 8, "stderr", "c\n");
        assert_eq!(log.since(first.next).lines[0].text, "c\n");
    }

    #[test]
    fn the_oldest_lines_are_forgotten_and_counted() {
        let log = TaskLog::default();
        (0..LINES_MAX + 3).for_each(|line| log.add(1, "f", 7, "stdout", &format!("{line}\n")));
        let all = log.since(0);
        assert_eq!((all.dropped, all.lines[0].text.as_str(), all.next), (3, "3\n", LINES_MAX as u64 + 3));
        log.add(1, "f", 7, "stdout", &"ü".repeat(BYTES_MAX));
        let Ring { bytes, .. } = *log.0.lock().unwrap();
        assert!(bytes <= BYTES_MAX);
    }

    #[test]
    fn a_reader_that_is_far_behind_gets_a_bounded_answer_and_then_the_rest() {
        let log = TaskLog::default();
        (0..7).for_each(|_| log.add(1, "f", 7, "stdout", &"x".repeat(1 << 20)));
        let first = log.since(0);
        assert_eq!((first.lines.len(), log.since(first.next).lines.len()), (4, 3));
    }
}
