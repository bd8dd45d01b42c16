//! Tasks, actors and calls on their way to the cluster.

use super::boot;
use super::failures::Origin;
use super::runs::Ran;
use super::values::{head, read_ran};
use super::{End, Object, Place, Shared};
use crate::abi::{Attempt, Cause, Failure, RayOption, RayOptions, Submission, TaskOptions, TaskState};
use crate::ray::transport::{Kind, RayError, Ref, Schedule, Value};
use crate::ray::wire::{Argument, Body, Submitted};
use std::sync::Arc;

/// Runs beyond the first, where nothing is said: Ray's default.
const MAX_RETRIES: i64 = 3;

/// A task's name as Ray shows it: with the cell that started it, by which its output finds the way to that.
pub(super) fn shown(name: &str, cell: u64) -> String {
    if cell == 0 { name.to_owned() } else { format!("{name} [{cell}]") }
}

/// An option as Ray takes it.
fn option(option: RayOption) -> Value {
    let dict = |entries: Vec<(String, Value)>| {
        Value::Dict(entries.into_iter().map(|(name, value)| (Value::Str(name), value)).collect())
    };
    match option {
        RayOption::Float(number) => Value::Float(number),
        RayOption::Int(number) => Value::Int(number),
        RayOption::Text(text) => Value::Str(text),
        RayOption::Bool(is) => Value::Bool(is),
        RayOption::Amounts(amounts) => {
            dict(amounts.into_iter().map(|(name, amount)| (name, Value::Float(amount))).collect())
        }
        RayOption::Env(env) => {
            let env = dict(env.into_iter().map(|(name, value)| (name, Value::Str(value))).collect());
            dict(vec![("env_vars".into(), env)])
        }
        RayOption::Bundle { group, bundle } => {
            let find = Value::global("ray.util.placement_group", "get_placement_group");
            let group = Value::call(find, [Value::Str(group_name(group))]);
            let strategy = "PlacementGroupSchedulingStrategy";
            Value::call(Value::global("ray.util.scheduling_strategies", strategy), [group, Value::Int(bundle)])
        }
        RayOption::Node { id, soft } => {
            let strategy = Value::global("ray.util.scheduling_strategies", "NodeAffinitySchedulingStrategy");
            Value::call(strategy, [Value::Str(id), Value::Bool(soft)])
        }
    }
}

/// The name of a placement group on the cluster: `worker.py` gives it.
pub(super) fn group_name(group: u64) -> String {
    format!("mobula-{group}")
}

/// Options as Ray takes them.
pub(super) fn options(options: RayOptions) -> Vec<(String, Value)> {
    options.into_iter().map(|(name, value)| (name.to_owned(), option(value))).collect()
}

/// What a function on the cluster is made of: its library, its place there, and the cell, the name and the options of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Made {
    meta: Meta,
    options: Vec<u8>,
}

/// What a worker has to know of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Meta {
    libraries: Arc<str>,
    offset: u64,
    kind: u32,
    name: String,
    cell: u64,
}

impl Meta {
    /// As `worker.py` reads it.
    fn value<const N: usize>(&self, more: [(&str, Value); N]) -> Value {
        let known = [
            ("libraries", Value::text(&self.libraries)),
            // The last one of its set.
            ("file", Value::Int(-1)),
            ("offset", Value::Int(self.offset as i64)),
            ("kind", Value::Int(self.kind.into())),
            ("name", Value::text(&self.name)),
            ("cell", Value::Int(self.cell as i64)),
        ];
        Value::Dict(known.into_iter().chain(more).map(|(name, value)| (Value::text(name), value)).collect())
    }
}

/// What an actor says of itself.
pub(super) struct Described {
    pub type_id: u64,
    pub type_name: String,
    /// The run of its constructor.
    pub ran: Ran,
}

/// So many functions are kept on the cluster.
const FUNCTIONS_MAX: usize = 1000;

impl Shared {
    /// The function of a task on the cluster, which is put there once.
    fn function(&self, meta: Meta, task: &Submitted, options: &TaskOptions) -> Ref {
        let made = Made { meta, options: task.options.clone() };
        if let Some(known) = self.state().functions.get(&made) {
            return known.clone();
        }
        let retries = options.max_retries.map_or(MAX_RETRIES, i64::from);
        let attempts = if retries < 0 { Value::None } else { Value::Int(retries + 1) };
        let function = boot::function(&self.session, made.meta.value([("attempts", attempts)]));
        let before = {
            let mut state = self.state();
            let is_full = state.functions.len() >= FUNCTIONS_MAX;
            let before = is_full.then(|| std::mem::take(&mut state.functions));
            state.functions.insert(made, function.clone());
            before
        };
        drop(before);
        function
    }

