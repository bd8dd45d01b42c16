//! Object ids, and counted references to objects.

use std::fmt;

/// The id of an object: a slot of the object table in the low 32 bits, and its generation in the high 32 bits, which
/// counts how often the slot was used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(pub u64);

impl fmt::Display for ObjectId {
    /// Writes `slot.generation`, both decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 as u32, self.0 >> 32)
    }
}

/// One counted reference to an object of any type. It has the layout of the id alone, because the table takes a list of
/// handles as a list of ids.
#[derive(PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Handle(u64);

impl Handle {
    /// Takes over a reference that the runtime counted for the caller.
    #[inline]
    pub(crate) fn adopt(id: u64) -> Handle {
        Handle(id)
    }

    /// Counts a new reference.
    pub(crate) fn retain(id: u64) -> Handle {
        super::retain(&[id]);
        Handle(id)
    }

    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Handle {
        Handle::retain(self.0)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        super::release(self.0);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ObjectId(self.0).fmt(f)
    }
}
