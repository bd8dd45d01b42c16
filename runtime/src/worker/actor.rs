//! The process of an actor: a worker that has run the actor's constructor, and from then on runs the calls in its mailbox.
//!
//! ```text
//!   call that changes the state   alone, in this thread, once all others have ended
//!   call that reads it            in this thread; with `max_concurrency` in one of as many threads
//!   async call that reads it      in this thread, in turns with others: polled when it is woken
//! ```
//!
//! # Invariants
//! - While a call that changes the state runs, no other call does. Meanwhile the state is only read.
//! - A call in hand waits for those that run, and no later one is begun before it.

use super::library::{self, Entry, Libraries, Shared, Views, exit_now};
use super::{begin, run_call};
use crate::abi::{Instance, Pending};
use crate::client::{Came, Claimed, Client, Unfit, current, for_call};
use crate::protocol::ObjectId;
use crate::store::{Access, Reader, TaskKind};
use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::queue::SegQueue;
use std::collections::HashMap;

/// How many async calls run in turns; Ray's default.
const ASYNC_MAX: usize = 1000;

/// Async calls that can go on, and calls in threads that have ended: by id.
static AWAKE: SegQueue<u64> = SegQueue::new();

/// Runs calls until the last handle is gone.
pub(super) fn run(
    client: &'static Client,
    libraries: Libraries,
    object: ObjectId,
    mailbox: u32,
    instance: Instance,
) -> ! {
    let reader = client.become_actor(object, mailbox);
    let (work, jobs) = unbounded();
    let threads_max = client.threads_of(mailbox);
    // It lives until the process ends, because threads use it.
    let instance = Box::leak(Box::new(instance));
    let mut actor = Actor {
        client,
        libraries,
        instance: Shared(instance),
        reader,
        pending: HashMap::new(),
        in_threads: 0,
        threads: 0,
        threads_max,
        work,
        jobs,
        cancels: 0,
        in_hand: None,
        has_checkpoints: client.has_checkpoints(),
    };
    actor.run();
    let Actor { instance, libraries, .. } = actor;
    // As a value at the end of its scope: what its drop prints is seen.
    library::drop_instance(instance);
    libraries.flush();
    exit_now(0);
}

/// A call for a thread.
struct Job {
    claimed: Claimed,
    entry: Entry,
    views: Views,
    instance: Shared,
}

struct Actor {
    client: &'static Client,
    libraries: Libraries,
    instance: Shared,
    reader: Reader,
    /// Async calls that have not ended.
    pending: HashMap<u64, (Claimed, Pending)>,
    /// Calls in threads that have not ended.
    in_threads: usize,
    threads: usize,
    threads_max: usize,
    work: Sender<Job>,
    jobs: Receiver<Job>,
    /// The client's number of cancels when they were last looked at.
    cancels: u64,
    /// A call that waits for those that run.
    in_hand: Option<Claimed>,
    /// Whether the state is saved from time to time.
    has_checkpoints: bool,
}

impl Actor {
    fn run(&mut self) {
        loop {
            // No more than there are now, because a call may wake itself.
            for call in (0..AWAKE.len()).filter_map(|_| AWAKE.pop()) {
                self.go_on(call);
            }
            let cancels = self.client.cancels();
            if std::mem::replace(&mut self.cancels, cancels) != cancels {
                self.end_cancelled();
            }
            if let Some(claimed) = self.in_hand.take() {
                if self.may_begin(&claimed) {
                    self.begin(claimed);
                    continue;
                }
                self.in_hand = Some(claimed);
            }
            let receives = self.in_hand.is_none();
            let client = self.client;
            match client.next_call(&mut self.reader, receives, || !AWAKE.is_empty() || client.cancels() != cancels) {
                Came::Call(claimed) => self.in_hand = Some(claimed),
                Came::Awake => {}
                Came::Left => return,
            }
        }
    }

    /// Whether a call may begin beside those that run.
    fn may_begin(&self, claimed: &Claimed) -> bool {
        match access_of(claimed) {
            Access::Exclusive => self.pending.is_empty() && self.in_threads == 0,
            Access::Shared => self.in_threads < self.threads_max,
            Access::Async => self.pending.len() < ASYNC_MAX,
        }
    }

