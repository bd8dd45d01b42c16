//! Notebook files: reading the code cells, and writing the file back with new outputs.
//!
//! Only what changed is written. The file's text is kept, and only the values of `outputs` and `execution_count` of the
//! cells that ran are replaced in it ([`crate::script::json_span`]), with the file's own indentation. So metadata, cell
//! ids, key order and the fields of later format versions survive to the byte. Parsing into the types of the nbformat
//! crate and serialising them again was tried: it drops unknown fields.
//!
//! Old outputs are never parsed, so a notebook is not refused for outputs that it is about to lose. Neither is it for its
//! metadata: of these, only what is understood is read, and the rest is passed over, whatever its type.

use crate::script::json_span::{Member, elements, member, members, position, root};
use crate::script::outputs::lines;
use nbformat::v4;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::ser::PrettyFormatter;
use serde_json::{Value, json};
use std::ops::Range;

/// Why a file cannot be used as a notebook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotebookError {
    /// The file is not UTF-8 text.
    #[error("line {line} is not valid UTF-8")]
    NotText {
        /// The line, from 1.
        line: usize,
    },
    /// The file is not JSON.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The error of the JSON parser.
        message: String,
    },
    /// The file is JSON, but not a notebook.
    #[error("it is not a notebook: {what}")]
    NotANotebook {
        /// What is missing or wrong.
        what: String,
    },
    /// The version of its format is not 4.
    #[error("its format is version {version}, and only version 4 can be run{}", if *.version < 4 {
        "; `jupyter nbconvert --to notebook --inplace FILE` upgrades it"
    } else {
        ""
    })]
    Version {
        /// The version that the file states.
        version: i64,
    },
    /// A part of the notebook breaks the format's rules.
    #[error("line {line}: {part}: {message}")]
    Malformed {
        /// The line on which the part begins, from 1.
        line: usize,
        /// The part: `metadata`, or `cell 3`.
        part: String,
        /// What is wrong with it.
        message: String,
    },
    /// The notebook is for another language.
    #[error("it is written in {language}, and only Rust can be run")]
    Language {
        /// The language that the file states.
        language: String,
    },
}

/// A notebook: its text, and its code cells.
#[derive(Debug)]
pub(crate) struct Notebook {
    /// The text of the file, without the mark below.
    text: String,
    /// Whether the file begins with a byte order mark, as some editors write it.
    has_mark: bool,
    /// One step of indentation; `None` when the file is not indented.
    indent: Option<String>,
    pub code_cells: Vec<CodeCell>,
}

/// A code cell.
#[derive(Debug)]
pub(crate) struct CodeCell {
    pub source: String,
    /// Whether its source is another one than that of the file, and belongs into a copy.
    pub is_given: bool,
    tags: Vec<String>,
    /// The cell's byte range in the file.
    span: Range<usize>,
}

/// The result of running a cell, as the notebook stores it.
#[derive(Debug)]
pub(crate) struct CellRun {
    /// Its index among the code cells.
    pub index: usize,
    pub execution_count: u64,
    pub outputs: Value,
}

impl CodeCell {
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }
}

