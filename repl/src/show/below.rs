//! Lines below the output on a terminal, which come and go while a cell runs: those of cells' tasks.
//!
//! ```text
//!   what the cell has printed█        ◀ the cursor stays where the output goes on
//!   half 40% |████████      | 120/300
//! ```
//!
//! They are erased before anything is written and drawn again behind it.

use mobula_session::CellId;
use std::collections::BTreeMap;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many rows are shown, and how many are left for the output at least.
const ROWS_MAX: usize = 8;
const ROWS_LEFT: usize = 4;

/// The lines, and whether they stand on the screen.
#[derive(Debug, Default)]
pub(crate) struct Below {
    by_cell: BTreeMap<CellId, String>,
    /// Set while they stand on the screen: whether the line above them, in which the cursor stands, is unfinished.
    drawn: Option<bool>,
}

impl Below {
    /// Changes the lines of a cell.
    pub fn set(&mut self, cell: CellId, text: String) {
        self.by_cell.insert(cell, text);
    }

    /// Takes the lines of a cell away.
    pub fn remove(&mut self, cell: CellId) {
        self.by_cell.remove(&cell);
    }

    /// What erases the lines, if they stand on the screen.
    pub fn erase(&mut self) -> &'static str {
        match self.drawn.take() {
            None => "",
            Some(true) => "\x1b7\x1b[B\r\x1b[J\x1b8",
            // A person may have typed Enter, after which the cursor stands in the first of them.
            Some(false) => "\x1b[J",
        }
    }

    /// What draws the lines on a screen of so many columns and rows. The cursor is where it was, afterwards; `is_open` says whether that is in
    /// an unfinished line.
    pub fn draw(&mut self, (columns, rows): (usize, usize), is_open: bool) -> String {
        let lines: Vec<&str> = self.by_cell.values().flat_map(|text| text.lines()).collect();
        let shown = lines.len().min(ROWS_MAX).min(rows.saturating_sub(ROWS_LEFT));
        if shown == 0 {
            return String::new();
        }
        self.drawn = Some(is_open);
        // Going down by an index scrolls at the bottom and keeps the column; a place saved before that would be wrong after it.
        let mut text = format!("{}\x1b[{shown}A\x1b7", "\x1bD".repeat(shown));
        for line in &lines[lines.len() - shown..] {
            text.push_str("\x1b[B\r");
            text.push_str(cut(line, columns.saturating_sub(1)));
            text.push_str("\x1b[K");
        }
        text + "\x1b8"
    }
}

/// The beginning of a line that takes at most so many columns.
fn cut(line: &str, columns: usize) -> &str {
    if line.width() <= columns {
        return line;
    }
    let mut left = columns;
    let end = line.char_indices().find(|(_, c)| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left -= width.min(left);
        !fits
    });
    &line[..end.map_or(line.len(), |(at, _)| at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_below_the_cursor_and_erased_once() {
        let mut below = Below::default();
        assert_eq!((below.draw((80, 24), false), below.erase()), (String::new(), ""));
        below.set(CellId(2), "a\nb".into());
        below.set(CellId(1), "c".into());
        let drawn = below.draw((80, 24), true);
        assert_eq!(drawn, "\x1bD\x1bD\x1bD\x1b[3A\x1b7\x1b[B\rc\x1b[K\x1b[B\ra\x1b[K\x1b[B\rb\x1b[K\x1b8");
        assert_eq!((below.erase(), below.erase()), ("\x1b7\x1b[B\r\x1b[J\x1b8", ""));
        below.remove(CellId(1));
        assert!(!below.draw((80, 24), false).contains('c'));
        assert_eq!(below.erase(), "\x1b[J");
    }

    #[test]
    fn a_small_screen_keeps_rows_for_the_output_and_lines_do_not_wrap() {
        let mut below = Below::default();
        below.set(CellId(1), (0..20).map(|n| format!("line {n} |██|\n")).collect());
        assert_eq!(below.draw((80, 24), false).matches("line").count(), ROWS_MAX);
        assert_eq!(below.draw((80, 6), false).matches("line").count(), 2);
        assert_eq!(below.draw((80, 3), false), "");
        assert!(below.draw((10, 5), false).contains("line 19 |\x1b[K"));
    }
}
