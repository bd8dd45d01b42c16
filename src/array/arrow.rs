//! Arrow record batches that share memory with the store instead of copying it. Needs the feature `arrow`.
//!
//! ```text
//!   schema ────────────────────────────▶ body
//!   columns, each a tree of arrays ────▶ body: one `Node` an array, parents before their children
//!     └─ the memory they point to ─────▶ one buffer of the object each
//! ```
//!
//! A slice of a batch is written as its visible rows, which begin at row 0 in the object. Three parts are written
//! whole, because cutting them would take a copy: the values of a dictionary, the runs of a run-end encoded column, and
//! the values of list views and dense unions.
//!
//! # What `get` costs
//! Numbers, decimals, times, booleans, fixed-size binary, and structs and fixed-size lists of these cost the same for
//! any number of rows. With nulls, one bit a row is counted. The bytes of all other types contain positions of other
//! bytes (offsets, views, keys, type ids, run ends) or promise UTF-8, and arrow relies on both without checking again.
//! So `get` reads these bytes once, which copies nothing but takes time for each row. Trusting them would be faster,
//! but a damaged object would then cause reads outside of its memory.
//!
//! # Invariants
//! - No array is made of bytes that arrow has not validated, and arrow is given no bytes on which it panics.
//! - The memory of an object never becomes mutable: arrow gives out `&mut` only to memory that it allocated itself.

use super::Buffer;
use crate::codec::context;
use arrow_array::{Array as _, OffsetSizeTrait, RecordBatchOptions, make_array};
use arrow_buffer::Buffer as Memory;
use arrow_data::{ArrayData, BufferSpec, ByteView, MAX_INLINE_VIEW_LEN, layout};
use arrow_schema::{ArrowError, DataType, Schema, TimeUnit, UnionMode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Deref, Range};
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

/// A table of columns: an [`arrow_array::RecordBatch`] that shares its memory with the store instead of copying it.
/// Cheap to clone.
///
/// It dereferences to arrow's own type; [`From`] and [`into_inner`](RecordBatch::into_inner) convert between the two. A
/// converted batch is like any other, and keeps the object in memory as long as one of its columns is in use.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// # use std::sync::Arc;
/// use arrow_array::{Array as _, ArrayRef, Int64Array, cast::AsArray, types::Int64Type};
/// use mobula::array::RecordBatch;
///
/// fn total(table: RecordBatch) -> i64 {
///     table["height"].as_primitive::<Int64Type>().values().iter().sum()
/// }
/// let heights: ArrayRef = Arc::new(Int64Array::from(vec![170, 180]));
/// let table = arrow_array::RecordBatch::try_from_iter([("height", heights)]).unwrap();
/// let table = put(&RecordBatch::from(table)).unwrap();
/// assert_eq!(get(total.remote(&table))?, 350);
/// assert_eq!(get(&table)?.num_rows(), 2);
/// # Ok::<(), mobula::GetError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct RecordBatch(arrow_array::RecordBatch);

impl RecordBatch {
    /// Returns arrow's own batch, of the same memory.
    pub fn into_inner(self) -> arrow_array::RecordBatch {
        self.0
    }
}

impl Deref for RecordBatch {
    type Target = arrow_array::RecordBatch;

    fn deref(&self) -> &arrow_array::RecordBatch {
        &self.0
    }
}

impl From<arrow_array::RecordBatch> for RecordBatch {
    /// Copies nothing.
    fn from(batch: arrow_array::RecordBatch) -> RecordBatch {
        RecordBatch(batch)
    }
}

impl From<RecordBatch> for arrow_array::RecordBatch {
    /// Copies nothing.
    fn from(batch: RecordBatch) -> arrow_array::RecordBatch {
        batch.0
    }
}

impl PartialEq<arrow_array::RecordBatch> for RecordBatch {
    fn eq(&self, other: &arrow_array::RecordBatch) -> bool {
        self.0 == *other
    }
}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A batch as it is serialised. A [`Buffer`] in it is a number inside an object, and all of its bytes in any other
/// format.
#[derive(Serialize, Deserialize)]
#[serde(rename = "RecordBatch")]
struct Written<S> {
    schema: S,
    /// The rows, which a batch without columns has, too.
    rows: usize,
    /// Flat, so that the depth of the tree does not make the reader recurse: only the schema's types do.
    nodes: Vec<Node>,
}

/// One array of a column's tree. Its type is in the schema.
#[derive(Serialize, Deserialize)]
struct Node {
    len: usize,
    /// The first row of a run-end encoded array; 0 for all other arrays.
    offset: usize,
    nulls: Option<Nulls>,
    buffers: Vec<Buffer<u8>>,
}

/// The rows that are null: those whose bit is 0, `count` of them.
#[derive(Serialize, Deserialize)]
struct Nulls {
    count: usize,
    bits: Buffer<u8>,
}

impl Serialize for RecordBatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut nodes = Vec::new();
        for column in self.columns() {
            flatten(&column.to_data(), &mut nodes);
        }
        Written { schema: self.schema_ref().as_ref(), rows: self.num_rows(), nodes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RecordBatch, D::Error> {
        Written::deserialize(deserializer)?.batch().map(RecordBatch).map_err(context::de_error)
    }
}

