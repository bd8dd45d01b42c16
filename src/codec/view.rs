//! Plain data that never changes, with what keeps it in memory.
#![allow(unsafe_code)] // A slice whose owner is known only at run time; the only file of the codec that needs it.

use super::DecodeError;
use crate::table::Hold;
use bytemuck::{AnyBitPattern, NoUninit};
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// A slice that shares its owner: a vector of this process, or an object in the store. Cheap to clone.
///
/// # Invariant
/// `ptr` and `len` describe initialised values of `T` that nobody changes, and that stay where they are as long as `owner`
/// (or a clone of it) exists. Every constructor argues this.
pub(crate) struct Shared<T> {
    ptr: NonNull<T>,
    len: usize,
    owner: Arc<dyn Send + Sync>,
}

// SAFETY: it gives out nothing but `&T`, as `Arc<[T]>` does, whose conditions these are; `owner` is both already.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T: Copy + Send + Sync + 'static> From<Vec<T>> for Shared<T> {
    /// The vector itself becomes the owner; nothing is copied.
    fn from(values: Vec<T>) -> Shared<T> {
        // The invariant: nobody can reach the vector in the `Arc` to change or shrink it, and its elements stay where they
        // are when the vector itself is moved there.
        let ptr = NonNull::from(values.as_slice()).cast();
        Shared { ptr, len: values.len(), owner: Arc::new(values) }
    }
}

impl From<Hold> for Shared<u8> {
    fn from(hold: Hold) -> Shared<u8> {
        // The invariant: a sealed object never changes, and its bytes stay until the hold is dropped.
        let ptr = NonNull::from(hold.bytes()).cast();
        Shared { ptr, len: hold.bytes().len(), owner: Arc::new(hold) }
    }
}

#[cfg(feature = "arrow")]
impl From<arrow_buffer::Buffer> for Shared<u8> {
    fn from(buffer: arrow_buffer::Buffer) -> Shared<u8> {
        // The invariant: arrow gives its memory away mutably only to whoever has the one reference to it, and this one is kept; the memory
        // lies outside of the `Buffer` that is moved into the `Arc`.
        let (ptr, len) = (NonNull::from(buffer.as_slice()).cast(), buffer.len());
        Shared { ptr, len, owner: Arc::new(buffer) }
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the type's invariant; the slice is borrowed from `self`, which has the owner.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { ptr: self.ptr, len: self.len, owner: self.owner.clone() }
    }
}

impl<T> Shared<T> {
    /// A part of it; `None` when the range is not inside.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Shared<T>> {
        self.get(range).map(|part| self.with(part))
    }

    /// The same owner with a slice that was borrowed from this value.
    fn with<U>(&self, part: &[U]) -> Shared<U> {
        // The invariant: all callers derive `part` from `self`'s own slice, so it lies in what `owner` keeps.
        Shared { ptr: NonNull::from(part).cast(), len: part.len(), owner: self.owner.clone() }
    }

    /// The slice without its borrow.
    ///
    /// # Safety
    /// The caller must not use it, or let anybody use it, after it has dropped the last clone of this value that it holds.
    pub(crate) unsafe fn unbound<'a>(&self) -> &'a [T] {
        // SAFETY: the type's invariant makes it a valid slice for as long as the owner lives, which the caller sees to.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: NoUninit> Shared<T> {
    /// The same memory as bytes.
    pub(crate) fn bytes(&self) -> Shared<u8> {
        self.with(bytemuck::cast_slice(self))
    }
}

impl Shared<u8> {
    /// The same memory as values of a type that every pattern of bits is a value of. Costs the same for any length.
    pub(crate) fn cast<T: AnyBitPattern + NoUninit>(&self) -> Result<Shared<T>, DecodeError> {
        bytemuck::try_cast_slice(self).map(|part| self.with(part)).map_err(|_| UNFIT)
    }

    /// The same memory as `bool`s; looks at all of them.
    ///
    /// The one cast whose cost grows with the length. A mark in the object, set by whoever wrote it from real `bool`s, would
    /// make it as cheap as the others, and was dropped: one flipped bit behind a good mark would be undefined behaviour here
    /// instead of a [`DecodeError`], and no mark can be checked without the bytes that it is about. So they are read, as fast
    /// as memory gives them.
    pub(crate) fn cast_checked(&self) -> Result<Shared<bool>, DecodeError> {
        // Joined a piece at a time, which the compiler does with vectors, as it does not with a search for the first bad one.
        let all = |piece: &[u8]| piece.iter().fold(0, |joined, byte| joined | byte);
        if !self.chunks(1 << 10).all(|piece| all(piece) <= 1) {
            return Err(UNFIT);
        }
        // SAFETY: the type's invariant makes them readable bytes that nobody changes after they were looked at, and the lines
        // above make every one of them 0 or 1, which is a `bool`; that is as large as a byte and needs no more alignment.
        let part = unsafe { std::slice::from_raw_parts(self.ptr.as_ptr().cast::<bool>(), self.len) };
        Ok(self.with(part))
    }
}

const UNFIT: DecodeError = DecodeError::Damaged("an array's bytes are not values of its element type");

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
