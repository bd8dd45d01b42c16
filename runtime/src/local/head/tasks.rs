//! The head's part in tasks: it seals failures, and finds tasks that a dead process has lost.
//!
//! The head keeps a failure under the id of its object, which is sealed as failed in shared memory, and announces it once, where it began.
//! Tasks that were to use a failed result fail with the same failure and add their names to it.

use super::functions::Functions;
use super::{FAILURES_MAX, Head};
use crate::abi::{Attempt, Cause, Failed, Failure, TaskOptions, TaskState};
use crate::protocol::{ObjectId, SessionId, WorkerId};
use crate::scheduler::{Event, HINTS_MAX};
use crate::store::{Estate, Flags, HINTS, Seat, Spec, State, Step, TaskEvent, TaskKind, Word, ticks};
use crate::sync::Ordering;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// How many tasks are named that failed only because an argument of theirs had; the rest is counted. A chain of tasks can be long, and each
/// of its objects has a failure of its own.
const CARRIERS_MAX: usize = 32;

/// How many attempts of a function are told, so that many tasks that lose their workers do not bury a cell's own output.
const RETRIES_TOLD_MAX: u32 = 20;

/// A failure, and whether a client has asked why an object failed with it.
#[derive(Debug)]
pub(super) struct Origin {
    /// Its cell has the runtime's number.
    failure: Failure,
    is_fetched: AtomicBool,
    /// What happened, with the places that a joined session has found in its cells.
    located: OnceLock<Cause>,
}

impl Origin {
    fn new(failure: Failure) -> Arc<Origin> {
        Arc::new(Origin { failure, is_fetched: AtomicBool::new(false), located: OnceLock::new() })
    }

    /// As `errors()` lists it.
    pub fn listed(&self) -> Failed {
        Failed { failure: self.told(), is_fetched: self.is_fetched.load(Ordering::Relaxed) }
    }

    /// The failure for a session, with the number that it has given the cell.
    pub fn told(&self) -> Failure {
        let cause = self.located.get().unwrap_or(&self.failure.cause).clone();
        Failure { cell: SessionId::number(self.failure.cell), cause, ..self.failure.clone() }
    }

    /// The cell that started the task, by the runtime's number.
    pub fn cell(&self) -> u64 {
        self.failure.cell
    }

    /// Takes what happened in, with its places.
    pub fn locate(&self, cause: Cause) {
        let _ = self.located.set(cause);
    }
}

/// Why an object failed.
#[derive(Clone, Debug)]
pub(super) struct Blame {
    /// The failure where it began, shared by all that fail with it.
    origin: Arc<Origin>,
    /// The functions of the tasks that carried it, nearest first.
    carried_by: Vec<u32>,
    /// How many more tasks carried it.
    more: u32,
}

impl Blame {
    pub fn at_origin(failure: Failure) -> Blame {
        Blame { origin: Origin::new(failure), carried_by: Vec::new(), more: 0 }
    }

    /// The same failure, for a task of this function that was to use the failed object.
    fn carried_by(&self, function: u32) -> Blame {
        let mut carried = self.clone();
        if carried.carried_by.len() < CARRIERS_MAX {
            carried.carried_by.push(function);
        } else {
            carried.more += 1;
        }
        carried
    }

    fn told(&self, functions: &Functions) -> Failure {
        let names = self.carried_by.iter().map(|function| functions.name(*function).to_owned());
        let more = (self.more > 0).then(|| format!("… and {} more", self.more));
        Failure { carried_by: names.chain(more).collect(), ..self.origin.told() }
    }
}

/// Failures of objects that a client may still ask about.
#[derive(Debug, Default)]
pub(super) struct Blames {
    by_object: HashMap<ObjectId, Blame>,
    /// At this many failures, those of objects that do not exist any more are thrown away.
    tidy_at: usize,
}

impl Blames {
    /// Why an object failed, for somebody who asks.
    pub fn fetch(&self, id: ObjectId, functions: &Functions) -> Option<Failure> {
        let blame = self.by_object.get(&id)?;
        blame.origin.is_fetched.store(true, Ordering::Relaxed);
        Some(blame.told(functions))
    }

    /// The failure that an object failed with.
    pub fn origin(&self, id: ObjectId) -> Option<&Arc<Origin>> {
        self.by_object.get(&id).map(|blame| &blame.origin)
    }

