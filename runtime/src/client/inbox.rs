//! Replies of the head, read by the thread that waits for one.
//!
//! ```text
//!   thread 1: waits ──▶ no thread reads ──▶ reads ──▶ sorts what came ──▶ its answer is there ──▶ goes
//!   thread 2: waits ──▶ another reads ──▶ sleeps ────▲ woken ──▶ looks; else reads itself
//! ```
//!
//! A client has no thread of its own, because a cell host is forked between cells and a helper thread would not exist
//! in the twin.
//!
//! # Invariants
//! - At most one thread reads. It gives up reading before it returns, however it returns.
//! - Messages are sorted in the order in which they came.

use crate::protocol::{ArenaInfo, Decoder, Request, ToClient, ToFront};
use crate::store::Arena;
use mobula_fds as fds;
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const READ_BYTES: usize = 64 << 10;

/// Why waiting ended without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The deadline has passed.
    TimedOut,
    /// The cell was interrupted.
    Interrupted,
    /// The head is gone.
    Closed(String),
}

/// The messages that have come from the head and have not been taken.
#[derive(Debug, Default)]
pub struct Books {
    /// Expected answers, and those of them that have come. An answer that is not expected is thrown away.
    answers: HashMap<Request, Option<ToClient>>,
    /// The turn that was interrupted last.
    interrupted: Option<u64>,
    /// Of a front process: what it is told.
    told: VecDeque<ToFront>,
    /// Why nothing more will come.
    closed: Option<String>,
    reading: bool,
}

impl Books {
    /// Takes the next message for a front process, if one has come.
    pub fn told(&mut self) -> Option<ToFront> {
        self.told.pop_front()
    }

    /// Takes the answer to a question, if it has come.
    pub fn answer(&mut self, req: Request) -> Option<ToClient> {
        if self.answers.get(&req)?.is_none() {
            return None;
        }
        self.answers.remove(&req)?
    }
}

/// Bytes and descriptors that have arrived and are not decoded.
#[derive(Debug, Default)]
pub struct Incoming {
    decoder: Decoder,
    /// Descriptors, which arrive with the first byte of their message and so before its last.
    beside: VecDeque<OwnedFd>,
}

impl Incoming {
    /// Reads what has arrived; with `wait`, waits until something has.
    ///
    /// # Errors
    /// A message that says why nothing more will come.
    pub fn receive(&mut self, socket: impl AsFd, wait: bool) -> Result<(), String> {
        let room = self.decoder.missing().max(READ_BYTES);
        let mut beside = Vec::new();
        match fds::receive(socket, self.decoder.room(room), &mut beside, wait) {
            Ok(0) => return Err("the runtime has ended".into()),
            Ok(bytes) => self.decoder.arrived(bytes),
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(format!("the connection to the runtime failed: {error}")),
        }
        self.beside.extend(beside);
        Ok(())
    }

    /// The next whole message.
    ///
    /// # Errors
    /// A message that says why no other will follow.
    pub fn take(&mut self) -> Result<Option<ToClient>, String> {
        self.decoder.take().map_err(|error| format!("the runtime sent an invalid message: {error}"))
    }

    /// The next of the descriptors that came beside messages.
    ///
    /// # Errors
    /// A message.
    pub fn descriptor(&mut self) -> Result<OwnedFd, String> {
        self.beside.pop_front().ok_or_else(|| "the runtime's message lacks the descriptor of the store's memory".into())
    }

    /// Maps the arena that the message just taken describes.
    ///
    /// # Errors
    /// A message.
    pub fn map(&mut self, info: &ArenaInfo) -> Result<Arc<Arena>, String> {
        let (file, reader) = (self.descriptor()?, self.descriptor()?);
        let arena = Arena::open(file, reader, info.len, info.unit_bytes, info.huge);
        arena.map(Arc::new).map_err(|error| format!("the store's {} bytes cannot be mapped: {error}", info.len))
    }
}

