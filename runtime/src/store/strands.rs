//! Strands: tasks that are ready and lie in no ring, on their way to the head, which puts them into its queues.
//!
//! ```text
//!   process: task into its own places ─▶ told before? no ─▶ one message
//!   head:    the message, or any other ─▶ not told ─▶ takes the tasks of all processes
//! ```
//!
//! So many tasks at once cost few messages.
//!
//! # Invariants
//! - Whoever sets `told` sends the message, and the head clears it before it looks. If a process dies in between, the head looks as well.
//! - The tasks of a process that has died are not lost with its places: they are pending, and found as such.

use super::Id;
use super::layout::STRANDS;
use super::seat::Seat;
use super::segment::Segment;
use crate::sync::Ordering;

impl Segment {
    /// Leaves a pending task for the head. False if there is no place. Only one thread of a process does this at a time.
    pub fn strand(&self, by: Seat, task: Id) -> bool {
        let places = &self.desk(by).strands;
        let (tail, head) = (places.tail.load(Ordering::Relaxed), places.head.load(Ordering::Acquire));
        if tail.wrapping_sub(head) >= STRANDS as u32 {
            return false;
        }
        places.tasks[tail as usize % STRANDS].store(task.0, Ordering::Relaxed);
        // Release pairs with the load of the head, which then sees the task.
        places.tail.store(tail.wrapping_add(1), Ordering::Release);
        true
    }

    /// Whether the head is to be told of what was left for it. AcqRel pairs with `take_strands`: the head sees what was left by all that it
    /// was not told of.
    pub fn strands_are_news(&self) -> bool {
        self.header().told.swap(1, Ordering::AcqRel) == 0
    }

    /// Whether there may be something for the head.
    pub fn has_strands(&self) -> bool {
        self.header().told.load(Ordering::Relaxed) != 0
    }

    /// Takes what all processes have left. Only the head does this.
    pub fn take_strands(&self) -> Vec<Id> {
        self.header().told.swap(0, Ordering::AcqRel);
        self.look_at_strands()
    }

    pub(super) fn look_at_strands(&self) -> Vec<Id> {
        let mut tasks = Vec::new();
        for seat in self.header().taken.iter() {
            let places = &self.desk(seat).strands;
            let (head, tail) = (places.head.load(Ordering::Relaxed), places.tail.load(Ordering::Acquire));
            let count = tail.wrapping_sub(head).min(STRANDS as u32);
            let taken = (0..count).map(|place| &places.tasks[head.wrapping_add(place) as usize % STRANDS]);
            tasks.extend(taken.map(|task| Id(task.load(Ordering::Relaxed))));
            // Release: the process writes there again when it sees this.
            places.head.store(tail, Ordering::Release);
        }
        tasks
    }

    /// Forgets what a dead process has left.
    pub fn forget_strands(&self, dead: Seat) {
        let places = &self.desk(dead).strands;
        places.head.store(places.tail.load(Ordering::Acquire), Ordering::Release);
    }
}
