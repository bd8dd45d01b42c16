//! Rows and columns in what `Debug` writes: lists of structs, maps, and lists of lists, which `ndarray` writes too.
//!
//! The text is parsed, not the value, because every type has `Debug`. A type that writes something else is shown as it
//! writes it.

use super::cell_value::{CellValue, Sample, Written};
use super::debug_text::{fields, key_and_value, list, tuple};
use super::elements::{End, Open, walk};
use super::grid::{Grid, Kind, Left, Limits};
use super::types;
use std::fmt::Debug;

/// The longest text of rows that is kept where not all are asked for, in bytes.
const KEPT_BYTES_MAX: usize = 1_000_000;
/// The longest text that is read to count the rows; beyond this there are "more than" so many.
const COUNTED_BYTES_MAX: usize = 50_000_000;

/// What counts as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// What reads best as one: lists of structs, maps, lists of lists.
    Usual,
    /// Lists of tuples and of single values, too.
    Any,
}

/// The form of a table's rows, as the first one has it.
#[derive(Debug, PartialEq, Eq)]
enum Layout {
    /// `P { x: 1 }`
    Structs { name: String, fields: Vec<String> },
    /// `key: value`
    Map,
    /// `[1, 2]`
    Lists(usize),
    /// `(1, "a")`, `P(1, 2)`
    Tuples { name: String, fields: usize },
    /// `1`
    Single,
}

impl Layout {
    fn of(open: Open, element: &str, shape: Shape) -> Option<Layout> {
        if open == Open::Map {
            return key_and_value(element).map(|_| Layout::Map);
        }
        if element.starts_with('[') {
            let cells = list(element)?;
            let fits = !cells.is_empty() && cells.iter().all(|cell| !cell.starts_with('['));
            return fits.then_some(Layout::Lists(cells.len()));
        }
        if let Some((name, fields)) = fields(element) {
            let fields: Vec<String> = fields.into_iter().map(|(field, _)| field.to_owned()).collect();
            return (!fields.is_empty()).then(|| Layout::Structs { name: name.to_owned(), fields });
        }
        if shape == Shape::Usual {
            return None;
        }
        let is_single = !matches!(CellValue::read(element, Written::Debug), CellValue::Text(_));
        match tuple(element) {
            Some((name, cells)) if !is_single && !matches!(name, "Some" | "Ok" | "Err") => {
                Some(Layout::Tuples { name: name.to_owned(), fields: cells.len() })
            }
            _ => Some(Layout::Single),
        }
    }

    /// The cells of a row; `None` if it has another form.
    fn row<'t>(&self, element: &'t str) -> Option<Vec<&'t str>> {
        match self {
            Layout::Structs { name, fields: known } => {
                let (found, fields) = fields(element)?;
                let same = found == name
                    && fields.len() == known.len()
                    && fields.iter().zip(known).all(|(field, known)| field.0 == known);
                same.then(|| fields.into_iter().map(|(_, value)| value).collect())
            }
            Layout::Map => key_and_value(element).map(|(key, value)| vec![key, value]),
            Layout::Lists(columns) => {
                let cells = list(element)?;
                let same = cells.len() == *columns && cells.iter().all(|cell| !cell.starts_with('['));
                same.then_some(cells)
            }
            Layout::Tuples { name, fields } => {
                let (found, cells) = tuple(element)?;
                (found == name && cells.len() == *fields).then_some(cells)
            }
            Layout::Single => Some(vec![element]),
        }
    }

    /// The names of the columns.
    fn names(&self) -> Vec<String> {
        match self {
            Layout::Structs { fields, .. } => fields.clone(),
            Layout::Map => vec!["key".into(), "value".into()],
            Layout::Lists(columns) | Layout::Tuples { fields: columns, .. } => {
                (0..*columns).map(|column| column.to_string()).collect()
            }
            Layout::Single => vec!["value".into()],
        }
    }

    /// The types of the columns, as far as the name of the table's type tells them.
    fn types(&self, type_name: &str) -> Vec<String> {
        match self {
            Layout::Structs { fields, .. } => types::of_a_struct(type_name, fields),
            Layout::Map => types::of_a_map(type_name).into(),
            Layout::Lists(columns) => vec![types::innermost(type_name); *columns],
            Layout::Tuples { fields, .. } => types::of_a_tuple(&types::innermost(type_name), *fields),
            Layout::Single => vec![types::innermost(type_name)],
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Layout::Structs { .. } | Layout::Tuples { .. } | Layout::Single => Kind::List,
            Layout::Map => Kind::Map,
            Layout::Lists(_) => Kind::Matrix,
        }
    }
}

