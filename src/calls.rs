//! The library's end of the waist, the C ABI: the table that it was given, and safe wrappers of its functions.
//!
//! ```text
//!   api, remote, object ──▶ this file ──Table──▶ the runtime of the process
//!                mobula_attach ◀──── the loader of the library
//! ```
//!
//! # Invariants
//! - Each shared library has its own copy of this state, and is attached before any of its user's code runs.
//! - A table, once stored, is valid for the rest of the process, as [`abi`](crate::abi) demands of every loader.
//! - The owner of a [`Draft`], a [`Hold`] or a [`Handle`] gives it back exactly once: by `Drop`, or by the call that
//!   consumes it.
#![allow(unsafe_code)] // Every raw call of the table is in this file; all other files use the safe names.

mod awaited;
mod block;
pub(crate) mod callbacks;
mod copy_into_object;
mod handle;
pub(crate) mod panic_hook;

pub(crate) use awaited::wake_when_finished;
pub use block::cell_error;
pub(crate) use block::{Json, write_block};
pub(crate) use handle::Handle;
pub use handle::ObjectId;

use crate::abi::{
    ABI_VERSION, Answer, Argument, Blob, Bytes, Call, Cause, CommAnswer, CommCall, Draft as RawDraft, Fault, Hooks,
    Instance, Notify, Pending, Question, Status, Submission, Table, Tenant, Trampoline, View, Work,
};
use copy_into_object::copy;
use std::ffi::c_void;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::ptr::{NonNull, null, null_mut};
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The table of this library; null until it is attached.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());
/// The loader's table, if [`TABLE`] is an engine of this process instead; else null.
static OUTSIDE: AtomicPtr<Table> = AtomicPtr::new(null_mut());
/// The role that this library is attached for: one of [`Tenant`]'s.
static ROLE: AtomicU32 = AtomicU32::new(Tenant::PROGRAM);

static HOOKS: Hooks = Hooks {
    version: ABI_VERSION,
    size: size_of::<Hooks>() as u32,
    flush: flush_stdout,
    with_streams_locked,
    run_callbacks: callbacks::run,
};

/// Attaches this library to a runtime: [`crate::abi::Attach`]. Returns null when the versions differ.
///
/// # Safety
/// `table` and `tenant` must each be null, or point to a [`Table`] or a [`Tenant`] (of any version: the first word says
/// which). The table must stay valid and unchanged until the process ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mobula_attach(table: *const Table, tenant: *const Tenant) -> *const Hooks {
    if table.is_null() || tenant.is_null() {
        return null();
    }
    // SAFETY: both are readable by this function's contract. A `u32` version is the first field of both in every
    // version of the interface, and nothing else is read before the versions are known to agree.
    let versions = unsafe { [table.cast::<u32>().read(), tenant.cast::<u32>().read()] };
    if versions != [ABI_VERSION; 2] {
        return null();
    }
    // SAFETY: readable by this function's contract, and the version says that these are the structures known to this
    // file.
    let (size, role) = unsafe { ((*table).size, (*tenant).role) };
    if size as usize != size_of::<Table>() {
        return null();
    }
    ROLE.store(role, Ordering::Relaxed);
    // Release: pairs with the Acquire in `table`. A thread that sees the pointer sees the table's content.
    let place = if is_in_process() { &OUTSIDE } else { &TABLE };
    place.store(table.cast_mut(), Ordering::Release);
    panic_hook::install();
    &raw const HOOKS
}

/// Whether this library uses an engine of this process, whatever the loader attaches.
pub(crate) fn is_in_process() -> bool {
    !OUTSIDE.load(Ordering::Acquire).is_null()
}

/// Uses an engine of this process from now on.
#[cfg(any(test, feature = "inline"))]
pub(crate) fn go_in_process(engine: &'static Table) {
    if !is_in_process() {
        OUTSIDE.store(TABLE.load(Ordering::Acquire), Ordering::Release);
        TABLE.store((&raw const *engine).cast_mut(), Ordering::Release);
    }
}

/// Uses the loader's runtime again.
pub(crate) fn leave_process() {
    let outside = OUTSIDE.swap(null_mut(), Ordering::AcqRel);
    if !outside.is_null() {
        TABLE.store(outside, Ordering::Release);
    }
}

