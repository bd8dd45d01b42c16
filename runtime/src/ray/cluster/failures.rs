//! Ray's exceptions, in this runtime's words.

use super::logs::Death;
use super::runs::{Ran, Run};
use super::values::read_ran;
use crate::abi::{Attempt, Cause, Failure};
use crate::ray::transport::{RayError, Value};

/// A failure, and the task in which it began, if that is known.
pub(super) struct Failing {
    pub failure: Failure,
    pub origin: Option<Origin>,
}

/// The task in which a failure began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Origin {
    pub id: u64,
    pub ran: Ran,
}

impl Origin {
    /// This task, of which nothing else is known.
    pub fn of(id: u64) -> Origin {
        Origin { id, ran: Ran::default() }
    }
}

/// What a worker reports.
struct Reported {
    failure: Failure,
    /// The task that failed.
    task: Option<Origin>,
    /// The type of the actor, if the task was its constructor.
    actor: Option<String>,
}

/// How deep a report may be wrapped into exceptions.
const DEPTH_MAX: u32 = 24;

/// The failure of `run`, which Ray tells of by this exception.
pub(super) fn failing(error: &RayError, run: Option<&Run>, death: Option<Death>) -> Failing {
    if let RayError::Task { cause, .. } | RayError::Other { value: cause, .. } = error
        && let Some(Reported { failure, task, actor }) = reported(cause, DEPTH_MAX)
    {
        let own = run.filter(|run| actor.is_some() && Some(run.id) != task.map(|task| task.id));
        // A call of an actor whose constructor has failed fails by itself.
        if let Some((run, actor)) = own.zip(actor) {
            let cause = Cause::ActorDied { actor, death: Box::new(failure.cause), output: Vec::new() };
            let failure = Failure { task: run.name.clone(), cell: run.cell, cause, ..failure };
            return Failing { failure, origin: Some(Origin::of(run.id)) };
        }
        return Failing { failure, origin: task };
    }
    let pid = match error {
        RayError::Task { pid, .. } => u32::try_from(*pid).unwrap_or(0),
        _ => death.as_ref().map_or(0, |death| death.pid),
    };
    let task = run.map_or_else(String::new, |run| run.name.clone());
    let cell = run.map_or(0, |run| run.cell);
    let cause = cause_of(error, run, death);
    let failure =
        Failure { task, pid, cell, cause, carried_by: Vec::new(), attempt: Attempt::ONLY, node: node_of(error) };
    Failing { failure, origin: run.map(|run| Origin::of(run.id)) }
}

fn cause_of(error: &RayError, run: Option<&Run>, death: Option<Death>) -> Cause {
    let refused = |message: String| Cause::Refused { message };
    match error {
        RayError::Cancelled => Cause::Cancelled,
        RayError::Task { cause, .. } if class(cause) == Some("TaskCancelledError") => Cause::Cancelled,
        RayError::WorkerCrashed(text) => match death {
            Some(death) => death.cause,
            None => refused(format!("its worker process died: {}", first_line(text))),
        },
        RayError::ActorDied(text) => {
            let death = death.map_or_else(|| refused(without_id(first_line(text)).to_owned()), |death| death.cause);
            // A method's name, or a constructor's, begins with the type.
            let actor = run.and_then(|run| run.name.rsplit_once("::")).map_or("actor", |(type_name, _)| type_name);
            let actor = actor.to_owned();
            Cause::ActorDied { actor, death: Box::new(death), output: Vec::new() }
        }
        RayError::ObjectLost(text) => Cause::ObjectLost { reason: first_line(text).to_owned() },
        RayError::Task { traceback, .. } => refused(last_line(traceback).to_owned()),
        RayError::SessionEnded(text) => refused(format!("the session with the cluster has ended: {text}")),
        RayError::Other { class, text, .. } if class.is_empty() => refused(text.clone()),
        RayError::Other { class, text, .. } => refused(format!("Ray refuses it: {class}: {text}")),
    }
}

/// The node on which a task failed, if Ray says it.
fn node_of(error: &RayError) -> String {
    match error {
        RayError::Task { ip, .. } => ip.clone(),
        _ => String::new(),
    }
}

/// The name of an exception's class.
fn class(exception: &Value) -> Option<&str> {
    match exception {
        Value::Call { of, args, .. } => match &**of {
            // What pickle makes of a class without its constructor.
            Value::Global { module, .. } if module == "copyreg" => class_name(args.first()?),
            of => class_name(of),
        },
        _ => None,
    }
}

