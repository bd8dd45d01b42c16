//! Stacks of a real process: this program again, in which a test waits in a function that another one has called.

use super::{NoStack, Target, ThreadStack, stacks};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What makes the test below a process to look at.
const ROLE: &str = "MOBULA_STACK_TEST";
const DEADLINE: Duration = Duration::from_secs(60);

/// A process that is in `inner`, called by `outer`, and ends when its input does.
struct Other(Child);

impl Other {
    fn that(does: &str) -> Other {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "stack::tests::the_process_that_is_looked_at", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, does).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("it is there")), "it has begun");
        Other(child)
    }

    fn stacks(&self) -> Result<Vec<ThreadStack>, NoStack> {
        stacks(&Target::of(self.0.id())?)
    }

    /// The threads that are in `inner`, once one is.
    fn in_inner(&self) -> Vec<ThreadStack> {
        let begun = Instant::now();
        loop {
            let threads = self.stacks().expect("the stacks");
            let found: Vec<_> = threads.iter().filter(|thread| is_in_inner(thread)).cloned().collect();
            if !found.is_empty() {
                return found;
            }
            assert!(begun.elapsed() < DEADLINE, "{threads:#?}");
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_in_inner(thread: &ThreadStack) -> bool {
    let at = |name: &str| thread.frames.iter().position(|frame| frame.function.ends_with(name));
    matches!((at("tests::inner"), at("tests::outer")), (Some(inner), Some(outer)) if inner < outer)
}

#[inline(never)]
fn outer(does: &str) -> u64 {
    std::hint::black_box(inner(does)) + 1
}

#[inline(never)]
fn inner(does: &str) -> u64 {
    match does {
        "reads" => std::hint::black_box(std::io::stdin().read(&mut [0]).unwrap_or(0) as u64),
        "looks at the clock" => {
            let begun = Instant::now();
            let mut looks = 0;
            while std::hint::black_box(begun.elapsed()) < DEADLINE {
                looks += 1;
            }
            looks
        }
        _ => {
            let mut n = 0u64;
            while std::hint::black_box(n) < u64::MAX {
                n += 1;
            }
            n
        }
    }
}

#[test]
fn the_process_that_is_looked_at() {
    if let Ok(does) = std::env::var(ROLE) {
        println!("it is there");
        std::process::exit(outer(&does) as i32);
    }
}

#[test]
fn a_thread_that_computes_shows_the_calls_it_is_in_and_goes_on() {
    let other = Other::that("computes");
    let thread = &other.in_inner()[0];
    assert_eq!((thread.state, thread.end.as_deref()), ("running", None), "{thread:#?}");
    // Its first frame is the start of a thread, which is not what a person looks for.
    assert!(thread.frames.last().is_some_and(|frame| frame.is_own), "{thread:#?}");
    for _ in 0..100 {
        other.stacks().expect("the stacks, again");
    }
    assert_eq!(procfs::process::Process::new(other.0.id() as i32).unwrap().status().unwrap().tracerpid, 0);
}

#[test]
fn a_thread_in_a_system_call_and_one_in_the_kernels_own_code_are_shown_too() {
    let reading = Other::that("reads");
    let thread = &reading.in_inner()[0];
    assert!(thread.frames.iter().any(|frame| frame.function.contains("read")), "{thread:#?}");
    assert_eq!(thread.end, None);
    let clock = Other::that("looks at the clock");
    let begun = Instant::now();
    let is_seen = |thread: &ThreadStack| thread.frames.iter().any(|frame| frame.module == "vdso");
    while !clock.in_inner().iter().any(is_seen) {
        assert!(begun.elapsed() < DEADLINE);
    }
}

#[test]
fn a_process_that_is_stopped_is_read_and_stays_stopped() {
    use rustix::process::{Pid, Signal, kill_process};
    let other = Other::that("computes");
    other.in_inner();
    let pid = Pid::from_raw(other.0.id() as i32).unwrap();
    let state = || procfs::process::Process::new(pid.as_raw_nonzero().get()).unwrap().stat().unwrap().state;
    kill_process(pid, Signal::STOP).unwrap();
    while state() != 'T' {
        std::thread::yield_now();
    }
    assert_eq!(other.in_inner()[0].state, "stopped");
    while state() != 'T' {
        std::thread::yield_now();
    }
    kill_process(pid, Signal::CONT).unwrap();
    while other.in_inner()[0].state != "running" {}
}

#[test]
fn a_process_that_is_killed_meanwhile_is_told_to_have_ended() {
    for _ in 0..20 {
        let mut other = Other::that("computes");
        let target = Target::of(other.0.id()).unwrap();
        let reader = std::thread::spawn(move || {
            loop {
                if let Err(error) = stacks(&target) {
                    return error.to_string();
                }
            }
        });
        other.0.kill().unwrap();
        let pid = other.0.id();
        assert_eq!(reader.join().unwrap(), format!("process {pid} has ended"));
        assert_eq!(other.0.wait().unwrap().signal(), Some(9), "its parent learns how it ended");
    }
    assert!(matches!(Target::of(u32::MAX), Err(NoStack::Ended { .. })));
}
