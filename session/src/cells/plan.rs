//! A cell's plan for the session's variables: made before it is compiled, corrected by compile errors, applied after its run.

use super::diagnosis::{Message, Texts};
use super::last_value::{self, Shown};
use super::last_value_kept::{Fate, fate, why_lost};
use super::mentions::plain;
use super::parse::{Binding, Let, ParsedCell};
use super::session_state::{Lost, SessionState, Standing, Variable};
use crate::event::CellId;
use crate::reports::report::Finding;
use crate::reports::source_map::Glue;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a cell does with variables.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The statement that tells the process of names in new items; see `told`.
    pub tells: String,
    /// Variables of earlier cells that the cell may use.
    pub takes: BTreeMap<String, Variable>,
    /// Those of them that the cell moves away.
    pub moves: Vec<String>,
    /// Variables without a value, which the cell may assign.
    pub empty: BTreeMap<String, Variable>,
    /// New variables that are kept.
    pub puts: Vec<String>,
    /// New variables whose types are asked for.
    pub types: Vec<String>,
    /// The last expression never returns, so there is no value to show.
    pub hides: bool,
    /// The shown value is handed over, to be kept as `_`.
    pub keeps: bool,
    /// The shown value has no `Debug`, and `DisplayAny` cannot borrow it mutably: only its type is shown.
    pub shows_type: bool,
    /// A trait that the person has imported shows the value, so ours are taken out of scope.
    pub shown_by_theirs: bool,
    /// The statements stand in a future.
    pub awaits: bool,
    /// Places in the cell where an error has only `Debug`: those of `?`, and of returned values.
    pub debugged: BTreeSet<usize>,
    /// The ends of returned values whose error type nothing determines.
    pub boxed: BTreeSet<usize>,
}

impl Plan {
    /// Whether a `let` makes a variable that is not kept: such a variable's scope ends with the cell.
    pub fn ends(&self, lets: &[Let], at: usize) -> bool {
        lets[at].names.iter().any(|name| !self.is_put(lets, at, name))
    }

    /// Whether a variable of a `let` is kept. Of several of one name, only the last may be.
    pub fn is_put(&self, lets: &[Let], at: usize, name: &String) -> bool {
        self.puts.contains(name) && !lets[at + 1..].iter().any(|later| later.names.contains(name))
    }

    /// The new variables in the order in which they are kept: what may borrow comes before what it may borrow from.
    fn put_order<'a>(&'a self, lets: &'a [Let]) -> impl Iterator<Item = &'a String> {
        let of = move |at: usize| lets[at].names.iter().rev().filter(move |name| self.is_put(lets, at, name));
        (0..lets.len()).rev().flat_map(of)
    }
}

/// A plan, and what the compiler has said about it.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    bindings: Vec<Binding>,
    lets: Vec<Let>,
    shown: Option<Range<usize>>,
    shown_as: Shown,
    types: BTreeMap<String, String>,
    /// New variables that are not kept, and why.
    lost: BTreeMap<String, Lost>,
    /// All variables that may borrow have been left out already.
    is_last_resort: bool,
    /// Some error that the cell converts has no `Debug`.
    has_silent_errors: bool,
}

/// The compiler's error codes about borrowing.
const BORROWING: &[&str] = &[
    "E0310", "E0373", "E0499", "E0501", "E0502", "E0503", "E0505", "E0506", "E0515", "E0521", "E0597", "E0621",
    "E0700", "E0713", "E0716",
];

