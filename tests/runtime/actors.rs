//! Actors, as Ray's documentation and `ray.init`'s tutorial describe them.
//!
//! Actors tell what they do by files, so that nothing here depends on how fast the machine is.

use crate::options::{folder, shown};
use crate::{Scenario, start, until, until_there_is, while_killing};
use mobula::local::{Config, Program};
use mobula::prelude::*;
use mobula::{ActorError, TaskError};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

scenarios! {
    an_actor_keeps_its_state_between_calls
    the_calls_of_one_caller_run_in_their_order
    a_method_takes_up_to_seven_arguments_and_refs_among_them
    methods_that_borrow_and_async_methods_are_called_alike
    a_call_that_waits_for_its_argument_holds_up_its_own_caller_only
    a_method_that_fails_fails_its_call_and_the_actor_lives_on
    a_constructor_that_panics_is_what_every_call_says
    a_constructor_that_returns_an_error_is_what_every_call_says
    a_constructor_whose_argument_failed_makes_no_actor
    handles_can_be_passed_on_and_stored
    an_actor_calls_another_one
    the_last_handle_gone_ends_the_actor_after_its_last_call
    a_named_actor_is_found_by_its_name_and_lives_without_a_handle
    a_name_is_taken_once_and_get_if_exists_takes_what_there_is
    a_name_is_free_again_when_its_actor_has_died
    a_killed_actor_gives_actor_died_for_every_call
    an_actor_whose_process_dies_says_how
    an_actor_with_restarts_comes_back_and_runs_what_it_had_not_begun
    a_call_is_retried_only_if_its_actor_says_so
    an_actor_that_dies_in_its_constructor_is_started_again_too
    an_actor_that_dies_while_it_is_made_again_ends_with_its_handle_like_any_other
    an_actor_whose_restarts_are_used_up_is_dead
    fifty_actors_live_on_two_cpus
    an_actor_keeps_the_resources_that_it_asks_for_and_no_others
    an_actor_that_waits_inside_lends_its_cpu
    a_call_that_has_not_begun_can_be_cancelled_and_one_that_runs_notices
    more_calls_than_the_mailbox_holds_wait_and_all_run
    async_methods_take_turns_and_methods_that_change_the_state_wait_for_them
    a_thousand_async_calls_wait_at_once
    max_concurrency_runs_methods_that_only_read_at_once
    calls_that_run_at_once_end_and_fail_each_for_itself
    calls_that_are_cancelled_together_all_end
    options_of_a_function_say_nothing_of_its_calls
    an_actor_that_is_killed_before_it_is_made_takes_no_other_task_along
    what_only_actors_have_is_refused_for_tasks_and_the_other_way_round
    actors_whose_processes_are_killed_at_random_answer_every_call
    whatever_happens_to_actors_nothing_is_left
}

pub fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

struct Counter {
    n: i64,
}

impl Counter {
    fn new(n: i64) -> Counter {
        Counter { n }
    }

    fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.n
    }

    fn value(&self) -> i64 {
        self.n
    }

    async fn later(&self, by: ObjectRef<i64>) -> Result<i64, GetError> {
        Ok(self.n + by.await?)
    }

    async fn add_later(&mut self, by: i64) -> i64 {
        std::future::ready(()).await;
        self.add(by)
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn divide(&mut self, by: i64) -> Result<i64, String> {
        self.n.checked_div(by).ok_or_else(|| "by zero".into())
    }

    fn panics(&mut self) {
        self.n += 1;
        panic!("on purpose");
    }

    fn dies(&mut self) -> i64 {
        std::process::abort()
    }

    /// Dies in its first runs: says so in a file each.
    fn dies_until(&mut self, folder: String, runs: usize) -> i64 {
        let run = fs::read_dir(&folder).unwrap().count();
        fs::write(format!("{folder}/{run}"), "").unwrap();
        if run < runs {
            std::process::abort();
        }
        self.n
    }

    /// Says that it has begun, and waits for its end.
    fn holds(&mut self, begun: String, end: String) -> i64 {
        fs::write(begun, "").unwrap();
        until_there_is(&end);
        self.n
    }

    fn waits_for(&mut self, other: ObjectRef<i64>) -> i64 {
        get(other).unwrap()
    }
}