fn class_name(class: &Value) -> Option<&str> {
    match class {
        Value::Global { name, .. } => Some(name),
        _ => None,
    }
}

/// The report that `worker.py` gave an exception along: see `error.mobula` there.
fn reported(value: &Value, depth: u32) -> Option<Reported> {
    let depth = depth.checked_sub(1)?;
    let Value::Call { args, state, .. } = value else { return None };
    if let Some(Value::Bytes(bytes)) = state.as_deref().and_then(|state| entry(state, "mobula"))
        && let Ok(failure) = postcard::from_bytes(bytes)
    {
        let field = |name| state.as_deref().and_then(|state| entry(state, name));
        let actor = field("mobula_actor").and_then(Value::as_str);
        let ran = field("mobula_ran").and_then(read_ran).unwrap_or_default();
        let id = field("mobula_task").and_then(Value::as_int).and_then(|id| u64::try_from(id).ok());
        let task = id.map(|id| Origin { id, ran });
        return Some(Reported { failure, task, actor: actor.map(str::to_owned) });
    }
    args.iter().chain(state.as_deref()).find_map(|inner| within(inner, depth))
}

fn within(value: &Value, depth: u32) -> Option<Reported> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Call { .. } => reported(value, depth),
        Value::Tuple(items) | Value::List(items) => items.iter().find_map(|item| within(item, depth)),
        Value::Dict(entries) => entries.iter().find_map(|(_, item)| within(item, depth)),
        _ => None,
    }
}

/// An attribute: the state of an exception is a dict, or a pair of one and the slots.
fn entry<'a>(state: &'a Value, name: &str) -> Option<&'a Value> {
    match state {
        Value::Tuple(parts) => parts.iter().find_map(|part| part.entry(name)),
        state => state.entry(name),
    }
}

/// What Ray says of an actor begins with the actor's number, which nobody knows here.
fn without_id(text: &str) -> &str {
    match text.split_once(", ") {
        Some((id, rest)) if id.len() > 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => text,
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default().trim()
}

fn last_line(text: &str) -> &str {
    text.trim().lines().next_back().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        let cause = Cause::Error { message: "no".into() };
        Failure {
            task: "half".into(),
            pid: 7,
            cell: 3,
            cause,
            carried_by: Vec::new(),
            attempt: Attempt::ONLY,
            node: String::new(),
        }
    }

    fn exception(args: Vec<Value>, state: Option<Value>) -> Value {
        let of = Box::new(Value::global("builtins", "RuntimeError"));
        Value::Call { of, args, state: state.map(Box::new) }
    }

    #[test]
    fn a_report_is_found_however_ray_wraps_its_exception() {
        let report = postcard::to_stdvec(&failure()).unwrap();
        let ran = vec![Value::Int(7), Value::Int(2), Value::Int(5000), Value::text("00000000000000ffab")];
        let fields = vec![
            (Value::text("mobula"), Value::Bytes(report.into())),
            (Value::text("mobula_task"), Value::Int(9)),
            (Value::text("mobula_ran"), Value::Tuple(ran)),
        ];
        let ours = exception(vec![Value::text("no")], Some(Value::Dict(fields)));
        let wrapped = exception(vec![Value::text("half"), Value::Tuple(vec![exception(vec![ours], None)])], None);
        let error = RayError::Task {
            function: "half".into(),
            traceback: String::new(),
            cause: wrapped.into(),
            pid: 7,
            ip: String::new(),
        };
        let found = failing(&error, None, None);
        let ran = Ran { pid: 7, attempt: 2, ns: Some(5000), task: 255 };
        assert_eq!((found.failure, found.origin), (failure(), Some(Origin { id: 9, ran })));
    }

    #[test]
    fn an_exception_without_end_is_not_followed_for_ever() {
        let deep = (0..1000).fold(exception(Vec::new(), None), |inner, _| exception(vec![inner], None));
        assert!(reported(&deep, DEPTH_MAX).is_none());
    }

    #[test]
    fn an_exception_of_python_is_told_by_its_last_line() {
        let traceback = "Traceback (most recent call last):\n  here\nValueError: too large\n".into();
        let error =
            RayError::Task { function: "f".into(), traceback, cause: Value::None.into(), pid: 1, ip: String::new() };
        let expected = Cause::Refused { message: "ValueError: too large".into() };
        assert_eq!(failing(&error, None, None).failure.cause, expected);
    }
}
