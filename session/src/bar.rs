//! A bar as a line of text and as HTML: that of `progress(iter)`, and that of a cell's tasks. The form of the line is tqdm's.
//!
//! ```text
//!   files   40% |████████            | 40/100 [00:03<00:04, 12.9/s] a.csv
//! ```

use crate::rendered::html_escaped;
use std::time::Duration;

/// The bar's width in a text, in characters.
const WIDTH: usize = 20;

/// The way in which lines of ours look in a notebook.
pub const STYLE: &str = "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)";

/// The colour of what has failed, in a notebook.
pub const FAILED: &str = "var(--jp-error-color1,#c62828)";

/// A bar at one moment.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What is counted.
    pub name: String,
    /// How much is done.
    pub done: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
    /// Since the beginning.
    pub took: Duration,
    /// Whether the count is an estimate.
    pub is_rough: bool,
    /// Words behind the counts.
    pub note: String,
    /// Whether something has failed.
    pub has_failed: bool,
    /// The bar's colour in a notebook, as CSS; empty for the front end's own.
    pub colour: String,
}

impl Bar {
    /// A bar without a note.
    pub fn new(name: &str, done: u64, total: Option<u64>, took: Duration) -> Bar {
        let (note, colour) = (String::new(), String::new());
        Bar { name: name.to_owned(), done, total, took, is_rough: false, note, has_failed: false, colour }
    }

    fn share(&self) -> Option<f64> {
        self.total.map(|total| (self.done as f64 / total.max(1) as f64).min(1.0))
    }

    fn percent(&self) -> String {
        self.share().map(|share| format!("{:.0}%", (share * 100.0).floor())).unwrap_or_default()
    }

    /// The words before the bar, of which the name takes `width` characters.
    fn words(&self, width: usize) -> String {
        // Bars below each other begin at the same place.
        let percent = if width > 0 { format!("{:>4}", self.percent()) } else { self.percent() };
        format!("{:<width$} {percent}", self.name).trim_end().to_owned()
    }

    /// The words behind the bar.
    fn counts(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let rate = if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 };
        let left = self.total.filter(|_| rate > 0.0).map(|total| total.saturating_sub(self.done) as f64 / rate);
        let left = left.filter(|left| *left > 0.0).map(|left| format!("<{}", clock(left))).unwrap_or_default();
        let about = if self.is_rough { "~" } else { "" };
        let of = self.total.map(|total| format!("/{about}{total}")).unwrap_or_default();
        let note = if self.note.is_empty() { String::new() } else { format!(" {}", self.note) };
        format!("{about}{}{of} [{}{left}, {}]{note}", self.done, clock(seconds), per_second(rate))
    }

    /// The line, of which the name takes at least `width` characters.
    pub fn text(&self, width: usize) -> String {
        let bar = self.share().map(|share| {
            let filled = ((share * WIDTH as f64) as usize).min(WIDTH);
            format!("|{}{}| ", "█".repeat(filled), " ".repeat(WIDTH - filled))
        });
        format!("{} {}{}", self.words(width).trim_start(), bar.unwrap_or_default(), self.counts())
            .trim_start()
            .to_owned()
    }

    /// The line for a notebook, with the same place for the name.
    pub fn html(&self, width: usize) -> String {
        let value = self.total.map_or_else(String::new, |total| {
            format!(" value=\"{}\" max=\"{}\"", self.done.min(total.max(1)), total.max(1))
        });
        let colour = match (self.colour.as_str(), self.has_failed) {
            (_, true) => format!(";accent-color:{FAILED}"),
            ("", false) => String::new(),
            (colour, false) => format!(";accent-color:{colour}"),
        };
        // The percentage takes five characters.
        let wide =
            if width > 0 { format!(" style=\"min-width:{}ch;white-space:pre\"", width + 5) } else { String::new() };
        format!(
            "<div style=\"display:flex;gap:.6em;align-items:center;{STYLE}\">\
             <span{wide}>{}</span><progress{value} style=\"flex:none;width:18em{colour}\"></progress><span>{}</span></div>",
            html_escaped(self.words(width).trim()),
            html_escaped(&self.counts())
        )
    }
}

/// A rate: with one digit behind the point while it is small.
pub fn per_second(rate: f64) -> String {
    if rate >= 100.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") }
}

/// Minutes and seconds, and hours if there are any.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds / 3600 {
        0 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_the_form_of_tqdms() {
        let bar = Bar::new("files", 40, Some(100), Duration::from_secs(4));
        assert_eq!(bar.text(0), "files 40% |████████            | 40/100 [00:04<00:06, 10.0/s]");
        assert_eq!(bar.text(8), "files     40% |████████            | 40/100 [00:04<00:06, 10.0/s]");
        let counted =
            Bar { note: "a.csv".into(), is_rough: true, ..Bar::new("", 400, None, Duration::from_secs(3700)) };
        assert_eq!(counted.text(0), "~400 [1:01:40, 0.1/s] a.csv");
        assert!(
            bar.html(0).contains("<progress value=\"40\" max=\"100\" style=\"flex:none;width:18em\">"),
            "{}",
            bar.html(0)
        );
    }

    #[test]
    fn names_and_notes_are_texts_in_html() {
        let bar = Bar { note: "<b>".into(), has_failed: true, ..Bar::new("a<b>", 2, Some(0), Duration::ZERO) };
        let html = bar.html(0);
        assert!(html.contains("a&lt;b&gt; 100%") && html.contains(" &lt;b&gt;</span>"), "{html}");
        assert!(html.contains("value=\"1\" max=\"1\"") && html.contains("accent-color:var(--jp-error"), "{html}");
    }
}
