//! A cell's standard input: nobody is asked before the cell waits for something to read.
//!
//! Each cell gets a pipe of its own. While it runs and the pipe is empty, the system is asked now and then whether one of its threads is in
//! a `read` of descriptor 0; then the person is asked for a line. When nobody can be asked, or nobody answers, the pipe is closed, which the
//! cell reads as the end of its input. Its next cell has a new one.

use super::{Shared, write_all};
use crate::event::{InputReader, InputRequest};
use crate::outlet::Outlet;
use crossbeam::channel::{Receiver, bounded};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a running cell is looked at. A person does not notice it, and the system does hardly.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The input of the cell that runs.
#[derive(Default)]
pub struct Input {
    write: Option<Arc<OwnedFd>>,
    reader: Option<InputReader>,
    next_look: Option<Instant>,
    /// Somebody is being asked; whether there was an answer comes here.
    asked: Option<Receiver<bool>>,
}

impl Input {
    /// A cell begins: its end of the pipe.
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

    /// When to look again.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_look.filter(|_| self.asked.is_none())
    }

    /// Whether the cell waits for input that nobody has been asked for.
    pub fn is_wanted(&mut self, pid: i32) -> bool {
        if let Some(answered) = self.asked.as_ref().and_then(|asked| asked.try_recv().ok()) {
            self.asked = None;
            if !answered {
                self.close();
            }
        }
        let Some(write) = self.write.as_ref().filter(|_| self.asked.is_none()) else { return false };
        if self.next_look.is_none_or(|at| at > Instant::now()) {
            return false;
        }
        self.next_look = Some(Instant::now() + LOOK_EVERY);
        rustix::io::ioctl_fionread(&**write).is_ok_and(|waiting| waiting == 0) && reads(pid)
    }

    /// Asks the person for a line, on a thread of its own.
    pub fn ask(&mut self, shared: &Arc<Shared>, outlet: &Arc<dyn Outlet>) {
        let (Some(write), Some(reader)) = (self.write.clone(), self.reader.clone()) else { return };
        let (tell, asked) = bounded(1);
        self.asked = Some(asked);
        let (shared, outlet) = (Arc::clone(shared), Arc::clone(outlet));
        // Without a thread nobody answers, and the channel says so at once.
        let _ = std::thread::Builder::new().name("mobula-stdin".into()).spawn(move || {
            // What the cell has printed before it waits is seen before the question.
            outlet.settle();
            let line = reader(InputRequest { prompt: String::new(), is_password: false });
            let answered = line.is_some_and(|line| write_all(&write, format!("{line}\n").as_bytes()));
            let _ = tell.send(answered);
            shared.ring();
        });
    }
}

/// Whether a thread of the process is in a `read` of its descriptor 0.
fn reads(pid: i32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let wanted = format!("{} 0x0 ", libc::SYS_read);
    tasks
        .map(|task| task.path().join("syscall"))
        .any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(&wanted)))
}
