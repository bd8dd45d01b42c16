//! `get` and `wait`: blocking until objects are finished.
//!
//! What is finished and small comes along with the answer, so that a `get` of small values costs one round trip in all.

use super::state::cached;
use super::{Client, Fallible, fault, nonsense, refused};
use crate::local::inbox::Stop;
use crate::local::memory::Cached;
use crate::protocol::{ObjectId, ToClient, ToHead};
use std::collections::HashSet;
use std::time::{Duration, Instant};

impl Client {
    /// Blocks until `num_returns` of `ids` are finished or `timeout` has passed, and says which are.
    ///
    /// # Errors
    /// [`Fault::Interrupted`](crate::abi::Fault::Interrupted), [`Fault::Disconnected`](crate::abi::Fault::Disconnected), or more results wanted than there are.
    pub fn wait(&self, ids: &[ObjectId], num_returns: u64, timeout: Option<Duration>) -> Fallible<Vec<bool>> {
        if num_returns > ids.len() as u64 {
            return Err(refused(format!("{num_returns} of {} objects can never be ready", ids.len())));
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // Finished objects that this process has no reference to, and so does not remember.
        let mut finished: HashSet<ObjectId> = HashSet::new();
        let mut polled = false;
        loop {
            let (ready, unknown) = self.look(ids, &finished);
            let count = ready.iter().filter(|ready| **ready).count() as u64;
            if count >= num_returns || polled || unknown.is_empty() {
                return Ok(ready);
            }
            let wanted = match timeout {
                Some(Duration::ZERO) => 0,
                _ => (num_returns - count).min(unknown.len() as u64),
            };
            let (answered, came) = self.ask_wait(&unknown, wanted, deadline)?;
            polled = !came || wanted == 0;
            finished.extend(answered);
        }
    }

    /// Which are finished as far as is known here, and which are not, without repetition.
    fn look(&self, ids: &[ObjectId], finished: &HashSet<ObjectId>) -> (Vec<bool>, Vec<ObjectId>) {
        let state = self.state();
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        let ready = ids.iter().map(|id| {
            let ready = state.handles.cached(*id).is_some() || finished.contains(id);
            if !ready && (ids.len() == 1 || seen.insert(*id)) {
                unknown.push(*id);
            }
            ready
        });
        (ready.collect(), unknown)
    }

    /// One `Wait`: gives the finished ones, and whether they came in time.
    fn ask_wait(
        &self,
        ids: &[ObjectId],
        num_returns: u64,
        deadline: Option<Instant>,
    ) -> Fallible<(Vec<ObjectId>, bool)> {
        let (req, cell) = self.queue_question(|req| ToHead::Wait { req, ids: ids.to_vec(), num_returns })?;
        let mut in_time = true;
        let mut answer = self.inbox.wait(deadline, cell, |books| books.answer(req));
        if answer == Err(Stop::TimedOut) {
            in_time = false;
            self.state().queue_short(&ToHead::WaitNoLonger { req });
            self.flush();
            answer = self.inbox.wait(None, cell, |books| books.answer(req));
        }
        if answer == Err(Stop::Interrupted) {
            self.inbox.forget(req);
            self.state().queue_short(&ToHead::WaitNoLonger { req });
            self.flush();
        }
        let ToClient::WaitDone { ready, .. } = answer.map_err(fault)? else { return Err(nonsense()) };
        let mut state = self.state();
        let mut finished = Vec::with_capacity(ready.len());
        for (index, known) in ready {
            let Some(&id) = ids.get(index as usize) else { return Err(nonsense()) };
            state.handles.remember(id, known.map_or(Cached::Finished, cached));
            finished.push(id);
        }
        Ok((finished, in_time))
    }
}
