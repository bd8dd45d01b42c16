//! A stand-in for a compiled cell: values are byte strings, tasks are functions of byte strings.
//!
//! The only file here with unsafe code: it is the other side of the waist.

#![allow(unsafe_code)]

use mobula::abi::{
    ActorOptions, Answer, Argument, Blob, Bytes, Call, Cause, Draft, Fault, Hooks, Instance, Question, Status,
    Submission, Table, TaskOptions, Tenant, Trampoline, View,
};
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

/// This program's attach function: for the crate, and for what is below.
///
/// # Safety
/// As the waist says: `table` lives as long as the process.
pub unsafe extern "C" fn attach(table: *const Table, tenant: *const Tenant) -> *const Hooks {
    TABLE.store(table.cast_mut(), Ordering::Release);
    // SAFETY: as the caller says.
    unsafe { mobula::mobula_attach(table, tenant) }
}

fn table() -> &'static Table {
    // SAFETY: null or the loader's, which lives as long as the process.
    let attached = unsafe { TABLE.load(Ordering::Acquire).as_ref() };
    // The front process uses its own table without attaching anything.
    attached.unwrap_or_else(mobula::client::engine::table)
}

/// A reference to an object, given back when dropped.
#[derive(Debug)]
pub struct Ref(pub u64);

impl Ref {
    /// Takes a reference of its own.
    pub fn to(id: u64) -> Ref {
        // SAFETY: the table's functions may be called with any id.
        unsafe { (table().retain)(&raw const id, 1) };
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
        // SAFETY: as above.
        unsafe { (table().release)(self.0) };
    }
}

/// An object's bytes, in place.
pub struct Seen(View);

impl std::ops::Deref for Seen {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        assert_eq!(self.0.ptr as usize % 64, 0, "object bytes are aligned");
        // SAFETY: an open view's bytes stay where they are, and nobody writes to them.
        unsafe { std::slice::from_raw_parts(self.0.ptr, self.0.len as usize) }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        // SAFETY: the view was opened once and is closed once.
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
    // SAFETY: a call that failed has filled the blob.
    let bytes = unsafe { std::slice::from_raw_parts(fault.ptr, fault.len as usize) };
    let decoded: Fault = postcard::from_bytes(bytes).expect("a fault decodes");
    // SAFETY: it is given back once.
    unsafe { (table().free)(fault) };
    Err(decoded)
}

pub fn draft(len: usize) -> Result<Draft, Fault> {
    let (mut draft, mut fault) = (Draft { token: 0, ptr: std::ptr::null_mut() }, Blob::EMPTY);
    // SAFETY: both results have room.
    let status = unsafe { (table().create)(len as u64, &raw mut draft, &raw mut fault) };
    checked(status, fault).map(|()| draft)
}

fn written(bytes: &[u8]) -> Result<Draft, Fault> {
    let draft = draft(bytes.len())?;
    // SAFETY: the draft has room for as many bytes as were asked for, and nobody else knows it.
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
    let (ptr, len) = (refs.as_ptr(), refs.len() as u64);
    // SAFETY: the refs are as many as is said, and both results have room.
    let status = unsafe { (table().seal)(draft.token, ptr, len, &raw mut id, &raw mut fault) };
    checked(status, fault).map(|()| Ref(id))
}

