//! Actors: their mailboxes, names, deaths and restarts.
//!
//! ```text
//!   Spawn ─▶ mailbox ─▶ creation task ─▶ Settled: its worker is the actor's process ─▶ the last handle is gone: it ends by itself
//!                           ▲                                   │ dies
//!                           └───── restarts left ───────────────┴───── none left, `kill` ─▶ dead: its calls fail
//! ```
//!
//! An actor is known by the object that its creation task makes, which stands for it: handles are references to that object, so the actor
//! ends when they do. Calls go from process to process (`store/mailbox.rs`); nothing here is on their way.
//!
//! # Invariants
//! - A dead actor's mailbox is marked before its calls are failed, so that a caller who sends one more sees the mark, or the head the call.
//! - A mailbox is used again only when the object that stood for its actor is gone: nobody can have a handle.

use super::Head;
use super::groups::is_later;
use super::lines::Label;
use super::tasks::{Blame, cause_in_a_word};
use crate::abi::{ActorEntry, ActorState, Cause, Failure, Fault, NamedActor, TaskOptions};
use crate::client::Fallible;
use crate::protocol::{ClientId, ObjectId, Request, SessionId, ToClient, WorkerId};
use crate::scheduler::{Event, ProgramId};
use crate::store::{Flags, MAILBOXES, Mailbox, State, TaskKind, Word};
use crate::sync::{Ordering, fence};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// How many restarts of an actor are told.
const RESTARTS_TOLD_MAX: u32 = 20;

/// How many of an actor's last lines are shown when it has died.
const LINES_KEPT: usize = 5;

/// An actor, or one that is about to be made.
#[derive(Debug)]
struct Actor {
    /// The object that stands for it, once the task that makes it has been submitted.
    object: Option<ObjectId>,
    /// The client that submits that task.
    by: ClientId,
    name: Option<String>,
    /// Where the name stands for it.
    namespace: String,
    is_detached: bool,
    type_id: u64,
    type_name: String,
    is_stream: bool,
    /// The cell that made it.
    cell: u64,
    /// The number of its options.
    options: u16,
    /// Whether the head itself refers to the object while the actor lives.
    is_kept: bool,
    /// Whether it does while the actor is made again, so that what makes it is not freed.
    is_restarting: bool,
    restarts: u32,
    death: Option<Death>,
    /// The last lines that it wrote to standard error.
    lines: VecDeque<String>,
    /// Who wants an actor of this name, and would take this one.
    wanted_by: Vec<(ClientId, Request, TaskOptions)>,
}

impl Actor {
    /// What a person calls it.
    fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.type_name)
    }
}

/// How an actor ended.
#[derive(Clone, Debug)]
struct Death {
    cause: Cause,
    pid: u32,
}

/// All actors of a runtime.
#[derive(Debug, Default)]
pub(super) struct Actors {
    by_mailbox: BTreeMap<u32, Actor>,
    /// Living actors with a name.
    /// By namespace and name.
    names: HashMap<(String, String), u32>,
    /// Workers that make an actor or are its process.
    by_worker: HashMap<WorkerId, u32>,
    /// Calls for whose mailboxes there was no room.
    pub undelivered: VecDeque<ObjectId>,
}

/// What becomes of an actor whose process is gone.
pub(super) enum Fate {
    /// It is made again.
    Restarts(u32),
    /// Nobody can have a handle of it, and its calls have ended.
    Left(u32),
    /// Nothing more is to be done.
    Over,
}

