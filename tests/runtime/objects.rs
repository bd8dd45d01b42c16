//! Objects: bytes in memory, references, and their end.

use crate::Scenario;
use crate::cell::{self, Arg, Ref, ask, get, open, put, put_with, submit, wait};
use crate::front::{Front, until};
use crate::task;
use crate::tasks::{number, until_there};
use mobula::abi::{Answer, Fault, InitOptions, ObjectState, Question};
use mobula::client;
use mobula::local::{Config, RuntimeEvent};
use mobula::store::Body;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub const ALL: &[Scenario] = &[
    ("a_hundred_mebibytes_are_read_where_they_lie", a_hundred_mebibytes_are_read_where_they_lie),
    ("a_full_store_says_how_full_it_is", a_full_store_says_how_full_it_is),
    ("what_nobody_reads_goes_to_disk_and_comes_back", what_nobody_reads_goes_to_disk_and_comes_back),
    (
        "a_put_gives_up_in_time_beside_a_task_that_never_stops_to_write",
        a_put_gives_up_in_time_beside_a_task_that_never_stops_to_write,
    ),
    ("a_disk_that_takes_no_more_is_told_and_loses_nothing", a_disk_that_takes_no_more_is_told_and_loses_nothing),
    ("what_was_used_least_recently_goes_first", what_was_used_least_recently_goes_first),
    ("a_put_waits_for_room_that_somebody_makes", a_put_waits_for_room_that_somebody_makes),
    (
        "whoever_wants_an_object_back_from_disk_gets_it_although_others_want_its_room",
        whoever_wants_an_object_back_from_disk_gets_it_although_others_want_its_room,
    ),
    ("what_comes_back_from_disk_waits_for_room_like_a_put", what_comes_back_from_disk_waits_for_room_like_a_put),
    ("dropped_objects_make_room", dropped_objects_make_room),
    ("a_view_keeps_its_bytes", a_view_keeps_its_bytes),
    ("nested_references_keep_their_targets", nested_references_keep_their_targets),
    ("a_reference_made_by_a_task_outlives_it", a_reference_made_by_a_task_outlives_it),
    ("a_large_argument_goes_with_its_task", a_large_argument_goes_with_its_task),
    ("a_freed_object_is_unknown", a_freed_object_is_unknown),
    ("the_memory_cannot_change_under_objects", the_memory_cannot_change_under_objects),
    ("a_named_folder_holds_the_store_and_nothing_else", a_named_folder_holds_the_store_and_nothing_else),
];

const MIB: usize = 1 << 20;

task!(
    sum_of_bytes = |args| {
        let sum = args[0].iter().map(|byte| u64::from(*byte)).sum::<u64>();
        Ok((sum.to_le_bytes().to_vec(), vec![]))
    }
);

task!(repeated = |args| Ok((vec![args[1][0]; number(&args[0]) as usize], vec![])));

task!(
    /// Puts an object and returns a reference to it.
    wrapped = |args| {
        let inner = put(&args[0]).unwrap();
        Ok((inner.0.to_le_bytes().to_vec(), vec![inner]))
    }
);

fn with_store(bytes: usize) -> Front {
    Front::start(Config { num_cpus: Some(1.0), object_store_memory: Some(bytes as u64), ..Config::default() })
}

fn is_gone(id: u64) -> bool {
    matches!(ask(&Question::State { id }), Err(Fault::Unknown { .. }))
}

fn a_hundred_mebibytes_are_read_where_they_lie() {
    let _front = with_store(256 * MIB);
    let big = vec![3; 100 * MIB];
    let object = put(&big).unwrap();
    let seen = get(&object).unwrap();
    assert!(*seen == *big);
    let again = open(&object).unwrap().unwrap();
    assert_eq!(seen.as_ptr(), again.as_ptr(), "both are the same memory");
    let sum = submit("sum_of_bytes", sum_of_bytes, &[Arg::Of(&object)]).unwrap();
    assert_eq!(number(&get(&sum).unwrap()), 3 * 100 * MIB as u64);
    let made = submit("repeated", repeated, &[Arg::Value(&(50 * MIB as u64).to_le_bytes()), Arg::Value(b"x")]).unwrap();
    assert!(get(&made).unwrap().iter().all(|byte| *byte == b'x'));
    assert_eq!(
        ask(&Question::State { id: made.0 }).unwrap(),
        Answer::State(ObjectState::Ready { bytes: 50 * MIB as u64 })
    );
}

fn a_full_store_says_how_full_it_is() {
    let _front = with_store(8 * MIB);
    let kept = put(&vec![1; 6 * MIB]).unwrap();
    // As long as somebody reads it, it stays in memory.
    let seen = get(&kept).unwrap();
    let Err(fault) = put(&vec![2; 4 * MIB]) else { panic!("there was no room") };
    let Fault::StoreFull { needed, used, limit, detail } = fault else { panic!("{fault:?}") };
    assert_eq!((needed, used, limit), (4 * MIB as u64, 6 * MIB as u64, 8 * MIB as u64));
    assert!(detail.contains(&format!("read by {}", std::process::id())), "the holder is named: {detail}");
    put(&vec![3; MIB]).unwrap();
    drop(seen);
}

