//! Signals that a thread of a library must not get.

#![allow(unsafe_code)]

/// From here on, writing more than `ulimit -f` allows is an error in this thread, as a full disk is, and does not end the process.
pub fn refuse_large_files_by_error() {
    // SAFETY: both calls fill or read a set of ours, and change which signals this thread alone waits with.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}
