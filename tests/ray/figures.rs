//! The speed of both transports, beside Ray's own Python client on the same cluster. Only where it is asked for: it takes minutes and says little on a busy machine.

use crate::cluster::{Cluster, Way, programs};
use crate::python::{actor, call, get, method, put_source, told};
use mobula_runtime::ray::transport::{Bytes, Ref, Session, Value};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

tests! {
    how_fast_both_transports_are
}

/// How often all are measured, one after the other.
const ROUNDS: &str = "MOBULA_TEST_RAY_FIGURES";

const CALLS: usize = 1000;

const LARGE: usize = 100 << 20;

/// What is measured, and whether less is better.
const ROWS: &[(&str, bool)] = &[
    ("start", true),
    ("tasks, one by one", false),
    ("tasks, all at once", false),
    ("actor calls, one by one", false),
    ("actor calls, all at once", false),
    ("put", true),
    ("get", true),
];

fn how_fast_both_transports_are(cluster: &Cluster) {
    let Ok(rounds) = std::env::var(ROUNDS) else { return };
    let mut samples: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds.parse().expect("a number of rounds") {
        for way in ["client", "bridge", "official"] {
            let rows = match way {
                "client" => measured(&cluster.over(Way::Client)),
                "bridge" => measured(&cluster.over(Way::Bridge)),
                _ => official(cluster),
            };
            for (row, value) in rows {
                let (row, _) = ROWS.iter().find(|(known, _)| *known == row).expect("a row");
                samples.entry((row, way)).or_default().push(value);
            }
        }
    }
    println!("| medians | Ray Client | bridge | Ray's own client | ratios |\n|---|---|---|---|---|");
    for (row, less) in ROWS {
        let [client, bridge, official] = ["client", "bridge", "official"].map(|way| median(&samples[&(*row, way)]));
        let ratio = |ours: f64| if *less { official / ours } else { ours / official };
        let (unit, digits) = if *less { ("s", 2) } else { ("/s", 0) };
        let show = |value: f64| format!("{value:.digits$} {unit}");
        println!(
            "| {row} | {} | {} | {} | {:.1}x, {:.1}x |",
            show(client),
            show(bridge),
            show(official),
            ratio(client),
            ratio(bridge)
        );
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn official(cluster: &Cluster) -> Vec<(String, f64)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ray/official.py");
    let mut command = Command::new(programs().join("python"));
    command.arg(script).args([cluster.over(Way::Client).address(), CALLS.to_string(), LARGE.to_string()]);
    let output = command.output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next_back().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let rows: BTreeMap<String, f64> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"));
    rows.into_iter().collect()
}

fn measured(cluster: &Cluster) -> Vec<(String, f64)> {
    let mut rows = Vec::new();
    let began = Instant::now();
    let session = cluster.session();
    rows.push(("start", began.elapsed().as_secs_f64()));
    let function = put_source(&session, "def nothing():\n  return 1");
    let class = put_source(&session, "class Nothing:\n  def call(self):\n    return 1");
    let task = || call(&session, &function, []);
    all(&session, 20, &task);
    rows.push(("tasks, one by one", one_by_one(&session, CALLS / 10, &task)));
    rows.push(("tasks, all at once", all(&session, CALLS, &task)));
    let actor = actor(&session, &class, [], Vec::new());
    let task = || method(&session, &actor, "call", []);
    get(&session, &task());
    rows.push(("actor calls, one by one", one_by_one(&session, CALLS / 10, &task)));
    rows.push(("actor calls, all at once", all(&session, CALLS, &task)));
    let large = Bytes::from(vec![7; LARGE]);
    let began = Instant::now();
    let put =
        session.put(Value::call(Value::global("numpy", "frombuffer"), [Value::Bytes(large), Value::text("uint8")]));
    told(|done| session.wait(std::slice::from_ref(&put), 1, None, done)).unwrap();
    rows.push(("put", began.elapsed().as_secs_f64()));
    let began = Instant::now();
    get(&session, &put);
    rows.push(("get", began.elapsed().as_secs_f64()));
    session.close();
    rows.into_iter().map(|(row, value)| (row.to_owned(), value)).collect()
}

fn one_by_one(session: &Session, count: usize, task: &dyn Fn() -> Ref) -> f64 {
    let began = Instant::now();
    for _ in 0..count {
        get(session, &task());
    }
    count as f64 / began.elapsed().as_secs_f64()
}

fn all(session: &Session, count: usize, task: &dyn Fn() -> Ref) -> f64 {
    let began = Instant::now();
    let (tell, told) = mpsc::channel();
    for _ in 0..count {
        let tell = tell.clone();
        session.get_small(&task(), Box::new(move |value| tell.send(value).unwrap()));
    }
    for _ in 0..count {
        assert_eq!(told.recv().unwrap(), Ok(Value::Int(1)));
    }
    count as f64 / began.elapsed().as_secs_f64()
}
