//! The decision to spin briefly before sleeping.
//!
//! Waking a process that sleeps costs some 7 us on its own processor and up to 80 us on an idle one; one that spins is there in a tenth
//! of a microsecond. But spinning on a processor that somebody else needs, perhaps the very one that is waited for, costs 100 us and
//! more. So: spin only while there are no more busy processes than processors, no longer than a wake-up takes here, and less often when it
//! was in vain.

use crate::store::{Seat, Segment};
use crate::sync::{AtomicU32, Ordering, pause};
use std::time::{Duration, Instant};

/// A wake-up is believed to take this long until one was measured, in microseconds; and never less or more than these.
const BUDGET_US: u32 = 60;
const BUDGET_US_MIN: u32 = 20;
const BUDGET_US_MAX: u32 = 120;

/// After so many times in vain, only each of so many is tried.
const MISSES_MAX: u32 = 4;
const TRIED_OF: u32 = 16;

/// The clock is read once in so many turns: reading it costs as much as ten of them.
const TURNS: u32 = 32;

/// One process's experience.
#[derive(Debug)]
pub struct Spin {
    /// Microseconds.
    budget: AtomicU32,
    misses: AtomicU32,
}

impl Default for Spin {
    fn default() -> Spin {
        Spin { budget: AtomicU32::new(BUDGET_US), misses: AtomicU32::new(0) }
    }
}

impl Spin {
    /// Looks again and again, for about as long as a wake-up takes; `None` when nothing was found or spinning would be a waste.
    /// Everything that `look` finds, also something that is not the end, counts as a reason to go on.
    pub fn look<T>(&self, segment: &Segment, seat: Seat, mut look: impl FnMut() -> Look<T>) -> Option<T> {
        if !self.is_worth_it(segment, seat) {
            return None;
        }
        let budget = Duration::from_micros(self.budget.load(Ordering::Relaxed).into());
        // What comes at once comes before the clock is looked at.
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

    /// A sleeper was woken so many microseconds after somebody rang.
    pub fn woken_after(&self, us: u32) {
        let before = self.budget.load(Ordering::Relaxed);
        // A moving mean; one value that is far out, because the machine was busy, counts little.
        let after = (before * 7 + us.min(BUDGET_US_MAX * 2)) / 8;
        self.budget.store(after.clamp(BUDGET_US_MIN, BUDGET_US_MAX), Ordering::Relaxed);
    }
}

/// What a look has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is there.
    Found(T),
    /// Not yet, but nearer.
    Progress,
    /// Nothing.
    Nothing,
    /// There is something else to do.
    GiveUp,
}

/// Whether there is a processor for everybody who is busy, this process among them.
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
