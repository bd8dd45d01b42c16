//! Relocation of cells' libraries into one shared mapping, so that a checkpoint costs the same after two thousand cells.
//!
//! ```text
//!   opened    [code ┆ data][code ┆ data][code ┆ data]     two mappings a cell, each of its file: a fork goes through all of them
//!   settled   [code   data  code   data  code   data]     one mapping, of no file: a fork copies two or three pages a cell
//! ```
//!
//! The dynamic linker places small libraries side by side. Each is copied into anonymous memory at the same addresses. The kernel merges
//! that memory with the neighbour's mapping, for which all of it must be readable, writable and executable. Measured: with each cell a
//! fork takes 0.2 us longer instead of 1.8. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use crate::reports::frames::is_of_a_cell;
use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;

/// Larger libraries stay as they are: copying them costs more than it saves.
const BYTES_MAX: usize = 256 << 10;

/// Relocates cells' libraries as they are opened.
#[derive(Debug, Default)]
pub struct Settler {
    /// How many of the process's libraries have been looked at. None is ever closed, and new ones come last.
    seen: usize,
}

/// A walk through the process's libraries.
struct Walk {
    seen: usize,
    at: usize,
}

impl Settler {
    /// Relocates the libraries opened since the last call, before their code runs.
    pub fn settle(&mut self) {
        // Other processors must flush their instruction caches after code was written.
        if !cfg!(target_arch = "x86_64") {
            return;
        }
        let mut walk = Walk { seen: self.seen, at: 0 };
        // SAFETY: `each` expects a pointer to a `Walk`, and `walk` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut walk).cast()) };
        self.seen = walk.at;
    }
}

/// Called under the dynamic linker's lock: no other thread opens a library or reads a library's headers meanwhile.
unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _size: usize, walk: *mut c_void) -> c_int {
    // SAFETY: `settle` gives the linker a pointer to its `Walk`, and the linker passes it on; `info` is the linker's, valid for this call.
    let (walk, info) = unsafe { (&mut *walk.cast::<Walk>(), &*info) };
    walk.at += 1;
    if walk.at <= walk.seen || info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: the linker's own name of the library is a C string, valid for this call.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) };
    if !name.to_str().is_ok_and(is_of_a_cell) {
        return 0;
    }
    // SAFETY: the linker's own list of this library's segments, with its length, valid for this call.
    let segments = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    if let Some(range) = range_of(info.dlpi_addr as usize, segments)
        // SAFETY: the linker has this library open, at this address.
        && !unsafe { runs_when_opened(info.dlpi_addr as usize, segments) }
    {
        // SAFETY: the range is a library's, all of which is mapped. No code in it runs before a cell's function is called, because it has
        // no initialisers, and the lock keeps off every other reader.
        unsafe { renew(range) };
    }
    0
}

/// The pages of a library. `None`: there are holes between them, or there are too many.
fn range_of(base: usize, segments: &[libc::Elf64_Phdr]) -> Option<Range<usize>> {
    let page = rustix::param::page_size();
    let mut range: Option<Range<usize>> = None;
    for segment in segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD) {
        let start = base + segment.p_vaddr as usize;
        let end = (start + segment.p_memsz as usize).next_multiple_of(page);
        let start = start - start % page;
        range = match range {
            None => Some(start..end),
            Some(known) if known.end == start => Some(known.start..end),
            Some(_) => return None,
        };
    }
    range.filter(|range| range.len() <= BYTES_MAX)
}

/// Whether it has initialisers, which may have started threads in its code.
///
/// # Safety
/// The segments must be those of a library that is open at `base`.
unsafe fn runs_when_opened(base: usize, segments: &[libc::Elf64_Phdr]) -> bool {
    const DT_NULL: i64 = 0;
    const DT_INIT: i64 = 12;
    const DT_INIT_ARRAY: i64 = 25;
    let Some(dynamic) = segments.iter().find(|segment| segment.p_type == libc::PT_DYNAMIC) else { return true };
    let entry = (base + dynamic.p_vaddr as usize) as *const [i64; 2];
    for at in 0..dynamic.p_memsz as usize / size_of::<[i64; 2]>() {
        // SAFETY: inside the dynamic section, which is in memory and aligned as the format says.
        match unsafe { *entry.add(at) }[0] {
            DT_NULL => return false,
            DT_INIT | DT_INIT_ARRAY => return true,
            _ => {}
        }
    }
    false
}

/// Replaces these pages by anonymous memory with the same content.
///
/// # Safety
/// The pages must be readable, and no thread may use them meanwhile.
unsafe fn renew(range: Range<usize>) {
    let place = range.start as *mut c_void;
    // SAFETY: readable, and written by no thread meanwhile, as the caller promises.
    let held = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) }.to_vec();
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: only these pages are replaced, and their content is back before any thread uses them.
    let new = unsafe { libc::mmap(place, range.len(), all, how, -1, 0) };
    // A system that refuses such memory leaves the pages as they were.
    if new == place {
        // SAFETY: the new pages are as long as `held` and can be written; `held` is an allocation of its own, so the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(held.as_ptr(), place.cast(), held.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, bytes: u64) -> libc::Elf64_Phdr {
        libc::Elf64_Phdr {
            p_type: libc::PT_LOAD,
            p_flags: 0,
            p_offset: 0,
            p_vaddr: start,
            p_paddr: start,
            p_filesz: bytes,
            p_memsz: bytes,
            p_align: 0x1000,
        }
    }

    #[test]
    fn a_librarys_pages_are_one_range_unless_they_have_holes_or_are_many() {
        let base = 0x7000_0000;
        assert_eq!(range_of(base, &[segment(0, 0x1001), segment(0x2ff0, 0x20)]), Some(base..base + 0x4000));
        assert_eq!(range_of(base, &[segment(0, 0x1000), segment(0x2000, 0x10)]), None);
        assert_eq!(range_of(base, &[segment(0, BYTES_MAX as u64 + 1)]), None);
        assert_eq!(range_of(base, &[]), None);
    }
}
