//! State of one widget, as its front ends have it: values by key, and binary data beside them.
//!
//! "Jupyter widget messaging protocol", version 2.1.0 (ipywidgets, packages/schema/messages.md).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mobula_abi::CommMessage;
use serde_json::{Map, Value, json};

/// Values that stand for no JSON: where in the state, and their bytes.
type Binary = (Vec<Value>, Vec<u8>);
/// The same, borrowed.
type Place<'a> = (Vec<Value>, &'a [u8]);

/// The key of the states of widgets in a notebook's metadata.
pub const WIDGET_STATES: &str = "application/vnd.jupyter.widget-state+json";

/// A widget's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    values: Map<String, Value>,
    binary: Vec<Binary>,
}

/// An update of a state: the content of a message whose method is `update`, `echo_update`, or that of `comm_open`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    values: Map<String, Value>,
    binary: Vec<Binary>,
}

impl Update {
    /// The update in a message's data and buffers; `None` when there is no state in it.
    pub fn of(data: &Value, buffers: &[Vec<u8>]) -> Option<Update> {
        let values = data.get("state")?.as_object()?.clone();
        let paths = data.get("buffer_paths").and_then(Value::as_array).cloned().unwrap_or_default();
        let binary =
            paths.iter().zip(buffers).filter_map(|(path, bytes)| Some((path.as_array()?.clone(), bytes.clone())));
        Some(Update { values, binary: binary.collect() })
    }

    /// Takes in a later update.
    pub fn merge(&mut self, later: Update) {
        let Update { values, binary } = later;
        merge(&mut self.values, &mut self.binary, values, binary);
    }

    /// The data and the buffers of a message with this method.
    pub fn message(self, method: &str) -> (Value, Vec<Vec<u8>>) {
        let (paths, buffers): (Vec<Vec<Value>>, Vec<Vec<u8>>) = self.binary.into_iter().unzip();
        (json!({"method": method, "state": self.values, "buffer_paths": paths}), buffers)
    }

    /// Whether another message must not be joined with this one: an `Output` begins or ends to take what a cell prints.
    pub fn stands_alone(&self) -> bool {
        self.values.contains_key("msg_id")
    }
}

fn merge(into: &mut Map<String, Value>, beside: &mut Vec<Binary>, values: Map<String, Value>, binary: Vec<Binary>) {
    let is_replaced = |path: &[Value]| {
        let key = path.first().and_then(Value::as_str);
        key.is_some_and(|key| values.contains_key(key)) || binary.iter().any(|(new, _)| new == path)
    };
    beside.retain(|(path, _)| !is_replaced(path));
    beside.extend(binary);
    into.extend(values);
}

impl Model {
    /// The state of a widget that is opened with this message.
    pub fn opened(data: &Value, buffers: &[Vec<u8>]) -> Model {
        let Update { values, binary } = Update::of(data, buffers).unwrap_or_default();
        Model { values, binary }
    }

    /// Takes in an update.
    pub fn update(&mut self, update: Update) {
        let Update { values, binary } = update;
        merge(&mut self.values, &mut self.binary, values, binary);
    }

    /// A value, and the bytes in its place if it is binary.
    pub fn value(&self, key: &str) -> (&Value, Option<&[u8]>) {
        let is_it = |path: &[Value]| matches!(path, [Value::String(name)] if name == key);
        let bytes = self.binary.iter().find(|(path, _)| is_it(path)).map(|(_, bytes)| bytes.as_slice());
        (self.values.get(key).unwrap_or(&Value::Null), bytes)
    }

    /// Appends to a list. Returns the update that it is.
    pub fn append(&mut self, key: &str, element: Value) -> Update {
        let mut list = self.values.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.push(element);
        let values = Map::from_iter([(key.to_owned(), Value::Array(list))]);
        let update = Update { values, binary: Vec::new() };
        self.update(update.clone());
        update
    }

    /// All values, as JSON.
    pub fn values(&self) -> Value {
        Value::Object(self.values.clone())
    }

    /// The whole state, as an update.
    pub fn whole(&self) -> Update {
        Update { values: self.values.clone(), binary: self.binary.clone() }
    }

    /// The entry of this widget in a list of all of them, with `id` before the paths of its binary data.
    fn entry(&self, id: &str) -> (Value, Vec<Place<'_>>) {
        let name = |key: &str| self.values.get(key).cloned().unwrap_or(Value::Null);
        let entry = json!({
            "model_name": name("_model_name"),
            "model_module": name("_model_module"),
            "model_module_version": name("_model_module_version"),
            "state": self.values,
        });
        let place = |path: &[Value]| [&[json!(id), json!("state")], path].concat();
        (entry, self.binary.iter().map(|(path, bytes)| (place(path), bytes.as_slice())).collect())
    }
}

/// The answer to `request_states`: the data and buffers of a message with the states of all widgets.
pub fn all_states<'a>(models: impl Iterator<Item = (&'a str, &'a Model)>) -> (Value, Vec<Vec<u8>>) {
    let (mut states, mut paths, mut buffers) = (Map::new(), Vec::new(), Vec::new());
    for (id, model) in models {
        let (entry, binary) = model.entry(id);
        states.insert(id.to_owned(), entry);
        for (path, bytes) in binary {
            paths.push(path);
            buffers.push(bytes.to_vec());
        }
    }
    (json!({"method": "update_states", "states": states, "buffer_paths": paths}), buffers)
}

