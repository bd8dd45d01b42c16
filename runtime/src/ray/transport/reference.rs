//! Counted handles of what a cluster keeps for a session: objects, functions, classes and actors.
//!
//! A handle is made before its id is known: `put` and `schedule` answer at once, and the id comes with the cluster's answer. So a handle has a key
//! of this process, and the session's ledger (`outbox.rs`) knows which id belongs to it, if any.

use std::fmt;
use std::sync::Arc;

/// The name of a handle in this process. Never used twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub u64);

/// Is told when the last clone of a handle is dropped. Called in any thread, also while something else is dropped.
pub(super) trait LetGo: Send + Sync {
    /// Nobody holds `key` any more.
    fn let_go(&self, key: Key);
}

/// A handle of an object, a function, a class or an actor at the cluster.
///
/// Clones are one handle. When the last one is dropped, the cluster is told that it need not keep what it stands for; that is sent together with
/// others, and never before what uses the handle.
#[derive(Clone)]
pub struct Ref(Arc<Handle>);

struct Handle {
    key: Key,
    ledger: Arc<dyn LetGo>,
}

impl Ref {
    pub(super) fn new(key: Key, ledger: Arc<dyn LetGo>) -> Ref {
        Ref(Arc::new(Handle { key, ledger }))
    }

    /// One that stands for nothing.
    pub(super) fn nowhere() -> Ref {
        struct Nowhere;
        impl LetGo for Nowhere {
            fn let_go(&self, _: Key) {}
        }
        Ref::new(Key(u64::MAX), Arc::new(Nowhere))
    }

    pub(super) fn key(&self) -> Key {
        self.0.key
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.ledger.let_go(self.key);
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({})", self.0.key.0)
    }
}

/// Whether they are clones of one handle.
impl PartialEq for Ref {
    fn eq(&self, other: &Ref) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
