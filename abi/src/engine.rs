//! The seam: the [`Engine`] behind the table, in safe Rust, and the table that is made from it.
//!
//! ```text
//!   cell library ──Table──▶ this file ──Engine──▶ the local runtime │ the in-line engine │ …
//!                raw parts            ids, bytes
//! ```
//!
//! Each function of the table turns raw parts into values, calls the process's engine, and writes the answer to the caller's addresses.
//! [`table`] is generic over the engine, so its functions call that engine directly and not through pointers.
//!
//! # Invariants
//! - The caller's pointers are valid as [`Table`] documents it; every `unsafe` block here rests on that.
//! - No function unwinds: an engine that panics ends the process, because a panic cannot leave an `extern "C"` function.
#![allow(unsafe_code)] // Raw pointers come in and go out.

use crate::{
    ABI_VERSION, Answer, Argument, Attach, Blob, Bytes, Cause, Draft, Fault, Hooks, Notify, Question, Status,
    Submission, Table, Tenant, View,
};
use serde::Serialize;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// The result of a call through the table. A fault is large and rare, so it is boxed.
pub type Fallible<T> = Result<T, Box<Fault>>;

/// The result of opening an object.
#[derive(Debug)]
pub enum Opened {
    /// The object's bytes.
    View(View),
    /// The object is not ready yet.
    NotReady,
}

/// An argument of a task that is being submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// An object.
    Object(u64),
    /// A draft, which ends here, and the objects that its bytes refer to.
    Draft(u64, &'a [u64]),
}

/// A task that is being submitted.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The [`Trampoline`](crate::Trampoline), as an address in the calling library.
    pub trampoline: *const c_void,
    /// The function's path, as [`Submission::name`] has it.
    pub name: &'a [u8],
    /// The task's options as postcard; empty for the defaults.
    pub options: &'a [u8],
    /// Number of objects that the task returns.
    pub returns: u32,
    /// As [`Submission::kind`].
    pub kind: u32,
    arguments: &'a [Argument],
}

impl<'a> Task<'a> {
    /// The task's arguments, in order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Input<'a>> + use<'a> {
        self.arguments.iter().map(|argument| match argument.kind {
            Argument::REF => Input::Object(argument.value),
            // SAFETY: `refs` points to `refs_len` initialised, aligned ids, by the contract of `Argument`; they stay unchanged as long as
            // the submission, which outlives `'a`.
            _ => Input::Draft(argument.value, unsafe { slice(argument.refs, argument.refs_len) }),
        })
    }
}

