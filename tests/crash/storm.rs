//! The storm: a load of tasks whose results are known beforehand, while workers are killed at random.
//!
//! ```text
//!   load     tasks of values, of results that are there, of results that are not, with refs in them │ some dropped unread │ checked
//!   killer   any worker, whatever it is doing ─▶ a moment ─▶ any worker …
//! ```
//!
//! Once more in a store that is too small for it, so that objects go to disk and come back meanwhile.
//!
//! Every choice comes from one seed, which is printed; what the kills hit also depends on the machine.

use crate::cell::{self, Arg, Ref, put, submit};
use crate::front::{Front, sigkill};
use crate::series::{going_on, is_full};
use crate::witness::{ends, got, me, patience, segment, spill_files, traces, until_same, within_patience};
use crate::{front, lies, task};
use mobula::abi::Fault;
use mobula::local::Config;
use mobula::store::Seat;
use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Kills in the short form.
const KILLS: usize = 60;
const KILLS_FULL: usize = 3000;
const KILLS_FULL_SMALL: usize = 1000;

/// After this the storm ends, with as many kills as there were.
const TIME: Duration = Duration::from_secs(240);

/// Bytes of a store that is too small for what is open.
const SMALL: u64 = 8 << 20;

/// How large results are, in bytes.
const LENS: [usize; 6] = [8, 100, 129, 1000, 5000, 40_000];
const LENS_SMALL: [usize; 6] = [8, 129, 5000, 40_000, 200_000, 300_000];

/// Tasks that are looked at later than they are submitted.
const OPEN: usize = 150;

/// Bytes that everybody makes in the same way from a number, and that nobody makes by mistake.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut dice = Dice(seed ^ 0x5bd1_e995);
    (0..len.div_ceil(8)).flat_map(|_| dice.next().to_le_bytes()).take(len).collect()
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a task of these arguments gives, the first of which says how much.
fn folded(args: &[&[u8]]) -> Vec<u8> {
    let len = u64::from_le_bytes(args[0].try_into().expect("eight bytes")) as usize;
    let seed = args.iter().fold(1, |sum, arg| checksum(arg) ^ u64::rotate_left(sum, 9));
    pattern(seed, len)
}

task!(
    /// See [`folded`].
    fold = |args| Ok((folded(&args.iter().map(|arg| &**arg).collect::<Vec<_>>()), vec![]))
);

task!(
    /// Puts what `fold` would give, in as many objects as the second argument says, and returns refs to them.
    scatter = |args| {
        let bytes = folded(&args.iter().map(|arg| &**arg).collect::<Vec<_>>());
        let inner: Vec<Ref> = (0..args[1][0]).map(|_| put(&bytes).unwrap()).collect();
        Ok((inner.iter().flat_map(|object| object.0.to_le_bytes()).collect(), inner))
    }
);

/// A generator of numbers: splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A task, or an object, that is not looked at yet.
struct Open {
    object: Ref,
    /// What it gives, or what each of the objects is that it refers to.
    expected: Vec<u8>,
    scatters: bool,
    /// How many tasks it needs, itself among them.
    depth: usize,
}

/// What came of the load.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    right: usize,
    died: usize,
    carried: usize,
    unread: usize,
}

struct Load {
    lens: [usize; 6],
    dice: Dice,
    open: VecDeque<Open>,
    counts: Counts,
}

/// In a store that is large enough.
pub fn kill_at_random() {
    storm(64 << 20, LENS, KILLS_FULL, Duration::from_millis(8));
}

/// In one that is not. More slowly: what comes back from disk takes its time.
pub fn kill_at_random_in_a_small_store() {
    storm(SMALL, LENS_SMALL, KILLS_FULL_SMALL, Duration::from_millis(40));
}

