//! Remote functions for Rust, made for notebooks: call `.remote(…)` on any function, and it runs in a worker process.
//!
//! ```
//! # mobula::inline::attach();
//! use mobula::prelude::*;
//!
//! fn half(n: u32) -> u32 {
//!     n / 2
//! }
//!
//! let x = half.remote(8); //  ObjectRef<u32>, returns at once
//! let y = half.remote(&x); // starts when `x` is ready
//! assert_eq!(get(&y)?, 2);
//! # Ok::<(), mobula::GetError>(())
//! ```
//!
//! The layers; each module uses only modules to its left:
//!
//! ```text
//!   abi ◀─ calls (the table) ◀─ error ◀─ codec (values ⇄ bytes) ◀─┬─ array (views) ◀── display ◀─┬─ api (get, put, wait …) ◀─ cell ◀─ prelude
//!                                                                └─ object (refs) ◀─ remote ────┘
//! ```
//!
//! With `default-features = false`, this crate is what a notebook cell is compiled against: types, serialisation and
//! the calls through the table of [`abi`], without a runtime. The feature `runtime` adds the runtime of this machine;
//! `inline` adds a runtime that runs every task in the calling thread, for tests and examples.

#[cfg(not(target_os = "linux"))]
compile_error!("mobula runs on Linux only: it needs Linux's shared memory, futexes and process descriptors");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("mobula runs on x86-64 and aarch64 only: its tables in shared memory are laid out for them");

pub mod actor;
pub mod api;
pub mod array;
mod calls;
mod cell;
mod codec;
pub mod comm;
pub mod display;
pub mod error;
mod future;
#[cfg(any(test, feature = "inline"))]
pub mod inline;
mod item_names;
mod json;
pub mod object;
pub mod prelude;
mod progress;
mod ray_worker;
pub mod remote;
pub mod show;
pub mod stream;
pub mod widgets;

#[cfg(feature = "runtime")]
mod program;

#[doc(inline)]
pub use mobula_abi as abi;
#[cfg(feature = "runtime")]
#[doc(hidden)] // For the tests that kill processes in the middle of an operation.
pub use mobula_runtime::{attached, client, protocol, ray, store};

/// The roles of this program's processes, besides that of the one which a person starts.
#[cfg(feature = "runtime")]
pub mod worker {
    pub use mobula_runtime::local::role_from_env;
    pub use mobula_runtime::worker::*;
}

/// The runtime of this machine.
#[cfg(feature = "runtime")]
pub mod local {
    pub use crate::program::{ADDRESS_ENV, Program, ProgramError, address_from_env, look_at};
    pub use mobula_runtime::local::*;
}

pub use abi::{
    ActorState, DriverMode, ObjectPlace, ObjectState, Placement, PlacementStrategy, SchedulingStrategy, TaskState,
    TaskType,
};
pub use actor::{Actor, actor, kill};
pub use api::{
    ActorInfo, Actors, AddressInfo, Bundle, Config, DashboardInfo, Demand, ErrorInfo, Errors, LookupError, ObjectInfo,
    Objects, PlacementGroup, Refs, ResourceStatus, Resources, SessionInfo, Status, Summary, TaskInfo, TaskSummary,
    Tasks, Wait, WaitStream, actors, available_resources, cancel, cluster_resources, dashboard, errors, get,
    get_timeout, gib, gpu_ids, init, init_with, is_cancelled, lookup, objects, placement_group, publish, put,
    remove_placement_group, shutdown, status, summary, tasks, timeline, unpublish, wait, wait_stream,
};
#[cfg(feature = "arrow")]
pub use array::RecordBatch;
pub use array::{Array, Buffer};
pub use calls::mobula_attach;
pub use codec::Value;
pub use display::{DisplayHandle, clear_output, display, display_as};
pub use error::{
    ActorError, CancelError, GetError, InitError, PlacementGroupError, PutError, TaskError, WaitError, WorkerStatus,
};
pub use mobula_macros::remote;
pub use object::{ObjectId, ObjectRef};
pub use progress::{Progress, ProgressIter, Term, progress};
pub use remote::Options;
pub use stream::TaskStream;

// Re-exported for cells, in the versions that this crate's traits are implemented for.
pub use ndarray;
pub use serde;
#[cfg(feature = "arrow")]
pub use {arrow_array, arrow_schema};

/// Functions and types for generated code: not a public API, and free to change.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi::TaskOptions;
    pub use crate::calls::{callbacks::run_waiting as run_callbacks, cell_error};
    pub use crate::cell::common::common;
    pub use crate::cell::inspect;
    pub use crate::cell::sizes;
    pub use crate::cell::tests_run::{Tests, panics, passes};
    pub use crate::cell::variables::{Debugged, Failed, Variables, end, end_moving, ending, returned, run};
    pub use crate::display::{known, show_type};
    pub use crate::future::block_on;
    pub use crate::item_names::{Told, named, tell};
    pub use crate::remote::Defaults;
    pub use inventory;

    /// The names that a cell has in scope.
    pub mod prelude {
        pub use crate::prelude::*;
        pub use serde::{Deserialize, Serialize};
    }
}
