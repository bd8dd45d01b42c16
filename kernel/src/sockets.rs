//! ROUTER sockets: shell, control and stdin route by identity, and the heartbeat echoes.

use crate::zmtp::{Outbox, Peer, Service, encode};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// When this many received messages wait in the kernel, their senders are not read.
const INBOX_MESSAGES_MAX: usize = 64;
/// A client that leaves this many bytes of replies unread is disconnected.
const UNREAD_BYTES_MAX: usize = 64 << 20;

/// A ROUTER socket, which knows its peers by identity. Cheap to clone; all clones share one socket.
#[derive(Clone)]
pub(crate) struct Router(Arc<Shared>);

struct Shared {
    peers: Mutex<HashMap<Bytes, Arc<Peer>>>,
    inbox: mpsc::Sender<Vec<Bytes>>,
}

impl Router {
    /// The socket, its service for [`serve`](crate::zmtp::serve), and the received messages, each with the sender's
    /// identity as its first frame.
    pub(crate) fn new() -> (Router, Arc<RouterService>, mpsc::Receiver<Vec<Bytes>>) {
        let (inbox, messages) = mpsc::channel(INBOX_MESSAGES_MAX);
        let shared = Arc::new(Shared { peers: Mutex::default(), inbox });
        (Router(shared.clone()), Arc::new(RouterService(shared)), messages)
    }

    /// Sends `frames` to the peer whose identity is the first frame. Returns `false` if there is no such peer. Never
    /// waits.
    pub(crate) fn send(&self, frames: &[Bytes]) -> bool {
        let Some((identity, rest)) = frames.split_first() else { return false };
        let Some(peer) = self.0.peers.lock().expect("nobody panics holding the peers").get(identity).cloned() else {
            return false;
        };
        if peer.outbox.bytes() > UNREAD_BYTES_MAX {
            tracing::warn!("a client does not read its replies and is disconnected");
            peer.outbox.close();
        }
        peer.outbox.push(encode(rest))
    }

    /// Returns when everything sent so far is written.
    pub(crate) async fn flush(&self) {
        let peers: Vec<_> = self.0.peers.lock().expect("nobody panics holding the peers").values().cloned().collect();
        for peer in peers {
            peer.outbox.drained().await;
        }
    }
}

/// The [`Service`] of a [`Router`].
pub(crate) struct RouterService(Arc<Shared>);

impl Service for RouterService {
    const TYPE: &'static str = "ROUTER";
    const PEERS: &'static [&'static str] = &["DEALER", "REQ", "ROUTER"];
    const BYTES_MAX: usize = 256 << 20;

    fn joined(&self, peer: &Arc<Peer>) {
        let mut peers = self.0.peers.lock().expect("nobody panics holding the peers");
        // A client that reconnects takes over its identity from its old connection, whose end may not be noticed yet.
        // (ZeroMQ's own ROUTER refuses that by default; the client would then get no replies until the old connection
        // times out.) A client that takes over another client's identity disconnects that client, which has to come
        // back. So Jupyter's identities are random, and known to no other client. Messages to an identity are signed,
        // and messages from it count only if they are signed.
        if let Some(old) = peers.insert(peer.identity.clone(), peer.clone()) {
            old.outbox.close();
        }
    }

    async fn received(&self, peer: &Arc<Peer>, mut frames: Vec<Bytes>) {
        frames.insert(0, peer.identity.clone());
        // The inbox is closed when the kernel ends; the message is then dropped.
        let _ = self.0.inbox.send(frames).await;
    }

    fn left(&self, peer: &Arc<Peer>) {
        let mut peers = self.0.peers.lock().expect("nobody panics holding the peers");
        if peers.get(&peer.identity).is_some_and(|current| Arc::ptr_eq(current, peer)) {
            peers.remove(&peer.identity);
        }
    }
}

/// Echoes each message, frame by frame, so that a client sees that the process is alive. A ROUTER and not a REP: a
/// ROUTER has no state to get out of step, and one client cannot hold up another.
pub(crate) struct Heartbeat;

impl Service for Heartbeat {
    const TYPE: &'static str = "ROUTER";
    const PEERS: &'static [&'static str] = &["REQ", "DEALER", "ROUTER"];
    const BYTES_MAX: usize = 1 << 20;

    fn joined(&self, _: &Arc<Peer>) {}

    async fn received(&self, peer: &Arc<Peer>, frames: Vec<Bytes>) {
        echo(&peer.outbox, &frames);
    }

    fn left(&self, _: &Arc<Peer>) {}
}

fn echo(outbox: &Outbox, frames: &[Bytes]) {
    // A client that sends without reading gets no answer.
    if outbox.bytes() <= Heartbeat::BYTES_MAX {
        outbox.push(encode(frames));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reconnects_takes_his_name_over() {
        let (router, service, _inbox) = Router::new();
        let [old, new] =
            [(); 2].map(|()| Arc::new(Peer { identity: Bytes::from_static(b"me"), outbox: Outbox::new() }));
        service.joined(&old);
        service.joined(&new);
        let message = ["me", "text"].map(Bytes::from);
        assert!(router.send(&message) && new.outbox.bytes() > 0);
        assert!(!old.outbox.push(Bytes::from_static(b"late")), "the old connection is given up");
        service.left(&old);
        assert!(router.send(&message), "and its end is not the new one's");
    }
}
