//! A worker's task: its function, its arguments, its result.

use super::buffers::Draft;
use super::claim::Claimed;
use super::current::call_here;
use super::state::{Running, State};
use super::{Client, Fallible, nonsense};
use crate::abi::{Cause, TaskState, View};
use crate::protocol::{Function, ObjectId, ToClient, ToHead};
use crate::store::{Arg, Body, Flags, Mailbox, Readiness, Run, Seat, Space, Step, TaskEvent, TaskKind, ticks};
use crate::sync::Ordering;

/// Why a task cannot begin.
pub(crate) enum Unfit {
    /// This argument failed.
    Carry(ObjectId),
    /// The task cannot be run; the message says why.
    Refused(String),
}

/// What a worker does when a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It looks for the next task.
    GoOn,
    /// It ends: it has run the function as often as it may, or was too late to keep from being killed.
    Exit,
    /// It is the process of the actor that it has made, with this mailbox.
    Actor(u32),
}

impl Client {
    /// The function of this number.
    pub(crate) fn known_function(&self, number: u32) -> Fallible<Option<Function>> {
        if let Some(function) = self.state().known.get(&number) {
            return Ok(Some(function.clone()));
        }
        match self.ask(|req| ToHead::Resolve { req, function: number })? {
            ToClient::Function { function, .. } => {
                if let Some(function) = &function {
                    self.state().known.insert(number, function.clone());
                }
                Ok(function)
            }
            _ => Err(nonsense()),
        }
    }

    /// Begins a task here, and opens views of its arguments.
    pub(crate) fn begin_task(&self, claimed: &Claimed, views: &mut Vec<View>) -> Result<(), Unfit> {
        // A worker that stood ready has mapped the arena of the time when it was started.
        let unmapped = |fault| Unfit::Refused(format!("the store's memory cannot be mapped: {fault:?}"));
        self.follow_arena().map_err(unmapped)?;
        let mut state = self.state();
        state.cell = claimed.spec.cell;
        state.running.push(Running { task: claimed.task, cell: claimed.spec.cell, result: None, failure: None });
        for arg in claimed.spec.args() {
            let id = match arg {
                Arg::Bytes(bytes) => {
                    views.push(state.view_copy(bytes));
                    continue;
                }
                Arg::Object(id) => id,
            };
            let gone = || {
                Unfit::Refused(format!(
                    "its argument, object {id}, is gone: keep an ObjectRef to it until the task is submitted"
                ))
            };
            let mut body = self.segment.body(id);
            if body.is_none() {
                // It is gone, or made again because it was lost.
                drop(state);
                let waited = self.until_made(id);
                waited.map_err(|fault| Unfit::Refused(format!("its argument is lost: {fault:?}")))?;
                (state, body) = (self.state(), self.segment.body(id));
            }
            match body {
                None => return Err(gone()),
                Some(Body::Failed) => return Err(Unfit::Carry(id)),
                Some(Body::Inline { len }) => {
                    // The task keeps the object, so it does not change while it is copied. The copy needs no pin.
                    let mut bytes = [0; crate::store::INLINE_BYTES];
                    self.segment.read_inline(id.slot(), len as usize, &mut bytes);
                    views.push(state.view_copy(&bytes[..len as usize]));
                }
                Some(Body::Arena { .. } | Body::Spilled { .. }) => {
                    drop(state);
                    match self.open(id) {
                        Ok(super::Opened::View(view)) => views.push(view),
                        Ok(super::Opened::NotReady) => return Err(gone()),
                        Err(fault) if matches!(*fault, crate::abi::Fault::Task(_)) => return Err(Unfit::Carry(id)),
                        Err(fault) => return Err(Unfit::Refused(format!("its argument cannot be read: {fault:?}"))),
                    }
                    state = self.state();
                }
            }
        }
        Ok(())
    }

    /// Takes a running task's result; ends the draft.
    pub fn result(&self, call: u64, draft: u64, contains: Vec<ObjectId>) {
        let mut state = self.state();
        let Some(draft) = state.drafts.remove(draft) else { return };
        // The function's own references may end before its result is sealed.
        for id in &contains {
            state.retain(*id);
        }
        let unused = match state.running.iter_mut().find(|running| running.task.0 == call) {
            Some(running) => running.result.replace((draft, contains)),
            // A second result, or one for a task that does not run here: no process will ever have these bytes.
            _ => Some((draft, contains)),
        };
        if let Some((draft, contains)) = unused {
            drop(state);
            self.discard_result(draft, &contains);
        }
    }

