//! A client's actions in single steps, between which it can die, in the order of the folder `client`.

use super::world::{ACTOR, Argument, Has, LIMITS, Message, Object, Place, Sleep, World, Wrong, arguments};
use crate::store::objects::HOLDS;
use crate::store::{
    Access, Arg, Body, CONTAINED_INLINE, Flags, Id, Kind, Leases, Leftovers, Log, Readiness, Seat, Space, Spec, State,
    Step, TaskKind, Word,
};
use crate::sync::Ordering;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// A process's current action. When it is dropped, the process has died there.
pub type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The end of a step, where other processes may go on and this one may die.
pub fn here() -> impl Future<Output = ()> {
    let mut is_first = true;
    std::future::poll_fn(move |_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) })
}

/// How large an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Inline,
    Bytes(u64),
}

/// An object that is being written.
#[derive(Debug)]
enum Draft {
    Private { tag: u64 },
    Shared { slot: u32, space: Space, len: u64, tag: u64 },
}

/// How many bytes of the object are in the slot.
fn inline_len(place: &Place) -> u8 {
    if *place == Place::Inline { 8 } else { 0 }
}

/// A process.
#[derive(Clone)]
pub struct Me {
    pub world: Rc<World>,
    pub seat: Seat,
    pub leases: Rc<RefCell<Leases>>,
    /// Whether it does the store's operations in single steps.
    pub slow: bool,
}

impl Me {
    pub fn new(world: &Rc<World>, seat: Seat) -> Me {
        world.segment.header().taken.add(seat);
        if seat != Seat::HEAD {
            world.model.borrow_mut().has.entry(seat).or_default();
        }
        let leases = Leases::new(Arc::clone(&world.segment), seat);
        Me { world: Rc::clone(world), seat, leases: Rc::new(RefCell::new(leases)), slow: true }
    }

    fn model<T>(&self, look: impl FnOnce(&mut super::world::Model) -> T) -> T {
        look(&mut self.world.model.borrow_mut())
    }

    fn complain(&self, text: String) {
        self.world.complain(text);
    }

    /// The process's references and pins.
    pub fn has(&self) -> Has {
        self.world.model.borrow().has.get(&self.seat).cloned().unwrap_or_default()
    }

    pub fn moves(&self) {
        self.leases.borrow().moves();
    }

    pub fn moved(&self) {
        self.leases.borrow().moved();
    }

    /// A slot for an object or a task.
    fn slot(&self) -> Option<u32> {
        let Ok(index) = self.leases.borrow_mut().slot() else {
            self.world.reach("all slots are in use");
            return None;
        };
        let slot = self.world.segment.slot(index);
        let word = slot.word();
        if word.state() != State::Free || word.owner() != Some(self.seat) || word.flags() != Flags::empty() {
            self.complain(format!("{:?} was given slot {index}: {word:?}", self.seat));
        }
        if !slot.refs.is_empty() || !slot.pins.is_empty() || slot.holds.load(Ordering::Relaxed) & HOLDS != 0 {
            self.complain(format!("somebody has slot {index}, which is free"));
        }
        self.model(|model| {
            if let Some(other) = model.in_hand.insert(index, self.seat) {
                model.complain(format!("slot {index} was given to {:?} and to {other:?}", self.seat));
            }
        });
        Some(index)
    }

    fn keep_slot(&self, index: u32) {
        self.model(|model| model.in_hand.remove(&index));
        self.leases.borrow_mut().keep_slot(index);
    }

    fn used_slot(&self, index: u32) {
        self.model(|model| model.in_hand.remove(&index));
    }

    /// Waits until the object is not dying.
    pub async fn until_settled(&self, id: Id) {
        while self.world.segment.slot(id.slot()).word().state() == State::Dying {
            here().await;
        }
    }

    async fn hold(&self, id: Id) {
        if self.world.does(Wrong::NeverHolds) {
            return;
        }
        self.until_settled(id).await;
        if !self.world.segment.hold(id) {
            self.complain(format!("{:?} holds {id}, which does not exist", self.seat));
        }
        here().await;
    }