fn an_actor_keeps_its_state_between_calls() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(10);
    assert_eq!(get(Counter::add.call(&counter, 5)).unwrap(), 15);
    assert_eq!(get(Counter::add.call(&counter, 5)).unwrap(), 20);
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 20);
    assert_ne!(get(Counter::pid.call(&counter)).unwrap(), std::process::id());
    // A state that no thread but its own may have.
    let shared = (|| Rc::new(Cell::new(1))).spawn();
    (|cell: &mut Rc<Cell<i64>>| cell.set(2)).call(&shared);
    assert_eq!(get((|cell: &Rc<Cell<i64>>| cell.get()).call(&shared)).unwrap(), 2);
    assert!(format!("{counter:?}").starts_with("Actor(Counter, ") && format!("{counter:?}").contains("alive, pid "));
}

fn the_calls_of_one_caller_run_in_their_order() {
    let _runtime = start(2.0);
    let list = Vec::<i64>::new.spawn();
    (0..2000).for_each(|n| drop(Vec::push.call(&list, n)));
    let caller = |list: mobula::Actor<Vec<i64>>, from: i64| {
        (from..from + 500).for_each(|n| drop(Vec::push.call(&list, n)));
    };
    get(&[caller.remote(&list, 10_000), caller.remote(&list, 20_000)]).unwrap();
    let all = get((|list: &Vec<i64>| list.clone()).call(&list)).unwrap();
    let of =
        |from: i64, count: i64| all.iter().copied().filter(|n| (from..from + count).contains(n)).collect::<Vec<_>>();
    assert_eq!(of(0, 2000), (0..2000).collect::<Vec<_>>());
    assert_eq!(of(10_000, 500), (10_000..10_500).collect::<Vec<_>>());
    assert_eq!(of(20_000, 500), (20_000..20_500).collect::<Vec<_>>());
}

fn a_method_takes_up_to_seven_arguments_and_refs_among_them() {
    let _runtime = start(2.0);
    #[allow(clippy::too_many_arguments)]
    fn seven(counter: &mut Counter, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: String) -> String {
        counter.n += a + b + c + d + e + f;
        format!("{g} {}", counter.n)
    }
    #[allow(clippy::too_many_arguments)]
    fn eight(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64, h: i64) -> Counter {
        Counter { n: a + b + c + d + e + f + g + h }
    }
    let three = (|| 3_i64).remote();
    let large = put(&"x".repeat(1_000_000)).unwrap();
    let counter = eight.spawn(1, 1, 1, 1, 1, 1, 1, &three);
    let call = seven.call(&counter, 1, &three, 1, 1, 1, put(&2).unwrap(), &large);
    let text = get(call).unwrap();
    assert_eq!((text.len(), &text[999_999..]), (1_000_003, "x 19"));
    drop(large);
    let kept = (|text: String| text).spawn("y".repeat(500_000));
    assert_eq!(get(String::len.call(&kept)).unwrap(), 500_000);
}

fn methods_that_borrow_and_async_methods_are_called_alike() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(1);
    let two = (|| 2_i64).remote();
    // The ref itself, and not its value, is the argument.
    let inside = put(&two).unwrap();
    assert_eq!(get(Counter::later.call(&counter, &inside)).unwrap().unwrap(), 3);
    assert_eq!(get(Counter::add_later.call(&counter, 4)).unwrap(), 5);
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 5);
}

fn a_call_that_waits_for_its_argument_holds_up_its_own_caller_only() {
    let _runtime = start(3.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let slow = (|end: String| {
        until_there_is(&end);
        100_i64
    })
    .remote(file("end"));
    let counter = Counter::new.spawn(0);
    let waits = Counter::add.call(&counter, &slow);
    let behind = Counter::add.call(&counter, 1);
    let other = |counter: mobula::Actor<Counter>| get(Counter::add.call(&counter, 10)).unwrap();
    assert_eq!(get(other.remote(&counter)).unwrap(), 10);
    assert!(get_timeout(&behind, Duration::ZERO).is_err());
    fs::write(file("end"), "").unwrap();
    assert_eq!(get(&[waits, behind]).unwrap(), [110, 111]);
}

fn a_method_that_fails_fails_its_call_and_the_actor_lives_on() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(6);
    let error = get(Counter::divide.call(&counter, 0)).unwrap_err();
    assert_eq!(error.to_string(), "task `actors::Counter::divide` failed: returned Err: by zero");
    let error = get(Counter::panics.call(&counter)).unwrap_err();
    assert!(matches!(&error, GetError::TaskFailed { task, .. } if task == "actors::Counter::panics"), "{error}");
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 7);
    assert_eq!(errors().len(), 2);
}

