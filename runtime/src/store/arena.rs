//! The arena as a process sees it: everything to read, its own leases to write.
//!
//! ```text
//!   read   the whole file through a descriptor that cannot write         a stray write ends the one who writes, and nothing else
//!   write  the whole file, unwritable but for the leases of this process
//! ```
//!
//! Pages are made when a unit is leased for the first time and stay when it is given back, so that the next one finds them warm. Where
//! the kernel can (`MADV_COLLAPSE`, Linux 6.1, needs no privilege), a unit becomes one huge page: 0.2 ms for 2 MiB instead of 2 ms, no
//! faults in other processes, and changing who may write costs microseconds.

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
    /// The kernel does not do it.
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

// SAFETY: it hands out addresses and changes what the kernel allows; who may use the bytes there is decided by slots and leases.
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

    /// Whether it has no room at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where to read these bytes; `None` when they are not inside.
    pub fn reading(&self, offset: u64, len: u64) -> Option<*const u8> {
        self.inside(offset, len).then(|| self.read.cast_const().cast::<u8>().wrapping_add(offset as usize))
    }

    /// Where to write these bytes, which are in a lease of this process; `None` when they are not inside.
    pub fn writing(&self, offset: u64, len: u64) -> Option<*mut u8> {
        self.inside(offset, len).then(|| self.write.cast::<u8>().wrapping_add(offset as usize))
    }

    /// Ids that were written one behind the other; see `Segment::long_list`.
    pub fn ids(&self, offset: u64, count: usize) -> Option<Vec<Id>> {
        let ptr = self.reading(offset, (count as u64).checked_mul(8)?)?;
        if !offset.is_multiple_of(8) {
            return None;
        }
        let read = |index| {
            // SAFETY: inside, aligned, and any bytes are a number. Volatile, because a process that breaks the rules may write there.
            Id(unsafe { ptr.cast::<u64>().add(index).read_volatile() })
        };
        Some((0..count).map(read).collect())
    }

    /// Writes ids into a space of this process's that nobody else knows of yet.
    pub(crate) fn write_ids(&self, offset: u64, ids: &[Id]) -> Option<()> {
        let ptr = self.writing(offset, (ids.len() as u64).checked_mul(8)?)?;
        for (index, id) in ids.iter().enumerate() {
            // SAFETY: inside a lease of this process that is unlocked, at a multiple of 64 bytes; nobody knows of it yet.
            unsafe { ptr.cast::<u64>().add(index).write(id.0) };
        }
        Some(())
    }

    /// Copies the bytes of a sealed object to a file, from `at` on; should it be freed meanwhile, they are another one's.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn save(&self, offset: u64, len: u64, file: &File, at: u64) -> std::io::Result<()> {
        let from = self.reading(offset, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        whole(len as usize, |done| {
            // SAFETY: inside the mapping, of which no reference is made: the kernel copies whatever is there.
            unsafe {
                libc::pwrite(file.as_raw_fd(), from.add(done).cast(), len as usize - done, at as i64 + done as i64)
            }
        })
    }

    /// Copies bytes of a file, from `at` on, into a space of this process's that nobody else knows of yet.
    ///
    /// # Errors
    /// What the system said; `UnexpectedEof` when the file has fewer.
    pub(crate) fn load(&self, offset: u64, len: u64, file: &File, at: u64) -> std::io::Result<()> {
        let into = self.writing(offset, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        whole(len as usize, |done| {
            // SAFETY: inside the mapping, in a lease of this process that is unlocked, and nobody has a reference to a space that is new.
            unsafe {
                libc::pread(file.as_raw_fd(), into.add(done).cast(), len as usize - done, at as i64 + done as i64)
            }
        })
    }

    fn inside(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len as u64)
    }

    /// Nothing more is written into the lease.
    pub fn lock(&self, run: Run) {
        // Should this fail, a stray write of this process could still hit its own old objects; nothing else depends on it.
        let _ = self.protect(run, MprotectFlags::READ);
    }

    /// Takes the right to write everywhere away.
    pub fn lock_all(&self) {
        // SAFETY: as in `protect`.
        let _ = unsafe { rustix::mm::mprotect(self.write, self.len, MprotectFlags::READ) };
    }

    /// What this process forks from now on does not have the arena.
    pub fn keep_from_children(&self) {
        for map in [self.read, self.write] {
            // SAFETY: a mapping of ours, whole; the advice concerns only children.
            unsafe { libc::madvise(map, self.len, libc::MADV_DONTFORK) };
        }
    }

    /// A sentence about the room that the file system has left.
    pub fn room(&self) -> String {
        match rustix::fs::fstatvfs(&self.file) {
            Ok(stat) => format!("the memory behind it has {} MiB free", (stat.f_bavail * stat.f_frsize) >> 20),
            Err(error) => error.to_string(),
        }
    }

    pub(super) fn protect(&self, run: Run, flags: MprotectFlags) -> std::io::Result<()> {
        let (start, len) = (u64::from(run.first) * self.unit_bytes, u64::from(run.len) * self.unit_bytes);
        let ptr = self.writing(start, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        // SAFETY: whole pages of a mapping that only this value knows; nobody holds a reference into the writable mapping but for bytes
        // of drafts in leases that are unlocked.
        Ok(unsafe { rustix::mm::mprotect(ptr.cast(), len as usize, flags) }?)
    }

    pub(super) fn back(&self, index: u32) -> std::io::Result<()> {
        let start = u64::from(index) * self.unit_bytes;
        if self.unit_bytes == UNIT_BYTES_MAX && self.huge.load(Ordering::Relaxed) == Huge::Try as u32 {
            // One page must be there, and must be asked for so that no room is an error.
            reserve(self.file.as_fd(), start, 4096)?;
            let ptr = self.writing(start, self.unit_bytes).ok_or(std::io::ErrorKind::InvalidInput)?;
            // Present in this process's own tables, too.
            // SAFETY: the page was reserved just now, and the unit is this process's own.
            unsafe { ptr.write_volatile(0) };
            // SAFETY: a unit of a mapping of ours; the kernel moves its content to other pages and changes none of it.
            if unsafe { libc::madvise(ptr.cast(), self.unit_bytes as usize, MADV_COLLAPSE) } == 0 {
                return Ok(());
            }
            self.huge.store(Huge::No as u32, Ordering::Relaxed);
        }
        reserve(self.file.as_fd(), start, self.unit_bytes)
    }

    /// Whether units become huge pages here, as far as has been seen.
    pub fn is_huge(&self) -> bool {
        self.unit_bytes == UNIT_BYTES_MAX && self.huge.load(Ordering::Relaxed) == Huge::Try as u32
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for map in [self.read, self.write] {
            // SAFETY: mapped by `open`, whole; whoever has a view keeps the arena.
            let _ = unsafe { rustix::mm::munmap(map, self.len) };
        }
    }
}

