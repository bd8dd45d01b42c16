//! Plain programs that share a runtime which another process owns.
//!
//! ```text
//!   owner: this program, with `--owner`     joins it: the scenario, or this program with `--joins`     workers: this program, executed by
//!                                                                                                       the owner's zygote
//! ```

use crate::actors::is_running;
use crate::{Scenario, start, until};
use mobula::attached::Record;
use mobula::local::{Config, Program};
use mobula::prelude::*;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

scenarios! {
    a_program_that_joins_a_runtime_runs_its_functions_there_and_comes_back
    what_a_task_of_a_joined_program_submits_runs_in_that_program_too
    tasks_run_in_the_folder_of_the_program_that_started_them_and_so_do_theirs
    a_joined_program_is_told_what_its_tasks_print_and_how_they_fail
    a_joined_program_that_is_killed_leaves_nothing_and_holds_up_nobody
    a_detached_actor_of_a_program_lives_on_and_is_made_again_without_it
    a_program_calls_no_actor_of_another_program
    tasks_of_a_program_that_does_not_become_a_worker_fail_and_say_why
    the_address_in_the_environment_is_joined_at_the_start
}

/// The variable that makes this program end at once when it is executed without arguments, as a worker is.
const BREAKS: &str = "MOBULA_TEST_BREAKS";

/// Ends this process if it stands for a program whose `main` does something else first.
pub fn break_if_asked() {
    if std::env::var_os(BREAKS).is_some() && std::env::args_os().len() == 1 {
        std::process::exit(3);
    }
}

/// Owns a runtime that others find, until its standard input ends.
pub fn own() {
    let runtime = Program::start(Config { num_cpus: Some(2.0), is_shared: true, ..Config::default() }).unwrap();
    let folder = runtime.local().session_dir();
    Record::here(None).write(folder).unwrap();
    println!("{}", folder.display());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// The owner of a runtime, which ends when this is dropped.
struct Owner {
    process: Child,
    folder: String,
}

impl Owner {
    fn start(variables: &[(&str, &str)]) -> Owner {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.current_dir("/");
        command.arg("--owner").envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut folder = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut folder).unwrap();
        Owner { process, folder: folder.trim().to_owned() }
    }

    fn join(&self) {
        join(&self.folder);
    }

    /// This program, or another one, in a process of its own that joins it and does this.
    fn other(&self, program: &Path, what: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["--joins", &self.folder]).args(what);
        command
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().unwrap();
        assert!(status.success() || std::thread::panicking(), "{status}");
        assert!(!Path::new(&self.folder).exists() || std::thread::panicking(), "its folder is left");
    }
}

/// Has this program join the runtime in a folder.
fn join(folder: &str) {
    init_with(mobula::Config::connect(folder).namespace("team")).unwrap();
}

/// What a process does that joins a runtime.
pub fn joins(folder: &str, what: &[&str]) {
    let _program = start(1.0);
    if what != ["has joined"] {
        join(folder);
    }
    match what {
        ["has joined"] => {
            assert_eq!(cluster_resources().get("CPU"), Some(2.0), "the owner's");
            assert_eq!(get(&half.remote(8)).unwrap(), 4);
        }
        ["endless", folder] => {
            let tasks: Vec<_> = (0..8).map(|n| endless.remote(format!("{folder}/{n}"))).collect();
            get(&tasks).unwrap();
        }
        ["detached"] => {
            let counter = Counter::new.options().name("count").detached().max_restarts(1).spawn(10);
            assert_eq!(get(&Counter::add.call(&counter, 5)).unwrap(), 15);
        }
        ["add"] => {
            let counter = actor::<Counter>("count").unwrap();
            let refused = get(&Counter::add.call(&counter, 1)).unwrap_err();
            println!("{refused:#}");
        }
        other => panic!("{other:?} is not known"),
    }
}

fn half(n: u32) -> u32 {
    n / 2
}

fn nested(n: u32) -> Vec<u32> {
    get((0..n).map(|n| half.remote(n)).collect::<Vec<_>>()).unwrap()
}

fn process() -> (u32, PathBuf) {
    (std::process::id(), std::fs::read_link("/proc/self/exe").unwrap())
}

fn endless(file: String) {
    std::fs::write(format!("{file}.new"), std::process::id().to_string()).unwrap();
    std::fs::rename(format!("{file}.new"), file).unwrap();
    loop {
        std::thread::park();
    }
}

fn fails(text: String) -> u32 {
    panic!("no {text}")
}

fn sum(numbers: Buffer<u64>) -> u64 {
    numbers.iter().sum()
}

struct Counter(i64);

impl Counter {
    fn new(n: i64) -> Counter {
        Counter(n)
    }

    fn add(&mut self, by: i64) -> i64 {
        self.0 += by;
        self.0
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }
}

