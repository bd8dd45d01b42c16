//! Cancelling tasks, as Ray's documentation describes it.
//!
//! Tasks tell what they do by files, so that nothing here depends on how fast the machine is.

use crate::options::{folder, shown};
use crate::{Scenario, start, until_there_is};
use mobula::prelude::*;
use std::fs;
use std::path::Path;

pub const ALL: &[Scenario] = &[
    ("a_task_that_is_cancelled_before_it_begins_never_runs", a_task_that_is_cancelled_before_it_begins_never_runs),
    (
        "a_task_that_waits_for_its_argument_is_cancelled_at_once",
        a_task_that_waits_for_its_argument_is_cancelled_at_once,
    ),
    ("what_depends_on_a_cancelled_task_is_cancelled_with_it", what_depends_on_a_cancelled_task_is_cancelled_with_it),
    ("a_cancelled_task_leaves_its_blocking_call", a_cancelled_task_leaves_its_blocking_call),
    ("a_cancelled_task_may_end_by_itself", a_cancelled_task_may_end_by_itself),
    ("a_cancelled_task_that_does_not_end_is_killed", a_cancelled_task_that_does_not_end_is_killed),
    ("the_children_of_a_cancelled_task_are_cancelled", the_children_of_a_cancelled_task_are_cancelled),
    ("a_child_has_its_own_time_to_end", a_child_has_its_own_time_to_end),
    ("a_part_of_a_result_is_cancelled_with_its_task", a_part_of_a_result_is_cancelled_with_its_task),
    ("a_cancelled_task_is_not_run_again", a_cancelled_task_is_not_run_again),
    ("a_task_that_has_ended_is_not_cancelled", a_task_that_has_ended_is_not_cancelled),
    (
        "whenever_tasks_are_cancelled_each_ends_and_nothing_is_left",
        whenever_tasks_are_cancelled_each_ends_and_nothing_is_left,
    ),
];

fn is_cancelled_error<T: std::fmt::Debug>(got: &Result<T, GetError>) -> bool {
    matches!(got, Err(GetError::Cancelled { .. }))
}

/// Says that it has begun, and waits for its end.
fn holds(begun: String, end: String) -> u32 {
    fs::write(begun, "").unwrap();
    until_there_is(&end);
    7
}

/// Says who runs it, and does nothing for ever.
fn spins(begun: String) {
    fs::write(format!("{begun}.new"), std::process::id().to_string()).unwrap();
    fs::rename(format!("{begun}.new"), begun).unwrap();
    loop {
        std::hint::spin_loop();
    }
}

fn touches(file: String, _after: u32) {
    fs::write(file, "").unwrap();
}

fn a_task_that_is_cancelled_before_it_begins_never_runs() {
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let first = holds.remote(file("begun"), file("end"));
    until_there_is(&file("begun"));
    let plain = touches.remote(file("plain"), 0);
    let half = touches.options().num_cpus(0.5).remote(file("half"), 0);
    cancel(&plain).unwrap();
    cancel(&half).unwrap();
    assert!(is_cancelled_error(&get(&plain)) && is_cancelled_error(&get(&half)));
    fs::write(file("end"), "").unwrap();
    assert_eq!(get(&first).unwrap(), 7);
    get(touches.remote(file("last"), 0)).unwrap();
    get(touches.options().num_cpus(0.5).remote(file("last"), 0)).unwrap();
    assert!(!Path::new(&file("plain")).exists() && !Path::new(&file("half")).exists());
}

fn a_task_that_waits_for_its_argument_is_cancelled_at_once() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let argument = holds.remote(file("begun"), file("end"));
    let waiting: Vec<_> = (0..10).map(|number| touches.remote(file(&number.to_string()), &argument)).collect();
    waiting.iter().step_by(2).for_each(|task| cancel(task).unwrap());
    assert!(waiting.iter().step_by(2).all(|task| is_cancelled_error(&get(task))), "while the argument is not there");
    fs::write(file("end"), "").unwrap();
    assert!(waiting.iter().skip(1).step_by(2).all(|task| get(task).is_ok()), "the others are in the same list");
    assert!((0..10).step_by(2).all(|number: u32| !Path::new(&file(&number.to_string())).exists()));
}

