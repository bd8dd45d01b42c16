//! A runtime inside a plain Rust program: the same functions as in a cell, and the program itself is the library.
//!
//! ```text
//!   main ── Program::start ──▶ zygote, head, this process as a client, this crate's table
//!     └──── f.remote(1), get(…) …
//! ```

#![allow(unsafe_code)]

use crate::abi::engine::attach;
use crate::abi::{CellPlace, Place, Tenant};
use mobula_runtime::client::engine::table;
use mobula_runtime::client::{self, ConnectError};
use mobula_runtime::local::{
    Config, Local, Observer, Outbox, RuntimeEvent, StartError, Stream, Zygote, ZygoteError, role_from_env,
};
use mobula_runtime::worker;
use std::io::Write;
use std::sync::Arc;

/// Why a program has no runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// There is no process to fork workers from.
    #[error(transparent)]
    Zygote(#[from] ZygoteError),
    /// The runtime does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It does not take this process.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// This crate's own two halves do not fit.
    #[error("{message}")]
    Attach {
        /// Why.
        message: String,
    },
}

/// A plain program's runtime. Dropping it ends the workers and frees the store.
#[derive(Debug)]
pub struct Program {
    local: Local,
    /// Dropped after the runtime, which may have last words.
    _terminal: Arc<Terminal>,
}

impl Program {
    /// Starts a runtime for this program. What tasks write and how they fail goes to this program's own standard output
    /// and standard error.
    ///
    /// Call it first in `main`: worker processes are forked from a copy of this process that is made here, and some
    /// processes that are this program again become something else here and do not return.
    ///
    /// # Errors
    /// [`ProgramError`]; among others when this process has threads already.
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
        // SAFETY: it is a function of the executable, which is never unloaded.
        let attached = unsafe { attach(table(), crate::mobula_attach, Tenant::PROGRAM, 0) };
        attached.map_err(|message| ProgramError::Attach { message })?;
        Ok(Program { local, _terminal: terminal })
    }

    /// The runtime.
    pub fn local(&self) -> &Local {
        &self.local
    }
}

/// Passes on what the runtime says, in turn: what a task wrote has been written before its result exists.
#[derive(Debug)]
struct Terminal {
    outbox: Outbox<RuntimeEvent>,
}

impl Terminal {
    fn open() -> std::io::Result<Terminal> {
        Ok(Terminal { outbox: Outbox::start("mobula-output", 0, write)? })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.outbox.settle(None);
    }
}

impl Observer for Terminal {
    fn event(&self, event: RuntimeEvent) {
        let bytes = event.bytes();
        self.outbox.put(event, bytes);
    }

    fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    fn when_room(&self, bell: Box<dyn Fn() + Send + Sync>) {
        self.outbox.when_room(bell);
    }

    fn locate(&self, _place: &Place) -> Option<CellPlace> {
        None
    }
}

fn write(event: RuntimeEvent) {
    // A closed standard output is the program's affair, not its tasks'.
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
