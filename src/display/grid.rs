//! A table as it is shown: some of its rows and columns, and how many more there are.

use super::cell_value::{CellValue, Field, Written, inside_some, shown, shown_of_option};
use std::borrow::Cow;

/// How much of a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Limits {
    /// Of a table that is shown because it is a cell's value.
    pub(crate) const USUAL: Limits = Limits { rows: 100, columns: 20 };
    /// The whole table.
    pub(crate) const NONE: Limits = Limits { rows: usize::MAX, columns: usize::MAX };
}

/// Rows under column heads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(super) columns: Vec<Column>,
    /// Cells as they are written, one for each column.
    pub(super) rows: Vec<Vec<String>>,
    pub(super) kind: Kind,
    pub(super) left: Left,
    /// A line of its own below the table.
    pub(super) note: String,
}

/// The head of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type; empty if it is not known.
    pub(super) type_name: String,
    pub(super) field: Field,
    /// Whether its values are `Option`s, written as `Debug` does.
    is_optional: bool,
}

/// The kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list of structs, tuples or single values.
    List,
    /// Keys and values.
    Map,
    /// Equally long lists in a list.
    Matrix,
    /// A table whose cells are plain text already.
    Plain,
}

impl Kind {
    pub(super) fn written(self) -> Written {
        if self == Kind::Plain { Written::Plain } else { Written::Debug }
    }
}

/// What is not shown of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) rows: usize,
    /// Whether counting the rows was given up.
    pub(super) is_at_least: bool,
    pub(super) columns: usize,
    /// Whether `show::table` can show the rest.
    pub(super) can_be_shown: bool,
}

impl Grid {
    /// A table of the first rows and columns of these. `heads` are names and types, of all columns.
    pub(super) fn new(heads: Vec<(String, String)>, rows: Vec<Vec<String>>, kind: Kind, limits: Limits) -> Grid {
        let left = Left {
            rows: rows.len().saturating_sub(limits.rows),
            columns: heads.len().saturating_sub(limits.columns),
            ..Left::default()
        };
        let columns = heads.len() - left.columns;
        let mut rows: Vec<Vec<String>> = rows.into_iter().take(limits.rows).collect();
        rows.iter_mut().for_each(|row| row.truncate(columns));
        let heads = heads.into_iter().take(columns).enumerate();
        let columns = heads.map(|(at, (name, type_name))| {
            let cells = || rows.iter().map(|row| row[at].as_str());
            let field = Field::of(cells().map(|cell| CellValue::read(cell, kind.written())));
            // A variant may be called `None`, too.
            let is_option = type_name.starts_with("Option<") || cells().any(|cell| inside_some(cell).is_some());
            let is_optional = kind.written() == Written::Debug && is_option;
            Column { name, type_name, field, is_optional }
        });
        Grid { columns: columns.collect(), rows, kind, left, note: String::new() }
    }

    /// A cell as a person reads it.
    fn shown<'c>(&self, column: usize, cell: &'c str) -> Cow<'c, str> {
        let is_optional = self.columns.get(column).is_some_and(|column| column.is_optional);
        if is_optional { shown_of_option(cell) } else { shown(cell, self.kind.written()) }
    }

    /// A row's cells as a person reads them, the very long ones cut.
    pub(super) fn shown_row<'c>(&'c self, row: &'c [String]) -> impl Iterator<Item = Cow<'c, str>> {
        row.iter().enumerate().map(|(column, cell)| short(self.shown(column, cell)))
    }

    /// The lines below the table: its note, and what is not shown.
    pub(super) fn below(&self) -> Vec<String> {
        let Left { rows, is_at_least, columns, can_be_shown } = self.left;
        let mut more: Vec<String> = Vec::new();
        if rows > 0 {
            let at_least = if is_at_least { "more than " } else { "" };
            more.push(format!("{at_least}{} more row{}", with_commas(rows), if rows == 1 { "" } else { "s" }));
        }
        if columns > 0 {
            more.push(format!("{} more column{}", with_commas(columns), if columns == 1 { "" } else { "s" }));
        }
        let how = if can_be_shown { "; `show::table(&…).all()` shows all" } else { "" };
        let more = (!more.is_empty()).then(|| format!("… {}{how}", more.join(" and ")));
        [Some(self.note.clone()).filter(|note| !note.is_empty()), more].into_iter().flatten().collect()
    }

    /// The table as lines of text.
    pub(crate) fn text(&self) -> String {
        let mut heads = vec![self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>()];
        if self.columns.iter().any(|column| !column.type_name.is_empty()) {
            heads.push(self.columns.iter().map(|column| column.type_name.as_str()).collect());
        }
        let cells: Vec<Vec<Cow<'_, str>>> = self.rows.iter().map(|row| self.shown_row(row).collect()).collect();
        let rows: Vec<Vec<&str>> = cells.iter().map(|row| row.iter().map(AsRef::as_ref).collect()).collect();
        let is_right: Vec<bool> = self.columns.iter().map(|column| column.field.is_number()).collect();
        let table = aligned(&heads, &rows, &is_right);
        [table].into_iter().chain(self.below()).collect::<Vec<_>>().join("\n")
    }

    /// The rows in brackets, with numbers under each other, as NumPy writes them.
    pub(super) fn brackets(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let rest = if self.left.columns > 0 { ", …" } else { "" };
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
            format!("[{}{rest}]", cells.collect::<Vec<_>>().join(", "))
        };
        let rows = format!("[{}]", self.rows.iter().map(line).collect::<Vec<_>>().join(",\n "));
        [rows].into_iter().chain(self.below()).collect::<Vec<_>>().join("\n")
    }
}

