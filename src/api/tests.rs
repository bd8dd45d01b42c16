//! The contract of tasks, refs and errors, on the inline runtime.

use crate::inline::{self, unready};
use crate::prelude::*;
use crate::{GetError, WaitError};
use serde::{Deserialize, Serialize};

fn half(n: u32) -> u32 {
    assert!(n.is_multiple_of(2), "odd");
    n / 2
}

fn add(a: i64, b: i64) -> i64 {
    a + b
}

fn first<T: Clone>(list: Vec<T>) -> T {
    list[0].clone()
}

#[remote]
fn checked(n: u32) -> Result<u32, String> {
    n.checked_sub(1).ok_or("already zero".into())
}

/// A ref whose object is not ready until the test finishes it.
fn pending() -> ObjectRef<i64> {
    ObjectRef::new(crate::calls::Handle::adopt(unready::pending()))
}

#[test]
fn a_task_takes_values_and_refs_alike() {
    inline::attach();
    let x = add.remote(1, 2);
    let y = add.remote(&x, 10);
    let z = add.remote(y.clone(), &x);
    assert_eq!(get(&[x, y, z]).unwrap(), [3, 13, 16]);
}

#[test]
fn functions_generic_functions_methods_and_closures_can_be_tasks() {
    inline::attach();
    assert_eq!(get(first::<String>.remote(vec!["a".to_string()])).unwrap(), "a");
    assert_eq!(get(first.remote(vec![1.5])).unwrap(), 1.5);
    assert_eq!(get((|| 1).remote()).unwrap(), 1);
    assert_eq!(get(u32::pow.remote(2, 10)).unwrap(), 1024);
    let closure = |text: String, times: usize| text.repeat(times);
    assert_eq!(get(closure.remote("ab".to_string(), 2)).unwrap(), "abab");
}

