//! Types of a table's columns, read from the name of the table's type.
//!
//! ```text
//!   &Result<HashMap<String, i64>, E> ─▶ HashMap<String, i64> ─▶ String, i64
//!   Vec<[f64; 3]>                    ─▶ f64
//! ```

use crate::abi::shorten;
use crate::item_names;

/// Types that hold values of the type that is their first argument.
const HOLDERS: [&str; 16] = [
    "Vec",
    "VecDeque",
    "Box",
    "Arc",
    "Rc",
    "Result",
    "Option",
    "ArrayBase",
    "OwnedRepr",
    "OwnedArcRepr",
    "ViewRepr",
    "CowRepr",
    "Array",
    "Buffer",
    "BTreeSet",
    "HashSet",
];

/// Whether the value is an array of `ndarray` or of ours, which abbreviates itself.
pub(super) fn is_array(type_name: &str) -> bool {
    let name = type_name.trim_start_matches('&').trim_start_matches("mut ");
    let (path, _) = name.split_once('<').unwrap_or((name, ""));
    path.starts_with("ndarray::") && path.ends_with("ArrayBase")
        || path.starts_with("mobula::array::") && path.ends_with("Array")
}

/// The type of the values in all holders around them; empty for an unknown one.
pub(super) fn innermost(type_name: &str) -> String {
    shorten(element(type_name))
}

/// The same, with its path.
fn element(type_name: &str) -> &str {
    let mut name = type_name.trim();
    loop {
        let bare = name.trim_start_matches('&').trim_start_matches("mut ");
        if let Some(inside) = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')) {
            name = arguments(inside, ';').first().copied().unwrap_or_default();
            continue;
        }
        match bare.split_once('<') {
            Some((holder, rest)) if HOLDERS.contains(&last_word(holder)) => {
                name = arguments(rest.strip_suffix('>').unwrap_or(rest), ',').first().copied().unwrap_or_default();
                if last_word(holder) == "ViewRepr" {
                    name = name.trim_start_matches('&').trim_start_matches("mut ");
                }
            }
            _ => return name,
        }
    }
}

fn last_word(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// The types of a struct's fields; empty for those that are not known.
pub(super) fn of_a_struct(type_name: &str, fields: &[String]) -> Vec<String> {
    let name = element(type_name).trim_start_matches('&').trim_start_matches("mut ");
    let (parameters, known) = item_names::fields(name);
    let inside = name.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or_default();
    let given: Vec<(&str, &str)> = parameters.iter().copied().zip(arguments(inside, ',')).collect();
    let type_of = |field: &String| {
        let written = known.iter().find(|(name, _)| name == field).map_or("", |(_, written)| written);
        shorten(&with_arguments(written, &given))
    };
    fields.iter().map(type_of).collect()
}

/// A type as it is written in a generic struct, with the struct's arguments.
fn with_arguments(written: &str, given: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let is_in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_in_word(c) != is_in_word(first)).unwrap_or(rest.len());
        let word = &rest[..end];
        text.push_str(given.iter().find(|(name, _)| *name == word).map_or(word, |(_, argument)| argument));
        rest = &rest[end..];
    }
    text
}

/// The types of a map's keys and values; empty for an unknown map.
pub(super) fn of_a_map(type_name: &str) -> [String; 2] {
    let map = innermost(type_name);
    let inside = map.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or_default();
    let mut arguments = arguments(inside, ',').into_iter().map(str::to_owned);
    match (arguments.next(), arguments.next()) {
        (Some(key), Some(value)) => [key, value],
        _ => Default::default(),
    }
}

/// The types of a tuple's fields; empty if it has another number of them.
pub(super) fn of_a_tuple(tuple: &str, fields: usize) -> Vec<String> {
    let inside = tuple.strip_prefix('(').and_then(|tuple| tuple.strip_suffix(')')).unwrap_or_default();
    let types = arguments(inside, ',');
    if types.len() == fields { types.into_iter().map(str::to_owned).collect() } else { vec![String::new(); fields] }
}

/// The parts between the separators outside of brackets.
fn arguments(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut from) = (0_usize, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            // An arrow is no bracket.
            '>' if text[..at].ends_with('-') => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    let last = text[from..].trim();
    parts.extend((!last.is_empty()).then_some(last));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_lists_arrays_and_references() {
        let array = ndarray::Array2::<f32>::zeros((1, 1));
        assert_eq!(innermost(std::any::type_name_of_val(&array)), "f32");
        assert_eq!(innermost(std::any::type_name_of_val(&array.view())), "f32");
        assert_eq!(innermost("&alloc::vec::Vec<[f64; 3]>"), "f64");
        assert_eq!(innermost("alloc::vec::Vec<(i64, alloc::string::String)>"), "(i64, String)");
        assert_eq!(innermost("core::result::Result<alloc::vec::Vec<cells_1::P>, mobula::GetError>"), "P");
    }

    #[test]
    fn fields_of_a_struct_have_the_types_that_are_told_of_it() {
        use crate::item_names::{Told, tell};
        const FIELDS: &[(&str, &str)] =
            &[("name", "&'static str"), ("parts", "std::vec::Vec<T>"), ("length", "[u8; N]")];
        tell(&[("cells_7::Row", Told::Struct { parameters: &["T", "N"], fields: FIELDS })]);
        let names = ["parts", "name", "length", "other"].map(str::to_owned);
        let types = ["Vec<Option<f64>>", "&'static str", "[u8; 3]", ""];
        let rows = "core::result::Result<alloc::vec::Vec<&cells_7::Row<core::option::Option<f64>, 3>>, cells_7::Error>";
        assert_eq!(of_a_struct(rows, &names), types);
        assert_eq!(of_a_struct("alloc::vec::Vec<cells_8::Row>", &names), [""; 4]);
    }

    #[test]
    fn a_map_has_the_types_of_its_arguments() {
        let map = std::collections::HashMap::<String, Vec<(u8, f64)>>::new();
        assert_eq!(of_a_map(std::any::type_name_of_val(&map)), ["String", "Vec<(u8, f64)>"]);
        assert_eq!(of_a_map("ctx::Own"), ["", ""]);
        assert_eq!(of_a_tuple("(i64, fn(u8) -> u8)", 2), ["i64", "fn(u8) -> u8"]);
        assert_eq!(of_a_tuple("(i64, u8)", 3), ["", "", ""]);
    }

    #[test]
    fn arrays_are_known_by_their_crate() {
        let array = ndarray::Array1::<f32>::zeros(1);
        assert!(
            is_array(std::any::type_name_of_val(&&array))
                && is_array(std::any::type_name::<crate::Array<f64, ndarray::Ix1>>())
        );
        assert!(!is_array("alloc::vec::Vec<ndarray::ArrayBase<f64>>") && !is_array("[f64; 3]"));
    }
}
