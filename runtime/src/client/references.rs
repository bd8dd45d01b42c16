//! A client's private counts of its references and pins.
//!
//! ```text
//!   absent ──first reference: Add──▶ counted(1, 2, …) ──last one given back──▶ absent: Remove
//!                                        ▲                      │ while a cell runs, if it is older than the cell
//!                                        └──── taken again ── kept back ──the cell is final──▶ absent: Remove
//! ```
//!
//! Other processes see two bits per process: whether it refers to the object, and whether it reads its bytes. From the begin of a cell until
//! it is final, last references and pins that are older than the cell are kept back: so long, a twin may come back that still has them. The
//! twin does not know what the cell itself made or began to read. That is released at once, so a cell can work its way through more than
//! the store holds.
//!
//! There is one entry per slot, found by the slot's number, so a count goes up and down in a few nanoseconds.

use crate::protocol::{Held, ObjectId};

/// What other processes must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// This process has the object now.
    Add,
    /// This process has the object no longer.
    Remove,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    generation: u32,
    count: u32,
    pins: u32,
    /// The period in which this process got to know the object.
    since: u32,
    /// The period in which this process began to read its bytes.
    pinned_since: u32,
    is_kept: bool,
    is_pin_kept: bool,
}

/// All references of a process.
#[derive(Debug, Default)]
pub struct Handles {
    entries: Vec<Entry>,
    /// Objects with a reference or a pin that is kept back, and some that were taken again since.
    kept: Vec<ObjectId>,
    /// Goes up when a cell begins.
    period: u32,
    /// Whether a cell has begun and is not final.
    keeps_back: bool,
    /// Whether it has given back all references.
    forgot: bool,
}

impl Handles {
    fn entry(&mut self, id: ObjectId) -> &mut Entry {
        let index = id.slot() as usize;
        if index >= self.entries.len() {
            self.entries.resize((index + 1).next_power_of_two().max(1024), Entry::default());
        }
        let entry = &mut self.entries[index];
        if entry.generation != id.generation() {
            // The slot has another object now, so the entry of the old one is void.
            *entry = Entry { generation: id.generation(), ..Entry::default() };
        }
        entry
    }

    fn known(&mut self, id: ObjectId) -> Option<&mut Entry> {
        self.entries.get_mut(id.slot() as usize).filter(|entry| entry.generation == id.generation())
    }

    /// Adds a new object of this process, which other processes see already.
    pub fn insert(&mut self, id: ObjectId) {
        let since = self.period;
        *self.entry(id) = Entry { generation: id.generation(), count: 1, since, ..Entry::default() };
    }

