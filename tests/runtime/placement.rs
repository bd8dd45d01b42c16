//! Placement groups, as Ray's documentation has them, on one machine.

use crate::options::{folder, shown};
use crate::{Scenario, until, until_there_is};
use mobula::local::{Config, Program};
use mobula::prelude::*;
use mobula::{GetError, status};
use std::fs;

scenarios! {
    what_a_group_has_is_its_own
    a_group_gets_everything_at_once_or_waits
    tasks_in_a_bundle_take_from_no_other
    a_task_in_a_group_that_waits_inside_lends_its_cpus
    an_actor_lives_in_its_group
    a_group_has_gpus_of_its_own
    a_removed_group_ends_what_is_in_it_and_gives_everything_back
    a_group_that_can_never_be_says_so_and_waits
    what_no_group_can_be_is_refused
    a_group_can_be_passed_to_tasks
    a_group_is_not_starved_by_tasks_that_take_less
}

fn start(cpus: f64) -> Program {
    let resources = vec![("tpu".into(), 2.0)];
    Program::start(Config { num_cpus: Some(cpus), num_gpus: Some(2.0), resources, ..Config::default() }).unwrap()
}

fn cpus(cpus: f64) -> Bundle {
    Bundle::new().num_cpus(cpus)
}

fn free(name: &str) -> f64 {
    available_resources().get(name).unwrap_or(0.0)
}

/// Says that it runs, and waits for its end.
fn hold(begun: String, end: String) -> u32 {
    fs::write(begun, "").unwrap();
    until_there_is(&end);
    std::process::id()
}

fn what_a_group_has_is_its_own() {
    let _runtime = start(4.0);
    let group = placement_group([cpus(2.0), cpus(1.0).resource("tpu", 1.0)], PlacementStrategy::Pack).unwrap();
    get(group.ready()).unwrap();
    until(|| (free("CPU"), free("tpu")) == (1.0, 1.0));
    assert_eq!(cluster_resources().get("CPU"), Some(4.0));
    assert!(cluster_resources().iter().all(|(name, _)| !name.contains("group")), "{:?}", cluster_resources());
    // More than is left beside the group, and then in it.
    let outside = (|| 1).options().num_cpus(2.0).remote();
    let inside = (|| 2).options().num_cpus(3.0).placement_group(&group).remote();
    assert_eq!(get(&inside).unwrap(), 2);
    assert!(matches!(get_timeout(&outside, Duration::from_millis(1)), Err(GetError::NotReady { .. })));
    remove_placement_group(&group).unwrap();
    assert_eq!(get(&outside).unwrap(), 1);
    until(|| (free("CPU"), free("tpu")) == (4.0, 2.0));
    remove_placement_group(&group).unwrap();
}

fn a_group_gets_everything_at_once_or_waits() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let holds = hold.remote(file("begun"), file("end"));
    until_there_is(&file("begun"));
    let group = placement_group([cpus(1.0), cpus(1.0)], PlacementStrategy::Spread).unwrap();
    let (ready, inside) = (group.ready(), (|| 7).options().placement_group(&group).remote());
    assert!(status().demands.iter().any(|demand| demand.needs == "placement group of 2 CPU" && demand.is_possible));
    assert!(matches!(get_timeout(&ready, Duration::from_millis(1)), Err(GetError::NotReady { .. })));
    fs::write(file("end"), "").unwrap();
    get(&holds).unwrap();
    get(&ready).unwrap();
    assert_eq!(get(&inside).unwrap(), 7);
}

