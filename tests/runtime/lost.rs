//! Objects whose only copy is lost, which is Ray's lineage. On one machine, a disk that does not give back what it was given is the only way
//! to lose one.

use crate::options::{folder, shown};
use crate::{Scenario, until_there_is};
use mobula::GetError;
use mobula::local::{Config, Program};
use mobula::prelude::*;
use mobula::protocol::ObjectId;
use mobula::store::Body;
use std::fs;
use std::os::unix::fs::FileExt;

scenarios! {
    a_lost_result_is_made_again_by_its_task
    what_waits_for_a_lost_result_gets_the_new_one
    a_lost_argument_of_a_lost_result_is_made_again_first
    a_task_that_may_not_be_run_again_or_has_lost_an_argument_says_so
    a_lost_object_that_no_task_made_is_lost_for_whoever_wants_it
    what_a_lost_result_contained_is_made_anew_with_it
    an_actor_whose_checkpoint_is_lost_says_so
}

const MIB: usize = 1 << 20;

/// A runtime whose store has room for two of the objects below.
fn start() -> Program {
    let config = Config { num_cpus: Some(2.0), object_store_memory: Some(8 * MIB as u64), ..Config::default() };
    Program::start(config).unwrap()
}

/// 3 MiB of one byte; a file in the folder for each run.
fn bytes(byte: u8, folder: String) -> Buffer<u8> {
    let runs = fs::read_dir(&folder).unwrap().count();
    fs::write(format!("{folder}/{runs}"), "").unwrap();
    Buffer::from(vec![byte; 3 * MIB])
}

fn runs(folder: &tempfile::TempDir) -> usize {
    fs::read_dir(folder.path()).unwrap().count()
}

/// Has what nobody reads go to disk, this object too, and damages what is there.
fn lose(id: ObjectId) {
    let segment = mobula::client::current().unwrap().segment();
    let is_on_disk = || matches!(segment.body(id), Some(Body::Spilled { .. }));
    for len in [8, 6, 4].map(|units| units * MIB - 4096) {
        // A list of refs that stays in memory may be in the way of a larger one.
        let _ = put(&Buffer::from(vec![0_u8; len])).map(drop);
    }
    assert!(is_on_disk(), "{:?}", segment.body(id));
    let mut damaged = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        if target.to_str().is_some_and(|path| path.contains("spill") && path.ends_with("(deleted)")) {
            let file = fs::OpenOptions::new().write(true).open(entry.path()).unwrap();
            let len = file.metadata().unwrap().len();
            (0..len).step_by(1 << 16).for_each(|at| file.write_all_at(b"!", at).unwrap());
            damaged += 1;
        }
    }
    assert!(damaged > 0, "nothing is on disk");
}

fn id<T>(object: &ObjectRef<T>) -> ObjectId {
    ObjectId(object.id().0)
}

fn has_come<T>(object: &ObjectRef<T>) {
    wait(std::slice::from_ref(object)).run().unwrap();
}

fn is_all(seen: &Buffer<u8>, byte: u8) -> bool {
    seen.len() == 3 * MIB && seen.iter().all(|seen| *seen == byte)
}

fn a_lost_result_is_made_again_by_its_task() {
    let _runtime = start();
    let folder = folder();
    let made = bytes.remote(7, shown(&folder));
    has_come(&made);
    for run in 1..=3 {
        assert_eq!(runs(&folder), run);
        lose(id(&made));
        assert!(is_all(&get(&made).unwrap(), 7));
    }
    assert_eq!(errors().len(), 0, "nothing has failed");
}

fn what_waits_for_a_lost_result_gets_the_new_one() {
    let _runtime = start();
    let (folder, go) = (folder(), folder());
    let made = bytes.remote(7, shown(&folder));
    has_come(&made);
    let late = (|file: String| {
        until_there_is(&file);
        1_u8
    })
    .remote(format!("{}/go", shown(&go)));
    let first = |bytes: Buffer<u8>, by: u8| bytes[3 * MIB - 1] * by;
    let waits = first.remote(&made, &late);
    lose(id(&made));
    let direct = first.remote(&made, 2);
    fs::write(go.path().join("go"), "").unwrap();
    assert_eq!((get(&direct).unwrap(), get(&waits).unwrap()), (14, 7));
    assert_eq!(runs(&folder), 2);
}

