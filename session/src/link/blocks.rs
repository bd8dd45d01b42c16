//! Display blocks, converted into what a front end shows.
//!
//! Cells of this project describe a block in JSON (`application/vnd.mobula.*+json`). Crates that use evcxr's protocol print one block for
//! each MIME type of a thing. Neighbouring blocks of different types are therefore one thing, and the cell's result if nothing follows
//! them.

use crate::event::Bundle;
use crate::reports::record::{ErrorSaid, Panic};
use serde_json::Value;

/// One piece of a cell's output.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// Text.
    Text(String),
    /// A thing to show.
    Display(Bundle),
    /// A thing to show in place of an earlier one.
    Update(Bundle),
    /// The value of the last expression.
    Result(Bundle),
    /// A request to clear the output so far.
    Clear {
        /// Only when the next output comes.
        wait: bool,
    },
    /// What follows belongs into an `Output` widget, or no longer does.
    Capture {
        /// The widget's comm.
        comm: String,
        /// Whether it begins.
        begins: bool,
    },
    /// The variables, as JSON.
    Variables(String),
    /// The cell or one of its threads panicked.
    Panic(Panic),
    /// A `?` met an `Err`.
    Error(ErrorSaid),
}

/// The display blocks of one cell.
#[derive(Debug, Default)]
pub struct Blocks {
    /// A thing that may still get more MIME types.
    open: Option<Bundle>,
}

impl Blocks {
    /// Takes text.
    pub fn text(&mut self, text: String) -> Vec<Shown> {
        self.close().into_iter().chain([Shown::Text(text)]).collect()
    }

    /// Takes a block.
    pub fn block(&mut self, mime: &str, content: String) -> Vec<Shown> {
        match mime.strip_prefix("application/vnd.mobula.").and_then(|kind| kind.strip_suffix("+json")) {
            Some(kind) => {
                let shown = ours(kind, &content).unwrap_or(Shown::Text(content));
                self.close().into_iter().chain([shown]).collect()
            }
            None => self.theirs(mime, content),
        }
    }

    /// The cell has ended: a thing that is still open is its result.
    pub fn finish(&mut self) -> Vec<Shown> {
        self.open.take().map(|open| Shown::Result(open.with_words())).into_iter().collect()
    }

    fn close(&mut self) -> Option<Shown> {
        self.open.take().map(|open| Shown::Display(open.with_words()))
    }

    fn theirs(&mut self, mime: &str, content: String) -> Vec<Shown> {
        let is_new = self.open.as_ref().is_some_and(|open| open.data.contains_key(mime));
        let before = if is_new { self.close() } else { None };
        let open = self.open.get_or_insert_default();
        open.data.insert(mime.to_owned(), value_of(mime, content));
        before.into_iter().collect()
    }
}

/// What the protocol has for data of this type: JSON is a value, all else a text.
fn value_of(mime: &str, content: String) -> Value {
    let is_json = mime.ends_with("+json") || mime == "application/json";
    let value = if is_json { serde_json::from_str(&content).ok() } else { None };
    value.unwrap_or(Value::String(content))
}

#[derive(serde::Deserialize)]
struct Display {
    kind: String,
    data: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
    #[serde(default)]
    display_id: Option<String>,
}

#[derive(serde::Deserialize)]
struct Clear {
    #[serde(default)]
    wait: bool,
}

#[derive(serde::Deserialize)]
struct Capture {
    comm: String,
    begins: bool,
}

fn ours(kind: &str, content: &str) -> Option<Shown> {
    Some(match kind {
        "display" => {
            let display: Display = serde_json::from_str(content).ok()?;
            let data = display.data.into_iter().map(|(mime, text)| (mime.clone(), value_of(&mime, text))).collect();
            let bundle = Bundle { data, metadata: display.metadata, display_id: display.display_id };
            match display.kind.as_str() {
                "result" => Shown::Result(bundle),
                "update" => Shown::Update(bundle),
                _ => Shown::Display(bundle),
            }
        }
        "clear" => Shown::Clear { wait: serde_json::from_str::<Clear>(content).ok()?.wait },
        "capture" => {
            let Capture { comm, begins } = serde_json::from_str(content).ok()?;
            Shown::Capture { comm, begins }
        }
        "variables" => Shown::Variables(content.to_owned()),
        "panic" => Shown::Panic(serde_json::from_str(content).ok()?),
        "error" => Shown::Error(serde_json::from_str(content).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mimes(bundle: &Bundle) -> Vec<&str> {
        bundle.data.keys().map(String::as_str).collect()
    }

    #[test]
    fn neighbouring_blocks_of_different_types_are_one_thing() {
        let mut blocks = Blocks::default();
        assert!(blocks.block("text/html", "<b>1</b>".into()).is_empty());
        assert!(blocks.block("text/plain", "1".into()).is_empty());
        let shown = blocks.block("text/html", "<b>2</b>".into());
        let [Shown::Display(first)] = &shown[..] else { panic!("{shown:?}") };
        assert_eq!(mimes(first), ["text/html", "text/plain"]);
        assert!(matches!(&blocks.finish()[..], [Shown::Result(last)] if mimes(last) == ["text/html", "text/plain"]));
    }

    #[test]
    fn text_after_a_thing_makes_it_a_display() {
        let mut blocks = Blocks::default();
        blocks.block("text/html", "<b>1</b>".into());
        let shown = blocks.text("later".into());
        assert!(matches!(&shown[..], [Shown::Display(_), Shown::Text(_)]));
        assert!(blocks.finish().is_empty());
    }

    #[test]
    fn a_block_of_ours_that_is_malformed_is_shown_as_text() {
        let shown = Blocks::default().block("application/vnd.mobula.display+json", "{".into());
        assert_eq!(shown, [Shown::Text("{".into())]);
    }
}
