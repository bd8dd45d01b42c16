//! `actors()`: the actors of a runtime.

use super::super::answer;
use super::{cell_in_words, list};
use crate::abi::{ActorEntry, ActorState, Answer, Question};
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::object::ObjectId;

/// Returns the actors of this runtime, oldest first, with those that are dead as long as somebody has a handle of them: a
/// slice that displays as a table. As Ray's `list_actors`.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// struct Counter(i64);
/// impl Counter {
///     fn new() -> Counter {
///         Counter(0)
///     }
/// }
/// let counter = Counter::new.options().name("mine").spawn();
/// assert!(actors().iter().any(|actor| actor.name.as_deref() == Some("mine") && actor.type_name == "Counter"));
/// ```
#[track_caller]
pub fn actors() -> Actors {
    match answer(&Question::Actors) {
        Answer::Actors(entries) => Actors { list: entries.into_iter().map(ActorInfo::from).collect() },
        other => panic!("the runtime answered `actors` with {other:?}"),
    }
}

/// One actor, as [`actors`](crate::actors) lists it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActorInfo {
    /// The id of the object that stands for it.
    pub id: ObjectId,
    /// Its type.
    pub type_name: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// How it is.
    pub state: ActorState,
    /// The session that made it, if that is another one of a shared runtime.
    pub session: Option<u8>,
    /// The cell that made it; `None` outside a session.
    pub cell: Option<u64>,
    /// How often it was made again.
    pub restarts: u32,
    /// How many of its calls have not ended.
    pub calls: u64,
    /// How it ended, if it is dead.
    pub death: Option<String>,
}

impl From<ActorEntry> for ActorInfo {
    fn from(entry: ActorEntry) -> ActorInfo {
        let ActorEntry { id, type_name, name, state, session, cell, restarts, calls, death } = entry;
        let session = Some(session).filter(|session| *session != 0);
        let cell = Some(cell).filter(|cell| *cell != 0);
        ActorInfo { id: ObjectId(id), type_name, name, state, session, cell, restarts, calls, death }
    }
}

impl ActorInfo {
    /// Its process, while it has one.
    pub fn pid(&self) -> Option<u32> {
        match self.state {
            ActorState::Alive { pid } => Some(pid),
            ActorState::Starting | ActorState::Dead => None,
        }
    }

    /// What a person calls it: its name, or its type.
    pub(super) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.type_name)
    }
}

/// Actors, oldest first. Derefs to a slice of [`ActorInfo`]; displays as a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actors {
    list: Vec<ActorInfo>,
}

list!(Actors of ActorInfo);

impl Tabular<8> for Actors {
    fn table(&self) -> Result<Table<8>, &'static str> {
        if self.is_empty() {
            return Err("there are no actors");
        }
        let mut table = Table::new(["cell", "actor", "name", "state", "pid", "restarts", "calls", "how it ended"]);
        for actor in &self.list {
            table.row([
                cell_in_words(actor.cell, actor.session),
                actor.type_name.clone(),
                actor.name.clone().unwrap_or_default(),
                actor.state.to_string(),
                actor.pid().map(|pid| pid.to_string()).unwrap_or_default(),
                actor.restarts.to_string(),
                actor.calls.to_string(),
                actor.death.clone().unwrap_or_default(),
            ]);
        }
        Ok(table)
    }
}

shown_as_a_table!(Actors);
