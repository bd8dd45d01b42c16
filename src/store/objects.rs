//! The object table: the state of every object, and who keeps it.
//!
//! ```text
//!             finish                       last holder leaves
//!   Pending ─────────▶ Ready | Failed ──────────────────────────▶ gone (its bytes are free, what it contained is let go)
//!      └── last holder leaves: stays until its task finishes, then gone at once
//! ```
//!
//! # Invariants
//! - A client is a holder or it is not: it counts its own handles, so its death is repaired by removing it once.
//! - Containers and tasks are counted, because the head itself makes and ends them.
//! - A finished object never changes.

use crate::abi::Failure;
use crate::protocol::{Body, ClientId, Extent, ObjectId};
use std::collections::HashMap;
use std::sync::Arc;

/// What an object is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Its task has not finished.
    Pending,
    /// It can be read.
    Ready(Body),
    /// Its task failed.
    Failed(Arc<Failure>),
}

impl State {
    /// The space that it takes in the region.
    pub fn extent(&self) -> Option<Extent> {
        match self {
            State::Ready(Body::Shared(extent)) => Some(*extent),
            _ => None,
        }
    }
}

/// Who can keep an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process that has handles or views.
    Client(ClientId),
    /// An object whose bytes refer to it.
    Container,
    /// A task that has it as an argument.
    Task,
}

/// Extents that nobody keeps any longer.
pub type Freed = Vec<Extent>;

#[derive(Debug)]
struct Object {
    state: State,
    clients: Clients,
    containers: u32,
    tasks: u32,
    contains: Vec<ObjectId>,
}

impl Object {
    fn is_kept(&self) -> bool {
        !self.clients.is_empty() || self.containers > 0 || self.tasks > 0 || self.state == State::Pending
    }
}

/// A set of clients. Nearly all objects have one, which is why the first needs no memory of its own.
#[derive(Debug, Default)]
struct Clients {
    first: Option<ClientId>,
    more: Vec<ClientId>,
}

impl Clients {
    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn contains(&self, client: ClientId) -> bool {
        self.first == Some(client) || self.more.contains(&client)
    }

    fn insert(&mut self, client: ClientId) {
        match self.first {
            None => self.first = Some(client),
            Some(_) if self.contains(client) => {}
            Some(_) => self.more.push(client),
        }
    }

    fn remove(&mut self, client: ClientId) {
        if self.first == Some(client) {
            self.first = self.more.pop();
        } else {
            self.more.retain(|other| *other != client);
        }
    }
}

/// All objects of a runtime.
#[derive(Debug, Default)]
pub struct Objects {
    table: HashMap<ObjectId, Object>,
}

impl Objects {
    /// A new object. Returns false, and does nothing, when there is one of that name.
    /// Each of `contains` that exists is kept by it.
    pub fn insert(&mut self, id: ObjectId, state: State, contains: Vec<ObjectId>, holder: ClientId) -> bool {
        if self.table.contains_key(&id) {
            return false;
        }
        let contains = self.contained(contains);
        let clients = Clients { first: Some(holder), more: Vec::new() };
        self.table.insert(id, Object { state, clients, containers: 0, tasks: 0, contains });
        true
    }

    /// A pending object's end. The extent comes back when nobody wants the object any longer. Does nothing to an
    /// object that is finished already.
    pub fn finish(&mut self, id: ObjectId, state: State, contains: Vec<ObjectId>) -> Freed {
        if self.state(id) != Some(&State::Pending) {
            return Freed::new();
        }
        let contains = self.contained(contains);
        if let Some(object) = self.table.get_mut(&id) {
            (object.state, object.contains) = (state, contains);
        }
        self.sweep(vec![id])
    }

    /// The state of an object; `None` when there is no such object.
    pub fn state(&self, id: ObjectId) -> Option<&State> {
        self.table.get(&id).map(|object| &object.state)
    }

