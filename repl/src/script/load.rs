//! The file of a run: read, checked, and made a notebook, whatever its kind.

use super::document::{Document, Kind};
use super::notebook::Notebook;
use super::{RunOptions, Save, ScriptError, folder_of, percent};
use mobula_session::script;
use rustix::fs::{Access, access};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// The content of a file.
pub(crate) struct Program {
    pub notebook: Notebook,
    /// The line of a script on which each code cell begins, from 1; none of a notebook.
    pub lines: Vec<usize>,
    /// The code that runs its `main` behind its cells, if it is a program.
    pub main: Option<&'static str>,
}

impl Program {
    /// Reads the file, and checks that what is to be written can be.
    pub fn load(options: &RunOptions) -> Result<Program, ScriptError> {
        let file = || options.file.clone();
        let mut program = match &options.code {
            Some(code) => Program::of_script(code, &options.file)?,
            None => Program::read(options)?,
        };
        let is_notebook = program.lines.is_empty();
        if !is_notebook && options.save == Save::Back {
            return Err(ScriptError::NothingToSaveIn { file: file() });
        }
        program.set_parameters(options)?;
        let copy = if let Save::To(copy) = &options.save { Some(copy) } else { None };
        for written in copy.into_iter().chain(&options.html).chain(&options.report) {
            if !written.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir()) {
                let source = io::Error::new(io::ErrorKind::NotFound, "there is no such folder");
                return Err(ScriptError::NotWritable { file: written.clone(), source });
            }
        }
        if options.save == Save::Back {
            can_be_replaced(&options.file).map_err(|source| ScriptError::NotWritable { file: file(), source })?;
        }
        Ok(program)
    }

    fn read(options: &RunOptions) -> Result<Program, ScriptError> {
        let file = || options.file.clone();
        let extension = options.file.extension().and_then(|extension| extension.to_str());
        let is_stdin = options.file.as_os_str() == "-";
        let mut is_notebook = extension == Some("ipynb");
        if !is_notebook && !is_stdin && extension != Some("rs") {
            return Err(ScriptError::UnknownKind { file: file() });
        }
        if !is_notebook && options.save == Save::Back {
            // Before standard input is waited for.
            return Err(ScriptError::NothingToSaveIn { file: file() });
        }
        let read = if is_stdin { read_stdin() } else { fs::read(&options.file) };
        let bytes = read.map_err(|source| ScriptError::Unreadable { file: file(), source })?;
        // No Rust text begins like this.
        is_notebook |= is_stdin && bytes.trim_ascii_start().starts_with(b"{") && has_cells(&bytes);
        if is_notebook {
            let notebook = Notebook::parse(bytes).map_err(|source| ScriptError::Notebook { file: file(), source })?;
            return Ok(Program { notebook, lines: Vec::new(), main: None });
        }
        Program::of_bytes(bytes, &options.file)
    }

    /// The cells of a script's file.
    pub fn of_bytes(bytes: Vec<u8>, file: &Path) -> Result<Program, ScriptError> {
        let invalid = |error| ScriptError::Unreadable {
            file: file.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        };
        Program::of_script(&String::from_utf8(bytes).map_err(invalid)?, file)
    }

    /// The cells of a script.
    fn of_script(text: &str, file: &Path) -> Result<Program, ScriptError> {
        let file = || file.to_owned();
        let script = script::read(text);
        let document = if percent::has_cells(&script.code) {
            percent::read(&script.code).map_err(|source| ScriptError::Percent { file: file(), source })?
        } else {
            Document::of_code(script.code)
        };
        let code: Vec<_> = document.cells.iter().filter(|cell| cell.kind == Kind::Code).collect();
        let full: Vec<_> = code.iter().filter(|cell| !cell.source.trim().is_empty()).collect();
        let main = if let [only] = &full[..] { script::program(&only.source) } else { None };
        let lines = code.iter().map(|cell| cell.line).collect();
        let notebook = document.to_notebook(None);
        let notebook = notebook.map_err(|source| ScriptError::Notebook { file: file(), source })?;
        Ok(Program { notebook, lines, main })
    }

    /// Gives the cell tagged `parameters` other values.
    fn set_parameters(&mut self, options: &RunOptions) -> Result<(), ScriptError> {
        if options.parameters.is_empty() {
            return Ok(());
        }
        let wrong = |message: String| ScriptError::Parameter { file: options.file.clone(), message };
        let cell = self.notebook.code_cells.iter_mut().find(|cell| cell.has_tag("parameters"));
        let cell = cell.ok_or_else(|| wrong("it has no cell tagged `parameters`".into()))?;
        cell.source = mobula_session::parameters::with_values(&cell.source, &options.parameters).map_err(wrong)?;
        cell.is_given = true;
        if options.save == Save::Back {
            return Err(wrong("outputs with other values belong into a copy: `--save=OUT`".into()));
        }
        Ok(())
    }
}

/// Whether it may be a notebook's text.
fn has_cells(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|value| value.get("nbformat").is_some())
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks that a file can be put in the place of `file`.
fn can_be_replaced(file: &Path) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    access(&file, Access::WRITE_OK)?;
    Ok(access(folder_of(&file), Access::WRITE_OK | Access::EXEC_OK)?)
}
