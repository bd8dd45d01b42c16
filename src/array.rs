//! Read-only arrays that share their elements with the store instead of copying them.
//!
//! ```text
//!   ndarray::Array / Vec ──From──▶ Array / Buffer ──put, argument, result──▶ object (one copy)
//!                                  Array / Buffer ◀──get, argument───────── object (no copy: it points into it)
//! ```
//!
//! They work at any depth inside other serialisable types. A serialiser other than this crate's codec gets all
//! elements: an [`Array`] as its shape and elements, a [`Buffer`] as a sequence. The feature `arrow` adds
//! `RecordBatch`, a table of Arrow columns.
//!
//! # Invariants
//! - The elements never change. To change them, copy them: [`Array::to_owned`], `to_vec` of a [`Buffer`].
//! - As long as an array exists, the memory that it points to stays valid.
#![allow(unsafe_code)] // Two places: a view without a lifetime beside its owner, and memory with an owner for arrow.

#[cfg(feature = "arrow")]
mod arrow;
mod buffer;
mod element;

#[cfg(feature = "arrow")]
pub use arrow::RecordBatch;
pub use buffer::Buffer;
pub use element::Element;

use crate::codec::{Shared, context};
use ndarray::{ArrayBase, ArrayRef, ArrayView, Data, Dimension, Ix1};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// A read-only array of `T` with the dimensions `D` (as [`ndarray`] names them) that shares its elements instead of
/// copying them. Cheap to clone.
///
/// It dereferences to [`ndarray::ArrayRef`], so everything that reads an array works on it: indexing, iterating, slicing,
/// `sum`, `dot`, arithmetic on `&*a` or [`view`](Array::view).
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// use mobula::ndarray::{Ix2, array};
///
/// fn total(table: Array<f64, Ix2>) -> f64 {
///     table.sum()
/// }
/// let table = put(&Array::from(array![[1.0, 2.0], [3.0, 4.0]])).unwrap();
/// assert_eq!(get(total.remote(&table))?, 10.0);
/// assert_eq!(get(&table)?[[1, 0]], 3.0);
/// # Ok::<(), mobula::GetError>(())
/// ```
pub struct Array<T: Element, D: Dimension = Ix1> {
    /// Points into `data`, so it is valid only as long as `data`. It is lent out only while `self` is borrowed.
    view: ArrayView<'static, T, D>,
    data: Shared<T>,
}

impl<T: Element, D: Dimension> Array<T, D> {
    /// An array of dimension `dim` over elements in row-major order. Returns `None` if their number differs, or
    /// overflows.
    fn new(data: Shared<T>, dim: D) -> Option<Array<T, D>> {
        if dim.size_checked() != Some(data.len()) {
            return None;
        }
        // SAFETY: the slice is used only through `view`, which is private and is dropped before `data`. `deref` and
        // `view()` lend it for no longer than `self` is borrowed, and `clone` clones `view` and `data` together.
        let slice: &'static [T] = unsafe { data.unbound() };
        let view = ArrayView::from_shape(dim, slice).ok()?;
        debug_assert!(view.len() == data.len() && view.is_standard_layout(), "the view is of all elements, in order");
        Some(Array { view, data })
    }

    /// Returns the array as an [`ndarray::ArrayView`].
    pub fn view(&self) -> ArrayView<'_, T, D> {
        self.view.view()
    }

    /// Copies the array into one that the caller owns and can change.
    pub fn to_owned(&self) -> ndarray::Array<T, D> {
        self.view.to_owned()
    }

    /// Returns the elements in row-major order.
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }
}

impl<T: Element, D: Dimension> Deref for Array<T, D> {
    type Target = ArrayRef<T, D>;

    fn deref(&self) -> &ArrayRef<T, D> {
        &self.view
    }
}

impl<T: Element, D: Dimension> Clone for Array<T, D> {
    fn clone(&self) -> Array<T, D> {
        Array { view: self.view.clone(), data: self.data.clone() }
    }
}

