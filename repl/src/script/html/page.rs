//! The page: its title, its cells with their outputs, and its style.

use super::super::document::joined;
use super::super::notebook::Notebook;
use super::code::code;
use super::encode::escaped;
use super::markdown::markdown;
use super::output::output;
use serde_json::Value;
use std::path::Path;

/// The page of a notebook with its outputs.
pub(crate) fn page(notebook: &Notebook, title: &str) -> String {
    let whole = notebook.value();
    let cells: String = whole["cells"].as_array().into_iter().flatten().map(cell).collect();
    let title = whole["metadata"]["title"].as_str().unwrap_or(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"Mobula {}\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{cells}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escaped(title),
        include_str!("style.css"),
    )
}

/// The title of a file's page: its name.
pub(crate) fn title(file: &Path) -> String {
    file.file_stem().map_or_else(|| "notebook".into(), |name| name.to_string_lossy().into_owned())
}

fn cell(cell: &Value) -> String {
    let source = joined(&cell["source"]);
    match cell["cell_type"].as_str() {
        Some("markdown") => {
            let attachments = cell["attachments"].as_object().cloned().unwrap_or_default();
            format!("<section class=\"text\">\n{}</section>\n", markdown(&source, &attachments))
        }
        // For another program, as Jupyter has it.
        Some("raw") => format!("<section class=\"raw\"><pre>{}</pre></section>\n", escaped(&source)),
        _ if source.trim().is_empty() => String::new(),
        _ => {
            let count = cell["execution_count"].as_u64().map_or("&nbsp;".into(), |count| count.to_string());
            let outputs: String = cell["outputs"].as_array().into_iter().flatten().map(output).collect();
            let outputs =
                if outputs.is_empty() { outputs } else { format!("<div class=\"outputs\">\n{outputs}</div>\n") };
            format!(
                "<section class=\"code\">\n<div class=\"count\">[{count}]</div>\n<pre class=\"source\"><code>{}</code></pre>\n{outputs}</section>\n",
                code(&source)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_has_all_cells_and_nothing_from_elsewhere() {
        let cells = json!([
            {"cell_type": "markdown", "metadata": {}, "source": "# A <b>title</b>\n\n|a|\n|-|\n|![x](attachment:p.png)|\n\n$x < y$",
             "attachments": {"p.png": {"image/png": "QUJD"}}},
            {"cell_type": "code", "metadata": {}, "source": "let a = 1 < 2;", "execution_count": 7, "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "hi\n"},
            ]},
            {"cell_type": "code", "metadata": {}, "source": "", "execution_count": null, "outputs": []},
            {"cell_type": "raw", "metadata": {}, "source": "<raw>"},
            {"cell_type": "markdown", "metadata": {}, "source": "```rust\nfn f() {}\n```\n\n```\nfn g() {}\n```"},
        ]);
        let text = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).to_string();
        let page = page(&Notebook::parse(text.into_bytes()).unwrap(), "a & b");
        for part in [
            "<title>a &amp; b</title>",
            "<h1>A <b>title</b></h1>",
            "<img src=\"data:image/png;base64,QUJD\" alt=\"x\" />",
            "<span class=\"math math-inline\">x &lt; y</span>",
            "<div class=\"count\">[7]</div>",
            "<span class=\"k\">let</span> a = <span class=\"n\">1</span> &lt; ",
            "<pre class=\"stream\">hi\n</pre>",
            "<pre>&lt;raw&gt;</pre>",
            "<span class=\"k\">fn</span> f() {}",
            "<code>fn g() {}",
            "prefers-color-scheme: dark",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("<section").count(), 4);
        assert!(!page.contains("http"), "{page}");
    }
}
