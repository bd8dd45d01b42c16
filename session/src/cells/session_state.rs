//! The session's state: its items, its imports and its variables. Only facts and queries; nothing is compiled here.

use super::last_value;
use super::mentions::{mentioned, words};
use super::parse::ParsedCell;
use super::program::{Changed, Line, Program, krate, units_in};
use super::tell;
use crate::event::CellId;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Why a variable cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A cell moved it away.
    Moved(CellId),
    /// Its type has no name that another cell could write.
    Nameless(CellId, String),
    /// It refers to something that ended with its cell.
    Borrowed(CellId),
    /// A cell has defined an item of this name.
    Replaced(CellId),
    /// Its type is of a crate that a cell has built anew.
    Rebuilt(CellId),
    /// The twin that took over is from before this cell and does not have the variable.
    Unguarded(CellId),
}

/// Where a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in the store.
    Kept,
    /// It is a function, which this path names.
    Function(String),
    /// It is gone, or it could not be kept.
    Lost(Lost),
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its type, as a cell can write it; empty if it has no such name.
    pub ty: String,
    /// Whether it was declared `mut`.
    pub is_mut: bool,
    /// The cell that declared it.
    pub made: CellId,
    /// Where it is.
    pub standing: Standing,
}

/// The state of a session.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    /// Its items and imports. Shared, because the state is copied for each cell and few cells change them.
    pub program: Arc<Program>,
    /// Variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// The words of what was shown last, if `_` stands for them; otherwise `_` is a variable.
    pub last_place: Option<String>,
    /// The process knows the names in units below this one: see [`tell`].
    pub told_units: u32,
}

impl SessionState {
    /// Decides what `_` stands for in a cell.
    pub fn resolve(&self, parsed: &mut ParsedCell) {
        if parsed.last.is_empty() {
            return;
        }
        parsed.last_means =
            self.last_place.as_ref().map_or_else(|| last_value::NAME.to_owned(), |place| format!("({place})"));
        let place: Option<proc_macro2::TokenStream> = parsed.last_means.parse().ok();
        parsed.mentions.extend(place.map(mentioned).unwrap_or_default());
    }

    /// The imports, as text, and the units that a cell's statements with these words need; see [`Program::prelude`].
    pub fn prelude(&self, mentions: &HashSet<String>, own: &HashSet<&str>) -> (String, BTreeSet<u32>) {
        let (lines, units) = self.program.prelude(mentions, own, &BTreeSet::new());
        (joined(&lines), units)
    }

    /// The statement that tells the process of names that it does not know yet.
    pub fn telling(&self) -> String {
        tell::statement(self.program.compiled_since(self.told_units))
    }

    /// An empty state whose numbers go on.
    pub fn emptied(&self) -> SessionState {
        SessionState { program: Arc::new(self.program.emptied()), ..SessionState::default() }
    }

    /// This state, with the numbers of a later one: libraries with those numbers may be open somewhere.
    pub fn with_numbers_of(self, later: &SessionState) -> SessionState {
        SessionState { program: Arc::new(self.program.with_numbers_of(&later.program)), ..self }
    }

    /// Records a change to the items. A value whose type is unchanged in its new unit has the new type; any other keeps the type that it
    /// was made with.
    pub fn take(&mut self, changed: &Changed, cell: CellId) {
        self.program = changed.program.clone();
        for variable in self.variables.values_mut() {
            variable.ty = renamed(&variable.ty, &changed.moved);
            if let Standing::Function(path) = &mut variable.standing {
                *path = renamed(path, &changed.moved);
            }
        }
        // The item is newer than the variable, so the name means the item.
        let newest = self.program.definitions().into_iter().filter(|known| known.owner == cell && known.cell == cell);
        for name in newest.flat_map(|known| known.part.values()) {
            if let Some(variable) = self.variables.get_mut(name) {
                variable.standing = Standing::Lost(Lost::Replaced(cell));
            }
        }
    }

