//! Objects that futures of this library await, and whom to wake.
//!
//! The runtime watches each object once, however many futures await it. A twin of this process has none of the threads that would be woken,
//! so it begins with an empty list.

use super::{Fallible, watch};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

#[derive(Default)]
struct Awaited {
    /// The process that this list belongs to.
    pid: u32,
    by_object: HashMap<u64, Vec<Waker>>,
}

static AWAITED: LazyLock<Mutex<Awaited>> = LazyLock::new(Mutex::default);

/// Keeps the list as it is while this is held, so that a process that is forked meanwhile finds it unlocked.
pub(super) fn hold_still() -> impl Drop {
    lock()
}

fn lock() -> MutexGuard<'static, Awaited> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes `waker` when the object is finished, or when its call would be interrupted.
pub(crate) fn wake_when_finished(id: u64, waker: &Waker) -> Fallible<()> {
    {
        let mut awaited = lock();
        let pid = std::process::id();
        if std::mem::replace(&mut awaited.pid, pid) != pid {
            // A waker of the other process may lead to a thread that is not here.
            std::mem::take(&mut awaited.by_object).into_values().flatten().for_each(std::mem::forget);
        }
        let wakers = awaited.by_object.entry(id).or_default();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
    // An interrupt unwinds from here. Other futures that await the object then look again, and register it anew.
    let undo = Undo(id);
    watch(id, notify)?;
    std::mem::forget(undo);
    Ok(())
}

/// Wakes all who await an object that the runtime does not watch.
struct Undo(u64);

impl Drop for Undo {
    fn drop(&mut self) {
        notify(self.0);
    }
}

extern "C" fn notify(id: u64) {
    let wakers = lock().by_object.remove(&id).unwrap_or_default();
    wakers.into_iter().for_each(Waker::wake);
}
