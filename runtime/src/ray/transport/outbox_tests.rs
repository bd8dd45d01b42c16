//! Random histories of a session against a plain model of the cluster, which keeps ids as Ray does: once each, and not after a release.

use super::outbox::{Id, Next, Outbox, Position, Request, Sent, Told};
use super::reference::Key;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};

/// Something that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    /// A put or a call that names some of the keys that are held. The last number: into how many keys, of which lane.
    Ask { needs: Vec<usize>, into: usize, lane: Option<usize> },
    /// A get of one that is held.
    Get(usize),
    /// An actor is looked for by its name; one of two.
    Named(u8),
    /// One of the keys that are held is dropped.
    Drop(usize),
    /// The session's thread writes some of what is next.
    Write { count: usize, flush: bool },
    /// The cluster takes the next message.
    Take { fails: bool },
    /// An object becomes ready: the oldest get is answered, with references to some of what the cluster has ever made.
    Ready(Vec<usize>),
    /// The session reads the next answer.
    Read,
    /// The connection breaks, and what has no answer is sent again.
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    let any_of = || prop::collection::vec(0usize..100, 0..3);
    prop_oneof![
        3 => (any_of(), 0usize..3, prop::option::of(0usize..100)).prop_map(|(needs, into, lane)| Step::Ask { needs, into, lane }),
        3 => (0usize..100).prop_map(Step::Get),
        1 => (0u8..2).prop_map(Step::Named),
        4 => (0usize..100).prop_map(Step::Drop),
        4 => (0usize..4, any::<bool>()).prop_map(|(count, flush)| Step::Write { count, flush }),
        5 => prop::bool::weighted(0.1).prop_map(|fails| Step::Take { fails }),
        3 => any_of().prop_map(Step::Ready),
        5 => Just(Step::Read),
        1 => Just(Step::Break),
    ]
}

/// What a request is, besides its keys.
#[derive(Clone, Debug, PartialEq)]
enum Work {
    Call { number: usize, needs: Vec<Key>, lane: Option<Key> },
    Get(Key),
    Named(u8),
}

/// A message on the stream.
#[derive(Clone, Debug, PartialEq)]
enum Message {
    Call { needs: Vec<Id>, into: usize },
    Get(Id),
    Named(u8),
    Release(Vec<Id>),
}

#[derive(Clone, Debug)]
enum Answer {
    Ids(Vec<Id>),
    Failed,
    /// A value with references.
    Value(Vec<Id>),
    Nothing,
}

/// A message and who waits for its answer.
struct Pending {
    message: Message,
    /// Held until the answer.
    of: Option<Key>,
}

/// As Ray's server is: what it does not keep ends the session.
#[derive(Default)]
struct Cluster {
    kept: HashSet<Id>,
    made: Vec<Id>,
    /// Answers by the number of the request, for what is sent again.
    cache: HashMap<i32, Answer>,
    gets: VecDeque<(i32, Id)>,
    /// The references in the value of each object, once it is ready.
    values: HashMap<Id, Vec<Id>>,
}

impl Cluster {
    fn new_id(&mut self) -> Id {
        let id = Bytes::from((self.made.len() as u32 + 100).to_be_bytes().to_vec());
        self.made.push(id.clone());
        self.kept.insert(id.clone());
        id
    }

    fn take(&mut self, req: i32, message: Message, fails: bool) -> Option<Answer> {
        if let Message::Get(id) = message {
            assert!(self.kept.contains(&id), "a get names what is not kept");
            self.gets.push_back((req, id));
            return None;
        }
        if let Some(answer) = self.cache.get(&req) {
            return Some(answer.clone());
        }
        let answer = match message {
            Message::Call { needs, .. } if needs.iter().any(|id| !self.kept.contains(id)) => {
                panic!("a call names what is not kept")
            }
            Message::Call { .. } if fails => Answer::Failed,
            Message::Call { into, .. } => Answer::Ids((0..into).map(|_| self.new_id()).collect()),
            Message::Named(name) => {
                let id = Bytes::from(vec![name]);
                self.kept.insert(id.clone());
                if !self.made.contains(&id) {
                    self.made.push(id.clone());
                }
                Answer::Ids(vec![id])
            }
            Message::Release(ids) => {
                ids.iter().for_each(|id| assert!(self.kept.remove(id), "a release names what is not kept"));
                Answer::Nothing
            }
            Message::Get(_) => unreachable!("it was looked at"),
        };
        self.cache.insert(req, answer.clone());
        Some(answer)
    }
}

struct World {
    outbox: Outbox<Work, Pending, &'static str>,
    cluster: Cluster,
    /// Keys that somebody holds.
    held: Vec<Key>,
    /// Keys that requests hold, each as often as they do.
    named: Vec<Key>,
    keys: u64,
    calls: usize,
    on_the_way: VecDeque<(i32, Message)>,
    answers: VecDeque<(i32, Answer)>,
    /// The calls of each lane, in the order in which they went out.
    lanes: HashMap<Key, Vec<usize>>,
    doubtful: usize,
}

