//! Signals that a thread of this library must not get.

#![allow(unsafe_code)]

/// From here on, writing more than `ulimit -f` allows is an error in this thread, as a full disk is, and does not end the process.
pub fn refuse_large_files_by_error() {
    // SAFETY: `set` is a local that outlives the calls, for which zeros are a value; `sigemptyset` initialises it. The
    // old mask may be null. Only this thread's mask changes.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}
