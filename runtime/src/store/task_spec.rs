//! The description of a task in its slot: its function, its cell, its arguments.
//!
//! ```text
//!   word 0   function (32) │ arguments (8) │ options (16) │ attempt (8)
//!   word 1   cell
//!   word 2   for each argument a byte: 0xff an object, else how many bytes
//!   word 3…  the arguments: an object's id, or bytes, rounded up to whole words
//!   besides  the task that submitted it, when that was, and what an actor has to do with it ([`TaskKind`])
//! ```
//!
//! A value that does not fit becomes an object of its own, whose id always fits. The result is written elsewhere in the slot, so a worker
//! that dies while it writes the result has not damaged the description.

use super::Id;
use super::clock::ticks;
use super::layout::SPEC_WORDS;
use super::seat::Seat;
use super::segment::Segment;
use crate::sync::Ordering;

/// How many arguments a task can have.
pub const ARGS_MAX: usize = 8;

/// The numbers of options with which a task is not plain.
pub const SHAPED: u16 = 1 << 15;

const FIRST: usize = 3;
const IS_OBJECT: u8 = 0xff;

/// What an actor has to do with a task, in the terms of Ray: a normal task, an actor creation task, an actor task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Nothing.
    Normal,
    /// It makes the actor with this mailbox. Its result stands for the actor.
    Creation {
        /// The mailbox's index.
        mailbox: u32,
    },
    /// It is a call of the actor with this mailbox.
    Call {
        /// The mailbox's index.
        mailbox: u32,
        /// Whose calls run in the order in which they were made: a process, or, if that runs one task after the other, a task (`None`: the
        /// slot's `parent`).
        caller: Option<Seat>,
        /// What it may run beside.
        access: Access,
    },
}

/// What a call may do to its actor, and so what it may run beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Change it: it runs alone.
    Exclusive,
    /// Read it: it may run beside others that do, in another thread.
    Shared,
    /// Read it, in turns with others in the actor's own thread.
    Async,
}

const NORMAL: u64 = 3 << 32;
const CREATION: u64 = 1 << 32;
const CALL: u64 = 2 << 32;
/// No task, but a value that was put: with the slot's generation, and the cell in place of the task that submitted.
const PUT: u64 = 4 << 32;
const SHARED: u64 = 1 << 30;
const ASYNC: u64 = 1 << 31;
const OF_TASK: u64 = u16::MAX as u64;

impl TaskKind {
    fn to_word(self) -> u64 {
        match self {
            TaskKind::Normal => NORMAL,
            TaskKind::Creation { mailbox } => CREATION | u64::from(mailbox),
            TaskKind::Call { mailbox, caller, access } => {
                let access = match access {
                    Access::Exclusive => 0,
                    Access::Shared => SHARED,
                    Access::Async => ASYNC,
                };
                CALL | access | u64::from(mailbox & 0x3fff) << 16 | caller.map_or(OF_TASK, |seat| seat.0.into())
            }
        }
    }

    fn of_word(word: u64) -> TaskKind {
        match word & !u64::from(u32::MAX) {
            CREATION => TaskKind::Creation { mailbox: word as u32 },
            CALL => TaskKind::Call {
                mailbox: (word >> 16) as u32 & 0x3fff,
                caller: Some(word as u16).filter(|seat| u64::from(*seat) != OF_TASK).map(Seat),
                access: match word & (SHARED | ASYNC) {
                    SHARED => Access::Shared,
                    ASYNC => Access::Async,
                    _ => Access::Exclusive,
                },
            },
            _ => TaskKind::Normal,
        }
    }

    /// Whether it is a call.
    pub fn is_call(self) -> bool {
        matches!(self, TaskKind::Call { .. })
    }
}

/// One argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// An object.
    Object(Id),
    /// A value.
    Bytes(&'a [u8]),
}

