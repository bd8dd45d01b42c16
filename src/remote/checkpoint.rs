//! `.options().checkpoint_interval(…)`: an actor's state as an object, and an actor from that.
#![allow(unsafe_code)] // Taking over the loader's call.

use super::run;
use crate::abi::{Call, Trampoline};
use crate::calls::Running;
use crate::codec::Value;

/// The state of an actor is not saved: if the actor is started again, it is as its constructor makes it.
#[derive(Debug)]
pub struct NotSaved;

/// The state of an actor is saved: see [`Options::checkpoint_interval`](crate::Options::checkpoint_interval).
#[derive(Debug)]
pub struct Saved;

/// How the state of an actor is saved, a `T`: not at all, or in the store if it is a value that can be there.
pub trait Saving<T>: sealed::Saving + 'static {
    /// A call whose result is a checkpoint.
    #[doc(hidden)]
    const SAVE: Option<Trampoline>;
    /// A constructor that takes one.
    #[doc(hidden)]
    const RESTORE: Option<Trampoline>;
}

mod sealed {
    pub trait Saving {}
    impl Saving for super::NotSaved {}
    impl Saving for super::Saved {}
}

#[diagnostic::do_not_recommend]
impl<T: 'static> Saving<T> for NotSaved {
    const SAVE: Option<Trampoline> = None;
    const RESTORE: Option<Trampoline> = None;
}

impl<T: Value> Saving<T> for Saved {
    const SAVE: Option<Trampoline> = Some(save::<T>);
    const RESTORE: Option<Trampoline> = Some(restore::<T>);
}

unsafe extern "C" fn save<T: Value>(call: *const Call) {
    // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
    let running = unsafe { Running::take(call) };
    run(running, |args| {
        // SAFETY: a checkpoint is saved as a call that only reads, and the state is not used after this block.
        let Some(state) = (unsafe { args.shared_state::<T>() }) else { return };
        args.give_checkpoint(state);
    });
}

unsafe extern "C" fn restore<T: Value>(call: *const Call) {
    // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
    let running = unsafe { Running::take(call) };
    run(running, |args| {
        let Some(state) = args.next_checkpoint::<T>() else { return };
        if args.end() {
            args.give_state(state, Some(save::<T>));
        }
    });
}