impl Head {
    /// Gives a client a mailbox for the actor that it is about to make, or the actor that there is.
    pub(super) fn spawn(&mut self, from: ClientId, req: Request, mut options: TaskOptions) {
        let name = options.name.clone();
        let namespace = self.namespace_of(self.session_of(from));
        if let Some(mailbox) = name.as_deref().and_then(|name| self.mailbox_named(&namespace, name))
            && let Some(known) = self.actors.by_mailbox.get_mut(&mailbox)
        {
            let is_same = known.type_id == options.actor.type_id;
            let answer = match known.object {
                Some(id) if options.actor.gets_existing && is_same => ToClient::Existing { req, id },
                None if options.actor.gets_existing && is_same => return known.wanted_by.push((from, req, options)),
                _ => {
                    let (name, kind) = (name.unwrap_or_default(), &known.type_name);
                    let instead = match is_same {
                        true => "take it with `get_if_exists`, or end it with `kill`",
                        false => "give the new one another name, or end the old one with `kill`",
                    };
                    let message = format!("there is an actor named `{name}` already, a `{kind}`: {instead}");
                    ToClient::Refused { req, fault: Fault::Refused { message } }
                }
            };
            return self.send(from, &answer);
        }
        options.name = None;
        let (type_id, type_name) = (options.actor.type_id, options.actor.type_name.clone());
        let is_detached = options.actor.is_detached;
        let is_kept = name.is_some() || is_detached;
        let is_stream = options.actor.is_stream;
        let threads = options.actor.max_concurrency.unwrap_or(1);
        let checkpoint_interval = options.actor.checkpoint_interval.unwrap_or(0);
        let numbered = self.number_of_options(from, options);
        let free = self.free_mailbox().ok_or_else(|| format!("there are {MAILBOXES} actors, and no room for more"));
        let (options, mailbox) = match numbered.and_then(|options| Ok((options, free?))) {
            Ok(both) => both,
            Err(message) => return self.send(from, &ToClient::Refused { req, fault: Fault::Refused { message } }),
        };
        self.release_log(mailbox);
        self.segment.reset_mailbox(mailbox, threads, checkpoint_interval);
        if let Some(name) = &name {
            self.actors.names.insert((namespace.clone(), name.clone()), mailbox);
        }
        let actor = Actor {
            object: None,
            by: from,
            name,
            namespace,
            is_detached,
            type_id,
            type_name,
            is_stream,
            cell: 0,
            options,
            is_kept,
            is_restarting: false,
            restarts: 0,
            death: None,
            lines: VecDeque::new(),
            wanted_by: Vec::new(),
        };
        self.actors.by_mailbox.insert(mailbox, actor);
        self.send(from, &ToClient::Mailbox { req, mailbox, options });
    }

    /// A mailbox that no actor has.
    fn free_mailbox(&mut self) -> Option<u32> {
        let is_free = |head: &Head, mailbox: &u32| !head.actors.by_mailbox.contains_key(mailbox);
        if let Some(free) = (0..MAILBOXES).find(|mailbox| is_free(self, mailbox)) {
            return Some(free);
        }
        let segment = self.segment.clone();
        let busy: HashSet<u32> = self.actors.by_worker.values().copied().collect();
        let is_over = |actor: &Actor| actor.death.is_some() && actor.object.is_some_and(|id| !segment.exists(id));
        self.actors.by_mailbox.retain(|mailbox, actor| busy.contains(mailbox) || !is_over(actor));
        (0..MAILBOXES).find(|mailbox| is_free(self, mailbox))
    }

    /// The task that makes an actor has been submitted.
    pub(super) fn spawned(&mut self, from: ClientId, mailbox: u32, task: ObjectId) {
        let is_it = self.segment.task_kind(task.slot()) == TaskKind::Creation { mailbox };
        if is_it && self.actors.by_mailbox.get(&mailbox).is_some_and(|actor| actor.by == from) {
            self.know_object(mailbox, task);
        }
    }

    /// Notes which object stands for an actor.
    fn know_object(&mut self, mailbox: u32, task: ObjectId) {
        let Some(actor) = self.actors.by_mailbox.get_mut(&mailbox).filter(|actor| actor.object.is_none()) else {
            return;
        };
        actor.object = Some(task);
        actor.cell = self.segment.read_spec(task.slot()).cell;
        let is_detached = actor.is_detached;
        let (is_kept, wanted_by) = (actor.is_kept && actor.death.is_none(), std::mem::take(&mut actor.wanted_by));
        if is_kept {
            let is_there = self.refer(task);
            if let Some(actor) = self.actors.by_mailbox.get_mut(&mailbox) {
                actor.is_kept = is_there;
            }
        }
        for (client, req, _) in wanted_by {
            self.send(client, &ToClient::Existing { req, id: task });
        }
        if is_detached {
            self.keep_code();
        }
    }

