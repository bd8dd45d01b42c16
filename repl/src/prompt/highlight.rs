//! Colours for typed text, and a mark for the bracket that matches the one at the cursor.

use crate::input;
use crate::lex::{Kind, Token, tokens};
use crate::show::colour::{BLUE, CYAN, DIM, GREEN, MAGENTA, MATCHED, RED, RESET, YELLOW};

/// Colours `text`. `cursor` is the cursor's byte offset, or `None` when the line is finished.
///
/// Only ANSI codes are added: the text takes as many columns as before.
pub(crate) fn highlight(text: &str, cursor: Option<usize>) -> String {
    if input::is_command(text) {
        return command(text);
    }
    let tokens = tokens(text);
    let pair = cursor.and_then(|cursor| pair(text, &tokens, cursor));
    let mut painted = String::with_capacity(text.len() * 2);
    for (index, token) in tokens.iter().enumerate() {
        let style = match pair {
            Some((here, Some(there))) if index == here || index == there => MATCHED,
            Some((here, None)) if index == here => RED,
            _ => style(token.kind),
        };
        push(&mut painted, style, &text[token.range()]);
    }
    painted
}

fn push(painted: &mut String, style: &str, text: &str) {
    if style.is_empty() {
        painted.push_str(text);
    } else {
        painted.extend([style, text, RESET]);
    }
}

fn style(kind: Kind) -> &'static str {
    match kind {
        Kind::Comment | Kind::DocComment => DIM,
        Kind::Keyword => MAGENTA,
        Kind::Type => CYAN,
        Kind::Macro => BLUE,
        Kind::Lifetime | Kind::Number => YELLOW,
        Kind::Literal => GREEN,
        Kind::Space | Kind::Name | Kind::Open | Kind::Close | Kind::Punct => "",
    }
}

fn command(text: &str) -> String {
    let begin = text.len() - text.trim_start().len();
    let end = text[begin..].find(char::is_whitespace).map_or(text.len(), |len| begin + len);
    let mut painted = text[..begin].to_owned();
    push(&mut painted, BLUE, &text[begin..end]);
    painted.push_str(&text[end..]);
    painted
}

/// The bracket under the cursor, or just before it, and its partner. `None` for a bracket that is still open at the end
/// of the text, which is no mistake while typing. A bracket that closes nothing, or the wrong one, has no partner.
fn pair(text: &str, tokens: &[Token], cursor: usize) -> Option<(usize, Option<usize>)> {
    let is_bracket = |token: &Token| matches!(token.kind, Kind::Open | Kind::Close);
    let under = tokens.iter().position(|t| is_bracket(t) && t.start == cursor);
    let here = under.or_else(|| tokens.iter().position(|t| is_bracket(t) && t.end == cursor))?;
    let mut open: Vec<usize> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => open.push(index),
            Kind::Close => {
                let partner = open.pop().filter(|open| fits(&text[tokens[*open].range()], &text[token.range()]));
                if index == here {
                    return Some((here, partner));
                }
                if partner == Some(here) {
                    return Some((here, Some(index)));
                }
            }
            _ => {}
        }
    }
    None
}

fn fits(open: &str, close: &str) -> bool {
    matches!((open, close), ("(", ")") | ("[", "]") | ("{", "}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(painted: &str) -> String {
        let mut text = String::new();
        let mut rest = painted;
        while let Some(at) = rest.find('\x1b') {
            text.push_str(&rest[..at]);
            rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
        }
        text + rest
    }

    #[test]
    fn colours_change_no_character() {
        for text in ["fn f(x: &'a str) -> u8 { 1 }\n// é", "\"open", ":type f(", "let s = 'x';", "日本(", ""] {
            assert_eq!(plain(&highlight(text, Some(0))), text);
        }
    }

    #[test]
    fn keywords_strings_and_numbers_have_each_their_colour() {
        let painted = highlight("let s = \"let 1\"", None);
        assert_eq!(painted, format!("{MAGENTA}let{RESET} s = {GREEN}\"let 1\"{RESET}"));
        assert_eq!(highlight("5", None), format!("{YELLOW}5{RESET}"));
    }

    #[test]
    fn the_bracket_at_the_cursor_and_its_partner_stand_out() {
        assert_eq!(highlight("(a)", Some(3)), format!("{MATCHED}({RESET}a{MATCHED}){RESET}"));
        assert_eq!(highlight("(a)", Some(0)), highlight("(a)", Some(3)));
        assert_eq!(highlight("(a)", None), "(a)");
    }

    #[test]
    fn a_bracket_in_a_string_is_nobodys_partner() {
        assert_eq!(highlight("(\")\")", Some(5)), format!("{MATCHED}({RESET}{GREEN}\")\"{RESET}{MATCHED}){RESET}"));
    }

    #[test]
    fn a_bracket_that_closes_the_wrong_thing_is_red() {
        assert_eq!(highlight("(]", Some(2)), format!("({RED}]{RESET}"));
        assert_eq!(highlight("(", Some(1)), "(");
    }
}
