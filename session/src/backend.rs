//! evcxr, on a thread of its own: makes it ready, gives it cells, turns what comes back into outcomes.

use crate::event::{Bundle, CellError, CellId, Completion, Completions, Event, Outcome, Phase, Sink, Stream};
use crate::host::Host;
use crate::link::Link;
use crate::link_wire::SOCKET_ENV;
use crate::record::Record;
use crate::report;
use crate::sources::Sources;
use crate::template::{CELL_DEPS, OPT_LEVEL, Template};
use crate::toolchain::Toolchain;
use crate::wrapper::WRAPPER_ENV;
use crate::{InputReader, InputRequest};
use evcxr::{CommandContext, Error, EvalCallbacks, EvalContext, EvalOutputs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What every cell finds in scope. The `?` makes evcxr prepare for `?` now: it learns of it by failing to compile once, and
/// in that round gives up on showing the last expression as its type wants to be shown.
const PRELUDE: &str = "use mobula::prelude::*; use serde::{Serialize, Deserialize}; Ok::<(), String>(())?;";

/// evcxr and what belongs to it. Lives and dies on one thread.
pub struct Backend {
    context: CommandContext,
    dir: PathBuf,
    template: Template,
    sources: Arc<Sources>,
    link: Arc<Link>,
    sink: Sink,
}

impl Backend {
    /// Makes evcxr ready: its child, the analyzer, the crate that cells are compiled against.
    ///
    /// # Errors
    /// A sentence that says what is missing, or what the compiler said.
    pub fn start(host: &dyn Host, link: Arc<Link>, sources: Arc<Sources>, sink: Sink) -> Result<Backend, String> {
        let toolchain = Toolchain::find()?;
        let notice = |text: String| sink(Event::Notice { text });
        let template = Template::prepare(host.embedded_crate(), &toolchain, &notice)?;

        let base = host.session_dir().join("cells");
        std::fs::create_dir_all(&base).map_err(|error| format!("the session's folder cannot be written: {error}"))?;
        // evcxr makes its folder where temporary folders are made; here that is the session's own.
        let _ = tempfile::env::override_temp_dir(&base);

        let program = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
        let mut command = Command::new(&program);
        command.envs(host.cell_host_env()).env(SOCKET_ENV, link.socket());
        let (context, outputs) = EvalContext::with_subprocess_command(command).map_err(|error| error.to_string())?;
        // evcxr waits until these are drained; everything worth reading goes another way.
        for receiver in [outputs.stdout, outputs.stderr] {
            std::thread::spawn(move || receiver.iter().for_each(drop));
        }

        let dir = only_folder(&base).ok_or("the evaluator made no folder")?;
        sources.set_generated(dir.join("src/lib.rs"));
        template.link_into(&dir).map_err(|error| format!("the prepared crate cannot be linked: {error}"))?;
        let mut backend =
            Backend { context: CommandContext::with_eval_context(context), dir, template, sources, link, sink };
        backend.add_crates(&program)?;
        Ok(backend)
    }

    fn add_crates(&mut self, program: &Path) -> Result<(), String> {
        // Commands, because a `CommandContext` gives no other way to its state.
        let mut setup = format!(":opt {OPT_LEVEL}\n:offline 1\n");
        setup.push_str(&format!(":build_env RUSTC_WORKSPACE_WRAPPER={}\n", program.display()));
        setup.push_str(&format!(":build_env {WRAPPER_ENV}=1\n"));
        setup.push_str(&format!(":dep mobula = {}\n", self.template.mobula_dep()));
        for (name, requirement) in CELL_DEPS {
            setup.push_str(&format!(":dep {name} = {requirement}\n"));
        }
        self.context.execute(&setup).map_err(|error| describe(&error))?;
        // Each `:dep` was tried alone and left the lock file with its own crates only.
        self.template.restore_lock(&self.dir).map_err(|error| error.to_string())?;
        self.context.execute(PRELUDE).map_err(|error| describe(&error))?;
        Ok(())
    }

    /// Runs one cell.
    pub fn execute(&mut self, cell: CellId, code: &str, input: Option<InputReader>) -> Outcome {
        if code.lines().any(|line| line.trim() == ":quit") {
            // evcxr would end this whole process.
            let text = "`:quit` is for the prompt; a notebook is ended by shutting its kernel down";
            return Outcome { cell, result: Err(report::plain_error("CommandError", text)), phases: Vec::new() };
        }
        self.sources.add_cell(cell, code);
        self.link.begin(cell);
        let begin = Instant::now();
        let ask = |prompt, is_password| {
            input.as_ref().and_then(|input| input(InputRequest { prompt, is_password })).unwrap_or_default()
        };
        let adds_crates = code
            .lines()
            .any(|line| line.trim_start().starts_with(":dep") || line.trim_start().starts_with("extern crate"));
        if adds_crates {
            let _ = self.context.execute(":offline 0");
            // evcxr writes this file only when it compiles, which is after it has asked cargo for the crate.
            let _ = std::fs::write(self.dir.join(".cargo/config.toml"), "[net]\noffline = false\n");
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut callbacks = EvalCallbacks { input_reader: &|asked| ask(asked.prompt, asked.is_password) };
            self.context.execute_with_callbacks(code, &mut callbacks)
        }));
        if adds_crates {
            let _ = self.context.execute(":offline 1");
        }
        let record = self.link.end();
        let phases = phases(begin, &record);
        let result = match result {
            Ok(Ok(outputs)) => self.judge(cell, &record, outputs),
            Ok(Err(Error::CompilationErrors(errors))) => {
                Err(report::compile_errors(&errors, &format!("cell {cell}"), code))
            }
            Ok(Err(error)) => Err(self.other_error(&error, &record)),
            Err(_) => Err(report::plain_error(
                "SessionError",
                "the evaluator failed on this cell; the session goes on, and this is a mistake of ours worth reporting",
            )),
        };
        Outcome { cell, result, phases }
    }

    /// What the cell's run means, where evcxr found nothing to complain about.
    fn judge(&self, cell: CellId, record: &Record, outputs: EvalOutputs) -> Result<(), CellError> {
        if let Some(message) = &record.load_failed {
            return Err(report::plain_error("SessionError", &format!("the cell could not be run: {message}")));
        }
        if let Some(death) = &record.death {
            return Err(if record.interrupted {
                report::interrupted(true)
            } else {
                report::died(death, &format!("cell {cell}"))
            });
        }
        // Panics that did not end the cell: of threads, or caught.
        let (ending, others) = match record.panics.split_last() {
            Some((last, others)) if record.panicked => (Some(last), others),
            _ => (None, &record.panics[..]),
        };
        for panic in others {
            let place = self.sources.find_panic(record.library.as_deref(), panic);
            let text = report::panic(panic, place.as_ref()).plain + "\n";
            (self.sink)(Event::Text { cell, stream: Stream::Stderr, text });
        }
        if record.panicked {
            if record.interrupted && ending.is_none() {
                return Err(report::interrupted(false));
            }
            let place = ending.and_then(|panic| self.sources.find_panic(record.library.as_deref(), panic));
            return Err(report::panicked(ending, place.as_ref()));
        }
        if record.failed {
            let text = record.error.as_deref().unwrap_or("the cell ended with an error");
            return Err(report::plain_error("Error", text));
        }
        if !outputs.content_by_mime_type.is_empty() {
            let data = outputs.content_by_mime_type.into_iter().map(|(mime, text)| (mime, text.into())).collect();
            (self.sink)(Event::Result { cell, bundle: Bundle { data, ..Bundle::default() } });
        }
        Ok(())
    }

    fn other_error(&self, error: &Error, record: &Record) -> CellError {
        match error {
            Error::SubprocessTerminated(_) => report::plain_error(
                "Crashed",
                &format!(
                    "the process that runs the cells {} and so did its copy: the variables are lost; functions, types, objects and tasks are not",
                    record.death.as_ref().map_or("died".to_owned(), ToString::to_string)
                ),
            ),
            other => report::plain_error("CommandError", &describe(other)),
        }
    }

    /// What could stand at byte `cursor`.
    pub fn complete(&mut self, code: &str, cursor: usize) -> Completions {
        let found = catch_unwind(AssertUnwindSafe(|| self.context.completions(code, cursor)));
        let Ok(Ok(found)) = found else { return Completions { start: cursor, end: cursor, items: Vec::new() } };
        let items = found
            .completions
            .into_iter()
            .map(|item| Completion { code: item.code, kind: item.kind.to_owned(), label: item.label })
            .collect();
        Completions { start: found.start_offset, end: found.end_offset, items }
    }

    /// The documentation of the name at byte `cursor`.
    pub fn inspect(&mut self, code: &str, cursor: usize) -> Option<Bundle> {
        let name = name_at(code, cursor)?;
        let found = catch_unwind(AssertUnwindSafe(|| self.context.execute(&format!(":doc {name}"))));
        let outputs = found.ok()?.ok()?;
        let bundle = Bundle {
            data: outputs.content_by_mime_type.into_iter().map(|(mime, text)| (mime, text.into())).collect(),
            ..Bundle::default()
        };
        bundle.plain().is_some_and(|text| text != "No documentation found").then_some(bundle)
    }
}

