//! Fairness among the sessions of a runtime: whose tasks of shapes come next.
//!
//! ```text
//!   account of a session = CPU time of its tasks of shapes ÷ its share          the lowest account comes next
//! ```
//!
//! So a session with ten thousand tasks in a queue holds up no other one, and neither does one whose tasks are long. A turn costs a little
//! even if it takes no time: tasks that take no CPU are served in turn.
//!
//! # Invariants
//! - A session that had nothing to run for a while is not let in front of the others for that: its account begins where the one is that
//!   was served last.
//! - What a session has had more than the others is forgotten beyond [`DEBT_MAX`] once it has nothing to run.

use super::resources::UNIT;
use crate::protocol::SessionId;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a turn costs besides the CPU time that it takes, in nanoseconds.
const TURN: u64 = 100_000;

/// How far the account of a session that comes again may be ahead of that of the one that was served last, in nanoseconds.
const DEBT_MAX: u64 = 1_000_000_000;

/// The sessions whose tasks have a shape, and those with a share.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    by_session: BTreeMap<SessionId, Account>,
    /// The account of the session that was served last, when it was.
    served_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    share: u32,
    /// Nanoseconds of a CPU, for each share.
    had: u64,
}

impl Accounts {
    /// A session is there, with this share.
    pub fn join(&mut self, session: SessionId, share: u32) {
        self.by_session.insert(session, Account { share: share.max(1), had: self.served_at });
    }

    /// A session is gone.
    pub fn leave(&mut self, session: SessionId) {
        self.by_session.remove(&session);
    }

    /// A session had no task that waits, and has one now.
    pub fn comes(&mut self, session: SessionId) {
        let at = self.served_at;
        let account = self.by_session.entry(session).or_insert(Account { share: 1, had: at });
        account.had = account.had.clamp(at, at.saturating_add(DEBT_MAX));
    }

    /// A task of a session is run.
    pub fn serve(&mut self, session: SessionId) {
        let Some(account) = self.by_session.get_mut(&session) else { return };
        self.served_at = self.served_at.max(account.had);
        account.had = account.had.saturating_add(TURN / u64::from(account.share));
    }

    /// A task of a session has had this much CPU, in units, for so long.
    pub fn charge(&mut self, session: SessionId, cpu_units: i64, time: Duration) {
        let Some(account) = self.by_session.get_mut(&session) else { return };
        let cost =
            time.as_nanos().saturating_mul(cpu_units.max(0) as u128) / (UNIT as u128 * u128::from(account.share));
        account.had = account.had.saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
    }

    /// Whether a choice among sessions is to be made at all.
    pub fn are_several(&self) -> bool {
        self.by_session.len() > 1
    }

    /// The account of a session: the lowest comes next.
    pub fn had(&self, session: SessionId) -> u64 {
        self.by_session.get(&session).map_or(0, |account| account.had)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALICE: SessionId = SessionId(1);
    const BOB: SessionId = SessionId(2);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_session_that_comes_late_owes_nothing_and_is_owed_nothing() {
        let mut accounts = Accounts::default();
        for _ in 0..100 {
            accounts.comes(ALICE);
            accounts.serve(ALICE);
            accounts.charge(ALICE, UNIT, SECOND);
        }
        accounts.comes(BOB);
        assert!(accounts.had(BOB) < accounts.had(ALICE));
        assert!(accounts.had(ALICE) - accounts.had(BOB) <= 2 * DEBT_MAX, "a hundred seconds are forgotten");
    }

    #[test]
    fn a_session_of_two_shares_may_have_twice_as_much() {
        let mut accounts = Accounts::default();
        accounts.join(ALICE, 2);
        accounts.join(BOB, 1);
        let mut had = [0; 2];
        for _ in 0..300 {
            let next = if accounts.had(ALICE) <= accounts.had(BOB) { ALICE } else { BOB };
            accounts.serve(next);
            accounts.charge(next, UNIT, SECOND);
            had[usize::from(next == BOB)] += 1;
        }
        assert_eq!(had, [200, 100]);
    }

    #[test]
    fn tasks_without_a_cpu_are_served_in_turn() {
        let mut accounts = Accounts::default();
        [ALICE, BOB].into_iter().for_each(|session| accounts.comes(session));
        accounts.serve(ALICE);
        accounts.charge(ALICE, 0, SECOND);
        assert!(accounts.had(ALICE) > accounts.had(BOB));
        accounts.serve(BOB);
        assert_eq!(accounts.had(ALICE), accounts.had(BOB));
    }
}
