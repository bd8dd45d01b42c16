//! The Cargo project that builds the library that cells are linked against.

use super::base_source;
use super::cargo::{self, Line};
use super::{Built, LocalCrate};
use crate::base::compiler_process::Running;
use crate::base::toolchain::Toolchain;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its folder.
    pub dir: PathBuf,
    /// The folder that Cargo builds in.
    pub target_dir: PathBuf,
    /// The name of the library.
    pub krate: String,
    /// The crates that it contains: names and Cargo requirements.
    pub deps: Vec<(String, String)>,
    /// A lock file with the versions to keep.
    pub lock: Option<PathBuf>,
}

impl Project {
    /// Builds the library.
    ///
    /// # Errors
    /// What Cargo or the compiler said.
    pub fn build(
        &self,
        toolchain: &Toolchain,
        offline: bool,
        running: &Running,
        notice: &dyn Fn(String),
    ) -> Result<Built, String> {
        let build = |draws: bool, rpath: &[PathBuf]| {
            self.write(draws).map_err(|error| format!("{} cannot be written: {error}", self.dir.display()))?;
            cargo::build(&self.dir, &self.target_dir, toolchain, offline, rpath, running, notice)
        };
        let (draws, lines) = match build(true, &[]) {
            Err(error) if base_source::is_about_drawings(&error) => (false, build(false, &[])?),
            built => (true, built?),
        };
        let native = native_dirs(&lines);
        let lines = if native.is_empty() { lines } else { build(draws, &native)? };
        self.collect(&lines, toolchain)
    }

    fn collect(&self, lines: &[Line], toolchain: &Toolchain) -> Result<Built, String> {
        let built = lines.iter().filter(|line| line.reason == "compiler-artifact");
        let mut artifacts: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut library = None;
        for line in built {
            let Some(target) = &line.target else { continue };
            let is_proc_macro = target.kind.iter().any(|kind| kind == "proc-macro");
            let wanted = if is_proc_macro { "so" } else { "rlib" };
            if target.name == self.krate {
                library = line.filenames.iter().find(|file| file.extension().is_some_and(|end| end == "so")).cloned();
            } else if let Some(file) =
                line.filenames.iter().find(|file| file.extension().is_some_and(|end| end == wanted))
            {
                let package = package_name(&line.package_id).replace('-', "_");
                artifacts.entry(package).or_insert_with(|| file.clone());
                artifacts.entry(target.name.replace('-', "_")).or_insert_with(|| file.clone());
            }
        }
        let library = library.ok_or("cargo built no library for the cells")?;
        let mut externs = BTreeMap::new();
        for (name, requirement) in &self.deps {
            let package = renamed_package(requirement).unwrap_or(name).replace('-', "_");
            if let Some(file) = artifacts.get(&package) {
                externs.insert(name.replace('-', "_"), file.clone());
            }
        }
        let of = |profile: PathBuf| self.target_dir.join(profile).join("deps");
        let dirs = vec![of(PathBuf::from(toolchain.target()).join("debug")), of("debug".into())];
        let linked =
            lines.iter().flat_map(|line| &line.linked_libs).map(|lib| lib.rsplit(['=', ':']).next().unwrap_or(lib));
        let libraries = linked.map(str::to_owned).collect();
        let local = LocalCrate::all(lines, &self.krate);
        Ok(Built { library, externs, dirs, libraries, linker: None, local })
    }

    fn write(&self, draws: bool) -> std::io::Result<()> {
        fs::create_dir_all(self.dir.join("src"))?;
        for (name, text) in base_source::files(&self.deps, draws) {
            fs::write(self.dir.join("src").join(name), text)?;
        }
        fs::write(self.dir.join("Cargo.toml"), cargo::manifest(&self.krate, "dylib", &self.deps))?;
        match &self.lock {
            Some(lock) => fs::copy(lock, self.dir.join("Cargo.lock")).map(drop),
            None => Ok(()),
        }
    }
}

/// Folders of libraries that crates link and that the system's loader does not search.
fn native_dirs(lines: &[Line]) -> Vec<PathBuf> {
    let paths = lines.iter().flat_map(|line| &line.linked_paths);
    let mut dirs: Vec<PathBuf> =
        paths.map(|path| PathBuf::from(path.split_once('=').map_or(&**path, |(_, dir)| dir))).collect();
    let has_libraries = |dir: &PathBuf| {
        let mut files = fs::read_dir(dir).into_iter().flatten().flatten();
        files.any(|file| file.file_name().to_string_lossy().contains(".so"))
    };
    dirs.retain(has_libraries);
    dirs.sort();
    dirs.dedup();
    dirs
}

/// The name in a package id: `path+file:///x/crate#mobula@0.1.0`, `registry+…#serde@1.0.0`, `path+file:///x/name#1.0.0`.
fn package_name(id: &str) -> &str {
    let (path, name) = id.rsplit_once('#').unwrap_or(("", id));
    match name.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or(path),
    }
}

/// The value of `package = "…"` in a requirement.
fn renamed_package(requirement: &str) -> Option<&str> {
    let (_, rest) = requirement.split_once("package")?;
    rest.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_in_its_id() {
        assert_eq!(package_name("path+file:///a/crate#mobula@0.1.0"), "mobula");
        assert_eq!(package_name("path+file:///a/thing#1.0.0"), "thing");
    }

    #[test]
    fn a_dependency_may_have_another_name_than_its_package() {
        assert_eq!(renamed_package("{ package = \"serde_json\", version = \"1\" }"), Some("serde_json"));
        assert_eq!(renamed_package("\"1\""), None);
    }
}
