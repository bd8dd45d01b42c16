//! Files of a session's cells, by the ending of their names: notebooks, and scripts with `// %%` cells.

use super::convert::{self, ConvertError};
use super::document::{Cell, Document, Kind, kernelspec};
use super::load::Program;
use super::percent::{self, PercentError};
use super::{MUST_FAIL_TAGS, RunOptions, ScriptError, is_to_run};
use mobula_session::{CellId, FileCell};
use serde_json::{Map, json};
use std::path::Path;

/// The text of a file of this name with these cells, each with its number in the session.
///
/// # Errors
/// [`ConvertError::UnknownKind`]; or a cell has a line that would begin another one, which is named by the cell's number.
///
/// ```
/// # use mobula_session::CellId;
/// let cells = [(CellId(3), ":dep itoa".to_owned()), (CellId(5), "1 + 1".to_owned())];
/// let script = mobula_repl::script::session_file::text("a.rs".as_ref(), &cells)?;
/// assert!(script.ends_with("// %%\n// :dep itoa\n\n// %%\n1 + 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn text(file: &Path, cells: &[(CellId, String)]) -> Result<String, ConvertError> {
    let cell =
        |(_, code): &(CellId, String)| Cell { kind: Kind::Code, metadata: Map::new(), source: code.clone(), line: 1 };
    let mut document = Document { metadata: Map::new(), cells: cells.iter().map(cell).collect() };
    document.metadata.insert("kernelspec".into(), kernelspec());
    match file.extension().and_then(|end| end.to_str()) {
        Some("ipynb") => {
            let language = json!({"file_extension": ".rs", "mimetype": "text/rust", "name": "rust"});
            document.metadata.insert("language_info".into(), language);
            let notebook = document.to_notebook(None);
            Ok(notebook.map_err(|source| ConvertError::Notebook { file: file.to_owned(), source })?.text())
        }
        Some("rs") => percent::write(&document).map_err(|error| {
            let source = match error {
                // A person knows the cell by the session's number.
                PercentError::Mark { cell, line } => PercentError::Mark { cell: cells[cell - 1].0.0 as usize, line },
                error => error,
            };
            ConvertError::Percent { file: file.to_owned(), source }
        }),
        _ => Err(ConvertError::UnknownKind { file: file.to_owned(), wanted: "`.rs` or `.ipynb`" }),
    }
}

/// The code cells of a notebook or a script that `mobula run` would run. A file with a `main` ends with the call of it.
///
/// # Errors
/// [`ScriptError`]: the file cannot be read, or is of neither kind.
pub fn cells(file: &Path) -> Result<Vec<FileCell>, ScriptError> {
    let Program { notebook, lines, main } =
        Program::load(&RunOptions { file: file.to_owned(), ..RunOptions::default() })?;
    let place = |index: usize| match lines.get(index) {
        Some(line) => format!("line {line}"),
        None => format!("code cell {}", index + 1),
    };
    let to_run = notebook.code_cells.iter().enumerate().filter(|(_, cell)| is_to_run(cell));
    let mut cells: Vec<FileCell> = to_run
        .map(|(index, cell)| FileCell {
            code: cell.source.clone(),
            place: place(index),
            may_fail: MUST_FAIL_TAGS.iter().any(|tag| cell.has_tag(tag)),
        })
        .collect();
    cells.extend(main.map(|call| FileCell { code: call.into(), place: "the `main`".into(), may_fail: false }));
    Ok(cells)
}

/// Writes a file whole or not at all; one that is there only if it `replaces` it.
///
/// # Errors
/// [`ConvertError::NotWritten`].
pub fn write(file: &Path, text: &str, replaces: bool) -> Result<(), ConvertError> {
    let written = if replaces { convert::write(file, text) } else { super::create(file, text) };
    written.map_err(|source| ConvertError::NotWritten { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn cells_of(codes: &[&str]) -> Vec<(CellId, String)> {
        codes.iter().enumerate().map(|(at, code)| (CellId(at as u64 + 4), (*code).to_owned())).collect()
    }

    #[test]
    fn what_is_written_is_read_again_as_the_same_cells_in_both_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let codes = [":dep itoa = \"1\"\nlet a = 1;", "// a comment\n\n\n\nlet s = \"é\n// text\";", "a"];
        for name in ["a.rs", "a.ipynb"] {
            let file = folder.path().join(name);
            write(&file, &text(&file, &cells_of(&codes)).unwrap(), false).unwrap();
            let read = convert::read(&file).unwrap();
            let sources: Vec<&str> = read.cells.iter().map(|cell| cell.source.as_str()).collect();
            assert_eq!(sources, codes, "{name}");
            assert_eq!(read.metadata["kernelspec"]["name"], "mobula");
        }
    }

    #[test]
    fn the_cells_of_a_file_are_those_that_would_be_run_with_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let cells = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            let cells = super::cells(&folder.path().join(name)).unwrap();
            cells.into_iter().map(|cell| (cell.code, cell.place, cell.may_fail)).collect::<Vec<_>>()
        };
        let of = |code: &str, place: &str, may_fail| (code.to_owned(), place.to_owned(), may_fail);
        let script =
            "// %% [markdown]\n// text\n\n// %%\n// :dep itoa\n1\n\n// %%\n\n// %% tags=[\"raises-error\"]\n2\n";
        assert_eq!(cells("a.rs", script), [of(":dep itoa\n1", "line 5", false), of("2", "line 11", true)]);
        let notebook = text("b.ipynb".as_ref(), &cells_of(&["1", "2"])).unwrap();
        assert_eq!(cells("b.ipynb", &notebook), [of("1", "code cell 1", false), of("2", "code cell 2", false)]);
        assert_eq!(cells("c.rs", "1 + 1\n"), [of("1 + 1\n", "line 1", false)]);
        assert_eq!(cells("d.rs", "fn main() {}\n")[1].1, "the `main`");
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_if_that_is_asked_for_and_anybody_may_read_a_new_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.rs"), folder.path().join("b.rs"));
        write(&file, "1", false).unwrap();
        fs::write(&other, "").unwrap();
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&other));
        assert!(write(&file, "2", false).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "1");
        write(&file, "2", true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "2");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn a_cell_that_would_be_two_is_named_by_its_number_in_the_session_and_another_ending_is_refused() {
        let error = text("a.rs".as_ref(), &cells_of(&["1", "// %%\n2"])).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().starts_with("cell 5 has the line"), "{error:?}");
        let error = text("a.txt".as_ref(), &cells_of(&["1"])).unwrap_err();
        assert_eq!(error.to_string(), "`a.txt` is no `.rs` or `.ipynb` file");
    }
}