/// The description of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The function's number, given by the head.
    pub function: u32,
    /// The cell that started it; 0 outside a session.
    pub cell: u64,
    /// The task's options, as the head has numbered them; 0 for the defaults. See [`Spec::is_shaped`].
    pub options: u16,
    /// How often it was run before.
    pub attempt: u8,
    /// The task that submits it, if one does.
    pub parent: Option<Id>,
    /// What an actor has to do with it.
    pub kind: TaskKind,
    /// When it was submitted, or came to be run again (`clock.rs`); no such time once it has a result.
    pub submitted: u64,
    words: [u64; SPEC_WORDS],
    used: usize,
    count: usize,
}

impl Spec {
    /// A task without arguments.
    pub fn new(function: u32, cell: u64) -> Spec {
        let (parent, kind, words) = (None, TaskKind::Normal, [0; SPEC_WORDS]);
        Spec { function, cell, options: 0, attempt: 0, parent, kind, submitted: 0, words, used: FIRST, count: 0 }
    }

    /// Whether it asks for anything but one CPU: then it never lies in a ring, and the head gives it to a worker.
    pub fn is_shaped(&self) -> bool {
        self.options & SHAPED != 0
    }

    /// Adds an argument; `left` more will follow. False, and nothing is added, when its bytes would leave no room for those.
    pub fn push(&mut self, arg: Arg<'_>, left: usize) -> bool {
        let needed = match arg {
            Arg::Object(_) => 1,
            Arg::Bytes(bytes) => bytes.len().div_ceil(8),
        };
        if self.count == ARGS_MAX || self.used + needed + left > SPEC_WORDS {
            return false;
        }
        let kind = match arg {
            Arg::Object(id) => {
                self.words[self.used] = id.0;
                IS_OBJECT
            }
            Arg::Bytes(bytes) => {
                for (word, part) in self.words[self.used..].iter_mut().zip(bytes.chunks(8)) {
                    let mut whole = [0; 8];
                    whole[..part.len()].copy_from_slice(part);
                    *word = u64::from_ne_bytes(whole);
                }
                bytes.len() as u8
            }
        };
        self.words[2] |= u64::from(kind) << (8 * self.count);
        self.used += needed;
        self.count += 1;
        true
    }

    fn first_word(&self) -> u64 {
        let (options, attempt) = (u64::from(self.options) << 40, u64::from(self.attempt) << 56);
        u64::from(self.function) | (self.count as u64) << 32 | options | attempt
    }

    /// The objects among the arguments.
    pub fn objects(&self) -> impl Iterator<Item = Id> {
        self.args().filter_map(|arg| if let Arg::Object(id) = arg { Some(id) } else { None })
    }

    /// The arguments.
    pub fn args(&self) -> impl Iterator<Item = Arg<'_>> {
        let mut at = FIRST;
        (0..self.count).map(move |index| match (self.words[2] >> (8 * index)) as u8 {
            IS_OBJECT => {
                let id = self.words[at.min(SPEC_WORDS - 1)];
                at += 1;
                Arg::Object(Id(id))
            }
            len => {
                let bytes: &[u8] = bytemuck::cast_slice(&self.words[at.min(SPEC_WORDS)..]);
                at += usize::from(len).div_ceil(8);
                Arg::Bytes(&bytes[..usize::from(len).min(bytes.len())])
            }
        })
    }
}

/// What is read of a description to count tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The function's number, given by the head.
    pub function: u32,
    /// The cell that started it; 0 outside a session.
    pub cell: u64,
    /// How often it was run before.
    pub attempt: u8,
    /// When it was submitted, or came to be run again (`clock.rs`).
    pub submitted: u64,
}

impl Segment {
    /// The beginning of a description.
    pub fn label(&self, index: u32) -> Label {
        let slot = self.slot(index);
        let first = slot.spec[0].load(Ordering::Relaxed);
        Label {
            function: first as u32,
            cell: slot.spec[1].load(Ordering::Relaxed),
            attempt: (first >> 56) as u8,
            submitted: slot.offset.load(Ordering::Relaxed),
        }
    }

