//! Plain programs that have joined: their executables, of which the workers for their functions are made.
//!
//! ```text
//!   a program joins ─▶ its executable is opened, which a build in its place does not change
//!   a worker for its functions ─▶ the zygote forks, and the child executes that file: it is the program, at its very beginning
//! ```
//!
//! A function of a program is no library that a worker could open: what the linker has made of its thread-locals is right for an executable
//! alone. So its tasks have a shape of their own, which only workers that are this program suit.

use super::Head;
use super::requests::Nonsense;
use crate::abi::TaskOptions;
use crate::protocol::{ClientId, Function, OTHER_PROGRAM, SessionId, WorkerId};
use crate::scheduler::ProgramId;
use rustix::fs::{Mode, OFlags, fstat, open};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What the runtime's owner calls its own executable, for others.
const OWNER: &str = "the program that owns the runtime";

/// All programs that have joined.
#[derive(Debug, Default)]
pub(super) struct Programs {
    list: Vec<Program>,
}

#[derive(Debug)]
struct Program {
    identity: Identity,
    path: PathBuf,
    /// While a session is this program, or a detached actor of it lives.
    file: Option<OwnedFd>,
}

/// A file at one time: device, inode, and when it was last written.
type Identity = (u64, u64, i64, u64);

impl Programs {
    /// The program that a process is.
    fn of_process(&mut self, pid: u32) -> Result<ProgramId, Nonsense> {
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let file = open(&link, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|_| "the program's executable cannot be opened")?;
        let found = fstat(&file).map_err(|_| "the program's executable cannot be looked at")?;
        let identity = (found.st_dev, found.st_ino, found.st_mtime, found.st_mtime_nsec);
        let path = std::fs::read_link(link).unwrap_or_default();
        let known = self.list.iter_mut().enumerate().find(|(_, program)| program.identity == identity);
        let index = match known {
            Some((index, program)) => {
                (program.path, program.file) = (path, Some(file));
                index
            }
            None => {
                self.list.push(Program { identity, path, file: Some(file) });
                self.list.len() - 1
            }
        };
        u16::try_from(index).map(ProgramId).map_err(|_| "too many different programs have joined")
    }

    /// A descriptor of the executable.
    ///
    /// # Errors
    /// A sentence: it is not kept any more, or the system has no room for a descriptor.
    pub fn executable(&self, program: ProgramId) -> Result<OwnedFd, String> {
        let file = self.list.get(usize::from(program.0)).and_then(|program| program.file.as_ref());
        let file = file.ok_or("the program that its function is in has ended")?;
        file.try_clone().map_err(|error| error.to_string())
    }

    /// Says why workers that are this program end before they are ready.
    pub fn why_it_does_not_start(&self, program: ProgramId) -> String {
        let path = self.list.get(usize::from(program.0)).map(|program| program.path.display().to_string());
        format!(
            "no worker process can be started for it: {} ends before it has become one. `Program::start` must come first in `main`, because \
             workers are that program again, without arguments",
            path.unwrap_or_default()
        )
    }

    fn release(&mut self, needed: &HashSet<ProgramId>) {
        for (index, program) in self.list.iter_mut().enumerate() {
            if !needed.contains(&ProgramId(index as u16)) {
                program.file = None;
            }
        }
    }
}

impl Head {
    /// A session turns out to be a plain program.
    pub(super) fn program_joins(&mut self, session: SessionId, pid: u32) -> Result<(), Nonsense> {
        let program = self.programs.of_process(pid)?;
        if self.set_program(session, program) { Ok(()) } else { Err("the program is of no session") }
    }

    /// The program whose executable has the functions of a client, if it is one of its own.
    fn program_of(&mut self, client: ClientId) -> Option<ProgramId> {
        match client.worker() {
            Some(worker) => self.program_of_worker(worker),
            None => self.program_of_session(self.clients.get(&client)?.session),
        }
    }

    /// The program that a worker is, if it is one of its own.
    pub(super) fn program_of_worker(&mut self, worker: WorkerId) -> Option<ProgramId> {
        let environment = self.scheduler.environment(worker).variables;
        self.scheduler.shapes().program(environment)
    }

    /// The number of the options of a client's task.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn number_of_options(&mut self, of: ClientId, options: TaskOptions) -> Result<u16, String> {
        let program = self.program_of(of);
        let scheduler = &mut self.scheduler;
        self.options.number(options, program, |shape| scheduler.shapes().number(shape))
    }

    /// The number of the options of a client's task that names none.
    pub(super) fn plain_options(&mut self, of: ClientId) -> Result<u16, Nonsense> {
        if self.program_of(of).is_none() {
            return Ok(0);
        }
        self.number_of_options(of, TaskOptions::default()).map_err(|_| "there is no room for its options")
    }

    /// Writes down in which program a client's function is.
    pub(super) fn name_program(&mut self, client: ClientId, function: &mut Function) {
        if function.library.is_empty()
            && let Some(program) = self.program_of(client)
        {
            let path = self.programs.list[usize::from(program.0)].path.display();
            function.library = format!("{OTHER_PROGRAM}{}:{path}", program.0);
        }
    }

    /// Says a function's library as the asker knows it.
    pub(super) fn recognise_program(&mut self, asker: ClientId, function: &mut Function) {
        let of_asker = self.program_of(asker);
        if function.library.is_empty() && of_asker.is_some() {
            function.library = format!("{OTHER_PROGRAM}{OWNER}");
        } else if let Some((number, path)) =
            function.library.strip_prefix(OTHER_PROGRAM).and_then(|rest| rest.split_once(':'))
        {
            let is_same = number.parse().is_ok_and(|number| of_asker == Some(ProgramId(number)));
            function.library = if is_same { String::new() } else { format!("{OTHER_PROGRAM}{path}") };
        }
    }

    /// Lets go of the executables that no worker will be made of.
    pub(super) fn release_programs(&mut self) {
        let needed = self.joined_programs().chain(self.programs_of_detached_actors()).collect();
        self.programs.release(&needed);
    }
}
