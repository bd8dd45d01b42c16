//! A series of kills: at which instructions, what came of them, and whether all that can come of them was seen.
//!
//! Whoever finds a dead process finds what it has written into shared memory, and what it has sent. So all kills between two writes are one
//! and the same, but for a message that may lie between them: to kill right after each write, and right before each, is to kill everywhere.
//! The long form does that. Where every single instruction has its turn as well, it shows that this is so.

use crate::lies;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Kills of one series in the short form.
pub const KILLS: usize = 6;

/// A scenario in which nothing happens for so long hangs. Longer than any wait in it, whose message says more.
const STANDSTILL: Duration = Duration::from_secs(900);

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

/// What is interrupted, seen once from its beginning to its end.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Instructions.
    pub length: usize,
    /// After which of them shared memory was another one.
    pub changes: Vec<usize>,
    /// After which of them something else would have come of a kill.
    pub turns: Vec<usize>,
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
    /// Kills around the changes that something makes, in the short form around some of them; with `each`, in the long form, after each of
    /// its instructions.
    pub fn of(name: &str, course: &Course, each: bool) -> Series {
        // It does not always do quite as many instructions, so what comes of a kill is surer halfway to the next turn.
        let turns = [&[0], course.turns.as_slice(), &[course.length]].concat();
        let mut points: Vec<usize> = turns.windows(2).map(|turn| turn[0].midpoint(turn[1])).collect();
        points.extend(&course.turns);
        if is_full() {
            points.extend(course.changes.iter().flat_map(|change| [*change - 1, *change]));
            points.extend(if each { (0..=course.length).collect() } else { vec![0, course.length] });
        } else {
            let changes = [&[0], course.changes.as_slice(), &[course.length]].concat();
            points.extend(spread(0, changes.len() - 1, KILLS).into_iter().map(|index| changes[index]));
        }
        points.sort_unstable();
        points.dedup();
        Series::at_points(name, course.length, points)
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
        let seen = all.into_iter().filter(|outcome| count(*outcome) > 0);
        let seen: Vec<String> = seen.map(|outcome| format!("{} {}", count(outcome), outcome.name())).collect();
        println!("  {} instructions, {} kills: {}", self.length, self.kills, seen.join(", "));
        for outcome in expected {
            assert!(count(*outcome) > 0, "nothing was ever {}: the kills are in the wrong place", outcome.name());
        }
    }
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
