//! Cells that run while no twin can be forked, and what a crash loses then.
//!
//! ```text
//!   cell 4: twin made    cell 5: no room for one: "a crash takes variables back to before cell 5"    cell 6: twin made: "… nothing again"
//!                            └── a crash here or later: the twin of cell 4 takes over, and the session forgets what it does not have
//! ```

use super::Direct;
use super::session_state::{Lost, Standing, Variable};
use crate::event::CellId;
use crate::reports::outcome;
use crate::reports::record::Record;
use std::collections::BTreeMap;

/// A twin that holds an older state.
pub struct Guard {
    /// The first cell after which none could be made.
    cell: CellId,
    /// The variables before that cell, which the twin has.
    variables: BTreeMap<String, Variable>,
}

impl Direct {
    /// Tells the person whether a twin stands by, if that has changed. Called after a cell whose process lives, before its effects are
    /// recorded in the session's state.
    pub(super) fn note_guard(&mut self, cell: CellId, record: &Record) {
        if let Some(text) = outcome::change_of_guard(cell, record, self.guard.is_some()) {
            self.guard = record.unguarded.is_some().then(|| Guard { cell, variables: self.state.variables.clone() });
            self.remark(cell, &text);
        }
    }

    /// If an older twin has taken over, forgets the variables that it does not have.
    pub(super) fn go_back(&mut self) {
        if self.link.take_gone_back().is_none() {
            return;
        }
        let Some(guard) = self.guard.take() else { return };
        self.undo.clear("a crash has taken variables back");
        for (name, variable) in &mut self.state.variables {
            match guard.variables.get(name).filter(|before| before.ty == variable.ty) {
                Some(before) => variable.clone_from(before),
                None if variable.standing == Standing::Kept => {
                    variable.standing = Standing::Lost(Lost::Unguarded(guard.cell));
                }
                None => {}
            }
        }
    }
}