fn said(error: &GetError) -> (&str, &TaskError) {
    match error {
        GetError::ActorDied { actor, source, .. } => (actor, source),
        other => panic!("{other}"),
    }
}

fn a_constructor_that_panics_is_what_every_call_says() {
    let _runtime = start(2.0);
    let broken = (|n: i64| -> Counter { panic!("no counter for {n}") }).spawn(3);
    for _ in 0..2 {
        let error = get(Counter::value.call(&broken)).unwrap_err();
        assert_eq!(said(&error).0, "Counter");
        let text = error.to_string();
        assert!(
            text.starts_with(
                "task `actors::Counter::value` failed: actor `Counter` died: its constructor panicked: no counter for 3"
            ),
            "{text}"
        );
    }
    assert_eq!(errors().len(), 1, "it is told once, where it began");
    assert!(format!("{broken:?}").ends_with(", dead)"), "{broken:?}");
}

fn a_constructor_that_returns_an_error_is_what_every_call_says() {
    let _runtime = start(2.0);
    let open = |path: String| if path.is_empty() { Err("no path") } else { Ok(Counter { n: path.len() as i64 }) };
    let counter = open.try_spawn("abc".to_string());
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 3);
    let broken = open.try_spawn(String::new());
    let error = get(Counter::value.call(&broken)).unwrap_err();
    let text = "task `actors::Counter::value` failed: actor `Counter` died: its constructor returned Err: no path";
    assert_eq!(error.to_string(), text);
}

fn a_constructor_whose_argument_failed_makes_no_actor() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn((|| -> i64 { panic!("no number") }).remote());
    let error = get(Counter::value.call(&counter)).unwrap_err();
    assert!(error.to_string().contains("failed, whose result it was to take"), "{error}");
}

fn handles_can_be_passed_on_and_stored() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(0);
    let add = |counter: mobula::Actor<Counter>, by: i64| get(Counter::add.call(&counter, by)).unwrap();
    assert_eq!(get(add.remote(&counter, 3)).unwrap(), 3);
    assert_eq!(get(add.remote(counter.clone(), 3)).unwrap(), 6);
    let stored = put(&vec![counter.clone()]).unwrap();
    assert!(get(&stored).unwrap() == [counter.clone()]);
    drop(counter);
    let first = |counters: Vec<mobula::Actor<Counter>>| counters[0].clone();
    let counter = get(first.remote(&stored)).unwrap();
    drop(stored);
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 7);
    let made = |n: i64| Counter::new.spawn(n);
    let from_a_task = get(made.remote(5)).unwrap();
    assert_eq!(get(Counter::value.call(&from_a_task)).unwrap(), 5);
}

struct Twice {
    of: mobula::Actor<Counter>,
}

impl Twice {
    fn new(of: mobula::Actor<Counter>) -> Twice {
        Twice { of }
    }

    fn add(&mut self, by: i64) -> i64 {
        drop(Counter::add.call(&self.of, by));
        get(Counter::add.call(&self.of, by)).unwrap()
    }
}

fn an_actor_calls_another_one() {
    let _runtime = start(1.0);
    let counter = Counter::new.spawn(0);
    let twice = Twice::new.spawn(&counter);
    drop(counter);
    assert_eq!(get(&[Twice::add.call(&twice, 5), Twice::add.call(&twice, 1)]).unwrap(), [10, 12]);
}

struct Tells {
    file: String,
}

impl Drop for Tells {
    fn drop(&mut self) {
        fs::write(&self.file, "").unwrap();
    }
}

fn the_last_handle_gone_ends_the_actor_after_its_last_call() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let actor = (|file: String| Tells { file }).spawn(file("dropped"));
    let pid = get((|_: &Tells| std::process::id()).call(&actor)).unwrap();
    let last = (|_: &mut Tells, end: String| {
        until_there_is(&end);
        7
    })
    .call(&actor, file("end"));
    let same = actor.clone();
    drop(actor);
    drop(same);
    assert!(is_running(pid) && !Path::new(&file("dropped")).exists());
    fs::write(file("end"), "").unwrap();
    assert_eq!(get(&last).unwrap(), 7);
    until_there_is(&file("dropped"));
    until(|| !is_running(pid));
    assert_eq!(errors().len(), 0, "that is no failure");
}

