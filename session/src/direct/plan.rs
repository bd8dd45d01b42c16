//! What a cell does with the variables of the session: decided before it is compiled, mended after what the compiler says, and written
//! into the book when the cell has run.

use super::book::{Book, Lost, Standing, Variable};
use super::cut::{Binding, Cut};
use super::diagnosis::{Message, Texts};
use super::edited::Glue;
use super::fate::{Fate, fate, why_lost};
use super::last::{self, Shown};
use super::names::plain;
use crate::event::CellId;
use crate::report::Finding;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is done with the variables of a cell.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Variables of earlier cells that the cell may use.
    pub takes: BTreeMap<String, Variable>,
    /// Of those, what the cell moves away.
    pub moves: Vec<String>,
    /// Variables that are not there, which the cell may assign.
    pub empty: BTreeMap<String, Variable>,
    /// New variables that are kept.
    pub puts: Vec<String>,
    /// New variables whose types are told.
    pub types: Vec<String>,
    /// The last expression never comes to a value, so there is none to show.
    pub hides: bool,
    /// The value that is shown is handed over, to be kept as `_`.
    pub keeps: bool,
}

/// A plan, and what has become known of it.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    bindings: Vec<Binding>,
    shown: Option<Range<usize>>,
    shown_as: Shown,
    types: BTreeMap<String, String>,
    /// New variables that are not kept, and why.
    lost: BTreeMap<String, Lost>,
}

impl Planned {
    /// What a cell will do, as far as its words tell.
    pub fn new(cut: &Cut, variables: &BTreeMap<String, Variable>) -> Planned {
        let new: Vec<String> = cut.bindings.iter().map(|binding| binding.name.clone()).collect();
        let keeps = cut.shown.is_some() && cut.shown_as == Shown::Value;
        let mut plan = Plan { puts: new.clone(), types: new, keeps, ..Plan::default() };
        for (name, variable) in variables.iter().filter(|(name, _)| cut.mentions.contains(plain(name))) {
            match &variable.standing {
                Standing::Kept | Standing::Function(_) => drop(plan.takes.insert(name.clone(), variable.clone())),
                Standing::Lost(Lost::Moved(_)) if !plan.puts.contains(name) => {
                    plan.empty.insert(name.clone(), variable.clone());
                }
                Standing::Lost(_) => {}
            }
        }
        Planned {
            plan,
            bindings: cut.bindings.clone(),
            shown: cut.shown.clone(),
            shown_as: cut.shown_as.clone(),
            ..Planned::default()
        }
    }

    /// Changes the plan so that the compiler has less to complain about. `false`: there is nothing that this could mend.
    pub fn mend(&mut self, messages: &[Message], texts: &Texts, cell: CellId) -> bool {
        let mut mended = false;
        for message in messages.iter().filter(|message| message.is_error()) {
            let glue = message.glue(texts);
            let kept = glue.iter().find_map(|(glue, _)| match glue {
                Glue::Put(name) => Some(name),
                _ => None,
            });
            let main = glue.iter().find(|(_, is_primary)| *is_primary).map(|(glue, _)| *glue);
            mended |= match (message.code(), main) {
                // `match (exit(0)) { value => … }`: of what never comes there is no type.
                (Some("E0282"), Some(Glue::Type(name))) if name == last::NAME && !self.plan.hides => self.hide(),
                // What else is wrong with that, such as a value that draws itself and is gone then, is not wrong without it.
                (_, Some(Glue::Type(name))) if name == last::NAME => std::mem::take(&mut self.plan.keeps),
                (Some("E0382"), Some(Glue::PutBack(name))) => self.moves(name),
                (Some("E0382"), Some(Glue::Put(name) | Glue::Type(name))) => self.unput(name, Some(Lost::Moved(cell))),
                (Some("E0381"), Some(Glue::Put(name) | Glue::Type(name))) => self.unput(name, None),
                // What is kept must not borrow from what ends with the cell.
                (_, _) if kept.is_some() => kept.is_some_and(|name| self.unput(name, Some(Lost::Borrowed(cell)))),
                (_, Some(Glue::Take(name))) => self.untake(name, cell),
                // `(exit(0)).evcxr_display()`: nothing has methods that can be found.
                (Some("E0282"), None) if self.shown.is_some() && message.place(texts) == self.shown => self.hide(),
                _ => false,
            };
        }
        mended
    }

