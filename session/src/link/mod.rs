//! The front process's connection to the cell host: one thread that reads the host's output, commits checkpoints, and promotes a twin.
//!
//! ```text
//! mod         the handle, and what it shares with the thread
//! supervisor  the thread: the cell host's life, messages and death
//! output      the host's two output pipes, made into events
//! stdin       the host's standard input
//! ```
//!
//! The thread is the only one that talks to cell hosts and writes to evcxr's result pipe. Other threads record a request in [`Shared`] and
//! signal [`Shared::wake`].

pub mod blocks;
mod output;
mod stdin;
pub mod stream;
mod supervisor;
pub mod wire;

use crate::comms::Comms;
use crate::event::{CellId, InputReader, Turn};
use crate::host::Host;
use crate::outlet::Outlet;
use crate::reports::record::Record;
use crate::reports::sources::Sources;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use supervisor::Hosts;

/// How long the last processes may take to end before the link kills them.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// After so long an interrupted cell has met the interrupt in a runtime call, or makes no such calls.
const ATTENTION: Duration = Duration::from_millis(50);

/// How long a cell host may take to arrive, before cells run that cannot be undone.
const ARRIVAL_MAX: Duration = Duration::from_secs(5);

/// How long the report of a failed task waits for the cell to end with that failure.
const HELD_FOR: Duration = Duration::from_millis(200);

/// How many task failures of a cell are recorded. A cell that goes on after a thousand does not end with one of them.
const SHOWN_FAILURES_MAX: usize = 1000;

/// The state shared by the link's thread and the session.
pub struct Shared {
    state: Mutex<State>,
    wake: OwnedFd,
    /// Told when there is a cell host.
    arrived: Condvar,
}

struct State {
    /// The cell that runs, or ran last. Output belongs to it.
    cell: CellId,
    /// How many cells and callbacks have begun.
    turn: Turn,
    running: bool,
    /// What has been learnt of the cell so far.
    record: Record,
    interrupt: Interrupt,
    /// The checkpoint of the present state; `None` until there is a cell host.
    checkpoint: Option<u64>,
    /// The oldest checkpoint of which a twin is kept; the same if none is.
    oldest: u64,
    /// The cell before which an older twin was made that took over; cleared when the session asks.
    gone_back: Option<CellId>,
    /// What runs is no cell of a person's: it reads the variables.
    is_look: bool,
    /// The variables that a cell has told, as JSON.
    variables: Option<String>,
    /// How many bytes a cell may take beyond what its process has.
    memory: Option<u64>,
    /// Answers the cell's questions.
    input: Option<InputReader>,
    sources: Arc<Sources>,
    /// When the record's held failures are to be shown, if it has any.
    held_until: Option<Instant>,
    /// The session is ending: a running cell is killed, and no twin takes over.
    closing: bool,
    /// The link itself is to end, by this time at the latest.
    stop: Option<Instant>,
}

/// How far an interrupt has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    None,
    /// The cell was asked to stop. The first time is when to check on it next; at the second, its process is killed.
    Asked(Instant, Instant),
    /// The cell's process is to be killed now.
    Now,
    /// The cell's process was killed.
    Killed,
}

/// The link. Dropping it ends its thread.
pub struct Link {
    shared: Arc<Shared>,
    socket: PathBuf,
    host: Arc<dyn Host>,
    grace: Duration,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Link {
    /// Starts the link's thread.
    ///
    /// # Errors
    /// The socket or the pipes cannot be made.
    pub fn start(
        host: Arc<dyn Host>,
        outlet: Arc<dyn Outlet>,
        comms: Arc<Comms>,
        sources: Arc<Sources>,
        grace: Duration,
    ) -> Result<Link, Errno> {
        let socket = host.session_dir().join("cells.sock");
        let listener = listen(&socket)?;
        let state = State {
            cell: CellId(0),
            turn: Turn(0),
            running: false,
            record: Record::default(),
            interrupt: Interrupt::None,
            checkpoint: None,
            oldest: 0,
            gone_back: None,
            is_look: false,
            variables: None,
            memory: None,
            input: None,
            sources,
            held_until: None,
            closing: false,
            stop: None,
        };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { state: Mutex::new(state), wake, arrived: Condvar::new() });
        let mut hosts = Hosts::new(shared.clone(), host.clone(), outlet.clone(), comms, listener)?;
        let ringer = shared.clone();
        outlet.when_room(Box::new(move || ringer.ring()));
        let thread = std::thread::Builder::new()
            .name("mobula-link".into())
            .spawn(move || hosts.run())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(Link { shared, socket, host, grace, thread: Some(thread) })
    }

