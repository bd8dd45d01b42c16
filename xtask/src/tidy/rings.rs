//! Imports between the modules of a package: no rings, and never against the layers.
//!
//! ```text
//!   a ──▶ b        fine                 a ──▶ b ──▶ c ──▶ a      a ring: nobody can read one of them alone
//!   a ──▶ a::x     fine, and back: a module and what is inside of it are one thing for whoever looks from outside
//! ```
//!
//! Two modules are compared where their paths part: `store/units.rs` and `local/head/pool.rs` as `store` and `local`, `store/units.rs` and
//! `store/word.rs` as those two. Re-exports are followed to the module that defines the name. Tests do not count.

use super::imports::uses;
use super::{Complaint, File};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers of a package: each module may import those to its left. One that is not named is under the rule of rings alone.
const LAYERS: [(&str, &[&str]); 4] = [
    (
        "src",
        &[
            "future",
            "item_names",
            "calls",
            "json",
            "error",
            "codec",
            "array",
            "object",
            "remote",
            "actor",
            "stream",
            "display",
            "api",
            "cell",
            "prelude",
        ],
    ),
    ("runtime/src", &["store", "protocol", "scheduler", "client", "worker", "local", "attached", "ray"]),
    (
        "session/src",
        &[
            "bundle", "rendered", "event", "host", "outlet", "settings", "comms", "base", "reports", "link",
            "cellhost", "analyst", "parts", "cells", "evcxr", "session",
        ],
    ),
    ("repl/src", &["lex", "input", "show", "interrupts", "runner", "script", "prompt"]),
];

/// A module's names from the package's root.
type Module = Vec<String>;

/// One import that leads from one module to another.
#[derive(Clone)]
struct Evidence {
    file: PathBuf,
    line: usize,
    path: String,
}

/// Which module imports which, for modules that stand side by side in the one that is the key.
type Edges = BTreeMap<Module, BTreeMap<(String, String), Evidence>>;

/// Complains about each ring and each import against the layers.
pub fn check(files: &[File]) -> Vec<Complaint> {
    let roots: BTreeSet<&Path> = files.iter().filter_map(|file| root_of(&file.path)).collect();
    let mut complaints = Vec::new();
    for root in roots {
        let edges = edges(&Modules::read(files, root));
        complaints.extend(against_layers(root, &edges));
        for (inside, edges) in &edges {
            complaints.extend(rings(inside, edges));
        }
    }
    complaints
}

/// The folder of sources that a file is in.
fn root_of(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "src"))
}

/// The modules of one package.
struct Modules {
    /// With each module's imports as absolute paths, and its re-exports.
    all: BTreeMap<Module, Content>,
}

#[derive(Default)]
struct Content {
    imports: Vec<(Evidence, Module)>,
    /// What a name that is re-exported here is elsewhere.
    renamed: BTreeMap<String, Module>,
}

impl Modules {
    fn read(files: &[File], root: &Path) -> Modules {
        let inside = files.iter().filter(|file| file.is_rust() && root_of(&file.path) == Some(root));
        let named: Vec<(Module, &File)> =
            inside.filter_map(|file| Some((module(file.path.strip_prefix(root).ok()?)?, file))).collect();
        let mut modules =
            Modules { all: named.iter().map(|(module, _)| (module.clone(), Content::default())).collect() };
        for (module, file) in named {
            let code = without_tests(&file.code);
            let content = Content {
                imports: uses(code)
                    .into_iter()
                    .filter_map(|(line, path)| {
                        let to = modules.absolute(&module, &path)?;
                        Some((Evidence { file: file.path.clone(), line, path }, to))
                    })
                    .collect(),
                renamed: re_exports(code)
                    .filter_map(|path| Some((last(&path)?.to_owned(), modules.absolute(&module, &path)?)))
                    .collect(),
            };
            modules.all.insert(module, content);
        }
        modules
    }

    /// A path from the package's root; `None` for one that leads out of the package.
    fn absolute(&self, from: &Module, path: &str) -> Option<Module> {
        let mut names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
        let mut base = from.clone();
        match *names.first()? {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                while names.first() == Some(&"super") {
                    base.pop()?;
                    names.remove(0);
                }
                return Some(base.into_iter().chain(names.into_iter().map(str::to_owned)).collect());
            }
            child => {
                base.push(child.to_owned());
                if !self.all.contains_key(&base) {
                    return None;
                }
            }
        }
        Some(base.into_iter().chain(names.into_iter().skip(1).map(str::to_owned)).collect())
    }

    /// The module that a path leads to, through re-exports.
    fn resolved(&self, path: &[String], depth: usize) -> Module {
        let mut module = Module::new();
        for (at, name) in path.iter().enumerate() {
            let mut inner = module.clone();
            inner.push(name.clone());
            if self.all.contains_key(&inner) {
                module = inner;
                continue;
            }
            let elsewhere = self.all.get(&module).and_then(|content| content.renamed.get(name));
            return match elsewhere.filter(|_| depth < 8) {
                Some(other) => {
                    let other: Module = other.iter().chain(&path[at + 1..]).cloned().collect();
                    self.resolved(&other, depth + 1)
                }
                None => module,
            };
        }
        module
    }
}

/// A file's module; `None` for tests and for the root of a program beside a library.
fn module(path: &Path) -> Option<Module> {
    let mut names: Module =
        path.with_extension("").components().map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
    if names.iter().any(|name| matches!(name.as_str(), "tests" | "fuzz_tests" | "models" | "main")) {
        return None;
    }
    if names.last().is_some_and(|name| name == "lib" || name == "mod") {
        names.pop();
    }
    Some(names)
}

