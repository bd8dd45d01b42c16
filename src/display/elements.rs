//! The elements of a list or a map, one by one, as `Debug` writes them.
//!
//! ```text
//!   Ok([P { x: 1 }, P { x: 2 }])
//!   ──▶ List, "P { x: 1 }" ──▶ List, "P { x: 2 }" ──▶ the end
//! ```
//!
//! No more than one element is in memory, so a list may have any number of them. The caller stops the writing when it has
//! seen enough.

use std::fmt::{self, Debug, Write};

/// The longest element, in bytes. A value with a longer one is not split.
const ELEMENT_BYTES_MAX: usize = 1_000_000;
/// The longest text behind the closing bracket, in bytes: `ndarray` writes its notes there.
const TAIL_BYTES_MAX: usize = 400;

/// The kind of the outermost brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// `[…]`
    List,
    /// `{…}`
    Map,
}

/// How a walk over the elements ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All elements were seen. The text behind the closing bracket.
    Whole(String),
    /// The text is neither a list nor a map, or not written as the derived `Debug` does.
    Unlike,
    /// The caller stopped it.
    Stopped,
}

/// Gives `each` the elements of a value until it returns `false`. With `alternate`, the value is written by `{:#?}`.
pub(super) fn walk(value: &dyn Debug, alternate: bool, each: &mut dyn FnMut(Open, &str) -> bool) -> End {
    let mut splitter = Splitter {
        each,
        open: None,
        element: String::new(),
        outside: String::new(),
        depth: 0,
        text: Text::Bare,
        is_closed: false,
        is_stopped: false,
    };
    let written = if alternate { write!(splitter, "{value:#?}") } else { write!(splitter, "{value:?}") };
    match written {
        Err(_) if splitter.is_stopped => End::Stopped,
        Ok(()) if splitter.is_closed && splitter.ends_well() => End::Whole(splitter.outside),
        _ => End::Unlike,
    }
}

/// The kind of text that the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Bare,
    /// A string or a character literal, up to this quote.
    Quoted {
        quote: u8,
        is_escaped: bool,
    },
    /// Behind a `'`, which begins a character literal or a lifetime.
    Tick,
    /// Behind a `'` and a letter.
    TickAndLetter,
}

struct Splitter<'f> {
    each: &'f mut dyn FnMut(Open, &str) -> bool,
    open: Option<Open>,
    element: String,
    /// The text before the opening bracket, such as `Ok(`, then that behind the closing one.
    outside: String,
    /// How many brackets are open inside the element.
    depth: usize,
    text: Text,
    is_closed: bool,
    is_stopped: bool,
}

impl Splitter<'_> {
    /// Whether what stands behind the closing bracket fits to what stands before the opening one.
    fn ends_well(&self) -> bool {
        let tail = self.outside.trim_end();
        tail.is_empty() || tail == ")" || tail == ",\n)" || tail.starts_with(", shape=[")
    }

    /// Takes a byte behind which nothing can be inside a literal. Only ASCII bytes mean anything here, so a character of several
    /// bytes passes through whole.
    fn bare(&mut self, byte: u8) -> Step {
        match byte {
            b'"' => self.text = Text::Quoted { quote: byte, is_escaped: false },
            b'\'' => self.text = Text::Tick,
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' if self.depth > 0 => self.depth -= 1,
            b']' if self.open == Some(Open::List) => return Step::Close,
            b'}' if self.open == Some(Open::Map) => return Step::Close,
            b')' | b']' | b'}' => return Step::Unlike,
            b',' if self.depth == 0 => return Step::Next,
            _ => {}
        }
        Step::Keep
    }

    fn step(&mut self, byte: u8) -> Step {
        match self.text {
            Text::Bare => return self.bare(byte),
            Text::Quoted { quote, is_escaped } => {
                let is_end = byte == quote && !is_escaped;
                let is_escaped = byte == b'\\' && !is_escaped;
                self.text = if is_end { Text::Bare } else { Text::Quoted { quote, is_escaped } };
            }
            Text::Tick if byte.is_ascii_alphanumeric() || byte == b'_' => self.text = Text::TickAndLetter,
            Text::Tick => self.text = Text::Quoted { quote: b'\'', is_escaped: byte == b'\\' },
            Text::TickAndLetter => {
                self.text = Text::Bare;
                if byte != b'\'' {
                    return self.bare(byte);
                }
            }
        }
        Step::Keep
    }

    /// Hands the element over. A list may end in a comma, and be empty.
    fn hand_over(&mut self) -> fmt::Result {
        let element = self.element.trim();
        if let Some(open) = self.open
            && !element.is_empty()
            && !(self.each)(open, element)
        {
            self.is_stopped = true;
            return Err(fmt::Error);
        }
        self.element.clear();
        Ok(())
    }

    /// Takes text before the opening bracket. Returns what is left of it behind that bracket.
    fn begin<'t>(&mut self, text: &'t str) -> Result<&'t str, fmt::Error> {
        let at = text.find(['[', '{']).unwrap_or(text.len());
        self.outside.push_str(&text[..at]);
        let before = self.outside.as_str();
        let fits = ["", "Ok(", "Some("].iter().any(|word| {
            let before = before.trim_end();
            if at < text.len() { before == *word } else { word.starts_with(before) }
        });
        if !fits {
            return Err(fmt::Error);
        }
        if at == text.len() {
            return Ok("");
        }
        self.open = Some(if text[at..].starts_with('[') { Open::List } else { Open::Map });
        self.outside.clear();
        Ok(&text[at + 1..])
    }
}