pub fn submit(name: &str, task: Trampoline, args: &[Arg<'_>]) -> Result<Ref, Fault> {
    // What these scenarios say of a death is said of the first one.
    submit_as(Submission::TASK, TaskOptions { max_retries: Some(0), ..TaskOptions::default() }, name, task, args)
}

/// Makes an actor; the ref is its handle.
#[allow(dead_code)] // For those who die over it.
pub fn spawn(name: &str, constructor: Trampoline, args: &[Arg<'_>]) -> Result<Ref, Fault> {
    let actor = ActorOptions { type_id: 1, type_name: name.into(), ..ActorOptions::default() };
    submit_as(Submission::SPAWN, TaskOptions { actor, ..TaskOptions::default() }, name, constructor, args)
}

/// Makes an actor whose state is a number, 0 at first, and which is saved after so many calls. It is started again as often as it takes.
#[allow(dead_code)] // As above.
pub fn spawn_saved(name: &str, checkpoint_interval: u32) -> Result<Ref, Fault> {
    let actor = ActorOptions {
        type_id: 1,
        type_name: name.into(),
        max_restarts: Some(-1),
        max_task_retries: Some(-1),
        checkpoint_interval: Some(checkpoint_interval),
        ..ActorOptions::default()
    };
    submit_as(Submission::SPAWN, TaskOptions { actor, ..TaskOptions::default() }, name, number, &[])
}

/// The number of the actor whose call this thread runs.
static STATE: AtomicU64 = AtomicU64::new(0);

/// That number, in a method.
#[allow(dead_code)] // As above.
pub fn state() -> u64 {
    STATE.load(Ordering::Relaxed)
}

/// Makes it another one.
#[allow(dead_code)] // As above.
pub fn set_state(state: u64) {
    STATE.store(state, Ordering::Relaxed);
}

/// The constructor of an actor whose state is a number.
extern "C" fn number(called: *const Call) {
    // SAFETY: whoever calls a trampoline gives it a valid call.
    let (is_restore, instance) = unsafe { ((*called).is_restore != 0, (*called).instance) };
    run(called, |args| {
        let saved = args.first().map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().expect("a number")));
        assert_eq!(args.len(), usize::from(is_restore));
        set_state(saved);
        let made = Instance { type_id: 1, state: std::ptr::null_mut(), drop: None, save: Some(saved_number) };
        // SAFETY: a constructor's call has a place for the state, and nobody else uses it meanwhile.
        unsafe { instance.write(made) };
        Ok((vec![], vec![]))
    });
}

/// A checkpoint of such an actor.
extern "C" fn saved_number(called: *const Call) {
    run(called, |_| Ok((state().to_le_bytes().to_vec(), vec![])));
}

