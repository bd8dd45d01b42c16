//! The calls of the table.

use super::{End, Kept, Object, RayClient, State, Stop};
use crate::abi::desk::{Aligned, unique_id};
use crate::abi::engine::{self, Engine, Fallible, Input, Opened, Task};
use crate::abi::{Answer, Cause, Draft, Fault, Notify, Question, Table};
use crate::client::{Elsewhere, go, locate};
use crate::ray::wire::{Argument, Body, INLINE_BYTES_MAX, Parcel, Submitted, ToCluster, body_of};
use crossbeam::atomic::AtomicCell;
use std::time::{Duration, Instant};

/// The table of a process whose session has joined a cluster.
pub(super) static TABLE: Table = engine::table::<RayClient>();

static CURRENT: AtomicCell<Option<&'static RayClient>> = AtomicCell::new(None);

/// Makes it the process's client, to which the calls of cells go, or nobody.
pub(super) fn install(client: Option<&'static RayClient>) {
    CURRENT.store(client);
    go(client.map(|client| client as &dyn Elsewhere));
}

impl Engine for RayClient {
    fn current() -> Option<&'static RayClient> {
        CURRENT.load()
    }

    fn create(&self, len: u64) -> Fallible<Draft> {
        self.heed_interrupt()?;
        let memory = Aligned::zeroed(len as usize);
        Ok(self.state().desk.begin(memory))
    }

    fn seal(&self, draft: u64, contains: &[u64]) -> Fallible<u64> {
        let memory = self.take_draft(draft)?;
        self.put(&memory, contains)
    }

    fn discard(&self, draft: u64) {
        self.state().desk.take(draft);
    }

    fn submit(&self, task: Task<'_>) -> Fallible<u64> {
        let mut arguments = Vec::with_capacity(task.inputs().len());
        // A large value is an object of its own, until the task has it.
        let mut lent = Vec::new();
        for input in task.inputs() {
            arguments.push(match input {
                Input::Object(id) => Argument::Object(id),
                Input::Draft(draft, contains) => {
                    let memory = self.take_draft(draft)?;
                    if memory.len() > INLINE_BYTES_MAX {
                        let id = self.put(&memory, contains)?;
                        lent.push(id);
                        Argument::Object(id)
                    } else {
                        Argument::Value { refs: contains.to_vec(), body: Body::Inline(memory.bytes().to_vec()) }
                    }
                }
            });
        }
        self.heed_interrupt()?;
        let function = locate(task.trampoline, task.name)?;
        let (id, cell) = (unique_id(), self.state().cell);
        let what = Submitted { id, kind: task.kind, function, arguments, options: task.options.to_vec(), cell };
        self.state().insert(id, End::Pending);
        let said = self.say(&ToCluster::Submit(what).into());
        lent.into_iter().for_each(|id| self.release(id));
        match said {
            Ok(()) => Ok(id),
            Err(fault) => {
                self.state().objects.remove(&id);
                Err(fault)
            }
        }
    }

    fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()> {
        self.heed_interrupt()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let count = |state: &mut State| {
            let finished = ids.iter().filter(|id| state.is_finished(**id)).count() as u64;
            (finished >= num_returns).then_some(())
        };
        let came = match self.block(deadline, count) {
            Ok(()) | Err(Stop::TimedOut) => Ok(()),
            Err(stop) => Err(stop.into()),
        };
        let state = self.state();
        ready.iter_mut().zip(ids).for_each(|(ready, id)| *ready = state.is_finished(*id).into());
        came
    }

    fn watch(&'static self, id: u64, notify: Notify) -> Fallible<()> {
        self.heed_interrupt()?;
        {
            let mut state = self.state();
            if !state.is_finished(id) {
                state.watched.push((id, notify));
                return Ok(());
            }
        }
        notify(id);
        Ok(())
    }

    fn open(&self, id: u64) -> Fallible<Opened> {
        self.heed_interrupt()?;
        let met = {
            let mut state = self.state();
            let object = state.objects.get_mut(&id).ok_or(Fault::Unknown { id })?;
            match &mut object.end {
                End::Pending => return Ok(Opened::NotReady),
                End::Failed(failure) => Some(failure.clone()),
                End::Ready { value: Some(value), .. } => {
                    let value = value.clone();
                    return Ok(Opened::View(state.view(id, value)));
                }
                End::Ready { is_wanted, .. } => {
                    let is_asked_for = std::mem::replace(is_wanted, true);
                    drop(state);
                    if !is_asked_for {
                        self.tell(ToCluster::Fetch { id });
                    }
                    None
                }
            }
        };
        if let Some(failure) = met {
            self.tell(ToCluster::Met { id });
            return Err(Fault::Task(*failure).into());
        }
        self.block(None, |state| match &state.objects.get(&id).map(|object| &object.end) {
            Some(End::Ready { value: Some(value), .. }) => {
                let value = value.clone();
                Some(Ok(Opened::View(state.view(id, value))))
            }
            Some(End::Failed(failure)) => Some(Err(Box::new(Fault::Task((**failure).clone())))),
            Some(End::Pending | End::Ready { .. }) => None,
            None => Some(Err(Fault::Unknown { id }.into())),
        })?
    }

    fn close(&self, hold: u64) {
        let kept = self.state().desk.close(hold);
        if let Some(kept) = kept {
            self.release(kept.id);
        }
    }

    fn retain(&self, ids: &[u64]) {
        for id in ids {
            let is_new = {
                let mut state = self.state();
                let is_known = state.retain(*id);
                if !is_known {
                    state.insert(*id, End::Pending);
                }
                !is_known
            };
            if is_new {
                self.tell(ToCluster::Retain { id: *id });
            }
        }
    }

    fn release(&self, id: u64) {
        if self.state().release(id) {
            self.let_go(vec![id]);
        }
    }

    fn result(&self, _call: u64, draft: u64, _contains: &[u64]) {
        // No task runs in a cell host.
        self.discard(draft);
    }

    fn fail(&self, _call: u64, _cause: Cause) {}

    fn ask(&self, question: Question) -> Fallible<Answer> {
        self.answer(question)
    }
}

