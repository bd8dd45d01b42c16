//! The contents of the store in sums, for the web page: read in one pass over the slots of shared memory.

use super::Fallible;
use super::reader::Reader;
use crate::abi::{ObjectEntry, ObjectPlace, ObjectState, Share, StoreSummary};
use std::cmp::Reverse;
use std::collections::HashMap;

/// How many objects are told one by one.
const LARGEST_MAX: usize = 200;

/// How many objects there are of each kind, and their bytes.
type Sums = HashMap<String, (u64, u64)>;

impl Reader {
    /// What fills the store.
    ///
    /// # Errors
    /// The runtime is gone.
    pub fn store_summary(&self) -> Fallible<StoreSummary> {
        Ok(summary(self.0.object_entries()?))
    }
}

fn summary(mut entries: Vec<ObjectEntry>) -> StoreSummary {
    let (mut places, mut makers, mut holders) = (Sums::new(), Sums::new(), Sums::new());
    for entry in &entries {
        let bytes = bytes_of(entry);
        add(&mut places, place_of(entry), bytes);
        add(&mut makers, entry.function.as_deref().unwrap_or("put"), bytes);
        entry.held_by.iter().for_each(|pid| add(&mut holders, &pid.to_string(), bytes));
    }
    let objects = entries.len() as u64;
    let largest_first = |entry: &ObjectEntry| Reverse(bytes_of(entry));
    if entries.len() > LARGEST_MAX {
        entries.select_nth_unstable_by_key(LARGEST_MAX, largest_first);
        entries.truncate(LARGEST_MAX);
    }
    entries.sort_by_key(largest_first);
    StoreSummary { objects, places: shares(places), makers: shares(makers), holders: shares(holders), largest: entries }
}

fn bytes_of(entry: &ObjectEntry) -> u64 {
    match entry.state {
        ObjectState::Ready { bytes } => bytes,
        ObjectState::Pending | ObjectState::Failed => 0,
    }
}

fn place_of(entry: &ObjectEntry) -> &'static str {
    match (entry.state, entry.place) {
        (ObjectState::Pending, _) => "pending",
        (ObjectState::Failed, _) | (_, ObjectPlace::Nowhere) => "failed",
        (_, ObjectPlace::Table) => "table",
        (_, ObjectPlace::Memory) => "memory",
        (_, ObjectPlace::Disk) => "disk",
    }
}

fn add(sums: &mut Sums, name: &str, bytes: u64) {
    let sum = match sums.get_mut(name) {
        Some(sum) => sum,
        None => sums.entry(name.to_owned()).or_default(),
    };
    *sum = (sum.0 + 1, sum.1 + bytes);
}

/// Sums with their names, the largest first.
fn shares(sums: Sums) -> Vec<Share> {
    let mut shares: Vec<Share> =
        sums.into_iter().map(|(name, (objects, bytes))| Share { name, objects, bytes }).collect();
    shares.sort_unstable_by(|a, b| (b.bytes, b.objects, &a.name).cmp(&(a.bytes, a.objects, &b.name)));
    shares
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn object(id: u64, bytes: u64, function: Option<&str>) -> ObjectEntry {
        let (state, place) = (ObjectState::Ready { bytes }, ObjectPlace::Memory);
        let function = function.map(str::to_owned);
        ObjectEntry { id, state, place, cell: 1, function, held_by: vec![7, 8], holders: 0, readers: 0 }
    }

    #[test]
    fn objects_are_summed_by_place_function_and_process_and_the_largest_are_listed() {
        let mut objects: Vec<ObjectEntry> = (0..300).map(|id| object(id, id, Some("load"))).collect();
        objects.push(object(900, 5000, None));
        objects.push(ObjectEntry { state: ObjectState::Pending, ..object(901, 0, Some("load")) });
        let summary = summary(objects);
        let sum = 299 * 300 / 2;
        let share = |name: &str, objects, bytes| Share { name: name.into(), objects, bytes };
        assert_eq!(summary.makers, [share("load", 301, sum), share("put", 1, 5000)]);
        assert_eq!(summary.places, [share("memory", 301, sum + 5000), share("pending", 1, 0)]);
        assert_eq!(summary.holders, [share("7", 302, sum + 5000), share("8", 302, sum + 5000)]);
        assert_eq!((summary.objects, summary.largest.len(), summary.largest[0].id), (302, LARGEST_MAX, 900));
    }
}
