//! The cell host's loop: it runs libraries, forks a twin after each, and becomes the host again when the twin takes over.

use super::formers::{self, Formers};
use super::library::{Entry, Library, Variables, forget_role};
use super::relocate::Settler;
use super::twin::{Side, Twin, exit, freeze};
use crate::event::{CellId, Turn};
use crate::host::CellRuntime;
use crate::link::wire::{FromHost, SOCKET_ENV, ToHost, receive, send};
use crate::reports::record::Kept;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{PidfdFlags, Resource, getpid, getppid, getrlimit, pidfd_open, setrlimit};
use std::time::{Duration, Instant};

/// The variable that evcxr sets for its child.
pub const CHILD_ENV: &str = "EVCXR_IS_RUNTIME";

/// The command that runs the callbacks for which messages wait.
pub const CALLBACKS: &str = "CALLBACKS";

/// The command that runs a cell.
pub const RUN: &str = "RUN";

/// The command that runs a cell whose effects are taken back when it has ended.
pub const TRY: &str = "TRY";

/// The command that has an earlier twin take this process's place.
pub const GO_BACK: &str = "GO_BACK";

/// A flag in the result of a cell's function: variables of earlier cells are lost. The same as `ending::LOST` of the cells' crate.
const LOST: u32 = 4;

/// Why a cell that is to be taken back is not run.
const NOT_TAKEN_BACK: &str = "there is no copy of the process from which it could be taken back";

/// Why a cell cannot be undone after which no twin could be made.
const NOT_COPIED: &str = "its process could not be copied";

/// How large the stack of cells may grow, in bytes. A cell's variables, arrays too, lie on it while the cell runs and are moved once or
/// twice. The usual 8 MiB are too little for an array of 6 MB.
const STACK: u64 = 64 << 20;

/// Whether this process was started to be the cell host.
pub fn is_asked_for() -> bool {
    std::env::var_os(CHILD_ENV).is_some() && std::env::var_os(SOCKET_ENV).is_some()
}

/// Runs this process as evcxr's child and never returns. Must be called before any thread exists.
pub fn run(runtime: &dyn CellRuntime) -> ! {
    match Host::start(runtime) {
        Ok(mut host) => host.serve(),
        Err(error) => {
            eprintln!("mobula: the cell host could not start: {error}");
            exit(99)
        }
    }
}

struct Host<'a> {
    runtime: &'a dyn CellRuntime,
    address: SocketAddrUnix,
    /// The connection to the front process.
    socket: OwnedFd,
    /// evcxr's command pipe. Read byte by byte, so that a twin finds the rest.
    commands: OwnedFd,
    /// The front process's pidfd, readable when it is dead.
    front: OwnedFd,
    variables: Variables,
    settler: Settler,
    /// The number of this process's state; it grows with each cell.
    checkpoint: u64,
    /// The highest number that any process's state may have.
    newest: u64,
    /// The number of the twin's state: an earlier one if the system has had no room for another twin since.
    guarded: u64,
    /// The twins from before earlier cells.
    formers: Formers,
    /// The checkpoint of the oldest of them; that of the twin if there are none.
    oldest: u64,
    /// Whether the twin from before what runs next is to be kept.
    keeps: bool,
    /// How many bytes of its own the process had when the twin was made.
    bytes: u64,
    /// Whether what the present cell does is taken back.
    is_trial: bool,
    /// How long opening the last library took.
    loading: Duration,
    twin: Option<Twin>,
}

