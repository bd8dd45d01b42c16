//! The state word of a slot, and every step by which it may change.
//!
//! ```text
//!            Lease               Seal
//!   Free(–) ───────▶ Free(by) ─────────────────────────────────▶ Sealed ──Condemn──▶ Dying(by) ──Free──▶ Free(by), next generation
//!            Return     │ Submit                Finish │ Fail       ▲                    │ Strip: what it held is released
//!                       ├──────▶ Pending(by) ──Claim──▶ Running(by) ┘                    │     (a task: also Abandon, which only marks it)
//!                       └──────▶ Waiting(by) ──Wake──▶ Pending                           └──Spare, Move──▶ Sealed
//!                                Waiting or Pending ──Cancel──▶ Sealed
//! ```
//!
//! Every change of owner or state is one compare-and-swap on this word, so a process may die between any two instructions and leave the
//! table readable. The atomic operations, the recovery after a death and the tests share the one function [`Word::after`].
//!
//! # Invariants
//! - The generation goes up exactly when a slot becomes free, so an id (slot, generation) never means two objects.
//! - Only the process named in its word changes a slot, with these exceptions. Any process leases a slot without an owner, abandons, wakes,
//!   adopts and claims a task, and condemns a sealed object. An actor's process settles its calls. The head acts for dead processes.

use super::seat::Seat;
use std::fmt;

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// No object. A free slot with an owner is for that process to use.
    Free = 0,
    /// A task whose arguments are not all ready.
    Waiting = 1,
    /// A task that can be run, in the ring of its owner.
    Pending = 2,
    /// A task that its owner runs.
    Running = 3,
    /// An object. It never changes.
    Sealed = 4,
    /// An object whose owner checks whether it can be freed or moved.
    Dying = 5,
}

bitflags::bitflags! {
    /// The flags of a slot. Bits without a name, which some process may have written, stay as they are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Flags: u8 {
        /// The bytes are in the arena, not in the slot. On a free slot: its owner is writing them.
        const ARENA = 1;
        /// The bytes are on disk.
        const SPILLED = 2;
        /// The task failed; the head knows why.
        const ERROR = 4;
        /// The task holds its arguments; also a call that has ended, and may have to be run again (`call_log.rs`).
        const ARGS = 8;
        /// The bytes refer to other objects, which the object holds.
        const CONTAINS = 16;
        /// No process refers to the task's result any more, so its sealer tries to free it at once.
        const ABANDONED = 32;
        /// The object stands for an actor.
        const ACTOR = 64;
    }
}

/// A step that a slot can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A process takes a slot without an owner.
    Lease { by: Seat },
    /// The owner, or the head for a dead owner, gives the slot up.
    Return { by: Seat },
    /// The owner begins to write the object's bytes into the arena.
    Draft { by: Seat },
    /// The owner gives up writing them.
    Discard { by: Seat },
    /// The owner makes it an object; if the bytes are in the slot, there are `len` of them.
    Seal { by: Seat, flags: Flags, len: u8 },
    /// The owner makes it a task, which waits for others or does not.
    Submit { by: Seat, flags: Flags, waits: bool },
    /// The task's arguments are ready, and it is in the ring of `by` now, or will be.
    Wake { by: Seat },
    /// The task's ring is gone or had no room for it; it is in the ring of `by` now, or will be. Only once, so that it is in no ring twice.
    Adopt { by: Seat },
    /// A process runs the task.
    Claim { by: Seat },
    /// The head: the process that ran the task has died, or the task has failed and may be run again.
    Retry { by: Seat },
    /// The last reference to the task's result is gone.
    Abandon,
    /// The process that runs the task has its result; see `Seal`.
    Finish { by: Seat, flags: Flags, len: u8 },
    /// The head says that there will be no result.
    Fail,
    /// The same of a call that is to be run again when its actor is.
    FailLogged,
    /// The head: an object on disk is lost, and there will be none.
    Lose,
    /// The head: an object on disk is lost, and its task makes it again when its arguments are ready.
    Remake { by: Seat, flags: Flags },
    /// A call that has ended need not be run again: it does not hold its arguments any more.
    Unlog,
    /// The head says that a task that no process has begun is not to be run.
    Cancel,
    /// A process believes that the object is unused, or the head wants to move it.
    Condemn { by: Seat },
    /// The object is in use after all.
    Spare { by: Seat },
    /// The object is unused. From here on, what it held is released.
    Strip { by: Seat },
    /// The object is gone.
    Free { by: Seat },
    /// The object's bytes are in another place now.
    Move { by: Seat, flags: Flags },
}