impl World {
    fn new() -> World {
        World {
            outbox: Outbox::new(2),
            cluster: Cluster::default(),
            held: Vec::new(),
            named: Vec::new(),
            keys: 0,
            calls: 0,
            on_the_way: VecDeque::new(),
            answers: VecDeque::new(),
            lanes: HashMap::new(),
            doubtful: 0,
        }
    }

    fn new_key(&mut self) -> Key {
        self.keys += 1;
        Key(self.keys)
    }

    fn pick(&self, place: usize) -> Option<Key> {
        (!self.held.is_empty()).then(|| self.held[place % self.held.len()])
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask { needs, into, lane } => {
                let needs: Vec<Key> = needs.into_iter().filter_map(|place| self.pick(place)).collect();
                let lane = lane.and_then(|place| self.pick(place));
                let into: Vec<Key> = (0..into).map(|_| self.new_key()).collect();
                self.held.extend(&into);
                self.calls += 1;
                let all = needs.iter().copied().chain(lane).collect();
                let what = Work::Call { number: self.calls, needs: needs.clone(), lane };
                // The request holds what it names.
                self.named.extend(needs.into_iter().chain(lane));
                self.outbox.ask(Request { needs: all, into, lane, tolerant: false, what });
            }
            Step::Get(place) => {
                let Some(of) = self.pick(place) else { return };
                self.named.push(of);
                self.outbox.ask(Request {
                    needs: vec![of],
                    into: vec![],
                    lane: None,
                    tolerant: false,
                    what: Work::Get(of),
                });
            }
            Step::Named(name) => {
                let key = self.new_key();
                self.held.push(key);
                let what = Work::Named(name);
                self.outbox.ask(Request { needs: vec![], into: vec![key], lane: None, tolerant: false, what });
            }
            Step::Drop(place) => {
                if !self.held.is_empty() {
                    let key = self.held.swap_remove(place % self.held.len());
                    self.dropped(key);
                }
            }
            Step::Write { count, flush } => (0..count).for_each(|_| self.write(flush)),
            Step::Take { fails } => {
                if let Some((req, message)) = self.on_the_way.pop_front() {
                    let answer = self.cluster.take(req, message, fails);
                    self.answers.extend(answer.map(|answer| (req, answer)));
                }
            }
            Step::Ready(places) => {
                let Cluster { gets, made, values, kept, .. } = &mut self.cluster;
                if let Some((req, of)) = gets.pop_front() {
                    let places = places.iter().filter(|_| !made.is_empty());
                    let some = places.map(|place| made[place % made.len()].clone()).collect();
                    let ids = values.entry(of).or_insert(some).clone();
                    kept.extend(ids.iter().cloned());
                    self.answers.push_back((req, Answer::Value(ids)));
                }
            }
            Step::Read => {
                if let Some((req, answer)) = self.answers.pop_front() {
                    self.read(req, answer);
                }
            }
            Step::Break => {
                self.on_the_way.clear();
                self.answers.clear();
                self.cluster.gets.clear();
                let on_the_way = &mut self.on_the_way;
                self.outbox.for_unanswered(|req, pending| on_the_way.push_back((req, pending.message.clone())));
            }
        }
        for (work, _) in self.outbox.take_failed() {
            self.let_go(work);
        }
    }

    /// One who held `key` does so no more. The last one is told.
    fn dropped(&mut self, key: Key) {
        if !self.held.contains(&key) && !self.named.contains(&key) {
            self.outbox.dropped(key);
        }
    }

    fn release_one(&mut self, key: Key) {
        let place = self.named.iter().position(|named| *named == key).expect("the request held it");
        self.named.swap_remove(place);
        self.dropped(key);
    }

    fn let_go(&mut self, work: Work) {
        match work {
            Work::Call { needs, lane, .. } => needs.into_iter().chain(lane).for_each(|key| self.release_one(key)),
            Work::Get(of) => self.release_one(of),
            Work::Named(_) => {}
        }
    }

    fn write(&mut self, flush: bool) {
        match self.outbox.next(flush) {
            None => {}
            Some(Next::Release(ids)) => {
                let message = Message::Release(ids.clone());
                let req = self.outbox.released(&ids, Pending { message: message.clone(), of: None });
                self.on_the_way.push_back((req, message));
            }
            Some(Next::Request(ticket, work)) => {
                let id = |key: &Key| self.outbox.id(*key).expect("what goes out is known").clone();
                let (message, of) = match &work {
                    Work::Call { number, needs, lane } => {
                        let ids = needs.iter().chain(lane).map(id).collect();
                        if let Some(lane) = lane {
                            self.lanes.entry(*lane).or_default().push(*number);
                        }
                        (Message::Call { needs: ids, into: ticket.keys().len() }, None)
                    }
                    Work::Get(of) => (Message::Get(id(of)), Some(*of)),
                    Work::Named(name) => (Message::Named(*name), None),
                };
                let req = self.outbox.sent(ticket, Pending { message: message.clone(), of });
                self.on_the_way.push_back((req, message));
                // A get holds what it names until the answer; the others let go of it now.
                if of.is_none() {
                    self.let_go(work);
                }
            }
        }
    }

    fn read(&mut self, req: i32, answer: Answer) {
        // Of before the connection broke.
        let Some(sent) = self.outbox.answered(req) else { return };
        match answer {
            Answer::Nothing => {}
            Answer::Failed => sent.into.iter().for_each(|key| self.outbox.fail(*key, "as asked")),
            Answer::Ids(ids) => {
                if self.is_doubtful(&ids, sent.position) {
                    return self.again(sent);
                }
                for (key, id) in sent.into.iter().zip(ids) {
                    self.outbox.settle(*key, id);
                }
            }
            Answer::Value(ids) => {
                if self.is_doubtful(&ids, sent.position) {
                    return self.again(sent);
                }
                for id in ids {
                    let key = self.new_key();
                    self.outbox.adopt(key, id);
                    self.held.push(key);
                }
                self.release_one(sent.what.of.expect("it was a get"));
            }
        }
    }

    fn is_doubtful(&mut self, ids: &[Id], position: Position) -> bool {
        let is_doubtful = self.outbox.told(ids, position) == Told::Doubtful;
        self.doubtful += usize::from(is_doubtful);
        is_doubtful
    }

    fn again(&mut self, sent: Sent<Pending>) {
        let message = sent.what.message.clone();
        let req = self.outbox.again(sent);
        self.on_the_way.push_back((req, message));
    }

    /// Lets everything come to its end, and drops everything.
    fn finish(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "it comes to no end");
            if turn % 7 == 0 && !self.held.is_empty() {
                self.step(Step::Drop(0));
            }
            self.step(Step::Write { count: 3, flush: true });
            self.step(Step::Take { fails: false });
            self.step(Step::Ready(vec![]));
            self.step(Step::Read);
            let is_over = self.on_the_way.is_empty() && self.answers.is_empty() && self.cluster.gets.is_empty();
            if is_over && self.held.is_empty() && !self.outbox.has_next() && !self.outbox.has_idle() {
                break;
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_goes_out_that_the_cluster_does_not_keep_and_in_the_end_it_keeps_nothing(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
        prop_assert!(world.cluster.kept.is_empty(), "{:?} are kept", world.cluster.kept);
        for (lane, calls) in world.lanes {
            prop_assert!(calls.is_sorted(), "calls of {:?} out of order: {:?}", lane, calls);
        }
    }
}

