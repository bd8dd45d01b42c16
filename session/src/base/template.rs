//! What every session's cells link, compiled once per (version of this crate, version of rustc) and kept in the cache folder.
//!
//! ```text
//! <cache>/mobula/<key>/crate/…   the embedded sources of `mobula`
//!                     /seed/…    a cell's crate as evcxr lays it out, with everything it depends on compiled
//!                     /base/…    the library that cells of the direct evaluator are linked against
//!                     /added/…   what `:dep` has compiled in some session, for the next that asks for it
//!                     /ready     the seed is complete
//!                     /trial     what came of trying this compiler: nothing, or what it does not say
//!                     /lock      held by the process that prepares
//! ```
//!
//! A session gets the compiled files as hard links, so it compiles no dependency and asks nobody for anything.

use super::tree::{self, link_tree};
use super::{Built, Linker, Project, cargo};
use crate::host::EmbeddedFile;
use crate::running::Running;
use crate::toolchain::Toolchain;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The crates that a cell can use without asking, beside `mobula`: name and Cargo requirement. They are dependencies of
/// `mobula`, so they cost nothing more.
pub const CELL_DEPS: [(&str, &str); 2] =
    [("serde", "{ version = \"1\", features = [\"derive\"] }"), ("ndarray", "\"0.17\"")];

/// Changes when something else is to be in a template that the same sources make.
const EDITION: &str = "generic functions shared, a linker chosen, pictures";

/// A template that no session has used for longer makes room.
const UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// What `:dep` has compiled is thrown away when it has become more than so much.
const ADDED_BYTES_MAX: u64 = 8 << 30;

/// The prepared files.
#[derive(Clone, Debug)]
pub struct Template {
    dir: PathBuf,
    target: String,
}

