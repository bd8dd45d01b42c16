//! Actors: calls in order, names, deaths.

use crate::cluster::Cluster;
use crate::python::{PATIENCE, actor, call, get, method, put_source, told, try_get};
use mobula_runtime::ray::transport::{Info, RayError, Value};
use std::time::Instant;

tests! {
    the_calls_of_an_actor_keep_their_order
    an_actor_that_was_killed_is_dead
    an_actor_is_found_by_its_name
    an_actor_is_passed_to_a_task
    the_actors_of_a_session_end_with_it
}

const LIST: &str = "class List:
  def __init__(self, *items):
    self.items = list(items)
  def push(self, item):
    self.items.append(item)
    return len(self.items)
  def all(self):
    return self.items
  def fail(self):
    raise ValueError('as asked')
";

fn the_calls_of_an_actor_keep_their_order(cluster: &Cluster) {
    let session = cluster.session();
    let class = put_source(&session, LIST);
    let list = actor(&session, &class, [Value::Int(0)], Vec::new());
    let slow = put_source(&session, "def slow():\n  import time\n  time.sleep(0.5)\n  return 1");
    // The second one waits for its argument's id, and the third one behind it.
    method(&session, &list, "push", [Value::Ref(call(&session, &slow, []))]);
    method(&session, &list, "push", [Value::Ref(session.put(Value::Int(2)))]);
    method(&session, &list, "push", [Value::Int(3)]);
    let all = get(&session, &method(&session, &list, "all", []));
    assert_eq!(all, Value::List((0..4).map(Value::Int).collect()));
    let Err(RayError::Task { function, .. }) = try_get(&session, &method(&session, &list, "fail", [])) else {
        panic!("it fails")
    };
    assert!(function.contains("fail"), "{function}");
    session.close();
}

fn an_actor_that_was_killed_is_dead(cluster: &Cluster) {
    let session = cluster.session();
    let list = actor(&session, &put_source(&session, LIST), [], Vec::new());
    get(&session, &method(&session, &list, "push", [Value::Int(1)]));
    session.kill(&list, true);
    // Ray ends it a moment after it was told to: until then it answers, or cannot be reached.
    let until = Instant::now() + PATIENCE;
    loop {
        match try_get(&session, &method(&session, &list, "all", [])) {
            Err(RayError::ActorDied(text)) if text.contains("kill") => break,
            Err(RayError::ActorDied(text)) if text.contains("unavailable") => {}
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < until, "it lives");
    }
    session.close();
}

fn an_actor_is_found_by_its_name(cluster: &Cluster) {
    let session = cluster.session();
    let options = vec![("name".to_owned(), Value::text("the list"))];
    let list = actor(&session, &put_source(&session, LIST), [], options);
    get(&session, &method(&session, &list, "push", [Value::Int(1)]));
    let found = told(|done| session.named_actor("the list", None, done)).unwrap();
    // Both are one actor, so the first handle may go.
    drop(list);
    assert_eq!(get(&session, &method(&session, &found, "push", [Value::Int(2)])), Value::Int(2));
    let names = told(|done| session.info(Info::NamedActors { everywhere: false }, done)).unwrap();
    assert!(names.contains("the list"), "{names}");
    let Err(RayError::Other { class, .. }) = told(|done| session.named_actor("another", None, done)) else {
        panic!("no such")
    };
    assert_eq!(class, "ValueError");
    session.close();
}

fn an_actor_is_passed_to_a_task(cluster: &Cluster) {
    let session = cluster.session();
    let list = actor(&session, &put_source(&session, LIST), [], Vec::new());
    let push =
        put_source(&session, "def push(list, n):\n  import ray\n  ray.get(list.push.remote(n))\n  return [list]");
    let Value::List(back) = get(&session, &call(&session, &push, [Value::Actor(list), Value::Int(5)])) else {
        panic!("a list")
    };
    let [Value::Actor(list)] = &back[..] else { panic!("an actor: {back:?}") };
    assert_eq!(get(&session, &method(&session, list, "all", [])), Value::List(vec![Value::Int(5)]));
    session.close();
}

fn the_actors_of_a_session_end_with_it(cluster: &Cluster) {
    let (first, second) = (cluster.session(), cluster.session());
    // The same test may run over the other way.
    let namespace = cluster.way_name();
    let named = |lifetime: Option<&str>, name: &str| {
        let lifetime = lifetime.map(|lifetime| ("lifetime".to_owned(), Value::text(lifetime)));
        let more = [("name".to_owned(), Value::text(name)), ("namespace".to_owned(), Value::text(&namespace))];
        lifetime.into_iter().chain(more).collect::<Vec<_>>()
    };
    let class = put_source(&first, LIST);
    let short = actor(&first, &class, [], named(None, "short"));
    let long = actor(&first, &class, [], named(Some("detached"), "long"));
    get(&first, &method(&first, &short, "all", []));
    get(&first, &method(&first, &long, "push", [Value::Int(1)]));
    first.close();
    let find = |name: &str| told(|done| second.named_actor(name, Some(&namespace), done));
    while find("short").is_ok() {}
    let long = find("long").unwrap();
    assert_eq!(get(&second, &method(&second, &long, "all", [])), Value::List(vec![Value::Int(1)]));
    second.kill(&long, true);
    second.close();
}
