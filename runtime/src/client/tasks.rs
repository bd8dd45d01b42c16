//! Submitting tasks.

use super::buffers::Draft;
use super::state::State;
use super::{Client, Fallible, ended, no_draft, nonsense, refused};
use crate::protocol::{Function, ObjectId, SessionId, ToClient, ToHead};
use crate::store::{ARGS_MAX, Arg, CONTAINED_INLINE, NoRoom, Readiness, Run, SHAPED, Space, Spec, TaskKind, ticks};
use crate::sync::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// An argument of a task that is being submitted.
#[derive(Clone, Debug)]
pub enum Input {
    /// An object.
    Ref(ObjectId),
    /// A draft, and the objects that it refers to.
    Draft(u64, Vec<ObjectId>),
}

/// Functions under names of their own whose numbers a process remembers.
const NAMED_MAX: usize = 10_000;

/// How often a process whose ring is full checks it.
const RING_LOOK: Duration = Duration::from_micros(100);

/// A task's function, its options, and what an actor has to do with it.
#[derive(Clone, Copy)]
struct What {
    function: u32,
    options: u16,
    kind: TaskKind,
}

/// The result of an attempt to submit.
struct Try {
    /// The task, and whether a worker can take it now. `None` when there was no slot.
    submitted: Option<(ObjectId, bool)>,
    /// Objects that were made for arguments. This process refers to them until the task keeps them, or the attempt has failed.
    anonymous: Vec<ObjectId>,
    /// Leases in which nothing is written any more.
    written: Vec<Run>,
}

impl Client {
    /// The number of the function whose trampoline is at `address` in this process, under a name of its own if `name` is not empty; `find`
    /// finds the function the first time.
    ///
    /// # Errors
    /// The error of `find`, or the runtime is gone.
    pub fn function(
        &self,
        address: usize,
        name: &Arc<str>,
        find: impl FnOnce() -> Fallible<Function>,
    ) -> Fallible<u32> {
        let known = {
            let state = self.state();
            if name.is_empty() {
                state.functions.get(&address).copied()
            } else {
                state.named.get(&(address, Arc::clone(name))).copied()
            }
        };
        if let Some(number) = known {
            return Ok(number);
        }
        let mut function = find()?;
        if self.is_worker() {
            function.folder = self.state().folder_here();
        } else if self.session != SessionId::OWNER {
            // The runtime was started elsewhere, and paths of a cell are meant from the cell's folder.
            let folder = std::env::current_dir().unwrap_or_default();
            function.folder = folder.to_str().unwrap_or_default().to_owned();
        }
        match self.ask(|req| ToHead::Intern { req, function })? {
            ToClient::Interned { function, .. } => {
                let mut state = self.state();
                if name.is_empty() {
                    state.functions.insert(address, function);
                } else {
                    // A program that names each task anew would fill it.
                    if state.named.len() >= NAMED_MAX {
                        state.named.clear();
                    }
                    state.named.insert((address, Arc::clone(name)), function);
                }
                Ok(function)
            }
            _ => Err(nonsense()),
        }
    }

    /// Forgets the numbers of functions: from now on they run in another folder.
    pub(crate) fn forget_functions(&self) {
        let mut state = self.state();
        state.functions.clear();
        state.named.clear();
    }

    /// Submits a task; the caller has one reference to its result. The drafts end here, also when it fails.
    ///
    /// # Errors
    /// No such draft, no room, or this process is not connected any more.
    pub fn submit(&self, function: u32, options: u16, kind: TaskKind, args: &[Input]) -> Fallible<ObjectId> {
        let what = What { function, options, kind };
        let submitted = self.heed_interrupt().and_then(|()| self.try_submit(what, args));
        if submitted.is_err() {
            for arg in args {
                if let Input::Draft(draft, _) = arg {
                    self.discard(*draft);
                }
            }
        }
        submitted
    }

    fn try_submit(&self, what: What, args: &[Input]) -> Fallible<ObjectId> {
        if args.len() > ARGS_MAX {
            return Err(refused(format!("a task takes at most {ARGS_MAX} arguments, and this one has {}", args.len())));
        }
        // Long lists of contained objects need room of their own, which may have to be waited for.
        let mut lists: [Option<(u32, Space)>; ARGS_MAX] = [None; ARGS_MAX];
        let submitted = self.submit_with(what, args, &mut lists);
        // Lists that no object has taken over.
        lists.into_iter().flatten().for_each(|list| self.discard_list(list));
        submitted
    }

    fn submit_with(
        &self,
        what: What,
        args: &[Input],
        lists: &mut [Option<(u32, Space)>; ARGS_MAX],
    ) -> Fallible<ObjectId> {
        let What { function, options, kind } = what;
        for (list, arg) in lists.iter_mut().zip(args) {
            if let Input::Draft(_, refs) = arg
                && refs.len() > CONTAINED_INLINE
            {
                *list = self.list_space(refs)?;
            }
        }
        let header = self.segment.header();
        let mut state = self.state();
        // Checked again under the lock, because another thread may have been faster.
        while kind == TaskKind::Normal && !self.segment.has_room(&state.leases) {
            drop(state);
            self.wait_for_ring()?;
            state = self.state();
        }
        self.be_active();
        let tried = state.try_submit(what, args, lists)?;
        let Try { submitted, anonymous, written } = tried;
        let mut said = Vec::new();
        for id in anonymous {
            said.extend(state.release(id));
        }
        let stranded = kind == TaskKind::Normal && options & SHAPED == 0 && !state.stranded.is_empty();
        said.extend(state.tell_stranded());
        let arena = (!written.is_empty()).then(|| state.arena.1.clone());
        drop(state);
        if let Some(arena) = arena {
            written.into_iter().for_each(|run| arena.lock(run));
        }
        if stranded || submitted.is_some_and(|(_, is_ready)| is_ready) {
            self.segment.work_came();
        }
        said.iter().for_each(|message| self.tell(message));
        let Some((task, _)) = submitted else { return Err(self.no_slots()) };
        match kind {
            TaskKind::Normal => {}
            TaskKind::Creation { mailbox } => self.tell(&ToHead::Spawned { mailbox, task }),
            TaskKind::Call { mailbox, .. } => {
                self.send_call(mailbox, task)?;
                return Ok(task);
            }
        }
        if header.unserved.load(Ordering::Relaxed) != 0 {
            self.tell(&ToHead::Unserved { function });
        }
        Ok(task)
    }

