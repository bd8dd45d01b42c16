//! A small terminal on which bars of other crates are drawn: what stands on it is one display of the cell, which changes.
//!
//! ```text
//!   indicatif ── write, move up, clear ──▶ Grid ── flush ──▶ the session shows the text in the place of the one before
//! ```

use crate::abi::CommCall;
use crate::calls::comm;
use std::sync::{Mutex, PoisonError};

/// How many columns it has. Nobody knows how wide a page is that may be open twice.
const COLUMNS: usize = 80;
/// How many rows are kept; older ones are dropped.
const ROWS_MAX: usize = 100;

/// A terminal that is a display of the cell. [`draw_target!`](crate::draw_target) makes a draw target of one for the crate `indicatif`;
/// other crates can draw on it by its functions, which do what their names say in a terminal of 80 columns.
///
/// ```
/// # mobula::inline::attach();
/// if let Some(term) = mobula::Term::open() {
///     for step in 0..10 {
///         term.clear_line();
///         term.write(&format!("step {step}"));
///         term.flush();
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Term {
    number: u64,
    grid: Mutex<Grid>,
}

impl Term {
    /// A terminal without any text; `None` in a plain program, which has no session that could show it.
    pub fn open() -> Option<Term> {
        // There is no such comm, and where there is a session it says so.
        let asked = CommCall::Value { comm: String::new(), key: String::new() };
        comm(asked).ok()?;
        Some(Term { number: super::new_part(), grid: Mutex::default() })
    }

    /// How many columns it has.
    pub fn width(&self) -> u16 {
        COLUMNS as u16
    }

    /// Writes text where the cursor is. It may have line feeds, carriage returns and codes for colours.
    pub fn write(&self, text: &str) {
        self.grid().write(text);
    }

    /// Moves the cursor by rows and columns, as far as that goes.
    pub fn move_cursor(&self, down: isize, right: isize) {
        self.grid().move_cursor(down, right);
    }

    /// Clears the cursor's line and moves the cursor to its beginning.
    pub fn clear_line(&self) {
        self.grid().clear_line();
    }

    /// Shows what stands on it.
    pub fn flush(&self) {
        let text = self.grid().changed();
        if let Some(text) = text {
            // A session that is gone shows nothing.
            let _ = comm(CommCall::Screen { number: self.number, text });
        }
    }

    fn grid(&self) -> std::sync::MutexGuard<'_, Grid> {
        self.grid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What stands on a terminal. A place has a character and the codes that stand around it.
#[derive(Debug, Default)]
struct Grid {
    rows: Vec<Vec<String>>,
    row: usize,
    column: usize,
    shown: String,
}

impl Grid {
    fn write(&mut self, text: &str) {
        let (mut codes, mut chars) = (String::new(), text.chars().peekable());
        while let Some(c) = chars.next() {
            match c {
                '\n' => (self.row, self.column) = (self.row + 1, 0),
                '\r' => self.column = 0,
                '\x1b' => {
                    codes.push(c);
                    if chars.next_if_eq(&'[').is_some() {
                        codes.push('[');
                        codes.extend(std::iter::from_fn(|| chars.next_if(|c| !('@'..='~').contains(c))));
                        codes.extend(chars.next());
                    }
                }
                c => self.put(std::mem::take(&mut codes) + c.encode_utf8(&mut [0; 4])),
            }
        }
        if let Some(last) = self.column.checked_sub(1).and_then(|at| self.rows.get_mut(self.row)?.get_mut(at)) {
            last.push_str(&codes);
        }
    }

    fn put(&mut self, what: String) {
        if self.column == COLUMNS {
            (self.row, self.column) = (self.row + 1, 0);
        }
        let row = self.line();
        row.1.resize(row.1.len().max(row.0 + 1), " ".to_owned());
        row.1[row.0] = what;
        self.column += 1;
    }

    /// The cursor's column and line, which there is from now on.
    fn line(&mut self) -> (usize, &mut Vec<String>) {
        if self.row >= ROWS_MAX {
            let excess = self.row + 1 - ROWS_MAX;
            self.rows.drain(..excess.min(self.rows.len()));
            self.row = ROWS_MAX - 1;
        }
        self.rows.resize(self.rows.len().max(self.row + 1), Vec::new());
        (self.column, &mut self.rows[self.row])
    }

    fn move_cursor(&mut self, down: isize, right: isize) {
        self.row = self.row.saturating_add_signed(down).min(self.rows.len().max(1) - 1);
        self.column = self.column.saturating_add_signed(right).min(COLUMNS);
    }

