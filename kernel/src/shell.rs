//! The shell socket: routes each request to the thread that answers it.
//!
//! ```text
//!           ┌─ kernel_info, is_complete, … ─▶ answered here, at once
//! shell ────┼─ complete, inspect ───────────▶ analysis thread
//!           ├─ comms ───────────────────────▶ the session, at once; their callbacks: cells thread
//!           └─ execute, history, … ─────────▶ cells thread, in the order in which they came
//! ```

use crate::analysis;
use crate::answers;
use crate::cells::Turn;
use crate::comms;
use crate::kernel::{Channel, Kernel};
use crate::wire::Request;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// The most requests that wait for the cells thread. Beyond that, the socket is not read.
pub(crate) const TURNS_MAX: usize = 1024;
/// The most questions about code that wait. When more come, the person has typed on, and they get an empty reply.
pub(crate) const QUESTIONS_MAX: usize = 16;

/// The queues of the answering threads.
pub(crate) struct Desks {
    /// To the cells thread.
    pub(crate) turns: mpsc::Sender<Turn>,
    /// The number of requests sent to the cells thread.
    pub(crate) turns_sent: Arc<AtomicU64>,
    /// To the analysis thread.
    pub(crate) questions: mpsc::Sender<Request>,
}

/// Serves the socket until the kernel ends.
pub(crate) async fn serve(kernel: Arc<Kernel>, mut messages: mpsc::Receiver<Vec<Bytes>>, desks: Desks) {
    while let Some(frames) = messages.recv().await {
        let request = match kernel.wire.decode(frames) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "ignored on shell");
                continue;
            }
        };
        let Some(request) = answers::at_once(&kernel, Channel::Shell, request) else { continue };
        if matches!(&*request.msg_type, "complete_request" | "inspect_request") {
            if let Err(refused) = desks.questions.try_send(request) {
                let request = refused.into_inner();
                kernel.answer(Channel::Shell, &request, analysis::nothing(&request));
            }
            continue;
        }
        let is_comm = matches!(&*request.msg_type, "comm_open" | "comm_msg" | "comm_close");
        if is_comm && !comms::received(&kernel, &request) {
            continue;
        }
        let number = desks.turns_sent.fetch_add(1, Ordering::SeqCst);
        if desks.turns.send(Turn { number, request }).await.is_err() {
            return;
        }
    }
}
