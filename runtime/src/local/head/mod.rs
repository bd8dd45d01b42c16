//! The head: the one thread that handles everything that is rare.
//!
//! ```text
//!   loop {  wait for descriptors  →  handle what they say  →  send all answers  }
//!
//!   mod.rs       the loop and what it waits for
//!   requests.rs  what clients say
//!   tasks.rs     failures, and tasks that a dead process has lost
//!   cancel.rs    tasks that are not wanted any more
//!   make_room.rs when memory runs short; disk_log.rs, what went to disk then
//!   pool.rs      workers, and the zygote
//!   output.rs    what workers write; folds.rs, what several of them write alike
//!   redirect.rs  the same in files
//!   kept_code.rs libraries that detached actors need when their session is over
//!   sessions.rs  sessions of other processes that have joined
//!   settings.rs  init, and questions about the whole
//! ```
//!
//! Objects and plain tasks go through shared memory and never pass here. The head owns that memory, clears away what
//! dead processes have left in it, gives out leases, and knows why tasks failed.
//!
//! # Invariants
//! - The head blocks only in its one wait, and on the disk when memory runs short.
//! - The head never trusts a client: a client that sends an invalid message is treated as dead.
//! - A message that a client did not finish before it died is ignored.

mod actors;
mod cancel;
mod connection;
mod deadline;
mod disk_log;
mod folds;
mod functions;
mod groups;
mod handle;
mod kept_code;
mod lines;
mod lost;
mod make_room;
mod output;
mod output_limit;
mod output_signal;
mod pool;
mod programs;
mod redirect;
mod requests;
mod sessions;
mod settings;
mod spill_folder;
mod task_options;
mod tasks;

pub use handle::Local;

use super::folder::Folder;
use super::{Observer, signals};
use crate::abi::{Answer, Cause, CommAnswer, Fault};
use crate::client::Fallible;
use crate::protocol::{ClientId, ObjectId, Request, Role, SessionId, ToClient};
use crate::scheduler::{Action, Event, Scheduler, WORKERS_MAX};
use crate::store::{Arena, Desk, Eviction, Keep, Leases, Region, SEATS, Seat, Segment, Spill};
use crate::sync::Ordering;
use actors::Actors;
use cancel::Cancels;
use connection::{Connection, Health};
use deadline::Alarm;
use folds::Folds;
use functions::Functions;
use groups::Groups;
use kept_code::KeptCode;
use make_room::{LOOK, Room};
use mobula_fds as fds;
use output_limit::OutputLimit;
use pool::Pool;
use redirect::Redirect;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::Pid;
use sessions::Sessions;
use settings::{Farewell, Settings};
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use task_options::KnownOptions;
use tasks::{Blames, Origin};

const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
const ZYGOTE: u64 = u64::MAX - 2;

/// How many failures are remembered for `errors()`.
const FAILURES_MAX: usize = 10_000;

/// How long until the head tries work again that another process held up.
const RETRY: Duration = Duration::from_millis(50);

/// A request of another thread of this process to the head.
#[derive(Debug)]
enum Command {
    /// Interrupt the cell.
    Interrupt(u64),
    /// The cell host is the process `pid` now; with `takeover`, it was the dead host's twin.
    CellHost { pid: u32, takeover: bool },
    /// Answer a client's call of a comm.
    CommAnswer { client: ClientId, req: Request, answer: Option<CommAnswer> },
    /// Answer a client's wish to join or to leave a runtime.
    Joined { client: ClientId, req: Request, answer: Result<Answer, String> },
    /// End the workers until a task is submitted.
    Rest,
    /// End the runtime.
    Shutdown,
}

/// The channel to the head from other threads.
#[derive(Debug)]
struct Wake {
    pub commands: Mutex<VecDeque<Command>>,
    pub bell: OwnedFd,
}

impl Wake {
    /// Sends a command.
    pub fn ask(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        self.ring();
    }

