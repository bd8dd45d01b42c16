//! Byte ranges of the values of a JSON text.
//!
//! A notebook is written back by replacing pieces of its text, so that the rest stays as it was, to the byte: order,
//! indentation, the spelling of numbers, unknown fields. That needs byte ranges, which a parsed value no longer has.
//!
//! # Invariants
//! - The text has already been accepted by serde_json, so no function here reports an error. Any other text may give
//!   nonsense, but neither a panic nor an endless loop.

use std::ops::Range;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub name: String,
    /// The start of its name, at the quote.
    pub start: usize,
    /// The range of its value.
    pub value: Range<usize>,
}

/// The members of the object at `value`, in order; none if it is no object.
pub(crate) fn members(text: &str, value: &Range<usize>) -> Vec<Member> {
    let mut members = Vec::new();
    items(text, value, b'{', |start| {
        let name = start..skip_string(text, start);
        let colon = skip_space(text, name.end);
        let begin = skip_space(text, colon + 1);
        let end = skip_value(text, begin);
        // A name is a JSON string, so serde_json decodes its escapes.
        let name = serde_json::from_str(text.get(name).unwrap_or_default()).unwrap_or_default();
        members.push(Member { name, start, value: begin..end });
        end
    });
    members
}

/// The member called `name`. If two have the same name, the last one counts, as in serde_json.
pub(crate) fn member(text: &str, value: &Range<usize>, name: &str) -> Option<Member> {
    members(text, value).into_iter().rfind(|member| member.name == name)
}

/// The elements of the array at `value`; none if it is no array.
pub(crate) fn elements(text: &str, value: &Range<usize>) -> Vec<Range<usize>> {
    let mut elements = Vec::new();
    items(text, value, b'[', |start| {
        let end = skip_value(text, start);
        elements.push(start..end);
        end
    });
    elements
}

/// The value that the whole text holds.
pub(crate) fn root(text: &str) -> Range<usize> {
    let start = skip_space(text, 0);
    start..skip_value(text, start)
}

/// Line and column of byte `at`, both from 1, the column in characters.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}

/// Calls `item` with the start of each item of an array or an object; `item` returns the item's end.
fn items(text: &str, value: &Range<usize>, open: u8, mut item: impl FnMut(usize) -> usize) {
    let bytes = text.as_bytes();
    if bytes.get(value.start) != Some(&open) {
        return;
    }
    let mut at = skip_space(text, value.start + 1);
    while at < value.end && !matches!(bytes[at], b']' | b'}') {
        let end = item(at).max(at + 1);
        at = skip_space(text, end);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
    }
}

fn skip_space(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes().get(at..).unwrap_or_default();
    at + bytes.iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')).count()
}

fn skip_string(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of the value at `start`. Brackets are counted, not matched: the text is known to be valid.
fn skip_value(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (start, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = skip_string(text, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return at,
            _ => at += 1,
        }
        if depth == 0 && matches!(bytes[at - 1], b'"' | b'}' | b']') {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "\n{ \"a\": [1, {\"x\": \"]}\\\"\"}, [] , null],\n  \"\\u0062\":-1.5e3 ,\"c\" : {}, \"a\": true}\n";

    fn values(text: &str) -> Vec<(String, &str)> {
        members(text, &root(text)).into_iter().map(|m| (m.name, &text[m.value])).collect()
    }

    #[test]
    fn members_are_found_with_their_text() {
        let found = values(TEXT);
        let expected = [("a", "[1, {\"x\": \"]}\\\"\"}, [] , null]"), ("b", "-1.5e3"), ("c", "{}"), ("a", "true")];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text)));
        assert_eq!(&TEXT[member(TEXT, &root(TEXT), "a").unwrap().value], "true");
    }

    #[test]
    fn elements_are_found_with_their_text() {
        let array = members(TEXT, &root(TEXT))[0].value.clone();
        let found: Vec<&str> = elements(TEXT, &array).into_iter().map(|range| &TEXT[range]).collect();
        assert_eq!(found, ["1", "{\"x\": \"]}\\\"\"}", "[]", "null"]);
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        assert_eq!(members("[1]", &root("[1]")), []);
        assert!(elements("{}", &root("{}")).is_empty());
        assert_eq!(values("{}"), []);
    }

    #[test]
    fn nonsense_is_no_reason_to_panic() {
        for text in
            ["", "{", "[", "{\"", "{\"a", "{\"a\"", "{\"a\":", "[,", "}", "{\"a\\", "[\"\\", "{1:2}", "]]", "{é}"]
        {
            members(text, &root(text));
            elements(text, &root(text));
        }
    }

    #[test]
    fn positions_count_from_one_in_characters() {
        assert_eq!(position("é\nab", 0), (1, 1));
        assert_eq!(position("éa\nab", 2), (1, 2));
        assert_eq!(position("é\nab", 4), (2, 2));
    }
}
