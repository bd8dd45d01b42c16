//! Element types of arrays: numbers and `bool`.

use crate::codec::Shared;
use bytemuck::NoUninit;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The element types of an [`Array`](crate::Array): `i8` to `i128`, `u8` to `u128`, `isize`, `usize`, `f32`, `f64` and `bool`.
#[diagnostic::on_unimplemented(
    message = "an `Array` is made of numbers or `bool`, not of `{Self}`",
    note = "for plain data of another kind there is `Buffer<{Self}>`, for everything else `Vec<{Self}>`"
)]
pub trait Element: Sealed + NoUninit + Serialize + DeserializeOwned + Send + Sync {}

/// The part of [`Element`] that only this crate can implement.
pub trait Sealed: Sized {
    /// Identifies the element type in an object's bytes.
    #[doc(hidden)]
    const KIND: u8;

    /// The elements in these bytes, after checking them.
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "only this crate calls it")]
    fn from_bytes(bytes: &Shared<u8>) -> Result<Shared<Self>, crate::codec::DecodeError>;
}

macro_rules! element {
    ($cast:ident: $($type:ty = $kind:literal),+) => {
        $(
            impl Sealed for $type {
                const KIND: u8 = $kind;

                #[expect(private_interfaces, reason = "only this crate calls it")]
                fn from_bytes(bytes: &Shared<u8>) -> Result<Shared<$type>, crate::codec::DecodeError> {
                    bytes.$cast()
                }
            }

            impl Element for $type {}
        )+
    };
}

element!(cast: i8 = 1, i16 = 2, i32 = 3, i64 = 4, i128 = 5, isize = 6);
element!(cast: u8 = 7, u16 = 8, u32 = 9, u64 = 10, u128 = 11, usize = 12);
element!(cast: f32 = 13, f64 = 14);
// A byte other than 0 and 1 is no `bool`, so these bytes are checked.
element!(cast_checked: bool = 15);
