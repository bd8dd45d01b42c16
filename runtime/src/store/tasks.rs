//! Tasks in shared memory, from submission to result, without a server process in between.
//!
//! ```text
//!   submit ──all arguments there──▶ Pending, in my ring ──claim──▶ Running(worker) ──finish──▶ Sealed
//!      └────one is missing──▶ Waiting, in that argument's list ──its sealer: wake──▶ Pending, in the sealer's ring
//! ```
//!
//! A slot is the record of a task and of its result. A worker first claims a task in the slot's word and then moves the ring's head
//! forward, so a worker that dies in between strands nothing. A waiting task is in the list of one object only: its first missing argument.
//! When that is ready, the task moves on to the next.
//!
//! # Invariants
//! - A pending task is in the ring of its owner, or its owner is about to put it there. If the owner dies, the head puts the task into its
//!   own ring.
//! - The sealer of an object takes its list. A process that adds to the list of an object that was sealed meanwhile takes the list itself.
//!   One of the two sees the other.
//! - One process writes into a ring: its owner, under its client's lock.

use super::Id;
use super::layout::Own;
use super::leases::Leases;
use super::seat::Seat;
use super::segment::Segment;
use super::task_spec::Spec;
use super::word::{Flags, Step};
use crate::sync::{Ordering, fence, fence_after_rmw};

/// Whether a task can run, or waits for an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All its arguments are ready.
    Ready,
    /// It is in the list of an argument that is missing.
    Listed,
}

impl Segment {
    /// Puts a task into this process's ring. False when the ring is full.
    pub fn push(&self, leases: &Leases, id: Id) -> bool {
        let by = leases.seat;
        if !self.has_room(leases) {
            return false;
        }
        let desk = self.desk(by);
        let tail = desk.tail.load(Ordering::Relaxed);
        self.entry(by, tail).store(id.0, Ordering::Relaxed);
        // Release pairs with the Acquire of `tail` in `claim`.
        desk.tail.store(tail.wrapping_add(1), Ordering::Release);
        // Pairs with the fence in `quiet`: this call sees that the bit is missing, or `quiet` sees the task.
        fence(Ordering::SeqCst);
        if !self.header().rings.has(by) {
            self.header().rings.add(by);
            // Pairs with the first fence in `quiet`: a worker that goes to sleep sees the bit, or `work_came` sees that it is idle.
            fence_after_rmw();
        }
        true
    }

    /// Whether the process's ring has room for one more.
    pub fn has_room(&self, leases: &Leases) -> bool {
        let (desk, ring) = (self.desk(leases.seat), u64::from(self.limits().ring));
        let tail = desk.tail.load(Ordering::Relaxed);
        if tail.wrapping_sub(leases.head_seen.get()) < ring {
            return true;
        }
        // Workers write the head all the time, so it is read only when it must be.
        leases.head_seen.set(desk.head.load(Ordering::Acquire));
        tail.wrapping_sub(leases.head_seen.get()) < ring
    }

    /// Whether there is anything in the ring.
    pub fn has_entries(&self, of: Seat) -> bool {
        self.first_entry(of).is_some()
    }

    /// Roughly how many tasks are in all rings.
    pub fn entries(&self) -> u64 {
        let of = |seat| {
            let desk = self.desk(seat);
            let head = desk.head.load(Ordering::Acquire);
            desk.tail.load(Ordering::Acquire).saturating_sub(head).min(self.limits().ring.into())
        };
        self.header().rings.iter().map(of).sum()
    }

    /// The first entry of the ring, if there is one. Also `None` when the two ends are invalid, because some process has written over them.
    fn first_entry(&self, of: Seat) -> Option<u64> {
        let desk = self.desk(of);
        loop {
            let head = desk.head.load(Ordering::Acquire);
            let count = desk.tail.load(Ordering::Acquire).wrapping_sub(head);
            if count <= u64::from(self.limits().ring) {
                return (count > 0).then_some(head);
            }
            // More entries than there can be, unless the head went on in between.
            if desk.head.load(Ordering::Acquire) == head {
                return None;
            }
        }
    }