    fn living_detached(&self) -> impl Iterator<Item = (u32, &Actor)> {
        let living = self.actors.by_mailbox.iter().filter(|(_, actor)| actor.is_detached && actor.death.is_none());
        living.map(|(mailbox, actor)| (*mailbox, actor))
    }

    /// Whether there are actors that outlive their sessions.
    pub(super) fn has_detached_actors(&self) -> bool {
        self.living_detached().next().is_some()
    }

    /// The programs that are made again for those.
    pub(super) fn programs_of_detached_actors(&self) -> Vec<ProgramId> {
        let options = self.living_detached().filter_map(|(_, actor)| self.options.get(actor.options));
        options.filter_map(|known| known.program).collect()
    }

    /// The functions by which those would be made again.
    pub(super) fn functions_of_detached_actors(&self) -> Vec<u32> {
        let tasks = self.living_detached().flat_map(|(mailbox, actor)| {
            let calls = self.segment.log_of(mailbox).calls;
            actor.object.into_iter().chain(calls).chain(self.unbegun_calls(mailbox))
        });
        tasks.map(|task| self.segment.read_spec(task.slot()).function).collect()
    }

    /// A client will not make the actor that it has a mailbox for.
    pub(super) fn unspawned(&mut self, from: ClientId, mailbox: u32) {
        let actor = self.actors.by_mailbox.get(&mailbox);
        if actor.is_some_and(|actor| actor.by == from && actor.object.is_none()) {
            self.forget_actor(mailbox);
        }
    }

    /// Puts calls into their mailboxes that lie in none: their callers have died in between.
    pub(super) fn redeliver_calls(&mut self) {
        if self.actors.by_mailbox.is_empty() {
            return;
        }
        let mailboxes = self.actors.by_mailbox.keys();
        let placed: HashSet<ObjectId> = mailboxes.flat_map(|mailbox| self.segment.placed_calls(*mailbox)).collect();
        let unbegun = self.slots_with(Word::is_unbegun);
        for call in unbegun.into_iter().filter(|call| !placed.contains(call)) {
            if let TaskKind::Call { mailbox, .. } = self.segment.task_kind(call.slot()) {
                self.deliver_call(call, mailbox);
            }
        }
    }

    /// Forgets the actors that a client was about to make and will not.
    pub(super) fn forget_spawns_of(&mut self, client: ClientId) {
        let of_client = |(_, actor): &(&u32, &Actor)| actor.by == client && actor.object.is_none();
        let begun: Vec<u32> = self.actors.by_mailbox.iter().filter(of_client).map(|(mailbox, _)| *mailbox).collect();
        for mailbox in begun {
            // It may have submitted the task, and not have said so.
            let kind = TaskKind::Creation { mailbox };
            let submitted = self.slots_with(|word| word.is_task() || word.flags().contains(Flags::ACTOR));
            if let Some(task) = submitted.into_iter().find(|id| self.segment.task_kind(id.slot()) == kind) {
                self.spawned(client, mailbox, task);
            } else {
                self.forget_actor(mailbox);
            }
        }
        self.actors.by_mailbox.values_mut().for_each(|actor| actor.wanted_by.retain(|(by, ..)| *by != client));
    }

    /// Forgets an actor that nobody can have a handle of.
    fn forget_actor(&mut self, mailbox: u32) {
        let Some(actor) = self.actors.by_mailbox.remove(&mailbox) else { return };
        self.forget_name(&actor.namespace, actor.name.as_deref(), mailbox);
        for (client, req, options) in actor.wanted_by {
            self.spawn(client, req, options);
        }
    }

