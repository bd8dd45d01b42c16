//! `.spawn(…)` on a constructor: one trait for each arity, as for `.remote(…)`.
#![allow(unsafe_code)] // Making a function from its type, and taking over the loader's call.

use super::Actor;
use crate::abi::{Call, Cause, TaskOptions, Trampoline, shorten};
use crate::calls::{Running, is_restore, type_id};
use crate::codec::Value;
use crate::remote::{Args, IntoArg, Options, Outgoing, Saving, Standalone, from_type, run, start};
use std::fmt::Display;

/// What a constructor returns that can fail: a `Result` whose error can be displayed.
#[diagnostic::on_unimplemented(
    message = "`try_spawn` is for a constructor that returns `Result<T, E>`, where `E` can be displayed; this one returns `{Self}`",
    note = "a constructor that cannot fail is started with `spawn`"
)]
pub trait TryState: sealed::Result {
    /// The actor's type.
    type State: 'static;
    /// The state, or the error's text.
    #[doc(hidden)]
    fn made(self) -> Result<Self::State, String>;
}

mod sealed {
    /// What `max_concurrency` knows of a constructor's result is true of a `Result` alone.
    pub trait Result {}
    impl<T, E> Result for std::result::Result<T, E> {}
}

impl<T: 'static, E: Display> TryState for Result<T, E> {
    type State = T;

    fn made(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// What a constructor's result is taken for.
trait Taken<R> {
    type State: 'static;
    fn made(result: R) -> Result<Self::State, String>;
}

/// For the actor itself.
struct AsState;

impl<R: 'static> Taken<R> for AsState {
    type State = R;

    fn made(result: R) -> Result<R, String> {
        Ok(result)
    }
}

/// For the actor, or the reason why there is none.
struct AsResult;

impl<R: TryState> Taken<R> for AsResult {
    type State = R::State;

    fn made(result: R) -> Result<R::State, String> {
        result.made()
    }
}

/// The arguments of a constructor of `T`s, none yet.
fn arguments_of<T: 'static>(options: &TaskOptions) -> Outgoing {
    let mut options = options.clone();
    options.actor.type_id = type_id::<T>();
    options.actor.type_name = shorten(std::any::type_name::<T>());
    Outgoing::of_spawn(options)
}

#[track_caller]
fn begin<T>(name: &'static str, trampoline: Trampoline, args: Outgoing) -> Actor<T> {
    Actor::new(start(name, trampoline, args))
}

/// Sets the outcome of a constructor.
fn give<M: Taken<R>, P: Saving<M::State>, R>(args: &mut Args<'_, '_>, result: R) {
    match M::made(result) {
        Ok(state) => args.give_state(state, P::SAVE),
        Err(message) => args.fail(Cause::Error { message }),
    }
}

