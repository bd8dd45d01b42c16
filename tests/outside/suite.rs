//! The cell suite: some hundred cells with the output that each must have, run at every face of the program and with both evaluators.
//!
//! ```text
//! > let x = 1;        a cell begins          = text      a line that it shows, printed or as its value
//! . x + 1             its next line          ! E0308: …  it fails: the kind (several, with |) and a part of the line that says it
//!                                            ~ why       evcxr answers otherwise; what it answers is not compared
//! # …                 a comment            ?            it is not typed at a terminal, which waits for more or takes it otherwise
//! ```

use crate::support::{Jupyter, Notebook, Place, Terminal, finish, shown};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Files of cells. Each is a session of its own.
#[rustfmt::skip] // A line each, so that two can be added at once.
const FILES: &[&str] = &[
    "variables",
    "items",
    "redefine",
    "store",
    "errors",
    "shows",
    "last",
    "tasks",
    "actors",
    "state",
    "modes",
    "deaths",
    "commands",
    "statements",
    "foreign",
    "files",
];
/// Those that evcxr has other answers to throughout: other commands, statics that begin anew, no value shown last, variables that borrow.
#[rustfmt::skip]
const OURS: &[&str] = &[
    "redefine",
    "store",
    "actors",
    "state",
    "modes",
    "deaths",
    "commands",
    "last",
    "statements",
    "foreign",
    "files",
];

/// Those that say what tasks, actors and objects are: the contract, also on a runtime that the session has joined.
const CONTRACT: [&str; 4] = ["errors", "tasks", "actors", "deaths"];

/// One cell and what is expected of it.
#[derive(Debug, Default)]
struct Expected {
    code: String,
    shows: Vec<String>,
    fails: Option<String>,
    differs: bool,
    is_left_out_at_a_terminal: bool,
}

impl Expected {
    /// What is wrong with what it showed.
    fn judge(&self, shown: &[(String, String)]) -> Result<(), String> {
        let (mut text, mut error) = (String::new(), None);
        let mut is_whole = false;
        for (kind, part) in shown {
            if kind == "error" {
                error = Some(part.as_str());
                continue;
            }
            // A value begins and ends a line of its own.
            let is_value = !kind.starts_with("std");
            if !text.is_empty() && !text.ends_with('\n') && (is_value || is_whole) {
                text.push('\n');
            }
            text.push_str(part);
            is_whole = is_value;
        }
        let wanted = self.shows.join("\n");
        if text.trim_end_matches('\n') != wanted {
            return Err(format!("shows {text:?} instead of {wanted:?}"));
        }
        match (&self.fails, error) {
            (None, None) => Ok(()),
            (None, Some(error)) => Err(format!("fails: {error}")),
            (Some(wanted), None) => Err(format!("does not fail; expected was {wanted}")),
            (Some(wanted), Some(error)) if is_error(wanted, error) => Ok(()),
            (Some(wanted), Some(error)) => Err(format!("fails with {error:?} instead of {wanted:?}")),
        }
    }
}

fn is_error(wanted: &str, error: &str) -> bool {
    let (kinds, says) = wanted.split_once(':').unwrap_or((wanted, ""));
    let is_kind = kinds.trim().is_empty() || kinds.split('|').any(|kind| error.starts_with(kind.trim()));
    is_kind && error.contains(says.trim())
}

fn suite(file: &str) -> Vec<Expected> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/suite").join(format!("{file}.cells"));
    let mut cells: Vec<Expected> = Vec::new();
    for line in fs::read_to_string(path).expect("the suite").lines() {
        let (mark, text) = line.split_at(line.len().min(1));
        let text = text.strip_prefix(' ').unwrap_or(text);
        if mark == ">" {
            cells.push(Expected { code: text.to_owned(), ..Expected::default() });
            continue;
        }
        let Some(cell) = cells.last_mut() else { continue };
        match mark {
            "." => cell.code.extend(["\n", text]),
            "=" => cell.shows.push(text.to_owned()),
            "!" => cell.fails = Some(text.to_owned()),
            "~" => cell.differs = true,
            "?" => cell.is_left_out_at_a_terminal = true,
            "#" | "" => {}
            _ => panic!("{file}: {line:?}"),
        }
    }
    cells
}

