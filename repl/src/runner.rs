//! The runner of one cell: it waits for the evaluator, handles Ctrl-C, and reports a failure.

use crate::interrupts::Interrupts;
use crate::show::render::Screen;
use crossbeam::channel::{RecvTimeoutError, after, bounded, never};
use crossbeam::select;
use mobula_session::{Evaluator, InputReader, Outcome};
use std::time::Duration;

/// The longest wait for the evaluator without a notice.
const SILENCE_MAX: Duration = Duration::from_millis(700);

/// How long a cell that took too long has to heed an interrupt before the next one, which ends its process.
const INTERRUPTED_AGAIN: Duration = Duration::from_secs(3);

/// The result of waiting for the evaluator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// The evaluator cannot work here; the sentence says why.
    Failed(String),
    /// Ctrl-C ended the wait.
    Interrupted,
}

/// An evaluator with the screen, interrupts and input of its cells.
pub(crate) struct Runner<E> {
    pub evaluator: E,
    pub screen: Screen,
    pub interrupts: Option<Interrupts>,
    pub input: Option<InputReader>,
}

impl<E: Evaluator + Clone> Runner<E> {
    /// Waits until cells can run. Ctrl-C ends the wait, but not the evaluator's preparations.
    pub fn ready(&self) -> Readiness {
        let (tell, ready) = bounded(1);
        let evaluator = self.evaluator.clone();
        let wait = move || {
            // The receiver may be gone.
            let _ = tell.send(evaluator.ready());
        };
        if std::thread::Builder::new().name("readiness".into()).spawn(wait).is_err() {
            return self.evaluator.ready().map_or_else(Readiness::Failed, |()| Readiness::Ready);
        }
        let nothing = never();
        let interrupts = self.interrupts.as_ref().map_or(&nothing, Interrupts::idle);
        while interrupts.try_recv().is_ok() {}
        let mut patience = after(SILENCE_MAX);
        loop {
            select! {
                recv(ready) -> answer => return match answer {
                    Ok(Ok(())) => Readiness::Ready,
                    Ok(Err(sentence)) => Readiness::Failed(sentence),
                    Err(_) => Readiness::Failed("the evaluator ended while it was getting ready".to_owned()),
                },
                recv(interrupts) -> _ => return Readiness::Interrupted,
                recv(patience) -> _ => {
                    patience = never();
                    if self.screen.is_terminal() {
                        self.screen.notice("getting ready for the first cell …");
                    }
                }
            }
        }
    }

    /// Runs `code` and reports a failure, even one with an exit code.
    pub fn run(&self, code: &str) -> Outcome {
        let outcome = self.run_program(code);
        if let (Err(error), Some(_)) = (&outcome.result, outcome.exit) {
            self.screen.error(error);
        }
        outcome
    }

    /// As [`Runner::run`], and interrupts a cell that runs for longer than `limit`. True if that has ended it.
    pub fn run_within(&self, code: &str, limit: Option<Duration>) -> (Outcome, bool) {
        let Some(limit) = limit else { return (self.run(code), false) };
        let (ended, end) = bounded::<()>(0);
        std::thread::scope(|scope| {
            let watch = || {
                let mut wait = limit;
                let mut is_late = false;
                while end.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    self.evaluator.interrupt();
                    (wait, is_late) = (INTERRUPTED_AGAIN, true);
                }
                is_late
            };
            let watched = std::thread::Builder::new().name("timeout".into()).spawn_scoped(scope, watch);
            let outcome = self.run(code);
            drop(ended);
            let is_late = watched.is_ok_and(|watched| watched.join().unwrap_or(false)) && outcome.result.is_err();
            (outcome, is_late)
        })
    }

    /// As [`Runner::run`], for a program, which may exit when it likes.
    pub fn run_program(&self, code: &str) -> Outcome {
        let running = self.interrupts.as_ref().map(Interrupts::cell);
        self.screen.cell_begins();
        let outcome = self.evaluator.execute(code, self.input.clone());
        drop(running);
        self.screen.cell_ended();
        if let (Err(error), None) = (&outcome.result, outcome.exit) {
            self.screen.error(error);
        }
        outcome
    }
}
