//! Options of tasks: resources, retries, environment, as Ray's documentation describes them.
//!
//! Tasks meet in folders: each writes a file and waits for those of the others, so that nothing here depends on how fast the machine is.

use crate::deaths::worker_pids;
use crate::{Scenario, until, while_killing};
use mobula::local::{Config, Program};
use mobula::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub const ALL: &[Scenario] = &[
    ("four_tasks_of_half_a_cpu_run_at_once_on_two_cpus", four_tasks_of_half_a_cpu_run_at_once_on_two_cpus),
    ("tasks_of_no_cpu_all_run_at_once", tasks_of_no_cpu_all_run_at_once),
    (
        "tasks_that_need_the_same_resource_run_one_after_the_other",
        tasks_that_need_the_same_resource_run_one_after_the_other,
    ),
    ("plain_tasks_and_others_share_one_cpu", plain_tasks_and_others_share_one_cpu),
    (
        "tasks_of_half_a_cpu_that_wait_for_each_other_get_by_with_one",
        tasks_of_half_a_cpu_that_wait_for_each_other_get_by_with_one,
    ),
    (
        "a_task_starts_when_its_argument_is_there_whatever_it_asks_for",
        a_task_starts_when_its_argument_is_there_whatever_it_asks_for,
    ),
    ("a_task_sees_its_gpus_and_a_plain_one_none", a_task_sees_its_gpus_and_a_plain_one_none),
    ("a_variable_of_the_environment_is_that_tasks_alone", a_variable_of_the_environment_is_that_tasks_alone),
    (
        "a_task_whose_worker_dies_is_run_again_three_times_unless_told_otherwise",
        a_task_whose_worker_dies_is_run_again_three_times_unless_told_otherwise,
    ),
    ("a_panic_is_retried_only_when_asked", a_panic_is_retried_only_when_asked),
    ("a_worker_ends_after_as_many_calls_as_it_may_have", a_worker_ends_after_as_many_calls_as_it_may_have),
    (
        "a_task_that_asks_for_more_than_there_is_waits_until_there_is_more",
        a_task_that_asks_for_more_than_there_is_waits_until_there_is_more,
    ),
    ("an_option_that_makes_no_sense_is_refused_with_its_name", an_option_that_makes_no_sense_is_refused_with_its_name),
    ("a_name_of_its_own_is_in_the_tasks_failure", a_name_of_its_own_is_in_the_tasks_failure),
    ("the_attribute_gives_options_and_a_call_overrides_them", the_attribute_gives_options_and_a_call_overrides_them),
    ("a_row_of_tasks_of_one_shape_lets_another_one_in", a_row_of_tasks_of_one_shape_lets_another_one_in),
    (
        "ten_thousand_results_are_right_while_a_worker_dies_every_50_ms",
        ten_thousand_results_are_right_while_a_worker_dies_every_50_ms,
    ),
    (
        "tasks_of_a_shape_one_by_one_are_right_while_workers_die",
        tasks_of_a_shape_one_by_one_are_right_while_workers_die,
    ),
    ("tasks_of_a_shape_behind_a_long_one_run_elsewhere", tasks_of_a_shape_behind_a_long_one_run_elsewhere),
    ("each_task_of_a_shape_runs_once_while_workers_die", each_task_of_a_shape_runs_once_while_workers_die),
];

