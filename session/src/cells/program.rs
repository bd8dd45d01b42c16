//! The session's items as one program: the newest definition of each, whichever cell made it.
//!
//! ```text
//!                 ┌─ supersedes what has the same key ─┐
//!  cell n ─ items ┤                                    ├─▶ Change: what is compiled together ─▶ rustc ─┬─▶ compiled, in a new unit
//!                 └─ dependents are compiled with them ┘             ▲       an older item does not fit │
//!                                                                    └────── without it: it waits ◀─────┘
//! ```
//!
//! A *unit* is a library with the items that one cell, or a change to what others depend on, has compiled. This file only records and
//! decides; nothing is compiled here.
//!
//! # Invariants
//! - No two definitions have a key in common, except those of one cell that the compiler accepted, such as one `fn` for each target.
//! - Compiled items depend only on compiled items: an item that waits is in no scope.
//! - An item's unit is not older than the units of all that it depends on.

use super::item::{Key, Part, Space};
use super::mentions::{plain, words};
use super::parse::Import;
use crate::event::CellId;
use crate::reports::report::Finding;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The name of a unit's crate.
pub fn krate(unit: u32) -> String {
    format!("cells_{unit}")
}

/// The units that a text of the compiler's names: every number after `cells_`.
pub fn units_in(text: &str) -> impl Iterator<Item = u32> + '_ {
    words(text).filter_map(|word| word.strip_prefix("cells_")?.parse().ok())
}

/// Whether a definition is compiled.
#[derive(Clone, Debug)]
pub enum Stage {
    /// It is in scope, in this unit.
    Compiled(u32),
    /// It does not compile with newer items: the error, and the unit that it was in before.
    Waits(Arc<Finding>, Option<u32>),
}

/// One item, as last defined.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The newest run of a cell that defined it like this.
    pub owner: CellId,
    /// The cell whose text it is: an unchanged item keeps its first cell.
    pub cell: CellId,
    /// That text.
    pub code: Arc<str>,
    pub part: Part,
    /// Members that other definitions have superseded.
    pub superseded: Vec<std::ops::Range<usize>>,
    pub stage: Stage,
    /// The symbol of a static's memory, and the unit that has it.
    pub symbol: Option<(String, u32)>,
}

impl Definition {
    fn unit(&self) -> Option<u32> {
        match self.stage {
            Stage::Compiled(unit) => Some(unit),
            Stage::Waits(..) => None,
        }
    }

    /// Its text, without white space at the ends.
    pub fn text(&self) -> &str {
        &self.code[self.part.range.clone()]
    }

