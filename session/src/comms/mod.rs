//! Comms of the session: which are open, the states of widgets, and the messages that wait for callbacks.
//!
//! ```text
//!   front ends ◀── Event::Comm ── ┌─────────┐ ◀── CommCall ── cells, tasks, actors
//!        ── received ───────────▶ │  Comms  │ ── between cells: a turn of the session's thread
//!                                 └─────────┘ ── at once: the answer that a thread waits for
//! ```
//!
//! The states are kept here and not in the cell host: so they are there while a cell runs, after a crash, and for tasks.
//!
//! # Invariants
//! - What front ends hear of a comm comes in the order of the calls and of their own messages: all of it passes through the queue of
//!   events, put there under the lock.
//! - A message for a callback waits in one place; of several updates of a widget that wait, the newest values are left.

mod model;
mod progress;
mod screens;

use crate::event::{CellId, Event, Received, nobody_is_there};
use crate::outlet::Outlet;
use mobula_abi::{CommAnswer, CommCall, CommKind, CommMessage, Listened};
use model::{Model, Update, all_states, saved_states};
pub use model::{WIDGET_STATES, join};
use progress::{Bars, Drawing};
use screens::Screens;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The target of widgets' comms.
const WIDGET: &str = "jupyter.widget";
/// The target on which front ends ask for all widgets at once.
const CONTROL: &str = "jupyter.widget.control";
/// How many comms may be open. A session that opens more closes none.
const OPEN_MAX: usize = 20_000;
/// How many bytes are handed to a process at once, and how many may wait for it: a message of the runtime takes 64 MiB.
const SENT_BYTES_MAX: usize = 32 << 20;
/// How many messages may wait for callbacks; beyond that the oldest are dropped.
const WAITING_MAX: usize = 4096;

/// Takes the answer to a call.
pub type Reply = Box<dyn FnOnce(CommAnswer) + Send>;

/// The session's comms.
pub struct Comms {
    outlet: Arc<dyn Outlet>,
    state: Mutex<State>,
    /// Answers that wait until the front end has taken what was sent.
    held: Arc<Mutex<Vec<(Reply, CommAnswer)>>>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<String, Open>,
    targets: HashMap<String, Listeners>,
    /// Messages for callbacks that run between cells.
    waiting: VecDeque<Waiting>,
    /// The cell whose callbacks run now.
    turn: Option<CellId>,
    /// How many turns have begun.
    turns: u64,
    bars: Bars,
    screens: Screens,
    /// By listener.
    at_once: HashMap<u64, AtOnce>,
}

struct Open {
    target: String,
    model: Model,
    listeners: Listeners,
}

/// Who listens to a comm or a target.
#[derive(Clone, Debug, Default)]
struct Listeners {
    /// Libraries, and the cells that set their first callbacks.
    between_cells: Vec<(u64, CellId)>,
    at_once: Vec<(u64, CellId)>,
}

struct Waiting {
    cell: CellId,
    listener: u64,
    message: CommMessage,
    /// How many turns had begun when it came.
    since: u64,
}

/// Messages for the callbacks of a library that run at once.
#[derive(Default)]
struct AtOnce {
    messages: VecDeque<CommMessage>,
    waiter: Option<Reply>,
    /// The cell that set the first of them.
    cell: Option<CellId>,
    /// Whether a thread of the present cell host takes them.
    is_attended: bool,
}

