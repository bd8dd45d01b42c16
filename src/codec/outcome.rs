//! Detection of a task's `Err`, and the error's text.
//!
//! A trampoline knows its function's return type only as some `R: Serialize`, and stable Rust cannot ask such a type
//! whether it is a `Result`. The serde data model can: a `Result` serialises as the variant `Err` of `Result`. So the
//! value is given to a serializer that stops at its first call.

use crate::error::WIRE_NAME;
use serde::Serialize;
use serde::ser::{Impossible, SerializeTupleStruct, Serializer};
use std::fmt;

/// The error's text, if `value` is a `Result::Err`: the string itself if it is one, else what `Debug` would write.
pub(super) fn error_text<T: Serialize>(value: &T) -> Option<String> {
    // The path distinguishes a user's own type that is called `Result`. If the path is ever written differently, the
    // tests below fail.
    if !std::any::type_name::<T>().starts_with("core::result::Result<") {
        return None;
    }
    match value.serialize(FirstWord) {
        Ok(Found::Err(text)) => Some(text),
        _ => None,
    }
}

fn text_of<E: Serialize + ?Sized>(error: &E) -> String {
    match error.serialize(FirstWord) {
        Ok(Found::Str(text)) => text,
        _ => format!("{:?}", serde_fmt::to_debug(error)),
    }
}

enum Found {
    Str(String),
    Err(String),
}

/// Anything but a string or an `Err`.
#[derive(Debug)]
struct Other;

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a string nor an `Err`")
    }
}

impl std::error::Error for Other {}

impl serde::ser::Error for Other {
    fn custom<T: fmt::Display>(_: T) -> Other {
        Other
    }
}

/// A serializer that learns what kind of value it gets, and not what is in it.
struct FirstWord;

/// The methods that give [`Other`].
macro_rules! other {
    ($($method:ident($($argument:ty),*) -> $output:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$output, Other> {
            Err(Other)
        })*
    };
}

impl Serializer for FirstWord {
    type Ok = Found;
    type Error = Other;
    type SerializeSeq = Impossible<Found, Other>;
    type SerializeTuple = Impossible<Found, Other>;
    type SerializeTupleStruct = FirstField;
    type SerializeTupleVariant = Impossible<Found, Other>;
    type SerializeMap = Impossible<Found, Other>;
    type SerializeStruct = Impossible<Found, Other>;
    type SerializeStructVariant = Impossible<Found, Other>;

    fn serialize_str(self, text: &str) -> Result<Found, Other> {
        Ok(Found::Str(text.into()))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Found, Other> {
        if (name, variant) == ("Result", "Err") { Ok(Found::Err(text_of(value))) } else { Err(Other) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Found, Other> {
        Err(Other)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Found, Other> {
        Err(Other)
    }

    /// The first field of this crate's own errors is their report.
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<FirstField, Other> {
        if name == WIRE_NAME { Ok(FirstField(None)) } else { Err(Other) }
    }

    // `collect_str` needs no method here: by default, serde passes the text of a `Display` value to `serialize_str`.

    other! {
        serialize_bool(bool) -> Found;
        serialize_i8(i8) -> Found;
        serialize_i16(i16) -> Found;
        serialize_i32(i32) -> Found;
        serialize_i64(i64) -> Found;
        serialize_u8(u8) -> Found;
        serialize_u16(u16) -> Found;
        serialize_u32(u32) -> Found;
        serialize_u64(u64) -> Found;
        serialize_f32(f32) -> Found;
        serialize_f64(f64) -> Found;
        serialize_char(char) -> Found;
        serialize_bytes(&[u8]) -> Found;
        serialize_none() -> Found;
        serialize_unit() -> Found;
        serialize_unit_struct(&'static str) -> Found;
        serialize_unit_variant(&'static str, u32, &'static str) -> Found;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}

/// Reads the first field of a tuple struct.
struct FirstField(Option<Found>);

impl SerializeTupleStruct for FirstField {
    type Ok = Found;
    type Error = Other;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), Other> {
        if self.0.is_none() {
            self.0 = Some(field.serialize(FirstWord)?);
        }
        Ok(())
    }

    fn end(self) -> Result<Found, Other> {
        self.0.ok_or(Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum Trouble {
        NotFound { path: String },
        Closed,
    }

    #[test]
    fn an_err_is_recognised_and_its_string_is_the_text() {
        assert_eq!(error_text(&Err::<i64, String>("no \"such\" file".into())).as_deref(), Some("no \"such\" file"));
        assert_eq!(error_text(&Err::<i64, &str>("odd")).as_deref(), Some("odd"));
    }

    #[test]
    fn an_error_that_is_not_a_string_is_written_as_debug_would() {
        let error = Err::<(), _>(Trouble::NotFound { path: "a".into() });
        assert_eq!(error_text(&error).as_deref(), Some("NotFound { path: \"a\" }"));
        assert_eq!(error_text(&Err::<(), _>(Trouble::Closed)).as_deref(), Some("Closed"));
        assert_eq!(error_text(&Err::<(), _>((1, 'x'))).as_deref(), Some("(1, 'x')"));
    }

    #[test]
    fn ok_and_everything_else_is_no_failure() {
        assert_eq!(error_text(&Ok::<i64, String>(1)), None);
        assert_eq!(error_text(&(Err::<i64, String>("inside".into()), 1)), None);
        assert_eq!(error_text(&Some(Err::<i64, String>("inside".into()))), None);
    }

    #[test]
    fn a_type_of_the_users_own_called_result_is_a_value() {
        #[derive(Serialize)]
        enum Result {
            Err(String),
        }
        assert_eq!(error_text(&Result::Err("a value".into())), None);
    }
}
