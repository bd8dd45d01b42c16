//! The process's one client, and the call that a thread runs.

use super::Client;
use crate::protocol::ObjectId;
use crossbeam::atomic::AtomicCell;
use std::cell::Cell;

static CURRENT: AtomicCell<Option<&'static Client>> = AtomicCell::new(None);

/// The process's client, if it has one.
pub fn current() -> Option<&'static Client> {
    CURRENT.load()
}

/// Makes the client the process's own, for good.
pub(crate) fn install(client: Client) -> &'static Client {
    let client: &'static Client = Box::leak(Box::new(client));
    CURRENT.store(Some(client));
    client
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
