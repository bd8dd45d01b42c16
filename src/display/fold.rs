//! `{:#?}` folded to the width of a screen: short values on one line, long lists in a few full lines.
//!
//! ```text
//! [                    [
//!     (            ─▶      (0, "a"), (1, "b"), …
//!         0,               (9, "j"),
//!         "a",         ]
//!     ),
//! ```
//!
//! Derived `Debug` writes one element a line and brackets at the ends of lines; nothing else is relied on. Text that is
//! built differently is left as it is.

use std::iter::Peekable;
use std::str::Lines;

/// The longest line, in characters.
pub(super) const LINE_CHARS_MAX: usize = 80;
/// The longest element that shares its line with others, in characters.
const SHARED_CHARS_MAX: usize = 24;

/// Folds the text.
pub(super) fn fold(pretty: &str) -> String {
    let mut lines = pretty.lines().peekable();
    match Node::read(&mut lines) {
        Some(node) if lines.next().is_none() => {
            let mut folded = String::with_capacity(pretty.len());
            node.write(0, &mut folded);
            folded
        }
        _ => pretty.into(),
    }
}

enum Node<'a> {
    Leaf(&'a str),
    /// `close` is missing when the text ends before it.
    Group {
        open: &'a str,
        children: Vec<Node<'a>>,
        close: Option<char>,
    },
}

impl<'a> Node<'a> {
    fn read(lines: &mut Peekable<Lines<'a>>) -> Option<Node<'a>> {
        let line = lines.next()?.trim_start();
        let close = match line.chars().last() {
            Some('(') => ')',
            Some('[') => ']',
            Some('{') => '}',
            _ => return Some(Node::Leaf(line.strip_suffix(',').unwrap_or(line))),
        };
        let mut children = Vec::new();
        while let Some(next) = lines.peek() {
            let next = next.trim_start();
            if next.trim_end_matches(',').len() == 1 && next.starts_with(close) {
                lines.next();
                return Some(Node::Group { open: line, children, close: Some(close) });
            }
            children.push(Node::read(lines)?);
        }
        Some(Node::Group { open: line, children, close: None })
    }

    /// The node on one line, if it has at most `room` characters.
    fn on_one_line(&self, room: usize) -> Option<String> {
        let text = match self {
            Node::Leaf(text) => (*text).into(),
            Node::Group { open, children, close } => {
                let close = (*close)?;
                let space = if close == '}' && !children.is_empty() { " " } else { "" };
                let mut text = format!("{open}{space}");
                for (index, child) in children.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { ", " });
                    text.push_str(&child.on_one_line(room.checked_sub(text.len())?)?);
                }
                // A tuple of one element has no name before its bracket, and is written with a comma.
                let is_tuple =
                    close == ')' && !open.trim_end_matches('(').ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let comma = if is_tuple && children.len() == 1 { "," } else { "" };
                format!("{text}{comma}{space}{close}")
            }
        };
        (text.chars().count() <= room).then_some(text)
    }

    fn write(&self, indent: usize, out: &mut String) {
        // Room for the comma that follows, except at the very end.
        if let Some(text) = self.on_one_line(LINE_CHARS_MAX.saturating_sub(indent + 1)) {
            out.push_str(&text);
            return;
        }
        let (open, children, close) = match self {
            Node::Leaf(text) => return out.push_str(text),
            Node::Group { open, children, close } => (open, children, close),
        };
        out.push_str(open);
        let mut width = None; // Of the line to which more can be added.
        for child in children {
            // Fields and entries keep a line each, because people read them by their names.
            let short = child.on_one_line(SHARED_CHARS_MAX).filter(|text| *close != Some('}') || !text.contains(": "));
            let chars = short.as_ref().map(|text| text.chars().count() + 1);
            match (width, chars) {
                (Some(width), Some(chars)) if width + 1 + chars <= LINE_CHARS_MAX => out.push(' '),
                _ => {
                    out.push('\n');
                    out.extend(std::iter::repeat_n(' ', indent + 4));
                    width = None;
                }
            }
            width = chars.map(|chars| width.map_or(indent + 4, |width| width + 1) + chars);
            child.write(indent + 4, out);
            out.push(',');
        }
        if let Some(close) = close {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            out.push(*close);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    fn folded(value: impl Debug) -> String {
        fold(&format!("{value:#?}"))
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only shown")]
    struct Pen {
        name: &'static str,
        tip: Option<f64>,
        used: (u8,),
        colours: Vec<u8>,
        nothing: [(); 0],
        plain: Plain,
    }

    #[derive(Debug)]
    struct Plain;

    fn pen() -> Pen {
        Pen { name: "a, (b", tip: Some(0.5), used: (1,), colours: vec![1, 2], nothing: [], plain: Plain }
    }

    #[test]
    fn what_fits_on_a_line_is_written_as_without_line_breaks() {
        assert_eq!(folded((1, "x", Some(()))), format!("{:?}", (1, "x", Some(()))));
        assert_eq!(folded((pen().used, pen().tip)), "((1,), Some(0.5))");
        assert_eq!(folded(BTreeMap::from([(1, [2])])), "{1: [2]}".replace('{', "{ ").replace('}', " }"));
        assert_eq!(folded("one\nline"), "\"one\\nline\"");
    }

    #[test]
    fn fields_keep_a_line_each() {
        let expected = "\
Pen {
    name: \"a, (b\",
    tip: Some(0.5),
    used: (1,),
    colours: [1, 2],
    nothing: [],
    plain: Plain,
}";
        assert_eq!(folded(pen()), expected);
    }

    #[test]
    fn elements_share_lines_up_to_the_width() {
        let text = folded((0..40).collect::<Vec<_>>());
        assert!(text.starts_with("[\n    0, 1, 2, 3,"), "{text}");
        assert!(text.lines().count() < 8 && text.lines().all(|line| line.chars().count() <= LINE_CHARS_MAX), "{text}");
        assert!(text.ends_with("39,\n]"), "{text}");
        let pairs = folded((0..20).map(|n| (n, "ab")).collect::<Vec<_>>());
        assert!(pairs.starts_with("[\n    (0, \"ab\"), (1, \"ab\"),"), "{pairs}");
    }

    #[test]
    fn folding_changes_nothing_but_white_space_and_last_commas() {
        let bare = |text: &str| text.replace([' ', '\n', ','], "");
        let values: Vec<_> = (0..9).map(|n| (pen(), BTreeMap::from([(n, vec![pen()])]))).collect();
        assert_eq!(bare(&folded(&values)), bare(&format!("{values:?}")));
    }

    #[test]
    fn text_that_was_cut_is_folded_up_to_the_cut() {
        let whole = format!("{:#?}", (0..100).collect::<Vec<_>>());
        let text = fold(&whole[..whole.len() / 2]);
        assert!(text.starts_with("[\n    0, 1, 2,") && !text.contains(']'), "{text}");
    }

    #[test]
    fn text_of_another_build_is_left_as_it_is() {
        for text in ["a\nb\nc", "{\n  x\n}\n}", "]\n["] {
            assert_eq!(fold(text), text);
        }
    }
}
