//! Whether a text is ready to be run: brackets, strings and comments, nothing more.

use crate::event::Completeness;

/// Tells whether `code` can be run as it stands.
///
/// ```
/// use mobula_session::{completeness, Completeness};
/// assert_eq!(completeness("1 + 1"), Completeness::Complete);
/// assert_eq!(completeness("fn f() {"), Completeness::Incomplete { indent: "    ".into() });
/// assert_eq!(completeness("f())"), Completeness::Invalid);
/// ```
pub fn completeness(code: &str) -> Completeness {
    let mut open = Vec::new();
    let mut chars = code.char_indices().peekable();
    let unfinished = |open: &[char]| Completeness::Incomplete { indent: " ".repeat(4 * open.len()) };
    while let Some((at, c)) = chars.next() {
        match c {
            '/' if code[at..].starts_with("//") => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '/' if code[at..].starts_with("/*") => match block_comment(&code[at..]) {
                Some(len) => skip(&mut chars, at + len),
                None => return unfinished(&[]),
            },
            '"' => match string(&code[at..]) {
                Some(len) => skip(&mut chars, at + len),
                None => return unfinished(&[]),
            },
            'r' if raw_string_start(code, at).is_some() => match raw_string(&code[at..]) {
                Some(len) => skip(&mut chars, at + len),
                None => return unfinished(&[]),
            },
            '\'' => skip(&mut chars, at + char_literal(&code[at..]).unwrap_or(1)),
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let expected = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(expected) {
                    return Completeness::Invalid;
                }
            }
            _ => {}
        }
    }
    if open.is_empty() { Completeness::Complete } else { unfinished(&open) }
}

fn skip(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>, to: usize) {
    while chars.next_if(|(at, _)| *at < to).is_some() {}
}

/// Length of the block comment that `text` starts with; they nest.
fn block_comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
    None
}

fn string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The number of `#` of a raw string that starts at `at`, unless `r` is the end of a word.
fn raw_string_start(code: &str, at: usize) -> Option<usize> {
    let before = code[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() && c != 'b' && c != 'c' || c == '_') {
        return None;
    }
    let rest = &code[at + 1..];
    let hashes = rest.bytes().take_while(|b| *b == b'#').count();
    rest[hashes..].starts_with('"').then_some(hashes)
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].bytes().take_while(|b| *b == b'#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 1 + hashes + 1;
    text[start..].find(&end).map(|at| start + at + end.len())
}

/// Length of a character literal, or `None` for a lifetime.
fn char_literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    match chars.next()? {
        (_, '\\') => {
            chars.next()?;
            chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
        }
        (_, '\'') => None,
        _ => match chars.next()? {
            (at, '\'') => Some(at + 1),
            _ => None,
        },
    }
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
        for code in ["fn f() {", "\"abc", "/* abc", "r#\"abc\"", "vec![1,", "f(\n"] {
            assert!(waits(code), "{code}");
        }
    }

    #[test]
    fn a_lifetime_is_not_an_open_character() {
        assert_eq!(completeness("fn f<'a>(s: &'a str) -> &'a str { s }"), Completeness::Complete);
    }

    #[test]
    fn a_bracket_that_closes_nothing_is_invalid() {
        assert_eq!(completeness("(]"), Completeness::Invalid);
    }
}
