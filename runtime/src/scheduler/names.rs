//! Names of resources: those that every machine has, and those of what a placement group has.

/// The resource of which a task takes 1, unless it says otherwise.
pub const CPU: &str = "CPU";

/// The resource whose units have indices.
pub const GPU: &str = "GPU";

/// Memory, in bytes.
pub const MEMORY: &str = "memory";

/// The resource by which a task that needs nothing waits for its group, as in Ray.
pub const BUNDLE: &str = "bundle";

/// The name of a resource in a group, or in a bundle of it.
pub fn name_in(resource: &str, group: u64, bundle: Option<u32>) -> String {
    match bundle {
        None => format!("{resource}_group_{group}"),
        Some(bundle) => format!("{resource}_group_{bundle}_{group}"),
    }
}

/// The resource and the group that such a name is made of; `None` for the name of a bundle's, which has another one beside it.
pub fn of_name(name: &str) -> Option<(&str, Option<&str>)> {
    let (resource, rest) = name.rsplit_once("_group_")?;
    Some((resource, (!rest.contains('_')).then_some(rest)))
}

/// Whether a resource is CPUs, which a task lends while it waits.
pub fn is_cpu(name: &str) -> bool {
    name == CPU || of_name(name).is_some_and(|(resource, _)| resource == CPU)
}
