//! `:track`: crates on this machine that are built again and taken up when their files change.
//!
//! ```text
//!   :track ./mine       as `:dep ./mine`; and from then on, before each cell with code:
//!   :track                  which there are
//!   :track off mine         no longer        files as they were ─────────────────────────▶ the cell runs
//!                                            edited ──▶ Cargo ─┬─ builds them ───────────▶ it runs with the new build, after a word
//!                                                              └─ refuses them ──▶ the error is the cell's, which does not run
//!                                            refused before, and as they were then ──────▶ it runs with the earlier build, after a word
//! ```
//!
//! A person who has just edited a crate and runs a cell expects the new code, so a build that fails ends that cell: to run it with older
//! code could do what is no longer meant. The next cells run, as after IPython's `%autoreload`: the variables can be looked at while the
//! crate is mended. The same files are not built twice in vain.

use super::Direct;
use super::commands::{mistake, split, uncommented};
use super::crate_files::whole_stamp;
use super::dep::{self, Dep};
use crate::event::{CellError, CellId, InputReader};
use crate::home::path_from;
use crate::reports::report::plain_error;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The crates that are tracked.
#[derive(Debug, Default)]
pub struct Tracked {
    /// Their names, which are those of dependencies.
    names: BTreeSet<String>,
    /// The stamp of the files that could not be built.
    refused: Option<u64>,
}

/// What an argument asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    List,
    /// Without a name: all.
    Off(Option<&'a str>),
    Crate(&'a str),
}

fn asked(argument: &str) -> Asked<'_> {
    match argument {
        "" => Asked::List,
        "off" => Asked::Off(None),
        _ => match argument.strip_prefix("off ") {
            Some(word) => Asked::Off(Some(word.trim().trim_matches('"'))),
            None => Asked::Crate(argument.trim_matches('"')),
        },
    }
}

/// The dependency that `line` asks for if it is a `:track` of a crate. Paths are relative to `folder`; of `known` dependencies, one of the
/// same crate stays as it is.
///
/// # Errors
/// A sentence that says why there is no such crate.
pub fn dep_of(line: &str, folder: &Path, known: &[(String, String)]) -> Option<Result<Dep, String>> {
    match split(uncommented(line)) {
        (":track", argument) => match asked(argument) {
            Asked::Crate(path) => Some(dep(path, folder, known)),
            Asked::List | Asked::Off(_) => None,
        },
        _ => None,
    }
}

fn dep(path: &str, folder: &Path, known: &[(String, String)]) -> Result<Dep, String> {
    let whole = path_from(folder, path);
    let as_known =
        |(name, requirement): &(String, String)| Dep { name: name.clone(), requirement: Some(requirement.clone()) };
    let is_local = |(_, requirement): &&(String, String)| dep::path_of(requirement).is_some();
    if let Some(named) = known.iter().filter(is_local).find(|(name, _)| name == path && !whole.exists()) {
        return Ok(as_known(named));
    }
    let whole = if whole.ends_with("Cargo.toml") { whole.parent().unwrap_or(&whole).to_owned() } else { whole };
    let whole = whole.canonicalize().unwrap_or(whole);
    refuse(&whole)?;
    match known.iter().find(|(_, requirement)| dep::path_of(requirement).as_ref() == Some(&whole)) {
        // It may ask for features.
        Some(same) => Ok(as_known(same)),
        None => dep::named_in_its_manifest(
            Table::from_iter([("path".to_owned(), Value::String(whole.to_string_lossy().into_owned()))]),
            folder,
        ),
    }
}

/// Refuses a folder that has no library for cells.
fn refuse(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    if !folder.is_dir() {
        return Err(format!("there is no folder {shown}; `:track PATH` takes the folder of a crate of yours"));
    }
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(format!(
            "there is no `Cargo.toml` in {shown}; `:track` takes the folder of a library crate, and `mod NAME;` a single file"
        ));
    }
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", manifest.display());
    let text = std::fs::read_to_string(&manifest).map_err(|error| wrong(&error))?;
    let table: Table = toml::from_str(&text).map_err(|error| wrong(&error.message()))?;
    let Some(package) = table.get("package") else {
        let members = table.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
        let members: Vec<&str> = members.into_iter().flatten().filter_map(Value::as_str).collect();
        let which = if members.is_empty() { String::new() } else { format!(" ({})", super::listed(&members)) };
        return Err(format!(
            "{} has no package; name the folder of a member of its workspace{which}",
            manifest.display()
        ));
    };
    let library = table.get("lib");
    let finds_it = package.get("autolib").and_then(Value::as_bool) != Some(false);
    if library.is_none() && !(finds_it && folder.join("src/lib.rs").is_file()) {
        return Err(format!(
            "the crate in {shown} is a program, and cells can use a library alone: write what they are to use in its `src/lib.rs`"
        ));
    }
    let kinds = library.and_then(|library| library.get("crate-type").or_else(|| library.get("crate_type"))?.as_array());
    let is_for_rust = |kind: &Value| matches!(kind.as_str(), Some("lib" | "rlib" | "dylib" | "proc-macro"));
    if kinds.is_some_and(|kinds| !kinds.iter().any(is_for_rust)) {
        return Err(format!(
            "the library in {shown} is made for other languages alone: write \"lib\" into the `crate-type` of its Cargo.toml, too"
        ));
    }
    Ok(())
}

