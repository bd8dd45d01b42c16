//! `get` and `wait`: blocking until objects are finished.
//!
//! ```text
//!   look ─▶ enough? ─▶ spin, if a processor is free for it ─▶ bits on all that are missing, a countdown ─▶ one sleep ─▶ look again
//! ```

use super::current::call_here;
use super::spin::Look;
use super::{Client, Fallible, dropped, ended, refused};
use crate::abi::Fault;
use crate::abi::held::none_here;
use crate::protocol::ObjectId;
use crate::store::{Desk, now_us, rung_for};
use crate::sync::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How many of the missing objects are checked in one turn of spinning.
const LOOKED_AT: usize = 16;

impl Client {
    /// Blocks until `num_returns` of `ids` are finished or `timeout` has passed, and says which are: 1 or 0 for each. An object that does
    /// not exist counts as finished: opening it says what is wrong.
    ///
    /// # Errors
    /// [`Fault::Interrupted`], [`Fault::Disconnected`], or more results wanted than there are.
    pub fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()> {
        self.heed_interrupt()?;
        if num_returns > ids.len() as u64 {
            return Err(refused(format!("{num_returns} of {} objects can never be ready", ids.len())));
        }
        if let (&[id], [ready], None) = (ids, &mut *ready, timeout)
            && num_returns == 1
            && self.spin_for(ObjectId(id))
        {
            *ready = 1;
            return Ok(());
        }
        let mut missing = Vec::new();
        let mut found = 0;
        for (place, (id, ready)) in (0..).zip(ids.iter().zip(ready.iter_mut())) {
            *ready = self.is_finished(ObjectId(*id)).into();
            if *ready == 0 {
                missing.push(place);
            } else {
                found += 1;
            }
        }
        if found >= num_returns || timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        let mut waiter = Waiter { client: self, ids, missing, wanted: num_returns - found };
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let came = if waiter.spin(deadline) { Ok(()) } else { waiter.sleep(deadline) };
        for place in &waiter.missing {
            ready[*place as usize] = 2;
        }
        ready.iter_mut().for_each(|ready| *ready = (*ready != 2).into());
        came
    }

    /// Spins for one object, which is what most calls wait for. True when it is finished.
    pub(super) fn spin_for(&self, id: ObjectId) -> bool {
        if self.is_finished(id) {
            return true;
        }
        self.be_active();
        let look = || if self.is_finished(id) { Look::Found(()) } else { Look::Nothing };
        self.spin.look(&self.segment, self.seat, look).is_some()
    }

    /// Marks this process as one that uses a processor.
    pub(super) fn be_active(&self) {
        let active = &self.segment.header().active;
        if !active.has(self.seat) {
            active.add(self.seat);
        }
    }

    /// Sleeps while the bell's number is `seen`, and learns how long a wake-up takes. True if the process was rung.
    pub(super) fn sleep(&self, seen: u32, timeout: Option<Duration>) -> bool {
        let desk = self.segment.desk(self.seat);
        desk.sleep(seen, timeout);
        let was_rung = desk.bell.load(Ordering::Acquire) != seen;
        if was_rung {
            self.spin.woken_after(now_us().wrapping_sub(desk.rung.load(Ordering::Relaxed)));
        }
        was_rung
    }

    pub(super) fn is_finished(&self, id: ObjectId) -> bool {
        let word = self.segment.slot(id.slot()).word();
        !(word.generation() == id.generation() && word.is_task())
    }

    /// Fails if the cell was interrupted, the task cancelled, or this process dropped by the runtime. Every call of a cell begins with this, so that a loop of calls that never block can be
    /// interrupted, too. It is one load, unless there was an interrupt.
    ///
    /// # Errors
    /// See [`Client::interruption`].
    #[inline]
    pub(super) fn heed_interrupt(&self) -> Fallible<()> {
        if self.is_interrupted() { Err(self.interruption()) } else { Ok(()) }
    }