fn a_named_actor_is_found_by_its_name_and_lives_without_a_handle() {
    let _runtime = start(2.0);
    drop(Counter::new.options().name("counter").spawn(5));
    let counter = actor::<Counter>("counter").unwrap();
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 6);
    drop(counter);
    let found = || get(Counter::add.call(&actor::<Counter>("counter").unwrap(), 1)).unwrap();
    assert_eq!(get(found.remote()).unwrap(), 7);
    assert!(matches!(actor::<Counter>("other"), Err(ActorError::NotFound { .. })));
    let error = actor::<Vec<i64>>("counter").unwrap_err();
    assert_eq!(error.to_string(), "the actor `counter` is a `Counter`, and no `Vec<i64>`");
}

fn a_name_is_taken_once_and_get_if_exists_takes_what_there_is() {
    let _runtime = start(2.0);
    let options = Counter::new.options().name("one");
    let first = options.spawn(1);
    let refused = std::panic::catch_unwind(|| Counter::new.options().name("one").spawn(2)).unwrap_err();
    let message = refused.downcast::<String>().unwrap();
    assert!(message.contains("there is an actor named `one` already, a `Counter`"), "{message}");
    assert!(options.get_if_exists().spawn(2) == first);
    let many: Vec<_> =
        (0..20).map(|n| (|n: i64| Counter::new.options().name("many").get_if_exists().spawn(n)).remote(n)).collect();
    let many = get(&many).unwrap();
    assert!(many.iter().all(|actor| *actor == many[0]), "one of them was made");
}

fn a_name_is_free_again_when_its_actor_has_died() {
    let _runtime = start(2.0);
    let first = Counter::new.options().name("name").spawn(1);
    kill(&first).unwrap();
    assert!(matches!(actor::<Counter>("name"), Err(ActorError::NotFound { .. })));
    let second = Counter::new.options().name("name").spawn(2);
    assert!(first != second && actor::<Counter>("name").unwrap() == second);
    let broken = (|| -> Counter { panic!("never") }).options().name("broken").spawn();
    get(Counter::value.call(&broken)).unwrap_err();
    let whole = Counter::new.options().name("broken").spawn(3);
    assert_eq!(get(Counter::value.call(&whole)).unwrap(), 3);
}

fn a_killed_actor_gives_actor_died_for_every_call() {
    let _runtime = start(3.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let counter = Counter::new.options().max_restarts(5).max_task_retries(5).spawn(0);
    let pid = get(Counter::pid.call(&counter)).unwrap();
    let slow = (|end: String| {
        until_there_is(&end);
        1_i64
    })
    .remote(file("end"));
    let runs = Counter::holds.call(&counter, file("begun"), file("never"));
    until_there_is(&file("begun"));
    let (queued, waits) = (Counter::value.call(&counter), Counter::add.call(&counter, &slow));
    kill(&counter).unwrap();
    for call in [&runs, &queued, &waits, &Counter::value.call(&counter), &Counter::add.call(&counter, &slow)] {
        let error = get(call).unwrap_err();
        assert!(error.to_string().ends_with("actor `Counter` died: ended by `kill`"), "{error}");
    }
    until(|| !is_running(pid));
    kill(&counter).unwrap();
    assert_eq!(errors().len(), 0, "who kills knows");
    fs::write(file("end"), "").unwrap();
    assert_eq!(get(&slow).unwrap(), 1);
    // One that has not begun, because it waits for its argument.
    let never = Counter::new.spawn(
        (|| -> i64 {
            loop {
                std::thread::park()
            }
        })
        .remote(),
    );
    kill(&never).unwrap();
    said(&get(Counter::value.call(&never)).unwrap_err());
}

fn an_actor_whose_process_dies_says_how() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(0);
    (|_: &Counter| eprintln!("the last thing that it says")).call(&counter);
    let (runs, queued) = (Counter::dies.call(&counter), Counter::value.call(&counter));
    let error = get(&runs).unwrap_err();
    let text = "task `actors::Counter::dies` failed: actor `Counter` died: killed by signal 6 (SIGABRT)";
    assert_eq!(error.to_string(), text);
    assert!(format!("{error:#}").contains("\n  its last lines:\n  | "), "{error:#}");
    assert!(format!("{error:#}").contains("the last thing that it says"), "{error:#}");
    assert!(said(&get(&queued).unwrap_err()).0 == "Counter");
    assert!(said(&get(Counter::value.call(&counter)).unwrap_err()).0 == "Counter");
    assert_eq!(errors().len(), 1);
    // One that has nothing to do.
    let idle = Counter::new.spawn(0);
    let pid = get(Counter::pid.call(&idle)).unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    until(|| errors().len() == 2);
    let error = get(Counter::value.call(&idle)).unwrap_err();
    assert!(error.to_string().ends_with("actor `Counter` died: killed by signal 9 (SIGKILL)"), "{error}");
}

