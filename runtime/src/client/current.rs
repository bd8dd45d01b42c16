//! The process's one client.

use super::Client;
use crossbeam::atomic::AtomicCell;

static CURRENT: AtomicCell<Option<&'static Client>> = AtomicCell::new(None);

/// The process's client, if it has one.
pub fn current() -> Option<&'static Client> {
    CURRENT.load()
}

/// Makes the client the process's own, for good.
pub(crate) fn install(client: Client) -> &'static Client {
    let client: &'static Client = Box::leak(Box::new(client));
    CURRENT.store(Some(client));
    client
}
