//! The table of tasks: what this session submitted, and what Ray's state API knows of that and of the tasks that those tasks made.

use super::{End, Object, Place, Shared};
use crate::abi::{TaskState, TaskTable, TaskType};
use crate::ray::transport::Value;
use serde::Deserialize;

/// Ray is asked about so many of the tasks that have not ended; the newest.
const ASKED_MAX: usize = 2_000;

/// A task, as `worker.py` tells it. Times are in milliseconds since 1970, by the clocks of the nodes.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    /// This session's number for it; 0: a task made it.
    pub id: u64,
    pub task: String,
    pub parent: String,
    name: String,
    state: String,
    #[serde(rename = "type")]
    of: String,
    /// From 0.
    attempt: u32,
    pub pid: u32,
    error: String,
    pub submitted: Option<u64>,
    pub began: Option<u64>,
    pub ended: Option<u64>,
}

impl Told {
    /// Its name, and the cell whose task it is if the name says so: `worker.py` names tasks as `half [3]`.
    pub fn name(&self) -> (&str, u64) {
        let parts = self.name.strip_suffix(']').and_then(|rest| rest.rsplit_once(" ["));
        let named = parts.and_then(|(name, cell)| Some((name, cell.parse().ok()?)));
        named.unwrap_or((&self.name, 0))
    }

    /// What it is.
    pub fn of(&self) -> TaskType {
        match self.of.as_str() {
            "ACTOR_CREATION_TASK" => TaskType::ActorCreation,
            "ACTOR_TASK" => TaskType::ActorCall,
            _ => TaskType::Task,
        }
    }

    /// How it is.
    pub fn state(&self) -> TaskState {
        match self.state.as_str() {
            "FINISHED" => TaskState::Finished,
            "FAILED" => match self.error.as_str() {
                "TASK_CANCELLED" => TaskState::Cancelled,
                "TASK_EXECUTION_EXCEPTION" => TaskState::Failed,
                _ => TaskState::WorkerDied,
            },
            "PENDING_ARGS_AVAIL" => TaskState::Waiting,
            state if state.starts_with("RUNNING") => TaskState::Running,
            _ => TaskState::Queued,
        }
    }

    /// Its number among the runs of the task, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.saturating_add(1)
    }
}

/// A number for a task, by Ray's id of it: 0 if it is none.
pub(super) fn number(task: &str) -> u64 {
    let digits = |at| task.get(at..at + 16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match digits(0) {
        // All of them have this beginning that make an actor, whose id follows.
        Some(u64::MAX) => digits(16).unwrap_or(u64::MAX),
        first => first.unwrap_or(0),
    }
}

impl Shared {
    /// The tasks that are known. Waits for the cluster, whose state API is about a second behind; where it has none, all tasks that have not ended
    /// are queued.
    pub(super) fn task_table(&self) -> TaskTable {
        let asked = {
            let state = self.state();
            let head = |id| match state.objects.get(&id) {
                Some(Object { place: Place::Results { head, .. }, end: End::Pending, .. }) => Some(head.clone()),
                _ => None,
            };
            let heads = state.runs.newest_living(ASKED_MAX).into_iter().filter_map(|id| Some((id, head(id)?)));
            heads.map(|(id, head)| Value::Tuple(vec![Value::Int(id as i64), Value::Ref(head)])).collect()
        };
        let told = self.operate("tasks", vec![("tasks", Value::List(asked))]);
        let told: Vec<Told> = match &told {
            Ok(rows) => rows.as_str().and_then(|rows| serde_json::from_str(rows).ok()).unwrap_or_default(),
            Err(error) => {
                tracing::debug!(%error, "Ray's state API does not answer");
                Vec::new()
            }
        };
        self.state().runs.table(&told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &str, error: &str, name: &str) -> Told {
        let row = serde_json::json!({
            "id": 0, "task": "00000000000000ffab", "parent": "0000000000000001", "name": name, "state": state, "type": "NORMAL_TASK",
            "attempt": 1, "pid": 7, "error": error, "submitted": 5, "began": null, "ended": null,
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_row_of_the_state_api_says_how_a_task_is() {
        let state = |state, error| told(state, error, "half").state();
        assert_eq!(state("RUNNING_IN_RAY_GET", ""), TaskState::Running);
        assert_eq!(state("PENDING_NODE_ASSIGNMENT", ""), TaskState::Queued);
        assert_eq!(state("PENDING_ARGS_AVAIL", ""), TaskState::Waiting);
        assert_eq!(state("FAILED", "WORKER_DIED"), TaskState::WorkerDied);
        assert_eq!(state("FAILED", "TASK_CANCELLED"), TaskState::Cancelled);
        let row = told("FINISHED", "", "half [3]");
        assert_eq!((row.name(), row.attempt(), number(&row.task), number(&row.parent)), (("half", 3), 2, 255, 1));
        assert_eq!(told("FINISHED", "", "Counter.call").name(), ("Counter.call", 0));
    }

    #[test]
    fn tasks_have_numbers_of_their_own_also_those_that_make_actors() {
        let maker = |actor: &str| number(&format!("{}{actor}01000000", "f".repeat(16)));
        let ids =
            [maker("00000000000000010a0b0c0d"), maker("00000000000000020a0b0c0d"), number(&"3".repeat(48)), number("")];
        assert_eq!(ids, [1, 2, 0x3333_3333_3333_3333, 0]);
    }
}
