//! What `get` takes: one ref, or a list of them, owned or borrowed.

use crate::ObjectRef;

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

    /// The objects' names, in order.
    #[doc(hidden)]
    fn ids(&self) -> Vec<u64>;

    /// Makes the output of as many values as there are ids.
    #[doc(hidden)]
    fn assemble(values: Vec<Self::Item>) -> Self::Output;
}

impl<T> Refs for ObjectRef<T> {
    type Item = T;
    type Output = T;

    fn ids(&self) -> Vec<u64> {
        vec![self.id().0]
    }

    fn assemble(mut values: Vec<T>) -> T {
        values.pop().expect("bug: a ref has one value")
    }
}

impl<T> Refs for [ObjectRef<T>] {
    type Item = T;
    type Output = Vec<T>;

    fn ids(&self) -> Vec<u64> {
        self.iter().map(|object| object.id().0).collect()
    }

    fn assemble(values: Vec<T>) -> Vec<T> {
        values
    }
}

/// What wraps a list is a list.
macro_rules! as_slice {
    ($(($($generics:tt)*) $type:ty),*) => {
        $(impl<T, $($generics)*> Refs for $type {
            type Item = T;
            type Output = Vec<T>;

            fn ids(&self) -> Vec<u64> {
                self[..].ids()
            }

            fn assemble(values: Vec<T>) -> Vec<T> {
                values
            }
        })*
    };
}

as_slice!(() Vec<ObjectRef<T>>, (const N: usize) [ObjectRef<T>; N]);

impl<S: Refs + ?Sized> Refs for &S {
    type Item = S::Item;
    type Output = S::Output;

    fn ids(&self) -> Vec<u64> {
        (**self).ids()
    }

    fn assemble(values: Vec<S::Item>) -> S::Output {
        S::assemble(values)
    }
}
