//! The session's side of completion and inspection: it starts the analyst when there is a question, and restarts one that died. Cells run
//! meanwhile. While the analyst gets ready, completion offers what is known without it (see `outline`).

use crate::analyst::outline;
use crate::analyst::std_names::StdNames;
use crate::analyst::{ANALYST_ENV, Answer, Ask, Crates, Snapshot};
use crate::base::own_program;
use crate::event::{Bundle, Completions};
use crate::host::Host;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a person waits for an analyst that is not ready, before what is known without it is shown.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long for an analyst that is ready, or whose answer is needed. Front ends wait no longer than 5 s; jupyter-console fails after that, and takes
/// the late answer for that to its next question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// After so long without a question, the analyst is ended.
const UNUSED_MAX: Duration = Duration::from_secs(15 * 60);

/// What the session has made, for the analyst. Written by the evaluator after each cell.
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

/// The handle of the thread that talks to the analyst. The thread ends with the last handle.
#[derive(Clone)]
pub struct Analysis {
    asks: Sender<Asked>,
    known: Known,
    ready: Ready,
}

/// A question that waits for the analyst.
struct Asked {
    ask: Ask,
    since: Instant,
    reply: Sender<Answer>,
}

impl Asked {
    /// Nobody waits for the answer any more. Such questions would hold up the next ones of a person who goes on typing.
    fn is_abandoned(&self) -> bool {
        matches!(self.ask, Ask::Complete(..)) && self.since.elapsed() > ANSWERS_WITHIN
    }
}

/// The crates that the analyst has read; `None` while there is no analyst, or it is about to read them.
#[derive(Clone, Debug, Default)]
struct Ready(Arc<Mutex<Option<Crates>>>);

impl Ready {
    fn set(&self, crates: Option<Crates>) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = crates;
    }

    fn is_for(&self, snapshot: &Snapshot) -> bool {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_ref() == Some(&snapshot.crates)
    }
}

impl Analysis {
    /// Starts the thread. It starts no analyst before it is warmed or asked.
    pub fn start(host: &dyn Host, known: Known) -> Analysis {
        let (asks, inbox) = unbounded();
        let folder = host.session_dir().join("analysis");
        let ready = Ready::default();
        let told = ready.clone();
        // If no thread can be started, every question finds that nothing is known.
        let _ = std::thread::Builder::new().name("mobula-analysis".into()).spawn(move || serve(&folder, &inbox, &told));
        Analysis { asks, known, ready }
    }

    /// Has the analyst load what it will need.
    pub fn warm(&self) {
        let (reply, _) = bounded(1);
        let _ = self.asks.send(Asked { ask: Ask::Warm(self.known.get()), since: Instant::now(), reply });
    }

    /// Whether the session has a variable of this name.
    pub fn has_variable(&self, name: &str) -> bool {
        outline::variables(&self.known.get()).any(|known| known == name)
    }

    /// The completions at byte `cursor`.
    pub fn complete(&self, code: &str, cursor: usize) -> Completions {
        let snapshot = self.known.get();
        let patience = if self.ready.is_for(&snapshot) { ANSWERS_WITHIN } else { PATIENCE };
        let Some(answer) = self.ask(Ask::Complete(snapshot.clone(), code.to_owned(), cursor)) else {
            return Analysis::at_once(&snapshot, code, cursor);
        };
        let is_known = |answer: &Answer| answer.why_not.is_none();
        if let Some(answer) = answer.recv_timeout(patience).ok().filter(is_known) {
            return answer.completions();
        }
        let at_once = Analysis::at_once(&snapshot, code, cursor);
        if !at_once.items.is_empty() {
            return at_once;
        }
        // What is in a module or a type is not known at once.
        let rest = ANSWERS_WITHIN.saturating_sub(patience);
        answer.recv_timeout(rest).ok().filter(is_known).map_or(at_once, Answer::completions)
    }

    fn at_once(snapshot: &Snapshot, code: &str, cursor: usize) -> Completions {
        outline::complete(snapshot, &StdNames::kept(), code, cursor)
    }

    /// What is known of the name at byte `cursor`. If the analyst is not ready within `patience`, the error says so.
    ///
    /// # Errors
    /// Why nothing can be known.
    pub fn inspect(&self, code: &str, cursor: usize, patience: Option<Duration>) -> Result<Option<Bundle>, String> {
        let snapshot = self.known.get();
        let is_ready = self.ready.is_for(&snapshot);
        let answer = self.ask(Ask::Inspect(snapshot, code.to_owned(), cursor)).ok_or("the session has ended")?;
        let answer = match patience.filter(|_| !is_ready) {
            None => answer.recv().map_err(|_| "the session has ended".to_owned())?,
            Some(patience) => answer.recv_timeout(patience).map_err(
                |_| "the documentation is being read, which takes some seconds once in a session; ask again then",
            )?,
        };
        match answer.why_not {
            Some(why) => Err(why),
            None => Ok(answer.bundle()),
        }
    }

    /// The same for a front end that shows a note beside the code.
    pub fn note_on(&self, code: &str, cursor: usize) -> Option<Bundle> {
        self.inspect(code, cursor, Some(PATIENCE)).unwrap_or_else(|why| Some(Bundle::text(why)))
    }

    fn ask(&self, ask: Ask) -> Option<Receiver<Answer>> {
        let (reply, answer) = bounded(1);
        self.asks.send(Asked { ask, since: Instant::now(), reply }).ok()?;
        Some(answer)
    }
}

fn serve(folder: &Path, inbox: &Receiver<Asked>, ready: &Ready) {
    let mut analyst: Option<Process> = None;
    loop {
        let next = match &analyst {
            Some(_) => inbox.recv_timeout(UNUSED_MAX),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(asked) if asked.is_abandoned() => {}
            Ok(Asked { ask, reply, .. }) => {
                let mut answer = analyst.as_mut().and_then(|analyst| analyst.ask(&ask));
                if answer.is_none() {
                    // There was no analyst, or it had died before it was asked.
                    ready.set(None);
                    analyst = Process::start(folder).ok();
                    answer = analyst.as_mut().and_then(|analyst| analyst.ask(&ask));
                }
                if answer.is_none() {
                    // It died of this question; the next question starts a new one.
                    analyst = None;
                }
                ready.set(analyst.as_ref().map(|_| ask.snapshot().crates.clone()));
                let _ = reply.send(answer.unwrap_or_default());
            }
            Err(RecvTimeoutError::Timeout) => {
                analyst = None;
                ready.set(None);
            }
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
    fn start(folder: &Path) -> std::io::Result<Process> {
        // It is killed at any moment, and then removes nothing: what it writes for a while goes with the folder of its session.
        let while_it_reads = folder.join("tmp");
        std::fs::create_dir_all(&while_it_reads)?;
        let mut command = Command::new(own_program());
        command.env(ANALYST_ENV, folder).env("TMPDIR", while_it_reads);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
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
