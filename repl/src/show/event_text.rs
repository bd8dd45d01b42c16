//! A session's events as text, each for standard output or standard error. Nothing here prints: [`crate::show::render`] does.
//!
//! # Invariants
//! - A result, a display, a notice and an error begin on a line of their own. A cell's printed text is passed on byte
//!   for byte.
//! - Results and displays are standard output; errors and notices are standard error.
//! - A changed display is drawn over only while it is the last thing on a terminal and fits on it. Otherwise its newest
//!   content waits for [`Page::settle`], so that a file or a pipe gets only the last content.

use crate::show::colour::{DIM, paint};
use mobula_session::{Bundle, CellError, Event, Stream, without_codes};
use std::collections::BTreeMap;
use unicode_width::UnicodeWidthStr;

/// The longest unfinished line that is kept, in bytes.
const LINE_MAX: usize = 200;

/// The properties of the two output streams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    pub stderr_colours: bool,
    /// Columns and rows, when standard output is a terminal.
    pub size: Option<(usize, usize)>,
}

/// A text and its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ink {
    pub stream: Stream,
    pub text: String,
}

/// The state of the output, as far as the next text depends on it.
pub(crate) struct Page {
    look: Look,
    /// Whether the last line of (stdout, stderr) is unfinished. On one screen, both streams share one last line.
    open: (bool, bool),
    /// The unfinished last line of standard output.
    line: String,
    /// Whether a cell asked to clear its output as soon as new output comes.
    clear_waits: bool,
    /// The display at the end of the screen: its id and its rows.
    drawn: Option<(String, usize)>,
    /// Changed displays that have not been shown, by id.
    changed: BTreeMap<String, String>,
    /// Pages to show when the cell has ended.
    texts: Vec<String>,
}

impl Page {
    pub fn new(look: Look) -> Page {
        Page {
            look,
            open: (false, false),
            line: String::new(),
            clear_waits: false,
            drawn: None,
            changed: BTreeMap::new(),
            texts: Vec::new(),
        }
    }

    pub fn resize(&mut self, size: Option<(usize, usize)>) {
        self.look.size = size;
    }

    /// The text for `event`. `in_place` says whether the cursor is where the last text ended, so that it may be moved.
    /// It is false while a person types below.
    pub fn event(&mut self, event: Event, in_place: bool) -> Vec<Ink> {
        let in_place = in_place && self.look.stdout_is_terminal;
        let mut inks = Vec::new();
        let is_output =
            matches!(event, Event::Text { .. } | Event::Display { .. } | Event::Report { .. } | Event::Result { .. });
        if self.clear_waits && is_output {
            self.clear(in_place, &mut inks);
        }
        match event {
            Event::Text { stream, text, .. } => self.raw(stream, text, &mut inks),
            Event::Display { bundle, .. } => {
                let text = bundle.words();
                self.lines(Stream::Stdout, &text, &mut inks);
                if let Some(id) = bundle.display_id {
                    self.changed.remove(&id);
                    self.drawn = in_place.then(|| self.rows(&text)).flatten().map(|rows| (id, rows));
                }
            }
            Event::Page { bundle, .. } if self.look.stdout_is_terminal => self.texts.push(bundle.words()),
            Event::Page { bundle, .. } => self.lines(Stream::Stdout, &bundle.words(), &mut inks),
            Event::Update { bundle, .. } => self.update(bundle, in_place, &mut inks),
            // Widgets are shown as texts here, and a cell's tasks below the output.
            Event::Comm { .. } | Event::CommReply { .. } | Event::Capture { .. } | Event::Tasks { .. } => {}
            Event::Clear { wait: true, .. } => self.clear_waits = true,
            Event::Clear { wait: false, .. } => self.clear(in_place, &mut inks),
            Event::Result { bundle, .. } => self.lines(Stream::Stdout, &bundle.words(), &mut inks),
            Event::Report { report, .. } => inks.extend(self.report(&report.plain, &report.ansi)),
            Event::Notice { text } => inks.extend(self.notice(&text)),
        }
        inks
    }

    /// The report of a cell that failed.
    pub fn error(&mut self, error: &CellError) -> Vec<Ink> {
        self.report(&error.plain, &error.ansi)
    }

    fn report(&mut self, plain: &str, ansi: &str) -> Vec<Ink> {
        let mut inks = Vec::new();
        self.lines(Stream::Stderr, if self.look.stderr_colours { ansi } else { plain }, &mut inks);
        inks
    }

    /// A notice, on standard error.
    pub fn notice(&mut self, text: &str) -> Vec<Ink> {
        let mut inks = Vec::new();
        let text = paint(self.look.stderr_colours, DIM, text.trim_end());
        self.lines(Stream::Stderr, &text, &mut inks);
        inks
    }

