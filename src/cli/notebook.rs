//! `mobula notebook [FILE]`: JupyterLab with this kernel.

use super::{BROKEN, WRONG, fail};
use anyhow::{Context, Result, anyhow};
use mobula_kernel::install::{self, Location};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The program that starts JupyterLab.
const LAB: &str = "jupyter-lab";

/// Installs the kernel, unless Jupyter finds it already, and becomes JupyterLab. A notebook that does not exist is made.
pub fn main(file: Option<&Path>) -> ExitCode {
    if !is_a_command(LAB) {
        let error = anyhow!("JupyterLab is not installed: `pip install jupyterlab` brings it");
        return fail(&error, BROKEN);
    }
    if let Err(error) = prepare(file) {
        return fail(&error, WRONG);
    }
    // Only returns if it fails.
    let error = Command::new(LAB).args(file).exec();
    fail(&anyhow::Error::from(error).context("JupyterLab cannot be started"), BROKEN)
}

fn prepare(file: Option<&Path>) -> Result<()> {
    let exe = std::env::current_exe().context("cannot find the path of this program")?;
    let options = |location| install::Options::new(location, &exe);
    let is_there = |location| install::is_installed(&options(location)).unwrap_or(false);
    if !is_there(Location::SysPrefix) && !is_there(Location::User) {
        let installed = install::install(&options(Location::User))?;
        println!("installed the kernel in {}", installed.dir.display());
    }
    match file.filter(|file| !file.exists()) {
        Some(file) => new_notebook(file),
        None => Ok(()),
    }
}

fn new_notebook(file: &Path) -> Result<()> {
    if file.extension().is_none_or(|end| end != "ipynb") {
        return Err(anyhow!("there is no file {}; one that ends with `.ipynb` is made", file.display()));
    }
    let text = serde_json::json!({
        "cells": [],
        "metadata": { "kernelspec": { "name": install::NAME_DEFAULT, "display_name": "Mobula (Rust)", "language": "rust" } },
        "nbformat": 4,
        "nbformat_minor": 5,
    });
    std::fs::write(file, format!("{text:#}\n")).with_context(|| format!("{} cannot be written", file.display()))
}

/// Whether a program of this name is found.
fn is_a_command(name: &str) -> bool {
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect());
    folders.iter().any(|folder| folder.join(name).is_file())
}
