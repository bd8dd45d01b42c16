//! The direct evaluator: a cell becomes one function of one library, compiled by one call of the compiler.
//!
//! ```text
//!  code ─▶ cut ─┬─ items ──────▶ unit: a library that later cells link ─┐
//!               └─ statements ─▶ write: a function, around which        ├─▶ rustc ─▶ a cell's library ─▶ cell host
//!                                variables are taken and put ───────────┘      │
//!  book ◀── names, imports, types of variables ◀──────── diagnosis ◀───────────┘
//! ```
//!
//! What makes it fast: the compiler itself tells the types of variables (see `diagnosis`), nothing that was compiled is compiled again,
//! neither Cargo nor a C compiler stands between, and a cell loads only what it mentions.
//!
//! ```text
//! cut, names     a cell's code, in pieces          rustc           the compiler
//! last, fate      `_`, the value shown last
//! book           what the session has made         diagnosis       what it says
//! write, edited  what the compiler reads           child           the cell host's process
//! plan           what a cell does with variables   commands        lines that begin with `:`
//! ```

mod book;
mod child;
mod commands;
mod cut;
mod diagnosis;
pub mod edited;
mod fate;
mod last;
mod names;
mod plan;
mod rustc;
mod write;

use crate::analysis::{Analysis, Known};
use crate::analyst::Snapshot;
use crate::base::{self, Base, Template};
use crate::event::{CellError, CellId, Event, InputReader, Outcome, Phase, Sink};
use crate::host::Host;
use crate::link::Link;
use crate::report::{self, Finding};
use crate::running::Running;
use crate::sources::Sources;
use crate::toolchain::Toolchain;
use crate::verdict;
use book::{Book, Source, Standing, Unit};
use child::Child;
use commands::Habits;
pub use commands::complete as complete_command;
use cut::{Cut, cut};
use diagnosis::{Message, Texts};
use plan::Planned;
use rustc::{Compiled, Job, Kind, compile, entry};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use write::{Within, file_name};

/// How often a cell is compiled again because of what became of its variables.
const ROUNDS_MAX: usize = 8;

/// How fast the code of cells is to be.
#[derive(Clone, Debug, Default)]
struct Speed {
    /// What `:opt` said; without it, items and cells that work are optimised and the others are not.
    asked: Option<String>,
}

impl Speed {
    fn of_unit(&self) -> &str {
        self.asked.as_deref().unwrap_or("3")
    }

    fn of_cell(&self, cut: &Cut) -> &str {
        self.asked.as_deref().unwrap_or(if cut.is_heavy { "3" } else { "0" })
    }
}

/// The evaluator. Lives and dies on one thread.
pub struct Direct {
    host: Arc<dyn Host>,
    toolchain: Toolchain,
    template: Template,
    base: Base,
    folders: Folders,
    child: Child,
    book: Book,
    speed: Speed,
    /// Crates that `:dep` added.
    deps: Vec<(String, String)>,
    /// Versions of `base`: a number for each.
    bases: u32,
    sources: Arc<Sources>,
    link: Arc<Link>,
    sink: Sink,
    running: Running,
    habits: Habits,
    known: Known,
    analysis: Analysis,
}

/// Where the files of the session's cells are.
struct Folders {
    /// Statements.
    run: PathBuf,
    /// Items.
    items: PathBuf,
    /// What was compiled of statements.
    libraries: PathBuf,
    /// What was compiled of items. Apart, because the compiler goes through the folder in which it is to find libraries.
    units: PathBuf,
}

impl Folders {
    fn make(base: &Path) -> std::io::Result<Folders> {
        let [run, items, libraries, units] = ["run", "items", "libraries", "units"].map(|name| base.join(name));
        let folders = Folders { run, items, libraries, units };
        for dir in [&folders.run, &folders.items, &folders.libraries, &folders.units] {
            std::fs::create_dir_all(dir)?;
        }
        Ok(folders)
    }

