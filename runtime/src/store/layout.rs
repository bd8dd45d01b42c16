//! The layout of the control segment.
//!
//! ```text
//!   Header │ Desk × seats │ hints │ Unit × units │ ring × seats │ Mailbox × actors │ calls × actors │ events × seats │ Slot × slots
//!                                                                                   all sparse: untouched pages cost nothing
//! ```
//!
//! The segment has its final size from the start, because untouched pages cost nothing. A table grows by moving one number, and no process
//! has to map anything again.
//!
//! # Invariants
//! - Everything here is atomic, so no process ever has a reference to bytes that change under it, and any bit pattern is a value.
//! - Fresh memory is zero, and zero is the right initial state: an empty ring, a free slot, a free unit.
//! - The segment is a memfd: unlike a file on `/dev/shm` it cannot exceed the size of a mount and end a writer with `SIGBUS`.

use super::Id;
use super::seat::{SEATS, Seats};
use super::word::Word;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// Tells a control segment from anything else.
pub const MAGIC: u64 = u64::from_le_bytes(*b"mobula\0s");

/// Changes with every change of this file.
pub const LAYOUT_VERSION: u32 = 12;

/// Results and values of up to this many bytes lie in their slot.
pub const INLINE_BYTES: usize = if cfg!(loom) { 8 } else { 128 };

/// Words of a task's description, the first of which are not arguments (see `task_spec.rs`).
pub const SPEC_WORDS: usize = if cfg!(loom) { 5 } else { 16 };

/// An object that refers to at most this many others names them in its slot.
pub const CONTAINED_INLINE: usize = if cfg!(loom) { 1 } else { 8 };

/// Actors that there can be at once, dead ones with handles counted.
pub const MAILBOXES: u32 = if cfg!(any(test, loom)) { 2 } else { 4096 };

/// Calls of one actor that have not ended; a caller waits until there is room. A power of two.
pub const CALLS_MAX: u64 = if cfg!(loom) {
    2
} else if cfg!(test) {
    4
} else {
    1 << 14
};

/// Ends of tasks that each process remembers (see `events.rs`). A power of two.
pub const EVENTS_KEPT: u64 = if cfg!(loom) {
    1
} else if cfg!(test) {
    4
} else {
    1 << 14
};

/// Tasks that a worker may take on its own after one that the head has given it.
pub const HINTS: usize = 32;

/// Tasks that a process can leave for the head before it has taken any; a power of two.
pub const STRANDS: usize = if cfg!(loom) { 2 } else { 256 };

/// The state of the runtime as a whole.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Header {
    pub magic: AtomicU64,
    pub version: AtomicU32,
    /// The first slot that was never used.
    pub slots_fresh: AtomicU32,
    /// Roughly how many used slots have no owner.
    pub slots_loose: AtomicU32,
    /// Where to begin the search for such a slot.
    pub slots_hint: AtomicU32,
    /// Units that the arena has.
    pub units: AtomicU32,
    /// Bytes of one unit.
    pub unit_bytes: AtomicU32,
    /// Where to begin the search for a free unit.
    pub units_hint: AtomicU32,
    /// The arena's number, which goes up when the arena is replaced.
    pub arena: AtomicU32,
    /// The clock by which objects are old or young. It goes up with every lease of units.
    pub clock: AtomicU32,
    /// CPUs that the head's process may use: as many processes may be busy before spinning stops.
    pub cpus: AtomicU32,
    /// Set when the runtime has ended.
    pub closed: AtomicU32,
    /// Set while no task can run: less than one CPU, no worker starts, or the runtime is shut down. A process that submits a task then
    /// tells the head.
    pub unserved: AtomicU32,
    /// How many processes wait for room in the arena.
    pub rooms: AtomicU32,
    /// Behind the last mailbox that was ever used.
    pub mailboxes: AtomicU32,
    /// The generation of a slot that was never used. Runtimes that a process may know one after the other have different ones, so that the
    /// id of an object of one means none in another.
    pub generation: AtomicU32,
    /// When the runtime began.
    pub made: Line<Made>,
    /// Workers that sleep because there is nothing to do.
    pub idle: Line<Seats>,
    /// Workers that look for a task and do not sleep yet.
    pub seeking: Line<Seats>,
    /// Processes that use a processor: they run a task, or spin, or run a cell.
    pub active: Line<Seats>,
    /// Rings in which there may be tasks.
    pub rings: Line<Seats>,
    /// Workers that offer to run one more task of the shape of their last one (`offers.rs`).
    pub offering: Line<Seats>,
    /// Set while tasks wait in the head's queues.
    pub queued: Line<AtomicU32>,
    /// Set when tasks were left for the head and it was told so, or will be (`strands.rs`).
    pub told: Line<AtomicU32>,
    /// Seats that belong to a process.
    pub taken: Line<Seats>,
}

