//! The text of an error: one line, or the report.
//!
//! ```text
//! task `half` failed
//!   caused by: panicked: odd
//!   at cell 1, line 1, column 26
//!   | fn half(n: u32) -> u32 { assert!(n % 2 == 0, "odd"); n / 2 }
//!   |                          ^
//!   worker pid 1234
//!   carried by: `g`, `h`
//! ```

use super::{
    ActorError, CancelError, GetError, InitError, PlacementGroupError, PutError, Room, WaitError, WorkerStatus,
};
use crate::abi::{Attempt, Caller, Cause, CellPlace, Failure, Place};
use std::fmt::{self, Display, Write};

/// Formats everything that is known of a failed task: plain text of several lines, without a final line break.
///
/// ```
/// use mobula::abi::{Attempt, Cause, Failure};
/// let failure = Failure {
///     task: "half".into(),
///     pid: 1234,
///     cell: 1,
///     cause: Cause::Error { message: "odd".into() },
///     carried_by: vec!["g".into()],
///     attempt: Attempt::ONLY,
///     node: String::new(),
/// };
/// let report = "task `half` failed\n  caused by: returned Err: odd\n  worker pid 1234\n  carried by: `g`";
/// assert_eq!(mobula::error::report(&failure), report);
/// ```
pub fn report(failure: &Failure) -> String {
    let mut text = headline(failure);
    match &failure.cause {
        // The headline says it, with the worker.
        Cause::Signal { .. } | Cause::Exit { .. } | Cause::Cancelled => {}
        other => {
            // Indented, so that a message of several lines stays one block.
            let _ = write!(text, "\n  caused by: {}", cause(other).replace('\n', "\n    "));
        }
    }
    let began = match &failure.cause {
        Cause::ActorDied { death, .. } => death,
        cause => cause,
    };
    if let Cause::Panic { place: Some(at), .. } = began {
        let _ = write!(text, "\n  at {}", place(at));
        if let Some(cell) = &at.cell {
            let _ = write!(text, "\n  | {}\n  | {}", cell.text, caret(cell));
        }
        at.callers.iter().for_each(|caller| text.push_str(&called_from(caller)));
    }
    if let Cause::ActorDied { output, .. } = &failure.cause
        && !output.is_empty()
    {
        text.push_str("\n  its last lines:");
        output.iter().for_each(|line| text.push_str(&format!("\n  | {line}")));
    }
    if failure.pid != 0 && !matches!(failure.cause, Cause::Signal { .. } | Cause::Exit { .. } | Cause::Cancelled) {
        let _ = write!(text, "\n  worker pid {}", failure.pid);
        if !failure.node.is_empty() {
            let _ = write!(text, " on {}", failure.node);
        }
    }
    if failure.attempt.number > 1 && !matches!(failure.cause, Cause::Signal { .. } | Cause::Exit { .. }) {
        let _ = write!(text, "\n  {}", failure.attempt);
    }
    text.push_str(&carriers(&failure.carried_by));
    text
}

/// What happened to a task and where, in one line.
fn line(failure: &Failure) -> String {
    let said = cause(&failure.cause);
    let first = said.lines().next().unwrap_or_default();
    let at = match &failure.cause {
        Cause::Panic { place: Some(Place { cell: Some(at), .. }), .. } => {
            format!(" (cell {}, line {})", at.cell, at.line)
        }
        Cause::Panic { place: Some(at), .. } => format!(" ({}:{})", at.file, at.line),
        _ => String::new(),
    };
    format!("{}: {first}{at}{}", headline(failure), if_again(failure.attempt))
}

fn headline(failure: &Failure) -> String {
    match &failure.cause {
        Cause::Signal { signal, name } => {
            let status = WorkerStatus::Signal { signal: *signal, name: name.clone() };
            died(failure.pid, &failure.task, &status, failure.attempt)
        }
        Cause::Exit { code } => died(failure.pid, &failure.task, &WorkerStatus::Exit { code: *code }, failure.attempt),
        Cause::Cancelled => cancelled(&failure.task),
        Cause::ObjectLost { .. } => format!("the result of `{}` is lost", failure.task),
        _ => format!("task `{}` failed", failure.task),
    }
}

