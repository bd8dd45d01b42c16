//! The compiler's diagnostics, read from JSON and mapped to the cell.
//!
//! The type of a variable `x` is read from a lint. Of `&x as &_` the compiler says that it is a trivial cast, and from which type to which,
//! after it has inferred both. So the one compilation that makes the cell's library also names the types of its variables, as the compiler
//! itself writes them.

use crate::event::CellId;
use crate::reports::report::{Finding, Mark};
use crate::reports::source_map::{Edited, Glue};
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::Range;

/// One message of the compiler.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// `error`, `warning`, `note`, …
    #[serde(default)]
    pub level: String,
    /// The text.
    pub message: String,
    #[serde(default)]
    code: Option<Code>,
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    children: Vec<Message>,
}

#[derive(Clone, Debug, Deserialize)]
struct Code {
    code: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Span {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    suggested_replacement: Option<String>,
    #[serde(default)]
    expansion: Option<Box<Expansion>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Expansion {
    span: Span,
}

/// Reads one line of the compiler's output. `None` if it is no message.
pub fn read(line: &str) -> Option<Message> {
    serde_json::from_str(line).ok()
}

/// The texts of one compilation, by file name.
pub type Texts = HashMap<String, Edited>;

/// A place that a message names.
enum Place<'a> {
    Cell(CellId, Range<usize>),
    Glue(&'a Glue),
    Elsewhere,
}

fn place<'a>(span: &Span, texts: &'a Texts) -> Place<'a> {
    if let Some(text) = texts.get(&span.file_name) {
        let range = span.byte_start..span.byte_end;
        if let Some(glue) = text.glue_at(&range) {
            return Place::Glue(glue);
        }
        if let Some(range) = text.original(range) {
            return Place::Cell(CellId(text.cell), range);
        }
    }
    // Inside a macro: the place of its call.
    match &span.expansion {
        Some(expansion) => place(&expansion.span, texts),
        None => Place::Elsewhere,
    }
}

impl Message {
    /// Whether it is an error, so that no library is made.
    pub fn is_error(&self) -> bool {
        self.level.starts_with("error")
    }

    /// Whether it is a warning that is not about the session's glue.
    pub fn is_warning(&self) -> bool {
        self.level == "warning" && self.code().is_some_and(|code| code != "trivial_casts")
    }

