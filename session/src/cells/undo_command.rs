//! `:undo`: takes back the last cells.
//!
//! ```text
//!   :undo       the last cell: variables, items, imports and references to objects are as they were before it
//!   :undo 3     the last three
//! ```
//!
//! What has left the session stays: output, files, what tasks have done, `kill` and `cancel`. Threads of cells end, as after a crash. Cells
//! that did not compile have changed nothing, and are not counted. The commands of a cell are not undone.

use super::Direct;
use super::commands::mistake;
use super::undo::Step;
use crate::event::{CellError, CellId, InputReader};
use std::num::NonZero;

impl Direct {
    /// Carries out `:undo`.
    pub(super) fn undo(&mut self, cell: CellId, argument: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        let wrong = |_| mistake(&format!("`{argument}` is no number of cells; write `:undo`, or `:undo 2`"));
        let count: usize = if argument.is_empty() { 1 } else { argument.parse().map(NonZero::get).map_err(wrong)? };
        let before = self.undo.step(count).map_err(|why| mistake(&why))?.cell;
        if let Some(checkpoint) = self.undo.checkpoint(count).filter(|before| Some(*before) != self.link.checkpoint()) {
            let lives = self.child.go_back(checkpoint);
            let record = self.link.end();
            // The rest of the cell is a run of its own.
            self.link.begin(cell, input.cloned());
            lives.map_err(|why| self.begin_anew(&record, &why))?;
            if let Some(death) = record.death.filter(|_| !record.undone) {
                return Err(mistake(&format!("the process that runs the cells {death} meanwhile: nothing was undone")));
            }
            if !record.undone {
                self.undo.lose(checkpoint);
                return Err(mistake(&format!(
                    "the copy of the process from before cell {before} does not answer: something has ended or stopped it"
                )));
            }
        }
        let mut cells = Vec::new();
        for Step { cell, state, run, .. } in self.undo.take(count).into_iter().rev() {
            self.state = state.with_numbers_of(&self.state);
            if let Some((origin, earlier)) = run {
                match earlier {
                    Some(earlier) => _ = self.runs.insert(origin, earlier),
                    None => _ = self.runs.remove(&origin),
                }
            }
            self.history.remove(cell);
            cells.push(cell.to_string());
        }
        let named = match &cells[..] {
            [one] => format!("cell {one}"),
            [last, others @ ..] => {
                let others: Vec<&str> = others.iter().rev().map(String::as_str).collect();
                format!("cells {} and {last}", others.join(", "))
            }
            [] => String::new(),
        };
        self.say(cell, &format!("undone: {named}; variables, items and imports are as they were before cell {before}"));
        Ok(())
    }
}
