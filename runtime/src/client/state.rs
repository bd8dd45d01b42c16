//! A client's state, behind its one lock. Nothing here blocks.

use super::buffers::{Draft, Spares, Tokens};
use super::references::{Handles, News};
use super::watch::Watch;
use crate::abi::Cause;
use crate::abi::desk::Aligned;
use crate::protocol::{ArenaInfo, Function, ObjectId, ToHead};
use crate::store::{Arena, Kind, Leases, Leftovers, Run, Segment, Step};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Instant;

/// What a client knows about itself.
pub(super) struct State {
    pub handles: Handles,
    pub leases: Leases,
    /// The tables of `leases`. They stay mapped for as long as the process lives, as the client itself does.
    segment: &'static Segment,
    pub drafts: Tokens<Draft>,
    pub spares: Spares,
    /// Small arguments that a task reads.
    pub copies: Tokens<Aligned>,
    pub arena: (ArenaInfo, Arc<Arena>),
    /// Leases that this process may write to, and how many drafts are in each.
    pub unlocked: Vec<Unlocked>,
    /// The numbers of functions, by the addresses of their trampolines.
    pub functions: HashMap<usize, u32, BuildHasherDefault<AddressHasher>>,
    /// The same for functions with names of their own: by address and name.
    pub named: HashMap<(usize, Arc<str>), u32>,
    /// The name and the number of options, by the bytes that a submission carries.
    pub options: HashMap<Box<[u8]>, (Arc<str>, u16)>,
    /// After how many runs of a task with these options this worker ends, and how many there were of each function.
    pub calls_max: HashMap<u16, Option<u32>>,
    pub calls: HashMap<u32, u32>,
    /// The functions behind the numbers, in a worker.
    pub known: HashMap<u32, Function>,
    /// The tasks that run here, and what they have returned so far: one, but of an actor that runs several calls at once.
    pub running: Vec<Running>,
    /// Whether this process is an actor's.
    pub is_actor: bool,
    /// The task that the head has given this worker, and those after it.
    pub shift: Shift,
    /// What is saved of that actor, if anything is.
    pub checkpoints: Option<Checkpoints>,
    pub request_next: u64,
    /// The cell that runs here, or that started the task that runs here.
    pub cell: u64,
    /// What the interrupts of what runs here name: see [`super::begin_cell`].
    pub turn: u64,
    /// Whether an interrupt of the turn ends waiting here.
    pub is_interruptible: bool,
    /// Threads that wait for objects.
    pub waiting: u32,
    /// What is awaited by futures.
    pub watch: Watch,
    /// Tasks that this process was to put into its ring, which was full.
    pub stranded: Vec<ObjectId>,
}

/// A lease that this process may write to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unlocked {
    pub run: Run,
    pub drafts: u32,
}

/// A worker's turn with a task that the head has given it, and with tasks that the head has hinted at.
#[derive(Debug, Default)]
pub(super) struct Shift {
    pub begun: Option<Instant>,
    /// Those after it that it has claimed.
    pub also: Vec<ObjectId>,
}

/// A task that runs here.
#[derive(Debug)]
pub(super) struct Running {
    pub task: ObjectId,
    /// The cell that started it.
    pub cell: u64,
    pub result: Option<(Draft, Vec<ObjectId>)>,
    pub failure: Option<Cause>,
}

/// An actor whose state is saved.
#[derive(Debug)]
pub(super) struct Checkpoints {
    pub actor: ObjectId,
    pub mailbox: u32,
    /// After how many calls.
    pub interval: u32,
    /// How many calls are in the log.
    pub logged: u32,
    pub is_due: bool,
}

/// A hasher for addresses, which are spread already; it only mixes their low bits, which are often the same.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, value: usize) {
        self.0 = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
}

impl State {
    pub fn new(leases: Leases, arena: (ArenaInfo, Arc<Arena>)) -> State {
        State {
            handles: Handles::default(),
            segment: Box::leak(Box::new(Arc::clone(&leases.segment))),
            leases,
            drafts: Tokens::default(),
            spares: Spares::default(),
            copies: Tokens::default(),
            arena,
            unlocked: Vec::new(),
            functions: HashMap::default(),
            named: HashMap::new(),
            options: HashMap::new(),
            calls_max: HashMap::new(),
            calls: HashMap::new(),
            known: HashMap::new(),
            running: Vec::new(),
            is_actor: false,
            shift: Shift::default(),
            checkpoints: None,
            request_next: 0,
            cell: 0,
            turn: 0,
            is_interruptible: false,
            waiting: 0,
            watch: Watch::default(),
            stranded: Vec::new(),
        }
    }

