//! The renderer of reports: compile errors, panics, errors of `?`, and crashes.
//!
//! Every report comes plain, with ANSI colours and, made of these, as HTML; a front end picks one. A place is always `cell N:line:column`.

use crate::event::{CellError, CellId};
pub use crate::rendered::Rendered;
use crate::reports::record::{Death, Panic, Record};
pub use crate::reports::snippet::{Finding, Mark};
use crate::reports::snippet::{Snippet, at_places};
use crate::reports::sources::Found;
use crate::reports::task_report::TaskReport;
use evcxr::CompilationError;
use std::ops::Range;

/// At most this many compile errors of one cell are shown.
const ERRORS_MAX: usize = 8;
/// At most this many callers of a crash's place are shown: a stack overflow has thousands.
const CALLERS_MAX: usize = 5;

/// The report of a cell that did not compile. `code_of` gives the code of a cell.
pub fn compile_errors(findings: Vec<Finding>, cell: CellId, code_of: &dyn Fn(CellId) -> String) -> CellError {
    let findings = in_words(findings);
    let render = |finding: &Finding| {
        let kind = finding.code.as_ref().map_or("error".to_owned(), |code| format!("error[{code}]"));
        Snippet { kind, finding, cell, code_of }.render()
    };
    let reports: Vec<Rendered> = findings.iter().take(ERRORS_MAX).map(render).collect();
    let more = findings.len().saturating_sub(ERRORS_MAX);
    let (name, value) = findings.first().map_or(("CompileError".into(), "the cell does not compile".into()), |first| {
        (first.code.clone().unwrap_or_else(|| "CompileError".into()), first.message.clone())
    });
    let mut plain = join(&reports, |report| &report.plain);
    let mut ansi = join(&reports, |report| &report.ansi);
    if more > 0 {
        let line = format!("\n… and {more} more errors");
        plain.push_str(&line);
        ansi.push_str(&line);
    }
    if reports.is_empty() {
        plain.clone_from(&value);
        ansi.clone_from(&value);
    }
    CellError { name, value, plain, ansi }
}

/// The report of a warning.
pub fn warning(finding: &Finding, cell: CellId, code_of: &dyn Fn(CellId) -> String) -> Rendered {
    let kind = finding.code.as_ref().map_or("warning".to_owned(), |code| format!("warning[{code}]"));
    let mut finding = finding.clone();
    finding
        .notes
        .retain(|note| is_about_cells(note) && !note.contains("(part of `") && !note.contains("on by default"));
    Snippet { kind, finding: &finding, cell, code_of }.render()
}

/// The errors that evcxr got from rustc, as findings in `cell`.
pub fn findings(errors: &[CompilationError], cell: CellId, code: &str) -> Vec<Finding> {
    let errors = errors.iter().filter(|error| error.level() != "warning");
    errors
        .map(|error| {
            let mut helps = error.help();
            helps.extend(error.evcxr_extra_hint().map(str::to_owned));
            let marks = marks(error, code).into_iter().map(|(range, label)| Mark { cell, range, label }).collect();
            Finding {
                code: error.code().map(str::to_owned),
                message: error.message(),
                marks,
                notes: notes(error),
                helps,
                called: None,
            }
        })
        .collect()
}

/// Each finding once, in a notebook's words.
fn in_words(findings: Vec<Finding>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for mut finding in findings {
        let message = &finding.message;
        // rustc tells in another message where a failed `const` check was met; that belongs to the check's error.
        if message == "erroneous constant encountered" || message.starts_with("the above error was encountered while") {
            match found.iter_mut().find(|finding| finding.code.as_deref() == Some("E0080")) {
                Some(check) => check.marks.extend(finding.marks),
                None => found.extend(failed_check(message, finding.marks)),
            }
            continue;
        }
        if message.starts_with("aborting due to") {
            continue;
        }
        finding.helps.extend(cell_hint(finding.code.as_deref(), message));
        finding.message =
            message.trim_start_matches("evaluation panicked: ").trim_start_matches("error: ").trim_end().to_owned();
        finding.notes.retain(|note| is_about_cells(note));
        finding.notes.truncate(NOTES_MAX);
        if !found.iter().any(|known| known.message == finding.message && known.marks == finding.marks) {
            found.push(finding);
        }
    }
    found
}