    fn hide(&mut self) -> bool {
        self.shown = None;
        self.plan.hides = true;
        self.plan.keeps = false;
        true
    }

    fn moves(&mut self, name: &str) -> bool {
        let is_new = !self.plan.moves.iter().any(|known| known == name);
        if is_new {
            self.plan.moves.push(name.to_owned());
        }
        is_new
    }

    fn unput(&mut self, name: &str, why: Option<Lost>) -> bool {
        let before = self.plan.puts.len();
        self.plan.puts.retain(|known| known != name);
        let was_empty = self.plan.empty.get_mut(name).is_some_and(|variable| {
            // It is declared, so that the compiler can say that it is not there, and not kept.
            let was_kept = variable.standing != Standing::Kept;
            variable.standing = Standing::Kept;
            was_kept
        });
        // What borrows is there to its end.
        if !matches!(why, Some(Lost::Borrowed(_))) {
            self.plan.types.retain(|known| known != name);
        }
        if let Some(why) = why {
            self.lost.insert(name.to_owned(), why);
        }
        self.plan.puts.len() < before || was_empty
    }

    fn untake(&mut self, name: &str, cell: CellId) -> bool {
        let taken = self.plan.takes.remove(name).or_else(|| self.plan.empty.remove(name));
        if let Some(variable) = &taken {
            self.lost.insert(name.to_owned(), Lost::Nameless(cell, variable.ty.clone()));
        }
        taken.is_some()
    }

    /// Learns the types of new variables.
    pub fn learn(&mut self, messages: &[Message], texts: &Texts) {
        for (name, ty) in messages.iter().filter_map(|message| message.variable_type(texts)) {
            self.types.insert(name.to_owned(), ty);
        }
    }

    /// The type of a new variable, once it was learnt.
    pub fn type_of(&self, name: &str) -> Option<&str> {
        self.types.get(name).map(String::as_str)
    }

    /// What becomes of the value before, when the cell ends well.
    pub fn fate(&self) -> Fate {
        match self.shown {
            Some(_) => fate(&self.shown_as, self.type_of(last::NAME)),
            None => Fate::Stays,
        }
    }

    /// The cell has run, well or not: what that means for the session's variables. Not to be called of a cell that was undone.
    pub fn happened(self, book: &mut Book, cell: CellId, well: bool) {
        let variables = &mut book.variables;
        for name in &self.plan.moves {
            if let Some(variable) = variables.get_mut(name) {
                variable.standing = Standing::Lost(Lost::Moved(cell));
            }
        }
        if !well {
            return;
        }
        let (fate, ty) = (self.fate(), self.types.get(last::NAME).cloned().unwrap_or_default());
        if fate != Fate::Stays {
            book.last_place = None;
            let standing = match fate {
                Fate::Replaced => Standing::Kept,
                _ => Standing::Lost(why_lost(&ty, cell).unwrap_or(Lost::Borrowed(cell))),
            };
            variables.insert(last::NAME.to_owned(), Variable { ty, is_mut: true, standing });
        }
        if let (Fate::Ends, Shown::Place(words)) = (fate, self.shown_as) {
            book.last_place = Some(words);
        }
        for binding in self.bindings {
            let name = binding.name;
            let ty = self.types.get(&name).cloned().unwrap_or_default();
            let standing = match self.lost.get(&name) {
                Some(lost) => Standing::Lost(lost.clone()),
                None if !self.plan.puts.contains(&name) => continue,
                None => standing(&ty, cell),
            };
            variables.insert(name, Variable { ty, is_mut: binding.is_mut, standing });
        }
        for (name, variable) in self.plan.empty {
            // Those that are not assigned have been taken out of the plan.
            if variable.standing != Standing::Kept
                && let Some(known) = variables.get_mut(&name)
            {
                known.standing = Standing::Kept;
            }
        }
    }
}

