//! The direct evaluator: a cell becomes one function of one library, compiled by one call of the compiler.
//!
//! ```text
//!  code ─▶ parse ─┬─ items ──────▶ unit: a library that later cells link ─┐
//!                 └─ statements ─▶ codegen: a function, around which      ├─▶ rustc ─▶ a cell's library ─▶ cell host
//!                                  variables are taken and put ───────────┘      │
//!  session_state ◀── names, imports, types of variables ◀── diagnosis ◀──────────┘
//! ```
//!
//! What makes it fast: the compiler itself tells the types of variables (see `diagnosis`). Nothing is compiled twice. Neither Cargo nor a C
//! compiler is called for a cell. A cell loads only what it mentions.
//!
//! ```text
//! parse, mentions              a cell's code, in pieces            codegen, edit               what the compiler reads
//! item                         one item                            rustc                       the compiler
//! item_macro, macro_visibility macro calls that make items         diagnosis, compiler_check   what the compiler says
//! program                      the newest definition of each item  set_aside                   why an older item waits
//! session_state                that, and the variables             host_process, missing_twin  the cell host's process
//! plan                         what a cell does with variables     files, script               files in cells, and files as cells
//! rewrite                      changes to the statements           dep, crate_files, cargo_error  crates
//! last_value, last_value_kept  `_`, the value shown last           commands, *_command*        lines that begin with `:`
//! line_input, completeness     whether a cell is complete      typed_words                 completion of what is no Rust
//! history                      the cells that have run      manifest_deps               crates of a manifest
//! undo                         what can be taken back
//! ```

mod cargo_error;
mod codegen;
mod command_names;
mod commands;
mod compiler_check;
pub mod completeness;
mod crate_files;
mod dep;
mod diagnosis;
mod edit;
pub mod export;
mod files;
mod foreign_commands;
mod history;
mod host_process;
mod item;
mod item_macro;
mod items_command;
mod last_value;
mod last_value_kept;
pub mod line_input;
mod load_command;
mod macro_visibility;
mod manifest_deps;
mod mentions;
mod missing_twin;
pub mod parameters;
mod parse;
mod plan;
mod program;
mod rewrite;
mod rustc;
mod save_command;
pub mod script;
mod session_state;
mod session_tests;
mod set_aside;
mod tell;
mod told;
mod track_command;
mod typed_words;
mod undo;
mod undo_command;

use crate::analyst::analysis::{Analysis, Known};
use crate::analyst::{Crates, Snapshot};
use crate::base::compiler_process::Running;
use crate::base::toolchain::Toolchain;
use crate::base::{self, Base, Template, Tokio};
use crate::event::{CellError, CellId, CellRequest, Event, Outcome, Phase, Stream, VariableInfo};
use crate::host::Host;
use crate::link::Link;
use crate::outlet::Outlet;
use crate::parts::Parts;
use crate::reports::outcome;
use crate::reports::record::{Death, Record};
use crate::reports::report::{self, Finding};
use crate::reports::source_map::Glue;
use crate::reports::sources::Sources;
use crate::task_lines::TaskWatch;
use codegen::{Memory, Source, Within, Written, file_name};
use commands::Habits;
pub use commands::without_commands;
use crate_files::Build;
use diagnosis::{Message, Texts};
use history::History;
use host_process::Child;
use item_macro::Call;
use missing_twin::Guard;
pub use parse::{Grammar, grammar};
use parse::{ParsedCell, parse_cell};
use plan::Planned;
use program::{Change, Changed, Definition, Program, Stage};
use rustc::{Compiled, Job, Kind, compile, entry, expand};
use session_state::{SessionState, Standing};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use track_command::Tracked;
pub use typed_words::complete as complete_typed_word;
use undo::{Step, Undo};

/// Whether code is a program: it has a `main`, which its own statements do not call.
pub fn is_program(code: &str) -> bool {
    let (_, code) = commands::apart(code);
    parse_cell(&code)
        .is_some_and(|parsed| parsed.has_main && !parsed.mentions.contains("main") && parsed.shown.is_none())
}

/// The number of the code that reads the variables: that of no cell.
const LOOK: CellId = CellId(0);

/// How often at most a cell is compiled because of its variables.
const ROUNDS_MAX: usize = 8;

