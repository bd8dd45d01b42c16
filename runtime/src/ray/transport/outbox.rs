//! The order in which a session's requests go out, and the ids that the cluster keeps for it. Decides, and does nothing: no clock, no socket.
//!
//! ```text
//!  ask ──▶ waiting ──ids known──▶ ready ──next──▶ (the stream) ──answered──▶ settle: keys get their ids, what waited for them is ready
//!                                   ▲                                            │
//!                                   └── release: ids whose last key was dropped ◀┘
//! ```
//!
//! # Invariants
//! - A request goes out only when the cluster keeps everything that it names, and no release of that goes out before it. The cluster ends a session
//!   that names what it does not keep.
//! - The cluster keeps an id once, however often it has told it; so all keys of an id are counted together, and the id is released once.
//! - A release goes out only for an id without keys. It may cross an answer that brings the same id again: the cluster wrote the answer while it
//!   kept the id, or after. Nobody can tell, so such an answer is asked for again (`Told::Doubtful`). The second request is behind the
//!   release, so what it brings is kept.
//! - Requests of one lane (calls of one actor) go out in the order in which they were made, also when one of them has to wait.

use super::reference::Key;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// The cluster's name of something that it keeps.
pub(super) type Id = Bytes;

/// The number of a request on the stream: above 0, ascending, and 1 again after the largest.
pub(super) type ReqId = i32;

/// At most so many ids in one release.
const RELEASE_MAX: usize = 1000;

/// Releases that are remembered, for answers that cross them.
const RELEASED_MAX: usize = 100_000;

/// How far the stream has got, in requests. An answer brings what the cluster kept at some time after its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

/// A request that somebody makes. `W` is what is needed to write it.
#[derive(Debug)]
pub(super) struct Request<W> {
    /// What it names.
    pub needs: Vec<Key>,
    /// The keys whose ids its answer brings.
    pub into: Vec<Key>,
    /// The actor whose calls keep their order.
    pub lane: Option<Key>,
    /// It goes out also when what it names has failed.
    pub tolerant: bool,
    /// The rest.
    pub what: W,
}

/// What goes out next.
#[derive(Debug, PartialEq)]
pub(super) enum Next<W> {
    /// To be written, and then told with [`Outbox::sent`] or [`Outbox::unsent`]. The ids of its keys are known until then.
    Request(Ticket, W),
    /// Ids that the cluster need not keep.
    Release(Vec<Id>),
}

/// A request between `next` and `sent`. The default one brings no ids.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ticket {
    into: Vec<Key>,
}

#[cfg(test)]
impl Ticket {
    pub(super) fn keys(&self) -> &[Key] {
        &self.into
    }
}

/// A request that was written, until its answer.
#[derive(Debug)]
pub(super) struct Sent<S> {
    /// What its answer brings ids for.
    pub into: Vec<Key>,
    /// Where on the stream it went out.
    pub position: Position,
    /// What is needed to write it again, and to use its answer.
    pub what: S,
}

/// How an answer's ids are taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The cluster keeps them for us.
    Kept,
    /// A release of one of them may have come later. Ask again.
    Doubtful,
}

/// See the head of this file. `F` is why something failed.
pub(super) struct Outbox<W, S, F> {
    keys: HashMap<Key, Known<F>>,
    kept: HashMap<Id, usize>,
    waiting: BTreeMap<u64, Waiting<W>>,
    lanes: HashMap<Key, VecDeque<u64>>,
    made: u64,
    ready: VecDeque<(Vec<Key>, W)>,
    /// Without keys, and not yet released.
    idle: HashSet<Id>,
    /// Requests that may have become ready.
    due: VecDeque<u64>,
    sent: BTreeMap<Position, (ReqId, Sent<S>)>,
    positions: HashMap<ReqId, Position>,
    position: Position,
    req: ReqId,
    released: HashMap<Id, Position>,
    /// Of earlier releases than this nothing is remembered.
    forgotten: Position,
    failed: Vec<(W, F)>,
}

enum Known<F> {
    /// Its id comes with an answer. The numbers of the requests that wait for it.
    Promised {
        waiters: Vec<u64>,
        dropped: bool,
    },
    Kept(Id),
    Failed(F),
}

struct Waiting<W> {
    request: Request<W>,
    /// How many of its needs are promised.
    missing: usize,
}

impl<W, S, F: Clone> Outbox<W, S, F> {
    /// Of a session whose last request had the number `req`.
    pub(super) fn new(req: ReqId) -> Outbox<W, S, F> {
        Outbox {
            keys: HashMap::new(),
            kept: HashMap::new(),
            waiting: BTreeMap::new(),
            lanes: HashMap::new(),
            made: 0,
            ready: VecDeque::new(),
            idle: HashSet::new(),
            due: VecDeque::new(),
            sent: BTreeMap::new(),
            positions: HashMap::new(),
            position: Position(0),
            req,
            released: HashMap::new(),
            forgotten: Position(0),
            failed: Vec::new(),
        }
    }

