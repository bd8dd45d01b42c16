//! Checkpoints of actors: what `checkpoint_interval` promises, which is what the original Ray did.
//!
//! An actor's process dies by its own hand, or is killed, and the actor has the state again that it had.

use crate::actors::while_processes_of_are_killed;
use crate::options::{folder, shown};
use crate::{Scenario, start, until, until_there_is};
use mobula::prelude::*;
use serde::{Deserialize, Serialize, Serializer};
use std::fs;

scenarios! {
    an_actor_that_is_started_again_has_the_state_that_it_had
    before_the_first_checkpoint_the_constructor_and_the_calls_give_the_state
    calls_run_again_in_their_order_with_the_arguments_that_they_had
    a_result_does_not_change_when_its_call_is_run_again
    a_call_that_panicked_is_run_again_for_what_it_did_before
    a_call_that_was_cancelled_is_not_run_again_and_what_it_did_stays
    a_call_in_flight_counts_once_if_it_is_retried_and_not_at_all_if_not
    a_call_whose_ref_was_dropped_is_retried_like_any_other
    arguments_are_kept_until_the_next_checkpoint_and_no_longer
    a_state_with_refs_and_large_arrays_comes_back
    a_constructor_that_can_fail_has_checkpoints_too
    a_state_that_cannot_be_saved_is_said_and_loses_nothing
    a_checkpoint_that_cannot_be_read_is_what_every_call_says
    checkpoints_of_an_actor_that_does_not_come_back_are_refused
    twenty_counters_that_are_killed_at_random_count_right
    whatever_happens_to_saved_actors_nothing_is_left
}

/// What an actor has been told, in order.
#[derive(Debug, Serialize, Deserialize)]
struct Diary {
    lines: Vec<String>,
}

impl Diary {
    fn new() -> Diary {
        Diary { lines: Vec::new() }
    }

    /// Leaves a file for each run.
    fn noted(folder: String) -> Diary {
        note(&folder);
        Diary::new()
    }

    fn open(is_possible: bool) -> Result<Diary, String> {
        if is_possible { Ok(Diary::new()) } else { Err("there is no paper".into()) }
    }

    fn write(&mut self, line: String) -> usize {
        self.lines.push(line);
        self.lines.len()
    }

    fn write_and_panic(&mut self, line: String) -> usize {
        self.lines.push(line);
        panic!("out of ink")
    }

    fn write_and_wait(&mut self, line: String, begun: String) -> usize {
        self.lines.push(line);
        fs::write(begun, "").unwrap();
        // Ends by being cancelled.
        while !is_cancelled() {
            std::thread::yield_now();
        }
        self.lines.len()
    }

    /// Dies in its first runs, after it has written.
    fn write_and_die(&mut self, line: String, folder: String, deaths: usize) -> usize {
        self.lines.push(line);
        if note(&folder) < deaths {
            std::process::abort();
        }
        self.lines.len()
    }