/// # Safety
/// `work` must be safe to call with `data`.
unsafe extern "C" fn with_streams_locked(work: Work, data: *mut c_void) {
    // In this order, because a thread that holds standard output to write fast still reports errors.
    let still = || (awaited::hold_still(), callbacks::hold_still());
    let locked = (std::io::stdout().lock(), std::io::stderr().lock(), still());
    // SAFETY: by this function's contract.
    unsafe { work(data) };
    drop(locked);
}

extern "C" fn flush_stdout() {
    // A closed or broken stream is not for this library to report.
    let _ = std::io::stdout().flush();
}

/// The role that this library is attached for: one of [`Tenant`]'s.
pub(crate) fn role() -> u32 {
    ROLE.load(Ordering::Relaxed)
}

/// A fault is large and rare, so it is boxed.
type Fallible<T> = Result<T, Box<Fault>>;

fn table() -> Fallible<&'static Table> {
    // SAFETY: the pointer is null or came from `mobula_attach`, whose contract makes it readable and unchanging until
    // the process ends. (Acquire: pairs with the Release there.)
    let table = unsafe { TABLE.load(Ordering::Acquire).as_ref() };
    table.ok_or_else(unattached)
}

#[cold]
fn unattached() -> Box<Fault> {
    let message = "no runtime: run this in `mobula`, or start one with the feature `runtime`";
    Box::new(Fault::Refused { message: message.into() })
}