    /// Room in the arena, with a slot that shows it as a draft.
    async fn shared(&self, len: u64) -> Option<(u32, Space)> {
        let slot = self.slot()?;
        let segment = &self.world.segment;
        here().await;
        self.moves();
        here().await;
        let space = self.leases.borrow_mut().space(len);
        here().await;
        if self.world.does(Wrong::ShowsDraftLate) {
            self.moved();
            here().await;
        }
        if let Ok(space) = &space {
            let shown = segment.slot(slot);
            shown.offset.store(space.offset, Ordering::Relaxed);
            shown.len.store(len, Ordering::Relaxed);
            shown.home.store(space.home, Ordering::Relaxed);
            here().await;
            segment.step(slot, |word, by| word.after(Step::Draft { by }), self.seat);
            here().await;
        }
        if !self.world.does(Wrong::ShowsDraftLate) {
            self.moved();
        }
        let Ok(space) = space else {
            self.world.reach("all units are in use");
            self.keep_slot(slot);
            return None;
        };
        here().await;
        if let Some(run) = space.fresh {
            segment.unlock(&self.world.arena, run).unwrap();
        }
        Some((slot, space))
    }

    async fn draft(&self, size: Size) -> Option<Draft> {
        let tag = self.model(super::world::Model::new_tag);
        let Size::Bytes(len) = size else { return Some(Draft::Private { tag }) };
        let (slot, space) = self.shared(len).await?;
        self.world.arena.write_ids(space.offset, &[Id(tag)]).unwrap();
        here().await;
        Some(Draft::Shared { slot, space, len, tag })
    }

    async fn discard(&self, draft: Draft) {
        let Draft::Shared { slot, space, .. } = draft else { return };
        self.discard_shared(slot, space).await;
    }

    async fn discard_shared(&self, slot: u32, space: Space) {
        let segment = &self.world.segment;
        self.moves();
        here().await;
        segment.step(slot, |word, by| word.after(Step::Discard { by }), self.seat);
        here().await;
        segment.leave(self.seat, space.home);
        here().await;
        self.moved();
        self.keep_slot(slot);
        here().await;
    }

    /// Room for a long list; `Err` when there is none.
    async fn list_space(&self, contains: &[Id]) -> Result<Option<(u32, Space)>, ()> {
        if contains.len() <= CONTAINED_INLINE {
            return Ok(None);
        }
        let (slot, space) = self.shared(contains.len() as u64 * 8).await.ok_or(())?;
        self.world.arena.write_ids(space.offset, contains).unwrap();
        self.world.reach("a list is too long for a slot");
        here().await;
        Ok(Some((slot, space)))
    }

    /// Passes a draft's room to its object; the draft ends.
    async fn give_away(&self, draft: Option<(u32, Space)>) {
        let Some((slot, space)) = draft else { return };
        let segment = &self.world.segment;
        segment.move_within(space.home);
        here().await;
        segment.step(slot, |word, by| word.after(Step::Discard { by }), self.seat);
        self.model(|model| model.given_away.remove(&slot));
        here().await;
        self.keep_slot(slot);
    }

    /// Makes a value.
    pub async fn put(self, size: Size, contains: Vec<Id>) {
        self.put_one(size, &contains).await;
    }

    async fn put_one(&self, size: Size, contains: &[Id]) -> Option<Id> {
        let draft = self.draft(size).await?;
        let Ok(list) = self.list_space(contains).await else {
            self.discard(draft).await;
            return None;
        };
        self.seal(draft, contains, list).await
    }

