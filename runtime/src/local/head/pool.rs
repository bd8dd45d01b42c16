//! Workers: their processes, and the zygote that forks them.
//!
//! ```text
//!   start ─▶ forked ─▶ hello ─▶ runs tasks ─▶ its socket ends ─▶ the zygote reports how it ended ─▶ forgotten
//! ```
//!
//! The end of a socket only says that a process is ending. When the zygote has reaped the process, it is known how it
//! ended, and that it can write no more. So its task fails and its memory returns only then.

use super::Head;
use super::lines::{Label, Lines};
use super::output_signal;
use crate::abi::Cause;
use crate::local::Stream;
use crate::local::gpus;
use crate::local::zygote::{FromZygote, ToZygote, Zygote};
use crate::protocol::{ClientId, Request, WorkerId};
use crate::scheduler::{Event, GPU};
use crate::store::{Desk, SEATS};
use crate::sync::Ordering;
use mobula_fds as fds;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long killed processes have until they must be gone.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
pub(super) const READ_BYTES: usize = 64 << 10;
pub(super) const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

#[derive(Debug, Default)]
struct Worker {
    /// 0 until it is known.
    pid: u32,
    /// Its process's descriptor, once it has been forked.
    process: Option<OwnedFd>,
    /// Its socket has ended, or has been given up.
    is_ending: bool,
}

/// The pipe that a worker writes to.
#[derive(Debug)]
pub(super) struct Pipe {
    pub fd: OwnedFd,
    pub stream: Stream,
    pub lines: Lines,
}

/// Why a worker was not started.
#[derive(Debug)]
enum Trouble {
    /// The zygote is dead, or does not read its messages.
    Zygote(String),
    /// The system has no room for another process.
    System(String),
}

/// All workers of a runtime.
#[derive(Debug)]
pub(super) struct Pool {
    zygote: Option<Zygote>,
    workers: HashMap<WorkerId, Worker>,
    pub pipes: HashMap<u64, Pipe>,
    /// Pipes that are not read until the front end has room.
    pub paused: Vec<u64>,
    /// Workers that wait until the front end has taken what they wrote.
    pub unanswered: Vec<(ClientId, Request)>,
    trouble: String,
}

impl Pool {
    pub fn new(zygote: Zygote) -> Pool {
        Pool {
            zygote: Some(zygote),
            workers: HashMap::new(),
            pipes: HashMap::new(),
            paused: Vec::new(),
            unanswered: Vec::new(),
            trouble: String::new(),
        }
    }

    /// The token of a client's socket in epoll.
    pub fn socket_token(client: ClientId) -> u64 {
        u64::from(client.0) << 2
    }

    /// The token of a worker's pipe in epoll.
    pub fn pipe_token(worker: WorkerId, stream: Stream) -> u64 {
        Pool::socket_token(worker.client()) | if stream == Stream::Stdout { 1 } else { 2 }
    }

    /// Whether the token is a pipe's, and not a socket's.
    pub fn is_pipe(token: u64) -> bool {
        token & 3 != 0
    }

    /// The client that the token belongs to.
    pub fn client_of(token: u64) -> ClientId {
        ClientId((token >> 2) as u32)
    }

