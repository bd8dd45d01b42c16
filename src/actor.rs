//! Actors: a value in a process of its own, whose methods are called from anywhere.
//!
//! ```text
//!   Counter::new.spawn(10) ─▶ Actor<Counter>      a process that runs the constructor, and then one call after the other
//!   Counter::add.call(&c, 5) ─▶ ObjectRef<i64>    the address of `call_1::<…>`, and the arguments, as for a task
//! ```
//!
//! What stands for an actor is the object that its constructor's task makes. A handle is a reference to it, so handles can be passed on and
//! stored like any other reference, and the actor ends when there are none.

mod call;
mod spawn;

pub use call::{Call0, Call1, Call2, Call3, Call4, Call5, Call6, Call7, receiver};
pub use spawn::{Spawn0, Spawn1, Spawn2, Spawn3, Spawn4, Spawn5, Spawn6, Spawn7, Spawn8, TryState};

use crate::abi::{ActorState, Answer, Question, shorten};
use crate::calls::{self, Handle, type_id};
use crate::error::ActorError;
use crate::object::{ObjectId, ObjectRef};
use crate::remote::{IntoArg, TaskArg};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A handle of an actor: a `T` in a process of its own.
///
/// `Type::new.spawn(…)` makes one, on any function ([`Spawn1::spawn`]), and `Type::method.call(&actor, …)` calls a method
/// ([`Call1::call`]). Handles can be cloned, compared, passed to tasks and other actors, and stored in objects. When the last one is gone,
/// and the last call has ended, the actor's value is dropped and its process ends; one with a name, or `.detached()`, lives until
/// [`kill`] or the end of the session.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// struct Counter {
///     n: i64,
/// }
/// impl Counter {
///     fn new(n: i64) -> Counter {
///         Counter { n }
///     }
///     fn add(&mut self, by: i64) -> i64 {
///         self.n += by;
///         self.n
///     }
/// }
/// let counter = Counter::new.spawn(10);
/// Counter::add.call(&counter, 1);
/// assert_eq!(get(Counter::add.call(&counter, 2))?, 13); // one caller's calls run in their order
/// # Ok::<(), mobula::GetError>(())
/// ```
pub struct Actor<T> {
    object: ObjectRef<T>,
}

impl<T> Actor<T> {
    pub(crate) fn new(handle: Handle) -> Actor<T> {
        Actor { object: ObjectRef::new(handle) }
    }

    /// Returns the actor's id: that of the object that stands for it.
    pub fn id(&self) -> ObjectId {
        self.object.id()
    }
}

/// Returns a handle of the living actor with this name, from any cell, program or task.
///
/// # Errors
/// [`ActorError::NotFound`], or [`ActorError::OtherType`] when the actor is not a `T`: perhaps `T` was defined anew since.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// # struct Counter;
/// # impl Counter {
/// #     fn new() -> Counter { Counter }
/// #     fn value(&self) -> i64 { 7 }
/// # }
/// Counter::new.options().name("lookup").spawn();
/// let counter = actor::<Counter>("lookup")?;
/// assert_eq!(get(Counter::value.call(&counter)).unwrap(), 7);
/// # kill(&counter)?;
/// # Ok::<(), mobula::ActorError>(())
/// ```
pub fn actor<T: 'static>(name: &str) -> Result<Actor<T>, ActorError> {
    let not_found = || ActorError::NotFound { name: name.into() };
    let found = match calls::ask(&Question::Actor { name: name.into() }).map_err(ActorError::from_fault)? {
        Answer::Actor(found) => found.ok_or_else(not_found)?,
        other => return Err(ActorError::Refused { message: format!("the runtime answered with {other:?}") }),
    };
    if found.type_id != type_id::<T>() {
        let wanted = shorten(std::any::type_name::<T>());
        return Err(ActorError::OtherType { name: name.into(), found: found.type_name, wanted });
    }
    // The runtime refers to it while it lives, so it is there unless it has just ended.
    let actor = Actor::new(Handle::retain(found.id));
    match state(&actor)? {
        Some(_) => Ok(actor),
        None => Err(not_found()),
    }
}

/// Ends an actor for good, at once: as `ray.kill`. The call that it runs, and those that wait, fail with
/// [`GetError::ActorDied`](crate::GetError), and it is not started again. Nothing happens to one that is dead.
///
/// # Errors
/// The runtime is gone.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let sum = (|n: i64| n).spawn(1);
/// kill(&sum)?;
/// let call = (|n: &mut i64| *n).call(&sum);
/// assert!(matches!(get(call), Err(GetError::ActorDied { .. })));
/// # Ok::<(), mobula::ActorError>(())
/// ```
pub fn kill<T>(actor: &Actor<T>) -> Result<(), ActorError> {
    calls::ask(&Question::Kill { id: actor.id().0 }).map(drop).map_err(ActorError::from_fault)
}

fn state<T>(actor: &Actor<T>) -> Result<Option<ActorState>, ActorError> {
    match calls::ask(&Question::ActorState { id: actor.id().0 }).map_err(ActorError::from_fault)? {
        Answer::ActorState(state) => Ok(state),
        other => Err(ActorError::Refused { message: format!("the runtime answered with {other:?}") }),
    }
}

impl<T> Clone for Actor<T> {
    fn clone(&self) -> Actor<T> {
        Actor { object: self.object.clone() }
    }
}

impl<T> PartialEq for Actor<T> {
    fn eq(&self, other: &Actor<T>) -> bool {
        self.object == other.object
    }
}

impl<T> Eq for Actor<T> {}

impl<T> Hash for Actor<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.object.hash(state);
    }
}

impl<T> fmt::Debug for Actor<T> {
    /// Writes the type, the id and the state: `Actor(Counter, 7.1, alive, pid 1234)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({}, {}, ", shorten(std::any::type_name::<T>()), self.id())?;
        match state(self) {
            Ok(Some(ActorState::Starting)) => write!(f, "starting)"),
            Ok(Some(ActorState::Alive { pid })) => write!(f, "alive, pid {pid})"),
            Ok(Some(ActorState::Dead)) => write!(f, "dead)"),
            Ok(None) => write!(f, "gone)"),
            Err(error) => write!(f, "state unknown: {error})"),
        }
    }
}

impl<T> Serialize for Actor<T> {
    /// As [`ObjectRef`]: works only inside of a value that the runtime stores.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Actor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Actor<T>, D::Error> {
        ObjectRef::deserialize(deserializer).map(|object| Actor { object })
    }
}

impl<T> IntoArg<Actor<T>> for &Actor<T> {
    fn into_arg(self) -> TaskArg<Actor<T>> {
        TaskArg::Value(self.clone())
    }
}
