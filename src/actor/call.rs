//! `.call(&actor, …)` on a method: one trait for each arity, for methods that take `&mut self` or `&self`, `async` or not.
#![allow(unsafe_code)] // Making a function from its type, and taking over the loader's call.

use super::Actor;
use crate::abi::{Call, Submission, Trampoline};
use crate::calls::Running;
use crate::codec::{Value, encode_result};
use crate::future::block_on;
use crate::object::ObjectRef;
use crate::remote::{IntoArg, Outgoing, Standalone, from_type, run, run_async, start};

/// How a method takes its actor. The compiler chooses the one that fits.
pub mod receiver {
    /// `&mut self`.
    #[derive(Debug)]
    pub struct Mut;
    /// `&self`.
    #[derive(Debug)]
    pub struct Ref;
    /// `&mut self`, in an `async fn`.
    #[derive(Debug)]
    pub struct AsyncMut;
    /// `&self`, in an `async fn`.
    #[derive(Debug)]
    pub struct AsyncRef;
}

/// Defines the trait of one arity, its implementations for methods, and their trampolines.
macro_rules! call {
    ($trait:ident $number:literal; $($arg:ident $type:ident),*) => {
        #[doc = concat!("`.call(&actor, …)` on methods of ", $number, " besides `self`. `K` is one of [`receiver`].")]
        pub trait $trait<K, T, $($type,)* R>: Sized {
            /// Calls the method in the actor's process, and returns a reference to its result at once. Each argument is a value, an
            /// [`ObjectRef`] or a `&ObjectRef`.
            ///
            /// Calls from one caller (a session, a program, a task, an actor) run in the order in which they were made. A call that waits
            /// for an argument holds up those behind it of the same caller. A method that panics or returns `Err` fails its call, and the
            /// actor lives on.
            ///
            /// # Panics
            /// When the runtime does not accept the call: as `remote`. While the actor has as many unfinished calls as there may be (16,384),
            /// it waits.
            ///
            /// ```
            /// # mobula::inline::attach();
            /// # use mobula::prelude::*;
            /// let list = Vec::<i64>::new.spawn();
            /// Vec::push.call(&list, 7);
            /// assert_eq!(get(Vec::pop.call(&list))?, Some(7));
            /// # Ok::<(), mobula::GetError>(())
            /// ```
            #[track_caller]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's method has")]
            fn call(self, actor: &Actor<T>, $($arg: impl IntoArg<$type>),*) -> ObjectRef<R>
            where
                Self: Standalone + 'static,
                T: 'static,
                $($type: Value,)*
                R: Value,
            {
                let () = Self::HOLDS_NO_DATA;
                let (kind, trampoline) = Self::how();
                let name = std::any::type_name::<Self>();
                #[allow(unused_mut, reason = "a method of no arguments has none to add")]
                let mut args = Outgoing::of_call(kind, actor.id());
                $(args.add::<$type>($arg.into_arg());)*
                ObjectRef::new(start(name, trampoline, args))
            }

            /// The kind of call, as in [`Submission`], and its trampoline.
            #[doc(hidden)]
            fn how() -> (u32, Trampoline)
            where
                Self: Standalone + 'static,
                T: 'static,
                $($type: Value,)*
                R: Value;
        }

        call!(impl $trait, receiver::Mut, Fn(&mut T) -> R, CALL; $($arg $type),*; run, args, method, {
            let Some(state) = args.state::<T>() else { return };
            let result = method(state, $($arg),*);
            args.give::<R>(&result);
        });
        call!(impl $trait, receiver::AsyncMut, AsyncFn(&mut T) -> R, CALL; $($arg $type),*; run, args, method, {
            let Some(state) = args.state::<T>() else { return };
            let result = block_on(method(state, $($arg),*));
            args.give::<R>(&result);
        });
        call!(impl $trait, receiver::Ref, Fn(&T) -> R, READ; $($arg $type),*; run, args, method, {
            // SAFETY: this is the trampoline of a `READ`, and the state is not used after this block.
            let Some(state) = (unsafe { args.shared_state::<T>() }) else { return };
            let result = method(state, $($arg),*);
            args.give::<R>(&result);
        });
        call!(impl $trait, receiver::AsyncRef, AsyncFn(&T) -> R, ASYNC; $($arg $type),*; run_async, args, method, {
            // SAFETY: this is the trampoline of an `ASYNC`, whose rest is dropped before its outcome is delivered.
            let state = unsafe { args.shared_state::<T>() }?;
            Some(Box::pin(async move { encode_result(&method(state, $($arg),*).await) }))
        });
    };
    (impl $trait:ident, $receiver:ty, $fn:ident($self:ty) -> R, $kind:ident; $($arg:ident $type:ident),*;
        $run:ident, $args:ident, $method:ident, $body:block) => {
        #[diagnostic::do_not_recommend]
        impl<F: $fn($self, $($type),*) -> R, T, $($type,)* R> $trait<$receiver, T, $($type,)* R> for F {
            fn how() -> (u32, Trampoline)
            where
                F: Standalone + 'static,
                T: 'static,
                $($type: Value,)*
                R: Value,
            {
                unsafe extern "C" fn trampoline<F, T, $($type,)* R>(call: *const Call)
                where
                    F: $fn($self, $($type),*) -> R + Standalone + 'static,
                    T: 'static,
                    $($type: Value,)*
                    R: Value,
                {
                    // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
                    let running = unsafe { Running::take(call) };
                    $run(running, |$args| {
                        // SAFETY: a value of `F` has existed. Only `call` takes this trampoline's address, after it was given one.
                        let $method = unsafe { from_type::<F>() };
                        $(let Some($arg) = $args.next::<$type>() else { return Default::default() };)*
                        if !$args.end() {
                            return Default::default();
                        }
                        $body
                    });
                }
                (Submission::$kind, trampoline::<F, T, $($type,)* R>)
            }
        }
    };
}

call!(Call0 "no arguments";);
call!(Call1 "one argument"; a A);
call!(Call2 "two arguments"; a A, b B);
call!(Call3 "three arguments"; a A, b B, c C);
call!(Call4 "four arguments"; a A, b B, c C, d D);
call!(Call5 "five arguments"; a A, b B, c C, d D, e E);
call!(Call6 "six arguments"; a A, b B, c C, d D, e E, g G);
call!(Call7 "seven arguments"; a A, b B, c C, d D, e E, g G, h H);