/// The state word of a slot; see the head of this file.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Word(pub u64);

const FLAGS: u32 = 4;
const VERSION: u32 = 12;
const OWNER: u32 = 20;
const GENERATION: u32 = 32;

impl Word {
    /// A word of these parts.
    pub fn new(generation: u32, owner: Option<Seat>, state: State, flags: Flags) -> Word {
        let owner = owner.map_or(0, |seat| u64::from(seat.0) + 1);
        Word(u64::from(generation) << GENERATION | owner << OWNER | u64::from(flags.bits()) << FLAGS | state as u64)
    }

    /// The slot's state.
    pub fn state(self) -> State {
        match self.0 & 0xf {
            1 => State::Waiting,
            2 => State::Pending,
            3 => State::Running,
            4 => State::Sealed,
            5 => State::Dying,
            // Zero, or an invalid value that some process has written: no process can use such a slot.
            _ => State::Free,
        }
    }

    /// The slot's flags.
    pub fn flags(self) -> Flags {
        Flags::from_bits_retain((self.0 >> FLAGS) as u8)
    }

    /// For bytes in the slot, their number; for others, how often they have moved, modulo 256. So a reader of a small object needs nothing
    /// but the word.
    pub fn version(self) -> u8 {
        (self.0 >> VERSION) as u8
    }

    /// The process that owns the slot; for a sealed object, the one that made it.
    pub fn owner(self) -> Option<Seat> {
        ((self.0 >> OWNER & 0xfff) as u16).checked_sub(1).map(Seat)
    }

    /// How often the slot became free before, which tells its objects apart.
    pub fn generation(self) -> u32 {
        (self.0 >> GENERATION) as u32
    }

    /// Whether there is an object with bytes, or with a failure, to read.
    pub fn is_sealed(self) -> bool {
        self.state() == State::Sealed
    }

    /// Whether a task will make the object.
    pub fn is_task(self) -> bool {
        matches!(self.state(), State::Waiting | State::Pending | State::Running)
    }

    /// Whether it is a task that no process has begun.
    pub fn is_unbegun(self) -> bool {
        matches!(self.state(), State::Waiting | State::Pending)
    }

    fn to(self, owner: Seat, state: State, flags: Flags) -> Word {
        let word = Word::new(self.generation(), Some(owner), state, flags);
        Word(word.0 | u64::from(self.version()) << VERSION)
    }

    fn with(self, version: u8) -> Word {
        Word(self.0 & !(0xff << VERSION) | u64::from(version) << VERSION)
    }

    fn moved(self) -> Word {
        self.with(self.version().wrapping_add(1))
    }

