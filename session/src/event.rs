//! Events and outcomes between a session and its front end: plain data, no behaviour.

pub use crate::bundle::{Bundle, kept_bytes};
pub use crate::rendered::Rendered;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A cell's number: 1 for the first of a session. Front ends use it as the execution count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellId(pub u64);

impl std::fmt::Display for CellId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the two text streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something a front end shows. Events of one cell come in the order in which the cell made them. Events of a cell may
/// come after its [`Outcome`]: a task or a thread that it started goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Text that the cell, or a task of its, wrote. Not necessarily whole lines.
    Text {
        /// Whose.
        cell: CellId,
        /// Where it was written.
        stream: Stream,
        /// What.
        text: String,
    },
    /// Something to look at, made while the cell runs.
    Display {
        /// Whose.
        cell: CellId,
        /// What.
        bundle: Bundle,
    },
    /// Something to read: documentation. Front ends show it in their pager, as IPython's `?` does, and otherwise like a display.
    Page {
        /// Whose.
        cell: CellId,
        /// What.
        bundle: Bundle,
    },
    /// A new content for a display shown before (`bundle.display_id` says which).
    Update {
        /// Whose.
        cell: CellId,
        /// What.
        bundle: Bundle,
    },
    /// Forget what the cell showed so far; with `wait`, when the next output comes.
    Clear {
        /// Whose.
        cell: CellId,
        /// At once, or with the next output.
        wait: bool,
    },
    /// The value of the cell's last expression.
    Result {
        /// Whose.
        cell: CellId,
        /// What.
        bundle: Bundle,
    },
    /// A report about a cell that goes on: a warning of the compiler's.
    Report {
        /// Whose.
        cell: CellId,
        /// What.
        report: Rendered,
    },
    /// A word from the session itself: preparing the crate for the first time, a runtime's notice. One line.
    Notice {
        /// The line.
        text: String,
    },
}

impl Event {
    /// Roughly the bytes that it keeps in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Event::Text { text, .. } | Event::Notice { text } => text.len(),
            Event::Display { bundle, .. }
            | Event::Page { bundle, .. }
            | Event::Update { bundle, .. }
            | Event::Result { bundle, .. } => bundle.bytes(),
            Event::Report { report, .. } => report.plain.len(),
            Event::Clear { .. } => 0,
        }
    }
}

/// A front end, as far as it shows events. It may take its time: whoever calls it is one thread that does nothing else ([`crate::Outlet`]).
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Why a cell failed.
#[derive(Clone, Debug, PartialEq)]
pub struct CellError {
    /// The kind: `CompileError`, `Panic`, `Error` (a `?` that met an `Err`), `Crashed`, `Interrupted`, `CommandError`,
    /// `SessionError`. A compiler error's kind is its code, such as `E0308`.
    pub name: String,
    /// One line that says it.
    pub value: String,
    /// The whole report, plain text, several lines: message, place in the cell, source line, caret, help.
    pub plain: String,
    /// The same report with ANSI colours.
    pub ansi: String,
}

/// One phase of a cell and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// `compile`, `run`, …
    pub name: String,
    /// How long.
    pub took: Duration,
}

/// How a cell ended. All events that the cell itself made have been delivered before.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which cell.
    pub cell: CellId,
    /// `Err` when it failed. What it did up to there has been shown.
    pub result: Result<(), CellError>,
    /// Where its time went.
    pub phases: Vec<Phase>,
    /// With which code the cell has ended its process, such as by `std::process::exit`.
    pub exit: Option<i32>,
}

/// Whether a text is ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Run it.
    Complete,
    /// More lines are expected; `indent` is what the next one begins with.
    Incomplete {
        /// Spaces for the next line.
        indent: String,
    },
    /// No further line can mend it.
    Invalid,
}

/// What could stand at the cursor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completions {
    /// First byte of the text that a completion replaces.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// The candidates, best first.
    pub items: Vec<Completion>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The text to put in.
    pub code: String,
    /// `fn`, `struct`, `local`, `command`, …; may be empty.
    pub kind: String,
    /// What to show, when it differs from `code`.
    pub label: String,
}

/// A question that a running cell asks the person.
#[derive(Clone, Debug)]
pub struct InputRequest {
    /// What to show.
    pub prompt: String,
    /// Whether to hide what is typed.
    pub is_password: bool,
}

/// Answers questions of a running cell; `None` when nobody can answer.
pub type InputReader = Arc<dyn Fn(InputRequest) -> Option<String> + Send + Sync>;
