//! The session as front ends see it: a handle to the evaluator's thread.

use crate::analyst::analysis::{Analysis, Known};
use crate::analyst::outline::name_at;
use crate::base::compiler_process::Running;
use crate::cells::{self, Direct};
use crate::comms::{Comms, Reply};
use crate::evaluator::Evaluator;
use crate::evcxr::engine::Evcxr;
use crate::event::{
    Bundle, CellId, CellRequest, CommMessage, Completions, Event, InputReader, Outcome, Received, VariableInfo,
};
use crate::host::Host;
use crate::link::Link;
use crate::outlet::Outlet;
use crate::parts::Parts;
use crate::reports::report;
use crate::reports::sources::{Found, Sources};
use crate::settings::{Engine, Settings};
use crate::task_lines::TaskWatch;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The evaluator in use.
enum Backend {
    Direct(Box<Direct>),
    Evcxr(Box<Evcxr>),
}

impl Backend {
    fn start(parts: Parts) -> Result<Backend, String> {
        if parts.settings.engine == Engine::Direct {
            let direct = Direct::start(parts.clone())?;
            let Err(why) = direct.understands_compiler() else { return Ok(Backend::Direct(Box::new(direct))) };
            let text = format!(
                "Mobula {} cannot read some messages of this version of Rust ({why}); cells run on evcxr's evaluator, which is slower and \
                 keeps less. A newer Mobula may support it.",
                env!("CARGO_PKG_VERSION")
            );
            parts.outlet.put(Event::Notice { text });
        }
        Evcxr::start(parts).map(|engine| Backend::Evcxr(Box::new(engine)))
    }

    fn variables(&mut self) -> Option<Vec<VariableInfo>> {
        match self {
            Backend::Direct(engine) => engine.variables(),
            // evcxr does not say what its variables are.
            Backend::Evcxr(_) => Some(Vec::new()),
        }
    }

    fn run_callbacks(&mut self, cell: CellId) {
        match self {
            Backend::Direct(engine) => engine.run_callbacks(cell),
            Backend::Evcxr(engine) => engine.run_callbacks(cell),
        }
    }

    fn execute(&mut self, cell: CellId, code: &str, request: CellRequest) -> Outcome {
        match self {
            Backend::Direct(engine) => engine.execute(cell, code, request),
            Backend::Evcxr(engine) => engine.execute(cell, code, request.input),
        }
    }
}

/// An evaluator of cells. Cheap to clone; all clones are the same session.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Sender<Job>,
    link: Option<Arc<Link>>,
    host: Arc<dyn Host>,
    sources: Arc<Sources>,
    comms: Arc<Comms>,
    /// The folder of relative paths in cells.
    folder: PathBuf,
    next: Arc<AtomicU64>,
    ready: Arc<OnceLock<Result<(), String>>>,
    readiness: Receiver<()>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    analysis: Analysis,
    running: Running,
    outlet: Arc<dyn Outlet>,
    watch: Arc<TaskWatch>,
    /// The next cell has been announced: a later interrupt is meant for it.
    is_announced: AtomicBool,
    /// A cell of the person's runs.
    is_busy: AtomicBool,
    /// The variables as they were last read, and the number of the next cell at that time.
    variables: Mutex<Option<(u64, Vec<VariableInfo>)>>,
}

enum Job {
    Execute { cell: CellId, code: String, request: CellRequest, reply: Sender<Outcome> },
    Callbacks { done: Sender<()> },
    Variables { reply: Sender<Option<Vec<VariableInfo>>> },
    Close,
}

impl Session {
    /// Starts a session and returns at once; the evaluator gets ready in the background.
    pub fn start(settings: Settings, host: Arc<dyn Host>, outlet: Arc<dyn Outlet>) -> Session {
        let sources = Arc::new(Sources::default());
        let grace = settings.interrupt_grace.unwrap_or(Duration::from_secs(1));
        let (comms, folder) = (Arc::new(Comms::new(outlet.clone())), settings.folder());
        let link = Link::start(host.clone(), outlet.clone(), comms.clone(), sources.clone(), grace).map(Arc::new);
        let (jobs, inbox) = unbounded();
        let (announce, readiness) = bounded(0);
        let ready = Arc::new(OnceLock::new());
        let (known, running) = (Known::default(), Running::default());
        let watch = Arc::new(TaskWatch::new(host.clone(), outlet.clone()));
        let analysis = Analysis::start(&*host, known.clone());
        let observed = host.clone();
        let next = Arc::new(AtomicU64::new(1));
        let parts = link.clone().map(|link| {
            let (sources, outlet, watch) = (sources.clone(), outlet.clone(), watch.clone());
            let (running, analysis, next) = (running.clone(), analysis.clone(), next.clone());
            Parts { settings, host, link, sources, outlet, running, known, analysis, watch, next }
        });
        let thread = {
            let (warm, ready, comms, watch) = (analysis.clone(), ready.clone(), comms.clone(), watch.clone());
            std::thread::Builder::new().name("mobula-session".into()).spawn(move || {
                let parts = parts.map_err(|error| format!("the session's socket cannot be made: {error}"));
                let made = parts.and_then(Backend::start);
                let _ = ready.set(made.as_ref().map(|_| ()).map_err(Clone::clone));
                // This closes the channel, which wakes every caller of `ready`.
                drop(announce);
                serve(made, &inbox, &comms, &watch, || warm.warm());
            })
        };
        let inner = Inner {
            jobs,
            link: link.ok(),
            host: observed,
            sources,
            comms,
            folder,
            next,
            ready,
            readiness,
            thread: Mutex::new(thread.ok()),
            analysis,
            running,
            outlet,
            watch,
            is_announced: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            variables: Mutex::default(),
        };
        Session { inner: Arc::new(inner) }
    }

