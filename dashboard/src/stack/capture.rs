//! Copies of the stacks of a process's threads: each thread is stopped, copied, and let go before the next.
//!
//! A blocking system call of the thread goes on as after any stop: most are restarted by the kernel and the program sees nothing. The few of
//! which `signal(7)` says that they end with EINTR after a stop (`epoll_wait`, `semop`, `sigtimedwait`, sockets with a timeout) do so here.

use super::modules::{Image, Mapping, Modules};
use super::ptrace::{Stopped, seize};
use super::unwind::Copied;
use procfs::ProcError;
use procfs::process::{MMPermissions, MMapPath, Process};
use rustix::process::Pid;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most threads of which stacks are told.
const THREADS_MAX: usize = 128;
/// How much of a stack is copied.
const STACK_BYTES_MAX: usize = 256 << 10;
/// How much of a module without a file is copied.
const IMAGE_BYTES_MAX: u64 = 1 << 20;
/// How long a thread may take to stop. One that computes takes microseconds.
const STOPS_WITHIN: Duration = Duration::from_millis(500);

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoStack {
    /// The process is gone.
    #[error("process {pid} has ended")]
    Ended {
        /// The process.
        pid: u32,
    },
    /// A debugger is there already.
    #[error("process {pid} is traced by process {by}, a debugger or `strace`: only one may look at a time")]
    Traced {
        /// The process.
        pid: u32,
        /// The tracer.
        by: i32,
    },
    /// The system's rules do not allow it.
    #[error("the system does not let this process read the stack of process {pid}: {remedy}")]
    Refused {
        /// The process.
        pid: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// The system refused something else.
    #[error("the threads of process {pid} cannot be read: {source}")]
    System {
        /// The process.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
}

/// A process whose stacks are wanted. It stands for this one process, whoever has its number later.
#[derive(Debug)]
pub struct Target {
    pid: u32,
    process: Process,
}

/// What was copied of a thread.
pub struct CopiedThread {
    pub tid: u32,
    pub name: String,
    pub state: &'static str,
    /// The stack, or why there is none: a sentence.
    pub stack: Result<Copied, String>,
}

impl Target {
    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: u32) -> Result<Target, NoStack> {
        let found = i32::try_from(pid).ok().and_then(|pid| Process::new(pid).ok());
        found.map(|process| Target { pid, process }).ok_or(NoStack::Ended { pid })
    }

    /// Copies the stacks of all threads.
    ///
    /// # Errors
    /// See [`NoStack`].
    pub fn capture(&self) -> Result<Vec<CopiedThread>, NoStack> {
        // The kernel lets go of what a thread traces when that ends, so nothing that goes wrong here can leave the process stopped.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("mobula-stack".into()).spawn_scoped(scope, || self.copies());
            let thread = thread.map_err(|source| NoStack::System { pid: self.pid, source })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn copies(&self) -> Result<Vec<CopiedThread>, NoStack> {
        let memory = self.process.mem().map_err(|error| self.refused(error))?;
        let threads = self.process.tasks().map_err(|error| self.refused(error))?;
        let (mut copies, mut refusal) = (Vec::new(), None);
        for thread in threads.take(THREADS_MAX) {
            // A thread that is gone by now is none.
            let Ok(thread) = thread else { continue };
            let Ok(stat) = thread.stat() else { continue };
            if matches!(stat.state, 'Z' | 'X') {
                continue;
            }
            let stack = match self.copy(thread.tid, &memory) {
                Ok(Some(stack)) => Ok(stack),
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    refusal = Some(error);
                    break;
                }
                Err(error) => Err(error.to_string()),
            };
            copies.push(CopiedThread { tid: thread.tid as u32, name: stat.comm, state: state_word(stat.state), stack });
        }
        match refusal {
            Some(error) => Err(self.refused(error.into())),
            None if copies.is_empty() => Err(NoStack::Ended { pid: self.pid }),
            None => Ok(copies),
        }
    }

    /// Copies a thread's stack; `None` when the thread has ended.
    fn copy(&self, tid: i32, memory: &File) -> io::Result<Option<Copied>> {
        let Some(pid) = Pid::from_raw(tid) else { return Ok(None) };
        let mut bytes = vec![0; STACK_BYTES_MAX];
        let mut seized = match seize(pid) {
            Ok(seized) => seized,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) || !self.has(tid) => return Ok(None),
            Err(error) => return Err(error),
        };
        match seized.stop(STOPS_WITHIN)? {
            // The number may have become another process's between the list and now.
            Stopped::Yes if self.has(tid) => {}
            Stopped::Yes | Stopped::Over => return Ok(None),
            Stopped::Busy => {
                return Err(io::Error::other(
                    "it waits in the kernel, for a disk perhaps, and cannot be stopped there",
                ));
            }
        }
        let registers = seized.registers()?;
        let at = registers.stack_pointer();
        let length = read(memory, at, &mut bytes);
        drop(seized);
        bytes.truncate(length);
        Ok(Some(Copied { registers, at, bytes }))
    }

    /// Whether this process lives and has this thread.
    fn has(&self, tid: i32) -> bool {
        let stat = self.process.task_from_tid(tid).and_then(|thread| thread.stat());
        stat.is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
    }

    /// The code that the process has in its memory.
    ///
    /// # Errors
    /// See [`NoStack`].
    pub fn modules(&self) -> Result<Modules, NoStack> {
        let maps = self.process.maps().map_err(|error| self.refused(error))?;
        let program = self.process.exe().unwrap_or_default();
        let memory = self.process.mem().map_err(|error| self.refused(error))?;
        let mappings = maps.into_iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE)).filter_map(|map| {
            let range = map.address.0..map.address.1;
            let (name, image, is_program) = match map.pathname {
                MMapPath::Path(path) => {
                    let is_program = path == program;
                    (name_of(&path), self.image(path, is_program), is_program)
                }
                MMapPath::Vdso => {
                    let mut bytes = vec![0; (range.end - range.start).min(IMAGE_BYTES_MAX) as usize];
                    let length = read(&memory, range.start, &mut bytes);
                    bytes.truncate(length);
                    ("vdso".into(), Image::Bytes(bytes), false)
                }
                _ => return None,
            };
            Some(Mapping { range, offset: map.offset, name, image, is_program })
        });
        Ok(Modules::new(mappings.collect()))
    }

    fn image(&self, path: PathBuf, is_program: bool) -> Image {
        match is_removed(&path) {
            // The kernel keeps the program's file reachable, also when another one has its name.
            true if is_program => Image::File(format!("/proc/{}/exe", self.pid).into()),
            true => Image::Gone,
            false => Image::File(path),
        }
    }

    /// What an error of the system means.
    fn refused(&self, error: ProcError) -> NoStack {
        let pid = self.pid;
        let status = self.process.status();
        let Some(status) = status.ok().filter(|status| !status.state.starts_with(['Z', 'X'])) else {
            return NoStack::Ended { pid };
        };
        match error {
            _ if status.tracerpid != 0 => NoStack::Traced { pid, by: status.tracerpid },
            ProcError::NotFound(_) => NoStack::Ended { pid },
            ProcError::PermissionDenied(_) => NoStack::Refused { pid, remedy: remedy() },
            ProcError::Io(source, _) if source.raw_os_error() == Some(libc::ESRCH) => NoStack::Ended { pid },
            ProcError::Io(source, _) => NoStack::System { pid, source },
            other => NoStack::System { pid, source: io::Error::other(other.to_string()) },
        }
    }
}

/// Reads what there is, up to the first byte that is not.
fn read(memory: &File, at: u64, bytes: &mut [u8]) -> usize {
    let mut length = 0;
    while length < bytes.len() {
        match memory.read_at(&mut bytes[length..], at.wrapping_add(length as u64)) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    length
}

fn remedy() -> &'static str {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "2" => "`sudo sysctl kernel.yama.ptrace_scope=1` lets a process read those that it has started",
        "3" => "`kernel.yama.ptrace_scope` is 3, which forbids it to all until the machine starts again",
        _ => "in a container, start it with `--cap-add SYS_PTRACE`, or with a seccomp profile that allows `ptrace`",
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.strip_suffix(REMOVED).unwrap_or(&name).to_owned()
}

/// What the kernel puts behind the name of a file that was removed, or that another one has replaced.
const REMOVED: &str = " (deleted)";

fn is_removed(path: &Path) -> bool {
    path.to_string_lossy().ends_with(REMOVED)
}

fn state_word(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' | 'I' => "sleeping",
        'D' => "waiting in the kernel",
        'T' => "stopped",
        't' => "traced",
        _ => "ending",
    }
}