    /// The zygote's socket.
    pub fn link(&self) -> Option<BorrowedFd<'_>> {
        self.zygote.as_ref()?.link()
    }

    /// The workers that run, or are about to.
    pub fn all(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    /// Whether the worker is one of those.
    pub fn has(&self, worker: WorkerId) -> bool {
        self.workers.contains_key(&worker)
    }

    /// The workers' process ids, sorted.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.workers.values().map(|worker| worker.pid).filter(|pid| *pid != 0).collect();
        pids.sort_unstable();
        pids
    }

    /// A worker's process id; 0 when it is not known.
    pub fn pid(&self, worker: WorkerId) -> u32 {
        self.workers.get(&worker).map_or(0, |worker| worker.pid)
    }

    /// Notes that a process could not get a seat.
    pub fn no_seat(&mut self) {
        let workers = self.workers.len();
        self.trouble = format!(
            "a runtime has at most {} processes, and {workers} workers are all that it can have; tasks that wait for tasks that wait for \
             tasks need one each",
            SEATS - 1
        );
    }

    /// What last went wrong with starting workers.
    pub fn last_trouble(&self) -> &str {
        if self.trouble.is_empty() { "worker processes end before they are ready" } else { &self.trouble }
    }

    /// When the zygote counts as dead, unless it reads something before.
    pub fn deaf_at(&self) -> Option<Instant> {
        self.zygote.as_ref()?.deaf_at()
    }

    fn ask_zygote(&mut self, message: &ToZygote, beside: Vec<OwnedFd>) -> std::io::Result<()> {
        match &mut self.zygote {
            Some(zygote) => zygote.tell(message, beside),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Head {
    /// Starts a worker. It is ready when it has said hello.
    pub(super) fn start_worker(&mut self, worker: WorkerId) {
        self.pool.workers.insert(worker, Worker::default());
        let Err(trouble) = self.try_start_worker(worker) else { return };
        tracing::error!(worker = worker.0, ?trouble, "worker not started");
        match trouble {
            Trouble::Zygote(message) => {
                self.pool.trouble = message;
                // Reads the zygote's last messages, up to the end of its socket.
                self.hear_zygote();
                if self.pool.workers.contains_key(&worker) {
                    self.zygote_died();
                }
            }
            Trouble::System(message) => {
                self.pool.trouble = message;
                self.worker_ended(worker, killed());
            }
        }
    }

    fn try_start_worker(&mut self, worker: WorkerId) -> Result<(), Trouble> {
        if self.pool.zygote.is_none() {
            self.pool.zygote = Some(Zygote::respawn().map_err(|error| Trouble::System(error.to_string()))?);
            self.watch_zygote().map_err(|error| Trouble::Zygote(error.to_string()))?;
            self.introduce_folder().map_err(|error| Trouble::Zygote(error.to_string()))?;
        }
        let trouble = |errno: Errno| Trouble::System(errno.to_string());
        let (ours, theirs) = fds::pair(SocketType::STREAM).map_err(trouble)?;
        let mut ends = Vec::with_capacity(STREAMS.len() + 1);
        for stream in STREAMS {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(trouble)?;
            // Only the read end: a task's own writes wait when the pipe is full, as everywhere.
            rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK).map_err(trouble)?;
            let token = Pool::pipe_token(worker, stream);
            self.watch(read.as_fd(), token).map_err(trouble)?;
            let lines = Lines::new(Label::nobody());
            self.pool.pipes.insert(token, Pipe { fd: read, stream, lines });
            ends.push(write);
        }
        ends.insert(0, theirs);
        let env = self.environment(worker);
        if let Some(program) = self.program_of_worker(worker) {
            ends.push(self.programs.executable(program).map_err(Trouble::System)?);
        }
        self.pool.ask_zygote(&ToZygote::Fork(worker, env), ends).map_err(|error| Trouble::Zygote(error.to_string()))?;
        self.admit(worker.client(), ours);
        Ok(())
    }

    /// The variables that a worker's environment has besides the runtime's own.
    fn environment(&mut self, worker: WorkerId) -> Vec<(String, String)> {
        let environment = self.scheduler.environment(worker);
        let mut variables = self.scheduler.shapes().variables(environment.variables).to_vec();
        if self.scheduler.total().units(GPU) > 0 || std::env::var_os("CUDA_VISIBLE_DEVICES").is_some() {
            // Before the process opens a library that looks for them; a plain task sees none.
            let gpus = environment.gpus.iter().copied().map(gpus::name_of).collect::<Vec<_>>().join(",");
            variables.push(("CUDA_VISIBLE_DEVICES".into(), gpus));
        }
        variables
    }

    /// Tells the zygote what to remove when this process dies.
    pub(super) fn introduce_folder(&mut self) -> std::io::Result<()> {
        self.pool.ask_zygote(&ToZygote::Folder(self.folder.path().to_owned()), Vec::new())
    }

    /// Ends an idle worker. The rest happens when the zygote reports its end.
    pub(super) fn stop_worker(&mut self, worker: WorkerId) {
        let _ = self.pool.ask_zygote(&ToZygote::Kill(worker), Vec::new());
    }

    /// A worker has said hello.
    pub(super) fn worker_connected(&mut self, worker: WorkerId, pid: u32) {
        if let Some(entry) = self.pool.workers.get_mut(&worker) {
            entry.pid = pid;
        }
    }

    /// A worker is ready for tasks.
    pub(super) fn worker_ready(&mut self, worker: WorkerId) {
        let pid = self.pool.pid(worker);
        let pipes = STREAMS.map(|stream| self.pool.pipes.get(&Pool::pipe_token(worker, stream)));
        let told = pipes.into_iter().flatten().filter(|pipe| output_signal::tell_writer(&pipe.fd, pid)).count();
        if told < STREAMS.len()
            && let Some(desk) = self.desk(worker.client())
        {
            // Without the signal, the worker asks after every task.
            desk.wrote.store(2, Ordering::Release);
        }
        // A worker that becomes ready while the runtime is shut down serves no task.
        let unserved = self.scheduler.serves_nobody();
        self.segment.header().unserved.store(unserved.into(), Ordering::Release);
        self.tell(Event::WorkerReady(worker));
    }

    /// The worker may take tasks from now on, or may not.
    pub(super) fn lease(&mut self, worker: WorkerId, leased: bool) {
        let Some(seat) = self.seat(worker.client()) else { return };
        let desk = self.segment.desk(seat);
        let next = desk.leased.load(Ordering::Relaxed).wrapping_add(1);
        // Another process may have written there.
        let next = if Desk::is_lease(next) == leased { next } else { next.wrapping_add(1) };
        desk.leased.store(next, Ordering::Release);
        self.segment.ring(seat);
    }

    /// Ends the process of a worker whose socket has ended, or whose message was invalid.
    pub(super) fn end_worker(&mut self, worker: WorkerId) {
        let Some(entry) = self.pool.workers.get_mut(&worker) else { return };
        if std::mem::replace(&mut entry.is_ending, true) {
            return;
        }
        if let Some(client) = self.clients.get(&worker.client()) {
            let _ = epoll::delete(&self.epoll, client.connection.socket());
        }
        // What it had is cleared away when the zygote has reported how it ended, because then it can write no more.
        let _ = self.pool.ask_zygote(&ToZygote::Kill(worker), Vec::new());
    }

    /// Handles the zygote's messages, and the end of its socket.
    pub(super) fn hear_zygote(&mut self) {
        if let Some(zygote) = &mut self.pool.zygote {
            // An error shows itself in what is read next.
            let _ = zygote.flush();
        }
        let mut bytes = [0; 1024];
        loop {
            let Some(link) = self.pool.link() else { return };
            match fds::receive(link, &mut bytes, &mut Vec::new(), false) {
                Ok(0) => return self.zygote_died(),
                Ok(len) => match postcard::from_bytes(&bytes[..len]) {
                    Ok(FromZygote::Forked { worker, pid }) => {
                        if let Some(entry) = self.pool.workers.get_mut(&worker) {
                            entry.pid = pid;
                            let number = Pid::from_raw(pid as i32);
                            entry.process = number.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                        }
                    }
                    Ok(FromZygote::Failed { worker, message }) => {
                        self.pool.trouble = message;
                        self.worker_ended(worker, killed());
                    }
                    Ok(FromZygote::Exited { worker, signal, code }) => {
                        let cause = match (signal, code) {
                            (Some(signal), _) => Cause::Signal { signal, name: signal_name(signal) },
                            (None, code) => Cause::Exit { code: code.unwrap_or(0) },
                        };
                        self.worker_ended(worker, cause);
                    }
                    Err(error) => tracing::error!(%error, "the zygote sent an invalid message"),
                },
                Err(Errno::AGAIN) => return,
                Err(_) => return self.zygote_died(),
            }
        }
    }

    /// Kills a zygote that has read nothing for too long; another one is started when it is needed.
    pub(super) fn give_deaf_zygote_up(&mut self) {
        if self.pool.deaf_at().is_some_and(|at| at <= Instant::now())
            && let Some(zygote) = &self.pool.zygote
        {
            zygote.kill();
            self.zygote_died();
        }
    }

    fn zygote_died(&mut self) {
        // Dropping the zygote reaps it.
        self.pool.zygote = None;
        // The workers are set to die with the zygote, and may write until they have.
        let processes: Vec<OwnedFd> =
            self.pool.workers.values_mut().filter_map(|worker| worker.process.take()).collect();
        wait_until_gone(&processes);
        let workers: Vec<WorkerId> = self.pool.workers.keys().copied().collect();
        self.notice(format!(
            "the process that starts workers was killed, and {} workers with it; starting it again",
            workers.len()
        ));
        for worker in workers {
            self.worker_ended(worker, killed());
        }
    }

    fn worker_ended(&mut self, worker: WorkerId, cause: Cause) {
        tracing::debug!(worker = worker.0, ?cause, "worker ended");
        // The worker's earlier messages count. A task that it reports as done is done, and it gets no other.
        let was_ending = self.pool.workers.get_mut(&worker).map(|entry| std::mem::replace(&mut entry.is_ending, true));
        if was_ending == Some(false) {
            self.hear_client(worker.client(), EventFlags::IN);
        }
        self.end_output(worker);
        let Some(entry) = self.pool.workers.remove(&worker) else { return };
        // A task that it was given and has not begun is in no queue.
        let unbegun = self.scheduler.task_of(worker).filter(|task| self.is_untouched(*task));
        let fate = self.actor_lost(worker, &cause, entry.pid);
        self.tell(Event::WorkerExited(worker));
        self.remove_client(worker.client(), entry.pid, Some(cause));
        self.meet_fate(fate);
        self.killed_is_gone(worker);
        if let Some(redirect) = &mut self.redirect {
            redirect.close(entry.pid);
        }
        unbegun.into_iter().for_each(|task| self.push(task));
        self.bid_farewell();
    }
}

/// Kills processes and returns when they are gone. A process that cannot be killed, such as one that waits for a dead
/// disk, is given up in time.
fn wait_until_gone(processes: &[OwnedFd]) {
    for process in processes {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
    let deadline = Instant::now() + ENDS_WITHIN;
    for process in processes {
        let left = fds::timespec(deadline.saturating_duration_since(Instant::now()));
        let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left));
        // Where this process inherits orphans, it has to reap them.
        let _ = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

pub(super) fn killed() -> Cause {
    Cause::Signal { signal: libc::SIGKILL, name: signal_name(libc::SIGKILL) }
}

fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}