    async fn seal(&self, draft: Draft, contains: &[Id], list: Option<(u32, Space)>) -> Option<Id> {
        let segment = &self.world.segment;
        let (slot, mut flags, tag, place) = match draft {
            Draft::Private { tag } => {
                let Some(slot) = self.slot() else {
                    if let Some((slot, space)) = list {
                        self.discard_shared(slot, space).await;
                    }
                    return None;
                };
                segment.write_inline(slot, &tag.to_ne_bytes());
                (slot, Flags::empty(), tag, Place::Inline)
            }
            Draft::Shared { slot, space, len, tag } => {
                (slot, Flags::ARENA, tag, Place::Arena { offset: space.offset, len })
            }
        };
        here().await;
        if !contains.is_empty() {
            self.moves();
            here().await;
            for id in contains {
                self.hold(*id).await;
            }
            segment.set_contained(slot, contains, list.map(|(_, space)| space));
            flags |= Flags::CONTAINS;
            here().await;
        }
        if self.slow {
            // How `Segment::seal` begins.
            segment.slot(slot).refs.begin_with(self.seat);
            here().await;
        }
        let sealed = segment.seal(self.seat, slot, flags, inline_len(&place));
        let Some(id) = sealed else {
            self.complain(format!("slot {slot} was {:?}'s and could not be sealed", self.seat));
            return None;
        };
        self.used_slot(slot);
        self.model(|model| {
            model.objects.insert(id, Object { place, tag, contains: contains.to_vec() });
            model.has(self.seat).refs.insert(id);
            model.given_away.extend(list.map(|(slot, _)| (slot, self.seat)));
        });
        here().await;
        if !contains.is_empty() {
            self.give_away(list).await;
            self.moved();
        }
        Some(id)
    }

    /// Begins a draft and discards it.
    pub async fn think_better(self, size: Size) {
        if let Some(draft) = self.draft(size).await {
            here().await;
            self.discard(draft).await;
        }
    }

    /// Takes a reference to an object that another process has, or that another object contains.
    pub async fn add(self, id: Id) {
        self.until_settled(id).await;
        self.retain(id);
    }

    /// Takes a reference, if the object is reachable. The object is not dying.
    fn retain(&self, id: Id) {
        if !self.world.model.borrow().reachable().contains(&id) {
            return;
        }
        if !self.world.segment.add(id, Kind::Ref, self.seat) {
            self.complain(format!("{id} could be reached and does not exist"));
        }
        self.model(|model| model.has(self.seat).refs.insert(id));
    }

    /// Gives a reference back.
    pub async fn release(self, id: Id) {
        self.let_go(id).await;
    }

    async fn let_go(&self, id: Id) {
        if !self.has().refs.contains(&id) {
            return;
        }
        self.model(|model| model.has(self.seat).refs.remove(&id));
        self.world.segment.remove(id, Kind::Ref, self.seat);
        here().await;
        self.collect(vec![id]).await;
    }

    /// Pins an object's bytes, after asking the head for them if they are on disk.
    pub async fn pin(self, id: Id) {
        loop {
            self.until_settled(id).await;
            match self.world.segment.pin(id, self.seat) {
                Ok((offset, len)) => {
                    let place = self.model(|model| {
                        model.has(self.seat).pins.insert(id);
                        model.objects[&id].place.clone()
                    });
                    if place != (Place::Arena { offset, len }) {
                        self.complain(format!("{id} was pinned at {offset} and is {place:?}"));
                    }
                    return;
                }
                Err(Some(Body::Spilled { .. })) => {
                    let answer = Rc::new(RefCell::new(None));
                    self.world.tell(Message::Restore { id, answer: Rc::clone(&answer) });
                    while answer.borrow().is_none() {
                        here().await;
                    }
                    if *answer.borrow() == Some(false) {
                        return;
                    }
                }
                Err(Some(_)) => return,
                Err(None) => {
                    if self.model(|model| model.is_finished(id)) {
                        self.complain(format!("{id} cannot be read"));
                    }
                    return;
                }
            }
        }
    }

    /// Unpins an object's bytes.
    pub async fn unpin(self, id: Id) {
        self.model(|model| model.has(self.seat).pins.remove(&id));
        self.world.segment.remove(id, Kind::Pin, self.seat);
        here().await;
        self.collect(vec![id]).await;
    }

    /// Frees unused objects.
    pub async fn collect(&self, mut loose: Vec<Id>) {
        while let Some(id) = loose.pop() {
            here().await;
            if self.slow {
                if let Some(word) = self.condemn(id, false).await {
                    self.free_dying(id, word, &mut loose).await;
                }
            } else {
                let mut leftovers = Leftovers::default();
                let leases = &mut self.leases.borrow_mut();
                self.world.segment.collect_one(leases, id, &mut loose, &mut leftovers);
                leftovers.spilled.iter().for_each(|(position, _)| self.forget(*position));
            }
        }
    }

