//! Questions of cells, off the fast path.

use super::{End, Object, Place, Shared, submit};
use crate::abi::desk::unique_id;
use crate::abi::engine::Fallible;
use crate::abi::{
    ActorEntry, ActorState, Address, Answer, Cause, Dashboard, Fault, NamedActor, ObjectEntry, ObjectPlace,
    ObjectState, Question, ResourceStatus, RuntimeStatus,
};
use crate::ray::transport::{Info, RayError, Ref, Value};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a cancelled task may take to notice, before its process is ended.
const GRACE: Duration = Duration::from_secs(2);

/// How long the cluster may take to end an actor.
const DEATH_MAX: Duration = Duration::from_secs(10);

impl Shared {
    /// Answers a question, perhaps later.
    pub(super) fn asked(self: &Arc<Shared>, req: u64, question: Question) {
        match question {
            Question::Errors => {
                let errors = self.state().errors.iter().cloned().collect();
                self.answer(req, Ok(Answer::Errors(errors)));
            }
            Question::Tasks => {
                let shared = Arc::clone(self);
                // The cluster is asked, and that takes a while.
                std::thread::spawn(move || shared.answer(req, Ok(Answer::Tasks(shared.task_table()))));
            }
            Question::Objects => {
                let objects = self.objects();
                self.answer(req, Ok(Answer::Objects(objects)));
            }
            Question::Actors => {
                let actors = self.actors();
                self.answer(req, Ok(Answer::Actors(actors)));
            }
            Question::ActorState { id } => {
                let state = self.state();
                let found = state.objects.get(&id).filter(|object| matches!(object.place, Place::Actor(..)));
                let answer = found.map(actor_state);
                drop(state);
                self.answer(req, Ok(Answer::ActorState(answer)));
            }
            Question::Cancel { id } => {
                let is_pending = self.cancel(id);
                self.answer(req, Ok(Answer::Flag(is_pending)));
            }
            Question::Kill { id } => {
                let shared = Arc::clone(self);
                // It waits for the end.
                std::thread::spawn(move || {
                    let was_alive = shared.kill(id);
                    shared.answer(req, Ok(Answer::Flag(was_alive)));
                });
            }
            question => {
                // The cluster is asked, and that takes a while.
                let shared = Arc::clone(self);
                std::thread::spawn(move || {
                    let answer = shared.ask_cluster(question).map_err(|fault| *fault);
                    shared.answer(req, answer);
                });
            }
        }
    }

    fn ask_cluster(self: &Arc<Shared>, question: Question) -> Fallible<Answer> {
        Ok(match question {
            Question::Init(_) => {
                let resources = self.resources(Info::ClusterResources)?;
                let amount =
                    |name: &str| resources.iter().find(|(known, _)| known == name).map_or(0.0, |(_, amount)| *amount);
                Answer::Address(Address {
                    session_dir: String::new(),
                    socket: self.address.clone(),
                    store: "Ray's object store".into(),
                    object_store_memory: amount("object_store_memory") as u64,
                    num_cpus: amount("CPU"),
                    workers: Vec::new(),
                    dashboard_url: self.dashboard_url(),
                })
            }
            Question::ClusterResources => Answer::Resources(self.resources(Info::ClusterResources)?),
            Question::AvailableResources => Answer::Resources(self.resources(Info::AvailableResources)?),
            Question::Status => {
                let (total, free) =
                    (self.resources(Info::ClusterResources)?, self.resources(Info::AvailableResources)?);
                let free = |name: &str| free.iter().find(|(free, _)| free == name).map_or(0.0, |(_, amount)| *amount);
                let status = |(name, total): (String, f64)| ResourceStatus { in_use: total - free(&name), name, total };
                let resources = total.into_iter().map(status).collect();
                Answer::Status(RuntimeStatus { resources, ..RuntimeStatus::default() })
            }
            Question::Dashboard => match self.dashboard_url() {
                Some(url) => Answer::Dashboard(Dashboard { url, proxied: None }),
                None => return Err(refused("this Ray cluster has no dashboard".into())),
            },
            Question::Actor { name } => Answer::Actor(self.named(&name)?),
            Question::PlacementGroup { bundles, strategy, .. } => {
                let bundles: Result<Vec<Value>, String> =
                    bundles.iter().map(|bundle| Ok(dict(submit::options(bundle.for_ray()?)))).collect();
                let group = unique_id();
                let what = vec![
                    ("group", Value::Int(group as i64)),
                    ("bundles", Value::List(bundles.map_err(refused)?)),
                    ("strategy", Value::text(strategy.ray_name())),
                ];
                self.operate("placement_group", what).map_err(|error| refused(error.to_string()))?;
                Answer::PlacementGroup(group)
            }
            Question::RemovePlacementGroup { group } => {
                let what = vec![("id", Value::Int(group as i64))];
                self.operate("remove_placement_group", what).map_err(|error| refused(error.to_string()))?;
                Answer::Flag(true)
            }
            _ => return Err(refused("a Ray cluster cannot be asked that".into())),
        })
    }

