//! Memory sizes of the session's variables, for `:vars`.
//!
//! The types listed here add the memory that they own elsewhere; every other value counts as the size of its type. As
//! in `display`, Rust's order of method lookup decides, here on a `&Weighed<T>`: first [`Owning`], then [`Plain`].

use crate::display::Table;
use crate::error::Size;
use ndarray::Dimension;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// A value to be measured.
pub struct Weighed<'a, T: ?Sized>(pub &'a T);

/// The size of a value alone.
pub trait Plain {
    /// The size in bytes.
    fn bytes(&self) -> usize;
}

impl<T: ?Sized> Plain for &Weighed<'_, T> {
    fn bytes(&self) -> usize {
        size_of_val(self.0)
    }
}

/// The size of a value with the memory that it owns. Memory that its elements own in turn is not counted.
pub trait Owning {
    /// The size in bytes.
    fn bytes(&self) -> usize;
}

/// Implements [`Owning`], from lines of `type: bytes elsewhere`.
macro_rules! owning {
    ($(($($generics:tt)*) $type:ty: |$value:ident| $elsewhere:expr;)*) => {
        $(impl<$($generics)*> Owning for Weighed<'_, $type> {
            fn bytes(&self) -> usize {
                let $value = self.0;
                size_of_val($value) + $elsewhere
            }
        })*
    };
}

owning! {
    () String: |text| text.capacity();
    (T) Vec<T>: |list| list.capacity() * size_of::<T>();
    (T) Box<T>: |boxed| size_of_val(&**boxed);
    (T) Box<[T]>: |boxed| size_of_val(&**boxed);
    (T) VecDeque<T>: |list| list.capacity() * size_of::<T>();
    (K, V, S) HashMap<K, V, S>: |map| map.capacity() * (size_of::<(K, V)>() + 1);
    (T, S) HashSet<T, S>: |set| set.capacity() * (size_of::<T>() + 1);
    (K, V) BTreeMap<K, V>: |map| map.len() * size_of::<(K, V)>();
    (T) BTreeSet<T>: |set| set.len() * size_of::<T>();
    (T, D: Dimension) ndarray::Array<T, D>: |array| array.len() * size_of::<T>();
}

/// One line of the table: name, type, the size if the variable exists, and otherwise what has become of it.
pub type Row = (&'static str, &'static str, Option<usize>, &'static str);

/// Prints the table.
pub fn print_variables(rows: &[Row]) {
    let mut table = Table::new(["variable", "type", "size", ""]);
    for (name, ty, bytes, standing) in rows {
        let size = bytes.map(|bytes| Size(bytes as u64).to_string()).unwrap_or_default();
        table.row([(*name).into(), (*ty).into(), size, (*standing).into()]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::{Owning as _, Plain as _, Weighed};

    #[test]
    #[allow(clippy::needless_borrow, reason = "as the session writes it, of types that it does not know")]
    fn a_value_is_as_large_as_it_is_with_the_memory_that_it_owns() {
        struct Mine(u64);
        assert_eq!((&Weighed(&1_i64)).bytes(), 8);
        assert_eq!((&Weighed(&Mine(1))).bytes(), Mine(8).0 as usize);
        assert_eq!((&Weighed(&vec![1_u16; 100])).bytes(), 24 + 200);
        assert_eq!((&Weighed(&ndarray::Array2::<f64>::zeros((3, 4)))).bytes() - 96, size_of::<ndarray::Array2<f64>>());
    }
}
