//! Imports between packages, and between parts of a package.
//!
//! ```text
//! main.rs, cli/ ─┬▶ kernel, repl ─▶ session ─▶ abi, fds (the binary joins them)
//!                ├▶ dashboard ─▶ abi                 (the web page)
//!                ├▶ runtime ─▶ abi, fds                (never a front end)
//!                └▶ src/ ─▶ abi, macros                (what a cell sees)
//! ```
//!
//! Between packages, manifests say it. Inside one, Cargo draws no lines, so the paths are read from the source.

use super::source::is_word;
use super::{Complaint, File};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The packages, and the ones of this workspace that each may depend on. The root package joins all of them.
const HOUSES: [(&str, &[&str]); 9] = [
    ("mobula-abi", &[]),
    ("mobula-dashboard", &["mobula-abi"]),
    ("mobula-fds", &[]),
    ("mobula-macros", &[]),
    ("mobula-runtime", &["mobula-abi", "mobula-fds"]),
    ("mobula-session", &["mobula-abi", "mobula-fds"]),
    ("mobula-kernel", &["mobula-session"]),
    ("mobula-repl", &["mobula-session"]),
    ("xtask", &[]),
];

/// Packages that only those who join may name, though the root package depends on them.
const FRONTS: [&str; 4] = ["mobula-dashboard", "mobula-session", "mobula-kernel", "mobula-repl"];

/// The files of the root package that may name a front end: they join the two.
const JOINERS: [&str; 2] = ["src/main.rs", "src/cli"];

/// A part of a package and the path prefixes that its `use`s and paths may begin with.
struct Part {
    at: &'static str,
    may_use: &'static [&'static str],
}

/// Files called `tests.rs` or `fuzz_tests.rs`, and folders called `tests`, are left out. `crate::abi` and `crate::protocol` are the object model here: ids, tasks and failures as plain data.
const PARTS: [Part; 2] = [
    Part {
        at: "runtime/src/scheduler",
        may_use: &["std", "crate::scheduler", "crate::abi", "crate::protocol", "thiserror"],
    },
    Part {
        at: "runtime/src/store",
        may_use: &[
            "std",
            "crate::store",
            "crate::sync",
            "crate::abi",
            "crate::protocol",
            "bitflags",
            "memmap2",
            "rustix",
            "serde",
            "tempfile",
            "thiserror",
            "tracing",
        ],
    },
];

/// Complains about forbidden paths inside the packages that have parts.
pub fn check(files: &[File]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let has_parts = |file: &&File| ["src", "runtime/src"].iter().any(|at| file.path.starts_with(at));
    for file in files.iter().filter(|file| file.is_rust()).filter(has_parts) {
        let joins = JOINERS.iter().any(|at| file.path.starts_with(at));
        for (line, path) in paths(&file.code) {
            let first = path.split("::").next().unwrap_or_default();
            if !joins && FRONTS.iter().any(|front| front.replace('-', "_") == first) {
                complaints.push(
                    file.complaint(
                        line,
                        format!("a front end is imported (`{path}`); only main.rs and cli/ may do that"),
                    ),
                );
            }
        }
        let is_test = file.path.components().any(|part| {
            Path::new(part.as_os_str()).file_stem().is_some_and(|name| name == "tests" || name == "fuzz_tests")
        });
        for part in PARTS.iter().filter(|part| in_part(&file.path, part.at) && !is_test) {
            let own = own_modules(&file.code);
            for (line, path) in uses(&file.code) {
                let inside = own.iter().any(|module| is_prefix(module, &path));
                if !inside && !part.may_use.iter().any(|prefix| is_prefix(prefix, &path)) {
                    let allowed = part.may_use.join(", ");
                    complaints
                        .push(file.complaint(line, format!("{} uses `{path}`; it may use only {allowed}", part.at)));
                }
            }
        }
    }
    complaints
}

/// Complains about a package that depends on one of this workspace that it may not know. `metadata` is cargo's.
pub fn check_manifests(metadata: &Value) -> Vec<Complaint> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut complaints = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, may_know)) = HOUSES.iter().find(|(house, _)| *house == name) else { continue };
        let dependencies = list(&package["dependencies"]);
        let known = dependencies.iter().filter_map(|dependency| dependency["name"].as_str());
        for other in known.filter(|other| other.starts_with("mobula") && !may_know.contains(other)) {
            let file = PathBuf::from(name.trim_start_matches("mobula-")).join("Cargo.toml");
            let allowed = if may_know.is_empty() { "none of this workspace".into() } else { may_know.join(", ") };
            complaints.push(Complaint {
                file,
                line: 0,
                text: format!("`{name}` depends on `{other}`; it may depend on {allowed}"),
            });
        }
    }
    complaints
}

