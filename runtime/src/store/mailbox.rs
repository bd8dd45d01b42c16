//! An actor's mailbox: a queue of calls that many processes fill and one empties.
//!
//! ```text
//!   callers ──CAS──▶ place[tail] ─▶ … ─▶ place[head] ◀── the actor's process claims the call in its slot, runs it, and empties the place
//! ```
//!
//! A caller claims a place and fills it in one step, because an empty place carries the round in which it may be filled: a caller that dies
//! leaves no hole, and one that was stopped for a round of the ring fills nothing. A call stays in its place until it has ended. So the next
//! process of an actor that was restarted finds the calls in their order, with the one that was interrupted in front if it is to be retried.
//!
//! A call that waits for an argument lies in its place like any other. It holds up the calls of its own caller, and no others.
//!
//! # Invariants
//! - One process empties places: the actor's; and the head, while the actor has none.
//! - A call may lie in two places, after a death. It is run once, because to claim it is a step of its slot's word.

use super::Id;
use super::layout::{CALLS_MAX, Mailbox};
use super::seat::Seat;
use super::segment::Segment;
use super::task_spec::TaskKind;
use super::word::{Flags, State, Step};
use crate::sync::{Ordering, fence_after_rmw};
use std::collections::HashSet;

/// How often a caller tries to fill a place until it takes the mailbox for full: others may be faster again and again.
const TRIES_MAX: u32 = if cfg!(loom) { 4 } else { 100_000 };

/// What an empty place has in it when the call at this position may be written there. No id looks like that: its slot would be 0.
fn empty(position: u64) -> u64 {
    (position / CALLS_MAX) << 32
}

fn is_empty(found: u64) -> bool {
    found as u32 == 0
}

/// How far the actor's process has read.
#[derive(Debug)]
pub struct Reader {
    mailbox: u32,
    /// The first position that was not looked at since a call woke.
    next: u64,
    /// The mailbox's `woken` at that time.
    woken: u32,
    /// Callers with a call before that position that waits.
    held_up: HashSet<u64>,
    /// The calls that run, and where they are.
    running: Vec<(Id, u64)>,
}

impl Reader {
    /// Whether the call was received and has not ended.
    pub fn runs(&self, call: Id) -> bool {
        self.running.iter().any(|(running, _)| *running == call)
    }
}

impl Segment {
    /// The mailbox of the actor that an object stands for, or will.
    pub fn mailbox_of_actor(&self, actor: Id) -> Option<u32> {
        match self.task_kind(actor.slot()) {
            TaskKind::Creation { mailbox } => Some(mailbox),
            _ => None,
        }
    }

    /// Whether an object stands for an actor that was made.
    pub fn stands_for_an_actor(&self, id: Id) -> bool {
        let word = self.slot(id.slot()).word();
        word.generation() == id.generation() && word.is_sealed() && word.flags().contains(Flags::ACTOR)
    }

    /// Puts a call into a mailbox. False when it is full.
    pub fn send(&self, mailbox: u32, call: Id) -> bool {
        let shared = self.mailbox(mailbox);
        for _ in 0..TRIES_MAX {
            let tail = shared.tail.load(Ordering::Acquire);
            // Before the place is read: if there is room for this position, then what is in its place is not from the round before, because
            // the actor's process empties a place and then moves the head. An older head is only more careful.
            let is_full = |head: u64| tail.wrapping_sub(head) as i64 >= CALLS_MAX as i64;
            if is_full(shared.head_seen.load(Ordering::Acquire)) {
                let head = shared.head.load(Ordering::Acquire);
                shared.head_seen.store(head, Ordering::Release);
                if is_full(head) {
                    return false;
                }
            }
            let place = self.place(mailbox, tail);
            // Release pairs with the load in `receive`.
            let filled = place.compare_exchange(empty(tail), call.0, Ordering::AcqRel, Ordering::Acquire).is_ok();
            // Else another caller has filled it. It may have been stopped before it moved the tail.
            let moved = tail.wrapping_add(1);
            let _ = shared.tail.compare_exchange(tail, moved, Ordering::AcqRel, Ordering::Acquire);
            if filled {
                self.knock(mailbox);
                return true;
            }
        }
        false
    }

    /// Tells the actor that a call in its mailbox is ready now.
    pub fn call_woke(&self, mailbox: u32) {
        self.mailbox(mailbox).woken.fetch_add(1, Ordering::AcqRel);
        self.knock(mailbox);
    }

    /// Wakes the actor's process if it sleeps. Called right after an atomic read-modify-write.
    fn knock(&self, mailbox: u32) {
        let shared = self.mailbox(mailbox);
        // Pairs with the fence in `begin_idle`: this call sees that the process is idle, or that one sees the call.
        fence_after_rmw();
        if shared.idle.load(Ordering::Relaxed) != 0
            && let Some(seat) = shared.process()
        {
            self.ring(seat);
        }
    }

