//! References to objects: a task returns one at once, in place of its result.
//!
//! ```text
//!   f.remote(…) ─▶ ObjectRef<T> ──clone──▶ ObjectRef<T>      each counts one reference
//!   put(&v)     ─▶     │  └──inside a value──▶ in the store  counts one more, until that object is freed
//!                      └──drop of the last one──▶ the object is freed
//! ```

pub use crate::calls::ObjectId;

use crate::abi::{Answer, ObjectState, Question};
use crate::calls::{self, Handle};
use crate::codec::context;
use crate::error::GetError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// A reference to an object of type `T` that a task will make, or that [`put`](crate::put) made.
///
/// It can be cloned cheaply, compared, hashed and sent to other threads. It can be an argument of a task, which starts
/// when the object is ready. It can be stored inside values that are put or returned. The object is freed when the last
/// reference to it is dropped, in any process.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn f(x: i64) -> i64 {
///     x + 1
/// }
/// let x = f.remote(0);
/// let y = f.remote(&x);
/// assert_eq!(get(&[x, y])?, [1, 2]);
/// # Ok::<(), mobula::GetError>(())
/// ```
pub struct ObjectRef<T> {
    handle: Handle,
    of: PhantomData<fn() -> T>,
}

impl<T> ObjectRef<T> {
    #[inline]
    pub(crate) fn new(handle: Handle) -> ObjectRef<T> {
        ObjectRef { handle, of: PhantomData }
    }

    pub(crate) fn into_handle(self) -> Handle {
        self.handle
    }

    /// Returns the object's id.
    #[inline]
    pub fn id(&self) -> ObjectId {
        ObjectId(self.handle.id())
    }
}

impl<T> Clone for ObjectRef<T> {
    fn clone(&self) -> ObjectRef<T> {
        ObjectRef::new(self.handle.clone())
    }
}

impl<T> PartialEq for ObjectRef<T> {
    fn eq(&self, other: &ObjectRef<T>) -> bool {
        self.id() == other.id()
    }
}

impl<T> Eq for ObjectRef<T> {}

impl<T> PartialOrd for ObjectRef<T> {
    #[inline]
    fn partial_cmp(&self, other: &ObjectRef<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for ObjectRef<T> {
    #[inline]
    fn cmp(&self, other: &ObjectRef<T>) -> Ordering {
        self.id().cmp(&other.id())
    }
}

impl<T> Hash for ObjectRef<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<T> fmt::Debug for ObjectRef<T> {
    /// Writes the id and the object's state: `ObjectRef(7.1, ready, 32 bytes)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRef({}, ", self.id())?;
        match calls::ask(&Question::State { id: self.id().0 }) {
            Ok(Answer::State(ObjectState::Pending)) => write!(f, "pending)"),
            Ok(Answer::State(ObjectState::Ready { bytes })) => write!(f, "ready, {bytes} bytes)"),
            Ok(Answer::State(ObjectState::Failed)) => write!(f, "failed)"),
            Ok(_) => write!(f, "state unknown)"),
            Err(fault) => write!(f, "state unknown: {})", GetError::from_fault(fault, Default::default())),
        }
    }
}

impl<T> Serialize for ObjectRef<T> {
    /// Works only inside of a value that the runtime stores: elsewhere the reference would not be counted.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !context::put_ref(serializer.is_human_readable(), &self.handle) {
            return Err(context::ser_error(format_args!(
                "an ObjectRef means something only to the runtime that made it: get its value and serialise that"
            )));
        }
        serializer.serialize_u64(self.handle.id())
    }
}

impl<'de, T> Deserialize<'de> for ObjectRef<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ObjectRef<T>, D::Error> {
        if !context::is_decoding(deserializer.is_human_readable()) {
            return Err(context::de_error("an ObjectRef can be read only from what a runtime stored"));
        }
        // The object being read refers to this one and is open, so this one cannot be freed before it is retained.
        u64::deserialize(deserializer).map(|id| ObjectRef::new(Handle::retain(id)))
    }
}
