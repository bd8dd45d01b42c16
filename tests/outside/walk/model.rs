//! The model of a session: one file with the newest definition of each item, compiled and run by plain rustc.
//!
//! What is older and does not compile with what is newer is left out, and what needs it fails with its error.

use super::items::{Item, Key};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

/// What a cell comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It shows this.
    Shows(String),
    /// It fails with one of these.
    Fails(Vec<String>),
}

impl Said {
    /// It agrees with what is known. Notices of the session are not compared.
    pub fn is(&self, known: &Said) -> bool {
        match (self, known) {
            (Said::Shows(_), Said::Shows(known)) if known.is_empty() => true,
            (Said::Shows(said), Said::Shows(known)) => said == known,
            (Said::Fails(said), Said::Fails(known)) => said.iter().any(|code| known.contains(code)),
            _ => false,
        }
    }
}

/// One item of the program, or what is left of it.
#[derive(Clone, Debug)]
struct Defined {
    keys: Vec<Key>,
    text: String,
    cell: String,
    item: Item,
    /// Of a greater number is the newer.
    age: u64,
    /// When a cell repeated it last.
    repeated: u64,
}

/// The program.
pub struct Model {
    folder: PathBuf,
    defined: Vec<Defined>,
    clock: u64,
}

/// An error of rustc's: its code, its words, and its line.
struct Refusal {
    code: String,
    message: String,
    line: usize,
}

/// An item that does not compile.
#[derive(Default)]
struct Gone {
    codes: Vec<String>,
    text: String,
}

/// The errors of the items that do not compile and that words name, and of those that these name: rustc stops at a name that is missing in an
/// item and never says what else it needs that does not compile, but a session may.
fn codes_behind(gone: &BTreeMap<Key, Gone>, words: &str) -> Vec<String> {
    let mut codes = Vec::new();
    let (mut seen, mut texts) = (BTreeSet::new(), vec![words]);
    while let Some(text) = texts.pop() {
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for (key, gone) in gone {
            let name = key.trim_end_matches('!').rsplit("::").next().unwrap_or_default();
            let last = name.rsplit(' ').next().unwrap_or_default();
            let is_named = words.contains(last) || key.starts_with("impl T") && words.contains("t");
            if is_named && seen.insert(key) {
                codes.extend(gone.codes.iter().cloned());
                texts.push(&gone.text);
            }
        }
    }
    codes
}

impl Model {
    pub fn new(folder: String) -> Model {
        std::fs::create_dir_all(&folder).expect("a folder of its own");
        Model { folder: folder.into(), defined: Vec::new(), clock: 0 }
    }

    /// The program, as a failure shows it.
    pub fn text(&self) -> String {
        file(&self.defined, "").0
    }

    /// A cell is run: with what it defines in the place of what was there, unless that does not compile.
    pub fn run(&mut self, cell: &str, items: &[Item]) -> Said {
        let before = self.defined.clone();
        self.clock += 1;
        let now = self.clock;
        for item in items {
            let text = item.text();
            let repeated = self
                .defined
                .iter_mut()
                .find(|known| known.repeated < now && known.text == text && known.keys == item.keys());
            if let Some(known) = repeated {
                (known.cell, known.item, known.repeated) = (cell.to_owned(), *item, now);
                continue;
            }
            for key in item.keys() {
                self.supersede(&key, now);
            }
            if text.starts_with("macro_rules!") {
                // One shadows the other.
                self.defined.retain(|known| known.keys != item.keys());
            }
            self.defined.push(Defined {
                keys: item.keys(),
                text,
                cell: cell.to_owned(),
                item: *item,
                age: now,
                repeated: now,
            });
        }
        let has = |known: &Defined| items.iter().any(|item| item.text() == known.item.text());
        self.defined.retain(|known| known.cell != cell || known.age == now || has(known));
        // A cell that is run again brings its names in again: one that is not there any more is its fault.
        let is_new = |known: &Defined| known.age == now || known.repeated == now && known.text.starts_with("use ");
        let (_, codes) = self.settled(is_new, "");
        if codes.is_empty() {
            return Said::Shows(String::new());
        }
        self.defined = before;
        Said::Fails(codes)
    }

