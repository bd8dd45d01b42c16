//! The process that completes and inspects: rust-analyzer, as evcxr brings it, apart from the session. It takes hundreds of MiB and may
//! die of what is typed; neither is to trouble those who run cells. One JSON message a line on its standard input and output.
//!
//! It is given, as if somebody had typed it, what the session has made so far (items as they are, variables with their types) and then
//! what is being typed. So nothing is evaluated for it, and nothing inferred that the compiler has told already.

use crate::base::Template;
use crate::cellhost::IDLE_ENV;
use crate::evcxr_context;
use crate::event::{Bundle, Completion, Completions};
use crate::host::EmbeddedFile;
use crate::toolchain::Toolchain;
use evcxr::CommandContext;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names its folder to this process, and that it is to be one of these.
pub const ANALYST_ENV: &str = "MOBULA_ANALYST";

/// What has been made in the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Code that makes all of it.
    pub code: String,
    /// The crates that cells have added: name, and what Cargo is asked for.
    pub deps: Vec<(String, String)>,
}

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Get ready.
    Warm(Snapshot),
    /// What could stand at byte `.2` of `.1`?
    Complete(Snapshot, String, usize),
    /// What is known of the name there?
    Inspect(Snapshot, String, usize),
}

/// Its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Where the text begins that a candidate replaces, and where it ends.
    pub place: (usize, usize),
    /// Candidates: text, kind, label.
    pub items: Vec<(String, String, String)>,
    /// Plain text and HTML.
    pub inspected: Option<(String, String)>,
}

impl Answer {
    /// As a front end takes it.
    pub fn completions(self) -> Completions {
        let item = |(code, kind, label)| Completion { code, kind, label };
        Completions { start: self.place.0, end: self.place.1, items: self.items.into_iter().map(item).collect() }
    }

    /// As a front end takes it.
    pub fn bundle(self) -> Option<Bundle> {
        let (plain, html) = self.inspected?;
        let mut bundle = Bundle::text(plain);
        bundle.data.insert("text/html".into(), html.into());
        Some(bundle)
    }
}

/// Answers questions and never returns, if this process was started for that; returns otherwise. To be called before any thread exists.
pub fn run_if_asked(files: &[EmbeddedFile]) {
    let Some(folder) = std::env::var_os(ANALYST_ENV).map(PathBuf::from) else { return };
    crate::library::forget_role(&[ANALYST_ENV]);
    // Ctrl-C is for the cell, and ends nothing here.
    let _ = rustix::process::setpgid(None, None);
    // In the middle of something it does not read, and so does not see that nobody is left to ask it.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(c"mobula-analyst");
    let mut analyst = Analyst::new(files, &folder);
    if let Err(error) = &analyst {
        eprintln!("mobula: completion is not available: {error}");
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let answer = match (serde_json::from_str(&line), &mut analyst) {
            (Ok(ask), Ok(analyst)) => analyst.answer(&ask),
            _ => Answer::default(),
        };
        let text = serde_json::to_string(&answer).unwrap_or_default();
        if writeln!(std::io::stdout(), "{text}").is_err() {
            break;
        }
    }
    std::process::exit(0)
}

struct Analyst {
    context: CommandContext,
    deps: Vec<(String, String)>,
}

impl Analyst {
    fn new(files: &[EmbeddedFile], base: &Path) -> Result<Analyst, String> {
        let toolchain = Toolchain::find()?;
        toolchain.has_source()?;
        let template = Template::prepare(files, &toolchain, &|_| ())?;
        let _ = std::fs::remove_dir_all(base);
        std::fs::create_dir_all(base).map_err(|error| error.to_string())?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.env(IDLE_ENV, "1");
        let (mut context, dir) = evcxr_context::open(command, base, &template)?;
        evcxr_context::set_up(&mut context, ":offline 1\n".into(), &dir, &template)?;
        Ok(Analyst { context, deps: Vec::new() })
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

    /// What the session has made, before what is typed.
    fn before(&mut self, snapshot: &Snapshot) -> String {
        for (name, requirement) in &snapshot.deps {
            if !self.deps.contains(&(name.clone(), requirement.clone())) {
                let _ = self.context.execute(&format!(":dep {name} = {requirement}"));
            }
        }
        self.deps.clone_from(&snapshot.deps);
        format!("use mobula::prelude::*; use serde::{{Serialize, Deserialize}};\n{}\n", snapshot.code)
    }

    fn complete(&mut self, snapshot: &Snapshot, code: &str, cursor: usize) -> Answer {
        let before = self.before(snapshot);
        let whole = format!("{before}{code}");
        let found = catch_unwind(AssertUnwindSafe(|| self.context.completions(&whole, before.len() + cursor)));
        let Ok(Ok(found)) = found else { return Answer { place: (cursor, cursor), ..Answer::default() } };
        let place = |offset: usize| offset.saturating_sub(before.len()).min(code.len());
        let items = found.completions.into_iter().filter(|item| !is_ours(&item.code));
        Answer {
            place: (place(found.start_offset), place(found.end_offset)),
            items: items.map(|item| (item.code, item.kind.to_owned(), item.label)).collect(),
            inspected: None,
        }
    }

    fn inspect(&mut self, snapshot: &Snapshot, code: &str, cursor: usize) -> Option<(String, String)> {
        let end = end_of_name(code, cursor)?;
        let before = self.before(snapshot);
        let whole = format!("{before}{code}");
        let found = catch_unwind(AssertUnwindSafe(|| self.context.hover_at(&whole, before.len() + end)));
        let (plain, html) = found.ok()?.ok()?;
        (plain != "No documentation found").then_some((plain, html))
    }
}

/// A name of the glue, of no interest to a person.
fn is_ours(name: &str) -> bool {
    name.starts_with("evcxr_")
}

/// Where the name ends that byte `cursor` is in, or behind.
fn end_of_name(code: &str, cursor: usize) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let cursor = (0..=cursor.min(code.len())).rev().find(|at| code.is_char_boundary(*at))?;
    let end = code[cursor..].char_indices().find(|(_, c)| !part(*c)).map_or(code.len(), |(at, _)| cursor + at);
    code[..end].chars().next_back().filter(|c| part(*c)).map(|_| end)
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