    /// Sends a task on its way. What is wrong with it fails its object.
    pub(super) fn submit(self: &Arc<Shared>, task: Submitted) {
        let (id, cell, kind) = (task.id, task.cell, task.kind);
        let read = TaskOptions::read(&task.options);
        let given = read.as_ref().ok().and_then(|options| options.name.clone()).filter(|_| kind == Submission::TASK);
        let name = given.unwrap_or_else(|| task.function.name.clone());
        let shown = self.shown_in_log(&task, &name, read.as_ref().ok());
        self.state().runs.begin(id, name.clone(), cell, kind, shown);
        if let Err(cause) = read.map_err(refused).and_then(|options| self.try_submit(&task, &name, options)) {
            let (attempt, carried_by) = (Attempt::ONLY, Vec::new());
            let failure = Failure { task: name, pid: 0, cell, cause: *cause, carried_by, attempt, node: String::new() };
            let place = Place::Known { inline: None, payload: None };
            let end = End::Failed(Box::new(failure.clone()));
            let object = Object { is_held: true, inside: 0, place, end, is_watched: true, refs: Vec::new() };
            self.state().objects.insert(id, object);
            self.end_failed(id, failure, Origin::of(id));
        }
    }

    fn try_submit(self: &Arc<Shared>, task: &Submitted, name: &str, options_of: TaskOptions) -> Result<(), Box<Cause>> {
        let libraries = self.library(&task.function.library).map_err(refused)?;
        let mut options = options(options_of.for_ray().map_err(refused)?);
        let meta =
            Meta { libraries, offset: task.function.offset, kind: task.kind, name: name.to_owned(), cell: task.cell };
        let is_call = Submission::is_call(task.kind);
        let mut values = Vec::new();
        let actor = {
            let state = self.state();
            let mut arguments = task.arguments.iter();
            let actor = match arguments.next().filter(|_| is_call) {
                Some(Argument::Object(id)) => match state.objects.get(id) {
                    Some(Object { end: End::Failed(failure), .. }) => return Err(dead(failure)),
                    Some(Object { place: Place::Actor(actor, _), .. }) => Some(actor.clone()),
                    _ => return Err(refused("this object stands for no actor".into())),
                },
                _ => {
                    arguments = task.arguments.iter();
                    None
                }
            };
            for argument in arguments {
                match argument {
                    Argument::Object(id) => {
                        let pair = state.pair(*id);
                        values.extend(pair.ok_or_else(|| refused("an argument of it does not exist any more".into()))?);
                    }
                    Argument::Value { refs, body: Body::Inline(bytes) } => {
                        let refs = refs.iter().filter_map(|id| state.reference(*id)).collect();
                        values.extend([head(Some(bytes.clone().into()), refs), Value::None]);
                    }
                    Argument::Value { body: Body::Beside { .. }, .. } => {
                        return Err(refused("an argument's bytes did not come".into()));
                    }
                }
            }
            actor
        };
        let spawned = (task.kind == Submission::SPAWN).then(|| options_of.actor.clone());
        let (session, id) = (&self.session, Value::Int(task.id as i64));
        let (kind, target, returns, mut args) = match (&spawned, actor) {
            (Some(spawned), _) => {
                if let Some(name) = options_of.name.as_deref().filter(|_| spawned.gets_existing)
                    && let Some(existing) = self.find_actor(name).map_err(|error| refused(error.to_string()))?
                {
                    self.keep(task.id, Place::Actor(existing.clone(), "".into()));
                    self.await_actor(task.id, &existing, spawned.type_id, options_of.name.clone());
                    return Ok(());
                }
                // Ray's own way would end the actor that is there: its handle replaces the one that keeps the actor alive.
                options.retain(|(name, _)| name != "get_if_exists");
                if spawned.is_detached {
                    self.keep_libraries(&meta.libraries);
                }
                let class = boot::class(session, &mut self.state(), &spawned.type_name);
                let shown = shown(&spawned.type_name, task.cell);
                let more = [
                    ("type_id", spawned.type_id.to_string()),
                    ("type_name", spawned.type_name.clone()),
                    ("shown", shown),
                ];
                (Kind::NewActor, class, 1, vec![meta.value(more.map(|(name, text)| (name, Value::Str(text)))), id])
            }
            (None, Some(actor)) => (Kind::Method("call".into()), actor, 2, vec![meta.value([]), id]),
            (None, None) => {
                options.push(("name".into(), Value::Str(shown(name, task.cell))));
                options.push(("num_returns".into(), Value::Int(2)));
                (Kind::Task, self.function(meta, task, &options_of), 2, vec![id])
            }
        };
        args.extend(values);
        // Those of a task are its function's, so that Ray has nothing to do for each call.
        let baseline = match (kind == Kind::Task, options_of.max_calls) {
            (true, Some(calls)) => {
                options.push(("max_calls".into(), Value::Int(calls.into())));
                std::mem::take(&mut options)
            }
            (true, None) => std::mem::take(&mut options),
            // The class says so, and its calls need not.
            (false, _) if is_call => vec![("num_returns".into(), Value::Int(2))],
            (false, _) => Vec::new(),
        };
        let schedule = Schedule { kind, target: &target, name, args, options, baseline, returns };
        let mut made = self.session.schedule(schedule).into_iter();
        let (Some(first), second) = (made.next(), made.next()) else {
            return Err(refused("the cluster gives it no result".into()));
        };
        match (spawned, second) {
            (Some(spawned), _) => {
                if options_of.name.is_some() {
                    self.state().lasting.push(first.clone());
                }
                self.keep(task.id, Place::Actor(first.clone(), shown(&spawned.type_name, task.cell).into()));
                self.await_actor(task.id, &first, spawned.type_id, options_of.name.clone());
            }
            (None, Some(payload)) => {
                self.keep(task.id, Place::Results { head: first.clone(), payload });
                self.await_head(task.id, &first);
            }
            (None, None) => return Err(refused("the cluster gives it one result of two".into())),
        }
        Ok(())
    }