    pub fn insert(&mut self, id: ObjectId, blame: Blame, exists: impl Fn(ObjectId) -> bool) {
        self.by_object.insert(id, blame);
        if self.by_object.len() > self.tidy_at.max(1024) {
            self.by_object.retain(|id, _| exists(*id));
            self.tidy_at = self.by_object.len() * 2;
        }
    }
}

impl Head {
    /// Fails a task, because an argument of it has failed.
    pub(super) fn carry_failure(&mut self, task: ObjectId, object: ObjectId) {
        let Some(blame) = self.blames.by_object.get(&object) else { return };
        let carried = blame.carried_by(self.segment.read_spec(task.slot()).function);
        self.fail(task, carried);
    }

    /// Fails a task where its failure began: records and announces it.
    pub(super) fn fail_at_origin(&mut self, task: ObjectId, mut cause: Cause, pid: u32) {
        if !self.word(task).is_some_and(Word::is_task) {
            return;
        }
        let spec = self.segment.read_spec(task.slot());
        self.locate(spec.function, spec.cell, &mut cause);
        if let TaskKind::Call { mailbox, .. } = spec.kind
            && matches!(cause, Cause::Signal { .. } | Cause::Exit { .. })
        {
            cause = self.cause_for_call(mailbox, cause);
        }
        let attempt = self.attempt(&spec, self.retries_after(&spec, &cause));
        let failure = Failure { attempt, ..self.failure_of(&spec, cause, pid) };
        tracing::debug!(%task, ?failure, "task failed");
        // What was asked for is no news.
        let was_killed = matches!(&failure.cause, Cause::ActorDied { death, .. } if **death == Cause::Cancelled);
        let is_news = failure.cause != Cause::Cancelled && !was_killed;
        let blame = Blame::at_origin(failure);
        if is_news {
            self.announce(&blame);
        }
        self.fail(task, blame);
    }

    /// The failure of a task that is run once.
    pub(super) fn failure_of(&self, spec: &Spec, cause: Cause, pid: u32) -> Failure {
        let task = self.functions.name(spec.function).to_owned();
        Failure {
            task,
            pid,
            cell: spec.cell,
            cause,
            carried_by: Vec::new(),
            attempt: Attempt::ONLY,
            node: String::new(),
        }
    }

    /// Records a failure where it began, and tells the person.
    pub(super) fn announce(&mut self, blame: &Blame) {
        let origin = &blame.origin;
        self.failures.push_back(Arc::clone(origin));
        if self.failures.len() > FAILURES_MAX {
            self.failures.pop_front();
        }
        let is_shown = !self.settings.config.is_silent;
        self.announce_to_session(origin, is_shown);
    }

    /// Finds the place of a panic in the cells: the worker's panic hook knows the line, not the library.
    pub(super) fn locate(&self, function: u32, cell: u64, cause: &mut Cause) {
        if let Cause::Panic { place: Some(place), .. } = cause
            && place.cell.is_none()
        {
            let function = self.functions.get(function);
            place.library = function.map(|function| function.library.clone()).unwrap_or_default();
            self.locate_here(cell, cause);
        }
    }

    /// Seals the task's result as failed, and those of the tasks that wait for it. A loop: a chain of tasks can be long.
    fn fail(&mut self, task: ObjectId, blame: Blame) {
        self.fail_by(task, blame, Step::Fail);
    }

    /// The same by this step. False, and nothing is done, if the task cannot take it.
    pub(super) fn fail_by(&mut self, task: ObjectId, blame: Blame, step: Step) -> bool {
        let Some(waiting) = self.seal_failed(task, blame.clone(), step) else { return false };
        let carried = |head: &Head, waiting: Vec<ObjectId>, blame: &Blame| -> Vec<(ObjectId, Blame)> {
            let function = |task: ObjectId| head.segment.read_spec(task.slot()).function;
            waiting.into_iter().map(|task| (task, blame.carried_by(function(task)))).collect()
        };
        let mut failed = carried(self, waiting, &blame);
        while let Some((task, blame)) = failed.pop() {
            let waiting = self.seal_failed(task, blame.clone(), Step::Fail).unwrap_or_default();
            failed.extend(carried(self, waiting, &blame));
        }
        true
    }