/// The path that ends at, or spans, byte `cursor`: `std::fs::read`, `Vec`.
fn name_at(code: &str, cursor: usize) -> Option<&str> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let cursor = (0..=cursor.min(code.len())).rev().find(|at| code.is_char_boundary(*at))?;
    let start = code[..cursor].char_indices().rev().take_while(|(_, c)| part(*c)).last().map_or(cursor, |(at, _)| at);
    let end = code[cursor..].char_indices().find(|(_, c)| !part(*c)).map_or(code.len(), |(at, _)| cursor + at);
    let name = code[start..end].trim_matches(':');
    (!name.is_empty() && !name.starts_with(char::is_numeric)).then_some(name)
}

fn describe(error: &Error) -> String {
    match error {
        Error::CompilationErrors(errors) => errors.iter().map(|error| error.message()).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn phases(begin: Instant, record: &Record) -> Vec<Phase> {
    let end = Instant::now();
    let phase = |name: &str, took: Duration| Phase { name: name.to_owned(), took };
    match (record.loaded_at, record.done_at) {
        (Some(loaded), Some(done)) => vec![
            phase("compile", loaded.saturating_duration_since(begin)),
            phase("run", done.saturating_duration_since(loaded)),
            phase("checkpoint", Duration::from_micros(record.fork_us)),
            phase("total", end - begin),
        ],
        _ => vec![phase("total", end - begin)],
    }
}

fn only_folder(dir: &Path) -> Option<PathBuf> {
    std::fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::name_at;

    #[test]
    fn the_name_under_the_cursor_is_a_whole_path() {
        assert_eq!(name_at("let x = std::fs::read(y)", 12), Some("std::fs::read"));
        assert_eq!(name_at("Vec", 3), Some("Vec"));
        assert_eq!(name_at("f(ä)", 3), Some("ä"));
        assert_eq!(name_at("1 + 2", 0), None);
        assert_eq!(name_at("", 0), None);
    }
}
