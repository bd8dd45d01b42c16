//! The bytes that a client has in its hands: drafts that are being written, and views that are being read.

use crate::abi::Failure;
use crate::protocol::{Extent, ObjectId};
use std::collections::HashMap;
use std::sync::Arc;

const ALIGNMENT: usize = 64;

/// Private bytes that begin at a multiple of 64.
///
/// A vector that is a little too long, of which only the aligned part counts: so that nothing here is unsafe.
#[derive(Debug)]
pub struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Aligned {
        let bytes = vec![0; len + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Aligned { bytes, start, len }
    }

    /// A copy of `content`.
    pub fn copy_of(content: &[u8]) -> Aligned {
        let mut aligned = Aligned::zeroed(content.len());
        aligned.bytes[aligned.start..aligned.start + content.len()].copy_from_slice(content);
        aligned
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// Where to read; stays where it is when `self` moves.
    pub fn ptr(&self) -> *const u8 {
        self.bytes[self.start..].as_ptr()
    }

    /// Where to write.
    pub fn mut_ptr(&mut self) -> *mut u8 {
        self.bytes[self.start..].as_mut_ptr()
    }
}

/// An object that is being written.
#[derive(Debug)]
pub enum Draft {
    /// Small: it will travel in a message.
    Private(Aligned),
    /// Granted by the head.
    Shared(Extent),
}

/// What keeps a view's bytes where they are.
#[derive(Debug)]
pub enum Hold {
    /// A small object's copy, kept for as long as this is.
    Copy {
        /// The bytes that the view points to.
        _bytes: Arc<Aligned>,
    },
    /// One of this process's references to an object in the store.
    Object(ObjectId),
}

/// What this process knows about a finished object. It never changes, so it is remembered for as long as this process
/// has the object.
#[derive(Clone, Debug)]
pub enum Cached {
    /// Small: here it is.
    Copy(Arc<Aligned>),
    /// In the store.
    Shared(Extent),
    /// Its task failed.
    Failed(Arc<Failure>),
    /// It is finished; the head knows more.
    Finished,
}

/// Things that cross the table as a number.
#[derive(Debug)]
pub struct Tokens<T> {
    next: u64,
    things: HashMap<u64, T>,
}

impl<T> Default for Tokens<T> {
    fn default() -> Tokens<T> {
        Tokens { next: 1, things: HashMap::new() }
    }
}

impl<T> Tokens<T> {
    /// Keeps a thing under a number that was never used before.
    pub fn insert(&mut self, thing: T) -> u64 {
        let token = self.next;
        self.next += 1;
        self.things.insert(token, thing);
        token
    }

    /// Takes the thing.
    pub fn remove(&mut self, token: u64) -> Option<T> {
        self.things.remove(&token)
    }

    /// Keeps only those that `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.things.retain(|_, thing| keep(thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_bytes_are_aligned_and_stay_where_they_are() {
        for len in [0, 1, 63, 64, 4096] {
            let mut aligned = Aligned::zeroed(len);
            let ptr = aligned.mut_ptr();
            assert_eq!(ptr as usize % ALIGNMENT, 0);
            let moved = Arc::new(aligned);
            assert_eq!(moved.ptr(), ptr.cast_const());
            assert_eq!(moved.bytes().len(), len);
        }
        assert_eq!(Aligned::copy_of(b"abc").bytes(), b"abc");
    }

    #[test]
    fn a_token_is_never_used_twice() {
        let mut tokens = Tokens::default();
        let first = tokens.insert('a');
        tokens.remove(first);
        assert_ne!(tokens.insert('b'), first);
        assert_eq!(tokens.remove(first), None);
    }
}
