//! Tables of what goes on: tasks, actors, objects, the trace. As Ray's state API describes them.
//!
//! Tasks wait for files, so that nothing here depends on how fast the machine is.

use crate::options::{folder, shown};
use crate::{Scenario, start, until, until_there_is};
use mobula::abi::TaskCounts;
use mobula::attached::SessionId;
use mobula::client::{Reader, Tally};
use mobula::local::{Config, Program};
use mobula::prelude::*;
use mobula::{ActorState, ObjectPlace, ObjectState, TaskInfo, TaskState, TaskType, status};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

scenarios! {
    a_task_is_waiting_queued_running_and_finished
    each_run_of_a_task_that_is_run_again_has_a_row
    a_run_that_gave_no_result_says_why
    ten_thousand_runs_are_remembered_and_the_others_are_counted
    a_task_knows_which_task_submitted_it
    a_task_can_ask_what_goes_on
    an_error_says_whether_somebody_has_met_it
    an_actor_is_listed_from_its_creation_to_its_death
    calls_of_an_actor_are_runs_of_its_process
    who_counts_again_and_again_counts_each_task_once
    what_has_ended_before_a_look_and_was_skipped_is_not_counted
    an_object_says_where_it_is_and_who_keeps_it
    a_summary_counts_the_runs_of_each_function
    the_status_says_what_is_in_use_and_what_waits_for_ever
    the_timeline_shows_no_two_runs_at_one_place
    what_runs_while_workers_die_is_told_right
}

fn twice(n: u64) -> u64 {
    2 * n
}

fn add(a: u64, b: u64) -> u64 {
    a + b
}

/// Says that it runs, and runs until it may end.
fn runs_until(begun: String, end: String) -> u64 {
    fs::write(begun, "").unwrap();
    until_there_is(&end);
    1
}

fn panics() -> u64 {
    panic!("on purpose")
}

/// Its process dies in its first run.
fn dies_once(mark: String) -> u64 {
    if !Path::new(&mark).exists() {
        fs::write(mark, "").unwrap();
        std::process::abort();
    }
    1
}

/// A function's name without the path of this file.
fn short(name: &str) -> &str {
    name.trim_start_matches("state::")
}

fn run_of<T>(object: &ObjectRef<T>) -> TaskInfo {
    let runs = runs_of(object);
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.into_iter().next().unwrap()
}

fn runs_of<T>(object: &ObjectRef<T>) -> Vec<TaskInfo> {
    tasks().into_iter().filter(|task| task.id == object.id()).collect()
}

fn a_task_is_waiting_queued_running_and_finished() {
    let _program = start(1.0);
    let folder = folder();
    let (begun, end) = (format!("{}/begun", shown(&folder)), format!("{}/end", shown(&folder)));
    let running = runs_until.remote(begun.clone(), end.clone());
    until_there_is(&begun);
    let queued = twice.remote(1);
    let waiting = twice.remote(&queued);
    let [first, second, third] = [run_of(&running), run_of(&queued), run_of(&waiting)];
    assert_eq!([first.state, second.state, third.state], [TaskState::Running, TaskState::Queued, TaskState::Waiting]);
    assert!(first.pid.is_some() && first.began.is_some() && first.ended.is_none() && first.ran.is_some());
    assert!(second.pid.is_none() && second.began.is_none() && second.ran.is_none());
    fs::write(end, "").unwrap();
    get(&waiting).unwrap();
    let all = [run_of(&running), run_of(&queued), run_of(&waiting)];
    assert!(all.iter().all(|run| run.state == TaskState::Finished && run.attempt == 1 && run.kind == TaskType::Task));
    assert_eq!(all.each_ref().map(|run| short(&run.name)), ["runs_until", "twice", "twice"]);
    assert_eq!(all[0].pid, first.pid);
    for run in &all {
        let times = [Some(run.submitted), run.began, run.ended].map(Option::unwrap);
        assert!(times.is_sorted(), "{run:?}");
        assert_eq!((run.queued, run.ran), (times[1] - times[0], Some(times[2] - times[1])));
    }
    assert!(all[1].began > all[0].ended.map(|end| end / 2) && all[2].began >= all[1].ended);
}

