//! Numbers as a plot takes them: slices, vectors and arrays of any type of number.

use crate::array::{Array, Element};
use ndarray::{ArrayBase, Data, Ix1, Ix2};

/// A number that can be drawn.
pub trait Number: Copy {
    /// It as a `f64`.
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($type:ty)*) => {
        $(
            impl Number for $type {
                fn to_f64(self) -> f64 {
                    self as f64
                }
            }
        )*
    };
}

numbers!(u8 u16 u32 u64 usize u128 i8 i16 i32 i64 isize i128 f32 f64);

/// A row of numbers: a slice, a `Vec`, an array of one dimension.
///
/// ```
/// use mobula::show::Numbers;
/// assert_eq!([1u8, 2].numbers(), vec![1.0, 2.0]);
/// ```
pub trait Numbers {
    /// All of them, in order.
    fn numbers(&self) -> Vec<f64>;
}

impl<T: Number> Numbers for [T] {
    fn numbers(&self) -> Vec<f64> {
        self.iter().map(|number| number.to_f64()).collect()
    }
}

impl<T: Number> Numbers for Vec<T> {
    fn numbers(&self) -> Vec<f64> {
        self.as_slice().numbers()
    }
}

impl<T: Number, const N: usize> Numbers for [T; N] {
    fn numbers(&self) -> Vec<f64> {
        self.as_slice().numbers()
    }
}

impl<T: Number, S: Data<Elem = T>> Numbers for ArrayBase<S, Ix1> {
    fn numbers(&self) -> Vec<f64> {
        self.iter().map(|number| number.to_f64()).collect()
    }
}

impl<T: Number + Element> Numbers for Array<T, Ix1> {
    fn numbers(&self) -> Vec<f64> {
        self.view().numbers()
    }
}

impl<N: Numbers + ?Sized> Numbers for &N {
    fn numbers(&self) -> Vec<f64> {
        (**self).numbers()
    }
}

/// Rows of numbers: a slice or `Vec` of rows, an array of two dimensions.
///
/// ```
/// use mobula::show::Grid;
/// assert_eq!(mobula::ndarray::array![[1, 2], [3, 4]].rows_of_numbers(), vec![vec![1.0, 2.0], vec![3.0, 4.0]]);
/// ```
pub trait Grid {
    /// All rows, from the top.
    fn rows_of_numbers(&self) -> Vec<Vec<f64>>;
}

impl<R: Numbers> Grid for [R] {
    fn rows_of_numbers(&self) -> Vec<Vec<f64>> {
        self.iter().map(Numbers::numbers).collect()
    }
}

impl<R: Numbers> Grid for Vec<R> {
    fn rows_of_numbers(&self) -> Vec<Vec<f64>> {
        self.as_slice().rows_of_numbers()
    }
}

impl<R: Numbers, const N: usize> Grid for [R; N] {
    fn rows_of_numbers(&self) -> Vec<Vec<f64>> {
        self.as_slice().rows_of_numbers()
    }
}

impl<T: Number, S: Data<Elem = T>> Grid for ArrayBase<S, Ix2> {
    fn rows_of_numbers(&self) -> Vec<Vec<f64>> {
        self.rows().into_iter().map(|row| row.numbers()).collect()
    }
}

impl<T: Number + Element> Grid for Array<T, Ix2> {
    fn rows_of_numbers(&self) -> Vec<Vec<f64>> {
        self.view().rows_of_numbers()
    }
}

impl<G: Grid + ?Sized> Grid for &G {
    fn rows_of_numbers(&self) -> Vec<Vec<f64>> {
        (**self).rows_of_numbers()
    }
}
