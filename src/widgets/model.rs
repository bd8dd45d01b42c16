//! Model of a widget: its state, which the session keeps, and the messages that change it.
//!
//! ```text
//!   made ── options are set ──▶ opened: shown, read, passed on ──▶ closed
//!   (values are here)           (values are the session's)
//! ```
//!
//! A widget is opened when it is first needed, with all of its options in one message. Where there is no session, its values
//! stay here, so that a program that is not a notebook goes on.

use super::bounds::within;
use crate::abi::Tenant;
use crate::calls::{Json, role};
use crate::comm::{Callback, Comm, CommError, append, new_id};
use crate::json::{JsonMap, JsonValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The version of the protocol ("Jupyter widget messaging protocol").
const PROTOCOL: &str = r#"{"version":"2.1.0"}"#;

/// The JavaScript classes of a widget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    /// The widget's name for people, and the stem of the classes.
    pub name: &'static str,
    pub model: &'static str,
    /// Empty for what is not shown.
    pub view: &'static str,
    pub module: &'static str,
    pub version: &'static str,
}

/// The classes of the package `@jupyter-widgets/controls` for a name.
pub(crate) const fn controls(name: &'static str, model: &'static str, view: &'static str) -> Classes {
    Classes { name, model, view, module: "@jupyter-widgets/controls", version: "2.0.0" }
}

/// A widget's model. Clones are the same.
#[derive(Clone)]
pub(crate) struct Model(Arc<Inner>);

struct Inner {
    classes: Classes,
    comm: Comm,
    state: Mutex<State>,
}

struct State {
    values: JsonMap,
    /// Values that are bytes.
    bytes: Vec<(&'static str, Vec<u8>)>,
    place: Place,
}

/// Code that hears a message's data and buffers.
type Heard = Box<dyn FnMut(&JsonValue, &[Vec<u8>]) + Send>;

/// Where the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Here, until the widget is opened.
    NotOpened,
    /// In the session.
    Session,
    /// Here for good: there is no session.
    Program,
}

impl Model {
    /// A model that is not opened yet.
    pub fn new(classes: Classes) -> Model {
        let mut values = JsonMap::new();
        let names = [("_model_name", classes.model), ("_model_module", classes.module)];
        values.extend(names.map(|(key, name)| (key.to_owned(), name.into())));
        values.insert("_model_module_version".into(), classes.version.into());
        values.insert("_view_module".into(), classes.module.into());
        values.insert("_view_module_version".into(), classes.version.into());
        values.insert("_view_name".into(), if classes.view.is_empty() { JsonValue::Null } else { classes.view.into() });
        Model::with(classes, &new_id(), State { values, bytes: Vec::new(), place: Place::NotOpened })
    }

    /// The model with this id, which was opened before.
    pub fn known(classes: Classes, id: &str) -> Model {
        Model::with(classes, id, State { values: JsonMap::new(), bytes: Vec::new(), place: Place::Session })
    }

