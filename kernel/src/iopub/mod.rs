//! IOPub: outputs and status messages, from many threads to all subscribers, in order.
//!
//! ```text
//! cells' events ─ text, show ─▶ ┌─────────┐            ┌───────────┐ ─▶ outbox of subscriber 1
//!  (wait when it is full)       │ backlog │ ─ owner ─▶ │ publisher │ ─▶ outbox of subscriber 2
//! requests' states ── post ───▶ └─────────┘   (task)   └───────────┘
//!  (never wait)                 joins texts             filters, welcomes
//! ```
//!
//! # Invariants
//! - Messages leave in the order in which they were queued, except between the two streams in a flood (see
//!   [`backlog`]).
//! - A subscriber that reads loses nothing: a cell that prints faster than its subscribers read has to wait.
//! - The last status that a front end received is the true one: after an idle during a cell, that cell's busy is sent
//!   again.

mod backlog;
mod publisher;

use crate::wire::{Draft, Origin, Wire, comm};
use backlog::{Backlog, Item, Pop};
use bytes::Bytes;
use mobula_session::{CommMessage, Stream};
use publisher::Publisher;
use serde_json::json;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// While more than this is queued, cells wait before they add text or displays.
const BACKLOG_BYTES_MAX: usize = 16 << 20;
/// How long [`IoPub::settle`] waits for slow subscribers.
const SETTLE_WAIT_MAX: Duration = Duration::from_millis(250);

/// A handle to the IOPub socket. Cheap to clone; all clones share one socket.
#[derive(Clone)]
pub(crate) struct IoPub(Arc<Shared>);

struct Shared {
    backlog: Mutex<State>,
    work: Notify,
    room: Condvar,
}

struct State {
    queue: Backlog,
    /// The execute request that is being served, for which front ends show the kernel as busy.
    turn: Option<Arc<Origin>>,
    /// The cell of that request has failed.
    #[cfg(debug_assertions)]
    has_failed: bool,
    closed: bool,
}

#[cfg(debug_assertions)]
impl State {
    /// Panics when `draft` is an error, but not the first error of the cell that runs.
    fn check(&mut self, origin: &Arc<Origin>, draft: &Draft) {
        if draft.msg_type == "error" {
            assert!(self.turn.as_ref().is_some_and(|turn| Arc::ptr_eq(turn, origin)), "a cell fails while it runs");
            assert!(!std::mem::replace(&mut self.has_failed, true), "a failed cell is one error");
        }
    }
}

impl IoPub {
    /// The socket, and its service for [`serve`](crate::zmtp::serve). Spawns the task that empties the backlog.
    pub(crate) fn new(wire: Arc<Wire>) -> (IoPub, Arc<Publisher>) {
        let welcome = {
            let wire = wire.clone();
            move |topic: &Bytes| {
                let draft = Draft::new("iopub_welcome", json!({"subscription": String::from_utf8_lossy(topic)}));
                wire.encode(std::slice::from_ref(topic), &Origin::nobody(), &draft).1
            }
        };
        let publisher = Arc::new(Publisher::new(Box::new(welcome)));
        let mut queue = Backlog::default();
        queue.push(Origin::nobody(), status("starting"));
        let state = State {
            queue,
            turn: None,
            #[cfg(debug_assertions)]
            has_failed: false,
            closed: false,
        };
        let shared = Arc::new(Shared { backlog: Mutex::new(state), work: Notify::new(), room: Condvar::new() });
        tokio::spawn(own(shared.clone(), publisher.clone(), wire));
        (IoPub(shared), publisher)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.backlog.lock().expect("nobody panics holding the backlog")
    }

    /// Queues a request's status, error or reply. Never waits.
    pub(crate) fn post(&self, origin: &Arc<Origin>, draft: Draft) {
        let mut state = self.state();
        #[cfg(debug_assertions)]
        state.check(origin, &draft);
        state.queue.push(origin.clone(), draft);
        drop(state);
        self.0.work.notify_one();
    }

    /// Queues a display or a result. Blocks while too much is queued, so only plain threads may call it.
    pub(crate) fn show(&self, origin: &Arc<Origin>, draft: Draft) {
        self.wait_for_room().queue.push(origin.clone(), draft);
        self.0.work.notify_one();
    }

