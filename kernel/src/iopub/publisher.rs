//! A PUB socket that knows its subscribers.
//!
//! A subscription is answered with an `iopub_welcome` on its own topic, to that subscriber, before any other message.
//! From then on the subscriber misses nothing. A slow subscriber makes the publisher wait, and with it the cell that
//! prints. A subscriber that has stopped reading is disconnected, so that it cannot stop the others.
//!
//! When a kernel is restarted, its clients' sockets reconnect one by one, each within about 0.1 s. A client's shell is
//! often connected before its iopub, and a cell can end before any client has subscribed. So a new kernel's first
//! messages are kept for a moment, and replayed to clients that subscribe then.

use crate::zmtp::{Peer, Service, encode};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// The most bytes that wait for one subscriber before the publisher waits. Subscribers that wait for the same message
/// share its bytes.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// A subscriber for which that much waits, and which has read nothing for this long, has stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(10);

/// A subscriber that comes this soon after the start gets the earlier messages.
const REPLAY_FOR: Duration = Duration::from_secs(2);
/// Beyond this, nothing is replayed.
const REPLAY_BYTES_MAX: usize = 4 << 20;

/// Makes the frames of the welcome message for a topic.
type Welcome = Box<dyn Fn(&Bytes) -> Vec<Bytes> + Send + Sync>;

/// The socket and its subscribers.
pub(crate) struct Publisher {
    state: Mutex<State>,
    welcome: Welcome,
    started: Instant,
}

struct State {
    subscribers: Vec<Subscriber>,
    /// The topic and the encoded message of everything published since the start, while that is replayed.
    said: Option<Vec<(Bytes, Bytes)>>,
    said_bytes: usize,
}

impl State {
    fn remember(&mut self, topic: &Bytes, message: &Bytes) {
        let Some(said) = &mut self.said else { return };
        said.push((topic.clone(), message.clone()));
        self.said_bytes += message.len();
        if self.said_bytes > REPLAY_BYTES_MAX {
            // All or nothing: a subscriber cannot tell that a replay has a hole.
            self.said = None;
        }
    }
}

struct Subscriber {
    peer: Arc<Peer>,
    /// Prefixes of topics, one for each subscription.
    topics: Vec<Bytes>,
    /// Whether it had not read everything when the last wait for it ended.
    lags: bool,
}

impl Publisher {
    pub(super) fn new(welcome: Welcome) -> Publisher {
        let state = State { subscribers: Vec::new(), said: Some(Vec::new()), said_bytes: 0 };
        Publisher { state: Mutex::new(state), welcome, started: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("nobody panics holding the subscribers");
        if self.started.elapsed() > REPLAY_FOR {
            state.said = None;
        }
        state
    }

    /// Sends `frames`, the first of which is the topic, to all subscribers of that topic. Returns when there is room
    /// for more.
    pub(super) async fn publish(&self, frames: &[Bytes]) {
        for peer in self.hand_out(frames) {
            wait_for_room(&peer).await;
        }
    }

    /// Puts a message into the outboxes. Returns the peers whose outboxes are full now.
    fn hand_out(&self, frames: &[Bytes]) -> Vec<Arc<Peer>> {
        let mut full = Vec::new();
        let Some(topic) = frames.first() else { return full };
        let message = encode(frames);
        let mut state = self.state();
        state.remember(topic, &message);
        for subscriber in &state.subscribers {
            if subscriber.topics.iter().any(|prefix| topic.starts_with(prefix)) {
                subscriber.peer.outbox.push(message.clone());
                if subscriber.peer.outbox.bytes() > WAITING_BYTES_MAX {
                    full.push(subscriber.peer.clone());
                }
            }
        }
        full
    }

    /// Returns when everything has been written, or after `wait_max`. A subscriber that was too slow is not waited for
    /// again until it has caught up.
    pub(super) async fn settle(&self, wait_max: Duration) {
        let waiting: Vec<Arc<Peer>> = {
            let mut state = self.state();
            for subscriber in &mut state.subscribers {
                subscriber.lags &= subscriber.peer.outbox.bytes() > 0;
            }
            state
                .subscribers
                .iter()
                .filter(|subscriber| !subscriber.lags)
                .map(|subscriber| subscriber.peer.clone())
                .collect()
        };
        let all = async {
            for peer in &waiting {
                peer.outbox.drained().await;
            }
        };
        if tokio::time::timeout(wait_max, all).await.is_err() {
            for subscriber in &mut self.state().subscribers {
                subscriber.lags = subscriber.peer.outbox.bytes() > 0;
            }
        }
    }
}

async fn wait_for_room(peer: &Peer) {
    let mut bytes = peer.outbox.watch();
    while *bytes.borrow_and_update() > WAITING_BYTES_MAX {
        // Only this task and the peer's own subscriptions fill the outbox, so any change shows that the peer is alive.
        if tokio::time::timeout(STOPPED_AFTER, bytes.changed()).await.is_err() {
            tracing::warn!("a subscriber has stopped reading and is disconnected");
            peer.outbox.close();
        }
    }
}

impl Service for Publisher {
    const TYPE: &'static str = "PUB";
    const PEERS: &'static [&'static str] = &["SUB", "XSUB"];
    const BYTES_MAX: usize = 64 << 10;

    fn joined(&self, peer: &Arc<Peer>) {
        self.state().subscribers.push(Subscriber { peer: peer.clone(), topics: Vec::new(), lags: false });
    }