fn an_actor_with_restarts_comes_back_and_runs_what_it_had_not_begun() {
    let _runtime = start(2.0);
    let start_at = (|| 40_i64).remote();
    let counter = Counter::new.options().max_restarts(2).spawn(&start_at);
    drop(start_at);
    get(Counter::add.call(&counter, 1)).unwrap();
    let (runs, queued) = (Counter::dies.call(&counter), Counter::add.call(&counter, 2));
    assert!(said(&get(&runs).unwrap_err()).0 == "Counter");
    assert_eq!(get(&queued).unwrap(), 42, "it begins with what its constructor makes");
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 43);
}

fn a_call_is_retried_only_if_its_actor_says_so() {
    let _runtime = start(2.0);
    let (first, second) = (folder(), folder());
    let patient = Counter::new.options().max_restarts(-1).max_task_retries(2).spawn(7);
    let call = Counter::dies_until.call(&patient, shown(&first), 2);
    let behind = Counter::add.call(&patient, 1);
    assert_eq!(get(&call).unwrap(), 7, "it is run before what came after it");
    assert_eq!(get(&behind).unwrap(), 8);
    let error = get(Counter::dies_until.call(&patient, shown(&second), 9)).unwrap_err();
    assert!(error.to_string().ends_with("attempt 3 of 3"), "{error}");
    assert_eq!(get(Counter::value.call(&patient)).unwrap(), 7);
}

fn an_actor_that_dies_in_its_constructor_is_started_again_too() {
    let _runtime = start(2.0);
    let folder = folder();
    let dies_once = |folder: String| {
        let run = fs::read_dir(&folder).unwrap().count();
        fs::write(format!("{folder}/{run}"), "").unwrap();
        if run == 0 {
            std::process::abort();
        }
        Counter { n: run as i64 }
    };
    let counter = dies_once.options().max_restarts(1).spawn(shown(&folder));
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 1);
    let never = (|| -> Counter { std::process::abort() }).spawn();
    let error = get(Counter::value.call(&never)).unwrap_err();
    assert!(error.to_string().ends_with("actor `Counter` died: killed by signal 6 (SIGABRT)"), "{error}");
}

fn an_actor_that_dies_while_it_is_made_again_ends_with_its_handle_like_any_other() {
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    let folder = folder();
    let dies_in_some_runs = |folder: String| {
        let run = fs::read_dir(&folder).unwrap().count();
        fs::write(format!("{folder}/{run}"), "").unwrap();
        if (1..4).contains(&run) {
            std::process::abort();
        }
        Counter { n: run as i64 }
    };
    let counter = dies_in_some_runs.options().max_restarts(-1).spawn(shown(&folder));
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 0);
    assert!(get(Counter::dies.call(&counter)).is_err());
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 4);
    let pid = get(Counter::pid.call(&counter)).unwrap();
    drop(counter);
    until(|| !is_running(pid) && client.segment().leaks().is_empty());
    drop(runtime);
}

fn an_actor_whose_restarts_are_used_up_is_dead() {
    let _runtime = start(2.0);
    let counter = Counter::new.options().max_restarts(1).spawn(1);
    said(&get(Counter::dies.call(&counter)).unwrap_err());
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 1);
    said(&get(Counter::dies.call(&counter)).unwrap_err());
    said(&get(Counter::value.call(&counter)).unwrap_err());
}

fn fifty_actors_live_on_two_cpus() {
    let _runtime = start(2.0);
    let counters: Vec<_> = (0..50).map(|n| Counter::new.spawn(n)).collect();
    let values: Vec<_> = counters.iter().map(|counter| Counter::add.call(counter, 100)).collect();
    assert_eq!(get(&values).unwrap(), (100..150).collect::<Vec<_>>());
    let pids: Vec<_> = counters.iter().map(|counter| Counter::pid.call(counter)).collect();
    let pids = get(&pids).unwrap();
    assert_eq!(pids.iter().collect::<std::collections::HashSet<_>>().len(), 50, "each has a process of its own");
    assert_eq!(get((|| 1).remote()).unwrap(), 1, "tasks run beside them");
    drop(counters);
    pids.iter().for_each(|pid| until(|| !is_running(*pid)));
}