    /// Seals the task's result as failed. Returns the tasks that waited for it; `None` if the task cannot take this step.
    fn seal_failed(&mut self, task: ObjectId, blame: Blame, step: Step) -> Option<Vec<ObjectId>> {
        let segment = self.segment.clone();
        let word = self.word(task).filter(|word| word.is_task())?;
        let spec = segment.read_spec(task.slot());
        // Its actor's process has run it, and has its arguments kept for a restart.
        let is_logged = step == Step::Fail && segment.is_newest_logged(task);
        let step = if is_logged { Step::FailLogged } else { step };
        // Stored before the failure can be seen.
        self.blames.insert(task, blame.clone(), |id| segment.exists(id));
        self.leases.moves();
        let mut loose = Vec::new();
        let mut waiting = None;
        if segment.take_step(task, step) {
            // If the head itself waits for the task, it checks soon, and not here in the middle of other failures.
            self.retry |= segment.tell_waiters(task.slot());
            let state = if blame.carried_by.is_empty() {
                state_after(&blame.origin.failure.cause)
            } else {
                TaskState::ArgumentFailed
            };
            self.record(task, word, &spec, state);
            waiting = Some(segment.take_list(task.slot()));
            if word.flags().contains(Flags::ARGS) && !is_logged {
                loose.extend(spec.objects().filter(|id| segment.unhold(*id)));
            }
            // Perhaps no process refers to the result any more.
            loose.push(task);
        }
        self.leases.moved();
        if waiting.is_some() && matches!(spec.kind, TaskKind::Creation { .. }) {
            self.creation_failed(task, &blame.origin.failure, !blame.carried_by.is_empty());
        }
        if let TaskKind::Call { mailbox, .. } = spec.kind {
            // What it held up can run.
            self.segment.call_woke(mailbox);
        }
        self.collect(loose);
        waiting
    }

    /// Fails all pending tasks, because no worker can be started.
    pub(super) fn refuse_tasks(&mut self) {
        self.segment.header().unserved.store(1, Ordering::Release);
        let message = format!("no worker process can be started: {}", self.pool.last_trouble());
        for task in self.slots_with(|word| word.state() == State::Pending) {
            // A call has a process already, or fails with its actor.
            if self.segment.task_kind(task.slot()).is_call() {
                continue;
            }
            self.fail_at_origin(task, Cause::Refused { message: message.clone() }, 0);
        }
    }

    /// Fails a task that was in a queue of the scheduler's.
    pub(super) fn refuse_queued(&mut self, task: ObjectId, message: String) {
        let cause = Cause::Refused { message };
        if self.word(task).is_some_and(Word::is_task) {
            self.fail_at_origin(task, cause, 0);
        } else {
            self.restart_failed(task, cause, 0);
        }
    }

    /// No worker can be started for a task that asks for one of its own kind.
    pub(super) fn fail_unstarted(&mut self, task: ObjectId) {
        let options = self.options.get(self.segment.read_spec(task.slot()).options);
        let message = match options.and_then(|known| known.program) {
            Some(program) => self.programs.why_it_does_not_start(program),
            None => {
                format!("no worker process can be started in its environment: {}", self.pool.last_trouble())
            }
        };
        self.refuse_queued(task, message);
    }

    /// Fails all unfinished tasks, without announcing each.
    pub(super) fn fail_unfinished(&mut self, why: &str) {
        for id in self.slots_with(Word::is_task) {
            // A task that has failed with another one is no task any more.
            if !self.word(id).is_some_and(Word::is_task) {
                continue;
            }
            let spec = self.segment.read_spec(id.slot());
            let failure = self.failure_of(&spec, Cause::Refused { message: why.into() }, 0);
            self.fail(id, Blame::at_origin(failure));
        }
    }

    /// The objects and tasks whose slots' words fulfil `is_so`.
    pub(super) fn slots_with(&self, is_so: impl Fn(Word) -> bool) -> Vec<ObjectId> {
        let words = (1..self.segment.slots_used()).map(|index| (index, self.segment.slot(index).word()));
        words.filter(|(_, word)| is_so(*word)).map(|(index, word)| ObjectId::new(index, word.generation())).collect()
    }

    /// Warns once for each function: it needs a CPU, and the runtime has less than one.
    pub(super) fn warn_needs_a_cpu(&mut self, function: u32, session: SessionId) {
        self.warn_of(function, session.cell(0), "1 CPU");
    }

