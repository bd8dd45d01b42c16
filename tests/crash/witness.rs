//! The one who looks on: a runtime, objects that must come through every death, and what must be so after each.
//!
//! ```text
//!   somebody is killed ─▶ the head has noticed ─▶ survivors are intact ─▶ new objects and tasks work ─▶ nothing of the dead is left
//! ```
//!
//! Nothing here sleeps for a fixed time or helps the runtime: every condition is waited for, with a deadline.

use crate::cell::{self, Arg, Ref, Seen, ask, put, put_with, submit, wait};
use crate::front::{Front, children, is_alive};
use crate::{lies, task};
use mobula::abi::{Fault, Question};
use mobula::client;
use mobula::local::Config;
use mobula::protocol::ObjectId;
use mobula::store::{SEATS, Seat, Seats, Segment, State};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Says in milliseconds how long to wait for what does not come, where it is known that something will not.
pub const PATIENCE_MS: &str = "MOBULA_CRASH_PATIENCE_MS";

/// Ends a wait for what never comes. It includes the time in which a worker is stepped, instruction by instruction, beside whatever else the machine does.
pub fn patience() -> Duration {
    static PATIENCE: OnceLock<Duration> = OnceLock::new();
    *PATIENCE.get_or_init(|| {
        let told = std::env::var(PATIENCE_MS).ok().and_then(|ms| ms.parse().ok());
        Duration::from_millis(told.unwrap_or(600_000))
    })
}

/// Objects that a slot cannot hold, and small enough that copying them is no long loop.
pub const ARENA_BYTES: usize = 200;

task!(
    /// The sum of its arguments' bytes.
    sum = |args| Ok((args.iter().flat_map(|arg| arg.iter()).map(|b| u64::from(*b)).sum::<u64>().to_le_bytes().to_vec(), vec![]))
);

/// See the head of this file.
pub struct Witness {
    front: Front,
    survivors: Vec<(Ref, Vec<u8>)>,
    /// What is in the store because of the survivors.
    ledger: Vec<String>,
}

/// A process as the store knows it.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub pid: u32,
    pub seat: Seat,
}

/// The shared tables, as this process sees them.
pub fn segment() -> &'static Segment {
    client::current().expect("this process is a client").segment()
}

impl Witness {
    /// A runtime with one worker and a store of so many bytes. Objects in the arena survive too, if `in_arena` says so; where the store
    /// runs short on purpose they would go to disk.
    pub fn start(store_bytes: u64, in_arena: bool) -> Witness {
        let config = Config { num_cpus: Some(1.0), object_store_memory: Some(store_bytes), ..Config::default() };
        let front = Front::start(config);
        let small: Vec<Ref> = (0..12_u8).map(|byte| put(&[byte; 40]).unwrap()).collect();
        let mut survivors: Vec<(Ref, Vec<u8>)> = small.into_iter().zip((0..12_u8).map(|byte| vec![byte; 40])).collect();
        if in_arena {
            let bytes: Vec<u8> = (0..3000_u32).map(|index| (index * 7) as u8).collect();
            survivors.push((put(&bytes).unwrap(), bytes));
            for count in [3, 11] {
                let ids: Vec<u64> = survivors.iter().take(count).map(|(object, _)| object.0).collect();
                let bytes = vec![count as u8; ARENA_BYTES];
                survivors.push((put_with(&bytes, &ids).unwrap(), bytes));
            }
        }
        if lies::is("bytes") {
            survivors[0].1[0] ^= 1;
        }
        let mut witness = Witness { front, survivors, ledger: Vec::new() };
        witness.works();
        worker();
        witness.ledger = ledger();
        witness
    }

    /// Where clients connect.
    pub fn socket(&self) -> &std::path::Path {
        self.front.local.socket()
    }

    /// Waits until the head has noticed a death and has seen to everything, then looks at everything.
    pub fn survives(&self, dead: Client) {
        self.buried(dead);
        for (object, bytes) in &self.survivors {
            assert!(*got(object).unwrap() == **bytes, "object {:#x} is not what it was", object.0);
        }
        self.works();
        // A worker that takes the place of the dead one is there, and idle.
        worker();
        self.is_as_before();
    }

