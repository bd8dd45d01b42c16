//! Monomorphisations that most cells need, compiled once into the base library.
//!
//! A cell that sends an `i64` to a task needs a hundred functions for `i64`: to encode, to decode, to keep the
//! variable. The compiler makes them again in every such cell, unless a linked library has them and was compiled to
//! share them (`-Zshare-generics`, as the base library is). Nothing here is ever called; mentioning it is enough.

use super::variables;
use crate::api::{get, get_timeout, put};
use crate::codec::Value;
use crate::display::{DisplayDebug, display};
use crate::object::ObjectRef;
use crate::remote::made_for;
use std::fmt::Debug;
use std::hint::black_box;

/// Mentions all common types.
pub fn common() {
    // The default types of integer and float literals, the types in the first cells of Ray's users, and text.
    of::<()>();
    of::<bool>();
    of::<i32>();
    of::<i64>();
    of::<u32>();
    of::<u64>();
    of::<usize>();
    of::<f32>();
    of::<f64>();
    of::<String>();
    of::<Vec<i32>>();
    of::<Vec<i64>>();
    of::<Vec<u64>>();
    of::<Vec<f64>>();
    of::<Vec<String>>();
    black_box(<str as DisplayDebug>::evcxr_display as fn(&_));
    black_box(<&str as DisplayDebug>::evcxr_display as fn(&_));
}

fn of<T: Value + Debug>() {
    made_for::<T>();
    variables::made_for::<T>();
    variables::made_for::<ObjectRef<T>>();
    variables::made_for::<Vec<ObjectRef<T>>>();
    black_box(<T as DisplayDebug>::evcxr_display as fn(&_));
    black_box(display::<T> as fn(&_));
    black_box(put::<T> as fn(&_) -> _);
    black_box(get::<ObjectRef<T>> as fn(_) -> _);
    black_box(get::<&ObjectRef<T>> as fn(_) -> _);
    black_box(get::<&Vec<ObjectRef<T>>> as fn(_) -> _);
    black_box(get_timeout::<&ObjectRef<T>> as fn(_, _) -> _);
}
