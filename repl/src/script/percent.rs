//! Scripts in jupytext's percent format: cells parted by `// %%`, texts in comments, metadata in a head of YAML.
//!
//! ```text
//!   // ---                          the notebook's metadata, under `jupyter`
//!   // jupyter:
//!   //   kernelspec: …
//!   // ---
//!
//!   // %% [markdown]                a text; each line is a comment
//!   // # Primes
//!
//!   // %% tags=["slow"]             code, up to the next mark
//!   // :dep rand                    a command, which is no Rust, is a comment, too
//!   let n = 1;
//! ```
//!
//! One empty line parts two cells. Another number of them is kept in the metadata of the first one as
//! `lines_to_next_cell`, so that a script that became a notebook becomes the same script again.

use super::document::{Cell, Document, Kind};
use super::marker;
use serde_json::{Map, Value, json};

/// The comment that editors understand as the text's encoding.
const ENCODING: &str = "// -*- coding: utf-8 -*-";

/// Why a notebook cannot be a script.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PercentError {
    /// A line of a cell would begin another one.
    #[error("cell {cell} has the line `{line}`, which begins a cell in a script")]
    Mark {
        /// The cell's number among all cells, from 1.
        cell: usize,
        /// The line.
        line: String,
    },
    /// The head of the script is not YAML.
    #[error("the head between `// ---` and `// ---` cannot be read: {message}")]
    Head {
        /// The YAML reader's words.
        message: String,
    },
}

/// Whether a text has cells.
pub(crate) fn has_cells(text: &str) -> bool {
    text.lines().any(|line| marker::options(line).is_some())
}

/// Reads a script.
///
/// # Errors
/// [`PercentError::Head`].
pub(crate) fn read(text: &str) -> Result<Document, PercentError> {
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect();
    let Head { metadata, cell: first, lines: mut at } = head(&lines)?;
    let mut cells: Vec<Cell> = first.into_iter().collect();
    while at < lines.len() {
        let rest = &lines[at..];
        let options = marker::options(rest[0]);
        let (kind, metadata) = options.map_or((Kind::Code, Map::new()), marker::read);
        let next = next_mark(rest, kind);
        let blank = |back: usize| next.checked_sub(back).is_none_or(|at| rest[at].is_empty());
        let end = match (blank(1), blank(2), blank(3)) {
            (true, true, false) if next > 2 => next - 2,
            (true, ..) => next - 1,
            _ => next,
        };
        let begin = usize::from(options.is_some());
        // The mark itself is no empty line.
        let (begin, end) = (begin, end.max(begin));
        let source: Vec<String> = rest[begin..end].iter().map(|line| plain(line, kind)).collect();
        let mut cell = Cell { kind, metadata, source: source.join("\n"), line: at + begin + 1 };
        let gap = if end < rest.len() { next - end + usize::from(next == rest.len()) } else { 1 };
        if gap != 1 {
            cell.metadata.insert("lines_to_next_cell".into(), gap.into());
        }
        // Empty lines before the first mark are no cell.
        if options.is_some() || !cell.source.trim().is_empty() {
            cells.push(cell);
        }
        at += next;
    }
    Ok(Document { metadata, cells })
}

/// Where the next cell begins. A text may have a block of code with such a mark.
fn next_mark(lines: &[&str], kind: Kind) -> usize {
    let mut fence: Option<String> = None;
    for (at, line) in lines.iter().enumerate() {
        if kind != Kind::Code {
            let text = plain(line, kind);
            let ticks: String = text.trim_start().chars().take_while(|c| *c == '`').collect();
            let closes =
                |text: &str, open: &str| text.trim().len() >= open.len() && text.trim().chars().all(|c| c == '`');
            if let Some(open) = &fence {
                if closes(&text, open) {
                    fence = None;
                }
                continue;
            }
            if ticks.len() >= 3 && lines[at + 1..].iter().any(|line| closes(&plain(line, kind), &ticks)) {
                fence = Some(ticks);
                continue;
            }
        }
        if at > 0 && marker::options(line).is_some() {
            return at;
        }
    }
    lines.len()
}

/// A line of a cell without what makes it a comment.
fn plain(line: &str, kind: Kind) -> String {
    let without = |line: &str| line.strip_prefix("// ").or_else(|| line.strip_prefix("//")).unwrap_or(line).to_owned();
    match kind {
        Kind::Code if is_command(line) => without(line),
        Kind::Code => line.to_owned(),
        Kind::Markdown | Kind::Raw => without(line),
    }
}