/// Two kills are up to `pause` apart.
fn storm(store_bytes: u64, lens: [usize; 6], kills_full: usize, pause: Duration) {
    let seed = std::env::var("MOBULA_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 ^ u64::from(mobula::store::now_us()));
    let front =
        Front::start(Config { num_cpus: Some(3.0), object_store_memory: Some(store_bytes), ..Config::default() });
    let mut zygote = None;
    within_patience("the zygote has its name", || {
        zygote = front::children(std::process::id()).into_iter().find(|(_, name)| name == "mobula-zygote");
        zygote.is_some()
    });
    let (zygote, _) = zygote.expect("it was waited for");
    let (kills, killed, is_over) = (AtomicUsize::new(0), Mutex::new(HashSet::new()), AtomicBool::new(false));
    let mut load = Load { lens, dice: Dice(seed), open: VecDeque::new(), counts: Counts::default() };
    let wanted = if is_full() { kills_full } else { KILLS };
    let begun = Instant::now();
    let mut was_on_disk = false;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(!seed);
            while !is_over.load(Ordering::Acquire) {
                if let Some(pid) = any_worker(&mut dice, zygote) {
                    killed.lock().unwrap().insert(pid);
                    front::kill(pid);
                    kills.fetch_add(1, Ordering::AcqRel);
                }
                std::thread::park_timeout(Duration::from_micros(dice.below(pause.as_micros() as usize) as u64));
            }
        });
        let end = OnDrop(&is_over);
        while kills.load(Ordering::Acquire) < wanted && begun.elapsed() < TIME {
            let round = kills.load(Ordering::Acquire);
            going_on(format!("after {round} kills of a storm with MOBULA_CRASH_SEED={seed}"));
            load.add();
            was_on_disk |= store_bytes == SMALL && spill_files() > 0;
            if load.open.len() > OPEN {
                load.look_at_first(&killed);
            }
        }
        drop(end);
    });
    while !load.open.is_empty() {
        load.look_at_first(&killed);
    }
    let (counts, kills) = (load.counts, kills.into_inner());
    println!(
        "  {kills} workers killed in {:.1} s: {} results right, {} tasks lost with their worker, {} with that of an argument, {} dropped unread",
        begun.elapsed().as_secs_f64(),
        counts.right,
        counts.died,
        counts.carried,
        counts.unread,
    );
    assert!(kills >= KILLS.min(wanted), "so few kills are no storm");
    assert!(was_on_disk || store_bytes > SMALL, "the store was large enough after all");
    assert!(counts.right > 0 && counts.died > 0, "the kills are in the wrong place");
    until_same("what is left when everything was dropped", &[], || segment().leaks());
    within_patience("all workers are idle", || segment().header().idle.count() >= 3);
    until_same("what the dead have left", &[], traces);
    within_patience("no file is kept for objects that are not on disk", || spill_files() == 0);
    ends(front);
}

/// Says that it is over, also when a check fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A worker that is ready for tasks, if there is one. One in a hundred times, one that is not: no more, because a runtime whose workers die
/// again and again before they are ready gives up.
fn any_worker(dice: &mut Dice, zygote: u32) -> Option<u32> {
    let (segment, me) = (segment(), me().seat);
    let is_early = dice.below(100) == 0;
    let seats = segment.header().taken.iter().filter(|seat| *seat != Seat::HEAD && *seat != me);
    let desks: Vec<_> = seats.map(|seat| segment.desk(seat)).collect();
    let ready: Vec<_> = desks.iter().filter(|desk| is_early || desk.leased.load(Ordering::Acquire) != 0).collect();
    if ready.is_empty() {
        return None;
    }
    let pid = ready[dice.below(ready.len())].pid.load(Ordering::Acquire);
    // The number may be that of a worker that is dead already, and so nobody's, or anybody's.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()?;
    (parent == zygote && front::is_alive(pid)).then_some(pid)
}

