//! Blocks: a cell's messages to its session, between the lines that it prints.
//!
//! ```text
//! EVCXR_BEGIN_CONTENT application/vnd.mobula.display+json
//! {"kind":"result","data":{"text/plain":"1"},"metadata":{},"display_id":null}
//! EVCXR_END_CONTENT
//! ```
//!
//! Blocks travel in the cell's own standard output, so that they keep their place among the cell's text. Each is
//! written in one piece while the stream is locked, so that no other thread's text gets inside.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::panic::Location;

/// Writes one block; `json` is one line.
pub(crate) fn write_block(mime: &str, json: &str) {
    debug_assert!(!json.contains('\n'), "bug: a block's JSON spans lines");
    let block = format!("EVCXR_BEGIN_CONTENT {mime}\n{json}\nEVCXR_END_CONTENT\n");
    let mut out = std::io::stdout().lock();
    // Nothing can be reported when the session's end of the pipe is gone.
    let _ = out.write_all(block.as_bytes()).and_then(|()| out.flush());
}

/// Reports the error that a cell's `?` met. The session's generated code calls this.
///
/// The error is shown in its alternate form (`{:#}`): the whole report for this crate's errors, the chain of causes for
/// those of `anyhow`. Where there is room for one line only, its plain form is shown.
#[doc(hidden)]
#[track_caller]
pub fn cell_error(error: &impl Display) {
    report_error(error, Location::caller());
}

/// Not generic, so that a cell compiles little of it.
fn report_error(error: &dyn Display, place: &Location<'_>) {
    let (message, line) = (format!("{error:#}"), error.to_string());
    let place = format!("[{},{},{}]", Json(place.file()), place.line(), place.column());
    write_block(
        "application/vnd.mobula.error+json",
        &format!("{{\"message\":{},\"line\":{},\"place\":{place}}}", Json(&message), Json(&line)),
    );
}

/// A string as JSON writes it, quotes included.
pub(crate) struct Json<'a>(pub(crate) &'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        let mut plain = 0;
        for (at, byte) in self.0.bytes().enumerate() {
            // Only ASCII needs escaping, and no byte of a longer character looks like ASCII.
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            f.write_str(&self.0[plain..at])?;
            match byte {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\t' => f.write_str("\\t")?,
                b'\r' => f.write_str("\\r")?,
                other => write!(f, "\\u{other:04x}")?,
            }
            plain = at + 1;
        }
        f.write_str(&self.0[plain..])?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_escape_quotes_backslashes_and_controls_and_nothing_else() {
        assert_eq!(Json("a \"b\" \\ é\n\t\r\u{1}\u{1b}").to_string(), r#""a \"b\" \\ é\n\t\r\u0001\u001b""#);
        assert_eq!(Json("").to_string(), r#""""#);
    }
}
