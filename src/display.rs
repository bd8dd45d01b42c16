//! Display of a cell's last expression.
//!
//! The session ends a cell whose last line is an expression with `(expression).evcxr_display()`. The traits here give
//! every type that method. Rust's method lookup on a value of type `T` decides which one is called:
//!
//! ```text
//!   1. a method of T's own            a type that draws itself (also our tables)
//!   2. DisplayDebug, through `&T`     T: Debug, the usual case
//!   3. DisplayAny, through `&mut T`   the rest: names its type
//! ```
//!
//! All of them borrow, so that a variable that is shown can still be used. (The last one needs a variable that is
//! `mut`, or a temporary, because only `&mut T` comes after `&T`. If a cell fails to compile for this reason, the
//! session compiles it again with `show_type`.)

#[cfg(feature = "arrow")]
mod arrow;
mod cell_value;
mod data_resource;
mod debug_table;
mod debug_text;
mod drawn_table;
mod elements;
mod fold;
mod grid;
mod html_table;
pub mod known;
mod tables;
mod text;
mod text_table;
mod types;

pub(crate) use cell_value::Sample;
pub(crate) use grid::{Grid, Limits};
pub(crate) use html_table::escaped;
pub(crate) use known::Seen;
pub(crate) use tables::{NO_TABLE, NoColumns, each_cell, plain_grid, show_grid, show_table_of};
pub(crate) use text_table::{Table, Tabular};

use crate::abi::Tenant;
use crate::calls::{Json, role, write_block};
use base64::Engine as _;
use std::any::type_name;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives `.evcxr_display()` to every type that is `Debug`.
pub trait DisplayDebug {
    /// Shows the value as the result of the cell; `()` shows nothing.
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> DisplayDebug for T {
    fn evcxr_display(&self) {
        show_result(&Seen::of(&self));
    }
}

/// Gives `.evcxr_display()` to the types that have no `Debug`.
pub trait DisplayAny {
    /// Shows the value's type as the result of the cell.
    fn evcxr_display(&mut self);
}

impl<T: ?Sized> DisplayAny for T {
    fn evcxr_display(&mut self) {
        show_nameless(type_name::<T>());
    }
}

/// Shows the type of a value that has no `Debug`, as the result of a cell.
#[doc(hidden)]
pub fn show_type<T: ?Sized>(_: &T) {
    show_nameless(type_name::<T>());
}

/// Shows a value at once, as `Debug` writes it. A cell can show any number of values; its last expression is shown
/// without this call. In a task or a plain program, the value is printed to standard output.
///
/// ```
/// # use mobula::prelude::*;
/// display(&vec![1, 2, 3]);
/// ```
pub fn display<T: Debug + ?Sized>(value: &T) {
    show_now(&Seen::of(&value));
}

/// Shows data of a MIME type at once: `text/html`, `image/svg+xml`, `text/markdown`, or the bytes of `image/png`. A
/// front end that cannot show the data names its type instead.
///
/// ```
/// # use mobula::prelude::*;
/// display_as("text/html", "<b>bold</b>");
/// ```
pub fn display_as(mime: &str, data: impl AsRef<[u8]>) {
    show("display", &Forms::of(mime, data.as_ref()), None);
}

/// A shown value that can be replaced in place, like IPython's `DisplayHandle`.
///
/// ```
/// # use mobula::prelude::*;
/// let progress = DisplayHandle::show(&0);
/// for percent in [50, 100] {
///     progress.update(&percent);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayHandle {
    id: String,
}

impl DisplayHandle {
    /// Shows a value, as [`display`] does, and returns its handle.
    pub fn show<T: Debug + ?Sized>(value: &T) -> DisplayHandle {
        DisplayHandle::begin(&shown(&Seen::of(&value)))
    }

    /// Shows data of a MIME type, as [`display_as`] does, and returns its handle.
    pub fn show_as(mime: &str, data: impl AsRef<[u8]>) -> DisplayHandle {
        DisplayHandle::begin(&Forms::of(mime, data.as_ref()))
    }

    /// Replaces the shown value with another value.
    pub fn update<T: Debug + ?Sized>(&self, value: &T) {
        show("update", &shown(&Seen::of(&value)), Some(&self.id));
    }

    /// Replaces the shown value with other data.
    pub fn update_as(&self, mime: &str, data: impl AsRef<[u8]>) {
        show("update", &Forms::of(mime, data.as_ref()), Some(&self.id));
    }

    fn begin(forms: &Forms) -> DisplayHandle {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // The time is part of the id, because a new cell host counts from zero again.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let handle = DisplayHandle { id: format!("mobula-{now:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed)) };
        show("display", forms, Some(&handle.id));
        handle
    }
}