    /// The socket that the cell host connects to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A cell begins: from here on, output belongs to `cell`.
    pub fn begin(&self, cell: CellId, input: Option<InputReader>) {
        let mut state = self.shared.lock();
        state.cell = cell;
        state.turn.0 += 1;
        state.running = true;
        state.interrupt = Interrupt::None;
        state.record = Record::default();
        state.input = input;
        state.is_look = false;
    }

    /// The cell that output belongs to.
    pub fn cell(&self) -> CellId {
        self.shared.lock().cell
    }

    /// The variables are about to be read. Output goes on to belong to the last cell.
    pub fn begin_look(&self) {
        let cell = self.shared.lock().cell;
        self.begin(cell, None);
        self.shared.lock().is_look = true;
    }

    /// Interrupts the reading of variables, if that runs; the second time, kills its process.
    pub fn interrupt_look(&self) {
        if self.shared.lock().is_look {
            self.interrupt();
        }
    }

    /// Callbacks of an earlier cell begin: until [`Link::end_callbacks`], output belongs to `cell`. Returns the cell that it belonged to.
    pub fn begin_callbacks(&self, cell: CellId) -> CellId {
        let before = self.shared.lock().cell;
        self.begin(cell, None);
        before
    }

    /// The callbacks have ended, and output belongs to `before` again. Returns what was learnt of them.
    pub fn end_callbacks(&self, before: CellId) -> Record {
        let record = self.end();
        self.shared.lock().cell = before;
        record
    }

    /// Takes a failed task's report if `cell` runs: it is shown in a moment, unless the cell ends with that failure before.
    pub fn hold_failure(&self, cell: CellId, report: &str) -> bool {
        let mut state = self.shared.lock();
        let holds = state.running && state.cell == cell && state.record.shown_failures.len() < SHOWN_FAILURES_MAX;
        if holds {
            state.held_until.get_or_insert_with(|| Instant::now() + HELD_FOR);
            state.record.held_failures.push(report.to_owned());
            drop(state);
            self.shared.ring();
        }
        holds
    }

    /// The cell before which the present variables were made, if an older twin has taken over since the last call.
    pub fn take_gone_back(&self) -> Option<CellId> {
        self.shared.lock().gone_back.take()
    }

    /// A new cell host is about to be started.
    pub fn expect_host(&self) {
        self.shared.lock().checkpoint = None;
    }

    /// The checkpoint of the present state of the variables. Waits for a cell host that is being started; `None`: it does not come.
    pub fn checkpoint(&self) -> Option<u64> {
        let state = self.shared.lock();
        let waited = self.shared.arrived.wait_timeout_while(state, ARRIVAL_MAX, |state| state.checkpoint.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.checkpoint
    }

    /// From the next run on, no twin with a checkpoint before this one is kept.
    pub fn keep_from(&self, oldest: u64) {
        self.shared.lock().oldest = oldest;
    }

    /// The variables that a cell has told since the last call, as JSON.
    pub fn take_variables(&self) -> Option<String> {
        self.shared.lock().variables.take()
    }

    /// Limits how much memory each later cell may take beyond what its process has.
    pub fn limit_memory(&self, bytes: Option<u64>) {
        self.shared.lock().memory = bytes;
    }

    /// The cell has ended. Returns what was learnt of it.
    pub fn end(&self) -> Record {
        let mut state = self.shared.lock();
        state.running = false;
        state.is_look = false;
        state.input = None;
        state.held_until = None;
        state.record.interrupted |= state.interrupt != Interrupt::None;
        state.interrupt = Interrupt::None;
        std::mem::take(&mut state.record)
    }

    /// Interrupts the running cell, if there is one; the second time, kills its process.
    pub fn interrupt(&self) {
        let mut state = self.shared.lock();
        if !state.running {
            return;
        }
        let turn = state.turn;
        state.interrupt = match state.interrupt {
            Interrupt::None => Interrupt::Asked(Instant::now() + ATTENTION, Instant::now() + self.grace),
            Interrupt::Asked(..) => Interrupt::Now,
            already => already,
        };
        drop(state);
        self.host.interrupt(turn);
        self.shared.ring();
    }

    /// The session is ending: a running cell is killed, and no twin takes over. An idle host ends when evcxr closes its command pipe.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.ring();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
        self.shared.lock().stop = Some(Instant::now() + FAREWELL_MAX);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    /// The failures of tasks that were held back, which are shown now.
    fn show_held_failures(&mut self) -> Vec<String> {
        self.held_until = None;
        let held = std::mem::take(&mut self.record.held_failures);
        self.record.shown_failures.extend(held.iter().cloned());
        held
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// Writes all bytes; `false` on an error, such as a pipe without a reader.
fn write_all(to: &OwnedFd, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn listen(path: &Path) -> Result<OwnedFd, Errno> {
    let listener = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    rustix::net::listen(&listener, 8)?;
    Ok(listener)
}