task!(
    /// Writes a line every millisecond.
    mutter = |_| loop {
        println!("still here");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
);

fn a_put_gives_up_in_time_beside_a_task_that_never_stops_to_write() {
    let front = with_store(8 * MIB);
    let _mutters = submit("mutter", mutter, &[]).unwrap();
    front.told.wait_for(|event| matches!(event, RuntimeEvent::TaskOutput { .. }));
    let kept = put(&vec![1; 6 * MIB]).unwrap();
    let _seen = get(&kept).unwrap();
    assert!(matches!(put(&vec![2; 4 * MIB]), Err(Fault::StoreFull { .. })), "there was no room");
}

fn what_nobody_reads_goes_to_disk_and_comes_back() {
    let front = with_store(8 * MIB);
    let objects: Vec<Ref> = (0..10_u8).map(|byte| put(&vec![byte; 3 * MIB]).unwrap()).collect();
    for _ in 0..2 {
        for (byte, object) in (0..10_u8).zip(&objects) {
            assert!(get(object).unwrap().iter().all(|seen| *seen == byte));
        }
    }
    // As arguments, and read by a worker.
    let sums: Vec<Ref> =
        objects.iter().map(|object| submit("sum_of_bytes", sum_of_bytes, &[Arg::Of(object)]).unwrap()).collect();
    for (byte, sum) in (0..10_u64).zip(&sums) {
        assert_eq!(number(&get(sum).unwrap()), byte * 3 * MIB as u64);
    }
    let spill = front.local.session_dir().join("spill");
    assert_eq!(std::fs::read_dir(&spill).unwrap().count(), 0, "the files have no names");
    drop(objects);
    put(&vec![1; 8 * MIB]).unwrap();
}

fn what_was_used_least_recently_goes_first() {
    let _front = with_store(8 * MIB);
    let [old, used] = [1, 2].map(|byte| put(&vec![byte; 3 * MIB]).unwrap());
    drop(get(&old).unwrap());
    drop(get(&used).unwrap());
    drop(put(&vec![0; MIB]).unwrap());
    drop(get(&old).unwrap());
    let _third = put(&vec![3; 4 * MIB]).unwrap();
    let body = |object: &Ref| client::current().unwrap().segment().body(mobula::protocol::ObjectId(object.0)).unwrap();
    assert!(matches!(body(&used), Body::Spilled { .. }), "{:?}", body(&used));
    assert!(matches!(body(&old), Body::Arena { .. }), "{:?}", body(&old));
}

fn a_put_waits_for_room_that_somebody_makes() {
    let _front = with_store(8 * MIB);
    let object = put(&vec![1; 6 * MIB]).unwrap();
    let seen = get(&object).unwrap();
    drop(object);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| put(&vec![2; 6 * MIB]).map(drop));
        let client = client::current().unwrap();
        until("it waits", || client.segment().header().rooms.load(Ordering::Acquire) == 1);
        drop(seen);
        waiting.join().unwrap().unwrap();
    });
}

fn what_comes_back_from_disk_waits_for_room_like_a_put() {
    let _front = with_store(8 * MIB);
    let away = put(&vec![1; 6 * MIB]).unwrap();
    // It goes to disk for this one, which somebody reads.
    let object = put(&vec![2; 6 * MIB]).unwrap();
    let seen = get(&object).unwrap();
    drop(object);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| get(&away).map(|bytes| bytes.iter().all(|byte| *byte == 1)));
        let client = client::current().unwrap();
        until("it waits", || client.segment().header().rooms.load(Ordering::Acquire) == 1);
        drop(seen);
        assert!(waiting.join().unwrap().unwrap());
    });
}

fn whoever_wants_an_object_back_from_disk_gets_it_although_others_want_its_room() {
    let _front = with_store(8 * MIB);
    let objects = [1_u8, 2].map(|byte| put(&vec![byte; 6 * MIB]).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let objects = &objects;
            scope.spawn(move || {
                for turn in 0..30 {
                    let index = (thread + turn) % 2;
                    let seen = get(&objects[index]).unwrap();
                    assert_eq!((seen[0], seen[6 * MIB - 1]), (index as u8 + 1, index as u8 + 1));
                }
            });
        }
    });
}

