//! Pickles as values. Every input ends in a value or an error, and uses memory in proportion to its size.
//!
//! Two steps: the instructions build a graph of nodes, each of at least one byte of the input; then the graph is copied into a tree. A node that is
//! used twice is copied twice, which a hostile pickle could double again and again, so the second step has a budget.

use super::opcodes::*;
use super::{DEPTH_MAX, STUB};
use crate::ray::transport::reference::Ref;
use crate::ray::transport::value::Value;
use bytes::Bytes;
use std::collections::HashMap;

/// What the tree may be larger than its pickle, in bytes.
const COPIES_BYTES_MAX: usize = 64 << 20;

/// What a value of the tree counts for, besides its text.
const VALUE_BYTES: usize = size_of::<Value>();

/// Why bytes are not a pickle that can be shown as data.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(in crate::ray::transport) enum ReadError {
    /// The bytes end in the middle.
    #[error("the pickle ends in the middle of an instruction")]
    Short,
    /// An instruction takes what is not there, or what it cannot use.
    #[error("instruction {op:#04x} at byte {at} does not fit what is before it")]
    Misplaced { op: u8, at: usize },
    /// An instruction that no pickle of a cluster has: extension codes.
    #[error("instruction {op:#04x} at byte {at} is not supported")]
    Unsupported { op: u8, at: usize },
    /// A later protocol.
    #[error("the pickle is of protocol {0}, and 5 is the newest that is known")]
    Protocol(u8),
    /// Lists in lists, or a list in itself.
    #[error("the value is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// One part is used so often that all of it would not fit.
    #[error("the value is much larger than its pickle")]
    TooLarge,
    /// A persistent id that is no reference to an object or an actor.
    #[error("the pickle holds a reference of an unknown kind")]
    Stub,
}

/// Reads a pickle with the buffers that it names in their order. `make` is asked for the handle of each reference in it.
pub(in crate::ray::transport) fn read(
    data: &Bytes,
    buffers: &[Bytes],
    make: &mut dyn FnMut(&Bytes) -> Ref,
) -> Result<Value, ReadError> {
    let (nodes, stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
    let mut machine = Machine { data, buffers, at: 0, nodes, stack, marks, memo };
    let top = machine.run()?;
    let budget = COPIES_BYTES_MAX + data.len().saturating_mul(VALUE_BYTES);
    Tree { nodes: &machine.nodes, budget, make }.value(top, 0)
}

/// Reads a pickle in which no reference may be.
pub(in crate::ray::transport) fn read_plain(data: &Bytes) -> Result<Value, ReadError> {
    let mut found = false;
    let value = read(data, &[], &mut |_| {
        found = true;
        Ref::nowhere()
    })?;
    if found { Err(ReadError::Stub) } else { Ok(value) }
}

/// The place of a node in the graph.
type Place = usize;

enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An `int` that does not fit: its hexadecimal digits.
    Huge(String),
    Float(f64),
    /// Known to be UTF-8.
    Str(Bytes),
    Bytes(Bytes),
    List(Vec<Place>),
    Tuple(Vec<Place>),
    Dict(Vec<(Place, Place)>),
    /// A set or a frozen set, by the class's name.
    Set(&'static str, Vec<Place>),
    /// Both known to be UTF-8.
    Global(Bytes, Bytes),
    Call(Call),
    Persistent(Place),
}

fn utf8(text: &Bytes) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

struct Call {
    of: Place,
    /// A tuple.
    args: Place,
    /// Arguments by name, a dict.
    named: Option<Place>,
    state: Option<Place>,
    appended: Vec<Place>,
    set: Vec<(Place, Place)>,
}

struct Machine<'a> {
    data: &'a Bytes,
    /// Those that no instruction has taken.
    buffers: &'a [Bytes],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Place>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
}

