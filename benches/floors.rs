//! The machine's own limits, measured in the same run as Mobula's times.
//!
//! ```text
//! spin_ping_pong       one word each way between two processes that spin: no task round trip can cost less
//! futex_ping_pong      the same, one sleep and one wake-up each way: no task round trip can cost less when nobody may spin
//! futex_ping_pong_busy the same while as many threads as there are processors want them
//! pipe_ping_pong       the same through two pipes
//! memcpy_…             copying that much memory, warm: no copy into the store can cost less
//! memcpy_…_cold        the same into memory that nobody had before, whose pages have to be made
//! rustc_empty_cdylib   the compiler on an empty library: no cell can cost less
//! ```
//!
//! Prints one line of JSON a row: `{"row", "unit", "median", "min", "max"}`. `cargo xtask bench` runs it.

// `shared_word` forms a reference into memory that two processes share.
#![allow(unsafe_code)]

use memmap2::MmapRaw;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::thread::futex;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Round trips in one sample of a ping-pong.
const ROUND_TRIPS: u32 = 2_000;

/// What the second process of a ping-pong is started with.
const ECHO_FUTEX: &str = "--echo-futex";
const ECHO_SPIN: &str = "--echo-spin";
const ECHO_PIPE: &str = "--echo-pipe";

/// The number that ends a futex ping-pong.
const END: u32 = u32::MAX;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(ECHO_FUTEX) => echo_word(await_change, true),
        Some(ECHO_SPIN) => echo_word(spin_for_change, false),
        Some(ECHO_PIPE) => echo_pipe(),
        _ => measure(),
    }
}

/// Measures every floor.
fn measure() -> Result<()> {
    let repeats = std::env::var("MOBULA_BENCH_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    ping_pong("spin_ping_pong", ECHO_SPIN, spin_for_change, repeats)?;
    ping_pong("futex_ping_pong", ECHO_FUTEX, await_change, repeats)?;
    {
        let _hogs = Hogs::start();
        ping_pong("futex_ping_pong_busy", ECHO_FUTEX, await_change, repeats)?;
    }
    pipe_ping_pong(repeats)?;
    for (label, bytes) in [("1KiB", 1 << 10), ("1MiB", 1 << 20), ("100MiB", 100 << 20)] {
        memcpy(label, bytes, repeats)?;
    }
    memcpy_cold("100MiB", 100 << 20, repeats)?;
    rustc_empty_cdylib(repeats)
}

/// Takes `repeats` samples and prints their row.
fn row(name: &str, unit: &str, repeats: usize, mut sample: impl FnMut() -> Result<f64>) -> Result<()> {
    let mut samples = (0..repeats).map(|_| sample()).collect::<Result<Vec<f64>>>()?;
    samples.sort_by(f64::total_cmp);
    let (median, min, max) = (samples[samples.len() / 2], samples[0], samples[samples.len() - 1]);
    println!(r#"{{"row":"{name}","unit":"{unit}","median":{median},"min":{min},"max":{max}}}"#);
    Ok(())
}

/// Microseconds since `begin`, shared out over `each`.
fn us(begin: Instant, each: u32) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(each)
}

/// Threads that use up all processors, until this is dropped.
struct Hogs(Arc<AtomicBool>);

impl Hogs {
    fn start() -> Hogs {
        let go_on = Arc::new(AtomicBool::new(true));
        for _ in 0..std::thread::available_parallelism().map_or(1, |cpus| cpus.get()) {
            let go_on = Arc::clone(&go_on);
            std::thread::spawn(move || while go_on.load(Ordering::Relaxed) {});
        }
        Hogs(go_on)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn ping_pong(name: &str, role: &str, await_change: fn(&AtomicU32, u32), repeats: usize) -> Result<()> {
    let file = File::from(memfd_create("mobula-bench", MemfdFlags::CLOEXEC)?);
    ftruncate(&file, 4096)?;
    let map = MmapRaw::map_raw(&file)?;
    let (ping, pong) = (shared_word(&map, 0), shared_word(&map, 64));
    // The other process gets the memory as its standard input.
    let mut other = echo(role, Stdio::from(file), Stdio::null())?;
    let (mut turn, sleeps) = (0, role == ECHO_FUTEX);
    row(name, "us", repeats, || {
        let begin = Instant::now();
        for _ in 0..ROUND_TRIPS {
            turn += 1;
            say(ping, turn, sleeps);
            await_change(pong, turn - 1);
        }
        Ok(us(begin, ROUND_TRIPS))
    })?;
    say(ping, END, sleeps);
    other.wait()?;
    Ok(())
}

/// The other side: answers each number with the same number.
fn echo_word(await_change: fn(&AtomicU32, u32), sleeps: bool) -> Result<()> {
    let map = MmapRaw::map_raw(&std::io::stdin().as_fd().try_clone_to_owned().map(File::from)?)?;
    let (ping, pong) = (shared_word(&map, 0), shared_word(&map, 64));
    let mut seen = 0;
    loop {
        await_change(ping, seen);
        seen = ping.load(Ordering::Acquire);
        if seen == END {
            return Ok(());
        }
        say(pong, seen, sleeps);
    }
}

/// Stores `value` and, where the other side sleeps, wakes whoever sleeps on `word`.
fn say(word: &AtomicU32, value: u32, sleeps: bool) {
    // Release: pairs with the Acquire load in `await_change` of the other process.
    word.store(value, Ordering::Release);
    if !sleeps {
        return;
    }
    // Nobody asleep is an expected outcome.
    let _ = futex::wake(word, futex::Flags::empty(), 1);
}

/// Sleeps until `word` no longer holds `old`.
fn await_change(word: &AtomicU32, old: u32) {
    while word.load(Ordering::Acquire) == old {
        // Woken, interrupted or no need to sleep: the loop looks again.
        let _ = futex::wait(word, futex::Flags::empty(), old, None);
    }
}

/// Looks at `word` until it no longer holds `old`.
fn spin_for_change(word: &AtomicU32, old: u32) {
    while word.load(Ordering::Acquire) == old {
        std::hint::spin_loop();
    }
}

/// The atomic word at `offset` of a shared mapping.
fn shared_word(map: &MmapRaw, offset: usize) -> &AtomicU32 {
    assert!(offset + size_of::<AtomicU32>() <= map.len() && offset.is_multiple_of(align_of::<AtomicU32>()));
    // SAFETY:
    // - In bounds and aligned: asserted above; mmap returns whole pages.
    // - Initialised: any bit pattern is an `AtomicU32`, and a new memfd is zero.
    // - Aliasing: the other process changes the word at any moment, but only atomically, and nobody forms `&mut`.
    // - Lifetime: the reference borrows the map.
    unsafe { &*map.as_ptr().add(offset).cast::<AtomicU32>() }
}

fn pipe_ping_pong(repeats: usize) -> Result<()> {
    let mut other = echo(ECHO_PIPE, Stdio::piped(), Stdio::piped())?;
    let (mut to, mut from) = (other.stdin.take().ok_or("no pipe")?, other.stdout.take().ok_or("no pipe")?);
    row("pipe_ping_pong", "us", repeats, || {
        let begin = Instant::now();
        let mut byte = [0];
        for _ in 0..ROUND_TRIPS {
            to.write_all(&byte)?;
            from.read_exact(&mut byte)?;
        }
        Ok(us(begin, ROUND_TRIPS))
    })?;
    drop(to);
    other.wait()?;
    Ok(())
}

/// The other side: sends each byte back until the pipe is closed.
fn echo_pipe() -> Result<()> {
    let mut from = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut to = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let mut byte = [0];
    while from.read(&mut byte)? == 1 {
        to.write_all(&byte)?;
    }
    Ok(())
}

/// Starts this program again as the other side of a ping-pong.
fn echo(role: &str, stdin: Stdio, stdout: Stdio) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).arg(role).stdin(stdin).stdout(stdout).spawn()?)
}

