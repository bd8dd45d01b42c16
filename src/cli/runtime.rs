//! The runtime as the session's [`Host`]: its own, or one of another process that it has joined.
//!
//! ```text
//!   session ──Host──▶ Runtime ─┬─ Local      the own one: always there, for the session's folder and the way back
//!                              └─ Elsewhere  the runtime or the cluster that it has joined, if it has: interrupts and deaths are told to both
//! ```

use super::cell_files::Files;
use super::cell_host::{CLUSTER, JOINED_ENV, RUNTIME_ENV};
use super::embedded::EMBEDDED_CRATE;
use super::web_page::WebPage;
use mobula::abi::{CellRecord, Joining, TaskCounts};
use mobula::attached::{Attached, JoinError, SessionId, find};
use mobula::client::{Reader, Tally};
use mobula::local::{JoinedAt, Local, Observer};
use mobula::ray::{self, Cluster, ClusterError, ClusterTally, GiveUp};
use mobula_session::{CellFiles, CellId, EmbeddedFile, Host, Outcome, TaskCounter, Turn};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What runs a session's tasks, if that is not its own runtime.
#[derive(Debug)]
pub enum Elsewhere {
    /// A runtime that another process owns.
    Runtime(Attached),
    /// A Ray cluster.
    Cluster(Cluster),
}

/// Why a session cannot join what it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// A runtime.
    #[error(transparent)]
    Runtime(#[from] JoinError),
    /// A cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cell that asked for it was interrupted, or its process died.
    #[error("nobody waits for it any more")]
    GivenUp,
}

impl Elsewhere {
    /// What a cell host has to know of it.
    pub fn at(&self) -> JoinedAt {
        match self {
            Elsewhere::Runtime(runtime) => {
                JoinedAt { socket: runtime.socket().to_owned(), session: runtime.session(), is_cluster: false }
            }
            Elsewhere::Cluster(cluster) => {
                JoinedAt { socket: cluster.socket().to_owned(), session: SessionId::OWNER, is_cluster: true }
            }
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Elsewhere::Runtime(runtime) => runtime.has_ended(),
            Elsewhere::Cluster(cluster) => cluster.has_ended(),
        }
    }

    fn interrupt(&self, turn: u64) {
        match self {
            Elsewhere::Runtime(runtime) => runtime.interrupt(turn),
            Elsewhere::Cluster(cluster) => cluster.interrupt(turn),
        }
    }

    fn is_interrupt_heeded(&self, turn: u64) -> bool {
        match self {
            Elsewhere::Runtime(runtime) => runtime.is_interrupt_heeded(turn),
            Elsewhere::Cluster(cluster) => cluster.is_interrupt_heeded(turn),
        }
    }

    /// A runtime of another process; its tables can be read.
    pub fn runtime(&self) -> Option<&Attached> {
        match self {
            Elsewhere::Runtime(runtime) => Some(runtime),
            Elsewhere::Cluster(_) => None,
        }
    }
}

/// What a session has joined, if it has.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    current: Arc<Mutex<Option<Arc<Elsewhere>>>>,
    /// The newest attempt to join something.
    attempt: Arc<Mutex<GiveUp>>,
}

/// An attempt to join something, which can be given up from elsewhere.
#[derive(Debug)]
pub struct Attempt(GiveUp);