impl Planned {
    /// The first plan, made from the words of the cell.
    pub fn new(parsed: &ParsedCell, variables: &BTreeMap<String, Variable>) -> Planned {
        let new: Vec<String> = parsed.bindings.iter().map(|binding| binding.name.clone()).collect();
        let keeps = parsed.shown.is_some() && parsed.shown_as == Shown::Value;
        // A closure's type has no name, so it is not kept. Most closures refer to other variables, and those are kept.
        let is_closure = |name: &&String| {
            parsed.lets.iter().rfind(|made| made.names.contains(name)).is_some_and(|made| made.is_closure)
        };
        let puts = new.iter().filter(|name| !is_closure(name)).cloned().collect();
        let mut plan = Plan { puts, types: new, keeps, awaits: parsed.awaits, ..Plan::default() };
        for (name, variable) in variables.iter().filter(|(name, _)| parsed.mentions.contains(plain(name))) {
            match &variable.standing {
                Standing::Kept | Standing::Function(_) => drop(plan.takes.insert(name.clone(), variable.clone())),
                Standing::Lost(Lost::Moved(_)) if !plan.types.contains(name) => {
                    plan.empty.insert(name.clone(), variable.clone());
                }
                Standing::Lost(_) => {}
            }
        }
        Planned {
            plan,
            bindings: parsed.bindings.clone(),
            lets: parsed.lets.clone(),
            shown: parsed.shown.clone(),
            shown_as: parsed.shown_as.clone(),
            ..Planned::default()
        }
    }

    /// Changes the plan so that fewer errors remain. `false`: no change to the plan can fix them.
    pub fn mend(&mut self, messages: &[Message], texts: &Texts, parsed: &ParsedCell, cell: CellId) -> bool {
        let mut mended = false;
        let mut borrows = false;
        for message in messages.iter().filter(|message| message.is_error()) {
            let glue = message.glue(texts);
            let main = glue.iter().find(|(_, is_primary)| *is_primary).map(|(glue, _)| *glue);
            let place = message.place(texts);
            let is_shown = self.shown.is_some() && place == self.shown;
            let is_borrowing = message.code().is_some_and(|code| BORROWING.contains(&code));
            borrows |= is_borrowing;
            mended |= match (message.code(), main) {
                // `evcxr_image::ImageDisplay` and our traits both have the method.
                (Some("E0034"), _) if self.shown.is_some() => !std::mem::replace(&mut self.plan.shown_by_theirs, true),
                // `match (exit(0)) { value => … }`: what never returns has no type here.
                (Some("E0282"), Some(Glue::Type(name))) if name == last_value::NAME && !self.plan.hides => self.hide(),
                // Any other error of this glue, such as about a value that showing it consumes, is gone without the glue.
                (_, Some(Glue::Type(name))) if name == last_value::NAME => std::mem::take(&mut self.plan.keeps),
                (Some("E0382"), Some(Glue::PutBack(name))) => self.moves(name),
                (Some("E0382"), Some(Glue::Put(name) | Glue::Type(name))) => self.unput(name, Some(Lost::Moved(cell))),
                (Some("E0381"), Some(Glue::Put(name) | Glue::Type(name))) => self.unput(name, None),
                (_, _) if glue.iter().any(|(glue, _)| matches!(glue, Glue::Put(_))) => {
                    self.unput_borrowers(&glue, &message.labelled("'static", texts), cell)
                }
                (_, Some(Glue::Take(name))) => self.untake(name, cell),
                // `let p: Vec<&str> = line.split(',').collect();`: the error is at the type as written, not at the glue that needs it so.
                _ if is_borrowing && message.says("'static") => {
                    self.unput_let(&message.labelled("'static", texts), cell)
                }
                // `(exit(0)).evcxr_display()`: what never returns has no methods.
                (Some("E0282"), None) if is_shown => self.hide(),
                // `DisplayAny`, which shows values without `Debug`, cannot borrow what is not `mut`.
                (Some("E0596" | "E0599" | "E0277"), None) if is_shown && message.is_of_showing() => self.show_type(),
                // A macro that awaits.
                (Some("E0728"), None) => !std::mem::replace(&mut self.plan.awaits, true),
                (Some("E0282" | "E0283"), None) if returned(parsed, place.as_ref()).is_some() => {
                    returned(parsed, place.as_ref()).is_some_and(|end| self.plan.boxed.insert(end))
                }
                (Some("E0277"), None) if !self.plan.debugged.is_empty() && message.says("Debugged") => self.undebug(),
                (Some("E0277"), None) if message.is_of_conversion() => self.debug(place, parsed),
                _ => false,
            };
        }
        mended || (borrows && self.unput_all(cell))
    }

