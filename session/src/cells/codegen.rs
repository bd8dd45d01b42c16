//! The texts that the compiler reads, made from the pieces of a cell.
//!
//! ```text
//!   cell 7      prefix │ the cell's lines, without its items │ suffix       one function; the line numbers are the cell's
//!   cells_3.rs  prefix, include!("macros/cell 7"); include!("cell 5"); …    a unit
//!     cell 5      the cell's lines, of which only items are left            the line numbers are the cell's
//! ```

use super::edit::Edit;
use super::item::Part;
use super::last_value;
use super::parse::{Let, ParsedCell};
use super::plan::Plan;
use super::program::{Line, krate};
use super::rewrite::{self, Rewrite};
use super::rustc::entry;
use super::session_state::Standing;
use crate::base::CRATE;
use crate::event::CellId;
use crate::reports::source_map::{Edited, Glue};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What every cell has in scope. A glob import, because whatever a cell defines or imports takes precedence over it.
const PRELUDE: &str = "use mobula::__private::prelude::*;";

/// Takes the traits that show values out of scope: a definition takes precedence over a glob import.
const NOT_SHOWN_BY_OURS: &str = "#[allow(dead_code)] mod DisplayDebug {} #[allow(dead_code)] mod DisplayAny {} ";

/// The surroundings of a cell's statements.
pub enum Within {
    /// Nothing more.
    Nothing,
    /// A runtime for futures, on which they can start tasks; carries the function that enters it.
    Runtime(String),
    /// A future; carries the function that runs it.
    Future(String),
}

