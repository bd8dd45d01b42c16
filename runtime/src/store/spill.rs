//! Objects on disk: files for bytes that no process reads when memory runs short.
//!
//! ```text
//!   the oldest object without readers ─▶ copied into the file ─▶ Dying, no pin ─▶ Sealed, on disk ─▶ its room is free
//!   a process wants it ─▶ room ─▶ copied back ─▶ Dying ─▶ Sealed, in the arena
//! ```
//!
//! The files are few, large and without names, written from front to back. They end with the head, however it ends. Bytes that are no
//! longer wanted become a hole in their file, where the file system can do that. A file goes when nothing in it is wanted.
//!
//! # Invariants
//! - An object's bytes are copied while it is sealed, so they do not change. If it was freed meanwhile, its generation shows that and the
//!   copy is thrown away.
//! - A position is used once, and is in one file only. No more is wanted of a file than was written into it.

use super::objects::Body;
use super::seat::Seat;
use super::segment::Segment;
use super::word::{Flags, State, Step};
use super::{Id, Space};
use crate::sync::{Ordering, fence};
use rustix::fs::FallocateFlags;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

/// A file is ended when it has this many bytes.
const FILE_BYTES: u64 = 256 << 20;

#[derive(Debug)]
struct Piece {
    file: File,
    used: u64,
    wanted: u64,
}

/// All spill files.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    /// Whether the last file lies in another folder.
    is_moved: bool,
    /// By the position of their first byte among all bytes that were ever spilled.
    pieces: BTreeMap<u64, Piece>,
    /// How many bytes are wanted at each position, and their checksum.
    wanted: BTreeMap<u64, (u64, u32)>,
    end: u64,
}

impl Spill {
    /// Files in this folder; there are none yet.
    pub fn new(folder: PathBuf) -> Spill {
        Spill { folder, is_moved: false, pieces: BTreeMap::new(), wanted: BTreeMap::new(), end: 0 }
    }

    /// Where the files lie.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// From now on, new files lie in this folder.
    pub fn set_folder(&mut self, folder: PathBuf) {
        if self.folder != folder {
            self.folder = folder;
            self.is_moved = true;
        }
    }

    /// The number of wanted bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.pieces.values().map(|piece| piece.wanted).sum()
    }

    /// Has `len` bytes of this checksum written: `save` writes them into a file, from the given offset on. Returns their position.
    ///
    /// # Errors
    /// What the system said; `ENOSPC` among others.
    pub fn write(
        &mut self,
        len: u64,
        checksum: u32,
        save: impl FnOnce(&File, u64) -> std::io::Result<()>,
    ) -> std::io::Result<u64> {
        let fits = self.pieces.last_key_value().is_some_and(|(_, piece)| piece.used + len <= FILE_BYTES);
        if !fits || self.is_moved {
            std::fs::create_dir_all(&self.folder)?;
            let file = tempfile::tempfile_in(&self.folder)?;
            // Two files never touch, so that a position is in one file only.
            self.end += 1;
            self.pieces.insert(self.end, Piece { file, used: 0, wanted: 0 });
            self.is_moved = false;
        }
        let (&start, _) = self.pieces.last_key_value().ok_or(std::io::ErrorKind::NotFound)?;
        let piece = self.pieces.get_mut(&start).ok_or(std::io::ErrorKind::NotFound)?;
        let at = piece.used;
        if let Err(error) = save(&piece.file, at) {
            // The part that was written is not wanted.
            let _ = piece.file.set_len(at);
            if piece.wanted == 0 {
                self.pieces.remove(&start);
            }
            return Err(error);
        }
        piece.used += len;
        piece.wanted += len;
        self.wanted.insert(start + at, (len, checksum));
        self.end = self.end.max(start + piece.used);
        #[cfg(debug_assertions)]
        self.check(start + at);
        Ok(start + at)
    }

    /// Has bytes read back: `load` reads them from a file, from the given offset on.
    ///
    /// # Errors
    /// What the system said.
    pub fn read(&self, position: u64, load: impl FnOnce(&File, u64) -> std::io::Result<()>) -> std::io::Result<()> {
        let (start, piece) = self.pieces.range(..=position).next_back().ok_or(std::io::ErrorKind::NotFound)?;
        load(&piece.file, position - start)
    }

    /// The checksum of the bytes at this position.
    pub fn checksum(&self, position: u64) -> Option<u32> {
        self.wanted.get(&position).map(|(_, checksum)| *checksum)
    }

    /// Drops bytes that are no longer wanted. A second call for the same bytes does nothing.
    pub fn forget(&mut self, position: u64, len: u64) {
        if self.wanted.get(&position).is_none_or(|(wanted, _)| *wanted != len) {
            return;
        }
        self.wanted.remove(&position);
        let Some((&start, piece)) = self.pieces.range_mut(..=position).next_back() else { return };
        debug_assert!(piece.wanted >= len, "what is wanted is counted in its file");
        piece.wanted = piece.wanted.saturating_sub(len);
        if piece.wanted == 0 {
            self.pieces.remove(&start);
        } else {
            // Where the file system cannot do that, the end of the file gives the room back.
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(&piece.file, hole, position - start, len);
        }
    }

    /// Panics when an invariant of this file does not hold around the bytes at `position`, which have just been written.
    #[cfg(debug_assertions)]
    fn check(&self, position: u64) {
        let ends = |(at, (len, _)): (&u64, &(u64, u32))| at + len;
        let last = self.wanted.last_key_value().map(|(at, _)| *at);
        assert_eq!(last, Some(position), "positions only go up");
        let before = self.wanted.range(..position).next_back().map_or(0, ends);
        assert!(before <= position, "no byte on disk is two objects'");
        let mut newest = self.pieces.iter().rev();
        let piece = newest.next().expect("what is written is in a file");
        assert!(piece.1.wanted <= piece.1.used, "no more is wanted of a file than was written into it");
        let before = newest.next().map_or(0, |(start, piece)| start + piece.used);
        assert!(before < *piece.0 && position >= *piece.0, "two files never touch");
        assert_eq!(self.end, piece.0 + piece.1.used, "the end is where the newest file ends");
    }

    /// Forgets bytes that no object has any more: a process may have freed the object and died before it told the head.
    pub fn keep_what_is_had(&mut self, segment: &Segment) {
        if self.wanted.is_empty() {
            return;
        }
        let had = segment.spilled();
        let lost: Vec<(u64, u64)> =
            self.wanted.iter().map(|(at, (len, _))| (*at, *len)).filter(|(at, _)| !had.contains(at)).collect();
        lost.into_iter().for_each(|(position, len)| self.forget(position, len));
    }
}

