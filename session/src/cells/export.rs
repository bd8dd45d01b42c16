//! The cells of a session as one program: items, imports and crates apart from the statements that `main` runs.
//!
//! ```text
//!   cell 1   :dep rand = "0.9"            a crate of the manifest
//!            use std::fmt;                an import at the top
//!            fn f() -> u32 { 1 }          an item at the top
//!            let x = f();                 a statement of `main`
//!   cell 2   fn f() -> u64 { 2 }          refused: the `f` of cell 1 has run, and a program has one `f`
//! ```
//!
//! A program has one item of each name for its whole run. So an item that a later cell defines anew is the newer one, if
//! nothing has used the older; otherwise no single program does what the cells did, and that is an error.

use super::commands::{apart, dep_argument};
use super::dep;
use super::item::{Key, Part};
use super::parse::{ParsedCell, parse_cell, uses};
use super::track_command::dep_of;
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

/// The pieces of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The crates that the cells ask for: name and Cargo's requirement.
    pub deps: Vec<(String, String)>,
    /// Attributes of the whole program, `#![…]`.
    pub attributes: Vec<String>,
    /// The imports, a statement each.
    pub imports: Vec<String>,
    /// The items: the number of the cell, and the text.
    pub items: Vec<(usize, String)>,
    /// The statements of each cell that has some, with its number.
    pub statements: Vec<(usize, String)>,
    /// Whether something is awaited.
    pub awaits: bool,
    /// Commands that a program does not have, with the numbers of their cells.
    pub left_out: Vec<(usize, String)>,
}

/// Why cells are no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The cell cannot be read.
    #[error("cell {cell} is no Rust that can be read; `mobula run` says what is wrong with it")]
    NotRust {
        /// Its number.
        cell: usize,
    },
    /// The argument of a `:dep` or a `:track` cannot be read.
    #[error("cell {cell}: {message}")]
    Dep {
        /// The number of the cell.
        cell: usize,
        /// What is wrong.
        message: String,
    },
    /// An item or an import is made anew after it was used.
    #[error(
        "`{name}` of cell {first} is defined anew in cell {again}, and cell {used} has used the first one; a program has only one: \
         give one of them another name"
    )]
    Redefined {
        /// Its name.
        name: String,
        /// The cell that has it first.
        first: usize,
        /// The cell that has used it.
        used: usize,
        /// The cell that has it again.
        again: usize,
    },
    /// A cell uses the last shown value.
    #[error("cell {cell} uses `_`, the value that was shown last; give that value a name with `let`")]
    LastValue {
        /// Its number.
        cell: usize,
    },
    /// A cell returns.
    #[error(
        "cell {cell} has a `return` outside a function, which would end the whole program; put its code into a function"
    )]
    Returns {
        /// Its number.
        cell: usize,
    },
    /// A cell has a `main`.
    #[error("cell {cell} has a function `main`, as has the program that is made; give it another name and call that")]
    Main {
        /// Its number.
        cell: usize,
    },
}

/// An item so far.
struct Item {
    cell: usize,
    code: String,
    part: Part,
    /// With the comments above it.
    range: Range<usize>,
    /// Parts of it that a later cell has made anew.
    superseded: Vec<Range<usize>>,
}

/// An import so far.
struct Imported {
    cell: usize,
    name: Option<String>,
    path: String,
    text: String,
}

