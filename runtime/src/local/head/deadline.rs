//! A deadline that is kept however many events come before it.

use std::time::{Duration, Instant};

/// A due time that later events do not postpone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarm(Option<Instant>);

impl Alarm {
    /// Says that the alarm is wanted within this time, or not any more. Returns when it is due; an earlier due time
    /// stands.
    pub fn set(&mut self, now: Instant, within: Option<Duration>) -> Option<Instant> {
        self.0 = within.map(|within| self.0.map_or(now + within, |at| at.min(now + within)));
        self.0
    }

    /// Clears the alarm, because its work is being done. The next one counts from here.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_again_and_again_is_due_when_it_was_wanted_first() {
        let (begin, ms) = (Instant::now(), Duration::from_millis);
        let mut alarm = Alarm::default();
        // An event comes every millisecond, and each time the alarm is still wanted.
        let due = (0..100).map(|passed| begin + ms(passed)).find(|now| alarm.set(*now, Some(ms(50))) <= Some(*now));
        assert_eq!(due, Some(begin + ms(50)));
        alarm.clear();
        assert_eq!(alarm.set(begin + ms(60), Some(ms(50))), Some(begin + ms(110)));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_never_due_and_what_is_wanted_sooner_is_due_sooner() {
        let (begin, ms) = (Instant::now(), Duration::from_millis);
        let mut alarm = Alarm::default();
        alarm.set(begin, Some(ms(50)));
        assert_eq!(alarm.set(begin + ms(1), Some(ms(5))), Some(begin + ms(6)));
        assert_eq!(alarm.set(begin + ms(2), None), None);
        assert_eq!(alarm.set(begin + ms(3), Some(ms(5))), Some(begin + ms(8)));
    }
}
