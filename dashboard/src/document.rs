//! The one document of the page: its files are in the binary, and are put into one text. A report is the same with its data in it.

use crate::secret::Secret;
use serde_json::Value;

/// The shell, with places for the other files.
const SHELL: &str = include_str!("../page/index.html");
const STYLE: [&str; 2] = [include_str!("../vendor/uplot/uPlot.min.css"), include_str!("../page/style.css")];
const UPLOT: &str = include_str!("../vendor/uplot/uPlot.iife.min.js");
/// The page's own files, each after those that it uses.
const SCRIPT: [&str; 15] = [
    include_str!("../page/util.js"),
    include_str!("../page/connection.js"),
    include_str!("../page/model.js"),
    include_str!("../page/table.js"),
    include_str!("../page/stream.js"),
    include_str!("../page/progress.js"),
    include_str!("../page/cells.js"),
    include_str!("../page/stack.js"),
    include_str!("../page/workers.js"),
    include_str!("../page/objects.js"),
    include_str!("../page/resources.js"),
    include_str!("../page/messages.js"),
    include_str!("../page/detail.js"),
    include_str!("../page/parts.js"),
    include_str!("../page/main.js"),
];

/// A document, and what the browser may do with it.
pub struct Document {
    /// HTML.
    pub text: String,
    /// The content security policy: nothing that did not come from here runs, and nothing is fetched from elsewhere.
    pub policy: String,
}

/// The document of a page that is served.
///
/// # Errors
/// The system has no random numbers.
pub fn live() -> std::io::Result<Document> {
    filled("")
}

/// The document of a report.
///
/// # Errors
/// As [`live`].
pub fn report(data: &Value) -> std::io::Result<Document> {
    // In a script element, nothing but its end has a meaning.
    let data = data.to_string().replace('<', "\\u003c");
    filled(&format!("<script type=\"application/json\" id=\"frozen\">{data}</script>\n"))
}

fn filled(frozen: &str) -> std::io::Result<Document> {
    // Who could put text into the page could not guess it, so no script of theirs would run.
    let nonce = Secret::new()?;
    let nonce = nonce.digits();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    );
    let mut text = String::with_capacity(SHELL.len() + UPLOT.len() + frozen.len() + (64 << 10));
    let mut rest = SHELL;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (place, after) = after.split_once("}}").unwrap_or((after, ""));
        match place {
            "nonce" => text.push_str(nonce),
            "style" => STYLE.iter().for_each(|file| text.push_str(file)),
            "uplot" => text.push_str(UPLOT),
            "script" => SCRIPT.iter().for_each(|file| text.push_str(file)),
            "frozen" => text.push_str(frozen),
            other => text.push_str(other),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(Document { text, policy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_person_ends_no_script() {
        let text = report(&serde_json::json!({ "source": "</script><script>alert(1)</script>" })).unwrap().text;
        assert!(text.contains("\\u003c/script>\\u003cscript>alert(1)") && !text.contains("<script>alert"));
    }

    #[test]
    fn each_document_has_a_nonce_of_its_own_on_all_its_scripts() {
        let (one, other) = (live().unwrap(), live().unwrap());
        assert_ne!(one.policy, other.policy);
        let nonce = one.policy.split('\'').find_map(|part| part.strip_prefix("nonce-")).unwrap();
        let shell_scripts = SHELL.matches("<script").count();
        assert_eq!(one.text.matches(&format!("<script nonce=\"{nonce}\">")).count(), shell_scripts);
        assert!(!one.text.contains("{{"), "a place was not filled");
    }
}