fn notebook(cells: &[Expected]) -> Notebook {
    let add = |notebook: Notebook, cell: &Expected| match cell.fails {
        Some(_) => notebook.failing(&cell.code),
        None => notebook.cell(&cell.code),
    };
    cells.iter().fold(Notebook::new(), add)
}

/// What each cell of an executed notebook shows.
fn shown_by_all(notebook: &str) -> Vec<Vec<(String, String)>> {
    let notebook: Value = serde_json::from_str(notebook).expect("a notebook is JSON");
    notebook["cells"].as_array().expect("cells").iter().map(shown).collect()
}

#[track_caller]
fn compare(file: &str, cells: &[Expected], shown: &[Vec<(String, String)>], is_compared: impl Fn(&Expected) -> bool) {
    assert_eq!(cells.len(), shown.len());
    let mut wrong = String::new();
    for (number, (cell, shown)) in cells.iter().zip(shown).enumerate().filter(|(_, (cell, _))| is_compared(cell)) {
        if let Err(what) = cell.judge(shown) {
            wrong.push_str(&format!("{file}, cell {}:\n{}\n{what}\n\n", number + 1, cell.code));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_suite_has_some_hundred_cells() {
    assert!(FILES.iter().map(|file| suite(file).len()).sum::<usize>() >= 200);
}

#[test]
fn every_cell_shows_what_it_must_in_a_script_and_in_jupyter_alike() {
    for file in FILES {
        let place = Place::new();
        let cells = suite(file);
        let ran = notebook(&cells).run(&place);
        let script = ran.shown();
        compare(file, &cells, &script, |_| true);
        let jupyter = Jupyter::with_kernel(place);
        let (copy, executed) = (jupyter.write("suite.ipynb", &notebook(&cells).text()), jupyter.path("executed.ipynb"));
        jupyter.run("execute.py", &[copy.to_str().expect("UTF-8"), &executed]);
        assert_eq!(shown_by_all(&fs::read_to_string(executed).expect("the executed copy")), script, "{file}");
    }
}

/// The cells of the contract, as scripts in places as they are made for this thread.
pub fn the_contract_holds_in_scripts() {
    for file in CONTRACT {
        let place = Place::new();
        let cells = suite(file);
        compare(file, &cells, &notebook(&cells).run(&place).shown(), |_| true);
        place.leaves_nothing();
    }
}

#[test]
fn every_cell_shows_what_it_must_at_a_terminal() {
    for file in FILES {
        let place = Place::new();
        let mut terminal = Terminal::open(&place);
        terminal.is_asked_for_cell(1);
        for (number, cell) in suite(file).iter().filter(|cell| !cell.is_left_out_at_a_terminal).enumerate() {
            terminal.pastes(&cell.code).types("");
            let says =
                cell.fails.as_deref().and_then(|fails| fails.split_once(':')).map_or("", |(_, says)| says.trim());
            for line in cell.shows.iter().map(|line| line.trim_end()).chain([says]).filter(|line| !line.is_empty()) {
                terminal.sees(line);
            }
            terminal.is_asked_for_cell(number as u32 + 2);
        }
        terminal.presses_ctrl_d();
        terminal.closes();
        place.leaves_nothing();
    }
}

#[test]
fn evcxr_shows_the_same() {
    for file in FILES.iter().filter(|file| !OURS.contains(file)) {
        let place = Place::new();
        let cells = suite(file);
        // A cell that fails here and not there would end a script, so all of it is run as cells that may fail.
        let jupyter = Jupyter::with_kernel(place);
        let (copy, executed) = (jupyter.write("suite.ipynb", &notebook(&cells).text()), jupyter.path("executed.ipynb"));
        let mut command = jupyter.script("execute.py");
        command.args(["--go-on", copy.to_str().expect("UTF-8"), &executed]).env("MOBULA_EVALUATOR", "evcxr");
        finish(&mut command).exits(0);
        let shown = shown_by_all(&fs::read_to_string(executed).expect("the executed copy"));
        compare(file, &cells, &shown, |cell| !cell.differs);
    }
}
