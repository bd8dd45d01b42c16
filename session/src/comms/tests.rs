//! Comms between front ends and processes, without either.

use super::*;
use serde_json::json;
use std::sync::mpsc::{Receiver, channel};

/// Collects the events for front ends.
#[derive(Default)]
struct Collector(Mutex<Vec<Event>>);

impl Outlet for Collector {
    fn put(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    fn is_full(&self) -> bool {
        false
    }

    fn when_room(&self, _: Box<dyn Fn() + Send + Sync>) {}

    fn settle(&self) {}
}

struct Fixture {
    comms: Comms,
    outlet: Arc<Collector>,
}

const LIBRARY: u64 = 7;

fn fixture() -> Fixture {
    let outlet = Arc::new(Collector::default());
    Fixture { comms: Comms::new(outlet.clone()), outlet }
}

fn message(comm: &str, kind: CommKind, data: Value) -> CommMessage {
    reply(comm, kind, data, Vec::new())
}

fn update(comm: &str, values: Value) -> CommMessage {
    message(comm, CommKind::Message, json!({"method": "update", "state": values, "buffer_paths": []}))
}

impl Fixture {
    fn ask(&self, call: CommCall) -> Receiver<CommAnswer> {
        let (send, answer) = channel();
        self.comms.call(CellId(3), call, Box::new(move |answer| drop(send.send(answer))));
        answer
    }

    fn call(&self, call: CommCall) -> CommAnswer {
        self.ask(call).try_recv().expect("it is answered at once")
    }

    /// Opens a widget with the value 1.
    fn widget(&self, comm: &str) {
        let data = json!({"state": {"_model_name": "IntSliderModel", "value": 1}, "buffer_paths": []});
        let open = message(comm, CommKind::Open { target: WIDGET.into() }, data);
        assert_eq!(self.call(CommCall::Send(open)), CommAnswer::Done);
    }

    fn listen(&self, comm: &str, at_once: bool) -> CommAnswer {
        self.call(CommCall::Listen {
            to: Listened::Comm(comm.into()),
            listener: LIBRARY,
            between_cells: !at_once,
            at_once,
        })
    }

    fn value(&self, comm: &str) -> String {
        match self.call(CommCall::Value { comm: comm.into(), key: "value".into() }) {
            CommAnswer::Value { json, .. } => json,
            other => format!("{other:?}"),
        }
    }

    /// A front end's message.
    fn received(&self, message: CommMessage) -> Received {
        self.comms.received(1, message)
    }

