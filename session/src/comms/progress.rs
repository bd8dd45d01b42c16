//! Bars of progress: one for each name in a cell, made of what tasks, actors and the cell itself report.
//!
//! ```text
//!   task 1: 30 of 50 ─┐
//!   task 2: 10 of 50 ─┼─▶ files   40% |████      | 40/100 [00:03<00:04, 12.9/s]
//! ```
//!
//! Only states and texts; there is no clock here. The form of the line is that of tqdm.

use crate::event::{Bundle, CellId, html_escaped};
use mobula_abi::ProgressReport;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// The least time between two drawings of a bar.
const DRAWN_EVERY: Duration = Duration::from_millis(50);
/// How many bars are remembered; beyond that those that have ended are forgotten, and new ones are not drawn.
const BARS_MAX: usize = 1000;
/// The bar's width in a text, in characters.
const WIDTH: usize = 20;

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
    parts: HashMap<u64, (u64, Option<u64>)>,
    /// The sum of those that have ended.
    ended: (u64, u64),
}

/// A bar to be shown: for the first time, or in place of what stands there.
#[derive(Debug, PartialEq)]
pub struct Drawing {
    pub is_new: bool,
    pub bundle: Bundle,
}

impl Bars {
    /// Takes in a report. Returns the bar, if it is to be drawn now.
    pub fn report(&mut self, cell: CellId, report: &ProgressReport, now: Instant) -> Option<Drawing> {
        let key = (cell, report.name.clone());
        if !self.by_name.contains_key(&key) {
            if self.by_name.len() >= BARS_MAX {
                // Bars that have ended make room; while all go on, there is no further one.
                let ended = self.by_name.iter().find(|(_, bar)| bar.parts.is_empty()).map(|(key, _)| key.clone());
                self.by_name.remove(&ended?);
            }
            self.made += 1;
            let display_id = format!("mobula-progress-{cell}-{}", self.made);
            let bar = Bar { display_id, began: now, drawn: None, parts: HashMap::new(), ended: (0, 0) };
            self.by_name.insert(key.clone(), bar);
        }
        let bar = self.by_name.get_mut(&key)?;
        if report.is_finished {
            bar.parts.remove(&report.part);
            bar.ended.0 = bar.ended.0.saturating_add(report.done);
            // One that ends early has no more to do.
            bar.ended.1 = bar.ended.1.saturating_add(report.done);
        } else {
            bar.parts.insert(report.part, (report.done, report.total));
        }
        let is_over = bar.parts.is_empty();
        let is_new = bar.drawn.is_none();
        if !is_new && !is_over && bar.drawn.is_some_and(|drawn| now < drawn + DRAWN_EVERY) {
            return None;
        }
        bar.drawn = Some(now);
        Some(Drawing { is_new, bundle: bar.bundle(&report.name, now) })
    }
}

impl Bar {
    fn bundle(&self, name: &str, now: Instant) -> Bundle {
        let done = self.parts.values().fold(self.ended.0, |sum, (done, _)| sum.saturating_add(*done));
        let total =
            self.parts.values().try_fold(self.ended.1, |sum, (_, total)| total.map(|total| sum.saturating_add(total)));
        let line = line(name, done, total, now.saturating_duration_since(self.began));
        let value = total.map_or_else(String::new, |total| format!(" value=\"{done}\" max=\"{}\"", total.max(1)));
        let (words, numbers) = line.apart();
        let html = format!(
            "<div style=\"display:flex;gap:.6em;align-items:center;font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)\">\
             <span>{}</span><progress{value} style=\"width:18em\"></progress><span>{}</span></div>",
            html_escaped(&words),
            html_escaped(&numbers)
        );
        let mut bundle = Bundle::text(line.text());
        bundle.data.insert("text/html".into(), html.into());
        bundle.display_id = Some(self.display_id.clone());
        bundle
    }
}

/// A bar as a line of text.
struct Line {
    name: String,
    share: Option<f64>,
    counts: String,
}