    fn forget(&self, position: u64) {
        self.world.tell(Message::Forget { position });
    }

    fn is_unused(&self, id: Id) -> bool {
        let slot = self.world.segment.slot(id.slot());
        slot.holds.load(Ordering::Relaxed) & HOLDS == 0 && slot.refs.is_empty() && slot.pins.is_empty()
    }

    /// [`crate::store::Segment::condemn`] in single steps. With `mistaken`, its first check sees no holder, as if the
    /// holder had just changed from one kind to another.
    async fn condemn(&self, id: Id, mistaken: bool) -> Option<Word> {
        let segment = &self.world.segment;
        let slot = segment.slot(id.slot());
        let mut mistaken = mistaken;
        loop {
            let word = slot.word();
            if word.generation() != id.generation() || !(mistaken || self.is_unused(id)) {
                return None;
            }
            mistaken = false;
            here().await;
            if word.is_task() {
                let abandoned = word.after(Step::Abandon)?;
                if slot.swap(word, abandoned).is_ok() {
                    return None;
                }
                continue;
            }
            let dying = word.after(Step::Condemn { by: self.seat })?;
            if slot.swap(word, dying).is_err() {
                continue;
            }
            here().await;
            if self.is_unused(id) || self.world.does(Wrong::FreesUnseen) {
                return Some(dying);
            }
            segment.spare(id, self.seat);
            self.world.reach("an object is spared");
            here().await;
        }
    }

    /// Tries to free an object that is in use.
    pub async fn suspect(self, id: Id) {
        let mut loose = Vec::new();
        if let Some(word) = self.condemn(id, true).await {
            self.free_dying(id, word, &mut loose).await;
        }
        self.collect(loose).await;
    }

    /// [`crate::store::Segment::free_dying`] in single steps.
    async fn free_dying(&self, id: Id, word: Word, loose: &mut Vec<Id>) {
        let segment = &self.world.segment;
        let slot = segment.slot(id.slot());
        let (seat, flags) = (self.seat, word.flags());
        if flags == Flags::empty() || flags == Flags::ERROR {
            if let Some(free) = word.after(Step::Free { by: seat })
                && slot.swap(word, free).is_ok()
            {
                self.keep_slot(id.slot());
            }
            return;
        }
        let contained = if flags.contains(Flags::CONTAINS) { segment.contained(slot) } else { Vec::new() };
        let has_list = contained.len() > CONTAINED_INLINE;
        let (home, list_home) = (slot.home.load(Ordering::Relaxed), slot.list_home.load(Ordering::Relaxed));
        let given: Vec<Id> = match flags.contains(Flags::ARGS) {
            true => segment.read_spec(id.slot()).objects().collect(),
            false => Vec::new(),
        };
        let position = slot.offset.load(Ordering::Relaxed);
        self.moves();
        here().await;
        if self.world.does(Wrong::UnholdsFirst) {
            for inner in &contained {
                segment.unhold(*inner);
                here().await;
            }
        }
        let Some(stripped) = word.after(Step::Strip { by: seat }) else { return };
        if slot.swap(word, stripped).is_ok() {
            if flags.contains(Flags::SPILLED) {
                // Only this process knows of these bytes until it has told the head.
                self.model(|model| model.disk_lost += 1);
            }
            here().await;
            if flags.contains(Flags::ARENA) {
                segment.leave(seat, home);
                here().await;
            }
            if has_list {
                segment.leave(seat, list_home);
                here().await;
            }
            for inner in contained.into_iter().chain(given) {
                if !self.world.does(Wrong::UnholdsFirst) && segment.unhold(inner) {
                    loose.push(inner);
                }
                here().await;
            }
            if flags.contains(Flags::SPILLED) {
                self.model(|model| model.disk_lost -= 1);
                self.forget(position);
            }
            if let Some(free) = stripped.after(Step::Free { by: seat })
                && slot.swap(stripped, free).is_ok()
            {
                self.keep_slot(id.slot());
            }
            here().await;
        }
        self.moved();
    }

