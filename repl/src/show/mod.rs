//! What events become on a terminal, in a file or in a pipe.

pub mod colour;
pub(crate) mod event_text;
pub(crate) mod pager;
pub(crate) mod render;