/// The names under which a file knows its own surroundings: `self`, `super` and the modules that it declares.
fn own_modules(code: &str) -> Vec<&str> {
    let declared = code.lines().filter_map(|line| {
        let (_, name) = line.split_once("mod ")?;
        name.split(|c: char| !is_word(c)).next()
    });
    ["self", "super"].into_iter().chain(declared).collect()
}

/// Whether `file` is `at.rs` or lies in the folder `at`.
fn in_part(file: &Path, at: &str) -> bool {
    file.starts_with(at) || file == Path::new(&format!("{at}.rs"))
}

/// Whether `path` is `prefix` or goes on from it with `::`.
fn is_prefix(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path of two or more names in `code`, with its line from 1.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut words = line.split(|c: char| !is_word(c) && c != ':').filter(|word| word.contains("::"));
        found.extend(words.by_ref().map(|word| (number + 1, word.trim_matches(':').to_owned())));
    }
    found
}

/// What each `use`, and each path that begins with `crate` or `super`, of `code` names, groups taken apart to the first level that matters.
pub fn uses(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut line_of_use = 0;
    let mut statement = String::new();
    for (number, line) in code.lines().enumerate() {
        let begins = line
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        if statement.is_empty() && begins.starts_with("use ") {
            line_of_use = number + 1;
            statement = begins["use ".len()..].to_owned();
        } else if !statement.is_empty() {
            statement.push_str(line.trim());
        } else {
            found.extend(
                paths(line)
                    .into_iter()
                    .filter(|(_, path)| path.starts_with("crate::") || path.starts_with("super::"))
                    .map(|(_, path)| (number + 1, path)),
            );
        }
        if let Some(end) = statement.find(';') {
            found.extend(flat(&statement[..end]).into_iter().map(|path| (line_of_use, path)));
            statement.clear();
        }
    }
    found
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn flat(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or(tree).trim().to_owned()];
    };
    let group = group.strip_suffix('}').unwrap_or(group);
    let mut depth = 0;
    let mut members = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(String::new());
                continue;
            }
            _ => {}
        }
        members.last_mut().expect("never empty").push(c);
    }
    let members = members.iter().filter(|member| !member.trim().is_empty());
    members.flat_map(|member| flat(&format!("{before}{}", member.trim()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// How many complaints one file gives.
    fn told(path: &str, text: &str) -> usize {
        check(&[File::new(path, text)]).len()
    }

    #[test]
    fn the_runtime_may_not_import_a_front_end_but_the_command_line_may() {
        assert_eq!(told("runtime/src/local/head.rs", "use mobula_kernel::run;"), 1);
        assert_eq!(
            told("runtime/src/local/head.rs", "// mobula_kernel::run\nconst A: &str = \"mobula_kernel::run\";"),
            0
        );
        assert_eq!(told("src/cli/run.rs", "use mobula_repl::Repl;"), 0);
    }

    #[test]
    fn the_scheduler_may_import_only_what_is_pure() {
        assert_eq!(told("runtime/src/scheduler/mod.rs", "use crate::abi::Cause;\nuse std::time::Instant;"), 0);
        assert_eq!(told("runtime/src/scheduler/mod.rs", "use crate::local::head;"), 1);
        assert_eq!(told("runtime/src/scheduler.rs", "fn a() { crate::worker::spawn() }"), 1);
        assert_eq!(told("runtime/src/scheduler/mod.rs", "mod ready;\nuse ready::Queue;"), 0);
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            told("runtime/src/store/region.rs", "use crate::{\n    sync::Atomic,\n    scheduler::{A, B},\n};"),
            2
        );
        assert_eq!(flat("a::{b, c::{d, e as f}}"), ["a::b", "a::c::d", "a::c::e"]);
    }

    #[test]
    fn a_package_that_depends_on_one_that_it_may_not_know_is_told() {
        let told = |name: &str, on: &str| {
            check_manifests(&json!({ "packages": [{ "name": name, "dependencies": [{ "name": on }] }] })).len()
        };
        assert_eq!((told("mobula-kernel", "mobula"), told("mobula-kernel", "mobula-runtime")), (1, 1));
        assert_eq!((told("mobula-runtime", "mobula"), told("mobula-abi", "mobula-runtime")), (1, 1));
        assert_eq!((told("mobula-kernel", "mobula-session"), told("mobula-runtime", "mobula-abi")), (0, 0));
        assert_eq!((told("mobula", "mobula-kernel"), told("mobula-session", "libc")), (0, 0));
    }
}
