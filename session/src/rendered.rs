//! A report in the forms in which front ends show it.

use crate::bundle::Bundle;

/// The colours of a report on a page: those of JupyterLab's or VS Code's theme that are read on its background.
const COLOURS: &str = "--red:var(--jp-error-color1,var(--vscode-terminal-ansiRed,#c33));\
    --green:var(--jp-success-color0,var(--vscode-terminal-ansiGreen,#2a7d2e));\
    --blue:var(--jp-brand-color1,var(--vscode-terminal-ansiBlue,#1f74c9));\
    --cyan:var(--jp-info-color0,var(--vscode-terminal-ansiCyan,#0b7d8a));\
    --yellow:var(--jp-warn-color0,var(--vscode-terminal-ansiYellow,#a86400));";

/// A report, plain and for terminals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Without colours.
    pub plain: String,
    /// With ANSI colours.
    pub ansi: String,
}

impl Rendered {
    /// The report for a notebook: plain, and in HTML with the terminal's colours.
    pub fn bundle(&self) -> Bundle {
        self.bundle_with("")
    }

    /// The same, with more of CSS for the HTML.
    pub(crate) fn bundle_with(&self, style: &str) -> Bundle {
        let mut bundle = Bundle::text(self.plain.as_str());
        // A report with malformed ANSI codes is shown without colours.
        if let Ok(html) = ansi_to_html::convert(&self.ansi) {
            bundle.data.insert("text/html".into(), format!("<pre style=\"{COLOURS}{style}\">{html}</pre>").into());
        }
        bundle
    }

    /// Appends lines that belong to the report.
    pub(crate) fn add(&mut self, lines: impl Iterator<Item = String>) {
        for line in lines {
            for text in [&mut self.plain, &mut self.ansi] {
                text.push_str("\n  ");
                text.push_str(&line);
            }
        }
    }
}

/// Text with the characters that mean something in HTML written out.
///
/// ```
/// assert_eq!(mobula_session::html_escaped("a < \"b\""), "a &lt; &quot;b&quot;");
/// ```
pub fn html_escaped(text: &str) -> String {
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

/// Text without ANSI control sequences.
///
/// ```
/// assert_eq!(mobula_session::without_codes("\x1b[31mred\x1b[0m"), "red");
/// ```
pub fn without_codes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            out.push(c);
        } else if chars.next() == Some('[') {
            chars.find(|c| ('@'..='~').contains(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_for_a_notebook_has_the_terminals_colours_in_html() {
        let report = Rendered { plain: "<a>: no".into(), ansi: "\x1b[31m<a>\x1b[0m: no".into() }.bundle();
        assert_eq!(report.plain(), Some("<a>: no"));
        let html = format!("<pre style=\"{COLOURS}\"><span style='color:var(--red,#a00)'>&lt;a&gt;</span>: no</pre>");
        assert_eq!(report.data["text/html"], html);
    }
}
