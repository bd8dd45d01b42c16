//! The front process's side of the cell host: one thread that drains its output always, tells text from displays, decides
//! when a cell is done, and puts a twin in the place of a host that died.
//!
//! The thread is the only one that talks to cell hosts and to evcxr's result pipe. Everybody else leaves a wish in
//! [`Shared`] and rings [`Shared::wake`].

use crate::blocks::{Blocks, Shown};
use crate::event::{CellId, Event, Sink, Stream};
use crate::host::Host;
use crate::link_wire::{FromHost, ToHost, receive, send};
use crate::record::{Death, Record};
use crate::sources::Sources;
use crate::stream::{Piece, Splitter, half_character};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long the last processes have to end when the link does.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// How long a dead host's twin has to speak up.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
const CHUNK_BYTES: usize = 64 * 1024;

/// What the link's thread and the session share.
pub struct Shared {
    state: Mutex<State>,
    wake: OwnedFd,
}

struct State {
    /// The cell that runs, or ran last: whose output it is.
    cell: CellId,
    running: bool,
    /// What is known of the cell so far.
    record: Record,
    interrupt: Interrupt,
    sources: Arc<Sources>,
    /// The session is ending: a cell that runs is ended, and no twin takes over.
    closing: bool,
    /// The link itself is to end, at this time at the latest.
    stop: Option<Instant>,
}

/// How far an interrupt has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    None,
    /// The cell was asked to stop; its process is ended at this time.
    Asked(Instant),
    /// Its process is to be ended now.
    Now,
    /// Its process was ended.
    Killed,
}

/// The link. Dropping it ends its thread.
pub struct Link {
    shared: Arc<Shared>,
    socket: PathBuf,
    host: Arc<dyn Host>,
    grace: Duration,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Link {
    /// Starts the link's thread.
    ///
    /// # Errors
    /// The socket or the pipes cannot be made.
    pub fn start(host: Arc<dyn Host>, sink: Sink, sources: Arc<Sources>, grace: Duration) -> Result<Link, Errno> {
        let socket = host.session_dir().join("cells.sock");
        let listener = listen(&socket)?;
        let state = State {
            cell: CellId(0),
            running: false,
            record: Record::default(),
            interrupt: Interrupt::None,
            sources,
            closing: false,
            stop: None,
        };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { state: Mutex::new(state), wake });
        let mut worker = Worker::new(shared.clone(), host.clone(), sink, listener)?;
        let thread = std::thread::Builder::new()
            .name("mobula-link".into())
            .spawn(move || worker.run())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        Ok(Link { shared, socket, host, grace, thread: Some(thread) })
    }

    /// Where the cell host connects.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From here on, what is written belongs to `cell`.
    pub fn begin(&self, cell: CellId) {
        let mut state = self.shared.lock();
        state.cell = cell;
        state.running = true;
        state.interrupt = Interrupt::None;
        state.record = Record::default();
    }

    /// The cell is over; what was learnt of it.
    pub fn end(&self) -> Record {
        let mut state = self.shared.lock();
        state.running = false;
        state.record.interrupted |= state.interrupt != Interrupt::None;
        state.interrupt = Interrupt::None;
        std::mem::take(&mut state.record)
    }

    /// Interrupts the running cell, if there is one; the second time, at once.
    pub fn interrupt(&self) {
        let mut state = self.shared.lock();
        if !state.running {
            return;
        }
        let cell = state.cell;
        state.interrupt = match state.interrupt {
            Interrupt::None => Interrupt::Asked(Instant::now() + self.grace),
            Interrupt::Asked(_) => Interrupt::Now,
            already => already,
        };
        drop(state);
        self.host.interrupt(cell);
        self.shared.ring();
    }

