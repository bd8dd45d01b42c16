//! What a session has made so far: its units, what their names mean, its imports and its variables. Only facts and the questions about
//! them; nothing is compiled here.
//!
//! A *unit* is a library with the items of one cell, or of several that had to be compiled together.

use super::cut::{Cut, Import, Part, Space};
use super::last;
use super::names::{mentioned, plain, words};
use crate::event::CellId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The items of one cell that a unit holds.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which cell.
    pub cell: CellId,
    /// Its whole code.
    pub code: String,
    /// Those of its items that are in this unit.
    pub items: Vec<Part>,
    /// What the cell itself imported.
    pub imports: Vec<Import>,
}

/// A library of items.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its number; its crate is called after it.
    pub number: u32,
    /// Where its items come from, in order.
    pub sources: Vec<Source>,
}

impl Unit {
    /// The crate's name.
    pub fn krate(number: u32) -> String {
        format!("cells_{number}")
    }

    /// The unit that a type's text speaks of: every number after `cells_`.
    pub fn numbers_in(text: &str) -> impl Iterator<Item = u32> + '_ {
        words(text).filter_map(|word| word.strip_prefix("cells_")?.parse().ok())
    }

    fn items(&self) -> impl Iterator<Item = &Part> {
        self.sources.iter().flat_map(|source| &source.items)
    }

    /// The same with fewer items. None: nothing is left.
    fn left(&self, stays: impl Fn(&Part) -> bool) -> Option<Unit> {
        let left = |source: &Source| {
            let items: Vec<Part> = source.items.iter().filter(|item| stays(item)).cloned().collect();
            (!items.is_empty()).then(|| Source { items, ..source.clone() })
        };
        let sources: Vec<Source> = self.sources.iter().filter_map(left).collect();
        (!sources.is_empty()).then_some(Unit { number: self.number, sources })
    }

    fn mentions(&self, names: &HashSet<&str>) -> bool {
        self.items().any(|item| names.iter().any(|name| item.mentions.contains(plain(name))))
    }
}

/// Why a variable cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A cell moved it away.
    Moved(CellId),
    /// Its type has no name that another cell could write.
    Nameless(CellId, String),
    /// It refers to what ended with its cell.
    Borrowed(CellId),
}

/// What is known of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in the store.
    Kept,
    /// It is a function: this path names it.
    Function(String),
    /// It was there and is not any more, or it could not be kept.
    Lost(Lost),
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its type, as a cell can write it; empty if it has no such name.
    pub ty: String,
    /// It was declared `mut`.
    pub is_mut: bool,
    /// Whether it is there.
    pub standing: Standing,
}

/// What a session knows.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// The units whose items are in scope, by number.
    pub units: BTreeMap<u32, Arc<Unit>>,
    /// Name to the unit that defines it.
    names: HashMap<(Space, String), u32>,
    /// Imports of the cells, newest last.
    imports: Vec<Import>,
    /// Variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// The words of what was shown last, if `_` stands for those; else it is a variable.
    pub last_place: Option<String>,
    next_unit: u32,
}

impl Book {
    /// A new unit's number.
    pub fn number(&mut self) -> u32 {
        self.next_unit += 1;
        self.next_unit
    }

    /// Says what `_` stands for in a cell.
    pub fn resolve(&self, cut: &mut Cut) {
        if cut.last.is_empty() {
            return;
        }
        cut.last_means = self.last_place.as_ref().map_or_else(|| last::NAME.to_owned(), |place| format!("({place})"));
        let place: Option<proc_macro2::TokenStream> = cut.last_means.parse().ok();
        cut.mentions.extend(place.map(mentioned).unwrap_or_default());
    }

