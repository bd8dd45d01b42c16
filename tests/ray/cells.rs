//! Cells of a session on the cluster: the contract that holds on every runtime, and what only a cluster has.

use crate::cluster::Cluster;
use crate::python::{call, get, put_source};
use mobula_runtime::ray::transport::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What holds over both ways.
pub mod contract {
    use super::{actors_keep_the_contract, failures_keep_the_contract};
    use super::{options_keep_the_contract, tasks_and_objects_keep_the_contract};

    tests! {
        tasks_and_objects_keep_the_contract
        failures_keep_the_contract
        actors_keep_the_contract
        options_keep_the_contract
    }
}

tests! {
    what_a_task_prints_is_shown_with_its_name
    a_cell_host_that_dies_loses_no_variable_and_no_object
    a_cell_is_undone_unless_it_gave_an_object_back
    an_interrupt_ends_a_get_at_once_and_the_next_cell_goes_on
    a_session_leaves_the_cluster_and_comes_back
    what_a_cluster_does_not_have_is_refused_with_a_sentence
    a_cluster_that_is_not_there_is_refused_with_a_sentence
    sessions_find_named_actors_of_a_namespace
    the_notebook_shows_on_a_cluster_what_is_stored_in_it
    an_interrupt_gives_up_a_cluster_that_does_not_answer
    libraries_of_sessions_that_were_killed_are_removed_by_the_next
    libraries_of_an_actor_that_lives_on_stay
}

/// The program under test, with the cluster as the runtime that it joins.
fn mobula(address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mobula"));
    // The prepared crate is shared with the other tests.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    command.env("XDG_CACHE_HOME", cache).env("RAY_AUTH_MODE", "disabled").env("NO_COLOR", "1");
    command.env("MOBULA_ADDRESS", address).env_remove("RUST_BACKTRACE").env_remove("CARGO");
    command
}

/// Runs cells and waits for their end.
fn run(address: &str, cells: &str) -> Output {
    let mut child = start(address, cells, &[]);
    drop(child.stdin.take());
    child.wait_with_output().expect("it was started")
}

