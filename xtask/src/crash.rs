//! `cargo xtask crash`: processes that die at every instruction, and a storm of kills.
//!
//! The program is `tests/crash/`. `cargo xtask test` runs its short form.

use crate::shell;
use crate::tree::Tree;
use anyhow::Result;
use std::process::Command;

/// How thoroughly.
#[derive(clap::Args)]
pub struct Options {
    /// Kill at a thousand instructions and more, and 3,000 workers in the storm: some minutes.
    #[arg(long)]
    full: bool,
    /// Only the series whose name contains this.
    filter: Option<String>,
}

/// Runs it.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--release", "--workspace", "--locked", "--test", "crash", "--"]).current_dir(&tree.root);
    cargo.args(options.full.then_some("--full")).args(&options.filter);
    shell::run(&mut cargo)
}
