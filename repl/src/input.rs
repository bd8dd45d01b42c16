//! The end of a cell that is entered line by line.
//!
//! [`mobula_session::completeness`] tells whether a text can be run. The next line may still continue such a text, as
//! in
//!
//! ```text
//! numbers.iter()
//!     .sum::<u64>()
//! ```
//!
//! The first line alone does not show that. At the prompt, Alt-Enter inserts a line break; in a pipe, the next line
//! decides ([`goes_on`]).

use crate::lex::{Token, tokens};

/// Whether `text` is a single `:command`.
pub(crate) fn is_command(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(':') && !text.starts_with("::") && !text.contains('\n')
}

/// Whether `text` has no code that could be run.
pub(crate) fn is_blank(text: &str) -> bool {
    !tokens(text).into_iter().any(Token::is_code)
}

/// Whether `line` can only continue the statement before it.
pub(crate) fn goes_on(line: &str) -> bool {
    let first = tokens(line).into_iter().find(|t| t.is_code());
    first.is_some_and(|first| {
        let word = &line[first.range()];
        matches!(
            word,
            "." | "?" | "else" | "&&" | "||" | "+" | "/" | "%" | "=" | "==" | "!=" | "as" | "where" | "=>" | "->"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line() {
        assert!(is_command(":type f("));
        assert!(!is_command("::std::process::id()"));
        assert!(!is_command(":dep a\nf("));
    }

    #[test]
    fn a_line_that_begins_with_a_point_belongs_to_the_one_before() {
        for line in [".sum()", "    .sum()", "else {", "? ;", "&& b", "+ 1", "/ 2", "as u8"] {
            assert!(goes_on(line), "{line}");
        }
        for line in ["..", "..5", "x", "", "// .sum()", "*x = 1", "-1", "&x", "{", "|x| x", "<T as X>::f()", "#[a]"] {
            assert!(!goes_on(line), "{line}");
        }
    }
    #[test]
    fn comments_alone_are_nothing_to_run() {
        assert!(is_blank(" // a\n/* b */\n"));
        assert!(!is_blank("/// a"));
        assert!(!is_blank("a"));
    }
}