/// Clears what the cell has shown so far; with `wait`, only when its next output comes. A terminal clears only the last
/// display or the current line, and a pipe nothing.
///
/// ```
/// # use mobula::prelude::*;
/// clear_output(true);
/// ```
pub fn clear_output(wait: bool) {
    if role() == Tenant::CELL_HOST {
        write_block("application/vnd.mobula.clear+json", &format!("{{\"wait\":{wait}}}"));
    }
}

/// Implements `Display` and `evcxr_display` for types that are shown as a table.
macro_rules! shown_as_a_table {
    ($($type:ty),*) => {
        $(
            impl std::fmt::Display for $type {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    match self.table() {
                        Ok(table) => table.fmt(f),
                        Err(instead) => f.write_str(instead),
                    }
                }
            }

            impl $type {
                /// Shows the table as the result of the cell.
                #[doc(hidden)]
                pub fn evcxr_display(&self) {
                    $crate::display::show_table("result", self.table().ok().as_ref(), self.to_string());
                }

                /// Shows the table beside the result of the cell.
                #[doc(hidden)]
                pub fn display(&self) {
                    $crate::display::show_table("display", self.table().ok().as_ref(), self.to_string());
                }
            }
        )*
    };
}

pub(crate) use shown_as_a_table;

/// Shows a table in all its forms, or only `plain`: the result of a cell, or what is shown beside it.
pub(crate) fn show_table<const N: usize>(kind: &str, table: Option<&Table<N>>, plain: String) {
    let forms = match table {
        Some(table) => tables::forms(plain, &table.grid()),
        None => Forms::plain(plain),
    };
    show(kind, &forms, None);
}

/// Shows a value in these forms: the result of a cell, or what is shown beside it.
pub(crate) fn show_drawing<const N: usize>(kind: &str, forms: [(&str, String); N]) {
    let data = forms.into_iter().map(|(mime, text)| (mime.to_owned(), text)).collect();
    show(kind, &Forms { data }, None);
}

// The generic functions of this file call one of these, so that a cell compiles little of them.

#[inline(never)]
fn show_result(value: &Seen<'_>) {
    if value.type_name() != "()" {
        show("result", &shown(value), None);
    }
}

#[inline(never)]
fn show_nameless(type_name: &str) {
    show("result", &Forms::plain(text::no_debug(type_name)), None);
}

#[inline(never)]
fn show_now(value: &Seen<'_>) {
    show("display", &shown(value), None);
}

/// The forms of a drawn value: MIME types and their data.
pub type Drawing = Vec<(&'static str, Vec<u8>)>;

/// A value to show, in one or more forms.
struct Forms {
    /// MIME types, and the data of each as text.
    data: Vec<(String, String)>,
}

impl Forms {
    fn plain(text: String) -> Forms {
        Forms { data: vec![("text/plain".into(), text)] }
    }

    fn of(mime: &str, data: &[u8]) -> Forms {
        let instead = ("text/plain".to_owned(), format!("<{mime}, {} bytes>", data.len()));
        let form = (mime.to_owned(), Forms::encoded(mime, data));
        Forms { data: if mime == "text/plain" { vec![form] } else { vec![form, instead] } }
    }

    /// Data as text, in the encoding of the Jupyter protocol.
    fn encoded(mime: &str, data: &[u8]) -> String {
        match std::str::from_utf8(data) {
            Ok(text) if !is_binary(mime) => text.to_owned(),
            _ => base64::prelude::BASE64_STANDARD.encode(data),
        }
    }
}

fn is_binary(mime: &str) -> bool {
    let is_text =
        mime.starts_with("text/") || mime.ends_with("+xml") || mime.ends_with("+json") || mime == "application/json";
    !is_text && mime != "application/javascript"
}

/// The forms in which a value can be read best.
fn shown(value: &Seen<'_>) -> Forms {
    value.drawn().unwrap_or_else(|| tables::usual(value))
}

fn show(kind: &str, forms: &Forms, id: Option<&str>) {
    if role() == Tenant::CELL_HOST {
        write_block("application/vnd.mobula.display+json", &block(kind, forms, id));
    } else if let Some((_, plain)) = forms.data.iter().find(|(mime, _)| mime == "text/plain") {
        println!("{plain}");
    }
}

fn block(kind: &str, forms: &Forms, id: Option<&str>) -> String {
    let form = |(mime, text): &(String, String)| format!("{}:{}", Json(mime), Json(text));
    let data = forms.data.iter().map(form).collect::<Vec<_>>().join(",");
    let id = id.map_or_else(|| "null".into(), |id| Json(id).to_string());
    format!("{{\"kind\":\"{kind}\",\"data\":{{{data}}},\"metadata\":{{}},\"display_id\":{id}}}")
}

#[cfg(test)]
mod tests;