impl<T: Element, D: Dimension> From<ndarray::Array<T, D>> for Array<T, D> {
    /// Takes the elements over. They are copied only if they do not lie in row-major order.
    fn from(array: ndarray::Array<T, D>) -> Array<T, D> {
        let dim = array.raw_dim();
        let len = array.len();
        let data = if array.is_standard_layout() {
            let (values, offset) = array.into_raw_vec_and_offset();
            let start = offset.unwrap_or(0);
            Shared::from(values).slice(start..start + len)
        } else {
            Some(Shared::from(array.iter().copied().collect::<Vec<_>>()))
        };
        data.and_then(|data| Array::new(data, dim)).expect("bug: an array has as many elements as its shape says")
    }
}

impl<T: Element, D: Dimension> From<ArrayView<'_, T, D>> for Array<T, D> {
    /// Copies the elements.
    fn from(view: ArrayView<'_, T, D>) -> Array<T, D> {
        Array::from(view.to_owned())
    }
}

impl<T: Element> From<Vec<T>> for Array<T, Ix1> {
    /// Takes the elements over without copying.
    fn from(values: Vec<T>) -> Array<T, Ix1> {
        Array::from(ndarray::Array::from_vec(values))
    }
}

impl<T: Element + PartialEq, D: Dimension> PartialEq for Array<T, D> {
    fn eq(&self, other: &Array<T, D>) -> bool {
        self.view == other.view
    }
}

impl<T: Element + Eq, D: Dimension> Eq for Array<T, D> {}

impl<T: Element + PartialEq, S: Data<Elem = T>, D: Dimension> PartialEq<ArrayBase<S, D>> for Array<T, D> {
    fn eq(&self, other: &ArrayBase<S, D>) -> bool {
        self.view == *other
    }
}

impl<T: Element + fmt::Debug, D: Dimension> fmt::Debug for Array<T, D> {
    /// Formats as ndarray does; long arrays are abbreviated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}

impl<T: Element + fmt::Display, D: Dimension> fmt::Display for Array<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.view, f)
    }
}

/// An array inside an object: its elements are in buffer number `buffer`.
#[derive(Serialize, Deserialize)]
struct OutOfBand<S> {
    buffer: u32,
    kind: u8,
    shape: S,
}

/// An array in any other format.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Array")]
struct InFull<S, E> {
    shape: S,
    data: E,
}

/// A shape that was deserialised. Up to four axes need no allocation, because getting an array takes less time than a
/// few allocations.
struct Shape {
    few: [usize; 4],
    count: usize,
    /// All lengths of a shape with more axes.
    many: Vec<usize>,
}

impl Shape {
    fn lens(&self) -> &[usize] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        struct Lens;
        impl<'de> serde::de::Visitor<'de> for Lens {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the lengths of an array's axes")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut lens: A) -> Result<Shape, A::Error> {
                let mut shape = Shape { few: [0; 4], count: 0, many: Vec::new() };
                while let Some(len) = lens.next_element()? {
                    match shape.few.get_mut(shape.count) {
                        Some(place) => *place = len,
                        None if shape.many.is_empty() => shape.many.extend(shape.few.into_iter().chain([len])),
                        None => shape.many.push(len),
                    }
                    shape.count += 1;
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_seq(Lens)
    }
}

impl<T: Element, D: Dimension> Serialize for Array<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = self.shape();
        match context::put_buffer(serializer.is_human_readable(), || self.data.bytes()) {
            Some(buffer) => OutOfBand { buffer, kind: T::KIND, shape }.serialize(serializer),
            None => InFull { shape, data: &*self.data }.serialize(serializer),
        }
    }
}

