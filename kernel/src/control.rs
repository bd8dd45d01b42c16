//! The control socket: requests that must not wait for the running cell.

use crate::answers;
use crate::cells::Turn;
use crate::debug::{self, Needs};
use crate::kernel::{Channel, Kernel, refusal};
use crate::wire::Request;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// The queues of threads that answer requests of this socket.
pub(crate) struct Desks {
    /// To the cells thread.
    pub(crate) turns: mpsc::Sender<Turn>,
    /// The number of requests sent to the cells thread.
    pub(crate) turns_sent: Arc<AtomicU64>,
    /// To the thread that measures memory and time.
    pub(crate) usage: mpsc::Sender<Request>,
}

/// Serves the socket until the kernel ends.
pub(crate) async fn serve(kernel: Arc<Kernel>, mut messages: mpsc::Receiver<Vec<Bytes>>, desks: Desks) {
    while let Some(frames) = messages.recv().await {
        let request = match kernel.wire.decode(frames) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "ignored on control");
                continue;
            }
        };
        let Some(request) = answers::at_once(&kernel, Channel::Control, request) else { continue };
        match &*request.msg_type {
            "debug_request" => match debugger_needs(&kernel, &request) {
                Needs::Nothing(reply) => kernel.answer(Channel::Control, &request, reply),
                // The cells thread answers. If it has too much to do, the front end asks again after the next cell.
                _ => {
                    let number = desks.turns_sent.fetch_add(1, Ordering::SeqCst);
                    if let Err(full) = desks.turns.try_send(Turn { number, request }) {
                        let request = full.into_inner().request;
                        let content = Value::Object(request.content.clone());
                        kernel.answer(Channel::Control, &request, debug::refused(&content, "the kernel is busy"));
                    }
                }
            },
            "shutdown_request" => answers::shut_down(&kernel, Channel::Control, &request),
            "usage_request" => {
                if let Err(refused) = desks.usage.try_send(request) {
                    let content = refusal("TooManyRequests", "earlier usage requests are still being answered");
                    kernel.answer(Channel::Control, &refused.into_inner(), content);
                }
            }
            _ => answers::unknown(&kernel, Channel::Control, &request),
        }
    }
}

fn debugger_needs(kernel: &Kernel, request: &Request) -> Needs {
    let known = || kernel.evaluator.get().and_then(|evaluator| evaluator.known_variables());
    kernel.debugger.needs(&Value::Object(request.content.clone()), known)
}