/// Calls a method of the actor that the first argument stands for.
#[allow(dead_code)] // As above.
pub fn call(name: &str, method: Trampoline, args: &[Arg<'_>]) -> Result<Ref, Fault> {
    submit_as(Submission::CALL, TaskOptions::default(), name, method, args)
}

fn submit_as(kind: u32, options: TaskOptions, name: &str, task: Trampoline, args: &[Arg<'_>]) -> Result<Ref, Fault> {
    let mut arguments = Vec::new();
    for arg in args {
        let (kind, value) = match arg {
            Arg::Value(bytes) => (Argument::DRAFT, written(bytes)?.token),
            Arg::Of(object) => (Argument::REF, object.0),
        };
        arguments.push(Argument { kind, reserved: 0, value, refs: std::ptr::null(), refs_len: 0 });
    }
    let options = if kind == Submission::CALL { Vec::new() } else { postcard::to_stdvec(&options).unwrap() };
    let submission = Submission {
        trampoline: task as *const c_void,
        name: Bytes { ptr: name.as_ptr(), len: name.len() as u64 },
        args: arguments.as_ptr(),
        args_len: arguments.len() as u64,
        returns: 1,
        kind,
        options: Bytes { ptr: options.as_ptr(), len: options.len() as u64 },
    };
    let (mut id, mut fault) = (0, Blob::EMPTY);
    // SAFETY: everything that the submission points to lives through the call.
    let status = unsafe { (table().submit)(&raw const submission, &raw mut id, &raw mut fault) };
    checked(status, fault).map(|()| Ref(id))
}

pub fn wait(refs: &[&Ref], num_returns: usize, timeout: Option<Duration>) -> Result<Vec<bool>, Fault> {
    let ids: Vec<u64> = refs.iter().map(|object| object.0).collect();
    let mut ready = vec![0; ids.len()];
    let timeout = timeout.map_or(u64::MAX, |timeout| timeout.as_nanos() as u64);
    let mut fault = Blob::EMPTY;
    let (ptr, len, num_returns) = (ids.as_ptr(), ids.len() as u64, num_returns as u64);
    // SAFETY: there are as many ids as is said, and as much room for answers.
    let status = unsafe { (table().wait)(ptr, len, num_returns, timeout, ready.as_mut_ptr(), &raw mut fault) };
    checked(status, fault).map(|()| ready.into_iter().map(|ready| ready == 1).collect())
}

/// The object's bytes; `None` when they are not there yet.
pub fn open(object: &Ref) -> Result<Option<Seen>, Fault> {
    let (mut view, mut fault) = (View { ptr: std::ptr::null(), len: 0, hold: 0 }, Blob::EMPTY);
    // SAFETY: both results have room.
    let status = unsafe { (table().open)(object.0, &raw mut view, &raw mut fault) };
    if status == Status::NOT_READY {
        return Ok(None);
    }
    checked(status, fault).map(|()| Some(Seen(view)))
}

pub fn get(object: &Ref) -> Result<Seen, Fault> {
    wait(&[object], 1, None)?;
    Ok(open(object)?.expect("it was waited for"))
}

pub fn ask(question: &Question) -> Result<Answer, Fault> {
    let question = postcard::to_stdvec(question).expect("a question encodes");
    let (mut answer, mut fault) = (Blob::EMPTY, Blob::EMPTY);
    let bytes = Bytes { ptr: question.as_ptr(), len: question.len() as u64 };
    // SAFETY: the question lives through the call, and both results have room.
    let status = unsafe { (table().ask)(bytes, &raw mut answer, &raw mut fault) };
    checked(status, fault)?;
    // SAFETY: a call that worked has filled the blob.
    let bytes = unsafe { std::slice::from_raw_parts(answer.ptr, answer.len as usize) };
    let decoded = postcard::from_bytes(bytes).expect("an answer decodes");
    // SAFETY: it is given back once.
    unsafe { (table().free)(answer) };
    Ok(decoded)
}

/// What a task gives: bytes and the references in them, or why not.
pub type Outcome = Result<(Vec<u8>, Vec<Ref>), Cause>;

/// Makes a [`Trampoline`] of a function of byte strings, as `.remote(…)` does with functions of values.
#[macro_export]
macro_rules! task {
    ($(#[$doc:meta])* $name:ident = $body:expr) => {
        $(#[$doc])*
        pub extern "C" fn $name(call: *const mobula::abi::Call) {
            $crate::cell::run(call, $body);
        }
    };
}

/// What a trampoline does around a function.
pub fn run(call: *const Call, body: impl FnOnce(&[Seen]) -> Outcome) {
    // SAFETY: only trampolines call this, and whoever calls one gives it a valid call.
    let call = unsafe { &*call };
    let views = match call.args_len {
        0 => &[][..],
        // SAFETY: a call has as many arguments as it says.
        len => unsafe { std::slice::from_raw_parts(call.args, len as usize) },
    };
    let args: Vec<Seen> = views.iter().copied().map(Seen).collect();
    match body(&args) {
        Ok((bytes, refs)) => {
            let draft = written(&bytes).expect("there is room for a result");
            let ids: Vec<u64> = refs.iter().map(|object| object.0).collect();
            // SAFETY: there are as many ids as is said.
            unsafe { (table().result)(call.call, 0, draft.token, ids.as_ptr(), ids.len() as u64) };
            // The value that held them goes here, before anybody has heard of the result.
            drop(refs);
        }
        Err(cause) => {
            let cause = postcard::to_stdvec(&cause).expect("a cause encodes");
            // SAFETY: the bytes live through the call.
            unsafe { (table().fail)(call.call, Bytes { ptr: cause.as_ptr(), len: cause.len() as u64 }) };
        }
    }
}

/// Throws a draft away.
pub fn discard(draft: Draft) {
    // SAFETY: the draft ends here.
    unsafe { (table().discard)(draft.token) };
}
