//! The waist: the table of functions between a cell library and the process that loads it.
//!
//! ```text
//!   cell library (typed API, no runtime) ──Table──▶ cell host / worker / plain program (the runtime)
//!                                        ◀─Hooks──
//! ```
//!
//! A cell is compiled against the bare crate, which holds no connection and no runtime state. The loader calls the
//! symbol [`ATTACH_SYMBOL`] with a [`Table`] and a [`Tenant`] before it runs the library's code. The call returns the
//! library's [`Hooks`].
//!
//! # Invariants
//! - Only `#[repr(C)]` data, plain integers and pointers cross the table, never a Rust layout. Structured data (a
//!   fault, a question, an answer) crosses as postcard bytes of the types below, whose version is [`ABI_VERSION`].
//! - The loader's table lives as long as the process.
//! - A function that can fail returns a [`Status`]. On [`Status::FAULT`] the caller's fault blob holds a
//!   postcard-encoded [`Fault`], which the caller frees through [`Table::free`]. Every other status leaves the blob
//!   alone.

use serde::{Deserialize, Serialize};
use std::ffi::c_void;

mod comm;
#[doc(hidden)] // For the engines behind the table whose objects are in a process's own memory.
pub mod desk;
#[doc(hidden)] // For the engines behind the table, like `held`.
pub mod engine;
#[doc(hidden)]
pub mod held;
mod name;
mod ray_options;
mod store_summary;
mod task_changes;
mod task_counts;
mod task_options;

pub use comm::{CommAnswer, CommCall, CommKind, CommMessage, Listened, ProgressEnding, ProgressReport};
pub use name::{hue, shorten, task_name};
pub use ray_options::{RayOption, RayOptions};
pub use store_summary::{Share, StoreSummary};
pub use task_changes::{LivingTask, TaskChanges, TaskLinks, WaitingTasks};
pub use task_counts::TaskCounts;
pub use task_options::{ActorOptions, Placement, PlacementStrategy, SchedulingStrategy, TaskOptions};

/// The version of everything in this file. A library and a loader of other versions refuse each other with a message.
pub const ABI_VERSION: u32 = 16;

/// The symbol that every cell library exports: an [`Attach`].
pub const ATTACH_SYMBOL: &str = "mobula_attach";

/// The function that [`ATTACH_SYMBOL`] names. Returns null when the versions differ. A second call replaces the table.
pub type Attach = unsafe extern "C" fn(table: *const Table, tenant: *const Tenant) -> *const Hooks;

/// The code that a task runs: monomorphised glue around one user function. It decodes the arguments, calls the
/// function, and hands each result to [`Table::result`] or the failure to [`Table::fail`]. It never unwinds.
pub type Trampoline = unsafe extern "C" fn(call: *const Call);

/// A library's function that is called when an awaited object is finished, with the object's id. It does not unwind, and may be called
/// from any thread while no lock of the runtime is held.
pub type Notify = extern "C" fn(id: u64);

/// The outcome of a call through the table.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// The call succeeded.
    pub const OK: Status = Status(0);
    /// The call failed; the fault blob says why.
    pub const FAULT: Status = Status(1);
    /// The object is not ready yet. This is a status and no [`Fault`], because every `get` of an unfinished object
    /// meets it, and a fault costs memory and postcard on both sides.
    pub const NOT_READY: Status = Status(2);
}

/// Borrowed bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// First byte; dangling when `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: u64,
}

/// Bytes that the loader allocated and [`Table::free`] takes back.
#[repr(C)]
#[derive(Debug)]
pub struct Blob {
    /// First byte; null when the blob is empty.
    pub ptr: *mut u8,
    /// Length in bytes.
    pub len: u64,
    /// The allocation's capacity, which only the loader uses.
    pub cap: u64,
}

impl Blob {
    /// No bytes.
    pub const EMPTY: Blob = Blob { ptr: std::ptr::null_mut(), len: 0, cap: 0 };
}

/// Room for one object's bytes, which no other process sees yet. 64-byte aligned. It ends in `seal`, `submit` (as an
/// argument), `result` or `discard`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Draft {
    /// The loader's name for the draft.
    pub token: u64,
    /// The address to write to, valid for the requested length until the draft ends.
    pub ptr: *mut u8,
}

