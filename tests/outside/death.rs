//! `kill -9` and everything else that ends a process: what is promised to survive does, and nothing is left behind.

use crate::support::{Notebook, Place, eventually, kill};
use std::collections::BTreeSet;

/// A task that tells its process id and then never ends.
const DOOMED: &str = r#"
fn doomed() -> i64 {
    std::fs::write("{here}/pid", format!("{}\n", std::process::id())).unwrap();
    loop { std::thread::park() }
}
fn fine(x: i64) -> i64 { x + 1 }
"#;

#[test]
pub fn a_killed_worker_fails_its_task_by_name_and_the_rest_goes_on() {
    let place = Place::new();
    let running = Notebook::new()
        .cell(DOOMED)
        .cell("let kept = put(&7i64)?; let lost = doomed.options().max_retries(0).remote(); let behind = fine.remote(&lost);")
        .failing("get(&lost)?")
        .failing("get(&behind)?")
        .cell("get(&fine.remote(&kept))?")
        .cell("errors()")
        .start(&place);
    let pid = place.pid_in("pid");
    kill(pid);
    let ran = running.finish();

    let (_, value, report) = ran.cell(3).error();
    for word in ["doomed", "SIGKILL", &pid.to_string()] {
        assert!(report.contains(word), "no {word} in {value}: {report}");
    }
    let (_, _, report) = ran.cell(4).error();
    assert!(report.contains("doomed") && report.contains("fine"), "the chain of tasks is not told: {report}");
    assert_eq!(ran.cell(5).value(), "8");
    assert!(ran.cell(6).value().contains("doomed"), "{}", ran.cell(6).everything());
    place.leaves_nothing();
}

#[test]
fn the_pool_refills_however_often_its_workers_die() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn dies() -> i64 { std::process::abort() }\nfn pid() -> u32 { std::process::id() }")
        .cell(
            "let deaths = std::thread::available_parallelism().unwrap().get() + 3;\n\
             (0..deaths).filter(|_| get(&dies.remote()).is_err()).count() == deaths",
        )
        .cell("get(&(0..20).map(|_| pid.remote()).collect::<Vec<_>>())?.len()")
        .run(&place);
    assert_eq!(ran.cell(2).value(), "true");
    assert_eq!(ran.cell(3).value(), "20");
    place.leaves_nothing();
}

#[test]
pub fn a_cell_host_killed_in_mid_cell_loses_no_variable_and_no_object() {
    let place = Place::new();
    let running = Notebook::new()
        .cell("fn next(x: i64) -> i64 { x + 1 }\nlet list = vec![1i64, 2, 3];\nlet name = String::from(\"kept\");")
        .cell("let stored = put(&name)?; let result = next.remote(1);")
        .failing(
            "let half = 1i64;\n\
             std::fs::write(\"{here}/pid\", format!(\"{}\\n\", std::process::id())).unwrap();\n\
             loop { std::thread::park() }",
        )
        .cell("(list.len(), name.clone())")
        .cell("(get(&stored)?, get(&result)?)")
        .cell("get(&next.remote(&result))?")
        .start(&place);
    kill(place.pid_in("pid"));
    let ran = running.finish();

    let (name, value, report) = ran.cell(3).error();
    assert_eq!(name, "Crashed");
    assert!(value.contains("SIGKILL") && !value.contains('\n'), "not one sentence that says it: {value}");
    assert!(report.contains("variable"), "{report}");
    assert_eq!(ran.cell(4).value(), "(3, \"kept\")");
    assert_eq!(ran.cell(5).value(), "(\"kept\", 2)");
    assert_eq!(ran.cell(6).value(), "3");
    place.leaves_nothing();
}

