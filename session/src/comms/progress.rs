//! Bars of progress: one for each name in a cell, made of what tasks, actors and the cell itself report.
//!
//! ```text
//!   task 1: 30 of 50 ─┐
//!   task 2: 10 of 50 ─┼─▶ files   40% |████      | 40/100 [00:03<00:04, 12.9/s]
//! ```
//!
//! A process that dies takes back what it has reported: its task is run again and counts anew. Only states; there is no clock here.

use crate::bar;
use crate::event::{Bundle, CellId};
use mobula_abi::{ProgressEnding, ProgressReport};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// The least time between two drawings of a bar.
const DRAWN_EVERY: Duration = Duration::from_millis(50);
/// How many bars are remembered; beyond that those that have ended are forgotten, and new ones are not drawn.
const BARS_MAX: usize = 1000;
/// The bars of a session.
#[derive(Debug, Default)]
pub struct Bars {
    by_name: BTreeMap<(CellId, String), Bar>,
    made: u64,
}

#[derive(Debug)]
struct Bar {
    display_id: String,
    began: Instant,
    drawn: Option<Instant>,
    /// Reports of those that go on.
    parts: HashMap<u64, Part>,
    /// The sum of those that have ended.
    ended: (u64, u64),
    /// What one of them has said last.
    message: String,
    /// Whether one of them has ended in a panic.
    has_failed: bool,
}

#[derive(Debug)]
struct Part {
    pid: u32,
    done: u64,
    total: Option<u64>,
}

/// A bar to be shown: for the first time, or in place of what stands there.
#[derive(Debug, PartialEq)]
pub struct Drawing {
    pub is_new: bool,
    pub bundle: Bundle,
}

impl Bars {
    /// Takes in a report. Returns the bar, if it is to be drawn now. `lives` says whether there is still such a process.
    pub fn report(
        &mut self,
        cell: CellId,
        report: &ProgressReport,
        now: Instant,
        lives: impl Fn(u32) -> bool,
    ) -> Option<Drawing> {
        let key = (cell, report.name.clone());
        if !self.by_name.contains_key(&key) {
            if self.by_name.len() >= BARS_MAX {
                // Bars that have ended make room; while all go on, there is no further one.
                let ended = self.by_name.iter().find(|(_, bar)| bar.parts.is_empty()).map(|(key, _)| key.clone());
                self.by_name.remove(&ended?);
            }
            self.made += 1;
            let display_id = format!("mobula-progress-{cell}-{}", self.made);
            let (parts, message) = (HashMap::new(), String::new());
            let bar = Bar { display_id, began: now, drawn: None, parts, ended: (0, 0), message, has_failed: false };
            self.by_name.insert(key.clone(), bar);
        }
        let bar = self.by_name.get_mut(&key)?;
        let ProgressReport { part, pid, done, total, .. } = *report;
        if !report.message.is_empty() {
            bar.message.clone_from(&report.message);
        }
        match report.ending {
            None => drop(bar.parts.insert(part, Part { pid, done, total })),
            Some(ending) => {
                bar.parts.remove(&part);
                bar.ended.0 = bar.ended.0.saturating_add(done);
                let left = match ending {
                    // One that ends early has no more to do.
                    ProgressEnding::Done => 0,
                    ProgressEnding::Panicked => total.unwrap_or(done).saturating_sub(done),
                };
                bar.ended.1 = bar.ended.1.saturating_add(done).saturating_add(left);
                bar.has_failed |= ending == ProgressEnding::Panicked;
            }
        }
        if report.ending.is_some() {
            bar.parts.retain(|_, part| lives(part.pid));
        }
        let is_over = bar.parts.is_empty();
        let is_new = bar.drawn.is_none();
        if !is_new && !is_over && bar.drawn.is_some_and(|drawn| now < drawn + DRAWN_EVERY) {
            return None;
        }
        bar.drawn = Some(now);
        bar.parts.retain(|_, part| lives(part.pid));
        Some(Drawing { is_new, bundle: bar.bundle(&report.name, now) })
    }
}

