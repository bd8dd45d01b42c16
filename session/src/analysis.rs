//! Completion and inspection: rust-analyzer, as evcxr brings it, on a thread of its own, so that it answers while a cell runs.
//!
//! It is given, as if somebody had typed it, what the session has made so far (items as they are, variables with their types) and then
//! what is being typed. So nothing is evaluated for it, and nothing inferred that the compiler has told already.

use crate::cellhost::IDLE_ENV;
use crate::evcxr_engine::{describe, only_folder};
use crate::event::{Bundle, Completion, Completions};
use crate::host::Host;
use crate::template::{CELL_DEPS, Template};
use crate::toolchain::Toolchain;
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use evcxr::{CommandContext, EvalContext};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// What has been made in the session, for the analysis. Written by the evaluator after each cell.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<Snapshot>>);

#[derive(Clone, Debug, Default)]
struct Snapshot {
    code: String,
    deps: Vec<(String, String)>,
}

impl Known {
    /// Replaces what is known: code that makes all of it, and the crates that cells have added.
    pub fn set(&self, code: String, deps: Vec<(String, String)>) {
        *self.lock() = Snapshot { code, deps };
    }

    fn get(&self) -> Snapshot {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

enum Ask {
    /// Get ready, if you are not.
    Warm,
    Complete(String, usize, Sender<Completions>),
    Inspect(String, usize, Sender<Option<Bundle>>),
}

/// The thread, from outside. It ends with the last of these.
#[derive(Clone)]
pub struct Analysis {
    asks: Sender<Ask>,
}

impl Analysis {
    /// Starts the thread. It loads nothing before it is warmed or asked.
    pub fn start(host: Arc<dyn Host>, known: Known) -> Analysis {
        let (asks, inbox) = unbounded();
        // Without a thread, every question finds that nothing is known.
        let _ = std::thread::Builder::new().name("mobula-analysis".into()).spawn(move || serve(&*host, &known, &inbox));
        Analysis { asks }
    }

    /// Has it load what it will need.
    pub fn warm(&self) {
        let _ = self.asks.send(Ask::Warm);
    }

    /// What could stand at byte `cursor`.
    pub fn complete(&self, code: &str, cursor: usize) -> Completions {
        let (reply, answer) = bounded(1);
        let _ = self.asks.send(Ask::Complete(code.to_owned(), cursor, reply));
        answer.recv().unwrap_or(Completions { start: cursor, end: cursor, items: Vec::new() })
    }

    /// What is known of the name at byte `cursor`.
    pub fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        let (reply, answer) = bounded(1);
        let _ = self.asks.send(Ask::Inspect(code.to_owned(), cursor, reply));
        answer.recv().ok().flatten()
    }
}

fn serve(host: &dyn Host, known: &Known, inbox: &Receiver<Ask>) {
    let mut analyst = None;
    for ask in inbox {
        let analyst = analyst.get_or_insert_with(|| {
            let made = catch_unwind(AssertUnwindSafe(|| Analyst::new(host)));
            made.unwrap_or_else(|_| Err("the analysis failed to start".into()))
        });
        let snapshot = known.get();
        match (ask, analyst) {
            (Ask::Warm, Ok(analyst)) => analyst.warm(&snapshot),
            (Ask::Complete(code, cursor, reply), Ok(analyst)) => {
                let _ = reply.send(analyst.complete(&snapshot, &code, cursor));
            }
            (Ask::Inspect(code, cursor, reply), Ok(analyst)) => {
                let _ = reply.send(analyst.inspect(&snapshot, &code, cursor));
            }
            (_, Err(_)) => {}
        }
    }
}

struct Analyst {
    context: CommandContext,
    deps: Vec<(String, String)>,
}

impl Analyst {
    fn new(host: &dyn Host) -> Result<Analyst, String> {
        let toolchain = Toolchain::find()?;
        let template = Template::prepare(host.embedded_crate(), &toolchain, &|_| ())?;
        let base = host.session_dir().join("analysis");
        std::fs::create_dir_all(&base).map_err(|error| error.to_string())?;
        // evcxr makes its folder where temporary folders are made; here that is the session's own.
        let _ = tempfile::env::override_temp_dir(&base);
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.env(IDLE_ENV, "1");
        let (context, outputs) = EvalContext::with_subprocess_command(command).map_err(|error| describe(&error))?;
        for receiver in [outputs.stdout, outputs.stderr] {
            std::thread::spawn(move || receiver.iter().for_each(drop));
        }
        let dir = only_folder(&base).ok_or("the analysis made no folder")?;
        template.link_into(&dir).map_err(|error| error.to_string())?;
        let mut analyst = Analyst { context: CommandContext::with_eval_context(context), deps: Vec::new() };
        let mut setup = format!(":offline 1\n:dep mobula = {}\n", template.mobula_dep());
        for (name, requirement) in CELL_DEPS {
            setup.push_str(&format!(":dep {name} = {requirement}\n"));
        }
        analyst.context.execute(&setup).map_err(|error| describe(&error))?;
        template.restore_lock(&dir).map_err(|error| error.to_string())?;
        Ok(analyst)
    }

    /// The first question loads and indexes what all later ones use.
    fn warm(&mut self, snapshot: &Snapshot) {
        let code = "let warm = f.remote(1); let v: Vec<i64> = Vec::new(); v.";
        drop(self.complete(snapshot, code, code.len()));
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

    fn complete(&mut self, snapshot: &Snapshot, code: &str, cursor: usize) -> Completions {
        let before = self.before(snapshot);
        let whole = format!("{before}{code}");
        let found = catch_unwind(AssertUnwindSafe(|| self.context.completions(&whole, before.len() + cursor)));
        let Ok(Ok(found)) = found else { return Completions { start: cursor, end: cursor, items: Vec::new() } };
        let place = |offset: usize| offset.saturating_sub(before.len()).min(code.len());
        Completions {
            start: place(found.start_offset),
            end: place(found.end_offset),
            items: found
                .completions
                .into_iter()
                .map(|item| Completion { code: item.code, kind: item.kind.to_owned(), label: item.label })
                .filter(|item| !is_ours(&item.code))
                .collect(),
        }
    }

    fn inspect(&mut self, snapshot: &Snapshot, code: &str, cursor: usize) -> Option<Bundle> {
        let end = end_of_name(code, cursor)?;
        let before = self.before(snapshot);
        let whole = format!("{before}{code}");
        let found = catch_unwind(AssertUnwindSafe(|| self.context.hover_at(&whole, before.len() + end)));
        let (plain, html) = found.ok()?.ok()?;
        if plain == "No documentation found" {
            return None;
        }
        let mut bundle = Bundle::text(plain);
        bundle.data.insert("text/html".into(), html.into());
        Some(bundle)
    }
}

/// A name of the glue, of no interest to a person.
fn is_ours(name: &str) -> bool {
    name.starts_with("evcxr_") || name.starts_with("mobula_private")
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
