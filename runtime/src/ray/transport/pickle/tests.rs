//! Pickles against a real Python: what it writes is read, and what is written it reads.

use super::{Pieces, read, write};
use crate::ray::transport::reference::{Key, LetGo, Ref};
use crate::ray::transport::value::Value;
use bytes::Bytes;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

struct Nobody;

impl LetGo for Nobody {
    fn let_go(&self, _: Key) {}
}

/// A handle whose key is the first byte of its id.
pub(super) fn handle(id: &Bytes) -> Ref {
    Ref::new(Key(id[0].into()), Arc::new(Nobody))
}

fn id_of(of: &Ref) -> Option<Bytes> {
    Some(Bytes::from(vec![of.key().0 as u8; 28]))
}

pub(super) fn written(value: &Value) -> Bytes {
    write(value, "c1", &id_of).map(Pieces::finish).unwrap().concat().into()
}

/// What a Python program prints that reads `input`.
fn python(program: &str, input: &[u8]) -> Vec<u8> {
    let mut python = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    python.stdin.take().unwrap().write_all(input).unwrap();
    let done = python.wait_with_output().unwrap();
    assert!(done.status.success());
    done.stdout
}

fn bytes(bytes: &'static [u8]) -> Value {
    Value::Bytes(Bytes::from_static(bytes))
}

fn all_kinds() -> Value {
    Value::List(vec![
        Value::None,
        Value::Bool(true),
        Value::Bool(false),
        Value::Int(0),
        Value::Int(255),
        Value::Int(256),
        Value::Int(-1),
        Value::Int(i64::MAX),
        Value::Int(i64::MIN),
        Value::Float(0.1),
        Value::Float(f64::NEG_INFINITY),
        Value::text(""),
        Value::text("Größe \u{20ac}\u{1f980}\\u"),
        Value::Str("x".repeat(70_000)),
        bytes(b"\0\xff"),
        Value::Bytes(vec![7; 70_000].into()),
        Value::Tuple(Vec::new()),
        Value::Tuple(vec![Value::Int(1)]),
        Value::Tuple(vec![Value::Int(1), Value::Int(2), Value::Int(3), Value::Int(4)]),
        Value::List(Vec::new()),
        Value::Dict(vec![(Value::text("a"), Value::List(vec![Value::None])), (Value::Int(1), Value::Dict(Vec::new()))]),
    ])
}

#[test]
fn what_is_written_python_reads_and_writes_back_the_same_in_every_protocol() {
    let value = all_kinds();
    for protocol in 0..=5 {
        let program = format!(
            "import pickle, sys; v = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(pickle.dumps(v, {protocol}))"
        );
        let back = python(&program, &written(&value));
        let back = read(&back.into(), &[], &mut handle);
        // Before protocol 3 there were no bytes: they are the call that makes them.
        if protocol < 3 {
            assert!(back.map(|back| without_bytes(&back)) == Ok(without_bytes(&value)), "protocol {protocol}");
        } else {
            assert!(back == Ok(value.clone()), "protocol {protocol}");
        }
    }
}

/// The same without the items that are bytes, or a call.
fn without_bytes(value: &Value) -> Value {
    let Value::List(items) = value else { panic!("a list") };
    Value::List(items.iter().filter(|item| !matches!(item, Value::Bytes(_) | Value::Call { .. })).cloned().collect())
}

#[test]
fn python_makes_what_a_call_says() {
    let value = Value::Tuple(vec![
        Value::call(Value::global("builtins", "complex"), [Value::Int(1), Value::Int(2)]),
        Value::call(Value::global("os.path", "join"), [Value::text("a"), Value::text("b")]),
        Value::call_named(Value::global("builtins", "dict"), Vec::new(), vec![("a".into(), Value::Int(1))]),
        Value::Call {
            of: Box::new(Value::global("types", "SimpleNamespace")),
            args: Vec::new(),
            state: Some(Box::new(Value::Dict(vec![(Value::text("x"), Value::Int(5))]))),
        },
        Value::call(
            Value::global("builtins", "bytes"),
            [Value::Buffer(vec![Bytes::from(vec![1; 20_000]), Bytes::from_static(b"end")])],
        ),
    ]);
    let program =
        "import pickle, sys; a, b, c, d, e = pickle.load(sys.stdin.buffer); print(a, b, c, d.x, len(e), e[-3:])";
    let said = python(program, &written(&value));
    assert_eq!(String::from_utf8(said).unwrap(), "(1+2j) a/b {'a': 1} 5 20003 b'end'\n");
}

