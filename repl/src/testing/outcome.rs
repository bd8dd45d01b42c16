//! Judgement of a notebook that was run: each cell against what is stored in it.

use super::compare::{Outputs, difference};
use super::process::Ran;
use super::results::{CellResult, FileResult, Skip, Verdict};
use super::rules::Rules;
use crate::script::notebook::{CodeCell, Notebook};
use crate::script::{MUST_FAIL_TAGS, RunReport, TestReport, is_to_run};
use serde_json::Value;
use std::path::Path;

/// Compares a notebook with its copy, cell by cell.
///
/// `is_slow_run` says whether cells tagged `slow` were to be run.
pub fn judge(file: &Path, notebook: &Notebook, ran: &Ran, rules: &Rules, is_slow_run: bool) -> FileResult {
    let mut cells = Vec::new();
    let RunReport { cells: reports, running, tests } = &ran.report;
    // Who is told of a process that ended too early: the cell that ran, or else whatever came behind the last one.
    let behind = notebook.code_cells.len();
    let cut_off = ran.end.as_ref().map(|how| (running.unwrap_or(behind), Verdict::Ended { how: how.clone() }));
    for (index, cell) in notebook.code_cells.iter().enumerate().filter(|(_, cell)| !cell.source.trim().is_empty()) {
        let mut result = CellResult::of(index, cell.source.clone());
        if cell.has_tag("skip") || !is_to_run(cell) {
            result.verdict = Verdict::Skipped { why: Skip::Tagged };
        } else if let Some(report) = reports.iter().find(|report| report.index == index)
            && let Some(copy) = &ran.copy
        {
            let (_, new) = copy.stored(index);
            result.seconds = report.seconds;
            result.verdict = verdict(cell, report.has_failed, &notebook.stored(index), &new, rules);
            result.new = Some(new);
        } else if let Some((at, ended)) = &cut_off
            && *at == index
        {
            result.verdict = ended.clone();
        } else if cell.has_tag("slow") && !is_slow_run {
            result.verdict = Verdict::Skipped { why: Skip::Slow };
        }
        cells.push(result);
    }
    for TestReport { name, has_failed, why } in tests {
        let verdict = match has_failed {
            Some(true) => Verdict::Fails { how: format!("the test has failed\n{why}") },
            Some(false) => Verdict::Ran,
            None => Verdict::Skipped { why: Skip::Ignored },
        };
        let line = if name.is_empty() { "the `#[test]` functions".to_owned() } else { format!("test {name}") };
        cells.push(CellResult::beside(behind, &line, verdict));
    }
    if let Some((_, verdict)) = cut_off.filter(|_| !cells.iter().any(|cell| cell.verdict.is_end())) {
        let line = if reports.is_empty() { "its start" } else { "what came behind its cells" };
        cells.push(CellResult::beside(behind, line, verdict));
    }
    FileResult { file: file.to_owned(), cells, took: ran.took }
}

fn verdict(cell: &CodeCell, has_failed: bool, stored: &(Option<u64>, Value), new: &Value, rules: &Rules) -> Verdict {
    let must_fail = MUST_FAIL_TAGS.into_iter().find(|tag| cell.has_tag(tag));
    if let (Some(tag), false) = (must_fail, has_failed) {
        return Verdict::Fails { how: format!("it is tagged `{tag}` and did not fail") };
    }
    let (count, outputs) = stored;
    let (stored, new) = (Outputs::read(outputs, rules), Outputs::read(new, rules));
    let is_expected = must_fail.is_some() || stored.error.is_some();
    if let (Some(error), false) = (new.error.as_ref().filter(|_| has_failed), is_expected) {
        return Verdict::Fails { how: format!("it failed, and is not tagged `raises-error`\n{}", error.text()) };
    }
    // A cell that was never run has nothing to compare with.
    let was_run = count.is_some() || outputs.as_array().is_some_and(|outputs| !outputs.is_empty());
    if cell.has_tag("skip-output") || !was_run {
        return Verdict::Ran;
    }
    difference(&stored, &new).map_or(Verdict::Same, |difference| Verdict::Differs { difference })
}