fn line(name: &str, done: u64, total: Option<u64>, took: Duration) -> Line {
    let seconds = took.as_secs_f64();
    let rate = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
    let left = total.filter(|_| rate > 0.0).map(|total| total.saturating_sub(done) as f64 / rate);
    let of = total.map_or_else(|| done.to_string(), |total| format!("{done}/{total}"));
    let left = left.filter(|left| *left > 0.0).map(|left| format!("<{}", clock(left))).unwrap_or_default();
    let rate = match rate {
        rate if rate >= 100.0 => format!("{rate:.0}/s"),
        rate => format!("{rate:.1}/s"),
    };
    Line {
        name: name.to_owned(),
        share: total.map(|total| done as f64 / total.max(1) as f64),
        counts: format!("{of} [{}{left}, {rate}]", clock(seconds)),
    }
}

impl Line {
    fn percent(&self) -> String {
        self.share.map(|share| format!("{:.0}%", (share * 100.0).floor())).unwrap_or_default()
    }

    /// The words before the bar, and those behind it.
    fn apart(&self) -> (String, String) {
        (format!("{} {}", self.name, self.percent()).trim().to_owned(), self.counts.clone())
    }

    fn text(&self) -> String {
        let (words, counts) = self.apart();
        let bar = self.share.map(|share| {
            let filled = ((share.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
            format!("|{}{}| ", "█".repeat(filled), " ".repeat(WIDTH - filled))
        });
        format!("{words} {}{counts}", bar.unwrap_or_default()).trim_start().to_owned()
    }
}

/// Minutes and seconds, and hours if there are any.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds / 3600 {
        0 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, part: u64, done: u64, total: Option<u64>) -> ProgressReport {
        ProgressReport { name: name.into(), part, done, total, is_finished: false }
    }

    fn text(drawing: Option<Drawing>) -> String {
        drawing.and_then(|drawing| drawing.bundle.plain().map(str::to_owned)).unwrap_or_default()
    }

    #[test]
    fn what_several_tasks_report_under_one_name_is_one_bar() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let first = bars.report(CellId(1), &report("files", 1, 0, Some(50)), start).unwrap();
        assert!(first.is_new);
        assert_eq!(first.bundle.plain(), Some("files 0% |                    | 0/50 [00:00, 0.0/s]"));
        let later = start + Duration::from_secs(2);
        let second = bars.report(CellId(1), &report("files", 2, 20, Some(50)), later).unwrap();
        assert_eq!((second.is_new, &second.bundle.display_id), (false, &first.bundle.display_id));
        assert_eq!(second.bundle.plain(), Some("files 20% |████                | 20/100 [00:02<00:08, 10.0/s]"));
        assert!(second.bundle.data["text/html"].as_str().is_some_and(|html| html.contains("value=\"20\" max=\"100\"")));
        let other = bars.report(CellId(2), &report("files", 3, 1, None), later).unwrap();
        assert!(other.is_new && other.bundle.display_id != first.bundle.display_id, "another cell has another bar");
    }

    #[test]
    fn a_bar_is_drawn_twenty_times_a_second_and_at_its_end() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let mut drawn = 0;
        for done in 0..1000 {
            let now = start + Duration::from_millis(done);
            drawn += usize::from(bars.report(CellId(1), &report("n", 1, done, Some(1000)), now).is_some());
        }
        assert_eq!(drawn, 20);
        let end = ProgressReport { done: 1000, is_finished: true, ..report("n", 1, 0, Some(1000)) };
        let now = start + Duration::from_millis(1000);
        assert_eq!(
            text(bars.report(CellId(1), &end, now)),
            format!("n 100% |{}| 1000/1000 [00:01, 1000/s]", "█".repeat(20))
        );
    }

    #[test]
    fn one_without_a_length_counts_and_one_that_ends_early_is_whole() {
        let (mut bars, start) = (Bars::default(), Instant::now());
        let now = start + Duration::from_secs(3700);
        assert_eq!(text(bars.report(CellId(1), &report("", 1, 0, None), start)), "0 [00:00, 0.0/s]");
        assert_eq!(text(bars.report(CellId(1), &report("", 1, 370, None), now)), "370 [1:01:40, 0.1/s]");
        let end = ProgressReport { is_finished: true, ..report("early", 2, 3, Some(10)) };
        assert!(text(bars.report(CellId(1), &end, start)).starts_with("early 100% "));
    }
}
