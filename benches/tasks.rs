// Tasks and objects, measured the way a person uses them: this file is a cell, run by `mobula run benches/tasks.rs`.
//
// Prints one line of JSON a row: `{"row", "unit", "median", "min", "max"}`. `cargo xtask bench` runs it and sets the floors of the
// machine beside it. The rows are named as the peers' scripts name the same work.

use std::time::Instant;

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn nop() -> i64 {
    1
}

fn add_one(x: i64) -> i64 {
    x + 1
}

fn first(array: Array<f64>) -> f64 {
    array[0]
}

/// Takes samples of `work`, each shared out over `each` repetitions inside it, and prints their row. `scale` is units a second. What the
/// work gives is dropped when the clock has stopped.
fn row<T>(name: &str, unit: &str, scale: f64, each: usize, samples: usize, mut work: impl FnMut() -> Outcome<T>) -> Outcome<()> {
    let mut taken = Vec::new();
    for _ in 0..samples {
        let begin = Instant::now();
        let _given = work()?;
        taken.push(begin.elapsed().as_secs_f64() * scale / each as f64);
    }
    taken.sort_by(f64::total_cmp);
    let (median, min, max) = (taken[taken.len() / 2], taken[0], taken[taken.len() - 1]);
    println!(r#"{{"row":"{name}","unit":"{unit}","median":{median},"min":{min},"max":{max}}}"#);
    Ok(())
}

fn fan_out(tasks: usize) -> Outcome<()> {
    let refs: Vec<ObjectRef<i64>> = (0..tasks).map(|_| nop.remote()).collect();
    get(&refs)?;
    Ok(())
}

fn round_trips_of_half_a_cpu(count: usize) -> Outcome<()> {
    let half = nop.options().num_cpus(0.5);
    for _ in 0..count {
        get(&half.remote())?;
    }
    Ok(())
}

fn fan_out_of_half_a_cpu(tasks: usize) -> Outcome<()> {
    let half = nop.options().num_cpus(0.5);
    let refs: Vec<ObjectRef<i64>> = (0..tasks).map(|_| half.remote()).collect();
    get(&refs)?;
    Ok(())
}

/// Awaited one after the other, as in a cell with `.await`.
fn awaited_round_trips(count: usize) -> Outcome<()> {
    mobula::__private::block_on(async {
        for _ in 0..count {
            nop.remote().await?;
        }
        Ok(())
    })
}

fn streamed(tasks: usize) -> Outcome<()> {
    let refs: Vec<ObjectRef<i64>> = (0..tasks).map(|_| nop.remote()).collect();
    assert_eq!(wait_stream(&refs).count(), tasks);
    Ok(())
}

fn counted(items: i64) -> std::ops::Range<i64> {
    0..items
}

fn items_of_a_stream(items: i64) -> Outcome<()> {
    for (place, item) in (0..).zip(counted.stream(items)) {
        assert_eq!(get(&item)?, place);
    }
    Ok(())
}

/// From `cancel` of a task that does not look until its worker is gone and the result says so.
fn cancel_of_a_spinning_task(begun: &std::path::Path) -> Outcome<()> {
    fn spins(begun: String) {
        std::fs::write(begun, "").expect("a file can be written");
        loop {
            std::hint::spin_loop();
        }
    }
    let _ = std::fs::remove_file(begun);
    let task = spins.remote(begun.display().to_string());
    while !begun.exists() {
        std::thread::yield_now();
    }
    let cancelled = Instant::now();
    cancel(&task)?;
    assert!(matches!(get(&task), Err(GetError::Cancelled { .. })));
    let took = cancelled.elapsed().as_secs_f64() * 1e3;
    println!(r#"{{"row":"cancel_spinning","unit":"ms","median":{took},"min":{took},"max":{took}}}"#);
    Ok(std::fs::remove_file(begun)?)
}

fn chain(links: i64) -> Outcome<()> {
    let mut last = add_one.remote(0);
    for _ in 1..links {
        last = add_one.remote(&last);
    }
    assert_eq!(get(&last)?, links);
    Ok(())
}

/// Threads that use up all processors while something is measured.
fn with_hogs<T>(work: impl FnOnce() -> T) -> T {
    let go_on = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |cpus| cpus.get()) {
            scope.spawn(|| while go_on.load(std::sync::atomic::Ordering::Relaxed) {});
        }
        let done = work();
        go_on.store(false, std::sync::atomic::Ordering::Relaxed);
        done
    })
}

fn round_trips(count: usize) -> Outcome<()> {
    for _ in 0..count {
        get(&nop.remote())?;
    }
    Ok(())
}

/// The state of an actor.
struct Counter {
    n: i64,
}

impl Counter {
    fn new(n: i64) -> Counter {
        Counter { n }
    }

    fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.n
    }
}

fn calls_one_by_one(count: i64) -> Outcome<()> {
    let counter = Counter::new.spawn(0);
    for n in 1..=count {
        assert_eq!(get(Counter::add.call(&counter, 1))?, n);
    }
    Ok(())
}

/// A state of 1 MiB, and how often it was changed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Model {
    weights: Array<f64>,
    steps: i64,
}

impl Model {
    fn new() -> Model {
        Model { weights: Array::from(vec![1.0; (1 << 20) / 8]), steps: 0 }
    }

    fn step(&mut self) -> i64 {
        self.steps += 1;
        self.steps
    }
}

/// Each call waits for the checkpoint after the one before it, if there is one.
fn steps_one_by_one(model: &Actor<Model>, count: usize) -> Outcome<()> {
    for _ in 0..count {
        get(Model::step.call(model))?;
    }
    Ok(())
}