    /// Takes a task out of the ring of `of`, for `by` to run.
    pub fn claim(&self, of: Seat, by: Seat) -> Option<Id> {
        let desk = self.desk(of);
        loop {
            let head = self.first_entry(of)?;
            let id = Id(self.entry(of, head).load(Ordering::Relaxed));
            let claimed = self.take_step(id, Step::Claim { by });
            // This process or another one has claimed the task, so the entry is used up. Any process may move the head on for any other.
            let _ = desk.head.compare_exchange(head, head.wrapping_add(1), Ordering::AcqRel, Ordering::Acquire);
            if claimed {
                return Some(id);
            }
        }
    }

    /// Claims a task from any ring: from the process's own one if there is any, else from the others' in turn, as many from each as its
    /// share says, so that none of two that submit all the time waits for the other.
    pub fn claim_any(&self, by: Seat) -> Option<Id> {
        if let Some(id) = self.claim(by, by) {
            return Some(id);
        }
        let (rings, Own { turn, taken, .. }) = (&self.header().rings, &self.desk(by).own);
        let last = turn.load(Ordering::Relaxed);
        let (of, count) = (Seat(last as u16), taken.load(Ordering::Relaxed));
        if count < self.desk(of).share.load(Ordering::Relaxed)
            && let Some(id) = self.claim(of, by)
        {
            taken.store(count + 1, Ordering::Relaxed);
            return Some(id);
        }
        let is_next = |of: &Seat| u32::from(of.0) > last;
        for of in rings.iter().filter(is_next).chain(rings.iter().filter(|of| !is_next(of))) {
            if let Some(id) = self.claim(of, by) {
                turn.store(of.0.into(), Ordering::Relaxed);
                taken.store(1, Ordering::Relaxed);
                return Some(id);
            }
        }
        None
    }

    /// Clears the bits of empty rings, so that workers have fewer rings to look at. True when all rings are empty: a later push sets a bit
    /// again.
    pub fn quiet(&self) -> bool {
        // Pairs with the fences in `push`: the pushing process sees that the caller is idle, or this call sees the task.
        fence(Ordering::SeqCst);
        for of in self.header().rings.iter() {
            if self.has_entries(of) {
                return false;
            }
            self.header().rings.remove(of);
            // Pairs with the fence in `push`.
            fence(Ordering::SeqCst);
            if self.has_entries(of) {
                self.header().rings.add(of);
                return false;
            }
        }
        true
    }

    /// Makes a free slot of this process a task, whose objects are held and whose description is written. Returns its id, and whether it
    /// can be claimed; if not, it is put into a ring when its arguments are ready.
    pub fn submit(&self, leases: &Leases, index: u32, spec: &Spec, late: &mut Vec<Id>) -> Option<(Id, Readiness)> {
        let slot = self.slot(index);
        let word = slot.word();
        slot.deps.store(0, Ordering::Relaxed);
        slot.refs.begin_with(leases.seat);
        let flags = if spec.objects().next().is_some() { Flags::ARGS } else { Flags::empty() };
        let waits = spec.objects().any(|id| self.slot(id.slot()).word().is_task());
        let task = word.after(Step::Submit { by: leases.seat, flags, waits })?;
        slot.swap(word, task).ok()?;
        let id = Id::new(index, task.generation());
        if !waits {
            return Some((id, Readiness::Ready));
        }
        Some((id, self.ready_or_listed(id, spec, leases.seat, late)))
    }

    /// Takes a step of an object's slot, against concurrent steps of other processes. False when the step is not allowed.
    pub fn take_step(&self, id: Id, step: Step) -> bool {
        let slot = self.slot(id.slot());
        loop {
            let word = slot.word();
            let Some(next) = word.after(step).filter(|_| word.generation() == id.generation()) else { return false };
            if slot.swap(word, next).is_ok() {
                return true;
            }
        }
    }

    /// Makes a waiting task pending if its arguments are ready, else puts it into the list of the first that is missing. The caller puts a
    /// pending task into its ring. For another process's task, call this between [`Leases::moves`] and [`Leases::moved`]. Then the head,
    /// which checks all waiting tasks after a death, does not wake the task in the same moment.
    ///
    /// `late` gets tasks that this call has taken out of a list, because their object was sealed in the same moment; the caller treats them
    /// likewise.
    pub fn ready_or_listed(&self, task: Id, spec: &Spec, by: Seat, late: &mut Vec<Id>) -> Readiness {
        for missing in spec.objects() {
            if self.list_behind(missing, task, late) {
                return Readiness::Listed;
            }
        }
        let woken = self.take_step(task, Step::Wake { by });
        // Else the head has woken it: after a death it checks all waiting tasks.
        if woken { Readiness::Ready } else { Readiness::Listed }
    }

