//! Connecting a process to the runtime, and the calls that only a cell host makes.

use super::buffers::Draft;
use super::current::{current, go_home, home, install, replace};
use super::elsewhere::{elsewhere, go};
use super::fork_guard::guard_forks;
use super::inbox::{Inbox, Incoming};
use super::spin::Spin;
use super::state::State;
use super::watch::Watch;
use super::{Client, send_all};
use crate::protocol::{ArenaInfo, PROTOCOL_VERSION, Role, SessionId, Takeover, ToClient, ToHead, encode};
use crate::store::{Arena, Desk, Leases, Segment};
use crate::sync::Ordering;
use crate::sync::{AtomicU32, AtomicU64};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The mapped segment, and the mapped arena with its description.
type Memory = (Arc<Segment>, (ArenaInfo, Arc<Arena>));

/// Why a process cannot become a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The runtime cannot be reached.
    #[error("the runtime at {} cannot be reached", socket.display())]
    Unreachable {
        /// The socket's path.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The runtime was reached and does not take this process.
    #[error("the runtime refused this process: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// There is nothing to take over.
    #[error("this process was never connected to a runtime")]
    NotConnected,
}

/// Connects the process that runs cells. Its references outlive the connection; see
/// [`crate::local::Local::cell_host_changed`].
///
/// # Errors
/// See [`ConnectError`].
pub fn connect_driver(socket: &Path) -> Result<(), ConnectError> {
    guard_forks();
    install(Client::connect(socket, Role::Driver, SessionId::OWNER, None)?);
    Ok(())
}

/// Connects a plain program, whose references end with it.
///
/// # Errors
/// See [`ConnectError`].
pub fn connect_program(socket: &Path) -> Result<(), ConnectError> {
    install(Client::connect(socket, Role::Program, SessionId::OWNER, None)?);
    Ok(())
}

/// Begins a cell: from here on, references to older objects are given back only when it is final. Call it before the twin
/// is forked.
/// `turn` is the number that an interrupt of it has: the callbacks of a cell have another one than the cell.
pub fn begin_cell(cell: u64, turn: u64) {
    if let Some(elsewhere) = elsewhere() {
        elsewhere.begin_cell(cell, turn);
    }
    super::held_back::begin();
    if let Some(client) = current() {
        let mut state = client.state();
        state.handles.cell_began();
        let (cell, turn) = (client.session.cell(cell), client.session.cell(turn));
        (state.cell, state.turn, state.is_interruptible) = (cell, turn, true);
        client.segment.header().active.add(client.seat);
        // An interrupt of an earlier turn is over, so calls need not look at it any more. One of this turn may have
        // come already.
        let interrupted = &client.segment.desk(client.seat).interrupted;
        let before = interrupted.load(Ordering::Acquire);
        if before != turn + 1 && before != Desk::DROPPED {
            let _ = interrupted.compare_exchange(before, 0, Ordering::AcqRel, Ordering::Acquire);
            client.segment.desk(client.seat).heeded.store(0, Ordering::Release);
        }
    }
}

/// Ends the cell. A twin from before it may still come back: see [`cell_is_final`].
pub fn end_cell() {
    if let Some(elsewhere) = elsewhere() {
        elsewhere.end_cell();
    }
    if let Some(client) = current() {
        let mut state = client.state();
        state.is_interruptible = false;
        client.segment.header().active.remove(client.seat);
        let (desk, over) = (client.segment.desk(client.seat), state.turn + 1);
        let _ = desk.interrupted.compare_exchange(over, 0, Ordering::AcqRel, Ordering::Acquire);
        client.inbox.end_interrupt(state.turn);
        drop(state);
        client.segment.work_left();
    }
}

/// What has run here is final: no twin from before it comes back, so the references that were kept back are given back.
pub fn cell_is_final() {
    if let Some(elsewhere) = elsewhere() {
        elsewhere.cell_is_final();
    }
    if let Some(client) = current() {
        let said = client.state().cell_is_final();
        said.iter().for_each(|message| client.tell(message));
        client.segment.work_left();
    }
}

/// Lets this process, a twin forked with `fork(3)`, take the place of its dead original. It connects anew, takes the
/// same seat, and keeps exactly the references that it was forked with, and those that were kept back then unless what ran before
/// `is_final`. Objects that were half-made then are gone.
///
/// # Errors
/// See [`ConnectError`].
pub fn take_over(is_final: bool) -> Result<(), ConnectError> {
    if let Some(joined) = elsewhere()
        && let Err(error) = joined.take_over()
    {
        tracing::info!(%error, "what the session had joined is gone");
        go(None);
    }
    let now = current().ok_or(ConnectError::NotConnected)?;
    let home = home().filter(|home| !std::ptr::eq(*home, now));
    let Some(home) = home else { return now.taken_over(is_final) };
    home.taken_over(is_final)?;
    if let Err(error) = now.taken_over(is_final) {
        // What the session had joined may have ended, or dropped it. The variables are worth more.
        tracing::info!(%error, "the joined runtime is gone");
        go_home();
    }
    Ok(())
}

