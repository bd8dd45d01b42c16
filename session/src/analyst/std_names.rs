//! The standard library's names, kept between sessions because the analyst takes seconds to list them.
//!
//! ```text
//!   "std::mem"       swap, take, …          "std::vec::Vec"   new, push, …          "str", "slice", "f64"   methods
//! ```
//!
//! They are kept in a file of lines: path, name, kind and label, between tabs. Each look-up scans the file: as values it would take 25 MiB.
//!
//! The file is made once for each version of Rust: while no question waits, the analyst is asked for the completions behind each path.

use crate::base::cache_dir;
use crate::base::toolchain::Toolchain;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

/// A name that can be completed: text, kind, label.
pub type Name = (String, String, String);

/// Names below paths.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StdNames {
    text: String,
    /// The file that has the text instead.
    file: Option<PathBuf>,
}

/// Types that have no path of their own, and what is asked for instead.
const PRIMITIVES: [(&str, &str); 11] = [
    ("str", "str"),
    ("slice", "<[u8]>"),
    ("bool", "bool"),
    ("char", "char"),
    ("f64", "f64"),
    ("i32", "i32"),
    ("i64", "i64"),
    ("u8", "u8"),
    ("u32", "u32"),
    ("u64", "u64"),
    ("usize", "usize"),
];
/// Types that have the same methods as one of those.
const ALIKE: [(&str, &str); 7] =
    [("f32", "f64"), ("i8", "i32"), ("i16", "i32"), ("i128", "i64"), ("isize", "i64"), ("u16", "u32"), ("u128", "u64")];
/// Types that are in scope without their paths.
const PRELUDE: [(&str, &str); 5] = [
    ("Vec", "std::vec::Vec"),
    ("String", "std::string::String"),
    ("Option", "std::option::Option"),
    ("Result", "std::result::Result"),
    ("Box", "std::boxed::Box"),
];
/// Types that dereference to another, and so have its methods.
const DEREF: [(&str, &str); 4] =
    [("Vec", "slice"), ("String", "str"), ("PathBuf", "std::path::Path"), ("OsString", "std::ffi::OsStr")];
/// How much of the file is read at once, in bytes.
const BUFFER: usize = 64 << 10;
/// Large modules in which few people complete.
const LEFT_OUT: [&str; 5] = ["alloc_crate", "arch", "intrinsics", "os", "simd"];
/// How deep modules are followed, in segments of their paths.
const SEGMENTS_MAX: usize = 4;

impl StdNames {
    /// The names that were kept for the present version of Rust.
    pub fn kept() -> StdNames {
        StdNames { text: String::new(), file: file() }
    }

    /// Whether there are such names.
    pub fn are_kept() -> bool {
        file().is_some_and(|file| file.is_file())
    }

    /// Keeps the names. A process that reads at the same time finds all of them or none.
    pub fn keep(&self) -> Option<()> {
        let file = file()?;
        let mut draft = tempfile::NamedTempFile::new_in(file.parent()?).ok()?;
        draft.write_all(self.text.as_bytes()).ok()?;
        draft.persist(file).ok().map(drop)
    }

    /// The names below a module or a type. The path's first segment may be a name of the prelude, or `core` or `alloc`.
    pub fn below(&self, path: &str) -> Vec<Name> {
        let (first, rest) = path.split_once("::").map_or((path, ""), |(first, rest)| (first, rest));
        let first = match first {
            "core" | "alloc" => "std",
            _ => renamed(&PRELUDE, renamed(&ALIKE, first)),
        };
        let path = if rest.is_empty() { first.to_owned() } else { format!("{first}::{rest}") };
        let mut names = Vec::new();
        self.each_line(|known, rest| {
            if known == path {
                let mut fields = rest.splitn(3, '\t').map(str::to_owned);
                let mut next = || fields.next().unwrap_or_default();
                names.push((next(), next(), next()));
            }
        });
        names
    }

    /// Calls `tell` with each line's path and its rest. A file that cannot be read has no lines.
    fn each_line(&self, mut tell: impl FnMut(&str, &str)) {
        let mut line = |line: &str| {
            if let Some((path, rest)) = line.trim_end_matches('\n').split_once('\t') {
                tell(path, rest);
            }
        };
        self.text.lines().for_each(&mut line);
        let Some(Ok(file)) = self.file.as_ref().map(std::fs::File::open) else { return };
        let (mut reader, mut text) = (BufReader::with_capacity(BUFFER, file), String::new());
        while reader.read_line(&mut text).is_ok_and(|bytes| bytes > 0) {
            line(&text);
            text.clear();
        }
    }

    fn add(&mut self, path: &str, names: &[Name]) {
        for (name, kind, label) in names {
            let label = label.replace(['\t', '\n'], " ");
            self.text.push_str(&format!("{path}\t{name}\t{kind}\t{label}\n"));
        }
    }