fn tasks_in_a_bundle_take_from_no_other() {
    let _runtime = start(4.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let group = placement_group([cpus(1.0), cpus(2.0)], PlacementStrategy::StrictPack).unwrap();
    let holds = hold.options().placement_group(group.bundle(0)).remote(file("begun"), file("end"));
    until_there_is(&file("begun"));
    let second = (|| 1).options().placement_group(group.bundle(0)).remote();
    let others: Vec<_> = (0..4).map(|_| (|| 2).options().placement_group(group.bundle(1)).remote()).collect();
    assert_eq!(get(&others).unwrap(), [2; 4]);
    assert!(matches!(get_timeout(&second, Duration::from_millis(1)), Err(GetError::NotReady { .. })));
    fs::write(file("end"), "").unwrap();
    get(&holds).unwrap();
    assert_eq!(get(&second).unwrap(), 1);
    let wrong = std::panic::catch_unwind(|| group.bundle(2)).unwrap_err();
    assert!(wrong.downcast::<String>().unwrap().contains("has 2 bundles, from 0 on: there is no bundle 2"));
}

fn a_task_in_a_group_that_waits_inside_lends_its_cpus() {
    fn depth(group: PlacementGroup, levels: u32) -> u32 {
        match levels {
            0 => 0,
            _ => 1 + get(depth.options().placement_group(group.bundle(0)).remote(group.clone(), levels - 1)).unwrap(),
        }
    }
    let _runtime = start(1.0);
    let group = placement_group([cpus(1.0)], PlacementStrategy::Pack).unwrap();
    let task = depth.options().placement_group(&group).remote(group.clone(), 3);
    assert_eq!(get(&task).unwrap(), 3);
}

fn an_actor_lives_in_its_group() {
    let _runtime = start(2.0);
    let group = placement_group([cpus(1.0).resource("tpu", 1.0)], PlacementStrategy::Pack).unwrap();
    let actor = (|| 5_i64).options().num_cpus(1.0).resource("tpu", 1.0).placement_group(&group).spawn();
    let value = |value: &i64| *value;
    assert_eq!(get(value.call(&actor)).unwrap(), 5);
    let waits = (|| 1).options().placement_group(&group).remote();
    assert!(matches!(get_timeout(&waits, Duration::from_millis(1)), Err(GetError::NotReady { .. })));
    kill(&actor).unwrap();
    assert_eq!(get(&waits).unwrap(), 1);
}

fn a_group_has_gpus_of_its_own() {
    let _runtime = start(2.0);
    let group = placement_group([Bundle::new().num_gpus(1.0)], PlacementStrategy::Pack).unwrap();
    get(group.ready()).unwrap();
    let seen = || gpu_ids();
    let with = seen.options().num_cpus(0.0).num_gpus(1.0);
    let [inside, outside] = [with.clone().placement_group(group.bundle(0)).remote(), with.remote()];
    let (inside, outside) = (get(&inside).unwrap(), get(&outside).unwrap());
    assert_eq!((inside.len(), outside.len()), (1, 1));
    assert_ne!(inside, outside);
    let half = seen.options().num_cpus(0.0).num_gpus(0.5).placement_group(&group).remote();
    assert_eq!(get(&half).unwrap(), inside, "a part of the group's own");
    remove_placement_group(&group).unwrap();
    until(|| free("GPU") == 2.0);
}

fn a_removed_group_ends_what_is_in_it_and_gives_everything_back() {
    let _runtime = start(3.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let group = placement_group([cpus(2.0)], PlacementStrategy::Pack).unwrap();
    let runs = hold.options().placement_group(&group).remote(file("begun"), file("never"));
    let actor = (|| 5_i64).options().max_restarts(-1).num_cpus(1.0).placement_group(&group).spawn();
    let value = |value: &i64| *value;
    assert_eq!(get(value.call(&actor)).unwrap(), 5);
    until_there_is(&file("begun"));
    let waits = (|| 1).options().placement_group(&group).remote();
    remove_placement_group(&group).unwrap();
    assert!(matches!(get(&runs), Err(GetError::Cancelled { .. })));
    let gone = |error: GetError| assert!(error.to_string().ends_with("its placement group was removed"), "{error}");
    gone(get(&waits).unwrap_err());
    gone(get(value.call(&actor)).unwrap_err());
    gone(get((|| 1).options().placement_group(&group).remote()).unwrap_err());
    until(|| free("CPU") == 3.0);
}

fn a_group_that_can_never_be_says_so_and_waits() {
    let _runtime = start(2.0);
    let group = placement_group([cpus(2.0), cpus(1.0)], PlacementStrategy::Pack).unwrap();
    let ready = group.ready();
    assert!(status().demands.iter().any(|demand| demand.needs == "placement group of 3 CPU" && !demand.is_possible));
    assert!(matches!(get_timeout(&ready, Duration::from_millis(1)), Err(GetError::NotReady { .. })));
    assert_eq!(get((|| 1).options().num_cpus(2.0).remote()).unwrap(), 1, "others are not held up by it");
    remove_placement_group(&group).unwrap();
    assert!(get(&ready).is_err());
}

fn what_no_group_can_be_is_refused() {
    let _runtime = start(2.0);
    let refused = |bundles: Vec<Bundle>, strategy| placement_group(bundles, strategy).unwrap_err().to_string();
    assert!(refused(vec![], PlacementStrategy::Pack).contains("at least one bundle"));
    assert!(refused(vec![Bundle::new()], PlacementStrategy::Pack).contains("asks for nothing"));
    assert!(refused(vec![cpus(-1.0)], PlacementStrategy::Pack).contains("not a valid amount of CPU"));
    let spread = refused(vec![cpus(1.0), cpus(1.0)], PlacementStrategy::StrictSpread);
    assert!(spread.contains("as many machines, and this runtime has one: use `Spread`"), "{spread}");
    get(placement_group([cpus(1.0)], PlacementStrategy::StrictSpread).unwrap().ready()).unwrap();
}

fn a_group_can_be_passed_to_tasks() {
    let _runtime = start(2.0);
    let group = placement_group([cpus(1.0)], PlacementStrategy::Pack).unwrap();
    let uses = |group: PlacementGroup| get((|| 3).options().placement_group(&group).remote()).unwrap();
    assert_eq!(get(uses.remote(group.clone())).unwrap(), 3);
    let makes = || placement_group([Bundle::new().num_cpus(1.0)], PlacementStrategy::Pack).unwrap();
    let made = get(makes.remote()).unwrap();
    assert_ne!(made, group);
    get(made.ready()).unwrap();
}

fn a_group_is_not_starved_by_tasks_that_take_less() {
    let _runtime = start(2.0);
    let is_over = folder();
    let small = |folder: String| {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_dir(folder).unwrap().count()
    };
    let half = small.options().num_cpus(0.5);
    let tasks: Vec<_> = (0..2000).map(|_| half.remote(shown(&is_over))).collect();
    get(&tasks[0]).unwrap();
    let group = placement_group([cpus(2.0)], PlacementStrategy::Pack).unwrap();
    get(group.ready()).unwrap();
    fs::write(is_over.path().join("ready"), "").unwrap();
    let left = tasks.iter().filter(|task| get_timeout(*task, Duration::ZERO).is_err()).count();
    assert!(left > 0, "it has waited for all of them");
}