    /// What a call ends with that is interrupted.
    pub(super) fn interruption(&self) -> Box<Fault> {
        if self.is_dropped() { dropped() } else { Fault::Interrupted.into() }
    }

    /// Whether the head has dropped this process.
    pub(super) fn is_dropped(&self) -> bool {
        self.segment.desk(self.seat).interrupted.load(Ordering::Acquire) == Desk::DROPPED
    }

    pub(super) fn is_interrupted(&self) -> bool {
        let is_so = self.has_interrupt();
        if is_so && !self.is_worker() {
            self.interrupt_is_met();
        }
        is_so
    }

    /// The same, for a thread that is in no call of the cell and so does not end one.
    pub(super) fn has_interrupt(&self) -> bool {
        let desk = self.segment.desk(self.seat);
        let number = desk.interrupted.load(Ordering::Acquire);
        if number == 0 || number == Desk::DROPPED {
            return number != 0;
        }
        if self.is_worker() {
            // A task that was cancelled.
            return match call_here() {
                Some(call) => self.is_cancelled_call(call),
                None => number == Desk::interrupt_of(ObjectId(desk.current.load(Ordering::Acquire))),
            };
        }
        let state = self.state();
        state.is_interruptible && state.turn + 1 == number
    }

    /// Notes that a call has returned the interrupt, so that the cell is unwinding.
    pub(super) fn interrupt_is_met(&self) {
        self.segment.desk(self.seat).heeded.store(1, Ordering::Release);
    }

    /// From here until the guard is dropped, this thread is in a call that an interrupt ends.
    pub(super) fn blocked(&self) -> Blocked<'_> {
        none_here("a thread blocks");
        let blocked = &self.segment.desk(self.seat).blocked;
        blocked.fetch_add(1, Ordering::AcqRel);
        Blocked(blocked)
    }
}

/// See [`Client::blocked`].
pub(super) struct Blocked<'a>(&'a AtomicU32);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One call of `wait`.
struct Waiter<'a> {
    client: &'a Client,
    ids: &'a [u64],
    /// The places of the ids that are not finished.
    missing: Vec<u32>,
    /// How many of those must still finish.
    wanted: u64,
}

