//! The functions behind [`abi::Table`]: the client, as C sees it.
//!
//! Every function here does three things and no more: it turns raw parts into values, asks the process's [`Client`], and
//! writes the answer where the caller wants it. None unwinds: the client does not panic, and if it did, leaving an
//! `extern "C"` function by a panic ends the process instead of undermining the caller.

#![allow(unsafe_code)]

use super::client::{self, Client, Fallible, Input, Opened, Still};
use crate::abi::{self, Argument, Blob, Bytes, Cause, Draft, Fault, Hooks, Status, Submission, Table, Tenant, View};
use crate::protocol::{Function, ObjectId};
use crate::store::ARGS_MAX;
use serde::Serialize;
use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

static TABLE: Table = Table {
    version: abi::ABI_VERSION,
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

/// The table that this process attaches libraries to. Its functions work once the process is connected, and say so
/// before.
pub fn table() -> &'static Table {
    &TABLE
}

/// Attaches a library through its attach function, for `role` (see [`Tenant`]) and a cell.
///
/// # Errors
/// A sentence, when the library was built against another version.
///
/// # Safety
/// `attach` is what [`abi::ATTACH_SYMBOL`] names in a library that stays open.
pub unsafe fn attach(attach: abi::Attach, role: u32, cell: u64) -> Result<Hooks, String> {
    let tenant = Tenant { version: abi::ABI_VERSION, role, cell };
    // SAFETY: the caller says that this is an attach function; both pointers are valid for the call, and the table for
    // ever.
    let hooks = unsafe { attach(&raw const TABLE, &raw const tenant) };
    let refusal = || {
        format!("the library was built against another version of mobula than {}: run its cell again", abi::ABI_VERSION)
    };
    if hooks.is_null() {
        return Err(refusal());
    }
    // SAFETY: not null, so it points to hooks that live as long as their library. `version` is their first field in
    // every version there is.
    let version = unsafe { (&raw const (*hooks).version).read() };
    if version != abi::ABI_VERSION {
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
pub unsafe fn attach_address(address: *mut c_void, role: u32, cell: u64) -> Result<Hooks, String> {
    if address.is_null() {
        return Err("the library does not know mobula: it was not built against the crate".into());
    }
    // SAFETY: not null; the caller says that it is an attach function, and on Linux function and data pointers are the
    // same.
    let function = unsafe { std::mem::transmute::<*mut c_void, abi::Attach>(address) };
    // SAFETY: as the caller says.
    unsafe { attach(function, role, cell) }
}

/// Makes `fork` wait for the moments in which another thread changes the client, so that the new process finds it whole.
pub(super) fn guard_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions live as long as the process, and do nothing but lock and unlock.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork)) };
    });
}

thread_local! {
    static STILL: RefCell<Option<Still>> = const { RefCell::new(None) };
}

extern "C" fn before_fork() {
    let still = client::current().map(Client::hold_still);
    STILL.with(|held| *held.borrow_mut() = still);
}

extern "C" fn after_fork() {
    STILL.with(|held| *held.borrow_mut() = None);
}

unsafe extern "C" fn create(len: u64, draft: *mut Draft, fault: *mut Blob) -> Status {
    answer(fault, || {
        let (token, ptr) = connected()?.create(len)?;
        // SAFETY: the caller gives room for a draft.
        unsafe { draft.write(Draft { token, ptr }) };
        Ok(())
    })
}

unsafe extern "C" fn seal(draft: u64, refs: *const u64, refs_len: u64, id: *mut u64, fault: *mut Blob) -> Status {
    answer(fault, || {
        // SAFETY: the caller gives `refs_len` ids.
        let contains = unsafe { ids(refs, refs_len) };
        let sealed = connected()?.seal(draft, contains)?;
        // SAFETY: the caller gives room for an id.
        unsafe { id.write(sealed.0) };
        Ok(())
    })
}

unsafe extern "C" fn discard(draft: u64) {
    if let Some(client) = client::current() {
        client.discard(draft);
    }
}

unsafe extern "C" fn submit(task: *const Submission, into: *mut u64, fault: *mut Blob) -> Status {
    answer(fault, || {
        // SAFETY: the caller gives a submission.
        let task = unsafe { task.read() };
        // SAFETY: the submission says how many arguments there are.
        let arguments = unsafe { slice(task.args, task.args_len) };
        let mut few: [Input; ARGS_MAX] = [const { Input::Ref(ObjectId(0)) }; ARGS_MAX];
        let mut many = Vec::new();
        let args: &[Input] = if arguments.len() <= ARGS_MAX {
            for (place, argument) in few.iter_mut().zip(arguments) {
                // SAFETY: the argument says how many ids there are.
                *place = unsafe { input(argument) };
            }
            &few[..arguments.len()]
        } else {
            // SAFETY: as above.
            many.extend(arguments.iter().map(|argument| unsafe { input(argument) }));
            &many
        };
        let client = connected()?;
        // SAFETY: both are strings of the caller's, valid for the call.
        let (name, options) = unsafe { (bytes(task.name), bytes(task.options)) };
        let function = if !options.is_empty() || task.returns > 1 {
            Err(Fault::Refused { message: "this runtime does not know options of tasks".into() }.into())
        } else {
            client.function(task.trampoline as usize, || locate(task.trampoline, name))
        };
        let function = match function {
            Ok(function) => function,
            Err(fault) => {
                args.iter().for_each(|arg| {
                    if let Input::Draft(draft, _) = arg {
                        client.discard(*draft);
                    }
                });
                return Err(fault);
            }
        };
        let id = client.submit(function, args)?;
        // SAFETY: the caller gives room for the one id.
        unsafe { into.write(id.0) };
        Ok(())
    })
}

