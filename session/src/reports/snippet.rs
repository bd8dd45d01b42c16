//! Source snippets: a message, and below it the lines of cells that it is about, in a frame, with their parts marked.

use crate::event::CellId;
use crate::rendered::Rendered;
use crate::reports::sources::Found;
use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, sources};
use std::ops::Range;

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
pub(super) struct Snippet<'a> {
    /// The text before the colon, such as `error[E0308]`.
    pub(super) kind: String,
    pub(super) finding: &'a Finding,
    /// The cell to name where there is no mark.
    pub(super) cell: CellId,
    pub(super) code_of: &'a dyn Fn(CellId) -> String,
}

fn name_of(cell: CellId) -> String {
    format!("cell {cell}")
}

impl Snippet<'_> {
    pub(super) fn render(&self) -> Rendered {
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
        let sequence = in_both_themes(&rest[at..end]);
        rest = &rest[end..];
        if sequence == RESET && !open.is_empty() && in_both_themes(first_sequence(rest)) == open {
            rest = &rest[first_sequence(rest).len()..];
        } else if sequence != RESET || !open.is_empty() {
            open = if sequence == RESET { "" } else { sequence };
            out.push_str(sequence);
        }
    }
    out.push_str(rest);
    out
}

/// The colour sequence that a text begins with; empty if it begins with another text.
fn first_sequence(text: &str) -> &str {
    text.find('m').filter(|_| text.starts_with("\x1b[")).map_or("", |end| &text[..=end])
}

/// The colour to use instead of one of the renderer's. Its greys are lost on white, and its light green, too. Colours of the terminal's own
/// palette are not: a theme chooses them.
fn in_both_themes(sequence: &str) -> &str {
    match sequence {
        // Code without a mark.
        "\x1b[38;5;249m" => "",
        // The frame.
        "\x1b[38;5;246m" | "\x1b[38;5;240m" => "\x1b[34m",
        // Notes, helps.
        "\x1b[38;5;115m" => "\x1b[32m",
        other => other,
    }
}

/// How many lines a cell has at most, for whom places are drawn.
const LINES_MAX: u32 = 100_000;

/// A message with labelled places in cells of which only those lines are known. The first place is the main one.
pub(super) fn at_places(kind: &str, title: &str, places: &[(&Found, &str)]) -> Rendered {
    // A place may have been read from the words of an error, and no cell is so long.
    let places: Vec<_> = places.iter().filter(|(place, _)| place.line <= LINES_MAX).copied().collect();
    if places.is_empty() {
        return Rendered { plain: format!("{kind}: {title}"), ansi: format!("\x1b[31m{kind}:\x1b[0m {title}") };
    }
    let code_of = |cell: CellId| {
        let mut lines: Vec<&str> = Vec::new();
        for (place, _) in places.iter().filter(|(place, _)| place.cell == cell) {
            let line = place.line as usize;
            lines.resize(lines.len().max(line), "");
            lines[line - 1] = &place.text;
        }
        lines.join("\n")
    };
    let mark = |(place, label): &(&Found, &str)| {
        let code = code_of(place.cell);
        let line: usize = code.split_inclusive('\n').take(place.line as usize - 1).map(str::len).sum();
        let column = place.text.char_indices().nth(place.column as usize - 1).map_or(place.text.len(), |(at, _)| at);
        let start = line + column;
        Mark { cell: place.cell, range: start..start + marked(&place.text[column..]), label: (*label).to_owned() }
    };
    let marks: Vec<Mark> = places.iter().map(mark).collect();
    let cell = marks[0].cell;
    let finding = Finding { message: title.to_owned(), marks, ..Finding::default() };
    Snippet { kind: kind.to_owned(), finding: &finding, cell, code_of: &code_of }.render()
}

/// The length of what is marked of a text, of which only the begin is known: an expression up to its `?`, or else a name, or a character.
fn marked(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            '?' if depth == 0 => return at + 1,
            ';' | ',' | '=' if depth == 0 => break,
            _ => {}
        }
    }
    let name = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    if name > 0 { name } else { text.chars().next().map_or(0, char::len_utf8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_colour_share_its_sequence() {
        let text = "\x1b[31ml\x1b[0m\x1b[31me\x1b[0m\x1b[34mt\x1b[0m x";
        assert_eq!(join_colours(text), "\x1b[31mle\x1b[0m\x1b[34mt\x1b[0m x");
    }

    #[test]
    fn greys_become_colours_that_a_theme_chooses() {
        let text = "\x1b[38;5;246m│\x1b[0m \x1b[38;5;249mf\x1b[0m\x1b[38;5;249m(\x1b[0m\x1b[31mx\x1b[0m";
        assert_eq!(join_colours(text), "\x1b[34m│\x1b[0m f(\x1b[31mx\x1b[0m");
    }

    #[test]
    fn an_expression_is_marked_to_its_question_mark_and_else_its_first_name() {
        let marked = |text: &'static str| &text[..marked(text)];
        assert_eq!(marked("\"x\".parse::<i32>()?;"), "\"x\".parse::<i32>()?");
        assert_eq!(marked("f(g()?); h()?"), "f");
        assert_eq!((marked("assert!(a == b)"), marked("[at]"), marked("")), ("assert", "[", ""));
    }

    #[test]
    fn two_places_of_one_cell_are_in_one_frame() {
        let place = |line, column, text: &str| Found { cell: CellId(2), line, column, text: text.into() };
        let (first, second) = (place(1, 5, "let ä = f()?;"), place(3, 1, "g();"));
        let plain = at_places("error", "no", &[(&second, "here"), (&first, "from here")]).plain;
        assert!(plain.contains("[ cell 2:3:1 ]") && plain.contains("let ä") && plain.contains("from here"), "{plain}");
        assert_eq!(plain.matches("╭─[").count(), 1, "{plain}");
    }
}