    /// The last handle of an actor is gone: its process is to end after the last call.
    pub(super) fn leave_mailbox(&self, creation: u32) {
        let TaskKind::Creation { mailbox } = self.task_kind(creation) else { return };
        let shared = self.mailbox(mailbox);
        let _ = shared.state.compare_exchange(Mailbox::OPEN, Mailbox::LEFT, Ordering::AcqRel, Ordering::Acquire);
        fence_after_rmw();
        if let Some(seat) = shared.process() {
            self.ring(seat);
        }
    }

    /// Whose calls a call may not overtake: a process, or a task.
    fn caller(&self, call: Id) -> u64 {
        match self.task_kind(call.slot()) {
            TaskKind::Call { caller: Some(seat), .. } => seat.0.into(),
            _ => self.slot(call.slot()).parent.load(Ordering::Relaxed),
        }
    }

    /// Begins to read a mailbox as the process in this seat.
    pub fn open_mailbox(&self, mailbox: u32, by: Seat) -> Reader {
        let shared = self.mailbox(mailbox);
        shared.idle.store(0, Ordering::Relaxed);
        shared.seat.store(u32::from(by.0) + 1, Ordering::Release);
        let woken = shared.woken.load(Ordering::Acquire);
        self.sweep(mailbox, u64::MAX);
        let next = shared.head.load(Ordering::Relaxed);
        Reader { mailbox, next, woken, held_up: HashSet::new(), running: Vec::new() }
    }

    /// Empties the place of a call that was received and has ended.
    pub fn ended(&self, reader: &mut Reader, call: Id) {
        let Some(index) = reader.running.iter().position(|(running, _)| *running == call) else { return };
        let (_, position) = reader.running.swap_remove(index);
        if position == self.mailbox(reader.mailbox).head.load(Ordering::Relaxed) {
            self.end_place(reader.mailbox, position);
            if reader.next != position.wrapping_add(1) {
                self.sweep(reader.mailbox, reader.next);
            }
        }
    }

    /// Takes the next call that can run out of the mailbox, for `by` to run.
    pub fn receive(&self, reader: &mut Reader, by: Seat) -> Option<Id> {
        let mailbox = reader.mailbox;
        let shared = self.mailbox(mailbox);
        let woken = shared.woken.load(Ordering::Acquire);
        if woken != reader.woken {
            (reader.woken, reader.next) = (woken, shared.head.load(Ordering::Relaxed));
            reader.held_up.clear();
        }
        loop {
            let position = reader.next;
            let head = shared.head.load(Ordering::Relaxed);
            if position.wrapping_sub(head) >= CALLS_MAX {
                return None;
            }
            let found = self.place(mailbox, position).load(Ordering::Acquire);
            if is_empty(found) {
                return None;
            }
            let call = Id(found);
            reader.next = position.wrapping_add(1);
            let word = self.slot(call.slot()).word();
            if word.generation() != call.generation() || !word.is_task() {
                // It was cancelled, or lies here for the second time.
                if position == head {
                    self.end_place(mailbox, position);
                }
                continue;
            }
            if word.state() == State::Pending
                && (reader.held_up.is_empty() || !reader.held_up.contains(&self.caller(call)))
                && self.take_step(call, Step::Claim { by })
            {
                reader.running.push((call, position));
                return Some(call);
            }
            if word.state() != State::Running {
                reader.held_up.insert(self.caller(call));
            }
        }
    }

    /// Roughly how many calls of an actor have not ended.
    pub fn calls_in(&self, mailbox: u32) -> u64 {
        let shared = self.mailbox(mailbox);
        let head = shared.head.load(Ordering::Acquire);
        shared.tail.load(Ordering::Acquire).saturating_sub(head).min(CALLS_MAX)
    }

    /// The calls that lie in a mailbox.
    pub fn placed_calls(&self, mailbox: u32) -> Vec<Id> {
        let head = self.mailbox(mailbox).head.load(Ordering::Acquire);
        let found = (0..CALLS_MAX).map(|ahead| self.place(mailbox, head.wrapping_add(ahead)).load(Ordering::Acquire));
        found.take_while(|found| !is_empty(*found)).map(Id).collect()
    }

    /// Says that the actor's process is about to sleep. The caller looks for calls once more before it does.
    pub fn begin_idle(&self, reader: &Reader) {
        self.mailbox(reader.mailbox).idle.store(1, Ordering::Relaxed);
        // Pairs with the fence in `knock`.
        crate::sync::fence(Ordering::SeqCst);
    }

    /// Says that the actor's process is awake.
    pub fn end_idle(&self, reader: &Reader) {
        self.mailbox(reader.mailbox).idle.store(0, Ordering::Relaxed);
    }

