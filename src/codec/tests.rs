//! Tests of values through bytes and back, and of other bytes.

use super::*;
use crate::object::ObjectRef;
use crate::{Array, Buffer, inline, put};
use ndarray::{Ix2, array};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Polygon { corners: Vec<(i32, i32)>, name: Option<String> },
}

/// Arrays at several depths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Batch {
    name: String,
    table: Array<f64, Ix2>,
    parts: BTreeMap<String, Vec<Buffer<u16>>>,
    mask: Option<Array<bool>>,
}

fn batch() -> Batch {
    Batch {
        name: "b".into(),
        table: Array::from(array![[1.0, 2.0], [3.0, 4.0]]),
        parts: BTreeMap::from([("x".into(), vec![Buffer::from(vec![1, 2, 3]), Buffer::from(vec![])])]),
        mask: Some(Array::from(vec![true, false])),
    }
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    inline::attach();
    opened(encode(value).unwrap()).1.bytes().to_vec()
}

fn opened(encoded: Encoded) -> (Handle, Hold) {
    let object = Handle::adopt(encoded.draft.seal(&encoded.refs).unwrap());
    let hold = Hold::open(object.id()).unwrap().expect("bug: what is sealed is ready");
    (object, hold)
}

/// An object with these bytes.
fn object(bytes: &[u8]) -> Hold {
    inline::attach();
    let mut draft = Draft::create(bytes.len()).unwrap();
    draft.write(0, bytes);
    opened(Encoded { draft, refs: Vec::new() }).1
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode(object(bytes))
}

#[track_caller]
fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
    assert_eq!(decoded::<T>(&bytes_of(&value)).unwrap(), value);
}

#[test]
fn values_of_every_kind_survive() {
    survives(());
    survives(-1_i64);
    survives((1_u8, "two".to_string(), [3.5_f32, f32::MIN]));
    survives(vec![Shape::Empty, Shape::Circle(1.0), Shape::Polygon { corners: vec![(1, -1)], name: None }]);
    survives(BTreeMap::from([("a".to_string(), Some('ü'))]));
    survives(Ok::<i64, String>(1));
    survives(Err::<i64, String>("no".into()));
    survives(batch());
}

#[test]
fn a_number_takes_few_bytes() {
    assert_eq!(bytes_of(&1_i64).len(), 25);
}

#[test]
fn an_array_comes_back_as_a_view_into_the_object_at_any_depth() {
    let object = object(&bytes_of(&batch()));
    let inside = object.bytes().as_ptr_range();
    let back: Batch = decode(object).unwrap();
    for at in [back.table.as_slice().as_ptr().cast::<u8>(), back.parts["x"][0].as_ptr().cast()] {
        assert!(inside.contains(&at), "copied out of the object");
        assert_eq!(at.align_offset(64), 0);
    }
}

#[test]
fn views_outlive_the_ref_they_were_got_with() {
    inline::attach();
    let object = put(&Array::from(vec![1, 2, 3])).unwrap();
    let view = crate::get(&object).unwrap();
    let id = object.id().0;
    drop(object);
    assert!(!inline::unready::exists(id));
    assert_eq!(view.as_slice(), [1, 2, 3]);
}

#[test]
fn an_array_is_read_only_as_what_it_was_written() {
    let bytes = bytes_of(&Array::from(vec![1_i64, 2]));
    assert!(decoded::<Array<f64>>(&bytes).unwrap_err().to_string().contains("another type"));
    assert!(decoded::<Array<i64, Ix2>>(&bytes).unwrap_err().to_string().contains("number of dimensions"));
    assert!(decoded::<Buffer<u8>>(&bytes_of(&Buffer::from(vec![1_u16]))).unwrap_err().to_string().contains("size"));
}

#[test]
fn a_byte_that_is_no_bool_is_refused() {
    let mut bytes = bytes_of(&Array::from(vec![true, false]));
    let last = bytes.len() - 1;
    bytes[last] = 2;
    let message = decoded::<Array<bool>>(&bytes).unwrap_err().to_string();
    assert!(message.contains("not values of its element type"), "{message}");
}

