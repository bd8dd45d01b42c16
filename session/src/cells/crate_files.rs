//! Crates in folders of this machine: the files that they are made of, whether these have changed, and what was built of them.
//!
//! ```text
//!   stamp(mine, built) ─┬─ mine/Cargo.toml, the manifest of its workspace
//!                       ├─ what the last build has read of mine:  src/lib.rs, data.txt   (all of mine/ if that is not known)
//!                       └─ the same of each crate in a folder that mine depends on
//! ```
//!
//! Of a crate that was built, exactly those files count that the compiler has read: a notebook or a table that is written into the same
//! folder is no reason to build it again. Before the first build, and after one that failed, any source might be meant, so all of the
//! folder counts, without `target`, hidden files, notebooks and the folders of other packages.

use super::{Direct, dep};
use crate::base::LocalCrate;
use crate::event::CellId;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use walkdir::WalkDir;

/// A hash that changes when a file of the crate in `folder` changes, or of another crate in a folder that it depends on. `built`: the crates
/// of the build that read them.
pub fn stamp(folder: &Path, built: &[LocalCrate]) -> u64 {
    let mut hash = DefaultHasher::new();
    let (mut waiting, mut seen) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = waiting.pop() {
        let Ok(folder) = folder.canonicalize() else { continue };
        if seen.contains(&folder) {
            continue;
        }
        let manifest = Manifest::read(&folder);
        manifest.files().for_each(|file| note_file(&file, &mut hash));
        match built.iter().find(|krate| krate.folder == folder) {
            Some(LocalCrate { read: Some(read), .. }) => read.iter().for_each(|path| note(path, &mut hash)),
            // It was not needed.
            None if !built.is_empty() => {}
            _ => note(&folder, &mut hash),
        }
        waiting.extend(manifest.neighbours());
        seen.push(folder);
    }
    hash.finish()
}

/// The stamp of any sources that may be in the folder.
pub fn whole_stamp(folder: &Path) -> u64 {
    stamp(folder, &[])
}

fn note(path: &Path, hash: &mut DefaultHasher) {
    if !path.is_dir() {
        return note_file(path, hash);
    }
    let is_source = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_other = || entry.file_type().is_dir() && entry.path().join("Cargo.toml").is_file();
        entry.depth() == 0
            || !(name.starts_with('.')
                || name.ends_with(".ipynb")
                || entry.depth() == 1 && name == "target"
                || is_other())
    };
    let files = WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(is_source);
    for entry in files.filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
        note_file(entry.path(), hash);
    }
}

fn note_file(path: &Path, hash: &mut DefaultHasher) {
    let meta = std::fs::metadata(path).ok();
    (path, meta.map(|meta| (meta.len(), meta.modified().ok()))).hash(hash);
}

/// A manifest, with that of its workspace if it takes something from there.
struct Manifest {
    folder: PathBuf,
    table: Table,
    workspace: Option<(PathBuf, Table)>,
}

impl Manifest {
    /// Reads the manifest in a folder. One that is not there or not readable is empty: Cargo will say so.
    fn read(folder: &Path) -> Manifest {
        let text = text_of(folder);
        let table: Table = toml::from_str(&text).unwrap_or_default();
        let named = table.get("package").and_then(|package| package.get("workspace")).and_then(Value::as_str);
        let above = folder.ancestors().map(Path::to_owned);
        let mut roots: Box<dyn Iterator<Item = PathBuf>> = match named {
            Some(named) => Box::new(std::iter::once(folder.join(named))),
            None => Box::new(above),
        };
        let workspace = text.contains("workspace").then(|| {
            roots.find_map(|root| {
                let table: Table = toml::from_str(&text_of(&root)).ok()?;
                table.contains_key("workspace").then_some((root, table))
            })
        });
        Manifest { folder: folder.to_owned(), table, workspace: workspace.flatten() }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let folders = std::iter::once(&self.folder).chain(self.workspace.iter().map(|(root, _)| root));
        folders.map(|folder| folder.join("Cargo.toml"))
    }

    /// The folders of the crates that it depends on, apart from those for tests.
    fn neighbours(&self) -> Vec<PathBuf> {
        let targets = self.table.get("target").and_then(Value::as_table).into_iter().flatten();
        let tables = targets.filter_map(|(_, table)| table.as_table()).chain([&self.table]);
        let kinds = tables.flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)));
        let deps = kinds.flatten().filter_map(Value::as_table).flatten();
        deps.filter_map(|(name, dep)| {
            if dep.get("workspace").and_then(Value::as_bool) != Some(true) {
                return Some(self.folder.join(dep.get("path")?.as_str()?));
            }
            let (root, table) = self.workspace.as_ref()?;
            let shared = table.get("workspace")?.get("dependencies")?.get(name)?;
            Some(root.join(shared.get("path")?.as_str()?))
        })
        .collect()
    }
}

fn text_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default()
}

/// The names of the crates that were built again between two builds, as types of values have them: what cells call them, too.
pub fn built_again(before: &[LocalCrate], now: &[LocalCrate], deps: &[(String, String)]) -> Vec<String> {
    let is_other = |krate: &&LocalCrate| {
        before.iter().any(|known| known.name == krate.name) && !before.iter().any(|known| known.is_same_build(krate))
    };
    let mut names = Vec::new();
    for krate in now.iter().filter(is_other) {
        let called = deps.iter().filter(|(_, requirement)| dep::path_of(requirement).as_ref() == Some(&krate.folder));
        names.extend(called.map(|(name, _)| name.replace('-', "_")));
        names.push(krate.name.clone());
    }
    names
}

/// The last build of a crate in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The cell that it was built in.
    pub cell: CellId,
    /// The stamp of its files; `None` if they changed meanwhile.
    stamp: Option<u64>,
}