    fn clear_line(&mut self) {
        self.column = 0;
        if let Some(row) = self.rows.get_mut(self.row) {
            row.clear();
        }
    }

    /// The text, if it is another one than the last time.
    fn changed(&mut self) -> Option<String> {
        let lines: Vec<String> = self.rows.iter().map(|row| row.concat().trim_end().to_owned()).collect();
        let text = lines.join("\n").trim_end().to_owned();
        if text == self.shown {
            return None;
        }
        self.shown.clone_from(&text);
        Some(text)
    }
}

/// A draw target for bars of the crate `indicatif`, which draws them in the cell as [`progress`](crate::progress()) does: in a notebook, at
/// the prompt, from tasks and actors, too. In a plain program it is the terminal, as usual.
///
/// ```ignore
/// use indicatif::ProgressBar;
/// let bar = ProgressBar::with_draw_target(Some(100), draw_target!());
/// ```
///
/// It is a macro because this crate does not depend on `indicatif`: the few lines that join both are compiled where it is called.
#[macro_export]
macro_rules! draw_target {
    () => {{
        #[derive(Debug)]
        struct Adapter($crate::Term);
        impl ::indicatif::TermLike for Adapter {
            fn width(&self) -> u16 {
                self.0.width()
            }
            fn move_cursor_up(&self, n: usize) -> ::std::io::Result<()> {
                Ok(self.0.move_cursor(-(n as isize), 0))
            }
            fn move_cursor_down(&self, n: usize) -> ::std::io::Result<()> {
                Ok(self.0.move_cursor(n as isize, 0))
            }
            fn move_cursor_right(&self, n: usize) -> ::std::io::Result<()> {
                Ok(self.0.move_cursor(0, n as isize))
            }
            fn move_cursor_left(&self, n: usize) -> ::std::io::Result<()> {
                Ok(self.0.move_cursor(0, -(n as isize)))
            }
            fn write_line(&self, text: &str) -> ::std::io::Result<()> {
                self.0.write(text);
                Ok(self.0.write("\n"))
            }
            fn write_str(&self, text: &str) -> ::std::io::Result<()> {
                Ok(self.0.write(text))
            }
            fn clear_line(&self) -> ::std::io::Result<()> {
                Ok(self.0.clear_line())
            }
            fn flush(&self) -> ::std::io::Result<()> {
                Ok(self.0.flush())
            }
        }
        match $crate::Term::open() {
            Some(term) => ::indicatif::ProgressDrawTarget::term_like_with_hz(Box::new(Adapter(term)), 15),
            None => ::indicatif::ProgressDrawTarget::stderr(),
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(steps: impl FnOnce(&mut Grid)) -> String {
        let mut grid = Grid::default();
        steps(&mut grid);
        grid.changed().unwrap_or_default()
    }

    #[test]
    fn what_is_written_over_is_gone_and_the_rest_stays() {
        let text = grid(|grid| {
            grid.write("first\nsecond 10%");
            grid.move_cursor(-1, 0);
            grid.clear_line();
            grid.write("1st");
            grid.move_cursor(1, 0);
            grid.write("\rsecond 20%   ");
        });
        assert_eq!(text, "1st\nsecond 20%");
    }

    #[test]
    fn a_line_that_is_too_long_goes_on_below() {
        let text = grid(|grid| {
            grid.write(&"x".repeat(COLUMNS));
            grid.write(&"y".repeat(3));
            grid.move_cursor(-1, 0);
            grid.clear_line();
        });
        assert_eq!(text, "\nyyy");
    }

    #[test]
    fn colours_take_no_place() {
        let text = grid(|grid| {
            grid.write("\x1b[31mred\x1b[0m!");
            grid.write("\rb\x1b[0m");
        });
        assert_eq!(text, "b\x1b[0med\x1b[0m!");
    }

    #[test]
    fn the_oldest_rows_are_dropped_and_nothing_new_is_not_shown() {
        let mut grid = Grid::default();
        (0..3 * ROWS_MAX).for_each(|n| grid.write(&format!("{n}\n")));
        let text = grid.changed().unwrap();
        assert!(text.ends_with("\n299") && text.lines().count() <= ROWS_MAX, "{text}");
        assert_eq!(grid.changed(), None);
        grid.move_cursor(-isize::MAX, isize::MAX);
        grid.write("end");
        assert!(grid.changed().is_some());
    }
}