/// The longest cell that is shown whole, in characters.
const CELL_CHARS_MAX: usize = 300;

/// A cell, cut if it would make the table unreadable.
fn short(cell: Cow<'_, str>) -> Cow<'_, str> {
    match cell.char_indices().nth(CELL_CHARS_MAX) {
        Some((at, _)) => Cow::Owned(format!("{}…", &cell[..at])),
        None => cell,
    }
}

/// A number with a comma between each three digits.
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lines of heads, a rule and rows, in columns as wide as their widest cell.
pub(super) fn aligned(heads: &[Vec<&str>], rows: &[Vec<&str>], is_right: &[bool]) -> String {
    let width = |column: usize| {
        let cells = heads.iter().chain(rows).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..is_right.len()).map(width).collect();
    let line = |cells: &Vec<&str>| {
        let cells = cells.iter().zip(&widths).zip(is_right);
        let padded = cells.map(|((cell, width), is_right)| match is_right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
    let lines = heads.iter().map(line).chain([rule]).chain(rows.iter().map(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: usize, columns: usize) -> Grid {
        let heads = (0..columns).map(|column| (format!("c{column}"), String::new())).collect();
        Grid::new(heads, vec![vec!["1".into(); columns]; rows], Kind::List, Limits::USUAL)
    }

    #[test]
    fn numbers_stand_right_and_texts_left_below_their_heads() {
        let heads = vec![("name".into(), "Utf8".into()), ("n".into(), String::new())];
        let rows = vec![vec!["\"a\"".into(), "5".into()], vec!["\"longer\"".into(), "-17".into()]];
        let grid = Grid::new(heads, rows, Kind::List, Limits::USUAL);
        assert_eq!(grid.text(), "name      n\nUtf8\n───────────\na         5\nlonger  -17");
    }

    #[test]
    fn what_is_beyond_the_limits_is_counted() {
        assert_eq!(grid(100, 20).below(), [""; 0]);
        assert_eq!(grid(101, 20).below(), ["… 1 more row"]);
        let mut long = grid(1_234_667, 25);
        assert_eq!(long.below(), ["… 1,234,567 more rows and 5 more columns"]);
        assert_eq!((long.rows.len(), long.rows[99].len(), long.columns.len()), (100, 20, 20));
        long.left = Left { columns: 0, is_at_least: true, can_be_shown: true, ..long.left };
        assert_eq!(long.below(), ["… more than 1,234,567 more rows; `show::table(&…).all()` shows all"]);
    }

    #[test]
    fn a_very_long_cell_is_cut_in_the_text() {
        let cell = format!("\"{}\"", "ä".repeat(1000));
        let grid = Grid::new(vec![("a".into(), String::new())], vec![vec![cell]], Kind::List, Limits::USUAL);
        assert_eq!(grid.text().lines().last().unwrap().chars().count(), CELL_CHARS_MAX + 1);
    }
}
