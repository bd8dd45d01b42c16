//! The web page of a runtime, joined to the runtime's socket. It is started when it is first asked for.
//!
//! ```text
//!   `init`, `dashboard()` ─▶ head ─▶ Observer::dashboard ─▶ WebPage ─▶ mobula_dashboard::start
//!                                    head ◀── Reader ◀── Source ◀──┘ once somebody looks
//! ```

use super::cell_log::CellLog;
use super::jupyter_proxy::proxy_base;
use super::task_log::TaskLog;
use mobula::abi::{Answer, Dashboard, DashboardOptions, Fault, Question};
use mobula::abi::{Failure, StoreSummary, TaskChanges, TaskLinks};
use mobula::client::{Look, Reader};
use mobula_dashboard::{CellsSince, LogSince, Options, Page, Source, Unanswered};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The page of a runtime.
pub struct WebPage {
    source: Arc<RuntimeSource>,
    page: Mutex<Option<Page>>,
}

/// The page as it was found or started.
pub struct Opened {
    /// Its address.
    pub dashboard: Dashboard,
    /// What the person who started it should know, when it was started now.
    pub warning: Option<String>,
}

impl WebPage {
    /// A page that is not started yet.
    pub fn new() -> WebPage {
        WebPage { source: Arc::default(), page: Mutex::default() }
    }

    /// What the page shows.
    pub fn source(&self) -> Arc<dyn Source> {
        self.source.clone()
    }

    /// The cells of the session that this runtime belongs to.
    pub fn cells(&self) -> &CellLog {
        &self.source.cells
    }

    /// What its tasks write.
    pub fn tasks_output(&self) -> &TaskLog {
        &self.source.log
    }

    /// Says where the runtime listens; before that, the page shows nothing.
    pub fn set_socket(&self, socket: PathBuf) {
        let _ = self.source.socket.set(socket);
    }
    /// Starts the page, unless it is there. Waits for nothing, so the head itself may call it.
    ///
    /// # Errors
    /// Why it cannot be started: a sentence.
    pub fn open(&self, wish: &DashboardOptions) -> Result<Opened, String> {
        let mut page = locked(&self.page);
        let is_there = page.is_some();
        let page = match &mut *page {
            Some(page) => page,
            none => {
                let is_proxied = proxy_base().is_some();
                let options = Options { host: wish.host.clone(), port: wish.port, is_proxied };
                let made = mobula_dashboard::start(self.source.clone(), &options).map_err(|error| error.to_string())?;
                none.insert(made)
            }
        };
        let warning = (!is_there && page.is_open_to_others()).then(|| {
            let url = page.url();
            format!("the web page is open to other machines, and what it sends is not encrypted: {url}")
        });
        let proxied = proxy_base().map(|base| format!("{base}proxy/{}/?token={}", page.port(), page.token()));
        Ok(Opened { dashboard: Dashboard { url: page.url().to_owned(), proxied }, warning })
    }

    /// Ends the page.
    pub fn end(&self) {
        let page = locked(&self.page).take();
        drop(page);
        locked(&self.source.reader).take();
    }
}

/// The runtime, as the page's source.
#[derive(Default)]
struct RuntimeSource {
    socket: OnceLock<PathBuf>,
    /// Connected when somebody first looks.
    reader: Mutex<Option<Arc<Reader>>>,
    /// How far the page has looked.
    look: Mutex<Look>,
    cells: CellLog,
    log: TaskLog,
}

impl RuntimeSource {
    fn reader(&self) -> Result<Arc<Reader>, Unanswered> {
        let mut reader = locked(&self.reader);
        if let Some(reader) = &*reader {
            return Ok(reader.clone());
        }
        let socket = self.socket.get().ok_or_else(|| unanswered("the runtime is starting".into()))?;
        let made = Reader::connect(socket).map_err(|error| unanswered(error.to_string()))?;
        Ok(reader.insert(Arc::new(made)).clone())
    }
}

impl Source for RuntimeSource {
    fn ask(&self, question: Question) -> Result<Answer, Unanswered> {
        self.reader()?.ask(question).map_err(of_fault)
    }

    fn task_changes(&self) -> Result<TaskChanges, Unanswered> {
        self.reader()?.task_changes(&mut locked(&self.look)).map_err(of_fault)
    }

    fn task_links(&self, id: u64) -> Result<TaskLinks, Unanswered> {
        Ok(self.reader()?.task_links(id))
    }

    fn store_summary(&self) -> Result<StoreSummary, Unanswered> {
        self.reader()?.store_summary().map_err(of_fault)
    }

    fn report(&self, failure: &Failure) -> String {
        mobula::error::report(failure)
    }

    fn cells(&self, after: u64) -> CellsSince {
        self.cells.since(after)
    }

    fn log(&self, from: u64) -> LogSince {
        self.log.since(from)
    }
}

/// A refusal of the runtime as an error.
pub fn of_fault(fault: Box<Fault>) -> Unanswered {
    unanswered(mobula::error::sentence(fault))
}

fn unanswered(reason: String) -> Unanswered {
    Unanswered { reason }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
