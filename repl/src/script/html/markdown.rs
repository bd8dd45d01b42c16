//! Texts in markdown as HTML: tables, notes, formulas as they are written, Rust in colours, attached pictures.

use super::code::code;
use super::encode::{base64, escaped};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};
use serde_json::{Map, Value};

/// A text as HTML. Its pictures may be attached to the cell.
pub(super) fn markdown(text: &str, attachments: &Map<String, Value>) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH;
    let attached = |url: &str| {
        let (mime, data) = attachments.get(url.strip_prefix("attachment:")?)?.as_object()?.iter().next()?;
        Some(format!("data:{};base64,{}", escaped(mime), base64(data)))
    };
    // Blocks of Rust have colours. They are of one text, or of several in a row.
    let mut is_rust = false;
    let events = Parser::new_ext(text, options).map(|event| match event {
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(of))) => {
            is_rust = of.split([' ', ',']).next() == Some("rust");
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(of)))
        }
        Event::End(TagEnd::CodeBlock) => {
            is_rust = false;
            Event::End(TagEnd::CodeBlock)
        }
        Event::Text(text) if is_rust => Event::Html(code(&text).into()),
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            let dest_url = attached(&dest_url).map_or(dest_url, CowStr::from);
            Event::Start(Tag::Image { link_type, dest_url, title, id })
        }
        event => event,
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}
