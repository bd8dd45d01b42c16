//! Changes to a cell's code before the compiler reads it.

use std::borrow::Cow;
use std::ops::Range;

/// What is put in at a place, or in the place of a stretch, of the code.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The stretch; empty where something is only put in.
    pub range: Range<usize>,
    /// What.
    pub text: Cow<'static, str>,
}
