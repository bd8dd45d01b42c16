//! The shared tables under test, and the plain model of what must be in them.

use crate::store::layout::Slot;
use crate::store::{Arena, Body, Flags, Id, Limits, Log, Region, SEATS, Seat, Segment, Spec, State};
use crate::sync::Ordering;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// Few of everything, so that everything runs out.
pub const LIMITS: Limits = Limits { slots: 64, units: 16, ring: 2 };

/// The process of an actor that is saved, whose mailbox is 0. All tasks are calls of it; what other processes run of them is not logged.
pub const ACTOR: Seat = Seat(2);

/// Bytes of the arena: as many units of the smallest kind.
const ARENA_BYTES: u64 = 1 << 20;

/// A step that is deliberately wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A holder is shown although what it holds is never held.
    NeverHolds,
    /// What a holder holds is released before the holder is hidden.
    UnholdsFirst,
    /// An object is freed without a second check for holders.
    FreesUnseen,
    /// The draft in counted room is shown only after `Leases::moved`.
    ShowsDraftLate,
    /// A worker releases what its result contains before the result holds it.
    ReleasesFirst,
    /// The sealer does not tell the waiters.
    TellsNobody,
    /// The sealer does not take the object's list.
    ForgetsList,
    /// The head does not look for tasks that no process will wake.
    NeverRevives,
    /// The head does not audit after a death.
    NeverAudits,
    /// The head moves bytes that a process reads.
    MovesPinned,
    /// The head fails tasks that are in the list of a missing object.
    FailsListed,
    /// The head wakes tasks that another process is about to take out of a list.
    WakesListed,
    /// An actor's process adds a call to the log when its result can be seen.
    LogsLate,
    /// An actor's process releases what its log keeps before the checkpoint is in its place.
    UnlogsFirst,
}

/// A client's message to the head, or an event that the head notices.
#[derive(Clone, Debug)]
pub enum Message {
    /// A task has failed at its worker.
    Failed { task: Id },
    /// A task's argument has failed.
    Carry { task: Id, object: Id },
    /// A task's waker had no room in its ring.
    Strand { task: Id },
    /// An object for which the head waits is sealed.
    Poke,
    /// Bytes on disk are no longer wanted.
    Forget { position: u64 },
    /// An object is wanted in memory; the answer is whether to look again.
    Restore { id: Id, answer: Rc<RefCell<Option<bool>>> },
    /// A free run of units is wanted.
    Room { units: u32 },
    /// A process has died; a twin may take a driver's place.
    Died { seat: Seat, is_driver: bool },
    /// A dead driver's twin has only these, or there is no twin.
    Settled { seat: Seat, twin: Option<BTreeSet<Id>> },
    /// Memory is short: something goes to disk.
    Spill { number: u8 },
    /// It is time to check waiting tasks.
    Look,
    /// It is time for an audit.
    Audit,
}

/// Where an object's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A task has yet to make it.
    Task { args: Vec<Argument>, by: Option<Seat> },
    /// In its slot.
    Inline,
    /// In the arena.
    Arena { offset: u64, len: u64 },
    /// On disk.
    Disk { position: u64, len: u64 },
    /// Nowhere: its task failed.
    Failed,
}

/// An argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    Object(Id),
    Value(u64),
}

/// An object in the model.
#[derive(Clone, Debug)]
pub struct Object {
    pub place: Place,
    /// Its first eight bytes, which no other object has.
    pub tag: u64,
    pub contains: Vec<Id>,
}

/// The references and pins of a process.
#[derive(Clone, Debug, Default)]
pub struct Has {
    pub refs: BTreeSet<Id>,
    pub pins: BTreeSet<Id>,
}

/// A process that sleeps until `wanted` of `ids` are finished.
#[derive(Clone, Debug)]
pub struct Sleep {
    pub bell: u32,
    pub ids: Vec<Id>,
    pub wanted: usize,
}

