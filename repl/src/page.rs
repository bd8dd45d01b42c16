//! What the events of a session become as text, and on which stream. Nothing here prints: [`crate::render`] does.
//!
//! # Invariants
//! - A result, a display, a notice and an error begin on a line of their own; what a cell prints is passed on byte for byte.
//! - Results and displays are standard output; errors and notices are standard error.
//! - A display that changes is drawn over only while it is the last thing on a terminal and fits on it. Otherwise its newest
//!   content waits for [`Page::settle`], so that a file or a pipe gets the last one and not each of them.

use crate::colour::{DIM, paint};
use mobula_session::{Bundle, CellError, Event, Stream};
use serde_json::Value;
use std::collections::BTreeMap;
use unicode_width::UnicodeWidthStr;

/// The longest unfinished line that is kept, in bytes.
const LINE_MAX: usize = 200;

/// Where output goes and what can be done there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    pub stderr_colours: bool,
    /// Columns and rows, when standard output is a terminal.
    pub size: Option<(usize, usize)>,
}

/// A text and the stream it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ink {
    pub stream: Stream,
    pub text: String,
}

/// What has been shown so far, as far as it matters for what comes next.
pub(crate) struct Page {
    look: Look,
    /// Whether the last line of (stdout, stderr) has not ended. One screen has one last line.
    open: (bool, bool),
    /// The last line of standard output, while it has not ended.
    line: String,
    /// A cell asked to forget its output as soon as there is a new one.
    clear_waits: bool,
    /// The display that is the last thing on the screen: its name and the rows it takes.
    drawn: Option<(String, usize)>,
    /// Changed displays that have not been shown.
    changed: BTreeMap<String, String>,
}

impl Page {
    pub fn new(look: Look) -> Page {
        Page { look, open: (false, false), line: String::new(), clear_waits: false, drawn: None, changed: BTreeMap::new() }
    }

    pub fn resize(&mut self, size: Option<(usize, usize)>) {
        self.look.size = size;
    }

    /// The text for `event`. `in_place` says whether the cursor stands where the last text ended, so that it may be moved:
    /// not while a person is typing below.
    pub fn event(&mut self, event: Event, in_place: bool) -> Vec<Ink> {
        let in_place = in_place && self.look.stdout_is_terminal;
        let mut inks = Vec::new();
        if self.clear_waits && matches!(event, Event::Text { .. } | Event::Display { .. } | Event::Result { .. }) {
            self.clear(in_place, &mut inks);
        }
        match event {
            Event::Text { stream, text, .. } => self.raw(stream, text, &mut inks),
            Event::Display { bundle, .. } => {
                let text = plain(&bundle);
                self.lines(Stream::Stdout, &text, &mut inks);
                if let Some(id) = bundle.display_id {
                    self.changed.remove(&id);
                    self.drawn = in_place.then(|| self.rows(&text)).flatten().map(|rows| (id, rows));
                }
            }
            Event::Update { bundle, .. } => self.update(bundle, in_place, &mut inks),
            Event::Clear { wait: true, .. } => self.clear_waits = true,
            Event::Clear { wait: false, .. } => self.clear(in_place, &mut inks),
            Event::Result { bundle, .. } => self.lines(Stream::Stdout, &plain(&bundle), &mut inks),
            Event::Notice { text } => inks.extend(self.notice(&text)),
        }
        inks
    }

    /// The report of a cell that failed.
    pub fn error(&mut self, error: &CellError) -> Vec<Ink> {
        let mut inks = Vec::new();
        let report = if self.look.stderr_colours { &error.ansi } else { &error.plain };
        self.lines(Stream::Stderr, report, &mut inks);
        inks
    }

    /// A line from us.
    pub fn notice(&mut self, text: &str) -> Vec<Ink> {
        let mut inks = Vec::new();
        let text = paint(self.look.stderr_colours, DIM, text.trim_end());
        self.lines(Stream::Stderr, &text, &mut inks);
        inks
    }

    /// An answer of ours: text on standard output.
    pub fn answer(&mut self, text: &str) -> Vec<Ink> {
        let mut inks = Vec::new();
        self.lines(Stream::Stdout, text, &mut inks);
        inks
    }

