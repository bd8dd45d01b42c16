//! Arrow's record batches as tables, with the values formatted by arrow.

use super::cell_value::{Field, Sample};
use super::grid::{Grid, Kind, Left, Limits};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;

/// The batches of one table, below each other. Returns `None` if they have no columns, or different ones, or a value
/// that cannot be written.
pub(super) fn grid(batches: &[&RecordBatch], limits: Limits) -> Option<Grid> {
    let schema = one_schema(batches)?;
    let options = options();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().take(limits.columns);
        let columns = columns.map(|column| ArrayFormatter::try_new(column, &options));
        let columns: Vec<ArrayFormatter<'_>> = columns.collect::<Result<_, _>>().ok()?;
        for row in 0..batch.num_rows().min(limits.rows - rows.len()) {
            let cells = columns.iter().map(|column| column.value(row).try_to_string());
            rows.push(cells.map(|cell| cell.map(|text| text.replace('\n', " "))).collect::<Result<_, _>>().ok()?);
        }
    }
    let fields = schema.fields().iter().take(limits.columns);
    let heads = fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect();
    let left = Left {
        rows: batches.iter().map(|batch| batch.num_rows()).sum::<usize>() - rows.len(),
        columns: schema.fields().len().saturating_sub(limits.columns),
        is_at_least: false,
        can_be_shown: true,
    };
    let mut grid = Grid { left, ..Grid::new(heads, rows, Kind::Plain, limits) };
    for (column, field) in grid.columns.iter_mut().zip(schema.fields()) {
        if !field.data_type().is_numeric() && column.field.is_number() {
            column.field = Field::Text;
        }
    }
    Some(grid)
}

/// Gives `each` every value, with the number of its column. Returns the names of the columns, or `None` where [`grid`]
/// does.
pub(super) fn each_cell(batches: &[&RecordBatch], each: &mut dyn FnMut(usize, Sample<'_>)) -> Option<Vec<String>> {
    let schema = one_schema(batches)?;
    let options = options();
    for (number, column) in batches.iter().flat_map(|batch| batch.columns().iter().enumerate()) {
        if column.data_type().is_numeric() {
            let numbers = arrow_cast::cast(column, &DataType::Float64).ok()?;
            numbers.as_primitive::<Float64Type>().iter().for_each(|value| each(number, value.into()));
            continue;
        }
        let texts = ArrayFormatter::try_new(column, &options).ok()?;
        for row in 0..column.len() {
            match column.is_null(row) {
                true => each(number, Sample::Missing),
                false => each(number, Sample::Text(&texts.value(row).try_to_string().ok()?)),
            }
        }
    }
    Some(schema.fields().iter().map(|field| field.name().clone()).collect())
}

fn options() -> FormatOptions<'static> {
    FormatOptions::default().with_null("null")
}

/// The schema that all batches have.
fn one_schema(batches: &[&RecordBatch]) -> Option<arrow_schema::SchemaRef> {
    let schema = batches.first()?.schema();
    let of_others = batches.iter().any(|batch| batch.schema().fields() != schema.fields());
    (!of_others && !schema.fields().is_empty()).then_some(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(rows: i64) -> RecordBatch {
        let x: ArrayRef = Arc::new((0..rows).map(|x| (x != 1).then_some(x)).collect::<Int64Array>());
        let name: ArrayRef = Arc::new((0..rows).map(|x| Some(format!("<{x}>"))).collect::<StringArray>());
        RecordBatch::try_from_iter([("x", x), ("name", name)]).unwrap()
    }

    #[test]
    fn a_batch_is_a_table_with_the_types_of_its_columns() {
        let grid = grid(&[&batch(2)], Limits::USUAL).unwrap();
        assert_eq!(grid.text(), "    x  name\nInt64  Utf8\n───────────\n    0  <0>\n null  <1>");
    }

    #[test]
    fn batches_are_one_table_and_long_ones_are_counted() {
        let batches = [&batch(90), &batch(200)];
        let usual = grid(&batches, Limits::USUAL).unwrap();
        assert_eq!((usual.rows.len(), usual.left.rows), (100, 190));
        assert_eq!(grid(&batches, Limits::NONE).unwrap().rows.len(), 290);
    }

    #[test]
    fn digits_in_a_column_of_texts_are_texts() {
        let codes: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
        let batch = RecordBatch::try_from_iter([("code", codes)]).unwrap();
        assert_eq!(grid(&[&batch], Limits::USUAL).unwrap().columns[0].field, Field::Text);
    }

    #[test]
    fn every_value_is_given_out() {
        let mut seen = Vec::new();
        let names = each_cell(&[&batch(2)], &mut |column, sample| seen.push(format!("{column} {sample:?}")));
        assert_eq!(names.unwrap(), ["x", "name"]);
        assert_eq!(seen, ["0 Number(0.0)", "0 Missing", "1 Text(\"<0>\")", "1 Text(\"<1>\")"]);
    }

    #[test]
    fn what_is_no_one_table_is_left_to_debug() {
        let (batch, other) = (batch(1), batch(1).project(&[0]).unwrap());
        assert!(grid(&[&batch, &other], Limits::USUAL).is_none() && grid(&[], Limits::USUAL).is_none());
        assert!(grid(&[&batch.project(&[]).unwrap()], Limits::USUAL).is_none());
    }
}
