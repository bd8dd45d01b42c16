//! A runtime in a plain Rust program, with the same functions as in a cell. The program itself takes the place of a
//! cell's library.
//!
//! ```text
//!   main ── Program::start ──▶ zygote, head, this process as a client, this crate's table
//!     └──── f.remote(1), get(…) …
//!     init_with(Config::connect("auto")) ──▶ a runtime of another process, as a session of it
//! ```
//!
//! In a runtime of another process, tasks run in workers that are this program again, from its beginning.

#![allow(unsafe_code)]

use crate::abi::engine::attach;
use crate::abi::{CellPlace, Joining, Place, Tenant};
use mobula_runtime::attached::{Attached, find};
use mobula_runtime::client::engine::table;
use mobula_runtime::client::{self, ConnectError};
use mobula_runtime::local::{
    Config, JoinReply, JoinedAt, Local, Observer, Outbox, RuntimeEvent, StartError, Stream, Zygote, ZygoteError,
    role_from_env,
};
use mobula_runtime::worker;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The environment variable that names the runtime that a program or a session joins at its start, as `mobula --address` does.
pub const ADDRESS_ENV: &str = "MOBULA_ADDRESS";

/// The address of the runtime to join that the environment names by [`ADDRESS_ENV`].
///
/// ```
/// // Empty is none.
/// assert_ne!(mobula::local::address_from_env().as_deref(), Some(""));
/// ```
pub fn address_from_env() -> Option<String> {
    std::env::var(ADDRESS_ENV).ok().filter(|address| !address.is_empty())
}

/// Why [`Program::start`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The process that forks workers could not be started.
    #[error(transparent)]
    Zygote(#[from] ZygoteError),
    /// The runtime could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The runtime refused this process.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The runtime that `MOBULA_ADDRESS` names cannot be joined.
    #[error("the runtime that MOBULA_ADDRESS names cannot be joined")]
    Join(#[from] crate::InitError),
    /// This crate's API and its runtime do not fit.
    #[error("{message}")]
    Attach {
        /// The reason.
        message: String,
    },
}

/// A plain program's runtime. Dropping it ends the workers and frees the store.
#[derive(Debug)]
pub struct Program {
    local: Local,
    /// Dropped after the runtime, whose last output it writes.
    _terminal: Arc<Terminal>,
}

impl Program {
    /// Starts a runtime for this program. The output and the failures of tasks go to the program's own standard output
    /// and standard error.
    ///
    /// Call it first in `main`, because worker processes are forked from a copy of this process that is made here. Some
    /// processes of the runtime run this program again, without arguments; in these, the call does not return.
    ///
    /// With `MOBULA_ADDRESS` in the environment, the program joins the runtime at that address (`auto`, or the folder that `mobula start`
    /// names), as [`init_with`](crate::init_with) with [`Config::connect`](crate::Config::connect) does: it shares its CPUs and its store
    /// with the other sessions there.
    ///
    /// # Errors
    /// [`ProgramError`], for example when this process already has threads.
    ///
    /// ```no_run
    /// use mobula::local::{Config, Program};
    /// use mobula::prelude::*;
    ///
    /// fn half(n: u32) -> u32 {
    ///     n / 2
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let _runtime = Program::start(Config::default())?;
    ///     assert_eq!(get(&half.remote(8))?, 4);
    ///     Ok(())
    /// }
    /// ```
    pub fn start(config: Config) -> Result<Program, ProgramError> {
        worker::register_program(crate::mobula_attach);
        role_from_env();
        let zygote = Zygote::fork()?;
        let terminal = Arc::new(
            Terminal::open().map_err(|source| StartError::System { what: "start its thread for output", source })?,
        );
        let local = Local::start(zygote, config, terminal.clone())?;
        client::connect_program(local.socket())?;
        attach_program()?;
        if let Some(address) = address_from_env() {
            crate::init_with(crate::Config::connect(address))?;
            local.rest();
        }
        Ok(Program { local, _terminal: terminal })
    }

    /// Returns the local runtime.
    pub fn local(&self) -> &Local {
        &self.local
    }
}

/// Connects this program to a runtime that runs, such as one of `mobula start`: [`status`](crate::status()), [`tasks`](crate::tasks()) and so on
/// tell of it. To run its functions there, a program joins it: [`Program::start`] and [`Config::connect`](crate::Config::connect).
///
/// # Errors
/// [`ProgramError`], when no runtime listens there.
///
/// ```no_run
/// let found = mobula::attached::find("auto")?;
/// mobula::local::look_at(&found.socket)?;
/// println!("{}", mobula::status());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn look_at(socket: &Path) -> Result<(), ProgramError> {
    client::connect_program(socket)?;
    attach_program()
}

