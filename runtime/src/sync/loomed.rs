//! loom's atomics with three additions: threads that die between two of their writes, fences that can be left out, and futexes.
//!
//! ```text
//!   mortal(3, || …)       the thread dies before its fourth write; only unwinding cleans up after it
//!   without_fences(file)  this file's fences do nothing, so some execution of a model must fail
//!   futex_wait, _wake     sleeping as in the kernel: no polling, and a lost wake-up is a deadlock
//! ```
//!
//! Other threads cannot tell a death between two loads, or between a write and a load, from one before the next write. So only writes are
//! counted. loom runs all threads of a model on one OS thread, so the settings here are thread-locals of that thread.

pub(crate) use loom::sync::atomic::Ordering;
use loom::thread::{Thread, ThreadId};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

thread_local! {
    /// The thread that will die, and how many more times it writes.
    static MORTAL: Cell<Option<(ThreadId, u32)>> = const { Cell::new(None) };
    /// The file whose fences are left out.
    static FENCELESS: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// The sleeping threads, each with the address of its futex.
    static ASLEEP: RefCell<Vec<(usize, Thread)>> = const { RefCell::new(Vec::new()) };
}

/// The payload that a dying thread unwinds with. It is not a panic, so nothing is printed.
struct Death;

/// Runs `life` and kills it before its write number `writes + 1`. `None` when that came before its end.
pub(crate) fn mortal<T>(writes: u32, life: impl FnOnce() -> T) -> Option<T> {
    MORTAL.set(Some((loom::thread::current().id(), writes)));
    let lived = catch_unwind(AssertUnwindSafe(life));
    MORTAL.set(None);
    match lived {
        Ok(value) => Some(value),
        Err(end) if end.is::<Death>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Turns off the `SeqCst` fences in files whose path ends with `file`, for this execution.
pub(crate) fn without_fences(file: &'static str) {
    FENCELESS.set(Some(file));
}

/// Begins an execution with all fences, no mortal thread and no sleepers; a failed execution may have left other settings.
pub(crate) fn begin() {
    FENCELESS.set(None);
    MORTAL.set(None);
    ASLEEP.take();
}

/// One more wake-up in the high half of a bell; the low half is the program's number.
const WOKEN: u32 = 1 << 16;

/// The kernel's futex wait, for loom. A thread sleeps only if it finds the number `seen`, and then until it is woken. A thread that is
/// never woken is a deadlock, which loom reports.
pub(crate) fn futex_wait(bell: &AtomicU32, seen: u32) {
    if bell.load(Ordering::Acquire) != seen {
        return;
    }
    let key = std::ptr::from_ref(bell).addr();
    // The kernel compares and falls asleep under a lock, so no wake-up comes between the two. Here both are one step, because loom switches
    // threads only before an access to an atomic.
    while bell.fetch_or(0, Ordering::AcqRel) / WOKEN == seen / WOKEN {
        ASLEEP.with_borrow_mut(|asleep| asleep.push((key, loom::thread::current())));
        loom::thread::park();
    }
}

/// Wakes all threads that sleep on the bell.
pub(crate) fn futex_wake(bell: &AtomicU32) {
    bell.fetch_add(WOKEN, Ordering::AcqRel);
    let key = std::ptr::from_ref(bell).addr();
    let woken = ASLEEP.with_borrow_mut(|asleep| asleep.extract_if(.., |(at, _)| *at == key).collect::<Vec<_>>());
    woken.into_iter().for_each(|(_, thread)| thread.unpark());
}

#[track_caller]
fn write() {
    let Some((thread, left)) = MORTAL.get() else { return };
    if loom::thread::current().id() != thread {
        return;
    }
    if left == 0 {
        MORTAL.set(None);
        resume_unwind(Box::new(Death));
    }
    MORTAL.set(Some((thread, left - 1)));
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    // Read outside of the closure, which has another caller.
    let caller = Location::caller().file();
    let is_out = FENCELESS.get().is_some_and(|file| caller.ends_with(file));
    if !(is_out && order == Ordering::SeqCst) {
        loom::sync::atomic::fence(order);
    }
}

/// A dummy write beside each use of an atomic, so that loom tries every order of two uses.
///
/// loom tries another order of two threads only where both access the same object and one of them writes. It compares only with the last
/// access before (loom 0.7.3, `last_dependent_access`). If bob loads and then writes what alice has loaded, the last access before his
/// write is his own, so loom never tries his write before her load. So each use also writes here, with relaxed ordering.
#[derive(Debug, Default)]
struct Turn(loom::sync::atomic::AtomicU32);

impl Turn {
    #[track_caller]
    fn comes(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

macro_rules! atomic {
    ($name:ident, $number:ty, $($change:ident),*) => {
        #[derive(Debug)]
        pub struct $name {
            value: loom::sync::atomic::$name,
            turn: Turn,
        }

        impl Default for $name {
            fn default() -> $name {
                $name::new(0)
            }
        }

        #[allow(dead_code)] // Each type has the functions that any of them needs.
        impl $name {
            #[track_caller]
            pub fn new(value: $number) -> $name {
                $name { value: loom::sync::atomic::$name::new(value), turn: Turn::default() }
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $number {
                self.turn.comes();
                self.value.load(order)
            }

            #[track_caller]
            pub fn store(&self, value: $number, order: Ordering) {
                write();
                self.turn.comes();
                self.value.store(value, order);
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                from: $number,
                to: $number,
                done: Ordering,
                failed: Ordering,
            ) -> Result<$number, $number> {
                write();
                self.turn.comes();
                self.value.compare_exchange(from, to, done, failed)
            }

            pub fn fetch_update(
                &self,
                done: Ordering,
                failed: Ordering,
                update: impl Fn($number) -> Option<$number>,
            ) -> Result<$number, $number> {
                let mut seen = self.load(failed);
                while let Some(next) = update(seen) {
                    match self.compare_exchange(seen, next, done, failed) {
                        Ok(before) => return Ok(before),
                        Err(other) => seen = other,
                    }
                }
                Err(seen)
            }

            $(
                #[track_caller]
                pub fn $change(&self, value: $number, order: Ordering) -> $number {
                    write();
                    self.turn.comes();
                    self.value.$change(value, order)
                }
            )*
        }
    };
}

atomic!(AtomicU32, u32, swap, fetch_add, fetch_sub, fetch_or, fetch_and);
atomic!(AtomicU64, u64, swap, fetch_add, fetch_sub, fetch_or, fetch_and);
atomic!(AtomicI64, i64, swap, fetch_add, fetch_sub);
