//! Failures of a cluster: the exceptions that it sends as pickles, told apart by the names of their classes.

use super::value::Value;
use std::fmt;

/// Why a task, an object or an actor failed, as the cluster says it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RayError {
    /// A function raised an exception.
    Task {
        /// Its name.
        function: String,
        /// Python's own text about it, with the lines.
        traceback: String,
        /// The exception.
        cause: Box<Value>,
        /// The worker process.
        pid: i64,
        /// Its node.
        ip: String,
    },
    /// The worker process ended while it ran the task.
    WorkerCrashed(String),
    /// The task was cancelled.
    Cancelled,
    /// The actor is dead, or does not answer.
    ActorDied(String),
    /// The object is not there any more and could not be made again.
    ObjectLost(String),
    /// The session has ended.
    SessionEnded(String),
    /// Any other exception.
    Other {
        /// Its class's name.
        class: String,
        /// Its text.
        text: String,
        /// The exception as data.
        value: Box<Value>,
    },
}

impl RayError {
    /// Something that was found here and not at the cluster.
    pub(super) fn here(text: impl fmt::Display) -> RayError {
        RayError::Other { class: String::new(), text: text.to_string(), value: Box::new(Value::None) }
    }

    /// The failure that an exception stands for.
    pub(super) fn of(exception: Value) -> RayError {
        let Some(class) = class(&exception) else {
            return RayError::Other { class: String::new(), text: String::new(), value: Box::new(exception) };
        };
        let text = text(&exception);
        match class.name.as_str() {
            "RayTaskError" => task(&exception),
            "WorkerCrashedError" | "LocalRayletDiedError" | "NodeDiedError" | "OutOfMemoryError" => {
                RayError::WorkerCrashed(text)
            }
            "TaskCancelledError" => RayError::Cancelled,
            "RayActorError" | "ActorDiedError" | "ActorUnavailableError" | "ActorUnschedulableError" => {
                RayError::ActorDied(text)
            }
            "ObjectLostError"
            | "ObjectFetchTimedOutError"
            | "ObjectFreedError"
            | "ObjectReconstructionFailedError"
            | "ObjectReconstructionFailedMaxAttemptsExceededError"
            | "ObjectReconstructionFailedLineageEvictedError"
            | "OwnerDiedError"
            | "ReferenceCountingAssertionError" => RayError::ObjectLost(text),
            _ => RayError::Other { class: class.name, text, value: Box::new(exception) },
        }
    }

    /// The value that a task gave, or the failure that came in its place: what fails a task is an exception of Ray's own.
    pub(super) fn check(value: Value) -> Result<Value, RayError> {
        match class(&value) {
            Some(class) if class.module == "ray.exceptions" => Err(RayError::of(value)),
            _ => Ok(value),
        }
    }
}

impl fmt::Display for RayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RayError::Task { function, traceback, .. } => write!(f, "`{function}` failed: {}", last_line(traceback)),
            RayError::WorkerCrashed(text) => write!(f, "the worker died: {text}"),
            RayError::Cancelled => write!(f, "the task was cancelled"),
            RayError::ActorDied(text) => write!(f, "the actor is not there: {text}"),
            RayError::ObjectLost(text) => write!(f, "the object is lost: {text}"),
            RayError::SessionEnded(text) => write!(f, "the session on the cluster has ended: {text}"),
            RayError::Other { class, text, .. } if class.is_empty() => f.write_str(text),
            RayError::Other { class, text, .. } => write!(f, "{class}: {text}"),
        }
    }
}

impl std::error::Error for RayError {}

/// The class of an exception.
struct Class {
    module: String,
    name: String,
}

/// The class of what a call makes.
fn class(exception: &Value) -> Option<Class> {
    let Value::Call { of, args, .. } = exception else { return None };
    match &**of {
        // `copyreg.__newobj__` and its kin take the class as their first argument.
        Value::Global { module, .. } if matches!(module.as_str(), "copyreg" | "copy_reg") => global(args.first()?),
        made_by_name @ Value::Global { .. } => global(made_by_name),
        // A class that was made while the program ran: its name and its bases stand in the call that makes it.
        Value::Call { args, .. } => dynamic(args),
        _ => None,
    }
}

fn global(value: &Value) -> Option<Class> {
    match value {
        Value::Global { module, name } => Some(Class { module: module.clone(), name: name.clone() }),
        Value::Call { args, .. } => dynamic(args),
        _ => None,
    }
}

