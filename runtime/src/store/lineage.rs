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
use super::word::{Flags, Step, Word};

impl Segment {
    /// The task that made an object; `None` if none did, or one that cannot be run again by itself: a call.
    pub fn maker(&self, id: Id) -> Option<Spec> {
        self.is_of_normal_task(id).then(|| self.read_spec(id.slot()))
    }

    /// Makes a lost object a task that waits for its arguments, which the caller has seen. Returns what only the lost object kept. Call it
    /// between [`super::Leases::moves`] and [`super::Leases::moved`].
    ///
    /// # Errors
    /// The object was freed; with what only this attempt kept.
    pub fn remake(&self, id: Id, spec: &Spec) -> Result<Vec<Id>, Vec<Id>> {
        let flags = if spec.objects().next().is_some() { Flags::ARGS } else { Flags::empty() };
        let word = self.slot(id.slot()).word();
        let task = Self::step_of_lost(id, word, Step::Remake { by: Seat::HEAD, flags }).ok_or_else(Vec::new)?;
        // Before whoever keeps them can be seen.
        spec.objects().for_each(|arg| _ = self.hold(arg));
        self.count_attempt(id.slot());
        let let_go = || spec.objects().filter(|arg| self.unhold(*arg)).collect();
        self.swap_lost(id, word, task).ok_or_else(let_go)
    }

    /// Makes a lost object one that has failed; `None` if it was freed. Else as [`Segment::remake`].
    pub fn fail_lost(&self, id: Id) -> Option<Vec<Id>> {
        let word = self.slot(id.slot()).word();
        self.swap_lost(id, word, Self::step_of_lost(id, word, Step::Lose)?)
    }

    fn step_of_lost(id: Id, word: Word, step: Step) -> Option<Word> {
        word.after(step).filter(|_| word.generation() == id.generation())
    }

    /// Changes a lost object's word, and releases what the object contained; `None` if it was freed in this moment.
    fn swap_lost(&self, id: Id, word: Word, to: Word) -> Option<Vec<Id>> {
        let slot = self.slot(id.slot());
        let contained = if word.flags().contains(Flags::CONTAINS) { self.contained(slot) } else { Vec::new() };
        slot.swap(word, to).ok()?;
        if contained.len() > super::layout::CONTAINED_INLINE {
            self.leave(Seat::HEAD, slot.list_home.load(crate::sync::Ordering::Relaxed));
        }
        Some(contained.into_iter().filter(|inner| self.unhold(*inner)).collect())
    }
}
