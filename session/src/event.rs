//! Events and outcomes between a session and its front end: plain data, no behaviour.

pub use crate::bundle::{Bundle, kept_bytes};
pub use crate::rendered::{Rendered, html_escaped, without_codes};
pub use mobula_abi::{CommKind, CommMessage};
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

/// The number of an execution in the cell host: of a cell, or of the callbacks of an earlier one. An interrupt is meant for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn(pub u64);

/// One of a cell's two text streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something that a front end shows. Events of one cell come in the order in which the cell made them. Some may come after the cell's
/// [`Outcome`], because a task or a thread that it started goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Text that the cell or one of its tasks wrote. Not necessarily whole lines.
    Text {
        /// The cell that wrote it.
        cell: CellId,
        /// The stream that it was written to.
        stream: Stream,
        /// The text.
        text: String,
    },
    /// Something to look at, made while the cell runs.
    Display {
        /// The cell that made it.
        cell: CellId,
        /// The content.
        bundle: Bundle,
    },
    /// Documentation. Front ends show it in their pager, as IPython's `?` does, or else like a display.
    Page {
        /// The cell that asked for it.
        cell: CellId,
        /// The content.
        bundle: Bundle,
    },
    /// A new content for a display shown before (`bundle.display_id` says which).
    Update {
        /// The cell that made it.
        cell: CellId,
        /// The new content.
        bundle: Bundle,
    },
    /// How far the tasks of a cell are, while they run, and a line about all of them when they have ended. A front end that cannot
    /// replace what it has shown leaves it out. It comes only if the front end has asked: [`crate::Evaluator::watch_tasks`].
    Tasks {
        /// The cell that started them.
        cell: CellId,
        /// The content, whose `display_id` is the same each time.
        bundle: Bundle,
        /// Where in the row of such events it is.
        stage: Stage,
    },
    /// Forget what the cell showed so far; with `wait`, when the next output comes.
    Clear {
        /// The cell whose output is cleared.
        cell: CellId,
        /// Whether to wait for the next output.
        wait: bool,
    },
    /// The value of the cell's last expression.
    Result {
        /// The cell that made it.
        cell: CellId,
        /// The value.
        bundle: Bundle,
    },
    /// A report about a cell that goes on: a compiler warning.
    Report {
        /// The cell.
        cell: CellId,
        /// The report.
        report: Rendered,
    },
    /// A message on a comm, for all front ends.
    Comm {
        /// The cell that sent it, or whose task did.
        cell: CellId,
        /// The message.
        message: CommMessage,
    },
    /// The session's answer to a message that a front end sent on a comm, for all front ends, in its order among [`Event::Comm`].
    CommReply {
        /// The front end's message: what was given to [`crate::Evaluator::comm`].
        request: u64,
        /// The answer.
        message: CommMessage,
    },
    /// From here on, what the cell shows belongs into an `Output` widget, or no longer does.
    Capture {
        /// The cell.
        cell: CellId,
        /// The widget's comm.
        comm: String,
        /// Whether it begins.
        begins: bool,
    },
    /// A line from the session itself, such as while it prepares the crate for the first time, or from the runtime.
    Notice {
        /// The line.
        text: String,
    },
}

/// Where in the row of events about a cell's tasks one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is the first.
    Begun,
    /// Something has changed.
    Goes,
    /// It is the last.
    Over,
}

impl Event {
    /// Roughly the bytes of memory that the event takes.
    pub fn bytes(&self) -> usize {
        match self {
            Event::Text { text, .. } | Event::Notice { text } => text.len(),
            Event::Display { bundle, .. }
            | Event::Page { bundle, .. }
            | Event::Update { bundle, .. }
            | Event::Tasks { bundle, .. }
            | Event::Result { bundle, .. } => bundle.bytes(),
            Event::Report { report, .. } => report.plain.len(),
            Event::Comm { message, .. } | Event::CommReply { message, .. } => message.bytes(),
            Event::Clear { .. } | Event::Capture { .. } => 0,
        }
    }
}

