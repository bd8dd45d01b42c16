//! The results: for a person, as JUnit's XML, as JSON.

use super::results::{CellResult, FileResult, Verdict};
use super::shown;
use crate::show::colour::{ColorChoice, GREEN, RED, paint};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::Duration;

/// How much of a difference is printed: lines, and characters of each.
const LINES_MAX: usize = 60;
const CHARS_MAX: usize = 240;

/// Prints what became of a file.
pub fn print(result: &FileResult, color: ColorChoice) {
    let on = color.is_on(std::io::stdout().is_terminal());
    let cells = result.cells.len();
    let word = match (result.has_failed(), result.is_mended()) {
        (false, _) => paint(on, GREEN, "ok"),
        (true, true) => paint(on, GREEN, "updated"),
        (true, false) => paint(on, RED, "failed"),
    };
    let noun = if cells == 1 { "cell" } else { "cells" };
    println!("{} … {word} ({cells} {noun}, {:.1} s)", shown(&result.file), result.took.as_secs_f64());
    for cell in result.cells.iter().filter(|cell| cell.verdict.is_failure()) {
        println!("\n  {}", name_of(cell));
        let (Verdict::Differs { difference: said } | Verdict::Fails { how: said } | Verdict::Ended { how: said }) =
            &cell.verdict
        else {
            continue;
        };
        let lines = said.lines().count();
        for line in said.lines().take(LINES_MAX) {
            let end = line.char_indices().nth(CHARS_MAX).map_or(line.len(), |(at, _)| at);
            println!("    {}{}", painted(on, &line[..end]), if end < line.len() { " …" } else { "" });
        }
        if lines > LINES_MAX {
            println!("    … and {} more lines", lines - LINES_MAX);
        }
        if cell.is_updated {
            println!("    the new output is stored");
        }
        println!();
    }
}

/// Prints what became of all.
pub fn print_sum(results: &[FileResult], has_updated: bool) {
    let cells: Vec<&CellResult> = results.iter().flat_map(|result| &result.cells).collect();
    let count = |is_so: &dyn Fn(&CellResult) -> bool| cells.iter().filter(|cell| is_so(cell)).count();
    let failed = count(&|cell| cell.verdict.is_failure());
    let skipped = count(&|cell| matches!(cell.verdict, Verdict::Skipped { .. }));
    let compared = count(&|cell| cell.verdict == Verdict::Same);
    let ran = count(&|cell| cell.verdict == Verdict::Ran);
    let mut said = format!(
        "{} {}, {} cells: {compared} as stored, {ran} only run, {skipped} left out, {failed} failed",
        results.len(),
        if results.len() == 1 { "file" } else { "files" },
        cells.len(),
    );
    let updated = count(&|cell| cell.is_updated);
    if has_updated {
        said.push_str(&format!(", {updated} updated"));
    }
    println!("{said}");
}

/// The results as JSON: a list of files.
pub fn json(results: &[FileResult]) -> Value {
    let file = |result: &FileResult| {
        json!({
            "file": result.file,
            "seconds": result.took.as_secs_f64(),
            "failed": result.has_failed(),
            "cells": result.cells,
        })
    };
    results.iter().map(file).collect()
}

/// The results as JUnit's XML: a suite for each file, a case for each cell.
///
/// # Errors
/// The XML's own; none is known.
pub fn junit(results: &[FileResult]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("mobula");
    for result in results {
        let name = shown(&result.file);
        let mut suite = TestSuite::new(name.as_str());
        suite.set_time(result.took);
        for cell in &result.cells {
            let failure = |message: &str, said: &str| {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(message).set_description(said);
                status
            };
            let status = match &cell.verdict {
                Verdict::Same | Verdict::Ran => TestCaseStatus::success(),
                Verdict::Skipped { why } => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(why.words());
                    status
                }
                Verdict::Differs { difference } => failure("its outputs differ from those that are stored", difference),
                Verdict::Fails { how } => failure(how.lines().next().unwrap_or_default(), how),
                Verdict::Ended { how } => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                    status.set_message("its process ended").set_description(how.as_str());
                    status
                }
            };
            let mut case = TestCase::new(name_of(cell), status);
            case.set_classname(name.as_str()).set_time(Duration::from_secs_f64(cell.seconds));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

/// A cell by its number and its first line, all else by its name.
fn name_of(cell: &CellResult) -> String {
    if cell.is_cell { format!("cell {}: {}", cell.cell, cell.line) } else { cell.line.clone() }
}

/// A line of a difference.
fn painted(on: bool, line: &str) -> String {
    match line.as_bytes() {
        [b'-', ..] => paint(on, RED, line),
        [b'+', ..] => paint(on, GREEN, line),
        _ => line.to_owned(),
    }
}
