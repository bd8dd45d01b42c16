//! What events become on a terminal, in a file or in a pipe.

pub mod colour;
pub(crate) mod page;
pub(crate) mod render;
