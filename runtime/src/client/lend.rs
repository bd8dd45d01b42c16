//! A task that waits lends its CPU, so that the tasks that it waits for can run.

use super::Client;
use crate::protocol::ToHead;
use crate::sync::Ordering;
use std::sync::PoisonError;

/// While one of these is there, this process's task needs no CPU.
pub(super) struct Lending<'a>(&'a Client);

impl Client {
    /// Lends the CPU of the task that runs here; `None` where none runs. The head is told of the first of several threads that wait, and of
    /// the last that goes on.
    pub(super) fn lend_cpu(&self) -> Option<Lending<'_>> {
        let runs_task = self.is_worker() && self.segment.desk(self.seat).current.load(Ordering::Relaxed) != 0;
        runs_task.then(|| {
            self.count_lending(1, &ToHead::Blocked);
            Lending(self)
        })
    }

    /// Counts, and tells the head under the same lock, so that it hears of both in their order.
    fn count_lending(&self, change: i32, message: &ToHead) {
        let mut lending = self.lending.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *lending;
        *lending += change;
        if before == 0 || *lending == 0 {
            self.tell(message);
        }
    }
}

impl Drop for Lending<'_> {
    fn drop(&mut self) {
        self.0.count_lending(-1, &ToHead::Unblocked);
    }
}