    /// Submits a task; an anonymous argument becomes an object that only the task keeps.
    pub async fn submit(self, args: Vec<Argument>, anonymous: Option<Size>) {
        let segment = &self.world.segment;
        if !segment.has_room(&self.leases.borrow()) {
            self.world.reach("a submitter's ring is full");
            return;
        }
        let mut spec = Spec::new(7, 3);
        spec.kind = TaskKind::Call { mailbox: 0, caller: Some(self.seat), access: Access::Exclusive };
        let mut args = args;
        let mut made = None;
        if let Some(size) = anonymous {
            made = self.put_one(size, &[]).await;
            args.extend(made.map(Argument::Object));
        }
        for arg in &args {
            let pushed = match arg {
                Argument::Object(id) => spec.push(Arg::Object(*id), 0),
                Argument::Value(tag) => spec.push(Arg::Bytes(&tag.to_ne_bytes()), 0),
            };
            assert!(pushed);
        }
        if let Some(slot) = self.slot() {
            self.submit_in(slot, &spec, args).await;
        }
        if let Some(id) = made {
            self.let_go(id).await;
        }
    }

    async fn submit_in(&self, index: u32, spec: &Spec, args: Vec<Argument>) {
        let segment = &self.world.segment;
        segment.write_spec(index, spec);
        let holds = spec.objects().next().is_some();
        if holds {
            self.moves();
            here().await;
            for id in spec.objects() {
                self.hold(id).await;
            }
        }
        let shown = |id: Id| {
            self.used_slot(index);
            let tag = self.model(super::world::Model::new_tag);
            self.model(|model| {
                model.objects.insert(id, Object { place: Place::Task { args, by: None }, tag, contains: Vec::new() });
                model.has(self.seat).refs.insert(id);
            });
        };
        let mut late = Vec::new();
        let readiness = if self.slow {
            // `Segment::submit` in single steps.
            let slot = segment.slot(index);
            let word = slot.word();
            slot.deps.store(0, Ordering::Relaxed);
            slot.refs.begin_with(self.seat);
            here().await;
            let flags = if holds { Flags::ARGS } else { Flags::empty() };
            let waits = spec.objects().any(|id| segment.slot(id.slot()).word().is_task());
            here().await;
            let task = word.after(Step::Submit { by: self.seat, flags, waits });
            let Some(task) = task.filter(|task| slot.swap(word, *task).is_ok()) else {
                return self.complain(format!("slot {index} was {:?}'s and could not be a task", self.seat));
            };
            let id = Id::new(index, task.generation());
            shown(id);
            here().await;
            let readiness =
                if waits { segment.ready_or_listed(id, spec, self.seat, &mut late) } else { Readiness::Ready };
            (id, readiness)
        } else {
            let Some((id, readiness)) = segment.submit(&self.leases.borrow(), index, spec, &mut late) else {
                return self.complain(format!("slot {index} was {:?}'s and could not be a task", self.seat));
            };
            shown(id);
            (id, readiness)
        };
        here().await;
        if let (task, Readiness::Ready) = readiness
            && !segment.push(&self.leases.borrow(), task)
        {
            self.complain(format!("{task} was not pushed: there was room"));
        }
        here().await;
        let mut stranded = Vec::new();
        self.go_on(late, &mut stranded).await;
        if holds {
            self.moved();
        }
        stranded.into_iter().for_each(|task| self.world.tell(Message::Strand { task }));
    }

    async fn claim(&self) -> Option<Id> {
        let segment = &self.world.segment;
        let claimed = if self.slow { self.claim_slowly().await } else { segment.claim_any(self.seat) };
        if !self.slow
            && let Some(id) = claimed
        {
            self.runs(id);
        }
        here().await;
        claimed
    }

