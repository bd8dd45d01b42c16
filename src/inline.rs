//! A runtime that runs each task in the thread that submits it: for tests, examples and a debugger.
//!
//! ```text
//!   f.remote(…) ─▶ the arguments' bytes ─▶ the task, here and now ─▶ its result's bytes ─▶ ObjectRef
//! ```
//!
//! Values go through the same bytes, and failures through the same errors, as with worker processes. Two things differ:
//! `remote` returns when the task has ended, and a task that kills its process kills this one. Objects live in the
//! process's own memory.
//!
//! ```
//! use mobula::prelude::*;
//! mobula::inline::attach();
//! assert_eq!(get((|n: u32| n + 1).remote(1))?, 2);
//! # Ok::<(), mobula::GetError>(())
//! ```
//!
//! # Invariants
//! - No user code runs under the lock.
//! - An object's bytes are written only while it is a draft, and shared only after.
#![allow(unsafe_code)] // Calls a trampoline by its address.

mod runs;

use crate::abi::desk::{Aligned, Desk};
use crate::abi::engine::{self, Engine, Fallible, Input, Opened, Task};
use crate::abi::held::{Held, none_here};
use crate::abi::{
    ABI_VERSION, ActorEntry, ActorState, Address, Answer, Attempt, Call, Cause, Draft, Failed, Failure, Fault,
    Instance, NamedActor, Notify, ObjectEntry, ObjectPlace, ObjectState, Published, Question, ResourceStatus,
    RuntimeStatus, Submission, Table, TaskOptions, Tenant, Trampoline, View, task_name,
};
use crate::calls::mobula_attach;
use runs::Runs;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Attaches this program to the inline runtime. Calling it again changes nothing.
pub fn attach() {
    static TENANT: Tenant = Tenant { version: ABI_VERSION, role: Tenant::PROGRAM, cell: 0 };
    // SAFETY: both are statics of this build's version, so they stay valid and unchanged.
    let hooks = unsafe { mobula_attach(&TABLE, &TENANT) };
    assert!(!hooks.is_null(), "bug: the inline runtime and the api are of one build");
}

/// Its table.
pub(crate) static TABLE: Table = engine::table::<Inline>();

/// The engine. Its whole state is [`STORE`].
struct Inline;

struct Object {
    state: State,
    /// References from the program.
    count: u64,
    /// The objects that its bytes refer to, one reference each.
    refs: Vec<u64>,
}

enum State {
    #[cfg_attr(not(test), expect(dead_code, reason = "tasks end before their ids are known; tests make such objects"))]
    Pending,
    Ready(Arc<Aligned>),
    Failed(Box<Failure>),
}

impl State {
    fn of_object(&self) -> ObjectState {
        match self {
            State::Pending => ObjectState::Pending,
            State::Ready(memory) => ObjectState::Ready { bytes: memory.len() as u64 },
            State::Failed(_) => ObjectState::Failed,
        }
    }
}

/// A running task, until it delivers its outcome.
#[derive(Default)]
struct Running {
    outcome: Option<Outcome>,
}

enum Outcome {
    Result(Arc<Aligned>, Vec<u64>),
    Failed(Cause),
}

/// An actor.
struct Actor {
    /// The way to its thread; `None` when it is dead.
    thread: Option<Sender<Work>>,
    name: Option<String>,
    /// Whether the runtime refers to the object while the actor lives.
    is_kept: bool,
    is_stream: bool,
    /// The process whose thread it is: a cell host that takes a dead one's place has none of its threads.
    pid: u32,
    type_id: u64,
    type_name: String,
    /// Why its calls fail, if it is dead.
    death: Cause,
}

/// A constructor or a call, for the thread of an actor: a state never leaves the thread that it was made in.
struct Work {
    trampoline: Trampoline,
    arguments: Vec<Arc<Aligned>>,
    ended: Sender<Option<Outcome>>,
}