/// Defines the trait of one arity, its implementation for functions, and its trampoline.
macro_rules! spawn {
    ($trait:ident $create:ident $number:literal; $($arg:ident $type:ident),*) => {
        #[doc = concat!("`.spawn(…)` on functions of ", $number, ".")]
        pub trait $trait<$($type,)* R> {
            /// Starts an actor, whose state is what this function returns in the actor's process. Returns a handle at once; calls wait
            /// until the actor is there. Each argument is a value, an [`ObjectRef`](crate::ObjectRef) or a reference to one.
            ///
            /// If the function panics, each call of the actor returns [`GetError::ActorDied`](crate::GetError).
            ///
            /// # Panics
            /// When the runtime does not accept the actor: as `remote`, and when its name is taken. The message says which.
            ///
            /// ```
            /// # mobula::inline::attach();
            /// # use mobula::prelude::*;
            /// let list = Vec::<i64>::new.spawn();
            /// Vec::push.call(&list, 7);
            /// assert_eq!(get(Vec::len.call(&list))?, 1);
            /// # Ok::<(), mobula::GetError>(())
            /// ```
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            fn spawn(self, $($arg: impl IntoArg<$type>),*) -> Actor<R>
            where
                Self: Standalone,
                $($type: Value,)*
                R: 'static;

            /// As `spawn`, for a function that returns a `Result`: its error is what every call of the actor gives.
            ///
            /// # Panics
            /// As `spawn`.
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            fn try_spawn(self, $($arg: impl IntoArg<$type>),*) -> Actor<R::State>
            where
                Self: Standalone,
                $($type: Value,)*
                R: TryState;
        }

        #[diagnostic::do_not_recommend]
        impl<F, $($type,)* R> $trait<$($type,)* R> for F
        where
            F: Fn($($type),*) -> R,
        {
            #[track_caller]
            fn spawn(self, $($arg: impl IntoArg<$type>),*) -> Actor<R>
            where
                F: Standalone,
                $($type: Value,)*
                R: 'static,
            {
                // Also here, so that the compiler reports the line that called it.
                let () = F::HOLDS_NO_DATA;
                Options::of(self).spawn($($arg),*)
            }

            #[track_caller]
            fn try_spawn(self, $($arg: impl IntoArg<$type>),*) -> Actor<R::State>
            where
                F: Standalone,
                $($type: Value,)*
                R: TryState,
            {
                // Also here, so that the compiler reports the line that called it.
                let () = F::HOLDS_NO_DATA;
                Options::of(self).try_spawn($($arg),*)
            }
        }

        impl<F, $($type,)* R: Sync, P> Options<F, fn($($type),*) -> R, P> {
            /// How many of an actor's `&self` methods run at once, each in a thread of its own; 1 if this is not said. A method with
            /// `&mut self` runs alone. (`async` methods with `&self` take turns whatever this says, up to 1000 at once.)
            pub fn max_concurrency(mut self, calls: u32) -> Self {
                self.options.actor.max_concurrency = Some(calls);
                self
            }
        }

        impl<F, $($type,)* R, P> Options<F, fn($($type),*) -> R, P>
        where
            F: Fn($($type),*) -> R,
        {
            /// Starts an actor with these options; see [`Spawn1::spawn`].
            ///
            /// # Panics
            /// As `spawn` of the function alone, and when an option makes no sense.
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            pub fn spawn(&self, $($arg: impl IntoArg<$type>),*) -> Actor<R>
            where
                F: Standalone,
                $($type: Value,)*
                R: 'static,
                P: Saving<R>,
            {
                let () = F::HOLDS_NO_DATA;
                let name = std::any::type_name::<F>();
                #[allow(unused_mut, reason = "a function of no arguments has none to add")]
                let mut args = arguments_of::<R>(&self.options);
                $(args.add::<$type>($arg.into_arg());)*
                begin(name, $create::<AsState, P, F, $($type,)* R>, args)
            }

            /// Starts an actor with these options; see [`Spawn1::try_spawn`].
            ///
            /// # Panics
            /// As `spawn`.
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's function has")]
            pub fn try_spawn(&self, $($arg: impl IntoArg<$type>),*) -> Actor<R::State>
            where
                F: Standalone,
                $($type: Value,)*
                R: TryState,
                P: Saving<R::State>,
            {
                let () = F::HOLDS_NO_DATA;
                let name = std::any::type_name::<F>();
                #[allow(unused_mut, reason = "a function of no arguments has none to add")]
                let mut args = arguments_of::<R::State>(&self.options);
                $(args.add::<$type>($arg.into_arg());)*
                begin(name, $create::<AsResult, P, F, $($type,)* R>, args)
            }
        }

        /// The trampoline of this arity.
        unsafe extern "C" fn $create<M, P, F, $($type,)* R>(call: *const Call)
        where
            M: Taken<R>,
            P: Saving<M::State>,
            F: Fn($($type),*) -> R + Standalone,
            $($type: Value,)*
        {
            // SAFETY: the loader calls a trampoline with a call that is to be run now and once, which is what `restore` asks for, too.
            if let (Some(restore), true) = (P::RESTORE, unsafe { is_restore(call) }) {
                // SAFETY: as above; this trampoline leaves the call to that one.
                return unsafe { restore(call) };
            }
            // SAFETY: as above, and `run` returns before this does.
            let running = unsafe { Running::take(call) };
            run(running, |args| {
                // SAFETY: a value of `F` has existed. Only `spawn` and `try_spawn` take this trampoline's address, after they were given one.
                let function = unsafe { from_type::<F>() };
                $(let Some($arg) = args.next::<$type>() else { return };)*
                if args.end() {
                    let made = function($($arg),*);
                    give::<M, P, R>(args, made);
                }
            });
        }
    };
}

spawn!(Spawn0 create_0 "no arguments";);
spawn!(Spawn1 create_1 "one argument"; a A);
spawn!(Spawn2 create_2 "two arguments"; a A, b B);
spawn!(Spawn3 create_3 "three arguments"; a A, b B, c C);
spawn!(Spawn4 create_4 "four arguments"; a A, b B, c C, d D);
spawn!(Spawn5 create_5 "five arguments"; a A, b B, c C, d D, e E);
spawn!(Spawn6 create_6 "six arguments"; a A, b B, c C, d D, e E, g G);
spawn!(Spawn7 create_7 "seven arguments"; a A, b B, c C, d D, e E, g G, h H);
spawn!(Spawn8 create_8 "eight arguments"; a A, b B, c C, d D, e E, g G, h H, i I);
