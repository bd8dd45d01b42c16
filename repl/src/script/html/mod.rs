//! A notebook as one HTML page, which needs no other file and no network.
//!
//! ```text
//!   page.rs     the notebook ─▶ title, cells, style.css
//!   code.rs     code ─▶ tokens in colours
//!   output.rs   an output ─▶ its richest form: HTML, pictures, markdown, JSON, text with a terminal's colours
//! ```
//!
//! The page is light or dark as the reader's system is. HTML in outputs and texts stays as it is, as in Jupyter: the
//! page is as trustworthy as its notebook.

mod code;
mod output;
mod page;

pub(crate) use page::{page, title};

/// Text with the characters that mean something in HTML written out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
