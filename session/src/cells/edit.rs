//! Changes to a cell's code before the compiler reads it.

use std::borrow::Cow;
use std::ops::Range;

/// A text that is inserted into the code, or takes the place of a stretch of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The stretch; empty for an insertion.
    pub range: Range<usize>,
    /// The text.
    pub text: Cow<'static, str>,
}