    /// The units that have to be compiled together with the items of a cell: those of types that it has an `impl` for, those whose
    /// items use a name that the cell defines anew, and all that use any of these.
    pub fn joined(&self, cut: &Cut) -> BTreeSet<u32> {
        let own: HashSet<&str> = defined(&cut.items).collect();
        let mut joined = BTreeSet::new();
        // An impl with a type or a trait of the cell's own needs nobody else: the language allows it in another crate.
        for item in cut.items.iter().filter(|item| !item.about.iter().any(|word| own.contains(word.as_str()))) {
            joined.extend(item.about.iter().filter_map(|word| self.names.get(&(Space::Type, word.clone()))));
        }
        let again = self.known_of(&own);
        for unit in self.units.values() {
            let others =
                unit.items().filter(|item| !item.defines.iter().any(|(_, name)| again.contains(name.as_str())));
            // An impl of the type that is defined anew belongs to the old one.
            let mut users = others.filter(|item| !item.about.iter().any(|word| again.contains(word.as_str())));
            if users.any(|item| again.iter().any(|name| item.mentions.contains(plain(name)))) {
                joined.insert(unit.number);
            }
        }
        loop {
            let names: HashSet<&str> = joined
                .iter()
                .filter_map(|number| self.units.get(number))
                .flat_map(|unit| unit.items())
                .flat_map(|item| item.defines.iter())
                .map(|(_, name)| name.as_str())
                .collect();
            let before = joined.len();
            joined.extend(self.units.values().filter(|unit| unit.mentions(&names)).map(|unit| unit.number));
            if joined.len() == before {
                return joined;
            }
        }
    }

    /// The statics of units that a cell's items are compiled together with which can stay where they are, with their values: those that
    /// speak of nothing that is compiled again.
    pub fn staying(&self, joined: &BTreeSet<u32>, cut: &Cut) -> HashSet<String> {
        let items = || joined.iter().filter_map(|number| self.units.get(number)).flat_map(|unit| unit.items());
        let names = |item: &Part| item.defines.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        let mut again: HashSet<String> = defined(&cut.items).map(str::to_owned).collect();
        again.extend(items().filter(|item| !item.is_static).flat_map(names));
        let mut stays: Vec<&Part> = items().filter(|item| item.is_static).collect();
        loop {
            let speaks = |item: &&Part| again.iter().any(|name| item.mentions.contains(plain(name)));
            let (gone, rest): (Vec<&Part>, _) = stays.into_iter().partition(speaks);
            stays = rest;
            if gone.is_empty() {
                return stays.into_iter().flat_map(names).collect();
            }
            again.extend(gone.into_iter().flat_map(names));
        }
    }

    /// What remains of units when a cell's items are compiled together with theirs: all but what the cell defines anew, and the statics
    /// that stay.
    pub fn sources_of(&self, joined: &BTreeSet<u32>, cut: &Cut, staying: &HashSet<String>) -> Vec<Source> {
        let own: HashSet<&str> = defined(&cut.items).collect();
        let again = self.known_of(&own);
        let stays = |item: &Part| {
            !item.defines.iter().any(|(_, name)| own.contains(name.as_str()) || staying.contains(name))
                && !item.about.iter().any(|word| again.contains(word.as_str()))
        };
        let mut sources: Vec<Source> = Vec::new();
        for source in joined.iter().filter_map(|number| self.units.get(number)).flat_map(|unit| &unit.sources) {
            let items: Vec<Part> = source.items.iter().filter(|item| stays(item)).cloned().collect();
            if !items.is_empty() {
                sources.push(Source { items, ..source.clone() });
            }
        }
        sources.sort_by_key(|source| source.cell);
        sources
    }

    /// The statics in what remains of units that are compiled together with a cell: they begin anew.
    pub fn statics_of(sources: &[Source]) -> Vec<&str> {
        let items = sources.iter().flat_map(|source| &source.items).filter(|item| item.is_static);
        items.flat_map(|item| item.defines.iter().map(|(_, name)| name.as_str())).collect()
    }

    /// Whether a unit has a static of this name.
    fn is_static(&self, unit: u32, name: &str) -> bool {
        let is_it = |item: &Part| item.is_static && item.defines.iter().any(|(_, known)| known == name);
        self.units.get(&unit).is_some_and(|unit| unit.items().any(is_it))
    }

