//! A front process: a runtime, this process as its client, and everything that it was told.

use mobula::abi::{Cause, CellPlace, Failure, Place};
use mobula::client;
use mobula::local::{Config, Local, Observer, RuntimeEvent, Zygote};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Ends a wait for what never comes; a loaded machine does not reach it.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Default)]
pub struct Told {
    events: Mutex<Vec<RuntimeEvent>>,
    changed: Condvar,
}

impl Observer for Told {
    fn event(&self, event: RuntimeEvent) {
        self.events.lock().unwrap().push(event);
        self.changed.notify_all();
    }

    fn locate(&self, place: &Place) -> Option<CellPlace> {
        (place.file == "src/lib.rs").then(|| CellPlace { cell: 7, line: 1, column: 1, text: "boom()".into() })
    }
}

impl Told {
    /// Everything so far.
    pub fn events(&self) -> Vec<RuntimeEvent> {
        self.events.lock().unwrap().clone()
    }

    /// What tasks wrote so far.
    pub fn text(&self) -> String {
        let events = self.events();
        let texts = events.iter().filter_map(|event| match event {
            RuntimeEvent::TaskOutput { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The failures announced so far.
    pub fn failures(&self) -> Vec<Failure> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| if let RuntimeEvent::TaskFailed(failure) = event { Some(failure) } else { None })
            .collect()
    }

    /// Waits until something was told.
    pub fn wait_for(&self, mut what: impl FnMut(&RuntimeEvent) -> bool) -> RuntimeEvent {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.lock().unwrap();
        loop {
            if let Some(event) = events.iter().find(|event| what(event)) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it was never told: {events:#?}");
            events = self.changed.wait_timeout(events, left).unwrap().0;
        }
    }
}

/// A runtime, and this process as a program that uses it.
pub struct Front {
    pub local: Local,
    pub told: Arc<Told>,
}

impl Front {
    pub fn start(config: Config) -> Front {
        let front = Front::without_client(config);
        client::connect_program(front.local.socket()).unwrap();
        front
    }

    pub fn without_client(config: Config) -> Front {
        let zygote = Zygote::fork().unwrap();
        let told = Arc::new(Told::default());
        let observer: Arc<dyn Observer> = told.clone();
        Front { local: Local::start(zygote, config, observer).unwrap(), told }
    }

    /// With so many CPUs and 256 MiB.
    pub fn with_cpus(cpus: u32) -> Front {
        Front::start(Config { num_cpus: Some(cpus.into()), object_store_memory: Some(256 << 20), ..Config::default() })
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The processes whose parent is `pid`, with their names.
pub fn children(pid: u32) -> Vec<(u32, String)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of_parent = pids.filter_map(|child| {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        let (name, rest) = stat.split_once(' ')?.1.rsplit_once(") ")?;
        let parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        (parent == pid).then(|| (child, name.trim_start_matches('(').to_owned()))
    });
    of_parent.collect()
}

/// Whether a process exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Kills a process; 0 is none.
pub fn kill(pid: u32) {
    let Some(pid) = rustix::process::Pid::from_raw(pid as i32) else { return };
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

pub fn sigkill() -> Cause {
    Cause::Signal { signal: 9, name: "SIGKILL".into() }
}
