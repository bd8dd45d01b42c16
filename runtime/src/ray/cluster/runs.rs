//! The tasks of a session, for `tasks()`: what was submitted and how it ended, as far as this session sees it.

use crate::abi::{Submission, TaskEntry, TaskState, TaskTable, TaskType};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// So many ends are remembered.
const KEPT_MAX: usize = 10_000;

/// The table.
pub(super) struct Runs {
    began: Instant,
    living: HashMap<u64, Run>,
    ended: VecDeque<Run>,
    forgotten: u64,
}

/// A task.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub id: u64,
    pub name: String,
    pub cell: u64,
    pub of: TaskType,
    /// Its name in the log of its worker, or that of its actor.
    pub shown: Arc<str>,
    state: TaskState,
    attempt: u32,
    pid: u32,
    submitted: u64,
    ended: Option<u64>,
}

impl Default for Runs {
    fn default() -> Runs {
        Runs { began: Instant::now(), living: HashMap::new(), ended: VecDeque::new(), forgotten: 0 }
    }
}

impl Runs {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// A task was submitted; `kind` is as in [`Submission`].
    pub fn begin(&mut self, id: u64, name: String, cell: u64, kind: u32, shown: Arc<str>) {
        let of = match kind {
            Submission::SPAWN => TaskType::ActorCreation,
            kind if Submission::is_call(kind) => TaskType::ActorCall,
            _ => TaskType::Task,
        };
        let (state, submitted) = (TaskState::Queued, self.now());
        self.living.insert(id, Run { id, name, cell, of, shown, state, attempt: 1, pid: 0, submitted, ended: None });
    }

    /// It has ended.
    pub fn end(&mut self, id: u64, state: TaskState, pid: u32, attempt: u32) {
        let Some(run) = self.living.remove(&id) else { return };
        let ended = Some(self.now());
        self.ended.push_back(Run { state, pid, attempt, ended, ..run });
        if self.ended.len() > KEPT_MAX {
            self.ended.pop_front();
            self.forgotten += 1;
        }
    }

    /// A task that has not ended.
    pub fn living(&self, id: u64) -> Option<&Run> {
        self.living.get(&id)
    }

    /// A task, if it is remembered.
    pub fn find(&self, id: u64) -> Option<&Run> {
        self.living.get(&id).or_else(|| self.ended.iter().rev().find(|run| run.id == id))
    }

    /// The calls of no task have ended yet.
    pub fn table(&self) -> TaskTable {
        let mut table = TaskTable { forgotten: self.forgotten, now: self.now(), ..TaskTable::default() };
        let mut names: HashMap<&str, u32> = HashMap::new();
        for run in self.ended.iter().chain(self.living.values()) {
            let next = names.len() as u32;
            let name = *names.entry(&run.name).or_insert(next);
            if name == next {
                table.names.push(run.name.clone());
            }
            table.tasks.push(TaskEntry {
                id: run.id,
                parent: 0,
                name,
                of: run.of,
                state: run.state,
                session: 0,
                cell: run.cell,
                attempt: run.attempt,
                pid: run.pid,
                submitted: run.submitted,
                began: None,
                ended: run.ended,
            });
        }
        table.tasks.sort_unstable_by_key(|task| (task.submitted, task.id));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_there_once_and_keeps_its_end() {
        let mut runs = Runs::default();
        runs.begin(1, "half".into(), 3, Submission::TASK, "half [3]".into());
        runs.begin(2, "half".into(), 3, Submission::CALL, "A [1]".into());
        runs.end(1, TaskState::Finished, 7, 2);
        let table = runs.table();
        assert_eq!(table.names, ["half"]);
        let states: Vec<_> = table.tasks.iter().map(|task| (task.id, task.state, task.attempt)).collect();
        assert_eq!(states, [(1, TaskState::Finished, 2), (2, TaskState::Queued, 1)]);
        assert_eq!(table.tasks[1].of, TaskType::ActorCall);
    }

    #[test]
    fn the_oldest_ends_are_forgotten_and_counted() {
        let mut runs = Runs::default();
        for id in 0..=KEPT_MAX as u64 {
            runs.begin(id, String::new(), 0, Submission::TASK, "".into());
            runs.end(id, TaskState::Finished, 0, 1);
        }
        assert_eq!((runs.table().tasks.len(), runs.table().forgotten), (KEPT_MAX, 1));
    }
}
