//! The files of `:save` and `:load`: joins a session, which has no formats, with the front end's.

use mobula_repl::script::session_file;
use mobula_session::{CellFiles, CellId, FileCell};
use std::path::Path;

/// Notebooks and scripts.
pub struct Files;

fn sentence(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

impl CellFiles for Files {
    fn cells(&self, file: &Path) -> Result<Vec<FileCell>, String> {
        session_file::cells(file).map_err(sentence)
    }

    fn text(&self, file: &Path, cells: &[(CellId, String)]) -> Result<String, String> {
        session_file::text(file, cells).map_err(sentence)
    }

    fn write(&self, file: &Path, text: &str, replaces: bool) -> Result<(), String> {
        session_file::write(file, text, replaces).map_err(sentence)
    }
}
