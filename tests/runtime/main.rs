//! The local runtime from outside: real processes, real signals, real memory.
//!
//! ```text
//!   this program, as the test ──spawns──▶ itself, once a scenario ──▶ zygote, workers, drivers
//! ```
//!
//! A scenario needs a `main` of its own, because a zygote is forked before any thread exists, so the usual test harness
//! with its threads does not do. Tasks are functions of this program, written against the waist alone.

// The waist's own type, as it comes.
#![allow(clippy::result_large_err)]

/// A file's scenarios, by their names.
macro_rules! scenarios {
    ($($name:ident)*) => {
        pub const ALL: &[Scenario] = &[$((stringify!($name), $name)),*];
    };
}

mod actors;
mod cancel;
mod cell;
mod checkpoints;
mod deaths;
mod front;
mod futures;
mod joined;
mod lost;
mod modes;
mod numbers;
mod objects;
mod options;
mod placement;
mod program;
mod scenario;
mod state;
mod streams;
mod tasks;

use mobula::local::{Config, Program};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A scenario's name and body. It fails by panicking.
type Scenario = (&'static str, fn());

const SCENARIOS: &[&[Scenario]] = &[
    tasks::ALL,
    objects::ALL,
    options::ALL,
    cancel::ALL,
    futures::ALL,
    actors::ALL,
    checkpoints::ALL,
    lost::ALL,
    placement::ALL,
    streams::ALL,
    deaths::ALL,
    program::ALL,
    joined::ALL,
    numbers::ALL,
    state::ALL,
    modes::ALL,
];

/// A runtime with so many CPUs.
fn start(cpus: f64) -> Program {
    Program::start(Config { num_cpus: Some(cpus), ..Config::default() }).unwrap()
}

/// Waits until this is so. Ends by the scenario's own patience.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// Waits until there is such a file.
fn until_there_is(file: &str) {
    until(|| Path::new(file).exists());
}

/// Does the work while a thread kills processes: in each turn the one that `victim` names, if any.
fn while_killing(victim: impl Fn(usize) -> Option<u32> + Sync, every: Duration, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let killed = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut killed = 0;
            for turn in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                if let Some(pid) = victim(turn) {
                    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
                    killed += u32::from(rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok());
                }
                std::thread::sleep(every);
            }
            killed
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        killer.join().unwrap()
    });
    assert!(killed > 0, "nothing was killed");
}

/// A scenario that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    joined::break_if_asked();
    mobula::worker::register_program(cell::attach);
    mobula::worker::role_from_env();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--scenario", name] => {
            let (_, body) = all().find(|(scenario, _)| scenario == name).expect("there is such a scenario");
            body();
            ExitCode::SUCCESS
        }
        ["--cell-host", socket] => {
            deaths::cell_host(socket.as_ref());
            ExitCode::SUCCESS
        }
        ["--options", options @ ..] => {
            program::keeps_the_contract(options);
            ExitCode::SUCCESS
        }
        ["--owner"] => {
            joined::own();
            ExitCode::SUCCESS
        }
        ["--joins", folder, what @ ..] => {
            joined::joins(folder, what);
            ExitCode::SUCCESS
        }
        filters => run(filters),
    }
}

fn all() -> impl Iterator<Item = Scenario> {
    SCENARIOS.iter().copied().flatten().copied()
}

fn run(args: &[&str]) -> ExitCode {
    let filters: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let mut failed = 0;
    for (name, _) in all().filter(|(name, _)| is_wanted(name)) {
        match scenario::run(name, &[], PATIENCE) {
            Ok(said) => println!("test {name} ... ok{}", if said.is_empty() { said } else { format!("\n{said}") }),
            Err(said) => {
                failed += 1;
                println!("test {name} ... FAILED\n{said}");
            }
        }
    }
    println!("\n{failed} scenarios failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
