//! Text and data inside HTML.

use super::super::document::joined;
pub(super) use mobula_session::html_escaped as escaped;
use serde_json::Value;

/// Base64 without its line breaks; whatever is no such digit would end the attribute that it stands in.
pub(super) fn base64(value: &Value) -> String {
    joined(value).chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')).collect()
}
