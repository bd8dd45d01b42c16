//! Looking at the source: at most ten times a second, only while there is a reader, and so seldom that it costs little.
//!
//! ```text
//!   a reader comes ─▶ look ─▶ fold into the picture ─▶ wake the readers ─▶ wait ─▶ look …
//!                                                          100 ms, or 50 times the processor time of the look
//! ```

use crate::history::History;
use crate::processes::Processes;
use crate::source::{Source, Unanswered};
use mobula_abi::{Answer, DiskMove, Question, RuntimeStatus, StoreSummary};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// The shortest time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A look is followed by this many times the processor time that it took: so looking takes at most a fiftieth of a CPU.
const REST: u32 = 50;
/// How often processes, resources and the store are looked at.
const SECOND: Duration = Duration::from_secs(1);
/// The store is looked at again after this many times the time that it took.
const STORE_REST: u32 = 100;
/// How many samples are remembered: an hour.
const SAMPLES_MAX: usize = 3600;

/// How many moves to disk and back are remembered.
const MOVES_MAX: usize = 4096;

/// When, CPUs in use, runs that have ended in a second, bytes in the store, tasks that wait.
pub type Sample = (u64, f64, f64, u64, u64);

/// What is known by looking.
#[derive(Default)]
pub struct Picture {
    /// Of tasks.
    pub history: History,
    /// Resources.
    pub status: Option<RuntimeStatus>,
    /// Process, processor time in percent of one CPU, bytes of memory.
    pub processes: Vec<(u32, Option<f64>, u64)>,
    /// How it went.
    pub samples: VecDeque<Sample>,
    /// How many samples there were ever.
    pub sampled: u64,
    /// The number of looks at `status` and `processes`.
    pub second: u64,
    /// Objects that went to disk and came back, the newest.
    pub disk: VecDeque<DiskMove>,
    /// Why the last look failed.
    pub trouble: Option<Unanswered>,
    usage: Processes,
    looked_at_second: Option<Instant>,
    looked_at_store: Option<(Instant, Duration)>,
    store_bytes: u64,
    before: Option<(u64, u64)>,
}

/// The looks, and who is to be told of them.
pub struct Watch {
    source: Arc<dyn Source>,
    picture: Mutex<Picture>,
    /// One look at a time.
    looking: Mutex<()>,
    looks: watch::Sender<u64>,
    readers: Mutex<usize>,
    reader_came: Notify,
}

/// Keeps the looks going.
pub struct Reader {
    watch: Arc<Watch>,
    /// Counts the looks.
    pub looks: watch::Receiver<u64>,
}

impl Watch {
    /// Looks at a source while there are readers.
    pub fn new(source: Arc<dyn Source>) -> Watch {
        Watch {
            source,
            picture: Mutex::default(),
            looking: Mutex::default(),
            looks: watch::Sender::new(0),
            readers: Mutex::default(),
            reader_came: Notify::new(),
        }
    }

    /// What was seen last.
    pub fn picture(&self) -> MutexGuard<'_, Picture> {
        locked(&self.picture)
    }

    /// A reader, for as long as it is kept.
    pub fn reader(self: &Arc<Watch>) -> Reader {
        *locked(&self.readers) += 1;
        self.reader_came.notify_one();
        Reader { watch: self.clone(), looks: self.looks.subscribe() }
    }

    /// Looks again and again, for ever.
    pub async fn run(self: Arc<Watch>) {
        loop {
            while *locked(&self.readers) == 0 {
                self.reader_came.notified().await;
            }
            let watch = self.clone();
            let look = move || {
                let before = processor_time();
                watch.look();
                processor_time().saturating_sub(before)
            };
            let Ok(took) = tokio::task::spawn_blocking(look).await else { return };
            tokio::time::sleep(LOOK_EVERY.max(took * REST)).await;
        }
    }

    /// Looks. May wait for the runtime.
    pub fn look(&self) {
        let _one_at_a_time = locked(&self.looking);
        let changes = self.source.task_changes();
        let now = Instant::now();
        let is_due = self.picture().looked_at_second.is_none_or(|before| before + SECOND <= now);
        let status = is_due.then(|| self.source.ask(Question::Status));
        let after = self.picture().disk.back().map_or(0, |last| last.number);
        let moves = is_due.then(|| self.source.ask(Question::DiskMoves { after }));
        let is_store_due =
            self.picture().looked_at_store.is_none_or(|(at, took)| at + SECOND.max(took * STORE_REST) <= now);
        let store = (is_due && is_store_due).then(|| {
            let before = processor_time();
            (self.source.store_summary(), processor_time().saturating_sub(before))
        });
        let mut picture = self.picture();
        picture.trouble = changes.as_ref().err().cloned();
        if let Ok(changes) = changes {
            picture.history.fold(changes);
        }
        if let Some((Ok(summary), took)) = store {
            (picture.store_bytes, picture.looked_at_store) = (bytes_in_memory(&summary), Some((now, took)));
        }
        if let Some(Ok(Answer::DiskMoves(moves))) = moves {
            picture.disk.extend(moves);
            let forgotten = picture.disk.len().saturating_sub(MOVES_MAX);
            picture.disk.drain(..forgotten);
        }
        if let Some(Ok(Answer::Status(status))) = status {
            picture.looked_at_second = Some(now);
            picture.take_second(status, now);
        }
        drop(picture);
        self.looks.send_modify(|looks| *looks += 1);
    }
}

impl Picture {
    /// Takes over what is looked at once a second.
    fn take_second(&mut self, status: RuntimeStatus, now: Instant) {
        self.second += 1;
        self.processes = self.usage.look(&status.pids, now);
        let cpu = status.resources.iter().find(|resource| resource.name == "CPU").map_or(0.0, |cpu| cpu.in_use);
        let (ended, waiting) = self.history.functions.iter().fold((0, 0), |(ended, waiting), counted| {
            (ended + counted.counts.ended(), waiting + counted.counts.waiting)
        });
        let at = self.history.now;
        let rate = self.before.map_or(0.0, |(before, then)| {
            let seconds = at.saturating_sub(before) as f64 / 1e9;
            if seconds > 0.0 { ended.saturating_sub(then) as f64 / seconds } else { 0.0 }
        });
        self.before = Some((at, ended));
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((at, cpu, rate, self.store_bytes, waiting));
        self.sampled += 1;
        self.status = Some(status);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        *locked(&self.watch.readers) -= 1;
    }
}

/// The processor time of this thread: how long a look took by the clock depends on what else runs.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn bytes_in_memory(summary: &StoreSummary) -> u64 {
    summary
        .places
        .iter()
        .filter(|share| matches!(share.name.as_str(), "memory" | "table"))
        .map(|share| share.bytes)
        .sum()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
