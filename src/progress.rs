//! Bars of progress: in a notebook, at the prompt and in plain text; from cells, tasks and actors.
//!
//! A bar reports how far it is; the session draws one bar for each name in a cell, of all that report under it.

mod term;

pub use term::Term;

use crate::abi::{CommCall, ProgressEnding, ProgressReport, Tenant};
use crate::calls::{comm, role};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The least time between two reports of one bar.
const REPORTED_EVERY: Duration = Duration::from_millis(50);

/// A bar of progress. Clones, and what tasks get that it is passed to, move the same bar; it ends with the last clone.
///
/// Bars of one name in a cell are one bar: a hundred tasks that each report under `"files"` are one line.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::prelude::*;
/// let bar = Progress::new(3).name("files");
/// for _ in 0..3 {
///     bar.inc(1);
/// }
/// assert_eq!(bar.done(), 3);
/// ```
#[derive(Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

struct Inner {
    part: u64,
    done: AtomicU64,
    state: Mutex<State>,
}

struct State {
    name: String,
    message: String,
    total: Option<u64>,
    /// When it reported last; `None` before the first time.
    reported: Option<Instant>,
    /// Where there is no session, the bar is drawn here.
    is_alone: bool,
}

impl Progress {
    /// A bar of so many steps.
    pub fn new(len: u64) -> Progress {
        Progress::of(Some(len))
    }

    /// A bar of which nobody knows the end: it counts.
    pub fn unbounded() -> Progress {
        Progress::of(None)
    }

    fn of(total: Option<u64>) -> Progress {
        let name = if role() == Tenant::WORKER { "tasks".to_owned() } else { String::new() };
        Progress::with(name, total)
    }

    fn with(name: String, total: Option<u64>) -> Progress {
        let state = State { name, message: String::new(), total, reported: None, is_alone: false };
        Progress { inner: Arc::new(Inner { part: new_part(), done: AtomicU64::new(0), state: Mutex::new(state) }) }
    }

    /// Names it, before its first step.
    pub fn name(self, name: &str) -> Progress {
        self.inner.state().name = name.to_owned();
        self
    }

    /// Shows a text behind the bar, such as what is being done. Of several bars of one name, the newest text is shown.
    ///
    /// ```
    /// # mobula::inline::attach();
    /// use mobula::prelude::*;
    /// let bar = Progress::new(2).name("files");
    /// for file in ["a.csv", "b.csv"] {
    ///     bar.message(file);
    ///     bar.inc(1);
    /// }
    /// ```
    pub fn message(&self, text: &str) {
        self.inner.state().message = text.to_owned();
        self.inner.report(None);
    }

    /// Takes so many steps.
    pub fn inc(&self, steps: u64) {
        self.inner.done.fetch_add(steps, Ordering::Relaxed);
        self.inner.report(None);
    }

    /// Goes to this step.
    pub fn set(&self, done: u64) {
        self.inner.done.store(done, Ordering::Relaxed);
        self.inner.report(None);
    }

    /// How many steps this bar has taken; others of its name are not counted.
    pub fn done(&self) -> u64 {
        self.inner.done.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the session how far it is, unless it has just done so.
    fn report(&self, ending: Option<ProgressEnding>) {
        // The lock is not held over the call: a process that is forked meanwhile would find it locked for ever.
        let (name, message, total, is_alone) = {
            let mut state = self.state();
            let now = Instant::now();
            if ending.is_none() && state.reported.is_some_and(|reported| now < reported + REPORTED_EVERY) {
                return;
            }
            state.reported = Some(now);
            (state.name.clone(), state.message.clone(), state.total, state.is_alone)
        };
        let (done, pid) = (self.done.load(Ordering::Relaxed), std::process::id());
        let report = ProgressReport { name, message, part: self.part, pid, done, total, ending };
        if is_alone || comm(CommCall::Progress(report.clone())).is_err() {
            self.state().is_alone = true;
            alone(&report);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // One that never moved has not been drawn.
        if self.state().reported.is_some() {
            let has_failed = std::thread::panicking();
            self.report(Some(if has_failed { ProgressEnding::Panicked } else { ProgressEnding::Done }));
        }
    }
}

/// Draws a bar of a plain program on its terminal.
fn alone(report: &ProgressReport) {
    let ProgressReport { name, message, done, total, ending, .. } = report;
    let mut err = std::io::stderr();
    if !err.is_terminal() && ending.is_none() {
        return;
    }
    let of = total.map_or_else(|| done.to_string(), |total| format!("{done}/{total}"));
    // A shorter line leaves nothing of the one before.
    let (begin, end) =
        if err.is_terminal() { ("\r\x1b[K", if ending.is_some() { "\n" } else { "" }) } else { ("", "\n") };
    let name = if name.is_empty() { "progress" } else { name };
    let line = format!("{begin}{name} {of} {message}");
    // A program whose standard error is closed goes on.
    let _ = write!(err, "{}{end}", line.trim_end());
}

/// The number of a bar that no other process has.
fn new_part() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    now ^ (u64::from(std::process::id()) << 40) ^ NEXT.fetch_add(1, Ordering::Relaxed)
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state();
        write!(f, "Progress({:?}, {}", state.name, self.done())?;
        state.total.map_or(Ok(()), |total| write!(f, " of {total}"))?;
        f.write_str(")")
    }
}

/// A task's copy adds to the same bar, whose length it does not change.
impl Serialize for Progress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The bar stands in the cell before a task moves it.
        self.inner.report(None);
        self.inner.state().name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Progress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Progress, D::Error> {
        Ok(Progress::with(String::deserialize(deserializer)?, Some(0)))
    }
}

/// Shows a bar while something is gone through.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::prelude::*;
/// let sum: u64 = progress(0..1000).sum();
/// assert_eq!(sum, 499_500);
/// for line in progress("a b c".split(' ')).name("words") {
///     assert_eq!(line.len(), 1);
/// }
/// ```
pub fn progress<I: IntoIterator>(items: I) -> ProgressIter<I::IntoIter> {
    let items = items.into_iter();
    let len = match items.size_hint() {
        (least, Some(most)) if least == most => Some(most as u64),
        _ => None,
    };
    ProgressIter { bar: Progress::of(len), items, is_begun: false, is_over: false }
}

/// The items of [`progress`].
#[derive(Clone, Debug)]
#[must_use = "nothing is gone through yet"]
pub struct ProgressIter<I> {
    bar: Progress,
    items: I,
    is_begun: bool,
    is_over: bool,
}

impl<I> ProgressIter<I> {
    /// Names the bar.
    pub fn name(self, name: &str) -> ProgressIter<I> {
        ProgressIter { bar: self.bar.name(name), ..self }
    }
}

impl<I: Iterator> Iterator for ProgressIter<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        // An item is done when the next one is asked for.
        match std::mem::replace(&mut self.is_begun, true) {
            false => self.bar.inner.report(None),
            true if !self.is_over => self.bar.inc(1),
            true => {}
        }
        let item = self.items.next();
        self.is_over = item.is_none();
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