fn cancelled(task: &str) -> String {
    format!("task `{task}` was cancelled")
}

fn died(pid: u32, task: &str, status: &WorkerStatus, attempt: Attempt) -> String {
    format!("worker {pid} died while running `{task}`: {status}{}", if_again(attempt))
}

/// The run of a task, if it was not the first.
fn if_again(attempt: Attempt) -> String {
    if attempt.number > 1 { format!("; {attempt}") } else { String::new() }
}

/// The cause, in one clause.
pub(crate) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Panic { message, .. } => format!("panicked: {message}"),
        Cause::Error { message } => format!("returned Err: {message}"),
        Cause::Signal { signal, name } => WorkerStatus::Signal { signal: *signal, name: name.clone() }.to_string(),
        Cause::Exit { code } => WorkerStatus::Exit { code: *code }.to_string(),
        Cause::Refused { message } => format!("could not be run: {message}"),
        Cause::Cancelled => "was cancelled".into(),
        Cause::ObjectLost { reason } => reason.clone(),
        Cause::ActorDied { actor, death, .. } => format!("actor `{actor}` died: {}", death_of(death)),
    }
}

/// How an actor ended, in one clause.
fn death_of(death: &Cause) -> String {
    match death {
        Cause::Panic { message, .. } => format!("its constructor panicked: {message}"),
        Cause::Error { message } => format!("its constructor returned Err: {message}"),
        Cause::Refused { message } => message.clone(),
        Cause::Cancelled => "ended by `kill`".into(),
        other => cause(other),
    }
}

/// The place as the person knows it; the compiler's file only when no cell is known.
pub(crate) fn place(place: &Place) -> String {
    match &place.cell {
        Some(at) => format!("cell {}, line {}, column {}", at.cell, at.line, at.column),
        None => format!("{}:{}:{}", place.file, place.line, place.column),
    }
}

/// The line about a caller; empty when no cell is known.
fn called_from(caller: &Caller) -> String {
    let Some(at) = &caller.cell else { return String::new() };
    let within = if caller.name.is_empty() { String::new() } else { format!(" in {}", caller.name) };
    let times = if caller.times > 1 { format!(" ({} times)", caller.times) } else { String::new() };
    format!("\n  called from cell {}:{}:{}{within}{times}", at.cell, at.line, at.column)
}

/// A caret below the column. The line's own tabs are repeated, so that the caret stays below it.
fn caret(place: &CellPlace) -> String {
    let before = place.text.chars().take((place.column as usize).saturating_sub(1));
    let mut line: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    line.push('^');
    line
}

/// The line about the tasks that carried a failure; empty when none did.
fn carriers(carried_by: &[String]) -> String {
    // `split` carries failures through small tasks of ours, which tell a person nothing.
    let named = carried_by.iter().filter(|name| !name.starts_with("split()."));
    // A long list ends with the number of tasks left out.
    let names: Vec<_> =
        named.map(|name| if name.starts_with('…') { name.clone() } else { format!("`{name}`") }).collect();
    if names.is_empty() { String::new() } else { format!("\n  carried by: {}", names.join(", ")) }
}

impl Display for WorkerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerStatus::Signal { signal, name } => write!(f, "killed by signal {signal} ({name})"),
            WorkerStatus::Exit { code } => write!(f, "exited with code {code}"),
        }
    }
}

impl Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (needed, used, limit) = (Size(self.needed), Size(self.used), Size(self.limit));
        write!(f, "the store is full: {needed} needed, {used} of {limit} in use")?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

/// Bytes, as a person reads them.
pub(crate) struct Size(pub(crate) u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let mut size = self.0 as f64 / 1024.0;
        if size < 1.0 {
            return write!(f, "{} bytes", self.0);
        }
        let mut unit = 0;
        while size >= 1023.95 && unit + 1 < units.len() {
            size /= 1024.0;
            unit += 1;
        }
        write!(f, "{size:.1} {}", units[unit])
    }
}

