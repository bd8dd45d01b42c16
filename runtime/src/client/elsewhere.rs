//! Another engine in the local one's place: while a session has joined it, the calls of cells go there.
//!
//! It is registered from outside, because it is built on this client: the way to the front process, and to the cells' own runtime when they come back.

use super::Fallible;
use crate::abi::{Answer, Table};
use crossbeam::atomic::AtomicCell;
use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// An engine that this process can join. Its functions are called around cells and forks, as those of the local engine are.
pub(crate) trait Elsewhere: Sync {
    /// The table that cells have meanwhile.
    fn table(&self) -> &'static Table;
    /// A cell begins: see [`super::begin_cell`].
    fn begin_cell(&self, cell: u64, turn: u64);
    /// It has ended.
    fn end_cell(&self);
    /// It cannot be undone any more: see [`super::cell_is_final`].
    fn cell_is_final(&self);
    /// Whether references are kept back until then.
    fn keeps_back(&self) -> bool;
    /// Locks the engine for a fork, until what is returned is dropped.
    fn hold_still(&'static self) -> Box<dyn Any>;
    /// This process, a twin, takes the place of its dead original.
    ///
    /// # Errors
    /// It cannot go on here.
    fn take_over(&'static self) -> io::Result<()>;
    /// The answer to `init`.
    ///
    /// # Errors
    /// The engine's.
    fn address(&self) -> Fallible<Answer>;
}

/// Joins an engine whose front process listens there. The cell and the turn are those that run now.
pub(crate) type Join = fn(&Path, (u64, u64)) -> Result<(), String>;

static JOIN: OnceLock<Join> = OnceLock::new();

// A thin pointer, which a processor writes at once.
static NOW: AtomicCell<Option<&'static &'static dyn Elsewhere>> = AtomicCell::new(None);

/// Registers the engine that this process can join. The first call counts.
pub(crate) fn register(join: Join) {
    let _ = JOIN.set(join);
}

/// Joins the registered engine.
///
/// # Errors
/// A sentence.
pub(super) fn join(socket: &Path, now: (u64, u64)) -> Result<(), String> {
    let join = JOIN.get().ok_or("this program was built without Ray clusters")?;
    join(socket, now)
}

/// Where the calls of cells go, if that is not the local engine.
pub(crate) fn elsewhere() -> Option<&'static dyn Elsewhere> {
    NOW.load().copied()
}

/// Has them go there from now on; `None`: to the local engine.
pub(crate) fn go(to: Option<&'static dyn Elsewhere>) {
    NOW.store(to.map(|to| &*Box::leak(Box::new(to))));
}
