//! Reports of failed cells, and the mapping of places to the person's lines.
//!
//! ```text
//!   panic, crash, compile error ─▶ sources  the cell and the line of each place ─▶ report ─▶ snippet ─▶ rendered  text, HTML
//!                                  outcome  what the run of a cell means
//! ```

pub mod frames;
pub mod outcome;
pub mod record;
pub mod report;
pub mod snippet;
pub mod source_map;
pub mod sources;
mod task_report;
