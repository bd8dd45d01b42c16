//! What a compiled cell would bring along, reduced to bytes: values are byte strings, tasks are functions of byte strings.

use mobula::abi::{
    ABI_VERSION, Answer, Argument, Blob, Bytes, Call, Cause, Draft, Fault, Hooks, Question, Status, Submission, Table,
    Tenant, Trampoline, View,
};
use std::ffi::c_void;
use std::io::Write;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

static HOOKS: Hooks = Hooks { version: ABI_VERSION, size: size_of::<Hooks>() as u32, flush };

pub unsafe extern "C" fn attach(table: *const Table, _tenant: *const Tenant) -> *const Hooks {
    TABLE.store(table.cast_mut(), Ordering::Release);
    &raw const HOOKS
}

unsafe extern "C" fn flush() {
    let _ = std::io::stdout().flush();
}

fn table() -> &'static Table {
    let attached = TABLE.load(Ordering::Acquire);
    if attached.is_null() { mobula::local::table::table() } else { unsafe { &*attached } }
}

/// A reference to an object, given back when dropped.
#[derive(Debug)]
pub struct Ref(pub u64);

impl Ref {
    /// Takes a reference of its own.
    pub fn to(id: u64) -> Ref {
        unsafe { (table().retain)(id) };
        Ref(id)
    }
}

impl Clone for Ref {
    fn clone(&self) -> Ref {
        Ref::to(self.0)
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        unsafe { (table().release)(self.0) };
    }
}

/// An object's bytes, in place.
pub struct Seen(View);

impl std::ops::Deref for Seen {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        assert_eq!(self.0.ptr as usize % 64, 0, "object bytes are aligned");
        if self.0.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.0.ptr, self.0.len as usize) } }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        unsafe { (table().close)(self.0.hold) };
    }
}

/// What a task is given.
pub enum Arg<'a> {
    Value(&'a [u8]),
    Of(&'a Ref),
}

fn checked(status: Status, fault: Blob) -> Result<(), Fault> {
    if status == Status::OK {
        return Ok(());
    }
    let bytes = unsafe { std::slice::from_raw_parts(fault.ptr, fault.len as usize) };
    let decoded: Fault = postcard::from_bytes(bytes).expect("a fault decodes");
    unsafe { (table().free)(fault) };
    Err(decoded)
}

pub fn draft(len: usize) -> Result<Draft, Fault> {
    let (mut draft, mut fault) = (Draft { token: 0, ptr: std::ptr::null_mut() }, Blob::EMPTY);
    let status = unsafe { (table().create)(len as u64, &raw mut draft, &raw mut fault) };
    checked(status, fault).map(|()| draft)
}

fn written(bytes: &[u8]) -> Result<Draft, Fault> {
    let draft = draft(bytes.len())?;
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), draft.ptr, bytes.len()) };
    Ok(draft)
}

pub fn put(bytes: &[u8]) -> Result<Ref, Fault> {
    put_with(bytes, &[])
}

/// Puts bytes that refer to other objects.
pub fn put_with(bytes: &[u8], refs: &[u64]) -> Result<Ref, Fault> {
    let draft = written(bytes)?;
    let (mut id, mut fault) = (0, Blob::EMPTY);
    let status =
        unsafe { (table().seal)(draft.token, refs.as_ptr(), refs.len() as u64, &raw mut id, &raw mut fault) };
    checked(status, fault).map(|()| Ref(id))
}

pub fn submit(name: &str, task: Trampoline, args: &[Arg<'_>]) -> Result<Ref, Fault> {
    let mut arguments = Vec::new();
    for arg in args {
        let (kind, value) = match arg {
            Arg::Value(bytes) => (Argument::DRAFT, written(bytes)?.token),
            Arg::Of(object) => (Argument::REF, object.0),
        };
        arguments.push(Argument { kind, reserved: 0, value, refs: std::ptr::null(), refs_len: 0 });
    }
    let submission = Submission {
        trampoline: task as *const c_void,
        name: Bytes { ptr: name.as_ptr(), len: name.len() as u64 },
        args: arguments.as_ptr(),
        args_len: arguments.len() as u64,
        returns: 1,
        reserved: 0,
        options: Bytes { ptr: std::ptr::null(), len: 0 },
    };
    let (mut id, mut fault) = (0, Blob::EMPTY);
    let status = unsafe { (table().submit)(&raw const submission, &raw mut id, &raw mut fault) };
    checked(status, fault).map(|()| Ref(id))
}

pub fn wait(refs: &[&Ref], num_returns: usize, timeout: Option<Duration>) -> Result<Vec<bool>, Fault> {
    let ids: Vec<u64> = refs.iter().map(|object| object.0).collect();
    let mut ready = vec![0; ids.len()];
    let timeout = timeout.map_or(u64::MAX, |timeout| timeout.as_nanos() as u64);
    let mut fault = Blob::EMPTY;
    let (ptr, len) = (ids.as_ptr(), ids.len() as u64);
    let status =
        unsafe { (table().wait)(ptr, len, num_returns as u64, timeout, ready.as_mut_ptr(), &raw mut fault) };
    checked(status, fault).map(|()| ready.into_iter().map(|ready| ready == 1).collect())
}

pub fn open(object: &Ref) -> Result<Seen, Fault> {
    let (mut view, mut fault) = (View { ptr: std::ptr::null(), len: 0, hold: 0 }, Blob::EMPTY);
    let status = unsafe { (table().open)(object.0, &raw mut view, &raw mut fault) };
    checked(status, fault).map(|()| Seen(view))
}

pub fn get(object: &Ref) -> Result<Seen, Fault> {
    wait(&[object], 1, None)?;
    open(object)
}

pub fn ask(question: &Question) -> Result<Answer, Fault> {
    let question = postcard::to_stdvec(question).expect("a question encodes");
    let (mut answer, mut fault) = (Blob::EMPTY, Blob::EMPTY);
    let bytes = Bytes { ptr: question.as_ptr(), len: question.len() as u64 };
    let status = unsafe { (table().ask)(bytes, &raw mut answer, &raw mut fault) };
    checked(status, fault)?;
    let bytes = unsafe { std::slice::from_raw_parts(answer.ptr, answer.len as usize) };
    let decoded = postcard::from_bytes(bytes).expect("an answer decodes");
    unsafe { (table().free)(answer) };
    Ok(decoded)
}

/// What a trampoline does around a function of bytes.
pub unsafe fn task(call: *const Call, body: impl FnOnce(&[Seen]) -> Result<(Vec<u8>, Vec<Ref>), Cause>) {
    let call = unsafe { &*call };
    let views = unsafe { std::slice::from_raw_parts(call.args, call.args_len as usize) };
    let args: Vec<Seen> = views.iter().copied().map(Seen).collect();
    match body(&args) {
        Ok((bytes, refs)) => {
            let draft = written(&bytes).expect("there is room for a result");
            let ids: Vec<u64> = refs.iter().map(|object| object.0).collect();
            unsafe { (table().result)(call.call, 0, draft.token, ids.as_ptr(), ids.len() as u64) };
            // The value that held them goes here, before anybody has heard of the result.
            drop(refs);
        }
        Err(cause) => {
            let cause = postcard::to_stdvec(&cause).expect("a cause encodes");
            unsafe { (table().fail)(call.call, Bytes { ptr: cause.as_ptr(), len: cause.len() as u64 }) };
        }
    }
}