    /// Queues text that a cell wrote. Blocks while too much is queued, so only plain threads may call it.
    pub(crate) fn text(&self, origin: &Arc<Origin>, stream: Stream, text: String) {
        if text.is_empty() {
            return;
        }
        if self.wait_for_room().queue.push_text(Instant::now(), origin, stream, text) {
            self.0.work.notify_one();
        }
    }

    /// Queues an update of a widget. It waits a moment, and one that waits takes in later ones of the same widget. Blocks
    /// as [`IoPub::show`] does.
    pub(crate) fn update(&self, origin: &Arc<Origin>, message: CommMessage) {
        if self.wait_for_room().queue.push_update(Instant::now(), origin, message) {
            self.0.work.notify_one();
        }
    }

    fn wait_for_room(&self) -> MutexGuard<'_, State> {
        let full = |state: &mut State| state.queue.bytes() > BACKLOG_BYTES_MAX && !state.closed;
        self.0.room.wait_while(self.state(), full).expect("nobody panics holding the backlog")
    }

    /// Publishes that a request is being served. With `turn`, it keeps the kernel busy until its [`IoPub::idle`].
    pub(crate) fn busy(&self, origin: &Arc<Origin>, turn: bool) {
        let mut state = self.state();
        if turn {
            debug_assert!(state.turn.is_none(), "one request has its turn at a time, until it is idle");
            state.turn = Some(origin.clone());
            #[cfg(debug_assertions)]
            {
                state.has_failed = false;
            }
        }
        state.queue.push(origin.clone(), status("busy"));
        drop(state);
        self.0.work.notify_one();
    }

    /// Publishes that a request is done.
    pub(crate) fn idle(&self, origin: &Arc<Origin>) {
        let mut state = self.state();
        state.queue.push(origin.clone(), status("idle"));
        match state.turn.clone() {
            Some(turn) if Arc::ptr_eq(&turn, origin) => state.turn = None,
            // Front ends show the last status that they received, whichever request it belongs to.
            Some(turn) => state.queue.push(turn, status("busy")),
            None => {}
        }
        drop(state);
        self.0.work.notify_one();
    }

    /// Resolves when everything queued so far has been written to every subscriber that reads. A slow subscriber is
    /// waited for only once, and only for a moment.
    pub(crate) fn settle(&self) -> oneshot::Receiver<()> {
        let (done, settled) = oneshot::channel();
        let mut state = self.state();
        if !state.closed {
            state.queue.push_barrier(done);
        }
        drop(state);
        self.0.work.notify_one();
        settled
    }

    /// Stops publishing, and releases the threads that wait for room.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.0.room.notify_all();
        self.0.work.notify_one();
    }
}

fn status(state: &str) -> Draft {
    Draft::new("status", json!({ "execution_state": state }))
}

/// Moves items from the backlog to the publisher, until the socket is closed.
async fn own(shared: Arc<Shared>, publisher: Arc<Publisher>, wire: Arc<Wire>) {
    loop {
        let next = {
            let mut state = shared.backlog.lock().expect("nobody panics holding the backlog");
            if state.closed {
                // This drops the barriers, which releases the threads that wait for them.
                state.queue = Backlog::default();
                return;
            }
            state.queue.pop(Instant::now())
        };
        match next {
            Pop::Item(item) => {
                shared.room.notify_all();
                let (origin, draft) = match item {
                    Item::Message { origin, draft } => (origin, draft),
                    Item::Text(text) => {
                        let name = match text.stream {
                            Stream::Stdout => "stdout",
                            Stream::Stderr => "stderr",
                        };
                        (text.origin, Draft::new("stream", json!({"name": name, "text": text.text})))
                    }
                    Item::Update(update) => (update.origin, comm::draft(update.message)),
                    Item::Barrier(done) => {
                        publisher.settle(SETTLE_WAIT_MAX).await;
                        // The receiver may have stopped waiting.
                        let _ = done.send(());
                        continue;
                    }
                };
                let topic = Bytes::from(format!("kernel.{}.{}", wire.session(), draft.msg_type));
                let (_, frames) = wire.encode(&[topic], &origin, &draft);
                publisher.publish(&frames).await;
            }
            Pop::Wait(until) => {
                tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = shared.work.notified() => {}
                }
            }
            Pop::Empty => shared.work.notified().await,
        }
    }
}
