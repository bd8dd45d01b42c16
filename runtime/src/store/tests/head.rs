//! The head's steps, as `local/head/tasks.rs`, `local/head/make_room.rs` and `local/head/mod.rs` take them. It never dies.

use super::process::{Me, here};
use super::world::{ACTOR, Message, Object, Place, World, Wrong};
use crate::store::{Body, Candidate, Estate, Flags, Id, Keep, Kind, Leftovers, Seat, State, Step, Word};
use crate::sync::Ordering;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

pub struct Head {
    pub me: Me,
    /// Tasks that wait for arguments and may be in no list.
    watched: RefCell<Vec<Id>>,
    /// Tasks for which there was no room in the ring.
    stranded: RefCell<VecDeque<Id>>,
    /// Whether counts may be too high.
    unaudited: Cell<bool>,
    /// Whether waiting tasks are to be checked again.
    retry: Cell<bool>,
    disk_end: Cell<u64>,
}

impl Head {
    pub fn new(world: &Rc<World>) -> Rc<Head> {
        Rc::new(Head {
            me: Me::new(world, Seat::HEAD),
            watched: RefCell::default(),
            stranded: RefCell::default(),
            unaudited: Cell::new(false),
            retry: Cell::new(false),
            disk_end: Cell::new(0),
        })
    }

    fn world(&self) -> &World {
        &self.me.world
    }

    /// Whether the head has something to try again after a while.
    pub fn is_unsettled(&self) -> bool {
        let has_room = self.world().segment.has_room(&self.me.leases.borrow());
        self.unaudited.get() || self.retry.get() || has_room && !self.stranded.borrow().is_empty()
    }

    /// Tries again what could not be done before.
    pub async fn tick(self: Rc<Head>) {
        self.push_stranded();
        if self.retry.get() {
            self.look_at_watched().await;
        }
        if self.unaudited.get() {
            self.audit();
        }
    }

    /// Handles one message.
    pub async fn handle(self: Rc<Head>, message: Message) {
        match message {
            Message::Failed { task } => self.fail(task).await,
            Message::Carry { task, object } => self.carry_failure(task, object).await,
            Message::Strand { task } => {
                if self.world().segment.take_step(task, Step::Adopt { by: Seat::HEAD }) {
                    self.push(task);
                }
            }
            Message::Poke | Message::Look => self.look_at_watched().await,
            Message::Forget { position } => self.forget(position),
            Message::Restore { id, answer } => {
                let restored = self.restore(id).await;
                *answer.borrow_mut() = Some(restored);
            }
            Message::Room { units } => self.make_room(units).await,
            Message::Died { seat, is_driver } => self.bury(seat, is_driver).await,
            Message::Settled { seat, twin } => self.settle_driver(seat, twin).await,
            Message::Spill { number } => {
                let candidates = self.candidates();
                if !candidates.is_empty() {
                    self.spill_one(candidates[usize::from(number) % candidates.len()]).await;
                }
            }
            Message::Audit => self.audit(),
        }
    }

    fn word(&self, id: Id) -> Option<Word> {
        let word = self.world().segment.slot(id.slot()).word();
        (word.generation() == id.generation() && word.state() != State::Free).then_some(word)
    }

    fn is_task(&self, id: Id) -> bool {
        self.word(id).is_some_and(Word::is_task)
    }

    async fn bury(&self, seat: Seat, is_driver: bool) {
        if seat == ACTOR {
            let segment = &self.world().segment;
            self.me.moves();
            let loose = segment.release_logged(segment.unlog_unended(0));
            self.me.moved();
            self.me.collect(loose).await;
        }
        let estate = self.world().segment.bury(seat, if is_driver { Keep::Had } else { Keep::Nothing });
        self.buried(seat);
        if !is_driver {
            self.world().segment.header().taken.remove(seat);
        }
        self.settle(estate).await;
    }

    async fn settle_driver(&self, seat: Seat, twin: Option<BTreeSet<Id>>) {
        let Some(kept) = twin else {
            self.world().model.borrow_mut().has.remove(&seat);
            return self.bury(seat, false).await;
        };
        self.world().reach("a twin comes");
        let pins = self.world().model.borrow_mut().has(seat).pins.clone();
        let kind = |id: &Id| if pins.contains(id) { Kind::Pin } else { Kind::Ref };
        let these: HashMap<Id, Kind> = kept.iter().map(|id| (*id, kind(id))).collect();
        {
            let mut model = self.world().model.borrow_mut();
            let has = model.has(seat);
            has.pins.retain(|id| kept.contains(id));
            has.refs = kept;
        }
        let estate = self.world().segment.bury(seat, Keep::These(&these));
        self.settle(estate).await;
    }

