//! The arena's memory: one sparse file without a name.
//!
//! ```text
//!   Region (head)    makes the file and hands two descriptors out: one to read and write, one only to read
//!   Arena (arena.rs) maps both, in every process
//! ```
//!
//! The file comes from `O_TMPFILE`, so it never has a name and cannot be left behind: it ends with the last process
//! that has it open. Where `/dev/shm` is too small (containers have 64 MiB) it is a memfd. Either way it never shrinks:
//! a memfd is sealed, and only this program has a descriptor of a file in a folder.
//!
//! # Invariants
//! - No process writes a byte whose page has not been reserved, so no write raises `SIGBUS`.
//! - Only objects' bytes lie in it, so no process relies on data that another one could have half-written.

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The smallest unit of an arena.
const UNIT_BYTES_MIN: u64 = 64 << 10;
/// The largest unit of an arena: a huge page.
pub const UNIT_BYTES_MAX: u64 = 2 << 20;

/// An arena has at least this many units, unless they would be smaller than the smallest unit.
const UNITS_MIN: u64 = 64;

/// Why there is no memory for a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The folder that the person named cannot be used.
    #[error("the store cannot use the folder {}", folder.display())]
    Folder {
        /// The folder.
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
        /// The folder.
        folder: PathBuf,
        /// Bytes wanted.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The system gives no memory.
    #[error("the store cannot allocate {len} bytes of memory")]
    Memory {
        /// Bytes wanted.
        len: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The file behind a store.
#[derive(Debug)]
pub struct Region {
    file: OwnedFd,
    len: u64,
    place: String,
}

impl Region {
    /// Memory of `wanted` bytes in `folder`. Default size: 30 % of what the machine has, and no more than `/dev/shm`
    /// has free. Default folder: `/dev/shm`, or a memfd when that is too small. With `huge`, memory that was set aside
    /// for huge pages comes first, if there is enough of it. The second value is a message for the person, if there is
    /// something to say.
    ///
    /// # Errors
    /// The named folder cannot be used, or the system gives no memory. An unusable `/dev/shm` is no error.
    pub fn create(
        wanted: Option<u64>,
        folder: Option<&Path>,
        huge: Option<bool>,
    ) -> Result<(Region, Option<String>), RegionError> {
        if huge == Some(true)
            && folder.is_none()
            && let Some(region) = Region::set_aside(whole(wanted.unwrap_or_else(default_bytes)))
        {
            return Ok((region, None));
        }
        match folder {
            Some(folder) => {
                let free = free_bytes(folder).map_err(|source| in_folder(folder, source))?;
                let needed = whole(wanted.unwrap_or_else(|| default_bytes().min(free)));
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
        let needed = whole(wanted.unwrap_or_else(default_bytes));
        // Without a wanted size, a /dev/shm with half of the default free decides the size.
        let len = if wanted.is_none() && free >= needed / 2 {
            needed.min(free / UNIT_BYTES_MAX * UNIT_BYTES_MAX)
        } else {
            needed
        };
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
        reserve(file.as_fd(), 0, 4096.min(len.max(1)))?;
        Ok(Region { file: file.into(), len, place: folder.display().to_string() })
    }

    /// Memory of huge pages that the machine has set aside, if there is enough.
    fn set_aside(len: u64) -> Option<Region> {
        let free = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| huge_free(&text))?;
        if unit_bytes(len) < UNIT_BYTES_MAX || free < len {
            return None;
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
        let file = rustix::fs::memfd_create("mobula-store", flags).ok()?;
        rustix::fs::ftruncate(&file, len).ok()?;
        // Takes them all now, so that no other program gets them and no unit is missing later.
        reserve(file.as_fd(), 0, len).ok()?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).ok()?;
        Some(Region { file, len, place: "memfd (huge pages)".into() })
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

    /// Whether its length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of one of its units: a huge page, or less in a small arena.
    pub fn unit_bytes(&self) -> u64 {
        unit_bytes(self.len)
    }

    /// How many whole units it has.
    pub fn units(&self) -> u32 {
        u32::try_from(self.len / self.unit_bytes()).unwrap_or(u32::MAX)
    }

    /// Gives these bytes' memory back; they read as zero afterwards.
    pub fn discard(&self, start: u64, len: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = rustix::fs::fallocate(&self.file, flags, start, len) {
            tracing::debug!(%error, "memory not given back");
        }
    }

    /// A read-only descriptor, through which no writable mapping can be made.
    ///
    /// # Errors
    /// What the system said.
    pub fn reader(&self) -> std::io::Result<OwnedFd> {
        // Opened anew: a duplicate would be as writable as the original.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
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

fn unit_bytes(len: u64) -> u64 {
    let wished = (len / UNITS_MIN).max(1);
    (1 << wished.ilog2()).clamp(UNIT_BYTES_MIN, UNIT_BYTES_MAX)
}

/// Reserves pages for these bytes of the file.
pub(super) fn reserve(file: BorrowedFd<'_>, start: u64, len: u64) -> std::io::Result<()> {
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

/// Bytes rounded up to whole units.
fn whole(bytes: u64) -> u64 {
    let unit = unit_bytes(bytes);
    bytes.max(1).checked_next_multiple_of(unit).unwrap_or(u64::MAX / unit * unit)
}

/// Bytes of a store that nobody has said a size for: 30 % of the memory that this process may use.
pub fn default_bytes() -> u64 {
    whole(memory_of_machine() / 10 * 3)
}

/// Bytes of memory that this process may use.
pub fn memory_of_machine() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_total(&text));
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.unwrap_or(1 << 30).min(group.unwrap_or(u64::MAX))
}

/// Bytes of huge pages of 2 MiB that were set aside and that no program uses.
fn huge_free(meminfo: &str) -> Option<u64> {
    let number = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    let unreserved = number("HugePages_Free:")?.saturating_sub(number("HugePages_Rsvd:").unwrap_or(0));
    (number("Hugepagesize:")? << 10 == UNIT_BYTES_MAX).then_some(unreserved * UNIT_BYTES_MAX)
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn memory_without_a_wish_is_a_share_of_the_machines() {
        assert_eq!(memory_total("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(24576 << 10));
        let (region, _) = Region::create(None, None, None).unwrap();
        assert!(!region.is_empty() && region.len().is_multiple_of(region.unit_bytes()));
    }

    #[test]
    fn where_shared_memory_is_too_small_a_memfd_takes_over_and_says_so() {
        let (region, notice) = Region::in_memory(Some(1 << 20), Path::new("/proc")).unwrap();
        assert_eq!(region.place(), "memfd");
        assert!(notice.unwrap().contains("needs 1 MiB"));
        assert!(rustix::fs::ftruncate(region.file(), 0).is_err(), "a memfd cannot shrink");
    }

    #[test]
    fn a_folder_that_does_not_exist_or_is_too_small_is_named() {
        let error = Region::create(Some(4096), Some(Path::new("/nowhere")), None).unwrap_err();
        assert!(error.to_string().contains("/nowhere"));
        let folder = tempfile::tempdir().unwrap();
        let error = Region::create(Some(u64::MAX / 2), Some(folder.path()), None).unwrap_err();
        assert!(matches!(error, RegionError::Room { .. }));
    }

    #[test]
    fn huge_pages_that_somebody_has_reserved_are_not_free() {
        let text = "HugePages_Total:      10\nHugePages_Free:        6\nHugePages_Rsvd:        2\nHugepagesize:       2048 kB\n";
        assert_eq!(huge_free(text), Some(4 * UNIT_BYTES_MAX));
        assert_eq!(huge_free(&text.replace("2048", "1048576")), None, "others are not ours");
    }

    #[test]
    fn a_unit_is_a_huge_page_and_less_where_that_would_be_too_few() {
        assert_eq!([1 << 20, 8 << 20, 256 << 20, 4 << 30].map(unit_bytes), [64 << 10, 128 << 10, 2 << 20, 2 << 20]);
    }
}
