//! The tasks of a session, for `tasks()`: what was submitted and how it ended, as far as this session sees it.

use super::table::{self, Told};
use crate::abi::{Submission, TaskCounts, TaskEntry, TaskState, TaskTable, TaskType};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// So many ends are remembered.
const KEPT_MAX: usize = 10_000;

/// The table.
pub(super) struct Runs {
    began: Instant,
    /// The same, by the clock.
    began_at: SystemTime,
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
    began: Option<u64>,
    ended: Option<u64>,
    /// As [`Ran::task`].
    task: u64,
}

/// What is known of a run that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ran {
    /// Its process; 0 if that is not known.
    pub pid: u32,
    /// Its number among the runs of the task, from 1; 0 if that is not known.
    pub attempt: u32,
    /// How long it ran, in nanoseconds.
    pub ns: Option<u64>,
    /// The number of Ray's id of the task, which those that it made name as their parent; 0 if that is not known.
    pub task: u64,
}

impl Default for Runs {
    fn default() -> Runs {
        let (began, began_at) = (Instant::now(), SystemTime::now());
        Runs { began, began_at, living: HashMap::new(), ended: VecDeque::new(), forgotten: 0 }
    }
}

impl Runs {
    /// Nanoseconds since the session began.
    pub fn now(&self) -> u64 {
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
        self.living.insert(
            id,
            Run { id, name, cell, of, shown, state, attempt: 1, pid: 0, submitted, began: None, ended: None, task: 0 },
        );
    }