impl Actor {
    /// Starts the thread of an actor, which ends when its sender is gone.
    fn start() -> Sender<Work> {
        let (sender, work) = channel::<Work>();
        std::thread::spawn(move || {
            let mut instance = Instance::EMPTY;
            for Work { trampoline, arguments, ended } in work {
                let views = views(arguments);
                let _ = ended.send(run(trampoline, &views, &mut instance));
            }
            if let Some(drop) = instance.drop {
                // SAFETY: the state comes with its `drop`, no call uses it any more, and this is its only end.
                unsafe { drop(instance.state) };
            }
        });
        sender
    }

    /// Runs the trampoline in the actor's thread.
    fn work(thread: &Sender<Work>, trampoline: Trampoline, arguments: Vec<Arc<Aligned>>) -> Option<Outcome> {
        let (ended, outcome) = channel();
        thread.send(Work { trampoline, arguments, ended }).ok()?;
        outcome.recv().ok()?
    }

    /// The way to its thread; `None` when it is dead.
    fn living(&self) -> Option<&Sender<Work>> {
        self.thread.as_ref().filter(|_| self.pid == std::process::id())
    }

    fn state(&self) -> ActorState {
        match self.living() {
            Some(_) => ActorState::Alive { pid: self.pid },
            None => ActorState::Dead,
        }
    }

    fn died(&self) -> Cause {
        let death = match self.thread {
            Some(_) => Cause::Refused { message: "it was a thread of a process that has crashed since".into() },
            None => self.death.clone(),
        };
        if self.is_stream {
            return death;
        }
        let actor = self.name.clone().unwrap_or_else(|| self.type_name.clone());
        Cause::ActorDied { actor, death: Box::new(death), output: Vec::new() }
    }
}

/// Opens an argument each.
fn views(arguments: Vec<Arc<Aligned>>) -> Vec<View> {
    let mut store = store();
    arguments.into_iter().map(|memory| store.view(memory)).collect()
}

/// The whole state. Ids, drafts, holds and calls are numbered by one counter.
#[derive(Default)]
struct Store {
    desk: Desk<Arc<Aligned>>,
    objects: HashMap<u64, Object>,
    calls: HashMap<u64, Running>,
    failures: Vec<Failed>,
    runs: Runs,
    /// Actors, by the objects that stand for them.
    actors: HashMap<u64, Actor>,
    /// Objects that futures await.
    watched: Vec<(u64, Notify)>,
    /// Objects that have names.
    published: HashMap<String, Published>,
    started: bool,
    /// The objects that a thread has waited for.
    #[cfg(test)]
    awaited: std::collections::HashSet<u64>,
}

static STORE: LazyLock<Mutex<Store>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn store() -> Held<'static, Store> {
    none_here("the store is locked again");
    Held::new(locked())
}

