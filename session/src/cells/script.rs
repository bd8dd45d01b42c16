//! A Rust file as code of cells: its manifest becomes a `:dep`, and a `main` makes it a program.
//!
//! ```text
//!   #!/usr/bin/env mobula             left out                          each becomes an empty line, so line numbers are the file's
//!   ---                               `:dep serde = "1"`                also as `//! ```cargo`, as in rust-script
//!   [dependencies]
//!   serde = "1"
//!   ---
//!   fn main() { … }                   run by a cell of its own
//! ```

use crate::cells;

/// The code of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its code. The lines have the numbers that they have in the file.
    pub code: String,
    /// The code that runs its `main` afterwards, if it is a program. The cell's process exits with the code of `main`, unless that is 0.
    pub program: Option<&'static str>,
}

/// The compiler wraps a `main` in `Termination`, too. The number of an `ExitCode` cannot be read in another way.
const RUN_MAIN: &str = "{ let code = ::std::process::Termination::report(main()); \
    let number = (0..=255u8).find(|number| ::std::process::ExitCode::from(*number) == code).unwrap_or(1); \
    if number != 0 { ::std::process::exit(number.into()) } };";

/// Reads a file's text.
///
/// ```
/// let script = mobula_session::script::read("#!/usr/bin/env mobula\nlet x = 1;\nx");
/// assert_eq!(script.code, "\nlet x = 1;\nx");
/// assert!(mobula_session::script::read("fn main() {}").program.is_some());
/// ```
pub fn read(text: &str) -> Script {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if lines.first().is_some_and(|line| is_shebang(line)) {
        blank(&mut lines[0]);
    }
    let deps = frontmatter(&mut lines).or_else(|| cargo_comment(&lines)).or_else(|| cargo_deps(&lines));
    if let Some(deps) = deps.filter(|deps| !deps.is_empty()) {
        let command = format!(":dep {}", deps.join("; "));
        // An empty line takes the command, so that line numbers stay. One behind a mark of a cell may belong to a text.
        let is_mark = |line: &&mut String| line.trim_start().trim_start_matches('/').trim_start().starts_with("%%");
        match lines.iter_mut().take_while(|line| !is_mark(line)).find(|line| line.trim().is_empty()) {
            Some(line) => line.insert_str(0, &command),
            None => lines.insert(0, format!("{command}\n")),
        }
    }
    let code = lines.concat();
    Script { program: program(&code), code }
}

/// The code that runs the `main` of a text without commands before it, if it is a program.
///
/// ```
/// assert!(mobula_session::script::program("let x = 1;").is_none());
/// ```
pub fn program(code: &str) -> Option<&'static str> {
    cells::is_program(code).then_some(RUN_MAIN)
}

/// Whether a line is a shebang, and not `#![attribute]`.
pub fn is_shebang(line: &str) -> bool {
    line.starts_with("#!") && !line[2..].trim_start().starts_with('[')
}

fn blank(line: &mut String) {
    line.retain(|c| c == '\n');
}

/// Cargo's form: a manifest between two lines of at least three dashes (RFC 3502). Its lines become empty.
fn frontmatter(lines: &mut [String]) -> Option<Vec<String>> {
    let start = lines.iter().position(|line| !line.trim().is_empty())?;
    let fence: String = lines[start].chars().take_while(|c| *c == '-').collect();
    if fence.len() < 3 {
        return None;
    }
    let end = start + 1 + lines[start + 1..].iter().position(|line| line.trim_end() == fence)?;
    let manifest = lines[start + 1..end].concat();
    lines[start..=end].iter_mut().for_each(blank);
    Some(dependencies(&manifest))
}

/// rust-script's form: a manifest in a block of the file's documentation.
fn cargo_comment(lines: &[String]) -> Option<Vec<String>> {
    let mut comment = lines.iter().map(|line| line.trim().strip_prefix("//!").unwrap_or("\0"));
    comment.find(|line| line.trim() == "```cargo")?;
    let manifest: Vec<&str> = comment.take_while(|line| line.trim() != "```" && *line != "\0").collect();
    Some(dependencies(&manifest.join("\n")))
}

/// rust-script's older form: `// cargo-deps: serde = "1", rand`.
fn cargo_deps(lines: &[String]) -> Option<Vec<String>> {
    let line = lines.iter().find_map(|line| line.trim().strip_prefix("// cargo-deps:"))?;
    Some(line.split(',').map(|dep| dep.trim().to_owned()).filter(|dep| !dep.is_empty()).collect())
}

fn dependencies(manifest: &str) -> Vec<String> {
    let Ok(manifest) = toml::from_str::<toml::Table>(manifest) else { return Vec::new() };
    let deps = manifest.get("dependencies").and_then(toml::Value::as_table);
    deps.into_iter().flatten().map(|(name, value)| format!("{name} = {value}").replace('\n', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_before_the_code_is_a_dep_and_the_lines_keep_their_numbers() {
        let is = |text: &str, cell: &str| assert_eq!(read(text).code, cell, "{text}");
        is(
            "---\n[dependencies]\nitoa = \"1\"\nryu = { version = \"1\" }\n---\nx",
            ":dep itoa = \"1\"; ryu = { version = \"1\" }\n\n\n\n\nx",
        );
        is("#!/x\n---cargo\n[dependencies]\nitoa = \"1\"\n---\nx", ":dep itoa = \"1\"\n\n\n\n\nx");
        is("\u{feff}---\nedition = \"2024\"\n---\nx", "\n\n\nx");
        is(
            "//! ```cargo\n//! [dependencies]\n//! itoa = \"1\"\n//! ```\n\nx",
            "//! ```cargo\n//! [dependencies]\n//! itoa = \"1\"\n//! ```\n:dep itoa = \"1\"\nx",
        );
        is("// cargo-deps: itoa=\"1\", ryu\n\nx", "// cargo-deps: itoa=\"1\", ryu\n:dep itoa=\"1\"; ryu\nx");
        is("// cargo-deps: itoa\n// %% [markdown]\n\n", ":dep itoa\n// cargo-deps: itoa\n// %% [markdown]\n\n");
    }

    #[test]
    fn a_file_with_a_main_that_nothing_calls_is_a_program() {
        for text in [
            "use std::fs;\nfn main() {}",
            "async fn f() {}\n#[tokio::main]\nasync fn main() {}",
            "fn main() -> Result<(), ()> { Ok(()) }",
        ] {
            assert!(read(text).program.is_some(), "{text}");
        }
        for text in
            ["fn main() {}\nmain()", "let x = 1;", "fn main(n: u8) {}", "mod m { fn main() {} }", "fn main() {}\n1"]
        {
            assert!(read(text).program.is_none(), "{text}");
        }
    }
}
