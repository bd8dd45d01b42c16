//! Where the parts of an object are: the one place that knows its bytes.
//!
//! ```text
//!  0  magic "mobu" │ 4 version u32 │ 8 body length u64 │ 16 buffers u32 │ 20 zero u32
//! 24  (offset u64, length u64) for each buffer
//!     body
//!     each buffer at a multiple of 64
//! ```
//!
//! Numbers are in the machine's order: an object never leaves the machine. An object begins at a multiple of 64 in memory,
//! so a buffer does too.

use super::DecodeError;
use std::ops::Range;

/// What every buffer's offset is a multiple of: a cache line, and enough for any vector instruction.
pub(super) const ALIGN: usize = 64;

const MAGIC: [u8; 4] = *b"mobu";
const VERSION: u32 = 1;
const HEADER: usize = 24;
const ENTRY: usize = 16;

/// The places of an object about to be written.
pub(super) struct Plan {
    /// The object's length.
    pub(super) total: usize,
    /// Where each buffer begins.
    pub(super) offsets: Vec<usize>,
}

/// The places in an object that was read.
pub(super) struct Parts {
    pub(super) body: Range<usize>,
    pub(super) buffers: Vec<Range<usize>>,
}

/// Lays an object out. Returns its first bytes (header and table), which the body follows, and the rest of the plan.
pub(super) fn plan(body: usize, buffers: impl ExactSizeIterator<Item = usize>) -> (Vec<u8>, Plan) {
    let count = buffers.len();
    let prefix_len = HEADER + count * ENTRY;
    let mut prefix = Vec::with_capacity(prefix_len);
    prefix.extend_from_slice(&MAGIC);
    prefix.extend_from_slice(&VERSION.to_ne_bytes());
    prefix.extend_from_slice(&(body as u64).to_ne_bytes());
    prefix.extend_from_slice(&(count as u32).to_ne_bytes());
    prefix.extend_from_slice(&0_u32.to_ne_bytes());
    let mut total = prefix_len + body;
    let mut offsets = Vec::with_capacity(count);
    for len in buffers {
        let offset = total.next_multiple_of(ALIGN);
        prefix.extend_from_slice(&(offset as u64).to_ne_bytes());
        prefix.extend_from_slice(&(len as u64).to_ne_bytes());
        offsets.push(offset);
        total = offset + len;
    }
    (prefix, Plan { total, offsets })
}

/// Finds an object's parts. Every range it returns lies inside `object`.
pub(super) fn parse(object: &[u8]) -> Result<Parts, DecodeError> {
    if object.get(..4) != Some(&MAGIC) {
        return Err(DecodeError::NotAnObject);
    }
    let short = DecodeError::Damaged("it ends too early");
    let version = word32(object, 4).ok_or(short.clone())?;
    if version != VERSION {
        return Err(DecodeError::Version { found: version, expected: VERSION });
    }
    let body_len = word(object, 8).ok_or(short.clone())?;
    let count = word32(object, 16).ok_or(short.clone())? as usize;
    // Before anything is allocated for `count` entries, they must be there. A count is 32 bits: this cannot overflow.
    let body_start = HEADER + count * ENTRY;
    let body_end = body_start.checked_add(body_len).filter(|end| *end <= object.len()).ok_or(short.clone())?;
    let mut buffers = Vec::with_capacity(count);
    for index in 0..count {
        let at = HEADER + index * ENTRY;
        let (offset, len) = (word(object, at).ok_or(short.clone())?, word(object, at + 8).ok_or(short.clone())?);
        let end = offset.checked_add(len).filter(|end| *end <= object.len()).ok_or(short.clone())?;
        if offset < body_end || !offset.is_multiple_of(ALIGN) {
            return Err(DecodeError::Damaged("an array is not where arrays are"));
        }
        buffers.push(offset..end);
    }
    Ok(Parts { body: body_start..body_end, buffers })
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

    #[test]
    fn what_is_planned_is_found_again() {
        let (prefix, plan) = plan(10, [100, 0, 64].into_iter());
        let mut object = prefix.clone();
        object.resize(plan.total, 0);
        let parts = parse(&object).unwrap();
        assert_eq!(parts.body, prefix.len()..prefix.len() + 10);
        let found: Vec<_> = parts.buffers.iter().map(|range| (range.start, range.len())).collect();
        assert_eq!(found, [(128, 100), (256, 0), (256, 64)]);
        assert_eq!(plan.offsets, [128, 256, 256]);
    }

    #[test]
    fn lengths_that_overflow_or_overlap_are_refused() {
        let (prefix, plan) = plan(8, [64].into_iter());
        let mut object = prefix;
        object.resize(plan.total, 0);
        for (at, value) in [(8, u64::MAX), (8, 1000), (24, 1), (24, 0), (24, u64::MAX - 63), (32, u64::MAX), (32, 65)] {
            let mut damaged = object.clone();
            damaged[at..at + 8].copy_from_slice(&value.to_ne_bytes());
            assert!(parse(&damaged).is_err(), "{value} at {at}");
        }
        let mut greedy = object.clone();
        greedy[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(parse(&greedy).is_err());
    }
}
