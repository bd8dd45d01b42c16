//! Objects as the cluster has them: heads, payloads and references, as `worker.py` describes them.

use super::runs::Ran;
use super::table;
use super::{Object, Place, State};
use crate::ray::transport::Value;
use bytes::Bytes;

/// What a head says of a value.
pub(super) struct Head {
    /// A small value's bytes.
    pub inline: Option<Bytes>,
    /// The objects in the value: id, head, payload.
    pub refs: Vec<(u64, Value, Value)>,
    /// The run of the task that made it.
    pub ran: Ran,
}

/// The head of a value.
pub(super) fn head(inline: Option<Bytes>, refs: Vec<Value>) -> Value {
    Value::Tuple(vec![Value::text("value"), inline.map_or(Value::None, Value::Bytes), Value::List(refs)])
}

/// Reads a head. `None`: it is none of ours.
pub(super) fn read_head(value: &Value) -> Option<Head> {
    let [kind, inline, Value::List(refs), rest @ ..] = items(value)? else { return None };
    if kind.as_str() != Some("value") {
        return None;
    }
    let inline = match inline {
        Value::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let read = |reference: &Value| match items(reference)? {
        [id, head, payload] => Some((u64::try_from(id.as_int()?).ok()?, head.clone(), payload.clone())),
        _ => None,
    };
    let ran = rest.first().and_then(read_ran).unwrap_or_default();
    Some(Head { inline, refs: refs.iter().map(read).collect::<Option<_>>()?, ran })
}

/// Reads what is said of a run.
pub(super) fn read_ran(value: &Value) -> Option<Ran> {
    let [pid, attempt, ns, task] = items(value)? else { return None };
    Some(Ran {
        pid: pid.as_int()? as u32,
        attempt: attempt.as_int()? as u32,
        ns: Some(ns.as_int()? as u64),
        task: table::number(task.as_str()?),
    })
}

/// The items of a tuple or a list.
pub(super) fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Tuple(items) | Value::List(items) => Some(items),
        _ => None,
    }
}

/// The bytes of a payload: those of numpy's array or of a `PickleBuffer`.
pub(super) fn bytes_in(value: &Value) -> Option<Bytes> {
    match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        // Of an array, its bytes are an argument, or in the state.
        Value::Call { args, state, .. } => {
            args.iter().chain(state.as_deref()).filter_map(bytes_in).max_by_key(Bytes::len)
        }
        Value::Tuple(items) | Value::List(items) => items.iter().filter_map(bytes_in).max_by_key(Bytes::len),
        _ => None,
    }
}

/// A payload that Ray stores beside its pickle.
pub(super) fn payload(bytes: Bytes, has_numpy: bool) -> Value {
    if has_numpy {
        let args = [Value::Bytes(bytes), Value::text("uint8")];
        return Value::call(Value::global("numpy", "frombuffer"), args);
    }
    Value::Buffer(vec![bytes])
}

impl State {
    /// Head and payload of an object, as an argument of a task. `None`: there is no such object.
    pub fn pair(&self, id: u64) -> Option<[Value; 2]> {
        let object = self.objects.get(&id)?;
        Some(match &object.place {
            Place::Known { inline, payload } => {
                let refs = object.refs.iter().filter_map(|id| self.reference(*id)).collect();
                [head(inline.clone(), refs), payload.clone().map_or(Value::None, Value::Ref)]
            }
            Place::Results { head, payload } => [Value::Ref(head.clone()), Value::Ref(payload.clone())],
            Place::Actor(actor, _) => {
                [Value::Tuple(vec![Value::text("actor"), Value::Actor(actor.clone())]), Value::None]
            }
        })
    }

    /// A reference to an object, in a value.
    pub fn reference(&self, id: u64) -> Option<Value> {
        let [head, payload] = self.pair(id)?;
        Some(Value::Tuple(vec![Value::Int(id as i64), head, payload]))
    }

    /// Takes over the objects in a value, each with one place that it is in. Returns their ids.
    pub fn adopt(&mut self, refs: Vec<(u64, Value, Value)>) -> Vec<u64> {
        let mut ids = Vec::new();
        for (id, head, payload) in refs {
            if !self.objects.contains_key(&id) {
                let Some(object) = self.object_of(&head, payload) else { continue };
                self.objects.insert(id, object);
            }
            if let Some(object) = self.objects.get_mut(&id) {
                object.inside += 1;
                ids.push(id);
            }
        }
        ids
    }

    fn object_of(&mut self, head: &Value, payload: Value) -> Option<Object> {
        let object = |place, end, refs| Some(Object { is_held: false, inside: 0, place, end, is_watched: false, refs });
        match (head, payload) {
            (Value::Ref(head), Value::Ref(payload)) => {
                object(Place::Results { head: head.clone(), payload }, super::End::Pending, Vec::new())
            }
            (known, payload) => {
                if let Some([kind, Value::Actor(actor)]) = items(known)
                    && kind.as_str() == Some("actor")
                {
                    return object(Place::Actor(actor.clone(), "".into()), super::End::Ready, Vec::new());
                }
                let head = read_head(known)?;
                let refs = self.adopt(head.refs);
                let payload = match payload {
                    Value::Ref(payload) => Some(payload),
                    _ => None,
                };
                object(Place::Known { inline: head.inline, payload }, super::End::Ready, refs)
            }
        }
    }
}