    /// Waits until the head has noticed a death and seen to it.
    pub fn buried(&self, dead: Client) {
        let segment = segment();
        within_patience("the head has noticed the death", || {
            let is_there = segment.header().taken.has(dead.seat);
            !is_there || segment.desk(dead.seat).pid.load(Ordering::Acquire) != dead.pid
        });
        // It answers when it has seen to it.
        ask(&Question::ClusterResources).unwrap();
    }

    /// New objects and tasks are like any others.
    pub fn works(&self) {
        let (small, large) = (put(&[3; 5]).unwrap(), put(&[5; ARENA_BYTES]).unwrap());
        let total = submit("sum", sum, &[Arg::Of(&small), Arg::Value(&[1]), Arg::Of(&large)]).unwrap();
        assert_eq!(number(&got(&total).unwrap()), 15 + 1 + 5 * ARENA_BYTES as u64);
        assert!(*got(&large).unwrap() == [5; ARENA_BYTES]);
        if lies::is("leak") {
            std::mem::forget(small);
        }
    }

    /// Nothing is in the store but the survivors, and nobody who is gone is named anywhere.
    pub fn is_as_before(&self) {
        until_same("what is in the store", &self.ledger, ledger);
        until_same("what the dead have left", &[], traces);
        within_patience("no file is kept for objects that are not on disk", || spill_files() == 0);
    }

    /// Drops everything and ends the runtime: nothing is left, in the store or of it.
    pub fn end(self) {
        let Witness { front, survivors, .. } = self;
        drop(survivors);
        until_same("what is left when everything was dropped", &[], || segment().leaks());
        ends(front);
    }
}

/// Ends a runtime of this process: none of its processes is left, no folder, and nobody else has its memory.
pub fn ends(front: Front) {
    let (folder, memory) = (front.local.session_dir().to_owned(), memory_of(std::process::id()));
    assert!(memory.len() >= 2, "this process has the tables and the arena: {memory:?}");
    front.local.shutdown();
    assert!(!folder.exists(), "the session's folder is there still");
    assert_eq!(children(std::process::id()), [], "a process is there still");
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    for pid in
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| *pid != std::process::id())
    {
        let shared: Vec<String> = memory_of(pid).into_iter().filter(|file| memory.contains(file)).collect();
        assert!(shared.is_empty() || !is_alive(pid), "process {pid} has {shared:?} still");
    }
}

/// The memory files of runtimes that a process has mapped. They have no names, so nothing else can keep them.
fn memory_of(pid: u32) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let shared = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.ends_with('s')));
    // Device and number of the file, then its name.
    let files = shared.map(|line| line.split(' ').skip(3).collect::<Vec<_>>().join(" "));
    let mut files: Vec<String> = files
        .filter(|file| file.contains("(deleted)") && (file.contains("/memfd:mobula") || file.contains("/dev/shm/")))
        .collect();
    files.sort();
    files.dedup();
    files
}

/// The worker, once it is there and sleeps because there is nothing to do. There must be only one.
pub fn worker() -> Client {
    let segment = segment();
    let mut found = None;
    within_patience("the worker is idle", || {
        let header = segment.header();
        found = header.idle.iter().find(|seat| {
            let desk = segment.desk(*seat);
            header.taken.has(*seat)
                && desk.asleep.load(Ordering::Acquire) > 0
                && desk.current.load(Ordering::Acquire) == 0
        });
        found = found.filter(|seat| sleeps(segment.desk(*seat).pid.load(Ordering::Acquire)));
        found.is_some()
    });
    let seat = found.expect("it was waited for");
    Client { pid: segment.desk(seat).pid.load(Ordering::Acquire), seat }
}

/// Whether a process waits for something in the kernel.
fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// While this lives, all processors are said to be taken, so nobody spins before sleeping: a loop of thousands of instructions, all alike.
pub struct Busy(Vec<Seat>);

pub fn busy() -> Busy {
    let header = segment().header();
    let cpus = header.cpus.load(Ordering::Relaxed) as usize;
    let seats: Vec<Seat> = (SEATS - cpus..SEATS).map(|seat| Seat(seat as u16)).collect();
    seats.iter().for_each(|seat| _ = header.active.add(*seat));
    Busy(seats)
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.iter().for_each(|seat| _ = segment().header().active.remove(*seat));
    }
}

