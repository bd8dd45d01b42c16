//! Waiting for objects: one sleep for any number of them, and nobody who polls.
//!
//! ```text
//!   waiter:  countdown = how many are missing ─▶ my bit on each ─▶ sealed meanwhile? take the bit back and count it ─▶ sleep while countdown > 0
//!   sealer:  seal ──fence──▶ for each bit: take it, countdown − 1; nothing left to count? ring
//! ```
//!
//! Whoever takes a bit away counts, exactly one of the two. So a countdown reaches zero when as many objects are there as were wanted,
//! and not before; an early ring, which stale bits can cause, is a look in vain.
//!
//! # Invariants
//! - A countdown is never higher than what is missing.
//! - A bell's number changes before its sleeper is woken, and a sleeper reads it before it looks: no ring is lost.
//! - Who dies between sealing and ringing is noticed by the head, which rings all bells; everybody looks again after such a ring.

use super::Id;
use super::layout::Desk;
use super::seat::Seat;
use super::segment::Segment;
use crate::sync::{AtomicU32, Ordering, fence_after_rmw};
use std::time::Duration;

/// How far a bell's number goes for a ring that may stand for any number of objects.
const RING_FOR_ALL: u32 = 1 << 16;

/// Whether so many objects can have come while a bell's number went from `before` to `now`, where each of them rings it.
pub fn rung_for(before: u32, now: u32, objects: u64) -> bool {
    u64::from(now.wrapping_sub(before)) >= objects.min(RING_FOR_ALL.into())
}

impl Segment {
    /// Puts this process's bit on the object. True if the object is there already, and this call has taken the bit back.
    pub fn arm(&self, id: Id, by: Seat) -> bool {
        let slot = self.slot(id.slot());
        slot.waiters.add(by);
        // Pairs with the fence in `tell_waiters`: the sealer sees the bit, or we see that it is sealed.
        fence_after_rmw();
        let word = slot.word();
        if word.generation() == id.generation() && word.is_task() {
            return false;
        }
        slot.waiters.remove(by)
    }

    /// Takes this process's bit back from an object that it does not wait for any longer.
    pub fn disarm(&self, id: Id, by: Seat) {
        self.slot(id.slot()).waiters.remove(by);
    }

    /// The object was sealed by this thread's last instruction but loads: whoever waits for it counts it. Gives whether the head is among them.
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
            // AcqRel: who is rung sees the object.
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

    /// The same, for any number of objects.
    pub fn ring_for_all(&self, seat: Seat) {
        self.ring_times(seat, RING_FOR_ALL);
    }

    fn ring_times(&self, seat: Seat, times: u32) {
        let desk = self.desk(seat);
        desk.bell.fetch_add(times, Ordering::AcqRel);
        // Pairs with the fence in `sleep`: either it is seen to sleep, or it sees the new number.
        fence_after_rmw();
        if desk.asleep.load(Ordering::Relaxed) > 0 {
            desk.rung.store(now_us(), Ordering::Relaxed);
            wake(&desk.bell);
        }
    }

    /// Wakes everybody, after something that may have left somebody waiting in vain.
    pub fn ring_all(&self) {
        for seat in self.header().taken.iter() {
            let desk = self.desk(seat);
            desk.bell.fetch_add(RING_FOR_ALL, Ordering::AcqRel);
            wake(&desk.bell);
        }
    }

    /// Wakes one idle worker, if there is one. The others look for themselves when that one finds more than it can do.
    pub fn wake_idle(&self) {
        let idle = self.header().idle.iter().find(|seat| self.header().idle.remove(*seat));
        if let Some(seat) = idle {
            self.ring(seat);
        }
    }

    /// This process goes to sleep, or has taken one of several tasks: if there are tasks left in rings, a worker is to look at them. Right
    /// after it has taken itself out of those who seek, or who are active.
    pub fn work_left(&self) {
        // Pairs with the fences in `push`: whoever pushes sees that nobody seeks any more, or this sees what was pushed.
        fence_after_rmw();
        if !self.header().idle.is_empty()
            && self.header().seeking.is_empty()
            && self.header().rings.iter().any(|of| self.has_entries(of))
        {
            self.wake_idle();
        }
    }

    /// A task was put into a ring: if no worker is looking for one, wakes one.
    pub fn work_came(&self) {
        // The fence of `push` lies between the push and this look; a worker that goes to sleep adds itself to the idle ones, then looks
        // at the rings.
        if !self.header().idle.is_empty() && self.header().seeking.is_empty() {
            self.wake_idle();
        }
    }
}

impl Desk {
    /// Sleeps until the bell's number is not `seen` any more, or the time is over. May return for no reason.
    pub fn sleep(&self, seen: u32, timeout: Option<Duration>) {
        self.asleep.fetch_add(1, Ordering::AcqRel);
        // Pairs with the fence in `ring`.
        fence_after_rmw();
        if self.bell.load(Ordering::Acquire) == seen {
            wait(&self.bell, seen, timeout);
        }
        self.asleep.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Microseconds of a clock that all processes have, to the last 32 bits.
pub fn now_us() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u32)
}

#[cfg(not(loom))]
fn wake(bell: &AtomicU32) {
    use rustix::thread::futex;
    // Not private: the sleeper is another process.
    let _ = futex::wake(bell, futex::Flags::empty(), i32::MAX as u32);
}

#[cfg(not(loom))]
fn wait(bell: &AtomicU32, seen: u32, timeout: Option<Duration>) {
    use rustix::thread::futex;
    let timeout = timeout.map(|left| futex::Timespec {
        tv_sec: left.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: left.subsec_nanos().into(),
    });
    // Woken, too late, interrupted by a signal, or out of time: the caller looks again in any case.
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