/// Whether a cell can write this type's name.
fn standing(ty: &str, cell: CellId) -> Standing {
    let is_function = ["fn(", "for<", "unsafe ", "extern "].iter().any(|word| ty.starts_with(word));
    if is_function && let Some((_, path)) = ty.strip_suffix('}').and_then(|ty| ty.rsplit_once(" {")) {
        return Standing::Function(path.to_owned());
    }
    if ty.is_empty() || ty.contains('{') || ty.contains("impl ") {
        return Standing::Lost(Lost::Nameless(cell, ty.to_owned()));
    }
    Standing::Kept
}

/// Says of a variable that the compiler does not find what has become of it.
pub fn explain_lost(finding: &mut Finding, variables: &BTreeMap<String, Variable>) {
    let unknown = matches!(finding.code.as_deref(), Some("E0425" | "E0381" | "E0382"));
    let Some(name) = finding.message.split('`').nth(1).filter(|_| unknown) else { return };
    if name == last::NAME && !variables.contains_key(name) {
        finding.message = "`_` is the value that a cell has shown last, and none has shown one yet".into();
        (finding.helps, finding.notes) = (Vec::new(), Vec::new());
        return;
    }
    let Some(Standing::Lost(lost)) = variables.get(name).map(|variable| &variable.standing) else { return };
    let (message, help) = match lost {
        Lost::Moved(cell) if name == last::NAME => (
            format!("`_`, the value that was shown last, was moved in cell {cell}"),
            "use `_.clone()` where it is to be used again, or give it a name: `let x = _;`".to_owned(),
        ),
        Lost::Borrowed(cell) | Lost::Nameless(cell, _) if name == last::NAME => (
            format!("what cell {cell} has shown was not kept: it may refer to another value, or its type has no name"),
            "show a value of its own (`.clone()`, `.to_owned()`, `.collect::<Vec<_>>()`), or give it a name there: `let x = …;`"
                .to_owned(),
        ),
        Lost::Moved(cell) => (
            format!("`{name}` was moved in cell {cell}"),
            format!(
                "give it a value again (`{name} = …;` or `let {name} = …;`), or let cell {cell} use a clone or a reference of it"
            ),
        ),
        Lost::Nameless(cell, ty) if ty.contains("{closure") => (
            format!("`{name}` of cell {cell} is a closure, whose type has no name, so it ended with that cell"),
            format!(
                "make it a function (`fn {name}(…) …`), or box it: `let {name}: Box<dyn Fn(…) -> …> = Box::new(…);`"
            ),
        ),
        Lost::Nameless(cell, _) => (
            format!(
                "the type of `{name}` of cell {cell} has no name that another cell could write, so it ended with that cell"
            ),
            format!(
                "collect or box it there: `let {name}: Vec<_> = ….collect();`, `let {name}: Box<dyn …> = Box::new(…);`"
            ),
        ),
        Lost::Borrowed(cell) => (
            format!("`{name}` of cell {cell} refers to another variable, so it ended with that cell"),
            "keep a value instead of a reference: `.clone()`, `.to_owned()`, an index, or an `Rc`/`Arc`".to_owned(),
        ),
    };
    finding.message = message;
    finding.helps = vec![help];
    finding.notes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_cannot_be_written_cannot_be_kept_and_a_function_is_its_path() {
        let cell = CellId(1);
        assert_eq!(standing("std::vec::Vec<i64>", cell), Standing::Kept);
        assert_eq!(standing("fn(i64) -> i64", cell), Standing::Kept);
        assert_eq!(standing("fn(i64) -> i64 {cells_1::f}", cell), Standing::Function("cells_1::f".into()));
        for ty in ["{closure@cell 1:1:2: 1:3}", "impl std::iter::Iterator<Item = i64>", ""] {
            assert!(matches!(standing(ty, cell), Standing::Lost(Lost::Nameless(..))), "{ty}");
        }
    }
}
