//! Fuzz tests of damaged shared memory: whatever reads it ends, does not panic, and stays inside the tables.
//!
//! ```text
//!   a few good objects and tasks ─▶ anything written to some places ─▶ all operations that read them, in any order
//! ```
//!
//! An invalid value may be taken for another one that is valid. It is only rejected where it would be an address, a
//! length, or the reason to wait for ever.

use super::layout::Slot;
use super::units::UnitWord;
use super::*;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use proptest::prelude::*;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const LIMITS: Limits = Limits { slots: 12, units: 4, ring: 2 };

/// The highest seat that a good process has.
const SEATS_USED: u16 = 4;

/// How long one case may take. Only a case that never ends takes as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A place in shared memory.
enum Place<'a> {
    Word(&'a Slot),
    Long(&'a AtomicU64),
    Signed(&'a AtomicI64),
    Short(&'a AtomicU32),
    Set(&'a Seats),
}

impl Place<'_> {
    fn write(&self, value: u64) {
        match self {
            Place::Word(slot) => while slot.swap(slot.word(), Word(value)).is_err() {},
            Place::Long(place) => place.store(value, Ordering::Relaxed),
            Place::Signed(place) => place.store(value as i64, Ordering::Relaxed),
            Place::Short(place) => place.store(value as u32, Ordering::Relaxed),
            Place::Set(set) => {
                let seat = Seat((value >> 1) as u16);
                let _ = if value & 1 == 0 { set.add(seat) } else { set.remove(seat) };
            }
        }
    }
}

fn places(segment: &Segment) -> Vec<Place<'_>> {
    use Place::{Long, Set, Short, Signed};
    let mut places = Vec::new();
    // Slot 0, too, because an index that is too large gives it.
    for slot in (0..LIMITS.slots).map(|index| segment.slot(index)) {
        // Half of all writes are to words, because a slot's state decides which of its fields are read.
        places.extend((0..50).map(|_| Place::Word(slot)));
        places
            .extend([&slot.offset, &slot.len, &slot.holds, &slot.deps, &slot.next, &slot.list, &slot.parent].map(Long));
        places.extend([&slot.home, &slot.contained, &slot.touched, &slot.list_home].map(Short));
        places.extend([&slot.refs, &slot.pins, &slot.waiters].map(Set));
        places.extend(slot.contains.iter().chain(&slot.inline).chain(&slot.spec).map(Long));
    }
    for unit in (0..LIMITS.units).map(|index| segment.unit(index)) {
        places.extend((0..20).map(|_| Long(&unit.word)));
        places.extend([&unit.len, &unit.home, &unit.backed].map(Short));
    }
    for seat in (0..SEATS_USED).map(Seat) {
        let desk = segment.desk(seat);
        places.extend(
            [&*desk.tail, &*desk.head, &desk.offer.word, &desk.busy, &desk.current, &desk.interrupted].map(Long),
        );
        places.extend([&desk.bell, &desk.asleep, &desk.leased, &desk.wrote].map(Short));
        places.push(Signed(&desk.countdown));
        places.extend([&desk.strands.tail, &*desk.strands.head, &desk.offer.is_allowed].map(Short));
        places.extend(desk.strands.tasks.iter().map(Long));
        places.extend((0..u64::from(LIMITS.ring)).map(|position| Long(segment.entry(seat, position))));
    }
    let header = segment.header();
    places.extend([&header.slots_fresh, &header.slots_loose, &header.slots_hint, &header.units].map(Short));
    places.extend([&header.unit_bytes, &header.units_hint, &header.arena, &header.clock].map(Short));
    places.extend([&*header.idle, &*header.seeking, &*header.active, &*header.rings].map(Set));
    places.push(Long(segment.hint(0)));
    places
}

/// A value that a process may have written: an id, a word, a count, or anything.
fn value() -> impl Strategy<Value = u64> {
    let id = (0..LIMITS.slots + 2, 0..3_u32).prop_map(|(slot, generation)| Id::new(slot, generation).0);
    let owner = prop::option::of((0..SEATS_USED).prop_map(Seat));
    let state = prop::sample::select(vec![
        State::Free,
        State::Waiting,
        State::Pending,
        State::Running,
        State::Sealed,
        State::Sealed,
        State::Dying,
    ]);
    let word = (0..3_u32, owner, state, any::<u8>()).prop_map(|(generation, owner, state, flags)| {
        Word::new(generation, owner, state, Flags::from_bits_retain(flags)).0
    });
    let unit = (0..8_u64, 0..SEATS_USED, any::<u16>(), 0..3_u64)
        .prop_map(|(state, owner, moves, live)| state << 60 | u64::from(owner) << 48 | u64::from(moves) << 24 | live);
    prop_oneof![
        3 => id,
        6 => word,
        3 => unit,
        2 => 0..20_u64,
        1 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => (0..64_u32).prop_map(|bit| u64::MAX << bit),
        1 => Just(u64::MAX),
        2 => any::<u64>(),
    ]
}

/// An operation that reads the tables, and its arguments.
#[derive(Clone, Debug)]
enum Reads {
    Body(u64),
    Pin(u64, u16),
    Add(u64, u16),
    Hold(u64),
    Unhold(u64),
    Remove(u64, u16),
    Collect(u64),
    Contained(u32),
    Spec(u32),
    Inline(u32, u8),
    Spillable,
    MoveBytes(u64, u64),
    Leaks,
    Waiting,
    Unclosed,
    Bury(u16),
    Audit,
    Claim(u16),
    ClaimAny,
    Quiet,
    Push(u64),
    TakeList(u32),
    TellWaiters(u32),
    Arm(u64, u16),
    Wakes,
    Submit(Vec<u64>),
    GoOn(u64),
    Put(u64),
    Leave(u32),
    Close(u32),
    EndLease(u32),
    TakeEmpty,
    Lease(u32),
    Spill,
}

fn reads() -> impl Strategy<Value = Reads> {
    let id = || prop_oneof![6 => (0..LIMITS.slots, 0..3_u32).prop_map(|(slot, age)| Id::new(slot, age).0), 1 => any::<u64>()];
    let seat = || 0..SEATS_USED;
    let index = || prop_oneof![6 => 0..LIMITS.slots, 1 => any::<u32>(), 1 => Just(u32::MAX)];
    prop_oneof![
        1 => id().prop_map(Reads::Body),
        1 => (id(), seat()).prop_map(|(id, seat)| Reads::Pin(id, seat)),
        1 => (id(), seat()).prop_map(|(id, seat)| Reads::Add(id, seat)),
        1 => id().prop_map(Reads::Hold),
        1 => id().prop_map(Reads::Unhold),
        1 => (id(), seat()).prop_map(|(id, seat)| Reads::Remove(id, seat)),
        3 => id().prop_map(Reads::Collect),
        1 => index().prop_map(Reads::Contained),
        1 => index().prop_map(Reads::Spec),
        1 => (index(), any::<u8>()).prop_map(|(index, len)| Reads::Inline(index, len)),
        1 => Just(Reads::Spillable),
        1 => (id(), value()).prop_map(|(id, place)| Reads::MoveBytes(id, place)),
        1 => Just(Reads::Leaks),
        1 => Just(Reads::Waiting),
        2 => Just(Reads::Unclosed),
        4 => (1..SEATS_USED).prop_map(Reads::Bury),
        4 => Just(Reads::Audit),
        2 => seat().prop_map(Reads::Claim),
        1 => Just(Reads::ClaimAny),
        1 => Just(Reads::Quiet),
        1 => id().prop_map(Reads::Push),
        2 => index().prop_map(Reads::TakeList),
        1 => index().prop_map(Reads::TellWaiters),
        1 => (id(), seat()).prop_map(|(id, seat)| Reads::Arm(id, seat)),
        1 => Just(Reads::Wakes),
        1 => prop::collection::vec(id(), 0..4).prop_map(Reads::Submit),
        1 => id().prop_map(Reads::GoOn),
        1 => value().prop_map(Reads::Put),
        1 => index().prop_map(Reads::Leave),
        1 => index().prop_map(Reads::Close),
        1 => index().prop_map(Reads::EndLease),
        1 => Just(Reads::TakeEmpty),
        1 => index().prop_map(Reads::Lease),
        1 => Just(Reads::Spill),
    ]
}

/// A segment with some objects and tasks in it.
fn segment(has_arena: bool) -> Arc<Segment> {
    static ARENA: OnceLock<(Region, Arc<Arena>)> = OnceLock::new();
    let (region, arena) = ARENA.get_or_init(|| {
        let (region, _) = Region::create(Some(256 << 10), None, None).unwrap();
        let file = region.file().try_clone_to_owned().unwrap();
        let arena = Arena::open(file, region.reader().unwrap(), region.len(), region.unit_bytes(), false).unwrap();
        (region, Arc::new(arena))
    });
    let segment = Segment::stand_in(LIMITS);
    let header = segment.header();
    header.units.store(LIMITS.units, Ordering::Relaxed);
    header.unit_bytes.store(region.unit_bytes() as u32, Ordering::Relaxed);
    if has_arena {
        segment.set_arena(Arc::clone(arena));
    }
    let segment = Arc::new(segment);
    assert!((0..SEATS_USED).all(|seat| segment.header().taken.add(Seat(seat))));
    let mut alice = Leases::new(Arc::clone(&segment), Seat(1));
    let small = alice.slot().unwrap();
    let small = segment.seal(alice.seat, small, Flags::empty(), 8).unwrap();
    let (large, space) = (alice.slot().unwrap(), alice.space(200).unwrap());
    let slot = segment.slot(large);
    slot.offset.store(space.offset, Ordering::Relaxed);
    slot.len.store(200, Ordering::Relaxed);
    slot.home.store(space.home, Ordering::Relaxed);
    assert!(segment.hold(small));
    segment.set_contained(large, &[small], None);
    segment.seal(alice.seat, large, Flags::ARENA | Flags::CONTAINS, 0).unwrap();
    let mut waits_for = None;
    for _ in 0..3 {
        let mut spec = Spec::new(1, 1);
        assert!(spec.push(Arg::Object(waits_for.unwrap_or(small)), 0));
        assert!(segment.hold(waits_for.unwrap_or(small)));
        let slot = alice.slot().unwrap();
        segment.write_spec(slot, &spec);
        let (task, readiness) = segment.submit(&alice, slot, &spec, &mut Vec::new()).unwrap();
        assert!(readiness == Readiness::Listed || segment.push(&alice, task));
        waits_for = Some(task);
    }
    segment
}

/// Whether the object is dying with an owner that exists, for which a reader rightly waits.
fn is_waited_for(segment: &Segment, id: Id) -> bool {
    let word = segment.slot(id.slot()).word();
    word.state() == State::Dying && word.owner().is_some_and(|by| segment.header().taken.has(by))
}

fn read(segment: &Segment, head: &mut Leases, bob: &mut Leases, reads: Reads) {
    let mut leftovers = Leftovers::default();
    match reads {
        Reads::Body(id) | Reads::Pin(id, _) | Reads::Add(id, _) | Reads::Hold(id) if is_waited_for(segment, Id(id)) => {
            assert_eq!(segment.body_now(Id(id)), None);
        }
        Reads::Body(id) => {
            if let Some(Body::Inline { len }) = segment.body(Id(id)) {
                assert!(len <= INLINE_BYTES as u64);
            }
        }
        Reads::Pin(id, seat) => drop(segment.pin(Id(id), Seat(seat))),
        Reads::Add(id, seat) => _ = segment.add(Id(id), Kind::Ref, Seat(seat)),
        Reads::Hold(id) => _ = segment.hold(Id(id)),
        Reads::Unhold(id) => _ = segment.unhold(Id(id)),
        Reads::Remove(id, seat) => segment.remove(Id(id), Kind::Pin, Seat(seat)),
        Reads::Collect(id) => segment.collect(bob, vec![Id(id)], &mut leftovers),
        Reads::Contained(index) => drop(segment.contained(segment.slot(index))),
        Reads::Spec(index) => {
            let spec = segment.read_spec(index);
            assert!(spec.args().count() <= ARGS_MAX && spec.objects().count() <= spec.args().count());
            let bytes = |arg| if let Arg::Bytes(bytes) = arg { bytes.len() } else { 8 };
            assert!(spec.args().map(bytes).all(|len| len <= 8 * super::layout::SPEC_WORDS));
        }
        Reads::Inline(index, len) => segment.read_inline(index, len.into(), &mut [0; INLINE_BYTES]),
        Reads::Spillable => drop(segment.spillable()),
        Reads::MoveBytes(id, place) => {
            let space = Space { offset: place, home: place as u32, fresh: None, closed: None };
            segment.move_bytes(Id(id), Body::Arena { offset: place, len: place }, Some(space));
        }
        Reads::Leaks => drop(segment.leaks()),
        Reads::Waiting => drop(segment.waiting()),
        Reads::Unclosed => drop(segment.unclosed()),
        Reads::Bury(seat) => {
            let estate = segment.bury(Seat(seat), Keep::Nothing);
            segment.collect(head, estate.loose, &mut leftovers);
        }
        Reads::Audit => _ = segment.audit(head, &mut leftovers),
        Reads::Claim(of) => _ = segment.claim(Seat(of), bob.seat),
        Reads::ClaimAny => _ = segment.claim_any(bob.seat),
        Reads::Quiet => _ = segment.quiet(),
        Reads::Push(id) => _ = segment.push(bob, Id(id)),
        Reads::TakeList(index) => assert!(segment.take_list(index).len() <= LIMITS.slots as usize + 1),
        Reads::TellWaiters(index) => _ = segment.tell_waiters(index),
        Reads::Arm(id, seat) => _ = segment.arm(Id(id), Seat(seat)),
        Reads::Wakes => {
            segment.work_came();
            segment.work_left();
            segment.ring_all();
        }
        Reads::Submit(objects) => {
            let mut spec = Spec::new(2, 2);
            assert!(objects.into_iter().all(|id| spec.push(Arg::Object(Id(id)), 0)));
            if let Ok(slot) = bob.slot() {
                segment.write_spec(slot, &spec);
                let _ = segment.submit(bob, slot, &spec, &mut Vec::new());
            }
        }
        Reads::GoOn(id) => {
            let spec = segment.read_spec(Id(id).slot());
            let mut late = Vec::new();
            let _ = segment.ready_or_listed(Id(id), &spec, bob.seat, &mut late);
            assert!(late.len() <= (LIMITS.slots as usize + 1) * ARGS_MAX);
        }
        Reads::Put(len) => {
            if let (Ok(slot), Ok(space)) = (bob.slot(), bob.space(len)) {
                segment.slot(slot).home.store(space.home, Ordering::Relaxed);
                segment.step(slot, |word, by| word.after(Step::Draft { by }), bob.seat);
                let _ = segment.seal(bob.seat, slot, Flags::ARENA, 0);
                bob.close_lease();
            }
        }
        Reads::Leave(home) => segment.leave(bob.seat, home),
        Reads::Close(home) => segment.close(bob.seat, home),
        Reads::EndLease(home) => segment.end_lease(bob.seat, home),
        Reads::TakeEmpty => segment.take_empty_leases(Seat::HEAD),
        Reads::Lease(len) => {
            if let Some(run) = segment.lease(bob.seat, len) {
                assert!(run.first + run.len <= LIMITS.units);
            }
        }
        Reads::Spill => {
            let mut spill = Spill::new(std::env::temp_dir().join("never made"));
            spill.keep_what_is_had(segment);
        }
    }
}

/// Does work that must end soon. Work that does not end is reported, and not waited for.
fn ends(work: impl FnOnce() + Send + 'static) -> Result<(), TestCaseError> {
    let (done, is_done) = channel();
    let thread = std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match is_done.recv_timeout(PATIENCE) {
        Ok(()) => Ok(()),
        Err(RecvTimeoutError::Timeout) => Err(TestCaseError::fail("it does not end")),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err(TestCaseError::fail("it ended without an end")),
        },
    }
}

/// Bounds the shrinking, because each history that does not end takes long.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: 8 * default.cases, max_shrink_time: 60_000, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_written_over_the_tables_everybody_who_reads_them_goes_on(
        has_arena in any::<bool>(),
        writes in prop::collection::vec((any::<prop::sample::Index>(), value()), 0..30),
        all in prop::collection::vec(reads(), 1..12),
    ) {
        ends(move || {
            let segment = segment(has_arena);
            {
                let places = places(&segment);
                writes.iter().for_each(|(place, value)| place.get(&places).write(*value));
            }
            let mut head = Leases::new(Arc::clone(&segment), Seat::HEAD);
            let mut bob = Leases::new(Arc::clone(&segment), Seat(2));
            for reads in all {
                read(&segment, &mut head, &mut bob, reads);
            }
        })?;
    }

    #[test]
    fn lists_that_lead_in_circles_or_nowhere_end(
        links in prop::collection::vec((0..LIMITS.slots + 1, 0..3_u32), LIMITS.slots as usize),
        first in any::<u64>(),
        is_sealed in any::<bool>(),
    ) {
        let segment = segment(false);
        for (index, (slot, generation)) in (0..).zip(links) {
            segment.slot(index).next.store(Id::new(slot, generation).0, Ordering::Relaxed);
            let word = Word::new(0, Some(Seat(1)), if is_sealed { State::Sealed } else { State::Running }, Flags::empty());
            Place::Word(segment.slot(index)).write(word.0);
            segment.slot(index).deps.store(if index == 1 { first } else { Id::new(slot, 0).0 }, Ordering::Relaxed);
        }
        prop_assert!(segment.take_list(1).len() <= LIMITS.slots as usize + 1);
        let at_most = (LIMITS.slots as usize + 1) * LIMITS.slots as usize;
        prop_assert!(segment.unclosed().len() <= at_most);
    }

    #[test]
    fn the_two_ends_of_a_ring_may_be_anywhere(head in any::<u64>(), tail in any::<u64>(), near in 0..4_u64, entries in any::<[u64; 2]>()) {
        ends(move || {
            for tail in [tail, head.wrapping_add(near), head.wrapping_sub(near)] {
                let segment = segment(false);
                let desk = segment.desk(Seat(3));
                desk.head.store(head, Ordering::Relaxed);
                desk.tail.store(tail, Ordering::Relaxed);
                (0..).zip(entries).for_each(|(at, entry)| segment.entry(Seat(3), at).store(entry, Ordering::Relaxed));
                segment.header().rings.add(Seat(3));
                while segment.claim_any(Seat(2)).is_some() {}
                assert!(segment.quiet(), "there is nothing left to take");
            }
        })?;
    }

    #[test]
    fn whatever_is_said_of_free_slots_nobody_is_given_one_that_is_none(
        hint in any::<u64>(),
        header in any::<[u32; 3]>(),
        fresh in prop_oneof![0..LIMITS.slots + 2, any::<u32>()],
    ) {
        let segment = Arc::new(Segment::stand_in(LIMITS));
        let places = [&segment.header().slots_loose, &segment.header().slots_hint, &segment.header().units_hint];
        places.into_iter().zip(header).for_each(|(place, value)| place.store(value, Ordering::Relaxed));
        segment.header().slots_fresh.store(fresh, Ordering::Relaxed);
        segment.hint(0).store(hint, Ordering::Relaxed);
        let mut alice = Leases::new(Arc::clone(&segment), Seat(1));
        let mut given: Vec<u32> = std::iter::from_fn(|| alice.slot().ok()).take(2 * LIMITS.slots as usize).collect();
        prop_assert!(given.iter().all(|index| (1..LIMITS.slots).contains(index)));
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        prop_assert_eq!(given.len(), count, "none is given twice");
    }

    #[test]
    fn any_bits_are_a_word_and_a_unit(bits in any::<u64>(), by in 0..300_u16, flags in any::<u8>()) {
        let (word, unit, by) = (Word(bits), UnitWord(bits), Seat(by));
        let _ = (format!("{word:?} {unit:?}"), word.is_task(), word.is_sealed(), unit.state(), unit.live());
        let flags = Flags::from_bits_retain(flags);
        let steps = [
            Step::Lease { by },
            Step::Return { by },
            Step::Draft { by },
            Step::Discard { by },
            Step::Seal { by, flags, len: 1 },
            Step::Submit { by, flags, waits: true },
            Step::Wake { by },
            Step::Adopt { by },
            Step::Claim { by },
            Step::Retry { by },
            Step::Abandon,
            Step::Finish { by, flags, len: 1 },
            Step::Fail,
            Step::Cancel,
            Step::Condemn { by },
            Step::Spare { by },
            Step::Strip { by },
            Step::Free { by },
            Step::Move { by, flags },
        ];
        for step in steps {
            if let Some(next) = word.after(step) {
                let is_freed = matches!(step, Step::Free { .. });
                prop_assert_eq!(next.generation(), word.generation().wrapping_add(is_freed.into()), "{:?}", step);
            }
        }
    }
}
