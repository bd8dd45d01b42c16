//! The panic hook: how a panic in a cell or in a task is reported.
//!
//! ```text
//!   in the cell host       a block in standard output; the session shows it with the place in the cell
//!   inside a task          kept for the task's trampoline, which makes it the task's failure
//!   on a task's threads    standard error, as the standard library does it
//!   in a plain program     whatever the program had before; inside a task as above
//! ```
//!
//! All cell libraries of a process share the standard library, and so its one hook, while each library has its own copy
//! of the statics below. So the hook is set again, never chained, when a library is attached and before it runs a task.
//! The hook, and the trampoline that reads what it kept, then belong to the same library.

use super::block::Json;
use super::{role, write_block};
use crate::abi::{Caller, Place, Tenant};
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// The payload that unwinds an interrupted cell. It is raised without the hook, so nothing is printed.
struct Interrupted;

/// Unwinds a cell that the person interrupted.
pub(crate) fn unwind_interrupted() -> ! {
    std::panic::resume_unwind(Box::new(Interrupted))
}

/// The message and the place of a panic.
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
}

/// How a body that was run with [`guard`] unwound.
pub(crate) enum Unwound {
    Panic(Box<Panic>),
    Interrupted,
}

thread_local! {
    /// The number of tasks that this thread is inside of (several when tasks run in the thread that submits them).
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The newest panic inside a task. Boxed, because every task reads this and few panic.
    static LAST: Cell<Option<Box<Panic>>> = const { Cell::new(None) };
}

/// Installs this library's hook.
pub(crate) fn install() {
    match role() {
        Tenant::CELL_HOST => std::panic::set_hook(Box::new(in_cell_host)),
        Tenant::WORKER => std::panic::set_hook(Box::new(in_worker)),
        _ => {
            // A program has one copy of this crate and a hook of its own, which stays.
            static CHAINED: Once = Once::new();
            CHAINED.call_once(|| {
                let theirs = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |info| {
                    if !keep(info) {
                        theirs(info);
                    }
                }));
            });
        }
    }
}

/// Runs a task's code. A panic in it is caught and returned instead of printed.
pub(crate) fn guard<T>(body: impl FnOnce() -> T) -> Result<T, Unwound> {
    if role() == Tenant::WORKER {
        install(); // Unconditionally: to check whether it is still in place would cost more than this, 3 ns.
    }
    DEPTH.set(DEPTH.get() + 1);
    // Unwind safety: data that the body shares with its caller is read again only through locks that poison, or not at
    // all.
    let result = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    // Taken in any case: a panic that the task caught itself must not become the next task's.
    let kept = LAST.take();
    result.map_err(|payload| {
        let unwound = match kept {
            _ if payload.is::<Interrupted>() => Unwound::Interrupted,
            Some(panic) => Unwound::Panic(panic),
            // `resume_unwind` by the user, or the user's own hook.
            None => Unwound::Panic(Box::new(Panic { message: payload_text(&*payload), place: None })),
        };
        // A payload may be any value, and its drop may panic again.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
        unwound
    })
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text".into()
    }
}

fn read(info: &PanicHookInfo<'_>) -> Panic {
    let place = info.location().map(|location| Place {
        file: location.file().into(),
        line: location.line(),
        column: location.column(),
        library: String::new(), // The loader knows which library it was running.
        cell: None,
        callers: Vec::new(),
    });
    Panic { message: payload_text(info.payload()), place }
}

/// Keeps the panic for the trampoline and returns true, if this thread is inside a task.
fn keep(info: &PanicHookInfo<'_>) -> bool {
    let inside = DEPTH.get() > 0;
    if inside {
        let mut panic = read(info);
        if let Some(place) = panic.place.as_mut().filter(|_| role() == Tenant::WORKER && may_look()) {
            place.callers = callers(place, frames_here());
        }
        LAST.set(Some(Box::new(panic)));
    }
    inside
}

/// The time between two searches for callers. A search takes tens of milliseconds, and a worker may run thousands of
/// tasks a second that fail.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn may_look() -> bool {
    static LOOKED: Mutex<Option<Instant>> = Mutex::new(None);
    let mut looked = LOOKED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_due = looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
    if is_due {
        *looked = Some(Instant::now());
    }
    is_due
}

/// The most callers that are reported.
const CALLERS_MAX: usize = 8;