#[test]
fn eight_arguments_are_taken_in_order() {
    inline::attach();
    #[expect(clippy::too_many_arguments, reason = "that is what is tried")]
    fn list(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> Vec<u8> {
        vec![a, b, c, d, e, f, g, h]
    }
    let third = put(&3).unwrap();
    assert_eq!(get(list.remote(1, 2, &third, 4, 5, 6, 7, 8)).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn get_takes_one_ref_or_any_kind_of_list() {
    inline::attach();
    let refs = vec![put(&1).unwrap(), put(&2).unwrap()];
    let [x, y] = [refs[0].clone(), refs[1].clone()];
    assert_eq!(get(&x).unwrap(), 1);
    assert_eq!(get(&refs).unwrap(), [1, 2]);
    assert_eq!(get(&refs[1..]).unwrap(), [2]);
    assert_eq!(get(&[x.clone(), x.clone()]).unwrap(), [1, 1]);
    assert_eq!(get(refs).unwrap(), [1, 2]);
    assert_eq!(get([x, y]).unwrap(), [1, 2]);
    assert!(get(Vec::<ObjectRef<i64>>::new()).unwrap().is_empty());
}

#[test]
fn a_panic_fails_the_task_with_its_message_and_place() {
    inline::attach();
    let Err(GetError::TaskFailed { task, source }) = get(half.remote(3)) else { panic!("not a failed task") };
    assert_eq!((task.as_str(), source.message()), ("api::tests::half", "odd"));
    let place = source.place().unwrap();
    assert!(place.file.ends_with("api/tests.rs") && place.line > 0 && place.column > 0);
}

#[test]
fn an_err_fails_the_task_with_its_text_and_ok_is_the_value() {
    inline::attach();
    assert_eq!(get(checked.remote(1)).unwrap(), Ok(0));
    let error = get(checked.remote(0)).unwrap_err();
    assert!(format!("{error:#}").contains("\n  caused by: returned Err: already zero\n"), "{error:#}");
}

#[test]
fn a_failure_is_carried_by_what_depends_on_it() {
    inline::attach();
    let error = get(half.remote(half.remote(half.remote(3)))).unwrap_err();
    let GetError::TaskFailed { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.carried_by(), ["api::tests::half", "api::tests::half"]);
    assert!(format!("{error:#}").ends_with("\n  carried by: `api::tests::half`, `api::tests::half`"));
}

#[test]
fn a_panic_with_any_payload_is_a_failure() {
    inline::attach();
    fn odd_payload() {
        std::panic::panic_any(7);
    }
    fn drops_badly() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        std::panic::panic_any(Bomb);
    }
    let message = |error: GetError| format!("{error:#}");
    assert!(message(get(odd_payload.remote()).unwrap_err()).contains("a value that is not text"));
    assert!(get(drops_badly.remote()).is_err());
}

#[test]
fn tasks_start_tasks() {
    inline::attach();
    fn sum(n: i64) -> i64 {
        if n == 0 { 0 } else { n + get(sum.remote(n - 1)).unwrap() }
    }
    assert_eq!(get(sum.remote(5)).unwrap(), 15);
    fn outer() -> ObjectRef<u32> {
        half.remote(4)
    }
    assert_eq!(get(get(outer.remote()).unwrap()).unwrap(), 2);
}

#[test]
fn split_gives_each_element_its_own_object() {
    inline::attach();
    fn three() -> (i64, String, Array<i64>) {
        (1, "two".into(), Array::from(vec![3]))
    }
    let whole = three.remote();
    let id = whole.id();
    let (one, two, three) = whole.split();
    assert!(!unready::exists(id.0), "the tuple is freed when it has been taken apart");
    assert_eq!((get(&one).unwrap(), get(&two).unwrap()), (1, "two".into()));
    let id = one.id();
    drop(one);
    assert!(!unready::exists(id.0), "an element is freed on its own");
    assert_eq!(get(&three).unwrap().as_slice(), [3]);
}

#[test]
fn the_elements_of_a_failed_tuple_fail_with_the_tasks_own_error() {
    inline::attach();
    fn pair() -> (i64, i64) {
        panic!("no pair")
    }
    let (one, _) = pair.remote().split();
    let report = format!("{:#}", get(&one).unwrap_err());
    assert!(report.contains("pair` failed\n  caused by: panicked: no pair"), "{report}");
    assert!(!report.contains("split"), "{report}");
}

#[test]
fn an_err_in_an_element_is_a_value() {
    inline::attach();
    fn pair() -> (Result<i64, String>, i64) {
        (Err("mine".into()), 1)
    }
    let (one, _) = pair.remote().split();
    assert_eq!(get(&one).unwrap(), Err("mine".into()));
}

#[test]
fn refs_are_equal_hashed_and_ordered_by_object() {
    inline::attach();
    let (x, y) = (put(&1).unwrap(), put(&1).unwrap());
    assert_eq!(x, x.clone());
    assert_ne!(x, y);
    let set: std::collections::HashSet<_> = [x.clone(), x.clone(), y.clone()].into();
    assert_eq!(set.len(), 2);
    assert!(x < y);
}

#[test]
fn an_object_lives_as_long_as_its_last_ref() {
    inline::attach();
    let x = put(&1).unwrap();
    let (id, y) = (x.id().0, x.clone());
    drop(x);
    assert!(unready::exists(id));
    drop(y);
    assert!(!unready::exists(id));
}

#[test]
fn a_refs_debug_is_its_id_and_state() {
    inline::attach();
    let x = put(&1_i64).unwrap();
    assert_eq!(format!("{x:?}"), format!("ObjectRef({}, ready, 25 bytes)", x.id()));
    assert!(format!("{:?}", half.remote(1)).ends_with(", failed)"));
    assert!(format!("{:?}", pending()).ends_with(", pending)"));
    assert_eq!(crate::ObjectId((3 << 32) | 7).to_string(), "7.3");
}

#[test]
fn get_timeout_says_which_object_and_how_long() {
    inline::attach();
    let refs = [put(&1_i64).unwrap(), pending()];
    let error = get_timeout(&refs, Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.to_string(), format!("object {} was not ready after 1ms", refs[1].id()));
    assert_eq!(get_timeout(&refs[0], Duration::ZERO).unwrap(), 1);
    let [older, newer] = [pending(), pending()];
    let first = |refs: &[&ObjectRef<i64>]| {
        let refs: Vec<_> = refs.iter().map(|object| (*object).clone()).collect();
        match get_timeout(&refs, Duration::ZERO) {
            Err(GetError::NotReady { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(first(&[&refs[0], &newer, &older, &newer]), newer.id());
}

#[test]
fn get_of_a_list_fails_with_its_first_failure_and_only_when_all_are_ready() {
    inline::attach();
    let doomed = |n: i64| -> i64 { panic!("failed {n}") };
    let (slow, value) = (pending(), put(&5_i64).unwrap());
    let refs = [slow.clone(), doomed.remote(1), doomed.remote(2)];
    assert!(matches!(get_timeout(&refs, Duration::ZERO), Err(GetError::NotReady { id, .. }) if id == slow.id()));
    unready::finish(slow.id().0, value.id().0);
    let Err(GetError::TaskFailed { source, .. }) = get(&refs) else { panic!("not a failed task") };
    assert_eq!(source.message(), "failed 1");
}

#[test]
fn get_waits_for_what_is_not_ready_yet() {
    inline::attach();
    let (slow, value) = (pending(), put(&5_i64).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unready::until_awaited(slow.id().0);
            unready::finish(slow.id().0, value.id().0);
        });
        assert_eq!(get(&[slow.clone(), slow.clone(), value.clone()]).unwrap(), [5, 5, 5]);
    });
}

#[test]
fn wait_gives_at_most_num_returns_in_the_order_given_and_the_rest() {
    inline::attach();
    let refs = [put(&1_i64).unwrap(), pending(), put(&2).unwrap(), put(&3).unwrap()];
    let [a, b, c, d] = refs.clone();
    assert_eq!(wait(&refs).run().unwrap(), (vec![a.clone()], vec![b.clone(), c.clone(), d.clone()]));
    assert_eq!(wait(&refs).num_returns(2).run().unwrap(), (vec![a.clone(), c.clone()], vec![b.clone(), d.clone()]));
    let (ready, rest) = wait(&refs).num_returns(4).timeout(Duration::from_millis(1)).run().unwrap();
    assert_eq!((ready, rest), (vec![a, c, d], vec![b]));
}

#[test]
fn a_failed_task_is_ready() {
    inline::attach();
    let refs = vec![half.remote(1)];
    assert_eq!(wait(&refs).run().unwrap(), (refs.clone(), vec![]));
}

#[test]
fn wait_refuses_duplicates_and_impossible_numbers() {
    inline::attach();
    let x = put(&1).unwrap();
    let message = |result: Result<_, WaitError>| Result::<(Vec<ObjectRef<i32>>, _), _>::unwrap_err(result).to_string();
    let twice = [x.clone(), x.clone()];
    assert_eq!(
        message(wait(&twice).run()),
        format!("object {} is in the list more than once: each ref can be waited for once", x.id())
    );
    let y = put(&1).unwrap();
    assert!(message(wait(&[y.clone(), x.clone(), y.clone()]).run()).starts_with(&format!("object {} is", y.id())));
    let one = [x];
    assert_eq!(message(wait(&one).num_returns(3).run()), "num_returns is 3, but there are only 1 refs to wait for");
    assert_eq!(message(wait(&one).num_returns(0).run()), "num_returns is 0: at least 1 ref must be waited for");
    assert_eq!(wait::<i32>(&[]).run().unwrap(), (vec![], vec![]));
}

#[test]
fn an_argument_that_cannot_be_serialised_is_named_where_remote_was_called() {
    inline::attach();
    #[derive(Deserialize)]
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let panic = std::panic::catch_unwind(|| (|_: u8, _: Stubborn| 1).remote(1, Stubborn)).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("task `closure` was not submitted: argument 2 cannot be sent: "), "{message}");
    assert!(matches!(put(&Stubborn), Err(crate::PutError::NotSerialised { .. })));
}

#[test]
fn errors_lists_failures_newest_last() {
    inline::attach();
    fn doomed() {
        panic!("first line\nsecond line");
    }
    let _failed = doomed.remote();
    let all = errors();
    let mine = all.iter().rfind(|error| error.task.ends_with("doomed")).unwrap();
    assert_eq!(mine.message, "panicked: first line\nsecond line");
    assert!(all.to_string().lines().any(|line| line.contains("doomed") && line.contains("panicked: first line  ")));
}

#[test]
fn a_large_array_reaches_a_task_and_comes_back() {
    inline::attach();
    fn double(list: Array<f64>) -> Array<f64> {
        Array::from(&*list * 2.0)
    }
    let list = put(&Array::from(vec![1.5; 100_000])).unwrap();
    let doubled = get(double.remote(&list)).unwrap();
    assert_eq!((doubled.len(), doubled.sum()), (100_000, 300_000.0));
}