/// The plain model: what must be in the tables.
#[derive(Debug, Default)]
pub struct Model {
    pub objects: BTreeMap<Id, Object>,
    /// What living processes have, and dead ones whose place a twin may take.
    pub has: BTreeMap<Seat, Has>,
    /// Slots that living processes have taken from their accounts and not used yet.
    pub in_hand: BTreeMap<u32, Seat>,
    /// Objects that running tasks are going to return references to.
    pub plans: BTreeMap<Id, Vec<Id>>,
    /// Drafts whose room is an object's by now, and the process that has yet to hide each.
    pub given_away: BTreeMap<u32, Seat>,
    /// What is on disk: the tag by the position.
    pub disk: BTreeMap<u64, u64>,
    /// How many pieces on disk only a dead process knew to be unwanted.
    pub disk_lost: u64,
    /// Tasks that a process has claimed.
    pub claimed: BTreeSet<Id>,
    pub asleep: BTreeMap<Seat, Sleep>,
    /// Processes that died and are not buried.
    pub unburied: BTreeSet<Seat>,
    /// What the actor is to be made from, and what its calls were given.
    pub log: Log,
    pub given: BTreeSet<Id>,
    /// How many processes have died.
    pub deaths: u32,
    tags: u64,
    /// Rare things that have happened.
    pub reached: BTreeSet<&'static str>,
    /// The first violation.
    pub trouble: Option<String>,
}

impl Model {
    /// A tag that no other object has.
    pub fn new_tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }

    /// Records a violation.
    pub fn complain(&mut self, text: String) {
        self.trouble.get_or_insert(text);
    }

    /// The references and pins of a process.
    pub fn has(&mut self, seat: Seat) -> &mut Has {
        self.has.entry(seat).or_default()
    }

    /// The objects that must exist: those of living processes, those of unfinished tasks, and what these contain.
    pub fn reachable(&self) -> BTreeSet<Id> {
        let had = self.has.values().flat_map(|has| has.refs.iter().chain(&has.pins)).copied();
        let tasks = self.objects.iter().filter(|(_, object)| matches!(object.place, Place::Task { .. }));
        let logged = self.log.checkpoint.iter().chain(&self.log.calls).chain(&self.given).copied();
        self.reachable_from(had.chain(tasks.map(|(id, _)| *id)).chain(logged).collect())
    }

    /// These, and what they keep.
    pub fn reachable_from(&self, mut open: Vec<Id>) -> BTreeSet<Id> {
        let mut found = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !found.insert(id) {
                continue;
            }
            let Some(object) = self.objects.get(&id) else { continue };
            open.extend(&object.contains);
            if let Place::Task { args, .. } = &object.place {
                open.extend(
                    args.iter().filter_map(|arg| if let Argument::Object(id) = arg { Some(*id) } else { None }),
                );
            }
        }
        found
    }

    /// Whether an object keeps a task, or will. A task of a program cannot return such an object: the circle would
    /// never be freed.
    pub fn will_keep(&self, id: Id, task: Id) -> bool {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            for id in self.reachable_from(vec![id]) {
                if found.insert(id) {
                    open.extend(self.plans.get(&id).into_iter().flatten());
                }
            }
        }
        found.contains(&task)
    }

    /// Whether there is a value, or the failure to make one.
    pub fn is_finished(&self, id: Id) -> bool {
        !matches!(self.objects.get(&id), Some(Object { place: Place::Task { .. }, .. }))
    }
}

/// See the head of this file.
pub struct World {
    pub segment: Arc<Segment>,
    pub arena: Arc<Arena>,
    pub model: RefCell<Model>,
    pub inbox: RefCell<VecDeque<Message>>,
    pub wrong: Option<Wrong>,
}

thread_local! {
    /// Mapped once: bytes from earlier histories in it belong to no object.
    static ARENA: (Region, Arc<Arena>) = {
        let (region, _) = Region::create(Some(ARENA_BYTES), None, None).unwrap();
        assert_eq!(region.units(), LIMITS.units);
        let file = region.file().try_clone_to_owned().unwrap();
        let arena = Arena::open(file, region.reader().unwrap(), region.len(), region.unit_bytes(), false).unwrap();
        (region, Arc::new(arena))
    };
}

