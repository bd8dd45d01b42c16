//! The form of a type, as serde sees it: what two sessions compare before one reads what the other has published.
//!
//! ```text
//!   T::deserialize(tracer) ── "a struct `P` with `x` and `kind`" ──▶ an i64 here, an enum `Kind` there … ──▶ P { x: i64, kind: Kind }
//! ```
//!
//! The tracer gives each visitor made-up values and notes what was asked for. It visits an enum once for each variant. What does not take made-up
//! values (arrays, references, types that check what they read) stands under its name.

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// How often a type is traced at most, for the variants of its enums.
const TRACES_MAX: usize = 256;
/// How deep a type is traced.
const DEPTH_MAX: usize = 24;

/// The form of a type: of two types of equal forms, either can be read as the other. On one line, such as `P { x: i64, kind: Kind } where Kind =
/// A | B(String)`.
pub(crate) fn schema<T: DeserializeOwned>() -> String {
    let mut notes = Notes::default();
    let (mut whole, mut is_traced) = (String::new(), true);
    for _ in 0..TRACES_MAX {
        let mut text = String::new();
        let traced = T::deserialize(Tracer { notes: &mut notes, text: &mut text, depth: 0 });
        is_traced = traced.is_ok();
        if whole.is_empty() {
            whole = text;
        }
        if !is_traced || notes.enums.values().all(|of| of.variants.len() == of.count) {
            break;
        }
    }
    let mut between = " where ";
    let structs =
        notes.structs.iter().filter(|(name, _)| !whole.starts_with(*name)).map(|(name, text)| (name, text.clone()));
    let enums =
        notes.enums.iter().map(|(name, of)| (name, of.variants.values().cloned().collect::<Vec<_>>().join(" | ")));
    let definitions: Vec<_> = structs.chain(enums).collect();
    if let Some(own) = notes.structs.get(&whole) {
        whole = own.clone();
    }
    if !is_traced {
        let _ = write!(whole, " as {}", short_name(std::any::type_name::<T>()));
    }
    for (name, text) in definitions {
        if text.starts_with(&format!("{name} ")) || text.starts_with(&format!("{name}(")) {
            let _ = write!(whole, "{between}{text}");
        } else {
            let _ = write!(whole, "{between}{name} = {text}");
        }
        between = ", ";
    }
    whole
}

/// A type's name without the paths of modules, because a type of a cell has another crate in each session.
fn short_name(full: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for letter in full.chars() {
        match letter {
            ':' => word.clear(),
            letter if letter.is_alphanumeric() || letter == '_' => word.push(letter),
            letter => {
                short += &std::mem::take(&mut word);
                short.push(letter);
            }
        }
    }
    short + &word
}

/// What was found of named types.
#[derive(Default)]
struct Notes {
    structs: BTreeMap<String, String>,
    enums: BTreeMap<String, Variants>,
    /// The structs and enums that are being traced.
    within: Vec<String>,
}

/// Variants of an enum, by their place.
struct Variants {
    count: usize,
    variants: BTreeMap<usize, String>,
}

/// The error of a type that does not take a made-up value.
#[derive(Debug)]
struct Untraced;

impl fmt::Display for Untraced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type takes no made-up value")
    }
}

impl std::error::Error for Untraced {}

impl serde::de::Error for Untraced {
    fn custom<T: fmt::Display>(_message: T) -> Untraced {
        Untraced
    }
}

/// Writes the form of what it is asked for to `text`.
struct Tracer<'a> {
    notes: &'a mut Notes,
    text: &'a mut String,
    depth: usize,
}

