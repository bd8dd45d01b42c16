//! The live lines of cells' tasks: a thread that looks at the runtime while a cell with tasks may be shown, and only then.
//!
//! ```text
//!   session ── a cell begins, ends ──▶ ┌───────────┐ ── counts? ──▶ the runtime's shared memory ([`TaskCounter`])
//!   front end ── wants them ─────────▶ │ TaskLines │
//!   `:progress` ─────────────────────▶ └───────────┘ ── Event::Tasks ──▶ outlet
//! ```
//!
//! `lines` decides when to look and what to show; `line` is how it looks. Nothing is read before a cell has run for half a second.

mod line;
mod lines;

use crate::event::CellId;
use crate::host::{Host, TaskCounter, TaskCounts};
use crate::outlet::Outlet;
use lines::TaskLines;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The thread and what it shares with the session.
pub struct TaskWatch {
    shared: Arc<Shared>,
}

struct Shared {
    host: Arc<dyn Host>,
    outlet: Arc<dyn Outlet>,
    state: Mutex<State>,
    changed: Condvar,
    /// Made when it is first needed. Locked before the state: what was counted first is shown first.
    counter: Mutex<Option<Box<dyn TaskCounter>>>,
}

#[derive(Default)]
struct State {
    lines: TaskLines,
    has_thread: bool,
    is_over: bool,
}

impl TaskWatch {
    /// A watch that nobody has asked for yet.
    pub fn new(host: Arc<dyn Host>, outlet: Arc<dyn Outlet>) -> TaskWatch {
        let (state, changed, counter) = (Mutex::default(), Condvar::new(), Mutex::default());
        TaskWatch { shared: Arc::new(Shared { host, outlet, state, changed, counter }) }
    }

    /// Whether the front end shows the lines.
    pub fn set_watched(&self, watched: bool) {
        self.shared.state().lines.is_watched = watched;
    }

    /// Whether the person wants the lines. What is shown ends if not.
    pub fn set_wanted(&self, wanted: bool) {
        self.shared.state().lines.is_off = !wanted;
        if !wanted {
            self.shared.look(true);
        }
    }

    /// Whether the person wants the lines.
    pub fn is_wanted(&self) -> bool {
        !self.shared.state().lines.is_off
    }

    /// A cell begins.
    pub fn cell_began(&self, cell: CellId) {
        let mut state = self.shared.state();
        if !state.lines.is_on() {
            return;
        }
        let is_alone = state.lines.cell_began(cell, Instant::now());
        if !std::mem::replace(&mut state.has_thread, true) {
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new().name("mobula-watch".into()).spawn(move || shared.watch());
            state.has_thread = spawned.is_ok();
        }
        drop(state);
        if is_alone && let Some(counter) = self.shared.counter().as_mut() {
            counter.skip();
        }
        self.shared.changed.notify_one();
    }

    /// A cell has ended. Its line is brought up to date before this returns.
    pub fn cell_ended(&self, cell: CellId) {
        let is_shown = self.shared.state().lines.cell_ended(cell);
        if is_shown {
            self.shared.look(false);
        }
    }
}

impl Drop for TaskWatch {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counter(&self) -> MutexGuard<'_, Option<Box<dyn TaskCounter>>> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks whenever it is time to.
    fn watch(&self) {
        let mut state = self.state();
        while !state.is_over {
            let left = state.lines.next_look().map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    drop(state);
                    self.look(false);
                    self.state()
                }
                Some(left) => self
                    .changed
                    .wait_timeout(state, left)
                    .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state),
            };
        }
    }

    /// Counts the tasks and shows what has changed; with `ends`, for the last time.
    fn look(&self, ends: bool) {
        let mut counter = self.counter();
        let Some(oldest) = self.state().lines.oldest() else { return };
        let began = Instant::now();
        let mut counts: Option<Vec<TaskCounts>> = counter.as_mut().and_then(|counter| counter.count(oldest));
        if counts.is_none() {
            // Cells use another runtime now, or none could be reached before.
            *counter = self.host.task_counter();
            counts = counter.as_mut().and_then(|counter| counter.count(oldest));
        }
        let counts = counts.unwrap_or_default();
        let (now, mut state) = (Instant::now(), self.state());
        let events = match ends {
            true => state.lines.end(&counts),
            false => state.lines.looked(&counts, now, now - began),
        };
        drop(state);
        events.into_iter().for_each(|event| self.outlet.put(event));
    }
}
