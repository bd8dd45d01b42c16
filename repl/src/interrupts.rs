//! Ctrl-C: interrupts the running cell, and never ends a session at the prompt.
//!
//! A thread receives SIGINT. While a cell runs, the thread interrupts the evaluator. Otherwise [`Idle`] decides. At a
//! prompt, Ctrl-C only discards the line; the line editor sees Ctrl-C as a key, so the signal comes only before and
//! after it reads. A script that waits for its input, or for the evaluator, ends as any program does. So does a script
//! whose cell was interrupted [`ASKED_MAX`] times: it only waits for a reader of its output.
//!
//! The cell host and the workers are in process groups of their own, so the terminal sends Ctrl-C to this process alone.

use crate::show::render::Screen;
use crossbeam::channel::{Receiver, bounded};
use mobula_session::Evaluator;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

/// How often a cell is interrupted. The second interrupt ends its process.
const ASKED_MAX: u32 = 2;

/// What Ctrl-C does while no cell runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// [`Interrupts::idle`] receives a message.
    Tell,
    /// The process ends, as if there were no handler.
    Die,
}

/// The handler of SIGINT, installed as long as this value lives.
pub(crate) struct Interrupts {
    running: Arc<Flags>,
    idle: Receiver<()>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Flags {
    /// Whether a cell runs.
    cell: AtomicBool,
    /// How often the cell was interrupted.
    asked: AtomicU32,
}

/// A cell runs as long as this value lives.
pub(crate) struct Running<'a>(&'a Flags);

impl Interrupts {
    /// Installs the handler. It tells `screen` of each Ctrl-C, which the terminal has shown as `^C`.
    pub fn install<E: Evaluator + Clone>(evaluator: E, screen: Screen, when_idle: Idle) -> io::Result<Interrupts> {
        let mut signals = Signals::new([SIGINT])?;
        let handle = signals.handle();
        let running = Arc::new(Flags::default());
        let (tell, idle) = bounded(1);
        let is_running = Arc::clone(&running);
        let receive = move || {
            for _ in signals.forever() {
                screen.something_was_typed();
                // Acquire: pairs with the Release in `cell`, so that a signal after that store finds the cell.
                let asked =
                    is_running.cell.load(Ordering::Acquire).then(|| is_running.asked.fetch_add(1, Ordering::Relaxed));
                if asked.is_some_and(|asked| asked < ASKED_MAX || when_idle == Idle::Tell) {
                    evaluator.interrupt();
                } else if when_idle == Idle::Tell {
                    // A full channel holds the same message already.
                    let _ = tell.try_send(());
                } else if let Err(error) = emulate_default_handler(SIGINT) {
                    tracing::warn!(%error, "the interrupt had no effect");
                }
            }
        };
        let thread = std::thread::Builder::new().name("interrupts".into()).spawn(receive)?;
        Ok(Interrupts { running, idle, handle, thread: Some(thread) })
    }

    /// Sends Ctrl-C to the evaluator until the returned value is dropped.
    pub fn cell(&self) -> Running<'_> {
        self.running.asked.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire in the thread of `install`.
        self.running.cell.store(true, Ordering::Release);
        Running(&self.running)
    }

    /// Receives a message for each Ctrl-C while no cell runs; several in a row may give only one.
    pub fn idle(&self) -> &Receiver<()> {
        &self.idle
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in the thread of `install`.
        self.0.cell.store(false, Ordering::Release);
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // The thread panics only if the evaluator does, which has been reported by then.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_evaluator::Fake;
    use crate::show::render::tests::on_paper;
    use signal_hook::low_level::raise;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    /// One test, because a signal goes to all handlers of the process.
    #[test]
    fn an_interrupt_goes_to_the_cell_while_one_runs_and_is_told_otherwise() {
        let fake = Fake::new();
        let interrupts = Interrupts::install(fake.clone(), on_paper().0, Idle::Tell).unwrap();
        raise(SIGINT).unwrap();
        interrupts.idle().recv_timeout(SOON).unwrap();
        assert_eq!(fake.interrupts(), 0);

        let running = interrupts.cell();
        raise(SIGINT).unwrap();
        fake.wait_for_interrupt(SOON);
        drop(running);

        raise(SIGINT).unwrap();
        interrupts.idle().recv_timeout(SOON).unwrap();
        assert_eq!(fake.interrupts(), 1);
    }
}
