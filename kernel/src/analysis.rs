//! Completion and inspection on their own thread, so that typing never waits for a running cell.

use crate::cursor::{byte_at, point_at};
use crate::kernel::{Channel, Kernel, refusal};
use crate::routes::bundle_content;
use crate::wire::{Request, typed};
use jupyter_protocol::JupyterMessageContent;
use mobula_session::Evaluator;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Answers requests until the kernel ends.
pub(crate) fn serve(kernel: &Arc<Kernel>, mut questions: mpsc::Receiver<Request>) {
    while let Some(request) = questions.blocking_recv() {
        kernel.iopub.busy(&request.origin, false);
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&*kernel.evaluator(), &request)));
        // A panic in the analysis is our bug and is already reported on stderr; the client gets an empty reply.
        let content = answer.unwrap_or_else(|_| nothing(&request));
        kernel.reply(Channel::Shell, &request, content);
        kernel.iopub.idle(&request.origin);
    }
}

/// The reply when nothing is found.
pub(crate) fn nothing(request: &Request) -> Value {
    let cursor = request.content.get("cursor_pos").and_then(Value::as_u64).unwrap_or(0);
    match &*request.msg_type {
        "complete_request" => {
            json!({"status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {}})
        }
        _ => json!({"status": "ok", "found": false, "data": {}, "metadata": {}}),
    }
}

fn answer(evaluator: &dyn Evaluator, request: &Request) -> Value {
    match typed(&request.msg_type, request.content.clone()) {
        Ok(JupyterMessageContent::CompleteRequest(ask)) => complete(evaluator, &ask.code, ask.cursor_pos),
        Ok(JupyterMessageContent::InspectRequest(ask)) => {
            match evaluator.inspect(&ask.code, byte_at(&ask.code, ask.cursor_pos)) {
                Some(bundle) => {
                    let shown = bundle_content(bundle);
                    json!({"status": "ok", "found": true, "data": shown["data"], "metadata": shown["metadata"]})
                }
                None => nothing(request),
            }
        }
        Ok(_) => nothing(request),
        Err(error) => refusal("BadRequest", error),
    }
}

fn complete(evaluator: &dyn Evaluator, code: &str, cursor: usize) -> Value {
    let found = evaluator.complete(code, byte_at(code, cursor));
    let (start, end) = (point_at(code, found.start), point_at(code, found.end));
    let matches: Vec<&str> = found.items.iter().map(|item| &*item.code).collect();
    // JupyterLab reads kinds and signatures from this metadata.
    let types = found.items.iter().map(|item| {
        let mut entry = json!({"text": item.code, "start": start, "end": end, "type": item.kind});
        if !item.label.is_empty() && item.label != item.code {
            entry["signature"] = json!(item.label);
        }
        entry
    });
    json!({
        "status": "ok",
        "matches": matches,
        "cursor_start": start,
        "cursor_end": end,
        "metadata": {"_jupyter_types_experimental": types.collect::<Vec<_>>()},
    })
}
