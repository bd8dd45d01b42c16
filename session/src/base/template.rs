//! The template: crates that every session links, compiled once per (version of this crate, version of rustc).
//!
//! ```text
//! <folder>/crate/…      the embedded sources of `mobula`
//!         /seed/…       a cell's crate as evcxr lays it out, with everything it depends on compiled
//!         /base/…       the library that cells of the direct evaluator are linked against
//!         /base.json    where that library is, and what it is linked with
//!         /files.json   checksums of all these
//!         /added/…      what `:dep` has compiled in some session, for later sessions (`dep_cache.rs`)
//!         /trial        the result of checking this compiler: nothing, or what it does not say
//! ```
//!
//! `cache.rs` decides which folder that is. A session gets hard links to the compiled files: it compiles no dependency and needs no
//! network.

use super::cache::{Cache, Folder, cache_dir};
use super::checksums::{Manifest, Stamp};
use super::dep_cache::Kept;
use super::{Built, Linker, Project, cargo, link_tree};
use crate::base::compiler_process::Running;
use crate::base::toolchain::Toolchain;
use crate::host::EmbeddedFile;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The crates that a cell can use without `:dep`, besides `mobula`: name and Cargo requirement. They are dependencies of `mobula`, so they
/// cost nothing more.
pub const CELL_DEPS: [(&str, &str); 2] =
    [("serde", "{ version = \"1\", features = [\"derive\"] }"), ("ndarray", "\"0.17\"")];

/// Part of the cache key: changed when the same sources are to make another template.
const EDITION: &str = "generic functions shared, a linker chosen, pictures, checksums";

/// The path of the seed's build in the checksums.
const SEED_TARGET: &str = "seed/target/";

/// The prepared files.
#[derive(Clone, Debug)]
pub struct Template {
    dir: PathBuf,
    target: String,
    /// `None` while it is being made.
    folder: Option<Folder>,
}

/// The part of the cache that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// What `:dep` had compiled. It is removed, and compiled again when it is asked for.
    Added,
    /// What all cells are compiled against. The next session prepares it anew.
    Template,
}

impl Template {
    /// Finds the template in the cache folder, or makes it and reports the progress to `notice`. When two processes need it at the same
    /// time, one makes it.
    ///
    /// # Errors
    /// A sentence: the cache folder cannot be written, or the compiler's own message.
    pub fn prepare(files: &[EmbeddedFile], toolchain: &Toolchain, notice: &dyn Fn(String)) -> Result<Template, String> {
        let of = |dir: &Path| Template { dir: dir.to_owned(), target: toolchain.target().to_owned(), folder: None };
        let folder = Cache::new(cache_dir()?).get(&key(files, toolchain), |dir| {
            let template = of(dir);
            let explain = |error: io::Error| format!("the cache folder {} cannot be prepared: {error}", dir.display());
            template.write_sources(files).map_err(explain)?;
            template.build(toolchain, notice)?;
            Manifest::of(dir, &template.checked()?).and_then(|manifest| manifest.write(dir)).map_err(explain)
        })?;
        Ok(Template { folder: Some(folder.clone()), ..of(folder.path()) })
    }

    /// The files that never change once they are there.
    fn checked(&self) -> Result<Vec<PathBuf>, String> {
        let library = self.built()?.library;
        let library = library.strip_prefix(&self.dir).map_err(|error| format!("{}: {error}", library.display()))?;
        let others = [library, Path::new("crate"), Path::new("seed/Cargo.lock"), Path::new("base.json")];
        let parts = self.parts().into_iter().map(|part| Path::new(SEED_TARGET).join(part));
        Ok(others.map(Path::to_owned).into_iter().chain(parts).collect())
    }

    /// The files of the seed's build, with sizes and times.
    fn seed_files(&self) -> io::Result<BTreeMap<String, Stamp>> {
        let files = Manifest::read(&self.dir)?.0.into_iter();
        Ok(files.filter_map(|(name, entry)| Some((name.strip_prefix(SEED_TARGET)?.to_owned(), entry.stamp))).collect())
    }

