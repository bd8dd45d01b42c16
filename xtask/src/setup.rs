//! Setup of the tests: parts of the toolchain, Jupyter and Ray in Python virtual environments, and the sources of the crates that cells ask for.
//! Tests are cut off from the network.
//!
//! The environments are made once, in `target/python` and `target/ray`, and made anew when `tests/requirements.txt` or `tests/ray/requirements.txt`, the
//! interpreter or, for the first one, the description of our package for papermill (`python/`) changes. The package's modules are used where they lie.

use crate::shell;
use crate::tree::{self, Tree};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parts of the toolchain: the rustup component, where it lies below the toolchain's root, and what needs it.
const COMPONENTS: [(&str, &str, &str); 3] = [
    ("rust-src", "lib/rustlib/src/rust/library/std/Cargo.toml", "a session names the types of `let` variables with it"),
    ("rustfmt", "bin/cargo-fmt", "the format is checked"),
    ("clippy", "bin/cargo-clippy", "the lints are run"),
];

/// The Pythons of the tests.
pub struct Pythons {
    /// With Jupyter, its front ends and our package for papermill.
    pub jupyter: PathBuf,
    /// With Ray.
    pub ray: PathBuf,
}

/// Sets everything up.
pub fn run(tree: &Tree) -> Result<Pythons> {
    toolchain()?;
    crates(tree)?;
    let package = tree.root.join("python");
    let jupyter = Environment {
        name: "python",
        requirements: "tests/requirements.txt",
        package: Some(&package),
        imports: "mobula_papermill, jupyter_kernel_test",
    };
    let pythons = Pythons { jupyter: jupyter.python(tree)?, ray: ray(tree, Ray::Newest)? };
    eprintln!("ready: {} and {}", pythons.jupyter.display(), pythons.ray.display());
    Ok(pythons)
}

/// A version of Ray.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ray {
    /// The one of all tests.
    Newest,
    /// The oldest one that installs with today's Pythons and takes sessions. Only the long form of the tests asks for it.
    Oldest,
}

/// The Python with this Ray.
pub fn ray(tree: &Tree, which: Ray) -> Result<PathBuf> {
    let (name, requirements) = match which {
        Ray::Newest => ("ray", "tests/ray/requirements.txt"),
        Ray::Oldest => ("ray-oldest", "tests/ray/oldest.txt"),
    };
    Environment { name, requirements, package: None, imports: "ray" }.python(tree)
}

/// Adds the missing parts of the toolchain through rustup, or names the command where there is no rustup.
fn toolchain() -> Result<()> {
    let sysroot = sysroot()?;
    let missing: Vec<_> = COMPONENTS.iter().filter(|(_, file, _)| !sysroot.join(file).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" ");
    let reasons = missing.iter().map(|(name, _, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; ");
    shell::run(Command::new("rustup").args(["component", "add"]).args(missing.iter().map(|(name, ..)| name)))
        .with_context(|| {
            format!("the Rust toolchain lacks {names} ({reasons}); `rustup component add {names}` adds it")
        })
}

fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(shell::capture(Command::new("rustc").args(["--print", "sysroot"]))?.trim()))
}

/// Downloads, by lock file, what sessions of the tests compile without a network: all crates of the workspace, also those of other systems, which
/// cargo wants to see where it has to choose versions anew; those that tests ask for with `:dep`; and those of the standard library, without which evcxr
/// does not know the types of variables.
fn crates(tree: &Tree) -> Result<()> {
    let standard = sysroot()?.join("lib/rustlib/src/rust/library/Cargo.toml");
    for manifest in [tree.root.join("Cargo.toml"), tree.root.join("tests/crates/Cargo.toml"), standard] {
        let mut fetch = Command::new(tree::cargo());
        // The standard library's manifest has what only a nightly Cargo reads without being told to.
        fetch.args(["fetch", "--locked", "--manifest-path"]).arg(manifest).env("RUSTC_BOOTSTRAP", "1");
        shell::run(&mut fetch)
            .context("the crates of the tests could not be downloaded; that needs a way to crates.io, once")?;
    }
    Ok(())
}

/// A Python virtual environment in the target folder.
struct Environment<'a> {
    name: &'static str,
    /// Relative to the root.
    requirements: &'static str,
    /// A package of ours.
    package: Option<&'a Path>,
    /// The modules that show that it is whole.
    imports: &'static str,
}

impl Environment<'_> {
    /// Its Python; the environment is made if need be.
    fn python(&self, tree: &Tree) -> Result<PathBuf> {
        let folder = tree.target.join(self.name);
        let python = folder.join("bin/python");
        let requirements = tree.root.join(self.requirements);
        let wanted = self.wanted(&requirements)?;
        // Written last, so that an environment whose making was interrupted is not taken for a whole one.
        let mark = folder.join("requirements.installed");
        let same = fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted);
        if same && shell::works(Command::new(&python).args(["-c", &format!("import {}", self.imports)])) {
            return Ok(python);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove the old {}", folder.display()))?;
        }
        shell::run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(
            "the tests need Python 3 with its venv module; on Debian and Ubuntu `apt-get install python3 python3-venv` brings it",
        )?;
        let mut install = Command::new(&python);
        install
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements);
        if let Some(package) = self.package {
            install.arg("--editable").arg(package);
        }
        shell::run(&mut install).with_context(|| {
            format!("the packages of {} could not be installed; that needs a way to PyPI, once", self.requirements)
        })?;
        fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))?;
        Ok(python)
    }

    /// What it is made from, as text: the interpreter's version, the requirements, and where and what our package is.
    fn wanted(&self, requirements: &Path) -> Result<String> {
        if !shell::works(Command::new("python3").arg("--version")) {
            bail!(
                "the tests need Python 3, and `python3` is not there; on Debian and Ubuntu `apt-get install python3 python3-venv` brings it"
            );
        }
        let version = shell::capture(Command::new("python3").arg("--version"))?;
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let list = read(requirements)?;
        let Some(package) = self.package else { return Ok(version + &list) };
        let description = read(&package.join("pyproject.toml"))?;
        Ok(format!("{version}{list}{}\n{description}", package.display()))
    }
}