/// A moment by two clocks; see `clock.rs`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Made {
    pub ticks: AtomicU64,
    pub nanoseconds: AtomicU64,
}

/// A value with a cache line of its own, so that a write to it does not slow down the readers of its neighbours.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Line<T>(pub T);

impl<T> std::ops::Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The control block of a seat, which its process and the others read and write.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Desk {
    /// The futex on which the process sleeps.
    pub bell: AtomicU32,
    /// How many of its threads sleep; a ring makes no system call for 0.
    pub asleep: AtomicU32,
    /// How many more of the awaited objects must be sealed before the process is rung.
    pub countdown: AtomicI64,
    /// Whose blocking calls are to end: one more than a turn's number (that of a cell or of callbacks), or a task's complement (see `interrupt_of`);
    /// [`Desk::DROPPED`] for all of a process that is no client any more; 0 for none.
    pub interrupted: AtomicU64,
    /// Whether it may take tasks from rings: odd while it has a lease, one more with each that is given or recalled.
    pub leased: AtomicU32,
    /// Whether its task has written output; 2 when the kernel does not signal that, so that the worker always asks.
    pub wrote: AtomicU32,
    /// The task that it runs; 0 for none.
    pub current: AtomicU64,
    /// Its process id.
    pub pid: AtomicU32,
    /// When the process was last woken, in microseconds of the clock of all processes (`bells.rs`).
    pub rung: AtomicU32,
    /// How many of its threads are in a call that an interrupt ends.
    pub blocked: AtomicU32,
    /// Not 0 when a call has returned the interrupt, so that the cell is unwinding.
    pub heeded: AtomicU32,
    /// Odd while the process moves counts, so that an audit does not take a half-moved count for a wrong one (`recovery.rs`).
    pub busy: AtomicU64,
    /// The task that the head has given it; 0 for none. The worker takes it out.
    pub assigned: Line<AtomicU64>,
    /// Tasks of the same shape that it may take when it has ended that one, without being given them; 0 for none. They are in the head's
    /// queue all the same.
    pub hints: Line<[AtomicU64; HINTS]>,
    /// Whether it runs more tasks like the one that the head has given it.
    pub offer: Offer,
    /// Tasks that it leaves for the head.
    pub strands: Strands,
    /// The next entry of its ring that it writes.
    pub tail: Line<AtomicU64>,
    /// How many tasks of its ring another process takes in a row, before it looks for others: its session's share. 0 is 1.
    pub share: Line<AtomicU32>,
    /// The next entry of its ring that a worker takes.
    pub head: Line<AtomicU64>,
    /// What only the process itself writes.
    pub own: Own,
}

/// What the process in a seat writes for each task that it runs.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Own {
    /// How many ends of tasks the processes in this seat have recorded.
    pub recorded: AtomicU64,
    /// The process whose ring it has taken a task from last.
    pub turn: AtomicU32,
    /// How many tasks it has taken there in a row.
    pub taken: AtomicU32,
}

/// See `offers.rs`.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Offer {
    /// What is offered, or the task that was handed over; 0 for neither.
    pub word: AtomicU64,
    /// Not 0 if the head allows it.
    pub is_allowed: AtomicU32,
}

/// The places of one process for tasks that it leaves for the head.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Strands {
    /// The next place that the process writes.
    pub tail: AtomicU32,
    /// The next place that the head reads.
    pub head: Line<AtomicU32>,
    pub tasks: Line<[AtomicU64; STRANDS]>,
}