#[test]
fn a_byte_that_is_no_bool_is_found_wherever_it_is() {
    let good = bytes_of(&Array::from(vec![true; 3000]));
    assert!(decoded::<Array<bool>>(&good).unwrap().iter().all(|flag| *flag));
    for from_end in [1, 2, 1000, 1024, 2048, 3000] {
        let mut bytes = good.clone();
        bytes[good.len() - from_end] = 0x80;
        assert!(decoded::<Array<bool>>(&bytes).is_err(), "{from_end} from the end");
    }
}

#[test]
fn another_type_is_refused_by_name() {
    let message = decoded::<String>(&bytes_of(&(7_u8, 1_u8))).unwrap_err().to_string();
    assert!(message.starts_with("it does not hold a `String`"), "{message}");
    let message = decoded::<u8>(&bytes_of(&(7_u8, 1_u8))).unwrap_err().to_string();
    assert!(message.ends_with("1 bytes are left over"), "{message}");
}

#[test]
fn another_version_and_another_thing_are_told_apart() {
    let mut bytes = bytes_of(&1);
    bytes[4] = 9;
    assert_eq!(decoded::<i32>(&bytes), Err(DecodeError::Version { found: 9, expected: 1 }));
    assert_eq!(decoded::<i32>(b"hello"), Err(DecodeError::NotAnObject));
    assert_eq!(decoded::<i32>(b""), Err(DecodeError::NotAnObject));
}

#[test]
fn no_truncation_and_no_changed_byte_does_more_than_fail() {
    let bytes = bytes_of(&batch());
    for len in 0..bytes.len() {
        let _ = decoded::<Batch>(&bytes[..len]);
    }
    let mut changed = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            changed += 1;
            // A value that still decodes must be whole: every element can be read.
            if let Ok(batch) = decoded::<Batch>(&bytes) {
                let _ = format!("{batch:?}");
            }
        }
    }
    assert_eq!(changed, bytes.len() * 8);
}

/// Decodes these bytes as a `T`. A value that decodes must be whole: every element can be read.
fn looks_at<T: DeserializeOwned + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = decoded::<T>(bytes) {
        let _ = format!("{value:?}");
    }
}

/// Decodes the bytes as all types that the codec treats specially, and as some that postcard handles.
fn looks_at_all(bytes: &[u8]) {
    looks_at::<Batch>(bytes);
    looks_at::<Array<bool>>(bytes);
    looks_at::<Array<f64, Ix2>>(bytes);
    looks_at::<Array<i8, ndarray::IxDyn>>(bytes);
    looks_at::<Buffer<u16>>(bytes);
    looks_at::<Vec<Option<Buffer<[u8; 3]>>>>(bytes);
    looks_at::<BTreeMap<String, Shape>>(bytes);
    looks_at::<Vec<ObjectRef<i64>>>(bytes);
    looks_at::<(u8, char, f32, Result<String, ()>)>(bytes);
}

/// Bytes that begin as an object does, with a body and a table that may be anything.
fn nearly_an_object() -> impl Strategy<Value = Vec<u8>> {
    let number = || prop_oneof![4 => 0..300_u64, 2 => (0..8_u64).prop_map(|line| line * 64), 1 => any::<u64>()];
    let entries = prop::collection::vec((number(), number()), 0..4);
    let count = prop::option::weighted(0.2, any::<u32>());
    let body = prop::collection::vec(prop_oneof![any::<u8>(), 0..6_u8], 0..200);
    (number(), count, entries, body).prop_map(|(len, count, entries, body)| {
        let count = count.unwrap_or(entries.len() as u32);
        let mut bytes = layout::header(len as usize, count as usize).to_vec();
        entries.iter().for_each(|(at, len)| bytes.extend(layout::entry(*at as usize, *len as usize)));
        bytes.extend(body);
        bytes
    })
}

