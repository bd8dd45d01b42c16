//! Values shown in a form of one's choice: tables, HTML, Markdown, LaTeX, JSON, pictures, sound, films, plots.
//!
//! ```text
//!   numbers.rs   what a plot takes ─▶ chart.rs   a plot ─▶ vega.rs   Vega-Lite, drawn by JupyterLab and VS Code
//!                                                       └▶ svg.rs    the same as a picture, for all others
//!   table.rs     a value as a table; describe.rs   what its columns are like, by summary.rs
//! ```
//!
//! Each has a text beside it, for a terminal.

mod chart;
mod colours;
mod content;
mod describe;
mod numbers;
mod scale;
mod summary;
mod svg;
mod table;
mod vega;

pub use chart::{Plot, plot};
pub use describe::{Description, describe};
pub use numbers::{Grid, Number, Numbers};
pub use summary::{NumberSummary, Summary, TextSummary};
pub use table::{Table, table};

use crate::display::{display_as, show_drawing};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Display;

/// Shows HTML.
///
/// ```
/// mobula::show::html("<b>bold</b>");
/// ```
pub fn html(text: impl AsRef<str>) {
    display_as("text/html", text.as_ref());
}

/// Shows Markdown.
///
/// ```
/// mobula::show::markdown("- one\n- *two*");
/// ```
pub fn markdown(text: impl AsRef<str>) {
    as_written("text/markdown", text.as_ref().to_owned());
}

/// Shows a formula, with its dollar signs.
///
/// ```
/// mobula::show::latex(r"$\sum_{i=1}^n i = \frac{n(n+1)}{2}$");
/// ```
pub fn latex(text: impl AsRef<str>) {
    as_written("text/latex", text.as_ref().to_owned());
}

/// Shows JSON, as a tree where the front end has one: a text, or anything that prints as JSON, such as a
/// `serde_json::Value`.
///
/// ```
/// mobula::show::json(r#"{"answer": 42}"#);
/// ```
pub fn json(value: impl Display) {
    as_written("application/json", value.to_string());
}

/// Shows a text that can be read as it is, too.
fn as_written(mime: &str, text: String) {
    show_drawing("display", [(mime, text.clone()), ("text/plain", text)]);
}

/// Shows a picture: the bytes of a PNG, JPEG, GIF, WebP or SVG file.
///
/// # Errors
/// The bytes are none of these.
///
/// ```
/// mobula::show::image("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")?;
/// assert!(mobula::show::image("a text").is_err());
/// # Ok::<(), String>(())
/// ```
pub fn image(bytes: impl AsRef<[u8]>) -> Result<(), String> {
    let bytes = bytes.as_ref();
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ if is_svg(bytes) => "image/svg+xml",
        _ => return Err("a picture is the bytes of a PNG, JPEG, GIF, WebP or SVG file".into()),
    };
    display_as(kind, bytes);
    Ok(())
}

fn is_svg(bytes: &[u8]) -> bool {
    let begin = bytes.get(..bytes.len().min(512)).and_then(|bytes| std::str::from_utf8(bytes).ok());
    begin.is_some_and(|text| {
        let text = text.trim_start();
        text.starts_with("<svg") || text.starts_with("<?xml") && text.contains("<svg")
    })
}

/// Shows a player for sound: the bytes of a WAV, FLAC, Ogg or MP3 file, with their MIME type.
///
/// ```
/// mobula::show::audio("audio/wav", b"RIFF....WAVE");
/// ```
pub fn audio(mime: &str, bytes: impl AsRef<[u8]>) {
    player("audio", mime, bytes.as_ref());
}

/// Shows a player for a film: the bytes of an MP4 or WebM file, with their MIME type.
///
/// ```
/// mobula::show::video("video/mp4", b"....ftyp");
/// ```
pub fn video(mime: &str, bytes: impl AsRef<[u8]>) {
    player("video", mime, bytes.as_ref());
}

fn player(tag: &str, mime: &str, bytes: &[u8]) {
    let mime: String = mime.chars().filter(|c| c.is_ascii_alphanumeric() || "/-+.".contains(*c)).collect();
    html(format!("<{tag} controls src=\"data:{mime};base64,{}\"></{tag}>", BASE64_STANDARD.encode(bytes)));
}