    /// Takes the report of a failed task that `cell` has started, if the cell runs. It is shown a moment later, unless the cell ends with
    /// that failure before: then its error is the report. Otherwise the caller shows it.
    pub fn hold_failure(&self, cell: CellId, report: &str) -> bool {
        self.inner.link.as_ref().is_some_and(|link| link.hold_failure(cell, report))
    }

    /// A process calls the session's comms, for a cell. Never waits.
    pub fn comm_call(&self, cell: CellId, call: mobula_abi::CommCall, reply: Reply) {
        self.inner.comms.call(cell, call, reply);
    }

    /// The place in a cell for a place in `file`, which is how the compiler of `library` called it.
    pub fn locate(&self, library: &str, file: &str, line: u32, column: u32) -> Option<Found> {
        self.inner.sources.find_in(Some(library), file, line, column)
    }
}

/// How long the values of variables may take to be read.
const LOOK_MAX: Duration = Duration::from_secs(5);

impl Session {
    /// A variable with its value, which is read if no cell runs.
    fn variable(&self, name: &str) -> Option<VariableInfo> {
        if !self.inner.analysis.has_variable(name) {
            return None;
        }
        let variables = self.known_variables().unwrap_or_else(|| self.variables());
        variables.into_iter().find(|variable| variable.name.trim_start_matches("mut ") == name)
    }

    /// Ends the reading of variables, and no cell of the person's.
    fn stop_looking(&self) {
        if let Some(link) = &self.inner.link {
            link.interrupt_look();
        }
    }

    fn run(&self, code: &str, request: CellRequest) -> Outcome {
        if !self.inner.is_announced.swap(false, Ordering::AcqRel) {
            self.inner.running.reset();
        }
        let cell = CellId(self.inner.next.fetch_add(1, Ordering::Relaxed));
        let (reply, outcome) = bounded(1);
        self.inner.is_busy.store(true, Ordering::Release);
        self.inner.watch.cell_began(cell);
        self.inner.host.cell_began(cell, code);
        let _ = self.inner.jobs.send(Job::Execute { cell, code: code.to_owned(), request, reply });
        let outcome = outcome.recv().unwrap_or_else(|_| Outcome {
            cell,
            result: Err(report::plain_error("SessionError", "the session has ended")),
            phases: Vec::new(),
            exit: None,
        });
        self.inner.watch.cell_ended(cell);
        self.inner.host.cell_ended(&outcome);
        // All output of the cell is shown before its outcome.
        self.inner.outlet.settle();
        self.inner.is_busy.store(false, Ordering::Release);
        outcome
    }
}

impl Evaluator for Session {
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome {
        self.run(code, CellRequest { input, ..CellRequest::default() })
    }

    fn execute_again(&self, origin: &str, code: &str, input: Option<InputReader>) -> Outcome {
        self.run(code, CellRequest { origin: Some(origin.to_owned()), input, ..CellRequest::default() })
    }

    fn execute_unstored(&self, code: &str, input: Option<InputReader>) -> Outcome {
        self.run(code, CellRequest { input, is_unstored: true, ..CellRequest::default() })
    }

    fn announce(&self) {
        self.inner.running.reset();
        self.inner.is_announced.store(true, Ordering::Release);
    }

    fn watch_tasks(&self, watched: bool) {
        self.inner.watch.set_watched(watched);
    }

    fn next_cell(&self) -> CellId {
        CellId(self.inner.next.load(Ordering::Relaxed))
    }

    fn interrupt(&self) {
        if let Some(link) = &self.inner.link {
            link.interrupt();
        }
        self.inner.running.stop();
    }

