//! Rust source with everything blanked that is not code, so that a rule can search for words.
//!
//! Every newline stays, so line numbers do.

use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

/// `text` with comments, strings and character literals replaced by spaces.
pub fn code_only(text: &str) -> String {
    let mut rest = text;
    let mut code = String::with_capacity(text.len());
    for token in tokenize(text, FrontmatterAllowed::No) {
        let (word, after) = rest.split_at(token.len as usize);
        match token.kind {
            TokenKind::Literal { kind: LiteralKind::Int { .. } | LiteralKind::Float { .. }, .. } => code.push_str(word),
            TokenKind::Literal { .. } | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {
                code.extend(word.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            }
            _ => code.push_str(word),
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