impl Direct {
    /// Carries out `:track`.
    pub(super) fn track(&mut self, cell: CellId, argument: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        match asked(argument) {
            Asked::List => self.say(cell, &self.list_tracked()),
            Asked::Off(None) => {
                self.tracked.names.clear();
                self.say(cell, "no crate is tracked any more");
            }
            Asked::Off(Some(word)) => {
                let name = self.tracked_called(word)?;
                self.tracked.names.remove(&name);
                self.say(cell, &format!("`{name}` is not tracked any more; cells use it as it was built last"));
            }
            Asked::Crate(path) => {
                let dep = dep(path, &self.folder, &self.deps).map_err(|error| mistake(&error))?;
                let name = dep.name.clone();
                self.add_deps(cell, vec![dep], input)?;
                self.tracked.names.insert(name);
            }
        }
        Ok(())
    }

    /// The tracked crate of a name or a path.
    fn tracked_called(&self, word: &str) -> Result<String, CellError> {
        let path = path_from(&self.folder, word);
        let path = path.canonicalize().unwrap_or(path);
        let is_it = |(name, folder): &(&String, PathBuf)| *name == word || *folder == path;
        self.tracked().find(is_it).map(|(name, _)| name.clone()).ok_or_else(|| {
            let names: Vec<&str> = self.tracked.names.iter().map(String::as_str).collect();
            let which =
                if names.is_empty() { "no crate is".to_owned() } else { format!("tracked: {}", super::listed(&names)) };
            mistake(&format!("`{word}` is not tracked; {which}"))
        })
    }

    /// The tracked crates and their folders. A `:dep` may have put one of another source in the place of one.
    fn tracked(&self) -> impl Iterator<Item = (&String, PathBuf)> {
        let of = |name: &String| self.deps.iter().find(|(known, _)| known == name);
        self.tracked.names.iter().filter_map(move |name| Some((name, dep::path_of(&of(name)?.1)?)))
    }

    /// Whether crates are tracked.
    pub(super) fn tracks_any(&self) -> bool {
        self.tracked().next().is_some()
    }