/// The callers behind a place. Neighbours that are equal are merged.
fn callers(place: &Place, frames: Vec<(String, String)>) -> Vec<Caller> {
    let mut callers: Vec<Caller> = Vec::new();
    for (name, at) in frames {
        let mut parts = at.rsplitn(3, ':');
        let (column, line, file) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (line, column) = (number(line), number(column));
        match callers.last_mut() {
            None if (file, line) == (place.file.as_str(), place.line) => {}
            Some(last) if (last.file.as_str(), last.line, last.column) == (file, line, column) => last.times += 1,
            _ => callers.push(Caller { name, file: file.to_owned(), line, column, times: 1, cell: None }),
        }
    }
    callers.truncate(CALLERS_MAX);
    callers
}

fn in_worker(info: &PanicHookInfo<'_>) {
    if !keep(info) {
        let panic = read(info);
        let place =
            panic.place.map(|place| format!(" at {}:{}:{}", place.file, place.line, place.column)).unwrap_or_default();
        eprintln!("\nthread '{}' panicked{place}:\n{}", thread_name(), panic.message);
    }
}

fn in_cell_host(info: &PanicHookInfo<'_>) {
    if keep(info) {
        return;
    }
    let panic = read(info);
    let (file, line, column) = match &panic.place {
        Some(place) => (place.file.as_str(), place.line, place.column),
        None => ("", 0, 0),
    };
    let frames = frames_here();
    let frame = |(name, place): &(String, String)| format!("[{},{}]", Json(name), Json(place));
    let json = format!(
        "{{\"message\":{},\"file\":{},\"line\":{line},\"column\":{column},\"thread\":{},\"frames\":[{}]}}",
        Json(&panic.message),
        Json(file),
        Json(&thread_name()),
        frames.iter().map(frame).collect::<Vec<_>>().join(","),
    );
    write_block("application/vnd.mobula.panic+json", &json);
}

/// The most frames that are reported.
const FRAMES_MAX: usize = 50;

/// The frames of this thread in code of cells.
fn frames_here() -> Vec<(String, String)> {
    frames(&Backtrace::force_capture().to_string())
}

/// The frames of a backtrace that are code of cells, innermost first: the function's name, and `cell 3:2:5`.
fn frames(backtrace: &str) -> Vec<(String, String)> {
    let mut frames = Vec::new();
    let mut name = "";
    for line in backtrace.lines().map(str::trim) {
        if let Some(at) = line.strip_prefix("at ") {
            let file = at.rsplit('/').next().unwrap_or(at);
            if file.starts_with("cell ") && frames.len() < FRAMES_MAX {
                frames.push((plain_name(name), file.to_owned()));
            }
        } else if let Some((number, rest)) = line.split_once(": ")
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            name = rest;
        }
    }
    frames
}

/// `cells_3::Point::norm` becomes `Point::norm`; the code of a cell itself has no name.
fn plain_name(name: &str) -> String {
    match name.split_once("::") {
        Some((krate, rest)) if krate.starts_with("cells_") => rest.to_owned(),
        _ => String::new(),
    }
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or("<unnamed>").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome<T>(body: impl FnOnce() -> T) -> String {
        crate::inline::attach();
        match guard(body) {
            Ok(_) => "ended".into(),
            Err(Unwound::Interrupted) => "interrupted".into(),
            Err(Unwound::Panic(panic)) => format!("{} ({})", panic.message, panic.place.is_some()),
        }
    }

    #[test]
    fn a_task_ends_panics_or_is_interrupted() {
        assert_eq!(outcome(|| 1), "ended");
        assert_eq!(outcome(|| panic!("literal")), "literal (true)");
        assert_eq!(outcome(|| panic!("number {}", 1)), "number 1 (true)");
        assert_eq!(outcome(|| unwind_interrupted()), "interrupted");
    }

    #[test]
    fn a_panic_that_the_task_itself_caught_is_not_reported_later() {
        let caught = || {
            let _ = catch_unwind(|| panic!("caught"));
        };
        assert_eq!(outcome(caught), "ended");
        assert_eq!(outcome(|| std::panic::resume_unwind(Box::new("silent"))), "silent (false)");
    }

    #[test]
    fn the_frames_of_a_backtrace_that_are_of_cells_are_found() {
        let text = "   0: std::panicking::begin\n             at /rustc/1/library/std/src/panicking.rs:1:2\n   1: cells_3::deep\n             \
                    at ./cell 37:1:41\n   2: cell_38::mobula_cell_38::{closure#0}\n             at /tmp/x/run/cell 38:1:5\n";
        let expected = [("deep".to_owned(), "cell 37:1:41".to_owned()), (String::new(), "cell 38:1:5".to_owned())];
        assert_eq!(frames(text), expected);
    }

    #[test]
    fn the_inner_of_two_tasks_has_its_own_panic() {
        let nested = || {
            assert_eq!(outcome(|| panic!("inner")), "inner (true)");
            panic!("outer")
        };
        assert_eq!(outcome(nested), "outer (true)");
    }
}
