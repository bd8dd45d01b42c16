//! A small table of text: columns as wide as their widest cell.

use super::columns::aligned;
use super::debug_table::{Grid, Kind};
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
    /// The table in HTML.
    pub(super) fn html(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let below = Some(self.notes.join("; ")).filter(|notes| !notes.is_empty());
        Grid { head: self.head.iter().map(|head| (*head).into()).collect(), rows, kind: Kind::Drawn, below }.html()
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
        let rows: Vec<&[&str]> = cells.iter().map(|row| row.as_slice()).collect();
        f.write_str(&aligned(&self.head, &rows))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["task", "pid"]);
        table.row(["half".into(), "1".into()]);
        table.row(["a longer\nname".into(), "22".into()]);
        let expected = "\
task           pid
──────────────────
half           1
a longer name  22";
        assert_eq!(table.to_string(), expected);
        table.note("2 tasks".into());
        assert_eq!(table.to_string(), format!("{expected}\n2 tasks"));
        assert!(table.html().ends_with("<p>2 tasks</p>"));
    }
}
