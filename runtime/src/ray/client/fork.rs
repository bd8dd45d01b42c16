//! What a cell host does around cells and forks: the same as `client/connect.rs` does for the local engine.

use super::engine::{install, installed};
use super::{RayClient, State};
use std::os::fd::OwnedFd;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Begins a cell: see [`crate::client::begin_cell`].
pub(crate) fn begin_cell(cell: u64, turn: u64) {
    if let Some(client) = installed() {
        let mut state = client.state();
        state.period += 1;
        (state.cell, state.turn, state.is_running) = (cell, turn, true);
    }
}

/// Ends the cell, which cannot be undone any more.
pub(crate) fn end_cell() {
    if let Some(client) = installed() {
        let gone = client.state().cell_ended();
        client.let_go(gone);
    }
}

/// While this is held no thread changes the client, so that a fork may copy it.
pub(crate) struct Still {
    _state: MutexGuard<'static, State>,
    _socket: MutexGuard<'static, Arc<OwnedFd>>,
}

/// Locks the client for a fork. The lock is not among those that are counted, because that of the local client is taken beside it.
pub(crate) fn hold_still() -> Option<Still> {
    let client = installed()?;
    // In this order, because who writes may need the state before, and never under it.
    let socket = client.socket.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Still { _state: client.locked(), _socket: socket })
}

/// Lets this process, a twin, take the place of its dead original: it connects anew, and says which objects it has. When the front process
/// has none for it any more, the calls of cells go home.
pub(crate) fn took_over() {
    let Some(client) = installed() else { return };
    if let Err(error) = client.taken_over() {
        tracing::info!(%error, "the cluster is gone");
        install(None);
    }
}

impl RayClient {
    fn taken_over(&'static self) -> std::io::Result<()> {
        // The socket is shared with the dead process.
        self.hang_up();
        let held = {
            let mut state = self.state();
            state.is_running = false;
            state.watched.clear();
            state.answers.clear();
            state.kept.clear();
            state.objects.retain(|_, object| {
                object.is_kept = false;
                object.count > 0
            });
            // What is wanted is asked for anew.
            state.objects.values_mut().for_each(|object| {
                if let super::End::Ready { is_wanted, .. } = &mut object.end {
                    *is_wanted = false;
                }
            });
            state.objects.keys().copied().collect()
        };
        let socket = RayClient::dial(&self.path, held)?;
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&socket);
        self.listen(socket)
    }
}
