//! Placement groups: made, removed, and what becomes of their tasks then. What they have is decided in `scheduler/groups.rs`.

use super::Head;
use super::refuse;
use crate::abi::{Cause, PlacementStrategy, TaskOptions};
use crate::client::Fallible;
use crate::protocol::{ObjectId, SessionId};
use crate::scheduler::{Event, Resources};
use crate::store::Word;
use std::collections::BTreeMap;

/// Placement groups that were made and not removed.
#[derive(Debug, Default)]
pub(super) struct Groups {
    last: u64,
    /// By number, the cell that has made each.
    cells: BTreeMap<u64, u64>,
}

impl Head {
    /// Makes a placement group, which has what it asks for when all of that is free.
    pub(super) fn make_group(
        &mut self,
        bundles: &[TaskOptions],
        strategy: PlacementStrategy,
        cell: u64,
    ) -> Fallible<u64> {
        if strategy == PlacementStrategy::StrictSpread && bundles.len() > 1 {
            return refuse(format!(
                "a placement group of {} bundles with `StrictSpread` needs as many machines, and this runtime has one: use `Spread`",
                bundles.len()
            ));
        }
        let mut all = Vec::new();
        for bundle in bundles {
            let needs = super::task_options::needs_of(bundle);
            match needs {
                Ok(needs) if needs != Resources::default() => all.push(needs),
                Ok(_) => return refuse("a bundle of a placement group asks for nothing".into()),
                Err(error) => return refuse(error.to_string()),
            }
        }
        if all.is_empty() {
            return refuse("a placement group has at least one bundle".into());
        }
        self.groups.last += 1;
        let group = self.groups.last;
        self.groups.cells.insert(group, cell);
        self.tell(Event::GroupQueued { group, bundles: all });
        Ok(group)
    }

    /// Removes a placement group: what runs there ends, and what waits fails. False if there is none.
    pub(super) fn remove_group(&mut self, group: u64) -> bool {
        if self.groups.cells.remove(&group).is_none() {
            return false;
        }
        let running = self.scheduler.tasks_in(group);
        self.tell(Event::GroupRemoved(group));
        for task in running {
            if self.word(task).is_some_and(Word::is_task) {
                self.cancel_at_once(task);
            } else {
                self.end_actor(task, Cause::Refused { message: GONE.into() });
            }
        }
        true
    }

    /// A task names a placement group that is gone.
    pub(super) fn fail_groupless(&mut self, task: ObjectId) {
        self.refuse_queued(task, GONE.into());
    }

    /// Says that a placement group waits for more than there is.
    pub(super) fn warn_infeasible_group(&mut self, group: u64) {
        let (needs, machine) = (self.scheduler.group_needs(group).unwrap_or_default(), self.scheduler.machine());
        let text = format!(
            "placement group {group} needs {needs} and the runtime has {machine}: it waits until there is more"
        );
        self.notice_of(self.groups.cells.get(&group).copied().unwrap_or_default(), text);
    }

    /// Removes the placement groups of a session's cells after this one, which were undone by a crash.
    pub(super) fn undo_groups_after(&mut self, cell: u64) {
        let undone: Vec<u64> =
            self.groups.cells.iter().filter(|(_, of)| is_later(**of, cell)).map(|(group, _)| *group).collect();
        undone.into_iter().for_each(|group| _ = self.remove_group(group));
    }
}

/// Whether a cell is of the same session as another one, and later.
pub(super) fn is_later(cell: u64, than: u64) -> bool {
    SessionId::of(cell) == SessionId::of(than) && cell > than
}

const GONE: &str = "its placement group was removed";