/// The bytes of a sealed object, readable until `hold` is given to [`Table::close`]. 64-byte aligned.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// First byte.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: u64,
    /// The token for [`Table::close`]; until then the bytes stay where they are.
    pub hold: u64,
}

/// One argument of a task.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// [`Argument::REF`] or [`Argument::DRAFT`].
    pub kind: u32,
    /// Padding; zero.
    pub reserved: u32,
    /// An object's id, or a draft's token (the draft ends here).
    pub value: u64,
    /// Ids of the objects that a draft's bytes refer to (empty for a ref).
    pub refs: *const u64,
    /// Number of ids.
    pub refs_len: u64,
}

impl Argument {
    /// `value` is an object's id.
    pub const REF: u32 = 0;
    /// `value` is a draft's token.
    pub const DRAFT: u32 = 1;
}

/// A task to run.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Submission {
    /// The [`Trampoline`], as an address in the calling library; the loader turns it into (library, offset).
    pub trampoline: *const c_void,
    /// The function's path in UTF-8, as [`std::any::type_name`] gives it; for a task of the crate itself, a name such
    /// as `split().0`. It is the same for every task with this trampoline and lives as long as the library, so it is
    /// shortened once per function.
    pub name: Bytes,
    /// The arguments, in order.
    pub args: *const Argument,
    /// Number of arguments.
    pub args_len: u64,
    /// Number of objects that the task returns, at least 1.
    pub returns: u32,
    /// [`Submission::TASK`], [`Submission::SPAWN`], [`Submission::CALL`], [`Submission::READ`] or [`Submission::ASYNC`].
    pub kind: u32,
    /// The task's options as postcard; empty for the defaults.
    pub options: Bytes,
}

impl Submission {
    /// A task that any worker runs.
    pub const TASK: u32 = 0;
    /// A constructor: its worker becomes an actor. The object that the caller gets stands for the actor, which ends when nothing refers to it
    /// any more.
    pub const SPAWN: u32 = 1;
    /// A call of an actor's method. The first argument is the [`Argument::REF`] of the object that stands for the actor, and does not reach
    /// the trampoline. No other call of the actor runs at the same time.
    pub const CALL: u32 = 2;
    /// A call that only reads the actor's state: others that do may run at the same time, in other threads.
    pub const READ: u32 = 3;
    /// A call that only reads the actor's state, and gives its thread up while it awaits something: see [`Pending`].
    pub const ASYNC: u32 = 4;

    /// Whether this is a kind of calls.
    pub fn is_call(kind: u32) -> bool {
        matches!(kind, Submission::CALL | Submission::READ | Submission::ASYNC)
    }
}

/// A running task, as its [`Trampoline`] receives it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The loader's name for this call, for `result` and `fail`.
    pub call: u64,
    /// The arguments' object bytes, in order. The trampoline owns each view and closes it.
    pub args: *const View,
    /// Number of arguments.
    pub args_len: u64,
    /// How many results are wanted.
    pub returns: u32,
    /// 1 in a constructor whose one argument is a checkpoint of its actor: then it makes the state from that. Else 0.
    pub is_restore: u32,
    /// The actor's state, which a constructor's trampoline puts there and a method's uses; null in a task. It outlives the call, and no other
    /// code writes to it meanwhile; while a call runs that is not [`Submission::CALL`], other such calls may read it.
    pub instance: *mut Instance,
    /// The place for what is left of a [`Submission::ASYNC`] when its trampoline returns. Null where there is no such place: then the
    /// trampoline ends the call.
    pub pending: *mut Pending,
}

/// What is left of a call whose trampoline has returned before the call had ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// The library's, for `poll`; only the thread that ran the trampoline uses it.
    pub data: *mut c_void,
    /// Goes on with the call; `None` when it has ended already. True when the call has delivered its outcome; then `data` is gone. Else
    /// `wake` is called with `token`, from any thread, when it can go on again.
    pub poll: Option<unsafe extern "C" fn(data: *mut c_void, token: u64, wake: Awake) -> bool>,
    /// Ends the call as cancelled; `data` is gone then.
    pub cancel: Option<unsafe extern "C" fn(data: *mut c_void)>,
}

impl Pending {
    /// The call has ended.
    pub const NONE: Pending = Pending { data: std::ptr::null_mut(), poll: None, cancel: None };
}

/// The loader's function that has a pending call polled again.
pub type Awake = extern "C" fn(token: u64);