    /// One more holder. Returns false when there is no such object.
    pub fn retain(&mut self, id: ObjectId, holder: Holder) -> bool {
        let Some(object) = self.table.get_mut(&id) else { return false };
        match holder {
            Holder::Client(client) => object.clients.insert(client),
            Holder::Container => object.containers += 1,
            Holder::Task => object.tasks += 1,
        }
        true
    }

    /// One holder less.
    pub fn release(&mut self, id: ObjectId, holder: Holder) -> Freed {
        let Some(object) = self.table.get_mut(&id) else { return Freed::new() };
        match holder {
            Holder::Client(client) => object.clients.remove(client),
            Holder::Container => object.containers = object.containers.saturating_sub(1),
            Holder::Task => object.tasks = object.tasks.saturating_sub(1),
        }
        if object.is_kept() { Freed::new() } else { self.sweep(vec![id]) }
    }

    /// A client is gone, and with it all its references.
    ///
    /// Looks at every object. Clients die rarely; a list of objects for each client would cost on every `put`.
    pub fn forget(&mut self, client: ClientId) -> Freed {
        let held = self.table.iter_mut().filter(|(_, object)| object.clients.contains(client));
        let mut loose = Vec::new();
        for (&id, object) in held {
            object.clients.remove(client);
            if !object.is_kept() {
                loose.push(id);
            }
        }
        loose.sort_unstable();
        self.sweep(loose)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn contained(&mut self, mut contains: Vec<ObjectId>) -> Vec<ObjectId> {
        contains.retain(|id| self.retain(*id, Holder::Container));
        contains
    }

    /// Removes those of `loose` that nobody keeps, and whatever only they kept. A loop, not a recursion: a list of a
    /// million nested refs must not end the head's stack.
    fn sweep(&mut self, mut loose: Vec<ObjectId>) -> Freed {
        let mut freed = Freed::new();
        while let Some(id) = loose.pop() {
            if self.table.get(&id).is_none_or(Object::is_kept) {
                continue;
            }
            let Some(object) = self.table.remove(&id) else { continue };
            freed.extend(object.state.extent());
            for inner in object.contains {
                if let Some(object) = self.table.get_mut(&inner) {
                    object.containers = object.containers.saturating_sub(1);
                    loose.push(inner);
                }
            }
        }
        freed
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::protocol::Payload;
    use std::collections::{BTreeMap, BTreeSet};

    /// A small generator of numbers that look random and are the same for the same seed.
    pub(crate) struct Dice(u64);

    impl Dice {
        pub(crate) fn new(seed: u64) -> Dice {
            Dice(seed)
        }

        /// A number below `bound`.
        pub(crate) fn below(&mut self, bound: u64) -> u64 {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ z >> 31) % bound.max(1)
        }
    }

    const ALICE: ClientId = ClientId(1);
    const BOB: ClientId = ClientId(2);

    fn id(number: u64) -> ObjectId {
        ObjectId(number)
    }

    fn extent(number: u64) -> Extent {
        Extent { offset: number * 64, len: 64 }
    }

    fn shared(number: u64) -> State {
        State::Ready(Body::Shared(extent(number)))
    }

    #[test]
    fn an_object_goes_with_its_last_holder() {
        let mut objects = Objects::default();
        objects.insert(id(1), shared(1), vec![], ALICE);
        objects.retain(id(1), Holder::Client(BOB));
        objects.retain(id(1), Holder::Task);
        assert!(objects.release(id(1), Holder::Client(ALICE)).is_empty());
        assert!(objects.release(id(1), Holder::Task).is_empty());
        assert_eq!(objects.release(id(1), Holder::Client(BOB)), [extent(1)]);
        assert!(objects.is_empty());
    }

    #[test]
    fn a_client_counts_once_however_often_it_says_so() {
        let mut objects = Objects::default();
        objects.insert(id(1), shared(1), vec![], ALICE);
        objects.retain(id(1), Holder::Client(ALICE));
        assert_eq!(objects.release(id(1), Holder::Client(ALICE)), [extent(1)]);
        assert!(objects.release(id(1), Holder::Client(ALICE)).is_empty(), "a second release does no harm");
    }

    #[test]
    fn a_contained_object_lives_as_long_as_its_container() {
        let mut objects = Objects::default();
        objects.insert(id(1), shared(1), vec![], ALICE);
        objects.insert(id(2), shared(2), vec![id(1)], ALICE);
        assert!(objects.release(id(1), Holder::Client(ALICE)).is_empty());
        let mut freed = objects.release(id(2), Holder::Client(ALICE));
        freed.sort();
        assert_eq!(freed, [extent(1), extent(2)]);
    }

    #[test]
    fn a_result_that_nobody_wants_goes_when_its_task_finishes() {
        let mut objects = Objects::default();
        objects.insert(id(1), State::Pending, vec![], ALICE);
        assert!(objects.release(id(1), Holder::Client(ALICE)).is_empty());
        assert_eq!(objects.len(), 1);
        assert_eq!(objects.finish(id(1), shared(1), vec![]), [extent(1)]);
        assert!(objects.is_empty());
    }

    #[test]
    fn a_finished_object_does_not_change() {
        let mut objects = Objects::default();
        let state = State::Ready(Body::Inline(Payload::copy_of(b"one")));
        objects.insert(id(1), state.clone(), vec![], ALICE);
        assert!(!objects.insert(id(1), shared(1), vec![], BOB));
        objects.finish(id(1), shared(1), vec![]);
        assert_eq!(objects.state(id(1)), Some(&state));
    }

    #[test]
    fn a_long_chain_of_nested_refs_is_freed_without_recursion() {
        let mut objects = Objects::default();
        const LONG: u64 = 200_000;
        for number in 0..LONG {
            let inner = number.checked_sub(1).map(id);
            objects.insert(id(number), shared(number), inner.into_iter().collect(), ALICE);
        }
        for number in 0..LONG - 1 {
            assert!(objects.release(id(number), Holder::Client(ALICE)).is_empty());
        }
        assert_eq!(objects.release(id(LONG - 1), Holder::Client(ALICE)).len(), LONG as usize);
        assert!(objects.is_empty());
    }

    /// Against a model that keeps plain sets and recomputes from scratch what must still be there.
    #[test]
    fn objects_are_exactly_those_that_somebody_can_reach() {
        const CLIENTS: u64 = 3;
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let mut objects = Objects::default();
            let mut held: BTreeSet<(ClientId, ObjectId)> = BTreeSet::new();
            let mut inside: BTreeMap<ObjectId, Vec<ObjectId>> = BTreeMap::new();
            for step in 0..200 {
                let client = ClientId(dice.below(CLIENTS) as u32);
                let known: Vec<ObjectId> = inside.keys().copied().collect();
                let some = |dice: &mut Dice| known.get(dice.below(known.len() as u64) as usize).copied();
                match dice.below(4) {
                    0 => {
                        let contains: Vec<_> = some(&mut dice).into_iter().collect();
                        objects.insert(id(step), shared(step), contains.clone(), client);
                        held.insert((client, id(step)));
                        inside.insert(id(step), contains);
                    }
                    1 => {
                        if let Some(object) = some(&mut dice) {
                            objects.retain(object, Holder::Client(client));
                            held.insert((client, object));
                        }
                    }
                    2 => {
                        if let Some(object) = some(&mut dice) {
                            objects.release(object, Holder::Client(client));
                            held.remove(&(client, object));
                        }
                    }
                    _ => {
                        if dice.below(8) == 0 {
                            objects.forget(client);
                            held.retain(|(holder, _)| *holder != client);
                        }
                    }
                }
                let mut reachable: BTreeSet<ObjectId> = held.iter().map(|(_, object)| *object).collect();
                let mut open: Vec<ObjectId> = reachable.iter().copied().collect();
                while let Some(object) = open.pop() {
                    open.extend(inside[&object].iter().filter(|inner| reachable.insert(**inner)));
                }
                inside.retain(|object, _| reachable.contains(object));
                let there: BTreeSet<ObjectId> = objects.table.keys().copied().collect();
                assert_eq!(there, reachable, "seed {seed}, step {step}");
            }
        }
    }
}