/// Starts a script of these cells.
fn start(address: &str, cells: &str, options: &[&str]) -> Child {
    let mut command = mobula(address);
    command.arg("run").args(options).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    child.stdin.take().expect("it is piped").write_all(cells.as_bytes()).expect("it reads");
    child
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs cells, all of which are to hold. Returns what the program said.
#[track_caller]
pub fn holds(address: &str, cells: &str) -> String {
    let output = run(address, cells);
    let said = said(&output);
    assert!(output.status.success(), "{}\n{said}", output.status);
    said
}

#[track_caller]
fn keeps_the_contract(cluster: &Cluster, script: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(script);
    holds(&cluster.address(), &fs::read_to_string(path).expect("it is in the tree"));
}

fn tasks_and_objects_keep_the_contract(cluster: &Cluster) {
    keeps_the_contract(cluster, "tasks.rs");
}

fn failures_keep_the_contract(cluster: &Cluster) {
    keeps_the_contract(cluster, "failures.rs");
}

fn actors_keep_the_contract(cluster: &Cluster) {
    keeps_the_contract(cluster, "actors.rs");
}

fn options_keep_the_contract(cluster: &Cluster) {
    keeps_the_contract(cluster, "options.rs");
}

fn what_a_task_prints_is_shown_with_its_name(cluster: &Cluster) {
    let cells = "// %%\nfn says(n: u32) -> u32 { println!(\"I say {n}\"); eprintln!(\"I cry {n}\"); n }\nget(&says.remote(7))?;\n\
        // The log of a worker comes a little later.\nfor _ in 0..100 { std::thread::sleep(Duration::from_millis(20)); }";
    let said = holds(&cluster.address(), cells);
    for line in ["I say 7", "I cry 7"] {
        let line = said.lines().find(|shown| shown.ends_with(line)).unwrap_or_else(|| panic!("no {line} in {said}"));
        assert!(line.starts_with("(says pid="), "{line}");
    }
}

fn a_cell_host_that_dies_loses_no_variable_and_no_object(cluster: &Cluster) {
    let cells = "// %%\nfn twice(n: u64) -> u64 { 2 * n }\nlet a = twice.remote(4);\nlet big = put(&vec![1u8; 1_000_000])?;\n\
        // %%\ndrop(big);\nlet b = twice.remote(&a);\nstd::process::abort();\n\
        // %%\nassert_eq!((get(&a)?, get(&big)?.len()), (8, 1_000_000));\nassert_eq!(get(&twice.remote(&a))?, 16);\nprintln!(\"all is there\");";
    let output = start(&cluster.address(), cells, &["--keep-going"]).wait_with_output().expect("it was started");
    let said = said(&output);
    assert!(said.contains("SIGABRT") && said.contains("all is there"), "{said}");
}

fn a_cell_is_undone_unless_it_gave_an_object_back(cluster: &Cluster) {
    let cells = "// %%\nfn twice(n: u64) -> u64 { 2 * n }\nlet a = twice.remote(4);\nlet big = put(&vec![1u8; 1_000_000])?;\nlet mut n = 1u64;\n\
        // %%\nn += get(&a)?;\nfn twice(n: u64) -> u64 { 3 * n }\nlet later = twice.remote(&a);\n\
        // %%\n:undo\nassert_eq!((n, get(&a)?, get(&big)?.len(), get(&twice.remote(5))?), (1, 8, 1_000_000, 10));\n\
        // %%\ndrop(big);\n// %%\n:undo\n// %%\nprintln!(\"{n} and {}\", get(&a)?);";
    let output = start(&cluster.address(), cells, &["--keep-going"]).wait_with_output().expect("it was started");
    let said = said(&output);
    for part in ["undone: cell 2", "is final, because it gave back", "1 and 8"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

fn an_interrupt_ends_a_get_at_once_and_the_next_cell_goes_on(cluster: &Cluster) {
    let cells = "// %%\nfn nap(s: u64) -> u64 { std::thread::sleep(Duration::from_secs(s)); s }\nlet long = nap.remote(600);\n\
        // %%\nprintln!(\"it waits\");\nget(&long)?;\n// %%\ncancel(&long)?;\nprintln!(\"it goes on\");";
    interrupt_where_it_waits(start(&cluster.address(), cells, &["--keep-going"]));
}

/// Interrupts a script where it says that it waits, and expects that it goes on.
#[track_caller]
fn interrupt_where_it_waits(mut child: Child) {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let waits = lines.by_ref().map_while(Result::ok).any(|line| line.contains("it waits"));
    assert!(waits, "the cell began");
    let pid = Pid::from_raw(child.id().cast_signed()).expect("it is above 0");
    kill_process(pid, Signal::INT).expect("it lives");
    assert!(lines.map_while(Result::ok).any(|line| line.contains("it goes on")), "the next cell ran");
    let _ = child.wait();
}

fn a_session_leaves_the_cluster_and_comes_back(cluster: &Cluster) {
    let address = cluster.address();
    let cells = format!(
        "// %%\nfn place() -> String {{ std::env::var(\"RAY_JOB_ID\").unwrap_or_else(|_| \"home\".into()) }}\nassert_eq!(get(&place.remote())?, \"home\");\n\
        shutdown()?;\n// %%\nlet info = init_with(Config::connect(\"{address}\"))?;\nassert!(info.socket.starts_with(\"ray://\"));\n\
        // %%\nassert_ne!(get(&place.remote())?, \"home\");\n// %%\nassert!(init_with(Config::connect(\"{address}\")).is_err());\nshutdown()?;\n\
        // %%\nassert_eq!(get(&place.remote())?, \"home\");\n// %%\nshutdown()?;\ninit_with(Config::connect(\"{address}\"))?;\nassert_ne!(get(&place.remote())?, \"home\");"
    );
    holds("", &cells);
}

fn what_a_cluster_does_not_have_is_refused_with_a_sentence(cluster: &Cluster) {
    let cells = "// %%\nfn items() -> impl Iterator<Item = u64> { 0..3 }\nstruct Saved(u64);\n\
        assert!(publish(&put(&1)?, \"one\").unwrap_err().to_string().contains(\"named actor\"));\n\
        // %%\nfn one() -> u32 { 1 }\nlet on = SchedulingStrategy::NodeAffinity { node_id: \"ab\".repeat(28), soft: false };\n\
        assert!(get(&one.options().scheduling_strategy(on).remote()).unwrap_err().to_string().contains(\"node\"));\n\
        // %%\nassert!(init_with(Config::new().num_cpus(2.0)).unwrap_err().to_string().contains(\"shutdown\"));";
    holds(&cluster.address(), cells);
}

fn a_cluster_that_is_not_there_is_refused_with_a_sentence(cluster: &Cluster) {
    let gcs = cluster.gcs();
    let cells = format!(
        "// %%\nlet error = init_with(Config::connect(\"ray://127.0.0.1:1\")).unwrap_err().to_string();\nassert!(error.contains(\"127.0.0.1:1\"), \"{{error}}\");\n\
        // %%\nlet error = init_with(Config::connect(\"{gcs}\")).unwrap_err().to_string();\nassert!(error.contains(\"10001\"), \"{{error}}\");\n\
        // %%\n// The session's own runtime is as it was.\nfn one() -> u32 {{ 1 }}\nassert_eq!(get(&one.remote())?, 1);"
    );
    holds("", &cells);
}

fn sessions_find_named_actors_of_a_namespace(cluster: &Cluster) {
    let address = cluster.address();
    let counter = "struct Counter(i64);\nimpl Counter { fn new() -> Counter { Counter(0) } fn add(&mut self, n: i64) -> i64 { self.0 += n; self.0 } }";
    let join = format!("init_with(Config::connect(\"{address}\").namespace(\"team\"))?;");
    let giver = format!(
        "// %%\n{counter}\n// %%\n{join}\nlet counter = Counter::new.options().name(\"shared\").detached().spawn();\nassert_eq!(get(&Counter::add.call(&counter, 3))?, 3);"
    );
    holds("", &giver);
    // Its session has ended.
    let taker = format!(
        "// %%\n{counter}\n// %%\n{join}\nlet counter = actor::<Counter>(\"shared\")?;\nassert_eq!(get(&Counter::add.call(&counter, 4))?, 7);\nkill(&counter)?;"
    );
    holds("", &taker);
}

fn the_notebook_shows_on_a_cluster_what_is_stored_in_it(cluster: &Cluster) {
    let notebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/07_a_cluster.ipynb");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = folder.path().join("ran.ipynb");
    let address = format!("address={:?}", cluster.address());
    let mut command = mobula("");
    command.arg("run").arg(&notebook).args(["-p", &address]).arg(format!("--save={}", ran.display()));
    let output = command.output().expect("the program is built");
    assert!(output.status.success(), "{}", said(&output));
    let values = |path: &Path| {
        let notebook: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("a notebook is JSON");
        let compared = |cell: &&serde_json::Value| cell["metadata"]["tags"].is_null();
        let cells = notebook["cells"].as_array().expect("cells").iter().filter(compared);
        let results = cells.flat_map(|cell| cell["outputs"].as_array().into_iter().flatten());
        let results = results.filter(|output| output["output_type"] == "execute_result");
        results.map(|output| output["data"]["text/plain"].clone()).collect::<Vec<_>>()
    };
    assert!(values(&notebook).len() >= 5);
    assert_eq!(values(&ran), values(&notebook));
}

fn an_interrupt_gives_up_a_cluster_that_does_not_answer(cluster: &Cluster) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (silent, address) = (listener.local_addr().expect("it is bound"), cluster.address());
    let cells = format!(
        "// %%\nprintln!(\"it waits\");\ninit_with(Config::connect(\"ray://{silent}\"))?;\n// %%\nfn here() -> String {{ std::env::var(\"RAY_JOB_ID\").unwrap_or_else(|_| \"home\".into()) }}\n\
        assert_eq!(get(&here.remote())?, \"home\");\nshutdown()?;\n// %%\ninit_with(Config::connect(\"{address}\"))?;\nassert_ne!(get(&here.remote())?, \"home\");\n\
        println!(\"it goes on\");"
    );
    interrupt_where_it_waits(start("", &cells, &["--keep-going"]));
}

fn libraries_of_sessions_that_were_killed_are_removed_by_the_next(cluster: &Cluster) {
    let keys = "def keys(add):\n  import ray\n  from ray.experimental import internal_kv as kv\n  job = ray.get_runtime_context().get_job_id()\n\
        \x20 if add:\n    kv._internal_kv_put('of:' + job + ':abandoned', b'', namespace=b'mobula')\n    kv._internal_kv_put('abandoned', b'library', namespace=b'mobula')\n\
        \x20 return len(kv._internal_kv_list('abandoned', namespace=b'mobula') + [key for key in kv._internal_kv_list('of:', namespace=b'mobula') if b'abandoned' in key])";
    let killed = cluster.session();
    assert_eq!(get(&killed, &call(&killed, &put_source(&killed, keys), [Value::Bool(true)])), Value::Int(2));
    // As the cluster takes it for ended, and nothing was removed.
    killed.close();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let end = folder.path().join("end");
    let cells = format!(
        "fn one() -> u32 {{ 1 }}\nget(&one.remote())?;\nwhile !std::path::Path::new({end:?}).exists() {{ std::thread::sleep(Duration::from_millis(20)) }}"
    );
    let next = start(&cluster.address(), &cells, &[]);
    let session = cluster.session();
    let count = put_source(&session, keys);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while get(&session, &call(&session, &count, [Value::Bool(false)])) != Value::Int(0) {
        assert!(std::time::Instant::now() < until, "they are still there");
    }
    session.close();
    fs::write(end, "").expect("the folder is there");
    let output = next.wait_with_output().expect("it was started");
    assert!(output.status.success(), "{}", said(&output));
}

fn libraries_of_an_actor_that_lives_on_stay(cluster: &Cluster) {
    // Each is made in a cell of its own, so that they are not made of the same libraries.
    let cells = format!(
        "// %%\nstruct Counter(i64);\nimpl Counter {{ fn new() -> Counter {{ Counter(0) }} fn add(&mut self, n: i64) -> i64 {{ self.0 += n; self.0 }} }}\n\
        init_with(Config::connect({:?}).namespace(\"lives on\"))?;\n\
        // %%\nlet of_cell = Counter::new.options().name(\"of a cell\").detached().spawn();\nassert_eq!(get(&Counter::add.call(&of_cell, 1))?, 1);\n\
        // %%\nfn begin() -> i64 {{ let it = Counter::new.options().name(\"of a task\").detached().spawn(); get(&Counter::add.call(&it, 1)).unwrap() }}\n\
        assert_eq!(get(&begin.remote())?, 1);",
        cluster.address()
    );
    holds("", &cells);
    let is_whole = "def is_whole(name):\n  import json, ray\n  from ray.experimental import internal_kv as kv\n\
        \x20 actor = ray.get_actor(name, namespace='lives on')\n  meta = ray.get(actor.__ray_call__.remote(lambda self: self.meta))\n\
        \x20 ray.kill(actor)\n\
        \x20 return all(kv._internal_kv_exists(digest, namespace=b'mobula') for _, digest in json.loads(meta['libraries'])['files'])";
    let session = cluster.session();
    let is_whole = put_source(&session, is_whole);
    for name in ["of a cell", "of a task"] {
        assert_eq!(get(&session, &call(&session, &is_whole, [Value::text(name)])), Value::Bool(true), "{name}");
    }
    session.close();
}
