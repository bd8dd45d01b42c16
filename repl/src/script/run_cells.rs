//! The run of a file's cells: in order, with tags, within a time, and with what is kept of it.

use super::load::Program;
use super::notebook::{CellRun, CodeCell};
use super::outputs::Recorder;
use super::report::{self, Keeper};
use super::{CellReport, MUST_FAIL_TAGS, RunOptions, RunReport, Save, ScriptError, save};
use crate::Ending;
use crate::runner::Runner;
use mobula_session::{CellError, CellId, Evaluator, Stream};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The exit code of a program whose `main` panics.
const PANICKED: u8 = 101;

/// The command that runs the tests of a session.
const RUN_TESTS: &str = ":test";

/// Runs the cells, and writes what is wanted of them.
pub(super) fn run<E: Evaluator + Clone>(
    runner: &Runner<E>,
    program: &Program,
    recorder: &Mutex<Recorder>,
    options: &RunOptions,
) -> Result<Ending, ScriptError> {
    let notebook = &program.notebook;
    let report = RunReport::default();
    let widgets = || runner.evaluator.widget_states();
    let mut keeper = Keeper { notebook, recorder, options, runs: Vec::new(), widgets: &widgets, behind: None, report };
    let mut ending = run_cells(runner, program, &mut keeper)?;
    if options.tests && !matches!(ending, Stopped::Early) && run_tests(runner, &mut keeper) {
        ending = Stopped::AtTheEnd { has_failed: true };
    }
    let ending = match (ending, program.main) {
        (Stopped::AtTheEnd { has_failed }, Some(main)) if !has_failed || options.keep_going => {
            begins(recorder, runner);
            let outcome = runner.run_program(main);
            keeper.behind = Some(outcome.cell);
            if let Err(error) = &outcome.result {
                record(recorder, outcome.cell, error);
            }
            match outcome.exit {
                // The low byte, as a shell sees it.
                Some(code) => Ending::Exited(code as u8),
                None if outcome.result.is_err() => Ending::Exited(PANICKED),
                None if has_failed => Ending::CellFailed,
                None => Ending::Done,
            }
        }
        (Stopped::AtTheEnd { has_failed: false }, _) => Ending::Done,
        (Stopped::AtTheEnd { has_failed: true } | Stopped::Early, _) => Ending::CellFailed,
    };
    if options.save == Save::Back {
        save(&options.file, &notebook.text(), &keeper.ran())?;
    }
    keeper.write()?;
    keeper.write_page()?;
    Ok(ending)
}

/// Where the cells have stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// At a cell that failed.
    Early,
    AtTheEnd {
        has_failed: bool,
    },
}

fn record(recorder: &Mutex<Recorder>, cell: CellId, error: &CellError) {
    recorder.lock().unwrap_or_else(PoisonError::into_inner).error(cell, error);
}

/// The next cell of the file begins.
fn begins<E: Evaluator + Clone>(recorder: &Mutex<Recorder>, runner: &Runner<E>) {
    recorder.lock().unwrap_or_else(PoisonError::into_inner).begins(runner.evaluator.next_cell());
}

/// Runs the cells that are to be run.
fn run_cells<E: Evaluator + Clone>(
    runner: &Runner<E>,
    program: &Program,
    keeper: &mut Keeper<'_>,
) -> Result<Stopped, ScriptError> {
    let Keeper { notebook, recorder, options, .. } = *keeper;
    let mut has_failed = false;
    let is_left_out = |cell: &CodeCell| options.left_out.iter().any(|tag| cell.has_tag(tag));
    let cells: Vec<(usize, &CodeCell)> =
        notebook.code_cells.iter().enumerate().filter(|(_, cell)| is_to_run(cell) && !is_left_out(cell)).collect();
    for (done, (index, cell)) in cells.iter().enumerate() {
        let first = cell.source.trim().lines().next().unwrap_or_default();
        if runner.screen.is_terminal() && program.lines.is_empty() {
            runner.screen.notice(&format!("[{}] {first}", runner.evaluator.next_cell()));
        }
        keeper.report.running = Some(*index);
        keeper.write_so_far()?;
        begins(recorder, runner);
        let begun = Instant::now();
        let (outcome, is_late) = runner.run_within(&cell.source, options.timeout);
        let (seconds, failed) = (begun.elapsed().as_secs_f64(), outcome.result.is_err());
        keeper.report.cells.push(CellReport { index: *index, seconds, has_failed: failed });
        keeper.runs.push(CellRun { index: *index, execution_count: outcome.cell.0, outputs: serde_json::Value::Null });
        if let Err(error) = &outcome.result {
            record(recorder, outcome.cell, error);
        }
        let must_fail = MUST_FAIL_TAGS.into_iter().find(|tag| cell.has_tag(tag));
        if failed == must_fail.is_some() && !is_late {
            continue;
        }
        if is_late {
            let limit = options.timeout.unwrap_or_default().as_secs_f64();
            runner
                .screen
                .notice(&format!("cell [{}] took longer than {limit} s and was interrupted: {first}", outcome.cell));
        } else if let Some(tag) = must_fail {
            runner.screen.notice(&format!("cell [{}] is tagged `{tag}` and did not fail", outcome.cell));
        }
        if let Some(line) = program.lines.get(*index).filter(|_| program.lines.len() > 1) {
            runner.screen.notice(&format!("the cell begins on line {line} of the file"));
        }
        has_failed = true;
        if options.keep_going {
            continue;
        }
        if let rest @ 1.. = cells.len() - done - 1 {
            let were = if rest == 1 { "cell was" } else { "cells were" };
            runner.screen.notice(&format!("{rest} more {were} not run"));
        }
        keeper.report.running = None;
        keeper.write_so_far()?;
        return Ok(Stopped::Early);
    }
    keeper.report.running = None;
    keeper.write_so_far()?;
    Ok(Stopped::AtTheEnd { has_failed })
}

/// Runs the `#[test]` functions. True if one fails.
fn run_tests<E: Evaluator + Clone>(runner: &Runner<E>, keeper: &mut Keeper<'_>) -> bool {
    let is_left_out = |cell: &CodeCell| keeper.options.left_out.iter().any(|tag| cell.has_tag(tag));
    let has_tests = |cell: &CodeCell| is_to_run(cell) && !is_left_out(cell) && cell.source.contains("#[test]");
    if !keeper.notebook.code_cells.iter().any(has_tests) {
        return false;
    }
    begins(keeper.recorder, runner);
    let outcome = runner.run(RUN_TESTS);
    let has_failed = outcome.result.is_err();
    if let Err(error) = &outcome.result {
        record(keeper.recorder, outcome.cell, error);
    }
    let recorded = keeper.recorder.lock().unwrap_or_else(PoisonError::into_inner);
    let said = recorded.text(outcome.cell, Stream::Stderr);
    let why = if said.is_empty() { outcome.result.err().map(|error| error.plain).unwrap_or_default() } else { said };
    keeper.report.tests = report::tests(&recorded.text(outcome.cell, Stream::Stdout), &why, has_failed);
    has_failed
}

/// Whether a cell is run at all.
pub(crate) fn is_to_run(cell: &CodeCell) -> bool {
    !cell.has_tag("skip-execution") && !cell.source.trim().is_empty()
}
