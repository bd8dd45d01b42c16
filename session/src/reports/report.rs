//! The renderer of reports: compile errors, panics, errors of `?`, and crashes.
//!
//! Every report comes plain, with ANSI colours and, made of these, as HTML; a front end picks one. A place is always `cell N:line:column`.

use crate::event::{CellError, CellId};
pub use crate::rendered::Rendered;
use crate::reports::record::{Death, Panic, Record};
use crate::reports::sources::Found;
use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, sources};
use evcxr::CompilationError;
use std::ops::Range;

/// At most this many compile errors of one cell are shown.
const ERRORS_MAX: usize = 8;
/// At most this many callers of a crash's place are shown: a stack overflow has thousands.
const CALLERS_MAX: usize = 5;

/// A place in a cell, with a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The cell.
    pub cell: CellId,
    /// Its bytes in the cell's code.
    pub range: Range<usize>,
    /// The label; may be empty.
    pub label: String,
}

/// One error or warning of the compiler, under either evaluator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The error code, such as `E0308`.
    pub code: Option<String>,
    /// The message.
    pub message: String,
    /// The places; the first is the main one.
    pub marks: Vec<Mark>,
    /// Notes: what else the compiler says.
    pub notes: Vec<String>,
    /// What can be done.
    pub helps: Vec<String>,
    /// Where the fault is, if it is not the main place: the main place may be inside a macro, or in an item that this one needs.
    pub called: Option<(CellId, usize)>,
}

/// A message with marks in the code of cells.
struct Sheet<'a> {
    /// The text before the colon, such as `error[E0308]`.
    kind: String,
    finding: &'a Finding,
    /// The cell to name where there is no mark.
    cell: CellId,
    code_of: &'a dyn Fn(CellId) -> String,
}

fn name_of(cell: CellId) -> String {
    format!("cell {cell}")
}

impl Sheet<'_> {
    fn render(&self) -> Rendered {
        Rendered { plain: self.draw(false), ansi: self.draw(true) }
    }

    fn draw(&self, color: bool) -> String {
        let Finding { message, marks, notes, helps, .. } = self.finding;
        let (main, at) = marks.first().map_or((self.cell, 0..0), |mark| (mark.cell, mark.range.clone()));
        let config = Config::default()
            .with_color(color)
            .with_index_type(IndexType::Byte)
            .with_char_set(CharSet::Unicode)
            .with_compact(false);
        let kind = ReportKind::Custom(&self.kind, Color::Red);
        let mut report = Report::build(kind, (name_of(main), at)).with_config(config).with_message(message);
        for (number, Mark { cell, range, label }) in marks.iter().enumerate() {
            let color = if number == 0 { Color::Red } else { Color::Blue };
            let mark = Label::new((name_of(*cell), range.clone())).with_color(color).with_order(number as i32);
            // A label without a message would not be drawn.
            report = report.with_label(mark.with_message(if label.is_empty() { "here" } else { label }));
        }
        for note in notes {
            report = report.with_note(note);
        }
        for help in helps {
            report = report.with_help(help);
        }
        let mut out = Vec::new();
        let mut cells: Vec<CellId> = marks.iter().map(|mark| mark.cell).chain([self.cell]).collect();
        cells.dedup();
        let texts: Vec<(String, String)> = cells.iter().map(|cell| (name_of(*cell), (self.code_of)(*cell))).collect();
        // Writing to memory fails for no reason of ours; a report without its source is still a report.
        if report.finish().write(sources(texts), &mut out).is_err() {
            return format!("{}: {message}", self.kind);
        }
        let text = String::from_utf8_lossy(&out);
        // The renderer colours the head in spite of the configuration.
        let text = if color { join_colours(&text) } else { anstream::adapter::strip_str(&text).to_string() };
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

/// Joins equal neighbouring colour sequences, of which the renderer writes one for each character. A terminal then has less to read, and a
/// search finds the words.
fn join_colours(text: &str) -> String {
    const RESET: &str = "\x1b[0m";
    let mut out = String::with_capacity(text.len() / 2);
    let mut open = "";
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        out.push_str(&rest[..at]);
        let end = rest[at..].find('m').map_or(rest.len(), |len| at + len + 1);
        let sequence = &rest[at..end];
        rest = &rest[end..];
        if sequence == RESET && !open.is_empty() && rest.starts_with(open) {
            rest = &rest[open.len()..];
        } else {
            open = if sequence == RESET { "" } else { sequence };
            out.push_str(sequence);
        }
    }
    out.push_str(rest);
    out
}

/// The report of a cell that did not compile. `code_of` gives the code of a cell.
pub fn compile_errors(findings: Vec<Finding>, cell: CellId, code_of: &dyn Fn(CellId) -> String) -> CellError {
    let findings = in_words(findings);
    let render = |finding: &Finding| {
        let kind = finding.code.as_ref().map_or("error".to_owned(), |code| format!("error[{code}]"));
        Sheet { kind, finding, cell, code_of }.render()
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
    Sheet { kind, finding: &finding, cell, code_of }.render()
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
        Some(place) => at_place("panicked", &title, place),
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

/// A message at a place in a cell of which only that line's text is known.
fn at_place(kind: &str, title: &str, place: &Found) -> Rendered {
    let (number, column) = (place.line.to_string(), place.column as usize);
    let gutter = " ".repeat(number.len());
    let blank: String = place.text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let draw = |bold: &str, red: &str, blue: &str, off: &str| {
        format!(
            "{red}{kind}{off}{bold}: {title}{off}\n{blue}{gutter}--> {off}cell {}:{}:{column}\n{blue}{gutter} |{off}\n{blue}{number} |{off} {}\n{blue}{gutter} |{off} {blank}{red}^{off}",
            place.cell, place.line, place.text
        )
    };
    Rendered { plain: draw("", "", "", ""), ansi: draw("\x1b[1m", "\x1b[1;31m", "\x1b[1;34m", "\x1b[0m") }
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
        Some(place) => at_place("crashed", &value, place),
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

/// The error that a cell's `?` met: `text` is shown, `line` only where there is room for no more.
pub fn error(text: &str, line: &str) -> CellError {
    let value = line.lines().next().unwrap_or_default().to_owned();
    CellError { value, ..plain_error("Error", text) }
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
        assert_eq!(rendered.plain, "panicked: odd\n  --> cell 3:12:5\n   |\n12 |     odd(1);\n   |     ^");
        assert!(rendered.ansi.contains("\x1b[1;31m^"));
    }

    #[test]
    fn a_panic_outside_of_cells_names_no_folder_of_this_machine() {
        let file = "/somewhere/registry/src/index-1/rand-0.9.0/src/lib.rs";
        let panic = Panic { message: "m".into(), file: file.into(), line: 3, ..Panic::default() };
        assert_eq!(super::panic(&panic, None, &[]).plain, "panicked: m\n  at rand-0.9.0/src/lib.rs, line 3");
    }

    #[test]
    fn neighbours_of_one_colour_share_its_sequence() {
        let text = "\x1b[31ml\x1b[0m\x1b[31me\x1b[0m\x1b[34mt\x1b[0m x";
        assert_eq!(join_colours(text), "\x1b[31mle\x1b[0m\x1b[34mt\x1b[0m x");
    }

    #[test]
    fn a_column_counts_characters() {
        assert_eq!(byte_at("aä b\nü x", 1, 4), "aä ".len());
        assert_eq!(byte_at("aä b\nü x", 2, 3), "aä b\nü ".len());
        assert_eq!(byte_at("ab", 9, 9), 2);
    }
}
