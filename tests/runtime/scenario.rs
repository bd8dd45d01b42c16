//! A scenario in a process of its own: this program again, asked for that one.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs the scenario `name` in a process of its own, with `more` arguments; after `patience` it counts as hung and is ended. Gives what it wrote.
///
/// # Errors
/// What it wrote, and how it ended.
pub fn run(name: &str, more: &[&str], patience: Duration) -> Result<String, String> {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--scenario", name]).args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("this program runs");
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = std::thread::spawn(move || {
        let mut said = String::new();
        let _ = stdout.read_to_string(&mut said);
        let _ = stderr.read_to_string(&mut said);
        said
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break Ok(status);
        }
        if started.elapsed() > patience {
            let _ = child.kill();
            break Err(format!("it was still running after {patience:?}"));
        }
        std::thread::park_timeout(Duration::from_millis(2));
    };
    let said = read.join().unwrap_or_default();
    match status {
        Ok(status) if status.success() => Ok(said.trim_end().to_owned()),
        Ok(status) => Err(format!("{said}{status}")),
        Err(hang) => Err(format!("{said}{hang}")),
    }
}
