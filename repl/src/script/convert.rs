//! `mobula convert IN OUT`: a script with cells as a notebook, a notebook as such a script, either as a page.
//!
//! A notebook that is there already keeps its outputs where the source of a cell is the same, as with
//! `jupytext --update`.

use super::document::{Document, kernelspec};
use super::html;
use super::notebook::{Notebook, NotebookError};
use super::percent::{self, PercentError};
use mobula_session::script;
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not converted. The other file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The name of a file does not say what it is.
    #[error("`{}` is no {wanted} file", file.display())]
    UnknownKind {
        /// The file.
        file: PathBuf,
        /// The kinds that it could be of.
        wanted: &'static str,
    },
    /// Both files are of the same kind.
    #[error("`{}` and `{}` are of the same kind, so there is nothing to convert", from.display(), to.display())]
    SameKind {
        /// The file that is there.
        from: PathBuf,
        /// The one that was to be made.
        to: PathBuf,
    },
    /// The file could not be read.
    #[error("`{}` could not be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The notebook cannot be used.
    #[error("`{}` cannot be converted", file.display())]
    Notebook {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: NotebookError,
    },
    /// What is there already is no notebook of ours, and is not overwritten.
    #[error("`{}` is there already, and is no notebook that could be brought up to date", file.display())]
    InPlace {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: NotebookError,
    },
    /// The script cannot be read, or the notebook cannot be a script.
    #[error("`{}` cannot be converted", file.display())]
    Percent {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: PercentError,
    },
    /// The file could not be written.
    #[error("`{}` could not be written", file.display())]
    NotWritten {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Converts a file by the ends of both names: `.rs`, `.ipynb`, and `.html` for the second.
///
/// # Errors
/// [`ConvertError`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let (script, notebook) = (folder.path().join("a.rs"), folder.path().join("a.ipynb"));
/// std::fs::write(&script, "// %% tags=[\"slow\"]\n1 + 1\n")?;
/// mobula_repl::script::convert::convert(&script, &notebook)?;
/// assert!(std::fs::read_to_string(&notebook)?.contains("\"slow\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn convert(from: &Path, to: &Path) -> Result<(), ConvertError> {
    let end = |file: &Path| file.extension().and_then(|end| end.to_str()).unwrap_or_default().to_owned();
    let (from_end, to_end) = (end(from), end(to));
    let unknown = |file: &Path, wanted| Err(ConvertError::UnknownKind { file: file.to_owned(), wanted });
    if !["rs", "ipynb"].contains(&from_end.as_str()) {
        return unknown(from, "`.rs` or `.ipynb`");
    }
    if !["rs", "ipynb", "html"].contains(&to_end.as_str()) {
        return unknown(to, "`.rs`, `.ipynb` or `.html`");
    }
    if from_end == to_end {
        return Err(ConvertError::SameKind { from: from.to_owned(), to: to.to_owned() });
    }
    let of_notebook = |source| ConvertError::Notebook { file: from.to_owned(), source };
    let of_script = |source| ConvertError::Percent { file: from.to_owned(), source };
    let written = match (from_end.as_str(), to_end.as_str()) {
        (_, "rs") => percent::write(&read(from)?).map_err(of_script)?,
        // With its outputs.
        ("ipynb", _) => html::page(&Notebook::parse(bytes_of(from)?).map_err(of_notebook)?, &html::title(from)),
        (_, "html") => html::page(&read(from)?.to_notebook(None).map_err(of_notebook)?, &html::title(from)),
        _ => {
            let old = read_old(to)?;
            let mut document = read(from)?;
            for (name, value) in old.as_ref().map(Document::of_notebook).unwrap_or_default().metadata {
                document.metadata.entry(name).or_insert(value);
            }
            // Jupyter asks for a kernel otherwise.
            document.metadata.entry("kernelspec").or_insert_with(kernelspec);
            document.to_notebook(old.as_ref()).map_err(of_notebook)?.text()
        }
    };
    write(to, &written).map_err(|source| ConvertError::NotWritten { file: to.to_owned(), source })
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, ConvertError> {
    fs::read(file).map_err(|source| ConvertError::Unreadable { file: file.to_owned(), source })
}

/// The cells of a script or a notebook.
///
/// # Errors
/// [`ConvertError`].
pub(crate) fn read(file: &Path) -> Result<Document, ConvertError> {
    let owned = || file.to_owned();
    match file.extension().and_then(|end| end.to_str()) {
        Some("ipynb") => {
            let notebook = Notebook::parse(bytes_of(file)?);
            let notebook = notebook.map_err(|source| ConvertError::Notebook { file: owned(), source })?;
            Ok(Document::of_notebook(&notebook))
        }
        Some("rs") => {
            let text = String::from_utf8(bytes_of(file)?).map_err(|error| ConvertError::Unreadable {
                file: owned(),
                source: io::Error::new(io::ErrorKind::InvalidData, error),
            })?;
            read_script(&text).map_err(|source| ConvertError::Percent { file: owned(), source })
        }
        _ => Err(ConvertError::UnknownKind { file: owned(), wanted: "`.rs` or `.ipynb`" }),
    }
}

/// The notebook that is there already. Anything else in its place may be somebody's work.
fn read_old(file: &Path) -> Result<Option<Notebook>, ConvertError> {
    let Some(bytes) = fs::read(file).ok().filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    Notebook::parse(bytes).map(Some).map_err(|source| ConvertError::InPlace { file: file.to_owned(), source })
}

/// The cells of a script. Its manifest, if it has one, becomes a `:dep`.
fn read_script(text: &str) -> Result<Document, PercentError> {
    let prepared = script::read(text).code;
    let first = text.lines().next().filter(|line| script::is_shebang(line));
    let has_manifest =
        prepared.trim_start() != text.trim_start_matches('\u{feff}')[first.map_or(0, str::len)..].trim_start();
    let read = |text: &str| {
        if percent::has_cells(text) { percent::read(text) } else { Ok(Document::of_code(text.trim_end().to_owned())) }
    };
    if !has_manifest {
        return read(text);
    }
    let mut document = read(&prepared)?;
    if let Some(program) = first.and_then(|line| line.strip_prefix("#!")) {
        document.metadata.entry("jupytext").or_insert_with(|| json!({}))["executable"] = program.into();
    }
    Ok(document)
}

/// Writes a file whole or not at all. A symbolic link stays one.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(file).is_ok() {
        return super::replace(&fs::canonicalize(file)?, text);
    }
    super::create(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, impl Fn(&str, &str) -> PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let write = move |name: &str, text: &str| {
            fs::write(path.join(name), text).unwrap();
            path.join(name)
        };
        (folder, write)
    }

    #[test]
    fn a_script_that_becomes_a_notebook_and_a_script_again_is_the_same() {
        let (folder, write) = place();
        for text in [
            "// %% [markdown]\n// # Title\n\n// %% tags=[\"slow\"]\n// :dep itoa = \"1\"\nlet a = 1;\n\n// %%\na\n",
            include_str!("../../fixtures/percent.rs"),
        ] {
            let (notebook, again) = (folder.path().join("a.ipynb"), folder.path().join("b.rs"));
            let _ = fs::remove_file(&notebook);
            convert(&write("a.rs", text), &notebook).unwrap();
            convert(&notebook, &again).unwrap();
            let without =
                |text: &str| text.lines().filter(|line| !line.contains("_version")).collect::<Vec<_>>().join("\n");
            assert_eq!(without(&fs::read_to_string(&again).unwrap()), without(text));
        }
    }

    #[test]
    fn a_manifest_before_the_cells_is_a_dep_of_the_notebook() {
        let document =
            read_script("#!/usr/bin/env mobula\n---\n[dependencies]\nitoa = \"1\"\n---\n// %%\n1\n").unwrap();
        assert_eq!(document.cells[0].source.trim(), ":dep itoa = \"1\"");
        assert_eq!(document.metadata["jupytext"]["executable"], "/usr/bin/env mobula");
        assert_eq!(read_script("#!/x\nlet a = 1;\n// %%\na").unwrap().cells.len(), 2);
    }

    #[test]
    fn what_cannot_be_converted_is_refused_with_the_reason() {
        let (folder, write) = place();
        let script = write("a.rs", "1");
        let to = |name: &str| folder.path().join(name);
        let said = |from: &Path, to: &Path| {
            let error = convert(from, to).unwrap_err();
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ")
        };
        assert!(said(&script, &to("a.txt")).ends_with("a.txt` is no `.rs`, `.ipynb` or `.html` file"));
        assert!(said(&to("a.md"), &to("a.rs")).ends_with("a.md` is no `.rs` or `.ipynb` file"));
        assert!(said(&script, &to("b.rs")).contains("are of the same kind"));
        assert!(said(&to("none.rs"), &to("a.ipynb")).contains("none.rs` could not be read"));
        assert!(said(&script, &to("none/a.ipynb")).ends_with("could not be written: there is no such folder"));
        assert!(
            said(&write("b.rs", "// ---\n// jupyter:\n//   - [\n// ---\n\n// %%\n1"), &to("b.ipynb"))
                .contains("the head between")
        );
        assert!(said(&script, &write("d.ipynb", "{")).contains("d.ipynb` is there already, and is no notebook"));
        assert!(said(&write("b.ipynb", "{"), &to("c.rs")).contains("b.ipynb` cannot be converted: line 1"));
    }
}
