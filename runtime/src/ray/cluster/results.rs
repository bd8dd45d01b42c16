//! Results that come from the cluster.

use super::failures::{Failing, Origin, failing};
use super::logs::Death;
use super::runs::Ran;
use super::values::{bytes_in, read_head};
use super::{End, Place, Shared};
use crate::abi::{Attempt, Cause, Failed, Failure, TaskState};
use crate::local::locate_causes;
use crate::protocol::RuntimeEvent;
use crate::ray::transport::{RayError, Ref, Value};
use crate::ray::wire::{FromCluster, Parcel, body_of};
use std::sync::Arc;

/// So many failures are listed.
const ERRORS_MAX: usize = 10_000;

impl Shared {
    /// Asks for the head of an object, unless that was done.
    pub(super) fn watch(self: &Arc<Shared>, id: u64) {
        let head = {
            let mut state = self.state();
            let Some(object) = state.objects.get_mut(&id) else { return };
            let Place::Results { head, .. } = &object.place else { return };
            let head = head.clone();
            if std::mem::replace(&mut object.is_watched, true) {
                return;
            }
            head
        };
        self.await_head(id, &head);
    }

    /// Has the head of an object taken in when it comes.
    pub(super) fn await_head(self: &Arc<Shared>, id: u64, head: &Ref) {
        let shared = Arc::downgrade(self);
        let came = move |result| {
            if let Some(shared) = shared.upgrade() {
                shared.came(id, result);
            }
        };
        self.session.get_small(head, Box::new(came));
    }

    fn came(self: &Arc<Shared>, id: u64, result: Result<Value, RayError>) {
        match result {
            Ok(value) => match read_head(&value) {
                Some(head) => {
                    let (news, before) = {
                        let mut state = self.state();
                        state.runs.end(id, TaskState::Finished, head.ran);
                        let refs = state.adopt(head.refs);
                        let Some(object) = state.objects.get_mut(&id) else {
                            // Nobody wants it any more; what was in it goes, too.
                            refs.iter().for_each(|inner| {
                                if let Some(object) = state.objects.get_mut(inner) {
                                    object.inside -= 1;
                                }
                            });
                            let gone = Shared::free(&mut state, refs);
                            drop(state);
                            drop(gone);
                            return;
                        };
                        let payload = match &object.place {
                            Place::Results { payload, .. } if head.inline.is_none() => Some(payload.clone()),
                            _ => None,
                        };
                        let known = Place::Known { inline: head.inline, payload };
                        let before = std::mem::replace(&mut object.place, known);
                        (object.end, object.refs) = (End::Ready, refs);
                        (state.news(id), before)
                    };
                    drop(before);
                    news.into_iter().for_each(|news| self.tell(news.into()));
                }
                None => {
                    let text = "its result is none of Mobula's".to_owned();
                    let error = RayError::Other { class: String::new(), text, value: Value::None.into() };
                    self.failed(id, &error, None);
                }
            },
            Err(error @ (RayError::WorkerCrashed(_) | RayError::ActorDied(_))) => {
                // Its last words may come a little later. This thread is the session's, so another one waits.
                let shared = Arc::clone(self);
                std::thread::spawn(move || {
                    let shown = shared.state().runs.find(id).map(|run| Arc::clone(&run.shown));
                    let death = shown.and_then(|shown| shared.last_words(&shown));
                    shared.failed(id, &error, death);
                });
            }
            Err(error) => self.failed(id, &error, None),
        }
    }

    /// The task of an object has failed.
    pub(super) fn failed(&self, id: u64, error: &RayError, death: Option<Death>) {
        let Failing { mut failure, origin } = {
            let state = self.state();
            failing(error, state.runs.find(id), death)
        };
        // Places are looked up once, and that may wait for the session.
        locate_causes(&*self.observer, &mut failure.cause);
        self.end_failed(id, failure, origin.unwrap_or(Origin::of(id)));
    }

    /// Records a failure and tells of it, once.
    pub(super) fn end_failed(&self, id: u64, mut failure: Failure, origin: Origin) {
        let (is_new, told) = {
            let mut state = self.state();
            let is_left = state.closed.is_some();
            let is_new = state.told.insert(origin.id) && failure.cause != Cause::Cancelled && !is_left;
            if is_new {
                let failed = Failed { failure: failure.clone(), is_fetched: false };
                state.errors.push_back(failed);
                if state.errors.len() > ERRORS_MAX {
                    state.errors.pop_front();
                }
            }
            let told = failure.clone();
            if origin.id != id
                && let Some(run) = state.runs.living(id)
            {
                failure.carried_by.push(run.name.clone());
            }
            let how = match &failure.cause {
                _ if origin.id != id => TaskState::ArgumentFailed,
                Cause::Cancelled => TaskState::Cancelled,
                Cause::Signal { .. } | Cause::Exit { .. } => TaskState::WorkerDied,
                _ => TaskState::Failed,
            };
            let Attempt { number: attempt, .. } = failure.attempt;
            let own = if origin.id == id { origin.ran } else { Ran::default() };
            state.runs.end(id, how, Ran { pid: failure.pid, attempt, ..own });
            if let Some(object) = state.objects.get_mut(&id) {
                object.end = End::Failed(Box::new(failure.clone()));
            }
            (is_new, told)
        };
        if is_new {
            self.observer.event(RuntimeEvent::TaskFailed(told));
        }
        self.tell(FromCluster::Failed { id, failure: Box::new(failure) }.into());
    }

    /// The value of an object is wanted.
    pub(super) fn fetch(self: &Arc<Shared>, id: u64) {
        let payload = {
            let state = self.state();
            match state.objects.get(&id).map(|object| &object.place) {
                Some(Place::Known { payload: Some(payload), .. }) => payload.clone(),
                _ => return,
            }
        };
        let wanted = if self.boot.has_numpy {
            payload
        } else {
            // What Ray keeps beside a pickle cannot be read through Ray Client without numpy, so a worker copies it.
            self.begin("read_payload", vec![("payload", Value::Ref(payload))])
        };
        let shared = Arc::downgrade(self);
        let came = move |result: Result<Value, RayError>| {
            let Some(shared) = shared.upgrade() else { return };
            let lost = |text: &str| RayError::ObjectLost(text.into());
            let bytes = result.and_then(|value| bytes_in(&value).ok_or_else(|| lost("its value has no bytes")));
            match bytes.map(|bytes| body_of(&[&bytes])) {
                Ok(Ok((body, file))) => shared.tell(Parcel { message: FromCluster::Fetched { id, body }, file }),
                Ok(Err(error)) => shared.failed(id, &lost(&error.to_string()), None),
                Err(error) => shared.failed(id, &error, None),
            }
        };
        self.session.get(&wanted, Box::new(came));
    }

    /// Somebody has met the failure of an object.
    pub(super) fn met(&self, id: u64) {
        let mut state = self.state();
        let Some(End::Failed(failure)) = state.objects.get(&id).map(|object| &object.end) else { return };
        let met = Failure { carried_by: Vec::new(), ..(**failure).clone() };
        if let Some(known) = state.errors.iter_mut().rev().find(|known| known.failure == met) {
            known.is_fetched = true;
        }
    }
}