impl Default for Strands {
    fn default() -> Strands {
        let tasks = Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Strands { tail: AtomicU32::new(0), head: Line::default(), tasks }
    }
}

impl Desk {
    /// Whether this number of a desk is that of a lease.
    pub fn is_lease(number: u32) -> bool {
        number % 2 == 1
    }

    /// What stands in `interrupted` when the head has dropped the process, which lives.
    pub const DROPPED: u64 = u64::MAX;

    /// What stands in `interrupted` for a task. A turn's number is never that large.
    pub fn interrupt_of(task: Id) -> u64 {
        !task.0
    }

    /// Whether the process may take tasks from rings.
    pub fn has_lease(&self) -> bool {
        Desk::is_lease(self.leased.load(Ordering::Acquire))
    }
}

/// One unit of the arena.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Unit {
    /// See `units.rs`.
    pub word: AtomicU64,
    /// Units of the lease that begins here.
    pub len: AtomicU32,
    /// For any other unit of a lease: the lease's first unit.
    pub home: AtomicU32,
    /// Whether its pages exist.
    pub backed: AtomicU32,
    _pad: AtomicU32,
}

/// What callers of an actor and its process share; see `mailbox.rs`.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Mailbox {
    /// Behind the last call.
    pub tail: AtomicU64,
    /// `head`, as a caller last saw it: the actor's process writes that all the time.
    pub head_seen: AtomicU64,
    /// Whether the actor's process sleeps, or is about to.
    pub idle: AtomicU32,
    /// One more than the seat of the actor's process; 0 while it has none.
    pub seat: AtomicU32,
    /// [`Mailbox::OPEN`], [`Mailbox::LEFT`] or [`Mailbox::DEAD`].
    pub state: AtomicU32,
    /// How many calls that only read may run at once, each in a thread; set when the mailbox is given to an actor.
    pub threads: AtomicU32,
    /// The actor's log; see `call_log.rs`.
    pub log: AtomicU64,
    /// After how many calls the actor saves its state; 0 for never. Set as `threads` is.
    pub checkpoint_interval: AtomicU32,
    /// The first call that has not ended.
    pub head: Line<AtomicU64>,
    /// How often a call in it came to be ready.
    pub woken: Line<AtomicU32>,
}

impl Mailbox {
    /// There are handles.
    pub const OPEN: u32 = 0;
    /// The last handle is gone.
    pub const LEFT: u32 = 1;
    /// The actor answers no calls any more.
    pub const DEAD: u32 = 2;
}

/// How a run of a task ended; see `events.rs`.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct EventRecord {
    /// One more than the record's number in its process; 0 while it is written.
    pub number: AtomicU64,
    pub task: AtomicU64,
    pub parent: AtomicU64,
    pub submitted: AtomicU64,
    pub began: AtomicU64,
    pub ended: AtomicU64,
    /// The function, and the cell in the upper half.
    pub what: AtomicU64,
    /// The process, the outcome, the kind and the attempt.
    pub how: AtomicU64,
}

/// One slot.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Slot {
    word: AtomicU64,
    /// Where its bytes begin: in the arena, or in the spill file. Of a task: when it was submitted.
    pub offset: AtomicU64,
    /// The number of bytes, if they are not in the slot. Of a task that runs: when it began.
    pub len: AtomicU64,
    /// The number of tasks and objects that keep it: `objects.rs`.
    pub holds: AtomicU64,
    /// The first task in the list of those that wait for it: `tasks.rs`.
    pub deps: AtomicU64,
    /// The next task in the list that this task is in. In an actor's log: what was added before it.
    pub next: AtomicU64,
    /// The lease that its bytes are in.
    pub home: AtomicU32,
    /// How many objects its bytes refer to.
    pub contained: AtomicU32,
    /// When it was last used, by the header's clock.
    pub touched: AtomicU32,
    /// The lease with the list of the contained objects, if the list is too long for the slot.
    pub list_home: AtomicU32,
    /// Processes that refer to it.
    pub refs: Seats,
    /// Processes that read its bytes.
    pub pins: Seats,
    /// Processes that wait for it.
    pub waiters: Seats,
    /// Where that list begins in the arena.
    pub list: AtomicU64,
    /// The task that submitted this task; 0 for a cell or a program. Of a value that was put: the cell.
    pub parent: AtomicU64,
    /// What an actor has to do with this task; see `task_spec.rs`.
    pub kind: AtomicU64,
    /// The id of the call in this slot, if it runs and was cancelled.
    pub cancelled: AtomicU64,
    /// The objects that it contains, if they fit here.
    pub contains: [AtomicU64; CONTAINED_INLINE],
    /// Its bytes, if they fit here.
    pub inline: [AtomicU64; INLINE_BYTES / 8],
    /// The task that makes it.
    pub spec: [AtomicU64; SPEC_WORDS],
}

