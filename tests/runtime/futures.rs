//! References as futures, and in the order in which they finish.

use crate::options::{folder, shown};
use crate::{Scenario, start};
use mobula::prelude::*;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

pub const ALL: &[Scenario] = &[
    ("an_awaited_task_gives_its_value_or_its_error", an_awaited_task_gives_its_value_or_its_error),
    ("ten_thousand_tasks_are_awaited_at_once", ten_thousand_tasks_are_awaited_at_once),
    ("one_task_is_awaited_by_many_and_got_by_others", one_task_is_awaited_by_many_and_got_by_others),
    ("a_task_that_awaits_lends_its_cpu", a_task_that_awaits_lends_its_cpu),
    (
        "a_task_that_ends_while_it_awaits_gives_its_cpu_back_once",
        a_task_that_ends_while_it_awaits_gives_its_cpu_back_once,
    ),
    ("an_awaiting_task_can_be_cancelled", an_awaiting_task_can_be_cancelled),
    ("a_future_that_nobody_wants_any_more_does_no_harm", a_future_that_nobody_wants_any_more_does_no_harm),
    ("refs_come_in_the_order_in_which_they_finish", refs_come_in_the_order_in_which_they_finish),
];

/// Runs a future on an executor that somebody else wrote.
fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Waits until there is such a file. Ends by the scenario's own patience.
fn after(file: String, number: u32) -> u32 {
    while !Path::new(&file).exists() {
        std::thread::yield_now();
    }
    number
}

/// All of them at once, in their order.
async fn all<T: Send + 'static>(mut refs: Vec<ObjectRef<T>>) -> Vec<Result<T, GetError>>
where
    ObjectRef<T>: Future<Output = Result<T, GetError>>,
{
    let mut values: Vec<Option<Result<T, GetError>>> = refs.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        let mut is_done = true;
        for (object, value) in refs.iter_mut().zip(&mut values).filter(|(_, value)| value.is_none()) {
            match Pin::new(object).poll(context) {
                Poll::Ready(ready) => *value = Some(ready),
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(std::mem::take(&mut values).into_iter().flatten().collect()) } else { Poll::Pending }
    })
    .await
}

fn an_awaited_task_gives_its_value_or_its_error() {
    let _runtime = start(1.0);
    run(async {
        assert_eq!(put(&3).unwrap().await.unwrap(), 3);
        for round in 0..200 {
            assert_eq!((|n: i32| n + 1).remote(round).await.unwrap(), round + 1);
        }
        let failed = (|| -> i32 { panic!("no") }).remote();
        assert!(matches!((&failed).await, Err(GetError::TaskFailed { .. })));
        assert!(failed.await.unwrap_err().to_string().contains("no"));
    });
}

fn ten_thousand_tasks_are_awaited_at_once() {
    let _runtime = start(2.0);
    let folder = folder();
    let go = format!("{}/go", shown(&folder));
    let gate = after.remote(go.clone(), 1);
    let refs: Vec<_> = (0..10_000_u32).map(|n| (|n: u32, one: u32| n + one).remote(n, &gate)).collect();
    let sum = run(async {
        let sum = tokio::join!(all(refs), async { fs::write(go, "").unwrap() }).0;
        sum.into_iter().map(|value| u64::from(value.unwrap())).sum::<u64>()
    });
    assert_eq!(sum, 50_005_000);
}

fn one_task_is_awaited_by_many_and_got_by_others() {
    let _runtime = start(1.0);
    let folder = folder();
    let go = format!("{}/go", shown(&folder));
    let object = after.remote(go.clone(), 5);
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let object = object.clone();
            std::thread::spawn(move || if number % 2 == 0 { run(object) } else { get(&object) })
        })
        .collect();
    fs::write(go, "").unwrap();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap().unwrap() == 5));
}

fn a_task_that_awaits_lends_its_cpu() {
    fn depth(left: u32) -> u32 {
        if left == 0 { 0 } else { run(async { depth.remote(left - 1).await.unwrap() + 1 }) }
    }
    let _runtime = start(1.0);
    assert_eq!(get(depth.remote(10)).unwrap(), 10);
    while available_resources().get("CPU") != Some(1.0) {
        std::thread::yield_now();
    }
}

fn a_task_that_ends_while_it_awaits_gives_its_cpu_back_once() {
    /// Ends when its CPU is lent, and what it awaits is not there.
    fn leaves(gate: ObjectRef<ObjectRef<u32>>) {
        let mut gate = get(gate).unwrap();
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut gate).poll(context).is_pending());
        while available_resources().get("CPU") != Some(1.0) {
            std::thread::yield_now();
        }
    }
    fn nested() -> u32 {
        get((|| 3).options().num_cpus(1.0).remote()).unwrap() + get((|| 4).remote()).unwrap()
    }
    let _runtime = start(1.0);
    let folder = folder();
    let go = format!("{}/go", shown(&folder));
    let gate = after.options().num_cpus(0.0).remote(go.clone(), 1);
    let works = || {
        assert_eq!(get(nested.remote()).unwrap(), 7);
        assert_eq!(get(nested.options().num_cpus(0.5).remote()).unwrap(), 7);
    };
    for _ in 0..3 {
        get(leaves.remote(put(&gate).unwrap())).unwrap();
        works();
        get(leaves.options().num_cpus(0.5).remote(put(&gate).unwrap())).unwrap();
        works();
    }
    fs::write(go, "").unwrap();
    assert_eq!(get(&gate).unwrap(), 1);
    works();
    while available_resources().get("CPU") != Some(1.0) {
        std::thread::yield_now();
    }
}

fn an_awaiting_task_can_be_cancelled() {
    fn awaits(folder: String) -> u32 {
        let never = after.options().num_cpus(0.0).remote(format!("{folder}/never"), 1);
        fs::write(format!("{folder}/begun"), "").unwrap();
        run(never).unwrap()
    }
    let _runtime = start(1.0);
    let folder = folder();
    let task = awaits.remote(shown(&folder));
    after(format!("{}/begun", shown(&folder)), 0);
    cancel(&task).unwrap();
    assert!(matches!(get(&task), Err(GetError::Cancelled { .. })));
}

fn a_future_that_nobody_wants_any_more_does_no_harm() {
    let _runtime = start(1.0);
    let folder = folder();
    let go = format!("{}/go", shown(&folder));
    let object = after.remote(go.clone(), 5);
    run(async {
        let mut first = object.clone();
        let polled = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut first).poll(context).is_pending()));
        assert!(polled.await);
        drop(first);
        fs::write(&go, "").unwrap();
        assert_eq!(object.await.unwrap(), 5);
    });
    assert_eq!(run(after.remote(go, 6)).unwrap(), 6);
}

fn refs_come_in_the_order_in_which_they_finish() {
    let _runtime = start(1.0);
    let folder = folder();
    let file = |number: u32| format!("{}/{number}", shown(&folder));
    let task = after.options().num_cpus(0.0);
    let refs: Vec<_> = (0..6).map(|number| task.remote(file(number), number)).collect();
    let order = [3, 0, 5, 1, 4, 2];
    let mut stream = wait_stream(&refs);
    for (left, number) in (0..6).rev().zip(order) {
        fs::write(file(number), "").unwrap();
        assert_eq!(get(stream.next().unwrap()).unwrap(), number);
        assert_eq!(stream.len(), left);
    }
    assert!(stream.next().is_none());
    let twice = [refs[1].clone(), refs[1].clone(), refs[0].clone()];
    assert_eq!(wait_stream(&twice).map(|object| get(object).unwrap()).collect::<Vec<_>>(), [1, 1, 0]);
}
