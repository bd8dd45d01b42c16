//! Tests of the kernel through its sockets, with an evaluator that does what the test says.

mod beside;
mod client;
mod crowd;
mod fuzz;
mod script;

use client::TestKernel;
use script::Script;
use serde_json::{Value, json};
use std::sync::mpsc;

#[test]
fn a_cell_is_busy_input_outputs_result_idle_and_its_reply_has_the_same_number() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let (reply, story) = alice.run("out a\nerr b\nout c\nvalue 7");
    assert_eq!(story, ["busy", "in 1", "stdout: a", "stderr: b", "stdout: c", "result 1: \"7\"", "idle"]);
    assert_eq!(
        (&reply["status"], &reply["execution_count"], &reply["user_expressions"]),
        (&json!("ok"), &json!(1), &json!({}))
    );
    let (reply, story) = alice.run("show x");
    assert_eq!(story, ["busy", "in 2", "display_data", "update_display_data", "clear_output", "idle"]);
    assert_eq!(reply["execution_count"], 2);
}

#[test]
fn a_failed_cell_is_one_error_and_a_reply_with_the_same_words() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let (reply, story) = alice.run("out a\nfail odd\nout never");
    assert_eq!(story, ["busy", "in 1", "stdout: a", "error Failed: odd", "idle"]);
    assert_eq!(
        (&reply["status"], &reply["ename"], &reply["evalue"]),
        (&json!("error"), &json!("Failed"), &json!("odd"))
    );
    assert_eq!(reply["traceback"], json!(["\u{1b}[1mFailed: odd", "  help: none\u{1b}[0m"]));
}

#[test]
fn a_bug_of_the_evaluator_is_a_failed_cell_and_the_kernel_lives() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    assert_eq!(alice.run("panic").0["ename"], "SessionError");
    assert_eq!(alice.run("out still here").1[2], "stdout: still here");
}

#[test]
fn cells_that_waited_for_a_failed_one_are_aborted_and_later_ones_are_not() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let failing = alice.execute("wait");
    let waiting = alice.execute("out never");
    // A reply to this means that the kernel has received the two before.
    alice.send(&alice.shell, "kernel_info_request", json!({}));
    assert_eq!(alice.reply().msg_type, "kernel_info_reply");
    while alice.iopub().parent_id != failing {}
    // The cell may not have started yet; an interrupt before that has no effect.
    loop {
        alice.send(&alice.control, "interrupt_request", json!({}));
        alice.receive(&alice.control);
        let message = alice.iopub();
        if message.msg_type == "error" {
            break;
        }
    }
    let replies = [alice.reply(), alice.reply()];
    assert_eq!(replies.each_ref().map(|reply| &reply.content["status"]), ["error", "aborted"]);
    assert_eq!(alice.story(&waiting), ["busy", "idle"]);
    assert_eq!(alice.run("out later").0["status"], "ok");
}

#[test]
fn a_failed_cell_that_does_not_stop_the_others_does_not() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.send(&alice.shell, "execute_request", json!({"code": "fail x", "stop_on_error": false}));
    alice.execute("out y");
    assert_eq!([alice.reply(), alice.reply()].map(|reply| reply.content["status"].clone()), ["error", "ok"]);
}

#[test]
fn a_silent_cell_says_nothing_and_does_not_count() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    assert_eq!(alice.run("value 1").0["execution_count"], 1);
    let silent = alice.send(&alice.shell, "execute_request", json!({"code": "out x\nvalue 2\nfail z", "silent": true}));
    let reply = alice.reply();
    assert_eq!((&reply.content["status"], &reply.content["execution_count"]), (&json!("error"), &json!(1)));
    assert_eq!(alice.story(&silent), ["busy", "idle"]);
    let (reply, story) = alice.run("value 3");
    assert_eq!((&reply["execution_count"], &*story[2]), (&json!(2), "result 2: \"3\""));
    alice.send(&alice.shell, "history_request", json!({"hist_access_type": "tail", "n": 9, "output": true}));
    assert_eq!(alice.reply().content["history"], json!([[1, 1, ["value 1", "1"]], [1, 2, ["value 3", "3"]]]));
}

#[test]
fn an_empty_cell_is_no_cell() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    assert_eq!(alice.run(" \n").0["status"], "ok");
    assert_eq!(alice.run("value 1").0["execution_count"], 1);
}

#[test]
fn user_expressions_have_values_or_reasons() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let expressions = json!({"good": "value 5", "bad": "fail no"});
    alice.send(&alice.shell, "execute_request", json!({"code": "out x", "user_expressions": expressions}));
    let values = alice.reply().content["user_expressions"].clone();
    assert_eq!(values["good"]["data"]["text/plain"], "5");
    assert_eq!((&values["bad"]["status"], &values["bad"]["evalue"]), (&json!("error"), &json!("no")));
    assert_eq!(alice.run("value 1").0["execution_count"], 2);
}

#[test]
fn late_output_goes_to_the_cell_that_started_it() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let first = alice.execute("later from the first");
    alice.reply();
    alice.story(&first);
    alice.execute("now");
    let late = loop {
        let message = alice.iopub();
        if message.msg_type == "stream" {
            break message;
        }
    };
    assert_eq!((&*late.parent_id, &late.content["text"]), (&*first, &json!("from the first\n")));
}

