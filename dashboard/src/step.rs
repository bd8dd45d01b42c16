//! A step: what is new to a reader of the page, as JSON.
//!
//! Runs are lists and not objects, because there are many of them.

use crate::history::{Block, Counted, Live};
use crate::ids::id_text;
use crate::watch::{Picture, Sample};
use mobula_abi::{DiskMove, RuntimeStatus, hue};
use serde::Serialize;

/// What a reader has already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    round: u64,
    names: usize,
    second: u64,
    samples: u64,
    disk: u64,
}

/// What is new.
#[derive(Serialize)]
struct Step<'a> {
    /// Whether it is all there is, and what the reader had before is to be forgotten.
    first: bool,
    /// Nanoseconds since the runtime began.
    now: u64,
    missed: u64,
    undrawn: u64,
    /// Name and hue.
    names: Vec<(&'a str, u16)>,
    /// The index of the name, and counts.
    functions: Vec<Counts>,
    /// The cell's number, and counts.
    cells: Vec<Counts>,
    /// Index, process, whether it is an actor's.
    rows: Vec<(usize, u32, bool)>,
    blocks: Vec<BlockRow>,
    living: Vec<LiveRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a RuntimeStatus>,
    /// Process, processor time in percent of one CPU, bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<&'a [(u32, Option<f64>, u64)]>,
    samples: Vec<Sample>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disk: Vec<DiskRow>,
}

/// Key, done, failed, cancelled, running, waiting, nanoseconds that ended runs took, and waited, the first submission, the last end, ends a
/// second.
type Counts = (u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, Option<f64>);

/// Row, lane, name, cell, id, attempt, state, submitted, began, ended, runs, nanoseconds that they took.
type BlockRow = (u32, u32, u32, u64, String, u32, u8, u64, u64, u64, u64, u64);

/// Row, lane, name, cell, id, attempt, state, submitted, began, ids of arguments.
type LiveRow = (Option<u32>, u32, u32, u64, String, u32, u8, u64, Option<u64>, Vec<String>);

/// Id, bytes, whether it came back, began, ended.
type DiskRow = (String, u64, bool, u64, u64);

/// What is new to a reader at `place`, which is moved to now.
pub fn step(picture: &Picture, place: &mut Place) -> String {
    let history = &picture.history;
    let news = history.since(place.round, place.names);
    let is_new_second = picture.second > place.second;
    let fresh = picture.samples.len().min((picture.sampled - place.samples) as usize);
    let step = Step {
        first: place.round == 0,
        now: history.now,
        missed: history.missed,
        undrawn: history.undrawn,
        names: news.names.iter().map(|name| (name.as_str(), hue(name))).collect(),
        functions: news.functions.into_iter().map(|(index, counted)| counts(index as u64, counted)).collect(),
        cells: news.cells.into_iter().map(|(cell, counted)| counts(cell, counted)).collect(),
        rows: news.rows.into_iter().map(|(index, row)| (index, row.pid, row.is_actor)).collect(),
        blocks: news.blocks.into_iter().map(block).collect(),
        living: history.living.iter().map(live).collect(),
        status: picture.status.as_ref().filter(|_| is_new_second),
        processes: is_new_second.then_some(&picture.processes),
        samples: picture.samples.iter().skip(picture.samples.len() - fresh).copied().collect(),
        disk: picture.disk.iter().filter(|it| it.number > place.disk).map(disk).collect(),
    };
    *place = Place {
        round: history.round,
        names: history.names.len(),
        second: picture.second,
        samples: picture.sampled,
        disk: picture.disk.back().map_or(place.disk, |last| last.number),
    };
    serde_json::to_string(&step).unwrap_or_default()
}

/// All there is, for a report.
pub fn whole(picture: &Picture) -> String {
    step(picture, &mut Place::default())
}

fn counts(key: u64, counted: &Counted) -> Counts {
    let it = &counted.counts;
    let ended = (it.done, it.failed, it.cancelled);
    let rate = counted.rate();
    (key, ended.0, ended.1, ended.2, it.running, it.waiting, it.ran_ns, it.queued_ns, it.first, it.last, rate)
}

fn block(block: &Block) -> BlockRow {
    let Block { run, row, lane, ended, runs, ran_ns, .. } = block;
    let (began, state) = (run.began.unwrap_or(*ended), run.state as u8);
    (*row, *lane, run.name, run.cell, id_text(run.id), run.attempt, state, run.submitted, began, *ended, *runs, *ran_ns)
}

fn disk(it: &DiskMove) -> DiskRow {
    (id_text(it.id), it.bytes, it.is_back, it.began, it.ended)
}

fn live(live: &Live) -> LiveRow {
    let Live { task, row, lane } = live;
    let (run, needs) = (&task.run, task.needs.iter().copied().map(id_text).collect());
    let state = run.state as u8;
    (*row, *lane, run.name, run.cell, id_text(run.id), run.attempt, state, run.submitted, run.began, needs)
}