/// The reading end of a client's connection.
pub struct Inbox {
    socket: OwnedFd,
    incoming: Mutex<Incoming>,
    books: Mutex<Books>,
    changed: Condvar,
    /// The arena that came last, until it is taken.
    arena: Mutex<Option<(ArenaInfo, Arc<Arena>)>>,
}

impl Inbox {
    /// Takes over a connection whose `Welcome` has been read; `incoming` has the bytes behind it.
    pub fn new(socket: OwnedFd, incoming: Incoming) -> Inbox {
        Inbox {
            socket,
            incoming: Mutex::new(incoming),
            books: Mutex::default(),
            changed: Condvar::new(),
            arena: Mutex::default(),
        }
    }

    /// The connection.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes the arena that came with an answer.
    pub fn take_arena(&self) -> Option<(ArenaInfo, Arc<Arena>)> {
        self.arena.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Expects the answer to this question. Call it before the question is asked.
    pub fn expect(&self, req: Request) {
        self.books().answers.insert(req, None);
    }

    /// No longer expects the answer to this question.
    pub fn forget(&self, req: Request) {
        self.books().answers.remove(&req);
    }

    /// The turn has ended, and its interrupt with it.
    pub fn end_interrupt(&self, turn: u64) {
        let mut books = self.books();
        books.interrupted = books.interrupted.filter(|interrupted| *interrupted != turn);
    }

    /// Blocks until `look` finds something. `turn` is the one whose interruption ends the waiting.
    ///
    /// # Errors
    /// See [`Stop`]. A result goes before a passed deadline, and an interruption before both.
    pub fn wait<T>(
        &self,
        deadline: Option<Instant>,
        turn: Option<u64>,
        mut look: impl FnMut(&mut Books) -> Option<T>,
    ) -> Result<T, Stop> {
        let mut books = self.books();
        loop {
            if turn.is_some() && books.interrupted == turn {
                return Err(Stop::Interrupted);
            }
            if let Some(found) = look(&mut books) {
                return Ok(found);
            }
            if let Some(reason) = &books.closed {
                return Err(Stop::Closed(reason.clone()));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Stop::TimedOut);
            }
            if books.reading {
                books = match left {
                    None => self.changed.wait(books).unwrap_or_else(PoisonError::into_inner),
                    Some(left) => self.changed.wait_timeout(books, left).unwrap_or_else(PoisonError::into_inner).0,
                };
                continue;
            }
            books.reading = true;
            drop(books);
            let came = self.read(deadline);
            books = self.books();
            debug_assert!(books.reading, "who reads gives it up itself");
            books.reading = false;
            books.sort(came);
            self.changed.notify_all();
        }
    }

    /// Waits for messages and reads them.
    fn read(&self, deadline: Option<Instant>) -> Result<Vec<ToClient>, String> {
        debug_assert!(
            !matches!(self.incoming.try_lock(), Err(std::sync::TryLockError::WouldBlock)),
            "at most one thread reads"
        );
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        // Messages that came along with the `Welcome` are here already.
        let came = self.decode(&mut incoming)?;
        if !came.is_empty() {
            return Ok(came);
        }
        // Without a deadline, one system call waits and reads.
        let ready = match deadline {
            None => true,
            deadline => fds::wait_ready(&self.socket, PollFlags::IN, deadline).map_err(|error| error.to_string())?,
        };
        if ready {
            incoming.receive(&self.socket, deadline.is_none())?;
        }
        self.decode(&mut incoming)
    }