impl Client {
    /// Puts a client of this process, which is a twin, into the place of its original's.
    fn taken_over(&'static self, is_final: bool) -> Result<(), ConnectError> {
        let dead = self;
        // The socket is shared with the dead process and everything that it has forked.
        let _ = rustix::net::shutdown(dead.inbox.socket(), Shutdown::Both);
        let refused = |reason: &str| ConnectError::Refused { reason: reason.into() };
        // The lock is free, because `fork` waited until it was: see `fork_guard.rs`.
        let Ok(mut old) = dead.state.try_lock() else { return Err(refused("the process was not forked with fork(3)")) };
        let held = old.handles.taken_over(is_final);
        let memory = (Arc::clone(&dead.segment), old.arena.clone());
        let takeover = Takeover { seat: dead.seat, cell: old.cell, held };
        let client = Client::connect(&dead.path, Role::Driver, dead.session, Some((takeover, memory)))?;
        if client.seat != dead.seat {
            return Err(refused("the process was given another seat"));
        }
        // The dead process's leases and drafts have been taken back by the head.
        old.arena.1.lock_all();
        old.drafts.retain(|draft| matches!(draft, Draft::Private(_)));
        old.unlocked.clear();
        old.leases.begin_anew();
        old.running.clear();
        old.waiting = 0;
        old.watch = Watch::default();
        old.is_interruptible = false;
        {
            let mut state = client.state();
            std::mem::swap(&mut *state, &mut *old);
        }
        replace(dead, client);
        Ok(())
    }

    /// Connects this process as `role`.
    pub(crate) fn connect(
        path: &Path,
        role: Role,
        session: SessionId,
        twin: Option<(Takeover, Memory)>,
    ) -> Result<Client, ConnectError> {
        let unreachable = |errno: Errno| ConnectError::Unreachable { socket: path.into(), source: errno.into() };
        let address = SocketAddrUnix::new(path).map_err(unreachable)?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(unreachable)?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address)).map_err(unreachable)?;
        let (takeover, memory) = twin.unzip();
        Client::greet(socket, path, (role, session), takeover, memory)
    }

    /// Makes a client of a connected socket. `memory` is what is mapped already.
    pub(crate) fn greet(
        socket: OwnedFd,
        path: &Path,
        (role, session): (Role, SessionId),
        takeover: Option<Takeover>,
        memory: Option<Memory>,
    ) -> Result<Client, ConnectError> {
        let refused = |reason: String| ConnectError::Refused { reason };
        let hello = ToHead::Hello { version: PROTOCOL_VERSION, role, pid: std::process::id(), session, takeover };
        let mut bytes = Vec::new();
        encode(&hello, &mut bytes).map_err(|error| refused(error.to_string()))?;
        send_all(&socket, &bytes).map_err(|error| refused(error.to_string()))?;
        let mut incoming = Incoming::default();
        let (seat, session, limits, info, plain) = loop {
            match incoming.take().map_err(refused)? {
                Some(ToClient::Welcome { seat, session, limits, arena, plain, .. }) => {
                    break (seat, session, limits, arena, plain);
                }
                Some(_) => {}
                None => incoming.receive(&socket, true).map_err(refused)?,
            }
        };
        let control = incoming.descriptor().map_err(refused)?;
        // A twin keeps its mappings, because it has views into them.
        let (segment, arena) = match memory {
            Some((segment, (known, arena))) if known == info => {
                let _unneeded = (incoming.descriptor(), incoming.descriptor());
                (segment, arena)
            }
            Some((segment, _)) => (segment, incoming.map(&info).map_err(refused)?),
            None => {
                let segment = Segment::open(control, limits).map_err(|error| refused(error.to_string()))?;
                (Arc::new(segment), incoming.map(&info).map_err(refused)?)
            }
        };
        segment.set_arena(Arc::clone(&arena));
        if role == Role::Worker {
            // A process that a task forks must not touch them. A cell host's twin must have them.
            segment.keep_from_children();
            arena.keep_from_children();
        }
        let state = State::new(Leases::new(Arc::clone(&segment), seat), (info, arena));
        segment.desk(seat).pid.store(std::process::id(), Ordering::Relaxed);
        let inbox = Inbox::new(socket, incoming);
        let (state, writer, spin) = (Mutex::new(state), Mutex::new(()), Spin::default());
        Ok(Client {
            role,
            path: path.into(),
            segment,
            seat,
            session,
            plain,
            inbox,
            state,
            writer,
            spin,
            parked: AtomicU32::new(u32::MAX),
            hinted: AtomicU64::new(0),
            offers: AtomicU32::new(0),
            loans: Mutex::default(),
        })
    }
}
