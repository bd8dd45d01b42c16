//! The engine of a cell host whose session has joined a Ray cluster: objects by id, and the connection to the front process.
//!
//! ```text
//!   cell ──Table──▶ this file ──ToCluster──▶ front process (cluster.rs) ──▶ Ray
//!                       ▲ the reader's thread ◀─FromCluster─┘
//! ```
//!
//! What this process knows of its objects is in its own memory, so that a twin, which is forked from it, knows what it knew. While a cell
//! runs, last references to older objects are kept back, as `client/references.rs` does: until the cell has ended, a twin may come back that
//! still has them.
//!
//! # Invariants
//! - Nothing blocks, and no user code runs, under the state's lock.
//! - An object is in the table from its first reference until the front process has been told of the release of its last one.

mod engine;
mod fork;
mod questions;

use super::wire::{self, Content, FromCluster, Incoming, Parcel, ToCluster};
use crate::abi::desk::Desk;
use crate::abi::engine::Fallible;
use crate::abi::held::{Held, none_here};
use crate::abi::{Answer, Failure, Fault, Notify};
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use questions::{join_driver, register};

/// A cell host's side of a cluster.
pub(crate) struct RayClient {
    /// Where the front process listens.
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    /// The connection. Replaced in a twin that takes over.
    socket: Mutex<Arc<OwnedFd>>,
}

/// What a process knows of the cluster. A twin has a copy.
#[derive(Default)]
struct State {
    desk: Desk<Kept>,
    objects: HashMap<u64, Object>,
    /// Objects that futures await.
    watched: Vec<(u64, Notify)>,
    /// Answers that came, by the number of the question; `None` while one is awaited.
    answers: HashMap<u64, Option<Result<Answer, Fault>>>,
    asked: u64,
    /// Last references to objects that are older than the cell, which is not final.
    kept: Vec<u64>,
    /// The cell that runs here, or ran last, and the number that an interrupt of it has.
    cell: u64,
    turn: u64,
    is_running: bool,
    /// Whether a cell has begun and is not final.
    keeps_back: bool,
    /// Goes up when a cell begins.
    period: u64,
    interrupted: Option<u64>,
    /// Why the session with the cluster has ended, if it has.
    closed: Option<String>,
}

/// What keeps the bytes of a view. The object stays as long.
struct Kept {
    _bytes: Content,
    id: u64,
}

struct Object {
    count: u64,
    /// The period in which this process got to know it.
    since: u64,
    is_kept: bool,
    end: End,
}

/// How an object is.
enum End {
    Pending,
    Ready {
        /// `None`: the value is large, and the front process has it fetched when it is wanted.
        value: Option<Content>,
        is_wanted: bool,
    },
    Failed(Box<Failure>),
}

/// What ends a call that blocks.
enum Stop {
    Interrupted,
    Closed(String),
    TimedOut,
}

impl From<Stop> for Box<Fault> {
    fn from(stop: Stop) -> Box<Fault> {
        Box::new(match stop {
            Stop::Interrupted => Fault::Interrupted,
            Stop::Closed(reason) => Fault::Disconnected { reason },
            Stop::TimedOut => Fault::Disconnected { reason: "the cluster does not answer".into() },
        })
    }
}

impl State {
    fn insert(&mut self, id: u64, end: End) {
        let since = self.period;
        self.objects.insert(id, Object { count: 1, since, is_kept: false, end });
    }

    /// Counts one reference less. True when the front process is to be told that there is none any more.
    #[must_use]
    fn release(&mut self, id: u64) -> bool {
        let (keeps_back, period) = (self.keeps_back, self.period);
        let Some(object) = self.objects.get_mut(&id).filter(|object| object.count > 0) else { return false };
        object.count -= 1;
        if object.count > 0 {
            return false;
        }
        if keeps_back && object.since < period {
            if !std::mem::replace(&mut object.is_kept, true) {
                self.kept.push(id);
            }
            return false;
        }
        self.objects.remove(&id);
        true
    }

    /// Counts one reference more. False when the object is not known here.
    fn retain(&mut self, id: u64) -> bool {
        let Some(object) = self.objects.get_mut(&id) else { return false };
        object.count += 1;
        true
    }

    /// The cell is final: its last references to older objects go now.
    fn cell_is_final(&mut self) -> Vec<u64> {
        self.keeps_back = false;
        let kept = std::mem::take(&mut self.kept);
        let mut gone = Vec::new();
        for id in kept {
            let Some(object) = self.objects.get_mut(&id) else { continue };
            object.is_kept = false;
            if object.count == 0 {
                self.objects.remove(&id);
                gone.push(id);
            }
        }
        gone
    }

    fn is_interrupted(&self) -> bool {
        self.is_running && self.interrupted == Some(self.turn)
    }

    fn is_finished(&self, id: u64) -> bool {
        // One that does not exist is finished, too: opening it says what is wrong.
        self.objects.get(&id).is_none_or(|object| !matches!(object.end, End::Pending))
    }

    /// Takes in a message, with its bytes. Returns who awaited what it is about.
    fn learn(&mut self, message: FromCluster, mut value: Option<Content>) -> Vec<(u64, Notify)> {
        match message {
            FromCluster::Ready { id, .. } => {
                if let Some(object) = self.objects.get_mut(&id) {
                    object.end = End::Ready { value: value.take(), is_wanted: false };
                }
                self.watched.extract_if(.., |(watched, _)| *watched == id).collect()
            }
            FromCluster::Failed { id, failure } => {
                if let Some(object) = self.objects.get_mut(&id) {
                    object.end = End::Failed(failure);
                }
                self.watched.extract_if(.., |(watched, _)| *watched == id).collect()
            }
            FromCluster::Fetched { id, .. } => {
                if let Some(object) = self.objects.get_mut(&id) {
                    object.end = End::Ready { value, is_wanted: false };
                }
                Vec::new()
            }
            FromCluster::Answered { req, answer } => {
                if let Some(place) = self.answers.get_mut(&req) {
                    *place = Some(answer);
                }
                Vec::new()
            }
            FromCluster::Interrupt { turn } => {
                self.interrupted = Some(turn);
                // Whoever awaits something has to look.
                if self.is_interrupted() { std::mem::take(&mut self.watched) } else { Vec::new() }
            }
            FromCluster::Closed { reason } => {
                self.closed.get_or_insert(reason);
                std::mem::take(&mut self.watched)
            }
        }
    }
}

