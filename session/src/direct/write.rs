//! The texts that the compiler reads, from the pieces of a cell.
//!
//! ```text
//!   cell 7      prefix │ the cell's lines, without its items │ suffix       one function; the line numbers are the cell's
//!   cells_3.rs  prefix, include!("cell 5"); include!("cell 7")              a unit
//!     cell 5      the cell's lines, of which only items are left            the line numbers are the cell's
//! ```

use super::book::{Source, Standing};
use super::cut::{Cut, Edit, Part};
use super::edited::{Edited, Glue};
use super::last;
use super::plan::Plan;
use super::rustc::entry;
use crate::base::CRATE;
use crate::event::CellId;
use std::ops::Range;

/// What every cell finds in scope without asking. A glob, so that it gives way to whatever a cell defines or imports.
const PRELUDE: &str = "use mobula::__private::prelude::*;";

/// What a cell's statements stand in.
pub enum Within {
    /// Nothing more.
    Nothing,
    /// A runtime for futures, on which they can start some; the function that enters it.
    Runtime(String),
    /// A future; the function that runs it.
    Future(String),
}

/// The text of a cell's function.
pub fn cell(number: CellId, code: &str, cut: &Cut, imports: &str, plan: &Plan, within: &Within) -> Edited {
    let mut text = Edited::new(number, code);
    for attribute in &cut.attributes {
        text.copy(attribute.clone());
        text.generated(" ");
    }
    text.generated(&format!("extern crate {CRATE} as _; {PRELUDE} {imports} "));
    text.generated(&format!(
        "#[unsafe(no_mangle)] unsafe extern \"C\" fn {}(store: *mut *mut ::core::ffi::c_void, last: u32) -> u32 {{ \
         let mobula_variables = unsafe {{ ::mobula::__private::Variables::at(store, last) }}; ",
        entry(number)
    ));
    for (name, variable) in &plan.takes {
        let word = if variable.is_mut { "mut " } else { "" };
        match &variable.standing {
            Standing::Function(path) => text.glue(Glue::Take(name.clone()), &format!("let {word}{name} = {path}; ")),
            _ => text.glue(
                Glue::Take(name.clone()),
                &format!(
                    "let {word}{name}: {ty} = unsafe {{ mobula_variables.take::<{ty}>({name:?}) }}; ",
                    ty = variable.ty
                ),
            ),
        }
    }
    text.generated(
        "let mobula_end = ::mobula::__private::run(|| -> ::core::result::Result<(), ::mobula::__private::Failed> { ",
    );
    match within {
        Within::Nothing => {}
        Within::Runtime(enter) => text.generated(&format!("let _mobula_entered = {enter}(); ")),
        Within::Future(block_on) => text.generated(&format!("{block_on}(async {{ ")),
    }
    for (name, variable) in &plan.empty {
        let word = if variable.is_mut { "mut " } else { "" };
        text.glue(Glue::Take(name.clone()), &format!("let {word}{name}: {}; ", variable.ty));
    }
    statements(&mut text, code, cut, plan);
    text.generated(" ; ");
    for name in &plan.types {
        text.glue(Glue::Type(name.clone()), &format!("let _ = &{name} as &_; "));
    }
    let assigned = plan.empty.iter().filter(|(_, variable)| variable.standing != Standing::Kept).map(|(name, _)| name);
    for name in plan.puts.iter().chain(assigned) {
        text.glue(Glue::Put(name.clone()), &format!("mobula_variables.put({name:?}, {name}); "));
    }
    text.generated("::core::result::Result::Ok(())");
    if matches!(within, Within::Future(_)) {
        text.generated(" })");
    }
    text.generated(" }); ");
    for (name, variable) in &plan.takes {
        if variable.standing == Standing::Kept && !plan.moves.contains(name) {
            text.glue(Glue::PutBack(name.clone()), &format!("mobula_variables.put_back({name:?}, {name}); "));
        }
    }
    let end = if plan.moves.is_empty() { "end" } else { "end_moving" };
    text.generated(&format!("::mobula::__private::{end}(mobula_variables, mobula_end) }}\n"));
    text
}

