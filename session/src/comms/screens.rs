//! Terminals for bars of other crates: what stands on each of them is one display, which changes.

use crate::bar::STYLE;
use crate::event::{CellId, Event};
use crate::rendered::{Rendered, without_codes};
use std::collections::BTreeSet;

/// How many are remembered; the next one beyond that is shown as a new one each time.
const SCREENS_MAX: usize = 1000;

/// The terminals that have been shown.
#[derive(Debug, Default)]
pub struct Screens {
    shown: BTreeSet<u64>,
}

impl Screens {
    /// Shows a text on a terminal, for a cell.
    pub fn show(&mut self, cell: CellId, number: u64, text: String) -> Event {
        let rendered = Rendered { plain: without_codes(&text), ansi: text };
        let mut bundle = rendered.bundle_with(&format!("margin:0;padding:0;{STYLE}"));
        bundle.display_id = Some(format!("mobula-screen-{number}"));
        let is_known = self.shown.contains(&number);
        if !is_known && self.shown.len() < SCREENS_MAX {
            self.shown.insert(number);
        }
        if is_known { Event::Update { cell, bundle } } else { Event::Display { cell, bundle } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_one_display_with_colours_in_html_and_none_in_the_text() {
        let mut screens = Screens::default();
        let Event::Display { bundle: first, .. } = screens.show(CellId(1), 7, "\x1b[31m1/2\x1b[0m".into()) else {
            panic!("it is new")
        };
        assert_eq!(first.plain(), Some("1/2"));
        assert!(first.data["text/html"].as_str().is_some_and(|html| html.contains("color:var(--red")));
        let Event::Update { bundle, .. } = screens.show(CellId(1), 7, "2/2".into()) else { panic!("it is known") };
        assert_eq!(bundle.display_id, first.display_id);
        assert!(matches!(screens.show(CellId(1), 8, "x".into()), Event::Display { .. }), "another terminal");
    }
}