impl<'de, T: Element, D: Dimension> Deserialize<'de> for Array<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Array<T, D>, De::Error> {
        let (shape, data) = if context::is_decoding(deserializer.is_human_readable()) {
            let OutOfBand { buffer, kind, shape } = OutOfBand::deserialize(deserializer)?;
            if kind != T::KIND {
                return Err(context::de_error("the array's elements are of another type"));
            }
            let bytes = context::buffer(buffer).ok_or_else(|| context::de_error("the array's elements are missing"))?;
            (shape, T::from_bytes(&bytes).map_err(context::de_error)?)
        } else {
            let InFull { shape, data } = InFull::<Shape, Vec<T>>::deserialize(deserializer)?;
            (shape, Shared::from(data))
        };
        let dim = dimension::<D>(shape.lens())
            .ok_or_else(|| context::de_error("the array has another number of dimensions"))?;
        Array::new(data, dim).ok_or_else(|| context::de_error("the array's shape and its number of elements differ"))
    }
}

/// Makes a `D` of these lengths. Returns `None` if `D` has another number of axes.
fn dimension<D: Dimension>(shape: &[usize]) -> Option<D> {
    if D::NDIM.is_some_and(|axes| axes != shape.len()) {
        return None;
    }
    let mut dim = D::zeros(shape.len());
    dim.slice_mut().copy_from_slice(shape);
    Some(dim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix2, IxDyn, array, s};

    #[test]
    fn an_array_in_row_major_order_is_taken_over_where_it_is() {
        let source = array![[1, 2], [3, 4]];
        let at = source.as_ptr();
        let array = Array::from(source);
        assert_eq!(array.as_slice().as_ptr(), at);
        assert_eq!(array, array![[1, 2], [3, 4]]);
    }

    #[test]
    fn a_slice_of_an_array_keeps_only_its_own_elements() {
        let tail = Array::from(array![1, 2, 3, 4].slice_move(s![2..]));
        assert_eq!(tail.as_slice(), [3, 4]);
    }

    #[test]
    fn an_array_in_any_other_order_is_put_in_order() {
        let array = Array::from(array![[1, 2], [3, 4]].reversed_axes());
        assert_eq!(array.as_slice(), [1, 3, 2, 4]);
        let backwards = Array::from(array![1, 2, 3].slice_move(s![..;-1]));
        assert_eq!(backwards.as_slice(), [3, 2, 1]);
    }

    #[test]
    fn everything_that_reads_an_ndarray_reads_an_array() {
        let array: Array<i64, Ix2> = Array::from(array![[1, 2], [3, 4]]);
        assert_eq!((array.sum(), array[[1, 0]], array.shape(), array.len()), (10, 3, &[2, 2][..], 4));
        assert_eq!(&*array * 2, array![[2, 4], [6, 8]]);
        let mut mine = array.to_owned();
        mine[[0, 0]] = 100;
        assert_eq!(array[[0, 0]], 1);
        assert_eq!(format!("{array:?}"), format!("{:?}", array.view()));
    }

    #[test]
    fn outside_of_an_object_an_array_is_its_shape_and_elements() {
        let array = Array::from(array![[1.5, 2.0]]);
        let json = serde_json::to_string(&array).unwrap();
        assert_eq!(json, r#"{"shape":[1,2],"data":[1.5,2.0]}"#);
        assert_eq!(serde_json::from_str::<Array<f64, Ix2>>(&json).unwrap(), array);
        assert_eq!(serde_json::from_str::<Array<f64, IxDyn>>(&json).unwrap().shape(), [1, 2]);
        let deep = Array::from(ndarray::Array::<f64, IxDyn>::zeros(&[1, 2, 1, 2, 1, 2][..]));
        let json = serde_json::to_string(&deep).unwrap();
        assert_eq!(serde_json::from_str::<Array<f64, IxDyn>>(&json).unwrap(), deep, "also with many axes");
        let json = r#"{"shape":[1,2],"data":[1.5,2.0]}"#;
        assert!(serde_json::from_str::<Array<f64, Ix1>>(json).is_err());
        let huge = r#"{"shape":[18446744073709551615,2],"data":[1.5,2.0]}"#;
        assert!(serde_json::from_str::<Array<f64, Ix2>>(huge).is_err());
    }
}
