//! One output of a cell as HTML, in the richest form that a page without a network can show.

use super::super::document::joined;
use super::encode::{base64, escaped};
use super::markdown::markdown;
use serde_json::{Map, Value};

/// Data of a MIME type as HTML.
type Form = fn(&str, &Value) -> String;

/// The forms of a shown value, the best first.
const FORMS: [(&str, Form); 14] = [
    ("text/html", |_, value| format!("<div class=\"html\">{}</div>", joined(value))),
    ("image/svg+xml", |_, value| format!("<div class=\"picture\">{}</div>", without_prolog(&joined(value)))),
    ("image/png", picture),
    ("image/jpeg", picture),
    ("image/webp", picture),
    ("image/gif", picture),
    ("video/mp4", |mime, value| format!("<video controls src=\"data:{mime};base64,{}\"></video>", base64(value))),
    ("video/webm", |mime, value| format!("<video controls src=\"data:{mime};base64,{}\"></video>", base64(value))),
    ("audio/wav", |mime, value| format!("<audio controls src=\"data:{mime};base64,{}\"></audio>", base64(value))),
    ("audio/mpeg", |mime, value| format!("<audio controls src=\"data:{mime};base64,{}\"></audio>", base64(value))),
    ("text/markdown", |_, value| format!("<div class=\"text\">{}</div>", markdown(&joined(value), &Map::new()))),
    ("text/latex", |_, value| format!("<pre class=\"latex\">{}</pre>", escaped(&joined(value)))),
    ("application/json", |_, value| format!("<pre class=\"json\">{}</pre>", escaped(&json(value)))),
    ("text/plain", |_, value| format!("<pre>{}</pre>", terminal(&joined(value)))),
];

/// The output as HTML; nothing if there is nothing that can be shown.
pub(super) fn output(output: &Value) -> String {
    match output["output_type"].as_str() {
        Some("stream") => {
            let class = if output["name"] == "stderr" { "stream stderr" } else { "stream" };
            format!("<pre class=\"{class}\">{}</pre>\n", terminal(&overwritten(&joined(&output["text"]))))
        }
        Some("error") => {
            let lines: Vec<&str> =
                output["traceback"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let said = |name: &str| output[name].as_str().unwrap_or_default();
            let text =
                if lines.is_empty() { format!("{}: {}", said("ename"), said("evalue")) } else { lines.join("\n") };
            format!("<pre class=\"error\">{}</pre>\n", terminal(&text))
        }
        _ => {
            let data = &output["data"];
            let form = FORMS.iter().find_map(|(mime, form)| data.get(mime).map(|value| form(mime, value)));
            form.map(|form| form + "\n").unwrap_or_default()
        }
    }
}

fn picture(mime: &str, value: &Value) -> String {
    format!("<div class=\"picture\"><img alt=\"\" src=\"data:{mime};base64,{}\"></div>", base64(value))
}

/// JSON as a person reads it. Some programs store it as text.
fn json(value: &Value) -> String {
    let read = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    let value: &Value = read.as_ref().unwrap_or(value);
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// A drawing from its first element on: what stands before belongs to a file of its own.
fn without_prolog(svg: &str) -> &str {
    svg.find("<svg").map_or(svg, |at| &svg[at..])
}

/// A terminal's text as HTML. Its colours are the page's.
fn terminal(text: &str) -> String {
    let converter = ansi_to_html::Converter::new().four_bit_var_prefix(Some("ansi-".into()));
    converter.convert(text).unwrap_or_else(|_| escaped(text))
}

/// The lines as they stand when a terminal has written them: a progress bar writes over its line.
fn overwritten(text: &str) -> String {
    let last = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    text.split('\n').map(last).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(data: &Value) -> String {
        output(&json!({"output_type": "execute_result", "data": data}))
    }

    #[test]
    fn the_richest_form_is_shown() {
        let plain = "<x>";
        assert_eq!(
            shown(&json!({"text/plain": plain, "text/html": ["<b>", "1</b>"]})),
            "<div class=\"html\"><b>1</b></div>\n"
        );
        assert!(
            shown(&json!({"text/plain": plain, "image/svg+xml": "<?xml?>\n<svg></svg>"})).contains("\"><svg></svg><")
        );
        let picture = shown(&json!({"text/plain": plain, "image/png": "QUJD\nQUJD\"\n"}));
        assert!(picture.contains("src=\"data:image/png;base64,QUJDQUJD\""), "{picture}");
        assert!(shown(&json!({"text/plain": plain, "text/markdown": "*a*"})).contains("<em>a</em>"));
        assert!(shown(&json!({"text/plain": plain, "application/json": {"a": [1]}})).contains("&quot;a&quot;: ["));
        assert_eq!(shown(&json!({"text/plain": plain, "application/x": 1})), "<pre>&lt;x&gt;</pre>\n");
        assert_eq!(shown(&json!({"application/x": 1})), "");
    }

    #[test]
    fn text_has_a_terminals_colours_and_a_bar_is_shown_as_it_ended() {
        let out = output(
            &json!({"output_type": "stream", "name": "stderr", "text": ["10%\r100%\n", "\u{1b}[31m<a>\u{1b}[0m\n"]}),
        );
        assert!(out.starts_with("<pre class=\"stream stderr\">100%\n<span style='color:var(--ansi-red"), "{out}");
        assert!(out.contains(">&lt;a&gt;</span>"), "{out}");
        let out = output(&json!({"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}));
        assert_eq!(out, "<pre class=\"error\">E: v</pre>\n");
    }
}
