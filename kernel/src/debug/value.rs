//! Parts of a value, read from its `Debug` text: fields of a struct, elements of a list, entries of a map.

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// A field's name, an entry's key; empty for an element, whose name is its place.
    pub(crate) name: &'a str,
    /// Its text.
    pub(crate) text: &'a str,
}

/// The parts of a value with this text; none when it has none, or is no text of a derived `Debug`. The text may end
/// early: the parts up to there are given.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let Some(open) = text.find(['(', '[', '{']).filter(|open| is_name(text[..*open].trim())) else { return Vec::new() };
    let close = match text.as_bytes()[open] {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    };
    let inside = &text[open + 1..];
    let mut cuts = Cuts::of(inside);
    let end = match cuts.end {
        // What stands behind, as in ndarray's text, is not of the parts.
        Some(end) if inside.as_bytes()[end] == close => end,
        Some(_) => return Vec::new(),
        None => inside.len(),
    };
    cuts.commas.push(end);
    let mut start = 0;
    let mut parts = Vec::new();
    for comma in cuts.commas {
        let part = inside[start..comma].trim();
        start = (comma + 1).min(end);
        if part.is_empty() || part == ".." {
            continue;
        }
        let colon = (close == b'}').then(|| colon(part)).flatten();
        parts.push(match colon {
            Some(colon) => Part { name: part[..colon].trim(), text: part[colon + 1..].trim() },
            None => Part { name: "", text: part },
        });
    }
    parts
}

/// Whether a text before a bracket may be the name of a type: `Some`, `Point<2>`, `a::B`; or nothing.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "_:<>&, ".contains(c))
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The places of the commas between parts, and of the bracket that closes them.
struct Cuts {
    commas: Vec<usize>,
    end: Option<usize>,
}

impl Cuts {
    fn of(inside: &str) -> Cuts {
        let mut cuts = Cuts { commas: Vec::new(), end: None };
        walk(inside, |at, byte, depth| match (byte, depth) {
            (b',', 0) => {
                cuts.commas.push(at);
                true
            }
            (b')' | b']' | b'}', 0) => {
                cuts.end = Some(at);
                false
            }
            _ => true,
        });
        cuts
    }
}

/// The place of the colon between a name and its value.
fn colon(part: &str) -> Option<usize> {
    let mut found = None;
    walk(part, |at, byte, depth| {
        let bytes = part.as_bytes();
        let is_path = bytes.get(at + 1) == Some(&b':') || at > 0 && bytes[at - 1] == b':';
        if byte == b':' && depth == 0 && !is_path {
            found = Some(at);
        }
        found.is_none()
    });
    found
}

/// Calls `visit` for each byte outside of texts and characters, with the number of brackets that are open, until it says no.
fn walk(text: &str, mut visit: impl FnMut(usize, u8, usize) -> bool) {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'"' => at += quoted(&bytes[at..], b'"'),
            // A lifetime has no second quote nearby; a character has.
            b'\'' if bytes[at..].iter().skip(2).take(10).any(|byte| *byte == b'\'') => {
                at += quoted(&bytes[at..], b'\'')
            }
            _ => {
                if !visit(at, byte, depth) {
                    return;
                }
                match byte {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
            }
        }
    }
}

/// The length of a quoted text at the beginning.
fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(text: &str) -> Vec<(&str, &str)> {
        parts(text).into_iter().map(|part| (part.name, part.text)).collect()
    }

    #[test]
    fn the_parts_of_what_derive_writes_are_read() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only shown")]
        struct Point {
            x: f64,
            tags: Vec<&'static str>,
            at: Option<(i32, char)>,
        }
        let text = format!("{:?}", Point { x: 0.5, tags: vec!["a, b", "c\"}"], at: Some((1, ',')) });
        let fields = read(&text);
        assert_eq!(fields, [("x", "0.5"), ("tags", "[\"a, b\", \"c\\\"}\"]"), ("at", "Some((1, ','))")]);
        assert_eq!(read(fields[1].1), [("", "\"a, b\""), ("", "\"c\\\"}\"")]);
        assert_eq!(read(fields[2].1), [("", "(1, ',')")]);
        assert_eq!(read("(1, ',')"), [("", "1"), ("", "','")]);
        let map = format!("{:?}", BTreeMap::from([("a: b", vec![1]), ("c", vec![])]));
        assert_eq!(read(&map), [("\"a: b\"", "[1]"), ("\"c\"", "[]")]);
        assert_eq!(read("{1, 2}"), [("", "1"), ("", "2")]);
        assert_eq!(read("Mode::On { a: std::Kind::B }"), [("a", "std::Kind::B")]);
    }

    #[test]
    fn a_text_that_ends_early_gives_what_is_there_and_one_without_parts_nothing() {
        assert_eq!(read("[1, 2, 3"), [("", "1"), ("", "2"), ("", "3")]);
        assert_eq!(read("[\"ab"), [("", "\"ab")]);
        assert_eq!(read("P { a: 1, b: Q { c: 2"), [("a", "1"), ("b", "Q { c: 2")]);
        assert_eq!(read("[[1, 2],\n [3, 4]], shape=[2, 2]"), [("", "[1, 2]"), ("", "[3, 4]")]);
        for text in ["", "5", "\"a(b\"", "None", "-1.5", "[]", "Unit", "1..3", "2026-11-30 (a day)", "(]"] {
            assert_eq!(read(text), [], "{text}");
        }
    }
}
