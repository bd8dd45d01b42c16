//! The library's end of the waist: the table it was given, and safe names for the calls through it.
//!
//! ```text
//!   api, remote, object ──▶ this file ──Table──▶ the runtime of the process
//!                mobula_attach ◀──── whoever loaded the library
//! ```
//!
//! # Invariants
//! - Each shared library has its own copy of this state, and is attached before any of its user's code runs.
//! - A table, once stored, is valid for the rest of the process ([`abi`] says so of every loader).
//! - Whoever holds a [`Draft`], a [`Hold`] or a [`Handle`](crate::object::Handle) gives it back exactly once: by `Drop`,
//!   or by the call that consumes it.
#![allow(unsafe_code)] // Every raw call of the table is in this file; all other files use the safe names.

mod block;
pub(crate) mod hook;

pub use block::cell_error;
pub(crate) use block::{Json, write_block};

use crate::abi::{
    ABI_VERSION, Answer, Argument, Blob, Bytes, Call, Cause, Draft as RawDraft, Fault, Hooks, Question, Status,
    Submission, Table, Tenant, Trampoline, View,
};
use std::ffi::c_void;
use std::io::Write;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The table of this library; null until it is attached.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());
/// For whom: one of [`Tenant`]'s roles.
static ROLE: AtomicU32 = AtomicU32::new(Tenant::PROGRAM);

static HOOKS: Hooks = Hooks { version: ABI_VERSION, size: size_of::<Hooks>() as u32, flush: flush_stdout };

/// Attaches this library to a runtime: [`crate::abi::Attach`]. Returns null when the versions differ.
///
/// # Safety
/// `table` and `tenant` must point to a [`Table`] and a [`Tenant`] (of any version: the first word says which), and the
/// table must stay valid and unchanged until the process ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mobula_attach(table: *const Table, tenant: *const Tenant) -> *const Hooks {
    if table.is_null() || tenant.is_null() {
        return null();
    }
    // SAFETY: both are readable by this function's contract, and a `u32` version is the first field of both in every
    // version of the interface; nothing else is read before the versions are known to agree.
    let versions = unsafe { [table.cast::<u32>().read(), tenant.cast::<u32>().read()] };
    if versions != [ABI_VERSION; 2] {
        return null();
    }
    // SAFETY: the version says that these are the structures that this file knows.
    let (size, role) = unsafe { ((*table).size, (*tenant).role) };
    if size as usize != size_of::<Table>() {
        return null();
    }
    ROLE.store(role, Ordering::Relaxed);
    // Release: whoever sees the pointer (Acquire in `table`) sees the table's content.
    TABLE.store(table.cast_mut(), Ordering::Release);
    hook::install();
    &raw const HOOKS
}

extern "C" fn flush_stdout() {
    // A stream that is closed or broken is not this library's to report.
    let _ = std::io::stdout().flush();
}

/// For whom this library is attached; one of [`Tenant`]'s roles.
pub(crate) fn role() -> u32 {
    ROLE.load(Ordering::Relaxed)
}

/// A fault is large and rare, so it is boxed.
type Fallible<T> = Result<T, Box<Fault>>;

fn table() -> Fallible<&'static Table> {
    // SAFETY: it is null or what `mobula_attach` was promised: readable and unchanging until the process ends.
    let table = unsafe { TABLE.load(Ordering::Acquire).as_ref() };
    let message = "no runtime: run this in `mobula`, or start one with the feature `runtime`";
    table.ok_or_else(|| Box::new(Fault::Refused { message: message.into() }))
}