    fn read(&self) -> Vec<String> {
        self.lines.clone()
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn die(&mut self) {
        std::process::abort();
    }
}

/// Leaves one file more in a folder. Gives how many there were.
fn note(folder: &str) -> usize {
    let runs = fs::read_dir(folder).unwrap().count();
    fs::write(format!("{folder}/{runs}"), "").unwrap();
    runs
}

fn count(folder: &std::path::Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn has_died(diary: &Actor<Diary>) {
    let error = get(Diary::die.call(diary)).unwrap_err();
    assert!(matches!(error, GetError::ActorDied { .. }), "{error}");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn an_actor_that_is_started_again_has_the_state_that_it_had() {
    let _runtime = start(2.0);
    let made = folder();
    let diary = Diary::noted.options().max_restarts(-1).checkpoint_interval(3).spawn(shown(&made));
    for (n, word) in ["a", "b", "c", "d"].into_iter().enumerate() {
        assert_eq!(get(Diary::write.call(&diary, word.to_owned())).unwrap(), n + 1);
    }
    for _ in 0..3 {
        has_died(&diary);
        assert_eq!(get(Diary::read.call(&diary)).unwrap(), words(&["a", "b", "c", "d"]));
    }
    assert_eq!(count(made.path()), 1, "there is a checkpoint, so the constructor is not run again");
    assert_eq!(get(Diary::write.call(&diary, "e".to_owned())).unwrap(), 5);
    has_died(&diary);
    assert_eq!(get(Diary::read.call(&diary)).unwrap().len(), 5);
}

fn before_the_first_checkpoint_the_constructor_and_the_calls_give_the_state() {
    let _runtime = start(2.0);
    let made = folder();
    let diary = Diary::noted.options().max_restarts(-1).checkpoint_interval(100).spawn(shown(&made));
    for word in ["a", "b"] {
        get(Diary::write.call(&diary, word.to_owned())).unwrap();
    }
    has_died(&diary);
    assert_eq!(get(Diary::read.call(&diary)).unwrap(), words(&["a", "b"]));
    assert_eq!(count(made.path()), 2);
}

fn calls_run_again_in_their_order_with_the_arguments_that_they_had() {
    let _runtime = start(2.0);
    let diary = Diary::new.options().max_restarts(1).checkpoint_interval(1000).spawn();
    let (folder, long) = (folder(), "x".repeat(300_000));
    // A call that waits for its argument comes after those of another caller that were made later.
    let late = (|file: String| {
        until_there_is(&file);
        String::from("late")
    })
    .remote(format!("{}/go", shown(&folder)));
    let waits = Diary::write.call(&diary, &late);
    let other = (|diary: Actor<Diary>, text: String| {
        for word in ["one".to_owned(), text, "three".to_owned()] {
            get(Diary::write.call(&diary, word)).unwrap();
        }
    })
    .remote(&diary, put(&long).unwrap());
    get(&other).unwrap();
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(get(&waits).unwrap(), 4);
    drop((late, waits, other));
    has_died(&diary);
    assert_eq!(get(Diary::read.call(&diary)).unwrap(), words(&["one", &long, "three", "late"]));
}

fn a_result_does_not_change_when_its_call_is_run_again() {
    let _runtime = start(2.0);
    let pid = |diary: &mut Diary| {
        diary.lines.push(String::new());
        std::process::id()
    };
    let diary = Diary::new.options().max_restarts(1).checkpoint_interval(10).spawn();
    let call = pid.call(&diary);
    let first = get(&call).unwrap();
    has_died(&diary);
    assert_ne!(get(Diary::pid.call(&diary)).unwrap(), first);
    assert_eq!(get(&call).unwrap(), first);
    assert_eq!(get(Diary::read.call(&diary)).unwrap().len(), 1);
}

fn a_call_that_panicked_is_run_again_for_what_it_did_before() {
    let _runtime = start(2.0);
    let diary = Diary::new.options().max_restarts(1).checkpoint_interval(10).spawn();
    let panicked = Diary::write_and_panic.call(&diary, "half".to_owned());
    assert!(matches!(get(&panicked), Err(GetError::TaskFailed { .. })));
    get(Diary::write.call(&diary, "whole".to_owned())).unwrap();
    has_died(&diary);
    assert_eq!(get(Diary::read.call(&diary)).unwrap(), words(&["half", "whole"]));
    assert!(matches!(get(&panicked), Err(GetError::TaskFailed { .. })));
    assert_eq!(errors().len(), 2, "a panic is told once: {:?}", errors());
}

fn a_call_that_was_cancelled_is_not_run_again_and_what_it_did_stays() {
    let _runtime = start(2.0);
    let folder = folder();
    let begun = format!("{}/begun", shown(&folder));
    let diary = Diary::new.options().max_restarts(1).checkpoint_interval(10).spawn();
    let waits = (|diary: &mut Diary, begun: String| {
        diary.lines.push("begun".into());
        fs::write(begun, "").unwrap();
        let never = (|| loop {
            std::thread::park();
        })
        .remote();
        let _: Result<(), _> = get(&never);
    })
    .call(&diary, begun.clone());
    until_there_is(&begun);
    cancel(&waits).unwrap();
    assert!(matches!(get(&waits), Err(GetError::Cancelled { .. })));
    get(Diary::write.call(&diary, "after".to_owned())).unwrap();
    has_died(&diary);
    assert_eq!(get(Diary::read.call(&diary)).unwrap(), words(&["begun", "after"]));
    // One that ends by itself when it sees that it was cancelled has ended like any other.
    let sees = Diary::write_and_wait.call(&diary, "sees".to_owned(), format!("{}/again", shown(&folder)));
    until_there_is(&format!("{}/again", shown(&folder)));
    cancel(&sees).unwrap();
    let _ = get(&sees);
    assert_eq!(get(Diary::read.call(&diary)).unwrap().len(), 3);
}

fn a_call_in_flight_counts_once_if_it_is_retried_and_not_at_all_if_not() {
    let _runtime = start(2.0);
    let (first, second) = (folder(), folder());
    let saved = Diary::new.options().max_restarts(-1).checkpoint_interval(2);
    let patient = saved.clone().max_task_retries(-1).spawn();
    get(Diary::write.call(&patient, "a".to_owned())).unwrap();
    let dies = Diary::write_and_die.call(&patient, "b".to_owned(), shown(&first), 3);
    let behind = Diary::write.call(&patient, "c".to_owned());
    assert_eq!((get(&dies).unwrap(), get(&behind).unwrap()), (2, 3));
    assert_eq!(get(Diary::read.call(&patient)).unwrap(), words(&["a", "b", "c"]));
    let strict = saved.spawn();
    get(Diary::write.call(&strict, "a".to_owned())).unwrap();
    let dies = Diary::write_and_die.call(&strict, "b".to_owned(), shown(&second), 1);
    assert!(matches!(get(&dies), Err(GetError::ActorDied { .. })));
    assert_eq!(get(Diary::read.call(&strict)).unwrap(), words(&["a"]));
}

fn a_call_whose_ref_was_dropped_is_retried_like_any_other() {
    let _runtime = start(2.0);
    let folder = folder();
    let diary = Diary::new.options().max_restarts(-1).max_task_retries(-1).checkpoint_interval(2).spawn();
    drop(Diary::write_and_die.call(&diary, "a".to_owned(), shown(&folder), 2));
    assert_eq!(get(Diary::write.call(&diary, "b".to_owned())).unwrap(), 2);
}

fn arguments_are_kept_until_the_next_checkpoint_and_no_longer() {
    let _runtime = start(2.0);
    let segment = mobula::client::current().unwrap().segment();
    let diary = Diary::new.options().max_restarts(1).checkpoint_interval(3).spawn();
    let write = |text: &str| {
        let argument = put(&text.to_owned()).unwrap();
        get(Diary::write.call(&diary, &argument)).unwrap();
        mobula::protocol::ObjectId(argument.id().0)
    };
    let kept = [write("a"), write("b")];
    // Whether it is kept says the object itself.
    assert!(kept.iter().all(|id| segment.exists(*id)));
    let last = write("c");
    until(|| !kept.iter().chain([&last]).any(|id| segment.exists(*id)));
}

fn a_state_with_refs_and_large_arrays_comes_back() {
    #[derive(Serialize, Deserialize)]
    struct Model {
        weights: Buffer<f64>,
        inputs: Vec<ObjectRef<String>>,
    }
    let learn = |model: &mut Model, by: f64, input: String| {
        model.weights = Buffer::from(model.weights.iter().map(|weight| weight + by).collect::<Vec<f64>>());
        model.inputs.push(put(&input).unwrap());
    };
    let _runtime = start(2.0);
    let made = |n: usize| Model { weights: Buffer::from(vec![0.0; n]), inputs: Vec::new() };
    let model = made.options().max_restarts(-1).checkpoint_interval(2).spawn(200_000);
    for n in 0..5 {
        get(learn.call(&model, 1.0, n.to_string())).unwrap();
        assert!(get((|_: &mut Model| -> () { std::process::abort() }).call(&model)).is_err());
    }
    let (sum, inputs) =
        get((|model: &Model| (model.weights.iter().sum::<f64>(), model.inputs.clone())).call(&model)).unwrap();
    assert_eq!(sum, 1_000_000.0);
    assert_eq!(get(&inputs).unwrap(), words(&["0", "1", "2", "3", "4"]));
}

fn a_constructor_that_can_fail_has_checkpoints_too() {
    let _runtime = start(2.0);
    let saved = Diary::open.options().max_restarts(1).checkpoint_interval(1);
    let diary = saved.try_spawn(true);
    get(Diary::write.call(&diary, "a".to_owned())).unwrap();
    has_died(&diary);
    assert_eq!(get(Diary::read.call(&diary)).unwrap(), words(&["a"]));
    let error = get(Diary::read.call(&saved.try_spawn(false))).unwrap_err().to_string();
    assert!(error.contains("there is no paper"), "{error}");
}

/// A number that cannot be saved while it is odd, nor read while it is 100.
#[derive(Debug)]
struct Even(i64);

impl Serialize for Even {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 2 {
            0 => serializer.serialize_i64(self.0),
            _ => Err(serde::ser::Error::custom("an odd number")),
        }
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
        match i64::deserialize(deserializer)? {
            100 => Err(serde::de::Error::custom("a hundred")),
            even => Ok(Even(even)),
        }
    }
}

fn add(even: &mut Even, by: i64) -> i64 {
    even.0 += by;
    even.0
}

fn dies(_: &mut Even) {
    std::process::abort()
}

fn a_state_that_cannot_be_saved_is_said_and_loses_nothing() {
    let _runtime = start(2.0);
    let even = Even.options().max_restarts(-1).checkpoint_interval(1).spawn(0);
    for sum in [1, 2, 3] {
        assert_eq!(get(add.call(&even, 1)).unwrap(), sum);
        assert!(get(dies.call(&even)).is_err());
    }
    assert_eq!(get((|even: &Even| even.0).call(&even)).unwrap(), 3);
}

fn a_checkpoint_that_cannot_be_read_is_what_every_call_says() {
    let _runtime = start(2.0);
    let even = Even.options().max_restarts(-1).checkpoint_interval(1).spawn(0);
    get(add.call(&even, 100)).unwrap();
    assert!(get(dies.call(&even)).is_err());
    let error = get((|even: &Even| even.0).call(&even)).unwrap_err().to_string();
    assert!(error.contains("actor `Even` died: its checkpoint cannot be read"), "{error}");
}

fn checkpoints_of_an_actor_that_does_not_come_back_are_refused() {
    let _runtime = start(1.0);
    let message = |submits: fn()| *std::panic::catch_unwind(submits).unwrap_err().downcast::<String>().unwrap();
    let text = message(|| drop(Diary::new.options().checkpoint_interval(2).spawn()));
    assert!(text.ends_with("`checkpoint_interval` is for an actor that is started again: give it `max_restarts`, too"));
    let text = message(|| drop(Diary::new.options().max_restarts(1).checkpoint_interval(0).spawn()));
    assert!(text.ends_with("`checkpoint_interval`: a number of calls from 1 up"), "{text}");
}

#[derive(Serialize, Deserialize)]
struct Counter(i64);

fn count_up(counter: &mut Counter, by: i64) -> i64 {
    counter.0 += by;
    counter.0
}

fn twenty_counters_that_are_killed_at_random_count_right() {
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    let lives = Counter.options().max_restarts(-1).max_task_retries(-1);
    let counters: Vec<_> = (0..20).map(|n| lives.clone().checkpoint_interval(n % 7 + 1).spawn(0)).collect();
    while_processes_of_are_killed(&counters, Duration::from_millis(5), || {
        let late = |n: i64| n;
        for round in 0..60_i64 {
            let calls = counters.iter().map(|counter| match round % 3 {
                0 => count_up.call(counter, late.remote(1)),
                1 => {
                    // One of which nobody waits for the result.
                    drop(count_up.call(counter, 1));
                    count_up.call(counter, 0)
                }
                _ => count_up.call(counter, 1),
            });
            let calls: Vec<_> = calls.collect();
            for sum in get(&calls).unwrap() {
                assert_eq!(sum, round + 1, "a count is lost or counted twice");
            }
        }
    });
    drop(counters);
    until(|| client.segment().leaks().is_empty());
    drop(runtime);
}

fn whatever_happens_to_saved_actors_nothing_is_left() {
    let runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    for round in 0..24 {
        let diary = Diary::new.options().max_restarts(round % 3).checkpoint_interval(2);
        let diary = if round % 3 == 0 { Diary::new.spawn() } else { diary.spawn() };
        let large = put(&"z".repeat(200_000)).unwrap();
        let calls = [(); 3].map(|()| Diary::write.call(&diary, &large));
        match round % 5 {
            0 => kill(&diary).unwrap(),
            1 => drop(Diary::die.call(&diary)),
            2 => drop(Diary::write_and_panic.call(&diary, "half".to_owned())),
            3 => drop(cancel(&calls[1])),
            _ => drop(diary),
        }
        for call in &calls {
            match get(call) {
                Ok(_) | Err(GetError::ActorDied { .. } | GetError::Cancelled { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    until(|| client.segment().leaks().is_empty());
    drop(runtime);
}