/// Whether a line is a command, in however many comments.
fn is_command(line: &str) -> bool {
    let mut rest = line;
    while let Some(inner) = rest.strip_prefix("//") {
        rest = inner.strip_prefix(' ').unwrap_or(inner);
    }
    rest.strip_prefix(':').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// What stands before the first cell.
struct Head {
    metadata: Map<String, Value>,
    /// A cell of what is there beside the metadata.
    cell: Option<Cell>,
    lines: usize,
}

/// Reads what stands before the first cell.
fn head(lines: &[&str]) -> Result<Head, PercentError> {
    let mut own = Map::new();
    let mut at = 0;
    if let Some(program) = lines.first().and_then(|line| line.strip_prefix("#!")).filter(|rest| !rest.starts_with('['))
    {
        own.insert("executable".into(), program.into());
        at = 1;
    }
    if lines.get(at).is_some_and(|line| line.starts_with("//") && line.contains("coding: utf-8")) {
        own.insert("encoding".into(), lines[at].into());
        at += 1;
    }
    let is_fence = |line: &&&str| plain(line, Kind::Raw).trim_end() == "---";
    let body = lines[at..].iter().skip(1).take_while(|line| line.starts_with("//") && !is_fence(line)).count();
    let is_head =
        lines.get(at).as_ref().is_some_and(is_fence) && lines.get(at + body + 1).as_ref().is_some_and(is_fence);
    if !is_head {
        // A notebook that has no head gets none when it is written again.
        own.insert("notebook_metadata_filter".into(), "-all".into());
        let metadata = Map::from_iter([("jupytext".to_owned(), own.into())]);
        return Ok(Head { metadata, cell: None, lines: at });
    }
    let texts: Vec<String> = lines[at + 1..=at + body].iter().map(|line| plain(line, Kind::Raw)).collect();
    let (mut jupyter, mut others, mut is_in) = (Vec::new(), Vec::new(), false);
    for text in &texts {
        if text.trim_end() == "jupyter:" {
            is_in = true;
        } else if !text.is_empty() && !text.starts_with(char::is_whitespace) {
            is_in = false;
        }
        if is_in { jupyter.push(text.as_str()) } else { others.push(text.as_str()) }
    }
    let read: Value = if jupyter.is_empty() {
        json!({})
    } else {
        serde_saphyr::from_str(&jupyter.join("\n"))
            .map_err(|error| PercentError::Head { message: error.to_string() })?
    };
    let mut metadata = read["jupyter"].as_object().cloned().unwrap_or_default();
    if !own.is_empty() {
        let jupytext = metadata.entry("jupytext").or_insert_with(|| json!({}));
        jupytext.as_object_mut().into_iter().for_each(|jupytext| jupytext.extend(own.clone()));
    }
    let end = at + body + 2;
    let gap = usize::from(lines.get(end).is_some_and(|line| plain(line, Kind::Raw).trim().is_empty()));
    let cell = (!others.is_empty()).then(|| {
        let space = if gap == 1 { Map::new() } else { Map::from_iter([("lines_to_next_cell".to_owned(), 0.into())]) };
        Cell { kind: Kind::Raw, metadata: space, source: format!("---\n{}\n---", others.join("\n")), line: at + 1 }
    });
    Ok(Head { metadata, cell, lines: end + gap })
}

/// Writes a script.
///
/// # Errors
/// [`PercentError::Mark`].
pub(crate) fn write(document: &Document) -> Result<String, PercentError> {
    let (mut lines, cells) = written_head(document);
    for (index, cell) in cells {
        let source = if cell.source.is_empty() { Vec::new() } else { cell.source.split('\n').collect() };
        let mut written = vec![marker::write(cell.kind, &cell.metadata)];
        written.extend(source.iter().map(|line| commented(line, cell.kind)));
        let mark = written.iter().skip(1).find(|line| marker::options(line).is_some());
        if let Some(line) = mark
            .filter(|_| next_mark(&written.iter().map(String::as_str).collect::<Vec<_>>(), cell.kind) < written.len())
        {
            return Err(PercentError::Mark { cell: index + 1, line: line.trim().to_owned() });
        }
        lines.append(&mut written);
        lines.extend(vec![String::new(); gap(cell)]);
    }
    // The lines are parted, and what follows the last cell is the end of its line.
    Ok(lines.join("\n"))
}

fn gap(cell: &Cell) -> usize {
    let gap = cell.metadata.get("lines_to_next_cell").and_then(Value::as_u64);
    gap.and_then(|gap| usize::try_from(gap.min(100)).ok()).unwrap_or(1)
}

fn commented(line: &str, kind: Kind) -> String {
    match kind {
        Kind::Code if !is_command(line) => line.to_owned(),
        _ if line.is_empty() => "//".to_owned(),
        _ => format!("// {line}"),
    }
}

/// The lines before the first cell, and the cells behind them.
fn written_head(document: &Document) -> (Vec<String>, Vec<(usize, &Cell)>) {
    let mut lines = Vec::new();
    let mut cells: Vec<(usize, &Cell)> = document.cells.iter().enumerate().collect();
    let mut metadata = document.metadata.clone();
    let mut jupytext = metadata.get("jupytext").and_then(Value::as_object).cloned().unwrap_or_default();
    let is_text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    lines.extend(is_text(jupytext.remove("executable")).map(|program| format!("#!{program}")));
    match is_text(jupytext.remove("encoding")) {
        Some(encoding) => lines.push(encoding),
        None if cells.iter().any(|(_, cell)| !cell.source.is_ascii()) => lines.push(ENCODING.into()),
        None => {}
    }
    let mut head: Vec<String> = Vec::new();
    let mut space = 1;
    if let Some((_, first)) = cells.first().filter(|(_, cell)| cell.kind == Kind::Raw)
        && let Some(own) = first.source.trim().strip_prefix("---\n").and_then(|text| text.strip_suffix("\n---"))
    {
        head.extend(own.split('\n').map(str::to_owned));
        space = gap(first);
        cells.remove(0);
    }
    if jupytext.get("notebook_metadata_filter").and_then(Value::as_str) != Some("-all") {
        jupytext.insert(
            "text_representation".into(),
            json!({"extension": ".rs", "format_name": "percent", "format_version": "1.3"}),
        );
        metadata.insert("jupytext".into(), jupytext.clone().into());
        let wanted = jupytext.get("notebook_metadata_filter").and_then(Value::as_str).unwrap_or_default();
        let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
        let is_written =
            |name: &str| ["jupytext", "kernelspec", "kernel_info"].contains(&name) || wanted.contains(&name);
        metadata.retain(|name, _| is_written(name) || wanted.contains(&"all"));
        // JSON is YAML, should a value be one that the writer does not know.
        let yaml = serde_saphyr::to_string(&json!({"jupyter": metadata}))
            .unwrap_or_else(|_| json!({"jupyter": metadata}).to_string());
        head.extend(yaml.lines().map(str::to_owned));
    }
    if !head.is_empty() {
        lines.push("// ---".into());
        lines.extend(head.iter().map(|line| commented(line, Kind::Raw)));
        lines.push("// ---".into());
        lines.extend(vec![String::new(); space]);
    }
    (lines, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by jupytext 1.19 from a notebook.
    const SCRIPT: &str = include_str!("../../fixtures/percent.rs");

    #[test]
    fn what_jupytext_wrote_is_read_and_written_again_as_it_was() {
        let document = read(SCRIPT).unwrap();
        assert_eq!(document.metadata["kernelspec"]["name"], "mobula");
        let shape: Vec<(Kind, &str)> =
            document.cells.iter().map(|cell| (cell.kind, cell.source.lines().next().unwrap_or_default())).collect();
        assert_eq!(
            shape,
            [
                (Kind::Markdown, "# Ü title"),
                (Kind::Code, ":dep itoa = \"1\""),
                (Kind::Code, "let s = r#\""),
                (Kind::Raw, "raw <text>"),
                (Kind::Code, ""),
                (Kind::Code, "1 + 1"),
            ]
        );
        assert_eq!(document.cells[2].metadata["tags"], json!(["slow", "raises-error"]));
        // Jupytext names its version; we are none.
        let without = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("jupytext_version"))
                .map(|line| line.replace(['\'', '"'], ""))
                .collect::<Vec<_>>()
        };
        assert_eq!(without(&write(&document).unwrap()), without(SCRIPT));
    }

    #[test]
    fn a_script_without_a_head_becomes_the_same_script_again() {
        for text in [
            "// %%\nlet a = 1;\n\n// %% [markdown]\n// text\n",
            "#!/usr/bin/env mobula\n// %%\nlet a = 1;\n\n\n// %% b\n// %% c\na\n\n",
            "// %% [markdown]\n// ```\n// %% no cell\n// ```\n\n// %%\n1",
            "// %%\nfn f() {\n    // :dep is a command only at the margin\n}\n\n// %%\n// // :dep commented = \"1\"\n",
        ] {
            let document = read(text).unwrap();
            assert_eq!(write(&document).unwrap().trim_end(), text.trim_end(), "{document:?}");
            assert_eq!(read(&write(&document).unwrap()).unwrap(), document, "{text}");
        }
    }

    #[test]
    fn cells_know_their_lines_and_only_what_stands_before_the_first_mark_may_be_nothing() {
        let document = read("\n\n// %% one\nlet a = 1;\n//%%\n\n// %%\n\na").unwrap();
        let cells: Vec<(&str, usize)> = document.cells.iter().map(|cell| (cell.source.as_str(), cell.line)).collect();
        assert_eq!(cells, [("let a = 1;", 4), ("", 6), ("\na", 8)]);
        assert!(!has_cells("// %%x\n") && has_cells("1\n  // %%"));
    }

    #[test]
    fn a_cell_that_would_be_two_is_refused_with_its_number() {
        let mut document = Document::of_code("1".into());
        document.cells.push(Document::of_code("a\n// %% b".into()).cells.remove(0));
        let error = write(&document).unwrap_err();
        assert_eq!(error.to_string(), "cell 2 has the line `// %% b`, which begins a cell in a script");
    }
}
