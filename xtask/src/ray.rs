//! `cargo xtask ray`: the long form of the tests on a Ray cluster, with the oldest and the newest Ray that sessions are tested with.
//!
//! The program is `tests/ray/`. `cargo xtask test` runs its short form, with the Ray of `tests/ray/requirements.txt`.

use crate::setup;
use crate::shell;
use crate::tree::{self, Tree};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// Starts of sessions in a row.
    #[arg(long, default_value_t = 200)]
    starts: u32,
    /// Measure both transports beside Ray's own client, in so many rounds, and nothing else.
    #[arg(long)]
    figures: Option<u32>,
    /// Only the tests whose name contains this.
    filter: Option<String>,
}

/// Runs it.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    if let Some(rounds) = options.figures {
        let newest = setup::ray(tree, setup::Ray::Newest)?;
        return shell::run(tests(tree, &newest).env("MOBULA_TEST_RAY_FIGURES", rounds.to_string()).arg("how_fast"));
    }
    for which in [setup::Ray::Newest, setup::Ray::Oldest] {
        let python = setup::ray(tree, which)?;
        let mut tests = tests(tree, &python);
        // The starts say how often the cluster fails one, which need not be asked of each version.
        let starts = if which == setup::Ray::Newest { options.starts } else { 8 };
        tests.env("MOBULA_TEST_RAY_LONG", "1").env("MOBULA_TEST_RAY_STARTS", starts.to_string());
        shell::run(tests.args(&options.filter))?;
    }
    Ok(())
}

/// The program with the tests, on the Ray of this Python.
fn tests(tree: &Tree, python: &Path) -> Command {
    let mut cargo = Command::new(tree::cargo());
    cargo.args(["test", "--release", "--workspace", "--locked", "--test", "ray", "--"]).current_dir(&tree.root);
    cargo.env("MOBULA_TEST_RAY", python.with_file_name(""));
    cargo
}
