//! The front process: starts a runtime and a session for the front end that was asked for.

use super::runtime::{Attempt, Joined, Runtime};
use super::web_page::{Opened, WebPage};
use super::{BROKEN, FAILED, fail};
use mobula::abi::{CellPlace, CommCall, Dashboard, DashboardOptions, Joining, Place};
use mobula::local::{self, CommReply, JoinReply, JoinedAt, Local, Observer, Outbox, RuntimeEvent, Zygote};
use mobula_repl::Ending;
use mobula_session::toolchain::Toolchain;
use mobula_session::{CellId, Engine, Evaluator, Event, Outlet, Session, Settings, Sink, Stream};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The folder and the command line of cells.
#[derive(Debug, Default)]
pub struct Launch {
    /// The folder of relative paths in cells; the working folder if `None`.
    pub folder: Option<PathBuf>,
    /// The `std::env::args()` of cells.
    pub arguments: Vec<OsString>,
    /// The runtime to join, instead of using one of the session's own.
    pub joining: Option<Joining>,
}

impl Launch {
    /// One in the working folder, with the runtime that the environment names.
    pub fn here() -> Launch {
        let address = local::address_from_env();
        let share = std::env::var(SHARE_ENV).ok().and_then(|share| share.parse().ok());
        let joining = address.map(|address| Joining { address, share, ..Joining::default() });
        Launch { joining, ..Launch::default() }
    }
}

/// The environment variable that says their share of it, as `--share` does.
pub const SHARE_ENV: &str = "MOBULA_SHARE";

/// Forks the zygote, runs a front end around a session, and ends both. The front end gets a function that starts the
/// session.
pub fn with_session(
    place: Launch,
    front_end: impl FnOnce(Box<dyn FnOnce(Sink) -> Session>) -> Result<Ending, anyhow::Error>,
) -> ExitCode {
    let zygote = match Zygote::fork() {
        Ok(zygote) => zygote,
        Err(error) => return fail(&error.into(), BROKEN),
    };
    if let Err(message) = Toolchain::find() {
        return fail(&anyhow::anyhow!(message), BROKEN);
    }
    let started = Arc::new(OnceLock::new());
    let start = starter(zygote, place, started.clone());
    let ending = front_end(start);
    if let Some(front) = started.get() {
        front.end();
    }
    match ending {
        Ok(ending) => ending.into(),
        Err(error) => {
            let code = exit_code(&error);
            fail(&error, code)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<mobula_repl::ReplError>() {
        error.exit_code()
    } else if let Some(error) = error.downcast_ref::<mobula_repl::script::ScriptError>() {
        error.exit_code()
    } else {
        FAILED
    }
}

/// Runs a Jupyter kernel until Jupyter ends it.
pub fn run_kernel(connection_file: &Path) -> ExitCode {
    let zygote = match Zygote::fork() {
        Ok(zygote) => zygote,
        Err(error) => return fail(&error.into(), BROKEN),
    };
    let started = Arc::new(OnceLock::new());
    let ended = mobula_kernel::run(connection_file, starter(zygote, Launch::here(), started.clone()));
    if let Some(front) = started.get() {
        front.end();
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into(), BROKEN),
    }
}

/// The parts that run beside a front end.
struct Front {
    runtime: Arc<Runtime>,
    session: Session,
    queue: Arc<Queue>,
}

/// How long the last output waits for a front end that does not take it.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

impl Front {
    fn end(&self) {
        self.session.shutdown();
        self.runtime.end();
        self.queue.events.settle(Some(LAST_WORDS_MAX));
    }
}

fn starter(zygote: Zygote, place: Launch, started: Arc<OnceLock<Front>>) -> Box<dyn FnOnce(Sink) -> Session> {
    Box::new(move |sink| {
        let (joined, page) = (Joined::default(), Arc::new(WebPage::new()));
        let made = Queue::start(sink, joined.clone(), page.clone()).map_err(anyhow::Error::from).and_then(|queue| {
            let queue = Arc::new(queue);
            let forward = Forward {
                queue: queue.clone(),
                session: OnceLock::new(),
                joined: joined.clone(),
                page: page.clone(),
                folder: OnceLock::new(),
                myself: OnceLock::new(),
            };
            let observer = Arc::new(forward);
            let _ = observer.myself.set(Arc::downgrade(&observer));
            let local = Local::start(zygote, local::Config::default(), observer.clone())?;
            page.set_socket(local.socket().to_owned());
            let _ = observer.folder.set(local.session_dir().to_owned());
            if let Some(joining) = &place.joining {
                joined.join(&joined.attempt(), joining.clone(), local.session_dir(), observer.clone())?;
                local.rest();
            }
            Ok((queue, observer, local))
        });
        let (queue, observer, local) = made.unwrap_or_else(|error| {
            // Nothing can run without a runtime, and a front end cannot report that by itself.
            let _ = fail(&error.context("the runtime could not start"), BROKEN);
            std::process::exit(i32::from(BROKEN));
        });
        let runtime = Arc::new(Runtime::new(local, joined, page));
        let session = Session::start(settings(place), runtime.clone(), queue.clone());
        let _ = observer.session.set(session.clone());
        let _ = started.set(Front { runtime, session: session.clone(), queue });
        session
    })
}

/// The environment variable that chooses the evaluator: `direct`, the default, or `evcxr`.
const EVALUATOR_ENV: &str = "MOBULA_EVALUATOR";

fn settings(place: Launch) -> Settings {
    let engine = match std::env::var(EVALUATOR_ENV).as_deref() {
        Ok("evcxr") => Engine::Evcxr,
        _ => Engine::Direct,
    };
    Settings { engine, folder: place.folder, arguments: place.arguments, ..Settings::default() }
}

/// The most bytes of output that wait for a slow front end before the writers of output wait.
const QUEUE_BYTES: usize = 1 << 20;

/// The queue of events from the runtime and the session. They go on while the front end blocks.
struct Queue {
    events: Outbox<Event>,
    joined: Joined,
    page: Arc<WebPage>,
}

impl Queue {
    fn start(sink: Sink, joined: Joined, page: Arc<WebPage>) -> std::io::Result<Queue> {
        let events = Outbox::start("mobula-output", QUEUE_BYTES, move |event| sink(event))?;
        Ok(Queue { events, joined, page })
    }
}

impl Outlet for Queue {
    fn put(&self, event: Event) {
        self.page.cells().shown(&event);
        let bytes = event.bytes();
        self.events.put(event, bytes);
    }

    fn is_full(&self) -> bool {
        self.events.is_full()
    }

    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>) {
        self.events.when_room(bell);
    }

    fn settle(&self) {
        self.joined.flush();
        self.events.settle(None);
    }
}

