//! Timings: printed, never asserted.

use crate::Scenario;
use crate::cell::{Arg, Ref, get, open, put, submit, wait};
use crate::front::Front;
use crate::tasks::add;
use mobula::local::Config;
use std::time::{Duration, Instant};

pub const ALL: &[Scenario] = &[("(numbers)", numbers)];

fn numbers() {
    let _front = Front::start(Config { num_cpus: Some(2.0), object_store_memory: Some(1 << 30), ..Config::default() });
    get(&submit("add", add, &[]).unwrap()).unwrap();

    say("put 8 B", 10_000, || drop(put(&[0; 8]).unwrap()));
    say("get of a task, one after the other", 2_000, || drop(get(&submit("add", add, &[]).unwrap()).unwrap()));

    let one = put(&[0; 8]).unwrap();
    say("get of 8 B that are known", 100_000, || drop(get(&one).unwrap()));

    let started = Instant::now();
    let tasks: Vec<Ref> = (0..10_000).map(|_| submit("add", add, &[Arg::Of(&one)]).unwrap()).collect();
    let submitted = started.elapsed();
    wait(&tasks.iter().collect::<Vec<_>>(), tasks.len(), None).unwrap();
    let ready = started.elapsed();
    tasks.iter().for_each(|task| drop(open(task).unwrap().unwrap()));
    println!("10000 tasks: submitted {submitted:?}, ready {ready:?}, opened {:?}", started.elapsed());
    drop(tasks);

    let big = vec![7; 100 << 20];
    for round in ["cold", "warm"] {
        let started = Instant::now();
        let object = put(&big).unwrap();
        let stored = started.elapsed();
        let seen = get(&object).unwrap();
        println!("100 MiB {round}: put {stored:?}, get {:?}", started.elapsed() - stored);
        assert_eq!(seen.len(), big.len());
    }
    drop(big);
}

fn say(what: &str, times: u32, mut once: impl FnMut()) {
    let started = Instant::now();
    (0..times).for_each(|_| once());
    let each: Duration = started.elapsed() / times;
    println!("{what}: {each:?}");
}
