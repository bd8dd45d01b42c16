//! Values of serde's data model written as a tree of JSON.

use super::{JsonError, JsonMap, JsonValue};
use serde::ser::{
    Error, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::fmt::Display;

type Written<T = JsonValue> = Result<T, JsonError>;

impl Error for JsonError {
    fn custom<T: Display>(message: T) -> JsonError {
        JsonError::new(message)
    }
}

/// Writes one value.
pub(super) struct Writer;

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(
            fn $method(self, number: $type) -> Written {
                integer(number.into())
            }
        )*
    };
}

fn integer(number: i128) -> Written {
    if (i64::MIN.into()..=u64::MAX.into()).contains(&number) {
        Ok(JsonValue::Integer(number))
    } else {
        Err(JsonError::new(format_args!("the number {number} has more than 64 bits")))
    }
}

/// The data of an enum's variant, under the variant's name.
fn variant(name: &str, data: JsonValue) -> JsonValue {
    JsonValue::map([(name, data)])
}

impl Serializer for Writer {
    type Ok = JsonValue;
    type Error = JsonError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Object;
    type SerializeStruct = Object;
    type SerializeStructVariant = Object;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    fn serialize_u128(self, number: u128) -> Written {
        integer(i128::try_from(number).unwrap_or(i128::MAX))
    }

    fn serialize_bool(self, is: bool) -> Written {
        Ok(JsonValue::Bool(is))
    }

    fn serialize_f32(self, number: f32) -> Written {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Written {
        // JSON has no other numbers.
        Ok(if number.is_finite() { JsonValue::Float(number) } else { JsonValue::Null })
    }

    fn serialize_char(self, character: char) -> Written {
        Ok(JsonValue::Text(character.into()))
    }

    fn serialize_str(self, text: &str) -> Written {
        Ok(text.into())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        Ok(JsonValue::List(bytes.iter().map(|byte| JsonValue::Integer((*byte).into())).collect()))
    }

    fn serialize_none(self) -> Written {
        Ok(JsonValue::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(JsonValue::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(JsonValue::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Written {
        Ok(name.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Written {
        Ok(variant(name, value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Written<List> {
        Ok(List::default())
    }

    fn serialize_tuple(self, _: usize) -> Written<List> {
        Ok(List::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Written<List> {
        Ok(List::default())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, name: &'static str, _: usize) -> Written<List> {
        Ok(List { variant: Some(name), ..List::default() })
    }

    fn serialize_map(self, _: Option<usize>) -> Written<Object> {
        Ok(Object::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Written<Object> {
        Ok(Object::default())
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, name: &'static str, _: usize) -> Written<Object> {
        Ok(Object { variant: Some(name), ..Object::default() })
    }
}

/// A list that is being written.
#[derive(Default)]
pub(super) struct List {
    values: Vec<JsonValue>,
    variant: Option<&'static str>,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Written<()> {
        self.values.push(value.serialize(Writer)?);
        Ok(())
    }

    fn finish(self) -> Written {
        let list = JsonValue::List(self.values);
        Ok(match self.variant {
            Some(name) => variant(name, list),
            None => list,
        })
    }
}

/// An object that is being written.
#[derive(Default)]
pub(super) struct Object {
    values: JsonMap,
    key: String,
    variant: Option<&'static str>,
}

impl Object {
    fn insert<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written<()> {
        self.values.insert(key.to_owned(), value.serialize(Writer)?);
        Ok(())
    }

    fn finish(self) -> Written {
        let object = JsonValue::Map(self.values);
        Ok(match self.variant {
            Some(name) => variant(name, object),
            None => object,
        })
    }
}

macro_rules! written_by {
    ($type:ident: $($trait:ident $method:ident ($($key:ident)?) $by:ident;)*) => {
        $(
            impl $trait for $type {
                type Ok = JsonValue;
                type Error = JsonError;

                fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Written<()> {
                    self.$by($($key,)? value)
                }

                fn end(self) -> Written {
                    self.finish()
                }
            }
        )*
    };
}

written_by! { List:
    SerializeSeq serialize_element () push;
    SerializeTuple serialize_element () push;
    SerializeTupleStruct serialize_field () push;
    SerializeTupleVariant serialize_field () push;
}

written_by! { Object:
    SerializeStruct serialize_field (key) insert;
    SerializeStructVariant serialize_field (key) insert;
}

impl SerializeMap for Object {
    type Ok = JsonValue;
    type Error = JsonError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written<()> {
        self.key = key.serialize(KeyWriter)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written<()> {
        self.values.insert(std::mem::take(&mut self.key), value.serialize(Writer)?);
        Ok(())
    }

    fn end(self) -> Written {
        self.finish()
    }
}

/// Writes the key of a map, which is a text in JSON.
struct KeyWriter;

macro_rules! keys {
    ($($method:ident: $type:ty),*) => {
        $(
            fn $method(self, key: $type) -> Written<String> {
                Ok(key.to_string())
            }
        )*
    };
}

fn no_key<T>(what: &str) -> Written<T> {
    Err(JsonError::new(format_args!("the key of a map is a text, a number or a truth value, and not {what}")))
}

impl Serializer for KeyWriter {
    type Ok = String;
    type Error = JsonError;
    type SerializeSeq = Impossible<String, JsonError>;
    type SerializeTuple = Impossible<String, JsonError>;
    type SerializeTupleStruct = Impossible<String, JsonError>;
    type SerializeTupleVariant = Impossible<String, JsonError>;
    type SerializeMap = Impossible<String, JsonError>;
    type SerializeStruct = Impossible<String, JsonError>;
    type SerializeStructVariant = Impossible<String, JsonError>;

    keys! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_f32(self, key: f32) -> Written<String> {
        // Not as the nearest `f64`, which has more digits.
        if key.is_finite() { Ok(format!("{key:?}")) } else { no_key(&key.to_string()) }
    }

    fn serialize_f64(self, key: f64) -> Written<String> {
        if key.is_finite() { Ok(format!("{key:?}")) } else { no_key(&key.to_string()) }
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Written<String> {
        Ok(name.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written<String> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written<String> {
        value.serialize(self)
    }

    fn serialize_bytes(self, _: &[u8]) -> Written<String> {
        no_key("bytes")
    }

    fn serialize_none(self) -> Written<String> {
        no_key("nothing")
    }

    fn serialize_unit(self) -> Written<String> {
        no_key("nothing")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Written<String> {
        no_key(name)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: &T,
    ) -> Written<String> {
        no_key(name)
    }

    fn serialize_seq(self, _: Option<usize>) -> Written<Self::SerializeSeq> {
        no_key("a list")
    }

    fn serialize_tuple(self, _: usize) -> Written<Self::SerializeTuple> {
        no_key("a tuple")
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Written<Self::SerializeTupleStruct> {
        no_key(name)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Written<Self::SerializeTupleVariant> {
        no_key(name)
    }

    fn serialize_map(self, _: Option<usize>) -> Written<Self::SerializeMap> {
        no_key("a map")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Written<Self::SerializeStruct> {
        no_key(name)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Written<Self::SerializeStructVariant> {
        no_key(name)
    }
}
