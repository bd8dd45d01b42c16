//! The analyst, the process that completes and inspects: rust-analyzer, apart from the session. It takes hundreds of MiB and may die of
//! what is typed; neither is to disturb the cells. One JSON message a line on its standard input and output.
//!
//! ```text
//!   mod       the process: questions, answers
//!   queries   the file that is typed in, and what can be asked of it
//!   library   what is there before: crates, the standard library
//!   analysis  the session's side                    outline, std_names  completion without the process
//! ```
//!
//! It is given a text as if a person had typed it: first what the session has made (items as they are, variables with their types), then
//! what is being typed. So nothing is evaluated for it, and it infers nothing that the compiler has told already.

pub(crate) mod analysis;
mod library;
pub(crate) mod outline;
mod queries;
pub(crate) mod std_names;

use crate::analyst::outline::is_part_of_name;
use crate::analyst::std_names::{Maker, StdNames};
use crate::base::toolchain::Toolchain;
use crate::base::{Template, manifest};
use crate::event::{Bundle, Completion, Completions};
use crate::host::EmbeddedFile;
use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};
use queries::Typed;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes this process the analyst, and names its folder.
pub const ANALYST_ENV: &str = "MOBULA_ANALYST";

/// What has been made in the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its items and imports.
    pub items: String,
    /// Statements that make its variables.
    pub variables: String,
    /// The crates that cells have added.
    pub crates: Crates,
}

/// The crates that cells have added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Crates {
    /// Name and Cargo requirement of each.
    pub deps: Vec<(String, String)>,
    /// The lock file with their versions, once there are any.
    pub lock: Option<PathBuf>,
    /// How often they were built: after another build, the files of those on this machine may be others.
    pub builds: u32,
}

/// A question to the analyst.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Get ready.
    Warm(Snapshot),
    /// What could stand at byte `.2` of `.1`?
    Complete(Snapshot, String, usize),
    /// What is known of the name there?
    Inspect(Snapshot, String, usize),
}

/// The answer to a question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Where the text that a candidate replaces begins and ends.
    pub place: (usize, usize),
    /// Candidates: text, kind, label.
    pub items: Vec<(String, String, String)>,
    /// Plain text and HTML.
    pub inspected: Option<(String, String)>,
    /// Why the analyst can answer nothing.
    pub why_not: Option<String>,
}

impl Ask {
    /// What the session had made when the question was asked.
    pub fn snapshot(&self) -> &Snapshot {
        let (Ask::Warm(snapshot) | Ask::Complete(snapshot, ..) | Ask::Inspect(snapshot, ..)) = self;
        snapshot
    }
}

impl Answer {
    /// The answer as a front end takes it.
    pub fn completions(self) -> Completions {
        let item = |(code, kind, label)| Completion { code, kind, label };
        Completions { start: self.place.0, end: self.place.1, items: self.items.into_iter().map(item).collect() }
    }

    /// The answer as a front end takes it.
    pub fn bundle(self) -> Option<Bundle> {
        let (plain, html) = self.inspected?;
        let mut bundle = Bundle::text(plain);
        bundle.data.insert("text/html".into(), html.into());
        Some(bundle)
    }
}