/// The state of an actor. Its library made it, and only code of that library's type looks into it.
#[repr(C)]
#[derive(Debug)]
pub struct Instance {
    /// Tells types apart; 0 while there is no state.
    pub type_id: u64,
    /// The value, of that type.
    pub state: *mut c_void,
    /// Drops the value.
    pub drop: Option<unsafe extern "C" fn(state: *mut c_void)>,
    /// A call that only reads the value, and whose result is a checkpoint of it; `None` for an actor without them.
    pub save: Option<Trampoline>,
}

impl Instance {
    /// No state yet.
    pub const EMPTY: Instance = Instance { type_id: 0, state: std::ptr::null_mut(), drop: None, save: None };
}

/// The process and the cell for which a library is attached.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Tenant {
    /// [`ABI_VERSION`] of the loader.
    pub version: u32,
    /// [`Tenant::CELL_HOST`], [`Tenant::WORKER`] or [`Tenant::PROGRAM`].
    pub role: u32,
    /// The cell that is running, or that started the task; 0 outside a session.
    pub cell: u64,
}

impl Tenant {
    /// The process that runs cells.
    pub const CELL_HOST: u32 = 0;
    /// A process that runs tasks.
    pub const WORKER: u32 = 1;
    /// A plain Rust program.
    pub const PROGRAM: u32 = 2;
}

/// What the loader offers. Every function may be called from any thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// [`ABI_VERSION`].
    pub version: u32,
    /// `size_of::<Table>()`.
    pub size: u32,
    /// Makes a draft of `len` bytes. Small drafts are private memory, large ones are in the store.
    pub create: unsafe extern "C" fn(len: u64, draft: *mut Draft, fault: *mut Blob) -> Status,
    /// Turns a draft into an object; `refs` are the ids its bytes refer to. The caller holds one reference to the id.
    pub seal:
        unsafe extern "C" fn(draft: u64, refs: *const u64, refs_len: u64, id: *mut u64, fault: *mut Blob) -> Status,
    /// Throws a draft away.
    pub discard: unsafe extern "C" fn(draft: u64),
    /// Submits a task and writes `returns` ids; the caller holds one reference to each. The draft arguments are
    /// consumed even when the call fails.
    pub submit: unsafe extern "C" fn(task: *const Submission, ids: *mut u64, fault: *mut Blob) -> Status,
    /// Blocks until `num_returns` of `ids` are ready (a failed task counts) or `timeout_ns` has passed (`u64::MAX`: no
    /// timeout). Writes 1 for ready and 0 for not ready into `ready`, one byte per id; more than `num_returns` may be
    /// marked. No id may be listed twice.
    pub wait: unsafe extern "C" fn(
        ids: *const u64,
        ids_len: u64,
        num_returns: u64,
        timeout_ns: u64,
        ready: *mut u8,
        fault: *mut Blob,
    ) -> Status,
    /// Calls `notify` once with `id` when the object is finished (a failed task counts), perhaps before this function returns, or when
    /// its awaiter has to look because a call of it would end: [`Fault::Interrupted`], [`Fault::Disconnected`].
    pub watch: unsafe extern "C" fn(id: u64, notify: Notify, fault: *mut Blob) -> Status,
    /// Opens a ready object's bytes. [`Status::NOT_READY`] when it is not ready, [`Fault::Task`] when its task failed.
    pub open: unsafe extern "C" fn(id: u64, view: *mut View, fault: *mut Blob) -> Status,
    /// Ends a view, named by its [`View::hold`].
    pub close: unsafe extern "C" fn(hold: u64),
    /// Takes one more reference to each of these objects.
    pub retain: unsafe extern "C" fn(ids: *const u64, ids_len: u64),
    /// Gives one reference back.
    pub release: unsafe extern "C" fn(id: u64),
    /// Delivers the task's result number `index`; ends the draft.
    pub result: unsafe extern "C" fn(call: u64, index: u32, draft: u64, refs: *const u64, refs_len: u64),
    /// Reports the task's failure; `cause` is a [`Cause`] as postcard.
    pub fail: unsafe extern "C" fn(call: u64, cause: Bytes),
    /// Answers what is not on a fast path: a [`Question`] as postcard in, an [`Answer`] as postcard out.
    pub ask: unsafe extern "C" fn(question: Bytes, answer: *mut Blob, fault: *mut Blob) -> Status,
    /// Frees a blob.
    pub free: unsafe extern "C" fn(blob: Blob),
}

