//! Comms: message channels between a front end and an object in the kernel, such as a widget.
//!
//! This kernel has no comm targets yet. It answers each `comm_open` with `comm_close`, because a front end waits for an
//! answer.

use crate::iopub::IoPub;
use crate::wire::{Draft, Request, typed};
use jupyter_protocol::JupyterMessageContent;
use serde_json::{Value, json};

/// Handles a `comm_open`, `comm_msg` or `comm_close`.
pub(crate) fn received(iopub: &IoPub, request: &Request) {
    match typed(&request.msg_type, request.content.clone()) {
        Ok(JupyterMessageContent::CommOpen(open)) => {
            tracing::debug!(target_name = open.target_name, "a comm to nothing is closed");
            let content = json!({"comm_id": open.comm_id.0, "data": {}});
            iopub.post(&request.origin, Draft::new("comm_close", content));
        }
        // `comm_msg` and `comm_close` of comms that are not open.
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, msg_type = request.msg_type, "a comm message that makes no sense"),
    }
}

/// The content of a `comm_info_reply`: no comms are open.
pub(crate) fn info() -> Value {
    json!({"status": "ok", "comms": {}})
}
