//! Lines that workers write, as Ray Client sends them: with `(name pid=123) ` before each. The name of a task has its cell in it, as
//! `submit.rs` gives it: `half [3]`.

use super::Shared;
use crate::abi::Cause;
use crate::protocol::{RuntimeEvent, Stream};
use crate::ray::transport::Log;
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long the last words of a worker may come after the news of its death.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// So many are remembered.
const NOTES_MAX: usize = 64;

/// What workers said of their deaths: Ray itself does not tell the signal, or the code.
#[derive(Debug, Default)]
pub(super) struct Notes {
    deaths: VecDeque<Note>,
    /// Processes that write nothing more of their own: what follows is the handler's, pages of it.
    dying: VecDeque<u32>,
}

#[derive(Debug)]
struct Note {
    /// The task's name with its cell, as Ray shows it.
    shown: String,
    death: Death,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Death {
    pub pid: u32,
    pub cause: Cause,
}

/// A line of a worker's.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    /// As Ray shows it.
    shown: &'a str,
    name: &'a str,
    cell: u64,
    pid: u32,
    text: &'a str,
}

/// Takes the line apart. `None`: it has no such beginning.
fn read(line: &str) -> Option<Line<'_>> {
    let (shown, rest) = line.strip_prefix('(')?.split_once(" pid=")?;
    let (process, text) = rest.split_once(')')?;
    let pid = process.split(',').next()?.trim().parse().ok()?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    let (name, cell) = match shown.strip_suffix(']').and_then(|shown| shown.rsplit_once(" [")) {
        Some((name, cell)) => (name, cell.parse().unwrap_or(0)),
        None => (shown, 0),
    };
    Some(Line { shown, name, cell, pid, text })
}

/// The text without what colours it.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\x1b' {
            plain.push(c);
        } else if rest.next() == Some('[') {
            // A sequence ends with a letter.
            rest.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    plain
}

/// The death that a line tells of: Ray's own handler names the signal, and `worker.py` the exit code.
fn death(line: &Line<'_>) -> Option<Death> {
    const SIGNALS: [(&str, i32); 6] =
        [("SIGSEGV", 11), ("SIGABRT", 6), ("SIGBUS", 7), ("SIGFPE", 8), ("SIGILL", 4), ("SIGTRAP", 5)];
    let cause = if let Some(what) = line.text.strip_prefix("*** ") {
        let (name, signal) = SIGNALS.iter().find(|(name, _)| what.starts_with(&format!("{name} received at time=")))?;
        Cause::Signal { signal: *signal, name: (*name).into() }
    } else {
        let code = line.text.strip_prefix("mobula: this process exits with code ")?;
        Cause::Exit { code: code.trim().parse().ok()? }
    };
    Some(Death { pid: line.pid, cause })
}

impl Notes {
    fn add(&mut self, shown: &str, death: Death) {
        if self.deaths.len() >= NOTES_MAX {
            self.deaths.pop_front();
        }
        if self.dying.len() >= NOTES_MAX {
            self.dying.pop_front();
        }
        self.dying.push_back(death.pid);
        self.deaths.push_back(Note { shown: shown.to_owned(), death });
    }

    fn take(&mut self, shown: &str) -> Option<Death> {
        let place = self.deaths.iter().position(|note| note.shown == shown)?;
        self.deaths.remove(place).map(|note| note.death)
    }
}

impl Shared {
    /// Passes on what a worker wrote: to the cell that started its task, if that is known.
    pub(super) fn logged(&self, log: &Log) {
        let text = plain(&log.text);
        let stream = if log.is_error { Stream::Stderr } else { Stream::Stdout };
        // Lines of one task in a row are one event.
        let mut together: Option<(u64, String, u32, String)> = None;
        let mut shown = Vec::new();
        for line in text.lines() {
            let (cell, task, pid) = match read(line) {
                Some(found) => {
                    if let Some(death) = death(&found) {
                        self.state().notes.add(found.shown, death);
                        self.logged.notify_all();
                    }
                    if self.state().notes.dying.contains(&found.pid) {
                        continue;
                    }
                    (found.cell, found.name.to_owned(), found.pid)
                }
                None => (0, String::new(), 0),
            };
            let line = if cell == 0 { line.to_owned() } else { line.replacen(&format!(" [{cell}]"), "", 1) };
            match &mut together {
                Some((known, name, of, text)) if (*known, name.as_str(), *of) == (cell, task.as_str(), pid) => {
                    *text += &line;
                    text.push('\n');
                }
                before => shown.extend(before.replace((cell, task, pid, line + "\n"))),
            }
        }
        shown.extend(together);
        for (cell, task, pid, text) in shown {
            self.observer.event(RuntimeEvent::TaskOutput { cell, task, pid, stream, text });
        }
    }

    /// What a worker that ran a task of this name said of its death, which may be on its way. Waits.
    pub(super) fn last_words(&self, shown: &str) -> Option<Death> {
        let deadline = Instant::now() + LAST_WORDS_MAX;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(death) = state.notes.take(shown) {
                return Some(death);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.logged.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_task_of_which_cell_wrote_it() {
        let line = read("(half [3] pid=12, ip=10.0.0.7) one ) two").unwrap();
        assert_eq!((line.name, line.cell, line.pid, line.text), ("half", 3, 12, "one ) two"));
        let line = read("(Vec<i64>::push [12] pid=7) ").unwrap();
        assert_eq!((line.name, line.cell, line.text), ("Vec<i64>::push", 12, ""));
        assert_eq!(read("(raylet) something"), None);
        assert_eq!(plain("\x1b[36m(f pid=1)\x1b[0m x"), "(f pid=1) x");
    }

    #[test]
    fn last_words_tell_the_signal_or_the_code() {
        let death_of = |text| death(&read(text).unwrap()).map(|death| death.cause);
        let abort = Cause::Signal { signal: 6, name: "SIGABRT".into() };
        assert_eq!(death_of("(f [1] pid=2) *** SIGABRT received at time=1 on cpu 0 ***"), Some(abort));
        let exit = Cause::Exit { code: 3 };
        assert_eq!(death_of("(f [1] pid=2) mobula: this process exits with code 3"), Some(exit));
        assert_eq!(death_of("(f [1] pid=2) *** SIGNED ***"), None);
    }
}
