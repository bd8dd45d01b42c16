//! A process's side of the runtime: what a cell host, a worker and a program have in common.
//!
//! ```text
//!   table ─▶ Client ─┬─ segment  shared memory: objects and plain tasks, without a server process in between
//!                    ├─ state    handles, drafts, leases of this process            one lock, held for moments
//!                    └─ inbox    questions to the head, for what is rare            one thread at a time reads
//!
//!   connect  connecting, cells, taking over        objects  put, open, references
//!   wait     get and wait      watch  futures        tasks    submitting        execute  a worker's tasks
//!   actors   calls of actors                        checkpoints  what is saved of the actor that this process is
//!   reader   looking at a runtime from outside           join  changing to the runtime of another process
//!   tally    counting a session's tasks again and again  changes  what is new of tasks, for a reader
//!   store_summary  what fills the store                 held_back  whether a cell can be undone
//! ```
//!
//! A process's calls go through one client, which is never freed, because threads of cells may still use it. A twin that takes a dead
//! cell host's place makes a new client with new locks, because the threads that held the old ones do not exist in it.
//!
//! # Invariants
//! - The state's lock is never held while anything blocks; a fork waits for it, so that a twin finds it free.

mod actors;
mod buffers;
mod changes;
mod checkpoints;
mod claim;
mod connect;
mod current;
mod elsewhere;
pub mod engine;
mod execute;
mod fork_guard;
mod front;
mod function_names;
mod held_back;
mod inbox;
mod join;
mod lend;
mod loaded_code;
mod objects;
mod reader;
mod references;
mod spin;
mod state;
mod store_full;
mod store_summary;
mod tables;
mod tally;
mod tasks;
mod wait;
mod watch;

pub use crate::abi::engine::{Fallible, Opened};
pub use changes::Look;
pub use connect::{ConnectError, begin_cell, cell_is_final, connect_driver, connect_program, end_cell, take_over};
pub use current::current;
pub use front::Front;
pub use held_back::held_back;
pub use join::join_driver;
pub use reader::Reader;
pub use tally::Tally;
pub use tasks::Input;

pub(crate) use actors::Came;
pub(crate) use claim::Claimed;
pub(crate) use current::{for_call, home, install};
pub(crate) use elsewhere::{Elsewhere, elsewhere, go, register};
pub(crate) use execute::{Next, Unfit};
pub(crate) use join::be_program;
pub(crate) use loaded_code::{library_base, locate, program_base};

use crate::abi::held::{Held, none_here};
use crate::abi::{Answer, CommCall, Fault, InitOptions, Joining, Question};
use crate::protocol::{Request, Role, SessionId, ToClient, ToHead, encode};
use crate::store::{Seat, Segment};
use crate::sync::{AtomicU32, AtomicU64};
use inbox::{Inbox, Stop};
use lend::Loans;
use mobula_fds as fds;
use rustix::event::PollFlags;
use rustix::io::Errno;
use spin::Spin;
use state::State;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A process's connection to the runtime.
pub struct Client {
    role: Role,
    path: PathBuf,
    segment: Arc<Segment>,
    seat: Seat,
    /// The session that this process is of.
    session: SessionId,
    /// The number of the options of a task that names none.
    plain: u16,
    inbox: Inbox,
    state: Mutex<State>,
    /// One thread at a time sends.
    writer: Mutex<()>,
    spin: Spin,
    /// Of a worker: how many of its task's threads wait.
    loans: Mutex<Loans>,
    /// Of a worker: the number that its desk had in the place of a lease when it last told the head that it has no task.
    parked: AtomicU32,
    /// Of a worker: a task that it has claimed by a hint, and runs next; 0 for none.
    hinted: AtomicU64,
    /// One more than the options of tasks of which this worker offers to run another one, before the head is told of the end; 0 for none.
    offers: AtomicU32,
}

/// While this is held no thread changes the state, so that a fork may copy it.
pub(super) struct Still {
    _state: Held<'static, State>,
}

impl Client {
    /// Asks something off the fast path.
    ///
    /// # Errors
    /// The head's refusal.
    pub fn question(&self, mut question: Question) -> Fallible<Answer> {
        if let Question::State { id } = question {
            return self.object_state(id).map(Answer::State);
        }
        if question == Question::IsCancelled {
            return Ok(Answer::Flag(self.is_interrupted()));
        }
        if let Question::PlacementGroup { cell, .. } | Question::Comm { cell, .. } = &mut question {
            *cell = self.state().cell_here();
        }
        match question {
            Question::Init(InitOptions { address: Some(address), namespace, share, ignore_reinit, .. }) => {
                return self.join(Joining { address, namespace, share }, ignore_reinit);
            }
            Question::Shutdown if self.session != SessionId::OWNER => return self.leave(),
            Question::Lookup { .. } => return self.lookup(question),
            Question::Tasks => return self.task_table().map(Answer::Tasks),
            Question::Objects => return self.object_entries().map(Answer::Objects),
            _ => {}
        }
        self.ask_head(question)
    }

