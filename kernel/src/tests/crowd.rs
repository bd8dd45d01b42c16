//! Two clients that send more than the kernel's queues hold.

use super::client::{Client, TestKernel};
use crate::wire::{Draft, Origin};
use crate::zmtp::encode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;

const REQUESTS: usize = 10_000;

/// Sends all requests as fast as the kernel takes them, reads the replies meanwhile, and returns them as they came: the
/// number of its request, and its content.
fn ask(client: &Client, requests: impl Iterator<Item = (&'static str, Value)>) -> Vec<(usize, Value)> {
    let mut numbers = HashMap::new();
    let mut bytes = Vec::new();
    for (number, (msg_type, content)) in requests.enumerate() {
        let (msg_id, frames) = client.wire.encode(&[], &Origin::nobody(), &Draft::new(msg_type, content));
        numbers.insert(msg_id, number);
        bytes.extend_from_slice(&encode(&frames));
    }
    let mut writer = client.shell.borrow().writer();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    let mut replies = Vec::new();
    while !numbers.is_empty() {
        let reply = client.reply();
        let number = numbers.remove(&reply.parent_id).expect("each request is answered once, to its sender");
        replies.push((number, Value::Object(reply.content)));
    }
    writing.join().unwrap();
    replies
}

#[test]
fn two_clients_with_ten_thousand_cells_each_get_every_reply_in_their_order() {
    let kernel = TestKernel::start();
    let cells = |_: &str| (0..REQUESTS).map(|_| ("execute_request", json!({"code": ""})));
    let counts: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let clients = ["alice", "bob"].map(|name| {
            let client = kernel.client_without_iopub(name);
            scope.spawn(move || ask(&client, cells(name)).into_iter().map(|(number, _)| number).collect())
        });
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for order in counts {
        assert!(order.iter().copied().eq(0..REQUESTS));
    }
}

#[test]
fn two_clients_with_ten_thousand_requests_of_all_kinds_each_get_every_reply() {
    let kernel = TestKernel::start();
    let kinds = |number: usize| match number % 6 {
        0 => ("execute_request", json!({"code": format!("value {number}")})),
        1 => ("kernel_info_request", json!({})),
        2 => ("complete_request", json!({"code": "a", "cursor_pos": 1})),
        3 => ("is_complete_request", json!({"code": "fn f() {"})),
        4 => ("history_request", json!({"hist_access_type": "tail", "n": 1})),
        _ => ("inspect_request", json!({"code": "a", "cursor_pos": 1})),
    };
    std::thread::scope(|scope| {
        for name in ["alice", "bob"] {
            let client = kernel.client_without_iopub(name);
            scope.spawn(move || {
                let replies = ask(&client, (0..REQUESTS).map(kinds));
                assert_eq!(replies.len(), REQUESTS);
                assert!(replies.iter().all(|(_, content)| content["status"] != "error"));
                // Kinds that have one queue keep their order.
                for kinds in [&[0, 4][..], &[1, 3]] {
                    let of_them =
                        replies.iter().map(|(number, _)| *number).filter(|number| kinds.contains(&(number % 6)));
                    assert!(of_them.is_sorted(), "{name}, {kinds:?}");
                }
            });
        }
    });
}
