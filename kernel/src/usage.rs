//! Processor time and memory of the session's processes: `usage_reply`, as ipykernel answers it.
//!
//! The session's processes are this one and its descendants: cell host, twins, workers, analyst. This process is their
//! subreaper, so none gets away. Memory that several of them share is divided among them (the proportional set size), so
//! the sum is what the session takes.

use crate::kernel::{Channel, Kernel};
use crate::wire::Request;
use procfs::process::{Process, all_processes};
use procfs::{Current, CurrentSI, KernelStats, Meminfo, ProcResult, WithCurrentSystemInfo};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// The most usage requests that wait. A front end asks every few seconds.
pub(crate) const REQUESTS_MAX: usize = 16;

/// Answers usage requests until the kernel ends. On a thread of its own, because a large store takes a while to count.
pub(crate) fn serve(kernel: &Arc<Kernel>, mut requests: mpsc::Receiver<Request>) {
    let mut usage = Usage::begin();
    while let Some(request) = requests.blocking_recv() {
        kernel.answer(Channel::Control, &request, usage.content());
    }
}

/// A process, told from another one that has had its pid.
type Identity = (i32, u64);

/// What was used up to the last answer. Shares of processor time are those since then.
struct Usage {
    at: Instant,
    /// Ticks of processor time of each process.
    ticks: HashMap<Identity, u64>,
    /// Ticks of the machine: busy, and all.
    host: Option<(u64, u64)>,
}

/// A process of the session.
struct Seen {
    identity: Identity,
    parent: i32,
    ticks: u64,
    process: Process,
}

impl Usage {
    /// The first answer is about the time since the session's start, which is now. Nothing is searched before somebody asks.
    fn begin() -> Usage {
        Usage { at: Instant::now(), ticks: HashMap::new(), host: host_ticks() }
    }

    /// The content of a `usage_reply`. What the system does not tell is left out.
    fn content(&mut self) -> Value {
        let session = session();
        let memory: u64 = session.iter().map(|seen| memory_of(&seen.process)).sum();
        let mut content = json!({
            "status": "ok",
            "hostname": rustix::system::uname().nodename().to_string_lossy(),
            "pid": std::process::id(),
            "kernel_cpu": self.kernel_percent(&session),
            "kernel_memory": memory,
            "cpu_count": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        });
        if let Some(percent) = self.host_percent() {
            content["host_cpu_percent"] = percent.into();
        }
        if let Ok(info) = Meminfo::current() {
            content["host_virtual_memory"] = host_memory(&info).into();
        }
        content
    }

    /// Processor time of the session since the last call, in percent of one processor.
    fn kernel_percent(&mut self, session: &[Seen]) -> f64 {
        let elapsed = self.at.elapsed().as_secs_f64().max(1e-3);
        // A process that is new has used all of its time since the last call.
        let used: u64 = session
            .iter()
            .map(|seen| seen.ticks.saturating_sub(self.ticks.get(&seen.identity).copied().unwrap_or(0)))
            .sum();
        self.at = Instant::now();
        self.ticks = session.iter().map(|seen| (seen.identity, seen.ticks)).collect();
        tenth(used as f64 * 100.0 / procfs::ticks_per_second() as f64 / elapsed)
    }

    /// Processor time of the whole machine since the last call, in percent of all its processors.
    fn host_percent(&mut self) -> Option<f64> {
        let (busy, all) = host_ticks()?;
        let (busy_before, all_before) = self.host.replace((busy, all))?;
        let all = all.saturating_sub(all_before);
        (all > 0).then(|| tenth(busy.saturating_sub(busy_before) as f64 * 100.0 / all as f64))
    }
}