    fn runs(&self, id: Id) {
        self.model(|model| {
            if !model.claimed.insert(id) {
                model.complain(format!("task {id} was run twice"));
            }
            let Some(Object { place: Place::Task { args, by: by @ None }, .. }) = model.objects.get_mut(&id) else {
                return model.complain(format!("{id} was claimed, and is {:?}", model.objects.get(&id)));
            };
            *by = Some(self.seat);
            let args = args.clone();
            if args.iter().any(|arg| matches!(arg, Argument::Object(id) if !model.is_finished(*id))) {
                model.complain(format!("{id} was claimed before its arguments were there"));
            }
        });
    }

    /// [`crate::store::Segment::claim_any`] in single steps.
    async fn claim_slowly(&self) -> Option<Id> {
        let segment = &self.world.segment;
        let rings: Vec<Seat> = std::iter::once(self.seat).chain(segment.header().rings.iter()).collect();
        for of in rings {
            let desk = segment.desk(of);
            for _ in 0..2 * LIMITS.ring {
                let head = desk.head.load(Ordering::Acquire);
                if head == desk.tail.load(Ordering::Acquire) {
                    break;
                }
                let id = Id(segment.entry(of, head).load(Ordering::Relaxed));
                here().await;
                let slot = segment.slot(id.slot());
                let word = slot.word();
                let claimed = word.generation() == id.generation()
                    && word
                        .after(Step::Claim { by: self.seat })
                        .is_some_and(|running| slot.swap(word, running).is_ok());
                if claimed {
                    self.runs(id);
                }
                here().await;
                let _ = desk.head.compare_exchange(head, head.wrapping_add(1), Ordering::AcqRel, Ordering::Acquire);
                if claimed {
                    return Some(id);
                }
            }
        }
        None
    }

    /// Runs a task, if there is one.
    pub async fn work(self, size: Size, contains: usize, fails: bool) {
        let segment = &self.world.segment;
        let Some(task) = self.claim().await else { return };
        let spec = segment.read_spec(task.slot());
        let known = self.model(|model| model.objects.get(&task).map(|object| object.place.clone()));
        let Some(Place::Task { args, .. }) = known else { return };
        if arguments(&spec) != args {
            self.complain(format!("task {task} was run with {spec:?} and not {args:?}"));
        }
        for id in spec.objects() {
            self.until_settled(id).await;
            match segment.body(id) {
                None => self.complain(format!("argument {id} of {task} is gone")),
                Some(Body::Failed) => return self.world.tell(Message::Carry { task, object: id }),
                Some(_) => {}
            }
        }
        here().await;
        if fails {
            return self.say_failed(task).await;
        }
        let Some(draft) = self.draft(size).await else { return self.say_failed(task).await };
        // The result may refer to the arguments and to what the process has besides.
        let mut candidates: Vec<Id> = spec.objects().chain(self.has().refs).collect();
        self.model(|model| {
            candidates.retain(|id| !model.will_keep(*id, task));
            model.plans.insert(task, candidates.clone());
        });
        let mut inner: Vec<Id> = Vec::new();
        if !candidates.is_empty() {
            for id in candidates.iter().cycle().take(contains) {
                self.until_settled(*id).await;
                // The task keeps an argument, and this process keeps anything else.
                self.retain(*id);
                inner.push(*id);
            }
        }
        self.succeed(task, &spec, draft, &inner).await;
    }

    /// Adds a call to the actor's log: `Segment::log_call` in single steps.
    async fn log_call(&self, call: Id) {
        let segment = &self.world.segment;
        let log = &segment.mailbox(0).log;
        segment.slot(call.slot()).next.store(log.load(Ordering::Relaxed), Ordering::Relaxed);
        here().await;
        self.hold(call).await;
        log.store(call.0, Ordering::Release);
        here().await;
    }

    /// The result of a call that is in the log can be seen from now on.
    fn logged(&self, call: Id, spec: &Spec) {
        self.model(|model| {
            model.log.calls.push(call);
            model.given.extend(spec.objects());
        });
    }

