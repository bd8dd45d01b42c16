//! The parts of one value in what `Debug` writes: fields, elements, a key and its value.

/// Parses `P { x: 1, y: [2, 3] }` into the name, and the fields with their values.
pub(super) fn fields(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (name, rest) = text.split_once(" {")?;
    let fields = parts(rest.strip_suffix('}')?)?.into_iter().map(key_and_value).collect::<Option<Vec<_>>>()?;
    (is_name(name) && !name.is_empty()).then_some((name, fields))
}

/// Parses `(1, "a")` and `P(1, 2)` into the name, which a tuple has none of, and the values.
pub(super) fn tuple(text: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = text.split_once('(')?;
    let cells = parts(rest.strip_suffix(')')?)?;
    (is_name(name) && !cells.is_empty()).then_some((name, cells))
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Parses `[1, 2]` into its values.
pub(super) fn list(text: &str) -> Option<Vec<&str>> {
    parts(text.strip_prefix('[')?.strip_suffix(']')?)
}

/// Parses `key: value`.
pub(super) fn key_and_value(text: &str) -> Option<(&str, &str)> {
    let at =
        positions(text, ':')?.into_iter().find(|at| !text[at + 1..].starts_with(':') && !text[..*at].ends_with(':'))?;
    Some((text[..at].trim(), text[at + 1..].trim()))
}

/// The texts between the outer commas.
fn parts(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in positions(text, ',')? {
        parts.push(text[start..at].trim());
        start = at + 1;
    }
    parts.push(text[start..].trim());
    if parts.last() == Some(&"") {
        parts.pop();
    }
    Some(parts)
}

/// The positions of a character outside of all brackets and quotes. Returns `None` if brackets do not match.
fn positions(text: &str, wanted: char) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => loop {
                match chars.next()?.1 {
                    '\\' => drop(chars.next()?),
                    '"' => break,
                    _ => {}
                }
            },
            // A character literal, unless it is a lifetime.
            '\'' => {
                let rest = &text[at + 1..];
                let len = match rest.strip_prefix('\\') {
                    Some(escape) => escape.char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 2),
                    None => rest.char_indices().nth(1).filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1),
                };
                if let Some(len) = len {
                    while chars.next_if(|(next, _)| *next < at + 1 + len).is_some() {}
                }
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            c if c == wanted && depth == 0 => found.push(at),
            _ => {}
        }
    }
    (depth == 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_has_fields_and_a_tuple_values() {
        assert_eq!(
            fields(r#"P { x: [1, 2], y: "a, b: }", }"#),
            Some(("P", vec![("x", "[1, 2]"), ("y", r#""a, b: }""#)]))
        );
        assert_eq!(tuple("P(1, ')')"), Some(("P", vec!["1", "')'"])));
        assert_eq!((fields("P"), fields("{ x: 1 }"), tuple("()"), tuple("a b(1)")), (None, None, None, None));
    }

    #[test]
    fn a_key_ends_at_a_colon_that_is_no_path() {
        assert_eq!(key_and_value("a::B: c::D"), Some(("a::B", "c::D")));
        assert_eq!(key_and_value(r#""a: b": 1"#), Some((r#""a: b""#, "1")));
        assert_eq!((key_and_value("a"), list("[1, 2"), list("[(1, 2), 3, ]")), (None, None, Some(vec!["(1, 2)", "3"])));
    }
}
