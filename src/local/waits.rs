//! Who waits for which objects.
//!
//! # Invariants
//! - Every `Wait` is answered exactly once: at once, when enough objects are finished, or when its client has lost patience.
//! - An object that nobody waits for is in no list, so a client that waits and gives up a thousand times leaves nothing.

use crate::protocol::{ClientId, ObjectId, Request};
use std::collections::HashMap;

/// One question, as everybody but its client knows it.
pub type WaitKey = (ClientId, Request);

/// A question that has not been answered.
#[derive(Debug, PartialEq)]
pub struct Wait {
    /// The objects asked about, without repetition.
    pub ids: Vec<ObjectId>,
    missing: u64,
}

/// All questions that have not been answered.
#[derive(Debug, Default)]
pub struct Waits {
    open: HashMap<WaitKey, Wait>,
    by_object: HashMap<ObjectId, Vec<WaitKey>>,
}

impl Waits {
    /// Remembers a question that `missing` more of `pending` will answer.
    pub fn insert(&mut self, key: WaitKey, ids: Vec<ObjectId>, pending: &[ObjectId], missing: u64) {
        for id in pending {
            self.by_object.entry(*id).or_default().push(key);
        }
        self.open.insert(key, Wait { ids, missing });
    }

    /// An object is finished. Gives the questions that this answers, oldest first for each object.
    pub fn finished(&mut self, id: ObjectId) -> Vec<(WaitKey, Wait)> {
        let mut answered = Vec::new();
        for key in self.by_object.remove(&id).unwrap_or_default() {
            let Some(wait) = self.open.get_mut(&key) else { continue };
            wait.missing = wait.missing.saturating_sub(1);
            if wait.missing == 0
                && let Some(wait) = self.remove(key)
            {
                answered.push((key, wait));
            }
        }
        answered
    }

    /// Takes a question back, if it has not been answered.
    pub fn remove(&mut self, key: WaitKey) -> Option<Wait> {
        let wait = self.open.remove(&key)?;
        for id in &wait.ids {
            if let Some(keys) = self.by_object.get_mut(id) {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.by_object.remove(id);
                }
            }
        }
        Some(wait)
    }

    /// Takes all questions of a client back.
    pub fn forget(&mut self, client: ClientId) {
        let keys: Vec<WaitKey> = self.open.keys().filter(|(asker, _)| *asker == client).copied().collect();
        for key in keys {
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: ClientId = ClientId(1);

    fn key(number: u64) -> WaitKey {
        (ALICE, Request(number))
    }

    fn ids(numbers: &[u64]) -> Vec<ObjectId> {
        numbers.iter().copied().map(ObjectId).collect()
    }

    #[test]
    fn a_question_is_answered_when_enough_is_there() {
        let mut waits = Waits::default();
        waits.insert(key(1), ids(&[1, 2, 3]), &ids(&[1, 2, 3]), 2);
        assert!(waits.finished(ObjectId(2)).is_empty());
        let answered = waits.finished(ObjectId(1));
        assert_eq!(answered[0].0, key(1));
        assert!(waits.finished(ObjectId(3)).is_empty(), "it is answered once");
    }

    #[test]
    fn giving_up_leaves_nothing_behind() {
        let mut waits = Waits::default();
        for number in 0..100 {
            waits.insert(key(number), ids(&[1, 2]), &ids(&[1, 2]), 1);
            assert!(waits.remove(key(number)).is_some());
            assert!(waits.remove(key(number)).is_none());
        }
        waits.insert(key(100), ids(&[1]), &ids(&[1]), 1);
        waits.forget(ALICE);
        assert!(waits.open.is_empty() && waits.by_object.is_empty());
    }
}