    /// Puts a task into an object's list. False when the object is finished already, or gone.
    fn list_behind(&self, object: Id, task: Id, late: &mut Vec<Id>) -> bool {
        let slot = self.slot(object.slot());
        let word = slot.word();
        if word.generation() != object.generation() || !word.is_task() {
            return false;
        }
        let mine = self.slot(task.slot());
        let mut first = slot.deps.load(Ordering::Acquire);
        loop {
            mine.next.store(first, Ordering::Relaxed);
            // Release pairs with the swap in `take_list`.
            match slot.deps.compare_exchange(first, task.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(other) => first = other,
            }
        }
        // Pairs with the fence in `take_list`: the sealer sees the list, or this call sees that the object is sealed.
        fence_after_rmw();
        if !slot.word().is_task() {
            late.extend(self.take_list(object.slot()));
        }
        true
    }

    /// Takes the tasks that wait for a sealed object, in the order in which they came. Between this thread's sealing and this call there
    /// may only be loads.
    pub fn take_list(&self, object: u32) -> Vec<Id> {
        let slot = self.slot(object);
        // Pairs with the fence in `list_behind`.
        fence_after_rmw();
        if slot.deps.load(Ordering::Acquire) == 0 {
            // Most objects have no list, and a load leaves the cache line to processes that poll the word beside it.
            return Vec::new();
        }
        let mut next = slot.deps.swap(0, Ordering::AcqRel);
        let mut tasks = Vec::new();
        while next != 0 && tasks.len() <= self.limits().slots as usize {
            let task = Id(next);
            tasks.push(task);
            next = self.slot(task.slot()).next.load(Ordering::Relaxed);
        }
        tasks.reverse();
        tasks
    }

    /// Seals the result of a task that `by` runs. Its bytes, and what they contain, have been written; if the bytes are in the slot, there
    /// are `len` of them. Returns whether the result is still referred to, as far as is known; `None` when `by` does not run the task.
    pub fn finish(&self, by: Seat, id: Id, flags: Flags, len: u8) -> Option<bool> {
        let slot = self.slot(id.slot());
        if flags.contains(Flags::ARENA) {
            slot.touched.store(self.header().clock.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        loop {
            let word = slot.word();
            if word.generation() != id.generation() {
                return None;
            }
            let sealed = word.after(Step::Finish { by, flags, len })?;
            if slot.swap(word, sealed).is_ok() {
                return Some(!word.flags().contains(Flags::ABANDONED));
            }
            // The task was abandoned in this moment.
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;
    use crate::store::word::Flags;
    use std::sync::Arc;

    const ALICE: Seat = Seat(1);
    const BOB: Seat = Seat(2);
    const WORKER: Seat = Seat(9);

    /// Puts a plain task into a process's ring.
    fn pushed(segment: &Arc<Segment>, by: Seat, slot: u32) -> Id {
        segment.write_spec(slot, &Spec::new(0, 0));
        for step in [Step::Lease { by }, Step::Submit { by, flags: Flags::empty(), waits: false }] {
            let word = segment.slot(slot).word();
            segment.slot(slot).swap(word, word.after(step).unwrap()).unwrap();
        }
        let id = Id::new(slot, 0);
        assert!(segment.push(&Leases::new(Arc::clone(segment), by), id));
        id
    }

    #[test]
    fn of_two_processes_with_tasks_each_has_its_turn() {
        let segment = Arc::new(Segment::stand_in(Limits { slots: 64, units: 1, ring: 8 }));
        let alices = [1, 2, 3].map(|slot| pushed(&segment, ALICE, slot));
        let bobs = [4, 5, 6].map(|slot| pushed(&segment, BOB, slot));
        let claimed: Vec<Id> = std::iter::from_fn(|| segment.claim_any(WORKER)).collect();
        assert_eq!(claimed, [alices[0], bobs[0], alices[1], bobs[1], alices[2], bobs[2]]);
    }
}
