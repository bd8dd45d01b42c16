//! The runtime behind the table of [`abi`]: a scheduler, a store in shared memory, and worker processes; or a Ray cluster in their place.
//!
//! Layers; each uses those below it:
//!
//! ```text
//!   attached   a session in a runtime of another process
//!   ray        a session on a Ray cluster: the cells' engine, the session with the cluster, its transport
//!   local      the front process: the head, the zygote, the session's folder
//!   worker     a worker process: opens libraries and runs tasks
//!   client     a process's side: get, put, wait, submit, and the engine behind the C table
//!   scheduler  decides which worker may run tasks          protocol  messages over a client's socket
//!   store      objects and tasks in shared memory          sync      atomics, or loom's
//! ```
//!
//! The runtime knows nothing of cells, of values or of the command line: tasks are functions in libraries, arguments
//! and results are bytes.

#[cfg(not(target_os = "linux"))]
compile_error!("mobula runs on Linux only: it needs Linux's shared memory, futexes and process descriptors");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("mobula runs on x86-64 and aarch64 only: its tables in shared memory are laid out for them");

pub mod attached;
pub mod client;
pub mod local;
pub mod protocol;
pub mod ray;
pub mod scheduler;
#[doc(hidden)] // Public for the tests that kill processes in the middle of it.
pub mod store;
mod sync;
pub mod worker;

pub use mobula_abi as abi;
