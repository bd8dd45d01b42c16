//! The control segment, mapped: the only file that makes references into it.
//!
//! ```text
//!   Segment::create ─▶ memfd, sealed ──descriptor──▶ Segment::open in every process
//!   Segment::stand_in ─▶ the same tables on the heap, for tests and model checkers
//! ```

#![allow(unsafe_code)]

use super::arena::Arena;
use super::layout::{
    CALLS_MAX, Desk, EVENTS_KEPT, EventRecord, Header, LAYOUT_VERSION, Limits, MAGIC, MAILBOXES, Mailbox, Places, Slot,
    Unit,
};
#[cfg(any(test, loom))]
use super::seat::SEATS;
use super::seat::Seat;
use crate::sync::{AtomicU64, Ordering};
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

/// The memory of the tables.
enum Memory {
    /// Shared with the other processes.
    Mapped { map: MmapRaw, file: OwnedFd },
    /// This process's own.
    #[cfg(any(test, loom))]
    Heap { _tables: Box<Heap> },
}

/// Header, desks, hints, units, rings, mailboxes, calls, events and slots.
#[cfg(any(test, loom))]
type Heap = (
    Header,
    Vec<Desk>,
    Vec<AtomicU64>,
    Vec<Unit>,
    Vec<AtomicU64>,
    Vec<Mailbox>,
    Vec<AtomicU64>,
    Vec<EventRecord>,
    Vec<Slot>,
);

/// The shared tables of one runtime.
pub struct Segment {
    header: *const Header,
    desks: *const Desk,
    hints: *const AtomicU64,
    units: *const Unit,
    rings: *const AtomicU64,
    mailboxes: *const Mailbox,
    calls: *const AtomicU64,
    events: *const EventRecord,
    slots: *const Slot,
    limits: Limits,
    /// The arena, where this process has mapped it.
    mapped: Mutex<Option<Arc<Arena>>>,
    memory: Memory,
}

// SAFETY: the pointers are to atomics, which any number of threads may use, in memory that lives as long as `self`.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({:?})", self.limits)
    }
}

impl Segment {
    /// Makes a segment of these sizes.
    ///
    /// # Errors
    /// What the system said.
    pub fn create(limits: Limits) -> std::io::Result<Segment> {
        let len = limits.places().len;
        let file = rustix::fs::memfd_create("mobula-control", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, len as u64)?;
        // A process that could shrink the file could end all others with SIGBUS.
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let segment = Segment::map(file, limits)?;
        segment.header().version.store(LAYOUT_VERSION, Ordering::Relaxed);
        // Slot 0 is never used, so that the id 0 means no object.
        segment.header().slots_fresh.store(64, Ordering::Relaxed);
        segment.header().magic.store(MAGIC, Ordering::Release);
        Ok(segment)
    }

    /// Maps a segment that another process has made.
    ///
    /// # Errors
    /// What the system said, or that it is no such segment.
    pub fn open(file: OwnedFd, limits: Limits) -> std::io::Result<Segment> {
        let segment = Segment::map(file, limits)?;
        let header = segment.header();
        if header.magic.load(Ordering::Acquire) != MAGIC || header.version.load(Ordering::Relaxed) != LAYOUT_VERSION {
            return Err(std::io::Error::other("the shared memory is not a control segment of this version"));
        }
        Ok(segment)
    }

    fn map(file: OwnedFd, limits: Limits) -> std::io::Result<Segment> {
        let Places { desks, hints, units, rings, mailboxes, calls, events, slots, len } = limits.places();
        if rustix::fs::fstat(&file)?.st_size as u64 != len as u64 || !limits.ring.is_power_of_two() {
            return Err(std::io::Error::other("the control segment has the wrong size"));
        }
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        let base = map.as_ptr();
        Ok(Segment {
            header: base.cast(),
            desks: base.wrapping_add(desks).cast(),
            hints: base.wrapping_add(hints).cast(),
            units: base.wrapping_add(units).cast(),
            rings: base.wrapping_add(rings).cast(),
            mailboxes: base.wrapping_add(mailboxes).cast(),
            calls: base.wrapping_add(calls).cast(),
            events: base.wrapping_add(events).cast(),
            slots: base.wrapping_add(slots).cast(),
            limits,
            mapped: Mutex::default(),
            memory: Memory::Mapped { map, file },
        })
    }