    /// Decides which variables are not kept when keeping these is an error. The error's main place is mostly a variable that another one
    /// still borrows from. The borrower is another kept variable, or that of a `let` with one of `places` in its written type.
    fn unput_borrowers(&mut self, glue: &[(&Glue, bool)], places: &[Range<usize>], cell: CellId) -> bool {
        let names = |primary: bool| -> Vec<&String> {
            let of = glue.iter().filter(|(_, is_primary)| *is_primary == primary);
            of.filter_map(|(glue, _)| if let Glue::Put(name) = glue { Some(name) } else { None }).collect()
        };
        let (others, main) = (names(false), names(true));
        match (others.is_empty(), self.made_at(places).is_empty()) {
            (false, _) => self.unput_each(others, cell),
            (true, false) => self.unput_let(places, cell),
            (true, true) => self.unput_each(main, cell),
        }
    }

    /// The variables of each `let` that contains one of these places.
    fn made_at(&self, places: &[Range<usize>]) -> Vec<String> {
        let is_meant = |made: &&Let| places.iter().any(|place| made.range.contains(&place.start));
        self.lets.iter().filter(is_meant).flat_map(|made| made.names.clone()).collect()
    }

    /// Keeps none of the variables of those `let`s.
    fn unput_let(&mut self, places: &[Range<usize>], cell: CellId) -> bool {
        let names = self.made_at(places);
        self.unput_each(&names, cell)
    }

    fn unput_each<'a>(&mut self, names: impl IntoIterator<Item = &'a String>, cell: CellId) -> bool {
        names.into_iter().filter(|name| self.unput(name, Some(Lost::Borrowed(cell)))).count() > 0
    }

    /// Keeps none of the variables that may borrow. What the compiler still refuses is the person's error.
    fn unput_all(&mut self, cell: CellId) -> bool {
        if std::mem::replace(&mut self.is_last_resort, true) {
            return false;
        }
        let may_borrow = |name: &&String| {
            self.type_of(name)
                .is_none_or(|ty| ty.contains(['&', '\'', '{']) || ty.contains("dyn ") || ty.contains("impl "))
        };
        let names: Vec<String> = self.plan.puts.iter().filter(may_borrow).cloned().collect();
        self.unput_each(&names, cell)
    }

    fn show_type(&mut self) -> bool {
        self.plan.keeps = false;
        !std::mem::replace(&mut self.plan.shows_type, true)
    }

    /// Notes that the error converted at a place has only `Debug`.
    fn debug(&mut self, place: Option<Range<usize>>, parsed: &ParsedCell) -> bool {
        let Some(place) = place.filter(|_| !self.has_silent_errors) else { return false };
        let end = returned(parsed, Some(&place)).unwrap_or(place.end.saturating_sub(1));
        self.plan.debugged.insert(end)
    }

    /// Some error has not even `Debug`: a person understands the compiler's first message better.
    fn undebug(&mut self) -> bool {
        self.has_silent_errors = true;
        self.plan.debugged.clear();
        true
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
            // It stays declared, so that the compiler can say that it has no value, and is not kept.
            let was_kept = variable.standing != Standing::Kept;
            variable.standing = Standing::Kept;
            was_kept
        });
        // A variable that borrows lives to the cell's end, so its type is asked for.
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

    /// The argument for the cell's function. Its low bits say what becomes of the value shown before. The other bits mark the handed-over
    /// variables whose type has no name, so that no cell could ever take them.
    pub fn word(&self) -> u32 {
        let nameless =
            |name: &String| matches!(standing(self.type_of(name).unwrap_or_default(), CellId(0)), Standing::Lost(_));
        let bits = self.plan.put_order(&self.lets).take(30).enumerate();
        bits.fold(self.fate() as u32, |word, (at, name)| word | u32::from(nameless(name)) << (at + 2))
    }

    /// What becomes of the value shown before, when the cell ends well.
    pub fn fate(&self) -> Fate {
        match self.shown {
            // A type does not count if a later round found that the value cannot be handed over.
            Some(_) => fate(&self.shown_as, self.type_of(last_value::NAME).filter(|_| self.plan.keeps)),
            None => Fate::Stays,
        }
    }

    /// Applies the plan to the session's variables after the cell has run, well or not. Must not be called for a cell that was undone.
    pub fn happened(self, state: &mut SessionState, cell: CellId, well: bool) {
        let variables = &mut state.variables;
        for name in &self.plan.moves {
            if let Some(variable) = variables.get_mut(name) {
                variable.standing = Standing::Lost(Lost::Moved(cell));
            }
        }
        if !well {
            return;
        }
        state.told_units = state.program.next_unit();
        let (fate, ty) = (self.fate(), self.types.get(last_value::NAME).cloned().unwrap_or_default());
        if fate != Fate::Stays {
            state.last_place = None;
            let standing = match fate {
                Fate::Replaced => Standing::Kept,
                _ => Standing::Lost(why_lost(&ty, cell).unwrap_or(Lost::Borrowed(cell))),
            };
            variables.insert(last_value::NAME.to_owned(), Variable { ty, is_mut: true, made: cell, standing });
        }
        if let (Fate::Ends, Shown::Place(words)) = (fate, self.shown_as) {
            state.last_place = Some(words);
        }
        for binding in self.bindings {
            let name = binding.name;
            let ty = self.types.get(&name).cloned().unwrap_or_default();
            let standing = match self.lost.get(&name) {
                Some(lost) => Standing::Lost(lost.clone()),
                None if !self.plan.puts.contains(&name) && !ty.contains("{closure") => continue,
                None => standing(&ty, cell),
            };
            variables.insert(name, Variable { ty, is_mut: binding.is_mut, made: cell, standing });
        }
        for (name, variable) in self.plan.empty {
            // `unput` has set those that are not assigned to `Kept`.
            if variable.standing != Standing::Kept
                && let Some(known) = variables.get_mut(&name)
            {
                known.standing = Standing::Kept;
            }
        }
    }
}

