//! Results of a test: of each file and of each of its cells.

use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How much of a cell's first line is shown, in characters.
const LINE_MAX: usize = 100;

/// A file that was tested.
#[derive(Clone, Debug, PartialEq)]
pub struct FileResult {
    pub file: PathBuf,
    pub cells: Vec<CellResult>,
    pub took: Duration,
}

/// A cell that was tested, or the whole of a script.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellResult {
    /// Its index among the code cells.
    #[serde(skip)]
    pub index: usize,
    /// The cell's number, from 1.
    pub cell: usize,
    /// Its first line; of what is no cell, its name.
    pub line: String,
    /// Whether it is a cell.
    #[serde(skip)]
    pub is_cell: bool,
    pub seconds: f64,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether the new outputs were stored.
    pub is_updated: bool,
    /// Its new outputs.
    #[serde(skip)]
    pub new: Option<Value>,
}

/// Whether a cell is as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Its outputs are those that are stored.
    Same,
    /// It ran, and nothing was compared.
    Ran,
    /// It was left out.
    Skipped {
        /// For this reason.
        why: Skip,
    },
    /// Its outputs are others.
    Differs {
        /// What differs.
        difference: String,
    },
    /// It has failed, and nothing says that it must; or it must, and has not.
    Fails {
        /// How.
        how: String,
    },
    /// The process ended before the cell did.
    Ended {
        /// How, and the last of what it said.
        how: String,
    },
}

/// Why a cell was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// It is tagged `skip` or `skip-execution`.
    #[serde(rename = "skip")]
    Tagged,
    /// It is tagged `slow`, and slow cells were not asked for.
    Slow,
    /// The test is `#[ignore]`d.
    Ignored,
    /// The run had ended before.
    NotReached,
}

impl Skip {
    /// The reason as a person reads it.
    pub fn words(self) -> &'static str {
        match self {
            Skip::Tagged => "it is tagged `skip`",
            Skip::Slow => "it is tagged `slow`, and runs with --slow",
            Skip::Ignored => "the test is ignored",
            Skip::NotReached => "the run ended before it",
        }
    }
}

impl Verdict {
    /// Whether the cell is not as it must be.
    pub fn is_failure(&self) -> bool {
        matches!(self, Verdict::Differs { .. } | Verdict::Fails { .. } | Verdict::Ended { .. })
    }

    /// Whether the process ended there.
    pub fn is_end(&self) -> bool {
        matches!(self, Verdict::Ended { .. })
    }
}

impl CellResult {
    /// A cell that was not reached, so far.
    pub fn of(index: usize, source: String) -> CellResult {
        let line: String = source.trim().lines().next().unwrap_or_default().chars().take(LINE_MAX).collect();
        let verdict = Verdict::Skipped { why: Skip::NotReached };
        CellResult { index, cell: index + 1, line, is_cell: true, seconds: 0.0, verdict, is_updated: false, new: None }
    }

    /// What is no cell: a test, a whole file; it comes behind so many cells.
    pub fn beside(cells: usize, name: &str, verdict: Verdict) -> CellResult {
        CellResult { verdict, is_cell: false, ..CellResult::of(cells, name.to_owned()) }
    }
}

impl FileResult {
    /// A file that cannot be tested.
    pub fn unreadable(file: PathBuf, error: &dyn std::error::Error) -> FileResult {
        let mut how = error.to_string();
        if let Some(source) = error.source() {
            how.push_str(&format!(": {source}"));
        }
        let whole = CellResult::beside(0, "all of it", Verdict::Ended { how });
        FileResult { file, cells: vec![whole], took: Duration::ZERO }
    }

    /// Whether a cell is not as it must be.
    pub fn has_failed(&self) -> bool {
        self.cells.iter().any(|cell| cell.verdict.is_failure())
    }

    /// Whether each cell that is not as it must be was updated.
    pub fn is_mended(&self) -> bool {
        self.cells.iter().all(|cell| !cell.verdict.is_failure() || cell.is_updated)
    }
}