fn calls_at_once(counter: &Actor<Counter>, count: usize) -> Outcome<()> {
    let calls: Vec<_> = (0..count).map(|_| Counter::add.call(counter, 1)).collect();
    Ok(drop(get(&calls)?))
}

fn new_actors(count: i64) -> Outcome<()> {
    let counters: Vec<_> = (0..count).map(|n| Counter::new.spawn(n)).collect();
    let calls: Vec<_> = counters.iter().map(|counter| Counter::add.call(counter, 1)).collect();
    assert_eq!(get(&calls)?, (1..=count).collect::<Vec<_>>());
    Ok(())
}

fn measure() -> Outcome<()> {
    const US: f64 = 1e6;
    const MS: f64 = 1e3;
    let samples = std::env::var("MOBULA_BENCH_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);

    // Each of these happens once in a session.
    // A runtime that the session has joined has its own resources.
    let config = if std::env::var_os("MOBULA_ADDRESS").is_some() { Config::new() } else { Config::new().num_cpus(2.0) };
    row("init", "ms", MS, 1, 1, || Ok(drop(init_with(config.clone())?)))?;
    row("first_task", "ms", MS, 1, 1, || Ok(drop(get(&nop.remote())?)))?;
    fan_out(100)?;

    row("task_round_trip", "us", US, 10_000, samples, || round_trips(10_000))?;
    with_hogs(|| row("task_round_trip_busy", "us", US, 2_000, samples, || round_trips(2_000)))?;
    row("task_throughput", "us/task", US, 1000, samples, || fan_out(1000))?;
    row("fan_out_10k", "ms", MS, 1, samples, || fan_out(10_000))?;
    row("shape_round_trip", "us", US, 1_000, samples, || round_trips_of_half_a_cpu(1_000))?;
    row("shape_fan_out_10k", "ms", MS, 1, samples, || fan_out_of_half_a_cpu(10_000))?;
    row("wait_stream_10k", "ms", MS, 1, samples, || streamed(10_000))?;
    row("stream_item", "us", US, 100_000, samples, || items_of_a_stream(100_000))?;
    row("await_round_trip", "us", US, 1_000, samples, || awaited_round_trips(1_000))?;
    row("actor_round_trip", "us", US, 10_000, samples, || calls_one_by_one(10_000))?;
    let counter = Counter::new.spawn(0);
    row("actor_calls_10k", "ms", MS, 1, samples, || calls_at_once(&counter, 10_000))?;
    drop(counter);
    for (name, interval) in [("actor_round_trip_logged", 100_000), ("actor_checkpoint_1MiB", 1)] {
        let model = Model::new.options().max_restarts(1).checkpoint_interval(interval).spawn();
        row(name, "us", US, 1000, samples, || steps_one_by_one(&model, 1000))?;
    }
    row("actor_first_call", "ms", MS, 1, samples, || new_actors(1))?;
    row("actors_100", "ms", MS, 1, samples, || new_actors(100))?;
    row("chain_100", "us/task", US, 100, samples, || chain(100))?;

    let small = put(&1i64)?;
    row("get_small", "us", US, 1000, samples, || {
        for _ in 0..1000 {
            get(&small)?;
        }
        Ok(())
    })?;
    row("await_small", "us", US, 1000, samples, || {
        mobula::__private::block_on(async {
            for _ in 0..1000 {
                (&small).await?;
            }
            Ok(())
        })
    })?;
    row("put_small", "us", US, 1000, samples, || {
        for _ in 0..1000 {
            put(&1i64)?;
        }
        Ok(())
    })?;
    for (label, bytes) in [("1KiB", 1usize << 10), ("1MiB", 1 << 20), ("100MiB", 100 << 20)] {
        let array: Array<f64> = Array::from(vec![1.0; bytes / 8]);
        // Small ones are quicker than a look at the clock.
        let each = ((4 << 20) / bytes).clamp(1, 1000);
        if bytes == 100 << 20 {
            // Each into memory that nothing was in before: all are kept until the row is done.
            let mut kept = Vec::new();
            row("put_100MiB_cold", "us", US, 1, samples, || Ok(kept.push(put(&array)?)))?;
        }
        row(&format!("put_{label}"), "us", US, each, samples, || {
            for _ in 0..each {
                put(&array)?;
            }
            Ok(())
        })?;
        let stored = put(&array)?;
        row(&format!("get_{label}"), "us", US, 100, samples, || {
            for _ in 0..100 {
                get(&stored)?;
            }
            Ok(())
        })?;
        if bytes == 100 << 20 {
            row("task_with_100MiB_ref", "us", US, 100, samples, || {
                for _ in 0..100 {
                    get(&first.remote(&stored))?;
                }
                Ok(())
            })?;
        }
    }
    let stored = put(&Array::from(vec![1.0_f64; 1 << 27]))?;
    row("get_1GiB", "us", US, 100, samples, || {
        for _ in 0..100 {
            get(&stored)?;
        }
        Ok(())
    })?;
    drop(stored);

    let done: Vec<ObjectRef<i64>> = (0..1000).map(|_| nop.remote()).collect();
    wait(&done).num_returns(1000).run()?;
    row("wait_1000_done", "us", US, 1, samples * 20, || Ok(wait(&done).num_returns(1000).run()?))?;
    row("wait_first_of_1000", "us", US, 1, samples * 20, || Ok(wait(&done).num_returns(1).run()?))?;
    cancel_of_a_spinning_task(&std::env::temp_dir().join(format!("mobula-bench-{}", std::process::id())))
}

measure()?;