    fn buried(&self, seat: Seat) {
        let mut model = self.world().model.borrow_mut();
        model.unburied.remove(&seat);
        model.given_away.retain(|_, of| *of != seat);
    }

    async fn settle(&self, estate: Estate) {
        here().await;
        for task in estate.lost {
            self.world().reach("a task's worker dies");
            self.fail(task).await;
        }
        for task in estate.pending {
            self.world().reach("a ring is lost");
            self.push(task);
        }
        self.me.collect(estate.loose).await;
        if !self.world().does(Wrong::NeverRevives) {
            self.revive().await;
        }
        self.audit();
        self.world().segment.ring_all();
    }

    async fn carry_failure(&self, task: Id, object: Id) {
        if self.word(object).is_some_and(|word| word.flags().contains(Flags::ERROR)) {
            self.fail(task).await;
        }
    }

    async fn fail(&self, task: Id) {
        let mut failed = vec![task];
        while let Some(task) = failed.pop() {
            failed.extend(self.seal_failed(task).await);
            here().await;
        }
    }

    async fn seal_failed(&self, task: Id) -> Vec<Id> {
        let segment = &self.world().segment;
        let Some(word) = self.word(task).filter(|word| word.is_task()) else { return Vec::new() };
        let spec = segment.read_spec(task.slot());
        here().await;
        self.me.moves();
        let (mut loose, mut waiting) = (Vec::new(), Vec::new());
        let is_logged = segment.is_newest_logged(task);
        if segment.take_step(task, if is_logged { Step::FailLogged } else { Step::Fail }) {
            if is_logged {
                self.world().reach("a call in a log fails");
                let mut model = self.world().model.borrow_mut();
                model.log.calls.push(task);
                model.given.extend(spec.objects());
            }
            if let Some(object) = self.world().model.borrow_mut().objects.get_mut(&task) {
                object.place = Place::Failed;
            }
            here().await;
            self.retry.set(self.retry.get() | segment.tell_waiters(task.slot()));
            here().await;
            waiting = segment.take_list(task.slot());
            here().await;
            if word.flags().contains(Flags::ARGS) && !is_logged {
                loose.extend(spec.objects().filter(|id| segment.unhold(*id)));
            }
            loose.push(task);
        }
        self.me.moved();
        self.me.collect(loose).await;
        waiting
    }

    async fn revive(&self) {
        let segment = &self.world().segment;
        {
            let mut watched = self.watched.borrow_mut();
            watched.extend(segment.unclosed());
            watched.extend(segment.waiting());
            watched.sort_unstable();
            watched.dedup();
        }
        here().await;
        self.look_at_watched().await;
    }

    async fn look_at_watched(&self) {
        let segment = &self.world().segment;
        let is_waiting = |task: Id| self.word(task).is_some_and(|word| word.state() == State::Waiting);
        let mut ready = Vec::new();
        for task in self.watched.take() {
            if !is_waiting(task) {
                continue;
            }
            let spec = segment.read_spec(task.slot());
            let failed = spec.objects().any(|id| self.word(id).is_some_and(|word| word.flags().contains(Flags::ERROR)));
            let is_missing = spec.objects().any(|id| !segment.arm(id, Seat::HEAD) && self.is_task(id));
            if is_missing && !(failed && self.world().does(Wrong::FailsListed)) {
                self.watched.borrow_mut().push(task);
            } else {
                ready.push(task);
            }
            here().await;
        }
        self.retry.set(!ready.is_empty() && !self.is_quiet() && !self.world().does(Wrong::WakesListed));
        if self.retry.get() {
            return self.watched.borrow_mut().extend(ready);
        }
        here().await;
        for task in ready {
            if !is_waiting(task) {
                continue;
            }
            let spec = segment.read_spec(task.slot());
            let failed =
                spec.objects().find(|id| self.word(*id).is_some_and(|word| word.flags().contains(Flags::ERROR)));
            here().await;
            if let Some(object) = failed {
                self.world().reach("the head fails a task that waited");
                self.carry_failure(task, object).await;
            } else if segment.take_step(task, Step::Wake { by: Seat::HEAD }) {
                self.world().reach("the head wakes a task");
                self.push(task);
            }
        }
    }

    /// Whether no process moves counts; `Segment::let_finish` would find out by waiting in vain.
    fn is_quiet(&self) -> bool {
        let is_quiet = self.world().is_quiet();
        if is_quiet && !self.world().segment.let_finish() {
            self.world().complain("somebody is waited for who is through".into());
        }
        is_quiet
    }

    fn push(&self, task: Id) {
        self.stranded.borrow_mut().push_back(task);
        self.push_stranded();
    }

    fn push_stranded(&self) {
        let segment = &self.world().segment;
        while segment.has_room(&self.me.leases.borrow())
            && let Some(task) = self.stranded.borrow_mut().pop_front()
        {
            segment.push(&self.me.leases.borrow(), task);
        }
    }

