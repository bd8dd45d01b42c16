//! A description of a table: what the values of each column are like.

use super::summary::{Column, MEASURES, NumberSummary, Summary, TextSummary};
use crate::display::{Grid, NO_TABLE, NoColumns, Seen, each_cell, plain_grid, show_grid};
use std::fmt::{self, Debug, Display};

/// Describes the columns of a table: how many values they have; of numbers, the mean, the standard deviation, the least, the
/// quartiles and the greatest; of other values, how many different ones there are, and the most frequent.
///
/// It takes what [`table`](super::table) takes, and data frames of polars in a session with `:dep polars`. `None`, null and NaN
/// count as missing. All rows are read.
///
/// ```
/// use mobula::show::describe;
/// let people = [("Ada", Some(36)), ("Alan", Some(41)), ("Ada", None)];
/// let about = describe(&people);
/// let ages = about.numbers("1").unwrap();
/// assert_eq!((ages.count, ages.missing, ages.mean, ages.max), (2, 1, 38.5, 41.0));
/// let names = about.texts("0").unwrap();
/// assert_eq!((names.unique, names.top.as_str(), names.frequency), (2, "Ada", 2));
/// ```
pub fn describe<T: Debug + ?Sized>(rows: &T) -> Description {
    Description::of(&Seen::of(&rows))
}

/// What the values of each column of a table are like. Displays as a table, as the last expression of a cell, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    columns: Vec<(String, Summary)>,
    /// Why there are none.
    instead: Option<String>,
}

impl Description {
    fn of(rows: &Seen<'_>) -> Description {
        let mut columns: Vec<Column> = Vec::new();
        let names = each_cell(rows, &mut |at, sample| {
            columns.resize_with(columns.len().max(at + 1), Column::default);
            columns[at].add(sample);
        });
        let why_not = |text: String| Description { columns: Vec::new(), instead: Some(text) };
        match names {
            Ok(names) if names.is_empty() => why_not("there are no rows to describe".into()),
            Ok(names) => {
                columns.resize_with(names.len(), Column::default);
                let summaries = columns.into_iter().map(Column::summary);
                Description { columns: names.into_iter().zip(summaries).collect(), instead: None }
            }
            Err(NoColumns::NoTable) => why_not(format!(
                "{NO_TABLE}; of a table of another crate, such as a data frame, give its columns one by one"
            )),
            Err(NoColumns::OtherRow(row)) => why_not(format!(
                "row {row} (the first is 0) has other fields than the rows before it: give rows of one form"
            )),
        }
    }

    /// The columns and their summaries, in the order of the table.
    ///
    /// ```
    /// use mobula::show::{Summary, describe};
    /// let about = describe(&[(1, 'a'), (2, 'b')]);
    /// let numeric = about.columns().filter(|(_, summary)| matches!(summary, Summary::Numbers(_)));
    /// assert_eq!(numeric.map(|(name, _)| name).collect::<Vec<_>>(), ["0"]);
    /// ```
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Summary)> {
        self.columns.iter().map(|(name, summary)| (name.as_str(), summary))
    }

    /// The summary of a column of numbers. `None` if there is no such column, or it has other values.
    ///
    /// ```
    /// let about = mobula::show::describe(&[1.0, 2.0, 3.0, 4.0]);
    /// let numbers = about.numbers("value").unwrap();
    /// assert_eq!((numbers.min, numbers.quartiles, numbers.max), (1.0, [1.75, 2.5, 3.25], 4.0));
    /// ```
    pub fn numbers(&self, column: &str) -> Option<&NumberSummary> {
        self.columns().find(|(name, _)| *name == column).and_then(|(_, summary)| match summary {
            Summary::Numbers(numbers) => Some(numbers),
            Summary::Texts(_) => None,
        })
    }

    /// The summary of a column of other values. `None` if there is no such column, or it has numbers.
    pub fn texts(&self, column: &str) -> Option<&TextSummary> {
        self.columns().find(|(name, _)| *name == column).and_then(|(_, summary)| match summary {
            Summary::Texts(texts) => Some(texts),
            Summary::Numbers(_) => None,
        })
    }

    /// Shows the description as the result of the cell.
    #[doc(hidden)]
    pub fn evcxr_display(&self) {
        self.draw("result");
    }

    /// Shows the description beside the result of the cell.
    pub fn show(&self) {
        self.draw("display");
    }

    fn draw(&self, kind: &str) {
        match &self.instead {
            Some(text) => crate::display::show_drawing(kind, [("text/plain", text.clone())]),
            None => show_grid(kind, &self.grid()),
        }
    }

    /// A row for each measure that some column has, and a column for each column.
    fn grid(&self) -> Grid {
        let measured: Vec<Vec<(&str, String)>> = self.columns.iter().map(|(_, summary)| summary.measures()).collect();
        let is_worth_a_row = |(name, text): &(&str, String)| *name != "missing" || text != "0";
        let measures = MEASURES
            .into_iter()
            .filter(|measure| measured.iter().flatten().any(|one| one.0 == *measure && is_worth_a_row(one)));
        let rows = measures.map(|measure| {
            let cell = |measures: &Vec<(&str, String)>| {
                measures.iter().find(|(name, _)| *name == measure).map(|(_, text)| text.clone()).unwrap_or_default()
            };
            [measure.to_owned()].into_iter().chain(measured.iter().map(cell)).collect()
        });
        let heads = [String::new()].into_iter().chain(self.columns.iter().map(|(name, _)| name.clone()));
        plain_grid(heads.collect(), rows.collect())
    }
}

impl Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instead {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.grid().text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only shown")]
    struct City {
        name: &'static str,
        people: Option<u32>,
        area: f64,
    }

    #[test]
    fn numbers_are_measured_and_texts_are_counted() {
        let city = |name, people, area| City { name, people, area };
        let cities = vec![city("a", Some(10), 1.5), city("b", None, 2.5), city("a", Some(20), f64::NAN)];
        let expected = "           name   people      area
──────────────────────────────────
count      3           2         2
missing    0           1         1
mean                  15         2
std              7.07107  0.707107
min                   10       1.5
25%                 12.5      1.75
50%                   15         2
75%                 17.5      2.25
max                   20       2.5
unique     2
top        a
frequency  2";
        assert_eq!(describe(&cities).to_string(), expected);
    }

    #[test]
    fn what_has_no_columns_is_told_and_what_to_do() {
        assert!(describe(&"text").to_string().starts_with("this is no table: one is a list of structs"));
        assert_eq!(describe(&Vec::<City>::new()).to_string(), "there are no rows to describe");
        assert_eq!(
            describe(&vec![vec![1], vec![1, 2]]).to_string(),
            "row 1 (the first is 0) has other fields than the rows before it: give rows of one form"
        );
    }

    #[test]
    fn arrays_and_maps_have_columns() {
        let array = ndarray::Array2::from_shape_fn((1000, 2), |(row, column)| (row * (column + 1)) as f64);
        assert_eq!(describe(&array).numbers("1").map(|numbers| (numbers.count, numbers.mean)), Some((1000, 999.0)));
        let array = crate::Array::from(array);
        assert_eq!(describe(&array).numbers("0").map(|numbers| numbers.mean), Some(499.5));
        let map = std::collections::BTreeMap::from([("a", 1), ("b", 5)]);
        assert_eq!(describe(&map).numbers("value").map(|numbers| numbers.mean), Some(3.0));
        assert_eq!(describe(&map).texts("key").map(|texts| texts.unique), Some(2));
    }
}