impl State {
    /// A view of an object's bytes, which keeps the object.
    fn view(&mut self, id: u64, value: crate::ray::wire::Content) -> crate::abi::View {
        self.retain(id);
        let bytes = value.as_ref();
        let (ptr, len) = (bytes.as_ptr(), bytes.len() as u64);
        self.desk.open(ptr, len, Kept { _bytes: value, id })
    }
}

impl RayClient {
    fn take_draft(&self, draft: u64) -> Fallible<Aligned> {
        let message = "there is no such draft: each can be sealed, submitted or discarded once";
        self.state().desk.take(draft).ok_or_else(|| Box::new(Fault::Refused { message: message.into() }))
    }

    /// Puts a value. A small one stays here, too, and is read where it is.
    fn put(&self, memory: &Aligned, contains: &[u64]) -> Fallible<u64> {
        self.heed_interrupt()?;
        let no_room = |error: std::io::Error| {
            let (needed, detail) = (memory.len() as u64, error.to_string());
            Box::new(Fault::StoreFull { needed, used: 0, limit: 0, detail })
        };
        let (body, file) = body_of(&[memory.bytes()]).map_err(no_room)?;
        let value = match &body {
            Body::Inline(bytes) => Some(crate::ray::wire::Content::Own(Aligned::from(&**bytes).into())),
            Body::Beside { .. } => None,
        };
        let id = unique_id();
        self.state().insert(id, End::Ready { value, is_wanted: false });
        let message = ToCluster::Put { id, refs: contains.to_vec(), body };
        self.say(&Parcel { message, file }).inspect_err(|_| _ = self.state().objects.remove(&id))?;
        Ok(id)
    }
}

impl Object {
    /// How it is, for who looks at the table.
    pub(super) fn state(&self) -> crate::abi::ObjectState {
        match &self.end {
            End::Pending => crate::abi::ObjectState::Pending,
            End::Ready { value, .. } => {
                let bytes = value.as_ref().map_or(0, |value| value.as_ref().len() as u64);
                crate::abi::ObjectState::Ready { bytes }
            }
            End::Failed(_) => crate::abi::ObjectState::Failed,
        }
    }
}
