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
