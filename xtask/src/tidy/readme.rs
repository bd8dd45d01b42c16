//! The commands and files that README.md and CONTRIBUTING.md name exist.
//!
//! Only what can be known without building is checked here: `cargo xtask` chores and paths of the tree. The tests run what
//! is said about `mobula` itself.

use super::{Complaint, File};
use clap::CommandFactory;
use std::path::Path;

/// The pages that are read.
const PAGES: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

/// Complains about chores and files that do not exist.
pub fn check(files: &[File]) -> Vec<Complaint> {
    let chores = crate::Chores::command();
    let exists = |path: &str| files.iter().any(|file| file.path.starts_with(path.trim_end_matches('/')));
    let mut complaints = Vec::new();
    for page in files.iter().filter(|file| PAGES.iter().any(|page| file.path == Path::new(page))) {
        for (number, line) in page.text.lines().enumerate() {
            for chore in chores_named(line).filter(|chore| chores.find_subcommand(chore).is_none()) {
                complaints.push(page.complaint(number + 1, format!("there is no `cargo xtask {chore}`")));
            }
            for path in paths_named(line).filter(|path| !exists(path)) {
                complaints.push(page.complaint(number + 1, format!("there is no `{path}` in the tree")));
            }
        }
    }
    complaints
}

/// The words after `cargo xtask` in a line.
fn chores_named(line: &str) -> impl Iterator<Item = &str> {
    let chores = line.split("cargo xtask ").skip(1);
    chores.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next()).filter(|chore| !chore.is_empty())
}

/// The words of a line that look like a path into the tree: `notebooks/tour.ipynb`, `tests/`.
fn paths_named(line: &str) -> impl Iterator<Item = &str> {
    const FOLDERS: [&str; 8] = ["notebooks/", "tests/", "benches/", "xtask/", "session/", "kernel/", "repl/", ".ci/"];
    let words =
        line.split(|c: char| c.is_whitespace() || "`()[]<>,;:\"'".contains(c)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '…', '{']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chore_or_a_file_that_is_not_there_is_told() {
        let page = |text: &str| check(&[File::new("README.md", text), File::new("notebooks/tour.ipynb", "{}")]).len();
        assert_eq!(page("`cargo xtask test` runs notebooks/tour.ipynb."), 0);
        assert_eq!(page("cargo xtask fly"), 1);
        assert_eq!(page("see `notebooks/missing.ipynb`"), 1);
    }
}
