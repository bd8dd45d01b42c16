//! A runtime that runs every task in the thread that starts it: for tests, examples and a debugger.
//!
//! ```text
//!   f.remote(…) ─▶ the arguments' bytes ─▶ the task, here and now ─▶ its result's bytes ─▶ ObjectRef
//! ```
//!
//! Values go through the same bytes, and failures through the same errors, as with worker processes; what differs is that
//! `remote` returns when the task has ended, and that a task which kills its process kills this one. Objects live in the
//! process's own memory.
//!
//! ```
//! use mobula::prelude::*;
//! mobula::inline::attach();
//! assert_eq!(get((|n: u32| n + 1).remote(1))?, 2);
//! # Ok::<(), mobula::GetError>(())
//! ```
//!
//! # Invariants
//! - No user code runs under the lock.
//! - An object's bytes are written only while it is a draft, and shared only after.
#![allow(unsafe_code)] // The other side of the table: raw pointers come in and go out.

use crate::abi::held::{Held, none_here};
use crate::abi::{
    ABI_VERSION, Address, Answer, Argument, Blob, Bytes, Call, Cause, Draft, Failure, Fault, ObjectState, Question,
    Status, Submission, Table, Tenant, Trampoline, View,
};
use crate::cell::mobula_attach;
use crate::remote::task_name;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::null;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Attaches this program to the inline runtime. Calling it again changes nothing.
pub fn attach() {
    static TENANT: Tenant = Tenant { version: ABI_VERSION, role: Tenant::PROGRAM, cell: 0 };
    // SAFETY: both are statics of this build's own version.
    let hooks = unsafe { mobula_attach(&TABLE, &TENANT) };
    assert!(!hooks.is_null(), "bug: the inline runtime and the api are of one build");
}

static TABLE: Table = Table {
    version: ABI_VERSION,
    size: size_of::<Table>() as u32,
    create,
    seal,
    discard,
    submit,
    wait,
    open,
    close,
    retain,
    release,
    result,
    fail,
    ask,
    free,
};

/// The unit of memory: as aligned as an object must be.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

struct Memory {
    lines: Vec<Line>,
    len: u64,
}

struct Object {
    state: State,
    /// References from the program.
    count: u64,
    /// What its bytes refer to; one reference each.
    refs: Vec<u64>,
}

enum State {
    #[cfg_attr(not(test), expect(dead_code, reason = "tasks end before their ids are known; tests make such objects"))]
    Pending,
    Ready(Arc<Memory>),
    Failed(Failure),
}

/// A task being run, until it delivers.
#[derive(Default)]
struct Running {
    outcome: Option<Outcome>,
}

enum Outcome {
    Result(Arc<Memory>, Vec<u64>),
    Failed(Cause),
}

/// Everything there is. Ids, drafts, holds and calls are numbered by one counter.
#[derive(Default)]
struct Store {
    last: u64,
    objects: HashMap<u64, Object>,
    drafts: HashMap<u64, Memory>,
    holds: HashMap<u64, Arc<Memory>>,
    calls: HashMap<u64, Running>,
    failures: Vec<Failure>,
    started: bool,
    /// What somebody has waited for.
    #[cfg(test)]
    awaited: std::collections::HashSet<u64>,
}

static STORE: LazyLock<Mutex<Store>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn store() -> Held<'static, Store> {
    none_here("the store is locked again");
    Held::new(locked())
}

