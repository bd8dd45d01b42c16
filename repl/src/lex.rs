//! Rust text cut into tokens: enough to colour it and to see where a statement ends, nothing more.
//!
//! The text is what a person is typing, so most of the time it is not a program. Every text has tokens, and they cover it
//! without a gap: an unfinished string or comment simply reaches to the end.

use std::ops::Range;

/// What a token is, as far as colours and brackets care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Space,
    Comment,
    /// `///` or `/** */`: it belongs to the item after it.
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

    /// Whether a compiler would see it.
    pub fn is_code(self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }
}

const KEYWORDS: [&str; 38] = [
    "Self", "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false",
    "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self",
    "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
];

/// Operators of more than one character, longest first.
const OPERATORS: [&str; 24] = [
    "<<=", ">>=", "...", "..=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=", "%=",
    "^=", "&=", "|=", "..", "<<", ">>",
];

/// Cuts `text` into tokens that follow each other without a gap.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let (kind, len) = token(&text[start..], first);
        let end = start + len.max(first.len_utf8());
        tokens.push(Token { kind, start, end });
        start = end;
    }
    tokens
}

/// The kind and the length of the token that `text` begins with.
fn token(text: &str, first: char) -> (Kind, usize) {
    match first {
        c if c.is_whitespace() => (Kind::Space, span(text, char::is_whitespace)),
        '/' if text.starts_with("//") => {
            let len = text.find('\n').unwrap_or(text.len());
            (comment_kind(&text[..len], "///"), len)
        }
        '/' if text.starts_with("/*") => {
            let len = block_comment(text);
            (comment_kind(&text[..len], "/**"), len)
        }
        '"' => (Kind::Literal, string(text)),
        '\'' => quote(text),
        '0'..='9' => (Kind::Number, number(text)),
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        c if c == '_' || c.is_alphabetic() => word(text),
        _ => (Kind::Punct, OPERATORS.iter().find(|op| text.starts_with(**op)).map_or(first.len_utf8(), |op| op.len())),
    }
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// `////` and `/**/` are no documentation.
fn comment_kind(comment: &str, doc: &str) -> Kind {
    let rest = comment.strip_prefix(doc);
    if rest.is_some_and(|rest| !rest.starts_with(['/', '*'])) { Kind::DocComment } else { Kind::Comment }
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0usize, 0usize);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str, prefix: usize, hashes: usize) -> usize {
    let begin = prefix + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

/// A character literal or a lifetime.
fn quote(text: &str) -> (Kind, usize) {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => {
            let end = chars.find(|(_, c)| *c == '\'').map_or(text.len(), |(at, _)| at + 1);
            (Kind::Literal, end)
        }
        (Some((_, c)), Some((at, '\''))) if c != '\'' => (Kind::Literal, at + 1),
        (Some((_, c)), _) if c == '_' || c.is_alphabetic() => {
            (Kind::Lifetime, 1 + span(&text[1..], |c| c == '_' || c.is_alphanumeric()))
        }
        _ => (Kind::Punct, 1),
    }
}

/// `1..2` is a range and `1.max(2)` a call, so a point counts only before a digit or before nothing of the kind.
fn number(text: &str) -> usize {
    let mut len = span(text, |c| c == '_' || c.is_alphanumeric());
    let rest = &text[len..];
    if let Some(fraction) = rest.strip_prefix('.')
        && !fraction.starts_with(|c: char| c == '.' || c == '_' || c.is_alphabetic())
    {
        len += 1 + span(fraction, |c| c == '_' || c.is_alphanumeric());
    }
    let signed = text[len..].starts_with(['+', '-']) && text[..len].ends_with(['e', 'E']) && !text.starts_with("0x");
    if signed { len + 1 + span(&text[len + 1..], |c| c == '_' || c.is_alphanumeric()) } else { len }
}

fn word(text: &str) -> (Kind, usize) {
    let len = span(text, |c| c == '_' || c.is_alphanumeric());
    let (name, rest) = text.split_at(len);
    if matches!(name, "r" | "br" | "cr") {
        let hashes = span(rest, |c| c == '#');
        if rest[hashes..].starts_with('"') {
            return (Kind::Literal, raw_string(text, len, hashes));
        }
        if name == "r" && hashes == 1 {
            return (Kind::Name, len + 1 + span(&rest[1..], |c| c == '_' || c.is_alphanumeric()));
        }
    }
    if matches!(name, "b" | "c") && rest.starts_with('"') {
        return (Kind::Literal, len + string(rest));
    }
    if name == "b" && rest.starts_with('\'') {
        return (Kind::Literal, len + quote(rest).1);
    }
    let kind = match name {
        _ if KEYWORDS.binary_search(&name).is_ok() => Kind::Keyword,
        _ if rest.starts_with('!') && !rest.starts_with("!=") => Kind::Macro,
        _ if name.starts_with(char::is_uppercase) => Kind::Type,
        _ => Kind::Name,
    };
    (kind, len)
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
    fn keywords_are_sorted_as_the_search_in_them_needs() {
        assert!(KEYWORDS.is_sorted());
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
