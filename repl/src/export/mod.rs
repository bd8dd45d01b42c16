//! `mobula export FILE DIR`: a notebook as a cargo project that builds and runs by itself.
//!
//! ```text
//!   DIR/Cargo.toml      the crates of the cells' `:dep`s, and Mobula
//!   DIR/Cargo.lock      the versions with which this Mobula was built
//!   DIR/src/main.rs     main_file.rs: items at the top, then the cells' statements in `main`, in order
//!   DIR/mobula/         Mobula's own sources, out of this program: no checkout is needed, and no registry has them
//! ```

mod main_file;
mod manifest;

use crate::script::MUST_FAIL_TAGS;
use crate::script::convert::{ConvertError, read};
use crate::script::document::{Cell, Kind};
use mobula_session::EmbeddedFile;
use mobula_session::export::{self, ExportError};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ConvertError),
    /// The cells are no program.
    #[error("`{}` is no single program", file.display())]
    NoProgram {
        /// The file.
        file: PathBuf,
        /// The reason.
        #[source]
        source: ExportError,
    },
    /// There is something in the folder.
    #[error("`{}` is there already and is not empty; name a new folder", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the project could not be written.
    #[error("`{}` could not be written", file.display())]
    NotWritten {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Makes the project of a file in a folder that is new or empty. Returns what is not in it, in sentences.
///
/// `sources` are those of the crate `mobula` with its runtime; of two with the same path, the later counts.
///
/// # Errors
/// [`ProjectError`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let (file, project) = (folder.path().join("a.rs"), folder.path().join("a"));
/// std::fs::write(&file, "// %%\nfn f() -> u32 { 1 }\n\n// %%\nf()\n")?;
/// mobula_repl::export::export(&file, &project, &[])?;
/// assert!(std::fs::read_to_string(project.join("src/main.rs"))?.contains("(f()).evcxr_display();"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export(file: &Path, folder: &Path, sources: &[&EmbeddedFile]) -> Result<Vec<String>, ProjectError> {
    let document = read(file)?;
    let mut notes = Vec::new();
    let mut cells = Vec::new();
    for (number, cell) in code_cells(&document.cells) {
        match left_out(cell) {
            Some(tag) => notes.push(format!("cell {number} is left out: it is tagged `{tag}`")),
            None => cells.push((number, cell.source.as_str())),
        }
    }
    let beside = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let beside = beside.parent().unwrap_or(Path::new("/"));
    let program = export::program(&cells, beside);
    let program = program.map_err(|source| ProjectError::NoProgram { file: file.to_owned(), source })?;
    for (cell, command) in &program.left_out {
        notes.push(format!("cell {cell}: `{command}` is left out: a program has no commands"));
    }
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path != LOCK) {
        files.insert(format!("mobula/{}", source.path), source.content.to_owned());
    }
    if let Some(lock) = sources.iter().find(|source| source.path == LOCK) {
        files.insert(LOCK.into(), lock.content.to_owned());
    }
    files.insert("Cargo.toml".into(), manifest::manifest(file, &program));
    files.insert(".gitignore".into(), "/target\n".into());
    files.insert("src/main.rs".into(), main_file::main_file(file, &document.cells, &program));
    write(folder, &files)?;
    main_file::format(&folder.join("src/main.rs"));
    Ok(notes)
}

/// The file with the versions. It belongs to the project as a whole.
const LOCK: &str = "Cargo.lock";

/// The code cells with their numbers.
fn code_cells(cells: &[Cell]) -> impl Iterator<Item = (usize, &Cell)> {
    cells.iter().filter(|cell| cell.kind == Kind::Code).enumerate().map(|(index, cell)| (index + 1, cell))
}

/// The tag that keeps a cell out of a program: it is not run, or it fails on purpose, which would end the program.
fn left_out(cell: &Cell) -> Option<&str> {
    let tags = cell.metadata.get("tags")?.as_array()?;
    let is_one = |tag: &&str| ["skip", "skip-execution"].contains(tag) || MUST_FAIL_TAGS.contains(tag);
    tags.iter().filter_map(|tag| tag.as_str()).find(is_one)
}

fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), ProjectError> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(ProjectError::NotEmpty { folder: folder.to_owned() });
    }
    for (name, text) in files {
        let file = folder.join(name);
        let made = fs::create_dir_all(file.parent().unwrap_or(folder)).and_then(|()| fs::write(&file, text));
        made.map_err(|source| ProjectError::NotWritten { file, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_sources_it_was_given_and_says_what_it_leaves_out() {
        let folder = tempfile::tempdir().unwrap();
        let (file, project) = (folder.path().join("a.rs"), folder.path().join("a"));
        let text = "// %%\n// :dep itoa = \"1\"\n// :vars\nlet a = 1;\n// %% tags=[\"raises-error\"]\npanic!()\n";
        fs::write(&file, text).unwrap();
        let old = EmbeddedFile { path: "Cargo.toml", content: "old" };
        let new = EmbeddedFile { path: "Cargo.toml", content: "new" };
        let lock = EmbeddedFile { path: "Cargo.lock", content: "lock" };
        let notes = export(&file, &project, &[&old, &lock, &new]).unwrap();
        assert_eq!(
            notes,
            [
                "cell 2 is left out: it is tagged `raises-error`",
                "cell 1: `:vars` is left out: a program has no commands"
            ]
        );
        let read = |name: &str| fs::read_to_string(project.join(name)).unwrap();
        assert_eq!((read("mobula/Cargo.toml"), read("Cargo.lock")), ("new".into(), "lock".into()));
        assert!(!project.join("mobula/Cargo.lock").exists() && read("Cargo.toml").contains("itoa = \"1\""));
        let error = export(&file, &project, &[]).unwrap_err().to_string();
        assert!(error.ends_with("is there already and is not empty; name a new folder"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_program_makes_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (file, project) = (folder.path().join("a.rs"), folder.path().join("a"));
        fs::write(&file, "// %%\nfn f() {}\n// %%\nf();\n// %%\nfn f() -> u8 { 1 }\n").unwrap();
        let error = export(&file, &project, &[]).unwrap_err();
        assert!(error.to_string().ends_with("a.rs` is no single program"), "{error}");
        assert!(!project.exists());
    }
}
