//! Rules for what varies from run to run, and is put aside before outputs are compared.

use super::TestError;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// A file with rules for the notebooks in its folder and below.
const FILE: &str = "mobula.toml";

/// What is put aside everywhere: a pattern, and what stands in its place.
const USUAL: &[(&str, &str)] = &[
    // Colours and other sequences of a terminal.
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    // A line that a progress bar has written over.
    (r"(?m)^.*\r([^\n])", "$1"),
    (r"(?i)\b(pid[ =:]+|worker |process |process id )\d+\b", "${1}#"),
    // An address; a shorter number may be a value.
    (r"\b0x[0-9a-fA-F]{9,16}\b", "0x#"),
    // Cells that are left out are not counted.
    (r"\bcell \d+([,:])", "cell #$1"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "#time"),
    (r"\b[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "#uuid"),
    (r"\b\d+(\.\d+)? ?(ns|us|µs|μs|ms|s|seconds?|minutes?)\b", "#duration"),
    (r"\bObjectRef\([^()]*\)", "ObjectRef(#)"),
    (r"\b(object |task )\d+\.\d+", "${1}#"),
    // What stands for data that a terminal cannot show.
    (r"<(\w+/[\w.+-]+), \d+ bytes>", "<$1>"),
    (r#"(/(tmp|home|root|var|run|dev/shm|Users|private)/)[^\s'"`<>)\],;]*"#, "#path"),
];

static USUAL_RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    // They are tested, so none is left out.
    USUAL.iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, *with))).collect()
});

/// The rules for a notebook.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<(Regex, String)>);

/// A rule as it is written: in `mobula.toml` as `[[test.rules]]`, in a notebook's metadata in the list
/// `mobula.test.rules`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    pattern: String,
    #[serde(default)]
    replace: String,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    test: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    rules: Vec<Rule>,
}

impl Rules {
    /// The rules of the folders above the notebook, and those in its metadata.
    ///
    /// # Errors
    /// A rule that cannot be read; the error names its file.
    pub fn of(file: &Path, metadata: &Value) -> Result<Rules, TestError> {
        let mut rules = Rules::default();
        let whole = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        for folder in whole.ancestors().skip(1) {
            let path = folder.join(FILE);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let read = toml::from_str(&text).map_err(|error| error.to_string());
            let section = read.map(|File { test }| test).and_then(|section| rules.add(section));
            section.map_err(|message| TestError::Rule { path, message })?;
        }
        if let Some(section) = metadata.pointer("/mobula/test") {
            let read = Section::deserialize(section).map_err(|error| format!("`mobula.test` of its metadata: {error}"));
            let added = read.and_then(|section| rules.add(section));
            added.map_err(|message| TestError::Rule { path: file.to_owned(), message })?;
        }
        Ok(rules)
    }

    fn add(&mut self, section: Section) -> Result<(), String> {
        for Rule { pattern, replace } in section.rules {
            let read = Regex::new(&pattern).map_err(|error| format!("the pattern `{pattern}`: {error}"))?;
            self.0.push((read, replace));
        }
        Ok(())
    }

    /// The text without what varies.
    pub fn apply(&self, text: &str) -> String {
        let own = self.0.iter().map(|(pattern, replace)| (pattern, replace.as_str()));
        let usual = USUAL_RULES.iter().map(|(pattern, replace)| (pattern, *replace));
        let mut text = text.replace("\r\n", "\n");
        for (pattern, replace) in own.chain(usual) {
            if let Cow::Owned(replaced) = pattern.replace_all(&text, replace) {
                text = replaced;
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_put_aside() {
        assert_eq!(USUAL_RULES.len(), USUAL.len(), "every pattern can be read");
        for (text, plain) in [
            ("(f pid=1234) took 1.25 ms", "(f pid=#) took #duration"),
            ("at 0x7ffdeadbeef0", "at 0x#"),
            ("2026-11-30T10:00:01.5Z end", "#time end"),
            ("ObjectRef(7.1, ready, 32 bytes)", "ObjectRef(#)"),
            ("worker 25 died, hash 0x12345678", "worker # died, hash 0x12345678"),
            (" --> cell 2:1:9 at cell 7, line 3", " --> cell #:1:9 at cell #, line 3"),
            ("<text/html, 16 bytes>", "<text/html>"),
            ("in /tmp/mo-abc/x.txt: no", "in #path no"),
            ("\u{1b}[31merror\u{1b}[0m", "error"),
            ("10%\r20%\r100%\n", "100%\n"),
            ("1 + 1 is 2", "1 + 1 is 2"),
            ("3 s and 4 sheep", "#duration and 4 sheep"),
        ] {
            assert_eq!(Rules::default().apply(text), plain);
        }
    }

    #[test]
    fn a_notebook_and_the_folders_above_it_have_rules_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "[[test.rules]]\npattern = 'seed \\d+'\nreplace = 'seed #'\n").unwrap();
        let file = folder.path().join("sub/a.ipynb");
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(&file, "").unwrap();
        let metadata = serde_json::json!({"mobula": {"test": {"rules": [{"pattern": "rate .*"}]}}});
        let rules = Rules::of(&file, &metadata).unwrap();
        assert_eq!(rules.apply("seed 12, rate 3"), "seed #, ");
        let wrong = serde_json::json!({"mobula": {"test": {"rules": [{"pattern": "("}]}}});
        let error = Rules::of(&file, &wrong).unwrap_err().to_string();
        assert!(error.contains("a.ipynb: the pattern `(`: regex parse error"), "{error}");
        fs::write(folder.path().join(FILE), "[test]\nrule = []\n").unwrap();
        let error = Rules::of(&file, &Value::Null).unwrap_err().to_string();
        assert!(error.contains("mobula.toml") && error.contains("unknown field `rule`"), "{error}");
    }
}