impl Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::NotReady { id, waited } => write!(f, "object {id} was not ready after {waited:?}"),
            GetError::TaskFailed { source, .. }
            | GetError::ActorDied { source, .. }
            | GetError::ObjectLost { source, .. } => {
                f.write_str(&if f.alternate() { report(&source.0) } else { line(&source.0) })
            }
            GetError::WorkerDied { task, pid, status, carried_by, attempt } => {
                f.write_str(&died(*pid, task, status, *attempt))?;
                if f.alternate() { f.write_str(&carriers(carried_by)) } else { Ok(()) }
            }
            GetError::Cancelled { task, carried_by } => {
                f.write_str(&cancelled(task))?;
                if f.alternate() { f.write_str(&carriers(carried_by)) } else { Ok(()) }
            }
            GetError::Lost { id } => write!(f, "object {id} does not exist any more"),
            GetError::Unreadable { id, reason } => write!(f, "object {id} cannot be read: {reason}"),
            GetError::StoreFull(room) => room.fmt(f),
            GetError::Disconnected { reason } => gone(f, reason),
            GetError::Refused { message } => f.write_str(message),
        }
    }
}

impl Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::NotSerialised { reason } => write!(f, "the value cannot be stored: {reason}"),
            PutError::StoreFull(room) => {
                room.fmt(f)?;
                if f.alternate() {
                    f.write_str("\n  drop refs and arrays that are not needed any more, or start with a larger `object_store_memory`")?;
                }
                Ok(())
            }
            PutError::Disconnected { reason } => gone(f, reason),
            PutError::Refused { message } => f.write_str(message),
        }
    }
}

impl Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::Duplicate { id } => {
                write!(f, "object {id} is in the list more than once: each ref can be waited for once")
            }
            WaitError::TooMany { num_returns, refs } => {
                write!(f, "num_returns is {num_returns}, but there are only {refs} refs to wait for")
            }
            WaitError::NoneWanted => f.write_str("num_returns is 0: at least 1 ref must be waited for"),
            WaitError::Lost { id } => write!(f, "object {id} does not exist any more"),
            WaitError::Disconnected { reason } => gone(f, reason),
            WaitError::Refused { message } => f.write_str(message),
        }
    }
}

impl Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CancelError::Disconnected { reason } => gone(f, reason),
            CancelError::Refused { message } => f.write_str(message),
        }
    }
}

impl Display for PlacementGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlacementGroupError::Disconnected { reason } => gone(f, reason),
            PlacementGroupError::Refused { message } => f.write_str(message),
        }
    }
}

impl Display for ActorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ActorError::NotFound { name } => write!(f, "no living actor has the name `{name}`"),
            ActorError::OtherType { name, found, wanted } if found == wanted => write!(
                f,
                "the actor `{name}` is a `{found}` of an earlier definition: end it with `kill`, or use the definition that it was made with"
            ),
            ActorError::OtherType { name, found, wanted } => {
                write!(f, "the actor `{name}` is a `{found}`, and no `{wanted}`")
            }
            ActorError::Disconnected { reason } => gone(f, reason),
            ActorError::Refused { message } => f.write_str(message),
        }
    }
}

impl Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::BadOption { option, message } => write!(f, "`{option}`: {message}"),
            InitError::Disconnected { reason } => gone(f, reason),
            InitError::Refused { message } => f.write_str(message),
        }
    }
}

