//! The process of a bridge: its start, its end, and what it says of that.

use super::address::BridgeAddress;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const PROGRAM: &str = include_str!("bridge.py");

/// So much of what a bridge says of its end is kept.
const WORDS_BYTES_MAX: usize = 16 << 10;

/// How long a process may take to end after its output has.
const END_MAX: Duration = Duration::from_secs(5);

/// A bridge's process.
pub(super) struct Process {
    child: Mutex<Child>,
    /// What it wrote to its standard error.
    words: Arc<Mutex<Vec<u8>>>,
}

pub(super) struct Pipes {
    pub input: ChildStdin,
    pub output: ChildStdout,
}

impl Process {
    pub(super) fn start(address: &BridgeAddress) -> io::Result<(Process, Pipes)> {
        // Read by its length, because requests follow.
        let code = format!(
            "import os\nn,s={},b\"\"\nwhile len(s)<n:\n p=os.read(0,n-len(s))\n if not p: raise SystemExit(1)\n s+=p\nexec(compile(s,\"mobula/bridge.py\",\"exec\"))",
            PROGRAM.len()
        );
        let command = address.command(&code);
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt at the terminal is the session's, not the bridge's.
            .process_group(0)
            .spawn()?;
        let (input, output, mut errors) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(input), Some(output), Some(errors)) => (input, output, errors),
            _ => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        let words = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&words);
        thread::Builder::new().name("mobula-bridge-err".into()).spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut buffer) {
                let mut words = heard.lock().unwrap_or_else(PoisonError::into_inner);
                words.extend_from_slice(&buffer[..count]);
                let too_many = words.len().saturating_sub(WORDS_BYTES_MAX);
                words.drain(..too_many);
            }
        })?;
        Ok((Process { child: Mutex::new(child), words }, Pipes { input, output }))
    }

    /// Kills it, if it has not ended.
    pub(super) fn kill(&self) {
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    /// Waits for its end, a little, and says how it ended.
    pub(super) fn end(&self) -> String {
        let until = Instant::now() + END_MAX;
        let status = loop {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < until => {}
                Ok(None) | Err(_) => break child.kill().and_then(|()| child.wait()).ok(),
            }
            drop(child);
            thread::sleep(Duration::from_millis(5));
        };
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        ending(status, &String::from_utf8_lossy(&words))
    }
}

/// How a process ended, with the last line that it said.
fn ending(status: Option<ExitStatus>, words: &str) -> String {
    let how = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
    match words.trim_end().lines().next_back() {
        Some(last) => format!("its process has ended ({how}): {}", last.trim()),
        None => format!("its process has ended ({how})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_last_line_says_why_a_process_ended() {
        let status = Some(ExitStatus::from_raw(127 << 8));
        let said = ending(status, "Traceback\nbash: line 1: python3: command not found\n");
        assert_eq!(said, "its process has ended (exit status: 127): bash: line 1: python3: command not found");
        assert_eq!(ending(Some(ExitStatus::from_raw(9)), ""), "its process has ended (signal: 9 (SIGKILL))");
    }
}