#[test]
fn a_notice_is_shown_while_a_cell_runs() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    assert_eq!(alice.run("notice preparing").1[2], "stderr: preparing");
}

#[test]
fn kernel_info_is_answered_while_the_evaluator_is_being_made() {
    let (go, wait) = mpsc::channel();
    let kernel = TestKernel::start_with(move |sink| {
        wait.recv().unwrap();
        Script::new(sink)
    });
    let alice = kernel.client("alice");
    let cell = alice.execute("value 1");
    for socket in [&alice.shell, &alice.control] {
        alice.send(socket, "kernel_info_request", json!({}));
        let info = alice.receive(socket);
        assert_eq!(info.msg_type, "kernel_info_reply");
        assert_eq!((&info.content["language_info"]["name"], &info.content["status"]), (&json!("rust"), &json!("ok")));
        assert_eq!(info.content["supported_features"], json!(["debugger"]));
    }
    go.send(()).unwrap();
    assert_eq!(alice.reply().parent_id, cell);
}

#[test]
fn an_idle_of_something_else_does_not_make_a_running_cell_look_idle() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let cell = alice.execute("wait");
    while alice.iopub().msg_type != "execute_input" {}
    let other = alice.send(&alice.control, "kernel_info_request", json!({}));
    let states: Vec<(String, Value)> =
        (0..3).map(|_| alice.iopub()).map(|m| (m.parent_id, m.content["execution_state"].clone())).collect();
    assert_eq!(states, [(other.clone(), json!("busy")), (other, json!("idle")), (cell, json!("busy"))]);
}

#[test]
fn every_subscriber_is_welcomed_first_and_hears_everything_after() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.run("out before");
    let bob = kernel.client("bob");
    let msg_id = alice.execute("out after");
    assert_eq!(bob.story(&msg_id), ["busy", "in 2", "stdout: after", "idle"]);
}

#[test]
fn what_a_new_kernel_says_before_anybody_subscribes_is_kept_for_whoever_does_soon() {
    let kernel = TestKernel::start();
    let early = kernel.client_without_iopub("early");
    let msg_id = early.execute("out early");
    early.reply();
    for name in ["first", "second"] {
        let late = kernel.client(name);
        assert_eq!(late.iopub().content["execution_state"], "starting");
        assert_eq!(late.story(&msg_id), ["busy", "in 1", "stdout: early", "idle"]);
    }
}

#[test]
fn a_flood_reaches_a_reader_in_few_messages_and_whole() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.execute("flood 60000");
    let (mut messages, mut lines) = (0, 0);
    loop {
        let message = alice.iopub();
        match message.content.get("text").and_then(Value::as_str) {
            Some(text) => {
                messages += 1;
                lines += text.lines().count();
            }
            None if message.content.get("execution_state") == Some(&json!("idle")) => break,
            None => {}
        }
    }
    assert_eq!(lines, 60_000);
    assert!(messages < 1000, "{messages}");
}

#[test]
fn a_subscriber_that_does_not_read_does_not_stop_the_others() {
    let kernel = TestKernel::start();
    let _asleep = kernel.client("asleep");
    let alice = kernel.client("alice");
    let mut said = 0;
    for cell in 1..=3 {
        let msg_id = alice.execute("flood 100000");
        loop {
            let message = alice.iopub();
            said += message.content.get("text").and_then(Value::as_str).map_or(0, str::len);
            if message.parent_id == msg_id && message.content.get("execution_state") == Some(&json!("idle")) {
                break;
            }
        }
        assert_eq!(alice.reply().content["execution_count"], cell);
    }
    let buffer = std::fs::read_to_string("/proc/sys/net/core/wmem_default").unwrap();
    assert!(said > buffer.trim().parse().unwrap(), "the system took it all: {said} bytes");
}

#[test]
fn a_question_is_answered_by_the_client_whose_cell_asks() {
    let kernel = TestKernel::start();
    let (alice, bob) = (kernel.client("alice"), kernel.client("bob"));
    let cell =
        alice.send(&alice.shell, "execute_request", json!({"code": "part name? \nask who", "allow_stdin": true}));
    let question = alice.receive(&alice.stdin);
    assert_eq!((&*question.msg_type, &*question.parent_id), ("input_request", &*cell));
    assert_eq!(question.content["prompt"], "who");
    bob.send(&bob.stdin, "input_reply", json!({"value": "bob"}));
    alice.send(&alice.stdin, "input_reply", json!({"value": "alice"}));
    assert_eq!(alice.story(&cell), ["busy", "in 1", "stdout: name?", "stdout: got alice", "idle"]);
}

#[test]
fn a_question_that_may_not_be_asked_or_is_interrupted_is_answered_by_nobody() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    assert_eq!(alice.run("ask who").1[2], "stdout: nobody answers");
    let cell = alice.send(&alice.shell, "execute_request", json!({"code": "ask who", "allow_stdin": true}));
    alice.receive(&alice.stdin);
    alice.send(&alice.control, "interrupt_request", json!({}));
    assert!(alice.story(&cell).contains(&"stdout: nobody answers".to_owned()));
}

