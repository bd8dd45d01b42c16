//! `cargo xtask loom`: every handshake in shared memory, checked in all orders in which it can happen.
//!
//! The models are in `runtime/src/store/models/`. They run the code that is shipped, with loom's atomics in place of the machine's; each has a
//! control in which a fence or an order is missing and which must fail. In a folder of its own, because everything is compiled for it
//! once more. All of them take many minutes; `cargo xtask test` checks those of [`SHORT`].

use crate::shell;
use crate::tree::Tree;
use anyhow::Result;
use std::process::Command;

/// What to check.
#[derive(clap::Args)]
pub struct Options {
    /// Only the models of these files, or whose names begin with this there: `wait`, say, or `wait::a_bell`.
    models: Vec<String>,
}

/// The files whose models take a minute in all: a task's way to its worker, by a ring, by an offer or by the head; tasks that wait for others,
/// the calls of actors, and waiting for results.
const SHORT: [&str; 6] = ["claim", "deps", "mailbox", "offers", "strands", "wait"];

/// Checks the models of [`SHORT`].
pub fn short(tree: &Tree) -> Result<()> {
    run(tree, &Options { models: SHORT.map(str::to_owned).into() })
}

/// Checks the models.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let mut models: Vec<String> = options.models.iter().map(|filter| format!("store::models::{filter}")).collect();
    if models.is_empty() {
        models.push("store::models".into());
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["test", "--release", "--locked", "--package", "mobula-runtime"])
        .args(["--lib", "--target-dir"])
        .arg(tree.target.join("loom"))
        // What each explored, and how its controls failed.
        .args(["--", "--nocapture"])
        .args(&models)
        .env("RUSTFLAGS", "--cfg loom")
        .env("RUST_TEST_THREADS", "2")
        .current_dir(&tree.root);
    shell::run(&mut cargo)
}
