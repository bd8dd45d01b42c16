//! The seam: what is behind the table, in safe Rust, and the table that is made of it.
//!
//! ```text
//!   cell library ──Table──▶ this file ──Engine──▶ the local runtime │ the one that runs tasks in line │ …
//!                raw parts            ids, bytes
//! ```
//!
//! Each function of the table turns raw parts into values, asks the process's engine, and writes the answer where the caller wants it. The
//! table is filled for one type ([`table`]), so that its functions call that engine directly and not through pointers.
//!
//! # Invariants
//! - The caller's pointers are what [`Table`] says of them; that is the whole argument of every `unsafe` here.
//! - No function unwinds: an engine that panics ends the process, because a panic cannot leave an `extern "C"` function.
#![allow(unsafe_code)] // The raw parts that come in and go out.

use crate::{
    ABI_VERSION, Answer, Argument, Attach, Blob, Bytes, Cause, Draft, Fault, Hooks, Question, Status, Submission,
    Table, Tenant, View,
};
use serde::Serialize;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// What a call through the table gives. A fault is large and rare, so it is boxed.
pub type Fallible<T> = Result<T, Box<Fault>>;

/// What opening an object gives.
#[derive(Debug)]
pub enum Opened {
    /// Its bytes.
    View(View),
    /// It is not there yet.
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
    /// Postcard of its options; empty for the defaults.
    pub options: &'a [u8],
    /// How many objects it returns.
    pub returns: u32,
    arguments: &'a [Argument],
}

impl<'a> Task<'a> {
    /// Its arguments, in order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Input<'a>> + use<'a> {
        self.arguments.iter().map(|argument| match argument.kind {
            Argument::REF => Input::Object(argument.value),
            // SAFETY: the submission says how many ids there are, and keeps them as long as itself.
            _ => Input::Draft(argument.value, unsafe { slice(argument.refs, argument.refs_len) }),
        })
    }
}

/// What is behind the table: objects and tasks by id. Any thread may call any of this.
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

/// The table whose functions ask `E`.
pub const fn table<E: Engine>() -> Table {
    Table {
        version: ABI_VERSION,
        size: size_of::<Table>() as u32,
        create: create::<E>,
        seal: seal::<E>,
        discard: discard::<E>,
        submit: submit::<E>,
        wait: wait::<E>,
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
/// A sentence, when the library was built against another version.
///
/// # Safety
/// `attach` is what [`ATTACH_SYMBOL`](crate::ATTACH_SYMBOL) names in a library that stays open.
pub unsafe fn attach(table: &'static Table, attach: Attach, role: u32, cell: u64) -> Result<Hooks, String> {
    let tenant = Tenant { version: ABI_VERSION, role, cell };
    // SAFETY: the caller says that this is an attach function; both pointers are valid for the call, and the table for
    // ever.
    let hooks = unsafe { attach(table, &raw const tenant) };
    let refusal =
        || format!("the library was built against another version of mobula than {ABI_VERSION}: run its cell again");
    if hooks.is_null() {
        return Err(refusal());
    }
    // SAFETY: not null, so it points to hooks that live as long as their library. `version` is their first field in
    // every version there is.
    let version = unsafe { (&raw const (*hooks).version).read() };
    if version != ABI_VERSION {
        return Err(refusal());
    }
    // SAFETY: of this version, so it has all the fields.
    Ok(unsafe { hooks.read() })
}

/// Attaches a library whose attach function is only known as an address, as `dlsym` gives it.
///
/// # Errors
/// A sentence, when the address is null or the library was built against another version.
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
        return Err("the library does not know mobula: it was not built against the crate".into());
    }
    // SAFETY: not null; the caller says that it is an attach function, and on Linux function and data pointers are the
    // same.
    let function = unsafe { std::mem::transmute::<*mut c_void, Attach>(address) };
    // SAFETY: as the caller says.
    unsafe { attach(table, function, role, cell) }
}

