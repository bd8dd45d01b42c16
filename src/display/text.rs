//! A value as text that fits on a screen.
//!
//! ```text
//!   {:?} fits in 80 characters, or has line breaks of its own ─▶ as it is
//!   else {:#?}, with short elements filled into lines          ─▶ and cut when it is very long
//! ```

use std::fmt::{self, Debug, Write};

/// The longest text on one line, in characters.
const LINE_CHARS_MAX: usize = 80;
/// The longest text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 20_000;
/// How far a text that is too long is followed to say how long it is, in characters; beyond it is "more than".
const COUNTED_CHARS_MAX: usize = 50_000_000;

/// The value as `Debug` writes it.
pub(super) fn debug<T: Debug + ?Sized>(value: &T) -> String {
    // A line that is too long for a line need not be written to its end.
    let mut line = Cut { text: String::new(), chars: 0, keep: SHOWN_CHARS_MAX, give_up: SHOWN_CHARS_MAX };
    if write!(line, "{value:?}").is_ok() && (line.chars <= LINE_CHARS_MAX || line.text.contains('\n')) {
        return line.text;
    }
    // Twice what is shown is kept: filling lines makes it shorter.
    let mut pretty = Cut { text: String::new(), chars: 0, keep: 4 * SHOWN_CHARS_MAX, give_up: COUNTED_CHARS_MAX };
    let whole = write!(pretty, "{value:#?}").is_ok();
    let cut = pretty.chars.saturating_sub(pretty.keep);
    let text = fill(&pretty.text);
    if cut == 0 && text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    let (shown, left) = split_at_char(&text, SHOWN_CHARS_MAX);
    let left = left.chars().count() + cut;
    let about = if whole { "" } else { "more than " };
    format!("{}\n… {about}{left} more characters", shown.trim_end())
}

/// What is said of a value of a type without `Debug`.
pub(super) fn no_debug(type_name: &str) -> String {
    format!("<value of type {type_name}, which has no Debug>")
}

fn split_at_char(text: &str, chars: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at))
}

/// Joins neighbouring lines that hold one short element each (`    1,`), as many as fit on a line: a list of a hundred
/// numbers is a few lines, not a hundred. Lines with names or brackets stay as they are.
fn fill(pretty: &str) -> String {
    let mut filled = String::with_capacity(pretty.len());
    let mut open: Option<(usize, usize)> = None; // Indent and width of the line being filled.
    for line in pretty.lines() {
        let element = line.trim_start();
        let indent = line.len() - element.len();
        let is_short = element.ends_with(',') && element.len() <= 24 && !element.contains([':', '(', ')', '[', ']', '{', '}']);
        match open {
            Some((same, width)) if is_short && same == indent && width + 1 + element.chars().count() <= LINE_CHARS_MAX => {
                filled.push(' ');
                filled.push_str(element);
                open = Some((same, width + 1 + element.chars().count()));
            }
            _ => {
                if !filled.is_empty() {
                    filled.push('\n');
                }
                filled.push_str(line);
                open = is_short.then_some((indent, indent + element.chars().count()));
            }
        }
    }
    filled
}

/// Keeps the first characters, counts the rest, and gives up when there are too many.
struct Cut {
    text: String,
    chars: usize,
    keep: usize,
    give_up: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.keep.saturating_sub(self.chars);
        if room > 0 {
            self.text.push_str(split_at_char(text, room).0);
        }
        self.chars += text.chars().count();
        if self.chars > self.give_up { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_short_value_is_one_line() {
        assert_eq!(debug("a \"b\""), r#""a \"b\"""#);
        assert_eq!(debug(&Ok::<_, ()>(1)), "Ok(1)");
    }

    #[test]
    fn a_long_list_of_numbers_is_filled_into_lines() {
        let text = debug(&(0..40).collect::<Vec<_>>());
        assert!(text.starts_with("[\n    0, 1, 2, 3,"), "{text}");
        assert!(text.lines().count() < 8 && text.lines().all(|line| line.chars().count() <= LINE_CHARS_MAX), "{text}");
        assert!(text.ends_with("39,\n]"), "{text}");
    }

    #[test]
    fn a_long_structure_keeps_a_line_for_each_field() {
        let map: BTreeMap<_, _> = (0..9).map(|n| (n, "0123456789")).collect();
        assert_eq!(debug(&map), format!("{map:#?}"));
    }

    #[test]
    fn a_very_long_value_is_cut_and_says_how_much_is_left() {
        let text = debug(&"x".repeat(1_000_000));
        assert!(text.ends_with("\n… 980002 more characters"), "{}", &text[text.len() - 60..]);
        assert!(text.chars().count() < SHOWN_CHARS_MAX + 100);
    }
}