/// How many of its cells a session that joins a runtime tells its page.
const CELLS_TOLD: usize = 100;

/// Forwards the runtime's events to the front end.
struct Forward {
    queue: Arc<Queue>,
    /// Set once the session exists; the runtime starts before it.
    session: OnceLock<Session>,
    joined: Joined,
    page: Arc<WebPage>,
    /// The session's.
    folder: OnceLock<PathBuf>,
    /// Itself, for the events of a runtime that is joined later.
    myself: OnceLock<Weak<Forward>>,
}

impl Forward {
    /// Joins a runtime, or leaves the one that was joined. Waits.
    fn join_now(&self, to: Option<(Joining, Attempt)>) -> Result<Option<JoinedAt>, String> {
        let Some((joining, attempt)) = to else {
            self.joined.leave();
            return Ok(None);
        };
        let observer = self.myself.get().and_then(Weak::upgrade).zip(self.folder.get());
        let Some((observer, folder)) = observer else { return Err("the session has ended".into()) };
        match self.joined.join(&attempt, joining, folder, observer) {
            Ok(joined) => {
                if let Some(runtime) = joined.runtime() {
                    // The runtime's page shows those from which its tasks may come.
                    self.page.cells().newest(CELLS_TOLD).into_iter().for_each(|record| runtime.tell_cell(record));
                }
                Ok(Some(joined.at()))
            }
            Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
        }
    }
}

impl Observer for Forward {
    fn event(&self, event: RuntimeEvent) {
        self.queue.put(match event {
            RuntimeEvent::TaskOutput { cell, task, pid, stream, text } => {
                let (stream, name) = match stream {
                    local::Stream::Stdout => (Stream::Stdout, "stdout"),
                    local::Stream::Stderr => (Stream::Stderr, "stderr"),
                };
                self.page.tasks_output().add(cell, &task, pid, name, &text);
                Event::Text { cell: CellId(cell), stream, text }
            }
            RuntimeEvent::TaskFailed(failure) => {
                let (cell, report) = (CellId(failure.cell), mobula::error::report(&failure));
                if self.session.get().is_some_and(|session| session.hold_failure(cell, &report)) {
                    return;
                }
                Event::Text { cell, stream: Stream::Stderr, text: report + "\n" }
            }
            RuntimeEvent::Notice(text) => Event::Notice { text },
        });
    }

    fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>) {
        self.queue.when_room(bell);
    }

    fn comm(&self, cell: u64, call: CommCall, reply: CommReply) {
        if let Some(session) = self.session.get() {
            session.comm_call(CellId(cell), call, Box::new(move |answer| reply.send(answer)));
        }
    }

    fn join(&self, to: Option<Joining>, reply: JoinReply) {
        let Some(forward) = self.myself.get().and_then(Weak::upgrade) else { return };
        // In the order in which they were asked for, whichever thread comes first.
        let to = match to {
            Some(joining) => Some((joining, self.joined.attempt())),
            None => {
                self.joined.give_up();
                None
            }
        };
        // The head asks, which may be the one that is joined.
        std::thread::spawn(move || reply.send(forward.join_now(to)));
    }

    fn dashboard(&self, options: &DashboardOptions) -> Result<Option<Dashboard>, String> {
        let Opened { dashboard, warning } = self.page.open(options)?;
        warning.into_iter().for_each(|text| self.queue.put(Event::Notice { text }));
        Ok(Some(dashboard))
    }

    fn locate(&self, place: &Place) -> Option<CellPlace> {
        let found = self.session.get()?.locate(&place.library, &place.file, place.line, place.column)?;
        Some(CellPlace { cell: found.cell.0, line: found.line, column: found.column, text: found.text })
    }
}
