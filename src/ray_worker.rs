//! A process of a Ray cluster as a worker: the engine behind the table there.
//!
//! ```text
//!   Ray's worker (Python) ── runtime/src/ray/worker.py ──run──▶ this file ──Table──▶ a cell's function
//!          ▲   objects, tasks, actors of Ray                        │
//!          └─────────────────────── requests ◀──────────────────────┘  .remote, get, put, wait in that function
//! ```
//!
//! This file counts references and keeps drafts and views. Everything else is asked of Python, which has Ray: see `requests.rs`. It is part
//! of the crate that cells link, as the inline engine is, because it runs where nothing of Mobula is installed.
//!
//! # Invariants
//! - No call of Python and no user code runs under the lock.
//! - Python forgets an object when the last reference to it here is given back, and keeps a buffer until its view is closed.

mod boundary;
mod requests;

use crate::abi::desk::{Aligned, Desk, unique_id};
use crate::abi::engine::{self, Engine, Fallible, Input, Opened, Task};
use crate::abi::held::{Held, none_here};
use crate::abi::{
    ActorState, Answer, Attempt, Cause, Draft, Failure, Fault, NamedActor, Notify, ObjectState, Question,
    ResourceStatus, RuntimeStatus, Table, TaskOptions, View, task_name,
};
use crate::json::JsonValue;
use boundary::{Given, call_python};
use requests::{integers, option_values, request};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

/// Its table.
static TABLE: Table = engine::table::<RayWorker>();

/// The engine. Its whole state is [`STATE`].
struct RayWorker;

/// What keeps the bytes of a view, and the objects that they refer to.
#[derive(Debug)]
struct Kept {
    /// The bytes, if they are a copy.
    _copy: Option<Aligned>,
    /// Python's name for the buffer, if it keeps one.
    buffer: Option<u64>,
    refs: Vec<u64>,
}

/// A task that runs here, until it delivers its outcome.
#[derive(Debug, Default)]
struct Running {
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Result(Aligned, Vec<u64>),
    Failed(Cause),
}

/// The references of this process to an object.
#[derive(Debug, Default)]
struct Count {
    references: u64,
    /// How often Python has given the object. It keeps it until all that is taken back.
    given: u64,
}