/// The same, for whoever waits: a condition variable takes the guard itself.
fn locked() -> MutexGuard<'static, Store> {
    STORE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Store {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn add(&mut self, state: State, refs: Vec<u64>) -> u64 {
        for id in &refs {
            self.retain(*id);
        }
        let id = self.number();
        self.objects.insert(id, Object { state, count: 1, refs });
        id
    }

    fn retain(&mut self, id: u64) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.count += 1;
        }
    }

    fn release(&mut self, id: u64) {
        let mut ids = vec![id];
        while let Some(id) = ids.pop() {
            let Some(object) = self.objects.get_mut(&id) else { continue };
            object.count -= 1;
            if object.count == 0 {
                ids.extend(self.objects.remove(&id).map(|object| object.refs).unwrap_or_default());
            }
        }
    }

    fn take_draft(&mut self, token: u64) -> Arc<Memory> {
        Arc::new(self.drafts.remove(&token).expect("bug: a draft ended twice"))
    }

    fn view(&mut self, memory: Arc<Memory>) -> View {
        let hold = self.number();
        let view = View { ptr: memory.lines.as_ptr().cast(), len: memory.len, hold };
        self.holds.insert(hold, memory);
        view
    }

    fn is_ready(&self, id: u64) -> Result<bool, Box<Fault>> {
        let object = self.objects.get(&id).ok_or(Fault::Unknown { id })?;
        Ok(!matches!(object.state, State::Pending))
    }

    fn answer(&mut self, question: Question) -> Result<Answer, Box<Fault>> {
        let cpus = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        Ok(match question {
            Question::Init(options) => {
                if std::mem::replace(&mut self.started, true) && !options.ignore_reinit {
                    let message = "the runtime was started already; `ignore_reinit` takes it as it is".into();
                    return Err(Fault::Refused { message }.into());
                }
                Answer::Address(Address {
                    session_dir: String::new(),
                    socket: String::new(),
                    store: "the memory of this process".into(),
                    object_store_memory: u64::MAX,
                    num_cpus: options.num_cpus.unwrap_or(cpus),
                    workers: Vec::new(),
                })
            }
            Question::Shutdown => {
                self.started = false;
                self.objects.clear();
                Answer::Done
            }
            Question::Errors => Answer::Errors(self.failures.clone()),
            Question::ClusterResources | Question::AvailableResources => Answer::Resources(vec![("CPU".into(), cpus)]),
            Question::State { id } => Answer::State(match &self.objects.get(&id).ok_or(Fault::Unknown { id })?.state {
                State::Pending => ObjectState::Pending,
                State::Ready(memory) => ObjectState::Ready { bytes: memory.len },
                State::Failed(_) => ObjectState::Failed,
            }),
        })
    }
}

// The functions of the table. Each trusts its caller's pointers as `abi` describes them: the caller is this crate.

/// Fills the fault blob.
fn faulted(fault: &Fault, blob: *mut Blob) -> Status {
    // SAFETY: writable, as every caller of the table promises.
    unsafe { blob.write(blob_of(postcard::to_stdvec(fault).unwrap_or_default())) };
    Status::FAULT
}

fn blob_of(bytes: Vec<u8>) -> Blob {
    let mut bytes = std::mem::ManuallyDrop::new(bytes);
    Blob { ptr: bytes.as_mut_ptr(), len: bytes.len() as u64, cap: bytes.capacity() as u64 }
}

/// A copy of a caller's list.
///
/// # Safety
/// `ptr` must be readable for `len` elements; it may be anything when `len` is 0.
unsafe fn list<T: Copy>(ptr: *const T, len: u64) -> Vec<T> {
    // SAFETY: this function's contract.
    if len == 0 { Vec::new() } else { unsafe { std::slice::from_raw_parts(ptr, len as usize) }.to_vec() }
}

unsafe extern "C" fn create(len: u64, draft: *mut Draft, _: *mut Blob) -> Status {
    let mut lines = vec![Line([0; 64]); (len as usize).div_ceil(64)];
    let mut store = store();
    let token = store.number();
    // SAFETY: writable by the table's contract. (The lines stay where they are when their vector moves.)
    unsafe { draft.write(Draft { token, ptr: lines.as_mut_ptr().cast() }) };
    store.drafts.insert(token, Memory { lines, len });
    Status::OK
}

unsafe extern "C" fn seal(draft: u64, refs: *const u64, refs_len: u64, id: *mut u64, _: *mut Blob) -> Status {
    // SAFETY: readable by the table's contract.
    let refs = unsafe { list(refs, refs_len) };
    let mut store = store();
    let memory = store.take_draft(draft);
    let sealed = store.add(State::Ready(memory), refs);
    // SAFETY: writable by the table's contract.
    unsafe { id.write(sealed) };
    Status::OK
}

unsafe extern "C" fn discard(draft: u64) {
    store().drafts.remove(&draft);
}

