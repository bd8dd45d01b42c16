//! Crates in folders of this machine, as Cargo has built them: what they were made of, and what was made.
//!
//! ```text
//!   Cargo's messages ─▶ LocalCrate ─┬─ read   src/lib.rs, src/inner.rs, …         what a later look compares
//!                                   └─ made   target/…/libmine-1f.rlib ──link──▶ local/3/libmine-1f.rlib ◀── cells
//! ```
//!
//! Cargo removes a library of such a crate before it builds it again, and that build may fail. So cells are compiled against links, which
//! are the session's: they stay as they are, and a later build makes other files.
//!
//! # Invariants
//! - Two builds of a crate have the same library exactly if their links are of one file: Cargo leaves a library that is up to date, and
//!   replaces any other under a new inode (measured: see `link_tree`), which no other file gets while there is the link.

use super::Built;
use super::cargo::Line;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A crate in a folder of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalCrate {
    /// The name that the compiler calls it by.
    pub name: String,
    /// The folder of its manifest.
    pub folder: PathBuf,
    /// Its libraries.
    pub made: Vec<PathBuf>,
    /// The files and folders that they were made of; `None` if that may be anything in its folder.
    pub read: Option<Vec<PathBuf>>,
}

impl LocalCrate {
    /// The crates in folders that Cargo tells of, except the one called `own`.
    pub(super) fn all(lines: &[Line], own: &str) -> Vec<LocalCrate> {
        let mut all: Vec<LocalCrate> = Vec::new();
        for line in lines.iter().filter(|line| line.reason == "compiler-artifact" && line.is_local()) {
            let Some(target) = line.target.as_ref().filter(|target| target.name != own && !target.is_build_script())
            else {
                continue;
            };
            let Some(folder) = line.manifest_path.parent() else { continue };
            let krate = LocalCrate {
                name: target.name.replace('-', "_"),
                folder: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
                made: line.filenames.clone(),
                read: read_for(line, lines),
            };
            // As the dependency of a build script, it is built once more.
            match all.iter_mut().find(|known| known.folder == krate.folder) {
                None => all.push(krate),
                Some(known) => {
                    known.made.extend(krate.made);
                    known.read = known.read.take().zip(krate.read).map(|(first, second)| [first, second].concat());
                }
            }
        }
        all
    }

    /// Whether `other` is this crate, and no build lies between them.
    pub fn is_same_build(&self, other: &LocalCrate) -> bool {
        let file = |path: &PathBuf| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        let all = |krate: &LocalCrate| krate.made.iter().map(file).collect::<Option<Vec<_>>>();
        self.folder == other.folder && all(self).is_some_and(|mine| all(other) == Some(mine))
    }
}

impl Built {
    /// Links the libraries of the crates in folders into `dir`, and has cells compiled against these links.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn link_local(&mut self, dir: &Path) -> io::Result<()> {
        if self.local.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        for krate in &mut self.local {
            for made in &mut krate.made {
                let link = dir.join(made.file_name().unwrap_or_default());
                // What an earlier attempt has left.
                let _ = fs::remove_file(&link);
                fs::hard_link(&made, &link)?;
                self.externs.values_mut().filter(|file| *file == made).for_each(|file| file.clone_from(&link));
                *made = link;
            }
        }
        self.dirs.insert(0, dir.to_owned());
        Ok(())
    }
}

/// What the library of this line was made of; `None` if that may be anything in the crate's folder.
fn read_for(line: &Line, lines: &[Line]) -> Option<Vec<PathBuf>> {
    let folder = line.manifest_path.parent()?;
    let library = line.filenames.first()?;
    let stem = library.file_stem()?.to_str()?;
    let mut read = told_by_compiler(&library.with_file_name(format!("{}.d", stem.strip_prefix("lib")?)))?;
    let of_script = |other: &&Line| other.package_id == line.package_id && other.reason == "build-script-executed";
    if let Some(ran) = lines.iter().find(of_script) {
        read.extend(asked_by_script(&ran.out_dir.parent()?.join("output"))?);
        let built = lines.iter().filter(|other| other.package_id == line.package_id);
        let script = built.filter(|line| line.target.as_ref().is_some_and(|target| target.is_build_script()));
        for file in script.filter_map(|script| fs::read_dir(script.filenames.first()?.parent()?).ok()).flatten() {
            let file = file.ok()?.path();
            if file.extension().is_some_and(|end| end == "d") {
                read.extend(told_by_compiler(&file)?);
            }
        }
    }
    let mut read: Vec<PathBuf> = read.into_iter().map(|path| folder.join(path)).collect();
    read.sort();
    read.dedup();
    Some(read)
}

