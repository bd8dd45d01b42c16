//! Messages on comms, read from requests and written to be published.

use super::message::{Draft, Request};
use bytes::Bytes;
use mobula_session::{CommKind, CommMessage};
use serde_json::{Value, json};

/// A comm's message, to be published.
pub(crate) fn draft(message: CommMessage) -> Draft {
    let CommMessage { comm, kind, data, metadata, buffers } = message;
    let json =
        |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object).unwrap_or_else(|| json!({}));
    let mut content = json!({"comm_id": comm, "data": json(&data)});
    let msg_type = match kind {
        CommKind::Open { target } => {
            content["target_name"] = target.into();
            "comm_open"
        }
        CommKind::Message => "comm_msg",
        CommKind::Close => "comm_close",
    };
    let buffers = buffers.into_iter().map(Bytes::from).collect();
    Draft { metadata: json(&metadata), buffers, ..Draft::new(msg_type, content) }
}

/// The message in a request; `None` when it names no comm.
pub(crate) fn message(request: &Request) -> Option<CommMessage> {
    let text = |field: &str| request.content.get(field).and_then(Value::as_str).map(str::to_owned);
    let kind = match &*request.msg_type {
        "comm_open" => CommKind::Open { target: text("target_name")? },
        "comm_msg" => CommKind::Message,
        _ => CommKind::Close,
    };
    let data = request.content.get("data").map_or_else(|| "{}".into(), Value::to_string);
    let buffers = request.buffers.iter().map(|bytes| bytes.to_vec()).collect();
    Some(CommMessage { comm: text("comm_id")?, kind, data, metadata: String::new(), buffers })
}
