//! Placement groups: resources that are reserved together, before the tasks and actors that use them.

use crate::abi::{Answer, Placement, PlacementStrategy, Question, TaskOptions};
use crate::calls;
use crate::error::PlacementGroupError;
use crate::object::ObjectRef;
use crate::remote::Remote0;
use serde::{Deserialize, Serialize};

/// What a placement group reserves in one piece; nothing until something is said.
///
/// ```
/// use mobula::Bundle;
/// let bundle = Bundle::new().num_cpus(2.0).num_gpus(1.0).resource("tpu", 1.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    options: TaskOptions,
}

impl Default for Bundle {
    fn default() -> Bundle {
        Bundle::new()
    }
}

impl Bundle {
    /// One that asks for nothing yet.
    pub fn new() -> Bundle {
        Bundle { options: TaskOptions { num_cpus: Some(0.0), ..TaskOptions::default() } }
    }

    /// So many CPUs.
    pub fn num_cpus(mut self, cpus: f64) -> Bundle {
        self.options.num_cpus = Some(cpus);
        self
    }

    /// So many GPUs: whole ones, or a part of one.
    pub fn num_gpus(mut self, gpus: f64) -> Bundle {
        self.options.num_gpus = Some(gpus);
        self
    }

    /// So many bytes of memory.
    pub fn memory(mut self, bytes: u64) -> Bundle {
        self.options.memory = Some(bytes);
        self
    }

    /// An amount of a custom resource.
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Bundle {
        self.options.set_resource(name.into(), amount);
        self
    }
}

/// Resources that are reserved together: see [`placement_group`]. It can be passed to tasks, which can use it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementGroup {
    group: u64,
    bundles: u32,
}

impl PlacementGroup {
    /// Its number, as [`status`](crate::status()) and messages name it.
    pub fn id(&self) -> u64 {
        self.group
    }

    /// How many bundles it has.
    pub fn bundle_count(&self) -> usize {
        self.bundles as usize
    }

    /// One of its bundles, for [`Options::placement_group`](crate::Options::placement_group): a task there takes from no other.
    ///
    /// # Panics
    /// When it has no bundle of this index.
    #[track_caller]
    pub fn bundle(&self, index: usize) -> Placement {
        let count = self.bundle_count();
        assert!(
            index < count,
            "placement group {} has {count} bundles, from 0 on: there is no bundle {index}",
            self.group
        );
        Placement { group: self.group, bundle: Some(index as u32) }
    }

    /// An object that is ready when the group has what it asks for; [`get`](crate::get) waits for that, with a timeout if need be. As
    /// `PlacementGroup.ready()` in Ray.
    ///
    /// # Panics
    /// As [`remote`](crate::prelude::Remote0::remote).
    // Inlined, so that the task is a function of the caller's library: that is one that workers can open by itself.
    #[inline]
    #[track_caller]
    pub fn ready(&self) -> ObjectRef<()> {
        #[inline]
        fn ready() {}
        ready.options().num_cpus(0.0).name("PlacementGroup::ready").placement_group(self).remote()
    }
}

impl From<&PlacementGroup> for Placement {
    fn from(group: &PlacementGroup) -> Placement {
        Placement { group: group.group, bundle: None }
    }
}

/// Reserves what all these bundles ask for, together, as soon as it is free; returns at once. Tasks and actors use it with
/// [`Options::placement_group`](crate::Options::placement_group), and nothing else can. It lasts until [`remove_placement_group`], or the
/// end of the session.
///
/// As `ray.util.placement_group`. On one machine all bundles are in one place, so `Pack`, `Spread` and `StrictPack` are the same, and
/// `StrictSpread` of more than one bundle is refused.
///
/// # Errors
/// There is no bundle, or one asks for nothing or for an amount that makes no sense; `StrictSpread`, as said. A group that asks for more
/// than there is waits, and a notice says so.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let group = placement_group([Bundle::new().num_cpus(1.0)], PlacementStrategy::Pack)?;
/// let sum = (|a: i64, b: i64| a + b).options().placement_group(&group).remote(1, 2);
/// assert_eq!(get(&sum).unwrap(), 3);
/// remove_placement_group(&group)?;
/// # Ok::<(), mobula::PlacementGroupError>(())
/// ```
pub fn placement_group(
    bundles: impl IntoIterator<Item = Bundle>,
    strategy: PlacementStrategy,
) -> Result<PlacementGroup, PlacementGroupError> {
    let bundles: Vec<TaskOptions> = bundles.into_iter().map(|bundle| bundle.options).collect();
    let count = bundles.len() as u32;
    match calls::ask(&Question::PlacementGroup { bundles, strategy, cell: 0 })
        .map_err(PlacementGroupError::from_fault)?
    {
        Answer::PlacementGroup(group) => Ok(PlacementGroup { group, bundles: count }),
        other => Err(PlacementGroupError::Refused { message: format!("the runtime answered with {other:?}") }),
    }
}

/// Gives back what a placement group has reserved. Its tasks and actors that run are ended, as in Ray, and those that wait fail. Nothing
/// happens if it was removed before.
///
/// # Errors
/// The runtime is gone.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let group = placement_group([Bundle::new().num_cpus(1.0)], PlacementStrategy::Spread)?;
/// remove_placement_group(&group)?;
/// # Ok::<(), mobula::PlacementGroupError>(())
/// ```
pub fn remove_placement_group(group: &PlacementGroup) -> Result<(), PlacementGroupError> {
    let removed = calls::ask(&Question::RemovePlacementGroup { group: group.group });
    removed.map(drop).map_err(PlacementGroupError::from_fault)
}