/// Answers questions and never returns, if this process was started for that; returns otherwise. Must be called before any thread exists.
pub fn run_if_asked(files: &[EmbeddedFile]) {
    let Some(folder) = std::env::var_os(ANALYST_ENV).map(PathBuf::from) else { return };
    crate::cellhost::library::forget_role(&[ANALYST_ENV]);
    // Ctrl-C is for the cell, and must not end this process.
    let _ = rustix::process::setpgid(None, None);
    // While it computes it does not read, and so does not see that the session is gone.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(c"mobula-analyst");
    let mut analyst = get_ready(files, &folder);
    let mut maker = (analyst.is_ok() && !StdNames::are_kept()).then(Maker::new);
    let questions = questions();
    loop {
        let line = match (questions.recv_timeout(if maker.is_some() { REST } else { Duration::MAX }), &mut analyst) {
            (Ok(line), _) => line,
            // No question waits: makes the names for later sessions.
            (Err(RecvTimeoutError::Timeout), Ok(analyst)) => {
                while let Some(made) = maker.as_mut().filter(|_| questions.is_empty()) {
                    // With the crates that it has read: others would be read now, and these again for the next question.
                    let bare = Snapshot { crates: analyst.crates.clone(), ..Snapshot::default() };
                    if let Some(names) = made.step(|text| analyst.complete(&bare, text, text.len()).items) {
                        names.keep();
                        maker = None;
                    }
                }
                continue;
            }
            _ => break,
        };
        let answer = match (serde_json::from_str(&line), &mut analyst) {
            (Ok(ask), Ok(analyst)) => analyst.answer(&ask),
            (_, Err(why)) => Answer { why_not: Some(why.clone()), ..Answer::default() },
            (Err(_), _) => Answer::default(),
        };
        let text = serde_json::to_string(&answer).unwrap_or_default();
        if writeln!(std::io::stdout(), "{text}").is_err() {
            break;
        }
    }
    std::process::exit(0)
}

/// After so long without a question, the names are made that later sessions want to know at once.
const REST: Duration = Duration::from_secs(2);

/// The lines of standard input, in a channel, so that waiting for one can time out. It ends with the input.
fn questions() -> Receiver<String> {
    let (say, questions) = unbounded();
    let read = move || std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| say.send(line));
    // If no thread can be started, there are no questions, and the process ends.
    let _ = std::thread::Builder::new().name("mobula-questions".into()).spawn(read);
    questions
}

/// Reads the sources, at a lower priority than the cells that run meanwhile.
fn get_ready(files: &[EmbeddedFile], folder: &Path) -> Result<Analyst, String> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // For this thread alone: a lowered priority cannot be raised again.
            let _ = rustix::process::nice(5);
            let mut analyst = Analyst::new(files, folder)?;
            analyst.answer(&Ask::Warm(Snapshot::default()));
            Ok(analyst)
        });
        reader.join().unwrap_or_else(|_| Err("the standard library's source could not be read".into()))
    })
}

/// The beginning of every text.
const PRELUDE: &str = "use mobula::prelude::*;\nuse serde::{Deserialize, Serialize};\n";

struct Analyst {
    template: Template,
    sysroot: PathBuf,
    dir: PathBuf,
    typed: Typed,
    crates: Crates,
}

impl Analyst {
    fn new(files: &[EmbeddedFile], base: &Path) -> Result<Analyst, String> {
        let toolchain = Toolchain::find()?;
        toolchain.has_source()?;
        let template = Template::prepare(files, &toolchain, &|_| ())?;
        let typed = open(base, &template, &toolchain.sysroot, &Crates::default())?;
        Ok(Analyst { template, sysroot: toolchain.sysroot, dir: base.to_owned(), typed, crates: Crates::default() })
    }

    fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            // The first question loads and indexes what all later ones use.
            Ask::Warm(snapshot) => {
                let code = "let warm = f.remote(1); let v: Vec<i64> = Vec::new(); v.";
                self.complete(snapshot, code, code.len())
            }
            Ask::Complete(snapshot, code, cursor) => self.complete(snapshot, code, *cursor),
            Ask::Inspect(snapshot, code, cursor) => {
                Answer { inspected: self.inspect(snapshot, code, *cursor), ..Answer::default() }
            }
        }
    }

    /// Puts what is typed behind what the session has made. Returns where it begins.
    fn set(&mut self, snapshot: &Snapshot, code: &str) -> usize {
        if self.crates != snapshot.crates {
            // If that fails, at least everything else is known.
            if let Ok(typed) = open(&self.dir, &self.template, &self.sysroot, &snapshot.crates) {
                self.typed = typed;
            }
            self.crates.clone_from(&snapshot.crates);
        }
        // Items stand alone: what is typed is in a function, and so changes nothing that is known of them.
        let before = format!("{PRELUDE}{}\nasync fn mobula_session() {{\n{}\n", snapshot.items, snapshot.variables);
        let begin = before.len();
        self.typed.set(format!("{before}{code}\n}}\n"));
        begin
    }

    fn complete(&mut self, snapshot: &Snapshot, code: &str, cursor: usize) -> Answer {
        let begin = self.set(snapshot, code);
        let found = catch_unwind(AssertUnwindSafe(|| self.typed.complete(begin + cursor)));
        let Ok(Some(found)) = found else { return Answer { place: (cursor, cursor), ..Answer::default() } };
        let place = |offset: usize| offset.saturating_sub(begin).min(code.len());
        let items = found.items.into_iter().filter(|(text, ..)| !is_ours(text));
        Answer { place: (place(found.place.0), place(found.place.1)), items: items.collect(), ..Answer::default() }
    }

    fn inspect(&mut self, snapshot: &Snapshot, code: &str, cursor: usize) -> Option<(String, String)> {
        let end = end_of_name(code, cursor)?;
        let begin = self.set(snapshot, code);
        let name = code[..end].rsplit(|c| !is_part_of_name(c)).next().unwrap_or_default();
        let is_alone = name.len() == code.trim().len();
        let found = catch_unwind(AssertUnwindSafe(|| {
            // A name that is not in scope is looked for only if it is all that was typed.
            self.typed.inspect(begin + end).or_else(|| self.typed.inspect_elsewhere(name).filter(|_| is_alone))
        }));
        let (plain, markdown) = found.ok()??;
        // The first line names the module; that of the session itself is left out.
        let plain = plain.strip_prefix("session\n").map_or(plain.clone(), |rest| rest.trim_start().to_owned());
        let markdown =
            markdown.trim_start().strip_prefix("```rust\nsession\n```").map_or(markdown.clone(), str::to_owned);
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(&markdown));
        Some((plain, html))
    }
}

/// Writes a project with the crates of the session into `dir` and reads it.
fn open(dir: &Path, template: &Template, sysroot: &Path, crates: &Crates) -> Result<Typed, String> {
    let deps = template.deps_with(&crates.deps);
    let write = || {
        std::fs::create_dir_all(dir.join("src"))?;
        std::fs::write(dir.join("src/lib.rs"), "")?;
        std::fs::write(dir.join("Cargo.toml"), manifest("session", "lib", &deps))?;
        std::fs::copy(crates.lock.clone().unwrap_or_else(|| template.lock()), dir.join("Cargo.lock")).map(drop)
    };
    write().map_err(|error: std::io::Error| format!("{} cannot be written: {error}", dir.display()))?;
    Typed::open(dir, sysroot)
}

/// A name of the glue, of no interest to a person.
fn is_ours(name: &str) -> bool {
    name.starts_with("evcxr_") || name.starts_with("mobula_session")
}

/// The end of the name that byte `cursor` is in, or behind.
fn end_of_name(code: &str, cursor: usize) -> Option<usize> {
    let cursor = (0..=cursor.min(code.len())).rev().find(|at| code.is_char_boundary(*at))?;
    let end =
        code[cursor..].char_indices().find(|(_, c)| !is_part_of_name(*c)).map_or(code.len(), |(at, _)| cursor + at);
    code[..end].chars().next_back().filter(|c| is_part_of_name(*c)).map(|_| end)
}

#[cfg(test)]
mod tests {
    use super::end_of_name;

    #[test]
    fn the_name_under_the_cursor_is_taken_to_its_end() {
        assert_eq!(end_of_name("let x = std::fs::read(y)", 9), Some(11));
        assert_eq!(end_of_name("let x = std::fs::read(y)", 12), None);
        assert_eq!(end_of_name("Vec", 3), Some(3));
        assert_eq!(end_of_name("f(ä)", 2), Some("f(ä".len()));
        assert_eq!(end_of_name("1 + ", 3), None);
        assert_eq!(end_of_name("", 0), None);
    }
}