    /// Counts one more attempt of a task that no process runs. Gives how often it was run before.
    pub fn count_attempt(&self, index: u32) -> u8 {
        let mut spec = self.read_spec(index);
        spec.attempt = spec.attempt.saturating_add(1);
        self.slot(index).spec[0].store(spec.first_word(), Ordering::Relaxed);
        self.slot(index).offset.store(ticks(), Ordering::Relaxed);
        spec.attempt
    }

    /// Writes the description into a free slot of this process.
    pub fn write_spec(&self, index: u32, spec: &Spec) {
        let places = &self.slot(index).spec;
        places[0].store(spec.first_word(), Ordering::Relaxed);
        places[1].store(spec.cell, Ordering::Relaxed);
        self.slot(index).parent.store(spec.parent.map_or(0, |parent| parent.0), Ordering::Relaxed);
        // Of a plain task also the slot's generation: see `lineage.rs`.
        let of = if spec.kind == TaskKind::Normal { self.slot(index).word().generation() } else { 0 };
        self.slot(index).kind.store(spec.kind.to_word() | u64::from(of), Ordering::Relaxed);
        self.slot(index).offset.store(spec.submitted, Ordering::Relaxed);
        for (place, word) in places.iter().zip(&spec.words).take(spec.used).skip(2) {
            place.store(*word, Ordering::Relaxed);
        }
    }

    /// Whether a plain task made an object, or is to make it.
    pub(super) fn is_of_normal_task(&self, id: Id) -> bool {
        self.slot(id.slot()).kind.load(Ordering::Relaxed) == NORMAL | u64::from(id.generation())
    }

    /// Notes which cell put an object, which this process has just sealed; 0 for a program.
    pub fn note_put(&self, id: Id, cell: u64) {
        let slot = self.slot(id.slot());
        slot.kind.store(PUT | u64::from(id.generation()), Ordering::Relaxed);
        slot.parent.store(cell, Ordering::Relaxed);
    }

    /// The cell that made an object, and the number of the function whose task did, if one did; `None` if nobody knows.
    pub fn origin(&self, id: Id) -> Option<(u64, Option<u32>)> {
        let slot = self.slot(id.slot());
        let (kind, of) = (slot.kind.load(Ordering::Relaxed), u64::from(id.generation()));
        match kind & !u64::from(u32::MAX) {
            PUT if kind == PUT | of => Some((slot.parent.load(Ordering::Relaxed), None)),
            NORMAL if kind != NORMAL | of => None,
            NORMAL | CREATION | CALL => {
                let label = self.label(id.slot());
                Some((label.cell, Some(label.function)))
            }
            _ => None,
        }
    }

    /// Makes what was a task's slot before that of a plain object of this process.
    pub(super) fn clear_kind(&self, index: u32) {
        self.slot(index).kind.store(0, Ordering::Relaxed);
    }

    /// What an actor has to do with a task.
    pub fn task_kind(&self, index: u32) -> TaskKind {
        TaskKind::of_word(self.slot(index).kind.load(Ordering::Relaxed))
    }