fn each_run_of_a_task_that_is_run_again_has_a_row() {
    let _program = start(1.0);
    let folder = folder();
    let task = dies_once.remote(format!("{}/mark", shown(&folder)));
    get(&task).unwrap();
    let runs = runs_of(&task);
    let told: Vec<(u32, TaskState)> = runs.iter().map(|run| (run.attempt, run.state)).collect();
    assert_eq!(told, [(1, TaskState::WorkerDied), (2, TaskState::Finished)]);
    assert!(runs[0].pid.is_some() && runs[0].pid != runs[1].pid && runs[0].ran.is_some());
    assert!(runs[1].submitted >= runs[0].ended.unwrap() - runs[0].ran.unwrap());
}

fn a_run_that_gave_no_result_says_why() {
    let _program = start(1.0);
    let failed = panics.options().name("ours").remote();
    let carried = twice.remote(&failed);
    get(&carried).unwrap_err();
    let folder = folder();
    let (begun, end) = (format!("{}/begun", shown(&folder)), format!("{}/end", shown(&folder)));
    let running = runs_until.remote(begun.clone(), end.clone());
    until_there_is(&begun);
    let cancelled = twice.remote(1);
    cancel(&cancelled).unwrap();
    get(&cancelled).unwrap_err();
    fs::write(end, "").unwrap();
    get(&running).unwrap();
    let [failed, carried, cancelled] = [run_of(&failed), run_of(&carried), run_of(&cancelled)];
    assert_eq!((failed.state, failed.name.as_str()), (TaskState::Failed, "ours"));
    assert!(failed.pid.is_some() && failed.ran.is_some());
    assert_eq!((carried.state, carried.pid, carried.ran), (TaskState::ArgumentFailed, None, None));
    assert_eq!((cancelled.state, cancelled.pid, cancelled.ran), (TaskState::Cancelled, None, None));
}

fn ten_thousand_runs_are_remembered_and_the_others_are_counted() {
    let _program = start(1.0);
    assert!(tasks().is_empty() && tasks().forgotten() == 0);
    let count = 40_000;
    let mut last = Vec::new();
    for _ in 0..4 {
        last = (0..count / 4).map(|n| twice.remote(n)).collect();
        get(&last).unwrap();
    }
    let all = tasks();
    assert_eq!(all.len() as u64 + all.forgotten(), count);
    assert!(all.len() >= 10_000 && all.forgotten() > 0, "{} and {}", all.len(), all.forgotten());
    assert!(all.iter().all(|run| run.state == TaskState::Finished));
    let known: std::collections::HashSet<_> = all.iter().map(|run| run.id).collect();
    assert!(last.iter().all(|object| known.contains(&object.id())), "the newest are remembered");
    assert!(all.to_string().contains(&format!("the newest 100 of {} runs", all.len())), "{all}");
}

fn parent(n: u64) -> u64 {
    get(&twice.remote(n)).unwrap()
}

fn a_task_knows_which_task_submitted_it() {
    let _program = start(1.0);
    let task = parent.remote(4);
    get(&task).unwrap();
    let child = tasks().into_iter().find(|run| short(&run.name) == "twice").unwrap();
    assert_eq!((child.parent, run_of(&task).parent), (Some(task.id()), None));
}

fn a_task_can_ask_what_goes_on() {
    fn asks() -> (u64, String) {
        let all = tasks();
        let running: Vec<&TaskInfo> = all.iter().filter(|run| run.state == TaskState::Running).collect();
        (running.len() as u64, running[0].name.rsplit("::").next().unwrap_or_default().to_owned())
    }
    let _program = start(1.0);
    assert_eq!(get(&asks.remote()).unwrap(), (1, "asks".into()));
}