impl World {
    pub fn new(wrong: Option<Wrong>) -> Rc<World> {
        let segment = Segment::stand_in(LIMITS);
        let (arena, unit_bytes) = ARENA.with(|(region, arena)| (Arc::clone(arena), region.unit_bytes()));
        segment.header().units.store(LIMITS.units, Ordering::Relaxed);
        segment.header().unit_bytes.store(unit_bytes as u32, Ordering::Relaxed);
        segment.set_arena(Arc::clone(&arena));
        segment.reset_mailbox(0, 1, 1);
        // Only seats far from each other are left, in different words of a set.
        segment.header().taken.add(Seat::HEAD);
        assert!((3..64).all(|seat| segment.header().taken.add(Seat(seat))));
        Rc::new(World {
            segment: Arc::new(segment),
            arena,
            model: RefCell::default(),
            inbox: RefCell::default(),
            wrong,
        })
    }

    /// Records a violation.
    pub fn complain(&self, text: String) {
        self.model.borrow_mut().complain(text);
    }

    /// Records that something rare has happened.
    pub fn reach(&self, what: &'static str) {
        self.model.borrow_mut().reached.insert(what);
    }

    /// Whether this step is to be done wrong.
    pub fn does(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// Sends a message to the head.
    pub fn tell(&self, message: Message) {
        self.inbox.borrow_mut().push_back(message);
    }

    /// Whether no process, dead or alive, is moving counts.
    pub fn is_quiet(&self) -> bool {
        let header = self.segment.header();
        header
            .taken
            .iter()
            .filter(|seat| *seat != Seat::HEAD)
            .all(|seat| self.segment.desk(seat).busy.load(Ordering::Relaxed).is_multiple_of(2))
    }

    /// Checks what must be so after every single step.
    pub fn check(&self) -> Result<(), String> {
        if let Some(trouble) = &self.model.borrow().trouble {
            return Err(trouble.clone());
        }
        self.check_objects()?;
        self.check_log()?;
        self.check_holds()?;
        self.check_lists()?;
        self.check_rooms()
    }

    /// Checks that what must exist exists, is unchanged, and shows its holders.
    fn check_objects(&self) -> Result<(), String> {
        let model = self.model.borrow();
        for id in model.reachable() {
            let Some(object) = model.objects.get(&id) else { return Err(format!("{id} was never made")) };
            self.check_object(id, object)?;
        }
        for (seat, has) in &model.has {
            for (ids, kind) in [(&has.refs, "refers to"), (&has.pins, "reads")] {
                for id in ids {
                    let slot = self.segment.slot(id.slot());
                    let seats = if kind == "reads" { &slot.pins } else { &slot.refs };
                    if !seats.has(*seat) {
                        return Err(format!("{seat:?} {kind} {id}, and nobody sees it"));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_object(&self, id: Id, object: &Object) -> Result<(), String> {
        let slot = self.segment.slot(id.slot());
        let word = slot.word();
        if word.generation() != id.generation() {
            return Err(format!("{id} was freed, and somebody has it: {word:?}"));
        }
        let wanted = match &object.place {
            Place::Task { args, by } => {
                let spec = self.segment.read_spec(id.slot());
                if arguments(&spec) != *args {
                    return Err(format!("task {id} has other arguments: {spec:?}"));
                }
                let fits = match word.state() {
                    State::Waiting | State::Pending => by.is_none(),
                    State::Running => by.is_some() && word.owner() == *by,
                    _ => false,
                };
                return if fits { Ok(()) } else { Err(format!("task {id} is {word:?} and not run by {by:?}")) };
            }
            Place::Inline => Body::Inline { len: 8 },
            Place::Arena { offset, len } => Body::Arena { offset: *offset, len: *len },
            Place::Disk { position, len } => Body::Spilled { offset: *position, len: *len },
            Place::Failed => Body::Failed,
        };
        match word.state() {
            // A process checks whether the object can be freed.
            State::Dying => {}
            State::Sealed => {
                let body = self.segment.body(id);
                if body != Some(wanted) {
                    return Err(format!("{id} is {body:?} and not {wanted:?}"));
                }
            }
            _ => return Err(format!("{id} is no object: {word:?}")),
        }
        if object.place != Place::Failed && self.tag_of(slot, id, wanted) != Some(object.tag) {
            return Err(format!("{id} has other bytes"));
        }
        let contained = if word.flags().contains(Flags::CONTAINS) { self.segment.contained(slot) } else { Vec::new() };
        if contained != object.contains {
            return Err(format!("{id} contains {contained:?} and not {:?}", object.contains));
        }
        Ok(())
    }

    fn tag_of(&self, slot: &Slot, id: Id, body: Body) -> Option<u64> {
        match body {
            Body::Inline { .. } => {
                let mut bytes = [0; crate::store::INLINE_BYTES];
                self.segment.read_inline(id.slot(), 8, &mut bytes);
                bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
            }
            // In `Dying`, the head may be moving the bytes; here it does that in one step.
            Body::Arena { .. } => Some(self.arena.ids(slot.offset.load(Ordering::Relaxed), 1)?[0].0),
            Body::Spilled { offset, .. } => self.model.borrow().disk.get(&offset).copied(),
            Body::Failed => None,
        }
    }

    /// Checks that a restart of the actor would find what it needs: the checkpoint, and all calls whose results can be seen.
    fn check_log(&self) -> Result<(), String> {
        let (log, model) = (self.segment.log_of(0), self.model.borrow());
        if log == model.log { Ok(()) } else { Err(format!("the log is {log:?} and not {:?}", model.log)) }
    }

    /// Checks that no object has fewer holds than visible holders.
    fn check_holds(&self) -> Result<(), String> {
        let segment = &self.segment;
        let mut seen: BTreeMap<Id, u64> = BTreeMap::new();
        for index in 1..segment.slots_used() {
            let slot = segment.slot(index);
            let word = slot.word();
            if word.flags().contains(Flags::ARGS) {
                segment.read_spec(index).objects().for_each(|id| *seen.entry(id).or_default() += 1);
            }
            if word.flags().contains(Flags::CONTAINS) {
                segment.contained(slot).into_iter().for_each(|id| *seen.entry(id).or_default() += 1);
            }
        }
        segment.all_logged().for_each(|id| *seen.entry(id).or_default() += 1);
        for (id, seen) in seen {
            let slot = segment.slot(id.slot());
            let holds = slot.holds.load(Ordering::Relaxed) & u64::from(u32::MAX);
            if slot.word().generation() != id.generation() {
                return Err(format!("{id} was freed, and something holds it"));
            }
            if holds < seen {
                return Err(format!("{id} has {holds} holds, and {seen} can be seen"));
            }
        }
        Ok(())
    }

    /// Checks that each task in an object's list waits for that object, among others, and is in no other list. Its slot
    /// is not reused before a process has gone through the list.
    fn check_lists(&self) -> Result<(), String> {
        let segment = &self.segment;
        let mut listed = BTreeSet::new();
        for index in 1..segment.slots_used() {
            let slot = segment.slot(index);
            let word = slot.word();
            let mut next = if word.state() == State::Free { 0 } else { slot.deps.load(Ordering::Relaxed) };
            while next != 0 {
                let (task, object) = (Id(next), Id::new(index, word.generation()));
                let waiting = segment.slot(task.slot());
                let waits =
                    waiting.word().state() == State::Waiting && waiting.word().generation() == task.generation();
                if !waits || !segment.read_spec(task.slot()).objects().any(|id| id == object) || !listed.insert(task) {
                    return Err(format!("{task} is in the list of {object}, and is {:?}", waiting.word()));
                }
                next = waiting.next.load(Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Checks that no byte of the arena is in two objects, and that no lease counts fewer objects than are in it.
    fn check_rooms(&self) -> Result<(), String> {
        use crate::store::UnitState;
        let segment = &self.segment;
        // The rooms, by their offsets.
        let mut rooms: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
        for index in 1..segment.slots_used() {
            if self.model.borrow().given_away.contains_key(&index) {
                // The object in the room may be gone, and the room another object's.
                continue;
            }
            let slot = segment.slot(index);
            let flags = slot.word().flags();
            let mut here = Vec::new();
            if flags.contains(Flags::ARENA) {
                let at = (slot.offset.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
                here.push((at, slot.home.load(Ordering::Relaxed)));
            }
            let count = u64::from(slot.contained.load(Ordering::Relaxed));
            if flags.contains(Flags::CONTAINS) && count > crate::store::CONTAINED_INLINE as u64 {
                here.push(((slot.list.load(Ordering::Relaxed), count * 8), slot.list_home.load(Ordering::Relaxed)));
            }
            for ((offset, len), home) in here {
                if rooms.insert(offset, (len, home)).is_some() {
                    return Err(format!("slot {index} begins where another object does"));
                }
            }
        }
        let mut end = 0;
        let mut live: BTreeMap<u32, u64> = BTreeMap::new();
        for (offset, (len, home)) in &rooms {
            if *offset < end {
                return Err(format!("two objects are at {offset}"));
            }
            end = offset + len;
            *live.entry(*home).or_default() += 1;
            let (unit, unit_bytes) = (segment.unit(*home), segment.unit_bytes());
            let first = u64::from(*home) * unit_bytes;
            let behind = first + u64::from(unit.len.load(Ordering::Relaxed)) * unit_bytes;
            if !matches!(unit.state().state(), UnitState::Open(_) | UnitState::Closed)
                || *offset < first
                || end > behind
            {
                return Err(format!("what is at {offset} is not in its lease, unit {home}: {:?}", unit.state()));
            }
        }
        for (home, found) in live {
            let state = segment.unit(home).state();
            if state.live() < found {
                return Err(format!("{found} are in unit {home}: {state:?}"));
            }
        }
        let torn = !self.model.borrow().unburied.is_empty();
        for index in (0..segment.units()).filter(|_| !torn) {
            let unit = segment.unit(index);
            let home = unit.home.load(Ordering::Relaxed);
            let covers = home < index && index - home < segment.unit(home).len.load(Ordering::Relaxed);
            let is_lease = matches!(segment.unit(home).state().state(), UnitState::Open(_) | UnitState::Closed);
            if unit.state().state() == UnitState::Part && !(covers && is_lease) {
                return Err(format!("unit {index} is part of no lease"));
            }
        }
        Ok(())
    }

    /// Checks what must be so when no process is in an action and the head has nothing left to do.
    pub fn check_at_rest(&self) -> Result<(), String> {
        let (segment, model) = (&self.segment, self.model.borrow());
        for (id, object) in &model.objects {
            let Place::Task { args, by } = &object.place else { continue };
            let word = segment.slot(id.slot()).word();
            let missing = args.iter().any(|arg| matches!(arg, Argument::Object(id) if !model.is_finished(*id)));
            if by.is_some() || missing == (word.state() == State::Pending) {
                return Err(format!("task {id} is {word:?} with {args:?}, and is run by {by:?}"));
            }
            let places = self.places_in_rings(*id);
            if places > 1 {
                return Err(format!("task {id} is in rings {places} times"));
            }
        }
        for (seat, sleep) in &model.asleep {
            let there = sleep.ids.iter().filter(|id| model.is_finished(**id)).count();
            if there >= sleep.wanted && self.sleeps(*seat) {
                return Err(format!("{seat:?} sleeps, and what it waits for is there"));
            }
        }
        Ok(())
    }

    /// How many entries of rings name the task.
    fn places_in_rings(&self, task: Id) -> usize {
        let entries = (0..SEATS as u16).map(Seat).flat_map(|of| {
            let desk = self.segment.desk(of);
            let (head, tail) = (desk.head.load(Ordering::Relaxed), desk.tail.load(Ordering::Relaxed));
            (head..tail).map(move |place| (of, place))
        });
        entries.filter(|(of, place)| self.segment.entry(*of, *place).load(Ordering::Relaxed) == task.0).count()
    }

    /// Whether a process sleeps and has not been rung.
    pub fn sleeps(&self, seat: Seat) -> bool {
        let (model, desk) = (self.model.borrow(), self.segment.desk(seat));
        model.asleep.get(&seat).is_some_and(|sleep| {
            desk.bell.load(Ordering::Relaxed) == sleep.bell && desk.countdown.load(Ordering::Relaxed) > 0
        })
    }
}

/// A task's arguments as the model has them.
pub fn arguments(spec: &Spec) -> Vec<Argument> {
    let argument = |arg| match arg {
        crate::store::Arg::Object(id) => Argument::Object(id),
        crate::store::Arg::Bytes(bytes) => {
            Argument::Value(bytes.first_chunk().map_or(0, |tag| u64::from_ne_bytes(*tag)))
        }
    };
    spec.args().map(argument).collect()
}
