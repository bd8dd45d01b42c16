//! Workers: their processes, the zygote that forks them, and what they write.
//!
//! ```text
//!   start ─▶ forked ─▶ hello ─▶ runs tasks ─▶ its socket ends ─▶ the zygote reports how it ended ─▶ forgotten
//! ```
//!
//! The end of a socket only says that a process is ending. How it ended, and that it can no longer write into memory
//! that it was granted, is known when the zygote has reaped it; so its task fails and its space returns only then.
//!
//! # Invariants
//! - Pipes are read whenever something is in them: a task that writes never waits for somebody to look.
//! - What a task wrote is delivered before its result exists.

use super::head::Head;
use super::lines::{Label, Lines};
use super::zygote::{FromZygote, ToZygote, Zygote};
use super::{RuntimeEvent, Stream, fds};
use crate::abi::Cause;
use crate::protocol::{ClientId, TaskId, WorkerId};
use crate::scheduler::Event;
use rustix::event::epoll::{self, EventFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::pipe::PipeFlags;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const READ_BYTES: usize = 64 << 10;
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

#[derive(Debug, Default)]
struct Worker {
    /// 0 until it is known.
    pid: u32,
    running: Option<TaskId>,
    /// Its socket has ended, or has been given up.
    is_ending: bool,
}

#[derive(Debug)]
struct Pipe {
    fd: OwnedFd,
    stream: Stream,
    lines: Lines,
}

/// Why a worker was not started.
#[derive(Debug)]
enum Trouble {
    /// The zygote is dead or deaf.
    Zygote(String),
    /// The system has no room for it.
    System(String),
}

/// All workers of a runtime.
#[derive(Debug)]
pub(super) struct Pool {
    zygote: Option<Zygote>,
    workers: HashMap<WorkerId, Worker>,
    pipes: HashMap<u64, Pipe>,
    /// How the workers died whose tasks are just being failed.
    deaths: HashMap<WorkerId, Cause>,
    trouble: String,
}

impl Pool {
    pub fn new(zygote: Zygote) -> Pool {
        Pool {
            zygote: Some(zygote),
            workers: HashMap::new(),
            pipes: HashMap::new(),
            deaths: HashMap::new(),
            trouble: String::new(),
        }
    }

    /// What epoll says when something is on a client's socket.
    pub fn socket_token(client: ClientId) -> u64 {
        u64::from(client.0) << 2
    }

    /// What epoll says when something is in a worker's pipe.
    fn pipe_token(worker: WorkerId, stream: Stream) -> u64 {
        Pool::socket_token(worker.client()) | if stream == Stream::Stdout { 1 } else { 2 }
    }

    /// Whether it is about a pipe, and not a socket.
    pub fn is_pipe(token: u64) -> bool {
        token & 3 != 0
    }

    /// Whose it is.
    pub fn client_of(token: u64) -> ClientId {
        ClientId((token >> 2) as u32)
    }

    /// The zygote's socket.
    pub fn link(&self) -> Option<BorrowedFd<'_>> {
        self.zygote.as_ref()?.link()
    }

    /// The workers' process ids, sorted.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.workers.values().map(|worker| worker.pid).filter(|pid| *pid != 0).collect();
        pids.sort_unstable();
        pids
    }

    /// The worker runs the task from now on. Gives its process id; `None` when it is ending and runs nothing more.
    pub fn start(&mut self, worker: WorkerId, task: TaskId) -> Option<u32> {
        let worker = self.workers.get_mut(&worker).filter(|worker| !worker.is_ending)?;
        worker.running = Some(task);
        Some(worker.pid)
    }

    /// The worker's task has ended.
    pub fn finish(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.running = None;
        }
    }

    /// The task that the worker runs.
    pub fn running(&self, worker: WorkerId) -> Option<TaskId> {
        self.workers.get(&worker)?.running
    }

    /// How a worker died that had a task.
    pub fn cause_of_death(&mut self, worker: WorkerId) -> Cause {
        self.deaths.remove(&worker).unwrap_or_else(killed)
    }

    /// What last went wrong with starting workers.
    pub fn last_trouble(&self) -> &str {
        if self.trouble.is_empty() { "they end before they are ready" } else { &self.trouble }
    }

    fn ask_zygote(&self, message: &ToZygote, beside: &[BorrowedFd<'_>]) -> std::io::Result<()> {
        match &self.zygote {
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
                // Its last words, which end with its end.
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
        let mut ends = Vec::with_capacity(STREAMS.len());
        for stream in STREAMS {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(trouble)?;
            // Only this end: a task's own writes wait when the pipe is full, as everywhere.
            rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK).map_err(trouble)?;
            let token = Pool::pipe_token(worker, stream);
            self.watch(read.as_fd(), token).map_err(trouble)?;
            let lines = Lines::new(Label { task: "worker".into(), cell: 0, pid: 0 });
            self.pool.pipes.insert(token, Pipe { fd: read, stream, lines });
            ends.push(write);
        }
        let beside = [theirs.as_fd(), ends[0].as_fd(), ends[1].as_fd()];
        self.pool.ask_zygote(&ToZygote::Fork(worker), &beside).map_err(|error| Trouble::Zygote(error.to_string()))?;
        self.admit(worker.client(), ours);
        Ok(())
    }

    /// Tells the zygote what to remove when this process dies.
    pub(super) fn introduce_folder(&self) -> std::io::Result<()> {
        self.pool.ask_zygote(&ToZygote::Folder(self.folder.path().to_owned()), &[])
    }

    /// Ends an idle worker. The rest happens when the zygote reports its end.
    pub(super) fn stop_worker(&mut self, worker: WorkerId) {
        let _ = self.pool.ask_zygote(&ToZygote::Kill(worker), &[]);
    }

    /// A worker has said hello.
    pub(super) fn worker_connected(&mut self, worker: WorkerId, pid: u32) {
        if let Some(entry) = self.pool.workers.get_mut(&worker) {
            entry.pid = pid;
        }
        self.tell(Event::WorkerReady(worker));
    }

    /// A worker's socket has ended, or what it says is nonsense: its process ends now.
    pub(super) fn end_worker(&mut self, worker: WorkerId) {
        let Some(entry) = self.pool.workers.get_mut(&worker) else { return };
        if std::mem::replace(&mut entry.is_ending, true) {
            return;
        }
        let is_idle = entry.running.is_none();
        if let Some(client) = self.clients.get(&worker.client()) {
            let _ = epoll::delete(&self.epoll, client.connection.socket());
        }
        let _ = self.pool.ask_zygote(&ToZygote::Kill(worker), &[]);
        if is_idle {
            // No task may be given to it any more. One that it had fails when it is known how the worker ended.
            self.tell(Event::WorkerExited(worker));
        }
    }

    /// The zygote says something, or nothing ever again.
    pub(super) fn hear_zygote(&mut self) {
        let mut bytes = [0; 1024];
        loop {
            let Some(link) = self.pool.link() else { return };
            match fds::receive(link, &mut bytes, &mut Vec::new(), false) {
                Ok(0) => return self.zygote_died(),
                Ok(len) => match postcard::from_bytes(&bytes[..len]) {
                    Ok(FromZygote::Forked { worker, pid }) => {
                        if let Some(entry) = self.pool.workers.get_mut(&worker) {
                            entry.pid = pid;
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
                    Err(error) => tracing::error!(%error, "the zygote talks nonsense"),
                },
                Err(Errno::AGAIN) => return,
                Err(_) => return self.zygote_died(),
            }
        }
    }

    fn zygote_died(&mut self) {
        // Reaps it.
        self.pool.zygote = None;
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
        // What it said before counts. A task that it reports as done is done, and it gets no other.
        let was_ending = self.pool.workers.get_mut(&worker).map(|entry| std::mem::replace(&mut entry.is_ending, true));
        if was_ending == Some(false) {
            self.hear_client(worker.client(), EventFlags::IN);
        }
        self.end_output(worker);
        let Some(entry) = self.pool.workers.remove(&worker) else { return };
        if entry.running.is_some() {
            self.pool.deaths.insert(worker, cause);
        }
        self.remove_client(worker.client());
        self.tell(Event::WorkerExited(worker));
    }

    /// What the worker writes from now on belongs to this task.
    pub(super) fn label_output(&mut self, worker: WorkerId, task: &str, cell: u64, pid: u32) {
        let label = Label { task: task.into(), cell, pid };
        for stream in STREAMS {
            if let Some(pipe) = self.pool.pipes.get_mut(&Pool::pipe_token(worker, stream)) {
                pipe.lines.belongs_to(label.clone());
            }
        }
    }

    /// Something is in a pipe.
    pub(super) fn read_pipe(&mut self, token: u64) {
        let Some(pipe) = self.pool.pipes.get_mut(&token) else { return };
        let mut bytes = [0; READ_BYTES];
        match rustix::io::read(&pipe.fd, &mut bytes) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(len) if len > 0 => {
                let text = pipe.lines.take(&bytes[..len]);
                self.deliver(token, text);
            }
            Ok(_) | Err(_) => {
                let rest = pipe.lines.end();
                self.deliver(token, rest);
                self.pool.pipes.remove(&token);
            }
        }
    }

    /// Delivers everything that the worker's task has written up to now.
    pub(super) fn end_output(&mut self, worker: WorkerId) {
        for stream in STREAMS {
            let token = Pool::pipe_token(worker, stream);
            let Some(pipe) = self.pool.pipes.get_mut(&token) else { continue };
            // As much as is there now, and no more: a thread that the task has left behind may write for ever.
            let mut left = rustix::io::ioctl_fionread(&pipe.fd).unwrap_or(0) as usize;
            let mut texts = Vec::new();
            let mut bytes = [0; READ_BYTES];
            while left > 0 {
                match rustix::io::read(&pipe.fd, &mut bytes[..left.min(READ_BYTES)]) {
                    Ok(len) if len > 0 => {
                        left -= len;
                        texts.extend(pipe.lines.take(&bytes[..len]));
                    }
                    Err(Errno::INTR) => {}
                    _ => break,
                }
            }
            texts.extend(pipe.lines.end());
            for text in texts {
                self.deliver(token, Some(text));
            }
        }
    }

    fn deliver(&self, token: u64, text: Option<String>) {
        let (Some(text), Some(pipe)) = (text, self.pool.pipes.get(&token)) else { return };
        let label = pipe.lines.label();
        self.observer.event(RuntimeEvent::TaskOutput {
            cell: label.cell,
            task: label.task.to_string(),
            pid: label.pid,
            stream: pipe.stream,
            text,
        });
    }
}

fn killed() -> Cause {
    Cause::Signal { signal: libc::SIGKILL, name: signal_name(libc::SIGKILL) }
}

fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    let name = known.iter().find(|(number, _)| *number == signal).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("signal {signal}"))
}