/// A failed `const` check, of which evcxr passes on only where it was met. The usual one is that of `.remote`: a task's function holds no
/// data.
fn failed_check(message: &str, marks: Vec<Mark>) -> Option<Finding> {
    let what = message.strip_prefix("the above error was encountered while instantiating ")?;
    let (message, helps) = if what.contains(" as mobula::") && what.contains("::Remote") {
        (
            "this closure captures variables, so it cannot run in another process".to_owned(),
            vec!["pass the captured value as an argument: `(|x, k| x + k).remote(x, k)`".to_owned()],
        )
    } else {
        (format!("a check at compile time failed in {what}"), Vec::new())
    };
    Some(Finding { code: Some("E0080".into()), message, marks, notes: Vec::new(), helps, called: None })
}

fn join(reports: &[Rendered], pick: impl Fn(&Rendered) -> &String) -> String {
    reports.iter().map(|report| pick(report).as_str()).collect::<Vec<_>>().join("\n")
}

fn marks(error: &CompilationError, code: &str) -> Vec<(Range<usize>, String)> {
    let mut spans: Vec<_> = error.spanned_messages().iter().filter(|message| message.span.is_some()).collect();
    spans.sort_by_key(|message| !message.is_primary);
    let mut marks = Vec::new();
    for message in spans {
        let Some(span) = &message.span else { continue };
        let start = byte_at(code, span.start_line, span.start_column);
        let end = byte_at(code, span.end_line, span.end_column).max(start);
        // evcxr repeats the message where rustc gives no label.
        let label = if message.label.starts_with("error: ") { String::new() } else { message.label.clone() };
        let mark = (start..end, label);
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    marks
}

/// At most this many notes of one error are shown.
const NOTES_MAX: usize = 4;

fn notes(error: &CompilationError) -> Vec<String> {
    let children = error.json["children"].as_array().into_iter().flatten();
    let notes = children.filter(|child| child["level"] == "note");
    notes.filter_map(|child| child["message"].as_str()).map(str::to_owned).collect()
}

/// Whether a note names neither generated code nor files that are not the person's.
fn is_about_cells(note: &str) -> bool {
    const STRANGE: [&str; 5] = [
        "evcxr",
        "src/lib.rs",
        "mobula_variables",
        "the full name for the type has been written",
        "lint level is defined",
    ];
    !STRANGE.iter().any(|word| note.contains(word))
}

/// A hint for errors that occur in a notebook and would not in a file.
fn cell_hint(code: Option<&str>, message: &str) -> Option<String> {
    if message.contains("is not general enough") && (message.contains("OwnsItsData") || message.contains("Deserialize"))
    {
        // rustc's message when an argument or a result of a task is a reference or contains one.
        return Some(
            "a reference cannot be sent to another process: let the function take and return owned values \
             (`String` instead of `&str`, `Vec<T>` instead of `&[T]`)"
                .into(),
        );
    }
    if message.starts_with("in expressions, `_` can only") {
        return Some("here `_` does not stand for the value shown last: give that a name, `let x = …;`".into());
    }
    if message.contains("cannot find value `Out`") {
        return Some(
            "only the value shown last is kept, as `_`: give one that you want again a name, `let x = …;`".into(),
        );
    }
    match code? {
        "E0384" | "E0594" | "E0596" => {
            Some("variables keep their declaration: make it mutable with `let mut x = x;`".into())
        }
        "E0434" => Some("a `fn` cannot use a cell's variables: pass what it needs as an argument".into()),
        "E0425" if message.contains("cannot find value") => {
            Some("if it was a variable of an earlier cell, that cell moved it or failed before it was stored".into())
        }
        _ => None,
    }
}

/// The byte at a line and column (both from 1, columns in characters).
fn byte_at(code: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (number, text) in code.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            let inside = text
                .char_indices()
                .nth(column.saturating_sub(1))
                .map_or(text.trim_end_matches('\n').len(), |(at, _)| at);
            return start + inside;
        }
        start += text.len();
    }
    code.len()
}

/// The report of a panic. `callers`: the callers of the place, innermost first, the place itself included.
pub fn panic(panic: &Panic, place: Option<&Found>, callers: &[String]) -> Rendered {
    let mut rendered = panic_alone(panic, place);
    // The place itself has been shown.
    let skipped = usize::from(place.is_some());
    rendered.add(callers.iter().skip(skipped).map(|caller| format!("called from {caller}")));
    rendered
}