#[test]
fn a_cell_that_crashes_leaves_every_earlier_variable_as_it_was() {
    let place = Place::new();
    let check = "(list.iter().sum::<i64>(), get(&stored)?)";
    let ran = Notebook::new()
        .cell("let mut list = vec![1i64, 2, 3]; let stored = put(&41i64)?;")
        .failing("list.push(1000); unsafe { std::ptr::write_volatile(std::hint::black_box(8usize) as *mut i32, 1) };")
        .cell(check)
        .failing("list.push(1000); std::process::abort();")
        .cell(check)
        .failing(
            "fn deep(n: u64) -> u64 { let room = std::hint::black_box([n; 64]); room[7] + deep(n + 1) + room[9] }\n\
             list.push(1000); deep(1);",
        )
        .cell(check)
        .failing("list.push(1000); std::process::exit(7);")
        .cell(check)
        .cell("list.push(4); list.len()")
        .run(&place);
    for (cell, says) in [(2, "SIGSEGV"), (4, "SIGABRT"), (6, "stack overflow"), (8, "code 7")] {
        let (name, value, _) = ran.cell(cell).error();
        assert_eq!(name, "Crashed", "cell {cell}: {value}");
        assert!(value.contains(says), "cell {cell} does not say {says}: {value}");
        assert_eq!(ran.cell(cell + 1).value(), "(6, 41)", "after cell {cell}");
    }
    assert_eq!(ran.cell(10).value(), "4");
    place.leaves_nothing();
}

#[test]
fn a_crash_is_shown_where_it_happened() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("fn poke(at: usize) {\n    unsafe { std::ptr::write_volatile(at as *mut i32, 1) }\n}")
        .failing("let at = 8;\npoke(std::hint::black_box(at));")
        .failing("let x = 1;\nif x == 1 { std::process::abort() }")
        .failing("println!(\"{}\", 1);\nstd::thread::spawn(|| poke(16)).join().is_ok()")
        .failing("fn deep(n: u64) -> u64 { let room = std::hint::black_box([n; 64]); room[7] + deep(n + 1) + room[9] }\ndeep(1)")
        .failing("let nowhere: fn() = unsafe { std::mem::transmute(std::hint::black_box(8usize)) };\nnowhere()")
        .run(&place);
    // Cell, where it crashed, and from where that was called.
    let expected = [
        (2, "cell 1:2:", "cell 2:2:"),
        (3, "cell 3:2:", ""),
        (4, "cell 1:2:", "cell 4:2:"),
        (5, "cell 5:1:", ""),
        (6, "cell 6:2:", ""),
    ];
    for (cell, place, caller) in expected {
        let (name, _, report) = ran.cell(cell).error();
        assert!(name == "Crashed" && report.contains(&format!("[ {place}")), "cell {cell}: {report}");
        assert!(caller.is_empty() || report.contains(&format!("called from {caller}")), "cell {cell}: {report}");
    }
    place.leaves_nothing();
}

#[test]
fn nothing_is_left_of_a_killed_front_process_whose_task_runs() {
    let place = Place::new();
    let mut running = Notebook::new()
        .cell(DOOMED)
        .cell("let big = put(&vec![1u8; 20_000_000])?; let lost = doomed.remote();")
        .cell("get(&lost)?")
        .start(&place);
    let worker = place.pid_in("pid");
    let alive: BTreeSet<u32> = place.processes().into_iter().map(|(pid, _)| pid).collect();
    assert!(alive.contains(&worker) && alive.len() >= 3, "the test sees no process tree: {alive:?}");
    running.kill_front();
    place.leaves_nothing();
}

#[test]
fn nothing_is_left_of_a_killed_front_process_whose_cell_spins() {
    let place = Place::new();
    let mut running = Notebook::new()
        .cell("std::fs::write(\"{here}/pid\", format!(\"{}\\n\", std::process::id())).unwrap(); loop {}")
        .start(&place);
    let host = place.pid_in("pid");
    running.kill_front();
    eventually("the spinning cell host was gone", || match place.processes().iter().any(|(pid, _)| *pid == host) {
        true => Err("it is alive"),
        false => Ok(()),
    });
    place.leaves_nothing();
}