impl Machine<'_> {
    /// Carries out the instructions up to the end, and returns what is on top then.
    fn run(&mut self) -> Result<Place, ReadError> {
        loop {
            let at = self.at;
            let op = self.byte()?;
            if op == STOP {
                return self.pop().ok_or(ReadError::Misplaced { op, at });
            }
            self.step(op, at)?;
        }
    }

    fn step(&mut self, op: u8, at: usize) -> Result<(), ReadError> {
        let misplaced = ReadError::Misplaced { op, at };
        match op {
            PROTO => match self.byte()? {
                0..=5 => {}
                newer => return Err(ReadError::Protocol(newer)),
            },
            FRAME => {
                let len = self.length(8)?;
                if len > self.data.len() - self.at {
                    return Err(ReadError::Short);
                }
            }
            MARK => self.marks.push(self.stack.len()),
            POP => {
                // A mark on top is what it takes.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop().ok_or(misplaced)?;
                }
            }
            POP_MARK => drop(self.marked().ok_or(misplaced)?),
            DUP => {
                let top = *self.stack.last().ok_or(misplaced)?;
                self.stack.push(top);
            }
            NONE => self.push(Node::None),
            NEWTRUE => self.push(Node::Bool(true)),
            NEWFALSE => self.push(Node::Bool(false)),
            BININT1 => {
                let number = self.byte()?;
                self.push(Node::Int(number.into()));
            }
            BININT2 => {
                let number = self.length(2)?;
                self.push(Node::Int(i64::try_from(number).expect("two bytes")));
            }
            BININT => {
                let four = self.take(4)?;
                self.push(Node::Int(i32::from_le_bytes(four[..].try_into().expect("four bytes")).into()));
            }
            LONG1 | LONG4 => {
                let len = self.length(if op == LONG1 { 1 } else { 4 })?;
                let bytes = self.take(len)?;
                self.push(integer(&bytes));
            }
            INT | LONG => {
                let line = self.line()?;
                self.push(written_integer(&line, op == INT).ok_or(misplaced)?);
            }
            FLOAT => {
                let number = self.line()?.trim().parse().map_err(|_| misplaced)?;
                self.push(Node::Float(number));
            }
            BINFLOAT => {
                let eight = self.take(8)?;
                self.push(Node::Float(f64::from_be_bytes(eight[..].try_into().expect("eight bytes"))));
            }
            SHORT_BINUNICODE => self.text(1)?,
            BINUNICODE => self.text(4)?,
            BINUNICODE8 => self.text(8)?,
            // The `str` of Python 2, and what protocol 0 has in its place.
            SHORT_BINSTRING => self.text(1)?,
            BINSTRING => self.text(4)?,
            STRING => {
                let line = self.line()?;
                let text = line.trim().trim_matches(['\'', '"']).to_owned();
                self.push(Node::Str(text.into()));
            }
            UNICODE => {
                let text = unescaped(self.raw_line()?);
                self.push(Node::Str(text.into()));
            }
            SHORT_BINBYTES => self.bytes(1)?,
            BINBYTES => self.bytes(4)?,
            BINBYTES8 | BYTEARRAY8 => self.bytes(8)?,
            NEXT_BUFFER => {
                let (first, rest) = self.buffers.split_first().ok_or(misplaced)?;
                self.buffers = rest;
                self.push(Node::Bytes(first.clone()));
            }
            // Of a buffer nothing is known here but its bytes.
            READONLY_BUFFER => {}
            EMPTY_LIST => self.push(Node::List(Vec::new())),
            EMPTY_TUPLE => self.push(Node::Tuple(Vec::new())),
            EMPTY_DICT => self.push(Node::Dict(Vec::new())),
            EMPTY_SET => self.push(Node::Set("set", Vec::new())),
            LIST => {
                let items = self.marked().ok_or(misplaced)?;
                self.push(Node::List(items));
            }
            TUPLE => {
                let items = self.marked().ok_or(misplaced)?;
                self.push(Node::Tuple(items));
            }
            FROZENSET => {
                let items = self.marked().ok_or(misplaced)?;
                self.push(Node::Set("frozenset", items));
            }
            DICT => {
                let items = self.marked().ok_or(misplaced.clone())?;
                self.push(Node::Dict(pairs(&items).ok_or(misplaced)?));
            }
            TUPLE1 | TUPLE2 | TUPLE3 => {
                let len = usize::from(op - TUPLE1) + 1;
                let items = self.pop_many(len).ok_or(misplaced)?;
                self.push(Node::Tuple(items));
            }
            APPEND => {
                let item = self.pop().ok_or(misplaced.clone())?;
                self.append(vec![item]).ok_or(misplaced)?;
            }
            APPENDS | ADDITEMS => {
                let items = self.marked().ok_or(misplaced.clone())?;
                self.append(items).ok_or(misplaced)?;
            }
            SETITEM => {
                let entry = self.pop_many(2).ok_or(misplaced.clone())?;
                self.set(vec![(entry[0], entry[1])]).ok_or(misplaced)?;
            }
            SETITEMS => {
                let items = self.marked().ok_or(misplaced.clone())?;
                self.set(pairs(&items).ok_or(misplaced.clone())?).ok_or(misplaced)?;
            }
            GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(module.into(), name.into()));
            }
            STACK_GLOBAL => {
                let names = self.pop_many(2).ok_or(misplaced.clone())?;
                let text = |place: Place| match &self.nodes[place] {
                    Node::Str(text) => Some(text.clone()),
                    _ => None,
                };
                let (module, name) = text(names[0]).zip(text(names[1])).ok_or(misplaced)?;
                self.push(Node::Global(module, name));
            }
            REDUCE | NEWOBJ => {
                let parts = self.pop_many(2).ok_or(misplaced)?;
                self.call(parts[0], parts[1], None);
            }
            NEWOBJ_EX => {
                let parts = self.pop_many(3).ok_or(misplaced)?;
                self.call(parts[0], parts[1], Some(parts[2]));
            }
            INST => {
                let (module, name) = (self.line()?, self.line()?);
                let items = self.marked().ok_or(misplaced)?;
                let class = self.node(Node::Global(module.into(), name.into()));
                let args = self.node(Node::Tuple(items));
                self.call(class, args, None);
            }
            OBJ => {
                let mut items = self.marked().filter(|items| !items.is_empty()).ok_or(misplaced)?;
                let class = items.remove(0);
                let args = self.node(Node::Tuple(items));
                self.call(class, args, None);
            }
            BUILD => {
                let state = self.pop().ok_or(misplaced.clone())?;
                let object = *self.stack.last().ok_or(misplaced.clone())?;
                match &mut self.nodes[object] {
                    Node::Call(call) => call.state = Some(state),
                    _ => return Err(misplaced),
                }
            }
            PERSID => {
                let line = self.line()?;
                let id = self.node(Node::Str(line.into()));
                self.push(Node::Persistent(id));
            }
            BINPERSID => {
                let id = self.pop().ok_or(misplaced)?;
                self.push(Node::Persistent(id));
            }
            MEMOIZE => {
                let top = *self.stack.last().ok_or(misplaced)?;
                self.memo.insert(self.memo.len() as u64, top);
            }
            PUT | BINPUT | LONG_BINPUT => {
                let place = self.memo_place(op, PUT, BINPUT).ok_or(misplaced.clone())?;
                let top = *self.stack.last().ok_or(misplaced)?;
                self.memo.insert(place, top);
            }
            GET | BINGET | LONG_BINGET => {
                let place = self.memo_place(op, GET, BINGET).ok_or(misplaced.clone())?;
                let kept = *self.memo.get(&place).ok_or(misplaced)?;
                self.stack.push(kept);
            }
            _ => return Err(ReadError::Unsupported { op, at }),
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, ReadError> {
        let byte = *self.data.get(self.at).ok_or(ReadError::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, len: usize) -> Result<Bytes, ReadError> {
        if len > self.data.len() - self.at {
            return Err(ReadError::Short);
        }
        let taken = self.data.slice(self.at..self.at + len);
        self.at += len;
        Ok(taken)
    }

    /// A number of up to eight bytes, the lowest first.
    fn length(&mut self, bytes: usize) -> Result<usize, ReadError> {
        let mut eight = [0; 8];
        eight[..bytes].copy_from_slice(&self.take(bytes)?);
        // What does not fit is more than there is.
        usize::try_from(u64::from_le_bytes(eight)).map_err(|_| ReadError::Short)
    }

    /// Up to the next end of a line, without it.
    fn raw_line(&mut self) -> Result<&[u8], ReadError> {
        let rest = &self.data[self.at..];
        let len = rest.iter().position(|byte| *byte == b'\n').ok_or(ReadError::Short)?;
        self.at += len + 1;
        Ok(&rest[..len])
    }

    fn line(&mut self) -> Result<String, ReadError> {
        self.raw_line().map(|line| String::from_utf8_lossy(line).into_owned())
    }

    fn node(&mut self, node: Node) -> Place {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn push(&mut self, node: Node) {
        let place = self.node(node);
        self.stack.push(place);
    }

    /// The top of the stack, if it is above the last mark.
    fn pop(&mut self) -> Option<Place> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > floor { self.stack.pop() } else { None }
    }

    fn pop_many(&mut self, len: usize) -> Option<Vec<Place>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let from = self.stack.len().checked_sub(len).filter(|from| *from >= floor)?;
        Some(self.stack.split_off(from))
    }

    /// What is above the last mark.
    fn marked(&mut self) -> Option<Vec<Place>> {
        let from = self.marks.pop()?;
        Some(self.stack.split_off(from))
    }

    fn text(&mut self, bytes: usize) -> Result<(), ReadError> {
        let len = self.length(bytes)?;
        let bytes = self.take(len)?;
        // Python writes single halves of surrogate pairs; they are replaced.
        let text = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes,
            Err(_) => String::from_utf8_lossy(&bytes).into_owned().into(),
        };
        self.push(Node::Str(text));
        Ok(())
    }

    fn bytes(&mut self, bytes: usize) -> Result<(), ReadError> {
        let len = self.length(bytes)?;
        let bytes = self.take(len)?;
        self.push(Node::Bytes(bytes));
        Ok(())
    }

    fn append(&mut self, items: Vec<Place>) -> Option<()> {
        match &mut self.nodes[*self.stack.last()?] {
            Node::List(list) | Node::Set(_, list) => list.extend(items),
            Node::Call(call) => call.appended.extend(items),
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, entries: Vec<(Place, Place)>) -> Option<()> {
        match &mut self.nodes[*self.stack.last()?] {
            Node::Dict(dict) => dict.extend(entries),
            Node::Call(call) => call.set.extend(entries),
            _ => return None,
        }
        Some(())
    }

    fn call(&mut self, of: Place, args: Place, named: Option<Place>) {
        self.push(Node::Call(Call { of, args, named, state: None, appended: Vec::new(), set: Vec::new() }));
    }

    /// A place in the memo: on a line, in one byte, or in four.
    fn memo_place(&mut self, op: u8, by_line: u8, by_byte: u8) -> Option<u64> {
        if op == by_line {
            return self.line().ok()?.trim().parse().ok();
        }
        self.length(if op == by_byte { 1 } else { 4 }).ok().map(|place| place as u64)
    }
}

