//! Python's pickles as data: a writer and a reader of [`Value`](super::value::Value), which never construct or carry out anything.
//!
//! A pickle is a program for a stack machine (Python's `pickletools` has its instructions). The writer uses about thirty of them, of protocol 5, which every Python from
//! 3.8 reads. The reader knows all that `pickle` and `cloudpickle` write.
//!
//! A reference is a *persistent id*: Ray's `PickleStub`, a named tuple with the kind of the thing and its id.

#[cfg(test)]
mod fuzz_tests;
mod opcodes;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use reader::{read, read_plain};
pub use writer::WriteError;
pub(super) use writer::{Pieces, write};

/// What is nested deeper is neither written nor read.
const DEPTH_MAX: usize = 200;

/// The module and the name of the class of references.
const STUB: (&str, &str) = ("ray.util.client.client_pickler", "PickleStub");
