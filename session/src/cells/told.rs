//! Names in items that the library is told, because no value has them at run time: see `mobula::__private::tell`.
//!
//! ```text
//!   fn area(width: f64, height: f64)      ─▶ ("cells_3::area", Function { parameters: &["width", "height"] })
//!   #[derive(Debug)] struct P { x: i64 }  ─▶ ("cells_3::P", Struct { parameters: &[], fields: &[("x", "i64")] })
//! ```
//!
//! The next cell that runs tells them. An initialiser in the unit would do so where a worker opens it, too, but a library that has one is
//! not relocated (`cellhost/relocate.rs`), and each fork would take longer.

use super::mentions::{mentioned, name_of_parameter, plain};
use super::program::{Definition, krate};
use quote::ToTokens;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::{Attribute, Fields, FnArg, GenericParam, Item};

/// What the library is told of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The names of a function's parameters; empty for a pattern.
    Parameters(Vec<String>),
    /// The names of a struct's own parameters, and its fields with the places of their types.
    Fields(Vec<String>, Vec<(String, Range<usize>)>),
}

impl Told {
    /// Reads an item: a function with parameters, or a struct whose values are shown with the names of its fields.
    pub fn of(item: &Item) -> Option<Told> {
        match item {
            Item::Fn(item) if !item.sig.inputs.is_empty() => {
                let names = item.sig.inputs.iter().map(|input| match input {
                    FnArg::Typed(input) => name_of_parameter(&input.pat),
                    FnArg::Receiver(_) => String::new(),
                });
                Some(Told::Parameters(names.collect()))
            }
            Item::Struct(item) if item.attrs.iter().any(derives_debug) => {
                let Fields::Named(fields) = &item.fields else { return None };
                let named = fields.named.iter().filter_map(|field| {
                    let name = field.ident.as_ref()?.to_string();
                    Some((plain(&name).to_owned(), field.ty.span().byte_range()))
                });
                let parameters = item.generics.params.iter().filter_map(|parameter| match parameter {
                    GenericParam::Type(parameter) => Some(parameter.ident.to_string()),
                    GenericParam::Const(parameter) => Some(parameter.ident.to_string()),
                    GenericParam::Lifetime(_) => None,
                });
                Some(Told::Fields(parameters.collect(), named.collect()))
            }
            _ => None,
        }
    }
}

fn derives_debug(attribute: &Attribute) -> bool {
    attribute.path().is_ident("derive") && mentioned(attribute.meta.to_token_stream()).contains("Debug")
}

/// The statement that tells the library of compiled definitions; empty if there is nothing to tell.
pub fn statement<'a>(definitions: impl Iterator<Item = (u32, &'a Definition)>) -> String {
    let entries: Vec<String> = definitions.filter_map(|(unit, definition)| entry(unit, definition)).collect();
    match entries.is_empty() {
        true => String::new(),
        false => format!("::mobula::__private::tell(&[{}]); ", entries.join(", ")),
    }
}

fn entry(unit: u32, definition: &Definition) -> Option<String> {
    let told = match definition.part.told.as_ref()? {
        Told::Parameters(names) => format!("Function {{ parameters: &{names:?} }}"),
        Told::Fields(parameters, fields) => {
            let written = |place: &Range<usize>| definition.code[place.clone()].split_whitespace().collect::<Vec<_>>();
            let fields: Vec<_> = fields.iter().map(|(name, place)| (name, written(place).join(" "))).collect();
            format!("Struct {{ parameters: &{parameters:?}, fields: &{fields:?} }}")
        }
    };
    let (_, name) = definition.part.names().last()?;
    Some(format!("({:?}, ::mobula::__private::Told::{told})", format!("{}::{}", krate(unit), plain(name))))
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::super::program::Stage;
    use super::*;
    use crate::event::CellId;

    fn told(code: &str) -> String {
        let parts = parse_cell(code).unwrap().items;
        let definitions = parts.into_iter().map(|part| Definition {
            owner: CellId(1),
            cell: CellId(1),
            code: code.into(),
            part,
            superseded: Vec::new(),
            stage: Stage::Compiled(3),
            symbol: None,
        });
        statement(definitions.collect::<Vec<_>>().iter().map(|definition| (3, definition)))
    }

    #[test]
    fn functions_have_parameters_and_structs_have_fields_with_types() {
        let entry = |text: &str| format!("::mobula::__private::tell(&[{text}]); ");
        assert_eq!(
            told("fn area(width: f64, (a, b): (u8, u8), r#mut: u8) {}"),
            entry(r#"("cells_3::area", ::mobula::__private::Told::Function { parameters: &["width", "", "mut"] })"#)
        );
        assert_eq!(
            told("#[derive(Clone, std::fmt::Debug)]\nstruct P<'a, T> { x: &'a str, y: Option<\n  T> }"),
            entry(
                r#"("cells_3::P", ::mobula::__private::Told::Struct { parameters: &["T"], fields: &[("x", "&'a str"), ("y", "Option< T>")] })"#
            )
        );
    }

    #[test]
    fn of_other_items_nothing_is_told() {
        for code in ["fn f() {}", "struct P { x: u8 }", "#[derive(Debug)] struct P(u8);", "const A: u8 = 1;"] {
            assert_eq!(told(code), "", "{code}");
        }
    }
}
