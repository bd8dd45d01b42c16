//! `:load`: runs the cells of a file, one after the other, as if they were typed.
//!
//! ```text
//!   cell 4   :load tour.rs ─┬─ cell 5   the first cell of the file      numbers, output, `:timing`, `:save`:
//!                           ├─ cell 6   the second                      as those of any cell
//!            twice(a)       └─ …        up to the first that fails
//! ```
//!
//! They run inside the cell that loads them: the rest of that cell comes after them and has what they define, its front end waits for one
//! cell, and what they show belongs there ([`crate::Event`]s have their own numbers, which are higher than those of the cells given
//! before). A queue of the front end's would have to be made for each of them, and would run them behind the rest.

use super::Direct;
use super::commands::mistake;
use crate::event::{CellError, CellId, CellRequest, Event, InputReader, Stream};
use crate::home::path_from;
use crate::host::FileCell;
use crate::reports::report::not_compiled;
use std::sync::atomic::Ordering;

impl Direct {
    /// Carries out `:load`.
    pub(super) fn load(&mut self, cell: CellId, name: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        if self.is_trial {
            return Err(mistake("`:try` cannot take back the cells of a file: `:load` stands in a cell without it"));
        }
        let name = name.trim_matches('"');
        let path = path_from(&self.folder, name);
        let file = path.canonicalize().unwrap_or_else(|_| path.clone());
        if self.loading.contains(&file) {
            return Err(mistake(&format!("`{name}` is being loaded already: it would load itself for ever")));
        }
        let cells = self.host.cell_files().cells(&path).map_err(|error| mistake(&error))?;
        let earlier = self.earlier.take();
        self.loading.push(file);
        let result = self.run_all(name, &cells, input);
        self.loading.pop();
        self.earlier = earlier;
        // The rest of the cell is a run of its own.
        self.link.begin(cell, input.cloned());
        result
    }

    /// Runs the cells of a file up to the first that fails.
    fn run_all(&mut self, file: &str, cells: &[FileCell], input: Option<&InputReader>) -> Result<(), CellError> {
        for (done, part) in cells.iter().enumerate() {
            let result = match self.running.is_stopped() {
                true => Err(not_compiled()),
                false => self.run_one(part, input),
            };
            if let Err(mut error) = result {
                let left = match cells.len() - done - 1 {
                    0 => String::new(),
                    1 => "; 1 more cell was not run".into(),
                    left => format!("; {left} more cells were not run"),
                };
                let place = format!("\nin {file}, {}{left}", part.place);
                error.plain.push_str(&place);
                error.ansi.push_str(&place);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Runs a cell of a file with a number of its own.
    fn run_one(&mut self, part: &FileCell, input: Option<&InputReader>) -> Result<(), CellError> {
        let cell = CellId(self.next.fetch_add(1, Ordering::Relaxed));
        self.watch.cell_began(cell);
        self.host.cell_began(cell, &part.code);
        let request = CellRequest { input: input.cloned(), ..CellRequest::default() };
        let outcome = self.execute(cell, &part.code, request);
        self.watch.cell_ended(cell);
        self.host.cell_ended(&outcome);
        match outcome.result {
            Err(error) if part.may_fail && !self.running.is_stopped() => {
                self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: error.ansi + "\n" });
                Ok(())
            }
            result => result,
        }
    }
}