    /// The word after `step`, or `None` if the step is not allowed here.
    pub fn after(self, step: Step) -> Option<Word> {
        let (state, owner, flags) = (self.state(), self.owner(), self.flags());
        let is = |wanted: State, by: Seat| state == wanted && owner == Some(by);
        let next = match step {
            Step::Lease { by } if state == State::Free && owner.is_none() => self.to(by, State::Free, Flags::empty()),
            Step::Return { by } if is(State::Free, by) => {
                Word::new(self.generation(), None, State::Free, Flags::empty())
            }
            Step::Draft { by } if is(State::Free, by) => self.to(by, State::Free, Flags::ARENA),
            Step::Discard { by } if is(State::Free, by) => self.to(by, State::Free, Flags::empty()),
            Step::Seal { by, flags, len } if is(State::Free, by) => self.to(by, State::Sealed, flags).with(len),
            Step::Submit { by, flags, waits } if is(State::Free, by) => {
                self.to(by, if waits { State::Waiting } else { State::Pending }, flags)
            }
            Step::Wake { by } if state == State::Waiting => self.to(by, State::Pending, flags),
            Step::Adopt { by } if state == State::Pending && self.owner() != Some(by) => {
                self.to(by, State::Pending, flags)
            }
            Step::Claim { by } if state == State::Pending => self.to(by, State::Running, flags),
            Step::Retry { by } if state == State::Running => self.to(by, State::Pending, flags),
            Step::Abandon if self.is_task() => Word(self.0 | u64::from(Flags::ABANDONED.bits()) << FLAGS),
            Step::Finish { by, flags, len } if is(State::Running, by) => self.to(by, State::Sealed, flags).with(len),
            Step::Fail if self.is_task() => self.to(Seat::HEAD, State::Sealed, Flags::ERROR),
            Step::FailLogged if state == State::Running => {
                self.to(Seat::HEAD, State::Sealed, Flags::ERROR | Flags::ARGS)
            }
            Step::Lose if state == State::Sealed && flags.contains(Flags::SPILLED) => {
                self.to(Seat::HEAD, State::Sealed, Flags::ERROR)
            }
            Step::Remake { by, flags: held } if state == State::Sealed && flags.contains(Flags::SPILLED) => {
                self.to(by, State::Waiting, held)
            }
            Step::Unlog if state == State::Sealed && flags.contains(Flags::ARGS) => {
                Word(self.0 & !(u64::from(Flags::ARGS.bits()) << FLAGS))
            }
            Step::Cancel if self.is_unbegun() => self.to(Seat::HEAD, State::Sealed, Flags::ERROR),
            Step::Condemn { by } if state == State::Sealed => self.to(by, State::Dying, flags),
            Step::Spare { by } if is(State::Dying, by) => self.to(by, State::Sealed, flags),
            Step::Strip { by } if is(State::Dying, by) => self.to(by, State::Dying, Flags::empty()),
            Step::Free { by } if is(State::Dying, by) => {
                Word::new(self.generation().wrapping_add(1), Some(by), State::Free, Flags::empty())
            }
            Step::Move { by, flags } if is(State::Dying, by) => self.to(by, State::Sealed, flags).moved(),
            _ => return None,
        };
        #[cfg(debug_assertions)]
        self.check(step, next);
        Some(next)
    }

