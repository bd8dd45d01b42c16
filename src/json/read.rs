//! A tree of JSON read as a value of any type that serde knows.

use super::{JsonError, JsonMap, JsonValue};
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt::Display;

type Read<T> = Result<T, JsonError>;

impl Error for JsonError {
    fn custom<T: Display>(message: T) -> JsonError {
        JsonError::new(message)
    }
}

fn unexpected(value: &JsonValue) -> Unexpected<'_> {
    match value {
        JsonValue::Null => Unexpected::Unit,
        JsonValue::Bool(is) => Unexpected::Bool(*is),
        JsonValue::Integer(number) => match i64::try_from(*number) {
            Ok(number) => Unexpected::Signed(number),
            Err(_) => Unexpected::Unsigned(u64::try_from(*number).unwrap_or_default()),
        },
        JsonValue::Float(number) => Unexpected::Float(*number),
        JsonValue::Text(text) => Unexpected::Str(text),
        JsonValue::List(_) => Unexpected::Seq,
        JsonValue::Map(_) => Unexpected::Map,
    }
}

fn visit_list<'de, V: Visitor<'de>>(list: &'de [JsonValue], visitor: V) -> Read<V::Value> {
    let mut rest = SeqDeserializer::new(list.iter());
    let value = visitor.visit_seq(&mut rest)?;
    // A type that takes fewer is not this one.
    rest.end()?;
    Ok(value)
}

fn visit_map<'de, V: Visitor<'de>>(map: &'de JsonMap, visitor: V) -> Read<V::Value> {
    let mut rest = MapDeserializer::new(map.iter().map(|(key, value)| (Key(key), value)));
    let value = visitor.visit_map(&mut rest)?;
    rest.end()?;
    Ok(value)
}

impl<'de> IntoDeserializer<'de, JsonError> for &'de JsonValue {
    type Deserializer = &'de JsonValue;

    fn into_deserializer(self) -> &'de JsonValue {
        self
    }
}

impl<'de> Deserializer<'de> for &'de JsonValue {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self {
            JsonValue::Null => visitor.visit_unit(),
            JsonValue::Bool(is) => visitor.visit_bool(*is),
            JsonValue::Integer(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(i64::try_from(*number).unwrap_or_default()),
            },
            JsonValue::Float(number) => visitor.visit_f64(*number),
            JsonValue::Text(text) => visitor.visit_borrowed_str(text),
            JsonValue::List(list) => visit_list(list, visitor),
            JsonValue::Map(map) => visit_map(map, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self {
            JsonValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        let (name, data) = match self {
            JsonValue::Text(name) => (name, None),
            JsonValue::Map(map) if map.len() == 1 => {
                let (name, data) = map.iter().next().expect("it has one");
                (name, Some(data))
            }
            other => return Err(Error::invalid_type(unexpected(other), &"a variant's name, or a map of it alone")),
        };
        visitor.visit_enum(Variant { name, data })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// The name of an enum's variant, and its data.
struct Variant<'de> {
    name: &'de str,
    data: Option<&'de JsonValue>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = JsonError;
    type Variant = Variant<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Read<(S::Value, Variant<'de>)> {
        let name: StrDeserializer<'_, JsonError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> Variant<'de> {
    fn unexpected(&self) -> Unexpected<'de> {
        self.data.map_or(Unexpected::UnitVariant, unexpected)
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = JsonError;

    fn unit_variant(self) -> Read<()> {
        match self.data {
            None | Some(JsonValue::Null) => Ok(()),
            Some(data) => Err(Error::invalid_type(unexpected(data), &"a variant without data")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Read<S::Value> {
        match self.data {
            Some(data) => seed.deserialize(data),
            None => Err(Error::invalid_type(self.unexpected(), &"a variant with a value")),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Read<V::Value> {
        match self.data {
            Some(JsonValue::List(list)) => visit_list(list, visitor),
            _ => Err(Error::invalid_type(self.unexpected(), &"a variant with a list of values")),
        }
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Read<V::Value> {
        match self.data {
            Some(JsonValue::Map(map)) => visit_map(map, visitor),
            Some(JsonValue::List(list)) => visit_list(list, visitor),
            _ => Err(Error::invalid_type(self.unexpected(), &"a variant with fields")),
        }
    }
}

/// A key of an object: a text, or what a map of another type has written as one.
struct Key<'de>(&'de str);

impl<'de> IntoDeserializer<'de, JsonError> for Key<'de> {
    type Deserializer = Key<'de>;

    fn into_deserializer(self) -> Key<'de> {
        self
    }
}

macro_rules! keys {
    ($($method:ident)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
                match JsonValue::parse(self.0) {
                    Ok(JsonValue::Integer(number)) => match u64::try_from(number) {
                        Ok(number) => visitor.visit_u64(number),
                        Err(_) => visitor.visit_i64(i64::try_from(number).unwrap_or_default()),
                    },
                    Ok(JsonValue::Float(number)) => visitor.visit_f64(number),
                    Ok(JsonValue::Bool(is)) => visitor.visit_bool(is),
                    _ => self.deserialize_any(visitor),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        visitor.visit_enum(Variant { name: self.0, data: None })
    }

    keys! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
