//! Values that go to a cluster and come back, and references to them.

use crate::cluster::{CPUS, Cluster};
use crate::python::{call, get, put_source, told, try_get};
use mobula_runtime::ray::transport::{Bytes, Info, RayError, Value};
use std::time::Duration;

tests! {
    a_value_that_is_put_comes_back
    large_bytes_come_back_whole
    a_buffer_is_seen_in_place
    references_in_a_value_can_be_used_after_it
    a_value_that_python_cannot_make_fails_where_it_is_used
    wait_tells_which_objects_are_ready
    a_cluster_tells_of_itself_in_json
}

fn a_value_that_is_put_comes_back(cluster: &Cluster) {
    let session = cluster.session();
    let value = Value::Tuple(vec![
        Value::None,
        Value::Bool(true),
        Value::Int(255),
        Value::Int(-70_000),
        Value::Int(i64::MIN),
        Value::Float(-0.5),
        Value::text("Ärger"),
        Value::Bytes(Bytes::from_static(b"\0\xff")),
        Value::List(vec![Value::List(Vec::new()), Value::Tuple(Vec::new())]),
        Value::Dict(vec![(Value::text("key"), Value::Dict(Vec::new()))]),
    ]);
    assert_eq!(get(&session, &session.put(value.clone())), value);
    session.close();
}

fn large_bytes_come_back_whole(cluster: &Cluster) {
    let session = cluster.session();
    let bytes: Bytes = (0..23 << 20).map(|n: u32| (n / 77) as u8).collect();
    let back = get(&session, &session.put(Value::Bytes(bytes.clone())));
    assert!(back == Value::Bytes(bytes));
    session.close();
}

fn a_buffer_is_seen_in_place(cluster: &Cluster) {
    let session = cluster.session();
    let look = put_source(&session, "def look(b):\n  v = memoryview(b)\n  return v.readonly, v.nbytes, bytes(v[-3:])");
    let pieces = vec![Bytes::from(vec![1; 6 << 20]), Bytes::from_static(b"abc")];
    let buffer = session.put(Value::Buffer(pieces));
    let looked = get(&session, &call(&session, &look, [Value::Ref(buffer)]));
    let end = Value::Bytes(Bytes::from_static(b"abc"));
    assert_eq!(looked, Value::Tuple(vec![Value::Bool(true), Value::Int((6 << 20) + 3), end]));
    session.close();
}

fn references_in_a_value_can_be_used_after_it(cluster: &Cluster) {
    let session = cluster.session();
    let make = put_source(&session, "def make(n):\n  import ray\n  return [ray.put(i) for i in range(n)]");
    let add = put_source(&session, "def add(a, b):\n  return a + b");
    let Value::List(refs) = get(&session, &call(&session, &make, [Value::Int(3)])) else { panic!("a list") };
    assert!(refs.iter().all(|of| matches!(of, Value::Ref(_))));
    let sum = call(&session, &add, refs[1..].to_vec());
    drop(refs);
    assert_eq!(get(&session, &sum), Value::Int(3));
    session.close();
}

fn a_value_that_python_cannot_make_fails_where_it_is_used(cluster: &Cluster) {
    let session = cluster.session();
    let bad = session.put(Value::call(Value::global("math", "sqrt"), [Value::Int(-1)]));
    let Err(RayError::Other { class, text, .. }) = try_get(&session, &bad) else { panic!("it fails") };
    assert_eq!(class, "ValueError");
    assert!(text.contains("domain") || text.contains("nonnegative"), "{text}");
    let add = put_source(&session, "def add(a):\n  return a + 1");
    assert!(try_get(&session, &call(&session, &add, [Value::Ref(bad)])).is_err());
    assert_eq!(get(&session, &call(&session, &add, [Value::Int(1)])), Value::Int(2));
    session.close();
}

fn wait_tells_which_objects_are_ready(cluster: &Cluster) {
    let session = cluster.session();
    let sleep = put_source(&session, "def sleep(seconds):\n  import time\n  time.sleep(seconds)");
    let late = call(&session, &sleep, [Value::Int(60)]);
    let soon = call(&session, &sleep, [Value::Int(0)]);
    let bad = session.put(Value::global("builtins", "there_is_no_such_thing"));
    let all = [late.clone(), soon, bad];
    let ready = |count, time| told(|done| session.wait(&all, count, time, done)).unwrap();
    assert_eq!(ready(2, None), [1, 2]);
    assert_eq!(ready(3, Some(Duration::from_millis(300))), [1, 2]);
    assert_eq!(ready(3, Some(Duration::ZERO)), [1, 2]);
    session.cancel(&late, true, false);
    assert_eq!(ready(3, None), [0, 1, 2]);
    assert_eq!(try_get(&session, &late), Err(RayError::Cancelled));
    session.close();
}

fn a_cluster_tells_of_itself_in_json(cluster: &Cluster) {
    let session = cluster.session();
    let asked = |info| -> serde_json::Value {
        let text = told(|done| session.info(info, done)).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    assert_eq!(asked(Info::ClusterResources)["CPU"], f64::from(CPUS));
    assert!(asked(Info::AvailableResources)["object_store_memory"].is_f64());
    assert_eq!(asked(Info::Nodes)[0]["Alive"], true);
    assert!(asked(Info::RuntimeContext)["job_id"].is_string());
    assert!(asked(Info::Timeline).is_array());
    assert!(asked(Info::NamedActors { everywhere: true }).is_array());
    assert!(asked(Info::DashboardUrl).is_object());
    assert!(session.server().ray.starts_with("2."), "{:?}", session.server());
    session.close();
}