    /// Whether the last handle is gone, and all calls have ended.
    pub fn is_left(&self, reader: &Reader) -> bool {
        let shared = self.mailbox(reader.mailbox);
        if shared.state.load(Ordering::Acquire) != Mailbox::LEFT {
            return false;
        }
        // Who had a handle has sent all its calls: those that wait for an argument are there, too.
        is_empty(self.place(reader.mailbox, shared.head.load(Ordering::Relaxed)).load(Ordering::Acquire))
    }

    /// Empties the mailbox of an actor that nobody can call any more, for another actor.
    pub fn reset_mailbox(&self, mailbox: u32, threads: u32, checkpoint_interval: u32) {
        let shared = self.mailbox(mailbox);
        debug_assert_eq!(shared.log.load(Ordering::Relaxed), 0, "the log of the actor before is released");
        // Only the head gives mailboxes to actors.
        let used = &self.header().mailboxes;
        used.store(used.load(Ordering::Relaxed).max(mailbox + 1), Ordering::Relaxed);
        shared.threads.store(threads, Ordering::Relaxed);
        shared.checkpoint_interval.store(checkpoint_interval, Ordering::Relaxed);
        shared.seat.store(0, Ordering::Relaxed);
        shared.idle.store(0, Ordering::Relaxed);
        let mut position = shared.head.load(Ordering::Acquire);
        for _ in 0..CALLS_MAX {
            if is_empty(self.place(mailbox, position).load(Ordering::Acquire)) {
                break;
            }
            self.end_place(mailbox, position);
            position = position.wrapping_add(1);
        }
        // A caller may have died before it moved the tail.
        shared.tail.store(position, Ordering::Release);
        shared.head_seen.store(position, Ordering::Release);
        shared.state.store(Mailbox::OPEN, Ordering::Release);
    }

    fn end_place(&self, mailbox: u32, position: u64) {
        self.place(mailbox, position).store(empty(position.wrapping_add(CALLS_MAX)), Ordering::Release);
        self.mailbox(mailbox).head.store(position.wrapping_add(1), Ordering::Release);
    }

    /// Empties the places of calls that have ended, from the head on, up to this position or a call that has not.
    fn sweep(&self, mailbox: u32, end: u64) {
        let shared = self.mailbox(mailbox);
        for _ in 0..CALLS_MAX {
            let head = shared.head.load(Ordering::Relaxed);
            let found = self.place(mailbox, head).load(Ordering::Acquire);
            let is_over = || {
                let word = self.slot(Id(found).slot()).word();
                word.generation() != Id(found).generation() || !word.is_task()
            };
            // The process may have died between the two stores of `end_place`.
            let is_emptied = is_empty(found) && found != empty(head);
            if head == end || is_empty(found) && !is_emptied || !is_empty(found) && !is_over() {
                return;
            }
            self.end_place(mailbox, head);
        }
    }
}

impl Mailbox {
    /// The seat of the actor's process, while it has one.
    fn process(&self) -> Option<Seat> {
        (self.seat.load(Ordering::Acquire) as u16).checked_sub(1).map(Seat)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::store::layout::Limits;
    use crate::store::task_spec::{Access, Spec};
    use std::sync::Arc;

    const ACTOR: Seat = Seat(9);
    const ALICE: Seat = Seat(1);
    const BOB: Seat = Seat(2);

    /// Calls in slots, without the arguments that make them wait.
    struct Calls {
        segment: Arc<Segment>,
        used: u32,
    }

    impl Calls {
        fn new() -> Calls {
            Calls { segment: Arc::new(Segment::stand_in(Limits { slots: 256, units: 1, ring: 2 })), used: 0 }
        }

        fn made(&mut self, caller: Seat, waits: bool) -> Id {
            self.used += 1;
            let mut spec = Spec::new(0, 0);
            spec.kind = TaskKind::Call { mailbox: 0, caller: Some(caller), access: Access::Exclusive };
            let slot = self.segment.slot(self.used);
            self.segment.write_spec(self.used, &spec);
            for step in [Step::Lease { by: caller }, Step::Submit { by: caller, flags: Flags::empty(), waits }] {
                let word = slot.word();
                slot.swap(word, word.after(step).unwrap()).unwrap();
            }
            Id::new(self.used, 0)
        }

        fn sent(&mut self, caller: Seat, waits: bool) -> Id {
            let call = self.made(caller, waits);
            assert!(self.segment.send(0, call));
            call
        }

        fn end(&self, reader: &mut Reader, call: Id) {
            let segment = &self.segment;
            assert!(segment.take_step(call, Step::Finish { by: ACTOR, flags: Flags::empty(), len: 0 }));
            segment.ended(reader, call);
        }
    }

    #[test]
    fn calls_come_out_in_the_order_in_which_they_were_sent_round_after_round() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        let mut reader = segment.open_mailbox(0, ACTOR);
        for _ in 0..5 {
            let sent = [(); 3].map(|()| calls.sent(ALICE, false));
            for call in sent {
                assert_eq!(segment.receive(&mut reader, ACTOR), Some(call));
                calls.end(&mut reader, call);
            }
            assert_eq!(segment.receive(&mut reader, ACTOR), None);
        }
    }

