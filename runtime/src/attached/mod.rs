//! A session's side of a runtime that another process owns: `mobula start`, and whoever joins it.
//!
//! ```text
//!   front process                                    the process of `mobula start`
//!   ┌─────────────────────────────┐                  ┌──────────────────────────────┐
//!   │ Attached ─ interrupts, … ──▶│── Role::Front ──▶│ head: a session (sessions.rs)│
//!   │ Observer ◀─ output, failures│◀─────────────────│                              │
//!   └─────────────────────────────┘                  └──────────▲───────────────────┘
//!     its cell host ── Role::Driver, with the session's number ─┘
//! ```
//!
//! It has the functions of [`crate::local::Local`] that concern a session, so that front ends do not know the difference.

mod find;

pub use find::{FindError, Found, Record, find, find_to_look_at, shared};

use crate::abi::{CellRecord, Joining};
use crate::client::{ConnectError, Front};
use crate::local::{CommReply, Observer, RuntimeEvent, locate_causes};
pub use crate::protocol::SessionId;
use crate::protocol::{FromFront, ToFront};
use mobula_fds as fds;
use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a runtime may take to deliver the output of tasks that have ended.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How long the end of a process may come after that of its connections.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Why a session cannot join a runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// There is no such runtime.
    #[error(transparent)]
    Find(#[from] FindError),
    /// It does not take the session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system has no thread for it.
    #[error("the system has no thread for the runtime's messages")]
    Thread(#[source] std::io::Error),
}

/// A session in a runtime of another process. Dropping it leaves: what is not detached ends.
#[derive(Debug)]
pub struct Attached {
    shared: Arc<Shared>,
    found: Found,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    front: Front,
    observer: Arc<dyn Observer>,
    /// Set by the side that leaves, so that the end of the connection is no news.
    is_leaving: AtomicBool,
    has_ended: AtomicBool,
    /// How many requests to flush were made, and how many were answered.
    flushes: Mutex<(u64, u64)>,
    flushed: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("session", &self.front.session()).finish_non_exhaustive()
    }
}

impl Attached {
    /// Joins the runtime that was found at an address, as a new session. Without a namespace for its named actors, it has its own.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(found: Found, as_what: Joining, observer: Arc<dyn Observer>) -> Result<Attached, JoinError> {
        let front = Front::connect(&found.socket)?;
        if let Some(name) = as_what.namespace {
            front.tell(FromFront::Namespace { name });
        }
        if let Some(share) = as_what.share {
            front.tell(FromFront::Share { share });
        }
        let shared = Arc::new(Shared {
            front,
            observer,
            is_leaving: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
        });
        let (listener, owner) = (Arc::clone(&shared), found.record.pid);
        let thread = std::thread::Builder::new().name("mobula-joined".into()).spawn(move || listen(&listener, owner));
        Ok(Attached { shared, found, thread: Some(thread.map_err(JoinError::Thread)?) })
    }

    /// Where the cell host connects.
    pub fn socket(&self) -> &Path {
        &self.found.socket
    }

    /// The session's number.
    pub fn session(&self) -> SessionId {
        self.shared.front.session()
    }

    /// Whether the runtime has ended, or has dropped this session.
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Acquire)
    }

    /// As [`crate::local::Local::interrupt`].
    pub fn interrupt(&self, turn: u64) {
        self.shared.front.tell(FromFront::Interrupt { turn });
    }

    /// As [`crate::local::Local::is_interrupt_heeded`].
    pub fn is_interrupt_heeded(&self, turn: u64) -> bool {
        self.shared.front.segment().is_interrupt_heeded(self.session().cell(turn))
    }

    /// As [`crate::local::Local::cell_host_changed`].
    pub fn cell_host_changed(&self, pid: u32, takeover: bool) {
        self.shared.front.tell(FromFront::CellHost { pid, takeover });
    }

    /// Tells the runtime's web page of a cell that has begun or ended.
    pub fn tell_cell(&self, record: CellRecord) {
        self.shared.front.tell(FromFront::Cell(record));
    }

    /// Returns when what the runtime has sent by now has been given to the observer.
    pub fn flush(&self) {
        if self.has_ended() {
            return;
        }
        let mut flushes = self.shared.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        flushes.0 += 1;
        let wanted = flushes.0;
        self.shared.front.tell(FromFront::Flush { number: wanted });
        let is_missing = |flushes: &mut (u64, u64)| flushes.1 < wanted && !self.has_ended();
        let waited = self.shared.flushed.wait_timeout_while(flushes, FLUSH_MAX, is_missing);
        drop(waited);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shared.is_leaving.store(true, Ordering::Release);
        self.shared.front.hang_up();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Passes on what the runtime says, until it is gone.
fn listen(shared: &Arc<Shared>, owner: u32) {
    while let Some(told) = shared.front.next() {
        match told {
            ToFront::Event(event) => shared.observer.event(event),
            ToFront::Failed { number, mut failure, is_shown } => {
                locate_causes(&*shared.observer, &mut failure.cause);
                shared.front.tell(FromFront::Located { number, cause: failure.cause.clone() });
                if is_shown {
                    shared.observer.event(RuntimeEvent::TaskFailed(failure));
                }
            }
            ToFront::Comm { client, req, cell, call } => {
                let shared_too = Arc::clone(shared);
                let reply = move |answer| shared_too.front.tell(FromFront::Comm { client, req, answer });
                shared.observer.comm(cell, call, CommReply::new(reply));
            }
            ToFront::Flushed { number } => {
                shared.flushes.lock().unwrap_or_else(PoisonError::into_inner).1 = number;
                shared.flushed.notify_all();
            }
        }
    }
    shared.has_ended.store(true, Ordering::Release);
    shared.flushed.notify_all();
    if shared.is_leaving.load(Ordering::Acquire) {
        return;
    }
    let what = if ends_now(owner) {
        shared.front.close_for_all();
        "has ended"
    } else {
        "has dropped this session"
    };
    shared.observer.event(RuntimeEvent::Notice(format!(
        "the runtime that this session had joined {what}: its tasks, actors and objects are gone; `init_with(Config::connect(\"auto\"))` joins \
         another one, `shutdown()` goes back to the session's own"
    )));
    shared.observer.left();
}

/// Whether a process has ended, or does within a moment: what it had open is closed while it ends.
fn ends_now(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    process.is_none_or(|process| {
        fds::wait_ready(process, PollFlags::IN, Some(Instant::now() + ENDS_WITHIN)).unwrap_or(true)
    })
}
