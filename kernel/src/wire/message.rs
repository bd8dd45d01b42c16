//! Message encoding: frames to requests, and drafts to frames.

use super::signature::Key;
use super::time::timestamp;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const DELIMITER: &[u8] = b"<IDS|MSG>";
/// The version of Jupyter's messaging protocol that this kernel speaks. It introduced `supported_features` and
/// `iopub_welcome`.
pub(crate) const PROTOCOL_VERSION: &str = "5.5";

/// Why frames are not a request. The sender gets no error: it has not proved that it holds the key, or it is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WireError {
    /// No delimiter, so the parts cannot be told apart.
    #[error("a message without delimiter")]
    NoDelimiter,
    /// There are fewer parts than a message has.
    #[error("a message of {parts} parts after the delimiter; there must be at least 5")]
    Short { parts: usize },
    /// The signature is wrong or missing.
    #[error("a message with a wrong signature")]
    Signature,
    /// A correctly signed part is not a JSON object.
    #[error("a message whose {part} is not a JSON object")]
    Json { part: &'static str },
    /// A correctly signed header has no `msg_type` or no `msg_id`.
    #[error("a message whose header lacks `{field}`")]
    Header { field: &'static str },
}

/// The sender and the header of a request, for its replies and outputs.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The router's identity frames: the return address of the client.
    pub(crate) identities: Vec<Bytes>,
    /// The request's header, byte for byte: the `parent_header` of all messages that it causes.
    pub(crate) header: Bytes,
    /// The request's `msg_id`.
    pub(crate) msg_id: String,
    /// The client's name for its session: a page that is loaded again has another one.
    pub(crate) session: String,
}

impl Origin {
    /// The origin of messages that no request caused.
    pub(crate) fn nobody() -> Arc<Origin> {
        Arc::new(Origin {
            identities: Vec::new(),
            header: Bytes::from_static(b"{}"),
            msg_id: String::new(),
            session: String::new(),
        })
    }
}

/// A message from a client.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its sender and its header.
    pub(crate) origin: Arc<Origin>,
    /// The message type, such as `execute_request`.
    pub(crate) msg_type: String,
    /// For an answer (`input_reply`), the `msg_id` that it answers; may be empty.
    pub(crate) parent_id: String,
    /// The content.
    pub(crate) content: Map<String, Value>,
    /// Binary data beside the content.
    pub(crate) buffers: Vec<Bytes>,
    /// The front end's id of the cell, if it sends one: JupyterLab and VS Code put it into the metadata.
    pub(crate) cell: Option<String>,
}

/// A message to send, without identities and topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// The type, such as `execute_reply`.
    pub(crate) msg_type: Cow<'static, str>,
    /// Its content.
    pub(crate) content: Value,
    /// Its metadata, an object.
    pub(crate) metadata: Value,
    /// Binary data beside the content.
    pub(crate) buffers: Vec<Bytes>,
}

impl Draft {
    /// A message without metadata.
    pub(crate) fn new(msg_type: impl Into<Cow<'static, str>>, content: Value) -> Draft {
        Draft { msg_type: msg_type.into(), content, metadata: json!({}), buffers: Vec::new() }
    }
}

/// One end of a connection: its key, and its names in headers.
pub(crate) struct Wire {
    key: Key,
    session: String,
    username: String,
    sent: AtomicU64,
}

impl Wire {
    /// A new session.
    pub(crate) fn new(key: Key) -> Wire {
        let username = std::env::var("USER").unwrap_or_else(|_| "kernel".into());
        Wire { key, session: uuid::Uuid::new_v4().to_string(), username, sent: AtomicU64::new(0) }
    }

