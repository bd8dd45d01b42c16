//! The objects that are kept back so that a twin from before a cell can undo it, or why none can.

use super::elsewhere::elsewhere;
use super::state::State;
use super::{Client, current};
use crate::store::{Body, Flags};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many objects are looked at. More take time that a person notices.
const LOOKED_AT_MAX: usize = 10_000;

/// Addresses: of the client and of the other engine with which the cell began.
static BEGAN_WITH: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

fn here() -> [usize; 2] {
    let client = current().map_or(0, |client| ptr::from_ref(client).addr());
    [client, elsewhere().map_or(0, |elsewhere| ptr::from_ref(elsewhere).addr())]
}

/// Notes where the calls of the cell that begins go.
pub(super) fn begin() {
    BEGAN_WITH.iter().zip(here()).for_each(|(before, now)| before.store(now, Ordering::Relaxed));
}

/// How many bytes of the store are kept back for a twin from before the cells that are not final; `None`: there is no such object.
///
/// # Errors
/// Why these cells cannot be undone, as the end of a sentence: what they gave back has done something when it went, or would have.
pub fn held_back() -> Result<Option<u64>, &'static str> {
    if BEGAN_WITH.iter().zip(here()).any(|(before, now)| before.load(Ordering::Relaxed) != now) {
        return Err("it joined a runtime, or left one");
    }
    if elsewhere().is_some_and(|elsewhere| elsewhere.keeps_back()) {
        return Err("it gave back objects of the cluster");
    }
    current().map_or(Ok(None), |client: &Client| client.state().held_back())
}

impl State {
    fn held_back(&self) -> Result<Option<u64>, &'static str> {
        if self.handles.has_forgotten() {
            return Err("it shut the runtime down");
        }
        let segment = &self.leases.segment;
        let mut bytes = None;
        for (at, id) in self.handles.kept_back().enumerate() {
            if at == LOOKED_AT_MAX {
                return Err("it gave back very many objects");
            }
            let word = segment.slot(id.slot()).word();
            // The end of an actor, of a task that nobody waits for, and of what other objects keep: those are seen outside.
            let Some(body) = segment.body_now(id) else { return Err("it gave back what had not ended") };
            if word.flags().intersects(Flags::ACTOR | Flags::CONTAINS) {
                return Err("it gave back an actor, a stream, or an object with references");
            }
            *bytes.get_or_insert(0) += match body {
                Body::Arena { len, .. } | Body::Spilled { len, .. } | Body::Inline { len } => len,
                Body::Failed => 0,
            };
        }
        Ok(bytes)
    }
}