/// Adds an array, followed by its children.
fn flatten(array: &ArrayData, nodes: &mut Vec<Node>) {
    let (memory, children) = visible(array);
    let has_offset = matches!(array.data_type(), DataType::RunEndEncoded(..)) && !array.is_empty();
    nodes.push(Node {
        len: array.len(),
        offset: if has_offset { array.offset() } else { 0 },
        nulls: array.nulls().map(|nulls| Nulls { count: nulls.null_count(), bits: buffer(nulls.inner().sliced()) }),
        buffers: memory.into_iter().map(buffer).collect(),
    });
    for child in &children {
        flatten(child, nodes);
    }
}

/// The parts of an array's memory and children that its rows use, cut so that its rows begin at row 0 of both.
fn visible(array: &ArrayData) -> (Vec<Memory>, Vec<ArrayData>) {
    let (start, len) = (array.offset(), array.len());
    match array.data_type() {
        DataType::Boolean => (vec![array.buffers()[0].bit_slice(start, len)], Vec::new()),
        DataType::Utf8 | DataType::Binary => {
            let (offsets, values) = offsets::<i32>(array);
            (vec![offsets, array.buffers()[1].slice_with_length(values.start, values.len())], Vec::new())
        }
        DataType::LargeUtf8 | DataType::LargeBinary => {
            let (offsets, values) = offsets::<i64>(array);
            (vec![offsets, array.buffers()[1].slice_with_length(values.start, values.len())], Vec::new())
        }
        DataType::List(_) | DataType::Map(..) => {
            let (offsets, values) = offsets::<i32>(array);
            (vec![offsets], vec![array.child_data()[0].slice(values.start, values.len())])
        }
        DataType::LargeList(_) => {
            let (offsets, values) = offsets::<i64>(array);
            (vec![offsets], vec![array.child_data()[0].slice(values.start, values.len())])
        }
        DataType::Utf8View | DataType::BinaryView => (views(array), Vec::new()),
        // Each buffer has one value a row: numbers, a dictionary's keys, a union's type ids. Some types have no buffer.
        other => {
            let widths = layout(other).buffers.into_iter().map(|spec| match spec {
                BufferSpec::FixedWidth { byte_width, .. } => byte_width,
                spec => unreachable!("bug: {other} has a buffer of {spec:?}, which is written elsewhere"),
            });
            let memory = array.buffers().iter().zip(widths);
            let memory = memory.map(|(memory, width)| memory.slice_with_length(start * width, len * width)).collect();
            let rows_a_row = match other {
                DataType::Struct(_) | DataType::Union(_, UnionMode::Sparse) => Some(1),
                DataType::FixedSizeList(_, size) => Some(*size as usize),
                _ => None,
            };
            let children = array.child_data().iter().map(|child| match rows_a_row {
                Some(rows) => child.slice(start * rows, len * rows),
                None => child.clone(),
            });
            (memory, children.collect())
        }
    }
}

/// The offsets of the rows, beginning with 0, and the range of values that they referred to. Copied only if they began
/// elsewhere.
fn offsets<T: OffsetSizeTrait>(array: &ArrayData) -> (Memory, Range<usize>) {
    if array.is_empty() {
        return (Memory::default(), 0..0);
    }
    let width = size_of::<T>();
    let memory = array.buffers()[0].slice_with_length(array.offset() * width, (array.len() + 1) * width);
    let offsets = memory.typed_data::<T>();
    let (first, last) = (offsets[0], offsets[array.len()]);
    let values = first.as_usize()..last.as_usize();
    if first.as_usize() == 0 {
        return (memory, values);
    }
    (Memory::from_vec(offsets.iter().map(|offset| *offset - first).collect()), values)
}

/// The views of the rows, followed by the buffers that they point into, cut to the bytes in use. Copies the views if
/// that cuts off the beginning of a buffer.
fn views(array: &ArrayData) -> Vec<Memory> {
    let [memory, buffers @ ..] = array.buffers() else { return Vec::new() };
    let width = size_of::<u128>();
    let memory = memory.slice_with_length(array.offset() * width, array.len() * width);
    let views = memory.typed_data::<u128>();
    let outside = |view: &u128| Some(ByteView::from(*view)).filter(|view| view.length > MAX_INLINE_VIEW_LEN);
    let mut used: Vec<Option<Range<usize>>> = vec![None; buffers.len()];
    for view in views.iter().filter_map(outside) {
        let (start, end) = (view.offset as usize, view.offset as usize + view.length as usize);
        if let Some(used) = used.get_mut(view.buffer_index as usize) {
            let range = used.get_or_insert(start..end);
            *range = range.start.min(start)..range.end.max(end);
        }
    }
    let moved = used.iter().flatten().any(|range| range.start > 0).then(|| {
        let moved = views.iter().map(|view| match outside(view) {
            Some(outside) => match used.get(outside.buffer_index as usize) {
                Some(Some(used)) => outside.with_offset(outside.offset - used.start as u32).as_u128(),
                _ => *view,
            },
            None => *view,
        });
        Memory::from_vec(moved.collect())
    });
    let mut all = vec![moved.unwrap_or_else(|| memory.clone())];
    all.extend(buffers.iter().zip(used).map(|(buffer, used)| {
        match used {
            // The views of a valid array end inside the buffer; `get` refuses those of any other array.
            Some(used) => buffer
                .slice_with_length(used.start.min(buffer.len()), used.end.min(buffer.len()).saturating_sub(used.start)),
            None => Memory::default(),
        }
    }));
    all
}

