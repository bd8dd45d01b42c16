//! Requests that are answered while a cell runs: usage, subshells, questions about code.

use super::client::TestKernel;
use super::script::Script;
use serde_json::json;

#[test]
fn the_usage_of_memory_and_time_is_told_while_a_cell_runs() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.execute("wait");
    while alice.iopub().msg_type != "execute_input" {}
    let msg_id = alice.send(&alice.control, "usage_request", json!({}));
    let usage = alice.receive(&alice.control);
    assert_eq!((&*usage.msg_type, &*usage.parent_id), ("usage_reply", &*msg_id));
    let usage = usage.content;
    assert_eq!(usage["pid"], std::process::id());
    assert!(usage["kernel_memory"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{usage:?}");
    assert!(usage["kernel_cpu"].is_f64() && usage["cpu_count"].as_u64() > Some(0), "{usage:?}");
    assert!(usage["hostname"].as_str().is_some_and(|name| !name.is_empty()), "{usage:?}");
    // The names that jupyter-resource-usage reads, which are those of `psutil`.
    for field in ["total", "available", "percent", "used", "free"] {
        assert!(usage["host_virtual_memory"][field].is_number(), "{field}: {usage:?}");
    }
}

#[test]
fn a_subshell_is_refused_with_the_reason_and_not_offered() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    for (msg_type, content, says) in [
        ("create_subshell_request", json!({}), "one after another"),
        ("delete_subshell_request", json!({"subshell_id": "a"}), "no subshell"),
    ] {
        let msg_id = alice.send(&alice.control, msg_type, content);
        let reply = alice.receive(&alice.control);
        assert_eq!((&reply.parent_id, &reply.content["status"]), (&msg_id, &json!("error")));
        assert!(reply.content["evalue"].as_str().is_some_and(|value| value.contains(says)), "{:?}", reply.content);
    }
    alice.send(&alice.control, "list_subshell_request", json!({}));
    assert_eq!(alice.receive(&alice.control).content["subshell_id"], json!([]));
    alice.send(&alice.shell, "kernel_info_request", json!({}));
    let features = alice.reply().content["supported_features"].clone();
    assert!(!features.as_array().unwrap().contains(&json!("kernel subshells")), "{features}");
}

#[test]
fn what_a_subshell_would_be_for_is_answered_while_a_cell_runs() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let cell = alice.execute("wait");
    while alice.iopub().msg_type != "execute_input" {}
    for (msg_type, content) in [
        ("complete_request", json!({"code": "a", "cursor_pos": 1})),
        ("inspect_request", json!({"code": "a", "cursor_pos": 1})),
        ("is_complete_request", json!({"code": "a"})),
        ("kernel_info_request", json!({})),
    ] {
        let msg_id = alice.send(&alice.shell, msg_type, content);
        assert_eq!(alice.reply().parent_id, msg_id, "{msg_type}");
    }
    // The cell still runs: it ends only when it is interrupted, which editors may ask for on the shell socket.
    let interrupt = alice.send(&alice.shell, "interrupt_request", json!({}));
    let replies = [alice.reply(), alice.reply()].map(|reply| reply.parent_id);
    assert!(replies.contains(&interrupt) && replies.contains(&cell), "{replies:?}");
}

#[test]
fn an_interrupt_between_the_news_of_a_cell_and_its_beginning_is_meant_for_it() {
    let kernel = TestKernel::start_with(Script::late);
    let alice = kernel.client("alice");
    let cell = alice.execute("wait");
    while alice.iopub().msg_type != "execute_input" {}
    let interrupt = alice.send(&alice.shell, "interrupt_request", json!({}));
    let replies = [alice.reply(), alice.reply()].map(|reply| reply.parent_id);
    assert!(replies.contains(&interrupt) && replies.contains(&cell), "{replies:?}");
}
