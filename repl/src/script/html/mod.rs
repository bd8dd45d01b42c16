//! A notebook as one HTML page, which needs no other file and no network.
//!
//! ```text
//!   page.rs     the notebook ─▶ title, cells, style.css
//!   code.rs     code ─▶ tokens in colours
//!   markdown.rs texts, with attached pictures
//!   output.rs   an output ─▶ its richest form: HTML, pictures, markdown, JSON, text with a terminal's colours
//! ```
//!
//! The page is light or dark as the reader's system is. HTML in outputs and texts stays as it is, as in Jupyter: the
//! page is as trustworthy as its notebook.

mod code;
mod encode;
mod markdown;
mod output;
mod page;

pub(crate) use page::{page, title};