/// This process and its descendants.
fn session() -> Vec<Seen> {
    let Ok(processes) = all_processes() else { return Vec::new() };
    let look = |process: ProcResult<Process>| -> ProcResult<Seen> {
        let process = process?;
        let stat = process.stat()?;
        let identity = (stat.pid, stat.starttime);
        Ok(Seen { identity, parent: stat.ppid, ticks: stat.utime + stat.stime, process })
    };
    // One that has ended meanwhile is left out.
    let mut others: Vec<Seen> = processes.filter_map(|process| look(process).ok()).collect();
    let mut session: Vec<Seen> = Vec::new();
    let mut pids = HashSet::from([std::process::id().cast_signed()]);
    loop {
        let (found, rest): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|seen| pids.contains(&seen.parent) || seen.identity.0 == std::process::id().cast_signed());
        if found.is_empty() {
            return session;
        }
        pids.extend(found.iter().map(|seen| seen.identity.0));
        session.extend(found);
        others = rest;
    }
}

/// The proportional set size in bytes; where the system does not tell it, the resident one.
fn memory_of(process: &Process) -> u64 {
    let proportional = || {
        let rollup = process.smaps_rollup().ok()?.memory_map_rollup;
        rollup.into_iter().find_map(|map| map.extension.map.get("Pss").copied())
    };
    proportional().unwrap_or_else(|| process.stat().map_or(0, |stat| stat.rss_bytes().get()))
}

/// Ticks of all processors since the machine's start: busy ones, and all.
fn host_ticks() -> Option<(u64, u64)> {
    let total = KernelStats::current().ok()?.total;
    let rest = [total.irq, total.softirq, total.steal].iter().flatten().sum::<u64>();
    let busy = total.user + total.nice + total.system + rest;
    Some((busy, busy + total.idle + total.iowait.unwrap_or(0)))
}

/// The machine's memory, with the names of Python's `psutil`, which front ends read.
fn host_memory(info: &Meminfo) -> Map<String, Value> {
    let available = info.mem_available.unwrap_or(info.mem_free);
    let used = info.mem_total.saturating_sub(available);
    let fields = [
        ("total", info.mem_total),
        ("available", available),
        ("used", used),
        ("free", info.mem_free),
        ("active", info.active),
        ("inactive", info.inactive),
        ("buffers", info.buffers),
        ("cached", info.cached + info.s_reclaimable.unwrap_or(0)),
        ("shared", info.shmem.unwrap_or(0)),
        ("slab", info.slab),
    ];
    let mut memory: Map<String, Value> = fields.into_iter().map(|(name, bytes)| (name.into(), bytes.into())).collect();
    memory.insert("percent".into(), tenth(used as f64 * 100.0 / info.mem_total.max(1) as f64).into());
    memory
}

fn tenth(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn children_of_children_belong_to_the_session_and_strangers_do_not() {
        // A shell that is told to say its child's pid, and to end when its input does.
        let mut shell = Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 >/dev/null & echo $!; exec 3<&- 0<&-; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 32];
        let count = shell.stdout.as_mut().unwrap().read(&mut said).unwrap();
        let grandchild: i32 = std::str::from_utf8(&said[..count]).unwrap().trim().parse().unwrap();
        let pids: Vec<i32> = session().iter().map(|seen| seen.identity.0).collect();
        let own = std::process::id().cast_signed();
        for expected in [own, shell.id().cast_signed(), grandchild] {
            assert!(pids.contains(&expected), "{expected} is not among {pids:?}");
        }
        assert!(!pids.contains(&1) && pids.iter().collect::<HashSet<_>>().len() == pids.len(), "{pids:?}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn memory_that_is_touched_and_time_that_is_used_are_counted() {
        let mut usage = Usage::begin();
        let before = usage.content();
        let ticks = || session().iter().map(|seen| seen.ticks).sum::<u64>();
        let start = ticks();
        let held = vec![1u8; 64 << 20];
        // Works until the system has counted it.
        while {
            std::hint::black_box(held.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            ticks() <= start + 1
        } {}
        let after = usage.content();
        let bytes = |content: &Value| content["kernel_memory"].as_u64().unwrap();
        // Other tests of this process give some back meanwhile.
        assert!(bytes(&after) > bytes(&before) + (32 << 20), "{before} {after}");
        assert!(after["kernel_cpu"].as_f64().unwrap() > 0.0, "{after}");
        let memory = &after["host_virtual_memory"];
        assert!(memory["total"].as_u64() > memory["available"].as_u64(), "{memory}");
        drop(held);
    }
}
