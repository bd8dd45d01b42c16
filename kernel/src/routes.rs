//! Routes from a cell's events to the request that started the cell, even long after the cell has ended.
//!
//! A task may print after its cell has ended. Its output belongs under that cell and not under the newest one, so the
//! routes of up to [`ROUTES_MAX`] cells are kept.

use crate::iopub::IoPub;
use crate::wire::{Draft, Origin, comm};
use mobula_session::{Bundle, CellId, CommKind, CommMessage, Event, Received, Stage, Stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

/// The most cells whose routes are kept. Late output of older cells goes to the newest cell.
const ROUTES_MAX: usize = 4096;

/// The destination of a cell's events.
#[derive(Clone)]
pub(crate) struct Route {
    /// The request that started the cell.
    pub(crate) origin: Arc<Origin>,
    /// The execution count shown with results.
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
    /// The request whose callbacks run.
    called_back: Option<Arc<Origin>>,
    /// The value of the running cell.
    result: Option<Bundle>,
    /// The pages that it opened.
    pages: Vec<Bundle>,
    /// Front ends' messages on comms whose answers are on their way, by number.
    asked: HashMap<u64, Asked>,
    asked_count: u64,
}

/// A front end's message on a comm.
struct Asked {
    origin: Arc<Origin>,
    is_answered: bool,
    /// Whether its request ends with the answer. Known when the session has taken the message.
    ends: Option<bool>,
}

impl State {
    /// The route of a cell. One that was loaded from a file has that of the cell before it that loads it; the newest one is for cells whose
    /// own is no longer kept.
    fn route(&self, cell: CellId) -> Option<&Route> {
        let mut upto = self.cells.range(..=cell).map(|(_, route)| route);
        upto.next_back().or_else(|| self.cells.values().next_back())
    }

    /// The parent of what a cell shows: the cell's request, or that of the callbacks that run, if it comes from another page.
    fn parent(&self, cell: &Arc<Origin>) -> Arc<Origin> {
        // A page that was loaded again does not know the requests of the one before.
        self.called_back.as_ref().filter(|origin| origin.session != cell.session).unwrap_or(cell).clone()
    }
}

impl Routes {
    /// No routes yet.
    pub(crate) fn new(iopub: IoPub) -> Routes {
        Routes { iopub, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding the routes")
    }

    /// Records that a cell is about to run.
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

    /// Records that the running cell has ended. Returns its value, if it had one, and its pages.
    pub(crate) fn close(&self) -> (Option<Bundle>, Vec<Bundle>) {
        let mut state = self.state();
        state.running = None;
        (state.result.take(), std::mem::take(&mut state.pages))
    }

    /// A front end's message on a comm is about to be given to the session. Returns its number.
    pub(crate) fn ask(&self, origin: Arc<Origin>) -> u64 {
        let mut state = self.state();
        state.asked_count += 1;
        let number = state.asked_count;
        state.asked.insert(number, Asked { origin, is_answered: false, ends: None });
        number
    }

    /// The session has taken the message: its request ends with the answer, if one comes and no callbacks run because of it.
    pub(crate) fn asked(&self, number: u64, received: &Received) {
        let mut state = self.state();
        let Some(asked) = state.asked.get_mut(&number) else { return };
        asked.ends = Some(!received.wants_turn);
        if !received.has_reply || asked.is_answered {
            self.end(&mut state, number);
        }
    }

    /// Publishes the answer to a front end's message on a comm.
    fn answer(&self, number: u64, message: CommMessage) {
        let mut state = self.state();
        let Some(asked) = state.asked.get_mut(&number) else { return };
        asked.is_answered = true;
        self.iopub.post(&asked.origin, comm::draft(message));
        // Otherwise the session has put the answer into the queue and not returned yet.
        if asked.ends.is_some() {
            self.end(&mut state, number);
        }
    }

    /// Nothing more comes for a front end's message, unless callbacks run because of it.
    fn end(&self, state: &mut State, number: u64) {
        if let Some(Asked { origin, ends: Some(true), .. }) = state.asked.remove(&number) {
            self.iopub.idle(&origin);
        }
    }

    /// Callbacks run because of this request, or no longer do.
    pub(crate) fn call_back(&self, origin: Option<Arc<Origin>>) {
        self.state().called_back = origin;
    }

    /// Publishes an event. Blocks while too much is queued.
    pub(crate) fn deliver(&self, event: Event) {
        match event {
            Event::Text { cell, stream, text } => {
                if let Some(route) = self.find(cell) {
                    self.iopub.text(&route.origin, stream, text);
                }
            }
            Event::Display { cell, bundle } => self.show(cell, |_| Draft::new("display_data", bundle_content(bundle))),
            // Pages go with the reply: see "Payloads" in the messaging protocol.
            Event::Page { cell, bundle } => {
                let mut state = self.state();
                if state.running.is_some_and(|running| running <= cell) {
                    state.pages.push(bundle);
                }
            }
            Event::Report { cell, report } => {
                self.show(cell, |_| Draft::new("display_data", bundle_content(report.bundle())))
            }
            Event::Update { cell, bundle } => {
                self.show(cell, |_| Draft::new("update_display_data", bundle_content(bundle)))
            }
            Event::Tasks { cell, bundle, stage } => {
                let msg_type = if stage == Stage::Begun { "display_data" } else { "update_display_data" };
                self.show(cell, |_| Draft::new(msg_type, bundle_content(bundle)));
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
            Event::Comm { cell, message } => self.say(cell, message),
            Event::CommReply { request, message } => self.answer(request, message),
            Event::Capture { cell, comm, begins } => {
                let origin = self.origin(cell);
                let parent = if begins { origin.msg_id.as_str() } else { "" };
                let data = json!({"method": "update", "state": {"msg_id": parent}, "buffer_paths": []});
                self.iopub.show(&origin, Draft::new("comm_msg", json!({"comm_id": comm, "data": data})));
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

    /// The route of a cell, or of the newest cell if its own is no longer kept; `None` when nothing is to be published.
    fn find(&self, cell: CellId) -> Option<Route> {
        let state = self.state();
        let route = state.route(cell)?;
        (!route.silent).then(|| Route { origin: state.parent(&route.origin), ..route.clone() })
    }

    /// Publishes a message on a comm.
    fn say(&self, cell: CellId, message: CommMessage) {
        let origin = self.origin(cell);
        match message.kind {
            CommKind::Message => self.iopub.update(&origin, message),
            _ => self.iopub.show(&origin, comm::draft(message)),
        }
    }

    /// The request that started a cell, silent or not, or the newest one.
    fn origin(&self, cell: CellId) -> Arc<Origin> {
        let state = self.state();
        let route = state.route(cell);
        route.map_or_else(Origin::nobody, |route| state.parent(&route.origin))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_was_loaded_from_a_file_has_the_route_of_the_cell_that_loads_it() {
        let route = |count| Route { origin: Origin::nobody(), count, silent: false };
        // Cell 4 has loaded cells 5 and 6.
        let cells = [4, 7].map(|cell| (CellId(cell), route(cell)));
        let state = State { cells: cells.into(), ..State::default() };
        let found = |cell| state.route(CellId(cell)).map(|route| route.count);
        assert_eq!([4, 5, 6, 7, 8].map(found), [4, 4, 4, 7, 7].map(Some));
        assert_eq!(found(1), Some(7), "its own is no longer kept");
    }
}
