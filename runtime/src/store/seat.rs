//! Seats: the numbers by which processes are known in shared memory, and sets of them.
//!
//! The head gives a seat to a process, which keeps it until the head has cleaned up after its death. Holders are sets
//! of seats and not counts: setting or clearing a bit twice does no harm, so clearing one bit repairs a death.

use crate::sync::{AtomicU64, Ordering};

/// How many processes a runtime can have at once, the head among them.
pub const SEATS: usize = if cfg!(loom) { 4 } else { 256 };

const WORDS: usize = SEATS.div_ceil(64);

/// A process's number in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Seat(pub u16);

impl Seat {
    /// The process that owns the runtime.
    pub const HEAD: Seat = Seat(0);

    /// As an index.
    pub fn index(self) -> usize {
        usize::from(self.0) % SEATS
    }
}

/// A set of seats that every process changes.
#[derive(Debug)]
#[repr(C)]
pub struct Seats([AtomicU64; WORDS]);

impl Default for Seats {
    fn default() -> Seats {
        Seats(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Seats {
    fn place(&self, seat: Seat) -> (&AtomicU64, u64) {
        (&self.0[seat.index() / 64], 1 << (seat.index() % 64))
    }

    /// Adds the seat. True if it was not there before.
    pub fn add(&self, seat: Seat) -> bool {
        let (word, bit) = self.place(seat);
        // AcqRel: a process that sees the bit also sees what its owner did before it set it.
        word.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Removes the seat. True if it was there.
    pub fn remove(&self, seat: Seat) -> bool {
        let (word, bit) = self.place(seat);
        word.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Makes the seat the only one. Only for sets that no other process can see yet.
    pub fn begin_with(&self, seat: Seat) {
        let (word, bit) = self.place(seat);
        word.store(bit, Ordering::Relaxed);
    }

    /// Whether the seat is in the set.
    pub fn has(&self, seat: Seat) -> bool {
        let (word, bit) = self.place(seat);
        word.load(Ordering::Acquire) & bit != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Acquire) == 0)
    }

    /// The number of seats in the set.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.load(Ordering::Acquire).count_ones()).sum()
    }

    /// The seats in the set; each word is read when the iteration reaches it.
    pub fn iter(&self) -> impl Iterator<Item = Seat> {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut bits = word.load(Ordering::Acquire);
            std::iter::from_fn(move || {
                (bits != 0).then(|| {
                    let bit = bits.trailing_zeros();
                    bits &= bits - 1;
                    Seat((index * 64) as u16 + bit as u16)
                })
            })
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_there_or_it_is_not_however_often_it_is_added() {
        let seats = Seats::default();
        assert!(seats.add(Seat(3)) && !seats.add(Seat(3)) && seats.add(Seat(255)));
        assert_eq!(seats.iter().collect::<Vec<_>>(), [Seat(3), Seat(255)]);
        assert!(seats.remove(Seat(3)) && !seats.remove(Seat(3)));
        assert_eq!((seats.count(), seats.has(Seat(255)), seats.is_empty()), (1, true, false));
    }
}
