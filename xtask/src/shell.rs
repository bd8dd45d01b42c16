//! Running a program: said before, timed, and named when it fails.

use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Instant;

/// Runs `command` with its output on the terminal.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    eprintln!("\n== {line}");
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    eprintln!("== {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Runs `command` and returns what it printed on its standard output; its standard error stays on the terminal.
pub fn capture(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output =
        command.stderr(std::process::Stdio::inherit()).output().with_context(|| format!("cannot start `{line}`"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("`{line}` failed ({}){}{text}", output.status, if text.is_empty() { "" } else { ":\n" });
    }
    Ok(text)
}

/// Whether `command` runs and exits with 0; its output is thrown away.
pub fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The command as a person would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
