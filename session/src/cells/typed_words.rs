//! Completion of what is no Rust: commands, their arguments, and paths inside texts.
//!
//! ```text
//!   :d⇥               commands            :dep ser⇥         crates in the registry's cache
//!   :opt ⇥            their words         :dep serde = "1⇥  versions there
//!   read("data/⇥      files, from the session's folder           :save no⇥        likewise     :track m⇥  folders
//! ```

use super::command_names::COMMANDS;
use crate::event::{Completion, Completions};
use crate::home::{home, path_from};
use crate::tokens::tokens;
use ra_ap_rustc_lexer::{LiteralKind, TokenKind};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many candidates are offered.
const OFFERED_MAX: usize = 500;

/// The completions at byte `cursor`; `None` where Rust stands. Relative paths are those of `folder`.
pub fn complete(code: &str, cursor: usize, folder: &Path) -> Option<Completions> {
    let before = code.get(..cursor)?;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before[start..].trim_start();
    if line.starts_with(':') && !line.starts_with("::") {
        return Some(command(line, cursor, folder));
    }
    path(code, cursor, folder)
}

fn completions(start: usize, end: usize, items: impl Iterator<Item = Completion>) -> Completions {
    Completions { start, end, items: items.take(OFFERED_MAX).collect() }
}

fn word(code: impl Into<String>, kind: &str, label: impl Into<String>) -> Completion {
    Completion { code: code.into(), kind: kind.into(), label: label.into() }
}

/// Completes a command's name or its argument. `line` ends at the cursor.
fn command(line: &str, cursor: usize, folder: &Path) -> Completions {
    let Some((name, argument)) = line.split_once(char::is_whitespace) else {
        let fitting = COMMANDS.iter().filter(|(name, ..)| name.starts_with(line));
        let items = fitting.map(|(name, _, means)| word(*name, "command", format!("{name}: {means}")));
        return completions(cursor - line.len(), cursor, items);
    };
    let argument = argument.trim_start();
    let start = cursor - argument.len();
    let words = |words: &[&str]| {
        let fitting = words.iter().filter(|word| word.starts_with(argument));
        completions(start, cursor, fitting.map(|fitting| word(*fitting, "keyword", *fitting)))
    };
    match name {
        ":dep" => {
            let mut found = dependency(argument, cursor, &crates());
            if ".".starts_with(argument) && folder.join("Cargo.toml").is_file() {
                let own = word(".", "module", ".: what Cargo.toml here depends on");
                found = Completions { start, end: cursor, items: std::iter::once(own).chain(found.items).collect() };
            }
            found
        }
        ":save" | ":load" | ":timeline" => {
            let name = argument.strip_prefix("-f ").map_or(argument, str::trim_start);
            file(name.trim_start_matches('"'), cursor, folder).unwrap_or_default()
        }
        ":track" => {
            let of = argument.strip_prefix("off ").unwrap_or(argument).trim_start().trim_start_matches('"');
            let mut found = file(of, cursor, folder).unwrap_or_default();
            found.items.retain(|item| item.kind == "module");
            if "off".starts_with(argument) {
                found.items.insert(0, word("off", "keyword", "off"));
            }
            found
        }
        ":opt" => words(&["0", "1", "2", "3", "s", "z"]),
        ":keep" | ":progress" => words(&["on", "off"]),
        ":help" => words(&COMMANDS.map(|(name, ..)| &name[1..])),
        _ => completions(cursor, cursor, std::iter::empty()),
    }
}

/// Completes a crate's name, or its version. `argument` ends at the cursor.
fn dependency(argument: &str, cursor: usize, crates: &BTreeSet<(String, Version)>) -> Completions {
    let Some((name, version)) = argument.split_once('=') else {
        let start = cursor - argument.len();
        let mut names: Vec<&str> = crates.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        let fitting = names.into_iter().filter(|name| name.starts_with(argument));
        return completions(start, cursor, fitting.map(|name| word(name, "module", name)));
    };
    let (name, asked) = (name.trim(), version.trim_start());
    let start = cursor - asked.len();
    // The version may stand in a table, too.
    let start = start + asked.rfind("version").map_or(0, |at| at + asked[at..].find('"').unwrap_or(0));
    let typed = version[version.len() - (cursor - start)..].trim_start_matches('"');
    let mut versions: Vec<&Version> = crates
        .iter()
        .filter(|(known, version)| known == name && version.text.starts_with(typed))
        .map(|(_, version)| version)
        .collect();
    versions.sort_by_key(|version| Reverse(*version));
    completions(
        start,
        cursor,
        versions.into_iter().map(|version| word(format!("\"{}\"", version.text), "instance", &version.text)),
    )
}

/// A version, in the order of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: Vec<u64>,
    text: String,
}

/// The crates in the registry's cache.
fn crates() -> BTreeSet<(String, Version)> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cargo")));
    let registries = cargo.and_then(|cargo| std::fs::read_dir(cargo.join("registry/cache")).ok());
    let files =
        registries.into_iter().flatten().flatten().filter_map(|registry| std::fs::read_dir(registry.path()).ok());
    let names = files.flatten().flatten().filter_map(|file| file.file_name().into_string().ok());
    names.filter_map(|name| name_and_version(&name)).collect()
}

