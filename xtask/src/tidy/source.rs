//! Rust source with everything blanked that is not code, so that a rule can search for words.
//!
//! A lexer of one page: it knows comments (nested too), strings (raw and byte strings too), characters and lifetimes. It
//! keeps every newline, so line numbers stay.

/// `text` with comments, and what is inside strings and character literals, replaced by spaces.
pub fn code_only(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let blank = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' | 'b' | 'c' if !code.ends_with(is_word) => raw_or_prefixed(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let taken = if blank == 0 { first.len_utf8() } else { blank };
        let (token, after) = rest.split_at(taken);
        if blank == 0 {
            code.push_str(token);
        } else {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    code
}

/// Whether `c` can be inside an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `line` on its own.
pub fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))
}

/// Length of the block comment that `text` begins with.
fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of the string with escapes that `text` begins with.
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

/// Length of the literal when `text` begins with `r"`, `r#"`, `b"`, `b'`, `br#"`, `c"`, …; else 0.
fn raw_or_prefixed(text: &str) -> usize {
    let letters = text.len() - text.trim_start_matches(['r', 'b', 'c']).len();
    let (prefix, after) = text.split_at(letters);
    if !matches!(prefix, "r" | "b" | "c" | "br" | "cr") {
        return 0;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    let opened = &after[hashes..];
    if prefix.contains('r') && opened.starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        return opened[1..].find(&close).map_or(text.len(), |at| letters + hashes + 1 + at + close.len());
    }
    match opened.chars().next() {
        Some('"') if hashes == 0 => letters + string(opened),
        Some('\'') if prefix == "b" && hashes == 0 => letters + character(opened),
        _ => 0,
    }
}

/// Length of the character literal that `text` begins with; 0 when it is a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text[1..].char_indices();
    match inside.next() {
        Some((_, '\\')) => text[3.min(text.len())..].find('\'').map_or(text.len(), |at| at + 4),
        Some(_) => match inside.next() {
            Some((at, '\'')) => 1 + at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `text`, without spaces.
    fn left(text: &str) -> String {
        code_only(text).split_whitespace().collect()
    }

    #[test]
    fn comments_go_and_code_stays() {
        assert_eq!(left("a // b\nc /* d /* e */ f */ g"), "acg");
    }

    #[test]
    fn literals_go_and_lifetimes_stay() {
        assert_eq!(left(r##"x("a \" // b", r#"c " d"#, b"e", 'f', '\'', b'g') <'a> 'static"##), "x(,,,,,)<'a>'static");
    }

    #[test]
    fn a_name_that_ends_in_a_prefix_letter_is_not_a_raw_string() {
        assert_eq!(left("bar! b r2 for"), "bar!br2for");
    }

    #[test]
    fn every_line_keeps_its_number() {
        let text = "a\n/* b\nc */ \"d\ne\"\nf";
        assert_eq!(code_only(text).lines().count(), text.lines().count());
        assert_eq!(code_only(text).lines().last(), Some("f"));
    }

    #[test]
    fn a_word_is_found_only_whole() {
        assert!(has_word("unsafe { x }", "unsafe"));
        assert!(!has_word("#![allow(unsafe_code)]", "unsafe"));
    }
}
