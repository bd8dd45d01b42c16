//! The line on which a cell of a script begins: `// %% title [markdown] key="value"`, as jupytext writes it.

use super::document::Kind;
use serde_json::{Map, Value};

/// The words that jupytext itself puts into a cell's metadata, and that are not written on the line.
pub(super) const OWN: [&str; 5] =
    ["skipline", "noskipline", "cell_marker", "lines_to_next_cell", "lines_to_end_of_cell_marker"];

/// What front ends note of a cell for themselves. It does not go into a script.
const NOT_WRITTEN: [&str; 6] = ["autoscroll", "collapsed", "scrolled", "trusted", "execution", "ExecuteTime"];

/// The rest of a line behind its `%%`, if a cell begins there.
pub(super) fn options(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("//")?.trim_start().strip_prefix("%%")?;
    let behind = rest.trim_start_matches('%');
    (behind.is_empty() || behind.starts_with(char::is_whitespace)).then_some(rest)
}

/// The kind of the cell and its metadata, from what stands behind `%%`.
pub(super) fn read(options: &str) -> (Kind, Map<String, Value>) {
    let (title, mut metadata) = apart(options.trim());
    let mut title = title.to_owned();
    let mut kind = Kind::Code;
    for (word, is) in [("[markdown]", Kind::Markdown), ("[raw]", Kind::Raw), ("[md]", Kind::Markdown)] {
        if title.contains(word) {
            title = title.replace(word, "").trim().to_owned();
            kind = is;
            if word == "[md]" {
                metadata.insert("region_name".into(), "md".into());
            }
            break;
        }
    }
    let name = title.trim_start_matches('%');
    if name.len() < title.len() {
        metadata.insert("cell_depth".into(), (title.len() - name.len()).into());
    }
    if !name.trim().is_empty() {
        metadata.insert("title".into(), name.trim().into());
    }
    (kind, metadata)
}

/// The line for a cell.
pub(super) fn write(kind: Kind, metadata: &Map<String, Value>) -> String {
    let mut rest: Map<String, Value> = metadata.clone();
    rest.retain(|name, _| !OWN.contains(&name.as_str()) && !NOT_WRITTEN.contains(&name.as_str()));
    let mut line = String::from("// %%");
    if let Some(depth) = rest.get("cell_depth").and_then(Value::as_u64) {
        line.push_str(&"%".repeat(usize::try_from(depth.min(80)).unwrap_or_default()));
        rest.remove("cell_depth");
    }
    let title = rest.get("title").and_then(Value::as_str);
    if let Some(title) = title.filter(|title| !title.contains(['{', '=', '\n']) && apart(title).0 == *title) {
        line.extend([" ", title]);
        rest.remove("title");
    }
    if kind != Kind::Code {
        let word = rest.remove("region_name");
        let word = word.as_ref().and_then(Value::as_str).filter(|_| kind == Kind::Markdown).unwrap_or(kind.word());
        line.push_str(&format!(" [{word}]"));
    }
    for (name, value) in &rest {
        match value {
            Value::Null => line.extend([" ", name]),
            Value::String(text) if name == UNREADABLE => line.extend([" ", text]),
            value => line.push_str(&format!(" {name}={}", spaced(value))),
        }
    }
    line
}

/// JSON on one line with a space behind commas and colons, as Python writes it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}: {}", Value::from(name.as_str()), spaced(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

/// The title, and the metadata behind it.
fn apart(text: &str) -> (&str, Map<String, Value>) {
    let (brace, equal) = (text.find('{'), text.find('='));
    if let Some(brace) = brace.filter(|brace| equal.is_none_or(|equal| *brace < equal)) {
        // An older form: all metadata as one JSON object.
        let metadata = serde_json::from_str(&text[brace..]).unwrap_or_else(|_| unreadable(&text[brace..]));
        return (text[..brace].trim(), metadata);
    }
    let Some(equal) = equal else { return (text, Map::new()) };
    // The word before the first `=` is its key.
    let before = text[..equal].trim_end();
    let title = before.rfind(' ').map_or("", |space| before[..space].trim_end());
    (title, keys(&text[title.len()..]))
}

/// Reads `key=value key=value word`, from the end, because a value may contain anything.
fn keys(text: &str) -> Map<String, Value> {
    let text = text.trim();
    if text.is_empty() {
        return Map::new();
    }
    let last = text.rfind(' ').map_or(text, |space| &text[space + 1..]);
    let is_word = last.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.'))
        && last.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if is_word {
        let mut metadata = keys(&text[..text.len() - last.len()]);
        metadata.insert(last.to_owned(), Value::Null);
        return metadata;
    }
    for (equal, _) in text.rmatch_indices('=') {
        let before = text[..equal].trim_end();
        let key = before.rfind(' ').map_or(before, |space| &before[space + 1..]);
        let is_key = !key.is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@' | '/' | '-'));
        let value = serde_json::from_str::<Value>(text[equal + 1..].trim());
        if let (true, Ok(value)) = (is_key, value) {
            let mut metadata = keys(&before[..before.len() - key.len()]);
            metadata.insert(key.to_owned(), value);
            return metadata;
        }
    }
    unreadable(text)
}

/// Jupytext's name for metadata that it cannot read.
const UNREADABLE: &str = "incorrectly_encoded_metadata";

/// Kept as it is.
fn unreadable(text: &str) -> Map<String, Value> {
    Map::from_iter([(UNREADABLE.to_owned(), text.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mark_has_a_title_a_kind_and_metadata_and_is_written_as_it_was_read() {
        for (line, kind, metadata) in [
            ("// %%", Kind::Code, json!({})),
            ("// %% [markdown]", Kind::Markdown, json!({})),
            ("// %% [raw]", Kind::Raw, json!({})),
            ("// %% [md]", Kind::Markdown, json!({"region_name": "md"})),
            ("// %% The title", Kind::Code, json!({"title": "The title"})),
            ("// %%%% A part of it", Kind::Code, json!({"cell_depth": 2, "title": "A part of it"})),
            ("// %% tags=[\"slow\", \"a = b\"]", Kind::Code, json!({"tags": ["slow", "a = b"]})),
            (
                "// %% Two words [markdown] a={\"b\": [1, {}]} c=\"x = \\\"y\\\"\" d=1.5",
                Kind::Markdown,
                json!({"title": "Two words", "a": {"b": [1, {}]}, "c": "x = \"y\"", "d": 1.5}),
            ),
            ("// %% a=1 word", Kind::Code, json!({"a": 1, "word": null})),
        ] {
            let read = read(options(line).unwrap());
            assert_eq!((read.0, Value::Object(read.1.clone())), (kind, metadata), "{line}");
            assert_eq!(write(read.0, &read.1), line);
        }
    }

    #[test]
    fn other_comments_are_no_marks() {
        for line in ["// %%x", "/// %%", "// % %", "x // %%", "//! %%"] {
            assert_eq!(options(line), None, "{line}");
        }
        assert_eq!(options("  //%% a"), Some(" a"));
    }

    #[test]
    fn metadata_that_cannot_be_read_are_kept_as_they_are() {
        let (_, metadata) = read(" title a=b");
        assert_eq!(write(Kind::Code, &metadata), "// %% title a=b");
        assert_eq!(Value::Object(metadata), json!({"title": "title", "incorrectly_encoded_metadata": "a=b"}));
        let (_, metadata) = read(" {\"a\": 1}");
        assert_eq!(Value::Object(metadata), json!({"a": 1}));
        assert_eq!(write(Kind::Code, &Map::from_iter([("title".to_owned(), json!("a {b}"))])), "// %% title=\"a {b}\"");
    }
}