    /// Wakes the head.
    pub fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

/// A connected process.
#[derive(Debug)]
struct Client {
    pub connection: Connection,
    /// Known once the client has said hello.
    pub role: Option<Role>,
    pub seat: Option<Seat>,
    pub pid: u32,
    /// The session that it is of.
    pub session: SessionId,
}

/// A driver whose connection has ended.
#[derive(Clone, Copy, Debug)]
struct Orphan {
    pub pid: u32,
    pub seat: Seat,
    pub session: SessionId,
}

/// The head.
struct Head {
    epoll: OwnedFd,
    listener: OwnedFd,
    wake: Arc<Wake>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    farewells: Vec<Farewell>,
    /// The shared tables.
    segment: Arc<Segment>,
    /// The head's own account in them.
    leases: Leases,
    region: Region,
    arena: Arc<Arena>,
    spill: Spill,
    /// Whether the person has been told where spilled objects go.
    spill_is_told: bool,
    /// Which object goes to disk next.
    eviction: Eviction,
    disk_trouble: Option<String>,
    disk_log: disk_log::DiskLog,
    rooms: Vec<Room>,
    scheduler: Scheduler,
    functions: Functions,
    kept_code: KeptCode,
    options: KnownOptions,
    blames: Blames,
    cancels: Cancels,
    /// Objects that the head refers to, and for how many reasons.
    referred: HashMap<ObjectId, u32>,
    actors: Actors,
    warned: HashSet<u32>,
    /// How many attempts of each function were told.
    retries_told: HashMap<u32, u32>,
    /// Tasks that wait for arguments and may be in no list.
    watched: Vec<ObjectId>,
    /// Tasks for which there was no room in a ring.
    stranded: VecDeque<ObjectId>,
    /// Whether counts may be too high.
    unaudited: bool,
    /// Whether waiting tasks are to be checked again.
    retry: bool,
    pool: Pool,
    programs: programs::Programs,
    /// Lines that several workers write.
    folds: Folds,
    output_limit: OutputLimit,
    groups: Groups,
    sessions: Sessions,
    /// Files for the output of workers, if it does not go to the cells.
    redirect: Option<Redirect>,
    clients: HashMap<ClientId, Client>,
    /// Drivers whose connection has ended and whose references stand until the front process says what became of them.
    orphans: HashMap<ClientId, Orphan>,
    /// Seats of living processes that were dropped: they may still write there.
    dropped: HashMap<Seat, u32>,
    client_next: u32,
    dirty: Vec<ClientId>,
    events: VecDeque<Event>,
    deciding: bool,
    failures: VecDeque<Arc<Origin>>,
    ending: bool,
    /// Last, so that it is dropped after everything that uses it.
    folder: Folder,
}

impl Drop for Head {
    fn drop(&mut self) {
        // Processes that sleep on this memory learn that nothing will come any more.
        self.segment.header().closed.store(1, Ordering::Release);
        self.segment.ring_all();
        // A plain program lives on, with what it has mapped. Memory that no process reads need not stay for that.
        let read = self.segment.read_leases();
        for run in self.segment.leases().filter(|run| !read.contains(&run.first)) {
            let unit = self.region.unit_bytes();
            self.region.discard(u64::from(run.first) * unit, u64::from(run.len) * unit);
        }
    }
}

impl Head {
    /// Watches the descriptors that exist from the start.
    fn prepare(&mut self) -> rustix::io::Result<()> {
        epoll::add(&self.epoll, &self.listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&self.epoll, &self.wake.bell, EventData::new_u64(WAKE), EventFlags::IN)?;
        self.watch_zygote()
    }

    /// Watches a new zygote.
    fn watch_zygote(&self) -> rustix::io::Result<()> {
        match self.pool.link() {
            // Edge-triggered, also for writing: each event reads and writes everything that is possible.
            Some(link) => {
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                epoll::add(&self.epoll, link, EventData::new_u64(ZYGOTE), flags)
            }
            None => Ok(()),
        }
    }