    /// What is left to show when a cell has ended: the last content of displays that changed.
    pub fn settle(&mut self) -> Vec<Ink> {
        let mut inks = Vec::new();
        for text in std::mem::take(&mut self.changed).into_values() {
            self.lines(Stream::Stdout, &text, &mut inks);
        }
        inks
    }

    /// Ends the line that standard output stands in, so that a prompt can follow.
    pub fn fresh_line(&mut self) -> Vec<Ink> {
        let mut inks = Vec::new();
        self.end_line(Stream::Stdout, &mut inks);
        self.drawn = None;
        inks
    }

    /// The line that standard output stands in. Whoever takes it shows it again, as the beginning of a prompt.
    pub fn take_line(&mut self) -> String {
        let line = std::mem::take(&mut self.line);
        if self.open.0 && !line.is_empty() {
            self.set_open(Stream::Stdout, false);
        }
        line
    }

    /// Somebody else ended the line or moved the cursor to a new one.
    pub fn line_was_ended(&mut self) {
        self.open = (false, false);
        self.line.clear();
        self.drawn = None;
    }

    fn update(&mut self, bundle: Bundle, in_place: bool, inks: &mut Vec<Ink>) {
        let Some(id) = bundle.display_id.clone() else { return };
        let text = plain(&bundle);
        match (self.drawn.take(), self.rows(&text)) {
            (Some((drawn, rows)), Some(rows_now)) if in_place && drawn == id => {
                inks.push(Ink { stream: Stream::Stdout, text: format!("\x1b[{rows}A\r\x1b[J") });
                self.lines(Stream::Stdout, &text, inks);
                self.changed.remove(&id);
                self.drawn = Some((id, rows_now));
            }
            (drawn, _) => {
                self.drawn = drawn;
                self.changed.insert(id, text);
            }
        }
    }

    /// As IPython does on a terminal: only the line the cursor is in, or the display just above, can be taken back.
    fn clear(&mut self, in_place: bool, inks: &mut Vec<Ink>) {
        self.clear_waits = false;
        if !in_place {
            return;
        }
        let text = match self.drawn.take() {
            Some((_, rows)) => format!("\x1b[{rows}A\r\x1b[J"),
            None => "\r\x1b[K".to_owned(),
        };
        inks.push(Ink { stream: Stream::Stdout, text });
        self.set_open(Stream::Stdout, false);
    }

    fn raw(&mut self, stream: Stream, text: String, inks: &mut Vec<Ink>) {
        if !text.is_empty() {
            self.drawn = None;
            self.set_open(stream, !text.ends_with('\n'));
            if stream == Stream::Stdout {
                self.keep_line(&text);
            }
            inks.push(Ink { stream, text });
        }
    }

    /// Remembers the line that `text` leaves unfinished. One that is too long for a prompt, or was drawn over, is forgotten.
    fn keep_line(&mut self, text: &str) {
        if let Some(at) = text.rfind('\n') {
            self.line.clear();
            self.line.push_str(&text[at + 1..]);
        } else {
            self.line.push_str(text);
        }
        if self.line.len() > LINE_MAX || self.line.contains('\r') {
            self.line.clear();
        }
    }

    /// `text` on lines of its own.
    fn lines(&mut self, stream: Stream, text: &str, inks: &mut Vec<Ink>) {
        if !text.is_empty() {
            self.end_line(stream, inks);
            let end = if text.ends_with('\n') { "" } else { "\n" };
            self.raw(stream, format!("{text}{end}"), inks);
        }
    }

    fn end_line(&mut self, stream: Stream, inks: &mut Vec<Ink>) {
        let open = if stream == Stream::Stdout { self.open.0 } else { self.open.1 };
        if open {
            inks.push(Ink { stream, text: "\n".to_owned() });
            self.set_open(stream, false);
            self.line.clear();
        }
    }

    fn set_open(&mut self, stream: Stream, open: bool) {
        if self.look.stdout_is_terminal && self.look.stderr_is_terminal {
            self.open = (open, open);
        } else if stream == Stream::Stdout {
            self.open.0 = open;
        } else {
            self.open.1 = open;
        }
    }

