//! The contents of the store in sums, with the largest objects: for the web page.

use crate::ObjectEntry;
use serde::{Deserialize, Serialize};

/// What fills the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreSummary {
    /// All objects.
    pub objects: u64,
    /// By the place of their bytes; by their state, for those without: `pending`, `failed`.
    pub places: Vec<Share>,
    /// By the function that made them; `put` for those that no task made.
    pub makers: Vec<Share>,
    /// By the process that refers to them; `0` for one that has ended.
    pub holders: Vec<Share>,
    /// The largest, largest first.
    pub largest: Vec<ObjectEntry>,
}

/// Some of the objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What they have in common.
    pub name: String,
    /// How many they are.
    pub objects: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}
