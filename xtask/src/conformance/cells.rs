//! Examples as cells, many in one session of the real kernel (`tests/python/examples.py`).

use super::example::Example;
use super::reference::Outcome;
use super::split;
use crate::tree::Tree;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the cells of an example did.
#[derive(Debug)]
pub struct AsCells {
    pub cells: Vec<String>,
    pub outcome: Outcome,
    /// The error, as the session says it.
    pub says: String,
}

/// Runs them in `sessions` sessions, and returns what each did, in their order.
pub fn run(tree: &Tree, python: &Path, program: &Path, examples: &[&Example], sessions: usize) -> Result<Vec<AsCells>> {
    let share = examples.len().div_ceil(sessions).max(1);
    let parts = std::thread::scope(|scope| {
        let parts: Vec<_> = examples
            .chunks(share)
            .enumerate()
            .map(|(number, part)| scope.spawn(move || session(tree, python, program, part, number)))
            .collect();
        parts.into_iter().map(|part| part.join().expect("no session panics")).collect::<Result<Vec<_>>>()
    })?;
    Ok(parts.into_iter().flatten().collect())
}

fn session(tree: &Tree, python: &Path, program: &Path, examples: &[&Example], number: usize) -> Result<Vec<AsCells>> {
    let place = tree.target.join(format!("conformance/session-{}-{number}", std::process::id()));
    for name in ["home", "run", "tmp", "work"] {
        fs::create_dir_all(place.join(name))?;
    }
    let cells: Vec<Vec<String>> = examples.iter().map(|example| split::cells(&example.code)).collect();
    let mut command = Command::new(python);
    command.arg(tree.root.join("tests/python/examples.py")).arg(program).current_dir(place.join("work"));
    command.env("HOME", place.join("home")).env("TMPDIR", place.join("tmp")).env("XDG_RUNTIME_DIR", place.join("run"));
    command.env("XDG_CACHE_HOME", tree.target.join("tmp/cache")).env("PYTHONDONTWRITEBYTECODE", "1");
    let home = std::env::var_os("HOME").unwrap_or_default();
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        command.env(name, std::env::var_os(name).unwrap_or_else(|| Path::new(&home).join(folder).into()));
    }
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env(name, place.join("home"));
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start Python")?;
    let mut input = child.stdin.take().context("piped")?;
    let output = BufReader::new(child.stdout.take().context("piped")?);
    let lines: String = examples
        .iter()
        .zip(&cells)
        .map(|(example, cells)| json!({"name": example.name, "cells": cells}).to_string() + "\n")
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let mut done: HashMap<String, Value> = HashMap::new();
    for line in output.lines() {
        let result: Value = serde_json::from_str(&line?)?;
        let name = result["name"].as_str().context("a result has a name")?.to_owned();
        if done.len() % 100 == 99 {
            eprintln!("  {} of {}", done.len() + 1, examples.len());
        }
        done.insert(name, result);
    }
    // One that ended early closes the pipe; its exit code says more.
    let _ = writer.join();
    let status = child.wait()?;
    let _ = fs::remove_dir_all(&place);
    if !status.success() && done.len() < examples.len() {
        bail!("the session ended after {} of {} examples ({status})", done.len(), examples.len());
    }
    examples
        .iter()
        .zip(cells)
        .map(|(example, cells)| {
            Ok(judge(done.get(&example.name).with_context(|| format!("no result of {}", example.name))?, cells))
        })
        .collect()
}

fn judge(result: &Value, cells: Vec<String>) -> AsCells {
    let mut printed = String::new();
    let mut error = None;
    for cell in result["cells"].as_array().into_iter().flatten() {
        printed.push_str(cell["stdout"].as_str().unwrap_or_default());
        error = cell["error"].as_object().cloned().or(error);
    }
    let Some(error) = error else { return AsCells { cells, outcome: Outcome::Ran(printed), says: String::new() } };
    let word = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, says) = (word("name"), word("says"));
    let is_code = name.len() == 5 && name.starts_with('E') && name[1..].bytes().all(|byte| byte.is_ascii_digit());
    let outcome = match name.as_str() {
        "Panic" | "Error" => Outcome::Failed(printed),
        _ if is_code => Outcome::Refused(name.clone()),
        // A lint's name, or an error of the compiler without a code.
        _ => Outcome::Refused(name.clone()),
    };
    AsCells { cells, outcome, says: format!("{name}: {says}") }
}
