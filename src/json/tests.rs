//! Our JSON against serde_json's, on random values and on each kind of type.

use super::{JsonError, JsonMap, JsonValue};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;

fn tree() -> impl Strategy<Value = JsonValue> {
    let leaf = prop_oneof![
        Just(JsonValue::Null),
        any::<bool>().prop_map(JsonValue::Bool),
        any::<i64>().prop_map(|number| JsonValue::Integer(number.into())),
        any::<u64>().prop_map(|number| JsonValue::Integer(number.into())),
        // As serde_json reads them without its feature `float_roundtrip`, numbers with more digits are not always the same.
        (any::<i32>(), -9..9)
            .prop_map(|(digits, power)| JsonValue::Float(format!("{digits}e{power}").parse().unwrap())),
        any::<String>().prop_map(JsonValue::Text),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(JsonValue::List),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(JsonValue::Map),
        ]
    })
}

/// As the other library has it.
fn theirs(value: &JsonValue) -> serde_json::Value {
    match value {
        JsonValue::Null => serde_json::Value::Null,
        JsonValue::Bool(is) => (*is).into(),
        JsonValue::Integer(number) => i64::try_from(*number).map_or_else(|_| (*number as u64).into(), Into::into),
        JsonValue::Float(number) => (*number).into(),
        JsonValue::Text(text) => text.as_str().into(),
        JsonValue::List(list) => list.iter().map(theirs).collect(),
        JsonValue::Map(map) => map.iter().map(|(key, value)| (key.clone(), theirs(value))).collect(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_here_and_by_serde_json(value in tree()) {
        let text = value.to_string();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(JsonValue::parse(&text).unwrap(), value.clone());
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), theirs(&value));
        let pretty = serde_json::to_string_pretty(&theirs(&value)).unwrap();
        prop_assert_eq!(JsonValue::parse(&pretty).unwrap(), value);
    }

    #[test]
    fn a_text_is_json_here_if_it_is_for_serde_json(value in tree(), at: prop::sample::Index, byte in "[-\"\\\\{}\\[\\]:,.0-9eutf \n]") {
        let mut text = value.to_string();
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = places[at.index(places.len())];
        text.replace_range(at..at + text[at..].chars().next().unwrap().len_utf8(), &byte);
        let (ours, expected) = (JsonValue::parse(&text), serde_json::from_str::<serde_json::Value>(&text));
        prop_assert_eq!(ours.is_ok(), expected.is_ok(), "{} {:?} {:?}", text, ours, expected);
    }

    #[test]
    fn a_number_is_read_as_it_was(number: f64) {
        prop_assume!(number.is_finite());
        let read = JsonValue::parse(&JsonValue::Float(number).to_string()).unwrap();
        prop_assert_eq!(read.to::<f64>().unwrap().to_bits(), number.to_bits());
    }
}