/// An implementation of the table: objects and tasks by id. Any thread may call any of its functions.
pub trait Engine: Sync + Sized + 'static {
    /// The process's engine; `None` when it is not connected to one.
    fn current() -> Option<&'static Self>;
    /// [`Table::create`]; the draft's address is writable for `len` bytes and 64-byte aligned.
    fn create(&self, len: u64) -> Fallible<Draft>;
    /// [`Table::seal`].
    fn seal(&self, draft: u64, contains: &[u64]) -> Fallible<u64>;
    /// [`Table::discard`].
    fn discard(&self, draft: u64);
    /// [`Table::submit`], of a task that returns one object.
    fn submit(&self, task: Task<'_>) -> Fallible<u64>;
    /// [`Table::wait`]; `ready` is as long as `ids`.
    fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()>;
    /// [`Table::watch`].
    fn watch(&'static self, id: u64, notify: Notify) -> Fallible<()>;
    /// [`Table::open`].
    fn open(&self, id: u64) -> Fallible<Opened>;
    /// [`Table::close`].
    fn close(&self, hold: u64);
    /// [`Table::retain`].
    fn retain(&self, ids: &[u64]);
    /// [`Table::release`].
    fn release(&self, id: u64);
    /// [`Table::result`], of the one result that a task has.
    fn result(&self, call: u64, draft: u64, contains: &[u64]);
    /// [`Table::fail`].
    fn fail(&self, call: u64, cause: Cause);
    /// [`Table::ask`].
    fn ask(&self, question: Question) -> Fallible<Answer>;
}

/// The table whose functions call the engine `E`.
pub const fn table<E: Engine>() -> Table {
    Table {
        version: ABI_VERSION,
        size: size_of::<Table>() as u32,
        create: create::<E>,
        seal: seal::<E>,
        discard: discard::<E>,
        submit: submit::<E>,
        wait: wait::<E>,
        watch: watch::<E>,
        open: open::<E>,
        close: close::<E>,
        retain: retain::<E>,
        release: release::<E>,
        result: result::<E>,
        fail: fail::<E>,
        ask: ask::<E>,
        free,
    }
}

/// Attaches a library through its attach function, for `role` (see [`Tenant`]) and a cell.
///
/// # Errors
/// A message, when the library was built against another version.
///
/// # Safety
/// `attach` is the function that [`ATTACH_SYMBOL`](crate::ATTACH_SYMBOL) names, in a library that is never closed.
pub unsafe fn attach(table: &'static Table, attach: Attach, role: u32, cell: u64) -> Result<Hooks, String> {
    let tenant = Tenant { version: ABI_VERSION, role, cell };
    // SAFETY: `attach` is an attach function, by this function's contract. `table` lives for ever, and `tenant` outlives the call.
    let hooks = unsafe { attach(table, &raw const tenant) };
    let refusal =
        || format!("the library was built against another version of mobula than {ABI_VERSION}: run its cell again");
    if hooks.is_null() {
        return Err(refusal());
    }
    // SAFETY: `hooks` is not null, so it points to a library's hooks: aligned, never written, alive while the library is open, which is for
    // good. `version` is their first field in every version, so it is in bounds.
    let version = unsafe { (&raw const (*hooks).version).read() };
    if version != ABI_VERSION {
        return Err(refusal());
    }
    // SAFETY: as above; the hooks are of this version, so every field is in bounds.
    Ok(unsafe { hooks.read() })
}

/// Attaches a library whose attach function is only known as an address, as `dlsym` gives it.
///
/// # Errors
/// A message, when the address is null or the library was built against another version.
///
/// # Safety
/// As for [`attach`].
pub unsafe fn attach_address(
    table: &'static Table,
    address: *mut c_void,
    role: u32,
    cell: u64,
) -> Result<Hooks, String> {
    if address.is_null() {
        return Err("the library is not a mobula library: it was not built against the crate".into());
    }
    // SAFETY: `address` is not null and is an attach function, by this function's contract. On Linux, function and data pointers have the
    // same size and representation.
    let function = unsafe { std::mem::transmute::<*mut c_void, Attach>(address) };
    // SAFETY: `function` is an attach function in a library that is never closed, by this function's contract.
    unsafe { attach(table, function, role, cell) }
}

unsafe extern "C" fn create<E: Engine>(len: u64, draft: *mut Draft, fault: *mut Blob) -> Status {
    answer(fault, || {
        let created = current::<E>()?.create(len)?;
        // SAFETY: `draft` is valid and aligned for writing one draft, by the contract of `Table::create`.
        unsafe { draft.write(created) };
        Ok(())
    })
}

unsafe extern "C" fn seal<E: Engine>(
    draft: u64,
    refs: *const u64,
    refs_len: u64,
    id: *mut u64,
    fault: *mut Blob,
) -> Status {
    answer(fault, || {
        // SAFETY: `refs` points to `refs_len` ids, aligned and unchanged during the call, by the contract of `Table::seal`.
        let contains = unsafe { slice(refs, refs_len) };
        let sealed = current::<E>()?.seal(draft, contains)?;
        // SAFETY: `id` is valid and aligned for writing one id, by the same contract.
        unsafe { id.write(sealed) };
        Ok(())
    })
}

unsafe extern "C" fn discard<E: Engine>(draft: u64) {
    if let Some(engine) = E::current() {
        engine.discard(draft);
    }
}

unsafe extern "C" fn submit<E: Engine>(task: *const Submission, ids: *mut u64, fault: *mut Blob) -> Status {
    answer(fault, || {
        // SAFETY: `task` points to one initialised, aligned submission, by the contract of `Table::submit`.
        let task = unsafe { task.read() };
        // SAFETY: each pointer of the submission is valid for its length, aligned, and unchanged during the call, by the same contract.
        let (arguments, name, options) =
            unsafe { (slice(task.args, task.args_len), bytes(task.name), bytes(task.options)) };
        let task =
            Task { trampoline: task.trampoline, name, options, returns: task.returns, kind: task.kind, arguments };
        let id = current::<E>()?.submit(task)?;
        // SAFETY: `ids` is aligned and valid for writing `returns` ids, at least one, by the same contract.
        unsafe { ids.write(id) };
        Ok(())
    })
}

unsafe extern "C" fn wait<E: Engine>(
    ids: *const u64,
    ids_len: u64,
    num_returns: u64,
    timeout_ns: u64,
    ready: *mut u8,
    fault: *mut Blob,
) -> Status {
    answer(fault, || {
        // SAFETY: `ids` and `ready` are valid for `ids_len` elements and aligned, by the contract of `Table::wait`; the caller does not
        // touch them during the call, and they do not overlap.
        let (ids, ready) = unsafe { (slice(ids, ids_len), slice_mut(ready, ids_len)) };
        let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
        current::<E>()?.wait(ids, num_returns, timeout, ready)
    })
}

unsafe extern "C" fn watch<E: Engine>(id: u64, notify: Notify, fault: *mut Blob) -> Status {
    answer(fault, || current::<E>()?.watch(id, notify))
}

unsafe extern "C" fn open<E: Engine>(id: u64, view: *mut View, fault: *mut Blob) -> Status {
    let mut is_ready = true;
    let status = answer(fault, || {
        match current::<E>()?.open(id)? {
            // SAFETY: `view` is valid and aligned for writing one view, by the contract of `Table::open`.
            Opened::View(opened) => unsafe { view.write(opened) },
            Opened::NotReady => is_ready = false,
        }
        Ok(())
    });
    if is_ready { status } else { Status::NOT_READY }
}

unsafe extern "C" fn close<E: Engine>(hold: u64) {
    if let Some(engine) = E::current() {
        engine.close(hold);
    }
}

unsafe extern "C" fn retain<E: Engine>(ids: *const u64, ids_len: u64) {
    if let Some(engine) = E::current() {
        // SAFETY: `ids` points to `ids_len` ids, aligned and unchanged during the call, by the contract of `Table::retain`.
        engine.retain(unsafe { slice(ids, ids_len) });
    }
}

unsafe extern "C" fn release<E: Engine>(id: u64) {
    if let Some(engine) = E::current() {
        engine.release(id);
    }
}

unsafe extern "C" fn result<E: Engine>(call: u64, index: u32, draft: u64, refs: *const u64, refs_len: u64) {
    if let Some(engine) = E::current() {
        // SAFETY: `refs` points to `refs_len` ids, aligned and unchanged during the call, by the contract of `Table::result`.
        let contains = unsafe { slice(refs, refs_len) };
        if index == 0 {
            engine.result(call, draft, contains);
        } else {
            engine.discard(draft);
        }
    }
}

unsafe extern "C" fn fail<E: Engine>(call: u64, cause: Bytes) {
    if let Some(engine) = E::current() {
        // SAFETY: `cause` is readable and unchanged during the call, by the contract of `Table::fail`.
        let encoded = unsafe { bytes(cause) };
        let malformed = |_| Cause::Refused { message: "the task's failure could not be decoded".into() };
        engine.fail(call, postcard::from_bytes(encoded).unwrap_or_else(malformed));
    }
}

unsafe extern "C" fn ask<E: Engine>(question: Bytes, into: *mut Blob, fault: *mut Blob) -> Status {
    answer(fault, || {
        // SAFETY: `question` is readable and unchanged during the call, by the contract of `Table::ask`.
        let encoded = unsafe { bytes(question) };
        let malformed = |_| Box::new(Fault::Refused { message: "the question does not decode".into() });
        let answer = current::<E>()?.ask(postcard::from_bytes(encoded).map_err(malformed)?)?;
        // SAFETY: `into` is valid and aligned for writing one blob, by the same contract.
        unsafe { into.write(blob(&answer)) };
        Ok(())
    })
}

unsafe extern "C" fn free(blob: Blob) {
    if !blob.ptr.is_null() {
        // SAFETY: `blob` below made it from a `Vec<u8>` with this pointer, length and capacity, and the caller frees each blob once.
        drop(unsafe { Vec::from_raw_parts(blob.ptr, blob.len as usize, blob.cap as usize) });
    }
}

fn current<E: Engine>() -> Fallible<&'static E> {
    let reason = "this process is not connected to a runtime";
    E::current().ok_or_else(|| Box::new(Fault::Disconnected { reason: reason.into() }))
}