/// The part of a front end that shows events. It may block: it is called on a thread that does nothing else ([`crate::Outlet`]).
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Why a cell failed.
#[derive(Clone, Debug, PartialEq)]
pub struct CellError {
    /// The kind: `CompileError`, `Panic`, `Error` (a `?` that met an `Err`), `Crashed`, `Interrupted`, `CommandError`,
    /// `SessionError`. A compiler error's kind is its code, such as `E0308`.
    pub name: String,
    /// The error in one line.
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
    /// `Err` when the cell failed. Its output up to the failure has been shown.
    pub result: Result<(), CellError>,
    /// How its time was spent.
    pub phases: Vec<Phase>,
    /// The exit code, if the cell has ended its process, such as by `std::process::exit`.
    pub exit: Option<i32>,
}

/// Whether a text is ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Run it.
    Complete,
    /// More lines are expected.
    Incomplete {
        /// The spaces with which the next line begins.
        indent: String,
    },
    /// No further line can make it valid.
    Invalid,
}

/// The completions at the cursor.
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

/// A variable of the session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VariableInfo {
    /// Its name, with `mut` before it if it was declared so.
    pub name: String,
    /// Its type, as a person would write it.
    pub ty: String,
    /// The cell that declared it.
    pub made: u64,
    /// Its size with the memory that it owns, in bytes.
    pub bytes: Option<u64>,
    /// What has become of it, if it is gone.
    pub standing: String,
    /// The beginning of its `Debug` text, if its type has one.
    pub value: Option<String>,
}

impl VariableInfo {
    /// What is known of the variable, before the documentation of its type.
    pub(crate) fn described(&self, documentation: Option<Bundle>) -> Bundle {
        let value = self.value.as_deref().map(|value| format!(" = {value}")).unwrap_or_default();
        let size = self.bytes.map(|bytes| format!("{bytes} bytes, ")).unwrap_or_default();
        let standing = if self.standing.is_empty() { String::new() } else { format!("; {}", self.standing) };
        let head = format!("let {}: {}{value}", self.name, self.ty);
        let text = format!("{head}\n{size}made in cell {}{standing}", self.made);
        let mut bundle = documentation.unwrap_or_default();
        let plain = bundle.plain().map(|plain| format!("{text}\n\n{plain}")).unwrap_or_else(|| text.clone());
        bundle.data.insert("text/plain".into(), plain.into());
        if let Some(html) = bundle.data.get("text/html").and_then(|html| html.as_str()) {
            let html = format!("<pre>{}</pre>{html}", html_escaped(&text));
            bundle.data.insert("text/html".into(), html.into());
        }
        bundle
    }
}

/// The consequences of a message that a front end sent on a comm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    /// Whether an [`Event::CommReply`] comes.
    pub has_reply: bool,
    /// Whether callbacks are to run between cells: see [`crate::Evaluator::run_callbacks`].
    pub wants_turn: bool,
}

/// The answer to a front end that opens a comm for which there is nobody: it is closed. None to another message.
pub fn nobody_is_there(message: &CommMessage) -> Option<CommMessage> {
    let is_open = matches!(message.kind, CommKind::Open { .. });
    is_open.then(|| CommMessage::new(&message.comm, CommKind::Close, "{}".into(), Vec::new()))
}

/// A question that a running cell asks the person.
#[derive(Clone, Debug)]
pub struct InputRequest {
    /// The text to show as the prompt.
    pub prompt: String,
    /// Whether to hide what is typed.
    pub is_password: bool,
}

/// How a front end asks for a cell.
#[derive(Clone, Default)]
pub struct CellRequest {
    /// Its name for the cell, if it has names for cells.
    pub origin: Option<String>,
    /// Answers the cell's questions.
    pub input: Option<InputReader>,
    /// The front end asks for itself: the cell is none of the person's.
    pub is_unstored: bool,
}

/// Answers the questions of a running cell; gives `None` when there is no answer.
pub type InputReader = Arc<dyn Fn(InputRequest) -> Option<String> + Send + Sync>;