unsafe extern "C" fn wait(
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
        connected()?.wait(ids, num_returns, timeout, ready)
    })
}

unsafe extern "C" fn open(id: u64, view: *mut View, fault: *mut Blob) -> Status {
    let mut is_ready = true;
    let status = answer(fault, || {
        match connected()?.open(ObjectId(id))? {
            // SAFETY: the caller gives room for a view.
            Opened::View(opened) => unsafe { view.write(opened) },
            Opened::NotReady => is_ready = false,
        }
        Ok(())
    });
    if is_ready { status } else { Status::NOT_READY }
}

unsafe extern "C" fn close(hold: u64) {
    if let Some(client) = client::current() {
        client.close(hold);
    }
}

unsafe extern "C" fn retain(ids: *const u64, ids_len: u64) {
    if let Some(client) = client::current() {
        // SAFETY: the caller gives `ids_len` ids.
        client.retain(unsafe { slice(ids, ids_len) });
    }
}

unsafe extern "C" fn release(id: u64) {
    if let Some(client) = client::current() {
        client.release(ObjectId(id));
    }
}

unsafe extern "C" fn result(call: u64, index: u32, draft: u64, refs: *const u64, refs_len: u64) {
    if let Some(client) = client::current() {
        // SAFETY: the caller gives `refs_len` ids.
        let contains = unsafe { ids(refs, refs_len) };
        if index == 0 {
            client.result(call, draft, contains);
        } else {
            client.discard(draft);
        }
    }
}

unsafe extern "C" fn fail(call: u64, cause: Bytes) {
    if let Some(client) = client::current() {
        // SAFETY: the caller's bytes are valid for the call.
        let encoded = unsafe { bytes(cause) };
        let malformed = |_| Cause::Refused { message: "it failed in a way that does not decode".into() };
        client.fail(call, postcard::from_bytes(encoded).unwrap_or_else(malformed));
    }
}

unsafe extern "C" fn ask(question: Bytes, into: *mut Blob, fault: *mut Blob) -> Status {
    answer(fault, || {
        // SAFETY: the caller's bytes are valid for the call.
        let encoded = unsafe { bytes(question) };
        let malformed = |_| Box::new(Fault::Refused { message: "the question does not decode".into() });
        let answer = connected()?.question(postcard::from_bytes(encoded).map_err(malformed)?)?;
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

fn connected() -> Fallible<&'static Client> {
    let reason = "this process is not connected to a runtime";
    client::current().ok_or_else(|| Box::new(Fault::Disconnected { reason: reason.into() }))
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

/// # Safety
/// As for [`slice`].
unsafe fn ids(ptr: *const u64, len: u64) -> Vec<ObjectId> {
    // SAFETY: as the caller says.
    unsafe { slice(ptr, len) }.iter().copied().map(ObjectId).collect()
}

/// # Safety
/// The argument's refs are as many as it says.
unsafe fn input(argument: &Argument) -> Input {
    match argument.kind {
        Argument::REF => Input::Ref(ObjectId(argument.value)),
        // SAFETY: as the caller says.
        _ => Input::Draft(argument.value, unsafe { ids(argument.refs, argument.refs_len) }),
    }
}

/// Which library an address is in, where, and what the function there is called. `name` is its type's, as the compiler writes it.
fn locate(address: *const c_void, name: &[u8]) -> Fallible<Function> {
    let message = "the function is in no library that a worker could open";
    let unknown = || Box::new(Fault::Refused { message: message.into() });
    let info = library_of(address).ok_or_else(unknown)?;
    let offset = (address as u64).checked_sub(info.dli_fbase as u64).ok_or_else(unknown)?;
    let name = crate::abi::task_name(&String::from_utf8_lossy(name));
    if program_base() == Some(info.dli_fbase as usize) {
        return Ok(Function { library: String::new(), offset, name });
    }
    // SAFETY: the loader's string lives as long as the library, and the library contains the code that is calling.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let path = std::path::absolute(path).map_err(|_| unknown())?;
    Ok(Function { library: path.to_str().ok_or_else(unknown)?.to_owned(), offset, name })
}

/// Where the executable itself is loaded.
pub(crate) fn program_base() -> Option<usize> {
    // SAFETY: always allowed; gives 0 when the kernel did not say.
    let entry = unsafe { libc::getauxval(libc::AT_ENTRY) };
    library_of(entry as *const c_void).map(|info| info.dli_fbase as usize)
}

/// Where the library is loaded that an address is in.
pub(crate) fn base_of(address: *const c_void) -> Option<usize> {
    library_of(address).map(|info| info.dli_fbase as usize)
}

fn library_of(address: *const c_void) -> Option<libc::Dl_info> {
    // SAFETY: plain pointers, for which zeros are a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about, and there is room for the answer.
    let found = unsafe { libc::dladdr(address, &raw mut info) } != 0;
    (found && !info.dli_fbase.is_null() && !info.dli_fname.is_null()).then_some(info)
}
