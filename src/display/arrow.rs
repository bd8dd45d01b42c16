//! Arrow's record batches as tables, with the values formatted by arrow.

use super::Drawing;
use super::debug_table::{Grid, Kind, ROWS_MAX, more};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use std::borrow::Cow;

/// The batches of one table, below each other. Returns `None` if they have no columns, or different ones, or a value
/// that cannot be written.
pub(super) fn drawn(batches: &[arrow_array::RecordBatch]) -> Option<Drawing> {
    let schema = batches.first()?.schema();
    let of_others = batches.iter().any(|batch| batch.schema().fields() != schema.fields());
    if of_others || schema.fields().is_empty() {
        return None;
    }
    let options = FormatOptions::default().with_null("null");
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns: Vec<ArrayFormatter<'_>> = columns.collect::<Result<_, _>>().ok()?;
        for row in 0..batch.num_rows().min(ROWS_MAX - rows.len()) {
            let cells = columns.iter().map(|column| column.value(row).try_to_string());
            rows.push(cells.map(|cell| cell.map(|text| text.replace('\n', " "))).collect::<Result<_, _>>().ok()?);
        }
    }
    let head = schema.fields().iter().map(|field| Cow::Owned(format!("{} {}", field.name(), field.data_type())));
    let grid = Grid {
        head: head.collect(),
        rows: rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect(),
        kind: Kind::Drawn,
        below: more(batches.iter().map(arrow_array::RecordBatch::num_rows).sum()),
    };
    Some(vec![("text/plain", grid.plain().into_bytes()), ("text/html", grid.html().into_bytes())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(rows: i64) -> arrow_array::RecordBatch {
        let x: ArrayRef = Arc::new((0..rows).map(|x| (x != 1).then_some(x)).collect::<Int64Array>());
        let name: ArrayRef = Arc::new((0..rows).map(|x| Some(format!("<{x}>"))).collect::<StringArray>());
        arrow_array::RecordBatch::try_from_iter([("x", x), ("name", name)]).unwrap()
    }

    fn plain(drawing: &Drawing) -> &str {
        std::str::from_utf8(&drawing[0].1).unwrap()
    }

    #[test]
    fn a_batch_is_a_table_with_the_types_of_its_columns() {
        let drawing = drawn(&[batch(2)]).unwrap();
        assert_eq!(plain(&drawing), "x Int64  name Utf8\n──────────────────\n0        <0>\nnull     <1>");
        assert!(std::str::from_utf8(&drawing[1].1).unwrap().contains("<td>&lt;0&gt;</td>"));
    }

    #[test]
    fn batches_are_one_table_and_long_ones_are_counted() {
        let drawing = drawn(&[batch(90), batch(200)]).unwrap();
        assert_eq!(plain(&drawing).lines().count(), 2 + ROWS_MAX + 1);
        assert!(plain(&drawing).ends_with("… 190 more rows"));
    }

    #[test]
    fn what_is_no_one_table_is_left_to_debug() {
        let other = batch(1).project(&[0]).unwrap();
        assert!(drawn(&[batch(1), other]).is_none() && drawn(&[]).is_none());
        assert!(drawn(&[batch(1).project(&[]).unwrap()]).is_none());
    }
}