/// The store, for a thread that waits: a condition variable takes the guard itself.
fn locked() -> MutexGuard<'static, Store> {
    STORE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Store {
    fn number(&mut self) -> u64 {
        self.desk.number()
    }

    fn add(&mut self, state: State, refs: Vec<u64>) -> u64 {
        let id = self.number();
        self.add_as(id, state, refs);
        id
    }

    fn add_as(&mut self, id: u64, state: State, refs: Vec<u64>) {
        for id in &refs {
            self.retain(*id);
        }
        self.objects.insert(id, Object { state, count: 1, refs });
    }

    fn retain(&mut self, id: u64) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.count += 1;
        }
    }

    fn release(&mut self, id: u64) {
        let mut ids = vec![id];
        while let Some(id) = ids.pop() {
            let Some(object) = self.objects.get_mut(&id) else { continue };
            object.count -= 1;
            if object.count == 0 {
                self.actors.remove(&id);
                ids.extend(self.objects.remove(&id).map(|object| object.refs).unwrap_or_default());
            }
        }
    }

    fn take_draft(&mut self, token: u64) -> Arc<Aligned> {
        Arc::new(self.desk.take(token).expect("bug: a draft ended twice"))
    }

    /// Turns an argument into an object with one reference, which is the task's.
    fn adopt(&mut self, input: Input<'_>) -> u64 {
        match input {
            Input::Object(id) => {
                self.retain(id);
                id
            }
            Input::Draft(draft, contains) => {
                let memory = self.take_draft(draft);
                self.add(State::Ready(memory), contains.to_vec())
            }
        }
    }

    fn view(&mut self, memory: Arc<Aligned>) -> View {
        self.desk.open(memory.ptr(), memory.len() as u64, memory)
    }

    fn is_ready(&self, id: u64) -> Result<bool, Box<Fault>> {
        let object = self.objects.get(&id).ok_or(Fault::Unknown { id })?;
        Ok(!matches!(object.state, State::Pending))
    }

    fn answer(&mut self, question: Question) -> Result<Answer, Box<Fault>> {
        let cpus = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        Ok(match question {
            Question::Init(options) => {
                if std::mem::replace(&mut self.started, true) && !options.ignore_reinit {
                    let message = "the runtime was started already; set `ignore_reinit` to keep it as it is".into();
                    return Err(Fault::Refused { message }.into());
                }
                Answer::Address(Address {
                    session_dir: String::new(),
                    socket: String::new(),
                    store: "the memory of this process".into(),
                    object_store_memory: u64::MAX,
                    num_cpus: options.num_cpus.unwrap_or(cpus),
                    workers: Vec::new(),
                    dashboard_url: None,
                })
            }
            // Tasks end before their ids are known.
            Question::Cancel { .. } | Question::IsCancelled => Answer::Flag(false),
            Question::Actor { name } => Answer::Actor(self.named(&name).map(|(id, actor)| NamedActor {
                id,
                type_id: actor.type_id,
                type_name: actor.type_name.clone(),
            })),
            Question::Kill { id } => Answer::Flag(self.kill(id)),
            Question::ActorState { id } => Answer::ActorState(self.actors.get(&id).map(Actor::state)),
            Question::Actors => Answer::Actors(self.actor_entries()),
            // Everything is free between two tasks.
            Question::PlacementGroup { .. } => Answer::PlacementGroup(1),
            Question::RemovePlacementGroup { .. } => Answer::Flag(true),
            Question::Status => {
                let cpu = ResourceStatus { name: "CPU".into(), in_use: 0.0, total: cpus };
                Answer::Status(RuntimeStatus { resources: vec![cpu], ..RuntimeStatus::default() })
            }
            Question::Tasks => Answer::Tasks(self.runs.table()),
            Question::DiskMoves { .. } => Answer::DiskMoves(Vec::new()),
            Question::Objects => Answer::Objects(self.object_entries()),
            Question::Shutdown => {
                self.started = false;
                self.objects.clear();
                self.actors.clear();
                self.published.clear();
                Answer::Done
            }
            Question::Join(_) | Question::Leave => {
                return Err(
                    Fault::Refused { message: "there is no session here that could join a runtime".into() }.into()
                );
            }
            Question::Publish { id, name, schema } => {
                if !self.objects.contains_key(&id) {
                    return Err(Fault::Unknown { id }.into());
                }
                self.retain(id);
                if let Some(before) = self.published.insert(name, Published { id, schema, by: "this session".into() }) {
                    self.release(before.id);
                }
                Answer::Done
            }
            Question::Unpublish { name } => {
                let named = self.published.remove(&name);
                let was_there = named.is_some();
                named.into_iter().for_each(|named| self.release(named.id));
                Answer::Flag(was_there)
            }
            Question::Lookup { name } => {
                let found = self.published.get(&name).cloned();
                found.iter().for_each(|found| self.retain(found.id));
                Answer::Published(found)
            }
            Question::Comm { .. } => return Err(Fault::Refused { message: "there is no session here".into() }.into()),
            Question::Dashboard => {
                let message = "tasks run in this process, which has no web page".into();
                return Err(Fault::Refused { message }.into());
            }
            Question::Errors => Answer::Errors(self.failures.clone()),
            Question::ClusterResources | Question::AvailableResources => Answer::Resources(vec![("CPU".into(), cpus)]),
            Question::State { id } => {
                Answer::State(self.objects.get(&id).ok_or(Fault::Unknown { id })?.state.of_object())
            }
        })
    }
}