    fn complete(&self, code: &str, cursor: usize) -> Completions {
        cells::complete_typed_word(code, cursor, &self.inner.folder)
            .filter(|found| !found.items.is_empty() || found.start < cursor)
            .unwrap_or_else(|| self.inner.analysis.complete(code, cursor))
    }

    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        let found = self.inner.analysis.note_on(code, cursor);
        match name_at(code, cursor).and_then(|name| self.variable(name)) {
            Some(variable) => Some(variable.described(found)),
            None => found,
        }
    }

    fn comm(&self, request: u64, message: CommMessage) -> Received {
        self.inner.comms.received(request, message)
    }

    fn comms(&self, target: Option<&str>) -> Vec<(String, String)> {
        self.inner.comms.open(target)
    }

    fn widget_states(&self) -> Option<serde_json::Value> {
        self.inner.comms.saved()
    }

    fn run_callbacks(&self) {
        if !self.inner.is_announced.load(Ordering::Acquire) {
            self.inner.running.reset();
        }
        let (done, end) = bounded(1);
        let _ = self.inner.jobs.send(Job::Callbacks { done });
        let _ = end.recv();
        self.inner.outlet.settle();
    }

    fn known_variables(&self) -> Option<Vec<VariableInfo>> {
        let next = self.inner.next.load(Ordering::Relaxed);
        let is_busy = self.inner.is_busy.load(Ordering::Acquire);
        match &*self.inner.seen() {
            Some((read_at, variables)) if *read_at == next || is_busy => Some(variables.clone()),
            None if is_busy => Some(Vec::new()),
            _ => None,
        }
    }

    fn variables(&self) -> Vec<VariableInfo> {
        let is_awaited = self.inner.is_announced.load(Ordering::Acquire) || self.inner.is_busy.load(Ordering::Acquire);
        if !is_awaited {
            // An interrupt of the last cell is over.
            self.inner.running.reset();
        }
        let next = self.inner.next.load(Ordering::Relaxed);
        let (reply, variables) = bounded(1);
        let _ = self.inner.jobs.send(Job::Variables { reply });
        // A `Debug` of a person's may never end, and nobody has asked for it.
        let found = variables.recv_timeout(LOOK_MAX).or_else(|_| {
            self.stop_looking();
            variables.recv_timeout(LOOK_MAX).or_else(|_| {
                self.stop_looking();
                variables.recv()
            })
        });
        let mut seen = self.inner.seen();
        if let Some(found) = found.ok().flatten() {
            *seen = Some((next, found));
        }
        seen.as_ref().map(|(_, variables)| variables.clone()).unwrap_or_default()
    }

    fn ready(&self) -> Result<(), String> {
        let _ = self.inner.readiness.recv();
        self.inner.ready.get().cloned().unwrap_or_else(|| Err("the session has ended".into()))
    }

    fn shutdown(&self) {
        self.inner.close();
        let thread = self.inner.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn seen(&self) -> std::sync::MutexGuard<'_, Option<(u64, Vec<VariableInfo>)>> {
        self.variables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn close(&self) {
        let _ = self.jobs.send(Job::Close);
        if let Some(link) = &self.link {
            link.close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// After so long without a job, the session gets ready for completions.
const IDLE: Duration = Duration::from_millis(200);

fn serve(
    mut backend: Result<Backend, String>,
    inbox: &Receiver<Job>,
    comms: &Comms,
    watch: &TaskWatch,
    when_idle: impl FnOnce(),
) {
    let mut when_idle = Some(when_idle).filter(|_| backend.is_ok());
    loop {
        let next = match when_idle {
            Some(_) => inbox.recv_timeout(IDLE),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let job = match (next, when_idle.take()) {
            (Ok(job), idle) => {
                when_idle = idle;
                job
            }
            (Err(RecvTimeoutError::Timeout), Some(idle)) => {
                idle();
                continue;
            }
            (Err(_), _) => break,
        };
        match (job, &mut backend) {
            (Job::Close, _) => break,
            (Job::Execute { cell, code, request, reply }, Ok(backend)) => {
                let _ = reply.send(backend.execute(cell, &code, request));
            }
            (Job::Callbacks { done }, Ok(backend)) => {
                for cell in comms.turns() {
                    comms.begin_turn(cell);
                    watch.cell_began(cell);
                    backend.run_callbacks(cell);
                    watch.cell_ended(cell);
                    comms.end_turn();
                }
                let _ = done.send(());
            }
            (Job::Variables { reply }, Ok(backend)) => {
                let _ = reply.send(backend.variables());
            }
            (Job::Callbacks { .. } | Job::Variables { .. }, Err(_)) => {}
            (Job::Execute { cell, reply, .. }, Err(why)) => {
                let result = Err(report::plain_error("SessionError", why));
                let _ = reply.send(Outcome { cell, result, phases: Vec::new(), exit: None });
            }
        }
    }
}