/// Makes one call that can fault, and turns its fault blob into a [`Fault`].
fn call(body: impl FnOnce(&'static Table, *mut Blob) -> Status) -> Fallible<()> {
    if call_if_ready(body)? { Ok(()) } else { Err(Box::new(unreadable())) }
}

/// As [`call`], for a call that can also answer [`Status::NOT_READY`], which is `false`.
fn call_if_ready(body: impl FnOnce(&'static Table, *mut Blob) -> Status) -> Fallible<bool> {
    let table = table()?;
    let mut blob = Blob::EMPTY;
    match body(table, &mut blob) {
        Status::OK => Ok(true),
        Status::NOT_READY => Ok(false),
        _ => Err(faulted(table, blob)),
    }
}

/// The fault in the blob.
///
/// An interrupt is not returned: it unwinds from here, so that no caller can forget to pass it on.
#[cold]
fn faulted(table: &Table, blob: Blob) -> Box<Fault> {
    let fault = postcard::from_bytes(&take_blob(table, blob)).unwrap_or_else(|_| unreadable());
    // A second unwind while the thread unwinds already would end the process.
    if fault == Fault::Interrupted && !std::thread::panicking() {
        panic_hook::unwind_interrupted();
    }
    Box::new(fault)
}

fn unreadable() -> Fault {
    Fault::Disconnected { reason: "its answer is unreadable".into() }
}

/// Copies the blob's bytes, and gives the blob back to the loader.
fn take_blob(table: &Table, blob: Blob) -> Vec<u8> {
    if blob.ptr.is_null() {
        return Vec::new();
    }
    // SAFETY: a blob that is not null has `len` readable, initialised bytes, which the loader leaves to the caller
    // until `free`.
    let bytes = unsafe { std::slice::from_raw_parts(blob.ptr, blob.len as usize) }.to_vec();
    // SAFETY: the blob came from this table, and only this function frees blobs. `blob` is moved into the call.
    unsafe { (table.free)(blob) };
    bytes
}

fn bytes_of(bytes: &[u8]) -> Bytes {
    Bytes { ptr: bytes.as_ptr(), len: bytes.len() as u64 }
}

/// The handles' ids, as the table takes them.
fn ids_of(handles: &[Handle]) -> &[u64] {
    // SAFETY: a `Handle` has the layout of a `u64` (`repr(transparent)`), and the result has the lifetime of the
    // borrow.
    unsafe { slice::from_raw_parts(handles.as_ptr().cast(), handles.len()) }
}

/// Room for one object's bytes. Dropping it discards it.
#[derive(Debug)]
pub(crate) struct Draft {
    token: u64,
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to this draft alone, and the table's functions may be called from any thread.
unsafe impl Send for Draft {}

impl Draft {
    /// Creates a draft of `len` bytes.
    pub(crate) fn create(len: usize) -> Fallible<Draft> {
        let mut raw = RawDraft { token: 0, ptr: null_mut() };
        // SAFETY: `raw` and `fault` are writable for the duration of the call, which is all that `create` asks.
        call(|table, fault| unsafe { (table.create)(len as u64, &mut raw, fault) })?;
        let ptr = NonNull::new(raw.ptr).ok_or_else(|| Box::new(unreadable()))?;
        Ok(Draft { token: raw.token, ptr, len })
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// When they do not fit, which is a bug: the caller computed the length.
    #[inline]
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.len && bytes.len() <= self.len - offset, "bug: a write past the end of a draft");
        // SAFETY: in bounds by the assertion.
        let to = unsafe { self.ptr.add(offset) };
        // SAFETY: by the assertion, `bytes.len()` bytes at `to` are in bounds. The memory is this draft's alone until
        // it ends, so it cannot overlap `bytes`.
        unsafe { copy(to.as_ptr(), bytes) };
    }

    /// Turns the draft into an object that refers to `refs`. Returns its id, with one reference for the caller.
    pub(crate) fn seal(self, refs: &[Handle]) -> Fallible<u64> {
        let (token, refs) = (self.into_token(), ids_of(refs));
        let mut id = 0;
        // SAFETY: `refs` is readable, `id` and `fault` writable during the call; the token is given away exactly once.
        call(|table, fault| unsafe { (table.seal)(token, refs.as_ptr(), refs.len() as u64, &mut id, fault) })?;
        Ok(id)
    }

    /// Gives the draft up to a call that ends it.
    fn into_token(self) -> u64 {
        let token = self.token;
        std::mem::forget(self);
        token
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Ok(table) = table() {
            // SAFETY: the token came from `create` and has not been given away, because `into_token` forgets the draft.
            unsafe { (table.discard)(self.token) };
        }
    }
}

/// The bytes of a sealed object, which stay in place until this is dropped.
pub(crate) struct Hold {
    ptr: NonNull<u8>,
    len: usize,
    hold: u64,
}

// SAFETY: the bytes of a sealed object never change, so any number of threads may read them, and `close` may be called
// from any thread.
unsafe impl Send for Hold {}
// SAFETY: as for `Send`; nothing in it can be changed through a shared reference.
unsafe impl Sync for Hold {}

impl Hold {
    /// Opens an object. Returns `None` if it is not ready.
    pub(crate) fn open(id: u64) -> Fallible<Option<Hold>> {
        let mut view = View { ptr: null(), len: 0, hold: 0 };
        // SAFETY: `view` and `fault` are writable for the duration of the call.
        let ready = call_if_ready(|table, fault| unsafe { (table.open)(id, &mut view, fault) })?;
        Ok(ready.then(|| Hold::new(view)))
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
        // SAFETY: the loader promises `len` readable, initialised bytes that do not change until `close`, which only
        // `drop` calls. (`new` has made a null pointer an empty slice.)
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
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

/// The most arguments that a task takes: the largest arity that `remote` is defined for.
pub(crate) const ARGS_MAX: usize = 8;

/// One argument of a task about to be submitted.
pub(crate) enum Arg {
    /// An object to which the caller has a reference until the task is submitted.
    Lent(u64),
    /// An object, with the reference to it.
    Owned(Handle),
    /// Bytes that refer to these objects. The draft is taken out when it is given away.
    Draft(Option<Draft>, Vec<Handle>),
}

impl Arg {
    /// The argument for the table. A draft is given away with it.
    fn give(&mut self) -> Argument {
        let (kind, value, refs): (_, _, &[Handle]) = match self {
            Arg::Lent(id) => (Argument::REF, *id, &[]),
            Arg::Owned(handle) => (Argument::REF, handle.id(), &[]),
            Arg::Draft(draft, refs) => {
                (Argument::DRAFT, draft.take().expect("bug: an argument is given away twice").into_token(), refs)
            }
        };
        let refs = ids_of(refs);
        Argument { kind, reserved: 0, value, refs: refs.as_ptr(), refs_len: refs.len() as u64 }
    }
}

/// Submits a task that returns one object; the caller gets one reference to it. `kind` is as in [`Submission`], and `options` are postcard
/// of [`TaskOptions`](crate::abi::TaskOptions), or empty for the defaults.
pub(crate) fn submit<'a>(
    kind: u32,
    name: &'static str,
    trampoline: Trampoline,
    args: impl Iterator<Item = &'a mut Arg>,
    options: &[u8],
) -> Fallible<u64> {
    table()?; // Without a table, the drafts in `args` must not be taken out.
    let mut raw = [Argument { kind: 0, reserved: 0, value: 0, refs: null(), refs_len: 0 }; ARGS_MAX];
    let mut args_len = 0;
    for arg in args {
        assert!(args_len < ARGS_MAX, "bug: a task of more than {ARGS_MAX} arguments");
        raw[args_len] = arg.give();
        args_len += 1;
    }
    let submission = Submission {
        trampoline: trampoline as *const c_void,
        name: bytes_of(name.as_bytes()),
        args: raw.as_ptr(),
        args_len: args_len as u64,
        returns: 1,
        kind,
        options: bytes_of(options),
    };
    let mut id = 0;
    // SAFETY: everything that `submission` points to outlives the call: `name`, `options`, `raw`, and the handles that the
    // borrowed `args` still have. There is room for the one id that the call returns. Each draft token is given away
    // here and nowhere else, even if the call fails.
    call(|table, fault| unsafe { (table.submit)(&submission, &mut id, fault) })?;
    Ok(id)
}

/// Waits until `num_returns` of `ids` are ready or `timeout_ns` has passed. `ids` must have no id twice, and `ready`
/// must be as long. An entry of `ready` is set to 1 if its object is ready, and to 0 if not.
pub(crate) fn wait(ids: &[u64], num_returns: usize, timeout_ns: u64, ready: &mut [u8]) -> Fallible<()> {
    assert_eq!(ids.len(), ready.len(), "bug: a mark is wanted for each id");
    // SAFETY: `ids` is readable and `ready` writable for `ids.len()` elements (the line above) during the call.
    call(|table, fault| unsafe {
        (table.wait)(ids.as_ptr(), ids.len() as u64, num_returns as u64, timeout_ns, ready.as_mut_ptr(), fault)
    })
}

/// Calls `notify` when the object is finished, or when a call of its awaiter would be interrupted.
fn watch(id: u64, notify: Notify) -> Fallible<()> {
    // SAFETY: `notify` lives as long as this library, which is never closed, and `fault` is writable during the call.
    call(|table, fault| unsafe { (table.watch)(id, notify, fault) })
}

/// Takes one more reference to each of these objects.
pub(crate) fn retain(ids: &[u64]) {
    if let Ok(table) = table() {
        // SAFETY: `ids` is readable for its length during the call; the runtime refuses unknown ids.
        unsafe { (table.retain)(ids.as_ptr(), ids.len() as u64) };
    }
}

/// Gives one reference back.
pub(crate) fn release(id: u64) {
    if let Ok(table) = table() {
        // SAFETY: the call takes a plain number. Only a `Handle`'s drop makes it, once for each reference taken.
        unsafe { (table.release)(id) };
    }
}

/// Asks the runtime a question that is not on a fast path.
pub(crate) fn ask(question: &Question) -> Fallible<Answer> {
    ask_at(table()?, question)
}

fn ask_at(table: &'static Table, question: &Question) -> Fallible<Answer> {
    let question = postcard::to_stdvec(question).map_err(|_| unreadable())?;
    let (mut answer, mut fault) = (Blob::EMPTY, Blob::EMPTY);
    // SAFETY: the question is readable, `answer` and `fault` writable during the call.
    let status = unsafe { (table.ask)(bytes_of(&question), &mut answer, &mut fault) };
    if status != Status::OK {
        return Err(faulted(table, fault));
    }
    postcard::from_bytes(&take_blob(table, answer)).map_err(|_| Box::new(unreadable()))
}

/// Calls the comms of the session that runs this library's cells, also while tasks run in this process.
///
/// # Errors
/// There is no session: this is a plain program.
pub(crate) fn comm(call: CommCall) -> Fallible<CommAnswer> {
    let outside = OUTSIDE.load(Ordering::Acquire);
    // SAFETY: as in `table`: null, or a table that is readable and unchanging until the process ends.
    let outside = unsafe { outside.as_ref() };
    match ask_at(outside.map_or_else(table, Ok)?, &Question::Comm { call, cell: 0 })? {
        Answer::Comm(answer) => Ok(answer),
        _ => Err(Box::new(unreadable())),
    }
}

/// Whether the one argument of a constructor's call is a checkpoint of the actor, and not what the constructor takes.
///
/// # Safety
/// `call` must be what a loader gives to a [`Trampoline`] that has not returned.
pub(crate) unsafe fn is_restore(call: *const Call) -> bool {
    // SAFETY: by this function's contract, `call` points to a valid `Call`.
    unsafe { (*call).is_restore != 0 }
}

/// A running task, as its trampoline sees it. Dropping it closes the arguments that were not taken.
pub(crate) struct Running<'call> {
    call: u64,
    returns: u32,
    args: slice::Iter<'call, View>,
    /// The place of the actor's state; null in a task.
    instance: *mut Instance,
    /// The place for what is left of an async call; null where there is none.
    pending: *mut Pending,
}

/// See [`Running::pending_place`].
pub(crate) struct PendingPlace<'call>(Option<&'call mut Pending>);

impl PendingPlace<'_> {
    /// Gives the call back to the loader, which polls what is left of it.
    pub(crate) fn set(self, pending: Pending) {
        if let Some(place) = self.0 {
            *place = pending;
        }
    }
}

