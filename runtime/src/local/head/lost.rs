//! Objects whose only copy is lost: their bytes on disk cannot be read back, or are others than were written.
//!
//! ```text
//!   lost ─▶ a task made it, its arguments are there, retries are left ─▶ the task is run again, and whoever wants the object waits
//!      └──▶ else: it fails, and every `get` of it says which task made it and why that is not run again
//! ```
//!
//! As in Ray, this is called lineage. A result's slot describes the task that made it for as long as there is the result, so lineage costs
//! nothing until it is needed. Unlike in Ray, arguments are not kept for it: a task can be run again while somebody else has them.

use super::Head;
use super::tasks::{Blame, was_last_run};
use crate::abi::{Attempt, Cause, Failure};
use crate::protocol::ObjectId;
use crate::store::{Flags, Spec};

impl Head {
    /// Handles the loss of an object, whose bytes were at this position on disk. It is another object's, or a task, when this returns.
    pub(super) fn lose(&mut self, id: ObjectId, (position, len): (u64, u64), error: &std::io::Error) {
        let reason = format!("its bytes cannot be read back from {}: {error}", self.spill.folder().display());
        let maker = self.segment.maker(id);
        let why = match &maker {
            None => "no task made it, it was stored by `put` or by an actor".to_owned(),
            Some(spec) => match self.remakes(id, spec, &reason) {
                Ok(()) => return self.spill.forget(position, len),
                Err(why) => why,
            },
        };
        let task = maker.as_ref().map_or("put", |spec| self.functions.name(spec.function)).to_owned();
        let cell = maker.map_or(0, |spec| spec.cell);
        let cause = Cause::ObjectLost { reason: format!("{reason}; {why}") };
        let blame = Blame::at_origin(Failure {
            task,
            pid: 0,
            cell,
            cause,
            carried_by: Vec::new(),
            attempt: Attempt::ONLY,
            node: String::new(),
        });
        self.blames.insert(id, blame.clone(), |id| self.segment.exists(id));
        self.leases.moves();
        let kept = self.segment.fail_lost(id);
        self.leases.moved();
        if let Some(loose) = kept {
            self.spill.forget(position, len);
            self.announce(&blame);
            self.collect(loose);
        }
    }

    /// Has the task that made an object run again.
    ///
    /// # Errors
    /// A clause that says why not.
    fn remakes(&mut self, id: ObjectId, spec: &Spec, reason: &str) -> Result<(), String> {
        let name = self.functions.name(spec.function).to_owned();
        let cause = Cause::ObjectLost { reason: reason.to_owned() };
        let retries = self.retries_after(spec, &cause);
        if was_last_run(spec, retries) {
            return Err(format!("task `{name}` made it, which may not be run more often"));
        }
        let is_there = |arg: &ObjectId| self.word(*arg).is_some_and(|word| !word.flags().contains(Flags::ERROR));
        if let Some(gone) = spec.objects().find(|arg| !is_there(arg)) {
            return Err(format!("task `{name}` made it, whose argument, object {gone}, is gone"));
        }
        self.leases.moves();
        let remade = self.segment.remake(id, spec);
        self.leases.moved();
        let loose = match remade {
            Ok(loose) => {
                let attempt = self.attempt(&self.segment.read_spec(id.slot()), retries);
                self.notice_of(
                    spec.cell,
                    format!("object {id}, which task `{name}` made, is lost: {reason}; {attempt}"),
                );
                self.watched.push(id);
                loose
            }
            // It was freed in this moment.
            Err(loose) => loose,
        };
        self.collect(loose);
        self.look_at_watched();
        Ok(())
    }
}