    /// An answer to a command, on standard output.
    pub fn answer(&mut self, text: &str) -> Vec<Ink> {
        let mut inks = Vec::new();
        self.lines(Stream::Stdout, text, &mut inks);
        inks
    }

    /// The output that was kept for the end of a cell: the last content of displays that changed.
    pub fn settle(&mut self) -> Vec<Ink> {
        let mut inks = Vec::new();
        for text in std::mem::take(&mut self.changed).into_values() {
            self.lines(Stream::Stdout, &text, &mut inks);
        }
        inks
    }

    /// The pages of a cell that has ended: as text if they fit on the screen, the others for a pager.
    pub fn texts(&mut self) -> (Vec<Ink>, Vec<String>) {
        let mut inks = Vec::new();
        let mut long = Vec::new();
        for text in std::mem::take(&mut self.texts) {
            // The prompt takes a row, too.
            let fits = self.look.size.zip(self.rows(&text)).is_none_or(|((_, height), rows)| rows < height);
            if fits { self.lines(Stream::Stdout, &text, &mut inks) } else { long.push(text) }
        }
        (inks, long)
    }

    /// Ends the unfinished line of standard output, so that a prompt can follow.
    pub fn fresh_line(&mut self) -> Vec<Ink> {
        let mut inks = Vec::new();
        self.end_line(Stream::Stdout, &mut inks);
        self.drawn = None;
        inks
    }

    /// Takes the unfinished line of standard output. The caller shows it again, as the beginning of a prompt.
    pub fn take_line(&mut self) -> String {
        let line = std::mem::take(&mut self.line);
        if self.open.0 && !line.is_empty() {
            self.set_open(Stream::Stdout, false);
        }
        line
    }

    /// Another writer has begun the line, if there is one screen.
    pub fn line_was_begun(&mut self) {
        if self.is_one_screen() {
            self.open = (true, true);
            self.drawn = None;
            self.line.clear();
        }
    }

    /// Another writer has ended the line, or moved the cursor to a new one.
    pub fn line_was_ended(&mut self) {
        self.open = (false, false);
        self.line.clear();
        self.drawn = None;
    }

    fn update(&mut self, bundle: Bundle, in_place: bool, inks: &mut Vec<Ink>) {
        let Some(id) = bundle.display_id.clone() else { return };
        let text = bundle.words();
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

    /// Clears as IPython does on a terminal: only the cursor's line, or the display just above it, can be taken back.
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
        self.line.clear();
    }

    fn raw(&mut self, stream: Stream, text: String, inks: &mut Vec<Ink>) {
        if !text.is_empty() {
            self.drawn = None;
            self.set_open(stream, !text.ends_with('\n'));
            if stream == Stream::Stdout {
                self.keep_line(&text);
            } else if self.is_one_screen() {
                // The text written behind the line would be lost if the line were shown once more.
                self.line.clear();
            }
            inks.push(Ink { stream, text });
        }
        debug_assert!(self.open.0 || self.line.is_empty(), "a line that has ended is not kept");
    }

    /// Keeps the line that `text` leaves unfinished, unless it is too long for a prompt or was drawn over.
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

    /// Writes `text` on lines of its own.
    fn lines(&mut self, stream: Stream, text: &str, inks: &mut Vec<Ink>) {
        if !text.is_empty() {
            self.end_line(stream, inks);
            debug_assert!(!self.is_open(stream), "what is ours begins on a line of its own");
            let end = if text.ends_with('\n') { "" } else { "\n" };
            self.raw(stream, format!("{text}{end}"), inks);
        }
    }

    fn end_line(&mut self, stream: Stream, inks: &mut Vec<Ink>) {
        if self.is_open(stream) {
            inks.push(Ink { stream, text: "\n".to_owned() });
            self.set_open(stream, false);
            self.line.clear();
        }
    }

    /// Whether the line in which standard output goes on is unfinished.
    pub fn is_line_open(&self) -> bool {
        self.open.0
    }

    fn is_open(&self, stream: Stream) -> bool {
        if stream == Stream::Stdout { self.open.0 } else { self.open.1 }
    }

    /// Whether both streams write on the same lines.
    fn is_one_screen(&self) -> bool {
        self.look.stdout_is_terminal && self.look.stderr_is_terminal
    }

    fn set_open(&mut self, stream: Stream, open: bool) {
        if self.is_one_screen() {
            self.open = (open, open);
        } else if stream == Stream::Stdout {
            self.open.0 = open;
        } else {
            self.open.1 = open;
        }
    }

    /// The rows that `text` takes on the screen, or `None` if it does not fit.
    fn rows(&self, text: &str) -> Option<usize> {
        let (columns, rows_max) = self.look.size?;
        let rows = text.lines().map(|line| without_codes(line).width().div_ceil(columns.max(1)).max(1)).sum();
        (rows < rows_max).then_some(rows)
    }
}

#[cfg(test)]
mod tests;
