//! Model: a task that waits for others is woken once, in every order of arrivals and deaths.

use super::*;

type Go = fn(&Leases, Vec<Id>) -> Vec<Id>;

/// Goes on with tasks whose awaited object is ready, as `client/execute.rs` does. Returns those that can be run now.
fn go_on(leases: &Leases, mut tasks: Vec<Id>) -> Vec<Id> {
    let segment = Arc::clone(&leases.segment);
    let (mut ready, mut at) = (Vec::new(), 0);
    while let Some(task) = tasks.get(at).copied() {
        at += 1;
        let spec = segment.read_spec(task.slot());
        if segment.slot(task.slot()).word().generation() == task.generation()
            && segment.ready_or_listed(task, &spec, leases.seat, &mut tasks) == Readiness::Ready
        {
            ready.push(task);
        }
    }
    ready
}

/// Ends a task, and returns those that can be run now because of it.
fn finish(leases: &Leases, id: Id) -> Vec<Id> {
    leases.moves();
    assert!(leases.segment.finish(leases.seat, id, Flags::empty(), 0).is_some());
    let ready = go_on(leases, leases.segment.take_list(id.slot()));
    leases.moved();
    ready
}

/// A `finish` that takes the list before it seals the object.
fn finish_last(leases: &Leases, id: Id) -> Vec<Id> {
    let waiting = leases.segment.take_list(id.slot());
    assert!(leases.segment.finish(leases.seat, id, Flags::empty(), 0).is_some());
    go_on(leases, waiting)
}

/// Submits a task that needs these objects, and returns those that can be run now because of it.
fn submit_behind(leases: &mut Leases, objects: &[Id], go: Go) -> (Id, Vec<Id>) {
    leases.moves();
    let mut late = Vec::new();
    let (task, readiness) = submit(leases, objects, &mut late);
    let mut ready = go(leases, late);
    if readiness == Readiness::Ready {
        ready.push(task);
    }
    leases.moved();
    (task, ready)
}

/// Alice submits a task behind bob's and carol's, or alice and carol each submit one behind bob's.
fn chain(seen: &Seen, submitters: usize, ends: fn(&Leases, Id) -> Vec<Id>, go: Go) {
    let segment = tables(5, 1);
    let mut alice = leases(&segment, ALICE, 1..4);
    let awaited: Vec<Id> = [CAROL, BOB][submitters - 1..].iter().map(|by| running_task(&mut alice, *by)).collect();
    let threads: Vec<_> = [CAROL, BOB]
        .into_iter()
        .map(|by| {
            let own = awaited.iter().copied().find(|id| segment.slot(id.slot()).word().owner() == Some(by));
            let mut leases = leases(&segment, by, if own.is_none() { 4..5 } else { 4..4 });
            let awaited = awaited.clone();
            thread::spawn(move || match own {
                Some(own) => (None, ends(&leases, own)),
                None => {
                    let (task, ready) = submit_behind(&mut leases, &awaited, go);
                    (Some(task), ready)
                }
            })
        })
        .collect();
    let (task, mut ready) = submit_behind(&mut alice, &awaited, go);
    let mut tasks = vec![task];
    seen.note(if ready.contains(&task) { "alice's was ready at once" } else { "alice's had to wait" });
    for thread in threads {
        let (task, woken) = thread.join().unwrap();
        tasks.extend(task);
        seen.note(match (task, woken.len()) {
            (None, 0) => "nobody waited for it",
            (None, 1) => "whoever finished woke one",
            (None, _) => "whoever finished woke two",
            (Some(task), _) if woken.iter().any(|woken| *woken != task) => "who came too late took another one along",
            (Some(_), _) => "another one submitted",
        });
        ready.extend(woken);
    }
    for task in &tasks {
        assert_eq!(ready.iter().filter(|ready| *ready == task).count(), 1, "a task is woken once");
        assert_eq!(segment.slot(task.slot()).word().state(), State::Pending);
    }
    assert_eq!(ready.len(), tasks.len());
    assert!(segment.unclosed().is_empty() && segment.waiting().is_empty());
}

#[test]
fn a_task_that_waits_for_two_others_is_woken_once() {
    let outcomes =
        ["alice's was ready at once", "alice's had to wait", "nobody waited for it", "whoever finished woke one"];
    explore(Depth::Switches(3), &outcomes, |seen| chain(seen, 1, finish, go_on));
    must_fail(Depth::Switches(3), "the fences of tasks.rs", "a task is woken once", |seen| {
        without_fences("store/tasks.rs");
        chain(seen, 1, finish, go_on);
    });
    must_fail(Depth::Switches(3), "sealing before looking at the list", "a task is woken once", |seen| {
        chain(seen, 1, finish_last, go_on);
    });
    must_fail(Depth::Switches(3), "looking after tasks that came too late", "a task is woken once", |seen| {
        chain(seen, 1, finish, |leases, tasks| if tasks.contains(&Id(0)) { go_on(leases, tasks) } else { Vec::new() });
    });
}

#[test]
fn two_tasks_that_wait_for_the_same_one_are_both_woken_once() {
    let outcomes = [
        "alice's was ready at once",
        "alice's had to wait",
        "whoever finished woke one",
        "whoever finished woke two",
        "who came too late took another one along",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| chain(seen, 2, finish, go_on));
}

