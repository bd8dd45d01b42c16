//! The changes of tasks since a process last looked, and the tasks next to one: for the web page, from shared memory.
//!
//! ```text
//!   records of ends ── those after the bookmark ─▶ ended
//!   slots ── one pass ─▶ all that run, and some that wait; how many wait, by function and cell
//! ```

use super::function_names::Names;
use super::reader::Reader;
use super::{Client, Fallible};
use crate::abi::{LivingTask, TaskChanges, TaskEntry, TaskLinks, TaskState, WaitingTasks};
use crate::protocol::ObjectId;
use crate::store::{Bookmark, Spec, State, TaskEvent};
use std::collections::{HashMap, HashSet};

/// How many of the runs that wait are told one by one.
const WAITING_TOLD: usize = 256;
/// How many tasks next to one are told.
const LINKS_MAX: usize = 200;

/// What a looker remembers from look to look.
#[derive(Debug, Default)]
pub struct Look {
    bookmark: Bookmark,
    names: Names,
    /// The runs whose ends were read the last time. A result may be recorded a moment before it is there.
    ended: HashSet<(ObjectId, u8)>,
}

impl Reader {
    /// What has become of tasks since the last look with the same memory.
    ///
    /// # Errors
    /// The runtime is gone.
    pub fn task_changes(&self, look: &mut Look) -> Fallible<TaskChanges> {
        let client = &self.0;
        let mut changes = TaskChanges::default();
        // In this order: a task that ends in between is in both, and not in neither.
        let (living, waiting) = client.living();
        let (mut ended, before) = (Vec::new(), std::mem::take(&mut look.ended));
        client.segment.events_since(&mut look.bookmark, |event, lost| {
            changes.missed += lost;
            look.ended.insert((event.task, event.attempt));
            ended.push(*event);
        });
        let clock = client.segment.clock();
        changes.now = clock.now();
        for event in &ended {
            let name = look.names.index(client, event.function)?;
            changes.ended.push(with_whole_cell(client.entry(event, name, clock), event));
        }
        let has_ended = |event: &TaskEvent| {
            let run = (event.task, event.attempt);
            look.ended.contains(&run) || before.contains(&run)
        };
        for (event, needs) in living.into_iter().filter(|(event, _)| !has_ended(event)) {
            let name = look.names.index(client, event.function)?;
            let run = with_whole_cell(client.entry(&event, name, clock), &event);
            changes.living.push(LivingTask { run, needs });
        }
        for ((function, cell, state), tasks) in waiting {
            let name = look.names.index(client, function)?;
            changes.waiting.push(WaitingTasks { name, cell, state, tasks });
        }
        changes.names = look.names.list().to_vec();
        Ok(changes)
    }

    /// The tasks next to the one that makes this object.
    pub fn task_links(&self, id: u64) -> TaskLinks {
        let (client, id) = (&self.0, ObjectId(id));
        let objects = |spec: &Spec| spec.objects().map(|object| object.0).collect::<Vec<u64>>();
        let needs = client.description(id).map(|spec| objects(&spec)).unwrap_or_default();
        let words = (1..client.segment.slots_used()).map(|index| (index, client.segment.slot(index).word()));
        let others = words.filter(|(_, word)| !matches!(word.state(), State::Free | State::Dying));
        let others = others.map(|(index, word)| ObjectId::new(index, word.generation()));
        let needs_it =
            |other: &ObjectId| client.description(*other).is_some_and(|spec| spec.objects().any(|arg| arg == id));
        TaskLinks { needs, needed_by: others.filter(needs_it).map(|other| other.0).take(LINKS_MAX).collect() }
    }
}

/// With the runtime's number of the cell, so that those of two sessions are counted apart.
fn with_whole_cell(entry: TaskEntry, event: &TaskEvent) -> TaskEntry {
    TaskEntry { cell: event.cell, ..entry }
}

/// Runs that wait, counted by function, cell and state.
type Waiting = HashMap<(u32, u64, TaskState), u64>;

impl Client {
    /// The runs that have not ended, with their arguments: all that run, and some that wait; and how many wait.
    fn living(&self) -> (Vec<(TaskEvent, Vec<u64>)>, Waiting) {
        let (mut living, mut waiting, mut told) = (Vec::new(), Waiting::new(), 0);
        for index in 1..self.segment.slots_used() {
            let word = self.segment.slot(index).word();
            if !word.is_task() {
                continue;
            }
            let Some((event, spec)) = self.living_task(index, word) else { continue };
            if event.state != TaskState::Running {
                *waiting.entry((event.function, event.cell, event.state)).or_default() += 1;
                told += 1;
                if told > WAITING_TOLD {
                    continue;
                }
            }
            living.push((event, spec.objects().map(|object| object.0).collect()));
        }
        (living, waiting)
    }

    /// The description of the task that makes an object, or has made it, as far as it is there.
    fn description(&self, id: ObjectId) -> Option<Spec> {
        let word = self.segment.slot(id.slot()).word();
        if word.generation() != id.generation() {
            return None;
        }
        if word.is_task() { Some(self.segment.read_spec(id.slot())) } else { self.segment.maker(id) }
    }
}
