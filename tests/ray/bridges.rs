//! Bridges: what they refuse, how they end, and large values.

use crate::cluster::{Cluster, options, programs};
use crate::python::{call, get, put_source, try_get};
use crate::refusals;
use mobula_runtime::ray::transport::{Bytes, ConnectError, RayError, Session, Value};
use std::sync::mpsc;
use std::time::Duration;

tests! {
    a_python_that_is_not_there_is_told
    a_python_without_ray_is_told
    what_ray_refuses_is_told
    a_bridge_that_dies_ends_its_session
    large_and_small_values_pass_each_other
}

/// What counts the bridges of this machine.
pub mod counted {
    use super::no_bridge_is_left;

    tests! { no_bridge_is_left }
}

fn refusal(address: &str) -> String {
    match refusals::refusal(address) {
        error @ ConnectError::Bridge { .. } => error.to_string(),
        error => panic!("{error}"),
    }
}

fn a_python_that_is_not_there_is_told(_: &Cluster) {
    let said = refusal("ray+bridge:/nowhere/python3");
    assert!(said.contains("/nowhere/python3") && said.contains("No such file"), "{said}");
}

fn a_python_without_ray_is_told(_: &Cluster) {
    // The one of the system, which isolated mode keeps from what a user has installed.
    let folder = tempfile::tempdir().expect("a folder can be made");
    let python = folder.path().join("python");
    let script = "#!/bin/sh\nexec python3 -I -S \"$@\"\n";
    std::fs::write(&python, script).expect("the folder can be written");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&python, all).expect("the file is ours");
    let said = refusal(&format!("ray+bridge:{}", python.display()));
    assert!(said.contains("has no Ray"), "{said}");
}

fn what_ray_refuses_is_told(_: &Cluster) {
    let python = programs().join("python");
    let said = refusal(&format!("ray+bridge:{}?no_such_option=1", python.display()));
    assert!(said.contains("no_such_option"), "{said}");
}

fn a_bridge_that_dies_ends_its_session(cluster: &Cluster) {
    let session = cluster.session();
    let (tell, ended) = mpsc::channel();
    session.on_end(Box::new(move |reason| tell.send(reason).unwrap()));
    // What is put is made in the bridge's process.
    let death = session.put(Value::call(Value::global("os", "_exit"), [Value::Int(3)]));
    assert!(matches!(try_get(&session, &death), Err(RayError::SessionEnded(_))));
    let reason = ended.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(reason.contains("exit status: 3"), "{reason}");
    session.close();
    // The cluster is as it was.
    let session = cluster.session();
    assert_eq!(get(&session, &session.put(Value::Int(1))), Value::Int(1));
    session.close();
}

fn no_bridge_is_left(cluster: &Cluster) {
    let bridges = || {
        let processes = std::fs::read_dir("/proc").expect("there are processes").flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| line.windows(17).any(|window| window == b"mobula/bridge.py\"")).count()
    };
    let before = bridges();
    cluster.session().close();
    // One that was given up, and one that did not come to be.
    let session = cluster.session();
    assert_eq!(get(&session, &session.put(Value::Int(1))), Value::Int(1));
    drop(session);
    let refused = format!("ray+bridge:{}?no_such_option=1", programs().join("python").display());
    assert!(Session::connect(&refused, options()).is_err());
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while bridges() > before {
        assert!(std::time::Instant::now() < until, "a bridge is left");
        std::thread::yield_now();
    }
}

fn large_and_small_values_pass_each_other(cluster: &Cluster) {
    let session = cluster.session();
    let large: Bytes = (0..80 << 20).map(|n: u32| (n / 77) as u8).collect();
    let array = Value::call(Value::global("numpy", "frombuffer"), [Value::Bytes(large.clone()), Value::text("uint8")]);
    let put = session.put(array);
    let add = put_source(&session, "def add(a, b):\n  return a + b");
    assert_eq!(get(&session, &call(&session, &add, [Value::Int(1), Value::Int(2)])), Value::Int(3));
    let (tell, got) = mpsc::channel();
    for _ in 0..3 {
        let tell = tell.clone();
        session.get(&put, Box::new(move |value| tell.send(value).unwrap()));
    }
    // Behind parts of the large ones, and not behind all of them.
    assert_eq!(get(&session, &call(&session, &add, [Value::Int(1), Value::Int(2)])), Value::Int(3));
    for _ in 0..3 {
        let Value::Call { args, .. } = got.recv_timeout(Duration::from_secs(60)).unwrap().unwrap() else {
            panic!("an array")
        };
        assert!(args.iter().any(|arg| *arg == Value::Bytes(large.clone())));
    }
    session.close();
}
