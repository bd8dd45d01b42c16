//! Processor time and memory of workers, as the system counts them.

use procfs::process::Process;
use std::collections::HashMap;
use std::time::Instant;

/// What was counted at the last look.
#[derive(Debug, Default)]
pub struct Processes {
    before: HashMap<u32, (Instant, u64)>,
}

impl Processes {
    /// For each process its processor time since the last look, in percent of one CPU (`None` at the first), and its bytes of memory that
    /// are its own or shared. One that has ended is left out.
    pub fn look(&mut self, pids: &[u32], now: Instant) -> Vec<(u32, Option<f64>, u64)> {
        let per_second = procfs::ticks_per_second() as f64;
        let mut seen = HashMap::with_capacity(pids.len());
        let mut found = Vec::with_capacity(pids.len());
        for pid in pids {
            let stat =
                i32::try_from(*pid).ok().and_then(|pid| Process::new(pid).and_then(|process| process.stat()).ok());
            let Some(stat) = stat else { continue };
            let ticks = stat.utime + stat.stime;
            let share = self.before.get(pid).map(|(then, before)| {
                let seconds = now.duration_since(*then).as_secs_f64();
                if seconds > 0.0 { ticks.saturating_sub(*before) as f64 / per_second / seconds * 100.0 } else { 0.0 }
            });
            seen.insert(*pid, (now, ticks));
            found.push((*pid, share, stat.rss * procfs::page_size()));
        }
        self.before = seen;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_process_that_works_is_seen_to_and_one_that_has_ended_is_left_out() {
        let (mut processes, begin) = (Processes::default(), Instant::now());
        let here = std::process::id();
        assert!(matches!(processes.look(&[here], begin)[..], [(pid, None, memory)] if pid == here && memory > 0));
        let ticks =
            || Process::myself().and_then(|process| process.stat()).map(|stat| stat.utime + stat.stime).unwrap();
        let before = ticks();
        while ticks() < before + 2 {}
        let found = processes.look(&[here, u32::MAX], begin + Duration::from_secs(1));
        assert!(matches!(found[..], [(_, Some(percent), _)] if percent >= 1.0), "{found:?}");
    }
}