    fn decode(&self, incoming: &mut Incoming) -> Result<Vec<ToClient>, String> {
        let mut came = Vec::new();
        while let Some(message) = incoming.take()? {
            match message {
                ToClient::Arena { req, arena: info } => {
                    let arena = incoming.map(&info)?;
                    *self.arena.lock().unwrap_or_else(PoisonError::into_inner) = Some((info.clone(), arena));
                    came.push(ToClient::Arena { req, arena: info });
                }
                message => came.push(message),
            }
        }
        Ok(came)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn sort(&mut self, came: Result<Vec<ToClient>, String>) {
        match came {
            Ok(messages) => messages.into_iter().for_each(|message| self.put(message)),
            Err(reason) => self.closed = Some(reason),
        }
    }

    fn put(&mut self, message: ToClient) {
        let req = match &message {
            ToClient::Arena { req, .. }
            | ToClient::Interned { req, .. }
            | ToClient::Numbered { req, .. }
            | ToClient::Mailbox { req, .. }
            | ToClient::Existing { req, .. }
            | ToClient::Calls { req, .. }
            | ToClient::Function { req, .. }
            | ToClient::Blame { req, .. }
            | ToClient::Done { req }
            | ToClient::Refused { req, .. }
            | ToClient::Answer { req, .. } => *req,
            ToClient::Interrupt { turn } => {
                self.interrupted = Some(*turn);
                return;
            }
            ToClient::Front(_) => {
                if let ToClient::Front(told) = message {
                    self.told.push_back(told);
                }
                return;
            }
            ToClient::Welcome { .. } => return,
        };
        if let Some(answer) = self.answers.get_mut(&req) {
            *answer = Some(message);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::protocol::encode;
    use rustix::net::SocketType;
    use std::time::Duration;

    fn inbox() -> (Inbox, OwnedFd) {
        let (here, there) = fds::pair(SocketType::STREAM).unwrap();
        (Inbox::new(here, Incoming::default()), there)
    }

    fn say(to: &OwnedFd, messages: &[ToClient]) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| encode(message, &mut bytes).unwrap());
        fds::send_bytes(to, &bytes).unwrap();
    }

    fn granted(req: u64) -> ToClient {
        ToClient::Done { req: Request(req) }
    }

    #[test]
    fn every_thread_gets_its_own_answer_whoever_reads() {
        const THREADS: u64 = 8;
        let (inbox, head) = inbox();
        (0..THREADS).for_each(|number| inbox.expect(Request(number)));
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                let inbox = &inbox;
                scope.spawn(move || {
                    let deadline = number.is_multiple_of(2).then(|| Instant::now() + Duration::from_secs(60));
                    let answer = inbox.wait(deadline, None, |books| books.answer(Request(number)));
                    assert_eq!(answer, Ok(granted(number)));
                });
            }
            for number in (0..THREADS).rev() {
                say(&head, &[granted(number)]);
            }
        });
    }

    #[test]
    fn an_interrupt_counts_for_its_own_turn_only() {
        let (inbox, head) = inbox();
        inbox.expect(Request(1));
        say(&head, &[ToClient::Interrupt { turn: 3 }, granted(1)]);
        let stopped = inbox.wait(None, Some(3), |books| books.answer(Request(1)));
        assert_eq!(stopped, Err(Stop::Interrupted));
        assert!(inbox.wait(None, Some(4), |books| books.answer(Request(1))).is_ok());
    }

    #[test]
    fn what_nobody_waits_for_any_longer_is_thrown_away() {
        let (inbox, head) = inbox();
        inbox.expect(Request(1));
        inbox.forget(Request(1));
        inbox.expect(Request(2));
        say(&head, &[granted(1), granted(2)]);
        inbox.wait(None, None, |books| books.answer(Request(2))).unwrap();
        assert!(inbox.books().answers.is_empty());
    }

    #[test]
    fn waiting_for_a_head_that_is_gone_ends() {
        let (inbox, head) = inbox();
        drop(head);
        let stopped = inbox.wait::<()>(None, None, |_| None);
        assert!(matches!(stopped, Err(Stop::Closed(_))));
    }

    #[test]
    fn waiting_ends_in_time_whether_one_reads_or_not() {
        let (inbox, _head) = inbox();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let deadline = Instant::now() + Duration::from_millis(5);
                let inbox = &inbox;
                scope.spawn(move || {
                    assert_eq!(inbox.wait::<()>(Some(deadline), None, |_| None), Err(Stop::TimedOut));
                });
            }
        });
    }
}