fn a_disk_that_takes_no_more_is_told_and_loses_nothing() {
    let _front = Front::start(Config {
        num_cpus: Some(1.0),
        object_store_memory: Some(8 * MIB as u64),
        store_wait: Some(Duration::from_millis(50)),
        ..Config::default()
    });
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(2 * MIB as u64), ..limit }).unwrap();
    let mut kept = Vec::new();
    let error = loop {
        match put(&vec![kept.len() as u8; MIB]) {
            Ok(object) => kept.push(object),
            Err(error) => break error,
        }
    };
    let Fault::StoreFull { detail, .. } = error else { panic!("{error:?}") };
    assert!(detail.contains("no more objects can go to disk") && detail.contains("bytes are on disk"), "{detail}");
    setrlimit(Resource::Fsize, limit).unwrap();
    kept.push(put(&vec![kept.len() as u8; MIB]).unwrap());
    for (number, object) in kept.iter().enumerate() {
        assert!(get(object).unwrap().iter().all(|byte| *byte == number as u8), "{number}");
    }
}

fn dropped_objects_make_room() {
    let _front = with_store(8 * MIB);
    for round in 0..200 {
        let object = put(&vec![round as u8; 5 * MIB]).unwrap();
        assert!(open(&object).unwrap().unwrap().iter().all(|byte| *byte == round as u8));
        let id = object.0;
        drop(object);
        assert!(is_gone(id), "it has not only made room by going to disk");
    }
    for _ in 0..200 {
        let draft = cell::draft(5 * MIB).unwrap();
        cell::discard(draft);
    }
}

fn a_view_keeps_its_bytes() {
    let _front = with_store(8 * MIB);
    let object = put(&vec![1; 5 * MIB]).unwrap();
    let seen = get(&object).unwrap();
    let id = object.0;
    drop(object);
    assert!(!is_gone(id));
    assert!(put(&vec![2; 5 * MIB]).is_err());
    assert!(seen.iter().all(|byte| *byte == 1));
    drop(seen);
    until("the object is gone", || is_gone(id));
    put(&vec![2; 5 * MIB]).unwrap();
}

fn nested_references_keep_their_targets() {
    let _front = with_store(8 * MIB);
    let inner = put(&vec![7; MIB]).unwrap();
    let outer = put_with(&inner.0.to_le_bytes(), &[inner.0]).unwrap();
    let id = inner.0;
    drop(inner);
    assert!(!is_gone(id));
    let found = Ref::to(number(&get(&outer).unwrap()));
    drop(outer);
    assert!(get(&found).unwrap().iter().all(|byte| *byte == 7));
    drop(found);
    until("the object is gone", || is_gone(id));
}

fn a_reference_made_by_a_task_outlives_it() {
    let _front = with_store(8 * MIB);
    for value in [b"small".to_vec(), vec![9; MIB]] {
        let outer = submit("wrapped", wrapped, &[Arg::Value(&value)]).unwrap();
        let inner = Ref::to(number(&get(&outer).unwrap()));
        drop(outer);
        assert_eq!(*get(&inner).unwrap(), value);
    }
}

fn a_large_argument_goes_with_its_task() {
    let _front = with_store(8 * MIB);
    for _ in 0..10 {
        let sum = submit("sum_of_bytes", sum_of_bytes, &[Arg::Value(&vec![1; 5 * MIB])]).unwrap();
        assert_eq!(number(&get(&sum).unwrap()), 5 * MIB as u64);
        // The next one has room only if this one's argument is gone; the worker says so before its result is there.
    }
}

fn a_freed_object_is_unknown() {
    let _front = with_store(8 * MIB);
    let object = put(b"here").unwrap();
    let stale = std::mem::ManuallyDrop::new(Ref(object.0));
    drop(object);
    assert_eq!(wait(&[&stale], 1, None).unwrap(), [true], "waiting for it does not hang");
    assert!(matches!(open(&stale).map(|_| ()), Err(Fault::Unknown { .. })));
    let task = submit("sum_of_bytes", sum_of_bytes, &[Arg::Of(&stale)]).unwrap();
    assert!(matches!(get(&task).map(|_| ()), Err(Fault::Task(_))));
}

fn the_memory_cannot_change_under_objects() {
    let _front = with_store(8 * MIB);
    let object = put(b"here").unwrap();
    let larger = InitOptions { object_store_memory: Some(16 * MIB as u64), ..InitOptions::default() };
    let Err(Fault::Refused { message }) = ask(&Question::Init(larger.clone())) else { panic!("it was changed") };
    assert!(message.contains("1 objects"), "{message}");
    drop(object);
    ask(&Question::Init(larger)).unwrap();
}

fn a_named_folder_holds_the_store_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let front = Front::start(Config {
        num_cpus: Some(1.0),
        object_store_memory: Some(8 * MIB as u64),
        store_directory: Some(folder.path().to_owned()),
        ..Config::default()
    });
    let gate = folder.path().join("go").to_str().unwrap().to_owned();
    std::fs::write(&gate, "").unwrap();
    get(&submit("until_there", until_there, &[Arg::Value(gate.as_bytes())]).unwrap()).unwrap();
    assert!(get(&put(&vec![1; MIB]).unwrap()).unwrap().iter().all(|byte| *byte == 1));
    std::fs::remove_file(&gate).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its file has no name");
    drop(front);
}
