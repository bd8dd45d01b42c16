//! Tests of batches through objects and back, and of objects that are no batches.

use super::{Node, Nulls, RecordBatch, Written};
use crate::calls::{Draft, Hold};
use crate::{Buffer, Value, get, inline, put};
use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, UInt8Type};
use arrow_array::*;
use arrow_buffer::{ArrowNativeType, Buffer as Memory, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema, TimeUnit, UnionFields};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const LONG: &str = "longer than twelve bytes, so outside of its view";

fn shared<A: Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

/// A column of each kind, five rows long, with a null in the middle where the kind allows one.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let numbers = || [Some(1), Some(2), None, Some(4), Some(5)];
    let texts = || [Some("a"), Some(LONG), None, Some(""), Some("ümlaut, also longer than twelve")];
    let bytes = || texts().map(|text| text.map(str::as_bytes));
    let lists = || [Some(vec![Some(1), None]), Some(vec![Some(3)]), None, Some(vec![]), Some(vec![Some(5)])];
    let item = |data_type| Arc::new(Field::new_list_field(data_type, true));
    let nulls = || NullBuffer::from(vec![true, true, false, true, true]);
    let text = || StringArray::from_iter(texts());
    let views = || {
        ListViewArray::new(
            item(DataType::Int32),
            ScalarBuffer::from(vec![3, 0, 0, 2, 1]),
            ScalarBuffer::from(vec![2, 2, 0, 1, 3]),
            shared(Int32Array::from_iter(numbers())),
            Some(nulls()),
        )
    };
    let union = |offsets: Option<Vec<i32>>, children: Vec<ArrayRef>| {
        let fields = [(2, "number", DataType::Int32), (7, "text", DataType::Utf8)];
        let fields: UnionFields =
            fields.into_iter().map(|(id, name, data_type)| (id, Arc::new(Field::new(name, data_type, true)))).collect();
        let ids = ScalarBuffer::from(vec![7_i8, 2, 2, 7, 2]);
        shared(UnionArray::try_new(fields, ids, offsets.map(ScalarBuffer::from), children).unwrap())
    };
    let structs = || {
        let fields = Fields::from(vec![
            Field::new("height", DataType::Int32, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("always", DataType::Boolean, false),
        ]);
        let always = BooleanArray::from(vec![true, false, true, true, false]);
        let columns = vec![shared(Int32Array::from_iter(numbers())), shared(text()), shared(always)];
        StructArray::new(fields, columns, Some(nulls()))
    };
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    let mut words = StringDictionaryBuilder::<UInt8Type>::new();
    let mut nested = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for row in 0..5 {
        map.keys().append_value(format!("key {row}"));
        map.values().append_option((row != 1).then_some(row));
        map.append(row != 2).unwrap();
        words.append_option((row != 2).then_some(["x", LONG][row as usize % 2]));
        for _ in 0..row {
            nested.values().values().append_value(LONG);
            nested.values().append(row != 3);
        }
        nested.append(row != 2);
    }
    let structs_in_lists = {
        let item = Arc::new(Field::new("inner", structs().data_type().clone(), true));
        let lists = ListArray::new(item, OffsetBuffer::from_lengths([0, 2, 0, 2, 1]), shared(structs()), None);
        StructArray::from(vec![(Arc::new(Field::new("lists", lists.data_type().clone(), true)), shared(lists))])
    };
    vec![
        ("null", shared(NullArray::new(5))),
        ("boolean", shared(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true)]))),
        ("int8", shared(Int8Array::from(vec![1, 2, 3, 4, -5]))),
        ("int64", shared(Int64Array::from(vec![Some(1), Some(-2), None, Some(4), Some(5)]))),
        ("uint64", shared(UInt64Array::from(vec![u64::MAX; 5]))),
        ("float64", shared(Float64Array::from(vec![1.5, f64::INFINITY, -0.0, 4.0, 5.0]))),
        ("float16", new_null_array(&DataType::Float16, 5)),
        ("decimal32", new_null_array(&DataType::Decimal32(5, 2), 5)),
        ("decimal64", new_null_array(&DataType::Decimal64(12, -2), 5)),
        (
            "decimal128",
            shared(Decimal128Array::from(vec![1, -2, 3, 4, i64::MAX as i128]).with_precision_and_scale(30, 4).unwrap()),
        ),
        ("decimal256", shared(Decimal256Array::from_iter(numbers().map(|n| n.map(i256::from))))),
        ("date32", shared(Date32Array::from_iter(numbers()))),
        ("time32", shared(Time32MillisecondArray::from_iter(numbers()))),
        ("time64", new_null_array(&DataType::Time64(TimeUnit::Nanosecond), 5)),
        ("timestamp", shared(TimestampMicrosecondArray::from(vec![1, 2, 3, 4, 5]).with_timezone("Europe/Zurich"))),
        ("duration", shared(DurationSecondArray::from(vec![1, 2, 3, 4, 5]))),
        ("interval", new_null_array(&DataType::Interval(IntervalUnit::MonthDayNano), 5)),
        ("utf8", shared(text())),
        ("large utf8", shared(LargeStringArray::from_iter(texts()))),
        ("utf8 view", shared(StringViewArray::from_iter(texts()))),
        ("binary", shared(BinaryArray::from_iter(bytes()))),
        ("large binary", shared(LargeBinaryArray::from_iter(bytes()))),
        ("binary view", shared(BinaryViewArray::from_iter(bytes()))),
        (
            "fixed-size binary",
            shared(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                    numbers().map(|n| Some([n? as u8; 3])).into_iter(),
                    3,
                )
                .unwrap(),
            ),
        ),
        ("list", shared(ListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        ("large list", shared(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        ("list view", shared(views())),
        (
            "fixed-size list",
            shared(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
                numbers().map(|n| Some(vec![n, Some(n? + 1)])),
                2,
            )),
        ),
        ("list of lists of texts", shared(nested.finish())),
        ("map", shared(map.finish())),
        ("struct", shared(structs())),
        ("struct of lists of structs", shared(structs_in_lists)),
        ("struct of nothing", shared(StructArray::new_empty_fields(5, Some(nulls())))),
        ("dictionary", shared(words.finish())),
        (
            "dictionary of lists",
            shared(DictionaryArray::new(
                Int16Array::from(vec![Some(4), Some(0), None, Some(1), Some(1)]),
                shared(ListArray::from_iter_primitive::<Int32Type, _, _>(lists())),
            )),
        ),
        (
            "runs",
            shared(vec![Some("a"), Some("a"), None, None, Some("b")].into_iter().collect::<RunArray<Int16Type>>()),
        ),
        ("sparse union", union(None, vec![shared(Int32Array::from_iter(numbers())), shared(text())])),
        (
            "dense union",
            union(Some(vec![1, 0, 1, 4, 2]), vec![shared(Int32Array::from_iter(numbers())), shared(text())]),
        ),
    ]
}

fn batch_of(name: &str, column: ArrayRef) -> RecordBatch {
    let field = Field::new(name, column.data_type().clone(), true);
    arrow_array::RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap().into()
}

fn everything() -> RecordBatch {
    arrow_array::RecordBatch::try_from_iter_with_nullable(
        columns().into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap()
    .into()
}

fn ints(values: Vec<i64>) -> RecordBatch {
    batch_of("n", shared(Int64Array::from(values)))
}

/// Puts a batch and gets it.
fn through(batch: &RecordBatch) -> RecordBatch {
    inline::attach();
    get(&put(batch).unwrap()).unwrap()
}

#[track_caller]
fn is_whole(batch: &RecordBatch) {
    for column in batch.columns() {
        column.to_data().validate_full().unwrap();
    }
}

fn object_of<T: Value>(value: &T) -> Vec<u8> {
    inline::attach();
    let object = put(value).unwrap();
    Hold::open(object.id().0).unwrap().unwrap().bytes().to_vec()
}

fn decoded(bytes: &[u8]) -> Result<RecordBatch, crate::codec::DecodeError> {
    let mut draft = Draft::create(bytes.len()).unwrap();
    draft.write(0, bytes);
    let id = draft.seal(&[]).unwrap();
    let hold = Hold::open(id).unwrap().unwrap();
    crate::calls::release(id);
    crate::codec::decode(hold)
}

#[test]
fn columns_of_every_kind_survive_whole_and_sliced_and_outside_of_an_object() {
    for (name, column) in columns() {
        for (start, len) in [(0, 5), (0, 0), (1, 3), (2, 1), (3, 2), (5, 0)] {
            let batch = batch_of(name, column.slice(start, len));
            let back = through(&batch);
            assert_eq!(back, batch, "{name}, {len} rows from row {start}");
            is_whole(&back);
            assert_eq!(through(&back), batch, "{name}, {len} rows from row {start}, a second time");
            let json = serde_json::to_string(&batch).unwrap();
            assert_eq!(serde_json::from_str::<RecordBatch>(&json).unwrap(), batch, "{name} as JSON");
            let bytes = postcard::to_stdvec(&batch).unwrap();
            assert_eq!(postcard::from_bytes::<RecordBatch>(&bytes).unwrap(), batch, "{name} as postcard");
        }
    }
}

#[test]
fn a_batch_survives_with_all_that_its_schema_says() {
    let field = Field::new("n", DataType::Int64, false).with_metadata(HashMap::from([("unit".into(), "m".into())]));
    let schema = Schema::new_with_metadata(vec![field], HashMap::from([("source".into(), "a test".into())]));
    let column = shared(Int64Array::from(vec![1, 2]));
    let batch = arrow_array::RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
    assert_eq!(through(&batch.clone().into()), batch);
    let slice = batch.slice(1, 1);
    assert_eq!(through(&slice.clone().into()).into_inner(), slice);
}

#[test]
fn a_batch_without_columns_keeps_its_rows() {
    let options = RecordBatchOptions::new().with_row_count(Some(7));
    let batch = arrow_array::RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(through(&batch.into()).num_rows(), 7);
}

#[test]
fn a_batch_comes_back_as_views_into_the_object_at_any_depth() {
    #[derive(Serialize, Deserialize)]
    struct Deep {
        name: String,
        parts: BTreeMap<String, Vec<Option<RecordBatch>>>,
    }
    inline::attach();
    let parts = BTreeMap::from([("x".to_string(), vec![None, Some(everything())])]);
    let object = put(&Deep { name: "deep".into(), parts }).unwrap();
    let (one, two) = (get(&object).unwrap(), get(&object).unwrap());
    assert_eq!(one.name, "deep");
    let batches = [&one, &two].map(|deep| deep.parts["x"][1].as_ref().unwrap());
    assert_eq!(batches[0], &everything());
    let [places, same] = batches.map(|batch| {
        let mut places = Vec::new();
        for column in batch.columns() {
            gather(&column.to_data(), &mut places);
        }
        places
    });
    assert_eq!(places, same, "two views of one object are in two places");
    assert!(places.len() > 60, "{} buffers", places.len());
    assert!(places.iter().all(|place| place.is_multiple_of(64)));
}

/// Gathers the addresses of an array's memory.
fn gather(array: &ArrayData, places: &mut Vec<usize>) {
    let nulls = array.nulls().map(|nulls| nulls.buffer());
    let memory = array.buffers().iter().chain(nulls).filter(|memory| !memory.is_empty());
    places.extend(memory.map(|memory| memory.as_ptr() as usize));
    for child in array.child_data() {
        gather(child, places);
    }
}

#[test]
fn columns_outlive_the_ref_and_the_batch_they_came_in() {
    inline::attach();
    let object = put(&ints(vec![1, 2, 3])).unwrap();
    let column = get(&object).unwrap().column(0).clone();
    let id = object.id().0;
    drop(object);
    assert!(!inline::unready::exists(id));
    assert_eq!(column.as_primitive::<Int64Type>().values(), &[1, 2, 3]);
}

#[test]
fn nobody_gets_to_change_an_object() {
    let array = through(&ints(vec![1, 2, 3])).into_inner().remove_column(0).into_data().buffers()[0].clone();
    let array = array.into_mutable().unwrap_err();
    assert!(array.into_vec::<i64>().is_err());
    let array = through(&ints(vec![1, 2, 3])).into_inner().remove_column(0).as_primitive::<Int64Type>().clone();
    assert!(array.into_builder().is_err());
}

#[test]
fn a_slice_writes_only_what_it_shows() {
    let long: Vec<String> = (0..10_000).map(|row| format!("{LONG}, row {row}")).collect();
    let lists = (0..10_000).map(|row| Some(vec![Some(row); 10]));
    for (name, column) in [
        ("numbers", shared(Float64Array::from(vec![1.0; 10_000]))),
        ("booleans", shared(BooleanArray::from(vec![true; 100_000]))),
        ("texts", shared(StringArray::from_iter_values(&long))),
        ("views", shared(StringViewArray::from_iter_values(&long))),
        ("lists", shared(ListArray::from_iter_primitive::<Int64Type, _, _>(lists.clone()))),
        ("fixed-size lists", shared(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(lists, 10))),
        (
            "structs",
            shared(StructArray::from(vec![(
                Arc::new(Field::new("n", DataType::Float64, false)),
                shared(Float64Array::from(vec![1.0; 10_000])),
            )])),
        ),
    ] {
        let slice = batch_of(name, column.slice(9_001, 10));
        let object = object_of(&slice);
        assert!(object.len() < 2_000, "ten rows of {name} take {} bytes", object.len());
        assert_eq!(decoded(&object).unwrap(), slice);
    }
}

#[test]
fn bytes_that_arrow_relies_on_are_checked() {
    let text = |offsets: &[i32], bytes: &[u8]| (DataType::Utf8, vec![memory_of(offsets), bytes.to_vec()], vec![]);
    let list = DataType::new_list(DataType::Int64, true);
    let items = || vec![(DataType::Int64, vec![memory_of(&[1_i64, 2])])];
    let keys = DataType::Dictionary(DataType::Int32.into(), DataType::Int64.into());
    let cases = [
        ("a number too few", (DataType::Int64, vec![memory_of(&[1_i64])], vec![]), "16 bytes"),
        ("half a number", (DataType::Int64, vec![vec![0; 17]], vec![]), "inside of a value"),
        ("a buffer too few", (DataType::Int64, vec![], vec![]), "1 buffers"),
        ("a buffer too many", (DataType::Int64, vec![vec![0; 16], vec![]], vec![]), "1 buffers"),
        ("bytes that are no UTF-8", text(&[0, 1, 2], b"a\xff"), "UTF8"),
        ("half a character", text(&[0, 1, 2], "ü".as_bytes()), "utf-8"),
        ("texts that end outside", text(&[0, 1, 3], b"ab"), "larger than values length"),
        ("texts that go back", text(&[0, 2, 1], b"ab"), "non-monotonic"),
        ("texts that begin before", text(&[-1, 1, 2], b"ab"), "offset"),
        ("an offset too few", text(&[0, 1], b"ab"), "large enough"),
        ("lists that end outside", (list.clone(), vec![memory_of(&[0_i32, 1, 3])], items()), "larger than values"),
        ("a list without values", (list, vec![memory_of(&[0_i32, 1, 2])], vec![]), "fewer arrays"),
        ("a key outside", (keys.clone(), vec![memory_of(&[0_i32, 2])], items()), "out of bounds"),
        ("a key below", (keys, vec![memory_of(&[-1_i32, 0])], items()), "out of bounds"),
        ("a view outside", (DataType::Utf8View, vec![memory_of(&[13_u128, 0])], vec![]), "buffer index"),
        ("a negative size", (DataType::FixedSizeBinary(-1), vec![vec![]], vec![]), "cannot be"),
        ("a time of another unit", (DataType::Time32(TimeUnit::Nanosecond), vec![vec![0; 8]], vec![]), "cannot be"),
        (
            "keys that are no numbers",
            (DataType::Dictionary(DataType::Utf8.into(), DataType::Int64.into()), vec![], items()),
            "cannot be",
        ),
    ];
    for (name, (data_type, buffers, children), why) in cases {
        let nodes = std::iter::once(buffers).chain(children.into_iter().map(|(_, buffers)| buffers));
        let nodes = nodes.map(|buffers| node(2, buffers)).collect();
        refuses(name, Written { schema: schema_of(data_type), rows: 2, nodes }, why);
    }
}

#[test]
fn a_batch_that_contradicts_itself_is_refused() {
    let numbers = || node(2, vec![memory_of(&[1_i64, 2])]);
    let written = |nodes| Written { schema: schema_of(DataType::Int64), rows: 2, nodes };
    refuses("no column", written(vec![]), "fewer arrays");
    refuses("two columns", written(vec![numbers(), numbers()]), "more arrays");
    refuses("another number of rows", Written { rows: 3, ..written(vec![numbers()]) }, "row count");
    refuses("an offset", written(vec![Node { offset: 1, len: 1, ..numbers() }]), "behind its first row");
    let nulls = |count, bits: u8| Some(Nulls { count, bits: vec![bits].into() });
    refuses("a wrong count", written(vec![Node { nulls: nulls(2, 0b01), ..numbers() }]), "null_count");
    refuses("a huge count", written(vec![Node { nulls: nulls(usize::MAX, 0b01), ..numbers() }]), "null_count");
    let long = || node(9, vec![memory_of(&[0_i64; 9])]);
    refuses("few bits", Written { rows: 9, ..written(vec![Node { nulls: nulls(1, 0), ..long() }]) }, "too small");
    refuses("many rows", written(vec![Node { len: usize::MAX, ..numbers() }]), "bytes");
    let huge = DataType::new_fixed_size_list(DataType::Null, i32::MAX, true);
    let nodes = vec![node(usize::MAX / 2, vec![]), node(0, vec![])];
    refuses("a product that overflows", Written { schema: schema_of(huge), rows: 2, nodes }, "cannot be");
    let strict = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
    let nodes = vec![Node { nulls: nulls(1, 0b01), ..numbers() }];
    refuses("a null where none can be", Written { schema: strict, rows: 2, nodes }, "non-nullable");
}

#[track_caller]
fn refuses(name: &str, written: Written<Schema>, why: &str) {
    match decoded(&object_of(&written)) {
        Ok(_) => panic!("{name} was taken for a batch"),
        Err(error) => assert!(error.to_string().contains(why), "{name}: {error}"),
    }
}

fn schema_of(data_type: DataType) -> Schema {
    Schema::new(vec![Field::new("n", data_type, true)])
}

fn node(len: usize, buffers: Vec<Vec<u8>>) -> Node {
    Node { len, offset: 0, nulls: None, buffers: buffers.into_iter().map(Buffer::from).collect() }
}

fn memory_of<T: ArrowNativeType>(values: &[T]) -> Vec<u8> {
    Memory::from_slice_ref(values).to_vec()
}

#[test]
fn no_truncation_and_no_changed_byte_does_more_than_fail() {
    let (mut refused, mut taken) = (0, 0);
    for (name, column) in columns() {
        let object = object_of(&batch_of(name, column.slice(1, 4)));
        for at in (0..object.len()).step_by(7) {
            let _ = decoded(&object[..at]);
        }
        for at in 0..object.len() {
            for change in [1, 0x80, 0xff] {
                let mut damaged = object.clone();
                damaged[at] ^= change;
                match decoded(&damaged) {
                    Ok(batch) => {
                        is_whole(&batch);
                        taken += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 0 && taken > 0, "{refused} refused, {taken} taken");
}