    fn received<T>(&self, from: &Receiver<Result<T, RayError>>) -> Fallible<T> {
        match from.recv() {
            Ok(result) => result.map_err(|error| refused(error.to_string())),
            Err(_) => {
                Err(Box::new(Fault::Disconnected { reason: "the session with the Ray cluster has ended".into() }))
            }
        }
    }

    fn info(&self, of: Info) -> Fallible<String> {
        let (done, result) = channel();
        self.session.info(of, Box::new(move |result| _ = done.send(result)));
        self.received(&result)
    }

    /// Resources by name, sorted.
    fn resources(&self, of: Info) -> Fallible<Vec<(String, f64)>> {
        let text = self.info(of)?;
        let found: std::collections::BTreeMap<String, f64> =
            serde_json::from_str(&text).map_err(|error| refused(format!("its resources cannot be read: {error}")))?;
        Ok(found.into_iter().collect())
    }

    fn dashboard_url(&self) -> Option<String> {
        let text = self.info(Info::DashboardUrl).ok()?;
        let found: serde_json::Value = serde_json::from_str(&text).ok()?;
        let url = found.get("dashboard_url").unwrap_or(&found).as_str()?.trim();
        match url {
            "" => None,
            url if url.contains("://") => Some(url.to_owned()),
            url => Some(format!("http://{url}")),
        }
    }

    /// The actor of this name. Waits.
    ///
    /// # Errors
    /// The cluster's.
    pub(super) fn find_actor(&self, name: &str) -> Result<Option<Ref>, RayError> {
        let (done, result) = channel();
        self.session.named_actor(name, None, Box::new(move |result| _ = done.send(result)));
        match result.recv() {
            // Ray's word for one that does not exist.
            Ok(Err(RayError::Other { class, .. })) if class == "ValueError" => Ok(None),
            Ok(found) => found.map(Some),
            Err(_) => Err(RayError::SessionEnded("it does not answer".into())),
        }
    }

    /// The actor of this name, as an object of this session.
    fn named(self: &Arc<Shared>, name: &str) -> Fallible<Option<NamedActor>> {
        let found = self.find_actor(name).map_err(|error| refused(error.to_string()))?;
        let Some(actor) = found else { return Ok(None) };
        let (done, result) = channel();
        self.ask_type(&actor, move |result| _ = done.send(result));
        let submit::Described { type_id, type_name, .. } = self.received(&result)?;
        let id = unique_id();
        let (place, refs) = (Place::Actor(actor, "".into()), Vec::new());
        let object = Object { is_held: true, inside: 0, place, end: End::Ready, is_watched: true, refs };
        self.state().objects.insert(id, object);
        Ok(Some(NamedActor { id, type_id, type_name }))
    }

    /// Cancels the task of an object: at first so that it can notice, then by ending its process. False if it had ended.
    fn cancel(self: &Arc<Shared>, id: u64) -> bool {
        let (head, is_call) = {
            let state = self.state();
            let head = match state.objects.get(&id) {
                Some(Object { place: Place::Results { head, .. }, end: End::Pending, .. }) => head.clone(),
                _ => return false,
            };
            let is_call = state.runs.living(id).is_some_and(|run| run.of != crate::abi::TaskType::Task);
            (head, is_call)
        };
        self.session.cancel(&head, false, true);
        if !is_call {
            let shared = Arc::downgrade(self);
            std::thread::spawn(move || {
                std::thread::sleep(GRACE);
                let Some(shared) = shared.upgrade() else { return };
                let is_pending = matches!(shared.state().objects.get(&id), Some(Object { end: End::Pending, .. }));
                if is_pending {
                    shared.session.cancel(&head, true, true);
                }
            });
        }
        true
    }

