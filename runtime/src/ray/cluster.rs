//! The front process's side of a Ray cluster: the session with it, and what its cell host refers to there.
//!
//! ```text
//!   cell host ──ToCluster──▶ hosts.rs ─▶ submit.rs, answers.rs ─▶ Session (transport/) ─▶ Ray
//!             ◀─FromCluster─ the outbox ◀── results.rs, logs.rs ◀────────┘
//! ```
//!
//! Each task has two results on the cluster, as `worker.py` says: a head, which is fetched as soon as it is there and says how the task ended,
//! and a payload, which is fetched when a cell wants the value.
//!
//! # Invariants
//! - The cluster is told of an object's end (`Ref` is dropped) when neither the cell host nor another object refers to it.
//! - Nothing blocks, and no function of the observer is called, under the state's lock.

mod answers;
mod boot;
mod failures;
mod hosts;
mod libraries;
mod logs;
mod results;
mod runs;
mod submit;
mod table;
mod values;

use super::transport::{ConnectError, ConnectOptions, GiveUp, Ref, Session};
use super::wire::{FromCluster, Parcel};
use crate::abi::held::{Held, none_here};
use crate::abi::{Failed, Failure, TaskCounts};
use crate::local::{Observer, Outbox};
use boot::Boot;
use bytes::Bytes;
use runs::Runs;
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

/// Why a session cannot join a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The cluster cannot be reached, or refuses the session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster cannot run the cells.
    #[error("{message}")]
    Unfit {
        /// Why, and what would.
        message: String,
    },
    /// The system has no room for it.
    #[error("this process cannot listen for its cells")]
    System(#[from] std::io::Error),
}

/// A session on a Ray cluster. Dropping it leaves: what is not detached ends.
pub struct Cluster {
    shared: Arc<Shared>,
    socket: PathBuf,
}

struct Shared {
    address: String,
    session: Session,
    boot: Boot,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Something has come from the log of a worker.
    logged: Condvar,
}

#[derive(Default)]
struct State {
    objects: HashMap<u64, Object>,
    host: Option<Host>,
    hosts: u64,
    /// Descriptions of libraries by their paths, and the hashes of what is on the cluster.
    libraries: HashMap<String, Arc<str>>,
    stored: HashSet<String>,
    /// Those of them that no other session can have.
    own: Vec<String>,
    /// Functions on the cluster, by what they are made of.
    functions: HashMap<submit::Made, Ref>,
    classes: HashMap<String, Ref>,
    /// Actors with names, which live on until the session ends.
    lasting: Vec<Ref>,
    errors: VecDeque<Failed>,
    /// Tasks whose failures were told.
    told: HashSet<u64>,
    runs: Runs,
    notes: logs::Notes,
    heeded: Option<u64>,
    /// Why the session has ended, if it has.
    closed: Option<String>,
    /// Whether it has left by itself.
    is_left: bool,
}

/// The cell host that is connected.
struct Host {
    number: u64,
    socket: Arc<OwnedFd>,
    outbox: Arc<Outbox<Parcel<FromCluster>>>,
}

/// An object of the cluster that this session knows.
struct Object {
    /// Whether the cell host refers to it.
    is_held: bool,
    /// How many objects have it in their values.
    inside: u32,
    place: Place,
    end: End,
    /// Whether its head was asked for.
    is_watched: bool,
    /// The objects in its value.
    refs: Vec<u64>,
}

/// Where an object is.
#[derive(Clone)]
enum Place {
    /// Its head is known, and this is its payload.
    Known { inline: Option<Bytes>, payload: Option<Ref> },
    /// The results of a task.
    Results { head: Ref, payload: Ref },
    /// An actor, and its name in the log of its worker, if that is known.
    Actor(Ref, Arc<str>),
}

/// How an object is.
enum End {
    Pending,
    Ready,
    Failed(Box<Failure>),
}