fn what_depends_on_a_cancelled_task_is_cancelled_with_it() {
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let first = holds.options().name("the first").remote(file("begun"), file("end"));
    let second = (|n: u32| n).options().name("the second").remote(&first);
    until_there_is(&file("begun"));
    cancel(&first).unwrap();
    let Err(GetError::Cancelled { task, carried_by }) = get(&second) else { panic!("it is not cancelled") };
    assert_eq!((task.as_str(), carried_by), ("the first", vec!["the second".to_owned()]));
    assert!(errors().is_empty(), "nobody has to be told what he wanted");
}

fn a_cancelled_task_leaves_its_blocking_call() {
    fn waits(begun: String, for_ever: ObjectRef<u32>) -> u32 {
        let unwinds = Unwinds(format!("{begun}.unwound"));
        fs::write(begun, std::process::id().to_string()).unwrap();
        let got = get(&for_ever).unwrap();
        drop(unwinds);
        got
    }
    struct Unwinds(String);
    impl Drop for Unwinds {
        fn drop(&mut self) {
            fs::write(&self.0, std::process::id().to_string()).unwrap();
        }
    }
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let for_ever = holds.options().num_cpus(0.0).remote(file("held"), file("end"));
    let task = waits.remote(file("begun"), put(&for_ever).unwrap());
    until_there_is(&file("begun"));
    cancel(&task).unwrap();
    assert!(is_cancelled_error(&get(&task)));
    assert_eq!(fs::read(file("begun")).unwrap(), fs::read(file("begun.unwound")).unwrap(), "it was not killed");
    cancel(&for_ever).unwrap();
}

fn a_cancelled_task_may_end_by_itself() {
    fn looks(begun: String) -> u32 {
        fs::write(begun, "").unwrap();
        while !is_cancelled() {
            std::thread::yield_now();
        }
        9
    }
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    for cpus in [1.0, 0.5] {
        let begun = file(&cpus.to_string());
        let task = looks.options().num_cpus(cpus).remote(begun.clone());
        until_there_is(&begun);
        cancel(&task).unwrap();
        // It is killed should the machine be so busy that it needs longer than its grace.
        assert!(matches!(get(&task), Ok(9) | Err(GetError::Cancelled { .. })));
    }
    assert!(!get(is_cancelled.remote()).unwrap(), "the next task was not cancelled");
}

fn a_cancelled_task_that_does_not_end_is_killed() {
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let plain = spins.remote(file("plain"));
    until_there_is(&file("plain"));
    cancel(&plain).unwrap();
    assert!(is_cancelled_error(&get(&plain)));
    let half = spins.options().num_cpus(0.5).remote(file("half"));
    until_there_is(&file("half"));
    cancel(&half).unwrap();
    cancel(&half).unwrap();
    assert!(is_cancelled_error(&get(&half)), "whoever asks twice does not want to wait");
    let pid = get(std::process::id.remote()).unwrap().to_string();
    assert!(pid != fs::read_to_string(file("plain")).unwrap() && pid != fs::read_to_string(file("half")).unwrap());
}

fn the_children_of_a_cancelled_task_are_cancelled() {
    fn parent(folder: String) {
        let running = spins.options().num_cpus(0.0).remote(format!("{folder}/running"));
        let queued = touches.remote(format!("{folder}/queued"), 0);
        let dependent = (|_: ()| ()).remote(&running);
        fs::write(format!("{folder}/parent"), "").unwrap();
        // Not a blocking call, and none is left to unwind.
        until_there_is(&format!("{folder}/never"));
        drop((running, queued, dependent));
    }
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let task = parent.remote(shown(&folder));
    until_there_is(&file("parent"));
    until_there_is(&file("running"));
    cancel(&task).unwrap();
    assert!(is_cancelled_error(&get(&task)));
    let child = fs::read_to_string(file("running")).unwrap();
    while Path::new(&format!("/proc/{child}")).exists() {
        std::thread::yield_now();
    }
    get((|| ()).remote()).unwrap();
    assert!(!Path::new(&file("queued")).exists());
}