impl<'call> Running<'call> {
    /// Takes over the call and its arguments.
    ///
    /// # Safety
    /// `call` must be what a loader gives to a [`Trampoline`], must be taken over only once, and the trampoline must not return
    /// before `'call` ends.
    pub(crate) unsafe fn take(call: *const Call) -> Running<'call> {
        // SAFETY: by this function's contract, `call` points to a valid `Call` until `'call` ends.
        let call = unsafe { &*call };
        let views: &[View] = match call.args_len {
            0 => &[], // The pointer may be anything.
            // SAFETY: by the same contract, the list has `len` views, which the loader keeps while the trampoline runs.
            len => unsafe { slice::from_raw_parts(call.args, len as usize) },
        };
        let Call { call, returns, instance, pending, .. } = *call;
        Running { call, returns, args: views.iter(), instance, pending }
    }

    /// The number of results wanted.
    pub(crate) fn returns(&self) -> u32 {
        self.returns
    }

    /// The next argument's bytes.
    pub(crate) fn next_arg(&mut self) -> Option<Hold> {
        self.args.next().map(|view| Hold::new(*view))
    }

    /// Makes `state` the actor's, in its constructor. False where there is no actor.
    pub(crate) fn set_state<T: 'static>(&mut self, state: T, save: Option<Trampoline>) -> bool {
        let state = Box::into_raw(Box::new(state)).cast();
        let made = Instance { type_id: type_id::<T>(), state, drop: Some(drop_state::<T>), save };
        // SAFETY: by the contract of `Call`, the place is null or valid and aligned, and no other code uses it while the call runs.
        let Some(place) = (unsafe { self.instance.as_mut() }) else {
            // SAFETY: `state` is the value that was boxed above, and is dropped once.
            unsafe { drop_state::<T>(state) };
            return false;
        };
        *place = made;
        true
    }

    /// The actor's state. `None` if it is not a `T`, as this library knows one.
    pub(crate) fn state<T: 'static>(&mut self) -> Option<&mut T> {
        // SAFETY: by the contract of `Call`, the place is null or valid and aligned, and no other code uses it while the call runs.
        let place = unsafe { self.instance.as_ref() }?;
        let state = NonNull::new(place.state.cast::<T>()).filter(|_| place.type_id == type_id::<T>())?;
        // SAFETY:
        // - Valid: `set_state` made it from a `Box<T>`, and this is the same `T`, because its `type_id` says so.
        // - Exclusive: while the call runs nothing else uses it, and the result borrows this value, of which the call has one.
        Some(unsafe { &mut *state.as_ptr() })
    }

    /// The actor's state, for a call that only reads it. `None` if it is not a `T`, as this library knows one.
    ///
    /// # Safety
    /// The call is a [`Submission::READ`] or a [`Submission::ASYNC`], and the state is not used after it has ended.
    pub(crate) unsafe fn shared_state<T: 'static>(&self) -> Option<&'static T> {
        // SAFETY: by the contract of `Call`, the place is null or valid and aligned, and nobody writes to it while such a call runs.
        let place = unsafe { self.instance.as_ref() }?;
        let state = NonNull::new(place.state.cast::<T>()).filter(|_| place.type_id == type_id::<T>())?;
        // SAFETY: valid as in `state`; while such a call runs, by this function's contract, everybody only reads.
        Some(unsafe { state.as_ref() })
    }

    /// The place for what is left of the call when its trampoline returns.
    pub(crate) fn pending_place(&mut self) -> PendingPlace<'call> {
        let pending = std::mem::replace(&mut self.pending, null_mut());
        // SAFETY: by the contract of `Call`, the place is null or valid and aligned, and no other code uses it until `'call` ends; it was
        // taken out, so this is the only way to it.
        PendingPlace(unsafe { pending.as_mut() })
    }

    /// Whether the loader would poll what is left of it.
    pub(crate) fn may_pend(&self) -> bool {
        !self.pending.is_null()
    }

    /// The call, to deliver its outcome when its trampoline has returned.
    pub(crate) fn detached(self) -> Running<'static> {
        let (call, returns) = (self.call, self.returns);
        // What was not taken of its arguments is closed here.
        drop(self);
        Running { call, returns, args: [].iter(), instance: null_mut(), pending: null_mut() }
    }

    /// Delivers the result.
    pub(crate) fn succeed(self, draft: Draft, refs: &[Handle]) {
        if let Ok(table) = table() {
            let refs = ids_of(refs);
            // SAFETY: the call is still running (this value ends here), and its result 0 has not been delivered. The
            // draft is given away once, and `refs` is readable during the call.
            unsafe { (table.result)(self.call, 0, draft.into_token(), refs.as_ptr(), refs.len() as u64) };
        }
    }

    /// Delivers the failure.
    pub(crate) fn fail(self, cause: &Cause) {
        let bytes = postcard::to_stdvec(cause).unwrap_or_default();
        if let Ok(table) = table() {
            // SAFETY: the call is still running, because this value ends here. `bytes` is readable during the call.
            unsafe { (table.fail)(self.call, bytes_of(&bytes)) };
        }
    }
}