#[test]
fn what_a_pickle_would_carry_out_is_shown_and_not_done() {
    let file = std::env::temp_dir().join(format!("mobula-pickle-{}", std::process::id()));
    let program = format!(
        "import pickle, sys
class Evil:
  def __reduce__(self): return (__import__('os').mkdir, ({:?},))
sys.stdout.buffer.write(pickle.dumps([Evil()]))",
        file.to_str().unwrap()
    );
    let read = read(&python(&program, b"").into(), &[], &mut handle).unwrap();
    let made = Value::call(Value::global("posix", "mkdir"), [Value::text(file.to_str().unwrap())]);
    assert_eq!(read, Value::List(vec![made]));
    assert!(!file.exists());
}

#[test]
fn objects_sets_and_large_numbers_are_data() {
    let program = "
import pickle, sys, collections
class Point:
  def __init__(self): self.x = 1
values = [Point(), {1}, frozenset(), 2**64, -2**64, collections.OrderedDict(a=1), collections.deque([1], 5), bytearray(b'ab'), ValueError('why')]
sys.stdout.buffer.write(pickle.dumps(values, 5))";
    let Ok(Value::List(values)) = read(&python(program, b"").into(), &[], &mut handle) else { panic!("a list") };
    let call = |module: &str, name: &str, args: Vec<Value>| Value::call(Value::global(module, name), args);
    let dict = |key: Value, value: i64| Value::Dict(vec![(key, Value::Int(value))]);
    let list = |items: &[i64]| Value::List(items.iter().copied().map(Value::Int).collect());
    assert_eq!(
        values,
        [
            Value::Call {
                of: Box::new(Value::global("__main__", "Point")),
                args: Vec::new(),
                state: Some(Box::new(dict(Value::text("x"), 1))),
            },
            call("builtins", "set", vec![list(&[1])]),
            call("builtins", "frozenset", vec![list(&[])]),
            call("builtins", "int", vec![Value::text("0x10000000000000000"), Value::Int(16)]),
            call("builtins", "int", vec![Value::text("-0x10000000000000000"), Value::Int(16)]),
            call("collections", "OrderedDict", vec![dict(Value::text("a"), 1)]),
            call("collections", "deque", vec![Value::Tuple(Vec::new()), Value::Int(5), list(&[1])]),
            bytes(b"ab"),
            call("builtins", "ValueError", vec![Value::text("why")]),
        ]
    );
}

#[test]
fn references_cross_as_stubs() {
    let program = "
import pickle, sys, types, collections
module = types.ModuleType('ray.util.client.client_pickler')
class PickleStub(collections.namedtuple('PickleStub', 'type client_id ref_id name baseline_options')):
  def __reduce__(self): return object.__reduce__(self)
PickleStub.__module__ = module.__name__
PickleStub.__qualname__ = 'PickleStub'
module.PickleStub = PickleStub
for name in ('ray', 'ray.util', 'ray.util.client', module.__name__):
  sys.modules[name] = module
class Held:
  def __init__(self, stub): self.stub = stub
class Reader(pickle.Unpickler):
  def persistent_load(self, stub): return Held(stub)
class Writer(pickle.Pickler):
  def persistent_id(self, value): return value.stub if isinstance(value, Held) else None
values = Reader(sys.stdin.buffer).load()
assert [held.stub for held in values] == [(kind, 'c1', bytes([n] * 28), None, None) for kind, n in (('Object', 3), ('Actor', 4), ('RemoteFunc', 5))]
Writer(sys.stdout.buffer, 5).dump(values[:2])";
    let of = |n: u8| handle(&Bytes::from(vec![n; 28]));
    let value = Value::List(vec![Value::Ref(of(3)), Value::Actor(of(4)), Value::Function(of(5))]);
    let mut ids = Vec::new();
    let back = read(&python(program, &written(&value)).into(), &[], &mut |id| {
        ids.push(id.clone());
        handle(id)
    });
    let Ok(Value::List(back)) = back else { panic!("{back:?}") };
    assert!(
        matches!(&back[..], [Value::Ref(a), Value::Actor(b)] if (a.key(), b.key()) == (Key(3), Key(4))),
        "{back:?}"
    );
    assert_eq!(ids, [vec![3; 28], vec![4; 28]]);
}