unsafe extern "C" fn create<E: Engine>(len: u64, draft: *mut Draft, fault: *mut Blob) -> Status {
    answer(fault, || {
        let created = current::<E>()?.create(len)?;
        // SAFETY: the caller gives room for a draft.
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
        // SAFETY: the caller gives `refs_len` ids.
        let contains = unsafe { slice(refs, refs_len) };
        let sealed = current::<E>()?.seal(draft, contains)?;
        // SAFETY: the caller gives room for an id.
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
        // SAFETY: the caller gives a submission.
        let task = unsafe { task.read() };
        // SAFETY: it says how long each of these is, and keeps them for the call.
        let (arguments, name, options) =
            unsafe { (slice(task.args, task.args_len), bytes(task.name), bytes(task.options)) };
        let task = Task { trampoline: task.trampoline, name, options, returns: task.returns, arguments };
        let id = current::<E>()?.submit(task)?;
        // SAFETY: the caller gives room for `returns` ids, of which there is one at least.
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
        // SAFETY: the caller gives `ids_len` ids, and room for one byte an id, which it does not look at meanwhile.
        let (ids, ready) = unsafe { (slice(ids, ids_len), slice_mut(ready, ids_len)) };
        let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
        current::<E>()?.wait(ids, num_returns, timeout, ready)
    })
}

unsafe extern "C" fn open<E: Engine>(id: u64, view: *mut View, fault: *mut Blob) -> Status {
    let mut is_ready = true;
    let status = answer(fault, || {
        match current::<E>()?.open(id)? {
            // SAFETY: the caller gives room for a view.
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
        // SAFETY: the caller gives `ids_len` ids.
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
        // SAFETY: the caller gives `refs_len` ids.
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
        // SAFETY: the caller's bytes are valid for the call.
        let encoded = unsafe { bytes(cause) };
        let malformed = |_| Cause::Refused { message: "it failed in a way that does not decode".into() };
        engine.fail(call, postcard::from_bytes(encoded).unwrap_or_else(malformed));
    }
}

unsafe extern "C" fn ask<E: Engine>(question: Bytes, into: *mut Blob, fault: *mut Blob) -> Status {
    answer(fault, || {
        // SAFETY: the caller's bytes are valid for the call.
        let encoded = unsafe { bytes(question) };
        let malformed = |_| Box::new(Fault::Refused { message: "the question does not decode".into() });
        let answer = current::<E>()?.ask(postcard::from_bytes(encoded).map_err(malformed)?)?;
        // SAFETY: the caller gives room for a blob.
        unsafe { into.write(blob(&answer)) };
        Ok(())
    })
}

unsafe extern "C" fn free(blob: Blob) {
    if !blob.ptr.is_null() {
        // SAFETY: only `blob` below makes these, from a vector with this length and capacity, and the caller gives each
        // back once.
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
                // SAFETY: not null, so the caller gives room for a blob.
                unsafe { fault.write(blob(&*error)) };
            }
            Status::FAULT
        }
    }
}

fn blob(value: &impl Serialize) -> Blob {
    // Plain data always encodes; if it did not, an empty blob is what the caller cannot decode either.
    let mut bytes = ManuallyDrop::new(postcard::to_stdvec(value).unwrap_or_default());
    Blob { ptr: bytes.as_mut_ptr(), len: bytes.len() as u64, cap: bytes.capacity() as u64 }
}

/// # Safety
/// `ptr` points to `len` values, or `len` is 0.
unsafe fn slice<'a, T>(ptr: *const T, len: u64) -> &'a [T] {
    if len == 0 || ptr.is_null() {
        return &[];
    }
    // SAFETY: as the caller says; it is the caller of a table's function, who keeps them for the call.
    unsafe { std::slice::from_raw_parts(ptr, len as usize) }
}

/// # Safety
/// `ptr` points to `len` values that nobody else looks at, or `len` is 0.
unsafe fn slice_mut<'a, T>(ptr: *mut T, len: u64) -> &'a mut [T] {
    if len == 0 || ptr.is_null() {
        return &mut [];
    }
    // SAFETY: as the caller says; it is the caller of a table's function, who keeps them for the call.
    unsafe { std::slice::from_raw_parts_mut(ptr, len as usize) }
}

/// # Safety
/// As for [`slice`].
unsafe fn bytes<'a>(borrowed: Bytes) -> &'a [u8] {
    // SAFETY: as the caller says.
    unsafe { slice(borrowed.ptr, borrowed.len) }
}
