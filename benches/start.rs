//! The cost of an idle runtime: time to the first task's value, and memory and processor time while nothing runs.
//!
//! ```text
//! start_to_first_value   a plain program, from the beginning of `main` to the value of its first task
//! idle_pss               memory of all processes of a runtime with two workers, each shared page counted once
//! idle_wakeups           how often any of them runs in a second
//! ```
//!
//! Prints one line of JSON a row: `{"row", "unit", "median", "min", "max"}`. `cargo xtask bench` runs it.

use mobula::local::{Config, Program};
use mobula::prelude::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What this program is started with to be measured.
const STARTED: &str = "--started";
const IDLE: &str = "--idle";

/// How long an idle runtime is looked at.
const LOOK: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let begin = Instant::now();
    // A zygote that was killed is replaced by this program.
    mobula::worker::role_from_env();
    match std::env::args().nth(1).as_deref() {
        Some(STARTED) => started(begin),
        Some(IDLE) => idle(),
        _ => measure(),
    }
}

fn one() -> i64 {
    1
}

fn runtime() -> Result<Program> {
    Ok(Program::start(Config { num_cpus: Some(2.0), ..Config::default() })?)
}

/// Says how many microseconds its first value took.
fn started(begin: Instant) -> Result<()> {
    let _runtime = runtime()?;
    assert_eq!(get(&one.remote())?, 1);
    println!("{}", begin.elapsed().as_micros());
    Ok(())
}

/// Runs a task on each worker, says which processes there are, and waits until its standard input ends.
fn idle() -> Result<()> {
    let _runtime = runtime()?;
    let tasks: Vec<ObjectRef<i64>> = (0..1000).map(|_| one.remote()).collect();
    get(&tasks)?;
    let address = init_with(mobula::Config::new())?;
    let zygote = parent_of(address.workers[0])?;
    let mut all = vec![std::process::id(), zygote];
    all.extend(address.workers);
    println!("{}", all.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
    std::io::stdin().lines().for_each(drop);
    Ok(())
}

fn measure() -> Result<()> {
    let repeats: usize = std::env::var("MOBULA_BENCH_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let program = std::env::current_exe()?;
    let mut samples = Vec::new();
    for _ in 0..repeats {
        let output = Command::new(&program).arg(STARTED).output()?;
        samples.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()? / 1e3);
    }
    row("start_to_first_value", "ms", samples);

    let mut child = Command::new(&program).arg(IDLE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    let pids = line.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<u32>, _>>()?;
    // Until those that still spin have gone to sleep.
    std::thread::sleep(Duration::from_millis(500));
    let before = pids.iter().map(|pid| switches(*pid)).sum::<Result<u64>>()?;
    std::thread::sleep(LOOK);
    let after = pids.iter().map(|pid| switches(*pid)).sum::<Result<u64>>()?;
    row("idle_wakeups", "1/s", vec![(after - before) as f64 / LOOK.as_secs_f64()]);
    let pss = pids.iter().map(|pid| pss_kib(*pid)).sum::<Result<u64>>()?;
    row("idle_pss", "MiB", vec![pss as f64 / 1024.0]);
    drop(child.stdin.take());
    child.wait()?;
    Ok(())
}

fn row(name: &str, unit: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let (median, min, max) = (samples[samples.len() / 2], samples[0], samples[samples.len() - 1]);
    println!(r#"{{"row":"{name}","unit":"{unit}","median":{median},"min":{min},"max":{max}}}"#);
}

fn parent_of(pid: u32) -> Result<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(number(&status, "PPid:")? as u32)
}

/// How often the threads of a process have given their processor away, and so have run before.
fn switches(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let status = std::fs::read_to_string(thread.path().join("status"))?;
        sum += number(&status, "voluntary_ctxt_switches:")? + number(&status, "nonvoluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

fn pss_kib(pid: u32) -> Result<u64> {
    number(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")
}

fn number(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}
