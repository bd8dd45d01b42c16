//! The tables of tasks and objects, read from shared memory by the process that asks for them: nobody else is disturbed.

use super::function_names::Names;
use super::{Client, Fallible};
use crate::abi::{ObjectEntry, ObjectPlace, ObjectState, TaskEntry, TaskState, TaskTable};
use crate::protocol::{ObjectId, SessionId};
use crate::store::{Body, Clock, Events, Flags, Spec, State, TaskEvent, Word};
use crate::sync::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

impl Client {
    /// The runs of tasks that have not ended, and the ends that are remembered.
    ///
    /// # Errors
    /// The runtime is gone.
    pub(super) fn task_table(&self) -> Fallible<TaskTable> {
        // In this order: a task that ends in between is in both, and not in neither.
        let living = self.living_tasks();
        let Events { list: ended, lost: forgotten } = self.segment.events();
        let clock = self.segment.clock();
        let mut runs: HashMap<(ObjectId, u8), TaskEvent> = HashMap::with_capacity(living.len() + ended.len());
        for event in living.into_iter().chain(ended) {
            let run = runs.entry((event.task, event.attempt)).or_insert(event);
            // A worker that records a result may be killed before it is one. The state that the head records is the later one.
            if run.ended <= event.ended {
                *run = event;
            }
        }
        let mut table = TaskTable { forgotten, now: clock.now(), ..TaskTable::default() };
        let mut names = Names::default();
        for run in runs.into_values() {
            let name = names.index(self, run.function)?;
            table.tasks.push(self.entry(&run, name, clock));
        }
        table.names = names.list().to_vec();
        table.tasks.sort_unstable_by_key(|task| (task.submitted, task.id, task.attempt));
        Ok(table)
    }

    /// A run as a table has it; `name` is the index of its function's name.
    pub(super) fn entry(&self, run: &TaskEvent, name: u32, clock: Clock) -> TaskEntry {
        let (began, ended) = (clock.time_of(run.began), clock.time_of(run.ended));
        TaskEntry {
            id: run.task.0,
            parent: run.parent.map_or(0, |parent| parent.0),
            name,
            of: run.of,
            state: run.state,
            session: SessionId::of(run.cell).for_asker(self.session),
            cell: SessionId::number(run.cell),
            attempt: u32::from(run.attempt) + 1,
            pid: run.pid,
            submitted: clock.time_of(run.submitted).or(began).or(ended).unwrap_or(clock.now()),
            began,
            ended,
        }
    }

    /// The tasks that have not ended.
    fn living_tasks(&self) -> Vec<TaskEvent> {
        let words = (1..self.segment.slots_used()).map(|index| (index, self.segment.slot(index).word()));
        let tasks = words.filter(|(_, word)| word.is_task());
        tasks.filter_map(|(index, word)| self.living_task(index, word)).map(|(event, _)| event).collect()
    }

    /// A task that has not ended, with its description.
    pub(super) fn living_task(&self, index: u32, word: Word) -> Option<(TaskEvent, Spec)> {
        let (task, spec) = (ObjectId::new(index, word.generation()), self.segment.read_spec(index));
        let event = self.segment.run_of(task, word, &spec, living_state(word));
        // What was read is that of the task only if it is the same all the time.
        (self.segment.slot(index).word().generation() == word.generation()).then_some((event, spec))
    }

    /// The objects that there are, but for those that stand for actors.
    ///
    /// # Errors
    /// The runtime is gone.
    pub(super) fn object_entries(&self) -> Fallible<Vec<ObjectEntry>> {
        let words = (1..self.segment.slots_used()).map(|index| (index, self.segment.slot(index).word()));
        let found: Vec<(ObjectEntry, Option<u32>)> =
            words.filter_map(|(index, word)| self.object_entry(index, word)).collect();
        let mut names: HashMap<u32, Option<String>> = HashMap::new();
        for number in found.iter().filter_map(|(_, function)| *function) {
            if let Entry::Vacant(place) = names.entry(number) {
                place.insert(self.known_function(number)?.map(|function| function.name));
            }
        }
        let named = |(entry, function): (ObjectEntry, Option<u32>)| {
            let function = function.and_then(|number| names.get(&number)?.clone());
            ObjectEntry { function, ..entry }
        };
        Ok(found.into_iter().map(named).collect())
    }

    /// An object, and the number of the function whose task makes it.
    fn object_entry(&self, index: u32, word: Word) -> Option<(ObjectEntry, Option<u32>)> {
        let (id, slot) = (ObjectId::new(index, word.generation()), self.segment.slot(index));
        let (state, place) = match word.state() {
            _ if word.flags().contains(Flags::ACTOR) => return None,
            State::Sealed => match self.segment.body_now(id)? {
                Body::Failed => (ObjectState::Failed, ObjectPlace::Nowhere),
                Body::Inline { len } => (ObjectState::Ready { bytes: len }, ObjectPlace::Table),
                Body::Arena { len, .. } => (ObjectState::Ready { bytes: len }, ObjectPlace::Memory),
                Body::Spilled { len, .. } => (ObjectState::Ready { bytes: len }, ObjectPlace::Disk),
            },
            State::Waiting | State::Pending | State::Running => (ObjectState::Pending, ObjectPlace::Nowhere),
            State::Free | State::Dying => return None,
        };
        let (cell, function) = self.segment.origin(id).unwrap_or_default();
        let pid = |seat| self.segment.desk(seat).pid.load(Ordering::Relaxed);
        let entry = ObjectEntry {
            id: id.0,
            state,
            place,
            cell: SessionId::number(cell),
            function: None,
            held_by: slot.refs.iter().map(pid).collect(),
            holders: self.segment.holds_of(id),
            readers: slot.pins.count(),
        };
        Some((entry, function))
    }
}

/// The state of a task that has not ended.
fn living_state(word: Word) -> TaskState {
    match word.state() {
        State::Waiting => TaskState::Waiting,
        State::Pending => TaskState::Queued,
        _ => TaskState::Running,
    }
}