fn start(cpus: f64) -> Program {
    let config = Config {
        num_cpus: Some(cpus),
        num_gpus: Some(2.0),
        memory: Some(gib(5)),
        resources: vec![("tpu".into(), 1.0)],
        ..Config::default()
    };
    Program::start(config).unwrap()
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub fn shown(folder: &tempfile::TempDir) -> String {
    folder.path().display().to_string()
}

/// Waits until there are so many files.
fn until_there_are(count: usize, folder: &Path) {
    until(|| fs::read_dir(folder).unwrap().count() >= count);
}

/// Comes to the folder and waits for all others.
fn meets(folder: String, number: u32, others: usize) -> u32 {
    fs::write(PathBuf::from(&folder).join(number.to_string()), "").unwrap();
    until_there_are(others, Path::new(&folder));
    number
}

/// Counts how often it was called, in a file.
fn called(file: &str) -> u32 {
    let calls = fs::read_to_string(file).map_or(0, |text| text.parse::<u32>().unwrap()) + 1;
    fs::write(file, calls.to_string()).unwrap();
    calls
}

fn dies_before(file: String, calls: u32) -> u32 {
    let call = called(&file);
    if call < calls {
        std::process::abort();
    }
    call
}

fn panics_before(file: String, calls: u32) -> u32 {
    let call = called(&file);
    assert!(call >= calls, "not yet");
    call
}

fn four_tasks_of_half_a_cpu_run_at_once_on_two_cpus() {
    let _runtime = start(2.0);
    let folder = folder();
    let half = meets.options().num_cpus(0.5);
    let tasks: Vec<_> = (0..4).map(|number| half.remote(shown(&folder), number, 4)).collect();
    assert_eq!(get(&tasks).unwrap(), [0, 1, 2, 3]);
    // A result may be read before its worker has given its CPU back.
    while available_resources().get("CPU") != Some(2.0) {
        std::thread::yield_now();
    }
}

fn tasks_of_no_cpu_all_run_at_once() {
    let _runtime = start(1.0);
    let folder = folder();
    let free = meets.options().num_cpus(0.0);
    let tasks: Vec<_> = (0..20).map(|number| free.remote(shown(&folder), number, 20)).collect();
    assert_eq!(get(&tasks).unwrap().len(), 20);
}

fn tasks_that_need_the_same_resource_run_one_after_the_other() {
    fn alone(file: String) -> bool {
        let is_alone = fs::OpenOptions::new().write(true).create_new(true).open(&file).is_ok();
        (0..1000).for_each(|_| std::thread::yield_now());
        fs::remove_file(file).is_ok() && is_alone
    }
    let _runtime = start(4.0);
    let folder = folder();
    let file = format!("{}/lock", shown(&folder));
    for task in [alone.options().num_cpus(0.0).resource("tpu", 0.6), alone.options().num_cpus(0.0).memory(gib(3))] {
        let tasks: Vec<_> = (0..20).map(|_| task.remote(file.clone())).collect();
        assert!(get(&tasks).unwrap().into_iter().all(|alone| alone));
    }
    assert_eq!(cluster_resources().get("memory"), Some(gib(5) as f64));
}

fn plain_tasks_and_others_share_one_cpu() {
    let _runtime = start(1.0);
    let plain: Vec<_> = (0..200_u64).map(|n| (|n: u64| n).remote(n)).collect();
    let shaped: Vec<_> = (0..200_u64).map(|n| (|n: u64| n + 1).options().num_cpus(0.75).remote(n)).collect();
    assert_eq!(get(&plain).unwrap().len() + get(&shaped).unwrap().len(), 400);
}

fn tasks_of_half_a_cpu_that_wait_for_each_other_get_by_with_one() {
    fn depth(left: u32) -> u32 {
        if left == 0 { 0 } else { get(depth.options().num_cpus(0.5).remote(left - 1)).unwrap() + 1 }
    }
    let _runtime = start(1.0);
    assert_eq!(get(depth.options().num_cpus(1.0).remote(20)).unwrap(), 20);
}

fn a_task_starts_when_its_argument_is_there_whatever_it_asks_for() {
    fn next(n: u64) -> u64 {
        n + 1
    }
    let _runtime = start(2.0);
    let mut last = next.options().num_cpus(0.5).remote(0);
    for round in 0..100 {
        last = if round % 2 == 0 { next.remote(&last) } else { next.options().num_cpus(2.0).remote(&last) };
    }
    assert_eq!(get(&last).unwrap(), 101);
}

fn a_task_sees_its_gpus_and_a_plain_one_none() {
    fn gpus() -> String {
        assert_eq!(gpu_ids().join(","), std::env::var("CUDA_VISIBLE_DEVICES").unwrap());
        gpu_ids().join(",")
    }
    let _runtime = start(2.0);
    assert_eq!(get(gpus.options().num_gpus(2.0).remote()).unwrap(), "0,1");
    let halves = [gpus.options().num_gpus(0.5).remote(), gpus.options().num_gpus(0.5).remote()];
    assert!(get(&halves).unwrap().iter().all(|gpu| gpu == "0" || gpu == "1"));
    assert_eq!(get(gpus.remote()).unwrap(), "");
}

fn a_variable_of_the_environment_is_that_tasks_alone() {
    fn key() -> Option<String> {
        std::env::var("MOBULA_TEST_KEY").ok()
    }
    let _runtime = start(1.0);
    let value = |value: &str| get(key.options().env("MOBULA_TEST_KEY", value).remote()).unwrap();
    assert_eq!(
        (value("one"), value("two"), value("one")),
        (Some("one".into()), Some("two".into()), Some("one".into()))
    );
    assert_eq!(get(key.remote()).unwrap(), None);
}

fn a_task_whose_worker_dies_is_run_again_three_times_unless_told_otherwise() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    assert_eq!(get(dies_before.remote(file("plain"), 4)).unwrap(), 4);
    assert_eq!(get(dies_before.options().num_cpus(0.5).remote(file("half"), 4)).unwrap(), 4);
    let never = dies_before.options().max_retries(0).remote(file("never"), 2);
    assert!(matches!(get(never), Err(GetError::WorkerDied { .. })));
    let more = get(dies_before.remote(file("more"), 5)).unwrap_err().to_string();
    assert!(more.contains("died while running") && more.ends_with("; attempt 4 of 4"), "{more}");
    assert_eq!(fs::read_to_string(file("more")).unwrap(), "4");
    assert_eq!(get(dies_before.options().max_retries(-1).remote(file("all"), 9)).unwrap(), 9);
}

