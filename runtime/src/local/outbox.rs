//! A queue between threads that must not block and a reader that may stop reading.
//!
//! ```text
//!   head, link ──put──▶ │ waiting │ ──a thread of its own──▶ deliver (may block)
//!        ▲                  │
//!        └── is_full: reads no more of its input, until the bell rings
//! ```
//!
//! # Invariants
//! - [`Outbox::put`] never waits; what is put in is delivered in that order, by one thread.
//! - The threads that put bound the queue: each looks at [`Outbox::is_full`] before it takes in more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A function that is called when there is room again.
type Bell = Box<dyn Fn() + Send + Sync>;

/// The queue. Dropping it ends its thread once everything has been delivered.
pub struct Outbox<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Something came, or the queue is closed.
    came: Condvar,
    /// Something has been delivered.
    went: Condvar,
    full: AtomicBool,
    bells: Mutex<Vec<Bell>>,
    /// The queue is full with more bytes than this.
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<(T, usize)>,
    /// Bytes that wait or are being delivered.
    bytes: usize,
    /// How many items were put in, and how many of them have been delivered.
    put: u64,
    delivered: u64,
    closed: bool,
}

#[cfg(debug_assertions)]
impl<T> State<T> {
    /// Panics when an invariant of this file does not hold.
    fn check(&self) {
        let left = self.put - self.delivered;
        let delivering = left.checked_sub(self.waiting.len() as u64);
        assert!(delivering.is_some_and(|items| items <= 1), "what is put in is delivered by one thread");
        assert!(self.bytes as u64 >= left && (self.bytes == 0) == (left == 0), "what is left is counted");
    }
}

impl<T> std::fmt::Debug for Outbox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("is_full", &self.is_full()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Outbox<T> {
    /// An empty queue that counts as full when more than `capacity` bytes have not been delivered; with 0, as long as anything has not.
    ///
    /// # Errors
    /// The system gives no thread.
    ///
    /// ```
    /// use mobula_runtime::local::Outbox;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let sees = Arc::clone(&seen);
    /// let outbox = Outbox::start("example", 1024, move |word: &str| sees.lock().unwrap().push(word))?;
    /// outbox.put("first", 5);
    /// outbox.put("second", 6);
    /// assert!(outbox.settle(None));
    /// assert_eq!(*seen.lock().unwrap(), ["first", "second"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn start(name: &str, capacity: usize, deliver: impl FnMut(T) + Send + 'static) -> std::io::Result<Outbox<T>> {
        let state = State { waiting: VecDeque::new(), bytes: 0, put: 0, delivered: 0, closed: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            came: Condvar::new(),
            went: Condvar::new(),
            full: AtomicBool::new(false),
            bells: Mutex::new(Vec::new()),
            capacity,
        });
        let outbox = Outbox { shared: Arc::clone(&shared) };
        std::thread::Builder::new().name(name.into()).spawn(move || Thread(shared).run(deliver))?;
        Ok(outbox)
    }

    /// Puts an item of so many bytes in. After a panic in `deliver`, which ends the thread, the item is lost.
    pub fn put(&self, item: T, bytes: usize) {
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        // An item without bytes has to be delivered all the same.
        let bytes = bytes.max(1);
        state.waiting.push_back((item, bytes));
        state.bytes += bytes;
        state.put += 1;
        #[cfg(debug_assertions)]
        state.check();
        if state.bytes > self.shared.capacity {
            self.shared.full.store(true, Ordering::Release);
        }
        drop(state);
        self.shared.came.notify_one();
    }
}