#[derive(Debug, Default)]
struct State {
    desk: Desk<Kept>,
    counts: HashMap<u64, Count>,
    running: HashMap<u64, Running>,
    /// What Python has not freed yet, by its token.
    results: HashMap<u64, Aligned>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn state() -> Held<'static, State> {
    none_here("the state is locked again");
    Held::new(STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

impl State {
    fn retain(&mut self, id: u64) {
        self.counts.entry(id).or_default().references += 1;
    }

    /// Counts one reference more to an object that Python has just given.
    fn given(&mut self, id: u64) {
        self.retain(id);
        self.counts.entry(id).or_default().given += 1;
    }

    /// Counts one reference less. When it was the last one: how often Python had given the object.
    #[must_use]
    fn release(&mut self, id: u64) -> Option<u64> {
        let count = self.counts.get_mut(&id)?;
        count.references -= 1;
        (count.references == 0).then(|| self.counts.remove(&id).map_or(0, |count| count.given))
    }

    /// A view of bytes that Python gives; they are copied if they do not begin at a multiple of 64.
    fn view(&mut self, given: Given) -> View {
        given.refs.iter().for_each(|id| self.given(*id));
        let (copy, ptr) = match given.aligned() {
            Ok(ptr) => (None, ptr),
            Err(copy) => {
                let ptr = copy.ptr();
                (Some(copy), ptr)
            }
        };
        self.desk.open(ptr, given.len, Kept { _copy: copy, buffer: given.buffer, refs: given.refs })
    }
}

/// Gives references back, and has Python forget what nobody refers to any more.
fn release_all(ids: &[u64]) {
    let (last, times): (Vec<u64>, Vec<u64>) = {
        let mut state = state();
        ids.iter().filter_map(|id| Some((*id, state.release(*id)?))).unzip()
    };
    if !last.is_empty() {
        // Nobody is told when it fails: the process ends.
        let _ = call_python(request("forget", [("ids", integers(&last)), ("times", integers(&times))]), &[]);
    }
}

impl Engine for RayWorker {
    fn current() -> Option<&'static RayWorker> {
        Some(&RayWorker)
    }

    fn create(&self, len: u64) -> Fallible<Draft> {
        let memory = Aligned::zeroed(len as usize);
        Ok(state().desk.begin(memory))
    }

    fn seal(&self, draft: u64, contains: &[u64]) -> Fallible<u64> {
        let memory = state().desk.take(draft).ok_or_else(no_draft)?;
        let id = unique_id();
        let what = [("id", JsonValue::Integer(id.into())), ("refs", integers(contains))];
        call_python(request("put", what), &[memory.bytes()])?;
        state().given(id);
        Ok(id)
    }

    fn discard(&self, draft: u64) {
        state().desk.take(draft);
    }

    fn submit(&self, task: Task<'_>) -> Fallible<u64> {
        let (mut drafts, mut arguments) = (Vec::new(), Vec::new());
        for input in task.inputs() {
            arguments.push(match input {
                Input::Object(id) => JsonValue::map([("object", JsonValue::Integer(id.into()))]),
                Input::Draft(draft, contains) => {
                    drafts.push(state().desk.take(draft).ok_or_else(no_draft)?);
                    JsonValue::map([("refs", integers(contains))])
                }
            });
        }
        let refused = |message| Box::new(Fault::Refused { message });
        let options = TaskOptions::read(task.options).map_err(refused)?;
        let named = options.name.clone().filter(|_| !options.is_actor());
        let id = unique_id();
        let what = [
            ("id", JsonValue::Integer(id.into())),
            ("kind", JsonValue::Integer(task.kind.into())),
            ("trampoline", JsonValue::Integer(task.trampoline as usize as i128)),
            ("name", named.unwrap_or_else(|| task_name(&String::from_utf8_lossy(task.name))).into()),
            ("arguments", JsonValue::List(arguments)),
            ("options", option_values(options.for_ray().map_err(refused)?)),
            ("max_calls", options.max_calls.map_or(JsonValue::Null, |calls| JsonValue::Integer(calls.into()))),
            ("type_id", JsonValue::Integer(options.actor.type_id.into())),
            ("type_name", options.actor.type_name.clone().into()),
            ("is_kept", JsonValue::Bool(options.is_actor() && options.name.is_some())),
        ];
        let bytes: Vec<&[u8]> = drafts.iter().map(Aligned::bytes).collect();
        let (answer, _) = call_python(request("submit", what), &bytes)?;
        // Another one, when there is an actor of that name already.
        let id = number(&answer, "id").unwrap_or(id);
        state().given(id);
        Ok(id)
    }

    fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()> {
        let seconds = timeout.map_or(JsonValue::Null, |timeout| JsonValue::Float(timeout.as_secs_f64()));
        let what =
            [("ids", integers(ids)), ("num_returns", JsonValue::Integer(num_returns.into())), ("timeout", seconds)];
        let (answer, _) = call_python(request("wait", what), &[])?;
        let found = numbers(&answer, "ready");
        ready.iter_mut().zip(ids).for_each(|(ready, id)| *ready = found.contains(id).into());
        Ok(())
    }

    fn watch(&'static self, id: u64, notify: Notify) -> Fallible<()> {
        // Ray wakes whoever waits for an object; a thread for each that is awaited is what its own futures come to, too.
        std::thread::spawn(move || {
            let _ = RayWorker.wait(&[id], 1, None, &mut [0]);
            notify(id);
        });
        Ok(())
    }

    fn open(&self, id: u64) -> Fallible<Opened> {
        let (answer, given) = call_python(request("open", [("id", JsonValue::Integer(id.into()))]), &[])?;
        match given {
            Some(mut given) => {
                given.refs = numbers(&answer, "refs");
                Ok(Opened::View(state().view(given)))
            }
            None => Ok(Opened::NotReady),
        }
    }

    fn close(&self, hold: u64) {
        let Some(kept) = state().desk.close(hold) else { return };
        release_all(&kept.refs);
        if let Some(buffer) = kept.buffer {
            let _ = call_python(request("close", [("buffer", JsonValue::Integer(buffer.into()))]), &[]);
        }
    }

    fn retain(&self, ids: &[u64]) {
        let mut state = state();
        ids.iter().for_each(|id| state.retain(*id));
    }

    fn release(&self, id: u64) {
        release_all(&[id]);
    }

    fn result(&self, call: u64, draft: u64, contains: &[u64]) {
        let mut state = state();
        let Some(memory) = state.desk.take(draft) else { return };
        // The trampoline's own references end when it returns, before Python has made the object.
        contains.iter().for_each(|id| state.retain(*id));
        if let Some(running) = state.running.get_mut(&call) {
            running.outcome = Some(Outcome::Result(memory, contains.to_vec()));
        }
    }

    fn fail(&self, call: u64, cause: Cause) {
        if let Some(running) = state().running.get_mut(&call) {
            running.outcome = Some(Outcome::Failed(cause));
        }
    }

    fn ask(&self, question: Question) -> Fallible<Answer> {
        answer(question)
    }
}

/// Answers what is not on a fast path.
fn answer(question: Question) -> Fallible<Answer> {
    let of_id = |op, id: u64| call_python(request(op, [("id", JsonValue::Integer(id.into()))]), &[]);
    let is_so = |answer: &JsonValue| answer.get("is") == Some(&JsonValue::Bool(true));
    Ok(match question {
        Question::IsCancelled => Answer::Flag(is_so(&call_python(request("is_cancelled", []), &[])?.0)),
        Question::State { id } => Answer::State(match of_id("state", id)?.0.get("state").and_then(JsonValue::as_str) {
            Some("ready") => ObjectState::Ready { bytes: 0 },
            Some("failed") => ObjectState::Failed,
            _ => ObjectState::Pending,
        }),
        Question::Cancel { id } => Answer::Flag(is_so(&of_id("cancel", id)?.0)),
        Question::Kill { id } => Answer::Flag(is_so(&of_id("kill", id)?.0)),
        Question::ActorState { id } => {
            Answer::ActorState(match of_id("actor_state", id)?.0.get("state").and_then(JsonValue::as_str) {
                Some("alive") => Some(ActorState::Alive { pid: 0 }),
                Some("dead") => Some(ActorState::Dead),
                Some(_) => Some(ActorState::Starting),
                None => None,
            })
        }
        Question::Actor { name } => {
            let (answer, _) = call_python(request("actor", [("name", name.into())]), &[])?;
            let found = number(&answer, "id").zip(number(&answer, "type_id"));
            Answer::Actor(found.map(|(id, type_id)| {
                state().given(id);
                let type_name = answer.get("type_name").and_then(JsonValue::as_str).unwrap_or_default().to_owned();
                NamedActor { id, type_id, type_name }
            }))
        }
        Question::PlacementGroup { bundles, strategy, .. } => {
            let bundles: Result<Vec<JsonValue>, String> =
                bundles.iter().map(|bundle| Ok(option_values(bundle.for_ray()?))).collect();
            let bundles = bundles.map_err(|message| Fault::Refused { message })?;
            let group = unique_id();
            let what = [
                ("group", JsonValue::Integer(group.into())),
                ("bundles", JsonValue::List(bundles)),
                ("strategy", strategy.ray_name().into()),
            ];
            call_python(request("placement_group", what), &[])?;
            Answer::PlacementGroup(group)
        }
        Question::RemovePlacementGroup { group } => Answer::Flag(is_so(&of_id("remove_placement_group", group)?.0)),
        Question::ClusterResources => Answer::Resources(resources("total")?),
        Question::AvailableResources => Answer::Resources(resources("free")?),
        Question::Status => {
            let (total, free) = (resources("total")?, resources("free")?);
            let free = |name: &str| free.iter().find(|(free, _)| free == name).map_or(0.0, |(_, amount)| *amount);
            let status = |(name, total): (String, f64)| ResourceStatus { in_use: total - free(&name), name, total };
            Answer::Status(RuntimeStatus {
                resources: total.into_iter().map(status).collect(),
                ..RuntimeStatus::default()
            })
        }
        Question::Errors => Answer::Errors(Vec::new()),
        other => return Err(Fault::Refused { message: refusal(&other).into() }.into()),
    })
}

/// Why a question has no answer here.
fn refusal(question: &Question) -> &'static str {
    match question {
        Question::Init(_) | Question::Join { .. } | Question::Leave | Question::Shutdown => {
            "a task cannot choose the runtime that runs it"
        }
        Question::Publish { .. } | Question::Unpublish { .. } | Question::Lookup { .. } => {
            "on a Ray cluster objects have no names: give the reference to a named actor, which others can ask for it"
        }
        Question::Comm { .. } => {
            "a task on a Ray cluster cannot reach the notebook: let it print or return what is to be shown"
        }
        _ => "a task on a Ray cluster cannot ask that: ask it in a cell",
    }
}

