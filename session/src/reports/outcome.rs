//! The outcome of a cell's run, for both evaluators.

use crate::event::{CellError, CellId, Event, Phase, Stream};
use crate::outlet::Outlet;
use crate::reports::record::{Panic, Record};
use crate::reports::report;
use crate::reports::sources::{Found, Sources};
use std::time::Duration;

/// The result of a cell's run. Panics that did not end the cell are shown.
///
/// # Errors
/// The cell failed.
pub fn judge(cell: CellId, record: &Record, sources: &Sources, outlet: &dyn Outlet) -> Result<(), CellError> {
    // A failure that ends the cell is reported by the cell's own error.
    let message = record.error.as_ref().filter(|_| record.ends_in_error()).map_or("", |said| said.message.as_str());
    for report in record.held_failures.iter().filter(|report| !message.starts_with(report.as_str())) {
        outlet.put(Event::Text { cell, stream: Stream::Stderr, text: format!("{report}\n") });
    }
    if let Some(message) = &record.load_failed {
        return Err(report::plain_error("SessionError", &format!("the cell could not be run: {message}")));
    }
    let show = |panic: &Panic| {
        let place = sources.find_panic(record.library.as_deref(), panic);
        let text = report::panic(panic, place.as_ref(), &sources.callers(panic)).plain + "\n";
        outlet.put(Event::Text { cell, stream: Stream::Stderr, text });
    };
    if let Some(death) = &record.death {
        if record.interrupted {
            return Err(report::interrupted(record));
        }
        let places: Vec<Found> = sources.find_crash(&record.crash);
        let Some((last, others)) = record.ending_panic() else {
            return Err(report::died(record, death, cell, &places));
        };
        others.into_iter().for_each(show);
        let place = sources.find_panic(record.library.as_deref(), last).or_else(|| places.into_iter().next());
        return Err(report::aborted(record, last, place.as_ref(), &sources.callers(last), cell));
    }
    // Panics that did not end the cell: of threads, or caught.
    let (ending, others) = match record.panics.split_last() {
        Some((last, others)) if record.panicked => (Some(last), others),
        _ => (None, &record.panics[..]),
    };
    others.iter().for_each(show);
    if record.panicked {
        if record.interrupted && ending.is_none() {
            return Err(report::interrupted(record));
        }
        let place = ending.and_then(|panic| sources.find_panic(record.library.as_deref(), panic));
        let callers = ending.map(|panic| sources.callers(panic)).unwrap_or_default();
        return Err(report::panicked(ending, place.as_ref(), &callers));
    }
    if record.ends_in_error() {
        let Some(said) = &record.error else {
            return Err(report::plain_error("Error", "the cell ended with an error"));
        };
        // Of a report that was shown already, only one line is repeated.
        let shown = record.shown_failures.iter().find_map(|shown| said.message.strip_prefix(shown.as_str()));
        let text = shown.map(|rest| format!("{}{rest}", said.line));
        let place = said.place.as_ref();
        let place =
            place.and_then(|(file, line, column)| sources.find_in(record.library.as_deref(), file, *line, *column));
        return Err(report::error(text.as_deref().unwrap_or(&said.message), &said.line, place.as_ref()));
    }
    Ok(())
}

/// The result of a run that nobody sees: only what tasks of the cell before it have said meanwhile is shown.
///
/// # Errors
/// The run failed.
pub fn pass_on(cell: CellId, record: &Record, outlet: &dyn Outlet) -> Result<(), CellError> {
    for report in &record.held_failures {
        outlet.put(Event::Text { cell, stream: Stream::Stderr, text: format!("{report}\n") });
    }
    let is_well = record.lives() && !record.panicked && !record.failed;
    if is_well { Ok(()) } else { Err(report::plain_error("Error", "the variables could not be read")) }
}

