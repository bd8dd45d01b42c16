//! The kernel's signal to a worker that has written something; see `worker/output.rs`.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

/// `struct f_owner_ex` and its kind, of `<fcntl.h>`.
#[repr(C)]
struct Owner {
    kind: i32,
    id: i32,
}

const F_SETOWN_EX: i32 = 15;
const F_OWNER_TID: i32 = 0;

/// Has the kernel send `SIGIO` to the main thread of process `pid` whenever something is put into the pipe. False when
/// the kernel cannot.
pub fn tell_writer(read_end: impl AsFd, pid: u32) -> bool {
    let fd = read_end.as_fd().as_raw_fd();
    let owner = Owner { kind: F_OWNER_TID, id: pid as i32 };
    // SAFETY: `fd` is open, and `owner` is the structure that this command reads.
    if unsafe { libc::fcntl(fd, F_SETOWN_EX, &raw const owner) } != 0 {
        return false;
    }
    // SAFETY: `fd` is open; the command takes no pointer.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: as above.
    flags >= 0 && unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC) } == 0
}