    /// What an expression gives.
    pub fn ask(&self, ask: &str) -> Said {
        let (program, codes) = self.settled(|_| false, ask);
        if !codes.is_empty() {
            return Said::Fails(codes);
        }
        let (text, _) = file(&program, ask);
        let (source, out) = (self.folder.join("model.rs"), self.folder.join("model"));
        std::fs::write(&source, text).expect("its folder");
        let done = Command::new("rustc")
            .args(["--edition=2024", "-Awarnings", "-Cdebug-assertions=on", "-o"])
            .arg(&out)
            .arg(&source)
            .output();
        let done = done.expect("rustc runs");
        assert!(done.status.success(), "it has compiled before: {}", String::from_utf8_lossy(&done.stderr));
        let done = Command::new(&out).output().expect("it runs");
        Said::Shows(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Takes away what had this key.
    fn supersede(&mut self, key: &Key, now: u64) {
        for known in self.defined.iter_mut().filter(|known| known.repeated < now && known.keys.contains(key)) {
            known.keys.retain(|known| known != key);
            // The methods of an `impl` can be superseded one by one.
            if let Some((_, method)) = key.split_once("::") {
                known.text = without_method(&known.text, method);
            }
        }
        self.defined.retain(|known| !known.keys.is_empty());
    }

    /// The program without what does not compile, and the errors of what is new, or of the question.
    fn settled(&self, is_new: impl Fn(&Defined) -> bool, ask: &str) -> (Vec<Defined>, Vec<String>) {
        let mut program = self.defined.clone();
        let mut gone: BTreeMap<Key, Gone> = BTreeMap::new();
        let mut codes = Vec::new();
        loop {
            let (text, lines) = file(&program, ask);
            let refusals = check(&self.folder, &text);
            let mut aside = Vec::new();
            for refusal in refusals {
                let mut meant = vec![refusal.code];
                meant.extend(codes_behind(&gone, &refusal.message));
                match lines.iter().position(|(from, to)| (*from..*to).contains(&refusal.line)) {
                    Some(at) if !is_new(&program[at]) => aside.push((at, meant)),
                    _ => codes.extend(meant),
                }
            }
            // What else is wrong with it may show only when nothing older is.
            if aside.is_empty() {
                return (program, codes);
            }
            for (at, codes) in &aside {
                for key in &program[*at].keys {
                    let gone = gone.entry(key.clone()).or_default();
                    gone.codes.extend(codes.iter().cloned());
                    gone.text.clone_from(&program[*at].text);
                }
            }
            let mut at = 0;
            program.retain(|_| {
                at += 1;
                !aside.iter().any(|(gone, _)| *gone == at - 1)
            });
        }
    }
}

/// One file, and the lines of each item in it.
fn file(program: &[Defined], ask: &str) -> (String, Vec<(usize, usize)>) {
    let mut lines = vec![(0, 0); program.len()];
    let mut text = String::new();
    let mut line = 1;
    let is_macro = |known: &Defined| known.text.starts_with("macro_rules!");
    // Macros are textual: they have to stand before what uses them.
    let order = (0..program.len())
        .filter(|at| is_macro(&program[*at]))
        .chain((0..program.len()).filter(|at| !is_macro(&program[*at])));
    for at in order.collect::<Vec<_>>() {
        let of = &program[at].text;
        lines[at] = (line, line + of.lines().count());
        line = lines[at].1;
        text.push_str(of);
        text.push('\n');
    }
    let body = if ask.is_empty() { String::new() } else { format!("println!(\"{{}}\", {ask});") };
    text.push_str(&format!("fn main() {{ {body} }}\n"));
    (text, lines)
}

/// An `impl` without one of its methods.
fn without_method(text: &str, method: &str) -> String {
    let start = text.find(&format!("fn {method}(")).expect("it has the method");
    let mut depth = 0;
    let len = text[start..].find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == '}' && depth == 0
    });
    let mut text = text.to_owned();
    text.replace_range(start..=start + len.expect("its body ends"), "");
    text
}

/// What rustc has against it.
fn check(folder: &std::path::Path, text: &str) -> Vec<Refusal> {
    let source = folder.join("check.rs");
    std::fs::write(&source, text).expect("its folder");
    let mut command = Command::new("rustc");
    command
        .args(["--edition=2024", "-Awarnings", "--error-format=json", "--emit=metadata", "--out-dir"])
        .arg(folder)
        .arg(&source);
    let done = command.output().expect("rustc runs");
    let messages = String::from_utf8_lossy(&done.stderr)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect::<Vec<Value>>();
    let errors = messages.iter().filter(|message| message["level"] == "error");
    let refusal = |message: &Value| {
        let span = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
        Some(Refusal {
            code: message["code"]["code"].as_str().unwrap_or("CompileError").to_owned(),
            message: message["message"].as_str().unwrap_or_default().to_owned(),
            line: outermost(span)["line_start"].as_u64()? as usize,
        })
    };
    errors.filter_map(refusal).collect()
}

/// Of an error in a macro, the place that called it.
fn outermost(span: &Value) -> &Value {
    match &span["expansion"] {
        Value::Object(expansion) => outermost(&expansion["span"]),
        _ => span,
    }
}
