//! A failed task's report, read back from the text that the crate `mobula` makes of it.
//!
//! ```text
//! task `half` failed
//!   caused by: panicked: odd
//!   at cell 1, line 1, column 26
//!   | fn half(n: u32) -> u32 { assert!(n % 2 == 0, "odd"); n / 2 }
//!   |                          ^
//!   worker pid 1234
//! ```
//!
//! The session has no more than the text: an error that ends a cell may be of any type.

use crate::event::CellId;
use crate::reports::sources::Found;

/// A failed task, and the place in a cell where it failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskReport {
    /// The first line.
    pub(super) task: String,
    pub(super) cause: String,
    pub(super) place: Found,
    /// The lines about the worker, and about the tasks that carried the failure.
    pub(super) rest: String,
}

impl TaskReport {
    /// Reads a report. `None` for any other text, and for a failure at no place in a cell.
    pub(super) fn read(text: &str) -> Option<TaskReport> {
        let (task, rest) = text.split_once("\n  caused by: ")?;
        let (cause, rest) = rest.split_once("\n  at cell ")?;
        let (place, rest) = rest.split_once('\n')?;
        let (code, rest) = rest.strip_prefix("  | ")?.split_once('\n')?;
        let (caret, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        let numbers: Vec<&str> = place.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        let [cell, "line", line, "column", column] = numbers[..] else { return None };
        let place = Found {
            cell: CellId(cell.parse().ok()?),
            line: line.parse().ok().filter(|line| *line > 0)?,
            column: column.parse().ok().filter(|column| *column > 0)?,
            text: code.to_owned(),
        };
        let fits = !task.contains('\n') && caret.starts_with("  | ") && caret.ends_with('^');
        // The report indents what follows a message's first line.
        let cause = cause.replace("\n    ", "\n");
        fits.then(|| TaskReport { task: task.to_owned(), cause, place, rest: rest.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "task `half` failed\n  caused by: panicked: odd\n      left: 1\n  at cell 3, line 2, column 5\n  |     odd(1);\n  |     ^\n  worker pid 7\n  carried by: `g`";

    #[test]
    fn a_report_is_read_back() {
        let place = Found { cell: CellId(3), line: 2, column: 5, text: "    odd(1);".into() };
        let expected = TaskReport {
            task: "task `half` failed".into(),
            cause: "panicked: odd\n  left: 1".into(),
            place,
            rest: "  worker pid 7\n  carried by: `g`".into(),
        };
        assert_eq!(TaskReport::read(REPORT), Some(expected));
    }

    #[test]
    fn what_has_no_place_in_a_cell_is_left_as_it_is() {
        for text in [
            "",
            "task `half` failed\n  caused by: returned Err: odd\n  worker pid 7",
            &REPORT.replace("cell 3, line 2", "src/lib.rs:3:2"),
            &REPORT.replace("line 2", "line 0"),
            &REPORT.replace("  |     ^", "  worker"),
        ] {
            assert_eq!(TaskReport::read(text), None, "{text}");
        }
    }
}
