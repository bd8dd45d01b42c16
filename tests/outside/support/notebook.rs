//! A notebook that is made, run with `mobula run --save`, and read again.

use super::patience::Spawned;
use super::{Finished, Place};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// A notebook being written. A cell may hold `{here}`, which becomes the place's folder.
#[derive(Default)]
pub struct Notebook {
    cells: Vec<Value>,
}

impl Notebook {
    pub fn new() -> Notebook {
        Notebook::default()
    }

    /// Adds a cell that must work.
    pub fn cell(self, code: &str) -> Notebook {
        self.tagged(code, &[])
    }

    /// Adds a cell that must fail; the run goes on after it.
    pub fn failing(self, code: &str) -> Notebook {
        self.tagged(code, &["raises-error", "raises-exception"])
    }

    fn tagged(mut self, code: &str, tags: &[&str]) -> Notebook {
        self.cells.push(json!({
            "cell_type": "code", "id": format!("cell-{}", self.cells.len() + 1), "metadata": { "tags": tags },
            "execution_count": null, "source": code, "outputs": [],
        }));
        self
    }

    /// As it is stored.
    pub fn text(&self) -> String {
        json!({
            "cells": self.cells, "nbformat": 4, "nbformat_minor": 5,
            "metadata": {
                "kernelspec": { "name": "mobula", "display_name": "Mobula (Rust)", "language": "rust" },
                "language_info": { "name": "rust" },
            },
        })
        .to_string()
    }

    /// Runs it to its end. Panics with what was printed when a cell that must work failed.
    #[track_caller]
    pub fn run(self, place: &Place) -> Ran {
        self.start(place).finish()
    }

    /// Starts running it.
    #[track_caller]
    pub fn start(self, place: &Place) -> Running {
        self.start_as(place, "test.ipynb")
    }

    /// The same as a file of this name.
    pub fn start_as(self, place: &Place, name: &str) -> Running {
        let text = self.text().replace("{here}", &place.folder().display().to_string());
        let file = place.write(name, &text);
        let mut command = place.mobula();
        command.args(["run", "--save"]).arg(&file).stdin(std::process::Stdio::null());
        Running { program: Spawned::start(&mut command, place.folder()), file }
    }
}

/// A notebook under way.
pub struct Running {
    program: Spawned,
    file: PathBuf,
}

impl Running {
    /// Ends the front process as `kill -9` does.
    pub fn kill_front(&mut self) {
        self.program.child.kill().expect("the front process was alive");
        self.program.child.wait().expect("the front process was ours");
    }

    /// Waits for the end and reads the saved notebook.
    #[track_caller]
    pub fn finish(self) -> Ran {
        let Running { program, file } = self;
        let finished = program.finish().exits(0);
        let text = fs::read_to_string(&file).expect("the saved notebook");
        let notebook: Value = serde_json::from_str(&text).expect("the saved notebook is JSON");
        let cells = notebook["cells"].as_array().expect("cells").iter().cloned().map(Cell).collect();
        Ran { finished, cells }
    }
}

/// A notebook that was run.
pub struct Ran {
    pub finished: Finished,
    cells: Vec<Cell>,
}

impl Ran {
    /// What each cell shows.
    pub fn shown(&self) -> Vec<Vec<(String, String)>> {
        self.cells.iter().map(|cell| shown(&cell.0)).collect()
    }

    /// Cell number `n`, from 1.
    #[track_caller]
    pub fn cell(&self, n: usize) -> &Cell {
        self.cells.get(n - 1).unwrap_or_else(|| panic!("no cell {n} in\n{}", self.finished))
    }
}

/// A code cell with its outputs.
pub struct Cell(Value);

impl Cell {
    /// What it printed on both streams, and what its tasks printed.
    pub fn text(&self) -> String {
        self.outputs("stream").map(|output| joined(&output["text"])).collect()
    }

    /// The plain text of its value.
    #[track_caller]
    pub fn value(&self) -> String {
        self.value_as("text/plain")
    }

    /// Its value in one of its forms.
    #[track_caller]
    pub fn value_as(&self, mime: &str) -> String {
        let value = self.outputs("execute_result").next().map(|output| joined(&output["data"][mime]));
        value.unwrap_or_else(|| panic!("no value in {:#}", self.0))
    }

    /// The forms of each display and result, in order.
    pub fn data(&self) -> Vec<&Value> {
        self.0["outputs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|output| &output["data"])
            .filter(|data| !data.is_null())
            .collect()
    }

    /// How it failed: name, one line, and the whole report.
    #[track_caller]
    pub fn error(&self) -> (String, String, String) {
        let error = self.outputs("error").next().unwrap_or_else(|| panic!("no error in {:#}", self.0));
        let lines = error["traceback"].as_array().expect("a traceback").iter();
        let report = lines.map(|line| without_colours(line.as_str().unwrap_or_default())).collect::<Vec<_>>();
        (joined(&error["ename"]), joined(&error["evalue"]), report.join("\n"))
    }

    /// All that it shows, as one text.
    pub fn everything(&self) -> String {
        without_colours(&self.0["outputs"].to_string())
    }

    fn outputs(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0["outputs"].as_array().into_iter().flatten().filter(move |output| output["output_type"] == kind)
    }
}

/// A text of the notebook format: a string, or a list of lines.
pub fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

/// `text` without ANSI escape sequences of the form `ESC [ … letter`.
pub fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |clean, part| {
        clean + part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest)
    })
}

/// What a person reads of a cell: kind and text of each output, neighbours of one stream joined.
pub fn shown(cell: &Value) -> Vec<(String, String)> {
    let mut shown: Vec<(String, String)> = Vec::new();
    for output in cell["outputs"].as_array().into_iter().flatten() {
        let (kind, text) = match output["output_type"].as_str().unwrap_or_default() {
            "stream" => (joined(&output["name"]), joined(&output["text"])),
            "error" => ("error".into(), format!("{}: {}", joined(&output["ename"]), joined(&output["evalue"]))),
            kind => (kind.to_owned(), joined(&output["data"]["text/plain"])),
        };
        let text = steady(&without_colours(&text));
        match shown.last_mut() {
            Some((last, before)) if *last == kind && kind.starts_with("std") => before.push_str(&text),
            _ => shown.push((kind, text)),
        }
    }
    shown
}

/// `text` with process ids replaced, and the spaces that fill up to their width.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    let mut rest = text;
    let marks = ["pid=", "pid ", "worker "];
    while let Some(after) = marks.iter().filter_map(|mark| rest.find(mark).map(|at| at + mark.len())).min() {
        steady.push_str(&rest[..after]);
        let digits = rest[after..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - after);
        if digits > 0 {
            steady.push('N');
        }
        rest = &rest[after + digits..];
    }
    steady + rest
}
