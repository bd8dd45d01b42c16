//! The examples that may differ, each with its reason: `tests/conformance/exceptions.txt`.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// How many there may be. More than that is a fault with many faces.
const MAX: usize = 10;

/// An example that may differ.
#[derive(Debug)]
pub struct Exception {
    /// Its name without the line, which moves with each release: `std/src/path.rs`, or with it.
    name: String,
}

impl Exception {
    /// Whether the example is excepted.
    pub fn covers(&self, name: &str) -> bool {
        self.name == name
    }
}

/// Reads the file: a line an example, `NAME  REASON`; `#` begins a comment.
pub fn read(path: &Path) -> Result<Vec<Exception>> {
    parse(&fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
}

fn parse(text: &str) -> Result<Vec<Exception>> {
    let mut exceptions = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, _reason)) = line.split_once(char::is_whitespace) else {
            bail!("the exception `{line}` has no reason");
        };
        exceptions.push(Exception { name: name.into() });
    }
    if exceptions.len() > MAX {
        bail!("{} exceptions, and {MAX} are the most", exceptions.len());
    }
    Ok(exceptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_has_a_reason_and_there_are_few() {
        assert!(parse("# none\n\na.rs:1  because\n").unwrap()[0].covers("a.rs:1"));
        assert!(parse("a.rs:1\n").is_err());
        assert!(parse(&"a.rs:1 because\n".repeat(MAX + 1)).is_err());
    }
}