/// Attaches this crate to the client of this process.
fn attach_program() -> Result<(), ProgramError> {
    // SAFETY: `mobula_attach` is the attach function of the executable itself, which is never unloaded.
    let attached = unsafe { attach(table(), crate::mobula_attach, Tenant::PROGRAM, 0) };
    attached.map(drop).map_err(|message| ProgramError::Attach { message })
}

/// Writes the runtime's events in order: a task's output has been written before its result exists.
#[derive(Debug)]
struct Terminal {
    output: Arc<Output>,
    /// The runtime of another process that the program has joined.
    joined: Arc<Mutex<Option<Attached>>>,
}

/// The program's standard output and standard error, as every runtime that it uses has them.
#[derive(Debug)]
struct Output(Outbox<RuntimeEvent>);

impl Terminal {
    fn open() -> std::io::Result<Terminal> {
        let output = Arc::new(Output(Outbox::start("mobula-output", 0, write)?));
        Ok(Terminal { output, joined: Arc::default() })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.joined.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.output.0.settle(None);
    }
}

/// Joins a runtime, as a session whose output goes there.
fn join(joining: Joining, output: Arc<Output>) -> Result<Attached, String> {
    if joining.address.split_once(':').is_some_and(|(scheme, _)| scheme.starts_with("ray")) {
        return Err("a plain program's functions are in the program itself, which a Ray cluster cannot run: submit them from cells".into());
    }
    let found = find(&joining.address).map_err(|error| error.to_string())?;
    Attached::join(found, joining, output).map_err(|error| error.to_string())
}

impl Observer for Terminal {
    fn event(&self, event: RuntimeEvent) {
        self.output.event(event);
    }

    fn is_full(&self) -> bool {
        self.output.is_full()
    }

    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>) {
        self.output.when_room(bell);
    }

    fn join(&self, to: Option<Joining>, reply: JoinReply) {
        let (joined, output) = (Arc::clone(&self.joined), Arc::clone(&self.output));
        // To join and to leave wait, and this is the head's thread.
        std::thread::spawn(move || {
            drop(joined.lock().unwrap_or_else(PoisonError::into_inner).take());
            let done = to.map(|joining| join(joining, output)).transpose().map(|attached| {
                let attached = attached?;
                let socket = attached.socket().to_owned();
                let at = JoinedAt { socket, session: attached.session(), is_cluster: false };
                *joined.lock().unwrap_or_else(PoisonError::into_inner) = Some(attached);
                Some(at)
            });
            reply.send(done);
        });
    }

    fn locate(&self, _place: &Place) -> Option<CellPlace> {
        None
    }
}

impl Observer for Output {
    fn event(&self, event: RuntimeEvent) {
        let bytes = event.bytes();
        self.0.put(event, bytes);
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>) {
        self.0.when_room(bell);
    }

    fn locate(&self, _place: &Place) -> Option<CellPlace> {
        None
    }
}

fn write(event: RuntimeEvent) {
    // A closed standard output is the program's affair, not its tasks', so errors are ignored.
    let _ = match event {
        RuntimeEvent::TaskOutput { stream: Stream::Stdout, text, .. } => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        }
        RuntimeEvent::TaskOutput { text, .. } => std::io::stderr().write_all(text.as_bytes()),
        RuntimeEvent::TaskFailed(failure) => writeln!(std::io::stderr(), "{}", crate::error::report(&failure)),
        RuntimeEvent::Notice(text) => writeln!(std::io::stderr(), "mobula: {text}"),
    };
}