impl Notebook {
    /// Reads the content of a notebook file.
    pub fn parse(bytes: Vec<u8>) -> Result<Notebook, NotebookError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            NotebookError::NotText { line: 1 + good.iter().filter(|b| **b == b'\n').count() }
        })?;
        let (text, has_mark) = match text.strip_prefix(MARK) {
            Some(rest) => (rest.to_owned(), true),
            None => (text, false),
        };
        serde_json::from_str::<IgnoredAny>(&text).map_err(|error| syntax(&error))?;
        let whole = root(&text);
        check_version(&text, &whole)?;
        check_language(&text, &whole)?;
        let cells = member(&text, &whole, "cells").filter(|cells| text[cells.value.clone()].starts_with('['));
        let Some(cells) = cells else {
            return Err(NotebookError::NotANotebook { what: "it has no list `cells`".to_owned() });
        };
        let mut code_cells = Vec::new();
        for (index, span) in elements(&text, &cells.value).into_iter().enumerate() {
            code_cells.extend(code_cell(&text, index, span)?);
        }
        let indent = indent_of(&text, &whole);
        Ok(Notebook { text, has_mark, indent, code_cells })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        self.mark().to_owned() + &self.text
    }

    fn mark(&self) -> &'static str {
        if self.has_mark { MARK } else { "" }
    }

    /// All of it, as JSON.
    pub fn value(&self) -> Value {
        // It was read before.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The notebook's metadata.
    pub fn metadata(&self) -> Value {
        let metadata = member(&self.text, &root(&self.text), "metadata");
        metadata.and_then(|metadata| serde_json::from_str(&self.text[metadata.value]).ok()).unwrap_or_default()
    }

    /// The execution count and the outputs that are stored in a code cell.
    pub fn stored(&self, index: usize) -> (Option<u64>, Value) {
        let read = |name| member(&self.text, &self.code_cells[index].span, name);
        let count = read("execution_count").and_then(|count| self.text[count.value].parse().ok());
        let outputs = read("outputs").and_then(|outputs| serde_json::from_str(&self.text[outputs.value]).ok());
        (count, outputs.unwrap_or_default())
    }

    /// The text of the file with the outputs of `runs`, each cell at most once, and with `widgets` in its metadata, if there are some.
    pub fn with_outputs(&self, runs: &[CellRun], widgets: Option<&Value>) -> String {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        for run in runs {
            let span = &self.code_cells[run.index].span;
            let cell = &self.code_cells[run.index];
            if let Some(source) = member(&self.text, span, "source").filter(|_| cell.is_given) {
                edits.push((source.value.clone(), self.render(&source, &lines(&cell.source))));
            }
            let outputs = member(&self.text, span, "outputs");
            let count = member(&self.text, span, "execution_count");
            if let Some(outputs) = &outputs {
                edits.push((outputs.value.clone(), self.render(outputs, &run.outputs)));
            }
            match (count, outputs) {
                (Some(count), _) => edits.push((count.value, run.execution_count.to_string())),
                (None, Some(outputs)) => {
                    let before = format!("\"execution_count\": {},{}", run.execution_count, self.line_break(&outputs));
                    edits.push((outputs.start..outputs.start, before));
                }
                (None, None) => {}
            }
        }
        edits.extend(widgets.and_then(|widgets| self.with_widgets(widgets)));
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut written = String::with_capacity(self.text.len());
        written.push_str(self.mark());
        let mut at = 0;
        for (range, new) in edits {
            written.push_str(&self.text[at..range.start]);
            written.push_str(&new);
            at = range.end;
        }
        written + &self.text[at..]
    }

    /// The edit that puts the states of widgets into the metadata.
    fn with_widgets(&self, widgets: &Value) -> Option<(Range<usize>, String)> {
        let metadata = member(&self.text, &root(&self.text), "metadata")?;
        if let Some(old) = member(&self.text, &metadata.value, "widgets") {
            return Some((old.value.clone(), self.render(&old, widgets)));
        }
        match members(&self.text, &metadata.value).pop() {
            // Last, where Jupyter, which sorts, has them in most notebooks.
            Some(last) => {
                let new = format!(",{}\"widgets\": {}", self.line_break(&last), self.render(&last, widgets));
                Some((last.value.end..last.value.end, new))
            }
            None => Some((metadata.value.clone(), self.render(&metadata, &json!({"widgets": widgets})))),
        }
    }

    /// The JSON text of `value`, indented for the place of `member`.
    fn render(&self, member: &Member, value: &Value) -> String {
        let Some(indent) = &self.indent else { return value.to_string() };
        let mut bytes = Vec::new();
        let formatter = PrettyFormatter::with_indent(indent.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        if value.serialize(&mut serializer).is_err() {
            return value.to_string();
        }
        // A JSON text has line breaks only between its tokens, never in a string.
        String::from_utf8_lossy(&bytes).replace('\n', &self.line_break(member))
    }

    /// The line break between the members of the object that holds `member`.
    fn line_break(&self, member: &Member) -> String {
        let before = &self.text[..member.start];
        let space = &before[before.trim_end_matches([' ', '\t']).len()..];
        if self.indent.is_some() { format!("\n{space}") } else { String::new() }
    }
}

/// The byte order mark.
const MARK: &str = "\u{feff}";

/// serde_json puts the position behind its message; our message puts it first.
fn syntax(error: &serde_json::Error) -> NotebookError {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    NotebookError::Syntax { line: error.line(), column: error.column(), message: message[..end].to_owned() }
}

fn check_version(text: &str, whole: &Range<usize>) -> Result<(), NotebookError> {
    let not = |what: &str| NotebookError::NotANotebook { what: what.to_owned() };
    let version = member(text, whole, "nbformat").ok_or_else(|| not("it has no number `nbformat`"))?;
    let version: i64 = text[version.value].parse().map_err(|_| not("its `nbformat` is not a number"))?;
    if version == 4 { Ok(()) } else { Err(NotebookError::Version { version }) }
}

/// Checks the language. The kernel's name does not matter: `mobula` is the kernel. A notebook without a language counts
/// as Rust.
fn check_language(text: &str, whole: &Range<usize>) -> Result<(), NotebookError> {
    let Some(metadata) = member(text, whole, "metadata") else { return Ok(()) };
    let read: Value = serde_json::from_str(&text[metadata.value]).unwrap_or_default();
    let word = |path: &str| read.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let language = word("/kernelspec/language").or_else(|| word("/language_info/name"));
    match language {
        Some(language) if !language.eq_ignore_ascii_case("rust") => Err(NotebookError::Language { language }),
        _ => Ok(()),
    }
}

/// The cell at `span`, if it is a code cell. `index` is its place among all cells.
fn code_cell(text: &str, index: usize, span: Range<usize>) -> Result<Option<CodeCell>, NotebookError> {
    let cell: v4::Cell = serde_json::from_str(&essence(text, &span)).map_err(|error| {
        let (line, _) = position(text, span.start);
        NotebookError::Malformed { line, part: format!("cell {}", index + 1), message: reason(&error) }
    })?;
    let metadata = member(text, &span, "metadata").map(|metadata| serde_json::from_str::<Value>(&text[metadata.value]));
    let metadata = metadata.and_then(Result::ok).unwrap_or_default();
    let tags = metadata["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Ok(match cell {
        v4::Cell::Code { source, .. } => {
            Some(CodeCell { source: source.concat(), is_given: false, tags: tags.collect(), span })
        }
        v4::Cell::Markdown { .. } | v4::Cell::Raw { .. } => None,
    })
}

