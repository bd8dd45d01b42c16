//! The session as front ends see it: a handle to the evaluator's thread.

use crate::analyst::analysis::{Analysis, Known};
use crate::base::compiler_process::Running;
use crate::cells::{self, Direct};
use crate::evaluator::Evaluator;
use crate::evcxr::engine::Evcxr;
use crate::event::{Bundle, CellId, Completions, Event, InputReader, Outcome};
use crate::host::Host;
use crate::link::Link;
use crate::outlet::Outlet;
use crate::parts::Parts;
use crate::reports::report;
use crate::reports::sources::{Found, Sources};
use crate::settings::{Engine, Settings};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

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

    fn execute(&mut self, cell: CellId, code: &str, origin: Option<&str>, input: Option<InputReader>) -> Outcome {
        match self {
            Backend::Direct(engine) => engine.execute(cell, code, origin, input),
            Backend::Evcxr(engine) => engine.execute(cell, code, input),
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
    sources: Arc<Sources>,
    next: AtomicU64,
    ready: Arc<OnceLock<Result<(), String>>>,
    readiness: Receiver<()>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    analysis: Analysis,
    running: Running,
    outlet: Arc<dyn Outlet>,
    /// The next cell has been announced: a later interrupt is meant for it.
    is_announced: AtomicBool,
}

enum Job {
    Execute { cell: CellId, code: String, origin: Option<String>, input: Option<InputReader>, reply: Sender<Outcome> },
    Close,
}

impl Session {
    /// Starts a session and returns at once; the evaluator gets ready in the background.
    pub fn start(settings: Settings, host: Arc<dyn Host>, outlet: Arc<dyn Outlet>) -> Session {
        let sources = Arc::new(Sources::default());
        let grace = settings.interrupt_grace.unwrap_or(Duration::from_secs(1));
        let link = Link::start(host.clone(), outlet.clone(), sources.clone(), grace).map(Arc::new);
        let (jobs, inbox) = unbounded();
        let (announce, readiness) = bounded(0);
        let ready = Arc::new(OnceLock::new());
        let (known, running) = (Known::default(), Running::default());
        let analysis = Analysis::start(&*host, known.clone());
        let parts = link.clone().map(|link| {
            let (sources, outlet) = (sources.clone(), outlet.clone());
            Parts { settings, host, link, sources, outlet, running: running.clone(), known, analysis: analysis.clone() }
        });
        let thread = {
            let (warm, ready) = (analysis.clone(), ready.clone());
            std::thread::Builder::new().name("mobula-session".into()).spawn(move || {
                let parts = parts.map_err(|error| format!("the session's socket cannot be made: {error}"));
                let made = parts.and_then(Backend::start);
                let _ = ready.set(made.as_ref().map(|_| ()).map_err(Clone::clone));
                // This closes the channel, which wakes every caller of `ready`.
                drop(announce);
                serve(made, &inbox, || warm.warm());
            })
        };
        let inner = Inner {
            jobs,
            link: link.ok(),
            sources,
            next: AtomicU64::new(1),
            ready,
            readiness,
            thread: Mutex::new(thread.ok()),
            analysis,
            running,
            outlet,
            is_announced: AtomicBool::new(false),
        };
        Session { inner: Arc::new(inner) }
    }

    /// A failed task's report is about to be shown in `cell`: if the cell ends with that failure, it is not shown twice.
    pub fn failure_is_shown(&self, cell: CellId, report: &str) {
        if let Some(link) = &self.inner.link {
            link.failure_is_shown(cell, report);
        }
    }

    /// The place in a cell for a place in `file`, which is how the compiler of `library` called it.
    pub fn locate(&self, library: &str, file: &str, line: u32, column: u32) -> Option<Found> {
        self.inner.sources.find_in(Some(library), file, line, column)
    }
}

impl Session {
    fn run(&self, code: &str, origin: Option<String>, input: Option<InputReader>) -> Outcome {
        if !self.inner.is_announced.swap(false, Ordering::AcqRel) {
            self.inner.running.reset();
        }
        let cell = CellId(self.inner.next.fetch_add(1, Ordering::Relaxed));
        let (reply, outcome) = bounded(1);
        let _ = self.inner.jobs.send(Job::Execute { cell, code: code.to_owned(), origin, input, reply });
        let outcome = outcome.recv().unwrap_or_else(|_| Outcome {
            cell,
            result: Err(report::plain_error("SessionError", "the session has ended")),
            phases: Vec::new(),
            exit: None,
        });
        // All output of the cell is shown before its outcome.
        self.inner.outlet.settle();
        outcome
    }
}

impl Evaluator for Session {
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome {
        self.run(code, None, input)
    }

    fn execute_again(&self, origin: &str, code: &str, input: Option<InputReader>) -> Outcome {
        self.run(code, Some(origin.to_owned()), input)
    }

    fn announce(&self) {
        self.inner.running.reset();
        self.inner.is_announced.store(true, Ordering::Release);
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
        cells::complete_command(code, cursor).unwrap_or_else(|| self.inner.analysis.complete(code, cursor))
    }

    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        self.inner.analysis.note_on(code, cursor)
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

fn serve(mut backend: Result<Backend, String>, inbox: &Receiver<Job>, when_idle: impl FnOnce()) {
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
            (Job::Execute { cell, code, origin, input, reply }, Ok(backend)) => {
                let _ = reply.send(backend.execute(cell, &code, origin.as_deref(), input));
            }
            (Job::Execute { cell, reply, .. }, Err(why)) => {
                let result = Err(report::plain_error("SessionError", why));
                let _ = reply.send(Outcome { cell, result, phases: Vec::new(), exit: None });
            }
        }
    }
}
