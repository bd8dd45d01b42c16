//! GPUs by index: which of them a task has, and how much of each.

use super::resources::UNIT;

/// The GPUs of a machine, in the order of their indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpus {
    /// What is left of each, in ten-thousandths.
    free: Vec<i64>,
}

/// What one task has: indices, and the same amount of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    /// Sorted.
    pub indices: Vec<u32>,
    /// In ten-thousandths.
    amount: i64,
}

impl Gpus {
    /// So many GPUs, in ten-thousandths; the last may be a part of one.
    pub fn new(total: i64) -> Gpus {
        let whole = total / UNIT;
        let part = total % UNIT;
        Gpus { free: (0..whole).map(|_| UNIT).chain((part > 0).then_some(part)).collect() }
    }

    /// Those of these shares, and no others.
    pub fn of_shares(shares: &[Share]) -> Gpus {
        let mut gpus = Gpus::default();
        for share in shares {
            for index in share.indices.iter().map(|index| *index as usize) {
                gpus.free.resize(gpus.free.len().max(index + 1), 0);
                gpus.free[index] += share.amount;
            }
        }
        gpus
    }

    /// Takes `amount` ten-thousandths: so many whole ones, or a part of one. Of parts, the GPU with the least that is enough. `None` when
    /// there are not as many.
    pub fn take(&mut self, amount: i64) -> Option<Share> {
        if amount <= 0 {
            return Some(Share::default());
        }
        if amount < UNIT {
            let fitting = self.free.iter().enumerate().filter(|(_, free)| **free >= amount);
            let (index, _) = fitting.min_by_key(|(_, free)| **free)?;
            let share = Gpus::share_of(&[index as u32], amount);
            self.take_share(&share);
            return Some(share);
        }
        let wanted = (amount / UNIT) as usize;
        let whole = self.free.iter().enumerate().filter(|(_, free)| **free == UNIT).map(|(index, _)| index as u32);
        let indices: Vec<u32> = whole.take(wanted).collect();
        if indices.len() < wanted {
            return None;
        }
        let share = Gpus::share_of(&indices, amount);
        self.take_share(&share);
        Some(share)
    }

    /// Whether [`Gpus::take`] would find as many.
    pub fn could_give(&self, amount: i64) -> bool {
        self.clone().take(amount).is_some()
    }

    /// Whether so much of these very GPUs is free.
    pub fn has(&self, indices: &[u32], amount: i64) -> bool {
        let share = Gpus::share_of(indices, amount);
        let count = if amount <= 0 { 0 } else { usize::try_from((amount / UNIT).max(1)).unwrap_or(usize::MAX) };
        indices.len() == count
            && indices.iter().all(|index| self.free.get(*index as usize).is_some_and(|free| *free >= share.amount))
    }

    /// `amount` of these GPUs, as a share.
    pub fn share_of(indices: &[u32], amount: i64) -> Share {
        Share { indices: indices.to_vec(), amount: amount.min(UNIT) }
    }

    /// Takes a share that is free.
    pub fn take_share(&mut self, share: &Share) {
        for index in &share.indices {
            if let Some(free) = self.free.get_mut(*index as usize) {
                *free -= share.amount;
            }
        }
    }

    /// Puts a share back.
    pub fn give(&mut self, share: &Share) {
        for index in &share.indices {
            if let Some(free) = self.free.get_mut(*index as usize) {
                *free += share.amount;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_share_one_gpu_and_whole_ones_stay_whole() {
        let mut gpus = Gpus::new(2 * UNIT);
        let (first, second) = (gpus.take(UNIT / 2).unwrap(), gpus.take(UNIT / 2).unwrap());
        assert_eq!((&first.indices, &second.indices), (&vec![0], &vec![0]));
        assert_eq!(gpus.take(UNIT).unwrap().indices, [1]);
        assert_eq!(gpus.take(1), None);
        gpus.give(&first);
        assert_eq!(gpus.take(UNIT), None, "half of one is no whole one");
        gpus.give(&second);
        assert_eq!(gpus.take(UNIT).unwrap().indices, [0]);
    }
}