    pub fn segment(&self) -> &'static Segment {
        self.segment
    }

    /// Counts one reference more. False when there is no such object.
    pub fn retain(&mut self, id: ObjectId) -> bool {
        // Checked first, because an id in damaged bytes must neither replace the entry of the slot's object nor make
        // the list of entries as long as its number says.
        if !self.leases.segment.exists(id) {
            return false;
        }
        match self.handles.retain(id) {
            News::Add => self.leases.segment.add(id, Kind::Ref, self.leases.seat),
            _ => true,
        }
    }

    /// Counts one reference less, and frees what only that kept. Returns the messages that this leaves for the head.
    #[must_use]
    pub fn release(&mut self, id: ObjectId) -> Vec<ToHead> {
        match self.handles.release(id) {
            News::Remove => self.let_go(id),
            _ => Vec::new(),
        }
    }

    /// Takes this process out of the object's references, and frees the object if it is unused.
    #[must_use]
    pub fn let_go(&mut self, id: ObjectId) -> Vec<ToHead> {
        let segment = self.segment();
        segment.remove(id, Kind::Ref, self.leases.seat);
        let (mut loose, mut leftovers) = (Vec::new(), Leftovers::default());
        segment.collect_one(&mut self.leases, id, &mut loose, &mut leftovers);
        if !loose.is_empty() {
            segment.collect(&mut self.leases, loose, &mut leftovers);
        }
        forgotten(leftovers)
    }

    /// Gives back all references but those to objects that this process reads.
    #[must_use]
    pub fn forget_all(&mut self) -> Vec<ToHead> {
        let forgotten = self.handles.forget_all();
        let segment = self.segment();
        forgotten.iter().for_each(|id| segment.remove(*id, Kind::Ref, self.leases.seat));
        self.collect(forgotten)
    }

    /// Counts one reader less of the object's bytes.
    pub fn unpin(&mut self, id: ObjectId) {
        if self.handles.unpin(id) == News::Remove {
            self.leases.segment.remove(id, Kind::Pin, self.leases.seat);
        }
    }

    /// Frees unused objects.
    #[must_use]
    pub fn collect(&mut self, loose: Vec<ObjectId>) -> Vec<ToHead> {
        let (segment, mut leftovers) = (self.segment(), Leftovers::default());
        segment.collect(&mut self.leases, loose, &mut leftovers);
        forgotten(leftovers)
    }

    /// Throws a draft away.
    #[must_use]
    pub fn discard(&mut self, draft: Draft) -> Option<Run> {
        match draft {
            Draft::Private(aligned) => {
                self.spares.give(aligned);
                None
            }
            Draft::Shared { slot, space, .. } => {
                let segment = self.segment();
                self.leases.moves();
                segment.step(slot, |word, by| word.after(Step::Discard { by }), self.leases.seat);
                segment.leave(self.leases.seat, space.home);
                self.leases.moved();
                self.leases.keep_slot(slot);
                self.written(space.home)
            }
        }
    }

    /// Ends a draft in this lease. Returns the lease if nothing is written into it any more.
    #[must_use]
    pub fn written(&mut self, home: u32) -> Option<Run> {
        let place = self.unlocked.iter().position(|unlocked| unlocked.run.first == home)?;
        let unlocked = &mut self.unlocked[place];
        unlocked.drafts = unlocked.drafts.saturating_sub(1);
        if unlocked.drafts > 0 || self.leases.is_open(home) {
            return None;
        }
        Some(self.unlocked.swap_remove(place).run)
    }
}

/// The messages to the head about what freed objects left on disk.
fn forgotten(leftovers: Leftovers) -> Vec<ToHead> {
    leftovers.spilled.into_iter().map(|(position, len)| ToHead::Forget { position, len }).collect()
}
