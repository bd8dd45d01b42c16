//! A worker: a process that runs one task after the other.
//!
//! ```text
//!   Run(task) ─▶ open its library ─▶ call its trampoline ─▶ flush what it wrote ─▶ TaskDone | TaskFailed
//! ```
//!
//! It is forked by the zygote with its connection in its hands, and ends when that connection does. Tasks run on its
//! main thread, which has the machine's usual stack. It knows nothing that would be missed when it is killed.

mod library;

use crate::abi::{Call, Cause};
use crate::local::client::{self, Client};
use crate::local::exit_now;
use crate::protocol::{Role, TaskFrame};
use library::Libraries;
use std::os::fd::OwnedFd;
use std::path::Path;

pub use library::{attach_cell, flush_cells, register_program};

/// Becomes what the environment says that this process is to be, and does not return; returns if it says nothing.
///
/// Call this at the very beginning of `main`, before any thread is started. It is how a zygote that was killed is
/// replaced: the front process executes its own program again.
///
/// ```
/// mobula::worker::role_from_env();
/// // This is the front process.
/// ```
pub fn role_from_env() {
    crate::local::role_from_env();
}

/// Runs tasks until the head is gone.
pub(crate) fn run(socket: OwnedFd) -> ! {
    let Ok(connection) = Client::greet(socket, Path::new(""), Role::Worker, None, None) else { exit_now(1) };
    let client = client::install(connection);
    let mut libraries = Libraries::default();
    // The head is gone, or wants this process gone: whatever a task has left running goes, too.
    while let Ok(frame) = client.next_task() {
        let called = call(client, &mut libraries, &frame);
        client.end_task(frame.task, called);
    }
    exit_now(0)
}

fn call(client: &Client, libraries: &mut Libraries, frame: &TaskFrame) -> Result<(), Cause> {
    let refused = |message| Cause::Refused { message };
    let views = client.begin_task(frame).map_err(refused)?;
    let entry = match libraries.entry(&frame.library, frame.offset, frame.cell) {
        Ok(entry) => entry,
        Err(message) => {
            views.iter().for_each(|view| client.close(view.hold));
            return Err(refused(message));
        }
    };
    let call = Call {
        call: frame.task.0.0,
        args: views.as_ptr(),
        args_len: views.len() as u64,
        returns: frame.returns,
        reserved: 0,
    };
    entry.call(&call);
    entry.flush();
    Ok(())
}
