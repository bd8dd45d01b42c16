//! The arena as one process maps it: readable as a whole, writable in the process's own leases.
//!
//! ```text
//!   read   the whole file through a descriptor that cannot write         a stray write ends only the process that makes it
//!   write  the whole file, unwritable but for the leases of this process
//! ```
//!
//! Pages are allocated when a unit is leased for the first time and stay when it is given back, so that the next lease finds them warm.
//! Where the kernel can (`MADV_COLLAPSE`, Linux 6.1, needs no privilege), a unit becomes one huge page. That takes 0.2 ms for 2 MiB instead
//! of 2 ms, causes no faults in other processes, and lets a change of protection cost microseconds.

#![allow(unsafe_code)]

use super::id::ObjectId as Id;
use super::region::{UNIT_BYTES_MAX, reserve};
use crate::sync::{AtomicU32, Ordering};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use std::ffi::c_void;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::null_mut;

/// `MADV_COLLAPSE` of `<linux/mman.h>`, which neither memmap2 nor rustix names.
const MADV_COLLAPSE: i32 = 25;

/// Whether units become huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Huge {
    /// Not tried yet, or it worked.
    Try = 0,
    /// The kernel does not make huge pages.
    No = 1,
}

/// A run of units that belongs to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first unit.
    pub first: u32,
    /// How many.
    pub len: u32,
}

/// A mapped arena.
#[derive(Debug)]
pub struct Arena {
    read: *mut c_void,
    write: *mut c_void,
    len: usize,
    unit_bytes: u64,
    file: OwnedFd,
    huge: AtomicU32,
}

