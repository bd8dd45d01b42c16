//! A source file that the prose names exists: in Markdown, and in comments.

use super::{Complaint, File};
use std::path::Path;

/// Folders whose prose names files of other trees.
const ELSEWHERE: [&str; 2] = ["xtask/src/conformance", "CHANGELOG.md"];

/// Complains about each file in backticks, with a folder before its name, that is not in the tree.
pub fn check(files: &[File]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let has_prose = |file: &&File| file.is_rust() || file.path.extension().is_some_and(|kind| kind == "md");
    let here = |file: &&File| !ELSEWHERE.iter().any(|at| file.path.starts_with(at));
    for file in files.iter().filter(has_prose).filter(here) {
        for (number, line) in file.text.lines().enumerate() {
            let prose = if file.is_rust() { line.split_once("//").map_or("", |(_, comment)| comment) } else { line };
            for name in in_backticks(prose).filter(|name| is_source(name)) {
                if !files.iter().any(|file| file.path.ends_with(name)) {
                    complaints.push(file.complaint(number + 1, format!("names `{name}`, which is not in the tree")));
                }
            }
        }
    }
    complaints
}

fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether it looks like the path of a Rust file, and not of one that somebody could have.
fn is_source(name: &str) -> bool {
    let is_path = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    is_path
        && name.contains('/')
        && !name.starts_with(['.', '/'])
        && Path::new(name).extension().is_some_and(|kind| kind == "rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> usize {
        let mentioned = File::new("store/src/word.rs", "//! Words.");
        let comment = ["/", "/ ", text, "\nlet code = \"", text, "\";"].concat();
        check(&[mentioned, File::new("a.md", text), File::new("b.rs", comment)]).len()
    }

    #[test]
    fn a_file_that_is_not_there_any_more_is_told() {
        assert_eq!(told("see `src/word.rs` and `store/src/word.rs`"), 0);
        assert_eq!(told("see `src/wort.rs`"), 2);
        assert_eq!(told("`mobula run x.rs`, `./x/y.rs`, `{a,b}/c.rs`, `script.rs`"), 0);
    }
}