fn an_actor_keeps_the_resources_that_it_asks_for_and_no_others() {
    let _runtime =
        Program::start(Config { num_cpus: Some(2.0), resources: vec![("tpu".into(), 1.0)], ..Config::default() })
            .unwrap();
    let free = |name: &str| available_resources().get(name).unwrap_or(0.0);
    let plain = Counter::new.spawn(0);
    get(Counter::value.call(&plain)).unwrap();
    until(|| free("CPU") == 2.0);
    let greedy = Counter::new.options().num_cpus(1.5).resource("tpu", 1.0).spawn(0);
    get(Counter::value.call(&greedy)).unwrap();
    until(|| free("CPU") == 0.5 && free("tpu") == 0.0);
    let second = Counter::new.options().resource("tpu", 1.0).spawn(0);
    let waits = Counter::value.call(&second);
    assert!(get_timeout(&waits, Duration::from_millis(50)).is_err());
    kill(&greedy).unwrap();
    assert_eq!(get(&waits).unwrap(), 0);
    until(|| free("CPU") == 2.0 && free("tpu") == 0.0);
    drop((waits, second));
    until(|| free("tpu") == 1.0);
}

fn an_actor_that_waits_inside_lends_its_cpu() {
    let _runtime = start(1.0);
    let counter = Counter::new.options().num_cpus(1.0).spawn(0);
    let nested = put(&(|| 9_i64).remote()).unwrap();
    assert_eq!(get(Counter::waits_for.call(&counter, &nested)).unwrap(), 9);
}

fn a_call_that_has_not_begun_can_be_cancelled_and_one_that_runs_notices() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let counter = Counter::new.spawn(0);
    let runs = Counter::holds.call(&counter, file("begun"), file("end"));
    until_there_is(&file("begun"));
    let (first, second) = (Counter::add.call(&counter, 1), Counter::add.call(&counter, 10));
    cancel(&first).unwrap();
    assert!(matches!(get(&first), Err(GetError::Cancelled { .. })));
    fs::write(file("end"), "").unwrap();
    assert_eq!(get(&[runs, second]).unwrap(), [0, 10]);
    let spins = (|_: &Counter, begun: String| {
        fs::write(begun, "").unwrap();
        until(mobula::is_cancelled);
        5
    })
    .call(&counter, file("spins"));
    until_there_is(&file("spins"));
    cancel(&spins).unwrap();
    assert!(matches!(get(&spins), Ok(5) | Err(GetError::Cancelled { .. })));
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), 10, "the actor lives on");
}

fn more_calls_than_the_mailbox_holds_wait_and_all_run() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(0);
    let count = 50_000;
    (0..count).for_each(|_| drop(Counter::add.call(&counter, 1)));
    assert_eq!(get(Counter::value.call(&counter)).unwrap(), count);
}

/// A place where calls meet: opened by one, awaited by others.
struct Gate {
    opened: AtomicUsize,
}

impl Gate {
    fn new() -> Gate {
        Gate { opened: AtomicUsize::new(0) }
    }

    /// Says that it has come, and waits until so many have.
    async fn meet(&self, count: usize) -> usize {
        self.opened.fetch_add(1, Ordering::SeqCst);
        std::future::poll_fn(|context| {
            let opened = self.opened.load(Ordering::SeqCst);
            context.waker().wake_by_ref();
            if opened >= count { Poll::Ready(opened) } else { Poll::Pending }
        })
        .await
    }

    /// The same, in a thread.
    fn meet_here(&self, count: usize) -> usize {
        self.opened.fetch_add(1, Ordering::SeqCst);
        until(|| self.opened.load(Ordering::SeqCst) >= count);
        self.opened.load(Ordering::SeqCst)
    }

    async fn sum(&self, parts: Vec<ObjectRef<i64>>) -> Result<i64, GetError> {
        let mut sum = 0;
        for part in parts {
            sum += part.await?;
        }
        Ok(sum)
    }

    async fn panics(&self) {
        std::future::ready(()).await;
        panic!("in turns");
    }

    fn fails_here(&self, count: usize) -> Result<usize, String> {
        self.meet_here(count);
        if count > 0 { Err("on purpose".into()) } else { Ok(0) }
    }

    fn change(&mut self) -> usize {
        std::mem::take(self.opened.get_mut())
    }
}

