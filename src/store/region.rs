//! The store's memory: one sparse file without a name, mapped by every client.
//!
//! ```text
//!   Region (head)    makes the file, hands its descriptor out, never maps it
//!   Mapping (client) maps it once, at one address, for as long as the client lives
//! ```
//!
//! The file comes from `O_TMPFILE`, so it never has a name and nothing can be left behind: the last process that has it
//! open ends it. Where `/dev/shm` is too small (containers have 64 MiB) it is a memfd. Either way it never shrinks: a
//! memfd is sealed, and of a file in a folder only this program has a descriptor.
//!
//! # Invariants
//! - Nobody writes a byte whose page has not been reserved, so that no write is a `SIGBUS`.
//! - Nothing but objects' bytes lies in it: no process believes anything that another one could have half-written.

use crate::protocol::Extent;
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

const PAGE: u64 = 4096;

/// From this size on, pages are made with one call before the object is written instead of one fault each.
const POPULATE_BYTES_MIN: u64 = 256 << 10;

/// Why there is no memory for a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The folder that the person named cannot be used.
    #[error("the store cannot use the folder {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder that the person named is too small.
    #[error(
        "the store needs {needed} bytes and {} has {free} bytes free: ask for less with object_store_memory, or \
         name another folder",
        folder.display()
    )]
    Room {
        /// Which.
        folder: PathBuf,
        /// Bytes wanted.
        needed: u64,
        /// Bytes there.
        free: u64,
    },
    /// The system gives no memory.
    #[error("the store's memory of {len} bytes cannot be made")]
    Memory {
        /// Bytes wanted.
        len: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The file that a store lies in.
#[derive(Debug)]
pub struct Region {
    file: OwnedFd,
    len: u64,
    place: String,
}

impl Region {
    /// Memory of `wanted` bytes (default: 30 % of what the machine has, and no more than `/dev/shm` has free) in
    /// `folder` (default: `/dev/shm`, or a memfd when that is too small). The second value is a sentence for the
    /// person, if there is something to say.
    ///
    /// # Errors
    /// Only a folder that was named is an error when it does not do.
    pub fn create(wanted: Option<u64>, folder: Option<&Path>) -> Result<(Region, Option<String>), RegionError> {
        match folder {
            Some(folder) => {
                let free = free_bytes(folder).map_err(|source| in_folder(folder, source))?;
                let needed = pages(wanted.unwrap_or_else(|| default_bytes().min(free)));
                if needed > free {
                    return Err(RegionError::Room { folder: folder.into(), needed, free });
                }
                Ok((Region::in_folder(folder, needed).map_err(|source| in_folder(folder, source))?, None))
            }
            None => Region::in_memory(wanted, Path::new("/dev/shm")),
        }
    }

    fn in_memory(wanted: Option<u64>, shm: &Path) -> Result<(Region, Option<String>), RegionError> {
        let free = free_bytes(shm).unwrap_or(0);
        let needed = pages(wanted.unwrap_or_else(default_bytes));
        // Without a wish, a /dev/shm that has half of it decides how much it is.
        let len = if wanted.is_none() && free >= needed / 2 { needed.min(free / PAGE * PAGE) } else { needed };
        if len <= free
            && let Ok(region) = Region::in_folder(shm, len)
        {
            return Ok((region, None));
        }
        let region = Region::memfd(len).map_err(|source| RegionError::Memory { len, source })?;
        let notice = format!(
            "the store needs {} MiB and {} has {} MiB free: using a memfd instead",
            len >> 20,
            shm.display(),
            free >> 20
        );
        Ok((region, Some(notice)))
    }

    fn in_folder(folder: &Path, len: u64) -> std::io::Result<Region> {
        let file = tempfile::tempfile_in(folder)?;
        file.set_len(len)?;
        // Ask now whether this file system can reserve space at all, rather than at the first `put`.
        reserve(file.as_fd(), 0, PAGE.min(len.max(1)))?;
        Ok(Region { file: file.into(), len, place: folder.display().to_string() })
    }

    fn memfd(len: u64) -> std::io::Result<Region> {
        let file = rustix::fs::memfd_create("mobula-store", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, len)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Region { file, len, place: "memfd".into() })
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no room at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What backs it: a folder, or `memfd`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its descriptor, for clients.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A region as a client sees it.
pub struct Mapping {
    file: File,
    map: MmapRaw,
}

impl Mapping {
    /// Maps `len` bytes of the file.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(file: OwnedFd, len: u64) -> std::io::Result<Mapping> {
        let file = File::from(file);
        let len = usize::try_from(len).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        Ok(Mapping { file, map })
    }

    /// Where the extent begins in this process; `None` when it is not inside the region.
    ///
    /// A raw pointer, because another process may have the same bytes mapped: who may read or write them is the
    /// object's state, not the compiler's business.
    pub fn pointer(&self, extent: Extent) -> Option<*mut u8> {
        let inside = extent.end()? <= self.map.len() as u64;
        inside.then(|| self.map.as_mut_ptr().wrapping_add(extent.offset as usize))
    }

    /// Makes the extent's pages, so that writing to them cannot fail. Bytes of other objects in the first and last page
    /// are left as they are.
    ///
    /// # Errors
    /// `ENOSPC` when there is no room.
    pub fn reserve(&self, extent: Extent) -> std::io::Result<()> {
        let start = extent.offset / PAGE * PAGE;
        let end = pages(extent.end().ok_or(std::io::ErrorKind::InvalidInput)?).min(self.map.len() as u64);
        reserve(self.file.as_fd(), start, end.saturating_sub(start))?;
        if extent.len >= POPULATE_BYTES_MIN {
            // Only a quicker way to what the faults would do: a kernel that does not know it is no error.
            let _ = self.map.advise_range(Advice::PopulateWrite, start as usize, (end - start) as usize);
        }
        Ok(())
    }

    /// A sentence about the room that the file system has left.
    pub fn room(&self) -> String {
        match rustix::fs::fstatvfs(&self.file) {
            Ok(stat) => format!("the memory behind it has {} MiB free", (stat.f_bavail * stat.f_frsize) >> 20),
            Err(error) => error.to_string(),
        }
    }
}

fn reserve(file: BorrowedFd<'_>, start: u64, len: u64) -> std::io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), start, len.max(1)) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

fn in_folder(folder: &Path, source: std::io::Error) -> RegionError {
    RegionError::Folder { folder: folder.into(), source }
}

fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

fn pages(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX / PAGE * PAGE)
}

/// 30 % of the memory that this process may use.
fn default_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_total(&text));
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let memory = machine.unwrap_or(1 << 30).min(group.unwrap_or(u64::MAX));
    pages(memory / 10 * 3)
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_without_a_wish_is_a_share_of_the_machines() {
        assert_eq!(memory_total("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(24576 << 10));
        let (region, _) = Region::create(None, None).unwrap();
        assert!(!region.is_empty() && region.len().is_multiple_of(PAGE));
    }

    #[test]
    fn where_shared_memory_is_too_small_a_memfd_takes_over_and_says_so() {
        let (region, notice) = Region::in_memory(Some(1 << 20), Path::new("/proc")).unwrap();
        assert_eq!(region.place(), "memfd");
        assert!(notice.unwrap().contains("needs 1 MiB"));
        let mapping = Mapping::new(region.file().try_clone_to_owned().unwrap(), region.len()).unwrap();
        mapping.reserve(Extent { offset: 64, len: 512 << 10 }).unwrap();
        assert!(rustix::fs::ftruncate(region.file(), 0).is_err(), "a memfd cannot shrink");
    }

    #[test]
    fn a_folder_that_does_not_exist_or_is_too_small_is_named() {
        let error = Region::create(Some(PAGE), Some(Path::new("/nowhere"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere"));
        let folder = tempfile::tempdir().unwrap();
        let error = Region::create(Some(u64::MAX / 2), Some(folder.path())).unwrap_err();
        assert!(matches!(error, RegionError::Room { .. }));
    }

    #[test]
    fn nothing_outside_the_region_has_an_address() {
        let region = Region::memfd(PAGE).unwrap();
        let mapping = Mapping::new(region.file().try_clone_to_owned().unwrap(), region.len()).unwrap();
        assert!(mapping.pointer(Extent { offset: PAGE - 64, len: 64 }).is_some());
        assert!(mapping.pointer(Extent { offset: PAGE - 64, len: 65 }).is_none());
        assert!(mapping.pointer(Extent { offset: u64::MAX, len: 2 }).is_none());
    }
}
