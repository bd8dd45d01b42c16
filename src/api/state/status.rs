//! `status()`: resources, in use and wanted.

use super::super::answer;
use super::counted;
use crate::abi::{Answer, Question, RuntimeStatus};
use crate::display::{Table, Tabular, shown_as_a_table};
use crate::error::Size;

pub use crate::abi::{Demand, ResourceStatus, SessionInfo};

/// Returns which resources this runtime has, how much of each is in use, and what waits for them. As `ray status`.
/// Displays as a table.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let cpu = mobula::status().resources.into_iter().find(|resource| resource.name == "CPU").unwrap();
/// assert!(cpu.in_use <= cpu.total);
/// ```
#[track_caller]
pub fn status() -> Status {
    match answer(&Question::Status) {
        Answer::Status(RuntimeStatus { resources, workers, demands, sessions, .. }) => {
            Status { resources, workers, demands, sessions }
        }
        other => panic!("the runtime answered `status` with {other:?}"),
    }
}

/// The resources of a runtime and what waits for them, as [`status`](crate::status) returns it. Displays as a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The resources, sorted by name.
    pub resources: Vec<ResourceStatus>,
    /// How many processes there are for tasks and actors.
    pub workers: u32,
    /// What waits for resources.
    pub demands: Vec<Demand>,
    /// The sessions that have joined it, if others may.
    pub sessions: Vec<SessionInfo>,
}

impl Tabular<3> for Status {
    fn table(&self) -> Result<Table<3>, &'static str> {
        let mut table = Table::new(["resource", "in use", "total"]);
        for ResourceStatus { name, in_use, total } in &self.resources {
            let amount = |amount: f64| match name.as_str() {
                "memory" => Size(amount as u64).to_string(),
                _ => amount.to_string(),
            };
            table.row([name.clone(), amount(*in_use), amount(*total)]);
        }
        table.note(format!("{} for tasks and actors", counted(self.workers as usize, "process")));
        for SessionInfo { session, pid, namespace, share } in &self.sessions {
            let named = namespace.iter().map(|name| format!(", namespace {name}")).collect::<String>();
            let share = if *share == 1 { String::new() } else { format!(", share {share}") };
            table.note(format!("session {session}, pid {pid}{named}{share}"));
        }
        for Demand { needs, tasks, is_possible } in &self.demands {
            let verb = if *tasks == 1 { "waits" } else { "wait" };
            let never = if *is_possible { "" } else { ", which is more than there is" };
            table.note(format!("{} {verb} for {needs}{never}", counted(*tasks as usize, "task")));
        }
        Ok(table)
    }
}

shown_as_a_table!(Status);
