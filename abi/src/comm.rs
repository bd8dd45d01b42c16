//! Messages of comms, Jupyter's channels between a front end and an object in the kernel, such as a widget.
//!
//! ```text
//!   cell, task, actor ── CommCall ──▶ session ── CommMessage ──▶ front ends
//!        ▲──── CommAnswer ────────────┘  ▲────── CommMessage ──────┘
//! ```
//!
//! The session keeps every open comm, and the state of those that are widgets; so a value can be read from any process, and a page that
//! is loaded again gets its widgets while a cell runs.

use serde::{Deserialize, Serialize};

/// A message on a comm, in either direction ("Custom Messages" in Jupyter's messaging protocol).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommMessage {
    /// The comm's id.
    pub comm: String,
    /// Which of the three messages.
    pub kind: CommKind,
    /// The message's `data`, as JSON.
    pub data: String,
    /// The message's metadata, as JSON; may be empty.
    pub metadata: String,
    /// Binary data beside it.
    pub buffers: Vec<Vec<u8>>,
}

impl CommMessage {
    /// A message without metadata.
    pub fn new(comm: &str, kind: CommKind, data: String, buffers: Vec<Vec<u8>>) -> CommMessage {
        CommMessage { comm: comm.to_owned(), kind, data, metadata: String::new(), buffers }
    }

    /// The bytes of its data and of what is beside them.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.buffers.iter().map(Vec::len).sum::<usize>()
    }
}

/// The kind of a message on a comm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommKind {
    /// `comm_open`, to the target of this name.
    Open {
        /// The name.
        target: String,
    },
    /// `comm_msg`.
    Message,
    /// `comm_close`.
    Close,
}

/// A call of a process that runs code of cells, to the session's comms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommCall {
    /// Opens a comm, or sends or closes on one.
    Send(CommMessage),
    /// Reads a value of a widget's state.
    Value {
        /// The widget's comm.
        comm: String,
        /// The value's key; empty for the whole state.
        key: String,
    },
    /// Appends to a list in a widget's state.
    Append {
        /// The widget's comm.
        comm: String,
        /// The list's key.
        key: String,
        /// The element, as JSON.
        json: String,
    },
    /// Asks for what front ends send on a comm, or open for a target, from now on.
    Listen {
        /// The comm, or the target.
        to: Listened,
        /// The library that asks; the same number is in its [`CommCall::Take`] and [`CommCall::Wait`].
        listener: u64,
        /// Whether it has callbacks that run between cells, which [`CommCall::Take`] the messages.
        between_cells: bool,
        /// Whether it has callbacks that run at once, for which it [`CommCall::Wait`]s.
        at_once: bool,
    },
    /// Reports how far a bar is.
    Progress(ProgressReport),
    /// Shows a text in the place of the one that this number showed before.
    Screen {
        /// The terminal that the text stands on.
        number: u64,
        /// The text, which may have codes for colours.
        text: String,
    },
    /// Takes the messages that wait for a library, to be handled between two cells.
    Take {
        /// The library.
        listener: u64,
    },
    /// Waits for messages that are to be handled at once.
    Wait {
        /// The library.
        listener: u64,
    },
}

/// How far a bar of progress is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressReport {
    /// Its name: reports of one name in a cell are one bar.
    pub name: String,
    /// What is shown behind the bar, such as what is being done; empty to leave what stands there.
    pub message: String,
    /// The number of the reporter.
    pub part: u64,
    /// The reporter's process.
    pub pid: u32,
    /// How many steps it has taken.
    pub done: u64,
    /// How many there are, if that is known.
    pub total: Option<u64>,
    /// Set in its last report.
    pub ending: Option<ProgressEnding>,
}

/// How what a bar stands for has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressEnding {
    /// There is nothing more to do.
    Done,
    /// It was left by a panic, or an interrupt.
    Panicked,
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listened {
    /// A comm that is open.
    Comm(String),
    /// Comms that front ends open for a target.
    Target(String),
}

/// The answer to a [`CommCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommAnswer {
    /// It is done.
    Done,
    /// There is no such comm: it was closed.
    Closed,
    /// To `Value`: JSON, and the bytes in place of it if the value is binary.
    Value {
        /// JSON; `null` when there is no such value.
        json: String,
        /// The bytes.
        bytes: Option<Vec<u8>>,
    },
    /// To `Take` and `Wait`.
    Messages(Vec<CommMessage>),
}