/// What a byte means for the element that it stands in.
enum Step {
    Keep,
    Next,
    Close,
    Unlike,
}

impl Write for Splitter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let text = if self.open.is_none() { self.begin(text)? } else { text };
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            if self.is_closed {
                break;
            }
            match self.step(byte) {
                Step::Keep => {}
                Step::Unlike => return Err(fmt::Error),
                step @ (Step::Next | Step::Close) => {
                    self.element.push_str(&text[from..at]);
                    self.hand_over()?;
                    from = at + 1;
                    self.is_closed = matches!(step, Step::Close);
                }
            }
        }
        let (kept, bytes_max) = match self.is_closed {
            true => (&mut self.outside, TAIL_BYTES_MAX),
            false => (&mut self.element, ELEMENT_BYTES_MAX),
        };
        kept.push_str(&text[from..]);
        if kept.len() > bytes_max { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a text in pieces of one character, as bad as it can come.
    struct Written(&'static str);

    impl Debug for Written {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.chars().try_for_each(|c| f.write_char(c))
        }
    }

    fn elements(text: &'static str) -> (Vec<String>, End) {
        let mut elements = Vec::new();
        let end = walk(&Written(text), false, &mut |_, element| {
            elements.push(element.to_owned());
            true
        });
        (elements, end)
    }

    fn whole(elements: &[&str]) -> (Vec<String>, End) {
        (elements.iter().map(|element| (*element).to_owned()).collect(), End::Whole(String::new()))
    }

    #[test]
    fn brackets_and_quotes_keep_an_element_together() {
        assert_eq!(elements("[1, [2, 3], P { x: 1, y: 2 }]"), whole(&["1", "[2, 3]", "P { x: 1, y: 2 }"]));
        assert_eq!(elements(r#"{"a, ]": 1, "\"": 2}"#), whole(&[r#""a, ]": 1"#, r#""\"": 2"#]));
        assert_eq!(
            elements(r"[',', '\'', 'a', '\\', 'ä', &'a str, ']']"),
            whole(&["','", r"'\''", "'a'", r"'\\'", "'ä'", "&'a str", "']'"])
        );
        assert_eq!(elements("[]"), whole(&[]));
        assert_eq!(elements("[1, ]").0, ["1"]);
    }

    #[test]
    fn a_list_inside_of_ok_is_a_list_and_so_is_an_array_with_its_notes() {
        assert_eq!(elements("Ok([1])"), (vec!["1".into()], End::Whole(")".into())));
        assert_eq!(elements("[1.0], shape=[1]"), (vec!["1.0".into()], End::Whole(", shape=[1]".into())));
        let mut seen = Vec::new();
        let value: Result<_, ()> = Ok(vec![1, 2]);
        let end = walk(&value, true, &mut |open, element| {
            seen.push((open, element.to_owned()));
            true
        });
        assert_eq!((seen.len(), &seen[1]), (2, &(Open::List, "2".into())));
        assert!(matches!(end, End::Whole(_)));
    }

    #[test]
    fn other_text_is_unlike_a_list() {
        for text in ["", "1", "Ok(1)", "P { x: 1 }", "[1", "[1)", "[1] [2]", "[\"]", "Err([1])", "(1, 2)"] {
            assert_eq!(elements(text).1, End::Unlike, "{text}");
        }
    }

    #[test]
    fn no_more_is_written_than_is_wanted() {
        struct Endless;
        impl Debug for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[")?;
                loop {
                    f.write_str("1, ")?;
                }
            }
        }
        let mut seen = 0;
        let end = walk(&Endless, false, &mut |_, _| {
            seen += 1;
            seen < 3
        });
        assert_eq!((end, seen), (End::Stopped, 3));
    }
}