    /// Asks the head a question off the fast path.
    fn ask_head(&self, question: Question) -> Fallible<Answer> {
        // A thread that waits for messages of front ends is not a cell's, and no interrupt ends it.
        let is_cells = !matches!(question, Question::Comm { call: CommCall::Wait { .. }, .. });
        let _blocked = is_cells.then(|| self.blocked());
        let req = self.send_question(|req| ToHead::Ask { req, question })?;
        match self.inbox.wait(None, None, |books| books.answer(req)).map_err(|stop| self.fault(stop))? {
            ToClient::Answer { answer, .. } => {
                let answer = answer?;
                match &answer {
                    // `init` may have replaced the store's memory.
                    Answer::Address(_) => self.follow_arena()?,
                    Answer::Done => {
                        let said = self.state().forget_all();
                        said.iter().for_each(|message| self.tell(message));
                    }
                    _ => {}
                }
                Ok(answer)
            }
            _ => Err(nonsense()),
        }
    }

    /// The shared tables. For tests that look at what is left.
    #[doc(hidden)]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// This process's seat. For the same tests.
    #[doc(hidden)]
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// Locks the state for a fork.
    pub(super) fn hold_still(&'static self) -> Still {
        Still { _state: self.state() }
    }

    /// Asks the head and waits for the answer.
    fn ask(&self, question: impl FnOnce(Request) -> ToHead) -> Fallible<ToClient> {
        let _blocked = self.blocked();
        let req = self.send_question(question)?;
        self.inbox.wait(None, None, |books| books.answer(req)).map_err(|stop| self.fault(stop))
    }

    /// Sends a question, whose answer is kept until it is taken.
    fn send_question(&self, question: impl FnOnce(Request) -> ToHead) -> Fallible<Request> {
        let req = {
            let mut state = self.state();
            state.request_next += 1;
            Request(state.request_next)
        };
        self.inbox.expect(req);
        if let Err(fault) = self.say(&question(req)) {
            self.inbox.forget(req);
            return Err(fault);
        }
        Ok(req)
    }

    /// Sends a message to the head. The thread that waits for an answer notices when the head is gone.
    fn say(&self, message: &ToHead) -> Fallible<()> {
        none_here("a process writes to the head");
        let mut bytes = Vec::new();
        encode(message, &mut bytes).map_err(|error| refused(error.to_string()))?;
        let _one_at_a_time = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = send_all(self.inbox.socket(), &bytes) {
            tracing::debug!(%error, "the runtime is gone");
        }
        Ok(())
    }

    /// Sends a message that is known to be short.
    fn tell(&self, message: &ToHead) {
        if let Err(fault) = self.say(message) {
            tracing::error!(?fault, "message not sent");
        }
    }

    /// Why waiting for an answer ended without one.
    fn fault(&self, stop: Stop) -> Box<Fault> {
        match stop {
            Stop::Interrupted => self.interruption(),
            Stop::Closed(_) if self.is_dropped() => dropped(),
            Stop::Closed(reason) => Box::new(Fault::Disconnected { reason }),
            Stop::TimedOut => Box::new(Fault::Disconnected { reason: "the runtime does not answer".into() }),
        }
    }

    fn is_worker(&self) -> bool {
        self.role == Role::Worker
    }

    fn state(&self) -> Held<'_, State> {
        none_here("the state is locked again");
        Held::new(self.state.lock().unwrap_or_else(PoisonError::into_inner))
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

fn ended() -> Box<Fault> {
    Box::new(Fault::Disconnected { reason: "the runtime has ended".into() })
}

fn dropped() -> Box<Fault> {
    let reason = "the runtime has dropped this session, because a message of it made no sense: its tasks, actors and objects are gone; \
                  `shutdown()` goes back to the session's own runtime, and `init_with(Config::connect(…))` joins one again";
    Box::new(Fault::Disconnected { reason: reason.into() })
}

fn nonsense() -> Box<Fault> {
    Box::new(Fault::Disconnected { reason: "the runtime sent an unexpected answer".into() })
}

fn no_draft() -> Box<Fault> {
    refused("there is no such draft: each can be sealed, submitted or discarded once".into())
}

fn refused(message: String) -> Box<Fault> {
    Box::new(Fault::Refused { message })
}