/// A number for everything in shared memory from which the head learns what a dead process was doing: another one after every change.
pub fn fingerprint(of: Client) -> u64 {
    let segment = segment();
    let (header, desk) = (segment.header(), segment.desk(of.seat));
    let mut sum = 0_u64;
    let mut note = |word: u64| sum = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let seats = |seats: &Seats| seats.iter().fold(0, |sum: u64, seat| (sum ^ u64::from(seat.0 + 1)).wrapping_mul(257));
    for word in [&header.slots_fresh, &header.slots_loose, &desk.asleep, &desk.leased, &desk.wrote] {
        note(word.load(Ordering::Acquire).into());
    }
    for word in [&desk.current, &desk.busy] {
        note(word.load(Ordering::Acquire));
    }
    for desk in header.taken.iter().map(|seat| segment.desk(seat)) {
        [&desk.tail.0, &desk.head.0].into_iter().for_each(|word| note(word.load(Ordering::Acquire)));
        note(desk.bell.load(Ordering::Acquire).into());
        note(desk.countdown.load(Ordering::Acquire) as u64);
    }
    for set in [&header.idle, &header.seeking, &header.active, &header.rings] {
        note(seats(set));
    }
    (0..segment.slots_used().div_ceil(64)).for_each(|place| note(segment.hint(place).load(Ordering::Acquire)));
    for unit in (0..segment.units()).map(|index| segment.unit(index)) {
        note(unit.state().0);
        [&unit.len, &unit.home, &unit.backed].into_iter().for_each(|word| note(word.load(Ordering::Acquire).into()));
    }
    for mailbox in (0..header.mailboxes.load(Ordering::Acquire)).map(|index| segment.mailbox(index)) {
        [&mailbox.log, &mailbox.head.0].into_iter().for_each(|word| note(word.load(Ordering::Acquire)));
        [&mailbox.seat, &mailbox.idle].into_iter().for_each(|word| note(word.load(Ordering::Acquire).into()));
    }
    for slot in (1..segment.slots_used()).map(|index| segment.slot(index)) {
        note(slot.word().0);
        for word in [&slot.offset, &slot.len, &slot.holds, &slot.deps, &slot.next, &slot.list] {
            note(word.load(Ordering::Acquire));
        }
        for word in [&slot.home, &slot.contained, &slot.list_home] {
            note(word.load(Ordering::Acquire).into());
        }
        [&slot.refs, &slot.pins, &slot.waiters].into_iter().for_each(|set| note(seats(set)));
        slot.contains.iter().chain(&slot.spec).for_each(|word| note(word.load(Ordering::Acquire)));
    }
    sum
}

/// Where the process of this number sits.
pub fn seated(pid: u32) -> Client {
    let segment = segment();
    // The head is in a process that is a client, too.
    let mut seats = segment.header().taken.iter().filter(|seat| *seat != Seat::HEAD);
    let seat = seats.find(|seat| segment.desk(*seat).pid.load(Ordering::Acquire) == pid);
    Client { pid, seat: seat.expect("it is a client") }
}

/// Where this process sits.
pub fn me() -> Client {
    seated(std::process::id())
}

/// The object's bytes, or why there are none; whoever has to wait too long for them has found a hang.
pub fn got(object: &Ref) -> Result<Seen, Fault> {
    all_come(&[object])?;
    Ok(cell::open(object)?.expect("it was waited for"))
}

/// Waits until all of them are there. That they are there at the end of a sleep that nobody has ended is a hang as well.
pub fn all_come(objects: &[&Ref]) -> Result<(), Fault> {
    let begun = Instant::now();
    let ready = wait(objects, objects.len(), Some(patience()))?;
    let words = || objects.iter().map(|object| segment().slot(ObjectId(object.0).slot()).word()).collect::<Vec<_>>();
    assert!(ready.iter().all(|ready| *ready), "objects never came: {ready:?}, {:?}", words());
    assert!(begun.elapsed() < patience(), "whoever waited was never woken: {:?}", words());
    Ok(())
}