    fn forget_name(&mut self, namespace: &str, name: Option<&str>, mailbox: u32) {
        if let Some(name) = name.filter(|name| self.mailbox_named(namespace, name) == Some(mailbox)) {
            self.actors.names.remove(&(namespace.to_owned(), name.to_owned()));
        }
    }

    fn mailbox_named(&self, namespace: &str, name: &str) -> Option<u32> {
        self.actors.names.get(&(namespace.to_owned(), name.to_owned())).copied()
    }

    /// The mailbox of the actor that an object stands for, if it is known here.
    fn actor_of(&self, id: ObjectId) -> Option<u32> {
        let mailbox = self.word(id).and_then(|_| self.segment.mailbox_of_actor(id))?;
        self.actors.by_mailbox.get(&mailbox).filter(|actor| actor.object == Some(id)).map(|_| mailbox)
    }

    /// A worker is given this task: it may be to make an actor.
    pub(super) fn note_maker(&mut self, worker: WorkerId, task: ObjectId) {
        if let TaskKind::Creation { mailbox } = self.segment.task_kind(task.slot()) {
            self.know_object(mailbox, task);
            self.actors.by_worker.insert(worker, mailbox);
        }
    }

    /// A worker has ended its task, and is no actor's process.
    pub(super) fn forget_maker(&mut self, worker: WorkerId) {
        if let Some(mailbox) = self.actors.by_worker.remove(&worker)
            && self.is_dead(mailbox)
        {
            self.release_log(mailbox);
        }
    }

    /// The actor that a worker makes or is the process of.
    fn of_worker(&self, worker: WorkerId) -> Option<(u32, &Actor)> {
        let mailbox = *self.actors.by_worker.get(&worker)?;
        Some((mailbox, self.actors.by_mailbox.get(&mailbox)?))
    }

    /// A worker is an actor's process from now on.
    pub(super) fn settled(&mut self, worker: WorkerId) {
        let Some((mailbox, actor)) = self.of_worker(worker) else { return };
        let keeps = self.options.get(actor.options).map(|known| known.keeps);
        if let Some(keeps) = keeps {
            self.tell(Event::Settled(worker, keeps));
        }
        self.let_go(mailbox, false);
        // It may have been killed while it was made.
        if self.is_dead(mailbox) {
            self.end_worker(worker);
        }
    }

    fn is_dead(&self, mailbox: u32) -> bool {
        self.actors.by_mailbox.get(&mailbox).is_none_or(|actor| actor.death.is_some())
    }

