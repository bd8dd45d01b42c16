//! Rows and columns in what `Debug` writes: lists of structs, maps, and lists of lists, which `ndarray` writes too.
//!
//! The text is parsed, not the value, because every type has `Debug`. A type that writes something else is shown as it
//! writes it.

use super::columns::aligned;
use std::borrow::Cow;

/// Rows under column heads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grid<'a> {
    pub(super) head: Vec<Cow<'a, str>>,
    pub(super) rows: Vec<Vec<&'a str>>,
    pub(super) kind: Kind,
    /// A note to show below the table.
    pub(super) below: Option<String>,
}

/// The kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list of structs.
    Structs,
    /// Keys and values.
    Map,
    /// Equally long lists in a list.
    Matrix,
    /// A table drawn already.
    Drawn,
}

/// Rows beyond this number are only counted.
pub(super) const ROWS_MAX: usize = 100;

impl<'a> Grid<'a> {
    /// Parses `[P { x: 1 }, P { x: 2 }]`, `{"a": 1}` and `[[1, 2], [3, 4]]`, even inside of `Ok(…)` and `Some(…)`.
    /// Returns `None` for any other text.
    pub(super) fn read(text: &'a str) -> Option<Grid<'a>> {
        let text = text.trim();
        let inside = ["Ok(", "Some("].iter().find_map(|word| text.strip_prefix(word)?.strip_suffix(')'));
        let text = inside.unwrap_or(text);
        // The end of `ndarray`'s text: `, shape=[2, 2], strides=[2, 1], layout=Cc (0x5), const ndim=2`.
        let text = text.split_once(", shape=[").map_or(text, |(array, _)| array);
        if let Some(list) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            if list.starts_with('[') {
                return Grid::matrix(list);
            }
            let rows: Vec<(&str, Vec<(&str, &str)>)> = parts(list)?.into_iter().map(fields).collect::<Option<_>>()?;
            let (name, first) = rows.first()?;
            let head: Vec<&str> = first.iter().map(|(field, _)| *field).collect();
            let same = |row: &(&str, Vec<(&str, &str)>)| {
                row.0 == *name
                    && row.1.len() == head.len()
                    && row.1.iter().zip(&head).all(|(field, head)| field.0 == *head)
            };
            let fits = !head.is_empty() && rows.iter().all(same);
            let rows = rows.iter().map(|(_, fields)| fields.iter().map(|(_, value)| *value).collect()).collect();
            return fits.then_some(Grid { head: named(head), rows, kind: Kind::Structs, below: None });
        }
        let map = text.strip_prefix('{')?.strip_suffix('}')?;
        let rows: Vec<Vec<&str>> = parts(map)?
            .into_iter()
            .map(|part| key_and_value(part).map(|(key, value)| vec![key, value]))
            .collect::<Option<_>>()?;
        (!rows.is_empty()).then_some(Grid { head: named(vec!["key", "value"]), rows, kind: Kind::Map, below: None })
    }