fn resources(which: &str) -> Fallible<Vec<(String, f64)>> {
    let (answer, _) = call_python(request("resources", [("which", which.into())]), &[])?;
    let Some(JsonValue::Map(found)) = answer.get("resources") else { return Ok(Vec::new()) };
    let amount = |value: &JsonValue| match value {
        JsonValue::Float(amount) => *amount,
        JsonValue::Integer(amount) => *amount as f64,
        _ => 0.0,
    };
    Ok(found.iter().map(|(name, value)| (name.clone(), amount(value))).collect())
}

fn number(answer: &JsonValue, key: &str) -> Option<u64> {
    match answer.get(key) {
        Some(JsonValue::Integer(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn numbers(answer: &JsonValue, key: &str) -> Vec<u64> {
    let Some(JsonValue::List(list)) = answer.get(key) else { return Vec::new() };
    let number = |value: &JsonValue| match value {
        JsonValue::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    list.iter().filter_map(number).collect()
}

/// The failure of a task that runs here.
fn failure(run: &JsonValue, cause: Cause) -> Failure {
    let text = |key| run.get(key).and_then(JsonValue::as_str).unwrap_or_default().to_owned();
    let attempt = Attempt {
        number: number(run, "attempt").unwrap_or(1) as u32,
        of: number(run, "attempts").map(|attempts| attempts as u32),
    };
    let cell = number(run, "cell").unwrap_or(0);
    Failure {
        task: text("name"),
        pid: std::process::id(),
        cell,
        cause,
        carried_by: Vec::new(),
        attempt,
        node: text("node"),
    }
}

fn no_draft() -> Box<Fault> {
    let message = "there is no such draft: each can be sealed, submitted or discarded once";
    Box::new(Fault::Refused { message: message.into() })
}