    /// Takes a running task's failure.
    pub fn fail(&self, call: u64, cause: Cause) {
        if let Some(running) = self.state().running.iter_mut().find(|running| running.task.0 == call) {
            running.failure = Some(bounded(cause));
        }
    }

    /// Ends a task that has returned or could not be called: seals its result, or reports its failure.
    pub(crate) fn end_task(&self, claimed: &Claimed, called: Result<(), Unfit>) -> Next {
        let desk = self.segment.desk(self.seat);
        if desk.wrote.load(Ordering::Acquire) != 0 {
            // The task's output is delivered before its result is visible. A head that is gone delivers nothing.
            let _ = self.ask(|req| ToHead::Wrote { req });
        }
        let (running, other) = self.state().end_running(claimed.task);
        let (result, failure) = running.map_or((None, None), |running| (running.result, running.failure));
        let refusal = match called {
            Ok(()) => None,
            Err(Unfit::Refused(message)) => Some(Cause::Refused { message }),
            Err(Unfit::Carry(_)) if claimed.is_again => {
                Some(Cause::Refused { message: "an argument of its constructor is lost".into() })
            }
            Err(Unfit::Carry(object)) => {
                self.tell(&ToHead::Carry { task: claimed.task, object });
                return self.done(claimed, other, None);
            }
        };
        let mut made = None;
        let mailbox = match claimed.spec.kind {
            TaskKind::Creation { mailbox } => Some(mailbox),
            _ => None,
        };
        let was_begun = refusal.is_none();
        match (refusal.or(failure), result) {
            (None, Some((draft, contains))) if claimed.is_again => {
                self.discard_result(draft, &contains);
                made = mailbox;
            }
            (None, Some((draft, contains))) => {
                if !self.succeed(claimed, draft, contains) {
                    return Next::Exit;
                }
                made = mailbox;
            }
            (cause, result) => {
                if let Some((draft, contains)) = result {
                    self.discard_result(draft, &contains);
                }
                if matches!(cause, Some(Cause::Cancelled)) {
                    // It may have changed the state as no run of it will again.
                    self.checkpoint_soon(claimed);
                } else if was_begun {
                    self.log_call(claimed);
                }
                let silent = || Cause::Refused { message: "the task returned without a result".into() };
                let cause = cause.unwrap_or_else(silent);
                // Waits for the answer, so that the next task's output is not taken for this one's.
                let _ = self.ask(|req| ToHead::Failed { req, task: claimed.task, cause });
            }
        }
        self.done(claimed, other, made)
    }

    /// `other` is another task that runs here, and `made` the mailbox of the actor that the task has made.
    fn done(&self, claimed: &Claimed, other: u64, made: Option<u32>) -> Next {
        if other == 0 {
            // Loans are a process's, and may be those of its other calls.
            self.end_loans();
        }
        self.segment.desk(self.seat).current.store(other, Ordering::Release);
        if let Some(mailbox) = made {
            self.tell(&ToHead::Settled);
            return Next::Actor(mailbox);
        }
        let is_enough = claimed.spec.options != 0 && self.has_run_enough(claimed);
        if claimed.spec.is_shaped() && !claimed.spec.kind.is_call() && !is_enough {
            self.end_assigned(claimed.spec.options);
        }
        if is_enough { Next::Exit } else { Next::GoOn }
    }

    fn has_run_enough(&self, claimed: &Claimed) -> bool {
        let options = claimed.spec.options;
        let known = self.state().calls_max.get(&options).copied();
        let max = known.unwrap_or_else(|| match self.ask(|req| ToHead::CallsMax { req, options }) {
            Ok(ToClient::Calls { max, .. }) => {
                self.state().calls_max.insert(options, max);
                max
            }
            _ => None,
        });
        let Some(max) = max else { return false };
        let mut state = self.state();
        let calls = state.calls.entry(claimed.spec.function).or_default();
        *calls += 1;
        *calls >= max
    }

