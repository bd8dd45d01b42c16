//! The runtime's questions and events for the process that owns it, or for the front process of a session that has joined it.

use crate::abi::{Cause, CellPlace, CellRecord, CommAnswer, CommCall, Dashboard, DashboardOptions, Joining, Place};
use crate::protocol::{RuntimeEvent, SessionId};
use std::path::PathBuf;

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

    /// A process wants the session to join the runtime at this address, as this says; with `None`, to leave the one that it has joined.
    /// `reply` may be called later, from any thread; dropping it says that this process cannot join any.
    fn join(&self, to: Option<Joining>, reply: JoinReply) {
        let _ = to;
        drop(reply);
    }

    /// What the session of a cell is shown, which has joined this runtime; the cell has the runtime's number.
    fn overhears(&self, cell: u64, event: &RuntimeEvent) {
        let _ = (cell, event);
    }

    /// A cell of a session that has joined this runtime has begun or ended. It has the runtime's number.
    fn cell_of_session(&self, record: CellRecord) {
        drop(record);
    }

    /// The runtime that the session had joined has ended.
    fn left(&self) {}

    /// Starts the web page, unless it is there. `None`: this process has none. The page asks the head only after this has returned.
    ///
    /// # Errors
    /// Why it cannot be started: a sentence.
    fn dashboard(&self, options: &DashboardOptions) -> Result<Option<Dashboard>, String> {
        let _ = options;
        Ok(None)
    }

    /// The place in a cell that a place in generated code stands for, if it is known.
    fn locate(&self, place: &Place) -> Option<CellPlace>;
}

/// The answer to a call of a comm, which a process waits for. Dropping it refuses the call.
pub type CommReply = Reply<CommAnswer>;

/// What a session has joined, or why it has not. `Ok(None)` when it has left one.
pub type JoinReply = Reply<Result<Option<JoinedAt>, String>>;

/// What a session has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedAt {
    /// Where it listens.
    pub socket: PathBuf,
    /// The session's number there.
    pub session: SessionId,
    /// Whether it is a Ray cluster, for which the front process listens.
    pub is_cluster: bool,
}

/// An answer that a process waits for. Dropping it refuses the question.
pub struct Reply<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Reply<T> {
    /// A reply that goes to `send`; `None` refuses the question.
    pub fn new(send: impl FnOnce(Option<T>) + Send + 'static) -> Reply<T> {
        Reply(Some(Box::new(send)))
    }

    /// Answers.
    pub fn send(mut self, answer: T) {
        if let Some(send) = self.0.take() {
            send(Some(answer));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(send) = self.0.take() {
            send(None);
        }
    }
}

/// Finds the places of what happened in the cells, and drops callers that are not found there.
pub fn locate_causes(observer: &dyn Observer, cause: &mut Cause) {
    match cause {
        Cause::ActorDied { death, .. } => locate_causes(observer, death),
        Cause::Panic { place: Some(place), .. } if place.cell.is_none() => {
            place.cell = observer.locate(place);
            let mut callers = std::mem::take(&mut place.callers);
            for caller in &mut callers {
                let at = Place { file: caller.file.clone(), line: caller.line, column: caller.column, ..place.clone() };
                caller.cell = observer.locate(&at);
            }
            callers.retain(|caller| caller.cell.is_some());
            place.callers = callers;
        }
        _ => {}
    }
}