    /// The session is ending: a running cell is ended, and no twin takes over. An idle host ends when evcxr lets go of it.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.ring();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
        self.shared.lock().stop = Some(Instant::now() + FAREWELL_MAX);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

fn listen(path: &Path) -> Result<OwnedFd, Errno> {
    let listener = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    rustix::net::listen(&listener, 8)?;
    Ok(listener)
}

/// The cell host that is in charge.
struct Present {
    socket: OwnedFd,
    pidfd: OwnedFd,
    pid: i32,
    /// The last checkpoint that counts.
    checkpoint: u64,
    /// It was a twin: this process, not evcxr, is the one to reap it.
    adopted: bool,
}

/// A stream that the cell host writes.
struct Source {
    read: OwnedFd,
    /// Kept open, to be given to every new host.
    write: OwnedFd,
}

impl Source {
    fn new() -> Result<Source, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK)?;
        Ok(Source { read, write })
    }

    /// At most one chunk of what is there.
    fn read(&self, bytes_max: usize) -> Vec<u8> {
        let mut chunk = vec![0; bytes_max.min(CHUNK_BYTES)];
        let len = rustix::io::read(&self.read, &mut chunk).unwrap_or(0);
        chunk.truncate(len);
        chunk
    }

    fn waiting(&self) -> usize {
        rustix::io::ioctl_fionread(&self.read).unwrap_or(0) as usize
    }
}