#[test]
fn an_answer_that_crosses_a_release_is_asked_for_again() {
    let mut world = World::new();
    let (write, take) = (Step::Write { count: 1, flush: true }, Step::Take { fails: false });
    // An object, and a get of another one whose value has a reference to it.
    world.step(Step::Ask { needs: vec![], into: 2, lane: None });
    for step in [write.clone(), take.clone(), Step::Read, Step::Get(0), write.clone(), take.clone()] {
        world.step(step);
    }
    // The value is on its way when its last key is dropped and released.
    world.step(Step::Ready(vec![1]));
    let second = world.held.iter().position(|key| *key == Key(2)).unwrap();
    world.step(Step::Drop(second));
    world.step(write.clone());
    world.step(take);
    world.step(Step::Read);
    assert_eq!(world.doubtful, 1);
    assert!(matches!(world.on_the_way.back(), Some((_, Message::Get(_)))));
    world.finish();
    assert!(world.cluster.kept.is_empty());
}

#[test]
fn a_long_chain_that_fails_at_its_head_fails_as_a_whole() {
    let mut outbox: Outbox<u64, (), &str> = Outbox::new(0);
    let call =
        |needs: Vec<Key>, into| Request { needs, into: vec![Key(into)], lane: None, tolerant: false, what: into };
    outbox.ask(call(vec![], 0));
    for n in 1..100_000 {
        outbox.ask(call(vec![Key(n - 1)], n));
    }
    let Some(Next::Request(ticket, 0)) = outbox.next(false) else { panic!("the head goes out") };
    outbox.unsent(ticket, "no");
    assert_eq!(outbox.take_failed().len(), 99_999);
    assert_eq!(outbox.failure(Key(99_999)), Some(&"no"));
}

#[test]
fn what_is_tolerant_goes_out_when_it_is_known_or_in_a_hurry() {
    let mut outbox: Outbox<&str, (), &str> = Outbox::new(0);
    outbox.ask(Request { needs: vec![], into: vec![Key(0), Key(1)], lane: None, tolerant: false, what: "call" });
    let wait = |of| Request { needs: vec![of], into: vec![], lane: None, tolerant: true, what: "wait" };
    let Some(Next::Request(ticket, "call")) = outbox.next(false) else { panic!("it goes out") };
    outbox.ask(wait(Key(0)));
    let hurried = outbox.ask(wait(Key(1)));
    assert!(!outbox.has_next());
    outbox.hurry(hurried);
    assert!(matches!(outbox.next(false), Some(Next::Request(_, "wait"))));
    outbox.unsent(ticket, "no");
    assert!(matches!(outbox.next(false), Some(Next::Request(_, "wait"))));
}