#[test]
fn large_bytes_are_neither_copied_to_be_written_nor_to_be_read() {
    let large = Bytes::from(vec![1; 1 << 20]);
    let pieces = write(&Value::List(vec![Value::Bytes(large.clone()), Value::Int(1)]), "", &id_of).unwrap().finish();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    let whole = Bytes::from(pieces.concat());
    let Ok(Value::List(read)) = read(&whole, &[], &mut handle) else { panic!("a list") };
    let [Value::Bytes(bytes), Value::Int(1)] = &read[..] else { panic!("bytes") };
    assert!(whole.as_ptr_range().contains(&bytes.as_ptr()) && *bytes == large);
}

#[test]
fn a_value_that_is_nested_too_deep_is_neither_written_nor_read() {
    let deep = (0..10_000).fold(Value::None, |inner, _| Value::List(vec![inner]));
    assert!(write(&deep, "", &id_of).is_err());
    let mut pickle = vec![0x80, 5];
    pickle.extend([b']'].repeat(100_000));
    pickle.extend([b'a'].repeat(99_999));
    pickle.push(b'.');
    assert_eq!(read(&pickle.into(), &[], &mut handle), Err(super::reader::ReadError::TooDeep));
    // In itself.
    assert_eq!(
        read(&Bytes::from_static(b"\x80\x05]\x94h\x00a."), &[], &mut handle),
        Err(super::reader::ReadError::TooDeep)
    );
    std::mem::forget(deep);
}

#[test]
fn a_part_that_doubles_and_doubles_is_refused() {
    // [x, x] of [x, x] of …, forty times.
    let mut pickle = b"\x80\x05N\x94".to_vec();
    for n in 0..40 {
        pickle.extend([b'h', n, b'h', n, 0x86, 0x94]);
    }
    pickle.push(b'.');
    assert_eq!(read(&pickle.into(), &[], &mut handle), Err(super::reader::ReadError::TooLarge));
}

#[test]
fn buffers_beside_a_pickle_are_taken_in_their_order() {
    let program = "import pickle, sys
class Array:
  def __init__(self, data): self.data = data
  def __reduce_ex__(self, protocol): return bytes, (pickle.PickleBuffer(self.data),)
sys.stdout.buffer.write(pickle.dumps([Array(b'one'), Array(bytearray(b'two'))], 5, buffer_callback=lambda _: None))";
    let pickle: Bytes = python(program, b"").into();
    let buffers = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    let array = |data| Value::call(Value::global("builtins", "bytes"), [bytes(data)]);
    assert_eq!(read(&pickle, &buffers, &mut handle), Ok(Value::List(vec![array(b"one"), array(b"two")])));
    assert!(read(&pickle, &buffers[1..], &mut handle).is_err(), "one is missing");
}

#[test]
fn a_reference_of_a_bridge_is_its_fields_alone() {
    let program = "import pickle, sys
class Out(pickle.Pickler):
  def persistent_id(self, value): return ('Object', None, b'\\7' * 28) if value == 'it' else None
Out(sys.stdout.buffer, 5).dump(['it'])";
    let pickle: Bytes = python(program, b"").into();
    let Ok(Value::List(items)) = read(&pickle, &[], &mut handle) else { panic!("a list") };
    let [Value::Ref(of)] = &items[..] else { panic!("a reference: {items:?}") };
    assert_eq!(of.key(), Key(7));
    assert_eq!(super::read_plain(&pickle), Err(super::reader::ReadError::Stub));
}
