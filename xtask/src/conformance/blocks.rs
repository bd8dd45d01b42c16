//! Fenced code blocks in Markdown, and in the documentation comments of Rust files.

/// A fenced block as it is written.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// File and line, such as `std/src/path.rs:120`.
    pub name: String,
    /// What stands behind the opening fence.
    pub info: String,
    pub text: String,
    /// Whether a macro writes some of its lines, so that the text is not whole.
    pub is_partial: bool,
    /// Whether it stands in a comment that documents code, where a block without a word is Rust.
    pub is_documentation: bool,
}

/// The blocks of a file: a Rust file's documentation, or itself where it has a `main`; a Markdown file's blocks.
pub fn of_file(name: &str, text: &str) -> Vec<Block> {
    if name.ends_with(".md") {
        return blocks(name, text.lines().enumerate().map(|(n, line)| (n + 1, Line::Text(line))), false);
    }
    let comments = text.lines().enumerate().map(|(number, line)| (number + 1, documentation(line)));
    let found = blocks(name, comments, true);
    let has_main = text.lines().any(|line| line.starts_with("fn main()") || line.starts_with("pub fn main()"));
    if found.is_empty() && has_main {
        let whole = Block {
            name: format!("{name}:1"),
            info: "rust".into(),
            text: text.into(),
            is_partial: false,
            is_documentation: true,
        };
        return vec![whole];
    }
    found
}

/// A line of a file, as documentation.
#[derive(Clone, Copy)]
enum Line<'a> {
    Text(&'a str),
    /// Documentation that a macro makes.
    Made,
    Other,
}

fn documentation(line: &str) -> Line<'_> {
    let line = line.trim_start();
    if line.starts_with("////") {
        return Line::Other;
    }
    if let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
        return Line::Text(text.strip_prefix(' ').unwrap_or(text));
    }
    if line.starts_with("#[doc = ") || line.starts_with("#![doc = ") || line.starts_with("#[cfg_attr(") {
        return Line::Made;
    }
    Line::Other
}

fn blocks<'a>(name: &str, lines: impl Iterator<Item = (usize, Line<'a>)>, is_documentation: bool) -> Vec<Block> {
    let mut found = Vec::new();
    // The block that is open: its fence, its indentation.
    let mut open: Option<(Block, String, usize)> = None;
    for (number, line) in lines {
        match (line, &mut open) {
            (Line::Text(text), Some((block, fence, indent))) => {
                let trimmed = text.trim();
                if trimmed.starts_with(fence.as_str()) && trimmed.chars().all(|c| fence.starts_with(c)) {
                    found.extend(open.take().map(|(block, ..)| block));
                } else {
                    let cut = text.len() - text.trim_start_matches(' ').len();
                    block.text.push_str(&text[cut.min(*indent)..]);
                    block.text.push('\n');
                }
            }
            (Line::Text(text), None) => {
                let trimmed = text.trim_start();
                let mark = trimmed.chars().next().filter(|c| ['`', '~'].contains(c));
                let Some(mark) = mark else { continue };
                let fence: String = trimmed.chars().take_while(|c| *c == mark).collect();
                if fence.len() < 3 || trimmed[fence.len()..].contains('`') {
                    continue;
                }
                let block = Block {
                    name: format!("{name}:{number}"),
                    info: trimmed[fence.len()..].trim().into(),
                    text: String::new(),
                    is_partial: false,
                    is_documentation,
                };
                open = Some((block, fence, text.len() - trimmed.len()));
            }
            (Line::Made, Some((block, ..))) => block.is_partial = true,
            // The comment ends in the middle of a block, as where each line is made by a macro.
            (Line::Other, Some(_)) => open = None,
            (Line::Made | Line::Other, None) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_in_comments_with_their_line_and_without_their_indentation() {
        let text = "/// Adds.\n///\n///   ```should_panic\n///   a();\n///     b();\n///   ```\nfn f() {}\n//// ```\n//// no\n";
        let found = of_file("x.rs", text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].info.as_str()), ("x.rs:3", "should_panic"));
        assert_eq!(found[0].text, "a();\n  b();\n");
    }

    #[test]
    fn a_block_with_lines_that_a_macro_makes_is_not_whole() {
        let found =
            of_file("x.rs", "/// ```\n#[doc = concat!(\"let x = \", stringify!($T), \";\")]\n/// ```\nfn f() {}\n");
        assert!(found[0].is_partial);
    }

    #[test]
    fn a_file_with_a_main_and_no_block_is_an_example_itself() {
        assert_eq!(of_file("x.rs", "fn main() {}\n").len(), 1);
        assert_eq!(of_file("x.rs", "fn other() {}\n").len(), 0);
    }

    #[test]
    fn a_longer_fence_holds_a_shorter_one() {
        let found = of_file("x.md", "````md\n```rust\n````\n~~~rust\na\n~~~\n");
        assert_eq!(found.iter().map(|block| block.text.as_str()).collect::<Vec<_>>(), ["```rust\n", "a\n"]);
    }
}