    /// The process of an actor is gone. Called before what it left is settled, which asks whether the actor lives.
    pub(super) fn actor_lost(&mut self, worker: WorkerId, cause: &Cause, pid: u32) -> Option<Fate> {
        let mailbox = self.actors.by_worker.remove(&worker)?;
        let actor = self.actors.by_mailbox.get(&mailbox)?;
        let max = self.options.get(actor.options).map_or(0, |known| known.options.restarts());
        let (object, title) = (actor.object, actor.title().to_owned());
        if object.and_then(|object| self.word(object)).is_some_and(Word::is_task) {
            // It was not made yet: then it is a task like any other.
            return None;
        }
        let unended = self.segment.unlog_unended(mailbox);
        self.release_logged(unended);
        let shared = self.segment.mailbox(mailbox);
        shared.seat.store(0, Ordering::Release);
        // From here on its object stays, if it is still there.
        let is_leaving = shared.state.load(Ordering::Acquire) == Mailbox::LEFT
            // Not waited for: it is this thread that finishes for whoever has died over it.
            || object.and_then(|object| self.word(object)).is_none_or(|word| word.state() == State::Dying);
        if is_leaving || !object.is_some_and(|object| self.refer(object)) {
            // It has ended by itself; or it was killed over the calls that it had left, which fail.
            let why = cause_in_a_word(cause);
            let cause = match max {
                0 => cause.clone(),
                _ => Cause::Refused {
                    message: format!("it {why}, and was not started again, because no handle of it was left"),
                },
            };
            self.actor_dies(mailbox, cause, pid);
            return Some(Fate::Left(mailbox));
        }
        let actor = self.actors.by_mailbox.get_mut(&mailbox)?;
        if std::mem::replace(&mut actor.is_restarting, true) {
            // It was being made again already: the reason is the same.
            self.give_up(object.into_iter().collect());
        }
        let actor = self.actors.by_mailbox.get_mut(&mailbox)?;
        let cell = actor.cell;
        if actor.death.is_some() {
            self.release_log(mailbox);
            self.let_go(mailbox, true);
            return Some(Fate::Over);
        }
        if actor.restarts >= max {
            if max > 0 {
                let why = cause_in_a_word(cause);
                self.notice_of(cell, format!("actor `{title}` {why}; restart {max} of {max} was its last"));
            }
            self.actor_dies(mailbox, cause.clone(), pid);
            // Else the call that is lost with it announces it.
            let current = self.desk(worker.client()).map_or(0, |desk| desk.current.load(Ordering::Acquire));
            if self.word(ObjectId(current)).is_none_or(|word| word.state() != State::Running) {
                self.tell_death(mailbox);
            }
            return Some(Fate::Over);
        }
        actor.restarts += 1;
        let of = if max == u32::MAX { String::new() } else { format!(" of {max}") };
        let why = cause_in_a_word(cause);
        let said = format!("actor `{title}` {why}; restart {}{of}", actor.restarts);
        if actor.restarts <= RESTARTS_TOLD_MAX {
            self.notice_of(cell, said);
        }
        Some(Fate::Restarts(mailbox))
    }

    /// Makes an actor again whose process is gone, or forgets it. Called when what the process left is settled.
    pub(super) fn meet_fate(&mut self, fate: Option<Fate>) {
        match fate {
            Some(Fate::Restarts(mailbox)) => {
                let Some(actor) = self.actors.by_mailbox.get(&mailbox) else { return };
                let session = SessionId::of(actor.cell);
                let shape = self.options.get(actor.options).map(|known| known.shape);
                if let (Some(task), Some(shape)) = (actor.object, shape) {
                    self.tell(Event::Queued { task, shape, session });
                }
            }
            Some(Fate::Left(mailbox)) => {
                // Else somebody has got hold of it after all, and its calls fail.
                let object = self.actors.by_mailbox.get(&mailbox).and_then(|actor| actor.object);
                if object.is_none_or(|object| !self.segment.exists(object)) {
                    self.forget_actor(mailbox);
                }
            }
            Some(Fate::Over) | None => {}
        }
    }

    /// The task that was to make an actor has failed.
    pub(super) fn creation_failed(&mut self, task: ObjectId, failure: &Failure, is_carried: bool) {
        let TaskKind::Creation { mailbox } = self.segment.task_kind(task.slot()) else { return };
        self.know_object(mailbox, task);
        if self.actor_of(task) == Some(mailbox) {
            let cause = match is_carried {
                true => {
                    Cause::Refused { message: format!("task `{}` failed, whose result it was to take", failure.task) }
                }
                false => failure.cause.clone(),
            };
            self.actor_dies(mailbox, cause, failure.pid);
        }
    }

    /// Whether the worker makes an actor for the second time, or a later one.
    pub(super) fn makes_again(&self, worker: WorkerId, object: ObjectId) -> bool {
        let is_its = self.of_worker(worker).is_some_and(|(_, actor)| actor.object == Some(object));
        is_its && self.segment.stands_for_an_actor(object)
    }

    /// The constructor of an actor has failed, which had not failed before.
    pub(super) fn restart_failed(&mut self, object: ObjectId, mut cause: Cause, pid: u32) {
        let spec = self.segment.read_spec(object.slot());
        self.locate(spec.function, spec.cell, &mut cause);
        if let Some(mailbox) = self.actor_of(object).filter(|mailbox| !self.is_dead(*mailbox)) {
            self.actor_dies(mailbox, cause, pid);
            self.release_log(mailbox);
            self.tell_death(mailbox);
        }
    }

