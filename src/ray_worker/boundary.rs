//! The C functions between Python and the engine of a Ray worker, by which Python's `ctypes` calls this library and is called back.
//!
//! ```text
//!   worker.py ── mobula_ray_start(callback) ── once in each process, for each copy of this crate
//!             ── mobula_ray_run(request, arguments, reply) ──▶ the task runs ──▶ its result or its failure
//!             ── mobula_ray_free(result)
//!   callback(request, bytes, reply) ◀── everything that the task asks of Ray
//! ```
#![allow(unsafe_code)] // Raw parts come in and go out, and a trampoline is called by its address.

use super::{Outcome, Running, STATE, TABLE, failure, number, numbers, release_all, state};
use crate::abi::desk::Aligned;
use crate::abi::engine::Fallible;
use crate::abi::{ABI_VERSION, Bytes, Call, Cause, Fault, Instance, Submission, Tenant, Trampoline, View};
use crate::calls::mobula_attach;
use crate::json::JsonValue;
use std::ffi::c_void;
use std::io::Write;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

/// Bytes in Python's memory, or in this library's.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// First byte.
    ptr: *const u8,
    /// Length in bytes.
    len: u64,
    /// A number by which the owner of the bytes knows them; 0 for none.
    token: u64,
}

impl Part {
    const EMPTY: Part = Part { ptr: null(), len: 0, token: 0 };
}

/// What a call across the boundary answers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// JSON, readable until the same thread calls again.
    json: Part,
    /// Bytes beside it; null for none.
    data: Part,
}

/// Python's function: a request as JSON, bytes beside it, and the place for the answer. Returns [`DONE`] or [`FAULT`].
type Callback =
    unsafe extern "C" fn(request: *const Part, parts: *const Part, parts_len: u64, reply: *mut Reply) -> u32;

/// The call succeeded.
const DONE: u32 = 0;
/// The call failed; the JSON says why.
const FAULT: u32 = 1;

/// Python's function, as an address; 0 until it is known.
static CALLBACK: AtomicUsize = AtomicUsize::new(0);

/// The state of the actor that this process is.
static INSTANCE: AtomicPtr<Instance> = AtomicPtr::new(null_mut());

/// Held to write by a call that may change the actor's state, and to read by one that only reads it.
static TURN: RwLock<()> = RwLock::new(());

/// Bytes that Python gives.
#[derive(Debug)]
pub(super) struct Given {
    ptr: *const u8,
    pub len: u64,
    /// The number by which Python keeps them; `None` if they are gone after the call.
    pub buffer: Option<u64>,
    pub refs: Vec<u64>,
}

impl Given {
    /// The address, if the bytes can be read where they are: they are kept, and begin at a multiple of 64. Else a copy.
    pub fn aligned(&self) -> Result<*const u8, Aligned> {
        if self.len == 0 {
            return Err(Aligned::zeroed(0));
        }
        if self.buffer.is_some() && self.ptr.addr().is_multiple_of(64) {
            return Ok(self.ptr);
        }
        // SAFETY: Python gives `len` readable bytes at `ptr`, which stay unchanged at least until this call of it, or the task, has ended.
        Err(Aligned::from(unsafe { std::slice::from_raw_parts(self.ptr, self.len as usize) }))
    }
}

/// Asks Python for something. Returns its answer, and the bytes beside it, if there are any.
///
/// # Errors
/// The fault that Python tells of.
pub(super) fn call_python(request: JsonValue, parts: &[&[u8]]) -> Fallible<(JsonValue, Option<Given>)> {
    let address = CALLBACK.load(Ordering::Acquire);
    if address == 0 {
        return Err(disconnected("this process has not been given a way to Ray"));
    }
    // SAFETY: `mobula_ray_start` stored the address of such a function, which Python keeps for as long as the process lives.
    let callback = unsafe { std::mem::transmute::<usize, Callback>(address) };
    let text = request.to_string();
    let request = part_of(text.as_bytes());
    let parts: Vec<Part> = parts.iter().map(|part| part_of(part)).collect();
    let mut reply = Reply { json: Part::EMPTY, data: Part::EMPTY };
    // SAFETY: every part points to bytes that outlive the call, and `reply` is writable during it.
    let status = unsafe { callback(&raw const request, parts.as_ptr(), parts.len() as u64, &raw mut reply) };
    // SAFETY: Python keeps the answer of each thread until the thread's next call.
    let answer = String::from_utf8_lossy(unsafe { bytes(reply.json) });
    let answer = JsonValue::parse(&answer).map_err(|error| disconnected(&format!("its answer is no JSON: {error}")))?;
    if status != DONE {
        return Err(fault(&answer));
    }
    let Part { ptr, len, token } = reply.data;
    let given = (!ptr.is_null()).then(|| Given { ptr, len, buffer: Some(token), refs: Vec::new() });
    Ok((answer, given))
}

