//! Placement groups: resources that are reserved together, for tasks and actors that name the group.
//!
//! ```text
//!   bundles {2 CPU}, {1 CPU, 1 GPU} ─▶ all of it at once, when it is free ─▶ CPU_group_7: 3, CPU_group_0_7: 2, CPU_group_1_7: 1, GPU_group_7: 1, …
//! ```
//!
//! As in Ray, what a group has is a resource of its own, under a name for the whole group and one for each bundle. A task in the group takes
//! from both, or, if any bundle will do, from the first alone.

use super::Resources;
use super::gpus::{Gpus, Share};
use super::names::{BUNDLE, GPU, name_in};
use std::time::Instant;

/// How much of [`BUNDLE`] each bundle has.
const BUNDLE_AMOUNT: f64 = 1000.0;

/// A placement group.
#[derive(Clone, Debug)]
pub struct Group {
    bundles: Vec<Resources>,
    /// Since when it waits.
    pub since: Instant,
    /// The GPUs of each bundle, once it has what it asks for.
    pub shares: Option<Vec<Share>>,
    /// Those that no task of the group has.
    pub gpus: Gpus,
    /// It gives back what it has when the last of its tasks has ended.
    pub is_removed: bool,
}

/// What a task takes from a group in the place of `needs`.
pub fn needs_in(needs: &Resources, group: u64, bundle: Option<u32>) -> Resources {
    placed(needs, 0.001, group, bundle)
}

/// These resources and so much of [`BUNDLE`], by their names in a group and, if one is named, in a bundle of it.
fn placed(resources: &Resources, places: f64, group: u64, bundle: Option<u32>) -> Resources {
    let mut these = resources.clone();
    these.give(&Resources::of(BUNDLE, places));
    let mut all = these.renamed(|resource| name_in(resource, group, None));
    if bundle.is_some() {
        all.give(&these.renamed(|resource| name_in(resource, group, bundle)));
    }
    all
}

impl Group {
    /// One that waits.
    pub fn new(bundles: Vec<Resources>, since: Instant) -> Group {
        Group { bundles, since, shares: None, gpus: Gpus::default(), is_removed: false }
    }

    /// What it takes from the runtime.
    pub fn reserved(&self) -> Resources {
        let mut all = Resources::default();
        self.bundles.iter().for_each(|bundle| all.give(bundle));
        all
    }

    /// What its tasks take from.
    pub fn resources(&self, group: u64) -> Resources {
        let mut all = Resources::default();
        for (index, bundle) in (0..).zip(&self.bundles) {
            all.give(&placed(bundle, BUNDLE_AMOUNT, group, Some(index)));
        }
        all
    }

    /// Takes the GPUs of all bundles; `None`, and nothing is taken, if there are not as many.
    pub fn take_gpus(&self, gpus: &mut Gpus) -> Option<Vec<Share>> {
        let mut left = gpus.clone();
        let shares = self.bundles.iter().map(|bundle| left.take(bundle.units(GPU))).collect::<Option<Vec<Share>>>()?;
        *gpus = left;
        Some(shares)
    }
}
