//! evcxr's evaluator: makes it ready, gives it cells, turns its results into outcomes. A setting chooses it instead of the direct one.

use crate::analyst::Snapshot;
use crate::analyst::analysis::Known;
use crate::base::rustc_wrapper::WRAPPER_ENV;
use crate::base::toolchain::Toolchain;
use crate::base::{OPT_LEVEL, Template, own_program};
use crate::evcxr::context::{self, describe};
use crate::event::{Bundle, CellError, CellId, Event, InputReader, InputRequest, Outcome, Phase, Stream};
use crate::link::Link;
use crate::link::wire::SOCKET_ENV;
use crate::outlet::Outlet;
use crate::parts::Parts;
use crate::reports::outcome;
use crate::reports::record::Record;
use crate::reports::report;
use crate::reports::sources::Sources;
use evcxr::{CommandContext, Error, EvalCallbacks, EvalOutputs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// What every cell has in scope. The `?` makes evcxr prepare for `?` now. Otherwise evcxr learns of a `?` by failing to compile once, and
/// in that round gives up on showing the last expression as its type wants to be shown.
const PRELUDE: &str = "use mobula::prelude::*; use serde::{Serialize, Deserialize}; Ok::<(), String>(())?;";

/// evcxr and what belongs to it. It stays on one thread.
pub struct Evcxr {
    context: CommandContext,
    dir: PathBuf,
    template: Template,
    sources: Arc<Sources>,
    link: Arc<Link>,
    outlet: Arc<dyn Outlet>,
    known: Known,
    /// Items and variables of cells that ended well, for the analyst.
    made: String,
    /// Whether the twin is older than the cell host's newest state.
    is_unguarded: bool,
}

impl Evcxr {
    /// Makes evcxr ready: its child, the analyzer, the crate that cells are compiled against.
    ///
    /// # Errors
    /// A sentence that says what is missing, or what the compiler said.
    pub fn start(parts: Parts) -> Result<Evcxr, String> {
        let Parts { host, link, sources, outlet, known, .. } = parts;
        let toolchain = Toolchain::find()?;
        toolchain.has_source()?;
        let notice = |text: String| outlet.put(Event::Notice { text });
        let template = Template::prepare(host.embedded_crate(), &toolchain, &notice)?;

        let base = host.session_dir().join("cells");
        std::fs::create_dir_all(&base).map_err(|error| format!("the session's folder cannot be written: {error}"))?;
        let program = own_program();
        let mut command = Command::new(&program);
        command.envs(host.cell_host_env()).env(SOCKET_ENV, link.socket());
        let (context, dir) = context::open(command, &base, &template)?;
        sources.set_generated(dir.join("src/lib.rs"));
        let mut engine =
            Evcxr { context, dir, template, sources, link, outlet, known, made: String::new(), is_unguarded: false };
        engine.add_crates(&program)?;
        Ok(engine)
    }

    fn add_crates(&mut self, program: &Path) -> Result<(), String> {
        // Commands, because a `CommandContext` gives no other access to its state.
        let mut setup = format!(":opt {OPT_LEVEL}\n:offline 1\n");
        setup.push_str(&format!(":build_env RUSTC_WORKSPACE_WRAPPER={}\n", program.display()));
        setup.push_str(&format!(":build_env {WRAPPER_ENV}=1\n"));
        context::set_up(&mut self.context, setup, &self.dir, &self.template)?;
        self.context.execute(PRELUDE).map_err(|error| describe(&error))?;
        Ok(())
    }

    /// Runs one cell.
    pub fn execute(&mut self, cell: CellId, code: &str, input: Option<InputReader>) -> Outcome {
        if code.lines().any(|line| line.trim() == ":quit") {
            // evcxr would end this whole process.
            let text = "`:quit` is for the prompt; a notebook is ended by shutting its kernel down";
            return Outcome {
                cell,
                result: Err(report::plain_error("CommandError", text)),
                phases: Vec::new(),
                exit: None,
            };
        }
        self.sources.add_cell(cell, code);
        self.go_back();
        self.link.begin(cell, input.clone());
        let begin = Instant::now();
        let ask = |prompt, is_password| {
            self.outlet.settle();
            input.as_ref().and_then(|input| input(InputRequest { prompt, is_password })).unwrap_or_default()
        };
        // The cell asks again: for what is there in vain, for what cannot be had with an error in its place.
        let asked = context::asked_crates(code);
        let is_here = context::add_crates(&mut self.context, &asked, &self.dir).is_ok();
        let adds_crates = !is_here || code.lines().any(|line| line.trim_start().starts_with("extern crate"));
        if adds_crates {
            let _ = self.context.execute(":offline 0");
            // evcxr writes this file only when it compiles, which is after it has asked cargo for the crate.
            let _ = std::fs::write(self.dir.join(".cargo/config.toml"), "[net]\noffline = false\n");
            let _ = context::add_crates(&mut self.context, &asked, &self.dir);
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut callbacks = EvalCallbacks { input_reader: &|asked| ask(asked.prompt, asked.is_password) };
            self.context.execute_with_callbacks(code, &mut callbacks)
        }));
        if adds_crates {
            let _ = self.context.execute(":offline 1");
        }
        let record = self.link.end();
        self.go_back();
        self.note_guard(cell, &record);
        let phases = phases(begin, &record);
        let result = match result {
            Ok(Ok(outputs)) => self.judge(cell, &record, outputs),
            Ok(Err(Error::CompilationErrors(errors))) => {
                let findings = report::findings(&errors, cell, code);
                Err(report::compile_errors(findings, cell, &|cell| self.sources.code(cell)))
            }
            Ok(Err(error)) => Err(self.other_error(&error, &record)),
            Err(_) => Err(report::plain_error(
                "SessionError",
                "the evaluator failed on this cell; the session goes on, and this is a bug in Mobula; please report it",
            )),
        };
        if result.is_ok() {
            self.made.push_str(code);
            self.made.push_str(";\n");
            self.known.set(Snapshot { variables: self.made.clone(), ..Snapshot::default() });
        }
        Outcome { cell, result, phases, exit: None }
    }

    /// Runs the callbacks for which messages wait, as a part of `cell`, in which they were set. evcxr compiles a cell for that.
    pub fn run_callbacks(&mut self, cell: CellId) {
        self.go_back();
        let before = self.link.begin_callbacks(cell);
        let ran = catch_unwind(AssertUnwindSafe(|| self.context.execute("::mobula::__private::run_callbacks();")));
        let record = self.link.end_callbacks(before);
        self.go_back();
        self.note_guard(cell, &record);
        let result = match ran {
            Ok(Ok(_)) => outcome::judge(cell, &record, &self.sources, &*self.outlet),
            Ok(Err(error)) => Err(self.other_error(&error, &record)),
            Err(_) => Err(report::plain_error("SessionError", "the evaluator failed on the callbacks of this cell")),
        };
        if let Err(error) = result {
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: error.ansi + "\n" });
        }
    }

    /// The outcome of a cell's run in which evcxr met no error.
    fn judge(&self, cell: CellId, record: &Record, outputs: EvalOutputs) -> Result<(), CellError> {
        outcome::judge(cell, record, &self.sources, &*self.outlet)?;
        if !outputs.content_by_mime_type.is_empty() {
            let data = outputs.content_by_mime_type.into_iter().map(|(mime, text)| (mime, text.into())).collect();
            self.outlet.put(Event::Result { cell, bundle: Bundle { data, ..Bundle::default() } });
        }
        Ok(())
    }

    /// Tells the person whether a twin stands by, if that has changed.
    fn note_guard(&mut self, cell: CellId, record: &Record) {
        if let Some(text) = outcome::change_of_guard(cell, record, self.is_unguarded) {
            self.is_unguarded = record.unguarded.is_some();
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: format!("{text}\n") });
        }
    }

    /// If an older twin has taken over, a twin stands by again. evcxr, whose store has the variables, sees which are missing.
    fn go_back(&mut self) {
        if self.link.take_gone_back().is_some() {
            self.is_unguarded = false;
        }
    }

    fn other_error(&self, error: &Error, record: &Record) -> CellError {
        match error {
            Error::SubprocessTerminated(why) => outcome::terminated(record, why),
            other => report::plain_error("CommandError", &describe(other)),
        }
    }
}

fn phases(begin: Instant, record: &Record) -> Vec<Phase> {
    let total = Phase { name: "total".into(), took: begin.elapsed() };
    let compile =
        record.loaded_at.map(|loaded| Phase { name: "compile".into(), took: loaded.saturating_duration_since(begin) });
    compile.into_iter().chain(outcome::phases(record)).chain([total]).collect()
}
