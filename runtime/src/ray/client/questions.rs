//! Joining a cluster and leaving it, and the questions off the fast path.

use super::engine::install;
use super::{End, RayClient};
use crate::abi::engine::Fallible;
use crate::abi::{Answer, Fault, ObjectState, Question};
use crate::client::{self, home};
use crate::ray::wire::{FromCluster, ToCluster};
use crate::worker;
use std::path::Path;

/// Lets the session of this process, which is a cell host, join clusters.
pub fn register() {
    client::register(join);
}

/// Has the calls of cells go to the cluster that the front process has joined, and listens for at this path. `cell` and `turn` are those that
/// run now.
fn join(path: &Path, (cell, turn): (u64, u64)) -> Result<(), String> {
    let client = RayClient::connect(path).map_err(|error| format!("the cluster cannot be reached: {error}"))?;
    {
        let mut state = client.state();
        (state.cell, state.turn, state.is_running) = (cell, turn, turn != 0);
    }
    install(Some(client));
    worker::attach_cells_again();
    Ok(())
}

/// Has the calls of this process, a new cell host, go to the cluster that its front process has joined.
///
/// # Errors
/// A sentence.
pub fn join_driver(path: &Path) -> Result<(), String> {
    join(path, (0, 0))
}

impl RayClient {
    pub(super) fn answer(&self, question: Question) -> Fallible<Answer> {
        match question {
            Question::State { id } => Ok(Answer::State(self.object_state(id)?)),
            Question::IsCancelled => Ok(Answer::Flag(self.state().is_interrupted())),
            // Those of the session, wherever tasks run.
            Question::Comm { .. } => home().ok_or_else(no_session)?.question(question),
            // A cluster that has ended is no reason to stay.
            question @ Question::Init(_) if self.state().closed.is_some() => {
                self.go_home()?;
                home().ok_or_else(no_session)?.question(question)
            }
            Question::Init(options) if options.ignore_reinit => self.ask(Question::Init(options)),
            Question::Init(_) | Question::Join { .. } => Err(refused(
                "this session has joined a cluster already: `shutdown()` leaves it, and ignore_reinit keeps it as it is",
            )),
            Question::Shutdown | Question::Leave => self.leave(),
            Question::Publish { .. } | Question::Unpublish { .. } | Question::Lookup { .. } => Err(refused(
                "on a Ray cluster objects have no names: give the reference to a named actor, which others can ask for it",
            )),
            question => self.ask(question),
        }
    }

    fn object_state(&self, id: u64) -> Fallible<ObjectState> {
        let state = self.state();
        Ok(state.objects.get(&id).ok_or(Fault::Unknown { id })?.state())
    }

    /// Asks the front process, and waits for the answer.
    pub(super) fn ask(&self, question: Question) -> Fallible<Answer> {
        self.heed_interrupt()?;
        let req = {
            let mut state = self.state();
            state.asked += 1;
            let req = state.asked;
            state.answers.insert(req, None);
            req
        };
        let said = self.say(&ToCluster::Ask { req, question }.into());
        let answered = said.and_then(|()| {
            self.block(None, |state| state.answers.get_mut(&req).and_then(Option::take)).map_err(Into::into)
        });
        self.state().answers.remove(&req);
        let answer = answered?.map_err(Box::new)?;
        // What the front process has made an object for, this process refers to from now on.
        if let Answer::Actor(Some(found)) = &answer {
            self.state().insert(found.id, End::Pending);
            self.tell(ToCluster::Retain { id: found.id });
        }
        Ok(answer)
    }

    /// Has the calls of cells go to this process's own runtime again, and the front process leave the cluster.
    fn leave(&self) -> Fallible<Answer> {
        self.go_home()?;
        home().ok_or_else(no_session)?.question(Question::Leave)
    }

    /// Has the calls of cells go to this process's own runtime again.
    fn go_home(&self) -> Fallible<()> {
        home().ok_or_else(no_session)?;
        let (cell, turn) = {
            let state = self.state();
            (state.cell, state.turn)
        };
        self.tell_all(FromCluster::Closed { reason: "the session has left it".into() }, None);
        install(None);
        worker::attach_cells_again();
        client::begin_cell(cell, turn);
        self.hang_up();
        Ok(())
    }
}

fn refused(message: &str) -> Box<Fault> {
    Box::new(Fault::Refused { message: message.into() })
}

fn no_session() -> Box<Fault> {
    refused("there is no session here")
}
