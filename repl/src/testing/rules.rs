//! Rules for what varies from run to run, and is put aside before outputs are compared.

use super::TestError;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// A file with rules for the notebooks in its folder and below.
const FILE: &str = "mobula.toml";

/// What is put aside everywhere: its name, a pattern, and what stands in its place. A section's `keep` names those that
/// are compared after all.
const USUAL: &[(&str, &str, &str)] = &[
    ("colour", r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    // A line that a progress bar has written over.
    ("overwritten", r"(?m)^.*\r([^\n])", "$1"),
    ("pid", r"(?i)\b(pid[ =:]+|worker |process |process id )\d+\b", "${1}#"),
    // A shorter number may be a value.
    ("address", r"\b0x[0-9a-fA-F]{9,16}\b", "0x#"),
    // Cells that are left out are not counted.
    ("cell", r"\bcell \d+([,:])", "cell #$1"),
    // A day with a time of it. A day alone, or a time alone, may be a value.
    (
        "time",
        r"\b\d{4}([-/])\d\d[-/]\d\d([Tt]|,? )\d\d:\d\d:\d\d([.,]\d+)?( ?([Zz]|UTC|GMT|[+-]\d\d:?\d\d)\b)?",
        "#time",
    ),
    // As `date` and as mail write it.
    ("time", r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d( [A-Z]{2,5})? \d{4}\b", "#time"),
    (
        "time",
        r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d( ([A-Z]{2,5}|[+-]\d{4})\b)?",
        "#time",
    ),
    ("uuid", r"\b[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "#uuid"),
    ("duration", r"\b\d+(\.\d+)? ?(ns|us|µs|μs|ms|s|seconds?|minutes?)\b", "#duration"),
    ("object", r"\bObjectRef\([^()]*\)", "ObjectRef(#)"),
    ("object", r"\b(object |task )\d+\.\d+", "${1}#"),
    // What stands for data that a terminal cannot show.
    ("size", r"<(\w+/[\w.+-]+), \d+ bytes>", "<$1>"),
    ("path", r#"(/(tmp|home|root|var|run|dev/shm|Users|private)/)[^\s'"`<>)\],;]*"#, "#path"),
];

struct Usual {
    name: &'static str,
    pattern: Regex,
    replace: &'static str,
}

static USUAL_RULES: LazyLock<Vec<Usual>> = LazyLock::new(|| {
    // They are tested, so none is left out.
    let read = |(name, pattern, replace): &(&'static str, &str, &'static str)| {
        Regex::new(pattern).ok().map(|pattern| Usual { name, pattern, replace })
    };
    USUAL.iter().filter_map(read).collect()
});

/// The rules for a notebook.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    own: Vec<(Regex, String)>,
    /// The names of the usual ones that do not apply.
    kept: HashSet<String>,
}

/// A rule as it is written: in `mobula.toml` as `[[test.rules]]`, in a notebook's metadata in the list
/// `mobula.test.rules`. What is usual is switched off by `keep = ["time"]` under `[test]`, or `mobula.test.keep`.
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
    /// What is usually put aside, and is compared here.
    #[serde(default)]
    keep: Vec<String>,
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
            self.own.push((read, replace));
        }
        for name in section.keep {
            if !USUAL.iter().any(|(known, ..)| *known == name) {
                let mut names: Vec<String> = USUAL.iter().map(|(name, ..)| format!("`{name}`")).collect();
                names.dedup();
                return Err(format!("`keep` has `{name}`; it can have {}", names.join(", ")));
            }
            self.kept.insert(name);
        }
        Ok(())
    }

    /// The text without what varies.
    pub fn apply(&self, text: &str) -> String {
        let own = self.own.iter().map(|(pattern, replace)| (pattern, replace.as_str()));
        let usual = USUAL_RULES.iter().filter(|usual| !self.kept.contains(usual.name));
        let usual = usual.map(|usual| (&usual.pattern, usual.replace));
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
            ("at 2026-11-30 13:46:54, then", "at #time, then"),
            ("[2026-11-30 13:46:54.123 UTC] 2026/11/30 13:46:54,123", "[#time] #time"),
            ("2026-11-30t13:46:54+01:00 2026-11-30 13:46:54 +0100 x", "#time #time x"),
            ("Mon Nov 30 13:46:54 UTC 2026; Mon, 30 Nov 2026 13:46:54 +0000.", "#time; #time."),
            // A day alone, or a time alone, may be a value.
            ("from 2026-11-30 to 13:46:54", "from 2026-11-30 to 13:46:54"),
            ("12026-11-30 13:46:54", "12026-11-30 13:46:54"),
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
        let time = "2026-11-30 13:46:54 took 3 ms";
        assert_eq!(rules.apply(time), "#time took #duration");
        let kept = serde_json::json!({"mobula": {"test": {"keep": ["time"]}}});
        assert_eq!(Rules::of(&file, &kept).unwrap().apply(time), "2026-11-30 13:46:54 took #duration");
        let unknown = serde_json::json!({"mobula": {"test": {"keep": ["day"]}}});
        let error = Rules::of(&file, &unknown).unwrap_err().to_string();
        assert!(error.ends_with("`keep` has `day`; it can have `colour`, `overwritten`, `pid`, `address`, `cell`, `time`, `uuid`, `duration`, `object`, `size`, `path`"), "{error}");
        let wrong = serde_json::json!({"mobula": {"test": {"rules": [{"pattern": "("}]}}});
        let error = Rules::of(&file, &wrong).unwrap_err().to_string();
        assert!(error.contains("a.ipynb: the pattern `(`: regex parse error"), "{error}");
        fs::write(folder.path().join(FILE), "[test]\nrule = []\n").unwrap();
        let error = Rules::of(&file, &Value::Null).unwrap_err().to_string();
        assert!(error.contains("mobula.toml") && error.contains("unknown field `rule`"), "{error}");
    }
}
