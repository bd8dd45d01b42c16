//! A series of kills: at which instructions, what came of them, and whether all that can come of them was seen.

use crate::lies;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Kills of one series, when not every instruction has its turn.
const KILLS: usize = 7;
const KILLS_FULL: usize = 60;

/// A scenario in which nothing happens for so long hangs.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Whether it is the long form.
pub static FULL: OnceLock<()> = OnceLock::new();

pub fn is_full() -> bool {
    FULL.get().is_some()
}

/// What a process that was killed has left of what it was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// There is no object.
    Gone,
    /// There is an object, and it is intact.
    Sealed,
    /// The task has an error that says who died.
    Error,
    /// It had room, or read something, when it died.
    Held,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Gone => "gone",
            Outcome::Sealed => "sealed",
            Outcome::Error => "error",
            Outcome::Held => "held",
        }
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct Series {
    name: String,
    /// Instructions of what is interrupted.
    length: usize,
    points: Vec<usize>,
    kills: usize,
    /// One or more for each.
    outcomes: Vec<Outcome>,
}

impl Series {
    /// Kills in something of so many instructions: spread over it, from before the first to after the last; or, in the long form, after each of
    /// them.
    pub fn of(name: &str, length: usize, each: bool) -> Series {
        let points = if each && is_full() { (0..=length).collect() } else { spread(0, length, kills()) };
        Series::at_points(name, length, points)
    }

    /// Kills after these many instructions of something that has `length`.
    pub fn at_points(name: &str, length: usize, points: Vec<usize>) -> Series {
        let points = if lies::is_any() { points.into_iter().take(2).collect() } else { points };
        Series { name: name.into(), length, points, kills: 0, outcomes: Vec::new() }
    }

    pub fn points(&self) -> Vec<usize> {
        self.points.clone()
    }

    /// Kills once, after so many instructions, and notes what came of it; should it panic, it is said where.
    pub fn kill(&mut self, steps: usize, kill: impl FnOnce() -> Vec<Outcome>) {
        going_on(format!("after {steps} of {} instructions of `{}`", self.length, self.name));
        self.outcomes.extend(kill());
        self.kills += 1;
    }

    /// Says what was seen, and panics if it is not all that should have been.
    pub fn finish(self, expected: &[Outcome]) {
        let count = |outcome: Outcome| self.outcomes.iter().filter(|seen| **seen == outcome).count();
        let all = [Outcome::Gone, Outcome::Sealed, Outcome::Error, Outcome::Held];
        let counted = all.map(|outcome| (count(outcome), outcome.name()));
        let counted: Vec<String> =
            counted.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        println!("  {} instructions, {} kills: {}", self.length, self.kills, counted.join(", "));
        for outcome in expected {
            assert!(count(*outcome) > 0, "nothing was ever {}: the kills are in the wrong place", outcome.name());
        }
        let other = self.outcomes.iter().find(|outcome| !expected.contains(outcome));
        assert_eq!(other, None, "nobody expected that");
    }
}

/// How many kills a series has whose instructions do not all have their turn.
pub fn kills() -> usize {
    if is_full() { KILLS_FULL } else { KILLS }
}

/// About so many numbers from `first` to `last`, both among them.
pub fn spread(first: usize, last: usize, count: usize) -> Vec<usize> {
    let count = count.clamp(2, (last - first + 1).max(2));
    let mut points: Vec<usize> = (0..count).map(|index| first + (last - first) * index / (count - 1)).collect();
    points.dedup();
    points
}

/// What is being done, and since when.
static NOW: Mutex<Option<(String, Instant)>> = Mutex::new(None);

/// Something goes on, here: should it panic or hang, this is said.
pub fn going_on(at: String) {
    let before = NOW.lock().unwrap_or_else(PoisonError::into_inner).replace((at, Instant::now()));
    if before.is_none() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            eprintln!("{}", now().0);
        }));
        std::thread::spawn(watch);
    }
}

fn now() -> (String, Instant) {
    let now = NOW.lock().unwrap_or_else(PoisonError::into_inner);
    now.clone().unwrap_or_else(|| ("at the beginning".into(), Instant::now()))
}

/// Ends this process when nothing happens any more, so that a hang is told where it is and not by whoever waits for this process.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let (at, since) = now();
        if since.elapsed() > STANDSTILL {
            eprintln!("{at}: nothing has happened for {STANDSTILL:?}");
            std::process::abort();
        }
    }
}