fn async_methods_take_turns_and_methods_that_change_the_state_wait_for_them() {
    let _runtime = start(2.0);
    let gate = Gate::new.spawn();
    let meet: Vec<_> = (0..5).map(|_| Gate::meet.call(&gate, 5)).collect();
    let changed = Gate::change.call(&gate);
    assert_eq!(get(&meet).unwrap(), [5; 5]);
    assert_eq!(get(&changed).unwrap(), 5, "it has waited for all that came before it");
    // What they await may come from this actor's own callers, later.
    let folder = folder();
    let late = (|end: String| {
        until_there_is(&end);
        30_i64
    })
    .remote(format!("{}/end", shown(&folder)));
    let waits = Gate::sum.call(&gate, vec![late, put(&12).unwrap()]);
    assert_eq!(get(Gate::meet.call(&gate, 1)).unwrap(), 1);
    fs::write(format!("{}/end", shown(&folder)), "").unwrap();
    assert_eq!(get(&waits).unwrap().unwrap(), 42);
    // Cancelled where it awaits.
    let never = (|| -> i64 {
        loop {
            std::thread::park()
        }
    })
    .remote();
    let waits = Gate::sum.call(&gate, vec![never.clone()]);
    assert_eq!(get(Gate::meet.call(&gate, 2)).unwrap(), 2);
    cancel(&waits).unwrap();
    assert!(matches!(get(&waits), Err(GetError::Cancelled { .. })));
    cancel(&never).unwrap();
    let error = get(Gate::panics.call(&gate)).unwrap_err();
    assert!(error.to_string().contains("panicked: in turns"), "{error}");
    assert_eq!(get(Gate::change.call(&gate)).unwrap(), 2);
}

fn a_thousand_async_calls_wait_at_once() {
    let _runtime = start(2.0);
    let gate = Gate::new.spawn();
    let meet: Vec<_> = (0..1000).map(|_| Gate::meet.call(&gate, 1000)).collect();
    assert_eq!(get(&meet).unwrap(), [1000; 1000]);
}

fn max_concurrency_runs_methods_that_only_read_at_once() {
    let _runtime = start(2.0);
    let gate = Gate::new.options().max_concurrency(4).spawn();
    let meet: Vec<_> = (0..4).map(|_| Gate::meet_here.call(&gate, 4)).collect();
    let changed = Gate::change.call(&gate);
    assert_eq!(get(&meet).unwrap(), [4; 4]);
    assert_eq!(get(&changed).unwrap(), 4);
    // Beside async ones.
    let both = [Gate::meet.call(&gate, 3), Gate::meet_here.call(&gate, 3), Gate::meet_here.call(&gate, 3)];
    assert_eq!(get(&both).unwrap(), [3; 3]);
}

fn calls_that_run_at_once_end_and_fail_each_for_itself() {
    let _runtime = start(2.0);
    let gate = Gate::new.options().max_concurrency(8).spawn();
    for round in 1..=20 {
        let fails = [(); 4].map(|()| Gate::fails_here.call(&gate, round * 8));
        let meets = [(); 4].map(|()| Gate::meet_here.call(&gate, round * 8));
        for (fails, meets) in fails.iter().zip(&meets) {
            let error = get(fails).unwrap_err();
            assert!(error.to_string().contains("returned Err: on purpose"), "{error}");
            assert_eq!(get(meets).unwrap(), round * 8);
        }
    }
    // Tasks that such calls start are theirs, and they wait for them.
    let asks = |gate: &Gate, n: i64| {
        gate.opened.fetch_add(1, Ordering::SeqCst);
        get((|n: i64| n * 2).remote(n)).unwrap()
    };
    let calls: Vec<_> = (0..40).map(|n| asks.call(&gate, n)).collect();
    assert_eq!(get(&calls).unwrap(), (0..40).map(|n| n * 2).collect::<Vec<_>>());
}

fn calls_that_are_cancelled_together_all_end() {
    let _runtime = start(2.0);
    let gate = Gate::new.spawn();
    let never = (|| -> i64 {
        loop {
            std::thread::park()
        }
    })
    .remote();
    for _ in 0..20 {
        let calls = [(); 4].map(|()| Gate::sum.call(&gate, vec![never.clone()]));
        get(Gate::meet.call(&gate, 1)).unwrap();
        calls.iter().for_each(|call| cancel(call).unwrap());
        calls.iter().for_each(|call| assert!(matches!(get(call), Err(GetError::Cancelled { .. }))));
    }
    cancel(&never).unwrap();
}

#[remote(num_cpus = 0.5)]
fn step(counter: &mut Counter) -> i64 {
    counter.add(1)
}

#[remote(num_cpus = 0.5)]
fn steps(count: i64) -> std::ops::Range<i64> {
    0..count
}

