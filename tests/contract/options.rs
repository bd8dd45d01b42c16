// Options and resources, whatever runs the tasks.

// %%
fn cpus() -> f64 {
    cluster_resources().get("CPU").unwrap()
}
assert!(cluster_resources().get("CPU").unwrap() >= 1.0);
assert_eq!(get(&cpus.options().num_cpus(0.0).remote())?, cluster_resources().get("CPU").unwrap());

// %%
// A task has its own environment, and a name in messages.
fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}
let there = variable.options().env("MOBULA_CONTRACT", "yes").remote("MOBULA_CONTRACT".to_string());
assert_eq!(get(&there)?.as_deref(), Some("yes"));
fn fails() -> u32 {
    panic!("as it should")
}
let said = get(&fails.options().name("a name").remote()).unwrap_err().to_string();
assert!(said.contains("`a name`"), "{said}");

// %%
// A worker ends after as many calls as are asked for.
fn pid() -> u32 {
    std::process::id()
}
let once = |_| get(&pid.options().max_calls(1).remote());
let pids: Vec<u32> = (0..2).map(once).collect::<Result<_, _>>()?;
assert_ne!(pids[0], pids[1]);

// %%
// What can never be had waits, and can be cancelled.
let never = pid.options().resource("no such thing", 1.0).remote();
let (ready, _) = wait(&[never.clone()]).timeout(Duration::from_millis(300)).run()?;
assert!(ready.is_empty());
cancel(&never)?;
assert!(matches!(get(&never), Err(GetError::Cancelled { .. })));

// %%
// A placement group holds resources together.
let group = placement_group([Bundle::new().num_cpus(1.0)], PlacementStrategy::Pack)?;
assert!(get(&pid.options().placement_group(&group).remote())? > 0);
remove_placement_group(&group)?;

// %%
// Wherever it runs: on any machine, or rather on a certain one.
assert!(get(&pid.options().scheduling_strategy(SchedulingStrategy::Spread).remote())? > 0);
let rather = SchedulingStrategy::NodeAffinity { node_id: "ab".repeat(28), soft: true };
assert!(get(&pid.options().scheduling_strategy(rather).remote())? > 0);
