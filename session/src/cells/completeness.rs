//! Completeness of a text: the compiler's lexer checks brackets, strings and comments, then syn checks the grammar.
//!
//! ```text
//!   f(1,            a bracket is open                          incomplete
//!   f(1]            a bracket of another kind closes it        invalid
//!   1 +             the grammar stops at the end               incomplete
//!   let x = = 2;    it stops before the end                    invalid
//! ```

use crate::cells;
use crate::event::Completeness;
use crate::tokens::tokens;
use ra_ap_rustc_lexer::{LiteralKind, TokenKind};

/// The indentation of an expression's continuation lines.
const INDENT: &str = "    ";

/// Tells whether `code` can be run as it stands. Lines of commands can, except a `:dep` in which a bracket is open.
///
/// ```
/// use mobula_session::{completeness, Completeness};
/// assert_eq!(completeness("1 + 1"), Completeness::Complete);
/// assert_eq!(completeness("fn f() {"), Completeness::Incomplete { indent: "    ".into() });
/// assert_eq!(completeness("let x = = 2;"), Completeness::Invalid);
/// ```
pub fn completeness(code: &str) -> Completeness {
    let (code, command_goes_on) = cells::without_commands(code);
    if command_goes_on {
        return Completeness::Incomplete { indent: INDENT.into() };
    }
    match Brackets::of(&code) {
        Brackets::Wrong => Completeness::Invalid,
        Brackets::Open(depth) => Completeness::Incomplete { indent: INDENT.repeat(depth) },
        Brackets::Closed => match cells::grammar(&code) {
            cells::Grammar::Whole { .. } => Completeness::Complete,
            cells::Grammar::Wrong => Completeness::Invalid,
            cells::Grammar::Unfinished if hangs(&code) => Completeness::Incomplete { indent: INDENT.into() },
            cells::Grammar::Unfinished => Completeness::Incomplete { indent: String::new() },
        },
    }
}

/// Whether `code`, which is complete, ends with an expression that a next line could go on with.
///
/// ```
/// use mobula_session::could_go_on;
/// assert!(could_go_on("v.iter()") && could_go_on("if a {}"));
/// assert!(!could_go_on("fn f() {}") && !could_go_on("f();"));
/// ```
pub fn could_go_on(code: &str) -> bool {
    let (code, _) = cells::without_commands(code);
    matches!(cells::grammar(&code), cells::Grammar::Whole { is_open: true })
}

/// The brackets of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brackets {
    /// All are closed, and so are texts and comments.
    Closed,
    /// So many are open. 0 if the end is inside a text or a comment.
    Open(usize),
    /// A bracket is closed that was not open.
    Wrong,
}

impl Brackets {
    fn of(code: &str) -> Brackets {
        let mut open = Openings::default();
        for (token, _) in tokens(code) {
            if is_unterminated(token) {
                return Brackets::Open(0);
            }
            if !open.follow(token) {
                return Brackets::Wrong;
            }
        }
        if open.is_empty() { Brackets::Closed } else { Brackets::Open(open.0.len()) }
    }
}

/// The closing brackets that are still needed, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Openings(Vec<TokenKind>);

impl Openings {
    /// Notes a token. Returns whether it may stand there.
    pub(crate) fn follow(&mut self, token: TokenKind) -> bool {
        match token {
            TokenKind::OpenParen => self.0.push(TokenKind::CloseParen),
            TokenKind::OpenBracket => self.0.push(TokenKind::CloseBracket),
            TokenKind::OpenBrace => self.0.push(TokenKind::CloseBrace),
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                return self.0.pop() == Some(token);
            }
            _ => {}
        }
        true
    }

    /// Whether none is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a token is neither space nor a comment; documentation is code.
pub(crate) fn is_code(token: TokenKind) -> bool {
    !matches!(
        token,
        TokenKind::Whitespace
            | TokenKind::LineComment { doc_style: None }
            | TokenKind::BlockComment { doc_style: None, .. }
    )
}

/// Whether a token is a text or a comment that reaches to the end, and could go on.
pub(crate) fn is_unterminated(token: TokenKind) -> bool {
    match token {
        TokenKind::BlockComment { terminated, .. } => !terminated,
        TokenKind::Literal { kind, .. } => match kind {
            LiteralKind::Str { terminated }
            | LiteralKind::ByteStr { terminated }
            | LiteralKind::CStr { terminated } => !terminated,
            LiteralKind::RawStr { n_hashes }
            | LiteralKind::RawByteStr { n_hashes }
            | LiteralKind::RawCStr { n_hashes } => n_hashes.is_none(),
            _ => false,
        },
        _ => false,
    }
}

