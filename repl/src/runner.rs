//! Running one cell with everything around it: waiting for the evaluator, Ctrl-C, and the report of a failure.

use crate::interrupts::Interrupts;
use crate::show::render::Screen;
use crossbeam::channel::{after, bounded, never};
use crossbeam::select;
use mobula_session::{Evaluator, InputReader, Outcome};
use std::time::Duration;

/// How long a person waits for the evaluator without a word.
const SILENCE_MAX: Duration = Duration::from_millis(700);

/// What waiting for the evaluator came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// It cannot work here; the sentence says why.
    Failed(String),
    /// Ctrl-C.
    Interrupted,
}

/// An evaluator and what a cell needs beside it.
pub(crate) struct Runner<E> {
    pub evaluator: E,
    pub screen: Screen,
    pub interrupts: Option<Interrupts>,
    pub input: Option<InputReader>,
}

impl<E: Evaluator + Clone> Runner<E> {
    /// Waits until cells can run. Ctrl-C ends the waiting, not the preparing.
    pub fn ready(&self) -> Readiness {
        let (tell, ready) = bounded(1);
        let evaluator = self.evaluator.clone();
        let wait = move || {
            // Nobody may be listening any more.
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

    /// Runs `code` and reports a failure.
    pub fn run(&self, code: &str) -> Outcome {
        let outcome = self.run_program(code);
        if let (Err(error), Some(_)) = (&outcome.result, outcome.exit) {
            self.screen.error(error);
        }
        outcome
    }

    /// The same of a program, which may end its process when it likes.
    pub fn run_program(&self, code: &str) -> Outcome {
        let running = self.interrupts.as_ref().map(Interrupts::cell);
        let outcome = self.evaluator.execute(code, self.input.clone());
        drop(running);
        self.screen.cell_ended();
        if let (Err(error), None) = (&outcome.result, outcome.exit) {
            self.screen.error(error);
        }
        outcome
    }
}