fn gone(f: &mut fmt::Formatter<'_>, reason: &str) -> fmt::Result {
    write!(f, "the runtime is gone: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(cause: Cause) -> Failure {
        Failure {
            task: "half".into(),
            pid: 1234,
            cell: 1,
            cause,
            carried_by: vec!["split().0".into(), "g".into(), "h".into()],
            attempt: Attempt::ONLY,
            node: String::new(),
        }
    }

    fn panicked(text: &str, column: u32) -> Cause {
        let cell = CellPlace { cell: 1, line: 2, column, text: text.into() };
        let caller = Caller {
            name: "outer".into(),
            file: "cell 1".into(),
            line: 3,
            column: 2,
            times: 2,
            cell: Some(CellPlace { line: 3, ..cell.clone() }),
        };
        let place = Place {
            file: "src/lib.rs".into(),
            line: 9,
            column,
            library: String::new(),
            cell: Some(cell),
            callers: vec![caller],
        };
        Cause::Panic { message: "odd".into(), place: Some(place) }
    }

    #[test]
    fn a_panic_is_reported_at_its_place_in_the_cell_with_who_carried_it() {
        let error = GetError::from_failure(failure(panicked("fn half() { panic!(\"odd\") }", 13)));
        assert_eq!(error.to_string(), "task `half` failed: panicked: odd (cell 1, line 2)");
        let expected = "task `half` failed
  caused by: panicked: odd
  at cell 1, line 2, column 13
  | fn half() { panic!(\"odd\") }
  |             ^
  called from cell 1:3:13 in outer (2 times)
  worker pid 1234
  carried by: `g`, `h`";
        assert_eq!(format!("{error:#}"), expected);
        assert!(std::error::Error::source(&error).is_none(), "one who prints the chain would say it twice");
    }

    #[test]
    fn the_caret_counts_characters_and_keeps_tabs() {
        let report = report(&failure(panicked("\té: panic!()", 5)));
        assert!(report.contains("\n  | \té: panic!()\n  | \t   ^\n"), "{report}");
    }

    #[test]
    fn a_dead_worker_is_named_with_its_signal_or_exit_code() {
        let killed = GetError::from_failure(failure(Cause::Signal { signal: 9, name: "SIGKILL".into() }));
        assert_eq!(killed.to_string(), "worker 1234 died while running `half`: killed by signal 9 (SIGKILL)");
        assert!(format!("{killed:#}").ends_with("\n  carried by: `g`, `h`"));
        let exited = failure(Cause::Exit { code: 3 });
        assert!(report(&exited).starts_with("worker 1234 died while running `half`: exited with code 3\n"));
    }

    #[test]
    fn a_task_that_was_run_again_says_how_often() {
        let attempt = Attempt { number: 4, of: Some(4) };
        let again = |cause| Failure { attempt, ..failure(cause) };
        let killed = again(Cause::Signal { signal: 9, name: "SIGKILL".into() });
        let said = "worker 1234 died while running `half`: killed by signal 9 (SIGKILL); attempt 4 of 4";
        assert_eq!(GetError::from_failure(killed.clone()).to_string(), said);
        assert!(report(&killed).starts_with(said));
        let odd = again(Cause::Error { message: "odd".into() });
        assert_eq!(line(&odd), "task `half` failed: returned Err: odd; attempt 4 of 4");
        assert!(report(&odd).contains("\n  worker pid 1234\n  attempt 4 of 4\n  carried by"));
        let elsewhere = Failure { node: "10.0.0.7".into(), ..odd };
        assert!(report(&elsewhere).contains("\n  worker pid 1234 on 10.0.0.7\n  attempt 4 of 4"));
    }

    #[test]
    fn a_cancelled_task_is_named_with_who_needed_it() {
        let error = GetError::from_failure(failure(Cause::Cancelled));
        assert_eq!(error.to_string(), "task `half` was cancelled");
        assert_eq!(format!("{error:#}"), "task `half` was cancelled\n  carried by: `g`, `h`");
        assert_eq!(report(&failure(Cause::Cancelled)), format!("{error:#}"));
    }

    #[test]
    fn a_message_of_several_lines_stays_indented() {
        let report = report(&failure(Cause::Error { message: "first\nsecond".into() }));
        assert!(report.contains("\n  caused by: returned Err: first\n    second\n"), "{report}");
    }

    #[test]
    fn sizes_are_in_the_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1 << 20, (1 << 30) - 1, 5 << 40].map(|bytes| Size(bytes).to_string());
        assert_eq!(sizes, ["0 bytes", "1023 bytes", "1.0 KiB", "1.0 MiB", "1.0 GiB", "5.0 TiB"]);
    }
}
