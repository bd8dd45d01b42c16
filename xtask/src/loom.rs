//! `cargo xtask loom`: every handshake in shared memory, checked in all orders in which it can happen.
//!
//! The models are in `src/store/models/`. They run the code that is shipped, with loom's atomics in place of the machine's; each has a
//! control in which a fence or an order is missing and which must fail. In a folder of its own, because everything is compiled for it
//! once more, and not a part of `cargo xtask test`, because it takes minutes.

use crate::shell;
use crate::tree::Tree;
use anyhow::Result;
use std::process::Command;

/// What to check.
#[derive(Default, clap::Args)]
pub struct Options {
    /// Only the models of this file, or whose names begin with this there: `wait`, say, or `wait::a_bell`.
    filter: Option<String>,
}

/// Checks the models.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let models = match &options.filter {
        Some(filter) => format!("store::models::{filter}"),
        None => "store::models".into(),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "test",
            "--release",
            "--locked",
            "--package",
            "mobula",
            "--no-default-features",
            "--features",
            "runtime",
        ])
        .args(["--lib", "--target-dir"])
        .arg(tree.target.join("loom"))
        // What each explored, and how its controls failed.
        .args(["--", "--nocapture", &models])
        .env("RUSTFLAGS", "--cfg loom")
        .env("RUST_TEST_THREADS", "2")
        .current_dir(&tree.root);
    shell::run(&mut cargo)
}