    #[test]
    fn a_full_mailbox_takes_nothing_until_a_call_has_ended() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        let sent: Vec<Id> = (0..CALLS_MAX).map(|_| calls.sent(ALICE, false)).collect();
        let more = calls.made(BOB, false);
        assert!(!segment.send(0, more));
        let mut reader = segment.open_mailbox(0, ACTOR);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(sent[0]));
        assert!(!segment.send(0, more), "a call that runs has its place");
        calls.end(&mut reader, sent[0]);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(sent[1]));
        assert!(segment.send(0, more));
    }

    #[test]
    fn a_call_that_waits_holds_up_its_own_caller_and_no_other() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        let (waits, behind) = (calls.sent(ALICE, true), calls.sent(ALICE, false));
        let other = calls.sent(BOB, false);
        let mut reader = segment.open_mailbox(0, ACTOR);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(other));
        calls.end(&mut reader, other);
        assert_eq!(segment.receive(&mut reader, ACTOR), None);
        assert!(segment.take_step(waits, Step::Wake { by: BOB }));
        segment.call_woke(0);
        for call in [waits, behind] {
            assert_eq!(segment.receive(&mut reader, ACTOR), Some(call));
            calls.end(&mut reader, call);
        }
        assert_eq!(segment.receive(&mut reader, ACTOR), None);
        assert_eq!(segment.mailbox(0).head.load(Ordering::Relaxed), 3, "all places are empty again");
    }

    #[test]
    fn the_next_process_begins_with_the_call_that_the_last_one_died_in() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        let sent = [(); 3].map(|()| calls.sent(ALICE, false));
        let mut reader = segment.open_mailbox(0, ACTOR);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(sent[0]));
        calls.end(&mut reader, sent[0]);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(sent[1]));
        assert!(segment.take_step(sent[1], Step::Retry { by: Seat::HEAD }));
        let mut next = segment.open_mailbox(0, BOB);
        assert_eq!(segment.receive(&mut next, BOB), Some(sent[1]));
    }

    #[test]
    fn a_call_that_lies_there_twice_runs_once_and_a_cancelled_one_never() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        let twice = calls.sent(ALICE, false);
        assert!(segment.send(0, twice));
        let cancelled = calls.sent(ALICE, false);
        assert!(segment.take_step(cancelled, Step::Cancel));
        let mut reader = segment.open_mailbox(0, ACTOR);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(twice));
        calls.end(&mut reader, twice);
        assert_eq!(segment.receive(&mut reader, ACTOR), None);
        let last = calls.sent(BOB, false);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(last));
    }

    #[test]
    fn a_mailbox_can_be_used_again_whatever_was_left_in_it() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        calls.sent(ALICE, true);
        // A caller that died before it moved the tail.
        segment.place(0, 1).store(calls.made(BOB, false).0, Ordering::Relaxed);
        segment.mailbox(0).state.store(Mailbox::DEAD, Ordering::Relaxed);
        segment.reset_mailbox(0, 1, 0);
        let mut reader = segment.open_mailbox(0, ACTOR);
        assert_eq!(segment.receive(&mut reader, ACTOR), None);
        let call = calls.sent(ALICE, false);
        assert_eq!(segment.receive(&mut reader, ACTOR), Some(call));
    }

    #[test]
    fn many_callers_at_once_lose_no_call_and_each_keeps_its_order() {
        let mut calls = Calls::new();
        let segment = calls.segment.clone();
        let sent: Vec<Vec<Id>> = (1..4).map(|seat| (0..60).map(|_| calls.made(Seat(seat), false)).collect()).collect();
        let received = std::thread::scope(|scope| {
            for calls in &sent {
                scope.spawn(|| calls.iter().for_each(|call| while !segment.send(0, *call) {}));
            }
            let mut reader = segment.open_mailbox(0, ACTOR);
            let mut received = Vec::new();
            while received.len() < 180 {
                if let Some(call) = segment.receive(&mut reader, ACTOR) {
                    calls.end(&mut reader, call);
                    received.push(call);
                }
            }
            received
        });
        for calls in sent {
            let of_caller: Vec<Id> = received.iter().copied().filter(|call| calls.contains(call)).collect();
            assert_eq!(of_caller, calls);
        }
    }
}