    fn audit(&self) {
        if self.world().does(Wrong::NeverAudits) {
            return;
        }
        let mut leftovers = Leftovers::default();
        let is_quiet = self.is_quiet();
        self.unaudited.set(!is_quiet);
        if !is_quiet {
            self.world().reach("the head cannot count yet");
        }
        if is_quiet && !self.world().segment.audit(&mut self.me.leases.borrow_mut(), &mut leftovers) {
            self.world().complain("everybody was through, and the head could not count".into());
        }
        leftovers.spilled.into_iter().for_each(|(position, _)| self.forget(position));
    }

    fn forget(&self, position: u64) {
        let mut model = self.world().model.borrow_mut();
        if model.disk.remove(&position).is_none() {
            model.complain(format!("{position} was forgotten twice"));
        }
    }

    async fn make_room(&self, units: u32) {
        let segment = &self.world().segment;
        self.me.leases.borrow_mut().close_lease();
        segment.take_empty_leases(Seat::HEAD);
        here().await;
        for candidate in segment.spillable() {
            if segment.longest_free_run() >= units {
                return;
            }
            self.spill_one(candidate).await;
        }
    }

    /// The objects that could go to disk.
    fn candidates(&self) -> Vec<Candidate> {
        if !self.world().does(Wrong::MovesPinned) {
            return self.world().segment.spillable();
        }
        let model = self.world().model.borrow();
        let candidate = |(id, object): (&Id, &Object)| match object.place {
            Place::Arena { offset, len } => Some(Candidate { id: *id, offset, len }),
            _ => None,
        };
        model.objects.iter().filter_map(candidate).collect()
    }

    async fn spill_one(&self, candidate: Candidate) {
        let Candidate { id, offset, len } = candidate;
        let Some(bytes) = self.world().arena.ids(offset, 1) else { return };
        let position = self.disk_end.get() + 1;
        self.disk_end.set(position + len);
        self.world().model.borrow_mut().disk.insert(position, bytes[0].0);
        here().await;
        let slot = self.world().segment.slot(id.slot());
        let pins: Vec<Seat> = slot.pins.iter().collect();
        if self.world().does(Wrong::MovesPinned) {
            assert!(pins.iter().all(|seat| slot.pins.remove(*seat)));
        }
        let moved = self.world().segment.move_bytes(id, Body::Spilled { offset: position, len }, None);
        if self.world().does(Wrong::MovesPinned) {
            assert!(pins.iter().all(|seat| slot.pins.add(*seat)));
        }
        self.world().reach(if moved {
            "an object goes to disk"
        } else {
            "an object is pinned while it is to go to disk"
        });
        if moved {
            let mut model = self.world().model.borrow_mut();
            if model.has.values().any(|has| has.pins.contains(&id)) {
                model.complain(format!("{id} was moved, and somebody reads it"));
            }
            if let Some(object) = model.objects.get_mut(&id) {
                object.place = Place::Disk { position, len };
            }
        } else {
            self.forget(position);
        }
        here().await;
        self.me.collect(vec![id]).await;
    }

    async fn restore(&self, id: Id) -> bool {
        if !self.world().segment.exists(id) {
            return false;
        }
        here().await;
        let restored = self.copy_and_move_back(id).await;
        here().await;
        self.me.collect(vec![id]).await;
        restored
    }

    async fn copy_and_move_back(&self, id: Id) -> bool {
        let segment = &self.world().segment;
        let Some(Body::Spilled { offset: position, len }) = segment.body_now(id) else { return true };
        let mut space = self.me.leases.borrow_mut().space(len).ok();
        if space.is_none() {
            self.make_room(u32::try_from(len.div_ceil(segment.unit_bytes())).unwrap()).await;
            space = self.me.leases.borrow_mut().space(len).ok();
        }
        let Some(space) = space else { return false };
        if let Some(run) = space.fresh {
            segment.unlock(&self.world().arena, run).unwrap();
        }
        let tag = self.world().model.borrow().disk[&position];
        self.world().arena.write_ids(space.offset, &[Id(tag)]).unwrap();
        here().await;
        if segment.move_bytes(id, Body::Arena { offset: space.offset, len }, Some(space)) {
            if let Some(object) = self.world().model.borrow_mut().objects.get_mut(&id) {
                object.place = Place::Arena { offset: space.offset, len };
            }
            self.world().reach("an object comes back");
            self.forget(position);
            let clock = segment.header().clock.load(Ordering::Relaxed);
            segment.slot(id.slot()).touched.store(clock, Ordering::Relaxed);
        } else {
            segment.leave(Seat::HEAD, space.home);
        }
        true
    }
}
