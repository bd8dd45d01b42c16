//! Input requests of a running cell, over the stdin socket.
//!
//! Only one question is open at a time. It ends with its answer, with an interrupt, with the end of its cell, or at
//! once if the client that started the cell has gone. In all cases but the first, the cell gets no answer.

use crate::iopub::IoPub;
use crate::sockets::Router;
use crate::wire::{Draft, Origin, Request, Wire, typed};
use jupyter_protocol::{JupyterMessageContent, ReplyStatus};
use mobula_session::{InputReader, InputRequest};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// The socket and its open question.
pub(crate) struct Stdin {
    wire: Arc<Wire>,
    router: Router,
    iopub: IoPub,
    /// Held by the thread that asks, so that other threads wait.
    asking: Mutex<()>,
    open: Mutex<Option<Question>>,
}

struct Question {
    /// The identity of the client that is asked.
    identity: bytes::Bytes,
    /// The `msg_id`s of the question and of the request whose cell asks. An answer may refer to either, or to neither.
    msg_ids: [String; 2],
    answer: oneshot::Sender<String>,
}

impl Stdin {
    /// The socket, with no open question.
    pub(crate) fn new(wire: Arc<Wire>, router: Router, iopub: IoPub) -> Arc<Stdin> {
        Arc::new(Stdin { wire, router, iopub, asking: Mutex::default(), open: Mutex::default() })
    }

    /// The reader of one cell.
    pub(crate) fn reader(self: &Arc<Self>, origin: &Arc<Origin>) -> Reader {
        let open = Arc::new(AtomicBool::new(true));
        let (stdin, origin, still_open) = (self.clone(), origin.clone(), open.clone());
        let read: InputReader = Arc::new(move |question| stdin.ask(&origin, &question, &still_open));
        Reader { stdin: self.clone(), open, read }
    }

    /// Asks, and waits for the answer.
    fn ask(&self, origin: &Origin, question: &InputRequest, cell_runs: &AtomicBool) -> Option<String> {
        let _turn = self.asking.lock().expect("nobody panics asking");
        let identity = origin.identities.first()?.clone();
        // The cell's earlier output reaches the screen before the question.
        let _ = self.iopub.settle().blocking_recv();
        let draft = Draft::new("input_request", json!({"prompt": question.prompt, "password": question.is_password}));
        let (msg_id, frames) = self.wire.encode(&origin.identities, origin, &draft);
        let (answer, answered) = oneshot::channel();
        let question = Question { identity, msg_ids: [msg_id, origin.msg_id.clone()], answer };
        *self.open.lock().expect("nobody panics holding the question") = Some(question);
        // Checked after the question is open: from there on, the end of the cell withdraws it.
        if !cell_runs.load(Ordering::SeqCst) || !self.router.send(&frames) {
            self.withdraw();
        }
        answered.blocking_recv().ok()
    }

    /// Handles a message from the socket.
    pub(crate) fn received(&self, request: Request) {
        if request.msg_type != "input_reply" {
            return tracing::debug!(msg_type = request.msg_type, "not an answer");
        }
        let mut open = self.open.lock().expect("nobody panics holding the question");
        let meant = |question: &mut Question| {
            request.origin.identities.first() == Some(&question.identity)
                && (request.parent_id.is_empty() || question.msg_ids.contains(&request.parent_id))
        };
        let Some(question) = open.take_if(meant) else {
            return tracing::debug!("an answer to no question");
        };
        match typed(&request.msg_type, request.content) {
            Ok(JupyterMessageContent::InputReply(reply)) if reply.status == ReplyStatus::Ok => {
                // The cell may have stopped waiting.
                let _ = question.answer.send(reply.value);
            }
            // The question is dropped, so the cell gets no answer.
            _ => {}
        }
    }

    /// Ends the open question without an answer.
    pub(crate) fn withdraw(&self) {
        self.open.lock().expect("nobody panics holding the question").take();
    }
}

/// The right of one cell to ask, until this is dropped.
pub(crate) struct Reader {
    stdin: Arc<Stdin>,
    open: Arc<AtomicBool>,
    read: InputReader,
}

impl Reader {
    /// The evaluator's reader.
    pub(crate) fn input(&self) -> InputReader {
        self.read.clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        self.stdin.withdraw();
    }
}
