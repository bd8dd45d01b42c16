//! The project's own chores, run as `cargo xtask <chore>`.
//!
//! ```text
//! main ─▶ setup   what the tests need and cargo does not bring
//!      ─▶ test    setup, tidy, build, every test, format, clippy: what continuous integration runs
//!      ─▶ tidy    the rules of the tree that no compiler checks
//!      ─▶ bench   the table of times, beside what the machine itself can do
//!      ─▶ loom    models of the handshakes in shared memory
//!      ─▶ crash   processes that die at every instruction
//!      ─▶ ray     the long form of the tests on a Ray cluster
//!      ─▶ fresh   what a newcomer does, with nothing built or downloaded before
//!      ─▶ conformance   documentation examples under rustc and as cells
//! ```

mod bench;
mod conformance;
mod crash;
mod fresh;
mod loom;
mod ray;
mod setup;
mod shell;
mod test;
mod tidy;
mod traces;
mod tree;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tree::Tree;

/// The chores of the Mobula source tree.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Chores {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Sets up what the tests need, builds everything and runs all tests and lints.
    #[command(after_help = "Example: cargo xtask test\n         cargo xtask test death -- --nocapture")]
    Test(test::Options),
    /// Makes target/python and target/ray (pinned packages of Jupyter and of Ray) and checks the Rust toolchain's parts.
    #[command(after_help = "Example: cargo xtask setup")]
    Setup,
    /// Checks the rules of the tree that no compiler checks: who may import whom, where `unsafe` may stand, and so on.
    #[command(after_help = "Example: cargo xtask tidy")]
    Tidy,
    /// Measures Mobula beside the machine's own limits and prints a table with ratios.
    #[command(after_help = "Example: cargo xtask bench\n         cargo xtask bench --only tasks --repeats 9")]
    Bench(bench::Options),
    /// Checks the models of the handshakes in shared memory, in all orders in which they can happen.
    #[command(after_help = "Example: cargo xtask loom\n         cargo xtask loom wait")]
    Loom(loom::Options),
    /// Kills processes at every instruction of what they do to shared memory, and workers at random under load.
    #[command(after_help = "Example: cargo xtask crash\n         cargo xtask crash --full")]
    Crash(crash::Options),
    /// Runs the long form of the tests on a Ray cluster: the oldest and the newest Ray, heads and nodes that die, 200 starts in a row.
    #[command(after_help = "Example: cargo xtask ray\n         cargo xtask ray --figures 5")]
    Ray(ray::Options),
    /// Runs documentation examples under plain rustc and as cells, and prints what differs.
    #[command(
        after_help = "Example: cargo xtask conformance --all\n         cargo xtask conformance ../book/src --verbose"
    )]
    Conformance(conformance::Options),
    /// Runs the README's two commands as a newcomer would: a copy of the tree, and a home, caches and a target folder of its own.
    #[command(after_help = "Example: cargo xtask fresh\n         cargo xtask fresh --busy 2")]
    Fresh(fresh::Options),
}

fn main() -> Result<()> {
    let tree = Tree::find()?;
    match Chores::parse().chore {
        Chore::Test(options) => test::run(&tree, &options),
        Chore::Setup => setup::run(&tree).map(drop),
        Chore::Tidy => tidy::run(&tree),
        Chore::Bench(options) => bench::run(&tree, &options),
        Chore::Loom(options) => loom::run(&tree, &options),
        Chore::Crash(options) => crash::run(&tree, &options),
        Chore::Ray(options) => ray::run(&tree, &options),
        Chore::Fresh(options) => fresh::run(&tree, &options),
        Chore::Conformance(options) => conformance::run(&tree, &options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_chore_has_help_with_an_example() {
        Chores::command().debug_assert();
        for chore in Chores::command().get_subcommands() {
            let help = chore.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains(&format!("cargo xtask {}", chore.get_name())),
                "`{}` has no example",
                chore.get_name()
            );
        }
    }
}