/// The fault that Python's answer tells of.
fn fault(answer: &JsonValue) -> Box<Fault> {
    let text = |key| answer.get(key).and_then(JsonValue::as_str);
    if let Some(encoded) = text("failure")
        && let Ok(bytes) = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, encoded)
        && let Ok(failure) = postcard::from_bytes(&bytes)
    {
        return Box::new(Fault::Task(failure));
    }
    Box::new(match text("kind") {
        Some("cancelled") => Fault::Interrupted,
        Some("unknown") => Fault::Unknown { id: number(answer, "id").unwrap_or(0) },
        Some("task") => Fault::Task(failure(answer, cause(answer))),
        _ => Fault::Refused { message: text("message").unwrap_or("Ray refuses it").into() },
    })
}

/// How a task failed that did not report by itself.
fn cause(answer: &JsonValue) -> Cause {
    let message = answer.get("message").and_then(JsonValue::as_str).unwrap_or_default().to_owned();
    match answer.get("class").and_then(JsonValue::as_str) {
        Some("TaskCancelledError") => Cause::Cancelled,
        Some(
            "ObjectLostError"
            | "OwnerDiedError"
            | "ObjectReconstructionFailedError"
            | "ReferenceCountingAssertionError",
        ) => Cause::ObjectLost { reason: message },
        Some("ActorDiedError" | "RayActorError" | "ActorUnavailableError") => {
            let death = Box::new(Cause::Refused { message });
            Cause::ActorDied { actor: String::new(), death, output: Vec::new() }
        }
        _ => Cause::Refused { message },
    }
}

fn disconnected(reason: &str) -> Box<Fault> {
    Box::new(Fault::Disconnected { reason: reason.into() })
}

fn part_of(bytes: &[u8]) -> Part {
    Part { ptr: bytes.as_ptr(), len: bytes.len() as u64, token: 0 }
}

/// # Safety
/// The part is empty or has `len` initialised bytes, which stay unchanged during `'a`.
unsafe fn bytes<'a>(part: Part) -> &'a [u8] {
    if part.ptr.is_null() || part.len == 0 {
        return &[];
    }
    // SAFETY: not null and not empty, so this function's contract gives the bytes.
    unsafe { std::slice::from_raw_parts(part.ptr, part.len as usize) }
}

/// Connects this copy of the crate to Python. Returns the version of the table, by which Python notices a library of another one.
///
/// # Safety
/// `callback` is the address of a function as [`Callback`] describes it, which may be called from any thread until the process ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mobula_ray_start(callback: usize) -> u32 {
    static TENANT: Tenant = Tenant { version: ABI_VERSION, role: Tenant::WORKER, cell: 0 };
    CALLBACK.store(callback, Ordering::Release);
    // SAFETY: both are statics of this build's version, so they stay valid and unchanged.
    let _hooks = unsafe { mobula_attach(&TABLE, &TENANT) };
    ABI_VERSION
}

/// Runs a task. Its result's bytes are the reply's data until [`mobula_ray_free`] is given their token. Returns 1 when the task failed: then
/// the data is the failure as postcard, and the JSON has its text.
///
/// # Safety
/// `request` is JSON with the fields that `worker.py` writes, among them the address of a [`Trampoline`] in a library that stays open. Each
/// argument's bytes stay unchanged until the task has ended or, if it has a token, until that is closed. `reply` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mobula_ray_run(
    request: *const Part,
    args: *const Part,
    args_len: u64,
    reply: *mut Reply,
) -> u32 {
    // SAFETY: by this function's contract, both the part and its bytes are readable.
    let text = String::from_utf8_lossy(unsafe { bytes(request.read()) });
    let Ok(run) = JsonValue::parse(&text) else { return FAULT };
    // SAFETY: by this function's contract, there are `args_len` parts.
    let parts = if args_len == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(args, args_len as usize) } };
    let outcome = run_task(&run, parts);
    let (status, memory, json) = match outcome {
        Outcome::Result(memory, refs) => {
            let json = JsonValue::map([("refs", super::integers(&refs))]);
            (DONE, memory, json)
        }
        Outcome::Failed(cause) => {
            let json = JsonValue::map([
                ("text", crate::error::cause(&cause).into()),
                ("is_cancelled", JsonValue::Bool(cause == Cause::Cancelled)),
            ]);
            let failure = postcard::to_stdvec(&failure(&run, cause)).unwrap_or_default();
            (FAULT, Aligned::from(&*failure), json)
        }
    };
    let json = Aligned::from(json.to_string().as_bytes());
    let mut state = state();
    let (token, json_token) = (state.desk.number(), state.desk.number());
    let part = |memory: &Aligned, token| Part { ptr: memory.ptr(), len: memory.len() as u64, token };
    let made = Reply { json: part(&json, json_token), data: part(&memory, token) };
    state.results.extend([(token, memory), (json_token, json)]);
    // SAFETY: `reply` is valid and aligned for writing, by this function's contract.
    unsafe { reply.write(made) };
    status
}

