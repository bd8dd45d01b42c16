//! `objects()`: what is in the store.

use super::super::answer;
use super::{ROWS_MAX, counted, list};
use crate::abi::{Answer, ObjectEntry, ObjectPlace, ObjectState, Question};
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::error::Size;
use crate::object::ObjectId;
use std::collections::BTreeMap;

/// Returns the objects of this runtime, the largest first, with the results of tasks that have not ended: a slice that
/// displays as a table. As Ray's `list_objects` and `ray memory`.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let x = put(&vec![0u8; 1000])?;
/// let all = objects();
/// assert!(all.iter().find(|object| object.id == x.id()).unwrap().bytes().unwrap() >= 1000);
/// # Ok::<(), mobula::PutError>(())
/// ```
#[track_caller]
pub fn objects() -> Objects {
    match answer(&Question::Objects) {
        Answer::Objects(entries) => Objects::new(entries),
        other => panic!("the runtime answered `objects` with {other:?}"),
    }
}

/// One object, as [`objects`](crate::objects) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Its id.
    pub id: ObjectId,
    /// How it is.
    pub state: ObjectState,
    /// Where its bytes are.
    pub place: ObjectPlace,
    /// The cell that put it, or whose task made it; `None` outside a session.
    pub cell: Option<u64>,
    /// The function whose task makes it; `None` for a value that was put.
    pub function: Option<String>,
    /// The processes that have a reference to it.
    pub held_by: Vec<u32>,
    /// How many tasks that have not ended, and objects, keep it.
    pub holders: u64,
    /// How many processes read its bytes.
    pub readers: u32,
}

impl ObjectInfo {
    /// Its size in bytes; `None` if it is not ready, or its task failed.
    pub fn bytes(&self) -> Option<u64> {
        match self.state {
            ObjectState::Ready { bytes } => Some(bytes),
            ObjectState::Pending | ObjectState::Failed => None,
        }
    }
}

/// Objects, the largest first. Derefs to a slice of [`ObjectInfo`]; displays as a table, of which the first rows are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    list: Vec<ObjectInfo>,
}

list!(Objects of ObjectInfo);

impl Objects {
    fn new(entries: Vec<ObjectEntry>) -> Objects {
        let info = |entry: ObjectEntry| {
            let ObjectEntry { id, state, place, cell, function, held_by, holders, readers } = entry;
            let cell = Some(cell).filter(|cell| *cell != 0);
            ObjectInfo { id: ObjectId(id), state, place, cell, function, held_by, holders, readers }
        };
        let mut list: Vec<ObjectInfo> = entries.into_iter().map(info).collect();
        list.sort_by_key(|object| (std::cmp::Reverse(object.bytes()), object.id));
        Objects { list }
    }

    /// How many bytes the objects in one place have together.
    pub fn bytes_in(&self, place: ObjectPlace) -> u64 {
        self.iter().filter(|object| object.place == place).filter_map(ObjectInfo::bytes).sum()
    }

    /// How many objects each process has references to, and how many bytes they have: those with the most bytes first.
    pub fn by_holder(&self) -> Vec<(u32, usize, u64)> {
        let mut sums: BTreeMap<u32, (usize, u64)> = BTreeMap::new();
        for object in self.iter() {
            for pid in &object.held_by {
                let sum = sums.entry(*pid).or_default();
                *sum = (sum.0 + 1, sum.1 + object.bytes().unwrap_or_default());
            }
        }
        let mut sums: Vec<_> = sums.into_iter().map(|(pid, (objects, bytes))| (pid, objects, bytes)).collect();
        sums.sort_by_key(|(pid, _, bytes)| (std::cmp::Reverse(*bytes), *pid));
        sums
    }

    /// All objects, in a sentence.
    pub(super) fn in_short(&self) -> String {
        let places =
            [(ObjectPlace::Table, "in the table"), (ObjectPlace::Memory, "in memory"), (ObjectPlace::Disk, "on disk")];
        let sizes = places.map(|(place, there)| (self.bytes_in(place), there));
        let sizes = sizes.iter().filter(|(bytes, _)| *bytes > 0);
        let sizes: Vec<String> = sizes.map(|(bytes, there)| format!("{} {there}", Size(*bytes))).collect();
        let colon = if sizes.is_empty() { "" } else { ": " };
        format!("{}{colon}{}", counted(self.len(), "object"), sizes.join(", "))
    }
}

/// How many processes are named.
const HOLDERS_MAX: usize = 4;

/// A process, in words. The one that asks is not a number to a person.
fn holder(pid: u32) -> String {
    if pid == std::process::id() { "this process".into() } else { format!("process {pid}") }
}

fn holders(pids: &[u32]) -> String {
    let mut words: Vec<String> = pids.iter().take(HOLDERS_MAX).map(|pid| holder(*pid)).collect();
    if pids.len() > HOLDERS_MAX {
        words.push(format!("{} more", pids.len() - HOLDERS_MAX));
    }
    words.join(", ")
}

impl Tabular<9> for Objects {
    fn table(&self) -> Result<Table<9>, &'static str> {
        if self.is_empty() {
            return Err("there are no objects");
        }
        let mut table =
            Table::new(["object", "cell", "made by", "state", "size", "in", "held by", "holders", "readers"]);
        for object in self.iter().take(ROWS_MAX) {
            let state = match object.state {
                ObjectState::Pending => "pending",
                ObjectState::Ready { .. } => "ready",
                ObjectState::Failed => "failed",
            };
            table.row([
                object.id.to_string(),
                object.cell.map(|cell| cell.to_string()).unwrap_or_default(),
                object.function.clone().unwrap_or_else(|| "put".into()),
                state.into(),
                object.bytes().map(|bytes| Size(bytes).to_string()).unwrap_or_default(),
                object.place.to_string(),
                holders(&object.held_by),
                object.holders.to_string(),
                object.readers.to_string(),
            ]);
        }
        if self.len() > ROWS_MAX {
            table.note(format!("the largest {ROWS_MAX} of {}", self.len()));
        }
        table.note(self.in_short());
        for (pid, objects, bytes) in self.by_holder().into_iter().take(HOLDERS_MAX) {
            table.note(format!("{} has references to {}, {}", holder(pid), counted(objects, "object"), Size(bytes)));
        }
        Ok(table)
    }
}

shown_as_a_table!(Objects);
