//! An object's id: its slot, and how often that slot was used before.
//!
//! ```text
//!   ObjectId, 64 bits:  generation (32) │ slot (32)
//! ```
//!
//! A process that has the id finds the object without a look-up, and sees when the slot has another object.

use serde::{Deserialize, Serialize};

/// An object of the store, and the task that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub u64);

impl ObjectId {
    /// The object of this generation in this slot.
    pub fn new(slot: u32, generation: u32) -> ObjectId {
        ObjectId(u64::from(generation) << 32 | u64::from(slot))
    }

    /// Its slot.
    pub fn slot(self) -> u32 {
        self.0 as u32
    }

    /// Its generation.
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl std::fmt::Display for ObjectId {
    /// `slot.generation`, both decimal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_slot_and_its_generation() {
        let id = ObjectId::new(7, 3);
        assert_eq!((id.slot(), id.generation(), id.to_string().as_str()), (7, 3, "7.3"));
    }
}
