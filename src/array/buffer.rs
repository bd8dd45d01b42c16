//! A slice of plain data that is shared instead of copied.

use crate::codec::{Shared, context};
use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// A read-only slice of plain data (`T:` [`bytemuck::Pod`]) that shares its elements instead of copying them. It is for
/// bytes and structures; [`Array`](crate::Array) is for numbers with a shape. Cheap to clone.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn count(text: Buffer<u8>) -> usize {
///     text.iter().filter(|byte| **byte == b'a').count()
/// }
/// assert_eq!(get(count.remote(Buffer::from(b"banana".to_vec())))?, 3);
/// # Ok::<(), mobula::GetError>(())
/// ```
#[derive(Clone)]
pub struct Buffer<T>(Shared<T>);

#[cfg(feature = "arrow")]
impl<T> Buffer<T> {
    /// A buffer of memory with another owner.
    pub(super) fn sharing(memory: Shared<T>) -> Buffer<T> {
        Buffer(memory)
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> AsRef<[T]> for Buffer<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Pod + Send + Sync> From<Vec<T>> for Buffer<T> {
    /// Takes the elements over without copying.
    fn from(values: Vec<T>) -> Buffer<T> {
        Buffer(Shared::from(values))
    }
}

impl<T: Pod + Send + Sync> From<&[T]> for Buffer<T> {
    /// Copies the elements.
    fn from(values: &[T]) -> Buffer<T> {
        Buffer::from(values.to_vec())
    }
}

impl<T: Pod + Send + Sync> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Buffer<T> {
        Buffer::from(values.into_iter().collect::<Vec<_>>())
    }
}

impl<'a, T> IntoIterator for &'a Buffer<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Buffer<T>) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Buffer<T> {}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A buffer inside an object: its elements, of `size` bytes each, are in buffer number `buffer`.
#[derive(Serialize, Deserialize)]
struct OutOfBand {
    buffer: u32,
    size: u32,
}

impl<T: Pod + Serialize> Serialize for Buffer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match context::put_buffer(serializer.is_human_readable(), || self.0.bytes()) {
            Some(buffer) => OutOfBand { buffer, size: size_of::<T>() as u32 }.serialize(serializer),
            None => (**self).serialize(serializer),
        }
    }
}

impl<'de, T: Pod + Send + Sync + Deserialize<'de>> Deserialize<'de> for Buffer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Buffer<T>, D::Error> {
        if !context::is_decoding(deserializer.is_human_readable()) {
            return Vec::deserialize(deserializer).map(Buffer::from);
        }
        let OutOfBand { buffer, size } = OutOfBand::deserialize(deserializer)?;
        if size as usize != size_of::<T>() {
            return Err(context::de_error("the buffer's elements are of another size"));
        }
        let bytes = context::buffer(buffer).ok_or_else(|| context::de_error("the buffer's elements are missing"))?;
        bytes.cast().map(Buffer).map_err(context::de_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_taken_over_where_it_is() {
        let source = vec![1_u16, 2, 3];
        let at = source.as_ptr();
        let buffer = Buffer::from(source);
        assert_eq!((buffer.as_ptr(), &buffer[..]), (at, &[1, 2, 3][..]));
    }

    #[test]
    fn outside_of_an_object_a_buffer_is_a_sequence() {
        let buffer = Buffer::from(vec![[1.0_f32, 2.0], [3.0, 4.0]]);
        let json = serde_json::to_string(&buffer).unwrap();
        assert_eq!(json, "[[1.0,2.0],[3.0,4.0]]");
        assert_eq!(serde_json::from_str::<Buffer<[f32; 2]>>(&json).unwrap(), buffer);
    }
}
