//! The value in a cell of a table, read from its text.

use std::borrow::Cow;

/// The language that a cell's text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// As `Debug` writes: strings in quotes.
    Debug,
    /// As a person reads it.
    Plain,
}

/// A cell's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CellValue<'a> {
    /// No value: `None`, Arrow's null.
    Missing,
    /// The digits of an integer, and its sign.
    Integer(&'a str),
    /// A number as Rust writes it; also `NaN` and `inf`.
    Number(&'a str),
    /// `true` or `false`.
    Truth(bool),
    /// Anything else.
    Text(Cow<'a, str>),
}

impl<'a> CellValue<'a> {
    /// Reads a cell. Of `Some(x)`, the value is that of `x`.
    pub(super) fn read(cell: &'a str, written: Written) -> CellValue<'a> {
        if let Some(inside) = inside_some(cell).filter(|_| written == Written::Debug) {
            return CellValue::read(inside, written);
        }
        match (cell, written) {
            ("None", Written::Debug) | ("" | "null", Written::Plain) => return CellValue::Missing,
            ("true", _) => return CellValue::Truth(true),
            ("false", _) => return CellValue::Truth(false),
            ("NaN" | "inf" | "-inf", _) => return CellValue::Number(cell),
            _ => {}
        }
        let digits = cell.strip_prefix('-').unwrap_or(cell);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            CellValue::Integer(cell)
        } else if digits.starts_with(|c: char| c.is_ascii_digit()) && cell.parse::<f64>().is_ok() {
            CellValue::Number(cell)
        } else {
            CellValue::Text(shown(cell, written))
        }
    }
}

/// A cell's value as statistics take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample<'a> {
    /// No value.
    Missing,
    /// A number.
    Number(f64),
    /// Anything else.
    Text(&'a str),
}

impl From<Option<f64>> for Sample<'_> {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Sample::Missing, Sample::Number)
    }
}

impl<'a> CellValue<'a> {
    /// The value for statistics.
    pub(super) fn sample(&'a self) -> Sample<'a> {
        match self {
            CellValue::Missing => Sample::Missing,
            // Whatever is read as a number can be parsed.
            CellValue::Integer(digits) | CellValue::Number(digits) => digits.parse().ok().into(),
            CellValue::Truth(true) => Sample::Text("true"),
            CellValue::Truth(false) => Sample::Text("false"),
            CellValue::Text(text) => Sample::Text(text),
        }
    }
}

/// A cell of a column of `Option`s as a person reads it: what is in it, or that there is nothing.
pub(super) fn shown_of_option(cell: &str) -> Cow<'_, str> {
    match inside_some(cell) {
        Some(inside) => unquoted(inside),
        None if cell == "None" => Cow::Borrowed(NOTHING),
        None => unquoted(cell),
    }
}

/// What stands for no value.
const NOTHING: &str = "—";

/// What is in a `Some(…)`.
pub(super) fn inside_some(cell: &str) -> Option<&str> {
    let inside = cell.strip_prefix("Some(")?.strip_suffix(')')?;
    Some(inside.trim().trim_end_matches(','))
}

/// A cell as a person reads it: a string without the quotes that `Debug` writes.
pub(super) fn shown(cell: &str, written: Written) -> Cow<'_, str> {
    if written == Written::Debug { unquoted(cell) } else { Cow::Borrowed(cell) }
}

/// The content of a string literal, in one line: a line break in it stays an escape.
fn unquoted(cell: &str) -> Cow<'_, str> {
    let inside = cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|_| cell.len() > 1);
    let Some(inside) = inside else { return Cow::Borrowed(cell) };
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some(said @ ('"' | '\\' | '\''))) => text.push(said),
            (_, Some(other)) => text.extend(['\\', other]),
            (c, None) => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// The kind of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Integer,
    Number,
    Boolean,
    Text,
}

impl Field {
    /// The kind that all of these values have.
    pub(super) fn of<'a>(values: impl Iterator<Item = CellValue<'a>>) -> Field {
        let mut field = None;
        for value in values {
            let one = match value {
                CellValue::Missing => continue,
                CellValue::Integer(_) => Field::Integer,
                CellValue::Number(_) => Field::Number,
                CellValue::Truth(_) => Field::Boolean,
                CellValue::Text(_) => return Field::Text,
            };
            field = match (field, one) {
                (None, one) => Some(one),
                (Some(Field::Integer | Field::Number), Field::Number) | (Some(Field::Number), Field::Integer) => {
                    Some(Field::Number)
                }
                (Some(all), one) if all == one => Some(all),
                _ => return Field::Text,
            };
        }
        field.unwrap_or(Field::Text)
    }

    /// Whether the values stand right-aligned.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Field::Integer | Field::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str) -> CellValue<'_> {
        CellValue::read(cell, Written::Debug)
    }

    #[test]
    fn a_cell_is_read_as_debug_writes_it() {
        assert_eq!(read("-12"), CellValue::Integer("-12"));
        assert_eq!(read("1e-7"), CellValue::Number("1e-7"));
        assert_eq!(read("NaN"), CellValue::Number("NaN"));
        assert_eq!((read("Some(1)"), read("None")), (CellValue::Integer("1"), CellValue::Missing));
        assert_eq!(read("Some(\"a\")"), CellValue::Text("a".into()));
        assert_eq!((read("true"), read("\"true\"")), (CellValue::Truth(true), CellValue::Text("true".into())));
        for text in ["\"12\"", "12ms", "-", "1.2.3", "e5", "P { x: 1 }"] {
            assert!(matches!(read(text), CellValue::Text(_)), "{text}");
        }
    }

    #[test]
    fn statistics_take_numbers_and_texts() {
        let sample = |cell: &str| format!("{:?}", read(cell).sample());
        assert_eq!(["-2", "inf", "Some(1.5)"].map(sample), ["Number(-2.0)", "Number(inf)", "Number(1.5)"]);
        assert_eq!(["None", "true", "'a'"].map(sample), ["Missing", "Text(\"true\")", "Text(\"'a'\")"]);
    }

    #[test]
    fn a_text_is_read_without_its_quotes_and_escapes_but_for_line_breaks() {
        for (cell, text) in
            [(r#""a""#, "a"), (r#""\"a\\""#, "\"a\\"), (r#""a\nb""#, "a\\nb"), ("\"\"", ""), ("\"", "\""), ("1", "1")]
        {
            assert_eq!(unquoted(cell), text);
        }
    }

    #[test]
    fn an_option_is_read_as_what_is_in_it() {
        let cells = ["Some(1)", "Some(\"a\")", "Some(Some(1))", "Some(None)", "None"].map(shown_of_option);
        assert_eq!(cells, ["1", "a", "Some(1)", "None", "—"]);
    }

    #[test]
    fn a_column_is_of_numbers_if_all_that_it_has_are() {
        let of = |cells: &[&'static str]| Field::of(cells.iter().map(|cell| read(cell)));
        assert_eq!(of(&["1", "None", "2"]), Field::Integer);
        assert_eq!((of(&["1", "2.5"]), of(&["2.5", "1"])), (Field::Number, Field::Number));
        assert_eq!((of(&["true", "false"]), of(&["true", "1"])), (Field::Boolean, Field::Text));
        assert_eq!((of(&["1", "\"1\""]), of(&["None"]), of(&[])), (Field::Text, Field::Text, Field::Text));
    }
}