fn an_error_says_whether_somebody_has_met_it() {
    let _program = start(1.0);
    let (one, other) = (panics.remote(), panics.remote());
    let carried = twice.remote(&one);
    wait(&[carried.clone(), other.clone()]).num_returns(2).run().unwrap();
    let fetched = || errors().iter().map(|error| error.is_fetched).collect::<Vec<_>>();
    assert_eq!(fetched(), [false, false]);
    get(&carried).unwrap_err();
    assert_eq!(fetched(), [true, false], "who depends on it has met it");
    get(&other).unwrap_err();
    assert_eq!(fetched(), [true, true]);
}

struct Counter(u64);

impl Counter {
    fn new() -> Counter {
        Counter(0)
    }

    fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }

    fn dies(&mut self) -> u64 {
        std::process::abort()
    }

    fn meets(&self, folder: String, number: u64, others: usize) -> u64 {
        fs::write(format!("{folder}/{number}"), "").unwrap();
        while fs::read_dir(&folder).unwrap().count() < others {
            std::thread::yield_now();
        }
        number
    }

    fn until(&mut self, begun: String, end: String) -> u64 {
        runs_until(begun, end)
    }
}

fn an_actor_is_listed_from_its_creation_to_its_death() {
    let _program = start(1.0);
    assert!(actors().is_empty());
    let counter = Counter::new.options().name("mine").max_restarts(1).spawn();
    get(&Counter::add.call(&counter, 1)).unwrap();
    let listed = || actors().into_iter().find(|actor| actor.id == counter.id()).unwrap();
    // A call leaves the mailbox right behind its result.
    until(|| listed().calls == 0);
    let alive = listed();
    assert_eq!((alive.type_name.as_str(), alive.name.as_deref(), alive.restarts), ("Counter", Some("mine"), 0));
    assert!(matches!(alive.state, ActorState::Alive { .. }) && alive.calls == 0 && alive.death.is_none());
    let folder = folder();
    let (begun, end) = (format!("{}/begun", shown(&folder)), format!("{}/end", shown(&folder)));
    let busy = Counter::until.call(&counter, begun.clone(), end.clone());
    let more: Vec<_> = (0..2).map(|_| Counter::add.call(&counter, 1)).collect();
    until_there_is(&begun);
    assert_eq!(listed().calls, 3);
    fs::write(end, "").unwrap();
    get(&busy).unwrap();
    get(&more).unwrap();
    get(&Counter::dies.call(&counter)).unwrap_err();
    get(&Counter::add.call(&counter, 1)).unwrap();
    assert_eq!((listed().restarts, listed().pid() == alive.pid()), (1, false));
    get(&Counter::dies.call(&counter)).unwrap_err();
    let dead = listed();
    assert_eq!((dead.state, dead.pid(), dead.calls), (ActorState::Dead, None, 0));
    assert_eq!(dead.death.as_deref(), Some("lost its worker (SIGABRT)"));
    drop(counter);
    while !actors().is_empty() {
        std::thread::yield_now();
    }
}

fn calls_of_an_actor_are_runs_of_its_process() {
    let _program = start(1.0);
    let counter = Counter::new.spawn();
    let calls: Vec<_> = (0..3).map(|_| Counter::add.call(&counter, 1)).collect();
    get(&calls).unwrap();
    let pid = actors()[0].pid();
    let all = tasks();
    let told: Vec<(&str, TaskType)> = all.iter().map(|run| (short(&run.name), run.kind)).collect();
    let call = ("Counter::add", TaskType::ActorCall);
    assert_eq!(told, [("Counter::new", TaskType::ActorCreation), call, call, call]);
    assert!(all.iter().all(|run| run.pid == pid && run.state == TaskState::Finished), "{all}");
}

/// A count of the tasks of this program.
fn tally() -> Tally {
    let address = mobula::init_with(mobula::Config::new().ignore_reinit()).unwrap();
    Tally::new(Reader::connect(Path::new(&address.socket)).unwrap(), SessionId::OWNER)
}

