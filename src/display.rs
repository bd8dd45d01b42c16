//! What a cell's last expression looks like.
//!
//! The session ends a cell whose last line is an expression with `(expression).evcxr_display()`. The traits here give every
//! type that method. Which one is called is decided by the order in which Rust looks a method up on a value of type `T`:
//!
//! ```text
//!   1. a method of T's own            a type that draws itself (also our tables)
//!   2. DisplayDebug, through `&T`     T: Debug, the usual case
//!   3. DisplayAny, through `&mut T`   the rest: says what type it is
//! ```
//!
//! Borrowing, never taking, so that a variable shown can still be used. (The last needs a variable that is `mut`, or a value
//! without a name; nothing else comes after `&T`. Without it such a cell does not compile, as it would without us.)

mod fold;
mod table;
mod text;

pub(crate) use table::Table;

use crate::abi::Tenant;
use crate::cell::{Json, role, write_block};
use std::any::type_name;
use std::fmt::{self, Debug};

/// Gives `.evcxr_display()` to every type that is `Debug`.
pub trait DisplayDebug {
    /// Shows the value as the result of the cell; `()` shows nothing.
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> DisplayDebug for T {
    fn evcxr_display(&self) {
        if type_name::<T>() != "()" {
            show("result", &text::debug(&self));
        }
    }
}

/// Gives `.evcxr_display()` to the types that have no `Debug`.
pub trait DisplayAny {
    /// Shows the value's type as the result of the cell.
    fn evcxr_display(&mut self);
}

impl<T: ?Sized> DisplayAny for T {
    fn evcxr_display(&mut self) {
        show("result", &text::no_debug(type_name::<T>()));
    }
}

/// Shows a value now, as `Debug` writes it. A cell can show any number of values; its last expression is shown without this.
/// In a task or a plain program it is a line of standard output.
///
/// ```
/// # use mobula::prelude::*;
/// display(&vec![1, 2, 3]);
/// ```
pub fn display<T: Debug + ?Sized>(value: &T) {
    show("display", &text::debug(&value));
}

/// Gives a type the table that its `Display` writes as what a cell shows of it.
macro_rules! shown_as_its_display {
    ($($type:ty),*) => {
        $(impl $type {
            /// Shows the table as the result of the cell.
            #[doc(hidden)]
            pub fn evcxr_display(&self) {
                show("result", &self.to_string());
            }
        })*
    };
}

shown_as_its_display!(crate::Errors, crate::Resources, crate::abi::AddressInfo);

fn show(kind: &str, plain: &str) {
    if role() == Tenant::CELL_HOST {
        write_block("application/vnd.mobula.display+json", &block(kind, plain));
    } else {
        println!("{plain}");
    }
}

fn block(kind: &str, plain: &str) -> String {
    let data = fmt::from_fn(|f| write!(f, "{{\"text/plain\":{}}}", Json(plain)));
    format!("{{\"kind\":\"{kind}\",\"data\":{data},\"metadata\":{{}},\"display_id\":null}}")
}

#[cfg(test)]
mod tests;
