//! The runtime's events for the process that owns it.

use crate::abi::{CellPlace, CommAnswer, CommCall, Failure, Place};

/// Which of a worker's two text streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something a person should see.
#[derive(Clone, Debug, PartialEq)]
pub enum RuntimeEvent {
    /// A task wrote something. All of it comes before any process can get the task's result, but for lines that other workers write, too:
    /// see `head/folds.rs`.
    TaskOutput {
        /// The cell that started the task; 0 outside a session.
        cell: u64,
        /// The function's name.
        task: String,
        /// The worker's process id.
        pid: u32,
        /// Where it was written.
        stream: Stream,
        /// Whole lines, each with `(name pid=1234) ` before it.
        text: String,
    },
    /// A task failed. Said once, for the task where the failure began, not for those that only carry it.
    TaskFailed(Failure),
    /// One line about the runtime itself.
    Notice(String),
}

/// The receiver of the runtime's events. The head's thread calls these functions and does nothing else meanwhile, so
/// none of them may wait. To wait for a front end or a pipe, use [`super::Outbox`].
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: RuntimeEvent);

    /// Whether it has more events than it can pass on at the moment. Then the output of workers stays in their pipes,
    /// and workers that have written or failed wait; everything else goes on.
    fn is_full(&self) -> bool {
        false
    }

    /// Has `bell` called from now on whenever it is no longer full.
    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>) {
        drop(bell);
    }

    /// A process calls the session's comms for a cell. `reply` may be called later, from any thread. Without a session there are no comms,
    /// and dropping it says so.
    fn comm(&self, cell: u64, call: CommCall, reply: CommReply) {
        let _ = (cell, call);
        drop(reply);
    }

    /// The place in a cell that a place in generated code stands for, if it is known.
    fn locate(&self, place: &Place) -> Option<CellPlace>;
}

/// The answer to a call of a comm, which a process waits for. Dropping it refuses the call.
pub struct CommReply(Option<Box<dyn FnOnce(Option<CommAnswer>) + Send>>);

impl CommReply {
    /// A reply that goes to `send`; `None` refuses the call.
    pub fn new(send: impl FnOnce(Option<CommAnswer>) + Send + 'static) -> CommReply {
        CommReply(Some(Box::new(send)))
    }

    /// Answers.
    pub fn send(mut self, answer: CommAnswer) {
        if let Some(send) = self.0.take() {
            send(Some(answer));
        }
    }
}

impl Drop for CommReply {
    fn drop(&mut self) {
        if let Some(send) = self.0.take() {
            send(None);
        }
    }
}

impl RuntimeEvent {
    /// Roughly the bytes that it keeps in memory.
    pub fn bytes(&self) -> usize {
        match self {
            RuntimeEvent::TaskOutput { text, .. } | RuntimeEvent::Notice(text) => text.len(),
            // Its texts are messages for people.
            RuntimeEvent::TaskFailed(_) => 1024,
        }
    }
}