/// The crate of a file such as `serde-1.0.228.crate`.
fn name_and_version(file: &str) -> Option<(String, Version)> {
    let stem = file.strip_suffix(".crate")?;
    let is_version = |at: &usize| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let dash = stem.match_indices('-').map(|(at, _)| at).find(is_version)?;
    let text = stem[dash + 1..].to_owned();
    let numbers = text.split(['.', '-', '+']).map_while(|number| number.parse().ok()).collect();
    Some((stem[..dash].to_owned(), Version { numbers, text }))
}

/// Completes a path inside a text.
fn path(code: &str, cursor: usize, folder: &Path) -> Option<Completions> {
    let mut end = 0;
    let literal = tokens(code).find_map(|(kind, text)| {
        let start = end;
        end += text.len();
        let is_text = matches!(kind, TokenKind::Literal { kind: LiteralKind::Str { .. }, .. });
        (is_text && start < cursor && cursor <= end).then_some((start, text))
    });
    let (start, text) = literal?;
    let is_closed = text.len() > 1 && text.ends_with('"');
    if is_closed && cursor == start + text.len() {
        return None;
    }
    let typed = &code[start + 1..cursor];
    if typed.contains(['\n', '{', '\\']) {
        return None;
    }
    file(typed, cursor, folder)
}

/// The files and folders of a path that ends at the cursor.
fn file(typed: &str, cursor: usize, folder: &Path) -> Option<Completions> {
    let (parent, begin) = typed.rsplit_once('/').map_or(("", typed), |(parent, begin)| (parent, begin));
    let parent = match (parent, typed.starts_with('/')) {
        ("", true) => PathBuf::from("/"),
        ("~", false) => home()?,
        (parent, _) => path_from(folder, parent),
    };
    let mut found: Vec<(bool, String)> = std::fs::read_dir(parent)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let is_file = !entry.path().is_dir();
            Some((is_file, entry.file_name().into_string().ok()?))
        })
        .filter(|(_, name)| name.starts_with(begin) && (begin.starts_with('.') || !name.starts_with('.')))
        .collect();
    found.sort();
    let items = found.into_iter().map(|(is_file, name)| match is_file {
        true => word(name.as_str(), "instance", name.as_str()),
        false => word(format!("{name}/"), "module", format!("{name}/")),
    });
    Some(completions(cursor - begin.len(), cursor, items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(code: &str) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for file in ["data/one.csv", "data/other.csv", "dates.txt", ".hidden", "Cargo.toml"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let cursor = code.find('|').unwrap_or(code.len());
        let found = complete(&code.replacen('|', "", 1), cursor, folder.path())?;
        Some(found.items.into_iter().map(|item| item.code).collect())
    }

    #[test]
    fn a_command_is_completed_at_the_beginning_of_a_line_and_its_argument_behind_it() {
        assert_eq!(offered(":ti"), Some(vec![":timing".into(), ":timeline".into()]));
        assert_eq!(offered("let x = 1;\n  :memory-s"), Some(vec![":memory-summary".into()]));
        assert_eq!(offered(":keep o"), Some(vec!["on".into(), "off".into()]));
        assert_eq!(offered(":help ke"), Some(vec!["keep".into()]));
        assert_eq!(offered(":dep ."), Some(vec![".".into()]));
        assert_eq!(offered(":track "), Some(vec!["off".into(), "data/".into()]));
        assert_eq!(
            (offered(":track of"), offered(":track off d")),
            (Some(vec!["off".into()]), Some(vec!["data/".into()]))
        );
        assert_eq!(offered(":save da"), Some(vec!["data/".into(), "dates.txt".into()]));
        assert_eq!(offered(":save -f data/on"), Some(vec!["one.csv".into()]));
        assert_eq!((offered("x ? y :t"), offered("::std::me"), offered("let a: Ve")), (None, None, None));
    }

    #[test]
    fn crates_and_versions_that_are_on_this_machine_are_completed_behind_dep() {
        let crates =
            ["serde-1.0.9.crate", "serde-1.0.228.crate", "serde-json-2.0.0-rc.1.crate", "sha2-0.10.9.crate", "x"];
        let crates = crates.iter().filter_map(|file| name_and_version(file)).collect();
        let offered = |argument: &str| {
            let found = dependency(argument, argument.len(), &crates);
            found.items.into_iter().map(|item| format!("{}{}", &argument[..found.start], item.code)).collect::<Vec<_>>()
        };
        assert_eq!(offered("se"), ["serde", "serde-json"]);
        assert_eq!(offered("serde = "), ["serde = \"1.0.228\"", "serde = \"1.0.9\""]);
        assert_eq!(offered("serde = \"1.0.9"), ["serde = \"1.0.9\""]);
        assert_eq!(offered("sha2 = { version = \"0"), ["sha2 = { version = \"0.10.9\""]);
    }

    #[test]
    fn a_path_is_completed_inside_a_text_and_nowhere_else() {
        assert_eq!(offered("read(\"da|\")"), Some(vec!["data/".into(), "dates.txt".into()]));
        assert_eq!(offered("read(\"data/o"), Some(vec!["one.csv".into(), "other.csv".into()]));
        assert_eq!(offered("read(\"./data/on|\")"), Some(vec!["one.csv".into()]));
        assert_eq!(offered("read(\".h|\")"), Some(vec![".hidden".into()]));
        assert_eq!((offered("\"da\"|"), offered("da|"), offered("\"{da|\"")), (None, None, None));
        assert!(offered("\"/et|\"").is_some_and(|found| found.contains(&"etc/".to_owned())));
    }
}
