//! The line editor: rustyline, with keys, completion and colours for Rust.
//!
//! Enter runs a complete cell, and otherwise begins the next line, indented; `}` removes one indent. Pasted text is
//! inserted as it is (bracketed paste). The history is written after every entry, so that a killed session loses
//! nothing.

use crate::prompt::complete::{BEFORE_KIND, Candidate, Completer};
use crate::prompt::highlight;
use crate::prompt::history::{self, ENTRIES_MAX};
use crate::prompt::lines::{Lines, Read, ReplError};
use crate::show::colour::{BOLD, DIM, GREEN, RESET};
use mobula_session::{Completeness, Evaluator, completeness};
use rustyline::completion::Candidate as Offered;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Event, EventContext, EventHandler,
    ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
};
use std::borrow::Cow;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// One step of indentation.
const INDENT: &str = "    ";

/// The editor at a terminal.
pub(crate) struct Editor<E: Evaluator + Clone> {
    inner: rustyline::Editor<Assistant<E>, FileHistory>,
    /// `None` when no history is kept, or none can be kept.
    history: Option<PathBuf>,
}

impl<E: Evaluator + Clone> Editor<E> {
    /// An editor on standard input and output. The second value says why a history that was asked for is not kept.
    pub fn new(
        evaluator: E,
        colours: bool,
        history: Option<PathBuf>,
    ) -> Result<(Editor<E>, Option<String>), ReplError> {
        let config = Config::builder()
            .max_history_size(ENTRIES_MAX)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .color_mode(if colours { ColorMode::Forced } else { ColorMode::Disabled })
            .tab_stop(4)
            .indent_size(4)
            .build();
        let mut inner = rustyline::Editor::with_config(config)?;
        let typed = Arc::new(Mutex::new(None));
        inner.set_helper(Some(Assistant::new(evaluator, Arc::clone(&typed))));
        inner.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::NONE), EventHandler::Conditional(Box::new(Enter)));
        inner.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        inner.bind_sequence(KeyEvent(KeyCode::Tab, Modifiers::NONE), EventHandler::Conditional(Box::new(Tab)));
        for bracket in ['}', ')', ']'] {
            let outdent = Outdent { bracket, typed: Arc::clone(&typed) };
            inner.bind_sequence(KeyEvent::from(bracket), EventHandler::Conditional(Box::new(outdent)));
        }
        let trouble = history.as_deref().and_then(|path| load(&mut inner, path).err());
        let history = if trouble.is_some() { None } else { history };
        Ok((Editor { inner, history }, trouble))
    }

    /// A printer that shows text above the line, or `None` on a terminal that cannot.
    pub fn printer(&mut self) -> Option<crate::show::render::Above> {
        let mut printer = self.inner.create_external_printer().ok()?;
        Some(Box::new(move |text| {
            if let Err(error) = printer.print(text) {
                tracing::debug!(%error, "text could not be shown above the prompt");
            }
        }))
    }
}

/// Loads the history. Its file is made with the first entry.
fn load<H: Helper>(inner: &mut rustyline::Editor<H, FileHistory>, path: &Path) -> Result<(), String> {
    let reason = |error: String| format!("the history will not be saved: `{}`: {error}", path.display());
    history::make_folder(path).map_err(|error| reason(error.to_string()))?;
    match inner.load_history(path) {
        Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| reason(error.to_string())),
    }
}

impl<E: Evaluator + Clone> Lines for Editor<E> {
    fn read(&mut self, prompt: &str) -> Result<Read, ReplError> {
        let styled = format!("{BOLD}{GREEN}{}{RESET}{}", prompt.trim_end(), &prompt[prompt.trim_end().len()..]);
        match self.inner.readline(&(prompt, styled)) {
            Ok(text) => Ok(Read::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Read::Interrupted),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(error) => Err(error.into()),
        }
    }

    fn remember(&mut self, text: &str) -> Result<(), String> {
        let added = self.inner.add_history_entry(text).unwrap_or(false);
        let Some(path) = self.history.take_if(|_| added) else { return Ok(()) };
        match self.inner.append_history(&path) {
            Ok(()) => self.history = Some(path),
            Err(error) => return Err(format!("the history is no longer saved: `{}`: {error}", path.display())),
        }
        Ok(())
    }

    fn history(&self) -> Vec<String> {
        self.inner.history().iter().cloned().collect()
    }

    fn clear_screen(&mut self) {
        if let Err(error) = self.inner.clear_screen() {
            tracing::debug!(%error, "the screen could not be cleared");
        }
    }
}

/// Enter: an incomplete input gets another line, wherever the cursor is.
struct Enter;

