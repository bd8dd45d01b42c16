//! Messages about items that are set aside, and about two definitions of one name.

use super::program::{Definition, Program, Stage};
use super::rustc::Compiled;
use crate::reports::report::Finding;

/// Error codes for unknown names.
const UNKNOWN: [&str; 7] = ["E0425", "E0412", "E0422", "E0423", "E0404", "E0405", "E0433"];

/// An error about an item that waits becomes the reason why it waits. Older definitions are named with their cells.
pub fn explain(finding: &mut Finding, program: &Program) {
    if let Some(known) = meant(finding, program)
        && let Stage::Waits(why, _) = &known.stage
    {
        let note =
            format!("`{}` of cell {} waits, because it does not compile with what is newer", known.title(), known.cell);
        let used = finding
            .marks
            .drain(..)
            .next()
            .map(|mark| crate::reports::report::Mark { label: "it is used here".into(), ..mark });
        let called = finding.called.or(used.as_ref().map(|mark| (mark.cell, mark.range.start)));
        let marks = why.marks.iter().cloned().chain(used).collect();
        *finding = Finding { marks, called, ..(**why).clone() };
        finding.notes.push(note);
        finding.helps.push(format!("fix it and run cell {} again, or fix what it uses", known.cell));
    }
    let import = unknown_name(finding).and_then(|name| program.waiting_import(name));
    if let Some(known) = import {
        let note = format!(
            "`{}` of cell {} waits, because what it imports no longer exists",
            known.import.text(),
            known.owner
        );
        finding.notes.push(note);
    }
    finding.notes.retain(|note| !note.contains(IN_A_UNIT));
    let texts = finding.notes.iter_mut().chain(&mut finding.helps).chain([&mut finding.message]);
    for text in texts.chain(finding.marks.iter_mut().map(|mark| &mut mark.label)) {
        if text.contains("cells_") {
            *text = program.spoken(text);
        }
    }
}

/// Whether two definitions of one name have met. With short paths, the compiler gives both the same name.
pub fn meets_itself(compiled: &Compiled) -> bool {
    compiled.messages.iter().filter(|message| message.is_error()).any(|message| message.notes(DISTINCT))
}

const DISTINCT: &str = "have similar names, but are actually distinct types";
const IN_A_UNIT: &str = "is defined in crate `cells_";

/// The waiting item that an error is about.
fn meant<'a>(finding: &Finding, program: &'a Program) -> Option<&'a Definition> {
    let name = finding.message.split('`').nth(1);
    match finding.code.as_deref() {
        Some("E0599") => {
            name.and_then(|name| program.waiting_method(name, &finding.message).or_else(|| program.waiting(name)))
        }
        Some("E0277") => program.waiting_trait(&finding.message),
        _ => unknown_name(finding).and_then(|name| program.waiting(name)),
    }
}

/// The name that an error says is unknown.
fn unknown_name(finding: &Finding) -> Option<&str> {
    let is_unknown = finding.code.as_deref().is_some_and(|code| UNKNOWN.contains(&code))
        || finding.message.starts_with("cannot find macro");
    finding.message.split('`').nth(1).filter(|_| is_unknown)
}