    /// The rows that `text` takes on the screen, or `None` when it does not fit.
    fn rows(&self, text: &str) -> Option<usize> {
        let (columns, rows_max) = self.look.size?;
        let rows = text.lines().map(|line| without_codes(line).width().div_ceil(columns.max(1)).max(1)).sum();
        (rows < rows_max).then_some(rows)
    }
}

/// `line` without ANSI control sequences. Tabs count as one column too few; a display with tabs is rare enough.
fn without_codes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            text.push(c);
        } else if chars.next() == Some('[') {
            chars.find(|c| ('@'..='~').contains(c));
        }
    }
    text
}

/// The text of a bundle, or what it is when it has none.
pub(crate) fn plain(bundle: &Bundle) -> String {
    if let Some(text) = bundle.plain() {
        return text.to_owned();
    }
    let rank = |mime: &str| match mime {
        _ if mime.starts_with("image/") => 0,
        "text/html" => 1,
        _ if mime.starts_with("text/") => 2,
        _ => 3,
    };
    let richest = bundle.data.iter().min_by_key(|(mime, _)| rank(mime));
    richest.map_or_else(String::new, |(mime, value)| format!("<{mime}, {}>", size(bytes(mime, value))))
}

/// The size of a content: that of the image, not of its base64 text.
fn bytes(mime: &str, value: &Value) -> usize {
    match value {
        Value::String(text) if mime.starts_with("image/") && mime != "image/svg+xml" => {
            let digits = text.bytes().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).count();
            digits * 3 / 4
        }
        Value::String(text) => text.len(),
        json => json.to_string().len(),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobula_session::CellId;

    const CELL: CellId = CellId(1);
    const FILE: Look = Look { stdout_is_terminal: false, stderr_is_terminal: false, stderr_colours: false, size: None };
    const SCREEN: Look =
        Look { stdout_is_terminal: true, stderr_is_terminal: true, stderr_colours: false, size: Some((80, 24)) };

    fn print(text: &str) -> Event {
        Event::Text { cell: CELL, stream: Stream::Stdout, text: text.into() }
    }

    fn warn(text: &str) -> Event {
        Event::Text { cell: CELL, stream: Stream::Stderr, text: text.into() }
    }

    fn result(text: &str) -> Event {
        Event::Result { cell: CELL, bundle: Bundle::text(text) }
    }

    fn bar(text: &str) -> Bundle {
        Bundle { display_id: Some("bar".into()), ..Bundle::text(text) }
    }

    fn show(text: &str) -> Event {
        Event::Display { cell: CELL, bundle: bar(text) }
    }

    fn change(text: &str) -> Event {
        Event::Update { cell: CELL, bundle: bar(text) }
    }

    fn clear(wait: bool) -> Event {
        Event::Clear { cell: CELL, wait }
    }

    fn text_of(inks: &[Ink], stream: Stream) -> String {
        inks.iter().filter(|ink| ink.stream == stream).map(|ink| ink.text.as_str()).collect()
    }

    /// What (stdout, stderr) get, the cell's end included.
    fn shown(look: Look, events: impl IntoIterator<Item = Event>) -> (String, String) {
        let mut page = Page::new(look);
        let mut inks: Vec<Ink> = events.into_iter().flat_map(|event| page.event(event, true)).collect();
        inks.extend(page.settle());
        (text_of(&inks, Stream::Stdout), text_of(&inks, Stream::Stderr))
    }

    #[test]
    fn what_a_cell_prints_is_passed_on_byte_for_byte() {
        let (out, err) = shown(FILE, [print("a"), print("b\r"), warn("w"), print("\x1b[1mc\n")]);
        assert_eq!((out.as_str(), err.as_str()), ("ab\r\x1b[1mc\n", "w"));
    }

    #[test]
    fn a_result_begins_on_a_line_of_its_own_and_ends_it() {
        assert_eq!(shown(FILE, [print("a"), result("1")]).0, "a\n1\n");
        assert_eq!(shown(FILE, [print("a\n"), result("1\n")]).0, "a\n1\n");
    }

    #[test]
    fn two_streams_share_a_line_only_on_one_screen() {
        assert_eq!(shown(FILE, [warn("w"), result("1")]).0, "1\n");
        assert_eq!(shown(SCREEN, [warn("w"), result("1")]).0, "\n1\n");
    }

    #[test]
    fn a_file_gets_the_last_content_of_a_display_and_no_other() {
        assert_eq!(shown(FILE, [show("0 %"), change("50 %"), change("100 %")]).0, "0 %\n100 %\n");
        assert_eq!(shown(FILE, [change("100 %"), show("done")]).0, "done\n");
    }

    #[test]
    fn a_screen_draws_over_a_display_that_is_the_last_thing_on_it() {
        assert_eq!(shown(SCREEN, [show("a\nb"), change("c")]).0, "a\nb\n\x1b[2A\r\x1b[Jc\n");
        assert_eq!(shown(SCREEN, [show("a"), print("x\n"), change("b"), change("c")]).0, "a\nx\nc\n");
    }

    #[test]
    fn a_display_taller_than_the_screen_is_not_drawn_over() {
        let tall = "x\n".repeat(30);
        assert_eq!(shown(SCREEN, [show(&tall), change("b")]).0, format!("{tall}b\n"));
        let long = "x".repeat(100);
        assert_eq!(shown(SCREEN, [show(&long), change("b")]).0, format!("{long}\n\x1b[2A\r\x1b[Jb\n"));
    }

    #[test]
    fn while_a_person_types_nothing_is_drawn_over() {
        let mut page = Page::new(SCREEN);
        page.event(show("a"), true);
        assert_eq!(page.event(change("b"), false), []);
        assert_eq!(text_of(&page.settle(), Stream::Stdout), "b\n");
    }

    #[test]
    fn clearing_takes_back_the_line_or_waits_for_the_next_output() {
        assert_eq!(shown(SCREEN, [print("50 %"), clear(false), print("100 %")]).0, "50 %\r\x1b[K100 %");
        assert_eq!(shown(SCREEN, [show("a"), clear(true), show("b")]).0, "a\n\x1b[1A\r\x1b[Jb\n");
        assert_eq!(shown(SCREEN, [show("a"), clear(true)]).0, "a\n");
        assert_eq!(shown(FILE, [print("50 %"), clear(false), print("100 %")]).0, "50 %100 %");
    }

    #[test]
    fn a_bundle_without_text_says_what_it_is() {
        let of = |mime: &str, value: Value| Bundle { data: [(mime.to_owned(), value)].into(), ..Bundle::default() };
        assert_eq!(plain(&of("text/html", "x".repeat(1234).into())), "<text/html, 1.2 kB>");
        assert_eq!(plain(&of("image/png", "QUJD\n".into())), "<image/png, 3 B>");
        assert_eq!(plain(&of("application/json", serde_json::json!([1, 2]))), "<application/json, 5 B>");
        assert_eq!(plain(&Bundle::default()), "");
    }

    #[test]
    fn errors_and_notices_are_the_talk() {
        let mut page = Page::new(FILE);
        let error = CellError { name: "Panic".into(), value: "v".into(), plain: "plain".into(), ansi: "ansi".into() };
        assert_eq!(text_of(&page.error(&error), Stream::Stderr), "plain\n");
        assert_eq!(text_of(&page.notice("n"), Stream::Stderr), "n\n");
        let mut page = Page::new(Look { stderr_colours: true, ..FILE });
        assert_eq!(text_of(&page.error(&error), Stream::Stderr), "ansi\n");
    }

    #[test]
    fn an_unfinished_line_can_become_a_prompt() {
        let mut page = Page::new(SCREEN);
        page.event(print("hello\nna"), true);
        page.event(print("me? "), true);
        assert_eq!(page.take_line(), "name? ");
        assert_eq!(page.fresh_line(), []);
        page.event(print("50 %\r"), true);
        assert_eq!(page.take_line(), "");
        assert_eq!(text_of(&page.fresh_line(), Stream::Stdout), "\n");
    }

    #[test]
    fn codes_take_no_columns() {
        assert_eq!(without_codes("\x1b[1;31mred\x1b[0m"), "red");
    }
}
