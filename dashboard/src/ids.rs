//! Ids of objects and tasks as text, as `ObjectRef` shows them: JSON's numbers are not exact enough.

/// An id as `slot.generation`.
pub fn id_text(id: u64) -> String {
    format!("{}.{}", id as u32, id >> 32)
}

/// The id in such a text.
pub fn id_of(text: &str) -> Option<u64> {
    let (slot, generation) = text.split_once('.')?;
    let (slot, generation): (u32, u32) = (slot.parse().ok()?, generation.parse().ok()?);
    Some(u64::from(slot) | u64::from(generation) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for id in [1, 1 << 32 | 7, u64::MAX] {
            assert_eq!(id_of(&id_text(id)), Some(id));
        }
        for text in ["", "7", "7.", ".7", "7.4294967296", "-1.0", "7.1.1"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