    /// Throws away a result, and the references to what it contains.
    pub(super) fn discard_result(&self, draft: Draft, contains: &[ObjectId]) {
        let mut state = self.state();
        if let Some(run) = state.discard(draft) {
            state.arena.1.lock(run);
        }
        let said: Vec<_> = contains.iter().flat_map(|id| state.release(*id)).collect();
        drop(state);
        said.iter().for_each(|message| self.tell(message));
    }

    /// False if the task was cancelled, and the head kills this process: it may not begin another task.
    fn succeed(&self, claimed: &Claimed, draft: Draft, contains: Vec<ObjectId>) -> bool {
        let list = match self.list_space(&contains) {
            Ok(list) => list,
            Err(fault) => {
                self.discard_result(draft, &contains);
                self.log_call(claimed);
                let cause = Cause::Refused { message: format!("its result cannot be stored: {fault:?}") };
                let _ = self.ask(|req| ToHead::Failed { req, task: claimed.task, cause });
                return true;
            }
        };
        let mut state = self.state();
        let Succeeded { said, written, tells_head, is_sealed } = state.succeed(claimed, draft, &contains, list);
        let arena = written.is_some().then(|| state.arena.1.clone());
        drop(state);
        if let (Some(arena), Some(run)) = (arena, written) {
            arena.lock(run);
        }
        if tells_head {
            self.tell(&ToHead::Poke);
        }
        said.iter().for_each(|message| self.tell(message));
        is_sealed
    }
}

/// What is left to do when a result is sealed.
struct Succeeded {
    /// Messages to the head.
    said: Vec<ToHead>,
    /// A lease in which nothing is written any more.
    written: Option<Run>,
    /// Whether the head waits for the result.
    tells_head: bool,
    /// False when the head has failed the task.
    is_sealed: bool,
}

impl State {
    /// Seals the task's result, wakes its waiters, and releases what the task kept.
    fn succeed(
        &mut self,
        claimed: &Claimed,
        draft: Draft,
        contains: &[ObjectId],
        list: Option<(u32, Space)>,
    ) -> Succeeded {
        let segment = self.segment();
        let (task, seat) = (claimed.task, self.leases.seat);
        let index = task.slot();
        let mut flags = Flags::empty();
        self.leases.moves();
        let (mut from, mut len) = (None, 0);
        match &draft {
            Draft::Private(private) => {
                segment.write_inline(index, private.bytes());
                len = private.bytes().len() as u8;
            }
            Draft::Shared { slot, space, len: bytes } => {
                let shown = segment.slot(index);
                shown.offset.store(space.offset, Ordering::Relaxed);
                shown.len.store(*bytes, Ordering::Relaxed);
                shown.home.store(space.home, Ordering::Relaxed);
                flags |= Flags::ARENA;
                from = Some((*slot, *space));
            }
        }
        if !contains.is_empty() {
            for id in contains {
                segment.hold(*id);
            }
            segment.set_contained(index, contains, list.map(|(_, space)| space));
            flags |= Flags::CONTAINS;
        }
        let is_creation = matches!(claimed.spec.kind, TaskKind::Creation { .. });
        if is_creation {
            // The actor may have to be made again: what its constructor was given is kept as long as it is.
            debug_assert!(contains.is_empty(), "what stands for an actor has no references of its own");
            let given: Vec<ObjectId> = claimed.spec.objects().collect();
            segment.set_contained(index, &given, None);
            flags |= if given.is_empty() { Flags::ACTOR } else { Flags::ACTOR | Flags::CONTAINS };
        }
        let log = self.log_for(claimed);
        if let Some(mailbox) = log {
            segment.log_call(mailbox, task);
            flags |= Flags::ARGS;
        }
        // Before whoever waits for the result can ask what became of the task.
        segment.record(seat, &self.finished(claimed));
        let is_wanted = segment.finish(seat, task, flags, len);
        let sealed = is_wanted.is_some();
        // Right behind the sealing, so that no process waits for what follows.
        let tells_head = segment.tell_waiters(index);
        let waiting = segment.take_list(index);
        let mut written = None;
        let mut loose = Vec::new();
        if sealed {
            if let Some((slot, space)) = from {
                // For a moment the room is counted once and visible in two slots; an audit leaves such a count alone.
                segment.move_within(space.home);
                segment.step(slot, |word, by| word.after(Step::Discard { by }), seat);
                self.leases.keep_slot(slot);
                written = self.written(space.home);
            }
            self.give_list_away(list);
            self.go_on(waiting, seat);
            let keeps_given = is_creation || log.is_some();
            loose.extend(claimed.spec.objects().filter(|id| !keeps_given && segment.unhold(*id)));
        } else {
            // The task was cancelled, and did not end within its time.
            loose.extend(contains.iter().copied().filter(|id| segment.unhold(*id)));
        }
        self.leases.moved();
        match draft {
            Draft::Private(private) => self.spares.give(private),
            shared if !sealed => written = self.discard(shared),
            Draft::Shared { .. } => {}
        }
        let mut said = self.tell_stranded();
        for id in contains {
            said.extend(self.release(*id));
        }
        if is_wanted == Some(false) {
            loose.push(task);
        }
        if !loose.is_empty() {
            said.extend(self.collect(loose));
        }
        Succeeded { said, written, tells_head, is_sealed: sealed }
    }