    /// Cargo's requirement for the crate `mobula`.
    pub fn mobula_dep(&self, features: &[&str]) -> String {
        let path = self.dir.join("crate");
        format!("{{ path = {:?}, default-features = false, features = {features:?} }}", path.to_string_lossy())
    }

    /// Whether a folder is one of the embedded sources.
    pub fn has(&self, folder: &Path) -> bool {
        self.dir.canonicalize().is_ok_and(|dir| folder.starts_with(dir))
    }

    fn seed(&self) -> PathBuf {
        self.dir.join("seed")
    }

    fn write_sources(&self, files: &[EmbeddedFile]) -> io::Result<()> {
        for file in files {
            let path = self.dir.join("crate").join(file.path);
            fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
            fs::write(path, file.content)?;
        }
        let seed = self.seed();
        fs::create_dir_all(seed.join("src"))?;
        fs::write(seed.join("src/lib.rs"), "pub use mobula as _;\n")?;
        fs::write(seed.join("Cargo.toml"), cargo::manifest("ctx", "cdylib", &self.base_deps()))?;
        if let Some(lock) = files.iter().find(|file| file.path == "Cargo.lock") {
            fs::write(seed.join("Cargo.lock"), lock.content)?;
        }
        Ok(())
    }

    fn build(&self, toolchain: &Toolchain, notice: &dyn Fn(String)) -> Result<(), String> {
        notice("preparing the crate that cells are compiled against; this happens once for each version of Rust and takes about half a minute".into());
        let begin = Instant::now();
        // The crates on this machine are enough when this program was built on it; else the network is used, once.
        let first = self.cargo(toolchain, true, notice);
        let built = if first.is_ok() { first } else { self.cargo(toolchain, false, notice) };
        built.map_err(|message| format!("the crate that cells are compiled against does not compile:\n{message}"))?;
        self.build_base(toolchain, notice)?;
        notice(format!("prepared in {:.0} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Builds the library that cells are linked against, from what was compiled for the seed.
    fn build_base(&self, toolchain: &Toolchain, notice: &dyn Fn(String)) -> Result<(), String> {
        let project = Project {
            dir: self.dir.join("base"),
            target_dir: self.seed().join("target"),
            krate: super::CRATE.into(),
            deps: self.base_deps(),
            lock: Some(self.lock()),
        };
        let built = project.build(toolchain, true, &Running::default(), notice)?;
        let linker = Linker::fastest(&built, toolchain, &project.dir);
        let built = Built { linker, ..built };
        let json = serde_json::to_string(&built).map_err(|error| error.to_string())?;
        fs::write(self.dir.join("base.json"), json).map_err(|error| error.to_string())
    }

    /// The crates that cells can use: name and Cargo requirement.
    pub fn base_deps(&self) -> Vec<(String, String)> {
        self.deps_with(&[])
    }

    /// The same with the crates that a person has added. With Arrow's among them, `mobula` knows Arrow's tables.
    pub fn deps_with(&self, added: &[(String, String)]) -> Vec<(String, String)> {
        let has_arrow = added.iter().any(|(name, _)| name == "arrow" || name.starts_with("arrow-"));
        let mut deps =
            vec![("mobula".to_owned(), self.mobula_dep(if has_arrow { &["arrow", "inline"] } else { &["inline"] }))];
        deps.extend(CELL_DEPS.map(|(name, requirement)| (name.to_owned(), requirement.to_owned())));
        deps.retain(|(known, _)| !added.iter().any(|(name, _)| name == known));
        deps.extend(added.to_owned());
        deps
    }

    /// The description of the library that cells are linked against, written when it was built.
    ///
    /// # Errors
    /// The cache has been damaged.
    pub fn built(&self) -> Result<Built, String> {
        let path = self.dir.join("base.json");
        let read = fs::read(&path).map_err(|error| error.to_string());
        read.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()))
            .map_err(|error| format!("{} is damaged ({error}); remove its folder", path.display()))
    }

    /// The result of checking this compiler, if it has been checked.
    pub fn trial(&self) -> Option<Result<(), String>> {
        serde_json::from_slice(&fs::read(self.dir.join("trial")).ok()?).ok()
    }

    /// Records that result. If it is not written, or only half of it, the next session checks again.
    pub fn set_trial(&self, outcome: &Result<(), String>) {
        let _ = fs::write(self.dir.join("trial"), serde_json::to_vec(outcome).unwrap_or_default());
    }

    fn cargo(&self, toolchain: &Toolchain, offline: bool, notice: &dyn Fn(String)) -> Result<(), String> {
        let target = self.seed().join("target");
        cargo::build(&self.seed(), &target, toolchain, offline, &[], &Running::default(), notice).map(drop)
    }

    /// Places the compiled dependencies into a session's folder, where evcxr's Cargo finds them.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn link_into(&self, dir: &Path) -> io::Result<()> {
        self.link_target(&dir.join("target"))?;
        fs::copy(self.lock(), dir.join("Cargo.lock")).map(drop)
    }

