//! A task that waits lends its CPU, so that the tasks that it waits for can run.
//!
//! The loan ends with the task, whatever its threads and futures still wait for.

use super::Client;
use crate::protocol::ToHead;
use crate::sync::Ordering;
use std::sync::PoisonError;

/// The loans of a worker's task.
#[derive(Debug, Default)]
pub(super) struct Loans {
    /// How many of its threads wait.
    count: u32,
    /// How many tasks this worker has ended.
    tasks: u64,
}

/// While one of these is there, and its task runs, the task needs no CPU.
pub(super) struct Lending<'a> {
    client: &'a Client,
    task: u64,
}

impl Client {
    /// Lends the CPU of the task that runs here; `None` where none runs.
    pub(super) fn lend_cpu(&self) -> Option<Lending<'_>> {
        self.lend_cpu_of(self.tasks_ended())
    }

    /// The same for the task that runs when this worker has ended so many; `None` when that task has ended.
    pub(super) fn lend_cpu_of(&self, task: u64) -> Option<Lending<'_>> {
        if !self.is_worker() {
            return None;
        }
        let mut loans = self.loans.lock().unwrap_or_else(PoisonError::into_inner);
        if loans.tasks != task || self.segment.desk(self.seat).current.load(Ordering::Relaxed) == 0 {
            return None;
        }
        loans.count += 1;
        if loans.count == 1 {
            // Under the lock, so that the head hears of a loan and of its end in this order.
            self.tell(&ToHead::Blocked);
        }
        Some(Lending { client: self, task })
    }

    /// How many tasks this worker has ended, which tells its tasks apart.
    pub(super) fn tasks_ended(&self) -> u64 {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner).tasks
    }

    /// The task that runs here ends.
    pub(super) fn end_loans(&self) {
        let mut loans = self.loans.lock().unwrap_or_else(PoisonError::into_inner);
        loans.tasks += 1;
        if std::mem::take(&mut loans.count) > 0 {
            self.tell(&ToHead::Unblocked);
        }
    }
}

impl Lending<'_> {
    /// Whether this is a loan of the task that runs when so many have ended.
    pub(super) fn is_of(&self, task: u64) -> bool {
        self.task == task
    }
}

impl Drop for Lending<'_> {
    fn drop(&mut self) {
        let mut loans = self.client.loans.lock().unwrap_or_else(PoisonError::into_inner);
        if loans.tasks == self.task {
            loans.count -= 1;
            if loans.count == 0 {
                self.client.tell(&ToHead::Unblocked);
            }
        }
    }
}