fn panic_alone(panic: &Panic, place: Option<&Found>) -> Rendered {
    let thread = if ["", "main", "<unnamed>"].contains(&panic.thread.as_str()) {
        String::new()
    } else {
        format!(" in thread `{}`", panic.thread)
    };
    let title = format!("{}{thread}", panic.message);
    match place {
        Some(place) => at_places("panicked", &title, &[(place, "here")]),
        None => {
            let place = if panic.file.is_empty() { String::new() } else { format!("\n  at {}", outside(panic)) };
            same(&format!("panicked: {title}{place}"))
        }
    }
}

/// A place that is not in a cell, without folders of this machine: `std: core/src/slice/mod.rs:7`.
fn outside(panic: &Panic) -> String {
    let file = &panic.file;
    let short = match (file.find("/library/"), file.find("/registry/src/")) {
        (Some(at), _) => format!("std: {}", &file[at + "/library/".len()..]),
        (_, Some(at)) => {
            file[at + "/registry/src/".len()..].split_once('/').map_or(file.as_str(), |(_, rest)| rest).to_owned()
        }
        _ => std::path::Path::new(file).file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned()),
    };
    format!("{short}, line {}", panic.line)
}

fn same(text: &str) -> Rendered {
    Rendered { plain: text.to_owned(), ansi: text.to_owned() }
}

/// The error of a cell that panicked.
pub fn panicked(last: Option<&Panic>, place: Option<&Found>, callers: &[String]) -> CellError {
    let Some(last) = last else { return plain_error("Panic", "the cell panicked") };
    let rendered = panic(last, place, callers);
    CellError { name: "Panic".into(), value: last.message.clone(), plain: rendered.plain, ansi: rendered.ansi }
}

/// The error of a cell whose process died. `places`: the stack at the crash, innermost first.
pub fn died(record: &Record, death: &Death, cell: CellId, places: &[Found]) -> CellError {
    let value = match record.reason {
        Some(reason) => format!("the process of cell {cell} {}: {reason}", death.brief()),
        None => format!("the process of cell {cell} {death}"),
    };
    let mut rendered = match places.first() {
        Some(place) => at_places("crashed", &value, &[(place, "here")]),
        None => Rendered { plain: value.clone(), ansi: format!("\x1b[1;31m{value}\x1b[0m") },
    };
    let callers = places.iter().skip(1).take(CALLERS_MAX);
    let callers = callers.map(|place| format!("called from cell {}:{}:{}", place.cell, place.line, place.column));
    rendered.add(callers.chain(survives(record)));
    CellError { name: "Crashed".into(), plain: rendered.plain, ansi: rendered.ansi, value }
}

/// What survives a cell's crash, in lines for a person.
fn survives(record: &Record) -> [String; 2] {
    let before = record.gone_back.map_or_else(|| "this cell".to_owned(), |cell| format!("cell {cell}"));
    [
        format!("every variable is as it was before {before}; objects and tasks are untouched"),
        "threads that earlier cells had started are gone".to_owned(),
    ]
}

/// The error of a cell whose process was ended by a panic that could not be unwound.
pub fn aborted(record: &Record, last: &Panic, place: Option<&Found>, callers: &[String], cell: CellId) -> CellError {
    let mut rendered = panic(last, place, callers);
    let why = format!("a panic here cannot be unwound, so it ended the process of cell {cell}");
    rendered.add([why].into_iter().chain(survives(record)));
    CellError { name: "Crashed".into(), plain: rendered.plain, ansi: rendered.ansi, value: last.message.clone() }
}

/// The error of a cell that the person interrupted, whether it stopped by itself or not.
pub fn interrupted(record: &Record) -> CellError {
    let ended = "interrupted: the cell did not stop by itself, so it was ended; every variable is as it was before";
    let value = match (&record.death, record.gone_back) {
        (Some(_), Some(cell)) => format!("{ended} cell {cell}"),
        (Some(_), None) => ended.to_owned(),
        (None, _) => "interrupted; every variable of earlier cells is intact".to_owned(),
    };
    plain_error("Interrupted", &value)
}

/// The error of a cell that was interrupted before it ran.
pub fn not_compiled() -> CellError {
    plain_error("Interrupted", "interrupted while it was compiled; nothing of the cell has run")
}

