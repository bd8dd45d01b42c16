//! A client's buffers: drafts that are being written, and copies that are being read.

use crate::abi::desk::Aligned;
use crate::store::Space;

/// An object that is being written.
#[derive(Debug)]
pub enum Draft {
    /// Small: it will be copied into a slot, or into a task.
    Private(Aligned),
    /// In the arena. The slot says so, in case this process dies.
    Shared {
        /// The slot.
        slot: u32,
        /// Its room.
        space: Space,
        /// How many bytes.
        len: u64,
    },
}

/// Buffers of small drafts and copies, kept for the next one.
#[derive(Debug, Default)]
pub struct Spares(Vec<Aligned>);

/// The most buffers that are kept.
const SPARES_MAX: usize = 32;

impl Spares {
    /// A buffer of `len` bytes. A new one has room for at least `INLINE_BYTES`.
    pub fn take(&mut self, len: usize) -> Aligned {
        let mut spare = self.0.pop().unwrap_or_else(|| Aligned::zeroed(len.max(crate::store::INLINE_BYTES)));
        if !spare.resize(len) {
            spare = Aligned::zeroed(len);
        }
        spare
    }

    /// Takes a buffer back.
    pub fn give(&mut self, aligned: Aligned) {
        if self.0.len() < SPARES_MAX {
            self.0.push(aligned);
        }
    }
}

/// Values that cross the table as a number: their place in a list.
#[derive(Debug)]
pub struct Tokens<T> {
    things: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Tokens<T> {
    fn default() -> Tokens<T> {
        Tokens { things: Vec::new(), free: Vec::new() }
    }
}

impl<T> Tokens<T> {
    /// Keeps a value, under a number that no other value has.
    pub fn insert(&mut self, thing: T) -> u64 {
        if let Some(place) = self.free.pop() {
            self.things[place as usize] = Some(thing);
            return u64::from(place);
        }
        self.things.push(Some(thing));
        self.things.len() as u64 - 1
    }

    /// Whether there is a value of this number.
    pub fn has(&self, token: u64) -> bool {
        usize::try_from(token).is_ok_and(|place| self.things.get(place).is_some_and(Option::is_some))
    }

    /// Takes the value.
    pub fn remove(&mut self, token: u64) -> Option<T> {
        let place = u32::try_from(token).ok()?;
        let thing = self.things.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(thing)
    }

    /// Keeps only the values for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for (place, thing) in (0..).zip(&mut self.things) {
            if thing.as_ref().is_some_and(|thing| !keep(thing)) {
                *thing = None;
                self.free.push(place);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_spare_buffer_is_used_again_for_whatever_fits() {
        let mut spares = Spares::default();
        let first = spares.take(8);
        let at = first.ptr();
        spares.give(first);
        let second = spares.take(100);
        assert_eq!((second.ptr(), second.bytes().len()), (at, 100));
    }

    #[test]
    fn two_things_never_have_the_same_token() {
        let mut tokens = Tokens::default();
        let (a, b) = (tokens.insert('a'), tokens.insert('b'));
        assert_ne!(a, b);
        assert_eq!((tokens.remove(a), tokens.remove(a)), (Some('a'), None));
        tokens.insert('c');
        tokens.retain(|thing| *thing != 'b');
        assert_eq!(tokens.remove(b), None);
        assert_eq!(tokens.remove(u64::MAX), None);
    }
}