fn a_program_that_joins_a_runtime_runs_its_functions_there_and_comes_back() {
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    owner.join();
    assert_eq!(get(half.remote(half.remote(8))).unwrap(), 2);
    let (pid, program) = get(process.remote()).unwrap();
    assert_ne!(pid, std::process::id());
    assert_eq!(program, std::env::current_exe().unwrap(), "a worker is this program");
    assert_eq!(cluster_resources().get("CPU"), Some(2.0), "the owner's");
    let numbers = put(&Buffer::from((0..100_000).collect::<Vec<u64>>())).unwrap();
    assert_eq!(get(sum.remote(&numbers)).unwrap(), 4_999_950_000);
    let half_a_cpu = get(process.options().num_cpus(0.5).env("KEY", "v").remote()).unwrap().1;
    assert_eq!(half_a_cpu, program);
    let many: Vec<_> = (0..2000).map(|n| half.remote(n)).collect();
    assert_eq!(get(&many).unwrap(), (0..2000).map(|n| n / 2).collect::<Vec<_>>());
    let counter = Counter::new.options().max_restarts(1).max_task_retries(-1).spawn(1);
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 2);
    let of_actor = get(Counter::pid.call(&counter)).unwrap();
    kill_process(of_actor);
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 2, "made again, by the same program");
    drop((numbers, many, counter));
    shutdown().unwrap();
    assert_eq!(get(half.remote(10)).unwrap(), 5, "in its own runtime again");
    assert_eq!(cluster_resources().get("CPU"), Some(1.0));
    drop(owner);
}

fn what_a_task_of_a_joined_program_submits_runs_in_that_program_too() {
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    owner.join();
    assert_eq!(get(nested.remote(5)).unwrap(), [0, 0, 1, 1, 2]);
    let more: Vec<_> = (0..8).map(|_| nested.remote(3)).collect();
    assert!(get(&more).unwrap().iter().all(|halves| *halves == [0, 0, 1]));
}

fn tasks_run_in_the_folder_of_the_program_that_started_them_and_so_do_theirs() {
    fn folder() -> PathBuf {
        std::env::current_dir().unwrap()
    }
    fn folder_of_a_child() -> PathBuf {
        get(folder.remote()).unwrap()
    }
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    owner.join();
    let here = folder();
    assert_eq!((get(folder.remote()).unwrap(), get(folder_of_a_child.remote()).unwrap()), (here.clone(), here));
}

fn a_joined_program_is_told_what_its_tasks_print_and_how_they_fail() {
    let owner = Owner::start(&[]);
    let _program = start(1.0);
    owner.join();
    let error = get(fails.remote("way".to_owned())).unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("`joined::fails`") && said.contains("no way") && said.contains("joined.rs"), "{said}");
    assert_eq!(errors().len(), 1);
    assert_eq!(tasks().iter().filter(|task| task.name == "joined::fails").count(), 1);
}

fn a_joined_program_that_is_killed_leaves_nothing_and_holds_up_nobody() {
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    let mut other = owner.other(&std::env::current_exe().unwrap(), &["endless", here]).spawn().unwrap();
    // Which of them run is the scheduler's affair.
    let pids = || {
        let files = std::fs::read_dir(here).unwrap().map(|file| file.unwrap().path());
        let begun = files.filter(|file| file.extension().is_none());
        begun.map(|file| std::fs::read_to_string(file).unwrap().parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    until(|| pids().len() == 2);
    other.kill().unwrap();
    other.wait().unwrap();
    owner.join();
    assert_eq!(get(half.remote(8)).unwrap(), 4, "its tasks have given their CPUs back");
    until(|| pids().iter().all(|pid| !is_running(*pid)));
}

fn a_detached_actor_of_a_program_lives_on_and_is_made_again_without_it() {
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    let status = owner.other(&std::env::current_exe().unwrap(), &["detached"]).status().unwrap();
    assert!(status.success());
    owner.join();
    let counter = actor::<Counter>("count").unwrap();
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 16);
    let pid = get(Counter::pid.call(&counter)).unwrap();
    kill_process(pid);
    // A call that was on its way may be lost with the process.
    until(|| get(Counter::pid.call(&counter)).is_ok_and(|now| now != pid));
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 11, "made again by its constructor");
    kill(&counter).unwrap();
}

fn a_program_calls_no_actor_of_another_program() {
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    owner.join();
    let counter = Counter::new.options().name("count").spawn(1);
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 2);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("another");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = owner.other(&copy, &["add"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("this process is another program") && said.contains("another"), "{said}");
    assert_eq!(get(Counter::add.call(&counter, 1)).unwrap(), 3, "nothing has happened to it");
}

fn tasks_of_a_program_that_does_not_become_a_worker_fail_and_say_why() {
    let _program = start(1.0);
    let owner = Owner::start(&[(BREAKS, "1")]);
    owner.join();
    for _ in 0..2 {
        let refused = get(half.remote(8)).unwrap_err();
        let said = format!("{refused:#}");
        assert!(said.contains("`Program::start` must come first in `main`"), "{said}");
    }
    let counter = Counter::new.spawn(1);
    let refused = get(Counter::add.call(&counter, 1)).unwrap_err();
    assert!(format!("{refused:#}").contains("must come first in `main`"), "{refused:#}");
}

fn the_address_in_the_environment_is_joined_at_the_start() {
    let _program = start(1.0);
    let owner = Owner::start(&[]);
    let program = std::env::current_exe().unwrap();
    let joins = |address: &str| {
        Command::new(&program).args(["--joins", "", "has joined"]).env("MOBULA_ADDRESS", address).output().unwrap()
    };
    let joined = joins(&owner.folder);
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    let gone = joins("/nowhere");
    let said = String::from_utf8_lossy(&gone.stderr);
    assert!(!gone.status.success() && said.contains("/nowhere"), "{said}");
}

fn kill_process(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
