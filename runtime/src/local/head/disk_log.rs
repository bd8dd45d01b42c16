//! The log of objects that went to disk and came back: for the web page. The newest are remembered.

use super::Head;
use crate::abi::DiskMove;
use crate::protocol::ObjectId;
use crate::store::{Clock, ticks};
use std::collections::VecDeque;

/// How many moves are remembered.
const MOVES_MAX: usize = 4096;

/// Moves, with times in ticks.
#[derive(Debug, Default)]
pub(super) struct DiskLog {
    moves: VecDeque<DiskMove>,
    last: u64,
}

impl DiskLog {
    /// Notes a move that has just ended.
    fn note(&mut self, id: ObjectId, bytes: u64, is_back: bool, began: u64) {
        self.last += 1;
        if self.moves.len() == MOVES_MAX {
            self.moves.pop_front();
        }
        self.moves.push_back(DiskMove { number: self.last, id: id.0, bytes, is_back, began, ended: ticks() });
    }

    /// The moves after the one of this number.
    fn after(&self, number: u64, clock: Clock) -> Vec<DiskMove> {
        let time = |ticks: u64| clock.time_of(ticks).unwrap_or(0);
        let new = self.moves.iter().filter(|it| it.number > number);
        new.map(|it| DiskMove { began: time(it.began), ended: time(it.ended), ..*it }).collect()
    }
}

impl Head {
    /// Notes that an object has just been moved to disk, or back, which began at this tick.
    pub(super) fn note_disk_move(&mut self, id: ObjectId, bytes: u64, is_back: bool, began: u64) {
        self.disk_log.note(id, bytes, is_back, began);
    }

    /// The moves after the one of this number.
    pub(super) fn disk_moves(&self, after: u64) -> Vec<DiskMove> {
        self.disk_log.after(after, self.segment.clock())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::{Limits, Segment};

    #[test]
    fn the_newest_moves_are_told_once_to_who_says_what_it_has() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        segment.start_clock();
        let mut log = DiskLog::default();
        (0..MOVES_MAX as u64 + 2).for_each(|id| log.note(ObjectId(id), 7, id % 2 == 1, ticks()));
        let all = log.after(0, segment.clock());
        assert_eq!((all.len(), all[0].number, all[0].is_back), (MOVES_MAX, 3, false));
        assert!(all.iter().all(|it| it.began <= it.ended && it.ended <= segment.clock().now()));
        assert_eq!(log.after(MOVES_MAX as u64 + 1, segment.clock()).len(), 1);
    }
}
