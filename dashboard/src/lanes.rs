//! The lanes of a row: runs of one process at the same time lie beside each other.

use std::collections::{HashMap, VecDeque};

/// How many of its last runs a lane remembers.
const REMEMBERED: usize = 16;
/// How many lanes a row has; more runs at once share the last.
const LANES_MAX: usize = 16;

/// The lanes of a row.
#[derive(Debug, Default)]
pub struct Lanes {
    /// When the last runs of each lane began and ended.
    taken: Vec<VecDeque<(u64, u64)>>,
    /// The lanes of runs that have not ended.
    running: HashMap<u64, u32>,
}

impl Lanes {
    /// The lane of a run that has ended: that which it had while it ran, or the first in which it has room.
    pub fn place(&mut self, id: u64, began: u64, ended: u64) -> u32 {
        let lane = self.running.remove(&id).unwrap_or_else(|| self.first_free(began, ended));
        self.take(lane, began, ended);
        lane
    }

    /// The lane of a run that has not ended.
    pub fn keep(&mut self, id: u64, began: u64) -> u32 {
        if let Some(lane) = self.running.get(&id) {
            return *lane;
        }
        let lane = self.first_free(began, u64::MAX);
        self.running.insert(id, lane);
        lane
    }

    /// Forgets the runs that did not end as runs do: those that `is_running` does not know.
    pub fn forget(&mut self, is_running: impl Fn(u64) -> bool) {
        self.running.retain(|id, _| is_running(*id));
    }

    fn first_free(&self, began: u64, ended: u64) -> u32 {
        let is_free = |lane: u32| {
            let taken = self.taken.get(lane as usize).into_iter().flatten();
            !self.running.values().any(|other| *other == lane)
                && taken.into_iter().all(|(from, to)| *to <= began || ended <= *from)
        };
        (0..LANES_MAX as u32).find(|lane| is_free(*lane)).unwrap_or(LANES_MAX as u32 - 1)
    }

    fn take(&mut self, lane: u32, began: u64, ended: u64) {
        let lane = lane as usize;
        if self.taken.len() <= lane {
            self.taken.resize_with(lane + 1, VecDeque::new);
        }
        if self.taken[lane].len() == REMEMBERED {
            self.taken[lane].pop_front();
        }
        self.taken[lane].push_back((began, ended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_the_same_time_lie_beside_each_other_and_others_in_one_lane() {
        let mut lanes = Lanes::default();
        assert_eq!([lanes.place(1, 0, 10), lanes.place(2, 10, 20), lanes.place(3, 5, 15)], [0, 0, 1]);
        assert_eq!(lanes.place(4, 20, 30), 0);
    }

    #[test]
    fn a_run_keeps_its_lane_when_it_ends() {
        let mut lanes = Lanes::default();
        assert_eq!((lanes.keep(1, 0), lanes.keep(2, 5), lanes.keep(1, 0)), (0, 1, 0));
        assert_eq!((lanes.place(2, 5, 9), lanes.place(1, 0, 10), lanes.keep(3, 10)), (1, 0, 0));
    }

    #[test]
    fn a_run_that_vanished_takes_no_lane() {
        let mut lanes = Lanes::default();
        lanes.keep(1, 0);
        lanes.forget(|_| false);
        assert_eq!(lanes.keep(2, 5), 0);
    }
}