impl<T> Outbox<T> {
    /// Whether a thread that can wait before it puts more should do so. Once full, the queue stays full until half of
    /// it is delivered.
    pub fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Acquire)
    }

    /// Has `bell` called whenever the queue is no longer full. It must not wait for a thread that puts.
    pub fn when_room(&self, bell: impl Fn() + Send + Sync + 'static) {
        self.shared.bells.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(bell));
    }

    /// Waits, at most so long, until all items put in before have been delivered. Returns whether they have been.
    pub fn settle(&self, at_most: Option<Duration>) -> bool {
        let mut state = self.shared.lock();
        let last = state.put;
        let is_left = |state: &mut State<T>| state.delivered < last;
        state = match at_most {
            None => self.shared.went.wait_while(state, is_left).unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let waited = self.shared.went.wait_timeout_while(state, at_most, is_left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.delivered >= last
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.came.notify_one();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many items, of so many bytes together, as delivered.
    fn delivered(&self, items: u64, bytes: usize) {
        let mut state = self.lock();
        state.bytes -= bytes;
        state.delivered += items;
        #[cfg(debug_assertions)]
        state.check();
        let has_room = state.bytes <= self.capacity / 2 && self.full.swap(false, Ordering::AcqRel);
        drop(state);
        self.went.notify_all();
        if has_room {
            self.bells.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell());
        }
    }
}

/// The queue's thread.
struct Thread<T>(Arc<Shared<T>>);

impl<T> Thread<T> {
    fn run(self, mut deliver: impl FnMut(T)) {
        loop {
            let is_idle = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
            let waited = self.0.came.wait_while(self.0.lock(), is_idle);
            let next = waited.unwrap_or_else(PoisonError::into_inner).waiting.pop_front();
            let Some((item, bytes)) = next else { return };
            deliver(item);
            self.0.delivered(1, bytes);
        }
    }
}

impl<T> Drop for Thread<T> {
    /// Counts what is left after a panic as delivered, so that no thread waits for it.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.waiting.clear();
        let (items, bytes) = (state.put - state.delivered, state.bytes);
        drop(state);
        self.0.delivered(items, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A queue whose reader takes one item for each word that it is sent.
    fn slow(capacity: usize) -> (Outbox<u32>, Sender<()>, Receiver<u32>) {
        let ((go, may_go), (tell, told)) = (channel(), channel());
        let deliver = move |item| {
            // When the other end is dropped, everything is delivered.
            let _ = may_go.recv();
            tell.send(item).unwrap();
        };
        (Outbox::start("slow", capacity, deliver).unwrap(), go, told)
    }

    #[test]
    fn who_puts_never_waits_and_everything_comes_in_order() {
        let (outbox, go, told) = slow(10);
        (0..100).for_each(|item| outbox.put(item, 1));
        drop(go);
        assert!(outbox.settle(None));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn it_is_full_until_half_is_delivered_and_then_the_bell_rings_once() {
        let (outbox, go, told) = slow(4);
        let (ring, rung) = channel();
        outbox.when_room(move || ring.send(()).unwrap());
        (0..4).for_each(|item| outbox.put(item, 1));
        assert!(!outbox.is_full());
        outbox.put(4, 1);
        assert!(outbox.is_full());
        (0..2).for_each(|_| go.send(()).unwrap());
        assert_eq!([told.recv().unwrap(), told.recv().unwrap()], [0, 1]);
        assert!(outbox.is_full() && rung.try_recv().is_err());
        go.send(()).unwrap();
        rung.recv().unwrap();
        assert!(!outbox.is_full());
        drop(go);
        assert!(outbox.settle(None) && rung.try_recv().is_err());
    }

    #[test]
    fn without_capacity_it_is_full_as_long_as_anything_is_left() {
        let (outbox, go, _told) = slow(0);
        outbox.put(1, 0);
        assert!(outbox.is_full() && !outbox.settle(Some(Duration::ZERO)));
        go.send(()).unwrap();
        assert!(outbox.settle(None) && !outbox.is_full());
    }

    #[test]
    fn what_is_left_is_delivered_after_it_is_dropped() {
        let (outbox, go, told) = slow(0);
        (0..3).for_each(|item| outbox.put(item, 1));
        drop((outbox, go));
        assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_reader_that_panics_keeps_nobody_waiting() {
        let outbox = Outbox::start("panics", 1, |()| panic!("no reader")).unwrap();
        outbox.put((), 9);
        assert!(outbox.settle(None));
        outbox.put((), 9);
        assert!(outbox.settle(None) && !outbox.is_full());
    }
}