unsafe extern "C" fn submit(task: *const Submission, ids: *mut u64, _: *mut Blob) -> Status {
    // SAFETY: readable, with all that it points to, by the table's contract.
    let (task, name, args) = unsafe {
        let task = &*task;
        (task, list(task.name.ptr, task.name.len), list(task.args, task.args_len))
    };
    let name = || task_name(&String::from_utf8_lossy(&name)); // Only failures have their names shown.
    let mut store_now = store();
    // Every argument becomes an object that the task refers to.
    let objects: Vec<u64> = args.iter().map(|arg| adopt(&mut store_now, arg)).collect();
    let failed = objects.iter().find_map(|id| match store_now.objects.get(id).map(|object| &object.state) {
        Some(State::Failed(failure)) => Some(failure.clone()),
        Some(State::Ready(_)) => None,
        Some(State::Pending) | None => Some(Failure {
            task: name(),
            pid: 0,
            cell: 0,
            cause: Cause::Refused {
                message: "an argument is not there, and the inline runtime waits for nothing".into(),
            },
            carried_by: Vec::new(),
        }),
    });
    let state = match failed {
        Some(mut failure) => {
            failure.carried_by.push(name());
            (State::Failed(failure), Vec::new())
        }
        None => {
            let views = objects.iter().filter_map(|id| match &store_now.objects.get(id)?.state {
                State::Ready(memory) => Some(memory.clone()),
                _ => None,
            });
            let views: Vec<_> = views.collect::<Vec<_>>().into_iter().map(|memory| store_now.view(memory)).collect();
            drop(store_now);
            let ended = run(task.trampoline, &views);
            store_now = store();
            match ended {
                Some(Outcome::Result(memory, refs)) => (State::Ready(memory), refs),
                failed => {
                    let cause = match failed {
                        Some(Outcome::Failed(cause)) => cause,
                        _ => Cause::Refused { message: "it delivered nothing".into() },
                    };
                    let failure =
                        Failure { task: name(), pid: std::process::id(), cell: 0, cause, carried_by: Vec::new() };
                    store_now.failures.push(failure.clone());
                    (State::Failed(failure), Vec::new())
                }
            }
        }
    };
    // The result's refs were retained when it was delivered; `add` retains them for the object.
    let refs = state.1.clone();
    let id = store_now.add(state.0, state.1);
    for id in refs.iter().chain(&objects) {
        store_now.release(*id);
    }
    // SAFETY: there is room for `returns` ids, which is at least 1.
    unsafe { ids.write(id) };
    Status::OK
}

/// An argument as an object with one reference that is the task's.
fn adopt(store: &mut Store, arg: &Argument) -> u64 {
    if arg.kind == Argument::REF {
        store.retain(arg.value);
        return arg.value;
    }
    let memory = store.take_draft(arg.value);
    // SAFETY: readable by the table's contract.
    let refs = unsafe { list(arg.refs, arg.refs_len) };
    store.add(State::Ready(memory), refs)
}

fn run(trampoline: *const c_void, args: &[View]) -> Option<Outcome> {
    let call = store().number();
    store().calls.insert(call, Running::default());
    // SAFETY: the caller submitted the address of a trampoline.
    let trampoline: Trampoline = unsafe { std::mem::transmute::<*const c_void, Trampoline>(trampoline) };
    none_here("user code runs");
    let args_len = args.len() as u64;
    let what = Call { call, args: args.as_ptr(), args_len, returns: 1, reserved: 0 };
    // SAFETY: the call is new, its arguments are views that the trampoline takes over, and it is run once.
    unsafe { trampoline(&what) };
    store().calls.remove(&call)?.outcome
}