    /// Begins a call that may run now.
    fn begin(&mut self, claimed: Claimed) {
        let mut views = Vec::new();
        let entry = match begin(self.client, &mut self.libraries, &claimed, &mut views) {
            Ok(entry) => entry,
            Err(unfit) => return self.end(&claimed, Err(unfit)),
        };
        if access_of(&claimed) == Access::Shared && self.threads_max > 1 {
            return self.hand_over(Job { claimed, entry, views: Views(views), instance: self.instance });
        }
        let mut pending = Pending::NONE;
        for_call(claimed.task, || run_call(&entry, &claimed, &views, self.instance.0, &mut pending));
        if pending.poll.is_some() {
            AWAKE.push(claimed.task.0);
            self.pending.insert(claimed.task.0, (claimed, pending));
        } else {
            self.end(&claimed, Ok(()));
        }
    }

    fn end(&mut self, claimed: &Claimed, called: Result<(), Unfit>) {
        self.client.end_task(claimed, called);
        self.client.call_ended(&mut self.reader, claimed.task);
        if self.has_checkpoints && self.client.is_checkpoint_due() {
            self.save();
        }
    }

    /// Saves the state. No call that could change it runs: one has just ended.
    fn save(&mut self) {
        let instance = self.instance;
        if let Err(reason) = self.client.save_checkpoint(|call| library::save(instance, call)) {
            // The calls since the last one are kept, so nothing is lost by it.
            eprintln!("no checkpoint of this actor was saved: {reason}");
        }
        self.libraries.flush();
    }

    /// Goes on with an async call, or notes that a thread has ended one.
    fn go_on(&mut self, call: u64) {
        let Some((claimed, pending)) = self.pending.get(&call) else {
            if self.reader_has(call) {
                self.in_threads -= 1;
                self.client.call_ended(&mut self.reader, ObjectId(call));
            }
            return;
        };
        if self.client.is_cancelled_call(claimed.task) {
            // It was cancelled before it was among those that wait.
            return self.end_cancelled();
        }
        if for_call(claimed.task, || library::poll(pending, call, awake))
            && let Some((claimed, _)) = self.pending.remove(&call)
        {
            self.libraries.flush();
            self.end(&claimed, Ok(()));
        }
    }

    /// Ends the async calls that were cancelled.
    fn end_cancelled(&mut self) {
        let client = self.client;
        let cancelled: Vec<_> =
            self.pending.extract_if(|_, (claimed, _)| client.is_cancelled_call(claimed.task)).collect();
        for (_, (claimed, pending)) in cancelled {
            for_call(claimed.task, || library::cancel(&pending));
            self.end(&claimed, Ok(()));
        }
    }

    /// Whether a call in a thread has this id; an async one that has ended may be woken once more.
    fn reader_has(&self, call: u64) -> bool {
        self.in_threads > 0 && self.reader.runs(ObjectId(call))
    }

    /// Has a thread run a call.
    fn hand_over(&mut self, job: Job) {
        self.in_threads += 1;
        if self.threads < self.in_threads {
            let jobs = self.jobs.clone();
            let started = std::thread::Builder::new().name("call".into()).spawn(move || serve(&jobs));
            self.threads += usize::from(started.is_ok());
        }
        if self.threads == 0 {
            // Then one after the other.
            return serve_one(job);
        }
        // It has a receiver here.
        let _ = self.work.send(job);
    }
}

fn access_of(claimed: &Claimed) -> Access {
    match claimed.spec.kind {
        TaskKind::Call { access, .. } => access,
        _ => Access::Exclusive,
    }
}

fn serve(jobs: &Receiver<Job>) {
    jobs.iter().for_each(serve_one);
}

fn serve_one(job: Job) {
    let Job { claimed, entry, views, instance } = job;
    let mut pending = Pending::NONE;
    for_call(claimed.task, || run_call(&entry, &claimed, &views.0, instance.0, &mut pending));
    if let Some(client) = current() {
        client.end_task(&claimed, Ok(()));
        awake(claimed.task.0);
    }
}

/// Wakes the actor's own thread for a call.
extern "C" fn awake(call: u64) {
    AWAKE.push(call);
    if let Some(client) = current() {
        client.ring_self();
    }
}