    /// Takes a request, and gives it a number. All that it names was made by this outbox and is still held.
    pub(super) fn ask(&mut self, request: Request<W>) -> u64 {
        for key in &request.into {
            self.keys.insert(*key, Known::Promised { waiters: Vec::new(), dropped: false });
        }
        let number = self.made;
        self.made += 1;
        let mut missing = 0;
        // Each once, so that each is counted down once.
        let needs: HashSet<Key> = request.needs.iter().copied().collect();
        for key in needs {
            if let Some(Known::Promised { waiters, .. }) = self.keys.get_mut(&key) {
                waiters.push(number);
                missing += 1;
            }
        }
        if let Some(lane) = request.lane {
            self.lanes.entry(lane).or_default().push_back(number);
        }
        self.waiting.insert(number, Waiting { request, missing });
        self.due.push_back(number);
        self.advance();
        number
    }

    /// Has a tolerant request go out though ids are missing, if it still waits for them.
    pub(super) fn hurry(&mut self, number: u64) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.missing = 0;
            self.due.push_back(number);
            self.advance();
        }
    }

    /// Takes that nobody holds `key` any more.
    pub(super) fn dropped(&mut self, key: Key) {
        match self.keys.get_mut(&key) {
            Some(Known::Promised { dropped, .. }) => *dropped = true,
            Some(Known::Kept(_)) => {
                let Some(Known::Kept(id)) = self.keys.remove(&key) else { unreachable!("it was there") };
                self.let_go(id);
            }
            Some(Known::Failed(_)) => drop(self.keys.remove(&key)),
            // Of an answer that was asked for again.
            None => {}
        }
    }

    /// What goes out next; a release, if `flush` or if there are many.
    pub(super) fn next(&mut self, flush: bool) -> Option<Next<W>> {
        if self.idle.len() >= RELEASE_MAX || (flush && !self.idle.is_empty()) {
            let ids: Vec<Id> = self.idle.iter().take(RELEASE_MAX).cloned().collect();
            for id in &ids {
                self.idle.remove(id);
            }
            return Some(Next::Release(ids));
        }
        self.ready.pop_front().map(|(into, what)| Next::Request(Ticket { into }, what))
    }

    /// Whether [`next`](Self::next) has something without `flush`.
    pub(super) fn has_next(&self) -> bool {
        !self.ready.is_empty() || self.idle.len() >= RELEASE_MAX
    }

    /// Whether ids wait for a release.
    pub(super) fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Notes that a request goes out now, and returns its number.
    pub(super) fn sent(&mut self, ticket: Ticket, what: S) -> ReqId {
        self.position.0 += 1;
        let position = self.position;
        let req = self.number();
        self.positions.insert(req, position);
        self.sent.insert(position, (req, Sent { into: ticket.into, position, what }));
        req
    }

    /// Notes that a release goes out now, and returns its number.
    pub(super) fn released(&mut self, ids: &[Id], what: S) -> ReqId {
        let req = self.sent(Ticket { into: Vec::new() }, what);
        self.released.extend(ids.iter().map(|id| (id.clone(), self.position)));
        if self.released.len() > RELEASED_MAX {
            // What was released before the oldest request that has no answer, no answer can cross.
            let oldest = *self.sent.keys().next().expect("the release is one");
            self.released.retain(|_, released| *released > oldest);
        }
        if self.released.len() > RELEASED_MAX / 2 {
            self.released.clear();
            self.forgotten = self.position;
        }
        req
    }

    /// Notes that a request cannot be written.
    pub(super) fn unsent(&mut self, ticket: Ticket, why: F) {
        for key in ticket.into {
            self.fail(key, why.clone());
        }
    }

    /// The request that an answer belongs to, which stays: another part of the answer may come.
    pub(super) fn peek(&mut self, req: ReqId) -> Option<&mut Sent<S>> {
        let position = self.positions.get(&req)?;
        self.sent.get_mut(position).map(|(_, sent)| sent)
    }

    /// The request whose answer is complete.
    pub(super) fn answered(&mut self, req: ReqId) -> Option<Sent<S>> {
        let position = self.positions.remove(&req)?;
        let (_, sent) = self.sent.remove(&position)?;
        if self.sent.is_empty() {
            self.released.clear();
        }
        Some(sent)
    }

    /// Whether the cluster keeps `ids`, which an answer to a request at `position` brought.
    pub(super) fn told<'a>(&self, ids: impl IntoIterator<Item = &'a Id>, position: Position) -> Told {
        let doubtful = |id: &Id| {
            let later = self.released.get(id).is_some_and(|released| *released > position);
            !self.kept.contains_key(id) && !self.idle.contains(id) && (later || self.forgotten > position)
        };
        if ids.into_iter().any(doubtful) { Told::Doubtful } else { Told::Kept }
    }

    /// Gives a promised key its id, which the cluster keeps.
    pub(super) fn settle(&mut self, key: Key, id: Id) {
        self.keep(&id);
        self.end_promise(key, Known::Kept(id));
        self.advance();
    }

    /// Makes a new key for an id that the cluster keeps.
    pub(super) fn adopt(&mut self, key: Key, id: Id) {
        self.keep(&id);
        self.keys.insert(key, Known::Kept(id));
    }

    /// Notes that a promised key gets no id. What waits for it fails, too.
    pub(super) fn fail(&mut self, key: Key, why: F) {
        self.end_promise(key, Known::Failed(why));
        self.advance();
    }

    /// The id of a key.
    pub(super) fn id(&self, key: Key) -> Option<&Id> {
        match self.keys.get(&key) {
            Some(Known::Kept(id)) => Some(id),
            _ => None,
        }
    }

    /// Why a key has no id and gets none.
    pub(super) fn failure(&self, key: Key) -> Option<&F> {
        match self.keys.get(&key) {
            Some(Known::Failed(why)) => Some(why),
            _ => None,
        }
    }

    /// The requests that never go out, and why.
    pub(super) fn take_failed(&mut self) -> Vec<(W, F)> {
        std::mem::take(&mut self.failed)
    }

    /// Notes that a request goes out once more, as a new one, and returns its number.
    pub(super) fn again(&mut self, sent: Sent<S>) -> ReqId {
        self.sent(Ticket { into: sent.into }, sent.what)
    }

    /// Shows all that was written and is not answered, in order: to be written once more on another connection.
    pub(super) fn for_unanswered(&mut self, mut show: impl FnMut(ReqId, &mut S)) {
        self.sent.values_mut().for_each(|(req, sent)| show(*req, &mut sent.what));
    }

    /// Takes everything that was asked for and is not answered: the session has ended.
    pub(super) fn end(&mut self) -> (Vec<W>, Vec<S>) {
        let waiting = std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.request.what);
        let ready = std::mem::take(&mut self.ready).into_iter().map(|(_, what)| what);
        let sent = std::mem::take(&mut self.sent).into_values().map(|(_, sent)| sent.what);
        self.positions.clear();
        (ready.chain(waiting).collect(), sent.collect())
    }

    fn end_promise(&mut self, key: Key, known: Known<F>) {
        let Some(Known::Promised { waiters, dropped }) = self.keys.insert(key, known) else { return };
        for number in waiters {
            if let Some(waiting) = self.waiting.get_mut(&number) {
                waiting.missing -= 1;
                self.due.push_back(number);
            }
        }
        if dropped {
            self.dropped(key);
        }
    }

    /// Moves on what waits for nothing any more. A loop and no recursion, because what fails may take a long chain with it.
    fn advance(&mut self) {
        while let Some(number) = self.due.pop_front() {
            let Some(waiting) = self.waiting.get(&number) else { continue };
            let lane = waiting.request.lane;
            let is_first = lane.is_none_or(|lane| self.lanes[&lane].front() == Some(&number));
            if waiting.missing > 0 || !is_first {
                continue;
            }
            let request = self.waiting.remove(&number).expect("it was there").request;
            if let Some(lane) = lane {
                let line = self.lanes.get_mut(&lane).expect("it is in it");
                line.pop_front();
                match line.front() {
                    Some(next) => self.due.push_back(*next),
                    None => drop(self.lanes.remove(&lane)),
                }
            }
            let why = request.needs.iter().find_map(|key| self.failure(*key)).cloned();
            match why.filter(|_| !request.tolerant) {
                Some(why) => {
                    for key in request.into {
                        self.end_promise(key, Known::Failed(why.clone()));
                    }
                    self.failed.push((request.what, why));
                }
                None => self.ready.push_back((request.into, request.what)),
            }
        }
    }

    fn keep(&mut self, id: &Id) {
        let count = self.kept.entry(id.clone()).or_insert(0);
        *count += 1;
        self.idle.remove(id);
    }

    fn let_go(&mut self, id: Id) {
        let count = self.kept.get_mut(&id).expect("a key had it");
        *count -= 1;
        if *count == 0 {
            self.kept.remove(&id);
            self.idle.insert(id);
        }
    }

    fn number(&mut self) -> ReqId {
        loop {
            self.req = if self.req == ReqId::MAX { 1 } else { self.req + 1 };
            if !self.positions.contains_key(&self.req) {
                return self.req;
            }
        }
    }
}