/// The end of the returned value at a place.
fn returned(parsed: &ParsedCell, place: Option<&Range<usize>>) -> Option<usize> {
    parsed
        .returns
        .iter()
        .find(|found| place.is_some_and(|place| found.value.contains(&place.start)))
        .map(|found| found.value.end)
}

/// The standing of a new variable: it is kept if a cell can write its type's name.
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

/// Explains an error about a name that is a variable of the session: functions cannot see those.
pub fn explain_captured(finding: &mut Finding, is_variable: impl Fn(&str) -> bool) {
    if finding.code.as_deref() != Some("E0425") || !finding.message.contains("cannot find value") {
        return;
    }
    let Some(name) = finding.message.split('`').nth(1).filter(|name| is_variable(name)) else { return };
    // The compiler's code for this, where both stand in one function.
    finding.code = Some("E0434".into());
    finding.helps.clear();
    finding.message = format!("`{name}` is a variable of the session, which a function cannot see");
    finding.notes.clear();
}

/// Explains an error about a lost variable by what has become of it.
pub fn explain_lost(finding: &mut Finding, variables: &BTreeMap<String, Variable>) {
    let unknown = matches!(finding.code.as_deref(), Some("E0425" | "E0381" | "E0382"));
    let Some(name) = finding.message.split('`').nth(1).filter(|_| unknown) else { return };
    if name == last_value::NAME && !variables.contains_key(name) {
        finding.message = "`_` is the value that a cell has shown last, and none has shown one yet".into();
        (finding.helps, finding.notes) = (Vec::new(), Vec::new());
        return;
    }
    let Some(Standing::Lost(lost)) = variables.get(name).map(|variable| &variable.standing) else { return };
    let (message, help) = match lost {
        Lost::Moved(cell) if name == last_value::NAME => (
            format!("`_`, the value that was shown last, was moved in cell {cell}"),
            "use `_.clone()` where it is to be used again, or give it a name: `let x = _;`".to_owned(),
        ),
        Lost::Borrowed(cell) | Lost::Nameless(cell, _) if name == last_value::NAME => (
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
        Lost::Rebuilt(cell) => (
            format!("the crate of the type of `{name}` was built anew by cell {cell}, so the old value is gone"),
            "run the cell again that made it".to_owned(),
        ),
        Lost::Unguarded(cell) => (
            format!("`{name}` was lost in a crash: it was made since cell {cell}, while the process that runs the cells could not be copied"),
            "run the cell again that made it".to_owned(),
        ),
        Lost::Replaced(cell) => (format!("`{name}` is an item since cell {cell}"), "give one of them another name".to_owned()),
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