/// The states of widgets in a notebook's metadata ("Jupyter widget state", version 2.0), with their binary data as base64; `None` without widgets.
pub fn saved_states<'a>(models: impl Iterator<Item = (&'a str, &'a Model)>) -> Option<Value> {
    let mut states = Map::new();
    for (id, model) in models {
        let (mut entry, _) = model.entry(id);
        let buffer = |(path, bytes): &Binary| json!({"path": path, "encoding": "base64", "data": BASE64.encode(bytes)});
        if !model.binary.is_empty() {
            entry["buffers"] = model.binary.iter().map(buffer).collect();
        }
        states.insert(id.to_owned(), entry);
    }
    if states.is_empty() {
        return None;
    }
    let document = json!({"state": states, "version_major": 2, "version_minor": 0});
    Some(json!({WIDGET_STATES: document}))
}

/// Joins a message with a later one of the same comm, if both are updates: the newest values win. Returns the later one otherwise.
pub fn join(earlier: &mut CommMessage, later: CommMessage) -> Option<CommMessage> {
    let update = |message: &CommMessage| {
        let data: Value = serde_json::from_str(&message.data).ok()?;
        let is_update = data.get("method").and_then(Value::as_str) == Some("update");
        Update::of(&data, &message.buffers).filter(|update| is_update && !update.stands_alone())
    };
    if earlier.comm != later.comm {
        return Some(later);
    }
    let (Some(mut joined), Some(newest)) = (update(earlier), update(&later)) else { return Some(later) };
    joined.merge(newest);
    let (data, buffers) = joined.message("update");
    (earlier.data, earlier.buffers) = (data.to_string(), buffers);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobula_abi::CommKind;

    fn update(data: Value, buffers: &[Vec<u8>]) -> Update {
        Update::of(&data, buffers).unwrap()
    }

    #[test]
    fn a_value_that_is_replaced_takes_its_bytes_along() {
        let opened = json!({"state": {"value": null, "width": "1"}, "buffer_paths": [["value"], ["deep", 0]]});
        let mut model = Model::opened(&opened, &[vec![1], vec![2]]);
        assert_eq!(model.value("value"), (&Value::Null, Some(&[1][..])));
        model.update(update(json!({"state": {"value": 7}}), &[]));
        assert_eq!(model.value("value"), (&json!(7), None));
        let (data, buffers) = model.whole().message("update");
        assert_eq!(data["buffer_paths"], json!([["deep", 0]]));
        assert_eq!((&data["state"], buffers), (&json!({"value": 7, "width": "1"}), vec![vec![2]]));
        assert_eq!(model.value("height"), (&Value::Null, None));
    }

    #[test]
    fn the_states_of_all_widgets_name_their_models_and_the_places_of_their_bytes() {
        let model = Model::opened(&json!({"state": {"_model_name": "M"}, "buffer_paths": [["value"]]}), &[vec![1]]);
        let (data, buffers) = all_states([("a", &model), ("b", &Model::default())].into_iter());
        assert_eq!(data["states"]["a"]["model_name"], "M");
        assert_eq!((&data["buffer_paths"], buffers), (&json!([["a", "state", "value"]]), vec![vec![1]]));
        assert!(data["states"]["b"]["state"].is_object());
    }

    #[test]
    fn a_notebook_keeps_states_with_their_bytes_and_nothing_without_widgets() {
        let model =
            Model::opened(&json!({"state": {"_model_name": "M", "n": 1}, "buffer_paths": [["value"]]}), &[vec![1, 2]]);
        let saved = saved_states([("a", &model)].into_iter()).unwrap();
        let document = &saved["application/vnd.jupyter.widget-state+json"];
        let widget = &document["state"]["a"];
        assert_eq!(
            (&document["version_major"], &widget["model_name"], &widget["state"]["n"]),
            (&json!(2), &json!("M"), &json!(1))
        );
        assert_eq!(widget["buffers"], json!([{"path": ["value"], "encoding": "base64", "data": "AQI="}]));
        assert_eq!(saved_states([].into_iter()), None);
    }

    #[test]
    fn of_two_updates_that_wait_the_newest_values_win_and_other_messages_stay_apart() {
        let message = |data: Value| CommMessage {
            comm: "c".into(),
            kind: CommKind::Message,
            data: data.to_string(),
            metadata: String::new(),
            buffers: Vec::new(),
        };
        let mut first = message(json!({"method": "update", "state": {"a": 1, "b": 1}}));
        assert_eq!(join(&mut first, message(json!({"method": "update", "state": {"b": 2}}))), None);
        let data: Value = serde_json::from_str(&first.data).unwrap();
        assert_eq!(data["state"], json!({"a": 1, "b": 2}));
        for alone in [json!({"method": "custom", "content": 1}), json!({"method": "update", "state": {"msg_id": ""}})] {
            assert!(join(&mut first, message(alone)).is_some());
        }
    }
}