/// Frees what [`mobula_ray_run`] returned, and gives back the references `refs`, which the result's object has now.
///
/// # Safety
/// `refs` points to `refs_len` ids.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mobula_ray_free(token: u64, refs: *const u64, refs_len: u64) {
    state().results.remove(&token);
    if refs_len > 0 {
        // SAFETY: by this function's contract.
        release_all(unsafe { std::slice::from_raw_parts(refs, refs_len as usize) });
    }
}

/// Says with which code this process exits, if it does so in the middle of a task: Ray does not tell. `worker.py` has the C library call it.
#[unsafe(no_mangle)]
pub extern "C" fn mobula_ray_exiting(code: i32, _argument: *mut c_void) {
    // Nobody else has the lock for long; and a thread that exits has none.
    let is_running = STATE.try_lock().is_ok_and(|state| !state.running.is_empty());
    if is_running {
        let _ = writeln!(std::io::stderr(), "mobula: this process exits with code {code}");
    }
}

fn run_task(run: &JsonValue, parts: &[Part]) -> Outcome {
    let refused = |message: &str| Outcome::Failed(Cause::Refused { message: message.into() });
    let Some(address) = number(run, "trampoline").filter(|address| *address != 0) else {
        return refused("the request names no function");
    };
    let refs: Vec<Vec<u64>> = match run.get("refs") {
        Some(JsonValue::List(list)) => {
            list.iter().map(|refs| numbers(&JsonValue::map([("refs", refs.clone())]), "refs")).collect()
        }
        _ => Vec::new(),
    };
    // SAFETY: the address is that of a trampoline in a library that stays open, by the contract of `mobula_ray_run`. On Linux, function and
    // data pointers have the same representation.
    let trampoline = unsafe { std::mem::transmute::<usize, Trampoline>(address as usize) };
    let kind = number(run, "kind").unwrap_or(0) as u32;
    let (call, views) =
        {
            let mut state = state();
            let given = parts.iter().zip(refs.into_iter().chain(std::iter::repeat(Vec::new()))).map(|(part, refs)| {
                Given { ptr: part.ptr, len: part.len, buffer: (part.token != 0).then_some(part.token), refs }
            });
            let given: Vec<Given> = given.collect();
            let views: Vec<View> = given.into_iter().map(|given| state.view(given)).collect();
            let call = state.desk.number();
            state.running.insert(call, Running::default());
            (call, views)
        };
    let instance = match kind {
        Submission::TASK => null_mut(),
        Submission::SPAWN => {
            let made = Box::into_raw(Box::new(Instance::EMPTY));
            INSTANCE.store(made, Ordering::Release);
            made
        }
        _ => INSTANCE.load(Ordering::Acquire),
    };
    let what = Call {
        call,
        args: views.as_ptr(),
        args_len: views.len() as u64,
        returns: 1,
        is_restore: 0,
        instance,
        pending: null_mut(),
    };
    let runs = || {
        // SAFETY: the call is new and is run once, and the trampoline takes over its arguments, which are open views. The instance is null or
        // that of this process's actor: a call that changes it is alone, because it has the lock to write, and those that read it have it to
        // read. A trampoline does not unwind.
        unsafe { trampoline(&raw const what) };
    };
    match kind {
        Submission::TASK => runs(),
        Submission::READ | Submission::ASYNC => {
            let _turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
            runs();
        }
        _ => {
            let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
            runs();
        }
    }
    let _ = std::io::stdout().flush();
    let ended = state().running.remove(&call).and_then(|running| running.outcome);
    ended.unwrap_or_else(|| refused("the task returned without a result"))
}

const _: () = assert!(size_of::<Part>() == size_of::<Bytes>() + 8, "worker.py knows this layout");
