//! Driver modes: the same program with tasks in worker processes and in its own.

use crate::options::{folder, shown};
use crate::{Scenario, start};
use mobula::prelude::*;
use mobula::{ActorError, ActorState, InitError, TaskState, actors, tasks};

scenarios! {
    tasks_in_this_process_give_the_same_results_and_errors
    actors_and_streams_in_this_process_are_the_same
    where_tasks_run_is_chosen_before_there_are_objects
    after_a_shutdown_tasks_run_in_workers_again
}

fn half(n: u64) -> u64 {
    assert!(n.is_multiple_of(2), "{n} is odd");
    n / 2
}

fn checked(n: u64) -> Result<u64, String> {
    n.checked_sub(1).ok_or_else(|| "already zero".into())
}

fn pid() -> u32 {
    std::process::id()
}

fn nested(n: u64) -> Result<u64, GetError> {
    get(&half.remote(n)).map(|n| n + 1)
}

fn fails_twice(mark: String) -> u64 {
    let runs = std::fs::read_to_string(&mark).map_or(0, |text| text.len());
    std::fs::write(&mark, "x".repeat(runs + 1)).unwrap();
    assert!(runs >= 2, "not yet");
    runs as u64
}

fn in_process() -> Config {
    Config::new().driver_mode(DriverMode::InProcess)
}

/// What a program shows of itself that is the same in all modes.
fn shows(mark: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut show = |value: &dyn std::fmt::Debug| all.push(format!("{value:?}"));
    let stored = put(&Buffer::from(vec![7u8; 100_000])).unwrap();
    show(&get((|bytes: Buffer<u8>| bytes.len()).remote(&stored)).unwrap());
    show(&get(half.remote(half.remote(8))).unwrap());
    show(&get(nested.remote(6)).unwrap());
    let refused = half.remote(7);
    show(&get(&refused).unwrap_err().to_string());
    show(&get(half.remote(&refused)).unwrap_err().to_string());
    show(&(get(checked.remote(3)).unwrap(), get(checked.remote(0)).unwrap_err().to_string()));
    show(&get(fails_twice.options().max_retries(3).retry_panics().remote(mark.to_owned())).unwrap());
    let refs: Vec<_> = (0..4).map(|n| half.remote(2 * n)).collect();
    let (ready, rest) = wait(&refs).num_returns(4).run().unwrap();
    show(&(ready.len(), rest.len(), get(&refs).unwrap()));
    let (a, b) = (|| (1u8, "two".to_owned())).remote().split();
    show(&(get(&a).unwrap(), get(&b).unwrap()));
    show(&errors().iter().map(|error| error.message.clone()).collect::<Vec<_>>());
    let states: Vec<TaskState> =
        tasks().iter().filter(|task| task.name.ends_with("half")).map(|task| task.state).collect();
    show(&(states.len(), states.iter().filter(|state| **state == TaskState::Failed).count()));
    all
}

fn tasks_in_this_process_give_the_same_results_and_errors() {
    let folder = folder();
    let _program = start(2.0);
    let in_workers = shows(&format!("{}/first", shown(&folder)));
    assert_ne!(get(pid.remote()).unwrap(), std::process::id());
    shutdown().unwrap();
    let address = init_with(in_process()).unwrap();
    assert_eq!(address.store, "the memory of this process");
    assert_eq!(get(pid.remote()).unwrap(), std::process::id());
    let refused = init_with(Config::new()).unwrap_err();
    assert!(matches!(refused, InitError::Refused { .. }), "{refused}");
    assert_eq!(shows(&format!("{}/second", shown(&folder))), in_workers);
}

struct Counter(u64);

impl Counter {
    fn new(n: u64) -> Counter {
        Counter(n)
    }

    fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }
}

fn numbers(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

fn actors_and_streams_in_this_process_are_the_same() {
    let _program = start(1.0);
    init_with(in_process()).unwrap();
    let counter = Counter::new.options().name("mine").spawn(10);
    get(&Counter::add.call(&counter, 5)).unwrap();
    let same = actor::<Counter>("mine").unwrap();
    assert_eq!(get(&Counter::add.call(&same, 1)).unwrap(), 16);
    assert_eq!(actors()[0].state, ActorState::Alive { pid: std::process::id() });
    kill(&counter).unwrap();
    assert!(matches!(get(&Counter::add.call(&counter, 1)), Err(GetError::ActorDied { .. })));
    assert!(matches!(actor::<Counter>("mine"), Err(ActorError::NotFound { .. })));
    assert_eq!(numbers.stream(5).map(|item| get(&item).unwrap()).sum::<u64>(), 10);
}

fn where_tasks_run_is_chosen_before_there_are_objects() {
    let _program = start(1.0);
    let kept = put(&1u64).unwrap();
    let refused = init_with(in_process()).unwrap_err();
    assert!(refused.to_string().contains("`driver_mode`: there are objects already (1)"), "{refused}");
    assert_eq!(get(&kept).unwrap(), 1);
    fn chooses() -> String {
        init_with(in_process()).unwrap_err().to_string()
    }
    assert!(get(chooses.remote()).unwrap().contains("a task cannot choose where tasks run"));
    drop(kept);
    while !mobula::objects().is_empty() {
        std::thread::yield_now();
    }
    init_with(in_process()).unwrap();
}

fn after_a_shutdown_tasks_run_in_workers_again() {
    let _program = start(1.0);
    for _ in 0..2 {
        init_with(in_process()).unwrap();
        let lost = half.remote(2);
        assert_eq!(get(pid.remote()).unwrap(), std::process::id());
        shutdown().unwrap();
        assert!(get(&lost).is_err());
        init_with(Config::new().num_cpus(1.0)).unwrap();
        assert_ne!(get(pid.remote()).unwrap(), std::process::id());
        shutdown().unwrap();
    }
}