impl Engine for Inline {
    fn current() -> Option<&'static Inline> {
        Some(&Inline)
    }

    fn create(&self, len: u64) -> Fallible<Draft> {
        let memory = Aligned::zeroed(len as usize);
        Ok(store().desk.begin(memory))
    }

    fn seal(&self, draft: u64, contains: &[u64]) -> Fallible<u64> {
        let mut store = store();
        let memory = store.take_draft(draft);
        Ok(store.add(State::Ready(memory), contains.to_vec()))
    }

    fn discard(&self, draft: u64) {
        store().desk.take(draft);
    }

    fn submit(&self, task: Task<'_>) -> Fallible<u64> {
        let options = TaskOptions::read_on_one_machine(task.options).map_err(|message| Fault::Refused { message });
        let options = match options {
            Ok(options) => options,
            Err(fault) => {
                task.inputs().for_each(|input| {
                    if let Input::Draft(draft, _) = input {
                        self.discard(draft);
                    }
                });
                return Err(fault.into());
            }
        };
        let mut store_now = store();
        if let Some(existing) = store_now.existing(&options) {
            task.inputs().for_each(|input| drop(store_now.drop_input(input)));
            return existing;
        }
        // Every argument becomes an object that the task refers to.
        let objects: Vec<u64> = task.inputs().map(|input| store_now.adopt(input)).collect();
        let id = store_now.number();
        let work = Submitted { id, task, options, objects };
        let made = match store_now.failed_argument(&work) {
            Some(failure) => {
                store_now.runs.never(id, work.name(), task.kind);
                Err(Box::new(failure))
            }
            None => {
                drop(store_now);
                let made = work.run();
                store_now = store();
                made
            }
        };
        let refs = made.as_ref().map_or(Vec::new(), |made| made.refs.clone());
        let (state, actor) = match made {
            Ok(made) => (State::Ready(made.memory), made.thread.map(|thread| (Some(thread), Cause::Cancelled))),
            Err(failure) => {
                let is_actor = task.kind == Submission::SPAWN;
                let death = if failure.carried_by.is_empty() {
                    failure.cause.clone()
                } else {
                    let message = format!("task `{}` failed, whose result it was to take", failure.task);
                    Cause::Refused { message }
                };
                (State::Failed(failure), is_actor.then_some((None, death)))
            }
        };
        // The result's refs were retained when it was delivered; `add` retains them for the object.
        store_now.add_as(id, state, refs.clone());
        if let Some((thread, death)) = actor {
            let Submitted { options: TaskOptions { name, actor, .. }, .. } = &work;
            let is_kept = thread.is_some() && (name.is_some() || actor.is_detached);
            if is_kept {
                store_now.retain(id);
            }
            let (name, type_id, type_name) = (name.clone(), actor.type_id, actor.type_name.clone());
            store_now.actors.insert(
                id,
                Actor {
                    thread,
                    name,
                    is_kept,
                    is_stream: actor.is_stream,
                    pid: std::process::id(),
                    type_id,
                    type_name,
                    death,
                },
            );
        }
        for id in refs.iter().chain(&work.objects) {
            store_now.release(*id);
        }
        Ok(id)
    }

    fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut store = locked();
        loop {
            let marks: Vec<bool> = ids.iter().map(|id| store.is_ready(*id)).collect::<Result<_, _>>()?;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if marks.iter().filter(|mark| **mark).count() as u64 >= num_returns || left == Some(Duration::ZERO) {
                ready.iter_mut().zip(marks).for_each(|(ready, mark)| *ready = u8::from(mark));
                return Ok(());
            }
            #[cfg(test)]
            store.awaited.extend(ids);
            store = match left {
                Some(left) => CHANGED.wait_timeout(store, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0,
                None => CHANGED.wait(store).unwrap_or_else(|poisoned| poisoned.into_inner()),
            };
        }
    }

    fn watch(&'static self, id: u64, notify: Notify) -> Fallible<()> {
        {
            let mut store = store();
            if !store.is_ready(id)? {
                store.watched.push((id, notify));
                return Ok(());
            }
        }
        notify(id);
        Ok(())
    }

    fn open(&self, id: u64) -> Fallible<Opened> {
        let mut store = store();
        let memory = match store.objects.get(&id).map(|object| &object.state) {
            Some(State::Ready(memory)) => memory.clone(),
            Some(State::Failed(failure)) => {
                let failure = (**failure).clone();
                store.fetched(id);
                return Err(Fault::Task(failure).into());
            }
            Some(State::Pending) => return Ok(Opened::NotReady),
            None => return Err(Fault::Unknown { id }.into()),
        };
        Ok(Opened::View(store.view(memory)))
    }

    fn close(&self, hold: u64) {
        store().desk.close(hold);
    }

    fn retain(&self, ids: &[u64]) {
        let mut store = store();
        ids.iter().for_each(|id| store.retain(*id));
    }

    fn release(&self, id: u64) {
        store().release(id);
    }

    fn result(&self, call: u64, draft: u64, contains: &[u64]) {
        let mut store = store();
        // The trampoline's own references end when it returns, before the result's object has references of its own.
        for id in contains {
            store.retain(*id);
        }
        let memory = store.take_draft(draft);
        if let Some(running) = store.calls.get_mut(&call) {
            running.outcome = Some(Outcome::Result(memory, contains.to_vec()));
        }
    }

    fn fail(&self, call: u64, cause: Cause) {
        if let Some(running) = store().calls.get_mut(&call) {
            running.outcome = Some(Outcome::Failed(cause));
        }
    }

    fn ask(&self, question: Question) -> Fallible<Answer> {
        store().answer(question)
    }
}

