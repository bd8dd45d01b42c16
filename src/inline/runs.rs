//! The runs of tasks, for `tasks()`.

use crate::abi::{Cause, Submission, TaskEntry, TaskState, TaskTable, TaskType};
use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;
use std::time::Instant;

/// How many runs are remembered.
const KEPT: usize = 16_384;

/// Runs of tasks.
#[derive(Default)]
pub(super) struct Runs {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    list: VecDeque<TaskEntry>,
    forgotten: u64,
}

/// A run, by its number.
#[derive(Clone, Copy)]
pub(super) struct Run(u64);

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    BEGIN.elapsed().as_nanos() as u64
}

impl Runs {
    /// A run of the task that makes the object `id` begins.
    pub(super) fn begin(&mut self, id: u64, name: String, kind: u32, attempt: u32) -> Run {
        let number = self.numbers.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            self.names.len() as u32 - 1
        });
        let of = match kind {
            Submission::SPAWN => TaskType::ActorCreation,
            kind if Submission::is_call(kind) => TaskType::ActorCall,
            _ => TaskType::Task,
        };
        let (submitted, pid, name) = (now(), std::process::id(), *number);
        let state = TaskState::Running;
        let began = Some(submitted);
        let (parent, cell, ended) = (0, 0, None);
        let session = 0;
        self.list.push_back(TaskEntry {
            id,
            parent,
            name,
            of,
            state,
            session,
            cell,
            attempt,
            pid,
            submitted,
            began,
            ended,
        });
        if self.list.len() > KEPT {
            self.list.pop_front();
            self.forgotten += 1;
        }
        Run(self.forgotten + self.list.len() as u64 - 1)
    }

    /// A run has ended, and failed for this reason if there is one.
    pub(super) fn end(&mut self, Run(number): Run, failed: Option<&Cause>) {
        let place = number.checked_sub(self.forgotten).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.list.get_mut(place)) {
            entry.ended = Some(now());
            entry.state = match failed {
                None => TaskState::Finished,
                Some(Cause::ActorDied { .. }) => TaskState::WorkerDied,
                Some(_) => TaskState::Failed,
            };
        }
    }

    /// A task does not run, because an argument of it has failed.
    pub(super) fn never(&mut self, id: u64, name: String, kind: u32) {
        self.begin(id, name, kind, 1);
        if let Some(entry) = self.list.back_mut() {
            (entry.state, entry.pid, entry.began, entry.ended) = (TaskState::ArgumentFailed, 0, None, Some(now()));
        }
    }

    /// All of them.
    pub(super) fn table(&self) -> TaskTable {
        let (names, tasks) = (self.names.clone(), self.list.iter().cloned().collect());
        TaskTable { names, tasks, forgotten: self.forgotten, now: now() }
    }
}
