//! `mobula test`: the arguments of `mobula_repl::testing`.

use super::{BROKEN, WRONG, fail};
use clap::Args;
use mobula_repl::ColorChoice;
use mobula_repl::testing::{Options, TestError, run};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What is tested, and how.
#[derive(Args, Debug)]
pub struct Test {
    /// Notebooks, Rust files with cells parted by `// %%`, and folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Store the new outputs of cells whose outputs differ.
    #[arg(long)]
    update: bool,
    /// Run cells tagged `slow`, too.
    #[arg(long)]
    slow: bool,
    /// How many notebooks run at once; half the processors if this is not said.
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// How long a notebook may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Write the results as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the tests.
pub fn main(asked: Test, color: ColorChoice) -> ExitCode {
    let Test { paths, update, slow, jobs, timeout, junit, json } = asked;
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(&error.into(), BROKEN),
    };
    let timeout = Duration::from_secs(timeout);
    match run(&Options { program, paths, update, slow, jobs, timeout, junit, json, color }) {
        Ok(ending) => ending.into(),
        Err(error @ TestError::Broken { .. }) => fail(&error.into(), BROKEN),
        Err(error) => fail(&error.into(), WRONG),
    }
}
