//! Tables of what goes on in the runtime: tasks, actors, objects, and all of it as a trace. Ray calls this its state API.
//!
//! Nothing is recorded for these but the end of each run of a task, which its process writes into a ring in shared
//! memory; the rest is read when somebody asks.

mod actors;
mod objects;
mod status;
mod summary;
mod tasks;
mod timeline;

pub use actors::{ActorInfo, Actors, actors};
pub use objects::{ObjectInfo, Objects, objects};
pub use status::{Demand, ResourceStatus, SessionInfo, Status, status};
pub use summary::{Summary, TaskSummary, summary};
pub use tasks::{TaskInfo, Tasks, tasks};
pub use timeline::timeline;

/// How many rows of a long table are shown.
const ROWS_MAX: usize = 100;

/// Gives a list the ways of a slice.
macro_rules! list {
    ($list:ident of $item:ident) => {
        impl std::ops::Deref for $list {
            type Target = [$item];

            fn deref(&self) -> &[$item] {
                &self.list
            }
        }

        impl IntoIterator for $list {
            type Item = $item;
            type IntoIter = std::vec::IntoIter<$item>;

            fn into_iter(self) -> Self::IntoIter {
                self.list.into_iter()
            }
        }
    };
}

use list;

/// An amount with its noun: `1 object`, `2 objects`.
fn counted(amount: usize, noun: &str) -> String {
    let plural = if noun.ends_with('s') { "es" } else { "s" };
    format!("{amount} {noun}{}", if amount == 1 { "" } else { plural })
}

/// A cell as tables show it: its number, with the session if that is another one.
fn cell_in_words(cell: Option<u64>, session: Option<u8>) -> String {
    let number = cell.map(|cell| cell.to_string()).unwrap_or_default();
    match session {
        Some(session) => format!("{number} of session {session}").trim_start().to_owned(),
        None => number,
    }
}
