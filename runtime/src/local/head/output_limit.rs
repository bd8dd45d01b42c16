//! The bound on what is shown of what tasks write: a notebook that keeps gigabytes of it helps nobody.
//!
//! ```text
//!   a cell's tasks write ─▶ 16 MiB at once, and then 1 MiB a second ─▶ shown
//!                                                  what is more ─────▶ counted, and told: how many lines, how many bytes
//! ```
//!
//! A task is not slowed down by it, and its whole output can be had in files (`redirect.rs`).

use super::lines::Label;
use crate::local::Stream;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a cell's tasks may write at once.
const BURST: u64 = 16 << 20;

/// What they may write in a second beside that.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// How long lines are held back until somebody is told of it.
const WINDOW: Duration = Duration::from_secs(1);

/// What the tasks of each cell have written of late.
#[derive(Debug, Default)]
pub(super) struct OutputLimit {
    by_cell: HashMap<u64, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Bytes that may be shown, at `filled`.
    left: u64,
    filled: Instant,
    held_back: Option<HeldBack>,
}

/// Lines that are not shown.
#[derive(Debug)]
pub(super) struct HeldBack {
    /// Whose was the last of them, and on which stream.
    pub label: Label,
    pub stream: Stream,
    since: Instant,
    lines: u64,
    bytes: u64,
}

impl HeldBack {
    /// A line about them, in their place.
    pub fn told(&self) -> String {
        let bytes = match self.bytes {
            bytes if bytes < 1 << 20 => format!("{} KiB", bytes.div_ceil(1 << 10)),
            bytes => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        };
        let (lines, word) = (self.lines, if self.lines == 1 { "line" } else { "lines" });
        let instead = "more than 1 MiB a second; `Config::redirect_output` writes all of it to files";
        format!("{}[{lines} {word} of output held back, {bytes}: {instead}]\n", self.label.prefix())
    }
}

impl Bucket {
    /// Fills it as time has passed.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        let more = (passed.as_secs_f64() * BYTES_PER_SECOND as f64) as u64;
        if more > 0 {
            (self.left, self.filled) = ((self.left + more).min(BURST), now);
        }
    }
}

impl OutputLimit {
    /// Takes whole lines that are about to be shown. Gives those that are, in front of those that are not.
    pub fn take<'a>(&mut self, now: Instant, label: &Label, stream: Stream, text: &'a str) -> &'a str {
        let full = || Bucket { left: BURST, filled: now, held_back: None };
        let bucket = self.by_cell.entry(label.cell).or_insert_with(full);
        bucket.fill(now);
        if text.len() as u64 <= bucket.left && bucket.held_back.is_none() {
            bucket.left -= text.len() as u64;
            return text;
        }
        // Once something is held back, so is what comes behind it, until it is told.
        let fits = if bucket.held_back.is_some() { 0 } else { bucket.left as usize };
        let shown = text.floor_char_boundary(fits);
        let shown = text[..shown].rfind('\n').map_or(0, |end| end + 1);
        bucket.left -= shown as u64;
        let (shown, rest) = text.split_at(shown);
        let new = || HeldBack { label: label.clone(), stream, since: now, lines: 0, bytes: 0 };
        let held_back = bucket.held_back.get_or_insert_with(new);
        (held_back.label, held_back.stream) = (label.clone(), stream);
        held_back.lines += rest.lines().count() as u64;
        held_back.bytes += rest.len() as u64;
        shown
    }

    /// Whether lines of this cell are held back.
    pub fn has(&self, cell: u64) -> bool {
        self.by_cell.get(&cell).is_some_and(|bucket| bucket.held_back.is_some())
    }

    /// When the next lines are to be told of.
    pub fn deadline(&self) -> Option<Instant> {
        self.by_cell.values().filter_map(|bucket| bucket.held_back.as_ref()).map(|held| held.since + WINDOW).min()
    }

    /// The lines that it is time to tell of. Forgets cells that have written little of late.
    pub fn end_overdue(&mut self, now: Instant) -> Vec<HeldBack> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let ended = self.end(|held_back| held_back.since + WINDOW <= now);
        self.by_cell.values_mut().for_each(|bucket| bucket.fill(now));
        self.by_cell.retain(|_, bucket| bucket.left < BURST || bucket.held_back.is_some());
        ended
    }

    /// The lines of a cell.
    pub fn end_cell(&mut self, cell: u64) -> Vec<HeldBack> {
        self.end(|held_back| held_back.label.cell == cell)
    }

    /// All of them.
    pub fn end_all(&mut self) -> Vec<HeldBack> {
        self.end(|_| true)
    }

    fn end(&mut self, is_over: impl Fn(&HeldBack) -> bool) -> Vec<HeldBack> {
        let all = self.by_cell.values_mut().map(|bucket| &mut bucket.held_back);
        let mut ended: Vec<HeldBack> = all.filter_map(|held_back| held_back.take_if(|it| is_over(it))).collect();
        ended.sort_by_key(|held_back| held_back.since);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(cell: u64) -> Label {
        Label { task: "f".into(), cell, pid: 1 }
    }

    /// Lines of so many bytes together, 1 KiB each.
    fn lines(bytes: u64) -> String {
        format!("{}\n", "x".repeat(1023)).repeat((bytes >> 10) as usize)
    }

    #[test]
    fn a_burst_is_shown_whole_and_what_is_more_is_counted_and_told_once() {
        let (mut limit, now) = (OutputLimit::default(), Instant::now());
        let burst = lines(BURST);
        assert_eq!(limit.take(now, &label(1), Stream::Stdout, &burst).len(), burst.len());
        assert_eq!(limit.take(now, &label(1), Stream::Stdout, "more\nand more\n"), "");
        assert_eq!(limit.take(now, &label(1), Stream::Stdout, &lines(2 << 20)), "");
        assert!(limit.has(1) && limit.end_overdue(now).is_empty());
        let told = limit.end_overdue(now + WINDOW);
        let [held_back] = told.as_slice() else { panic!("{told:?}") };
        assert!(held_back.told().starts_with("(f pid=1) [2050 lines of output held back, 2.0 MiB: "), "{held_back:?}");
        assert!(!limit.has(1) && limit.deadline().is_none());
    }

    #[test]
    fn the_lines_that_have_room_are_shown_and_no_half_ones() {
        let (mut limit, now) = (OutputLimit::default(), Instant::now());
        let text = lines(BURST + (4 << 10));
        let shown = limit.take(now, &label(1), Stream::Stdout, &text);
        assert_eq!(shown.len() as u64, BURST);
        // A second later there is room again.
        limit.end_cell(1);
        let later = now + Duration::from_secs(1);
        let shown = limit.take(later, &label(1), Stream::Stdout, &text[..(1 << 20) + 100]);
        assert_eq!(shown.len(), 1 << 20);
    }

    #[test]
    fn cells_have_their_own_room_and_one_that_has_written_little_is_forgotten() {
        let (mut limit, now) = (OutputLimit::default(), Instant::now());
        limit.take(now, &label(1), Stream::Stdout, &lines(BURST + 1024));
        assert_eq!(limit.take(now, &label(2), Stream::Stdout, "two\n"), "two\n");
        assert_eq!(limit.end_overdue(now + Duration::from_secs(60)).len(), 1);
        assert!(limit.by_cell.is_empty());
    }
}