/// Maps a file so that its units begin at multiples of a huge page.
/// Repeats a call that copies a part, given how much has been done, until `len` bytes are.
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

fn map_aligned(file: impl AsFd, len: usize, prot: ProtFlags) -> std::io::Result<*mut c_void> {
    let huge = UNIT_BYTES_MAX as usize;
    let reserved = len.checked_add(huge).ok_or(std::io::ErrorKind::OutOfMemory)?;
    // SAFETY: a fresh mapping wherever the kernel likes.
    let base = unsafe { rustix::mm::mmap_anonymous(null_mut(), reserved, ProtFlags::empty(), MapFlags::PRIVATE)? };
    let skip = base.addr().next_multiple_of(huge) - base.addr();
    let start = base.cast::<u8>().wrapping_add(skip).cast::<c_void>();
    let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: it replaces a part of the mapping just made, which nobody uses.
    let mapped = unsafe { rustix::mm::mmap(start, len, prot, flags, file, 0) };
    let rest = reserved - skip - len;
    for (piece, len) in [(base, skip), (start.cast::<u8>().wrapping_add(len).cast(), rest)] {
        if len > 0 {
            // SAFETY: what is left of that mapping, on either side.
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
        // SAFETY: in a lease that is unlocked, and below in the same bytes.
        unsafe { arena.writing(offset, 3).unwrap().copy_from_nonoverlapping(b"abc".as_ptr(), 3) };
        arena.lock(run);
        // SAFETY: as above.
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
        // SAFETY: a mapping of ours; the call is to fail.
        let made = unsafe { rustix::mm::mprotect(arena.read, 4096, MprotectFlags::READ | MprotectFlags::WRITE) };
        assert!(made.is_err());
    }
}
