//! Packets with descriptors on their way to a process that may not read just now. Nothing here ever blocks.

use mobula_fds as fds;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Packets that the other end has yet to take, the oldest first.
#[derive(Debug, Default)]
pub struct Packets {
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    stuck_since: Option<Instant>,
}

impl Packets {
    /// Queues a packet.
    pub fn push(&mut self, bytes: Vec<u8>, beside: Vec<OwnedFd>) {
        self.waiting.push_back((bytes, beside));
    }

    /// Sends what the socket takes; the socket keeps the bounds between packets.
    ///
    /// # Errors
    /// The other end is closed, or the system refuses.
    pub fn flush(&mut self, socket: impl AsFd) -> rustix::io::Result<()> {
        let before = self.waiting.len();
        while let Some((bytes, beside)) = self.waiting.front() {
            let beside: Vec<BorrowedFd<'_>> = beside.iter().map(AsFd::as_fd).collect();
            match fds::send(&socket, bytes, &beside, false) {
                Err(Errno::AGAIN) => break,
                sent => sent.map(drop)?,
            }
            self.waiting.pop_front();
        }
        let is_new = self.stuck_since.is_none() || self.waiting.len() < before;
        if self.waiting.is_empty() {
            self.stuck_since = None;
        } else if is_new {
            self.stuck_since = Some(Instant::now());
        }
        Ok(())
    }

    /// Since when the other end has taken nothing, while something waits.
    pub fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use rustix::net::SocketType;

    #[test]
    fn whoever_does_not_read_holds_nobody_up_and_gets_each_packet_with_its_descriptors_later() {
        let (here, there) = fds::pair(SocketType::SEQPACKET).unwrap();
        let mut packets = Packets::default();
        const COUNT: u32 = 10_000;
        for number in 0..COUNT {
            let beside = if number == 0 { vec![rustix::io::dup(&there).unwrap()] } else { Vec::new() };
            packets.push(number.to_le_bytes().to_vec(), beside);
        }
        packets.flush(&here).unwrap();
        let stuck = packets.stuck_since().expect("so many do not fit");
        for number in 0..COUNT {
            let (mut bytes, mut beside) = ([0; 8], Vec::new());
            assert_eq!(fds::receive(&there, &mut bytes, &mut beside, true).unwrap(), 4);
            assert_eq!((&bytes[..4], beside.len()), (&number.to_le_bytes()[..], usize::from(number == 0)));
            packets.flush(&here).unwrap();
            assert!(packets.stuck_since().is_none_or(|since| since >= stuck));
        }
        assert_eq!(packets.stuck_since(), None);
        drop(there);
        packets.push(vec![1], Vec::new());
        assert!(packets.flush(&here).is_err());
    }
}