pub fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// What is in the store: what [`Segment::leaks`] says, without the marks by which a lease's word differs from one moment to the next.
fn ledger() -> Vec<String> {
    let segment = segment();
    let line = |line: String| match line.strip_prefix("unit ").and_then(|rest| rest.split_once(':')) {
        Some((index, _)) => format!("unit {index}: {} objects", segment.unit(index.parse().unwrap()).state().live()),
        None => line,
    };
    segment.leaks().into_iter().map(line).collect()
}

/// Everything that names somebody who is gone, and everything that nobody will find any more. No object is kept by it, so
/// [`Segment::leaks`] does not know it; but it would be there for ever.
pub fn traces() -> Vec<String> {
    let segment = segment();
    let header = segment.header();
    let mut traces = Vec::new();
    let mut check = |name: String, seats: &Seats| {
        traces
            .extend(seats.iter().filter(|seat| !header.taken.has(*seat)).map(|seat| format!("{name} names {seat:?}")));
    };
    for (name, seats) in
        [("idle", &header.idle), ("seeking", &header.seeking), ("active", &header.active), ("rings", &header.rings)]
    {
        check(name.into(), seats);
    }
    for index in 1..segment.slots_used() {
        let slot = segment.slot(index);
        for (name, seats) in [("refs", &slot.refs), ("pins", &slot.pins), ("waiters", &slot.waiters)] {
            check(format!("slot {index}: {name}"), seats);
        }
    }
    let mut loose = 0;
    for index in 1..segment.slots_used() {
        let word = segment.slot(index).word();
        let is_offered = segment.hint(index / 64).load(Ordering::Acquire) >> (index % 64) & 1 == 1;
        loose += u32::from(is_offered);
        match word.owner() {
            _ if word.state() != State::Free => {}
            // The first slots are nobody's by design.
            None if !is_offered && index >= 64 => traces.push(format!("slot {index} is free and nobody will find it")),
            Some(owner) if !header.taken.has(owner) => traces.push(format!("slot {index} is kept by {owner:?}")),
            _ => {}
        }
    }
    let counted = header.slots_loose.load(Ordering::Acquire);
    if counted != loose {
        traces.push(format!("{loose} slots are nobody's, and {counted} are said to be"));
    }
    traces.extend((1..segment.slots_used()).filter_map(broken_list));
    for seat in header.taken.iter() {
        if segment.has_entries(seat) && !header.rings.has(seat) {
            traces.push(format!("nobody will look into the ring of {seat:?}"));
        }
        if segment.desk(seat).busy.load(Ordering::Acquire) % 2 == 1 {
            traces.push(format!("{seat:?} is said to be in the middle of something"));
        }
    }
    traces
}

/// What is wrong with the list of tasks that wait for what is in a slot.
fn broken_list(index: u32) -> Option<String> {
    let segment = segment();
    let mut next = segment.slot(index).deps.load(Ordering::Acquire);
    for _ in 0..=segment.slots_used() {
        if next == 0 {
            return None;
        }
        let task = ObjectId(next);
        let slot = segment.slot(task.slot());
        if slot.word().generation() != task.generation() || slot.word().state() != State::Waiting {
            return Some(format!("slot {index}: task {next:#x} is in its list and does not wait: {:?}", slot.word()));
        }
        next = slot.next.load(Ordering::Acquire);
    }
    Some(format!("slot {index}: its list has no end"))
}

/// Files in which objects lie that are on disk. The head is in this process, so they are this process's.
pub fn spill_files() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let names = files.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    names.filter(|name| name.to_string_lossy().contains("/spill/")).count()
}

/// Waits until something is so.
pub fn within_patience(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::park_timeout(Duration::from_micros(100));
    }
}

/// Waits until there are these lines and no others, and says what differs.
pub fn until_same(what: &str, expected: &[String], is: impl Fn() -> Vec<String>) {
    let differences = || {
        let found = is();
        let more = found.iter().filter(|line| !expected.contains(line)).map(|line| format!("too much: {line}"));
        let less = expected.iter().filter(|line| !found.contains(line)).map(|line| format!("missing: {line}"));
        more.chain(less).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + patience();
    let mut found = differences();
    while !found.is_empty() {
        assert!(Instant::now() < deadline, "{what}:\n  {}", found.join("\n  "));
        std::thread::park_timeout(Duration::from_micros(200));
        found = differences();
    }
}