/// The first base of Ray's among the arguments that make a class.
fn dynamic(args: &[Value]) -> Option<Class> {
    args.iter().find_map(|arg| match arg {
        Value::Tuple(bases) | Value::List(bases) => {
            bases.iter().filter_map(global).find(|class| class.module == "ray.exceptions")
        }
        _ => None,
    })
}

/// The attributes of an exception, if the pickle has them.
fn attributes(exception: &Value) -> Option<&Value> {
    let Value::Call { state, args, .. } = exception else { return None };
    match state.as_deref() {
        // Of a class with slots: the dict, and the slots.
        Some(Value::Tuple(parts)) => parts.iter().find(|part| matches!(part, Value::Dict(_))),
        Some(state) => Some(state),
        None => args.iter().find(|arg| matches!(arg, Value::Dict(_))),
    }
}

/// `RayTaskError(function_name, traceback_str, cause, proctitle, pid, ip, …)`, as a call or by its attributes.
fn task(exception: &Value) -> RayError {
    let positions = ["function_name", "traceback_str", "cause", "proctitle", "pid", "ip"];
    let attributes = attributes(exception);
    let Value::Call { args, .. } = exception else { unreachable!("it has a class") };
    let field = |name: &str| {
        let named = attributes.and_then(|attributes| attributes.entry(name));
        let position = positions.iter().position(|position| *position == name);
        // Where the first argument is no text, they are not Ray's.
        let is_rays = args.first().is_some_and(|first| first.as_str().is_some()) && args.len() >= 3;
        named.or_else(|| args.get(position.filter(|_| is_rays)?))
    };
    let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    RayError::Task {
        function: text("function_name"),
        traceback: text("traceback_str"),
        cause: Box::new(field("cause").cloned().unwrap_or(Value::None)),
        pid: field("pid").and_then(Value::as_int).unwrap_or_default(),
        ip: text("ip"),
    }
}

/// What an exception says: its arguments, or the texts among its attributes.
fn text(exception: &Value) -> String {
    let Value::Call { args, .. } = exception else { return String::new() };
    let mut texts: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
    if let (true, Some(Value::Dict(entries))) = (texts.is_empty(), attributes(exception)) {
        texts = entries.iter().filter_map(|(_, value)| value.as_str()).collect();
    }
    texts.join(", ")
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ray(name: &str) -> Value {
        Value::global("ray.exceptions", name)
    }

    /// The class `RayTaskError(ValueError)`, which Ray makes while it runs and sends with its code.
    fn dual() -> Value {
        let bases = Value::Tuple(vec![ray("RayTaskError"), Value::global("builtins", "ValueError")]);
        let name = Value::text("RayTaskError(ValueError)");
        let make = Value::global("ray.cloudpickle.cloudpickle", "_make_skeleton_class");
        Value::call(make, [Value::global("builtins", "type"), name, bases, Value::Dict(Vec::new())])
    }

    fn cause() -> Value {
        Value::call(Value::global("builtins", "ValueError"), [Value::text("no")])
    }

    fn failed(error: RayError) -> (String, String, Value, i64, String) {
        let RayError::Task { function, traceback, cause, pid, ip } = error else { panic!("{error:?}") };
        (function, traceback, *cause, pid, ip)
    }

    #[test]
    fn what_a_function_raised_is_read_by_place() {
        let args = [
            Value::text("f"),
            Value::text("Traceback"),
            cause(),
            Value::text("ray::f"),
            Value::Int(7),
            Value::text("::1"),
        ];
        let error = RayError::check(Value::call(ray("RayTaskError"), args)).unwrap_err();
        assert_eq!(failed(error), ("f".into(), "Traceback".into(), cause(), 7, "::1".into()));
    }

    #[test]
    fn what_is_also_of_the_class_that_was_raised_is_read_by_name() {
        let named =
            [("function_name", Value::text("f")), ("traceback_str", Value::text("Traceback")), ("cause", cause())];
        let state = Value::Dict(named.into_iter().map(|(name, value)| (Value::text(name), value)).collect());
        let whole = Value::Call { of: Box::new(dual()), args: vec![cause()], state: Some(Box::new(state)) };
        assert_eq!(failed(RayError::of(whole.clone())), ("f".into(), "Traceback".into(), cause(), 0, String::new()));
        // As a result it is a failure, too, and not a value.
        assert!(matches!(RayError::check(whole), Err(RayError::Task { .. })));
    }

    #[test]
    fn exceptions_of_others_are_values() {
        assert_eq!(RayError::check(cause()), Ok(cause()));
        let text = RayError::of(cause()).to_string();
        assert_eq!(text, "ValueError: no");
    }
}