    /// The methods of a type, which is named with or without its path and its arguments.
    pub fn methods(&self, ty: &str) -> Vec<Name> {
        let ty = ty.trim_start_matches(['&', ' ']).trim_start_matches("mut ").trim();
        let path = if ty.starts_with('[') { "slice" } else { ty.split('<').next().unwrap_or(ty).trim() };
        let name = path.rsplit("::").next().unwrap_or(path);
        let mut own = self.below(path);
        if own.is_empty() {
            let mut whole = None;
            self.each_line(|known, _| {
                if whole.is_none() && known.rsplit("::").next() == Some(name) {
                    whole = Some(known.to_owned());
                }
            });
            own = whole.map(|whole| self.below(&whole)).unwrap_or_default();
        }
        let through = DEREF.iter().find(|(from, _)| *from == name).map(|(_, to)| self.below(to)).unwrap_or_default();
        own.into_iter().chain(through).filter(|(_, _, label)| label.contains("self")).collect()
    }
}

fn renamed<'a>(names: &[(&str, &'a str)], name: &'a str) -> &'a str {
    names.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| to)
}

fn file() -> Option<PathBuf> {
    let version = Sha256::digest(Toolchain::find().ok()?.version.as_bytes());
    Some(cache_dir().ok()?.join(format!("std-names-{}.txt", &hex::encode(version)[..16])))
}

/// Makes the names, one path at a time.
#[derive(Debug)]
pub struct Maker {
    /// What is still to do: the path to keep, and what is asked for.
    todo: VecDeque<(String, String)>,
    made: StdNames,
}

impl Maker {
    /// A maker that has made nothing yet.
    pub fn new() -> Maker {
        let primitives = PRIMITIVES.iter().map(|(name, asked)| ((*name).to_owned(), (*asked).to_owned()));
        let todo = [("std".to_owned(), "std".to_owned())].into_iter().chain(primitives).collect();
        Maker { todo, made: StdNames::default() }
    }

    /// Asks for the next path with `ask`, which gives the completions behind a text. `None` while there are more paths; then all names.
    pub fn step(&mut self, ask: impl FnOnce(&str) -> Vec<Name>) -> Option<StdNames> {
        let Some((path, asked)) = self.todo.pop_front() else { return Some(std::mem::take(&mut self.made)) };
        let names = ask(&format!("{asked}::"));
        let is_followed = |(name, kind, _): &&Name| match kind.as_str() {
            "module" => !LEFT_OUT.contains(&name.as_str()) && path.split("::").count() < SEGMENTS_MAX,
            "class" => path.split("::").all(|segment| !segment.starts_with(char::is_uppercase)),
            _ => false,
        };
        if path.starts_with("std") {
            let followed = names.iter().filter(is_followed).map(|(name, ..)| format!("{path}::{name}"));
            self.todo.extend(followed.map(|path| (path.clone(), path)));
        }
        self.made.add(&path, &names);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, kind: &str, label: &str) -> Name {
        (text.into(), kind.into(), label.into())
    }

    fn made() -> StdNames {
        let mut maker = Maker::new();
        let ask = |text: &str| match text {
            "std::" => vec![name("vec", "module", "vec"), name("os", "module", "os"), name("mem", "module", "mem")],
            "std::mem::" => vec![name("swap", "function", "swap(&mut T, &mut T)")],
            "std::vec::" => vec![name("Vec", "class", "Vec")],
            "std::vec::Vec::" => {
                vec![
                    name("new", "function", "new()"),
                    name("push", "function", "push(&mut self, T)"),
                    name("Item", "class", "Item"),
                ]
            }
            "<[u8]>::" => vec![name("sort", "function", "sort(&mut self)")],
            _ => Vec::new(),
        };
        loop {
            if let Some(made) = maker.step(ask) {
                return made;
            }
        }
    }

    fn texts<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<&'a str> {
        names.into_iter().map(|(text, ..)| text.as_str()).collect()
    }

    #[test]
    fn modules_and_types_are_followed_to_what_is_below_them() {
        let made = made();
        assert_eq!(texts(&made.below("std::mem")), ["swap"]);
        assert_eq!(texts(&made.below("core::mem")), ["swap"]);
        assert_eq!(texts(&made.below("Vec")), ["new", "push", "Item"]);
        assert!(made.below("std::os").is_empty() && made.below("std::vec::Vec::Item").is_empty());
    }

    #[test]
    fn a_value_has_the_methods_of_its_type_and_of_what_that_is_seen_as() {
        let made = made();
        for ty in ["Vec<i64>", "&mut Vec<u8>", "alloc::vec::Vec<Vec<u8>>", "::std::vec::Vec<u8>"] {
            assert_eq!(texts(&made.methods(ty)), ["push", "sort"], "{ty}");
        }
        assert_eq!(texts(&made.methods("[u8; 3]")), ["sort"]);
        assert!(made.methods("Mine").is_empty());
    }
}