    /// It has ended.
    pub fn end(&mut self, id: u64, state: TaskState, Ran { pid, attempt, ns, task }: Ran) {
        let Some(run) = self.living.remove(&id) else { return };
        let ended = self.now();
        let began = ns.map(|ns| ended.saturating_sub(ns).max(run.submitted));
        self.ended.push_back(Run { state, pid, attempt: attempt.max(1), began, ended: Some(ended), task, ..run });
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

    /// The tasks of `cell` and of later cells, but for those that ended before `since`, by cell and function. All that have not ended count as
    /// running: the cluster does not say more by itself.
    pub fn counts(&self, cell: u64, since: u64) -> Vec<TaskCounts> {
        let now = self.now();
        let ago = |at: u64| Duration::from_nanos(now.saturating_sub(at));
        let mut counts: BTreeMap<(u64, &str), TaskCounts> = BTreeMap::new();
        let ended = self.ended.iter().filter(|run| run.ended.is_some_and(|ended| ended >= since));
        for run in ended.chain(self.living.values()).filter(|run| run.cell >= cell) {
            let count = counts.entry((run.cell, &run.name)).or_insert_with(|| TaskCounts {
                cell: run.cell,
                function: run.name.clone(),
                is_rough: self.forgotten > 0,
                ..TaskCounts::default()
            });
            count.first = count.first.max(ago(run.submitted));
            match (run.ended, run.state) {
                (None, _) => {
                    count.running += 1;
                    count.oldest = count.oldest.max(Some(ago(run.submitted)));
                }
                (Some(_), TaskState::Finished) => count.finished += 1,
                (Some(_), TaskState::Cancelled) => count.cancelled += 1,
                (Some(_), _) => count.failed += 1,
            }
            if let Some(ended) = run.ended {
                let last = ago(ended);
                count.last = Some(count.last.map_or(last, |known| known.min(last)));
            }
        }
        let mut counts: Vec<TaskCounts> = counts.into_values().collect();
        counts.sort_by_key(|counts| (counts.cell, std::cmp::Reverse(counts.first)));
        counts
    }

    /// The newest of the tasks that have not ended, at most so many.
    pub fn newest_living(&self, count: usize) -> Vec<u64> {
        let mut living: Vec<(u64, u64)> = self.living.values().map(|run| (run.submitted, run.id)).collect();
        living.sort_unstable_by(|one, other| other.cmp(one));
        living.into_iter().map(|(_, id)| id).take(count).collect()
    }

    /// The tasks that are known, with what the cluster told of those that have not ended here, and of those that tasks made.
    pub fn table(&self, told: &[Told]) -> TaskTable {
        let mut table = TaskTable { forgotten: self.forgotten, now: self.now(), ..TaskTable::default() };
        let mut names: HashMap<String, u32> = HashMap::new();
        let mut number = |name: &str| {
            let next = names.len() as u32;
            *names.entry(name.to_owned()).or_insert_with(|| {
                table.names.push(name.to_owned());
                next
            })
        };
        let mut by_id: HashMap<u64, &Told> = HashMap::new();
        for told in told.iter().filter(|told| told.id != 0) {
            // Each run of a task is told; the last one counts.
            let last = by_id.entry(told.id).or_insert(told);
            if told.attempt() > last.attempt() {
                *last = told;
            }
        }
        for run in self.ended.iter().chain(self.living.values()) {
            let mut entry = TaskEntry {
                id: run.id,
                parent: 0,
                name: number(&run.name),
                of: run.of,
                state: run.state,
                session: 0,
                cell: run.cell,
                attempt: run.attempt,
                pid: run.pid,
                submitted: run.submitted,
                began: run.began,
                ended: run.ended,
            };
            if let Some(told) = by_id.get(&run.id).filter(|_| run.ended.is_none()) {
                entry.state = match told.state() {
                    state @ (TaskState::Waiting | TaskState::Queued) => state,
                    // It has ended when its result has come here.
                    _ => TaskState::Running,
                };
                (entry.attempt, entry.pid) = (told.attempt(), told.pid);
                entry.began = self.since_beginning(told.began).map(|began| began.max(run.submitted));
            }
            table.tasks.push(entry);
        }
        let living = by_id.values().map(|told| (table::number(&told.task), told.id));
        let ended = self.ended.iter().filter(|run| run.task != 0).map(|run| (run.task, run.id));
        let by_task: HashMap<u64, u64> = ended.chain(living).collect();
        for child in told.iter().filter(|told| told.id == 0) {
            let (name, cell) = child.name();
            let parent = table::number(&child.parent);
            let submitted = self.since_beginning(child.submitted).unwrap_or(0);
            table.tasks.push(TaskEntry {
                id: table::number(&child.task),
                parent: by_task.get(&parent).copied().unwrap_or(parent),
                name: number(name),
                of: child.of(),
                state: child.state(),
                session: 0,
                cell,
                attempt: child.attempt(),
                pid: child.pid,
                submitted,
                began: self.since_beginning(child.began).map(|began| began.max(submitted)),
                ended: self.since_beginning(child.ended).map(|ended| ended.max(submitted)),
            });
        }
        table.tasks.sort_unstable_by_key(|task| (task.submitted, task.id));
        table
    }

    /// A time of the cluster's as nanoseconds since the session began.
    fn since_beginning(&self, at_ms: Option<u64>) -> Option<u64> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms?);
        Some(at.duration_since(self.began_at).map_or(0, |since| since.as_nanos() as u64))
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
        runs.end(1, TaskState::Finished, Ran { pid: 7, attempt: 2, ..Ran::default() });
        let table = runs.table(&[]);
        assert_eq!(table.names, ["half"]);
        let states: Vec<_> = table.tasks.iter().map(|task| (task.id, task.state, task.attempt)).collect();
        assert_eq!(states, [(1, TaskState::Finished, 2), (2, TaskState::Queued, 1)]);
        assert_eq!(table.tasks[1].of, TaskType::ActorCall);
    }

    /// A row of the state API.
    fn told(id: u64, task: u32, parent: u32, attempt: u32, state: &str) -> Told {
        let ray = |task: u32| format!("{task:016x}00");
        let row = serde_json::json!({
            "id": id, "task": ray(task), "parent": ray(parent), "name": "half [3]", "state": state, "type": "NORMAL_TASK", "attempt": attempt,
            "pid": 7, "error": "", "submitted": null, "began": null, "ended": null,
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_task_that_another_one_made_names_it_whether_that_has_ended_or_not() {
        let mut runs = Runs::default();
        runs.begin(1, "outer".into(), 3, Submission::TASK, "".into());
        runs.begin(2, "outer".into(), 3, Submission::TASK, "".into());
        runs.end(1, TaskState::Finished, Ran { task: 0xa1, ..Ran::default() });
        let of_both = [
            told(2, 0xa2, 0, 0, "RUNNING"),
            told(0, 0xb1, 0xa1, 0, "FINISHED"),
            told(0, 0xb2, 0xa2, 0, "FINISHED"),
            told(0, 0xc1, 0xb1, 0, "RUNNING"),
        ];
        let made = |id: u64| runs.table(&of_both).tasks.into_iter().find(|task| task.id == id).unwrap().parent;
        assert_eq!([made(0xb1), made(0xb2), made(0xc1)], [1, 2, 0xb1]);
    }

    #[test]
    fn of_a_task_that_runs_again_the_last_run_is_told() {
        let mut runs = Runs::default();
        runs.begin(1, "half".into(), 3, Submission::TASK, "".into());
        for order in [[0, 1], [1, 0]] {
            let state = |attempt| if attempt == 0 { "FAILED" } else { "PENDING_NODE_ASSIGNMENT" };
            let rows = order.map(|attempt| told(1, 0xa1, 0, attempt, state(attempt)));
            let [run] = &runs.table(&rows).tasks[..] else { panic!("one task") };
            assert_eq!((run.attempt, run.state), (2, TaskState::Queued));
        }
    }

    #[test]
    fn tasks_are_counted_by_cell_and_function() {
        let mut runs = Runs::default();
        for (id, cell) in [(1, 2), (2, 3), (3, 3), (4, 3)] {
            runs.begin(id, "half".into(), cell, Submission::TASK, "".into());
        }
        runs.end(1, TaskState::Finished, Ran::default());
        runs.end(2, TaskState::Finished, Ran::default());
        runs.end(3, TaskState::WorkerDied, Ran::default());
        let [count] = &runs.counts(3, 0)[..] else { panic!("one function of one cell") };
        assert_eq!((count.cell, count.running, count.finished, count.failed), (3, 1, 1, 1));
        let since = runs.now();
        assert_eq!(runs.counts(0, since).iter().map(TaskCounts::ended).sum::<u64>(), 0);
    }

    #[test]
    fn the_oldest_ends_are_forgotten_and_counted() {
        let mut runs = Runs::default();
        for id in 0..=KEPT_MAX as u64 {
            runs.begin(id, String::new(), 0, Submission::TASK, "".into());
            runs.end(id, TaskState::Finished, Ran::default());
        }
        let table = runs.table(&[]);
        assert_eq!((table.tasks.len(), table.forgotten), (KEPT_MAX, 1));
    }
}
