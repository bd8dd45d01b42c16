//! JSON: a tree of values, its text, and its conversion from and to types that serde knows.
//!
//! ```text
//!   T: Serialize ──▶ write.rs ──▶ ┌───────────┐ ── Display ──▶ text
//!   T: Deserialize ◀── read.rs ── │ JsonValue │ ◀── parse.rs ── text
//!                                 └───────────┘
//! ```
//!
//! Not serde_json, because cells are compiled against this crate: serde_json lets numbers and strings be compared with its values, and
//! as soon as it is among the crates that a program depends on, `assert_eq!(slice, &[])` does not know the type of its `[]` any more.
//! What is converted, and how, is as in serde_json; the tests compare the two.

mod parse;
mod read;
mod write;

use crate::calls::Json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;

/// A JSON object.
pub(crate) type JsonMap = BTreeMap<String, JsonValue>;

/// A value of JSON. It must have no comparison with other types: see the head of this file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum JsonValue {
    #[default]
    Null,
    Bool(bool),
    /// A whole number that an `i64` or a `u64` holds.
    Integer(i128),
    /// A finite number.
    Float(f64),
    Text(String),
    List(Vec<JsonValue>),
    Map(JsonMap),
}

/// Why a value is no JSON, or JSON no value of a type: a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct JsonError {
    message: String,
}

impl JsonError {
    fn new(message: impl fmt::Display) -> JsonError {
        JsonError { message: message.to_string() }
    }
}

impl JsonValue {
    /// Any value as JSON.
    ///
    /// # Errors
    /// It has a map whose keys are no texts or numbers, an integer of more than 64 bits, or a `Serialize` of a person's that fails.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<JsonValue, JsonError> {
        value.serialize(write::Writer)
    }

    /// The value of a text of JSON.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn parse(text: &str) -> Result<JsonValue, JsonError> {
        parse::parse(text)
    }

    /// This as a value of a type.
    ///
    /// # Errors
    /// It is none.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        T::deserialize(self)
    }

    /// The value of a key; `None` when this is no object or has no such key.
    pub fn get(&self, key: &str) -> Option<&JsonValue> {
        match self {
            JsonValue::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            JsonValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An object with these values.
    pub fn map<const N: usize>(values: [(&str, JsonValue); N]) -> JsonValue {
        JsonValue::Map(values.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

impl From<&str> for JsonValue {
    fn from(text: &str) -> JsonValue {
        JsonValue::Text(text.to_owned())
    }
}

impl From<String> for JsonValue {
    fn from(text: String) -> JsonValue {
        JsonValue::Text(text)
    }
}

/// One line.
impl fmt::Display for JsonValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonValue::Null => f.write_str("null"),
            JsonValue::Bool(is) => write!(f, "{is}"),
            JsonValue::Integer(number) => write!(f, "{number}"),
            // With a point or an exponent, so that it is read as a float again.
            JsonValue::Float(number) => write!(f, "{number:?}"),
            JsonValue::Text(text) => Json(text).fmt(f),
            JsonValue::List(list) => {
                f.write_str("[")?;
                for (at, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            JsonValue::Map(map) => {
                f.write_str("{")?;
                for (at, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{}:{value}", if at == 0 { "" } else { "," }, Json(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