#[test]
fn texts_that_are_no_json_say_where() {
    let message = |text: &str| JsonValue::parse(text).unwrap_err().to_string();
    assert_eq!(message("[1,"), "no JSON: it ends at byte 3 where a value should be");
    assert_eq!(message("{a:1}"), "no JSON: 'a' at byte 1 where a key should be");
    assert_eq!(message("[1 é]"), "no JSON: 'é' at byte 3 where `,` or `]` should be");
    for text in [
        "",
        "01",
        "1.",
        "-",
        "+1",
        "1e",
        "1e999",
        "\"\u{1}\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\u+123\"",
        "nul",
        "1 2",
    ] {
        assert!(JsonValue::parse(text).is_err() && serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
    }
    assert!(JsonValue::parse(&"[".repeat(1 << 20)).is_err());
    assert!(JsonValue::parse(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_ok());
    assert_eq!(JsonValue::parse("\"\\ud83e\\udd80 \\/\"").unwrap(), "🦀 /".into());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    New(i32),
    Tuple(i32, String),
    Struct { x: f64 },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Word {
    One,
    Two,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u8, char);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct All {
    kinds: Vec<Kind>,
    nothing: Option<i32>,
    something: Option<i32>,
    unit: (),
    marker: Unit,
    pair: Pair,
    tuple: (i8, f32, bool),
    by_number: BTreeMap<i64, String>,
    by_truth: BTreeMap<bool, u64>,
    by_word: BTreeMap<Word, ()>,
    large: u64,
    small: i128,
    #[serde(flatten)]
    rest: BTreeMap<String, i32>,
}

fn all() -> All {
    All {
        kinds: vec![Kind::Unit, Kind::New(-1), Kind::Tuple(2, "zwei".into()), Kind::Struct { x: 0.5 }],
        nothing: None,
        something: Some(7),
        unit: (),
        marker: Unit,
        pair: Pair(255, 'ß'),
        tuple: (-8, 0.1, true),
        by_number: BTreeMap::from([(-1, "a".into()), (10, "b".into())]),
        by_truth: BTreeMap::from([(true, u64::MAX)]),
        by_word: BTreeMap::from([(Word::One, ()), (Word::Two, ())]),
        large: u64::MAX,
        small: i64::MIN.into(),
        rest: BTreeMap::from([("more".into(), 1)]),
    }
}

fn agrees<T: Serialize>(value: &T) {
    let expected = serde_json::to_value(value).ok();
    assert_eq!(JsonValue::of(value).ok().map(|ours| theirs(&ours)), expected);
}

fn reads<T: for<'de> Deserialize<'de> + PartialEq + Debug>(text: &str) {
    let ours: Result<T, JsonError> = JsonValue::parse(text).unwrap().to();
    assert_eq!(ours.ok(), serde_json::from_str(text).ok(), "{text}");
}

#[test]
fn types_become_the_json_that_serde_json_makes_of_them_and_come_back() {
    agrees(&all());
    assert_eq!(JsonValue::of(&all()).unwrap().to::<All>().unwrap(), all());
    agrees(&[f64::NAN, f64::INFINITY, -0.0, 1e300]);
    agrees(&(i128::MAX, 1));
    agrees(&u128::MAX);
    agrees(&BTreeMap::from([((1, 2), 3)]));
    let optional = BTreeMap::from([(Some('a'), Pair(1, 'b'))]);
    assert_eq!(JsonValue::of(&optional).unwrap().to_string(), serde_json::to_string(&optional).unwrap());
    agrees(&BTreeMap::from([((), 1)]));
    assert_eq!(JsonValue::of(&1.5f32).unwrap(), JsonValue::Float(1.5));
    let error = JsonValue::of(&BTreeMap::from([(vec![1], 1)])).unwrap_err().to_string();
    assert_eq!(error, "the key of a map is a text, a number or a truth value, and not a list");
}

#[test]
fn what_is_no_value_of_a_type_is_none_for_serde_json_either() {
    for text in ["3", "3.0", "-3", "256", "\"3\"", "null", "true", "[3]", "{}"] {
        reads::<u8>(text);
        reads::<i64>(text);
        reads::<f64>(text);
        reads::<Option<f32>>(text);
        reads::<String>(text);
        reads::<()>(text);
        reads::<Vec<u8>>(text);
        reads::<[u8; 1]>(text);
        reads::<(u8, u8)>(text);
        reads::<Unit>(text);
        reads::<BTreeMap<u8, u8>>(text);
    }
    for text in ["\"Unit\"", "{\"Unit\":null}", "{\"Unit\":1}", "\"New\"", "{\"New\":1}", "{\"New\":1,\"Unit\":null}"] {
        reads::<Kind>(text);
    }
    for text in [
        "{\"Tuple\":[1,\"a\"]}",
        "{\"Tuple\":[1]}",
        "{\"Tuple\":1}",
        "{\"Struct\":{\"x\":1}}",
        "{\"Struct\":[1]}",
        "\"Other\"",
    ] {
        reads::<Kind>(text);
    }
    for text in ["{\"1\":1}", "{\"-1\":1}", "{\"x\":1}", "{\"1.5\":1}"] {
        reads::<BTreeMap<u8, i32>>(text);
        reads::<BTreeMap<i32, i32>>(text);
        reads::<BTreeMap<String, i32>>(text);
    }
}

#[test]
fn an_object_is_found_into_by_key() {
    let object = JsonValue::map([("a", "b".into()), ("list", JsonValue::List(Vec::new()))]);
    assert_eq!(object.get("a").and_then(JsonValue::as_str), Some("b"));
    assert!(object.get("b").is_none() && JsonValue::Null.get("a").is_none());
    assert_eq!(object.to_string(), r#"{"a":"b","list":[]}"#);
    assert_eq!(JsonValue::Map(JsonMap::new()), JsonValue::parse(" { } ").unwrap());
}