/// What a cell library offers to its loader.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// [`ABI_VERSION`].
    pub version: u32,
    /// `size_of::<Hooks>()`.
    pub size: u32,
    /// Flushes the standard output of the library's standard library.
    pub flush: unsafe extern "C" fn(),
    /// Calls `work` with `data` while this thread holds the stdout and stderr locks of the library's standard library.
    /// Neither this function nor `work` may unwind.
    pub with_streams_locked: unsafe extern "C" fn(work: Work, data: *mut c_void),
    /// Runs the library's callbacks for the messages of comms that wait for them. Returns 1 if one of them panicked, else 0.
    pub run_callbacks: unsafe extern "C" fn() -> u32,
}

/// The callback of [`Hooks::with_streams_locked`].
pub type Work = unsafe extern "C" fn(data: *mut c_void);

/// Why a call through the table failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// The person interrupted the cell; unwind it.
    Interrupted,
    /// The object was not ready in time. No function of the table returns this fault (see [`Status::NOT_READY`]); it
    /// only carries such an error inside a value.
    NotReady {
        /// The object's id.
        id: u64,
    },
    /// The object's task failed.
    Task(Failure),
    /// The store has no room.
    StoreFull {
        /// Bytes asked for.
        needed: u64,
        /// Bytes in use.
        used: u64,
        /// The store's limit in bytes.
        limit: u64,
        /// The system's error, or what occupies the memory; may be empty.
        detail: String,
    },
    /// No such object: it was freed, or it never existed.
    Unknown {
        /// The object's id.
        id: u64,
    },
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The request makes no sense; the message says what to do.
    Refused {
        /// The message.
        message: String,
    },
}

/// A failed task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The function's name.
    pub task: String,
    /// The worker's process id; 0 when the task never ran.
    pub pid: u32,
    /// The cell that started the task; 0 outside a session.
    pub cell: u64,
    /// What happened.
    pub cause: Cause,
    /// Tasks that failed only because one of their arguments had failed, nearest to the origin first. When the list is
    /// cut, its last entry says how many more there are.
    pub carried_by: Vec<String>,
    /// Which run of the task failed.
    pub attempt: Attempt,
    /// The machine that ran it, of a cluster; empty for this one.
    pub node: String,
}

/// A run of a task, of those that it may have. Displays as `attempt 2 of 4`.
///
/// ```
/// use mobula_abi::Attempt;
/// assert_eq!(Attempt { number: 2, of: Some(4) }.to_string(), "attempt 2 of 4");
/// assert_eq!(Attempt { number: 2, of: None }.to_string(), "attempt 2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// How many there may be; `None` for no bound.
    pub of: Option<u32>,
}

impl Attempt {
    /// The only run of a task that is not retried.
    pub const ONLY: Attempt = Attempt { number: 1, of: Some(1) };
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "attempt {}", self.number)?;
        self.of.map_or(Ok(()), |of| write!(f, " of {of}"))
    }
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cause {
    /// The task panicked.
    Panic {
        /// The panic's message.
        message: String,
        /// Where it panicked.
        place: Option<Place>,
    },
    /// The task returned `Err`.
    Error {
        /// The error, as text.
        message: String,
    },
    /// A signal ended the task's process.
    Signal {
        /// The signal's number.
        signal: i32,
        /// The signal's name, such as `SIGKILL`.
        name: String,
    },
    /// The task's process exited.
    Exit {
        /// The exit code.
        code: i32,
    },
    /// The task could not be run (library missing, versions differ, argument bytes malformed).
    Refused {
        /// Why.
        message: String,
    },
    /// The task was cancelled.
    Cancelled,
    /// The object was there, and its only copy is lost. The failure's task is the one that made it, or `put`.
    ObjectLost {
        /// How it was lost, and why it is not made again.
        reason: String,
    },
    /// The actor whose method was called is dead.
    ActorDied {
        /// The actor's name, or its type's.
        actor: String,
        /// How it ended: its process's end, what happened in its constructor, or `Cancelled` for `kill`.
        death: Box<Cause>,
        /// The last lines that it wrote to standard error.
        output: Vec<String>,
    },
}

