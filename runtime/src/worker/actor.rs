//! The process of an actor: a worker that has run the actor's constructor, and from then on runs the calls in its mailbox.

use super::call;
use super::library::{self, Libraries, exit_now};
use crate::abi::Instance;
use crate::client::Client;

/// Runs calls until the last handle is gone.
pub(super) fn run(client: &Client, libraries: &mut Libraries, mailbox: u32, mut instance: Instance) -> ! {
    let mut reader = client.become_actor(mailbox);
    let mut views = Vec::new();
    while let Some(claimed) = client.next_call(&mut reader) {
        let called = call(client, libraries, &claimed, &mut views, &mut instance);
        client.end_task(&claimed, called);
    }
    // As a value at the end of its scope: what its drop prints is seen.
    library::drop_instance(&mut instance);
    libraries.flush();
    exit_now(0);
}