// SAFETY: the two mappings belong to the process and not to a thread. The fields never change, except `huge`, which is atomic. `Arena` only
// hands out addresses; slots and leases decide which thread may access the bytes there.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps `len` bytes of a file: through `file` to write, through `reader` to read. With `huge`, units become huge pages where the
    /// kernel does that.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(file: OwnedFd, reader: OwnedFd, len: u64, unit_bytes: u64, huge: bool) -> std::io::Result<Arena> {
        let len = usize::try_from(len).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let read = map_aligned(reader, len, ProtFlags::READ)?;
        let write = map_aligned(&file, len, ProtFlags::READ)?;
        Ok(Arena {
            read,
            write,
            len,
            unit_bytes,
            file,
            huge: AtomicU32::new(if huge { Huge::Try } else { Huge::No } as u32),
        })
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Whether its length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address to read these bytes at; `None` when they are not inside.
    pub fn reading(&self, offset: u64, len: u64) -> Option<*const u8> {
        self.inside(offset, len).then(|| self.read.cast_const().cast::<u8>().wrapping_add(offset as usize))
    }

    /// The address to write these bytes at, which are in a lease of this process; `None` when they are not inside.
    pub fn writing(&self, offset: u64, len: u64) -> Option<*mut u8> {
        self.inside(offset, len).then(|| self.write.cast::<u8>().wrapping_add(offset as usize))
    }

    /// `count` consecutive ids; see `Segment::long_list`.
    pub fn ids(&self, offset: u64, count: usize) -> Option<Vec<Id>> {
        let ptr = self.reading(offset, (count as u64).checked_mul(8)?)?;
        if !offset.is_multiple_of(8) {
            return None;
        }
        let read = |index| {
            // SAFETY: in bounds, by `reading`; aligned, because the mapping is and `offset` is a multiple of 8; any bytes are a number.
            // Volatile, because a process that breaks the rules may write there.
            Id(unsafe { ptr.cast::<u64>().add(index).read_volatile() })
        };
        Some((0..count).map(read).collect())
    }

    /// Writes ids into a space of this process that no other process knows yet.
    pub(crate) fn write_ids(&self, offset: u64, ids: &[Id]) -> Option<()> {
        let ptr = self.writing(offset, (ids.len() as u64).checked_mul(8)?)?;
        for (index, id) in ids.iter().enumerate() {
            // SAFETY: in bounds, by `writing`; writable, in an unlocked lease of this process; aligned, because spaces begin at multiples
            // of 64 bytes; not aliased, because no other process knows the space yet.
            unsafe { ptr.cast::<u64>().add(index).write(id.0) };
        }
        Some(())
    }

    /// Copies the bytes of a sealed object to a file, from `at` on. If it is freed meanwhile, they may be another object's bytes.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn save(&self, offset: u64, len: u64, file: &File, at: u64) -> std::io::Result<()> {
        let from = self.reading(offset, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        whole(len as usize, |done| {
            // SAFETY: the address and the length are inside the mapping, by `reading`. No reference is made: the kernel copies whatever is
            // there.
            unsafe {
                libc::pwrite(file.as_raw_fd(), from.add(done).cast(), len as usize - done, at as i64 + done as i64)
            }
        })
    }

    /// Copies bytes of a file, from `at` on, into a space of this process that no other process knows yet.
    ///
    /// # Errors
    /// What the system said; `UnexpectedEof` when the file has fewer.
    pub(crate) fn load(&self, offset: u64, len: u64, file: &File, at: u64) -> std::io::Result<()> {
        let into = self.writing(offset, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        whole(len as usize, |done| {
            // SAFETY: the address and the length are inside the mapping, by `writing`, in an unlocked lease of this process. The space is
            // new, so there is no reference to it.
            unsafe {
                libc::pread(file.as_raw_fd(), into.add(done).cast(), len as usize - done, at as i64 + done as i64)
            }
        })
    }

    /// A checksum of the bytes of a sealed object. If it is freed meanwhile, they may be another object's bytes.
    pub(crate) fn checksum(&self, offset: u64, len: u64) -> Option<u32> {
        // Spaces end at multiples of 64 bytes, so the last word is in the object's.
        let ptr = self.reading(offset, len.next_multiple_of(8)).filter(|_| offset.is_multiple_of(8))?.cast::<u64>();
        let mut hasher = crc32fast::Hasher::new();
        let mut copy = [0_u64; 1024];
        for first in (0..len.div_ceil(8) as usize).step_by(copy.len()) {
            let bytes = (len as usize - first * 8).min(size_of_val(&copy));
            for (index, word) in copy.iter_mut().enumerate().take(bytes.div_ceil(8)) {
                // SAFETY: in bounds, by `reading`; aligned, because the mapping is and `offset` is a multiple of 8; any bytes are a number.
                // Volatile, because another process may write there by now.
                *word = unsafe { ptr.add(first + index).read_volatile() };
            }
            hasher.update(&bytemuck::cast_slice(&copy)[..bytes]);
        }
        Some(hasher.finalize())
    }

    fn inside(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len as u64)
    }

    /// Makes the lease read-only for this process.
    pub fn lock(&self, run: Run) {
        // Should this fail, a stray write of this process could still hit its own old objects; nothing else depends on it.
        let _ = self.protect(run, MprotectFlags::READ);
    }

    /// Makes the whole arena read-only for this process.
    pub fn lock_all(&self) {
        // SAFETY: the whole writable mapping, which only this value knows; the caller writes no draft any more, and nothing refers into it.
        let _ = unsafe { rustix::mm::mprotect(self.write, self.len, MprotectFlags::READ) };
    }

    /// Keeps the arena out of the processes that this one forks from now on.
    pub fn keep_from_children(&self) {
        for map in [self.read, self.write] {
            // SAFETY: `map` and `len` are one whole mapping of this value; the advice only concerns children.
            unsafe { libc::madvise(map, self.len, libc::MADV_DONTFORK) };
        }
    }

    /// A message about the room that the file system has left.
    pub fn room(&self) -> String {
        match rustix::fs::fstatvfs(&self.file) {
            Ok(stat) => format!("the memory behind it has {} MiB free", (stat.f_bavail * stat.f_frsize) >> 20),
            Err(error) => error.to_string(),
        }
    }

    pub(super) fn protect(&self, run: Run, flags: MprotectFlags) -> std::io::Result<()> {
        let (start, len) = (u64::from(run.first) * self.unit_bytes, u64::from(run.len) * self.unit_bytes);
        let ptr = self.writing(start, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        // SAFETY: whole pages, in bounds by `writing`, of a mapping that only this value knows. Only drafts are accessed through the
        // writable mapping, and a lease with drafts stays unlocked.
        Ok(unsafe { rustix::mm::mprotect(ptr.cast(), len as usize, flags) }?)
    }

    pub(super) fn back(&self, index: u32) -> std::io::Result<()> {
        let start = u64::from(index) * self.unit_bytes;
        if self.unit_bytes == UNIT_BYTES_MAX && self.huge.load(Ordering::Relaxed) == Huge::Try as u32 {
            // One page must exist. It is asked for with `reserve`, so that a lack of room is an error.
            reserve(self.file.as_fd(), start, 4096)?;
            let ptr = self.writing(start, self.unit_bytes).ok_or(std::io::ErrorKind::InvalidInput)?;
            // The page must be in this process's own page table, too.
            // SAFETY: in bounds, by `writing`; the page was reserved just now, and is writable, because `unlock` has protected it so. The
            // unit is this process's own and has no objects yet, so nothing else refers to it.
            unsafe { ptr.write_volatile(0) };
            // SAFETY: one whole unit of a mapping of this value; the kernel moves its content to other pages and changes none of it.
            if unsafe { libc::madvise(ptr.cast(), self.unit_bytes as usize, MADV_COLLAPSE) } == 0 {
                return Ok(());
            }
            self.huge.store(Huge::No as u32, Ordering::Relaxed);
        }
        reserve(self.file.as_fd(), start, self.unit_bytes)
    }

    /// Whether units become huge pages here, as far as is known.
    pub fn is_huge(&self) -> bool {
        self.unit_bytes == UNIT_BYTES_MAX && self.huge.load(Ordering::Relaxed) == Huge::Try as u32
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for map in [self.read, self.write] {
            // SAFETY: `open` made each mapping with this length. A view keeps the arena alive, so nothing refers to it any more.
            let _ = unsafe { rustix::mm::munmap(map, self.len) };
        }
    }
}

