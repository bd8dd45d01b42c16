//! Which bytes of the region have pages behind them.
//!
//! The region is sparse. Whoever is about to write into an extent reserves its pages first, so that a full file system is
//! an error with sizes and never a `SIGBUS`. Pages are not given back when an object is freed: the next object finds them
//! warm, and its writer is told that there is nothing to reserve.
//!
//! # Invariants
//! - Ranges are recorded only after a client said, by sealing, that it has reserved and written them.
//! - Two ranges never touch.

use crate::protocol::Extent;
use std::collections::BTreeMap;

/// A set of byte ranges.
#[derive(Debug, Default)]
pub struct Backing {
    /// Start to end.
    ranges: BTreeMap<u64, u64>,
}

impl Backing {
    /// Whether the whole extent has pages.
    pub fn covers(&self, extent: Extent) -> bool {
        let Some(end) = extent.end() else { return false };
        self.ranges.range(..=extent.offset).next_back().is_some_and(|(_, &backed)| end <= backed)
    }

    /// The whole extent has pages now.
    pub fn add(&mut self, extent: Extent) {
        let Some(mut end) = extent.end() else { return };
        let mut start = extent.offset;
        if let Some((&before, &before_end)) = self.ranges.range(..=start).next_back()
            && before_end >= start
        {
            (start, end) = (before, end.max(before_end));
        }
        while let Some((&inside, &inside_end)) = self.ranges.range(start..=end).next() {
            self.ranges.remove(&inside);
            end = end.max(inside_end);
        }
        self.ranges.insert(start, end);
    }

    /// Bytes with pages.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::objects::tests::Dice;

    fn extent(offset: u64, len: u64) -> Extent {
        Extent { offset, len }
    }

    #[test]
    fn what_was_written_once_need_not_be_reserved_again() {
        let mut backing = Backing::default();
        backing.add(extent(0, 64));
        backing.add(extent(64, 64));
        assert!(backing.covers(extent(32, 96)));
        assert!(!backing.covers(extent(32, 97)));
    }

    #[test]
    fn it_agrees_with_a_set_of_single_bytes() {
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let (mut backing, mut model) = (Backing::default(), [false; 96]);
            for _ in 0..40 {
                let asked = extent(dice.below(64), 1 + dice.below(31));
                let bytes = asked.offset as usize..(asked.offset + asked.len) as usize;
                assert_eq!(backing.covers(asked), model[bytes.clone()].iter().all(|byte| *byte), "seed {seed}");
                backing.add(asked);
                model[bytes].fill(true);
                assert_eq!(backing.bytes(), model.iter().filter(|byte| **byte).count() as u64, "seed {seed}");
            }
        }
    }
}