    fn with(classes: Classes, id: &str, state: State) -> Model {
        Model(Arc::new(Inner { classes, comm: Comm::known(id), state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn id(&self) -> &str {
        self.0.comm.id()
    }

    /// The reference to this model in another one's state. Opens it.
    pub fn reference(&self) -> String {
        self.open();
        format!("IPY_MODEL_{}", self.id())
    }

    /// Opens the widget, if it is not open yet.
    pub fn open(&self) {
        // The lock is not held over the call: a process that is forked meanwhile would find it locked for ever.
        let (data, buffers) = {
            let mut state = self.state();
            if state.place != Place::NotOpened {
                return;
            }
            state.place = Place::Session;
            let keys = state.bytes.iter().map(|(key, _)| *key);
            (state_data(None, state.values.clone(), keys), state.bytes.iter().map(|(_, bytes)| bytes.clone()).collect())
        };
        if let Err(error) = Comm::open_as(self.id().to_owned(), "jupyter.widget", data, PROTOCOL, buffers) {
            self.state().place = Place::Program;
            match error {
                CommError::Closed => {
                    eprintln!("no further widget can be shown: 20,000 are open; close some with `.close()`")
                }
                error if role() != Tenant::PROGRAM => eprintln!("the widget cannot be shown: {error}"),
                _ => {}
            }
        }
    }

    /// Sets a value. One that JSON cannot write becomes `null`.
    pub fn set(&self, key: &str, value: impl Serialize) {
        let value = JsonValue::of(&value).unwrap_or_default();
        self.set_all(JsonMap::from([(key.to_owned(), value)]));
    }

    /// Sets `value`, `min` or `max` of a widget of a number; the value stays within the two.
    pub fn set_within(&self, key: &str, value: impl Serialize) {
        let set = JsonMap::from([(key.to_owned(), JsonValue::of(&value).unwrap_or_default())]);
        let known = match self.get_json("") {
            JsonValue::Map(known) => known,
            _ => JsonMap::new(),
        };
        self.set_all(within(set, &known));
    }

    /// Sets values with one message.
    pub fn set_all(&self, values: JsonMap) {
        let place = {
            let mut state = self.state();
            // What was set here last is also kept here, for the text that stands for the widget.
            state.values.extend(values.clone());
            state.place
        };
        if place == Place::Session {
            let data = state_data(Some("update"), values, []);
            // It is closed: nobody sees it any more.
            let _ = self.0.comm.send_json(data, Vec::new());
        }
    }

    /// Sets a value that is bytes.
    pub fn set_bytes(&self, key: &'static str, bytes: Vec<u8>) {
        {
            let mut state = self.state();
            if state.place != Place::Session {
                state.bytes.retain(|(known, _)| *known != key);
                state.bytes.push((key, bytes));
                return;
            }
        }
        let data = state_data(Some("update"), JsonMap::new(), [key]);
        if let Err(error @ CommError::NoSession { .. }) = self.0.comm.send_json(data, vec![bytes]) {
            eprintln!("the widget's value cannot be sent: {error}");
        }
    }

    /// Appends to a list.
    pub fn append(&self, key: &str, value: &JsonValue) {
        self.open();
        let _ = append(self.id(), key, value.to_string());
    }

    /// A value; `None` when the widget has no such value, or one of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.get_json(key).to().ok()
    }

    fn get_json(&self, key: &str) -> JsonValue {
        if self.is_in_session()
            && let Ok((json, _)) = self.0.comm.value(key)
        {
            return JsonValue::parse(&json).unwrap_or_default();
        }
        let state = self.state();
        if key.is_empty() {
            JsonValue::Map(state.values.clone())
        } else {
            state.values.get(key).cloned().unwrap_or_default()
        }
    }

    /// All values, but for those of the protocol.
    pub fn get_all(&self) -> JsonMap {
        match self.get_json("") {
            JsonValue::Map(values) => values.into_iter().filter(|(key, _)| !is_of_protocol(key)).collect(),
            _ => JsonMap::new(),
        }
    }

    /// A value that is bytes.
    pub fn get_bytes(&self, key: &str) -> Vec<u8> {
        if self.is_in_session()
            && let Ok((_, Some(bytes))) = self.0.comm.value(key)
        {
            return bytes;
        }
        self.state().bytes.iter().find(|(known, _)| *known == key).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    fn is_in_session(&self) -> bool {
        self.state().place == Place::Session
    }

    /// Sends a message of the widget's own protocol.
    pub fn send(&self, content: &JsonValue, buffers: Vec<Vec<u8>>) {
        self.open();
        let data = JsonValue::map([("method", "custom".into()), ("content", content.clone())]);
        let _ = self.0.comm.send_json(data.to_string(), buffers);
    }

    /// Calls `code` with each new value of `key` that comes from a front end.
    pub fn on_change<T: DeserializeOwned>(
        &self,
        key: &'static str,
        mut code: impl FnMut(T) + Send + 'static,
    ) -> Callback {
        self.listen(Box::new(move |data, _| {
            if let Some(value) = data.get("state").and_then(|state| state.get(key))
                && let Ok(value) = value.to()
            {
                code(value);
            }
        }))
    }

    /// Calls `code` with the content and the buffers of each message of the widget's own protocol.
    pub fn on_custom(&self, mut code: impl FnMut(&JsonValue, &[Vec<u8>]) + Send + 'static) -> Callback {
        self.listen(Box::new(move |data, buffers| {
            if data.get("method").and_then(JsonValue::as_str) == Some("custom") {
                code(data.get("content").unwrap_or(&JsonValue::Null), buffers);
            }
        }))
    }

    /// Calls `code` after each change that a front end makes.
    pub fn on_update(&self, mut code: impl FnMut() + Send + 'static) -> Callback {
        self.listen(Box::new(move |data, _| {
            if data.get("method").and_then(JsonValue::as_str) == Some("update") {
                code();
            }
        }))
    }

    fn listen(&self, mut code: Heard) -> Callback {
        self.open();
        let listened = self.0.comm.listen(Box::new(move |message| {
            code(&JsonValue::parse(&message.data).unwrap_or_default(), &message.buffers);
        }));
        // In a plain program nobody changes a widget.
        listened.unwrap_or_else(|_| Callback::new(0))
    }

    /// Closes the widget: it disappears wherever it is shown.
    pub fn close(&self) {
        let _ = self.0.comm.close();
    }

    /// The data by which a front end shows the widget. Opens it.
    pub fn view(&self) -> String {
        self.open();
        format!("{{\"version_major\":2,\"version_minor\":1,\"model_id\":{}}}", Json(self.id()))
    }
}

/// The data of a message with values; `binary` are the keys of those whose bytes are beside it.
fn state_data(method: Option<&str>, values: JsonMap, binary: impl IntoIterator<Item = &'static str>) -> String {
    let paths = binary.into_iter().map(|key| JsonValue::List(vec![key.into()])).collect();
    let mut data = JsonMap::from([
        ("state".to_owned(), JsonValue::Map(values)),
        ("buffer_paths".to_owned(), JsonValue::List(paths)),
    ]);
    data.extend(method.map(|method| ("method".to_owned(), method.into())));
    JsonValue::Map(data).to_string()
}

/// Whether a key is none of a person's.
fn is_of_protocol(key: &str) -> bool {
    key.starts_with('_') || ["layout", "tabbable", "tooltip"].contains(&key)
}

/// The text for who has no widgets: its name, and what was set.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.get_json("value");
        let mut words: Vec<String> = Vec::new();
        if value != JsonValue::Null || self.state().values.contains_key("value") {
            words.push(format!("value={value}"));
        }
        let state = self.state();
        for (key, value) in &state.values {
            let is_plain = !matches!(value, JsonValue::Null | JsonValue::List(_) | JsonValue::Map(_));
            let is_shown = is_plain && !key.starts_with('_') && key != "value";
            let is_model = value.as_str().is_some_and(|text| text.starts_with("IPY_MODEL_"));
            if is_shown && !is_model {
                words.push(format!("{key}={value}"));
            }
        }
        write!(f, "{}({})", self.0.classes.name, words.join(", "))
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Model) -> bool {
        self.id() == other.id()
    }
}
