//! Tasks: submitted, run, failed, waited for.

use crate::Scenario;
use crate::cell::{Arg, Ref, Seen, ask, get, open, put, submit, wait};
use crate::front::{Front, is_alive, kill, sigkill, until};
use crate::task;
use mobula::abi::{Answer, Call, Cause, DriverMode, Fault, InitOptions, ObjectState, Place, Question};
use mobula::client;
use mobula::local::{Config, RuntimeEvent, Stream};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub const ALL: &[Scenario] = &[
    ("a_task_gets_its_arguments_and_gives_its_result", a_task_gets_its_arguments_and_gives_its_result),
    ("ten_thousand_tasks_all_come_back", ten_thousand_tasks_all_come_back),
    ("a_task_starts_when_the_task_before_it_has_ended", a_task_starts_when_the_task_before_it_has_ended),
    ("tasks_that_wait_for_tasks_get_by_with_one_cpu", tasks_that_wait_for_tasks_get_by_with_one_cpu),
    ("two_tasks_run_at_once_on_two_cpus", two_tasks_run_at_once_on_two_cpus),
    (
        "a_failure_is_told_once_and_carried_to_whoever_depends_on_it",
        a_failure_is_told_once_and_carried_to_whoever_depends_on_it,
    ),
    (
        "a_long_chain_of_failures_names_its_first_tasks_and_counts_the_rest",
        a_long_chain_of_failures_names_its_first_tasks_and_counts_the_rest,
    ),
    ("a_panic_knows_its_place_in_the_cell", a_panic_knows_its_place_in_the_cell),
    ("a_killed_worker_fails_its_task_and_is_replaced", a_killed_worker_fails_its_task_and_is_replaced),
    ("a_task_that_exits_says_with_what_code", a_task_that_exits_says_with_what_code),
    ("a_task_that_returns_nothing_is_refused", a_task_that_returns_nothing_is_refused),
    ("what_a_task_wrote_is_there_before_its_result", what_a_task_wrote_is_there_before_its_result),
    (
        "what_several_workers_write_alike_is_counted_before_the_last_result",
        what_several_workers_write_alike_is_counted_before_the_last_result,
    ),
    (
        "lines_are_not_folded_when_init_says_so_and_a_silent_runtime_shows_nothing",
        lines_are_not_folded_when_init_says_so_and_a_silent_runtime_shows_nothing,
    ),
    ("much_output_does_not_stop_a_task", much_output_does_not_stop_a_task),
    (
        "output_without_end_is_held_back_and_counted_unless_init_says_otherwise",
        output_without_end_is_held_back_and_counted_unless_init_says_otherwise,
    ),
    ("wait_says_what_is_ready_and_gives_up_in_time", wait_says_what_is_ready_and_gives_up_in_time),
    (
        "a_task_can_submit_more_tasks_than_its_ring_holds_with_one_cpu",
        a_task_can_submit_more_tasks_than_its_ring_holds_with_one_cpu,
    ),
    (
        "threads_that_wait_for_the_same_tasks_at_once_all_hear_of_them",
        threads_that_wait_for_the_same_tasks_at_once_all_hear_of_them,
    ),
    ("waiting_for_a_thousand_tasks_is_one_sleep", waiting_for_a_thousand_tasks_is_one_sleep),
    ("a_second_init_is_refused_and_a_first_one_counts", a_second_init_is_refused_and_a_first_one_counts),
    (
        "a_shutdown_leaves_no_worker_and_no_object_and_the_next_task_starts_anew",
        a_shutdown_leaves_no_worker_and_no_object_and_the_next_task_starts_anew,
    ),
];

task!(
    /// The sum of its arguments.
    add = |args| Ok((args.iter().map(|arg| number(arg)).sum::<u64>().to_le_bytes().to_vec(), vec![]))
);

task!(
    /// Waits for a task that waits for a task, as deep as it is told.
    depth = |args| {
        let below = match number(&args[0]) {
            0 => 0,
            left => number(&get(&submit("depth", depth, &[Arg::Value(&words(left - 1))]).unwrap()).unwrap()),
        };
        Ok((words(below + 1).to_vec(), vec![]))
    }
);

