//! `timeline()`: the runs of tasks as a trace.
//!
//! ```text
//!   process "mobula"         a row a worker or actor     ▇ half ▇▇ sum ▇▇▇▇
//!   process "mobula queue"   what waits, by function     ░░░ half ░░░░░
//!   process "mobula store"   what goes to disk and back  ▇ to disk ▇
//! ```
//!
//! The format is Chrome's [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU),
//! which Perfetto opens; it gives slices of one name one colour.

use super::{Actors, TaskInfo, actors, tasks};
use crate::abi::{Answer, DiskMove, Question};
use crate::calls::{self, Json};
use crate::object::ObjectId;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The processes of the trace.
const RUNS: u32 = 1;
const QUEUE: u32 = 2;
const STORE: u32 = 3;

/// Writes a trace of the runs of tasks to a file, for <https://ui.perfetto.dev> or `chrome://tracing`: a row for each
/// process with what it ran, and apart from that what waited, and which objects were moved to disk and back (the last 4096 moves). As
/// `ray.timeline`.
///
/// # Errors
/// The file cannot be written.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// # let folder = std::env::temp_dir().join(format!("mobula-trace-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # std::env::set_current_dir(&folder)?;
/// get((|n: u32| n + 1).remote(1)).unwrap();
/// timeline("trace.json")?;
/// assert!(std::fs::read_to_string("trace.json")?.contains("traceEvents"));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn timeline(path: impl AsRef<Path>) -> io::Result<()> {
    // A runtime that does not tell them has none.
    let moves = match calls::ask(&Question::DiskMoves { after: 0 }) {
        Ok(Answer::DiskMoves(moves)) => moves,
        _ => Vec::new(),
    };
    let (trace, path) = (trace(&tasks(), &actors(), &moves), path.as_ref());
    std::fs::write(path, trace)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}` cannot be written: {error}", path.display())))
}

/// The trace of these runs and moves.
fn trace(tasks: &[TaskInfo], actors: &Actors, moves: &[DiskMove]) -> String {
    let mut events = vec![process(RUNS, "mobula"), process(QUEUE, "mobula queue")];
    let mut by_process: BTreeMap<u32, Vec<&TaskInfo>> = BTreeMap::new();
    for (number, task) in tasks.iter().enumerate() {
        if let (Some(pid), Some(_)) = (task.pid, task.began) {
            by_process.entry(pid).or_default().push(task);
        }
        events.push(waited(task, number, "b", task.submitted));
        events.push(waited(task, number, "e", task.submitted + task.queued));
    }
    let mut row = 0;
    for (pid, mut tasks) in by_process {
        tasks.sort_by_key(|task| task.began);
        let actor = actors.iter().find(|actor| actor.pid() == Some(pid));
        let title = actor.map_or(format!("worker {pid}"), |actor| format!("{} {pid}", actor.title()));
        // An actor may run several calls at once, which one row cannot show.
        let mut ends: Vec<Duration> = Vec::new();
        for task in tasks {
            let (began, ran) = (task.began.unwrap_or_default(), task.ran.unwrap_or_default());
            let lane = ends.iter().position(|end| *end <= began).unwrap_or_else(|| {
                ends.push(Duration::ZERO);
                events.push(thread(row + ends.len(), &title));
                ends.len() - 1
            });
            ends[lane] = began + ran;
            events.push(run(task, row + lane + 1, began, ran));
        }
        row += ends.len();
    }
    if !moves.is_empty() {
        events.push(process(STORE, "mobula store"));
    }
    events.extend(moves.iter().map(moved));
    format!("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n", events.join(",\n"))
}

/// Microseconds, the unit of the format.
fn us(time: Duration) -> String {
    format!("{:.3}", time.as_nanos() as f64 / 1e3)
}

fn process(pid: u32, name: &str) -> String {
    format!("{{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{pid},\"tid\":0,\"args\":{{\"name\":{}}}}}", Json(name))
}

fn thread(tid: usize, name: &str) -> String {
    let named = format!("\"ph\":\"M\",\"pid\":{RUNS},\"tid\":{tid}");
    format!(
        "{{{named},\"name\":\"thread_name\",\"args\":{{\"name\":{}}}}},\n{{{named},\"name\":\"thread_sort_index\",\"args\":{{\"sort_index\":{tid}}}}}",
        Json(name)
    )
}

fn run(task: &TaskInfo, tid: usize, began: Duration, ran: Duration) -> String {
    let mut args =
        format!("\"object\":{},\"state\":\"{}\",\"attempt\":{}", Json(&task.id.to_string()), task.state, task.attempt);
    if let Some(cell) = task.cell {
        let _ = write!(args, ",\"cell\":{cell}");
    }
    if let Some(parent) = task.parent {
        let _ = write!(args, ",\"parent\":{}", Json(&parent.to_string()));
    }
    format!(
        "{{\"ph\":\"X\",\"name\":{},\"cat\":\"{}\",\"pid\":{RUNS},\"tid\":{tid},\"ts\":{},\"dur\":{},\"args\":{{{args}}}}}",
        Json(&task.name),
        task.kind,
        us(began),
        us(ran)
    )
}

fn moved(object: &DiskMove) -> String {
    let (began, ended) = (Duration::from_nanos(object.began), Duration::from_nanos(object.ended));
    format!(
        "{{\"ph\":\"X\",\"name\":\"{}\",\"cat\":\"disk\",\"pid\":{STORE},\"tid\":0,\"ts\":{},\"dur\":{},\"args\":{{\"object\":{},\"bytes\":{}}}}}",
        if object.is_back { "from disk" } else { "to disk" },
        us(began),
        us(ended.saturating_sub(began)),
        Json(&ObjectId(object.id).to_string()),
        object.bytes
    )
}

fn waited(task: &TaskInfo, number: usize, phase: &str, at: Duration) -> String {
    format!(
        "{{\"ph\":\"{phase}\",\"name\":{},\"cat\":\"queue\",\"id\":{number},\"pid\":{QUEUE},\"tid\":0,\"ts\":{}}}",
        Json(&task.name),
        us(at)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{TaskState, TaskType};
    use crate::object::ObjectId;

    fn task(name: &str, pid: u32, began: u64, ended: u64) -> TaskInfo {
        let at = Duration::from_micros;
        TaskInfo {
            id: ObjectId(1),
            name: name.into(),
            kind: TaskType::Task,
            state: TaskState::Finished,
            session: None,
            cell: Some(3),
            attempt: 1,
            pid: Some(pid),
            parent: None,
            submitted: at(1),
            began: Some(at(began)),
            ended: Some(at(ended)),
            queued: at(began - 1),
            ran: Some(at(ended - began)),
        }
    }

    fn read(tasks: &[TaskInfo]) -> Vec<serde_json::Value> {
        events(&trace(tasks, &Actors::default(), &[]))
    }

    fn events(trace: &str) -> Vec<serde_json::Value> {
        let trace: serde_json::Value = serde_json::from_str(trace).unwrap();
        trace["traceEvents"].as_array().unwrap().clone()
    }

    fn slices(events: &[serde_json::Value]) -> Vec<(String, i64, f64, f64)> {
        let slices = events.iter().filter(|event| event["ph"] == "X");
        let number = |event: &serde_json::Value, key: &str| event[key].as_f64().unwrap();
        slices
            .map(|event| {
                let name = event["name"].as_str().unwrap().to_owned();
                (name, event["tid"].as_i64().unwrap(), number(event, "ts"), number(event, "dur"))
            })
            .collect()
    }

    #[test]
    fn each_worker_has_a_row_and_each_run_a_slice() {
        let events = read(&[task("f", 10, 5, 8), task("g \"q\"", 11, 6, 7), task("f", 10, 8, 9)]);
        let of_f = |tid, ts, dur| ("f".to_owned(), tid, ts, dur);
        assert_eq!(slices(&events), [of_f(1, 5.0, 3.0), of_f(1, 8.0, 1.0), ("g \"q\"".into(), 2, 6.0, 1.0)]);
        let names: Vec<&str> = events.iter().filter_map(|event| event["args"]["name"].as_str()).collect();
        assert_eq!(names, ["mobula", "mobula queue", "worker 10", "worker 11"]);
    }

    #[test]
    fn what_went_to_disk_and_back_has_a_row_of_its_own() {
        let to_disk = DiskMove { number: 1, id: 7, bytes: 100, is_back: false, began: 2_000, ended: 5_000 };
        let from_disk = DiskMove { number: 2, is_back: true, began: 6_000, ended: 7_000, ..to_disk };
        let events = events(&trace(&[], &Actors::default(), &[to_disk, from_disk]));
        let of = |name: &str, ts, dur| (name.to_owned(), 0, ts, dur);
        assert_eq!(slices(&events), [of("to disk", 2.0, 3.0), of("from disk", 6.0, 1.0)]);
        assert!(events.iter().any(|event| event["args"]["name"] == "mobula store" && event["pid"] == STORE));
        assert!(events.iter().any(|event| event["args"]["bytes"] == 100));
    }

    #[test]
    fn calls_that_an_actor_runs_at_once_have_rows_of_their_own() {
        let events = read(&[task("a", 10, 5, 9), task("b", 10, 6, 8), task("c", 10, 8, 10)]);
        let rows: Vec<(String, i64)> = slices(&events).into_iter().map(|(name, row, ..)| (name, row)).collect();
        assert_eq!(rows, [("a".into(), 1), ("b".into(), 2), ("c".into(), 2)]);
    }

    #[test]
    fn what_waited_stands_apart_from_what_ran() {
        let never_ran = TaskInfo { pid: None, began: None, ran: None, ..task("f", 1, 5, 8) };
        let events = read(&[never_ran]);
        let phases: Vec<(&str, f64)> = events
            .iter()
            .filter(|event| event["cat"] == "queue")
            .map(|event| (event["ph"].as_str().unwrap(), event["ts"].as_f64().unwrap()))
            .collect();
        assert_eq!((phases, slices(&events).len()), (vec![("b", 1.0), ("e", 5.0)], 0));
    }
}
