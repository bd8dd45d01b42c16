//! The files that are tested.
//!
//! In folders, symbolic links are left out: they may lead anywhere, and round in a ring. One that is named itself is
//! followed.

use super::TestError;
use crate::script::percent;
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
            // A link may have a name of another kind, or none.
            let target = fs::canonicalize(path).map_err(unreadable)?;
            let is_known = |path: &Path| is_notebook(path) || path.extension().is_some_and(|end| end == "rs");
            let Some(file) = [path, &target].into_iter().find(|path| is_known(path)) else {
                return Err(TestError::UnknownKind { path: path.clone() });
            };
            files.push(file.clone());
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
        && fs::read_to_string(path).is_ok_and(|text| percent::has_cells(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_followed_where_it_is_named_and_left_out_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("books/target")).unwrap();
        for name in ["books/a.ipynb", "books/.b.ipynb", "books/target/c.ipynb", "d.ipynb", "books/e.rs"] {
            fs::write(path(name), "").unwrap();
        }
        symlink("../d.ipynb", path("books/link.ipynb")).unwrap();
        symlink("d.ipynb", path("latest")).unwrap();
        assert_eq!(files(&[path("books")]).unwrap(), [path("books/a.ipynb")]);
        assert_eq!(files(&[path("books/link.ipynb")]).unwrap(), [path("books/link.ipynb")]);
        assert_eq!(files(&[path("latest")]).unwrap(), [fs::canonicalize(path("d.ipynb")).unwrap()]);
        // It is the same file.
        assert_eq!(files(&[path("books/link.ipynb"), path("d.ipynb")]).unwrap().len(), 1);
    }
}
