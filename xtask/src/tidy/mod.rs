//! `cargo xtask tidy`: the rules of the tree that no compiler checks, so that its picture in ARCHITECTURE.md stays true.
//!
//! Each rule looks at the files and returns complaints; this file runs them all and prints every complaint at once.

mod heads;
mod imports;
mod mentions;
mod paths;
mod readme;
mod rings;
mod source;
mod subjects;
mod unsafety;

use crate::tree::{self, Tree};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// A broken rule: where, and what to do about it.
#[derive(Debug, PartialEq)]
struct Complaint {
    file: PathBuf,
    /// From 1; 0 when it is about the whole file.
    line: usize,
    text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A file of the tree, read once for all rules.
struct File {
    /// Relative to the root.
    path: PathBuf,
    text: String,
    /// The same text with comments and the insides of literals blanked, for Rust files; else the text.
    code: String,
}

impl File {
    fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> File {
        let (path, text) = (path.into(), text.into());
        let code =
            if path.extension().is_some_and(|kind| kind == "rs") { source::code_only(&text) } else { text.clone() };
        File { path, text, code }
    }

    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|kind| kind == "rs")
    }

    fn complaint(&self, line: usize, text: impl Into<String>) -> Complaint {
        Complaint { file: self.path.clone(), line, text: text.into() }
    }
}

/// Runs every rule.
pub fn run(tree: &Tree) -> Result<()> {
    let files = read(tree)?;
    let mut complaints = Vec::new();
    complaints.extend(heads::check(&files));
    complaints.extend(imports::check(&files));
    complaints.extend(imports::check_manifests(&tree::metadata(&tree.root)?));
    complaints.extend(rings::check(&files));
    complaints.extend(unsafety::check(&files));
    complaints.extend(mentions::check(&files));
    complaints.extend(paths::check(&files));
    complaints.extend(readme::check(&files));
    for warning in subjects::warnings(tree) {
        eprintln!("warning: {warning}");
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("tidy: {} complaint(s)", complaints.len());
    }
    eprintln!("tidy: {} files, nothing to complain about", files.len());
    Ok(())
}

/// Reads every text file of the tree.
fn read(tree: &Tree) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in tree.files()? {
        let bytes = fs::read(tree.root.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File::new(path, text));
        }
    }
    Ok(files)
}
