//! A cell's standard input. The person is asked only once the cell waits for something to read.
//!
//! Each cell gets a pipe of its own. While it runs and the pipe is empty, the link checks regularly whether one of its threads is in a
//! `read` of descriptor 0. If so, the person is asked for a line. If the person cannot be asked or does not answer, the pipe is closed,
//! which the cell reads as the end of its input. The next cell has a new pipe.
//!
//! Some systems hide the system call that a thread is in (`/proc/*/syscall`), containers for example. They may still tell the kernel
//! function in which a thread sleeps (`wchan`). It is the same for all pipes, so a cell that waits for another pipe is taken for one that
//! reads its input. On a system that tells neither, cells have an empty input, and a notice says so once.

use super::{Shared, write_all};
use crate::event::{InputReader, InputRequest};
use crate::outlet::Outlet;
use crossbeam::channel::{Receiver, TryRecvError, bounded};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a running cell is checked: no person notices the delay, and it is little work.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// After so many checks in a row that tell nothing, the link gives up.
const BLIND_LOOKS_MAX: u32 = 50;

/// The notice for that case.
const BLIND: &str = "this system does not tell whether a cell waits for input (neither /proc/PID/task/TID/syscall nor wchan can be read), so \
                     the standard input of cells is empty";

/// The result of one check of a running cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The cell waits for input, and the person has not been asked.
    Wants,
    /// The cell does not wait, as far as is known.
    Nothing,
    /// The system hides it, so the cell's input is empty from now on. Carries the notice.
    Blind(&'static str),
}

/// The input of the cell that runs.
#[derive(Default)]
pub struct Input {
    write: Option<Arc<OwnedFd>>,
    reader: Option<InputReader>,
    next_look: Option<Instant>,
    /// Set while the person is being asked. Receives whether there was an answer.
    asked: Option<Receiver<bool>>,
    /// Checks in a row that told nothing.
    blind: u32,
}

impl Input {
    /// A cell begins. Returns its end of the pipe.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn open(&mut self, reader: Option<InputReader>) -> Result<OwnedFd, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        self.close();
        if reader.is_some() {
            self.write = Some(Arc::new(write));
            self.next_look = Some(Instant::now() + LOOK_EVERY);
        }
        self.reader = reader;
        Ok(read)
    }

    /// The cell has ended.
    pub fn close(&mut self) {
        *self = Input::default();
    }

    /// When to check again.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_look.filter(|_| self.asked.is_none())
    }

    /// Checks whether the cell waits for input that the person was not asked for.
    pub fn look(&mut self, pid: i32) -> Look {
        match self.asked.as_ref().map(Receiver::try_recv) {
            Some(Ok(true)) => self.asked = None,
            // Also when no thread could be started that asks: the cell must not wait for ever.
            Some(Ok(false) | Err(TryRecvError::Disconnected)) => {
                self.asked = None;
                self.close();
            }
            Some(Err(TryRecvError::Empty)) | None => {}
        }
        let Some(write) = self.write.as_ref().filter(|_| self.asked.is_none()) else { return Look::Nothing };
        if self.next_look.is_none_or(|at| at > Instant::now()) {
            return Look::Nothing;
        }
        self.next_look = Some(Instant::now() + LOOK_EVERY);
        if rustix::io::ioctl_fionread(&**write).is_ok_and(|waiting| waiting > 0) {
            return Look::Nothing;
        }
        let reads = reads(Path::new(&format!("/proc/{pid}")));
        self.blind = if reads.is_none() { self.blind + 1 } else { 0 };
        if self.blind >= BLIND_LOOKS_MAX {
            self.close();
            return Look::Blind(BLIND);
        }
        if reads == Some(true) { Look::Wants } else { Look::Nothing }
    }

    /// Asks the person for a line, on a thread of its own.
    pub fn ask(&mut self, shared: &Arc<Shared>, outlet: &Arc<dyn Outlet>) {
        let (Some(write), Some(reader)) = (self.write.clone(), self.reader.clone()) else { return };
        let (tell, asked) = bounded(1);
        self.asked = Some(asked);
        let (shared, outlet) = (Arc::clone(shared), Arc::clone(outlet));
        // If no thread can be started, the channel closes without an answer.
        let _ = std::thread::Builder::new().name("mobula-stdin".into()).spawn(move || {
            // The cell's output up to here is shown before the question.
            outlet.settle();
            let line = reader(InputRequest { prompt: String::new(), is_password: false });
            let answered = line.is_some_and(|line| write_all(&write, format!("{line}\n").as_bytes()));
            let _ = tell.send(answered);
            shared.ring();
        });
    }
}

