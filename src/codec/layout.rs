//! The byte layout of an object.
//!
//! ```text
//!  0  magic "mobu" │ 4 version u32 │ 8 body length u64 │ 16 buffers u32 │ 20 zero u32
//! 24  (offset u64, length u64) for each buffer
//!     body
//!     each buffer at a multiple of 64
//! ```
//!
//! Numbers have the machine's byte order, because an object never leaves the machine. An object begins at a multiple of
//! 64 in memory, so a buffer does too.

use super::DecodeError;
use std::ops::Range;

/// The alignment of every buffer: a cache line, and enough for any vector instruction.
pub(super) const ALIGN: usize = 64;

/// The length of an object's header.
pub(super) const HEADER: usize = 24;

const MAGIC: [u8; 4] = *b"mobu";
const VERSION: u32 = 1;
const ENTRY: usize = 16;

const SHORT: DecodeError = DecodeError::Damaged("it ends too early");

/// The header of an object with a body of this length and this many buffers.
pub(super) fn header(body: usize, buffers: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_ne_bytes());
    header[8..16].copy_from_slice(&(body as u64).to_ne_bytes());
    header[16..20].copy_from_slice(&(buffers as u32).to_ne_bytes());
    header
}

/// A buffer's entry in the table.
pub(super) fn entry(offset: usize, len: usize) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..8].copy_from_slice(&(offset as u64).to_ne_bytes());
    entry[8..].copy_from_slice(&(len as u64).to_ne_bytes());
    entry
}

/// The offset of the entry of buffer `number`.
pub(super) fn entry_at(number: usize) -> usize {
    HEADER + number * ENTRY
}

/// The offset of the body in an object with this many buffers: behind the last entry.
pub(super) fn body_at(buffers: usize) -> usize {
    entry_at(buffers)
}

/// The offset of the next buffer, when the data before it ends at `end`.
pub(super) fn buffer_at(end: usize) -> usize {
    end.next_multiple_of(ALIGN)
}

/// The parts of an object that was read.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) body: Range<usize>,
    /// The number of buffers.
    pub(super) buffers: usize,
}

/// Finds an object's parts. The body's range lies inside `object`, and so does every range that [`Parts::buffer`]
/// returns for the same bytes.
pub(super) fn parse(object: &[u8]) -> Result<Parts, DecodeError> {
    if object.get(..4) != Some(&MAGIC) {
        return Err(DecodeError::NotAnObject);
    }
    let version = word32(object, 4).ok_or(SHORT)?;
    if version != VERSION {
        return Err(DecodeError::Version { found: version, expected: VERSION });
    }
    let body_len = word(object, 8).ok_or(SHORT)?;
    // The count has 32 bits, so this cannot overflow.
    let buffers = word32(object, 16).ok_or(SHORT)? as usize;
    let start = body_at(buffers);
    let end = start.checked_add(body_len).filter(|end| *end <= object.len()).ok_or(SHORT)?;
    let parts = Parts { body: start..end, buffers };
    for number in 0..buffers {
        parts.buffer(object, number)?;
    }
    Ok(parts)
}

impl Parts {
    /// The range of a buffer. Reads the table again instead of keeping a list, and so checks the entry again.
    pub(super) fn buffer(&self, object: &[u8], number: usize) -> Result<Range<usize>, DecodeError> {
        let at = entry_at(number);
        if number >= self.buffers {
            return Err(DecodeError::Damaged("an array is missing"));
        }
        let (offset, len) = (word(object, at).ok_or(SHORT)?, word(object, at + 8).ok_or(SHORT)?);
        let end = offset.checked_add(len).filter(|end| *end <= object.len()).ok_or(SHORT)?;
        if offset < self.body.end || !offset.is_multiple_of(ALIGN) {
            return Err(DecodeError::Damaged("an array's offset is invalid"));
        }
        Ok(offset..end)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?);
    usize::try_from(word).ok()
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An object with an empty body of 8 bytes and buffers of these lengths, and the ranges of the buffers.
    fn object(lens: &[usize]) -> (Vec<u8>, Vec<Range<usize>>) {
        let mut object = header(8, lens.len()).to_vec();
        let mut end = body_at(lens.len()) + 8;
        let mut places = Vec::new();
        for len in lens {
            let start = buffer_at(end);
            object.extend_from_slice(&entry(start, *len));
            end = start + len;
            places.push(start..end);
        }
        object.resize(end, 0);
        (object, places)
    }

    #[test]
    fn what_is_written_is_found_again() {
        let (object, places) = object(&[100, 0, 64]);
        let parts = parse(&object).unwrap();
        assert_eq!((parts.body.clone(), parts.buffers), (72..80, 3));
        let found: Vec<_> = (0..3).map(|number| parts.buffer(&object, number).unwrap()).collect();
        assert_eq!(found, places);
        assert_eq!(found, [128..228, 256..256, 256..320]);
        assert!(parts.buffer(&object, 3).is_err());
    }

    #[test]
    fn lengths_that_overflow_or_overlap_are_refused() {
        let (object, _) = object(&[64]);
        for (at, value) in [(8, u64::MAX), (8, 1000), (24, 1), (24, 0), (24, u64::MAX - 63), (32, u64::MAX), (32, 65)] {
            let mut damaged = object.clone();
            damaged[at..at + 8].copy_from_slice(&value.to_ne_bytes());
            assert!(parse(&damaged).is_err(), "{value} at {at}");
        }
        let mut greedy = object.clone();
        greedy[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(parse(&greedy).is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_all_parts_lie_inside(
            lens in prop::collection::vec(0..200_usize, 0..4),
            writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 1..9_usize), 0..6),
            len in prop::option::weighted(0.3, 0..400_usize),
        ) {
            let (mut bytes, places) = object(&lens);
            for (at, value, len) in &writes {
                // Most of the writes hit the header and the table.
                let at = if len % 2 == 0 { at.index(bytes.len()) } else { at.index(body_at(lens.len())) };
                let until = (at + len).min(bytes.len());
                bytes[at..until].copy_from_slice(&value.to_ne_bytes()[..until - at]);
            }
            bytes.resize(len.unwrap_or(bytes.len()), 0);
            let Ok(parts) = parse(&bytes) else { return Ok(()) };
            prop_assert!(body_at(parts.buffers) <= parts.body.start && parts.body.end <= bytes.len());
            for number in 0..parts.buffers {
                let place = parts.buffer(&bytes, number).unwrap();
                prop_assert!(parts.body.end <= place.start && place.start <= place.end && place.end <= bytes.len());
                prop_assert!(place.start.is_multiple_of(ALIGN));
                prop_assert!(!writes.is_empty() || places.get(number) == Some(&place));
            }
            prop_assert!(parts.buffer(&bytes, parts.buffers).is_err());
            // The bytes may change after they were parsed.
            bytes.fill(0xff);
            prop_assert!((0..parts.buffers).all(|number| parts.buffer(&bytes, number).is_err()));
        }
    }

    #[test]
    fn an_entry_that_changed_after_it_was_checked_is_checked_again() {
        let (mut object, _) = object(&[64]);
        let parts = parse(&object).unwrap();
        object[32..40].copy_from_slice(&65_u64.to_ne_bytes());
        assert!(parts.buffer(&object, 0).is_err());
    }
}
