//! Reports of a notebook's run, for a program that waits for it: what has run, what runs, what the tests gave.
//!
//! The report, and the copy with outputs, are written after each cell. So a run that is cut off leaves what it has done.

use super::notebook::{CellRun, Notebook};
use super::outputs::Recorder;
use super::{RunOptions, Save, ScriptError, html};
use mobula_session::{CellId, WIDGET_STATES};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A notebook's run, so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The cells that have run, in order.
    pub cells: Vec<CellReport>,
    /// The cell that runs: its index among the code cells.
    pub running: Option<usize>,
    /// The `#[test]` functions, if they were run.
    pub tests: Vec<TestReport>,
}

/// What became of a cell of a notebook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellReport {
    /// Its index among the code cells.
    pub index: usize,
    /// How long it ran.
    pub seconds: f64,
    /// Whether it failed.
    pub has_failed: bool,
}

/// What became of a `#[test]` function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// Its name, with those of its modules. Empty if no test could be run.
    pub name: String,
    /// `None` if it was not run.
    pub has_failed: Option<bool>,
    /// What is said of a failure.
    pub why: String,
}

/// Keeps the report and the copy of a run.
pub(super) struct Keeper<'a> {
    pub notebook: &'a Notebook,
    pub recorder: &'a Mutex<Recorder>,
    pub options: &'a RunOptions,
    /// The cells that have run, without their outputs, because some may still come.
    pub runs: Vec<CellRun>,
    /// The states of widgets, as the notebook's metadata has them.
    pub widgets: &'a dyn Fn() -> Option<Value>,
    /// The run of `main` behind them. What it shows belongs to the last cell.
    pub behind: Option<CellId>,
    pub report: RunReport,
}

impl Keeper<'_> {
    /// The notebook's text with the outputs up to now, and with the states of its widgets.
    pub fn ran(&self) -> String {
        let runs = self.runs(Recorder::outputs);
        let mut widgets = (self.widgets)();
        let states = widgets.as_mut().and_then(|widgets| widgets[WIDGET_STATES]["state"].as_object_mut());
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        for (comm, widget) in states.into_iter().flatten() {
            if let Some(Value::Array(outputs)) = widget.pointer_mut("/state/outputs") {
                outputs.extend(recorder.taken_by(comm));
            }
        }
        self.notebook.with_outputs(&runs, widgets.as_ref())
    }

    /// The cells that have run, with their outputs up to now.
    fn runs(&self, outputs: fn(&Recorder, CellId) -> Value) -> Vec<CellRun> {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |run: &CellRun| CellRun { outputs: outputs(&recorder, CellId(run.execution_count)), ..*run };
        let mut runs: Vec<CellRun> = self.runs.iter().map(run).collect();
        if let (Some(last), Some(behind)) = (runs.last_mut(), self.behind)
            && let (Value::Array(shown), Value::Array(more)) = (&mut last.outputs, outputs(&recorder, behind))
        {
            shown.extend(more);
        }
        runs
    }

    /// Writes the copy and the report, as far as they are wanted.
    ///
    /// # Errors
    /// [`ScriptError::NotSaved`].
    pub fn write(&self) -> Result<(), ScriptError> {
        let write = |file: &Path, text: String| {
            fs::write(file, text).map_err(|source| ScriptError::NotSaved { file: file.to_owned(), source })
        };
        if let Save::To(copy) = &self.options.save {
            write(copy, self.ran())?;
        }
        self.options.report.as_ref().map_or(Ok(()), |file| write(file, serde_json::json!(self.report).to_string()))
    }

    /// Writes the page, if it is wanted.
    ///
    /// # Errors
    /// [`ScriptError::NotSaved`].
    pub fn write_page(&self) -> Result<(), ScriptError> {
        let Some(file) = &self.options.html else { return Ok(()) };
        let not_saved = |source| ScriptError::NotSaved { file: file.clone(), source };
        let ran = Notebook::parse(self.notebook.with_outputs(&self.runs(Recorder::all_outputs), None).into_bytes());
        let ran = ran.map_err(std::io::Error::other).map_err(not_saved)?;
        let title = if self.options.code.is_some() { "cell".into() } else { html::title(&self.options.file) };
        fs::write(file, html::page(&ran, &title)).map_err(not_saved)
    }

    /// The same while cells run, if somebody waits for the report.
    ///
    /// # Errors
    /// [`ScriptError::NotSaved`].
    pub fn write_so_far(&self) -> Result<(), ScriptError> {
        if self.options.report.is_some() { self.write() } else { Ok(()) }
    }
}

/// The report of a failed task in what stands on standard error: from its first line to the next task's.
fn said_of(task: &str, said: &str) -> String {
    let begins = format!("task `{task}` failed");
    let of_it = said.lines().skip_while(|line| !line.starts_with(&begins));
    let lines: Vec<&str> = of_it
        .enumerate()
        .take_while(|(at, line)| *at == 0 || !line.starts_with("task `"))
        .map(|(_, line)| line)
        .collect();
    lines.join("\n")
}

/// The results of tests, of which `:test` prints a line each; `said` is what stands on standard error beside it.
pub(super) fn tests(printed: &str, said: &str, has_failed: bool) -> Vec<TestReport> {
    let line = |line: &str| {
        let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
        let (word, why) = result.split_once(": ").unwrap_or((result, ""));
        let has_failed = match word {
            "ok" => Some(false),
            "FAILED" => Some(true),
            _ => None,
        };
        let told = if has_failed == Some(true) { said_of(name, said) } else { String::new() };
        let why = if told.is_empty() { why.trim().to_owned() } else { told };
        Some(TestReport { name: name.to_owned(), has_failed, why })
    };
    let tests: Vec<TestReport> = printed.lines().filter_map(line).collect();
    if tests.is_empty() && has_failed {
        return vec![TestReport { name: String::new(), has_failed: Some(true), why: said.trim().to_owned() }];
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_has_its_result_and_what_was_said_of_its_failure() {
        let printed = "test a ... ok\ntest m::b ... FAILED: task `m::b` failed: oops\ntest c ... FAILED: it did not panic\n\
                       test d ... ignored\ntest result: FAILED. 1 passed; 2 failed; 1 ignored\n";
        let said = "(a pid=1) hello\ntask `m::b` failed\n  caused by: oops\n    left: 1\ntask `x` failed\n";
        let of = |name: &str, has_failed, why: &str| TestReport { name: name.into(), has_failed, why: why.into() };
        assert_eq!(
            tests(printed, said, true),
            [
                of("a", Some(false), ""),
                of("m::b", Some(true), "task `m::b` failed\n  caused by: oops\n    left: 1"),
                of("c", Some(true), "it did not panic"),
                of("d", None, ""),
            ]
        );
        assert_eq!(tests("", "error[E0433]", true), [of("", Some(true), "error[E0433]")]);
    }
}