    /// The same for a task that asks for more than there is.
    pub(super) fn warn_infeasible(&mut self, task: ObjectId) {
        let spec = self.segment.read_spec(task.slot());
        let Some(shape) = self.options.get(spec.options).map(|known| known.shape) else { return };
        let needs = self.scheduler.shapes().needs(shape).to_string();
        self.warn_of(spec.function, spec.cell, &needs);
    }

    fn warn_of(&mut self, function: u32, cell: u64, needs: &str) {
        if self.warned.insert(function) {
            let (name, total) = (self.functions.name(function), self.scheduler.total());
            let text = format!("task `{name}` needs {needs} and the runtime has {total}: it waits until there is more");
            self.notice_of(cell, text);
        }
    }

    /// Gives a task to a worker that has nothing to do, and hints it at those that it may take after that.
    pub(super) fn assign(&mut self, worker: WorkerId, task: ObjectId, hints: &[ObjectId]) {
        let Some(seat) = self.seat(worker.client()) else { return };
        let is_over = self.word(task).is_none_or(|word| word.state() != State::Pending);
        if is_over && !self.segment.stands_for_an_actor(task) {
            // Another worker has taken it, by a hint; or it was cancelled in this moment.
            return self.tell(Event::Ended { worker, also: Vec::new() });
        }
        self.note_maker(worker, task);
        const { assert!(HINTS_MAX <= HINTS, "there is a place for each") };
        let (segment, desk) = (&self.segment, self.segment.desk(seat));
        let is_normal = |task: &&ObjectId| segment.task_kind(task.slot()) == TaskKind::Normal;
        // All places, so that none is left of a task of another shape.
        let hints = hints.iter().filter(is_normal).map(|task| task.0).chain(std::iter::repeat(0));
        desk.hints.iter().zip(hints).for_each(|(place, task)| place.store(task, Ordering::Relaxed));
        // A placement group that is removed must not be given another task by somebody who does not know.
        desk.offer.is_allowed.store(u32::from(!self.scheduler.is_in_a_group(worker)), Ordering::Relaxed);
        // Release pairs with the load of who takes the task: all that is there.
        desk.assigned.store(task.0, Ordering::Release);
        self.segment.ring(seat);
    }

    /// How often a task may be run again after this; `u32::MAX` for no bound.
    pub(super) fn retries_after(&self, spec: &Spec, cause: &Cause) -> u32 {
        let options = self.options.get(spec.options).map(|known| &known.options);
        let is_death = matches!(cause, Cause::Signal { .. } | Cause::Exit { .. });
        match spec.kind {
            TaskKind::Call { mailbox, .. } => return if is_death { self.call_retries(mailbox) } else { 0 },
            TaskKind::Creation { .. } => return if is_death { options.map_or(0, TaskOptions::restarts) } else { 0 },
            TaskKind::Normal => {}
        }
        match cause {
            Cause::Panic { .. } | Cause::Error { .. } => options.map_or(0, TaskOptions::panic_retries),
            Cause::Signal { .. } | Cause::Exit { .. } | Cause::ObjectLost { .. } => {
                options.map_or_else(|| TaskOptions::default().retries(), TaskOptions::retries)
            }
            Cause::Refused { .. } | Cause::Cancelled | Cause::ActorDied { .. } => 0,
        }
    }

    /// The run that a task is in, of those that it may have.
    pub(super) fn attempt(&self, spec: &Spec, retries: u32) -> Attempt {
        let number = u32::from(spec.attempt) + 1;
        // A panic after other attempts may be one that is not retried.
        Attempt { number, of: (retries != u32::MAX).then(|| number.max(retries.saturating_add(1))) }
    }

