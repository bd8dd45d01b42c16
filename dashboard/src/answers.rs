//! The answers of `/api/…`, from the source: what the page shows, and what a report freezes. The README of this package says what is in them.

use crate::ids::{id_of, id_text};
use crate::source::{Source, Unanswered};
use crate::stack::{self, NoStack, Target};
use mobula_abi::{
    ActorEntry, ActorState, Answer, Failed, ObjectEntry, ObjectState, Question, RuntimeStatus, Share, StoreSummary,
    TaskEntry, TaskTable,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many tasks are told when nothing is said.
const TASKS_TOLD: usize = 1000;
/// How many lines of a log are told with a task.
const LINES_TOLD: usize = 100;
/// The part of a cell's number that its session gives it; the rest is the session.
const CELL_IN_SESSION: u64 = (1 << 24) - 1;
/// How many children of a task are told.
const CHILDREN_TOLD: usize = 200;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The runtime gave none.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// It answered something else.
    #[error("the runtime gave an answer to another question")]
    Other,
    /// There is no such thing.
    #[error("{what}")]
    Missing {
        /// What there is not.
        what: String,
    },
    /// A process's stack cannot be read.
    #[error(transparent)]
    Stack(#[from] NoStack),
}

/// Which tasks are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskFilter {
    name: Option<String>,
    state: Option<String>,
    cell: Option<u64>,
    pid: Option<u32>,
    limit: Option<usize>,
}

/// Which run of a task is wanted.
#[derive(Debug, Deserialize)]
pub struct TaskChoice {
    id: String,
    attempt: Option<u32>,
}

/// Of which worker the stack is wanted.
#[derive(Debug, Deserialize)]
pub struct StackChoice {
    pid: u32,
}

macro_rules! answered {
    ($source:expr, $question:ident, $answer:ident) => {
        match $source.ask(Question::$question)? {
            Answer::$answer(answer) => Ok(answer),
            _ => Err(NoAnswer::Other),
        }
    };
}

/// Resources, in use and wanted.
pub fn status(source: &dyn Source) -> Result<RuntimeStatus, NoAnswer> {
    answered!(source, Status, Status)
}

/// The actors.
pub fn actor_list(source: &dyn Source) -> Result<Vec<ActorEntry>, NoAnswer> {
    answered!(source, Actors, Actors)
}

/// The runs of tasks, as `tasks()` in a cell gives them: the newest that the filter takes.
pub fn tasks(source: &dyn Source, filter: &TaskFilter) -> Result<Value, NoAnswer> {
    let table: TaskTable = answered!(source, Tasks, Tasks)?;
    let name_of = |entry: &TaskEntry| table.names.get(entry.name as usize).map_or("unknown", String::as_str);
    let is_wanted = |entry: &&TaskEntry| {
        filter.name.as_deref().is_none_or(|name| name == name_of(entry))
            && filter.state.as_deref().is_none_or(|state| state == entry.state.to_string())
            && filter.cell.is_none_or(|cell| cell == entry.cell)
            && filter.pid.is_none_or(|pid| pid == entry.pid)
    };
    let found: Vec<&TaskEntry> = table.tasks.iter().filter(is_wanted).collect();
    let newest = &found[found.len().saturating_sub(filter.limit.unwrap_or(TASKS_TOLD))..];
    let rows: Vec<Value> = newest.iter().map(|entry| task_row(entry, name_of(entry))).collect();
    Ok(json!({ "now_ns": table.now, "forgotten": table.forgotten, "number": found.len(), "tasks": rows }))
}

/// One run of a task: what it came from, what waits for it, its error, its log, its cell.
pub fn task(source: &dyn Source, choice: &TaskChoice) -> Result<Value, NoAnswer> {
    let missing = || NoAnswer::Missing { what: format!("no run of a task `{}` is remembered", choice.id) };
    let id = id_of(&choice.id).ok_or_else(missing)?;
    let table: TaskTable = answered!(source, Tasks, Tasks)?;
    let name_of = |entry: &TaskEntry| table.names.get(entry.name as usize).map_or("unknown", String::as_str);
    let mut runs = table.tasks.iter().filter(|run| run.id == id);
    let run = match choice.attempt {
        Some(attempt) => runs.find(|run| run.attempt == attempt),
        None => runs.next_back(),
    };
    let run = run.ok_or_else(missing)?;
    let row = |entry: &TaskEntry| task_row(entry, name_of(entry));
    let last_run = |id: u64| table.tasks.iter().rev().find(|run| run.id == id);
    let linked = |id: &u64| match last_run(*id) {
        Some(run) => row(run),
        None => json!({ "id": id_text(*id), "name": "object", "state": "" }),
    };
    let links = source.task_links(id)?;
    let children = table.tasks.iter().filter(|other| other.parent == id).take(CHILDREN_TOLD).map(row);
    let name = name_of(run);
    let failures: Vec<Failed> = answered!(source, Errors, Errors)?;
    let is_of_run = |failed: &&Failed| {
        let failure = &failed.failure;
        (failure.task.as_str(), failure.pid, failure.cell, failure.attempt.number)
            == (name, run.pid, run.cell, run.attempt)
    };
    let error = failures.iter().rev().find(is_of_run).filter(|_| run.state != mobula_abi::TaskState::Finished);
    let error = error.map(|failed| source.report(&failed.failure));
    let lines = source.log(0).lines;
    let lines: Vec<_> = lines.into_iter().filter(|line| line.pid == run.pid && line.task == name).collect();
    let cell = source.cells(0).cells.into_iter().find(|cell| cell.cell == run.cell_of_session());
    Ok(json!({
        "task": row(run),
        "parent": (run.parent != 0).then(|| linked(&run.parent)),
        "children": children.collect::<Vec<_>>(),
        "needs": links.needs.iter().map(linked).collect::<Vec<_>>(),
        "needed_by": links.needed_by.iter().map(linked).collect::<Vec<_>>(),
        "error": error,
        "log": lines[lines.len().saturating_sub(LINES_TOLD)..],
        "cell": cell,
    }))
}

