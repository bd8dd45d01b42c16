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
use super::{Client, Fallible, ended, refused};
use crate::abi::Notify;
use crate::protocol::ObjectId;
use crate::sync::Ordering;
use std::collections::HashSet;
use std::time::Duration;

/// How long the thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(5);

/// Up to so many objects are spun for, as `get` does.
const SPUN_FOR: usize = 16;

/// An object that is awaited.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    id: ObjectId,
    notify: Notify,
    /// Of a worker: the task that awaits it, as [`Client::tasks_ended`] tells them apart.
    task: u64,
}

/// What is awaited, in a client's state.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Objects that the thread has not seen yet.
    new: Vec<Awaited>,
    /// All that are awaited, and by which task: each is watched once.
    known: HashSet<(ObjectId, u64)>,
    has_thread: bool,
    /// The thread is asleep, or about to be: it has to be rung.
    sleeps: bool,
}

/// What the thread is doing.
struct Watcher {
    client: &'static Client,
    missing: Vec<Awaited>,
    /// While something is missing, this process counts as one that waits.
    blocked: Option<Blocked<'static>>,
    /// While the task that runs here awaits something, its CPU is lent.
    lending: Option<Lending<'static>>,
}

impl Client {
    /// Calls `notify` with this object's id when it is finished, from any thread, perhaps this one.
    ///
    /// # Errors
    /// [`crate::abi::Fault::Interrupted`], [`crate::abi::Fault::Disconnected`], or the thread cannot be started.
    pub fn watch(&'static self, id: ObjectId, notify: Notify) -> Fallible<()> {
        self.heed_interrupt()?;
        // Who awaits one object waits as `get` does; who awaits many would spin for each.
        let is_alone = self.state().watch.known.is_empty();
        if self.is_finished(id) || (is_alone && self.spin_for(id)) {
            notify(id.0);
            return Ok(());
        }
        if self.segment.header().closed.load(Ordering::Acquire) != 0 {
            return Err(ended());
        }
        let task = self.tasks_ended();
        let (starts, rings) = {
            let watch = &mut self.state().watch;
            if !watch.known.insert((id, task)) {
                return Ok(());
            }
            watch.new.push(Awaited { id, notify, task });
            (!std::mem::replace(&mut watch.has_thread, true), std::mem::take(&mut watch.sleeps))
        };
        if starts {
            self.start_watcher(id)?;
        } else if rings {
            self.segment.ring_for_all(self.seat);
        }
        Ok(())
    }

    fn start_watcher(&'static self, id: ObjectId) -> Fallible<()> {
        let watcher = Watcher { client: self, missing: Vec::new(), blocked: None, lending: None };
        let started = std::thread::Builder::new().name("mobula-watch".into()).spawn(move || watcher.run());
        let Err(error) = started else { return Ok(()) };
        let others = {
            let watch = &mut self.state().watch;
            watch.has_thread = false;
            watch.known.clear();
            std::mem::take(&mut watch.new)
        };
        // They look, and try to start the thread themselves.
        others.iter().filter(|other| other.id != id).for_each(|other| (other.notify)(other.id.0));
        Err(refused(format!("no thread can be started to await an object: {error}")))
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
            self.count();
            let came = self.missing[armed..].iter().filter(|awaited| segment.arm(awaited.id, seat)).count();
            if came > 0 && self.client.state().waiting > 1 {
                // The bits that were taken back may have been another thread's too.
                segment.ring_for_all(seat);
            }
            let finished = self.finished();
            if !finished.is_empty() {
                self.count();
                {
                    // Before they are notified: who awaits one from now on sees that it is finished.
                    let known = &mut self.client.state().watch.known;
                    finished.iter().for_each(|awaited| _ = known.remove(&(awaited.id, awaited.task)));
                }
                finished.into_iter().for_each(|awaited| (awaited.notify)(awaited.id.0));
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
    fn finished(&mut self) -> Vec<Awaited> {
        let client = self.client;
        let all = client.has_interrupt() || client.segment.header().closed.load(Ordering::Acquire) != 0;
        self.missing.extract_if(.., |awaited| all || client.is_finished(awaited.id)).collect()
    }

    /// Spins if there is little to look at. True if something is finished.
    fn spin(&self) -> bool {
        if self.missing.is_empty() || self.missing.len() > SPUN_FOR {
            return false;
        }
        let client = self.client;
        let is_any = || self.missing.iter().any(|awaited| client.is_finished(awaited.id));
        let look = || if is_any() { Look::Found(()) } else { Look::Nothing };
        client.spin.look(&client.segment, client.seat, look).is_some()
    }

    /// Counts this thread among those that wait, or not, and lends the CPU of a task that awaits.
    fn count(&mut self) {
        let client = self.client;
        if self.missing.is_empty() != self.blocked.is_none() {
            if self.blocked.take().is_some() {
                client.state().waiting -= 1;
            } else {
                self.blocked = Some(client.blocked());
                let mut state = client.state();
                state.waiting += 1;
                // With several threads that wait, the process is rung for each object.
                client.segment.desk(client.seat).countdown.store(0, Ordering::Release);
            }
        }
        let task = client.tasks_ended();
        if !self.missing.iter().any(|awaited| awaited.task == task) {
            self.lending = None;
        } else if !self.lending.as_ref().is_some_and(|lending| lending.is_of(task)) {
            self.lending = client.lend_cpu_of(task);
        }
    }
}
