//! A table as a tabular data resource (specs.frictionlessdata.io), for front ends with a data explorer of their own.

use super::cell_value::{CellValue, Field};
use super::grid::Grid;
use crate::calls::Json;
use std::collections::HashSet;

/// Its MIME type.
pub(super) const MIME: &str = "application/vnd.dataresource+json";

/// The largest integer up to which every integer is a number in JavaScript, too.
const SAFE_MAX: u64 = (1 << 53) - 1;

/// The schema and the rows, one line of JSON. Long integers and numbers that JSON has no word for are texts, as the
/// specification has them.
pub(super) fn json(grid: &Grid) -> String {
    let names = names(grid);
    let fields = grid.columns.iter().zip(&names).map(|(column, name)| {
        let kind = match column.field {
            Field::Integer => "integer",
            Field::Number => "number",
            Field::Boolean => "boolean",
            Field::Text => "string",
        };
        format!("{{\"name\":{},\"type\":\"{kind}\"}}", Json(name))
    });
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&grid.columns).zip(&names);
        let cells = cells.map(|((cell, column), name)| {
            let value = match (column.field, CellValue::read(cell, grid.kind.written())) {
                // Among texts, a number is one, too.
                (Field::Text, CellValue::Integer(text) | CellValue::Number(text)) => Json(text).to_string(),
                (Field::Text, CellValue::Truth(is)) => format!("\"{is}\""),
                (_, value) => json_of(&value),
            };
            format!("{}:{value}", Json(name))
        });
        format!("{{{}}}", cells.collect::<Vec<_>>().join(","))
    };
    format!(
        "{{\"schema\":{{\"fields\":[{}]}},\"data\":[{}]}}",
        fields.collect::<Vec<_>>().join(","),
        grid.rows.iter().map(row).collect::<Vec<_>>().join(",")
    )
}

/// The names of the columns, each once and none empty: rows are objects.
fn names(grid: &Grid) -> Vec<String> {
    let mut taken = HashSet::new();
    let names = grid.columns.iter().enumerate().map(|(at, column)| {
        let mut name = if column.name.is_empty() { format!("column {}", at + 1) } else { column.name.clone() };
        while !taken.insert(name.clone()) {
            name.push('\'');
        }
        name
    });
    names.collect()
}

fn json_of(value: &CellValue<'_>) -> String {
    match value {
        CellValue::Missing => "null".into(),
        CellValue::Truth(is) => is.to_string(),
        CellValue::Integer(digits) => match digits.parse::<i64>() {
            // Parsed, because JSON has no leading zeros.
            Ok(number) if number.unsigned_abs() <= SAFE_MAX => number.to_string(),
            _ => Json(digits).to_string(),
        },
        CellValue::Number("inf") => "\"INF\"".into(),
        CellValue::Number("-inf") => "\"-INF\"".into(),
        CellValue::Number(digits) => match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => number.to_string(),
            _ => Json(digits).to_string(),
        },
        CellValue::Text(text) => Json(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::{Kind, Limits};
    use super::*;

    fn of(heads: &[&str], rows: &[&[&str]]) -> serde_json::Value {
        let heads = heads.iter().map(|head| ((*head).to_owned(), String::new())).collect();
        let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        serde_json::from_str(&json(&Grid::new(heads, rows, Kind::List, Limits::USUAL))).unwrap()
    }

    #[test]
    fn fields_have_types_and_rows_have_values() {
        let resource =
            of(&["n", "x", "is", "text"], &[&["1", "1", "true", "\"a\\\"\""], &["None", "2.5", "None", "Some(\"b\")"]]);
        let expected = serde_json::json!({
            "schema": {"fields": [
                {"name": "n", "type": "integer"}, {"name": "x", "type": "number"},
                {"name": "is", "type": "boolean"}, {"name": "text", "type": "string"},
            ]},
            "data": [
                {"n": 1, "x": 1, "is": true, "text": "a\""},
                {"n": null, "x": 2.5, "is": null, "text": "b"},
            ],
        });
        assert_eq!(resource, expected);
    }

    #[test]
    fn numbers_that_json_would_change_are_texts() {
        let resource = of(&["n", "x"], &[&["18446744073709551615", "NaN"], &["-007", "-inf"]]);
        assert_eq!(resource["data"][0], serde_json::json!({"n": "18446744073709551615", "x": "NaN"}));
        assert_eq!(resource["data"][1], serde_json::json!({"n": -7, "x": "-INF"}));
    }

    #[test]
    fn columns_of_one_name_are_kept_apart() {
        let resource = of(&["a", "a", ""], &[&["1", "2", "3"]]);
        assert_eq!(resource["data"][0], serde_json::json!({"a": 1, "a'": 2, "column 3": 3}));
    }
}