    /// Saves the actor: puts a checkpoint in the place of its log.
    pub async fn checkpoint(self, size: Size) {
        if self.seat != ACTOR {
            return;
        }
        let Some(checkpoint) = self.put_one(size, &[]).await else { return };
        let segment = &self.world.segment;
        self.moves();
        here().await;
        if self.world.does(Wrong::UnlogsFirst) {
            segment.release_logged(segment.log_of(0).calls);
            here().await;
        }
        let before = segment.log_checkpoint(0, checkpoint);
        self.model(|model| {
            model.log = Log { checkpoint: Some(checkpoint), calls: Vec::new() };
            model.given.clear();
        });
        here().await;
        let mut loose = Vec::new();
        for logged in before {
            loose.extend(segment.release_logged(vec![logged]));
            here().await;
        }
        self.moved();
        self.world.reach("a checkpoint takes a log's place");
        self.collect(loose).await;
        self.let_go(checkpoint).await;
    }

    async fn say_failed(&self, task: Id) {
        if self.seat == ACTOR {
            self.moves();
            self.log_call(task).await;
            self.moved();
        }
        self.world.tell(Message::Failed { task });
        let is_mine = || {
            let word = self.world.segment.slot(task.slot()).word();
            word.generation() == task.generation() && word.state() == State::Running && word.owner() == Some(self.seat)
        };
        while is_mine() {
            here().await;
        }
    }

    async fn succeed(&self, task: Id, spec: &Spec, draft: Draft, contains: &[Id]) {
        let (segment, index) = (&self.world.segment, task.slot());
        let Ok(list) = self.list_space(contains).await else {
            self.discard(draft).await;
            return self.say_failed(task).await;
        };
        if self.world.does(Wrong::ReleasesFirst) {
            let kept: BTreeSet<Id> = spec.objects().collect();
            for id in contains.iter().filter(|id| !kept.contains(id)) {
                self.let_go(*id).await;
            }
        }
        self.moves();
        let (mut flags, mut from) = (Flags::empty(), None);
        let (tag, place) = match draft {
            Draft::Private { tag } => {
                segment.write_inline(index, &tag.to_ne_bytes());
                (tag, Place::Inline)
            }
            Draft::Shared { slot, space, len, tag } => {
                let shown = segment.slot(index);
                shown.offset.store(space.offset, Ordering::Relaxed);
                shown.len.store(len, Ordering::Relaxed);
                shown.home.store(space.home, Ordering::Relaxed);
                flags = Flags::ARENA;
                from = Some((slot, space));
                (tag, Place::Arena { offset: space.offset, len })
            }
        };
        here().await;
        if !contains.is_empty() {
            for id in contains {
                self.hold(*id).await;
            }
            segment.set_contained(index, contains, list.map(|(_, space)| space));
            flags |= Flags::CONTAINS;
            here().await;
        }
        let is_logged = self.seat == ACTOR;
        if is_logged {
            if !self.world.does(Wrong::LogsLate) {
                self.log_call(task).await;
            }
            flags |= Flags::ARGS;
        }
        let Some(is_wanted) = segment.finish(self.seat, task, flags, inline_len(&place)) else {
            return self.complain(format!("task {task} was {:?}'s and could not be finished", self.seat));
        };
        if is_logged {
            self.logged(task, spec);
        }
        self.model(|model| {
            model.objects.insert(task, Object { place, tag, contains: contains.to_vec() });
            model.given_away.extend(from.iter().chain(&list).map(|(slot, _)| (*slot, self.seat)));
        });
        here().await;
        if !self.world.does(Wrong::TellsNobody) && segment.tell_waiters(index) {
            self.world.tell(Message::Poke);
        }
        here().await;
        let waiting = if self.world.does(Wrong::ForgetsList) { Vec::new() } else { segment.take_list(index) };
        here().await;
        self.give_away(from).await;
        self.give_away(list).await;
        let mut stranded = Vec::new();
        self.go_on(waiting, &mut stranded).await;
        if is_logged && self.world.does(Wrong::LogsLate) {
            self.log_call(task).await;
        }
        let mut loose = Vec::new();
        for id in spec.objects().filter(|_| !is_logged) {
            if segment.unhold(id) {
                loose.push(id);
            }
            here().await;
        }
        self.moved();
        here().await;
        stranded.into_iter().for_each(|task| self.world.tell(Message::Strand { task }));
        for id in contains {
            self.let_go(*id).await;
        }
        if !is_wanted {
            self.world.reach("nobody wants a result");
            loose.push(task);
        }
        self.collect(loose).await;
    }