proptest! {
    #[test]
    fn bytes_that_somebody_has_written_over_are_read_whole_or_not_at_all(
        writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 1..9_usize), 0..8),
        end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for good in [bytes_of(&batch()), bytes_of(&Array::from(vec![true; 300])), bytes_of(&vec![Shape::Circle(1.0); 3])] {
            let mut bytes = good;
            for (at, value, len) in &writes {
                let at = at.index(bytes.len());
                let until = (at + len).min(bytes.len());
                bytes[at..until].copy_from_slice(&value.to_ne_bytes()[..until - at]);
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
            looks_at_all(&bytes);
        }
    }

    #[test]
    fn bytes_that_look_like_an_object_are_read_whole_or_not_at_all(bytes in nearly_an_object()) {
        looks_at_all(&bytes);
    }

    #[test]
    fn any_bytes_are_read_whole_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        looks_at_all(&bytes);
    }

    #[test]
    fn what_was_written_is_read_again(
        numbers in prop::collection::vec(any::<f64>(), 0..40),
        flags in prop::collection::vec(any::<bool>(), 0..40),
        names in prop::collection::btree_map("\\PC{0,4}", prop::collection::vec(any::<u16>(), 0..9), 0..4),
    ) {
        let parts = names.into_iter().map(|(name, numbers)| (name, vec![Buffer::from(numbers)])).collect();
        let table = ndarray::Array::from_shape_vec((numbers.len(), 1), numbers).unwrap();
        let batch = Batch { name: "b".into(), table: Array::from(table), parts, mask: Some(Array::from(flags)) };
        prop_assert_eq!(decoded::<Batch>(&bytes_of(&batch)).unwrap(), batch);
    }
}

#[test]
fn a_ref_inside_a_value_is_listed_and_counted() {
    inline::attach();
    let inner = put(&7).unwrap();
    let outer = put(&vec![Some(inner.clone())]).unwrap();
    let id = inner.id();
    drop(inner);
    assert!(inline::unready::exists(id.0), "the outer object refers to it");
    let back = crate::get(&outer).unwrap();
    drop(outer);
    assert_eq!(crate::get(back[0].as_ref().unwrap()).unwrap(), 7);
    drop(back);
    assert!(!inline::unready::exists(id.0), "nobody refers to it any more");
}

#[test]
fn a_ref_outside_of_the_runtime_is_refused_with_the_reason() {
    inline::attach();
    let object = put(&7).unwrap();
    let message = serde_json::to_string(&object).unwrap_err().to_string();
    assert!(message.contains("get its value"), "{message}");
    assert!(serde_json::from_str::<ObjectRef<i32>>("1").is_err());
}

#[test]
fn a_put_inside_of_a_serialize_does_not_mix_the_two_objects() {
    struct Nests(Array<i64>);
    impl Serialize for Nests {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let inner = put(&self.0).unwrap();
            (&self.0, inner).serialize(serializer)
        }
    }
    let nests = Nests(Array::from(vec![1, 2]));
    inline::attach();
    let encoded = encode(&nests).unwrap();
    assert_eq!(encoded.refs.len(), 1);
    let (_object, hold) = opened(encoded);
    assert_eq!(layout::parse(hold.bytes()).unwrap().buffers, 1);
    let (array, inner): (Array<i64>, ObjectRef<Array<i64>>) = decode(hold).unwrap();
    assert_eq!((array.as_slice(), crate::get(&inner).unwrap().as_slice()), (&[1, 2][..], &[1, 2][..]));
}

#[test]
fn json_inside_of_a_value_holds_the_whole_array() {
    #[derive(Serialize, Deserialize)]
    struct AsJson(String);
    let array = Array::from(vec![1_i64, 2]);
    struct Writes(Array<i64>);
    impl Serialize for Writes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            AsJson(serde_json::to_string(&self.0).unwrap()).serialize(serializer)
        }
    }
    let AsJson(json) = decoded(&bytes_of(&Writes(array.clone()))).unwrap();
    assert_eq!(serde_json::from_str::<Array<i64>>(&json).unwrap(), array);
}

#[test]
fn a_type_that_needs_a_self_describing_format_is_refused_with_a_way_out() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        inner: BTreeMap<String, u8>,
    }
    let message = encode(&Outer { inner: BTreeMap::new() }).unwrap_err().to_string();
    assert!(message.contains("send it as a `String` of JSON"), "{message}");
    let message = decoded::<serde_json::Value>(&bytes_of(&1)).unwrap_err().to_string();
    assert!(message.contains("send it as a `String` of JSON"), "{message}");
}
