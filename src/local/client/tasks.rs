//! Tasks: submitting them, and running them in a worker.

use super::super::inbox::{Books, Stop};
use super::super::memory::{Aligned, Cached, Draft};
use super::state::{Outcome, State};
use super::{Client, Fallible, no_draft};
use crate::abi::{Cause, View};
use crate::protocol::{Argument, Body, ObjectId, Payload, ResultFrame, TaskFrame, TaskId, TaskInput, TaskSpec, ToHead};
use std::sync::Arc;

/// An argument of a task that is being submitted.
#[derive(Debug)]
pub enum Input {
    /// An object.
    Ref(ObjectId),
    /// A draft, and the objects that it refers to.
    Draft(u64, Vec<ObjectId>),
}

/// A function in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The library's path; empty for the executable itself.
    pub library: String,
    /// Bytes from its load address.
    pub offset: u64,
}

impl Client {
    /// Submits a task; the caller has one reference to each of its `returns` results, which follow each other.
    /// Drafts end here, whatever comes of it.
    ///
    /// # Errors
    /// No such draft, or this process is not connected any more.
    pub fn submit(&self, entry: Entry, name: String, args: Vec<Input>, returns: u32) -> Fallible<ObjectId> {
        let mut state = self.state();
        let mut inputs = Vec::with_capacity(args.len());
        let mut anonymous = Vec::new();
        let mut missing = false;
        for arg in args {
            inputs.push(match arg {
                Input::Ref(id) => Argument::Ref(id),
                Input::Draft(draft, refs) => match state.drafts.remove(draft) {
                    Some(Draft::Private(private)) => {
                        Argument::Inline { bytes: Payload::copy_of(private.bytes()), refs }
                    }
                    Some(shared) => {
                        // A large value becomes an object that only the task keeps.
                        let id = state.new_ids(self.id, 1)?;
                        state.seal(id, shared, refs)?;
                        anonymous.push(id);
                        Argument::Ref(id)
                    }
                    None => {
                        missing = true;
                        continue;
                    }
                },
            });
        }
        let submitted = match missing {
            true => Err(no_draft()),
            false => state.new_ids(self.id, returns).and_then(|first| {
                let (task, cell) = (TaskId(first), state.cell);
                let Entry { library, offset } = entry;
                let returns = returns.max(1);
                state.queue(&ToHead::Submit(TaskSpec { task, returns, name, cell, library, offset, args: inputs }))?;
                (0..returns).for_each(|index| state.handles.insert(first.offset(index), None));
                Ok(first)
            }),
        };
        for id in anonymous {
            let news = state.handles.release(id);
            state.report(id, news);
        }
        drop(state);
        self.flush();
        submitted
    }

    /// Blocks until there is a task to run. Only in a worker.
    ///
    /// # Errors
    /// The head is gone.
    pub(crate) fn next_task(&self) -> Result<TaskFrame, Stop> {
        self.inbox.wait(None, None, Books::run)
    }

    /// A task begins here: gives views of its arguments, and room for its results.
    pub(crate) fn begin_task(&self, frame: &TaskFrame) -> Result<Vec<View>, String> {
        let (_, mapping) = self.inbox.region();
        let mut state = self.state();
        state.cell = frame.cell;
        let results = (0..frame.returns).map(|_| None).collect();
        state.calls.insert(frame.task.0.0, Outcome { results, failure: None });
        let mut views = Vec::with_capacity(frame.args.len());
        for arg in &frame.args {
            views.push(match arg {
                TaskInput::Inline(payload) => state.view_copy(Arc::new(Aligned::copy_of(&payload.0))),
                TaskInput::Shared(id, extent) => {
                    let news = state.handles.retain(*id);
                    state.report(*id, news);
                    state.handles.remember(*id, Cached::Shared(*extent));
                    state.view_shared(&mapping, *id, *extent).ok_or("an argument lies outside the store")?
                }
            });
        }
        Ok(views)
    }

    /// A running task's result; ends the draft.
    pub fn result(&self, call: u64, index: u32, draft: u64, contains: Vec<ObjectId>) {
        let mut state = self.state();
        let Some(draft) = state.drafts.remove(draft) else { return };
        let body = match draft {
            Draft::Private(private) => Body::Inline(Payload::copy_of(private.bytes())),
            Draft::Shared(extent) => Body::Shared(extent),
        };
        // The function's own references may end before its result is on its way.
        for id in &contains {
            let news = state.handles.retain(*id);
            state.report(*id, news);
        }
        let place = state.calls.get_mut(&call).and_then(|outcome| outcome.results.get_mut(index as usize));
        let replaced = match place {
            Some(place) => place.replace(ResultFrame { body, contains }),
            None => Some(ResultFrame { body, contains }),
        };
        // Said twice, or for a task that does not run here: nobody will ever have these bytes.
        replaced.into_iter().for_each(|unused| state.discard_result(unused));
    }

    /// A running task's failure.
    pub fn fail(&self, call: u64, cause: Cause) {
        if let Some(outcome) = self.state().calls.get_mut(&call) {
            outcome.failure = Some(bounded(cause));
        }
    }

    /// A task has returned, or could not be called: reports what came of it.
    pub(crate) fn end_task(&self, task: TaskId, called: Result<(), Cause>) {
        let mut state = self.state();
        let outcome = state.calls.remove(&task.0.0).unwrap_or_default();
        let failure = called.err().or(outcome.failure);
        let whole: Option<Vec<ResultFrame>> = match failure {
            None => outcome.results.iter().cloned().collect(),
            Some(_) => None,
        };
        let queued = whole.map(|results| state.queue(&ToHead::TaskDone { task, results }));
        let results = outcome.results.into_iter().flatten();
        if let Some(Ok(())) = queued {
            results.for_each(|reported| state.let_go(&reported.contains));
        } else {
            results.for_each(|unused| state.discard_result(unused));
            let too_long = queued.and_then(Result::err).map(|fault| format!("its results cannot be sent: {fault:?}"));
            let message = too_long.unwrap_or_else(|| "it returned without a result".into());
            let cause = failure.unwrap_or(Cause::Refused { message });
            state.queue_short(&ToHead::TaskFailed { task, cause });
        }
        drop(state);
        self.flush();
    }
}

impl State {
    /// Gives references back.
    fn let_go(&mut self, ids: &[ObjectId]) {
        for id in ids {
            let news = self.handles.release(*id);
            self.report(*id, news);
        }
    }

    /// A result that will not be reported.
    fn discard_result(&mut self, result: ResultFrame) {
        if let Body::Shared(extent) = result.body {
            self.queue_short(&ToHead::Abort { offset: extent.offset });
        }
        self.let_go(&result.contains);
    }
}

/// No message of a failure is longer than this many bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The cause, with a message of a length that somebody may want to read.
fn bounded(mut cause: Cause) -> Cause {
    let (Cause::Panic { message, .. } | Cause::Error { message } | Cause::Refused { message }) = &mut cause else {
        return cause;
    };
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    cause
}