fn a_panic_is_retried_only_when_asked() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    assert!(get(panics_before.remote(file("plain"), 2)).is_err());
    assert_eq!(fs::read_to_string(file("plain")).unwrap(), "1");
    assert_eq!(get(panics_before.options().retry_panics().remote(file("asked"), 4)).unwrap(), 4);
    let half = panics_before.options().num_cpus(0.5).retry_panics().max_retries(1);
    let Err(GetError::TaskFailed { source, .. }) = get(half.remote(file("half"), 3)) else { panic!("it has failed") };
    assert_eq!(source.attempt().to_string(), "attempt 2 of 2");
    assert_eq!(fs::read_to_string(file("half")).unwrap(), "2");
}

fn a_worker_ends_after_as_many_calls_as_it_may_have() {
    let _runtime = start(1.0);
    let pids = |cpus: f64| -> Vec<u32> {
        let task = std::process::id.options().num_cpus(cpus).max_calls(2);
        (0..6).map(|_| get(task.remote()).unwrap()).collect()
    };
    for pids in [pids(1.0), pids(0.5)] {
        let most = pids.iter().map(|pid| pids.iter().filter(|other| *other == pid).count()).max();
        assert!(most <= Some(2), "{pids:?}");
    }
}

fn a_task_that_asks_for_more_than_there_is_waits_until_there_is_more() {
    let _runtime = start(1.0);
    let large = (|n: u32| n).options().num_cpus(3.0).remote(7);
    assert!(matches!(get_timeout(&large, Duration::from_millis(10)), Err(GetError::NotReady { .. })));
    mobula::init_with(mobula::Config::new().num_cpus(4.0)).unwrap();
    assert_eq!(get(&large).unwrap(), 7);
}

fn an_option_that_makes_no_sense_is_refused_with_its_name() {
    fn said(body: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(body).unwrap_err().downcast::<String>().unwrap()
    }
    let _runtime = start(1.0);
    std::panic::set_hook(Box::new(|_| {}));
    assert!(said(|| drop((|| 1).options().num_cpus(-1.0).remote())).contains("`num_cpus`"));
    assert!(said(|| drop((|| 1).options().num_gpus(1.5).remote())).contains("`num_gpus`"));
    assert!(said(|| drop((|| 1).options().resource("CPU", 1.0).remote())).contains("`num_cpus`"));
    assert!(said(|| drop((|| 1).options().max_retries(-2).remote())).contains("`max_retries`"));
    assert!(said(|| drop((|| 1).options().max_calls(0).remote())).contains("`max_calls`"));
    assert!(said(|| drop((|| 1).options().memory(u64::MAX).remote())).contains("memory"));
    assert!(said(|| drop((|| 1).options().resource("memory", 1.0).remote())).contains("`memory`"));
    assert!(said(|| drop((|| 1).options().env("A=B", "c").remote())).contains("`env`"));
}

fn a_name_of_its_own_is_in_the_tasks_failure() {
    let _runtime = start(1.0);
    let failed = get((|| -> u32 { panic!("no") }).options().name("the last step").remote()).unwrap_err();
    assert!(failed.to_string().contains("`the last step`"), "{failed}");
}

#[mobula::remote(num_cpus = 0.5, env(MOBULA_TEST_KEY = "of the function"), max_retries = 0)]
fn marked(number: u32) -> (u32, Option<String>) {
    (number, std::env::var("MOBULA_TEST_KEY").ok())
}

#[mobula::remote(num_cpus = 3, resources(tpu = 1), retry_panics, name = "wide")]
fn wide(file: String) -> u32 {
    panics_before(file, 2)
}

fn the_attribute_gives_options_and_a_call_overrides_them() {
    let _runtime = start(2.0);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(marked(1), (1, None), "it is a function as any other");
    assert_eq!(get(marked.remote(2)).unwrap(), (2, text("of the function")));
    let over = marked.options().env("MOBULA_TEST_KEY", "of the call");
    assert_eq!(get(over.remote(3)).unwrap(), (3, text("of the call")));
    let folder = folder();
    let file = format!("{}/calls", shown(&folder));
    let never = wide.remote(file.clone());
    assert!(matches!(get_timeout(&never, Duration::from_millis(10)), Err(GetError::NotReady { .. })));
    assert_eq!(get(wide.options().num_cpus(2.0).remote(file)).unwrap(), 2);
}

