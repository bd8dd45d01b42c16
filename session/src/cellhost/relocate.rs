//! A cell's library as one mapping with its neighbours, so that a checkpoint costs the same after two thousand cells.
//!
//! ```text
//!   opened    [code ┆ data][code ┆ data][code ┆ data]     two mappings a cell, each its file's: a fork goes through all of them
//!   settled   [code   data  code   data  code   data]     one mapping, nobody's file: a fork copies two or three pages a cell
//! ```
//!
//! The dynamic linker lays small libraries side by side. What lies there is copied into memory of the same addresses that the kernel
//! takes for one mapping with its neighbour's, for which it has to be readable, writable and executable throughout. Measured: a fork
//! takes 0.2 us longer with each cell instead of 1.8. One of this crate's few files with `unsafe`.
#![allow(unsafe_code)]

use crate::reports::frames::is_of_a_cell;
use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;

/// Larger libraries stay as they are: copying them costs more than it gives.
const BYTES_MAX: usize = 256 << 10;

/// Settles cells' libraries as they are opened.
#[derive(Debug, Default)]
pub struct Settler {
    /// So many of the process's libraries have been looked at. None is ever closed, and new ones come last.
    seen: usize,
}

/// A walk through the process's libraries.
struct Walk {
    seen: usize,
    at: usize,
}

impl Settler {
    /// Settles what was opened since it was last called, before anything in there runs.
    pub fn settle(&mut self) {
        // Elsewhere a processor has to be told of code that was written as data.
        if !cfg!(target_arch = "x86_64") {
            return;
        }
        let mut walk = Walk { seen: self.seen, at: 0 };
        // SAFETY: `each` takes the pointer as what it is here, and the walk outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut walk).cast()) };
        self.seen = walk.at;
    }
}

/// While this runs, the dynamic linker's lock is held: nobody opens a library or looks at one's headers.
unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _size: usize, walk: *mut c_void) -> c_int {
    // SAFETY: `settle` hands its `Walk` to the linker, which hands it on; the other pointer is the linker's for this call.
    let (walk, info) = unsafe { (&mut *walk.cast::<Walk>(), &*info) };
    walk.at += 1;
    if walk.at <= walk.seen || info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: the linker's own name of the library.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) };
    if !name.to_str().is_ok_and(is_of_a_cell) {
        return 0;
    }
    // SAFETY: the linker's own list of this library's segments.
    let segments = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    if let Some(range) = range_of(info.dlpi_addr as usize, segments)
        // SAFETY: the linker has this library's dynamic section in memory, at this address.
        && !unsafe { runs_when_opened(info.dlpi_addr as usize, segments) }
    {
        // SAFETY: it is a library's, all of which is mapped; nothing of it runs before a cell's function is called, because it has no
        // initialisers, and the lock keeps off whoever would read it.
        unsafe { renew(range) };
    }
    0
}

/// The pages of a library. None: they have holes between them, or there are many of them.
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

/// Whether it has initialisers, which may have started threads in it.
///
/// # Safety
/// The segments must be those of a library that is open, at `base`.
unsafe fn runs_when_opened(base: usize, segments: &[libc::Elf64_Phdr]) -> bool {
    const DT_NULL: i64 = 0;
    const DT_INIT: i64 = 12;
    const DT_INIT_ARRAY: i64 = 25;
    let Some(dynamic) = segments.iter().find(|segment| segment.p_type == libc::PT_DYNAMIC) else { return true };
    let entry = (base + dynamic.p_vaddr as usize) as *const [i64; 2];
    for at in 0..dynamic.p_memsz as usize / size_of::<[i64; 2]>() {
        // SAFETY: inside of the section, which is in memory and aligned as the format says.
        match unsafe { *entry.add(at) }[0] {
            DT_NULL => return false,
            DT_INIT | DT_INIT_ARRAY => return true,
            _ => {}
        }
    }
    false
}

/// Puts memory of no file in the place of these pages, with what they hold.
///
/// # Safety
/// They must be readable, and nobody may use them meanwhile.
unsafe fn renew(range: Range<usize>) {
    let place = range.start as *mut c_void;
    // SAFETY: readable, as the caller promises.
    let held = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) }.to_vec();
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: only these pages are replaced, and they get back what they held before anybody looks.
    let new = unsafe { libc::mmap(place, range.len(), all, how, -1, 0) };
    // A system that allows no such memory leaves them as they were.
    if new == place {
        // SAFETY: the new pages are as long and can be written; the copy is memory of its own.
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
