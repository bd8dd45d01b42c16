//! Changing to the runtime of another process, and back: the calls of `init_with(Config::connect(…))` and `shutdown()`.
//!
//! ```text
//!   cell host ── Join ──▶ home's head ──▶ front process, which joins as a session ──▶ the runtime's socket, the session's number
//!       └── connects there as the session's driver; from now on the calls of cells go there
//! ```
//!
//! The client of the home runtime stays connected: its head is the way to the front process, and cells come back to it when they leave.

use super::current::{current, go_home, home, install};
use super::elsewhere;
use super::{Client, Fallible, nonsense, refused};
use crate::abi::{Answer, Fault, InitOptions, Joining, Question};
use crate::protocol::{ObjectId, Role, SessionId, ToHead};
use crate::sync::Ordering;
use rustix::net::Shutdown;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Whether this process is a plain program, whose executable has its functions.
static IS_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Says that it is one.
pub(crate) fn be_program() {
    IS_PROGRAM.store(true, Ordering::Relaxed);
}

impl Client {
    /// Has the calls of cells go to the runtime at this address.
    ///
    /// # Errors
    /// There is no such runtime, or it refuses; this process has used its own one already, or has joined one.
    pub(super) fn join(&self, joining: Joining, is_lenient: bool) -> Fallible<Answer> {
        if self.is_worker() {
            return Err(refused("a task cannot choose the runtime that runs it".into()));
        }
        let Some(home) = home() else { return Err(nonsense()) };
        if self.session != SessionId::OWNER && !self.has_ended() {
            if is_lenient {
                return self.ask_head(reinit());
            }
            let message = "this session has joined a runtime already: `shutdown()` leaves it, and ignore_reinit keeps it as it is";
            return Err(refused(message.into()));
        }
        let objects = home.object_entries()?.len();
        if objects > 0 {
            return Err(refused(format!(
                "this session's own runtime holds objects ({objects}), which do not come along: join another one before anything is put or submitted, or call `shutdown()` first"
            )));
        }
        let joined = home.ask_head(Question::Join(joining));
        if matches!(&joined, Err(fault) if **fault == Fault::Interrupted) {
            // The front process goes on with it until it hears that nobody waits; its answer to this is not waited for either.
            home.send_question(|req| ToHead::Ask { req, question: Question::Leave })?;
        }
        match joined? {
            Answer::Joined { socket, is_cluster: true, .. } => {
                elsewhere::join(Path::new(&socket), home.cell_and_turn()).map_err(refused)?;
                return elsewhere::elsewhere().ok_or_else(nonsense)?.address();
            }
            Answer::Joined { socket, session, .. } => {
                join_driver(Path::new(&socket), SessionId(session)).map_err(refused)?
            }
            _ => return Err(nonsense()),
        }
        current().ok_or_else(nonsense)?.ask_head(reinit())
    }

    /// Has the calls of cells go to this process's own runtime again.
    ///
    /// # Errors
    /// The own runtime is gone.
    pub(super) fn leave(&self) -> Fallible<Answer> {
        let Some(home) = home() else { return Err(nonsense()) };
        drop(self.state().forget_all());
        // So that the head does not take this process for one that it has to drop.
        let _ = rustix::net::shutdown(self.inbox.socket(), Shutdown::Both);
        let running = self.cell_and_turn();
        go_home();
        home.resume_cell(running);
        home.ask_head(Question::Leave)
    }

    /// Looks a published object up, and refers to it.
    ///
    /// # Errors
    /// The runtime is gone.
    pub(super) fn lookup(&self, question: Question) -> Fallible<Answer> {
        match self.ask_head(question)? {
            // The head refers to it for as long as it has the name.
            Answer::Published(Some(found)) if !self.state().retain(ObjectId(found.id)) => Ok(Answer::Published(None)),
            answer => Ok(answer),
        }
    }

    /// Whether the runtime has ended, or has dropped this process.
    fn has_ended(&self) -> bool {
        self.segment.header().closed.load(Ordering::Acquire) != 0 || self.is_dropped()
    }

    /// The cell that runs here and its turn, by the session's own numbers.
    fn cell_and_turn(&self) -> (u64, u64) {
        let state = self.state();
        (SessionId::number(state.cell), SessionId::number(state.turn))
    }

    /// Has a cell that runs go on with this client.
    fn resume_cell(&self, (cell, turn): (u64, u64)) {
        let mut state = self.state();
        state.handles.cell_began();
        (state.cell, state.turn, state.is_interruptible) = (self.session.cell(cell), self.session.cell(turn), true);
        self.segment.header().active.add(self.seat);
    }
}

/// Has the calls of this process go to the runtime that listens there, as the driver of a session that has joined it.
///
/// # Errors
/// A sentence.
pub fn join_driver(socket: &Path, session: SessionId) -> Result<(), String> {
    let before = current().map_or((0, 0), Client::cell_and_turn);
    let role = if IS_PROGRAM.load(Ordering::Relaxed) { Role::JoinedProgram } else { Role::Driver };
    let joined = Client::connect(socket, role, session, None).map_err(|error| error.to_string())?;
    install(joined).resume_cell(before);
    Ok(())
}

fn reinit() -> Question {
    Question::Init(InitOptions { ignore_reinit: true, ..InitOptions::default() })
}
