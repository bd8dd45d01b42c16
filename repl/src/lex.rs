//! Tokens of Rust text, from the compiler's own lexer, in the detail that colours and brackets need.
//!
//! The text is what a person is typing, so it is seldom a valid program. Every text has tokens, and they cover it
//! without a gap: an unfinished string or comment reaches to the end.

use mobula_session::KEYWORDS;
use ra_ap_rustc_lexer::{DocStyle, FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use std::ops::Range;

/// The kind of a token, as colours and brackets need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Space,
    Comment,
    /// `///` or `/** */`: documents the item after it.
    DocComment,
    Keyword,
    Name,
    /// A name that begins with a capital: a type, a variant, a constant.
    Type,
    /// A name followed by `!`.
    Macro,
    Lifetime,
    Literal,
    Number,
    Open,
    Close,
    Punct,
}

/// One piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Neither white space nor a comment.
    pub fn is_code(self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }
}

/// Operators of more than one character, longest first. The lexer returns them in pieces.
const OPERATORS: [&str; 24] = [
    "<<=", ">>=", "...", "..=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=", "%=",
    "^=", "&=", "|=", "..", "<<", ">>",
];

/// Splits `text` into tokens that follow each other without a gap.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut start = 0;
    for token in tokenize(text, FrontmatterAllowed::No) {
        let end = start + token.len as usize;
        let operator = OPERATORS.iter().find(|operator| text[start..].starts_with(**operator));
        match (kind(token.kind, &text[start..end], &text[end..]), operator) {
            // A piece of the operator before this token.
            _ if tokens.last().is_some_and(|last| last.end > start) => {}
            (Kind::Punct, Some(operator)) => {
                tokens.push(Token { kind: Kind::Punct, start, end: start + operator.len() });
            }
            (kind, _) => tokens.push(Token { kind, start, end }),
        }
        start = end;
    }
    tokens
}

/// The kind of the token `text`, which `rest` follows.
fn kind(token: TokenKind, text: &str, rest: &str) -> Kind {
    match token {
        TokenKind::Whitespace => Kind::Space,
        TokenKind::LineComment { doc_style: Some(DocStyle::Outer) }
        | TokenKind::BlockComment { doc_style: Some(DocStyle::Outer), .. } => Kind::DocComment,
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } | TokenKind::Frontmatter { .. } => Kind::Comment,
        TokenKind::Literal { kind: LiteralKind::Int { .. } | LiteralKind::Float { .. }, .. } => Kind::Number,
        TokenKind::Literal { .. } | TokenKind::GuardedStrPrefix => Kind::Literal,
        TokenKind::Lifetime { .. } | TokenKind::RawLifetime | TokenKind::UnknownPrefixLifetime => Kind::Lifetime,
        TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => Kind::Open,
        TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => Kind::Close,
        TokenKind::Ident if KEYWORDS.binary_search(&text).is_ok() => Kind::Keyword,
        TokenKind::Ident if rest.starts_with('!') && !rest.starts_with("!=") => Kind::Macro,
        TokenKind::Ident if text.starts_with(char::is_uppercase) => Kind::Type,
        TokenKind::Ident | TokenKind::RawIdent | TokenKind::InvalidIdent | TokenKind::UnknownPrefix => Kind::Name,
        _ => Kind::Punct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).into_iter().filter(|t| t.kind != Kind::Space).map(|t| (t.kind, &text[t.range()])).collect()
    }

    fn one(text: &str) -> Kind {
        let tokens = tokens(text);
        assert_eq!(tokens.len(), 1, "{text}: {tokens:?}");
        tokens[0].kind
    }

    #[test]
    fn tokens_cover_any_text_without_a_gap() {
        let texts =
            ["", "é\"ü", "'", "'\\", "/*/", "/* /* */", "r#\"", "r#", "b'", "1.", "1e-", "'a", "日本 'x' //é", "b\"\\"];
        for text in texts {
            let mut end = 0;
            for token in tokens(text) {
                assert_eq!(token.start, end, "{text}");
                assert!(text.is_char_boundary(token.end), "{text}");
                end = token.end;
            }
            assert_eq!(end, text.len(), "{text}");
        }
    }

    #[test]
    fn a_literal_is_one_token_whatever_stands_in_it() {
        for text in [
            "\"a\\\"b{\"",
            "r#\"a\"b\"#",
            "br\"\\\"",
            "b\"x\"",
            "c\"x\"",
            "'{'",
            "'\\''",
            "b'\\n'",
            "'\\u{1F600}'",
            "\"open",
        ] {
            assert_eq!(one(text), Kind::Literal, "{text}");
        }
    }

    #[test]
    fn a_number_ends_where_a_range_or_a_call_begins() {
        for text in ["1", "1_000u64", "0xff_u8", "1.5", "1.", "1e-9", "2.5E+3f32"] {
            assert_eq!(one(text), Kind::Number, "{text}");
        }
        assert_eq!(kinds("1..2"), [(Kind::Number, "1"), (Kind::Punct, ".."), (Kind::Number, "2")]);
        assert_eq!(kinds("1.max")[0], (Kind::Number, "1"));
        assert_eq!(kinds("0xe-1")[0], (Kind::Number, "0xe"));
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(
            kinds("let r#fn: Vec<'a> = vec![x != y]"),
            [
                (Kind::Keyword, "let"),
                (Kind::Name, "r#fn"),
                (Kind::Punct, ":"),
                (Kind::Type, "Vec"),
                (Kind::Punct, "<"),
                (Kind::Lifetime, "'a"),
                (Kind::Punct, ">"),
                (Kind::Punct, "="),
                (Kind::Macro, "vec"),
                (Kind::Punct, "!"),
                (Kind::Open, "["),
                (Kind::Name, "x"),
                (Kind::Punct, "!="),
                (Kind::Name, "y"),
                (Kind::Close, "]"),
            ]
        );
    }

    #[test]
    fn a_comment_that_documents_is_told_from_one_that_does_not() {
        assert_eq!(one("/// doc"), Kind::DocComment);
        assert_eq!(one("/** doc */"), Kind::DocComment);
        for text in ["// x", "//// x", "/* x */", "/**/", "/*** x */", "/* /* x */ */", "/* open"] {
            assert_eq!(one(text), Kind::Comment, "{text}");
        }
    }
}
