//! A MIME bundle: one thing to display, in several formats.

use serde_json::Value;
use std::collections::BTreeMap;

/// One thing to display, in one or more formats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// Content by MIME type; there is always `text/plain`. Text types hold a JSON string, JSON types any JSON.
    pub data: BTreeMap<String, Value>,
    /// Jupyter's display metadata.
    pub metadata: serde_json::Map<String, Value>,
    /// The name by which a later event can replace it.
    pub display_id: Option<String>,
}

impl Bundle {
    /// A bundle of one plain text.
    pub fn text(text: impl Into<String>) -> Bundle {
        let mut bundle = Bundle::default();
        bundle.data.insert("text/plain".into(), Value::String(text.into()));
        bundle
    }

    /// The plain text form, if there is one.
    pub fn plain(&self) -> Option<&str> {
        self.data.get("text/plain").and_then(|value| value.as_str())
    }

    /// The plain text; without one, the richest format's MIME type and size.
    pub fn words(&self) -> String {
        if let Some(text) = self.plain() {
            return text.to_owned();
        }
        let rank = |mime: &str| match mime {
            _ if mime.starts_with("image/") => 0,
            "text/html" => 1,
            _ if mime.starts_with("text/") => 2,
            _ => 3,
        };
        let richest = self.data.iter().min_by_key(|(mime, _)| rank(mime));
        richest.map_or_else(String::new, |(mime, value)| format!("<{mime}, {}>", size(written_bytes(mime, value))))
    }

    /// Roughly the bytes of memory that the bundle takes.
    pub fn bytes(&self) -> usize {
        self.data.values().map(kept_bytes).sum()
    }

    /// The bundle with a plain text, for front ends that can show nothing else.
    pub fn with_words(mut self) -> Bundle {
        let words = self.words();
        self.data.entry("text/plain".into()).or_insert(Value::String(words));
        self
    }
}

/// Roughly the bytes of memory that a value takes. Its texts are what counts in a large value.
pub fn kept_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(kept_bytes).sum::<usize>() + 8 * items.len(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + kept_bytes(value)).sum(),
        _ => 8,
    }
}

/// The size of a content for a person: the bytes of an image, not of its base64 text; the written length of JSON.
fn written_bytes(mime: &str, value: &Value) -> usize {
    match value {
        Value::String(text) if mime.starts_with("image/") && mime != "image/svg+xml" => {
            let digits = text.bytes().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).count();
            digits * 3 / 4
        }
        Value::String(text) => text.len(),
        json => json.to_string().len(),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_text_says_what_it_is() {
        let of = |mime: &str, value: Value| Bundle { data: [(mime.to_owned(), value)].into(), ..Bundle::default() };
        assert_eq!(of("text/html", "x".repeat(1234).into()).words(), "<text/html, 1.2 kB>");
        assert_eq!(of("image/png", "QUJD\n".into()).words(), "<image/png, 3 B>");
        assert_eq!(of("application/json", serde_json::json!([1, 2])).words(), "<application/json, 5 B>");
        assert_eq!(Bundle::default().words(), "");
        assert_eq!(of("image/png", "QUJD".into()).with_words().plain(), Some("<image/png, 3 B>"));
        assert_eq!(Bundle::text("x").with_words(), Bundle::text("x"));
    }
}
