//! `.call(&actor, …)` on a method: one trait for each arity, for methods that take `&mut self` or `&self`, `async` or not.
#![allow(unsafe_code)] // Making a function from its type, and taking over the loader's call.

use super::Actor;
use crate::abi::Call;
use crate::calls::Running;
use crate::codec::Value;
use crate::future::block_on;
use crate::object::ObjectRef;
use crate::remote::{IntoArg, Outgoing, Standalone, from_type, run, start};

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

/// Defines the trait of one arity, its implementations for methods, and its trampoline.
macro_rules! call {
    ($trait:ident $method:ident $number:literal; $($arg:ident $type:ident),*) => {
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
                Self: Standalone,
                T: 'static,
                $($type: Value,)*
                R: Value,
            {
                let () = Self::HOLDS_NO_DATA;
                let name = std::any::type_name::<Self>();
                #[allow(unused_mut, reason = "a method of no arguments has none to add")]
                let mut args = Outgoing::of_call(actor.id());
                $(args.add::<$type>($arg.into_arg());)*
                ObjectRef::new(start(name, $method::<Self, K, T, $($type,)* R>, args))
            }

            /// Runs the method.
            #[doc(hidden)]
            #[allow(clippy::too_many_arguments, reason = "as many as the user's method has")]
            fn run(&self, state: &mut T, $($arg: $type),*) -> R;
        }

        #[diagnostic::do_not_recommend]
        impl<F: Fn(&mut T, $($type),*) -> R, T, $($type,)* R> $trait<receiver::Mut, T, $($type,)* R> for F {
            fn run(&self, state: &mut T, $($arg: $type),*) -> R {
                self(state, $($arg),*)
            }
        }

        #[diagnostic::do_not_recommend]
        impl<F: Fn(&T, $($type),*) -> R, T, $($type,)* R> $trait<receiver::Ref, T, $($type,)* R> for F {
            fn run(&self, state: &mut T, $($arg: $type),*) -> R {
                self(state, $($arg),*)
            }
        }

        #[diagnostic::do_not_recommend]
        impl<F: AsyncFn(&mut T, $($type),*) -> R, T, $($type,)* R> $trait<receiver::AsyncMut, T, $($type,)* R> for F {
            fn run(&self, state: &mut T, $($arg: $type),*) -> R {
                block_on(self(state, $($arg),*))
            }
        }

        #[diagnostic::do_not_recommend]
        impl<F: AsyncFn(&T, $($type),*) -> R, T, $($type,)* R> $trait<receiver::AsyncRef, T, $($type,)* R> for F {
            fn run(&self, state: &mut T, $($arg: $type),*) -> R {
                block_on(self(state, $($arg),*))
            }
        }

        /// The trampoline of this arity.
        unsafe extern "C" fn $method<F, K, T, $($type,)* R>(call: *const Call)
        where
            F: $trait<K, T, $($type,)* R> + Standalone,
            T: 'static,
            $($type: Value,)*
            R: Value,
        {
            // SAFETY: the loader calls a trampoline with a call that is to be run now and once, and `run` returns before this does.
            let running = unsafe { Running::take(call) };
            run(running, |args| {
                // SAFETY: a value of `F` has existed. Only `call` takes this trampoline's address, after it was given one.
                let method = unsafe { from_type::<F>() };
                $(let Some($arg) = args.next::<$type>() else { return };)*
                if !args.end() {
                    return;
                }
                let Some(state) = args.state::<T>() else { return };
                let result = method.run(state, $($arg),*);
                args.give::<R>(&result);
            });
        }
    };
}

call!(Call0 method_0 "no arguments";);
call!(Call1 method_1 "one argument"; a A);
call!(Call2 method_2 "two arguments"; a A, b B);
call!(Call3 method_3 "three arguments"; a A, b B, c C);
call!(Call4 method_4 "four arguments"; a A, b B, c C, d D);
call!(Call5 method_5 "five arguments"; a A, b B, c C, d D, e E);
call!(Call6 method_6 "six arguments"; a A, b B, c C, d D, e E, g G);
call!(Call7 method_7 "seven arguments"; a A, b B, c C, d D, e E, g G, h H);