/// What stands before the first module of tests.
fn without_tests(code: &str) -> &str {
    let begin = code.match_indices("#[cfg(").find(|(at, _)| {
        let (condition, rest) = code[*at..].split_once(']').unwrap_or_default();
        condition.contains("test") && rest.trim_start().starts_with("mod ")
    });
    begin.map_or(code, |(at, _)| &code[..at])
}

/// The paths of all `pub use`.
fn re_exports(code: &str) -> impl Iterator<Item = String> {
    let mut statements = String::new();
    for statement in code.split_inclusive(';') {
        let begin = ["pub use ", "pub(crate) use ", "pub(super) use "].iter().find_map(|word| statement.find(word));
        if let Some(begin) = begin {
            statements.push_str(&statement[begin..]);
            statements.push('\n');
        }
    }
    uses(&statements).into_iter().map(|(_, path)| path)
}

fn last(path: &str) -> Option<&str> {
    path.rsplit("::").next()
}

fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (from, content) in &modules.all {
        for (evidence, path) in &content.imports {
            let to = modules.resolved(path, 0);
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.get(common), to.get(common)) {
                let side = edges.entry(from[..common].to_vec()).or_default();
                side.entry((a.clone(), b.clone())).or_insert_with(|| evidence.clone());
            }
        }
    }
    edges
}

fn against_layers(root: &Path, edges: &Edges) -> Vec<Complaint> {
    let Some((_, layers)) = LAYERS.iter().find(|(package, _)| Path::new(package) == root) else { return Vec::new() };
    let place = |module: &str| layers.iter().position(|layer| *layer == module);
    let outer = edges.get(&Module::new()).into_iter().flatten();
    let wrong = outer.filter(|((from, to), _)| place(from).zip(place(to)).is_some_and(|(from, to)| from < to));
    let complaint = |((from, to), evidence): (&(String, String), &Evidence)| Complaint {
        file: evidence.file.clone(),
        line: evidence.line,
        text: format!("`{from}` imports `{}`, and `{to}` is a layer above it", evidence.path),
    };
    wrong.map(complaint).collect()
}

/// The modules that a module imports, whatever is between.
fn reached<'a>(from: &'a str, edges: &'a BTreeMap<(String, String), Evidence>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        let imported = edges.keys().filter(|(a, _)| a == module).map(|(_, b)| b.as_str());
        next.extend(imported.filter(|b| seen.insert(*b)));
    }
    seen
}

/// One complaint for each import of a ring.
fn rings(inside: &Module, edges: &BTreeMap<(String, String), Evidence>) -> Vec<Complaint> {
    let within = if inside.is_empty() { String::new() } else { format!(" in `{}`", inside.join("::")) };
    let in_ring = edges.iter().filter(|((from, to), _)| reached(to, edges).contains(from.as_str()));
    let complaint = |((from, to), evidence): (&(String, String), &Evidence)| Complaint {
        file: evidence.file.clone(),
        line: evidence.line,
        text: format!("`{from}` imports `{}`, and `{to}` comes back to `{from}`{within}: a ring", evidence.path),
    };
    in_ring.map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(*path, *text)).collect();
        check(&files).into_iter().map(|complaint| complaint.to_string()).collect()
    }

    #[test]
    fn modules_that_import_each_other_are_a_ring_however_they_say_it() {
        let two = [("x/src/a.rs", "use crate::b::B;"), ("x/src/b.rs", "fn f() -> super::a::A {}")];
        assert_eq!(
            told(&two),
            [
                "x/src/a.rs:1: `a` imports `crate::b::B`, and `b` comes back to `a`: a ring",
                "x/src/b.rs:1: `b` imports `super::a::A`, and `a` comes back to `b`: a ring",
            ]
        );
        let three = [("x/src/a.rs", "use crate::b::B;"), ("x/src/b.rs", "use crate::c::C;"), ("x/src/c/d.rs", "")];
        assert!(told(&three).is_empty());
        let closed = [three[0], three[1], ("x/src/c/mod.rs", ""), ("x/src/c/d.rs", "use crate::{a::A};")];
        assert_eq!(told(&closed).len(), 3);
    }

    #[test]
    fn a_module_and_what_is_inside_of_it_may_know_each_other() {
        assert!(told(&[("x/src/a.rs", "mod b;\nuse b::B;"), ("x/src/a/b.rs", "use super::A;")]).is_empty());
    }

    #[test]
    fn a_name_is_followed_to_where_it_is_defined() {
        let files = [
            ("x/src/lib.rs", "mod a;\nmod b;\npub use b::B;"),
            ("x/src/a.rs", "use crate::B;"),
            ("x/src/b.rs", "use crate::a::A;"),
        ];
        assert_eq!(told(&files).len(), 2);
    }

    #[test]
    fn tests_may_import_what_they_like() {
        let tests = "use super::*;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}";
        assert!(told(&[("x/src/a.rs", "use crate::b::B;"), ("x/src/b.rs", tests)]).is_empty());
        assert!(told(&[("x/src/a.rs", "use crate::b::B;"), ("x/src/b/tests.rs", "use crate::a::A;")]).is_empty());
    }

    #[test]
    fn a_layer_does_not_import_one_above_it() {
        let up = [("src/codec.rs", "use crate::api::get;"), ("src/api.rs", "")];
        assert_eq!(told(&up), ["src/codec.rs:1: `codec` imports `crate::api::get`, and `api` is a layer above it"]);
        assert!(told(&[("src/api.rs", "use crate::codec::encode;"), ("src/codec.rs", "")]).is_empty());
    }
}
