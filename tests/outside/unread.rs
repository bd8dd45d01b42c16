//! A front end that does not read: what writes waits, and nothing else does.

use crate::support::{Place, eventually};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::process::Stdio;

const SCRIPT: &str = r#"
fn flood() -> u8 {
    let line = "x".repeat(1000);
    loop { println!("{line}") }
}
fn double(n: u64) -> u64 { n * 2 }
fn never() -> u8 { loop { std::thread::park() } }
let flood = flood.remote();
while !std::path::Path::new("nobody reads").exists() { std::thread::yield_now() }
let doubled: u64 = (0..100).map(|n| get(&double.remote(n)).unwrap()).sum();
std::fs::write("doubled", doubled.to_string())?;
struct End;
impl Drop for End {
    fn drop(&mut self) { std::fs::write("ended", "by an interrupt").unwrap() }
}
let end = End;
get(&never.remote())
"#;

#[test]
fn tasks_go_on_and_an_interrupt_works_beside_a_flood_that_nobody_reads() {
    let place = Place::new();
    let script = place.write("flood.rs", SCRIPT);
    let file = |name: &str| match std::fs::read_to_string(place.path(name)) {
        Ok(text) if !text.is_empty() => Ok(text),
        other => Err(format!("{name}: {other:?}")),
    };
    let mut child = place.mobula().arg("run").arg(script).stdout(Stdio::piped()).spawn().expect("mobula");
    let mut stdout = child.stdout.take().expect("a pipe");
    let capacity = rustix::pipe::fcntl_getpipe_size(&stdout).expect("a pipe") as u64;
    // A writer waits before the last byte is taken, because a pipe consists of pages.
    eventually("a pipe that is full", || match ioctl_fionread(&stdout) {
        Ok(waiting) if waiting > capacity / 4 * 3 => Ok(()),
        waiting => Err(format!("{waiting:?} of {capacity} bytes")),
    });
    place.write("nobody reads", "");
    assert_eq!(eventually("tasks that go on", || file("doubled")), "9900");
    // It unwinds the call that waits now, or the next one.
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is alive");
    eventually("the cell's end", || file("ended"));
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    child.wait().expect("its end");
    assert!(rest.len() as u64 > capacity);
    place.leaves_nothing();
}