    /// Whether a task that failed is to be run again; then it is in a queue again.
    pub(super) fn retries(&mut self, task: ObjectId, cause: &Cause) -> bool {
        let mut spec = self.segment.read_spec(task.slot());
        let retries = self.retries_after(&spec, cause);
        // A call for what it does to its actor. And somebody, such as the head, may have got hold of it since it was abandoned.
        let is_wanted = self.word(task).is_some_and(|word| {
            !word.flags().contains(Flags::ABANDONED) || !self.segment.is_unused(task) || spec.kind.is_call()
        });
        if !is_wanted || was_last_run(&spec, retries) {
            return false;
        }
        // Before any process can read it as one that may be run.
        let run = (self.word(task), spec);
        spec.attempt = self.segment.count_attempt(task.slot());
        if !self.segment.take_step(task, Step::Retry { by: self.leases.seat }) {
            return false;
        }
        if let (Some(word), spec) = run {
            self.record(task, word, &spec, state_after(cause));
        }
        let (name, why) = (self.functions.name(spec.function).to_owned(), cause_in_a_word(cause));
        let said = format!("task `{name}` {why}; {}", self.attempt(&spec, retries));
        let told = self.retries_told.entry(spec.function).or_default();
        *told += 1;
        match *told {
            ..RETRIES_TOLD_MAX => self.notice_of(spec.cell, said),
            RETRIES_TOLD_MAX => self.notice_of(spec.cell, format!("{said} (more attempts of `{name}` are not told)")),
            _ => {}
        }
        // A call still has its place in the mailbox.
        if !spec.kind.is_call() {
            self.push(task);
        }
        true
    }

    /// Records the end of a run that has given no result; `word` and `spec` are those of the run.
    fn record(&self, task: ObjectId, word: Word, spec: &Spec, state: TaskState) {
        let event = TaskEvent { ended: ticks(), ..self.segment.run_of(task, word, spec, state) };
        self.segment.record(Seat::HEAD, &event);
    }

    /// Handles what a dead process has left.
    pub(super) fn settle(&mut self, estate: Estate, pid: u32, cause: Option<Cause>) {
        let cause = cause.unwrap_or_else(super::pool::killed);
        for task in estate.lost {
            if !self.ends_cancelled(task, pid) && !self.retries(task, &cause) {
                self.fail_at_origin(task, cause.clone(), pid);
            }
        }
        for task in estate.pending {
            self.push(task);
        }
        self.redeliver_calls();
        // The dead process may have owed the message.
        self.adopt_strands();
        self.collect(estate.loose);
        self.spill.keep_what_is_had(&self.segment);
        self.revive();
        self.audit();
        self.segment.ring_all();
    }

    /// Finds waiting tasks that no process will wake any more.
    pub(super) fn revive(&mut self) {
        self.watched.extend(self.segment.unclosed());
        self.watched.extend(self.segment.waiting());
        self.watched.sort_unstable();
        self.watched.dedup();
        self.look_at_watched();
    }

    /// Wakes the watched tasks whose arguments are ready, and goes on watching the others. These include tasks with a failed argument: they
    /// are in the list of a missing one, and their slots must not be reused before that list is taken.
    pub(super) fn look_at_watched(&mut self) {
        self.retry = false;
        self.release_listed();
        let segment = self.segment.clone();
        let mut ready = Vec::new();
        for task in std::mem::take(&mut self.watched) {
            if self.word(task).is_none_or(|word| word.state() != State::Waiting) {
                continue;
            }
            let spec = segment.read_spec(task.slot());
            let is_missing = spec.objects().any(|id| !segment.arm(id, self.leases.seat) && self.is_task(id));
            if is_missing { self.watched.push(task) } else { ready.push(task) }
        }
        // A process that goes through a list with one of them, or is about to wake one, does so first. After that none will.
        if !ready.is_empty() && !segment.let_finish() {
            self.retry = true;
            return self.watched.extend(ready);
        }
        for task in ready {
            if self.word(task).is_none_or(|word| word.state() != State::Waiting) {
                continue;
            }
            let spec = segment.read_spec(task.slot());
            let failed =
                spec.objects().find(|id| self.word(*id).is_some_and(|word| word.flags().contains(Flags::ERROR)));
            if let Some(object) = failed {
                self.carry_failure(task, object);
            } else if segment.take_step(task, Step::Wake { by: self.leases.seat }) {
                self.push(task);
            }
        }
    }

    /// Takes over a task that its waker had no room for, unless the waker has died since and the task is the head's already.
    pub(super) fn adopt(&mut self, task: ObjectId) {
        if self.segment.take_step(task, Step::Adopt { by: self.leases.seat }) {
            self.push(task);
        }
    }

    /// The same for all tasks that were left for the head.
    pub(super) fn adopt_strands(&mut self) {
        self.segment.take_strands().into_iter().for_each(|task| self.adopt(task));
    }

