//! What a client knows, behind its one lock. Nothing here blocks.

use super::{Fallible, refused};
use crate::abi::{Cause, View};
use crate::local::handles::{Handles, News};
use crate::local::memory::{Aligned, Cached, Draft, Hold, Tokens};
use crate::protocol::{Body, ClientId, Extent, Known, ObjectId, Payload, ResultFrame, ToHead, encode};
use crate::store::Mapping;
use std::collections::HashMap;
use std::sync::Arc;

/// What is not urgent is sent when this many bytes of it have gathered.
const UNSENT_BYTES_MAX: usize = 16 << 10;

/// And this many references.
const UNSENT_IDS_MAX: usize = 1024;

/// Lists no longer than this are searched for a reference that a new one takes back.
const TAKEN_BACK_MAX: usize = 16;

/// What a client knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub handles: Handles,
    pub drafts: Tokens<Draft>,
    pub holds: Tokens<Hold>,
    /// Tasks being run, with what they have returned so far.
    pub calls: HashMap<u64, Outcome>,
    pub object_next: u64,
    pub request_next: u64,
    /// The cell that runs here, or that started the task that runs here.
    pub cell: u64,
    /// Whether an interrupt of the cell ends waiting here.
    pub is_interruptible: bool,
    /// Encoded messages.
    out: Vec<u8>,
    /// References to be reported after `out`; of the two lists at most one has something.
    retained: Vec<ObjectId>,
    released: Vec<ObjectId>,
}

/// What a task has returned so far.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub results: Vec<Option<ResultFrame>>,
    pub failure: Option<Cause>,
}

impl State {
    /// Names for `count` new objects, which follow each other. Gives the first.
    pub fn new_ids(&mut self, client: ClientId, count: u32) -> Fallible<ObjectId> {
        let last = self.object_next + u64::from(count.max(1)) - 1;
        let first = ObjectId::new(client, self.object_next);
        let (Some(first), Some(_)) = (first, ObjectId::new(client, last)) else {
            return Err(refused("this process has no names left for objects".into()));
        };
        self.object_next = last + 1;
        Ok(first)
    }

    /// Makes a draft an object of this process's.
    pub fn seal(&mut self, id: ObjectId, draft: Draft, contains: Vec<ObjectId>) -> Fallible<()> {
        let (body, known) = match draft {
            Draft::Private(private) => {
                (Body::Inline(Payload::copy_of(private.bytes())), Cached::Copy(Arc::new(private)))
            }
            Draft::Shared(extent) => (Body::Shared(extent), Cached::Shared(extent)),
        };
        self.queue(&ToHead::Seal { id, body, contains })?;
        self.handles.insert(id, Some(known));
        Ok(())
    }

    /// A view of a copy.
    pub fn view_copy(&mut self, copy: Arc<Aligned>) -> View {
        let (ptr, len) = (copy.ptr(), copy.bytes().len() as u64);
        View { ptr, len, hold: self.holds.insert(Hold::Copy { _bytes: copy }) }
    }

    /// A view of an object in the store. What keeps it is a reference that this process has already.
    pub fn view_shared(&mut self, mapping: &Mapping, id: ObjectId, extent: Extent) -> Option<View> {
        let ptr = mapping.pointer(extent)?;
        Some(View { ptr, len: extent.len, hold: self.holds.insert(Hold::Object(id)) })
    }

    /// Queues what the head must hear about a reference.
    pub fn report(&mut self, id: ObjectId, news: News) {
        match news {
            News::None => {}
            News::Retain if take_back(&mut self.released, id) => {}
            News::Release { .. } if take_back(&mut self.retained, id) => {}
            News::Retain => {
                if !self.released.is_empty() {
                    self.settle();
                }
                self.retained.push(id);
            }
            News::Release { .. } => {
                if !self.retained.is_empty() {
                    self.settle();
                }
                self.released.push(id);
            }
        }
    }

    /// Queues a message behind everything that was queued before.
    ///
    /// # Errors
    /// It is too long for a frame.
    pub fn queue(&mut self, message: &ToHead) -> Fallible<()> {
        self.settle();
        encode(message, &mut self.out).map_err(|error| refused(error.to_string()))
    }

    /// Queues a message of which it is known that it is short.
    pub fn queue_short(&mut self, message: &ToHead) {
        self.settle();
        self.append(message);
    }

    /// Takes everything that is queued, in exchange for an empty buffer.
    pub fn take_queued(&mut self, buffer: &mut Vec<u8>) {
        self.settle();
        std::mem::swap(&mut self.out, buffer);
    }

    /// Forgets everything that is queued.
    pub fn unsay(&mut self) {
        self.out.clear();
        self.retained.clear();
        self.released.clear();
    }

    /// Whether it is time to send what is not urgent.
    pub fn is_due(&self) -> bool {
        self.out.len() >= UNSENT_BYTES_MAX || self.retained.len() + self.released.len() >= UNSENT_IDS_MAX
    }

    /// Encodes the references that wait to be reported.
    fn settle(&mut self) {
        for ids in std::mem::take(&mut self.retained).chunks(UNSENT_BYTES_MAX) {
            self.append(&ToHead::Retain { ids: ids.to_vec() });
        }
        for ids in std::mem::take(&mut self.released).chunks(UNSENT_BYTES_MAX) {
            self.append(&ToHead::Release { ids: ids.to_vec() });
        }
    }

    fn append(&mut self, message: &ToHead) {
        if let Err(error) = encode(message, &mut self.out) {
            tracing::error!(%error, "message not sent");
        }
    }
}

/// Removes the latest mention of `id`, if it is among the last ones: the head need never hear of either.
fn take_back(unsent: &mut Vec<ObjectId>, id: ObjectId) -> bool {
    let recent = unsent.len().saturating_sub(TAKEN_BACK_MAX);
    match unsent[recent..].iter().rposition(|other| *other == id) {
        Some(place) => {
            unsent.remove(recent + place);
            true
        }
        None => false,
    }
}

/// What is remembered of what the head knows.
pub(super) fn cached(known: Known) -> Cached {
    match known {
        Known::Ready(Body::Inline(payload)) => Cached::Copy(Arc::new(Aligned::copy_of(&payload.0))),
        Known::Ready(Body::Shared(extent)) => Cached::Shared(extent),
        Known::Failed(failure) => Cached::Failed(Arc::new(*failure)),
    }
}
