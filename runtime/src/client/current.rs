//! The process's one client, and the call that a thread runs.

use super::Client;
use crate::protocol::ObjectId;
use crossbeam::atomic::AtomicCell;
use std::cell::Cell;

static CURRENT: AtomicCell<Option<&'static Client>> = AtomicCell::new(None);
/// The one of the runtime that started this process, beside that of a runtime which the session has joined.
static HOME: AtomicCell<Option<&'static Client>> = AtomicCell::new(None);

/// The process's client, if it has one.
pub fn current() -> Option<&'static Client> {
    CURRENT.load()
}

/// The client of the runtime that started this process.
pub(crate) fn home() -> Option<&'static Client> {
    HOME.load()
}

/// Makes the client the process's own. The first one is that of its home.
pub(crate) fn install(client: Client) -> &'static Client {
    let client: &'static Client = Box::leak(Box::new(client));
    if HOME.load().is_none() {
        HOME.store(Some(client));
    }
    CURRENT.store(Some(client));
    client
}

/// Puts a client into another one's place, which is of a process that is dead.
pub(crate) fn replace(dead: &'static Client, client: Client) {
    let client: &'static Client = Box::leak(Box::new(client));
    for place in [&HOME, &CURRENT] {
        if place.load().is_some_and(|known| std::ptr::eq(known, dead)) {
            place.store(Some(client));
        }
    }
}

/// Has the process's calls go to the runtime that started it.
pub(crate) fn go_home() {
    CURRENT.store(HOME.load());
}

thread_local! {
    /// The call that this thread runs.
    static CALL: Cell<u64> = const { Cell::new(0) };
}

/// The call of an actor that this thread runs.
pub(super) fn call_here() -> Option<ObjectId> {
    Some(ObjectId(CALL.get())).filter(|call| call.0 != 0)
}

/// Does `work` for a call of an actor: what it submits is the call's child, and what cancels the call ends its blocking calls.
pub(crate) fn for_call<T>(call: ObjectId, work: impl FnOnce() -> T) -> T {
    let before = CALL.replace(call.0);
    let done = work();
    CALL.set(before);
    done
}