task!(
    /// Submits as many tasks as it is told and adds their results.
    spread = |args| {
        let tasks: Vec<Ref> = (0..number(&args[0])).map(|_| submit("add", add, &[Arg::Value(&words(1))]).unwrap()).collect();
        wait(&tasks.iter().collect::<Vec<_>>(), tasks.len(), None).unwrap();
        let sum = tasks.iter().map(|task| number(&open(task).unwrap().unwrap())).sum::<u64>();
        Ok((words(sum).to_vec(), vec![]))
    }
);

task!(
    /// Ends when a file exists.
    until_there = |args| {
        let path = text(&args[0]);
        until("the file is there", || Path::new(&path).exists());
        Ok((vec![], vec![]))
    }
);

task!(
    /// Makes a file, and ends when another one exists.
    meet = |args| {
        std::fs::write(text(&args[0]), "").unwrap();
        until("the other one is there", || Path::new(&text(&args[1])).exists());
        Ok((vec![], vec![]))
    }
);

task!(
    /// Writes its process id into a file and ends only by force.
    for_ever = |args| {
        let path = text(&args[0]);
        let draft = format!("{path}.draft");
        std::fs::write(&draft, std::process::id().to_string()).unwrap();
        std::fs::rename(draft, path).unwrap();
        loop {
            std::thread::park();
        }
    }
);

task!(
    /// As `add`; a function has one name.
    middle = |args| Ok((args.iter().flat_map(|arg| arg.to_vec()).collect(), vec![]))
);

task!(
    /// As `middle`.
    last = |args| Ok((args.iter().flat_map(|arg| arg.to_vec()).collect(), vec![]))
);

task!(
    /// As `middle`.
    late = |args| Ok((args.iter().flat_map(|arg| arg.to_vec()).collect(), vec![]))
);

task!(broken = |_| Err(Cause::Error { message: "odd".into() }));

task!(
    panicked = |_| {
        let place = Place {
            file: "src/lib.rs".into(),
            line: 3,
            column: 5,
            library: String::new(),
            cell: None,
            callers: Vec::new(),
        };
        Err(Cause::Panic { message: "boom".into(), place: Some(place) })
    }
);

task!(exit_three = |_| std::process::exit(3));

task!(
    /// Writes lines, and a last one without an end.
    talk = |args| {
        for line in 0..number(&args[0]) {
            println!("line {line} of many, many, many lines that a task can write");
        }
        print!("the end");
        Ok((vec![], vec![]))
    }
);

/// Breaks the waist's rule: it gives neither a result nor a failure.
extern "C" fn silent(_call: *const Call) {}

pub fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn text(bytes: &Seen) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn words(count: u64) -> [u8; 8] {
    count.to_le_bytes()
}