    async fn go_on(&self, mut tasks: Vec<Id>, stranded: &mut Vec<Id>) {
        let segment = &self.world.segment;
        let mut index = 0;
        while let Some(task) = tasks.get(index).copied() {
            index += 1;
            let spec = segment.read_spec(task.slot());
            if segment.slot(task.slot()).word().generation() == task.generation()
                && segment.ready_or_listed(task, &spec, self.seat, &mut tasks) == Readiness::Ready
            {
                here().await;
                if !segment.push(&self.leases.borrow(), task) {
                    self.world.reach("a sealer's ring is full");
                    stranded.push(task);
                }
            }
            here().await;
        }
    }

    /// Sleeps until `wanted` of these are finished.
    pub async fn wait(self, ids: Vec<Id>, wanted: usize) {
        let (segment, seat) = (&self.world.segment, self.seat);
        let desk = segment.desk(seat);
        loop {
            let bell = desk.bell.load(Ordering::Acquire);
            let missing: Vec<Id> =
                self.model(|model| ids.iter().copied().filter(|id| !model.is_finished(*id)).collect());
            let there = ids.len() - missing.len();
            if there >= wanted {
                break;
            }
            desk.countdown.store((wanted - there) as i64, Ordering::Release);
            here().await;
            for id in &missing {
                if segment.arm(*id, seat) {
                    desk.countdown.fetch_sub(1, Ordering::AcqRel);
                }
                here().await;
            }
            let sleep = Sleep { bell, ids: missing, wanted: wanted - there };
            self.model(|model| model.asleep.insert(seat, sleep));
            while desk.bell.load(Ordering::Acquire) == bell && desk.countdown.load(Ordering::Acquire) > 0 {
                here().await;
            }
            self.model(|model| model.asleep.remove(&seat));
            self.world.reach("a sleeper is woken");
        }
        for id in ids {
            segment.disarm(id, seat);
            here().await;
        }
    }

    /// Clears the bits of empty rings: [`crate::store::Segment::quiet`] in single steps.
    pub async fn quiet(self) {
        let segment = &self.world.segment;
        if !self.slow {
            segment.quiet();
            return;
        }
        let rings: Vec<Seat> = segment.header().rings.iter().collect();
        for of in rings {
            if segment.has_entries(of) {
                return;
            }
            here().await;
            segment.header().rings.remove(of);
            here().await;
            if segment.has_entries(of) {
                segment.header().rings.add(of);
                return;
            }
        }
    }

    /// Asks the head to make room for an object.
    pub async fn want_room(self, units: u32) {
        self.leases.borrow_mut().close_lease();
        here().await;
        self.world.tell(Message::Room { units });
    }

    /// Leaves what `Segment::lease` leaves when its caller dies in it: units taken, and some of them made part of the
    /// lease.
    pub async fn lease_and_die(self, units: u32, parts: u32) {
        let segment = &self.world.segment;
        let Some(run) = segment.lease(self.seat, units) else { return };
        let taken = 1 << 60 | u64::from(self.seat.0) << 48;
        segment.unit(run.first).word.store(taken, Ordering::Relaxed);
        for index in run.first + 1 + parts.min(run.len - 1)..run.first + run.len {
            segment.unit(index).word.store(taken, Ordering::Relaxed);
            segment.unit(index).home.store(0, Ordering::Relaxed);
        }
        std::future::pending().await
    }

    /// Leaves what a search for slots leaves when its process dies in it.
    pub async fn look_for_slots_and_die(self, fresh: bool) {
        let (segment, header) = (&self.world.segment, self.world.segment.header());
        if fresh {
            let first = header.slots_fresh.fetch_add(2, Ordering::Relaxed);
            if first + 2 > LIMITS.slots {
                header.slots_fresh.store(LIMITS.slots, Ordering::Relaxed);
            }
        } else {
            let bits = segment.hint(0).swap(0, Ordering::Relaxed);
            header.slots_loose.fetch_sub(bits.count_ones(), Ordering::Relaxed);
        }
        std::future::pending().await
    }
}