impl<'a> Host<'a> {
    fn start(runtime: &'a dyn CellRuntime) -> Result<Host<'a>, Box<dyn std::error::Error>> {
        let path = std::env::var_os(SOCKET_ENV).ok_or("it was not started by `mobula`")?;
        forget_role(&[CHILD_ENV, SOCKET_ENV]);
        enlarge_stack();
        let front = getppid().ok_or("the front process is gone")?;
        let front = pidfd_open(front, PidfdFlags::empty())?;
        let address = SocketAddrUnix::new(path)?;
        let _ = rustix::process::setpgid(None, None);
        let _ = rustix::thread::set_name(c"mobula-cells");

        let commands = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let results = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        let socket = connect(&address)?;
        send(&socket, &FromHost::Hello { pid: getpid().as_raw_nonzero().get() }, &[results.as_fd()])?;
        drop(results);
        let (ToHost::Welcome { checkpoint }, fds) = receive::<ToHost>(&socket)?.ok_or("the front process hung up")?
        else {
            return Err("the front process refused the cell host".into());
        };
        let [out, err]: [OwnedFd; 2] = fds.try_into().map_err(|_| "the front process sent no pipes")?;
        rustix::stdio::dup2_stdout(&out)?;
        rustix::stdio::dup2_stderr(&err)?;
        let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;

        super::crash::tell_to(socket.as_fd());
        let mut host = Host {
            runtime,
            address,
            socket,
            commands,
            front,
            variables: Variables::NONE,
            settler: Settler::default(),
            checkpoint,
            newest: checkpoint,
            guarded: checkpoint,
            formers: Formers::default(),
            oldest: checkpoint,
            keeps: false,
            bytes: 0,
            is_trial: false,
            loading: Duration::ZERO,
            twin: None,
        };
        // If no twin could be made, the end of the first cell says so.
        let _ = host.freeze();
        Ok(host)
    }

    fn serve(&mut self) -> ! {
        loop {
            let Some(line) = read_line(&self.commands) else { self.leave() };
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            match words[..] {
                ["LOAD_AND_RUN", library, function] => self.cell(library, Some(Entry::Evcxr(function))),
                [verb @ (RUN | TRY), function, last, oldest, library] if let Ok(last) = last.parse() => {
                    self.is_trial = verb == TRY;
                    self.keeps = oldest.parse().is_ok_and(|oldest| self.keep_from(oldest));
                    self.cell(library, Some(Entry::Direct(function, last)));
                    (self.is_trial, self.keeps) = (false, false);
                }
                [CALLBACKS] => self.cell("", None),
                [GO_BACK, checkpoint] if let Ok(checkpoint) = checkpoint.parse() => self.go_back(checkpoint),
                _ => {
                    eprintln!("mobula: unknown command from the evaluator: {line:?}");
                    self.leave()
                }
            }
        }
    }

    /// Runs a cell's library; without an entry, callbacks.
    fn cell(&mut self, library: &str, entry: Option<Entry<'_>>) {
        let (answer, fds) = self.ask(&FromHost::Load { library: library.to_owned() });
        match answer {
            ToHost::Begin { cell, turn, memory } => {
                if let Some(input) = fds.first() {
                    let _ = rustix::stdio::dup2_stdin(input);
                }
                drop(fds);
                let cell = CellId(cell);
                self.runtime.cell_began(cell, Turn(turn));
                limit_memory(memory);
                let ended = match entry {
                    Some(_) if self.is_trial && !self.has_exact_twin() => Err(NOT_TAKEN_BACK.to_owned()),
                    Some(entry) => self.load_and_run(library, entry, cell),
                    None => Ok(self.call_back()),
                };
                limit_memory(None);
                self.runtime.flush();
                match ended {
                    Ok(0) if !self.is_trial => {}
                    Ok(how) => self.failed(how),
                    Err(message) => self.tell(&FromHost::LoadFailed { message }),
                }
                self.done(cell);
            }
            ToHost::Skip => {}
            _ => self.leave(),
        }
    }

    /// The cell has failed, or was only tried. If it has lost variables, or was tried, and the twin is from just before it, this process
    /// exits, and the twin takes over.
    fn failed(&mut self, how: u32) {
        let undone = (self.is_trial || how & LOST != 0) && self.has_exact_twin();
        self.tell(&FromHost::Ended { how: how & !LOST, undone });
        if undone {
            exit(0);
        }
    }

    /// Whether the twin has the state from just before the present cell.
    fn has_exact_twin(&self) -> bool {
        self.twin.is_some() && self.guarded == self.checkpoint
    }

    fn load_and_run(&mut self, library: &str, entry: Entry<'_>, cell: CellId) -> Result<u32, String> {
        let begin = Instant::now();
        let library = Library::open(library)?;
        self.settler.settle();
        if let Some(symbol) = library.attach_symbol() {
            self.runtime.attach(symbol, cell)?;
        }
        self.loading = begin.elapsed();
        library.run(entry, &mut self.variables)
    }

    fn call_back(&mut self) -> u32 {
        self.loading = Duration::ZERO;
        self.runtime.run_callbacks()
    }

    /// From here on, cells can be undone back to this checkpoint. Always true.
    fn keep_from(&mut self, oldest: u64) -> bool {
        self.formers.end_before(oldest);
        self.oldest = oldest;
        self.finish_what_is_final();
        true
    }

    /// If no twin is kept from before the newest one, nothing that has run can be undone.
    fn finish_what_is_final(&self) {
        if self.oldest >= self.guarded {
            self.runtime.cell_is_final();
        }
    }

    /// The cell has returned. A twin of the new state is made before the earlier one is ended or kept, so that at every instruction one of
    /// them stands by. If the system has no room for a new twin, the earlier one stays.
    fn done(&mut self, cell: CellId) {
        let (before, from) = (self.twin.take(), self.guarded);
        let keeps = self.keeps && before.is_some() && from == self.checkpoint;
        let bytes = std::mem::replace(&mut self.bytes, private_bytes());
        let held_back = (keeps || self.oldest < from).then(|| self.runtime.held_back());
        let holds_objects = matches!(held_back, Some(Ok(Some(_))));
        let (last, bytes) = (keeps.then_some(from), bytes.max(self.bytes));
        let oldest = held_back.map(|held| formers::oldest(self.oldest, last, bytes, held)).transpose();
        self.newest += 1;
        self.checkpoint = self.newest;
        let begin = Instant::now();
        let unguarded = self.freeze().err().map(|error| error.to_string());
        let [load_us, fork_us] = [self.loading, begin.elapsed()].map(|took| took.as_micros() as u64);
        let is_guarded = unguarded.is_none();
        let (oldest, is_final) = match oldest {
            Ok(Some(oldest)) if is_guarded => (oldest, None),
            Ok(_) => (self.guarded, (self.keeps || !is_guarded).then(|| NOT_COPIED.to_owned())),
            Err(why) => (self.guarded, Some(why)),
        };
        let kept = Kept { oldest, holds_objects, is_final };
        match self.ask(&FromHost::Done { checkpoint: self.guarded, unguarded, kept, load_us, fork_us }).0 {
            ToHost::Commit => {
                match before {
                    Some(twin) if keeps && oldest <= from && is_guarded => self.formers.keep(from, twin),
                    Some(twin) if is_guarded => twin.end(),
                    Some(twin) => self.twin = Some(twin),
                    None => {}
                }
                self.runtime.cell_ended(cell);
                self.keep_from(oldest);
            }
            _ => self.leave(),
        }
    }

    /// Exits in favour of the twin with this checkpoint, if there is one.
    fn go_back(&mut self, checkpoint: u64) {
        self.formers.wake(checkpoint);
        match self.ask(&FromHost::GoBack { checkpoint }).0 {
            ToHost::Exit => exit(0),
            ToHost::Skip => {}
            _ => self.leave(),
        }
    }

    /// Makes a twin of this process's state.
    ///
    /// # Errors
    /// The system has no room for another process. The host goes on without one rather than not at all.
    fn freeze(&mut self) -> Result<(), Errno> {
        let mut side = None;
        self.runtime.with_streams_locked(&mut || side = Some(freeze(&self.front)));
        match side.unwrap_or(Err(Errno::AGAIN))? {
            Side::Host(twin) => {
                self.twin = Some(twin);
                self.guarded = self.checkpoint;
                Ok(())
            }
            Side::Heir(twin) => self.take_over(twin),
        }
    }

    /// This process is a twin, and its host has died.
    fn take_over(&mut self, own_twin: Option<Twin>) -> ! {
        // Each of them does the same.
        self.formers.forget();
        self.twin = own_twin;
        self.guarded = self.checkpoint;
        let Ok(socket) = connect(&self.address) else { self.leave() };
        self.socket = socket;
        super::crash::tell_to(self.socket.as_fd());
        let pid = getpid().as_raw_nonzero().get();
        let mut answer = self.ask(&FromHost::Candidate { pid, checkpoint: self.checkpoint }).0;
        while answer == ToHost::Hold {
            answer = self.answer().0;
        }
        match answer {
            ToHost::Promote { newest, oldest } => {
                let _ = rustix::thread::set_name(c"mobula-cells");
                (self.newest, self.oldest) = (newest, oldest);
                self.runtime.took_over(oldest >= self.checkpoint);
                self.tell(&FromHost::Promoted);
                // A twin that has this process's new connections replaces the one made before.
                let early = self.twin.take();
                match (self.freeze(), early) {
                    (Ok(()), Some(early)) => early.end(),
                    (Err(_), early) => self.twin = early,
                    (Ok(()), None) => {}
                }
                self.serve()
            }
            _ => self.leave(),
        }
    }

    fn tell(&self, message: &FromHost) {
        if send(&self.socket, message, &[]).is_err() {
            // The front process is dead, and the session with it.
            exit(0);
        }
    }

    fn ask(&mut self, message: &FromHost) -> (ToHost, Vec<OwnedFd>) {
        self.tell(message);
        self.answer()
    }

    fn answer(&mut self) -> (ToHost, Vec<OwnedFd>) {
        match receive::<ToHost>(&self.socket) {
            Ok(Some(answer)) => answer,
            _ => self.leave(),
        }
    }

    fn leave(&mut self) -> ! {
        if let Some(twin) = self.twin.take() {
            twin.end();
        }
        self.formers.end_before(u64::MAX);
        exit(0)
    }
}

/// Raises the stack limit of this process's main thread, which runs the cells. The kernel reads the limit each time the stack grows,
/// and keeps 128 MiB of addresses free below it in any case, so the new limit counts at once.
fn enlarge_stack() {
    let mut limit = getrlimit(Resource::Stack);
    let wanted = limit.maximum.map_or(STACK, |maximum| maximum.min(STACK));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // If it fails, large arrays may overflow the stack, as in any program.
        let _ = setrlimit(Resource::Stack, limit);
    }
}

