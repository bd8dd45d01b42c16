//! The cell host's side of the runtime: forwards the session's calls to the local client.
#![allow(unsafe_code)] // One call: attaching a library that the session opened.

use mobula::attached::SessionId;
use mobula::client;
use mobula_session::{CellId, CellRuntime, Turn, cellhost};
use std::ffi::c_void;
use std::path::Path;

/// The environment variable that names the runtime's socket to the cell host.
pub const RUNTIME_ENV: &str = "MOBULA_RUNTIME_SOCKET";

/// The environment variable that names a joined runtime to the cell host: the session's number, or [`CLUSTER`], a colon, the socket.
pub const JOINED_ENV: &str = "MOBULA_RUNTIME_JOINED";

/// Stands for the session's number in the name of a Ray cluster.
pub const CLUSTER: &str = "ray";

/// Runs the cell host if this process was started as one; returns otherwise.
pub fn run_if_asked() {
    if !cellhost::is_asked_for() {
        return;
    }
    let Some(socket) = std::env::var_os(RUNTIME_ENV) else {
        eprintln!("mobula: the cell host was started without a runtime");
        std::process::exit(99);
    };
    mobula::ray::register();
    match client::connect_driver(Path::new(&socket)) {
        Ok(()) => {
            join_if_asked();
            cellhost::run(&Driver)
        }
        Err(error) => {
            eprintln!("mobula: the cell host cannot reach the runtime: {error}");
            std::process::exit(99);
        }
    }
}

/// Connects to the runtime that the session has joined, if it has.
fn join_if_asked() {
    let Ok(joined) = std::env::var(JOINED_ENV) else { return };
    let Some((session, socket)) = joined.split_once(':') else { return };
    let joined = match session.parse() {
        Ok(session) => client::join_driver(Path::new(socket), SessionId(session)),
        Err(_) if session == CLUSTER => mobula::ray::join_driver(Path::new(socket)),
        Err(_) => return,
    };
    if let Err(message) = joined {
        // Cells run all the same, and say so when they use it.
        eprintln!("mobula: the runtime that this session has joined cannot be reached: {message}");
    }
}

/// The runtime's driver client in this process.
struct Driver;

impl CellRuntime for Driver {
    fn attach(&self, symbol: *mut c_void, cell: CellId) -> Result<(), String> {
        // SAFETY: the session looked the symbol up, by the name of the attach function, in a cell library, which it
        // never closes.
        unsafe { mobula::worker::attach_cell(symbol, cell.0) }
    }

    fn cell_began(&self, cell: CellId, turn: Turn) {
        client::begin_cell(cell.0, turn.0);
    }

    fn cell_ended(&self, _cell: CellId) {
        client::end_cell();
    }

    fn cell_is_final(&self) {
        client::cell_is_final();
    }

    fn held_back(&self) -> Result<Option<u64>, &'static str> {
        client::held_back()
    }

    fn run_callbacks(&self) -> u32 {
        mobula::worker::run_callbacks()
    }

    fn flush(&self) {
        mobula::worker::flush_cells();
    }

    fn with_streams_locked(&self, work: &mut dyn FnMut()) {
        mobula::worker::with_streams_locked(work);
    }

    fn took_over(&self, is_final: bool) {
        if let Err(error) = client::take_over(is_final) {
            // Without a runtime this process is of no use. Its death is reported like any other.
            eprintln!("mobula: the runtime cannot be reached any more: {error}");
            std::process::abort();
        }
    }
}