fn pairs(items: &[Place]) -> Option<Vec<(Place, Place)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// A text as protocol 0 writes it: a byte for each character, or `\u` or `\U` and digits.
fn unescaped(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let [first, after @ ..] = rest {
        let digits = match rest {
            [b'\\', b'u', after @ ..] => after.get(..4),
            [b'\\', b'U', after @ ..] => after.get(..8),
            _ => None,
        };
        let code = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (code, digits) {
            (Some(code), Some(digits)) => {
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &rest[2 + digits.len()..];
            }
            _ => {
                text.push(char::from(*first));
                rest = after;
            }
        }
    }
    text
}

/// A number in two's complement, the lowest byte first.
fn integer(bytes: &[u8]) -> Node {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    if bytes.len() <= 8 {
        let mut eight = [if negative { 0xff } else { 0 }; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        return Node::Int(i64::from_le_bytes(eight));
    }
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            (*byte, carry) = (!*byte).overflowing_add(carry.into());
        }
    }
    let digits: String = magnitude.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    Node::Huge(format!("{}0x{}", if negative { "-" } else { "" }, digits.trim_start_matches('0')))
}

/// A number as protocol 0 writes it, which has `01` for true.
fn written_integer(line: &str, may_be_bool: bool) -> Option<Node> {
    match line.trim().trim_end_matches('L') {
        "00" if may_be_bool => Some(Node::Bool(false)),
        "01" if may_be_bool => Some(Node::Bool(true)),
        digits => digits.parse().ok().map(Node::Int),
    }
}