/// How many bytes of memory this process has that it shares with no file: what a twin of it may come to take.
fn private_bytes() -> u64 {
    // The second and the third number of proc_pid_statm(5).
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
    let [resident, shared] = [(); 2].map(|()| pages.next().unwrap_or_default());
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}

/// Limits how many bytes more than now this process may take.
fn limit_memory(bytes: Option<u64>) {
    // The pages of writable private memory, which this limit counts: the sixth number of proc_pid_statm(5).
    let taken = || {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = text.split_whitespace().nth(5)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    };
    let mut limit = getrlimit(Resource::Data);
    let soft = bytes.and_then(|bytes| taken()?.checked_add(bytes));
    if limit.current == soft.or(limit.maximum) {
        return;
    }
    limit.current = soft.or(limit.maximum);
    // Setting it fails only where the person has set a lower limit already.
    let _ = setrlimit(Resource::Data, limit);
}

fn connect(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, address)?;
    Ok(socket)
}

/// The next line; no byte beyond it is read. `None` at the end.
fn read_line(from: impl AsFd) -> Option<String> {
    let from: BorrowedFd<'_> = from.as_fd();
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match rustix::io::read(from, &mut byte) {
            Ok(0) => return None,
            Ok(_) if byte[0] == b'\n' => return Some(String::from_utf8_lossy(&line).into_owned()),
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
