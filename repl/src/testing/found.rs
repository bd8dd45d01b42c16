//! The files that are tested.

use super::TestError;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The files at these paths: files themselves, and in folders all notebooks and scripts, but for hidden ones and those
/// that programs make.
///
/// # Errors
/// A path that cannot be read or is no such file, or none is found at all.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, TestError> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |source| TestError::Unreadable { path: path.clone(), source };
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            if !is_notebook(path) && path.extension().is_none_or(|end| end != "rs") {
                return Err(TestError::UnknownKind { path: path.clone() });
            }
            files.push(path.clone());
            continue;
        }
        let is_wanted = |name: &str| !name.starts_with('.') && name != "target";
        let entries = WalkDir::new(path)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || entry.file_name().to_str().is_some_and(is_wanted));
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(error.into()))?;
            if entry.file_type().is_file() && (is_notebook(entry.path()) || is_script(entry.path())) {
                files.push(entry.into_path());
            }
        }
    }
    let mut known = HashSet::new();
    files.retain(|file| known.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    if files.is_empty() { Err(TestError::NoneFound { paths: paths.to_owned() }) } else { Ok(files) }
}

fn is_notebook(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "ipynb")
}

/// Whether the file is Rust with cells.
fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "rs")
        && fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.trim_end().starts_with("// %%")))
}
