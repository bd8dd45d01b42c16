//! The handle by which a process owns a runtime.

use super::actors::Actors;
use super::cancel::Cancels;
use super::functions::Functions;
use super::pool::Pool;
use super::settings::{Settings, lay_out, map};
use super::spill_folder::spill_folder;
use super::task_options::KnownOptions;
use super::tasks::Blames;
use super::{Command, Head, Wake};
use crate::local::folder::Folder;
use crate::local::{Config, Observer, RuntimeEvent, StartError, Zygote};
use crate::scheduler::Scheduler;
use crate::store::{Eviction, Leases, Limits, Region, Seat, Segment, Spill};
use crate::sync::Ordering;
use rustix::event::EventfdFlags;
use rustix::event::epoll::CreateFlags;
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A running runtime. Dropping it ends all its processes and removes its folder and memory.
#[derive(Debug)]
pub struct Local {
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
    socket: PathBuf,
    session_dir: PathBuf,
    segment: Arc<Segment>,
}

impl Local {
    /// Starts the head on a thread of its own and returns when clients can connect. Workers start in the background.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(zygote: Zygote, config: Config, observer: Arc<dyn Observer>) -> Result<Local, StartError> {
        config.amounts()?;
        let folder = Folder::create()?;
        let (region, notice) =
            Region::create(config.object_store_memory, config.store_directory.as_deref(), config.huge_pages)?;
        let limits = Limits { slots: config.objects_max(), ..Limits::default() };
        let segment = Segment::create(limits).map_err(StartError::system("make its tables"))?;
        segment.start_clock();
        if config.is_shared {
            // A session may have known other runtimes.
            segment.header().generation.store(random() | 1, Ordering::Relaxed);
        }
        let arena = map(&region, &config).map_err(StartError::system("map its memory"))?;
        lay_out(&segment, &region);
        segment.set_arena(Arc::clone(&arena));
        let header = segment.header();
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
        header.cpus.store(cpus, Ordering::Relaxed);
        header.taken.add(Seat::HEAD);
        segment.desk(Seat::HEAD).pid.store(std::process::id(), Ordering::Relaxed);
        let segment = Arc::new(segment);
        let desks = Arc::clone(&segment);
        let socket = folder.socket();
        let listener = listen(&socket).map_err(StartError::system("listen on its socket"))?;
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bell = bell.map_err(StartError::system("make an eventfd"))?;
        let wake = Arc::new(Wake { commands: Mutex::new(VecDeque::new()), bell });
        let ringer = Arc::clone(&wake);
        observer.when_room(Box::new(move || ringer.ring()));
        let epoll = rustix::event::epoll::create(CreateFlags::CLOEXEC);
        let session_dir = folder.path().to_owned();
        let spill = Spill::new(spill_folder(&config, &folder));
        let mut head = Head {
            epoll: epoll.map_err(StartError::system("make an epoll"))?,
            listener,
            wake: Arc::clone(&wake),
            observer,
            settings: Settings { start: config.clone(), config, is_explicit: false },
            farewells: Vec::new(),
            leases: Leases::new(Arc::clone(&segment), Seat::HEAD),
            segment,
            region,
            arena,
            spill,
            spill_is_told: false,
            eviction: Eviction::default(),
            disk_trouble: None,
            disk_log: Default::default(),
            rooms: Vec::new(),
            scheduler: Scheduler::default(),
            functions: Functions::default(),
            kept_code: Default::default(),
            options: KnownOptions::default(),
            blames: Blames::default(),
            cancels: Cancels::default(),
            referred: HashMap::new(),
            actors: Actors::default(),
            warned: HashSet::new(),
            retries_told: HashMap::new(),
            watched: Vec::new(),
            stranded: VecDeque::new(),
            unaudited: false,
            retry: false,
            pool: Pool::new(zygote),
            programs: Default::default(),
            redirect: None,
            clients: HashMap::new(),
            orphans: HashMap::new(),
            dropped: HashMap::new(),
            client_next: 1,
            dirty: Vec::new(),
            events: VecDeque::new(),
            deciding: false,
            failures: VecDeque::new(),
            folds: Default::default(),
            output_limit: Default::default(),
            groups: Default::default(),
            sessions: Default::default(),
            ending: false,
            folder,
        };
        head.prepare().map_err(StartError::system("watch its descriptors"))?;
        head.introduce_folder().map_err(StartError::system("reach its zygote"))?;
        notice.into_iter().for_each(|text| head.observer.event(RuntimeEvent::Notice(text)));
        let wishes = head.settings.config.clone();
        head.try_huge_pages(&wishes);
        let thread = std::thread::Builder::new().name("mobula-head".into()).spawn(move || head.run());
        let thread = thread.map_err(StartError::system("start its thread"))?;
        Ok(Local { wake, thread: Some(thread), socket, session_dir, segment: desks })
    }

    /// Where clients connect.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The session's folder.
    pub fn session_dir(&self) -> &Path {
        &self.session_dir
    }

    /// Makes the blocking calls of a turn, a cell or callbacks, return [`crate::abi::Fault::Interrupted`], the present one and those
    /// that follow until it ends. Returns at once.
    pub fn interrupt(&self, turn: u64) {
        self.wake.ask(Command::Interrupt(turn));
    }

    /// Whether a call of the runtime has met the interrupt of a turn, or is about to. That is so if the turn has not
    /// been told yet, or if a thread of it is in a blocking call or has left one because of the interrupt.
    pub fn is_interrupt_heeded(&self, turn: u64) -> bool {
        self.segment.is_interrupt_heeded(turn)
    }

    /// Tells the runtime that the cell host is the process `pid` now. Without `takeover` it is a new process, and the
    /// references of earlier ones are released. With `takeover` it was the dead host's twin, and names its references
    /// itself.
    pub fn cell_host_changed(&self, pid: u32, takeover: bool) {
        self.wake.ask(Command::CellHost { pid, takeover });
    }

    /// Ends the workers until a task is submitted: the session uses another runtime.
    pub fn rest(&self) {
        self.wake.ask(Command::Rest);
    }

    /// Ends the runtime. Returns when its processes, its folder and its memory are gone.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.wake.ask(Command::Shutdown);
        if let Some(thread) = self.thread.take() {
            // If the thread has panicked, the head's fields have been dropped all the same.
            let _ = thread.join();
        }
    }
}

/// A number that no other runtime is likely to have.
fn random() -> u32 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id()) as u32
}

fn listen(path: &Path) -> std::io::Result<OwnedFd> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener.into())
}