/// The table in what `Debug` writes of a value: `[P { x: 1 }, P { x: 2 }]`, `{"a": 1}` or `[[1, 2], [3, 4]]`, also inside
/// of `Ok(…)` and `Some(…)`. Returns `None` for any other text.
pub(super) fn read(value: &dyn Debug, type_name: &str, limits: Limits, shape: Shape) -> Option<Grid> {
    // An array writes only some of its rows, unless `{:#?}` is asked for, and in its notes how many it has.
    let is_array = types::is_array(type_name);
    let rows_all = if is_array { Some(rows_of_array(value)?) } else { None };
    let bytes_max = if limits.rows == usize::MAX { usize::MAX } else { KEPT_BYTES_MAX };

    let (mut layout, mut rows, mut fits) = (None, Vec::new(), true);
    let (mut kept, mut counted, mut seen) = (0, 0, 0);
    let end = walk(value, is_array, &mut |open, element| {
        let layout = match &layout {
            Some(layout) => layout,
            None => match Layout::of(open, element, shape) {
                Some(found) => layout.insert(found),
                None => return false,
            },
        };
        seen += 1;
        counted += element.len();
        if rows.len() < limits.rows && kept + element.len() <= bytes_max {
            kept += element.len();
            match layout.row(element) {
                Some(row) => rows.push(row.into_iter().take(limits.columns).map(str::to_owned).collect()),
                None => fits = false,
            }
            fits
        } else {
            // No row behind one that is left out is shown.
            kept = bytes_max;
            rows_all.is_none() && counted < COUNTED_BYTES_MAX
        }
    });
    let layout = layout.filter(|_| fits && end != End::Unlike)?;
    let (names, types) = (layout.names(), layout.types(type_name));
    let columns_left = names.len().saturating_sub(limits.columns);
    let heads = names.into_iter().zip(types).take(limits.columns).collect();
    let left = Left {
        rows: rows_all.unwrap_or(seen) - rows.len(),
        is_at_least: rows_all.is_none() && end == End::Stopped,
        columns: columns_left,
        can_be_shown: true,
    };
    Some(Grid { left, ..Grid::new(heads, rows, layout.kind(), limits) })
}

/// Whether the value's own text leaves something out of the table: that of an array that is not shown whole does.
pub(super) fn abbreviates(type_name: &str, grid: &Grid) -> bool {
    types::is_array(type_name) && (grid.left.rows > 0 || grid.left.columns > 0)
}

/// Why a value has no columns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoColumns {
    /// It is no list of one of the forms.
    NoTable,
    /// The row of this number, from 0, has another form than the first one.
    OtherRow(usize),
}

