//! The way back from a line of generated code to the line that a person typed.
//!
//! evcxr puts a cell's statements and the items of all earlier cells, each as it was typed, into one generated file. So a line of that file
//! that equals a line of a cell came from there. Of several equal lines, the one whose neighbouring lines agree longest is taken, and of
//! these the newest.

use super::frames;
use super::source_map::{Edited, Places};
use crate::event::CellId;
use crate::reports::record::Panic;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// evcxr's name for the file that it generates; files of libraries have longer names.
const GENERATED: &str = "src/lib.rs";

/// How many texts of one cell are kept: its statements, its items.
const TEXTS_MAX: usize = 4;

/// A place in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The cell.
    pub cell: CellId,
    /// Line in the cell, from 1.
    pub line: u32,
    /// Column in the line, in characters from 1.
    pub column: u32,
    /// The line itself.
    pub text: String,
}

/// The cells of a session, and the texts that were compiled from them.
#[derive(Debug, Default)]
pub struct Sources {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The file that evcxr generates anew for each cell.
    generated: Option<std::path::PathBuf>,
    /// The source of each library, by the library's path.
    libraries: HashMap<String, String>,
    /// The source maps of the texts that the compiler was given, by cell.
    texts: HashMap<u64, Vec<Places>>,
    /// Cells in order.
    cells: Vec<(CellId, String)>,
}

impl Sources {
    /// Sets the file that evcxr generates.
    pub fn set_generated(&self, file: std::path::PathBuf) {
        self.lock().generated = Some(file);
    }

    /// Adds a cell that is about to be compiled.
    pub fn add_cell(&self, cell: CellId, code: &str) {
        self.lock().cells.push((cell, code.to_owned()));
    }

    /// The code of a cell; empty for an unknown one.
    pub fn code(&self, cell: CellId) -> String {
        let inner = self.lock();
        inner.cells.iter().find(|(known, _)| *known == cell).map(|(_, code)| code.clone()).unwrap_or_default()
    }

    /// Adds a text that was made from a cell's code for the compiler, which calls it `cell N`.
    pub fn add_text(&self, text: Edited) {
        let mut inner = self.lock();
        let texts = inner.texts.entry(text.cell).or_default();
        // The newest of each kind is enough: all have the lines of the cell.
        texts.push(text.places());
        if texts.len() > TEXTS_MAX {
            texts.remove(0);
        }
    }

