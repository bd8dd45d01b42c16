//! The cache that sessions share, and sessions that are killed while they write it.
//!
//! The moment of a kill is counted, not timed: a session ends at the n-th change below the folder in which compiled crates are kept. The tests
//! have a cache of their own, since what others keep would be counted, too. It stays between runs, because the crate that cells
//! depend on is compiled into it.

use crate::support::{Finished, Place, Spawned, finish};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

/// The changes at which sessions are killed in a normal run: in the midst of a layer, and about when it gets its name.
const POINTS: [u64; 3] = [5, 60, 140];

/// Set to a number of changes, this kills after every so many, to the last one; 1 is every point.
const EVERY: &str = "MOBULA_TEST_KILL_EVERY";

/// How long a wait for a change lasts before the sessions are looked at.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// The cache folder of these tests; one test has it at a time.
struct Cache {
    folder: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Cache {
    fn new() -> Cache {
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Cache { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache-of-the-killed"), _alone }
    }

    /// A session that asks for a crate and shows its number.
    fn session(&self, place: &Place, krate: &Path) -> Command {
        let mut command = place.mobula();
        let code = format!(":dep {{ path = {krate:?} }}\nnumbered::NUMBER");
        command.args(["-c", &code]).env("XDG_CACHE_HOME", &self.folder).stdin(Stdio::null()).process_group(0);
        command
    }

    fn finish(&self, place: &Place, krate: &Path) -> Finished {
        finish(&mut self.session(place, krate)).exits(0)
    }

    /// Where the prepared crate is that sessions use.
    fn prepared(&self) -> PathBuf {
        let ready = entries(&self.folder.join("mobula")).into_iter().filter(|path| path.join("ready").exists());
        let used = |path: &PathBuf| fs::metadata(path.join("ready")).and_then(|ready| ready.modified()).ok();
        ready.max_by_key(used).expect("a prepared crate")
    }

    fn added(&self) -> PathBuf {
        self.prepared().join("added")
    }
}

/// A crate whose build script writes more than fits into a small file, and whose number is edited without another length.
struct Numbered(Place);

impl Numbered {
    fn new() -> Numbered {
        let place = Place::new();
        place.write("numbered/Cargo.toml", "[package]\nname = \"numbered\"\nedition = \"2024\"\n");
        let build = "fn main() {\n    println!(\"cargo:rerun-if-changed=number\");\n    let number = std::fs::read_to_string(\"number\").unwrap();\n    \
                     let text = format!(\"pub const NUMBER: u32 = {number};\\n// {}\\n\", \"x\".repeat(40_000));\n    \
                     std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/made.rs\", text).unwrap();\n}\n";
        place.write("numbered/build.rs", build);
        place.write("numbered/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n");
        Numbered(place)
    }

    fn becomes(&self, number: u64) -> PathBuf {
        self.0.write("numbered/number", &number.to_string());
        self.0.folder().join("numbered")
    }
}

/// Counts changes below a folder.
struct Changes {
    queue: OwnedFd,
    watched: HashMap<i32, PathBuf>,
    seen: u64,
}

impl Changes {
    fn below(folder: &Path) -> Changes {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("a queue of changes");
        let mut changes = Changes { queue, watched: HashMap::new(), seen: 0 };
        changes.watch(folder);
        changes.seen = 0;
        changes
    }

    /// What is there before the folder is watched counts as a change, too.
    fn watch(&mut self, folder: &Path) {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        let Ok(number) = inotify::add_watch(&self.queue, folder, flags) else { return };
        self.watched.insert(number, folder.to_owned());
        for path in entries(folder) {
            self.seen += 1;
            if path.is_dir() {
                self.watch(&path);
            }
        }
    }

    /// Waits for a while, and reads what has changed.
    fn look(&mut self) {
        let mut ready = [PollFd::new(&self.queue, PollFlags::IN)];
        if poll(&mut ready, Some(&LOOK_AGAIN)).is_ok_and(|ready| ready == 0) {
            return;
        }
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut folders = Vec::new();
        let mut reader = Reader::new(&self.queue, &mut buffer);
        while let Ok(event) = reader.next() {
            self.seen += 1;
            let is_new = event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            if let (true, Some(name), Some(folder)) = (is_new, event.file_name(), self.watched.get(&event.wd())) {
                folders.push(folder.join(OsStr::from_bytes(name.to_bytes())));
            }
            if reader.is_buffer_empty() {
                break;
            }
        }
        folders.iter().filter(|path| path.is_dir()).for_each(|folder| self.watch(folder));
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Runs two sessions that ask for the crate at once. Kills one at change number `point`, the other as many changes later. How many were
/// killed before they ended, and how many changes there were.
fn kill_two_at(point: u64, cache: &Cache, krate: &Path) -> (usize, u64) {
    let places = [Place::new(), Place::new()];
    let mut changes = Changes::below(&cache.added());
    let mut sessions =
        places.each_ref().map(|place| Some(Spawned::start(&mut cache.session(place, krate), place.folder())));
    let mut killed = 0;
    while sessions.iter().any(Option::is_some) {
        changes.look();
        let points = [point, point * 2];
        for ((session, place), point) in sessions.iter_mut().zip(&places).zip(points) {
            let Some(running) = session else { continue };
            if changes.seen >= point {
                let group = Pid::from_child(&running.child);
                killed += usize::from(running.child.try_wait().is_ok_and(|ended| ended.is_none()));
                let _ = kill_process_group(group, Signal::KILL);
                // The compilers have groups of their own.
                assert!(place.kill_all(), "not killed: {:?}", place.processes());
                *session = None;
            } else if let Ok(Some(status)) = running.child.try_wait() {
                assert!(status.success(), "{status}: {}", running.output());
                *session = None;
            }
        }
    }
    (killed, changes.seen)
}

#[test]
fn two_sessions_that_keep_a_crate_at_once_are_killed_at_any_point_and_the_next_finds_a_whole_cache() {
    let (cache, numbered) = (Cache::new(), Numbered::new());
    let place = Place::new();
    assert_eq!(cache.finish(&place, &numbered.becomes(1)).stdout, "1\n");
    let every = std::env::var(EVERY).ok().map(|every| every.parse::<u64>().expect(EVERY));
    let points: Box<dyn Iterator<Item = u64>> = match every {
        Some(every) => Box::new((1..).step_by(every.max(1) as usize)),
        None => Box::new(POINTS.into_iter()),
    };
    let mut both_killed = 0;
    for (number, point) in (2..).zip(points) {
        let krate = numbered.becomes(number);
        let (killed, seen) = kill_two_at(point, &cache, &krate);
        let next = cache.finish(&place, &krate);
        assert_eq!(
            next.stdout,
            format!("{number}\n"),
            "after {killed} were killed at change {point} of {seen}: {next}"
        );
        let left: Vec<PathBuf> = entries(&cache.added()).into_iter().filter(|path| !path.ends_with("lock")).collect();
        assert_eq!(left.len(), 1, "after {killed} were killed at change {point} of {seen}: {left:?}");
        both_killed += usize::from(killed == 2);
        if every.is_some() {
            eprintln!("killed {killed} at change {point} of {seen}");
            if killed == 0 {
                break;
            }
        }
    }
    assert!(both_killed > 0, "no two sessions were killed before they ended");
    place.leaves_nothing();
}

/// Changes bytes in the midst of a file, and neither its length nor its time nor what is linked to it.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).expect("a file of the cache");
    let modified = fs::metadata(file).and_then(|meta| meta.modified()).expect("its time");
    let (from, to) = (bytes.len() / 4, bytes.len() / 4 * 3);
    bytes[from..to].fill(0);
    fs::remove_file(file).expect("a file of the cache");
    fs::write(file, bytes).expect("a file of the cache");
    fs::File::options().write(true).open(file).and_then(|file| file.set_modified(modified)).expect("its time");
}

#[test]
fn a_kept_crate_that_was_damaged_is_compiled_again() {
    let (cache, numbered) = (Cache::new(), Numbered::new());
    let (place, krate) = (Place::new(), numbered.becomes(1));
    assert_eq!(cache.finish(&place, &krate).stdout, "1\n");
    let layer = entries(&cache.added()).into_iter().find(|path| path.is_dir()).expect("a layer");
    let files = entries(&layer).into_iter().flat_map(|target| entries(&target.join("debug/deps")));
    let is_of_crate = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libnumbered") && (name.ends_with(".rlib") || name.ends_with(".rmeta"))
    };
    let libraries: Vec<PathBuf> = files.filter(is_of_crate).collect();
    assert!(!libraries.is_empty(), "no library in {}", layer.display());
    libraries.iter().for_each(|library| damage(library));
    assert_eq!(cache.finish(&place, &krate).stdout, "1\n");
    let new = entries(&cache.added()).into_iter().find(|path| path.is_dir()).expect("a new layer");
    assert_eq!(cache.finish(&place, &krate).stdout, "1\n");
    assert!(new.join("files.json").exists());
    place.leaves_nothing();
}