    /// The last answer to a front end's message.
    fn answer(&self) -> CommMessage {
        match self.outlet.0.lock().unwrap().last() {
            Some(Event::CommReply { request: 1, message }) => message.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn taken(&self) -> Vec<CommMessage> {
        match self.call(CommCall::Take { listener: LIBRARY }) {
            CommAnswer::Messages(messages) => messages,
            other => panic!("{other:?}"),
        }
    }
}

fn data(message: &CommMessage) -> Value {
    serde_json::from_str(&message.data).unwrap()
}

#[test]
fn a_value_is_what_a_process_or_a_front_end_set_last() {
    let fixture = fixture();
    fixture.widget("w");
    assert_eq!(fixture.value("w"), "1");
    fixture.call(CommCall::Send(update("w", json!({"value": 2}))));
    assert_eq!(fixture.value("w"), "2");
    let received = fixture.received(update("w", json!({"value": 3})));
    assert_eq!(fixture.value("w"), "3");
    assert_eq!(received, Received { has_reply: true, wants_turn: false });
    let echo = data(&fixture.answer());
    assert_eq!((&echo["method"], &echo["state"]), (&json!("echo_update"), &json!({"value": 3})));
    let events = fixture.outlet.0.lock().unwrap();
    assert!(matches!(events[..], [Event::Comm { .. }, Event::Comm { .. }, Event::CommReply { .. }]), "in this order");
}

#[test]
fn callbacks_between_cells_get_the_newest_value_of_each_widget_and_every_message_of_another_kind() {
    let fixture = fixture();
    ["a", "b"].iter().for_each(|comm| fixture.widget(comm));
    assert_eq!((fixture.listen("a", false), fixture.listen("b", false)), (CommAnswer::Done, CommAnswer::Done));
    let click = || message("b", CommKind::Message, json!({"method": "custom", "content": {"event": "click"}}));
    for value in 0..10 {
        assert!(fixture.received(update("a", json!({"value": value}))).wants_turn);
    }
    fixture.received(click());
    fixture.received(click());
    assert_eq!(fixture.comms.turns(), [CellId(3)]);
    fixture.comms.begin_turn(CellId(3));
    let taken = fixture.taken();
    assert_eq!(taken.len(), 3);
    assert_eq!(data(&taken[0])["state"], json!({"value": 9}));
    // While they run, a person goes on: that is for the next time, and not lost.
    fixture.received(update("a", json!({"value": 10})));
    fixture.comms.end_turn();
    assert_eq!(fixture.comms.turns(), [CellId(3)]);
    fixture.comms.begin_turn(CellId(3));
    assert_eq!(data(&fixture.taken()[0])["state"], json!({"value": 10}));
    fixture.comms.end_turn();
    assert_eq!(fixture.comms.turns(), []);
}

#[test]
fn messages_for_a_library_that_is_gone_do_not_keep_the_session_busy() {
    let fixture = fixture();
    fixture.widget("w");
    fixture.listen("w", false);
    fixture.received(update("w", json!({"value": 2})));
    assert_eq!(fixture.comms.turns(), [CellId(3)]);
    fixture.comms.begin_turn(CellId(3));
    // Nobody takes it.
    fixture.comms.end_turn();
    assert_eq!(fixture.comms.turns(), []);
}

#[test]
fn a_thread_that_waits_gets_a_message_at_once_and_a_new_process_is_called_first() {
    let fixture = fixture();
    fixture.widget("w");
    fixture.listen("w", true);
    // No thread waits yet.
    assert!(fixture.received(update("w", json!({"value": 2}))).wants_turn);
    assert_eq!(fixture.comms.turns(), [CellId(3)]);
    assert_eq!(fixture.comms.turns(), []);
    let wait = || fixture.ask(CommCall::Wait { listener: LIBRARY });
    assert!(matches!(&wait().try_recv().unwrap(), CommAnswer::Messages(messages) if messages.len() == 1));
    let waiting = wait();
    assert!(waiting.try_recv().is_err());
    assert!(!fixture.received(update("w", json!({"value": 3}))).wants_turn);
    assert!(matches!(waiting.try_recv(), Ok(CommAnswer::Messages(_))));
    fixture.comms.host_changed();
    assert!(fixture.received(update("w", json!({"value": 4}))).wants_turn);
}

#[test]
fn a_page_that_is_loaded_again_gets_all_widgets_with_their_present_values() {
    let fixture = fixture();
    fixture.widget("w");
    fixture.received(update("w", json!({"value": 5})));
    let open = message("ctl", CommKind::Open { target: CONTROL.into() }, json!({}));
    assert_eq!(fixture.received(open), Received::default());
    fixture.received(message("ctl", CommKind::Message, json!({"method": "request_states"})));
    let states = fixture.answer();
    assert_eq!((&*states.comm, &data(&states)["method"]), ("ctl", &json!("update_states")));
    let state = &data(&states)["states"]["w"];
    assert_eq!((&state["model_name"], &state["state"]["value"]), (&json!("IntSliderModel"), &json!(5)));
    assert!(data(&states)["states"].as_object().unwrap().len() == 1, "the control comm is no widget");
    fixture.received(message("w", CommKind::Message, json!({"method": "request_state"})));
    assert_eq!(data(&fixture.answer())["state"]["value"], 5);
    assert_eq!(fixture.comms.open(Some(WIDGET)), [("w".to_owned(), WIDGET.to_owned())]);
    assert_eq!(fixture.comms.open(None).len(), 2);
}

#[test]
fn a_comm_for_an_unknown_target_is_closed_and_one_for_a_target_of_the_session_is_delivered() {
    let fixture = fixture();
    let open = |comm: &str| message(comm, CommKind::Open { target: "mine".into() }, json!({"hello": 1}));
    fixture.received(open("a"));
    let refused = fixture.answer();
    assert_eq!((refused.kind, &*refused.comm), (CommKind::Close, "a"));
    let to = Listened::Target("mine".into());
    fixture.call(CommCall::Listen { to, listener: LIBRARY, between_cells: true, at_once: false });
    assert!(fixture.received(open("b")).wants_turn);
    assert_eq!(fixture.comms.turns(), [CellId(3)]);
    fixture.comms.begin_turn(CellId(3));
    assert_eq!(fixture.taken(), [open("b")]);
}

#[test]
fn a_callback_that_has_become_one_that_runs_at_once_wants_no_turn_any_more() {
    let fixture = fixture();
    fixture.widget("w");
    fixture.listen("w", false);
    assert!(fixture.received(update("w", json!({"value": 2}))).wants_turn);
    fixture.listen("w", true);
    let waiting = fixture.ask(CommCall::Wait { listener: LIBRARY });
    assert!(!fixture.received(update("w", json!({"value": 3}))).wants_turn);
    assert!(waiting.try_recv().is_ok());
}

#[test]
fn what_several_tasks_append_is_all_there() {
    let fixture = fixture();
    fixture.widget("w");
    for line in 0..3 {
        let append = CommCall::Append { comm: "w".into(), key: "outputs".into(), json: line.to_string() };
        assert_eq!(fixture.call(append), CommAnswer::Done);
    }
    let whole = fixture.call(CommCall::Value { comm: "w".into(), key: String::new() });
    assert!(matches!(whole, CommAnswer::Value { json, .. } if json.contains("\"outputs\":[0,1,2]")));
}

#[test]
fn what_is_closed_answers_that_it_is() {
    let fixture = fixture();
    fixture.widget("w");
    let close = message("w", CommKind::Close, json!({}));
    assert_eq!(fixture.call(CommCall::Send(close.clone())), CommAnswer::Done);
    assert_eq!(fixture.call(CommCall::Send(close)), CommAnswer::Closed);
    assert_eq!(fixture.value("w"), "Closed");
    assert_eq!(fixture.listen("w", false), CommAnswer::Closed);
    assert_eq!(fixture.received(update("w", json!({"value": 1}))), Received::default());
}
