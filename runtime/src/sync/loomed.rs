//! loom's atomics, with three things more: threads that die between two of their writes, fences that can be left out, and futexes.
//!
//! ```text
//!   mortal(3, || …)       the thread writes three times and is gone before the fourth; nothing is tidied up but what unwinding tidies
//!   without_fences(file)  this file's fences do nothing: whatever they are for must then go wrong somewhere
//!   futex_wait, _wake     sleeping as in the kernel: nobody polls, and a wake-up that is lost is a deadlock
//! ```
//!
//! A death between two loads, or between a write and a load, is for everybody else the same as one before the next write, so only writes
//! are counted. loom runs all threads of a model on one thread of the machine, so what is said here lies in thread-locals of the machine's.

pub(crate) use loom::sync::atomic::Ordering;
use loom::thread::{Thread, ThreadId};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

thread_local! {
    /// The thread that will die, and how many more times it writes.
    static MORTAL: Cell<Option<(ThreadId, u32)>> = const { Cell::new(None) };
    /// The file whose fences are left out.
    static FENCELESS: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// Who sleeps on what.
    static ASLEEP: RefCell<Vec<(usize, Thread)>> = const { RefCell::new(Vec::new()) };
}

/// What a dying thread unwinds with; not a panic, so nothing is printed.
struct Death;

/// Runs `life` until it has written `writes` times and is about to write again. `None` when that came before its end.
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

/// From here on the `SeqCst` fences in files whose name ends so do nothing.
pub(crate) fn without_fences(file: &'static str) {
    FENCELESS.set(Some(file));
}

/// An execution begins: all fences are there. One that failed may have left some out, a mortal thread, and sleepers.
pub(crate) fn begin() {
    FENCELESS.set(None);
    MORTAL.set(None);
    ASLEEP.take();
}

/// One more who was woken; the low half is what the program counts.
const WOKEN: u32 = 1 << 16;

/// Does for loom what the kernel does for a futex: who finds another number than `seen` does not sleep, and who sleeps must be woken. One
/// whom nobody wakes any more is a deadlock, which loom reports.
pub(crate) fn futex_wait(bell: &AtomicU32, seen: u32) {
    if bell.load(Ordering::Acquire) != seen {
        return;
    }
    let key = std::ptr::from_ref(bell).addr();
    // The kernel looks and falls asleep under a lock, so no wake-up comes between the two; here it is one step, because loom switches
    // threads only before it touches an atomic.
    while bell.fetch_or(0, Ordering::AcqRel) / WOKEN == seen / WOKEN {
        ASLEEP.with_borrow_mut(|asleep| asleep.push((key, loom::thread::current())));
        loom::thread::park();
    }
}

/// Wakes all that sleep on it.
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
    // Not in the closure, whose caller is another one.
    let caller = Location::caller().file();
    let is_out = FENCELESS.get().is_some_and(|file| caller.ends_with(file));
    if !(is_out && order == Ordering::SeqCst) {
        loom::sync::atomic::fence(order);
    }
}

/// Whose turn it is to use an atomic.
///
/// loom tries another order of two threads only where it sees that they use the same thing and one of them writes, and it looks only at
/// the last use before (loom 0.7.3, `last_dependent_access`): if bob loads and then writes what alice has loaded, the last use before his
/// write is his own, and that he may write before she loads is never tried. So each use writes something here, in no order with anything.
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

        #[allow(dead_code)] // Each has all that any of them needs.
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