    /// An actor answers no calls any more; those that it has not begun fail.
    fn actor_dies(&mut self, mailbox: u32, cause: Cause, pid: u32) {
        let Some(actor) = self.actors.by_mailbox.get_mut(&mailbox).filter(|actor| actor.death.is_none()) else {
            return;
        };
        tracing::debug!(mailbox, ?cause, "actor died");
        actor.death = Some(Death { cause, pid });
        let is_detached = actor.is_detached;
        let (name, namespace) = (actor.name.clone(), actor.namespace.clone());
        self.forget_name(&namespace, name.as_deref(), mailbox);
        self.segment.mailbox(mailbox).state.store(Mailbox::DEAD, Ordering::Release);
        // Pairs with the fence in `send`.
        fence(Ordering::SeqCst);
        for call in self.unbegun_calls(mailbox) {
            self.fail_call(call, mailbox);
        }
        // Else its process may still write there.
        if !self.actors.by_worker.values().any(|of| *of == mailbox) {
            self.release_log(mailbox);
        }
        self.let_go(mailbox, true);
        if is_detached {
            self.release_code();
        }
    }

    /// Lets go of what an actor would be made from again. It has no process.
    fn release_log(&mut self, mailbox: u32) {
        let kept = self.segment.clear_log(mailbox);
        self.release_logged(kept);
    }

    fn release_logged(&mut self, logged: Vec<ObjectId>) {
        if !logged.is_empty() {
            self.leases.moves();
            let loose = self.segment.release_logged(logged);
            self.leases.moved();
            self.collect(loose);
        }
    }

    /// Gives the head's reference to an actor's object up: for good, or because it was only made again.
    fn let_go(&mut self, mailbox: u32, for_good: bool) {
        let Some(actor) = self.actors.by_mailbox.get_mut(&mailbox) else { return };
        let (was_kept, was_restarting) = (actor.is_kept, std::mem::take(&mut actor.is_restarting));
        actor.is_kept &= !for_good;
        let reasons = usize::from(was_restarting) + usize::from(was_kept && !actor.is_kept);
        if let Some(object) = actor.object {
            self.give_up(vec![object; reasons]);
        }
    }

    fn unbegun_calls(&self, of: u32) -> Vec<ObjectId> {
        let unbegun = self.slots_with(Word::is_unbegun);
        let is_its = |id: &ObjectId| matches!(self.segment.task_kind(id.slot()), TaskKind::Call { mailbox, .. } if mailbox == of);
        unbegun.into_iter().filter(is_its).collect()
    }

    /// Fails a call of a dead actor that has not begun. It is not announced: the actor's death was.
    fn fail_call(&mut self, call: ObjectId, mailbox: u32) {
        let Some(word) = self.word(call) else { return };
        let spec = self.segment.read_spec(call.slot());
        let (cause, pid) =
            self.death_of(mailbox).unwrap_or((Cause::Refused { message: "its actor is gone".into() }, 0));
        let blame = Blame::at_origin(self.failure_of(&spec, cause, pid));
        self.withdraw(call, word.state(), blame);
    }

    /// How an actor has died, for its calls.
    fn death_of(&self, mailbox: u32) -> Option<(Cause, u32)> {
        let actor = self.actors.by_mailbox.get(&mailbox)?;
        let death = actor.death.as_ref()?;
        Some((died(actor, &death.cause), death.pid))
    }

    /// Why a call fails whose actor's process was lost over it.
    pub(super) fn cause_for_call(&self, mailbox: u32, cause: Cause) -> Cause {
        if let Some((cause, _)) = self.death_of(mailbox) {
            return cause;
        }
        self.actors.by_mailbox.get(&mailbox).map_or(cause.clone(), |actor| died(actor, &cause))
    }