    /// Those of the names that a unit defines already.
    fn known_of<'a>(&self, names: &HashSet<&'a str>) -> HashSet<&'a str> {
        names.iter().copied().filter(|name| self.unit_of(name).is_some()).collect()
    }

    fn unit_of(&self, name: &str) -> Option<u32> {
        [Space::Type, Space::Value, Space::Macro]
            .iter()
            .find_map(|space| self.names.get(&(*space, name.to_owned())).copied())
    }

    /// The imports that code with these words needs, as text: names of units, and what cells imported. `except`: names that the code
    /// defines itself, and units that are part of it.
    pub fn prelude(
        &self,
        mentions: &HashSet<String>,
        own: &HashSet<&str>,
        except: &BTreeSet<u32>,
    ) -> (String, BTreeSet<u32>) {
        let mut wanted: HashSet<&str> = mentions.iter().map(String::as_str).collect();
        for import in &self.imports {
            wanted.extend(import.mentions.iter().map(String::as_str));
        }
        let imported: HashSet<&str> = self.imports.iter().filter_map(|import| import.name.as_deref()).collect();
        let mut uses: BTreeSet<(u32, &str)> = BTreeSet::new();
        for ((_, name), unit) in &self.names {
            if wanted.contains(plain(name))
                && !own.contains(name.as_str())
                && !imported.contains(name.as_str())
                && (!except.contains(unit) || self.is_static(*unit, name))
            {
                uses.insert((*unit, name));
            }
        }
        let mut text = String::new();
        let mut units = BTreeSet::new();
        for (unit, name) in &uses {
            text.push_str(&format!("use {}::{name}; ", Unit::krate(*unit)));
            units.insert(*unit);
        }
        // Methods of traits are called without naming the trait.
        for unit in self.units.values().filter(|unit| !except.contains(&unit.number)) {
            for (_, name) in unit.items().filter(|item| item.is_trait).flat_map(|item| &item.defines) {
                if !uses.contains(&(unit.number, name.as_str())) {
                    text.push_str(&format!("use {}::{name} as _; ", Unit::krate(unit.number)));
                    units.insert(unit.number);
                }
            }
        }
        for import in
            self.imports.iter().filter(|import| !import.name.as_deref().is_some_and(|name| own.contains(name)))
        {
            text.push_str(&import.text());
            text.push(' ');
        }
        (text, units)
    }

    /// Nothing, with the numbers going on.
    pub fn emptied(&self) -> Book {
        Book { next_unit: self.next_unit, ..Book::default() }
    }

    /// Takes note of a unit with all items of others, unchanged.
    pub fn move_unit(&mut self, unit: Unit, joined: &BTreeSet<u32>) {
        let imports = self.imports.clone();
        self.replace_unit(unit, joined, 0);
        self.imports = imports;
    }

    /// Takes note of a compiled unit, in the place of the units that were joined in it.
    pub fn add_unit(&mut self, unit: Unit, joined: &BTreeSet<u32>) {
        self.replace_unit(unit, joined, 1);
    }

    /// All but the last `new` sources of the unit were in those that are joined in it.
    fn replace_unit(&mut self, unit: Unit, joined: &BTreeSet<u32>, new: usize) {
        // What the new unit has not taken over are statics that stay, and what it has defined anew.
        let taken: HashSet<&str> = unit.items().flat_map(|item| &item.defines).map(|(_, name)| name.as_str()).collect();
        for gone in joined {
            let left = self.units.remove(gone).and_then(|unit| {
                unit.left(|item| item.is_static && item.defines.iter().all(|(_, name)| !taken.contains(name.as_str())))
            });
            self.units.extend(left.map(|unit| (*gone, Arc::new(unit))));
        }
        let mut names = std::mem::take(&mut self.names);
        names.retain(|(_, name), unit| !joined.contains(unit) || self.is_static(*unit, name));
        self.names = names;
        for (space, name) in unit.items().flat_map(|item| &item.defines) {
            self.names.insert((*space, name.clone()), unit.number);
            self.imports.retain(|import| import.name.as_deref() != Some(name));
        }
        // What has moved into the new unit unchanged is of the same layout there.
        let moved: HashSet<&str> = unit
            .sources
            .iter()
            .rev()
            .skip(new)
            .flat_map(|source| &source.items)
            .flat_map(|item| item.defines.iter().map(|(_, name)| name.as_str()))
            .collect();
        for variable in self.variables.values_mut() {
            for gone in joined {
                variable.ty = renamed(&variable.ty, *gone, unit.number, &moved);
                if let Standing::Function(path) = &mut variable.standing {
                    *path = renamed(path, *gone, unit.number, &moved);
                }
            }
        }
        self.units.insert(unit.number, Arc::new(unit));
    }

    /// Takes note of what a cell imported.
    pub fn add_imports(&mut self, imports: &[Import]) {
        for import in imports {
            self.imports.retain(|known| match &import.name {
                Some(name) => known.name.as_ref() != Some(name),
                None => known.path != import.path,
            });
            self.imports.push(import.clone());
        }
    }

    /// The variables that a person has named.
    pub fn named(&self) -> impl Iterator<Item = (&String, &Variable)> {
        self.variables.iter().filter(|(name, _)| *name != last::NAME)
    }

    /// The items and imports as code, for the analysis: it is read and never run.
    pub fn items_as_code(&self) -> String {
        let mut code = String::new();
        for import in &self.imports {
            code.push_str(&import.text());
            code.push('\n');
        }
        for source in self.units.values().flat_map(|unit| &unit.sources) {
            for item in &source.items {
                code.push_str(&source.code[item.range.clone()]);
                code.push('\n');
            }
        }
        code
    }

    /// Statements that make the variables, for the analysis.
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

