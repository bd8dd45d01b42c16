//! The person's pager, for text that is longer than the screen.

use std::io::{Error, Write};
use std::process::{Command, Stdio};

/// Shows `text` in the program that `PAGER` names, or in `less`, until the person leaves it.
///
/// # Errors
/// There is no such program, or it fails.
pub(crate) fn show(text: &str) -> Result<(), Error> {
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty()).unwrap_or_else(|| "less".into());
    let mut words = pager.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("less"));
    command.args(words).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // As in Git: end when all fits, keep colours, leave the text on the screen.
        command.env("LESS", "FRX");
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // The person may leave the pager before it has read all.
        let _ = input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
    }
    if child.wait()?.success() { Ok(()) } else { Err(Error::other("the pager failed")) }
}
