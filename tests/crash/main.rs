//! Processes that die at the worst moments: nobody hangs, nothing is corrupt, nothing is left.
//!
//! ```text
//!   this program, as the test ──spawns──▶ itself, once a series: the witness, with a runtime of its own
//!                                           ├─▶ itself, as a client ─ stepped, killed after each instruction of what it does
//!                                           ├─▶ a worker ─ stepped, killed after each instruction of a task
//!                                           └─▶ all workers ─ killed at random under load: the storm
//! ```
//!
//! The long form, `--full`, kills around every change that an operation makes in shared memory; the short one around some.
//! A series fails by panicking, like the scenarios of `tests/runtime`, whose cell, front end and runner it borrows.

// The waist's own type, as it comes.
#![allow(clippy::result_large_err)]

#[allow(dead_code)] // Not all of what a cell can do is done here.
#[path = "../runtime/cell.rs"]
mod cell;
#[allow(dead_code)] // As above.
#[path = "../runtime/front.rs"]
mod front;
#[path = "../runtime/scenario.rs"]
mod scenario;

mod clients;
mod lies;
mod saved;
mod series;
mod storm;
mod trace;
mod victims;
mod witness;
mod workers;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A series that takes longer than this hangs, or is too long.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Kills that there must be in all.
const KILLS_MIN: usize = 150;
const KILLS_MIN_FULL: usize = 1000;

const FULL: &str = "--full";

fn main() -> ExitCode {
    mobula::worker::register_program(cell::attach);
    mobula::worker::role_from_env();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    if words.contains(&FULL) {
        words.retain(|word| *word != FULL);
        let _ = series::FULL.set(());
    }
    match words.as_slice() {
        ["--scenario", name] => {
            let (_, body) = all().into_iter().find(|(scenario, _)| scenario == name).expect("there is such a scenario");
            body();
            ExitCode::SUCCESS
        }
        ["--victim", operation, socket] => {
            victims::act(operation, socket.as_ref());
            ExitCode::SUCCESS
        }
        filters => run(filters),
    }
}

/// A scenario's name and body.
type Scenario = (&'static str, Box<dyn Fn()>);

fn all() -> Vec<Scenario> {
    let clients =
        victims::ALL.iter().map(|operation| -> Scenario { (operation.name, Box::new(|| clients::kill_in(operation))) });
    let workers = workers::ALL.iter().map(|load| -> Scenario { (load.name, Box::new(|| workers::kill_in(load))) });
    let others: [Scenario; 5] = [
        ("a task that fails early is in no list", Box::new(workers::a_task_that_fails_early_is_in_no_list)),
        ("a task that comes on the way to sleep", Box::new(workers::kill_on_the_way_to_sleep)),
        ("storm", Box::new(storm::kill_at_random)),
        ("storm in a small store", Box::new(storm::kill_at_random_in_a_small_store)),
        ("each wrong expectation is found", Box::new(lies::each_wrong_expectation_is_found)),
    ];
    let saved = saved::ALL.iter().map(|(name, body)| -> Scenario { (name, Box::new(body)) });
    clients.chain(workers).chain(saved).chain(others).collect()
}

fn run(words: &[&str]) -> ExitCode {
    let filters: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let (mut passed, mut failed, mut kills) = (0, 0, 0);
    let more: &[&str] = if series::is_full() { &[FULL] } else { &[] };
    let begun = Instant::now();
    for (name, _) in all().into_iter().filter(|(name, _)| is_wanted(name)) {
        let started = Instant::now();
        match scenario::run(name, more, PATIENCE) {
            Ok(said) => {
                passed += 1;
                kills += said_kills(&said);
                println!("test {name} ... ok, {:.1} s\n{said}", started.elapsed().as_secs_f64());
            }
            Err(said) => {
                failed += 1;
                println!("test {name} ... FAILED\n{said}");
            }
        }
    }
    let wanted = if series::is_full() { KILLS_MIN_FULL } else { KILLS_MIN };
    if filters.is_empty() && kills < wanted {
        failed += 1;
        println!("there were {kills} kills after a counted instruction, and should be {wanted}");
    }
    println!(
        "\n{kills} kills after a counted instruction, in {:.1} s\n{passed} passed, {failed} failed",
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many kills a series says that it did.
fn said_kills(said: &str) -> usize {
    let words: Vec<&str> = said.split_whitespace().collect();
    let counts = words.windows(4).filter(|words| words[1] == "instructions," && words[3] == "kills:");
    counts.filter_map(|words| words[2].parse::<usize>().ok()).sum()
}