    /// A name for a library of a cell's: of a library that was opened before under the same name, the first would be run again.
    fn unused(&self, cell: CellId) -> PathBuf {
        let names = std::iter::once(format!("cell_{cell}.so")).chain((2..).map(|run| format!("cell_{cell}_{run}.so")));
        names.map(|name| self.libraries.join(name)).find(|path| !path.exists()).unwrap_or_default()
    }

    fn unit(&self, number: u32) -> PathBuf {
        self.units.join(format!("lib{}.so", Unit::krate(number)))
    }
}

/// A cell that has been compiled and not yet run.
struct Ready {
    library: Option<PathBuf>,
    book: Book,
    planned: Planned,
}

/// Where a cell's time goes.
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

/// Names as they stand in a sentence.
fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Direct {
    /// Makes the evaluator ready.
    ///
    /// # Errors
    /// A sentence that says what is missing, or what the compiler said.
    pub fn start(
        host: Arc<dyn Host>,
        link: Arc<Link>,
        sources: Arc<Sources>,
        sink: Sink,
        running: Running,
        known: Known,
        analysis: Analysis,
    ) -> Result<Direct, String> {
        let toolchain = Toolchain::find()?;
        let notice = |text: String| sink(Event::Notice { text });
        let template = Template::prepare(host.embedded_crate(), &toolchain, &notice)?;
        let cells = host.session_dir().join("cells");
        let unwritable = |error: std::io::Error| format!("the session's folder cannot be written: {error}");
        let folders = Folders::make(&cells).map_err(unwritable)?;
        let base = Base::new(&template.built()?, &toolchain, &cells.join("stubs")).map_err(unwritable)?;
        let child = Child::start(&*host, link.socket())?;
        Ok(Direct {
            host,
            toolchain,
            template,
            base,
            folders,
            child,
            book: Book::default(),
            speed: Speed::default(),
            deps: Vec::new(),
            bases: 0,
            sources,
            link,
            sink,
            running,
            habits: Habits::default(),
            known,
            analysis,
        })
    }

    /// Runs one cell.
    pub fn execute(&mut self, cell: CellId, code: &str, input: Option<InputReader>) -> Outcome {
        let begin = Instant::now();
        self.running.reset();
        self.sources.add_cell(cell, code);
        self.link.begin(cell, input.clone());
        let mut clock = Clock::default();
        let (commands, code) = commands::apart(code);
        let mut result = self.commands(cell, &commands, input.as_ref());
        if result.is_ok() && !code.trim().is_empty() {
            result = self.evaluate(cell, &code, &mut clock);
        } else {
            drop(self.link.end());
        }
        clock.add("total", begin.elapsed());
        self.after(cell, &result, &clock);
        self.known.set(Snapshot {
            items: self.book.items_as_code(),
            variables: self.book.variables_as_code(),
            deps: self.deps.clone(),
            lock: (!self.deps.is_empty()).then(|| self.project_lock()),
        });
        Outcome { cell, result, phases: clock.phases }
    }

    fn evaluate(&mut self, cell: CellId, code: &str, clock: &mut Clock) -> Result<(), CellError> {
        let mut cut = clock.time("parse", || cut(code));
        cut.iter_mut().for_each(|cut| self.book.resolve(cut));
        let ready = match &cut {
            Some(cut) => self.prepare(cell, code, cut, clock),
            None => Err(self.explain_nonsense(cell, code)),
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                let interrupted = self.link.end().interrupted || self.running.is_stopped();
                return Err(if interrupted { report::not_compiled() } else { error });
            }
        };
        self.book = ready.book;
        let Some(library) = ready.library else {
            drop(self.link.end());
            return Ok(());
        };
        let lives = self.child.run(&library, &entry(cell), ready.planned.fate());
        let record = self.link.end();
        clock.phases.extend(verdict::phases(&record));
        if let Err(error) = lives {
            // Nobody is left who has the variables.
            self.book.variables.clear();
            self.child = Child::start(&*self.host, self.link.socket())
                .map_err(|again| report::plain_error("SessionError", &again))?;
            return Err(verdict::terminated(&record, &error));
        }
        let result = verdict::judge(cell, &record, &self.sources, &self.sink);
        if record.death.is_none() && record.load_failed.is_none() && !record.undone {
            ready.planned.happened(&mut self.book, cell, result.is_ok());
        }
        result
    }

    /// Compiles what there is to compile.
    fn prepare(&mut self, cell: CellId, code: &str, cut: &Cut, clock: &mut Clock) -> Result<Ready, CellError> {
        let mut book = self.book.clone();
        if !cut.items.is_empty() {
            clock.time("items", || self.compile_items(&mut book, cell, code, cut))?;
        }
        let mut planned = Planned::new(cut, &book.variables);
        let library = if cut.runs {
            let library = self.folders.unused(cell);
            clock.time("compile", || self.compile_cell(&book, cell, code, cut, &mut planned, &library))?;
            Some(library)
        } else {
            None
        };
        book.add_imports(&cut.imports);
        Ok(Ready { library, book, planned })
    }

    fn compile_items(&self, book: &mut Book, cell: CellId, code: &str, cut: &Cut) -> Result<(), CellError> {
        let joined = book.joined(cut);
        let mut sources = book.sources_of(&joined, cut, &book.staying(&joined, cut));
        let statics = listed(&Book::statics_of(&sources));
        sources.push(Source { cell, code: code.to_owned(), items: cut.items.clone(), imports: cut.imports.clone() });
        let number = book.number();
        let unit = self.compile_unit(book, number, sources, &joined, cell)?;
        book.add_unit(unit, &joined);
        if !statics.is_empty() {
            let text = format!(
                "{statics}: a static that begins anew, because its cell had to be compiled again together with this one"
            );
            (self.sink)(Event::Notice { text });
        }
        Ok(())
    }

    fn compile_unit(
        &self,
        book: &Book,
        number: u32,
        sources: Vec<Source>,
        joined: &BTreeSet<u32>,
        cell: CellId,
    ) -> Result<Unit, CellError> {
        let items = || sources.iter().flat_map(|source| &source.items);
        let mentions: HashSet<String> = items().flat_map(|item| item.mentions.iter().cloned()).collect();
        let mut own: HashSet<&str> =
            items().flat_map(|item| item.defines.iter().map(|(_, name)| name.as_str())).collect();
        let newest = sources.last().map(|source| source.imports.as_slice()).unwrap_or_default();
        own.extend(newest.iter().filter_map(|import| import.name.as_deref()));
        let (mut imports, units) = book.prelude(&mentions, &own, joined);
        newest.iter().for_each(|import| imports.push_str(&import.text()));

        let mut texts = Texts::new();
        let dir = self.folders.items.join(number.to_string());
        let unwritable =
            |error: std::io::Error| report::plain_error("SessionError", &format!("the session's folder: {error}"));
        std::fs::create_dir_all(&dir).map_err(unwritable)?;
        for source in &sources {
            let text = write::items(source);
            std::fs::write(dir.join(file_name(source.cell)), &text.text).map_err(unwritable)?;
            texts.insert(file_name(source.cell), text);
        }
        let krate = Unit::krate(number);
        let root = format!("{krate}.rs");
        std::fs::write(dir.join(&root), write::unit(&sources, &imports)).map_err(unwritable)?;
        let job = Job {
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
        let compiled = self.compile(&job)?;
        if !compiled.is_well {
            return Err(self.explain(cell, &compiled, &texts, &BTreeMap::new()));
        }
        self.warn(cell, &compiled.messages, &texts);
        texts.into_values().for_each(|text| self.sources.add_text(text));
        Ok(Unit { number, sources })
    }

    fn compile_cell(
        &self,
        book: &Book,
        cell: CellId,
        code: &str,
        cut: &Cut,
        planned: &mut Planned,
        library: &Path,
    ) -> Result<(), CellError> {
        let own: HashSet<&str> = cut.imports.iter().filter_map(|import| import.name.as_deref()).collect();
        let (imports, mut units) = book.prelude(&cut.mentions, &own, &BTreeSet::new());
        for variable in planned.plan.takes.values().chain(planned.plan.empty.values()) {
            units.extend(Unit::numbers_in(&variable.ty));
            if let Standing::Function(path) = &variable.standing {
                units.extend(Unit::numbers_in(path));
            }
        }
        let within = self.within(cut);
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
            opt_level: self.speed.of_cell(cut),
            warns: self.habits.warnings,
            brief: false,
        };
        for _ in 0..ROUNDS_MAX {
            let text = write::cell(cell, code, cut, &imports, &planned.plan, &within);
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
            if planned.mend(&compiled.messages, &texts, cell) {
                continue;
            }
            // Once more, for the words that a person reads.
            job.brief = true;
            let compiled = self.compile(&job)?;
            return Err(self.explain(cell, &compiled, &texts, &book.variables));
        }
        Err(report::plain_error("SessionError", "what becomes of this cell's variables could not be found out"))
    }

    fn compile(&self, job: &Job<'_>) -> Result<Compiled, CellError> {
        compile(&self.base, job, &self.running).map_err(|error| {
            let text = format!("the compiler {} could not be run: {error}", self.base.rustc.display());
            report::plain_error("SessionError", &text)
        })
    }

    fn units(&self, numbers: BTreeSet<u32>) -> Vec<(String, PathBuf)> {
        numbers.into_iter().map(|number| (Unit::krate(number), self.folders.unit(number))).collect()
    }

    /// What the statements of a cell stand in: where Tokio is among the session's crates, they can start its tasks.
    fn within(&self, cut: &Cut) -> Within {
        let has_tokio = self.base.crates.iter().any(|name| name == "tokio");
        match (cut.awaits, has_tokio) {
            (true, true) => Within::Future(format!("::{}::block_on", base::CRATE)),
            (true, false) => Within::Future("::mobula::__private::block_on".into()),
            (false, true) => Within::Runtime(format!("::{}::enter", base::CRATE)),
            (false, false) => Within::Nothing,
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
                (self.sink)(Event::Report { cell, report });
            }
        }
    }

    /// The errors of a compilation, in words.
    fn explain(
        &self,
        cell: CellId,
        compiled: &Compiled,
        texts: &Texts,
        variables: &BTreeMap<String, book::Variable>,
    ) -> CellError {
        let errors: Vec<&Message> = compiled.messages.iter().filter(|message| message.is_error()).collect();
        let mut findings: Vec<Finding> = errors.iter().map(|message| message.finding(texts)).collect();
        // What has no place in a cell follows from what has.
        if findings.iter().any(|finding| !finding.marks.is_empty()) {
            findings.retain(|finding| !finding.marks.is_empty() || finding.message.contains("the above error"));
        }
        for finding in &mut findings {
            plan::explain_lost(finding, variables);
            diagnosis::explain_semicolon(finding);
            last::rename(finding);
        }
        if findings.is_empty() {
            let text = format!("the compiler failed:\n{}", compiled.rest.trim());
            return report::plain_error("CompileError", &text);
        }
        report::compile_errors(findings, cell, &|cell| self.sources.code(cell))
    }

    /// The compiler's own words about what is not Rust.
    fn explain_nonsense(&self, cell: CellId, code: &str) -> CellError {
        let cut = Cut { runs: true, ..Cut::default() };
        let text = write::cell(cell, code, &cut, "", &plan::Plan::default(), &Within::Nothing);
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
                return self.explain(cell, &compiled, &Texts::from([(source, text)]), &BTreeMap::new());
            }
        }
        report::plain_error("CompileError", "this is not a sequence of items and statements")
    }
}
