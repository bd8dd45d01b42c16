//! Objects: drafts, bytes and references.

use super::state::cached;
use super::{Client, Fallible, no_draft, nonsense};
use crate::abi::{Failure, Fault, View};
use crate::local::handles::News;
use crate::local::memory::{Aligned, Cached, Draft, Hold};
use crate::protocol::{Extent, INLINE_BYTES_MAX, ObjectId, ToClient, ToHead};

impl Client {
    /// Makes a draft of `len` bytes and says where to write.
    ///
    /// # Errors
    /// [`Fault::StoreFull`], [`Fault::Disconnected`].
    pub fn create(&self, len: u64) -> Fallible<(u64, *mut u8)> {
        if len <= INLINE_BYTES_MAX {
            let mut private = Aligned::zeroed(len as usize);
            let ptr = private.mut_ptr();
            return Ok((self.state().drafts.insert(Draft::Private(private)), ptr));
        }
        let (extent, backed) = match self.ask(|req| ToHead::Alloc { req, size: len })? {
            ToClient::Granted { offset, backed, .. } => (Extent { offset, len }, backed),
            ToClient::Refused { fault, .. } => return Err(fault.into()),
            _ => return Err(nonsense()),
        };
        let (info, mapping) = self.inbox.region();
        let reserved = if backed { Ok(()) } else { mapping.reserve(extent) };
        let ptr = mapping.pointer(extent).ok_or_else(nonsense);
        match (reserved, ptr) {
            (Ok(()), Ok(ptr)) => Ok((self.state().drafts.insert(Draft::Shared(extent)), ptr)),
            (reserved, ptr) => {
                self.state().queue_short(&ToHead::Abort { offset: extent.offset });
                self.flush();
                let Err(error) = reserved else { return Err(ptr.err().unwrap_or_else(nonsense)) };
                let detail = format!("{error}; {}", mapping.room());
                Err(Fault::StoreFull { needed: len, used: extent.offset, limit: info.len, detail }.into())
            }
        }
    }

    /// Makes a draft an object, to which the caller has one reference.
    ///
    /// # Errors
    /// No such draft.
    pub fn seal(&self, draft: u64, contains: Vec<ObjectId>) -> Fallible<ObjectId> {
        let mut state = self.state();
        let draft = state.drafts.remove(draft).ok_or_else(no_draft)?;
        let id = state.new_ids(self.id, 1)?;
        state.seal(id, draft, contains)?;
        self.flush_if_due(state);
        Ok(id)
    }

    /// Throws a draft away.
    pub fn discard(&self, draft: u64) {
        let mut state = self.state();
        if let Some(Draft::Shared(extent)) = state.drafts.remove(draft) {
            state.queue_short(&ToHead::Abort { offset: extent.offset });
        }
    }

    /// Opens a finished object's bytes.
    ///
    /// # Errors
    /// [`Fault::Task`], [`Fault::NotReady`], [`Fault::Unknown`], [`Fault::Disconnected`].
    pub fn open(&self, id: ObjectId) -> Fallible<View> {
        let known = self.state().handles.cached(id).cloned();
        let known = match known {
            None | Some(Cached::Finished) => match self.ask(|req| ToHead::Open { req, id })? {
                ToClient::Opened { known, .. } => cached(known?),
                _ => return Err(nonsense()),
            },
            Some(known) => known,
        };
        let mut state = self.state();
        state.handles.remember(id, known.clone());
        match known {
            Cached::Copy(copy) => Ok(state.view_copy(copy)),
            Cached::Shared(extent) => {
                let news = state.handles.retain(id);
                state.report(id, news);
                state.view_shared(&self.inbox.region().1, id, extent).ok_or_else(nonsense)
            }
            Cached::Failed(failure) => Err(Fault::Task(Failure::clone(&failure)).into()),
            Cached::Finished => Err(nonsense()),
        }
    }

    /// Gives a view back.
    pub fn close(&self, hold: u64) {
        let held = self.state().holds.remove(hold);
        if let Some(Hold::Object(id)) = held {
            self.release(id);
        }
    }

    /// One more reference.
    pub fn retain(&self, id: ObjectId) {
        let mut state = self.state();
        let news = state.handles.retain(id);
        state.report(id, news);
        self.flush_if_due(state);
    }

    /// One reference less.
    pub fn release(&self, id: ObjectId) {
        let mut state = self.state();
        let news = state.handles.release(id);
        state.report(id, news);
        if news == (News::Release { is_shared: true }) {
            drop(state);
            return self.flush();
        }
        self.flush_if_due(state);
    }
}
