//! Callbacks for what front ends send on comms: kept in this library, and run between cells or on a thread of their own.
//!
//! ```text
//!   front end ─▶ session ─┬─ between two cells ─▶ `run`     on the thread that runs the cells
//!                         └─ at once ───────────▶ `attend`  on a thread that waits for nothing else
//! ```
//!
//! A twin of this process has the callbacks and not the thread; the next call of this file starts another one.

use super::{Fallible, comm, role};
use crate::abi::{CommAnswer, CommCall, CommKind, CommMessage, Fault, Listened, Tenant};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The code of a callback.
type Code = Arc<Mutex<dyn FnMut(&CommMessage) + Send>>;

struct Callback {
    number: u64,
    to: Listened,
    at_once: bool,
    code: Code,
}

struct Registry {
    list: Vec<Callback>,
    next: u64,
    /// The process whose thread waits for messages that are to be handled at once; 0 for none.
    attended_by: u32,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { list: Vec::new(), next: 1, attended_by: 0 });

/// Keeps the callbacks as they are while this is held, so that a process that is forked meanwhile finds them unlocked.
pub(super) fn hold_still() -> impl Drop {
    registry()
}

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This library's number: each copy of it in a process has another one, and a twin the same.
fn listener() -> u64 {
    (&raw const REGISTRY).addr() as u64
}

/// Calls `code` for each message from front ends, between two cells. Returns the callback's number.
///
/// # Errors
/// There is no session.
///
/// # Panics
/// This is a worker process, which has ended its task when a message comes.
pub(crate) fn listen(to: Listened, code: impl FnMut(&CommMessage) + Send + 'static) -> Fallible<u64> {
    assert!(role() != Tenant::WORKER, "a callback can be set in a cell only: a task ends before anybody clicks");
    let number = {
        let mut registry = registry();
        registry.next += 1;
        let number = registry.next;
        registry.list.push(Callback { number, to: to.clone(), at_once: false, code: Arc::new(Mutex::new(code)) });
        number
    };
    tell(to)?;
    Ok(number)
}

/// Tells the session which kinds of callbacks this library has for a comm or a target.
fn tell(to: Listened) -> Fallible<()> {
    let (between_cells, at_once) = {
        let registry = registry();
        let is_there = |at_once: bool| registry.list.iter().any(|known| known.to == to && known.at_once == at_once);
        (is_there(false), is_there(true))
    };
    comm(CommCall::Listen { to, listener: listener(), between_cells, at_once }).map(drop)
}

/// Has a callback run at once from now on, on a thread, also while a cell runs.
pub(crate) fn run_at_once(number: u64) -> Fallible<()> {
    let to = {
        let mut registry = registry();
        let Some(callback) = registry.list.iter_mut().find(|callback| callback.number == number) else {
            return Ok(());
        };
        callback.at_once = true;
        callback.to.clone()
    };
    tell(to)?;
    be_attended();
    Ok(())
}

/// Removes a callback.
pub(crate) fn forget(number: u64) {
    let gone: Vec<Callback> = registry().list.extract_if(.., |callback| callback.number == number).collect();
    for callback in &gone {
        // A session that is gone sends no message either.
        let _ = tell(callback.to.clone());
    }
    // Not under the lock: what it has captured may set a callback as it is dropped.
    drop(gone);
}

/// Removes the callbacks of a comm that is closed.
pub(crate) fn forget_comm(comm: &str) {
    let is_its = |callback: &mut Callback| matches!(&callback.to, Listened::Comm(known) if known == comm);
    let gone: Vec<Callback> = registry().list.extract_if(.., is_its).collect();
    drop(gone);
}

/// Runs the callbacks for the messages that wait, for the generated code of an evaluator that has no other way.
pub fn run_waiting() {
    assert!(run() == 0, "a callback panicked");
}

/// Runs the callbacks for the messages that wait. Returns 1 if one of them panicked.
pub(super) extern "C" fn run() -> u32 {
    be_attended();
    let taken = catch_unwind(|| comm(CommCall::Take { listener: listener() }));
    let Ok(Ok(CommAnswer::Messages(messages))) = taken else { return 0 };
    let panicked = messages.iter().filter(|message| !deliver(message, false)).count();
    u32::from(panicked > 0)
}

/// Starts the thread for callbacks that run at once, if there are some and this process has none.
fn be_attended() {
    let mut registry = registry();
    let pid = std::process::id();
    let is_wanted = registry.list.iter().any(|callback| callback.at_once);
    if is_wanted && std::mem::replace(&mut registry.attended_by, pid) != pid {
        // One that ran on the other process's thread as this one was forked is in the middle of its work for ever.
        let is_torn = |callback: &mut Callback| {
            callback.at_once && matches!(callback.code.try_lock(), Err(std::sync::TryLockError::WouldBlock))
        };
        registry.list.extract_if(.., is_torn).for_each(std::mem::forget);
        let thread = std::thread::Builder::new().name("mobula-comms".into()).spawn(attend);
        if thread.is_err() {
            registry.attended_by = 0;
        }
    }
}

/// How long the thread rests when its cell's calls are being interrupted.
const REST: Duration = Duration::from_millis(50);

fn attend() {
    loop {
        match catch_unwind(|| comm(CommCall::Wait { listener: listener() })) {
            Ok(Ok(CommAnswer::Messages(messages))) => {
                for message in &messages {
                    deliver(message, true);
                }
            }
            Err(_) => std::thread::sleep(REST),
            Ok(Err(fault)) if *fault == Fault::Interrupted => std::thread::sleep(REST),
            Ok(_) => break,
        }
    }
    registry().attended_by = 0;
}

/// Calls the callbacks that a message is for. False if one of them panicked, which the panic hook has reported.
fn deliver(message: &CommMessage, at_once: bool) -> bool {
    let is_for = |to: &Listened| match (to, &message.kind) {
        (Listened::Target(name), CommKind::Open { target }) => name == target,
        (Listened::Comm(comm), CommKind::Message | CommKind::Close) => *comm == message.comm,
        _ => false,
    };
    let codes: Vec<Code> = {
        let registry = registry();
        let callbacks = registry.list.iter().filter(|callback| callback.at_once == at_once && is_for(&callback.to));
        callbacks.map(|callback| callback.code.clone()).collect()
    };
    let mut all_ran = true;
    for code in codes {
        // A callback that panicked before is called again: what it has captured is its own affair.
        let mut code = code.lock().unwrap_or_else(PoisonError::into_inner);
        all_ran &= catch_unwind(AssertUnwindSafe(|| code(message))).is_ok();
    }
    all_ran
}
