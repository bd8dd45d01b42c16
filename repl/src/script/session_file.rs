//! Files of a session's cells, by the ending of their names: notebooks, and scripts with `// %%` cells.

use super::convert::{self, ConvertError};
use super::document::{Cell, Document, Kind, kernelspec};
use super::percent::{self, PercentError};
use mobula_session::CellId;
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

    fn cells(codes: &[&str]) -> Vec<(CellId, String)> {
        codes.iter().enumerate().map(|(at, code)| (CellId(at as u64 + 4), (*code).to_owned())).collect()
    }

    #[test]
    fn what_is_written_is_read_again_as_the_same_cells_in_both_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let codes = [":dep itoa = \"1\"\nlet a = 1;", "// a comment\n\n\n\nlet s = \"é\n// text\";", "a"];
        for name in ["a.rs", "a.ipynb"] {
            let file = folder.path().join(name);
            write(&file, &text(&file, &cells(&codes)).unwrap(), false).unwrap();
            let read = convert::read(&file).unwrap();
            let sources: Vec<&str> = read.cells.iter().map(|cell| cell.source.as_str()).collect();
            assert_eq!(sources, codes, "{name}");
            assert_eq!(read.metadata["kernelspec"]["name"], "mobula");
        }
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
        let error = text("a.rs".as_ref(), &cells(&["1", "// %%\n2"])).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().starts_with("cell 5 has the line"), "{error:?}");
        let error = text("a.txt".as_ref(), &cells(&["1"])).unwrap_err();
        assert_eq!(error.to_string(), "`a.txt` is no `.rs` or `.ipynb` file");
    }
}
