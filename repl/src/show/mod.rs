//! Output on a terminal, to a file or into a pipe.

pub(crate) mod below;
pub mod colour;
pub(crate) mod event_text;
pub(crate) mod pager;
pub(crate) mod render;
