//! Immutable plain data that shares the ownership of its memory.
#![allow(unsafe_code)] // A slice whose owner is known only at run time. No other file of the codec needs `unsafe`.

use super::DecodeError;
use crate::calls::Hold;
use bytemuck::{AnyBitPattern, NoUninit};
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// A slice that shares its owner: a vector of this process, or an object in the store. Cheap to clone.
///
/// # Invariant
/// `ptr` and `len` describe initialised values of `T` that never change, and that stay in place as long as `owner` (or
/// a clone of it) exists. Every constructor argues this.
pub(crate) struct Shared<T> {
    ptr: NonNull<T>,
    len: usize,
    owner: Arc<dyn Send + Sync>,
}

// SAFETY: it gives out only `&T`, as `Arc<[T]>` does, and has the same bounds. `owner` is `Send` and `Sync` itself.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T: Copy + Send + Sync + 'static> From<Vec<T>> for Shared<T> {
    /// Makes the vector itself the owner. Nothing is copied.
    fn from(values: Vec<T>) -> Shared<T> {
        // The invariant: the vector in the `Arc` cannot be reached to change or shrink it, and moving the vector there
        // leaves its elements in place.
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
        // The invariant: arrow gives mutable access only to the holder of the one reference to its memory, and this
        // reference is kept. The memory lies outside of the `Buffer` that is moved into the `Arc`.
        let (ptr, len) = (NonNull::from(buffer.as_slice()).cast(), buffer.len());
        Shared { ptr, len, owner: Arc::new(buffer) }
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: by the type's invariant there are `len` initialised values at `ptr`, which never change. The slice
        // borrows `self`, which keeps the owner.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { ptr: self.ptr, len: self.len, owner: self.owner.clone() }
    }
}

impl<T> Shared<T> {
    /// A part of the slice. Returns `None` if the range is not inside.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Shared<T>> {
        self.get(range).map(|part| self.with(part))
    }

    /// A slice that was borrowed from this value, with the same owner.
    fn with<U>(&self, part: &[U]) -> Shared<U> {
        // The invariant: all callers derive `part` from `self`'s own slice, so it lies in what `owner` keeps.
        Shared { ptr: NonNull::from(part).cast(), len: part.len(), owner: self.owner.clone() }
    }

    /// The slice, not bound to the borrow of `self`.
    ///
    /// # Safety
    /// The caller must not use the slice, or let other code use it, after it has dropped its last clone of this value.
    pub(crate) unsafe fn unbound<'a>(&self) -> &'a [T] {
        // SAFETY: by the type's invariant the slice is valid as long as the owner lives, which the caller promises.
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
    /// The same memory as values of a type for which every bit pattern is valid. Costs the same for any length.
    pub(crate) fn cast<T: AnyBitPattern + NoUninit>(&self) -> Result<Shared<T>, DecodeError> {
        bytemuck::try_cast_slice(self).map(|part| self.with(part)).map_err(|_| UNFIT)
    }

    /// The same memory as `bool`s. Checks all of them.
    ///
    /// This is the only cast whose cost grows with the length. A mark in the object, set when real `bool`s were
    /// written, would make it as cheap as the others, and was dropped: one flipped bit behind a good mark would be
    /// undefined behaviour here instead of a [`DecodeError`], and no mark can be checked without the bytes that it is
    /// about. So they are read, as fast as memory gives them.
    pub(crate) fn cast_checked(&self) -> Result<Shared<bool>, DecodeError> {
        // The compiler turns this fold over a piece into vector instructions, but not a search for the first bad byte.
        let all = |piece: &[u8]| piece.iter().fold(0, |joined, byte| joined | byte);
        if !self.chunks(1 << 10).all(|piece| all(piece) <= 1) {
            return Err(UNFIT);
        }
        // SAFETY: by the type's invariant there are `len` readable bytes, which do not change after they were checked.
        // The lines above found every byte to be 0 or 1, which is a `bool`. A `bool` has the size and the alignment of
        // a byte.
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