#[test]
fn junk_on_any_socket_is_survived() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    for socket in [&alice.shell, &alice.control, &alice.stdin] {
        let mut socket = socket.borrow_mut();
        socket.send(&["junk"]);
        socket.send(&[""; 3]);
        socket.send(&["<IDS|MSG>"]);
        socket.send(&["<IDS|MSG>", "bad signature", "{}", "{}", "{}", "{}"]);
    }
    kernel.connect(1, "DEALER", "mallory").send_raw(&[0xff; 100]);
    kernel.connect(5, "REQ", "").send_raw(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(alice.run("value 1").0["status"], "ok");
    // A reply on each socket comes after its junk has been handled.
    alice.send(&alice.control, "kernel_info_request", json!({}));
    assert_eq!(alice.receive(&alice.control).msg_type, "kernel_info_reply");
    let cell = alice.send(&alice.shell, "execute_request", json!({"code": "ask who", "allow_stdin": true}));
    assert_eq!(alice.receive(&alice.stdin).parent_id, cell);
    alice.send(&alice.stdin, "input_reply", json!({"value": "alice"}));
    assert_eq!(alice.reply().content["status"], "ok");
}

#[test]
fn requests_that_make_no_sense_are_answered_with_errors() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    for (msg_type, content, expected) in [
        ("execute_request", json!({"code": 1}), "execute_reply"),
        ("history_request", json!({"hist_access_type": "x"}), "history_reply"),
        ("inspect_request", json!({"code": []}), "inspect_reply"),
        ("surprise_request", json!({}), "surprise_reply"),
    ] {
        let msg_id = alice.send(&alice.shell, msg_type, content);
        let reply = alice.reply();
        assert_eq!(
            (&*reply.msg_type, &reply.content["status"], &reply.parent_id),
            (expected, &json!("error"), &msg_id)
        );
        assert_eq!(alice.story(&msg_id), ["busy", "idle"]);
    }
}

#[test]
fn places_in_code_are_counted_in_code_points() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.send(&alice.shell, "complete_request", json!({"code": "🦀 日本 x", "cursor_pos": 4}));
    let found = alice.reply().content;
    assert_eq!(
        (&found["matches"], &found["cursor_start"], &found["cursor_end"]),
        (&json!(["日本!"]), &json!(2), &json!(4))
    );
    let kind = &found["metadata"]["_jupyter_types_experimental"][0];
    assert_eq!(*kind, json!({"text": "日本!", "start": 2, "end": 4, "type": "macro", "signature": "(…)"}));
    alice.send(&alice.shell, "inspect_request", json!({"code": "🦀 日本 x", "cursor_pos": 3, "detail_level": 0}));
    assert_eq!(alice.reply().content["data"]["text/plain"], "about `🦀 日`");
}

#[test]
fn questions_about_code_are_answered_while_a_cell_runs() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.execute("wait");
    for (msg_type, content) in [
        ("complete_request", json!({"code": "a", "cursor_pos": 1})),
        ("is_complete_request", json!({"code": "fn f() {"})),
        ("connect_request", json!({})),
    ] {
        let msg_id = alice.send(&alice.shell, msg_type, content);
        assert_eq!(alice.reply().parent_id, msg_id);
    }
}

#[test]
fn a_comm_to_nothing_is_closed() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    let msg_id = alice.send(&alice.shell, "comm_open", json!({"comm_id": "c", "target_name": "nothing"}));
    assert_eq!(alice.story(&msg_id), ["busy", "comm_close", "idle"]);
    alice.send(&alice.shell, "comm_info_request", json!({}));
    assert_eq!(alice.reply().content["comms"], json!({}));
}

#[test]
fn the_heartbeat_is_an_echo() {
    let kernel = TestKernel::start();
    let mut heart = kernel.connect(5, "REQ", "");
    for beat in ["ping", "", "pong"] {
        heart.send(&["", beat]);
        assert_eq!(heart.receive(), ["", beat]);
    }
}

#[test]
fn a_shutdown_is_answered_announced_and_final_even_while_a_cell_runs() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.execute("wait");
    while alice.iopub().msg_type != "execute_input" {}
    let msg_id = alice.send(&alice.control, "shutdown_request", json!({"restart": true}));
    let reply = alice.receive(&alice.control);
    assert_eq!((&*reply.msg_type, &reply.content["restart"]), ("shutdown_reply", &json!(true)));
    assert_eq!(alice.story(&msg_id), ["busy", "shutdown_reply", "idle"]);
    kernel.join();
}

#[test]
fn a_reply_says_when_the_cell_began_and_where_its_time_went() {
    let kernel = TestKernel::start();
    let alice = kernel.client("alice");
    alice.execute("value 1");
    let frames = alice.shell.borrow_mut().receive();
    let metadata: Value = serde_json::from_slice(&frames[4]).unwrap();
    assert_eq!(metadata["phases"], json!({"run": 1.5}));
    assert!(metadata["started"].as_str().is_some_and(|time| time.ends_with('Z')), "{metadata}");
}