impl Comms {
    /// No comms yet. What is sent to front ends goes to `outlet`.
    pub fn new(outlet: Arc<dyn Outlet>) -> Comms {
        let held: Arc<Mutex<Vec<(Reply, CommAnswer)>>> = Arc::default();
        let for_bell = held.clone();
        outlet.when_room(Box::new(move || let_go(&for_bell)));
        Comms { outlet, state: Mutex::default(), held }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles a call of a process, for a cell. Never waits; a [`CommCall::Wait`] is answered when there is something.
    pub fn call(&self, cell: CellId, call: CommCall, reply: Reply) {
        let mut state = self.state();
        let answer = match call {
            CommCall::Send(message) => {
                let answer = state.sent(&message);
                if answer == CommAnswer::Done {
                    // Under the lock, so that the order of the calls is that of the events.
                    self.outlet.put(Event::Comm { cell, message });
                }
                drop(state);
                return self.answer_when_taken(reply, answer);
            }
            CommCall::Append { comm, key, json } => match state.open.get_mut(&comm) {
                Some(open) => {
                    let update = open.model.append(&key, serde_json::from_str(&json).unwrap_or_default());
                    let (data, buffers) = update.message("update");
                    let message = self::reply(&comm, CommKind::Message, data, buffers);
                    self.outlet.put(Event::Comm { cell, message });
                    drop(state);
                    return self.answer_when_taken(reply, CommAnswer::Done);
                }
                None => CommAnswer::Closed,
            },
            CommCall::Value { comm, key } => match state.open.get(&comm) {
                Some(open) if key.is_empty() => {
                    CommAnswer::Value { json: open.model.values().to_string(), bytes: None }
                }
                Some(open) => {
                    let (value, bytes) = open.model.value(&key);
                    if bytes.is_some_and(|bytes| bytes.len() > SENT_BYTES_MAX) {
                        // It is more than fits into an answer, and dropping the reply says that there is none.
                        return;
                    }
                    CommAnswer::Value { json: value.to_string(), bytes: bytes.map(<[u8]>::to_vec) }
                }
                None => CommAnswer::Closed,
            },
            CommCall::Listen { to, listener, between_cells, at_once } => {
                state.listen(to, listener, [between_cells, at_once], cell)
            }
            CommCall::Progress(report) => {
                if let Some(Drawing { is_new, bundle }) = state.bars.report(cell, &report, Instant::now(), lives) {
                    let event = if is_new { Event::Display { cell, bundle } } else { Event::Update { cell, bundle } };
                    self.outlet.put(event);
                }
                CommAnswer::Done
            }
            CommCall::Screen { number, text } => {
                self.outlet.put(state.screens.show(cell, number, text));
                CommAnswer::Done
            }
            CommCall::Take { listener } => CommAnswer::Messages(state.take(listener)),
            CommCall::Wait { listener } => {
                let queue = state.at_once.entry(listener).or_default();
                queue.is_attended = true;
                if queue.messages.is_empty() {
                    queue.waiter = Some(reply);
                    return;
                }
                CommAnswer::Messages(queue.messages.drain(..).collect())
            }
        };
        drop(state);
        reply(answer);
    }

    /// Handles a message of a front end, whose number is `request`. Never waits.
    pub fn received(&self, request: u64, message: CommMessage) -> Received {
        let mut state = self.state();
        let data: Value = serde_json::from_str(&message.data).unwrap_or_default();
        let (reply, wants_turn) = match message.kind.clone() {
            CommKind::Open { target } => state.opened_outside(&target, &data, message),
            CommKind::Close => match state.open.remove(&message.comm) {
                Some(open) => (None, state.deliver(&open.listeners, &message)),
                None => (None, false),
            },
            CommKind::Message => state.said_outside(&data, message),
        };
        let has_reply = reply.is_some();
        if let Some(message) = reply {
            // Under the lock, so that an update that a process has made before does not come after it.
            self.outlet.put(Event::CommReply { request, message });
        }
        Received { has_reply, wants_turn }
    }

    /// The open comms, of one target or all: their ids and targets.
    pub fn open(&self, target: Option<&str>) -> Vec<(String, String)> {
        let state = self.state();
        let open = state.open.iter().filter(|(_, open)| target.is_none_or(|target| open.target == target));
        open.map(|(id, open)| (id.clone(), open.target.clone())).collect()
    }

    /// The states of all widgets, as a notebook keeps them in its metadata; `None` when there are none.
    pub fn saved(&self) -> Option<Value> {
        let state = self.state();
        let widgets = state.open.iter().filter(|(_, open)| open.target == WIDGET);
        saved_states(widgets.map(|(id, open)| (id.as_str(), &open.model)))
    }

    /// The cells whose callbacks are to run between two cells. Messages that come while they run are for the next time.
    pub fn turns(&self) -> Vec<CellId> {
        let mut state = self.state();
        let mut cells: Vec<CellId> = Vec::new();
        let waiting: Vec<CellId> = state.waiting.iter().map(|waiting| waiting.cell).collect();
        // A new process has no thread for them until it is called; if it has none after that, it has no callbacks.
        let unattended = state.at_once.values_mut().filter(|queue| !queue.is_attended && !queue.messages.is_empty());
        let recalled: Vec<CellId> = unattended
            .filter_map(|queue| {
                queue.is_attended = true;
                queue.cell
            })
            .collect();
        for cell in waiting.into_iter().chain(recalled) {
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// The callbacks of a cell run from now on, and take what waits for them.
    pub fn begin_turn(&self, cell: CellId) {
        let mut state = self.state();
        state.turn = Some(cell);
        state.turns += 1;
    }

    /// They have ended. What has been there from the begin and was not taken is for a library that is gone, with its process.
    pub fn end_turn(&self) {
        let mut state = self.state();
        let (over, turns) = (state.turn.take(), state.turns);
        state.waiting.retain(|waiting| Some(waiting.cell) != over || waiting.since >= turns);
    }

    /// Answers now, or when the front end has taken enough of what was sent.
    fn answer_when_taken(&self, reply: Reply, answer: CommAnswer) {
        if !self.outlet.is_full() {
            return reply(answer);
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push((reply, answer));
        // There may have been room since.
        if !self.outlet.is_full() {
            let_go(&self.held);
        }
    }

    /// Another process runs the cells: no thread of it waits yet.
    pub fn host_changed(&self) {
        for queue in self.state().at_once.values_mut() {
            (queue.is_attended, queue.waiter) = (false, None);
        }
    }
}

impl State {
    /// Records what a process sends to the front ends.
    fn sent(&mut self, message: &CommMessage) -> CommAnswer {
        let data: Value = serde_json::from_str(&message.data).unwrap_or_default();
        match &message.kind {
            CommKind::Open { target } => {
                if self.open.len() >= OPEN_MAX {
                    return CommAnswer::Closed;
                }
                let model = Model::opened(&data, &message.buffers);
                let open = Open { target: target.clone(), model, listeners: Listeners::default() };
                self.open.insert(message.comm.clone(), open);
                CommAnswer::Done
            }
            CommKind::Message => {
                let Some(open) = self.open.get_mut(&message.comm) else { return CommAnswer::Closed };
                if method(&data) == "update"
                    && let Some(update) = Update::of(&data, &message.buffers)
                {
                    open.model.update(update);
                }
                CommAnswer::Done
            }
            CommKind::Close => match self.open.remove(&message.comm) {
                Some(_) => CommAnswer::Done,
                None => CommAnswer::Closed,
            },
        }
    }

    fn listen(&mut self, to: Listened, listener: u64, kinds: [bool; 2], cell: CellId) -> CommAnswer {
        let listeners = match to {
            Listened::Comm(comm) => match self.open.get_mut(&comm) {
                Some(open) => &mut open.listeners,
                None => return CommAnswer::Closed,
            },
            Listened::Target(target) => self.targets.entry(target).or_default(),
        };
        for (list, is_there) in [&mut listeners.between_cells, &mut listeners.at_once].into_iter().zip(kinds) {
            match list.iter().position(|(known, _)| *known == listener) {
                Some(at) if !is_there => drop(list.remove(at)),
                None if is_there => list.push((listener, cell)),
                _ => {}
            }
        }
        CommAnswer::Done
    }

    fn take(&mut self, listener: u64) -> Vec<CommMessage> {
        let turn = self.turn;
        let is_taken = |waiting: &Waiting| Some(waiting.cell) == turn && waiting.listener == listener;
        let (taken, left): (Vec<Waiting>, _) = self.waiting.drain(..).partition(is_taken);
        self.waiting = VecDeque::from(left);
        taken.into_iter().map(|waiting| waiting.message).collect()
    }

    /// Opens a comm of a front end. Returns the answer, and whether callbacks are to run.
    fn opened_outside(&mut self, target: &str, data: &Value, message: CommMessage) -> (Option<CommMessage>, bool) {
        let listeners = self.targets.get(target).cloned();
        let is_full = self.open.len() >= OPEN_MAX && target != CONTROL;
        if listeners.is_none() && ![WIDGET, CONTROL].contains(&target) || is_full {
            return (nobody_is_there(&message), false);
        }
        let model = Model::opened(data, &message.buffers);
        let open = Open { target: target.to_owned(), model, listeners: Listeners::default() };
        self.open.insert(message.comm.clone(), open);
        (None, self.deliver(&listeners.unwrap_or_default(), &message))
    }

    /// Takes a front end's message on a comm. Returns the answer, and whether callbacks are to run.
    fn said_outside(&mut self, data: &Value, message: CommMessage) -> (Option<CommMessage>, bool) {
        let Some(open) = self.open.get_mut(&message.comm) else { return (None, false) };
        let to_all = |(data, buffers): (Value, Vec<Vec<u8>>)| reply(&message.comm, CommKind::Message, data, buffers);
        let reply = match (&*open.target, method(data)) {
            (CONTROL, "request_states") => {
                let widgets = self.open.iter().filter(|(_, open)| open.target == WIDGET);
                Some(to_all(all_states(widgets.map(|(id, open)| (id.as_str(), &open.model)))))
            }
            (_, "request_state") => Some(to_all(open.model.whole().message("update"))),
            (_, "update") => Update::of(data, &message.buffers).map(|update| {
                open.model.update(update.clone());
                // Other front ends of this kernel learn of it; the one that sent it knows its own echo.
                to_all(update.message("echo_update"))
            }),
            _ => None,
        };
        let listeners = self.open.get(&message.comm).map(|open| open.listeners.clone()).unwrap_or_default();
        (reply, self.deliver(&listeners, &message))
    }

    /// Puts a message where callbacks take it. Returns whether the session's thread is to run some.
    fn deliver(&mut self, listeners: &Listeners, message: &CommMessage) -> bool {
        let mut wants_turn = false;
        for (listener, cell) in &listeners.between_cells {
            let is_same =
                |waiting: &&mut Waiting| waiting.listener == *listener && waiting.message.comm == message.comm;
            let before = self.waiting.iter_mut().rev().find(is_same);
            let left = match before {
                Some(before) => join(&mut before.message, message.clone()),
                None => Some(message.clone()),
            };
            if let Some(message) = left {
                let since = self.turns;
                self.waiting.push_back(Waiting { cell: *cell, listener: *listener, message, since });
            }
            wants_turn = true;
        }
        bound(&mut self.waiting, |waiting| waiting.message.bytes());
        for (listener, cell) in &listeners.at_once {
            let queue = self.at_once.entry(*listener).or_default();
            queue.cell.get_or_insert(*cell);
            match queue.waiter.take() {
                Some(waiter) => waiter(CommAnswer::Messages(vec![message.clone()])),
                None => {
                    let left = match queue.messages.back_mut() {
                        Some(before) => join(before, message.clone()),
                        None => Some(message.clone()),
                    };
                    queue.messages.extend(left);
                    bound(&mut queue.messages, CommMessage::bytes);
                    wants_turn |= !queue.is_attended;
                }
            }
        }
        wants_turn
    }
}

/// Gives the answers that wait.
fn let_go(held: &Mutex<Vec<(Reply, CommAnswer)>>) {
    let held = std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
    held.into_iter().for_each(|(reply, answer)| reply(answer));
}

/// Drops the oldest of what waits beyond [`WAITING_MAX`] messages and [`SENT_BYTES_MAX`].
fn bound<T>(queue: &mut VecDeque<T>, size: impl Fn(&T) -> usize) {
    let mut bytes: usize = queue.iter().map(&size).sum();
    while queue.len() > WAITING_MAX || bytes > SENT_BYTES_MAX {
        bytes -= queue.pop_front().as_ref().map_or(bytes, &size);
    }
}

/// Whether there is such a process, and not only its end that nobody has asked for.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state stands behind the name, which is in brackets and may have some itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn method(data: &Value) -> &str {
    data.get("method").and_then(Value::as_str).unwrap_or_default()
}

fn reply(comm: &str, kind: CommKind, data: Value, buffers: Vec<Vec<u8>>) -> CommMessage {
    CommMessage::new(comm, kind, data.to_string(), buffers)
}

#[cfg(test)]
mod tests;