/// The dependencies in folders: their names, and the folders.
fn local(deps: &[(String, String)]) -> impl Iterator<Item = (&String, PathBuf)> {
    deps.iter().filter_map(|(name, requirement)| Some((name, dep::path_of(requirement)?)))
}

/// The stamps of all that dependencies might be built of, by name.
pub fn whole_stamps(deps: &[(String, String)]) -> HashMap<String, u64> {
    local(deps).map(|(name, folder)| (name.clone(), whole_stamp(&folder))).collect()
}

impl Direct {
    /// Whether a dependency's files are others than those of its last build.
    pub(super) fn is_edited(&self, name: &str, folder: &Path) -> bool {
        self.builds.get(name).is_some_and(|build| build.stamp != Some(stamp(folder, &self.base.local)))
    }

    /// Records a build of all dependencies, says which were built again, and gives up their values: those in memory have the old layout.
    /// `before`: the crates of the previous build; `whole`: the stamps when this one began.
    pub(super) fn note_build(&mut self, cell: CellId, before: &[LocalCrate], whole: &HashMap<String, u64>) {
        let again = built_again(before, &self.base.local, &self.deps);
        let is_again = |name: &String| again.contains(&name.replace('-', "_"));
        let build = |(name, folder): (&String, PathBuf)| {
            let earlier = self.builds.get(name).filter(|_| !is_again(name));
            let is_settled = whole.get(name) == Some(&whole_stamp(&folder));
            let stamp = is_settled.then(|| stamp(&folder, &self.base.local));
            (name.clone(), Build { cell: earlier.map_or(cell, |build| build.cell), stamp })
        };
        self.builds = local(&self.deps).map(build).collect();
        for (name, _) in local(&self.deps).filter(|(name, _)| is_again(name)) {
            self.remark(cell, &format!("`{name}` was built again: its files have changed"));
        }
        for name in self.state.lose_values_of(&again, cell) {
            self.remark(cell, &format!("`{name}` is gone: its crate was rebuilt, so its type has changed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        files.iter().for_each(|(file, text)| write(&path, file, text));
        (dir, path)
    }

    fn write(folder: &Path, file: &str, text: &str) {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    const MINE: &str = "[package]\nname = \"mine\"\n[dependencies]\nsub.workspace = true\n\
        [target.'cfg(unix)'.dependencies]\nother = { path = \"../other\" }\n";

    fn workspace() -> (tempfile::TempDir, PathBuf) {
        folder(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"mine\"]\n[workspace.dependencies]\nsub = { path = \"deep/sub\" }\n",
            ),
            ("mine/Cargo.toml", MINE),
            ("mine/src/lib.rs", ""),
            ("other/Cargo.toml", "[package]\nname = \"other\"\n"),
            ("deep/sub/Cargo.toml", "[package]\nname = \"sub\"\n"),
        ])
    }

    #[test]
    fn a_crate_has_another_stamp_once_it_or_one_that_it_depends_on_was_edited() {
        let (_dir, root) = workspace();
        let mine = root.join("mine");
        for file in ["mine/src/lib.rs", "mine/new.rs", "other/src/lib.rs", "deep/sub/src/lib.rs", "Cargo.toml"] {
            let before = whole_stamp(&mine);
            assert_eq!(whole_stamp(&mine), before);
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            write(&root, file, &(text + "# edited\n"));
            assert_ne!(whole_stamp(&mine), before, "{file}");
        }
    }

    #[test]
    fn what_is_built_or_hidden_and_notebooks_and_other_packages_do_not_count() {
        let (_dir, root) = workspace();
        let mine = root.join("mine");
        write(&mine, "unused/Cargo.toml", "[package]\nname = \"unused\"\n");
        let before = whole_stamp(&mine);
        for file in ["target/debug/x", ".git/index", "notes.ipynb", "unused/src/lib.rs"] {
            write(&mine, file, "new");
            assert_eq!(whole_stamp(&mine), before, "{file}");
        }
    }

    #[test]
    fn of_a_crate_that_was_built_the_files_count_that_were_read() {
        let (_dir, root) = workspace();
        let mine = root.join("mine");
        let read = Some(vec![mine.join("src/lib.rs"), root.join("table.csv"), mine.join("assets")]);
        let built = [LocalCrate { folder: mine.clone(), read, ..LocalCrate::default() }];
        let stamp = || stamp(&mine, &built);
        let before = stamp();
        for file in ["mine/out.csv", "mine/tests/a.rs", "other/src/lib.rs"] {
            write(&root, file, "new");
            assert_eq!(stamp(), before, "{file}");
        }
        for file in ["mine/src/lib.rs", "table.csv", "mine/assets/logo.svg", "mine/Cargo.toml"] {
            let before = stamp();
            write(&root, file, "[package]\nname = \"mine\"\nversion = \"0.2.0\"\n");
            assert_ne!(stamp(), before, "{file}");
        }
    }

    #[test]
    fn a_crate_that_was_built_again_is_known_by_its_own_name_and_by_the_one_that_cells_call_it_by() {
        let (_dir, root) = folder(&[("1.rlib", "1"), ("2.rlib", "2")]);
        let built = |name: &str, file: &str| LocalCrate {
            name: name.into(),
            folder: root.join(name),
            made: vec![root.join(file)],
            read: None,
        };
        let deps = [("my-own".to_owned(), format!("{{ path = {:?} }}", root.join("mine")))];
        let before = [built("mine", "1.rlib"), built("same", "1.rlib")];
        let now = [built("mine", "2.rlib"), built("same", "1.rlib"), built("new", "1.rlib")];
        assert_eq!(built_again(&before, &now, &deps), ["my_own", "mine"]);
    }
}
