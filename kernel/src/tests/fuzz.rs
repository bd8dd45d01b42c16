//! Malformed input: each request with each field deleted, retyped and enlarged, and frames that are no message. The kernel
//! answers or ignores it, and runs a cell afterwards.

use super::client::{Client, TestKernel};
use crate::wire::{Draft, Origin};
use serde_json::{Value, json};
use std::collections::HashSet;

const LONG: usize = 1 << 20;

/// Each request with a content that makes sense.
fn requests() -> Vec<(&'static str, Value)> {
    vec![
        (
            "execute_request",
            json!({
                "code": "out x", "silent": false, "store_history": true, "user_expressions": {"a": "value 1"},
                "allow_stdin": false, "stop_on_error": false,
            }),
        ),
        ("complete_request", json!({"code": "ab", "cursor_pos": 1})),
        ("inspect_request", json!({"code": "ab", "cursor_pos": 1, "detail_level": 0})),
        ("is_complete_request", json!({"code": "fn f() {"})),
        (
            "history_request",
            json!({"hist_access_type": "range", "session": 0, "start": 0, "stop": 9, "output": true, "raw": true}),
        ),
        (
            "history_request",
            json!({"hist_access_type": "search", "n": 5, "pattern": "*", "unique": true, "output": false, "raw": true}),
        ),
        ("history_request", json!({"hist_access_type": "tail", "n": 5, "output": false, "raw": true})),
        ("comm_open", json!({"comm_id": "c", "target_name": "t", "data": {"state": {}}})),
        ("comm_msg", json!({"comm_id": "c", "data": {}})),
        ("comm_close", json!({"comm_id": "c", "data": {}})),
        ("comm_info_request", json!({"target_name": "t"})),
        ("kernel_info_request", json!({})),
        ("connect_request", json!({})),
        ("interrupt_request", json!({})),
        ("usage_request", json!({})),
        ("create_subshell_request", json!({})),
        ("delete_subshell_request", json!({"subshell_id": "s"})),
        ("list_subshell_request", json!({})),
        ("surprise_request", json!({"a": 1})),
        ("input_reply", json!({"value": "x", "status": "ok"})),
        ("execute_reply", json!({"status": "ok"})),
    ]
}

/// Values that a field may have been replaced by.
fn replacements() -> Vec<Value> {
    let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!("a"),
        json!("\u{0}\u{202e}🦀"),
        json!([]),
        json!({}),
        json!({"a": {"b": [1]}}),
        nested,
        json!("x".repeat(LONG)),
    ]
}

/// `content` with each field in turn deleted or replaced, and with one that nobody knows.
fn variants(content: &Value) -> Vec<Value> {
    let mut variants = vec![content.clone()];
    let fields = content.as_object().unwrap();
    for field in fields.keys() {
        let mut without = fields.clone();
        without.remove(field);
        variants.push(Value::Object(without));
        for value in replacements() {
            let mut changed = fields.clone();
            changed.insert(field.clone(), value);
            variants.push(Value::Object(changed));
        }
    }
    let mut more = fields.clone();
    more.insert("unknown".into(), json!("x".repeat(LONG)));
    variants.push(Value::Object(more));
    variants
}

/// Asserts that a cell runs, and that each of `asked` was answered exactly once by then or soon after.
fn lives(client: &Client, asked: &mut HashSet<String>) {
    let cell = client.execute("out alive");
    let mut answered = false;
    while !answered || !asked.is_empty() {
        let reply = client.reply();
        if reply.parent_id == cell {
            assert_eq!(reply.content["status"], "ok", "{:?}", reply.content);
            answered = true;
        } else {
            assert!(asked.remove(&reply.parent_id), "an answer that nobody asked for: {reply:?}");
        }
    }
    assert!(client.story(&cell).contains(&"stdout: alive".to_owned()));
}

#[test]
fn each_request_is_answered_whatever_its_fields_are_and_a_cell_runs_after_it() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    for (msg_type, content) in requests() {
        for variant in variants(&content) {
            let msg_id = alice.send(&alice.shell, msg_type, variant);
            let mut asked = HashSet::new();
            if msg_type.ends_with("_request") {
                asked.insert(msg_id);
            }
            lives(&alice, &mut asked);
        }
    }
}