/// The error that a cell's `?` met: `text` is shown, `line` only where there is room for no more. `question`: the place of
/// the `?`.
pub fn error(text: &str, line: &str, question: Option<&Found>) -> CellError {
    let value = line.lines().next().unwrap_or_default().to_owned();
    let failed = TaskReport::read(text);
    let mut places: Vec<(&Found, &str)> = Vec::new();
    let (kind, title, rest) = match &failed {
        Some(TaskReport { task, cause, place, rest }) => {
            places.push((place, "here"));
            (task.as_str(), cause.as_str(), rest.as_str())
        }
        None => {
            let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
            ("error", first, rest)
        }
    };
    let why = if failed.is_some() { "this ends the cell" } else { "here" };
    places.extend(question.map(|question| (question, why)));
    let mut rendered = at_places(kind, title, &places);
    for report in [&mut rendered.plain, &mut rendered.ansi].into_iter().filter(|_| !rest.trim().is_empty()) {
        report.push('\n');
        report.push_str(rest.trim_end());
    }
    CellError { name: "Error".into(), value, plain: rendered.plain, ansi: rendered.ansi }
}

/// An error made of one text, whose first line is the value.
pub fn plain_error(name: &str, text: &str) -> CellError {
    let text = text.trim_end();
    let value = text.lines().next().unwrap_or_default().to_owned();
    let ansi = match text.split_once('\n') {
        Some((first, rest)) => format!("\x1b[1;31m{first}\x1b[0m\n{rest}"),
        None => format!("\x1b[1;31m{text}\x1b[0m"),
    };
    CellError { name: name.to_owned(), value, plain: text.to_owned(), ansi }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Found {
        Found { cell: crate::CellId(3), line: 12, column: 5, text: "    odd(1);".into() }
    }

    #[test]
    fn a_panic_points_at_its_line_in_the_cell() {
        let panic = Panic { message: "odd".into(), ..Panic::default() };
        let rendered = super::panic(&panic, Some(&place()), &[]);
        let expected = "panicked: odd
    ╭─[ cell 3:12:5 ]
    │
 12 │     odd(1);
    │     ─┬─
    │      ╰─── here
────╯";
        assert_eq!(rendered.plain, expected);
        assert!(rendered.ansi.contains("\x1b[31modd\x1b[0m"), "{}", rendered.ansi);
    }

    #[test]
    fn a_panic_outside_of_cells_names_no_folder_of_this_machine() {
        let file = "/somewhere/registry/src/index-1/rand-0.9.0/src/lib.rs";
        let panic = Panic { message: "m".into(), file: file.into(), line: 3, ..Panic::default() };
        assert_eq!(super::panic(&panic, None, &[]).plain, "panicked: m\n  at rand-0.9.0/src/lib.rs, line 3");
    }

    #[test]
    fn an_error_points_at_its_question_mark_and_a_failed_task_at_both_places() {
        let question = Found { cell: crate::CellId(4), line: 1, column: 9, text: "get(&x)??".into() };
        let plain = error("no number\n  because", "no number", Some(&question)).plain;
        assert!(plain.starts_with("error: no number\n") && plain.contains("[ cell 4:1:9 ]"), "{plain}");
        assert!(plain.ends_with("╯\n  because"), "{plain}");
        assert_eq!(error("no number", "no number", None).plain, "error: no number");

        let text = "task `half` failed\n  caused by: panicked: odd\n  at cell 3, line 12, column 5\n  |     odd(1);\n  |     ^\n  worker pid 7";
        let failed = error(text, "task `half` failed: panicked: odd (cell 3, line 12)", Some(&question));
        assert_eq!(failed.value, "task `half` failed: panicked: odd (cell 3, line 12)");
        assert!(failed.plain.starts_with("task `half` failed: panicked: odd\n"), "{}", failed.plain);
        for words in ["[ cell 3:12:5 ]", "odd(1);", "[ cell 4:1:9 ]", "this ends the cell", "╯\n  worker pid 7"] {
            assert!(failed.plain.contains(words), "{words}: {}", failed.plain);
        }
    }

    #[test]
    fn a_column_counts_characters() {
        assert_eq!(byte_at("aä b\nü x", 1, 4), "aä ".len());
        assert_eq!(byte_at("aä b\nü x", 2, 3), "aä b\nü ".len());
        assert_eq!(byte_at("ab", 9, 9), 2);
    }
}
