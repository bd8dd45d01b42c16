//! The cells that the session has run, in order, and the choice of some of them by their numbers.

use crate::event::CellId;
use std::ops::RangeInclusive;

/// The person's cells that have ended.
#[derive(Debug, Default)]
pub struct History {
    ended: Vec<(CellId, bool)>,
}

/// Cells that were chosen.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Those that succeeded, in the order in which they ran.
    pub cells: Vec<CellId>,
    /// How many failed, and have left nothing behind.
    pub failed: usize,
}

impl History {
    /// Adds a cell that has ended.
    pub fn add(&mut self, cell: CellId, is_well: bool) {
        self.ended.push((cell, is_well));
    }

    /// Removes a cell that was undone.
    pub fn remove(&mut self, cell: CellId) {
        self.ended.retain(|(known, _)| *known != cell);
    }

    /// The cells whose numbers are in one of the ranges; all if there are none.
    pub fn choose(&self, ranges: &[RangeInclusive<u64>]) -> Chosen {
        let is_chosen = |cell: &CellId| ranges.is_empty() || ranges.iter().any(|range| range.contains(&cell.0));
        let chosen = || self.ended.iter().filter(|(cell, _)| is_chosen(cell));
        Chosen {
            cells: chosen().filter(|(_, is_well)| *is_well).map(|(cell, _)| *cell).collect(),
            failed: chosen().filter(|(_, is_well)| !is_well).count(),
        }
    }
}

/// Reads numbers of cells: `4`, `3..5`, `3-5` as in IPython, `3..`, `..5`. Both ends are meant, too.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = || format!("`{text}` is no range of cells; write `4`, `3..5` (which has 3, 4 and 5), `3..` or `..5`");
    let number = |text: &str, open: u64| match text.trim() {
        "" => Ok(open),
        text => text.parse::<u64>().map_err(|_| wrong()),
    };
    let ends = text.split_once("..=").or_else(|| text.split_once("..")).or_else(|| text.split_once('-'));
    let (first, last) = match ends {
        Some((first, last)) => (number(first, 1)?, number(last, u64::MAX)?),
        None if text.is_empty() => return Err(wrong()),
        None => (number(text, 0)?, number(text, 0)?),
    };
    if first > last { Err(format!("`{text}` begins behind its end")) } else { Ok(first..=last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_its_ends_and_may_be_open() {
        for (text, first, last) in [
            ("4", 4, 4),
            ("3..5", 3, 5),
            ("3..=5", 3, 5),
            ("3-5", 3, 5),
            ("3..", 3, u64::MAX),
            ("..5", 1, 5),
            ("..", 1, u64::MAX),
        ] {
            assert_eq!(range(text), Ok(first..=last), "{text}");
        }
        assert!(range("x..5").unwrap_err().starts_with("`x..5` is no range of cells; write `4`"));
        assert!(range("").is_err() && range("a.rs").is_err());
        assert_eq!(range("5..3").unwrap_err(), "`5..3` begins behind its end");
    }

    #[test]
    fn cells_that_failed_are_counted_and_not_chosen() {
        let mut history = History::default();
        for (cell, is_well) in [(1, true), (2, false), (3, true), (7, true)] {
            history.add(CellId(cell), is_well);
        }
        let chosen = |ranges: &[RangeInclusive<u64>]| {
            let Chosen { cells, failed } = history.choose(ranges);
            (cells.into_iter().map(|cell| cell.0).collect::<Vec<_>>(), failed)
        };
        assert_eq!(chosen(&[]), (vec![1, 3, 7], 1));
        assert_eq!(chosen(&[2..=5]), (vec![3], 1));
        assert_eq!(chosen(&[7..=7, 1..=1]), (vec![1, 7], 0));
    }
}