/// Whether the text ends inside an expression, and not before an item's body or behind an attribute.
fn hangs(code: &str) -> bool {
    tokens(code).filter(|(token, _)| is_code(*token)).last().is_some_and(|(kind, text)| match kind {
        TokenKind::Ident => matches!(text, "as" | "else" | "in" | "let" | "move"),
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } | TokenKind::Literal { .. } => false,
        TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket | TokenKind::Gt => false,
        _ => true,
    })
}

/// The length of the part of `code` before the next line that begins outside brackets, texts and comments, where a command may begin.
/// All of `code` if there is no such line.
pub(crate) fn next_line_between(code: &str) -> usize {
    let (mut at, mut open) = (0, Openings::default());
    for (token, text) in tokens(code) {
        if token == TokenKind::Whitespace
            && open.is_empty()
            && let Some(line) = text.find('\n')
        {
            return at + line + 1;
        }
        if !open.follow(token) {
            break;
        }
        at += text.len();
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(code: &str) -> bool {
        matches!(completeness(code), Completeness::Incomplete { .. })
    }

    #[test]
    fn a_bracket_in_a_string_a_char_or_a_comment_opens_nothing() {
        for code in ["\"{\"", "'{'", "// {", "/* { /* ( */ */ 1", "r#\"{\"#", "'\\''", "br\"[\"", "b'{'"] {
            assert_eq!(completeness(code), Completeness::Complete, "{code}");
        }
    }

    #[test]
    fn an_open_bracket_string_or_comment_waits_for_more() {
        for code in ["fn f() {", "\"abc", "/* abc", "r#\"abc\"", "vec![1,", "f(\n", "c\"abc"] {
            assert!(waits(code), "{code}");
        }
    }

    #[test]
    fn a_lifetime_is_not_an_open_character() {
        assert_eq!(completeness("fn f<'a>(s: &'a str) -> &'a str { s }"), Completeness::Complete);
    }

    #[test]
    fn a_bracket_that_closes_nothing_is_invalid() {
        for code in ["(]", "f())", "}", "{ ) }"] {
            assert_eq!(completeness(code), Completeness::Invalid, "{code}");
        }
    }

    #[test]
    fn what_no_further_line_could_make_right_is_invalid() {
        for code in ["let x = = 2;", "fn f(1) {}", "struct struct;", "a b", "let x = (1 +);", "f(1,,2)", "'ab'", "0b2"]
        {
            assert_eq!(completeness(code), Completeness::Invalid, "{code}");
        }
    }

    #[test]
    fn a_whole_text_is_complete_a_last_let_or_use_without_its_semicolon_too() {
        let texts = [
            "1 + 1",
            "let x = 5",
            "struct A;",
            "use std::fmt",
            "x?",
            "if a { b } else { c }",
            "0..",
            "f::<Vec<u8>>",
            "return",
            "#[test] fn f() {}",
            "#![allow(dead_code)]",
            "// for",
            "",
            "let Some(x) = y else { panic!() };",
            "impl A {} f(1)",
            "\"if\"",
            ":vars",
            ":type f(",
            ":vars\nlet x = 1;",
            ":dep serde = {\n  version = \"1\",\n}",
        ];
        for text in texts {
            assert_eq!(completeness(text), Completeness::Complete, "{text}");
        }
    }

    #[test]
    fn a_head_waits_for_its_body_and_an_attribute_for_its_item() {
        let texts = [
            "fn f() -> u8",
            "pub(crate) async fn f()",
            "struct P",
            "impl Display for P",
            "if x > 1",
            "match x",
            "for i in 0..3",
            "unsafe extern \"C\" fn f()",
            "let a = 1; fn f()",
            "while let Some(x) = y.pop()",
            "trait T: Sized",
            "if a { b } else if c",
            "#[derive(Debug)]",
            "/// A point.",
            "let a = 1;\n#[test]",
            "/// A point.\n#[derive(Debug)]",
        ];
        for text in texts {
            assert_eq!(completeness(text), Completeness::Incomplete { indent: String::new() }, "{text}");
        }
    }

    #[test]
    fn an_expression_that_hangs_waits_with_an_indent() {
        for text in ["1 +", "let x =", "f().", "a &&", "x as", "let", "let f = |x|", " :dep serde = {"] {
            assert_eq!(completeness(text), Completeness::Incomplete { indent: "    ".into() }, "{text}");
        }
    }
}