/// The cell's code without its items; the shown expression is shown.
fn statements(text: &mut Edited, code: &str, cut: &Cut, plan: &Plan) {
    let mut at = 0;
    let mut holes: Vec<_> =
        cut.items.iter().map(|item| item.range.clone()).chain(cut.attributes.iter().cloned()).collect();
    holes.extend(inner_comments(code));
    holes.sort_by_key(|hole| hole.start);
    for hole in holes {
        copy(text, at..hole.start, cut);
        text.blank(hole.clone());
        at = hole.end;
    }
    match cut.shown.as_ref().filter(|_| !plan.hides) {
        Some(shown) => {
            copy(text, at..shown.start, cut);
            text.generated(if plan.keeps { "match " } else { "" });
            // The compiler says of what is called there that it is at the bracket.
            let first = code[shown.clone()].chars().next().map_or(0, char::len_utf8);
            text.replaced(shown.start..shown.start + first, "(");
            copy(text, shown.clone(), cut);
            if plan.keeps {
                let name = last::NAME;
                text.generated(") { ");
                let keep = format!(
                    "mut {name} => {{ let _ = &{name} as &_; {name}.evcxr_display(); \
                     unsafe {{ mobula_variables.keep({name}) }} }} }}"
                );
                text.glue(Glue::Type(name.into()), &keep);
            } else {
                text.generated(").evcxr_display();");
            }
            copy(text, shown.end..code.len(), cut);
        }
        None => {
            if let Some(end) = cut.open_end {
                copy(text, at..end, cut);
                text.generated(";");
                at = end;
            }
            copy(text, at..code.len(), cut);
        }
    }
    // The last line may be a comment.
    text.generated("\n");
}

/// The cell's code, with what `_` stands for in its place.
fn copy(text: &mut Edited, range: Range<usize>, cut: &Cut) {
    let mut at = range.start;
    for last in cut.last.iter().filter(|last| range.start <= last.start && last.end <= range.end) {
        text.copy(at..last.start);
        text.replaced(last.clone(), &cut.last_means);
        at = last.end;
    }
    text.copy(at..range.end);
}

/// Comments of the form `//!` at the beginning, which would speak of what they stand in.
fn inner_comments(code: &str) -> Vec<Range<usize>> {
    let mut holes = Vec::new();
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        let start = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("//!") {
            holes.push(at + start..at + line.trim_end().len());
        } else if !line.trim().is_empty()
            && !line.trim_start().starts_with("//")
            && !line.trim_start().starts_with("#!")
        {
            break;
        }
        at += line.len();
    }
    holes
}

/// A cell's code of which only these items are left, visible to other crates.
pub fn items(source: &Source) -> Edited {
    let mut text = Edited::new(source.cell, &source.code);
    let mut parts: Vec<&Part> = source.items.iter().collect();
    parts.sort_by_key(|part| part.range.start);
    let mut at = 0;
    for part in parts {
        text.blank(at..part.range.start);
        at = part.range.start;
        let mut edits: Vec<&Edit> = part.edits.iter().collect();
        edits.sort_by_key(|edit| edit.range.start);
        for edit in edits {
            text.copy(at..edit.range.start);
            text.generated(edit.text);
            at = edit.range.end;
        }
        text.copy(at..part.range.end);
        at = part.range.end;
    }
    text.blank(at..source.code.len());
    text.generated("\n");
    text
}

/// A unit's root.
pub fn unit(sources: &[Source], imports: &str) -> String {
    let mut text = format!("extern crate {CRATE} as _;\n{PRELUDE}\n{imports}\n");
    for source in sources {
        text.push_str(&format!("include!({:?});\n", file_name(source.cell)));
    }
    text
}

/// What the compiler calls the source of a cell; what it says in the panics of the cell, too.
pub fn file_name(cell: CellId) -> String {
    format!("cell {cell}")
}

#[cfg(test)]
mod tests {
    use super::super::cut::cut;
    use super::*;

    #[test]
    fn the_lines_of_a_cell_stay_where_they_are() {
        let code = "let x = 1;\nfn f() -> i64 {\n    1\n}\n// shown:\nf() + x // end";
        let cut = cut(code).unwrap();
        let plan = Plan { puts: vec!["x".into()], types: vec!["x".into()], ..Plan::default() };
        let text = cell(CellId(7), code, &cut, "", &plan, &Within::Nothing).text;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("let x = 1;"));
        assert_eq!(lines[1].trim(), "");
        assert!(lines[5].starts_with("(f() + x).evcxr_display(); // end"), "{}", lines[5]);
        let source = Source { cell: CellId(7), code: code.into(), items: cut.items, imports: Vec::new() };
        let text = items(&source).text;
        assert_eq!(text.lines().nth(1).unwrap(), "pub fn f() -> i64 {");
    }
}