/// Makes a program of cells, each with its number. Paths in `:dep`s and `:track`s are relative to `folder`.
///
/// # Errors
/// [`ExportError`].
///
/// ```
/// use mobula_session::export::program;
/// let cells = [(1, "fn f() -> u32 { 1 }"), (2, "let x = f();\nx + 1")];
/// let program = program(&cells, "/".as_ref())?;
/// assert_eq!(program.items, [(1, "fn f() -> u32 { 1 }".to_owned())]);
/// assert_eq!(program.statements[0].1, "let x = f();\n(x + 1).evcxr_display();");
/// # Ok::<(), mobula_session::export::ExportError>(())
/// ```
pub fn program(cells: &[(usize, &str)], folder: &Path) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let mut items: Vec<Item> = Vec::new();
    let mut imports: Vec<Imported> = Vec::new();
    // The words in the statements of each cell.
    let mut ran: Vec<(usize, HashSet<String>)> = Vec::new();
    for &(cell, source) in cells {
        let (commands, code) = apart(source);
        for command in commands {
            let asked = match (dep_argument(&command), dep_of(&command, folder, &exported.deps)) {
                (Some(argument), _) => dep::read(argument, folder).map(|asked| asked.deps),
                (None, Some(tracked)) => tracked.map(|dep| vec![dep]),
                (None, None) => {
                    exported.left_out.push((cell, command));
                    continue;
                }
            };
            for dep in asked.map_err(|message| ExportError::Dep { cell, message })? {
                let requirement = dep.requirement.unwrap_or_else(|| "\"*\"".into());
                exported.deps.retain(|(name, _)| *name != dep.name);
                exported.deps.push((dep.name, requirement));
            }
        }
        let (Some(parsed), Some(uses)) = (parse_cell(&code), uses(&code)) else {
            return Err(ExportError::NotRust { cell });
        };
        refuse(cell, &parsed)?;
        exported.awaits |= parsed.awaits;
        for range in &parsed.attributes {
            let attribute = code[range.clone()].to_owned();
            if !exported.attributes.contains(&attribute) {
                exported.attributes.push(attribute);
            }
        }
        for import in &parsed.imports {
            let is_other =
                |known: &Imported| known.name.is_some() && known.name == import.name && known.path != import.path;
            if let Some(at) = imports.iter().position(is_other) {
                let known = imports.remove(at);
                let name = known.name.unwrap_or_default();
                unused(&[name.clone()].into(), &name, known.cell, cell, &items, &ran)?;
            }
            if !imports.iter().any(|known| known.name == import.name && known.path == import.path) {
                let (name, path) = (import.name.clone(), import.path.clone());
                imports.push(Imported { cell, name, path, text: import.text() });
            }
        }
        for part in &parsed.items {
            add(&mut items, cell, &code, part, &ran)?;
        }
        let text = statements(&code, &parsed, &uses);
        if !text.is_empty() {
            exported.statements.push((cell, text));
        }
        // A `use` brings a name and does not yet use it.
        let mut rest = code.clone();
        uses.iter().for_each(|range| rest.replace_range(range.clone(), &" ".repeat(range.len())));
        ran.push((cell, parse_cell(&rest).map_or(parsed.mentions, |parsed| parsed.mentions)));
    }
    exported.imports = imports.into_iter().map(|import| import.text).collect();
    exported.items = items.into_iter().map(|item| (item.cell, item.text())).collect();
    Ok(exported)
}

fn refuse(cell: usize, parsed: &ParsedCell) -> Result<(), ExportError> {
    if !parsed.last.is_empty() {
        return Err(ExportError::LastValue { cell });
    }
    if !parsed.returns.is_empty() {
        return Err(ExportError::Returns { cell });
    }
    if parsed.has_main { Err(ExportError::Main { cell }) } else { Ok(()) }
}

/// Adds an item. Older ones of its keys are gone.
fn add(
    items: &mut Vec<Item>,
    cell: usize,
    code: &str,
    part: &Part,
    ran: &[(usize, HashSet<String>)],
) -> Result<(), ExportError> {
    let text = &code[part.range.clone()];
    for key in part.all_keys() {
        // The compiler refuses two in one cell itself, but for macros, of which the later is meant behind it.
        let is_older = |item: &Item| item.cell != cell && item.part.all_keys().any(|known| known == key);
        while let Some(at) = items.iter().position(is_older) {
            let name = name_of(key);
            if &items[at].code[items[at].part.range.clone()] != text {
                let first = items[at].cell;
                unused(&[name.clone()].into(), &name, first, cell, items, ran)?;
            }
            let item = &mut items[at];
            if item.part.keys.contains(key) || item.part.members.len() == 1 {
                items.remove(at);
            } else {
                let gone = item.part.remove(key);
                item.superseded.extend(gone.into_iter().map(|member| member.range));
            }
        }
    }
    let range = with_comments(code, &part.range);
    items.push(Item { cell, code: code.to_owned(), part: part.clone(), range, superseded: Vec::new() });
    Ok(())
}