/// A place in the source of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file as the compiler names it: `src/lib.rs`, or a dependency's path.
    pub file: String,
    /// Line in `file`, from 1.
    pub line: u32,
    /// Column in `file`, in characters from 1.
    pub column: u32,
    /// The shared library that was running, when known.
    pub library: String,
    /// The same place in the cell as it was typed, once the session has looked it up.
    pub cell: Option<CellPlace>,
    /// The callers that are code of cells, innermost first.
    pub callers: Vec<Caller>,
}

/// A call above a [`Place`] on the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The function that makes the call; empty for a cell's own statements.
    pub name: String,
    /// As in [`Place`].
    pub file: String,
    /// As in [`Place`].
    pub line: u32,
    /// As in [`Place`].
    pub column: u32,
    /// How many times in a row this call stands on the stack.
    pub times: u32,
    /// As in [`Place`].
    pub cell: Option<CellPlace>,
}

/// A place in a cell as the person typed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellPlace {
    /// The cell's number.
    pub cell: u64,
    /// Line in the cell, from 1.
    pub line: u32,
    /// Column in the line, in characters from 1.
    pub column: u32,
    /// The line itself.
    pub text: String,
}

/// A cell's request to the runtime off the fast path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Starts the runtime, or returns its address.
    Init(InitOptions),
    /// The failures of this session, oldest first.
    Errors,
    /// Total resources.
    ClusterResources,
    /// Free resources.
    AvailableResources,
    /// The state of one object.
    State {
        /// The object's id.
        id: u64,
    },
    /// Cancels the task that makes an object, and its children.
    Cancel {
        /// The object's id.
        id: u64,
    },
    /// Whether the task that runs here was cancelled, or the cell that runs here interrupted.
    IsCancelled,
    /// Which actor has this name.
    Actor {
        /// The name.
        name: String,
    },
    /// Ends an actor.
    Kill {
        /// The id of the object that stands for it.
        id: u64,
    },
    /// How an actor is.
    ActorState {
        /// The id of the object that stands for it.
        id: u64,
    },
    /// Makes a placement group.
    PlacementGroup {
        /// What each bundle asks for.
        bundles: Vec<TaskOptions>,
        /// Where they are to be.
        strategy: PlacementStrategy,
        /// The cell that makes it; the client's to say.
        cell: u64,
    },
    /// Removes a placement group.
    RemovePlacementGroup {
        /// Its number.
        group: u64,
    },
    /// Resources in use, and what waits for them.
    Status,
    /// The tasks that have not ended, and the ends that are remembered.
    Tasks,
    /// The actors that there are.
    Actors,
    /// The objects that there are.
    Objects,
    /// Objects that were moved to disk and back, after the one of this number.
    DiskMoves {
        /// The number.
        after: u64,
    },
    /// Joins a runtime of another process. The session's front process answers.
    Join(Joining),
    /// Leaves it. The session's front process answers.
    Leave,
    /// Gives an object a name, by which other sessions find it for as long as this one goes on.
    Publish {
        /// The object's id.
        id: u64,
        /// The name.
        name: String,
        /// The form of its type, for others to compare theirs with.
        schema: String,
    },
    /// Takes such a name back.
    Unpublish {
        /// The name.
        name: String,
    },
    /// Which object has this name.
    Lookup {
        /// The name.
        name: String,
    },
    /// Something of the session's comms.
    Comm {
        /// What.
        call: CommCall,
        /// The cell that asks; the client's to say.
        cell: u64,
    },
    /// Starts the web page, unless it is there, and returns its address.
    Dashboard,
    /// Ends the workers, fails unfinished tasks and drops the caller's references; answered when the workers are gone.
    Shutdown,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To `Init`.
    Address(Address),
    /// To `Errors`.
    Errors(Vec<Failed>),
    /// To either question about resources: name and amount, sorted by name.
    Resources(Vec<(String, f64)>),
    /// To `State`.
    State(ObjectState),
    /// To `Shutdown`.
    Done,
    /// To `Cancel`: whether the task was unfinished. To `IsCancelled`. To `Kill`: whether the actor was alive. To
    /// `RemovePlacementGroup`: whether there was one.
    Flag(bool),
    /// To `Actor`; `None` when no living actor has the name.
    Actor(Option<NamedActor>),
    /// To `ActorState`; `None` when there is no such actor.
    ActorState(Option<ActorState>),
    /// To `PlacementGroup`: its number.
    PlacementGroup(u64),
    /// To `Status`.
    Status(RuntimeStatus),
    /// To `Tasks`.
    Tasks(TaskTable),
    /// To `Actors`, oldest first.
    Actors(Vec<ActorEntry>),
    /// To `Objects`.
    Objects(Vec<ObjectEntry>),
    /// To `DiskMoves`, oldest first.
    DiskMoves(Vec<DiskMove>),
    /// To `Join`.
    Joined {
        /// Where the runtime listens.
        socket: String,
        /// The session's number in it.
        session: u8,
        /// Whether it is a Ray cluster, for which the session's front process listens there.
        is_cluster: bool,
    },
    /// To `Lookup`; `None` when no object has the name. The one who asks refers to the object from then on.
    Published(Option<Published>),
    /// To `Comm`.
    Comm(CommAnswer),
    /// To `Dashboard`.
    Dashboard(Dashboard),
}