fn a_child_has_its_own_time_to_end() {
    fn child(folder: String) {
        fs::write(format!("{folder}/begun"), "").unwrap();
        while !is_cancelled() {
            std::thread::yield_now();
        }
        // Its parent has unwound by now, and so has ended.
        until_there_is(&format!("{folder}/parent"));
        fs::write(format!("{folder}/ended"), "").unwrap();
    }
    fn parent(folder: String) {
        get(child.remote(folder)).unwrap();
    }
    let _runtime = start(1.0);
    let folder = folder();
    let task = parent.remote(shown(&folder));
    until_there_is(&format!("{}/begun", shown(&folder)));
    cancel(&task).unwrap();
    assert!(is_cancelled_error(&get(&task)));
    fs::write(format!("{}/parent", shown(&folder)), "").unwrap();
    until_there_is(&format!("{}/ended", shown(&folder)));
}

fn a_part_of_a_result_is_cancelled_with_its_task() {
    fn pair(begun: String) -> (u32, u32) {
        fs::write(&begun, "").unwrap();
        while !is_cancelled() {
            std::thread::yield_now();
        }
        panic!("as `get` would")
    }
    let _runtime = start(1.0);
    let folder = folder();
    let begun = format!("{}/begun", shown(&folder));
    let (one, two) = pair.remote(begun.clone()).split();
    until_there_is(&begun);
    cancel(&two).unwrap();
    for part in [one, two] {
        assert!(matches!(get(&part), Err(GetError::Cancelled { task, .. }) if task.ends_with("pair")));
    }
}

fn a_cancelled_task_is_not_run_again() {
    fn dies(begun: String) {
        let runs = fs::read_to_string(&begun).map_or(0, |text| text.len()) + 1;
        fs::write(&begun, "x".repeat(runs)).unwrap();
        while !is_cancelled() {
            std::thread::yield_now();
        }
        std::process::abort();
    }
    fn panics(begun: String) {
        fs::write(&begun, "").unwrap();
        while !is_cancelled() {
            std::thread::yield_now();
        }
        panic!("I was interrupted");
    }
    let _runtime = start(1.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let task = dies.options().max_retries(-1).remote(file("dies"));
    until_there_is(&file("dies"));
    cancel(&task).unwrap();
    assert!(is_cancelled_error(&get(&task)));
    let task = panics.options().max_retries(-1).retry_panics().remote(file("panics"));
    until_there_is(&file("panics"));
    cancel(&task).unwrap();
    assert!(is_cancelled_error(&get(&task)));
    get((|| ()).remote()).unwrap();
    assert_eq!(fs::read_to_string(file("dies")).unwrap(), "x");
}

fn a_task_that_has_ended_is_not_cancelled() {
    let _runtime = start(1.0);
    let (task, object) = ((|| 5).remote(), put(&6).unwrap());
    assert_eq!(get(&task).unwrap(), 5);
    cancel(&task).unwrap();
    cancel(&object).unwrap();
    assert_eq!(get(&[task, object]).unwrap(), [5, 6]);
}

fn whenever_tasks_are_cancelled_each_ends_and_nothing_is_left() {
    fn sum(a: u64, b: u64) -> u64 {
        a + b
    }
    let _runtime = start(2.0);
    for round in 0..20_u64 {
        let first: Vec<_> = (0..100).map(|n| sum.remote(n, round)).collect();
        let pairs = first.iter().zip(first.iter().skip(1));
        let second: Vec<_> = pairs.map(|(a, b)| sum.options().num_cpus(0.5).remote(a, b)).collect();
        let third: Vec<_> = second.iter().map(|a| sum.remote(a, 1)).collect();
        for tasks in [&third, &first, &second] {
            tasks.iter().skip(round as usize % 3).step_by(3).for_each(|task| cancel(task).unwrap());
        }
        for (n, task) in (0..).zip(&third) {
            let got = get(task);
            assert!(got.as_ref().is_ok_and(|sum| *sum == 2 * (n + round) + 2) || is_cancelled_error(&got), "{got:?}");
        }
    }
    // As many again find room, and all CPUs are there.
    let tasks: Vec<_> = (0..1000).map(|n| sum.remote(n, 1)).collect();
    assert_eq!(get(&tasks).unwrap().into_iter().sum::<u64>(), 500_500);
    while available_resources().get("CPU") != Some(2.0) {
        std::thread::yield_now();
    }
}
