//! The table of tasks on a head with Ray's state API, which says what the session itself cannot know. The head is this file's own, because a dashboard
//! takes as much as all that the other tests need of theirs.

use crate::cells::holds;
use crate::cluster::Cluster;

tests! {
    the_table_of_tasks_tells_what_runs_what_waits_what_failed_and_what_tasks_made
}

const CELLS: &str = r#"
// %%
use mobula::TaskState::{Failed, Finished, Queued, Running, Waiting};
use std::time::Instant;
fn inner(n: u64) -> u64 {
    n
}
fn fails() -> u64 {
    panic!("as asked")
}
fn outer(n: u64) -> u64 {
    let n = get(&inner.remote(n)).unwrap();
    assert!(get(&fails.options().name("fails inside").remote()).is_err());
    std::thread::sleep(Duration::from_secs(600));
    n
}
fn brief(n: u64, is_good: bool) -> u64 {
    let n = get(&inner.options().name(if is_good { "of a good one" } else { "of a bad one" }).remote(n)).unwrap();
    assert!(is_good, "as asked");
    n
}
struct Maker;
impl Maker {
    fn new() -> Maker {
        get(&inner.options().name("of a constructor").remote(4)).unwrap();
        Maker
    }
    fn make(&self) -> u64 {
        get(&inner.options().name("of a call").remote(5)).unwrap()
    }
}
fn dies_once(mark: String) {
    if std::fs::File::create_new(mark).is_ok() {
        std::process::abort();
    }
    std::thread::sleep(Duration::from_secs(600));
}

// %%
let long = outer.options().num_cpus(0.0).remote(1);
let again = dies_once.options().num_cpus(0.0).max_retries(1).remote(MARK.to_string());
let never = inner.options().resource("no such thing", 1.0).name("never").remote(2);
let waits = inner.options().name("waits").remote(&long);
let (good, bad) = (brief.options().name("good").remote(3, true), brief.options().name("bad").remote(3, false));
assert_eq!(get(&good)?, 3);
assert!(get(&bad).is_err());
let maker = Maker::new.spawn();
assert_eq!(get(&Maker::make.call(&maker))?, 5);

// %%
let expected = [
    ("outer", Running, 1),
    ("dies_once", Running, 2),
    ("never", Queued, 1),
    ("waits", Waiting, 1),
    ("good", Finished, 1),
    ("bad", Failed, 1),
    ("inner", Finished, 1),
    ("fails inside", Failed, 1),
    ("of a good one", Finished, 1),
    ("of a bad one", Finished, 1),
    ("Maker::new", Finished, 1),
    ("Maker::make", Finished, 1),
    ("of a constructor", Finished, 1),
    ("of a call", Finished, 1),
];
// The state API is a second or so behind, and learns of an end from another process than of the beginning.
let until = Instant::now() + Duration::from_secs(60);
let all = loop {
    let all = tasks();
    let is_known = |task: &mobula::TaskInfo| matches!(task.state, Queued | Waiting) || task.began.is_some();
    let is_there = |(name, state, attempt): &(&str, mobula::TaskState, u32)| {
        let is_it = |task: &&mobula::TaskInfo| task.name == *name && task.state == *state && task.attempt == *attempt;
        all.iter().filter(is_it).filter(|task| is_known(task)).count() == 1
    };
    if expected.iter().all(is_there) {
        break all;
    }
    assert!(Instant::now() < until, "{all}");
    std::thread::sleep(Duration::from_millis(100));
};

// %%
// Nothing is there twice.
assert_eq!(all.len(), expected.len(), "{all}");
let found = |name: &str| all.iter().find(|task| task.name == name).unwrap();
let parent = |name: &str| found(name).parent;
assert_eq!((parent("inner"), parent("fails inside")), (Some(found("outer").id), Some(found("outer").id)));
assert_eq!((parent("of a good one"), parent("of a bad one")), (Some(found("good").id), Some(found("bad").id)));
assert_eq!((parent("of a constructor"), parent("of a call")), (Some(found("Maker::new").id), Some(found("Maker::make").id)));
for name in ["outer", "dies_once", "never", "waits", "good", "bad", "Maker::new", "Maker::make"] {
    assert_eq!(parent(name), None, "{name}");
}
for task in all.iter() {
    assert_eq!((task.cell, task.session), (found("outer").cell, None), "{task:?}");
    let has_begun = !matches!(task.state, Queued | Waiting);
    assert_eq!((task.pid.is_some(), task.began.is_some(), task.ran.is_some()), (has_begun, has_begun, has_begun), "{task:?}");
    assert_eq!(task.ended.is_some(), matches!(task.state, Finished | Failed), "{task:?}");
    assert!(task.began.is_none_or(|began| task.submitted <= began && task.ended.is_none_or(|ended| began <= ended)), "{task:?}");
}
assert!(found("inner").submitted >= found("outer").began.unwrap());
assert_ne!(found("outer").pid, found("dies_once").pid);
for task in [&long, &never] {
    cancel(task)?;
}
cancel(&again)?;
"#;

fn the_table_of_tasks_tells_what_runs_what_waits_what_failed_and_what_tasks_made(_: &Cluster) {
    let cluster = Cluster::start_with_dashboard();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mark = format!("{:?}", folder.path().join("it has begun"));
    holds(&cluster.address(), &CELLS.replace("MARK", &mark));
}