/// The files that the compiler says it has read: `libmine.rlib: src/lib.rs a\ file.txt`, as for `make`.
fn told_by_compiler(file: &Path) -> Option<Vec<PathBuf>> {
    let text = fs::read_to_string(file).ok()?;
    let rules = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    Some(rules.flat_map(|(_, files)| escaped(files)).map(PathBuf::from).collect())
}

/// The names in a list that spaces part. A space of a name stands behind a backslash.
fn escaped(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, names.last_mut()) {
            ('\\', Some(name)) if chars.peek() == Some(&' ') => name.extend(chars.next()),
            (' ', _) => names.push(String::new()),
            (c, Some(name)) => name.push(c),
            (_, None) => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The files and folders for which a build script wants to run again; `None` if it has named nothing, which means any file.
fn asked_by_script(output: &Path) -> Option<Vec<PathBuf>> {
    let text = String::from_utf8_lossy(&fs::read(output).ok()?).into_owned();
    let told = text.lines().filter_map(|line| line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:")));
    let again: Vec<&str> = told.filter_map(|told| told.strip_prefix("rerun-if-")).collect();
    let files = again.iter().filter_map(|word| word.strip_prefix("changed=")).map(PathBuf::from).collect();
    (!again.is_empty()).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate `mine` as Cargo tells of it, whose library consists of `byte`.
    fn built(dir: &Path, byte: u8, extra: &str) -> Built {
        let [deps, mine] = ["deps", "mine"].map(|name| dir.join(name));
        for folder in [&deps, &mine] {
            fs::create_dir_all(folder).unwrap();
        }
        let library = deps.join("libmine-1f.rlib");
        if fs::read(&library).ok() != Some(vec![byte]) {
            let _ = fs::remove_file(&library);
            fs::write(&library, [byte]).unwrap();
        }
        let read =
            format!("{0}: {1}/src/lib.rs {1}/a\\ b.txt\n\n{1}/src/lib.rs:\n# env-dep:X\n", "x.rlib", mine.display());
        fs::write(deps.join("mine-1f.d"), read).unwrap();
        let artifact = |kind: &str, name: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///mine#1.0.0\",\"manifest_path\":{:?},\
                 \"target\":{{\"name\":{name:?},\"kind\":[{kind:?}]}},\"filenames\":[{library:?}]}}",
                mine.join("Cargo.toml")
            )
        };
        let own = artifact("dylib", "mobula_base_1");
        let lines = [artifact("lib", "mine"), own, extra.to_owned()];
        let lines: Vec<Line> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let externs = [("mine".to_owned(), library)].into();
        Built { local: LocalCrate::all(&lines, "mobula_base_1"), externs, ..Built::default() }
    }

    #[test]
    fn the_files_that_a_crate_was_made_of_are_those_that_the_compiler_has_read() {
        let dir = tempfile::tempdir().unwrap();
        let built = built(dir.path(), 1, "");
        let folder = dir.path().canonicalize().unwrap().join("mine");
        let read = ["a b.txt", "src/lib.rs"].map(|file| dir.path().join("mine").join(file));
        let krate = &built.local[0];
        assert_eq!((built.local.len(), &*krate.name, &krate.folder), (1, "mine", &folder));
        assert_eq!(krate.read.as_deref(), Some(&read[..]));
    }

    #[test]
    fn a_build_script_that_names_no_files_may_have_read_any_and_another_those_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let ran = format!(
            "{{\"reason\":\"build-script-executed\",\"package_id\":\"path+file:///mine#1.0.0\",\"out_dir\":{:?}}}",
            dir.path().join("script/out")
        );
        fs::create_dir_all(dir.path().join("script")).unwrap();
        let output = dir.path().join("script/output");
        fs::write(&output, "cargo:rustc-link-lib=z\n").unwrap();
        assert_eq!(built(dir.path(), 1, &ran).local[0].read, None);
        fs::write(&output, "cargo::rerun-if-changed=wrapper.h\n").unwrap();
        let read = built(dir.path(), 1, &ran).local[0].read.clone().unwrap();
        assert!(read.contains(&dir.path().join("mine/wrapper.h")) && read.len() == 3, "{read:?}");
    }

    #[test]
    fn a_link_outlives_the_library_and_tells_whether_it_was_built_again() {
        let dir = tempfile::tempdir().unwrap();
        let linked = |name: &str, byte: u8| {
            let mut built = built(dir.path(), byte, "");
            built.link_local(&dir.path().join(name)).unwrap();
            built
        };
        let (first, same, other) = (linked("first", 1), linked("same", 1), linked("other", 2));
        assert!(first.local[0].is_same_build(&same.local[0]) && !first.local[0].is_same_build(&other.local[0]));
        assert_eq!(first.externs["mine"], dir.path().join("first/libmine-1f.rlib"));
        assert_eq!((fs::read(&first.externs["mine"]).unwrap(), first.dirs), (vec![1], vec![dir.path().join("first")]));
    }
}
