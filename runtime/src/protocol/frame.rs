//! Frames: the boundaries of messages on a stream.
//!
//! ```text
//!   │ length: u32, little endian │ postcard bytes │ length │ …
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame in bytes, without its length field. Larger data belongs in the store.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

const HEADER: usize = 4;

/// A buffer that a long frame has made larger than this is freed once it is empty.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Why bytes are not a frame, or a message cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("a message of {len} bytes is longer than the limit of {FRAME_BYTES_MAX} bytes")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The bytes are not the expected message.
    #[error("a message does not decode")]
    Malformed(#[from] postcard::Error),
}

/// Appends `message` to `out` as one frame. On an error `out` is unchanged.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn encode(message: &impl Serialize, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let written = postcard::to_io(message, &mut *out).map(drop);
    let len = out.len() - start - HEADER;
    let refusal = match written {
        Err(error) => Some(FrameError::Malformed(error)),
        Ok(()) if len > FRAME_BYTES_MAX => Some(FrameError::TooLong { len }),
        Ok(()) => None,
    };
    if let Some(error) = refusal {
        out.truncate(start);
        return Err(error);
    }
    out[start..start + HEADER].copy_from_slice(&(len as u32).to_le_bytes());
    Ok(())
}

/// Turns arriving bytes into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes `start..end` have arrived and are not decoded. The bytes after `end` are room for more.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Decoder {
    /// Room for at least `bytes` more bytes. Report with [`Decoder::arrived`] how many of them were filled.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT_BYTES_MAX {
                self.buffer = Vec::new();
            }
        } else if self.start > 0 && self.buffer.len() - self.end < bytes {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < bytes {
            self.buffer.resize(self.end + bytes, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Marks the first `bytes` bytes of [`Decoder::room`] as filled.
    pub fn arrived(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// The next message, or `None` while it is incomplete.
    ///
    /// # Errors
    /// The stream cannot be decoded from here on; do not call again.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some((header, rest)) = self.buffer[self.start..self.end].split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*header) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { len });
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        let (message, left) = postcard::take_from_bytes::<T>(frame)?;
        if !left.is_empty() {
            return Err(FrameError::Malformed(postcard::Error::DeserializeBadEncoding));
        }
        self.start += HEADER + len;
        Ok(Some(message))
    }

    /// How many bytes the current frame still needs, or 0 when its length has not arrived.
    pub fn missing(&self) -> usize {
        match self.buffer[self.start..self.end].split_first_chunk::<HEADER>() {
            Some((header, rest)) => {
                (u32::from_le_bytes(*header) as usize).min(FRAME_BYTES_MAX).saturating_sub(rest.len())
            }
            None => 0,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::protocol::{Held, ObjectId, Role, SessionId, Takeover, ToHead};
    use crate::store::Seat;

    fn feed(decoder: &mut Decoder, bytes: &[u8]) {
        decoder.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        decoder.arrived(bytes.len());
    }

    fn hello(ids: &[u64]) -> ToHead {
        let held = ids.iter().map(|id| Held { id: ObjectId(*id), pinned: false }).collect();
        ToHead::Hello {
            version: 1,
            role: Role::Driver,
            pid: 7,
            session: SessionId(2),
            takeover: Some(Takeover { seat: Seat(3), cell: 2, held }),
        }
    }

    #[test]
    fn frames_survive_any_cut() {
        let messages = [hello(&[1]), hello(&[]), hello(&[1, u64::MAX, 3])];
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| encode(message, &mut bytes).unwrap());
        for piece in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(piece) {
                feed(&mut decoder, chunk);
                while let Some(message) = decoder.take::<ToHead>().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages, "pieces of {piece} bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_read() {
        let mut decoder = Decoder::default();
        feed(&mut decoder, &u32::MAX.to_le_bytes());
        assert_eq!(decoder.take::<ToHead>(), Err(FrameError::TooLong { len: u32::MAX as usize }));
    }

    #[test]
    fn nonsense_and_left_over_bytes_are_errors_and_not_panics() {
        let mut decoder = Decoder::default();
        feed(&mut decoder, &[3, 0, 0, 0, 0xff, 0xff, 0xff]);
        assert!(decoder.take::<ToHead>().is_err());

        let mut bytes = Vec::new();
        encode(&hello(&[]), &mut bytes).unwrap();
        bytes.push(0);
        bytes[0] += 1;
        let mut decoder = Decoder::default();
        feed(&mut decoder, &bytes);
        assert!(decoder.take::<ToHead>().is_err());
    }

    #[test]
    fn a_message_that_is_too_long_leaves_the_buffer_alone() {
        let mut out = vec![7];
        let long = vec![0u8; FRAME_BYTES_MAX + 1];
        assert!(matches!(encode(&long, &mut out), Err(FrameError::TooLong { .. })));
        assert_eq!(out, [7]);
    }
}