impl Segment {
    /// The positions of all objects that are on disk.
    fn spilled(&self) -> HashSet<u64> {
        let slots = (1..self.slots_used()).map(|index| self.slot(index));
        let spilled = slots.filter(|slot| slot.word().flags().contains(Flags::SPILLED));
        spilled.map(|slot| slot.offset.load(Ordering::Relaxed)).collect()
    }

    /// Moves an object to `to`, where the head has copied its bytes. False when a process reads the old bytes, or the object is gone; then
    /// nothing has changed.
    pub fn move_bytes(&self, id: Id, to: Body, home: Option<Space>) -> bool {
        let slot = self.slot(id.slot());
        let word = slot.word();
        let Some(dying) = word.after(Step::Condemn { by: Seat::HEAD }) else { return false };
        if word.generation() != id.generation() || word.state() != State::Sealed || slot.swap(word, dying).is_err() {
            return false;
        }
        // Pairs with the fence in `settled`: this call sees the pin, or the pinning process waits until this is over.
        fence(Ordering::SeqCst);
        if !slot.pins.is_empty() {
            self.spare(id, Seat::HEAD);
            return false;
        }
        let (offset, place) = match to {
            Body::Arena { offset, .. } => (offset, Flags::ARENA),
            Body::Spilled { offset, .. } => (offset, Flags::SPILLED),
            Body::Inline { .. } | Body::Failed => {
                self.spare(id, Seat::HEAD);
                return false;
            }
        };
        let left = word.flags().contains(Flags::ARENA).then(|| slot.home.load(Ordering::Relaxed));
        slot.offset.store(offset, Ordering::Relaxed);
        if let Some(space) = home {
            slot.home.store(space.home, Ordering::Relaxed);
        }
        let flags = word.flags().difference(Flags::ARENA | Flags::SPILLED) | place;
        let moved =
            dying.after(Step::Move { by: Seat::HEAD, flags }).is_some_and(|moved| slot.swap(dying, moved).is_ok());
        if let (Some(home), true) = (left, moved) {
            self.leave(Seat::HEAD, home);
        }
        moved
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    fn write(spill: &mut Spill, bytes: &[u8]) -> u64 {
        spill.write(bytes.len() as u64, 0, |file, at| file.write_all_at(bytes, at)).unwrap()
    }

    #[test]
    fn what_is_not_wanted_any_more_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(folder.path().to_owned());
        let positions: Vec<u64> = (0..8).map(|_| write(&mut spill, &[1; 1 << 20])).collect();
        let taken = |spill: &Spill| spill.pieces.values().next().unwrap().file.metadata().unwrap().blocks() * 512;
        assert!(taken(&spill) >= 8 << 20);
        positions[..7].iter().for_each(|position| spill.forget(*position, 1 << 20));
        assert!(taken(&spill) < 2 << 20, "{} bytes", taken(&spill));
        let mut read = [0; 9];
        spill.read(positions[7], |file, at| file.read_exact_at(&mut read, at)).unwrap();
        assert_eq!(read, [1; 9]);
    }

    #[test]
    fn another_folder_is_for_new_files() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut spill = Spill::new(first.path().to_owned());
        let before = write(&mut spill, b"before");
        spill.set_folder(second.path().join("new"));
        let after = write(&mut spill, b"after");
        assert!(second.path().join("new").is_dir() && spill.pieces.len() == 2);
        for (position, expected) in [(before, "before"), (after, "after")] {
            let mut read = vec![0; expected.len()];
            spill.read(position, |file, at| file.read_exact_at(&mut read, at)).unwrap();
            assert_eq!(read, expected.as_bytes());
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_file_goes_with_its_last_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(folder.path().join("spill"));
        let (first, second) = (write(&mut spill, b"one"), write(&mut spill, b"three"));
        let mut read = [0; 5];
        spill.read(second, |file, at| file.read_exact_at(&mut read, at)).unwrap();
        assert_eq!(&read, b"three");
        spill.forget(first, 3);
        assert_eq!((spill.bytes(), spill.pieces.len()), (5, 1));
        spill.forget(second, 5);
        assert!(spill.pieces.is_empty());
        spill.forget(second, 5);
        assert!(write(&mut spill, b"again") > second, "positions are not used twice");
        assert_eq!(std::fs::read_dir(spill.folder()).unwrap().count(), 0, "files have no names");
    }
}