    fn matrix(list: &'a str) -> Option<Grid<'a>> {
        let row = |part: &'a str| parts(part.strip_prefix('[')?.strip_suffix(']')?);
        let rows: Vec<Vec<&str>> = parts(list)?.into_iter().map(row).collect::<Option<_>>()?;
        let columns = rows.first()?.len();
        let fits =
            columns > 0 && rows.iter().all(|row| row.len() == columns && row.iter().all(|cell| !cell.starts_with('[')));
        let head = (0..columns).map(|column| Cow::Owned(column.to_string())).collect();
        fits.then_some(Grid { head, rows, kind: Kind::Matrix, below: None })
    }

    /// The grid as lines of text.
    pub(super) fn plain(&self) -> String {
        let shown = &self.rows[..self.rows.len().min(ROWS_MAX)];
        let table = if self.kind == Kind::Matrix {
            brackets(shown)
        } else {
            let texts: Vec<Vec<Cow<'_, str>>> =
                shown.iter().map(|row| row.iter().map(|cell| self.cell(cell)).collect()).collect();
            let rows: Vec<Vec<&str>> = texts.iter().map(|row| row.iter().map(AsRef::as_ref).collect()).collect();
            aligned(&self.heads(), &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        match self.below() {
            Some(below) => format!("{table}\n{below}"),
            None => table,
        }
    }

    /// The grid as an HTML table.
    pub(super) fn html(&self) -> String {
        let row = |cells: &[&str], tag: &str| {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(&self.cell(cell))));
            format!("<tr>{}</tr>", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().take(ROWS_MAX).map(|cells| row(cells, "td")).collect();
        let below = self.below().map(|text| format!("<p>{}</p>", escaped(&text))).unwrap_or_default();
        format!("<table><thead>{}</thead><tbody>{rows}</tbody></table>{below}", row(&self.heads(), "th"))
    }

    /// A cell as a person reads it: a string without the quotes that `Debug` writes.
    fn cell<'c>(&self, cell: &'c str) -> Cow<'c, str> {
        if self.kind == Kind::Drawn { Cow::Borrowed(cell) } else { unquoted(cell) }
    }

    fn heads(&self) -> Vec<&str> {
        self.head.iter().map(AsRef::as_ref).collect()
    }

    fn below(&self) -> Option<String> {
        self.below.clone().or_else(|| more(self.rows.len()))
    }
}

/// Rows in brackets, with columns as wide as their widest cell and numbers under each other, as NumPy writes them.
fn brackets(rows: &[Vec<&str>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<&str>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        format!("[{}]", cells.collect::<Vec<_>>().join(", "))
    };
    format!("[{}]", rows.iter().map(line).collect::<Vec<_>>().join(",\n "))
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

/// The note on rows that are not shown.
pub(super) fn more(rows: usize) -> Option<String> {
    let more = rows.saturating_sub(ROWS_MAX);
    (more > 0).then(|| format!("… {more} more rows"))
}

fn named<'a>(head: Vec<&'a str>) -> Vec<Cow<'a, str>> {
    head.into_iter().map(Cow::Borrowed).collect()
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Parses `P { x: 1, y: [2, 3] }` into the name, and the fields with their values.
fn fields(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (name, rest) = text.split_once(" {")?;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let fields = parts(rest.strip_suffix('}')?)?.into_iter().map(key_and_value).collect::<Option<Vec<_>>>()?;
    (is_name && !name.is_empty()).then_some((name, fields))
}

fn key_and_value(text: &str) -> Option<(&str, &str)> {
    let at =
        positions(text, ':')?.into_iter().find(|at| !text[at + 1..].starts_with(':') && !text[..*at].ends_with(':'))?;
    Some((text[..at].trim(), text[at + 1..].trim()))
}

/// The texts between the outer commas.
fn parts(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in positions(text, ',')? {
        parts.push(text[start..at].trim());
        start = at + 1;
    }
    parts.push(text[start..].trim());
    if parts.last() == Some(&"") {
        parts.pop();
    }
    Some(parts)
}

/// The positions of a character outside of all brackets and quotes. Returns `None` if brackets do not match.
fn positions(text: &str, wanted: char) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => loop {
                match chars.next()?.1 {
                    '\\' => drop(chars.next()?),
                    '"' => break,
                    _ => {}
                }
            },
            // A character literal, unless it is a lifetime.
            '\'' => {
                let rest = &text[at + 1..];
                let len = match rest.strip_prefix('\\') {
                    Some(escape) => escape.char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 2),
                    None => rest.char_indices().nth(1).filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1),
                };
                if let Some(len) = len {
                    while chars.next_if(|(next, _)| *next < at + 1 + len).is_some() {}
                }
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            c if c == wanted && depth == 0 => found.push(at),
            _ => {}
        }
    }
    (depth == 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_structs_has_a_column_for_each_field() {
        let text = r#"[P { x: 1, name: "a, b: }" }, P { x: -2, name: "\"" }]"#;
        let grid = Grid::read(text).unwrap();
        assert_eq!(grid.head, ["x", "name"]);
        assert_eq!(grid.rows, [["1", r#""a, b: }""#], ["-2", r#""\"""#]]);
        assert_eq!(grid.plain(), "x   name\n───────────\n1   a, b: }\n-2  \"");
        assert!(grid.html().starts_with("<table><thead><tr><th>x</th>"));
    }

    #[test]
    fn a_map_has_keys_and_values() {
        let grid = Grid::read(r#"Ok({"a": [1, 2], 'b': P { x: 1 }})"#).unwrap();
        assert_eq!(grid.kind, Kind::Map);
        assert_eq!(grid.rows, [[r#""a""#, "[1, 2]"], ["'b'", "P { x: 1 }"]]);
    }

    #[test]
    fn lists_in_a_list_are_rows_also_as_ndarray_writes_them() {
        let array = "[[1.0, 2.0],\n [3.0, 4.0]], shape=[2, 2], strides=[2, 1], layout=Cc (0x5), const ndim=2";
        for text in [array, "[[1.0, 2.0], [3.0, 4.0]]"] {
            let grid = Grid::read(text).unwrap();
            assert_eq!((grid.kind, grid.heads()), (Kind::Matrix, vec!["0", "1"]));
            assert_eq!(grid.rows, [["1.0", "2.0"], ["3.0", "4.0"]]);
            assert_eq!(grid.plain(), "[[1.0, 2.0],\n [3.0, 4.0]]");
        }
        for text in ["[[]]", "[[1], [1, 2]]", "[[[1]]]", "[[1], 2]"] {
            assert_eq!(Grid::read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_of_a_matrix_stand_under_each_other() {
        let grid = Grid::read("[[1.5, -20.0], [100.25, 4.0]]").unwrap();
        assert_eq!(grid.plain(), "[[   1.5, -20.0],\n [100.25,   4.0]]");
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
    fn what_is_neither_is_left_alone() {
        for text in [
            "",
            "[]",
            "{}",
            "[1, 2]",
            "[P(1)]",
            "[P { x: 1 }, Q { x: 1 }]",
            "[P { x: 1 }, P { y: 1 }]",
            "[P { x: 1 }",
            "{1, 2}",
            "P { x: 1 }",
            "[\"",
            "[']']",
        ] {
            assert_eq!(Grid::read(text), None, "{text}");
        }
    }

    #[test]
    fn html_says_what_it_was_given() {
        assert!(Grid::read("[P { x: \"<b>&\" }, P { x: \"\" }]").unwrap().html().contains("<td>&lt;b&gt;&amp;</td>"));
    }

    #[test]
    fn many_rows_are_counted() {
        let text = format!("[{}]", vec!["P { x: 1 }"; 150].join(", "));
        assert!(Grid::read(&text).unwrap().plain().ends_with("… 50 more rows"));
    }
}
