//! Property tests of pickles: every value whole, cut anywhere or damaged, and arbitrary instructions.

use super::tests::{handle, written};
use super::{opcodes, read};
use crate::ray::transport::value::Value;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

fn value() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300i64..300).prop_map(Value::Int),
        (-1e9..1e9).prop_map(Value::Float),
        "\\PC{0,300}".prop_map(Value::Str),
        bytes().prop_map(Value::Bytes),
        "[a-z]{1,9}".prop_map(|name| Value::global("module", &name)),
        any::<u8>().prop_map(|n| Value::Ref(handle(&Bytes::from(vec![n])))),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            some().prop_map(Value::List),
            some().prop_map(Value::Tuple),
            prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Dict),
            (some(), prop::option::of(inner.clone())).prop_map(|(args, state)| Value::Call {
                of: Box::new(Value::global("module", "call")),
                args,
                state: state.map(Box::new),
            }),
        ]
    })
}

/// The same with nothing but the keys of references, because two handles of one id are not equal.
fn seen(value: &Value) -> String {
    format!("{value:?}")
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in value()) {
        let read = read(&written(&value), &[], &mut handle).unwrap();
        prop_assert_eq!(seen(&read), seen(&value));
    }

    #[test]
    fn what_is_cut_or_damaged_ends_in_a_value_or_an_error(
        value in value(), cut: Index, damage in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = written(&value).to_vec();
        let whole = bytes.clone();
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(read(&bytes.into(), &[], &mut handle).is_err());
        let mut bytes = whole;
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = read(&bytes.into(), &[], &mut handle);
    }

    #[test]
    fn arbitrary_instructions_end_in_a_value_or_an_error(
        ops in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(OPS)], 0..400),
    ) {
        let _ = read(&ops.into(), &[], &mut handle);
    }
}

/// Instructions that take little, so that a program of them gets far.
const OPS: &[u8] = &[
    opcodes::MARK,
    opcodes::STOP,
    opcodes::POP,
    opcodes::POP_MARK,
    opcodes::DUP,
    opcodes::NONE,
    opcodes::EMPTY_LIST,
    opcodes::EMPTY_DICT,
    opcodes::EMPTY_TUPLE,
    opcodes::EMPTY_SET,
    opcodes::APPEND,
    opcodes::APPENDS,
    opcodes::SETITEM,
    opcodes::SETITEMS,
    opcodes::ADDITEMS,
    opcodes::LIST,
    opcodes::DICT,
    opcodes::TUPLE,
    opcodes::TUPLE1,
    opcodes::TUPLE2,
    opcodes::REDUCE,
    opcodes::NEWOBJ,
    opcodes::NEWOBJ_EX,
    opcodes::BUILD,
    opcodes::OBJ,
    opcodes::FROZENSET,
    opcodes::MEMOIZE,
    opcodes::BINGET,
    opcodes::BINPUT,
    opcodes::BINPERSID,
    opcodes::STACK_GLOBAL,
    opcodes::SHORT_BINUNICODE,
];