    /// How often a call may be run again after its actor's process was lost.
    pub(super) fn call_retries(&self, mailbox: u32) -> u32 {
        let living = self.actors.by_mailbox.get(&mailbox).filter(|actor| actor.death.is_none());
        let options = living.and_then(|actor| self.options.get(actor.options));
        options.map_or(0, |known| known.options.call_retries())
    }

    /// Announces the death of an actor that nobody else announces.
    fn tell_death(&mut self, mailbox: u32) {
        let object = self.actors.by_mailbox.get(&mailbox).and_then(|actor| actor.object);
        let (Some(object), Some((cause, pid))) = (object, self.death_of(mailbox)) else { return };
        let failure = self.failure_of(&self.segment.read_spec(object.slot()), cause, pid);
        self.announce(&Blame::at_origin(failure));
    }

    /// Puts a call that is ready into its actor's mailbox, or fails it if the actor is dead.
    pub(super) fn deliver_call(&mut self, call: ObjectId, mailbox: u32) {
        if self.is_dead(mailbox) {
            self.fail_call(call, mailbox);
        } else {
            if !self.segment.send(mailbox, call) {
                self.actors.undelivered.push_back(call);
            }
            // Also then: it may have its place already, and be ready now.
            self.segment.call_woke(mailbox);
        }
    }

    /// Tries again to put calls into mailboxes that were full.
    pub(super) fn deliver_undelivered(&mut self) {
        for call in std::mem::take(&mut self.actors.undelivered) {
            if self.word(call).is_some_and(|word| word.state() == State::Pending) {
                self.push(call);
            }
        }
    }

    /// A caller could not put a call into a mailbox.
    pub(super) fn unsent(&mut self, call: ObjectId) {
        let is_unbegun = self.word(call).is_some_and(Word::is_unbegun);
        match self.segment.task_kind(call.slot()) {
            TaskKind::Call { mailbox, .. } if is_unbegun && self.is_dead(mailbox) => self.fail_call(call, mailbox),
            TaskKind::Call { .. } if is_unbegun => drop(self.cancel(call)),
            _ => {}
        }
    }

    /// The living actor of this name, for a session.
    pub(super) fn named_actor(&self, session: SessionId, name: &str) -> Option<NamedActor> {
        let mailbox = self.mailbox_named(&self.namespace_of(session), name)?;
        let actor = self.actors.by_mailbox.get(&mailbox)?;
        Some(NamedActor { id: actor.object?.0, type_id: actor.type_id, type_name: actor.type_name.clone() })
    }

    /// How an actor is.
    pub(super) fn actor_state(&self, id: ObjectId) -> Option<ActorState> {
        let mailbox = self.actor_of(id)?;
        if self.is_dead(mailbox) {
            return Some(ActorState::Dead);
        }
        let seat = self.segment.mailbox(mailbox).seat.load(Ordering::Acquire).checked_sub(1);
        let client = self.clients.values().find(|client| client.seat.is_some_and(|it| Some(it.0.into()) == seat));
        Some(client.map_or(ActorState::Starting, |client| ActorState::Alive { pid: client.pid }))
    }

    /// The actors that there are, and the dead ones with handles, for a session.
    pub(super) fn actor_entries(&self, asker: SessionId) -> Vec<ActorEntry> {
        let is_there = |actor: &Actor| actor.object.filter(|object| self.segment.exists(*object));
        let shown = self.actors.by_mailbox.iter().filter(|(_, actor)| !actor.is_stream);
        let mut entries: Vec<ActorEntry> = shown
            .filter_map(|(mailbox, actor)| {
                let id = is_there(actor)?;
                Some(ActorEntry {
                    id: id.0,
                    type_name: actor.type_name.clone(),
                    name: actor.name.clone(),
                    state: self.actor_state(id).unwrap_or(ActorState::Dead),
                    session: SessionId::of(actor.cell).for_asker(asker),
                    cell: SessionId::number(actor.cell),
                    restarts: actor.restarts,
                    calls: if actor.death.is_some() { 0 } else { self.segment.calls_in(*mailbox) },
                    death: actor.death.as_ref().map(|death| cause_in_a_word(&death.cause)),
                })
            })
            .collect();
        entries.sort_by_key(|entry| entry.cell);
        entries
    }

