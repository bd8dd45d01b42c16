//! A check that a compiler prints what this evaluator parses.
//!
//! The types of variables, and what prevents keeping them, are read from rustc's messages. Those are written for people, and their words
//! may change in a later version. So each version is checked once, when the base library has been prepared for it.

use super::Direct;
use super::parse::parse_cell;
use super::plan::Planned;
use super::session_state::SessionState;
use crate::event::CellId;
use std::collections::BTreeMap;

/// Makes two variables that are kept, with their types, and one that borrows and is not kept.
const CODE: &str = "let number = 7u8; let mut text = String::from(\"a\"); let lent = &mut text; lent.push('b');";

impl Direct {
    /// Checks the compiler, or reads the result of an earlier check.
    ///
    /// # Errors
    /// What the compiler does not say.
    pub fn understands_compiler(&self) -> Result<(), String> {
        if let Some(known) = self.template.trial() {
            return known;
        }
        let parsed = parse_cell(CODE).ok_or("the test code cannot be parsed")?;
        let mut planned = Planned::new(&parsed, &BTreeMap::new());
        let (cell, library) = (CellId(0), self.folders.libraries.join("trial.so"));
        let compiled = self.compile_cell(&SessionState::default(), cell, CODE, &parsed, &mut planned, &library);
        if self.running.is_stopped() {
            // A person's interrupt says nothing about the compiler.
            return Ok(());
        }
        // Nor does an error that may be gone the next time, such as a full disk, so it is not recorded.
        compiled.map_err(|error| error.value)?;
        let outcome = heard(&planned);
        self.template.set_trial(&outcome);
        outcome
    }
}

/// Whether the compiler has said all that the check expects.
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