/// How many tasks of each function there are: waiting, running, finished, failed.
fn look(tally: &mut Tally) -> BTreeMap<String, [u64; 4]> {
    let counts = tally.look(0).unwrap();
    let numbers = |counts: &TaskCounts| [counts.waiting, counts.running, counts.finished, counts.failed];
    counts.iter().map(|counts| (short(&counts.function).to_owned(), numbers(counts))).collect()
}

fn who_counts_again_and_again_counts_each_task_once() {
    let _program = start(1.0);
    let mut tally = tally();
    assert_eq!(look(&mut tally), BTreeMap::new());
    let folder = folder();
    let (begun, end) = (format!("{}/begun", shown(&folder)), format!("{}/end", shown(&folder)));
    let running = runs_until.remote(begun.clone(), end.clone());
    until_there_is(&begun);
    let queued: Vec<_> = (0..100).map(|n| twice.remote(n)).collect();
    for _ in 0..2 {
        let expected = [("runs_until".to_owned(), [0, 1, 0, 0]), ("twice".to_owned(), [100, 0, 0, 0])];
        assert_eq!(look(&mut tally), BTreeMap::from(expected));
    }
    assert!(tally.look(0).unwrap().iter().all(|counts| counts.oldest.is_some() && counts.last.is_none()));
    fs::write(end, "").unwrap();
    get(&running).unwrap();
    get(&queued).unwrap();
    let again = dies_once.remote(format!("{}/mark", shown(&folder)));
    get(&again).unwrap();
    get(&panics.remote()).unwrap_err();
    // A result is there a moment before the end of its task is recorded.
    let is_all = |counts: &BTreeMap<String, [u64; 4]>| {
        let expected = [
            ("dies_once".to_owned(), [0, 0, 1, 0]),
            ("panics".to_owned(), [0, 0, 0, 1]),
            ("runs_until".to_owned(), [0, 0, 1, 0]),
            ("twice".to_owned(), [0, 0, 100, 0]),
        ];
        *counts == BTreeMap::from(expected)
    };
    until(|| is_all(&look(&mut tally)));
    assert!(is_all(&look(&mut tally)));
    assert_eq!(tally.look(1).unwrap(), [], "they are of no cell");
    assert_eq!(look(&mut tally), BTreeMap::new(), "earlier cells are forgotten");
}

fn what_has_ended_before_a_look_and_was_skipped_is_not_counted() {
    let _program = start(1.0);
    let mut tally = tally();
    get(&twice.remote(1)).unwrap();
    until(|| look(&mut tally).get("twice") == Some(&[0, 0, 1, 0]));
    tally.skip();
    get(&add.remote(1, 2)).unwrap();
    until(|| look(&mut tally).contains_key("add"));
    assert_eq!(look(&mut tally), BTreeMap::from([("add".to_owned(), [0, 0, 1, 0])]));
}