impl Default for Slot {
    fn default() -> Slot {
        let word = || AtomicU64::new(0);
        Slot {
            word: word(),
            offset: word(),
            len: word(),
            holds: word(),
            deps: word(),
            next: word(),
            home: AtomicU32::new(0),
            contained: AtomicU32::new(0),
            touched: AtomicU32::new(0),
            list_home: AtomicU32::new(0),
            refs: Seats::default(),
            pins: Seats::default(),
            waiters: Seats::default(),
            list: word(),
            parent: word(),
            kind: word(),
            cancelled: word(),
            contains: std::array::from_fn(|_| word()),
            inline: std::array::from_fn(|_| word()),
            spec: std::array::from_fn(|_| word()),
        }
    }
}

impl Slot {
    /// The current word. Acquire pairs with every [`Slot::swap`]: a process that sees the word sees what was written before it.
    pub fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Replaces the word `from` by `to`, or returns the word that is there instead.
    pub fn swap(&self, from: Word, to: Word) -> Result<(), Word> {
        // Release pairs with `Slot::word`; Acquire, because a process that takes a slot over reads what its last owner wrote.
        let swapped = self.word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire);
        swapped.map(drop).map_err(Word)
    }
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Slot>() == 512 && align_of::<Slot>() == 64);
    assert!(std::mem::offset_of!(Slot, inline) % 64 == 0, "objects are 64-byte aligned");
    assert!(size_of::<Desk>() == 2880 && size_of::<Header>() == 11 * 64 && size_of::<Unit>() == 24);
    assert!(size_of::<Mailbox>() == 192 && CALLS_MAX.is_power_of_two());
    assert!(size_of::<EventRecord>() == 64 && EVENTS_KEPT.is_power_of_two());
};

/// The sizes of a segment's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Objects and tasks that can exist at once; a multiple of 64.
    pub slots: u32,
    /// Units that an arena can have.
    pub units: u32,
    /// Tasks that a process can have in its ring; a power of two.
    pub ring: u32,
}

impl Default for Limits {
    /// 16 million objects, an arena of up to 2 TiB, and 131,072 tasks that no worker has taken yet in each process's ring.
    fn default() -> Limits {
        Limits { slots: 1 << 24, units: 1 << 20, ring: 1 << 17 }
    }
}

/// Where each table begins, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub desks: usize,
    pub hints: usize,
    pub units: usize,
    pub rings: usize,
    pub mailboxes: usize,
    pub calls: usize,
    pub events: usize,
    pub slots: usize,
    pub len: usize,
}

impl Limits {
    /// Where each table begins.
    pub fn places(self) -> Places {
        let page = |bytes: usize| bytes.next_multiple_of(4096);
        let (slots, units, ring) = (self.slots as usize, self.units as usize, self.ring as usize);
        let desks = page(size_of::<Header>());
        let hints = desks + page(SEATS * size_of::<Desk>());
        let units_at = hints + page(slots / 64 * 8);
        let rings = units_at + page(units * size_of::<Unit>());
        let mailboxes = rings + page(SEATS * ring * 8);
        let calls = mailboxes + page(MAILBOXES as usize * size_of::<Mailbox>());
        let events = calls + page(MAILBOXES as usize * CALLS_MAX as usize * 8);
        let slots_at = events + page(SEATS * EVENTS_KEPT as usize * size_of::<EventRecord>());
        Places {
            desks,
            hints,
            units: units_at,
            rings,
            mailboxes,
            calls,
            events,
            slots: slots_at,
            len: slots_at + page(slots * size_of::<Slot>()),
        }
    }
}