impl Cluster {
    /// Joins the cluster at this address, such as `ray://host:10001`. `folder` is the session's own, for the socket of its cell host. Whoever does not
    /// wait for it any more says so by `given_up`.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn join(
        address: &str,
        namespace: Option<String>,
        folder: &Path,
        observer: Arc<dyn Observer>,
        given_up: &GiveUp,
    ) -> Result<Cluster, ClusterError> {
        let options = ConnectOptions { namespace, given_up: given_up.clone(), ..ConnectOptions::default() };
        let session = Session::connect(address, options)?;
        let boot = Boot::new(&session).map_err(|message| ClusterError::Unfit { message })?;
        let state = Mutex::default();
        let address = address.to_owned();
        let shared = Arc::new(Shared { address, session, boot, observer, state, logged: Condvar::new() });
        shared.listen_to_cluster();
        shared.sweep_libraries();
        let socket = hosts::listen(folder, &shared)?;
        Ok(Cluster { shared, socket })
    }

    /// Where the cell host connects.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the session with the cluster has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.state().closed.is_some()
    }

    /// As [`crate::local::Local::interrupt`].
    pub fn interrupt(&self, turn: u64) {
        self.shared.tell(FromCluster::Interrupt { turn }.into());
    }

    /// As [`crate::local::Local::is_interrupt_heeded`].
    pub fn is_interrupt_heeded(&self, turn: u64) -> bool {
        self.shared.state().heeded == Some(turn)
    }
}

/// A count of a session's tasks on a cluster, as [`crate::client::Tally`] is of those of a runtime.
pub struct ClusterTally {
    shared: Weak<Shared>,
    since: u64,
}

impl Cluster {
    /// A count of its tasks.
    pub fn tally(&self) -> ClusterTally {
        ClusterTally { shared: Arc::downgrade(&self.shared), since: 0 }
    }
}

impl ClusterTally {
    /// Passes over the tasks that have ended up to now: they will not be counted.
    pub fn skip(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            self.since = shared.state().runs.now();
        }
    }

    /// Counts the tasks of `cell` and of later cells, by cell and function; `None`: the session has left the cluster.
    pub fn look(&self, cell: u64) -> Option<Vec<TaskCounts>> {
        Some(self.shared.upgrade()?.state().runs.counts(cell, self.since))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let left = State { closed: Some("the session has left it".into()), is_left: true, ..State::default() };
        let state = std::mem::replace(&mut *self.shared.state(), left);
        hosts::stop(&self.socket);
        if let Some(host) = &state.host {
            host.hang_up();
        }
        self.shared.remove_libraries(&state.own);
        // References go without the lock, and before the session that they are of.
        drop(state);
        self.shared.session.clone().close();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> Held<'_, State> {
        none_here("the state is locked again");
        Held::new(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says something to the cell host, if there is one.
    fn tell(&self, parcel: Parcel<FromCluster>) {
        let outbox = self.state().host.as_ref().map(|host| Arc::clone(&host.outbox));
        if let Some(outbox) = outbox {
            outbox.put(parcel, 1);
        }
    }

    fn listen_to_cluster(self: &Arc<Shared>) {
        let shared = Arc::downgrade(self);
        self.session.on_log(Box::new({
            let shared = shared.clone();
            move |log| {
                if let Some(shared) = shared.upgrade() {
                    shared.logged(&log);
                }
            }
        }));
        self.session.on_end(Box::new(move |reason| {
            if let Some(shared) = shared.upgrade() {
                shared.ended(reason);
            }
        }));
    }

    /// The session with the cluster has ended.
    fn ended(&self, reason: String) {
        if self.state().closed.replace(reason.clone()).is_some() {
            return;
        }
        self.observer.event(crate::protocol::RuntimeEvent::Notice(format!(
            "the session with the Ray cluster at {} has ended: {reason}; `shutdown()` and a new `init_with` join one again",
            self.address
        )));
        self.tell(FromCluster::Closed { reason }.into());
        self.observer.left();
    }

    /// Forgets what nobody refers to any more. What goes is returned, to be dropped without the lock.
    #[must_use]
    fn free(state: &mut State, ids: Vec<u64>) -> Vec<Object> {
        let (mut ids, mut gone) = (ids, Vec::new());
        while let Some(id) = ids.pop() {
            let is_unused = state.objects.get(&id).is_some_and(|object| !object.is_held && object.inside == 0);
            let Some(object) = is_unused.then(|| state.objects.remove(&id)).flatten() else { continue };
            for inner in &object.refs {
                if let Some(inside) = state.objects.get_mut(inner) {
                    inside.inside -= 1;
                }
            }
            ids.extend_from_slice(&object.refs);
            gone.push(object);
        }
        gone
    }
}