    /// The same tables in this process's own memory.
    #[cfg(any(test, loom))]
    pub fn stand_in(limits: Limits) -> Segment {
        fn many<T: Default>(count: usize) -> Vec<T> {
            (0..count).map(|_| T::default()).collect()
        }
        let (slots, units, ring) = (limits.slots as usize, limits.units as usize, limits.ring as usize);
        let tables = Box::new((
            Header::default(),
            many(SEATS),
            many(slots.div_ceil(64)),
            many(units),
            many(SEATS * ring),
            many(MAILBOXES as usize),
            many(MAILBOXES as usize * CALLS_MAX as usize),
            many(SEATS * EVENTS_KEPT as usize),
            many(slots),
        ));
        tables.0.slots_fresh.store(1, Ordering::Relaxed);
        Segment {
            header: &raw const tables.0,
            desks: tables.1.as_ptr(),
            hints: tables.2.as_ptr(),
            units: tables.3.as_ptr(),
            rings: tables.4.as_ptr(),
            mailboxes: tables.5.as_ptr(),
            calls: tables.6.as_ptr(),
            events: tables.7.as_ptr(),
            slots: tables.8.as_ptr(),
            limits,
            mapped: Mutex::default(),
            memory: Memory::Heap { _tables: tables },
        }
    }

    /// Its descriptor, for other processes; `None` for a stand-in.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        match &self.memory {
            Memory::Mapped { file, .. } => Some(file.as_fd()),
            #[cfg(any(test, loom))]
            Memory::Heap { .. } => None,
        }
    }

    /// Keeps the segment out of the processes that this one forks from now on. Not for a cell host, whose twin must
    /// have it.
    pub fn keep_from_children(&self) {
        match &self.memory {
            Memory::Mapped { map, .. } => drop(map.advise(Advice::DontFork)),
            #[cfg(any(test, loom))]
            Memory::Heap { .. } => {}
        }
    }

    /// The arena, where this process has mapped it.
    pub(super) fn mapped(&self) -> &Mutex<Option<Arc<Arena>>> {
        &self.mapped
    }

    /// The sizes of its tables.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The header: the state of the runtime as a whole.
    pub fn header(&self) -> &Header {
        // SAFETY:
        // - In bounds, aligned, alive: `map` and `stand_in` laid it out so, for as long as `memory` lives.
        // - Initialised: any bit pattern is a value of an atomic.
        // - Aliasing: other processes write here at any moment, but only through atomics; no code forms `&mut`.
        unsafe { &*self.header }
    }

    /// A process's desk.
    pub fn desk(&self, seat: Seat) -> &Desk {
        // SAFETY: as in `header`; in bounds, because a seat's index is below `SEATS`, and there are `SEATS` desks.
        unsafe { &*self.desks.add(seat.index()) }
    }

    /// The word of hints at this index, one bit per slot: the slot may have no owner.
    pub fn hint(&self, index: u32) -> &AtomicU64 {
        let index = index as usize % (self.limits.slots as usize).div_ceil(64);
        // SAFETY: as in `header`; in bounds by the line above.
        unsafe { &*self.hints.add(index) }
    }

    /// A unit of the arena. An index from shared memory may be invalid, so one that is too large gives the last unit.
    pub fn unit(&self, index: u32) -> &Unit {
        let index = index.min(self.limits.units - 1) as usize;
        // SAFETY: as in `header`; in bounds by the line above.
        unsafe { &*self.units.add(index) }
    }

    /// An entry of a ring.
    pub fn entry(&self, seat: Seat, position: u64) -> &AtomicU64 {
        let ring = self.limits.ring as usize;
        let index = seat.index() * ring + (position as usize & (ring - 1));
        // SAFETY: as in `header`; in bounds, because there are `SEATS` rings of `ring` entries, and `ring` is a power
        // of two.
        unsafe { &*self.rings.add(index) }
    }

    /// An actor's mailbox. An index from shared memory may be invalid, so one that is too large gives the last.
    pub fn mailbox(&self, index: u32) -> &Mailbox {
        // SAFETY: as in `header`; in bounds by the minimum.
        unsafe { &*self.mailboxes.add(index.min(MAILBOXES - 1) as usize) }
    }

    /// A place in an actor's mailbox.
    pub fn place(&self, mailbox: u32, position: u64) -> &AtomicU64 {
        let index = u64::from(mailbox.min(MAILBOXES - 1)) * CALLS_MAX + position % CALLS_MAX;
        // SAFETY: as in `header`; in bounds, because there are `MAILBOXES` times `CALLS_MAX` places.
        unsafe { &*self.calls.add(index as usize) }
    }

    /// The place of a process's record of this number.
    pub fn event(&self, seat: Seat, number: u64) -> &EventRecord {
        let index = seat.index() * EVENTS_KEPT as usize + (number % EVENTS_KEPT) as usize;
        // SAFETY: as in `header`; in bounds, because there are `SEATS` times `EVENTS_KEPT` records.
        unsafe { &*self.events.add(index) }
    }

    /// A slot. An index from shared memory may be invalid, so one that is too large gives slot 0, which is never used.
    pub fn slot(&self, index: u32) -> &Slot {
        let index = if index < self.limits.slots { index as usize } else { 0 };
        // SAFETY: as in `header`; in bounds by the line above.
        unsafe { &*self.slots.add(index) }
    }

    /// The address of a slot's own bytes. The caller keeps the slot an object while it reads them.
    pub fn inline_bytes(&self, index: u32) -> *const u8 {
        (&raw const self.slot(index).inline).cast()
    }
}