impl Load {
    /// Submits something, or puts it.
    fn add(&mut self) {
        let len = (self.lens[self.dice.below(self.lens.len())] as u64).to_le_bytes();
        let value = self.dice.next().to_le_bytes();
        let scatters = self.dice.below(12) == 0;
        if !scatters && self.dice.below(12) == 0 {
            let expected = pattern(self.dice.next(), u64::from_le_bytes(len) as usize);
            self.open.push_back(Open { object: put(&expected).unwrap(), expected, scatters, depth: 0 });
            return;
        }
        let others = if scatters { 0 } else { self.dice.below(4) };
        let candidates: Vec<&Open> = self.open.iter().filter(|open| !open.scatters && open.depth < 20).collect();
        // Mostly the youngest: those are not there yet, so that chains come of it.
        let pick = |dice: &mut Dice| {
            let near = if dice.below(3) == 0 { candidates.len() } else { 8.min(candidates.len()) };
            candidates[candidates.len() - 1 - dice.below(near)]
        };
        let others: Vec<&Open> =
            (0..if candidates.is_empty() { 0 } else { others }).map(|_| pick(&mut self.dice)).collect();
        let count = [1, 3, 12][self.dice.below(3)];
        let second: &[u8] = if scatters { &[count] } else { &value };
        let mut args = vec![Arg::Value(&len), Arg::Value(second)];
        args.extend(others.iter().map(|open| Arg::Of(&open.object)));
        let object = if scatters { submit("scatter", scatter, &args) } else { submit("fold", fold, &args) }.unwrap();
        let mut bytes: Vec<&[u8]> = vec![&len, second];
        bytes.extend(others.iter().map(|open| open.expected.as_slice()));
        let depth = 1 + others.iter().map(|open| open.depth).max().unwrap_or(0);
        let open = Open { object, expected: folded(&bytes), scatters, depth };
        self.open.push_back(open);
        if self.dice.below(10) == 0 {
            // Some are dropped before anybody has looked at them, wherever they are.
            let place = self.dice.below(self.open.len());
            self.open.remove(place);
            self.counts.unread += 1;
        }
    }

    /// Waits for the oldest and looks whether it is right.
    fn look_at_first(&mut self, killed: &Mutex<HashSet<u32>>) {
        let Some(mut open) = self.open.pop_front() else { return };
        if lies::is("sum") && self.counts.right >= 40 && !open.scatters {
            open.expected[0] ^= 1;
        }
        if lies::is("lost") && self.counts.right >= 40 {
            // As if the worker had ended without anybody noticing: a task that nobody will run.
            open.object = submit("never", never, &[]).unwrap();
        }
        match got(&open.object) {
            Ok(bytes) if open.scatters => {
                let ids = bytes.as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id));
                // While `bytes` is open, its object keeps the others.
                let inner: Vec<Ref> = ids.map(Ref::to).collect();
                drop(bytes);
                drop(open.object);
                for object in &inner {
                    let inside = cell::open(object).unwrap().expect("it is sealed");
                    assert!(*inside == *open.expected, "an object {:#x} in a result is another one", object.0);
                }
                self.counts.right += 1;
            }
            Ok(bytes) => {
                assert!(*bytes == *open.expected, "task {:#x} gave another result", open.object.0);
                self.counts.right += 1;
            }
            Err(Fault::Task(failure)) => {
                let died = failure.cause == sigkill() && killed.lock().unwrap().contains(&failure.pid);
                assert!(died, "nobody but workers was killed: {failure:?}");
                assert!(
                    failure.carried_by.len() < open.depth.max(1),
                    "more tasks carry it than there are: {failure:?}"
                );
                if failure.carried_by.is_empty() {
                    self.counts.died += 1;
                } else {
                    self.counts.carried += 1;
                }
            }
            Err(fault) => panic!("{fault:?}"),
        }
    }
}

task!(
    /// Takes longer than anybody waits.
    never = |_| {
        std::thread::sleep(patience() * 20);
        Ok((vec![], vec![]))
    }
);