/// Makes one call that can fault, and turns its fault blob into a [`Fault`].
///
/// An interrupt is not returned: it unwinds from here, so that nobody can forget to pass it on.
fn call(body: impl FnOnce(&'static Table, *mut Blob) -> Status) -> Fallible<()> {
    let table = table()?;
    let mut blob = Blob::EMPTY;
    if body(table, &mut blob) == Status::OK {
        return Ok(());
    }
    let fault = postcard::from_bytes(&take_blob(table, blob)).unwrap_or_else(|_| unreadable());
    // Unwinding while the thread unwinds already would end the process.
    if fault == Fault::Interrupted && !std::thread::panicking() {
        hook::unwind_interrupted();
    }
    Err(Box::new(fault))
}

fn unreadable() -> Fault {
    Fault::Disconnected { reason: "its answer is unreadable".into() }
}

/// The blob's bytes; the blob itself goes back to the loader.
fn take_blob(table: &Table, blob: Blob) -> Vec<u8> {
    if blob.ptr.is_null() {
        return Vec::new();
    }
    // SAFETY: a blob that is not null is `len` readable bytes that the loader left to the caller until `free`.
    let bytes = unsafe { std::slice::from_raw_parts(blob.ptr, blob.len as usize) }.to_vec();
    // SAFETY: it came from this table, and this is the only place that frees one; `blob` is moved into the call.
    unsafe { (table.free)(blob) };
    bytes
}

fn bytes_of(bytes: &[u8]) -> Bytes {
    Bytes { ptr: bytes.as_ptr(), len: bytes.len() as u64 }
}

/// Room for one object's bytes. Dropping it throws it away.
pub(crate) struct Draft {
    token: u64,
    ptr: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to this draft alone, and the table's functions may be called from any thread.
unsafe impl Send for Draft {}

impl Draft {
    /// Asks for `len` bytes.
    pub(crate) fn create(len: usize) -> Fallible<Draft> {
        let mut raw = RawDraft { token: 0, ptr: null_mut() };
        // SAFETY: `raw` and `fault` are writable for the duration of the call, which is all that `create` asks.
        call(|table, fault| unsafe { (table.create)(len as u64, &mut raw, fault) })?;
        Ok(Draft { token: raw.token, ptr: raw.ptr, len })
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// When they do not fit: the caller computed the length it asked for.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset, "bug: a write past the end of a draft");
        // SAFETY: in bounds by the line above of memory that is this draft's alone until it ends (so it cannot overlap
        // `bytes`); copying does not read the target, which may be uninitialised.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.ptr.add(offset), bytes.len()) };
    }

    /// Makes it an object that refers to `refs`. The caller gets one reference to the id.
    pub(crate) fn seal(self, refs: &[u64]) -> Fallible<u64> {
        let token = self.into_token();
        let mut id = 0;
        // SAFETY: `refs` is readable, `id` and `fault` writable during the call; the token is given away exactly once.
        call(|table, fault| unsafe { (table.seal)(token, refs.as_ptr(), refs.len() as u64, &mut id, fault) })?;
        Ok(id)
    }

    /// Hands the draft over to a call that ends it.
    fn into_token(self) -> u64 {
        let token = self.token;
        std::mem::forget(self);
        token
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Ok(table) = table() {
            // SAFETY: the token came from `create` and has not been given away: whoever does that forgets the draft.
            unsafe { (table.discard)(self.token) };
        }
    }
}

/// A sealed object's bytes; they stay where they are until this is dropped.
pub(crate) struct Hold {
    ptr: NonNull<u8>,
    len: usize,
    hold: u64,
}

// SAFETY: the bytes of a sealed object never change, so any number of threads may read them, and `close` may be called
// from any thread.
unsafe impl Send for Hold {}
// SAFETY: as above; nothing in it can be changed through a shared reference.
unsafe impl Sync for Hold {}

impl Hold {
    /// Opens a ready object.
    pub(crate) fn open(id: u64) -> Fallible<Hold> {
        let mut view = View { ptr: null(), len: 0, hold: 0 };
        // SAFETY: `view` and `fault` are writable for the duration of the call.
        call(|table, fault| unsafe { (table.open)(id, &mut view, fault) })?;
        Ok(Hold::new(view))
    }

    fn new(view: View) -> Hold {
        let ptr = NonNull::new(view.ptr.cast_mut());
        Hold {
            ptr: ptr.unwrap_or(NonNull::dangling()),
            len: if ptr.is_some() { view.len as usize } else { 0 },
            hold: view.hold,
        }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the loader promises `len` readable bytes that do not change until `close`, which only `drop` calls.
        // (`new` has made a null pointer an empty slice.)
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Ok(table) = table() {
            // SAFETY: the hold came from the loader (`open`, or a call's argument) and is given back only here.
            unsafe { (table.close)(self.hold) };
        }
    }
}

/// One argument of a task about to be submitted.
pub(crate) enum Arg {
    /// An object.
    Ref(u64),
    /// Bytes that refer to these objects.
    Draft(Draft, Vec<u64>),
}

/// Submits a task that returns one object; the caller gets one reference to it.
pub(crate) fn submit(name: &str, trampoline: Trampoline, args: Vec<Arg>) -> Fallible<u64> {
    table()?; // Without one, the drafts in `args` must not be taken apart.
    let mut refs_of = Vec::with_capacity(args.len());
    let mut raw = Vec::with_capacity(args.len());
    for arg in args {
        let (kind, value, refs) = match arg {
            Arg::Ref(id) => (Argument::REF, id, Vec::new()),
            Arg::Draft(draft, refs) => (Argument::DRAFT, draft.into_token(), refs),
        };
        raw.push(Argument { kind, reserved: 0, value, refs: refs.as_ptr(), refs_len: refs.len() as u64 });
        refs_of.push(refs); // Moving a `Vec` leaves its elements where `raw` points.
    }
    let submission = Submission {
        trampoline: trampoline as *const c_void,
        name: bytes_of(name.as_bytes()),
        args: raw.as_ptr(),
        args_len: raw.len() as u64,
        returns: 1,
        reserved: 0,
        options: bytes_of(&[]),
    };
    let mut id = 0;
    // SAFETY: everything that `submission` points to (`name`, `raw`, the vectors in `refs_of`) outlives the call; there is
    // room for the one id it returns; each draft token is given away here and nowhere else, also if the call fails.
    let result = call(|table, fault| unsafe { (table.submit)(&submission, &mut id, fault) });
    drop(refs_of);
    result.map(|()| id)
}

/// Waits until `num_returns` of `ids` are ready or `timeout_ns` has passed, and says of each whether it is ready.
pub(crate) fn wait(ids: &[u64], num_returns: usize, timeout_ns: u64) -> Fallible<Vec<bool>> {
    let mut ready = vec![0_u8; ids.len()];
    // SAFETY: `ids` is readable and `ready` writable for `ids.len()` elements during the call.
    call(|table, fault| unsafe {
        (table.wait)(ids.as_ptr(), ids.len() as u64, num_returns as u64, timeout_ns, ready.as_mut_ptr(), fault)
    })?;
    Ok(ready.into_iter().map(|mark| mark != 0).collect())
}

/// Takes one more reference to an object.
pub(crate) fn retain(id: u64) {
    if let Ok(table) = table() {
        // SAFETY: takes a plain number; an unknown one is the runtime's to refuse.
        unsafe { (table.retain)(id) };
    }
}

/// Gives one reference back.
pub(crate) fn release(id: u64) {
    if let Ok(table) = table() {
        // SAFETY: takes a plain number; only a `Handle`'s drop calls this, once for each reference taken.
        unsafe { (table.release)(id) };
    }
}

/// Asks the runtime something that is not on a fast path.
pub(crate) fn ask(question: &Question) -> Fallible<Answer> {
    let question = postcard::to_stdvec(question).map_err(|_| unreadable())?;
    let mut blob = Blob::EMPTY;
    // SAFETY: the question is readable, `blob` and `fault` writable during the call.
    call(|table, fault| unsafe { (table.ask)(bytes_of(&question), &mut blob, fault) })?;
    postcard::from_bytes(&take_blob(table()?, blob)).map_err(|_| Box::new(unreadable()))
}

/// A task that is being run, as its trampoline sees it.
pub(crate) struct Running {
    call: u64,
    returns: u32,
    args: std::vec::IntoIter<Hold>,
}

impl Running {
    /// Takes over the call and its arguments.
    ///
    /// # Safety
    /// `call` must be what a loader gives to a [`Trampoline`], and must be taken over only once.
    pub(crate) unsafe fn take(call: *const Call) -> Running {
        // SAFETY: readable by this function's contract.
        let call = unsafe { &*call };
        let views: &[View] = match call.args_len {
            0 => &[], // The pointer may be anything.
            // SAFETY: the same contract.
            len => unsafe { std::slice::from_raw_parts(call.args, len as usize) },
        };
        let args: Vec<Hold> = views.iter().map(|view| Hold::new(*view)).collect();
        Running { call: call.call, returns: call.returns, args: args.into_iter() }
    }

    /// How many results are wanted.
    pub(crate) fn returns(&self) -> u32 {
        self.returns
    }

    /// The next argument's bytes.
    pub(crate) fn next_arg(&mut self) -> Option<Hold> {
        self.args.next()
    }

    /// Delivers the result.
    pub(crate) fn succeed(self, draft: Draft, refs: &[u64]) {
        if let Ok(table) = table() {
            // SAFETY: the call is running (this value ends here), its result 0 has not been delivered, the draft is given
            // away once, and `refs` is readable during the call.
            unsafe { (table.result)(self.call, 0, draft.into_token(), refs.as_ptr(), refs.len() as u64) };
        }
    }

    /// Delivers the failure.
    pub(crate) fn fail(self, cause: &Cause) {
        let bytes = postcard::to_stdvec(cause).unwrap_or_default();
        if let Ok(table) = table() {
            // SAFETY: the call is running (this value ends here) and `bytes` is readable during the call.
            unsafe { (table.fail)(self.call, bytes_of(&bytes)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_of_another_version_is_refused_before_anything_else_is_read() {
        let (ours, theirs) = (ABI_VERSION, ABI_VERSION + 1);
        for versions in [[theirs, ours], [ours, theirs], [theirs, theirs]] {
            let [table, tenant] = &versions;
            let (table, tenant) = (std::ptr::from_ref(table).cast(), std::ptr::from_ref(tenant).cast());
            // SAFETY: both point to a version, and it is not this one, which is all that may then be read.
            assert!(unsafe { mobula_attach(table, tenant) }.is_null());
        }
        // SAFETY: null is allowed.
        assert!(unsafe { mobula_attach(null(), null()) }.is_null());
    }
}
