//! Waiting for objects: one sleep for any number of them, and no polling.
//!
//! ```text
//!   waiter:  countdown = number missing ─▶ my bit on each ─▶ sealed meanwhile? bit back, countdown − 1 ─▶ sleep while countdown > 0
//!   sealer:  seal ──fence──▶ for each bit: take it, countdown − 1; nothing left to count? ring
//! ```
//!
//! Either the waiter or the sealer takes a bit away, and that one counts down. So a countdown reaches zero when as many objects are sealed
//! as were wanted, and not before. Stale bits can cause an early ring, which is a spurious wake-up.
//!
//! # Invariants
//! - A countdown is never higher than the number of missing objects.
//! - A bell's number changes before its sleeper is woken, and the sleeper reads it before it checks its objects. So no ring is lost.
//! - When a process dies between sealing and ringing, the head rings all bells. Every process checks its objects again after such a ring.

use super::Id;
use super::layout::Desk;
use super::seat::Seat;
use super::segment::Segment;
use crate::sync::{AtomicU32, Ordering, fence_after_rmw};
use std::time::Duration;

/// The increment of a bell's number for a ring that may stand for any number of objects.
const RING_FOR_ALL: u32 = 1 << 16;

/// Whether so many objects can have been sealed while a bell's number went from `before` to `now`, if each of them rings it.
pub fn rung_for(before: u32, now: u32, objects: u64) -> bool {
    u64::from(now.wrapping_sub(before)) >= objects.min(RING_FOR_ALL.into())
}

impl Segment {
    /// Whether a call of the runtime has met the interrupt of a turn, or is about to. That is so if the turn has not been told yet, or if a
    /// thread of it is in a blocking call or has left one because of the interrupt.
    pub fn is_interrupt_heeded(&self, turn: u64) -> bool {
        let desks = self.header().taken.iter().map(|seat| self.desk(seat));
        let mut told = desks.filter(|desk| desk.interrupted.load(Ordering::Acquire) == turn + 1).peekable();
        told.peek().is_none()
            || told.any(|desk| desk.blocked.load(Ordering::Acquire) > 0 || desk.heeded.load(Ordering::Acquire) != 0)
    }

    /// Sets this process's bit on the object. True if the object is finished already, and this call has taken the bit back. If another
    /// object has the slot by now, the bit stays, because another thread may have set it for that one: it causes an early ring at worst.
    pub fn arm(&self, id: Id, by: Seat) -> bool {
        let slot = self.slot(id.slot());
        slot.waiters.add(by);
        // Pairs with the fence in `tell_waiters`: the sealer sees the bit, or this call sees that the object is sealed.
        fence_after_rmw();
        let word = slot.word();
        if word.generation() != id.generation() {
            return true;
        }
        !word.is_task() && slot.waiters.remove(by)
    }

    /// Clears this process's bit on an object that it no longer waits for.
    pub fn disarm(&self, id: Id, by: Seat) {
        self.slot(id.slot()).waiters.remove(by);
    }

    /// Counts a sealed object down for each of its waiters, and rings those that have nothing left to count. Returns whether the head is
    /// one of them. Between this thread's sealing and this call there may only be loads.
    pub fn tell_waiters(&self, index: u32) -> bool {
        let slot = self.slot(index);
        // Pairs with the fence in `arm`.
        fence_after_rmw();
        let mut head = false;
        for seat in slot.waiters.iter() {
            if !slot.waiters.remove(seat) {
                continue;
            }
            let desk = self.desk(seat);
            // AcqRel: the process that is rung sees the object.
            if desk.countdown.fetch_sub(1, Ordering::AcqRel) <= 1 {
                self.ring(seat);
            }
            head |= seat == Seat::HEAD;
        }
        head
    }

    /// Wakes a process, whatever it sleeps for.
    pub fn ring(&self, seat: Seat) {
        self.ring_times(seat, 1);
    }

    /// Wakes a process, on behalf of any number of objects.
    pub fn ring_for_all(&self, seat: Seat) {
        self.ring_times(seat, RING_FOR_ALL);
    }

    fn ring_times(&self, seat: Seat, times: u32) {
        let desk = self.desk(seat);
        desk.bell.fetch_add(times, Ordering::AcqRel);
        // Pairs with the fence in `sleep`: this call sees the sleeper, or the sleeper sees the new number.
        fence_after_rmw();
        if desk.asleep.load(Ordering::Relaxed) > 0 {
            desk.rung.store(now_us(), Ordering::Relaxed);
            wake(&desk.bell);
        }
    }

    /// Wakes every process, after an event that may have left one waiting in vain.
    pub fn ring_all(&self) {
        for seat in self.header().taken.iter() {
            let desk = self.desk(seat);
            desk.bell.fetch_add(RING_FOR_ALL, Ordering::AcqRel);
            wake(&desk.bell);
        }
    }

    /// Wakes one idle worker, if there is one. A worker that finds more tasks than it can run wakes the next.
    pub fn wake_idle(&self) {
        let idle = self.header().idle.iter().find(|seat| self.header().idle.remove(*seat));
        if let Some(seat) = idle {
            self.ring(seat);
        }
    }

    /// Wakes an idle worker if tasks are left in rings and no worker seeks them. A process calls this when it goes to sleep or has taken a
    /// task, right after it has removed itself from the seeking or the active processes.
    pub fn work_left(&self) {
        // Pairs with the fences in `push`: the pushing process sees that no worker seeks any more, or this call sees the task.
        fence_after_rmw();
        if !self.header().idle.is_empty()
            && self.header().seeking.is_empty()
            && self.header().rings.iter().any(|of| self.has_entries(of))
        {
            self.wake_idle();
        }
    }

    /// Wakes an idle worker after a push, unless one is seeking tasks already.
    pub fn work_came(&self) {
        // The fence of `push` lies between the push and these loads. A worker that goes to sleep adds itself to the idle ones, then checks
        // the rings.
        if !self.header().idle.is_empty() && self.header().seeking.is_empty() {
            self.wake_idle();
        }
    }
}

impl Desk {
    /// Sleeps until the bell's number is no longer `seen`, or the timeout has passed. May return spuriously.
    pub fn sleep(&self, seen: u32, timeout: Option<Duration>) {
        self.asleep.fetch_add(1, Ordering::AcqRel);
        // Pairs with the fence in `ring_times`.
        fence_after_rmw();
        if self.bell.load(Ordering::Acquire) == seen {
            wait(&self.bell, seen, timeout);
        }
        self.asleep.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The low 32 bits of a clock in microseconds, which is the same for all processes.
pub fn now_us() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u32)
}

#[cfg(not(loom))]
fn wake(bell: &AtomicU32) {
    use rustix::thread::futex;
    // Not a private futex, because the sleeper is another process.
    let _ = futex::wake(bell, futex::Flags::empty(), i32::MAX as u32);
}

#[cfg(not(loom))]
fn wait(bell: &AtomicU32, seen: u32, timeout: Option<Duration>) {
    use rustix::thread::futex;
    let timeout = timeout.map(|left| futex::Timespec {
        tv_sec: left.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: left.subsec_nanos().into(),
    });
    // Woken, rung before the sleep, interrupted by a signal, or timed out: the caller checks again in any case.
    let _ = futex::wait(bell, futex::Flags::empty(), seen, timeout.as_ref());
}

#[cfg(loom)]
fn wake(bell: &AtomicU32) {
    crate::sync::futex_wake(bell);
}

#[cfg(loom)]
fn wait(bell: &AtomicU32, seen: u32, _timeout: Option<Duration>) {
    crate::sync::futex_wait(bell, seen);
}