/// A type's text as it is written where all units are one.
fn without_units(text: &str) -> String {
    let mut out = text.to_owned();
    for number in Unit::numbers_in(text).collect::<BTreeSet<_>>() {
        out = out.replace(&format!("{}::", Unit::krate(number)), "");
    }
    out
}

fn defined(items: &[Part]) -> impl Iterator<Item = &str> {
    items.iter().flat_map(|item| item.defines.iter().map(|(_, name)| name.as_str()))
}

/// A type's text in which the names that have moved are of their new unit.
fn renamed(text: &str, from: u32, to: u32, moved: &HashSet<&str>) -> String {
    let (from, to) = (format!("{}::", Unit::krate(from)), format!("{}::", Unit::krate(to)));
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&from) {
        out.push_str(&rest[..at]);
        rest = &rest[at + from.len()..];
        let is_moved = words(rest).next().is_some_and(|word| moved.contains(word));
        out.push_str(if is_moved { &to } else { &from });
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::super::cut::cut;
    use super::*;

    fn book(cells: &[&str]) -> Book {
        let mut book = Book::default();
        for (number, code) in cells.iter().enumerate() {
            add(&mut book, number as u64 + 1, code);
        }
        book
    }

    fn add(book: &mut Book, cell: u64, code: &str) -> BTreeSet<u32> {
        let cut = cut(code).unwrap();
        let joined = book.joined(&cut);
        let mut sources = book.sources_of(&joined, &cut, &book.staying(&joined, &cut));
        sources.push(Source {
            cell: CellId(cell),
            code: code.into(),
            items: cut.items.clone(),
            imports: cut.imports.clone(),
        });
        let number = book.number();
        book.add_unit(Unit { number, sources }, &joined);
        book.add_imports(&cut.imports);
        joined
    }

    fn prelude(book: &Book, code: &str) -> String {
        book.prelude(&cut(code).unwrap().mentions, &HashSet::new(), &BTreeSet::new()).0.trim().to_owned()
    }

    #[test]
    fn a_cell_imports_what_it_mentions_and_every_trait() {
        let book = book(&["fn f() {}", "struct P; fn g() {}", "trait Area {}", "use std::fmt::Debug;"]);
        assert_eq!(prelude(&book, "f()"), "use cells_1::f; use cells_3::Area as _; use std::fmt::Debug;");
        assert_eq!(prelude(&book, "let p = P;"), "use cells_2::P; use cells_3::Area as _; use std::fmt::Debug;");
    }

    #[test]
    fn a_name_that_is_a_keyword_is_one_name_however_it_is_written() {
        let mut book = book(&["fn r#match() {}", "fn of() { r#match() }"]);
        assert_eq!(prelude(&book, "r#match()"), "use cells_1::r#match;");
        assert_eq!(add(&mut book, 3, "fn r#match() -> i64 { 1 }"), BTreeSet::from([2]));
    }

    #[test]
    fn an_impl_for_an_earlier_type_is_compiled_with_it_and_with_what_uses_it() {
        let mut book = book(&["struct P;", "fn of(p: &P) {}", "fn other() {}"]);
        assert_eq!(add(&mut book, 4, "impl P { fn new() -> P { P } }"), BTreeSet::from([1, 2]));
        assert_eq!(prelude(&book, "of(&P); other()"), "use cells_3::other; use cells_4::P; use cells_4::of;");
    }

    #[test]
    fn a_trait_of_its_own_for_an_earlier_type_needs_nobody() {
        let mut book = book(&["struct P;"]);
        assert!(add(&mut book, 2, "trait Area {} impl Area for P {}").is_empty());
        assert_eq!(add(&mut book, 3, "impl Area for P2 {} struct P2;"), BTreeSet::new());
    }

    #[test]
    fn a_function_that_is_defined_anew_is_the_one_that_its_callers_call() {
        let mut book = book(&["fn f() -> i64 { 1 }", "fn g() -> i64 { f() }"]);
        assert_eq!(add(&mut book, 3, "fn f() -> i64 { 2 }"), BTreeSet::from([2]));
        assert_eq!(prelude(&book, "g()"), "use cells_3::g;");
        assert_eq!(prelude(&book, "f()"), "use cells_3::f;");
    }

    #[test]
    fn a_static_stays_where_it_is_unless_it_speaks_of_what_is_compiled_again() {
        let mut book = book(&["struct P; static N: u32 = 0; static OF: Option<P> = None; fn f() { N; }"]);
        add(&mut book, 2, "impl P {}");
        assert_eq!(prelude(&book, "N; OF; P; f()"), "use cells_1::N; use cells_2::OF; use cells_2::P; use cells_2::f;");
        add(&mut book, 3, "impl Default for P { fn default() -> P { N; P } }");
        assert_eq!(prelude(&book, "N; P"), "use cells_1::N; use cells_3::P;");
        add(&mut book, 4, "static N: u32 = 1;");
        assert_eq!(prelude(&book, "N; P; f()"), "use cells_4::N; use cells_4::P; use cells_4::f;");
    }

    #[test]
    fn a_function_that_nobody_uses_is_replaced_alone() {
        let mut book = book(&["fn f() {} fn h() {}"]);
        assert!(add(&mut book, 2, "fn f() {}").is_empty());
        assert_eq!(prelude(&book, "f(); h()"), "use cells_1::h; use cells_2::f;");
    }

    #[test]
    fn the_type_of_a_variable_moves_with_its_definition_unless_that_has_changed() {
        let mut book = book(&["struct P; struct Q;", "fn of(p: P, q: Q) {}"]);
        let variable =
            Variable { ty: "std::vec::Vec<(cells_1::P, cells_1::Q)>".into(), is_mut: false, standing: Standing::Kept };
        book.variables.insert("v".into(), variable);
        add(&mut book, 3, "impl P {}");
        assert_eq!(book.variables["v"].ty, "std::vec::Vec<(cells_3::P, cells_3::Q)>");
        add(&mut book, 4, "struct Q { x: i64 }");
        assert_eq!(book.variables["v"].ty, "std::vec::Vec<(cells_4::P, cells_3::Q)>");
    }

    #[test]
    fn the_newest_import_of_a_name_counts() {
        let book = book(&["use std::fmt::Result;", "use std::io::Result;", "use std::fmt::*;", "use std::fmt::*;"]);
        assert_eq!(prelude(&book, "1"), "use std::io::Result; use std::fmt::*;");
    }
}