    /// The end of a run that gives a result now.
    fn finished(&self, claimed: &Claimed) -> TaskEvent {
        let pid = self.segment().desk(self.leases.seat).pid.load(Ordering::Relaxed);
        let event = TaskEvent::of(claimed.task, &claimed.spec, TaskState::Finished);
        TaskEvent { pid, began: claimed.began, ended: ticks(), ..event }
    }

    /// Takes a task that ran here, and another one that still does; 0 for none.
    pub(super) fn end_running(&mut self, task: ObjectId) -> (Option<Running>, u64) {
        let index = self.running.iter().position(|running| running.task == task);
        let ended = index.map(|index| self.running.swap_remove(index));
        (ended, self.running.last().map_or(0, |running| running.task.0))
    }

    /// The cell of the task that this thread works for.
    pub(super) fn cell_here(&self) -> u64 {
        let task = self.task_here();
        self.running.iter().find(|running| Some(running.task) == task).map_or(self.cell, |running| running.cell)
    }

    /// The task that this thread works for, as far as is known.
    pub(super) fn task_here(&self) -> Option<ObjectId> {
        call_here().or(match self.running.as_slice() {
            [running] => Some(running.task),
            _ => None,
        })
    }

    /// The folder of the task that this thread works for; empty for that of the runtime's owner.
    pub(super) fn folder_here(&self) -> String {
        let number = self.task_here().map(|task| self.segment().read_spec(task.slot()).function);
        let function = number.and_then(|number| self.known.get(&number));
        function.map_or_else(String::new, |function| function.folder.clone())
    }

    /// Goes on with tasks whose awaited object is ready: each can run now, or waits for its next argument.
    pub(super) fn go_on(&mut self, mut tasks: Vec<ObjectId>, seat: Seat) {
        let segment = self.segment();
        let mut index = 0;
        while let Some(task) = tasks.get(index).copied() {
            index += 1;
            let spec = segment.read_spec(task.slot());
            if segment.slot(task.slot()).word().generation() != task.generation()
                || segment.ready_or_listed(task, &spec, seat, &mut tasks) != Readiness::Ready
            {
                continue;
            }
            let is_stranded = match spec.kind {
                TaskKind::Call { mailbox, .. } => !self.wake_call(mailbox),
                TaskKind::Normal if spec.is_shaped() => !segment.hand_over(spec.options, task),
                _ => spec.is_shaped() || !segment.push(&self.leases, task),
            };
            if is_stranded {
                self.stranded.push(task);
            }
        }
    }

    /// Tells the actor of a call that the call is ready. False if the actor is dead.
    fn wake_call(&self, mailbox: u32) -> bool {
        self.segment().call_woke(mailbox);
        self.segment().mailbox(mailbox).state.load(Ordering::Acquire) != Mailbox::DEAD
    }
}

/// The longest message of a failure, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The cause, with its message cut to `MESSAGE_BYTES_MAX`.
fn bounded(mut cause: Cause) -> Cause {
    let (Cause::Panic { message, .. } | Cause::Error { message } | Cause::Refused { message }) = &mut cause else {
        return cause;
    };
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    cause
}