#[test]
fn the_control_and_stdin_sockets_take_the_same() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    for (msg_type, content) in requests() {
        for variant in variants(&content) {
            alice.send(&alice.stdin, msg_type, variant.clone());
            let msg_id = alice.send(&alice.control, msg_type, variant);
            if msg_type.ends_with("_request") {
                assert_eq!(alice.receive(&alice.control).parent_id, msg_id, "{msg_type}");
            }
        }
        lives(&alice, &mut HashSet::new());
    }
}

#[test]
fn a_shutdown_ends_the_kernel_whatever_its_fields_are() {
    for variant in variants(&json!({"restart": true})) {
        let kernel = TestKernel::start();
        let alice = kernel.client("alice");
        alice.send(&alice.control, "shutdown_request", variant);
        assert_eq!(alice.receive(&alice.control).msg_type, "shutdown_reply");
        kernel.join();
    }
}

#[test]
fn parts_that_are_no_objects_are_ignored_although_they_are_signed() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let header = json!({"msg_id": "m", "msg_type": "execute_request"}).to_string();
    let content = json!({"code": "out never"}).to_string();
    let deep = "[".repeat(1_000_000);
    let deep_content = format!("{{\"code\":{deep}");
    let long = format!("{{\"code\":\"{}", "x".repeat(LONG));
    let junk: Vec<Vec<u8>> =
        [&*deep, &deep_content, &long, "", "null", "[]", "\"x\"", "1", "{", "{\"code\":", "{}}", "{'code':1}", "NaN"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .chain([vec![0xff, 0xfe], b"{\"code\":\"\xff\"}".to_vec(), vec![0], vec![0; LONG]])
            .collect();
    for part in 0..4 {
        for junk in &junk {
            let mut parts: [&[u8]; 4] = [header.as_bytes(), b"{}", b"{}", content.as_bytes()];
            parts[part] = junk;
            for socket in [&alice.shell, &alice.control, &alice.stdin] {
                alice.send_signed(socket, parts);
            }
            lives(&alice, &mut HashSet::new());
        }
    }
    // Headers that lack what names a message, or have it of another type.
    for header in
        [json!({}), json!({"msg_id": 1, "msg_type": "execute_request"}), json!({"msg_id": "m", "msg_type": []})]
    {
        alice.send_signed(&alice.shell, [header.to_string().as_bytes(), b"{}", b"{}", content.as_bytes()]);
        lives(&alice, &mut HashSet::new());
    }
}

#[test]
fn frames_that_are_no_message_are_ignored() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let never = Draft::new("execute_request", json!({"code": "out never"}));
    let good = alice.wire.encode(&[], &Origin::nobody(), &never).1;
    let good: Vec<Vec<u8>> = good.iter().map(|frame| frame.to_vec()).collect();
    let mut messages: Vec<Vec<Vec<u8>>> = (0..good.len()).map(|count| good[..count].to_vec()).collect();
    // Without the delimiter, with a wrong, short and long signature, with a part changed, and with very many frames.
    messages.push(good[1..].to_vec());
    for signature in ["", "00", &"0".repeat(64), &"zz".repeat(32), &"0".repeat(LONG)] {
        let mut forged = good.clone();
        forged[1] = signature.as_bytes().to_vec();
        messages.push(forged);
    }
    let mut changed = good.clone();
    changed[5] = json!({"code": "out forged"}).to_string().into_bytes();
    messages.push(changed);
    messages.push(vec![Vec::new(); 4_000]);
    messages.push([vec![b"<IDS|MSG>".to_vec(); 100], good[1..].to_vec()].concat());
    for message in messages {
        for socket in [&alice.shell, &alice.control, &alice.stdin] {
            // A message has a frame.
            if !message.is_empty() {
                socket.borrow_mut().send(&message);
            }
        }
        lives(&alice, &mut HashSet::new());
    }
}

#[test]
fn bytes_that_are_no_frames_end_their_own_connection_only() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    for port in 1..=5 {
        let socket_type = ["DEALER", "SUB", "DEALER", "DEALER", "REQ"][port - 1];
        for bytes in [
            &[0xff; 100][..],
            b"GET / HTTP/1.1\r\n\r\n",
            // A frame of 2^63 bytes, a command of none, a message that is never ended.
            &[2, 0x80, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0].repeat(10_000),
            &[4, 0],
            &[1, 3, b'a'],
            b"\x04\x26\x05ERROR\xff",
        ] {
            kernel.connect(port.try_into().unwrap(), socket_type, "mallory").send_raw(bytes);
            lives(&alice, &mut HashSet::new());
        }
    }
}
