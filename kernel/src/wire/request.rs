//! Typed requests: optional fields are filled in before the content is deserialised.
//!
//! `jupyter-protocol` requires every field. Clients leave some out or send `null`: jupyter_kernel_test searches the
//! history without `n`, evcxr closes comms without `data`. So missing fields are filled in first.

use jupyter_protocol::JupyterMessageContent;
use serde_json::{Map, Value, json};

/// The typed content of a message of type `msg_type`.
///
/// # Errors
/// A required field is missing, or a field has the wrong type.
pub(crate) fn typed(msg_type: &str, mut content: Map<String, Value>) -> serde_json::Result<JupyterMessageContent> {
    complete(msg_type, &mut content);
    JupyterMessageContent::from_type_and_content(msg_type, Value::Object(content))
}

/// Fills in fields that are missing or null.
fn complete(msg_type: &str, content: &mut Map<String, Value>) {
    let defaults = match msg_type {
        "execute_request" => {
            // The history stores a cell by default, unless it is silent; a silent cell is never stored.
            let silent = content.get("silent").and_then(Value::as_bool).unwrap_or(false);
            json!({
                "silent": false, "store_history": !silent, "stop_on_error": true,
                "user_expressions": {}, "allow_stdin": false,
            })
        }
        "complete_request" | "inspect_request" => {
            let code = content.get("code").and_then(Value::as_str).unwrap_or_default();
            json!({"cursor_pos": code.chars().count(), "detail_level": 0})
        }
        "history_request" => json!({
            "hist_access_type": "tail", "output": false, "raw": true, "session": 0, "start": 0, "stop": i32::MAX,
            "n": i32::MAX, "pattern": "*", "unique": false,
        }),
        "shutdown_request" => json!({"restart": false}),
        "is_complete_request" => json!({"code": ""}),
        "input_reply" => json!({"value": ""}),
        _ => return,
    };
    let Value::Object(defaults) = defaults else { return };
    for (field, default) in defaults {
        let value = content.entry(field).or_insert(Value::Null);
        if value.is_null() {
            *value = default;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jupyter_protocol::HistoryRequest;

    fn parse(msg_type: &str, content: Value) -> serde_json::Result<JupyterMessageContent> {
        let Value::Object(content) = content else { panic!("{content}") };
        typed(msg_type, content)
    }

    #[test]
    fn requests_may_leave_out_what_has_a_default() {
        for (msg_type, content) in [
            ("execute_request", json!({"code": "1"})),
            ("complete_request", json!({"code": "1"})),
            ("inspect_request", json!({"code": "1", "cursor_pos": null})),
            ("history_request", json!({"hist_access_type": "range", "session": 0, "start": 1})),
            ("history_request", json!({"hist_access_type": "search", "pattern": "*", "n": null})),
            ("shutdown_request", json!({})),
            ("interrupt_request", json!({})),
            ("input_reply", json!({"value": "x", "status": "ok"})),
        ] {
            let parsed = parse(msg_type, content);
            assert_eq!(parsed.unwrap().message_type(), msg_type);
        }
    }

    #[test]
    fn a_request_without_its_subject_is_refused() {
        for (msg_type, content) in [
            ("execute_request", json!({})),
            ("execute_request", json!({"code": 1})),
            ("complete_request", json!({})),
            ("history_request", json!({"hist_access_type": "dream"})),
        ] {
            assert!(parse(msg_type, content.clone()).is_err(), "{msg_type} {content}");
        }
    }

    #[test]
    fn a_silent_request_is_not_stored_unless_it_says_so() {
        let store = |content| match parse("execute_request", content) {
            Ok(JupyterMessageContent::ExecuteRequest(request)) => request.store_history,
            other => panic!("{other:?}"),
        };
        assert!(store(json!({"code": ""})));
        assert!(!store(json!({"code": "", "silent": true})));
    }

    #[test]
    fn a_search_without_a_limit_finds_everything() {
        match parse("history_request", json!({"hist_access_type": "search", "pattern": "a"})) {
            Ok(JupyterMessageContent::HistoryRequest(HistoryRequest::Search { n, unique, .. })) => {
                assert_eq!((n, unique), (i32::MAX, false));
            }
            other => panic!("{other:?}"),
        }
    }
}