unsafe extern "C" fn wait(
    ids: *const u64,
    ids_len: u64,
    num_returns: u64,
    timeout_ns: u64,
    ready: *mut u8,
    fault: *mut Blob,
) -> Status {
    // SAFETY: readable by the table's contract.
    let ids = unsafe { list(ids, ids_len) };
    let deadline = Instant::now().checked_add(Duration::from_nanos(timeout_ns)).filter(|_| timeout_ns != u64::MAX);
    let mut store = locked();
    loop {
        let marks: Result<Vec<bool>, Box<Fault>> = ids.iter().map(|id| store.is_ready(*id)).collect();
        let marks = match marks {
            Ok(marks) => marks,
            Err(unknown) => return faulted(&unknown, fault),
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if marks.iter().filter(|mark| **mark).count() as u64 >= num_returns || left == Some(Duration::ZERO) {
            for (index, mark) in marks.into_iter().enumerate() {
                // SAFETY: writable for one byte an id.
                unsafe { ready.add(index).write(u8::from(mark)) };
            }
            return Status::OK;
        }
        #[cfg(test)]
        store.awaited.extend(&ids);
        store = match left {
            Some(left) => CHANGED.wait_timeout(store, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0,
            None => CHANGED.wait(store).unwrap_or_else(|poisoned| poisoned.into_inner()),
        };
    }
}

unsafe extern "C" fn open(id: u64, view: *mut View, fault: *mut Blob) -> Status {
    let mut store = store();
    let memory = match store.objects.get(&id).map(|object| &object.state) {
        Some(State::Ready(memory)) => memory.clone(),
        Some(State::Failed(failure)) => return faulted(&Fault::Task(failure.clone()), fault),
        Some(State::Pending) => return Status::NOT_READY,
        None => return faulted(&Fault::Unknown { id }, fault),
    };
    // SAFETY: writable by the table's contract.
    unsafe { view.write(store.view(memory)) };
    Status::OK
}

unsafe extern "C" fn close(hold: u64) {
    store().holds.remove(&hold);
}

unsafe extern "C" fn retain(ids: *const u64, ids_len: u64) {
    // SAFETY: readable by the table's contract.
    let ids = unsafe { list(ids, ids_len) };
    let mut store = store();
    ids.iter().for_each(|id| store.retain(*id));
}

unsafe extern "C" fn release(id: u64) {
    store().release(id);
}

unsafe extern "C" fn result(call: u64, _: u32, draft: u64, refs: *const u64, refs_len: u64) {
    // SAFETY: readable by the table's contract.
    let refs = unsafe { list(refs, refs_len) };
    let mut store = store();
    // The trampoline's own references end when it returns, before there is an object that has its own.
    for id in &refs {
        store.retain(*id);
    }
    let memory = store.take_draft(draft);
    if let Some(running) = store.calls.get_mut(&call) {
        running.outcome = Some(Outcome::Result(memory, refs));
    }
}

unsafe extern "C" fn fail(call: u64, cause: Bytes) {
    // SAFETY: readable by the table's contract.
    let cause = unsafe { list(cause.ptr, cause.len) };
    let cause =
        postcard::from_bytes(&cause).unwrap_or_else(|_| Cause::Refused { message: "it failed unreadably".into() });
    if let Some(running) = store().calls.get_mut(&call) {
        running.outcome = Some(Outcome::Failed(cause));
    }
}

unsafe extern "C" fn ask(question: Bytes, answer: *mut Blob, fault: *mut Blob) -> Status {
    // SAFETY: readable by the table's contract.
    let question = unsafe { list(question.ptr, question.len) };
    let answered = match postcard::from_bytes(&question) {
        Ok(question) => store().answer(question),
        Err(_) => Err(Fault::Refused { message: "an unreadable question".into() }.into()),
    };
    match answered {
        Ok(given) => {
            // SAFETY: writable by the table's contract.
            unsafe { answer.write(blob_of(postcard::to_stdvec(&given).unwrap_or_default())) };
            Status::OK
        }
        Err(refused) => faulted(&refused, fault),
    }
}

unsafe extern "C" fn free(blob: Blob) {
    if blob.ptr != null::<u8>().cast_mut() {
        // SAFETY: `blob_of` took these three from a vector, and each blob comes back once.
        drop(unsafe { Vec::from_raw_parts(blob.ptr, blob.len as usize, blob.cap as usize) });
    }
}

/// Objects that are not ready, which this runtime has none of by itself.
#[cfg(test)]
pub(crate) mod unready {
    use super::*;

    /// An object that nobody is making; the caller holds one reference.
    pub(crate) fn pending() -> u64 {
        store().add(State::Pending, Vec::new())
    }

    /// Returns when somebody waits for it, or has given up.
    pub(crate) fn until_awaited(id: u64) {
        while !store().awaited.contains(&id) {
            std::thread::yield_now();
        }
    }

    /// Makes it ready, with the bytes of another object.
    pub(crate) fn finish(id: u64, like: u64) {
        let mut store = store();
        let memory = match &store.objects[&like].state {
            State::Ready(memory) => memory.clone(),
            _ => panic!("object {like} is not ready"),
        };
        store.objects.get_mut(&id).unwrap().state = State::Ready(memory);
        CHANGED.notify_all();
    }

    /// Whether a view is still open.
    pub(crate) fn is_open(hold: u64) -> bool {
        store().holds.contains_key(&hold)
    }

    /// Whether the object exists.
    pub(crate) fn exists(id: u64) -> bool {
        store().objects.contains_key(&id)
    }
}