/// The optimisation levels of units and cells.
#[derive(Clone, Debug, Default)]
struct Speed {
    /// The level that `:opt` set. Without it, items and heavy cells are optimised and other cells are not.
    asked: Option<String>,
}

impl Speed {
    fn of_unit(&self) -> &str {
        self.asked.as_deref().unwrap_or("3")
    }

    fn of_cell(&self, parsed: &ParsedCell) -> &str {
        self.asked.as_deref().unwrap_or(if parsed.is_heavy { "3" } else { "0" })
    }
}

/// The direct evaluator. It stays on one thread.
pub struct Direct {
    host: Arc<dyn Host>,
    toolchain: Toolchain,
    template: Template,
    base: Base,
    folders: Folders,
    child: Child,
    state: SessionState,
    speed: Speed,
    /// The last run of each cell, by the front end's name for it.
    runs: HashMap<String, CellId>,
    /// The previous run of the cell that runs now.
    earlier: Option<CellId>,
    /// Crates that `:dep` added.
    deps: Vec<(String, String)>,
    /// The last builds of those in folders of this machine.
    builds: HashMap<String, Build>,
    tracked: Tracked,
    /// The folder that paths in cells are relative to.
    folder: PathBuf,
    /// The value of `std::env::args()` in cells: a program's name, and its arguments.
    arguments: Vec<OsString>,
    /// Set while the twin holds an older state.
    guard: Option<Guard>,
    undo: Undo,
    /// Whether what the present cell does is taken back.
    is_trial: bool,
    /// The exit code with which the cell has ended its process.
    exit: Option<i32>,
    /// The number of the present version of `base`.
    bases: u32,
    sources: Arc<Sources>,
    link: Arc<Link>,
    outlet: Arc<dyn Outlet>,
    running: Running,
    habits: Habits,
    history: History,
    known: Known,
    analysis: Analysis,
    watch: Arc<TaskWatch>,
    /// The number of the next cell.
    next: Arc<AtomicU64>,
    /// The files whose cells run, the outermost first.
    loading: Vec<PathBuf>,
}

/// The folders of the session's cells.
struct Folders {
    /// Sources of statements.
    run: PathBuf,
    /// Sources of items.
    items: PathBuf,
    /// Libraries of statements.
    libraries: PathBuf,
    /// Libraries of items. A folder of their own, because the compiler scans the folder in which it looks for libraries.
    units: PathBuf,
    /// What the names of libraries have of this session. A worker of a shared runtime opens those of several sessions, and the loader takes one
    /// for another if they have the same name.
    tag: String,
}

impl Folders {
    fn make(base: &Path) -> std::io::Result<Folders> {
        let [run, items, libraries, units] = ["run", "items", "libraries", "units"].map(|name| base.join(name));
        let folders = Folders { run, items, libraries, units, tag: tag(base) };
        for dir in [&folders.run, &folders.items, &folders.libraries, &folders.units] {
            std::fs::create_dir_all(dir)?;
        }
        Ok(folders)
    }

    /// An unused path for a library of a cell. Under a path that was opened before, the earlier library would be run again.
    fn unused(&self, cell: CellId) -> PathBuf {
        let names = std::iter::once(format!("cell_{cell}.so")).chain((2..).map(|run| format!("cell_{cell}_{run}.so")));
        names.map(|name| self.libraries.join(name)).find(|path| !path.exists()).unwrap_or_default()
    }

    fn unit(&self, number: u32) -> PathBuf {
        self.units.join(format!("lib{}-{}.so", program::krate(number), self.tag))
    }
}

/// A word of letters and digits that no other folder is likely to give.
fn tag(folder: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("{:08x}", hasher.finish() as u32)
}

/// The result of compiling a unit.
enum Unit {
    Compiled,
    /// It does not compile; an import of the session may be the cause.
    Refused {
        findings: Vec<Finding>,
        import: Option<parse::Import>,
    },
}

/// The texts that a change compiles: macros first, because they must stand before their uses, then cell by cell.
fn sources_of(change: &Change) -> Vec<Source> {
    let mut sources: BTreeMap<(bool, CellId), Source> = BTreeMap::new();
    for known in change.definitions() {
        let (cell, is_macros) = (known.cell, known.part.is_macro);
        let memory = match (change.memory(known), change.symbol(known)) {
            (Some((symbol, _)), _) => Memory::Kept(symbol.to_owned()),
            (None, Some(symbol)) => Memory::Made(symbol),
            (None, None) => Memory::Unnamed,
        };
        let written = Written { part: known.part.clone(), superseded: known.superseded.clone(), memory };
        let new = || Source { cell, code: known.code.clone(), items: Vec::new(), is_macros };
        sources.entry((!is_macros, cell)).or_insert_with(new).items.push(written);
    }
    sources.into_values().collect()
}