/// The error when the cell host is gone and no twin took its place.
pub fn terminated(record: &Record, why: &str) -> CellError {
    let death = record.death.as_ref().map_or_else(|| format!("is gone ({why})"), ToString::to_string);
    let text = format!(
        "the process that runs the cells {death}, and no copy took its place: the variables are lost; functions, types, objects and tasks are not"
    );
    report::plain_error("Crashed", &text)
}

/// The notice after a cell that has changed whether a twin stands by. `is_unguarded`: none did before the cell.
pub fn change_of_guard(cell: CellId, record: &Record, is_unguarded: bool) -> Option<String> {
    // After a cell that was not run, no twin was tried.
    record.returned_at.filter(|_| record.lives())?;
    match (&record.unguarded, is_unguarded) {
        (Some(why), false) => Some(format!(
            "the process that runs the cells could not be copied after this cell ({why}): until it can, a crash takes variables back to \
             what they were before cell {cell}"
        )),
        (None, true) => Some("the process that runs the cells could be copied again: a crash loses nothing".into()),
        _ => None,
    }
}

/// Where the time of a cell's run went.
pub fn phases(record: &Record) -> Vec<Phase> {
    let phase = |name: &str, took: Duration| Phase { name: name.to_owned(), took };
    let [load, checkpoint] = [record.load_us, record.fork_us].map(Duration::from_micros);
    let (Some(loaded), Some(done)) = (record.loaded_at, record.done_at) else { return Vec::new() };
    // A cell whose process has ended has not returned.
    let returned = record.returned_at.unwrap_or(done);
    vec![
        phase("load", load),
        phase("run", returned.saturating_duration_since(loaded).saturating_sub(load + checkpoint)),
        phase("checkpoint", checkpoint),
        phase("display", done.saturating_duration_since(returned)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::record::{Death, ErrorSaid};
    use std::sync::Mutex;
    use std::time::Instant;

    /// Collects what is shown.
    #[derive(Default)]
    struct Shown(Mutex<Vec<String>>);

    impl Outlet for Shown {
        fn put(&self, event: Event) {
            let Event::Text { text, .. } = event else { panic!("{event:?}") };
            self.0.lock().unwrap().push(text);
        }
        fn is_full(&self) -> bool {
            false
        }
        fn when_room(&self, _: Box<dyn Fn() + Send + Sync>) {}
        fn settle(&self) {}
    }

    #[test]
    fn a_failure_that_ends_the_cell_stands_there_once_and_others_beside_it() {
        let report = |task: &str| format!("task `{task}` failed\n  caused by: odd");
        let shown = Shown::default();
        let mut record = Record::default();
        record.failed = true;
        record.held_failures = vec![report("other"), report("half")];
        record.error = Some(ErrorSaid { message: report("half"), line: "task `half` failed: odd".into(), place: None });
        let error = judge(CellId(1), &record, &Sources::default(), &shown).unwrap_err();
        assert_eq!(error.plain, "error: task `half` failed\n  caused by: odd");
        assert_eq!(*shown.0.lock().unwrap(), [report("other") + "\n"]);
        record.failed = false;
        judge(CellId(1), &record, &Sources::default(), &shown).unwrap();
        assert_eq!(shown.0.lock().unwrap().len(), 3, "a cell that goes on reports all");
    }

    #[test]
    fn only_a_cell_that_has_run_changes_whether_a_copy_stands_by() {
        let mut copied = Record::default();
        copied.returned_at = Some(Instant::now());
        let mut not_copied = copied.clone();
        not_copied.unguarded = Some("no memory".into());
        let change = |record: &Record, is_unguarded| change_of_guard(CellId(5), record, is_unguarded);
        assert!(change(&not_copied, false).is_some_and(|text| text.contains("no memory") && text.contains("cell 5")));
        assert!(change(&copied, true).is_some_and(|text| text.contains("copied again")));
        assert_eq!((change(&copied, false), change(&not_copied, true)), (None, None));
        let (skipped, mut dead) = (Record::default(), copied.clone());
        dead.death = Some(Death::Signal(9));
        assert_eq!((change(&skipped, true), change(&dead, true)), (None, None));
    }
}