    /// The name of this session in headers.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// Verifies `frames` and decodes them.
    ///
    /// # Errors
    /// The frames are not a message, or their signature is wrong.
    pub(crate) fn decode(&self, mut frames: Vec<Bytes>) -> Result<Request, WireError> {
        let delimiter = frames.iter().position(|frame| &frame[..] == DELIMITER).ok_or(WireError::NoDelimiter)?;
        let parts = frames.split_off(delimiter + 1);
        frames.truncate(delimiter);
        let [signature, signed @ ..] = &parts[..] else { return Err(WireError::Short { parts: 0 }) };
        let Some(([header, parent, metadata, content], buffers)) = signed.split_first_chunk::<4>() else {
            return Err(WireError::Short { parts: parts.len() });
        };
        // The buffers that may follow are not signed.
        if !self.key.verify(&[header, parent, metadata, content], signature) {
            return Err(WireError::Signature);
        }
        let fields = object(header, "header")?;
        let metadata = object(metadata, "metadata")?;
        let session = field(&fields, "session").unwrap_or_default();
        let origin = Origin { identities: frames, header: header.clone(), msg_id: field(&fields, "msg_id")?, session };
        Ok(Request {
            origin: Arc::new(origin),
            msg_type: field(&fields, "msg_type")?,
            parent_id: field(&object(parent, "parent_header")?, "msg_id").unwrap_or_default(),
            content: object(content, "content")?,
            buffers: buffers.to_vec(),
            cell: metadata.get("cellId").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// Encodes `draft`, caused by `origin`, with `front` (identities, or a topic) before the delimiter. Returns the
    /// `msg_id` and the frames.
    pub(crate) fn encode(&self, front: &[Bytes], origin: &Origin, draft: &Draft) -> (String, Vec<Bytes>) {
        let msg_id = format!("{}_{}", self.session, self.sent.fetch_add(1, Ordering::Relaxed));
        let header = json!({
            "msg_id": msg_id,
            "session": self.session,
            "username": self.username,
            "date": timestamp(SystemTime::now()),
            "msg_type": draft.msg_type,
            "version": PROTOCOL_VERSION,
        });
        let [header, metadata, content] =
            [&header, &draft.metadata, &draft.content].map(|part| Bytes::from(part.to_string()));
        let signed = [header, origin.header.clone(), metadata, content];
        let mut frames = Vec::with_capacity(front.len() + 6);
        frames.extend_from_slice(front);
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(self.key.sign(&signed).into());
        frames.extend(signed);
        frames.extend_from_slice(&draft.buffers);
        (msg_id, frames)
    }
}

fn object(bytes: &[u8], part: &'static str) -> Result<Map<String, Value>, WireError> {
    serde_json::from_slice(bytes).map_err(|_| WireError::Json { part })
}

fn field(header: &Map<String, Value>, field: &'static str) -> Result<String, WireError> {
    header.get(field).and_then(Value::as_str).map(str::to_owned).ok_or(WireError::Header { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "secret";

    fn wire() -> Wire {
        Wire::new(Key::new(KEY))
    }

    fn frames(header: &str, content: &str) -> Vec<Bytes> {
        let signed = [header, "{}", "{}", content];
        let signature = Key::new(KEY).sign(&signed);
        let parts = ["client", "<IDS|MSG>", &signature, signed[0], signed[1], signed[2], signed[3]];
        parts.iter().map(|part| Bytes::copy_from_slice(part.as_bytes())).collect()
    }

    const HEADER: &str = r#"{"msg_id":"m1","msg_type":"x_request","subshell_id":"s"}"#;

    #[test]
    fn a_reply_carries_the_request_s_header_with_fields_nobody_knows() {
        let request = wire().decode(frames(HEADER, "{}")).unwrap();
        let (_, reply) = wire().encode(&request.origin.identities, &request.origin, &Draft::new("x_reply", json!({})));
        assert_eq!(&reply[0][..], b"client");
        assert_eq!(&reply[4][..], HEADER.as_bytes());
    }

    #[test]
    fn what_one_end_writes_the_other_reads() {
        let draft = Draft::new("x_request", json!({"a": [1, "\u{1f980}"]}));
        let (msg_id, frames) = wire().encode(&[Bytes::from_static(b"me")], &Origin::nobody(), &draft);
        let request = wire().decode(frames).unwrap();
        assert_eq!((&*request.msg_type, &*request.origin.msg_id), ("x_request", &*msg_id));
        assert_eq!(Value::Object(request.content), draft.content);
    }

    #[test]
    fn buffers_are_taken_without_being_signed() {
        let mut frames = frames(HEADER, "{}");
        frames.push(Bytes::from_static(b"buffer"));
        assert_eq!(wire().decode(frames).unwrap().buffers, [&b"buffer"[..]]);
    }

    #[test]
    fn malformed_messages_are_errors_and_no_panic() {
        let good = frames(HEADER, "{}");
        for len in 0..good.len() {
            assert!(wire().decode(good[..len].to_vec()).is_err(), "the first {len} frames");
        }
        let mut forged = good.clone();
        forged[6] = Bytes::from_static(b"{\"code\":\"evil()\"}");
        assert!(matches!(wire().decode(forged), Err(WireError::Signature)));
        for (header, content) in [("[]", "{}"), ("{", "{}"), ("{}", "{}"), (HEADER, "null"), (HEADER, "\u{0}")] {
            assert!(wire().decode(frames(header, content)).is_err(), "{header} {content}");
        }
    }

    #[test]
    fn each_message_has_a_name_of_its_own() {
        let wire = wire();
        let draft = Draft::new("status", json!({}));
        assert_ne!(wire.encode(&[], &Origin::nobody(), &draft).0, wire.encode(&[], &Origin::nobody(), &draft).0);
    }
}
