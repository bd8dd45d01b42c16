//! The arguments of `get`: one ref, or a list of them, owned or borrowed.

use super::fetch;
use crate::codec::Value;
use crate::error::GetError;
use crate::object::ObjectRef;
use std::time::Duration;

/// One [`ObjectRef`], or a list of them. Implemented for `ObjectRef<T>`, slices, arrays and `Vec`s of it, and for `&` of those.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `ObjectRef`, nor a list of them",
    label = "expected an `ObjectRef`",
    note = "`get` takes `x`, `&x`, `&[x, y]`, or a `Vec` of refs; to get refs of different types, get each"
)]
pub trait Refs {
    /// The type of one value.
    type Item;
    /// What `get` returns: the value, or a `Vec` of them.
    type Output;

    /// Waits for the objects and reads them. This is not done in `get`, so that one ref needs no list.
    #[doc(hidden)]
    fn fetch(&self, timeout: Option<Duration>) -> Result<Self::Output, GetError>
    where
        Self::Item: Value;
}

impl<T> Refs for ObjectRef<T> {
    type Item = T;
    type Output = T;

    fn fetch(&self, timeout: Option<Duration>) -> Result<T, GetError>
    where
        T: Value,
    {
        fetch::one(self, timeout)
    }
}

/// Implements `Refs` for types of lists.
macro_rules! list {
    ($(($($generics:tt)*) $type:ty),*) => {
        $(impl<T, $($generics)*> Refs for $type {
            type Item = T;
            type Output = Vec<T>;

            fn fetch(&self, timeout: Option<Duration>) -> Result<Vec<T>, GetError>
            where
                T: Value,
            {
                fetch::all(self, timeout)
            }
        })*
    };
}

list!(() [ObjectRef<T>], () Vec<ObjectRef<T>>, (const N: usize) [ObjectRef<T>; N]);

impl<S: Refs + ?Sized> Refs for &S {
    type Item = S::Item;
    type Output = S::Output;

    fn fetch(&self, timeout: Option<Duration>) -> Result<S::Output, GetError>
    where
        S::Item: Value,
    {
        (**self).fetch(timeout)
    }
}