impl RayClient {
    /// Connects to the front process. `held` are the objects that this process knows already.
    fn dial(path: &Path, held: Vec<u64>) -> io::Result<Arc<OwnedFd>> {
        let address = SocketAddrUnix::new(path)?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
        wire::send(&socket, &Parcel::from(ToCluster::Hello { version: wire::VERSION, held }))?;
        Ok(Arc::new(socket))
    }

    /// A client that listens, for the rest of the process.
    ///
    /// # Errors
    /// The front process cannot be reached.
    fn connect(path: &Path) -> io::Result<&'static RayClient> {
        let socket = RayClient::dial(path, Vec::new())?;
        let (state, changed, path) = (Mutex::default(), Condvar::new(), path.to_owned());
        let client: &'static RayClient =
            Box::leak(Box::new(RayClient { path, state, changed, socket: Mutex::new(Arc::clone(&socket)) }));
        client.listen(socket)?;
        Ok(client)
    }

    /// Reads this connection in a thread of its own.
    fn listen(&'static self, socket: Arc<OwnedFd>) -> io::Result<()> {
        let read = move || {
            let mut incoming = Incoming::default();
            let reason = loop {
                match incoming.next::<FromCluster>(&*socket) {
                    Ok(Some(message)) => {
                        if let Err(error) = self.take_in(message, &mut incoming) {
                            break format!("a value cannot be read: {error}");
                        }
                    }
                    Ok(None) => break "the front process has closed it".into(),
                    Err(error) => break format!("the front process sends nonsense: {error}"),
                }
            };
            self.tell_all(FromCluster::Closed { reason }, None);
        };
        std::thread::Builder::new().name("mobula-cluster".into()).spawn(read).map(drop)
    }

    fn take_in(&self, message: FromCluster, incoming: &mut Incoming) -> io::Result<()> {
        let (message, body) = match message {
            FromCluster::Ready { id, refs, body } => (FromCluster::Ready { id, refs, body: None }, body),
            FromCluster::Fetched { id, body } => {
                let empty = wire::Body::Inline(Vec::new());
                (FromCluster::Fetched { id, body: empty }, Some(body))
            }
            other => (other, None),
        };
        let value = body.map(|body| incoming.content(body)).transpose()?;
        self.tell_all(message, value);
        Ok(())
    }

    /// Takes in a message, and wakes who waits for it.
    fn tell_all(&self, message: FromCluster, value: Option<Content>) {
        let awaited = self.state().learn(message, value);
        self.changed.notify_all();
        awaited.into_iter().for_each(|(id, notify)| notify(id));
    }

    fn state(&self) -> Held<'_, State> {
        none_here("the state is locked again");
        Held::new(self.locked())
    }

    /// The state, for a thread that waits: a condition variable takes the guard itself.
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to the front process. Whoever waits for an answer notices when it is gone.
    fn say(&self, parcel: &Parcel<ToCluster>) -> Fallible<()> {
        none_here("a process writes to the front process");
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = wire::send(&**socket, parcel) {
            if error.kind() == io::ErrorKind::Other {
                let message = format!("this cannot be sent to the cluster: {error}");
                return Err(Box::new(Fault::Refused { message }));
            }
            tracing::debug!(%error, "the front process is gone");
        }
        Ok(())
    }

    fn tell(&self, message: ToCluster) {
        if let Err(fault) = self.say(&message.into()) {
            tracing::error!(?fault, "message not sent");
        }
    }

    /// Tells the front process which objects nobody here refers to any more.
    fn let_go(&self, ids: Vec<u64>) {
        if !ids.is_empty() {
            self.tell(ToCluster::Release { ids });
        }
    }

    /// Fails if the cell was interrupted. Every call of a cell begins with this.
    fn heed_interrupt(&self) -> Fallible<()> {
        let turn = {
            let state = self.state();
            state.is_interrupted().then_some(state.turn)
        };
        match turn {
            Some(turn) => {
                self.tell(ToCluster::Heeded { turn });
                Err(Stop::Interrupted.into())
            }
            None => Ok(()),
        }
    }

    /// Blocks until `look` finds something. What it finds goes before a passed deadline.
    fn block<T>(&self, deadline: Option<Instant>, mut look: impl FnMut(&mut State) -> Option<T>) -> Result<T, Stop> {
        none_here("a thread blocks");
        let mut state = self.locked();
        let stop = loop {
            if state.is_interrupted() {
                break Stop::Interrupted;
            }
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            if let Some(reason) = &state.closed {
                break Stop::Closed(format!("the session with the Ray cluster has ended: {reason}"));
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break Stop::TimedOut;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        let turn = state.turn;
        drop(state);
        if matches!(stop, Stop::Interrupted) {
            self.tell(ToCluster::Heeded { turn });
        }
        Err(stop)
    }

    fn hang_up(&self) {
        let _ = rustix::net::shutdown(&**self.socket.lock().unwrap_or_else(PoisonError::into_inner), Shutdown::Both);
    }
}