    /// Ends an actor, and waits for its end. False if it was dead.
    fn kill(&self, id: u64) -> bool {
        let actor = {
            let mut state = self.state();
            let Some(object) = state.objects.get_mut(&id) else { return false };
            let Place::Actor(actor, _) = &object.place else { return false };
            if matches!(object.end, End::Failed(_)) {
                return false;
            }
            let actor = actor.clone();
            let task = state.runs.find(id).map_or_else(|| "actor".to_owned(), |run| run.name.clone());
            let (attempt, carried_by) = (crate::abi::Attempt::ONLY, Vec::new());
            let failure = crate::abi::Failure {
                task,
                pid: 0,
                cell: 0,
                cause: Cause::Cancelled,
                carried_by,
                attempt,
                node: String::new(),
            };
            if let Some(object) = state.objects.get_mut(&id) {
                object.end = End::Failed(Box::new(failure));
            }
            state.lasting.retain(|lasting| *lasting != actor);
            actor
        };
        self.session.kill(&actor, true);
        self.await_death(&actor);
        true
    }

    /// Waits until the cluster takes an actor for dead: for a moment after it was told to end it, calls through other handles would still be answered.
    fn await_death(&self, actor: &Ref) {
        let until = Instant::now() + DEATH_MAX;
        loop {
            let (done, result) = channel();
            self.ask_type(actor, move |result| _ = done.send(result));
            match result.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Err(RayError::ActorDied(_) | RayError::SessionEnded(_))) | Err(_) => return,
                // It has answered, perhaps with the failure of its constructor.
                Ok(_) => {}
            }
        }
    }

    fn objects(&self) -> Vec<ObjectEntry> {
        let state = self.state();
        let entry = |(id, object): (&u64, &Object)| {
            let (bytes, place) = match &object.place {
                Place::Known { inline: Some(bytes), .. } => (bytes.len() as u64, ObjectPlace::Table),
                Place::Actor(..) => return None,
                _ => (0, ObjectPlace::Memory),
            };
            let (of, place) = match object.end {
                End::Pending => (ObjectState::Pending, ObjectPlace::Nowhere),
                End::Ready => (ObjectState::Ready { bytes }, place),
                End::Failed(_) => (ObjectState::Failed, ObjectPlace::Nowhere),
            };
            let run = state.runs.find(*id);
            Some(ObjectEntry {
                id: *id,
                state: of,
                place,
                cell: run.map_or(0, |run| run.cell),
                function: run.map(|run| run.name.clone()),
                held_by: Vec::new(),
                holders: object.inside.into(),
                readers: 0,
            })
        };
        state.objects.iter().filter_map(entry).collect()
    }

    fn actors(&self) -> Vec<ActorEntry> {
        let state = self.state();
        let actors = state.objects.iter().filter(|(_, object)| matches!(object.place, Place::Actor(..)));
        let entry = |(id, object): (&u64, &Object)| {
            let run = state.runs.find(*id);
            ActorEntry {
                id: *id,
                type_name: run.map_or_else(String::new, |run| run.name.clone()),
                name: None,
                state: actor_state(object),
                session: 0,
                cell: run.map_or(0, |run| run.cell),
                restarts: 0,
                calls: 0,
                death: match &object.end {
                    End::Failed(failure) => Some(format!("{:?}", failure.cause)),
                    _ => None,
                },
            }
        };
        actors.map(entry).collect()
    }
}

fn actor_state(object: &Object) -> ActorState {
    match object.end {
        End::Pending => ActorState::Starting,
        End::Ready => ActorState::Alive { pid: 0 },
        End::Failed(_) => ActorState::Dead,
    }
}

fn dict(entries: Vec<(String, Value)>) -> Value {
    Value::Dict(entries.into_iter().map(|(name, value)| (Value::Str(name), value)).collect())
}

fn refused(message: String) -> Box<Fault> {
    Box::new(Fault::Refused { message })
}