fn an_object_says_where_it_is_and_who_keeps_it() {
    let config = Config { num_cpus: Some(1.0), object_store_memory: Some(64 << 20), ..Config::default() };
    let _program = Program::start(config).unwrap();
    let listed = |id| objects().into_iter().find(|object| object.id == id).unwrap();
    let small = put(&7u64).unwrap();
    let large = put(&Buffer::from(vec![1u8; 1 << 20])).unwrap();
    assert_eq!((listed(small.id()).place, listed(small.id()).held_by), (ObjectPlace::Table, vec![std::process::id()]));
    let in_memory = listed(large.id());
    assert_eq!((in_memory.place, in_memory.readers), (ObjectPlace::Memory, 0));
    assert!(in_memory.bytes().unwrap() >= 1 << 20 && objects()[0].id == large.id(), "the largest is the first");
    let view = get(&large).unwrap();
    assert_eq!(listed(large.id()).readers, 1);
    drop(view);

    let folder = folder();
    let (begun, end) = (format!("{}/begun", shown(&folder)), format!("{}/end", shown(&folder)));
    let running = runs_until.remote(begun.clone(), end.clone());
    until_there_is(&begun);
    let keeps = add.remote(&small, &small);
    assert_eq!(listed(small.id()).holders, 2);
    assert_eq!((listed(small.id()).function, short(&listed(keeps.id()).function.unwrap())), (None, "add"));
    assert_eq!((listed(keeps.id()).state, listed(keeps.id()).place), (ObjectState::Pending, ObjectPlace::Nowhere));
    fs::write(end, "").unwrap();
    get(&running).unwrap();
    assert_eq!(get(&keeps).unwrap(), 14);
    while listed(small.id()).holders > 0 {
        std::thread::yield_now();
    }

    let more: Vec<_> = (0..80).map(|_| put(&Buffer::from(vec![2u8; 1 << 20])).unwrap()).collect();
    let all = objects();
    assert!(all.bytes_in(ObjectPlace::Disk) > 0, "{all}");
    assert!(all.bytes_in(ObjectPlace::Memory) <= 64 << 20 && all.to_string().contains(" on disk"), "{all}");
    let (holder, count, bytes) = all.by_holder()[0];
    assert_eq!((holder, count, bytes > 80 << 20), (std::process::id(), all.len(), true));
    assert!(all.to_string().contains("this process has references to"), "{all}");
    drop((more, large));
    while objects().bytes_in(ObjectPlace::Disk) > 0 {
        std::thread::yield_now();
    }
}

fn a_summary_counts_the_runs_of_each_function() {
    let _program = start(1.0);
    let doubled: Vec<_> = (0..5).map(|n| twice.remote(n)).collect();
    get(&doubled).unwrap();
    let (failed, counter) = (panics.remote(), Counter::new.spawn());
    get(&failed).unwrap_err();
    let called = Counter::add.call(&counter, 1);
    get(&called).unwrap();
    let all = summary();
    let counts: BTreeMap<&str, [usize; 3]> =
        all.tasks.iter().map(|row| (short(&row.name), [row.finished, row.failed, row.running])).collect();
    let expected =
        [("twice", [5, 0, 0]), ("panics", [0, 1, 0]), ("Counter::new", [1, 0, 0]), ("Counter::add", [1, 0, 0])];
    assert_eq!(counts, BTreeMap::from(expected));
    assert!(all.tasks.iter().all(|row| row.mean() > Duration::ZERO && row.mean() <= row.total));
    let shown = all.to_string();
    assert!(shown.contains("twice") && shown.contains("1 actor; 7 objects"), "{shown}");
}

fn the_status_says_what_is_in_use_and_what_waits_for_ever() {
    let config = Config { num_cpus: Some(1.0), resources: vec![("tpu".into(), 2.0)], ..Config::default() };
    let _program = Program::start(config).unwrap();
    let folder = folder();
    let (begun, end) = (format!("{}/begun", shown(&folder)), format!("{}/end", shown(&folder)));
    let running = runs_until.options().resource("tpu", 0.5).remote(begun.clone(), end.clone());
    until_there_is(&begun);
    let _plain: Vec<_> = (0..3).map(|n| twice.remote(n)).collect();
    let _never = twice.options().num_gpus(8.0).remote(1);
    while status().demands.len() < 2 {
        std::thread::yield_now();
    }
    let now = status();
    let in_use: Vec<(&str, f64, f64)> =
        now.resources.iter().map(|resource| (resource.name.as_str(), resource.in_use, resource.total)).collect();
    assert_eq!((in_use[0], in_use[1].0, in_use[2]), (("CPU", 1.0, 1.0), "memory", ("tpu", 0.5, 2.0)));
    let demands: Vec<(&str, u64, bool)> =
        now.demands.iter().map(|demand| (demand.needs.as_str(), demand.tasks, demand.is_possible)).collect();
    assert_eq!(demands, [("1 CPU", 3, true), ("1 CPU, 8 GPU", 1, false)]);
    let shown = now.to_string();
    assert!(shown.contains("3 tasks wait for 1 CPU\n"), "{shown}");
    assert!(shown.contains("1 task waits for 1 CPU, 8 GPU, which is more than there is"), "{shown}");
    fs::write(end, "").unwrap();
    get(&running).unwrap();
}