impl Tracer<'_> {
    fn inner(&mut self) -> Tracer<'_> {
        Tracer { notes: self.notes, text: self.text, depth: self.depth + 1 }
    }

    /// So many elements, or these fields, of what is traced here.
    fn elements(&mut self, left: usize, fields: Option<&'static [&'static str]>) -> Elements<'_> {
        Elements { tracer: self.inner(), left, fields, separator: "" }
    }

    /// Notes a primitive.
    fn plain(&mut self, name: &str) {
        self.text.push_str(name);
    }

    /// Notes a struct with the text that `trace` writes of what is in it.
    fn named<V>(self, name: &str, trace: impl FnOnce(Tracer<'_>) -> Result<V, Untraced>) -> Result<V, Untraced> {
        let Tracer { notes, text, depth } = self;
        text.push_str(name);
        let mut definition = name.to_owned();
        notes.within.push(name.to_owned());
        let traced = trace(Tracer { notes, text: &mut definition, depth: depth + 1 });
        notes.within.pop();
        notes.structs.entry(name.to_owned()).or_insert(definition);
        traced
    }
}

/// A method for a primitive.
macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $name:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Untraced> {
            self.plain($name);
            visitor.$visit($value)
        }
    )+};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Untraced;

    plain! {
        deserialize_bool visit_bool true, "bool";
        deserialize_i8 visit_i8 1, "i8";
        deserialize_i16 visit_i16 1, "i16";
        deserialize_i32 visit_i32 1, "i32";
        deserialize_i64 visit_i64 1, "i64";
        deserialize_i128 visit_i128 1, "i128";
        deserialize_u8 visit_u8 1, "u8";
        deserialize_u16 visit_u16 1, "u16";
        deserialize_u32 visit_u32 1, "u32";
        deserialize_u64 visit_u64 1, "u64";
        deserialize_u128 visit_u128 1, "u128";
        deserialize_f32 visit_f32 1.0, "f32";
        deserialize_f64 visit_f64 1.0, "f64";
        deserialize_char visit_char 'a', "char";
        deserialize_str visit_str "", "str";
        deserialize_string visit_string String::new(), "String";
        deserialize_bytes visit_bytes &[], "bytes";
        deserialize_byte_buf visit_byte_buf Vec::new(), "bytes";
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Untraced> {
        self.plain("()");
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Untraced> {
        Err(Untraced)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Untraced> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Untraced> {
        visitor.visit_u32(0)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Untraced> {
        self.plain("Option<");
        if self.depth >= DEPTH_MAX {
            self.plain("…>");
            return visitor.visit_none();
        }
        let end = &mut String::new();
        std::mem::swap(end, self.text);
        let value = visitor.visit_some(Tracer { notes: self.notes, text: end, depth: self.depth + 1 });
        *self.text = std::mem::take(end);
        self.plain(">");
        value
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Untraced> {
        self.named(name, |_| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Untraced> {
        self.named(name, |mut within| {
            within.plain("(");
            let Tracer { notes, text, depth } = within;
            let value = visitor.visit_newtype_struct(Tracer { notes, text: &mut *text, depth: depth + 1 });
            text.push(')');
            value
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Untraced> {
        self.plain("[");
        let is_deep = self.depth >= DEPTH_MAX;
        let value = visitor.visit_seq(self.elements(usize::from(!is_deep), None));
        self.plain("]");
        value
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Untraced> {
        self.plain("(");
        let value = visitor.visit_seq(self.elements(len, None));
        self.plain(")");
        value
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Untraced> {
        self.named(name, |within| within.deserialize_tuple(len, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Untraced> {
        self.plain("{");
        let is_deep = self.depth >= DEPTH_MAX;
        let value = visitor.visit_map(self.elements(usize::from(!is_deep), None));
        self.plain("}");
        value
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Untraced> {
        self.named(name, |mut within| {
            within.plain(" { ");
            let value = visitor.visit_seq(within.elements(fields.len(), Some(fields)));
            within.plain(" }");
            value
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Untraced> {
        let Tracer { notes, text, depth } = self;
        text.push_str(name);
        let count = variants.len();
        let known = notes.enums.entry(name.to_owned()).or_insert(Variants { count, variants: BTreeMap::new() });
        // A recursive enum ends with one that was traced before, or with the first, which people write first for that.
        let is_within = notes.within.iter().any(|outer| outer == name) || depth >= DEPTH_MAX;
        let next = (0..count).find(|at| !known.variants.contains_key(at)).filter(|_| !is_within).unwrap_or(0);
        let Some(variant) = variants.get(next) else { return Err(Untraced) };
        let mut definition = (*variant).to_owned();
        notes.within.push(name.to_owned());
        let tracer = Tracer { notes, text: &mut definition, depth: depth + 1 };
        let value = visitor.visit_enum(Variant { index: next as u32, tracer });
        notes.within.pop();
        if let Some(known) = notes.enums.get_mut(name) {
            known.variants.entry(next).or_insert(definition);
        }
        value
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Elements of a sequence, fields of a struct, or entries of a map.
struct Elements<'a> {
    tracer: Tracer<'a>,
    left: usize,
    fields: Option<&'static [&'static str]>,
    separator: &'static str,
}

impl Elements<'_> {
    fn trace<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Untraced> {
        let before = self.tracer.text.len();
        let value = seed.deserialize(self.tracer.inner());
        if value.is_err() && self.tracer.text.len() == before {
            let name = short_name(std::any::type_name::<S::Value>());
            self.tracer.plain(&name);
        }
        value
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Untraced;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Untraced> {
        if self.left == 0 {
            return Ok(None);
        }
        let separator = std::mem::replace(&mut self.separator, ", ");
        self.tracer.plain(separator);
        if let Some(fields) = self.fields {
            let name = fields[fields.len() - self.left];
            self.tracer.plain(name);
            self.tracer.plain(": ");
        }
        self.left -= 1;
        self.trace(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Untraced;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Untraced> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.trace(seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Untraced> {
        self.tracer.plain(": ");
        self.trace(seed)
    }
}

/// One variant of an enum.
struct Variant<'a> {
    index: u32,
    tracer: Tracer<'a>,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Untraced;
    type Variant = Tracer<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Tracer<'a>), Untraced> {
        let index: U32Deserializer<Untraced> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self.tracer))
    }
}

impl<'de> VariantAccess<'de> for Tracer<'_> {
    type Error = Untraced;

    fn unit_variant(self) -> Result<(), Untraced> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Untraced> {
        self.plain("(");
        let value = seed.deserialize(self.inner());
        self.plain(")");
        value
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Untraced> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Untraced> {
        self.plain(" { ");
        let value = visitor.visit_seq(self.elements(fields.len(), Some(fields)));
        self.plain(" }");
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Point {
        x: i64,
        name: Option<String>,
        kinds: Vec<Kind>,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Kind {
        Plain,
        Sized(f64, u8),
        Named { by: String },
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Tree {
        Leaf,
        Node(Box<Tree>, Box<Tree>),
    }

    #[test]
    fn plain_values_stand_under_their_names() {
        assert_eq!(schema::<i64>(), "i64");
        assert_eq!(schema::<(u8, Vec<String>)>(), "(u8, [String])");
        assert_eq!(schema::<Option<bool>>(), "Option<bool>");
        assert_eq!(schema::<std::collections::BTreeMap<String, f32>>(), "{String: f32}");
    }

    #[test]
    fn a_struct_has_its_fields_and_an_enum_all_its_variants() {
        assert_eq!(
            schema::<Point>(),
            "Point { x: i64, name: Option<String>, kinds: [Kind] } where Kind = Plain | Sized(f64, u8) | Named { by: String }"
        );
    }

    #[test]
    fn a_type_that_contains_itself_has_an_end() {
        assert_eq!(schema::<Tree>(), "Tree where Tree = Leaf | Node(Tree, Tree)");
    }

    #[test]
    fn what_takes_no_made_up_value_stands_under_its_name() {
        assert!(schema::<std::net::IpAddr>().contains("IpAddr"));
        #[derive(Deserialize)]
        #[allow(dead_code)]
        struct Refers {
            first: crate::ObjectRef<i64>,
        }
        assert!(schema::<Refers>().contains("first: ObjectRef<i64>"), "{}", schema::<Refers>());
    }

    #[test]
    fn the_path_of_a_cell_is_no_part_of_a_name() {
        assert_eq!(short_name("cells_3::P<alloc::vec::Vec<cells_4::Q>>"), "P<Vec<Q>>");
    }
}
