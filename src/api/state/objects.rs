//! `objects()`: what is in the store.

use super::super::answer;
use super::{ROWS_MAX, counted, list};
use crate::abi::{Answer, ObjectEntry, ObjectPlace, ObjectState, Question};
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::error::Size;
use crate::object::ObjectId;

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
    /// How many processes have a reference to it.
    pub references: u32,
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
            let ObjectEntry { id, state, place, references, holders, readers } = entry;
            ObjectInfo { id: ObjectId(id), state, place, references, holders, readers }
        };
        let mut list: Vec<ObjectInfo> = entries.into_iter().map(info).collect();
        list.sort_by_key(|object| (std::cmp::Reverse(object.bytes()), object.id));
        Objects { list }
    }

    /// How many bytes the objects in one place have together.
    pub fn bytes_in(&self, place: ObjectPlace) -> u64 {
        self.iter().filter(|object| object.place == place).filter_map(ObjectInfo::bytes).sum()
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

impl Tabular<7> for Objects {
    fn table(&self) -> Result<Table<7>, &'static str> {
        if self.is_empty() {
            return Err("there are no objects");
        }
        let mut table = Table::new(["object", "state", "size", "in", "references", "holders", "readers"]);
        for object in self.iter().take(ROWS_MAX) {
            let state = match object.state {
                ObjectState::Pending => "pending",
                ObjectState::Ready { .. } => "ready",
                ObjectState::Failed => "failed",
            };
            table.row([
                object.id.to_string(),
                state.into(),
                object.bytes().map(|bytes| Size(bytes).to_string()).unwrap_or_default(),
                object.place.to_string(),
                object.references.to_string(),
                object.holders.to_string(),
                object.readers.to_string(),
            ]);
        }
        if self.len() > ROWS_MAX {
            table.note(format!("the largest {ROWS_MAX} of {}", self.len()));
        }
        table.note(self.in_short());
        Ok(table)
    }
}

shown_as_a_table!(Objects);