    /// The lock file of what was compiled.
    pub fn lock(&self) -> PathBuf {
        self.seed().join("Cargo.lock")
    }

    /// Places everything that was compiled, here or in earlier sessions, into a folder for Cargo to build in.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn link_target(&self, to: &Path) -> io::Result<()> {
        // A session may have compiled again what the seed has; what it kept belongs together, so it is first.
        self.kept().link_into(to)?;
        let seed = self.seed().join("target");
        let mut names = self.seed_files()?.into_keys().filter(|name| !link_tree::is_own(name));
        names.try_for_each(|name| link_tree::place(&name, &seed, to))
    }

    /// Keeps what Cargo has compiled in a session, for the next one. An error is ignored, because what is not kept is compiled again.
    pub fn keep(&self, target: &Path) {
        let _ = self.seed_files().and_then(|seed| self.kept().keep(target, &self.parts(), &seed));
    }

    /// Compares every byte in the cache with its checksum, after a failure that a damaged file would explain. A damaged part is not used
    /// again.
    pub fn damage(&self) -> Option<Damage> {
        if self.folder.as_ref().is_some_and(Folder::is_damaged) {
            return Some(Damage::Template);
        }
        self.kept().forget_if_damaged().then_some(Damage::Added)
    }

    fn kept(&self) -> Kept {
        Kept::new(self.dir.join("added"))
    }

    /// The folders in which Cargo keeps what it has compiled, for the target and for the machine that compiles.
    fn parts(&self) -> Vec<PathBuf> {
        let profiles = [PathBuf::from(&self.target).join("debug"), PathBuf::from("debug")];
        profiles.iter().flat_map(|profile| ["deps", ".fingerprint", "build"].map(|part| profile.join(part))).collect()
    }
}

fn key(files: &[EmbeddedFile], toolchain: &Toolchain) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.path.as_bytes());
        hash.update([0]);
        hash.update(file.content.as_bytes());
        hash.update([0]);
    }
    hash.update(toolchain.version.as_bytes());
    hash.update(EDITION.as_bytes());
    hash.update(cargo::OPT_LEVEL.as_bytes());
    for (name, requirement) in CELL_DEPS {
        hash.update(name.as_bytes());
        hash.update(requirement.as_bytes());
    }
    format!("{}-{}", env!("CARGO_PKG_VERSION"), &hex::encode(hash.finalize())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_or_another_compiler_has_another_key() {
        let toolchain = |version: &str| Toolchain { version: version.into(), ..Toolchain::default() };
        let one = [EmbeddedFile { path: "src/lib.rs", content: "1" }];
        let two = [EmbeddedFile { path: "src/lib.rs", content: "2" }];
        assert_ne!(key(&one, &toolchain("a")), key(&two, &toolchain("a")));
        assert_ne!(key(&one, &toolchain("a")), key(&one, &toolchain("b")));
        assert_eq!(key(&one, &toolchain("a")), key(&one, &toolchain("a")));
    }
}
