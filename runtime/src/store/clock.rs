//! The clock of events: the processor's own counter, which costs less than reading the time.
//!
//! Counts of one machine's processors agree on every processor whose kernel keeps time by them. Where they do not, times are off, and
//! nothing else is.

#![allow(unsafe_code)]

use super::segment::Segment;
use crate::sync::Ordering;

/// The counter now.
pub fn ticks() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: every x86-64 processor has this instruction, and Linux lets programs use it.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    nanoseconds()
}

fn nanoseconds() -> u64 {
    #[cfg(loom)]
    return 0;
    #[cfg(not(loom))]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

/// Turns counts into nanoseconds since the clock was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    first: u64,
    last: u64,
    between: u64,
}

impl Clock {
    /// When a count was taken; `None` for one of before that, or of a time to come.
    pub fn time_of(&self, ticks: u64) -> Option<u64> {
        let since = ticks.checked_sub(self.first).filter(|_| ticks <= self.last)?;
        let all = (self.last - self.first).max(1);
        Some((u128::from(since) * u128::from(self.between) / u128::from(all)) as u64)
    }

    /// This clock's own moment.
    pub fn now(&self) -> u64 {
        self.between
    }
}

impl Segment {
    /// Notes this moment as that from which times count.
    pub fn start_clock(&self) {
        let made = &self.header().made;
        made.ticks.store(ticks(), Ordering::Relaxed);
        made.nanoseconds.store(nanoseconds(), Ordering::Relaxed);
    }

    /// A clock for the counts of up to now.
    pub fn clock(&self) -> Clock {
        let made = &self.header().made;
        let (first, then) = (made.ticks.load(Ordering::Relaxed), made.nanoseconds.load(Ordering::Relaxed));
        Clock { first, last: ticks(), between: nanoseconds().saturating_sub(then) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_count_becomes_a_time_by_the_rate_of_the_whole() {
        let clock = Clock { first: 1000, last: 3000, between: 500 };
        assert_eq!((clock.time_of(1000), clock.time_of(2000), clock.time_of(3000)), (Some(0), Some(250), Some(500)));
        assert_eq!((clock.time_of(999), clock.time_of(3001)), (None, None), "no count of this runtime's");
    }

    #[test]
    fn the_counter_goes_on() {
        let before = ticks();
        assert!((0..1000).map(|_| ticks()).is_sorted() && ticks() >= before);
    }
}