    /// Reads a description. If another process has written over it, this gives another task, and does no harm.
    pub fn read_spec(&self, index: u32) -> Spec {
        let places = &self.slot(index).spec;
        let first = places[0].load(Ordering::Relaxed);
        let count = ((first >> 32) as usize & 0xff).min(ARGS_MAX);
        let mut spec = Spec::new(first as u32, places[1].load(Ordering::Relaxed));
        spec.count = count;
        (spec.options, spec.attempt) = ((first >> 40) as u16, (first >> 56) as u8);
        spec.parent = Some(Id(self.slot(index).parent.load(Ordering::Relaxed))).filter(|parent| parent.0 != 0);
        spec.kind = self.task_kind(index);
        spec.submitted = self.slot(index).offset.load(Ordering::Relaxed);
        spec.words[2] = places[2].load(Ordering::Relaxed);
        for index in 0..count {
            spec.used += match (spec.words[2] >> (8 * index)) as u8 {
                IS_OBJECT => 1,
                len => usize::from(len).div_ceil(8),
            };
        }
        spec.used = spec.used.min(SPEC_WORDS);
        for (word, place) in spec.words.iter_mut().zip(places).take(spec.used).skip(FIRST) {
            *word = place.load(Ordering::Relaxed);
        }
        spec
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;

    #[test]
    fn what_is_written_is_read() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        let mut spec = Spec::new(7, 3);
        (spec.options, spec.attempt, spec.parent, spec.submitted) = (SHAPED | 5, 2, Some(Id(9)), 77);
        spec.kind = TaskKind::Creation { mailbox: 1 };
        assert!(spec.push(Arg::Bytes(b"nine chars"), 2));
        assert!(spec.push(Arg::Object(Id(1 << 40 | 9)), 1));
        assert!(spec.push(Arg::Bytes(b""), 0));
        segment.write_spec(5, &spec);
        let read = segment.read_spec(5);
        assert_eq!((read.function, read.cell, read.options, read.attempt), (7, 3, SHAPED | 5, 2));
        assert_eq!((read.parent, read.kind), (Some(Id(9)), TaskKind::Creation { mailbox: 1 }));
        assert_eq!(read.submitted, 77);
        assert_eq!(segment.label(5), Label { function: 7, cell: 3, attempt: 2, submitted: 77 });
        assert!(read.is_shaped() && segment.count_attempt(5) == 3 && segment.read_spec(5).attempt == 3);
        let args: Vec<Arg<'_>> = read.args().collect();
        assert_eq!(args, [Arg::Bytes(b"nine chars"), Arg::Object(Id(1 << 40 | 9)), Arg::Bytes(b"")]);
    }

    #[test]
    fn an_object_says_which_cell_made_it_and_whether_a_task_did() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        let id = Id::new(5, segment.slot(5).word().generation());
        assert_eq!(segment.origin(id), None);
        segment.write_spec(5, &Spec::new(7, 3));
        assert_eq!(segment.origin(id), Some((3, Some(7))));
        assert_eq!(segment.origin(Id::new(5, id.generation() + 1)), None, "the next object in its slot");
        segment.note_put(id, 4);
        assert_eq!((segment.origin(id), segment.maker(id)), (Some((4, None)), None));
        let call = TaskKind::Call { mailbox: 1, caller: None, access: Access::Shared };
        segment.write_spec(5, &Spec { kind: call, ..Spec::new(8, 6) });
        assert_eq!(segment.origin(id), Some((6, Some(8))));
    }

    #[test]
    fn a_kind_of_task_is_one_word() {
        let accesses = [Access::Exclusive, Access::Shared, Access::Async];
        let calls = [None, Some(Seat(7))]
            .into_iter()
            .flat_map(|caller| accesses.map(|access| TaskKind::Call { mailbox: 4095, caller, access }));
        for kind in calls.chain([TaskKind::Normal, TaskKind::Creation { mailbox: 4095 }]) {
            assert_eq!(TaskKind::of_word(kind.to_word()), kind);
        }
    }

    #[test]
    fn bytes_that_would_crowd_out_a_later_argument_are_refused() {
        let mut spec = Spec::new(0, 0);
        assert!(spec.push(Arg::Bytes(&[1; 48]), 7));
        assert!(!spec.push(Arg::Bytes(&[1; 16]), 6));
        for left in (0..7).rev() {
            assert!(spec.push(Arg::Object(Id(left)), left as usize));
        }
        assert!(!spec.push(Arg::Bytes(b""), 0), "there are no more than eight");
    }

    #[test]
    fn nonsense_in_shared_memory_is_a_task_like_any_other() {
        let segment = Segment::stand_in(Limits { slots: 64, units: 1, ring: 2 });
        for seed in 0..2000_u64 {
            for (index, place) in segment.slot(1).spec.iter().enumerate() {
                place.store(
                    (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index as u32 * 7),
                    Ordering::Relaxed,
                );
            }
            let spec = segment.read_spec(1);
            assert!(spec.args().count() <= ARGS_MAX && spec.objects().count() <= ARGS_MAX);
        }
    }
}