    /// Runs until it is told to end.
    fn run(mut self) {
        signals::refuse_large_files_by_error();
        self.configure();
        let mut ready = Vec::with_capacity(256);
        let (mut retry, mut look) = (Alarm::default(), Alarm::default());
        while !self.ending {
            let now = Instant::now();
            let is_left =
                self.unaudited || self.retry || !self.stranded.is_empty() || !self.actors.undelivered.is_empty();
            let retry_at = retry.set(now, is_left.then_some(RETRY));
            let look_at = look.set(now, self.rooms_wait().then_some(LOOK));
            let deadlines = [
                self.scheduler.deadline(),
                look_at,
                retry_at,
                self.pool.deaf_at(),
                self.cancels.deadline(),
                self.folds.deadline(),
                self.output_limit.deadline(),
            ];
            let deadline = deadlines.into_iter().flatten().min();
            let left = deadline.map(|deadline| fds::timespec(deadline.saturating_duration_since(Instant::now())));
            ready.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    self.notice(format!("the runtime cannot wait for its clients ({error}) and ends"));
                    break;
                }
            }
            for event in &ready {
                let (flags, token) = (event.flags, event.data.u64());
                match token {
                    LISTENER => self.accept(),
                    WAKE => self.obey(),
                    ZYGOTE => self.hear_zygote(),
                    token if Pool::is_pipe(token) => self.read_pipe(token),
                    token => self.hear_client(Pool::client_of(token), flags),
                }
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                retry.clear();
                look.clear();
                self.tick();
            }
            self.flush();
        }
        // Fields drop in order; the zygote, in the pool, waits until its workers are gone and the folder with them.
    }

    fn tick(&mut self) {
        self.tell(Event::Tick);
        self.give_deaf_zygote_up();
        self.end_overdue();
        self.end_overdue_folds();
        self.serve_rooms();
        self.push_stranded();
        self.deliver_undelivered();
        if self.retry {
            self.look_at_watched();
        }
        if self.unaudited {
            self.audit();
        }
    }

    /// Tells the scheduler of an event, carries out its actions, and tells it of the events that come of them.
    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
        if std::mem::replace(&mut self.deciding, true) {
            return;
        }
        while let Some(event) = self.events.pop_front() {
            if self.scheduler.has_queues() {
                let waits = self.segment.header().rings.iter().any(|of| self.segment.has_entries(of));
                self.decide(Event::PlainWaits(waits));
            }
            self.decide(event);
        }
        self.segment.header().queued.store(self.scheduler.has_waiting().into(), Ordering::Relaxed);
        self.deciding = false;
    }

    fn decide(&mut self, event: Event) {
        tracing::trace!(?event, "scheduler");
        for action in self.scheduler.handle(Instant::now(), event) {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::StartWorker(worker) => self.start_worker(worker),
            Action::StopWorker(worker) => self.stop_worker(worker),
            Action::Lease(worker) => self.lease(worker, true),
            Action::Recall(worker) => self.lease(worker, false),
            Action::Run { worker, task, hints } => self.assign(worker, task, &hints),
            Action::Infeasible(task, _) => self.warn_infeasible(task),
            Action::InfeasibleGroup(group) => self.warn_infeasible_group(group),
            Action::Groupless(task) => self.fail_groupless(task),
            Action::Unstarted(task) => self.fail_unstarted(task),
            Action::Refuse => self.refuse_tasks(),
            Action::Full => self.notice(format!(
                "there are {WORKERS_MAX} processes for tasks and actors, which is all that a runtime has: what comes now waits until some end"
            )),
        }
    }

    /// Queues a message.
    fn send(&mut self, client: ClientId, message: &ToClient) {
        self.send_beside(client, message, Vec::new());
    }

    /// Queues a message, with descriptors beside it.
    fn send_beside(&mut self, id: ClientId, message: &ToClient, fds: Vec<OwnedFd>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Err(error) = client.connection.queue(message, fds) {
            // A bug, because answers are bounded where they are made.
            tracing::error!(client = id.0, %error, "message not sent");
        }
        if !std::mem::replace(&mut client.connection.dirty, true) {
            self.dirty.push(id);
        }
    }

    fn flush(&mut self) {
        while let Some(id) = self.dirty.pop() {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            client.connection.dirty = false;
            match client.connection.flush() {
                Health::Clear => self.watch_writing(id, false),
                Health::Stuffed => self.watch_writing(id, true),
                Health::Dead => self.disconnect(id),
            }
        }
    }

    fn watch_writing(&mut self, id: ClientId, writing: bool) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if std::mem::replace(&mut client.connection.watched, writing) != writing {
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, writing);
            let token = EventData::new_u64(Pool::socket_token(id));
            if epoll::modify(&self.epoll, client.connection.socket(), token, flags).is_err() {
                self.disconnect(id);
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let flags = SocketFlags::CLOEXEC;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => {
                    let id = ClientId(self.client_next);
                    self.client_next += 1;
                    self.admit(id, socket);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => {
                    // Out of descriptors: stop listening until a client leaves, rather than spin.
                    tracing::error!(%error, "no more clients");
                    let _ = epoll::delete(&self.epoll, &self.listener);
                    return;
                }
            }
        }
    }

    /// Takes a socket in as a client that has yet to say hello.
    fn admit(&mut self, id: ClientId, socket: OwnedFd) {
        let connection = Connection::new(socket);
        let token = EventData::new_u64(Pool::socket_token(id));
        if epoll::add(&self.epoll, connection.socket(), token, EventFlags::IN).is_ok() {
            let client = Client { connection, role: None, seat: None, pid: 0, session: SessionId::OWNER };
            self.clients.insert(id, client);
        }
    }

    /// Handles what a client has said.
    fn hear_client(&mut self, id: ClientId, flags: EventFlags) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if flags.contains(EventFlags::OUT) && !std::mem::replace(&mut client.connection.dirty, true) {
            self.dirty.push(id);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        let health = client.connection.receive();
        if self.segment.has_strands() {
            // What was left before the message was sent.
            self.adopt_strands();
        }
        // Looked up each time, because handling a message can end its sender.
        while let Some(client) = self.clients.get_mut(&id) {
            let handled = match client.connection.take() {
                Ok(None) => break,
                Ok(Some(message)) => self.handle_message(id, message).map_err(str::to_owned),
                Err(error) => Err(error.to_string()),
            };
            if let Err(nonsense) = handled {
                tracing::error!(client = id.0, nonsense, "client dropped");
                self.drop_client(id);
                return self.disconnect(id);
            }
        }
        if health == Health::Dead {
            self.disconnect(id);
        }
    }

    /// Has the blocking calls of a living process end, which is no client any more. Its seat is nobody's until it is gone.
    fn drop_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id).filter(|_| id.worker().is_none()) else { return };
        if let Some(seat) = client.seat {
            self.dropped.insert(seat, client.pid);
            self.segment.desk(seat).interrupted.store(Desk::DROPPED, Ordering::Release);
            self.segment.ring(seat);
        }
    }

    /// A client's connection has ended.
    fn disconnect(&mut self, id: ClientId) {
        if let Some(worker) = id.worker() {
            // The worker's process is ending or must end. What it held is given back when it is gone, because until
            // then it may write; and only its end says how its task failed.
            return self.end_worker(worker);
        }
        let Some(client) = self.clients.get(&id) else { return };
        let (pid, session) = (client.pid, client.session);
        let driver = client.seat.filter(|_| client.role == Some(Role::Driver) && self.has_session(session));
        if self.is_front(id) {
            self.end_session(id);
        }
        if let Some(seat) = driver {
            // Its drafts are gone; its references stand until the front process says what became of it.
            self.orphans.insert(id, Orphan { pid, seat, session });
            self.remove_connection(id);
            let estate = self.segment.bury(seat, Keep::Had);
            self.settle(estate, pid, None);
        } else {
            self.remove_client(id, pid, None);
        }
        // A descriptor may be free for another client now.
        let _ = epoll::add(&self.epoll, &self.listener, EventData::new_u64(LISTENER), EventFlags::IN);
    }

    /// Forgets a client and clears away everything it had; `cause` is how a worker ended.
    fn remove_client(&mut self, id: ClientId, pid: u32, cause: Option<Cause>) {
        let orphan = self.orphans.remove(&id).map(|orphan| orphan.seat);
        let seat = self.remove_connection(id).or(orphan);
        if let Some(seat) = seat {
            let estate = self.segment.bury(seat, Keep::Nothing);
            if !self.dropped.contains_key(&seat) {
                self.segment.header().taken.remove(seat);
            }
            self.settle(estate, pid, cause);
        }
    }

    /// Forgets a client's connection and its questions, but not its references. Returns its seat.
    fn remove_connection(&mut self, id: ClientId) -> Option<Seat> {
        self.forget_room(id, None);
        let seat = self.clients.remove(&id)?.seat;
        self.forget_spawns_of(id);
        seat
    }

    /// A free seat. What shared memory says of it is not enough, because a client could have written there.
    fn free_seat(&mut self) -> Option<Seat> {
        let gone: Vec<Seat> = self.dropped.extract_if(|_, pid| !is_there(*pid)).map(|(seat, _)| seat).collect();
        let taken = &self.segment.header().taken;
        let clients = || self.clients.values().filter_map(|client| client.seat);
        let orphans = || self.orphans.values().map(|orphan| orphan.seat);
        let is_in_use = |seat| clients().chain(orphans()).any(|other| other == seat);
        gone.into_iter().filter(|seat| !is_in_use(*seat)).for_each(|seat| _ = taken.remove(seat));
        let seat = (1..SEATS as u16).map(Seat).find(|seat| !taken.has(*seat) && !is_in_use(*seat))?;
        taken.add(seat);
        Some(seat)
    }

    /// A client's seat.
    fn seat(&self, id: ClientId) -> Option<Seat> {
        self.clients.get(&id)?.seat
    }

    /// A client's desk.
    fn desk(&self, id: ClientId) -> Option<&Desk> {
        self.seat(id).map(|seat| self.segment.desk(seat))
    }

    fn obey(&mut self) {
        let _ = rustix::io::read(&self.wake.bell, &mut [0; 8]);
        self.resume();
        let commands = std::mem::take(&mut *self.wake.commands.lock().unwrap_or_else(PoisonError::into_inner));
        for command in commands {
            match command {
                Command::Interrupt(turn) => self.interrupt(SessionId::OWNER, turn),
                Command::CellHost { pid, takeover: false } => self.keep_only_driver(SessionId::OWNER, pid),
                // The twin's own `Hello` names its references; until then those of the dead driver stand.
                Command::CellHost { takeover: true, .. } => {}
                Command::CommAnswer { client, req, answer } => self.answer_comm(client, req, answer),
                Command::Joined { client, req, answer } => {
                    let answer = answer.map_err(|message| Fault::Refused { message });
                    self.send(client, &ToClient::Answer { req, answer });
                }
                Command::Rest => self.rest(),
                Command::Shutdown => {
                    self.end_all_folds();
                    self.ending = true;
                }
            }
        }
    }

    /// Interrupts a turn of a session, by the runtime's number.
    fn interrupt(&mut self, session: SessionId, turn: u64) {
        for id in self.drivers(session) {
            self.send(id, &ToClient::Interrupt { turn });
            if let Some(seat) = self.seat(id) {
                self.segment.desk(seat).interrupted.store(turn + 1, Ordering::Release);
                self.segment.ring(seat);
            }
        }
    }

    /// The connected drivers of a session.
    fn drivers(&self, session: SessionId) -> Vec<ClientId> {
        let is_one = |client: &Client| {
            matches!(client.role, Some(Role::Driver | Role::JoinedProgram)) && client.session == session
        };
        self.clients.iter().filter(|(_, client)| is_one(client)).map(|(id, _)| *id).collect()
    }

    /// The cell host of a session is the process `pid` now; what others had is released.
    fn keep_only_driver(&mut self, session: SessionId, pid: u32) {
        let is_dead = |orphan: &Orphan| orphan.session == session && orphan.pid != pid;
        let orphans = self.orphans.iter().filter(|(_, orphan)| is_dead(orphan)).map(|(id, orphan)| (*id, orphan.pid));
        let live =
            self.drivers(session).into_iter().map(|id| (id, self.clients[&id].pid)).filter(|(_, other)| *other != pid);
        let gone: Vec<(ClientId, u32)> = orphans.chain(live).collect();
        gone.iter().for_each(|(id, _)| self.drop_client(*id));
        gone.into_iter().for_each(|(id, pid)| self.remove_client(id, pid, None));
    }

    /// Watches a pipe.
    fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> rustix::io::Result<()> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)
    }
}

/// Whether there is a process of this number.
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

fn refuse<T>(message: String) -> Fallible<T> {
    Err(Fault::Refused { message }.into())
}