fn answer(fault: *mut Blob, work: impl FnOnce() -> Fallible<()>) -> Status {
    match work() {
        Ok(()) => Status::OK,
        Err(error) => {
            if !fault.is_null() {
                // SAFETY: `fault` is not null, so it is valid and aligned for writing one blob, by the contract of `Table`.
                unsafe { fault.write(blob(&*error)) };
            }
            Status::FAULT
        }
    }
}

fn blob(value: &impl Serialize) -> Blob {
    // Plain data always encodes. Should it fail, the caller gets an empty blob, which does not decode either.
    let mut bytes = ManuallyDrop::new(postcard::to_stdvec(value).unwrap_or_default());
    Blob { ptr: bytes.as_mut_ptr(), len: bytes.len() as u64, cap: bytes.capacity() as u64 }
}

/// # Safety
/// `ptr` points to `len` initialised, aligned values that no code writes during `'a`; or `len` is 0.
unsafe fn slice<'a, T>(ptr: *const T, len: u64) -> &'a [T] {
    if len == 0 || ptr.is_null() {
        return &[];
    }
    // SAFETY: `len` is not 0 here, so this function's contract gives validity, bounds, alignment and no writes during `'a`.
    unsafe { std::slice::from_raw_parts(ptr, len as usize) }
}

/// # Safety
/// `ptr` points to `len` initialised, aligned values that no other code accesses during `'a`; or `len` is 0.
unsafe fn slice_mut<'a, T>(ptr: *mut T, len: u64) -> &'a mut [T] {
    if len == 0 || ptr.is_null() {
        return &mut [];
    }
    // SAFETY: `len` is not 0 here, so this function's contract gives validity, bounds, alignment and exclusive access during `'a`.
    unsafe { std::slice::from_raw_parts_mut(ptr, len as usize) }
}

/// # Safety
/// As for [`slice`].
unsafe fn bytes<'a>(borrowed: Bytes) -> &'a [u8] {
    // SAFETY: the contract of `slice` is this function's.
    unsafe { slice(borrowed.ptr, borrowed.len) }
}