/// Whether a thread of the process is in a `read` of its descriptor 0. `None` if the system hides that for all threads.
fn reads(process: &Path) -> Option<bool> {
    let tasks = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let told: Vec<bool> = tasks.filter_map(|task| thread_reads(&task.path())).collect();
    (!told.is_empty()).then(|| told.contains(&true))
}

fn thread_reads(thread: &Path) -> Option<bool> {
    let read = |name| std::fs::read_to_string(thread.join(name)).ok().filter(|text| !text.is_empty());
    if let Some(call) = read("syscall") {
        return Some(call.starts_with(&format!("{} 0x0 ", libc::SYS_read)));
    }
    match read("wchan") {
        // `0`: the thread does not sleep, or its function is hidden.
        None => None,
        Some(place) if place == "0" => is_running(&read("stat")?).then_some(false),
        Some(place) => Some(["pipe_read", "pipe_wait"].iter().any(|name| place.contains(name))),
    }
}

/// Whether this text of `/proc/PID/stat` is a running thread's. The state follows the thread's name, which may contain anything.
fn is_running(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What a system tells of one thread: the files that can be read.
    fn told(files: &[(&str, &str)]) -> Option<bool> {
        let process = tempfile::tempdir().unwrap();
        let thread = process.path().join("task/7");
        fs::create_dir_all(&thread).unwrap();
        files.iter().for_each(|(name, text)| fs::write(thread.join(name), text).unwrap());
        reads(process.path())
    }

    #[test]
    fn a_cell_whose_question_nobody_can_be_asked_reads_the_end_of_its_input() {
        let mut input = Input::default();
        let read = input.open(Some(Arc::new(|_| None))).unwrap();
        let (tell, asked) = bounded(1);
        input.asked = Some(asked);
        assert_eq!(input.look(0), Look::Nothing);
        assert!(input.write.is_some(), "the person may still answer");
        drop(tell);
        assert_eq!(input.look(0), Look::Nothing);
        assert_eq!(rustix::io::read(&read, &mut [0; 8]), Ok(0));
    }

    #[test]
    fn a_thread_that_reads_descriptor_0_is_known_by_its_call() {
        let call = |number: i64, fd: u32| told(&[("syscall", &format!("{number} {fd:#x} 0x7f 0x1 0x0\n"))]);
        assert_eq!(call(libc::SYS_read, 0), Some(true));
        assert_eq!(call(libc::SYS_read, 3), Some(false));
        assert_eq!(call(libc::SYS_write, 0), Some(false));
        assert_eq!(told(&[("syscall", "running\n")]), Some(false));
    }

    #[test]
    fn where_calls_are_hidden_a_thread_that_sleeps_in_a_pipe_reads() {
        let sleeps = |place| told(&[("wchan", place), ("stat", "7 (a) S) S 1")]);
        assert_eq!((sleeps("anon_pipe_read"), sleeps("pipe_wait")), (Some(true), Some(true)));
        assert_eq!(sleeps("hrtimer_nanosleep"), Some(false));
    }

    #[test]
    fn where_both_are_hidden_nothing_is_known_but_of_a_thread_that_runs() {
        assert_eq!(told(&[("wchan", "0"), ("stat", "7 (a) R) S 1")]), None);
        assert_eq!(told(&[("stat", "7 (a) S 1")]), None);
        assert_eq!(told(&[("wchan", "0"), ("stat", "7 (a) R 1")]), Some(false));
    }
}