/// A task with its arguments, which it refers to.
struct Submitted<'a> {
    /// The object that it makes.
    id: u64,
    task: Task<'a>,
    options: TaskOptions,
    objects: Vec<u64>,
}

/// What a task has made.
struct Made {
    memory: Arc<Aligned>,
    refs: Vec<u64>,
    /// The thread of the actor, if it was a constructor.
    thread: Option<Sender<Work>>,
}

impl Submitted<'_> {
    /// The task's name.
    fn name(&self) -> String {
        let name = self.options.name.clone().filter(|_| self.task.kind == Submission::TASK);
        name.unwrap_or_else(|| task_name(&String::from_utf8_lossy(self.task.name)))
    }

    fn failure(&self, cause: Cause) -> Failure {
        let (cell, carried_by, attempt) = (0, Vec::new(), Attempt::ONLY);
        Failure { task: self.name(), pid: 0, cell, cause, carried_by, attempt, node: String::new() }
    }

    /// The arguments of the function: all but the actor of a call.
    fn arguments(&self) -> &[u64] {
        &self.objects[usize::from(Submission::is_call(self.task.kind))..]
    }

    fn run(&self) -> Result<Made, Box<Failure>> {
        // SAFETY: the task was submitted with the address of a `Trampoline`, in a library that stays loaded.
        let trampoline = unsafe { std::mem::transmute::<*const c_void, Trampoline>(self.task.trampoline) };
        let arguments: Vec<Arc<Aligned>> = {
            let store = store();
            let ready = |id: &u64| match &store.objects.get(id)?.state {
                State::Ready(memory) => Some(memory.clone()),
                _ => None,
            };
            self.arguments().iter().filter_map(ready).collect()
        };
        let thread = match self.task.kind {
            Submission::SPAWN => Some(Actor::start()),
            kind if Submission::is_call(kind) => {
                let store = store();
                let actor = self.objects.first().and_then(|id| store.actors.get(id));
                let Some(actor) = actor else {
                    let message = "this object stands for no actor".into();
                    return Err(self.failure(Cause::Refused { message }).into());
                };
                let Some(thread) = actor.living().cloned() else { return Err(self.failure(actor.died()).into()) };
                Some(thread)
            }
            _ => None,
        };
        let retries = self.options.panic_retries();
        let mut attempt = Attempt { number: 1, of: retries.checked_add(1) };
        let ended = loop {
            let run_now = store().runs.begin(self.id, self.name(), self.task.kind, attempt.number);
            let ended = match &thread {
                Some(thread) => Actor::work(thread, trampoline, arguments.clone()),
                None => run(trampoline, &views(arguments.clone()), std::ptr::null_mut()),
            };
            let failed = match &ended {
                Some(Outcome::Failed(cause)) => Some(cause),
                _ => None,
            };
            store().runs.end(run_now, failed);
            match ended {
                Some(Outcome::Failed(Cause::Panic { .. } | Cause::Error { .. }))
                    if attempt.of.is_none_or(|of| attempt.number < of) =>
                {
                    attempt.number += 1;
                }
                ended => break ended,
            }
        };
        let thread = thread.filter(|_| self.task.kind == Submission::SPAWN);
        let cause = match ended {
            Some(Outcome::Result(memory, refs)) => return Ok(Made { memory, refs, thread }),
            Some(Outcome::Failed(cause)) => cause,
            None => Cause::Refused { message: "it delivered no result".into() },
        };
        let failure = Failure { pid: std::process::id(), attempt, ..self.failure(cause) };
        store().failures.push(Failed { failure: failure.clone(), is_fetched: false });
        Err(failure.into())
    }
}