impl Bar {
    fn bundle(&self, name: &str, now: Instant) -> Bundle {
        let done = self.parts.values().fold(self.ended.0, |sum, part| sum.saturating_add(part.done));
        let total =
            self.parts.values().try_fold(self.ended.1, |sum, part| part.total.map(|total| sum.saturating_add(total)));
        let bar = bar::Bar {
            note: self.message.clone(),
            has_failed: self.has_failed,
            ..bar::Bar::new(name, done, total, now.saturating_duration_since(self.began))
        };
        let mut bundle = Bundle::text(bar.text(0));
        bundle.data.insert("text/html".into(), bar.html(0).into());
        bundle.display_id = Some(self.display_id.clone());
        bundle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, part: u64, done: u64, total: Option<u64>) -> ProgressReport {
        ProgressReport { name: name.into(), message: String::new(), part, pid: part as u32, done, total, ending: None }
    }

    fn all_live(_: u32) -> bool {
        true
    }

    fn text(drawing: Option<Drawing>) -> String {
        drawing.and_then(|drawing| drawing.bundle.plain().map(str::to_owned)).unwrap_or_default()
    }

    #[test]
    fn what_several_tasks_report_under_one_name_is_one_bar() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let first = bars.report(CellId(1), &report("files", 1, 0, Some(50)), start, all_live).unwrap();
        assert!(first.is_new);
        assert_eq!(first.bundle.plain(), Some("files 0% |                    | 0/50 [00:00, 0.0/s]"));
        let later = start + Duration::from_secs(2);
        let second = bars.report(CellId(1), &report("files", 2, 20, Some(50)), later, all_live).unwrap();
        assert_eq!((second.is_new, &second.bundle.display_id), (false, &first.bundle.display_id));
        assert_eq!(second.bundle.plain(), Some("files 20% |████                | 20/100 [00:02<00:08, 10.0/s]"));
        assert!(second.bundle.data["text/html"].as_str().is_some_and(|html| html.contains("value=\"20\" max=\"100\"")));
        let other = bars.report(CellId(2), &report("files", 3, 1, None), later, all_live).unwrap();
        assert!(other.is_new && other.bundle.display_id != first.bundle.display_id, "another cell has another bar");
    }

    #[test]
    fn a_bar_is_drawn_twenty_times_a_second_and_at_its_end() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let mut drawn = 0;
        for done in 0..1000 {
            let now = start + Duration::from_millis(done);
            drawn += usize::from(bars.report(CellId(1), &report("n", 1, done, Some(1000)), now, all_live).is_some());
        }
        assert_eq!(drawn, 20);
        let end = ProgressReport { done: 1000, ending: Some(ProgressEnding::Done), ..report("n", 1, 0, Some(1000)) };
        let now = start + Duration::from_millis(1000);
        assert_eq!(
            text(bars.report(CellId(1), &end, now, all_live)),
            format!("n 100% |{}| 1000/1000 [00:01, 1000/s]", "█".repeat(20))
        );
    }

    #[test]
    fn one_without_a_length_counts_and_one_that_ends_early_is_whole() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let now = start + Duration::from_secs(3700);
        assert_eq!(text(bars.report(CellId(1), &report("", 1, 0, None), start, all_live)), "0 [00:00, 0.0/s]");
        assert_eq!(text(bars.report(CellId(1), &report("", 1, 370, None), now, all_live)), "370 [1:01:40, 0.1/s]");
        let end = ProgressReport { ending: Some(ProgressEnding::Done), ..report("early", 2, 3, Some(10)) };
        assert!(text(bars.report(CellId(1), &end, start, all_live)).starts_with("early 100% "));
    }

    #[test]
    fn one_that_a_panic_ends_stays_where_it_was_and_says_what_it_was_doing() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let begun = ProgressReport { message: "a.csv".into(), ..report("files", 1, 3, Some(10)) };
        bars.report(CellId(1), &begun, start, all_live).unwrap();
        let end = ProgressReport { ending: Some(ProgressEnding::Panicked), ..report("files", 1, 3, Some(10)) };
        let drawing = bars.report(CellId(1), &end, start, all_live).unwrap();
        assert!(drawing.bundle.data["text/html"].as_str().is_some_and(|html| html.contains("--jp-error-color")));
        let text = text(Some(drawing));
        assert!(text.starts_with("files 30% |") && text.ends_with("] a.csv"), "{text}");
    }

    #[test]
    fn a_process_that_dies_takes_its_steps_back_because_its_task_is_run_again() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        bars.report(CellId(1), &report("files", 1, 30, Some(50)), start, all_live).unwrap();
        let later = start + Duration::from_secs(1);
        let again = bars.report(CellId(1), &report("files", 2, 10, Some(50)), later, |pid| pid != 1);
        assert!(text(again).starts_with("files 20% |████                | 10/50 "));
    }
}
