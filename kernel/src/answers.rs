//! Requests answered at once, on the shell or the control socket, even while a cell runs.

use crate::comms;
use crate::kernel::{Channel, Kernel, refusal};
use crate::wire::{Draft, Request, typed};
use jupyter_protocol::JupyterMessageContent;
use mobula_session::{Completeness, completeness};
use serde_json::{Value, json};
use std::panic::catch_unwind;
use std::sync::Arc;

/// The answer to a front end that wants a second cell to run beside the first, although `kernel_info_reply` does not
/// offer it.
const NO_SUBSHELLS: &str = "cells run one after another: each takes the variables of the session and gives them back. \
                            Completion, inspection and all control requests are answered while a cell runs";

/// Answers `request` if it is one of these; returns it otherwise.
pub(crate) fn at_once(kernel: &Arc<Kernel>, channel: Channel, request: Request) -> Option<Request> {
    let content = match &*request.msg_type {
        "kernel_info_request" => kernel.info.content(),
        "connect_request" => ports(kernel),
        "is_complete_request" => match typed(&request.msg_type, request.content.clone()) {
            Ok(JupyterMessageContent::IsCompleteRequest(ask)) => is_complete(&ask.code),
            _ => json!({"status": "unknown"}),
        },
        "comm_info_request" => {
            comms::info(kernel, channel, &request);
            return None;
        }
        "interrupt_request" => {
            kernel.interrupt();
            json!({"status": "ok"})
        }
        "create_subshell_request" => refusal("NoSubshells", NO_SUBSHELLS),
        "delete_subshell_request" => refusal("NoSubshells", "there is no subshell"),
        "list_subshell_request" => json!({"status": "ok", "subshell_id": []}),
        _ => return Some(request),
    };
    kernel.answer(channel, &request, content);
    None
}

/// Ends the kernel, and replies to the sender and on IOPub.
pub(crate) fn shut_down(kernel: &Kernel, channel: Channel, request: &Request) {
    let restart = match typed(&request.msg_type, request.content.clone()) {
        Ok(JupyterMessageContent::ShutdownRequest(ask)) => ask.restart,
        _ => false,
    };
    let content = json!({"status": "ok", "restart": restart});
    kernel.iopub.busy(&request.origin, false);
    kernel.iopub.post(&request.origin, Draft::new("shutdown_reply", content.clone()));
    kernel.reply(channel, request, content);
    kernel.iopub.idle(&request.origin);
    kernel.stop();
}

/// Replies with an error to a request of an unknown type, so that its sender does not wait.
pub(crate) fn unknown(kernel: &Kernel, channel: Channel, request: &Request) {
    if request.msg_type.ends_with("_request") {
        let value = format_args!("this kernel does not know `{}` on its {channel:?} socket", request.msg_type);
        kernel.answer(channel, request, refusal("UnknownRequest", value));
    } else {
        tracing::debug!(msg_type = request.msg_type, ?channel, "ignored");
    }
}

fn is_complete(code: &str) -> Value {
    // A panic here is our bug, already reported on stderr. It must not end the loop that serves the socket.
    let Ok(completeness) = catch_unwind(|| completeness(code)) else { return json!({"status": "unknown"}) };
    match completeness {
        Completeness::Complete => json!({"status": "complete"}),
        Completeness::Incomplete { indent } => json!({"status": "incomplete", "indent": indent}),
        Completeness::Invalid => json!({"status": "invalid"}),
    }
}

fn ports(kernel: &Kernel) -> Value {
    let ports = &kernel.connection;
    json!({
        "status": "ok",
        "shell_port": ports.shell_port,
        "iopub_port": ports.iopub_port,
        "stdin_port": ports.stdin_port,
        "control_port": ports.control_port,
        "hb_port": ports.hb_port,
    })
}