/// The name by which code mentions what the key is of.
fn name_of(key: &Key) -> String {
    match key {
        Key::Name(_, name) | Key::Member(_, name) => name.clone(),
        Key::Impl(of_trait, _) => of_trait.clone(),
        Key::Words(words) => words.clone(),
    }
}

/// Checks that no statement has run that used these names, by way of items or not, from cell `first` on.
fn unused(
    names: &HashSet<String>,
    name: &str,
    first: usize,
    again: usize,
    items: &[Item],
    ran: &[(usize, HashSet<String>)],
) -> Result<(), ExportError> {
    let mut names = names.clone();
    loop {
        let uses = |item: &&Item| !item.part.mentions.is_disjoint(&names) || !item.part.calls.is_disjoint(&names);
        let by_way: Vec<String> =
            items.iter().filter(uses).flat_map(|item| item.part.all_keys().map(name_of)).collect();
        let known = names.len();
        names.extend(by_way);
        if names.len() == known {
            break;
        }
    }
    let used = ran.iter().find(|(cell, mentions)| *cell >= first && !mentions.is_disjoint(&names));
    used.map_or(Ok(()), |(used, _)| Err(ExportError::Redefined { name: name.to_owned(), first, used: *used, again }))
}

impl Item {
    /// Its text without what is made anew.
    fn text(&self) -> String {
        let mut text = self.code[self.range.clone()].to_owned();
        let mut gone = self.superseded.clone();
        gone.sort_by_key(|range| std::cmp::Reverse(range.start));
        for range in gone {
            text.replace_range(range.start - self.range.start..range.end - self.range.start, "");
        }
        text
    }
}

/// The place of an item with the comments that stand right above it.
fn with_comments(code: &str, range: &Range<usize>) -> Range<usize> {
    let mut start = range.start;
    let line = code[..start].rfind('\n').map_or(0, |at| at + 1);
    if code[line..start].trim().is_empty() {
        let mut at = line;
        while at > 0 {
            let before = code[..at - 1].rfind('\n').map_or(0, |at| at + 1);
            let above = code[before..at].trim();
            if !above.starts_with("//") || above.starts_with("//!") {
                break;
            }
            (at, start) = (before, before);
        }
    }
    start..range.end
}