impl Written<Schema> {
    fn batch(self) -> Result<arrow_array::RecordBatch, ArrowError> {
        let mut nodes = self.nodes.into_iter();
        let mut columns = Vec::with_capacity(self.schema.fields().len().min(nodes.len()));
        for field in self.schema.fields() {
            columns.push(make_array(array(field.data_type(), &mut nodes)?));
        }
        if nodes.next().is_some() {
            return Err(refused("it has more arrays than its schema has"));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        arrow_array::RecordBatch::try_new_with_options(Arc::new(self.schema), columns, &options)
    }
}

/// The array of the next node, with its children from the nodes behind it. Checks as many of their bytes as their type
/// needs.
fn array(data_type: &DataType, nodes: &mut std::vec::IntoIter<Node>) -> Result<ArrayData, ArrowError> {
    let node = nodes.next().ok_or_else(|| refused("it has fewer arrays than its schema has"))?;
    let memory: Vec<Memory> = node.buffers.into_iter().map(memory).collect();
    precheck(data_type, node.len, node.offset, &memory)?;
    let mut children = Vec::new();
    for child in child_types(data_type) {
        children.push(array(child, nodes)?);
    }
    let mut builder = ArrayData::builder(data_type.clone())
        .len(node.len)
        .offset(node.offset)
        .buffers(memory)
        .child_data(children)
        // Buffers of an object are aligned, so this copies only buffers from another format.
        .align_buffers(true);
    if let Some(nulls) = node.nulls {
        // Building the array compares the count with the bits.
        builder = builder.null_count(nulls.count).null_bit_buffer(Some(self::memory(nulls.bits)));
    }
    builder.build()
}

/// Refuses input on which arrow's own checks, or building the array after them, would panic.
fn precheck(data_type: &DataType, len: usize, offset: usize, memory: &[Memory]) -> Result<(), ArrowError> {
    let is_known = match data_type {
        DataType::Time32(unit) => matches!(unit, TimeUnit::Second | TimeUnit::Millisecond),
        DataType::Time64(unit) => matches!(unit, TimeUnit::Microsecond | TimeUnit::Nanosecond),
        DataType::FixedSizeBinary(size) => *size >= 0,
        DataType::FixedSizeList(_, size) => usize::try_from(*size).is_ok_and(|size| len.checked_mul(size).is_some()),
        DataType::Dictionary(keys, _) => DataType::is_dictionary_key_type(keys),
        _ => true,
    };
    if !is_known {
        return Err(refused("its schema has a type that cannot be"));
    }
    if offset != 0 && (len == 0 || !matches!(data_type, DataType::RunEndEncoded(..))) {
        return Err(refused("an array begins behind its first row"));
    }
    let is_whole = |(spec, memory): (&BufferSpec, &Memory)| match spec {
        BufferSpec::FixedWidth { byte_width, .. } => memory.len().is_multiple_of(*byte_width),
        _ => true,
    };
    if !layout(data_type).buffers.iter().zip(memory).all(is_whole) {
        return Err(refused("an array ends inside of a value"));
    }
    Ok(())
}

/// The types of an array's children. A nested type of a future version of arrow gets no children, so building it fails.
fn child_types(data_type: &DataType) -> Vec<&DataType> {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field.data_type()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.data_type()).collect(),
        DataType::Dictionary(_, values) => vec![values],
        DataType::RunEndEncoded(ends, values) => vec![ends.data_type(), values.data_type()],
        _ => Vec::new(),
    }
}

fn refused(why: &str) -> ArrowError {
    ArrowError::InvalidArgumentError(why.into())
}

/// Arrow's memory as one of our buffers, which keeps the memory alive.
fn buffer(memory: Memory) -> Buffer<u8> {
    Buffer::sharing(memory.into())
}

/// One of our buffers as arrow's memory, which keeps the buffer alive.
fn memory(buffer: Buffer<u8>) -> Memory {
    let (ptr, len) = (NonNull::from(&buffer[..]).cast(), buffer.len());
    // SAFETY:
    // - Valid for `len` bytes, initialised: `ptr` and `len` are those of a slice.
    // - Aliasing: a buffer's elements never change. Arrow makes memory mutable only if it allocated that memory itself.
    // - Lifetime: the elements stay in place as long as a clone of the buffer exists, and the memory owns one.
    unsafe { Memory::from_custom_allocation(ptr, len, Arc::new(AssertUnwindSafe(buffer))) }
}

#[cfg(test)]
mod tests;
