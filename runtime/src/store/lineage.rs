//! The task that made an object, and how it is run again when the object is lost.
//!
//! A plain task's description stays in the slot of its result; the word `kind` says of which generation of the slot it is. So an object that
//! no task made is not taken for the result of a task that was in its slot before.
//!
//! # Invariants
//! - Only the head does this, with an object whose bytes are on disk: no process reads them.

use super::Id;
use super::seat::Seat;
use super::segment::Segment;
use super::task_spec::Spec;
use super::word::{Flags, Step};

impl Segment {
    /// The task that made an object; `None` if none did, or one that cannot be run again by itself: a call.
    pub fn maker(&self, id: Id) -> Option<Spec> {
        self.is_of_normal_task(id).then(|| self.read_spec(id.slot()))
    }

    /// Makes a lost object a task that waits for its arguments, which the caller has seen. Returns what only the lost object kept, perhaps;
    /// `None` if the object was freed. Call it between [`super::Leases::moves`] and [`super::Leases::moved`].
    pub fn remake(&self, id: Id, spec: &Spec) -> Option<Vec<Id>> {
        let slot = self.slot(id.slot());
        let word = slot.word();
        let kept = if word.flags().contains(Flags::CONTAINS) { self.contained(slot) } else { Vec::new() };
        let flags = if spec.objects().next().is_some() { Flags::ARGS } else { Flags::empty() };
        let task =
            word.after(Step::Remake { by: Seat::HEAD, flags }).filter(|_| word.generation() == id.generation())?;
        // Before whoever keeps them can be seen.
        spec.objects().for_each(|arg| _ = self.hold(arg));
        self.count_attempt(id.slot());
        if slot.swap(word, task).is_err() {
            return Some(spec.objects().filter(|arg| self.unhold(*arg)).collect());
        }
        Some(self.let_go_of_contained(id, word.flags(), kept))
    }

    /// Makes a lost object one that has failed. As [`Segment::remake`].
    pub fn fail_lost(&self, id: Id) -> Option<Vec<Id>> {
        let slot = self.slot(id.slot());
        let word = slot.word();
        let kept = if word.flags().contains(Flags::CONTAINS) { self.contained(slot) } else { Vec::new() };
        let failed = word.after(Step::Lose).filter(|_| word.generation() == id.generation())?;
        slot.swap(word, failed).ok()?;
        Some(self.let_go_of_contained(id, word.flags(), kept))
    }

    /// Releases what an object contained that has none of that any more.
    fn let_go_of_contained(&self, id: Id, flags: Flags, contained: Vec<Id>) -> Vec<Id> {
        if flags.contains(Flags::CONTAINS) && contained.len() > super::layout::CONTAINED_INLINE {
            self.leave(Seat::HEAD, self.slot(id.slot()).list_home.load(crate::sync::Ordering::Relaxed));
        }
        contained.into_iter().filter(|inner| self.unhold(*inner)).collect()
    }
}
