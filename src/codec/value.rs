//! The trait of values that can be sent to another process.

use serde::Serialize;

/// A value that can be an argument or a result of a task, or that [`put`](crate::put) can store: owned data that serde
/// can serialise and deserialise. Implemented for every such type.
///
/// A reference cannot travel to another process:
///
/// ```compile_fail
/// # use mobula::prelude::*;
/// fn shout(text: &str) -> String {
///     text.to_uppercase()
/// }
/// let x = shout.remote("hello"); // take `String` instead
/// ```
///
/// Nor can a type without serde support:
///
/// ```compile_fail
/// # use mobula::prelude::*;
/// fn ask() -> std::process::Child {
///     std::process::Command::new("true").spawn().unwrap()
/// }
/// let x = ask.remote();
/// ```
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be sent to another process",
    label = "`{Self}` cannot be sent",
    note = "what a task takes or returns must own its data: `String` instead of `&str`, `Vec<T>` instead of `&[T]`",
    note = "a type of your own can be sent when it has `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "an error type that cannot be sent can become text: `Result<T, String>` with `.map_err(|error| error.to_string())`"
)]
pub trait Value: Serialize + for<'any> OwnsItsData<'any> + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + for<'any> OwnsItsData<'any> + 'static> Value for T {}

/// `Deserialize` under a name that explains an error of the compiler. If a type has it only for some lifetime, as
/// `&str` does, the compiler reports: "implementation of `OwnsItsData` is not general enough".
#[doc(hidden)]
pub trait OwnsItsData<'any>: serde::Deserialize<'any> {}

#[diagnostic::do_not_recommend]
impl<'any, T: serde::Deserialize<'any>> OwnsItsData<'any> for T {}