    /// Puts a task that is pending into the head's ring, from which all workers take.
    pub(super) fn push(&mut self, task: ObjectId) {
        let spec = self.segment.read_spec(task.slot());
        if let TaskKind::Call { mailbox, .. } = spec.kind {
            return self.deliver_call(task, mailbox);
        }
        match self.options.get(spec.options).filter(|_| spec.is_shaped()).map(|known| known.shape) {
            Some(shape) => self.tell(Event::Queued { task, shape, session: SessionId::of(spec.cell) }),
            None => {
                self.stranded.push_back(task);
                self.push_stranded();
            }
        }
    }

    /// Puts tasks into the ring as far as there is room.
    pub(super) fn push_stranded(&mut self) {
        let mut pushed = false;
        while self.segment.has_room(&self.leases)
            && let Some(task) = self.stranded.pop_front()
        {
            pushed |= self.segment.push(&self.leases, task);
        }
        if pushed {
            self.segment.work_came();
        }
    }

    /// Frees unused objects.
    pub(super) fn collect(&mut self, loose: Vec<ObjectId>) {
        let (segment, mut leftovers) = (self.segment.clone(), crate::store::Leftovers::default());
        segment.collect(&mut self.leases, loose, &mut leftovers);
        leftovers.spilled.into_iter().for_each(|(position, len)| self.spill.forget(position, len));
    }

    /// Corrects counts that a death may have left too high.
    pub(super) fn audit(&mut self) {
        let (segment, mut leftovers) = (self.segment.clone(), crate::store::Leftovers::default());
        self.unaudited = !segment.audit(&mut self.leases, &mut leftovers);
        leftovers.spilled.into_iter().for_each(|(position, len)| self.spill.forget(position, len));
    }

    /// The word of an object that exists.
    pub(super) fn word(&self, id: ObjectId) -> Option<Word> {
        let word = self.segment.slot(id.slot()).word();
        (word.generation() == id.generation() && word.state() != State::Free).then_some(word)
    }

    /// Whether the task is the head's, and no worker has begun it.
    pub(super) fn is_untouched(&self, id: ObjectId) -> bool {
        let word = self.word(id).filter(|word| word.state() == State::Pending);
        word.is_some_and(|word| word.owner() == Some(self.leases.seat))
    }

    fn is_task(&self, id: ObjectId) -> bool {
        self.word(id).is_some_and(Word::is_task)
    }

    /// The number of tasks that run, each with a CPU of its own.
    pub(super) fn running(&self) -> usize {
        let workers = self.clients.keys().filter_map(|id| id.worker());
        workers
            .filter(|worker| {
                let desk = self.desk(worker.client());
                desk.is_some_and(|desk| desk.current.load(Ordering::Acquire) != 0)
                    && !self.scheduler.is_blocked(*worker)
                    && self.scheduler.task_of(*worker).is_none()
            })
            .count()
    }
}

/// Whether a task that may be run again so often has had its last run.
pub(super) fn was_last_run(spec: &Spec, retries: u32) -> bool {
    retries != u32::MAX && u32::from(spec.attempt) >= retries.min(u32::from(u8::MAX))
}

/// How a run is that ended so.
fn state_after(cause: &Cause) -> TaskState {
    match cause {
        Cause::Panic { .. } | Cause::Error { .. } | Cause::Refused { .. } => TaskState::Failed,
        Cause::Signal { .. } | Cause::Exit { .. } | Cause::ActorDied { .. } => TaskState::WorkerDied,
        // Its result was there.
        Cause::ObjectLost { .. } => TaskState::Failed,
        Cause::Cancelled => TaskState::Cancelled,
    }
}

/// How a run of a task ended, for a notice.
pub(super) fn cause_in_a_word(cause: &Cause) -> String {
    match cause {
        Cause::Panic { message, .. } => format!("panicked: {message}"),
        Cause::Error { message } => format!("returned Err: {message}"),
        Cause::Signal { name, .. } => format!("lost its worker ({name})"),
        Cause::Exit { code } => format!("lost its worker (exit code {code})"),
        Cause::Refused { message } => format!("was refused: {message}"),
        Cause::Cancelled => "was cancelled".into(),
        Cause::ActorDied { actor, .. } => format!("lost its actor `{actor}`"),
        Cause::ObjectLost { reason } => format!("lost its result: {reason}"),
    }
}
