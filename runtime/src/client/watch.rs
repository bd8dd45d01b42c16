//! Futures: one thread that sleeps for all objects that are awaited in this process, however many these are.
//!
//! ```text
//!   poll, not ready ─▶ watch(id) ─▶ the thread: bits on all new ones ─▶ one sleep ─▶ those that are finished: notify(id)
//! ```
//!
//! The thread starts with the first object, and ends when there has been none for [`IDLE`]. A twin has no threads, so in it the next object
//! starts it again.
//!
//! # Invariants
//! - An object is notified once, when it is finished, or when its awaiter has to look: the cell was interrupted, the task cancelled, or the
//!   runtime has ended.
//! - No lock is held while a process is notified, because that runs code of the library.

use super::lend::Lending;
use super::spin::Look;
use super::wait::Blocked;
use super::{Client, Fallible, refused};
use crate::abi::Notify;
use crate::protocol::ObjectId;
use crate::sync::Ordering;
use std::time::Duration;

/// How long the thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(5);

/// Up to so many objects are spun for, as `get` does.
const SPUN_FOR: usize = 16;

/// What is awaited, in a client's state.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Objects that the thread has not seen yet.
    new: Vec<(ObjectId, Notify)>,
    has_thread: bool,
    /// The thread is asleep, or about to be: it has to be rung.
    sleeps: bool,
}

/// What the thread is doing.
struct Watcher {
    client: &'static Client,
    missing: Vec<(ObjectId, Notify)>,
    /// While something is missing, this process counts as one that waits.
    waits: Option<(Blocked<'static>, Option<Lending<'static>>)>,
}

impl Client {
    /// Calls `notify` with this object's id when it is finished, from any thread, perhaps this one.
    ///
    /// # Errors
    /// [`crate::abi::Fault::Interrupted`], or the thread cannot be started.
    pub fn watch(&'static self, id: ObjectId, notify: Notify) -> Fallible<()> {
        self.heed_interrupt()?;
        if self.is_finished(id) {
            notify(id.0);
            return Ok(());
        }
        let (starts, rings) = {
            let watch = &mut self.state().watch;
            watch.new.push((id, notify));
            (!std::mem::replace(&mut watch.has_thread, true), std::mem::take(&mut watch.sleeps))
        };
        if starts {
            let watcher = Watcher { client: self, missing: Vec::new(), waits: None };
            let started = std::thread::Builder::new().name("mobula-watch".into()).spawn(move || watcher.run());
            if let Err(error) = started {
                let watch = &mut self.state().watch;
                (watch.has_thread, watch.new) = (false, Vec::new());
                return Err(refused(format!("no thread can be started to await an object: {error}")));
            }
        } else if rings {
            self.segment.ring_for_all(self.seat);
        }
        Ok(())
    }
}

impl Watcher {
    fn run(mut self) {
        let (segment, seat) = (&self.client.segment, self.client.seat);
        let desk = segment.desk(seat);
        loop {
            let seen = desk.bell.load(Ordering::Acquire);
            let new = std::mem::take(&mut self.client.state().watch.new);
            let armed = self.missing.len();
            self.missing.extend(new);
            self.set_waiting();
            self.missing[armed..].iter().for_each(|(id, _)| _ = segment.arm(*id, seat));
            let finished = self.finished();
            if !finished.is_empty() {
                self.set_waiting();
                finished.into_iter().for_each(|(id, notify)| notify(id.0));
                continue;
            }
            if self.spin() {
                continue;
            }
            {
                let mut state = self.client.state();
                if !state.watch.new.is_empty() {
                    continue;
                }
                state.watch.sleeps = true;
            }
            let is_idle = self.missing.is_empty();
            desk.sleep(seen, is_idle.then_some(IDLE));
            let mut state = self.client.state();
            state.watch.sleeps = false;
            if is_idle && desk.bell.load(Ordering::Acquire) == seen && state.watch.new.is_empty() {
                state.watch.has_thread = false;
                return;
            }
        }
    }

    /// Takes the objects out that are finished; all, if their awaiters have to look.
    fn finished(&mut self) -> Vec<(ObjectId, Notify)> {
        let client = self.client;
        let all = client.is_interrupted() || client.segment.header().closed.load(Ordering::Acquire) != 0;
        if all {
            std::mem::take(&mut self.missing)
        } else {
            self.missing.extract_if(.., |(id, _)| client.is_finished(*id)).collect()
        }
    }

    /// Spins if there is little to look at. True if something is finished.
    fn spin(&self) -> bool {
        if self.missing.is_empty() || self.missing.len() > SPUN_FOR {
            return false;
        }
        let client = self.client;
        let is_any = || self.missing.iter().any(|(id, _)| client.is_finished(*id));
        let look = || if is_any() { Look::Found(()) } else { Look::Nothing };
        client.spin.look(&client.segment, client.seat, look).is_some()
    }

    /// Counts this thread among those that wait, or not.
    fn set_waiting(&mut self) {
        let client = self.client;
        if self.missing.is_empty() == self.waits.is_none() {
            return;
        }
        if self.waits.take().is_some() {
            client.state().waiting -= 1;
            return;
        }
        {
            let mut state = client.state();
            state.waiting += 1;
            // With several threads that wait, the process is rung for each object.
            client.segment.desk(client.seat).countdown.store(0, Ordering::Release);
        }
        self.waits = Some((client.blocked(), client.lend_cpu()));
    }
}
