//! A worker's output, split into lines with the name of their task.
//!
//! ```text
//!   bytes of a pipe ──▶ │whole lines│ ──▶ "line\n" …, and whose they are
//!                       │ the rest  │ kept until its end comes, the task ends, or it is too long
//! ```

use std::sync::Arc;

/// A line longer than this many bytes is shown in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The task, the cell and the process that output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The function's name.
    pub task: Arc<str>,
    /// The cell that started it.
    pub cell: u64,
    /// The worker's process id.
    pub pid: u32,
}

impl Label {
    /// The label of a worker between two tasks.
    pub fn nobody() -> Label {
        Label { task: "worker".into(), cell: 0, pid: 0 }
    }

    /// What stands before each of its lines.
    pub fn prefix(&self) -> String {
        format!("({} pid={}) ", self.task, self.pid)
    }

    /// Whole lines, each with its prefix.
    pub fn shown(&self, text: &str) -> String {
        let prefix = self.prefix();
        let mut shown = String::with_capacity(text.len() + prefix.len() * 4);
        for line in text.split_inclusive('\n') {
            shown.push_str(&prefix);
            shown.push_str(line);
        }
        shown
    }
}

/// One stream of one worker.
#[derive(Debug)]
pub struct Lines {
    label: Label,
    rest: Vec<u8>,
}

impl Lines {
    /// Nothing written yet.
    pub fn new(label: Label) -> Lines {
        Lines { label, rest: Vec::new() }
    }

    /// The label of what comes now.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Sets the label of what comes from now on. Take [`Lines::end`] before.
    pub fn belongs_to(&mut self, label: Label) {
        self.label = label;
    }

    /// Takes bytes; gives the lines that they complete.
    pub fn take(&mut self, bytes: &[u8]) -> Option<String> {
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.rest.extend_from_slice(bytes);
            return if self.rest.len() > LINE_BYTES_MAX { self.end() } else { None };
        };
        let (whole, rest) = bytes.split_at(last + 1);
        self.rest.extend_from_slice(whole);
        let text = String::from_utf8_lossy(&self.rest).into_owned();
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        Some(text)
    }

    /// Ends the task's output: returns an unfinished last line, with a line end.
    pub fn end(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&self.rest).into_owned() + "\n";
        self.rest.clear();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines::new(Label { task: "f".into(), cell: 1, pid: 7 })
    }

    #[test]
    fn every_line_says_whose_it_is() {
        assert_eq!(lines().label().shown("one\ntwo\n"), "(f pid=7) one\n(f pid=7) two\n");
    }

    #[test]
    fn a_line_is_shown_when_it_is_whole() {
        let mut lines = lines();
        assert_eq!(lines.take(b"on"), None);
        assert_eq!(lines.take(b"e\ntw").unwrap(), "one\n");
        assert_eq!(lines.end().unwrap(), "tw\n");
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let mut lines = lines();
        assert!(lines.take(&vec![b'x'; LINE_BYTES_MAX + 1]).is_some());
        assert!(lines.rest.is_empty());
    }

    #[test]
    fn a_letter_cut_in_two_by_the_pipe_is_still_a_letter() {
        let mut lines = lines();
        let (first, second) = "ö\n".as_bytes().split_at(1);
        assert_eq!(lines.take(first), None);
        assert_eq!(lines.take(second).unwrap(), "ö\n");
    }
}
