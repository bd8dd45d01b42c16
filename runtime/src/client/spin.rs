//! The decision to spin briefly before sleeping.
//!
//! Waking a sleeping process costs some 7 us on its own processor and up to 80 us on an idle one; a spinning process reacts in a tenth of a
//! microsecond. But spinning on a processor that another process needs, perhaps the awaited one, costs 100 us and more. So a process spins
//! only while there are no more busy processes than processors, no longer than a wake-up takes here, and less often when it was in vain.

use crate::store::{Seat, Segment};
use crate::sync::{AtomicU32, Ordering, pause};
use std::time::{Duration, Instant};

/// The assumed duration of a wake-up in microseconds until one was measured, and the bounds of the estimate.
const BUDGET_US: u32 = 60;
const BUDGET_US_MIN: u32 = 20;
const BUDGET_US_MAX: u32 = 120;

/// After `MISSES_MAX` spins in vain, only one in `TRIED_OF` is tried.
const MISSES_MAX: u32 = 4;
const TRIED_OF: u32 = 16;

/// The clock is read once in so many turns, because reading it costs as much as ten of them.
const TURNS: u32 = 32;

/// One process's experience with spinning.
#[derive(Debug)]
pub struct Spin {
    /// How long to spin, in microseconds.
    budget: AtomicU32,
    misses: AtomicU32,
}

impl Default for Spin {
    fn default() -> Spin {
        Spin { budget: AtomicU32::new(BUDGET_US), misses: AtomicU32::new(0) }
    }
}

impl Spin {
    /// Calls `look` again and again, for about as long as a wake-up takes. `None` when nothing was found or spinning would be a waste.
    /// After [`Look::Progress`] the time begins anew.
    pub fn look<T>(&self, segment: &Segment, seat: Seat, mut look: impl FnMut() -> Look<T>) -> Option<T> {
        if !self.is_worth_it(segment, seat) {
            return None;
        }
        let budget = Duration::from_micros(self.budget.load(Ordering::Relaxed).into());
        // A result that comes at once comes before the clock is read.
        let mut begun: Option<Instant> = None;
        loop {
            for _ in 0..TURNS {
                match look() {
                    Look::Found(found) => {
                        if self.misses.load(Ordering::Relaxed) != 0 {
                            self.misses.store(0, Ordering::Relaxed);
                        }
                        return Some(found);
                    }
                    Look::Progress => begun = None,
                    Look::Nothing => pause(),
                    Look::GiveUp => return None,
                }
            }
            if begun.get_or_insert_with(Instant::now).elapsed() > budget {
                self.misses.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            if !has_room(segment, seat) {
                return None;
            }
        }
    }

    fn is_worth_it(&self, segment: &Segment, seat: Seat) -> bool {
        let misses = self.misses.load(Ordering::Relaxed);
        if misses >= MISSES_MAX && !misses.is_multiple_of(TRIED_OF) {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        has_room(segment, seat)
    }

    /// Records that a sleeper was awake so many microseconds after it was rung.
    pub fn woken_after(&self, us: u32) {
        let before = self.budget.load(Ordering::Relaxed);
        // A moving mean, in which one outlier on a busy machine counts little.
        let after = (before * 7 + us.min(BUDGET_US_MAX * 2)) / 8;
        self.budget.store(after.clamp(BUDGET_US_MIN, BUDGET_US_MAX), Ordering::Relaxed);
    }
}

/// The result of one look.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// The awaited thing.
    Found(T),
    /// Not yet, but nearer.
    Progress,
    /// Nothing.
    Nothing,
    /// There is something else to do.
    GiveUp,
}

/// Whether there is a processor for every busy process, this one among them.
fn has_room(segment: &Segment, seat: Seat) -> bool {
    let active = &segment.header().active;
    let others = active.count() - u32::from(active.has(seat));
    others < segment.header().cpus.load(Ordering::Relaxed)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::Limits;

    fn machine(cpus: u32) -> Segment {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        segment.header().cpus.store(cpus, Ordering::Relaxed);
        segment
    }

    #[test]
    fn nobody_spins_when_all_processors_are_taken() {
        let segment = machine(2);
        assert!([Seat(1), Seat(2)].into_iter().all(|seat| segment.header().active.add(seat)));
        let mut looks = 0;
        let found: Option<()> = Spin::default().look(&segment, Seat(3), || {
            looks += 1;
            Look::Nothing
        });
        assert_eq!((found, looks), (None, 0));
        assert!(Spin::default().look(&segment, Seat(2), || Look::Found(1)).is_some(), "it is one of the two itself");
    }

    #[test]
    fn spinning_in_vain_makes_it_rare_and_success_makes_it_usual_again() {
        let (segment, spin) = (machine(2), Spin::default());
        let mut tries = 0;
        for _ in 0..64 {
            let mut looked = false;
            let _: Option<()> = spin.look(&segment, Seat(1), || {
                looked = true;
                Look::Nothing
            });
            tries += u32::from(looked);
        }
        assert!((4..=8).contains(&tries), "{tries}");
        while spin.look(&segment, Seat(1), || Look::Found(())).is_none() {}
        assert!(spin.look(&segment, Seat(1), || Look::Found(())).is_some());
    }
}
