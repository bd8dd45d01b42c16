//! References to objects: what a task returns at once, in place of its result.
//!
//! ```text
//!   f.remote(…) ─▶ ObjectRef<T> ──clone──▶ ObjectRef<T>      each counts one reference
//!   put(&v)     ─▶     │  └──inside a value──▶ in the store  counts one more, until that object is freed
//!                      └──drop of the last one──▶ the object is freed
//! ```

use crate::abi::{Answer, ObjectState, Question};
use crate::codec::context;
use crate::remote::{Value, project};
use crate::{GetError, cell};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// An object's name: a slot of the object table in the low 32 bits, and in the high ones its generation, which counts how
/// often the slot was used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(pub u64);

impl fmt::Display for ObjectId {
    /// `slot.generation`, both decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 as u32, self.0 >> 32)
    }
}

/// One counted reference to an object, whatever its type. A list of handles is a list of ids to the table, so this is
/// laid out as the id alone.
#[derive(PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Handle(u64);

impl Handle {
    /// Takes over a reference that the runtime counted for the caller.
    pub(crate) fn adopt(id: u64) -> Handle {
        Handle(id)
    }

    /// Counts a new reference.
    pub(crate) fn retain(id: u64) -> Handle {
        cell::retain(&[id]);
        Handle(id)
    }

    pub(crate) fn id(&self) -> u64 {
        self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Handle {
        Handle::retain(self.0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        cell::release(self.0);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ObjectId(self.0).fmt(f)
    }
}

/// A reference to an object of type `T` that a task will make, or that [`put`](crate::put) made.
///
/// It can be cloned cheaply, compared, hashed and sent to other threads; given to a task as an argument (the task starts when
/// the object is ready); and stored inside values that are put or returned. The object is freed when the last reference
/// to it is dropped, in any process.
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
    pub(crate) fn new(handle: Handle) -> ObjectRef<T> {
        ObjectRef { handle, of: PhantomData }
    }

    pub(crate) fn into_handle(self) -> Handle {
        self.handle
    }

    /// The object's name.
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
    fn partial_cmp(&self, other: &ObjectRef<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for ObjectRef<T> {
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
    /// The id and the object's state: `ObjectRef(7.1, ready, 32 bytes)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRef({}, ", self.id())?;
        match cell::ask(&Question::State { id: self.id().0 }) {
            Ok(Answer::State(ObjectState::Pending)) => write!(f, "pending)"),
            Ok(Answer::State(ObjectState::Ready { bytes })) => write!(f, "ready, {bytes} bytes)"),
            Ok(Answer::State(ObjectState::Failed)) => write!(f, "failed)"),
            Ok(_) => write!(f, "state unknown)"),
            Err(fault) => write!(f, "state unknown: {})", GetError::from_fault(fault, Default::default())),
        }
    }
}

impl<T> Serialize for ObjectRef<T> {
    /// Only inside of what is stored in the runtime: elsewhere nobody would count the reference.
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
        // The object being read refers to this one and is open, so this one cannot vanish before it is retained.
        u64::deserialize(deserializer).map(|id| ObjectRef::new(Handle::retain(id)))
    }
}

/// `split` for one tuple type.
macro_rules! split_tuple {
    ($whole:ty: $($index:tt $element:ident),+) => {
        impl<$($element),+> ObjectRef<$whole> {
            /// One reference for each element of a tuple, at once: nothing is waited for. Each element becomes an object of
            /// its own, freed on its own; the tuple is freed when it has been taken apart and nothing else refers to it.
            /// If the tuple's task fails, so does each element.
            ///
            /// # Panics
            /// When the runtime does not take the work, as [`remote`](crate::remote::Remote1::remote) does.
            ///
            /// ```
            /// # mobula::inline::attach();
            /// # use mobula::prelude::*;
            /// fn pair() -> (i64, String) {
            ///     (1, "two".into())
            /// }
            /// let (one, two) = pair.remote().split();
            /// assert_eq!((get(&one)?, get(&two)?), (1, "two".to_string()));
            /// # Ok::<(), mobula::GetError>(())
            /// ```
            #[track_caller]
            pub fn split(self) -> ($(ObjectRef<$element>,)+)
            where
                $($element: Value,)+
            {
                ($(project(concat!("split().", $index), &self, |whole: $whole| whole.$index),)+)
            }
        }
    };
}

// A task's tuple is one object: whether it will be split is not known when it is submitted, and a trampoline that stored the
// elements separately would make every tuple that is only ever got whole cost one object an element. So an element is the
// result of a small task that takes the tuple apart where it lies; the price is that task.
split_tuple!((A, B): 0 A, 1 B);
split_tuple!((A, B, C): 0 A, 1 B, 2 C);
split_tuple!((A, B, C, D): 0 A, 1 B, 2 C, 3 D);
split_tuple!((A, B, C, D, E): 0 A, 1 B, 2 C, 3 D, 4 E);
split_tuple!((A, B, C, D, E, F): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F);
split_tuple!((A, B, C, D, E, F, G): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G);
split_tuple!((A, B, C, D, E, F, G, H): 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 G, 7 H);
