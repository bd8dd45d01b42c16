//! The forms of a value that is a table: text, HTML, and data for a front end's own table.

use super::debug_table::{self, Shape};
use super::grid::{Grid, Kind, Limits};
use super::known::Seen;
use super::{Forms, Sample, data_resource, drawn_table, html_table, show, text};
use std::fmt::Debug;

pub(crate) use super::debug_table::NoColumns;

/// The longest drawn table that is read back, in characters.
const DRAWN_CHARS_MAX: usize = 200_000;

/// The forms of a value: those of a table if it reads best as one, else its `Debug` text.
pub(super) fn usual(value: &Seen<'_>) -> Forms {
    if let Some(grid) = batches(value, Limits::USUAL) {
        return forms(grid.text(), &grid);
    }
    let debug = value.debug();
    match debug_table::read(debug, value.type_name(), Limits::USUAL, Shape::Usual) {
        Some(grid) if grid.rows.len() > 1 && grid.kind == Kind::List => forms(grid.text(), &grid),
        // A long array abbreviates itself, and the rows of a short one stand below each other.
        Some(grid)
            if grid.rows.len() > 1
                && grid.kind == Kind::Matrix
                && !debug_table::abbreviates(value.type_name(), &grid) =>
        {
            forms(grid.brackets(), &grid)
        }
        Some(grid) if grid.kind != Kind::List => forms(without_notes(&text::debug(debug)).to_owned(), &grid),
        _ => {
            let plain = text::debug(debug);
            match drawn(debug, &plain, Limits::USUAL) {
                Some(grid) => forms(plain, &grid),
                None => Forms::plain(without_notes(&plain).to_owned()),
            }
        }
    }
}

/// Shows a value as a table of so many rows and columns. What is none is shown as it is, and told.
pub(crate) fn show_table_of(kind: &str, value: &Seen<'_>, limits: Limits) {
    let debug = value.debug();
    let grid = batches(value, limits).or_else(|| debug_table::read(debug, value.type_name(), limits, Shape::Any));
    let forms = match grid {
        Some(grid) => forms(grid.text(), &grid),
        None => {
            let plain = text::debug(debug);
            match drawn(debug, &plain, limits) {
                Some(grid) => forms(plain, &grid),
                None => Forms::plain(format!("{}\n({NO_TABLE})", without_notes(&plain))),
            }
        }
    };
    show(kind, &forms, None);
}

/// What a person can do who has asked for a table of something else.
pub(crate) const NO_TABLE: &str = "this is no table: one is a list of structs of one type, of tuples, of equally long lists or of single \
     values, a map, an array of at most two dimensions, or Arrow's record batches";

/// Gives `each` every cell of a value that is a table, with the number of its column. Returns the names of the columns.
pub(crate) fn each_cell(value: &Seen<'_>, each: &mut dyn FnMut(usize, Sample<'_>)) -> Result<Vec<String>, NoColumns> {
    #[cfg(feature = "arrow")]
    if let Some(batches) = value.batches() {
        return super::arrow::each_cell(&batches, each).ok_or(NoColumns::NoTable);
    }
    if let Some(names) = value.each_value(each) {
        return Ok(names);
    }
    debug_table::each_cell(value.debug(), value.type_name(), each)
}

/// A table of text, whole.
pub(crate) fn plain_grid(heads: Vec<String>, rows: Vec<Vec<String>>) -> Grid {
    let heads = heads.into_iter().map(|head| (head, String::new())).collect();
    Grid::new(heads, rows, Kind::Plain, Limits::NONE)
}

/// Shows a table: as the result of a cell, or beside it.
pub(crate) fn show_grid(kind: &str, grid: &Grid) {
    show(kind, &forms(grid.text(), grid), None);
}

/// A table in all its forms, with this text.
pub(super) fn forms(plain: String, grid: &Grid) -> Forms {
    let forms = [
        ("text/plain", plain),
        ("text/html", html_table::html(grid)),
        (data_resource::MIME, data_resource::json(grid)),
    ];
    Forms { data: forms.into_iter().map(|(mime, text)| (mime.to_owned(), text)).collect() }
}

#[cfg(feature = "arrow")]
fn batches(value: &Seen<'_>, limits: Limits) -> Option<Grid> {
    super::arrow::grid(&value.batches()?, limits)
}

#[cfg(not(feature = "arrow"))]
fn batches(_: &Seen<'_>, _: Limits) -> Option<Grid> {
    None
}

/// The table in a value's text, if that is drawn with lines.
fn drawn(value: &dyn Debug, plain: &str, limits: Limits) -> Option<Grid> {
    plain
        .contains(drawn_table::CORNER)
        .then(|| text::line(value, DRAWN_CHARS_MAX))
        .flatten()
        .and_then(|text| drawn_table::read(&text, limits))
}

/// The text of an `ndarray` array, without its notes on the memory layout.
fn without_notes(plain: &str) -> &str {
    let tail = plain.rfind(", shape=[").filter(|at| plain[*at..].contains("], strides=[") && plain.starts_with('['));
    tail.map_or(plain, |at| &plain[..at])
}