struct Worker {
    shared: Arc<Shared>,
    runtime: Arc<dyn Host>,
    sink: Sink,
    listener: OwnedFd,
    out: Source,
    err: Source,
    splitter: Splitter,
    blocks: Blocks,
    err_rest: Vec<u8>,
    /// The value of the last expression, kept back until everything that the cell wrote has been shown.
    value: Option<Event>,
    /// Connections that have not said who they are.
    strangers: Vec<OwnedFd>,
    present: Option<Present>,
    /// Twins that were sent away; this process inherited them and has to reap them.
    leaving: Vec<OwnedFd>,
    /// The host died; since when, and how.
    dead: Option<(Instant, Death)>,
    /// A twin was told to take its place and is not ready yet.
    promoting: bool,
    /// evcxr's end for results.
    results: Option<OwnedFd>,
    /// Lines that evcxr is to read before the cell's end.
    controls: Vec<String>,
    /// evcxr waits for the end of a library.
    loaded: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>, runtime: Arc<dyn Host>, sink: Sink, listener: OwnedFd) -> Result<Worker, Errno> {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        Ok(Worker {
            shared,
            runtime,
            sink,
            listener,
            out: Source::new()?,
            err: Source::new()?,
            splitter: Splitter::default(),
            blocks: Blocks::default(),
            err_rest: Vec::new(),
            value: None,
            strangers: Vec::new(),
            present: None,
            leaving: Vec::new(),
            dead: None,
            promoting: false,
            results: None,
            controls: Vec::new(),
            loaded: false,
        })
    }

    fn run(&mut self) {
        while !self.turn() {}
        // Whatever is left has outlived its farewell.
        if let Some(host) = self.present.take().filter(|_| self.dead.is_none()) {
            let _ = pidfd_send_signal(&host.pidfd, Signal::KILL);
            if host.adopted {
                let _ = waitid(WaitId::PidFd(host.pidfd.as_fd()), WaitIdOptions::EXITED);
            }
        }
    }

    /// Whether the link may end: it was asked to, and no process of a cell is left, or its time is up.
    fn is_over(&self) -> bool {
        let Some(latest) = self.shared.lock().stop else { return false };
        let alone = (self.present.is_none() || self.dead.is_some()) && self.leaving.is_empty();
        alone || Instant::now() >= latest
    }

    /// Waits for something to happen and deals with it. `true`: the link is to end.
    fn turn(&mut self) -> bool {
        let timeout = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left + Duration::from_millis(1)).ok());
        let mut fds = vec![
            PollFd::new(&self.shared.wake, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.out.read, PollFlags::IN),
            PollFd::new(&self.err.read, PollFlags::IN),
        ];
        // A host known to be dead has nothing more to say.
        if let Some(host) = self.present.as_ref().filter(|_| self.dead.is_none() || self.promoting) {
            fds.push(PollFd::new(&host.pidfd, PollFlags::IN));
            fds.push(PollFd::new(&host.socket, PollFlags::IN));
        }
        let known = fds.len();
        fds.extend(self.strangers.iter().map(|stranger| PollFd::new(stranger, PollFlags::IN)));
        fds.extend(self.leaving.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return false;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);

        if ready[0] {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.shared.wake, &mut count);
        }
        if ready[2] {
            let chunk = self.out.read(CHUNK_BYTES);
            self.take_out(&chunk);
        }
        if ready[3] {
            let chunk = self.err.read(CHUNK_BYTES);
            self.take_err(&chunk);
        }
        if known > 5 && ready[5] {
            self.host_speaks();
        }
        if known > 4 && ready[4] {
            self.host_died();
        }
        for at in (0..self.strangers.len()).rev() {
            if ready.get(known + at) == Some(&true) {
                let stranger = self.strangers.remove(at);
                self.stranger_speaks(stranger);
            }
        }
        if ready[1]
            && let Ok(stranger) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)
        {
            self.strangers.push(stranger);
        }
        self.leaving.retain(|pidfd| {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            matches!(waitid(WaitId::PidFd(pidfd.as_fd()), options), Ok(None))
        });
        self.check_deadlines();
        self.is_over()
    }

    fn deadline(&self) -> Option<Instant> {
        let takeover = self.dead.as_ref().map(|(since, _)| *since + TAKEOVER_MAX);
        let interrupt = match self.shared.lock().interrupt {
            Interrupt::Asked(at) if self.loaded => Some(at),
            _ => None,
        };
        let stop = self.shared.lock().stop;
        takeover.into_iter().chain(interrupt).chain(stop).min()
    }

    fn check_deadlines(&mut self) {
        let mut state = self.shared.lock();
        let overdue = match state.interrupt {
            Interrupt::Asked(at) => at <= Instant::now(),
            Interrupt::Now => true,
            Interrupt::None | Interrupt::Killed => state.closing && state.interrupt == Interrupt::None,
        };
        if overdue && self.loaded && self.dead.is_none() {
            state.interrupt = Interrupt::Killed;
            if let Some(host) = &self.present {
                let _ = pidfd_send_signal(&host.pidfd, Signal::KILL);
            }
        }
        let hopeless = state.closing;
        drop(state);
        if self.dead.as_ref().is_some_and(|(since, _)| hopeless || since.elapsed() > TAKEOVER_MAX) {
            // Nobody takes over. Closing evcxr's pipe tells it that its child is gone; it starts a new one.
            self.note_death();
            self.present = None;
            self.results = None;
            self.loaded = false;
        }
    }

    fn host_speaks(&mut self) {
        let Some(host) = &self.present else { return };
        match receive::<FromHost>(&host.socket) {
            Ok(Some((FromHost::Load { library }, _))) => self.load(library),
            Ok(Some((FromHost::LoadFailed { message }, _))) => self.shared.lock().record.load_failed = Some(message),
            Ok(Some((FromHost::Done { checkpoint, fork_us }, _))) => self.done(checkpoint, fork_us),
            Ok(Some((FromHost::Promoted, _))) => self.promoted(),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                // It hung up without being dead yet: its end comes by the pidfd.
                if let Some(host) = &self.present {
                    let _ = pidfd_send_signal(&host.pidfd, Signal::KILL);
                }
                self.host_died();
            }
        }
    }

    fn load(&mut self, library: String) {
        let mut state = self.shared.lock();
        state.sources.remember(&library);
        state.record.library = Some(library);
        let skip = state.running && state.interrupt != Interrupt::None;
        let cell = state.cell.0;
        state.record.loaded_at.get_or_insert_with(Instant::now);
        drop(state);
        self.loaded = true;
        self.answer(&if skip { ToHost::Skip } else { ToHost::Begin { cell } });
        if skip {
            self.shared.lock().record.panicked = true;
            self.controls.push("EVCXR_PANIC_NOTIFICATION".into());
            self.finish();
        }
    }

    fn done(&mut self, checkpoint: u64, fork_us: u64) {
        if let Some(host) = &mut self.present {
            host.checkpoint = checkpoint;
        }
        self.shared.lock().record.fork_us = fork_us;
        self.answer(&ToHost::Commit);
        if self.shared.lock().record.load_failed.is_some() {
            self.controls.push("EVCXR_PANIC_NOTIFICATION".into());
        }
        self.finish();
    }

    /// Everything that was written is taken in, then evcxr learns that the library has run.
    fn finish(&mut self) {
        self.drain();
        self.loaded = false;
        self.shared.lock().record.done_at = Some(Instant::now());
        let mut lines = std::mem::take(&mut self.controls);
        lines.push("EVCXR_EXECUTION_COMPLETE".into());
        let text = lines.join("\n") + "\n";
        if let Some(results) = &self.results {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                match rustix::io::write(results, rest) {
                    Ok(len) => rest = &rest[len..],
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Takes in what is in the pipes now, and no more: a thread of the person's may go on writing for ever.
    fn drain(&mut self) {
        for is_err in [false, true] {
            let mut waiting = if is_err { self.err.waiting() } else { self.out.waiting() };
            while waiting > 0 {
                let chunk = if is_err { self.err.read(waiting) } else { self.out.read(waiting) };
                if chunk.is_empty() {
                    break;
                }
                waiting -= chunk.len();
                if is_err { self.take_err(&chunk) } else { self.take_out(&chunk) }
            }
        }
        let rest = self.splitter.flush();
        self.show(rest);
        let cell = self.shared.lock().cell;
        for shown in self.blocks.finish() {
            self.emit(cell, shown);
        }
        let rest = std::mem::take(&mut self.err_rest);
        if !rest.is_empty() {
            let text = String::from_utf8_lossy(&rest).into_owned();
            (self.sink)(Event::Text { cell, stream: Stream::Stderr, text });
        }
        if let Some(value) = self.value.take() {
            (self.sink)(value);
        }
    }

    fn take_out(&mut self, chunk: &[u8]) {
        let pieces = self.splitter.push(chunk);
        self.show(pieces);
    }

    fn show(&mut self, pieces: Vec<Piece>) {
        let cell = self.shared.lock().cell;
        for piece in pieces {
            match piece {
                Piece::Control(line) => {
                    self.shared.lock().record.note_control(&line);
                    self.controls.push(line);
                }
                Piece::Text(text) => {
                    for shown in self.blocks.text(text) {
                        self.emit(cell, shown);
                    }
                }
                Piece::Block { mime, content } => {
                    for shown in self.blocks.block(&mime, content) {
                        self.emit(cell, shown);
                    }
                }
            }
        }
    }

    fn emit(&mut self, cell: CellId, shown: Shown) {
        if cell == CellId(0) {
            // The session itself, getting ready.
            return;
        }
        let event = match shown {
            Shown::Text(text) => Event::Text { cell, stream: Stream::Stdout, text },
            Shown::Display(bundle) => Event::Display { cell, bundle },
            Shown::Update(bundle) => Event::Update { cell, bundle },
            Shown::Result(bundle) => {
                self.value = Some(Event::Result { cell, bundle });
                return;
            }
            Shown::Clear { wait } => Event::Clear { cell, wait },
            Shown::Panic(panic) => {
                let mut state = self.shared.lock();
                if state.running {
                    state.record.panics.push(panic);
                    return;
                }
                let place = state.sources.find_in(state.record.library.as_deref(), panic.line, panic.column);
                drop(state);
                let text = crate::report::panic(&panic, place.as_ref()).plain;
                Event::Text { cell, stream: Stream::Stderr, text: format!("{text}\n") }
            }
            Shown::Error(message) => {
                self.shared.lock().record.error = Some(message);
                return;
            }
        };
        (self.sink)(event);
    }

    fn take_err(&mut self, chunk: &[u8]) {
        self.err_rest.extend_from_slice(chunk);
        let whole = self.err_rest.len() - half_character(&self.err_rest);
        let text = String::from_utf8_lossy(&self.err_rest[..whole]).into_owned();
        self.err_rest.drain(..whole);
        if !text.is_empty() {
            let cell = self.shared.lock().cell;
            (self.sink)(Event::Text { cell, stream: Stream::Stderr, text });
        }
    }

    fn answer(&self, message: &ToHost) {
        if let Some(host) = &self.present {
            let _ = send(&host.socket, message, &[]);
        }
    }

    fn stranger_speaks(&mut self, stranger: OwnedFd) {
        match receive::<FromHost>(&stranger) {
            Ok(Some((FromHost::Hello { pid }, fds))) => self.new_host(stranger, pid, fds),
            Ok(Some((FromHost::Candidate { pid, checkpoint }, _))) => self.candidate(stranger, pid, checkpoint),
            _ => {}
        }
    }

    fn new_host(&mut self, socket: OwnedFd, pid: i32, mut fds: Vec<OwnedFd>) {
        let (Some(results), Some(pidfd)) = (fds.pop(), open_pidfd(pid)) else { return };
        if send(&socket, &ToHost::Welcome, &[self.out.write.as_fd(), self.err.write.as_fd()]).is_err() {
            return;
        }
        self.results = Some(results);
        self.present = Some(Present { socket, pidfd, pid, checkpoint: 0, adopted: false });
        self.dead = None;
        self.promoting = false;
        self.loaded = false;
        self.runtime.cell_host_changed(pid as u32, false);
    }

    fn host_died(&mut self) {
        let Some(host) = &self.present else { return };
        if self.dead.is_some() && !self.promoting {
            return;
        }
        // evcxr waits for the child that it started itself, so that one stays a zombie until it does.
        let keep = if host.adopted { WaitIdOptions::empty() } else { WaitIdOptions::NOWAIT };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | keep;
        let death = match waitid(WaitId::PidFd(host.pidfd.as_fd()), options) {
            Ok(Some(status)) => Death::of(&status),
            // Not dead yet: the pidfd tells when.
            Ok(None) => return,
            Err(_) => Death::Exit(0),
        };
        // If a twin died while it was being promoted, the first death is the one to tell of.
        let first = self.dead.take().map_or(death, |(_, first)| first);
        self.dead = Some((Instant::now(), first));
        self.promoting = false;
    }

    /// A twin offers itself. It is the right one if it holds the last checkpoint that counts.
    fn candidate(&mut self, socket: OwnedFd, pid: i32, checkpoint: u64) {
        self.host_died();
        let wanted = self.present.as_ref().map(|host| host.checkpoint);
        let Some(pidfd) = open_pidfd(pid) else { return };
        let closing = self.shared.lock().closing;
        if closing || self.dead.is_none() || self.promoting || wanted != Some(checkpoint) {
            let _ = send(&socket, &ToHost::Exit, &[]);
            self.leaving.push(pidfd);
            return;
        }
        if send(&socket, &ToHost::Promote, &[]).is_ok() {
            self.present = Some(Present { socket, pidfd, pid, checkpoint, adopted: true });
            self.promoting = true;
        }
    }

    /// The new host is connected to the runtime: the cell that died is over.
    fn promoted(&mut self) {
        let Some(pid) = self.present.as_ref().map(|host| host.pid) else { return };
        self.promoting = false;
        self.runtime.cell_host_changed(pid as u32, true);
        self.drain();
        let idle = !self.loaded;
        let death = self.note_death();
        if !idle {
            self.controls.clear();
            self.controls.push("EVCXR_PANIC_NOTIFICATION".into());
            self.finish();
        } else if let Some(death) = death {
            let text = format!(
                "the process that runs the cells {death} while no cell was running; a copy took its place and every variable is intact"
            );
            (self.sink)(Event::Notice { text });
        }
    }

    fn note_death(&mut self) -> Option<Death> {
        let (_, death) = self.dead.take()?;
        if self.loaded {
            self.shared.lock().record.death = Some(death.clone());
        }
        Some(death)
    }
}

fn open_pidfd(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}
