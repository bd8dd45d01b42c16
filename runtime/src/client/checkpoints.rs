//! Checkpoints of the actor whose process this is.

use super::Client;
use super::claim::Claimed;
use super::state::{Checkpoints, Running, State};
use crate::abi::Cause;
use crate::protocol::ObjectId;
use crate::store::{Access, Arg, Log, Spec, TaskKind, ticks};
use crate::sync::Ordering;

impl Claimed {
    /// This creation of an actor, from a checkpoint.
    pub(crate) fn restoring(&self, checkpoint: ObjectId) -> Claimed {
        let of = &self.spec;
        let mut spec = Spec::new(of.function, of.cell);
        (spec.options, spec.parent, spec.kind) = (of.options, of.parent, of.kind);
        spec.push(Arg::Object(checkpoint), 0);
        Claimed { spec, ..self.clone() }
    }
}

impl Client {
    /// What an actor has to be made from again.
    pub(crate) fn log_of(&self, mailbox: u32) -> Log {
        self.segment.log_of(mailbox)
    }

    /// A call that is run once more, for what it does to its actor's state.
    pub(crate) fn logged_call(&self, task: ObjectId) -> Claimed {
        Claimed { task, spec: self.segment.read_spec(task.slot()), is_again: true, began: ticks() }
    }

    /// Throws away what such a call has given.
    pub(crate) fn end_replayed(&self, logged: &Claimed) {
        let ended = self.state().end_running(logged.task).0;
        if let Some((draft, contains)) = ended.and_then(|running| running.result) {
            self.discard_result(draft, &contains);
        }
    }

    /// What is to be saved of an actor.
    pub(super) fn checkpoints_of(&self, actor: ObjectId, mailbox: u32) -> Option<Checkpoints> {
        let interval = self.segment.mailbox(mailbox).checkpoint_interval.load(Ordering::Relaxed);
        let logged = (interval > 0).then(|| self.segment.log_of(mailbox).calls.len() as u32)?;
        Some(Checkpoints { actor, mailbox, interval, logged, is_due: false })
    }

    /// Adds a call that has failed to the log: it may have changed the state before.
    pub(super) fn log_call(&self, claimed: &Claimed) {
        let mut state = self.state();
        if let Some(mailbox) = state.log_for(claimed) {
            state.leases.moves();
            self.segment.log_call(mailbox, claimed.task);
            state.leases.moved();
        }
    }

    /// Has the state saved because of a call that cannot be run again.
    pub(super) fn checkpoint_soon(&self, claimed: &Claimed) {
        let mut state = self.state();
        if is_logged(claimed)
            && let Some(checkpoints) = &mut state.checkpoints
        {
            checkpoints.is_due = true;
        }
    }

    /// Whether this actor's state is saved from time to time.
    pub(crate) fn has_checkpoints(&self) -> bool {
        self.state().checkpoints.is_some()
    }

    /// Whether the state is to be saved now.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.state().checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.is_due)
    }

    /// Saves the actor's state, which `save` gives as the result of a call of that name.
    ///
    /// # Errors
    /// A sentence: it cannot be encoded, or the store has no room for it. The calls since the last checkpoint stay in the log.
    pub(crate) fn save_checkpoint(&self, save: impl FnOnce(u64)) -> Result<(), String> {
        let mut state = self.state();
        let cell = state.cell;
        let Some(checkpoints) = &mut state.checkpoints else { return Ok(()) };
        checkpoints.is_due = false;
        let (actor, mailbox) = (checkpoints.actor, checkpoints.mailbox);
        state.running.push(Running { task: actor, cell, result: None, failure: None });
        drop(state);
        save(actor.0);
        let checkpoint = self.sealed_checkpoint(actor)?;
        let mut state = self.state();
        state.leases.moves();
        let before = self.segment.log_checkpoint(mailbox, checkpoint);
        let loose = self.segment.release_logged(before);
        state.leases.moved();
        if let Some(checkpoints) = &mut state.checkpoints {
            checkpoints.logged = 0;
        }
        let mut said = state.collect(loose);
        // The log has it.
        said.extend(state.release(checkpoint));
        drop(state);
        said.iter().for_each(|message| self.tell(message));
        Ok(())
    }

    /// The object of what was saved, to which this process has one reference.
    fn sealed_checkpoint(&self, actor: ObjectId) -> Result<ObjectId, String> {
        let ended = self.state().end_running(actor).0;
        let (result, failure) = ended.map_or((None, None), |running| (running.result, running.failure));
        match (result, failure) {
            (Some((draft, contains)), None) => {
                let sealed = self.seal_result(draft, &contains).map_err(|fault| format!("{fault:?}"));
                let said: Vec<_> = contains.iter().flat_map(|id| self.state().release(*id)).collect();
                said.iter().for_each(|message| self.tell(message));
                sealed
            }
            (result, failure) => {
                if let Some((draft, contains)) = result {
                    self.discard_result(draft, &contains);
                }
                Err(match failure {
                    Some(Cause::Panic { message, .. }) => format!("its `Serialize` panicked: {message}"),
                    Some(Cause::Refused { message } | Cause::Error { message }) => message,
                    _ => "its library gave none".into(),
                })
            }
        }
    }
}

impl State {
    /// The log that a call which has run is added to. Counts it.
    pub(super) fn log_for(&mut self, claimed: &Claimed) -> Option<u32> {
        let checkpoints = self.checkpoints.as_mut().filter(|_| is_logged(claimed))?;
        checkpoints.logged = checkpoints.logged.saturating_add(1);
        checkpoints.is_due |= checkpoints.logged >= checkpoints.interval;
        Some(checkpoints.mailbox)
    }
}

/// Whether a call may change its actor's state.
fn is_logged(claimed: &Claimed) -> bool {
    matches!(claimed.spec.kind, TaskKind::Call { access: Access::Exclusive, .. })
}