impl Template {
    /// Finds the template in the cache folder, or makes it, telling `notice` what it is doing. Two processes that need it at
    /// the same time make it once.
    ///
    /// # Errors
    /// A sentence: the cache folder cannot be written, or the compiler's own message.
    pub fn prepare(files: &[EmbeddedFile], toolchain: &Toolchain, notice: &dyn Fn(String)) -> Result<Template, String> {
        let cache = cache_dir()?;
        let dir = cache.join(key(files, toolchain));
        let template = Template { dir, target: toolchain.target().to_owned() };
        if template.is_ready() {
            template.mark_used();
            return Ok(template);
        }
        let dir = &template.dir;
        let explain = |error: io::Error| format!("the cache folder {} cannot be prepared: {error}", dir.display());
        fs::create_dir_all(dir).map_err(explain)?;
        let lock = fs::File::create(dir.join("lock")).map_err(explain)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| explain(error.into()))?;
        if !template.is_ready() {
            template.write_sources(files).map_err(explain)?;
            template.build(toolchain, notice)?;
            fs::write(dir.join("ready"), "").map_err(explain)?;
            remove_unused(&cache);
        }
        Ok(template)
    }

    fn mark_used(&self) {
        if let Ok(ready) = fs::File::options().write(true).open(self.dir.join("ready")) {
            let _ = ready.set_modified(SystemTime::now());
        }
    }

    fn is_ready(&self) -> bool {
        self.dir.join("ready").is_file()
    }

    /// Cargo's requirement for the crate `mobula`.
    pub fn mobula_dep(&self, features: &[&str]) -> String {
        let path = self.dir.join("crate");
        format!("{{ path = {:?}, default-features = false, features = {features:?} }}", path.to_string_lossy())
    }

    fn seed(&self) -> PathBuf {
        self.dir.join("seed")
    }

    fn write_sources(&self, files: &[EmbeddedFile]) -> io::Result<()> {
        let _ = fs::remove_file(self.dir.join("trial"));
        for half in ["crate", "seed", "base"] {
            match fs::remove_dir_all(self.dir.join(half)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
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
        // What the machine has already is enough when this program was built on it; else the network is asked, once.
        let first = self.cargo(toolchain, true, notice);
        let built = if first.is_ok() { first } else { self.cargo(toolchain, false, notice) };
        built.map_err(|message| format!("the crate that cells are compiled against does not compile:\n{message}"))?;
        self.build_base(toolchain, notice)?;
        notice(format!("prepared in {:.0} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    /// The library that cells are linked against, from what was compiled for the seed.
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

    /// What cells can use: name, and what Cargo is to be asked for.
    pub fn base_deps(&self) -> Vec<(String, String)> {
        self.deps_with(&[])
    }

    /// The same with crates that a person has added. With Arrow's among them, `mobula` knows its tables.
    pub fn deps_with(&self, added: &[(String, String)]) -> Vec<(String, String)> {
        let has_arrow = added.iter().any(|(name, _)| name == "arrow" || name.starts_with("arrow-"));
        let mut deps = vec![("mobula".to_owned(), self.mobula_dep(if has_arrow { &["arrow"] } else { &[] }))];
        deps.extend(CELL_DEPS.map(|(name, requirement)| (name.to_owned(), requirement.to_owned())));
        deps.retain(|(known, _)| !added.iter().any(|(name, _)| name == known));
        deps.extend(added.to_owned());
        deps
    }

    /// The library that cells are linked against, as it was written down when it was built.
    ///
    /// # Errors
    /// Somebody has damaged the cache.
    pub fn built(&self) -> Result<Built, String> {
        let path = self.dir.join("base.json");
        let read = fs::read(&path).map_err(|error| error.to_string());
        read.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()))
            .map_err(|error| format!("{} is damaged ({error}); remove its folder", path.display()))
    }

    /// What came of trying this compiler, if it has been tried.
    pub fn trial(&self) -> Option<Result<(), String>> {
        let text = fs::read_to_string(self.dir.join("trial")).ok()?;
        Some(if text.is_empty() { Ok(()) } else { Err(text) })
    }

    /// Notes what came of it. Where the cache cannot be written, the next session tries again.
    pub fn set_trial(&self, outcome: &Result<(), String>) {
        let _ = fs::write(self.dir.join("trial"), outcome.as_ref().err().map_or("", String::as_str));
    }

    fn cargo(&self, toolchain: &Toolchain, offline: bool, notice: &dyn Fn(String)) -> Result<(), String> {
        let target = self.seed().join("target");
        cargo::build(&self.seed(), &target, toolchain, offline, &[], &Running::default(), notice).map(drop)
    }

    /// Lays the compiled dependencies into a session's folder, where evcxr's cargo finds them.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn link_into(&self, dir: &Path) -> io::Result<()> {
        self.link_target(&dir.join("target"))?;
        self.restore_lock(dir)
    }

    /// The versions that were compiled.
    pub fn lock(&self) -> PathBuf {
        self.seed().join("Cargo.lock")
    }

    /// Lays everything that was compiled, here or in earlier sessions, into a folder for Cargo to build in.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn link_target(&self, to: &Path) -> io::Result<()> {
        for from in [self.seed().join("target"), self.added()] {
            self.parts().try_for_each(|part| link_tree(&from.join(&part), &to.join(&part)))?;
        }
        Ok(())
    }

    /// Keeps what Cargo has compiled in a session, so that the next one need not. What is not kept is compiled again, so nothing is
    /// said of a cache that cannot be written.
    pub fn keep(&self, target: &Path) {
        let added = self.added();
        if tree::bytes(&added) > ADDED_BYTES_MAX {
            let _ = fs::remove_dir_all(&added);
        }
        let _ = self.parts().try_for_each(|part| link_tree(&target.join(&part), &added.join(&part)));
    }

    fn added(&self) -> PathBuf {
        self.dir.join("added")
    }

    /// The folders in which Cargo keeps what it has compiled, for the target and for the machine that compiles.
    fn parts(&self) -> impl Iterator<Item = PathBuf> {
        let profiles = [PathBuf::from(&self.target).join("debug"), PathBuf::from("debug")];
        profiles.into_iter().flat_map(|profile| ["deps", ".fingerprint", "build"].map(|part| profile.join(part)))
    }

    /// Puts the lock file with the versions that were compiled into a session's folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn restore_lock(&self, dir: &Path) -> io::Result<()> {
        fs::copy(self.lock(), dir.join("Cargo.lock")).map(drop)
    }
}

/// Removes the templates of other versions that no session has used for long.
fn remove_unused(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let used = fs::metadata(entry.path().join("ready")).and_then(|ready| ready.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|unused| unused > UNUSED_MAX)) {
            let _ = fs::remove_dir_all(entry.path());
        }
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

/// Where crates are kept between sessions: `$XDG_CACHE_HOME/mobula`, or `~/.cache/mobula`.
///
/// # Errors
/// Neither variable is set, and the person has no home.
///
/// ```
/// assert!(mobula_session::cache_dir().unwrap().ends_with("mobula"));
/// ```
pub fn cache_dir() -> Result<PathBuf, String> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| crate::home().map(|home| home.join(".cache")))
        .ok_or("there is no cache folder: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("mobula"))
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
