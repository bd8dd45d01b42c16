//! Objects in a process's own memory: drafts that are being written, and views that are open, by number.

use crate::{Draft, View};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const ALIGNMENT: usize = 64;

/// Private bytes that begin at a multiple of 64.
///
/// A vector that is a little too long, of which only the aligned part is used, so that nothing here is unsafe.
#[derive(Debug)]
pub struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    #[inline]
    pub fn zeroed(len: usize) -> Aligned {
        let bytes = vec![0; len + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Aligned { bytes, start, len }
    }

    /// Sets the length to `len`. False when the buffer is not large enough.
    #[inline]
    pub fn resize(&mut self, len: usize) -> bool {
        let fits = self.bytes.len() >= len + ALIGNMENT;
        if fits {
            self.len = len;
        }
        fits
    }

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// The bytes, to write.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }

    /// The address to read at; it stays the same when `self` moves.
    #[inline]
    pub fn ptr(&self) -> *const u8 {
        self.bytes[self.start..].as_ptr()
    }

    /// The address to write at.
    #[inline]
    pub fn mut_ptr(&mut self) -> *mut u8 {
        self.bytes[self.start..].as_mut_ptr()
    }
}

impl From<&[u8]> for Aligned {
    fn from(bytes: &[u8]) -> Aligned {
        let mut aligned = Aligned::zeroed(bytes.len());
        aligned.bytes_mut().copy_from_slice(bytes);
        aligned
    }
}

/// The drafts and the open views of a process. `K` is what keeps the bytes of a view where they are.
#[derive(Debug)]
pub struct Desk<K> {
    last: u64,
    drafts: HashMap<u64, Aligned>,
    holds: HashMap<u64, K>,
}

impl<K> Default for Desk<K> {
    fn default() -> Desk<K> {
        Desk { last: 0, drafts: HashMap::new(), holds: HashMap::new() }
    }
}

impl<K> Desk<K> {
    /// A number that this desk has not given out.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Begins a draft in this memory.
    pub fn begin(&mut self, mut memory: Aligned) -> Draft {
        let draft = Draft { token: self.number(), ptr: memory.mut_ptr() };
        self.drafts.insert(draft.token, memory);
        draft
    }

    /// Ends a draft; `None` when it has ended already.
    pub fn take(&mut self, draft: u64) -> Option<Aligned> {
        self.drafts.remove(&draft)
    }

    /// Opens a view of bytes that `keep` keeps.
    pub fn open(&mut self, ptr: *const u8, len: u64, keep: K) -> View {
        let hold = self.number();
        self.holds.insert(hold, keep);
        View { ptr, len, hold }
    }

    /// Ends a view, and returns what kept its bytes.
    pub fn close(&mut self, hold: u64) -> Option<K> {
        self.holds.remove(&hold)
    }

    /// Whether a view is open.
    pub fn is_open(&self, hold: u64) -> bool {
        self.holds.contains_key(&hold)
    }
}

/// An id that no other process gives to an object: 62 random bits, with one before them that is set, so that it fits a signed number, too.
pub fn unique_id() -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static LAST: AtomicU64 = AtomicU64::new(0);
    // A process that was forked has the seed of its parent, and not its number.
    (SEED.hash_one((LAST.fetch_add(1, Ordering::Relaxed), std::process::id())) & (u64::MAX >> 2)) | 1 << 62
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
            let moved = Box::new(aligned);
            assert_eq!(moved.ptr(), ptr.cast_const());
            assert_eq!(moved.bytes().len(), len);
        }
    }

    #[test]
    fn a_draft_ends_once_and_a_view_is_open_until_it_is_closed() {
        let mut desk = Desk::default();
        let draft = desk.begin(Aligned::from(&b"seven"[..]));
        let memory = desk.take(draft.token).unwrap();
        assert_eq!((memory.bytes(), desk.take(draft.token).is_none()), (&b"seven"[..], true));
        let view = desk.open(memory.ptr(), memory.len() as u64, "kept");
        assert!(desk.is_open(view.hold));
        assert_eq!((desk.close(view.hold), desk.close(view.hold)), (Some("kept"), None));
    }

    #[test]
    fn ids_differ_and_fit_a_signed_number() {
        let ids: std::collections::HashSet<u64> = (0..1000).map(|_| unique_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| i64::try_from(*id).is_ok() && id >> 62 == 1));
    }
}
