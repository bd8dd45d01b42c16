//! Text and data inside HTML.

use super::super::document::joined;
use serde_json::Value;

/// Text with the characters that mean something in HTML written out.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// Base64 without its line breaks; whatever is no such digit would end the attribute that it stands in.
pub(super) fn base64(value: &Value) -> String {
    joined(value).chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')).collect()
}