impl Store {
    /// The living actor of this name.
    fn named(&self, name: &str) -> Option<(u64, &Actor)> {
        let mut living = self.actors.iter().filter(|(_, actor)| actor.living().is_some());
        living.find(|(_, actor)| actor.name.as_deref() == Some(name)).map(|(id, actor)| (*id, actor))
    }

    /// The actor that a spawn is to take, or the refusal of its name.
    fn existing(&mut self, options: &TaskOptions) -> Option<Fallible<u64>> {
        let name = options.name.as_ref().filter(|_| options.is_actor())?;
        let (id, actor) = self.named(name)?;
        if options.actor.gets_existing && actor.type_id == options.actor.type_id {
            self.retain(id);
            return Some(Ok(id));
        }
        let message = format!("there is an actor named `{name}` already, a `{}`", actor.type_name);
        Some(Err(Fault::Refused { message }.into()))
    }

    /// The living actors and the dead ones.
    fn actor_entries(&self) -> Vec<ActorEntry> {
        let shown = self.actors.iter().filter(|(_, actor)| !actor.is_stream);
        let mut entries: Vec<ActorEntry> = shown
            .map(|(id, actor)| ActorEntry {
                id: *id,
                type_name: actor.type_name.clone(),
                name: actor.name.clone(),
                state: actor.state(),
                session: 0,
                cell: 0,
                restarts: 0,
                calls: 0,
                death: actor.living().is_none().then(|| crate::error::cause(&actor.death)),
            })
            .collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    fn object_entries(&self) -> Vec<ObjectEntry> {
        let shown = self.objects.iter().filter(|(id, _)| !self.actors.contains_key(id));
        shown
            .map(|(id, object)| ObjectEntry {
                id: *id,
                state: object.state.of_object(),
                place: match object.state {
                    State::Ready(_) => ObjectPlace::Memory,
                    _ => ObjectPlace::Nowhere,
                },
                cell: 0,
                function: None,
                held_by: vec![std::process::id()],
                holders: 0,
                readers: 0,
            })
            .collect()
    }

    /// Somebody has met the failure of an object, or of what it failed with.
    fn fetched(&mut self, id: u64) {
        let Some(State::Failed(met)) = self.objects.get(&id).map(|object| &object.state) else { return };
        let origin = Failure { carried_by: Vec::new(), ..(**met).clone() };
        let is_it = |known: &Failed| known.failure == origin;
        if let Some(known) = self.failures.iter_mut().rev().find(|known| is_it(known)) {
            known.is_fetched = true;
        }
    }

    fn drop_input(&mut self, input: Input<'_>) -> Option<Aligned> {
        match input {
            Input::Draft(draft, _) => self.desk.take(draft),
            Input::Object(_) => None,
        }
    }

    /// The failure that an argument's failure is for the task.
    fn failed_argument(&self, work: &Submitted<'_>) -> Option<Failure> {
        work.arguments().iter().find_map(|id| match self.objects.get(id).map(|object| &object.state) {
            Some(State::Failed(failure)) => {
                let mut failure = (**failure).clone();
                failure.carried_by.push(work.name());
                Some(failure)
            }
            Some(State::Ready(_)) => None,
            Some(State::Pending) | None => {
                let message = "an argument is not ready, and the inline runtime cannot wait for it".into();
                Some(Failure { carried_by: vec![work.name()], ..work.failure(Cause::Refused { message }) })
            }
        })
    }

    /// Ends an actor. False if it was dead.
    fn kill(&mut self, id: u64) -> bool {
        let Some(actor) = self.actors.get_mut(&id).filter(|actor| actor.thread.is_some()) else { return false };
        (actor.thread, actor.death) = (None, Cause::Cancelled);
        if std::mem::take(&mut actor.is_kept) {
            self.release(id);
        }
        true
    }
}

fn run(trampoline: Trampoline, args: &[View], instance: *mut Instance) -> Option<Outcome> {
    let call = store().number();
    store().calls.insert(call, Running::default());
    none_here("user code runs");
    let args_len = args.len() as u64;
    let what = Call {
        call,
        args: args.as_ptr(),
        args_len,
        returns: 1,
        is_restore: 0,
        instance,
        pending: std::ptr::null_mut(),
    };
    // SAFETY: the call is new and is run once, and the trampoline takes over its arguments, which are open views. The instance is null, or of
    // this thread, which runs one call at a time.
    unsafe { trampoline(&what) };
    store().calls.remove(&call)?.outcome
}

/// Objects that are not ready, for tests. This runtime has none by itself.
#[cfg(test)]
pub(crate) mod unready {
    use super::{CHANGED, State, store};

    /// An object that no task makes. The caller holds one reference.
    pub(crate) fn pending() -> u64 {
        store().add(State::Pending, Vec::new())
    }

    /// Returns once a thread has waited for the object.
    pub(crate) fn until_awaited(id: u64) {
        while !store().awaited.contains(&id) {
            std::thread::yield_now();
        }
    }

    /// Makes the object ready, with the bytes of another object.
    pub(crate) fn finish(id: u64, like: u64) {
        let mut store = store();
        let memory = match &store.objects[&like].state {
            State::Ready(memory) => memory.clone(),
            _ => panic!("object {like} is not ready"),
        };
        store.objects.get_mut(&id).unwrap().state = State::Ready(memory);
        CHANGED.notify_all();
        let watched: Vec<_> = store.watched.extract_if(.., |(watched, _)| *watched == id).collect();
        drop(store);
        watched.into_iter().for_each(|(id, notify)| notify(id));
    }

    /// Whether a view is still open.
    pub(crate) fn is_open(hold: u64) -> bool {
        store().desk.is_open(hold)
    }

    /// Whether the object exists.
    pub(crate) fn exists(id: u64) -> bool {
        store().objects.contains_key(&id)
    }
}
