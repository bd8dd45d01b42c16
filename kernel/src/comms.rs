//! Comms: message channels between a front end and an object in the kernel, such as a widget.
//!
//! The session keeps them. This file reads and writes their messages, which are handled at once, also while a cell runs;
//! callbacks that they are for run between cells, on the cells thread.

use crate::kernel::{Channel, Kernel};
use crate::wire::{Request, comm};
use mobula_session::nobody_is_there;
use serde_json::{Map, Value, json};

/// Handles a `comm_open`, `comm_msg` or `comm_close`. Returns whether callbacks are to run; then [`ran`] ends the request,
/// and until then a front end that waits for its end sends no newer value.
pub(crate) fn received(kernel: &Kernel, request: &Request) -> bool {
    kernel.iopub.busy(&request.origin, false);
    let Some(message) = comm::message(request) else {
        tracing::debug!(msg_type = request.msg_type, "a comm message that makes no sense");
        kernel.iopub.idle(&request.origin);
        return false;
    };
    let Some(evaluator) = kernel.evaluator.get() else {
        // Nothing can be open yet.
        if let Some(reply) = nobody_is_there(&message) {
            kernel.iopub.post(&request.origin, comm::draft(reply));
        }
        kernel.iopub.idle(&request.origin);
        return false;
    };
    let number = kernel.routes.ask(request.origin.clone());
    let received = evaluator.comm(number, message);
    kernel.routes.asked(number, &received);
    received.wants_turn
}

/// Runs the callbacks that a message is for, and ends it. Only the cells thread may call this.
pub(crate) fn run_callbacks(kernel: &Kernel, request: &Request) {
    kernel.routes.call_back(Some(request.origin.clone()));
    kernel.evaluator().run_callbacks();
    kernel.routes.call_back(None);
    kernel.iopub.idle(&request.origin);
}

/// Answers a `comm_info_request`.
pub(crate) fn info(kernel: &Kernel, channel: Channel, request: &Request) {
    let target = request.content.get("target_name").and_then(Value::as_str).filter(|target| !target.is_empty());
    let open = kernel.evaluator.get().map(|evaluator| evaluator.comms(target)).unwrap_or_default();
    let comms: Map<String, Value> = open.into_iter().map(|(id, target)| (id, json!({"target_name": target}))).collect();
    kernel.answer(channel, request, json!({"status": "ok", "comms": comms}));
}
