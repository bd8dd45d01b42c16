//! Random histories of units, against a model in which each unit has one owner.

use super::world::LIMITS;
use crate::store::units::UnitWord;
use crate::store::{Keep, Run, Seat, Segment, UnitState};
use crate::sync::Ordering;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Lease {
        by: u16,
        len: u32,
    },
    SettleIn(u8),
    MoveWithin(u8),
    /// The count of moves becomes so high that the next move wraps it around.
    Ages(u8),
    Leave(u8),
    Close(u8),
    /// The owner closes a lease and dies before it gives the lease back.
    CloseAndDie(u8),
    /// A process dies while it takes a lease: units are taken, and some of them are parts.
    LeaseAndDie {
        by: u16,
        len: u32,
        parts: u32,
    },
    TakeEmpty,
    Dies(u16),
}

/// A lease in the model.
#[derive(Clone, Debug)]
struct Lease {
    run: Run,
    by: Seat,
    is_open: bool,
    live: u64,
}

struct Arena {
    segment: Segment,
    leases: Vec<Lease>,
}

impl Arena {
    fn new() -> Arena {
        let segment = Segment::stand_in(LIMITS);
        segment.header().units.store(LIMITS.units, Ordering::Relaxed);
        Arena { segment, leases: Vec::new() }
    }

    fn pick(&mut self, number: u8) -> Option<(usize, Lease)> {
        let place = usize::from(number).checked_rem(self.leases.len())?;
        Some((place, self.leases[place].clone()))
    }

    fn longest_free_run(&self) -> u32 {
        let is_free = |unit: u32| {
            !self.leases.iter().any(|lease| (lease.run.first..lease.run.first + lease.run.len).contains(&unit))
        };
        let mut run = 0;
        (0..LIMITS.units)
            .map(|unit| {
                run = if is_free(unit) { run + 1 } else { 0 };
                run
            })
            .max()
            .unwrap()
    }

    fn lease(&mut self, by: Seat, len: u32) -> Option<Run> {
        let fits = len <= self.longest_free_run();
        let run = self.segment.lease(by, len);
        assert_eq!(run.is_some(), fits, "a run of {len}");
        run
    }

    fn dies(&mut self, by: Seat) {
        self.segment.bury(by, Keep::Nothing);
        self.leases.iter_mut().filter(|lease| lease.by == by).for_each(|lease| lease.is_open = false);
        self.end_empty();
    }

    /// Removes closed, empty leases, which have been given back.
    fn end_empty(&mut self) {
        self.leases.retain(|lease| lease.is_open || lease.live > 0);
    }

    fn acts(&mut self, act: Act) {
        match act {
            Act::Lease { by, len } => {
                if let Some(run) = self.lease(Seat(by), len) {
                    self.leases.push(Lease { run, by: Seat(by), is_open: true, live: 0 });
                }
            }
            Act::SettleIn(number) => {
                let Some((place, lease)) = self.pick(number) else { return };
                let before = self.segment.unit(lease.run.first).settle_in(lease.by);
                assert_eq!(before, lease.is_open.then_some(lease.live));
                self.leases[place].live += u64::from(lease.is_open);
            }
            Act::MoveWithin(number) => {
                // Also in units that are in no lease any more.
                self.segment.move_within(u32::from(number) % LIMITS.units);
            }
            Act::Ages(number) => {
                let Some((_, lease)) = self.pick(number) else { return };
                self.segment.unit(lease.run.first).word.fetch_or(0xff_ffff << 24, Ordering::Relaxed);
            }
            Act::Leave(number) => {
                let Some((place, lease)) = self.pick(number) else { return };
                self.segment.leave(Seat(9), lease.run.first);
                self.leases[place].live = lease.live.saturating_sub(1);
                self.end_empty();
            }
            Act::Close(number) => {
                let Some((place, lease)) = self.pick(number) else { return };
                self.segment.close(lease.by, lease.run.first);
                self.leases[place].is_open = false;
                self.end_empty();
            }
            Act::CloseAndDie(number) => {
                let Some((place, lease)) = self.pick(number) else { return };
                let unit = self.segment.unit(lease.run.first);
                unit.word.store(4 << 60 | lease.live, Ordering::Relaxed);
                self.leases[place].is_open = false;
                // As the audit does.
                self.segment.end_lease(Seat::HEAD, lease.run.first);
                self.dies(lease.by);
            }
            Act::LeaseAndDie { by, len, parts } => {
                let Some(run) = self.lease(Seat(by), len) else { return };
                let taken = 1 << 60 | u64::from(by) << 48;
                self.segment.unit(run.first).word.store(taken, Ordering::Relaxed);
                for index in run.first + 1 + parts.min(run.len - 1)..run.first + run.len {
                    self.segment.unit(index).word.store(taken, Ordering::Relaxed);
                }
                self.dies(Seat(by));
            }
            Act::TakeEmpty => {
                self.segment.take_empty_leases(Seat::HEAD);
                self.leases.retain(|lease| !lease.is_open || lease.live > 0);
            }
            Act::Dies(by) => self.dies(Seat(by)),
        }
    }

