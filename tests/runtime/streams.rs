//! Streams: tasks that make many values, one after the other, as Ray's generators.

use crate::options::{folder, shown};
use crate::{Scenario, start, until_there_is};
use mobula::prelude::*;
use std::fs;
use std::path::Path;

scenarios! {
    items_come_in_their_order_each_as_soon_as_it_is_made
    a_task_is_ahead_of_its_reader_by_its_buffer_and_no_more
    a_reader_that_is_gone_ends_the_task
    an_iterator_that_panics_gives_the_error_as_its_last_item
    a_process_that_dies_gives_the_error_as_the_streams_last_item
    a_function_that_panics_gives_the_error_as_the_only_item
    items_feed_tasks_on_one_cpu
    a_stream_is_a_futures_stream
    items_can_be_large_and_outlive_their_stream
    a_long_stream_leaves_nothing_behind
}

fn numbers(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

/// Makes the next number when there is a file of its name.
fn numbers_of(folder: String) -> impl Iterator<Item = u64> {
    (0..).inspect(move |n| until_there_is(&format!("{folder}/{n}")))
}

/// Says with a file that it has made a number.
fn told_numbers(folder: String) -> impl Iterator<Item = u64> {
    (0..).inspect(move |n| fs::write(format!("{folder}/{n}"), "").unwrap())
}

fn items_come_in_their_order_each_as_soon_as_it_is_made() {
    let _runtime = start(2.0);
    let items: Vec<_> = numbers.stream(1000).collect();
    assert_eq!(get(&items).unwrap(), (0..1000).collect::<Vec<_>>());
    assert_eq!(numbers.stream(0).count(), 0);
    // Whatever can be iterated, and arguments as those of tasks.
    let words = (|text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .stream(put(&"a b".to_string()).unwrap());
    assert_eq!(words.map(|word| get(word).unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    let folder = folder();
    let mut slow = numbers_of.stream(shown(&folder));
    for n in 0..3 {
        fs::write(format!("{}/{n}", shown(&folder)), "").unwrap();
        assert_eq!(get(slow.next().unwrap()).unwrap(), n, "it comes before the next one is made");
    }
}

fn a_task_is_ahead_of_its_reader_by_its_buffer_and_no_more() {
    let _runtime = start(2.0);
    let folder = folder();
    let made = |n: u64| Path::new(&format!("{}/{n}", shown(&folder))).exists();
    let mut items = told_numbers.options().buffer(3).stream(shown(&folder));
    until_there_is(&format!("{}/2", shown(&folder)));
    for n in 0..5 {
        assert!(!made(n + 3), "nobody has asked for it");
        assert_eq!(get(items.next().unwrap()).unwrap(), n);
        until_there_is(&format!("{}/{}", shown(&folder), n + 3));
    }
}

fn a_reader_that_is_gone_ends_the_task() {
    let _runtime = start(2.0);
    let pids = || std::iter::repeat_with(std::process::id);
    let mut items = pids.stream();
    let pid = get(items.next().unwrap()).unwrap();
    drop(items);
    while Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::yield_now();
    }
    assert_eq!(errors().len(), 0);
}

fn an_iterator_that_panics_gives_the_error_as_its_last_item() {
    let _runtime = start(2.0);
    let odd = |n: u64| (0..n).map(|n| if n == 2 { panic!("two") } else { n });
    let items: Vec<_> = odd.stream(9).collect();
    assert_eq!(items.len(), 3);
    assert_eq!(get(&items[..2]).unwrap(), [0, 1]);
    let error = get(&items[2]).unwrap_err();
    assert!(matches!(error, GetError::TaskFailed { .. }) && error.to_string().contains("panicked: two"), "{error}");
}

fn a_process_that_dies_gives_the_error_as_the_streams_last_item() {
    let _runtime = start(2.0);
    let dies = |n: u64| (0..n).map(|n| if n == 2 { std::process::abort() } else { n });
    let items: Vec<_> = dies.stream(9).collect();
    assert_eq!(items.len(), 3);
    assert_eq!(get(&items[1]).unwrap(), 1);
    let error = get(&items[2]).unwrap_err();
    assert!(matches!(error, GetError::WorkerDied { .. }) && error.to_string().contains("SIGABRT"), "{error}");
}

fn a_function_that_panics_gives_the_error_as_the_only_item() {
    let _runtime = start(2.0);
    let never = || -> Vec<u64> { panic!("no items") };
    let items: Vec<_> = never.stream().collect();
    assert_eq!(items.len(), 1);
    let error = get(&items[0]).unwrap_err();
    assert!(
        matches!(error, GetError::TaskFailed { .. }) && error.to_string().contains("panicked: no items"),
        "{error}"
    );
    let refused = std::panic::catch_unwind(|| numbers.options().max_retries(1).stream(1)).unwrap_err();
    let text = refused.downcast::<String>().unwrap();
    assert!(text.ends_with("`max_retries` is no option of a stream, which is run once"), "{text}");
}

fn items_feed_tasks_on_one_cpu() {
    let _runtime = start(1.0);
    let double = |n: u64| n * 2;
    let doubled: Vec<_> = numbers.options().buffer(2).stream(20).map(|item| double.remote(item)).collect();
    assert_eq!(get(&doubled).unwrap(), (0..20).map(|n| n * 2).collect::<Vec<_>>());
    // A stream of a stream's items.
    let sums = |n: u64| numbers.stream(n).map(|item| get(item).unwrap()).collect::<Vec<_>>();
    assert_eq!(get(sums.remote(5)).unwrap(), [0, 1, 2, 3, 4]);
}

fn a_stream_is_a_futures_stream() {
    use futures_core::Stream;
    let _runtime = start(2.0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sum = runtime.block_on(async {
        let mut items = numbers.stream(100);
        let mut sum = 0;
        while let Some(item) = std::future::poll_fn(|context| std::pin::Pin::new(&mut items).poll_next(context)).await {
            sum += item.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 4950);
}

fn items_can_be_large_and_outlive_their_stream() {
    let _runtime = start(2.0);
    let large = |n: u8| (0..n).map(|n| Buffer::from(vec![n; 300_000]));
    let items: Vec<_> = large.stream(20).collect();
    for (n, item) in (0..20).zip(&items) {
        assert!(get(item).unwrap().iter().all(|byte| *byte == n));
    }
}

fn a_long_stream_leaves_nothing_behind() {
    let _runtime = start(2.0);
    let client = mobula::client::current().unwrap();
    assert_eq!(numbers.stream(50_000).map(|item| get(item).unwrap()).sum::<u64>(), 1_249_975_000);
    let used = client.segment().slots_used();
    assert!(used < 5_000, "{used} slots for a buffer of 64");
    drop(numbers.stream(u64::MAX).take(100).collect::<Vec<_>>());
    while !client.segment().leaks().is_empty() {
        std::thread::yield_now();
    }
}
