//! A worker: a process that runs one task after the other.
//!
//! ```text
//!   claim ─▶ open its library ─▶ call its trampoline ─▶ flush its output ─▶ seal the result │ report the failure
//! ```
//!
//! The zygote forks a worker with its connected socket, and the worker ends when that connection ends. Tasks run on its
//! main thread, which has the machine's usual stack. A worker keeps no state that a kill would lose, until it becomes the
//! process of an actor (`actor.rs`), which may be one that was made before (`restart.rs`).

mod actor;
mod library;
mod output;
mod restart;

use crate::abi::{Call, Instance, Pending, View};
use crate::client::{self, Claimed, Client, Next, Unfit};
use crate::protocol::{Role, SessionId};
use crate::store::TaskKind;
use library::{Entry, Libraries};
use std::os::fd::OwnedFd;
use std::path::Path;

pub(crate) use library::attach_cells_again;
pub(crate) use library::exit_now;
pub use library::{attach_cell, flush_cells, register_program, run_callbacks, with_streams_locked};

/// Runs tasks until the zygote ends this process, which it does when the head is gone.
pub(crate) fn run(socket: OwnedFd) -> ! {
    let Ok(connection) = Client::greet(socket, Path::new(""), (Role::Worker, SessionId::OWNER), None, None) else {
        exit_now(1)
    };
    let client = client::install(connection);
    output::watch(client);
    let mut libraries = Libraries::default();
    let mut views = Vec::new();
    loop {
        if libraries.are_mostly_gone() && client.has_nothing() {
            // Another worker takes its place. It would keep the code of sessions that have ended for as long as a shared runtime lives.
            exit_now(0);
        }
        let claimed = client.next_task();
        let mut instance = Instance::EMPTY;
        let mut pending = Pending::NONE;
        let called = if claimed.is_again {
            restart::make_again(client, &mut libraries, &claimed, &mut views, &mut instance)
        } else {
            begin(client, &mut libraries, &claimed, &mut views)
                .map(|entry| run_call(&entry, &claimed, &views, &mut instance, &mut pending))
        };
        match client.end_task(&claimed, called) {
            Next::GoOn => {}
            Next::Exit => exit_now(0),
            Next::Actor(mailbox) => actor::run(client, libraries, claimed.task, mailbox, instance),
        }
    }
}

/// Opens a task's arguments as `views`, and finds its function.
fn begin(client: &Client, libraries: &mut Libraries, claimed: &Claimed, views: &mut Vec<View>) -> Result<Entry, Unfit> {
    views.clear();
    let begun = client.begin_task(claimed, views).and_then(|()| {
        let number = claimed.spec.function;
        let refused = |message| Unfit::Refused(message);
        if !libraries.knows(number) {
            let gone = |fault| refused(format!("its function cannot be looked up: {fault:?}"));
            let function = client.known_function(number).map_err(gone)?;
            let function = function.ok_or_else(|| refused(format!("function number {number} is not registered")))?;
            libraries.learn(number, &function).map_err(refused)?;
        }
        libraries.entry(number, claimed.spec.cell).map_err(refused)
    });
    if begun.is_err() {
        views.iter().for_each(|view| client.close(view.hold));
    }
    begun
}

/// Calls a task's function, with views that it takes over. A constructor puts its actor's state into `instance`, a method uses it; a method
/// that has not ended puts what is left of it into `pending`.
fn run_call(entry: &Entry, claimed: &Claimed, views: &[View], instance: *mut Instance, pending: &mut Pending) {
    entry.call(&call_of(claimed, views, instance, pending));
    entry.flush();
}

fn call_of(claimed: &Claimed, views: &[View], instance: *mut Instance, pending: &mut Pending) -> Call {
    let is_normal = claimed.spec.kind == TaskKind::Normal;
    Call {
        call: claimed.task.0,
        args: views.as_ptr(),
        args_len: views.len() as u64,
        returns: 1,
        is_restore: 0,
        instance: if is_normal { std::ptr::null_mut() } else { instance },
        pending: if is_normal { std::ptr::null_mut() } else { pending },
    }
}