    /// Panics when `step` to `next` breaks an invariant of this file, whatever the word was.
    #[cfg(debug_assertions)]
    fn check(self, step: Step, next: Word) {
        let is_freed = matches!(step, Step::Free { .. });
        assert_eq!(next.generation() != self.generation(), is_freed, "the generation goes up when a slot becomes free");
        let (who, becomes) = match step {
            Step::Lease { by }
            | Step::Wake { by }
            | Step::Adopt { by }
            | Step::Claim { by }
            | Step::Retry { by }
            | Step::Remake { by, .. }
            | Step::Condemn { by } => (None, Some(by)),
            Step::Abandon | Step::Unlog => (None, self.owner()),
            Step::Fail | Step::FailLogged | Step::Lose | Step::Cancel => (None, Some(Seat::HEAD)),
            Step::Return { by } => (Some(by), None),
            Step::Draft { by }
            | Step::Discard { by }
            | Step::Seal { by, .. }
            | Step::Submit { by, .. }
            | Step::Finish { by, .. }
            | Step::Spare { by }
            | Step::Strip { by }
            | Step::Free { by }
            | Step::Move { by, .. } => (Some(by), Some(by)),
        };
        assert!(who.is_none() || who == self.owner(), "a slot is changed by the process named in its word");
        assert_eq!(next.owner(), becomes, "a slot names the process whose step it was");
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?}) {:?} generation {}", self.state(), self.owner(), self.flags(), self.generation())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALICE: Seat = Seat(1);
    const BOB: Seat = Seat(2);

    fn walk(steps: &[Step]) -> Option<Word> {
        steps.iter().try_fold(Word(0), |word, step| word.after(*step))
    }

    #[test]
    fn fresh_memory_is_a_slot_that_nobody_has() {
        assert_eq!((Word(0).state(), Word(0).owner()), (State::Free, None));
    }

    #[test]
    fn only_its_owner_makes_a_slot_an_object() {
        let mine = walk(&[Step::Lease { by: ALICE }]).unwrap();
        assert!(mine.after(Step::Seal { by: ALICE, flags: Flags::empty(), len: 8 }).is_some());
        assert!(mine.after(Step::Seal { by: BOB, flags: Flags::empty(), len: 8 }).is_none());
        assert!(mine.after(Step::Lease { by: BOB }).is_none());
    }

    #[test]
    fn a_task_has_one_result_from_the_one_who_claimed_it() {
        let submit = Step::Submit { by: ALICE, flags: Flags::ARGS, waits: true };
        let running =
            walk(&[Step::Lease { by: ALICE }, submit, Step::Wake { by: BOB }, Step::Claim { by: BOB }]).unwrap();
        assert!(running.flags().contains(Flags::ARGS) && running.after(Step::Claim { by: ALICE }).is_none());
        assert!(running.after(Step::Finish { by: ALICE, flags: Flags::empty(), len: 8 }).is_none());
        let sealed = running.after(Step::Finish { by: BOB, flags: Flags::empty(), len: 8 }).unwrap();
        assert!(sealed.is_sealed() && sealed.flags() == Flags::empty() && sealed.version() == 8);
        assert!(sealed.after(Step::Fail).is_none(), "a result is not taken back");
    }

    #[test]
    fn a_task_that_a_process_has_begun_cannot_be_kept_from_it() {
        let submit = |waits| Step::Submit { by: ALICE, flags: Flags::empty(), waits };
        for waits in [false, true] {
            let unbegun = walk(&[Step::Lease { by: ALICE }, submit(waits)]).unwrap();
            let cancelled = unbegun.after(Step::Cancel).unwrap();
            assert!(cancelled.is_sealed() && cancelled.after(Step::Claim { by: BOB }).is_none());
        }
        let running = walk(&[Step::Lease { by: ALICE }, submit(false), Step::Claim { by: BOB }]).unwrap();
        assert!(running.after(Step::Cancel).is_none());
    }

    #[test]
    fn a_freed_slot_has_another_generation_and_a_spared_one_has_not() {
        let seal = Step::Seal { by: ALICE, flags: Flags::ARENA, len: 0 };
        let dying = walk(&[Step::Lease { by: ALICE }, seal, Step::Condemn { by: BOB }]).unwrap();
        let spared = dying.after(Step::Spare { by: BOB }).unwrap();
        assert_eq!((spared.generation(), spared.flags()), (0, Flags::ARENA));
        let freed = dying.after(Step::Strip { by: BOB }).unwrap().after(Step::Free { by: BOB }).unwrap();
        assert_eq!((freed.generation(), freed.owner(), freed.state()), (1, Some(BOB), State::Free));
    }

    #[test]
    fn bytes_that_move_and_come_back_are_not_taken_for_those_that_never_moved() {
        let seal = Step::Seal { by: ALICE, flags: Flags::ARENA, len: 0 };
        let before = walk(&[Step::Lease { by: ALICE }, seal]).unwrap();
        let there = before.after(Step::Condemn { by: Seat::HEAD }).unwrap();
        let there = there.after(Step::Move { by: Seat::HEAD, flags: Flags::SPILLED }).unwrap();
        let back = there.after(Step::Condemn { by: Seat::HEAD }).unwrap();
        let back = back.after(Step::Move { by: Seat::HEAD, flags: Flags::ARENA }).unwrap();
        assert_ne!(before.version(), back.version());
        assert_eq!((before.generation(), before.flags()), (back.generation(), back.flags()));
    }
}
