//! `tasks()`: the runs of tasks.

use super::super::answer;
use super::{ROWS_MAX, cell_in_words, list};
use crate::abi::{Answer, Question, TaskEntry, TaskState, TaskTable, TaskType};
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::object::ObjectId;
use std::time::Duration;

/// Returns the runs of tasks of this runtime, in the order of their submission: those that have not ended, and at least
/// the last 10,000 that have. A slice that displays as a table. As Ray's `list_tasks`: a task that was run again has a
/// row for each run.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// use mobula::TaskState;
/// fn half(n: u32) -> u32 {
///     n / 2
/// }
/// let x = half.remote(8);
/// get(&x)?;
/// let all = tasks();
/// let last = all.iter().find(|task| task.id == x.id()).unwrap();
/// assert!(last.name.ends_with("half") && last.state == TaskState::Finished);
/// # Ok::<(), mobula::GetError>(())
/// ```
#[track_caller]
pub fn tasks() -> Tasks {
    match answer(&Question::Tasks) {
        Answer::Tasks(table) => Tasks::new(table),
        other => panic!("the runtime answered `tasks` with {other:?}"),
    }
}

/// One run of a task, as [`tasks`](crate::tasks) lists it. Times are since the runtime began.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The id of the object that the task makes.
    pub id: ObjectId,
    /// The name of the task's function, or the one that its options give it.
    pub name: String,
    /// What the task is.
    pub kind: TaskType,
    /// How this run is, or how it ended.
    pub state: TaskState,
    /// The session that started the task, if that is another one of a shared runtime.
    pub session: Option<u8>,
    /// The cell that started the task; `None` outside a session.
    pub cell: Option<u64>,
    /// The number of this run among those of the task, from 1.
    pub attempt: u32,
    /// The process that runs the task, or ran it; `None` if it never ran.
    pub pid: Option<u32>,
    /// The task that submitted this one, if one did.
    pub parent: Option<ObjectId>,
    /// When the task was submitted, or came to be run again.
    pub submitted: Duration,
    /// When it began.
    pub began: Option<Duration>,
    /// When it ended.
    pub ended: Option<Duration>,
    /// How long it waited for arguments, resources and a worker, until now if it still does.
    pub queued: Duration,
    /// How long it has run, until now if it still does; `None` if it never ran.
    pub ran: Option<Duration>,
}

impl TaskInfo {
    fn new(entry: &TaskEntry, name: &str, now: u64) -> TaskInfo {
        let some = |id: u64| Some(ObjectId(id)).filter(|_| id != 0);
        let end = entry.ended.unwrap_or(now);
        let until = entry.began.unwrap_or(end);
        TaskInfo {
            id: ObjectId(entry.id),
            name: name.to_owned(),
            kind: entry.of,
            state: entry.state,
            session: Some(entry.session).filter(|session| *session != 0),
            cell: Some(entry.cell).filter(|cell| *cell != 0),
            attempt: entry.attempt,
            pid: Some(entry.pid).filter(|pid| *pid != 0),
            parent: some(entry.parent),
            submitted: Duration::from_nanos(entry.submitted),
            began: entry.began.map(Duration::from_nanos),
            ended: entry.ended.map(Duration::from_nanos),
            queued: Duration::from_nanos(until.saturating_sub(entry.submitted)),
            ran: entry.began.map(|began| Duration::from_nanos(end.saturating_sub(began))),
        }
    }
}

/// Runs of tasks, in the order of their submission. Derefs to a slice of [`TaskInfo`]; displays as a table, of which the
/// newest rows are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tasks {
    list: Vec<TaskInfo>,
    forgotten: u64,
}

list!(Tasks of TaskInfo);

impl Tasks {
    fn new(table: TaskTable) -> Tasks {
        let name = |index: u32| table.names.get(index as usize).map_or("unknown", String::as_str);
        let info = |entry: &TaskEntry| TaskInfo::new(entry, name(entry.name), table.now);
        Tasks { list: table.tasks.iter().map(info).collect(), forgotten: table.forgotten }
    }

    /// How many runs have ended that are not remembered any more.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Tabular<7> for Tasks {
    fn table(&self) -> Result<Table<7>, &'static str> {
        if self.is_empty() {
            return Err("no task was submitted");
        }
        let mut table = Table::new(["cell", "task", "state", "attempt", "pid", "queued", "ran"]);
        let shown = &self.list[self.len().saturating_sub(ROWS_MAX)..];
        for task in shown {
            table.row([
                cell_in_words(task.cell, task.session),
                task.name.clone(),
                task.state.to_string(),
                task.attempt.to_string(),
                task.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                format!("{:.1?}", task.queued),
                task.ran.map(|ran| format!("{ran:.1?}")).unwrap_or_default(),
            ]);
        }
        if shown.len() < self.len() {
            table.note(format!("the newest {} of {} runs", shown.len(), self.len()));
        }
        if self.forgotten > 0 {
            table.note(format!("{} more have ended and are not remembered", self.forgotten));
        }
        Ok(table)
    }
}

shown_as_a_table!(Tasks);