    /// Ends an actor for good. False if it was dead already.
    pub(super) fn kill_actor(&mut self, id: ObjectId) -> Fallible<bool> {
        let Some(mailbox) = self.actor_of(id) else {
            return super::refuse("this handle is not that of an actor of this runtime".into());
        };
        if self.is_dead(mailbox) {
            return Ok(false);
        }
        if self.word(id).is_some_and(Word::is_task) {
            // Its constructor runs or waits.
            self.cancel_at_once(id);
            if self.is_dead(mailbox) || self.word(id).is_some_and(Word::is_task) {
                return Ok(true);
            }
            // It has come into being in this moment.
        }
        self.end_actor(id, Cause::Cancelled);
        Ok(true)
    }

    /// Ends an actor that was made, for this reason.
    pub(super) fn end_actor(&mut self, id: ObjectId, cause: Cause) {
        let Some(mailbox) = self.actor_of(id) else { return };
        let worker = self.actors.by_worker.iter().find(|(_, of)| **of == mailbox).map(|(worker, _)| *worker);
        let pid = worker.map_or(0, |worker| self.pool.pid(worker));
        self.tell(Event::Withdrawn(id));
        self.actor_dies(mailbox, cause, pid);
        if let Some(worker) = worker {
            self.end_worker(worker);
        }
    }

    /// Actors that a cell has made which was undone by a crash end, also those that live without a handle.
    pub(super) fn undo_actors_after(&mut self, cell: u64) {
        let made = self.actors.by_mailbox.values();
        let made = made.filter(|actor| is_later(actor.cell, cell) && actor.death.is_none());
        let undone: Vec<ObjectId> = made.filter_map(|actor| actor.object).collect();
        for object in undone {
            // They were asked for by nobody that there is.
            let _ = self.kill_actor(object);
        }
    }

    /// The actors of a session that ends, but for the detached ones. Calls of handles that others have fail.
    pub(super) fn end_actors_of(&mut self, session: SessionId) {
        let is_its =
            |actor: &&Actor| SessionId::of(actor.cell) == session && !actor.is_detached && actor.death.is_none();
        let its: Vec<ObjectId> =
            self.actors.by_mailbox.values().filter(is_its).filter_map(|actor| actor.object).collect();
        for object in its {
            let _ = self.kill_actor(object);
        }
    }

    /// All actors end with the runtime's workers.
    pub(super) fn end_actors(&mut self, why: &str) {
        let all: Vec<u32> = self.actors.by_mailbox.keys().copied().collect();
        for mailbox in all {
            self.actor_dies(mailbox, Cause::Refused { message: why.into() }, 0);
        }
    }

    /// Keeps what an actor writes, for when it dies.
    pub(super) fn note_line(&mut self, worker: WorkerId, label: &Label, text: &str) {
        let mailbox = self.actors.by_worker.get(&worker);
        let Some(actor) = mailbox.and_then(|mailbox| self.actors.by_mailbox.get_mut(mailbox)) else { return };
        for line in text.lines() {
            actor.lines.push_back(format!("{}{line}", label.prefix()));
            if actor.lines.len() > LINES_KEPT {
                actor.lines.pop_front();
            }
        }
    }

    /// Whose output it is that an actor's process writes between two calls.
    pub(super) fn actor_label(&self, worker: WorkerId) -> Option<(String, u64)> {
        let (_, actor) = self.of_worker(worker)?;
        Some((actor.title().to_owned(), actor.cell))
    }
}

fn died(actor: &Actor, cause: &Cause) -> Cause {
    if actor.is_stream {
        return cause.clone();
    }
    let output = actor.lines.iter().cloned().collect();
    Cause::ActorDied { actor: actor.title().to_owned(), death: Box::new(cause.clone()), output }
}
