//! `cargo xtask test`: everything that must hold, cheapest first, so that a slip is told early.
//!
//! All of it is built in the one release profile. The cell host's evaluator contains rust-analyzer, ten minutes of
//! compiling on two cores, and a second profile or a second set of features would pay them again.

use crate::shell;
use crate::tree::Tree;
use crate::{conformance, loom, setup, tidy};
use anyhow::Result;
use std::process::Command;

/// How many tests run at once. Each session test is a handful of processes, one of which is a compiler most of the time.
const TESTS_AT_ONCE: &str = "2";

/// Our own packages. In the tests their assertions are on and their arithmetic is checked; what lies beneath stays as it is built for everybody, because
/// rust-analyzer would be compiled once more.
const CHECKED: [&str; 8] = [
    "mobula",
    "mobula-abi",
    "mobula-dashboard",
    "mobula-kernel",
    "mobula-macros",
    "mobula-repl",
    "mobula-runtime",
    "mobula-session",
];

/// What tells Cargo so.
fn checked() -> Vec<String> {
    let switches = ["debug-assertions", "overflow-checks"];
    let of = |package| switches.map(|switch| format!("--config=profile.release.package.{package}.{switch}=true"));
    CHECKED.into_iter().flat_map(of).collect()
}

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// Run only the tests whose name contains this, and nothing but tests.
    filter: Option<String>,
    /// Passed on to the test programs.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs them.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let pythons = setup::run(tree)?;
    let python = &pythons.jupyter;
    let ray = pythons.ray.with_file_name("");
    let cargo = |words: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(words).current_dir(&tree.root);
        command.env("RUST_TEST_THREADS", TESTS_AT_ONCE).env("MOBULA_TEST_PYTHON", python).env("MOBULA_TEST_RAY", &ray);
        command
    };
    if let Some(filter) = &options.filter {
        let test = ["test", "--release", "--workspace", "--locked", "--tests", filter];
        return shell::run(cargo(&test).args(checked()).arg("--").args(&options.rest));
    }

    tidy::run(tree)?;
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    shell::run(cargo(&["build", "--release", "--workspace", "--locked"]).args(checked()))?;
    let test = ["test", "--release", "--locked", "--no-fail-fast"];
    shell::run(cargo(&test).args(checked()).args(["--workspace", "--tests", "--"]).args(&options.rest))?;
    // All of it: without the root package, cargo would choose other features and compile rust-analyzer once more.
    shell::run(cargo(&test).args(checked()).args(["--workspace", "--doc"]))?;
    conformance::sample(tree, python)?;
    loom::short(tree)?;
    // The crate as a cell sees it, with a runtime that runs tasks in line. In a folder of its own, because its features
    // are not those of the rest.
    let bare = tree.target.join("bare");
    let package =
        ["--package", "mobula", "--no-default-features", "--features", "inline,arrow", "--lib", "--target-dir"];
    shell::run(cargo(&test).args(checked()).args(package).arg(&bare))?;
    // Last: clippy checks every dependency once more, which takes minutes the first time.
    shell::run(&mut cargo(&[
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))?;
    shell::run(
        cargo(&["doc", "--release", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    eprintln!("\nall of it holds");
    Ok(())
}
