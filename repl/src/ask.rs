//! Input for a running cell: a line from the terminal or from standard input.

use crate::show::render::Screen;
use mobula_session::{Evaluator, InputReader, InputRequest};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, ColorMode, Config, Editor, Helper};
use std::borrow::Cow;
use std::io::IsTerminal;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// A reader that asks at the terminal, or takes the next line of standard input when that is no terminal.
///
/// Ctrl-C at the question interrupts the cell. The end of the input gives no answer.
pub(crate) fn reader<E: Evaluator + Clone>(evaluator: E, screen: Screen) -> InputReader {
    Arc::new(
        move |request| {
            if std::io::stdin().is_terminal() { at_terminal(&evaluator, &screen, &request) } else { next_line() }
        },
    )
}

fn next_line() -> Option<String> {
    let mut line = String::new();
    let bytes = std::io::stdin().read_line(&mut line).ok()?;
    (bytes > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks at the terminal. The line that the cell has begun (`print!("name? ")`) becomes part of the prompt; the editor
/// would erase it otherwise.
fn at_terminal<E: Evaluator + Clone>(evaluator: &E, screen: &Screen, request: &InputRequest) -> Option<String> {
    let prompt = screen.take_line() + &request.prompt;
    screen.prompt_begins();
    let answer = edit(&prompt, request.is_password);
    screen.prompt_ended();
    match answer {
        Ok(line) => Some(line),
        Err(ReadlineError::Interrupted) => {
            evaluator.interrupt();
            None
        }
        Err(ReadlineError::Eof) => None,
        Err(error) => {
            screen.notice(&format!("cannot read from the terminal: {error}"));
            None
        }
    }
}

fn edit(prompt: &str, is_password: bool) -> rustyline::Result<String> {
    let colours = if is_password { ColorMode::Forced } else { ColorMode::Disabled };
    let config = Config::builder().behavior(Behavior::Stdio).color_mode(colours).build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::<Mask, MemHistory>::with_history(config, history)?;
    editor.set_helper(is_password.then_some(Mask));
    editor.readline(prompt)
}

/// Shows a star for each typed column.
struct Mask;

impl Highlighter for Mask {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned("*".repeat(line.width()))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Completer for Mask {
    type Candidate = String;
}

impl Hinter for Mask {
    type Hint = String;
}

impl Validator for Mask {}

impl Helper for Mask {}
