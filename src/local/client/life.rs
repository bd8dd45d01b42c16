//! How a process becomes a client, and what a cell host does besides.

use super::super::inbox::{Inbox, Incoming};
use super::super::memory::Draft;
use super::{Client, send_all};
use crate::local::handles::News;
use crate::protocol::{ObjectId, PROTOCOL_VERSION, RegionInfo, Role, ToClient, ToHead, encode};
use crate::store::Mapping;
use crossbeam::atomic::AtomicCell;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A region that is mapped, and what it is.
type Memory = (RegionInfo, Arc<Mapping>);

static CURRENT: AtomicCell<Option<&'static Client>> = AtomicCell::new(None);

/// Why a process cannot become a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The runtime cannot be reached.
    #[error("the runtime at {} cannot be reached", socket.display())]
    Unreachable {
        /// Where it was looked for.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It was reached and does not take this process.
    #[error("the runtime does not take this process: {reason}")]
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
    super::super::table::guard_forks();
    install(Client::connect(socket, Role::Driver, None)?);
    Ok(())
}

/// Connects a plain program, whose references end with it.
///
/// # Errors
/// See [`ConnectError`].
pub fn connect_program(socket: &Path) -> Result<(), ConnectError> {
    install(Client::connect(socket, Role::Program, None)?);
    Ok(())
}

/// A cell begins: from here on, references to older objects are given back only when it ends. Call it before the twin is
/// forked.
pub fn begin_cell(cell: u64) {
    if let Some(client) = current() {
        {
            let mut state = client.state();
            state.handles.cell_began();
            (state.cell, state.is_interruptible) = (cell, true);
        }
        client.flush();
    }
}

/// The cell has ended and cannot be undone.
pub fn end_cell() {
    if let Some(client) = current() {
        {
            let mut state = client.state();
            let released = state.handles.cell_ended();
            state.is_interruptible = false;
            released.into_iter().for_each(|id| state.report(id, News::Release { is_shared: true }));
        }
        client.flush();
    }
}

/// This process was a twin, forked with `fork(3)` by a process whose place it now takes: connects anew and keeps exactly
/// the references that it was forked with. Objects that were half-made then are gone.
///
/// # Errors
/// See [`ConnectError`].
pub fn take_over() -> Result<(), ConnectError> {
    let dead = CURRENT.load().ok_or(ConnectError::NotConnected)?;
    // This end is shared with the dead process and everything that it has forked.
    let _ = rustix::net::shutdown(dead.inbox.socket(), Shutdown::Both);
    // Free, because `fork` waited until it was: see `table::guard_forks`.
    let mut state = match dead.state.try_lock() {
        Ok(mut state) => std::mem::take(&mut *state),
        Err(_) => return Err(ConnectError::Refused { reason: "it was not forked with fork(3)".into() }),
    };
    let held = state.handles.taken_over();
    let client = Client::connect(&dead.path, Role::Driver, Some((held, dead.inbox.region())))?;
    // Their space was the dead process's and has been taken back.
    state.drafts.retain(|draft| matches!(draft, Draft::Private(_)));
    state.calls.clear();
    state.unsay();
    state.object_next = 0;
    state.is_interruptible = false;
    *client.state() = state;
    install(client);
    Ok(())
}

/// The process's client, if it has one.
pub fn current() -> Option<&'static Client> {
    CURRENT.load()
}

/// Makes the client the process's own, for good.
pub(crate) fn install(client: Client) -> &'static Client {
    let client: &'static Client = Box::leak(Box::new(client));
    CURRENT.store(Some(client));
    client
}

impl Client {
    fn connect(path: &Path, role: Role, twin: Option<(Vec<ObjectId>, Memory)>) -> Result<Client, ConnectError> {
        let unreachable = |errno: Errno| ConnectError::Unreachable { socket: path.into(), source: errno.into() };
        let address = SocketAddrUnix::new(path).map_err(unreachable)?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(unreachable)?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address)).map_err(unreachable)?;
        let (takeover, region) = twin.unzip();
        Client::greet(socket, path, role, takeover, region)
    }

    /// Makes a client of a connected socket. `region` is what is mapped already.
    pub(crate) fn greet(
        socket: OwnedFd,
        path: &Path,
        role: Role,
        takeover: Option<Vec<ObjectId>>,
        region: Option<Memory>,
    ) -> Result<Client, ConnectError> {
        let refused = |reason: String| ConnectError::Refused { reason };
        let hello = ToHead::Hello { version: PROTOCOL_VERSION, role, pid: std::process::id(), takeover };
        let mut bytes = Vec::new();
        encode(&hello, &mut bytes).map_err(|error| refused(error.to_string()))?;
        send_all(&socket, &bytes).map_err(|error| refused(error.to_string()))?;
        let mut incoming = Incoming::default();
        let (id, info) = loop {
            match incoming.take().map_err(refused)? {
                Some(ToClient::Welcome { client, region }) => break (client, region),
                Some(_) => {}
                None => incoming.receive(&socket, true).map_err(refused)?,
            }
        };
        let region = match region {
            // A twin has views into this mapping.
            Some((known, mapping)) if known == info => {
                incoming.skip();
                (info, mapping)
            }
            _ => {
                let mapping = incoming.map(&info).map_err(refused)?;
                (info, mapping)
            }
        };
        let inbox = Inbox::new(socket, incoming, region);
        Ok(Client { id, path: path.into(), inbox, state: Mutex::default(), writer: Mutex::default() })
    }
}