    /// Its name for a person.
    pub fn title(&self) -> String {
        if let Some((_, name)) = self.part.names().last() {
            return name.to_owned();
        }
        match self.part.about.as_slice() {
            [of] => format!("impl {of}"),
            [of, of_trait, ..] => format!("impl {of_trait} for {of}"),
            [] => self.text().lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn depends_on(&self, names: &Names) -> bool {
        self.part.mentions.iter().any(|word| names.names.contains(word))
            || self.part.calls.iter().any(|word| names.methods.contains(word))
    }
}

/// Names whose meaning changes.
#[derive(Clone, Debug, Default)]
struct Names {
    names: HashSet<String>,
    methods: HashSet<String>,
}

impl Names {
    fn add(&mut self, part: &Part) {
        self.names.extend(part.names().map(|(_, name)| plain(name).to_owned()));
        self.methods.extend(part.methods.iter().cloned());
    }
}

/// An import, and the cell that last made it.
#[derive(Clone, Debug)]
pub struct Imported {
    pub import: Import,
    pub owner: CellId,
    /// What it names is gone, so it is in no scope.
    pub waits: bool,
}

/// All items and imports of a session.
#[derive(Clone, Debug, Default)]
pub struct Program {
    definitions: BTreeMap<u32, Arc<Definition>>,
    imports: Vec<Imported>,
    /// The names that each unit has defined, and the cells they come from.
    archive: HashMap<u32, Arc<Vec<(String, CellId)>>>,
    next_definition: u32,
    next_unit: u32,
}

/// A change to the program, which is compiled into one unit.
#[derive(Debug)]
pub struct Change {
    /// The program after it. Stages are still those from before it.
    pub program: Program,
    /// The definitions that are compiled, by number.
    together: BTreeSet<u32>,
    /// Those of them that the cell has defined.
    new: BTreeSet<u32>,
    /// Names whose meaning has changed.
    changed: HashSet<String>,
    /// Statics that keep their memory are written as references to it.
    keeps_statics: bool,
    /// Definitions that this change has set aside.
    waiting: BTreeSet<u32>,
}

/// The result of a change.
#[derive(Debug)]
pub struct Changed {
    pub program: Arc<Program>,
    /// Names whose type is the same in a new unit: name, old unit, new unit.
    pub moved: Vec<(String, u32, u32)>,
    /// Items that wait now, each with the cell and the reason.
    pub waits: Vec<Arc<Definition>>,
    /// Items that waited and compile again.
    pub back: Vec<Arc<Definition>>,
    /// Statics whose values begin anew.
    pub anew: Vec<String>,
}

impl Program {
    /// What a cell's items and imports change. `earlier`: the cell's previous run, whose items are removed if the cell lacks them now.
    pub fn change(
        &self,
        cell: CellId,
        code: &str,
        items: &[Part],
        imports: &[Import],
        earlier: Option<CellId>,
    ) -> Change {
        let mut program = self.clone();
        let code: Arc<str> = code.into();
        let (mut names, mut new, mut again) = (Names::default(), BTreeSet::new(), BTreeSet::new());
        let mut touched: Vec<Part> = Vec::new();
        let mut unchanged: Vec<(u32, &Part)> = Vec::new();
        for part in items {
            let same = program.same(part, &code, cell);
            if let Some((number, definition)) = same {
                if definition.unit().is_none() {
                    again.insert(number);
                }
                let definition = Definition { owner: cell, ..(*definition).clone() };
                program.definitions.insert(number, Arc::new(definition));
                unchanged.push((number, part));
                continue;
            }
            // The compiler is to refuse two of one name in a cell, even if it has compiled the first one before.
            let is_twin = |(_, first): &(u32, &Part)| first.all_keys().any(|key| part.all_keys().any(|own| own == key));
            for (number, first) in unchanged.extract_if(.., |first| is_twin(first)) {
                if let Some(definition) = program.definitions.get(&number) {
                    let definition =
                        Definition { cell, code: code.clone(), part: first.clone(), ..(**definition).clone() };
                    program.definitions.insert(number, Arc::new(definition));
                    new.insert(number);
                    touched.push(first.clone());
                }
            }
            for key in part.all_keys() {
                program.supersede(key, cell, &mut touched, &mut new, &mut again);
            }
            program.next_definition += 1;
            let definition = Definition {
                owner: cell,
                cell,
                code: code.clone(),
                part: part.clone(),
                superseded: Vec::new(),
                stage: Stage::Compiled(0),
                symbol: None,
            };
            program.definitions.insert(program.next_definition, Arc::new(definition));
            new.insert(program.next_definition);
            touched.push(part.clone());
        }
        again.retain(|number| !new.contains(number) && program.definitions.contains_key(number));
        if let Some(earlier) = earlier {
            let gone: Vec<u32> = program.owned(earlier).collect();
            for number in gone {
                again.remove(&number);
                touched.extend(program.definitions.remove(&number).map(|definition| definition.part.clone()));
            }
            program.imports.retain(|known| {
                let stays = known.owner != earlier || imports.contains(&known.import);
                if !stays {
                    names.names.extend(known.import.name.clone());
                }
                stays
            });
        }
        for import in imports {
            program.import(import, cell, &mut names, &mut touched);
        }
        for part in &touched {
            names.add(part);
        }
        let mut changed = names.names.clone();
        for part in new.iter().filter_map(|number| program.definitions.get(number)).map(|known| &known.part) {
            program.imports.retain(|known| {
                !known.import.name.as_deref().is_some_and(|name| part.has_name(name)) || known.owner == cell
            });
        }
        program.set_imports_aside(&touched, &mut names);
        program.close(&touched, &mut names, &new, &mut again);
        program.spread(&mut changed, &again);
        let together = new.union(&again).copied().collect();
        Change { program, together, new, changed, keeps_statics: true, waiting: BTreeSet::new() }
    }

    /// Compiles everything once more, against other libraries.
    pub fn anew(&self) -> Change {
        let program = self.clone();
        let together = program.definitions.keys().copied().collect();
        let (new, changed) = (BTreeSet::new(), HashSet::new());
        Change { program, together, new, changed, keeps_statics: false, waiting: BTreeSet::new() }
    }

    /// The definition that an item of a cell repeats, word for word.
    fn same(&self, part: &Part, code: &str, cell: CellId) -> Option<(u32, Arc<Definition>)> {
        let is_it = |known: &Definition| {
            known.owner != cell
                && known.superseded.is_empty()
                && known.part.all_keys().eq(part.all_keys())
                && known.text() == &code[part.range.clone()]
                // A file that it includes may have changed.
                && known.part.edits.iter().map(|edit| &edit.text).eq(part.edits.iter().map(|edit| &edit.text))
        };
        let found = self.definitions.iter().find(|(_, known)| is_it(known))?;
        Some((*found.0, found.1.clone()))
    }

    fn owned(&self, owner: CellId) -> impl Iterator<Item = u32> {
        self.definitions.iter().filter(move |(_, known)| known.owner == owner).map(|(number, _)| *number)
    }

    /// Removes what had this key before the cell; the rest of such an item is compiled again.
    fn supersede(
        &mut self,
        key: &Key,
        cell: CellId,
        touched: &mut Vec<Part>,
        new: &mut BTreeSet<u32>,
        again: &mut BTreeSet<u32>,
    ) {
        // A macro shadows another one even in its own cell.
        let is_older = |known: &Definition| known.owner != cell || known.part.is_macro;
        let has_key = |known: &&Arc<Definition>| is_older(known) && known.part.all_keys().any(|known| known == key);
        // There may be several, if a cell has them for different targets (`#[cfg(unix)] fn f() …`).
        while let Some((&number, definition)) = self.definitions.iter().find(|(_, known)| has_key(known)) {
            let mut definition = (**definition).clone();
            if definition.part.keys.contains(key) || definition.part.members.len() == 1 {
                self.definitions.remove(&number);
                again.remove(&number);
                new.remove(&number);
            } else {
                let gone = definition.part.remove(key);
                definition.superseded.extend(gone.into_iter().map(|member| member.range));
                self.definitions.insert(number, Arc::new(definition.clone()));
                again.insert(number);
            }
            touched.push(definition.part);
        }
    }

    /// Records an import.
    fn import(&mut self, import: &Import, cell: CellId, names: &mut Names, touched: &mut Vec<Part>) {
        let is_same = |known: &Imported| match &import.name {
            Some(name) => known.import.name.as_ref() == Some(name),
            None => known.import.path == import.path,
        };
        let before = self.imports.iter().find(|known| is_same(known)).map(|known| known.import.path.clone());
        if let Some(name) = &import.name {
            // `use geometry;` needs no import if `geometry` is a module of the session, which is in scope.
            if import.path == *name && self.definition_of(name).is_some() {
                return;
            }
            let is_other = before.as_ref().is_some_and(|path| *path != import.path);
            if is_other || (before.is_none() && IN_PRELUDE.contains(&name.as_str())) {
                names.names.insert(name.clone());
            }
            let shadowed = self.definitions.iter().find(|(_, known)| known.owner != cell && known.part.has_name(name));
            if let Some(number) = shadowed.map(|(number, _)| *number) {
                touched.extend(self.definitions.remove(&number).map(|definition| definition.part.clone()));
            }
        }
        self.imports.retain(|known| !is_same(known));
        self.imports.push(Imported { import: import.clone(), owner: cell, waits: false });
    }

    /// Sets imports of removed names aside, and tries those again that waited for a new one.
    fn set_imports_aside(&mut self, touched: &[Part], names: &mut Names) {
        let touched: HashSet<&str> = touched.iter().flat_map(Part::names).map(|(_, name)| name).collect();
        let gone: HashSet<&str> = touched.iter().copied().filter(|name| self.definition_of(name).is_none()).collect();
        for known in &mut self.imports {
            let first = known.import.path.split("::").next().unwrap_or_default();
            let is_its_own = known.import.name.as_deref() == Some(first);
            if touched.contains(first) && !is_its_own {
                known.waits = gone.contains(first);
                names.names.extend(known.import.name.clone());
            }
        }
    }

    /// Adds to `again` what must be compiled again: everything that depends on `names`, and what must be in one crate with an `impl`.
    fn close(&self, touched: &[Part], names: &mut Names, new: &BTreeSet<u32>, again: &mut BTreeSet<u32>) {
        let mut impls: Vec<Part> = touched.iter().filter(|part| part.is_impl()).cloned().collect();
        for number in again.iter() {
            names.add(&self.definitions[number].part);
            impls.extend(Some(self.definitions[number].part.clone()).filter(Part::is_impl));
        }
        loop {
            let before = again.len();
            let defined: HashSet<&str> = new
                .iter()
                .chain(again.iter())
                .flat_map(|number| self.definitions[number].part.names().map(|(_, name)| name))
                .collect();
            let mut added: Vec<u32> = Vec::new();
            for part in &impls {
                if part.about.iter().any(|word| defined.contains(word.as_str())) {
                    continue;
                }
                let of = part.about.iter().find_map(|word| self.type_of_name(word));
                added.extend(of);
            }
            for known in &self.imports {
                if known.import.mentions.iter().any(|word| names.names.contains(word)) {
                    match &known.import.name {
                        Some(name) => drop(names.names.insert(name.clone())),
                        None => {
                            let of: Vec<u32> =
                                known.import.mentions.iter().filter_map(|word| self.definition_of(word)).collect();
                            for number in of {
                                names.names.extend(words(self.definitions[&number].text()).map(str::to_owned));
                            }
                        }
                    }
                }
            }
            let depends = |(number, known): &(&u32, &Arc<Definition>)| {
                !new.contains(number) && !again.contains(number) && known.depends_on(names)
            };
            added.extend(self.definitions.iter().filter(depends).map(|(number, _)| *number));
            for number in added {
                if !new.contains(&number) && again.insert(number) {
                    let part = &self.definitions[&number].part;
                    names.add(part);
                    impls.extend(Some(part.clone()).filter(Part::is_impl));
                }
            }
            if again.len() == before {
                return;
            }
        }
    }

    /// Adds to the changed names those of definitions whose layout depends on a changed name.
    fn spread(&self, changed: &mut HashSet<String>, again: &BTreeSet<u32>) {
        loop {
            let before = changed.len();
            for number in again {
                let part = &self.definitions[number].part;
                if part.shape.iter().any(|word| changed.contains(word)) {
                    changed.extend(part.names().map(|(_, name)| plain(name).to_owned()));
                }
            }
            if changed.len() == before {
                return;
            }
        }
    }

    fn type_of_name(&self, name: &str) -> Option<u32> {
        let key = Key::Name(Space::Type, name.to_owned());
        self.definitions.iter().find(|(_, known)| known.part.keys.contains(&key)).map(|(number, _)| *number)
    }

    fn definition_of(&self, name: &str) -> Option<u32> {
        self.definitions.iter().find(|(_, known)| known.part.has_name(name)).map(|(number, _)| *number)
    }

    /// The imports and the units that code with these words needs: names of units, and what cells imported. `own`: names that the code
    /// defines itself; `except`: definitions that are part of it.
    pub fn prelude(
        &self,
        mentions: &HashSet<String>,
        own: &HashSet<&str>,
        except: &BTreeSet<u32>,
    ) -> (Vec<Line>, BTreeSet<u32>) {
        let mut wanted: HashSet<&str> = mentions.iter().map(String::as_str).collect();
        for known in self.in_scope() {
            wanted.extend(known.import.mentions.iter().map(String::as_str));
        }
        // What a macro's body mentions must be in scope where the macro is called.
        let macros: Vec<&Definition> =
            self.definitions.values().map(|known| &**known).filter(|known| known.part.is_macro).collect();
        loop {
            let before = wanted.len();
            for known in &macros {
                if known.part.names().any(|(_, name)| wanted.contains(plain(name))) {
                    wanted.extend(known.part.mentions.iter().map(String::as_str));
                }
            }
            if wanted.len() == before {
                break;
            }
        }
        let imported: HashSet<&str> = self.in_scope().filter_map(|known| known.import.name.as_deref()).collect();
        let others = || self.definitions.iter().filter(|(number, _)| !except.contains(number));
        let mut uses: BTreeSet<(u32, &str)> = BTreeSet::new();
        for (_, known) in others() {
            let Some(unit) = known.unit() else { continue };
            for (_, name) in known.part.names() {
                if wanted.contains(plain(name)) && !own.contains(name) && !imported.contains(name) {
                    uses.insert((unit, name));
                }
            }
        }
        let mut units: BTreeSet<u32> = uses.iter().map(|(unit, _)| *unit).collect();
        let mut lines: Vec<Line> =
            uses.iter().map(|(unit, name)| Line::made(format!("use {}::{name};", krate(*unit)))).collect();
        // Methods of traits are called without naming the trait.
        for (_, known) in others().filter(|(_, known)| known.part.is_trait) {
            let Some(unit) = known.unit() else { continue };
            for (_, name) in known.part.names().filter(|(_, name)| !uses.contains(&(unit, name))) {
                lines.push(Line::made(format!("use {}::{name} as _;", krate(unit))));
                units.insert(unit);
            }
        }
        let is_own = |import: &Import| import.name.as_deref().is_some_and(|name| own.contains(name));
        for known in self.in_scope().filter(|known| !is_own(&known.import)) {
            lines.push(Line { text: known.import.text(), import: Some(known.import.clone()) });
        }
        (lines, units)
    }

    /// The imports, oldest first.
    pub fn imports(&self) -> impl Iterator<Item = &Imported> {
        self.imports.iter()
    }

    fn in_scope(&self) -> impl Iterator<Item = &Imported> {
        self.imports.iter().filter(|known| !known.waits)
    }

    /// An empty program whose numbers go on.
    pub fn emptied(&self) -> Program {
        Program { next_unit: self.next_unit, next_definition: self.next_definition, ..Program::default() }
    }

    /// This program, with the numbers of a later one.
    pub fn with_numbers_of(&self, later: &Program) -> Program {
        Program { next_unit: later.next_unit, next_definition: later.next_definition, ..self.clone() }
    }

    /// All definitions, in the order of their cells.
    pub fn definitions(&self) -> Vec<&Definition> {
        let mut all: Vec<&Definition> = self.definitions.values().map(|known| &**known).collect();
        all.sort_by_key(|known| (known.cell, known.part.range.start));
        all
    }

    /// The definitions that have been compiled in this unit or a later one, and their units.
    pub fn compiled_since(&self, first: u32) -> impl Iterator<Item = (u32, &Definition)> {
        let compiled = self.definitions.values().filter_map(|known| Some((known.unit()?, &**known)));
        compiled.filter(move |(unit, _)| *unit >= first)
    }

    /// The number of the unit that is compiled next.
    pub fn next_unit(&self) -> u32 {
        self.next_unit
    }

    /// The waiting item that is meant by an error about an unknown `name`.
    pub fn waiting(&self, name: &str) -> Option<&Definition> {
        self.all_waiting().find(|known| known.part.has_name(name))
    }

    /// The waiting `impl` that is meant by an error about an unknown method `name`.
    pub fn waiting_method(&self, name: &str, message: &str) -> Option<&Definition> {
        let is_meant = |known: &&Definition| {
            known.part.about.first().is_some_and(|of| words(message).any(|word| word == of))
                && known.text().contains(&format!("fn {name}"))
        };
        self.all_waiting().find(is_meant)
    }

    /// The waiting `impl` that is meant by an error about a trait that a type lacks.
    pub fn waiting_trait(&self, message: &str) -> Option<&Definition> {
        let in_message: HashSet<&str> = words(message).collect();
        let is_meant = |known: &&Definition| match known.part.about.as_slice() {
            [of, of_trait, ..] => in_message.contains(of.as_str()) && in_message.contains(of_trait.as_str()),
            _ => false,
        };
        self.all_waiting().find(is_meant)
    }

    fn all_waiting(&self) -> impl Iterator<Item = &Definition> {
        let waits = self.definitions.values().filter(|known| matches!(known.stage, Stage::Waits(..)));
        waits.map(|known| &**known)
    }

    /// The import of this name, if it waits.
    pub fn waiting_import(&self, name: &str) -> Option<&Imported> {
        self.imports.iter().find(|known| known.waits && known.import.name.as_deref() == Some(name))
    }

    /// A text of the compiler's for a person: `cells_9::P` is `P`, and a definition that is not the newest any more is `P of cell 3`.
    pub fn spoken(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("cells_") {
            let is_word = rest[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
            let after = &rest[at + "cells_".len()..];
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let number = after[..digits].parse::<u32>().ok().filter(|_| !is_word && after[digits..].starts_with("::"));
            let Some(unit) = number else {
                out.push_str(&rest[..at + "cells_".len()]);
                rest = after;
                continue;
            };
            out.push_str(&rest[..at]);
            let path = &after[digits + 2..];
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(path.len());
            let name = path[..end].trim_end_matches(':');
            out.push_str(name);
            if let Some(cell) = self.older(unit, name.split("::").next().unwrap_or_default()) {
                out.push_str(&format!(" of cell {cell}"));
            }
            rest = &path[name.len()..];
        }
        out.push_str(rest);
        out
    }

    /// Panics when an invariant of this file does not hold.
    #[cfg(debug_assertions)]
    fn check(&self) {
        let mut by_key: HashMap<&Key, &Definition> = HashMap::new();
        for known in self.definitions.values() {
            for key in known.part.all_keys() {
                let Some(other) = by_key.insert(key, known) else { continue };
                let is_one_cells = known.owner == other.owner || known.cell == other.cell;
                assert!(is_one_cells, "no two definitions have a key in common: {key:?}");
            }
        }
        let newest = self.definitions.values().filter_map(|known| known.unit()).max();
        assert!(newest <= Some(self.next_unit), "no item is in a unit that was not compiled");
        let mut units: HashMap<&str, u32> = HashMap::new();
        for (unit, name) in self.definitions.values().flat_map(|known| {
            let unit = known.unit();
            known.part.names().filter_map(move |(_, name)| Some((unit?, plain(name))))
        }) {
            let newest = units.entry(name).or_insert(unit);
            *newest = unit.max(*newest);
        }
        for known in self.definitions.values() {
            let of = known.part.mentions.iter().find(|word| units.get(word.as_str()) > known.unit().as_ref());
            let is_older = known.unit().is_some() && of.is_some();
            assert!(!is_older, "an item's unit is not older than what it depends on: {} of {of:?}", known.title());
        }
    }

    /// The cell of a definition in a unit, if it is not the newest of its name.
    fn older(&self, unit: u32, name: &str) -> Option<CellId> {
        let is_newest = self.definitions.values().any(|known| known.unit() == Some(unit) && known.part.has_name(name));
        let (_, cell) = self.archive.get(&unit)?.iter().find(|(known, _)| known == name)?;
        (!is_newest).then_some(*cell)
    }
}

/// A line among a text's imports.
#[derive(Clone, Debug)]
pub struct Line {
    pub text: String,
    /// The person's import, if the line is one.
    pub import: Option<Import>,
}

impl Line {
    fn made(text: String) -> Line {
        Line { text, import: None }
    }
}

/// Names that are in scope without an import. An import of such a name changes what earlier items mean.
const IN_PRELUDE: [&str; 16] = [
    "Result", "Option", "Some", "None", "Ok", "Err", "Vec", "String", "Box", "Iterator", "From", "Into", "Default",
    "Clone", "Drop", "Fn",
];

impl Change {
    /// Whether nothing is compiled: the change is to imports only.
    pub fn is_empty(&self) -> bool {
        self.together.is_empty()
    }

    /// The number of the unit that is compiled.
    pub fn number(&self) -> u32 {
        self.program.next_unit + 1
    }

    /// The definitions that are compiled.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.together.iter().map(|number| &*self.program.definitions[number])
    }

    /// The imports that they need; see [`Program::prelude`].
    pub fn prelude(&self) -> (Vec<Line>, BTreeSet<u32>) {
        let mentions: HashSet<String> =
            self.definitions().flat_map(|known| known.part.mentions.iter().cloned()).collect();
        let own: HashSet<&str> =
            self.definitions().flat_map(|known| known.part.names()).map(|(_, name)| name).collect();
        let (lines, mut units) = self.program.prelude(&mentions, &own, &self.together);
        units.extend(self.definitions().filter_map(|known| Some(self.memory(known)?.1)));
        (lines, units)
    }

    /// The symbol of a static that keeps its memory, and the unit that has the memory.
    pub fn memory<'a>(&self, definition: &'a Definition) -> Option<(&'a str, u32)> {
        let (symbol, unit) = definition.symbol.as_ref().filter(|_| self.keeps_statics)?;
        let is_same = !definition.part.shape.iter().any(|word| self.changed.contains(word));
        is_same.then_some((symbol, *unit))
    }

    /// The symbol for a static whose memory is made in this unit.
    pub fn symbol(&self, definition: &Definition) -> Option<String> {
        let of = definition.part.as_static.as_ref()?;
        Some(format!("mobula_static_{}_{}", self.number(), plain(&of.name)))
    }

    /// Sets older items with errors aside, and what depends on them. `Err`: the errors of the cell itself, or all errors if none is an
    /// older item's.
    pub fn set_aside(&mut self, findings: Vec<Finding>) -> Result<(), Vec<Finding>> {
        let mut own = Vec::new();
        let mut aside: BTreeMap<u32, Arc<Finding>> = BTreeMap::new();
        let mut placeless = Vec::new();
        for finding in findings {
            let main = finding.marks.first().map(|mark| (mark.cell, mark.range.start));
            match finding.called.or(main).and_then(|(cell, place)| self.at(cell, place)) {
                Some(number) if self.new.contains(&number) => own.push(finding),
                Some(number) => drop(aside.entry(number).or_insert_with(|| Arc::new(finding))),
                None => placeless.push(finding),
            }
        }
        if !own.is_empty() || aside.is_empty() {
            own.extend(placeless);
            return Err(own);
        }
        let mut because = aside.clone();
        loop {
            for number in because.keys() {
                let part = &self.program.definitions[number].part;
                self.changed.extend(part.names().map(|(_, name)| plain(name).to_owned()));
            }
            because = BTreeMap::new();
            for which in self.together.difference(&self.new).filter(|which| !aside.contains_key(which)) {
                let known = &self.program.definitions[which];
                let is_cause = |(number, _): &(&u32, &Arc<Finding>)| {
                    let mut of = Names::default();
                    of.add(&self.program.definitions[number].part);
                    of.methods.clear();
                    known.depends_on(&of)
                };
                if let Some((number, finding)) = aside.iter().find(is_cause) {
                    let of = self.program.definitions[number].title();
                    let message = match finding.message.starts_with("it uses `") {
                        true => finding.message.clone(),
                        false => format!("it uses `{of}`, which does not compile: {}", finding.message),
                    };
                    because.insert(*which, Arc::new(Finding { message, ..(**finding).clone() }));
                }
            }
            if because.is_empty() {
                break;
            }
            aside.extend(because.clone());
        }
        for (number, finding) in aside {
            self.together.remove(&number);
            self.waiting.insert(number);
            let mut known = (*self.program.definitions[&number]).clone();
            let before = match known.stage {
                Stage::Compiled(unit) => Some(unit),
                Stage::Waits(_, unit) => unit,
            };
            known.stage = Stage::Waits(finding, before);
            self.program.definitions.insert(number, Arc::new(known));
        }
        let again: BTreeSet<u32> = self.together.difference(&self.new).copied().collect();
        let mut changed = std::mem::take(&mut self.changed);
        self.program.spread(&mut changed, &again);
        self.changed = changed;
        Ok(())
    }

    /// Sets an import aside that does not resolve any more.
    pub fn set_import_aside(&mut self, import: &Import) {
        for known in self.program.imports.iter_mut().filter(|known| known.import == *import) {
            known.waits = true;
            self.changed.extend(known.import.name.clone());
        }
    }

    fn at(&self, cell: CellId, place: usize) -> Option<u32> {
        let is_in = |known: &Definition| known.cell == cell && known.part.range.contains(&place);
        self.together.iter().copied().find(|number| is_in(&self.program.definitions[number]))
    }

    /// Ends the change: it has been compiled, or there was nothing to compile.
    pub fn finish(self) -> Changed {
        let number = self.number();
        let mut moved = Vec::new();
        let (mut back, mut anew) = (Vec::new(), Vec::new());
        let mut after = Vec::new();
        for &which in &self.together {
            let mut known = (*self.program.definitions[&which]).clone();
            let before = match known.stage {
                Stage::Compiled(unit) => Some(unit),
                Stage::Waits(_, unit) => unit,
            };
            let is_new = self.new.contains(&which);
            let names = || known.part.names().map(|(_, name)| name);
            if let (Some(before), false) = (before, is_new) {
                let same = names().filter(|name| !self.changed.contains(plain(name)));
                moved.extend(same.map(|name| (name.to_owned(), before, number)));
            }
            if self.memory(&known).is_none() {
                if known.part.is_static && !is_new {
                    anew.extend(names().map(str::to_owned));
                }
                known.symbol = self.symbol(&known).map(|symbol| (symbol, number));
            }
            let waited = matches!(known.stage, Stage::Waits(..));
            known.stage = Stage::Compiled(number);
            let known = Arc::new(known);
            if waited && !is_new {
                back.push(known.clone());
            }
            after.push((which, known));
        }
        let waits = self.waiting.iter().map(|which| self.program.definitions[which].clone()).collect();
        let mut program = self.program;
        if !after.is_empty() {
            program.next_unit = number;
            let names = |(_, known): &(u32, Arc<Definition>)| {
                known.part.names().map(|(_, name)| (name.to_owned(), known.cell)).collect::<Vec<_>>()
            };
            program.archive.insert(number, Arc::new(after.iter().flat_map(names).collect()));
            program.definitions.extend(after);
        }
        #[cfg(debug_assertions)]
        program.check();
        Changed { program: Arc::new(program), moved, waits, back, anew }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::*;
    use crate::reports::report::Mark;

    /// A session whose compiler accepts everything except what `refuses` picks.
    #[derive(Default)]
    struct Cells {
        program: Program,
        count: u64,
        /// What the newest cell has compiled.
        compiled: Vec<String>,
        changed: Option<Changed>,
    }

    impl Cells {
        fn of(cells: &[&str]) -> Cells {
            let mut all = Cells::default();
            cells.iter().for_each(|code| all.run(code));
            all
        }

        fn run(&mut self, code: &str) {
            self.run_again(code, None, &|_| false);
        }

        fn run_again(&mut self, code: &str, earlier: Option<u64>, refuses: &dyn Fn(&str) -> bool) {
            self.count += 1;
            let parsed = parse_cell(code).unwrap();
            let mut change =
                self.program.change(CellId(self.count), code, &parsed.items, &parsed.imports, earlier.map(CellId));
            let refused = |known: &Definition| Finding {
                message: "it does not fit".into(),
                marks: vec![Mark { cell: known.cell, range: known.part.range.clone(), label: String::new() }],
                ..Finding::default()
            };
            loop {
                let findings: Vec<Finding> =
                    change.definitions().filter(|known| refuses(known.text())).map(refused).collect();
                if findings.is_empty() {
                    break;
                }
                change.set_aside(findings).unwrap();
            }
            self.compiled = change.definitions().map(Definition::title).collect();
            let changed = change.finish();
            self.program = (*changed.program).clone();
            self.changed = Some(changed);
        }

        fn prelude(&self, code: &str) -> String {
            let (lines, _) =
                self.program.prelude(&parse_cell(code).unwrap().mentions, &HashSet::new(), &BTreeSet::new());
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join(" ")
        }

        fn moved(&self) -> Vec<&str> {
            let moved = self.changed.iter().flat_map(|changed| &changed.moved);
            moved.map(|(name, ..)| name.as_str()).collect()
        }

        fn waits(&self) -> Vec<String> {
            self.program
                .definitions()
                .iter()
                .filter(|known| known.unit().is_none())
                .map(|known| known.title())
                .collect()
        }
    }

    #[test]
    fn a_cell_imports_what_it_mentions_and_every_trait() {
        let cells = Cells::of(&["fn f() {}", "struct P; fn g() {}", "trait Area {}", "use std::fmt::Debug;"]);
        assert_eq!(cells.prelude("f()"), "use cells_1::f; use cells_3::Area as _; use std::fmt::Debug;");
        assert_eq!(cells.prelude("let p = P;"), "use cells_2::P; use cells_3::Area as _; use std::fmt::Debug;");
    }

    #[test]
    fn what_a_macros_body_mentions_is_in_scope_where_it_is_called() {
        let mut cells = Cells::of(&[
            "macro_rules! m { ($e:expr) => { $e * K } }",
            "const K: i64 = 1;",
            "fn f() -> i64 { m!(0) + 0 }",
        ]);
        assert_eq!(cells.prelude("m!(1)"), "use cells_2::K; use cells_2::m;");
        cells.run("const K: i64 = 2;");
        assert_eq!(cells.compiled, ["m", "f", "K"]);
        cells.run("fn g() -> i64 { m!(0) + 0 }");
        assert_eq!(cells.prelude("g()"), "use cells_5::g;");
    }

    #[test]
    fn a_name_that_is_a_keyword_is_one_name_however_it_is_written() {
        let mut cells = Cells::of(&["fn r#match() {}", "fn of() { r#match() }"]);
        assert_eq!(cells.prelude("r#match()"), "use cells_1::r#match;");
        cells.run("fn r#match() -> i64 { 1 }");
        assert_eq!(cells.compiled, ["of", "r#match"]);
    }

    #[test]
    fn an_item_that_is_run_again_unchanged_is_not_compiled_again() {
        let mut cells = Cells::of(&["fn a() -> i32 { 1 }", "fn b() -> i32 { a() + 10 }", "fn b() -> i32 { a() + 10 }"]);
        assert!(cells.compiled.is_empty());
        cells.run("fn a() -> i32 { 2 }");
        assert_eq!(cells.compiled, ["b", "a"]);
        assert_eq!(cells.prelude("b(); a()"), "use cells_3::a; use cells_3::b;");
    }

    #[test]
    fn a_function_that_is_defined_anew_is_the_one_that_its_callers_call_and_others_stay() {
        let mut cells = Cells::of(&["fn f() {} fn h() {}", "fn g() { f() }", "fn k() { g() }"]);
        cells.run("fn f() {  }");
        assert_eq!(cells.compiled, ["g", "k", "f"]);
        assert_eq!(cells.prelude("f(); g(); h()"), "use cells_1::h; use cells_4::f; use cells_4::g;");
    }

    #[test]
    fn an_impl_for_an_earlier_type_is_compiled_with_it_and_with_what_uses_it() {
        let mut cells = Cells::of(&["struct P;", "fn of(p: &P) {}", "fn other() {}"]);
        cells.run("impl P { fn new() -> P { P } }");
        assert_eq!(cells.compiled, ["P", "of", "impl P"]);
        assert_eq!(cells.moved(), ["P", "P", "of"]);
        cells.run("trait Area {} impl Area for P {}");
        assert_eq!(cells.compiled, ["Area", "impl Area for P"], "a trait of its own for an earlier type needs nobody");
    }

    #[test]
    fn a_method_that_is_defined_anew_supersedes_that_method_alone() {
        let mut cells = Cells::of(&["struct P;", "impl P { fn a() {} fn b() {} }"]);
        cells.run("impl P { fn a() -> u8 { 1 } }");
        assert_eq!(cells.compiled, ["P", "impl P", "impl P"]);
        let left: Vec<_> = cells.program.definitions().iter().map(|known| known.part.members.len()).collect();
        assert_eq!(left, [0, 1, 1]);
        cells.run("impl P { fn a() {} fn b() {} }");
        assert_eq!(cells.program.definitions().len(), 2);
    }

    #[test]
    fn definitions_for_several_targets_are_superseded_together() {
        let mut cells = Cells::of(&["#[cfg(unix)] fn f() {} #[cfg(not(unix))] fn f() {}", "fn g() { f() }"]);
        cells.run("fn f() -> u8 { 1 }");
        assert_eq!(cells.compiled, ["g", "f"]);
        assert_eq!(cells.prelude("f()"), "use cells_3::f;");
    }

    #[test]
    fn a_field_does_not_depend_on_an_item_of_its_name() {
        let mut cells = Cells::of(&["struct P { value: i32 }", "fn of(p: P) -> i32 { let n = p.value; n }"]);
        cells.run("fn value() {}");
        assert_eq!(cells.compiled, ["value"]);
    }

    #[test]
    fn what_calls_a_traits_method_depends_on_the_trait() {
        let mut cells = Cells::of(&["trait Area { fn area(&self) {} }", "impl Area for i32 {}", "fn f() { 1.area() }"]);
        cells.run("impl Area for i32 { fn area(&self) { 1; } }");
        assert_eq!(cells.compiled, ["Area", "f", "impl Area for i32"]);
    }

    #[test]
    fn what_does_not_fit_waits_with_all_that_needs_it_and_is_back_when_it_fits() {
        let mut cells = Cells::of(&["fn f() {}", "fn g() { f() }", "fn h() { g() }"]);
        cells.run_again("fn f(n: i32) {}", None, &|text| text.starts_with("fn g"));
        assert_eq!((cells.compiled.clone(), cells.waits()), (vec!["f".to_owned()], vec!["g".into(), "h".into()]));
        assert_eq!(cells.prelude("g(); h()"), "");
        assert_eq!(cells.program.waiting("h").map(Definition::title).as_deref(), Some("h"));
        cells.run("fn f() { }");
        assert_eq!(cells.compiled, ["g", "h", "f"]);
        assert_eq!(cells.changed.as_ref().map(|changed| changed.back.len()), Some(2));
    }

    #[test]
    fn an_error_of_the_cell_itself_refuses_it() {
        let cells = Cells::of(&["fn f() {}"]);
        let code = "fn f(n: i32) {}";
        let mut change = cells.program.change(CellId(2), code, &parse_cell(code).unwrap().items, &[], None);
        let mark = Mark { cell: CellId(2), range: 0..2, label: String::new() };
        let finding = Finding { marks: vec![mark], ..Finding::default() };
        assert_eq!(change.set_aside(vec![finding.clone()]), Err(vec![finding]));
    }

    #[test]
    fn a_cell_that_defines_a_thing_twice_is_refused_even_if_an_earlier_cell_has_compiled_the_first() {
        let cells = Cells::of(&["struct P;", "impl P { fn a() {} }"]);
        let code = "impl P { fn a() {} } impl P { fn a() -> u8 { 1 } }";
        let mut change = cells.program.change(CellId(3), code, &parse_cell(code).unwrap().items, &[], None);
        // `P`, which an `impl` is compiled with, and both of the cell.
        assert_eq!(change.definitions().map(|known| known.cell.0).collect::<Vec<_>>(), [1, 3, 3]);
        // rustc's E0592 marks the first of the two.
        let mark = Mark { cell: CellId(3), range: 0..20, label: String::new() };
        let finding = Finding { marks: vec![mark], ..Finding::default() };
        assert_eq!(change.set_aside(vec![finding.clone()]), Err(vec![finding]));
    }

    #[test]
    fn what_a_cell_does_not_have_any_more_when_it_is_run_again_ends() {
        let mut cells = Cells::of(&["fn a() {} fn b() {} use std::fmt;", "fn c() { b() }"]);
        cells.run_again("fn a() {}", Some(1), &|text| text.starts_with("fn c"));
        assert_eq!(cells.waits(), ["c"]);
        assert_eq!(cells.prelude("a(); b(); fmt"), "use cells_1::a;");
    }

    #[test]
    fn a_static_keeps_its_memory_unless_its_type_changes() {
        let mut cells = Cells::of(&["struct P; static OF: Option<P> = None; static N: u32 = 0; fn f() { N; OF; }"]);
        let memory = |cells: &Cells| {
            let known = cells.program.definitions().into_iter().find(|known| known.part.has_name("OF")).cloned();
            known.and_then(|known| known.symbol).unwrap()
        };
        cells.run("impl P {}");
        assert_eq!(memory(&cells), ("mobula_static_1_OF".to_owned(), 1));
        assert_eq!(cells.prelude("N; OF"), "use cells_1::N; use cells_2::OF;");
        cells.run("struct P { x: i32 }");
        assert_eq!(memory(&cells), ("mobula_static_3_OF".to_owned(), 3));
        assert_eq!(cells.changed.as_ref().map(|changed| changed.anew.clone()), Some(vec!["OF".to_owned()]));
    }

    #[test]
    fn a_type_has_moved_unless_something_in_it_has_changed() {
        let mut cells = Cells::of(&["struct Q; struct P { q: Q }", "struct R;", "fn f(p: P, r: R) {}"]);
        cells.run("impl Q {}");
        assert_eq!(cells.moved(), ["Q", "Q", "P", "f"]);
        cells.run("struct Q { x: i64 }");
        assert!(cells.moved().is_empty(), "{:?}", cells.moved());
    }

    #[test]
    fn the_newest_import_of_a_name_counts_and_one_of_what_is_gone_waits() {
        let mut cells =
            Cells::of(&["use std::fmt::Result;", "use std::io::Result;", "use std::fmt::*;", "use std::fmt::*;"]);
        assert_eq!(cells.prelude("1"), "use std::io::Result; use std::fmt::*;");
        cells = Cells::of(&["mod m { pub fn g() {} }", "use m::g;"]);
        cells.run_again("fn other() {}", Some(1), &|_| false);
        assert_eq!(cells.prelude("g()"), "");
        cells.run("mod m { pub fn g() {} }");
        assert_eq!(cells.prelude("g()"), "use cells_3::m; use m::g;");
    }

    #[test]
    fn a_definition_that_is_not_the_newest_is_called_by_its_cell() {
        let mut cells = Cells::of(&["struct P;", "struct Q;"]);
        cells.run("struct P { x: i32 }");
        let text = "expected `cells_3::P`, found `&cells_1::P` or cells_2::Q::x, no_cells_1::P";
        assert_eq!(cells.program.spoken(text), "expected `P`, found `&P of cell 1` or Q::x, no_cells_1::P");
    }
}