/// Where the web page is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Its address, with the token.
    pub url: String,
    /// Its address on the Jupyter server that a browser has this notebook from, when that server passes it on: a path.
    pub proxied: Option<String>,
}

/// An object that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its id.
    pub id: u64,
    /// The form of its type.
    pub schema: String,
    /// The session that gave it the name, in words.
    pub by: String,
}

/// A failure, as `errors()` lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// The failure.
    pub failure: Failure,
    /// Whether somebody has asked for the task's result, or for one that failed with it, and so knows.
    pub is_fetched: bool,
}

/// An actor, as it is found by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedActor {
    /// The id of the object that stands for it.
    pub id: u64,
    /// Tells its type from others; see [`Instance::type_id`].
    pub type_id: u64,
    /// Its type, for messages.
    pub type_name: String,
}

/// How an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorState {
    /// Its constructor has not ended, for the first time or again.
    Starting,
    /// It answers calls.
    Alive {
        /// Its process.
        pid: u32,
    },
    /// It answers no calls any more.
    Dead,
}

/// Resources and what waits for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeStatus {
    /// The resources, sorted by name.
    pub resources: Vec<ResourceStatus>,
    /// How many processes there are for tasks and actors.
    pub workers: u32,
    /// Their ids.
    pub pids: Vec<u32>,
    /// What waits.
    pub demands: Vec<Demand>,
    /// The sessions that have joined.
    pub sessions: Vec<SessionInfo>,
}

/// A session that has joined a runtime of another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its number in the runtime.
    pub session: u8,
    /// Its front process.
    pub pid: u32,
    /// Where its named actors are, if it has said so.
    pub namespace: Option<String>,
    /// Its share of what the sessions take from each other.
    pub share: u32,
}

/// The largest share that a session can have.
pub const SHARE_MAX: u32 = 100;

/// Which runtime of another process a session joins, and as what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// The runtime's address.
    pub address: String,
    /// The namespace of the session's named actors there.
    pub namespace: Option<String>,
    /// Its share of what sessions that want more than there is get; `None` is 1.
    pub share: Option<u32>,
}

/// A resource. Amounts of memory are in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// Its name, such as `CPU`.
    pub name: String,
    /// How much of it tasks and actors have.
    pub in_use: f64,
    /// How much there is.
    pub total: f64,
}

/// Tasks that wait for the same resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// What each of them needs, such as `2 CPU, 1 GPU`.
    pub needs: String,
    /// How many they are.
    pub tasks: u64,
    /// Whether the runtime has so much in all.
    pub is_possible: bool,
}

/// An object that was moved to disk, or back. Times are in nanoseconds since the runtime began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMove {
    /// The number of the move.
    pub number: u64,
    /// The object's id.
    pub id: u64,
    /// Its size.
    pub bytes: u64,
    /// Whether it came back.
    pub is_back: bool,
    /// When that began.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
}

/// A cell of a session, for the web page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRecord {
    /// Its number.
    pub cell: u64,
    /// How it is.
    pub state: CellState,
    /// What was typed; long ones are cut.
    pub source: String,
    /// Why it failed: the whole report.
    pub error: Option<String>,
    /// How long it took, in nanoseconds; `None` while it runs.
    pub took_ns: Option<u64>,
    /// How that time was spent: names of phases, and nanoseconds.
    pub phases: Vec<(String, u64)>,
    /// How much it has shown, its tasks too, in bytes.
    pub output_bytes: u64,
    /// The memory of the process of cells when it had ended, in bytes.
    pub memory: Option<u64>,
}

