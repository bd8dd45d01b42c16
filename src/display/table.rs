//! A small table of text: columns as wide as their widest cell.

use std::fmt;

/// A table being filled.
pub(crate) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these column titles.
    pub(crate) fn new(head: [&'static str; N]) -> Table<N> {
        Table { head, rows: Vec::new() }
    }

    /// Adds a row. Line breaks in it become spaces.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| cell.replace('\n', " ")));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.head[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let line = |f: &mut fmt::Formatter<'_>, cells: [&str; N]| {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            f.write_str(padded.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(f, self.head)?;
        writeln!(f)?;
        f.write_str(&"─".repeat(widths.iter().sum::<usize>() + 2 * N.saturating_sub(1)))?;
        for row in &self.rows {
            writeln!(f)?;
            line(f, row.each_ref().map(String::as_str))?;
        }
        Ok(())
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
    }
}
