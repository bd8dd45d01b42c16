//! Completion and inspection, from the session's side: a process that knows (see `analyst`), started when it is wanted, started again when
//! it dies, and ended when nobody has asked it for long. Cells run meanwhile.

use crate::analyst::{ANALYST_ENV, Answer, Ask, Snapshot};
use crate::event::{Bundle, Completions};
use crate::host::Host;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// After so long without a question its memory is given back.
const UNUSED_MAX: Duration = Duration::from_secs(15 * 60);

/// What has been made in the session, for the analysis. Written by the evaluator after each cell.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<Snapshot>>);

impl Known {
    /// Replaces what is known.
    pub fn set(&self, snapshot: Snapshot) {
        *self.lock() = snapshot;
    }

    fn get(&self) -> Snapshot {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The thread that speaks to the process, from outside. It ends with the last of these.
#[derive(Clone)]
pub struct Analysis {
    asks: Sender<(Ask, Sender<Answer>)>,
    known: Known,
}

impl Analysis {
    /// Starts the thread. It starts nothing before it is warmed or asked.
    pub fn start(host: &dyn Host, known: Known) -> Analysis {
        let (asks, inbox) = unbounded();
        let folder = host.session_dir().join("analysis");
        // Without a thread, every question finds that nothing is known.
        let _ = std::thread::Builder::new().name("mobula-analysis".into()).spawn(move || serve(&folder, &inbox));
        Analysis { asks, known }
    }

    /// Has it load what it will need.
    pub fn warm(&self) {
        let (reply, _) = bounded(1);
        let _ = self.asks.send((Ask::Warm(self.known.get()), reply));
    }

    /// What could stand at byte `cursor`.
    pub fn complete(&self, code: &str, cursor: usize) -> Completions {
        let answer = self.ask(Ask::Complete(self.known.get(), code.to_owned(), cursor));
        answer.map_or(Completions { start: cursor, end: cursor, items: Vec::new() }, Answer::completions)
    }

    /// What is known of the name at byte `cursor`.
    pub fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        self.ask(Ask::Inspect(self.known.get(), code.to_owned(), cursor))?.bundle()
    }

    fn ask(&self, ask: Ask) -> Option<Answer> {
        let (reply, answer) = bounded(1);
        self.asks.send((ask, reply)).ok()?;
        answer.recv().ok()
    }
}

fn serve(folder: &PathBuf, inbox: &Receiver<(Ask, Sender<Answer>)>) {
    let mut analyst: Option<Process> = None;
    loop {
        let next = match &analyst {
            Some(_) => inbox.recv_timeout(UNUSED_MAX),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok((ask, reply)) => {
                let mut answer = analyst.as_mut().and_then(|analyst| analyst.ask(&ask));
                if answer.is_none() {
                    // There was none, or it had died before it was asked.
                    analyst = Process::start(folder).ok();
                    answer = analyst.as_mut().and_then(|analyst| analyst.ask(&ask));
                }
                if answer.is_none() {
                    // It died of this question; the next one finds a new one.
                    analyst = None;
                }
                let _ = reply.send(answer.unwrap_or_default());
            }
            Err(RecvTimeoutError::Timeout) => analyst = None,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

struct Process {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(folder: &PathBuf) -> std::io::Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(ANALYST_ENV, folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        match (asks, answers) {
            (Some(asks), Some(answers)) => Ok(Process { child, asks, answers: BufReader::new(answers) }),
            _ => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn ask(&mut self, ask: &Ask) -> Option<Answer> {
        let text = serde_json::to_string(ask).ok()?;
        writeln!(self.asks, "{text}").ok()?;
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line).ok(),
            _ => None,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
