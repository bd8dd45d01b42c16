//! The local runtime: a scheduler, a store in shared memory, and worker processes, behind the table of [`abi`].
//!
//! ```text
//!   local      the head, the workers' pool, clients, the table ─┬─▶ scheduler  decides which worker may run tasks
//!   worker     what a worker process does                      ─┼─▶ store      objects and tasks in shared memory
//!                                                               └─▶ protocol   messages over a client's socket
//! ```
//!
//! The runtime knows nothing of cells, of values or of the command line: tasks are functions in libraries, arguments
//! and results are bytes.

#[cfg(not(target_os = "linux"))]
compile_error!("mobula runs on Linux only: it needs Linux's shared memory, futexes and process descriptors");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("mobula runs on x86-64 and aarch64 only: its tables in shared memory are laid out for them");

pub mod client;
pub mod local;
pub mod protocol;
pub mod scheduler;
#[doc(hidden)] // Public for the tests that kill processes in the middle of it.
pub mod store;
mod sync;
pub mod worker;

pub use mobula_abi as abi;