impl ConditionalEventHandler for Enter {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        let (text, cursor) = (ctx.line(), ctx.pos());
        let Completeness::Incomplete { indent } = completeness(text) else { return None };
        if text[cursor..].trim().is_empty() { Some(Cmd::Insert(1, format!("\n{indent}"))) } else { Some(Cmd::Newline) }
    }
}

/// Tab: an indent at the beginning of a line, else completion.
struct Tab;

impl ConditionalEventHandler for Tab {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        blank_before(ctx.line(), ctx.pos()).map(|_| Cmd::Insert(1, INDENT.to_owned()))
    }
}

/// A closing bracket at the beginning of an indented line: removes one indent.
///
/// A key runs one command, and no command of rustyline both deletes and inserts (`Replace` leaves the cursor before the
/// new text). Completion does both: it replaces the text before the cursor. So the bracket is left in `typed` for
/// [`Assistant::complete`], which offers it as the only candidate.
struct Outdent {
    bracket: char,
    typed: Arc<Mutex<Option<char>>>,
}

impl ConditionalEventHandler for Outdent {
    fn handle(&self, _: &Event, count: RepeatCount, _: bool, ctx: &EventContext) -> Option<Cmd> {
        let blank = blank_before(ctx.line(), ctx.pos())?;
        (count == 1 && blank >= INDENT.len()).then(|| {
            *self.typed.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.bracket);
            Cmd::Complete
        })
    }
}

/// The number of spaces before the cursor, if only spaces stand before it on its line.
fn blank_before(text: &str, cursor: usize) -> Option<usize> {
    let line = &text[text[..cursor].rfind('\n').map_or(0, |at| at + 1)..cursor];
    line.bytes().all(|b| b == b' ').then_some(line.len())
}

/// Rustyline's helper: completion, hints, colours and validation.
struct Assistant<E> {
    completer: Completer<E>,
    hints: HistoryHinter,
    /// A closing bracket that removes an indent, from [`Outdent`].
    typed: Arc<Mutex<Option<char>>>,
    /// Whether the line is drawn for the last time: then the cursor marks no bracket.
    finished: Cell<bool>,
}

impl<E: Evaluator + Clone> Assistant<E> {
    fn new(evaluator: E, typed: Arc<Mutex<Option<char>>>) -> Assistant<E> {
        Assistant {
            completer: Completer::new(evaluator),
            hints: HistoryHinter::new(),
            typed,
            finished: Cell::new(false),
        }
    }
}

impl Offered for Candidate {
    fn display(&self) -> &str {
        &self.shown
    }

    fn replacement(&self) -> &str {
        &self.code
    }
}

impl<E: Evaluator + Clone> rustyline::completion::Completer for Assistant<E> {
    type Candidate = Candidate;

    fn complete(&self, text: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Candidate>)> {
        Ok(match self.typed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(bracket) => {
                let bracket = bracket.to_string();
                (cursor - INDENT.len(), vec![Candidate { shown: bracket.clone(), code: bracket }])
            }
            None => self.completer.complete(text, cursor),
        })
    }
}

impl<E> Hinter for Assistant<E> {
    type Hint = String;

    fn hint(&self, text: &str, cursor: usize, ctx: &Context<'_>) -> Option<String> {
        self.hints.hint(text, cursor, ctx)
    }
}

impl<E> Highlighter for Assistant<E> {
    fn highlight<'l>(&self, text: &'l str, cursor: usize) -> Cow<'l, str> {
        Cow::Owned(highlight::highlight(text, (!self.finished.get()).then_some(cursor)))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("{DIM}{hint}{RESET}"))
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        match candidate.rsplit_once(BEFORE_KIND) {
            Some((name, kind)) => Cow::Owned(format!("{name}{DIM}{BEFORE_KIND}{kind}{RESET}")),
            None => Cow::Borrowed(candidate),
        }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.finished.set(kind == CmdKind::ForcedRefresh);
        true
    }
}

impl<E> Validator for Assistant<E> {
    fn validate(&self, ctx: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(match completeness(ctx.input()) {
            Completeness::Incomplete { .. } => ValidationResult::Incomplete,
            // No further line mends invalid code; the compiler explains it best.
            Completeness::Complete | Completeness::Invalid => ValidationResult::Valid(None),
        })
    }
}

impl<E: Evaluator + Clone> Helper for Assistant<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indent_is_what_stands_before_the_cursor_on_its_line() {
        assert_eq!(blank_before("", 0), Some(0));
        assert_eq!(blank_before("fn f() {\n    ", 13), Some(4));
        assert_eq!(blank_before("fn f() {\n    x", 14), None);
        assert_eq!(blank_before("    x", 2), Some(2));
    }
}