/// A cell that has been compiled and not yet run.
struct Ready {
    library: Option<PathBuf>,
    state: SessionState,
    planned: Planned,
}

/// How a cell's time is spent.
#[derive(Default)]
struct Clock {
    phases: Vec<Phase>,
}

impl Clock {
    fn time<T>(&mut self, name: &str, body: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = body();
        self.add(name, begin.elapsed());
        result
    }

    fn add(&mut self, name: &str, took: Duration) {
        match self.phases.iter_mut().find(|phase| phase.name == name) {
            Some(phase) => phase.took += took,
            None => self.phases.push(Phase { name: name.to_owned(), took }),
        }
    }
}

/// If the code that does not compile is meant for another program, says what there is here instead.
fn explain_habit(error: CellError, code: &str) -> CellError {
    let is_nonsense = matches!(error.name.as_str(), "CompileError" | "E0425" | "E0433" | "E0600");
    match foreign_commands::instead(code).filter(|_| is_nonsense) {
        Some(hint) => report::plain_error("CommandError", &hint),
        None => error,
    }
}

/// Names as a list in a sentence.
fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Direct {
    /// Makes the evaluator ready.
    ///
    /// # Errors
    /// A sentence that says what is missing, or what the compiler said.
    pub fn start(parts: Parts) -> Result<Direct, String> {
        let Parts { settings, host, link, sources, outlet, running, known, analysis, watch, next } = parts;
        let toolchain = Toolchain::find()?;
        let notice = |text: String| outlet.put(Event::Notice { text });
        let template = Template::prepare(host.embedded_crate(), &toolchain, &notice)?;
        let cells = host.session_dir().join("cells");
        let unwritable = |error: std::io::Error| format!("the session's folder cannot be written: {error}");
        let folders = Folders::make(&cells).map_err(unwritable)?;
        let base = Base::new(&template.built()?, &toolchain, &cells.join("stubs")).map_err(unwritable)?;
        let child = Child::start(&*host, link.socket(), &settings.arguments)?;
        Ok(Direct {
            host,
            toolchain,
            template,
            base,
            folders,
            child,
            state: SessionState::default(),
            speed: Speed::default(),
            runs: HashMap::new(),
            earlier: None,
            deps: Vec::new(),
            builds: HashMap::new(),
            tracked: Tracked::default(),
            folder: settings.folder(),
            guard: None,
            undo: Undo::default(),
            is_trial: false,
            exit: None,
            bases: 0,
            sources,
            link,
            outlet,
            running,
            habits: Habits { told_main: !settings.arguments.is_empty(), ..Habits::default() },
            history: History::default(),
            arguments: settings.arguments,
            known,
            analysis,
            watch,
            next,
            loading: Vec::new(),
        })
    }

    /// Runs one cell.
    ///
    /// When a cell that has a name is run again, the items that it no longer has are removed.
    pub fn execute(&mut self, cell: CellId, code: &str, request: CellRequest) -> Outcome {
        let begin = Instant::now();
        let CellRequest { origin, input, is_unstored } = request;
        let is_stored = !is_unstored && !commands::without_commands_on_cells(code).is_empty();
        let earlier = origin.as_ref().and_then(|origin| self.runs.get(origin)).copied();
        self.earlier = earlier.filter(|_| !self.habits.keeps);
        (self.exit, self.is_trial) = (None, false);
        self.sources.add_cell(cell, code);
        self.go_back();
        self.link.begin(cell, input.clone());
        let mut clock = Clock::default();
        let (commands, code) = commands::apart(code);
        let mut result = self.commands(cell, &commands, input.as_ref());
        if result.is_ok() && !code.trim().is_empty() {
            let begin = Instant::now();
            result = self.take_up_edited(cell, input.as_ref());
            if self.tracks_any() {
                clock.add("crates", begin.elapsed());
            }
        }
        if result.is_ok() && !code.trim().is_empty() {
            let evaluated = match self.is_trial {
                true => self.try_out(cell, &code, &mut clock),
                false => self.evaluate_step(cell, &code, origin.clone().map(|origin| (origin, earlier)), &mut clock),
            };
            result = evaluated.map_err(|error| explain_habit(self.explain_damage(error), &code));
        } else {
            drop(self.link.end());
        }
        self.earlier = None;
        if let Some(origin) = origin.filter(|_| result.is_ok() && !self.is_trial) {
            self.runs.insert(origin, cell);
        }
        if is_stored {
            self.history.add(cell, result.is_ok());
        }
        clock.add("total", begin.elapsed());
        self.after(cell, &result, &clock);
        self.known.set(Snapshot {
            items: self.state.items_as_code(),
            variables: self.state.variables_as_code(),
            crates: Crates {
                deps: self.deps.clone(),
                lock: (!self.deps.is_empty()).then(|| self.project_lock()),
                builds: self.bases,
            },
        });
        Outcome { cell, result, phases: clock.phases, exit: self.exit }
    }

    /// Explains an error that a damaged library causes, and no code of a person.
    fn explain_damage(&self, error: CellError) -> CellError {
        let words =
            ["invalid metadata", "can't find crate", "the compiler failed", "could not be run", "incompatible version"];
        if self.running.is_stopped() || !words.iter().any(|word| error.plain.contains(word)) {
            return error;
        }
        match self.template.damage() {
            Some(damage) => {
                report::plain_error("SessionError", &format!("{}\n\n{}", commands::said_of(damage), error.plain))
            }
            None => error,
        }
    }

    fn start_child(&self) -> Result<Child, CellError> {
        self.link.expect_host();
        Child::start(&*self.host, self.link.socket(), &self.arguments)
            .map_err(|error| report::plain_error("SessionError", &error))
    }

    /// Evaluates a person's code, which can be undone. `run`: the front end's name for the cell, and its run before this one.
    fn evaluate_step(
        &mut self,
        cell: CellId,
        code: &str,
        run: Option<(String, Option<CellId>)>,
        clock: &mut Clock,
    ) -> Result<(), CellError> {
        self.undo.begin(Step::new(cell, self.state.clone(), run));
        let result = self.evaluate(cell, code, clock);
        self.undo.end();
        result
    }

    fn evaluate(&mut self, cell: CellId, code: &str, clock: &mut Clock) -> Result<(), CellError> {
        let mut parsed = clock.time("parse", || parse_cell(code));
        parsed.iter_mut().for_each(|parsed| files::resolve(parsed, code, &self.folder));
        parsed.iter_mut().for_each(|parsed| self.state.resolve(parsed));
        if let Some(parsed) = &mut parsed {
            clock.time("items", || self.find_item_macros(cell, code, parsed));
        }
        let ready = match &parsed {
            Some(parsed) => self.prepare(cell, code, parsed, clock),
            None => Err(self.explain_nonsense(cell, code)),
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let interrupted = self.link.end().interrupted || self.running.is_stopped();
                return Err(if interrupted { report::not_compiled() } else { error });
            }
        };
        self.state = ready.state;
        self.undo.is_compiled();
        if parsed.as_ref().is_some_and(|parsed| parsed.has_main && !parsed.mentions.contains("main"))
            && !self.habits.told_main
        {
            self.habits.told_main = true;
            self.remark(cell, "`main` is defined; write `main()` to run it");
        }
        let Some(library) = ready.library else {
            drop(self.link.end());
            return Ok(());
        };
        let oldest = self.undo.oldest(|| self.link.checkpoint());
        oldest.into_iter().for_each(|oldest| self.link.keep_from(oldest));
        let lives = self.child.run(&library, &entry(cell), ready.planned.word(), self.is_trial, oldest);
        let record = self.link.end();
        record.kept.iter().for_each(|kept| self.undo.learn(kept));
        clock.phases.extend(outcome::phases(&record));
        if let Err(error) = lives {
            return Err(self.begin_anew(&record, &error));
        }
        self.exit = match &record.death {
            Some(Death::Exit(code)) if !record.interrupted => Some(*code),
            _ => None,
        };
        let result = match cell {
            LOOK => outcome::pass_on(self.link.cell(), &record, &*self.outlet),
            cell => outcome::judge(cell, &record, &self.sources, &*self.outlet),
        };
        self.go_back();
        if record.lives() {
            self.note_guard(cell, &record);
            ready.planned.happened(&mut self.state, cell, result.is_ok() && !record.returned);
        }
        result
    }

    /// Runs code and takes back what it does to variables, items and imports.
    fn try_out(&mut self, cell: CellId, code: &str, clock: &mut Clock) -> Result<(), CellError> {
        let before = self.state.clone();
        let was_trial = std::mem::replace(&mut self.is_trial, true);
        let result = self.evaluate(cell, code, clock);
        self.is_trial = was_trial;
        // Without a process there are no variables any more, which that run has said.
        if before.variables.is_empty() || !self.state.variables.is_empty() {
            self.state = before.with_numbers_of(&self.state);
            self.remark(cell, "taken back: variables, items and imports are as they were");
        }
        result
    }

    /// The variables, with the values that a run reads; `None` if that failed. It shows nothing.
    pub fn variables(&mut self) -> Option<Vec<VariableInfo>> {
        self.go_back();
        self.link.begin_look();
        let told = self.look_at_variables();
        drop(self.link.end());
        if self.state.named().next().is_none() {
            return Some(Vec::new());
        }
        serde_json::from_str(&told?).ok()
    }

    /// Runs the callbacks for which messages wait, as a part of `cell`, in which they were set. A failure is shown there.
    pub fn run_callbacks(&mut self, cell: CellId) {
        self.go_back();
        let before = self.link.begin_callbacks(cell);
        let lives = self.child.run_callbacks();
        let record = self.link.end_callbacks(before);
        record.kept.iter().for_each(|kept| self.undo.learn(kept));
        let result = match lives {
            Ok(()) => outcome::judge(cell, &record, &self.sources, &*self.outlet),
            Err(error) => Err(self.begin_anew(&record, &error)),
        };
        self.go_back();
        if record.lives() {
            self.note_guard(cell, &record);
        }
        if let Err(error) = result {
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: error.ansi + "\n" });
        }
    }

    /// The cell host is gone with the variables: starts another one. Returns the error of the cell that ran.
    fn begin_anew(&mut self, record: &Record, why: &str) -> CellError {
        self.state.variables.clear();
        self.state.told_units = 0;
        self.guard = None;
        self.undo.clear("the process that ran the cells is gone");
        match self.start_child() {
            Ok(child) => {
                self.child = child;
                outcome::terminated(record, why)
            }
            Err(error) => error,
        }
    }

    /// Finds the macro calls that make items. Only calls that look as if they did are given to the compiler.
    fn find_item_macros(&self, cell: CellId, code: &str, parsed: &mut ParsedCell) {
        if parsed.calls.is_empty() {
            return;
        }
        let definitions = self.state.program.definitions();
        let makers: HashSet<&str> = definitions
            .iter()
            .map(|known| &known.part)
            .chain(&parsed.items)
            .filter(|part| part.makes_items)
            .flat_map(|part| part.names().map(|(_, name)| name))
            .collect();
        let makes = |call: &&Call| call.has_items || call.name.as_deref().is_some_and(|name| makers.contains(name));
        let calls: Vec<Call> = parsed.calls.iter().filter(makes).cloned().collect();
        if calls.is_empty() {
            return;
        }
        let (imports, units) = self.state.program.prelude(&parsed.mentions, &HashSet::new(), &BTreeSet::new());
        let mut text = codegen::unit(&[], &imports, &units).text;
        let macros = parsed.items.iter().filter(|item| item.is_macro);
        macros.for_each(|item| text.push_str(&(item_macro::edited(code, item) + "\n")));
        parsed.imports.iter().for_each(|import| text.push_str(&format!("{}\n", import.text())));
        let module = |at: usize| format!("mobula_expanded_{at}");
        for (at, call) in calls.iter().enumerate() {
            text.push_str(&format!("mod {} {{ use super::*; {} }}\n", module(at), call.text(code)));
        }
        let (source, expanded) = (format!("calls of {cell}"), self.folders.run.join("expanded.rs"));
        let job = Job {
            dir: &self.folders.run,
            source: &source,
            krate: "calls",
            kind: Kind::Unit,
            library: &expanded,
            units: &self.units(units),
            units_dir: &self.folders.units,
            opt_level: "0",
            warns: false,
            brief: true,
        };
        let is_written = std::fs::write(self.folders.run.join(&source), &text).is_ok();
        // If the expansion fails, the compiler says why when it meets the call as a statement.
        if is_written && expand(&self.base, &job, &self.running).unwrap_or(false) {
            let text = std::fs::read_to_string(&expanded).unwrap_or_default();
            for (at, call) in calls.iter().enumerate() {
                if let Some(part) = call.part(item_macro::items_in(&text, &module(at))) {
                    parsed.add_item_of_call(part);
                }
            }
        }
    }

    /// Compiles the cell's items and statements.
    fn prepare(
        &mut self,
        cell: CellId,
        code: &str,
        parsed: &ParsedCell,
        clock: &mut Clock,
    ) -> Result<Ready, CellError> {
        let mut state = self.state.clone();
        let mut changed = None;
        if !parsed.items.is_empty() || !parsed.imports.is_empty() || self.earlier.is_some() {
            let change = state.program.change(cell, code, &parsed.items, &parsed.imports, self.earlier);
            let begin = Instant::now();
            let is_empty = change.is_empty();
            let done = self.compile_change(change, cell)?;
            if !is_empty {
                clock.add("items", begin.elapsed());
            }
            // If one of the cell's items has taken a variable's name, the statements mean the item.
            state.take(&done, cell);
            changed = Some(done);
        }
        let mut planned = Planned::new(parsed, &state.variables);
        planned.plan.tells = state.telling();
        let library = if parsed.runs {
            let library = self.folders.unused(cell);
            clock.time("compile", || self.compile_cell(&state, cell, code, parsed, &mut planned, &library))?;
            Some(library)
        } else {
            None
        };
        if let Some(changed) = changed {
            self.tell(cell, &changed);
        }
        Ok(Ready { library, state, planned })
    }

    /// Compiles what a change must compile. Older items that do not fit are set aside.
    fn compile_change(&self, mut change: Change, cell: CellId) -> Result<Changed, CellError> {
        while !change.is_empty() {
            match self.compile_unit(&change, cell)? {
                Unit::Compiled => break,
                Unit::Refused { import: Some(import), .. } => change.set_import_aside(&import),
                Unit::Refused { findings, import: None } => {
                    if let Err(findings) = change.set_aside(findings) {
                        return Err(report::compile_errors(findings, cell, &|cell| self.sources.code(cell)));
                    }
                }
            }
        }
        Ok(change.finish())
    }

    /// Tells the person which older items wait, are back, or begin anew.
    fn tell(&self, cell: CellId, changed: &Changed) {
        let notice = |text: String| {
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: text + "\n" });
        };
        let named = |known: &Arc<Definition>| format!("`{}` of cell {}", known.title(), known.cell);
        if !changed.waits.is_empty() {
            let why = |known: &Arc<Definition>| match &known.stage {
                Stage::Waits(finding, _) => {
                    format!("{}: {}", named(known), self.state.program.spoken(&finding.message))
                }
                Stage::Compiled(_) => named(known),
            };
            let (count, verb) = match changed.waits.len() {
                1 => ("1 item".to_owned(), "waits"),
                count => (format!("{count} items"), "wait"),
            };
            let reasons: Vec<String> = changed.waits.iter().map(why).collect();
            notice(format!("{count} {verb}: {}", reasons.join("; ")));
        }
        if !changed.back.is_empty() {
            let back: Vec<String> = changed.back.iter().map(named).collect();
            notice(format!("back, because it compiles again: {}", back.join(", ")));
        }
        if !changed.anew.is_empty() {
            let names: Vec<&str> = changed.anew.iter().map(String::as_str).collect();
            notice(format!("{}: static reset, because it was compiled again with what it depends on", listed(&names)));
        }
    }

    fn compile_unit(&self, change: &Change, cell: CellId) -> Result<Unit, CellError> {
        let sources = sources_of(change);
        let (imports, units) = change.prelude();
        let number = change.number();
        let mut texts = Texts::new();
        let dir = self.folders.items.join(number.to_string());
        let unwritable =
            |error: std::io::Error| report::plain_error("SessionError", &format!("the session's folder: {error}"));
        std::fs::create_dir_all(dir.join("macros")).map_err(unwritable)?;
        for source in &sources {
            let text = codegen::items(source);
            std::fs::write(dir.join(source.file()), &text.text).map_err(unwritable)?;
            texts.insert(source.file(), text);
        }
        let krate = program::krate(number);
        let root = format!("{krate}.rs");
        let text = codegen::unit(&sources, &imports, &units);
        std::fs::write(dir.join(&root), &text.text).map_err(unwritable)?;
        texts.insert(root.clone(), text);
        let mut job = Job {
            dir: &dir,
            source: &root,
            krate: &krate,
            kind: Kind::Unit,
            library: &self.folders.unit(number),
            units: &self.units(units),
            units_dir: &self.folders.units,
            opt_level: self.speed.of_unit(),
            warns: self.habits.warnings,
            brief: true,
        };
        let mut compiled = self.compile(&job)?;
        if !compiled.is_well && set_aside::meets_itself(&compiled) {
            job.brief = false;
            compiled = self.compile(&job)?;
        }
        if !compiled.is_well {
            let errors = compiled.messages.iter().filter(|message| message.is_error());
            let import = errors.flat_map(|message| message.glue(&texts)).find_map(|(glue, _)| match glue {
                Glue::Import(number) => imports[*number].import.clone(),
                _ => None,
            });
            let own = parse_cell(&self.sources.code(cell)).unwrap_or_default();
            let is_variable = |name: &str| {
                self.state.variables.contains_key(name) || own.bindings.iter().any(|binding| binding.name == name)
            };
            let captured = |finding: &mut Finding| plan::explain_captured(finding, is_variable);
            let findings = self.findings(&compiled, &texts, &change.program, captured);
            return match findings.is_empty() && import.is_none() {
                true => Err(self.failed(&compiled)),
                false => Ok(Unit::Refused { findings, import }),
            };
        }
        self.warn(cell, &compiled.messages, &texts);
        texts.remove(&root);
        texts.into_values().for_each(|text| self.sources.add_text(text));
        Ok(Unit::Compiled)
    }

    fn compile_cell(
        &self,
        state: &SessionState,
        cell: CellId,
        code: &str,
        parsed: &ParsedCell,
        planned: &mut Planned,
        library: &Path,
    ) -> Result<(), CellError> {
        // The cell's own imports are among them: a later `use` of the cell may begin with an earlier one's name.
        let (imports, mut units) = state.prelude(&parsed.mentions, &HashSet::new());
        for variable in planned.plan.takes.values().chain(planned.plan.empty.values()) {
            units.extend(program::units_in(&variable.ty));
            if let Standing::Function(path) = &variable.standing {
                units.extend(program::units_in(path));
            }
        }
        let (source, krate) = (file_name(cell), format!("cell_{cell}"));
        let units = self.units(units);
        let mut job = Job {
            dir: &self.folders.run,
            source: &source,
            krate: &krate,
            kind: Kind::Cell,
            library,
            units: &units,
            units_dir: &self.folders.units,
            opt_level: self.speed.of_cell(parsed),
            warns: self.habits.warnings,
            brief: false,
        };
        for _ in 0..ROUNDS_MAX {
            let within = self.within(planned.plan.awaits);
            let text = codegen::cell(cell, code, parsed, &imports, &planned.plan, &within);
            std::fs::write(self.folders.run.join(&source), &text.text)
                .map_err(|error| report::plain_error("SessionError", &format!("the session's folder: {error}")))?;
            let texts = Texts::from([(source.clone(), text)]);
            let compiled = self.compile(&job)?;
            if compiled.is_well {
                planned.learn(&compiled.messages, &texts);
                self.warn(cell, &compiled.messages, &texts);
                texts.into_values().for_each(|text| self.sources.add_text(text));
                return Ok(());
            }
            // Types are told before borrows are checked, so a refused cell has them too.
            planned.learn(&compiled.messages, &texts);
            if planned.mend(&compiled.messages, &texts, parsed, cell) {
                continue;
            }
            // Compiled once more, for messages that a person reads.
            job.brief = true;
            let compiled =
                Some(self.compile(&job)?).filter(|brief| !set_aside::meets_itself(brief)).unwrap_or(compiled);
            return Err(self.explain(cell, &compiled, &texts, state));
        }
        Err(report::plain_error("SessionError", "could not determine which of this cell's variables can be kept"))
    }

    fn compile(&self, job: &Job<'_>) -> Result<Compiled, CellError> {
        compile(&self.base, job, &self.running).map_err(|error| {
            let text = format!("the compiler {} could not be run: {error}", self.base.rustc.display());
            report::plain_error("SessionError", &text)
        })
    }

    fn units(&self, numbers: BTreeSet<u32>) -> Vec<(String, PathBuf)> {
        numbers.into_iter().map(|number| (program::krate(number), self.folders.unit(number))).collect()
    }

    /// What the statements of a cell stand in. If Tokio is among the session's crates, they can start its tasks.
    fn within(&self, awaits: bool) -> Within {
        match (awaits, base::tokio(&self.deps)) {
            (true, Some(_)) => Within::Future(format!("::{}::block_on", base::CRATE)),
            (true, None) => Within::Future("::mobula::__private::block_on".into()),
            (false, Some(Tokio::Whole)) => Within::Runtime(format!("::{}::enter", base::CRATE)),
            (false, Some(Tokio::Awaits) | None) => Within::Nothing,
        }
    }

    /// Shows the warnings about the cell's own code, if they are wanted.
    fn warn(&self, cell: CellId, messages: &[Message], texts: &Texts) {
        if !self.habits.warnings {
            return;
        }
        for message in messages.iter().filter(|message| message.is_warning()) {
            let finding = message.finding(texts);
            if finding.marks.first().is_some_and(|mark| mark.cell == cell) {
                let report = report::warning(&finding, cell, &|cell| self.sources.code(cell));
                self.outlet.put(Event::Report { cell, report });
            }
        }
    }

    /// The errors of a compilation, for a person.
    fn explain(&self, cell: CellId, compiled: &Compiled, texts: &Texts, state: &SessionState) -> CellError {
        let lost = |finding: &mut Finding| plan::explain_lost(finding, &state.variables);
        let findings = self.findings(compiled, texts, &state.program, lost);
        if findings.is_empty() {
            return self.failed(compiled);
        }
        report::compile_errors(findings, cell, &|cell| self.sources.code(cell))
    }

    fn failed(&self, compiled: &Compiled) -> CellError {
        report::plain_error("CompileError", &format!("the compiler failed:\n{}", compiled.rest.trim()))
    }

    /// The errors of a compilation. `variables` explains those about the session's variables.
    fn findings(
        &self,
        compiled: &Compiled,
        texts: &Texts,
        program: &Program,
        variables: impl Fn(&mut Finding),
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for message in &compiled.messages {
            if message.is_error() {
                findings.push(message.finding(texts));
            } else if let Some(check) = findings.last_mut().filter(|_| message.is_of_instantiation()) {
                // A check at compile time failed in a library; this is where the person's code asked for it.
                check.marks.extend(message.finding(texts).marks);
            }
        }
        // Errors without a place in a cell follow from those with one.
        if findings.iter().any(|finding| !finding.marks.is_empty()) {
            findings.retain(|finding| !finding.marks.is_empty() || finding.message.contains("the above error"));
        }
        diagnosis::explain_calls(&mut findings);
        for finding in &mut findings {
            set_aside::explain(finding, program);
            variables(finding);
            diagnosis::explain_semicolon(finding);
            diagnosis::explain_closure(finding);
            diagnosis::explain_crate(finding);
            last_value::rename(finding);
        }
        findings
    }

    /// The compiler's own words about code that is not Rust.
    fn explain_nonsense(&self, cell: CellId, code: &str) -> CellError {
        let parsed = ParsedCell { runs: true, ..ParsedCell::default() };
        let text = codegen::cell(cell, code, &parsed, "", &plan::Plan::default(), &Within::Nothing);
        let source = file_name(cell);
        if std::fs::write(self.folders.run.join(&source), &text.text).is_ok() {
            let job = Job {
                dir: &self.folders.run,
                source: &source,
                krate: "nonsense",
                kind: Kind::Cell,
                library: &self.folders.libraries.join("nonsense.so"),
                units: &[],
                units_dir: &self.folders.units,
                opt_level: "0",
                warns: false,
                brief: true,
            };
            if let Ok(compiled) = self.compile(&job)
                && !compiled.is_well
            {
                return self.explain(cell, &compiled, &Texts::from([(source, text)]), &SessionState::default());
            }
        }
        report::plain_error("CompileError", "this is not a sequence of items and statements")
    }
}
