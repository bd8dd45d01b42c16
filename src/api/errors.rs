//! `errors()`: the tasks of a session that failed.

use super::answer;
use crate::abi::{Answer, Attempt, Cause, Failed, Place, Question};
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::error::{cause, place};

/// Returns the failed tasks of this session, newest last: a slice that displays as a table.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let refused = (|n: u32| n.checked_sub(1).ok_or("already zero".to_string())).remote(0);
/// get(&refused).unwrap_err();
/// let last = errors().last().unwrap().clone();
/// assert_eq!((last.message.as_str(), last.is_fetched), ("returned Err: already zero", true));
/// ```
#[track_caller]
pub fn errors() -> Errors {
    match answer(&Question::Errors) {
        Answer::Errors(failures) => Errors::new(failures),
        other => panic!("the runtime answered `errors` with {other:?}"),
    }
}

/// One failed task, as [`errors`](crate::errors) lists it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ErrorInfo {
    /// The name of the task's function.
    pub task: String,
    /// The worker's process id; 0 when the task never ran.
    pub pid: u32,
    /// The cell that started the task; `None` outside a session.
    pub cell: Option<u64>,
    /// What happened.
    pub message: String,
    /// The place where the task panicked, if it did.
    pub place: Option<Place>,
    /// Tasks that failed only because one of their arguments had failed, nearest first.
    pub carried_by: Vec<String>,
    /// Which run of the task failed, of those that it may have.
    pub attempt: Attempt,
    /// Whether somebody has met the failure in [`get`](crate::get), of this task's object or of one that depends on it.
    pub is_fetched: bool,
}

/// The failed tasks of a session, newest last. Derefs to a slice of [`ErrorInfo`]; displays as a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors(Vec<ErrorInfo>);

impl Errors {
    fn new(failures: Vec<Failed>) -> Errors {
        Errors(failures.into_iter().map(ErrorInfo::from).collect())
    }
}

impl From<Failed> for ErrorInfo {
    fn from(Failed { failure, is_fetched }: Failed) -> ErrorInfo {
        let message = cause(&failure.cause);
        let place = match failure.cause {
            Cause::Panic { place, .. } => place,
            _ => None,
        };
        ErrorInfo {
            task: failure.task,
            pid: failure.pid,
            cell: Some(failure.cell).filter(|cell| *cell != 0),
            message,
            place,
            carried_by: failure.carried_by,
            attempt: failure.attempt,
            is_fetched,
        }
    }
}

impl std::ops::Deref for Errors {
    type Target = [ErrorInfo];

    fn deref(&self) -> &[ErrorInfo] {
        &self.0
    }
}

impl IntoIterator for Errors {
    type Item = ErrorInfo;
    type IntoIter = std::vec::IntoIter<ErrorInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Tabular<7> for Errors {
    fn table(&self) -> Result<Table<7>, &'static str> {
        if self.is_empty() {
            return Err("no task has failed");
        }
        let mut table = Table::new(["cell", "task", "pid", "attempt", "fetched", "what happened", "where"]);
        for error in &self.0 {
            table.row([
                error.cell.map(|cell| cell.to_string()).unwrap_or_default(),
                error.task.clone(),
                if error.pid == 0 { String::new() } else { error.pid.to_string() },
                error.attempt.number.to_string(),
                if error.is_fetched { "yes" } else { "no" }.into(),
                error.message.lines().next().unwrap_or_default().into(),
                error.place.as_ref().map(place).unwrap_or_default(),
            ]);
        }
        Ok(table)
    }
}

shown_as_a_table!(Errors);