/// Repeats a call that copies a part, given how much has been done, until `len` bytes are done.
fn whole(len: usize, mut part: impl FnMut(usize) -> isize) -> std::io::Result<()> {
    let mut done = 0;
    while done < len {
        match part(done) {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            copied if copied > 0 => done += copied as usize,
            _ => {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// Maps a file so that its units begin at multiples of a huge page.
fn map_aligned(file: impl AsFd, len: usize, prot: ProtFlags) -> std::io::Result<*mut c_void> {
    let huge = UNIT_BYTES_MAX as usize;
    let reserved = len.checked_add(huge).ok_or(std::io::ErrorKind::OutOfMemory)?;
    // SAFETY: a new mapping at an address that the kernel chooses, so it replaces nothing.
    let base = unsafe { rustix::mm::mmap_anonymous(null_mut(), reserved, ProtFlags::empty(), MapFlags::PRIVATE)? };
    let skip = base.addr().next_multiple_of(huge) - base.addr();
    let start = base.cast::<u8>().wrapping_add(skip).cast::<c_void>();
    let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: it replaces a part of the mapping just made, in bounds because `skip` is at most `huge`; nothing uses that yet.
    let mapped = unsafe { rustix::mm::mmap(start, len, prot, flags, file, 0) };
    let rest = reserved - skip - len;
    for (piece, len) in [(base, skip), (start.cast::<u8>().wrapping_add(len).cast(), rest)] {
        if len > 0 {
            // SAFETY: the rest of the mapping just made, on either side of the file; nothing uses it.
            let _ = unsafe { rustix::mm::munmap(piece, len) };
        }
    }
    Ok(mapped?)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::Segment;
    use crate::store::layout::Limits;
    use crate::store::region::Region;
    use crate::store::seat::Seat;

    fn arena(bytes: u64) -> (Segment, Arena) {
        let (region, _) = Region::create(Some(bytes), None, None).unwrap();
        let segment = Segment::stand_in(Limits { slots: 64, units: region.units(), ring: 2 });
        segment.header().units.store(region.units(), Ordering::Relaxed);
        segment.header().unit_bytes.store(region.unit_bytes() as u32, Ordering::Relaxed);
        let file = region.file().try_clone_to_owned().unwrap();
        let arena = Arena::open(file, region.reader().unwrap(), region.len(), region.unit_bytes(), true).unwrap();
        (segment, arena)
    }

    #[test]
    fn what_is_written_into_a_lease_is_read_everywhere() {
        let (segment, arena) = arena(256 << 20);
        let run = segment.lease(Seat(1), 2).unwrap();
        segment.unlock(&arena, run).unwrap();
        let offset = u64::from(run.first) * segment.unit_bytes() + 64;
        // SAFETY: `writing` gives 3 bytes in an unlocked lease, which the literal does not overlap.
        unsafe { arena.writing(offset, 3).unwrap().copy_from_nonoverlapping(b"abc".as_ptr(), 3) };
        arena.lock(run);
        // SAFETY: the mapped, initialised bytes written above, which nothing writes any more.
        assert_eq!(unsafe { std::slice::from_raw_parts(arena.reading(offset, 3).unwrap(), 3) }, b"abc");
    }

    #[test]
    fn nothing_outside_has_an_address() {
        let (_, arena) = arena(1 << 20);
        assert!(arena.reading((1 << 20) - 64, 64).is_some());
        assert!(arena.reading((1 << 20) - 64, 65).is_none());
        assert!(arena.writing(u64::MAX, 2).is_none());
    }

    #[test]
    fn a_reader_cannot_make_its_mapping_writable() {
        let (_, arena) = arena(1 << 20);
        // SAFETY: the first page of a mapping of the arena; the call is to fail.
        let made = unsafe { rustix::mm::mprotect(arena.read, 4096, MprotectFlags::READ | MprotectFlags::WRITE) };
        assert!(made.is_err());
    }
}
