//! `summary()`: the tasks by function, and the rest in a line.

use super::{Actors, Objects, Tasks, actors, counted, objects, tasks};
use crate::abi::{ActorState, TaskState};
use crate::display::{Table, Tabular, shown_as_a_table};
use std::collections::HashMap;
use std::time::Duration;

/// Returns how many runs of each function there are in which state, how long they took, and how many actors and objects
/// there are. As Ray's `summarize_tasks`. Displays as a table.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn twice(n: u32) -> u32 {
///     2 * n
/// }
/// get((0..3).map(|n| twice.remote(n)).collect::<Vec<_>>())?;
/// let all = summary();
/// let row = all.tasks.iter().find(|row| row.name.ends_with("twice")).unwrap();
/// assert_eq!((row.finished, row.failed, row.running), (3, 0, 0));
/// # Ok::<(), mobula::GetError>(())
/// ```
#[track_caller]
pub fn summary() -> Summary {
    Summary::new(&tasks(), actors(), objects())
}

/// The runs of one function's tasks, as [`summary`](crate::summary) counts them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TaskSummary {
    /// The name of the function.
    pub name: String,
    /// Runs that wait for arguments.
    pub waiting: usize,
    /// Runs that wait for resources and a worker.
    pub queued: usize,
    /// Runs that run.
    pub running: usize,
    /// Runs that gave a result.
    pub finished: usize,
    /// Runs that failed, for whatever reason.
    pub failed: usize,
    /// Runs that were cancelled.
    pub cancelled: usize,
    /// How long the runs took together.
    pub total: Duration,
    /// How many have begun.
    begun: u32,
}

impl TaskSummary {
    /// How long a run took, in the mean; zero if none has begun.
    pub fn mean(&self) -> Duration {
        self.total / self.begun.max(1)
    }
}

/// What goes on in a runtime, as [`summary`](crate::summary) returns it. Displays as a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The functions, in the order in which their tasks were first submitted.
    pub tasks: Vec<TaskSummary>,
    /// How many runs have ended that are not remembered any more, and are not among those.
    pub forgotten: u64,
    /// The actors.
    pub actors: Actors,
    /// The objects.
    pub objects: Objects,
}

impl Summary {
    fn new(runs: &Tasks, actors: Actors, objects: Objects) -> Summary {
        let mut rows: Vec<TaskSummary> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for run in runs.iter() {
            let place = *places.entry(&run.name).or_insert_with(|| {
                rows.push(TaskSummary { name: run.name.clone(), ..TaskSummary::default() });
                rows.len() - 1
            });
            let row = &mut rows[place];
            *match run.state {
                TaskState::Waiting => &mut row.waiting,
                TaskState::Queued => &mut row.queued,
                TaskState::Running => &mut row.running,
                TaskState::Finished => &mut row.finished,
                TaskState::Failed | TaskState::WorkerDied | TaskState::ArgumentFailed => &mut row.failed,
                TaskState::Cancelled => &mut row.cancelled,
            } += 1;
            row.total += run.ran.unwrap_or_default();
            row.begun += u32::from(run.ran.is_some());
        }
        Summary { tasks: rows, forgotten: runs.forgotten(), actors, objects }
    }
}

impl Tabular<9> for Summary {
    fn table(&self) -> Result<Table<9>, &'static str> {
        let head = ["task", "waiting", "queued", "running", "finished", "failed", "cancelled", "mean", "total"];
        let mut table = Table::new(head);
        // A count of nothing says the least when it is not there.
        let count = |count: usize| if count == 0 { String::new() } else { count.to_string() };
        for row in &self.tasks {
            let TaskSummary { waiting, queued, running, finished, failed, cancelled, .. } = *row;
            let [waiting, queued, running, finished, failed, cancelled] =
                [waiting, queued, running, finished, failed, cancelled].map(count);
            let (mean, total) = (format!("{:.1?}", row.mean()), format!("{:.1?}", row.total));
            table.row([row.name.clone(), waiting, queued, running, finished, failed, cancelled, mean, total]);
        }
        if self.forgotten > 0 {
            table.note(format!("{} more runs have ended and are not remembered", self.forgotten));
        }
        let alive = self.actors.iter().filter(|actor| actor.state != ActorState::Dead).count();
        table.note(format!("{}; {}", counted(alive, "actor"), self.objects.in_short()));
        Ok(table)
    }
}

shown_as_a_table!(Summary);