fn task_row(entry: &TaskEntry, name: &str) -> Value {
    json!({
        "id": id_text(entry.id),
        "name": name,
        "kind": entry.of.to_string(),
        "state": entry.state.to_string(),
        "cell": entry.cell,
        "attempt": entry.attempt,
        "pid": entry.pid,
        "parent": (entry.parent != 0).then(|| id_text(entry.parent)),
        "submitted_ns": entry.submitted,
        "began_ns": entry.began,
        "ended_ns": entry.ended,
    })
}

/// The actors, oldest first.
pub fn actors(source: &dyn Source) -> Result<Value, NoAnswer> {
    let rows: Vec<Value> = actor_list(source)?.iter().map(actor_row).collect();
    Ok(json!({ "actors": rows }))
}

fn actor_row(actor: &ActorEntry) -> Value {
    let pid = if let ActorState::Alive { pid } = actor.state { Some(pid) } else { None };
    json!({
        "id": id_text(actor.id),
        "type": actor.type_name,
        "name": actor.name,
        "state": actor.state.to_string(),
        "pid": pid,
        "cell": actor.cell,
        "restarts": actor.restarts,
        "calls": actor.calls,
        "death": actor.death,
    })
}

/// What each thread of a worker is in, with the lines of cells.
pub fn stack(source: &dyn Source, choice: &StackChoice) -> Result<Value, NoAnswer> {
    let StackChoice { pid } = *choice;
    let no_worker = || NoAnswer::Missing { what: format!("process {pid} is no living worker of this runtime") };
    // First the process, then whether it is a worker: so that it is not one that got the worker's number meanwhile.
    let target = Target::of(pid).map_err(|_| no_worker())?;
    if !status(source)?.pids.contains(&pid) {
        return Err(no_worker());
    }
    let mut threads = stack::stacks(&target)?;
    let cells = source.cells(0).cells;
    for frame in threads.iter_mut().flat_map(|thread| &mut thread.frames) {
        let (Some(number), Some(line)) = (frame.cell, frame.line) else { continue };
        // Sessions that have joined a runtime number their cells alike: then it is not known whose this is.
        let mut of_number = cells.iter().filter(|cell| cell.cell & CELL_IN_SESSION == number);
        if let (Some(cell), None) = (of_number.next(), of_number.next()) {
            frame.source =
                (line as usize).checked_sub(1).and_then(|line| cell.source.lines().nth(line)).map(str::to_owned);
        }
    }
    Ok(json!({ "pid": pid, "threads": threads }))
}

/// What fills the store.
pub fn objects(source: &dyn Source) -> Result<Value, NoAnswer> {
    let StoreSummary { objects, places, makers, holders, largest } = source.store_summary()?;
    let places: serde_json::Map<_, _> =
        places.into_iter().map(|share| (share.name, json!([share.objects, share.bytes]))).collect();
    let by_pid = |share: &Share| json!({ "pid": share.name.parse().unwrap_or(0), "objects": share.objects, "bytes": share.bytes });
    Ok(json!({
        "number": objects,
        "totals": places,
        "makers": makers,
        "holders": holders.iter().map(by_pid).collect::<Vec<_>>(),
        "objects": largest.iter().map(object_row).collect::<Vec<_>>(),
    }))
}

fn object_row(object: &ObjectEntry) -> Value {
    let (state, bytes) = match object.state {
        ObjectState::Pending => ("pending", None),
        ObjectState::Ready { bytes } => ("ready", Some(bytes)),
        ObjectState::Failed => ("failed", None),
    };
    json!({
        "id": id_text(object.id),
        "state": state,
        "bytes": bytes,
        "place": object.place.to_string(),
        "maker": object.function.as_deref().unwrap_or("put"),
        "cell": object.cell,
        "pids": object.held_by,
        "holders": object.holders,
        "readers": object.readers,
    })
}

/// The failures, oldest first, with their reports.
pub fn errors(source: &dyn Source) -> Result<Value, NoAnswer> {
    let failures: Vec<Failed> = answered!(source, Errors, Errors)?;
    let row = |failed: &Failed| {
        let failure = &failed.failure;
        json!({
            "task": failure.task,
            "cell": failure.cell,
            "pid": failure.pid,
            "attempt": failure.attempt.number,
            "carried_by": failure.carried_by,
            "is_fetched": failed.is_fetched,
            "text": source.report(failure),
        })
    };
    Ok(json!({ "errors": failures.iter().map(row).collect::<Vec<_>>() }))
}
