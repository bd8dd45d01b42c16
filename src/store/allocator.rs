//! Which bytes of the region are free: best fit, neighbours merged.
//!
//! ```text
//!   │ used │ free (offset, len) │ used │ free │ …        by_offset: finds the neighbours to merge with
//!                                                          by_len:    finds the smallest that is large enough
//! ```
//!
//! Best fit, because recycled pages are warm: an object of the same size as one that was just freed gets its place.
//!
//! # Invariants
//! - Every extent begins and ends at a multiple of [`ALIGNMENT`].
//! - Two free extents never touch.

use crate::protocol::Extent;
use std::collections::{BTreeMap, BTreeSet};

/// Objects begin at multiples of this many bytes: a cache line, and enough for any vector type.
pub const ALIGNMENT: u64 = 64;

/// The free list of one region.
#[derive(Debug)]
pub struct Allocator {
    limit: u64,
    used: u64,
    by_offset: BTreeMap<u64, u64>,
    by_len: BTreeSet<(u64, u64)>,
}

impl Allocator {
    /// Everything below `limit` bytes (rounded down to [`ALIGNMENT`]) is free.
    pub fn new(limit: u64) -> Allocator {
        let limit = limit / ALIGNMENT * ALIGNMENT;
        let mut allocator = Allocator { limit, used: 0, by_offset: BTreeMap::new(), by_len: BTreeSet::new() };
        if limit > 0 {
            allocator.insert(0, limit);
        }
        allocator
    }

    /// Room for `size` bytes, at least one: the extent has that length; the bytes up to the next multiple of
    /// [`ALIGNMENT`] are taken with it. `None` when no free extent is large enough.
    pub fn alloc(&mut self, size: u64) -> Option<Extent> {
        let len = rounded(size)?;
        let &(free_len, offset) = self.by_len.range((len, 0)..).next()?;
        self.remove(offset, free_len);
        if free_len > len {
            self.insert(offset + len, free_len - len);
        }
        self.used += len;
        Some(Extent { offset, len: size })
    }

    /// Takes back what [`Allocator::alloc`] gave.
    pub fn free(&mut self, extent: Extent) {
        let Some(mut len) = rounded(extent.len) else { return };
        let mut offset = extent.offset;
        self.used = self.used.saturating_sub(len);
        if let Some((&before, &before_len)) = self.by_offset.range(..offset).next_back()
            && before + before_len == offset
        {
            self.remove(before, before_len);
            (offset, len) = (before, before_len + len);
        }
        if let Some(&after_len) = self.by_offset.get(&(offset + len)) {
            self.remove(offset + len, after_len);
            len += after_len;
        }
        self.insert(offset, len);
    }

    /// Bytes in use, rounded up to whole pieces of [`ALIGNMENT`].
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The largest object that there is room for, in bytes.
    pub fn largest_free(&self) -> u64 {
        self.by_len.last().map_or(0, |&(len, _)| len)
    }

    fn insert(&mut self, offset: u64, len: u64) {
        self.by_offset.insert(offset, len);
        self.by_len.insert((len, offset));
    }

    fn remove(&mut self, offset: u64, len: u64) {
        self.by_offset.remove(&offset);
        self.by_len.remove(&(len, offset));
    }
}

fn rounded(size: u64) -> Option<u64> {
    size.max(1).checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::objects::tests::Dice;

    #[test]
    fn freed_neighbours_become_one() {
        let mut allocator = Allocator::new(256);
        let extents: Vec<_> = (0..4).map(|_| allocator.alloc(64).unwrap()).collect();
        assert_eq!(allocator.alloc(1), None);
        for index in [0, 2, 1, 3] {
            allocator.free(extents[index]);
        }
        assert_eq!(allocator.alloc(256), Some(Extent { offset: 0, len: 256 }));
    }

    #[test]
    fn the_smallest_hole_that_fits_is_taken() {
        let mut allocator = Allocator::new(1024);
        let [wide, _, narrow, _] = [256, 64, 128, 64].map(|len| allocator.alloc(len).unwrap());
        allocator.free(wide);
        allocator.free(narrow);
        assert_eq!(allocator.alloc(100).unwrap().offset, narrow.offset);
    }

    #[test]
    fn a_size_that_is_no_number_is_refused() {
        let mut allocator = Allocator::new(1024);
        assert_eq!(allocator.alloc(u64::MAX), None);
        assert_eq!(allocator.used(), 0);
    }

    /// Against a model: one flag for each piece of 64 bytes.
    #[test]
    fn no_byte_has_two_owners_and_none_is_lost() {
        const PIECES: usize = 64;
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let mut allocator = Allocator::new(PIECES as u64 * ALIGNMENT);
            let mut taken = [false; PIECES];
            let mut live: Vec<Extent> = Vec::new();
            let pieces = |extent: Extent| {
                let first = (extent.offset / ALIGNMENT) as usize;
                first..first + extent.len.max(1).div_ceil(ALIGNMENT) as usize
            };
            for _ in 0..400 {
                if dice.below(2) == 0 || live.is_empty() {
                    let size = dice.below(10 * ALIGNMENT);
                    let wanted = size.max(1).div_ceil(ALIGNMENT) as usize;
                    let possible = taken.windows(wanted).any(|window| window.iter().all(|taken| !taken));
                    match allocator.alloc(size) {
                        Some(extent) => {
                            assert_eq!(extent.offset % ALIGNMENT, 0, "seed {seed}");
                            for piece in pieces(extent) {
                                assert!(!std::mem::replace(&mut taken[piece], true), "seed {seed}: given twice");
                            }
                            live.push(extent);
                        }
                        None => assert!(!possible, "seed {seed}: {size} bytes fit and were refused"),
                    }
                } else {
                    let extent = live.swap_remove(dice.below(live.len() as u64) as usize);
                    pieces(extent).for_each(|piece| taken[piece] = false);
                    allocator.free(extent);
                }
                let used = taken.iter().filter(|taken| **taken).count() as u64 * ALIGNMENT;
                assert_eq!(allocator.used(), used, "seed {seed}");
            }
        }
    }
}