    /// The name that the log of the task's worker has before each line.
    fn shown_in_log(&self, task: &Submitted, name: &str, options: Option<&TaskOptions>) -> Arc<str> {
        match task.arguments.first() {
            Some(Argument::Object(id)) if Submission::is_call(task.kind) => {
                match self.state().objects.get(id).map(|object| &object.place) {
                    Some(Place::Actor(_, shown)) => Arc::clone(shown),
                    _ => "".into(),
                }
            }
            _ => match options.filter(|options| options.is_actor()) {
                Some(options) => shown(&options.actor.type_name, task.cell).into(),
                None => shown(name, task.cell).into(),
            },
        }
    }

    fn keep(&self, id: u64, place: Place) {
        let object = Object { is_held: true, inside: 0, place, end: End::Pending, is_watched: true, refs: Vec::new() };
        self.state().objects.insert(id, object);
    }

    /// Learns when an actor's constructor has ended, and whether the actor is of the type that is expected: one of its name may have been
    /// there.
    fn await_actor(self: &Arc<Shared>, id: u64, actor: &Ref, type_id: u64, name: Option<String>) {
        let shared = Arc::downgrade(self);
        self.ask_type(actor, move |result| {
            let Some(shared) = shared.upgrade() else { return };
            match result {
                Ok(found) if found.type_id == type_id => {
                    let news = {
                        let mut state = shared.state();
                        state.runs.end(id, TaskState::Finished, found.ran);
                        if let Some(object) = state.objects.get_mut(&id) {
                            object.end = End::Ready;
                        }
                        state.news(id)
                    };
                    news.into_iter().for_each(|news| shared.tell(news.into()));
                }
                Ok(Described { type_name, .. }) => {
                    let name = name.unwrap_or_default();
                    let text = format!("there is an actor named `{name}` already, a `{type_name}`");
                    shared.failed(id, &RayError::Other { class: String::new(), text, value: Value::None.into() }, None);
                }
                Err(error) => shared.failed(id, &error, None),
            }
        });
    }

    /// Asks an actor what it is.
    pub(super) fn ask_type(&self, actor: &Ref, done: impl FnOnce(Result<Described, RayError>) + Send + 'static) {
        let schedule = Schedule {
            kind: Kind::Method("type_of".into()),
            target: actor,
            name: "type_of",
            args: Vec::new(),
            options: Vec::new(),
            baseline: Vec::new(),
            returns: 1,
        };
        let result = self.session.schedule(schedule).swap_remove(0);
        let read = |value: &Value| match super::values::items(value)? {
            [id, name, ran] => Some(Described {
                type_id: id.as_str()?.parse().ok()?,
                type_name: name.as_str()?.to_owned(),
                ran: read_ran(ran).unwrap_or_default(),
            }),
            _ => None,
        };
        self.session.get(
            &result,
            Box::new(move |result| {
                done(result.and_then(|value| {
                    let text = "the actor of this name is none of Mobula's".to_owned();
                    read(&value).ok_or(RayError::Other { class: String::new(), text, value: value.into() })
                }));
            }),
        );
    }
}

/// Why a call of an actor fails that has failed itself.
fn dead(failure: &Failure) -> Box<Cause> {
    let (actor, cause) = (failure.task.clone(), failure.cause.clone());
    Box::new(match cause {
        died @ Cause::ActorDied { .. } => died,
        cause => Cause::ActorDied { actor, death: Box::new(cause), output: Vec::new() },
    })
}

fn refused(message: String) -> Box<Cause> {
    Box::new(Cause::Refused { message })
}