    /// Its error code, such as `E0382`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|code| code.code.as_str())
    }

    /// Whether one of its notes contains these words.
    pub fn notes(&self, words: &str) -> bool {
        self.children.iter().any(|child| child.message.contains(words))
    }

    /// The variable whose type it tells, and the type.
    pub fn variable_type<'a>(&self, texts: &'a Texts) -> Option<(&'a str, String)> {
        if self.code() != Some("trivial_casts") {
            return None;
        }
        let Place::Glue(Glue::Type(name)) = place(self.spans.first()?, texts) else { return None };
        let (from, _) = self.message.strip_prefix("trivial cast: `&")?.split_once("` as `&")?;
        Some((name, from.to_owned()))
    }

    /// The glue at its places, and whether that is its main place.
    pub fn glue<'a>(&self, texts: &'a Texts) -> Vec<(&'a Glue, bool)> {
        let of = |message: &Message, is_main: bool| -> Vec<(&'a Glue, bool)> {
            let glue = |span: &Span| match place(span, texts) {
                Place::Glue(glue) => Some((glue, is_main && span.is_primary)),
                _ => None,
            };
            message.spans.iter().filter_map(glue).collect()
        };
        let mut found = of(self, true);
        found.extend(self.children.iter().flat_map(|child| of(child, false)));
        found
    }

    /// Whether its text, or the label of one of its places, contains these words.
    pub fn says(&self, words: &str) -> bool {
        let is_at = |span: &Span| span.label.as_ref().is_some_and(|label| label.contains(words));
        self.message.contains(words)
            || self.spans.iter().any(is_at)
            || self.children.iter().any(|child| child.says(words))
    }

    /// The stretches of the cell that it labels with these words.
    pub fn labelled(&self, words: &str, texts: &Texts) -> Vec<Range<usize>> {
        let is_meant = |span: &&Span| span.label.as_ref().is_some_and(|label| label.contains(words));
        let of = |span: &Span| match place(span, texts) {
            Place::Cell(_, range) => Some(range),
            _ => None,
        };
        self.spans.iter().filter(is_meant).filter_map(of).collect()
    }

    /// Whether it is about converting an error of `?` or `return` into one that a cell can end with.
    pub fn is_of_conversion(&self) -> bool {
        (self.says("Failed") || self.says("Returned")) && self.says("`std::fmt::Display`")
    }

    /// Whether it says where something was instantiated for types that do not fit.
    pub fn is_of_instantiation(&self) -> bool {
        self.level == "note" && self.message.starts_with("the above error was encountered while instantiating")
    }

    /// Whether it is about showing a value that has no `Debug`.
    pub fn is_of_showing(&self) -> bool {
        self.message.ends_with("as it is not declared as mutable") || self.says("as mutable") || self.says("Debug")
    }

    /// The stretch of the cell that is its main place.
    pub fn place(&self, texts: &Texts) -> Option<Range<usize>> {
        match place(self.spans.iter().find(|span| span.is_primary)?, texts) {
            Place::Cell(_, range) => Some(range),
            _ => None,
        }
    }

    /// The message as a finding for a person.
    pub fn finding(&self, texts: &Texts) -> Finding {
        let mut marks: Vec<Mark> = Vec::new();
        for span in
            self.spans.iter().filter(|span| span.is_primary).chain(self.spans.iter().filter(|span| !span.is_primary))
        {
            if let Place::Cell(cell, range) = place(span, texts) {
                let mark = Mark { cell, range, label: span.label.clone().unwrap_or_default() };
                if !marks.contains(&mark) {
                    marks.push(mark);
                }
            }
        }
        let mut notes = Vec::new();
        let mut helps = Vec::new();
        for child in &self.children {
            let text = child.with_suggestion(texts);
            match child.level.as_str() {
                "help" => helps.push(text),
                "note" => notes.push(text),
                _ => {}
            }
        }
        let called = self.called(texts).map(|(cell, range)| {
            let mark = Mark { cell, range: range.clone(), label: "in this macro call".into() };
            if !marks.iter().any(|known| known.cell == cell && known.range == range) {
                marks.push(mark);
            }
            (cell, range.start)
        });
        let code = self.code().map(str::to_owned);
        Finding { code, message: self.message.clone(), marks, notes, helps, called }
    }

    /// The macro call in a cell that its main place is inside.
    fn called(&self, texts: &Texts) -> Option<(CellId, Range<usize>)> {
        let mut span = self.spans.iter().find(|span| span.is_primary)?;
        let mut called = None;
        while let Some(expansion) = &span.expansion {
            span = &expansion.span;
            if let Some(text) = texts.get(&span.file_name) {
                called =
                    text.original(span.byte_start..span.byte_end).map(|range| (CellId(text.cell), range)).or(called);
            }
        }
        called
    }

    /// Its text, with the edit that it proposes if that is short.
    fn with_suggestion(&self, texts: &Texts) -> String {
        let edits: Vec<&str> = self
            .spans
            .iter()
            .filter(|span| matches!(place(span, texts), Place::Cell(..)))
            .filter_map(|span| span.suggested_replacement.as_deref())
            .map(str::trim)
            .filter(|edit| !edit.is_empty() && !edit.contains('\n') && edit.len() < 60)
            .collect();
        match edits.as_slice() {
            [edit] if !self.message.contains(&format!("`{edit}`")) => format!("{}: `{edit}`", self.message),
            _ => self.message.clone(),
        }
    }
}

/// Adds to an error about a missing crate how to bring the crate in.
pub fn explain_crate(finding: &mut Finding) {
    const MISSING: [&str; 2] = ["missing a crate named `", "can't find crate for `"];
    let texts = finding.helps.iter().chain([&finding.message]);
    let found = texts.flat_map(|text| MISSING.iter().filter_map(move |words| text.split_once(words)));
    let Some(name) = found.filter_map(|(_, rest)| rest.split_once('`')).map(|(name, _)| name.to_owned()).next() else {
        return;
    };
    finding.helps.retain(|help| !help.contains("missing a crate named"));
    finding.helps.push(format!("to use a crate of this name, write `:dep {name}`"));
}

/// Hides the generated closure around a cell's statements: for a person they stand in the cell.
pub fn explain_closure(finding: &mut Finding) {
    const ENDING: &str = "`Result<(), mobula::__private::Failed>`";
    if finding.marks.iter().any(|mark| mark.label.contains(ENDING)) {
        finding.message = finding.message.replace("in a closure that returns `Result`", "in a cell");
        finding.marks.iter_mut().for_each(|mark| mark.label = mark.label.replace(ENDING, "the end of a cell"));
    }
    // The closure that the message names is in no cell.
    let is_ours = finding.code.as_deref() == Some("E0267")
        && !finding.marks.iter().any(|mark| mark.label.contains("enclosing closure"));
    if is_ours {
        let outside = if finding.message.contains("`break`") {
            "outside of a loop or labeled block"
        } else {
            "outside of a loop"
        };
        finding.code = Some("E0268".into());
        finding.message = finding.message.replace("inside of a closure", outside);
        finding.marks.iter_mut().for_each(|mark| mark.label = mark.label.replace("inside of a closure", outside));
    }
}