/// How a cell is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    /// It runs.
    #[default]
    Running,
    /// It has ended.
    Ok,
    /// It has failed.
    Failed,
}

/// Runs of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskTable {
    /// The names of functions, of which entries give the index.
    pub names: Vec<String>,
    /// The runs, by the time of their submission.
    pub tasks: Vec<TaskEntry>,
    /// How many runs have ended and are not remembered any more.
    pub forgotten: u64,
    /// Now, in nanoseconds since the runtime began.
    pub now: u64,
}

/// A run of a task. Times are in nanoseconds since the runtime began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskEntry {
    /// The id of the object that it makes.
    pub id: u64,
    /// The id of the task that submitted it; 0 for a cell or a program.
    pub parent: u64,
    /// The index of its function's name.
    pub name: u32,
    /// What it is.
    pub of: TaskType,
    /// How it is.
    pub state: TaskState,
    /// The session that started it, of those that share the runtime; 0 for the asker's own, and for the runtime's owner.
    pub session: u8,
    /// The cell that started it; 0 outside a session.
    pub cell: u64,
    /// Its number among the runs of the task, from 1.
    pub attempt: u32,
    /// The process that runs it, or ran it; 0 for none.
    pub pid: u32,
    /// When it was submitted, or came to be run again.
    pub submitted: u64,
    /// When it began.
    pub began: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
}

impl TaskEntry {
    /// The cell that started it, by the runtime's number, which names the session, too.
    pub fn cell_of_session(&self) -> u64 {
        u64::from(self.session) << 24 | self.cell
    }
}

/// What a task is: the types that Ray's `list_tasks` tells apart.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskType {
    /// A call of a function.
    Task,
    /// The constructor of an actor.
    ActorCreation,
    /// A call of an actor's method.
    ActorCall,
}

impl TaskType {
    /// All types, in the order of their numbers.
    pub const ALL: [TaskType; 3] = [TaskType::Task, TaskType::ActorCreation, TaskType::ActorCall];
}

impl std::fmt::Display for TaskType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            TaskType::Task => "task",
            TaskType::ActorCreation => "actor creation",
            TaskType::ActorCall => "actor call",
        })
    }
}

/// How a run of a task is, or how it ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// It waits for an argument.
    Waiting,
    /// It waits for a worker and for resources.
    Queued,
    /// It runs.
    Running,
    /// It has given its result.
    Finished,
    /// It panicked, returned `Err`, or could not be run.
    Failed,
    /// The process that ran it died.
    WorkerDied,
    /// It never ran, because an argument of it had failed.
    ArgumentFailed,
    /// It was cancelled.
    Cancelled,
}

impl TaskState {
    /// All states, in the order of their numbers.
    pub const ALL: [TaskState; 8] = [
        TaskState::Waiting,
        TaskState::Queued,
        TaskState::Running,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::WorkerDied,
        TaskState::ArgumentFailed,
        TaskState::Cancelled,
    ];
}

impl std::fmt::Display for TaskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            TaskState::Waiting => "waiting",
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Finished => "finished",
            TaskState::Failed => "failed",
            TaskState::WorkerDied => "worker died",
            TaskState::ArgumentFailed => "argument failed",
            TaskState::Cancelled => "cancelled",
        })
    }
}

/// An actor, as `actors()` lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActorEntry {
    /// The id of the object that stands for it.
    pub id: u64,
    /// Its type.
    pub type_name: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// How it is.
    pub state: ActorState,
    /// The session that made it, of those that share the runtime; 0 for the asker's own, and for the runtime's owner.
    pub session: u8,
    /// The cell that made it; 0 outside a session.
    pub cell: u64,
    /// How often it was made again.
    pub restarts: u32,
    /// How many of its calls have not ended.
    pub calls: u64,
    /// How it ended, if it is dead.
    pub death: Option<String>,
}

/// An object, as `objects()` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    /// Its id.
    pub id: u64,
    /// How it is.
    pub state: ObjectState,
    /// Where its bytes are.
    pub place: ObjectPlace,
    /// The cell that put it, or whose task made it; 0 outside a session.
    pub cell: u64,
    /// The function whose task makes it; `None` for a value that was put.
    pub function: Option<String>,
    /// The processes that have a reference to it.
    pub held_by: Vec<u32>,
    /// How many tasks and objects keep it.
    pub holders: u64,
    /// How many processes read its bytes.
    pub readers: u32,
}

