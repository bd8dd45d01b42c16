//! A process's side of the runtime: what a cell host, a worker and a program have in common.
//!
//! ```text
//!   table ─▶ Client ─┬─ state   handles, drafts, views, what is to be sent      one lock, held for moments
//!                    ├─ writer  one thread at a time sends                       one lock, held while sending
//!                    └─ inbox   one thread at a time reads                       see inbox.rs
//!
//!   life     connecting, cells, taking over        objects  put, open, references
//!   waiting  get and wait                          tasks    submitting and running
//! ```
//!
//! There is one client in a process, and it is never freed: threads of cells may still be in it. When a twin takes a
//! dead cell host's place it makes a new one with new locks, because whoever held the old ones does not exist.
//!
//! # Invariants
//! - The state's lock is never held while anything blocks; a fork waits for it, so that a twin finds it free.
//! - What is queued first is sent first: a `Retain` never overtakes the `Release` that came before it.

mod life;
mod objects;
mod state;
mod tasks;
mod waiting;

pub use life::{ConnectError, begin_cell, connect_driver, connect_program, current, end_cell, take_over};
pub use tasks::{Entry, Input};

pub(crate) use life::install;

use super::fds;
use super::inbox::{Inbox, Stop};
use crate::abi::{Answer, Fault, Question};
use crate::protocol::{ClientId, RegionInfo, Request, ToClient, ToHead};
use crate::store::Mapping;
use rustix::event::PollFlags;
use rustix::io::Errno;
use state::State;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a call through the table gives. A fault is large and rare, so it is boxed.
pub type Fallible<T> = Result<T, Box<Fault>>;

/// A process's connection to the runtime.
pub struct Client {
    id: ClientId,
    path: PathBuf,
    inbox: Inbox,
    state: Mutex<State>,
    /// What is being sent.
    writer: Mutex<Vec<u8>>,
}

/// While this is held nobody is in the state, so that a fork may copy it.
pub(super) struct Still {
    _state: MutexGuard<'static, State>,
    _region: MutexGuard<'static, (RegionInfo, Arc<Mapping>)>,
}

impl Client {
    /// Asks something off the fast path.
    ///
    /// # Errors
    /// What the head says.
    pub fn question(&self, question: Question) -> Fallible<Answer> {
        match self.ask(|req| ToHead::Ask { req, question })? {
            ToClient::Answer { answer, .. } => Ok(answer?),
            _ => Err(nonsense()),
        }
    }

    /// Sends everything that is queued. A head that is gone is found out by whoever waits for an answer.
    pub fn flush(&self) {
        // Whoever sends has this lock; what is queued is taken under it, so that nothing overtakes.
        let mut sending = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        {
            self.state().take_queued(&mut sending);
        }
        if !sending.is_empty() {
            if let Err(error) = send_all(self.inbox.socket(), &sending) {
                tracing::debug!(%error, "the runtime is gone");
            }
            sending.clear();
        }
    }

    /// For a fork.
    pub(super) fn hold_still(&'static self) -> Still {
        Still { _state: self.state(), _region: self.inbox.region_lock() }
    }

    fn ask(&self, question: impl FnOnce(Request) -> ToHead) -> Fallible<ToClient> {
        let (req, _) = self.queue_question(question)?;
        self.inbox.wait(None, None, |books| books.answer(req)).map_err(fault)
    }

    /// Sends a question. Gives its name, and the cell whose interruption ends the waiting.
    fn queue_question(&self, question: impl FnOnce(Request) -> ToHead) -> Fallible<(Request, Option<u64>)> {
        let (req, cell) = {
            let mut state = self.state();
            let req = Request(state.request_next);
            state.request_next += 1;
            self.inbox.expect(req);
            if let Err(fault) = state.queue(&question(req)) {
                self.inbox.forget(req);
                return Err(fault);
            }
            (req, state.is_interruptible.then_some(state.cell))
        };
        self.flush();
        Ok((req, cell))
    }

    fn flush_if_due(&self, state: MutexGuard<'_, State>) {
        let due = state.is_due();
        drop(state);
        if due {
            self.flush();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send_all(socket: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match fds::send_bytes(&socket, bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN) => {
                fds::wait_ready(&socket, PollFlags::OUT, None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn fault(stop: Stop) -> Box<Fault> {
    Box::new(match stop {
        Stop::Interrupted => Fault::Interrupted,
        Stop::Closed(reason) => Fault::Disconnected { reason },
        Stop::TimedOut => Fault::Disconnected { reason: "the runtime does not answer".into() },
    })
}

fn nonsense() -> Box<Fault> {
    Box::new(Fault::Disconnected { reason: "the runtime's answer makes no sense".into() })
}

fn no_draft() -> Box<Fault> {
    refused("there is no such draft: each can be sealed, submitted or discarded once".into())
}

fn refused(message: String) -> Box<Fault> {
    Box::new(Fault::Refused { message })
}
