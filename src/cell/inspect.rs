//! Values of the session's variables, for a front end's panel of variables.
//!
//! As in `sizes`, Rust's order of method lookup decides, on a `&Looked<T>`: first [`Readable`], then [`Opaque`].

use crate::calls::write_block;
use crate::json::JsonValue;
use serde::Serialize;
use std::fmt::{self, Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How much of all values is told, in bytes.
const ALL_BYTES_MAX: usize = 1 << 20;
/// How much of one value is told.
const ONE_BYTES_MAX: usize = 64 << 10;

/// A value to be looked at.
pub struct Looked<'a, T: ?Sized>(pub &'a T);

/// A value that has no `Debug`.
pub trait Opaque {
    /// Nothing.
    fn look(&self) -> Option<&dyn Debug>;
}

impl<T: ?Sized> Opaque for &Looked<'_, T> {
    fn look(&self) -> Option<&dyn Debug> {
        None
    }
}

/// A value that has `Debug`.
pub trait Readable {
    /// The value.
    fn look(&self) -> Option<&dyn Debug>;
}

impl<T: Debug> Readable for Looked<'_, T> {
    fn look(&self) -> Option<&dyn Debug> {
        Some(self.0)
    }
}

/// A variable: name, type, size, what has become of it if it is gone, its value, and the cell that declared it.
pub type Row<'a> = (&'static str, &'static str, Option<usize>, &'static str, Option<&'a dyn Debug>, u64);

#[derive(Serialize)]
struct Told {
    name: &'static str,
    ty: &'static str,
    bytes: Option<usize>,
    standing: &'static str,
    value: Option<String>,
    made: u64,
}

/// Tells the session what the variables are.
pub fn tell_variables(rows: &[Row<'_>]) {
    let most = (ALL_BYTES_MAX / rows.len().max(1)).clamp(256, ONE_BYTES_MAX);
    let told = |(name, ty, bytes, standing, value, made): &Row<'_>| Told {
        name,
        ty,
        bytes: *bytes,
        standing,
        value: value.map(|value| text(value, most)),
        made: *made,
    };
    let told: Vec<Told> = rows.iter().map(told).collect();
    write_block("application/vnd.mobula.variables+json", &JsonValue::of(&told).unwrap_or_default().to_string());
}

/// The beginning of a value's `Debug` text.
fn text(value: &dyn Debug, most: usize) -> String {
    let mut bounded = Bounded { text: String::new(), most };
    // A `Debug` that panics is no reason to show no other variable.
    let _ = catch_unwind(AssertUnwindSafe(|| write!(bounded, "{value:?}")));
    bounded.text
}

/// A text that takes so many bytes and no more.
struct Bounded {
    text: String,
    most: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.most - self.text.len();
        let end = (0..=text.len().min(room)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(&text[..end]);
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Looked, Opaque as _, Readable as _, text};

    #[test]
    #[allow(clippy::needless_borrow, reason = "as the session writes it, of types that it does not know")]
    fn a_value_is_read_if_it_can_be_and_no_further_than_there_is_room() {
        struct Mine;
        assert!((&Looked(&Mine)).look().is_none());
        let list = vec![1, 2, 3];
        let read = |most| (&Looked(&list)).look().map(|value| text(value, most));
        assert_eq!((read(100).as_deref(), read(4).as_deref()), (Some("[1, 2, 3]"), Some("[1, ")));
        assert_eq!(text(&"ä", 2), "\"");
    }
}