/// Where an object's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ObjectPlace {
    /// Nowhere: it is not ready, or its task failed.
    Nowhere,
    /// In the table of objects, because they are few.
    Table,
    /// In the memory of the store.
    Memory,
    /// On disk.
    Disk,
}

impl std::fmt::Display for ObjectPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            ObjectPlace::Nowhere => "",
            ObjectPlace::Table => "table",
            ObjectPlace::Memory => "memory",
            ObjectPlace::Disk => "disk",
        })
    }
}

impl std::fmt::Display for ActorState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            ActorState::Starting => "starting",
            ActorState::Alive { .. } => "alive",
            ActorState::Dead => "dead",
        })
    }
}

/// The state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectState {
    /// Its task has not finished.
    Pending,
    /// The object can be read.
    Ready {
        /// Its size in the store, in bytes.
        bytes: u64,
    },
    /// Its task failed.
    Failed,
}

/// The options of `init_with`. `None` means the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InitOptions {
    /// Logical CPUs for the scheduler.
    pub num_cpus: Option<f64>,
    /// GPUs for the scheduler.
    pub num_gpus: Option<f64>,
    /// Bytes of memory that tasks can reserve.
    pub memory: Option<u64>,
    /// Custom resources.
    pub resources: Vec<(String, f64)>,
    /// Worker processes to start at once.
    pub num_workers: Option<u32>,
    /// The store's limit in bytes.
    pub object_store_memory: Option<u64>,
    /// Where the store's memory comes from, instead of `/dev/shm`.
    pub store_directory: Option<String>,
    /// The folder for objects that do not fit in memory.
    pub spill_directory: Option<String>,
    /// Whether the store uses huge pages. Default: only where they cost nothing.
    pub huge_pages: Option<bool>,
    /// Whether the output of tasks goes to files in the session's folder.
    pub redirect_output: bool,
    /// Whether equal lines of several workers are shown once and counted.
    pub fold_output: Option<bool>,
    /// Whether it is bounded how much of the output of tasks is shown.
    pub limit_output: Option<bool>,
    /// Where tasks run, and what is shown of them.
    pub driver_mode: DriverMode,
    /// How long a `put` waits for room, in milliseconds.
    pub store_wait_ms: Option<u64>,
    /// The web page.
    pub dashboard: DashboardOptions,
    /// The address of a running runtime to join, instead of starting one.
    pub address: Option<String>,
    /// The namespace of the session's named actors in it.
    pub namespace: Option<String>,
    /// The session's share of what it gives to sessions that want more than there is.
    pub share: Option<u32>,
    /// Do not refuse a second `init`.
    pub ignore_reinit: bool,
}

/// Where tasks run, and what is shown of them: the modes of Ray's first `init` (`SCRIPT_MODE`, `PYTHON_MODE`, `SILENT_MODE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriverMode {
    /// In worker processes. What they print, and how tasks fail, is shown.
    #[default]
    Processes,
    /// In the process that submits them, one after the other, before `.remote` returns: for a debugger. Values, errors and
    /// actors are the same; nothing survives a crash of that process, and there is no cancelling.
    InProcess,
    /// In worker processes, and nothing is shown of them: `get` and `errors()` tell.
    Silent,
}

/// Whether there is a web page, and where. `None` means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardOptions {
    /// Whether `init` starts it. Default: it does.
    pub include: Option<bool>,
    /// The name or address that it listens on. Default: `127.0.0.1`.
    pub host: Option<String>,
    /// Its port. Default: one that is free.
    pub port: Option<u16>,
}

/// A runtime's address and resources: the answer to `init`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// The session's folder.
    pub session_dir: String,
    /// The runtime's socket.
    pub socket: String,
    /// What backs the store: a folder, or `memfd`.
    pub store: String,
    /// The store's limit in bytes.
    pub object_store_memory: u64,
    /// Logical CPUs.
    pub num_cpus: f64,
    /// Process ids of the workers that run now.
    pub workers: Vec<u32>,
    /// The address of the web page, with its token; `None` where there is none.
    pub dashboard_url: Option<String>,
}
