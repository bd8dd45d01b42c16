//! Values as they cross between a session and a cluster: Python's plain data, references, and calls that the other side carries out.

use super::reference::Ref;
use bytes::Bytes;

/// A value as it crosses as a pickle, both ways.
///
/// What arrives is data: a call that a pickle asks for is shown as [`Value::Call`], and never carried out here.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A `bool`.
    Bool(bool),
    /// An `int`. One that does not fit arrives as the call `int("0x…", 16)`.
    Int(i64),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Str(String),
    /// `bytes`; what arrives as a `bytearray`, too.
    Bytes(Bytes),
    /// A `list`.
    List(Vec<Value>),
    /// A `tuple`.
    Tuple(Vec<Value>),
    /// A `dict`. Its keys have to be hashable in Python.
    Dict(Vec<(Value, Value)>),
    /// A reference. What is sent as an argument of its own arrives as the object's value; inside of something else it stays a reference. What
    /// arrives is any reference that the cluster keeps for us.
    Ref(Ref),
    /// The handle of an actor.
    Actor(Ref),
    /// A remote function, made of a function that was put. If the cluster has not seen a call of it, it becomes one without options.
    Function(Ref),
    /// These bytes in a row, as a `pickle.PickleBuffer`: Ray stores them beside the rest of the value, and who reads them sees them in place.
    /// Only on the way out.
    Buffer(Vec<Bytes>),
    /// What `module` calls `name`, which may have dots.
    Global {
        /// The module's full name.
        module: String,
        /// The name in it.
        name: String,
    },
    /// `of(*args)`, and then `__setstate__(state)` of its result.
    ///
    /// Of one that arrives, the items that Python would have appended to it stand behind the arguments as a list, and those that it would have set,
    /// as a dict.
    Call {
        /// What is called.
        of: Box<Value>,
        /// The arguments.
        args: Vec<Value>,
        /// What is done to its result.
        state: Option<Box<Value>>,
    },
}

impl Value {
    /// What `module` calls `name`.
    pub fn global(module: &str, name: &str) -> Value {
        Value::Global { module: module.into(), name: name.into() }
    }

    /// `of(*args)`.
    pub fn call(of: Value, args: impl IntoIterator<Item = Value>) -> Value {
        Value::Call { of: Box::new(of), args: args.into_iter().collect(), state: None }
    }

    /// `of(*args, **named)`, as a `functools.partial` without arguments that is called.
    pub fn call_named(of: Value, args: Vec<Value>, named: Vec<(String, Value)>) -> Value {
        let named = named.into_iter().map(|(name, value)| (Value::Str(name), value)).collect();
        let state = Value::Tuple(vec![of.clone(), Value::Tuple(args), Value::Dict(named), Value::None]);
        let partial = Value::Call {
            of: Box::new(Value::global("functools", "partial")),
            args: vec![of],
            state: Some(Box::new(state)),
        };
        Value::call(partial, [])
    }

    /// What this value holds and names, itself first.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Value> {
        let mut rest = vec![self];
        std::iter::from_fn(move || {
            let value = rest.pop()?;
            match value {
                Value::List(items) | Value::Tuple(items) => rest.extend(items),
                Value::Dict(entries) => rest.extend(entries.iter().flat_map(|(key, value)| [key, value])),
                Value::Call { of, args, state } => {
                    rest.push(of);
                    rest.extend(args);
                    rest.extend(state.as_deref());
                }
                Value::None
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Str(_)
                | Value::Bytes(_)
                | Value::Ref(_)
                | Value::Actor(_)
                | Value::Function(_)
                | Value::Buffer(_)
                | Value::Global { .. } => {}
            }
            Some(value)
        })
    }

    /// The reference that it is, of whatever kind.
    pub(super) fn reference(&self) -> Option<&Ref> {
        match self {
            Value::Ref(of) | Value::Actor(of) | Value::Function(of) => Some(of),
            _ => None,
        }
    }

    /// Whether there is a reference in it.
    pub(super) fn has_refs(&self) -> bool {
        self.parts().any(|part| part.reference().is_some())
    }

    /// A text.
    pub fn text(text: &str) -> Value {
        Value::Str(text.into())
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one that fits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The entry of a dict whose key is this text.
    pub fn entry(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Dict(entries) => entries.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value),
            _ => None,
        }
    }
}
