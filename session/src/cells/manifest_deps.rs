//! `:dep .`: the dependencies of the package in a folder, as Cargo reads its manifest.
//!
//! Cargo itself is asked (`cargo metadata`), which resolves what stands in a workspace, makes paths whole and needs no network for this.
//! Taken is what the package's own code is compiled with on every machine.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// The dependencies of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestDeps {
    /// Those that are taken: name and Cargo's requirement.
    pub taken: Vec<(String, String)>,
    /// What a person is told of them, and of those that are left out.
    pub told: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

/// A dependency, as Cargo tells of it (<https://doc.rust-lang.org/cargo/commands/cargo-metadata.html>).
#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    source: Option<String>,
    req: String,
    kind: Option<String>,
    optional: bool,
    uses_default_features: bool,
    features: Vec<String>,
    target: Option<String>,
    registry: Option<String>,
    path: Option<String>,
}

impl Dependency {
    /// The name that code calls it by.
    fn key(&self) -> &str {
        self.rename.as_deref().unwrap_or(&self.name)
    }

    /// Why it is left out, if it is.
    fn left_out(&self) -> Option<String> {
        match (self.kind.as_deref(), &self.target) {
            (Some("dev"), _) => Some("for tests".into()),
            (Some("build"), _) => Some("for the build script".into()),
            (_, Some(target)) => Some(format!("for `{target}` alone")),
            _ if self.optional => Some("optional".into()),
            _ if self.name == "mobula" => Some("cells have it already".into()),
            _ => None,
        }
    }

    /// As a manifest has it, on one line.
    fn requirement(&self) -> String {
        let mut table = Table::new();
        let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
        let text = |text: &str| Value::String(text.to_owned());
        let git = self.source.as_deref().and_then(|source| source.strip_prefix("git+"));
        match (&self.path, git) {
            (Some(path), _) => put("path", text(path)),
            (None, Some(git)) => {
                let (url, reference) = git.split_once('?').unwrap_or((git, ""));
                put("git", text(url));
                if let Some((key, value)) = reference.split_once('=') {
                    put(key, text(value));
                }
            }
            (None, None) => {}
        }
        if self.req != "*" || self.path.is_none() && git.is_none() {
            put("version", text(&self.req));
        }
        if let Some(registry) = &self.registry {
            put("registry-index", text(registry));
        }
        if let Some(name) = self.rename.as_ref().map(|_| &self.name) {
            put("package", text(name));
        }
        if !self.uses_default_features {
            put("default-features", Value::Boolean(false));
        }
        if !self.features.is_empty() {
            put("features", Value::Array(self.features.iter().map(|feature| text(feature)).collect()));
        }
        match table.get("version") {
            Some(version) if table.len() == 1 => version.to_string(),
            _ => Value::Table(table).to_string(),
        }
    }
}

/// Reads the manifest in `folder`.
///
/// # Errors
/// There is none, or Cargo cannot read it, or it is of a workspace alone; the error says so.
pub fn read(folder: &Path, cargo: &Path) -> Result<ManifestDeps, String> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(format!("there is no `Cargo.toml` in {}, where `:dep .` looks for one", folder.display()));
    }
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"]).arg(&manifest);
    let output = command.current_dir(folder).output().map_err(|error| format!("cargo could not be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: ").to_owned());
    }
    told(&String::from_utf8_lossy(&output.stdout), &manifest)
}

