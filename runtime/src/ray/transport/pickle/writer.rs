//! Values as pickles, in pieces: what is large stays where it is, between the instructions around it.

use super::opcodes::*;
use super::{DEPTH_MAX, STUB};
use crate::ray::transport::reference::Ref;
use crate::ray::transport::value::Value;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::HashMap;

/// Bytes from this size on are not copied.
const LARGE: usize = 16 << 10;

/// Why a value cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Lists in lists.
    #[error("a value is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// A reference whose id is not known, or of another session.
    #[error("a value holds a reference that this cluster does not keep")]
    UnknownRef,
}

/// A pickle in pieces.
#[derive(Debug, Default)]
pub(in crate::ray::transport) struct Pieces {
    done: Vec<Bytes>,
    open: BytesMut,
}

impl Pieces {
    /// The pieces, in order. None is empty.
    pub(in crate::ray::transport) fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(self.open.split().freeze());
        }
    }

    fn bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < LARGE {
            self.open.put_slice(bytes);
        } else {
            self.close();
            self.done.push(bytes.clone());
        }
    }
}

/// Writes `value` for the session `client`. `id_of` knows the ids of references; one of which it knows none is an error.
pub(in crate::ray::transport) fn write(
    value: &Value,
    client: &str,
    id_of: &dyn Fn(&Ref) -> Option<Bytes>,
) -> Result<Pieces, WriteError> {
    let mut writer = Writer { out: Pieces::default(), globals: HashMap::new(), client, id_of };
    writer.out.open.put_slice(&[PROTO, 5]);
    writer.value(value, 0)?;
    writer.op(STOP);
    Ok(writer.out)
}

struct Writer<'a> {
    out: Pieces,
    /// The places in the memo of what is named again.
    globals: HashMap<(String, String), u32>,
    client: &'a str,
    id_of: &'a dyn Fn(&Ref) -> Option<Bytes>,
}

impl Writer<'_> {
    fn op(&mut self, op: u8) {
        self.out.open.put_u8(op);
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), WriteError> {
        if depth > DEPTH_MAX {
            return Err(WriteError::TooDeep);
        }
        match value {
            Value::None => self.op(NONE),
            Value::Bool(flag) => self.op(if *flag { NEWTRUE } else { NEWFALSE }),
            Value::Int(number) => self.int(*number),
            Value::Float(number) => {
                self.op(BINFLOAT);
                self.out.open.put_f64(*number);
            }
            Value::Str(text) => self.text(text),
            Value::Bytes(bytes) => {
                self.bytes_head(bytes.len());
                self.out.bytes(bytes);
            }
            Value::List(items) => {
                self.op(EMPTY_LIST);
                if !items.is_empty() {
                    self.op(MARK);
                    self.all(items, depth)?;
                    self.op(APPENDS);
                }
            }
            Value::Tuple(items) => self.tuple(items, depth)?,
            Value::Dict(entries) => {
                self.op(EMPTY_DICT);
                if !entries.is_empty() {
                    self.op(MARK);
                    for (key, value) in entries {
                        self.value(key, depth + 1)?;
                        self.value(value, depth + 1)?;
                    }
                    self.op(SETITEMS);
                }
            }
            Value::Ref(of) => self.stub("Object", of)?,
            Value::Actor(of) => self.stub("Actor", of)?,
            Value::Function(of) => self.stub("RemoteFunc", of)?,
            Value::Buffer(pieces) => {
                self.global("pickle", "PickleBuffer");
                self.bytes_head(pieces.iter().map(Bytes::len).sum());
                for piece in pieces {
                    self.out.bytes(piece);
                }
                self.op(TUPLE1);
                self.op(REDUCE);
            }
            Value::Global { module, name } => self.global(module, name),
            Value::Call { of, args, state } => {
                self.value(of, depth + 1)?;
                self.tuple(args, depth)?;
                self.op(REDUCE);
                if let Some(state) = state {
                    self.value(state, depth + 1)?;
                    self.op(BUILD);
                }
            }
        }
        Ok(())
    }

    fn all(&mut self, items: &[Value], depth: usize) -> Result<(), WriteError> {
        items.iter().try_for_each(|item| self.value(item, depth + 1))
    }

    fn tuple(&mut self, items: &[Value], depth: usize) -> Result<(), WriteError> {
        let op = match items.len() {
            0 => EMPTY_TUPLE,
            1 => TUPLE1,
            2 => TUPLE2,
            3 => TUPLE3,
            _ => {
                self.op(MARK);
                TUPLE
            }
        };
        self.all(items, depth)?;
        self.op(op);
        Ok(())
    }

    fn int(&mut self, number: i64) {
        if let Ok(number) = u8::try_from(number) {
            self.out.open.put_slice(&[BININT1, number]);
        } else if let Ok(number) = i32::try_from(number) {
            self.op(BININT);
            self.out.open.put_i32_le(number);
        } else {
            self.out.open.put_slice(&[LONG1, 8]);
            self.out.open.put_i64_le(number);
        }
    }

    fn text(&mut self, text: &str) {
        if let Ok(len) = u8::try_from(text.len()) {
            self.out.open.put_slice(&[SHORT_BINUNICODE, len]);
        } else {
            self.op(BINUNICODE8);
            self.out.open.put_u64_le(text.len() as u64);
        }
        self.out.open.put_slice(text.as_bytes());
    }

    fn bytes_head(&mut self, len: usize) {
        if let Ok(len) = u8::try_from(len) {
            self.out.open.put_slice(&[SHORT_BINBYTES, len]);
        } else {
            self.op(BINBYTES8);
            self.out.open.put_u64_le(len as u64);
        }
    }

    fn global(&mut self, module: &str, name: &str) {
        let key = (module.to_owned(), name.to_owned());
        if let Some(place) = self.globals.get(&key) {
            self.out.open.put_u8(LONG_BINGET);
            self.out.open.put_u32_le(*place);
            return;
        }
        self.text(module);
        self.text(name);
        self.op(STACK_GLOBAL);
        self.op(MEMOIZE);
        let place = u32::try_from(self.globals.len()).expect("fewer names than that");
        self.globals.insert(key, place);
    }

    fn stub(&mut self, kind: &str, of: &Ref) -> Result<(), WriteError> {
        let id = (self.id_of)(of).ok_or(WriteError::UnknownRef)?;
        self.global(STUB.0, STUB.1);
        self.op(MARK);
        self.text(kind);
        self.text(self.client);
        self.bytes_head(id.len());
        self.out.open.put_slice(&id);
        self.op(NONE);
        self.op(NONE);
        self.op(TUPLE);
        self.op(REDUCE);
        self.op(BINPERSID);
        Ok(())
    }
}