/// If `;` is among all the tokens that the compiler says are possible in a place, the `;` is usually what was forgotten.
pub fn explain_semicolon(finding: &mut Finding) {
    let Some(rest) = finding.message.strip_prefix("expected one of ") else { return };
    if let Some((possible, found)) = rest.rsplit_once(", found ")
        && possible.contains("`;`")
        && finding.helps.is_empty()
    {
        finding.helps.push(format!("perhaps a `;` is missing before {found}"));
    }
}

/// A method that an actor cannot run is no function that `.call(…)` is defined for: then the compiler finds the one of `Fn`, which is unstable,
/// and complains about that and about its arguments.
pub fn explain_calls(findings: &mut Vec<Finding>) {
    let is_of_fn = |finding: &Finding| {
        finding.code.as_deref() == Some("E0658") && finding.message.contains("`fn_traits`") && !finding.marks.is_empty()
    };
    let places: Vec<Mark> =
        findings.iter().filter(|finding| is_of_fn(finding)).map(|finding| finding.marks[0].clone()).collect();
    let is_at = |mark: &Mark| places.iter().any(|place| (place.cell, &place.range) == (mark.cell, &mark.range));
    findings.retain(|finding| finding.code.as_deref() != Some("E0308") || !finding.marks.iter().any(is_at));
    for finding in findings.iter_mut().filter(|finding| is_of_fn(finding)) {
        finding.message = "an actor cannot run this method".into();
        finding.marks[0].label =
            "it takes neither `&self` nor `&mut self`, or returns something borrowed from it".into();
        finding.notes.clear();
        finding.helps =
            vec!["the result goes to another process: return an owned value, such as a `String` for a `&str`".into()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_returns_a_borrow_is_refused_in_our_words() {
        let at = |label: &str| Mark { cell: CellId(2), range: 4..8, label: label.into() };
        let unstable = Finding {
            code: Some("E0658".into()),
            message: "use of unstable library feature `fn_traits`".into(),
            marks: vec![at("")],
            helps: vec!["add `#![feature(fn_traits)]` to the crate attributes to enable".into()],
            ..Finding::default()
        };
        let mismatched = |range: Range<usize>| Finding {
            code: Some("E0308".into()),
            marks: vec![Mark { range: 9..11, ..at("expected `(&Counter,)`") }, Mark { range, ..at("") }],
            ..Finding::default()
        };
        let mut findings = vec![unstable, mismatched(4..8), mismatched(20..22)];
        explain_calls(&mut findings);
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].message, "an actor cannot run this method");
        assert!(findings[0].helps[0].contains("return an owned value") && findings[1].marks[1].range == (20..22));
    }

    fn texts() -> Texts {
        let mut text = Edited::new(CellId(2), "let x = 1;");
        text.generated("fn f() {");
        text.copy(0..10);
        text.glue(Glue::Type("x".into()), "let _ = &x as &_;");
        HashMap::from([("cell 2".to_owned(), text)])
    }

    fn message(code: &str, text: &str, at: Range<usize>) -> Message {
        let line = serde_json::json!({
            "$message_type": "diagnostic", "level": "warning", "message": text, "code": {"code": code, "explanation": null},
            "spans": [{"file_name": "cell 2", "byte_start": at.start, "byte_end": at.end, "is_primary": true, "label": "here it is",
                       "suggested_replacement": null, "expansion": null}],
            "children": [{"level": "help", "message": "do this", "code": null, "spans": [], "children": []}],
        });
        read(&line.to_string()).unwrap()
    }

    #[test]
    fn the_type_of_a_variable_is_what_its_cast_is_said_to_be_from() {
        let said = message("trivial_casts", "trivial cast: `&std::vec::Vec<&str>` as `&std::vec::Vec<&str>`", 26..34);
        assert_eq!(said.variable_type(&texts()), Some(("x", "std::vec::Vec<&str>".into())));
        assert_eq!(message("trivial_casts", "trivial cast: `&i32` as `&i32`", 9..12).variable_type(&texts()), None);
    }

    #[test]
    fn a_message_about_the_cell_is_told_with_its_place_in_the_cell() {
        let finding = message("E0001", "wrong", 12..13).finding(&texts());
        assert_eq!(finding.marks, [Mark { cell: CellId(2), range: 4..5, label: "here it is".into() }]);
        assert_eq!(finding.helps, ["do this"]);
    }

    #[test]
    fn what_is_no_message_is_none() {
        assert!(read("error: something").is_none() && read("{\"artifact\": 1}").is_none());
    }
}