/// What Cargo's metadata say of the package with this manifest.
fn told(metadata: &str, manifest: &Path) -> Result<ManifestDeps, String> {
    let metadata: Metadata =
        serde_json::from_str(metadata).map_err(|error| format!("what cargo says of `Cargo.toml`: {error}"))?;
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let package = metadata.packages.into_iter().find(|package| whole(&package.manifest_path) == whole(manifest));
    let package = package.ok_or_else(|| {
        format!("{} is of a workspace and has no package; start the session in a member's folder", manifest.display())
    })?;
    let (left_out, kept): (Vec<_>, Vec<_>) =
        package.dependencies.iter().partition(|dependency| dependency.left_out().is_some());
    let taken: Vec<(String, String)> =
        kept.iter().map(|dependency| (dependency.key().to_owned(), dependency.requirement())).collect();
    let width = taken.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut told = match taken.len() {
        0 => "Cargo.toml has no dependencies that a cell could use\n".into(),
        _ => taken.iter().map(|(name, wanted)| format!("{name:<width$} = {wanted}\n")).collect::<String>(),
    };
    let why = |dependency: &&Dependency| {
        dependency.left_out().map(|why| format!("{} ({why})", dependency.key())).unwrap_or_default()
    };
    if !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().map(why).collect();
        told.push_str(&format!("left out: {}\n", names.join(", ")));
    }
    Ok(ManifestDeps { taken, told })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::toolchain::Toolchain;
    use std::fs;

    /// What is read of a package with these dependencies, beside a member `sub` of its workspace.
    fn of(manifest: &str) -> (tempfile::TempDir, Result<ManifestDeps, String>) {
        let folder = tempfile::tempdir().unwrap();
        let member = folder.path().join("sub");
        for src in [folder.path().join("src"), member.join("src")] {
            fs::create_dir_all(&src).unwrap();
            fs::write(src.join("lib.rs"), "").unwrap();
        }
        fs::write(member.join("Cargo.toml"), "[package]\nname = \"sub\"\nversion = \"0.1.0\"\n").unwrap();
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        let read = read(folder.path(), &Toolchain::find().unwrap().cargo);
        (folder, read)
    }

    const PACKAGE: &str = "[package]\nname = \"mine\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

    #[test]
    fn dependencies_of_all_kinds_of_sources_are_taken_with_their_features_and_whole_paths() {
        let (folder, read) = of(&format!(
            "{PACKAGE}[workspace]\n[workspace.dependencies]\nitoa = {{ version = \"1\", default-features = false }}\n\
             [dependencies]\nitoa.workspace = true\nr = {{ package = \"ryu\", version = \"1.0.5\" }}\n\
             serde = {{ version = \"1\", features = [\"derive\", \"rc\"] }}\nsub = {{ path = \"sub\" }}\n\
             git = {{ git = \"https://a.b/c\", branch = \"x/y\" }}\nplain = {{ git = \"https://a.b/d\" }}\nany = \"*\"\n"
        ));
        let read = read.unwrap();
        let sub = folder.path().join("sub");
        let wanted = [
            ("any", "\"*\"".to_owned()),
            ("git", "{ branch = \"x/y\", git = \"https://a.b/c\" }".to_owned()),
            ("itoa", "{ default-features = false, version = \"^1\" }".to_owned()),
            ("plain", "{ git = \"https://a.b/d\" }".to_owned()),
            ("r", "{ package = \"ryu\", version = \"^1.0.5\" }".to_owned()),
            ("serde", "{ features = [\"derive\", \"rc\"], version = \"^1\" }".to_owned()),
            ("sub", format!("{{ path = \"{}\" }}", sub.display())),
        ];
        let mut taken = read.taken;
        taken.sort();
        assert_eq!(taken, wanted.map(|(name, wanted)| (name.to_owned(), wanted)));
        assert!(read.told.contains("\nitoa  = { default-features = false"), "{}", read.told);
        assert!(!read.told.contains("left out"));
    }

    #[test]
    fn those_for_tests_builds_targets_and_choices_are_left_out_with_a_word() {
        let (_folder, read) = of(&format!(
            "{PACKAGE}[dependencies]\na = {{ version = \"1\", optional = true }}\nmobula = \"*\"\n[dev-dependencies]\nb = \"1\"\n\
             [build-dependencies]\nc = \"1\"\n[target.'cfg(windows)'.dependencies]\nd = \"1\"\n"
        ));
        let ManifestDeps { taken, told } = read.unwrap();
        assert_eq!(taken, []);
        assert!(told.starts_with("Cargo.toml has no dependencies that a cell could use\nleft out: "), "{told}");
        for word in [
            "a (optional)",
            "mobula (cells have it already)",
            "b (for tests)",
            "c (for the build script)",
            "d (for `cfg(windows)` alone)",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }

    #[test]
    fn what_is_no_package_is_refused_with_the_reason() {
        let nowhere = read("/nowhere".as_ref(), "cargo".as_ref()).unwrap_err();
        assert!(nowhere.starts_with("there is no `Cargo.toml` in /nowhere"), "{nowhere}");
        let workspace = of("[workspace]\nmembers = [\"sub\"]\nresolver = \"3\"\n").1.unwrap_err();
        assert!(workspace.contains("is of a workspace and has no package"), "{workspace}");
        let broken = of("[package\n").1.unwrap_err();
        assert!(broken.contains("Cargo.toml"), "{broken}");
    }
}
