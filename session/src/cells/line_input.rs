//! A cell that comes line by line. Each line is scanned once, however long the cell becomes.
//!
//! ```text
//!   let v = [    Open      a bracket, a text or a comment is open
//!     1, 2,      Open
//!   ];           Ended     it ends with `;`, or it is a command
//!   v.iter()     Undecided the next line may go on with it
//! ```
//!
//! Where it may be a whole cell, [`crate::cells::completeness`] decides, which reads all of it.

use crate::cells::completeness::{Openings, is_code, is_unterminated};
use crate::tokens::tokens;
use ra_ap_rustc_lexer::{LiteralKind, TokenKind};

/// The state after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// There is nothing to run yet.
    Nothing,
    /// A bracket, text or comment is open that a later line must close.
    Open,
    /// A bracket is closed that was not open; no further line can make it right.
    Wrong,
    /// It ends as a statement or a command does.
    Ended,
    /// It ends with a block.
    Block,
    /// It ends in another way.
    Undecided,
}

/// The lines so far.
///
/// ```
/// use mobula_session::{Gathered, Gathering};
/// let mut cell = Gathered::default();
/// assert_eq!(cell.push("let v = ["), Gathering::Open);
/// assert_eq!(cell.push("1];"), Gathering::Ended);
/// assert_eq!(cell.take(), "let v = [\n1];");
/// ```
#[derive(Debug, Default)]
pub struct Gathered {
    code: String,
    /// Up to here, all tokens are complete.
    at: usize,
    open: Openings,
    /// What ends the text or the comment that begins at `at`.
    closer: Option<String>,
    last: Option<Last>,
}

/// The last token that is neither space nor a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Semicolon,
    Brace,
    /// Documentation of an item that has to follow.
    Documentation,
    Other,
}

impl Gathered {
    /// Takes the next line, without its end.
    pub fn push(&mut self, line: &str) -> Gathering {
        let is_between = self.closer.is_none() && self.open.is_empty();
        if !self.code.is_empty() {
            self.code.push('\n');
        }
        self.code.push_str(line);
        // Lines of a command have rules of their own.
        if is_between && begins_command(line) || begins_command(&self.code) {
            self.last = Some(Last::Other);
            return Gathering::Ended;
        }
        if self.closer.as_ref().is_some_and(|closer| !line.contains(closer.as_str())) {
            return Gathering::Open;
        }
        self.closer = None;
        for (token, text) in tokens(&self.code[self.at..]) {
            if is_unterminated(token) {
                self.closer = Some(closer(token, text));
                return Gathering::Open;
            }
            if !self.open.follow(token) {
                return Gathering::Wrong;
            }
            self.last = Last::of(token).or(self.last);
            self.at += text.len();
        }
        match self.last {
            None => Gathering::Nothing,
            Some(_) if !self.open.is_empty() => Gathering::Open,
            Some(Last::Documentation) => Gathering::Open,
            Some(Last::Semicolon) => Gathering::Ended,
            Some(Last::Brace) => Gathering::Block,
            Some(Last::Other) => Gathering::Undecided,
        }
    }

    /// The text so far.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether it has no code to run, and nothing is open.
    pub fn is_blank(&self) -> bool {
        self.last.is_none() && self.closer.is_none()
    }

    /// Takes the text out; the next line begins another cell.
    pub fn take(&mut self) -> String {
        std::mem::take(self).code
    }
}

fn begins_command(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(':') && !text.starts_with("::")
}

impl Last {
    fn of(token: TokenKind) -> Option<Last> {
        match token {
            token if !is_code(token) => None,
            TokenKind::LineComment { doc_style: Some(style) }
            | TokenKind::BlockComment { doc_style: Some(style), .. } => {
                let is_outer = matches!(style, ra_ap_rustc_lexer::DocStyle::Outer);
                Some(if is_outer { Last::Documentation } else { Last::Other })
            }
            TokenKind::Semi => Some(Last::Semicolon),
            TokenKind::CloseBrace => Some(Last::Brace),
            _ => Some(Last::Other),
        }
    }
}

/// What a line must contain to end such a token.
fn closer(token: TokenKind, text: &str) -> String {
    match token {
        TokenKind::BlockComment { .. } => "*/".into(),
        TokenKind::Literal {
            kind: LiteralKind::RawStr { .. } | LiteralKind::RawByteStr { .. } | LiteralKind::RawCStr { .. },
            ..
        } => {
            let begin = text.find('"').unwrap_or(0);
            format!("\"{}", "#".repeat(text[..begin].matches('#').count()))
        }
        _ => "\"".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Completeness, completeness};

    fn last_of(text: &str) -> Gathering {
        let mut cell = Gathered::default();
        let told = text.lines().map(|line| cell.push(line)).last().unwrap();
        assert_eq!(cell.code(), text);
        told
    }

    #[test]
    fn a_line_in_a_bracket_a_text_or_a_comment_needs_more() {
        let texts = [
            "f(\n1,",
            "let a = \"x\ny\nz",
            "/* a\n b",
            "/* a /* b\n */ c",
            "r##\"a\n\"# b",
            "fn f() {\n    g();",
            "/// A point.\n/// It is.",
        ];
        for text in texts {
            assert_eq!(last_of(text), Gathering::Open, "{text}");
            assert!(matches!(completeness(text), Completeness::Incomplete { .. }), "{text}");
        }
    }

    #[test]
    fn a_text_ends_where_it_is_closed_and_not_at_a_quote_that_is_written_in_it() {
        assert_eq!(last_of("let a = \"x\n\\\" y\nz\";"), Gathering::Ended);
        assert_eq!(last_of("let a = \"x\n\\\" y"), Gathering::Open);
        assert_eq!(last_of("r##\"a\n\"# b\n\"##"), Gathering::Undecided);
        assert_eq!(last_of("/* a /* b\n */ c\n*/ 1"), Gathering::Undecided);
    }

    #[test]
    fn the_last_token_says_how_a_line_ends() {
        assert_eq!(last_of("let a = 1; // {"), Gathering::Ended);
        assert_eq!(last_of("if a {\n}"), Gathering::Block);
        assert_eq!(last_of("a.b()"), Gathering::Undecided);
        assert_eq!(last_of("f())"), Gathering::Wrong);
        assert_eq!(last_of("// a\n\n/* b */"), Gathering::Nothing);
    }

    #[test]
    fn a_command_ends_with_its_line_or_says_itself_that_it_does_not() {
        assert_eq!(last_of(":vars"), Gathering::Ended);
        assert_eq!(last_of("// one\n:vars"), Gathering::Ended);
        assert_eq!(last_of(":dep serde = {\n  version = \"1\","), Gathering::Ended);
        assert_eq!(last_of("::std::mem::drop(1)"), Gathering::Undecided);
    }

    #[test]
    fn what_is_blank_has_nothing_to_run_and_nothing_open() {
        let blank = |text: &str| {
            let mut cell = Gathered::default();
            for line in text.lines() {
                cell.push(line);
            }
            cell.is_blank()
        };
        assert!(blank("// a\n") && blank(""));
        assert!(!blank("/* a") && !blank("1") && !blank("/// a"));
    }
}
