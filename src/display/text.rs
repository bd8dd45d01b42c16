//! A value as text that fits on a screen.
//!
//! ```text
//!   {:?} fits in 80 characters, or has line breaks of its own ─▶ as it is
//!   else {:#?}, folded to the screen's width                   ─▶ and cut when it is very long
//! ```

use super::fold::{LINE_CHARS_MAX, fold};
use crate::abi::shorten;
use std::fmt::{self, Debug, Write};

/// The longest text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 20_000;
/// How many characters of a text that is too long are counted, to say how long it is; beyond this it is "more than".
const COUNTED_CHARS_MAX: usize = 50_000_000;

/// The value as `Debug` writes it. Not generic, so that a cell compiles little of it.
pub(super) fn debug(value: &dyn Debug) -> String {
    // A text that is too long for one line need not be written to its end.
    let mut line = Cut { text: String::new(), chars: 0, keep: SHOWN_CHARS_MAX, give_up: SHOWN_CHARS_MAX };
    if write!(line, "{value:?}").is_ok() && (line.chars <= LINE_CHARS_MAX || line.text.contains('\n')) {
        return line.text;
    }
    // More is kept than is shown, because folding makes it shorter.
    let mut pretty = Cut { text: String::new(), chars: 0, keep: 4 * SHOWN_CHARS_MAX, give_up: COUNTED_CHARS_MAX };
    let whole = write!(pretty, "{value:#?}").is_ok();
    let cut = pretty.chars.saturating_sub(pretty.keep);
    let text = fold(&pretty.text);
    if cut == 0 && text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    let (shown, left) = split_at_char(&text, SHOWN_CHARS_MAX);
    let left = left.chars().count() + cut;
    let about = if whole { "" } else { "more than " };
    format!("{}\n… {about}{left} more characters", shown.trim_end())
}

/// The value as `{:?}` writes it, if that has at most `chars_max` characters.
pub(super) fn line(value: &dyn Debug, chars_max: usize) -> Option<String> {
    let mut line = Cut { text: String::new(), chars: 0, keep: chars_max, give_up: chars_max };
    write!(line, "{value:?}").is_ok().then_some(line.text)
}

/// The text for a value whose type has no `Debug`.
pub(super) fn no_debug(type_name: &str) -> String {
    let mut name = shorten(type_name);
    // A closure's name contains all that encloses it, and the cell is a closure, too.
    const CLOSURE: &str = "{{closure}}";
    while let Some(at) = name.find(&CLOSURE.repeat(2)) {
        name.replace_range(at..at + CLOSURE.len(), "");
    }
    format!("<value of type {}, which has no Debug>", name.replace(CLOSURE, "{closure}"))
}

fn split_at_char(text: &str, chars: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at))
}

/// A writer that keeps the first characters, counts the rest, and gives up when there are too many.
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

    #[test]
    fn a_short_value_is_one_line() {
        assert_eq!(debug(&"a \"b\""), r#""a \"b\"""#);
        assert_eq!(debug(&Ok::<_, ()>(1)), "Ok(1)");
    }

    #[test]
    fn a_long_value_is_folded_unless_it_has_lines_of_its_own() {
        assert!(debug(&(0..40).collect::<Vec<_>>()).starts_with("[\n    0, 1, 2,"));
        let array = ndarray::Array2::<f64>::zeros((3, 20));
        assert_eq!(debug(&array), format!("{array:?}"));
    }

    #[test]
    fn a_very_long_value_is_cut_and_says_how_much_is_left() {
        let text = debug(&"x".repeat(1_000_000));
        assert!(text.ends_with("\n… 980002 more characters"), "{}", &text[text.len() - 60..]);
        assert!(text.chars().count() < SHOWN_CHARS_MAX + 100);
    }
}