fn options_of_a_function_say_nothing_of_its_calls() {
    let _runtime = start(2.0);
    let counter = Counter::new.spawn(0);
    for n in 1..=20 {
        assert_eq!(get(step.call(&counter)).unwrap(), n);
        // A task that may be given to whoever has nothing to do.
        assert_eq!(get((|n: i64| n).options().num_cpus(0.5).remote(n)).unwrap(), n);
    }
    assert_eq!(get(&steps.stream(20).collect::<Vec<_>>()).unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!(get(step.call(&counter)).unwrap(), 21);
}

fn an_actor_that_is_killed_before_it_is_made_takes_no_other_task_along() {
    let _runtime = start(2.0);
    let folder = folder();
    let file = |name: &str| format!("{}/{name}", shown(&folder));
    let opens = |end: String| {
        until_there_is(&end);
        5_i64
    };
    let (slow, slower) = (opens.remote(file("slow")), opens.remote(file("slower")));
    let double = |n: i64| n * 2;
    let waits = double.remote(&slow);
    let counter = Counter::new.options().name("never").spawn(&slow);
    kill(&counter).unwrap();
    drop(counter);
    // What is submitted now takes the places that have become free.
    let behind: Vec<_> = (0..20).map(|_| double.remote(&slower)).collect();
    fs::write(file("slow"), "").unwrap();
    assert_eq!(get(&waits).unwrap(), 10);
    fs::write(file("slower"), "").unwrap();
    assert_eq!(get(&behind).unwrap(), [10; 20]);
}

fn what_only_actors_have_is_refused_for_tasks_and_the_other_way_round() {
    let _runtime = start(1.0);
    let message = |submits: fn()| *std::panic::catch_unwind(submits).unwrap_err().downcast::<String>().unwrap();
    let text = message(|| drop((|| 1).options().max_restarts(1).remote()));
    assert!(text.ends_with("`max_restarts` is an option of actors, which `.spawn(…)` starts"), "{text}");
    let text = message(|| drop(Counter::new.options().max_retries(1).spawn(1)));
    assert!(text.contains("`max_retries` is an option of tasks; an actor has `max_restarts`"), "{text}");
    let text = message(|| drop(Counter::new.options().get_if_exists().spawn(1)));
    assert!(text.contains("`get_if_exists`: only an actor with a `name`"), "{text}");
}

/// Does the work while a thread kills one actor's process after the other.
pub fn while_processes_of_are_killed<A>(actors: &[Actor<A>], every: Duration, work: impl FnOnce()) {
    let process = |turn: usize| {
        let shown = format!("{:?}", actors[turn * 7 % actors.len()]);
        shown.split("pid ").nth(1).map(|rest| rest.trim_end_matches(')').parse().unwrap())
    };
    while_killing(process, every, work);
}

fn actors_whose_processes_are_killed_at_random_answer_every_call() {
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    let lives = Counter::new.options().max_restarts(-1).max_task_retries(-1);
    let counters: Vec<_> = (0..6).map(|n| lives.spawn(n * 1000)).collect();
    while_processes_of_are_killed(&counters, Duration::from_millis(2), || {
        let late = |n: i64| n;
        for round in 0..150_i64 {
            let calls = counters.iter().map(|counter| match round % 3 {
                0 => Counter::add.call(counter, late.remote(1)),
                _ => Counter::add.call(counter, 1),
            });
            let calls: Vec<_> = calls.collect();
            for (n, call) in (0..).zip(&calls) {
                let sum = get(call).unwrap();
                assert!((n * 1000 + 1..=n * 1000 + 200).contains(&sum), "{sum} of actor {n}");
            }
        }
    });
    drop(counters);
    until(|| client.segment().leaks().is_empty());
    drop(runtime);
}

fn whatever_happens_to_actors_nothing_is_left() {
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    for round in 0..20_i64 {
        let kept = put(&"z".repeat(200_000)).unwrap();
        let made = |text: String| Counter { n: text.len() as i64 };
        let counters: Vec<_> = (0..4).map(|_| made.options().max_restarts(1).spawn(&kept)).collect();
        let calls: Vec<_> = counters.iter().map(|counter| Counter::add.call(counter, round)).collect();
        match round % 4 {
            0 => kill(&counters[0]).unwrap(),
            1 => drop(Counter::dies.call(&counters[1])),
            2 => drop(cancel(&calls[2])),
            _ => drop(counters),
        }
        for call in &calls {
            match get(call) {
                Ok(n) => assert_eq!(n, 200_000 + round),
                Err(GetError::ActorDied { .. } | GetError::Cancelled { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    until(|| client.segment().leaks().is_empty());
    drop(runtime);
}
