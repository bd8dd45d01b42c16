//! Bytes and descriptors over unix sockets, for the runtime and for sessions, which do not import each other.
//!
//! Every function here is non-blocking unless it says otherwise, sets close-on-exec, raises no `SIGPIPE`, and retries
//! after a signal.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The most descriptors that travel beside one message.
pub const FDS_MAX: usize = 4;

/// A connected pair of unix sockets.
///
/// # Errors
/// The system's error.
pub fn pair(kind: SocketType) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

/// Sends bytes, with descriptors beside the first one. Without `wait`, it sends what fits now, or fails with `EAGAIN`.
///
/// # Errors
/// The system's error; `EINVAL` for more than [`FDS_MAX`] descriptors.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>], wait: bool) -> rustix::io::Result<usize> {
    // The control buffer does not check this, because its space is rounded up.
    if fds.len() > FDS_MAX {
        return Err(Errno::INVAL);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::DONTWAIT, !wait);
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags))
}

/// Sends what fits now; fails with `EAGAIN` when nothing fits.
///
/// # Errors
/// The system's error.
pub fn send_bytes(socket: impl AsFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::net::send(&socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
}

/// Receives bytes, and appends the descriptors that came with them to `fds`. 0 bytes mean that the other end is closed.
/// Without `wait`, it fails with `EAGAIN` when nothing has arrived.
///
/// # Errors
/// The system's error.
pub fn receive(socket: impl AsFd, bytes: &mut [u8], fds: &mut Vec<OwnedFd>, wait: bool) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, !wait);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut control, flags)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(received.bytes)
}

/// Blocks until the descriptor is ready or the deadline has passed; returns whether it is ready.
///
/// # Errors
/// The system's error.
pub fn wait_ready(fd: impl AsFd, events: PollFlags, deadline: Option<Instant>) -> rustix::io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match rustix::event::poll(&mut [PollFd::new(&fd, events)], left.as_ref()) {
            Err(Errno::INTR) => {}
            done => return Ok(done? > 0),
        }
    }
}

/// A duration as the kernel's `timespec`.
pub fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().min(i32::MAX as u64) as i64, tv_nsec: duration.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_travels_beside_the_bytes() {
        let (here, there) = pair(SocketType::STREAM).unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send(&here, b"take this", &[write.as_fd()], true).unwrap();
        drop(write);
        let (mut bytes, mut fds) = ([0; 32], Vec::new());
        assert_eq!(receive(&there, &mut bytes, &mut fds, true).unwrap(), 9);
        rustix::io::write(&fds[0], b"x").unwrap();
        assert_eq!(rustix::io::read(&read, &mut bytes).unwrap(), 1);
    }

    #[test]
    fn more_descriptors_than_may_travel_are_refused() {
        let (here, _there) = pair(SocketType::STREAM).unwrap();
        let too_many = [here.as_fd(); FDS_MAX + 1];
        assert_eq!(send(&here, b"x", &too_many, false), Err(Errno::INVAL));
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (here, _there) = pair(SocketType::STREAM).unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(!wait_ready(&here, PollFlags::IN, Some(soon)).unwrap());
        assert!(Instant::now() >= soon);
    }
}
