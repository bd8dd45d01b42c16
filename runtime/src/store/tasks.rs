//! Tasks in shared memory: from their submission to their result, without anybody in between.
//!
//! ```text
//!   submit ──all arguments there──▶ Pending, in my ring ──claim──▶ Running(worker) ──finish──▶ Sealed
//!      └────one is missing──▶ Waiting, in that one's list ──who seals it: wake──▶ Pending, in the sealer's ring
//! ```
//!
//! A slot is its task's record and its result's at once. Workers claim in the slot's word first and then help the ring's head forward,
//! so that one who dies in between strands nothing. A task that waits is in the list of one object only, the first of its arguments that
//! is missing; when that is there it moves on to the next.
//!
//! # Invariants
//! - A pending task is in the ring of its owner or about to be put there by it; if the owner dies, the head puts it into its own.
//! - Who seals an object takes its list; who adds to the list of one that was sealed meanwhile takes it itself. One of them sees the
//!   other.
//! - One process writes into a ring: its owner, under its client's lock.

use super::Id;
use super::leases::Leases;
use super::seat::Seat;
use super::segment::Segment;
use super::task_spec::Spec;
use super::word::{Flags, Step};
use crate::sync::{Ordering, fence, fence_after_rmw};

/// What became of a task that was to wait for its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All are there.
    Ready,
    /// It is in the list of one that is not.
    Listed,
}

impl Segment {
    /// Puts a task into the ring of `by`. False when the ring is full.
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
        // Pairs with the fence in `quiet`: either the bit is seen here to be missing, or the task there.
        fence(Ordering::SeqCst);
        if !self.header().rings.has(by) {
            self.header().rings.add(by);
            // Pairs with the first fence in `quiet`: who goes to sleep sees the bit, or is seen to be idle in `work_came`.
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
        // Workers write the head all the time: it is looked at only when it must be.
        leases.head_seen.set(desk.head.load(Ordering::Acquire));
        tail.wrapping_sub(leases.head_seen.get()) < ring
    }

    /// Whether there is anything in the ring.
    pub fn has_entries(&self, of: Seat) -> bool {
        self.first_entry(of).is_some()
    }

    /// The first entry of the ring, if there is one. None, too, where the two ends make no sense: then somebody has written over them.
    fn first_entry(&self, of: Seat) -> Option<u64> {
        let desk = self.desk(of);
        loop {
            let head = desk.head.load(Ordering::Acquire);
            let count = desk.tail.load(Ordering::Acquire).wrapping_sub(head);
            if count <= u64::from(self.limits().ring) {
                return (count > 0).then_some(head);
            }
            // More than there can be, unless the head went on in between.
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
            // Claimed by us or by somebody else, it is not to be looked at again. Anybody may do this for anybody.
            let _ = desk.head.compare_exchange(head, head.wrapping_add(1), Ordering::AcqRel, Ordering::Acquire);
            if claimed {
                return Some(id);
            }
        }
    }

    /// A task from any ring, beginning with one's own.
    pub fn claim_any(&self, by: Seat) -> Option<Id> {
        if let Some(id) = self.claim(by, by) {
            return Some(id);
        }
        self.header().rings.iter().find_map(|of| self.claim(of, by))
    }

    /// Takes the bits of empty rings away, so that those who look for work have less to look at. True when all are empty: whatever is
    /// pushed from now on sets a bit again.
    pub fn quiet(&self) -> bool {
        // Pairs with the fences in `push`: whoever pushes sees that the caller is idle, or this sees what was pushed.
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

    /// Makes an empty slot of this process's a task. Its objects are held, and its description is written. Gives its id, and whether
    /// somebody may claim it; if not, it will be put into a ring when its arguments are there.
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

    /// A step of an object's slot that may meet another one: whether it was taken.
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

    /// Makes a waiting task pending if its arguments are there, else puts it into the list of the first that is missing. In the first
    /// case the caller puts it into its ring. Between [`Leases::moves`] and [`Leases::moved`] when the task is another's: then the head,
    /// which looks at all waiting tasks after a death, does not wake it in the same moment.
    ///
    /// `late` gets tasks that this call has taken out of a list, because their object was sealed in the same moment; they are to be treated
    /// likewise.
    pub fn ready_or_listed(&self, task: Id, spec: &Spec, by: Seat, late: &mut Vec<Id>) -> Readiness {
        for missing in spec.objects() {
            if self.list_behind(missing, task, late) {
                return Readiness::Listed;
            }
        }
        let woken = self.take_step(task, Step::Wake { by });
        // Somebody else has woken it: after a death the head looks at all waiting tasks.
        if woken { Readiness::Ready } else { Readiness::Listed }
    }

    /// Puts a task into an object's list. False when the object is there already, or gone.
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
        // Pairs with the fence in `take_list`: the one who seals sees the list, or this sees that it is sealed.
        fence_after_rmw();
        if !slot.word().is_task() {
            late.extend(self.take_list(object.slot()));
        }
        true
    }

    /// The object was sealed by this thread's last instruction but loads: takes the tasks that wait for it, those first that came first.
    pub fn take_list(&self, object: u32) -> Vec<Id> {
        let slot = self.slot(object);
        // Pairs with the fence in `list_behind`.
        fence_after_rmw();
        if slot.deps.load(Ordering::Acquire) == 0 {
            // Most have none, and the line stays with whoever polls the word beside it.
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

    /// Seals the result of a task that `by` runs; its bytes, and what they contain, have been written, those in the slot are `len`. Gives
    /// whether anybody refers to it as far as is known; `None` when it is not running there.
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
            // Somebody has let go of it in this moment.
        }
    }
}