/// The text of a cell with its kind and its source alone, and with empty members where the format wants some.
fn essence(text: &str, span: &Range<usize>) -> String {
    let kept = members(text, span).into_iter().filter(|member| ["cell_type", "source"].contains(&member.name.as_str()));
    let mut kept: Vec<String> = kept.map(|member| text[member.start..member.value.end].to_owned()).collect();
    kept.push("\"metadata\":{}".into());
    if member(text, span, "outputs").is_some() {
        kept.push("\"outputs\":[]".into());
    }
    // A cell that is no object is returned unchanged, so that the error names it.
    if text[span.clone()].starts_with('{') { format!("{{{}}}", kept.join(",")) } else { text[span.clone()].to_owned() }
}

/// serde_json's message without its position, which counts from the part and not from the file.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// The indentation of the file's first member.
fn indent_of(text: &str, whole: &Range<usize>) -> Option<String> {
    let first = members(text, whole).first()?.start;
    let space = text[whole.start + 1..first].rsplit_once('\n')?.1;
    (!space.is_empty()).then(|| space.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Python's nbformat 5.10: with old outputs, and with the outputs of [`runs`].
    const BEFORE: &str = include_str!("../../fixtures/before.ipynb");
    const AFTER: &str = include_str!("../../fixtures/after.ipynb");

    fn parse(text: &str) -> Result<Notebook, NotebookError> {
        Notebook::parse(text.as_bytes().to_vec())
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    fn notebook_of(cell: &str) -> String {
        format!("{{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {{}}, \"cells\": [{cell}]}}")
    }

    fn runs() -> Vec<CellRun> {
        let stream = json!({"name": "stdout", "output_type": "stream", "text": ["é\u{1b}[1m\u{7f} \"x\"\n", "b"]});
        let result = json!({
            "data": {"application/json": {"a": [1, {}], "b": []}, "image/png": "QUJD", "text/plain": ["1"]},
            "execution_count": 1,
            "metadata": {"image/png": {"width": 3}},
            "output_type": "execute_result",
        });
        let error = json!({"ename": "Panic", "evalue": "odd", "output_type": "error", "traceback": ["a", ""]});
        vec![
            CellRun { index: 0, execution_count: 1, outputs: json!([stream, result]) },
            CellRun { index: 1, execution_count: 2, outputs: json!([]) },
            CellRun { index: 2, execution_count: 3, outputs: json!([error]) },
        ]
    }

    #[test]
    fn a_notebook_that_jupyter_wrote_is_written_as_jupyter_would() {
        let notebook = parse(BEFORE).unwrap();
        assert_eq!(notebook.with_outputs(&runs(), None), AFTER);
    }

    #[test]
    fn a_notebook_of_which_nothing_ran_is_the_same_to_the_byte() {
        for text in [BEFORE, AFTER] {
            assert_eq!(parse(text).unwrap().with_outputs(&[], None), text);
        }
    }

    #[test]
    fn code_cells_have_their_source_and_tags() {
        let notebook = parse(BEFORE).unwrap();
        let sources: Vec<&str> = notebook.code_cells.iter().map(|cell| cell.source.as_str()).collect();
        assert_eq!(sources, ["let x = \"é\\n\";\nx", "let quiet = 1;", "panic!(\"odd\")", "not_run()"]);
        assert!(notebook.code_cells[2].has_tag("raises-error"));
        assert!(!notebook.code_cells[0].has_tag("raises-error"));
    }

    #[test]
    fn other_styles_of_writing_are_kept() {
        let cell = "{\"cell_type\":\"code\",\"source\":\"1\",\"metadata\":{},\"later\":1.50e0,\"outputs\":[ ],\"execution_count\":null}";
        let compact = notebook_of(cell);
        let run = CellRun { index: 0, execution_count: 7, outputs: json!([{"a": 1}]) };
        let written = parse(&compact).unwrap().with_outputs(&[run], None);
        assert_eq!(written, compact.replace("[ ]", "[{\"a\":1}]").replace("null", "7"));

        let tabs = "{\n\t\"nbformat\": 4,\n\t\"cells\": [\n\t\t{\n\t\t\t\"cell_type\": \"code\",\n\t\t\t\"metadata\": {},\n\t\t\t\"source\": [],\n\t\t\t\"outputs\": []\n\t\t}\n\t]\n}";
        let run = CellRun { index: 0, execution_count: 7, outputs: json!([1]) };
        let written = parse(tabs).unwrap().with_outputs(&[run], None);
        let expected = "\"execution_count\": 7,\n\t\t\t\"outputs\": [\n\t\t\t\t1\n\t\t\t]";
        assert_eq!(written, tabs.replace("\"outputs\": []", expected));
    }

    #[test]
    fn the_states_of_widgets_stand_in_the_metadata_once() {
        let widgets = |n: i32| json!({"states": {"n": n}});
        let write = |text: &str, n| parse(text).unwrap().with_outputs(&[], Some(&widgets(n)));
        for text in [notebook_of(""), BEFORE.to_owned()] {
            let once = write(&text, 1);
            assert_eq!(parse(&once).unwrap().metadata()["widgets"], widgets(1));
            let twice = write(&once, 2);
            assert_eq!(twice, once.replace("\"n\": 1", "\"n\": 2").replace("\"n\":1", "\"n\":2"));
            let mut others = parse(&twice).unwrap().metadata();
            others.as_object_mut().unwrap().remove("widgets");
            assert_eq!(others, parse(&text).unwrap().metadata());
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_named() {
        assert_eq!(refusal("{\n \"cells\": [}\n"), "line 2, column 12: expected value");
        assert_eq!(refusal(""), "line 1, column 0: EOF while parsing a value");
        let cell = "\n{\"cell_type\": \"raw\", \"metadata\": {}, \"source\": \"\"},\n\n{\"cell_type\": \"code\", \"outputs\": []}";
        assert_eq!(refusal(&notebook_of(cell)), "line 4: cell 2: missing field `source`");
        let bytes = [notebook_of("").as_bytes(), b"\n\xff"].concat();
        assert_eq!(Notebook::parse(bytes).unwrap_err().to_string(), "line 2 is not valid UTF-8");
    }

    #[test]
    fn what_is_no_notebook_is_refused_with_the_reason() {
        assert_eq!(refusal("[1]"), "it is not a notebook: it has no number `nbformat`");
        assert_eq!(refusal("{\"nbformat\": 4}"), "it is not a notebook: it has no list `cells`");
        assert!(
            refusal("{\"nbformat\": 3, \"worksheets\": []}")
                .starts_with("its format is version 3, and only version 4 can be run; `jupyter")
        );
        assert_eq!(refusal("{\"nbformat\": 5}"), "its format is version 5, and only version 4 can be run");
    }

    #[test]
    fn another_language_is_refused_by_its_name() {
        let with = |metadata: &str| {
            format!("{{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {metadata}, \"cells\": []}}")
        };
        let python =
            with("{\"kernelspec\": {\"name\": \"python3\", \"display_name\": \"Python 3\", \"language\": \"python\"}}");
        assert_eq!(refusal(&python), "it is written in python, and only Rust can be run");
        assert_eq!(
            refusal(&with("{\"language_info\": {\"name\": \"julia\"}}")),
            "it is written in julia, and only Rust can be run"
        );
        let unknown_kernel =
            with("{\"kernelspec\": {\"name\": \"x\", \"display_name\": \"X\", \"language\": \"Rust\"}}");
        assert!(parse(&unknown_kernel).is_ok());
        assert!(parse(&with("{}")).is_ok());
    }

    #[test]
    fn old_outputs_and_ids_that_break_the_rules_are_nobodys_concern() {
        let cell = "{\"cell_type\": \"code\", \"id\": \"\", \"metadata\": {}, \"source\": \"1\", \"outputs\": [{\"output_type\": \"odd\"}]}";
        let notebook = parse(&notebook_of(&format!("{cell}, {cell}"))).unwrap();
        assert_eq!(notebook.code_cells.len(), 2);
    }

    #[test]
    fn metadata_of_any_type_are_no_reason_to_refuse_a_notebook() {
        for odd in [
            "{\"authors\": [\"Ada\", 3], \"title\": 1, \"kernelspec\": [], \"language_info\": {\"name\": null}}",
            "{\"kernelspec\": {\"name\": 1, \"language\": \"rust\"}, \"language_info\": \"rust\"}",
            "null",
            "[1]",
        ] {
            for tags in ["\"slow\"", "[\"raises-error\", 1, null]", "{}", "null"] {
                let cell = format!(
                    "{{\"cell_type\": \"code\", \"source\": \"1\", \"outputs\": [], \"metadata\": {{\"tags\": {tags}, \"collapsed\": \"yes\", \"jupyter\": 3, \"name\": []}}}}"
                );
                let text = format!(
                    "{{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {odd}, \"cells\": [{cell}, {{\"cell_type\": \"markdown\", \"source\": [], \"metadata\": 3, \"attachments\": []}}]}}"
                );
                let notebook = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert_eq!(notebook.code_cells[0].has_tag("raises-error"), tags.contains("raises"));
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_stays() {
        let marked = format!("\u{feff}{BEFORE}");
        let notebook = parse(&marked).unwrap();
        assert_eq!(notebook.text(), marked);
        assert_eq!(notebook.with_outputs(&runs(), None), format!("\u{feff}{AFTER}"));
    }

    #[test]
    fn older_and_newer_minor_versions_are_read() {
        for minor in [0, 1, 4, 5, 9] {
            let text = notebook_of("").replace("\"nbformat_minor\": 5", &format!("\"nbformat_minor\": {minor}"));
            assert!(parse(&text).is_ok(), "4.{minor}");
        }
    }
}