    /// Notes that a library was compiled from the generated file as it is now.
    pub fn remember(&self, library: &str) {
        let mut inner = self.lock();
        if let Some(source) = inner.generated.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) {
            inner.libraries.insert(library.to_owned(), source);
        }
    }

    /// The place in a cell where a panic happened; `None` when that was not in a cell.
    pub fn find_panic(&self, library: Option<&str>, panic: &Panic) -> Option<Found> {
        self.find_in(library, &panic.file, panic.line, panic.column)
    }

    /// The places in cells on a crash's stack, innermost first, each once.
    pub fn find_crash(&self, frames: &[(String, u64)]) -> Vec<Found> {
        // A recursion has one frame many times, and each look-up reads the library.
        let each_once = frames.chunk_by(|a, b| a == b).filter_map(|same| same.first());
        let mut places: Vec<Found> = each_once
            .filter_map(|(library, offset)| frames::place(library, *offset))
            .filter_map(|(file, line, column)| self.find_in(None, &file, line, column))
            .collect();
        places.dedup();
        places
    }

    /// The callers of what panicked, as lines to read: `cell 3:2:5 in deep`. Equal neighbours become one line.
    pub fn callers(&self, panic: &Panic) -> Vec<String> {
        let mut lines: Vec<(String, usize)> = Vec::new();
        for (name, place) in &panic.frames {
            let mut parts = place.rsplitn(3, ':');
            let (column, line, file) = (parts.next(), parts.next(), parts.next());
            let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
            let Some(found) = self.find_in(None, file.unwrap_or_default(), number(line), number(column)) else {
                continue;
            };
            let within = if name.is_empty() { String::new() } else { format!(" in {name}") };
            let line = format!("cell {}:{}:{}{within}", found.cell, found.line, found.column);
            match lines.last_mut() {
                Some((last, times)) if *last == line => *times += 1,
                _ => lines.push((line, 1)),
            }
        }
        let told = |(line, times): (String, usize)| if times > 1 { format!("{line} ({times} times)") } else { line };
        lines.into_iter().map(told).collect()
    }

    /// The place in a cell for a place in `file`, which is how the compiler of `library` called it.
    pub fn find_in(&self, library: Option<&str>, file: &str, line: u32, column: u32) -> Option<Found> {
        let inner = self.lock();
        if let Some(cell) = file.strip_prefix("cell ").and_then(|number| number.parse().ok()) {
            let texts = inner.texts.get(&cell)?;
            let (line, column, text) = texts.iter().rev().find_map(|text| text.locate(line, column))?;
            return Some(Found { cell: CellId(cell), line, column, text });
        }
        if file != GENERATED {
            return None;
        }
        let generated: Vec<&str> = inner.libraries.get(library?)?.lines().collect();
        find(&generated, &inner.cells, line, column)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn find(generated: &[&str], cells: &[(CellId, String)], line: u32, column: u32) -> Option<Found> {
    let at = (line as usize).checked_sub(1)?;
    let wanted = generated.get(at)?.trim();
    if wanted.is_empty() {
        return None;
    }
    let mut best: Option<(usize, Found)> = None;
    for (cell, code) in cells.iter().rev() {
        let lines: Vec<&str> = code.lines().collect();
        for (number, text) in lines.iter().enumerate() {
            let Some(shift) = offset(text, generated[at]) else { continue };
            let agreeing = agreement(generated, at, &lines, number);
            if best.as_ref().is_none_or(|(most, _)| agreeing > *most) {
                let column = (column as i64 + shift).max(1) as u32;
                let found = Found { cell: *cell, line: number as u32 + 1, column, text: (*text).to_owned() };
                best = Some((agreeing, found));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// By how many characters the typed line is shifted against the generated one, if the generated line is the typed one or a statement on it.
fn offset(typed: &str, generated: &str) -> Option<i64> {
    let wanted = generated.trim();
    let in_typed = typed.find(wanted)?;
    let in_generated = generated.len() - generated.trim_start().len();
    let whole = typed.trim() == wanted;
    let enough = wanted.chars().filter(|c| c.is_alphanumeric()).count() >= 3;
    (whole || enough)
        .then(|| typed[..in_typed].chars().count() as i64 - generated[..in_generated].chars().count() as i64)
}

/// How many lines in a row, around the two given ones, are the same in both.
fn agreement(generated: &[&str], at: usize, typed: &[&str], number: usize) -> usize {
    let same = |(a, b): &(&&str, &&str)| a.trim() == b.trim();
    let before = generated[..at].iter().rev().zip(typed[..number].iter().rev()).take_while(same).count();
    let after = generated[at + 1..].iter().zip(typed[number + 1..].iter()).take_while(same).count();
    let itself = usize::from(generated[at].trim() == typed[number].trim());
    before + after + itself
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(codes: &[&str]) -> Vec<(CellId, String)> {
        codes.iter().enumerate().map(|(at, code)| (CellId(at as u64 + 1), (*code).to_owned())).collect()
    }

    fn place(found: Option<Found>) -> Option<(u64, u32, u32)> {
        found.map(|found| (found.cell.0, found.line, found.column))
    }

    #[test]
    fn a_line_of_an_earlier_cell_is_found_in_that_cell() {
        let cells = cells(&["fn half(n: u32) -> u32 {\n    assert!(n % 2 == 0);\n    n / 2\n}", "half(3)"]);
        let generated = ["#![allow(x)]", "fn half(n: u32) -> u32 {", "    assert!(n % 2 == 0);", "    n / 2", "}"];
        assert_eq!(place(find(&generated, &cells, 3, 5)), Some((1, 2, 5)));
    }

    #[test]
    fn of_equal_lines_the_one_with_agreeing_neighbours_is_meant() {
        let cells = cells(&["fn a() {\n    panic!()\n}", "fn b() {\n    panic!()\n}"]);
        let generated = ["fn a() {", "    panic!()", "}", "fn b() {", "    panic!()", "}"];
        assert_eq!(place(find(&generated, &cells, 2, 5)), Some((1, 2, 5)));
        assert_eq!(place(find(&generated, &cells, 5, 5)), Some((2, 2, 5)));
    }

    #[test]
    fn of_equal_cells_the_newest_is_meant() {
        let cells = cells(&["panic!(\"x\");", "panic!(\"x\");"]);
        assert_eq!(place(find(&["panic!(\"x\");"], &cells, 1, 1)), Some((2, 1, 1)));
    }

    #[test]
    fn the_second_statement_of_a_line_keeps_its_column() {
        let cells = cells(&["let a = 1; panic!(\"{a}\");"]);
        assert_eq!(place(find(&["let a = 1;", "panic!(\"{a}\");"], &cells, 2, 1)), Some((1, 1, 12)));
    }

    #[test]
    fn generated_code_is_found_nowhere() {
        assert_eq!(find(&["let x = evcxr_variable_store;"], &cells(&["1 + 1"]), 1, 1), None);
        assert_eq!(find(&[], &cells(&["1 + 1"]), 7, 1), None);
    }
}
