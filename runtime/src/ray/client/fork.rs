//! Cells and forks of a cell host: the same as `client/connect.rs` does for the local engine.

use super::{RayClient, State, engine};
use crate::abi::engine::Fallible;
use crate::abi::{Answer, InitOptions, Question, Table};
use crate::client::Elsewhere;
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, MutexGuard, PoisonError};

/// The locks of the client, which a fork copies.
struct Still {
    _state: MutexGuard<'static, State>,
    _socket: MutexGuard<'static, Arc<OwnedFd>>,
}

impl Elsewhere for RayClient {
    fn table(&self) -> &'static Table {
        &engine::TABLE
    }

    fn begin_cell(&self, cell: u64, turn: u64) {
        let mut state = self.state();
        state.period += 1;
        (state.cell, state.turn, state.is_running) = (cell, turn, true);
        state.keeps_back = true;
    }

    fn end_cell(&self) {
        self.state().is_running = false;
    }

    fn cell_is_final(&self) {
        let gone = self.state().cell_is_final();
        self.let_go(gone);
    }

    fn keeps_back(&self) -> bool {
        let state = self.state();
        state.kept.iter().any(|id| state.objects.get(id).is_some_and(|object| object.is_kept))
    }

    fn hold_still(&'static self) -> Box<dyn Any> {
        // In this order, because who writes may need the state before, and never under it. The lock of the state is not among those that are
        // counted, because that of the local client is taken beside it.
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        Box::new(Still { _state: self.locked(), _socket: socket })
    }

    fn take_over(&'static self) -> std::io::Result<()> {
        self.taken_over().inspect_err(|_| engine::install(None))
    }

    fn address(&self) -> Fallible<Answer> {
        self.ask(Question::Init(InitOptions { ignore_reinit: true, ..InitOptions::default() }))
    }
}

impl RayClient {
    fn taken_over(&'static self) -> std::io::Result<()> {
        // The socket is shared with the dead process.
        self.hang_up();
        let held = {
            let mut state = self.state();
            (state.is_running, state.keeps_back) = (false, false);
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