/// The statements of a cell; the shown expression is shown.
fn statements(code: &str, parsed: &ParsedCell, uses: &[Range<usize>]) -> String {
    let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
    let gone = parsed.items.iter().map(|item| with_comments(code, &item.range));
    let gone = gone.chain(uses.iter().cloned()).chain(parsed.attributes.iter().cloned());
    edits.extend(gone.map(|range| (range, "")));
    if let Some(shown) = &parsed.shown {
        let text = &code[shown.clone()];
        // These return nothing.
        let is_silent = ["println!", "print!", "eprintln!", "eprint!", "assert", "panic!", "todo!"];
        if is_silent.iter().any(|word| text.starts_with(word)) {
            edits.push((shown.end..shown.end, ";"));
        } else {
            edits.push((shown.start..shown.start, "("));
            edits.push((shown.end..shown.end, ").evcxr_display();"));
        }
    } else if let Some(end) = parsed.open_end {
        edits.push((end..end, ";"));
    }
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = String::new();
    let mut at = 0;
    for (range, new) in edits {
        text.push_str(&code[at.min(range.start)..range.start]);
        text.push_str(new);
        at = range.end.max(at);
    }
    text.push_str(&code[at..]);
    let has_code = parsed.runs && parsed.statements > uses.len();
    if !has_code {
        return String::new();
    }
    let text = text.trim_end();
    let is_open = parsed.shown.is_none() && parsed.open_end.is_none() && !text.ends_with([';', '}']);
    let lines: Vec<&str> = text.lines().skip_while(|line| line.trim().is_empty()).collect();
    // A last `let` may lack its `;`, and the last line may be a comment.
    lines.join("\n") + if is_open { "\n;" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[&str]) -> Result<Exported, ExportError> {
        let cells: Vec<(usize, &str)> = cells.iter().enumerate().map(|(at, code)| (at + 1, *code)).collect();
        program(&cells, "/here".as_ref())
    }

    fn said(cells: &[&str]) -> String {
        of(cells).unwrap_err().to_string()
    }

    #[test]
    fn items_imports_crates_and_statements_are_apart() {
        let program = of(&[
            ":dep itoa = \"1\"; ryu\n:vars\n#![allow(dead_code)]\nuse std::fmt::{self, Debug};\n\n// Says it.\nfn f() {}\nlet x = 1; // one",
            "use std::fmt;\n:dep itoa = \"1.0\"\nstruct S;\n\nfor _ in 0..2 { f() }",
            "x",
            "println!(\"x\")",
            "// nothing",
            "let y = x",
        ])
        .unwrap();
        assert_eq!(
            program.deps,
            [("ryu", "\"*\""), ("itoa", "\"1.0\"")].map(|(name, wanted)| (name.into(), wanted.into()))
        );
        assert_eq!(program.left_out, [(1, ":vars".to_owned())]);
        assert_eq!(program.attributes, ["#![allow(dead_code)]"]);
        assert_eq!(program.imports, ["use std::fmt;", "use std::fmt::Debug;"]);
        assert_eq!(program.items, [(1, "// Says it.\nfn f() {}".to_owned()), (2, "struct S;".to_owned())]);
        let statements: Vec<(usize, &str)> =
            program.statements.iter().map(|(cell, text)| (*cell, text.trim())).collect();
        assert_eq!(
            statements,
            [
                (1, "let x = 1; // one\n;"),
                (2, "for _ in 0..2 { f() };"),
                (3, "(x).evcxr_display();"),
                (4, "println!(\"x\");"),
                (6, "let y = x\n;"),
            ]
        );
        assert!(!program.awaits && of(&["async {}.await"]).unwrap().awaits);
    }

    #[test]
    fn the_newest_definition_counts_if_nothing_has_used_the_older() {
        let program = of(&[
            "fn f() -> u32 { 1 }\nstruct S;\nimpl S { fn a() {} fn b() {} }",
            "let x = 1;",
            "fn f() -> u64 { 2 }\nimpl S { fn a() -> u8 { 1 } }",
            "f()",
            // The same once more changes nothing.
            "fn f() -> u64 { 2 }",
        ])
        .unwrap();
        let items: Vec<(usize, &str)> = program.items.iter().map(|(cell, text)| (*cell, text.as_str())).collect();
        assert_eq!(
            items,
            [
                (1, "struct S;"),
                (1, "impl S {  fn b() {} }"),
                (3, "impl S { fn a() -> u8 { 1 } }"),
                (5, "fn f() -> u64 { 2 }")
            ]
        );
    }

    #[test]
    fn what_no_single_program_means_is_refused_with_all_cells() {
        let why = "a program has only one: give one of them another name";
        assert_eq!(
            said(&["fn f() -> u32 { 1 }", "fn g() -> u32 { f() }", "g()", "fn f() -> u32 { 2 }"]),
            format!("`f` of cell 1 is defined anew in cell 4, and cell 3 has used the first one; {why}")
        );
        assert_eq!(
            said(&["use std::fmt::Result;", "let r: Result = Ok(());", "use std::io::Result;"]),
            format!("`Result` of cell 1 is defined anew in cell 3, and cell 2 has used the first one; {why}")
        );
        assert!(said(&["1", "_ + 1"]).starts_with("cell 2 uses `_`"));
        assert!(said(&["if true { return }"]).starts_with("cell 1 has a `return`"));
        assert!(said(&["fn main() {}"]).starts_with("cell 1 has a function `main`"));
        assert!(said(&["let"]).starts_with("cell 1 is no Rust"));
        assert!(said(&[":dep"]).starts_with("cell 1: write `:dep"));
    }
}
