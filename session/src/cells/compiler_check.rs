//! A check that a compiler prints what this evaluator parses.
//!
//! The types of variables and what is in the way of keeping them are read from rustc's messages, which are written for people and may be in other
//! words in a version to come. So each version is tried once, when what cells are compiled against has been prepared for it.

use super::Direct;
use super::parse::parse_cell;
use super::plan::Planned;
use super::session_state::SessionState;
use crate::event::CellId;
use std::collections::BTreeMap;

/// Two variables that are kept, with their types, and one that borrows and is not.
const CODE: &str = "let number = 7u8; let mut text = String::from(\"a\"); let lent = &mut text; lent.push('b');";

impl Direct {
    /// Tries the compiler, or reads what came of it.
    ///
    /// # Errors
    /// What it does not say.
    pub fn understands_compiler(&self) -> Result<(), String> {
        if let Some(known) = self.template.trial() {
            return known;
        }
        let parsed = parse_cell(CODE).ok_or("its own trial cannot be read")?;
        let mut planned = Planned::new(&parsed, &BTreeMap::new());
        let (cell, library) = (CellId(0), self.folders.libraries.join("trial.so"));
        let compiled = self.compile_cell(&SessionState::default(), cell, CODE, &parsed, &mut planned, &library);
        if self.running.is_stopped() {
            // A person's interrupt says nothing of the compiler.
            return Ok(());
        }
        // Neither does what may be otherwise the next time, such as a full disk; so that is not noted.
        compiled.map_err(|error| error.value)?;
        let outcome = heard(&planned);
        self.template.set_trial(&outcome);
        outcome
    }
}

/// Whether the compiler has told what there is to tell of the trial.
fn heard(planned: &Planned) -> Result<(), String> {
    let told = |name: &str| planned.type_of(name).unwrap_or("nothing");
    if told("number") != "u8" || !told("text").ends_with("::String") {
        return Err(format!("of a `u8` it says {}, of a `String` {}", told("number"), told("text")));
    }
    let mut kept: Vec<&str> = planned.plan.puts.iter().map(String::as_str).collect();
    kept.sort_unstable();
    if kept != ["number", "text"] {
        return Err(format!("of three variables it lets {} be kept", kept.join(", ")));
    }
    Ok(())
}