/// The process id of a task that runs [`for_ever`].
pub fn running_pid(path: &str) -> u32 {
    until("the task runs", || Path::new(path).exists());
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn a_task_gets_its_arguments_and_gives_its_result() {
    let _front = Front::with_cpus(1);
    let one = put(&words(1)).unwrap();
    let sum = submit("add", add, &[Arg::Of(&one), Arg::Value(&words(2)), Arg::Of(&one)]).unwrap();
    assert_eq!(number(&get(&sum).unwrap()), 4);
    let nothing = submit("add", add, &[]).unwrap();
    assert_eq!(number(&get(&nothing).unwrap()), 0);
}

fn ten_thousand_tasks_all_come_back() {
    let _front = Front::with_cpus(2);
    let tasks: Vec<Ref> = (0..10_000)
        .map(|index| submit("add", add, &[Arg::Value(&words(index)), Arg::Value(&words(1))]).unwrap())
        .collect();
    wait(&tasks.iter().collect::<Vec<_>>(), tasks.len(), None).unwrap();
    for (index, task) in (0..).zip(&tasks) {
        assert_eq!(number(&open(task).unwrap().unwrap()), index + 1);
    }
}

fn a_task_starts_when_the_task_before_it_has_ended() {
    let _front = Front::with_cpus(2);
    let mut last = put(&words(0)).unwrap();
    for _ in 0..500 {
        // The one before is dropped here, long before it has run: the task keeps it.
        last = submit("add", add, &[Arg::Of(&last), Arg::Value(&words(1))]).unwrap();
    }
    assert_eq!(number(&get(&last).unwrap()), 500);
}

fn tasks_that_wait_for_tasks_get_by_with_one_cpu() {
    let _front = Front::with_cpus(1);
    let outer = submit("depth", depth, &[Arg::Value(&words(20))]).unwrap();
    assert_eq!(number(&get(&outer).unwrap()), 21);
}

fn a_task_can_submit_more_tasks_than_its_ring_holds_with_one_cpu() {
    const TASKS: u64 = 140_000;
    let _front = Front::with_cpus(1);
    let all = submit("spread", spread, &[Arg::Value(&words(TASKS))]).unwrap();
    assert_eq!(number(&get(&all).unwrap()), TASKS);
}

fn two_tasks_run_at_once_on_two_cpus() {
    let _front = Front::with_cpus(2);
    let folder = tempfile::tempdir().unwrap();
    let [mine, yours] = ["mine", "yours"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let first = submit("meet", meet, &[Arg::Value(mine.as_bytes()), Arg::Value(yours.as_bytes())]).unwrap();
    let second = submit("meet", meet, &[Arg::Value(yours.as_bytes()), Arg::Value(mine.as_bytes())]).unwrap();
    get(&first).unwrap();
    get(&second).unwrap();
}

fn a_failure_is_told_once_and_carried_to_whoever_depends_on_it() {
    let front = Front::with_cpus(1);
    let origin = submit("broken", broken, &[]).unwrap();
    let between = submit("middle", middle, &[Arg::Of(&origin)]).unwrap();
    let end = submit("last", last, &[Arg::Of(&between)]).unwrap();
    let Err(Fault::Task(failure)) = get(&end).map(|_| ()) else { panic!("it did not fail") };
    assert_eq!((failure.task.as_str(), &failure.cause), ("broken", &Cause::Error { message: "odd".into() }));
    assert_eq!(failure.carried_by, ["middle", "last"]);
    assert_ne!(failure.pid, 0);
    // One that is submitted when the failure is known already.
    let after = submit("late", late, &[Arg::Of(&end)]).unwrap();
    let Err(Fault::Task(failure)) = get(&after).map(|_| ()) else { panic!("it did not fail") };
    assert_eq!(failure.carried_by, ["middle", "last", "late"]);

    assert_eq!(front.told.failures().len(), 1);
    let Answer::Errors(errors) = ask(&Question::Errors).unwrap() else { panic!("not what was asked") };
    assert_eq!(errors.len(), 1);
    assert_eq!(ask(&Question::State { id: end.0 }).unwrap(), Answer::State(ObjectState::Failed));
}

fn a_long_chain_of_failures_names_its_first_tasks_and_counts_the_rest() {
    let front = Front::with_cpus(1);
    let origin = submit("broken", broken, &[]).unwrap();
    let chain = |first: Ref| (0..1000).fold(first, |before, _| submit("middle", middle, &[Arg::Of(&before)]).unwrap());
    let end = chain(origin);
    // Again when it is known already that the one before has failed.
    for end in [&end, &chain(submit("middle", middle, &[Arg::Of(&end)]).unwrap())] {
        let Err(Fault::Task(failure)) = get(end).map(|_| ()) else { panic!("it did not fail") };
        let (more, named) = failure.carried_by.split_last().unwrap();
        assert_eq!((failure.task.as_str(), named), ("broken", &vec!["middle".to_owned(); 32][..]));
        assert!(more.starts_with("… and ") && more.ends_with(" more"), "{more}");
    }
    assert_eq!(front.told.failures().len(), 1);
}

fn a_panic_knows_its_place_in_the_cell() {
    let _front = Front::with_cpus(1);
    let task = submit("panicked", panicked, &[]).unwrap();
    let Err(Fault::Task(failure)) = get(&task).map(|_| ()) else { panic!("it did not fail") };
    let Cause::Panic { place: Some(place), .. } = failure.cause else { panic!("not a panic") };
    assert_eq!(place.cell.unwrap().cell, 7);
}

fn a_killed_worker_fails_its_task_and_is_replaced() {
    let front = Front::with_cpus(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid").to_str().unwrap().to_owned();
    let task = submit("for_ever", for_ever, &[Arg::Value(path.as_bytes())]).unwrap();
    let pid = running_pid(&path);
    kill(pid);
    let Err(Fault::Task(failure)) = get(&task).map(|_| ()) else { panic!("it did not fail") };
    assert_eq!((failure.pid, failure.cause), (pid, sigkill()));
    assert!(!is_alive(pid));
    let next = submit("add", add, &[Arg::Value(&words(1))]).unwrap();
    assert_eq!(number(&get(&next).unwrap()), 1);
    assert_eq!(front.told.failures().len(), 1);
}

fn a_task_that_exits_says_with_what_code() {
    let _front = Front::with_cpus(1);
    let task = submit("exit_three", exit_three, &[]).unwrap();
    let Err(Fault::Task(failure)) = get(&task).map(|_| ()) else { panic!("it did not fail") };
    assert_eq!(failure.cause, Cause::Exit { code: 3 });
}

fn a_task_that_returns_nothing_is_refused() {
    let _front = Front::with_cpus(1);
    let task = submit("silent", silent, &[]).unwrap();
    let Err(Fault::Task(failure)) = get(&task).map(|_| ()) else { panic!("it did not fail") };
    assert!(matches!(failure.cause, Cause::Refused { .. }), "{failure:?}");
}

fn what_a_task_wrote_is_there_before_its_result() {
    let front = Front::with_cpus(1);
    for round in 1..=50 {
        let task = submit("talk", talk, &[Arg::Value(&words(1))]).unwrap();
        get(&task).unwrap();
        let text = front.told.text();
        assert_eq!(text.matches("line 0").count(), round);
        assert_eq!(text.matches("the end\n").count(), round, "a last line without an end gets one");
        assert!(text.lines().all(|line| line.starts_with("(talk pid=")));
    }
    let is_stdout = |event: &RuntimeEvent| matches!(event, RuntimeEvent::TaskOutput { stream: Stream::Stdout, .. });
    front.told.wait_for(is_stdout);
}

fn what_several_workers_write_alike_is_counted_before_the_last_result() {
    let front = Front::with_cpus(2);
    let folder = tempfile::tempdir().unwrap();
    let [mine, yours] = ["mine", "yours"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    // Two workers, for sure.
    let first = submit("meet", meet, &[Arg::Value(mine.as_bytes()), Arg::Value(yours.as_bytes())]).unwrap();
    let second = submit("meet", meet, &[Arg::Value(yours.as_bytes()), Arg::Value(mine.as_bytes())]).unwrap();
    let tasks: Vec<Ref> = (0..200).map(|_| submit("talk", talk, &[Arg::Value(&words(1))]).unwrap()).collect();
    for task in [first, second].iter().chain(&tasks) {
        get(task).unwrap();
    }
    let text = front.told.text();
    let counted = |line: &str| match line.split_once(" [repeated ") {
        Some((_, count)) => count.split('x').next().unwrap().parse::<usize>().unwrap(),
        None => 1,
    };
    let written: usize = text.lines().filter(|line| line.contains("line 0")).map(counted).sum();
    assert_eq!(written, 200, "{text}");
    assert!(text.lines().all(|line| line.starts_with("(talk pid=")), "{text}");
}

fn lines_are_not_folded_when_init_says_so_and_a_silent_runtime_shows_nothing() {
    let front = Front::with_cpus(2);
    let told = InitOptions { fold_output: Some(false), ..InitOptions::default() };
    ask(&Question::Init(told)).unwrap();
    let talks = || {
        let tasks: Vec<Ref> = (0..50).map(|_| submit("talk", talk, &[Arg::Value(&words(1))]).unwrap()).collect();
        tasks.iter().for_each(|task| drop(get(task).unwrap()));
    };
    talks();
    assert_eq!(front.told.text().matches("line 0").count(), 50);
    ask(&Question::Shutdown).unwrap();
    ask(&Question::Init(InitOptions { driver_mode: DriverMode::Silent, ..InitOptions::default() })).unwrap();
    talks();
    get(&submit("broken", broken, &[]).unwrap()).map(|_| ()).unwrap_err();
    assert_eq!((front.told.text().matches("line 0").count(), front.told.failures().len()), (50, 0));
    let Answer::Errors(errors) = ask(&Question::Errors).unwrap() else { panic!("not what was asked") };
    assert_eq!(errors.len(), 1, "it is recorded all the same");
}

fn much_output_does_not_stop_a_task() {
    const LINES: u64 = 100_000;
    let front = Front::with_cpus(1);
    get(&submit("talk", talk, &[Arg::Value(&words(LINES))]).unwrap()).unwrap();
    assert_eq!(front.told.text().lines().count() as u64, LINES + 1);
}

fn output_without_end_is_held_back_and_counted_unless_init_says_otherwise() {
    const LINES: u64 = 400_000;
    let front = Front::with_cpus(1);
    let talks = || drop(get(&submit("talk", talk, &[Arg::Value(&words(LINES))]).unwrap()).unwrap());
    talks();
    let text = front.told.text();
    let held_back = |line: &str| {
        let (count, _) = line.split_once(" lines of output held back, ")?;
        count.rsplit_once('[')?.1.parse::<u64>().ok()
    };
    let counted: u64 = text.lines().filter_map(held_back).sum();
    let shown = text.lines().filter(|line| held_back(line).is_none()).count() as u64;
    assert!(counted > 0 && text.len() > 16 << 20, "{counted} of {} bytes", text.len());
    assert_eq!(shown + counted, LINES + 1, "a line is shown, or counted before the result is there");
    ask(&Question::Init(InitOptions { limit_output: Some(false), ..InitOptions::default() })).unwrap();
    talks();
    assert_eq!(front.told.text().lines().count(), text.lines().count() + LINES as usize + 1);
}

fn wait_says_what_is_ready_and_gives_up_in_time() {
    let _front = Front::with_cpus(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("go").to_str().unwrap().to_owned();
    let slow = submit("until_there", until_there, &[Arg::Value(path.as_bytes())]).unwrap();
    let quick = submit("add", add, &[]).unwrap();
    assert_eq!(wait(&[&slow, &quick], 1, None).unwrap(), [false, true]);
    assert_eq!(wait(&[&slow, &quick], 2, Some(Duration::from_millis(20))).unwrap(), [false, true]);
    assert_eq!(wait(&[&slow], 1, Some(Duration::ZERO)).unwrap(), [false]);
    assert!(open(&slow).unwrap().is_none(), "it is not there yet");
    assert!(matches!(wait(&[&slow], 2, None), Err(Fault::Refused { .. })));
    std::fs::write(&path, "").unwrap();
    assert_eq!(wait(&[&slow, &slow, &quick], 3, None).unwrap(), [true, true, true], "the same twice is no problem");
}

/// How often this thread has gone to sleep.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

fn threads_that_wait_for_the_same_tasks_at_once_all_hear_of_them() {
    let _front = Front::with_cpus(2);
    // Their ways into and out of a sleep cross in every order: some wait for all, one gives up again and again, one wants a single result.
    for round in 0..200 {
        let tasks: Vec<Ref> = (0..8).map(|_| submit("add", add, &[Arg::Value(&words(round))]).unwrap()).collect();
        let all: Vec<&Ref> = tasks.iter().collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| wait(&all, all.len(), None).unwrap());
            }
            scope.spawn(|| {
                while !wait(&all, all.len(), Some(Duration::from_micros(20))).unwrap().iter().all(|ready| *ready) {}
            });
            scope.spawn(|| wait(&all[7..], 1, None).unwrap());
        });
    }
}

fn waiting_for_a_thousand_tasks_is_one_sleep() {
    let _front = Front::with_cpus(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("go").to_str().unwrap().to_owned();
    // Nothing is ready before it is waited for.
    let mut gates: Vec<Ref> = Vec::new();
    for _ in 0..2 {
        gates.push(submit("until_there", until_there, &[Arg::Value(path.as_bytes())]).unwrap());
    }
    let tasks: Vec<Ref> = (0..1000).map(|_| submit("add", add, &[]).unwrap()).collect();
    let opener = std::thread::spawn(move || {
        let client = client::current().unwrap();
        until("somebody sleeps", || client.segment().desk(client.seat()).asleep.load(Ordering::Acquire) > 0);
        std::fs::write(&path, "").unwrap();
    });
    let before = sleeps();
    wait(&tasks.iter().collect::<Vec<_>>(), tasks.len(), None).unwrap();
    let slept = sleeps() - before;
    opener.join().unwrap();
    // The kernel may give the processor to somebody else in a system call; that is not one sleep for each task.
    assert!(slept <= 5, "{slept} sleeps");
}

fn a_second_init_is_refused_and_a_first_one_counts() {
    let _front = Front::start(Config { num_cpus: Some(1.0), ..Config::default() });
    let options = InitOptions {
        num_cpus: Some(3.0),
        num_gpus: Some(1.0),
        memory: Some(1 << 30),
        object_store_memory: Some(64 << 20),
        ..InitOptions::default()
    };
    let Answer::Address(address) = ask(&Question::Init(options.clone())).unwrap() else { panic!("not an address") };
    assert_eq!((address.num_cpus, address.object_store_memory), (3.0, 64 << 20));
    assert!(Path::new(&address.session_dir).is_dir());
    assert!(matches!(ask(&Question::Init(options.clone())), Err(Fault::Refused { .. })));
    let again = InitOptions { ignore_reinit: true, ..options };
    let Answer::Address(same) = ask(&Question::Init(again)).unwrap() else { panic!("not an address") };
    assert_eq!((same.socket, same.num_cpus), (address.socket, 3.0));
    let Answer::Resources(all) = ask(&Question::ClusterResources).unwrap() else { panic!("not resources") };
    assert_eq!(all, [("CPU".into(), 3.0), ("GPU".into(), 1.0), ("memory".into(), f64::from(1 << 30))]);
    // The new memory works.
    let big = vec![5; 1 << 20];
    assert_eq!(*get(&put(&big).unwrap()).unwrap(), big);
    until("three workers run", || {
        let again = InitOptions { ignore_reinit: true, ..InitOptions::default() };
        matches!(ask(&Question::Init(again)), Ok(Answer::Address(address)) if address.workers.len() == 3)
    });
}

fn a_shutdown_leaves_no_worker_and_no_object_and_the_next_task_starts_anew() {
    let front = Front::start(Config { num_cpus: Some(2.0), ..Config::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid").to_str().unwrap().to_owned();
    let big = vec![5; 1 << 20];
    let (object, running) = (put(&big).unwrap(), submit("for_ever", for_ever, &[Arg::Value(path.as_bytes())]).unwrap());
    let waiting = submit("add", add, &[Arg::Of(&running)]).unwrap();
    let pid = running_pid(&path);
    let Answer::Address(address) = ask(&Question::Init(InitOptions::default())).unwrap() else {
        panic!("not an address")
    };
    assert_eq!(ask(&Question::Shutdown), Ok(Answer::Done));
    assert!(address.workers.contains(&pid) && !address.workers.into_iter().any(is_alive));
    for gone in [&object, &running, &waiting] {
        assert!(matches!(get(gone).map(|_| ()), Err(Fault::Unknown { .. })), "{gone:?}");
    }
    assert_eq!(front.told.failures(), [], "nobody is told of each task");
    // There is nothing in the store, so its memory may be another one.
    let options = InitOptions { object_store_memory: Some(64 << 20), ..InitOptions::default() };
    let Answer::Address(address) = ask(&Question::Init(options)).unwrap() else { panic!("not an address") };
    assert_eq!((address.num_cpus, address.object_store_memory), (2.0, 64 << 20));
    assert_eq!(*get(&put(&big).unwrap()).unwrap(), big);
    assert_eq!(ask(&Question::Shutdown), Ok(Answer::Done));
    let next = submit("add", add, &[Arg::Value(&words(1))]).unwrap();
    assert_eq!(number(&get(&next).unwrap()), 1, "a task starts it as `init` does");
}