fn memcpy(label: &str, bytes: usize, repeats: usize) -> Result<()> {
    let (from, mut to) = (vec![1u8; bytes], vec![2u8; bytes]);
    // Small copies are shorter than a look at the clock.
    let each = u32::try_from(((8 << 20) / bytes).max(1))?;
    row(&format!("memcpy_{label}"), "us", repeats, || {
        let begin = Instant::now();
        for _ in 0..each {
            black_box(&mut to).copy_from_slice(black_box(&from));
        }
        Ok(us(begin, each))
    })
}

fn memcpy_cold(label: &str, bytes: usize, repeats: usize) -> Result<()> {
    let from = vec![1u8; bytes];
    // All are kept, so that each is new memory.
    let mut kept = Vec::new();
    row(&format!("memcpy_{label}_cold"), "us", repeats, || {
        let begin = Instant::now();
        kept.push(black_box(&from).clone());
        Ok(us(begin, 1))
    })
}

fn rustc_empty_cdylib(repeats: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("empty.rs");
    std::fs::write(&source, "")?;
    // The compiler itself: rustup's stand-in for it takes half as long again.
    let which = Command::new("rustup").args(["which", "rustc"]).output();
    let compiler = which
        .ok()
        .filter(|which| which.status.success())
        .map_or_else(|| "rustc".to_owned(), |which| String::from_utf8_lossy(&which.stdout).trim().to_owned());
    row("rustc_empty_cdylib", "ms", repeats, || {
        let mut rustc = Command::new(&compiler);
        rustc
            .args(["--edition", "2024", "--crate-type", "cdylib", "-C", "prefer-dynamic", "--out-dir"])
            .arg(folder.path());
        let begin = Instant::now();
        if !rustc.arg(&source).status()?.success() {
            return Err("rustc failed on an empty library".into());
        }
        Ok(us(begin, 1) / 1e3)
    })
}