    /// Waits until workers have taken something out of the full ring. A task that waits so lends its CPU to one of them.
    fn wait_for_ring(&self) -> Fallible<()> {
        let _blocked = self.blocked();
        let _lending = self.lend_cpu();
        loop {
            if self.is_interrupted() {
                return Err(self.interruption());
            }
            if self.segment.header().closed.load(Ordering::Relaxed) != 0 {
                return Err(ended());
            }
            if self.segment.has_room(&self.state().leases) {
                return Ok(());
            }
            self.segment.work_came();
            std::thread::sleep(RING_LOOK);
        }
    }
}

impl State {
    fn try_submit(
        &mut self,
        what: What,
        args: &[Input],
        lists: &mut [Option<(u32, Space)>; ARGS_MAX],
    ) -> Fallible<Try> {
        let mut spec = Spec::new(what.function, self.cell_here());
        (spec.options, spec.kind) = (what.options, what.kind);
        if let TaskKind::Call { caller, .. } = &mut spec.kind {
            // A worker's calls are ordered by the task that makes them, those of any other process by the process.
            let is_process = self.is_actor || self.running.is_empty();
            *caller = is_process.then_some(self.leases.seat);
        }
        (spec.parent, spec.submitted) = (self.task_here(), ticks());
        let (mut anonymous, mut written) = (Vec::new(), Vec::new());
        let is_missing =
            |state: &State, arg: &Input| matches!(arg, Input::Draft(draft, _) if !state.drafts.has(*draft));
        if args.iter().any(|arg| is_missing(self, arg)) {
            return Err(no_draft());
        }
        for (index, arg) in args.iter().enumerate() {
            let left = args.len() - index - 1;
            let (draft, refs) = match arg {
                Input::Ref(id) => {
                    spec.push(Arg::Object(*id), left);
                    continue;
                }
                Input::Draft(draft, refs) => (*draft, refs),
            };
            let Some(draft) = self.drafts.remove(draft) else { return Err(no_draft()) };
            if let Draft::Private(private) = &draft
                && refs.is_empty()
                && spec.push(Arg::Bytes(private.bytes()), left)
            {
                self.written_private(draft);
                continue;
            }
            // A value that is too large for the description becomes an object that only the task keeps.
            match self.seal(draft, refs, lists[index].take()) {
                Ok((id, run)) => {
                    anonymous.push(id);
                    written.extend(run);
                    spec.push(Arg::Object(id), left);
                }
                Err(_) => return Ok(Try { submitted: None, anonymous, written }),
            }
        }
        let slot = match self.leases.slot() {
            Ok(slot) => slot,
            Err(NoRoom::Slots | NoRoom::Units(_)) => return Ok(Try { submitted: None, anonymous, written }),
        };
        let segment = self.segment();
        segment.write_spec(slot, &spec);
        let holds = spec.objects().next().is_some();
        let mut late = Vec::new();
        if holds {
            self.leases.moves();
            for id in spec.objects() {
                segment.hold(id);
            }
        }
        let submitted = segment.submit(&self.leases, slot, &spec, &mut late);
        let is_ready = match submitted {
            Some(_) if spec.kind.is_call() => false,
            Some((task, Readiness::Ready)) if spec.is_shaped() => {
                if spec.kind != TaskKind::Normal || !segment.hand_over(spec.options, task) {
                    self.stranded.push(task);
                }
                false
            }
            Some((task, Readiness::Ready)) => segment.push(&self.leases, task),
            _ => false,
        };
        if !late.is_empty() {
            self.go_on(late, self.leases.seat);
        }
        if holds {
            self.leases.moved();
        }
        let Some((task, _)) = submitted else { return Err(nonsense()) };
        self.handles.insert(task);
        Ok(Try { submitted: Some((task, is_ready)), anonymous, written })
    }

    /// Leaves tasks that lie in no ring for the head. Returns the messages that it needs for that.
    pub(super) fn tell_stranded(&mut self) -> Vec<ToHead> {
        let (segment, seat) = (self.segment(), self.leases.seat);
        let mut is_left = false;
        let mut said = Vec::new();
        for task in self.stranded.drain(..) {
            // An actor's must not be there before the message that says more of it.
            if segment.task_kind(task.slot()) == TaskKind::Normal && segment.strand(seat, task) {
                is_left = true;
            } else {
                said.push(ToHead::Strand { task });
            }
        }
        if is_left && segment.strands_are_news() {
            said.push(ToHead::Stranded);
        }
        said
    }

    fn written_private(&mut self, draft: Draft) {
        if let Draft::Private(private) = draft {
            self.spares.give(private);
        }
    }
}