/// A number that tells types apart, the same in all libraries of one compiler; never 0.
pub(crate) fn type_id<T: 'static>() -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    std::any::TypeId::of::<T>().hash(&mut hasher);
    hasher.finish() | 1
}

/// Drops an actor's state.
///
/// # Safety
/// `state` is that of an actor whose type is `T`, and is not used after this.
unsafe extern "C" fn drop_state<T>(state: *mut c_void) {
    // SAFETY: by this function's contract and `set_state`, it comes from a `Box<T>`, and is dropped once.
    let state = unsafe { Box::from_raw(state.cast::<T>()) };
    // What a panic in it says has been written by then. It must not leave a C function.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(state)));
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        while let Some(arg) = self.next_arg() {
            drop(arg);
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
            // SAFETY: both point to a version which is not this build's, so nothing else may be read.
            assert!(unsafe { mobula_attach(table, tenant) }.is_null());
        }
        // SAFETY: null is allowed.
        assert!(unsafe { mobula_attach(null(), null()) }.is_null());
    }

    #[test]
    fn arguments_that_a_task_does_not_take_are_closed() {
        crate::inline::attach();
        let views: [View; 3] = std::array::from_fn(|_| {
            let object = Handle::adopt(Draft::create(8).unwrap().seal(&[]).unwrap());
            let hold = std::mem::ManuallyDrop::new(Hold::open(object.id()).unwrap().expect("it is ready"));
            View { ptr: hold.ptr.as_ptr(), len: hold.len as u64, hold: hold.hold }
        });
        let (args, instance, pending) = (views.as_ptr(), null_mut(), null_mut());
        let call = Call { call: u64::MAX, args, args_len: 3, returns: 1, is_restore: 0, instance, pending };
        // SAFETY: `call` and the views that it points to live to the end of this function, and nothing else closes
        // them.
        let mut running = unsafe { Running::take(&call) };
        let taken = running.next_arg();
        running.fail(&Cause::Exit { code: 1 });
        assert_eq!(views.map(|view| crate::inline::unready::is_open(view.hold)), [true, false, false]);
        drop(taken);
        assert!(!crate::inline::unready::is_open(views[0].hold));
    }
}