fn a_lost_argument_of_a_lost_result_is_made_again_first() {
    let _runtime = start();
    let (first, second) = (folder(), folder());
    let made = bytes.remote(7, shown(&first));
    let more = |bytes: Buffer<u8>, folder: String| {
        fs::write(format!("{folder}/{}", fs::read_dir(&folder).unwrap().count()), "").unwrap();
        Buffer::from(bytes.iter().map(|byte| byte + 1).collect::<Vec<u8>>())
    };
    let next = more.remote(&made, shown(&second));
    has_come(&next);
    lose(id(&next));
    assert!(is_all(&get(&next).unwrap(), 8));
    assert_eq!((runs(&first), runs(&second)), (2, 2));
    assert!(is_all(&get(&made).unwrap(), 7));
    assert_eq!(runs(&first), 2);
}

fn a_task_that_may_not_be_run_again_or_has_lost_an_argument_says_so() {
    let _runtime = start();
    let folder = folder();
    let once = bytes.options().max_retries(0).remote(7, shown(&folder));
    has_come(&once);
    lose(id(&once));
    let error = get(&once).unwrap_err();
    assert!(matches!(&error, GetError::ObjectLost { task, .. } if task == "lost::bytes"), "{error:?}");
    assert!(error.to_string().contains("which may not be run more often"), "{error}");
    assert_eq!(errors().len(), 1);
    // Its argument was dropped since.
    let (argument, copy) =
        (put(&Buffer::from(vec![7_u8; 3 * MIB])).unwrap(), |bytes: Buffer<u8>| bytes.to_vec().into());
    let copied: ObjectRef<Buffer<u8>> = copy.remote(&argument);
    has_come(&copied);
    let dropped = id(&argument);
    drop(argument);
    // The task's worker gives its argument back a moment after the result has come.
    while objects().iter().any(|object| object.id.0 == dropped.0) {
        std::thread::yield_now();
    }
    lose(id(&copied));
    let error = get(&copied).unwrap_err().to_string();
    assert!(error.contains("its bytes cannot be read back from") && error.ends_with("is gone"), "{error}");
}

fn a_lost_object_that_no_task_made_is_lost_for_whoever_wants_it() {
    let _runtime = start();
    let object = put(&Buffer::from(vec![7_u8; 3 * MIB])).unwrap();
    lose(id(&object));
    let length = |bytes: Buffer<u8>| bytes.len();
    let task = length.remote(&object);
    let error = get(&task).unwrap_err();
    assert!(matches!(&error, GetError::ObjectLost { task, .. } if task == "put"), "{error:?}");
    assert!(format!("{error:#}").contains("carried by"), "{error:#}");
    let error = get(&object).unwrap_err().to_string();
    assert!(error.contains("the result of `put` is lost") && error.contains("no task made it"), "{error}");
    drop((object, task));
    // The slot may be another object's by now, which a task was in before.
    let again = put(&Buffer::from(vec![8_u8; 3 * MIB])).unwrap();
    assert!(is_all(&get(&again).unwrap(), 8));
}

fn what_a_lost_result_contained_is_made_anew_with_it() {
    let runtime = start();
    let client = mobula::client::current().unwrap();
    let many = || {
        let refs: Vec<ObjectRef<u8>> = (0..20).map(|n| put(&n).unwrap()).collect();
        (Buffer::from(vec![1_u8; 3 * MIB]), refs)
    };
    let made = many.remote();
    has_come(&made);
    for _ in 0..2 {
        lose(id(&made));
        let (_, refs) = get(&made).unwrap();
        assert_eq!(get(&refs).unwrap(), (0..20).collect::<Vec<u8>>());
    }
    drop(made);
    while !client.segment().leaks().is_empty() {
        std::thread::yield_now();
    }
    drop(runtime);
}

fn an_actor_whose_checkpoint_is_lost_says_so() {
    let _runtime = start();
    let made = || vec![7_u8; 100];
    let add = |bytes: &mut Vec<u8>| bytes.resize(3 * MIB, 7);
    let dies = |_: &mut Vec<u8>| -> () { std::process::abort() };
    let actor = made.options().max_restarts(1).checkpoint_interval(1).spawn();
    get(add.call(&actor)).unwrap();
    // One more, so that the checkpoint is there.
    get((|bytes: &Vec<u8>| bytes.len()).call(&actor)).unwrap();
    let log = mobula::client::current().unwrap().segment().log_of(0);
    lose(log.checkpoint.unwrap());
    assert!(get(dies.call(&actor)).is_err());
    let error = get((|bytes: &Vec<u8>| bytes.len()).call(&actor)).unwrap_err().to_string();
    assert!(error.ends_with("died: its checkpoint is lost"), "{error}");
}
