//! Calls of functions: their results, their failures, what they print.

use crate::cluster::Cluster;
use crate::python::{call, call_with, get, put_source, told, try_get};
use mobula_runtime::ray::transport::{RayError, Value};
use std::sync::mpsc;
use std::time::Duration;

tests! {
    a_call_takes_values_and_references
    a_call_gives_as_many_objects_as_are_asked_for
    what_a_function_raises_arrives_with_its_lines
    a_worker_that_dies_is_told_apart
    a_thousand_calls_are_in_flight_at_once
    small_values_that_come_together_are_told_apart
    a_function_is_passed_to_a_task_that_calls_it
    what_a_task_prints_arrives
    after_the_end_everything_fails_with_the_reason
}

const ADD: &str = "def add(a, b):\n  return a + b";

fn a_call_takes_values_and_references(cluster: &Cluster) {
    let session = cluster.session();
    let add = put_source(&session, ADD);
    // None of the ids is known yet.
    let three = call(&session, &add, [Value::Int(1), Value::Int(2)]);
    let ten = call(&session, &add, [Value::Ref(three), Value::Ref(session.put(Value::Int(7)))]);
    assert_eq!(get(&session, &ten), Value::Int(10));
    session.close();
}

fn a_call_gives_as_many_objects_as_are_asked_for(cluster: &Cluster) {
    let session = cluster.session();
    let two = put_source(&session, "def two():\n  return 1, 2");
    let both = call_with(&session, &two, [], Vec::new(), 2);
    assert_eq!((get(&session, &both[0]), get(&session, &both[1])), (Value::Int(1), Value::Int(2)));
    assert!(call_with(&session, &two, [], Vec::new(), 0).is_empty());
    session.close();
}

fn what_a_function_raises_arrives_with_its_lines(cluster: &Cluster) {
    let session = cluster.session();
    let fails = put_source(&session, "def fails(n):\n  raise KeyError(f'no {n}')");
    let add = put_source(&session, ADD);
    let failed = call(&session, &fails, [Value::Int(7)]);
    let Err(RayError::Task { function, traceback, cause, pid, ip }) = try_get(&session, &failed) else {
        panic!("it fails")
    };
    assert!(function.contains("fails"), "{function}");
    assert!(traceback.contains("line 2, in fails") && traceback.contains("no 7"), "{traceback}");
    assert_eq!(*cause, Value::call(Value::global("builtins", "KeyError"), [Value::text("no 7")]));
    assert!(pid > 0 && ip == "127.0.0.1", "{pid} {ip}");
    // What takes it fails as it did.
    let Err(RayError::Task { traceback, .. }) =
        try_get(&session, &call(&session, &add, [Value::Ref(failed), Value::Int(1)]))
    else {
        panic!("it fails")
    };
    assert!(traceback.contains("no 7"), "{traceback}");
    session.close();
}

fn a_worker_that_dies_is_told_apart(cluster: &Cluster) {
    let session = cluster.session();
    let dies = put_source(&session, "def dies():\n  import os\n  os._exit(3)");
    let options = vec![("max_retries".to_owned(), Value::Int(0))];
    let died = call_with(&session, &dies, [], options, 1).remove(0);
    assert!(matches!(try_get(&session, &died), Err(RayError::WorkerCrashed(_))));
    session.close();
}

fn a_thousand_calls_are_in_flight_at_once(cluster: &Cluster) {
    let session = cluster.session();
    let add = put_source(&session, ADD);
    let (tell, told) = mpsc::channel();
    for n in 0..1000 {
        let tell = tell.clone();
        let done = Box::new(move |value| tell.send((n, value)).unwrap());
        // The reference is dropped at once; what is under way keeps it.
        session.get(&call(&session, &add, [Value::Int(n), Value::Int(1)]), done);
    }
    for _ in 0..1000 {
        let (n, value) = told.recv_timeout(Duration::from_secs(120)).unwrap();
        assert_eq!(value, Ok(Value::Int(n + 1)));
    }
    session.close();
}

fn small_values_that_come_together_are_told_apart(cluster: &Cluster) {
    let session = cluster.session();
    let source = "def work(n):\n  import ray, time\n  time.sleep(2 if n == 20 else 0)\n  if n % 50 == 7:\n    raise ValueError(n)\n  return [ray.put(n)] if n % 50 == 9 else n";
    let work = put_source(&session, source);
    let (tell, told) = mpsc::channel();
    for n in 0..300 {
        let tell = tell.clone();
        let done = Box::new(move |value| tell.send((n, value)).unwrap());
        session.get_small(&call(&session, &work, [Value::Int(n)]), done);
    }
    for _ in 0..300 {
        match told.recv_timeout(Duration::from_secs(120)).unwrap() {
            (n, Err(RayError::Task { traceback, .. })) if n % 50 == 7 => {
                assert!(traceback.contains(&format!("ValueError: {n}")), "{traceback}");
            }
            (n, Ok(Value::List(refs))) if n % 50 == 9 => {
                let [Value::Ref(of)] = &refs[..] else { panic!("a reference: {refs:?}") };
                assert_eq!(get(&session, of), Value::Int(n));
            }
            (n, value) => assert_eq!(value, Ok(Value::Int(n))),
        }
    }
    session.close();
}

fn a_function_is_passed_to_a_task_that_calls_it(cluster: &Cluster) {
    let session = cluster.session();
    let add = put_source(&session, ADD);
    let apply = put_source(&session, "def apply(f, a):\n  import ray\n  return ray.get(f.remote(a, a))");
    let doubled = call(&session, &apply, [Value::Function(add), Value::Int(21)]);
    assert_eq!(get(&session, &doubled), Value::Int(42));
    session.close();
}

fn what_a_task_prints_arrives(cluster: &Cluster) {
    let session = cluster.session();
    let (tell, told) = mpsc::channel();
    session.on_log(Box::new(move |log| drop(tell.send(log))));
    let source =
        "def say():\n  import sys\n  print('to out', flush=True)\n  print('to err', file=sys.stderr, flush=True)";
    let say = put_source(&session, source);
    get(&session, &call(&session, &say, []));
    let (mut out, mut err) = (String::new(), String::new());
    while !(out.contains("to out") && err.contains("to err")) {
        let log = told.recv_timeout(Duration::from_secs(60)).unwrap();
        let stream = if log.is_error { &mut err } else { &mut out };
        stream.push_str(&log.text);
    }
    assert!(out.contains("pid="), "{out}");
    session.close();
}

fn after_the_end_everything_fails_with_the_reason(cluster: &Cluster) {
    let session = cluster.session();
    let other = session.clone();
    let (tell, ended) = mpsc::channel();
    session.on_end(Box::new(move |reason| drop(tell.send(reason))));
    let kept = session.put(Value::Int(1));
    session.close();
    assert_eq!(ended.recv_timeout(Duration::from_secs(30)).unwrap(), "it was closed");
    assert!(matches!(try_get(&other, &kept), Err(RayError::SessionEnded(_))));
    let put = other.put(Value::Int(2));
    assert!(matches!(told(|done| other.wait(&[put], 1, None, done)), Err(RayError::SessionEnded(_))));
}