fn the_timeline_shows_no_two_runs_at_one_place() {
    let _program = start(2.0);
    let folder = folder();
    get((0..200).map(|n| twice.remote(n)).collect::<Vec<_>>()).unwrap();
    let counter = Counter::new.options().max_concurrency(3).name("the \"counter\"").spawn();
    let meeting = folder.path().join("meeting");
    fs::create_dir(&meeting).unwrap();
    let calls: Vec<_> =
        (0..3).map(|n| Counter::meets.call(&counter, meeting.display().to_string(), n, 3usize)).collect();
    get(&calls).unwrap();
    let file = folder.path().join("trace.json");
    timeline(&file).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut rows: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    for slice in events.iter().filter(|event| event["ph"] == "X") {
        let (begin, ran) = (slice["ts"].as_f64().unwrap(), slice["dur"].as_f64().unwrap());
        rows.entry(slice["tid"].as_i64().unwrap()).or_default().push((begin, begin + ran));
    }
    assert_eq!(rows.values().map(Vec::len).sum::<usize>(), 204);
    for row in rows.values_mut() {
        row.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Times are written to the nanosecond.
        assert!(row.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 0.002), "{row:?}");
    }
    let named = |name: &str| {
        let names = events.iter().filter_map(|event| event["args"]["name"].as_str());
        names.filter(|known| known.starts_with(name)).count()
    };
    assert_eq!(named("the \"counter\""), 3, "three calls at once need three rows");
    let waits = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
    assert_eq!((waits("b"), waits("e")), (204, 204));
    let refused = timeline("/nowhere/trace.json").unwrap_err();
    assert!(refused.to_string().starts_with("`/nowhere/trace.json` cannot be written: "), "{refused}");
}

/// Its process dies in the first run of every fiftieth.
fn sometimes_dies(folder: String, n: u64) -> u64 {
    if n.is_multiple_of(50) { n * dies_once(format!("{folder}/{n}")) } else { n }
}

fn what_runs_while_workers_die_is_told_right() {
    let _program = start(2.0);
    let folder = folder();
    let all: Vec<_> = (0..2000).map(|n| sometimes_dies.options().max_retries(-1).remote(shown(&folder), n)).collect();
    // Asked all the time, while records are written.
    while wait(&all).num_returns(all.len()).timeout(Duration::from_millis(1)).run().unwrap().0.len() < all.len() {
        let now = tasks();
        assert!(now.iter().all(|run| short(&run.name) == "sometimes_dies"), "{now}");
        let finished = now.iter().filter(|run| run.state == TaskState::Finished);
        assert!(finished.clone().all(|run| run.ended >= run.began && run.began >= Some(run.submitted)), "{now}");
    }
    assert_eq!(get(&all).unwrap(), (0..2000).collect::<Vec<_>>());
    let mut runs: BTreeMap<_, Vec<(u32, TaskState)>> = BTreeMap::new();
    for run in tasks() {
        runs.entry(run.id).or_default().push((run.attempt, run.state));
    }
    for object in &all {
        let mut told = runs.remove(&object.id()).unwrap();
        told.sort_unstable();
        let (last, before) = told.split_last().unwrap();
        assert_eq!(*last, (told.len() as u32, TaskState::Finished));
        let is_death = |(index, run): (usize, &(u32, TaskState))| *run == (index as u32 + 1, TaskState::WorkerDied);
        assert!(before.iter().enumerate().all(is_death), "{told:?}");
    }
    assert!(runs.is_empty(), "{runs:?}");
}