    async fn received(&self, peer: &Arc<Peer>, frames: Vec<Bytes>) {
        let [frame] = &frames[..] else { return };
        let Some(kind) = frame.first() else { return };
        let topic = frame.slice(1..);
        let mut state = self.state();
        let State { subscribers, said, .. } = &mut *state;
        let Some(subscriber) = subscribers.iter_mut().find(|subscriber| Arc::ptr_eq(&subscriber.peer, peer)) else {
            return;
        };
        match kind {
            1 => {
                // Under the lock, so that no message of this topic is published in between.
                peer.outbox.push(encode(&(self.welcome)(&topic)));
                if subscriber.topics.is_empty() {
                    for (_, message) in said.iter().flatten().filter(|(known, _)| known.starts_with(&topic)) {
                        peer.outbox.push(message.clone());
                    }
                }
                subscriber.topics.push(topic);
            }
            0 => {
                if let Some(at) = subscriber.topics.iter().position(|known| *known == topic) {
                    subscriber.topics.swap_remove(at);
                }
            }
            _ => tracing::debug!(kind, "a subscriber sent something that is no subscription"),
        }
    }

    fn left(&self, peer: &Arc<Peer>) {
        self.state().subscribers.retain(|subscriber| !Arc::ptr_eq(&subscriber.peer, peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::Outbox;

    fn publisher() -> Publisher {
        Publisher::new(Box::new(|topic| vec![topic.clone(), Bytes::from_static(b"welcome")]))
    }

    fn alice(publisher: &Publisher) -> Arc<Peer> {
        let peer = Arc::new(Peer { identity: Bytes::from_static(b"alice"), outbox: Outbox::new() });
        publisher.joined(&peer);
        peer
    }

    fn message(frames: &[&'static str]) -> Vec<Bytes> {
        frames.iter().map(|frame| Bytes::from_static(frame.as_bytes())).collect()
    }

    /// Takes everything that was sent to a peer.
    async fn sent(peer: &Peer) -> Vec<Bytes> {
        let mut out = Vec::new();
        while peer.outbox.bytes() > 0 {
            let message = peer.outbox.next().await.unwrap();
            peer.outbox.wrote(message.len());
            out.push(message);
        }
        out
    }

    #[tokio::test]
    async fn a_subscriber_is_welcomed_on_its_topic_before_anything_else() {
        let publisher = publisher();
        let alice = alice(&publisher);
        publisher.received(&alice, message(&["\u{1}kernel"])).await;
        publisher.publish(&message(&["kernel.status", "a"])).await;
        publisher.publish(&message(&["other", "b"])).await;
        let expected = [encode(&message(&["kernel", "welcome"])), encode(&message(&["kernel.status", "a"]))];
        assert_eq!(sent(&alice).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_subscribes_soon_after_the_start_hears_what_was_said_before() {
        let publisher = publisher();
        publisher.publish(&message(&["a", "1"])).await;
        publisher.publish(&message(&["b", "2"])).await;
        let (soon, late) = (alice(&publisher), alice(&publisher));
        publisher.received(&soon, message(&["\u{1}a"])).await;
        publisher.received(&soon, message(&["\u{1}"])).await;
        let expected = [&["a", "welcome"][..], &["a", "1"], &["", "welcome"]].map(|frames| encode(&message(frames)));
        assert_eq!(sent(&soon).await, expected);
        tokio::time::advance(REPLAY_FOR * 2).await;
        publisher.received(&late, message(&["\u{1}"])).await;
        assert_eq!(sent(&late).await.len(), 1);
    }

    #[tokio::test]
    async fn too_much_is_not_replayed_at_all() {
        let publisher = publisher();
        publisher.publish(&message(&["a", "1"])).await;
        publisher.publish(&[Bytes::from_static(b"a"), Bytes::from(vec![0; REPLAY_BYTES_MAX])]).await;
        let alice = alice(&publisher);
        publisher.received(&alice, message(&["\u{1}"])).await;
        assert_eq!(sent(&alice).await.len(), 1);
    }

    #[tokio::test]
    async fn who_unsubscribes_hears_no_more_and_junk_does_no_harm() {
        let publisher = publisher();
        let alice = alice(&publisher);
        publisher.received(&alice, message(&["\u{1}"])).await;
        for junk in [&[""][..], &["\u{2}x"], &["\u{0}never"], &["\u{1}", "two frames"], &[]] {
            publisher.received(&alice, message(junk)).await;
        }
        publisher.publish(&message(&["a"])).await;
        assert_eq!(sent(&alice).await.len(), 2);
        publisher.received(&alice, message(&["\u{0}"])).await;
        publisher.publish(&message(&["b"])).await;
        assert!(sent(&alice).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_that_stopped_is_given_up_and_the_others_go_on() {
        let publisher = publisher();
        let (stopped, alive) = (alice(&publisher), alice(&publisher));
        for peer in [&stopped, &alive] {
            publisher.received(peer, message(&["\u{1}"])).await;
        }
        sent(&alive).await;
        let big = [Bytes::from_static(b"t"), Bytes::from(vec![0; WAITING_BYTES_MAX / 2])];
        for _ in 0..2 {
            publisher.publish(&big).await;
            assert_eq!(sent(&alive).await.len(), 1);
        }
        assert!(!stopped.outbox.push(Bytes::from_static(b"x")), "its box is closed");
        publisher.publish(&big).await;
        assert_eq!(sent(&alive).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_is_waited_for_once() {
        let publisher = publisher();
        let slow = alice(&publisher);
        publisher.received(&slow, message(&["\u{1}"])).await;
        let wait_max = Duration::from_millis(100);
        let start = tokio::time::Instant::now();
        publisher.settle(wait_max).await;
        publisher.settle(wait_max).await;
        assert_eq!(start.elapsed(), wait_max);
    }
}