/// The text of a cell's function.
pub fn cell(number: CellId, code: &str, parsed: &ParsedCell, imports: &str, plan: &Plan, within: &Within) -> Edited {
    let mut text = Edited::new(number, code);
    // Lints apply to the person's code, not to the glue around it.
    let (lints, others): (Vec<_>, Vec<_>) =
        parsed.attributes.iter().cloned().partition(|range| is_lint(&code[range.clone()]));
    for attribute in others {
        text.copy(attribute);
        text.generated(" ");
    }
    text.generated(&format!("extern crate {CRATE} as _; {PRELUDE} {imports} "));
    if plan.shown_by_theirs {
        text.generated(NOT_SHOWN_BY_OURS);
    }
    text.generated(&format!(
        "#[unsafe(no_mangle)] extern \"C\" fn {}(store: *mut *mut ::core::ffi::c_void, last: u32) -> u32 {{ \
         let mobula_variables = unsafe {{ ::mobula::__private::Variables::at(store, last) }}; {}",
        entry(number),
        plan.tells
    ));
    for (name, variable) in &plan.takes {
        let word = if variable.is_mut { "mut " } else { "" };
        match &variable.standing {
            Standing::Function(path) => text.glue(Glue::Take(name.clone()), &format!("let {word}{name} = {path}; ")),
            _ => text.glue(
                Glue::Take(name.clone()),
                &format!("let {word}{name}: {ty} = mobula_variables.take::<{ty}>({name:?}); ", ty = variable.ty),
            ),
        }
    }
    for lint in lints {
        text.copy(lint.start..lint.start + 1);
        text.copy(lint.start + 2..lint.end);
        text.generated(" ");
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
    statements(&mut text, code, parsed, plan);
    text.generated(" ; ");
    for name in parsed.lets.iter().filter(|made| !is_asked_at_once(made, code)).flat_map(|made| &made.names) {
        ask(&mut text, plan, name);
    }
    // Scopes end in reverse order, as at the end of a block, and each kept variable is moved out in its turn.
    for (at, made) in parsed.lets.iter().enumerate().rev() {
        for name in made.names.iter().rev().filter(|name| plan.is_put(&parsed.lets, at, name)) {
            put(&mut text, name);
        }
        if plan.ends(&parsed.lets, at) {
            text.generated("} ");
        }
    }
    let assigned = plan.empty.iter().filter(|(_, variable)| variable.standing != Standing::Kept).map(|(name, _)| name);
    assigned.for_each(|name| put(&mut text, name));
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

/// Whether an attribute sets a lint's level.
fn is_lint(attribute: &str) -> bool {
    let word = attribute.trim_start_matches(['#', '!', '[', ' ']).split(['(', ' ']).next().unwrap_or_default();
    ["allow", "warn", "deny", "forbid", "expect"].contains(&word)
}

/// Whether the types of the variables that a `let` makes can be asked for right behind it.
fn is_asked_at_once(made: &Let, code: &str) -> bool {
    made.has_value && made.range.end <= code.len()
}

fn ask(text: &mut Edited, plan: &Plan, name: &String) {
    if plan.types.contains(name) {
        text.glue(Glue::Type(name.clone()), &format!("let _ = &{name} as &_; "));
    }
}

fn put(text: &mut Edited, name: &str) {
    text.glue(Glue::Put(name.to_owned()), &format!("mobula_variables.put({name:?}, {name}); "));
}

/// A text that is put into the cell's code.
enum Insert {
    Rewrite(Rewrite),
    /// Asks for the types of the variables that a `let` has made.
    Asks(usize, Vec<String>),
}

impl Insert {
    fn range(&self) -> Range<usize> {
        match self {
            Insert::Rewrite(rewrite) => rewrite.range.clone(),
            Insert::Asks(at, _) => *at..*at,
        }
    }

    /// Whether it belongs to the code before it.
    fn closes(&self) -> bool {
        match self {
            Insert::Rewrite(rewrite) => rewrite.closes,
            Insert::Asks(..) => true,
        }
    }
}

fn inserts(code: &str, parsed: &ParsedCell, plan: &Plan) -> Vec<Insert> {
    let mut all: Vec<Insert> = parsed.rewrites.iter().cloned().map(Insert::Rewrite).collect();
    for last in &parsed.last {
        all.push(Insert::Rewrite(Rewrite { range: last.clone(), text: parsed.last_means.clone(), closes: false }));
    }
    let mut debugged = plan.debugged.clone();
    for found in &parsed.returns {
        let is_debugged = debugged.remove(&found.value.end);
        all.extend(found.rewrites(is_debugged, plan.boxed.contains(&found.value.end)).into_iter().map(Insert::Rewrite));
    }
    all.extend(debugged.into_iter().map(|at| Insert::Rewrite(Rewrite::closing(at, rewrite::DEBUGGED))));
    for (at, made) in parsed.lets.iter().enumerate() {
        if plan.ends(&parsed.lets, at) {
            all.push(Insert::Rewrite(Rewrite::opening(made.range.start, "{ ")));
        }
        if is_asked_at_once(made, code) {
            let later = &parsed.lets[at + 1..];
            let is_last = |name: &&String| !later.iter().any(|made| made.names.contains(name));
            all.push(Insert::Asks(made.range.end, made.names.iter().filter(is_last).cloned().collect()));
        }
    }
    all.sort_by_key(|insert| (insert.range().start, !insert.closes()));
    all
}

/// Writes the cell's code without its items; the shown expression is shown.
fn statements(text: &mut Edited, code: &str, parsed: &ParsedCell, plan: &Plan) {
    let mut at = 0;
    let inserts = inserts(code, parsed, plan);
    let copy = |text: &mut Edited, range: Range<usize>| copy(text, range, &inserts, plan);
    let mut holes: Vec<_> =
        parsed.items.iter().map(|item| item.range.clone()).chain(parsed.attributes.iter().cloned()).collect();
    holes.extend(inner_comments(code));
    holes.sort_by_key(|hole| hole.start);
    for hole in holes {
        copy(text, at..hole.start);
        text.blank(hole.clone());
        at = hole.end;
    }
    match parsed.shown.as_ref().filter(|_| !plan.hides) {
        Some(shown) => {
            copy(text, at..shown.start);
            text.generated(match (plan.keeps, plan.shows_type) {
                (true, _) => "match ",
                (false, true) => "::mobula::__private::show_type(&",
                (false, false) => "",
            });
            // The compiler gives the bracket as the place of the call that shows the value.
            let first = code[shown.clone()].chars().next().map_or(0, char::len_utf8);
            text.replaced(shown.start..shown.start + first, "(");
            copy(text, shown.clone());
            if plan.keeps {
                let name = last_value::NAME;
                text.generated(") { ");
                let keep = format!(
                    "mut {name} => {{ let _ = &{name} as &_; {name}.evcxr_display(); \
                     mobula_variables.keep({name}) }} }}"
                );
                text.glue(Glue::Type(name.into()), &keep);
            } else {
                text.generated(if plan.shows_type { "));" } else { ").evcxr_display();" });
            }
            copy(text, shown.end..code.len());
        }
        None => {
            if let Some(end) = parsed.open_end {
                copy(text, at..end);
                text.generated(";");
                at = end;
            }
            copy(text, at..code.len());
        }
    }
    // The last line may be a comment.
    text.generated("\n");
}

/// Copies a stretch of the cell's code with the texts that are put into it. One at its very end is included if it closes something.
fn copy(text: &mut Edited, range: Range<usize>, inserts: &[Insert], plan: &Plan) {
    let mut at = range.start;
    let is_in = |insert: &&Insert| {
        let place = insert.range();
        let begins = place.start > range.start || (place.start == range.start && !insert.closes());
        begins && (place.end < range.end || (place.end == range.end && (insert.closes() || !place.is_empty())))
    };
    for insert in inserts.iter().filter(is_in) {
        let place = insert.range();
        text.copy(at..place.start);
        at = place.end;
        match insert {
            Insert::Rewrite(rewrite) if place.is_empty() => text.generated(&rewrite.text),
            Insert::Rewrite(rewrite) => text.replaced(place, &rewrite.text),
            Insert::Asks(_, names) => names.iter().for_each(|name| ask(text, plan, name)),
        }
    }
    text.copy(at..range.end);
}

/// Comments of the form `//!` at the beginning, which would document the code around them.
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

/// The items of one cell that a unit holds.
#[derive(Clone, Debug)]
pub struct Source {
    /// The cell.
    pub cell: CellId,
    /// Its code.
    pub code: Arc<str>,
    /// The cell's items that are in this unit.
    pub items: Vec<Written>,
    /// Whether these are macros, which stand before all their uses.
    pub is_macros: bool,
}

/// An item as a unit contains it.
#[derive(Clone, Debug)]
pub struct Written {
    pub part: Part,
    /// Members that newer definitions have superseded.
    pub superseded: Vec<Range<usize>>,
    /// A static's memory: the symbol that it gets, or where it is already.
    pub memory: Memory,
}

/// Where a static's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It has no symbol.
    Unnamed,
    /// In this unit, under this symbol.
    Made(String),
    /// In another unit, under this symbol.
    Kept(String),
}

impl Source {
    /// The file that it is written to, and that messages name.
    pub fn file(&self) -> String {
        let name = file_name(self.cell);
        if self.is_macros { format!("macros/{name}") } else { name }
    }
}

/// A cell's code with only these items left, visible to other crates.
pub fn items(source: &Source) -> Edited {
    let mut text = Edited::new(source.cell, &source.code);
    let mut parts: Vec<&Written> = source.items.iter().collect();
    parts.sort_by_key(|written| written.part.range.start);
    let mut at = 0;
    for written in parts {
        let part = &written.part;
        text.blank(at..part.range.start);
        at = part.range.start;
        let mut edits = part.edits.clone();
        match (&written.memory, &part.as_static) {
            (Memory::Kept(symbol), Some(of)) => {
                let (safe, mutable) = if of.is_mut { ("", "mut ") } else { ("safe ", "") };
                text.generated(&format!(
                    "unsafe extern \"C\" {{ #[link_name = {symbol:?}] pub {safe}static {mutable}{}: ",
                    of.name
                ));
                text.copy(of.ty.clone());
                text.generated("; }");
                // Line numbers stay the same.
                text.generated(&"\n".repeat(
                    source.code[part.range.clone()].matches('\n').count()
                        - source.code[of.ty.clone()].matches('\n').count(),
                ));
                at = part.range.end;
                continue;
            }
            (Memory::Made(symbol), Some(_)) => {
                let start = part.range.start;
                edits.insert(
                    0,
                    Edit { range: start..start, text: format!("#[unsafe(export_name = {symbol:?})] ").into() },
                );
            }
            _ => {}
        }
        edits.extend(written.superseded.iter().map(|range| Edit { range: range.clone(), text: "".into() }));
        edits.sort_by_key(|edit| edit.range.start);
        for edit in edits.iter().filter(|edit| !is_superseded(edit, &written.superseded)) {
            text.copy(at..edit.range.start);
            if written.superseded.contains(&edit.range) {
                text.blank(edit.range.clone());
            }
            text.generated(&edit.text);
            at = edit.range.end;
        }
        text.copy(at..part.range.end);
        at = part.range.end;
    }
    text.blank(at..source.code.len());
    text.generated("\n");
    text
}

/// Whether an edit lies in a superseded member.
fn is_superseded(edit: &Edit, superseded: &[Range<usize>]) -> bool {
    let is_in =
        |range: &Range<usize>| range != &edit.range && range.start <= edit.range.start && edit.range.end <= range.end;
    superseded.iter().any(is_in)
}

/// A unit's root.
pub fn unit(sources: &[Source], imports: &[Line], units: &BTreeSet<u32>) -> Edited {
    let mut text = Edited::new(CellId(0), "");
    text.generated(&format!("extern crate {CRATE} as _;\n{PRELUDE}\n"));
    // Units of which only a static's memory is used are among them.
    units.iter().for_each(|unit| text.generated(&format!("extern crate {} as _;\n", krate(*unit))));
    for (number, line) in imports.iter().enumerate() {
        text.glue(Glue::Import(number), &line.text);
        text.generated("\n");
    }
    for source in sources {
        text.generated(&format!("include!({:?});\n", source.file()));
    }
    text
}

/// The compiler's name for a cell's source, which is also in the cell's panics.
pub fn file_name(cell: CellId) -> String {
    format!("cell {cell}")
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::*;

    #[test]
    fn scopes_end_in_reverse_order_and_what_is_kept_is_moved_out_in_its_turn() {
        let code = "let m = a; let g = m.lock(); let k = 1; let k = 2;";
        let parsed = parse_cell(code).unwrap();
        let puts = vec!["m".into(), "k".into()];
        let text = cell(CellId(1), code, &parsed, "", &Plan { puts, ..Plan::default() }, &Within::Nothing).text;
        assert!(text.contains("let m = a; { let g = m.lock(); { let k = 1; let k = 2;"), "{text}");
        let end = "mobula_variables.put(\"k\", k); } } mobula_variables.put(\"m\", m); ";
        assert!(text.contains(end), "{text}");
    }

    #[test]
    fn lints_are_about_the_statements_and_no_statement_stands_in_an_unsafe() {
        let code = "#![forbid(unsafe_code)]\n#![recursion_limit = \"9\"]\nf()";
        let text = cell(CellId(1), code, &parse_cell(code).unwrap(), "", &Plan::default(), &Within::Nothing).text;
        assert!(text.starts_with("#![recursion_limit = \"9\"] extern crate"), "{text}");
        assert!(text.contains("#[forbid(unsafe_code)] let mobula_end = "), "{text}");
        assert!(!text.contains("unsafe extern") && !text.contains("unsafe fn"), "{text}");
    }

    #[test]
    fn the_lines_of_a_cell_stay_where_they_are() {
        let code = "let x = 1;\nfn f() -> i64 {\n    1\n}\n// shown:\nf() + x // end";
        let parsed = parse_cell(code).unwrap();
        let plan = Plan { puts: vec!["x".into()], types: vec!["x".into()], ..Plan::default() };
        let text = cell(CellId(7), code, &parsed, "", &plan, &Within::Nothing).text;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("let x = 1;let _ = &x as &_; "), "its type is asked for where it is bound");
        assert_eq!(lines[1].trim(), "");
        assert!(lines[5].starts_with("(f() + x).evcxr_display(); // end"), "{}", lines[5]);
        let text = items(&source(code, Memory::Unnamed, &[])).text;
        assert_eq!(text.lines().nth(1).unwrap(), "pub fn f() -> i64 {");
    }

    fn source(code: &str, memory: Memory, superseded: &[&str]) -> Source {
        let superseded: Vec<Range<usize>> =
            superseded.iter().map(|gone| code.find(gone).map(|at| at..at + gone.len()).expect("it is there")).collect();
        let written = |part| Written { part, superseded: superseded.clone(), memory: memory.clone() };
        let items = parse_cell(code).unwrap().items.into_iter().map(written).collect();
        Source { cell: CellId(7), code: code.into(), items, is_macros: false }
    }

    #[test]
    fn what_was_superseded_is_not_written() {
        let code = "impl P {\n    fn a() {}\n    fn b() {}\n}";
        let text = items(&source(code, Memory::Unnamed, &["fn a() {}"])).text;
        assert_eq!(text.trim_end(), "impl P {\n             \n    pub fn b() {}\n}");
    }

    #[test]
    fn a_static_is_made_under_a_symbol_or_refers_to_the_memory_that_it_had() {
        let code = "/// N.\nstatic N: u8\n    = 1;";
        let made = items(&source(code, Memory::Made("s".into()), &[])).text;
        assert_eq!(made, "#[unsafe(export_name = \"s\")] /// N.\npub static N: u8\n    = 1;\n");
        let kept = items(&source(code, Memory::Kept("s".into()), &[])).text;
        assert_eq!(kept.trim_end(), "unsafe extern \"C\" { #[link_name = \"s\"] pub safe static N: u8; }");
        assert_eq!(kept.matches('\n').count(), made.matches('\n').count());
    }
}