/// Bob dies while he ends the task that alice's task waits for. The head recovers as `local/head/tasks.rs` does.
fn the_finisher_dies(seen: &Seen, revives: bool) {
    let segment = tables(3, 1);
    let mut alice = leases(&segment, ALICE, 1..3);
    let awaited = running_task(&mut alice, BOB);
    let bob = {
        let (segment, seen) = (Arc::clone(&segment), seen.clone());
        thread::spawn(move || {
            let leases = Leases::new(segment, BOB);
            seen.mortal(|| finish(&leases, awaited).len())
        })
    };
    let alice = thread::spawn(move || submit_behind(&mut alice, &[awaited], go_on));
    let lived = bob.join().unwrap();
    let head = Leases::new(Arc::clone(&segment), Seat::HEAD);
    let mut woken = lived.unwrap_or(0);
    if lived.is_none() {
        let estate = segment.bury(BOB, Keep::Nothing);
        for lost in &estate.lost {
            assert!(segment.take_step(*lost, Step::Fail));
            woken += go_on(&head, segment.take_list(lost.slot())).len();
        }
        // Bob has woken alice's task, and it is the head's now.
        woken += estate.pending.len();
        seen.note(if estate.lost.is_empty() { "bob died with his task done" } else { "bob died with his task" });
        seen.note(if estate.pending.is_empty() { "bob had woken nobody" } else { "bob had woken alice's" });
    }
    let (task, ready) = {
        let watched = if lived.is_none() && revives {
            let mut watched = segment.unclosed();
            watched.extend(segment.waiting());
            watched.sort();
            watched.dedup();
            watched
        } else {
            Vec::new()
        };
        // A process that is about to wake one of them does so first.
        assert!(segment.let_finish());
        for task in watched {
            if !segment.slot(awaited.slot()).word().is_task() && segment.take_step(task, Step::Wake { by: Seat::HEAD })
            {
                seen.note("the head woke alice's");
                woken += 1;
            }
        }
        alice.join().unwrap()
    };
    woken += ready.len();
    assert_eq!(segment.slot(task.slot()).word().state(), State::Pending, "a task is woken");
    assert_eq!(woken, 1, "a task is woken once");
}

#[test]
fn a_task_is_woken_once_though_the_one_who_was_to_wake_it_dies() {
    let outcomes = [
        "bob died with his task",
        "bob died with his task done",
        "bob had woken nobody",
        "bob had woken alice's",
        "the head woke alice's",
    ];
    explore(Depth::Switches(2), &outcomes, |seen| the_finisher_dies(seen, true));
    must_fail(Depth::Switches(2), "a head that looks for tasks that nobody will wake", "a task is woken", |seen| {
        the_finisher_dies(seen, false);
    });
}

/// Two of alice's tasks wait for bob's. The first in the list is cancelled as `local/head/cancel.rs` does it, and alice, who needs it no
/// longer, uses its slot for a task that waits for carol's.
fn a_listed_task_is_cancelled(seen: &Seen, keeps: bool) {
    let segment = tables(6, 1);
    let mut alice = leases(&segment, ALICE, 1..5);
    let (awaited, other) = (running_task(&mut alice, BOB), running_task(&mut alice, CAROL));
    let (last, ready) = submit_behind(&mut alice, &[awaited], go_on);
    let (first, more) = submit_behind(&mut alice, &[awaited], go_on);
    assert!(ready.is_empty() && more.is_empty());
    let bob = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || finish(&Leases::new(segment, BOB), awaited))
    };
    if keeps {
        segment.add(first, Kind::Ref, Seat::HEAD);
    }
    assert!(segment.take_step(first, Step::Cancel));
    segment.unhold(awaited);
    segment.remove(first, Kind::Ref, ALICE);
    segment.collect(&mut alice, vec![first], &mut Leftovers::default());
    if segment.slot(first.slot()).word().generation() != first.generation() {
        submit_behind(&mut alice, &[other], go_on);
    }
    let mut woken = bob.join().unwrap();
    seen.note(if woken.contains(&first) { "bob had woken it" } else { "it was cancelled while it waited" });
    if keeps {
        // Bob has taken the list by now.
        assert!(!segment.arm(awaited, Seat::HEAD) || segment.let_finish());
        segment.remove(first, Kind::Ref, Seat::HEAD);
        segment.collect(&mut alice, vec![first], &mut Leftovers::default());
        assert_ne!(segment.slot(first.slot()).word().generation(), first.generation(), "its slot is free");
    }
    woken.retain(|task| *task != first);
    assert_eq!(woken, [last], "the other task is woken once");
}

#[test]
fn a_task_that_is_cancelled_in_a_list_leaves_the_list_whole() {
    let outcomes = ["it was cancelled while it waited", "bob had woken it"];
    explore(Depth::Switches(3), &outcomes, |seen| a_listed_task_is_cancelled(seen, true));
    must_fail(Depth::Switches(3), "a reference of the head", "the other task is woken once", |seen| {
        a_listed_task_is_cancelled(seen, false);
    });
}
