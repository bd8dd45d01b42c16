//! Comms: channels that a front end opens to something in the kernel, such as a widget.
//!
//! This kernel offers no targets yet. What is asked of it is to say so: an open that nobody answers leaves its front
//! end waiting.

use crate::iopub::IoPub;
use crate::wire::{Draft, Request, typed};
use jupyter_protocol::JupyterMessageContent;
use serde_json::{Value, json};

/// Takes a `comm_open`, `comm_msg` or `comm_close`.
pub(crate) fn received(iopub: &IoPub, request: &Request) {
    match typed(&request.msg_type, request.content.clone()) {
        Ok(JupyterMessageContent::CommOpen(open)) => {
            tracing::debug!(target_name = open.target_name, "a comm to nothing is closed");
            let content = json!({"comm_id": open.comm_id.0, "data": {}});
            iopub.post(&request.origin, Draft::new("comm_close", content));
        }
        // Of comms that are not open.
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, msg_type = request.msg_type, "a comm message that makes no sense"),
    }
}

/// The content of a `comm_info_reply`: none are open.
pub(crate) fn info() -> Value {
    json!({"status": "ok", "comms": {}})
}
