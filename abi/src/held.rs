//! Lock guards that debug builds count per thread, so that blocking calls and user code refuse to run under a lock.
//!
//! ```text
//!   Held::new(guard) ──▶ held here: 1 ──drop──▶ held here: 0        none_here("…") panics in between, on this thread
//! ```
//!
//! Without debug assertions a [`Held`] is only its guard, and nothing is counted.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

#[cfg(debug_assertions)]
std::thread_local! {
    /// How many such locks this thread holds. It has no destructor, so it stays readable until the thread has ended.
    static HERE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The guard of a lock under which nothing blocks.
pub struct Held<'a, T>(MutexGuard<'a, T>);

impl<'a, T> Held<'a, T> {
    /// Wraps the guard of a lock that this thread has just taken.
    pub fn new(guard: MutexGuard<'a, T>) -> Held<'a, T> {
        #[cfg(debug_assertions)]
        HERE.set(HERE.get() + 1);
        Held(guard)
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(debug_assertions)]
impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        HERE.set(HERE.get() - 1);
    }
}

/// Panics when this thread holds such a lock. `doing` names the action that must not happen under one.
#[inline]
pub fn none_here(doing: &str) {
    #[cfg(debug_assertions)]
    assert_eq!(HERE.get(), 0, "{doing} under a lock");
    let _ = doing;
}

#[cfg(all(test, debug_assertions, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_thread_knows_of_its_own_locks_only() {
        let lock = Mutex::new(1);
        let held = Held::new(lock.lock().unwrap());
        std::thread::scope(|scope| scope.spawn(|| none_here("another thread's work")).join().unwrap());
        assert!(std::panic::catch_unwind(|| none_here("waiting")).is_err());
        assert_eq!(*held, 1);
        drop(held);
        none_here("waiting");
    }
}
