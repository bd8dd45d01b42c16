//! The record of one cell's run, as the link fills it.

use crate::event::CellId;
use rustix::process::WaitIdStatus;
use std::fmt;
use std::time::Instant;

/// A panic of the cell, as the panic hook reported it.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Panic {
    /// The message.
    pub message: String,
    /// The file, as the compiler wrote it.
    pub file: String,
    /// Line in the generated source, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The thread's name, when it was not the main one.
    pub thread: String,
    /// The callers that are code of cells, innermost first: function, and place such as `cell 3:2:5`.
    pub frames: Vec<(String, String)>,
}

/// The error that a `?` of the cell met.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub struct ErrorSaid {
    /// The whole message, in several lines.
    pub message: String,
    /// The message in one line.
    pub line: String,
    /// The place of the `?`, as the compiler wrote it: file, line and column from 1.
    #[serde(default)]
    pub place: Option<(String, u32, u32)>,
}

/// How the cell host ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// By this signal.
    Signal(i32),
    /// With this exit code.
    Exit(i32),
}

impl Death {
    /// Reads a wait status.
    pub fn of(status: &WaitIdStatus) -> Death {
        match status.terminating_signal() {
            Some(signal) => Death::Signal(signal),
            None => Death::Exit(status.exit_status().unwrap_or(0)),
        }
    }
}

impl Death {
    /// The death, without what its signal may mean.
    pub fn brief(&self) -> String {
        match self {
            Death::Signal(signal) => format!("was ended by {}", signal_name(*signal).0),
            Death::Exit(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Signal(signal) => {
                let (name, meaning) = signal_name(*signal);
                write!(f, "was ended by {name} ({meaning})")
            }
            Death::Exit(code) => write!(f, "exited with code {code}"),
        }
    }
}

/// A signal's name and what it usually means.
fn signal_name(signal: i32) -> (String, &'static str) {
    let meaning = match signal {
        libc::SIGSEGV => "an invalid memory access, or a stack overflow",
        libc::SIGABRT => "abort, or a stack overflow",
        libc::SIGBUS => "an invalid memory access",
        libc::SIGILL => "an illegal instruction",
        libc::SIGFPE => "an arithmetic exception",
        libc::SIGKILL => "killed from outside, or by the system because memory ran out",
        libc::SIGTERM => "asked to end from outside",
        libc::SIGTRAP => "a trap",
        _ => "from outside",
    };
    let name = signal_hook::low_level::signal_name(signal);
    (name.map_or_else(|| format!("signal {signal}"), str::to_owned), meaning)
}

/// The earlier checkpoints of which twins are kept, so that cells can be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// The oldest one; the number of the newest checkpoint if there is none.
    pub oldest: u64,
    /// Whether objects are kept in the store for them.
    pub holds_objects: bool,
    /// Why the cell that has returned cannot be undone, as the end of a sentence.
    pub is_final: Option<String>,
}

/// What is known of a cell's run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The last library of the cell that was run.
    pub library: Option<String>,
    /// Panics, in order; the last one of the main thread is the one that ended the cell.
    pub panics: Vec<Panic>,
    /// The cell's code unwound.
    pub panicked: bool,
    /// A `?` met an `Err`.
    pub failed: bool,
    /// A `return` ended it before its end.
    pub returned: bool,
    /// The error that the `?` met.
    pub error: Option<ErrorSaid>,
    /// Reports of tasks that failed while the cell ran, as they were shown.
    pub shown_failures: Vec<String>,
    /// Such reports that have not been shown, because the cell ended soon after.
    pub held_failures: Vec<String>,
    /// The cell failed or was only tried, and what it had done to the session's variables was undone.
    pub undone: bool,
    /// Why no twin holds the state after it, if none does.
    pub unguarded: Option<String>,
    /// Which earlier states twins are kept of, if the cell has returned.
    pub kept: Option<Kept>,
    /// The cell host died while it ran the cell.
    pub death: Option<Death>,
    /// The earlier cell before which the twin that took over was made, if it is an older one.
    pub gone_back: Option<CellId>,
    /// The stack at the crash: libraries of cells and offsets in them, innermost first.
    pub crash: Vec<(String, u64)>,
    /// The person interrupted it.
    pub interrupted: bool,
    /// The library could not be run.
    pub load_failed: Option<String>,
    /// When the library was about to be run.
    pub loaded_at: Option<Instant>,
    /// When the library had run and the checkpoint was made.
    pub returned_at: Option<Instant>,
    /// When all of the cell's output had been passed on.
    pub done_at: Option<Instant>,
    /// What opening its library took, in microseconds.
    pub load_us: u64,
    /// What the checkpoint cost, in microseconds.
    pub fork_us: u64,
    /// Why the process ended, as far as the standard library said.
    pub reason: Option<&'static str>,
    /// The end of what the cell wrote to standard error.
    last_words: String,
}

/// How many bytes of standard error are kept: a text that is looked for may come in pieces.
const LAST_WORDS_MAX: usize = 100;

/// What the standard library writes before it ends a process, and what that means.
const REASONS: [(&str, &str); 3] = [
    ("bytes failed", "it needed more memory than it may use"),
    ("has overflowed its stack", "a stack overflow"),
    ("non-unwinding panic", MAY_NOT_UNWIND),
];

/// A panic in a destructor during another panic, in an `extern "C"` function, or of the compiler's own checks.
const MAY_NOT_UNWIND: &str = "a panic that cannot unwind";

/// What the standard library says after the panic of a destructor that runs because of another panic.
const IN_CLEANUP: &str = "panic in a destructor during cleanup";

impl Record {
    /// Whether the cell ran, and the process that runs the cells still holds its effects.
    pub fn lives(&self) -> bool {
        self.death.is_none() && self.load_failed.is_none() && !self.undone
    }

    /// Whether it ended with an error that its `?` met, and with nothing worse.
    pub fn ends_in_error(&self) -> bool {
        self.failed && !self.panicked && self.death.is_none() && self.load_failed.is_none()
    }

    /// The panic that ended the process, and the panics before it.
    pub fn ending_panic(&self) -> Option<(&Panic, Vec<&Panic>)> {
        let mut panics: Vec<&Panic> = self.panics.iter().filter(|panic| panic.message != IN_CLEANUP).collect();
        let last = panics.pop().filter(|_| self.reason == Some(MAY_NOT_UNWIND))?;
        Some((last, panics))
    }

    /// Takes note of what the cell wrote to standard error: the standard library says there why it ends a process.
    pub fn note_stderr(&mut self, text: &str) {
        self.last_words.push_str(text);
        if self.reason.is_none() {
            self.reason = REASONS.iter().find(|(said, _)| self.last_words.contains(said)).map(|(_, means)| *means);
        }
        let excess = self.last_words.len().saturating_sub(LAST_WORDS_MAX);
        let start = (excess..=self.last_words.len()).find(|at| self.last_words.is_char_boundary(*at)).unwrap_or(0);
        self.last_words.drain(..start);
    }

    /// Takes note of one of evcxr's control lines.
    pub fn note_control(&mut self, line: &str) {
        match line {
            "EVCXR_PANIC_NOTIFICATION" => self.panicked = true,
            "EVCXR_ERROR_OCCURRED" => self.failed = true,
            _ => {}
        }
    }
}
