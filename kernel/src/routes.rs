//! From a cell's events to the request that started the cell, also long after the cell has ended.
//!
//! A task goes on printing when its cell is over. What it prints belongs under that cell and not under the newest one,
//! so the way back is kept for each cell, up to [`ROUTES_MAX`] of them.

use crate::iopub::IoPub;
use crate::wire::{Draft, Origin};
use mobula_session::{Bundle, CellId, Event, Stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Cells whose late output still finds its way. For older ones it goes to the newest cell.
const ROUTES_MAX: usize = 4096;

/// Where a cell's events go.
#[derive(Clone)]
pub(crate) struct Route {
    /// The request that started the cell.
    pub(crate) origin: Arc<Origin>,
    /// The number to show with results.
    pub(crate) count: u64,
    /// Whether to publish nothing.
    pub(crate) silent: bool,
}

/// The routes of all cells.
pub(crate) struct Routes {
    iopub: IoPub,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cells: BTreeMap<CellId, Route>,
    running: Option<CellId>,
    /// The value of the cell that runs.
    result: Option<Bundle>,
    /// What it gave to read.
    pages: Vec<Bundle>,
}

impl Routes {
    /// No routes yet.
    pub(crate) fn new(iopub: IoPub) -> Routes {
        Routes { iopub, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding the routes")
    }

    /// A cell is about to run.
    pub(crate) fn open(&self, cell: CellId, route: Route) {
        let mut state = self.state();
        state.cells.insert(cell, route);
        if state.cells.len() > ROUTES_MAX {
            state.cells.pop_first();
        }
        state.running = Some(cell);
        state.result = None;
        state.pages.clear();
    }

    /// The cell that ran has ended. Gives its value, if it had one, and what it gave to read.
    pub(crate) fn close(&self) -> (Option<Bundle>, Vec<Bundle>) {
        let mut state = self.state();
        state.running = None;
        (state.result.take(), std::mem::take(&mut state.pages))
    }

    /// Publishes an event. Waits while too much is queued.
    pub(crate) fn deliver(&self, event: Event) {
        match event {
            Event::Text { cell, stream, text } => {
                if let Some(route) = self.find(cell) {
                    self.iopub.text(&route.origin, stream, text);
                }
            }
            Event::Display { cell, bundle } => self.show(cell, |_| Draft::new("display_data", bundle_content(bundle))),
            // With the reply: see "Payloads" in the messaging protocol.
            Event::Page { cell, bundle } => {
                let mut state = self.state();
                if state.running == Some(cell) {
                    state.pages.push(bundle);
                }
            }
            Event::Report { cell, report } => {
                self.show(cell, |_| Draft::new("display_data", bundle_content(report.bundle())))
            }
            Event::Update { cell, bundle } => {
                self.show(cell, |_| Draft::new("update_display_data", bundle_content(bundle)))
            }
            Event::Clear { cell, wait } => self.show(cell, |_| Draft::new("clear_output", json!({ "wait": wait }))),
            Event::Result { cell, bundle } => {
                self.keep(cell, &bundle);
                self.show(cell, |route| {
                    let mut content = bundle_content(bundle);
                    content["execution_count"] = route.count.into();
                    Draft::new("execute_result", content)
                });
            }
            Event::Notice { text } => {
                let running = {
                    let state = self.state();
                    state.running.and_then(|cell| state.cells.get(&cell).cloned())
                };
                match running {
                    Some(route) if !route.silent => self.iopub.text(&route.origin, Stream::Stderr, text + "\n"),
                    _ => tracing::info!(notice = text),
                }
            }
        }
    }

    fn show(&self, cell: CellId, draft: impl FnOnce(&Route) -> Draft) {
        if let Some(route) = self.find(cell) {
            self.iopub.show(&route.origin, draft(&route));
        }
    }

    /// The route of a cell, or of the newest one when the cell's is forgotten; `None` when nothing is to be published.
    fn find(&self, cell: CellId) -> Option<Route> {
        let state = self.state();
        let route = state.cells.get(&cell).or_else(|| state.cells.values().next_back())?;
        (!route.silent).then(|| route.clone())
    }

    fn keep(&self, cell: CellId, bundle: &Bundle) {
        let mut state = self.state();
        if state.running == Some(cell) {
            state.result = Some(bundle.clone());
        }
    }
}

/// A bundle as the content of a display message.
pub(crate) fn bundle_content(bundle: Bundle) -> Value {
    let transient = match bundle.display_id {
        Some(id) => json!({ "display_id": id }),
        None => json!({}),
    };
    json!({"data": bundle.data, "metadata": bundle.metadata, "transient": transient})
}