fn tasks_of_a_shape_behind_a_long_one_run_elsewhere() {
    let _runtime = start(1.0);
    let folder = folder();
    // Each of the first two, wherever they run, is long: they end when all others have. Others were to come after them on their workers.
    let long = |folder: String, others: usize| until_there_are(others, Path::new(&folder));
    let short = |folder: String, number: usize| fs::write(format!("{folder}/{number}"), "").unwrap();
    let before = short.options().num_cpus(0.25).remote(shown(&crate::options::folder()), 0);
    let mut tasks = vec![before];
    tasks.extend((0..2).map(|_| long.options().num_cpus(0.25).remote(shown(&folder), 60)));
    tasks.extend((0..60).map(|number| short.options().num_cpus(0.25).remote(shown(&folder), number)));
    get(&tasks[1..]).unwrap();
}

fn each_task_of_a_shape_runs_once_while_workers_die() {
    let runtime = start(2.0);
    let folder = folder();
    let client = mobula::client::current().unwrap();
    let quick = |folder: String, number: usize| {
        // It is there already if it was run before.
        let is_first = fs::OpenOptions::new().create_new(true).write(true).open(format!("{folder}/{number}")).is_ok();
        (number, is_first, std::process::id())
    };
    let half = quick.options().num_cpus(0.5).max_retries(-1);
    let tasks: Vec<_> = (0..3000).map(|number| half.remote(shown(&folder), number)).collect();
    let mut killed = std::collections::HashSet::new();
    for task in tasks.iter().step_by(100) {
        let (.., pid) = get(task).unwrap();
        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
        if rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok() {
            killed.insert(pid);
        }
    }
    let mut again = 0;
    for (number, (given, is_first, _)) in get(&tasks).unwrap().into_iter().enumerate() {
        assert_eq!(given, number);
        again += usize::from(!is_first);
    }
    assert!(!killed.is_empty() && again <= killed.len(), "{again} ran twice, and {} workers died", killed.len());
    drop(tasks);
    while !client.segment().leaks().is_empty() {
        std::thread::yield_now();
    }
    drop(runtime);
}

fn a_row_of_tasks_of_one_shape_lets_another_one_in() {
    let _runtime = start(1.0);
    let one = || 1;
    let (half, whole) = (one.options().num_cpus(0.5), one.options().num_cpus(1.0).resource("tpu", 1.0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                get(&half.remote()).unwrap();
            }
        });
        for _ in 0..50 {
            assert_eq!(get(&whole.remote()).unwrap() + get(&one.remote()).unwrap(), 2);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Does the work while a thread kills one worker after the other.
fn while_workers_are_killed(every: Duration, work: impl FnOnce()) {
    let worker = |turn: usize| {
        let workers = worker_pids();
        workers.get(turn % workers.len().max(1)).copied()
    };
    while_killing(worker, every, work);
}

fn ten_thousand_results_are_right_while_a_worker_dies_every_50_ms() {
    fn square(n: u64) -> u64 {
        std::thread::sleep(Duration::from_micros(200));
        n * n
    }
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    let (plain, half) = (square.options().max_retries(-1), square.options().num_cpus(0.5).max_retries(-1));
    while_workers_are_killed(Duration::from_millis(50), || {
        let tasks: Vec<_> = (0..10_000).map(|n| if n % 2 == 0 { plain.remote(n) } else { half.remote(n) }).collect();
        let expected: Vec<u64> = (0..10_000).map(|n| n * n).collect();
        assert_eq!(get(&tasks).unwrap(), expected);
    });
    until(|| client.segment().leaks().is_empty());
    drop(runtime);
}

fn tasks_of_a_shape_one_by_one_are_right_while_workers_die() {
    // One after the other: each is handed to the worker of the one before, which may just be killed.
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    let square = |n: u64| n * n;
    let half = square.options().num_cpus(0.5).max_retries(-1);
    let twice = square.options().num_cpus(0.25).max_retries(-1);
    while_workers_are_killed(Duration::from_millis(3), || {
        for n in 0..5000 {
            let first = half.remote(n);
            let (second, third) = (half.remote(&first), twice.remote(n));
            assert_eq!((get(&first).unwrap(), get(&third).unwrap()), (n * n, n * n));
            assert_eq!(get(&second).unwrap(), n.pow(4));
        }
    });
    until(|| client.segment().leaks().is_empty());
    until(|| available_resources() == cluster_resources());
    drop(runtime);
}
