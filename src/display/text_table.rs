//! A small table of text: columns as wide as their widest cell.

use super::cell_value::{CellValue, Field, Written};
use super::grid::{Grid, Kind, Limits, aligned};
use std::fmt;

/// A table of text.
pub(crate) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
    notes: Vec<String>,
}

impl<const N: usize> Table<N> {
    /// A table with these column titles.
    pub(crate) fn new(head: [&'static str; N]) -> Table<N> {
        Table { head, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row. Line breaks in it become spaces.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| cell.replace('\n', " ")));
    }

    /// Adds a line below the table.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

impl<const N: usize> Table<N> {
    /// The first rows, for a front end that shows more than text.
    pub(super) fn grid(&self) -> Grid {
        let heads = self.head.iter().map(|head| ((*head).to_owned(), String::new())).collect();
        let shown = self.rows.iter().take(Limits::USUAL.rows + 1).map(|row| row.to_vec()).collect();
        let mut grid = Grid::new(heads, shown, Kind::Plain, Limits::USUAL);
        grid.left.rows = self.rows.len() - grid.rows.len();
        grid.note = self.notes.join("; ");
        grid
    }
}

/// A type that is shown as a table.
pub(crate) trait Tabular<const N: usize> {
    /// The table, or the text to show if there is none.
    fn table(&self) -> Result<Table<N>, &'static str>;
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<[&str; N]> = self.rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
        let rows: Vec<Vec<&str>> = cells.iter().map(|row| row.to_vec()).collect();
        let is_number =
            |column: usize| Field::of(rows.iter().map(|row| CellValue::read(row[column], Written::Plain))).is_number();
        let is_right: Vec<bool> = (0..N).map(is_number).collect();
        f.write_str(&aligned(&[self.head.to_vec()], &rows, &is_right))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() {
        let mut table = Table::new(["task", "pid"]);
        table.row(["half".into(), "1".into()]);
        table.row(["a longer\nname".into(), "22".into()]);
        let expected = "\
task           pid
──────────────────
half             1
a longer name   22";
        assert_eq!(table.to_string(), expected);
        table.note("2 tasks".into());
        assert_eq!(table.to_string(), format!("{expected}\n2 tasks"));
        assert_eq!(table.grid().below(), ["2 tasks"]);
    }
}
