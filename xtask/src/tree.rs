//! The checkout and Cargo's target folder.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The source tree that this program is run for.
pub struct Tree {
    /// The checkout.
    pub root: PathBuf,
    /// Cargo's target folder, wherever `CARGO_TARGET_DIR` or a config file puts it.
    pub target: PathBuf,
}

impl Tree {
    /// Asks cargo, so that a target folder outside the checkout is found too.
    pub fn find() -> Result<Tree> {
        let metadata = metadata(Path::new("."))?;
        let folder = |name: &str| {
            metadata[name].as_str().map(PathBuf::from).with_context(|| format!("cargo metadata names no {name}"))
        };
        Ok(Tree { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// The binary that `cargo build --release` makes.
    pub fn mobula(&self) -> PathBuf {
        self.target.join("release/mobula")
    }

    /// Every file that is tracked, or would be with `git add .`, as a path relative to the root.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .context("cannot run `git ls-files`")?;
        if !listing.status.success() {
            bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&listing.stderr).trim());
        }
        let mut files: Vec<PathBuf> =
            String::from_utf8_lossy(&listing.stdout).split_terminator('\0').map(PathBuf::from).collect();
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// The cargo that runs this, else the one on the path.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// What cargo knows of the workspace's own packages.
pub fn metadata(root: &Path) -> Result<serde_json::Value> {
    let answer = Command::new(cargo())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run `cargo metadata`")?;
    if !answer.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    serde_json::from_slice(&answer.stdout).context("`cargo metadata` printed something else than JSON")
}