    /// Gives up the variables whose types are of these crates, which have been built anew: the values in memory have the old layout.
    pub fn lose_values_of(&mut self, crates: &[String], cell: CellId) -> Vec<String> {
        let is_of = |ty: &str| crates.iter().any(|name| names_crate(ty, name));
        let mut lost = Vec::new();
        for (name, variable) in &mut self.variables {
            if variable.standing == Standing::Kept && is_of(&variable.ty) {
                variable.standing = Standing::Lost(Lost::Rebuilt(cell));
                lost.push(name.clone());
            }
        }
        lost
    }

    /// The variables that a person has named.
    pub fn named(&self) -> impl Iterator<Item = (&String, &Variable)> {
        let is_one = |variable: &Variable| !matches!(variable.standing, Standing::Lost(Lost::Replaced(_)));
        self.variables.iter().filter(move |(name, variable)| *name != last_value::NAME && is_one(variable))
    }

    /// The items and imports as code for the analyst, which reads it and never runs it.
    pub fn items_as_code(&self) -> String {
        let mut code = String::new();
        for known in self.program.imports() {
            code.push_str(&known.import.text());
            code.push('\n');
        }
        for definition in self.program.definitions() {
            code.push_str(definition.text());
            code.push('\n');
        }
        code
    }

    /// Statements that make the variables, for the analyst.
    pub fn variables_as_code(&self) -> String {
        let mut code = String::new();
        for (name, variable) in self.named() {
            let word = if variable.is_mut { "mut " } else { "" };
            match &variable.standing {
                Standing::Kept => code.push_str(&format!(
                    "let {word}{name}: {} = unsafe {{ ::std::mem::zeroed() }};\n",
                    without_units(&variable.ty)
                )),
                Standing::Function(path) => code.push_str(&format!("let {word}{name} = {};\n", without_units(path))),
                Standing::Lost(_) => {}
            }
        }
        code
    }
}

/// Whether a path in a type's text begins with this crate.
fn names_crate(ty: &str, name: &str) -> bool {
    ty.match_indices(name).any(|(at, _)| {
        let goes_on_before = ty[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        !goes_on_before && ty[at + name.len()..].starts_with("::")
    })
}

/// Imports as one line.
pub fn joined(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// A type's text without the crate names of units.
fn without_units(text: &str) -> String {
    let mut out = text.to_owned();
    for number in units_in(text).collect::<BTreeSet<_>>() {
        out = out.replace(&format!("{}::", krate(number)), "");
    }
    out
}

/// A type's text in which the moved names have their new unit.
fn renamed(text: &str, moved: &[(String, u32, u32)]) -> String {
    const KRATE: &str = "cells_";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(KRATE) {
        let (before, path) = rest.split_at(at);
        out.push_str(before);
        let mut parts = words(path);
        let (krate_name, name) = (parts.next().unwrap_or_default(), parts.next());
        let from: Option<u32> = krate_name[KRATE.len()..].parse().ok();
        let to = moved.iter().find(|(known, before, _)| Some(*before) == from && Some(known.as_str()) == name);
        match to {
            Some((_, _, to)) => out.push_str(&krate(*to)),
            None => out.push_str(krate_name),
        }
        rest = &path[krate_name.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_of_a_crate_with_which_a_path_in_it_begins() {
        for ty in ["mine::P", "std::vec::Vec<mine::P>", "&'static [(u8, mine::inner::P); 4]", "dyn mine::Shape"] {
            assert!(names_crate(ty, "mine"), "{ty}");
        }
        for ty in ["std::mine::P", "cells_1::mine::P", "not_mine::P", "mine_too::P", "mine", "std::vec::Vec<u8>"] {
            assert!(!names_crate(ty, "mine") && !names_crate(ty, "vec"), "{ty}");
        }
    }

    #[test]
    fn a_types_text_follows_what_has_moved_and_nothing_else() {
        let moved = [("P".to_owned(), 1, 3), ("m".to_owned(), 1, 3)];
        let text = "std::vec::Vec<(cells_1::P, cells_1::Q, cells_2::P, cells_1::m::P)>";
        assert_eq!(renamed(text, &moved), "std::vec::Vec<(cells_3::P, cells_1::Q, cells_2::P, cells_3::m::P)>");
    }
}