    fn check(&self) {
        let mut states = vec![UnitState::Free; LIMITS.units as usize];
        for lease in &self.leases {
            let (first, len) = (lease.run.first as usize, lease.run.len as usize);
            states[first..first + len].fill(UnitState::Part);
            states[first] = if lease.is_open { UnitState::Open(lease.by) } else { UnitState::Closed };
            assert_eq!(self.segment.unit(lease.run.first).state().live(), lease.live, "{lease:?}");
        }
        let seen: Vec<UnitState> = (0..LIMITS.units).map(|index| self.segment.unit(index).state().state()).collect();
        assert_eq!(seen, states);
        assert_eq!(self.segment.longest_free_run(), self.longest_free_run());
    }
}

fn act() -> impl Strategy<Value = Act> {
    let by = || 1..4_u16;
    prop_oneof![
        6 => (by(), 1..8_u32).prop_map(|(by, len)| Act::Lease { by, len }),
        6 => any::<u8>().prop_map(Act::SettleIn),
        2 => any::<u8>().prop_map(Act::MoveWithin),
        1 => any::<u8>().prop_map(Act::Ages),
        6 => any::<u8>().prop_map(Act::Leave),
        4 => any::<u8>().prop_map(Act::Close),
        1 => any::<u8>().prop_map(Act::CloseAndDie),
        1 => (by(), 1..8_u32, 0..8_u32).prop_map(|(by, len, parts)| Act::LeaseAndDie { by, len, parts }),
        1 => Just(Act::TakeEmpty),
        1 => by().prop_map(Act::Dies),
    ]
}

proptest! {
    #[test]
    fn a_unit_has_one_owner_and_is_free_when_it_has_none(acts in prop::collection::vec(act(), 0..80)) {
        let mut arena = Arena::new();
        for act in acts {
            arena.acts(act);
            arena.check();
        }
        (1..4).for_each(|by| arena.dies(Seat(by)));
        for lease in std::mem::take(&mut arena.leases) {
            (0..lease.live).for_each(|_| arena.segment.leave(Seat(9), lease.run.first));
        }
        prop_assert_eq!(arena.segment.lease(Seat(1), LIMITS.units), Some(Run { first: 0, len: LIMITS.units }));
    }

    #[test]
    fn a_unit_counts_what_lives_in_it_and_nothing_else(word in any::<u64>(), live in 0..1_u64 << 24) {
        let word = UnitWord(word);
        prop_assert_eq!((word.with_live(live).live(), word.with_live(live).state()), (live, word.state()));
    }
}

#[test]
fn what_is_said_to_be_nowhere_is_nobodys_end() {
    let segment = Segment::stand_in(LIMITS);
    segment.header().units.store(LIMITS.units, Ordering::Relaxed);
    let run = segment.lease(Seat(1), 2).unwrap();
    // An index that is too large gives the last unit.
    segment.unit(u32::MAX).word.store(4 << 60 | 1, Ordering::Relaxed);
    segment.leave(Seat(1), u32::MAX);
    assert_eq!(
        (segment.unit(run.first).state().state(), segment.units_free()),
        (UnitState::Open(Seat(1)), LIMITS.units - 2)
    );
}