struct Tree<'a> {
    nodes: &'a [Node],
    budget: usize,
    make: &'a mut dyn FnMut(&Bytes) -> Ref,
}

impl Tree<'_> {
    fn value(&mut self, place: Place, depth: usize) -> Result<Value, ReadError> {
        if depth > DEPTH_MAX {
            return Err(ReadError::TooDeep);
        }
        let nodes = self.nodes;
        let text_bytes = match &nodes[place] {
            Node::Str(text) => text.len(),
            Node::Huge(text) => text.len(),
            Node::Global(module, name) => module.len() + name.len(),
            _ => 0,
        };
        self.budget = self.budget.checked_sub(VALUE_BYTES + text_bytes).ok_or(ReadError::TooLarge)?;
        Ok(match &nodes[place] {
            Node::None => Value::None,
            Node::Bool(flag) => Value::Bool(*flag),
            Node::Int(number) => Value::Int(*number),
            Node::Huge(digits) => {
                Value::call(Value::global("builtins", "int"), [Value::Str(digits.clone()), Value::Int(16)])
            }
            Node::Float(number) => Value::Float(*number),
            Node::Str(text) => Value::text(utf8(text)),
            Node::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Node::List(items) => Value::List(self.all(items, depth)?),
            Node::Tuple(items) => Value::Tuple(self.all(items, depth)?),
            Node::Dict(entries) => Value::Dict(self.entries(entries, depth)?),
            Node::Set(class, items) => {
                Value::call(Value::global("builtins", class), [Value::List(self.all(items, depth)?)])
            }
            Node::Global(module, name) => Value::global(utf8(module), utf8(name)),
            Node::Call(call) => self.call(call, depth)?,
            Node::Persistent(id) => self.reference(*id)?,
        })
    }

    fn all(&mut self, items: &[Place], depth: usize) -> Result<Vec<Value>, ReadError> {
        items.iter().map(|item| self.value(*item, depth + 1)).collect()
    }

    fn entries(&mut self, entries: &[(Place, Place)], depth: usize) -> Result<Vec<(Value, Value)>, ReadError> {
        entries.iter().map(|(key, value)| Ok((self.value(*key, depth + 1)?, self.value(*value, depth + 1)?))).collect()
    }

    fn call(&mut self, call: &Call, depth: usize) -> Result<Value, ReadError> {
        let mut args = match self.value(call.args, depth + 1)? {
            Value::Tuple(items) => items,
            // What is called with something that makes a tuple.
            other => vec![other],
        };
        if let Some(named) = call.named {
            args.push(self.value(named, depth + 1)?);
        }
        if !call.appended.is_empty() {
            args.push(Value::List(self.all(&call.appended, depth)?));
        }
        if !call.set.is_empty() {
            args.push(Value::Dict(self.entries(&call.set, depth)?));
        }
        let state = call.state.map(|state| self.value(state, depth + 1)).transpose()?;
        Ok(Value::Call { of: Box::new(self.value(call.of, depth + 1)?), args, state: state.map(Box::new) })
    }

    /// The handle that a `PickleStub` stands for. Python writes it as the class and its fields, or as `copyreg._reconstructor` of the class, `tuple`
    /// and a tuple of the fields. A bridge writes the fields alone.
    fn reference(&mut self, id: Place) -> Result<Value, ReadError> {
        let nodes = self.nodes;
        let tuple = |place: Place| match &nodes[place] {
            Node::Tuple(items) => Some(items.as_slice()),
            _ => None,
        };
        let is_stub =
            |place: Place| matches!(&nodes[place], Node::Global(module, name) if (utf8(module), utf8(name)) == STUB);
        let fields = match &nodes[id] {
            Node::Tuple(fields) => Some(fields.as_slice()),
            Node::Call(call) => match tuple(call.args) {
                Some(fields) if is_stub(call.of) => Some(fields),
                Some([class, _, fields]) if is_stub(*class) => tuple(*fields),
                _ => None,
            },
            _ => None,
        };
        let Some([kind, _, id, ..]) = fields else { return Err(ReadError::Stub) };
        match (&nodes[*kind], &nodes[*id]) {
            (Node::Str(kind), Node::Bytes(id)) if utf8(kind) == "Object" => Ok(Value::Ref((self.make)(id))),
            (Node::Str(kind), Node::Bytes(id)) if utf8(kind) == "Actor" => Ok(Value::Actor((self.make)(id))),
            _ => Err(ReadError::Stub),
        }
    }
}
