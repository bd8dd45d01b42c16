//! Statements that tell the library names in items: see `told.rs`.

use super::mentions::plain;
use super::program::{Definition, krate};
use super::told::Told;
use std::ops::Range;

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