#[test]
fn nothing_is_left_of_a_killed_front_process_whose_cell_is_compiled() {
    let place = Place::new();
    let for_ever =
        "#[allow(long_running_const_eval)] const N: u64 = { let mut n = 0; while n < u64::MAX { n += 1; } n }; N";
    let mut running = Notebook::new()
        .cell("std::fs::write(\"{here}/pid\", format!(\"{}\\n\", std::process::id())).unwrap();")
        .cell(for_ever)
        .start(&place);
    place.pid_in("pid");
    eventually("the second cell was being compiled", || {
        match place.processes().iter().any(|(_, words)| words.contains("bin/rustc")) {
            true => Ok(()),
            false => Err("no compiler runs"),
        }
    });
    running.kill_front();
    place.leaves_nothing();
}

#[test]
fn a_thread_that_prints_all_the_time_takes_no_lock_with_it_when_its_process_dies() {
    let place = Place::new();
    let prints = "fn hold() { let (out, err) = (std::io::stdout().lock(), std::io::stderr().lock());\n\
                  std::thread::sleep(std::time::Duration::from_millis(5)); drop((out, err)); }\n\
                  let pause = std::time::Duration::from_millis(1);";
    let mut notebook = Notebook::new().cell(prints);
    for _ in 0..ROUNDS {
        notebook = notebook
            .cell("std::thread::spawn(move || loop { hold(); std::thread::sleep(pause) });")
            .cell("pause.as_millis()")
            .failing("std::process::abort()")
            .cell("eprintln!(\"told\"); println!(\"shown\"); 1 + 1");
    }
    let ran = notebook.run(&place);
    for round in 0..ROUNDS {
        let cell = ran.cell(5 + 4 * round);
        assert_eq!(cell.value(), "2");
        assert!(cell.text().contains("told") && cell.text().contains("shown"), "{}", cell.everything());
    }
    place.leaves_nothing();
}

/// How often the process dies.
const ROUNDS: usize = 5;

/// Lets the process that runs the cells have so many processes. Of root the system does not count them, so it is somebody else meanwhile.
pub const LIMIT: &str = r#"
unsafe extern "C" {
    fn capget(header: *const u32, sets: *mut u32) -> i32;
    fn capset(header: *const u32, sets: *const u32) -> i32;
    fn getrlimit(what: i32, limit: *mut u64) -> i32;
    fn setrlimit(what: i32, limit: *const u64) -> i32;
    fn setresuid(real: u32, effective: u32, saved: u32) -> i32;
}
fn limit(processes: u64) {
    let (header, mut sets, mut limit) = ([0x2008_0522, 0], [0; 6], [0; 2]);
    let exempt = 1 << 21 | 1 << 24;
    unsafe {
        capget(header.as_ptr(), sets.as_mut_ptr());
        if processes == 1 {
            setresuid(12345, u32::MAX, u32::MAX);
            sets[0] &= !exempt;
        } else {
            sets[0] |= sets[1] & exempt;
        }
        capset(header.as_ptr(), sets.as_ptr());
        getrlimit(6, limit.as_mut_ptr());
        limit[0] = processes.min(limit[1]);
        setrlimit(6, limit.as_ptr());
    }
}
let early = 1i64;
"#;

#[test]
fn an_older_copy_stays_and_it_is_said_while_no_new_one_can_be_made() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell(LIMIT)
        .cell("limit(1); let late = 2i64;")
        .cell("let more = early + late;")
        .failing("std::process::abort()")
        .cell("early")
        .failing("late")
        .cell("limit(1);")
        .cell("limit(u64::MAX); let kept = 3i64;")
        .failing("std::process::abort()")
        .cell("kept")
        .run(&place);
    let says = |cell: usize, words: &str| {
        assert!(ran.cell(cell).everything().contains(words), "{}", ran.cell(cell).everything())
    };
    says(2, "a crash takes variables back to what they were before cell 2");
    assert_eq!(ran.cell(3).text(), "");
    says(4, "every variable is as it was before cell 2");
    assert_eq!(ran.cell(5).value(), "1");
    says(6, "`late` was lost in a crash: it was made since cell 2");
    says(7, "a crash takes variables back");
    says(8, "a crash loses nothing");
    says(9, "every variable is as it was before this cell");
    assert_eq!(ran.cell(10).value(), "3");
    place.leaves_nothing();
}
