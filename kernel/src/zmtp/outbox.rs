//! The outbox of one peer: messages that wait to be written.
//!
//! [`Outbox::push`] never waits. Its caller decides how much is too much, by looking at [`Outbox::bytes`]: a router
//! disconnects the peer, the publisher waits for it.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::{Notify, watch};

/// A queue of encoded messages for one peer.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Bytes pushed and not yet written. Watched by tasks that wait for room or for the end.
    bytes: watch::Sender<usize>,
    work: Notify,
}

struct Queue {
    messages: VecDeque<Bytes>,
    closed: bool,
}

impl Outbox {
    /// An empty outbox.
    pub(crate) fn new() -> Outbox {
        let queue = Queue { messages: VecDeque::new(), closed: false };
        Outbox { queue: Mutex::new(queue), bytes: watch::Sender::new(0), work: Notify::new() }
    }

    /// Queues a message. Returns `false`, and drops the message, if the peer is gone.
    pub(crate) fn push(&self, message: Bytes) -> bool {
        let mut queue = self.queue.lock().expect("nobody panics holding an outbox");
        if queue.closed {
            return false;
        }
        self.bytes.send_modify(|bytes| *bytes += message.len());
        queue.messages.push_back(message);
        drop(queue);
        self.work.notify_one();
        true
    }

    /// Bytes not yet written.
    pub(crate) fn bytes(&self) -> usize {
        *self.bytes.borrow()
    }

    /// Watches [`Outbox::bytes`].
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.bytes.subscribe()
    }

    /// Returns when everything is written, or the peer is gone.
    pub(crate) async fn drained(&self) {
        // The sender lives in `self`, so this returns only when the condition holds.
        let _ = self.watch().wait_for(|bytes| *bytes == 0).await;
    }

    /// The next message to write; `None` when the outbox is closed.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut queue = self.queue.lock().expect("nobody panics holding an outbox");
                if let Some(message) = queue.messages.pop_front() {
                    return Some(message);
                }
                if queue.closed {
                    return None;
                }
            }
            self.work.notified().await;
        }
    }

    /// Records that `count` bytes have been written.
    pub(crate) fn wrote(&self, count: usize) {
        self.bytes.send_modify(|bytes| {
            debug_assert!(*bytes >= count || self.is_closed(), "no more leaves a box than was put in");
            *bytes = bytes.saturating_sub(count);
        });
    }

    /// Closes the outbox of a peer that is gone or disconnected: drops the queue and wakes all waiting tasks.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock().expect("nobody panics holding an outbox");
        queue.closed = true;
        queue.messages.clear();
        drop(queue);
        self.bytes.send_modify(|bytes| *bytes = 0);
        self.work.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.queue.lock().expect("nobody panics holding an outbox").closed
    }

    /// Returns once the outbox is closed.
    pub(crate) async fn closed(&self) {
        let mut bytes = self.watch();
        while !self.is_closed() {
            // [`Outbox::close`] changes the count after it sets the flag, if only from zero to zero.
            let _ = bytes.changed().await;
        }
    }
}
