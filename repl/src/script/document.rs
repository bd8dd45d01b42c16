//! A notebook as plain data: its metadata and its cells, without outputs. Scripts and notebooks are read into it, and
//! written from it.

use super::notebook::{Notebook, NotebookError};
use super::outputs::lines;
use serde_json::{Map, Value, json};

/// A notebook without outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document {
    pub metadata: Map<String, Value>,
    pub cells: Vec<Cell>,
}

/// A cell of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub kind: Kind,
    pub metadata: Map<String, Value>,
    pub source: String,
    /// The line of the file on which its source begins, from 1; of a script.
    pub line: usize,
}

/// The kind of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    Markdown,
    Raw,
}

impl Kind {
    /// The format's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Code => "code",
            Kind::Markdown => "markdown",
            Kind::Raw => "raw",
        }
    }
}

impl Document {
    /// A document of one code cell.
    pub fn of_code(source: String) -> Document {
        let cell = Cell { kind: Kind::Code, metadata: Map::new(), source, line: 1 };
        Document { metadata: Map::new(), cells: vec![cell] }
    }

    /// The document in a notebook.
    pub fn of_notebook(notebook: &Notebook) -> Document {
        let whole = notebook.value();
        let cells = whole["cells"].as_array().into_iter().flatten().map(|cell| Cell {
            kind: match cell["cell_type"].as_str() {
                Some("markdown") => Kind::Markdown,
                Some("raw") => Kind::Raw,
                _ => Kind::Code,
            },
            metadata: cell["metadata"].as_object().cloned().unwrap_or_default(),
            source: joined(&cell["source"]),
            line: 1,
        });
        Document { metadata: whole["metadata"].as_object().cloned().unwrap_or_default(), cells: cells.collect() }
    }

    /// The notebook of this document. What `old` has stored for a cell of the same source stays: its id, its outputs.
    ///
    /// # Errors
    /// The metadata say that it is for another language.
    pub fn to_notebook(&self, old: Option<&Notebook>) -> Result<Notebook, NotebookError> {
        let stored = old.map(Notebook::value).unwrap_or_default();
        let mut stored = stored["cells"].as_array().map(Vec::as_slice).unwrap_or_default();
        let cells: Vec<Value> = self
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                let is_it = |old: &Value| old["cell_type"] == cell.kind.word() && joined(&old["source"]) == cell.source;
                let mut written = match stored.iter().position(is_it) {
                    Some(at) => {
                        let found = stored[at].clone();
                        stored = &stored[at + 1..];
                        found
                    }
                    None => json!({"id": format!("cell-{}", index + 1)}),
                };
                written["cell_type"] = cell.kind.word().into();
                written["metadata"] = cell.metadata.clone().into();
                written["source"] = lines(&cell.source);
                if cell.kind == Kind::Code && written.get("outputs").is_none() {
                    written["execution_count"] = Value::Null;
                    written["outputs"] = json!([]);
                }
                written
            })
            .collect();
        let whole = json!({
            "cells": with_ids(cells), "metadata": self.metadata, "nbformat": 4, "nbformat_minor": 5,
        });
        // Jupyter's indentation is one space.
        let mut text = Vec::new();
        let mut writer =
            serde_json::Serializer::with_formatter(&mut text, serde_json::ser::PrettyFormatter::with_indent(b" "));
        // A value with text keys can always be written.
        let _ = serde::Serialize::serialize(&whole, &mut writer);
        text.push(b'\n');
        Notebook::parse(text)
    }
}

/// Gives each cell an id that no other has: old ones stay, as far as they are unlike.
fn with_ids(mut cells: Vec<Value>) -> Vec<Value> {
    let mut known = std::collections::HashSet::new();
    for (index, cell) in cells.iter_mut().enumerate() {
        let id = cell["id"].as_str().filter(|id| !id.is_empty()).map_or(format!("cell-{}", index + 1), str::to_owned);
        let number = (1..).find(|number| !known.contains(&numbered(&id, *number))).unwrap_or(1);
        cell["id"] = numbered(&id, number).into();
        known.insert(numbered(&id, number));
    }
    cells
}

fn numbered(id: &str, number: usize) -> String {
    if number == 1 { id.to_owned() } else { format!("{id}-{number}") }
}

/// The kernel of a notebook, as its metadata name it.
pub(super) fn kernelspec() -> Value {
    json!({"display_name": "Mobula (Rust)", "language": "rust", "name": "mobula"})
}

/// A text of the notebook format: one string, or a list of them.
pub(crate) fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_stays_with_the_cell_of_the_same_source() {
        let old = json!({"cells": [
            {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [{"x": 1}], "execution_count": 3},
            {"cell_type": "code", "id": "b", "metadata": {}, "source": ["2\n", "3"], "outputs": [], "execution_count": 4},
        ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
        let old = Notebook::parse(old.to_string().into_bytes()).unwrap();
        let mut document = Document::of_notebook(&old);
        assert_eq!(document.cells[1].source, "2\n3");
        document.cells[0].source = "10".into();
        document.cells[1].metadata.insert("tags".into(), json!(["slow"]));
        document.cells.insert(0, Cell { kind: Kind::Markdown, ..Document::of_code("b".into()).cells.remove(0) });
        let new = document.to_notebook(Some(&old)).unwrap().value();
        assert_eq!(new["cells"][0]["id"], "cell-1");
        assert_eq!((&new["cells"][1]["outputs"], &new["cells"][1]["execution_count"]), (&json!([]), &Value::Null));
        assert_eq!((&new["cells"][2]["id"], &new["cells"][2]["execution_count"]), (&json!("b"), &json!(4)));
        assert_eq!(new["cells"][2]["metadata"], json!({"tags": ["slow"]}));
    }

    #[test]
    fn no_two_cells_have_the_same_id() {
        let cells = with_ids(vec![json!({"id": "a"}), json!({"id": "a"}), json!({}), json!({"id": "a-2"})]);
        let ids: Vec<&str> = cells.iter().filter_map(|cell| cell["id"].as_str()).collect();
        assert_eq!(ids, ["a", "a-2", "cell-3", "a-2-2"]);
    }
}