/// Gives `each` every cell of the table in what `Debug` writes of a value, with the number of its column. Returns the names
/// of the columns, and none for an empty list.
pub(super) fn each_cell(
    value: &dyn Debug,
    type_name: &str,
    each: &mut dyn FnMut(usize, Sample<'_>),
) -> Result<Vec<String>, NoColumns> {
    let (mut layout, mut seen) = (None, 0);
    let end = walk(value, types::is_array(type_name), &mut |open, element| {
        let layout = match &layout {
            Some(layout) => layout,
            None => match Layout::of(open, element, Shape::Any) {
                Some(found) => layout.insert(found),
                None => return false,
            },
        };
        let Some(row) = layout.row(element) else { return false };
        seen += 1;
        let values = row.into_iter().map(|cell| CellValue::read(cell, Written::Debug));
        values.enumerate().for_each(|(column, value)| each(column, value.sample()));
        true
    });
    match (end, layout) {
        (End::Whole(_), layout) => Ok(layout.map(|layout| layout.names()).unwrap_or_default()),
        (End::Stopped, Some(_)) => Err(NoColumns::OtherRow(seen)),
        _ => Err(NoColumns::NoTable),
    }
}

/// How many rows an array has, by the notes that `ndarray` writes behind it. `None` if there are none.
fn rows_of_array(value: &dyn Debug) -> Option<usize> {
    let End::Whole(notes) = walk(value, false, &mut |_, _| true) else { return None };
    let (rows, _) = notes.strip_prefix(", shape=[")?.split_once([',', ']'])?;
    rows.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    /// A value that writes this text.
    struct Says<'a>(&'a str);

    impl Debug for Says<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    fn grid(text: &str) -> Option<Grid> {
        read(&Says(text), "", Limits::USUAL, Shape::Usual)
    }

    fn names(grid: &Grid) -> Vec<&str> {
        grid.columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn a_list_of_structs_has_a_column_for_each_field() {
        let text = r#"[P { x: 1, name: "a, b: }" }, P { x: -2, name: "\"" }]"#;
        let grid = grid(text).unwrap();
        assert_eq!(names(&grid), ["x", "name"]);
        assert_eq!(grid.rows, [["1", r#""a, b: }""#], ["-2", r#""\"""#]]);
        assert_eq!(grid.text(), " x  name\n───────────\n 1  a, b: }\n-2  \"");
    }

    #[test]
    fn a_map_has_keys_and_values() {
        let text = r#"Ok({"a": [1, 2], 'b': P { x: 1 }})"#;
        let grid = read(&Says(text), "Result<HashMap<String, i64>, E>", Limits::USUAL, Shape::Usual).unwrap();
        assert_eq!(grid.kind, Kind::Map);
        assert_eq!(grid.rows, [[r#""a""#, "[1, 2]"], ["'b'", "P { x: 1 }"]]);
        assert_eq!(grid.columns[1].type_name, "i64");
    }

    #[test]
    fn lists_in_a_list_are_rows_also_as_ndarray_writes_them() {
        let array = "[[1.0, 2.0],\n [3.0, 4.0]], shape=[2, 2], strides=[2, 1], layout=Cc (0x5), const ndim=2";
        for text in [array, "[[1.0, 2.0], [3.0, 4.0]]"] {
            let grid = grid(text).unwrap();
            assert_eq!((grid.kind, names(&grid)), (Kind::Matrix, vec!["0", "1"]));
            assert_eq!(grid.rows, [["1.0", "2.0"], ["3.0", "4.0"]]);
            assert_eq!(grid.brackets(), "[[1.0, 2.0],\n [3.0, 4.0]]");
        }
        for text in ["[[]]", "[[1], [1, 2]]", "[[[1]]]", "[[1], 2]"] {
            assert_eq!(grid(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_array_is_read_to_where_it_is_shown() {
        let array = ndarray::Array2::from_shape_fn((3000, 30), |(row, column)| (row * 100 + column) as f64);
        let type_name = std::any::type_name_of_val(&array);
        let grid = read(&array, type_name, Limits::USUAL, Shape::Usual).unwrap();
        assert_eq!((grid.rows[99][19].as_str(), grid.rows.len()), ("9919.0", 100));
        let left = Left { rows: 2900, columns: 10, is_at_least: false, can_be_shown: true };
        assert_eq!((grid.left, grid.columns[3].type_name.as_str()), (left, "f64"));
        assert!(grid.brackets().contains("[   0.0,    1.0,"), "{}", grid.brackets());
    }

    #[test]
    fn numbers_of_a_matrix_stand_under_each_other() {
        let grid = grid("[[1.5, -20.0], [100.25, 4.0]]").unwrap();
        assert_eq!(grid.brackets(), "[[   1.5, -20.0],\n [100.25,   4.0]]");
    }

    #[test]
    fn what_is_neither_is_left_alone() {
        for text in [
            "",
            "[]",
            "{}",
            "[1, 2]",
            "[P(1)]",
            "[(1, 2)]",
            "[P { x: 1 }, Q { x: 1 }]",
            "[P { x: 1 }, P { y: 1 }]",
            "[P { x: 1 }",
            "{1, 2}",
            "P { x: 1 }",
            "[\"",
            "[']']",
        ] {
            assert_eq!(grid(text), None, "{text}");
        }
    }

    #[test]
    fn tuples_and_single_values_are_tables_when_one_is_asked_for() {
        let any = |text: &str, type_name: &str| read(&Says(text), type_name, Limits::USUAL, Shape::Any).unwrap();
        let tuples = any(r#"[(1, "a"), (2, "b")]"#, "alloc::vec::Vec<(i64, &str)>");
        assert_eq!((names(&tuples), tuples.rows[1].clone()), (vec!["0", "1"], vec!["2".to_owned(), "\"b\"".into()]));
        assert_eq!(tuples.columns[1].type_name, "&str");
        let single = any("[1.5, 2.5]", "[f64; 2]");
        assert_eq!((names(&single), single.columns[0].type_name.as_str()), (vec!["value"], "f64"));
        assert_eq!(any("[Some(1), None]", "").rows, [["Some(1)"], ["None"]]);
        assert_eq!(any("[Celsius(1.5)]", "").rows, [["1.5"]]);
    }

    #[test]
    fn many_rows_are_counted_and_not_kept() {
        let text = format!("[{}]", vec!["P { x: 1 }"; 150_000].join(", "));
        let long = grid(&text).unwrap();
        assert_eq!((long.rows.len(), long.left.rows), (100, 149_900));
        let all = read(&Says(&text), "", Limits::NONE, Shape::Usual).unwrap();
        assert_eq!((all.rows.len(), all.left.rows), (150_000, 0));
        let wide = format!("[{0}, {0}, P {{ x: 1 }}]", format!("P {{ x: \"{}\" }}", "y".repeat(700_000)));
        let wide = grid(&wide).unwrap();
        assert_eq!((wide.rows.len(), wide.left.rows), (1, 2));
    }

    #[test]
    fn every_cell_is_given_out_and_a_row_of_another_form_is_told() {
        let mut sum = 0.0;
        let mut add = |_: usize, sample: Sample<'_>| {
            if let Sample::Number(number) = sample {
                sum += number;
            }
        };
        assert_eq!(each_cell(&vec![(1, "a"), (2, "b")], "", &mut add), Ok(vec!["0".into(), "1".into()]));
        assert_eq!(
            each_cell(&ndarray::Array1::from_iter(0..1000), "ndarray::ArrayBase<", &mut add),
            Ok(vec!["value".into()])
        );
        assert_eq!(sum, 3.0 + 499_500.0);
        let mut ignore = |_: usize, _: Sample<'_>| {};
        assert_eq!(each_cell(&Vec::<u8>::new(), "", &mut ignore), Ok(vec![]));
        assert_eq!(each_cell(&5, "", &mut ignore), Err(NoColumns::NoTable));
        assert_eq!(each_cell(&Says("[P { x: 1 }, Q { x: 1 }]"), "", &mut ignore), Err(NoColumns::OtherRow(1)));
    }
}