impl Waiter<'_> {
    fn id(&self, place: u32) -> ObjectId {
        ObjectId(self.ids[place as usize])
    }

    /// Checks some of the missing objects. When all are wanted, one that is not finished is enough to know.
    fn look_at_some(&mut self, cursor: &mut usize) -> Look<()> {
        let all = self.wanted == self.missing.len() as u64;
        let mut progress = false;
        for _ in 0..LOOKED_AT.min(self.missing.len()) {
            // When all are wanted: in the order in which they were given, the likeliest first. Else the order does not matter.
            let place = if all { 0 } else { *cursor % self.missing.len() };
            if self.client.is_finished(self.id(self.missing[place])) {
                self.missing.swap_remove(place);
                self.wanted -= 1;
                progress = true;
                if self.wanted == 0 {
                    return Look::Found(());
                }
            } else if all {
                break;
            } else {
                *cursor += 1;
            }
        }
        if progress { Look::Progress } else { Look::Nothing }
    }

    /// True when enough objects are finished.
    fn spin(&mut self, deadline: Option<Instant>) -> bool {
        let client = self.client;
        let mut cursor = 0;
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return false;
        }
        client.be_active();
        if self.wanted == self.missing.len() as u64 {
            // `swap_remove` at the front takes the next from the back, so the first ids go to the back.
            self.missing.reverse();
            let last = self.missing.len() - 1;
            self.missing.swap(0, last);
        }
        client.spin.look(&client.segment, client.seat, || self.look_at_some(&mut cursor)).is_some()
    }

    /// Forgets the finished objects. True when enough are finished.
    fn look_at_all(&mut self) -> bool {
        let before = self.missing.len();
        let client = self.client;
        let ids = self.ids;
        self.missing.retain(|place| !client.is_finished(ObjectId(ids[*place as usize])));
        self.wanted = self.wanted.saturating_sub((before - self.missing.len()) as u64);
        self.wanted == 0
    }

    fn sleep(&mut self, deadline: Option<Instant>) -> Fallible<()> {
        let client = self.client;
        let (segment, seat) = (&client.segment, client.seat);
        let _blocked = client.blocked();
        let _lending = client.lend_cpu();
        // Another process may use this processor meanwhile.
        segment.header().active.remove(seat);
        segment.work_left();
        client.state().waiting += 1;
        let came = self.sleep_armed(deadline);
        {
            // Under the lock, so that a thread which begins to wait now sets its bits after these are cleared.
            let mut state = client.state();
            state.waiting -= 1;
            if state.waiting == 0 {
                // While other threads wait, perhaps for the same objects, the bits stay, and ring in vain at worst.
                self.missing.iter().for_each(|place| segment.disarm(self.id(*place), seat));
            }
        }
        segment.header().active.add(seat);
        came
    }

    fn sleep_armed(&mut self, deadline: Option<Instant>) -> Fallible<()> {
        let client = self.client;
        let desk = client.segment.desk(client.seat);
        let repeats = {
            let mut sorted: Vec<u64> = self.missing.iter().map(|place| self.ids[*place as usize]).collect();
            sorted.sort_unstable();
            sorted.windows(2).any(|pair| pair[0] == pair[1])
        };
        let mut armed = false;
        // The bell's number before the last check of all objects.
        let mut looked = None;
        loop {
            let seen = desk.bell.load(Ordering::Acquire);
            let alone = self.choose_countdown(repeats);
            if alone || !armed {
                self.arm_all();
                armed = true;
            }
            if alone || repeats {
                // The bell is not rung for each of these objects, so its number proves nothing.
                looked = None;
            }
            loop {
                if client.is_interrupted() {
                    return Err(client.interruption());
                }
                if client.segment.header().closed.load(Ordering::Acquire) != 0 {
                    return Err(ended());
                }
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let is_late = left.is_some_and(|left| left.is_zero());
                let may_be_enough = if alone {
                    desk.countdown.load(Ordering::Acquire) <= 0
                } else {
                    looked.is_none_or(|looked| rung_for(looked, seen, self.wanted))
                };
                if may_be_enough || is_late {
                    looked = Some(seen);
                    if self.look_at_all() || is_late {
                        return Ok(());
                    }
                    if alone {
                        break;
                    }
                }
                none_here("a thread sleeps");
                if client.sleep(seen, left) {
                    break;
                }
            }
        }
    }

    /// Sets after how many objects this process is rung. There is one bit per object and one countdown per process, so with several
    /// threads, or an object that counts twice, it is rung after each. True if only this thread counts.
    fn choose_countdown(&self, repeats: bool) -> bool {
        // Under the lock, so that a thread which begins to wait now sets it after this one.
        let state = self.client.state();
        let alone = state.waiting == 1 && !repeats;
        debug_assert!(self.wanted <= self.missing.len() as u64, "a countdown is never higher than what is missing");
        let countdown = if alone { self.wanted as i64 } else { 0 };
        self.client.segment.desk(self.client.seat).countdown.store(countdown, Ordering::Release);
        alone
    }

    /// Sets this process's bit on all missing objects, and counts those that are finished by now.
    fn arm_all(&self) {
        let (segment, seat) = (&self.client.segment, self.client.seat);
        let came = self.missing.iter().filter(|place| segment.arm(self.id(**place), seat)).count();
        if came == 0 {
            return;
        }
        segment.desk(seat).countdown.fetch_sub(came as i64, Ordering::AcqRel);
        if self.client.state().waiting > 1 {
            // The bits that were taken back may have been another thread's too, and no sealer rings for these any more.
            segment.ring_for_all(seat);
        }
    }
}