    /// Counts one reference more to an object to which this process has one. False, and nothing is counted, when it has none.
    #[inline]
    pub fn retain_known(&mut self, id: ObjectId) -> bool {
        match self.entries.get_mut(id.slot() as usize) {
            Some(entry) if entry.generation == id.generation() && entry.count > 0 => {
                entry.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Counts one reference more.
    pub fn retain(&mut self, id: ObjectId) -> News {
        let since = self.period;
        let entry = self.entry(id);
        entry.count += 1;
        if entry.count > 1 {
            return News::None;
        }
        if std::mem::take(&mut entry.is_kept) {
            return News::None;
        }
        entry.since = since;
        News::Add
    }

    /// Counts one reference less. One too many does nothing.
    pub fn release(&mut self, id: ObjectId) -> News {
        let (keeps_back, period) = (self.keeps_back, self.period);
        let Some(entry) = self.known(id).filter(|entry| entry.count > 0) else { return News::None };
        entry.count -= 1;
        if entry.count > 0 {
            return News::None;
        }
        if keeps_back && entry.since < period {
            let is_listed = std::mem::replace(&mut entry.is_kept, true) || entry.is_pin_kept;
            if !is_listed {
                self.kept.push(id);
            }
            return News::None;
        }
        News::Remove
    }

    /// Counts one reader more of the object's bytes.
    pub fn pin(&mut self, id: ObjectId) -> News {
        let period = self.period;
        let entry = self.entry(id);
        entry.pins += 1;
        if entry.pins > 1 || std::mem::take(&mut entry.is_pin_kept) {
            return News::None;
        }
        entry.pinned_since = period;
        News::Add
    }

    /// Counts one reader less of the object's bytes.
    pub fn unpin(&mut self, id: ObjectId) -> News {
        let (keeps_back, period) = (self.keeps_back, self.period);
        let Some(entry) = self.known(id).filter(|entry| entry.pins > 0) else { return News::None };
        entry.pins -= 1;
        if entry.pins > 0 {
            return News::None;
        }
        // A twin has the pins from before the cell. It does not know a pin that the cell itself took, however old the object is.
        if keeps_back && entry.pinned_since < period {
            let is_listed = std::mem::replace(&mut entry.is_pin_kept, true) || entry.is_kept;
            if !is_listed {
                self.kept.push(id);
            }
            return News::None;
        }
        News::Remove
    }

    /// Gives all references back but those to objects whose bytes are read, and returns these objects. A twin that comes back finds them
    /// gone.
    pub fn forget_all(&mut self) -> Vec<ObjectId> {
        self.forgot = true;
        let mut forgotten = Vec::new();
        for (slot, entry) in (0..).zip(&mut self.entries) {
            if entry.pins == 0 && !entry.is_pin_kept && (entry.count > 0 || entry.is_kept) {
                (entry.count, entry.is_kept) = (0, false);
                forgotten.push(ObjectId::new(slot, entry.generation));
            }
        }
        let entries = &self.entries;
        self.kept.retain(|id| entries.get(id.slot() as usize).is_some_and(|entry| entry.is_kept || entry.is_pin_kept));
        forgotten
    }

    /// A cell begins.
    pub fn cell_began(&mut self) {
        self.period += 1;
        self.keeps_back = true;
    }

    /// The objects that are kept back: those without a last reference or pin.
    pub fn kept_back(&self) -> impl Iterator<Item = ObjectId> {
        let is_kept = |id: &ObjectId| {
            let entry = self.entries.get(id.slot() as usize).filter(|entry| entry.generation == id.generation());
            entry.is_some_and(|entry| entry.is_kept || entry.is_pin_kept)
        };
        self.kept.iter().copied().filter(is_kept)
    }

    /// Whether all references have been given back since the last cell that is final: a twin from before does not find its objects.
    pub fn has_forgotten(&self) -> bool {
        self.forgot
    }

    /// What has run is final: no twin from before it comes back. Returns the objects that are no longer read, and those that are no longer
    /// referred to.
    pub fn cell_is_final(&mut self) -> (Vec<ObjectId>, Vec<ObjectId>) {
        (self.keeps_back, self.forgot) = (false, false);
        let (mut unread, mut released) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.kept) {
            let Some(entry) = self.known(id) else { continue };
            if std::mem::take(&mut entry.is_pin_kept) {
                unread.push(id);
            }
            if std::mem::take(&mut entry.is_kept) {
                released.push(id);
            }
        }
        (unread, released)
    }

    /// Prepares a twin to take a dead process's place: no cell runs. Returns the objects that it has. If what ran before the twin was made
    /// is not final, it has what was kept back then, too.
    pub fn taken_over(&mut self, is_final: bool) -> Vec<Held> {
        if is_final {
            self.keeps_back = false;
            self.kept.clear();
        }
        let mut held = Vec::new();
        for (slot, entry) in (0..).zip(&mut self.entries) {
            entry.is_kept &= !is_final;
            entry.is_pin_kept &= !is_final;
            if entry.count > 0 || entry.is_kept {
                let pinned = entry.pins > 0 || entry.is_pin_kept;
                held.push(Held { id: ObjectId::new(slot, entry.generation), pinned });
            }
        }
        held
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId(1);

    #[test]
    fn the_others_see_the_first_and_the_last_reference_only() {
        let mut handles = Handles::default();
        assert_eq!(handles.retain(OBJECT), News::Add);
        assert_eq!(handles.retain(OBJECT), News::None);
        assert_eq!(handles.release(OBJECT), News::None);
        assert_eq!(handles.release(OBJECT), News::Remove);
        assert_eq!(handles.release(OBJECT), News::None, "one too many does no harm");
    }

    #[test]
    fn what_a_cell_gives_back_is_kept_until_the_cell_is_final() {
        let mut handles = Handles::default();
        handles.insert(OBJECT);
        handles.pin(OBJECT);
        handles.cell_began();
        assert_eq!(handles.unpin(OBJECT), News::None);
        assert_eq!(handles.release(OBJECT), News::None);
        assert_eq!(handles.cell_is_final(), (vec![OBJECT], vec![OBJECT]));
        assert_eq!(handles.cell_is_final(), (vec![], vec![]));
    }

    #[test]
    fn what_a_cell_began_to_read_itself_is_given_back_at_once_and_stays_an_object() {
        let mut handles = Handles::default();
        handles.insert(OBJECT);
        handles.cell_began();
        assert_eq!([handles.pin(OBJECT), handles.unpin(OBJECT)], [News::Add, News::Remove]);
        assert_eq!(handles.cell_is_final(), (vec![], vec![]));
        handles.pin(OBJECT);
        handles.cell_began();
        assert_eq!([handles.unpin(OBJECT), handles.pin(OBJECT), handles.unpin(OBJECT)], [News::None; 3]);
        assert_eq!(handles.cell_is_final(), (vec![OBJECT], vec![]), "a view of an earlier cell's is a twin's too");
    }

    #[test]
    fn what_a_cell_made_itself_goes_at_once() {
        let mut handles = Handles::default();
        handles.cell_began();
        handles.insert(OBJECT);
        assert_eq!(handles.release(OBJECT), News::Remove);
        assert_eq!(handles.cell_is_final(), (vec![], vec![]));
    }

    #[test]
    fn what_a_cell_gives_back_and_takes_again_never_went() {
        let mut handles = Handles::default();
        handles.insert(OBJECT);
        handles.cell_began();
        handles.release(OBJECT);
        assert_eq!(handles.retain(OBJECT), News::None);
        handles.release(OBJECT);
        assert_eq!(handles.cell_is_final().1, [OBJECT], "it is as old as it was");
    }

    #[test]
    fn a_twin_has_what_was_referred_to_when_it_was_made() {
        let mut handles = Handles::default();
        let (read, other) = (ObjectId::new(3, 7), ObjectId::new(2, 0));
        handles.insert(read);
        handles.pin(read);
        handles.insert(other);
        handles.cell_began();
        handles.release(other);
        assert_eq!(handles.taken_over(true), [Held { id: read, pinned: true }]);
        handles.unpin(read);
        assert_eq!(handles.release(read), News::Remove, "no cell runs in it");
    }

    #[test]
    fn a_twin_from_after_a_cell_that_is_not_final_has_what_that_kept_back() {
        let mut handles = Handles::default();
        let (read, other) = (ObjectId::new(3, 7), ObjectId::new(2, 0));
        handles.insert(read);
        handles.insert(other);
        handles.pin(read);
        handles.cell_began();
        handles.unpin(read);
        handles.release(read);
        handles.release(other);
        assert_eq!(handles.retain(other), News::None);
        assert_eq!(handles.kept_back().collect::<Vec<_>>(), [read]);
        assert_eq!(handles.taken_over(false), [Held { id: other, pinned: false }, Held { id: read, pinned: true }]);
        assert_eq!(handles.release(other), News::None, "an earlier twin has it");
        assert_eq!(handles.cell_is_final(), (vec![read], vec![read, other]));
    }

    #[test]
    fn another_object_in_the_same_slot_is_another_object() {
        let mut handles = Handles::default();
        handles.insert(ObjectId::new(5, 0));
        assert_eq!(handles.retain(ObjectId::new(5, 1)), News::Add);
        assert_eq!(handles.release(ObjectId::new(5, 0)), News::None);
    }
}