impl Joined {
    /// Begins to join something. An attempt that was begun before and goes on is given up.
    pub fn attempt(&self) -> Attempt {
        let attempt = GiveUp::default();
        let mut newest = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *newest, attempt.clone()).now();
        Attempt(attempt)
    }

    /// Gives up what was begun and has not come to its end.
    pub fn give_up(&self) {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner).now();
    }

    /// It, if there is one.
    pub fn get(&self) -> Option<Arc<Elsewhere>> {
        self.lock().clone()
    }

    /// Joins what is at this address, in the place of what was joined before. The caller is no thread that passes events on. `folder` is the
    /// session's.
    ///
    /// # Errors
    /// See [`ElsewhereError`].
    pub fn join(
        &self,
        attempt: &Attempt,
        joining: Joining,
        folder: &Path,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Elsewhere>, ElsewhereError> {
        let joined = if ray::is_address(&joining.address) {
            Elsewhere::Cluster(Cluster::join(&joining.address, joining.namespace, folder, observer, &attempt.0)?)
        } else {
            let found = find(&joining.address).map_err(JoinError::from)?;
            Elsewhere::Runtime(Attached::join(found, joining, observer)?)
        };
        let joined = Arc::new(joined);
        {
            let mut current = self.lock();
            if !attempt.0.is_said() {
                *current = Some(joined.clone());
                return Ok(joined);
            }
        }
        // Left without the lock, because that waits for a thread.
        drop(joined);
        Err(ElsewhereError::GivenUp)
    }

    /// Whether it is this one; `None`: whether there is none.
    fn is(&self, other: &Option<Arc<Elsewhere>>) -> bool {
        self.lock().as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
    }

    /// Leaves it, and gives up what was begun before.
    pub fn leave(&self) {
        self.give_up();
        // Dropped without the lock, because that waits for a thread.
        let left = self.lock().take();
        drop(left);
    }

    /// Returns when the output of the joined runtime's tasks that came by now has been passed on.
    pub fn flush(&self) {
        if let Some(runtime) = self.get().as_deref().and_then(Elsewhere::runtime) {
            runtime.flush();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Elsewhere>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runtime of a session.
pub struct Runtime {
    session_dir: PathBuf,
    socket: PathBuf,
    /// `None` once the runtime has been ended.
    local: Mutex<Option<Local>>,
    joined: Joined,
    page: Arc<WebPage>,
}

impl Runtime {
    pub fn new(local: Local, joined: Joined, page: Arc<WebPage>) -> Runtime {
        let (session_dir, socket) = (local.session_dir().to_owned(), local.socket().to_owned());
        Runtime { session_dir, socket, local: Mutex::new(Some(local)), joined, page }
    }

    fn with_local(&self, work: impl FnOnce(&Local)) {
        if let Some(local) = &*self.local.lock().unwrap_or_else(PoisonError::into_inner) {
            work(local);
        }
    }

    /// Tells a joined runtime's web page of a cell.
    fn tell_cell(&self, record: CellRecord) {
        if let Some(runtime) = self.joined.get().as_deref().and_then(Elsewhere::runtime) {
            runtime.tell_cell(record);
        }
    }

    /// Ends the session's own runtime and leaves the one that it has joined.
    pub fn end(&self) {
        self.page.end();
        self.joined.leave();
        let local = self.local.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(local) = local {
            local.shutdown();
        }
    }
}

impl Host for Runtime {
    fn cell_files(&self) -> &dyn CellFiles {
        &Files
    }

    fn embedded_crate(&self) -> &'static [EmbeddedFile] {
        EMBEDDED_CRATE
    }

    fn session_dir(&self) -> PathBuf {
        self.session_dir.clone()
    }

    fn cell_host_env(&self) -> Vec<(String, String)> {
        let mut env = vec![(RUNTIME_ENV.into(), self.socket.to_string_lossy().into_owned())];
        if let Some(joined) = self.joined.get().filter(|joined| !joined.has_ended()) {
            let JoinedAt { socket, session, is_cluster } = joined.at();
            let session = if is_cluster { CLUSTER.to_owned() } else { session.0.to_string() };
            env.push((JOINED_ENV.into(), format!("{session}:{}", socket.display())));
        }
        env
    }

    fn interrupt(&self, turn: Turn) {
        self.with_local(|local| local.interrupt(turn.0));
        if let Some(joined) = self.joined.get() {
            joined.interrupt(turn.0);
        }
    }

    fn is_interrupt_heeded(&self, turn: Turn) -> bool {
        if let Some(joined) = self.joined.get().filter(|joined| !joined.has_ended()) {
            return joined.is_interrupt_heeded(turn.0);
        }
        let local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        local.as_ref().is_some_and(|local| local.is_interrupt_heeded(turn.0))
    }

    fn cell_began(&self, cell: CellId, code: &str) {
        let record = self.page.cells().began(cell, code);
        self.tell_cell(record);
    }

    fn cell_ended(&self, outcome: &Outcome) {
        if let Some(record) = self.page.cells().ended(outcome) {
            self.tell_cell(record);
        }
    }

    fn cell_host_changed(&self, pid: u32, takeover: bool) {
        self.page.cells().host_changed(pid);
        // The process that waited for it is gone.
        self.joined.give_up();
        self.with_local(|local| local.cell_host_changed(pid, takeover));
        if let Some(runtime) = self.joined.get().as_deref().and_then(Elsewhere::runtime) {
            runtime.cell_host_changed(pid, takeover);
        }
    }

    fn task_counter(&self) -> Option<Box<dyn TaskCounter>> {
        let joined = self.joined.get();
        let (socket, session) = match joined.as_deref() {
            Some(Elsewhere::Runtime(runtime)) => (runtime.socket(), runtime.session()),
            Some(Elsewhere::Cluster(cluster)) => {
                let tally = cluster.tally();
                return Some(Box::new(OnCluster { tally, counted: joined.clone(), joined: self.joined.clone() }));
            }
            None => (self.socket.as_path(), SessionId::OWNER),
        };
        let tally = Tally::new(Reader::connect(socket).ok()?, session);
        Some(Box::new(Counter { tally, counted: joined, joined: self.joined.clone() }))
    }
}

/// A count of the session's tasks in one runtime.
struct Counter {
    tally: Tally,
    /// The runtime, if it is not the session's own.
    counted: Option<Arc<Elsewhere>>,
    joined: Joined,
}

impl TaskCounter for Counter {
    fn skip(&mut self) {
        self.tally.skip();
    }

    fn count(&mut self, cell: CellId) -> Option<Vec<TaskCounts>> {
        if self.joined.is(&self.counted) { self.tally.look(cell.0).ok() } else { None }
    }
}

/// A count of the session's tasks on a cluster.
struct OnCluster {
    tally: ClusterTally,
    counted: Option<Arc<Elsewhere>>,
    joined: Joined,
}

impl TaskCounter for OnCluster {
    fn skip(&mut self) {
        self.tally.skip();
    }

    fn count(&mut self, cell: CellId) -> Option<Vec<TaskCounts>> {
        if self.joined.is(&self.counted) { self.tally.look(cell.0) } else { None }
    }
}
