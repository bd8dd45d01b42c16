//! Words for tests: functions and classes of Python from their source, and calls of them.

use mobula_runtime::ray::transport::{Kind, RayError, Ref, Schedule, Session, Value};
use std::sync::mpsc;
use std::time::Duration;

/// A test that waits longer than this hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What `name` is after `source` was run.
pub fn defined(source: &str, name: &str) -> Value {
    let space = Value::Dict(vec![
        (Value::text("source"), Value::text(source)),
        (Value::text("name"), Value::text(name)),
        (Value::text("space"), Value::Dict(vec![(Value::text("__name__"), Value::text("__main__"))])),
    ]);
    let expression = "exec(compile(source, '<test>', 'exec'), space) or space[name]";
    Value::call(Value::global("builtins", "eval"), [Value::text(expression), space])
}

/// Puts the function or the class that `source` defines.
pub fn put_source(session: &Session, source: &str) -> Ref {
    let head = source.split(['(', ':']).next().unwrap_or_default();
    let name = head.split_whitespace().last().expect("it begins with `def` or `class`");
    session.put(defined(source, name))
}

/// Calls a function that gives one object.
pub fn call(session: &Session, function: &Ref, args: impl IntoIterator<Item = Value>) -> Ref {
    call_with(session, function, args, Vec::new(), 1).remove(0)
}

/// Calls a function with options.
pub fn call_with(
    session: &Session,
    target: &Ref,
    args: impl IntoIterator<Item = Value>,
    options: Vec<(String, Value)>,
    returns: u32,
) -> Vec<Ref> {
    let args = args.into_iter().collect();
    session.schedule(Schedule { kind: Kind::Task, target, name: "test", args, options, baseline: Vec::new(), returns })
}

/// Makes an actor.
pub fn actor(
    session: &Session,
    class: &Ref,
    args: impl IntoIterator<Item = Value>,
    options: Vec<(String, Value)>,
) -> Ref {
    let args = args.into_iter().collect();
    let call =
        Schedule { kind: Kind::NewActor, target: class, name: "test", args, options, baseline: Vec::new(), returns: 1 };
    session.schedule(call).remove(0)
}

/// Calls a method of an actor.
pub fn method(session: &Session, actor: &Ref, name: &str, args: impl IntoIterator<Item = Value>) -> Ref {
    let (kind, args) = (Kind::Method(name.into()), args.into_iter().collect());
    let call = Schedule { kind, target: actor, name, args, options: Vec::new(), baseline: Vec::new(), returns: 1 };
    session.schedule(call).remove(0)
}

/// Waits for what a session tells its callback.
pub fn told<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (tell, told) = mpsc::channel();
    ask(Box::new(move |value| {
        let _ = tell.send(value);
    }));
    told.recv_timeout(PATIENCE).expect("the session answers")
}

/// Waits for a value, or its failure.
pub fn try_get(session: &Session, of: &Ref) -> Result<Value, RayError> {
    told(|done| session.get(of, done))
}

/// Waits for a value.
#[track_caller]
pub fn get(session: &Session, of: &Ref) -> Value {
    try_get(session, of).unwrap_or_else(|error| panic!("{error}"))
}