    fn list_tracked(&self) -> String {
        let rows: Vec<[String; 3]> = self.tracked().map(|(name, folder)| self.row(name, &folder)).collect();
        if rows.is_empty() {
            return "no crate is tracked; `:track PATH` tracks the one in that folder".into();
        }
        let head = ["crate", "folder", ""].map(str::to_owned);
        let width =
            |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1)];
        let mut text = String::new();
        for [name, folder, state] in [&head].into_iter().chain(&rows) {
            let line = format!("{name:<0$}  {folder:<1$}  {state}", widths[0], widths[1]);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    fn row(&self, name: &str, folder: &Path) -> [String; 3] {
        let built = self.builds.get(name).map(|build| format!("built in cell {}", build.cell)).unwrap_or_default();
        let state = match self.is_edited(name, folder) {
            false => built,
            true if self.tracked.refused == Some(self.stamp_of_edited()) => {
                format!("{built}; edited since, and cannot be built as it is")
            }
            true => format!("{built}; edited since"),
        };
        [name.to_owned(), folder.display().to_string(), state]
    }

    /// The tracked crates whose files are others than those of their last builds.
    fn edited(&self) -> impl Iterator<Item = (&String, PathBuf)> {
        self.tracked().filter(|(name, folder)| self.is_edited(name, folder))
    }

    /// What a build of all these would be made of.
    fn stamp_of_edited(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.edited().for_each(|(name, folder)| (name, whole_stamp(&folder)).hash(&mut hash));
        hash.finish()
    }

    /// Builds the tracked crates whose files have changed, before code of a person runs.
    ///
    /// # Errors
    /// What was wrong with their files, if that is not known yet.
    pub(super) fn take_up_edited(&mut self, cell: CellId, input: Option<&InputReader>) -> Result<(), CellError> {
        let names: Vec<String> = self.edited().map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            self.tracked.refused = None;
            return Ok(());
        }
        let listed = super::listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let now = self.stamp_of_edited();
        if self.tracked.refused == Some(now) {
            self.remark(
                cell,
                &format!("{listed}: the earlier build is in use, because the files cannot be built as they are"),
            );
            return Ok(());
        }
        let deps: Vec<Dep> = names.into_iter().map(|name| Dep { name, requirement: None }).collect();
        let was = if deps.len() == 1 { "was" } else { "were" };
        match self.add_deps(cell, deps, input) {
            Ok(()) => {
                self.tracked.refused = None;
                Ok(())
            }
            Err(error) if self.running.is_stopped() => Err(error),
            Err(error) => {
                self.tracked.refused = Some(now);
                let text = format!(
                    "{listed} {was} edited and cannot be built, so this cell was not run\n{}\n\nNothing is lost: the session goes on with the \
                     earlier build, also in the next cell, until the files change.",
                    error.plain
                );
                Err(plain_error(&error.name, &text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What `:track ARGUMENT` asks for in a folder with this manifest in `mine`, and perhaps a library there.
    fn of(
        argument: &str,
        manifest: &str,
        has_library: bool,
        known: &[(&str, &str)],
    ) -> Result<(String, String), String> {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        fs::create_dir_all(here.join("mine/src")).unwrap();
        fs::write(here.join("mine/Cargo.toml"), manifest).unwrap();
        if has_library {
            fs::write(here.join("mine/src/lib.rs"), "").unwrap();
        }
        let here_in = |text: &str| text.replace("HERE", &here.to_string_lossy());
        let known: Vec<_> = known.iter().map(|(name, requirement)| (name.to_string(), here_in(requirement))).collect();
        let dep = dep_of(&format!(":track {argument}"), &here, &known).unwrap();
        let no_here = |text: String| text.replace(&*here.to_string_lossy(), "HERE");
        dep.map(|dep| (dep.name, no_here(dep.requirement.unwrap_or_default()))).map_err(no_here)
    }

    const MINE: &str = "[package]\nname = \"my-own\"\n";

    #[test]
    fn a_crate_is_named_by_its_folder_in_quotes_or_not_by_its_manifest_and_by_its_name_once_it_is_there() {
        let wanted = ("my-own".to_owned(), "{ path = \"HERE/mine\" }".to_owned());
        for argument in ["mine", "./mine", "\"mine\"", "mine/ // mine", "mine/Cargo.toml"] {
            assert_eq!(of(argument, MINE, true, &[]), Ok(wanted.clone()), "{argument}");
        }
        let with_features = "{ path = \"HERE/mine\", features = [\"x\"] }";
        let known = [("other", "\"1\""), ("my-own", with_features)];
        for argument in ["mine", "my-own"] {
            assert_eq!(of(argument, MINE, true, &known), Ok(("my-own".to_owned(), with_features.to_owned())));
        }
    }

    #[test]
    fn an_argument_lists_stops_or_tracks() {
        let all = [
            ("", Asked::List),
            ("off", Asked::Off(None)),
            ("off \"my crate\"", Asked::Off(Some("my crate"))),
            ("./off", Asked::Crate("./off")),
            ("offer", Asked::Crate("offer")),
        ];
        for (argument, wanted) in all {
            assert_eq!(asked(argument), wanted, "{argument}");
        }
        assert!(
            dep_of(":track off mine", Path::new("/"), &[]).is_none() && dep_of(":vars", Path::new("/"), &[]).is_none()
        );
    }

    #[test]
    fn a_folder_without_a_library_for_cells_is_refused_with_the_reason() {
        let said =
            |argument: &str, manifest: &str, has_library: bool| of(argument, manifest, has_library, &[]).unwrap_err();
        assert_eq!(
            said("other", MINE, true),
            "there is no folder HERE/other; `:track PATH` takes the folder of a crate of yours"
        );
        assert!(said(".", MINE, true).starts_with("there is no `Cargo.toml` in HERE; "));
        assert!(said("mine", "[package\n", true).starts_with("HERE/mine/Cargo.toml: "));
        assert_eq!(
            said("mine", "[workspace]\nmembers = [\"a\", \"b/*\"]\n", false),
            "HERE/mine/Cargo.toml has no package; name the folder of a member of its workspace (`a`, `b/*`)"
        );
        assert!(said("mine", MINE, false).starts_with("the crate in HERE/mine is a program, "));
        let foreign = format!("{MINE}[lib]\ncrate-type = [\"cdylib\"]\n");
        assert!(said("mine", &foreign, true).starts_with("the library in HERE/mine is made for other languages alone"));
        assert!(of("mine", &format!("{MINE}[lib]\npath = \"x.rs\"\n"), false, &[]).is_ok());
    }
}
